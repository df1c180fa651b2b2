/* Where the lines of a scale stand: at round numbers of its unit. */

const LINES_MAX = 4;

/** 1, 2, 5, 10, 20 … times `least`. */
function decades(least, count) {
    return Array.from({ length: count }, (_, index) => least * [1, 2, 5][index % 3] * 10 ** Math.floor(index / 3));
}

const STEPS = {
    count: decades(1, 40),
    rate: decades(0.1, 40),
    duration: [...decades(0.0001, 12), 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600,
        43200, 86400, 172800, 432000, 864000, 1728000, 4320000],
};

/** @return the lines from 0 to `most`; at most LINES_MAX above 0. */
export function ticks(most, unit) {
    const steps = STEPS[unit];
    const step = steps.find((one) => one * LINES_MAX >= most) ?? steps[steps.length - 1];
    return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
}
