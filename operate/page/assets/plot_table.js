/* The figures of a plot as a table, for whoever does not see the plot. */
import { element, setText, showList } from "./elements.js";
import { NOT_KNOWN, timeOfDay } from "./format.js";

const ROWS = 24;

/** @return the highest of those that are known; null where none is. */
export function highest(values) {
    return values.reduce(
        (most, value) => (value === null || (most !== null && most >= value) ? most : value),
        null,
    );
}

/** @return equal times, the newest first, up to the first one of which something is known. */
function slicesOf(length, series) {
    const step = Math.max(1, Math.ceil(length / ROWS));
    const firsts = series
        .map(({ values }) => values.findIndex((value) => value !== null))
        .filter((first) => first >= 0);
    const slices = [];
    for (let end = length; end > Math.min(...firsts); end -= step) {
        slices.push({ from: Math.max(0, end - step), end });
    }
    return { step, slices };
}

export class PlotTable {
    constructor(title, format) {
        this.format = format;
        this.caption = element("caption", { class: "note" });
        this.head = element("tr");
        this.rows = element("tbody");
        const table = element(
            "table",
            { class: "table" },
            this.caption,
            element("thead", {}, this.head),
            this.rows,
        );
        const region = {
            class: "sideways table-of-plot",
            role: "region",
            tabindex: "0",
            "aria-label": `${title}, as a table`,
        };
        this.node = element(
            "details",
            {},
            element("summary", {}, "As a table"),
            element("div", region, table),
        );
        this.node.addEventListener("toggle", () => this.show(this.times, this.series));
        this.times = [];
        this.series = [];
    }

    show(times, series) {
        this.times = times;
        this.series = series;
        if (!this.node.open) {
            return;
        }
        const { step, slices } = slicesOf(times.length, series);
        const all = step === 1 ? "" : " Each row has the highest value up to the next one.";
        setText(
            this.caption,
            slices.length === 0 ? "Nothing is known." : `The newest first.${all}`,
        );
        this.showHead();
        showList(this.rows, slices, {
            key: ({ end }) => times.length - end,
            create: () => element("tr"),
            update: (row, slice) => this.showRow(row, slice),
        });
    }

    showHead() {
        showList(this.head, ["Time", ...this.series.map(({ label }) => label)], {
            key: (label) => label,
            create: (label) =>
                element("th", { scope: "col", class: label === "Time" ? null : "number" }, label),
            update: () => {},
        });
    }

    showRow(row, { from, end }) {
        const texts = [
            timeOfDay(this.times[end - 1]),
            ...this.series.map(({ values }) => this.format(highest(values.slice(from, end)))),
        ];
        const cells = texts.map((text, index) => ({ text, index }));
        showList(row, cells, {
            key: ({ index }) => index,
            create: ({ index }) =>
                index === 0 ? element("th", { scope: "row" }) : element("td", { class: "number" }),
            update: (cell, { text }) => {
                setText(cell, text);
                cell.classList.toggle("not-known", text === NOT_KNOWN);
            },
        });
    }
}
