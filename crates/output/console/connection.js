// The link to the daemon: one WebSocket that comes back by itself, STOP by whatever way is open, and the status document.

const QUIET_AFTER_MS = 300; // heartbeats come every 100 ms, so silence is not "no news"
const RETRY_MS = [250, 500, 1000, 2000];
const STATUS_EVERY_MS = 1000;
const TOKEN_KEY = "kalmind-token";

// The run's token comes in the fragment, which browsers never send; it is kept for this tab and taken out of the address.
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    sessionStorage.setItem(TOKEN_KEY, token);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(TOKEN_KEY);
}

export class Connection {
  #socket = null;
  #attempt = 0;
  #heard = 0;
  #link = "connecting";
  #token;
  #console;
  #on;

  // `on` is called back: on.message(message), on.status(document), on.link("live" | "quiet" | "lost"), on.token(accepted)
  // `name` is how a page calls itself that runs sessions: while it answers, the daemon knows that it is there
  constructor(token, on, name = null) {
    this.#token = token;
    this.#console = name;
    this.#on = on;
    this.#open();
    setInterval(() => this.#watch(), 50);
    setInterval(() => this.#poll(), STATUS_EVERY_MS);
    this.#poll();
  }

  // Resolves when the daemon has taken the STOP; rejects when it could not be reached. Sent by both ways, since one of
  // them may hang and not know it yet; stopping twice is stopping.
  async stop() {
    this.#send({ type: "stop" });
    const answer = await fetch("/v1/stop", { method: "POST", headers: this.#headers(), signal: AbortSignal.timeout(2000) });
    if (!answer.ok) throw new Error(`the daemon answered ${answer.status}`);
  }

  // Asks for a state, with what whoever asks agrees to; needs the token.
  async ask(state, agreed = {}) {
    const headers = { "content-type": "application/json" };
    await this.#fetch("/v1/control", { method: "POST", headers, body: JSON.stringify({ state, ...agreed, console: this.#console ?? undefined }) });
  }

  // Asks something of the session; gives what it shows of itself afterwards.
  session(request, person) {
    const headers = { "content-type": "application/json" };
    return this.#fetch("/v1/session", { method: "POST", headers, body: JSON.stringify({ person, request }) });
  }

  // How the hand moves, in workspace widths per second; only after `on.token(true)`.
  hand(velocity) {
    this.#send({ type: "event", kind: "operator", data: { action: "hand", velocity } });
  }

  // The models of the run.
  models() {
    return this.#fetch("/v1/models", {});
  }

  // Lets a model of the run decode; needs the token.
  async activate(model) {
    // a large model takes seconds to build
    await this.#fetch(`/v1/models/${model}/activate`, { method: "POST", patience: 30000 });
  }

  async #fetch(path, { headers = {}, patience = 2000, ...request }) {
    let answer, said;
    try {
      answer = await fetch(path, {
        ...request,
        headers: { ...this.#headers(), ...headers },
        signal: AbortSignal.timeout(patience),
      });
      said = await answer.json();
    } catch {
      throw new Error("Kalmind has not answered: look at the state before you ask again, since it may have been done");
    }
    if (!answer.ok) throw new Error(`Refused: ${said.message}`);
    return said;
  }

  #open() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/state?flow=ack&session=1${this.#console ? `&console=${this.#console}` : ""}`, ["kalmind.v1"]);
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempt = 0;
      // not as a subprotocol: a token of an earlier run would refuse reading too
      if (this.#token) this.#send({ type: "auth", token: this.#token });
    };
    socket.onmessage = (event) => {
      if (socket !== this.#socket) return;
      this.#heard = performance.now();
      this.#setLink("live");
      const message = JSON.parse(event.data);
      this.#take(message);
      // the browser answers pings while the page hangs, so the daemon is told what the page has shown
      if (message.type === "state") this.#send({ type: "ack", seq: message.seq });
    };
    socket.onclose = () => {
      if (socket !== this.#socket) return;
      this.#setLink("lost");
      setTimeout(() => this.#open(), RETRY_MS[Math.min(this.#attempt++, RETRY_MS.length - 1)]);
    };
  }

  #take(message) {
    if (message.type === "accepted" && message.request === "auth") return this.#on.token(true);
    if (message.type === "error" && ["unauthorized", "wrong_token"].includes(message.code)) {
      sessionStorage.removeItem(TOKEN_KEY);
      this.#token = null;
      return this.#on.token(false);
    }
    this.#on.message(message);
  }

  #watch() {
    if (this.#link === "live" && performance.now() - this.#heard > QUIET_AFTER_MS) this.#setLink("quiet");
  }

  async #poll() {
    try {
      const answer = await fetch("/v1/status", { headers: this.#headers(), signal: AbortSignal.timeout(STATUS_EVERY_MS) });
      if (answer.ok) this.#on.status(await answer.json());
    } catch {
      // the link's own state says that the daemon is gone
    }
  }

  #headers() {
    return this.#token ? { authorization: `Bearer ${this.#token}` } : {};
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #setLink(link) {
    if (link === this.#link) return;
    this.#link = link;
    this.#on.link(link);
  }
}
