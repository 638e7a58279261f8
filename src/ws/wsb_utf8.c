/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_utf8.h"

#include <string.h>


/*
 * Between two characters the state is zero.  Inside of one it holds how many
 * bytes are to come, and the range of the next: after some first bytes the
 * second has less than the whole 80..bf (RFC 3629, section 4).  No range
 * begins with zero, so that no such state is WSB_UTF8_INVALID.
 */

#define wsb_utf8_state(left, low, high)                                      \
    ((left) | (uint32_t) (low) << 8 | (uint32_t) (high) << 16)

#define wsb_utf8_left(state)      ((state) & 0xff)
#define wsb_utf8_low(state)       ((state) >> 8 & 0xff)
#define wsb_utf8_high(state)      ((state) >> 16)

#define WSB_UTF8_ASCII            0x8080808080808080ull


static wsb_utf8_t wsb_utf8_first(unsigned c);
static wsb_utf8_t wsb_utf8_next(wsb_utf8_t state, unsigned c);
static const uint8_t *wsb_utf8_skip_ascii(const uint8_t *p,
    const uint8_t *last);


wsb_utf8_t
wsb_utf8(wsb_utf8_t state, const uint8_t *p, size_t len)
{
    const uint8_t  *last;

    if (len == 0) {
        return state;
    }

    last = p + len;

    if (state == WSB_UTF8_INVALID) {
        return state;
    }

    for ( ;; ) {

        while (state != WSB_UTF8_START) {

            if (p == last) {
                return state;
            }

            state = wsb_utf8_next(state, *p++);

            if (state == WSB_UTF8_INVALID) {
                return state;
            }
        }

        p = wsb_utf8_skip_ascii(p, last);

        if (p == last) {
            return WSB_UTF8_START;
        }

        state = wsb_utf8_first(*p++);

        if (state == WSB_UTF8_INVALID) {
            return state;
        }
    }
}


/* The first byte of a character that is not ASCII. */

static wsb_utf8_t
wsb_utf8_first(unsigned c)
{
    if (c < 0xc2) {
        return WSB_UTF8_INVALID;
    }

    if (c < 0xe0) {
        return wsb_utf8_state(1, 0x80, 0xbf);
    }

    if (c < 0xf0) {
        return wsb_utf8_state(2, c == 0xe0 ? 0xa0 : 0x80,
                              c == 0xed ? 0x9f : 0xbf);
    }

    if (c < 0xf5) {
        return wsb_utf8_state(3, c == 0xf0 ? 0x90 : 0x80,
                              c == 0xf4 ? 0x8f : 0xbf);
    }

    return WSB_UTF8_INVALID;
}


static wsb_utf8_t
wsb_utf8_next(wsb_utf8_t state, unsigned c)
{
    unsigned  left;

    if (c < wsb_utf8_low(state) || c > wsb_utf8_high(state)) {
        return WSB_UTF8_INVALID;
    }

    left = wsb_utf8_left(state) - 1;

    if (left == 0) {
        return WSB_UTF8_START;
    }

    return wsb_utf8_state(left, 0x80, 0xbf);
}


static const uint8_t *
wsb_utf8_skip_ascii(const uint8_t *p, const uint8_t *last)
{
    uint64_t  word;

    if (p == last || *p >= 0x80) {
        return p;
    }

    while (last - p >= (ptrdiff_t) sizeof(word)) {
        memcpy(&word, p, sizeof(word));

        if (word & WSB_UTF8_ASCII) {
            break;
        }

        p += sizeof(word);
    }

    while (p != last && *p < 0x80) {
        p++;
    }

    return p;
}
