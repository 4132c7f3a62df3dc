/*
 * The event loop of a load generator: one thread, and non-blocking sockets of which one publishes
 * from a ring of prebuilt messages. ppoll() is enough, and unlike epoll_wait() it has timeouts in
 * nanoseconds.
 *
 * The program defines, before it includes this: `options` with port, timeout and stall; `state` with
 * sent, moved_bytes, now and deadline; `struct connection` with name, fd, input, input_size and
 * output; and `connections` with `publisher` among them. It defines on_input() and publish() after.
 */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "buffer.h"

#define STAMP_SIZE 12u             /* sequence and time, at the start of a body */
#define READ_CAPACITY (1u << 20)   /* of a connection's read buffer; many frames */
#define RING_SIZE_MIN (256u << 10) /* prebuilt messages */
#define WRITE_BATCH (128u << 10)   /* patched ahead of the socket at most */

/* Take what has come apart, as far as it is whole. */
static void on_input(struct connection *c);

/* Patch the next messages into the ring; flush() sends them. Returns true if more could follow. */
static bool publish(void);

/* ---- What is published: a ring of prebuilt messages ---- */

static struct {
    uint8_t *data;
    size_t message_size; /* all its frames */
    size_t body_offset;  /* of the body in a message */
    uint64_t slots;
    uint64_t written; /* bytes, ever; message n is in slot n % slots */
    uint8_t *body;    /* a body, whose filler every delivery must have */
    bool publishing;
    bool more; /* there are messages that could be published at once: do not wait */
} ring;

static void make_body(uint32_t size)
{
    ring.body = allocate(size);
    for (uint32_t i = 0; i < size; i++)
        ring.body[i] = (uint8_t)('a' + i % 26);
}

static uint64_t ring_pending(void)
{
    return state.sent * ring.message_size - ring.written;
}

static uint64_t at_most(uint64_t limit, uint64_t used)
{
    return used < limit ? limit - used : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many messages may be patched into the ring now. */
static uint64_t ring_space(void)
{
    uint64_t space = least(WRITE_BATCH / ring.message_size + 1, ring.slots);
    return at_most(space, (ring_pending() + ring.message_size - 1) / ring.message_size);
}

/* ---- Sockets ---- */

static int open_socket(const char *name)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("%s: connect to port %d: %s", name, options.port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void receive(struct connection *c)
{
    ssize_t size = recv(c->fd, c->input + c->input_size, READ_CAPACITY - c->input_size, MSG_DONTWAIT);
    if (size < 0 && errno != EAGAIN && errno != EINTR)
        fail("%s: %s", c->name, strerror(errno));
    if (size == 0)
        fail("%s: the broker hung up", c->name);
    if (size > 0) {
        state.now = clock_ns(CLOCK_MONOTONIC);
        state.moved_bytes += (uint64_t)size;
        c->input_size += (size_t)size;
        on_input(c);
    }
}

/* Returns how much went out; less than `size` means that the socket is full. */
static size_t send_some(struct connection *c, const uint8_t *data, size_t size)
{
    ssize_t sent = send(c->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        receive(c); /* The last frame may say why. */
        fail("%s: %s", c->name, strerror(errno));
    }
    if (sent < 0)
        return 0;
    state.moved_bytes += (uint64_t)sent;
    return (size_t)sent;
}

/* Other frames wait until the ring is written out, or they would land within a message. */
static void flush(struct connection *c)
{
    while (c == publisher && ring_pending()) {
        uint64_t capacity = ring.slots * ring.message_size, at = ring.written % capacity;
        uint64_t size = least(ring_pending(), capacity - at);
        size_t sent = send_some(c, ring.data + at, size);
        ring.written += sent;
        if (sent < size)
            return;
    }
    if (c->output.start < c->output.end)
        c->output.start +=
            send_some(c, c->output.data + c->output.start, c->output.end - c->output.start);
}

static bool wants_to_write(struct connection *c)
{
    return c->output.start < c->output.end || (c == publisher && ring_pending());
}

/* ---- Turns ---- */

static void check_deadlines(void)
{
    static uint64_t bytes, since;
    if (bytes != state.moved_bytes || since == 0) {
        bytes = state.moved_bytes;
        since = state.now;
    }
    if (state.now > state.deadline)
        fail("not finished within %.0f s", options.timeout);
    if (state.now - since > (uint64_t)(options.stall * 1e9))
        fail("nothing moved for %.0f s", options.stall);
}

/* Wait so long at most for input or space, and handle it; publish what is allowed. */
static void turn_within(uint64_t wait_ns)
{
    struct pollfd ready[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        ready[i].fd = connections[i].fd;
        ready[i].events = POLLIN | (wants_to_write(&connections[i]) ? POLLOUT : 0);
    }
    struct timespec timeout = {.tv_nsec = (long)wait_ns};
    if (ppoll(ready, CONNECTIONS, &timeout, NULL) < 0 && errno != EINTR)
        fail("ppoll: %s", strerror(errno));
    state.now = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].fd >= 0 && ready[i].revents & (POLLIN | POLLHUP | POLLERR))
            receive(&connections[i]);
    ring.more = publish();
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].fd >= 0 && wants_to_write(&connections[i]))
            flush(&connections[i]);
    ring.more = ring.more && !ring_pending();
    check_deadlines();
}
