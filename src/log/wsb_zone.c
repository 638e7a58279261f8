/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_zone.h"


_Static_assert(WSB_BLOCK_SLOTS * sizeof(wsb_slot_t) <= WSB_CHUNK_SIZE,
               "block size");
_Static_assert(WSB_COUNTERS <= 64, "a bit for each counter");


static size_t wsb_zone_blocks(size_t size);
static size_t wsb_zone_align(size_t n, size_t a);


wsb_rc_t
wsb_zone_init(void *mem, size_t size, size_t history, size_t nidem,
    uint64_t epoch, const uint8_t key[16])
{
    size_t       off, owners, idem, index, last, versions, ring,
                 chunks, blocks, n, i;
    wsb_zone_t  *zone;

    zone = mem;

    history &= ~(size_t) 7;

    if (history < WSB_LOG_MIN || history >= size
        || nidem > size / sizeof(wsb_idem_answer_t))
    {
        return WSB_ERROR;
    }

    off = wsb_zone_align(sizeof(wsb_zone_t), 64);
    blocks = wsb_zone_blocks(size);
    owners = off + blocks * WSB_BLOCK_SLOTS * sizeof(wsb_slot_t);

    /*
     * How many chunks there are is known only when all else has its place: so
     * there are owner words for as many as would fill the whole block.
     */

    idem = wsb_zone_align(owners + size / WSB_CHUNK_SIZE * sizeof(uint32_t),
                          64);
    index = wsb_zone_align(idem + wsb_idem_size(nidem), 64);
    last = wsb_zone_align(index + wsb_log_index_size(history), 64);
    versions = last + wsb_last_size(history);
    ring = versions + wsb_version_size(history);
    chunks = wsb_zone_align(ring + history, WSB_CHUNK_SIZE);

    if (chunks + 2 * WSB_CHUNK_SIZE > size) {
        return WSB_ERROR;
    }

    n = (size - chunks) / WSB_CHUNK_SIZE;

    memset(mem, 0, idem);

    zone->layout = WSB_ZONE_LAYOUT;
    zone->size = size;
    zone->history = history;
    zone->epoch = epoch & (((uint64_t) 1 << 48) - 1);
    zone->owners = owners;
    zone->chunks = chunks;
    zone->idem = idem;
    zone->nchunks = (uint32_t) n;
    zone->nfree = (uint32_t) n;

    for (i = 0; i < blocks; i++) {
        zone->block[i] = (uint32_t) ((off + i * WSB_BLOCK_SLOTS
                                            * sizeof(wsb_slot_t))
                                     / 64);
    }

    memcpy(zone->key, key, 16);

    wsb_idem_init((wsb_idem_t *) ((uint8_t *) mem + idem), nidem);

    wsb_log_init(&zone->log, (uint8_t *) mem + ring, history,
                 (uint8_t *) mem + index);

    wsb_last_init(&zone->last, (uint8_t *) mem + last, history);
    wsb_version_init(&zone->versions, (uint8_t *) mem + versions, history);

    zone->magic = WSB_ZONE_MAGIC;

    return WSB_OK;
}


int
wsb_zone_valid(const wsb_zone_t *zone)
{
    return zone->magic == WSB_ZONE_MAGIC && zone->layout == WSB_ZONE_LAYOUT;
}


void
wsb_zone_captured_locked(wsb_zone_t *zone, wsb_str_t name, uint64_t n)
{
    size_t          i;
    wsb_capture_t  *c;

    if (name.len > WSB_CAPTURE_NAME) {
        name.len = WSB_CAPTURE_NAME;
    }

    for (i = 0; i < WSB_CAPTURES; i++) {
        c = &zone->captures[i];

        if (c->len == 0) {
            memcpy(c->name, name.data, name.len);

            /* the length last: until then the place is free */
            __atomic_store_n(&c->len, (uint8_t) name.len, __ATOMIC_RELEASE);
        }

        if (i == WSB_CAPTURES - 1
            || (c->len == name.len
                && memcmp(c->name, name.data, name.len) == 0))
        {
            c->count += n;
            return;
        }
    }
}


/* Those that are laid out: of a large zone, all take little. */

static size_t
wsb_zone_blocks(size_t size)
{
    size_t  n;

    n = size / 128 / (WSB_BLOCK_SLOTS * sizeof(wsb_slot_t));

    if (n < WSB_SLOTS_LAID / WSB_BLOCK_SLOTS) {
        return WSB_SLOTS_LAID / WSB_BLOCK_SLOTS;
    }

    return n < WSB_SLOTS / WSB_BLOCK_SLOTS ? n : WSB_SLOTS / WSB_BLOCK_SLOTS;
}


static size_t
wsb_zone_align(size_t n, size_t a)
{
    return (n + a - 1) & ~(a - 1);
}
