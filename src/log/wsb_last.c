/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_last.h"


#define WSB_LAST_SHARE  32                /* of the ring */

#define load(p)          __atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p)  __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)      __atomic_store_n(p, v, __ATOMIC_RELEASE)


static inline wsb_last_set_t *
wsb_last_sets(const wsb_last_t *last)
{
    return (wsb_last_set_t *) ((uint8_t *) last + last->sets);
}


static inline wsb_last_set_t *
wsb_last_set(const wsb_last_t *last, const wsb_key_t *key)
{
    return &wsb_last_sets(last)[key->h[0] % last->nsets];
}


static inline uint32_t
wsb_last_tag(const wsb_key_t *key)
{
    return (uint32_t) (key->h[1] >> 32);
}


size_t
wsb_last_size(size_t ring)
{
    return (ring / WSB_LAST_SHARE / sizeof(wsb_last_set_t) + 1)
           * sizeof(wsb_last_set_t);
}


void
wsb_last_init(wsb_last_t *last, void *sets, size_t ring)
{
    size_t  size;

    size = wsb_last_size(ring);

    memset(last, 0, sizeof(wsb_last_t));
    memset(sets, 0, size);

    last->nsets = size / sizeof(wsb_last_set_t);
    last->sets = (uint64_t) ((uint8_t *) sets - (uint8_t *) last);
}


uint64_t
wsb_last_resync(const wsb_last_t *last, unsigned kin)
{
    uint64_t  every, one;

    every = load(&last->every);
    one = load(&last->resync[kin]);

    return every > one ? every : one;
}


int
wsb_last_unsure(const wsb_last_t *last, unsigned kin, uint64_t seq)
{
    return seq < wsb_last_resync(last, kin);
}


wsb_cursor_t
wsb_last_find(const wsb_last_t *last, const wsb_key_t *key)
{
    unsigned         i;
    uint32_t         tag;
    wsb_cursor_t     at;
    wsb_last_set_t  *set;

    set = wsb_last_set(last, key);
    tag = wsb_last_tag(key);

    for (i = 0; i < WSB_LAST_WAYS; i++) {
        at.seq = load_acquire(&set->seq[i]);

        if (at.seq == 0 || load(&set->tag[i]) != tag) {
            continue;
        }

        WSB_STEP("hint read");

        at.pos = load(&set->pos[i]);

        return at;
    }

    at.seq = 0;
    at.pos = 0;

    return at;
}


/* A death in here leaves `pending`: the next one does it anew. */

void
wsb_last_settle_locked(wsb_last_t *last, uint64_t head)
{
    unsigned         i;
    uint64_t         n;
    wsb_last_set_t  *set;

    if (last->pending == 0) {
        return;
    }

    for (n = 0; n < last->nsets; n++) {
        set = &wsb_last_sets(last)[n];

        for (i = 0; i < WSB_LAST_WAYS; i++) {
            if (set->seq[i] > head) {
                store(&set->seq[i], 0);

                WSB_STEP("hint cleared");
            }
        }
    }

    store(&last->pending, 0);
}


void
wsb_last_note_locked(wsb_last_t *last, const wsb_key_t *key, uint64_t seq,
    uint64_t pos)
{
    unsigned         i, k;
    uint32_t         tag;
    wsb_last_set_t  *set;

    set = wsb_last_set(last, key);
    tag = wsb_last_tag(key);
    k = 0;

    for (i = 0; i < WSB_LAST_WAYS; i++) {

        if (set->seq[i] != 0 && set->tag[i] == tag) {
            k = i;
            break;
        }

        /* a free one has the lowest */

        if (set->seq[i] < set->seq[k]) {
            k = i;
        }
    }

    store(&last->pending, 1);

    WSB_STEP("hints pending");

    store(&set->seq[k], 0);

    WSB_STEP("hint freed");

    store(&set->tag[k], tag);
    store(&set->pos[k], pos);

    WSB_STEP("hint place");

    store(&set->seq[k], seq);

    WSB_STEP("hint");
}


void
wsb_last_done_locked(wsb_last_t *last)
{
    store(&last->pending, 0);

    WSB_STEP("hints settled");
}


void
wsb_last_resync_locked(wsb_last_t *last, unsigned kin, uint64_t seq)
{
    store(kin == WSB_KIN ? &last->every : &last->resync[kin], seq);

    WSB_STEP("rows not sure");
}
