/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_handshake.h"

#include <strings.h>


static int wsb_handshake_is_space(uint8_t c);
static int wsb_handshake_base64_char(uint8_t c);


int
wsb_handshake_has_token(wsb_str_t list, const char *token)
{
    size_t          n;
    const uint8_t  *p, *last, *start, *end;

    if (list.data == NULL) {
        return 0;
    }

    n = strlen(token);
    p = list.data;
    last = p + list.len;

    for ( ;; ) {

        while (p != last && wsb_handshake_is_space(*p)) {
            p++;
        }

        start = p;

        while (p != last && *p != ',') {
            p++;
        }

        end = p;

        while (end != start && wsb_handshake_is_space(end[-1])) {
            end--;
        }

        if (n != 0 && (size_t) (end - start) == n
            && strncasecmp((const char *) start, token, n) == 0)
        {
            return 1;
        }

        if (p == last) {
            return 0;
        }

        p++;
    }
}


static int
wsb_handshake_is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}


/*
 * 22 digits hold 132 bits: what the last four of them are is not looked at,
 * as RFC 4648, section 3.5 leaves it to the decoder.
 */

int
wsb_handshake_key_valid(wsb_str_t key)
{
    size_t  i;

    if (key.data == NULL || key.len != WSB_HANDSHAKE_KEY_LEN) {
        return 0;
    }

    for (i = 0; i < WSB_HANDSHAKE_KEY_LEN - 2; i++) {
        if (!wsb_handshake_base64_char(key.data[i])) {
            return 0;
        }
    }

    return key.data[i] == '=' && key.data[i + 1] == '=';
}


static int
wsb_handshake_base64_char(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
           || (c >= '0' && c <= '9') || c == '+' || c == '/';
}
