// `node node.mjs ws://host:port/ws [extension]`: runs every scenario with the package ws, and
// prints the results as JSON. The extension is the one that the broker should agree to.

import { Client } from "@stomp/stompjs";
import { WebSocket } from "ws";

import { equal, failure, runAll } from "./scenarios.mjs";

const more = {
  async "ping is answered by pong"({ url }) {
    const socket = new WebSocket(url);
    const pong = await new Promise((resolve, reject) => {
      socket.onerror = reject;
      socket.on("pong", resolve);
      socket.on("open", () => socket.ping("echo"));
    });
    equal(pong.toString(), "echo");
    socket.close();
  },

  async "who offers no subprotocol gets none"({ url }) {
    const socket = new WebSocket(url);
    await new Promise((resolve) => (socket.onopen = resolve));
    equal(socket.protocol, "");
    socket.close();
  },

  async "a page of a stranger is refused"({ url }) {
    equal(await failure(new WebSocket(url, { origin: "http://evil.example" })), 1006);
  },
};

const makeSocket = (url, protocols) => new WebSocket(url, protocols);
const [url, extension] = process.argv.slice(2);
console.log(JSON.stringify(await runAll({ Client, url, extension, makeSocket }, more)));
process.exit(0);
