/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_chunk.h"


uint32_t
wsb_chunk_take_locked(wsb_zone_t *zone, unsigned slot)
{
    uint32_t   i, n, *owner;

    owner = wsb_zone_owners(zone);

    if (zone->nfree == 0) {
        return 0;
    }

    n = zone->hint;

    for (i = 0; i < zone->nchunks; i++, n++) {

        if (n >= zone->nchunks) {
            n = 0;
        }

        if (owner[n] == 0) {

            zone->hint = n + 1;

            /* the owner word first: a death now is swept with the slot */
            owner[n] = slot + 1;

            WSB_STEP("chunk owned");

            memset(wsb_zone_chunk(zone, n + 1), 0, WSB_CHUNK_SIZE);

            zone->nfree--;

            return n + 1;
        }
    }

    zone->nfree = 0;

    return 0;
}


void
wsb_chunk_give_locked(wsb_zone_t *zone, uint32_t chunk)
{
    uint32_t  *owner;

    if (chunk == 0 || chunk > zone->nchunks) {
        return;
    }

    owner = &wsb_zone_owners(zone)[chunk - 1];

    zone->nfree += *owner != 0;
    *owner = 0;
}


uint32_t
wsb_chunk_count_free(const wsb_zone_t *zone)
{
    uint32_t   i, n, *owner;

    owner = wsb_zone_owners(zone);
    n = 0;

    for (i = 0; i < zone->nchunks; i++) {
        n += (owner[i] == 0);
    }

    return n;
}


void
wsb_chunk_recount_locked(wsb_zone_t *zone)
{
    zone->nfree = wsb_chunk_count_free(zone);
}
