// Everything on the page beside the canvas: texts, tables, badge.

const SPEAK_EVERY_MS = 2000; // how often the canvas is described to a screen reader
const AHEAD_MS = 5;
const CHUNK_MS = 5;
const SAMPLES_APART = 1.5; // periods of a sample: what comes further apart comes in chunks
const SLOW_MS = 150;
const STAGES = {
  receive: "sample to arrival",
  close: "arrival to tick",
  decode: "decoding",
  publish: "publishing",
  total: "total",
};
const HEALTH = {
  waiting: "waiting",
  live: "live",
  stalled: "stalled",
  lost: "lost",
  mismatch: "does not match",
  backlog: "too far behind",
  bad_clock: "wrong clock",
  overloaded: "too slow",
  fault: "failed",
};
const FAULTS = {
  flat: "flat: an electrode may have come off, or an amplifier is off",
  saturated: "saturated: the amplifier is at its limits",
  disconnected: "far from the usual size: an electrode or cable may have come loose",
  nan: "without numbers: look at the program that sends the stream",
  line_noise: "full of power line noise: an electrode may have come loose",
  rate_outlier: "spiking far more often than the others: that may be noise, not neurons",
};
const LINK = {
  connecting: "Connecting …",
  live: "Connected",
  quiet: "No data from Kalmind: this page is out of date",
  lost: "Connection lost: this page is out of date. Reconnecting …",
};

const find = (id) => document.getElementById(id);
const put = (id, text) => {
  const element = find(id);
  if (element.textContent !== text) element.textContent = text;
};
const decimal = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));
// Stamps may be ahead of now: by the uncertainty of a clock, or because a player stamps what it is about to send.
const age = (ms) => {
  if (ms === null || ms === undefined) return "no sample yet";
  return ms < -AHEAD_MS ? `time stamps ${decimal(-ms, 0)} ms in the future` : `last sample ${decimal(Math.max(ms, 0), 0)} ms ago`;
};
const arrival = (arrival, rate) => {
  if (arrival?.measuring) return ["measuring how samples arrive"];
  if (!arrival?.measured) return [];
  const { interval_ms: interval, delay_ms: delay } = arrival.measured;
  const chunked = interval > CHUNK_MS && (rate > 0 ? interval > (SAMPLES_APART * 1000) / rate : delay > CHUNK_MS);
  return chunked ? [`in chunks every ${decimal(interval, 0)} ms, ${decimal(delay, 0)} ms late`] : [];
};
// A sentence for each thing that is wrong with channels; numbered from 1, as they are on a cable.
const channelsOut = (channels = []) =>
  Object.entries(FAULTS).flatMap(([fault, what]) => {
    const those = channels.filter((channel) => channel.fault === fault);
    if (!those.length) return [];
    const named = those.slice(0, 8).map(({ index, channel }) => `${index + 1} (${channel})`);
    const more = those.length > named.length ? ` and ${those.length - named.length} more` : "";
    const one = those.length === 1;
    return [`${one ? "Channel" : "Channels"} ${named.join(", ")}${more} ${one ? "is" : "are"} ${what}; left out until healthy.`];
  });
const millis = (micros) => {
  const value = micros / 1000;
  return value < 10 ? value.toFixed(3) : value.toFixed(0);
};

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

// Pairs of a name and a value as a definition list.
function facts(id, pairs) {
  find(id).replaceChildren(
    ...pairs.map(([name, value]) => {
      const pair = document.createElement("div");
      pair.append(element("dt", name), element("dd", String(value)));
      return pair;
    }),
  );
}

// How many readings of the status in a row have named a channel: one that a moment of chance names is no news.
const suspected = new Map();
const SUSPECTED_FOR = 5;

// Channels that have not looked as they did in training for a while; said loudly where nobody looks.
function signalFacts(signals) {
  if (!signals) return [];
  if (!signals.plausibility) return [["suspect channels", "not checked ([decoder] plausibility = false)"]];
  for (const channel of suspected.keys()) {
    if (!signals.suspects.includes(channel)) suspected.delete(channel);
  }
  for (const channel of signals.suspects) suspected.set(channel, (suspected.get(channel) ?? 0) + 1);
  const suspects = signals.suspects.filter((channel) => suspected.get(channel) >= SUSPECTED_FOR);
  const named = suspects.slice(0, 6).join(", ") + (suspects.length > 6 ? ", …" : "");
  return [["suspect channels", suspects.length ? `${suspects.length}: ${named}` : 0]];
}

const FOLDS = { trials: "folds of trials", rows: "folds of consecutive rows", last_rows: "part (the last rows)" };
const VERDICT = { better: "better than chance", not_better: "no better than chance" };

// How good a decoder is, by rows that it was not fitted to.
function qualityFacts(decoder) {
  if (!decoder) return [];
  const { quality } = decoder;
  if (!quality) return [["quality", "unknown: the model file does not include it"]];
  const { chance, held_out: held } = quality;
  return [
    ["chance", chance.result === "not_tested" ? `not tested: ${chance.why}` : `${VERDICT[chance.result]} (p = ${decimal(chance.p, 4)})`],
    ["error (nRMSE)", `${decimal(quality.nrmse, 3)}; predicting the mean: ${decimal(quality.nrmse_of_mean, 3)}`],
    ["R²", decimal(quality.r2, 3)],
    ["correlation", quality.correlation.map((value) => decimal(value, 2)).join(", ")],
    ...(quality.maae === null ? [] : [["angle", `${decimal((quality.maae * 180) / Math.PI, 0)}°; chance: 90°`]]),
    ...(quality.fallback_steps > 0 ? [["fallback steps", `${quality.fallback_steps} of ${quality.steps}`]] : []),
    ["tested on held-out", `${held.count} ${FOLDS[held.of]}${quality.of_earlier_fit ? ", at an earlier fit" : ""}`],
  ];
}

// What the light says: whether it records, and for how long there is room.
function recordingLight(recording) {
  if (!recording) return "Not recording";
  if (recording.state === "failing") return "Recording fails: see what is the matter at the right";
  if (recording.state === "ended") return "Recording ended";
  const left = recording.minutes_left;
  if (left === null || left === undefined) return "Recording";
  return left >= 180 ? `Recording, room for ${Math.floor(left / 60)} hours` : `Recording, ${Math.floor(left)} minutes left`;
}

export class View {
  #missed = 0;
  #missedEvents = 0;
  #spoken = 0;

  // Whether what the page shows is of this moment.
  link(link) {
    document.body.dataset.link = link;
    put("link", LINK[link]);
    if (link !== "live") this.#forgetAge();
  }

  begin(hello) {
    this.#missed = 0;
    this.#missedEvents = 0;
    document.querySelector("h1").title = `version ${hello.version}, bins of ${hello.bin_ms} ms`;
    facts("session", [
      ["participant", hello.participant || "–"],
      ["instance", hello.instance || "–"],
      ["decoder", "none"],
      ["bin", `${hello.bin_ms} ms`],
      ["version", hello.version],
    ]);
    this.decoder(hello.decoder);
    this.state(hello.state, hello.reason);
  }

  // Which decoder runs, and how good it is; the hash is of its model file. One with a constant covariance cannot say when it
  // is unsure.
  decoder(decoder) {
    const shown = [...find("session").children].find((pair) => pair.firstChild.textContent === "decoder");
    const unsure = decoder?.covariance === "constant" ? ", constant uncertainty" : "";
    if (shown) shown.lastChild.textContent = decoder ? `${decoder.name} ${decoder.model.slice(0, 8)}${unsure}` : "none";
    put("decoder-name", decoder ? `${decoder.name} ${decoder.model.slice(0, 8)}${unsure}` : "none: calibrate first");
    facts("decoder", qualityFacts(decoder));
    put("decoder-warning", (decoder?.warnings ?? []).map(sentence).join(" "));
    find("decoder-section").toggleAttribute("data-poor", Boolean(decoder?.poor));
    find("state").toggleAttribute("data-poor", Boolean(decoder?.poor));
  }

  // A sign of life without a tick: there is no sample whose age could be shown.
  heartbeat(message) {
    this.state(message.state, message.reason);
    this.#forgetAge();
  }

  #forgetAge() {
    put("age", "–");
  }

  state(state, reason) {
    const badge = find("state");
    if (badge.dataset.state !== state) badge.dataset.state = state;
    put("state-name", state);
    put("state-reason", reason ?? "");
  }

  tick(message) {
    this.state(message.state, message.reason);
    put("age", message.age_ms < -AHEAD_MS ? `${decimal(-message.age_ms, 0)} ahead` : decimal(message.age_ms, 1));
    const [x, y] = message.position;
    const place = `${decimal(x, 3)}, ${decimal(y, 3)}`;
    put("place", place);
    const now = performance.now();
    if (now - this.#spoken > SPEAK_EVERY_MS) {
      this.#spoken = now;
      find("workspace").setAttribute("aria-label", `Workspace: cursor at ${place}, state ${message.state}`);
    }
  }

  gap(message) {
    this.#missed += message.missed;
    this.#missedEvents += message.missed_events;
  }

  status(status) {
    find("stages").replaceChildren(
      ...Object.entries(STAGES).map(([stage, name]) => {
        const row = document.createElement("tr");
        const { p50, p99, max, count } = status.latency_us[stage];
        row.append(element("th", name, { scope: "row" }));
        for (const value of [p50, p99, max]) row.append(element("td", count ? millis(value) : "–"));
        return row;
      }),
    );
    const { ticks } = status;
    facts("counts", [
      ["latest tick", status.seq ?? "–"],
      [`${status.state} for`, `${decimal(status.clock.lsl - status.state_since, 0)} s`],
      ["late", ticks.late],
      ["incomplete", ticks.incomplete],
      ["missed", ticks.missed + this.#missed],
      ["events missed", this.#missedEvents],
      ...(status.input?.delay_ms > SLOW_MS ? [["input", `samples arrive ${decimal(status.input.delay_ms, 0)} ms late: too late for cursor control`]] : []),
      ["time lost to hypervisor", status.steal_ms === null ? "–" : `${status.steal_ms} ms`],
      ...signalFacts(status.signals),
    ]);
    this.decoder(status.decoder);
    this.streams(status.streams);
    this.recording(status.recording);
  }

  // The recording, where there is one: what became of its file is told as an alert.
  recording(recording) {
    const light = find("light");
    light.dataset.state = recording?.state ?? "none";
    put("light", recordingLight(recording));
    find("recording-section").hidden = !recording;
    if (!recording) return;
    const lost = ["samples", "ticks", "events", "texts", "files"]
      .map((what) => [what, recording[`lost_${what}`]])
      .filter(([, count]) => count > 0)
      .map(([what, count]) => `${count} ${what}`);
    facts("recording", [
      ["state", recording.state],
      ["file", recording.file],
      ["written", `${(recording.bytes / 1e6).toFixed(1)} MB`],
      ["lost", lost.length ? lost.join(", ") : "nothing"],
    ]);
    put("recording-problem", recording.problem ?? "");
  }

  // The models of the run, newest first, once there is a choice: whoever has the token can let any of them decode.
  models({ models, active, before, wanted }) {
    find("models").hidden = models.length < 2;
    find("models").replaceChildren(
      ...[...models].reverse().map(({ name, model, source }) => {
        const entry = element("li", `${name} ${model.slice(0, 8)}, ${source}`);
        const use = model === before ? "Undo" : "Use";
        const [inUse, comes] = [model === active, model === wanted && wanted !== active];
        if (inUse) entry.append(element("strong", "in use"));
        if (comes) entry.append(element("strong", "comes with the next bin"));
        // while another one is on its way, the one in use takes it back
        if (!comes && (!inUse || wanted)) entry.append(element("button", inUse ? "Keep" : use, { type: "button", "data-model": model }));
        return entry;
      }),
    );
  }

  streams(streams) {
    find("streams").replaceChildren(
      ...streams.map((stream) => {
        const entry = document.createElement("li");
        entry.dataset.health = stream.health;
        const head = document.createElement("p");
        const out = (stream.channels_out ?? []).length;
        entry.toggleAttribute("data-out", out > 0);
        const also = out ? `, ${out} ${out === 1 ? "channel" : "channels"} left out` : "";
        head.append(element("strong", stream.key), element("span", `${HEALTH[stream.health] ?? stream.health}${also}`, { class: "health" }));
        entry.append(head);
        for (const text of [stream.detail, stream.arrival?.remark, ...channelsOut(stream.channels_out)]) {
          if (text) entry.append(element("p", text, { class: "detail" }));
        }
        const figures = [
          `${decimal(stream.measured_rate_hz, 2)} Hz`,
          age(stream.age_ms),
          ...arrival(stream.arrival, stream.description?.nominal_rate_hz),
          ...(stream.settling_ms > 0 ? [`filters settle: ${decimal(stream.settling_ms / 1000, 1)} s to go`] : []),
          `${stream.received} received`,
          ...["missing", "dropped", "late", "reconnects", "overflows"].filter((name) => stream[name] > 0).map((name) => `${stream[name]} ${name}`),
        ];
        entry.append(element("p", figures.join(" · "), { class: "figures" }));
        return entry;
      }),
    );
  }

  steerable(yes) {
    find("steer").hidden = !yes;
    find("models").toggleAttribute("data-steerable", yes);
  }

  goOn(text) {
    put("go-on", text);
  }

  call(text) {
    put("call-text", text);
  }

  notice(text) {
    put("notice", text);
  }
}
