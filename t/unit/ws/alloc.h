/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Counts what the sources that are included behind it allocate.
 */

#ifndef ALLOC_H
#define ALLOC_H


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static void *test_malloc(size_t size);
static void *test_realloc(void *p, size_t size);
static void test_free(void *p);

#define wsb_malloc      test_malloc
#define wsb_realloc     test_realloc
#define wsb_free        test_free


/* Allocations that are alive, the largest one, and which one shall fail. */

static size_t  live, largest, calls, fail_at;


static int
test_refuse(size_t size)
{
    if (size > largest) {
        largest = size;
    }

    return ++calls == fail_at;
}


static void *
test_malloc(size_t size)
{
    if (test_refuse(size)) {
        return NULL;
    }

    live++;

    return malloc(size);
}


static void *
test_realloc(void *p, size_t size)
{
    if (test_refuse(size)) {
        return NULL;
    }

    live += p == NULL;

    return realloc(p, size);
}


static void
test_free(void *p)
{
    live -= p != NULL;
    free(p);
}


#endif /* ALLOC_H */
