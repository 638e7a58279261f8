/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Keyed hashes.
 *
 * The key of a hash is random and belongs to the zone: no client can aim at
 * a collision.
 */

#ifndef WSB_HASH_H
#define WSB_HASH_H


#include "../wsb.h"


/* What is hashed is known by it, in tables of all kinds. */

typedef struct {
    uint64_t              h[2];
} wsb_key_t;


/*
 * SipHash-2-4 with 128 bits of output; key is 16 bytes.  The same data hash
 * differently in each domain; domain 0 is plain SipHash.
 */

wsb_key_t wsb_hash(const uint8_t key[16], unsigned domain, const void *data,
    size_t len);

/* The same; the hashes of short values are remembered by the process. */
wsb_key_t wsb_hash_memo(const uint8_t key[16], unsigned domain,
    wsb_str_t value);


#endif /* WSB_HASH_H */
