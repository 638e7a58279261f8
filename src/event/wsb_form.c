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
