// Ties the link to the page, and hands over what people ask for.

import { Bell } from "./call.js";
import { Connection, takeToken } from "./connection.js";
import { Hand } from "./hand.js";
import { SessionPanel, consoleName } from "./session.js";
import { View } from "./view.js";
import { Workspace } from "./workspace.js";

const STOP_KEYS = new Set([" ", "Escape"]);
const STOPPED = new Set(["hold", "stale", "fault"]);

let awaiting = []; // what a request for control has to confirm, from the newest status
let input; // how late it is, likewise
let state; // the newest
let hidden = false; // whether nobody is told which decoder is which
let steerable = false; // whether this page has shown the token
let takesHand = false; // whether the run follows a hand, likewise
let asking = null; // what the question on the screen is about: the reasons, and the state in which it was put

const view = new View();
const token = takeToken();
const name = consoleName();
const panel = new SessionPanel(name, (request, person) => connection.session(request, person));
const bell = new Bell((audible) => document.getElementById("call").toggleAttribute("data-silent", !audible));
const workspace = new Workspace(document.getElementById("workspace"));
const hand = new Hand(document.getElementById("workspace"), {
  moves: (velocity) => connection.hand(velocity),
  at: (place) => workspace.point(place),
});

const connection = new Connection(token, {
  link: (link) => view.link(link),
  status: (status) => {
    input = status.input;
    awaiting = status.awaiting_confirmation ?? [];
    takesHand = Boolean(status.hand);
    offerHand();
    if (asking && about(asking.reasons) !== about(awaiting)) withdraw("What has to be confirmed has changed: ask for control again.");
    view.status(status);
  },
  token: (accepted) => {
    view.steerable(accepted);
    panel.steerable(accepted);
    steerable = accepted;
    offerHand();
    view.notice(accepted ? "" : "This page's token is from an earlier run: you can watch and stop, but not resume. Open the address that Kalmind printed when it last started.");
  },
  message: (message) => {
    switch (message.type) {
      case "hello":
        view.begin(message);
        workspace.begin(message);
        listModels();
        break;
      case "state":
        if (asking && message.state !== asking.state && STOPPED.has(message.state)) withdraw("The output was stopped: ask for control again.");
        state = message.state;
        view.tick(message);
        workspace.move(message);
        goOn(message);
        break;
      case "heartbeat":
        view.heartbeat(message);
        goOn(message);
        break;
      case "session":
        if (hidden && !message.comparison?.hidden) listModels();
        hidden = Boolean(message.comparison?.hidden);
        panel.show(message);
        called(message);
        break;
      case "event":
        if (message.kind === "target") workspace.place(message.data);
        if (message.kind === "model" && message.data.action === "swapped") {
          const { decoder: name, hash: model, ...known } = message.data;
          view.decoder({ name, model, ...known });
        }
        if (message.kind === "model") listModels();
        break;
      case "gap":
        view.gap(message);
        break;
    }
  },
}, token && name);

// In a run that takes a hand, the mouse of a page that may steer is one.
function offerHand() {
  hand.taken = takesHand && steerable;
  for (const shown of document.querySelectorAll("[data-takes-hand]")) shown.hidden = !(takesHand && steerable);
}

// How to go on from where the output is, beside STOP.
function goOn({ state }) {
  panel.output(state);
  const watches = panel.watches;
  const press = panel.continues ? `${panel.continues}, in the session` : "Resume control";
  const then = (words) => (watches === null ? `${words} press ${press}.` : `${watches[0].toUpperCase()}${watches.slice(1)}.`);
  const words = {
    control: "The decoder moves the cursor. STOP halts it at once.",
    calibrating: `${panel.calibrates} STOP halts it at once.`,
    idle: "The cursor is at rest.",
    hold: `Stopped: the cursor stands still. ${then("When all is well,")}`,
    stale: `No usable signal: look at Streams. ${then("If it does not go on by itself,")}`,
    fault: `Something failed: read the words above the workspace. ${then("When it is mended,")}`,
  };
  view.goOn(words[state] ?? "");
}

// The participant calls until somebody has seen it.
function called({ called: since, participant }) {
  const banner = document.getElementById("call");
  bell.calling = since !== null;
  banner.hidden = since === null;
  const silent = banner.hasAttribute("data-silent") ? " (this page makes no sound before you have pressed something on it)" : "";
  view.call(`${participant ?? "The participant"} calls${silent}`);
}

// Why a person has to agree to control, in words for the page.
function reason({ confirm, text }) {
  if (confirm === "slow_input") return `Samples arrive ${Math.round(input?.delay_ms)} ms late, too late for cursor control.`;
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

// What reasons are about: a later question about the same needs no new answer.
const about = (reasons) => JSON.stringify(reasons.map(({ confirm, model }) => [confirm, model]));

// A question in the page itself: a dialog of the browser's would hold up the page, and its space key would say yes.
const question = document.getElementById("question");

function put(reasons) {
  asking = { reasons, state };
  document.getElementById("question-text").textContent = [...reasons.map(reason), "Start cursor control anyway?"].join("\n\n");
  question.hidden = false;
  question.querySelector("[data-answer=no]").focus();
}

function withdraw(why) {
  asking = null;
  question.hidden = true;
  view.notice(why);
}

async function stop() {
  if (asking) withdraw("");
  panel.withdraw();
  try {
    await connection.stop();
    view.notice("");
  } catch (error) {
    view.notice(`STOP may not have reached the daemon (${error.message}). Press it again, or shut down Kalmind.`);
  }
}

document.getElementById("stop").addEventListener("click", stop);

// Space and escape stop wherever the focus is: also on a button, which space would press otherwise. Where words are written a
// space is one.
const writes = (event) => event.key === " " && event.target.matches?.("input:not([type=range])");
document.addEventListener(
  "keydown",
  (event) => {
    if (!STOP_KEYS.has(event.key) || writes(event)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) stop();
  },
  true,
);
document.addEventListener("keyup", (event) => event.key === " " && !writes(event) && event.preventDefault(), true);

// The models of the run, whenever one has come or taken over, and as long as one is on its way.
let relisting;
let awaited = false;
async function listModels() {
  clearTimeout(relisting);
  try {
    const list = await connection.models();
    view.models(list);
    awaited = list.wanted !== null;
  } catch {
    // the link's own state says that the daemon is gone
  }
  if (awaited) relisting = setTimeout(listModels, 250);
}

document.getElementById("models").addEventListener("click", async (event) => {
  const { model } = event.target.dataset;
  if (!model) return;
  try {
    await connection.activate(model);
    view.notice("");
    listModels();
  } catch (error) {
    view.notice(error.message);
  }
});

async function ask(state, more) {
  try {
    await connection.ask(state, more);
    view.notice("");
  } catch (error) {
    view.notice(error.message);
  }
}

document.getElementById("steer").addEventListener("click", (event) => {
  const wanted = event.target.dataset.state;
  if (!wanted) return;
  if (panel.watches !== null) return view.notice(`${panel.watches[0].toUpperCase()}${panel.watches.slice(1)}.`);
  if (asking) withdraw("");
  const refused = wanted === "control" ? panel.refusesControl : null;
  if (refused !== null) return view.notice(`${refused} ${panel.continues ? `To go on, press ${panel.continues}, in the session.` : "It goes on by itself."}`);
  if (wanted === "control" && awaiting.length) put(awaiting);
  else ask(wanted, {});
});

question.addEventListener("click", (event) => {
  const { answer } = event.target.dataset;
  if (!answer || !asking) return;
  const { reasons } = asking;
  withdraw("");
  if (answer !== "yes") return;
  // the model that the question was about: another may have taken over while it was on the screen
  const model = reasons.find(({ confirm }) => confirm === "poor_decoder")?.model;
  ask("control", { confirm: reasons.map(({ confirm }) => confirm), model });
});
