// A page that Kalmind wrote to a file, opened in a real browser; what it complains of and asks for is kept.
//
// KALMIND_CHROMIUM is the browser, /usr/bin/chromium if not set.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

export function launched() {
  return chromium.launch({
    executablePath: process.env.KALMIND_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
}

export async function opened(browser, file, options) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("request", (request) => request.url().startsWith("file:") || complaints.push(request.url()));
  await page.goto(pathToFileURL(file).href);
  return { page, complaints };
}

// Nothing stands in the way of a screen reader or weak eyes.
export async function assertAccessible(page) {
  await page.$$eval("details", (all) => all.forEach((details) => { details.open = true; }));
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const said = violations.map((found) => `${found.id}: ${found.nodes.map((node) => node.target).slice(0, 3).join("; ")}`);
  assert.deepEqual(said, []);
}

// Charts and tables scroll, the page does not.
export async function assertFits(page) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${content} of ${window}`);
}
