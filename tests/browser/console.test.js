// The console in a real browser, on a session that runs.
//
// KALMIND_URL is the address that the daemon printed, with its token in the fragment
// (http://127.0.0.1:8765/#token=...); KALMIND_CHROMIUM the browser, /usr/bin/chromium if not set;
// KALMIND_SCREENSHOT a file for a picture of the page, if wanted.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const url = process.env.KALMIND_URL;
const WITHIN_MS = 10_000;

let browser;
let page;
const complaints = [];

before(async () => {
  assert.ok(url, "set KALMIND_URL to the address that the daemon printed");
  browser = await chromium.launch({
    executablePath: process.env.KALMIND_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(WITHIN_MS);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(url);
});

after(async () => {
  if (process.env.KALMIND_SCREENSHOT) await page?.screenshot({ path: process.env.KALMIND_SCREENSHOT });
  await browser?.close();
});

const cursor = () => page.$eval("#workspace", (canvas) => ({ ...canvas.dataset }));
const state = (name) => page.waitForSelector(`#state[data-state="${name}"]`);

test("the cursor moves, ticks go on, and the page says it is connected", async () => {
  await page.waitForSelector("#workspace[data-seq]");
  const first = await cursor();
  await page.waitForFunction(
    ([x, y]) => {
      const { dataset } = document.getElementById("workspace");
      return dataset.x !== x && dataset.y !== y;
    },
    [first.x, first.y],
  );
  const later = await cursor();
  assert.ok(Number(later.seq) > Number(first.seq), `${later.seq} after ${first.seq}`);
  for (const value of [later.x, later.y]) assert.ok(value >= 0 && value <= 1, `the cursor is at ${value}`);
  assert.equal(await page.getAttribute("body", "data-link"), "live");
});

test("something is drawn: cursor blue where the cursor is", async () => {
  // the page draws on the next frame, so the picture is compared with the cursor until both agree
  await page.waitForFunction(() => {
    const canvas = document.getElementById("workspace");
    const { x, y } = canvas.dataset;
    const at = [Math.round(x * canvas.width), Math.round(canvas.height - y * canvas.width)];
    const [red, green, blue] = canvas.getContext("2d").getImageData(...at, 1, 1).data;
    return red === 0x1f && green === 0x5f && blue === 0xa8;
  });
});

test("latency and streams are shown", async () => {
  await page.waitForFunction(() => document.querySelectorAll("#stages tr").length === 5);
  await page.waitForFunction(() => Number(document.getElementById("age").textContent) > 0);
  await page.waitForSelector("#streams li[data-health]");
});

test("the token leaves the address", async () => {
  assert.equal(await page.evaluate(() => location.hash), "");
});

test("space stops, and with the token the page resumes", async () => {
  await page.keyboard.press("Space");
  await state("hold");
  assert.match(await page.textContent("#state"), /hold\s+stopped by/);
  if (!url.includes("#token=")) return;
  await page.click("#steer [data-state=control]");
  await state("control");
  await page.focus("#steer [data-state=idle]");
  await page.keyboard.press("Space");
  await state("hold");
  await page.click("#steer [data-state=control]");
  await state("control");
});

test("the page is accessible", async () => {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  // evaluated over the debugger, which the page's content policy does not hold up
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`), []);
});

test("a page without a connection says so and shows nothing as live", async () => {
  // a server that never answers the WebSocket: everything else is the real page
  const cut = await browser.newPage();
  await cut.routeWebSocket(/v1\/state/, (socket) => socket.close());
  await cut.goto(url);
  await cut.waitForSelector('body[data-link="lost"]');
  assert.match(await cut.textContent("#link"), /lost/);
  const opacity = await cut.$eval("#workspace", (canvas) => Number(getComputedStyle(canvas).opacity));
  assert.ok(opacity < 0.5, `the workspace's opacity is ${opacity}`);
  await cut.close();
});

test("a daemon that falls silent turns the page grey, and its return turns it back", async () => {
  const muted = await browser.newPage();
  let mute = false;
  await muted.routeWebSocket(/v1\/state/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => mute || socket.send(message));
  });
  await muted.goto(url);
  await muted.waitForSelector('body[data-link="live"]');
  await muted.waitForFunction(() => Number(document.getElementById("age").textContent) > 0);
  mute = true;
  await muted.waitForSelector('body[data-link="quiet"]');
  assert.equal(await muted.textContent("#age"), "–");
  mute = false;
  await muted.waitForSelector('body[data-link="live"]');
  await muted.close();
});

test("without ticks no age is shown, and a new model is named", async () => {
  const told = await browser.newPage();
  let tell;
  let ticks = true;
  await told.routeWebSocket(/v1\/state/, (socket) => {
    tell = (message) => socket.send(JSON.stringify(message));
    const server = socket.connectToServer();
    server.onMessage((message) => {
      const { type, seq } = JSON.parse(message);
      // what the page is not shown it cannot acknowledge
      if (ticks || type !== "state") socket.send(message);
      else server.send(JSON.stringify({ type: "ack", seq }));
    });
  });
  await told.goto(url);
  const age = (shown) => told.waitForFunction((shown) => (document.getElementById("age").textContent === "–") === !shown, shown);
  await age(true);
  ticks = false;
  tell({ type: "heartbeat", state: "stale", reason: "no usable signal: the cursor stands still until it returns", position: [0.5, 0.5] });
  await age(false);
  await told.waitForSelector('#state[data-state="stale"]');
  ticks = true;
  await age(true);
  const decoder = (named) => told.waitForFunction((named) => document.getElementById("session").textContent.includes(named), named);
  await decoder("decoderdkf-nw abababab");
  tell({ type: "event", kind: "model", event_seq: 99, time: 1, data: { action: "swapped", decoder: "kalman-steady", hash: "0123456789ef", covariance: "constant" } });
  await decoder("decoderkalman-steady 01234567, constant uncertainty");
  await told.close();
});

test("a decoder at chance is shown as one, and control with it takes a person's word", async () => {
  const warning = "the decoder is no better than chance (a test): calibrate again";
  const decoder = {
    name: "dkf-linear", model: "cd".repeat(32), poor: true, warnings: [warning],
    quality: {
      held_out: { of: "trials", count: 5 }, rows: 900, nrmse: 1.01, nrmse_of_mean: 1, r2: -0.02, correlation: [0.01, null],
      maae: 1.55, steps: 1000, fallback_steps: 999, chance: { result: "not_better", test: "a test", score: 0.01, p: 0.4, p_limit: 0.005 },
    },
  };
  const doubted = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const asked = [];
  // what the status says next; the question on the screen stays about the model that it named
  let { model } = decoder;
  await doubted.route("**/v1/status", async (route) => {
    const status = await (await route.fetch()).json();
    const awaiting = [{ confirm: "poor_decoder", text: warning, model }];
    await route.fulfill({ json: { ...status, decoder: { ...decoder, model }, awaiting_confirmation: awaiting } });
  });
  await doubted.route("**/v1/control", (route) => {
    // which page asks is told as well, by a name of its own
    const { console: page, ...request } = route.request().postDataJSON();
    assert.match(page, /^page-/);
    asked.push(request);
    return route.fulfill({ json: { type: "accepted", request: "control" } });
  });
  await doubted.goto(url);
  await doubted.waitForSelector("#decoder-section[data-poor]");
  const said = await doubted.textContent("#decoder-section");
  for (const part of ["no better than chance (p = 0.4000)", "1.010; predicting the mean: 1.000", "fallback steps999 of 1000", "89°; chance: 90°", "calibrate again."]) {
    assert.ok(said.includes(part), `${part} in ${said}`);
  }
  // confirmed it controls, and is not shown as if all were well
  const shown = await doubted.evaluate(() => {
    const badge = document.getElementById("state");
    badge.dataset.state = "control";
    badge.toggleAttribute("data-poor", true);
    const [style, control] = [getComputedStyle(badge).backgroundColor, getComputedStyle(document.body).getPropertyValue("--control")];
    badge.style.background = control;
    return [style, getComputedStyle(badge).backgroundColor, getComputedStyle(document.getElementById("doubt")).display];
  });
  // control has its own colour, and the doubt a mark
  assert.equal(shown[0], shown[1]);
  assert.notEqual(shown[2], "none");
  if (process.env.KALMIND_SCREENSHOT) await doubted.screenshot({ path: process.env.KALMIND_SCREENSHOT.replace(/(\.\w+)$/, "-doubt$1") });
  if (url.includes("#token=")) {
    const text = () => doubted.textContent("#question");
    const wantControl = () => doubted.click("#steer [data-state=control]");
    const answer = (word) => doubted.click(`#question [data-answer=${word}]`);
    const closed = () => doubted.waitForSelector("#question", { state: "hidden" });
    await wantControl();
    assert.match(await text(), /The decoder is no better than chance/);
    assert.ok(!(await text()).includes("confirm\"") && !(await text()).includes("poor_decoder"), await text());
    if (process.env.KALMIND_SCREENSHOT) await doubted.screenshot({ path: process.env.KALMIND_SCREENSHOT.replace(/(\.\w+)$/, "-question$1") });
    await answer("no");
    await closed();
    assert.deepEqual(asked, []);
    // space and escape stop, whatever is on the screen, and never say yes
    const stops = [];
    await doubted.route("**/v1/stop", (route) => {
      stops.push(route.request().method());
      return route.fulfill({ json: { type: "accepted", request: "stop" } });
    });
    for (const key of [" ", "Escape"]) {
      await wantControl();
      await doubted.keyboard.press(key);
      await closed();
    }
    await wantControl();
    await doubted.click("#stop");
    await closed();
    assert.deepEqual([asked, stops], [[], ["POST", "POST", "POST"]]);
    await wantControl();
    await answer("yes");
    await closed();
    assert.deepEqual(asked, [{ state: "control", confirm: ["poor_decoder"], model: decoder.model }]);
    // one that takes over while the question is on the screen closes it
    await wantControl();
    model = "ef".repeat(32);
    await closed();
    assert.match(await doubted.textContent("#notice"), /has changed/);
    assert.equal(asked.length, 1);
  }
  // a status may be on its way
  await doubted.unrouteAll({ behavior: "ignoreErrors" });
  await doubted.close();
  // as it was before it was stopped
  if (url.includes("#token=")) await page.click("#steer [data-state=control]");
  await state("control");
});

test("another site's page can neither read nor stop", async () => {
  const base = new URL(url).origin;
  const stranger = await browser.newPage();
  await stranger.route("http://stranger.example/", (route) => route.fulfill({ contentType: "text/html", body: "<p>hello" }));
  await stranger.goto("http://stranger.example/");
  const outcome = await stranger.evaluate(async (base) => {
    const read = await fetch(`${base}/v1/status`).then(() => "read", () => "refused");
    const listen = await new Promise((resolve) => {
      const socket = new WebSocket(`${base.replace("http", "ws")}/v1/state`);
      socket.onopen = () => resolve("open");
      socket.onerror = () => resolve("refused");
    });
    await fetch(`${base}/v1/stop`, { method: "POST", mode: "no-cors" }).catch(() => {});
    return { read, listen };
  }, base);
  assert.deepEqual(outcome, { read: "refused", listen: "refused" });
  await stranger.close();
  await state(url.includes("#token=") ? "control" : "hold");
});

test("models of the run are listed, and one that is on its way can be taken back", async () => {
  const [one, two] = ["a", "b"].map((digit) => digit.repeat(64));
  const list = { models: [one, two].map((model) => ({ name: "kalman", model, source: "fitted" })), active: one, before: null, wanted: null };
  const asked = [];
  const listing = await browser.newPage();
  await listing.route("**/v1/models", (route) => route.fulfill({ json: list }));
  await listing.route("**/v1/models/*/activate", (route) => {
    asked.push(route.request().url().split("/").at(-2));
    list.wanted = asked.at(-1);
    return route.fulfill({ json: { type: "accepted", request: "activate" } });
  });
  await listing.goto(url);
  const shows = (expected) =>
    listing.waitForFunction((text) => document.getElementById("models").innerText.replace(/\s+/g, " ").trim() === text, expected);
  await shows("kalman bbbbbbbb, fitted Use kalman aaaaaaaa, fitted in use");
  await listing.click(`[data-model="${two}"]`);
  await shows("kalman bbbbbbbb, fitted comes with the next bin kalman aaaaaaaa, fitted in use Keep");
  // a tick has it
  Object.assign(list, { active: two, before: one, wanted: null });
  await shows("kalman bbbbbbbb, fitted in use kalman aaaaaaaa, fitted Undo");
  assert.deepEqual(asked, [two]);
  await listing.close();
});

test("nothing was complained about", () => {
  assert.deepEqual(complaints, []);
});

test("a page that hangs is sent nothing that it would show late", async () => {
  const hanging = await browser.newPage();
  const messages = [];
  const gap = () => messages.findIndex(({ type, missed }) => type === "gap" && missed >= 50);
  const caughtUp = new Promise((resolve) => {
    hanging.on("websocket", (socket) =>
      socket.on("framereceived", ({ payload }) => {
        const message = JSON.parse(payload);
        if (message.type === "state" || message.type === "gap") messages.push(message);
        if (gap() > 0 && gap() < messages.length - 1) resolve();
      }),
    );
  });
  await hanging.goto(url);
  await hanging.waitForSelector("#workspace[data-seq]");
  await hanging.evaluate(() => {
    const end = performance.now() + 2000;
    while (performance.now() < end);
  });
  await caughtUp;
  const [before, { missed }, after] = messages.slice(gap() - 1, gap() + 2);
  assert.equal(after.seq, before.seq + missed + 1);
  assert.ok(after.sent - before.sent > 1, "no state was sent while the page hung");
  await hanging.close();
});
