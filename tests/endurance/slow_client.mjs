// A client in Node.js whose event loop stands still for a while: node slow_client.mjs URL PAUSE_MS
// Prints as JSON the code it was closed with and, with their time of arrival, the messages after the pause.
const [url, pause] = [process.argv[2], Number(process.argv[3])];
const acknowledges = url.endsWith("flow=ack");
const socket = new WebSocket(url);
let after = null;

socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  after?.push([Date.now(), message]);
  if (acknowledges && message.type === "state") socket.send(JSON.stringify({ type: "ack", seq: message.seq }));
};
socket.onclose = ({ code }) => console.log(JSON.stringify({ code, after }));
socket.onerror = () => process.exit(1);

setTimeout(() => {
  const end = Date.now() + pause;
  while (Date.now() < end);
  after = [];
  setTimeout(() => socket.close(1000), 2000);
}, 2000);
