// The participant calls: a sound here and there, until somebody has seen it.

const AGAIN_MS = 2500;
const TONES_HZ = [880, 660];
const TONE_S = 0.22;

let sound = null;

// Two tones, if the browser lets this page be heard; whether it does.
export function ring() {
  sound ??= new AudioContext();
  if (sound.state === "suspended") sound.resume();
  if (sound.state !== "running") return false;
  TONES_HZ.forEach((hertz, place) => {
    const [tone, loudness] = [sound.createOscillator(), sound.createGain()];
    const from = sound.currentTime + place * TONE_S;
    tone.frequency.value = hertz;
    loudness.gain.setValueAtTime(0, from);
    loudness.gain.linearRampToValueAtTime(0.3, from + 0.02);
    loudness.gain.linearRampToValueAtTime(0, from + TONE_S);
    tone.connect(loudness).connect(sound.destination);
    tone.start(from);
    tone.stop(from + TONE_S);
  });
  return true;
}

// Rings as long as somebody calls. `heard(audible)` is told each time whether anybody can have heard it.
export class Bell {
  #rings = null;
  #heard;

  constructor(heard = () => {}) {
    this.#heard = heard;
  }

  set calling(calls) {
    if (calls === (this.#rings !== null)) return;
    clearInterval(this.#rings);
    this.#rings = calls ? setInterval(() => this.#heard(ring()), AGAIN_MS) : null;
    if (calls) this.#heard(ring());
  }
}
