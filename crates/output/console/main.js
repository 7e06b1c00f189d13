// Ties the link to the page, and hands over what people ask for.

import { Connection, takeToken } from "./connection.js";
import { View } from "./view.js";
import { Workspace } from "./workspace.js";

const STOP_KEYS = new Set([" ", "Escape"]);

let awaiting = []; // what a request for control has to confirm, from the newest status
let input; // how late it is, likewise

const view = new View();
const workspace = new Workspace(document.getElementById("workspace"));

const connection = new Connection(takeToken(), {
  link: (link) => view.link(link),
  status: (status) => {
    input = status.input;
    awaiting = status.awaiting_confirmation ?? [];
    view.status(status);
  },
  token: (accepted) => {
    view.steerable(accepted);
    view.notice(accepted ? "" : "This page's token is from an earlier run: you can watch and stop, but not resume. Open the address that Kalmind printed when it last started.");
  },
  message: (message) => {
    switch (message.type) {
      case "hello":
        view.begin(message);
        workspace.begin(message);
        break;
      case "state":
        view.tick(message);
        workspace.move(message);
        break;
      case "heartbeat":
        view.heartbeat(message);
        break;
      case "event":
        if (message.kind === "target") workspace.place(message.data);
        if (message.kind === "model" && message.data.action === "swapped") {
          const { decoder: name, hash: model, ...known } = message.data;
          view.decoder({ name, model, ...known });
        }
        break;
      case "gap":
        view.gap(message);
        break;
    }
  },
});

// Why a person has to agree to control, in words for the page.
function reason({ confirm, text }) {
  if (confirm === "slow_input") return `Samples arrive ${Math.round(input?.delay_ms)} ms late, too late for cursor control.`;
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

async function stop() {
  try {
    await connection.stop();
    view.notice("");
  } catch (error) {
    view.notice(`STOP may not have reached the daemon (${error.message}). Press it again, or shut down Kalmind.`);
  }
}

document.getElementById("stop").addEventListener("click", stop);

// Space and escape stop wherever the focus is: also on a button, which space would press otherwise.
document.addEventListener(
  "keydown",
  (event) => {
    if (!STOP_KEYS.has(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) stop();
  },
  true,
);
document.addEventListener("keyup", (event) => event.key === " " && event.preventDefault(), true);

document.getElementById("steer").addEventListener("click", async (event) => {
  const state = event.target.dataset.state;
  if (!state) return;
  const asked = state === "control" ? awaiting : [];
  if (asked.length && !window.confirm([...asked.map(reason), "Start cursor control anyway?"].join("\n\n"))) return;
  // the model that the question was about: another may have taken over while it was on the screen
  const model = asked.find(({ confirm }) => confirm === "poor_decoder")?.model;
  try {
    await connection.ask(state, asked.length ? { confirm: asked.map(({ confirm }) => confirm), model } : {});
    view.notice("");
  } catch (error) {
    view.notice(`Refused: ${error.message}`);
  }
});
