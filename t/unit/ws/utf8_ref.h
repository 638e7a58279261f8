/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * UTF-8 after RFC 3629, the slow and obvious way: what the unit test and the
 * fuzz targets compare with.
 */

#ifndef UTF8_REF_H
#define UTF8_REF_H


#include <stddef.h>
#include <stdint.h>
#include <string.h>


/*
 * What a prefix of a character can still become is a range of code points,
 * and some of it must be allowed for its length.
 */

typedef struct {
    unsigned   left;
    unsigned   need;
    uint32_t   value;
} ref_t;


static int
ref_allowed(unsigned need, uint32_t low, uint32_t high)
{
    switch (need) {

    case 1:
        return low <= 0x7ff && high >= 0x80;

    case 2:
        return (low <= 0xd7ff && high >= 0x800)
               || (low <= 0xffff && high >= 0xe000);

    default:
        return low <= 0x10ffff && high >= 0x10000;
    }
}


static int
ref_byte(ref_t *r, uint8_t c)
{
    uint32_t  low, high;

    if (r->left == 0) {

        if (c < 0x80) {
            return 1;
        }

        if ((c & 0xe0) == 0xc0) {
            r->need = 1;
            r->value = c & 0x1f;

        } else if ((c & 0xf0) == 0xe0) {
            r->need = 2;
            r->value = c & 0x0f;

        } else if ((c & 0xf8) == 0xf0) {
            r->need = 3;
            r->value = c & 0x07;

        } else {
            return 0;
        }

        r->left = r->need;

    } else {

        if ((c & 0xc0) != 0x80) {
            return 0;
        }

        r->value = r->value << 6 | (c & 0x3f);
        r->left--;
    }

    low = r->value << 6 * r->left;
    high = low | ((1u << 6 * r->left) - 1);

    return ref_allowed(r->need, low, high);
}


/* The index of the first invalid byte; len: none, len + 1: incomplete. */

static size_t
ref_text(const uint8_t *p, size_t len)
{
    ref_t   r;
    size_t  i;

    memset(&r, 0, sizeof(r));

    for (i = 0; i < len; i++) {
        if (!ref_byte(&r, p[i])) {
            return i;
        }
    }

    return r.left ? len + 1 : len;
}


#endif /* UTF8_REF_H */
