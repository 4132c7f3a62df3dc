# bunny: `ruby program.rb amqp://user:password@host:port/ [scenario ...]`. Prints one line of JSON
# per scenario: what it saw, or what went wrong.

require "bunny"
require "json"
require "timeout"

WAIT_S = 10
SCENARIOS = {}

def scenario(name, &block)
  SCENARIOS[name] = block
end

def check(condition, problem)
  raise problem unless condition
end

def equal(actual, expected)
  check(actual == expected, "#{actual.inspect}, not #{expected.inspect}")
end

def connect(url, **options)
  connection = Bunny.new(url, recover_from_connection_close: false, **options)
  connection.start
  yield connection
ensure
  connection.close if connection&.open?
end

def with_channel(url)
  connect(url) { |connection| yield connection.create_channel, connection }
end

# Unconfirmed messages may still be on their way to the queue.
def wait_for_count(queue, expected)
  Timeout.timeout(WAIT_S, nil, "#{queue.name} has not #{expected} messages") do
    sleep 0.005 until queue.message_count == expected
  end
end

def take(queue, **options)
  Timeout.timeout(WAIT_S, nil, "nothing came from #{queue.name}") do
    loop do
      delivery, properties, body = queue.pop(manual_ack: true, **options)
      return [delivery, properties, body] if delivery
    end
  end
end

def wait_until(what)
  Timeout.timeout(WAIT_S, nil, "no #{what} in time") { sleep 0.005 until yield }
end

scenario "refused login" do |url|
  begin
    connect(url.sub("guest:guest", "guest:wrong"), log_level: :fatal) { raise "accepted" }
  rescue Bunny::AuthenticationFailureError => error
    error.message
  end
end

scenario "exchange types" do |url|
  with_channel(url) do |channel|
    all = { "x-match" => "all", "shape" => "round", "size" => 3 }
    [["direct", "a.b", {}, 2], ["fanout", "ignored", {}, 6], ["topic", "a.*", {}, 4],
     ["headers", "", all, 3]].each do |type, key, arguments, expected|
      exchange = channel.exchange("ruby.#{type}", type: type, durable: true)
      queue = channel.queue("ruby.#{type}", durable: true)
      queue.bind(exchange, routing_key: key, arguments: arguments)
      [{ "shape" => "round", "size" => 3 }, { "shape" => "round" }].each do |headers|
        %w[a.b a.c a.b.c].each do |routing_key|
          exchange.publish("", routing_key: routing_key, headers: headers)
        end
      end
      wait_for_count(queue, expected)
    end
    nil
  end
end

scenario "confirms" do |url|
  with_channel(url) do |channel|
    channel.confirm_select
    queue = channel.queue("ruby.confirms", durable: true)
    1_000.times { |number| queue.publish(number.to_s, persistent: true) }
    check(channel.wait_for_confirms, "a message was refused")
    equal(queue.message_count, 1_000)
  end
end

scenario "mandatory return" do |url|
  with_channel(url) do |channel|
    returned = Queue.new
    exchange = channel.default_exchange
    exchange.on_return { |info, _, body| returned << [info, body] }
    exchange.publish("back", routing_key: "ruby.nowhere", mandatory: true)
    info, body = Timeout.timeout(WAIT_S) { returned.pop }
    equal(body, "back")
    "#{info.reply_code} #{info.reply_text}"
  end
end

scenario "prefetch" do |url|
  with_channel(url) do |channel|
    queue = channel.queue("ruby.prefetch")
    50.times { queue.publish("") }
    channel.prefetch(10)
    came = []
    queue.subscribe(manual_ack: true) { |delivery, _, _| came << delivery }
    1.upto(5) do |round|
      wait_until("deliveries") { came.size >= round * 10 }
      wait_for_count(queue, 50 - round * 10)
      equal(came.size, round * 10)
      channel.ack(came.last.delivery_tag, true)
    end
  end
  nil
end

scenario "requeue" do |url|
  with_channel(url) do |channel|
    queue = channel.queue("ruby.requeue")
    queue.publish("again")
    first, = take(queue)
    channel.nack(first.delivery_tag, false, true)
    second, _, body = take(queue)
    channel.ack(second.delivery_tag)
    equal(body, "again")
    equal([first.redelivered?, second.redelivered?], [false, true])
  end
end

scenario "dead letters" do |url|
  with_channel(url) do |channel|
    dead = channel.queue("ruby.dead")
    arguments = { "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => "ruby.dead" }
    dying = channel.queue("ruby.dying", arguments: arguments)
    dying.publish("corpse", headers: { "kept" => "as it was" })
    rejected, = take(dying)
    channel.reject(rejected.delivery_tag, false)
    _, properties, body = take(dead)
    equal(body, "corpse")
    equal(properties.headers["kept"], "as it was")
    death = properties.headers["x-death"].first
    equal(death.delete("time").class, Time)
    death.sort.map { |name, value| "#{name}: #{value.class} #{value}" }
  end
end

scenario "header types" do |url|
  with_channel(url) do |channel|
    headers = {
      "bool" => true, "int" => -2_000_000_000, "long" => 1 << 60, "float" => 0.1,
      "text" => "grüße".b, "none" => nil, "time" => Time.at(1_770_000_000),
      "list" => [1, "two", { "three" => [3] }], "table" => { "inner" => { "most" => true } }
    }
    options = {
      content_type: "text/plain", content_encoding: "utf-8", priority: 3, correlation_id: "c",
      reply_to: "r", expiration: "60000", message_id: "m", timestamp: 1_770_000_001,
      type: "kind", user_id: "guest", app_id: "ruby"
    }
    queue = channel.queue("ruby.table")
    queue.publish("", headers: headers, **options)
    _, properties, = take(queue)
    equal(properties.headers, headers)
    came = options.keys.to_h { |name| [name, properties[name]] }
    came[:timestamp] = came[:timestamp].to_i
    equal(came, options)
    nil
  end
end

scenario "transactions" do |url|
  with_channel(url) do |channel, connection|
    queue = channel.queue("ruby.tx")
    other = connection.create_channel.queue("ruby.tx", passive: true)
    channel.tx_select
    queue.publish("dropped")
    channel.tx_rollback
    queue.publish("kept")
    before = other.message_count
    channel.tx_commit
    equal([before, other.message_count], [0, 1])
    equal(take(other).last, "kept")
  end
end

scenario "direct reply-to" do |url|
  with_channel(url) do |server, connection|
    client = connection.create_channel
    requests = server.queue("ruby.rpc")
    requests.subscribe do |_, properties, body|
      server.default_exchange.publish(
        body.upcase, routing_key: properties.reply_to, correlation_id: properties.correlation_id
      )
    end
    replies = Queue.new
    client.basic_consume("amq.rabbitmq.reply-to", "", true) do |_, properties, body|
      replies << [properties.correlation_id, body]
    end
    client.default_exchange.publish(
      "question", routing_key: "ruby.rpc", reply_to: "amq.rabbitmq.reply-to", correlation_id: "7"
    )
    equal(Timeout.timeout(WAIT_S) { replies.pop }, %w[7 QUESTION])
  end
end

scenario "cancel notification" do |url|
  with_channel(url) do |channel, connection|
    queue = channel.queue("ruby.cancel")
    cancelled = Queue.new
    consumer = Bunny::Consumer.new(channel, queue, "watcher")
    consumer.on_cancellation { |cancel| cancelled << cancel.consumer_tag }
    queue.subscribe_with(consumer)
    connection.create_channel.queue_delete("ruby.cancel")
    Timeout.timeout(WAIT_S) { cancelled.pop }
  end
end

scenario "missing queue" do |url|
  with_channel(url) do |channel, connection|
    other = connection.create_channel
    seen =
      begin
        channel.queue("ruby.missing", passive: true)
        raise "it is there"
      rescue Bunny::NotFound => error
        error.message
      end
    check(channel.closed? && connection.open?, "the wrong thing was closed")
    other.queue("ruby.other", auto_delete: true)
    seen
  end
end

scenario "large message" do |url|
  with_channel(url) do |channel|
    queue = channel.queue("ruby.large")
    body = "0123456789abcdef" * (1 << 17)
    queue.publish(body)
    check(take(queue).last == body, "another body came")
  end
end

scenario "unicode names" do |url|
  with_channel(url) do |channel|
    exchange = channel.direct("ruby.příliš")
    # In a queue's name bunny itself cannot have it.
    queue = channel.queue("ruby.unicode").bind(exchange, routing_key: "κλειδί")
    exchange.publish("tělo", routing_key: "κλειδί")
    delivery, _, body = take(queue)
    seen = [delivery.exchange, delivery.routing_key, body].map { |text| text.dup.force_encoding("UTF-8") }
    equal(seen, ["ruby.příliš", "κλειδί", "tělo"])
  end
end

scenario "heartbeats" do |url|
  connect(url, heartbeat: 1) do |connection|
    channel = connection.create_channel
    sleep 3.5
    channel.queue("ruby.heartbeats", auto_delete: true)
  end
  nil
end

scenario "both at once" do |url|
  with_channel(url) do |channel|
    connect(url) do |publishing|
      queue = channel.queue("ruby.both")
      channel.prefetch(100)
      numbers = []
      queue.subscribe(manual_ack: true) do |delivery, _, body|
        numbers << body.to_i
        channel.ack(delivery.delivery_tag)
      end
      publisher = publishing.create_channel.default_exchange
      5_000.times { |number| publisher.publish(number.to_s, routing_key: "ruby.both") }
      wait_until("end") { numbers.size == 5_000 }
      equal(numbers, (0...5_000).to_a)
    end
  end
end

def say(line)
  puts JSON.generate(line)
  $stdout.flush
end

url, *wanted = ARGV
say(library: "bunny #{Bunny::VERSION}")
SCENARIOS.each do |name, block|
  next unless wanted.empty? || wanted.include?(name)

  begin
    say(scenario: name, seen: block.call(url))
  rescue StandardError => error
    warn error.full_message
    say(scenario: name, problem: "#{error.class}: #{error.message}")
  end
end
