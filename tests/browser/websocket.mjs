// Gives a Node.js before version 20, such as Debian 12's, the WebSocket that browsers and newer ones have built in:
// node --import tests/browser/websocket.mjs PROGRAM
import { WebSocket } from "ws";

globalThis.WebSocket ??= class extends WebSocket {
  constructor(url) {
    super(url);
    // built in, an error that nobody listens to ends nothing
    this.on("error", () => {});
  }
};
