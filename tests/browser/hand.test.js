// The mouse as a person's hand, in a run that takes one (`kalmind demo --mouse`), and in one that does not.
//
// KALMIND_FAKE_SESSION is the program `fake_session` (of tests/tools); KALMIND_SCREENSHOT a file for pictures, if wanted.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { assertAccessible, launched } from "./page.js";

let browser;
let daemon;
let url;

before(async () => {
  browser = await launched();
  daemon = spawn(process.env.KALMIND_FAKE_SESSION, ["0"], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: daemon.stdout })) {
    url = line;
    break;
  }
});

after(async () => {
  await browser?.close();
  daemon?.kill();
});

// A page of a run whose status has this `hand`, and what it tells of one.
async function opened(hand) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const told = [];
  page.on("websocket", (socket) =>
    socket.on("framesent", ({ payload }) => {
      const { type, kind, data } = JSON.parse(payload);
      if (type === "event") told.push([kind, data.action, ...data.velocity]);
    }),
  );
  await page.route("**/v1/status", async (route) => route.fulfill({ json: { ...(await (await route.fetch()).json()), hand } }));
  await page.goto(url);
  await page.waitForSelector("#steer:not([hidden])");
  await page.waitForResponse("**/v1/status");
  const { x, y, width } = await page.locator("#workspace").boundingBox();
  // the pointer at a place of the workspace
  const at = (right, up) => page.mouse.move(x + right * width, y + (1 - up) * width);
  return { page, told, at };
}

// From the left to the right, in some 20 steps of about as many milliseconds.
async function moves({ page, at }) {
  for (let step = 0; step <= 20; step++) {
    await at(0.3 + 0.01 * step, 0.5);
    await page.waitForTimeout(15);
  }
}

const until = async (page, holds) => {
  for (let look = 0; look < 200 && !holds(); look++) await page.waitForTimeout(50);
  assert.ok(holds());
};

test("the velocity is how far the hand got in 80 ms", async () => {
  const { page } = await opened(null);
  const velocities = await page.evaluate(async () => {
    const { velocity } = await import("/hand.js");
    // 0.001 workspace widths a millisecond to the right, half as fast down, told every 16 ms
    const places = Array.from({ length: 13 }, (_, step) => ({ at: 1000 + 16 * step, x: 0.016 * step, y: 0.5 - 0.008 * step }));
    const last = places.at(-1).at;
    return [velocity(places, last + 10), velocity(places, last + 90), velocity([], last), velocity(places.slice(0, 1), 1001), velocity(places.slice(0, 6), 1080)];
  });
  assert.deepEqual(velocities, [[1, -0.5], [0, 0], [0, 0], [0, 0], [1, -0.5]]);
  await page.close();
});

test("a mouse that moves over the workspace is told of some 30 times a second, and that it rests", async () => {
  const hand = await opened({ events: 0 });
  const { page, told, at } = hand;
  await page.waitForSelector("#hand:not([hidden])");
  assert.match(await page.innerText("#hand"), /as if it were your hand/);
  await moves(hand);
  if (process.env.KALMIND_SCREENSHOT) await page.screenshot({ path: process.env.KALMIND_SCREENSHOT.replace(/(\.\w+)$/, "-hand$1") });
  await until(page, () => told.length > 3 && told.at(-1)[2] === 0);
  for (const [kind, action, right, up] of told) {
    assert.deepEqual([kind, action, up], ["operator", "hand", 0]);
    assert.ok(right >= 0 && right < 5, `${right}`);
  }
  assert.ok(told.some(([, , right]) => right > 0.1), JSON.stringify(told));
  // one that rests, that leaves, or that is brought back with a button held is told no more of
  const rested = told.length;
  await page.mouse.down();
  await moves(hand);
  await page.mouse.up();
  await page.mouse.move(2, 2);
  await page.waitForTimeout(200);
  assert.equal(told.length, rested);
  await at(0.5, 0.5);
  await moves(hand);
  await page.mouse.move(2, 2);
  await until(page, () => told.length > rested && told.at(-1)[2] === 0);
  await assertAccessible(page);
  await page.close();
});

test("a run that takes no hand is told of none", async () => {
  const hand = await opened(null);
  await moves(hand);
  await hand.page.waitForTimeout(200);
  assert.deepEqual(hand.told, []);
  assert.equal(await hand.page.isVisible("#hand"), false);
  await hand.page.close();
});
