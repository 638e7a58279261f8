/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_base64url.h"


static int wsb_base64url_value(uint8_t c);


wsb_rc_t
wsb_base64url_decode(wsb_str_t text, uint8_t *dst, size_t *len)
{
    int       v;
    size_t    i, n;
    uint32_t  bits;
    unsigned  nbits;

    if (text.len % 4 == 1) {
        return WSB_ERROR;
    }

    bits = 0;
    nbits = 0;
    n = 0;

    for (i = 0; i < text.len; i++) {
        v = wsb_base64url_value(text.data[i]);

        if (v < 0) {
            return WSB_ERROR;
        }

        bits = bits << 6 | (uint32_t) v;
        nbits += 6;

        if (nbits >= 8) {
            nbits -= 8;
            dst[n++] = (uint8_t) (bits >> nbits);
            bits &= (1u << nbits) - 1;
        }
    }

    if (bits != 0) {
        return WSB_ERROR;
    }

    *len = n;

    return WSB_OK;
}


static int
wsb_base64url_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    return c == '-' ? 62 : c == '_' ? 63 : -1;
}
