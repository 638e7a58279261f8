/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_deflate.h"
#include "wsb_zlib.h"
#include "wsb_offer.h"


#define WSB_DEFLATE_MEMORY        8       /* zlib's default */

/* Of zlib's windows for raw deflate the smallest; what 8 bits have. */
#define WSB_DEFLATE_BITS_MIN      9
#define WSB_DEFLATE_CHUNK         256


struct wsb_deflate_s {
    z_stream              stream;
    size_t                chunk;          /* 0: no limit */
};


wsb_deflate_t *
wsb_deflate_create(unsigned level, unsigned bits)
{
    int             zbits;
    wsb_deflate_t  *d;

    d = wsb_malloc(sizeof(wsb_deflate_t));

    if (d == NULL) {
        return NULL;
    }

    memset(d, 0, sizeof(wsb_deflate_t));

    zbits = bits;

    if (bits < WSB_DEFLATE_BITS_MIN) {
        zbits = WSB_DEFLATE_BITS_MIN;
        d->chunk = WSB_DEFLATE_CHUNK;
    }

    d->stream.zalloc = wsb_zlib_alloc;
    d->stream.zfree = wsb_zlib_free;

    if (deflateInit2(&d->stream, level, Z_DEFLATED, -zbits,
                     WSB_DEFLATE_MEMORY, Z_DEFAULT_STRATEGY)
        != Z_OK)
    {
        wsb_free(d);
        return NULL;
    }

    return d;
}


void
wsb_deflate_destroy(wsb_deflate_t *d)
{
    if (d == NULL) {
        return;
    }

    (void) deflateEnd(&d->stream);
    wsb_free(d);
}


/* zlib's bound is for a stream that is ended, not for one that is flushed. */

size_t
wsb_deflate_bound(wsb_deflate_t *d, size_t len)
{
    size_t  bound;

    if (d->chunk == 0) {
        return deflateBound(&d->stream, len) + 16;
    }

    bound = deflateBound(&d->stream, d->chunk) + 16;

    return bound * (len / d->chunk + 1);
}


wsb_rc_t
wsb_deflate(wsb_deflate_t *d, wsb_str_t body, uint8_t *out, size_t *size)
{
    size_t     n;
    z_stream  *stream;

    stream = &d->stream;

    (void) deflateReset(stream);

    stream->next_in = (uint8_t *) body.data;
    stream->next_out = out;
    stream->avail_out = *size;

    do {
        n = d->chunk != 0 && body.len > d->chunk ? d->chunk : body.len;
        body.len -= n;

        stream->avail_in = n;

        /* a full flush forgets what is before it */

        if (deflate(stream, d->chunk != 0 ? Z_FULL_FLUSH : Z_SYNC_FLUSH)
            != Z_OK
            || stream->avail_out == 0)
        {
            return WSB_FULL;
        }

    } while (body.len != 0);

    *size = *size - stream->avail_out - WSB_ZLIB_TAIL;

    return WSB_OK;
}


unsigned
wsb_deflate_window(size_t len, unsigned bits)
{
    unsigned  n;

    n = WSB_OFFER_BITS_MIN;

    while (n < bits && len > (size_t) 1 << n) {
        n++;
    }

    return n;
}


/* RFC 1951, section 3.2.4 */

size_t
wsb_deflate_stored(uint8_t *p, size_t len)
{
    p[0] = 0;
    p[1] = len;
    p[2] = len >> 8;
    p[3] = ~len;
    p[4] = ~len >> 8;

    return WSB_DEFLATE_STORED_HEADER;
}
