/* Checks the page on a sidecar that is made up: node check_made_up.js, with CHROMIUM and DYGRAPHS set. */
const {
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
} = require("./browser.js");
const { HOSTILE, MadeUpSidecar } = require("./made_up.js");

const PHONE = { width: 360, height: 740 };
const WIDE = { width: 1280, height: 900 };
const NO_ANSWER = /Failed to load resource: net::ERR_/;
const REFUSED = /Failed to load resource: the server responded with a status of 403/;

function texts(page, selector) {
    return page.$$eval(selector, (nodes) => nodes.map((node) => node.innerText));
}

async function everythingIsShown({ page }) {
    await untilVerdict(page, "fresh", ["behind"]);
    equal(
        await texts(page, ".question .word"),
        ["behind", "ok", "stalled", "ok", "ok"],
        "verdicts",
    );
    const shapes = await page.$$eval(".question .shape-outline", (nodes) =>
        nodes.map((node) => node.getAttribute("d")),
    );
    equal(new Set(shapes).size, 3, "three verdicts have three shapes");
    await untilText(page, "#overall-word", "stalled");
    await untilText(page, "#parked-records", "CHECK constraint failed");
    await untilText(page, "#matrix-rows", "reference");
    await untilText(page, "#matrix-rows", "; paused "); // though it is different
    await until(page, "five plots", () => document.querySelectorAll(".plot canvas").length >= 5);
    equal(await page.title(), "billing stalled – Keepstep", "title");
}

async function figuresAreInATable({ page }) {
    await page.click(".chart summary");
    await until(
        page,
        "a row of the table",
        () => document.querySelectorAll(".chart tbody tr").length > 5,
    );
    const [first] = await texts(page, ".chart tbody tr:first-child");
    check(/\d+ s/.test(first), `the table of the lag begins with "${first}"`);
    await page.click(".chart summary");
}

async function anotherTimeCanBeChosen({ page }) {
    await page.click("#ranges button:nth-child(3)");
    await untilText(page, "#history-head", "24 hours");
    await until(
        page,
        "the choice",
        () =>
            document.querySelector("#ranges button:nth-child(3)").getAttribute("aria-pressed") ===
            "true",
    );
    await page.click("#ranges button:nth-child(1)");
    await untilText(page, "#history-head", "15 minutes");
}

async function payloadsAreShownAsTheyAre({ page }) {
    await page.click("#parked-records summary");
    await untilText(page, "#parked-records pre", '"id": 12345678901234567890');
    const [payload] = await texts(page, "#parked-records pre");
    check(
        payload.includes('"n": "a \\"b\\": {c}"'),
        `a text in the payload has changed: ${payload}`,
    );
    check(payload.includes('"none": []'), `an empty list has changed: ${payload}`);
}

async function openDialog(page, name) {
    await page.click(`.record [data-action=${name}]`);
    await until(page, "the dialog", () => document.getElementById("action").open);
}

async function wrongTokensAreRefused(watch, sidecar) {
    const { page } = watch;
    watch.allowed = REFUSED;
    await openDialog(page, "retry");
    await page.fill("#action-who", "Änna");
    await page.fill("#action-token", "not a token");
    await page.click("#action-go");
    await untilText(page, "#action-error", "This cannot be a token");
    await page.fill("#action-token", "wrong");
    await page.click("#action-go");
    await untilText(page, "#action-error", "this is not the token. Look into listen_token_file.");
    equal(sidecar.acted, [], "done with a wrong token");
    await page.fill("#action-token", sidecar.token);
    await page.click("#action-go");
    await untilText(page, "#parked-result", "is applied");
    const id = sidecar.acted[0].id;
    equal(sidecar.acted, [{ id, name: "retry", who: "%C3%84nna" }], "done");
    equal(await page.evaluate(() => document.activeElement.id), "parked-result", "focus");
    watch.allowed = /^$/;
}

async function skippingIsAskedFor({ page }, sidecar) {
    await openDialog(page, "skip");
    equal(await page.evaluate(() => document.activeElement.id), "action-cancel", "focus");
    await page.keyboard.press("Escape");
    await until(page, "the end of the dialog", () => !document.getElementById("action").open);
    equal(sidecar.acted.length, 1, "done after Escape");
    equal(await page.evaluate(() => document.activeElement.dataset.action), "skip", "focus");
    await openDialog(page, "skip");
    await page.click("#action-go");
    await untilText(page, "#parked-result", "is skipped");
    equal(sidecar.acted[1].name, "skip", "done");
}

async function tokensAreKeptInMemoryOnly({ page }, sidecar) {
    const kept = await page.evaluate(() =>
        JSON.stringify([
            { ...localStorage },
            { ...sessionStorage },
            document.cookie,
            location.href,
        ]),
    );
    check(!kept.includes(sidecar.token), `the token is in ${kept}`);
    const shown = await page.content();
    check(!shown.includes(sidecar.token), "the token is in the page");
    equal(await page.inputValue("#action-token"), "", "the field of the token");
}

/** Lets the sidecar say something else, and looks at once. */
async function say({ page }, sidecar, name) {
    sidecar.say(name);
    await reload(page);
}

async function nothingKnownIsNeverZero(watch, sidecar) {
    const { page } = watch;
    await say(watch, sidecar, "unknown");
    await untilVerdict(page, "fresh", ["unknown"]);
    await until(page, "plots without figures", () => {
        const charts = Array.from(document.querySelectorAll(".chart"));
        return (
            charts.length > 0 && charts.every((chart) => /Nothing is known/.test(chart.innerText))
        );
    });
    const values = await texts(page, ".figure .value");
    const lags = await texts(page, "#partition-rows td.number:nth-of-type(-n + 3)");
    equal([values.length, lags.length], [6, 2], "figures");
    for (const value of [...values, ...lags]) {
        check(value === "not known" || value === "–", `"${value}" stands for what is not known`);
    }
    await untilText(page, "#fleet-note", "Not known yet");
}

async function manyPartitionsAreBounded(watch, sidecar) {
    const { page } = watch;
    await say(watch, sidecar, "many");
    await untilText(page, "#partitions-note", "40 partitions");
    equal((await texts(page, "#partition-rows tr")).length, 10, "rows");
    check(
        (await texts(page, "#partition-rows th"))[0].endsWith("[39]"),
        "the worst is not the first",
    );
    await page.click("#partitions-more");
    equal((await texts(page, "#partition-rows tr")).length, 40, "all rows");
    await page.click("#partitions-more");
    await page.click("#ranges button:nth-child(1)");
    await untilText(page, ".chart .note", "The 5 worst of 40");
    equal((await texts(page, ".chart:first-child .legend li")).length, 5, "lines");
}

async function hostileTextsAreTexts(watch, sidecar) {
    const { page } = watch;
    await say(watch, sidecar, "hostile");
    for (const place of [
        "#service",
        ".question .reason",
        "#partition-rows",
        "#parked-records .reason",
        "#matrix-rows",
    ]) {
        await untilText(page, place, HOSTILE);
    }
    await page.click("#parked-records summary");
    await untilText(page, "#parked-records pre", HOSTILE);
    await untilText(page, "#parked-records .headers", HOSTILE);
    equal(
        await page.$$eval("img, script:not([src])", (nodes) => nodes.length),
        0,
        "elements of the texts",
    );
}

async function silenceIsTold(watch, sidecar) {
    const { page } = watch;
    await say(watch, sidecar, "usual");
    await untilVerdict(page, "fresh", ["behind"]);
    watch.allowed = NO_ANSWER;
    sidecar.isSilent = true;
    await untilText(page, "#lost", "No answer since");
    await untilText(page, "#overall-word", "does not answer");
    await until(
        page,
        "the old figures",
        () => document.querySelector(".figure .value").innerText !== "",
    );
    await checkAccessible(page, "the page without answers");
    sidecar.isSilent = false;
    await until(page, "the end of the silence", () => document.getElementById("lost").hidden);
    await untilText(page, "#overall-word", "stalled");
    watch.allowed = /^$/;
}

async function allLooksAreAccessible(watch, sidecar) {
    const { page } = watch;
    const looks = [
        ["unknown", "light"],
        ["many", "dark"],
        ["usual", "light"],
        ["usual", "dark"],
    ];
    for (const [name, colorScheme] of looks) {
        await page.emulateMedia({ colorScheme });
        await say(watch, sidecar, name);
        await untilText(page, "#fleet-note", name === "unknown" ? "Not known" : "read");
        await until(page, "charts", () => document.querySelector(".chart .legend li") !== null);
        await checkAccessible(page, `${name}, ${colorScheme}`);
        await page.setViewportSize(PHONE);
        await checkWidth(page, `${name} on a phone`);
        await page.setViewportSize(WIDE);
    }
    await page.setViewportSize(PHONE);
    await checkAccessible(page, "the page on a phone");
    await page.setViewportSize(WIDE);
    await page.emulateMedia({ colorScheme: null });
}

async function dialogIsAccessible(watch, sidecar) {
    const { page } = watch;
    await say(watch, sidecar, "usual");
    await untilText(page, "#parked-records", "CHECK constraint failed");
    await openDialog(page, "skip");
    await checkAccessible(page, "the dialog");
    await page.setViewportSize(PHONE);
    await checkWidth(page, "the dialog");
    await page.setViewportSize(WIDE);
    await page.click("#action-cancel");
}

async function themeCanBeChosen({ page }) {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.emulateMedia({ colorScheme: "light" });
    const light = await ground();
    await page.click("#theme");
    equal(await page.innerText("#theme-name"), "dark", "theme");
    const dark = await ground();
    check(light !== dark, `both themes are ${dark}`);
    await reload(page);
    await untilText(page, "#theme-name", "dark");
    equal(await ground(), dark, "ground after a reload");
    await page.click("#theme");
    equal(await ground(), light, "ground of the light theme");
    await page.click("#theme");
    await page.emulateMedia({ reducedMotion: "reduce" });
    equal(
        await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior),
        "auto",
        "motion",
    );
}

/* Everything that can be used is reached by Tab, in the order of the page, and shows that it is. */
async function keysAreEnough({ page }) {
    await reload(page);
    await untilText(page, "#parked-records", "CHECK constraint failed");
    const focus = () =>
        page.evaluate(() => {
            const node = document.activeElement;
            const { outlineStyle, outlineWidth } = getComputedStyle(node);
            const name = node.id || node.className || node.textContent.slice(0, 30);
            return {
                name: `${node.tagName} ${name}`,
                isSeen: outlineStyle !== "none" && outlineWidth !== "0px",
            };
        });
    await page.keyboard.press("Tab");
    equal((await focus()).name, "A skip", "first stop");
    const stops = [];
    for (let presses = 0; presses < 100; presses += 1) {
        await page.keyboard.press("Tab");
        const stop = await focus();
        if (stop.name.startsWith("BODY")) {
            break;
        }
        check(stop.isSeen, `the focus is not seen at ${stop.name}`);
        stops.push(stop.name);
    }
    const reached = stops.join("; ");
    for (const wanted of ["theme", "copy", "15 min", "As a table", "Payload", "sideways"]) {
        check(reached.includes(wanted), `${wanted} is not reached by Tab: ${reached}`);
    }
    await page.evaluate(() => document.querySelector(".skip").focus());
    await page.keyboard.press("Enter");
    await until(page, "the answers", () => document.activeElement.id === "answers");
}

async function commandsCanBeCopied({ page }) {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.click(".question .copy");
    await untilText(page, ".question .copy", "Copied");
    equal(
        await page.evaluate(() => navigator.clipboard.readText()),
        "keepstep lag -c billing.yaml",
        "copied",
    );
}

async function main() {
    const browser = await openChromium();
    const sidecar = new MadeUpSidecar();
    try {
        const watch = await openPage(browser, await sidecar.open());
        const checks = [
            everythingIsShown,
            figuresAreInATable,
            anotherTimeCanBeChosen,
            payloadsAreShownAsTheyAre,
            commandsCanBeCopied,
            wrongTokensAreRefused,
            skippingIsAskedFor,
            tokensAreKeptInMemoryOnly,
            nothingKnownIsNeverZero,
            manyPartitionsAreBounded,
            hostileTextsAreTexts,
            silenceIsTold,
            allLooksAreAccessible,
            dialogIsAccessible,
            themeCanBeChosen,
            keysAreEnough,
        ];
        await run(Object.fromEntries(checks.map((one) => [one.name, () => one(watch, sidecar)])));
        equal(watch.offences, [], "what must not happen");
    } finally {
        await browser.close();
        sidecar.close();
    }
}

main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
});
