import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;

/**
 * RocketMQ's own client: {@code RocketProgram name-server-address prefix [scenario ...]}. Prints one
 * line of JSON per scenario: what it saw, or what went wrong.
 */
public final class RocketProgram {
  private static final long WAIT_S = 20;

  private interface Scenario {
    String run(String topic) throws Exception;
  }

  private final String nameServer;
  private final String prefix;
  private final Map<String, Scenario> scenarios = new LinkedHashMap<>();
  private DefaultMQProducer producer;

  private RocketProgram(String nameServer, String prefix) {
    this.nameServer = nameServer;
    this.prefix = prefix;
    scenarios.put("send and push", this::sendAndPush);
    scenarios.put("asynchronous", this::asynchronous);
    scenarios.put("batch", this::batch);
    scenarios.put("large message", this::largeMessage);
    scenarios.put("tags", this::tags);
    scenarios.put("SQL92", this::sql);
    scenarios.put("delay", this::delay);
    scenarios.put("retry", this::retry);
    scenarios.put("dead letters", this::deadLetters);
    scenarios.put("ordered", this::ordered);
    scenarios.put("broadcasting", this::broadcasting);
    scenarios.put("committed offset", this::committedOffset);
    scenarios.put("lite pull", this::litePull);
    scenarios.put("seek", this::seek);
    scenarios.put("queue's own group", this::ownGroup);
  }

  public static void main(String[] arguments) throws Exception {
    List<String> wanted = Arrays.asList(arguments).subList(2, arguments.length);
    RocketProgram program = new RocketProgram(arguments[0], arguments[1]);
    say("{\"library\": " + quote("rocketmq-client " + MQVersion.getVersionDesc(
        MQVersion.CURRENT_VERSION)) + "}");
    program.producer = new DefaultMQProducer(program.prefix + "producers");
    program.producer.setNamesrvAddr(program.nameServer);
    program.producer.start();
    int number = 0;
    for (Map.Entry<String, Scenario> each : program.scenarios.entrySet()) {
      String topic = program.prefix + "topic" + number++;
      if (wanted.isEmpty() || wanted.contains(each.getKey())) {
        run(each.getKey(), each.getValue(), topic);
      }
    }
    program.producer.shutdown();
    System.exit(0);
  }

  private static void run(String name, Scenario scenario, String topic) {
    String result;
    try {
      result = "\"seen\": " + quote(scenario.run(topic));
    } catch (Exception | AssertionError error) {
      result = "\"problem\": " + quote(error.toString());
    }
    say("{\"scenario\": " + quote(name) + ", " + result + "}");
  }

  private String sendAndPush(String topic) throws Exception {
    producer.createTopic("TBW102", topic, 4, Collections.emptyMap());
    BlockingQueue<MessageExt> got = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = push(topic + "-group", topic, "*", got);
    SendResult last = null;
    for (int number = 0; number < 20; number++) {
      Message message = new Message(topic, "TagA", "key" + number, bytes("body " + number));
      message.putUserProperty("number", String.valueOf(number));
      message.putUserProperty("priority", String.valueOf(number % 4));
      last = producer.send(message);
      check(last.getSendStatus() == SendStatus.SEND_OK, "a send is OK");
    }
    Set<String> seen = new TreeSet<>();
    for (int number = 0; number < 20; number++) {
      MessageExt message = next(got);
      check(message.getTags().equals("TagA"), "the tag is there");
      check(message.getKeys().equals("key" + message.getUserProperty("number")), "the key is there");
      check(text(message).equals("body " + message.getUserProperty("number")), "the body is there");
      seen.add(text(message));
    }
    check(seen.size() == 20, "each came once");
    MessageExt found = producer.viewMessage(topic, last.getOffsetMsgId());
    check(text(found).equals("body 19"), "a message is found by its id");
    consumer.shutdown();
    return seen.size() + " messages";
  }

  private String asynchronous(String topic) throws Exception {
    CountDownLatch sent = new CountDownLatch(100);
    for (int number = 0; number < 100; number++) {
      producer.send(
          new Message(topic, bytes("m" + number)),
          new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
              sent.countDown();
            }

            @Override
            public void onException(Throwable error) {
              say(error.toString());
            }
          });
    }
    check(sent.await(WAIT_S, TimeUnit.SECONDS), "all callbacks come");
    producer.sendOneway(new Message(topic, bytes("one-way")));
    BlockingQueue<MessageExt> got = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = push(topic + "-group", topic, "*", got);
    Set<String> seen = texts(got, 101);
    consumer.shutdown();
    return seen.size() + " messages";
  }

  private String batch(String topic) throws Exception {
    List<Message> messages = new ArrayList<>();
    for (int number = 0; number < 10; number++) {
      messages.add(new Message(topic, "tag", "key" + number, bytes("m" + number)));
    }
    SendResult result = producer.send(messages);
    check(result.getMsgId().split(",").length == 10, "each has an id");
    BlockingQueue<MessageExt> got = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = push(topic + "-group", topic, "*", got);
    Set<String> seen = texts(got, 10);
    consumer.shutdown();
    return seen.toString();
  }

  private String largeMessage(String topic) throws Exception {
    byte[] body = new byte[2 << 20];
    Arrays.fill(body, (byte) 'x');
    producer.send(new Message(topic, body));
    BlockingQueue<MessageExt> got = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = push(topic + "-group", topic, "*", got);
    check(Arrays.equals(next(got).getBody(), body), "the body comes back");
    consumer.shutdown();
    return "2 MiB";
  }

  private String tags(String topic) throws Exception {
    for (String tag : List.of("a", "b", "c", "a")) {
      producer.send(new Message(topic, tag, bytes("of " + tag)));
    }
    BlockingQueue<MessageExt> got = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = push(topic + "-group", topic, "a || c", got);
    List<String> seen = new ArrayList<>();
    for (int number = 0; number < 3; number++) seen.add(text(next(got)));
    checkQuiet(got);
    consumer.shutdown();
    Collections.sort(seen);
    return seen.toString();
  }

  private String sql(String topic) throws Exception {
    for (int number = 0; number < 6; number++) {
      Message message = new Message(topic, "t", bytes("m" + number));
      message.putUserProperty("number", String.valueOf(number));
      message.putUserProperty("colour", number % 2 == 0 ? "red" : "blue");
      producer.send(message);
    }
    BlockingQueue<MessageExt> got = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = consumer(topic + "-group");
    consumer.subscribe(topic, MessageSelector.bySql("number > 1 AND colour = 'red'"));
    start(consumer, got);
    Set<String> seen = texts(got, 2);
    checkQuiet(got);
    consumer.shutdown();
    return seen.toString();
  }

  private String delay(String topic) throws Exception {
    Message levelled = new Message(topic, bytes("level"));
    levelled.setDelayTimeLevel(2); // 5 s.
    Message timed = new Message(topic, bytes("time"));
    timed.setDelayTimeMs(2000);
    producer.send(levelled);
    producer.send(timed);
    long sent = System.nanoTime();
    BlockingQueue<MessageExt> got = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = push(topic + "-group", topic, "*", got);
    String first = text(next(got));
    check(System.nanoTime() - sent > 1_500_000_000L, "the first waits two seconds");
    String second = text(next(got));
    check(System.nanoTime() - sent > 4_500_000_000L, "the second waits five seconds");
    consumer.shutdown();
    return first + ", " + second;
  }

  private String retry(String topic) throws Exception {
    producer.send(new Message(topic, "tag", bytes("again")));
    BlockingQueue<Integer> times = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = consumer(topic + "-group");
    consumer.subscribe(topic, "*");
    consumer.registerMessageListener(
        (MessageListenerConcurrently) (messages, context) -> {
          times.add(messages.get(0).getReconsumeTimes());
          context.setDelayLevelWhenNextConsume(1);
          return messages.get(0).getReconsumeTimes() < 2
              ? ConsumeConcurrentlyStatus.RECONSUME_LATER
              : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
    consumer.start();
    List<Integer> seen = new ArrayList<>();
    for (int number = 0; number < 3; number++) seen.add(next(times));
    checkQuiet(times);
    consumer.shutdown();
    return "delivered before: " + seen;
  }

  private String deadLetters(String topic) throws Exception {
    String group = topic + "-group";
    producer.send(new Message(topic, "tag", "key", bytes("dies")));
    BlockingQueue<Integer> times = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = consumer(group);
    consumer.setMaxReconsumeTimes(1);
    consumer.subscribe(topic, "*");
    consumer.registerMessageListener(
        (MessageListenerConcurrently) (messages, context) -> {
          times.add(messages.get(0).getReconsumeTimes());
          context.setDelayLevelWhenNextConsume(1);
          return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
    consumer.start();
    check(next(times) == 0 && next(times) == 1, "it comes twice");
    BlockingQueue<MessageExt> dead = new LinkedBlockingQueue<>();
    Thread.sleep(1000);
    DefaultMQPushConsumer undertaker = push(group + "-dead", "%DLQ%" + group, "*", dead);
    MessageExt letter = next(dead);
    checkQuiet(times);
    consumer.shutdown();
    undertaker.shutdown();
    return text(letter) + ", key " + letter.getKeys() + ", of " + (letter.getProperty("RETRY_TOPIC")
        .equals(topic) ? "its topic" : letter.getProperty("RETRY_TOPIC"));
  }

  private String ordered(String topic) throws Exception {
    for (int number = 0; number < 20; number++) {
      producer.send(
          new Message(topic, bytes(String.valueOf(number))),
          (queues, message, order) -> queues.get((int) order % queues.size()),
          7);
    }
    BlockingQueue<String> got = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = consumer(topic + "-group");
    consumer.subscribe(topic, "*");
    boolean[] suspended = new boolean[1];
    consumer.registerMessageListener(
        (MessageListenerOrderly) (messages, context) -> {
          if (text(messages.get(0)).equals("10") && !suspended[0]) {
            suspended[0] = true;
            return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
          }
          for (MessageExt message : messages) got.add(text(message));
          return ConsumeOrderlyStatus.SUCCESS;
        });
    consumer.start();
    List<String> seen = new ArrayList<>();
    for (int number = 0; number < 20; number++) seen.add(next(got));
    consumer.shutdown();
    check(suspended[0], "the queue was suspended once");
    return seen.toString();
  }

  private String broadcasting(String topic) throws Exception {
    producer.send(new Message(topic, bytes("first")));
    List<BlockingQueue<MessageExt>> gots = new ArrayList<>();
    List<DefaultMQPushConsumer> consumers = new ArrayList<>();
    for (int number = 0; number < 2; number++) {
      DefaultMQPushConsumer consumer = consumer(topic + "-group");
      consumer.setInstanceName(topic + number);
      consumer.setMessageModel(MessageModel.BROADCASTING);
      consumer.subscribe(topic, "*");
      gots.add(new LinkedBlockingQueue<>());
      start(consumer, gots.get(number));
      consumers.add(consumer);
    }
    producer.send(new Message(topic, bytes("to all")));
    List<String> seen = new ArrayList<>();
    for (BlockingQueue<MessageExt> got : gots) seen.add(texts(got, 2).toString());
    for (DefaultMQPushConsumer consumer : consumers) consumer.shutdown();
    return seen.toString();
  }

  private String committedOffset(String topic) throws Exception {
    producer.send(new Message(topic, bytes("first")));
    BlockingQueue<MessageExt> got = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = push(topic + "-group", topic, "*", got);
    next(got);
    Thread.sleep(500);
    consumer.shutdown();
    producer.send(new Message(topic, bytes("second")));
    consumer = push(topic + "-group", topic, "*", got);
    String seen = text(next(got));
    checkQuiet(got);
    consumer.shutdown();
    return seen;
  }

  private String litePull(String topic) throws Exception {
    for (int number = 0; number < 10; number++) {
      producer.send(new Message(topic, bytes("m" + number)));
    }
    DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(topic + "-group");
    consumer.setNamesrvAddr(nameServer);
    consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    consumer.subscribe(topic, "*");
    consumer.start();
    Set<String> seen = new TreeSet<>();
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_S);
    while (seen.size() < 10 && System.nanoTime() < deadline) {
      for (MessageExt message : consumer.poll(1000)) seen.add(text(message));
    }
    consumer.commitSync();
    consumer.shutdown();
    return seen.toString();
  }

  private String seek(String topic) throws Exception {
    for (int number = 0; number < 10; number++) {
      producer.send(new Message(topic, bytes("m" + number)));
    }
    DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(topic + "-group");
    consumer.setNamesrvAddr(nameServer);
    consumer.setAutoCommit(false);
    consumer.start();
    Collection<MessageQueue> queues = consumer.fetchMessageQueues(topic);
    consumer.assign(queues);
    List<String> seen = new ArrayList<>();
    for (MessageQueue queue : queues) {
      if (queue.getQueueId() == 0) consumer.seek(queue, 7);
      else consumer.seekToBegin(queue);
    }
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_S);
    while (seen.size() < 3 && System.nanoTime() < deadline) {
      for (MessageExt message : consumer.poll(1000)) seen.add(text(message));
    }
    MessageQueue queue = new TreeSet<>(queues).first();
    long offset = consumer.offsetForTimestamp(queue, System.currentTimeMillis() + 60_000);
    consumer.shutdown();
    return seen + ", offset by time " + offset;
  }

  private String ownGroup(String topic) throws Exception {
    producer.send(new Message(topic, bytes("taken")));
    BlockingQueue<MessageExt> got = new LinkedBlockingQueue<>();
    DefaultMQPushConsumer consumer = push(topic, topic, "*", got);
    String first = text(next(got));
    producer.send(new Message(topic, bytes("and another")));
    String second = text(next(got));
    consumer.shutdown();
    return first + " " + second;
  }

  // What they need.

  private DefaultMQPushConsumer consumer(String group) {
    DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
    consumer.setNamesrvAddr(nameServer);
    consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    return consumer;
  }

  private DefaultMQPushConsumer push(
      String group, String topic, String expression, BlockingQueue<MessageExt> got)
      throws Exception {
    DefaultMQPushConsumer consumer = consumer(group);
    consumer.subscribe(topic, expression);
    start(consumer, got);
    return consumer;
  }

  private static void start(DefaultMQPushConsumer consumer, BlockingQueue<MessageExt> got)
      throws Exception {
    consumer.registerMessageListener(
        (MessageListenerConcurrently) (messages, context) -> {
          got.addAll(messages);
          return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
    consumer.start();
  }

  private static Set<String> texts(BlockingQueue<MessageExt> got, int count) throws Exception {
    Set<String> seen = new TreeSet<>();
    while (seen.size() < count) check(seen.add(text(next(got))), "each comes once");
    return seen;
  }

  private static <T> T next(BlockingQueue<T> queue) throws Exception {
    T found = queue.poll(WAIT_S, TimeUnit.SECONDS);
    check(found != null, "something comes in " + WAIT_S + " s");
    return found;
  }

  private static void checkQuiet(BlockingQueue<?> queue) throws Exception {
    Object more = queue.poll(1500, TimeUnit.MILLISECONDS);
    check(more == null, "nothing more comes, but " + more);
  }

  private static void check(boolean holds, String what) {
    if (!holds) throw new AssertionError("not true: " + what);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(UTF_8);
  }

  private static String text(MessageExt message) {
    return new String(message.getBody(), UTF_8);
  }

  private static String quote(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    for (char each : text.toCharArray()) {
      if (each == '"' || each == '\\') quoted.append('\\');
      quoted.append(each < ' ' ? ' ' : each);
    }
    return quoted.append('"').toString();
  }

  private static void say(String line) {
    System.out.println(line);
    System.out.flush();
  }
}
