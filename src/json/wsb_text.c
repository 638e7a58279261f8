/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_text.h"

#include <stdio.h>


#define WSB_TEXT_MIN  256


static int wsb_text_unseen(const uint8_t *p, size_t n);
static uint8_t *wsb_text_escape(uint8_t *dst, uint8_t c);


uint8_t *
wsb_text_grow(wsb_text_t *t, size_t len)
{
    size_t    size;
    uint8_t  *data;

    if (t->failed) {
        return NULL;
    }

    data = NULL;

    if (len <= SIZE_MAX / 4 - t->len) {
        size = t->size < WSB_TEXT_MIN ? WSB_TEXT_MIN : 2 * t->size;

        if (size < t->len + len) {
            size = t->len + len;
        }

        data = wsb_realloc(t->data, size);
    }

    if (data == NULL) {
        wsb_text_done(t);
        t->failed = 1;
        return NULL;
    }

    t->data = data;
    t->size = size;

    return data + t->len;
}


void
wsb_text_uint(wsb_text_t *t, uint64_t n)
{
    uint8_t  buf[20];

    wsb_text_add(t, buf, wsb_text_digits(buf, n));
}


size_t
wsb_text_digits(uint8_t *dst, uint64_t n)
{
    size_t   len;
    uint8_t  buf[20], *p;

    p = buf + sizeof(buf);

    do {
        *--p = '0' + n % 10;
        n /= 10;
    } while (n != 0);

    len = buf + sizeof(buf) - p;
    memcpy(dst, p, len);

    return len;
}


void
wsb_text_json(wsb_text_t *t, wsb_str_t s)
{
    size_t          n;
    uint8_t         buf[6];
    const uint8_t  *p, *last, *start;

    if (wsb_text_reserve(t, s.len + 2) == NULL) {
        return;
    }

    wsb_text_add(t, "\"", 1);

    p = s.data;
    last = p + s.len;
    start = p;

    while (p < last) {
        p = wsb_text_plain(p, last);

        if (p == last) {
            break;
        }

        n = *p < 0x80 ? 0 : wsb_text_utf8(p, last);

        if (n != 0) {
            p += n;
            continue;
        }

        wsb_text_add(t, start, p - start);
        wsb_text_add(t, buf, wsb_text_escape(buf, *p) - buf);

        start = ++p;
    }

    wsb_text_add(t, start, p - start);
    wsb_text_add(t, "\"", 1);
}


void
wsb_text_line(wsb_text_t *t, wsb_str_t s)
{
    size_t          n;
    char            buf[8];
    int             code;
    const uint8_t  *p, *last;

    last = s.data + s.len;

    for (p = s.data; p < last; p += n) {
        n = wsb_text_utf8(p, last);
        code = wsb_text_unseen(p, n);

        if (code == -1) {
            wsb_text_add(t, p, n);
            continue;
        }

        (void) snprintf(buf, sizeof(buf), "\\u%04x", (unsigned) code & 0xffff);
        wsb_text_add(t, buf, 6);

        n += n == 0;
    }
}


/* The code point to write for the n bytes at p; -1: they stay as they are. */

static int
wsb_text_unseen(const uint8_t *p, size_t n)
{
    switch (n) {

    case 0:
        return 0xfffd;

    case 1:
        return *p < 0x20 || *p == '"' || *p == '\\' || *p == 0x7f ? *p : -1;

    case 2:
        return p[0] == 0xc2 && p[1] < 0xa0 ? p[1] : -1;

    default:
        return n == 3 && p[0] == 0xe2 && p[1] == 0x80
               && (p[2] == 0xa8 || p[2] == 0xa9)
               ? 0x2000 + (p[2] & 0x3f) : -1;
    }
}


void
wsb_text_done(wsb_text_t *t)
{
    wsb_free(t->data);
    memset(t, 0, sizeof(wsb_text_t));
}


size_t
wsb_text_utf8(const uint8_t *p, const uint8_t *last)
{
    size_t   i, n;
    uint8_t  low, high;

    if (*p < 0x80) {
        return 1;
    }

    if (*p < 0xc2 || *p > 0xf4) {
        return 0;
    }

    n = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;

    if ((size_t) (last - p) < n) {
        return 0;
    }

    /* neither overlong, nor a surrogate, nor above U+10FFFF */

    low = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80;
    high = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;

    if (p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


int
wsb_text_valid(wsb_str_t s)
{
    size_t          n;
    const uint8_t  *p, *last;

    last = s.data + s.len;

    for (p = s.data; p < last; p += n) {
        n = wsb_text_utf8(p, last);

        if (n == 0 || *p == '\0') {
            return 0;
        }
    }

    return 1;
}


static uint8_t *
wsb_text_escape(uint8_t *dst, uint8_t c)
{
    static const char  hex[] = "0123456789abcdef";

    if (c >= 0x80) {
        memcpy(dst, "\xef\xbf\xbd", 3);
        return dst + 3;
    }

    *dst++ = '\\';

    switch (c) {

    case '"':
    case '\\':
        *dst++ = c;
        break;

    case '\b':
        *dst++ = 'b';
        break;

    case '\f':
        *dst++ = 'f';
        break;

    case '\n':
        *dst++ = 'n';
        break;

    case '\r':
        *dst++ = 'r';
        break;

    case '\t':
        *dst++ = 't';
        break;

    default:
        memcpy(dst, "u00", 3);
        dst[3] = hex[c >> 4];
        dst[4] = hex[c & 15];
        dst += 5;
    }

    return dst;
}
