/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_form.h"


static int wsb_form_hex(uint8_t c);


wsb_rc_t
wsb_form_decode(wsb_str_t s, uint8_t *dst, size_t *len)
{
    int       high, low;
    size_t    i;
    uint8_t  *d;

    d = dst;

    for (i = 0; i < s.len; i++) {

        if (s.data[i] == '+') {
            *d++ = ' ';
            continue;
        }

        if (s.data[i] != '%') {
            *d++ = s.data[i];
            continue;
        }

        if (s.len - i < 3) {
            return WSB_ERROR;
        }

        high = wsb_form_hex(s.data[i + 1]);
        low = wsb_form_hex(s.data[i + 2]);

        if (high == -1 || low == -1) {
            return WSB_ERROR;
        }

        *d++ = (uint8_t) (high << 4 | low);
        i += 2;
    }

    *len = d - dst;

    return WSB_OK;
}


static int
wsb_form_hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


uint8_t *
wsb_form_encode(uint8_t *dst, wsb_str_t s)
{
    size_t   i;
    uint8_t  c;

    static const char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if ((c >= '0' && c <= '9')
            || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            || c == '-' || c == '.' || c == '_' || c == '~')
        {
            *dst++ = c;
            continue;
        }

        *dst++ = '%';
        *dst++ = (uint8_t) hex[c >> 4];
        *dst++ = (uint8_t) hex[c & 15];
    }

    return dst;
}
