// amqp091-go: `program amqp://user:password@host:port/ [scenario ...]`. Prints one line of JSON per
// scenario: what it saw, or what went wrong.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const wait = 10 * time.Second

type scenario struct {
	name string
	run  func(url string) any
}

var scenarios = []scenario{
	{"refused login", refusedLogin},
	{"exchange types", exchangeTypes},
	{"confirms", confirms},
	{"mandatory return", mandatoryReturn},
	{"prefetch", prefetch},
	{"requeue", requeue},
	{"dead letters", deadLetters},
	{"header types", headerTypes},
	{"transactions", transactions},
	{"direct reply-to", directReplyTo},
	{"cancel notification", cancelNotification},
	{"missing queue", missingQueue},
	{"large message", largeMessage},
	{"unicode names", unicodeNames},
	{"heartbeats", heartbeats},
	{"both at once", bothAtOnce},
}

func main() {
	url, wanted := os.Args[1], os.Args[2:]
	say(map[string]any{"library": "amqp091-go " + libraryVersion()})
	for _, each := range scenarios {
		if len(wanted) == 0 || contains(wanted, each.name) {
			runOne(each, url)
		}
	}
}

func runOne(each scenario, url string) {
	defer func() {
		if problem := recover(); problem != nil {
			say(map[string]any{"scenario": each.name, "problem": fmt.Sprint(problem)})
		}
	}()
	say(map[string]any{"scenario": each.name, "seen": each.run(url)})
}

func say(line map[string]any) {
	text, err := json.Marshal(line)
	must(err)
	fmt.Println(string(text))
}

func libraryVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if strings.HasSuffix(module.Path, "amqp091-go") {
			return module.Version
		}
	}
	return "unknown"
}

func contains(names []string, name string) bool {
	for _, each := range names {
		if each == name {
			return true
		}
	}
	return false
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func check(condition bool, problem string, values ...any) {
	if !condition {
		panic(fmt.Sprintf(problem, values...))
	}
}

func equal(actual, expected any) {
	check(reflect.DeepEqual(actual, expected), "%#v, not %#v", actual, expected)
}

// dial opens a connection; the caller closes it.
func dial(url string) *amqp.Connection {
	connection, err := amqp.Dial(url)
	must(err)
	return connection
}

func open(connection *amqp.Connection) *amqp.Channel {
	channel, err := connection.Channel()
	must(err)
	return channel
}

func declare(channel *amqp.Channel, queue string, arguments amqp.Table) {
	_, err := channel.QueueDeclare(queue, false, false, false, false, arguments)
	must(err)
}

func publish(channel *amqp.Channel, exchange, key string, message amqp.Publishing) {
	must(channel.PublishWithContext(context.Background(), exchange, key, false, false, message))
}

func count(channel *amqp.Channel, queue string) int {
	found, err := channel.QueueDeclarePassive(queue, false, false, false, false, nil)
	must(err)
	return found.Messages
}

// Unconfirmed messages may still be on their way to the queue.
func waitForCount(channel *amqp.Channel, queue string, expected int) {
	for deadline := time.Now().Add(wait); ; {
		found := count(channel, queue)
		if found == expected {
			return
		}
		check(time.Now().Before(deadline), "%d messages in %s, not %d", found, queue, expected)
	}
}

func take(channel *amqp.Channel, queue string) amqp.Delivery {
	for deadline := time.Now().Add(wait); ; {
		message, ok, err := channel.Get(queue, false)
		must(err)
		if ok {
			return message
		}
		check(time.Now().Before(deadline), "nothing came from %s", queue)
	}
}

func receive[T any](channel <-chan T) T {
	select {
	case value := <-channel:
		return value
	case <-time.After(wait):
		panic("nothing came in time")
	}
}

func refusedLogin(url string) any {
	connection, err := amqp.Dial(strings.Replace(url, "guest:guest", "guest:wrong", 1))
	if err == nil {
		connection.Close()
	}
	check(errors.Is(err, amqp.ErrCredentials), "%v", err)
	return err.Error()
}

func exchangeTypes(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel := open(connection)
	all := amqp.Table{"x-match": "all", "shape": "round", "size": 3}
	for _, each := range []struct {
		kind, key string
		arguments amqp.Table
		expected  int
	}{{"direct", "a.b", nil, 2}, {"fanout", "ignored", nil, 6}, {"topic", "a.*", nil, 4}, {"headers", "", all, 3}} {
		name := "go." + each.kind
		must(channel.ExchangeDeclare(name, each.kind, true, false, false, false, nil))
		_, err := channel.QueueDeclare(name, true, false, false, false, nil)
		must(err)
		must(channel.QueueBind(name, each.key, name, false, each.arguments))
		for _, headers := range []amqp.Table{{"shape": "round", "size": 3}, {"shape": "round"}} {
			for _, key := range []string{"a.b", "a.c", "a.b.c"} {
				publish(channel, name, key, amqp.Publishing{Headers: headers})
			}
		}
		waitForCount(channel, name, each.expected)
	}
	return nil
}

func confirms(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel := open(connection)
	_, err := channel.QueueDeclare("go.confirms", true, false, false, false, nil)
	must(err)
	must(channel.Confirm(false))
	confirmations := make([]*amqp.DeferredConfirmation, 0, 1_000)
	for number := 0; number < 1_000; number++ {
		message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(strconv.Itoa(number))}
		confirmation, err := channel.PublishWithDeferredConfirm("", "go.confirms", false, false, message)
		must(err)
		confirmations = append(confirmations, confirmation)
	}
	for _, confirmation := range confirmations {
		check(confirmation.Wait(), "a message was refused")
	}
	equal(count(channel, "go.confirms"), 1_000)
	return nil
}

func mandatoryReturn(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel := open(connection)
	returns := channel.NotifyReturn(make(chan amqp.Return, 1))
	message := amqp.Publishing{Body: []byte("back")}
	must(channel.PublishWithContext(context.Background(), "", "go.nowhere", true, false, message))
	returned := receive(returns)
	equal(string(returned.Body), "back")
	return fmt.Sprintf("%d %s", returned.ReplyCode, returned.ReplyText)
}

func prefetch(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel := open(connection)
	declare(channel, "go.prefetch", nil)
	for number := 0; number < 50; number++ {
		publish(channel, "", "go.prefetch", amqp.Publishing{})
	}
	must(channel.Qos(10, 0, false))
	deliveries, err := channel.Consume("go.prefetch", "", false, false, false, false, nil)
	must(err)
	var last amqp.Delivery
	for came := 1; came <= 50; came++ {
		last = receive(deliveries)
		if came == 10 {
			waitForCount(channel, "go.prefetch", 40)
			equal(len(deliveries), 0)
		}
		if came%10 == 0 {
			must(last.Ack(true))
		}
	}
	return nil
}

func requeue(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel := open(connection)
	declare(channel, "go.requeue", nil)
	publish(channel, "", "go.requeue", amqp.Publishing{Body: []byte("again")})
	first := take(channel, "go.requeue")
	must(first.Nack(false, true))
	second := take(channel, "go.requeue")
	must(second.Ack(false))
	equal(string(second.Body), "again")
	equal([]bool{first.Redelivered, second.Redelivered}, []bool{false, true})
	return nil
}

func deadLetters(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel := open(connection)
	declare(channel, "go.dead", nil)
	declare(channel, "go.dying", amqp.Table{
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "go.dead",
	})
	publish(channel, "", "go.dying", amqp.Publishing{
		Body: []byte("corpse"), Headers: amqp.Table{"kept": "as it was"},
	})
	rejected := take(channel, "go.dying")
	must(rejected.Reject(false))
	dead := take(channel, "go.dead")
	equal(string(dead.Body), "corpse")
	equal(dead.Headers["kept"], "as it was")
	death := dead.Headers["x-death"].([]any)[0].(amqp.Table)
	seen := []string{}
	for name, value := range death {
		if name == "time" {
			value = value.(time.Time).IsZero()
		}
		seen = append(seen, fmt.Sprintf("%s: %T %v", name, value, value))
	}
	sort.Strings(seen)
	return seen
}

func headerTypes(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel := open(connection)
	declare(channel, "go.table", nil)
	headers := amqp.Table{
		"bool": true, "byte": byte(200), "int8": int8(-100), "int16": int16(-30_000),
		"int32": int32(-2_000_000_000), "int64": int64(1) << 60, "float32": float32(1.5),
		"float64": 0.1, "decimal": amqp.Decimal{Scale: 2, Value: 1234}, "text": "grüße",
		"octets": []byte{0, 255}, "time": time.Unix(1_770_000_000, 0), "none": nil,
		"list":  []any{int32(1), "two", amqp.Table{"three": []any{int64(3)}}},
		"table": amqp.Table{"inner": amqp.Table{"most": true}},
	}
	sent := amqp.Publishing{
		Headers: headers, ContentType: "text/plain", ContentEncoding: "utf-8", Priority: 3,
		CorrelationId: "c", ReplyTo: "r", Expiration: "60000", MessageId: "m",
		Timestamp: time.Unix(1_770_000_001, 0), Type: "kind", UserId: "guest", AppId: "go",
	}
	publish(channel, "", "go.table", sent)
	came := take(channel, "go.table")
	equal(came.Headers, headers)
	equal(amqp.Publishing{
		Headers: headers, ContentType: came.ContentType, ContentEncoding: came.ContentEncoding,
		Priority: came.Priority, CorrelationId: came.CorrelationId, ReplyTo: came.ReplyTo,
		Expiration: came.Expiration, MessageId: came.MessageId, Timestamp: came.Timestamp,
		Type: came.Type, UserId: came.UserId, AppId: came.AppId,
	}, sent)
	return nil
}

func transactions(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel, other := open(connection), open(connection)
	declare(channel, "go.tx", nil)
	must(channel.Tx())
	publish(channel, "", "go.tx", amqp.Publishing{Body: []byte("dropped")})
	must(channel.TxRollback())
	publish(channel, "", "go.tx", amqp.Publishing{Body: []byte("kept")})
	before := count(other, "go.tx")
	must(channel.TxCommit())
	equal([]int{before, count(other, "go.tx")}, []int{0, 1})
	equal(string(take(other, "go.tx").Body), "kept")
	return nil
}

func directReplyTo(url string) any {
	connection := dial(url)
	defer connection.Close()
	server, client := open(connection), open(connection)
	declare(server, "go.rpc", nil)
	requests, err := server.Consume("go.rpc", "", false, false, false, false, nil)
	must(err)
	const replyTo = "amq.rabbitmq.reply-to"
	replies, err := client.Consume(replyTo, "", true, false, false, false, nil)
	must(err)
	publish(client, "", "go.rpc", amqp.Publishing{ReplyTo: replyTo, CorrelationId: "7", Body: []byte("question")})
	request := receive(requests)
	check(strings.HasPrefix(request.ReplyTo, replyTo+"."), "replies go to %s", request.ReplyTo)
	publish(server, "", request.ReplyTo, amqp.Publishing{
		CorrelationId: request.CorrelationId, Body: bytes.ToUpper(request.Body),
	})
	must(request.Ack(false))
	reply := receive(replies)
	equal([]string{reply.CorrelationId, string(reply.Body)}, []string{"7", "QUESTION"})
	return nil
}

func cancelNotification(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel, other := open(connection), open(connection)
	declare(channel, "go.cancel", nil)
	cancelled := channel.NotifyCancel(make(chan string, 1))
	_, err := channel.Consume("go.cancel", "watcher", false, false, false, false, nil)
	must(err)
	_, err = other.QueueDelete("go.cancel", false, false, false)
	must(err)
	return receive(cancelled)
}

func missingQueue(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel, other := open(connection), open(connection)
	_, err := channel.QueueDeclarePassive("go.missing", false, false, false, false, nil)
	var refused *amqp.Error
	check(errors.As(err, &refused), "%v", err)
	check(channel.IsClosed() && !connection.IsClosed(), "the wrong thing was closed")
	_, err = other.QueueDeclare("go.other", false, true, false, false, nil)
	must(err)
	return refused.Error()
}

func largeMessage(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel := open(connection)
	declare(channel, "go.large", nil)
	body := bytes.Repeat([]byte("0123456789abcdef"), 131_072)
	publish(channel, "", "go.large", amqp.Publishing{Body: body})
	came := take(channel, "go.large")
	check(bytes.Equal(came.Body, body), "another body came: %d bytes", len(came.Body))
	return nil
}

func unicodeNames(url string) any {
	connection := dial(url)
	defer connection.Close()
	channel := open(connection)
	exchange, queue, key := "go.příliš", "go.žluťoučký 🐇", "κλειδί"
	must(channel.ExchangeDeclare(exchange, "direct", false, false, false, false, nil))
	declare(channel, queue, nil)
	must(channel.QueueBind(queue, key, exchange, false, nil))
	publish(channel, exchange, key, amqp.Publishing{Body: []byte("tělo")})
	came := take(channel, queue)
	seen := []string{came.Exchange, came.RoutingKey, string(came.Body)}
	equal(seen, []string{exchange, key, "tělo"})
	return seen
}

func heartbeats(url string) any {
	connection, err := amqp.DialConfig(url, amqp.Config{Heartbeat: time.Second})
	must(err)
	defer connection.Close()
	channel := open(connection)
	time.Sleep(3_500 * time.Millisecond)
	_, err = channel.QueueDeclare("go.heartbeats", false, true, false, false, nil)
	must(err)
	return connection.Config.Heartbeat.String()
}

func bothAtOnce(url string) any {
	connection, publisher := dial(url), dial(url)
	defer connection.Close()
	defer publisher.Close()
	channel := open(connection)
	declare(channel, "go.both", nil)
	must(channel.Qos(100, 0, false))
	deliveries, err := channel.Consume("go.both", "", false, false, false, false, nil)
	must(err)
	failed := make(chan error, 1)
	sending := open(publisher)
	go func() {
		for number := 0; number < 5_000; number++ {
			message := amqp.Publishing{Body: []byte(strconv.Itoa(number))}
			if err := sending.PublishWithContext(context.Background(), "", "go.both", false, false, message); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	for number := 0; number < 5_000; number++ {
		message := receive(deliveries)
		equal(string(message.Body), strconv.Itoa(number))
		must(message.Ack(false))
	}
	must(receive(failed))
	return nil
}
