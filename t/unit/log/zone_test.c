/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The zone: what it is cut into, its chunks, and what an append does for
 * those who subscribed.
 */

#include "log/wsb_append.h"
#include "log/wsb_chunk.h"
#include "log/wsb_slot.h"
#include "tap.h"

#include <stdlib.h>


#define SIZE      (1024 * 1024)
#define HISTORY   (256 * 1024)
#define MARGIN    4096


static const uint8_t  secret[] = "0123456789abcdef";


static void *
block_create(size_t size)
{
    void  *p;

    if (posix_memalign(&p, 4096, size + MARGIN) != 0) {
        abort();
    }

    memset(p, 0xa5, size + MARGIN);

    return p;
}


static int
block_intact(const uint8_t *p, size_t size)
{
    size_t  i;

    for (i = size; i < size + MARGIN; i++) {
        if (p[i] != 0xa5) {
            return 0;
        }
    }

    return 1;
}


static wsb_parts_t
event(unsigned tenant, unsigned kind, unsigned type, unsigned action,
    unsigned id)
{
    unsigned     i, field[WSB_NROUTING];
    wsb_parts_t  parts;

    memset(&parts, 0, sizeof(wsb_parts_t));

    field[WSB_KIND] = kind;
    field[WSB_ENTITY_TYPE] = type;
    field[WSB_ACTION] = action;
    field[WSB_ENTITY_ID] = id;

    parts.tenant.h[0] = tenant + 1;
    parts.tenant.h[1] = tenant + 2;

    for (i = 0; i < WSB_NROUTING; i++) {
        if (field[i] != 0) {
            parts.part[i].h[0] = field[i] * 0x9e3779b97f4a7c15ULL + i;
            parts.part[i].h[1] = field[i] * 0xbf58476d1ce4e5b9ULL - i;
            parts.present |= 1 << i;
        }
    }

    return parts;
}


static void
subscribe(wsb_zone_t *zone, unsigned slot, const wsb_parts_t *parts,
    unsigned mask, unsigned n)
{
    wsb_key_t  key;

    key = wsb_key(parts, mask);

    while (n-- > 0) {
        if (wsb_interest_add_locked(zone, slot, &key, 1, mask) != WSB_OK) {
            abort();
        }
    }
}


static void
batch_add(wsb_batch_t *batch, const wsb_parts_t *parts, uint32_t len)
{
    wsb_entry_t   *entry;
    wsb_record_t  *rec;

    if (batch->records == NULL) {
        batch->size = 8 * SIZE;
        batch->records = calloc(1, batch->size);
        batch->entries = calloc(256, sizeof(wsb_entry_t));
    }

    entry = &batch->entries[batch->nentries++];
    entry->offset = (uint32_t) batch->len;
    entry->len = len;
    entry->parts = *parts;

    rec = (wsb_record_t *) (batch->records + batch->len);
    rec->len = len;
    memset(rec + 1, (int) batch->nentries, len - sizeof(wsb_record_t));

    batch->len += len;
}


static void
batch_done(wsb_batch_t *batch)
{
    free(batch->records);
    free(batch->entries);
    memset(batch, 0, sizeof(wsb_batch_t));
}


static int
never_gone(uint32_t pid)
{
    (void) pid;
    return 0;
}


/* Every part in its place, none over another: fills all of them. */

static const char *
layout_fault(uint8_t *p, size_t size, size_t history, size_t nidem)
{
    size_t       i, used;
    uint32_t     chunk;
    uint64_t     seq;
    uint8_t     *ring, *index;
    wsb_rc_t     rc;
    wsb_zone_t  *zone;
    wsb_copy_t   copy;
    wsb_batch_t  batch;
    wsb_parts_t  parts;
    wsb_cursor_t    cursor;
    wsb_appended_t  out;

    zone = (wsb_zone_t *) p;

    if (!wsb_zone_valid(zone)) {
        return "not valid";
    }

    if (zone->size != size || zone->log.size != history
        || zone->history != history)
    {
        return "sizes";
    }

    ring = (uint8_t *) &zone->log + zone->log.ring;
    index = (uint8_t *) &zone->log + zone->log.index;

    if ((uint8_t *) wsb_zone_slot(zone, 0) < p + sizeof(wsb_zone_t)
        || p + zone->owners
           < (uint8_t *) (wsb_zone_slot(zone, 0) + WSB_SLOTS_LAID)
        || zone->idem < zone->owners + zone->nchunks * sizeof(uint32_t)
        || index < p + zone->idem + wsb_idem_size(nidem)
        || ring < index + wsb_log_index_size(history)
        || ring < index + zone->log.nindex * sizeof(uint64_t)
        || p + zone->chunks < ring + history
        || zone->chunks + (uint64_t) zone->nchunks * WSB_CHUNK_SIZE > size)
    {
        return "bounds";
    }

    if ((uintptr_t) wsb_zone_slot(zone, 0) % 64
        || (uintptr_t) ring % 8 || (uintptr_t) index % 8 || zone->owners % 4
        || zone->idem % 8 || zone->chunks % WSB_CHUNK_SIZE
        || (uintptr_t) &zone->log.head % 64
        || (uintptr_t) &zone->log.oldest % 64
        || (uintptr_t) &wsb_zone_slot(zone, 1)->cursor % 64)
    {
        return "alignment";
    }

    if (zone->nchunks < 2 || wsb_chunk_count_free(zone) != zone->nchunks) {
        return "chunks";
    }

    /* the slots, then the chunks, then the ring once around */

    memset(wsb_zone_slot(zone, 0), 0x77,
           WSB_SLOTS_LAID * sizeof(wsb_slot_t));

    for (i = 0; i < zone->nchunks; i++) {
        chunk = wsb_chunk_take_locked(zone, 5);

        if (chunk == 0 || chunk > zone->nchunks) {
            return "chunk taken";
        }

        memset(wsb_zone_chunk(zone, chunk), 0x55, WSB_CHUNK_SIZE);
    }

    if (wsb_chunk_take_locked(zone, 5) != 0) {
        return "one chunk too many";
    }

    memset(&batch, 0, sizeof(wsb_batch_t));
    parts = event(0, 0, 0, 0, 0);

    for (i = 0; i < 32; i++) {
        batch_add(&batch, &parts,
                  (uint32_t) (wsb_log_max_batch(&zone->log) / 32 & ~7ULL));
    }

    /* the slots hold nonsense: they are not to be looked at */

    if (wsb_zone_next(zone, 0) != WSB_SLOTS) {
        return "slots in use";
    }

    for (i = 0; i < 5; i++) {
        if (wsb_append_locked(zone, &batch, 77, NULL, &out) != WSB_OK) {
            return "append";
        }
    }

    batch_add(&batch, &parts, 48 + history / 16);

    if (wsb_append_locked(zone, &batch, 77, NULL, &out) != WSB_ERROR) {
        return "a batch longer than the longest";
    }

    batch_done(&batch);

    memset(&copy, 0, sizeof(wsb_copy_t));
    seq = wsb_log_oldest(&zone->log);
    cursor.seq = seq;
    rc = WSB_OK;

    for (used = 0; rc == WSB_OK; used++) {
        cursor.pos = WSB_LOG_POS_UNKNOWN;
        rc = wsb_log_read(&zone->log, &cursor, &copy);
    }

    free(copy.data);

    if (rc != WSB_AGAIN || used - 1 != 160 + 1 - seq || used < 64) {
        return "log";
    }

    for (i = 0; i < WSB_SLOTS_LAID * sizeof(wsb_slot_t); i++) {
        if (((uint8_t *) wsb_zone_slot(zone, 0))[i] != 0x77) {
            return "slots overwritten";
        }
    }

    for (i = 0; i < (size_t) zone->nchunks * WSB_CHUNK_SIZE; i++) {
        if (p[zone->chunks + i] != 0x55) {
            return "chunks overwritten";
        }
    }

    for (i = 0; i < zone->nchunks; i++) {
        if (wsb_zone_owners(zone)[i] != 6) {
            return "owners overwritten";
        }
    }

    if (!block_intact(p, size)) {
        return "more than the block";
    }

    return NULL;
}


static void
test_layout(void)
{
    size_t       size, history, nidem, fits, refused;
    uint8_t     *p;
    unsigned     i, k;
    const char  *fault;
    size_t       sizes[] = {
        WSB_ZONE_MIN, WSB_ZONE_MIN + 1, WSB_ZONE_MIN + 4095,
        WSB_ZONE_MIN + 4096, 1500001, 2 * 1024 * 1024, 3333333, 8388608
    };

    fits = 0;
    refused = 0;
    fault = NULL;

    for (i = 0; i < sizeof(sizes) / sizeof(size_t); i++) {
        size = sizes[i];
        p = block_create(size);

        for (k = 0; k < 60 && fault == NULL; k++) {
            history = k < 40 ? WSB_LOG_MIN + (size - WSB_LOG_MIN) / 40 * k
                             : size - 1000 * (k - 40) * (k - 40);

            nidem = k % 7 * k;

            if (wsb_zone_init(p, size, history, nidem, 1, secret) != WSB_OK)
            {
                refused++;
                fault = block_intact(p, size) ? NULL : "refused, and wrote";
                continue;
            }

            fits++;
            fault = layout_fault(p, size, history & ~(size_t) 7, nidem);
        }

        if (fault != NULL) {
            printf("# size %zu, history %zu: %s\n", size, history, fault);
        }

        free(p);
    }

    ok(fault == NULL, "every part of the zone has its place");
    ok(fits > 100 && refused > 50, "%zu sizes fit, %zu did not", fits,
       refused);
}


static void
test_too_small(void)
{
    uint8_t     *p;
    unsigned     i;
    wsb_zone_t  *zone;
    size_t       bad[] = {
        0, 1, WSB_LOG_MIN - 1, WSB_LOG_MIN - 8, SIZE - 8, SIZE, SIZE + 8,
        SIZE_MAX, SIZE_MAX - 7, SIZE_MAX - 4096, SIZE_MAX / 2
    };

    p = block_create(SIZE);
    zone = (wsb_zone_t *) p;

    for (i = 0; i < sizeof(bad) / sizeof(size_t); i++) {
        is_uint(wsb_zone_init(p, SIZE, bad[i], 8, 1, secret), WSB_ERROR,
                "a history of %zu does not fit", bad[i]);
    }

    is_uint(wsb_zone_init(p, SIZE, HISTORY, SIZE_MAX / 8, 1, secret),
            WSB_ERROR, "nor do so many idempotency keys");
    is_uint(wsb_zone_init(p, SIZE, HISTORY, SIZE / 32, 1, secret),
            WSB_ERROR, "nor fewer");
    is_uint(wsb_zone_init(p, WSB_LOG_MIN + 1000, WSB_LOG_MIN, 8, 1, secret),
            WSB_ERROR, "nor do the slots");
    ok(!wsb_zone_valid(zone), "what was refused is no zone");

    is_uint(wsb_zone_init(p, SIZE, WSB_LOG_MIN, 8, 1, secret), WSB_OK,
            "the smallest history");

    zone->layout++;
    ok(!wsb_zone_valid(zone), "another layout is not ours");

    free(p);
}


static void
test_chunks(void)
{
    uint32_t     i, n, chunk, *taken;
    uint8_t     *p, *c;
    unsigned     k, bad;
    wsb_zone_t  *zone;

    p = block_create(SIZE);
    wsb_zone_init(p, SIZE, HISTORY, 8, 1, secret);

    zone = (wsb_zone_t *) p;
    n = zone->nchunks;
    taken = calloc(n + 1, sizeof(uint32_t));
    bad = 0;

    for (i = 0; i < n; i++) {
        chunk = wsb_chunk_take_locked(zone, i % WSB_SLOTS);

        if (chunk == 0 || taken[chunk]++
            || wsb_zone_owners(zone)[chunk - 1] != i % WSB_SLOTS + 1
            || wsb_chunk_count_free(zone) != n - i - 1)
        {
            bad++;
            break;
        }

        memset(wsb_zone_chunk(zone, chunk), 0xee, WSB_CHUNK_SIZE);
    }

    is_uint(bad, 0, "each chunk is taken once");
    is_uint(wsb_chunk_take_locked(zone, 1), 0, "then there is none");
    is_uint(wsb_chunk_count_free(zone), 0, "none is free");

    wsb_chunk_give_locked(zone, 0);
    wsb_chunk_give_locked(zone, n + 1);
    wsb_chunk_give_locked(zone, UINT32_MAX);

    is_uint(wsb_chunk_count_free(zone), 0,
            "what is no chunk is not given back");
    ok(wsb_zone_chunk(zone, 0) == NULL && wsb_zone_chunk(zone, n + 1) == NULL
       && wsb_zone_chunk(zone, n) != NULL, "and has no place");

    for (k = 0; k < 10 * n; k++) {
        chunk = 1 + k * 7 % n;
        wsb_chunk_give_locked(zone, chunk);

        if (wsb_chunk_take_locked(zone, 3) != chunk) {
            bad++;
            break;
        }

        c = wsb_zone_chunk(zone, chunk);

        for (i = 0; i < WSB_CHUNK_SIZE; i++) {
            bad += c[i] != 0;
        }

        memset(c, 0xee, WSB_CHUNK_SIZE);
    }

    is_uint(bad, 0, "the one that was given is taken again, zero-filled");
    ok(block_intact(p, SIZE), "nothing else was touched");

    free(taken);
    free(p);
}


static void
test_append(void)
{
    int              a, b, c;
    uint8_t         *p;
    wsb_hand_t       hand;
    wsb_zone_t      *zone;
    wsb_copy_t       copy;
    wsb_batch_t      batch;
    wsb_parts_t      ev;
    wsb_record_t    *rec;
    wsb_cursor_t     cursor;
    wsb_appended_t   out;

    p = block_create(SIZE);
    wsb_zone_init(p, SIZE, HISTORY, 8, 1, secret);
    zone = (wsb_zone_t *) p;

    memset(&batch, 0, sizeof(wsb_batch_t));
    memset(&copy, 0, sizeof(wsb_copy_t));

    a = wsb_slot_enter_locked(zone, 11, 1, never_gone, &hand);
    b = wsb_slot_enter_locked(zone, 12, 1, never_gone, &hand);
    c = wsb_slot_enter_locked(zone, 13, 1, never_gone, &hand);

    ok(a == 0 && b == 1 && c == 2, "the first slots are taken first");
    is_uint(zone->used[0], 7, "and no others are looked at");

    /* nobody is interested */

    ev = event(1, 2, 3, 4, 5);
    batch_add(&batch, &ev, 64);
    wsb_append_locked(zone, &batch, 1234, NULL, &out);

    ok(out.first == 1 && out.last == 1, "the first event is seq 1");
    ok(out.subscribers == 0 && out.slots[0] == 0, "nobody subscribed");
    ok(!wsb_slot_pending(zone, 0) && !wsb_slot_pending(zone, 1),
       "nobody is to wake");

    cursor.seq = 1;
    cursor.pos = 0;

    is_uint(wsb_log_read(&zone->log, &cursor, &copy), WSB_OK, "it is there");

    rec = (wsb_record_t *) copy.data;
    ok(rec->seq == 1 && rec->msec == 1234 && rec->len == 64,
       "with its seq and time");

    /* each of the 16 masks finds the event */

    subscribe(zone, 0, &ev, 0, 1);
    subscribe(zone, 0, &ev, 15, 2);
    subscribe(zone, 2, &ev, 6, 3);
    ev = event(2, 2, 3, 4, 5);
    subscribe(zone, 1, &ev, 15, 1);

    batch_done(&batch);
    ev = event(1, 2, 3, 4, 5);
    batch_add(&batch, &ev, 64);
    wsb_append_locked(zone, &batch, 1, NULL, &out);

    is_uint(out.subscribers, 6, "subscriptions are counted");
    is_uint(out.slots[0], 5, "slots of another tenant are not concerned");
    ok(wsb_slot_pending(zone, 0) && !wsb_slot_pending(zone, 1)
       && wsb_slot_pending(zone, 2), "nor woken");
    is_uint(wsb_zone_slot(zone, 0)->pending_from, 2, "from this event on");

    /* a batch: the first that concerns the slot */

    batch_done(&batch);

    ev = event(9, 9, 9, 9, 9);
    batch_add(&batch, &ev, 64);
    ev = event(2, 2, 3, 4, 5);
    batch_add(&batch, &ev, 4096);
    batch_add(&batch, &ev, 24);
    ev = event(1, 0, 3, 4, 0);
    batch_add(&batch, &ev, 64);

    wsb_append_locked(zone, &batch, 1, NULL, &out);

    ok(out.first == 3 && out.last == 6, "a batch has contiguous seqs");
    is_uint(out.subscribers, 1 + 1 + 4, "the sum over its events");
    is_uint(out.slots[0], 7, "the slots of all of its events");
    is_uint(wsb_zone_slot(zone, 1)->pending_from, 4, "the first of them");
    is_uint(wsb_zone_slot(zone, 0)->pending_from, 2, "a lower one stays");

    /* a greater one is of a batch that died */

    wsb_zone_slot(zone, 0)->pending_from = 11;
    wsb_zone_slot(zone, 2)->pending_from = 10;
    wsb_append_locked(zone, &batch, 1, NULL, &out);

    is_uint(wsb_zone_slot(zone, 0)->pending_from, 10, "it is lowered");
    is_uint(wsb_zone_slot(zone, 2)->pending_from, 10, "the same stays");

    /* an event without the fields is found by the wildcards only */

    batch_done(&batch);
    ev = event(1, 0, 0, 0, 0);
    batch_add(&batch, &ev, 24);
    wsb_append_locked(zone, &batch, 1, NULL, &out);

    is_uint(out.subscribers, 1, "an event without fields");

    /* nobody lives in the slot, though its table is there */

    wsb_zone_slot(zone, 2)->pid = 0;
    batch_done(&batch);
    ev = event(1, 0, 3, 4, 0);
    batch_add(&batch, &ev, 24);
    wsb_append_locked(zone, &batch, 1, NULL, &out);

    is_uint(out.slots[0], 1, "a slot without a process is not woken");

    wsb_zone_slot(zone, 2)->pid = 13;

    /* slots with a number above 63 */

    for (a = 0; a < 300; a++) {
        b = wsb_slot_enter_locked(zone, 100 + (uint32_t) a, 1, never_gone,
                                  &hand);
    }

    ok(b > 290, "many slots");
    ev = event(1, 0, 3, 4, 0);
    subscribe(zone, (unsigned) b, &ev, 4, 9);
    wsb_append_locked(zone, &batch, 1, NULL, &out);

    ok(out.slots[b / 64] == (uint64_t) 1 << b % 64 && out.slots[0] == 5,
       "each slot has its bit");
    is_uint(out.subscribers, 13, "and is counted");
    ok(block_intact(p, SIZE), "nothing else was touched");

    batch_done(&batch);
    free(copy.data);
    free(p);
}


static void
test_request(void)
{
    uint8_t             *p;
    unsigned             i, bad;
    wsb_str_t            key, body, tenant = wsb_null_string;
    wsb_zone_t          *zone;
    wsb_batch_t          batch;
    wsb_parts_t          ev;
    wsb_idem_request_t   req;
    wsb_appended_t       out;

    p = block_create(SIZE);
    wsb_zone_init(p, SIZE, HISTORY, 8, 1, secret);
    zone = (wsb_zone_t *) p;

    memset(&batch, 0, sizeof(wsb_batch_t));
    ev = event(1, 2, 3, 4, 5);
    batch_add(&batch, &ev, 64);
    batch_add(&batch, &ev, 64);

    key.data = p + SIZE - 8;
    key.len = 4;
    body.data = p + SIZE - 8;
    body.len = 4;
    bad = 0;

    for (i = 0; i < 40; i++) {
        memset(p + SIZE - 8, (int) i, 8);
        wsb_idem_request(&req, secret, tenant, key, body);

        bad += wsb_append_locked(zone, &batch, 1, &req, &out) != WSB_OK
               || out.first != 2 * i + 1 || out.last != 2 * i + 2;
        bad += wsb_append_locked(zone, &batch, 1, &req, &out) != WSB_DONE
               || out.first != 2 * i + 1 || out.last != 2 * i + 2
               || out.slots[0] != 0;
    }

    is_uint(bad, 0, "a repeated request gets the first answer");
    is_uint(wsb_log_head(&zone->log), 80, "and nothing is appended");

    body.len = 5;
    wsb_idem_request(&req, secret, tenant, key, body);
    is_uint(wsb_append_locked(zone, &batch, 1, &req, &out),
            WSB_CONFLICT, "another body under the same key");

    body.len = 4;
    tenant.data = (const uint8_t *) "t";
    tenant.len = 1;
    wsb_idem_request(&req, secret, tenant, key, body);
    is_uint(wsb_append_locked(zone, &batch, 1, &req, &out), WSB_OK,
            "a key of another tenant is another key");

    tenant.data = NULL;
    tenant.len = 0;
    memset(p + SIZE - 8, 32, 8);
    wsb_idem_request(&req, secret, tenant, key, body);
    is_uint(wsb_append_locked(zone, &batch, 1, &req, &out), WSB_OK,
            "what was forgotten is new");

    memset(p + SIZE - 8, 39, 8);
    wsb_idem_request(&req, secret, tenant, key, body);
    is_uint(wsb_append_locked(zone, &batch, 1, &req, &out), WSB_DONE,
            "the last ones are not");

    ok(block_intact(p, SIZE), "nothing else was touched");

    batch_done(&batch);
    free(p);
}


int
main(void)
{
    test_layout();
    test_too_small();
    test_chunks();
    test_append();
    test_request();

    return tap_done();
}
