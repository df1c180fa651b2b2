/* One plot over time: lines, a legend with figures, and the same figures as a table. */
import { drawing, element, setAttribute, setText, showList } from "./elements.js";
import { NOT_KNOWN, timeOfDay } from "./format.js";
import { ticks, timeTicks } from "./ticks.js";

/* Lines differ in colour and in dashes. */
const DASHES = [null, [7, 3], [2, 3], [9, 3, 2, 3], [14, 4]];
const TABLE_ROWS = 24;
const PLOT_HEIGHT = 170;
const TIME_MARK_PIXELS = 65;

/** The most series that one plot shows. */
export const SERIES_MAX = DASHES.length;

function colourOf(node) {
    return getComputedStyle(node).color;
}

function highest(values) {
    return values.reduce((most, value) => (value === null || (most !== null && most >= value) ? most : value), null);
}

function latest(values) {
    return values.length === 0 ? null : values[values.length - 1];
}

export class Chart {
    /** @param format  writes a value for people. @param unit  one of ticks(). */
    constructor({ title, note, format, unit, wide = false }) {
        this.format = format;
        this.unit = unit;
        this.title = title;
        this.graph = null;
        this.slots = new Map(); // which colour and dashes a series has, as long as it is shown
        this.series = [];
        this.times = [];
        this.plot = element("div", { class: "plot", role: "img" });
        this.nothing = element("p", { class: "nothing" }, "Nothing is known of this time.");
        this.legend = element("ul", { class: "legend" });
        this.note = element("p", { class: "note" }, note);
        this.when = element("span", { class: "when" });
        this.head = element("tr");
        this.rows = element("tbody");
        this.tableNote = element("caption", { class: "note" });
        this.table = element("div", { class: "sideways table-of-plot", role: "region", tabindex: "0",
            "aria-label": `${title}, as a table` },
        element("table", { class: "table" }, this.tableNote, element("thead", {}, this.head), this.rows));
        this.details = element("details", {}, element("summary", {}, "As a table"), this.table);
        this.details.addEventListener("toggle", () => this.showTable());
        this.node = element("figure", { class: wide ? "chart wide" : "chart" },
            element("figcaption", {}, element("h3", {}, title), this.when), this.note, this.legend, this.plot,
            this.nothing, this.details);
    }

    /** @param series  [{ key, label, values }], at most SERIES_MAX, of the same length as `times`. */
    show(times, series, note) {
        this.node.hidden = series.length === 0;
        this.times = times;
        this.series = series;
        if (note !== undefined) {
            setText(this.note, note);
        }
        this.giveSlots();
        this.showLegend(times.length - 1);
        this.showPlot();
        this.showTable();
    }

    giveSlots() {
        const keys = new Set(this.series.map(({ key }) => key));
        for (const key of this.slots.keys()) {
            if (!keys.has(key)) {
                this.slots.delete(key);
            }
        }
        for (const key of keys) {
            if (!this.slots.has(key)) {
                const taken = new Set(this.slots.values());
                this.slots.set(key, DASHES.findIndex((_, slot) => !taken.has(slot)));
            }
        }
    }

    showLegend(index) {
        showList(this.legend, this.series, {
            key: ({ key }) => `${this.slots.get(key)} ${key}`,
            create: ({ key }) => {
                const slot = this.slots.get(key);
                return element("li", { class: `series-${slot}` },
                    drawing("svg", { viewBox: "0 0 28 8", class: "swatch", "aria-hidden": "true" },
                        drawing("path", { d: "M0 4h28", "stroke-dasharray": DASHES[slot]?.join(" ") })),
                    element("span", { class: "series-name" }), element("span", { class: "series-value" }));
            },
            update: (node, { label, values }) => {
                setText(node.querySelector(".series-name"), label);
                setText(node.querySelector(".series-value"), this.format(values[index] ?? null));
            },
        });
        const isNow = index === this.times.length - 1;
        setText(this.when, isNow || index < 0 ? "" : `at ${timeOfDay(this.times[index])}`);
    }

    describe() {
        const parts = this.series.map(({ label, values }) =>
            `${label}: now ${this.format(latest(values))}, highest ${this.format(highest(values))}`);
        return `${this.title}. ${parts.join("; ")}`;
    }

    options() {
        const most = highest(this.series.map(({ values }) => highest(values)).filter((value) => value !== null));
        const items = Array.from(this.legend.children);
        const grid = colourOf(this.note);
        return {
            file: this.times.map((time, index) => [time, ...this.series.map(({ values }) => values[index])]),
            labels: ["time", ...this.series.map(({ key }) => key)],
            colors: items.map(colourOf),
            series: Object.fromEntries(this.series.map(({ key }) =>
                [key, { strokePattern: DASHES[this.slots.get(key)] }])),
            dateWindow: [this.times[0].getTime(), this.times[this.times.length - 1].getTime()],
            valueRange: [0, most > 0 ? most * 1.12 : 1],
            axisLineColor: "transparent",
            gridLineColor: grid.replace("rgb(", "rgba(").replace(")", ", 0.22)"),
        };
    }

    showPlot() {
        const isKnown = this.series.some(({ values }) => values.some((value) => value !== null));
        this.plot.hidden = !isKnown;
        this.nothing.hidden = isKnown;
        if (!isKnown || this.times.length < 2) {
            return;
        }
        setAttribute(this.plot, "aria-label", this.describe());
        const options = this.options();
        if (this.graph === null) {
            this.graph = this.open(options);
        } else {
            this.graph.updateOptions(options);
        }
    }

    open({ file, ...options }) {
        const { Dygraph } = window;
        // No legend and labels of its own: they write styles and texts as HTML, which the page's policy forbids.
        Dygraph.PLUGINS = [Dygraph.Plugins.Grid, Dygraph.Plugins.Axes];
        return new Dygraph(this.plot, file, {
            ...options,
            interactionModel: {}, // no zoom: it would take the touches that scroll the page
            height: PLOT_HEIGHT,
            strokeWidth: 1.8,
            highlightCircleSize: 3.5,
            axisLabelFontSize: 12,
            rightGap: 2,
            axes: {
                x: { drawGrid: false, axisLabelWidth: 60,
                    ticker: (from, to, pixels) => timeTicks(from, to, pixels / TIME_MARK_PIXELS).map((v) =>
                        ({ v, label: timeOfDay(new Date(v), false) })) },
                y: { axisLabelWidth: 58,
                    ticker: (from, to) => ticks(to, this.unit).map((v) => ({ v, label: this.format(v) })) },
            },
            highlightCallback: (event, x, points, row) => this.showLegend(row),
            unhighlightCallback: () => this.showLegend(this.times.length - 1),
        });
    }

    /** Rows of equal time, each with the highest value of its time. */
    showTable() {
        if (!this.details.open || this.times.length === 0) {
            return;
        }
        const step = Math.max(1, Math.ceil(this.times.length / TABLE_ROWS));
        const slices = [];
        for (let end = this.times.length; end > 0; end -= step) {
            slices.push({ from: Math.max(0, end - step), end });
        }
        setText(this.tableNote, step === 1 ? "The newest first." :
            "The newest first. Each row has the highest value up to the next one.");
        showList(this.head, ["Time", ...this.series.map(({ label }) => label)], {
            key: (label) => label,
            create: (label) => element("th", { scope: "col", class: label === "Time" ? "" : "number" }, label),
            update: () => {},
        });
        showList(this.rows, slices, {
            key: ({ end }) => this.times.length - end,
            create: () => element("tr"),
            update: (row, { from, end }) => {
                const cells = [timeOfDay(this.times[end - 1]),
                    ...this.series.map(({ values }) => this.format(highest(values.slice(from, end))))];
                showList(row, cells.map((text, index) => ({ text, index })), {
                    key: ({ index }) => index,
                    create: ({ index }) => (index === 0 ? element("th", { scope: "row" }) :
                        element("td", { class: "number" })),
                    update: (cell, { text }) => {
                        setText(cell, text);
                        cell.classList.toggle("not-known", text === NOT_KNOWN);
                    },
                });
            },
        });
    }

    /** Draws again in the colours of now. */
    recolour() {
        if (this.graph !== null && !this.plot.hidden) {
            this.graph.updateOptions(this.options());
        }
    }
}
