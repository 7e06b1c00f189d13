// A page in Chromium that hangs for a while, the browser's network goes on: node slow_page.js URL PAUSE_MS
// Prints as JSON the code it was closed with and, with their time of arrival, the messages after the pause.
import { launched } from "./page.js";

const [url, pause] = [process.argv[2], Number(process.argv[3])];
const browser = await launched();
try {
  const page = await browser.newPage();
  // a page of the daemon's own origin
  await page.goto(url.replace("ws:", "http:").replace(/v1.*/, "icon.svg"));
  const told = await page.evaluate(
    ([url, pause]) =>
      new Promise((resolve) => {
        const acknowledges = url.endsWith("flow=ack");
        const socket = new WebSocket(url);
        let after = null;
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          after?.push([Date.now(), message]);
          if (acknowledges && message.type === "state") socket.send(JSON.stringify({ type: "ack", seq: message.seq }));
        };
        socket.onclose = ({ code }) => resolve({ code, after });
        setTimeout(() => {
          const end = Date.now() + pause;
          while (Date.now() < end);
          after = [];
          setTimeout(() => socket.close(1000), 2000);
        }, 2000);
      }),
    [url, pause],
  );
  console.log(JSON.stringify(told));
} finally {
  await browser.close();
}
