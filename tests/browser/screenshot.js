/* Takes the picture of docs/: node screenshot.js ADDRESS FILE, on a sidecar that has run for 15 minutes. */
const { openChromium, openPage, until } = require("./browser.js");

const WINDOW = { width: 1240, height: 1262 }; // down to the last plot

async function main() {
    const [, , address, file] = process.argv;
    const browser = await openChromium();
    try {
        const { page } = await openPage(browser, address, {
            viewport: WINDOW,
            colorScheme: "light",
        });
        await until(page, "plots", () => document.querySelectorAll(".plot canvas").length > 0);
        await page.screenshot({ path: file });
    } finally {
        await browser.close();
    }
}

main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
});
