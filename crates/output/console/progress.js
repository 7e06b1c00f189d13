// How far a session is: its block, the time that is left, and what came of the blocks before.

const find = (id) => document.getElementById(id);
const put = (id, text) => {
  const element = find(id);
  if (element.textContent !== text) element.textContent = text;
};
const ENDS = { done: "done", skipped: "not finished", running: "running" };

// Seconds as minutes and seconds.
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// The block that runs, or comes next, in words.
function heading({ blocks, block, state }) {
  const [now, place] = [blocks[block], `${block + 1} of ${blocks.length}`];
  if (state === "done") return ["The session is over", ""];
  if (!now) return [`All ${blocks.length} blocks are over`, ""];
  return [now.state === "waiting" && block > 0 ? `Next: Block ${place}` : `Block ${place}`, `: ${now.title}`];
}

// What is left of the block, in words, and how much of it is over.
function left({ blocks, block, elapsed_s: elapsed, rest_s: pause, state }) {
  const now = blocks[block];
  if (state === "done" || !now) return ["", 1];
  if (state === "learning") return ["learning from it", 1];
  if (state === "fitting") return ["fitting", 1];
  if (state === "resting" && pause > 0) return [`pause ${clock(pause)}`, 0];
  return [`${clock(now.seconds - elapsed)} left`, Math.min(1, elapsed / now.seconds)];
}

// `entryOf` gives what a block's score says.
export function showProgress(status, entryOf) {
  const { blocks, seconds_left: rest, state } = status;
  const [strong, title] = heading(status);
  find("block-title").replaceChildren(Object.assign(document.createElement("strong"), { textContent: strong }), title);
  put("block-instruction", state === "done" ? "" : (blocks[status.block]?.instruction ?? ""));
  const [words, share] = left(status);
  const total = blocks.reduce((sum, { seconds }) => sum + seconds, 0);
  find("block-bar").value = share;
  put("block-left", words);
  find("all-bar").value = state === "done" || total <= 0 ? 1 : Math.max(0, Math.min(1, 1 - rest / total));
  put("all-left", state === "done" ? "over" : `${clock(rest)} left`);
  find("blocks").replaceChildren(...blocks.map((entry) => {
    const item = document.createElement("li");
    item.dataset.state = entry.state;
    if (entry.state === "running") item.setAttribute("aria-current", "step");
    const waits = state === "done" ? "not begun" : clock(entry.seconds);
    item.append(`${entry.title}, ${ENDS[entry.state] ?? waits}`);
    if (entry.score) item.append(Object.assign(document.createElement("span"), { textContent: entryOf(entry) }));
    return item;
  }));
}
