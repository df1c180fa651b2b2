/*
 * Checks the page on a real sidecar: node check_run.js ADDRESS TOKEN FOLDER. What it wants to happen it prints as
 * "want: NAME"; it goes on when the file FOLDER/NAME is there.
 */
const fs = require("node:fs");
const path = require("node:path");
const {
    check,
    checkAccessible,
    checkWidth,
    equal,
    openChromium,
    openPage,
    PATIENCE,
    run,
    until,
    untilText,
    untilVerdict,
} = require("./browser.js");

const [, , address, token, folder] = process.argv;
const NO_ANSWER = /Failed to load resource: net::ERR_/;
const REFUSED = /Failed to load resource: the server responded with a status of 403/;
const NOT_NOW = /Failed to load resource: the server responded with a status of 503/;
const HOSTILE = "<img src=x onerror=";
const WISH_MS = 60000 * PATIENCE;

function sleep(milliseconds) {
    return new Promise((resolve) => {
        setTimeout(resolve, milliseconds);
    });
}

async function want(name) {
    console.log(`want: ${name}`);
    const end = Date.now() + WISH_MS;
    while (!fs.existsSync(path.join(folder, name))) {
        check(Date.now() < end, `nobody did ${name}`);
        await sleep(50);
    }
}

function appliedOf(page) {
    return page.$eval("#partition-rows tr td:nth-of-type(5)", (cell) => cell.innerText);
}

async function liveDataIsShown({ page }) {
    await untilVerdict(page, "fresh", ["ok"]);
    await untilText(page, "#service", "billing");
    await untilText(page, "#partition-rows", "caught up");
    const before = await appliedOf(page);
    await want("rows");
    await until(
        page,
        "other offsets",
        (old) => document.querySelector("#partition-rows td:nth-of-type(5)").innerText !== old,
        before,
    );
    await untilText(page, ".figure .note", "99 of 100 within");
    await until(page, "a plot", () => document.querySelector(".plot canvas") !== null);
}

async function parkedRecordsAreShown({ page }) {
    await want("parked");
    await untilVerdict(page, "dropped", ["stopped"]);
    await until(page, "two records", () => document.querySelectorAll(".record").length === 2);
    await untilText(page, "#parked-badge", "2");
    const last = page.locator(".record", { hasText: '{"id":8}' });
    await last.locator("summary").click();
    await untilText(page, "#parked-records pre", HOSTILE);
    equal(await page.locator("img").count(), 0, "elements of the payload");
}

async function act(page, key, name, secret) {
    await page.locator(".record", { hasText: key }).locator(`[data-action=${name}]`).click();
    await until(page, "the dialog", () => document.getElementById("action").open);
    if (secret !== null) {
        await page.fill("#action-who", "night shift");
        await page.fill("#action-token", secret);
    }
    await page.click("#action-go");
}

async function wrongTokensAreRefused(watch) {
    const { page } = watch;
    watch.allowed = REFUSED;
    await act(page, '{"id":7}', "retry", "guessed");
    await until(
        page,
        "the refusal",
        () => document.getElementById("action-error").innerText !== "",
    );
    await page.click("#action-cancel");
    watch.allowed = /^$/;
}

async function retriesAndSkipsAreDone({ page }) {
    await want("mended");
    await act(page, '{"id":7}', "retry", token);
    await untilText(page, "#parked-result", "is applied");
    await want("arrived");
    await act(page, '{"id":8}', "skip", null);
    await untilText(page, "#parked-result", "is skipped");
    await untilVerdict(page, "dropped", ["ok"]);
}

async function fleetIsShown({ page }) {
    for (const service of ["archive", "billing", "shop"]) {
        await untilText(page, "#service-rows", service);
        await untilText(page, "#matrix-head", service);
    }
    await untilText(page, "#matrix-rows", "item");
    equal(await page.locator("#matrix-rows tr").count(), 1, "entity types");
    await checkAccessible(page, "a real run, light");
    await page.emulateMedia({ colorScheme: "dark" });
    await checkAccessible(page, "a real run, dark");
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 360, height: 740 });
    await checkWidth(page, "a real run on a phone");
    await page.setViewportSize({ width: 1280, height: 900 });
}

async function outagesAreTold(watch) {
    const { page } = watch;
    await want("broker-away");
    await untilVerdict(page, "fresh", ["stalled", "unknown"]);
    await want("broker-back");
    await untilVerdict(page, "fresh", ["ok"]);
    watch.allowed = NOT_NOW;
    await want("database-away");
    await untilVerdict(page, "fresh", ["stalled"]);
    await want("database-back");
    await untilVerdict(page, "fresh", ["ok"]);
    await untilText(page, "#parked-records", "skipped");
}

async function aSidecarThatIsGoneIsTold(watch) {
    const { page } = watch;
    watch.allowed = new RegExp(`${NO_ANSWER.source}|${NOT_NOW.source}`); // it says that it stops or starts
    await want("sidecar-away");
    await untilText(page, "#lost", "No answer since");
    await want("sidecar-back");
    await until(page, "answers", () => document.getElementById("lost").hidden);
    await untilVerdict(page, "fresh", ["ok"]);
}

async function main() {
    const browser = await openChromium();
    try {
        const watch = await openPage(browser, address);
        const checks = [
            liveDataIsShown,
            parkedRecordsAreShown,
            wrongTokensAreRefused,
            retriesAndSkipsAreDone,
            fleetIsShown,
            outagesAreTold,
            aSidecarThatIsGoneIsTold,
        ];
        await run(Object.fromEntries(checks.map((one) => [one.name, () => one(watch)])));
        equal(watch.offences, [], "what must not happen");
    } finally {
        await browser.close();
    }
}

main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
});
