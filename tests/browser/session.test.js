// The page of a recorded session in a real browser: it asks nobody for anything, is accessible in light and dark, and fits
// a narrow window.
//
// KALMIND_SESSION is the page's file; KALMIND_CHROMIUM the browser, /usr/bin/chromium if not set.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const file = process.env.KALMIND_SESSION;
let browser;

before(async () => {
  assert.ok(file, "set KALMIND_SESSION to the file that `kalmind recording report` wrote");
  browser = await chromium.launch({
    executablePath: process.env.KALMIND_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
});

after(() => browser?.close());

async function opened(options) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("request", (request) => request.url().startsWith("file:") || complaints.push(request.url()));
  await page.goto(pathToFileURL(file).href);
  return { page, complaints };
}

test("the session's page asks nobody for anything and draws what it says", async () => {
  const { page, complaints } = await opened({});
  for (const section of ["course", "task", "signals", "latency"]) {
    const drawn = await page.$$eval(`#${section} figure svg`, (charts) =>
      charts.map((chart) => chart.getBoundingClientRect().width * chart.querySelectorAll("path").length));
    assert.ok(drawn.length > 0 && drawn.every((size) => size > 0), `${section}: ${drawn}`);
  }
  const blocks = await page.$$eval("#task tbody th", (heads) => heads.map((head) => head.textContent));
  assert.ok(blocks.includes("open_loop") && blocks.includes("closed_loop"), `${blocks}`);
  assert.deepEqual(complaints, []);
  await page.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`nothing in the session's page stands in the way of a screen reader or weak eyes (${colorScheme})`, async () => {
    const { page } = await opened({ colorScheme, bypassCSP: true });
    const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const said = violations.map((found) => `${found.id}: ${found.nodes.map((node) => node.target).slice(0, 3).join("; ")}`);
    assert.deepEqual(said, []);
    await page.close();
  });
}

test("the session's page fits a narrow window", async () => {
  const { page } = await opened({ viewport: { width: 390, height: 800 } });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `${wide} px`);
  await page.close();
});
