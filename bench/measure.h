/*
 * What the load generators measure, and how they say it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

/* ---- Latencies: a histogram with 128 steps per power of two ---- */

#define STEPS_LOG 7
#define STEPS (1u << STEPS_LOG)
static uint64_t latencies[(65 - STEPS_LOG) * STEPS];
static uint64_t latency_count;

static void add_latency(uint64_t ns)
{
    unsigned shift = ns < STEPS ? 0 : 63 - STEPS_LOG - (unsigned)__builtin_clzll(ns);
    latencies[shift * STEPS + (ns >> shift)]++;
    latency_count++;
}

static double latency_us(double quantile)
{
    uint64_t rank = (uint64_t)(quantile * (double)latency_count), seen = 0;
    for (uint32_t i = 0; i < sizeof latencies / sizeof *latencies; i++) {
        seen += latencies[i];
        if (seen > rank) {
            unsigned shift = i < 2 * STEPS ? 0 : i / STEPS - 1;
            return (double)((uint64_t)(i - shift * STEPS) << shift) / 1e3;
        }
    }
    return 0;
}

/* ---- CPU ---- */

struct usage {
    uint64_t wall, generator;
    double broker, machine;
};

/* CPU seconds of the broker with all its threads and the children that it has waited for. */
static double broker_cpu(long pid)
{
    char path[64], line[1024];
    unsigned long long user, system;
    long long child_user, child_system;
    if (!pid)
        return 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(line, sizeof line, file) == NULL)
        fail("cannot read %s", path);
    fclose(file);
    const char *after_name = strrchr(line, ')');
    if (after_name == NULL ||
        sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld",
               &user, &system, &child_user, &child_system) != 4)
        fail("cannot read %s", path);
    return (double)(user + system + (unsigned long long)(child_user + child_system)) /
           (double)sysconf(_SC_CLK_TCK);
}

/* CPU seconds that the whole machine was not idle, with what a hypervisor took (proc(5), stat). */
static double machine_cpu(void)
{
    unsigned long long user, nice, system, idle, wait, interrupt, soft_interrupt, steal;
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL || fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice,
                               &system, &idle, &wait, &interrupt, &soft_interrupt, &steal) != 8)
        fail("cannot read /proc/stat");
    fclose(file);
    return (double)(user + nice + system + interrupt + soft_interrupt + steal) /
           (double)sysconf(_SC_CLK_TCK);
}

static struct usage usage_now(long broker_pid)
{
    return (struct usage){
        .wall = clock_ns(CLOCK_MONOTONIC),
        .generator = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
        .broker = broker_cpu(broker_pid),
        .machine = machine_cpu(),
    };
}

/* ---- The result ---- */

/* `messages` is what was published, or else consumed; latencies are known where both were. */
static void print_result(struct usage before, struct usage after, uint64_t messages,
                         uint64_t consumed, bool has_broker)
{
    double seconds = (double)(after.wall - before.wall) / 1e9;
    printf("{\"messages\": %llu, \"consumed\": %llu, \"seconds\": %.6f, \"rate\": %.1f",
           (unsigned long long)messages, (unsigned long long)consumed, seconds,
           (double)messages / seconds);
    printf(", \"generator_cpu_seconds\": %.6f", (double)(after.generator - before.generator) / 1e9);
    printf(", \"machine_cpu_seconds\": %.2f", after.machine - before.machine);
    if (has_broker)
        printf(", \"broker_cpu_seconds\": %.2f", after.broker - before.broker);
    if (latency_count)
        printf(", \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f}", latency_us(0.5),
               latency_us(0.99), latency_us(0.999));
    printf("}\n");
}
