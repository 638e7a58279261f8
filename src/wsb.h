/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The few words that the pure folders share.
 *
 * None of them includes an nginx header: the same sources are
 * unit-tested, fuzzed and sanitized without nginx.
 */

#ifndef WSB_H
#define WSB_H


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>


typedef enum {
    WSB_OK = 0,
    WSB_AGAIN,                      /* more input is needed, or nothing new */
    WSB_DONE,                       /* an iteration has ended */
    WSB_ERROR,                      /* bad input; the call says what is wrong */
    WSB_NOMEM,                      /* private memory is exhausted */
    WSB_FULL,                       /* shared memory is exhausted */
    WSB_GAP,                        /* the log has evicted what was asked for */
    WSB_NOTFOUND,
    WSB_CONFLICT                    /* the same key for something else */
} wsb_rc_t;


/* Bytes of somebody else: who hands out a wsb_str_t says how long it lives. */

typedef struct {
    size_t                len;
    const uint8_t        *data;     /* NULL: absent, as opposed to empty */
} wsb_str_t;


/* A time that does not come: the year 10000, in seconds since 1970. */

#define WSB_NEVER           UINT64_C(253402300800)


#define wsb_string(text)    { sizeof(text) - 1, (const uint8_t *) (text) }
#define wsb_null_string     { 0, NULL }


static inline int
wsb_str_eq(const wsb_str_t *s, const char *text)
{
    size_t  n = strlen(text);

    return s->len == n && memcmp(s->data, text, n) == 0;
}


#ifndef wsb_malloc
#define wsb_malloc      malloc
#define wsb_realloc     realloc
#define wsb_free        free
#endif


/* The unit tests stop, kill or interleave processes at these points. */

#ifndef WSB_STEP
#define WSB_STEP(name)
#endif


#endif /* WSB_H */
