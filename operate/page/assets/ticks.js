/* Where the marks of a scale stand: at round numbers of its unit, and at round times. */

const LINES_MAX = 4;

/** 1, 2, 5, 10, 20 … times `least`. */
function decades(least, count) {
    return Array.from(
        { length: count },
        (_, index) => least * [1, 2, 5][index % 3] * 10 ** Math.floor(index / 3),
    );
}

const STEPS = {
    count: decades(1, 40),
    rate: decades(0.1, 40),
    duration: [
        ...decades(0.0001, 12),
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        900,
        1800,
        3600,
        7200,
        14400,
        21600,
        43200,
        86400,
        172800,
        432000,
        864000,
        1728000,
        4320000,
    ],
};

/** @return the lines from 0 to `most`; at most LINES_MAX above 0. */
export function ticks(most, unit) {
    const steps = STEPS[unit];
    const step = steps.find((one) => one * LINES_MAX >= most) ?? steps[steps.length - 1];
    return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
}

const TIME_STEPS_S = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200];

/** @return round times of the reader's zone between two, as milliseconds; about `wanted` of them. */
export function timeTicks(from, to, wanted) {
    const step = 1000 * (TIME_STEPS_S.find((one) => (to - from) / one / 1000 <= wanted) ?? 86400);
    const zone = new Date(from).getTimezoneOffset() * 60000;
    const margin = (to - from) * 0.05; // the text of a mark is as wide on both sides of it
    const first = Math.ceil((from + margin - zone) / step) * step + zone;
    const count = Math.floor((to - margin - first) / step) + 1;
    return Array.from({ length: Math.max(0, count) }, (_, index) => first + index * step);
}
