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


#include "wsb_zone.h"


typedef struct {
    wsb_key_t             key;
    uint64_t              last;           /* seq of its last event, or 0 */
    uint32_t              count;          /* of subscriptions; 0: free */
    uint32_t              mask;           /* or WSB_MASK_COUNT */
} wsb_interest_t;


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
 * and this mask, of any amount.  Here: the sum of all slots.
 */

#define WSB_MASK_COUNT            WSB_MASKS

wsb_rc_t wsb_interest_take_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *key, uint32_t amount);
void wsb_interest_give_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *key, uint32_t amount);

uint64_t wsb_interest_count_locked(wsb_zone_t *zone, const wsb_key_t *key);

/* n more under such a key, WSB_FULL: none; and n less. */
wsb_rc_t wsb_interest_take_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *key, uint32_t n);
void wsb_interest_give_locked(wsb_zone_t *zone, unsigned slot,
    const wsb_key_t *key, uint32_t n);

/*
 * For each slot with an interest in this event: adds it to out, counts its
 * subscriptions, and lowers its pending_from to seq.
 */

void wsb_interest_notify_locked(wsb_zone_t *zone, const wsb_parts_t *parts,
    uint64_t seq, wsb_appended_t *out);


/*
 * Texts: what the filters say, for the status page.  A slot has at most
 * about 1,000 of them and takes chunks only while half of all are free: a
 * filter without a text is still matched.
 */

#define WSB_TEXT_CHUNKS           67
#define WSB_TEXT_SIZE             248     /* longer ones are not kept */
#define WSB_TEXTS_PER_CHUNK       15

typedef struct {
    uint32_t              count;          /* of subscriptions; 0: free */
    uint32_t              len;
    uint8_t               text[WSB_TEXT_SIZE];
} wsb_filter_text_t;

typedef struct {
    uint32_t              next;           /* chunk + 1, or 0 */
    uint32_t              used;           /* texts in it */
    wsb_key_t             tenant[WSB_TEXTS_PER_CHUNK];
    uint8_t               pad[8];
    wsb_filter_text_t     text[WSB_TEXTS_PER_CHUNK];
} wsb_text_chunk_t;

/* Returns a handle for the next two, 0: not kept. */
uint32_t wsb_filter_text_add_locked(wsb_zone_t *zone, unsigned slot,
    wsb_str_t text, const wsb_key_t *tenant);
void wsb_filter_text_count_locked(wsb_zone_t *zone, uint32_t handle,
    uint32_t count);


#endif /* WSB_INTEREST_H */
