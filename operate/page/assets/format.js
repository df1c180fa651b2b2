/* Writes numbers, durations and times for people. What is not known is said, never written as 0. */

export const NOT_KNOWN = "not known";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

function known(value) {
    return value !== null && value !== undefined;
}

export function count(value) {
    return known(value) ? whole.format(value) : NOT_KNOWN;
}

export function plural(value, word) {
    return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

/** Compares names; the number 10 comes after 9. */
export function byName(left, right) {
    return left.localeCompare(right, "en", { numeric: true });
}

/** A service with the name of this instance, where it has another one than all have by default. */
export function nameOf({ service, instance }) {
    return instance === "" || instance === "1" ? service : `${service} (${instance})`;
}

export function rate(value) {
    if (!known(value)) {
        return NOT_KNOWN;
    }
    return `${(value < 10 ? tenths : whole).format(value)}/s`;
}

function twoUnits(value, large, largeWord, small, smallWord) {
    const first = Math.floor(value / large);
    const second = Math.floor((value % large) / small);
    return second === 0 ? `${first} ${largeWord}` : `${first} ${largeWord} ${second} ${smallWord}`;
}

export function duration(seconds) {
    if (!known(seconds)) {
        return NOT_KNOWN;
    }
    if (seconds === 0) {
        return "0 s";
    }
    if (seconds < 0.01) {
        return `${tenths.format(seconds * 1000)} ms`;
    }
    if (seconds < 1) {
        return `${whole.format(seconds * 1000)} ms`;
    }
    if (seconds < 10) {
        return `${tenths.format(seconds)} s`;
    }
    if (seconds < 120) {
        return `${whole.format(seconds)} s`;
    }
    if (seconds < 7200) {
        return `${Math.floor(seconds / 60)} min`;
    }
    if (seconds < 172800) {
        return twoUnits(seconds, 3600, "h", 60, "min");
    }
    return twoUnits(seconds, 86400, "days", 3600, "h");
}

let serverAhead = null; // the server's clock less performance.now(), in milliseconds

/** The server's clock counts: the one of the browser may be wrong. */
export function noteServerTime(text) {
    serverAhead = Date.parse(text) - performance.now();
}

/** @return seconds since then; null where that is not known. */
export function age(text) {
    if (!known(text) || serverAhead === null) {
        return null;
    }
    return Math.max(0, (performance.now() + serverAhead - Date.parse(text)) / 1000);
}

const FRESH_S = 5; // as the sidecar judges: below that, a lag comes and goes

/** @return whether a lag is none that somebody would call one. */
export function isFresh(lagSeconds) {
    return lagSeconds !== null && lagSeconds <= FRESH_S;
}

/** "12 min ago" */
export function ago(text) {
    const seconds = age(text);
    return seconds === null ? NOT_KNOWN : `${duration(Math.floor(seconds))} ago`;
}

/** Time of day in the browser's zone. */
export function timeOfDay(date, withSeconds = true) {
    const parts = { hour: "2-digit", minute: "2-digit", hour12: false };
    return date.toLocaleTimeString("en-GB", withSeconds ? { ...parts, second: "2-digit" } : parts);
}
