/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Buckets of interest tables: a chunk of entries, found by open addressing.
 */

#ifndef WSB_BUCKET_H
#define WSB_BUCKET_H


#include "wsb_zone.h"


#define WSB_BUCKET_ENTRIES        127

/* Of an entry that concerns no event: see wsb_interest.h. */
#define WSB_MASK_COUNT            WSB_MASKS


typedef struct {
    wsb_key_t             key;
    uint64_t              last;           /* seq of its last event, or 0 */
    uint32_t              count;          /* of subscriptions; 0: free */
    uint32_t              mask;           /* or WSB_MASK_COUNT */
} wsb_interest_t;


typedef struct {
    uint32_t              count;          /* entries in use */
    uint32_t              depth;          /* bits that all its keys share */
    uint8_t               pad[24];
    wsb_interest_t        entry[WSB_BUCKET_ENTRIES];
} wsb_bucket_t;


/* NULL: the key has no entry.  Looked for by each append. */

static inline wsb_interest_t *
wsb_bucket_find(wsb_bucket_t *bucket, const wsb_key_t *key)
{
    unsigned         i, n;
    wsb_interest_t  *entry;

    i = key->h[1] % WSB_BUCKET_ENTRIES;

    for (n = 0; n < WSB_BUCKET_ENTRIES; n++) {
        entry = &bucket->entry[i];

        if (entry->count == 0) {
            return NULL;
        }

        if (wsb_key_eq(&entry->key, key)) {
            return entry;
        }

        i = (i + 1) % WSB_BUCKET_ENTRIES;
    }

    return NULL;
}


/* There is a free entry, and none with this key. */
void wsb_bucket_insert(wsb_bucket_t *bucket, const wsb_interest_t *entry);
void wsb_bucket_remove(wsb_bucket_t *bucket, wsb_interest_t *entry);


#endif /* WSB_BUCKET_H */
