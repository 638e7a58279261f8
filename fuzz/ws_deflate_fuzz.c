/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Inflating anything, and deflating what must come back.  The first byte has
 * the flags and the window, the second the level or the limit.
 */

#include "fuzz.h"

#include "ws/wsb_deflate.h"
#include "ws/wsb_inflate.h"
#include "ws/wsb_reader.h"
#include "ws/utf8_ref.h"

#include <zlib.h>


#define DEFLATE         0x80
#define TEXT            0x40


static wsb_inflate_t  *inflater;


/*
 * Byte by byte, with no more than the window that the receiver has told of:
 * whatever a reference reaches has to be in it.
 */

static void
check_window(const uint8_t *p, size_t len, unsigned bits,
    const uint8_t *want, size_t nwant)
{
    int              rc;
    size_t           i;
    uint8_t         *in, c;

    static int       ready[16];
    static z_stream  streams[16];

    if (!ready[bits]) {
        fuzz_check(inflateInit2(&streams[bits], -(int) bits) == Z_OK);
        ready[bits] = 1;
    }

    in = malloc(len + 4);
    memcpy(in, p, len);
    memcpy(in + len, "\0\0\xff\xff", 4);

    fuzz_check(inflateReset(&streams[bits]) == Z_OK);
    streams[bits].next_in = in;
    streams[bits].avail_in = len + 4;

    for (i = 0; ; i++) {
        streams[bits].next_out = &c;
        streams[bits].avail_out = 1;
        rc = inflate(&streams[bits], Z_SYNC_FLUSH);

        fuzz_check(rc == Z_OK || rc == Z_BUF_ERROR);

        if (streams[bits].avail_out == 1) {
            break;
        }

        fuzz_check(i < nwant && c == want[i]);
    }

    fuzz_check(i == nwant && streams[bits].avail_in == 0);
    free(in);
}


static void
check_inflate(const uint8_t *p, size_t size, size_t limit, int text,
    const uint8_t *want, size_t nwant)
{
    uint8_t         *copy;
    wsb_rc_t         rc;
    wsb_str_t        payload;
    wsb_inflated_t   out;

    copy = fuzz_copy(p, size);
    payload.data = copy;
    payload.len = size;

    rc = wsb_inflate(inflater, payload, limit, text, &out);

    if (rc == WSB_OK) {
        fuzz_check(out.len <= limit && out.size <= limit + 1);
        fuzz_check(!text || ref_text(out.data, out.len) == out.len);

        if (want != NULL) {
            fuzz_check(out.len == nwant);
            fuzz_check(memcmp(out.data, want, nwant) == 0);
        }

        free(out.data);

    } else {
        fuzz_check(rc == WSB_ERROR && out.data == NULL);
        fuzz_check(out.close_code == WSB_CLOSE_BAD_DATA
                   || out.close_code == WSB_CLOSE_TOO_BIG);
        fuzz_check(out.reason != NULL);
        fuzz_check(want == NULL || (text && ref_text(want, nwant) != nwant));
    }

    free(copy);
}


/* The second half of data is the body, the first one the prefix. */

static void
roundtrip(const uint8_t *data, size_t size, unsigned bits, unsigned level,
    int text)
{
    size_t                 n, len;
    uint8_t               *out;
    unsigned               least;
    wsb_str_t              body;

    static wsb_deflate_t  *deflaters[16][10];

    if (deflaters[bits][level] == NULL) {
        deflaters[bits][level] = wsb_deflate_create(level, bits);
    }

    n = size / 4 > WSB_DEFLATE_STORED_MAX ? WSB_DEFLATE_STORED_MAX : size / 4;
    body.data = data + n;
    body.len = size - n;

    len = wsb_deflate_bound(deflaters[bits][level], body.len);
    out = malloc(WSB_DEFLATE_STORED_HEADER + n + len);

    wsb_deflate_stored(out, n);
    memcpy(out + WSB_DEFLATE_STORED_HEADER, data, n);
    n += WSB_DEFLATE_STORED_HEADER;

    fuzz_check(wsb_deflate(deflaters[bits][level], body, out + n, &len)
               == WSB_OK);

    least = wsb_deflate_window(body.len, bits);
    fuzz_check(least <= bits);

    check_window(out, n + len, least, data, size);
    check_inflate(out, n + len, size, text, data, size);

    if (size != 0) {
        check_inflate(out + n, len, body.len, text, body.data, body.len);
    }

    free(out);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int     text;
    size_t  limit;

    static const size_t  limits[] = { 0, 1, 100, 1023, 1024, 10000, 65536,
                                      1 << 20 };

    if (size < 2) {
        return 0;
    }

    if (inflater == NULL) {
        inflater = wsb_inflate_create();
    }

    text = (data[0] & TEXT) != 0;

    if (data[0] & DEFLATE) {
        roundtrip(data + 2, size - 2, 8 + data[0] % 8, 1 + data[1] % 9, text);

    } else {
        limit = limits[data[1] % 8];
        check_inflate(data + 2, size - 2, limit, text, NULL, 0);
    }

    return 0;
}
