<?php
// php-amqplib: `php program.php amqp://user:password@host:port/%2F [scenario ...]`. Prints one line
// of JSON per scenario: what it saw, or what went wrong.

require __DIR__ . '/library.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Package;
use PhpAmqpLib\Wire\AMQPTable;

const WAIT_S = 10;

set_error_handler(function (int $level, string $message, string $file, int $line): bool {
    if (!(error_reporting() & $level) || $level === E_DEPRECATED) {
        return true;
    }
    throw new ErrorException($message, 0, $level, $file, $line);
});

function check(bool $condition, string $problem): void
{
    if (!$condition) {
        throw new Exception($problem);
    }
}

function equal(mixed $actual, mixed $expected): void
{
    check($actual == $expected, var_export($actual, true) . ', not ' . var_export($expected, true));
}

function connect(string $url, string $password = '', int $heartbeat = 0): AMQPStreamConnection
{
    $parts = parse_url($url);
    return new AMQPStreamConnection(
        $parts['host'],
        $parts['port'],
        $parts['user'],
        $password ?: $parts['pass'],
        heartbeat: $heartbeat,
    );
}

function message(string $body = '', array $properties = [], array $headers = []): AMQPMessage
{
    if ($headers) {
        $properties['application_headers'] = new AMQPTable($headers);
    }
    return new AMQPMessage($body, $properties);
}

/** Neither durable, nor exclusive, nor deleted with its last consumer. */
function declare_queue(AMQPChannel $channel, string $queue, array $arguments = []): void
{
    $channel->queue_declare($queue, auto_delete: false, arguments: new AMQPTable($arguments));
}

function count_messages(AMQPChannel $channel, string $queue): int
{
    return $channel->queue_declare($queue, passive: true)[1];
}

/** Unconfirmed messages may still be on their way to the queue. */
function wait_for_count(AMQPChannel $channel, string $queue, int $expected): void
{
    $deadline = microtime(true) + WAIT_S;
    while (($found = count_messages($channel, $queue)) !== $expected) {
        check(microtime(true) < $deadline, "$found messages in $queue, not $expected");
    }
}

function take(AMQPChannel $channel, string $queue): AMQPMessage
{
    $deadline = microtime(true) + WAIT_S;
    while (!($message = $channel->basic_get($queue))) {
        check(microtime(true) < $deadline, "nothing came from $queue");
    }
    return $message;
}

function wait_until(AMQPChannel $channel, callable $condition): void
{
    while (!$condition()) {
        $channel->wait(timeout: WAIT_S);
    }
}

function refused_login(string $url): mixed
{
    try {
        connect($url, 'wrong');
    } catch (AMQPConnectionClosedException $refusal) {
        return $refusal->getMessage();
    }
    throw new Exception('a wrong password was accepted');
}

function exchange_types(string $url): mixed
{
    $channel = connect($url)->channel();
    $round = ['shape' => 'round', 'size' => 3];
    foreach (
        [
            ['direct', 'a.b', [], 2],
            ['fanout', 'ignored', [], 6],
            ['topic', 'a.*', [], 4],
            ['headers', '', ['x-match' => 'all', ...$round], 3],
        ] as [$type, $key, $arguments, $expected]
    ) {
        $name = "php.$type";
        $channel->exchange_declare($name, $type, durable: true, auto_delete: false);
        $channel->queue_declare($name, durable: true, auto_delete: false);
        $channel->queue_bind($name, $name, $key, arguments: new AMQPTable($arguments));
        foreach ([$round, ['shape' => 'round']] as $headers) {
            foreach (['a.b', 'a.c', 'a.b.c'] as $routing_key) {
                $channel->basic_publish(message(headers: $headers), $name, $routing_key);
            }
        }
        wait_for_count($channel, $name, $expected);
    }
    return null;
}

function confirms(string $url): mixed
{
    $channel = connect($url)->channel();
    $channel->queue_declare('php.confirms', durable: true, auto_delete: false);
    $confirmed = 0;
    $channel->set_ack_handler(function () use (&$confirmed): void {
        $confirmed++;
    });
    $channel->confirm_select();
    for ($number = 0; $number < 1000; $number++) {
        $persistent = ['delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT];
        $channel->basic_publish(message("$number", $persistent), '', 'php.confirms');
    }
    $channel->wait_for_pending_acks(WAIT_S);
    equal([$confirmed, count_messages($channel, 'php.confirms')], [1000, 1000]);
    return null;
}

function mandatory_return(string $url): mixed
{
    $channel = connect($url)->channel();
    $returned = null;
    $channel->set_return_listener(
        function (int $code, string $text, string $exchange, string $key, AMQPMessage $message) use (&$returned): void {
            equal($message->getBody(), 'back');
            $returned = "$code $text";
        },
    );
    $channel->basic_publish(message('back'), '', 'php.nowhere', mandatory: true);
    wait_until($channel, function () use (&$returned): bool {
        return $returned !== null;
    });
    return $returned;
}

function prefetch(string $url): mixed
{
    $channel = connect($url)->channel();
    declare_queue($channel, 'php.prefetch');
    for ($number = 0; $number < 50; $number++) {
        $channel->basic_publish(message(), '', 'php.prefetch');
    }
    $channel->basic_qos(0, 10, false);
    $came = [];
    $channel->basic_consume('php.prefetch', callback: function (AMQPMessage $message) use (&$came): void {
        $came[] = $message;
    });
    for ($expected = 10; $expected <= 50; $expected += 10) {
        wait_until($channel, function () use (&$came, $expected): bool {
            return count($came) >= $expected;
        });
        wait_for_count($channel, 'php.prefetch', 50 - $expected);
        equal(count($came), $expected);
        end($came)->ack(true);
    }
    return null;
}

function requeue(string $url): mixed
{
    $channel = connect($url)->channel();
    declare_queue($channel, 'php.requeue');
    $channel->basic_publish(message('again'), '', 'php.requeue');
    $first = take($channel, 'php.requeue');
    $first->nack(true);
    $second = take($channel, 'php.requeue');
    $second->ack();
    equal($second->getBody(), 'again');
    equal([$first->isRedelivered(), $second->isRedelivered()], [false, true]);
    return null;
}

function dead_letters(string $url): mixed
{
    $channel = connect($url)->channel();
    declare_queue($channel, 'php.dead');
    $arguments = ['x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => 'php.dead'];
    declare_queue($channel, 'php.dying', $arguments);
    $channel->basic_publish(message('corpse', headers: ['kept' => 'as it was']), '', 'php.dying');
    take($channel, 'php.dying')->reject(false);
    $dead = take($channel, 'php.dead');
    equal($dead->getBody(), 'corpse');
    $headers = $dead->get('application_headers')->getNativeData();
    equal($headers['kept'], 'as it was');
    $death = $headers['x-death'][0];
    equal(get_class($death['time']), 'DateTime');
    unset($death['time']);
    return $death;
}

function header_types(string $url): mixed
{
    $headers = [
        'bool' => true,
        'int' => -2_000_000_000,
        'long' => 1 << 60,
        'double' => '0.1',
        'text' => 'grüße',
        'octets' => "\0\xFF",
        'none' => null,
        'time' => new DateTime('@1770000000'),
        'decimal' => new PhpAmqpLib\Wire\AMQPDecimal(1234, 2),
        'list' => [1, 'two', ['three' => 3]],
        'table' => ['inner' => ['most' => true]],
    ];
    $properties = [
        'content_type' => 'text/plain',
        'content_encoding' => 'utf-8',
        'delivery_mode' => 1,
        'priority' => 3,
        'correlation_id' => 'c',
        'reply_to' => 'r',
        'expiration' => '60000',
        'message_id' => 'm',
        'timestamp' => 1_770_000_001,
        'type' => 'kind',
        'user_id' => 'guest',
        'app_id' => 'php',
    ];
    $channel = connect($url)->channel();
    declare_queue($channel, 'php.table');
    $channel->basic_publish(message('', $properties, $headers), '', 'php.table');
    $came = take($channel, 'php.table')->get_properties();
    $table = $came['application_headers'];
    unset($came['application_headers']);
    ksort($properties);
    ksort($came);
    equal($came, $properties);
    equal($table->getNativeData(), (new AMQPTable($headers))->getNativeData());
    return null;
}

function transactions(string $url): mixed
{
    $connection = connect($url);
    [$channel, $other] = [$connection->channel(), $connection->channel()];
    declare_queue($channel, 'php.tx');
    $channel->tx_select();
    $channel->basic_publish(message('dropped'), '', 'php.tx');
    $channel->tx_rollback();
    $channel->basic_publish(message('kept'), '', 'php.tx');
    $before = count_messages($other, 'php.tx');
    $channel->tx_commit();
    equal([$before, count_messages($other, 'php.tx')], [0, 1]);
    equal(take($other, 'php.tx')->getBody(), 'kept');
    return null;
}

function direct_reply_to(string $url): mixed
{
    $connection = connect($url);
    [$server, $client] = [$connection->channel(), $connection->channel()];
    declare_queue($server, 'php.rpc');
    $reply = null;
    $client->basic_consume(
        'amq.rabbitmq.reply-to',
        no_ack: true,
        callback: function (AMQPMessage $message) use (&$reply): void {
            $reply = [$message->get('correlation_id'), $message->getBody()];
        },
    );
    $asking = ['reply_to' => 'amq.rabbitmq.reply-to', 'correlation_id' => '7'];
    $client->basic_publish(message('question', $asking), '', 'php.rpc');
    $request = take($server, 'php.rpc');
    $answer = message(strtoupper($request->getBody()), ['correlation_id' => $request->get('correlation_id')]);
    $server->basic_publish($answer, '', $request->get('reply_to'));
    $request->ack();
    wait_until($client, function () use (&$reply): bool {
        return $reply !== null;
    });
    equal($reply, ['7', 'QUESTION']);
    return null;
}

function missing_queue(string $url): mixed
{
    $connection = connect($url);
    [$channel, $other] = [$connection->channel(), $connection->channel()];
    try {
        count_messages($channel, 'php.missing');
    } catch (AMQPProtocolChannelException $refusal) {
        check(!$channel->is_open() && $connection->isConnected(), 'the wrong thing was closed');
        $other->queue_declare('php.other', auto_delete: true);
        return $refusal->getMessage();
    }
    throw new Exception('it is there');
}

function cancel_notification(string $url): mixed
{
    $connection = connect($url);
    [$channel, $other] = [$connection->channel(), $connection->channel()];
    declare_queue($channel, 'php.cancel');
    $channel->basic_consume('php.cancel', 'watcher', callback: fn () => null);
    $other->queue_delete('php.cancel');
    try {
        $channel->wait(timeout: WAIT_S);
    } catch (PhpAmqpLib\Exception\AMQPBasicCancelException $cancelled) {
        return $cancelled->consumerTag;
    }
    throw new Exception('not told');
}

function large_message(string $url): mixed
{
    $channel = connect($url)->channel();
    $body = str_repeat('0123456789abcdef', 1 << 17);
    declare_queue($channel, 'php.large');
    $channel->basic_publish(message($body), '', 'php.large');
    check(take($channel, 'php.large')->getBody() === $body, 'another body came');
    return null;
}

function unicode_names(string $url): mixed
{
    $channel = connect($url)->channel();
    [$exchange, $queue, $key] = ['php.příliš', 'php.žluťoučký 🐇', 'κλειδί'];
    $channel->exchange_declare($exchange, 'direct', auto_delete: false);
    declare_queue($channel, $queue);
    $channel->queue_bind($queue, $exchange, $key);
    $channel->basic_publish(message('tělo'), $exchange, $key);
    $came = take($channel, $queue);
    equal([$came->getExchange(), $came->getRoutingKey(), $came->getBody()], [$exchange, $key, 'tělo']);
    return null;
}

function heartbeats(string $url): mixed
{
    $connection = connect($url, heartbeat: 1);
    $channel = $connection->channel();
    for ($round = 0; $round < 35; $round++) {
        usleep(100_000);
        $connection->checkHeartBeat();
    }
    $channel->queue_declare('php.heartbeats', auto_delete: true);
    return $connection->getHeartbeat();
}

function both_at_once(string $url): mixed
{
    [$channel, $publisher] = [connect($url)->channel(), connect($url)->channel()];
    declare_queue($channel, 'php.both');
    $channel->basic_qos(0, 100, false);
    $numbers = [];
    $channel->basic_consume('php.both', callback: function (AMQPMessage $message) use (&$numbers): void {
        $numbers[] = (int) $message->getBody();
        $message->ack();
    });
    for ($number = 0; $number < 5000; $number++) {
        $publisher->basic_publish(message("$number"), '', 'php.both');
        $channel->wait(null, true);
    }
    wait_until($channel, function () use (&$numbers): bool {
        return count($numbers) === 5000;
    });
    equal($numbers, range(0, 4999));
    return null;
}

const SCENARIOS = [
    'refused login' => 'refused_login',
    'exchange types' => 'exchange_types',
    'confirms' => 'confirms',
    'mandatory return' => 'mandatory_return',
    'prefetch' => 'prefetch',
    'requeue' => 'requeue',
    'dead letters' => 'dead_letters',
    'header types' => 'header_types',
    'transactions' => 'transactions',
    'direct reply-to' => 'direct_reply_to',
    'cancel notification' => 'cancel_notification',
    'missing queue' => 'missing_queue',
    'large message' => 'large_message',
    'unicode names' => 'unicode_names',
    'heartbeats' => 'heartbeats',
    'both at once' => 'both_at_once',
];

function say(array $line): void
{
    echo json_encode($line, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
}

[, $url] = $argv;
$wanted = array_slice($argv, 2);
say(['library' => 'php-amqplib ' . Package::VERSION]);
foreach (SCENARIOS as $name => $scenario) {
    if ($wanted && !in_array($name, $wanted, true)) {
        continue;
    }
    try {
        say(['scenario' => $name, 'seen' => $scenario($url)]);
    } catch (Throwable $problem) {
        fwrite(STDERR, "$problem\n");
        say(['scenario' => $name, 'problem' => get_class($problem) . ': ' . $problem->getMessage()]);
    }
}
