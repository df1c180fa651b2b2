/* Asks the sidecar, and knows since when it does not answer. */

const ANSWER_LIMIT_MS = 15000;
const ACTION_LIMIT_MS = 25000; // longer than the sidecar takes to say that there is no answer

/** The sidecar has answered, but not with what was asked for. */
export class Refusal extends Error {
    constructor(code, answer) {
        super(answer.error ?? `the sidecar has answered with ${code}`);
        this.code = code;
        this.next = answer.next ?? null;
    }
}

async function ask(path, limit, options) {
    const response = await fetch(path, {
        ...options,
        cache: "no-store",
        credentials: "omit",
        signal: AbortSignal.timeout(limit),
    });
    if (!response.ok) {
        throw new Refusal(response.status, await response.json().catch(() => ({})));
    }
    return response.json(); // half an answer is none
}

export function get(path) {
    return ask(path, ANSWER_LIMIT_MS, {});
}

/** POST with a token. */
export function act(path, token, who) {
    const headers = { Authorization: `Bearer ${token}` };
    if (who !== "") {
        headers["Keepstep-Who"] = who.replace(/[^\x20-\x7e]/gu, encodeURIComponent); // a header is ASCII
    }
    return ask(path, ACTION_LIMIT_MS, { method: "POST", headers });
}

const FAILURES = 2; // one can be a connection that was just closed

let answeredAt = null;
let failures = 0;

export function noteAnswer() {
    answeredAt = performance.now();
    failures = 0;
}

export function noteSilence() {
    failures += 1;
}

/** @return seconds since the last answer, null before the first one; and whether it is out of reach now. */
export function silence() {
    return {
        seconds: answeredAt === null ? null : (performance.now() - answeredAt) / 1000,
        failed: failures >= FAILURES,
    };
}

function pause(milliseconds) {
    return new Promise((resolve) => {
        setTimeout(resolve, milliseconds);
    });
}

let seenAt = performance.now();

/** @return for how many seconds the page is seen. What was hidden has old figures, and is no silence. */
export function seenFor() {
    return document.hidden ? 0 : (performance.now() - seenAt) / 1000;
}

/** @return when the page is seen again, at once if it is seen. */
function seen() {
    return new Promise((resolve) => {
        if (!document.hidden) {
            resolve();
            return;
        }
        document.addEventListener("visibilitychange", () => resolve(seen()), { once: true });
    });
}

/**
 * Runs a task again and again while the page is seen, and at once when it is seen again. `period()` says how long to
 * wait.
 * @return a function that lets it run at once.
 */
export function repeat(task, period) {
    let hurry = () => {};
    document.addEventListener("visibilitychange", () => {
        seenAt = performance.now();
        hurry();
    });
    (async () => {
        for (;;) {
            await seen();
            const hurried = new Promise((resolve) => {
                hurry = resolve;
            });
            await task().catch(reportError);
            await Promise.race([pause(period()), hurried]);
        }
    })();
    return () => hurry();
}
