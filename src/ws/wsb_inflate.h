/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * permessage-deflate (RFC 7692), the way in: always without context takeover.
 *
 * There is one wsb_inflate_t a process, created when first needed.  No
 * connection has one.
 */

#ifndef WSB_INFLATE_H
#define WSB_INFLATE_H


#include "../wsb.h"


typedef struct wsb_inflate_s  wsb_inflate_t;


/* What a message was inflated to; its owner frees data. */

typedef struct {
    uint8_t              *data;           /* never NULL with WSB_OK */
    uint32_t              len;
    uint32_t              size;           /* allocated */
    uint16_t              close_code;     /* set with WSB_ERROR */
    const char           *reason;         /* set with WSB_ERROR, static */
} wsb_inflated_t;


/* NULL: out of memory. */
wsb_inflate_t *wsb_inflate_create(void);
void wsb_inflate_destroy(wsb_inflate_t *z);

/*
 * Inflates the payload of a whole message, which is less than 2 GB, as is
 * limit.
 *
 *   WSB_ERROR  1007: not deflate data, or it refers to what was before this
 *              message, or text is asked for and it is not UTF-8;
 *              1009: more than limit, of which no more than limit + 1 bytes
 *              have been inflated
 *   WSB_NOMEM
 */

wsb_rc_t wsb_inflate(wsb_inflate_t *z, wsb_str_t payload, size_t limit,
    int text, wsb_inflated_t *out);

/*
 * The payload that a message of limit bytes may have: what zlib's
 * deflateBound() allows for any window and memory level, and some flushes.
 */

static inline uint64_t
wsb_inflate_payload_max(size_t limit)
{
    return (uint64_t) limit + (limit >> 3) + (limit >> 6) + 128;
}


#endif /* WSB_INFLATE_H */
