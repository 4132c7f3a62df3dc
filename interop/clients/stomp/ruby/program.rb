# The scenarios with Ruby's stomp: program.rb HOST PORT PREFIX
require "json"
require "logger"
require "stomp"
require "timeout"

HOST, PORT, PREFIX = ARGV
PATIENCE = 20

def connect(version: "1.2", passcode: "guest", **more)
  connection = Stomp::Connection.new(
    hosts: [{ login: "guest", passcode: passcode, host: HOST, port: PORT.to_i }],
    reliable: false,
    connect_headers: { "accept-version" => version, "host" => "/" }.merge(more)
  )
  raise connection.connection_frame.headers["message"] if connection.connection_frame.command == "ERROR"

  connection
end

def queue(name) = "/queue/#{PREFIX}#{name}"

def receive(connection)
  Timeout.timeout(PATIENCE) do
    loop do
      frame = connection.receive
      return frame if frame && frame.command != "RECEIPT"
    end
  end
end

def subscribe(connection, destination, id, ack = "auto", more = {})
  connection.subscribe(destination, { "id" => id, "ack" => ack }.merge(more), id)
end

SCENARIOS = {
  "refused login" => lambda do
    begin
      connect(passcode: "wrong")
      "not refused"
    rescue StandardError => error
      error.message
    end
  end,
  "headers" => lambda do
    c = connect
    subscribe(c, queue("headers"), "h")
    c.publish(queue("headers"), "käse", "colon" => "a:b\\c", "umlaut" => "ü",
              "correlation-id" => "c1", "content-type" => "text/plain")
    m = receive(c)
    c.disconnect
    [m.body.force_encoding("UTF-8"), *%w[colon umlaut correlation-id content-type].map { |name| m.headers[name] }]
  end,
  "binary" => lambda do
    c = connect
    body = (0..255).to_a.pack("C*")
    subscribe(c, queue("binary"), "b")
    c.publish(queue("binary"), body)
    m = receive(c)
    c.disconnect
    m.body.b == body.b
  end,
  "receipts" => lambda do
    c = connect
    100.times do |number|
      c.publish(queue("receipts"), number.to_s, "persistent" => "true", "receipt" => "r#{number}")
    end
    receipts = Timeout.timeout(PATIENCE) { Array.new(100) { c.receive.headers["receipt-id"] } }
    c.disconnect
    receipts.uniq.size
  end,
  "redelivery" => lambda do
    c = connect
    c.publish(queue("redelivery"), "m")
    subscribe(c, queue("redelivery"), "r", "client-individual")
    first = receive(c)
    c.disconnect
    c = connect
    subscribe(c, queue("redelivery"), "r", "client-individual")
    second = receive(c)
    c.ack(second.headers["ack"], "id" => second.headers["ack"])
    c.disconnect
    [first, second].map { |m| m.headers["redelivered"] }
  end,
  "nack" => lambda do
    c = connect
    subscribe(c, queue("nack"), "n", "client-individual")
    c.publish(queue("nack"), "m")
    first = receive(c)
    c.nack(first.headers["ack"], "id" => first.headers["ack"])
    again = receive(c)
    c.ack(again.headers["ack"], "id" => again.headers["ack"])
    c.disconnect
    again.headers["redelivered"]
  end,
  "transactions" => lambda do
    c = connect
    c.begin("t1")
    c.publish(queue("transactions"), "aborted", "transaction" => "t1")
    c.abort("t1")
    c.begin("t2")
    %w[1 2].each { |body| c.publish(queue("transactions"), body, "transaction" => "t2") }
    c.commit("t2")
    subscribe(c, queue("transactions"), "t")
    bodies = Array.new(2) { receive(c).body }
    c.disconnect
    bodies
  end,
  "topic" => lambda do
    c = connect
    subscribe(c, "/topic/#{PREFIX}a.*", "one")
    subscribe(c, "/topic/#{PREFIX}a.#", "all")
    c.publish("/topic/#{PREFIX}a.b", "m")
    seen = Array.new(2) { receive(c) }.map { |m| m.headers["subscription"] }
    c.disconnect
    seen.sort
  end,
  "reply" => lambda do
    c = connect
    server = connect
    subscribe(server, queue("questions"), "q")
    c.publish(queue("questions"), "question", "reply-to" => "/temp-queue/answers")
    server.publish(receive(server).headers["reply-to"], "answer")
    m = receive(c)
    c.disconnect
    server.disconnect
    [m.body, m.headers["subscription"]]
  end,
  "errors" => lambda do
    c = connect
    c.publish("/nothing/a", "m")
    refused = receive(c)
    subscribe(c, queue("errors"), "e")
    c.publish(queue("errors"), "still here")
    m = receive(c)
    c.disconnect
    [refused.headers["message"], m.body]
  end,
  "in order" => lambda do
    c = connect
    other = connect
    subscribe(other, queue("order"), "o", "client-individual", "prefetch-count" => "50")
    sender = Thread.new { 2000.times { |number| c.publish(queue("order"), number.to_s) } }
    2000.times do |number|
      m = receive(other)
      raise "#{m.body} where #{number} was due" if m.body != number.to_s

      other.ack(m.headers["ack"], "id" => m.headers["ack"])
    end
    sender.join
    c.disconnect
    other.disconnect
    2000
  end,
  "heart-beats" => lambda do
    c = connect("heart-beat" => "1000,1000")
    sleep 4
    subscribe(c, queue("beats"), "b")
    c.publish(queue("beats"), "alive")
    m = receive(c)
    c.disconnect
    m.body
  end
}.freeze

puts JSON.generate(library: "stomp #{Stomp::Version::STRING}")
SCENARIOS.each do |name, scenario|
  said = { scenario: name }
  begin
    said[:seen] = scenario.call
  rescue StandardError, Timeout::Error => error
    said[:problem] = "#{error.class}: #{error.message}"
  end
  puts JSON.generate(said)
  $stdout.flush
end
