/* The plots: lag of the worst partitions, rates, latency and the outbox, over the time that the reader chooses. */
import { Chart, SERIES_MAX } from "./chart.js";
import { byId, element, setText } from "./elements.js";
import { byName, count, duration, plural, rate } from "./format.js";

const RANGES = [
    { seconds: 900, text: "15 min", title: "The last 15 minutes" },
    { seconds: 3600, text: "1 h", title: "The last hour" },
    { seconds: 86400, text: "24 h", title: "The last 24 hours" },
];

const LINES = {
    applied_per_s: "applied",
    published_per_s: "published",
    commit_to_applied_p50_s: "half of them",
    commit_to_applied_p99_s: "99 of 100",
    outbox_waiting: "waiting",
};

const CHARTS = [
    {
        title: "Lag",
        least: 1,
        names: ["lag_s"],
        format: duration,
        unit: "duration",
        wide: true,
        note: "Age of the oldest change that is not applied",
    },
    {
        title: "Records behind",
        least: 10,
        names: ["lag_records"],
        format: count,
        unit: "count",
        wide: true,
        note: "Records between this copy and the end of the log",
    },
    {
        title: "Rates",
        least: 1,
        names: ["applied_per_s", "published_per_s"],
        format: rate,
        unit: "rate",
        note: "Changes applied here, and published from here",
    },
    {
        title: "Commit to applied",
        least: 0.01,
        names: ["commit_to_applied_p50_s", "commit_to_applied_p99_s"],
        format: duration,
        unit: "duration",
        note: "From a change's commit at its service to its commit here",
    },
    {
        title: "Outbox",
        least: 4,
        names: ["outbox_waiting"],
        format: count,
        unit: "count",
        note: "Changes that wait to be published",
    },
];

let range = RANGES[0];
let charts = [];

/** @return how far back the reader wants to see. */
export function historySeconds() {
    return range.seconds;
}

function most(values) {
    return values.reduce((highest, value) => Math.max(highest, value ?? 0), 0);
}

/** @return the worst series, in the order of their names, so that lines keep their places. */
function worst(series) {
    const byLabel = (left, right) => byName(left.label, right.label);
    const ranked = series
        .map((one) => ({ ...one, most: most(one.values) }))
        .sort((left, right) => right.most - left.most || byLabel(left, right));
    return ranked.slice(0, SERIES_MAX).sort(byLabel);
}

function labelOf({ name, topic, partition }) {
    return topic === null ? (LINES[name] ?? name) : `${topic} [${partition}]`;
}

function lastOf(values, length) {
    const missing = Math.max(0, length - values.length);
    return [...Array(missing).fill(null), ...values.slice(-length)];
}

function noteOf(chart, shown, total, leftOut) {
    const notes = [
        chart.note,
        shown < total ? `The ${shown} worst of ${total}; the table of partitions has all` : "",
        leftOut > 0 ? `${plural(leftOut, "more partition")} without a history` : "",
    ].filter((note) => note !== "");
    return notes.length > 1 ? `${notes.join(". ")}.` : chart.note;
}

/** @param seconds  what was asked for. A history that is shorter begins with values that are not known. */
export function showHistory(history, seconds) {
    if (seconds !== range.seconds) {
        return; // the reader has chosen another time meanwhile
    }
    const length = Math.floor(seconds / history.step_s);
    const end = Date.parse(history.taken_at);
    const times = Array.from(
        { length },
        (_, index) => new Date(end - (length - 1 - index) * history.step_s * 1000),
    );
    for (const chart of charts) {
        const all = history.series
            .filter(({ name }) => chart.names.includes(name))
            .map((series) => ({
                key: `${series.name} ${series.topic} ${series.partition}`,
                label: labelOf(series),
                values: lastOf(series.values, length),
            }));
        const shown = worst(all);
        const leftOut = chart.names[0].startsWith("lag_") ? history.left_out : 0;
        chart.drawn.show(times, shown, noteOf(chart, shown.length, all.length, leftOut));
    }
    byId("history-note").hidden = history.series.length > 0;
}

export function recolourHistory() {
    for (const chart of charts) {
        chart.drawn.recolour();
    }
}

/** @param changed  called when the reader has chosen another time. */
export function startHistory(changed) {
    charts = CHARTS.map((chart) => ({ ...chart, drawn: new Chart(chart) }));
    byId("charts").append(...charts.map((chart) => chart.drawn.node));
    const choose = (chosen) => {
        range = chosen;
        setText(byId("history-head"), chosen.title);
        buttons.forEach((button, index) =>
            button.setAttribute("aria-pressed", String(RANGES[index] === chosen)),
        );
    };
    const buttons = RANGES.map((one) => {
        const button = element("button", { type: "button" }, one.text);
        button.addEventListener("click", () => {
            choose(one);
            changed();
        });
        return button;
    });
    byId("ranges").append(...buttons);
    choose(range);
}

/** How often a new value can be there. */
export function historyPeriod() {
    return range.seconds === 900 ? 5000 : 15000;
}
