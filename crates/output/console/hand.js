// The person's hand on the mouse, where a run takes it as what its simulated participant means (`kalmind demo --mouse`).

const EVERY_MS = 33; // how often the daemon is told of it
const OVER_MS = 80; // its velocity is how far it got in so long
const RESTS_MS = 50; // a mouse that has not moved for so long rests

// The velocity at `now` (milliseconds) of a hand that was at these places, the oldest first: { at, x, y }.
export function velocity(places, now) {
  const last = places.at(-1);
  if (!last) return [0, 0];
  const end = now - last.at < RESTS_MS ? last.at : now;
  const begin = end - OVER_MS;
  const next = places.find(({ at }) => at > begin) ?? last;
  const before = places.findLast(({ at }) => at <= begin) ?? next;
  const share = next.at > before.at ? (begin - before.at) / (next.at - before.at) : 0;
  return ["x", "y"].map((axis) => {
    const then = before[axis] + Math.max(0, share) * (next[axis] - before[axis]);
    return Number(((1000 * (last[axis] - then)) / OVER_MS).toFixed(4));
  });
}

export class Hand {
  #canvas;
  #on;
  #taken = false;
  #places = [];
  #moves = false; // what was told last

  // `on` is called back: on.moves([x, y]) with a velocity in workspace widths per second, on.at(place or null)
  constructor(canvas, on) {
    this.#canvas = canvas;
    this.#on = on;
    canvas.addEventListener("pointermove", (event) => this.#moved(event));
    for (const type of ["pointerleave", "pointercancel"]) canvas.addEventListener(type, () => this.#gone());
    setInterval(() => this.#tell(), EVERY_MS);
  }

  // Whether this run takes a hand, and this page may tell of it.
  set taken(yes) {
    if (yes === this.#taken) return;
    this.#taken = yes;
    this.#canvas.toggleAttribute("data-hand", yes);
    this.#gone();
  }

  #moved(event) {
    if (!this.#taken) return;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const place = { at: event.timeStamp, x: event.offsetX / width, y: (height - event.offsetY) / width };
    this.#on.at([place.x, place.y]);
    // with a button held the mouse is brought back, as if it were lifted; a finger moves only while it touches
    if (event.pointerType === "mouse" && event.buttons) this.#places = [];
    else this.#places.push(place);
    const old = this.#places.findLastIndex(({ at }) => at <= place.at - 2 * OVER_MS);
    this.#places.splice(0, Math.max(0, old));
  }

  #gone() {
    this.#places = [];
    this.#on.at(null);
  }

  #tell() {
    if (!this.#taken) return;
    const now = velocity(this.#places, performance.now());
    const moves = now.some((part) => part !== 0);
    if (moves || this.#moves) this.#on.moves(now);
    this.#moves = moves;
  }
}
