/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_bucket.h"


_Static_assert(sizeof(wsb_bucket_t) == WSB_CHUNK_SIZE, "bucket size");


void
wsb_bucket_insert(wsb_bucket_t *bucket, const wsb_interest_t *entry)
{
    unsigned  i, n;

    i = entry->key.h[1] % WSB_BUCKET_ENTRIES;

    for (n = 0; n < WSB_BUCKET_ENTRIES; n++) {

        if (bucket->entry[i].count == 0) {
            bucket->entry[i] = *entry;
            bucket->count++;
            return;
        }

        i = (i + 1) % WSB_BUCKET_ENTRIES;
    }
}


/* Linear probing without tombstones: what probed past the hole moves in. */

void
wsb_bucket_remove(wsb_bucket_t *bucket, wsb_interest_t *entry)
{
    unsigned  hole, i, home, n;

    hole = (unsigned) (entry - bucket->entry);
    i = hole;

    for (n = 0; n < WSB_BUCKET_ENTRIES; n++) {
        i = (i + 1) % WSB_BUCKET_ENTRIES;

        if (bucket->entry[i].count == 0) {
            break;
        }

        home = bucket->entry[i].key.h[1] % WSB_BUCKET_ENTRIES;

        if ((i + WSB_BUCKET_ENTRIES - home) % WSB_BUCKET_ENTRIES
            >= (i + WSB_BUCKET_ENTRIES - hole) % WSB_BUCKET_ENTRIES)
        {
            bucket->entry[hole] = bucket->entry[i];
            hole = i;
        }
    }

    memset(&bucket->entry[hole], 0, sizeof(wsb_interest_t));
    bucket->count--;
}
