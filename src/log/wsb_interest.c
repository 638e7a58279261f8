/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_interest.h"
#include "wsb_chunk.h"


#define WSB_BUCKET_SPLIT    100           /* probes stay short below it */
#define WSB_BUCKET_SHARED   112           /* then for those with little */
#define WSB_DEPTH_MAX       14            /* 16 pages of 1024 entries */


_Static_assert(WSB_DIR_PAGES * WSB_DIR_PAGE_ENTRIES == 1 << WSB_DEPTH_MAX,
               "directory size");


/* What a key is given room for. */

typedef struct {
    unsigned              mask;
    uint32_t              count;
    uint32_t              reserve;        /* chunks that must stay free */
} wsb_added_t;


static uint64_t wsb_interest_bit(const wsb_key_t *key);
static wsb_rc_t wsb_interest_add_one_locked(wsb_zone_t *zone, unsigned n,
    const wsb_key_t *key, const wsb_added_t *added);
static void wsb_interest_remove_one_locked(wsb_zone_t *zone, unsigned n,
    const wsb_key_t *key, uint32_t count);
static uint32_t wsb_interest_chunk_locked(wsb_zone_t *zone, unsigned n,
    uint32_t reserve);
static void wsb_interest_drop_locked(wsb_zone_t *zone, unsigned n);
static wsb_rc_t wsb_interest_split_locked(wsb_zone_t *zone, unsigned n,
    uint64_t hash, uint32_t reserve);
static wsb_rc_t wsb_interest_double_locked(wsb_zone_t *zone, unsigned n,
    uint32_t reserve);
static void wsb_interest_merge_locked(wsb_zone_t *zone, unsigned n,
    uint64_t hash);
static void wsb_interest_halve_locked(wsb_zone_t *zone, unsigned n);
static void wsb_interest_pending_locked(wsb_zone_t *zone, unsigned n,
    uint64_t seq, wsb_appended_t *out);
static uint32_t *wsb_interest_dir(wsb_zone_t *zone, const wsb_slot_t *slot,
    uint64_t i);
static wsb_bucket_t *wsb_interest_bucket(wsb_zone_t *zone,
    const wsb_slot_t *slot, const wsb_key_t *key);


wsb_rc_t
wsb_interest_add_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *keys, unsigned nkeys, unsigned mask)
{
    return wsb_interest_add_within_locked(zone, slot, keys, nkeys, mask, 0);
}


wsb_rc_t
wsb_interest_add_within_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *keys, unsigned nkeys, unsigned mask, uint32_t reserve)
{
    unsigned     i;
    wsb_added_t  added;

    added.mask = mask;
    added.count = 1;
    added.reserve = reserve;

    for (i = 0; i < nkeys; i++) {
        if (wsb_interest_add_one_locked(zone, slot, &keys[i], &added)
            != WSB_OK)
        {
            wsb_interest_remove_locked(zone, slot, keys, i);
            return WSB_FULL;
        }
    }

    return WSB_OK;
}


/*
 * A slot has one of 64 bits of each key that came into its table since it was
 * empty: most tables are small, and a publisher need not look into those in
 * which its keys cannot be.  The bits beside those that place a key.
 */

static uint64_t
wsb_interest_bit(const wsb_key_t *key)
{
    return (uint64_t) 1 << (key->h[0] >> 58);
}


static wsb_rc_t
wsb_interest_add_one_locked(wsb_zone_t *zone, unsigned n,
    const wsb_key_t *key, const wsb_added_t *added)
{
    uint32_t         chunk, page;
    wsb_slot_t      *slot;
    wsb_bucket_t    *bucket;
    wsb_interest_t  *entry, fresh;

    slot = wsb_zone_slot(zone, n);

    if (slot->dir[0] == 0) {
        page = wsb_interest_chunk_locked(zone, n, added->reserve);
        chunk = page ? wsb_interest_chunk_locked(zone, n, added->reserve) : 0;

        if (chunk == 0) {
            wsb_chunk_give_locked(zone, page);
            return WSB_FULL;
        }

        ((uint32_t *) wsb_zone_chunk(zone, page))[0] = chunk;
        slot->depth = 0;
        slot->dir[0] = page;
    }

    for ( ;; ) {
        bucket = wsb_interest_bucket(zone, slot, key);
        if (bucket == NULL) {
            return WSB_FULL;
        }

        entry = wsb_bucket_find(bucket, key);

        if (entry != NULL) {
            entry->count += added->count;
            return WSB_OK;
        }

        if (bucket->count < WSB_BUCKET_SPLIT) {
            break;
        }

        /* what is kept must go a long way: first the bucket is filled */

        if (zone->nfree <= zone->nchunks / WSB_INTEREST_SHARE
            && added->reserve == 0 && bucket->count < WSB_BUCKET_ENTRIES - 1)
        {
            break;
        }

        if (wsb_interest_split_locked(zone, n, key->h[0], added->reserve)
            != WSB_OK)
        {

            /* a part of each bucket is kept as well */

            if (bucket->count < (added->reserve == 0
                                     ? WSB_BUCKET_ENTRIES - 1
                                     : WSB_BUCKET_SHARED))
            {
                break;
            }

            return WSB_FULL;
        }
    }

    memset(&fresh, 0, sizeof(wsb_interest_t));

    fresh.key = *key;
    fresh.count = added->count;
    fresh.mask = added->mask;

    slot->maybe |= wsb_interest_bit(key);
    wsb_bucket_insert(bucket, &fresh);

    WSB_STEP("entry counted in");

    slot->nentries++;

    if (added->mask < WSB_MASKS) {
        slot->nmask[added->mask]++;
        slot->masks |= 1u << added->mask;
    }

    return WSB_OK;
}


void
wsb_interest_remove_locked(wsb_zone_t *zone, unsigned n,
    const wsb_key_t *keys, unsigned nkeys)
{
    unsigned     i;
    wsb_slot_t  *slot;

    slot = wsb_zone_slot(zone, n);

    for (i = 0; i < nkeys; i++) {
        wsb_interest_remove_one_locked(zone, n, &keys[i], 1);
    }

    if (slot->nentries == 0 && slot->dir[0] != 0) {
        wsb_interest_drop_locked(zone, n);
    }
}


static void
wsb_interest_remove_one_locked(wsb_zone_t *zone, unsigned n,
    const wsb_key_t *key, uint32_t count)
{
    wsb_slot_t      *slot;
    wsb_bucket_t    *bucket;
    wsb_interest_t  *entry;

    slot = wsb_zone_slot(zone, n);

    bucket = wsb_interest_bucket(zone, slot, key);
    if (bucket == NULL) {
        return;
    }

    entry = wsb_bucket_find(bucket, key);
    if (entry == NULL) {
        return;
    }

    if (entry->count > count) {
        entry->count -= count;
        return;
    }

    if (entry->mask < WSB_MASKS && --slot->nmask[entry->mask] == 0) {
        slot->masks &= ~(1u << entry->mask);
    }

    slot->nentries--;

    WSB_STEP("entry counted out");

    wsb_bucket_remove(bucket, entry);

    if (bucket->count == 0) {
        wsb_interest_merge_locked(zone, n, key->h[0]);
    }
}


wsb_rc_t
wsb_interest_take_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *key, uint32_t n)
{
    wsb_added_t  added;

    added.mask = WSB_MASK_COUNT;
    added.count = n;
    added.reserve = 0;

    return wsb_interest_add_one_locked(zone, slot, key, &added);
}


void
wsb_interest_give_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *key, uint32_t n)
{
    wsb_interest_remove_one_locked(zone, slot, key, n);
    wsb_interest_remove_locked(zone, slot, NULL, 0);
}


static uint32_t
wsb_interest_chunk_locked(wsb_zone_t *zone, unsigned n, uint32_t reserve)
{
    return zone->nfree > reserve ? wsb_chunk_take_locked(zone, n) : 0;
}


/*
 * Each bucket is named by 2^(depth - its own depth) directory entries, of
 * which the first is the one whose number is below 2^(its own depth).
 */

static void
wsb_interest_drop_locked(wsb_zone_t *zone, unsigned n)
{
    uint32_t       i, *entry;
    wsb_slot_t    *slot;
    wsb_bucket_t  *bucket;

    slot = wsb_zone_slot(zone, n);

    for (i = 0; i < (uint32_t) 1 << slot->depth; i++) {
        entry = wsb_interest_dir(zone, slot, i);
        bucket = entry ? wsb_zone_chunk(zone, *entry) : NULL;

        if (bucket != NULL && i >> bucket->depth == 0) {
            wsb_chunk_give_locked(zone, *entry);

            WSB_STEP("bucket given");
        }
    }

    for (i = WSB_DIR_PAGES; i > 0; i--) {
        wsb_chunk_give_locked(zone, slot->dir[i - 1]);
        slot->dir[i - 1] = 0;
    }

    slot->depth = 0;
    slot->maybe = 0;
}


static wsb_rc_t
wsb_interest_split_locked(wsb_zone_t *zone, unsigned n, uint64_t hash,
    uint32_t reserve)
{
    uint32_t       chunk, *entry;
    uint64_t       i, bit;
    unsigned       k;
    wsb_slot_t    *slot;
    wsb_bucket_t  *bucket, *fresh, old;

    slot = wsb_zone_slot(zone, n);

    entry = wsb_interest_dir(zone, slot, hash);
    bucket = entry ? wsb_zone_chunk(zone, *entry) : NULL;

    if (bucket == NULL) {
        return WSB_FULL;
    }

    if (bucket->depth == slot->depth
        && wsb_interest_double_locked(zone, n, reserve) != WSB_OK)
    {
        return WSB_FULL;
    }

    chunk = wsb_interest_chunk_locked(zone, n, reserve);
    if (chunk == 0) {
        return WSB_FULL;
    }

    fresh = wsb_zone_chunk(zone, chunk);
    old = *bucket;
    bit = (uint64_t) 1 << old.depth;

    memset(bucket, 0, sizeof(wsb_bucket_t));

    bucket->depth = old.depth + 1;
    fresh->depth = old.depth + 1;

    for (k = 0; k < WSB_BUCKET_ENTRIES; k++) {
        if (old.entry[k].count != 0) {
            wsb_bucket_insert(old.entry[k].key.h[0] & bit ? fresh : bucket,
                              &old.entry[k]);
        }
    }

    WSB_STEP("bucket split");

    /* the entries that named the old one, with the new bit set */

    for (i = (hash & (bit - 1)) | bit;
         i < (uint64_t) 1 << slot->depth;
         i += bit << 1)
    {
        entry = wsb_interest_dir(zone, slot, i);
        if (entry != NULL) {
            *entry = chunk;
        }
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_interest_double_locked(wsb_zone_t *zone, unsigned n, uint32_t reserve)
{
    uint32_t     i, page, old, have, need, *from, *to;
    wsb_slot_t  *slot;

    slot = wsb_zone_slot(zone, n);

    if (slot->depth == WSB_DEPTH_MAX) {
        return WSB_FULL;
    }

    old = (uint32_t) 1 << slot->depth;
    have = (old + WSB_DIR_PAGE_ENTRIES - 1) / WSB_DIR_PAGE_ENTRIES;
    need = (2 * old + WSB_DIR_PAGE_ENTRIES - 1) / WSB_DIR_PAGE_ENTRIES;

    for (i = have; i < need; i++) {
        page = wsb_interest_chunk_locked(zone, n, reserve);

        if (page == 0) {
            while (i-- > have) {
                wsb_chunk_give_locked(zone, slot->dir[i]);
                slot->dir[i] = 0;
            }

            return WSB_FULL;
        }

        slot->dir[i] = page;
    }

    slot->depth++;

    WSB_STEP("depth grown");

    for (i = 0; i < old; i++) {
        from = wsb_interest_dir(zone, slot, i);
        to = wsb_interest_dir(zone, slot, i + old);

        if (from != NULL && to != NULL) {
            *to = *from;
        }
    }

    return WSB_OK;
}


/*
 * The bucket of this hash is empty: its buddy, which differs in the last of
 * the bits that their keys share, takes its place.
 */

static void
wsb_interest_merge_locked(wsb_zone_t *zone, unsigned n, uint64_t hash)
{
    uint32_t       chunk, buddy, *entry;
    uint64_t       i, bit;
    wsb_slot_t    *slot;
    wsb_bucket_t  *bucket, *other;

    slot = wsb_zone_slot(zone, n);

    for ( ;; ) {
        entry = wsb_interest_dir(zone, slot, hash);
        chunk = entry ? *entry : 0;
        bucket = wsb_zone_chunk(zone, chunk);

        if (bucket == NULL || bucket->depth == 0
            || bucket->depth > slot->depth)
        {
            return;
        }

        bit = (uint64_t) 1 << (bucket->depth - 1);

        entry = wsb_interest_dir(zone, slot, hash ^ bit);
        buddy = entry ? *entry : 0;
        other = wsb_zone_chunk(zone, buddy);

        if (other == NULL || buddy == chunk || other->depth != bucket->depth
            || (bucket->count != 0 && other->count != 0))
        {
            return;
        }

        if (bucket->count != 0) {
            /* it is the buddy that is empty */
            hash ^= bit;
            continue;
        }

        for (i = hash & (bit - 1); i < (uint64_t) 1 << slot->depth; i += bit) {
            entry = wsb_interest_dir(zone, slot, i);
            if (entry != NULL) {
                *entry = buddy;
            }
        }

        other->depth--;

        WSB_STEP("buckets merged");

        wsb_chunk_give_locked(zone, chunk);

        wsb_interest_halve_locked(zone, n);
    }
}


/* With no bucket that needs the last bit, the directory is twice too long. */

static void
wsb_interest_halve_locked(wsb_zone_t *zone, unsigned n)
{
    uint32_t     i, half, *low, *high;
    wsb_slot_t  *slot;

    slot = wsb_zone_slot(zone, n);

    if (slot->depth == 0 || slot->depth > WSB_DEPTH_MAX) {
        return;
    }

    half = (uint32_t) 1 << (slot->depth - 1);

    for (i = 0; i < half; i++) {
        low = wsb_interest_dir(zone, slot, i);
        high = wsb_interest_dir(zone, slot, i + half);

        if (low == NULL || high == NULL || *low != *high) {
            return;
        }
    }

    slot->depth--;

    WSB_STEP("depth lowered");

    i = (half + WSB_DIR_PAGE_ENTRIES - 1) / WSB_DIR_PAGE_ENTRIES;

    for ( /* void */ ; i < WSB_DIR_PAGES; i++) {
        wsb_chunk_give_locked(zone, slot->dir[i]);
        slot->dir[i] = 0;
    }
}


uint64_t
wsb_interest_count_locked(wsb_zone_t *zone, const wsb_key_t *key)
{
    unsigned         i;
    uint64_t         count, bit;
    wsb_slot_t      *slot;
    wsb_bucket_t    *bucket;
    wsb_interest_t  *entry;

    bit = wsb_interest_bit(key);
    count = 0;

    for (i = wsb_zone_next(zone, 0);
         i < WSB_SLOTS;
         i = wsb_zone_next(zone, i + 1))
    {
        slot = wsb_zone_slot(zone, i);

        if (slot->pid == 0 || !(slot->maybe & bit)) {
            continue;
        }

        bucket = wsb_interest_bucket(zone, slot, key);
        entry = bucket ? wsb_bucket_find(bucket, key) : NULL;

        count += entry ? entry->count : 0;
    }

    return count;
}


void
wsb_interest_notify_locked(wsb_zone_t *zone, const wsb_parts_t *parts,
    uint64_t seq, wsb_appended_t *out)
{
    unsigned         i, mask, masks, possible, hashed;
    uint64_t         count;
    wsb_key_t        keys[WSB_MASKS];
    wsb_slot_t      *slot;
    wsb_bucket_t    *bucket;
    wsb_interest_t  *entry;

    hashed = 0;
    possible = 0;

    for (mask = 0; mask < WSB_MASKS; mask++) {
        if ((mask & parts->present) == mask) {
            possible |= 1u << mask;
        }
    }

    for (i = wsb_zone_next(zone, 0);
         i < WSB_SLOTS;
         i = wsb_zone_next(zone, i + 1))
    {
        slot = wsb_zone_slot(zone, i);

        if (slot->pid == 0) {
            continue;
        }

        count = 0;

        for (masks = slot->masks & possible; masks != 0; masks &= masks - 1) {
            mask = (unsigned) __builtin_ctz(masks);

            if (!(hashed & 1u << mask)) {
                keys[mask] = wsb_key(parts, mask);
                hashed |= 1u << mask;
            }

            if (!(slot->maybe & wsb_interest_bit(&keys[mask]))) {
                continue;
            }

            bucket = wsb_interest_bucket(zone, slot, &keys[mask]);
            entry = bucket ? wsb_bucket_find(bucket, &keys[mask]) : NULL;

            if (entry != NULL) {
                entry->last = seq;
                count += entry->count;
            }
        }

        if (count == 0) {
            continue;
        }

        out->subscribers += count;

        wsb_interest_pending_locked(zone, i, seq, out);
    }
}


void
wsb_interest_notify_all_locked(wsb_zone_t *zone, uint64_t seq,
    wsb_appended_t *out)
{
    unsigned     i;
    wsb_slot_t  *slot;

    for (i = wsb_zone_next(zone, 0);
         i < WSB_SLOTS;
         i = wsb_zone_next(zone, i + 1))
    {
        slot = wsb_zone_slot(zone, i);

        if (slot->pid != 0 && slot->nentries != 0) {
            wsb_interest_pending_locked(zone, i, seq, out);
        }
    }
}


static void
wsb_interest_pending_locked(wsb_zone_t *zone, unsigned n, uint64_t seq,
    wsb_appended_t *out)
{
    wsb_slot_t  *slot;

    slot = wsb_zone_slot(zone, n);

    out->slots[n / 64] |= (uint64_t) 1 << n % 64;

    /* a batch that died may have left a greater one */

    if (slot->pending_from == 0 || slot->pending_from > seq) {
        __atomic_store_n(&slot->pending_from, seq, __ATOMIC_RELAXED);
    }

    WSB_STEP("pending stored");
}


static uint32_t *
wsb_interest_dir(wsb_zone_t *zone, const wsb_slot_t *slot, uint64_t i)
{
    uint32_t  *page;

    if (slot->depth > WSB_DEPTH_MAX) {
        return NULL;
    }

    i &= ((uint64_t) 1 << slot->depth) - 1;
    page = wsb_zone_chunk(zone, slot->dir[i / WSB_DIR_PAGE_ENTRIES]);

    return page ? &page[i % WSB_DIR_PAGE_ENTRIES] : NULL;
}


static wsb_bucket_t *
wsb_interest_bucket(wsb_zone_t *zone, const wsb_slot_t *slot,
    const wsb_key_t *key)
{
    uint32_t  *entry;

    entry = wsb_interest_dir(zone, slot, key->h[0]);

    return entry ? wsb_zone_chunk(zone, *entry) : NULL;
}
