// amqplib: `node program.mjs amqp://user:password@host:port/ [scenario ...]`. Prints one line of
// JSON per scenario: what it saw, or what went wrong.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import amqp from "amqplib";

const WAIT_MS = 10_000;
const [url, ...wanted] = process.argv.slice(2);

async function withConnection(use, options = "") {
  const connection = await amqp.connect(url + options);
  connection.on("error", () => {}); // Told by what failed, too.
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
}

const withChannel = (use) =>
  withConnection(async (connection) => use(await connection.createChannel(), connection));

async function inTime(promise, what) {
  const timeout = sleep(WAIT_MS, undefined, { ref: false }).then(() => assert.fail(`no ${what} in time`));
  return Promise.race([promise, timeout]);
}

async function until(condition, what) {
  for (const deadline = Date.now() + WAIT_MS; !condition(); await sleep(5))
    assert(Date.now() < deadline, `no ${what} in time`);
}

const count = async (channel, queue) => (await channel.checkQueue(queue)).messageCount;

// Unconfirmed messages may still be on their way to the queue.
async function waitForCount(channel, queue, expected) {
  for (const deadline = Date.now() + WAIT_MS; ; ) {
    const found = await count(channel, queue);
    if (found === expected) return;
    assert(Date.now() < deadline, `${found} messages in ${queue}, not ${expected}`);
  }
}

async function take(channel, queue) {
  for (const deadline = Date.now() + WAIT_MS; ; ) {
    const message = await channel.get(queue);
    if (message) return message;
    assert(Date.now() < deadline, `nothing came from ${queue}`);
  }
}

const scenarios = {
  async "refused login"() {
    const error = await amqp.connect(url.replace("guest:guest", "guest:wrong")).then(
      () => assert.fail("a wrong password was accepted"),
      (refusal) => refusal,
    );
    return error.message;
  },

  "exchange types": () =>
    withChannel(async (channel) => {
      const all = { "x-match": "all", shape: "round", size: 3 };
      for (const [type, key, args, expected] of [
        ["direct", "a.b", {}, 2],
        ["fanout", "ignored", {}, 6],
        ["topic", "a.*", {}, 4],
        ["headers", "", all, 3],
      ]) {
        const name = `node.${type}`;
        await channel.assertExchange(name, type);
        await channel.assertQueue(name);
        await channel.bindQueue(name, name, key, args);
        for (const headers of [{ shape: "round", size: 3 }, { shape: "round" }])
          for (const routingKey of ["a.b", "a.c", "a.b.c"])
            channel.publish(name, routingKey, Buffer.alloc(0), { headers });
        await waitForCount(channel, name, expected);
      }
    }),

  confirms: () =>
    withConnection(async (connection) => {
      const channel = await connection.createConfirmChannel();
      await channel.assertQueue("node.confirms");
      let confirmed = 0;
      for (let number = 0; number < 1000; number++)
        channel.sendToQueue("node.confirms", Buffer.from(`${number}`), { persistent: true }, (error) => {
          assert.ifError(error);
          confirmed++;
        });
      await channel.waitForConfirms();
      assert.equal(confirmed, 1000);
      assert.equal(await count(channel, "node.confirms"), 1000);
    }),

  "mandatory return": () =>
    withChannel(async (channel) => {
      const returned = once(channel, "return");
      channel.publish("", "node.nowhere", Buffer.from("back"), { mandatory: true });
      const [message] = await inTime(returned, "return");
      assert.equal(message.content.toString(), "back");
      return `${message.fields.replyCode} ${message.fields.replyText}`;
    }),

  prefetch: () =>
    withChannel(async (channel) => {
      await channel.assertQueue("node.prefetch", { durable: false });
      for (let number = 0; number < 50; number++) channel.sendToQueue("node.prefetch", Buffer.alloc(0));
      await channel.prefetch(10);
      const came = [];
      await channel.consume("node.prefetch", (message) => came.push(message));
      for (let round = 1; round <= 5; round++) {
        await until(() => came.length >= round * 10, "deliveries");
        await waitForCount(channel, "node.prefetch", 50 - round * 10);
        assert.equal(came.length, round * 10);
        channel.ack(came.at(-1), true);
      }
    }),

  requeue: () =>
    withChannel(async (channel) => {
      await channel.assertQueue("node.requeue", { durable: false });
      channel.sendToQueue("node.requeue", Buffer.from("again"));
      const first = await take(channel, "node.requeue");
      channel.nack(first);
      const second = await take(channel, "node.requeue");
      channel.ack(second);
      assert.equal(second.content.toString(), "again");
      assert.deepEqual([first.fields.redelivered, second.fields.redelivered], [false, true]);
    }),

  "dead letters": () =>
    withChannel(async (channel) => {
      await channel.assertQueue("node.dead", { durable: false });
      await channel.assertQueue("node.dying", {
        durable: false,
        deadLetterExchange: "",
        deadLetterRoutingKey: "node.dead",
      });
      channel.sendToQueue("node.dying", Buffer.from("corpse"), { headers: { kept: "as it was" } });
      channel.reject(await take(channel, "node.dying"), false);
      const dead = await take(channel, "node.dead");
      assert.equal(dead.content.toString(), "corpse");
      const { "x-death": [death], kept } = dead.properties.headers;
      assert.equal(kept, "as it was");
      assert.equal(death.time["!"], "timestamp");
      return { ...death, time: "a timestamp" };
    }),

  "header types": () =>
    withChannel(async (channel) => {
      const headers = {
        boolean: true,
        byte: -100,
        short: -30_000,
        int: -2_000_000_000,
        long: 2 ** 50,
        double: 0.1,
        float: { "!": "float", value: 1.5 },
        decimal: { "!": "decimal", value: { places: 2, digits: 1234 } },
        timestamp: { "!": "timestamp", value: 1_770_000_000 },
        text: "grüße",
        octets: Buffer.from([0, 255]),
        none: null,
        list: [1, "two", { three: [3] }],
        table: { inner: { most: true } },
      };
      await channel.assertQueue("node.table", { durable: false });
      const properties = {
        headers,
        contentType: "text/plain",
        contentEncoding: "utf-8",
        priority: 3,
        correlationId: "c",
        replyTo: "r",
        expiration: "60000",
        messageId: "m",
        timestamp: 1_770_000_001,
        type: "kind",
        userId: "guest",
        appId: "node",
        deliveryMode: 1,
      };
      channel.sendToQueue("node.table", Buffer.alloc(0), properties);
      const came = await take(channel, "node.table");
      headers.float = 1.5; // Read back as plain numbers.
      assert.deepEqual({ ...came.properties, clusterId: undefined }, { ...properties, clusterId: undefined });
    }),

  "direct reply-to": () =>
    withConnection(async (connection) => {
      const server = await connection.createChannel();
      const client = await connection.createChannel();
      const replyTo = "amq.rabbitmq.reply-to";
      await server.assertQueue("node.rpc", { durable: false });
      await server.consume("node.rpc", (request) => {
        assert(request.properties.replyTo.startsWith(`${replyTo}.`));
        const { correlationId } = request.properties;
        server.sendToQueue(
          request.properties.replyTo,
          Buffer.from(request.content.toString().toUpperCase()),
          { correlationId },
        );
        server.ack(request);
      });
      const reply = new Promise((resolve) => client.consume(replyTo, resolve, { noAck: true }));
      client.sendToQueue("node.rpc", Buffer.from("question"), { replyTo, correlationId: "7" });
      const { content, properties } = await inTime(reply, "reply");
      assert.deepEqual([content.toString(), properties.correlationId], ["QUESTION", "7"]);
    }),

  "cancel notification": () =>
    withConnection(async (connection) => {
      const channel = await connection.createChannel();
      const other = await connection.createChannel();
      await channel.assertQueue("node.cancel", { durable: false });
      const cancelled = new Promise((resolve) =>
        channel.consume("node.cancel", resolve, { consumerTag: "watcher" }),
      );
      await channel.checkQueue("node.cancel"); // The consumer is there.
      await other.deleteQueue("node.cancel");
      assert.equal(await inTime(cancelled, "cancel"), null);
    }),

  "missing queue": () =>
    withConnection(async (connection) => {
      const channel = await connection.createChannel();
      const other = await connection.createChannel();
      const closed = once(channel, "error");
      const refused = await channel.checkQueue("node.missing").then(
        () => assert.fail("it is there"),
        (error) => error,
      );
      await inTime(closed, "error");
      await other.assertQueue("node.other", { durable: false, autoDelete: true });
      assert.equal(refused.code, 404);
      return refused.message;
    }),

  "large message": () =>
    withChannel(async (channel) => {
      const body = Buffer.alloc(1 << 21, "0123456789abcdef");
      await channel.assertQueue("node.large", { durable: false });
      channel.sendToQueue("node.large", body);
      const came = await take(channel, "node.large");
      assert(came.content.equals(body), "another body came");
    }),

  "unicode names": () =>
    withChannel(async (channel) => {
      const [exchange, queue, key] = ["node.příliš", "node.žluťoučký 🐇", "κλειδί"];
      await channel.assertExchange(exchange, "direct", { durable: false });
      await channel.assertQueue(queue, { durable: false });
      await channel.bindQueue(queue, exchange, key);
      channel.publish(exchange, key, Buffer.from("tělo"));
      const { content, fields } = await take(channel, queue);
      assert.deepEqual([fields.exchange, fields.routingKey, content.toString()], [exchange, key, "tělo"]);
    }),

  heartbeats: () =>
    withConnection(async (connection) => {
      const channel = await connection.createChannel();
      await sleep(3500);
      await channel.assertQueue("node.heartbeats", { durable: false, autoDelete: true });
    }, "?heartbeat=1"),

  "both at once": () =>
    withConnection(async (connection) =>
      withConnection(async (publishing) => {
        const channel = await connection.createChannel();
        const publisher = await publishing.createChannel();
        await channel.assertQueue("node.both", { durable: false });
        await channel.prefetch(100);
        const numbers = [];
        const done = new Promise((resolve) =>
          channel.consume("node.both", (message) => {
            numbers.push(Number(message.content.toString()));
            channel.ack(message);
            if (numbers.length === 5000) resolve();
          }),
        );
        for (let number = 0; number < 5000; number++)
          if (!publisher.sendToQueue("node.both", Buffer.from(`${number}`)))
            await inTime(once(publisher, "drain"), "drain");
        await inTime(done, "end");
        assert.deepEqual(numbers, [...Array(5000).keys()]);
      }),
    ),
};

const say = (line) => console.log(JSON.stringify(line));

const manifest = new URL("node_modules/amqplib/package.json", import.meta.url);
say({ library: `amqplib ${JSON.parse(readFileSync(manifest)).version}` });
for (const [name, run] of Object.entries(scenarios)) {
  if (wanted.length && !wanted.includes(name)) continue;
  try {
    say({ scenario: name, seen: (await run()) ?? null });
  } catch (error) {
    console.error(error);
    say({ scenario: name, problem: String(error.message) });
  }
}
process.exit(0);
