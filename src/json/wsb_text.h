/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A growing text that is malloc'd.  After a failed allocation it stays empty
 * and failed: whoever built it looks once, at the end.
 */

#ifndef WSB_TEXT_H
#define WSB_TEXT_H


#include "../wsb.h"

#include <string.h>


typedef struct {
    uint8_t              *data;
    size_t                len;
    size_t                size;
    unsigned              failed:1;
} wsb_text_t;


/*
 * Makes room for len more bytes; returns where they go, NULL if failed.  The
 * caller adds to t->len what it has written.
 */

uint8_t *wsb_text_grow(wsb_text_t *t, size_t len);

static inline uint8_t *
wsb_text_reserve(wsb_text_t *t, size_t len)
{
    return t->data != NULL && len <= t->size - t->len ? t->data + t->len
                                                      : wsb_text_grow(t, len);
}


static inline void
wsb_text_add(wsb_text_t *t, const void *data, size_t len)
{
    uint8_t  *p;

    if (len != 0 && (p = wsb_text_reserve(t, len)) != NULL) {
        memcpy(p, data, len);
        t->len += len;
    }
}


static inline void
wsb_text_str(wsb_text_t *t, wsb_str_t s)
{
    wsb_text_add(t, s.data, s.len);
}


static inline void
wsb_text_lit(wsb_text_t *t, const char *literal)
{
    wsb_text_add(t, literal, strlen(literal));
}


void wsb_text_uint(wsb_text_t *t, uint64_t n);

/* Writes n at dst, at most 20 digits; returns how many. */
size_t wsb_text_digits(uint8_t *dst, uint64_t n);

/*
 * Adds s as a JSON string: quoted, escaped as little as RFC 8259 permits.
 * Bytes that are no UTF-8 become U+FFFD.
 */

void wsb_text_json(wsb_text_t *t, wsb_str_t s);

/*
 * Adds s without quotes, good for a line of text as for a JSON string: what
 * could end either, or is not seen, becomes \u and four digits.  That is
 * quotes, backslashes, the controls of ASCII and Latin-1, U+2028 and U+2029;
 * a byte that is no UTF-8 becomes \ufffd.
 */

void wsb_text_line(wsb_text_t *t, wsb_str_t s);

/* Frees the bytes and makes it empty. */
void wsb_text_done(wsb_text_t *t);


/* Bytes of the well-formed UTF-8 sequence at p < last; 0: it is none. */
size_t wsb_text_utf8(const uint8_t *p, const uint8_t *last);

/* Is it what an event's field can hold: UTF-8 without a NUL? */
int wsb_text_valid(wsb_str_t s);


/* Skips the ASCII that stands in a JSON string without an escape. */

typedef uint8_t  wsb_text_bytes_t  __attribute__((vector_size(16)));

static inline const uint8_t *
wsb_text_plain(const uint8_t *p, const uint8_t *last)
{
    uint64_t          ends[2];
    wsb_text_bytes_t  c;

    /* sixteen at a time, with the vectors that the compiler knows */

    while (last - p >= 16) {
        memcpy(&c, p, 16);

        c = (wsb_text_bytes_t) ((c < 0x20) | (c > 0x7f)
                                | (c == '"') | (c == '\\'));

        memcpy(ends, &c, 16);

        if ((ends[0] | ends[1]) != 0) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return ends[0] ? p + __builtin_ctzll(ends[0]) / 8
                           : p + 8 + __builtin_ctzll(ends[1]) / 8;
#else
            break;
#endif
        }

        p += 16;
    }

    while (p < last
           && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
    {
        p++;
    }

    return p;
}


#endif /* WSB_TEXT_H */
