/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The texts of the handshake: the extension header, lists, the key, and the
 * origin.
 */

#include "fuzz.h"

#include "ws/wsb_handshake.h"
#include "ws/wsb_offer.h"
#include "ws/wsb_origin.h"

#include <strings.h>


static int
ref_list(const uint8_t *p, size_t n, const char *token)
{
    size_t  i, start, end, len;

    len = strlen(token);
    start = 0;

    for (i = 0; i <= n; i++) {

        if (i != n && p[i] != ',') {
            continue;
        }

        for (end = i; start < end && strchr(" \t", p[start]) && p[start];
             start++)
        {
            /* void */
        }

        while (end > start && strchr(" \t", p[end - 1]) && p[end - 1]) {
            end--;
        }

        if (end - start == len
            && strncasecmp((const char *) p + start, token, len) == 0)
        {
            return 1;
        }

        start = i + 1;
    }

    return 0;
}


/* An answer is an offer, too, and is answered by itself. */

static void
check_offer(wsb_str_t header)
{
    size_t       n;
    uint8_t      answer[WSB_OFFER_RESPONSE_MAX];
    uint8_t      again[WSB_OFFER_RESPONSE_MAX];
    wsb_rc_t     rc;
    wsb_str_t    s;
    wsb_offer_t  offer;

    memset(&offer, 0xee, sizeof(offer));
    rc = wsb_offer_choose(header, &offer);

    if (rc != WSB_OK) {
        fuzz_check(rc == WSB_NOTFOUND || rc == WSB_ERROR);
        return;
    }

    fuzz_check(offer.server_bits >= 8 && offer.server_bits <= 15);
    fuzz_check(offer.client_bits == 0
               || (offer.client_bits >= 8 && offer.client_bits <= 15));

    n = wsb_offer_response(answer, &offer);
    fuzz_check(n <= sizeof(answer));

    s.data = answer;
    s.len = n;
    fuzz_check(wsb_offer_choose(s, &offer) == WSB_OK);
    fuzz_check(wsb_offer_response(again, &offer) == n);
    fuzz_check(memcmp(answer, again, n) == 0);
}


/* An origin is a pattern of itself, and holds nothing that a log minds. */

static void
check_origin(wsb_str_t s)
{
    size_t                 i;
    const char            *reason;
    wsb_origin_t           origin;
    wsb_origin_pattern_t   pattern;

    if (wsb_origin_parse(s, &origin) == WSB_OK) {
        fuzz_check(origin.host.len != 0 && origin.port <= 65535);
        fuzz_check(wsb_origin_equal(&origin, &origin));

        for (i = 0; i < s.len; i++) {
            fuzz_check(s.data[i] > ' ' && s.data[i] < 0x7f
                       && s.data[i] != '"' && s.data[i] != '%');
        }

        fuzz_check(wsb_origin_pattern_parse(s, &pattern, &reason) == WSB_OK);
        fuzz_check(wsb_origin_match(&pattern, &origin));
    }

    reason = NULL;
    fuzz_check(wsb_origin_pattern_parse(s, &pattern, &reason) == WSB_OK
               || reason != NULL);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int         found;
    uint8_t    *copy;
    wsb_str_t   s;

    copy = fuzz_copy(data, size);
    s.data = copy;
    s.len = size;

    check_offer(s);
    check_origin(s);

    found = wsb_handshake_has_token(s, "websocket");
    fuzz_check(found == ref_list(copy, size, "websocket"));

    found = wsb_handshake_has_token(s, "a");
    fuzz_check(found == ref_list(copy, size, "a"));

    found = wsb_handshake_key_valid(s);
    fuzz_check(!found || (size == WSB_HANDSHAKE_KEY_LEN
                          && memchr(copy, '=', size) == copy + size - 2));

    free(copy);

    return 0;
}
