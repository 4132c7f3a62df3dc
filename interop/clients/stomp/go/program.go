// The scenarios with go-stomp: program HOST PORT PREFIX
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

const patience = 20 * time.Second

var host, port, prefix string

func connect(options ...func(*stomp.Conn) error) *stomp.Conn {
	all := append([]func(*stomp.Conn) error{
		stomp.ConnOpt.Login("guest", "guest"),
		stomp.ConnOpt.Host("/"),
		stomp.ConnOpt.HeartBeat(0, 0),
	}, options...)
	connection, err := stomp.Dial("tcp", net.JoinHostPort(host, port), all...)
	must(err)
	return connection
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func receive(subscription *stomp.Subscription) *stomp.Message {
	select {
	case message := <-subscription.C:
		if message == nil {
			panic("the subscription ended")
		}
		must(message.Err)
		return message
	case <-time.After(patience):
		panic("nothing came")
	}
}

func subscribe(c *stomp.Conn, destination string, mode stomp.AckMode,
	options ...func(*frame.Frame) error) *stomp.Subscription {
	subscription, err := c.Subscribe(destination, mode, options...)
	must(err)
	return subscription
}

func queue(name string) string { return "/queue/" + prefix + name }

func refusedLogin() any {
	_, err := stomp.Dial("tcp", net.JoinHostPort(host, port),
		stomp.ConnOpt.Login("guest", "wrong"), stomp.ConnOpt.Host("/"))
	var refused stomp.Error
	if errors.As(err, &refused) {
		return refused.Message
	}
	return fmt.Sprint(err)
}

func headers() any {
	c := connect()
	defer c.Disconnect()
	s := subscribe(c, queue("headers"), stomp.AckAuto)
	must(c.Send(queue("headers"), "text/plain", []byte("käse"),
		stomp.SendOpt.Header("colon", "a:b\\c"), stomp.SendOpt.Header("umlaut", "ü"),
		stomp.SendOpt.Header("correlation-id", "c1")))
	m := receive(s)
	return []string{string(m.Body), m.Header.Get("colon"), m.Header.Get("umlaut"),
		m.Header.Get("correlation-id"), m.ContentType}
}

func binary() any {
	c := connect()
	defer c.Disconnect()
	body := make([]byte, 256)
	for i := range body {
		body[i] = byte(i)
	}
	s := subscribe(c, queue("binary"), stomp.AckAuto)
	must(c.Send(queue("binary"), "application/octet-stream", body))
	return string(receive(s).Body) == string(body)
}

func receipts() any {
	c := connect()
	defer c.Disconnect()
	for i := 0; i < 100; i++ {
		must(c.Send(queue("receipts"), "text/plain", []byte(fmt.Sprint(i)),
			stomp.SendOpt.Receipt, stomp.SendOpt.Header("persistent", "true")))
	}
	s := subscribe(c, queue("receipts"), stomp.AckAuto)
	count := 0
	for ; count < 100; count++ {
		receive(s)
	}
	return count
}

func redelivery() any {
	c := connect()
	must(c.Send(queue("redelivery"), "", []byte("m"), stomp.SendOpt.Receipt))
	first := receive(subscribe(c, queue("redelivery"), stomp.AckClientIndividual))
	must(c.Disconnect())
	c = connect()
	defer c.Disconnect()
	second := receive(subscribe(c, queue("redelivery"), stomp.AckClientIndividual))
	must(c.Ack(second))
	return []string{first.Header.Get("redelivered"), second.Header.Get("redelivered")}
}

func nack() any {
	c := connect()
	defer c.Disconnect()
	s := subscribe(c, queue("nack"), stomp.AckClientIndividual)
	must(c.Send(queue("nack"), "", []byte("m")))
	must(c.Nack(receive(s)))
	again := receive(s)
	must(c.Ack(again))
	return again.Header.Get("redelivered")
}

func transactions() any {
	c := connect()
	defer c.Disconnect()
	aborted := c.Begin()
	must(aborted.Send(queue("transactions"), "", []byte("aborted")))
	must(aborted.Abort())
	committed := c.Begin()
	must(committed.Send(queue("transactions"), "", []byte("1")))
	must(committed.Send(queue("transactions"), "", []byte("2")))
	must(committed.Commit())
	s := subscribe(c, queue("transactions"), stomp.AckAuto)
	return []string{string(receive(s).Body), string(receive(s).Body)}
}

func topic() any {
	c := connect()
	defer c.Disconnect()
	one := subscribe(c, "/topic/"+prefix+"a.*", stomp.AckAuto)
	all := subscribe(c, "/topic/"+prefix+"a.#", stomp.AckAuto)
	must(c.Send("/topic/"+prefix+"a.b", "", []byte("m"), stomp.SendOpt.Receipt))
	return []string{string(receive(one).Body), string(receive(all).Body)}
}

// go-stomp gives every subscription an id of its own, so the answer goes to an ordinary queue.
func reply() any {
	c, server := connect(), connect()
	defer c.Disconnect()
	defer server.Disconnect()
	answers := subscribe(c, queue("answers"), stomp.AckAuto)
	questions := subscribe(server, queue("questions"), stomp.AckAuto)
	must(c.Send(queue("questions"), "", []byte("question"),
		stomp.SendOpt.Header("reply-to", queue("answers"))))
	question := receive(questions)
	must(server.Send(question.Header.Get("reply-to"), "", []byte("answer")))
	return string(receive(answers).Body)
}

// go-stomp ends its side of a connection at an ERROR.
func mistakes() any {
	c := connect()
	defer c.MustDisconnect()
	err := c.Send("/nothing/a", "", nil, stomp.SendOpt.Receipt)
	var refused stomp.Error
	if errors.As(err, &refused) {
		return refused.Message
	}
	return fmt.Sprint(err)
}

func inOrder() any {
	c, other := connect(), connect()
	defer c.Disconnect()
	defer other.Disconnect()
	s := subscribe(other, queue("order"), stomp.AckClientIndividual,
		stomp.SubscribeOpt.Header("prefetch-count", "50"))
	go func() {
		for i := 0; i < 2000; i++ {
			must(c.Send(queue("order"), "text/plain", []byte(fmt.Sprint(i))))
		}
	}()
	for i := 0; i < 2000; i++ {
		m := receive(s)
		if string(m.Body) != fmt.Sprint(i) {
			return fmt.Sprintf("%s where %d was due", m.Body, i)
		}
		must(other.Ack(m))
	}
	return 2000
}

func heartBeats() any {
	c := connect(stomp.ConnOpt.HeartBeat(time.Second, time.Second))
	defer c.Disconnect()
	time.Sleep(4 * time.Second)
	s := subscribe(c, queue("beats"), stomp.AckAuto)
	must(c.Send(queue("beats"), "", []byte("alive")))
	return string(receive(s).Body)
}

func report(name string, scenario func() any) {
	said := map[string]any{"scenario": name}
	defer func() {
		if problem := recover(); problem != nil {
			said["problem"] = fmt.Sprint(problem)
		}
		line, _ := json.Marshal(said)
		fmt.Println(string(line))
	}()
	said["seen"] = scenario()
}

func libraryVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if strings.HasPrefix(module.Path, "github.com/go-stomp/stomp") {
			return module.Version
		}
	}
	return "of an unknown version"
}

func main() {
	host, port, prefix = os.Args[1], os.Args[2], os.Args[3]
	line, _ := json.Marshal(map[string]any{"library": "go-stomp " + libraryVersion()})
	fmt.Println(string(line))
	report("refused login", refusedLogin)
	report("headers", headers)
	report("binary", binary)
	report("receipts", receipts)
	report("redelivery", redelivery)
	report("nack", nack)
	report("transactions", transactions)
	report("topic", topic)
	report("reply", reply)
	report("errors", mistakes)
	report("in order", inOrder)
	report("heart-beats", heartBeats)
}
