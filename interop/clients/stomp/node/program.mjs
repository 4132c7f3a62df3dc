// The scenarios with @stomp/stompjs, over WebSocket: node program.mjs HOST PORT PREFIX

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@stomp/stompjs";
import { WebSocket } from "ws";

const PATIENCE_MS = 20_000;
const [host, port, prefix] = process.argv.slice(2);

/** What has come and what is waited for, in order. */
class Inbox {
  #frames = [];
  #waiting = [];

  put(frame) {
    const resolve = this.#waiting.shift();
    if (resolve) resolve(frame);
    else this.#frames.push(frame);
  }

  next() {
    if (this.#frames.length) return this.#frames.shift();
    return inTime("frame", (resolve) => this.#waiting.push(resolve));
  }
}

function inTime(what, executor) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${what} came`)), PATIENCE_MS);
    executor((value) => (clearTimeout(timer), resolve(value)));
  });
}

/** A connection; its messages, in the order in which they come, whatever they are subscribed with. */
class Session {
  messages = new Inbox();
  errors = new Inbox();
  receipts = new Inbox();

  constructor({ passcode = "guest", heartBeatMs = 0 } = {}) {
    this.client = new Client({
      webSocketFactory: () =>
        new WebSocket(`ws://${host}:${port}/ws`, ["v12.stomp", "v11.stomp", "v10.stomp"]),
      connectHeaders: { login: "guest", passcode, host: "/" },
      heartbeatIncoming: heartBeatMs,
      heartbeatOutgoing: heartBeatMs,
      reconnectDelay: 0,
      onStompError: (frame) => this.errors.put(frame),
      onUnhandledReceipt: (frame) => this.receipts.put(frame),
    });
  }

  static async open(settings) {
    const session = new Session(settings);
    await inTime("CONNECTED", (resolve) => {
      session.client.onConnect = resolve;
      session.client.activate();
    });
    return session;
  }

  subscribe(destination, id = "s", headers = {}) {
    this.client.subscribe(destination, (message) => this.messages.put(message), { id, ...headers });
  }

  send(destination, body, headers = {}) {
    const content = typeof body === "string" ? { body } : { binaryBody: body };
    this.client.publish({ destination, headers, ...content });
  }

  /** DISCONNECTs with a receipt, then closes. */
  close() {
    return inTime("close", (resolve) => {
      this.client.onWebSocketClose = resolve;
      this.client.deactivate();
    });
  }
}

const queue = (name) => `/queue/${prefix}${name}`;
const individually = { ack: "client-individual" };

const scenarios = {
  async "refused login"() {
    const session = new Session({ passcode: "wrong" });
    session.client.activate();
    const refusal = await session.errors.next();
    await session.client.deactivate();
    return refusal.headers.message;
  },

  async headers() {
    const c = await Session.open();
    c.subscribe(queue("headers"));
    const headers = { colon: "a:b\\c", umlaut: "ü", "correlation-id": "c1", "content-type": "text/plain" };
    c.send(queue("headers"), "käse", headers);
    const message = await c.messages.next();
    await c.close();
    return [message.body, ...Object.keys(headers).map((name) => message.headers[name])];
  },

  async binary() {
    const c = await Session.open();
    const octets = Uint8Array.from({ length: 256 }, (_, octet) => octet);
    c.subscribe(queue("binary"));
    c.send(queue("binary"), octets);
    const { binaryBody } = await c.messages.next();
    await c.close();
    return Buffer.compare(binaryBody, octets) === 0;
  },

  async receipts() {
    const c = await Session.open();
    for (let number = 0; number < 100; number++)
      c.send(queue("receipts"), `${number}`, { persistent: "true", receipt: `r${number}` });
    const seen = new Set();
    for (let number = 0; number < 100; number++)
      seen.add((await c.receipts.next()).headers["receipt-id"]);
    await c.close();
    return seen.size;
  },

  async redelivery() {
    let c = await Session.open();
    c.send(queue("redelivery"), "m");
    c.subscribe(queue("redelivery"), "s", individually);
    const first = await c.messages.next();
    await c.close();
    c = await Session.open();
    c.subscribe(queue("redelivery"), "s", individually);
    const second = await c.messages.next();
    second.ack();
    await c.close();
    return [first.headers.redelivered, second.headers.redelivered];
  },

  async nack() {
    const c = await Session.open();
    c.subscribe(queue("nack"), "s", individually);
    c.send(queue("nack"), "m");
    (await c.messages.next()).nack();
    const again = await c.messages.next();
    again.ack();
    await c.close();
    return again.headers.redelivered;
  },

  async transactions() {
    const c = await Session.open();
    const aborted = c.client.begin("t1");
    c.send(queue("transactions"), "aborted", { transaction: aborted.id });
    aborted.abort();
    const committed = c.client.begin("t2");
    for (const body of ["1", "2"]) c.send(queue("transactions"), body, { transaction: committed.id });
    committed.commit();
    c.subscribe(queue("transactions"));
    const bodies = [(await c.messages.next()).body, (await c.messages.next()).body];
    await c.close();
    return bodies;
  },

  async topic() {
    const c = await Session.open();
    c.subscribe(`/topic/${prefix}a.*`, "one");
    c.subscribe(`/topic/${prefix}a.#`, "all");
    c.send(`/topic/${prefix}a.b`, "m");
    const both = [await c.messages.next(), await c.messages.next()];
    await c.close();
    return both.map((message) => message.headers.subscription).sort();
  },

  async reply() {
    const c = await Session.open();
    const server = await Session.open();
    // The broker subscribes for the client: no subscription of the library has its id.
    c.client.onUnhandledMessage = (message) => c.messages.put(message);
    server.subscribe(queue("questions"));
    c.send(queue("questions"), "question", { "reply-to": "/temp-queue/answers" });
    server.send((await server.messages.next()).headers["reply-to"], "answer");
    const message = await c.messages.next();
    await c.close();
    await server.close();
    return [message.body, message.headers.subscription];
  },

  async errors() {
    const c = await Session.open();
    c.send("/nothing/a", "m");
    const refused = await c.errors.next();
    c.subscribe(queue("errors"));
    c.send(queue("errors"), "still here");
    const message = await c.messages.next();
    await c.close();
    return [refused.headers.message, message.body];
  },

  async "in order"() {
    const c = await Session.open();
    const other = await Session.open();
    other.subscribe(queue("order"), "s", { ...individually, "prefetch-count": "50" });
    for (let number = 0; number < 2_000; number++) c.send(queue("order"), `${number}`);
    for (let number = 0; number < 2_000; number++) {
      const message = await other.messages.next();
      assert.equal(message.body, `${number}`);
      message.ack();
    }
    await c.close();
    await other.close();
    return 2_000;
  },

  async "heart-beats"() {
    const c = await Session.open({ heartBeatMs: 1_000 });
    await sleep(4_000);
    c.subscribe(queue("beats"));
    c.send(queue("beats"), "alive");
    const message = await c.messages.next();
    await c.close();
    return message.body;
  },
};

const say = (line) => console.log(JSON.stringify(line));

const manifest = new URL("node_modules/@stomp/stompjs/package.json", import.meta.url);
say({ library: `@stomp/stompjs ${JSON.parse(readFileSync(manifest)).version}` });
for (const [name, scenario] of Object.entries(scenarios)) {
  try {
    say({ scenario: name, seen: await scenario() });
  } catch (error) {
    say({ scenario: name, problem: String(error) });
  }
}
process.exit(0); // Connections of scenarios that failed are still open.
