// The page of `kalmind evaluate --report` in a real browser: it loads without asking anybody for anything, is accessible
// in light and dark, and fits a narrow window.
//
// KALMIND_REPORT is the page's file; KALMIND_CHROMIUM the browser, /usr/bin/chromium if not set.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const file = process.env.KALMIND_REPORT;
let browser;

before(async () => {
  assert.ok(file, "set KALMIND_REPORT to the file that `kalmind evaluate --report` wrote");
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

test("the page asks nobody for anything and holds each decoder in its tables and charts", async () => {
  const { page, complaints } = await opened({});
  const decoders = await page.$$eval("#accuracy table:first-of-type tbody th", (heads) =>
    [...new Set(heads.map((head) => head.textContent))]);
  assert.ok(decoders.length >= 2, `${decoders}`);
  const courses = await page.$$eval("#courses h3", (heads) => heads.map((head) => head.textContent));
  for (const decoder of decoders) assert.ok(courses.includes(decoder), `${decoder} has no course`);
  for (const section of ["courses", "errors", "calibration", "robustness"]) {
    const drawn = await page.$$eval(`#${section} figure svg`, (charts) =>
      charts.map((chart) => chart.getBoundingClientRect().width * chart.querySelectorAll("path, circle").length));
    assert.ok(drawn.length > 0 && drawn.every((size) => size > 0), `${section}: ${drawn}`);
  }
  assert.deepEqual(complaints, []);
  await page.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`nothing stands in the way of a screen reader or weak eyes (${colorScheme})`, async () => {
    const { page } = await opened({ colorScheme, bypassCSP: true });
    await page.$$eval("details", (all) => all.forEach((details) => { details.open = true; }));
    const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const said = violations.map((found) => `${found.id}: ${found.nodes.map((node) => node.target).slice(0, 3).join("; ")}`);
    assert.deepEqual(said, []);
    await page.close();
  });
}

test("a narrow window scrolls charts and tables, not the page", async () => {
  const { page } = await opened({ viewport: { width: 400, height: 800 } });
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${content} of ${window}`);
  await page.close();
});
