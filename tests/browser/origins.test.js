// Pages of other origins in a real browser, against the real server: what one that is let in can do and read, and what
// one that is not cannot.
//
// KALMIND_FAKE_SESSION is the program `fake_session` (of tests/tools).

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { launched } from "./page.js";

const program = process.env.KALMIND_FAKE_SESSION;
const PAGE = "<!doctype html><title>a page of another origin</title>";
const WITHIN_MS = 10_000;

let browser;
let folder;
const sites = [];
const sessions = [];

// A site of its own: another port is another origin.
async function site() {
  const server = createServer((_, answer) => answer.setHeader("content-type", "text/html").end(PAGE));
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  sites.push(server);
  return `http://127.0.0.1:${server.address().port}`;
}

// A running session that lets pages of `origins` in: its address and its token.
async function session(...origins) {
  const child = spawn(program, ["0", "64", ...origins], { stdio: ["ignore", "pipe", "inherit"] });
  sessions.push(child);
  for await (const line of createInterface({ input: child.stdout })) {
    const url = new URL(line);
    return { address: url.host, token: new URLSearchParams(url.hash.slice(1)).get("token") };
  }
  throw new Error("the session did not say where its page is");
}

async function opened(url) {
  const page = await browser.newPage();
  page.setDefaultTimeout(WITHIN_MS);
  await page.goto(url);
  return page;
}

// What a page gets of a request: status and body, or that the browser kept it from it.
const asked = (page, url, options) =>
  page.evaluate(
    async ([url, options]) => {
      try {
        const answer = await fetch(url, options);
        return { status: answer.status, type: answer.type, body: await answer.text() };
      } catch (error) {
        return { refused: error.name };
      }
    },
    [url, options],
  );

// Says `messages` over a WebSocket as soon as it is open, and gives what came until `count` messages of `types` or the end.
const talked = (page, { address, protocols = [], messages = [], types, count }) =>
  page.evaluate(
    ([address, protocols, messages, types, count, within]) =>
      new Promise((done) => {
        const got = [];
        let open = false;
        const socket = new WebSocket(`ws://${address}/v1/state`, ["kalmind.v1", ...protocols]);
        socket.onopen = () => {
          open = true;
          for (const message of messages) socket.send(JSON.stringify(message));
        };
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (types.includes(message.type)) got.push(message);
          if (got.length === count) socket.close();
        };
        socket.onclose = ({ code }) => done({ open, got, code });
        setTimeout(() => done({ open, got, late: true }), within);
      }),
    [address, protocols, messages, types, count, WITHIN_MS],
  );

const status = async ({ address }) => (await fetch(`http://${address}/v1/status`)).json();
const bearer = (token) => ({ authorization: `Bearer ${token}` });
const json = (token) => ({ ...bearer(token), "content-type": "application/json" });
const body = (answer) => JSON.parse(answer.body);

before(async () => {
  assert.ok(program, "set KALMIND_FAKE_SESSION to the program fake_session");
  browser = await launched();
  folder = await mkdtemp(join(tmpdir(), "kalmind-origins-"));
});

after(async () => {
  await browser?.close();
  for (const server of sites) server.close();
  for (const child of sessions) child.kill();
  if (folder) await rm(folder, { recursive: true });
});

test("a page of an allowed origin reads every answer, errors as well, and steers with the token", async () => {
  const origin = await site();
  const { address, token } = await session(origin);
  const page = await opened(origin);
  const at = (path) => `http://${address}${path}`;

  const missing = await asked(page, at("/v1/status"));
  assert.deepEqual([missing.status, body(missing).code], [401, "unauthorized"]);
  const wrong = await asked(page, at("/v1/status"), { headers: bearer("0000000000000000") });
  assert.deepEqual([wrong.status, body(wrong).code], [401, "wrong_token"]);
  for (const path of ["/v1/status", "/openapi.json", "/asyncapi.json"]) {
    const answer = await asked(page, at(path), { headers: bearer(token) });
    assert.deepEqual([answer.status, answer.type], [200, "cors"], path);
    assert.ok(body(answer), path);
  }
  assert.equal((await asked(page, at("/metrics"), { headers: bearer(token) })).status, 200);
  assert.equal((await asked(page, at("/"))).status, 200);
  assert.equal(body(await asked(page, at("/nowhere"))).code, "not_found");
  assert.equal(body(await asked(page, at("/v1/state"), { headers: bearer(token) })).code, "malformed");
  assert.equal(body(await asked(page, at("/v1/stop"))).code, "method_not_allowed");

  const post = (path, data) => asked(page, at(path), { method: "POST", headers: json(token), body: JSON.stringify(data) });
  const target = { kind: "target", data: { position: [0.2, 0.5], radius: 0.06 } };
  assert.equal(body(await post("/v1/events", target)).request, "events");
  assert.equal(body(await post("/v1/events", { kind: "fault", data: {} })).code, "invalid");
  assert.equal(body(await post("/v1/control", { state: "fly" })).code, "malformed");
  assert.equal(body(await post("/v1/control", { state: "idle" })).type, "accepted");

  // STOP as a page would send it first: no header, no token, no preflight; and as one that means well, with JSON
  assert.deepEqual(body(await asked(page, at("/v1/stop"), { method: "POST" })), { type: "accepted", request: "stop" });
  const verbose = { method: "POST", headers: json("0000000000000000"), body: "{}" };
  assert.equal(body(await asked(page, at("/v1/stop"), verbose)).request, "stop");
  assert.equal((await status({ address })).state, "hold");
  await page.close();
});

test("a page of an allowed origin stops without the token and steers with it over the WebSocket", async () => {
  const origin = await site();
  const { address, token } = await session(origin);
  const page = await opened(origin);

  const stopped = await talked(page, { address, messages: [{ type: "stop" }], types: ["accepted"], count: 1 });
  assert.deepEqual(stopped.got, [{ type: "accepted", request: "stop" }]);
  assert.equal((await status({ address })).state, "hold");

  const messages = [
    { type: "auth", token },
    { type: "event", kind: "trial", data: { trial: 1, phase: "start" } },
    { type: "control", state: "control" },
    { type: "event", kind: "model", data: {} },
  ];
  const steered = await talked(page, { address, messages, types: ["accepted", "error"], count: 4 });
  assert.deepEqual(steered.got.map(({ request, code }) => request ?? code), ["auth", "events", "control", "invalid"]);
  assert.equal(typeof steered.got[1].event_seq, "number");

  const shown = { address, protocols: [`kalmind.token.${token}`], types: ["hello", "state"], count: 2 };
  assert.deepEqual((await talked(page, shown)).got.map(({ type }) => type), ["hello", "state"]);
  const wrong = { address, protocols: ["kalmind.token.0000000000000000"], types: ["error"] };
  const { got, code } = await talked(page, wrong);
  assert.deepEqual([got.map((message) => message.code), code], [["wrong_token"], 4403]);
  await page.close();
});

test("a page of any other origin reads nothing, steers nothing and stops nothing", async () => {
  const allowed = await site();
  const { address, token } = await session(allowed);
  const foreign = await site();
  const page = await opened(foreign);
  const at = (path) => `http://${address}${path}`;

  for (const path of ["/", "/v1/status", "/openapi.json"]) {
    assert.equal((await asked(page, at(path))).refused, "TypeError", path);
    assert.equal((await asked(page, at(path), { headers: bearer(token) })).refused, "TypeError", path);
  }
  const tries = [
    { method: "POST" },
    { method: "POST", mode: "no-cors" },
    { method: "POST", mode: "no-cors", body: "stop" },
    { method: "POST", headers: json(token), body: "{}" },
  ];
  for (const options of tries) {
    const answer = await asked(page, at("/v1/stop"), options);
    assert.ok(answer.refused || answer.type === "opaque", JSON.stringify(answer));
  }
  await page.evaluate((url) => navigator.sendBeacon(url, "stop"), at("/v1/stop"));
  const socket = await talked(page, { address, messages: [{ type: "stop" }], types: ["hello"] });
  assert.deepEqual([socket.open, socket.got], [false, []]);
  // a form that a click sends leads to the refusal
  await page.setContent(`<form method="post" action="${at("/v1/stop")}"><button>win a prize</button></form>`);
  await page.click("button");
  await page.waitForURL(at("/v1/stop"));
  assert.match(await page.textContent("body"), /"code":"forbidden"/);

  const { state, clients } = await status({ address });
  assert.deepEqual([state, clients.stops, clients.controls], ["control", 0, 0]);
  await page.close();
});

test("a page opened from a file stops where files are listed, and needs the token for everything else", async () => {
  const file = join(folder, "page.html");
  await writeFile(file, PAGE);
  const url = pathToFileURL(file).href;
  const [open, closed] = [await session("file:"), await session()];
  const page = await opened(url);

  assert.equal((await asked(page, `http://${closed.address}/v1/stop`, { method: "POST" })).refused, "TypeError");
  const kept = await talked(page, { address: closed.address, messages: [{ type: "stop" }], types: ["accepted"] });
  assert.equal(kept.open, false);
  assert.equal((await status(closed)).clients.stops, 0);

  const at = (path) => `http://${open.address}${path}`;
  assert.equal(body(await asked(page, at("/v1/status"))).code, "unauthorized");
  assert.equal((await asked(page, at("/v1/status"), { headers: bearer(open.token) })).status, 200);
  assert.equal(body(await asked(page, at("/v1/stop"), { method: "POST" })).request, "stop");
  const messages = [{ type: "stop" }, { type: "control", state: "control" }, { type: "control", state: "control", token: open.token }];
  const { got } = await talked(page, { address: open.address, messages, types: ["accepted", "error"], count: 3 });
  assert.deepEqual(got.map(({ request, code }) => request ?? code), ["stop", "unauthorized", "control"]);
  assert.equal((await status(open)).clients.stops, 2);
  await page.close();
});
