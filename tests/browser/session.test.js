// The page of a recorded session in a real browser: it asks nobody for anything, is accessible in light and dark, and fits
// a narrow window.
//
// KALMIND_SESSION is the page's file.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertAccessible, assertFits, launched, opened } from "./page.js";

const file = process.env.KALMIND_SESSION;
let browser;

before(async () => {
  assert.ok(file, "set KALMIND_SESSION to the file that `kalmind recording report` wrote");
  browser = await launched();
});

after(() => browser?.close());

test("the session's page asks nobody for anything and draws what it says", async () => {
  const { page, complaints } = await opened(browser, file);
  for (const section of ["overview", "task", "signals", "latency"]) {
    const drawn = await page.$$eval(`#${section} figure svg`, (charts) =>
      charts.map((chart) => chart.getBoundingClientRect().width * chart.querySelectorAll("path").length));
    assert.ok(drawn.length > 0 && drawn.every((size) => size > 0), `${section}: ${drawn}`);
  }
  const blocks = await page.$$eval("#task tbody th", (heads) => heads.map((head) => head.textContent));
  assert.ok(blocks.includes("open loop") && blocks.includes("closed loop"), `${blocks}`);
  assert.deepEqual(complaints, []);
  await page.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`nothing in the session's page stands in the way of a screen reader or weak eyes (${colorScheme})`, async () => {
    const { page } = await opened(browser, file, { colorScheme, bypassCSP: true });
    await assertAccessible(page);
    await page.close();
  });
}

test("the session's page fits a narrow window", async () => {
  const { page } = await opened(browser, file, { viewport: { width: 400, height: 800 } });
  await assertFits(page);
  await page.close();
});
