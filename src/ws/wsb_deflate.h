/*
 * permessage-deflate (RFC 7692), always without context takeover: the only
 * file that knows zlib.
 *
 * There is one wsb_inflate_t a process, and one wsb_deflate_t a process,
 * level and window, created when first needed.  No connection has one.
 */

#ifndef WSB_DEFLATE_H
#define WSB_DEFLATE_H


#include "../wsb.h"
#include "wsb_reader.h"
#include "wsb_offer.h"


#define WSB_DEFLATE_STORED_HEADER  5
#define WSB_DEFLATE_STORED_MAX     65535


typedef struct wsb_deflate_s  wsb_deflate_t;


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


/*
 * level is 1 to 9; bits, the window that the receiver has, 8 to 15.  zlib has
 * no window of 256 bytes: for 8, each 256 bytes are compressed by themselves,
 * so that no reference can reach further.
 *
 * NULL: out of memory.
 */

wsb_deflate_t *wsb_deflate_create(unsigned level, unsigned bits);
void wsb_deflate_destroy(wsb_deflate_t *d);

/* Room that the compressed form of len bytes always fits into. */
size_t wsb_deflate_bound(wsb_deflate_t *d, size_t len);

/*
 * Compresses the end of a message, or a whole one, into out, which has room
 * for *size bytes; *size becomes the length, without the 00 00 ff ff of RFC
 * 7692, section 7.2.1.  It refers to nothing that is before it, so that stored
 * blocks may be put in front of it, the same for all who receive it.
 *
 *   WSB_FULL   it does not fit: with room for less than the body has, this
 *              is how to find out that compressing it does not pay
 */

wsb_rc_t wsb_deflate(wsb_deflate_t *d, wsb_str_t body, uint8_t *out,
    size_t *size);

/*
 * The least window that can inflate a body of len bytes compressed with a
 * window of bits: a short one never refers further back than its own start.
 */

unsigned wsb_deflate_window(size_t len, unsigned bits);

/*
 * Writes the WSB_DEFLATE_STORED_HEADER bytes that turn the next len bytes, at
 * most WSB_DEFLATE_STORED_MAX, into a stored block.
 */

size_t wsb_deflate_stored(uint8_t *p, size_t len);


#endif /* WSB_DEFLATE_H */
