/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/* What the fuzz targets share. */

#ifndef FUZZ_H
#define FUZZ_H


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wsb.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* Not assert(): it must hold in every build. */

#define fuzz_check(condition)                                                \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,       \
                    #condition);                                             \
            abort();                                                         \
        }                                                                    \
    } while (0)


/* A copy of just that size, so that the sanitizer sees what is beyond. */

static inline uint8_t *
fuzz_copy(const uint8_t *p, size_t n)
{
    uint8_t  *copy;

    copy = malloc(n + (n == 0));
    fuzz_check(copy != NULL);

    if (n != 0) {
        memcpy(copy, p, n);
    }

    return copy;
}


/* The next line, as such a copy, without its end. */

static inline wsb_str_t
fuzz_line(const uint8_t **p, size_t *left)
{
    size_t          n;
    wsb_str_t       line;
    const uint8_t  *end;

    end = memchr(*p, '\n', *left);
    n = end == NULL ? *left : (size_t) (end - *p);

    line.len = n;
    line.data = fuzz_copy(*p, n);

    *p += n + (end != NULL);
    *left -= n + (end != NULL);

    return line;
}


/*
 * How an input is cut: 0 a byte each, 1 as a whole, even numbers to 30 in
 * pieces of half that, all others in pieces that vary, begun by the number.
 */

typedef struct {
    uint32_t  how;
    uint32_t  state;
} fuzz_split_t;


static inline void
fuzz_split_init(fuzz_split_t *s, uint8_t how)
{
    s->how = how;
    s->state = how;
}


static inline size_t
fuzz_split_next(fuzz_split_t *s, size_t left)
{
    size_t  n;

    if (s->how == 0) {
        n = 1;

    } else if (s->how == 1) {
        n = left;

    } else if (s->how <= 30 && s->how % 2 == 0) {
        n = s->how / 2;

    } else {
        s->state = s->state * 1103515245 + 12345;
        n = 1 + (s->state >> 16) % (1 << (s->state >> 8) % 8);
    }

    return n < left ? n : left;
}


#endif /* FUZZ_H */
