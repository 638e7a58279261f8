/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * permessage-deflate (RFC 7692), the way out: always without context
 * takeover.
 *
 * There is one wsb_deflate_t a process, level and window, created when first
 * needed.  No connection has one.
 */

#ifndef WSB_DEFLATE_H
#define WSB_DEFLATE_H


#include "../wsb.h"


#define WSB_DEFLATE_STORED_HEADER  5
#define WSB_DEFLATE_STORED_MAX     65535


typedef struct wsb_deflate_s  wsb_deflate_t;


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
