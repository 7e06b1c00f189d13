// What the participant sees: target and cursor, what to do, and a way to call. No words for whoever runs the session.

import { Bell, ring } from "./call.js";
import { Connection, takeToken } from "./connection.js";
import { Workspace } from "./workspace.js";

const CALL_KEYS = new Set(["Enter", " ", "c", "C"]);
const LOST = new Set(["stale", "fault"]);
const NOTICE = {
  closed: "Please wait",
  ready: "We will start soon",
  resting: "A short pause",
  fitting: "One moment",
  learning: "One moment",
  paused: "Paused",
  done: "That was all. Thank you!",
};
const LOOK = {
  grid: null,
  intent: null,
  target: ["#1d7a3a", "#ffffff"],
  cursor: ["#ffd84d", "#ffffff"],
};

const find = (id) => document.getElementById(id);
const put = (id, text) => {
  if (find(id).textContent !== text) find(id).textContent = text;
};

let link = "connecting";
let output = null;
let session = null;

const workspace = new Workspace(find("workspace"), LOOK);
const bell = new Bell();

function notice() {
  if (link !== "live") return "Please wait";
  if (LOST.has(output)) return "Signal lost, helper is told";
  if (session && session.state !== "running") return NOTICE[session.state];
  if (output === "hold") return "Paused";
  return session || output === "control" || output === "calibrating" ? "" : "Please wait";
}

function draw() {
  const said = notice();
  put("notice", said);
  find("field").toggleAttribute("data-notice", said !== "");
  const block = session?.block === null ? null : session?.blocks[session.block];
  const shows = session && ["ready", "resting", "running"].includes(session.state) && !LOST.has(output);
  put("instruction", (shows && block?.instruction) || "");
  find("tag").hidden = !session?.simulated;
  const calling = Boolean(session?.called);
  bell.calling = calling;
  find("call").toggleAttribute("data-calling", calling);
  put("call", calling ? "Calling …" : "Call");
  if (calling) put("called", "Your helper is called.");
  else if (find("called").textContent === "Your helper is called.") put("called", "");
}

const connection = new Connection(takeToken(), {
  link: (now) => {
    link = now;
    draw();
  },
  status: () => {},
  token: () => {},
  message: (message) => {
    if (message.type === "hello") workspace.begin(message);
    else if (message.type === "state") workspace.move(message);
    else if (message.type === "event" && message.kind === "target") workspace.place(message.data);
    else if (message.type === "session") session = message;
    if (message.state && message.type !== "session") output = message.state;
    if (message.type !== "event") draw();
  },
});

async function call() {
  if (session?.called) return;
  ring();
  put("called", "");
  try {
    session = await connection.session({ action: "call" }, {});
    draw();
  } catch {
    put("called", "The call did not get through: please call out.");
  }
}

find("call").addEventListener("click", call);
find("full").addEventListener("click", () => document.documentElement.requestFullscreen());
document.addEventListener("fullscreenchange", () => {
  find("full").hidden = Boolean(document.fullscreenElement);
  find("call").focus();
});
document.addEventListener("keydown", (event) => {
  if (!CALL_KEYS.has(event.key) || event.repeat || event.target === find("full")) return;
  event.preventDefault();
  call();
});
draw();
