// The stretch of rest that thresholds and references are of, in words.

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

// The day as people say it, and the time, on this machine's clock.
function moment(made) {
  const [at, today] = [new Date(made.replace("+0000", "Z")), new Date()];
  const day = at.toDateString() === today.toDateString() ? "today" : at.toLocaleDateString();
  return `${day} ${at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
}

export function referenceText({ text, made, seconds, warnings }) {
  const which = made ? `of ${moment(made)}, ${Math.round(seconds)} s` : text;
  return [`Reference block: ${which}`, ...warnings].map(sentence).join(" ");
}
