// What an app starts from: follows Kalmind's cursor, counts presses, and can stop it. The first part runs as it is in a web
// page too (its origin has to be in `allowed_origins` under [server]); the last lines are for Node.js:
//
//     node client.mjs [HOST:PORT]        Enter stops the cursor, Ctrl-C ends the client
//
// WebSocket is built into browsers and into Node.js 22; version 20 has it with `node --experimental-websocket`.

// Kalmind sends something at least every 100 ms, with or without a signal: after so many ms the connection is dead.
const SILENCE = 1000;

/** What an app keeps: where its cursor is, and the presses made while it was connected. */
export class App {
  position = [0, 0];
  presses = 0;
  counter = null;
  shown = "";

  constructor(say) {
    this.say = say;
  }

  handle(message) {
    if (message.type === "hello") {
      const decoder = message.decoder?.name ?? "none";
      this.say(`connected: Kalmind ${message.version}, decoder ${decoder}, ${message.bin_ms} ms a tick`);
      this.counter = null;
    } else if (message.type === "state") {
      // only in `control` does the decoder move the cursor; in every other state ours stays where it is
      if (message.state === "control") this.position = message.position;
      // the counter tells of every press, whatever states were missed; those before we connected are not ours
      if (message.click) {
        this.presses += this.counter === null ? 0 : message.click.presses - this.counter;
        this.counter = message.click.presses;
      }
      this.show(message);
    } else if (message.type === "heartbeat") {
      this.show(message); // there are no ticks: only what state Kalmind is in
    } else if (message.type === "event") {
      this.say(`event ${message.kind}: ${JSON.stringify(message.data)}`);
    } else if (message.type === "gap") {
      this.say(`gap: ${message.missed} states and ${message.missed_events} events missed`);
    }
  }

  /** A line when something changes, and one a second. */
  show({ state, reason, sent }) {
    const shown = `${state} ${this.presses} ${Math.floor(sent)}`;
    if (shown === this.shown) return;
    this.shown = shown;
    const [x, y] = this.position.map((value) => value.toFixed(3));
    this.say(`${state} (${reason ?? ""}): cursor ${x} ${y}, presses ${this.presses}`);
  }
}

/** Follows for ever: a connection that ends is made anew. Until then nothing arrives, so the cursor stands still. */
export function follow(address, app) {
  const socket = new WebSocket(`ws://${address}/v1/state?flow=ack`);
  let silence;
  const again = () => {
    clearTimeout(silence);
    socket.onmessage = socket.onclose = null;
    socket.close();
    app.say("no connection");
    setTimeout(follow, 1000, address, app);
  };
  const wait = () => {
    clearTimeout(silence);
    silence = setTimeout(again, SILENCE);
  };
  wait();
  socket.onclose = again;
  socket.onmessage = ({ data }) => {
    wait();
    const message = JSON.parse(data);
    app.handle(message);
    // handled: now Kalmind sends the newest state, and old ones never queue up for us
    if (message.type === "state") socket.send(JSON.stringify({ type: "ack", seq: message.seq }));
  };
}

/** Anybody may stop, without a token. Only the operator resumes. */
export async function stop(address) {
  const answer = await fetch(`http://${address}/v1/stop`, { method: "POST" });
  if (!answer.ok) throw new Error(await answer.text());
}

if (globalThis.process?.argv[1]?.endsWith("client.mjs")) {
  const address = process.argv[2] ?? "127.0.0.1:8765";
  follow(address, new App(console.log));
  process.stdin.on("data", () => stop(address).catch((error) => console.log(`NOT STOPPED: ${error}`)));
}
