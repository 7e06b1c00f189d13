// The panel that runs a session: it draws what the session shows of itself, and asks for what people press.

import { clock, showProgress } from "./progress.js";
import { referenceText } from "./reference.js";

const CONSOLE_KEY = "kalmind-console";
const OPERATOR_KEY = "kalmind-operator";
const SLIDER_RESTS_MS = 150; // a slider that is moved is asked for once it rests
const SLIDER_OURS_MS = 1500; // and for so long it shows what was asked, whatever the session says meanwhile

const WORD = {
  none: "No decoder yet.",
  not_yet: "Not yet.",
  no_better_than_chance: "No better than chance.",
  better_than_chance: "Better than chance.",
  good_enough: "Good enough for control.",
};
const START = { ready: "Start", resting: "Start now", paused: "Continue" };
const STOPPED = new Set(["hold", "stale", "fault"]);
// Between blocks, while it fits and while it learns only what somebody stopped keeps a session from going on.
const HELD = new Set(["hold", "fault"]);
const WAITS = { hold: "stopped", stale: "no usable signal", fault: "something broke", paused: "paused", ready: "not begun yet" };
const PRESENTED = { open_loop: "targets shown", closed_loop: "targets", evaluation: "targets" };
const ONLY_WATCHES = "this page may watch and stop only: open the address that Kalmind printed when it last started";

const find = (id) => document.getElementById(id);
const put = (id, text) => {
  const element = find(id);
  if (element.textContent !== text) element.textContent = text;
};
const percent = (share) => `${Math.round(100 * share)} %`;
const helped = (assistance) => (assistance > 0 ? `helped up to ${percent(assistance)}` : "without help");
// How this page calls itself as long as its tab lives, so that loading it anew loses nothing.
export function consoleName() {
  let name = sessionStorage.getItem(CONSOLE_KEY);
  if (!name) {
    name = `page-${[...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    sessionStorage.setItem(CONSOLE_KEY, name);
  }
  return name;
}

const SLIDERS = {
  gain: { of: (at) => 10 ** at, at: (value) => Math.log10(value), words: (value) => `× ${value.toFixed(2)}` },
  smoothing_ms: { of: Number, at: Number, words: (value) => `${Math.round(value)} ms` },
  max_speed: { of: Number, at: Number, words: (value) => `${value.toFixed(2)}/s` },
  assistance: { of: Number, at: Number, words: percent },
  select: { of: String, at: String, words: () => "next block" },
};

export class SessionPanel {
  #name;
  #ask;
  #status = null;
  #steerable = false;
  #output = null; // the state of the output
  #sure = null; // what the question on the screen is about
  #moved = {}; // when each slider was moved last
  #presets = "";
  #shown = null; // the block that the list was scrolled to
  #looked = null; // what the pointer or the focus came to last

  // `ask(request, person)` asks the session for something, and resolves to what it shows afterwards.
  constructor(name, ask) {
    this.#name = name;
    this.#ask = ask;
    find("operator").value = sessionStorage.getItem(OPERATOR_KEY) ?? "";
    // a narrow page keeps a row of this height free for the state, which stays in sight
    new ResizeObserver(([{ target }]) => document.body.style.setProperty("--state-height", `${target.offsetHeight}px`)).observe(find("state"));
    document.addEventListener("click", (event) => this.#pressed(event));
    for (const type of ["focusin", "mouseover"]) document.addEventListener(type, (event) => this.#explain((this.#looked = event.target)));
    find("opening").addEventListener("submit", (event) => this.#submitted(event, () => this.#open()));
    find("noting").addEventListener("submit", (event) => this.#submitted(event, () => this.#note()));
    find("preset").addEventListener("change", () => this.#about());
    find("sure-code").addEventListener("keydown", (event) => event.key === "Enter" && this.#answer("yes"));
    for (const slider of document.querySelectorAll("[data-option]")) slider.addEventListener("input", () => this.#slid(slider));
  }

  // Whether this page has shown the token.
  steerable(yes) {
    this.#steerable = yes;
    if (this.#status) this.show(this.#status);
  }

  // The state of the output, which a stop holds in the middle of a block.
  output(state) {
    if (state === this.#output) return;
    this.#output = state;
    if (!this.#status) return;
    this.#message();
    this.#enable();
  }

  // Who may let the session go on, for a page that may not; null for one that may.
  get watches() {
    if (!this.#steerable) return ONLY_WATCHES;
    // a demonstration runs by itself, and is anybody's
    const { console: inCharge, simulated } = this.#status ?? {};
    return this.#elsewhere && !(simulated && inCharge === null) ? `${this.#status.operator ?? "somebody without a code"} is in charge, on another page or program: ask them, or press Take over and give your code` : null;
  }

  // What to press for the session to go on, where it waits to be told so.
  get continues() {
    const waits = this.#stands || this.#status?.state === "paused";
    return waits && this.#why("start") === null ? this.#startWord : null;
  }

  // Why nobody is given control now; null where they may be.
  get refusesControl() {
    const { state, blocks, block } = this.#status ?? {};
    if (state === "learning") return "Nothing moves while thresholds are learnt from the rest.";
    if (state === "running" && blocks[block]?.block === "rest") return "Nothing moves in a rest.";
    return null;
  }

  // What moves the cursor while it is calibrated, in words.
  get calibrates() {
    const { state, blocks, block, assistance } = this.#status ?? {};
    if (state !== "running" || !blocks[block]?.task) return "The task moves the cursor, or helps it.";
    if (assistance.mixing >= 1) return "The task moves the cursor.";
    if (assistance.mixing > 0 || assistance.attenuation > 0) return "The decoder moves the cursor, and is helped.";
    return "The decoder moves the cursor, without help. No other program is steered by it yet.";
  }

  // Whether a block runs, and the output was stopped or lost its signal meanwhile.
  get #stands() {
    const state = this.#status?.state;
    return state === "running" ? STOPPED.has(this.#output) : ["resting", "learning", "fitting"].includes(state) && HELD.has(this.#output);
  }

  get #startWord() {
    return this.#stands ? "Resume" : (START[this.#status.state] ?? "Start");
  }

  // A stop takes the question from the screen.
  withdraw() {
    this.#sure = null;
    find("sure").hidden = true;
  }

  show(status) {
    this.#status = status;
    for (const id of ["run", "tuning"]) find(id).hidden = false;
    document.body.dataset.session = status.state;
    document.body.toggleAttribute("data-simulated", status.simulated);
    for (const tag of document.querySelectorAll("#simulated, [data-simulated]:not(body)")) tag.hidden = !status.simulated;
    this.#message();
    this.#charge(status);
    this.#opening(status);
    this.#progress(status);
    this.#verdict(status);
    this.#score(status);
    this.#sliders(status);
    put("notes", status.notes ? `${status.notes} ${status.notes === 1 ? "note" : "notes"} so far` : "");
    this.#enable();
  }

  // What the session says; what there is to press for it to go on is for whoever may press it.
  #message() {
    const waits = STOPPED.has(this.#output) ? this.#output : this.#status.state;
    const watches = waits in WAITS ? this.watches : null;
    put("run-message", sentence(watches === null ? this.#status.message : `${WAITS[waits]}; ${watches}`));
  }

  // Whoever is in charge, and whether that is this page.
  get #elsewhere() {
    const runs = this.#status && !["closed", "done"].includes(this.#status.state);
    return Boolean(runs) && this.#status.console !== this.#name;
  }

  #charge({ state, operator }) {
    const who = operator ?? "somebody without a code";
    if (["closed", "done"].includes(state)) put("charge-who", "Nobody is in charge.");
    else put("charge-who", this.#elsewhere ? `${who} is in charge, on another page or program: you can watch, write notes and stop.` : `In charge: ${who}, on this page.`);
    find("charge").querySelector("button").hidden = !this.#elsewhere;
  }

  #opening(status) {
    const opens = status.state === "closed" || status.state === "done";
    find("opening").hidden = !opens;
    const presets = JSON.stringify(status.presets);
    if (presets !== this.#presets) {
      this.#presets = presets;
      const chosen = find("preset").value;
      find("preset").replaceChildren(...status.presets.map(({ name, title, seconds }) => new Option(`${title} (${clock(seconds)})`, name, false, name === chosen)));
      this.#about();
    }
    const participant = find("participant");
    if (!participant.value && status.participant && document.activeElement !== participant) participant.value = status.participant;
  }

  #about() {
    const preset = this.#status?.presets.find(({ name }) => name === find("preset").value);
    put("preset-about", preset ? `${preset.about} ${preset.blocks} ${preset.blocks === 1 ? "block" : "blocks"}, ${clock(preset.seconds)} minutes.`.trim() : "No preset was found: see the folder config.");
  }

  #progress({ blocks, block, state }) {
    find("progress").hidden = !blocks.length || state === "closed";
    if (find("progress").hidden) return;
    showProgress(this.#status, ({ score }) => `: ${score.acquired} of ${score.presented}, ${helped(score.assistance)}${this.#status.simulated ? ", simulated" : ""}`);
    if (block === this.#shown) return;
    // what comes next is in sight, too
    this.#shown = block;
    const list = find("blocks");
    const current = list.children[block ?? 0];
    if (current) list.scrollTop = current.offsetTop - list.offsetTop - list.clientHeight / 2;
  }

  #verdict({ verdict, control }) {
    find("verdict").dataset.verdict = verdict.verdict;
    document.body.toggleAttribute("data-good-enough", verdict.verdict === "good_enough");
    put("verdict-word", WORD[verdict.verdict]);
    // the session's own words may begin with the same
    const word = WORD[verdict.verdict].slice(0, -1);
    const text = verdict.text.toLowerCase().startsWith(word.toLowerCase()) ? verdict.text.slice(word.length).replace(/^[\s:.,]+/, "") : verdict.text;
    put("verdict-text", text && sentence(text));
    this.#known(this.#status);
    put("verdict-control", control.overridden_by ? `It may control: ${control.overridden_by} answers for it.` : control.allowed ? "It may control." : "");
    find("verdict").querySelector("button").hidden = control.allowed;
  }

  // What else is known of signals and decoders.
  #known({ signal_check: check, reference, fits, comparison, simulated }) {
    find("signal-check").hidden = !check;
    find("signal-check").toggleAttribute("data-bad", check?.is_good === false);
    put("signal-check", check ? sentence(check.text) : "");
    find("reference").hidden = !reference;
    put("reference", reference ? referenceText(reference) : "");
    put("fits", fits.running ? "A decoder is being fitted." : fits.newest ? sentence(fits.newest) : "");
    find("comparison").hidden = !comparison;
    if (!comparison) return;
    const of = simulated ? ", simulated" : "";
    const figures = (values) => values.map((value) => value.toFixed(2)).join(", ");
    const lines = comparison.hidden
      ? ["Decoders are compared; which is which is told at the end."]
      : [
          ...comparison.decoders.map(({ label, decoder, figures: values }) => `${label}, ${decoder}: ${figures(values)} ${comparison.measure}${of}`),
          ...comparison.differences.map(({ between: [one, other], mean, interval }) => `${other} minus ${one}: ${mean.toFixed(2)}${interval ? `, 95 % interval ${interval[0].toFixed(2)} to ${interval[1].toFixed(2)}` : ""}${of}`),
        ];
    find("comparison").replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  }

  // The score of the block that runs, or of the last one that has one.
  #score({ blocks, block, simulated }) {
    const scored = [...blocks.entries()].filter(([place, { score }]) => score && (block === null || place <= block));
    find("score").hidden = !scored.length;
    if (!scored.length) return;
    const [place, { title, block: kind, score }] = scored.at(-1);
    put("score-title", `Score of block ${place + 1}: ${title}`);
    const figures = [
      [PRESENTED[kind] ?? "targets", `${score.acquired} of ${score.presented}`],
      ["time to target", score.time_to_target_s === null ? "–" : `${score.time_to_target_s.toFixed(1)} s`],
      ["bit rate", score.bit_rate === null ? "–" : `${score.bit_rate.toFixed(2)} bit/s`, score.bit_rate_interval],
      ["wrong ones", String(score.incorrect)],
    ];
    find("figures").replaceChildren(...figures.map(([name, value, interval]) => {
      const pair = document.createElement("div");
      const [term, figure] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      figure.append(value);
      if (interval) figure.append(small(`${interval[0].toFixed(2)} to ${interval[1].toFixed(2)} (95 %)`));
      figure.append(small(helped(score.assistance)));
      if (simulated) figure.append(small("simulated", "of-simulated"));
      pair.append(term, figure);
      return pair;
    }));
    put("path-figures", pathFigures(score.figures, simulated));
    put("click-figures", clickFigures(score.clicks, simulated));
  }

  #sliders({ options }) {
    find("speed").max = options.highest_max_speed;
    for (const slider of document.querySelectorAll("[data-option]")) {
      const { option } = slider.dataset;
      const is = options[option] !== undefined;
      for (const part of [slider.previousElementSibling, slider, slider.nextElementSibling]) part.hidden = !is;
      if (is && performance.now() - (this.#moved[option] ?? -Infinity) > SLIDER_OURS_MS) this.#set(slider, options[option]);
    }
  }

  #set(slider, value) {
    const { at, words } = SLIDERS[slider.dataset.option];
    if (slider.value !== String(at(value))) slider.value = at(value);
    if (slider.type === "range") slider.setAttribute("aria-valuetext", words(value));
    slider.nextElementSibling.textContent = words(value);
  }

  #slid(slider) {
    const { option } = slider.dataset;
    const why = this.#why("options");
    if (why !== null) {
      put("notice", sentence(why));
      return this.#set(slider, this.#status.options[option]);
    }
    const value = SLIDERS[option].of(slider.value);
    this.#set(slider, value);
    const moved = (this.#moved[option] = performance.now());
    setTimeout(() => this.#moved[option] === moved && this.#request({ action: "options", [option]: value }), SLIDER_RESTS_MS);
  }

  // Why an action may not be asked for now, as far as this page is concerned; null where it may.
  #why(action) {
    if (!this.#steerable) return ONLY_WATCHES;
    if (this.#elsewhere && !["take_over", "answer_call", "note"].includes(action)) return `${this.#status.operator ?? "somebody else"} is in charge: take over first`;
    // a stop in the middle of a block is gone on from as a pause is
    if (action === "start" && this.#stands) return this.#why("pause");
    const known = this.#status.actions.find((entry) => entry.action === action);
    return known && !known.allowed ? (known.why ?? "not now") : null;
  }

  // Every button that asks for an action can be reached, and says why where it does nothing.
  #enable() {
    for (const control of document.querySelectorAll("button[data-action], [data-option]")) {
      const action = control.dataset.action ?? "options";
      const why = this.#why(action);
      control.setAttribute("aria-disabled", String(why !== null));
      this.#reason(control, action, why);
      if (action === "start") control.textContent = this.#startWord;
    }
    this.#explain(this.#looked);
  }

  #reason(control, action, why) {
    const id = `why-${action}`;
    if (!find(id)) {
      const made = document.createElement("p");
      made.id = id;
      find("reasons").append(made);
    }
    put(id, why === null ? "" : sentence(why));
    if (why === null) control.removeAttribute("aria-describedby");
    else control.setAttribute("aria-describedby", id);
  }

  #explain(element) {
    const control = element?.closest?.("#run button[data-action]");
    const why = control && this.#status ? this.#why(control.dataset.action) : null;
    put("why", why === null ? "" : `${control.textContent.trim()}: ${why}`);
  }

  #pressed({ target }) {
    const answer = target.closest?.("[data-sure]");
    if (answer) return this.#answer(answer.dataset.sure);
    const button = target.closest?.("button[data-action]");
    if (!button || button.type === "submit" || !this.#status) return;
    const { action } = button.dataset;
    const why = this.#why(action);
    if (why !== null && !button.closest("#run")) put("notice", sentence(why));
    if (why !== null) return this.#explain(button);
    if (action === "start" && this.#stands) return this.#resume();
    if (action === "end") return this.#question({ action }, "End the session? What is left of it is not done; the recording stays.", "End the session");
    if (action === "take_over") return this.#question({ action }, "Take this session over? Whoever is in charge can only watch then; the recording says so. Give your code.", "Take it over", true);
    if (action === "override") return this.#question({ action }, `${WORD[this.#status.verdict.verdict]} If you let the decoder control all the same, you answer for it, and the recording says so. Give your code.`, "Let it control", true);
    this.#request({ action });
  }

  async #resume() {
    if (await this.#request({ action: "pause" })) this.#request({ action: "start" });
  }

  #question(request, text, yes, code = false) {
    this.#sure = { request, code };
    put("sure-text", text);
    for (const id of ["sure-code", "sure-code-label"]) find(id).hidden = !code;
    find("sure-code").value = "";
    find("sure").querySelector("[data-sure=yes]").textContent = yes;
    find("sure").hidden = false;
    (code ? find("sure-code") : find("sure").querySelector("[data-sure=no]")).focus();
  }

  #answer(word) {
    if (!this.#sure) return;
    const { request, code } = this.#sure;
    const operator = find("sure-code").value.trim();
    if (word === "yes" && code && !operator) return put("sure-text", "Without your code the decoder is not let control: type it, or leave it as it is.");
    this.withdraw();
    if (word === "yes") this.#request(request, code ? operator : undefined);
  }

  #submitted(event, send) {
    event.preventDefault();
    const { action } = event.target.querySelector("button").dataset;
    if (!this.#status) return;
    const why = this.#why(action);
    if (why === null) send();
    else put("notice", sentence(why));
  }

  #open() {
    const operator = find("operator").value.trim();
    if (!operator) {
      find("operator").focus();
      return put("notice", "Your code is missing: the recording says who ran the session.");
    }
    sessionStorage.setItem(OPERATOR_KEY, operator);
    this.#request({ action: "open", preset: find("preset").value, participant: find("participant").value.trim() || null });
  }

  async #note() {
    const text = find("note").value.trim();
    if (text && (await this.#request({ action: "note", text }))) find("note").value = "";
  }

  async #request(request, operator = find("operator").value.trim()) {
    try {
      this.show(await this.#ask(request, { operator: operator || null, console: this.#name }));
      put("notice", "");
      return true;
    } catch (error) {
      put("notice", error.message);
      return false;
    }
  }
}

const FEW_TRIALS = 8; // as many as a verdict takes
// A figure with its interval, where it is known.
const known = (name, estimate, unit = "", digits = 2) => {
  if (!estimate) return [];
  const { value, interval } = estimate;
  return [`${name} ${value.toFixed(digits)}${unit}${interval ? ` (${interval[0].toFixed(digits)} to ${interval[1].toFixed(digits)})` : ""}`];
};
const lineOf = (title, figures, simulated) => (figures.length ? `${title}${simulated ? ", simulated" : ""}: ${figures.join(", ")}.` : "");

// What the papers report of the trials without help.
function pathFigures(figures, simulated) {
  if (!figures) return "";
  return lineOf(`${figures.trials} ${figures.trials === 1 ? "trial" : "trials"} without help${figures.trials < FEW_TRIALS ? " (few: these figures say little)" : ""}`, [
    ...known("path efficiency", figures.path_efficiency),
    ...known("angular error", figures.angular_error_deg, "°", 0),
    ...known("dial-in", figures.dial_in_s, " s"),
    ...known("throughput", figures.throughput, " bit/s"),
  ], simulated);
}

function clickFigures(clicks, simulated) {
  if (!clicks) return "";
  return lineOf(`Clicks, ${clicks.pressed} of ${clicks.acts}`, [
    ...known("false a minute: moving", clicks.false_per_minute_moving, "", 1),
    ...known("at rest", clicks.false_per_minute_resting, "", 1),
    ...known("after", clicks.latency_s, " s"),
  ], simulated);
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
const small = (text, className = "") => Object.assign(document.createElement("small"), { textContent: text, className });
