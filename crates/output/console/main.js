// Ties the link to the page, and hands over what people ask for.

import { Connection, takeToken } from "./connection.js";
import { View } from "./view.js";
import { Workspace } from "./workspace.js";

const STOP_KEYS = new Set([" ", "Escape"]);

let input; // how late it is, from the newest status

const view = new View();
const workspace = new Workspace(document.getElementById("workspace"));

const connection = new Connection(takeToken(), {
  link: (link) => view.link(link),
  status: (status) => {
    input = status.input;
    view.status(status);
  },
  token: (accepted) => {
    view.steerable(accepted);
    view.notice(accepted ? "" : "The token is of another run: this page can watch and stop, not steer. Open the address that the daemon printed.");
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
        if (message.kind === "model" && message.data.action === "swapped") view.decoder(message.data.decoder, message.data.hash);
        break;
      case "gap":
        view.gap(message);
        break;
    }
  },
});

async function stop() {
  try {
    await connection.stop();
    view.notice("");
  } catch (error) {
    view.notice(`STOP may not have reached the daemon: ${error.message}. Press it again, or end the daemon.`);
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
  const slow = state === "control" && input?.state === "slow";
  if (slow && !window.confirm(`The input is ${Math.round(input.delay_ms)} ms late, too slow for cursor control. Control with it all the same?`)) return;
  try {
    await connection.ask(state, slow ? { confirm: "slow_input" } : {});
    view.notice("");
  } catch (error) {
    view.notice(`Not done: ${error.message}`);
  }
});
