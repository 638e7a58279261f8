#include "wsb_gunzip.h"

#include <zlib.h>


#define WSB_GUNZIP_START  4096


wsb_rc_t
wsb_gunzip(wsb_str_t body, size_t limit, uint8_t **out, size_t *len)
{
    int        rc;
    size_t     size;
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
    size = 0;
    z.next_in = (Bytef *) (uintptr_t) body.data;
    z.avail_in = (uInt) body.len;

    for ( ;; ) {

        if (z.total_out == size) {

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

        z.next_out = p + z.total_out;
        z.avail_out = (uInt) (size - z.total_out);

        rc = inflate(&z, Z_NO_FLUSH);

        if (rc != Z_OK || (z.avail_in == 0 && z.avail_out != 0)) {
            break;
        }
    }

    *out = p;
    *len = z.total_out;

    (void) inflateEnd(&z);

    if (rc == Z_STREAM_END && *len <= limit) {
        return WSB_OK;
    }

    wsb_free(p);
    *out = NULL;

    return *len > limit ? WSB_FULL : WSB_ERROR;
}
