import static java.nio.charset.StandardCharsets.UTF_8;

import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.AuthenticationFailureException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.Return;
import com.rabbitmq.client.ShutdownSignalException;
import com.rabbitmq.client.impl.LongStringHelper;
import java.io.IOException;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * amqp-client: {@code ClientProgram amqp://user:password@host:port/ [scenario ...]}. Prints one line
 * of JSON per scenario: what it saw, or what went wrong.
 */
public final class ClientProgram {
  private static final long WAIT_S = 10;
  private static final Map<String, Object> NONE = Collections.emptyMap();

  private interface Scenario {
    String run() throws Exception;
  }

  private interface Use {
    String with(Connection connection, Channel channel) throws Exception;
  }

  private final String url;
  private final Map<String, Scenario> scenarios = new LinkedHashMap<>();

  private ClientProgram(String url) {
    this.url = url;
    scenarios.put("refused login", this::refusedLogin);
    scenarios.put("exchange types", this::exchangeTypes);
    scenarios.put("confirms", this::confirms);
    scenarios.put("mandatory return", this::mandatoryReturn);
    scenarios.put("prefetch", this::prefetch);
    scenarios.put("requeue", this::requeue);
    scenarios.put("dead letters", this::deadLetters);
    scenarios.put("header types", this::headerTypes);
    scenarios.put("transactions", this::transactions);
    scenarios.put("direct reply-to", this::directReplyTo);
    scenarios.put("cancel notification", this::cancelNotification);
    scenarios.put("missing queue", this::missingQueue);
    scenarios.put("large message", this::largeMessage);
    scenarios.put("unicode names", this::unicodeNames);
    scenarios.put("heartbeats", this::heartbeats);
    scenarios.put("both at once", this::bothAtOnce);
  }

  public static void main(String[] arguments) {
    List<String> wanted = Arrays.asList(arguments).subList(1, arguments.length);
    ClientProgram program = new ClientProgram(arguments[0]);
    String version = ConnectionFactory.class.getPackage().getImplementationVersion();
    say("{\"library\": " + quote("amqp-client " + version) + "}");
    program.scenarios.forEach(
        (name, scenario) -> {
          if (wanted.isEmpty() || wanted.contains(name)) run(name, scenario);
        });
    System.exit(0);
  }

  private static void run(String name, Scenario scenario) {
    String result;
    try {
      result = "\"seen\": " + quote(scenario.run());
    } catch (Exception | AssertionError problem) {
      problem.printStackTrace();
      result = "\"problem\": " + quote(problem.toString());
    }
    say("{\"scenario\": " + quote(name) + ", " + result + "}");
  }

  private static void say(String line) {
    System.out.writeBytes(bytes(line + "\n"));
    System.out.flush();
  }

  private static String quote(String text) {
    if (text == null) return "null";
    return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
  }

  private static void check(boolean condition, String problem) {
    if (!condition) throw new AssertionError(problem);
  }

  private static void equal(Object actual, Object expected) {
    check(expected.equals(actual), actual + ", not " + expected);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(UTF_8);
  }

  private static String text(byte[] bytes) {
    return new String(bytes, UTF_8);
  }

  private ConnectionFactory factory() throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(url);
    factory.setAutomaticRecoveryEnabled(false);
    return factory;
  }

  private String withChannel(Use use) throws Exception {
    try (Connection connection = factory().newConnection()) {
      return use.with(connection, connection.createChannel());
    }
  }

  private static void declare(Channel channel, String queue) throws IOException {
    channel.queueDeclare(queue, false, false, false, null);
  }

  /** Unconfirmed messages may still be on their way to the queue. */
  private static void waitForCount(Channel channel, String queue, long expected) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_S);
    for (long found; (found = channel.messageCount(queue)) != expected; ) {
      check(System.nanoTime() < deadline, found + " messages in " + queue + ", not " + expected);
    }
  }

  private static GetResponse take(Channel channel, String queue) throws IOException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_S);
    while (System.nanoTime() < deadline) {
      GetResponse message = channel.basicGet(queue, false);
      if (message != null) return message;
    }
    throw new AssertionError("nothing came from " + queue);
  }

  private static <T> T receive(BlockingQueue<T> queue) throws InterruptedException {
    T value = queue.poll(WAIT_S, TimeUnit.SECONDS);
    check(value != null, "nothing came in time");
    return value;
  }

  private String refusedLogin() throws Exception {
    ConnectionFactory factory = factory();
    factory.setPassword("wrong");
    try (Connection connection = factory.newConnection()) {
      throw new AssertionError("a wrong password was accepted");
    } catch (AuthenticationFailureException refusal) {
      return refusal.getMessage();
    }
  }

  private String exchangeTypes() throws Exception {
    Map<String, Object> round = Map.of("shape", "round", "size", 3);
    Map<String, Object> all = Map.of("x-match", "all", "shape", "round", "size", 3);
    return withChannel(
        (connection, channel) -> {
          check(channel, "direct", "a.b", NONE, round, 2);
          check(channel, "fanout", "ignored", NONE, round, 6);
          check(channel, "topic", "a.*", NONE, round, 4);
          check(channel, "headers", "", all, round, 3);
          return null;
        });
  }

  private static void check(
      Channel channel,
      String type,
      String bindingKey,
      Map<String, Object> arguments,
      Map<String, Object> headers,
      int expected)
      throws Exception {
    String name = "java." + type;
    channel.exchangeDeclare(name, type, true);
    channel.queueDeclare(name, true, false, false, null);
    channel.queueBind(name, name, bindingKey, arguments);
    for (Map<String, Object> each : List.of(headers, Map.<String, Object>of("shape", "round"))) {
      for (String key : List.of("a.b", "a.c", "a.b.c")) {
        channel.basicPublish(
            name, key, new BasicProperties.Builder().headers(each).build(), new byte[0]);
      }
    }
    waitForCount(channel, name, expected);
  }

  private String confirms() throws Exception {
    return withChannel(
        (connection, channel) -> {
          channel.queueDeclare("java.confirms", true, false, false, null);
          channel.confirmSelect();
          BasicProperties persistent = new BasicProperties.Builder().deliveryMode(2).build();
          for (int number = 0; number < 1_000; number++) {
            channel.basicPublish("", "java.confirms", persistent, bytes("" + number));
          }
          channel.waitForConfirmsOrDie(WAIT_S * 1_000);
          equal(channel.messageCount("java.confirms"), 1_000L);
          return null;
        });
  }

  private String mandatoryReturn() throws Exception {
    BlockingQueue<Return> returns = new LinkedBlockingQueue<>();
    return withChannel(
        (connection, channel) -> {
          channel.addReturnListener(returns::add);
          channel.basicPublish("", "java.nowhere", true, null, bytes("back"));
          Return returned = receive(returns);
          equal(text(returned.getBody()), "back");
          return returned.getReplyCode() + " " + returned.getReplyText();
        });
  }

  private String prefetch() throws Exception {
    BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
    return withChannel(
        (connection, channel) -> {
          declare(channel, "java.prefetch");
          for (int number = 0; number < 50; number++) {
            channel.basicPublish("", "java.prefetch", null, new byte[0]);
          }
          channel.basicQos(10);
          channel.basicConsume(
              "java.prefetch", false, (tag, delivery) -> deliveries.add(delivery), tag -> {});
          for (int came = 1; came <= 50; came++) {
            Delivery last = receive(deliveries);
            if (came % 10 == 0) {
              waitForCount(channel, "java.prefetch", 50 - came);
              equal(deliveries.size(), 0);
              channel.basicAck(last.getEnvelope().getDeliveryTag(), true);
            }
          }
          return null;
        });
  }

  private String requeue() throws Exception {
    return withChannel(
        (connection, channel) -> {
          declare(channel, "java.requeue");
          channel.basicPublish("", "java.requeue", null, bytes("again"));
          GetResponse first = take(channel, "java.requeue");
          channel.basicNack(first.getEnvelope().getDeliveryTag(), false, true);
          GetResponse second = take(channel, "java.requeue");
          channel.basicAck(second.getEnvelope().getDeliveryTag(), false);
          equal(text(second.getBody()), "again");
          check(!first.getEnvelope().isRedeliver(), "redelivered at first");
          check(second.getEnvelope().isRedeliver(), "not marked as redelivered");
          return null;
        });
  }

  private String deadLetters() throws Exception {
    return withChannel(
        (connection, channel) -> {
          declare(channel, "java.dead");
          Map<String, Object> arguments =
              Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", "java.dead");
          channel.queueDeclare("java.dying", false, false, false, arguments);
          Map<String, Object> headers = Map.of("kept", "as it was");
          channel.basicPublish(
              "", "java.dying", new BasicProperties.Builder().headers(headers).build(), bytes("x"));
          GetResponse rejected = take(channel, "java.dying");
          channel.basicReject(rejected.getEnvelope().getDeliveryTag(), false);
          Map<String, Object> came = take(channel, "java.dead").getProps().getHeaders();
          equal(came.get("kept").toString(), "as it was");
          Map<?, ?> death = (Map<?, ?>) ((List<?>) came.get("x-death")).get(0);
          Map<String, String> seen = new TreeMap<>();
          death.forEach(
              (name, value) ->
                  seen.put(
                      name + " " + value.getClass().getSimpleName(),
                      value instanceof Date ? "" : value.toString()));
          return seen.toString();
        });
  }

  private String headerTypes() throws Exception {
    Map<String, Object> headers = new LinkedHashMap<>();
    headers.put("bool", true);
    headers.put("byte", (byte) -100);
    headers.put("short", (short) -30_000);
    headers.put("int", -2_000_000_000);
    headers.put("long", 1L << 60);
    headers.put("float", 1.5f);
    headers.put("double", 0.1);
    headers.put("decimal", new BigDecimal("-12.34"));
    headers.put("text", LongStringHelper.asLongString("grüße"));
    headers.put("octets", LongStringHelper.asLongString(new byte[] {0, -1}));
    headers.put("time", new Date(1_770_000_000_000L));
    headers.put("none", null);
    headers.put("list", List.of(1, LongStringHelper.asLongString("two"), Map.of("three", 3L)));
    headers.put("table", Map.of("inner", Map.of("most", true)));
    BasicProperties sent =
        new BasicProperties.Builder()
            .headers(headers)
            .contentType("text/plain")
            .contentEncoding("utf-8")
            .deliveryMode(1)
            .priority(3)
            .correlationId("c")
            .replyTo("r")
            .expiration("60000")
            .messageId("m")
            .timestamp(new Date(1_770_000_001_000L))
            .type("kind")
            .userId("guest")
            .appId("java")
            .build();
    return withChannel(
        (connection, channel) -> {
          declare(channel, "java.table");
          channel.basicPublish("", "java.table", sent, new byte[0]);
          equal(take(channel, "java.table").getProps(), sent);
          return null;
        });
  }

  private String transactions() throws Exception {
    return withChannel(
        (connection, channel) -> {
          Channel other = connection.createChannel();
          declare(channel, "java.tx");
          channel.txSelect();
          channel.basicPublish("", "java.tx", null, bytes("dropped"));
          channel.txRollback();
          channel.basicPublish("", "java.tx", null, bytes("kept"));
          long before = other.messageCount("java.tx");
          channel.txCommit();
          equal(List.of(before, other.messageCount("java.tx")), List.of(0L, 1L));
          equal(text(take(other, "java.tx").getBody()), "kept");
          return null;
        });
  }

  private String directReplyTo() throws Exception {
    String replyTo = "amq.rabbitmq.reply-to";
    BlockingQueue<Delivery> replies = new LinkedBlockingQueue<>();
    return withChannel(
        (connection, server) -> {
          Channel client = connection.createChannel();
          declare(server, "java.rpc");
          server.basicConsume(
              "java.rpc",
              true,
              (tag, request) -> {
                BasicProperties properties = request.getProperties();
                server.basicPublish(
                    "",
                    properties.getReplyTo(),
                    new BasicProperties.Builder()
                        .correlationId(properties.getCorrelationId())
                        .build(),
                    bytes(text(request.getBody()).toUpperCase()));
              },
              tag -> {});
          client.basicConsume(replyTo, true, (tag, reply) -> replies.add(reply), tag -> {});
          BasicProperties request =
              new BasicProperties.Builder().replyTo(replyTo).correlationId("7").build();
          client.basicPublish("", "java.rpc", request, bytes("question"));
          Delivery reply = receive(replies);
          equal(reply.getProperties().getCorrelationId(), "7");
          equal(text(reply.getBody()), "QUESTION");
          return null;
        });
  }

  private String cancelNotification() throws Exception {
    BlockingQueue<String> cancelled = new LinkedBlockingQueue<>();
    return withChannel(
        (connection, channel) -> {
          declare(channel, "java.cancel");
          channel.basicConsume(
              "java.cancel",
              true,
              "watcher",
              new DefaultConsumer(channel) {
                @Override
                public void handleCancel(String tag) {
                  cancelled.add(tag);
                }
              });
          connection.createChannel().queueDelete("java.cancel");
          return receive(cancelled);
        });
  }

  private String missingQueue() throws Exception {
    return withChannel(
        (connection, channel) -> {
          Channel other = connection.createChannel();
          try {
            channel.queueDeclarePassive("java.missing");
            throw new AssertionError("it is there");
          } catch (IOException refused) {
            check(!channel.isOpen() && connection.isOpen(), "the wrong thing was closed");
            other.queueDeclare("java.other", false, false, true, null);
            return ((ShutdownSignalException) refused.getCause()).getReason().toString();
          }
        });
  }

  private String largeMessage() throws Exception {
    byte[] body = bytes("0123456789abcdef".repeat(1 << 17));
    return withChannel(
        (connection, channel) -> {
          declare(channel, "java.large");
          channel.basicPublish("", "java.large", null, body);
          check(Arrays.equals(take(channel, "java.large").getBody(), body), "another body came");
          return null;
        });
  }

  private String unicodeNames() throws Exception {
    String exchange = "java.příliš";
    String queue = "java.žluťoučký 🐇";
    String key = "κλειδί";
    return withChannel(
        (connection, channel) -> {
          channel.exchangeDeclare(exchange, "direct");
          declare(channel, queue);
          channel.queueBind(queue, exchange, key);
          channel.basicPublish(exchange, key, null, bytes("tělo"));
          GetResponse came = take(channel, queue);
          equal(came.getEnvelope().getExchange(), exchange);
          equal(came.getEnvelope().getRoutingKey(), key);
          equal(text(came.getBody()), "tělo");
          return null;
        });
  }

  private String heartbeats() throws Exception {
    ConnectionFactory factory = factory();
    factory.setRequestedHeartbeat(1);
    try (Connection connection = factory.newConnection()) {
      Channel channel = connection.createChannel();
      Thread.sleep(3_500);
      channel.queueDeclare("java.heartbeats", false, false, true, null);
      return "every " + connection.getHeartbeat() + " s";
    }
  }

  private String bothAtOnce() throws Exception {
    BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
    BlockingQueue<String> ends = new LinkedBlockingQueue<>();
    return withChannel(
        (connection, channel) -> {
          declare(channel, "java.both");
          channel.basicQos(100);
          channel.basicConsume(
              "java.both", false, (tag, delivery) -> deliveries.add(delivery), tag -> {});
          try (Connection publishing = factory().newConnection()) {
            Channel publisher = publishing.createChannel();
            new Thread(() -> ends.add(publish(publisher))).start();
            List<Integer> numbers = new ArrayList<>();
            while (numbers.size() < 5_000) {
              Delivery delivery = receive(deliveries);
              numbers.add(Integer.valueOf(text(delivery.getBody())));
              channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
            }
            equal(receive(ends), "published");
            for (int number = 0; number < 5_000; number++) equal(numbers.get(number), number);
          }
          return null;
        });
  }

  private static String publish(Channel publisher) {
    try {
      for (int number = 0; number < 5_000; number++) {
        publisher.basicPublish("", "java.both", null, bytes("" + number));
      }
      return "published";
    } catch (IOException problem) {
      return problem.toString();
    }
  }
}
