/* What is parked, with its reason and, where it is opened, its payload; retry and skip. */
import { perform } from "./action.js";
import { get } from "./connection.js";
import { byId, element, setAttribute, setText, showList } from "./elements.js";
import { ago, count, plural } from "./format.js";
import { showShape } from "./shapes.js";

const PAGE = 25;
const PAYLOAD_MAX = 20000; // characters that are shown

const STATES = {
    held: { verdict: "stalled", text: "needs you", about: "It is not tried again by itself." },
    waiting: {
        verdict: "behind",
        text: "tried again",
        about: "A later change may mend it. The agent tries it again.",
    },
    behind: {
        verdict: "behind",
        text: "waits in line",
        about: "An earlier record of its entity is parked.",
    },
    skipped: {
        verdict: "unknown",
        text: "skipped",
        about: "It was given up, and is kept as evidence for a while.",
    },
};

let limit = PAGE;
let actions = false;
let refresh = () => {};

function others(copies) {
    if (copies === null) {
        return "What other copies have done with it is not known.";
    }
    const parts = [
        [copies.applied, "applied it"],
        [copies.parked, "parked it too"],
        [copies.behind, "not come to it"],
    ]
        .filter(([number]) => number > 0)
        .map(([number, what]) => `${number} ${number === 1 ? "has" : "have"} ${what}`);
    if (copies.unknown > 0) {
        parts.push(`of ${copies.unknown} it is not known`);
    }
    return parts.length === 0
        ? "There is no other copy."
        : `Of the other copies, ${parts.join(", ")}.`;
}

/** JSON in lines of its own; anything else, and what is too long, as it is. */
function readable(text) {
    if (text.length > PAYLOAD_MAX) {
        return `${text.slice(0, PAYLOAD_MAX)}\n… and ${count(text.length - PAYLOAD_MAX)} characters more`;
    }
    try {
        JSON.parse(text);
    } catch {
        return text;
    }
    return spread(text);
}

/** Breaks lines of JSON without reading its numbers, which could lose digits. */
function spread(text) {
    let depth = 0;
    const line = () => `\n${"  ".repeat(depth)}`;
    return text.replace(/"(?:[^"\\]|\\.)*"|[{[]\s*[\]}]|[{}[\],:]|\s+/g, (part) => {
        if (/^\s/.test(part)) {
            return "";
        }
        if (part === "{" || part === "[") {
            depth += 1;
            return part + line();
        }
        if (part === "}" || part === "]") {
            depth -= 1;
            return line() + part;
        }
        return part === "," ? part + line() : part === ":" ? ": " : part;
    });
}

function payload(title, text) {
    return [
        element("h4", {}, title),
        text === null
            ? element("p", { class: "not-known" }, "none")
            : element("pre", { tabindex: "0", "aria-label": title }, readable(text)),
    ];
}

async function showPayload(details, id) {
    const place = details.querySelector(".payload");
    if (!details.open || place.dataset.loaded === "yes") {
        return;
    }
    try {
        const record = await get(`/api/parked/${id}`);
        place.dataset.loaded = "yes";
        const headers = Object.entries(record.headers ?? {});
        place.replaceChildren(
            ...payload("Payload", record.value),
            ...payload("Key", record.key),
            element("h4", {}, "Headers"),
            headers.length === 0
                ? element("p", { class: "not-known" }, "none")
                : element(
                      "dl",
                      { class: "headers" },
                      ...headers.flatMap(([name, value]) => [
                          element("dt", {}, name),
                          element("dd", {}, value ?? "–"),
                      ]),
                  ),
        );
    } catch (error) {
        place.replaceChildren(
            element("p", { class: "error" }, `It cannot be shown now: ${error.message}`),
        );
    }
}

const OUTCOMES = {
    applied: (id) => `Record ${id} is applied.`,
    parked_again: (id, reason) =>
        `Record ${id} could not be applied: ${reason ?? "no reason is known"}`,
    not_tried: (id, reason) =>
        `Record ${id} is to be tried later: ${reason ?? "no agent has done it yet"}`,
    skipped: (id) => `Record ${id} is skipped.`,
};

function tell(text, isError) {
    const result = byId("parked-result");
    setText(result, text);
    result.classList.toggle("error", isError);
}

async function run(id, name, title) {
    tell("", false);
    const done = await perform({
        id,
        name,
        title,
        sent: () => tell(`Record ${id}: asked …`, false),
    });
    if (done === null) {
        tell("", false);
        return;
    }
    const { answer, error } = done;
    const outcome = answer === null ? undefined : OUTCOMES[answer.outcome];
    tell(
        error ?? outcome?.(answer.parked_id, answer.reason) ?? "The sidecar has done it.",
        error !== null || answer.outcome === "parked_again",
    );
    byId("parked-result").focus(); // the record's buttons may go
    refresh();
}

function titleOf(record) {
    return `${record.entity_type ?? "type not known"} ${record.entity_key ?? "key not known"}`;
}

function create(record) {
    const { parked_id: id } = record;
    const details = element(
        "details",
        {},
        element("summary", {}, "Payload and headers"),
        element("div", { class: "payload" }),
    );
    details.addEventListener("toggle", () => showPayload(details, id));
    const buttons = ["retry", "skip"].map((name) => {
        const button = element(
            "button",
            {
                type: "button",
                class: "quiet",
                "data-action": name,
                "aria-label": `${name === "retry" ? "Retry" : "Skip"} record ${id}`,
            },
            name === "retry" ? "Retry" : "Skip",
        );
        button.addEventListener("click", () => run(id, name, titleOf(record)));
        return button;
    });
    const head = `parked-${id}`;
    return element(
        "article",
        { class: "record", "aria-labelledby": head },
        element(
            "div",
            { class: "record-head" },
            element("h3", { id: head }),
            element(
                "span",
                { class: "state" },
                element("span", { class: "shape" }),
                element("span", { class: "word" }),
            ),
            element("span", { class: "buttons" }, ...buttons),
        ),
        element("p", { class: "reason" }),
        element("p", { class: "note" }),
        details,
    );
}

function update(node, record) {
    const state = STATES[record.state] ?? STATES.held;
    setAttribute(node, "data-verdict", state.verdict);
    setText(node.querySelector("h3"), `${record.parked_id}  ${titleOf(record)}`);
    showShape(node.querySelector(".shape"), state.verdict);
    setText(node.querySelector(".word"), state.text);
    setText(node.querySelector(".reason"), record.reason);
    setText(
        node.querySelector(".note"),
        `${setOf(record)}${state.about} Parked ${ago(record.parked_at)}, tried ` +
            `${plural(record.attempts, "time")}. ` +
            `${record.topic} [${record.partition}], offset ${count(record.offset)}. ` +
            others(record.other_copies),
    );
    for (const button of node.querySelectorAll(".buttons button")) {
        button.disabled = !actions || record.state === "skipped";
    }
}

/** A transaction of several changes is one entry, and is retried and skipped whole. */
function setOf({ changeset_size: size }) {
    return size > 1 ? `A transaction of ${count(size)} changes, this one the first. ` : "";
}

function noteOf(state, list) {
    if (list.records.length === 0) {
        return "Nothing is parked: every change was applied.";
    }
    return actions
        ? "Later changes of the same entity wait behind these; everything else goes on."
        : "Retry and skip are off here, because this sidecar has no listen_token_file. On the command line: " +
              "keepstep parked retry ID, keepstep parked skip ID.";
}

/** @param list  the answer, or null where it could not be had, with the error. */
export function showParked(state, list, error) {
    actions = state.actions;
    const badge = byId("parked-badge");
    badge.hidden = !(state.parked > 0);
    setText(badge, badge.hidden ? "" : ` ${count(state.parked)}`);
    if (list === null) {
        setText(
            byId("parked-note"),
            error === null ? "" : `What is parked cannot be read now: ${error.message}`,
        );
        return;
    }
    setText(byId("parked-note"), noteOf(state, list));
    showList(byId("parked-records"), list.records, { key: ({ parked_id: id }) => id, create, update });
    byId("parked-more").hidden = list.more_after === null;
}

export function parkedPath() {
    return `/api/parked?limit=${limit}`;
}

/** @param changed  lets the list be read anew. */
export function startParked(changed) {
    refresh = changed;
    byId("parked-more").addEventListener("click", () => {
        limit = Math.min(500, limit * 2);
        refresh();
    });
}
