// The stretch of rest that thresholds and references are of, in words.

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
const two = (number) => String(number).padStart(2, "0");

// The day as people say it, and the time of 24 hours, on this machine's clock.
function moment(made) {
  const [at, today] = [new Date(made.replace("+0000", "Z")), new Date()];
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${at.toDateString() === today.toDateString() ? "today" : date}, ${two(at.getHours())}:${two(at.getMinutes())}`;
}

export function referenceText({ text, made, seconds, warnings }) {
  const which = made ? `of ${moment(made)} (${Math.round(seconds)} s)` : text;
  return [`Thresholds from the rest ${which}`, ...warnings].map(sentence).join(" ");
}
