/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Interest tables: which worker must be woken for which event.
 *
 * A slot's table maps routing keys to numbers of subscriptions.  It lives in
 * chunks of its own, as extendible hashing: the low `depth` bits of a key's
 * first word choose a directory entry, which names the chunk.  So growth
 * moves one chunk's entries at a time, however large the table is.
 *
 * Only the owner of the slot changes its table, publishers read all tables;
 * both under the mutex.  An owner that dies in the middle leaves a table that
 * may miss entries or hold some twice: readers of it are bounded whatever it
 * holds, and the slot is reclaimed as a whole.
 */

#ifndef WSB_INTEREST_H
#define WSB_INTEREST_H


#include "wsb_bucket.h"


/*
 * Counts a subscription in under each of the keys, or, with WSB_FULL, none
 * of them: there is no chunk left.
 */

wsb_rc_t wsb_interest_add_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *keys, unsigned nkeys, unsigned mask);

/*
 * The same, but so many chunks must stay free.  Of the chunks an eighth is
 * kept for those for whom none must: see wsb_quota.h.
 */

#define WSB_INTEREST_SHARE        8

wsb_rc_t wsb_interest_add_within_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *keys, unsigned nkeys, unsigned mask, uint32_t reserve);

void wsb_interest_remove_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *keys, unsigned nkeys);

/*
 * The same tables hold counts that concern no event, under keys of their own
 * and WSB_MASK_COUNT, of any amount.  take: that many more, WSB_FULL: none;
 * give: that many less; count: the sum of all slots.
 */

wsb_rc_t wsb_interest_take_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *key, uint32_t amount);
void wsb_interest_give_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *key, uint32_t amount);

uint64_t wsb_interest_count_locked(wsb_zone_t *zone, const wsb_key_t *key);


/* What an append has done, and which slots it concerns. */

typedef struct {
    uint64_t              first;          /* seq */
    uint64_t              last;
    uint64_t              subscribers;    /* sum over the events */
    uint64_t              slots[WSB_SLOTS / 64];  /* a bit for each */
} wsb_appended_t;


/*
 * For each slot with an interest in this event: adds it to out, counts its
 * subscriptions, and lowers its pending_from to seq.
 */

void wsb_interest_notify_locked(wsb_zone_t *zone, const wsb_parts_t *parts,
    uint64_t seq, wsb_appended_t *out);


/* The same for each slot with any interest: of what a resync may concern. */
void wsb_interest_notify_all_locked(wsb_zone_t *zone, uint64_t seq,
    wsb_appended_t *out);


#endif /* WSB_INTEREST_H */
