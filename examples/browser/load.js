// Loads a page in headless Chromium and prints the items of its list when its title says that it is done.
//
//   node load.js CHROMIUM URL

import { launch } from "puppeteer-core";

const [executablePath, url] = process.argv.slice(2);
// Chromium's sandbox does not run as root.
const args = process.getuid?.() === 0 ? ["--no-sandbox", "--disable-dev-shm-usage"] : ["--disable-dev-shm-usage"];
const browser = await launch({ executablePath, args });
try {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForFunction(() => document.title === "done", { timeout: 90_000 });
  const said = await page.$$eval("#said li", (items) => items.map((item) => item.textContent));
  console.log(said.join("\n"));
} finally {
  await browser.close();
}
