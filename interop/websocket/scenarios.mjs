// What must hold for @stomp/stompjs against a live broker, in Node and in a browser alike.
//
// A scenario is an async function of a `context` ({ Client, url, extension, makeSocket }) that throws if
// something does not hold; what it returns is printed. `makeSocket(url, protocols)` opens one;
// `extension` is what the broker should agree to: permessage-deflate or nothing.

const WAIT_MS = 10_000;

export async function runAll(context, more = {}) {
  const results = [];
  for (const [name, scenario] of Object.entries({ ...scenarios, ...more })) {
    try {
      results.push({ name, note: (await scenario(context)) ?? "", problem: "" });
    } catch (error) {
      results.push({ name, note: "", problem: String(error?.stack ?? error) });
    }
  }
  return results;
}

const scenarios = {
  async "connects with v12.stomp, speaks 1.2"(context) {
    const session = await connect(context);
    equal(session.client.connectedVersion, "1.2");
    equal(session.client.webSocket.protocol, "v12.stomp");
    await session.close();
  },

  async "speaks 1.1 and 1.0 if that is all"(context) {
    for (const version of ["1.1", "1.0"]) {
      const protocol = `v${version.replace(".", "")}.stomp`;
      const session = await connect(context, {
        stompVersions: { supportedVersions: () => version, protocolVersions: () => [protocol] },
      });
      equal(session.client.connectedVersion, version);
      equal(session.client.webSocket.protocol, protocol);
      const inbox = session.subscribe(queue());
      session.client.publish({ destination: inbox.destination, body: "old" });
      equal((await inbox.next()).body, "old");
      await session.close();
    }
  },

  async "text, headers, receipts"(context) {
    const session = await connect(context);
    const inbox = session.subscribe(queue());
    // stompjs escapes the values of headers, not their names.
    const headers = { name: "c\\d:e\nf", persistent: "true", priority: "7", "content-type": "a/b" };
    await session.publish({ destination: inbox.destination, body: "h\u00e9llo \u{1f600}", headers });
    const message = await inbox.next();
    equal(message.body, "h\u00e9llo \u{1f600}");
    for (const [name, value] of Object.entries(headers)) equal(message.headers[name], value);
    await session.close();
  },

  async "binary bodies"(context) {
    const session = await connect(context);
    const inbox = session.subscribe(queue());
    const binaryBody = Uint8Array.from({ length: 1_024 }, (_, index) => (index * 7) & 255);
    session.client.publish({ destination: inbox.destination, binaryBody });
    session.client.publish({ destination: inbox.destination, binaryBody: new Uint8Array([0, 10, 0]) });
    equal([...(await inbox.next()).binaryBody], [...binaryBody]);
    equal([...(await inbox.next()).binaryBody], [0, 10, 0]);
    await session.close();
  },

  async "ack, nack, redelivery"(context) {
    const session = await connect(context);
    const destination = queue();
    const inbox = session.subscribe(destination, { ack: "client-individual", "prefetch-count": "1" });
    for (const body of ["1", "2", "3"]) await session.publish({ destination, body });
    const first = await inbox.next();
    first.nack();
    const again = await inbox.next();
    equal([first.body, first.headers.redelivered, again.body, again.headers.redelivered],
      ["1", "false", "1", "true"]);
    again.ack();
    (await inbox.next()).nack({ requeue: "false" });
    equal((await inbox.next()).body, "3");
    await session.close();
    const next = await connect(context);
    const left = next.subscribe(destination);
    equal((await left.next()).body, "3"); // It was not acknowledged.
    await left.nothing();
    await next.close();
  },

  async "transactions"(context) {
    const session = await connect(context);
    const inbox = session.subscribe(queue());
    const { destination } = inbox;
    const aborted = session.client.begin();
    session.client.publish({ destination, body: "aborted", headers: { transaction: aborted.id } });
    aborted.abort();
    const committed = session.client.begin();
    for (const body of ["one", "two"])
      session.client.publish({ destination, body, headers: { transaction: committed.id } });
    await inbox.nothing();
    committed.commit();
    equal([(await inbox.next()).body, (await inbox.next()).body], ["one", "two"]);
    await inbox.nothing();
    await session.close();
  },

  async "heart-beats both ways keep an idle connection"(context) {
    let pings = 0;
    let pongs = 0;
    const session = await connect(context, {
      heartbeatIncoming: 1_000,
      heartbeatOutgoing: 1_000,
      debug: (line) => {
        pings += line === ">>> PING";
        pongs += line === "<<< PONG";
      },
    });
    const inbox = session.subscribe(queue());
    await sleep(3_700);
    if (pings < 3 || pongs < 3) throw new Error(`${pings} beats sent, ${pongs} received`);
    await session.publish({ destination: inbox.destination, body: "still here" });
    equal((await inbox.next()).body, "still here");
    await session.close();
    return `${pings} beats sent, ${pongs} received in 3.7 s`;
  },

  async "large frames, in one message and in many"(context) {
    for (const splitLargeFrames of [false, true]) {
      const session = await connect(context, { splitLargeFrames });
      const inbox = session.subscribe(queue());
      const body = "\u20ac0123456789".repeat(250_000); // 3.25 MB.
      session.client.publish({ destination: inbox.destination, body });
      equal((await inbox.next()).body === body, true);
      const binaryBody = Uint8Array.from({ length: 2_000_000 }, (_, index) => (index * index) & 255);
      session.client.publish({ destination: inbox.destination, binaryBody });
      const arrived = (await inbox.next()).binaryBody;
      equal(arrived.length, binaryBody.length);
      equal(arrived.every((octet, index) => octet === binaryBody[index]), true);
      await session.close();
    }
  },

  async "thousands of messages in order"(context) {
    const count = 5_000;
    const session = await connect(context);
    const inbox = session.subscribe(queue(), { ack: "client", "prefetch-count": "500" });
    const begun = performance.now();
    for (let number = 0; number < count; number++)
      session.client.publish({ destination: inbox.destination, body: String(number) });
    for (let number = 0; number < count; number++) {
      const message = await inbox.next();
      equal(message.body, String(number));
      if (number % 100 === 99) message.ack();
    }
    const seconds = (performance.now() - begun) / 1_000;
    await session.close();
    return `${Math.round(count / seconds)} messages/s, there and back`;
  },

  async "a refused login is an ERROR"(context) {
    const message = await connect(context, {
      connectHeaders: { login: "guest", passcode: "wrong" },
    }).then(() => "connected", (error) => error.message);
    equal(message, "Bad CONNECT");
  },

  async "DISCONNECT ends cleanly with 1000"(context) {
    const session = await connect(context);
    const { code, wasClean } = await session.close();
    equal([code, wasClean], [1000, true]);
  },

  async "what is no STOMP ends with 1007 and why"(context) {
    const { code, reason, wasClean } = await new Promise((resolve) => {
      const socket = context.makeSocket(context.url, ["v12.stomp"]);
      socket.onopen = () => socket.send("CONNECT\naccept-version:1.2\n\n\0SEND\nno colon\n\n\0");
      socket.onclose = resolve;
    });
    equal([code, reason, wasClean], [1007, "a header line has no colon", true]);
  },

  async "compression as agreed"({ url, extension, makeSocket }) {
    const socket = makeSocket(url, []);
    await new Promise((resolve) => (socket.onopen = resolve));
    equal(socket.extensions.split(";")[0], extension);
    socket.close();
  },

  async "nothing but /ws is served"(context) {
    const code = await failure(context.makeSocket(context.url.replace(/ws$/, "other"), []));
    equal(code, 1006);
  },
};

export function failure(socket) {
  return new Promise((resolve, reject) => {
    socket.onopen = () => reject(new Error("it was let in"));
    socket.onerror = () => {};
    socket.onclose = ({ code }) => resolve(code);
  });
}

export function equal(actual, expected) {
  const [left, right] = [actual, expected].map((value) => JSON.stringify(value));
  if (left !== right) throw new Error(`expected ${right}, got ${left}`);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let queueCount = 0;
const run = Math.random().toString(36).slice(2, 8);
const queue = () => `/queue/websocket-${run}-${queueCount++}`;

/** Resolves to a session once CONNECTED has come; rejects on ERROR or if nothing comes. */
export function connect(context, options = {}) {
  return withDeadline("CONNECTED", (resolve, reject) => {
    const client = new context.Client({
      webSocketFactory: () =>
        context.makeSocket(context.url, client.stompVersions.protocolVersions()),
      connectHeaders: { login: "guest", passcode: "guest", host: "/" },
      reconnectDelay: 0,
      ...options,
      onConnect: () => resolve(new Session(client)),
      onStompError: (frame) => reject(new Error(frame.headers.message)),
      onWebSocketError: () => reject(new Error("the WebSocket failed")),
    });
    client.activate();
  });
}

class Session {
  #receiptCount = 0;

  constructor(client) {
    this.client = client;
    client.onStompError = (frame) => {
      throw new Error(`ERROR: ${frame.headers.message}: ${frame.body}`);
    };
  }

  subscribe(destination, headers = {}) {
    const inbox = new Inbox(destination);
    this.client.subscribe(destination, (message) => inbox.put(message), headers);
    return inbox;
  }

  /** Sends a message; resolves when its RECEIPT has come. */
  publish({ headers = {}, ...message }) {
    return withDeadline("RECEIPT", (resolve) => {
      const receipt = `r-${this.#receiptCount++}`;
      this.client.watchForReceipt(receipt, resolve);
      this.client.publish({ ...message, headers: { ...headers, receipt } });
    });
  }

  /** DISCONNECTs; resolves to the WebSocket's close event. */
  close() {
    return withDeadline("close", (resolve) => {
      this.client.onWebSocketClose = resolve;
      this.client.deactivate();
    });
  }
}

class Inbox {
  #messages = [];
  #waiting = null;

  constructor(destination) {
    this.destination = destination;
  }

  put(message) {
    this.#messages.push(message);
    this.#waiting?.();
  }

  async next() {
    if (!this.#messages.length)
      await withDeadline("MESSAGE", (resolve) => (this.#waiting = resolve));
    this.#waiting = null;
    return this.#messages.shift();
  }

  async nothing() {
    await sleep(200);
    equal(this.#messages.map((message) => message.body), []);
  }
}

function withDeadline(what, executor) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${what} came`)), WAIT_MS);
    const done = (settle) => (value) => (clearTimeout(timer), settle(value));
    executor(done(resolve), done(reject));
  });
}
