/* The shapes of the verdicts. Each verdict has a shape of its own, so that no colour is needed to tell it. */
import { drawing } from "./elements.js";

export const VERDICTS = ["ok", "unknown", "behind", "stalled", "stopped"]; // the worst one last

const OUTLINES = {
    ok: ["M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20z", "M7.2 12.4l3.2 3.2 6.4-7"],
    behind: ["M12 2.6L22.6 21H1.4z", "M12 9.2v5.4M12 17.6v.2"],
    stalled: ["M3 3h18v18H3z", "M9.2 8v8M14.8 8v8"],
    stopped: [
        "M7.9 2h8.2L22 7.9v8.2L16.1 22H7.9L2 16.1V7.9z",
        "M8.4 8.4l7.2 7.2M15.6 8.4l-7.2 7.2",
    ],
    unknown: [
        "M12 2.8a9.2 9.2 0 1 0 0 18.4 9.2 9.2 0 0 0 0-18.4z",
        "M9.4 9.4a2.7 2.7 0 1 1 3.9 2.6c-.9.5-1.3 1-1.3 2M12 17.4v.2",
    ],
};

export function isVerdict(word) {
    return word in OUTLINES;
}

/** A verdict's shape. The word must stand beside it: readers of the screen are told nothing. */
export function shape(verdict) {
    const [outline, mark] = OUTLINES[verdict];
    return drawing(
        "svg",
        { viewBox: "0 0 24 24", "aria-hidden": "true", class: `shape-drawing ${verdict}` },
        drawing("path", { d: outline, class: "shape-outline" }),
        drawing("path", { d: mark, class: "shape-mark" }),
    );
}

/** Replaces the shape in `node` where the verdict has changed. */
export function showShape(node, verdict) {
    if (node.dataset.verdict !== verdict) {
        node.dataset.verdict = verdict;
        node.replaceChildren(shape(verdict));
    }
}

const ICON_COLOURS = {
    ok: "#1f7a4d",
    behind: "#b07a10",
    stalled: "#b4501a",
    stopped: "#b3261e",
    unknown: "#66707a",
};

/** The shape as an address, for the tab of the browser. */
export function iconAddress(verdict) {
    const [outline, mark] = OUTLINES[verdict];
    const text =
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path d="${outline}" ` +
        `fill="${ICON_COLOURS[verdict]}"/><path d="${mark}" fill="none" stroke="#fff" stroke-width="2.4" ` +
        `stroke-linecap="round"/></svg>`;
    return `data:image/svg+xml,${encodeURIComponent(text)}`;
}
