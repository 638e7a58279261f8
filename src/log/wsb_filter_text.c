/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_filter_text.h"


_Static_assert(sizeof(wsb_text_chunk_t) <= WSB_CHUNK_SIZE, "texts size");


static void wsb_filter_text_free_locked(wsb_zone_t *zone, uint32_t chunk);


uint32_t
wsb_filter_text_add_locked(wsb_zone_t *zone, unsigned n, wsb_str_t text,
    const wsb_key_t *tenant)
{
    uint32_t            chunk, i;
    wsb_slot_t         *slot;
    wsb_text_chunk_t   *tc;
    wsb_filter_text_t  *ft;

    if (text.len == 0 || text.len > WSB_TEXT_SIZE) {
        return 0;
    }

    slot = wsb_zone_slot(zone, n);

    for (chunk = slot->texts; chunk != 0; chunk = tc->next) {
        tc = wsb_zone_chunk(zone, chunk);

        if (tc == NULL) {
            return 0;
        }

        if (tc->used < WSB_TEXTS_PER_CHUNK) {
            break;
        }
    }

    if (chunk == 0) {

        if (slot->ntexts == WSB_TEXT_CHUNKS
            || zone->nfree <= zone->nchunks / 2)
        {
            return 0;
        }

        chunk = wsb_chunk_take_locked(zone, n);
        if (chunk == 0) {
            return 0;
        }

        tc = wsb_zone_chunk(zone, chunk);
        tc->next = slot->texts;

        slot->texts = chunk;
        slot->ntexts++;
    }

    for (i = 0; i < WSB_TEXTS_PER_CHUNK; i++) {
        ft = &tc->text[i];

        if (ft->count == 0) {
            memcpy(ft->text, text.data, text.len);
            ft->len = (uint32_t) text.len;
            ft->count = 1;
            tc->tenant[i] = *tenant;
            tc->used++;

            return chunk * WSB_TEXTS_PER_CHUNK + i;
        }
    }

    return 0;
}


void
wsb_filter_text_count_locked(wsb_zone_t *zone, uint32_t handle,
    uint32_t count)
{
    wsb_text_chunk_t   *tc;
    wsb_filter_text_t  *ft;

    tc = wsb_zone_chunk(zone, handle / WSB_TEXTS_PER_CHUNK);
    if (tc == NULL) {
        return;
    }

    ft = &tc->text[handle % WSB_TEXTS_PER_CHUNK];

    if (count == 0 && ft->count != 0) {
        ft->count = 0;
        tc->used--;

        if (tc->used == 0) {
            wsb_filter_text_free_locked(zone, handle / WSB_TEXTS_PER_CHUNK);
        }

        return;
    }

    ft->count = count;
}


/* Gives an empty chunk of texts back. */

static void
wsb_filter_text_free_locked(wsb_zone_t *zone, uint32_t chunk)
{
    uint32_t           owner, i, *p;
    wsb_slot_t        *slot;
    wsb_text_chunk_t  *tc;

    owner = wsb_zone_owners(zone)[chunk - 1];

    if (owner == 0 || owner > WSB_SLOTS) {
        return;
    }

    slot = wsb_zone_slot(zone, owner - 1);
    p = &slot->texts;

    for (i = 0; i < WSB_TEXT_CHUNKS; i++) {
        tc = wsb_zone_chunk(zone, *p);

        if (tc == NULL) {
            return;
        }

        if (*p == chunk) {
            *p = tc->next;
            slot->ntexts--;
            wsb_chunk_give_locked(zone, chunk);
            return;
        }

        p = &tc->next;
    }
}
