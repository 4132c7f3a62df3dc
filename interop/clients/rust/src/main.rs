//! lapin: `program amqp://user:password@host:port/%2F [scenario ...]`. Prints one line of JSON per
//! scenario: what it saw, or what went wrong.

use std::error::Error;
use std::future::Future;
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use lapin::message::Delivery;
use lapin::options::*;
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    ExchangeKind,
};
use serde_json::{json, Value};
use tokio::time::{sleep, timeout};

const WAIT: Duration = Duration::from_secs(10);

type Outcome<T = Value> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (url, wanted) = arguments.split_first().expect("an address");
    println!("{}", json!({"library": format!("lapin {}", library_version())}));
    run("refused login", wanted, refused_login(url)).await;
    run("exchange types", wanted, exchange_types(url)).await;
    run("confirms", wanted, confirms(url)).await;
    run("mandatory return", wanted, mandatory_return(url)).await;
    run("prefetch", wanted, prefetch(url)).await;
    run("requeue", wanted, requeue(url)).await;
    run("dead letters", wanted, dead_letters(url)).await;
    run("header types", wanted, header_types(url)).await;
    run("transactions", wanted, transactions(url)).await;
    run("direct reply-to", wanted, direct_reply_to(url)).await;
    run("cancel notification", wanted, cancel_notification(url)).await;
    run("missing queue", wanted, missing_queue(url)).await;
    run("large message", wanted, large_message(url)).await;
    run("unicode names", wanted, unicode_names(url)).await;
    run("heartbeats", wanted, heartbeats(url)).await;
    run("both at once", wanted, both_at_once(url)).await;
}

async fn run(name: &str, wanted: &[String], scenario: impl Future<Output = Outcome>) {
    if wanted.is_empty() || wanted.iter().any(|each| each == name) {
        let line = match scenario.await {
            Ok(seen) => json!({"scenario": name, "seen": seen}),
            Err(problem) => json!({"scenario": name, "problem": problem.to_string()}),
        };
        println!("{line}");
    }
}

/// As Cargo.lock has it.
fn library_version() -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("name = \"lapin\"\nversion = \"").nth(1);
    entry.and_then(|rest| rest.split('"').next()).unwrap_or("unknown")
}

fn check(condition: bool, problem: impl Into<String>) -> Outcome<()> {
    if condition { Ok(()) } else { Err(problem.into().into()) }
}

fn equal<T: PartialEq + std::fmt::Debug>(actual: T, expected: T) -> Outcome<()> {
    check(actual == expected, format!("{actual:?}, not {expected:?}"))
}

async fn connect(url: &str) -> Outcome<Connection> {
    Ok(Connection::connect(url, ConnectionProperties::default()).await?)
}

async fn declare(channel: &Channel, queue: &str, arguments: FieldTable) -> Outcome<()> {
    channel.queue_declare(queue.into(), QueueDeclareOptions::default(), arguments).await?;
    Ok(())
}

/// Returns when it is confirmed, if the channel is in confirm mode; else at once.
async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Outcome<Confirmation> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirm =
        channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?;
    Ok(confirm.await?)
}

async fn count(channel: &Channel, queue: &str) -> Outcome<u32> {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    Ok(channel.queue_declare(queue.into(), passive, FieldTable::default()).await?.message_count())
}

/// Unconfirmed messages may still be on their way to the queue.
async fn wait_for_count(channel: &Channel, queue: &str, expected: u32) -> Outcome<()> {
    let deadline = Instant::now() + WAIT;
    loop {
        let found = count(channel, queue).await?;
        if found == expected {
            return Ok(());
        }
        check(Instant::now() < deadline, format!("{found} messages in {queue}, not {expected}"))?;
    }
}

async fn take(channel: &Channel, queue: &str) -> Outcome<Delivery> {
    let deadline = Instant::now() + WAIT;
    loop {
        if let Some(message) = channel.basic_get(queue.into(), BasicGetOptions::default()).await? {
            return Ok(message.delivery);
        }
        check(Instant::now() < deadline, format!("nothing came from {queue}"))?;
    }
}

async fn consume(channel: &Channel, queue: &str, tag: &str, no_ack: bool) -> Outcome<Consumer> {
    let options = BasicConsumeOptions { no_ack, ..Default::default() };
    let arguments = FieldTable::default();
    Ok(channel.basic_consume(queue.into(), tag.into(), options, arguments).await?)
}

async fn receive(consumer: &mut Consumer) -> Outcome<Delivery> {
    Ok(timeout(WAIT, consumer.next()).await?.ok_or("the consumer ended")??)
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn table(fields: Vec<(&str, AMQPValue)>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert(name.into(), value);
    }
    table
}

async fn refused_login(url: &str) -> Outcome {
    match connect(&url.replace("guest:guest", "guest:wrong")).await {
        Ok(_) => Err("a wrong password was accepted".into()),
        Err(refusal) => Ok(json!(refusal.to_string())),
    }
}

async fn exchange_types(url: &str) -> Outcome {
    let channel = connect(url).await?.create_channel().await?;
    let round = || vec![("shape", text("round")), ("size", AMQPValue::LongInt(3))];
    let all = table([round(), vec![("x-match", text("all"))]].concat());
    let none = FieldTable::default;
    for (kind, key, arguments, expected) in [
        ("direct", "a.b", none(), 2),
        ("fanout", "ignored", none(), 6),
        ("topic", "a.*", none(), 4),
        ("headers", "", all, 3),
    ] {
        let name = format!("rust.{kind}");
        let exchange = ExchangeKind::Custom(kind.to_string());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel.exchange_declare(name.as_str().into(), exchange, durable, none()).await?;
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(name.as_str().into(), durable, none()).await?;
        let (queue, exchange) = (name.as_str().into(), name.as_str().into());
        let options = QueueBindOptions::default();
        channel.queue_bind(queue, exchange, key.into(), options, arguments).await?;
        for headers in [table(round()), table(vec![("shape", text("round"))])] {
            for key in ["a.b", "a.c", "a.b.c"] {
                let properties = BasicProperties::default().with_headers(headers.clone());
                publish(&channel, &name, key, b"", properties).await?;
            }
        }
        wait_for_count(&channel, &name, expected).await?;
    }
    Ok(Value::Null)
}

async fn confirms(url: &str) -> Outcome {
    let channel = connect(url).await?.create_channel().await?;
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("rust.confirms".into(), durable, FieldTable::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut outstanding = Vec::new();
    for number in 0..1_000 {
        let body = number.to_string().into_bytes();
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let confirm = channel
            .basic_publish("".into(), "rust.confirms".into(), options, &body, persistent)
            .await?;
        outstanding.push(confirm);
    }
    for confirm in outstanding {
        equal(confirm.await?, Confirmation::Ack(None))?;
    }
    equal(count(&channel, "rust.confirms").await?, 1_000)?;
    Ok(Value::Null)
}

async fn mandatory_return(url: &str) -> Outcome {
    let channel = connect(url).await?.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let properties = BasicProperties::default();
    let confirmation = publish(&channel, "", "rust.nowhere", b"back", properties).await?;
    let returned = confirmation.take_message().ok_or("nothing was returned")?;
    equal(returned.delivery.data.as_slice(), b"back".as_slice())?;
    Ok(json!(format!("{} {}", returned.reply_code, returned.reply_text)))
}

async fn prefetch(url: &str) -> Outcome {
    let channel = connect(url).await?.create_channel().await?;
    declare(&channel, "rust.prefetch", FieldTable::default()).await?;
    for _ in 0..50 {
        publish(&channel, "", "rust.prefetch", b"", BasicProperties::default()).await?;
    }
    channel.basic_qos(10, BasicQosOptions::default()).await?;
    let mut consumer = consume(&channel, "rust.prefetch", "", false).await?;
    for came in 1..=50 {
        let last = receive(&mut consumer).await?;
        if came % 10 == 0 {
            wait_for_count(&channel, "rust.prefetch", 50 - came).await?;
            last.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(Value::Null)
}

async fn requeue(url: &str) -> Outcome {
    let channel = connect(url).await?.create_channel().await?;
    declare(&channel, "rust.requeue", FieldTable::default()).await?;
    publish(&channel, "", "rust.requeue", b"again", BasicProperties::default()).await?;
    let first = take(&channel, "rust.requeue").await?;
    first.nack(BasicNackOptions { multiple: false, requeue: true }).await?;
    let second = take(&channel, "rust.requeue").await?;
    second.ack(BasicAckOptions::default()).await?;
    equal(second.data.as_slice(), b"again".as_slice())?;
    equal([first.redelivered, second.redelivered], [false, true])?;
    Ok(Value::Null)
}

async fn dead_letters(url: &str) -> Outcome {
    let channel = connect(url).await?.create_channel().await?;
    declare(&channel, "rust.dead", FieldTable::default()).await?;
    let arguments = table(vec![
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("rust.dead")),
    ]);
    declare(&channel, "rust.dying", arguments).await?;
    let headers = table(vec![("kept", text("as it was"))]);
    let properties = BasicProperties::default().with_headers(headers);
    publish(&channel, "", "rust.dying", b"corpse", properties).await?;
    let rejected = take(&channel, "rust.dying").await?;
    rejected.reject(BasicRejectOptions { requeue: false }).await?;
    let dead = take(&channel, "rust.dead").await?;
    equal(dead.data.as_slice(), b"corpse".as_slice())?;
    let headers = dead.properties.headers().as_ref().ok_or("no headers")?.inner();
    equal(headers.get("kept"), Some(&text("as it was")))?;
    let Some(AMQPValue::FieldArray(deaths)) = headers.get("x-death") else {
        return Err("no x-death".into());
    };
    let Some(AMQPValue::FieldTable(death)) = deaths.as_slice().first() else {
        return Err("no table in x-death".into());
    };
    let seen = death.inner().iter().map(|(name, value)| match value {
        AMQPValue::Timestamp(_) => format!("{name}: a timestamp"),
        _ => format!("{name}: {value:?}"),
    });
    Ok(json!(seen.collect::<Vec<_>>()))
}

async fn header_types(url: &str) -> Outcome {
    let channel = connect(url).await?.create_channel().await?;
    declare(&channel, "rust.table", FieldTable::default()).await?;
    let inner = table(vec![("most", AMQPValue::Boolean(true))]);
    let mut list = FieldArray::default();
    list.push(AMQPValue::LongInt(1));
    list.push(text("two"));
    list.push(AMQPValue::FieldTable(inner.clone()));
    let headers = table(vec![
        ("bool", AMQPValue::Boolean(true)),
        ("i8", AMQPValue::ShortShortInt(-100)),
        ("u8", AMQPValue::ShortShortUInt(200)),
        ("i16", AMQPValue::ShortInt(-30_000)),
        ("u16", AMQPValue::ShortUInt(60_000)),
        ("i32", AMQPValue::LongInt(-2_000_000_000)),
        ("u32", AMQPValue::LongUInt(4_000_000_000)),
        ("i64", AMQPValue::LongLongInt(1 << 60)),
        ("f32", AMQPValue::Float(1.5)),
        ("f64", AMQPValue::Double(0.1)),
        ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 1234 })),
        ("text", text("grüße")),
        ("octets", AMQPValue::ByteArray(vec![0, 255].into())),
        ("time", AMQPValue::Timestamp(1_770_000_000)),
        ("none", AMQPValue::Void),
        ("list", AMQPValue::FieldArray(list)),
        ("table", AMQPValue::FieldTable(table(vec![("inner", AMQPValue::FieldTable(inner))]))),
    ]);
    let sent = BasicProperties::default()
        .with_headers(headers)
        .with_content_type("text/plain".into())
        .with_content_encoding("utf-8".into())
        .with_delivery_mode(1)
        .with_priority(3)
        .with_correlation_id("c".into())
        .with_reply_to("r".into())
        .with_expiration("60000".into())
        .with_message_id("m".into())
        .with_timestamp(1_770_000_001)
        .with_type("kind".into())
        .with_user_id("guest".into())
        .with_app_id("rust".into());
    publish(&channel, "", "rust.table", b"", sent.clone()).await?;
    equal(take(&channel, "rust.table").await?.properties, sent)?;
    Ok(Value::Null)
}

async fn transactions(url: &str) -> Outcome {
    let connection = connect(url).await?;
    let (channel, other) = (connection.create_channel().await?, connection.create_channel().await?);
    declare(&channel, "rust.tx", FieldTable::default()).await?;
    channel.tx_select().await?;
    publish(&channel, "", "rust.tx", b"dropped", BasicProperties::default()).await?;
    channel.tx_rollback().await?;
    publish(&channel, "", "rust.tx", b"kept", BasicProperties::default()).await?;
    let before = count(&other, "rust.tx").await?;
    channel.tx_commit().await?;
    equal([before, count(&other, "rust.tx").await?], [0, 1])?;
    equal(take(&other, "rust.tx").await?.data.as_slice(), b"kept".as_slice())?;
    Ok(Value::Null)
}

async fn direct_reply_to(url: &str) -> Outcome {
    const REPLY_TO: &str = "amq.rabbitmq.reply-to";
    let connection = connect(url).await?;
    let server = connection.create_channel().await?;
    let client = connection.create_channel().await?;
    declare(&server, "rust.rpc", FieldTable::default()).await?;
    let mut requests = consume(&server, "rust.rpc", "", true).await?;
    let mut replies = consume(&client, REPLY_TO, "", true).await?;
    let asking = BasicProperties::default()
        .with_reply_to(REPLY_TO.into())
        .with_correlation_id("7".into());
    publish(&client, "", "rust.rpc", b"question", asking).await?;
    let request = receive(&mut requests).await?;
    let reply_to = request.properties.reply_to().as_ref().ok_or("no reply-to")?.to_string();
    check(reply_to.starts_with(&format!("{REPLY_TO}.")), reply_to.clone())?;
    let correlation_id = request.properties.correlation_id().clone().ok_or("no id")?;
    let answering = BasicProperties::default().with_correlation_id(correlation_id);
    publish(&server, "", &reply_to, &request.data.to_ascii_uppercase(), answering).await?;
    let reply = receive(&mut replies).await?;
    equal(reply.data.as_slice(), b"QUESTION".as_slice())?;
    equal(reply.properties.correlation_id().clone(), Some(ShortString::from("7")))?;
    Ok(Value::Null)
}

async fn cancel_notification(url: &str) -> Outcome {
    let connection = connect(url).await?;
    let (channel, other) = (connection.create_channel().await?, connection.create_channel().await?);
    declare(&channel, "rust.cancel", FieldTable::default()).await?;
    let mut consumer = consume(&channel, "rust.cancel", "watcher", false).await?;
    other.queue_delete("rust.cancel".into(), QueueDeleteOptions::default()).await?;
    check(timeout(WAIT, consumer.next()).await?.is_none(), "a message of a deleted queue")?;
    Ok(Value::Null)
}

async fn missing_queue(url: &str) -> Outcome {
    let connection = connect(url).await?;
    let (channel, other) = (connection.create_channel().await?, connection.create_channel().await?);
    let refusal = match count(&channel, "rust.missing").await {
        Ok(_) => return Err("it is there".into()),
        Err(refusal) => refusal.to_string(),
    };
    check(!channel.status().connected(), "the channel is still open")?;
    let auto_delete = QueueDeclareOptions { auto_delete: true, ..Default::default() };
    other.queue_declare("rust.other".into(), auto_delete, FieldTable::default()).await?;
    Ok(json!(refusal))
}

async fn large_message(url: &str) -> Outcome {
    let channel = connect(url).await?.create_channel().await?;
    declare(&channel, "rust.large", FieldTable::default()).await?;
    let body = b"0123456789abcdef".repeat(1 << 17);
    publish(&channel, "", "rust.large", &body, BasicProperties::default()).await?;
    check(take(&channel, "rust.large").await?.data == body, "another body came")?;
    Ok(Value::Null)
}

async fn unicode_names(url: &str) -> Outcome {
    let channel = connect(url).await?.create_channel().await?;
    let (exchange, queue, key) = ("rust.příliš", "rust.žluťoučký 🐇", "κλειδί");
    let options = ExchangeDeclareOptions::default();
    let none = FieldTable::default;
    channel.exchange_declare(exchange.into(), ExchangeKind::Direct, options, none()).await?;
    declare(&channel, queue, none()).await?;
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), key.into(), options, none()).await?;
    publish(&channel, exchange, key, "tělo".as_bytes(), BasicProperties::default()).await?;
    let came = take(&channel, queue).await?;
    let body = String::from_utf8_lossy(&came.data);
    equal([came.exchange.as_str(), came.routing_key.as_str(), &body], [exchange, key, "tělo"])?;
    Ok(Value::Null)
}

async fn heartbeats(url: &str) -> Outcome {
    let connection = connect(&format!("{url}?heartbeat=1")).await?;
    let channel = connection.create_channel().await?;
    sleep(Duration::from_millis(3_500)).await;
    let auto_delete = QueueDeclareOptions { auto_delete: true, ..Default::default() };
    channel.queue_declare("rust.heartbeats".into(), auto_delete, FieldTable::default()).await?;
    Ok(json!(connection.configuration().heartbeat()))
}

async fn both_at_once(url: &str) -> Outcome {
    let connection = connect(url).await?;
    let publishing = connect(url).await?;
    let channel = connection.create_channel().await?;
    let publisher = publishing.create_channel().await?;
    declare(&channel, "rust.both", FieldTable::default()).await?;
    channel.basic_qos(100, BasicQosOptions::default()).await?;
    let mut consumer = consume(&channel, "rust.both", "", false).await?;
    let sending = tokio::spawn(async move {
        for number in 0..5_000 {
            let body = number.to_string().into_bytes();
            publish(&publisher, "", "rust.both", &body, BasicProperties::default()).await?;
        }
        Outcome::Ok(())
    });
    for number in 0..5_000 {
        let delivery = receive(&mut consumer).await?;
        equal(delivery.data.as_slice(), number.to_string().as_bytes())?;
        delivery.ack(BasicAckOptions::default()).await?;
    }
    sending.await??;
    Ok(Value::Null)
}
