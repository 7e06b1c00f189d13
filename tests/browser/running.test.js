// A session run from the page in a real browser, by keyboard, and what the participant and a second console see of it.
//
// KALMIND_FAKE_SESSION is the program `fake_session` (of tests/tools); KALMIND_SCREENSHOT a file for pictures, if wanted.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, afterEach, before, test } from "node:test";
import { assertAccessible, launched } from "./page.js";

const WITHIN_MS = 15_000;
let browser;
const complaints = [];
const daemons = [];
const contexts = [];

before(async () => {
  browser = await launched();
});

afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
  for (const daemon of daemons.splice(0)) daemon.kill();
});

after(() => browser?.close());

// A made-up daemon: the address of its page, with the token.
async function daemon() {
  const child = spawn(process.env.KALMIND_FAKE_SESSION, ["0"], { stdio: ["ignore", "pipe", "inherit"] });
  daemons.push(child);
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error("the session did not say where its page is");
}

// A page in a browser of its own.
async function opened(url) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, bypassCSP: true });
  contexts.push(context);
  const page = await context.newPage();
  page.setDefaultTimeout(WITHIN_MS);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(url);
  return page;
}

const picture = async (page, name) => {
  if (process.env.KALMIND_SCREENSHOT) await page.screenshot({ path: process.env.KALMIND_SCREENSHOT.replace(/(\.\w+)$/, `-${name}$1`) });
};
const doing = (page, state) => page.waitForSelector(`body[data-session="${state}"]`);
const output = (page, state) => page.waitForSelector(`#state[data-state="${state}"]`);
const says = (page, id, words) => page.waitForFunction(([id, words]) => document.getElementById(id)?.innerText.includes(words), [id, words]);
const action = (name) => `#run [data-action="${name}"]`;
async function press(page, selector) {
  await page.focus(selector);
  await page.keyboard.press("Enter");
}
const operators = async (url) => {
  const page = await opened(url);
  await doing(page, "closed");
  await page.waitForSelector("#steer:not([hidden])");
  return page;
};
async function prepared(page, preset = "quick-start") {
  await page.fill("#participant", "P7");
  await page.fill("#operator", "AB");
  await page.selectOption("#preset", preset);
  await press(page, action("open"));
  await doing(page, "ready");
}
// Goes on to the second block, which runs then.
async function second(page) {
  await doing(page, "running");
  await press(page, action("skip"));
  await doing(page, "resting");
  await press(page, action("start"));
  await says(page, "block-title", "Block 2 of 4");
  await doing(page, "running");
}
const fits = async (page) => {
  const [height, width] = await page.evaluate(() => [document.documentElement.scrollHeight, document.documentElement.scrollWidth]);
  assert.ok(height <= 800 && width <= 1280, `${width} x ${height}`);
};
async function well(page, name) {
  await fits(page);
  await picture(page, name);
  const open = await page.$$eval("details", (all) => all.map((details) => details.open));
  await assertAccessible(page);
  await page.$$eval("details", (all, open) => all.forEach((details, place) => { details.open = open[place]; }), open);
}

test("a session is run from the keyboard, and every state fits the window and is accessible", async () => {
  const page = await operators(await daemon());
  await well(page, "closed");
  // by tabbing alone: code, preset, button
  await page.focus("#participant");
  await page.keyboard.type("P7");
  await page.keyboard.press("Tab");
  await page.keyboard.type("AB");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await doing(page, "ready");
  await says(page, "charge", "In charge: AB, on this page");
  await well(page, "ready");
  await press(page, action("start"));
  await doing(page, "running");
  await says(page, "block-title", "Block 1 of 4");
  await press(page, action("skip"));
  await doing(page, "resting");
  await well(page, "resting");
  await press(page, action("start"));
  await says(page, "block-title", "Block 2 of 4");
  await page.waitForSelector("#figures dd");
  await well(page, "running");
  await press(page, action("skip"));
  await doing(page, "resting");
  await says(page, "blocks", "not finished");
  await press(page, action("start"));
  await doing(page, "running");
  await says(page, "figures", "helped up to 60 %");
  await press(page, action("pause"));
  await doing(page, "paused");
  assert.equal(await page.textContent(action("start")), "Continue");
  await well(page, "paused");
  await press(page, action("start"));
  await doing(page, "running");
  await press(page, action("end"));
  await page.waitForSelector("#sure:not([hidden])");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#sure", { state: "hidden" });
  await doing(page, "running");
  await press(page, action("end"));
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await doing(page, "done");
  await well(page, "done");
});

test("on a narrow page the state and STOP stay in sight however far it is scrolled", async () => {
  const page = await operators(await daemon());
  await page.setViewportSize({ width: 1024, height: 768 });
  await prepared(page);
  await press(page, action("start"));
  await second(page);
  await page.waitForSelector("#figures dd");
  const boxes = () => page.evaluate(() => ["state", "stop", "run"].map((id) => document.getElementById(id).getBoundingClientRect().toJSON()));
  const [state, , run] = await boxes();
  assert.ok(run.top >= state.bottom, "nothing lies under the state");
  await picture(page, "narrow");
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  assert.ok(await page.evaluate(() => scrollY) > 100, "it is longer than its window");
  for (const { top, bottom, height } of (await boxes()).slice(0, 2)) assert.ok(height > 0 && top >= 0 && bottom <= 768, `${top} to ${bottom}`);
  await picture(page, "narrow-scrolled");
});

test("what may not be asked for can be reached, does nothing, and says why", async () => {
  const page = await operators(await daemon());
  await page.focus(action("pause"));
  assert.equal(await page.getAttribute(action("pause"), "aria-disabled"), "true");
  await says(page, "why", "Pause: no block runs");
  const described = await page.getAttribute(action("pause"), "aria-describedby");
  assert.equal(await page.textContent(`#${described}`), "No block runs.");
  const asked = [];
  page.on("request", (request) => request.url().endsWith("/v1/session") && asked.push(request.postData()));
  await page.keyboard.press("Enter");
  await press(page, action("start"));
  await says(page, "why", "choose what to do first");
  assert.deepEqual(asked, []);
});

test("a stop says how to go on, and Continue goes on", async () => {
  const page = await operators(await daemon());
  await prepared(page);
  await press(page, action("start"));
  await doing(page, "running");
  await page.focus(action("end"));
  await page.keyboard.press("Space");
  await output(page, "hold");
  await doing(page, "paused");
  await says(page, "go-on", "press Continue, in the session");
  await says(page, "run-message", "STOP was pressed");
  await well(page, "stopped");
  await press(page, action("start"));
  await output(page, "control");
  await doing(page, "running");
  // a space in a note is one; escape stops there too
  await page.focus("#note");
  await page.keyboard.type("looks well");
  assert.equal(await page.inputValue("#note"), "looks well");
  assert.equal(await page.getAttribute("#state", "data-state"), "control");
  await page.keyboard.press("Enter");
  await says(page, "notes", "1 note so far");
  await page.focus("#note");
  await page.keyboard.press("Escape");
  await output(page, "hold");
});

test("a stop in the middle of a block that goes on waiting is gone on from by Resume", async () => {
  const page = await operators(await daemon());
  await prepared(page);
  const status = await page.evaluate(async () => (await fetch("/v1/session")).json());
  const actions = [["start", "a block runs already"], ["pause", null]].map(([action, why]) => ({ action, allowed: why === null, why }));
  const shown = { ...status, type: "session", state: "running", message: "stopped: press Resume", actions };
  const hold = { type: "heartbeat", state: "hold", reason: "stopped by the operator", position: [0.5, 0.5] };
  let tell;
  await page.routeWebSocket(/v1\/state/, (socket) => {
    tell = (message) => socket.send(JSON.stringify(message));
    const server = socket.connectToServer();
    server.onMessage((message) => ["hello", "accepted"].includes(JSON.parse(message).type) && socket.send(message));
  });
  const asked = [];
  await page.route("**/v1/session", (route) => {
    asked.push(route.request().postDataJSON().request.action);
    return route.fulfill({ json: shown });
  });
  await page.reload();
  await page.waitForSelector("#steer:not([hidden])");
  tell(hold);
  tell(shown);
  await says(page, "run-message", "Stopped: press Resume.");
  tell(hold);
  await says(page, "go-on", "press Resume, in the session");
  await press(page, action("start"));
  await page.waitForFunction(() => document.querySelector("#run [data-action=start]").textContent === "Resume");
  while (asked.length < 2) await page.waitForTimeout(20);
  assert.deepEqual(asked, ["pause", "start"]);
});

test("every figure of a simulated participant says so, and the help beside it", async () => {
  const page = await operators(await daemon());
  await prepared(page);
  await press(page, action("start"));
  await second(page);
  await page.waitForSelector("#figures dd");
  for (const figure of await page.$$eval("#figures dd", (all) => all.map((each) => each.innerText))) {
    assert.match(figure, /simulated/);
    assert.match(figure, /without help|helped up to/);
  }
  for (const place of ["header", ".frame", "#verdict"]) assert.match(await page.innerText(place), /simulated/, place);
});

test("an override takes a code and a second word, and is shown", async () => {
  const page = await operators(await daemon());
  await prepared(page);
  await page.focus(action("override"));
  await says(page, "why", "there is no decoder yet");
  await press(page, action("start"));
  await second(page);
  await says(page, "verdict", "Not yet.");
  await press(page, action("override"));
  await page.waitForSelector("#sure-code:not([hidden])");
  await page.keyboard.press("Enter");
  await says(page, "sure", "Without your code");
  await page.keyboard.type("CD");
  await picture(page, "override");
  await page.keyboard.press("Enter");
  await says(page, "verdict-control", "CD answers for it");
});

test("sliders are asked for once they rest, by the keys", async () => {
  const page = await operators(await daemon());
  await prepared(page);
  const asked = [];
  page.on("request", (request) => request.url().endsWith("/v1/session") && asked.push(request.postDataJSON().request));
  await page.focus("#help");
  for (let step = 0; step < 4; step++) await page.keyboard.press("ArrowLeft");
  await page.waitForFunction(() => document.getElementById("help").getAttribute("aria-valuetext") === "80 %");
  await page.waitForResponse((answer) => answer.url().endsWith("/v1/session"));
  assert.equal(asked.at(-1).action, "options");
  assert.ok(Math.abs(asked.at(-1).assistance - 0.8) < 1e-9 && asked.length <= 4, JSON.stringify(asked));
});

test("a second console sees who is in charge, may not steer, and can take over", async () => {
  const url = await daemon();
  const first = await operators(url);
  await prepared(first, "rapid-calibration");
  await press(first, action("start"));
  const other = await opened(url);
  await says(other, "charge", "AB is in charge, on another page");
  await other.focus(action("pause"));
  await says(other, "why", "AB is in charge: take over first");
  await well(other, "second");
  await press(other, action("take_over"));
  await other.keyboard.type("CD");
  await other.keyboard.press("Enter");
  await says(other, "charge", "In charge: CD, on this page");
  await says(first, "charge", "on another page");
  await press(other, action("pause"));
  await doing(first, "paused");
});

test("a page loaded anew is the same console", async () => {
  const page = await operators(await daemon());
  await prepared(page);
  await page.reload();
  await says(page, "charge", "In charge: AB, on this page");
});

test("losing the page in charge stops the output, and says so", async () => {
  const url = await daemon();
  const page = await operators(url);
  await prepared(page, "rapid-calibration");
  await press(page, action("start"));
  await doing(page, "running");
  const watching = await opened(url);
  await output(watching, "control");
  await page.close();
  await output(watching, "hold");
  await says(watching, "state", "the loss of the operator's page");
  // who may let it go on, and how to become that
  await says(watching, "run-message", "Stopped; AB is in charge");
  await says(watching, "go-on", "press Take over and give your code");
  await press(watching, "#steer [data-state=control]");
  await says(watching, "notice", "AB is in charge");
  await output(watching, "hold");
});

test("the participant sees target, cursor and what to do, and nothing else", async () => {
  const url = await daemon();
  const page = await operators(url);
  const view = await opened(`${new URL(url).origin}/participant`);
  await says(view, "notice", "Please wait");
  await prepared(page);
  await says(view, "notice", "We will start soon");
  await press(page, action("start"));
  await says(view, "instruction", "Sit still and look ahead");
  await picture(view, "participant-running");
  await assertAccessible(view);
  await press(page, action("pause"));
  await says(view, "notice", "Paused");
  await picture(view, "participant-paused");
  await assertAccessible(view);
  await press(page, action("start"));
  await doing(page, "running");
  await press(page, action("skip"));
  await says(view, "notice", "A short pause");
  await press(page, action("end"));
  await press(page, "#sure [data-sure=yes]");
  await says(view, "notice", "That was all");
});

test("every text of the participant's view stands out seven to one", async () => {
  const view = await opened(`${new URL(await daemon()).origin}/participant`);
  await says(view, "notice", "Please wait");
  await view.evaluate(() => document.querySelectorAll("[hidden]").forEach((element) => element.removeAttribute("hidden")));
  const ratios = await view.evaluate(() => {
    const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
    const luminance = ([red, green, blue]) => [red, green, blue].map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)).reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
    const ground = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = channels(getComputedStyle(at).backgroundColor);
        if (colour.length === 3) return colour;
      }
      return [255, 255, 255];
    };
    return ["instruction", "notice", "tag", "call", "called", "full"].map((id) => {
      const element = document.getElementById(id);
      const [light, dark] = [luminance(channels(getComputedStyle(element).color)), luminance(ground(element))].sort((one, other) => other - one);
      return [id, (light + 0.05) / (dark + 0.05)];
    });
  });
  for (const [id, ratio] of ratios) assert.ok(ratio >= 7, `${id}: ${ratio.toFixed(1)} to 1`);
});

test("a lost signal and a lost connection are told to the participant in plain words", async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  contexts.push(context);
  const view = await context.newPage();
  let tell;
  await view.routeWebSocket(/v1\/state/, (socket) => {
    tell = (message) => socket.send(JSON.stringify(message));
    socket.connectToServer().onMessage((message) => JSON.parse(message).type === "hello" && socket.send(message));
  });
  await view.goto(`${new URL(await daemon()).origin}/participant`);
  await view.waitForFunction(() => document.getElementById("notice").textContent === "Please wait");
  tell({ type: "heartbeat", state: "stale", reason: "no usable signal", position: [0.5, 0.5] });
  await says(view, "notice", "Signal lost, helper is told");
  // and nothing more comes
  await says(view, "notice", "Please wait");
});

test("a call is heard and shown on both pages until somebody has seen it", async () => {
  const url = await daemon();
  const page = await operators(url);
  await prepared(page);
  const view = await opened(`${new URL(url).origin}/participant`);
  await says(view, "notice", "We will start soon");
  for (const each of [page, view]) {
    await each.evaluate(() => {
      globalThis.tones = 0;
      const made = AudioContext.prototype.createOscillator;
      AudioContext.prototype.createOscillator = function () {
        globalThis.tones += 1;
        return made.call(this);
      };
    });
  }
  await view.keyboard.press("c");
  await says(view, "called", "Your helper is called");
  await page.waitForSelector("#call:not([hidden])");
  await says(page, "call", "P7 calls");
  for (const each of [page, view]) await each.waitForFunction(() => globalThis.tones > 0);
  await well(page, "called");
  await picture(view, "participant-called");
  await assertAccessible(view);
  await press(page, "#call [data-action=answer_call]");
  await page.waitForSelector("#call", { state: "hidden" });
  await says(view, "call", "Call");
  await view.waitForFunction(() => document.getElementById("called").textContent === "");
});

test("nothing was complained about", () => {
  assert.deepEqual(complaints, []);
});
