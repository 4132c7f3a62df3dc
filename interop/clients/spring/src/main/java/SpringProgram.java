import static java.nio.charset.StandardCharsets.UTF_8;

import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.springframework.amqp.AmqpRejectAndDontRequeueException;
import org.springframework.amqp.core.Binding;
import org.springframework.amqp.core.BindingBuilder;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.MessageBuilder;
import org.springframework.amqp.core.MessageListener;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.core.ReturnedMessage;
import org.springframework.amqp.core.TopicExchange;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.listener.AbstractMessageListenerContainer;
import org.springframework.amqp.rabbit.listener.DirectMessageListenerContainer;
import org.springframework.amqp.rabbit.listener.SimpleMessageListenerContainer;
import org.springframework.amqp.rabbit.listener.adapter.MessageListenerAdapter;
import org.springframework.amqp.rabbit.transaction.RabbitTransactionManager;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * Spring AMQP: {@code SpringProgram amqp://user:password@host:port/%2F [scenario ...]}, with its
 * template, administration and listener containers. Prints one line of JSON per scenario.
 */
public final class SpringProgram {
  private static final long WAIT_MS = 10_000;

  private interface Scenario {
    String run(CachingConnectionFactory factory, RabbitTemplate template) throws Exception;
  }

  private final Map<String, Scenario> scenarios = new LinkedHashMap<>();

  private SpringProgram() {
    scenarios.put("exchange types", this::exchangeTypes);
    scenarios.put("confirms", this::confirms);
    scenarios.put("mandatory return", this::mandatoryReturn);
    scenarios.put("requeue", this::requeue);
    scenarios.put("dead letters", this::deadLetters);
    scenarios.put("transactions", this::transactions);
    scenarios.put("direct reply-to", this::directReplyTo);
    scenarios.put("missing queue", this::missingQueue);
    scenarios.put("large message", this::largeMessage);
    scenarios.put("both at once", this::bothAtOnce);
  }

  public static void main(String[] arguments) {
    List<String> wanted = Arrays.asList(arguments).subList(1, arguments.length);
    String version = RabbitTemplate.class.getPackage().getImplementationVersion();
    say("{\"library\": " + quote("spring-rabbit " + version) + "}");
    new SpringProgram()
        .scenarios.forEach(
            (name, scenario) -> {
              if (wanted.isEmpty() || wanted.contains(name)) run(arguments[0], name, scenario);
            });
    System.exit(0);
  }

  private static void run(String url, String name, Scenario scenario) {
    CachingConnectionFactory factory = new CachingConnectionFactory(URI.create(url));
    factory.setPublisherConfirmType(
        name.equals("confirms")
            ? CachingConnectionFactory.ConfirmType.CORRELATED
            : CachingConnectionFactory.ConfirmType.NONE);
    factory.setPublisherReturns(true);
    RabbitTemplate template = new RabbitTemplate(factory);
    template.setMandatory(true);
    template.setReceiveTimeout(WAIT_MS);
    String result;
    try {
      result = "\"seen\": " + quote(scenario.run(factory, template));
    } catch (Exception | AssertionError problem) {
      problem.printStackTrace();
      result = "\"problem\": " + quote(problem.toString());
    } finally {
      factory.destroy();
    }
    say("{\"scenario\": " + quote(name) + ", " + result + "}");
  }

  private static void say(String line) {
    System.out.writeBytes((line + "\n").getBytes(UTF_8));
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

  private static <T> T receive(BlockingQueue<T> queue) throws InterruptedException {
    T value = queue.poll(WAIT_MS, TimeUnit.MILLISECONDS);
    check(value != null, "nothing came in time");
    return value;
  }

  private static void listen(
      AbstractMessageListenerContainer container, String queue, MessageListener listener) {
    container.setQueueNames(queue);
    container.setMessageListener(listener);
    container.afterPropertiesSet();
    container.start();
  }

  private String exchangeTypes(CachingConnectionFactory factory, RabbitTemplate template) {
    RabbitAdmin admin = new RabbitAdmin(factory);
    TopicExchange exchange = new TopicExchange("spring.topic");
    Queue queue = QueueBuilder.durable("spring.topic").build();
    Binding binding = BindingBuilder.bind(queue).to(exchange).with("a.*");
    admin.declareExchange(exchange);
    admin.declareQueue(queue);
    admin.declareBinding(binding);
    template.setMandatory(false);
    for (String key : List.of("a.b", "a.b.c", "a.c")) template.convertAndSend("spring.topic", key, key);
    equal(template.receiveAndConvert("spring.topic"), "a.b");
    equal(template.receiveAndConvert("spring.topic"), "a.c");
    equal(admin.getQueueInfo("spring.topic").getMessageCount(), 0);
    return null;
  }

  private String confirms(CachingConnectionFactory factory, RabbitTemplate template)
      throws Exception {
    RabbitAdmin admin = new RabbitAdmin(factory);
    admin.declareQueue(new Queue("spring.confirms"));
    List<CorrelationData> sent = new ArrayList<>();
    for (int number = 0; number < 1_000; number++) {
      CorrelationData correlation = new CorrelationData("" + number);
      template.convertAndSend("", "spring.confirms", "" + number, correlation);
      sent.add(correlation);
    }
    for (CorrelationData each : sent) {
      check(each.getFuture().get(WAIT_MS, TimeUnit.MILLISECONDS).isAck(), "refused");
    }
    equal(admin.getQueueInfo("spring.confirms").getMessageCount(), 1_000);
    return null;
  }

  private String mandatoryReturn(CachingConnectionFactory factory, RabbitTemplate template)
      throws Exception {
    BlockingQueue<ReturnedMessage> returns = new LinkedBlockingQueue<>();
    template.setReturnsCallback(returns::add);
    template.convertAndSend("", "spring.nowhere", "back");
    ReturnedMessage returned = receive(returns);
    equal(new String(returned.getMessage().getBody(), UTF_8), "back");
    return returned.getReplyCode() + " " + returned.getReplyText();
  }

  /** A listener that fails gives the message back. */
  private String requeue(CachingConnectionFactory factory, RabbitTemplate template)
      throws Exception {
    new RabbitAdmin(factory).declareQueue(new Queue("spring.requeue"));
    BlockingQueue<Boolean> redelivered = new LinkedBlockingQueue<>();
    SimpleMessageListenerContainer container = new SimpleMessageListenerContainer(factory);
    container.setErrorHandler(problem -> {});
    listen(
        container,
        "spring.requeue",
        message -> {
          redelivered.add(message.getMessageProperties().isRedelivered());
          if (!message.getMessageProperties().isRedelivered()) throw new IllegalStateException();
        });
    template.convertAndSend("", "spring.requeue", "again");
    equal(List.of(receive(redelivered), receive(redelivered)), List.of(false, true));
    container.stop();
    return null;
  }

  private String deadLetters(CachingConnectionFactory factory, RabbitTemplate template)
      throws Exception {
    RabbitAdmin admin = new RabbitAdmin(factory);
    admin.declareQueue(new Queue("spring.dead"));
    admin.declareQueue(
        QueueBuilder.durable("spring.dying")
            .deadLetterExchange("")
            .deadLetterRoutingKey("spring.dead")
            .build());
    DirectMessageListenerContainer container = new DirectMessageListenerContainer(factory);
    container.setErrorHandler(
        problem -> {
          throw new AmqpRejectAndDontRequeueException("no", problem);
        });
    listen(
        container,
        "spring.dying",
        message -> {
          throw new IllegalStateException("as it should");
        });
    template.convertAndSend("", "spring.dying", "corpse");
    Message dead = template.receive("spring.dead");
    check(dead != null, "no dead letter");
    container.stop();
    Map<String, ?> death = dead.getMessageProperties().getXDeathHeader().get(0);
    Map<String, String> seen = new TreeMap<>();
    death.forEach((name, value) -> seen.put(name, value instanceof Date ? "" : value.toString()));
    return seen.toString();
  }

  private String transactions(CachingConnectionFactory factory, RabbitTemplate template) {
    RabbitAdmin admin = new RabbitAdmin(factory);
    admin.declareQueue(new Queue("spring.tx"));
    template.setChannelTransacted(true);
    TransactionTemplate transaction =
        new TransactionTemplate(new RabbitTransactionManager(factory));
    transaction.executeWithoutResult(
        status -> {
          template.convertAndSend("", "spring.tx", "dropped");
          status.setRollbackOnly();
        });
    transaction.executeWithoutResult(
        status -> template.convertAndSend("", "spring.tx", "kept"));
    equal(template.receiveAndConvert("spring.tx"), "kept");
    equal(admin.getQueueInfo("spring.tx").getMessageCount(), 0);
    return null;
  }

  /** What the template does for a call, if it is told nothing else. */
  private String directReplyTo(CachingConnectionFactory factory, RabbitTemplate template) {
    new RabbitAdmin(factory).declareQueue(new Queue("spring.rpc"));
    SimpleMessageListenerContainer container = new SimpleMessageListenerContainer(factory);
    container.setConcurrentConsumers(2);
    MessageListenerAdapter adapter = new MessageListenerAdapter(new Answerer(), "answer");
    listen(container, "spring.rpc", adapter);
    template.setReplyTimeout(WAIT_MS);
    equal(template.convertSendAndReceive("", "spring.rpc", "question"), "QUESTION");
    container.stop();
    return null;
  }

  /** What the adapter calls. */
  public static final class Answerer {
    public String answer(String question) {
      return question.toUpperCase();
    }
  }

  private String missingQueue(CachingConnectionFactory factory, RabbitTemplate template) {
    check(new RabbitAdmin(factory).getQueueProperties("spring.missing") == null, "it is there");
    return null;
  }

  private String largeMessage(CachingConnectionFactory factory, RabbitTemplate template) {
    new RabbitAdmin(factory).declareQueue(new Queue("spring.large"));
    byte[] body = "0123456789abcdef".repeat(1 << 17).getBytes(UTF_8);
    template.send("", "spring.large", MessageBuilder.withBody(body).build());
    Message came = template.receive("spring.large");
    check(came != null && Arrays.equals(came.getBody(), body), "another body came");
    return null;
  }

  private String bothAtOnce(CachingConnectionFactory factory, RabbitTemplate template)
      throws Exception {
    new RabbitAdmin(factory).declareQueue(new Queue("spring.both"));
    BlockingQueue<String> came = new LinkedBlockingQueue<>();
    DirectMessageListenerContainer container = new DirectMessageListenerContainer(factory);
    container.setPrefetchCount(100);
    listen(container, "spring.both", message -> came.add(new String(message.getBody(), UTF_8)));
    for (int number = 0; number < 5_000; number++) {
      template.convertAndSend("", "spring.both", "" + number);
    }
    for (int number = 0; number < 5_000; number++) equal(receive(came), "" + number);
    container.stop();
    return null;
  }
}
