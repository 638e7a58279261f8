/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_before.h"
#include "../event/wsb_uuid.h"
#include "../json/wsb_merge.h"


/* What one look for rows works with. */

typedef struct {
    const wsb_zone_t     *zone;
    wsb_batch_t          *batch;
    wsb_copy_t            copy;           /* of the record in hand */
    wsb_text_t            merged;
    size_t                left;           /* what the batch may still grow */
} wsb_before_t;


static wsb_rc_t wsb_before_hints(const wsb_zone_t *zone, wsb_batch_t *batch,
    unsigned *found);
static wsb_rc_t wsb_before_within(wsb_batch_t *batch, unsigned *found);
static wsb_rc_t wsb_before_entry(wsb_before_t *b, wsb_entry_t *entry);
static wsb_rc_t wsb_before_complete(wsb_before_t *b, wsb_entry_t *entry,
    wsb_event_t *ev);
static wsb_rc_t wsb_before_row(wsb_before_t *b, const wsb_entry_t *entry,
    const wsb_event_t *ev, wsb_str_t *row);
static wsb_rc_t wsb_before_merge(wsb_before_t *b, wsb_event_t *ev,
    wsb_str_t row);
static wsb_rc_t wsb_before_room(wsb_batch_t *batch, size_t len);
static int wsb_before_entity(const wsb_event_t *a, const wsb_event_t *b);


wsb_rc_t
wsb_before_find(const wsb_zone_t *zone, wsb_batch_t *batch)
{
    size_t        i;
    wsb_rc_t      rc;
    unsigned      found;
    wsb_before_t  b;

    wsb_free(batch->ready);
    batch->ready = NULL;
    batch->ready_len = 0;
    batch->ready_size = 0;

    rc = wsb_before_hints(zone, batch, &found);

    if (rc != WSB_OK || !found) {
        return rc;
    }

    memset(&b, 0, sizeof(wsb_before_t));

    b.zone = zone;
    b.batch = batch;
    b.left = wsb_log_max_batch(&zone->log);
    b.left = batch->len < b.left ? b.left - batch->len : 0;

    for (i = 0; rc == WSB_OK && i < batch->nentries; i++) {
        rc = wsb_before_entry(&b, &batch->entries[i]);
    }

    wsb_free(b.copy.data);
    wsb_text_done(&b.merged);

    return rc;
}


static wsb_rc_t
wsb_before_hints(const wsb_zone_t *zone, wsb_batch_t *batch,
    unsigned *found)
{
    size_t         i;
    wsb_entry_t   *entry;
    wsb_cursor_t   at;

    *found = 0;

    for (i = 0; i < batch->nentries; i++) {
        entry = &batch->entries[i];
        entry->before = 0;

        if (!entry->asks) {
            continue;
        }

        at = wsb_last_find(&zone->last, &entry->key);

        entry->hint[0] = at.seq;
        entry->hint[1] = at.pos;
        entry->unsure = wsb_last_unsure(&zone->last, entry->kin, at.seq);

        *found |= at.seq != 0;
    }

    return batch->nentries > 1 ? wsb_before_within(batch, found) : WSB_OK;
}


/* Events of one batch may be about the same entity. */

static wsb_rc_t
wsb_before_within(wsb_batch_t *batch, unsigned *found)
{
    size_t        i, k, n;
    uint32_t     *table;
    wsb_entry_t  *entry, *other;

    for (n = 4; n < 2 * batch->nentries; n *= 2) {
        /* void */
    }

    table = wsb_malloc(n * sizeof(uint32_t));
    if (table == NULL) {
        return WSB_NOMEM;
    }

    memset(table, 0, n * sizeof(uint32_t));

    for (i = 0; i < batch->nentries; i++) {
        entry = &batch->entries[i];

        if (!entry->entity) {
            continue;
        }

        for (k = entry->key.h[1] & (n - 1);
             table[k] != 0;
             k = (k + 1) & (n - 1))
        {
            other = &batch->entries[table[k] - 1];

            if (wsb_key_eq(&other->key, &entry->key)) {
                entry->before = table[k];
                *found |= entry->asks;
                break;
            }
        }

        table[k] = (uint32_t) i + 1;
    }

    wsb_free(table);

    return WSB_OK;
}


/* Its record, with what is known, goes to those that are ready. */

static wsb_rc_t
wsb_before_entry(wsb_before_t *b, wsb_entry_t *entry)
{
    wsb_rc_t      rc;
    wsb_event_t   ev;
    wsb_batch_t  *batch;

    batch = b->batch;

    entry->at = batch->ready_len;
    entry->size = entry->len;

    rc = entry->asks ? wsb_before_complete(b, entry, &ev) : WSB_NOTFOUND;

    if (rc == WSB_NOMEM || wsb_before_room(batch, entry->size) != WSB_OK) {
        return WSB_NOMEM;
    }

    if (rc == WSB_OK) {
        wsb_event_encode(&ev, batch->ready + entry->at);

    } else {
        memcpy(batch->ready + entry->at, batch->records + entry->offset,
               entry->len);
    }

    batch->ready_len += entry->size;

    return WSB_OK;
}


/* WSB_OK: ev is the event with its row before, which is known, and fits. */

static wsb_rc_t
wsb_before_complete(wsb_before_t *b, wsb_entry_t *entry, wsb_event_t *ev)
{
    size_t     len;
    wsb_rc_t   rc;
    wsb_str_t  row;

    rc = wsb_event_decode(b->batch->records + entry->offset, entry->len, ev);

    if (rc != WSB_OK) {
        return rc;
    }

    rc = wsb_before_row(b, entry, ev, &row);

    if (rc != WSB_OK) {
        return rc;
    }

    if (entry->before == 0 && entry->unsure) {

        /* of a part of a row that is not sure, nothing can be said */

        if (ev->flags & WSB_EVENT_PART) {
            return WSB_NOTFOUND;
        }

        ev->flags |= WSB_EVENT_UNSURE;

    } else {
        rc = wsb_before_merge(b, ev, row);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    ev->field[WSB_OLD] = row;

    len = wsb_event_size(ev);

    if (len == 0 || len > wsb_log_max_record(&b->zone->log)
        || len > entry->len + b->left)
    {
        return WSB_NOTFOUND;
    }

    b->left -= len > entry->len ? len - entry->len : 0;
    entry->size = len;

    return WSB_OK;
}


/*
 * The whole row that the entity had.  WSB_NOTFOUND: it had none, or it is not
 * known.  The bytes are in the copy: its record may be evicted, and those of
 * this batch may move.
 */

static wsb_rc_t
wsb_before_row(wsb_before_t *b, const wsb_entry_t *entry,
    const wsb_event_t *ev, wsb_str_t *row)
{
    uint8_t            *p;
    wsb_rc_t            rc;
    wsb_event_t         last;
    wsb_cursor_t        at;
    const wsb_entry_t  *before;

    if (entry->before != 0) {
        before = &b->batch->entries[entry->before - 1];

        if (before->size > b->copy.size) {
            p = wsb_realloc(b->copy.data, before->size);
            if (p == NULL) {
                return WSB_NOMEM;
            }

            b->copy.data = p;
            b->copy.size = before->size;
        }

        memcpy(b->copy.data, b->batch->ready + before->at, before->size);
        b->copy.len = before->size;

    } else {
        at.seq = entry->hint[0];
        at.pos = entry->hint[1];

        if (at.seq == 0) {
            return WSB_NOTFOUND;
        }

        rc = wsb_log_read(&b->zone->log, &at, &b->copy);

        if (rc != WSB_OK) {
            return rc == WSB_NOMEM ? WSB_NOMEM : WSB_NOTFOUND;
        }
    }

    if (wsb_event_decode(b->copy.data, b->copy.len, &last) != WSB_OK
        || !wsb_batch_row(&last)
        || !wsb_before_entity(&last, ev))
    {
        return WSB_NOTFOUND;
    }

    *row = last.field[WSB_DATA];

    return WSB_OK;
}


/* The event's data become the whole row, if they are a part of it. */

static wsb_rc_t
wsb_before_merge(wsb_before_t *b, wsb_event_t *ev, wsb_str_t row)
{
    wsb_rc_t    rc;
    wsb_json_t  whole, patch;

    if (!(ev->flags & WSB_EVENT_PART)) {
        return WSB_OK;
    }

    whole.type = WSB_JSON_OBJECT;
    whole.text = row;
    patch.type = WSB_JSON_OBJECT;
    patch.text = ev->field[WSB_DATA];

    b->merged.len = 0;

    rc = wsb_merge(&b->merged, &whole, &patch);

    if (rc == WSB_OK) {
        ev->field[WSB_DATA].data = b->merged.data;
        ev->field[WSB_DATA].len = b->merged.len;
        ev->flags &= ~WSB_EVENT_PART;
    }

    return rc;
}


static wsb_rc_t
wsb_before_room(wsb_batch_t *batch, size_t len)
{
    void    *p;
    size_t   size;

    if (len <= batch->ready_size - batch->ready_len) {
        return WSB_OK;
    }

    size = batch->ready_len + len;

    if (batch->nentries > 1) {
        size = size > batch->len ? 2 * size : 2 * batch->len;
    }

    p = wsb_realloc(batch->ready, size);
    if (p == NULL) {
        return WSB_NOMEM;
    }

    batch->ready = p;
    batch->ready_size = size;

    return WSB_OK;
}


/* Hints may be those of another entity. */

static int
wsb_before_entity(const wsb_event_t *a, const wsb_event_t *b)
{
    unsigned   i;
    uint8_t    abuf[WSB_UUID_LEN], bbuf[WSB_UUID_LEN];
    wsb_str_t  x, y;

    static const wsb_field_t  fields[] = {
        WSB_KIND, WSB_TENANT, WSB_SCHEMA, WSB_ENTITY_TYPE, WSB_ENTITY_ID
    };

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        x = a->field[fields[i]];
        y = b->field[fields[i]];

        if (fields[i] == WSB_ENTITY_ID) {
            x = wsb_uuid_norm(x, abuf);
            y = wsb_uuid_norm(y, bbuf);
        }

        if (x.len != y.len
            || (x.len != 0 && memcmp(x.data, y.data, x.len) != 0))
        {
            return 0;
        }
    }

    return 1;
}


int
wsb_before_same_locked(const wsb_zone_t *zone, const wsb_batch_t *batch)
{
    size_t              i;
    wsb_cursor_t        at;
    const wsb_entry_t  *entry;

    for (i = 0; i < batch->nentries; i++) {
        entry = &batch->entries[i];

        if (!entry->asks) {
            continue;
        }

        at = wsb_last_find(&zone->last, &entry->key);

        if (at.seq != entry->hint[0]
            || (at.seq != 0
                && (at.pos != entry->hint[1]
                    || entry->unsure != wsb_last_unsure(&zone->last,
                                                        entry->kin, at.seq))))
        {
            return 0;
        }
    }

    return 1;
}


void
wsb_before_note_locked(wsb_zone_t *zone, const wsb_batch_t *batch,
    uint64_t first, uint64_t pos)
{
    size_t              i;
    const wsb_entry_t  *entry;

    for (i = 0; i < batch->nentries; i++) {
        entry = &batch->entries[i];

        if (entry->resync) {
            wsb_last_resync_locked(&zone->last,
                                   entry->every ? WSB_KIN : entry->kin,
                                   first + i);

        } else if (entry->entity) {
            wsb_last_note_locked(&zone->last, &entry->key, first + i,
                                 pos + (batch->ready ? entry->at
                                                     : entry->offset));
        }
    }
}
