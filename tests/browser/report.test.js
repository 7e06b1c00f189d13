// The page of `kalmind evaluate --report` in a real browser: it loads without asking anybody for anything, is accessible
// in light and dark, and fits a narrow window.
//
// KALMIND_REPORT is the page's file.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertAccessible, assertFits, launched, opened } from "./page.js";

const file = process.env.KALMIND_REPORT;
let browser;

before(async () => {
  assert.ok(file, "set KALMIND_REPORT to the file that `kalmind evaluate --report` wrote");
  browser = await launched();
});

after(() => browser?.close());

test("the page asks nobody for anything and holds each decoder in its tables and charts", async () => {
  const { page, complaints } = await opened(browser, file);
  const decoders = await page.$eval("#accuracy table", (table) =>
    [...new Set([...table.querySelectorAll("tbody th")].map((head) => head.textContent))]);
  assert.ok(decoders.length >= 2, `${decoders}`);
  const traces = await page.$$eval("#traces h3", (heads) => heads.map((head) => head.textContent));
  for (const decoder of decoders) assert.ok(traces.includes(decoder), `${decoder} has no trace`);
  for (const section of ["traces", "errors", "calibration", "robustness"]) {
    const drawn = await page.$$eval(`#${section} figure svg`, (charts) =>
      charts.map((chart) => chart.getBoundingClientRect().width * chart.querySelectorAll("path, circle").length));
    assert.ok(drawn.length > 0 && drawn.every((size) => size > 0), `${section}: ${drawn}`);
  }
  assert.deepEqual(complaints, []);
  await page.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`nothing stands in the way of a screen reader or weak eyes (${colorScheme})`, async () => {
    const { page } = await opened(browser, file, { colorScheme, bypassCSP: true });
    await assertAccessible(page);
    await page.close();
  });
}

test("a narrow window scrolls charts and tables, not the page", async () => {
  const { page } = await opened(browser, file, { viewport: { width: 400, height: 800 } });
  await assertFits(page);
  await page.close();
});
