/*
 * What is to be sent: octets in a buffer that grows. See program.h for what the including program
 * defines.
 */
#pragma once
#include <stddef.h>
#include <string.h>

#include "program.h"

#define OUTPUT_MAX (64u << 20) /* acknowledgements that the broker does not read: give up */

struct buffer {
    uint8_t *data;
    size_t start, end, capacity;
};

static uint8_t *grow(struct buffer *buffer, size_t size)
{
    if (buffer->start == buffer->end)
        buffer->start = buffer->end = 0;
    if (buffer->end + size > buffer->capacity) {
        if (buffer->end + size > OUTPUT_MAX)
            fail("the broker does not read what is sent to it");
        buffer->capacity = 2 * (buffer->end + size);
        buffer->data = realloc(buffer->data, buffer->capacity);
        if (buffer->data == NULL)
            fail("out of memory");
    }
    buffer->end += size;
    return buffer->data + buffer->end - size;
}

static void put(struct buffer *buffer, const void *data, size_t size)
{
    memcpy(grow(buffer, size), data, size);
}
