/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_inflate.h"
#include "wsb_zlib.h"
#include "wsb_close.h"
#include "wsb_offer.h"
#include "wsb_utf8.h"


/* The least that output is allocated with. */
#define WSB_INFLATE_STEP          1024

/* In z_stream.data_type after inflate(): between two blocks. */
#define WSB_INFLATE_BETWEEN       128


struct wsb_inflate_s {
    z_stream              stream;
};


/* What a sender leaves out at the end of a message: RFC 7692, 7.2.2. */

static const uint8_t  wsb_inflate_tail[WSB_ZLIB_TAIL] =
    { 0x00, 0x00, 0xff, 0xff };


static wsb_rc_t wsb_inflate_part(wsb_inflate_t *z, wsb_inflated_t *out,
    size_t limit, wsb_utf8_t *utf8);
static wsb_rc_t wsb_inflate_output(wsb_inflate_t *z, wsb_inflated_t *out,
    size_t limit, wsb_utf8_t *utf8);
static wsb_rc_t wsb_inflate_grow(wsb_inflated_t *out, size_t limit);
static wsb_rc_t wsb_inflate_fail(wsb_inflated_t *out, unsigned code,
    const char *reason);


wsb_inflate_t *
wsb_inflate_create(void)
{
    wsb_inflate_t  *z;

    z = wsb_malloc(sizeof(wsb_inflate_t));

    if (z == NULL) {
        return NULL;
    }

    memset(z, 0, sizeof(wsb_inflate_t));

    z->stream.zalloc = wsb_zlib_alloc;
    z->stream.zfree = wsb_zlib_free;

    if (inflateInit2(&z->stream, -WSB_OFFER_BITS_MAX) != Z_OK) {
        wsb_free(z);
        return NULL;
    }

    return z;
}


void
wsb_inflate_destroy(wsb_inflate_t *z)
{
    if (z == NULL) {
        return;
    }

    (void) inflateEnd(&z->stream);
    wsb_free(z);
}


wsb_rc_t
wsb_inflate(wsb_inflate_t *z, wsb_str_t payload, size_t limit, int text,
    wsb_inflated_t *out)
{
    wsb_rc_t    rc;
    z_stream   *stream;
    wsb_utf8_t  utf8;

    stream = &z->stream;
    utf8 = WSB_UTF8_START;

    memset(out, 0, sizeof(wsb_inflated_t));

    /* doubled to four times of what came, and again as often as need be */

    out->size = payload.len * 2 < WSB_INFLATE_STEP / 2 ? WSB_INFLATE_STEP / 2
                                                       : payload.len * 2;

    rc = wsb_inflate_grow(out, limit);

    if (rc != WSB_OK || payload.len == 0) {
        return rc;
    }

    (void) inflateReset(stream);

    stream->next_in = (uint8_t *) payload.data;
    stream->avail_in = payload.len;

    rc = wsb_inflate_part(z, out, limit, text ? &utf8 : NULL);

    if (rc == WSB_AGAIN) {
        stream->next_in = (uint8_t *) wsb_inflate_tail;
        stream->avail_in = WSB_ZLIB_TAIL;

        rc = wsb_inflate_part(z, out, limit, text ? &utf8 : NULL);

        if (rc == WSB_AGAIN) {
            rc = stream->data_type == WSB_INFLATE_BETWEEN
                 ? WSB_OK
                 : wsb_inflate_fail(out, WSB_CLOSE_BAD_DATA,
                                    "compressed message is incomplete");
        }
    }

    if (rc == WSB_OK && utf8 != WSB_UTF8_START) {
        rc = wsb_inflate_fail(out, WSB_CLOSE_BAD_DATA, "text is not UTF-8");
    }

    if (rc != WSB_OK) {
        wsb_free(out->data);
        out->data = NULL;
    }

    return rc;
}


/*
 * A final block does not end the message, RFC 7692, section 7.2.3.4, unless
 * nothing follows it.  WSB_AGAIN: the input has been used up.
 */

static wsb_rc_t
wsb_inflate_part(wsb_inflate_t *z, wsb_inflated_t *out, size_t limit,
    wsb_utf8_t *utf8)
{
    int        zrc;
    wsb_rc_t   rc;
    z_stream  *stream;

    stream = &z->stream;

    for ( ;; ) {
        stream->next_out = out->data + out->len;
        stream->avail_out = out->size - out->len;

        zrc = inflate(stream, Z_SYNC_FLUSH);

        if (zrc == Z_MEM_ERROR) {
            return WSB_NOMEM;
        }

        rc = wsb_inflate_output(z, out, limit, utf8);

        if (rc != WSB_OK) {
            return rc;
        }

        if (zrc == Z_STREAM_END) {

            if (stream->avail_in == 0) {
                return WSB_OK;
            }

            (void) inflateReset(stream);

        } else if (zrc != Z_OK && zrc != Z_BUF_ERROR) {
            return wsb_inflate_fail(out, WSB_CLOSE_BAD_DATA,
                                    "invalid compressed data");
        }

        if (out->len == out->size) {
            rc = wsb_inflate_grow(out, limit);

            if (rc != WSB_OK) {
                return rc;
            }

        } else if (stream->avail_in == 0) {
            return WSB_AGAIN;
        }
    }
}


/* Takes what inflate() has put behind the output. */

static wsb_rc_t
wsb_inflate_output(wsb_inflate_t *z, wsb_inflated_t *out, size_t limit,
    wsb_utf8_t *utf8)
{
    size_t  n;

    n = out->size - out->len - z->stream.avail_out;

    if (utf8 != NULL) {
        *utf8 = wsb_utf8(*utf8, out->data + out->len, n);

        if (*utf8 == WSB_UTF8_INVALID) {
            return wsb_inflate_fail(out, WSB_CLOSE_BAD_DATA,
                                    "text is not UTF-8");
        }
    }

    out->len += n;

    if (out->len > limit) {
        return wsb_inflate_fail(out, WSB_CLOSE_TOO_BIG, "message is too big");
    }

    return WSB_OK;
}


/* To twice the size, but not beyond the byte that shows it is too big. */

static wsb_rc_t
wsb_inflate_grow(wsb_inflated_t *out, size_t limit)
{
    uint8_t   *data;
    uint64_t   size;

    size = out->size * 2ull;

    if (size > limit + 1ull) {
        size = limit + 1ull;
    }

    data = wsb_realloc(out->data, size);

    if (data == NULL) {
        return WSB_NOMEM;
    }

    out->data = data;
    out->size = size;

    return WSB_OK;
}


static wsb_rc_t
wsb_inflate_fail(wsb_inflated_t *out, unsigned code, const char *reason)
{
    out->close_code = code;
    out->reason = reason;

    return WSB_ERROR;
}
