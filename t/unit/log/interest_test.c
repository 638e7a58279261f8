/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Interest tables against a reference: growth, exhaustion, removal, texts.
 * The file under test is included, so that its tables can be walked.
 */

#include "../../../src/log/wsb_interest.c"
#include "log/wsb_append.h"
#include "log/wsb_filter_text.h"
#include "log/wsb_quota.h"
#include "log/wsb_slot.h"
#include "tap.h"

#include <stdlib.h>


#define KEYS  200000


typedef struct {
    unsigned     n;
    uint32_t    *count;                   /* by number of the key */
    uint8_t     *mask;
} model_t;


static const uint8_t  secret[] = "0123456789abcdef";
static const wsb_key_t  no_tenant;

static uint64_t  random_state = 88172645463325252ULL;
static int       evil;                    /* keys that share their low bits */


static uint64_t
rnd(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return (random_state >> 11) % n;
}


static uint64_t
mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;

    return x ^ (x >> 31);
}


static wsb_key_t
key_of(unsigned i)
{
    wsb_key_t  key;

    key.h[0] = mix(2 * (uint64_t) i);
    key.h[1] = mix(2 * (uint64_t) i + 1);

    if (evil) {
        key.h[0] = (key.h[0] & ~(uint64_t) 0xffff) | 0x2a51;

        if (evil > 1) {
            /* and stand in few places of a bucket */
            key.h[1] = key.h[1] / WSB_BUCKET_ENTRIES / 4 * WSB_BUCKET_ENTRIES
                       + WSB_BUCKET_ENTRIES - 1 - i % 3;
        }
    }

    return key;
}


static wsb_zone_t *
zone_create(size_t size, size_t history)
{
    void  *p;

    if (posix_memalign(&p, 4096, size) != 0
        || wsb_zone_init(p, size, history, 8, 1, secret) != WSB_OK)
    {
        abort();
    }

    ((wsb_zone_t *) p)->used[0] = 0xf;

    return p;
}


static void
model_init(model_t *m, unsigned n)
{
    unsigned  i;

    m->n = n;
    m->count = calloc(n, sizeof(uint32_t));
    m->mask = calloc(n, 1);

    for (i = 0; i < n; i++) {
        m->mask[i] = (uint8_t) (mix(i) % WSB_MASKS);
    }
}


static void
model_done(model_t *m)
{
    free(m->count);
    free(m->mask);
}


static uint32_t
count_of(wsb_zone_t *zone, unsigned n, unsigned i)
{
    wsb_key_t        key;
    wsb_bucket_t    *bucket;
    wsb_interest_t  *entry;

    key = key_of(i);
    bucket = wsb_interest_bucket(zone, wsb_zone_slot(zone, n), &key);
    entry = bucket ? wsb_bucket_find(bucket, &key) : NULL;

    return entry ? entry->count : 0;
}


static const char *
counts_fault(wsb_zone_t *zone, unsigned n, const model_t *m)
{
    unsigned  i;

    for (i = 0; i < m->n; i++) {
        if (count_of(zone, n, i) != m->count[i]) {
            return "a count is wrong";
        }
    }

    return NULL;
}


/* The shape of a table, whatever it holds. */

static const char *
table_fault(wsb_zone_t *zone, unsigned n)
{
    unsigned         k, used;
    uint32_t         i, c, owned, total, dirs, *dir, *owner;
    uint32_t         nmask[WSB_MASKS];
    wsb_slot_t      *slot;
    wsb_bucket_t    *bucket;
    wsb_interest_t  *entry;

    slot = wsb_zone_slot(zone, n);
    owner = wsb_zone_owners(zone);
    total = 0;
    memset(nmask, 0, sizeof(nmask));

    for (i = 0, owned = 0; i < zone->nchunks; i++) {
        owned += owner[i] == n + 1;
    }

    if (slot->dir[0] == 0) {
        if (slot->nentries != 0 || slot->depth != 0 || owned != slot->ntexts
            || slot->masks != 0 || slot->maybe != 0)
        {
            return "no table, but traces of one";
        }

        return NULL;
    }

    if (slot->depth > WSB_DEPTH_MAX) {
        return "depth";
    }

    dirs = ((1u << slot->depth) + WSB_DIR_PAGE_ENTRIES - 1)
           / WSB_DIR_PAGE_ENTRIES;

    for (i = 0; i < WSB_DIR_PAGES; i++) {
        c = slot->dir[i];

        if ((i < dirs) != (c != 0) || (c != 0 && owner[c - 1] != n + 1)) {
            return "pages of the directory";
        }

        owned -= c != 0;
    }

    for (i = 0; i < 1u << slot->depth; i++) {
        dir = wsb_interest_dir(zone, slot, i);
        bucket = wsb_zone_chunk(zone, *dir);

        if (bucket == NULL || owner[*dir - 1] != n + 1) {
            return "a directory entry";
        }

        if (bucket->depth > slot->depth) {
            return "depth of a bucket";
        }

        c = i & ((1u << bucket->depth) - 1);

        if (c != i) {
            if (*wsb_interest_dir(zone, slot, c) != *dir) {
                return "a bucket is named by entries of another";
            }

            continue;
        }

        owned--;
        used = 0;

        for (k = 0; k < WSB_BUCKET_ENTRIES; k++) {
            entry = &bucket->entry[k];

            if (entry->count == 0) {
                continue;
            }

            used++;

            if (entry->mask != WSB_MASK_COUNT) {
                nmask[entry->mask]++;
            }

            if ((entry->key.h[0] & ((1u << bucket->depth) - 1)) != i) {
                return "an entry in the wrong bucket";
            }

            if (!(slot->maybe & wsb_interest_bit(&entry->key))) {
                return "an entry that is not looked for";
            }

            if (wsb_bucket_find(bucket, &entry->key) != entry) {
                return "an entry that is not found";
            }
        }

        if (used != bucket->count) {
            return "count of a bucket";
        }

        total += used;
    }

    if (total != slot->nentries
        || memcmp(nmask, slot->nmask, sizeof(nmask)) != 0)
    {
        return "numbers of entries";
    }

    for (k = 0; k < WSB_MASKS; k++) {
        if ((slot->masks >> k & 1) != (nmask[k] != 0)) {
            return "masks";
        }
    }

    return owned == slot->ntexts ? NULL : "chunks are leaked";
}


static wsb_rc_t
add(wsb_zone_t *zone, unsigned n, model_t *m, const unsigned *ids,
    unsigned nids)
{
    unsigned   i;
    wsb_rc_t   rc;
    wsb_key_t  keys[128];

    memset(keys, 0, sizeof(keys));

    for (i = 0; i < nids; i++) {
        keys[i] = key_of(ids[i]);
    }

    rc = wsb_interest_add_locked(zone, n, keys, nids, m->mask[ids[0]]);

    if (rc == WSB_OK) {
        for (i = 0; i < nids; i++) {
            m->count[ids[i]]++;
        }
    }

    return rc;
}


static void
sub(wsb_zone_t *zone, unsigned n, model_t *m, const unsigned *ids,
    unsigned nids)
{
    unsigned   i;
    wsb_key_t  keys[128];

    for (i = 0; i < nids; i++) {
        keys[i] = key_of(ids[i]);
        m->count[ids[i]]--;
    }

    wsb_interest_remove_locked(zone, n, keys, nids);
}


static void
no_fault(const char *fault, const char *what)
{
    ok(fault == NULL, "%s%s%s", what, fault ? ": " : "",
       fault ? fault : "");
}


static void
test_many(void)
{
    model_t      m;
    uint32_t     free_chunks, depth;
    unsigned     i, id;
    wsb_zone_t  *zone;
    const char  *fault;

    zone = zone_create(64 * 1024 * 1024, WSB_LOG_MIN);
    free_chunks = wsb_chunk_count_free(zone);
    model_init(&m, KEYS);
    fault = NULL;

    /* grows to all keys, with removals in between, then shrinks */

    for (i = 0; i < 2 * KEYS; i++) {
        id = (unsigned) rnd(KEYS);

        if (m.count[id] != 0 && rnd(3) == 0) {
            sub(zone, 1, &m, &id, 1);

        } else if (add(zone, 1, &m, &id, 1) != WSB_OK) {
            fault = "full";
            break;
        }

        if (i % (KEYS / 4) == 0 && fault == NULL) {
            fault = table_fault(zone, 1);
        }
    }

    for (id = 0; id < KEYS; id++) {
        if (m.count[id] == 0 && add(zone, 1, &m, &id, 1) != WSB_OK) {
            fault = "full";
        }
    }

    depth = wsb_zone_slot(zone, 1)->depth;

    no_fault(fault, "200,000 keys are added");
    no_fault(table_fault(zone, 1), "the table is sound");
    no_fault(counts_fault(zone, 1, &m), "the counts are right");
    is_uint(wsb_zone_slot(zone, 1)->nentries, KEYS, "each has one entry");
    ok(depth > 10, "the directory has several pages: depth %u", depth);
    printf("# %u chunks for %u keys\n",
           free_chunks - wsb_chunk_count_free(zone),
           KEYS);

    is_uint(count_of(zone, 1, KEYS + 1), 0, "another key is not found");
    is_uint(count_of(zone, 2, 7), 0, "nor is one in another slot");

    id = KEYS + 1;
    m.n = 0;
    wsb_interest_remove_locked(zone, 1,
                               &(wsb_key_t) { { mix(1), mix(2) } }, 1);
    is_uint(wsb_zone_slot(zone, 1)->nentries, KEYS,
            "removing what is not there changes nothing");
    m.n = KEYS;

    while (wsb_zone_slot(zone, 1)->nentries > KEYS / 3) {
        id = (unsigned) rnd(KEYS);

        if (m.count[id] != 0) {
            sub(zone, 1, &m, &id, 1);
        }
    }

    no_fault(table_fault(zone, 1), "the table is sound after removals");
    no_fault(counts_fault(zone, 1, &m), "the counts are right");

    for (id = 0; id < KEYS; id++) {
        while (m.count[id] != 0) {
            sub(zone, 1, &m, &id, 1);
        }
    }

    no_fault(table_fault(zone, 1), "an empty table is none");
    is_uint(wsb_chunk_count_free(zone), free_chunks,
            "all memory is given back");

    id = 3;
    add(zone, 1, &m, &id, 1);
    no_fault(counts_fault(zone, 1, &m), "it can be filled again");

    model_done(&m);
    free(zone);
}


static void
test_full(void)
{
    model_t      m;
    uint32_t     free_chunks;
    unsigned     i, k, n, full, ids[128], (*sets)[129], nsets;
    wsb_rc_t     rc;
    wsb_zone_t  *zone;
    const char  *fault;

    zone = zone_create(WSB_ZONE_MIN, WSB_ZONE_MIN - 220 * 1024);
    free_chunks = wsb_chunk_count_free(zone);
    model_init(&m, 6000);

    sets = calloc(20000, sizeof(*sets));
    nsets = 0;
    fault = NULL;
    full = 0;

    /* arrays of keys, some twice in one, until it is full, then fewer */

    for (i = 0; i < 30000 && fault == NULL; i++) {

        if (nsets < 20000 && rnd(10) < (i / 2000 % 2 ? 3 : 7)) {
            n = rnd(4) ? 1 : 1 + (unsigned) rnd(128);

            for (k = 0; k < n; k++) {
                ids[k] = (unsigned) rnd(m.n);
                m.mask[ids[k]] = 3;
            }

            rc = add(zone, 0, &m, ids, n);

            if (rc == WSB_OK) {
                sets[nsets][0] = n;
                memcpy(&sets[nsets][1], ids, n * sizeof(unsigned));
                nsets++;
                continue;
            }

            full++;
            fault = rc == WSB_FULL ? counts_fault(zone, 0, &m) : "rc";

            if (fault == NULL) {
                fault = table_fault(zone, 0);
            }

        } else if (nsets != 0) {
            k = (unsigned) rnd(nsets);
            sub(zone, 0, &m, &sets[k][1], sets[k][0]);
            memcpy(sets[k], sets[--nsets], sizeof(*sets));
        }
    }

    no_fault(fault, "WSB_FULL leaves everything as it was");
    ok(full > 100, "it was full %u times", full);
    printf("# %u entries in %u chunks\n", wsb_zone_slot(zone, 0)->nentries,
           free_chunks - wsb_chunk_count_free(zone));

    while (nsets != 0) {
        nsets--;
        sub(zone, 0, &m, &sets[nsets][1], sets[nsets][0]);
    }

    no_fault(table_fault(zone, 0), "an empty table is none");
    is_uint(wsb_chunk_count_free(zone), free_chunks,
            "all memory is given back");

    /* not even a page, then not even a bucket */

    while (wsb_chunk_count_free(zone) > 1) {
        wsb_chunk_take_locked(zone, 9);
    }

    ids[0] = 1;
    is_uint(add(zone, 0, &m, ids, 1), WSB_FULL, "one chunk is too few");
    is_uint(wsb_chunk_count_free(zone), 1, "and it is given back");
    no_fault(table_fault(zone, 0), "there is no table");

    wsb_chunk_take_locked(zone, 9);
    is_uint(add(zone, 0, &m, ids, 1), WSB_FULL, "no chunk at all");
    no_fault(table_fault(zone, 0), "there is no table");

    free(sets);
    model_done(&m);
    free(zone);
}


/* What no client can make, for the hash is keyed; the bounds hold all the
 * same. */

static void
test_evil(int kind)
{
    model_t      m;
    uint32_t     free_chunks;
    unsigned     i, id, ids[40];
    wsb_zone_t  *zone;
    const char  *fault;

    evil = kind;
    zone = zone_create(4 * 1024 * 1024, WSB_LOG_MIN);
    free_chunks = wsb_chunk_count_free(zone);
    model_init(&m, 400);
    fault = NULL;

    for (id = 0; id < m.n; id++) {
        if (add(zone, 3, &m, &id, 1) != WSB_OK) {
            break;
        }
    }

    is_uint(id, WSB_BUCKET_ENTRIES - 1, "keys that cannot be parted: %d",
            kind);
    is_uint(wsb_zone_slot(zone, 3)->depth, WSB_DEPTH_MAX, "all pages");
    no_fault(table_fault(zone, 3), "the table is sound");
    no_fault(counts_fault(zone, 3, &m), "the counts are right");

    for (i = 0; i < 20000 && fault == NULL; i++) {
        id = (unsigned) rnd(m.n);

        if (m.count[id] != 0 && rnd(2)) {
            sub(zone, 3, &m, &id, 1);

        } else if (rnd(4)) {
            add(zone, 3, &m, &id, 1);

        } else {
            for (id = 0; id < 40; id++) {
                ids[id] = (unsigned) rnd(m.n);
            }

            if (add(zone, 3, &m, ids, 40) == WSB_OK) {
                sub(zone, 3, &m, ids, 40);
            }
        }

        if (i % 16 == 0 && wsb_zone_slot(zone, 3)->nentries != 0) {
            fault = counts_fault(zone, 3, &m);
        }
    }

    no_fault(fault, "removing moves what probed past the hole");

    for (id = 0; id < m.n; id++) {
        while (m.count[id] != 0) {
            sub(zone, 3, &m, &id, 1);
        }
    }

    no_fault(table_fault(zone, 3), "an empty table is none");
    is_uint(wsb_chunk_count_free(zone), free_chunks,
            "all memory is given back");

    model_done(&m);
    free(zone);
    evil = 0;
}


/* Growth that fails at each of its chunks. */

static void
test_evil_full(void)
{
    model_t      m;
    uint32_t     n, k, free_chunks;
    unsigned     id;
    wsb_zone_t  *zone;
    const char  *fault;

    evil = 1;
    fault = NULL;
    model_init(&m, 130);

    for (n = 0; n < 40 && fault == NULL; n++) {
        zone = zone_create(WSB_ZONE_MIN, WSB_LOG_MIN);

        while (wsb_chunk_count_free(zone) > n) {
            wsb_chunk_take_locked(zone, 9);
        }

        for (id = 0; id < m.n && fault == NULL; id++) {
            add(zone, 3, &m, &id, 1);
            fault = table_fault(zone, 3);
        }

        fault = fault ? fault : counts_fault(zone, 3, &m);

        for (id = 0; id < m.n; id++) {
            while (m.count[id] != 0) {
                sub(zone, 3, &m, &id, 1);
            }
        }

        free_chunks = wsb_chunk_count_free(zone);

        if (free_chunks != n) {
            fault = "not all is given back";
        }

        for (k = 0; k < WSB_DIR_PAGES; k++) {
            if (wsb_zone_slot(zone, 3)->dir[k] != 0) {
                fault = "pages are left";
            }
        }

        free(zone);
    }

    no_fault(fault, "growth fails at each chunk, and nothing is lost");

    model_done(&m);
    evil = 0;
}


static void
test_two_slots(void)
{
    model_t      m[2];
    uint32_t     free_chunks;
    unsigned     i, id, n;
    wsb_zone_t  *zone;
    const char  *fault;

    zone = zone_create(4 * 1024 * 1024, WSB_LOG_MIN);
    free_chunks = wsb_chunk_count_free(zone);
    model_init(&m[0], 5000);
    model_init(&m[1], 5000);
    fault = NULL;

    for (i = 0; i < 60000 && fault == NULL; i++) {
        n = (unsigned) rnd(2);
        id = (unsigned) rnd(5000);

        /* one grows while the other comes and goes */

        if (m[n].count[id] != 0
            && (n == 1 ? i / 4000 % 2 == 0 || rnd(8) == 0 : rnd(3) == 0))
        {
            sub(zone, n + 1, &m[n], &id, 1);

        } else if (n == 0 || i / 4000 % 2 == 1) {
            add(zone, n + 1, &m[n], &id, 1);
        }

        if (i % 3000 == 0) {
            fault = counts_fault(zone, 1, &m[0]);
            fault = fault ? fault : counts_fault(zone, 2, &m[1]);
            fault = fault ? fault : table_fault(zone, 1);
            fault = fault ? fault : table_fault(zone, 2);
        }
    }

    no_fault(fault, "two slots do not disturb each other");

    for (id = 0; id < 5000; id++) {
        while (m[0].count[id] != 0) {
            sub(zone, 1, &m[0], &id, 1);
        }
    }

    no_fault(counts_fault(zone, 2, &m[1]), "the end of one is not the other's");
    wsb_slot_reclaim_locked(zone, 2, 0);
    is_uint(wsb_chunk_count_free(zone), free_chunks,
            "a reclaimed one is empty");

    model_done(&m[0]);
    model_done(&m[1]);
    free(zone);
}


static void
test_texts(void)
{
    uint32_t      handle, free_chunks, n, i, chunk, seen, *handles;
    uint8_t       text[WSB_TEXT_SIZE + 1];
    wsb_str_t     s;
    wsb_zone_t   *zone;
    wsb_text_chunk_t   *tc;
    wsb_filter_text_t  *ft;

    zone = zone_create(4 * 1024 * 1024, WSB_LOG_MIN);
    free_chunks = wsb_chunk_count_free(zone);
    handles = calloc(2000, sizeof(uint32_t));

    s.data = text;
    s.len = WSB_TEXT_SIZE + 1;
    memset(text, 'x', sizeof(text));
    is_uint(wsb_filter_text_add_locked(zone, 1, s, &no_tenant), 0,
            "too long a text");

    s.len = 0;
    is_uint(wsb_filter_text_add_locked(zone, 1, s, &no_tenant), 0, "no text");

    for (n = 0; n < 2000; n++) {
        s.len = 1 + n % WSB_TEXT_SIZE;
        memset(text, 'a' + (int) (n % 26), s.len);

        handles[n] = wsb_filter_text_add_locked(zone, 1, s, &no_tenant);
        if (handles[n] == 0) {
            break;
        }
    }

    is_uint(n, WSB_TEXT_CHUNKS * WSB_TEXTS_PER_CHUNK,
            "so many texts are kept");

    for (i = 0, seen = 0; i < n; i++) {
        tc = wsb_zone_chunk(zone, handles[i] / WSB_TEXTS_PER_CHUNK);
        ft = &tc->text[handles[i] % WSB_TEXTS_PER_CHUNK];

        if (ft->count == 1 && ft->len == 1 + i % WSB_TEXT_SIZE
            && ft->text[0] == 'a' + i % 26
            && ft->text[ft->len - 1] == 'a' + i % 26)
        {
            seen++;
        }
    }

    is_uint(seen, n, "as they were given");

    /* the status page's walk */

    seen = 0;

    for (chunk = wsb_zone_slot(zone, 1)->texts; chunk != 0; chunk = tc->next)
    {
        tc = wsb_zone_chunk(zone, chunk);

        for (i = 0; i < WSB_TEXTS_PER_CHUNK; i++) {
            seen += tc->text[i].count;
        }
    }

    is_uint(seen, n, "each is in the list once");

    wsb_filter_text_count_locked(zone, handles[77], 5);
    wsb_filter_text_count_locked(zone, handles[500], 0);
    wsb_filter_text_count_locked(zone, handles[500], 0);
    wsb_filter_text_count_locked(zone, 0, 0);
    wsb_filter_text_count_locked(zone, UINT32_MAX, 0);

    handle = wsb_filter_text_add_locked(zone, 1, s, &no_tenant);
    is_uint(handle, handles[500], "a free one is used again");
    is_uint(wsb_filter_text_add_locked(zone, 1, s, &no_tenant), 0, "once");

    wsb_filter_text_count_locked(zone, handles[3], 0);
    is_uint(wsb_filter_text_add_locked(zone, 1, s, &no_tenant), handles[3],
            "one in another chunk, too");

    for (i = 0; i < n; i++) {
        wsb_filter_text_count_locked(zone, handles[i], 0);
    }

    is_uint(wsb_chunk_count_free(zone), free_chunks, "all are given back");
    is_uint(wsb_zone_slot(zone, 1)->ntexts, 0, "and none is left");

    handle = wsb_filter_text_add_locked(zone, 1, s, &no_tenant);
    ok(handle != 0, "and can be added again");
    wsb_filter_text_count_locked(zone, handle, 0);

    /* only while half of all chunks are free */

    while (wsb_chunk_count_free(zone) > zone->nchunks / 2 + 1) {
        wsb_chunk_take_locked(zone, 9);
    }

    for (n = 0;
         wsb_filter_text_add_locked(zone, 1, s, &no_tenant) != 0;
         n++)
    {
        /* void */
    }

    is_uint(n, WSB_TEXTS_PER_CHUNK, "no more when half is taken");

    free(handles);
    free(zone);
}


/* Counts stand beside the filters, and no event finds them. */

static void
test_counts(void)
{
    unsigned         i, n;
    wsb_key_t        tenant[2], key[2][2], parts_key;
    wsb_str_t        name;
    wsb_zone_t      *zone;
    wsb_slot_t      *slot;
    wsb_parts_t      parts;
    wsb_quota_t      quota[2];
    wsb_appended_t   out;

    static const wsb_str_t  none = wsb_string("");

    zone = zone_create(WSB_ZONE_MIN, WSB_LOG_MIN);

    for (i = 0; i < 2; i++) {
        name.data = (const uint8_t *) (i ? "b" : "a");
        name.len = 1;
        tenant[i] = wsb_key_tenant(secret, name);
        key[i][0] = wsb_quota_key(secret, WSB_DOMAIN_CONNECTIONS, none, name);
        key[i][1] = wsb_quota_key(secret, WSB_DOMAIN_SUBSCRIPTIONS, none,
                                  name);

        slot = wsb_zone_slot(zone, i + 1);
        slot->pid = 7;
    }

    zone->used[0] = 7;

    is_uint(wsb_interest_count_locked(zone, &key[0][0]), 0, "nothing");

    for (n = 0; n < 5; n++) {
        ok(wsb_interest_add_locked(zone, 1, &key[0][0], 1, WSB_MASK_COUNT)
           == WSB_OK, "counted in slot 1");
        ok(wsb_interest_add_locked(zone, 2, &key[0][0], 1, WSB_MASK_COUNT)
           == WSB_OK, "counted in slot 2");
    }

    wsb_interest_add_locked(zone, 2, &key[1][1], 1, WSB_MASK_COUNT);

    ok(table_fault(zone, 1) == NULL && table_fault(zone, 2) == NULL,
       "the tables are sound");

    is_uint(wsb_interest_count_locked(zone, &key[0][0]), 10, "their sum");
    is_uint(wsb_interest_count_locked(zone, &key[0][1]), 0, "another count");
    is_uint(wsb_interest_count_locked(zone, &key[1][0]), 0, "another tenant");
    is_uint(wsb_interest_count_locked(zone, &key[1][1]), 1, "its own");

    /* no event is for a count, and no key of an event is equal to one */

    memset(&parts, 0, sizeof(wsb_parts_t));
    parts.tenant = tenant[0];
    parts.present = WSB_MASKS - 1;

    for (i = 0; i < WSB_MASKS; i++) {
        parts_key = wsb_key(&parts, i);
        ok(!wsb_key_eq(&parts_key, &key[0][0])
           && !wsb_key_eq(&parts_key, &key[0][1]), "mask %u", i);
    }

    memset(&out, 0, sizeof(wsb_appended_t));
    wsb_interest_notify_locked(zone, &parts, 1, &out);
    ok(out.subscribers == 0 && out.slots[0] == 0, "an event finds none");

    for (n = 0; n < 5; n++) {
        wsb_interest_remove_locked(zone, 1, &key[0][0], 1);
    }

    is_uint(wsb_interest_count_locked(zone, &key[0][0]), 5, "counted out");
    ok(table_fault(zone, 1) == NULL, "the table is sound");

    /* quotas: all of them or none, over all slots */

    memset(quota, 0, sizeof(quota));
    quota[0].key = key[0][1];
    quota[0].max = WSB_QUOTA_NONE;
    quota[0].weighs = 1;
    quota[1].key = key[0][0];
    quota[1].max = 6;
    quota[1].weighs = 1;

    ok(wsb_quota_take_locked(zone, 1, quota, 2) == WSB_OK, "the sixth");
    ok(wsb_quota_take_locked(zone, 1, quota, 2) == WSB_CONFLICT
       && wsb_quota_take_locked(zone, 2, quota, 2) == WSB_CONFLICT,
       "no seventh");
    is_uint(wsb_interest_count_locked(zone, &key[0][1]), 1,
            "and nothing else is counted");

    wsb_quota_give_locked(zone, 1, quota, 2);
    is_uint(wsb_interest_count_locked(zone, &key[0][0]), 5, "given back");
    is_uint(wsb_interest_count_locked(zone, &key[0][1]), 0, "both");

    /* several at once */

    ok(wsb_quota_take_many_locked(zone, 1, quota, 2, 2) == WSB_CONFLICT,
       "two are too many");
    is_uint(wsb_interest_count_locked(zone, &key[0][1]), 0, "none is taken");

    quota[1].max = 105;

    ok(wsb_quota_take_many_locked(zone, 1, quota, 2, 40) == WSB_OK
       && wsb_quota_take_many_locked(zone, 2, quota, 2, 60) == WSB_OK,
       "a hundred, of two slots");
    ok(wsb_quota_take_many_locked(zone, 1, quota, 2, 1) == WSB_CONFLICT,
       "with five that is all");
    ok(wsb_quota_take_many_locked(zone, 1, quota, 2, 0) == WSB_OK,
       "none is never too many");
    is_uint(wsb_interest_count_locked(zone, &key[0][1]), 100, "as many");

    wsb_quota_give_many_locked(zone, 1, quota, 2, 40);
    is_uint(wsb_interest_count_locked(zone, &key[0][0]), 65, "given back");
    is_uint(wsb_interest_count_locked(zone, &key[0][1]), 60, "of both");
    ok(table_fault(zone, 1) == NULL && table_fault(zone, 2) == NULL,
       "the tables are sound");

    wsb_slot_reclaim_locked(zone, 2, 7);
    is_uint(wsb_interest_count_locked(zone, &key[0][0]), 0,
            "gone with its slot");
    is_uint(wsb_chunk_count_free(zone), zone->nchunks, "and its memory");

    free(zone);
}


/* Whatever the memory of a slot holds, a look-up stays inside the zone. */

static void
test_broken(void)
{
    size_t           i, k, n;
    uint8_t         *p;
    model_t          m;
    unsigned         id;
    wsb_slot_t      *slot;
    wsb_zone_t      *zone;
    wsb_parts_t      parts;
    wsb_appended_t   out;

    zone = zone_create(WSB_ZONE_MIN, WSB_LOG_MIN);
    model_init(&m, 1000);
    memset(&parts, 0, sizeof(wsb_parts_t));
    parts.present = WSB_MASKS - 1;
    n = 0;

    for (i = 0; i < 3000; i++) {
        slot = wsb_zone_slot(zone, 1);
        slot->pid = 7;

        for (k = 0; k < 200; k++) {
            id = (unsigned) rnd(1000);
            add(zone, 1, &m, &id, 1);
        }

        for (k = 0; k < 200; k++) {

            switch (rnd(4)) {

            case 0:
                p = (uint8_t *) &slot->depth;
                p[rnd(offsetof(wsb_slot_t, texts)
                      - offsetof(wsb_slot_t, depth))] = (uint8_t) rnd(256);
                break;

            case 1:
                slot->dir[rnd(WSB_DIR_PAGES)] = (uint32_t)
                                        (rnd(2) ? rnd(zone->nchunks + 3)
                                                : rnd(UINT32_MAX));
                break;

            default:
                p = (uint8_t *) zone + zone->chunks;
                p[rnd((size_t) zone->nchunks * WSB_CHUNK_SIZE)]
                    = (uint8_t) rnd(256);
            }
        }

        slot->nentries = 5;

        for (k = 0; k < WSB_MASKS; k++) {
            slot->nmask[k] = 1;
        }

        slot->masks = (1u << WSB_MASKS) - 1;
        slot->maybe = ~(uint64_t) 0;

        for (k = 0; k < 8; k++) {
            parts.tenant.h[0] = mix(i + k);
            parts.part[k % 4].h[0] = mix(i * k);
            memset(&out, 0, sizeof(wsb_appended_t));
            wsb_interest_notify_locked(zone, &parts, 1, &out);
            n++;
        }

        wsb_slot_reclaim_locked(zone, 1, slot->pid);
        memset(m.count, 0, m.n * sizeof(uint32_t));
    }

    is_uint(n, 24000, "a broken table is looked up, and left");
    is_uint(wsb_chunk_count_free(zone), zone->nchunks, "and can be reclaimed");

    model_done(&m);
    free(zone);
}


/*
 * What is taken counts, not who takes it; and the last of the chunks is for
 * those who have little.
 */

static void
test_share(void)
{
    unsigned      i, n, taken;
    uint32_t      little, reserve;
    wsb_key_t     key;
    wsb_str_t     name;
    wsb_zone_t   *zone;
    wsb_quota_t   quota[2];

    static const wsb_str_t  none = wsb_string("");

    zone = zone_create(4 * WSB_ZONE_MIN, WSB_LOG_MIN);
    wsb_zone_slot(zone, 0)->pid = 7;
    zone->used[0] |= 1;

    name.data = (const uint8_t *) "a";
    name.len = 1;

    memset(quota, 0, sizeof(quota));

    quota[0].key = wsb_quota_key(secret, WSB_DOMAIN_SUBSCRIPTIONS, none, name);
    quota[0].max = WSB_QUOTA_NONE;
    quota[1].key = wsb_quota_key(secret, WSB_DOMAIN_KEYS, none, name);
    quota[1].max = 300;
    quota[1].weighs = 1;

    ok(wsb_quota_take_many_locked(zone, 0, quota, 2, 128) == WSB_OK
       && wsb_quota_take_many_locked(zone, 0, quota, 2, 128) == WSB_OK,
       "two of 128 keys");
    ok(wsb_quota_take_many_locked(zone, 0, quota, 2, 45) == WSB_CONFLICT,
       "45 more are too many");
    ok(wsb_quota_take_many_locked(zone, 0, quota, 2, 44) == WSB_OK,
       "44 are not");
    is_uint(wsb_interest_count_locked(zone, &quota[0].key), 3, "three");
    is_uint(wsb_interest_count_locked(zone, &quota[1].key), 300, "of 300");

    wsb_quota_give_many_locked(zone, 0, quota, 2, 128);
    is_uint(wsb_interest_count_locked(zone, &quota[0].key), 2, "one less");
    is_uint(wsb_interest_count_locked(zone, &quota[1].key), 172, "of 172");

    wsb_quota_give_many_locked(zone, 0, quota, 2, 128);
    wsb_quota_give_many_locked(zone, 0, quota, 2, 44);
    is_uint(wsb_chunk_count_free(zone), zone->nchunks, "all is given back");

    /* one takes what he can get */

    quota[1].max = WSB_QUOTA_NONE;
    little = wsb_quota_little(zone);
    taken = 0;

    ok(little >= WSB_QUOTA_LITTLE && little < zone->nchunks,
       "%u keys are little", little);

    for (i = 0, n = 0; n < 1000 && i < 1000000; i++) {
        key = wsb_hash(secret, 99, &i, sizeof(i));

        if (wsb_quota_take_locked(zone, 0, quota, 2) != WSB_OK) {
            break;
        }

        /* to many connections: of each he has hardly any */

        reserve = wsb_quota_reserve_locked(zone, quota, 2, 1);

        if (wsb_interest_add_within_locked(zone, 0, &key, 1, 3, reserve)
            == WSB_OK)
        {
            taken++;
            n = 0;

        } else {
            wsb_quota_give_locked(zone, 0, quota, 2);
            n++;
        }
    }

    is_uint(n, 1000, "he gets no more");
    ok(zone->nfree >= zone->nchunks / WSB_INTEREST_SHARE
       && zone->nfree < zone->nchunks / WSB_INTEREST_SHARE + 2,
       "of %u chunks %u are left, he has %u keys", zone->nchunks,
       zone->nfree, taken);
    ok(taken > 6 * little, "which is a lot");

    /* others, with little, get all they ask for */

    n = 0;

    for (i = 0; i < 20; i++) {
        name.data = (const uint8_t *) "bcdefghijklmnopqrstuv" + i;
        quota[0].key = wsb_quota_key(secret, WSB_DOMAIN_SUBSCRIPTIONS, none,
                                     name);
        quota[1].key = wsb_quota_key(secret, WSB_DOMAIN_KEYS, none, name);

        key = wsb_hash(secret, 100, &i, sizeof(i));

        if (wsb_quota_take_locked(zone, 0, quota, 2) == WSB_OK
            && wsb_interest_add_within_locked(zone, 0, &key, 1, 3,
                       wsb_quota_reserve_locked(zone, quota, 2, 1))
               == WSB_OK)
        {
            n++;
        }
    }

    is_uint(n, 20, "twenty others get in");
    is_uint(wsb_quota_reserve_locked(zone, quota, 2, 1), 0,
            "to them the last chunk is open");
    ok(wsb_quota_reserve_locked(zone, quota, 2, little + 1) != 0,
       "but not to a connection that has much itself");
    ok(table_fault(zone, 0) == NULL, "the table is sound");

    free(zone);
}


int
main(void)
{
    test_many();
    test_full();
    test_evil(1);
    test_evil(2);
    test_evil_full();
    test_two_slots();
    test_texts();
    test_counts();
    test_share();
    test_broken();

    return tap_done();
}
