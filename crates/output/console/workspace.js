// The workspace on a canvas: cursor, target and what the decoder believes. x to the right, y up, one unit a width.

const AHEAD_S = 0.3; // how far ahead the ellipse looks
const SPREAD = Math.sqrt(5.991); // 95 % of a two-dimensional Gaussian lie within (chi-square, 2 degrees of freedom)
const CURSOR_RADIUS = 0.014;
const HAND_RADIUS = 0.03;
const VELOCITY_UNIT = "workspace widths/s";
const UNSCALED_SIZE = 0.08; // of the widest ellipse so far, where the intent's unit is not ours

// What the page of whoever runs a session looks like: fill and edge of each thing, null for what is not drawn.
const OPERATOR = {
  grid: "#e6e9ed",
  intent: ["rgba(230, 150, 30, 0.16)", "#b26a00"],
  target: ["#cfe3cf", "#2d7a37"],
  cursor: ["#1f5fa8", "#ffffff"],
  hand: ["rgba(122, 62, 161, 0.15)", "#7a3ea1"],
};

// Half-axes and angle of the ellipse of a symmetric 2 x 2 covariance [[a, b], [b, c]]; null where it is none.
export function ellipse([[a, b], [, c]]) {
  const middle = (a + c) / 2;
  const spread = Math.hypot((a - c) / 2, b);
  const smaller = middle - spread;
  if (!(Number.isFinite(smaller) && middle + spread >= 0)) return null;
  return { long: Math.sqrt(middle + spread), short: Math.sqrt(Math.max(smaller, 0)), angle: Math.atan2(2 * b, a - c) / 2 };
}

export class Workspace {
  #canvas;
  #ink;
  #height = 1;
  #scaled = true;
  #widest = 0;
  #state = null;
  #target = null;
  #hand = null;
  #pending = false;
  #look;

  constructor(canvas, look = OPERATOR) {
    this.#canvas = canvas;
    this.#look = look;
    this.#ink = canvas.getContext("2d");
    new ResizeObserver(() => this.#fit()).observe(canvas);
  }

  // What stays the same for a session.
  begin(hello) {
    this.#height = hello.workspace.height / hello.workspace.width;
    this.#scaled = hello.intent.slice(0, 2).every((component) => component.unit === VELOCITY_UNIT);
    this.#canvas.style.aspectRatio = `1 / ${this.#height}`;
    this.#canvas.parentElement.style.setProperty("--wide", String(1 / this.#height));
    this.#canvas.style.setProperty("--height", this.#height);
    this.#widest = 0;
    this.#state = null;
    this.place(hello.target?.data);
    this.#fit();
  }

  // A tick.
  move(state) {
    this.#state = state;
    const [x, y] = state.position;
    Object.assign(this.#canvas.dataset, { x, y, seq: state.seq });
    this.#redraw();
  }

  // A target, or none.
  place(target) {
    this.#target = target?.position ? target : null;
    if (this.#target) {
      [this.#canvas.dataset.targetX, this.#canvas.dataset.targetY] = this.#target.position;
    } else {
      delete this.#canvas.dataset.targetX;
      delete this.#canvas.dataset.targetY;
    }
    this.#redraw();
  }

  // Where the person's hand is, in a run that takes one.
  point(place) {
    if (place === this.#hand) return;
    this.#hand = place;
    this.#redraw();
  }

  #fit() {
    const { width, height } = this.#canvas.getBoundingClientRect();
    this.#canvas.width = Math.round(width * devicePixelRatio);
    this.#canvas.height = Math.round(height * devicePixelRatio);
    this.#redraw();
  }

  #redraw() {
    if (this.#pending) return;
    this.#pending = true;
    requestAnimationFrame(() => {
      this.#pending = false;
      this.#draw();
    });
  }

  #draw() {
    const ink = this.#ink;
    const width = this.#canvas.width;
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.clearRect(0, 0, width, this.#canvas.height);
    ink.setTransform(width, 0, 0, -width, 0, this.#canvas.height);
    if (this.#look.grid) this.#grid();
    if (this.#target) this.#disc(this.#target.position, this.#target.radius, ...this.#look.target, 0.003);
    if (this.#hand) this.#disc(this.#hand, HAND_RADIUS, ...this.#look.hand, 0.004);
    if (!this.#state) return;
    if (this.#look.intent) this.#intent();
    this.#disc(this.#state.position, CURSOR_RADIUS, ...this.#look.cursor, 0.003);
  }

  #grid() {
    const ink = this.#ink;
    ink.strokeStyle = this.#look.grid;
    ink.lineWidth = 0.0015;
    ink.beginPath();
    for (let at = 0.1; at < 0.95; at += 0.1) {
      ink.moveTo(at, 0);
      ink.lineTo(at, this.#height);
    }
    for (let at = 0.1; at < this.#height - 0.05; at += 0.1) {
      ink.moveTo(0, at);
      ink.lineTo(1, at);
    }
    ink.stroke();
  }

  #disc([x, y], radius, fill, edge, lineWidth) {
    const ink = this.#ink;
    ink.beginPath();
    ink.arc(x, y, radius, 0, 2 * Math.PI);
    ink.fillStyle = fill;
    ink.fill();
    ink.strokeStyle = edge;
    ink.lineWidth = lineWidth;
    ink.stroke();
  }

  // Where the first two components lead in a moment, and how sure that is.
  #intent() {
    const { intent, position } = this.#state;
    if (!intent || intent.mean.length < 2) return;
    const shape = ellipse(intent.covariance);
    if (!shape) return;
    this.#widest = Math.max(this.#widest, shape.long);
    const scale = this.#scaled ? AHEAD_S : UNSCALED_SIZE / (SPREAD * this.#widest || 1);
    const ink = this.#ink;
    const tip = [position[0] + intent.mean[0] * scale, position[1] + intent.mean[1] * scale];
    [ink.fillStyle, ink.strokeStyle] = this.#look.intent;
    ink.lineWidth = 0.003;
    ink.beginPath();
    ink.moveTo(...position);
    ink.lineTo(...tip);
    ink.stroke();
    ink.beginPath();
    ink.ellipse(...tip, SPREAD * shape.long * scale, SPREAD * shape.short * scale, shape.angle, 0, 2 * Math.PI);
    ink.fill();
    ink.stroke();
  }
}
