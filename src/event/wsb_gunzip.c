/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_gunzip.h"

#include <zlib.h>


#define WSB_GUNZIP_START  4096


wsb_rc_t
wsb_gunzip(wsb_str_t body, size_t limit, uint8_t **out, size_t *len)
{
    int        rc;
    size_t     n, size;
    uint8_t   *p, *grown;
    z_stream   z;

    memset(&z, 0, sizeof(z_stream));

    /* 32: by its header, gzip or zlib */

    if (body.len > UINT32_MAX || limit > UINT32_MAX / 2
        || inflateInit2(&z, 15 + 32) != Z_OK)
    {
        return WSB_ERROR;
    }

    p = NULL;
    n = 0;
    size = 0;
    z.next_in = (Bytef *) (uintptr_t) body.data;
    z.avail_in = (uInt) body.len;

    for ( ;; ) {

        if (n == size) {

            if (size > limit) {
                rc = Z_BUF_ERROR;
                break;
            }

            size = size ? size * 2 : WSB_GUNZIP_START;

            if (size > limit) {
                /* a byte more shows that it is too long */
                size = limit + 1;
            }

            grown = wsb_realloc(p, size);
            if (grown == NULL) {
                rc = Z_MEM_ERROR;
                break;
            }

            p = grown;
        }

        z.next_out = p + n;
        z.avail_out = (uInt) (size - n);

        rc = inflate(&z, Z_NO_FLUSH);

        n = size - z.avail_out;

        if (rc == Z_STREAM_END && z.avail_in != 0) {
            /* RFC 1952, 2.2: more members; else it is garbage */
            rc = inflateReset(&z);

        } else if (rc == Z_OK && z.avail_in == 0 && z.avail_out != 0) {
            rc = Z_BUF_ERROR;
        }

        if (rc != Z_OK) {
            break;
        }
    }

    *out = p;
    *len = n;

    (void) inflateEnd(&z);

    if (rc == Z_STREAM_END && n <= limit) {
        return WSB_OK;
    }

    wsb_free(p);
    *out = NULL;

    return n > limit ? WSB_FULL : WSB_ERROR;
}
