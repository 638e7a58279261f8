/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A response after an interim one: in one piece or in others, the same is
 * found in it, and it is over at the same byte.
 */

#include "fuzz.h"

#include "event/wsb_response.h"


#define MAX_BODY  64


static void
feed(wsb_response_t *res, const uint8_t *data, size_t size, size_t piece,
    wsb_rc_t *rc)
{
    size_t    n;
    uint8_t  *copy;

    memset(res, 0, sizeof(wsb_response_t));
    res->max_body = MAX_BODY;
    *rc = WSB_AGAIN;

    while (size != 0 && *rc == WSB_AGAIN) {
        n = size < piece ? size : piece;
        copy = fuzz_copy(data, n);

        *rc = wsb_response_feed(res, copy, n);

        free(copy);
        data += n;
        size -= n;
    }
}


static void
same(const wsb_text_t *a, const wsb_text_t *b)
{
    fuzz_check(a->len == b->len);
    fuzz_check(a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          piece;
    wsb_rc_t        rc, rc2;
    wsb_response_t  whole, part;

    if (size == 0) {
        return 0;
    }

    piece = 1 + *data++ % 8;
    size--;

    feed(&whole, data, size, size, &rc);
    feed(&part, data, size, piece, &rc2);

    fuzz_check(rc == rc2);
    fuzz_check(whole.state == part.state);
    fuzz_check(rc == WSB_ERROR || whole.status == part.status);
    fuzz_check(rc != WSB_OK || whole.status >= 200);
    fuzz_check(whole.body.len <= MAX_BODY);

    if (rc != WSB_ERROR) {
        fuzz_check(whole.lost == part.lost);
        same(&whole.body, &part.body);
        same(&whole.location, &part.location);
        same(&whole.encoding, &part.encoding);
    }

    fuzz_check(wsb_response_closed(&whole) == wsb_response_closed(&part));

    wsb_response_done(&whole);
    wsb_response_done(&part);

    return 0;
}
