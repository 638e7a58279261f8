/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Chunks of a zone: 4096 bytes, each owned by at most one slot.
 *
 * An owner word for each says whose it is, so that whatever a dead owner has
 * left is found by its slot alone.
 */

#ifndef WSB_CHUNK_H
#define WSB_CHUNK_H


#include "wsb_zone.h"


/* Returns its number + 1, zero-filled but for the owner word; 0: none. */
uint32_t wsb_chunk_take_locked(wsb_zone_t *zone, unsigned slot);
void wsb_chunk_give_locked(wsb_zone_t *zone, uint32_t chunk);

/* Counts them, and says again how many they are. */
uint32_t wsb_chunk_count_free(const wsb_zone_t *zone);
void wsb_chunk_recount_locked(wsb_zone_t *zone);


#endif /* WSB_CHUNK_H */
