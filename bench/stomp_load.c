/*
 * stomp_load: put one measured load on a STOMP broker on this machine, and check every message.
 *
 * What amqp_load is for AMQP: prebuilt SENDs in a ring, of which only a sequence number, a time and
 * a receipt are patched; one write sends many of them; one read takes many MESSAGEs, and their ACKs
 * leave in one write. A publisher and a consumer, both STOMP 1.2, and one queue:
 *
 * A body:   0        4            12
 *           | seq 32 | sent at 64 | filler ...      big-endian; the time is CLOCK_MONOTONIC in ns
 *
 * The queue must deliver 0, 1, 2, ..., each once, and each SEND must have its RECEIPT, once. At the
 * end a last message is sent, and must be the first that another consumer gets: so the queue was
 * empty. Anything else, or an ERROR, a hang-up or a stall, is told on stderr and ends the program
 * with status 1. The result is one JSON object on stdout.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <getopt.h>
#include <stdarg.h>
#include <sys/prctl.h>

#include "buffer.h"
#include "measure.h"

#define RECEIPT_DIGITS 10u         /* of a SEND's receipt: its sequence number */

static struct {
    int port;
    uint32_t body_size;
    bool persistent;
    uint64_t window;    /* SENDs without their RECEIPT at most; 0: no receipts */
    uint64_t in_flight; /* published and not consumed at most; 0: no limit */
    uint32_t prefetch;  /* messages without their ACK at most */
    const char *ack;    /* auto, client or client-individual */
    const char *queue;
    uint64_t messages;
    double seconds, timeout, stall;
    long broker_pid;
} options = {
    .body_size = 1024, .ack = "auto", .queue = "bench", .timeout = 120, .stall = 20,
};

static struct {
    uint64_t sent, received, receipted;
    uint64_t moved_bytes; /* both ways; it standing still is a stall */
    uint64_t now;         /* read once per turn of the loop, and after each read */
    uint64_t started, deadline;
} state;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "stomp_load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (sent %llu, receipts %llu, received %llu)\n", (unsigned long long)state.sent,
            (unsigned long long)state.receipted, (unsigned long long)state.received);
    va_end(arguments);
    exit(1);
}

/* ---- Connections ---- */

struct connection {
    const char *name;
    int fd; /* -1: closed */
    uint8_t *input;
    size_t input_size;
    struct buffer output;
    const char *awaited; /* the receipt, or the command, that is waited for; NULL: it came */
};

enum { PUBLISHER, CONSUMER, ADMIN, CONNECTIONS };
static struct connection connections[CONNECTIONS] = {
    {.name = "publisher", .fd = -1},
    {.name = "consumer", .fd = -1},
    {.name = "admin", .fd = -1},
};
static struct connection *const publisher = &connections[PUBLISHER];
static struct connection *const consumer = &connections[CONSUMER];
static struct connection *const admin = &connections[ADMIN];

#include "loop.h"

/* A frame without a body. */
static void say(struct connection *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct connection *c, const char *format, ...)
{
    char frame[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(frame, sizeof frame - 2, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof frame - 2)
        fail("a frame is too long");
    frame[size] = '\n';
    frame[size + 1] = '\0';
    put(&c->output, frame, (size_t)size + 2);
}

/* ---- What is published ---- */

static size_t receipt_offset; /* of the receipt in a SEND */

static void build_ring(void)
{
    char headers[512];
    int size = snprintf(headers, sizeof headers, "SEND\ndestination:/queue/%s\ncontent-length:%u\n%s%s",
                        options.queue, options.body_size, options.persistent ? "persistent:true\n" : "",
                        options.window ? "receipt:" : "");
    receipt_offset = (size_t)size;
    size += snprintf(headers + size, sizeof headers - (size_t)size, "%s\n",
                     options.window ? "0000000000\n" : "");
    ring.body_offset = (size_t)size;
    make_body(options.body_size);
    ring.message_size = ring.body_offset + options.body_size + 1;
    ring.slots = 1 + RING_SIZE_MIN / ring.message_size;
    ring.data = allocate(ring.slots * ring.message_size);
    for (uint64_t slot = 0; slot < ring.slots; slot++) {
        uint8_t *frame = ring.data + slot * ring.message_size;
        memcpy(frame, headers, ring.body_offset);
        memcpy(frame + ring.body_offset, ring.body, options.body_size);
    }
}

/* ---- Receipts: each exactly once, in any order ---- */

static struct {
    uint8_t *done;   /* by sequence number % size */
    uint64_t size;   /* of the span that may be open, a power of two */
    uint64_t lowest; /* not receipted yet */
} receipts;

static void on_send_receipt(const char *value, size_t size)
{
    uint64_t sequence = 0;
    if (size != RECEIPT_DIGITS)
        fail("a RECEIPT for '%.*s'", (int)size, value);
    for (size_t i = 0; i < size; i++)
        sequence = 10 * sequence + (uint64_t)(value[i] - '0');
    if (sequence < receipts.lowest || sequence >= state.sent ||
        receipts.done[sequence % receipts.size])
        fail("a RECEIPT for %llu, which is not due", (unsigned long long)sequence);
    receipts.done[sequence % receipts.size] = 1;
    state.receipted++;
    while (receipts.done[receipts.lowest % receipts.size]) {
        receipts.done[receipts.lowest % receipts.size] = 0;
        receipts.lowest++;
    }
}

/* ---- Frames in ---- */

/* The value of a header, or NULL; `head` is the command and all header lines, each with its LF. */
static const char *header(const char *head, size_t head_size, const char *name, size_t *size)
{
    size_t name_size = strlen(name); /* with a LF before it and a colon after it */
    const char *found = memmem(head, head_size, name, name_size);
    if (found == NULL)
        return NULL;
    found += name_size;
    *size = (size_t)((const char *)memchr(found, '\n', head_size - (size_t)(found - head)) - found);
    return found;
}

static void on_message(struct connection *c, const char *head, size_t head_size, const char *body,
                       size_t body_size)
{
    uint32_t sequence;
    uint64_t sent_at;
    if (body_size != options.body_size)
        fail("a body of %zu octets", body_size);
    memcpy(&sequence, body, sizeof sequence);
    memcpy(&sent_at, body + 4, sizeof sent_at);
    sequence = be32toh(sequence);
    if (sequence != (uint32_t)state.received)
        fail("message %u where %llu was due", sequence, (unsigned long long)state.received);
    if (memcmp(body + STAMP_SIZE, ring.body + STAMP_SIZE, body_size - STAMP_SIZE) != 0)
        fail("the body of message %u was changed", sequence);
    state.received++;
    if (c == consumer) /* The last message is for the admin. */
        add_latency(state.now - be64toh(sent_at));
    if (c == consumer && options.prefetch) {
        size_t size;
        const char *ack = header(head, head_size, "\nack:", &size);
        if (ack == NULL)
            fail("message %u has no ack header", sequence);
        put(&c->output, "ACK\nid:", 7);
        put(&c->output, ack, size);
        put(&c->output, "\n\n\0", 3);
    }
}

static void on_frame(struct connection *c, const char *head, size_t head_size, const char *body,
                     size_t body_size)
{
    size_t size;
    const char *receipt;
    if (memcmp(head, "MESSAGE\n", 8) == 0) {
        on_message(c, head, head_size, body, body_size);
    } else if (memcmp(head, "RECEIPT\n", 8) == 0 &&
               (receipt = header(head, head_size, "\nreceipt-id:", &size)) != NULL) {
        if (c->awaited && strlen(c->awaited) == size && memcmp(c->awaited, receipt, size) == 0)
            c->awaited = NULL;
        else
            on_send_receipt(receipt, size);
    } else if (c->awaited && strlen(c->awaited) + 1 <= head_size &&
               memcmp(head, c->awaited, strlen(c->awaited)) == 0) {
        c->awaited = NULL;
    } else {
        fail("%s: unexpected frame: %.*s%.*s", c->name, (int)head_size, head,
             (int)(body_size < 200 ? body_size : 200), body);
    }
}

/* Returns what is behind the first whole frame at `at`, or NULL if there is none. */
static const char *take_frame(struct connection *c, const char *at, const char *end)
{
    const char *blank = memmem(at, (size_t)(end - at), "\n\n", 2);
    if (blank == NULL)
        return NULL;
    size_t head_size = (size_t)(blank + 1 - at), size, body_size;
    const char *length = header(at, head_size, "\ncontent-length:", &size);
    const char *body = blank + 2;
    if (length != NULL) {
        body_size = strtoul(length, NULL, 10);
        if ((size_t)(end - body) <= body_size)
            return NULL;
    } else {
        const char *nul = memchr(body, '\0', (size_t)(end - body));
        if (nul == NULL)
            return NULL;
        body_size = (size_t)(nul - body);
    }
    if (body[body_size] != '\0')
        fail("%s: a frame with a wrong end", c->name);
    on_frame(c, at, head_size, body, body_size);
    return body + body_size + 1;
}

static void on_input(struct connection *c)
{
    const char *at = (const char *)c->input, *end = at + c->input_size, *next;
    for (;;) {
        while (at < end && *at == '\n')
            at++;
        if (at == end || (next = take_frame(c, at, end)) == NULL)
            break;
        at = next;
    }
    c->input_size = (size_t)(end - at);
    memmove(c->input, at, c->input_size);
    if (c->input_size == READ_CAPACITY)
        fail("%s: a frame is too large", c->name);
}

/* ---- The event loop ---- */

static uint64_t allowance(void)
{
    uint64_t count = options.messages ? options.messages - state.sent : UINT64_MAX;
    if (options.window) {
        count = least(count, at_most(options.window, state.sent - state.receipted));
        count = least(count, at_most(receipts.size - 1, state.sent - receipts.lowest));
    }
    if (options.in_flight)
        count = least(count, at_most(options.in_flight, state.sent - state.received));
    return count;
}

static void patch(uint8_t *frame, uint64_t sequence)
{
    uint32_t number = htobe32((uint32_t)sequence);
    uint64_t time = htobe64(state.now);
    memcpy(frame + ring.body_offset, &number, sizeof number);
    memcpy(frame + ring.body_offset + 4, &time, sizeof time);
    if (options.window)
        for (size_t digit = RECEIPT_DIGITS; digit-- > 0; sequence /= 10)
            frame[receipt_offset + digit] = (uint8_t)('0' + sequence % 10);
}

static bool publish(void)
{
    if (options.seconds && state.now - state.started >= (uint64_t)(options.seconds * 1e9))
        ring.publishing = false;
    if (!ring.publishing || publisher->output.start < publisher->output.end)
        return false;
    uint64_t space = ring_space(), count = least(allowance(), space);
    for (uint64_t i = 0; i < count; i++) {
        patch(ring.data + state.sent % ring.slots * ring.message_size, state.sent);
        state.sent++;
    }
    if (options.messages && state.sent == options.messages)
        ring.publishing = false;
    return ring.publishing && count == space;
}

static void turn(void)
{
    turn_within(ring.more ? 0 : SECOND / 10);
}

static void await(struct connection *c, const char *what)
{
    c->awaited = what;
    while (c->awaited)
        turn();
}

/* ---- The dialogue around the load ---- */

static void open_connection(struct connection *c)
{
    *c = (struct connection){
        .name = c->name, .fd = open_socket(c->name), .input = allocate(READ_CAPACITY)};
    say(c, "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n");
    await(c, "CONNECTED");
}

static void subscribe(struct connection *c, const char *ack, uint32_t prefetch)
{
    say(c, "SUBSCRIBE\nid:0\ndestination:/queue/%s\nack:%s\nprefetch-count:%u\n"
           "activemq.prefetchSize:%u\nreceipt:subscribed\n",
        options.queue, ack, prefetch, prefetch ? prefetch : 32766);
    await(c, "subscribed");
}

static void close_connection(struct connection *c)
{
    say(c, "DISCONNECT\nreceipt:bye\n");
    await(c, "bye");
    close(c->fd);
    free(c->input);
    free(c->output.data);
    *c = (struct connection){.name = c->name, .fd = -1};
}

static void run_load(void)
{
    state.now = state.started = clock_ns(CLOCK_MONOTONIC);
    ring.publishing = ring.more = true;
    while (ring.publishing || ring_pending() || state.received < state.sent ||
           (options.window && state.receipted < state.sent))
        turn();
    if (options.prefetch) { /* The broker has read all the ACKs. */
        say(consumer, "BEGIN\ntransaction:end\nreceipt:acknowledged\n");
        await(consumer, "acknowledged");
    }
}

/* With the consumer gone, what it had not acknowledged would be back in the queue, and come first. */
static void check_that_it_is_empty(void)
{
    close_connection(consumer);
    patch(ring.data + state.sent % ring.slots * ring.message_size, state.sent);
    state.sent++;
    while (ring_pending() || (options.window && state.receipted < state.sent))
        turn();
    open_connection(admin);
    subscribe(admin, "auto", 0);
    while (state.received < state.sent)
        turn();
    close_connection(admin);
    close_connection(publisher);
}

/* ---- The command line ---- */

static const char usage_text[] =
    "usage: stomp_load --port PORT [options]      (guest on virtual host / of 127.0.0.1)\n"
    "  --messages N, --seconds S                  how much to publish; whichever is first\n"
    "  --body N            octets of each body, 12 to 100000 (1024)\n"
    "  --persistent        persistent:true on each SEND\n"
    "  --receipts N        a receipt for each SEND, N outstanding at most\n"
    "  --in-flight N       published and not consumed at most\n"
    "  --ack MODE          client or client-individual, with an ACK for each message (else auto)\n"
    "  --prefetch N        messages without their ACK at most; needed with --ack\n"
    "  --queue NAME        /queue/NAME, which must be empty (bench)\n"
    "  --broker-pid PID    report its CPU seconds too\n"
    "  --timeout S, --stall S   give up after S in all (120), or S without a byte moving (20)\n";

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", 1, 0, 'p'},     {"messages", 1, 0, 'n'}, {"seconds", 1, 0, 's'},
        {"body", 1, 0, 'b'},     {"persistent", 0, 0, 'P'}, {"receipts", 1, 0, 'c'},
        {"in-flight", 1, 0, 'i'}, {"ack", 1, 0, 'a'},     {"prefetch", 1, 0, 'f'},
        {"queue", 1, 0, 'q'},    {"broker-pid", 1, 0, 'B'}, {"timeout", 1, 0, 't'},
        {"stall", 1, 0, 'S'},    {0, 0, 0, 0},
    };
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "", known, &index)) != -1) {
        const char *name = known[index].name;
        switch (option) {
        case 'p': options.port = (int)number(name, optarg, 1, 65535); break;
        case 'n': options.messages = (uint64_t)number(name, optarg, 1, 4e9); break;
        case 's': options.seconds = number(name, optarg, 0, 3600); break;
        case 'b': options.body_size = (uint32_t)number(name, optarg, STAMP_SIZE, 100000); break;
        case 'P': options.persistent = true; break;
        case 'c': options.window = (uint64_t)number(name, optarg, 1, 1e6); break;
        case 'i': options.in_flight = (uint64_t)number(name, optarg, 1, 1e9); break;
        case 'a': options.ack = optarg; break;
        case 'f': options.prefetch = (uint32_t)number(name, optarg, 1, 65535); break;
        case 'q': options.queue = optarg; break;
        case 'B': options.broker_pid = (long)number(name, optarg, 1, 1e9); break;
        case 't': options.timeout = number(name, optarg, 1, 36000); break;
        case 'S': options.stall = number(name, optarg, 1, 36000); break;
        default: fputs(usage_text, stderr); exit(2);
        }
    }
    if (optind != argc || !options.port) {
        fputs(usage_text, stderr);
        exit(2);
    }
    if (!options.messages && !options.seconds)
        fail("give --messages or --seconds");
    if ((strcmp(options.ack, "auto") == 0) != (options.prefetch == 0))
        fail("--ack and --prefetch go together");
    if (strlen(options.queue) > 200)
        fail("the name of the queue is too long");
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    prctl(PR_SET_TIMERSLACK, 1);
    alarm((unsigned)options.timeout + 10); /* whatever happens */
    state.now = clock_ns(CLOCK_MONOTONIC);
    state.deadline = state.now + (uint64_t)(options.timeout * 1e9);
    build_ring();
    receipts.size = 1 << 16;
    while (receipts.size < 16 * options.window)
        receipts.size *= 2;
    receipts.done = allocate(receipts.size);
    open_connection(publisher);
    open_connection(consumer);
    subscribe(consumer, options.ack, options.prefetch);

    struct usage before = usage_now(options.broker_pid);
    run_load();
    struct usage after = usage_now(options.broker_pid);
    uint64_t messages = state.sent;
    check_that_it_is_empty();
    print_result(before, after, messages, messages, options.broker_pid != 0);
    return 0;
}
