/* A headless Chromium, what must never happen in it, and what the tests ask of a page. */
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const PATIENCE = Number(process.env.TEST_PATIENCE ?? 1); // as in tests/support/test.h
const PATIENCE_MS = 60000 * PATIENCE;
const LOADS_MAX = 10;
const NETWORK_CHANGED = /net::ERR_NETWORK_CHANGED/;

const watches = new WeakMap(); // what is noted, of a page

/** Opens Chromium. `path` is that of Debian's package. */
function openChromium() {
    return chromium.launch({ executablePath: process.env.CHROMIUM ?? "chromium" });
}

/**
 * Opens a page at `address`. What must not happen is noted in `offences`: errors and warnings of the console, what
 * the page's policy forbids, requests to elsewhere. `allowed` matches texts that are no offence for now.
 */
async function openPage(browser, address, options = {}) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
    const watch = { page, offences: [], allowed: /^$/ };
    watches.set(page, watch);
    const note = (text) => {
        if (!watch.allowed.test(text) && !NETWORK_CHANGED.test(text)) {
            watch.offences.push(text);
        }
    };
    const origin = new URL(address).origin;
    page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") {
            note(`console: ${message.text()}`);
        }
    });
    page.on("pageerror", (error) => note(`error: ${error.stack}`));
    page.on("dialog", (dialog) => {
        note(`dialog: ${dialog.message()}`);
        dialog.dismiss();
    });
    page.on("request", (request) => {
        if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("data:")) {
            note(`request to ${request.url()}`);
        }
    });
    await page.addInitScript(() => {
        document.addEventListener("securitypolicyviolation", (event) => {
            console.error(`policy ${event.violatedDirective} forbids ${event.blockedURI}`);
        });
    });
    page.setDefaultTimeout(PATIENCE_MS);
    await load(page, () => page.goto(address));
    return watch;
}

/**
 * Loads the whole page. Chromium gives up what it is loading when an address of the machine comes or goes, as when
 * somebody starts containers; then the page is loaded again.
 */
async function load(page, start) {
    for (let loads = 0; loads < LOADS_MAX; loads += 1) {
        let isTorn = false;
        const note = (request) => {
            isTorn ||= NETWORK_CHANGED.test(request.failure()?.errorText ?? "");
        };
        page.on("requestfailed", note);
        await start().catch((error) => {
            isTorn = NETWORK_CHANGED.test(error.message);
            check(isTorn, error.message);
        });
        page.off("requestfailed", note);
        if (!isTorn) {
            return;
        }
    }
    fail(`the network of the machine has changed during each of ${LOADS_MAX} loads`);
}

function reload(page) {
    return load(page, () => page.reload());
}

function fail(text) {
    throw new Error(text);
}

function check(holds, text) {
    if (!holds) {
        fail(text);
    }
}

function equal(found, expected, what) {
    const texts = [found, expected].map((value) => JSON.stringify(value));
    check(texts[0] === texts[1], `${what}: ${texts[0]} and not ${texts[1]}`);
}

/** Waits until `expression`, a function that runs in the page, is true there. */
async function until(page, what, expression, argument) {
    try {
        await page.waitForFunction(expression, argument, { timeout: PATIENCE_MS, polling: 100 });
    } catch (error) {
        const text = await page.evaluate(() => document.body.innerText);
        const noted = watches.get(page)?.offences.join("\n") ?? "";
        const why = error.message.split("\n")[0];
        fail(`${what} has not come: ${why}; the page says:\n${text}\nnoted: ${noted}`);
    }
}

/** Waits until a text is in what `selector` shows. */
function untilText(page, selector, text) {
    return until(
        page,
        `"${text}" in ${selector}`,
        (wanted) =>
            Array.from(document.querySelectorAll(wanted.selector)).some((node) =>
                node.innerText.includes(wanted.text),
            ),
        { selector, text },
    );
}

/** Waits until a question has one of these verdicts. */
function untilVerdict(page, question, verdicts) {
    return until(
        page,
        `verdict ${verdicts.join(" or ")} of ${question}`,
        (wanted) => {
            const answer = document
                .getElementById(`question-${wanted.question}`)
                ?.closest(".question");
            return wanted.verdicts.includes(answer?.dataset.verdict);
        },
        { question, verdicts },
    );
}

/** Fails unless axe finds nothing serious or critical. */
async function checkAccessible(page, what) {
    await page.evaluate(axe.source);
    const found = await page.evaluate(async () => {
        const { violations } = await window.axe.run({ resultTypes: ["violations"] });
        return violations
            .filter(({ impact }) => impact === "serious" || impact === "critical")
            .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join("\n")}`);
    });
    equal(found, [], `axe on ${what}`);
}

/** Fails if the page is wider than its window. */
async function checkWidth(page, what) {
    const [width, window] = await page.evaluate(() => [
        document.documentElement.scrollWidth,
        document.documentElement.clientWidth,
    ]);
    check(width <= window, `${what} is ${width} wide in a window of ${window}`);
}

/** Runs checks one after the other. Prints a line for each, and what was wrong with the first that fails. */
async function run(checks) {
    for (const [name, body] of Object.entries(checks)) {
        const started = Date.now();
        await body();
        console.log(`checked: ${name} (${Date.now() - started} ms)`);
    }
}

module.exports = {
    PATIENCE,
    check,
    checkAccessible,
    checkWidth,
    equal,
    openChromium,
    openPage,
    reload,
    run,
    until,
    untilText,
    untilVerdict,
};
