/* The figures of now: rates, latency, time to catch up, the outbox, what is parked. */
import { byId, element, setText, showList } from "./elements.js";
import { count, duration, NOT_KNOWN, plural, rate } from "./format.js";

const RELAY = {
    publishing: "the relay publishes",
    standby: "the relay stands by for another one",
    held_back: "the relay is held back",
    waiting: "the relay waits",
};

/** @return how many records are behind in all; null where a partition does not know. */
function recordsBehind(partitions) {
    let sum = 0;
    for (const partition of partitions) {
        if (partition.lag_records === null) {
            return null;
        }
        sum += partition.lag_records;
    }
    return sum;
}

function catchUp(state) {
    const behind = recordsBehind(state.partitions);
    if (state.partitions.length === 0) {
        return { value: "–", note: "nothing is applied here" };
    }
    if (behind === 0) {
        return { value: "caught up", note: "no record is behind" };
    }
    const note =
        behind === null ? "of a partition it is not known" : `${plural(behind, "record")} behind`;
    return {
        value: state.rates.catch_up_s === null ? NOT_KNOWN : duration(state.rates.catch_up_s),
        note,
    };
}

function outbox(state) {
    const {
        waiting,
        in_flight: inFlight,
        set_aside: setAside,
        oldest_unacknowledged_s: oldest,
    } = state.outbox;
    if (waiting === null && state.relay_state === null) {
        return { value: "–", note: "no relay runs here" };
    }
    const notes = [`${count(inFlight)} on the way`, `${count(setAside)} set aside`];
    if (oldest !== null && oldest > 0) {
        notes.push(`oldest ${duration(oldest)}`);
    }
    if (state.outbox.transactions === "whole") {
        notes.push("whole transactions");
    }
    return { value: count(waiting), note: notes.join(", ") };
}

function parkedNote({ parked, parked_held: held, parked_waiting: waiting }) {
    if (parked === null) {
        return "the database does not say";
    }
    return parked === 0
        ? "every change was applied"
        : `${count(held)} for you, ${count(waiting)} tried again by itself`;
}

function figures(state) {
    const { rates, latency } = state;
    return [
        {
            name: "Applied",
            value: rate(rates.applied_per_s),
            note: "changes of others, to this copy",
        },
        {
            name: "Commit to applied",
            value: duration(latency.p50_s),
            note:
                latency.p99_s === null
                    ? "in the last 15 min"
                    : `99 of 100 within ${duration(latency.p99_s)}; last 15 min`,
        },
        { name: "Time to catch up", ...catchUp(state) },
        {
            name: "Published",
            value: rate(rates.published_per_s),
            note: RELAY[state.relay_state] ?? "no relay runs here",
        },
        { name: "Outbox waits", ...outbox(state) },
        { name: "Parked", value: count(state.parked), note: parkedNote(state) },
    ];
}

export function showFigures(state) {
    showList(byId("figures"), figures(state), {
        key: (figure) => figure.name,
        create: (figure) =>
            element(
                "div",
                { class: "figure" },
                element("dt", {}, figure.name),
                element("dd", { class: "value" }),
                element("dd", { class: "note" }),
            ),
        update: (node, figure) => {
            const value = node.querySelector(".value");
            setText(value, figure.value);
            value.classList.toggle("not-known", figure.value === NOT_KNOWN || figure.value === "–");
            setText(node.querySelector(".note"), figure.note);
        },
    });
}
