/*
 * amqp_load: put one measured load on an AMQP 0-9-1 broker on this machine, and check every message.
 *
 * It must never be the limit, so it does as little as it can per message: the publishes are prebuilt
 * frames in a ring, of which only a sequence number and a time are patched; one write sends many of
 * them; one read takes many deliveries, and their acks leave in one write. One thread and two
 * non-blocking sockets.
 *
 * A body:   0        4            12
 *           | seq 32 | sent at 64 | filler ...      big-endian; the time is CLOCK_MONOTONIC in ns
 *
 * Message `seq` goes to queue `seq % queues` (to all of them with --fanout), so each queue must
 * deliver an arithmetic progression. Anything else, or a nack, a return, a close or a stall, is
 * told on stderr and ends the program with status 1. The result is one JSON object on stdout.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "measure.h"

#define FRAME_MAX 131072u
#define FRAME_OVERHEAD 8u
#define FRAME_END 0xCE
#define QUEUES_MAX 100000

enum frame_type { FRAME_METHOD = 1, FRAME_HEADER = 2, FRAME_BODY = 3, FRAME_HEARTBEAT = 8 };

#define METHOD(class, method) (((uint32_t)(class) << 16) | (method))
enum method {
    CONNECTION_START = METHOD(10, 10),
    CONNECTION_START_OK = METHOD(10, 11),
    CONNECTION_TUNE = METHOD(10, 30),
    CONNECTION_TUNE_OK = METHOD(10, 31),
    CONNECTION_OPEN = METHOD(10, 40),
    CONNECTION_OPEN_OK = METHOD(10, 41),
    CONNECTION_CLOSE = METHOD(10, 50),
    CONNECTION_CLOSE_OK = METHOD(10, 51),
    CHANNEL_OPEN = METHOD(20, 10),
    CHANNEL_OPEN_OK = METHOD(20, 11),
    CHANNEL_CLOSE = METHOD(20, 40),
    EXCHANGE_DECLARE = METHOD(40, 10),
    EXCHANGE_DECLARE_OK = METHOD(40, 11),
    EXCHANGE_DELETE = METHOD(40, 20),
    EXCHANGE_DELETE_OK = METHOD(40, 21),
    QUEUE_DECLARE = METHOD(50, 10),
    QUEUE_DECLARE_OK = METHOD(50, 11),
    QUEUE_BIND = METHOD(50, 20),
    QUEUE_BIND_OK = METHOD(50, 21),
    QUEUE_DELETE = METHOD(50, 40),
    QUEUE_DELETE_OK = METHOD(50, 41),
    BASIC_QOS = METHOD(60, 10),
    BASIC_QOS_OK = METHOD(60, 11),
    BASIC_CONSUME = METHOD(60, 20),
    BASIC_CONSUME_OK = METHOD(60, 21),
    BASIC_PUBLISH = METHOD(60, 40),
    BASIC_RETURN = METHOD(60, 50),
    BASIC_DELIVER = METHOD(60, 60),
    BASIC_ACK = METHOD(60, 80),
    BASIC_NACK = METHOD(60, 120),
    CONFIRM_SELECT = METHOD(85, 10),
    CONFIRM_SELECT_OK = METHOD(85, 11),
};

/* ---- Options ---- */

enum mode { MODE_PUBLISH = 1, MODE_CONSUME = 2, MODE_BOTH = 3 };

static struct {
    enum mode mode;
    int port;
    uint32_t body_size;
    bool persistent;
    uint64_t window;    /* unconfirmed at most; 0: no confirms */
    uint64_t in_flight; /* published and not consumed at most; 0: no limit */
    uint32_t prefetch;  /* single acks and this basic.qos; 0: auto-ack */
    uint32_t queues;
    const char *prefix; /* of the queues' names */
    const char *fanout; /* publish through this fanout exchange, to every queue */
    uint64_t messages;
    double seconds;
    double rate; /* messages per second; 0: as fast as the limits allow */
    uint64_t progress;
    double timeout;
    double stall;
    long broker_pid;
    bool keep;
} options = {
    .mode = MODE_BOTH,
    .body_size = 1024,
    .queues = 1,
    .prefix = "bench",
    .timeout = 120,
    .stall = 20,
};

/* ---- What has happened so far ---- */

static struct {
    uint64_t sent, confirmed, consumed;
    uint64_t moved_bytes; /* both ways; it standing still is a stall */
    uint64_t now;         /* read once per turn of the loop, and after each read */
    uint64_t started, deadline;
    uint64_t progress_next;
} state;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "amqp_load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (sent %llu, confirmed %llu, consumed %llu)\n", (unsigned long long)state.sent,
            (unsigned long long)state.confirmed, (unsigned long long)state.consumed);
    va_end(arguments);
    exit(1);
}

static uint16_t get16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return be16toh(value);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

static void set32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
}

static void set64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

/* ---- Frames, written into a buffer ---- */

static void put8(struct buffer *buffer, uint8_t value)
{
    put(buffer, &value, 1);
}

static void put16(struct buffer *buffer, uint16_t value)
{
    value = htobe16(value);
    put(buffer, &value, sizeof value);
}

static void put32(struct buffer *buffer, uint32_t value)
{
    set32(grow(buffer, 4), value);
}

static void put64(struct buffer *buffer, uint64_t value)
{
    set64(grow(buffer, 8), value);
}

static void put_short_string(struct buffer *buffer, const char *text)
{
    put8(buffer, (uint8_t)strlen(text));
    put(buffer, text, strlen(text));
}

/* Returns where the frame begins, for end_frame(). */
static size_t begin_frame(struct buffer *buffer, enum frame_type type, uint16_t channel)
{
    put8(buffer, (uint8_t)type);
    put16(buffer, channel);
    put32(buffer, 0);
    return buffer->end - 7;
}

static size_t begin_method(struct buffer *buffer, enum method method)
{
    size_t frame = begin_frame(buffer, FRAME_METHOD, method >> 16 == 10 ? 0 : 1);
    put32(buffer, method);
    return frame;
}

static void end_frame(struct buffer *buffer, size_t frame)
{
    set32(buffer->data + frame + 3, (uint32_t)(buffer->end - frame - 7));
    put8(buffer, FRAME_END);
}

/* ---- Connections ---- */

struct connection {
    const char *name;
    int fd; /* -1: closed */
    uint8_t *input;
    size_t input_size;
    struct buffer output;
    enum method awaited; /* the reply that is due `awaited_count` times */
    uint64_t awaited_count;
    uint64_t message_count_sum;  /* of all queue.declare-ok since it was last set to 0 */
    uint32_t header_of, body_of; /* content: 1 + its queue while its header or body is due */
    uint64_t delivery_tag;
    uint8_t *body; /* gathered here when it comes in parts */
    uint32_t body_size;
};

enum { PUBLISHER, CONSUMER, ADMIN, CONNECTIONS };
static struct connection connections[CONNECTIONS] = {
    {.name = "publisher", .fd = -1},
    {.name = "consumer", .fd = -1},
    {.name = "admin", .fd = -1},
};
static struct connection *const publisher = &connections[PUBLISHER];
static struct connection *const consumer = &connections[CONSUMER];

#include "loop.h"

/* ---- What is published ---- */

static struct buffer content_header; /* its payload, which every delivery must have */
static uint64_t held_until; /* a message was due then, but a limit or the socket forbade it */

static const char *queue_name(uint32_t queue)
{
    static char name[256];
    snprintf(name, sizeof name, "%.200s-%05u", options.prefix, queue);
    return name;
}

static void put_message(struct buffer *out, const char *exchange, const char *routing_key)
{
    size_t frame = begin_method(out, BASIC_PUBLISH);
    put16(out, 0);
    put_short_string(out, exchange);
    put_short_string(out, routing_key);
    put8(out, 0); /* neither mandatory nor immediate */
    end_frame(out, frame);
    frame = begin_frame(out, FRAME_HEADER, 1);
    put(out, content_header.data, content_header.end);
    end_frame(out, frame);
    frame = begin_frame(out, FRAME_BODY, 1);
    ring.body_offset = out->end;
    put(out, ring.body, options.body_size);
    end_frame(out, frame);
}

static void build_ring(void)
{
    put16(&content_header, 60);
    put16(&content_header, 0);
    put64(&content_header, options.body_size);
    put16(&content_header, 0x1000); /* the only property: delivery-mode */
    put8(&content_header, options.persistent ? 2 : 1);
    make_body(options.body_size);

    uint32_t keys = options.fanout ? 1 : options.queues;
    for (uint32_t key = 0; key < keys; key++) {
        struct buffer message = {0};
        if (options.fanout)
            put_message(&message, options.fanout, "");
        else
            put_message(&message, "", queue_name(key));
        if (ring.data == NULL) {
            ring.message_size = message.end;
            ring.slots = keys * (1 + RING_SIZE_MIN / (keys * ring.message_size));
            ring.data = allocate(ring.slots * ring.message_size);
        }
        for (uint64_t slot = key; slot < ring.slots; slot += keys)
            memcpy(ring.data + slot * ring.message_size, message.data, ring.message_size);
        free(message.data);
    }
}

/* ---- Confirms: each exactly once, in any order ---- */

static struct {
    uint8_t *done;   /* by tag % size */
    uint64_t size;   /* of the span that may be open, a power of two */
    uint64_t lowest; /* not confirmed yet */
} confirms = {.lowest = 1};

static void on_confirm(const uint8_t *arguments, uint32_t size)
{
    if (size < 9)
        fail("basic.ack is too short");
    uint64_t tag = get64(arguments);
    bool multiple = arguments[8] & 1;
    if (tag < confirms.lowest || tag > state.sent || confirms.done[tag % confirms.size])
        fail("confirm of %llu, which is not outstanding", (unsigned long long)tag);
    for (uint64_t each = multiple ? confirms.lowest : tag; each <= tag; each++)
        if (!confirms.done[each % confirms.size]) {
            confirms.done[each % confirms.size] = 1;
            state.confirmed++;
        }
    while (confirms.done[confirms.lowest % confirms.size]) {
        confirms.done[confirms.lowest % confirms.size] = 0;
        confirms.lowest++;
    }
}

/* ---- What is consumed ---- */

static uint32_t *expected; /* per queue: the next sequence number */

static void on_message(struct connection *c, uint32_t queue, const uint8_t *body)
{
    uint32_t sequence = get32(body);
    if (sequence != expected[queue])
        fail("queue %s: message %u where %u was due: %s", queue_name(queue), sequence,
             expected[queue],
             sequence < expected[queue] ? "a duplicate, or out of order" : "a loss, or out of order");
    if (memcmp(body + STAMP_SIZE, ring.body + STAMP_SIZE, options.body_size - STAMP_SIZE) != 0)
        fail("queue %s: the body of message %u was changed", queue_name(queue), sequence);
    expected[queue] += options.fanout ? 1 : options.queues;
    state.consumed++;
    if (options.mode == MODE_BOTH)
        add_latency(state.now - get64(body + 4));
    if (options.prefetch) {
        static const uint8_t ack[] = {FRAME_METHOD, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80};
        uint8_t *frame = grow(&c->output, sizeof ack + 10);
        memcpy(frame, ack, sizeof ack);
        set64(frame + sizeof ack, c->delivery_tag);
        frame[sizeof ack + 8] = 0; /* not multiple */
        frame[sizeof ack + 9] = FRAME_END;
    }
}

/* The consumer tag is the queue's number, in five digits. */
static void on_deliver(struct connection *c, const uint8_t *arguments, uint32_t size)
{
    if (size < 17 || arguments[0] != 5)
        fail("basic.deliver with a strange consumer tag");
    uint32_t queue = 0;
    for (int i = 1; i <= 5; i++)
        queue = 10 * queue + (uint32_t)(arguments[i] - '0');
    if (queue >= options.queues)
        fail("basic.deliver with a strange consumer tag");
    /* A backlog may be marked so after a crash; the sequence tells whether it is a duplicate. */
    if (arguments[14] && options.mode == MODE_BOTH)
        fail("queue %s: a message after %u was redelivered", queue_name(queue), expected[queue]);
    c->delivery_tag = get64(arguments + 6);
    c->header_of = queue + 1;
}

static void on_header(struct connection *c, const uint8_t *payload, uint32_t size)
{
    if (!c->header_of)
        fail("a content header where none is due");
    if (size != content_header.end || memcmp(payload, content_header.data, size) != 0)
        fail("queue %s: the content header after message %u differs from what was published",
             queue_name(c->header_of - 1), expected[c->header_of - 1]);
    c->body_of = c->header_of;
    c->header_of = 0;
    c->body_size = 0;
}

static void on_body(struct connection *c, const uint8_t *payload, uint32_t size)
{
    if (!c->body_of)
        fail("a body frame where none is due");
    if (size > options.body_size - c->body_size)
        fail("queue %s: a body is too long", queue_name(c->body_of - 1));
    const uint8_t *body = payload;
    if (size < options.body_size) {
        if (c->body == NULL)
            c->body = allocate(options.body_size);
        memcpy(c->body + c->body_size, payload, size);
        body = c->body;
    }
    c->body_size += size;
    if (c->body_size == options.body_size) {
        uint32_t queue = c->body_of - 1;
        c->body_of = 0;
        on_message(c, queue, body);
    }
}

/* ---- Frames in ---- */

static void on_close(struct connection *c, const char *what, const uint8_t *arguments, uint32_t size)
{
    int length = size < 3 ? 0 : arguments[2];
    if (size < 3 || size - 3 < (uint32_t)length)
        fail("%s: the broker closed the %s", c->name, what);
    fail("%s: the broker closed the %s: %u %.*s", c->name, what, get16(arguments), length,
         (const char *)arguments + 3);
}

static void on_method(struct connection *c, const uint8_t *payload, uint32_t size)
{
    if (size < 4)
        fail("%s: a method frame is too short", c->name);
    if (c->header_of || c->body_of)
        fail("%s: a method where content is due", c->name);
    enum method method = get32(payload);
    const uint8_t *arguments = payload + 4;
    size -= 4;
    if (method == BASIC_DELIVER && c == consumer) {
        on_deliver(c, arguments, size);
    } else if (method == BASIC_ACK && c == publisher && options.window) {
        on_confirm(arguments, size);
    } else if (c->awaited_count && method == c->awaited) {
        c->awaited_count--;
        if (method == QUEUE_DECLARE_OK && size >= 9 && size - 9 >= arguments[0])
            c->message_count_sum += get32(arguments + 1 + arguments[0]);
    } else if (method == CONNECTION_CLOSE) {
        on_close(c, "connection", arguments, size);
    } else if (method == CHANNEL_CLOSE) {
        on_close(c, "channel", arguments, size);
    } else if (method == BASIC_NACK) {
        fail("the broker refused a message: basic.nack");
    } else if (method == BASIC_RETURN) {
        fail("the broker returned a message: basic.return");
    } else {
        fail("%s: unexpected method %u.%u", c->name, method >> 16, method & 0xffff);
    }
}

static void on_frame(struct connection *c, uint8_t type, const uint8_t *payload, uint32_t size)
{
    switch (type) {
    case FRAME_METHOD:
        on_method(c, payload, size);
        break;
    case FRAME_HEADER:
        on_header(c, payload, size);
        break;
    case FRAME_BODY:
        on_body(c, payload, size);
        break;
    case FRAME_HEARTBEAT:
        end_frame(&c->output, begin_frame(&c->output, FRAME_HEARTBEAT, 0));
        break;
    default:
        fail("%s: a frame of type %u", c->name, type);
    }
}

static void on_input(struct connection *c)
{
    size_t at = 0;
    while (c->input_size - at >= FRAME_OVERHEAD) {
        const uint8_t *frame = c->input + at;
        uint32_t size = get32(frame + 3);
        if (memcmp(frame, "AMQP", 4) == 0)
            fail("%s: the broker does not speak AMQP 0-9-1", c->name);
        if (size > FRAME_MAX)
            fail("%s: a frame of %u octets", c->name, size);
        if (c->input_size - at < size + FRAME_OVERHEAD)
            break;
        if (frame[7 + size] != FRAME_END)
            fail("%s: a frame with a wrong end octet", c->name);
        on_frame(c, frame[0], frame + 7, size);
        at += size + FRAME_OVERHEAD;
    }
    c->input_size -= at;
    memmove(c->input, c->input + at, c->input_size);
}

/* ---- The event loop ---- */

/* How many more messages the limits on what is open allow. */
static uint64_t open_allowance(void)
{
    uint64_t count = UINT64_MAX;
    if (options.window) {
        count = at_most(options.window, state.sent - state.confirmed);
        count = least(count, at_most(confirms.size - 1, state.sent + 1 - confirms.lowest));
    }
    if (options.in_flight)
        count = least(count, at_most(options.in_flight, state.sent - state.consumed));
    return count;
}

static uint64_t due_ns(uint64_t sequence)
{
    return state.started + (uint64_t)((double)sequence * 1e9 / options.rate);
}

/* How many more messages should have been sent by now, of those that are to be sent at all. */
static uint64_t due_count(void)
{
    uint64_t count = options.messages ? options.messages - state.sent : UINT64_MAX;
    if (!options.rate)
        return count;
    uint64_t due = 0;
    while (due < count && due_ns(state.sent + due) <= state.now)
        due++;
    return due;
}

static bool publish(void)
{
    if (options.seconds && state.now - state.started >= (uint64_t)(options.seconds * 1e9))
        ring.publishing = false;
    if (!ring.publishing || publisher->output.start < publisher->output.end)
        return false;
    uint64_t due = due_count(), allowed = open_allowance();
    uint64_t space = ring_space(), count = least(least(due, allowed), space);
    if (options.rate && count < due)
        held_until = state.now;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *body = ring.data + state.sent % ring.slots * ring.message_size + ring.body_offset;
        uint64_t stamp = state.now;
        /* Waiting for the broker counts as latency, waiting for our own clock does not. */
        if (options.rate && due_ns(state.sent) <= held_until)
            stamp = due_ns(state.sent);
        set32(body, (uint32_t)state.sent);
        set64(body + 4, stamp);
        state.sent++;
    }
    if (options.messages && state.sent == options.messages)
        ring.publishing = false;
    return ring.publishing && count == space && !options.rate;
}

static void report_progress(void)
{
    uint64_t count = options.mode != MODE_PUBLISH ? state.consumed
                     : options.window             ? state.confirmed
                                                  : state.sent;
    if (!options.progress || count < state.progress_next)
        return;
    printf("{\"progress\": %llu, \"seconds\": %.6f}\n", (unsigned long long)count,
           (double)(state.now - state.started) / 1e9);
    fflush(stdout);
    state.progress_next = count - count % options.progress + options.progress;
}

/* One turn: wait for input, space or the next due message. */
static void turn(void)
{
    uint64_t wait = ring.more ? 0 : SECOND / 10;
    if (ring.publishing && options.rate && due_ns(state.sent) > state.now)
        wait = least(wait, due_ns(state.sent) - state.now);
    turn_within(wait);
    report_progress();
}

static void await(struct connection *c, enum method method, uint64_t count)
{
    c->awaited = method;
    c->awaited_count = count;
    while (c->awaited_count)
        turn();
}

/* ---- The dialogue around the load ---- */

static void open_connection(struct connection *c)
{
    *c = (struct connection){
        .name = c->name, .fd = open_socket(c->name), .input = allocate(READ_CAPACITY)};
    struct buffer *out = &c->output;

    put(out, "AMQP\0\0\11\1", 8);
    await(c, CONNECTION_START, 1);
    size_t frame = begin_method(out, CONNECTION_START_OK);
    put32(out, 0); /* no client properties */
    put_short_string(out, "PLAIN");
    put32(out, 12);
    put(out, "\0guest\0guest", 12);
    put_short_string(out, "en_US");
    end_frame(out, frame);
    await(c, CONNECTION_TUNE, 1);
    frame = begin_method(out, CONNECTION_TUNE_OK);
    put16(out, 1); /* one channel */
    put32(out, FRAME_MAX);
    put16(out, 0); /* no heartbeats */
    end_frame(out, frame);
    frame = begin_method(out, CONNECTION_OPEN);
    put_short_string(out, "/");
    put16(out, 0);
    end_frame(out, frame);
    await(c, CONNECTION_OPEN_OK, 1);
    frame = begin_method(out, CHANNEL_OPEN);
    put8(out, 0);
    end_frame(out, frame);
    await(c, CHANNEL_OPEN_OK, 1);
}

static void close_connection(struct connection *c)
{
    size_t frame = begin_method(&c->output, CONNECTION_CLOSE);
    put16(&c->output, 200);
    put_short_string(&c->output, "done");
    put32(&c->output, 0);
    end_frame(&c->output, frame);
    await(c, CONNECTION_CLOSE_OK, 1);
    close(c->fd);
    free(c->input);
    free(c->body);
    free(c->output.data);
    *c = (struct connection){.name = c->name, .fd = -1};
}

/* Declare some queues and return how many messages are ready in them. */
static uint64_t declare_queues(struct connection *c, uint32_t first, uint32_t count, bool passive)
{
    c->message_count_sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t frame = begin_method(&c->output, QUEUE_DECLARE);
        put16(&c->output, 0);
        put_short_string(&c->output, queue_name(first + i));
        put8(&c->output, (passive ? 1 : 0) | (options.persistent ? 2 : 0));
        put32(&c->output, 0);
        end_frame(&c->output, frame);
    }
    await(c, QUEUE_DECLARE_OK, count);
    return c->message_count_sum;
}

static void declare_fanout(struct connection *c)
{
    size_t frame = begin_method(&c->output, EXCHANGE_DECLARE);
    put16(&c->output, 0);
    put_short_string(&c->output, options.fanout);
    put_short_string(&c->output, "fanout");
    put8(&c->output, options.persistent ? 2 : 0);
    put32(&c->output, 0);
    end_frame(&c->output, frame);
    await(c, EXCHANGE_DECLARE_OK, 1);
    for (uint32_t queue = 0; queue < options.queues; queue++) {
        frame = begin_method(&c->output, QUEUE_BIND);
        put16(&c->output, 0);
        put_short_string(&c->output, queue_name(queue));
        put_short_string(&c->output, options.fanout);
        put_short_string(&c->output, "");
        put8(&c->output, 0);
        put32(&c->output, 0);
        end_frame(&c->output, frame);
    }
    await(c, QUEUE_BIND_OK, options.queues);
}

static void delete_all(struct connection *c)
{
    for (uint32_t queue = 0; queue < options.queues; queue++) {
        size_t frame = begin_method(&c->output, QUEUE_DELETE);
        put16(&c->output, 0);
        put_short_string(&c->output, queue_name(queue));
        put8(&c->output, 0);
        end_frame(&c->output, frame);
    }
    await(c, QUEUE_DELETE_OK, options.queues);
    if (options.fanout) {
        size_t frame = begin_method(&c->output, EXCHANGE_DELETE);
        put16(&c->output, 0);
        put_short_string(&c->output, options.fanout);
        put8(&c->output, 0);
        end_frame(&c->output, frame);
        await(c, EXCHANGE_DELETE_OK, 1);
    }
}

static void prepare_publisher(void)
{
    open_connection(publisher);
    if (options.window) {
        size_t frame = begin_method(&publisher->output, CONFIRM_SELECT);
        put8(&publisher->output, 0);
        end_frame(&publisher->output, frame);
        await(publisher, CONFIRM_SELECT_OK, 1);
        confirms.size = 1 << 16;
        while (confirms.size < 16 * options.window)
            confirms.size *= 2;
        confirms.done = allocate(confirms.size);
    }
}

static void prepare_consumer(void)
{
    open_connection(consumer);
    if (options.prefetch) {
        size_t frame = begin_method(&consumer->output, BASIC_QOS);
        put32(&consumer->output, 0);
        put16(&consumer->output, (uint16_t)options.prefetch);
        put8(&consumer->output, 0);
        end_frame(&consumer->output, frame);
        await(consumer, BASIC_QOS_OK, 1);
    }
}

static void consume_queues(void)
{
    for (uint32_t queue = 0; queue < options.queues; queue++) {
        char tag[16];
        snprintf(tag, sizeof tag, "%05u", queue);
        size_t frame = begin_method(&consumer->output, BASIC_CONSUME);
        put16(&consumer->output, 0);
        put_short_string(&consumer->output, queue_name(queue));
        put_short_string(&consumer->output, tag);
        put8(&consumer->output, options.prefetch ? 0 : 2); /* no-ack */
        put32(&consumer->output, 0);
        end_frame(&consumer->output, frame);
    }
    await(consumer, BASIC_CONSUME_OK, options.queues);
}

/* ---- The measured part ---- */

static uint64_t copies(uint64_t published)
{
    return options.fanout ? published * options.queues : published;
}

/*
 * Wait until the queues hold so many messages. RabbitMQ's queues answer a passive declare before
 * publishes that came earlier, so one reply is not enough: ask again.
 */
static void wait_until_held(struct connection *c, uint64_t count)
{
    static const struct timespec pause = {.tv_nsec = SECOND / 500};
    uint64_t held, before = 0, grew = state.now;
    while ((held = declare_queues(c, 0, options.queues, true)) != count) {
        if (held > count || held < before)
            fail("the queues hold %llu messages", (unsigned long long)held);
        if (held > before)
            grew = state.now;
        if (state.now - grew > (uint64_t)(options.stall * 1e9))
            fail("the queues stay at %llu messages", (unsigned long long)held);
        before = held;
        nanosleep(&pause, NULL);
    }
}

/* Run the load until the broker has taken, confirmed, delivered and seen acknowledged all of it. */
static void run_load(uint64_t ready)
{
    state.now = state.started = clock_ns(CLOCK_MONOTONIC);
    if (options.mode == MODE_CONSUME) {
        consume_queues();
        while (state.consumed < ready)
            turn();
    } else {
        ring.publishing = ring.more = true;
        while (ring.publishing || ring_pending() ||
               (options.window && state.confirmed < state.sent) ||
               (options.mode == MODE_BOTH && state.consumed < copies(state.sent)))
            turn();
    }
    if (options.mode == MODE_PUBLISH && !options.window)
        wait_until_held(publisher, copies(state.sent));
    else if (options.mode == MODE_PUBLISH) /* What the broker put off until somebody looks counts. */
        declare_queues(publisher, options.queues - 1, 1, true);
    else if (options.prefetch)
        declare_queues(consumer, options.queues - 1, 1, true); /* The channel took the acks. */
}

/* With the consumer gone, what it had not acknowledged would be back in the queues. */
static void check_and_clean_up(void)
{
    struct connection *admin = &connections[ADMIN];
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].fd >= 0)
            close_connection(&connections[i]);
    open_connection(admin);
    wait_until_held(admin, options.mode == MODE_PUBLISH ? copies(state.sent) : 0);
    if (!options.keep)
        delete_all(admin);
    close_connection(admin);
}

/* ---- The command line ---- */

static const char usage_text[] =
    "usage: amqp_load --port PORT [options]       (guest on virtual host / of 127.0.0.1)\n"
    "  --mode publish|consume|both                what to do (both)\n"
    "  --messages N, --seconds S                  how much to publish; whichever is first\n"
    "                                             (consume: what there must be, default: any)\n"
    "  --body N            octets of each body, 12 to 131064 (1024)\n"
    "  --persistent        persistent messages, durable queues\n"
    "  --confirms N        publisher confirms, N unconfirmed at most\n"
    "  --in-flight N       published and not consumed at most\n"
    "  --prefetch N        basic.qos N and a single ack for each message (else auto-ack)\n"
    "  --queues N          round robin over N queues (1)\n"
    "  --fanout EXCHANGE   through a fanout exchange to all queues instead\n"
    "  --prefix NAME       of the queues' names (bench)\n"
    "  --rate R            messages per second (as fast as possible)\n"
    "  --keep              do not delete the queues at the end\n"
    "  --progress N        a JSON line for each N messages confirmed, or else consumed\n"
    "  --broker-pid PID    report its CPU seconds too\n"
    "  --timeout S, --stall S   give up after S in all (120), or S without a byte moving (20)\n";

static enum mode parse_mode(const char *text)
{
    if (strcmp(text, "publish") == 0)
        return MODE_PUBLISH;
    if (strcmp(text, "consume") == 0)
        return MODE_CONSUME;
    if (strcmp(text, "both") == 0)
        return MODE_BOTH;
    fail("--mode is publish, consume or both");
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"mode", 1, 0, 'm'},      {"port", 1, 0, 'p'},       {"messages", 1, 0, 'n'},
        {"seconds", 1, 0, 's'},   {"body", 1, 0, 'b'},       {"persistent", 0, 0, 'P'},
        {"confirms", 1, 0, 'c'},  {"in-flight", 1, 0, 'i'},  {"prefetch", 1, 0, 'a'},
        {"queues", 1, 0, 'q'},    {"fanout", 1, 0, 'f'},     {"prefix", 1, 0, 'x'},
        {"rate", 1, 0, 'r'},      {"keep", 0, 0, 'k'},       {"progress", 1, 0, 'g'},
        {"timeout", 1, 0, 't'},   {"stall", 1, 0, 'S'},      {"broker-pid", 1, 0, 'B'},
        {0},
    };
    int which = 0, option;
    while ((option = getopt_long(argc, argv, "", known, &which)) != -1) {
        const char *name = known[which].name;
        switch (option) {
        case 'm': options.mode = parse_mode(optarg); break;
        case 'p': options.port = (int)number(name, optarg, 1, 65535); break;
        case 'n': options.messages = (uint64_t)number(name, optarg, 1, 4e9); break;
        case 's': options.seconds = number(name, optarg, 0, 3600); break;
        case 'b':
            options.body_size =
                (uint32_t)number(name, optarg, STAMP_SIZE, FRAME_MAX - FRAME_OVERHEAD);
            break;
        case 'P': options.persistent = true; break;
        case 'c': options.window = (uint64_t)number(name, optarg, 1, 1e6); break;
        case 'i': options.in_flight = (uint64_t)number(name, optarg, 1, 1e9); break;
        case 'a': options.prefetch = (uint32_t)number(name, optarg, 1, 65535); break;
        case 'q': options.queues = (uint32_t)number(name, optarg, 1, QUEUES_MAX); break;
        case 'f': options.fanout = optarg; break;
        case 'x': options.prefix = optarg; break;
        case 'r': options.rate = number(name, optarg, 1, 1e6); break;
        case 'k': options.keep = true; break;
        case 'g': options.progress = (uint64_t)number(name, optarg, 1, 1e9); break;
        case 't': options.timeout = number(name, optarg, 1, 36000); break;
        case 'S': options.stall = number(name, optarg, 1, 36000); break;
        case 'B': options.broker_pid = (long)number(name, optarg, 1, 1e9); break;
        default: fputs(usage_text, stderr); exit(2);
        }
    }
    if (optind != argc || !options.port) {
        fputs(usage_text, stderr);
        exit(2);
    }
    if (options.mode != MODE_CONSUME && !options.messages && !options.seconds)
        fail("give --messages or --seconds");
    if (strlen(options.prefix) > 200 || (options.fanout && strlen(options.fanout) > 200))
        fail("a name is longer than 200 octets");
    if (options.mode != MODE_BOTH && options.in_flight)
        fail("--in-flight needs --mode both");
    if (options.fanout && options.in_flight)
        fail("--in-flight counts messages, not copies: not with --fanout");
    if (options.rate && options.seconds && !options.messages)
        options.messages = (uint64_t)(options.rate * options.seconds);
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    prctl(PR_SET_TIMERSLACK, 1); /* nanosecond: --rate sleeps between messages */
    alarm((unsigned)options.timeout + 10); /* whatever happens */
    state.now = clock_ns(CLOCK_MONOTONIC);
    state.deadline = state.now + (uint64_t)(options.timeout * 1e9);
    state.progress_next = options.progress;
    build_ring();
    expected = allocate(options.queues * sizeof *expected);
    for (uint32_t queue = 0; queue < options.queues; queue++)
        expected[queue] = options.fanout ? 0 : queue;

    if (options.mode & MODE_PUBLISH)
        prepare_publisher();
    if (options.mode & MODE_CONSUME)
        prepare_consumer();
    struct connection *first = options.mode & MODE_PUBLISH ? publisher : consumer;
    uint64_t ready = declare_queues(first, 0, options.queues, false);
    if (options.mode & MODE_PUBLISH && ready != 0)
        fail("the queues hold %llu messages already", (unsigned long long)ready);
    if (options.mode == MODE_CONSUME && options.messages && ready != options.messages)
        fail("the queues hold %llu messages", (unsigned long long)ready);
    if (options.fanout && options.mode & MODE_PUBLISH)
        declare_fanout(publisher);
    if (options.mode == MODE_BOTH)
        consume_queues();

    struct usage before = usage_now(options.broker_pid);
    run_load(ready);
    struct usage after = usage_now(options.broker_pid);
    check_and_clean_up();
    print_result(before, after, options.mode == MODE_CONSUME ? state.consumed : state.sent,
                 state.consumed, options.broker_pid != 0);
    return 0;
}
