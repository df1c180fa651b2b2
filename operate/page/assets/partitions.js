/* The table of partitions, the worst ones first. */
import { byId, element, setAttribute, setText, showList } from "./elements.js";
import { byName, count, duration, isFresh, plural } from "./format.js";
import { showShape } from "./shapes.js";

const FEW = 10;

let all = false;
let last = [];

/**
 * A stopped one is the worst, then one of which nothing is known, then the oldest lag, then what has parked records.
 * What comes and goes within seconds does not count, so that rows keep their places.
 */
function badness(partition) {
    if (partition.stopped !== null) {
        return Infinity;
    }
    if (partition.lag_s === null) {
        return Number.MAX_VALUE;
    }
    if (isFresh(partition.lag_s)) {
        return partition.parked > 0 ? 1 : 0;
    }
    return partition.lag_s;
}

function byBadness(left, right) {
    const [least, most] = [badness(left), badness(right)];
    if (least !== most) {
        return most > least ? 1 : -1;
    }
    return byName(left.topic, right.topic) || left.partition - right.partition;
}

function stateOf(partition) {
    if (partition.stopped !== null) {
        return { verdict: "stopped", text: partition.stopped || "stopped" };
    }
    if (partition.lag_records === null && partition.lag_s === null) {
        return { verdict: "unknown", text: "not known" };
    }
    if (partition.lag_s === 0 && partition.lag_records === 0) {
        return { verdict: "ok", text: "caught up" };
    }
    return isFresh(partition.lag_s)
        ? { verdict: "ok", text: "in step" }
        : { verdict: "behind", text: "behind" };
}

function create(partition) {
    const numbers = ["", "", "", "wide-only", "wide-only", "wide-only"].map((extra) =>
        element("td", { class: `number ${extra}` }),
    );
    return element(
        "tr",
        {},
        element(
            "th",
            { scope: "row" },
            element("span", { class: "topic" }, partition.topic),
            element("span", { class: "index" }, ` [${partition.partition}]`),
        ),
        element(
            "td",
            { class: "state" },
            element("span", { class: "shape" }),
            element("span", { class: "word" }),
        ),
        ...numbers,
    );
}

function update(row, partition) {
    const { verdict, text } = stateOf(partition);
    setAttribute(row, "data-verdict", verdict);
    showShape(row.querySelector(".shape"), verdict);
    setText(row.querySelector(".word"), text);
    const texts = [
        duration(partition.lag_s),
        count(partition.lag_records),
        count(partition.parked),
        count(partition.applied_offset),
        count(partition.durable_offset),
        count(partition.end_offset),
    ];
    row.querySelectorAll("td.number").forEach((cell, index) => {
        setText(cell, texts[index]);
    });
}

function show() {
    const sorted = [...last].sort(byBadness);
    showList(byId("partition-rows"), all ? sorted : sorted.slice(0, FEW), {
        key: (partition) => `${partition.topic} ${partition.partition}`,
        create,
        update,
    });
    byId("partition-table").hidden = last.length === 0;
    const more = byId("partitions-more");
    more.hidden = last.length <= FEW;
    setText(more, all ? `Show the ${FEW} worst` : `Show all ${last.length}`);
    setText(
        byId("partitions-note"),
        last.length === 0
            ? "This sidecar owns no partition."
            : `${plural(last.length, "partition")}, the worst first`,
    );
}

export function showPartitions(state) {
    last = state.partitions;
    show();
}

export function startPartitions() {
    byId("partitions-more").addEventListener("click", () => {
        all = !all;
        show();
    });
}
