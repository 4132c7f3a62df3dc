/*
 * What every load generator needs. The program that includes this defines fail(), which tells why on
 * stderr and ends it with status 1.
 */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define SECOND 1000000000ull

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL)
        fail("out of memory");
    return memory;
}

static double number(const char *name, const char *text, double lowest, double highest)
{
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0' || end == text || !(value >= lowest && value <= highest))
        fail("--%s must be a number from %.0f to %.0f", name, lowest, highest);
    return value;
}
