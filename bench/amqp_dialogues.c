/*
 * amqp_dialogues: many connections to an AMQP 0-9-1 broker on this machine, which all say the same.
 *
 * It must never be the limit, so it knows nothing of AMQP but frames: what to say is prebuilt octets,
 * and what must come back is so many of one method. A dialogue is a file of steps, in big-endian:
 *
 *     | octets to say (4) | answers (4) | class (2) | method (2) | what to say ... |
 *
 * "######" in it stands for the number of the connection. A step begins when all answers to the one
 * before have come. Answers of method 0.0 are the broker hanging up. Deliveries and their contents
 * may come at any time, and are counted.
 *
 * Commands come on stdin, one a line, and each is answered by one JSON object on stdout when it is
 * done; until the next one, whatever comes is read:
 *     open COUNT AT_ONCE FILE   new connections have this dialogue, so many of them at a time
 *     say AT_ONCE FILE          all that are open have this one
 *     drop                      close all sockets at once
 *     count                     how much was delivered so far
 * Any other answer, or a stall, is told on stderr and ends the program with status 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

#define CONNECTIONS_MAX 1000000
#define READ_CAPACITY (64u << 10)
#define EVENTS 256
#define STALL_MS 60000
#define FRAME_OVERHEAD 8u
#define FRAME_END 0xCE
#define FRAME_METHOD 1
#define BASIC_DELIVER (60u << 16 | 60u)
#define HANG_UP 0u
#define MARK "######"
#define MARK_SIZE 6u

struct step {
    uint8_t *octets;
    uint32_t size, answers, method;
    uint32_t *marks, mark_count; /* where the number of the connection goes */
};

struct connection {
    int fd; /* -1: closed */
    bool talking;
    uint32_t step, missing; /* answers that have not come */
    uint8_t *input;         /* a frame that is not whole yet */
    uint32_t input_size;
};

static struct connection *connections;
static uint32_t connection_count; /* made so far */
static struct step *steps;
static uint32_t step_count;
static uint32_t talking_count;
static uint64_t delivered_count;
static int poller, port;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("amqp_dialogues: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static uint32_t number_at(const uint8_t *octets)
{
    uint32_t number;
    memcpy(&number, octets, sizeof number);
    return ntohl(number);
}

/* ---- What is to be said ---- */

static void find_marks(struct step *step)
{
    uint8_t *end = step->octets + step->size;
    for (uint8_t *at = step->octets;
         (at = memmem(at, (size_t)(end - at), MARK, MARK_SIZE)) != NULL; at += MARK_SIZE) {
        step->marks = realloc(step->marks, (step->mark_count + 1) * sizeof *step->marks);
        step->marks[step->mark_count++] = (uint32_t)(at - step->octets);
    }
}

static void read_dialogue(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t head[12];
    if (file == NULL)
        fail("cannot read %s", path);
    for (uint32_t i = 0; i < step_count; i++) {
        free(steps[i].octets);
        free(steps[i].marks);
    }
    step_count = 0;
    while (fread(head, 1, sizeof head, file) == sizeof head) {
        steps = realloc(steps, (step_count + 1) * sizeof *steps);
        struct step *step = &steps[step_count++];
        *step = (struct step){
            .size = number_at(head), .answers = number_at(head + 4), .method = number_at(head + 8)};
        step->octets = allocate(step->size + 1);
        if (fread(step->octets, 1, step->size, file) != step->size)
            fail("%s is cut short", path);
        find_marks(step);
    }
    fclose(file);
}

static void say(uint32_t number, const struct step *step)
{
    char text[16];
    snprintf(text, sizeof text, "%06u", number);
    for (uint32_t i = 0; i < step->mark_count; i++)
        memcpy(step->octets + step->marks[i], text, MARK_SIZE);
    for (uint32_t done = 0; done < step->size;) {
        ssize_t size = send(connections[number].fd, step->octets + done, step->size - done,
                            MSG_NOSIGNAL);
        if (size < 0)
            fail("connection %u cannot send: %s", number, strerror(errno));
        done += (uint32_t)size;
    }
}

/* ---- Connections ---- */

static void proceed(struct connection *connection)
{
    while (connection->missing == 0 && ++connection->step < step_count) {
        const struct step *step = &steps[connection->step];
        connection->missing = step->answers;
        say((uint32_t)(connection - connections), step);
    }
    if (connection->step == step_count && connection->talking) {
        connection->talking = false;
        talking_count--;
    }
}

static void begin(struct connection *connection)
{
    connection->talking = true;
    connection->step = UINT32_MAX; /* before the first one */
    connection->missing = 0;
    talking_count++;
    proceed(connection);
}

static void open_connection(void)
{
    if (connection_count == CONNECTIONS_MAX)
        fail("no more than %u connections", CONNECTIONS_MAX);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct connection *connection = &connections[connection_count++];
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = connection};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &interest) < 0)
        fail("cannot connect: %s", strerror(errno));
    begin(connection);
}

static void close_connection(struct connection *connection)
{
    close(connection->fd);
    free(connection->input);
    connection->fd = -1;
    connection->input = NULL;
    connection->input_size = 0;
}

static void receive_method(struct connection *connection, uint32_t method)
{
    if (method == BASIC_DELIVER) {
        delivered_count++;
        return;
    }
    uint32_t due = connection->talking ? steps[connection->step].method : 0;
    if (!connection->talking || method != due)
        fail("connection %u: method %u.%u where %u.%u was due",
             (unsigned)(connection - connections), method >> 16, method & 0xffff, due >> 16,
             due & 0xffff);
    if (--connection->missing == 0)
        proceed(connection);
}

static void receive(struct connection *connection)
{
    static uint8_t buffer[2 * READ_CAPACITY + (256u << 10)];
    uint32_t held = connection->input_size, position = 0;
    if (held > sizeof buffer - READ_CAPACITY)
        fail("a frame is too large");
    if (held)
        memcpy(buffer, connection->input, held);
    ssize_t size = recv(connection->fd, buffer + held, READ_CAPACITY, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        if (!connection->talking || steps[connection->step].method != HANG_UP)
            fail("the broker hung up on connection %u", (unsigned)(connection - connections));
        close_connection(connection);
        connection->missing = 0;
        proceed(connection);
        return;
    }
    uint32_t end = held + (uint32_t)size;
    while (end - position >= FRAME_OVERHEAD) {
        uint32_t frame = number_at(buffer + position + 3) + FRAME_OVERHEAD;
        if (end - position < frame)
            break;
        if (buffer[position + frame - 1] != FRAME_END)
            fail("a frame does not end as it should");
        if (buffer[position] == FRAME_METHOD)
            receive_method(connection, number_at(buffer + position + 7));
        position += frame;
    }
    free(connection->input);
    connection->input = NULL;
    connection->input_size = end - position;
    if (connection->input_size) {
        connection->input = allocate(connection->input_size);
        memcpy(connection->input, buffer + position, connection->input_size);
    }
}

/* Read what has come; true if there is a command, which is looked for between dialogues only. */
static bool work(bool for_commands)
{
    struct epoll_event events[EVENTS];
    bool found = false;
    int count = epoll_wait(poller, events, EVENTS, for_commands ? -1 : STALL_MS);
    if (count == 0)
        fail("nothing has come for %d s", STALL_MS / 1000);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (connection == NULL)
            found = true;
        else if (connection->fd >= 0)
            receive(connection);
    }
    return found;
}

static void watch_commands(int operation)
{
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, operation, STDIN_FILENO, &interest) < 0)
        fail("cannot read commands: %s", strerror(errno));
}

/* ---- Commands ---- */

static void open_all(uint32_t count, uint32_t at_once)
{
    while (count || talking_count) {
        while (count && talking_count < at_once) {
            open_connection();
            count--;
        }
        if (talking_count)
            work(false);
    }
}

static void say_all(uint32_t at_once)
{
    for (uint32_t i = 0; i < connection_count; i++) {
        while (talking_count >= at_once)
            work(false);
        if (connections[i].fd >= 0)
            begin(&connections[i]);
    }
    while (talking_count)
        work(false);
}

static void drop_all(void)
{
    for (uint32_t i = 0; i < connection_count; i++)
        if (connections[i].fd >= 0)
            close_connection(&connections[i]);
}

static void obey(const char *command)
{
    unsigned count, at_once;
    char path[4096];
    uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (sscanf(command, "open %u %u %4095s", &count, &at_once, path) == 3) {
        read_dialogue(path);
        open_all(count, at_once);
    } else if (sscanf(command, "say %u %4095s", &at_once, path) == 2) {
        read_dialogue(path);
        say_all(at_once);
    } else if (strcmp(command, "drop\n") == 0) {
        drop_all();
    } else if (strcmp(command, "count\n") != 0) {
        fail("unknown command: %s", command);
    }
    printf("{\"cpu_seconds\": %.6f, \"delivered\": %llu}\n",
           (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e9,
           (unsigned long long)delivered_count);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char command[8192];
    if (argc != 2)
        fail("usage: amqp_dialogues PORT");
    port = (int)number("port", argv[1], 1, 65535);
    connections = allocate(CONNECTIONS_MAX * sizeof *connections);
    poller = epoll_create1(EPOLL_CLOEXEC);
    setvbuf(stdin, NULL, _IONBF, 0); /* epoll must see what was not read */
    for (;;) {
        watch_commands(EPOLL_CTL_ADD);
        while (!work(true))
            ;
        watch_commands(EPOLL_CTL_DEL);
        if (fgets(command, sizeof command, stdin) == NULL)
            return 0;
        obey(command);
    }
}
