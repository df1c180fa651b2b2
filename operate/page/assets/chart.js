/* One plot over time: lines, a legend with figures, and the same figures as a table. */
import { drawing, element, setAttribute, setText, showList } from "./elements.js";
import { timeOfDay } from "./format.js";
import { highest, PlotTable } from "./plot_table.js";
import { ticks, timeTicks } from "./ticks.js";

/* Lines differ in colour and in dashes. */
const DASHES = [null, [7, 3], [2, 3], [9, 3, 2, 3], [14, 4]];
const PLOT_HEIGHT = 170;
const TIME_MARK_PIXELS = 65;
const HEADROOM = 1.12;

/** The most series that one plot shows. */
export const SERIES_MAX = DASHES.length;

function colourOf(node) {
    return getComputedStyle(node).color;
}

function legendItem(slot) {
    const line = drawing("path", { d: "M0 4h28", "stroke-dasharray": DASHES[slot]?.join(" ") });
    return element(
        "li",
        { class: `series-${slot}` },
        drawing("svg", { viewBox: "0 0 28 8", class: "swatch", "aria-hidden": "true" }, line),
        element("span", { class: "series-name" }),
        element("span", { class: "series-value" }),
    );
}

/* Only the plugins that it needs: the others write styles and texts as HTML, which the page's policy forbids. */
function openGraph(place, options) {
    const { Dygraph } = window;
    Dygraph.PLUGINS = [Dygraph.Plugins.Grid, Dygraph.Plugins.Axes];
    return new Dygraph(place, options.file, {
        ...options,
        interactionModel: {}, // no zoom: it would take the touches that scroll the page
        height: PLOT_HEIGHT,
        strokeWidth: 1.8,
        highlightCircleSize: 3.5,
        axisLabelFontSize: 12,
        rightGap: 2,
    });
}

export class Chart {
    /**
     * @param format  writes a value for people. @param unit  one of ticks().
     * @param least  the scale goes up to that at least, so that noise looks like noise.
     */
    constructor({ title, note, format, unit, least, wide = false }) {
        this.format = format;
        this.unit = unit;
        this.least = least;
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
        this.table = new PlotTable(title, format);
        this.node = element(
            "figure",
            { class: wide ? "chart wide" : "chart" },
            element("figcaption", {}, element("h3", {}, title), this.when),
            this.note,
            this.legend,
            this.plot,
            this.nothing,
            this.table.node,
        );
    }

    /** @param series  [{ key, label, values }], at most SERIES_MAX, each as long as `times`. */
    show(times, series, note) {
        this.node.hidden = series.length === 0;
        this.times = times;
        this.series = series;
        setText(this.note, note);
        this.giveSlots();
        this.showLegend(times.length - 1);
        this.showPlot();
        this.table.show(times, series);
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
                const free = DASHES.findIndex((_, slot) => !taken.has(slot));
                this.slots.set(key, free);
            }
        }
    }

    /** @param index  of the time whose figures are shown. */
    showLegend(index) {
        showList(this.legend, this.series, {
            key: ({ key }) => `${this.slots.get(key)} ${key}`,
            create: ({ key }) => legendItem(this.slots.get(key)),
            update: (node, { label, values }) => {
                setText(node.querySelector(".series-name"), label);
                setText(node.querySelector(".series-value"), this.format(values[index] ?? null));
            },
        });
        const isNow = index < 0 || index === this.times.length - 1;
        setText(this.when, isNow ? "" : `at ${timeOfDay(this.times[index])}`);
    }

    describe() {
        const parts = this.series.map(({ label, values }) => {
            const now = this.format(values[values.length - 1]);
            return `${label}: now ${now}, highest ${this.format(highest(values))}`;
        });
        return `${this.title}. ${parts.join("; ")}`;
    }

    options() {
        const { times, series } = this;
        const most = highest(series.map(({ values }) => highest(values)));
        const dashes = series.map(({ key }) => [
            key,
            { strokePattern: DASHES[this.slots.get(key)] },
        ]);
        const grid = colourOf(this.note).replace("rgb(", "rgba(").replace(")", ", 0.22)");
        return {
            file: times.map((time, index) => [time, ...series.map(({ values }) => values[index])]),
            labels: ["time", ...series.map(({ key }) => key)],
            colors: Array.from(this.legend.children, colourOf),
            series: Object.fromEntries(dashes),
            dateWindow: [times[0].getTime(), times[times.length - 1].getTime()],
            valueRange: [0, Math.max(most, this.least) * HEADROOM],
            axisLineColor: "transparent",
            gridLineColor: grid,
            axes: this.axes(),
            highlightCallback: (event, x, points, row) => this.showLegend(row),
            unhighlightCallback: () => this.showLegend(this.times.length - 1),
        };
    }

    axes() {
        const timeMark = (v) => ({ v, label: timeOfDay(new Date(v), false) });
        const valueMark = (v) => ({ v, label: this.format(v) });
        return {
            x: {
                drawGrid: false,
                axisLabelWidth: 60,
                ticker: (from, to, pixels) =>
                    timeTicks(from, to, pixels / TIME_MARK_PIXELS).map(timeMark),
            },
            y: {
                axisLabelWidth: 58,
                ticker: (from, to) => ticks(to, this.unit).map(valueMark),
            },
        };
    }

    showPlot() {
        const isKnown = this.series.some(({ values }) => highest(values) !== null);
        this.plot.hidden = !isKnown;
        this.nothing.hidden = isKnown;
        if (!isKnown) {
            return;
        }
        setAttribute(this.plot, "aria-label", this.describe());
        if (this.graph === null) {
            this.graph = openGraph(this.plot, this.options());
        } else {
            this.graph.updateOptions(this.options());
        }
    }

    /** Draws again in the colours of now. */
    recolour() {
        if (this.graph !== null && !this.plot.hidden) {
            this.graph.updateOptions(this.options());
        }
    }
}
