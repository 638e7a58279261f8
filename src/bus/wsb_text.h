/*
 * A growing text that is malloc'd.  After a failed allocation it stays empty
 * and failed: whoever built it looks once, at the end.
 */

#ifndef WSB_TEXT_H
#define WSB_TEXT_H


#include "../wsb.h"


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

uint8_t *wsb_text_reserve(wsb_text_t *t, size_t len);

void wsb_text_add(wsb_text_t *t, const void *data, size_t len);
void wsb_text_str(wsb_text_t *t, wsb_str_t s);
void wsb_text_lit(wsb_text_t *t, const char *literal);
void wsb_text_uint(wsb_text_t *t, uint64_t n);

/*
 * Adds s as a JSON string: quoted, escaped as little as RFC 8259 permits.
 * Bytes that are no UTF-8 become U+FFFD.
 */

void wsb_text_json(wsb_text_t *t, wsb_str_t s);

/* Frees the bytes and makes it empty. */
void wsb_text_done(wsb_text_t *t);


/* Bytes of the well-formed UTF-8 sequence at p < last; 0: it is none. */
size_t wsb_text_utf8(const uint8_t *p, const uint8_t *last);

/* Is it what an event's field can hold: UTF-8 without a NUL? */
int wsb_text_valid(wsb_str_t s);


/* Skips the ASCII that stands in a JSON string without an escape. */

#define WSB_TEXT_EACH(c)  (UINT64_C(0x0101010101010101) * (c))

static inline const uint8_t *
wsb_text_plain(const uint8_t *p, const uint8_t *last)
{
    uint64_t  w, quote, slash, found;

    while (last - p >= 8) {
        memcpy(&w, p, 8);

        quote = w ^ WSB_TEXT_EACH('"');
        slash = w ^ WSB_TEXT_EACH('\\');

        /* the high bit of each byte that is ended by, and maybe of others */

        found = w
                | ((w - WSB_TEXT_EACH(0x20)) & ~w)
                | ((quote - WSB_TEXT_EACH(1)) & ~quote)
                | ((slash - WSB_TEXT_EACH(1)) & ~slash);

        if (found & WSB_TEXT_EACH(0x80)) {
            break;
        }

        p += 8;
    }

    while (p < last
           && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
    {
        p++;
    }

    return p;
}


#endif /* WSB_TEXT_H */
