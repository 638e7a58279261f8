/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_batch.h"


static void wsb_batch_entity(wsb_entry_t *entry, const wsb_event_t *ev,
    const uint8_t key[16]);


wsb_rc_t
wsb_batch_add(wsb_batch_t *batch, const wsb_event_t *ev,
    const wsb_batch_conf_t *conf)
{
    void         *p;
    size_t        len, size;
    wsb_entry_t  *entry;

    len = wsb_event_size(ev);

    if (len == 0
        || len > conf->max_record
        || batch->len + len > conf->max_batch
        || batch->len + len > UINT32_MAX)
    {
        return WSB_ERROR;
    }

    if (len > batch->size - batch->len) {
        size = 2 * batch->size > batch->len + len ? 2 * batch->size
                                                  : batch->len + len;

        p = wsb_realloc(batch->records, size);
        if (p == NULL) {
            return WSB_NOMEM;
        }

        batch->records = p;
        batch->size = size;
    }

    if (batch->nentries == batch->nalloc) {
        size = batch->nalloc == 0 ? 1 : 2 * batch->nalloc;

        p = wsb_realloc(batch->entries, size * sizeof(wsb_entry_t));
        if (p == NULL) {
            return WSB_NOMEM;
        }

        batch->entries = p;
        batch->nalloc = size;
    }

    entry = &batch->entries[batch->nentries++];

    memset(entry, 0, sizeof(wsb_entry_t));

    entry->offset = batch->len;
    entry->len = len;
    wsb_key_parts(conf->key, ev, &entry->parts);
    wsb_batch_entity(entry, ev, conf->key);

    wsb_event_encode(ev, batch->records + batch->len);
    batch->len += len;

    return WSB_OK;
}


void
wsb_batch_done(wsb_batch_t *batch)
{
    wsb_free(batch->records);
    wsb_free(batch->ready);
    wsb_free(batch->entries);
    wsb_free(batch->ignored);
    memset(batch, 0, sizeof(wsb_batch_t));
}


/* Which entity it is about, and whether the row before it is of use. */

static void
wsb_batch_entity(wsb_entry_t *entry, const wsb_event_t *ev,
    const uint8_t key[16])
{
    wsb_key_t         schema, kin, one;
    const wsb_str_t  *field;

    static const unsigned  mask = 1u << WSB_ENTITY_TYPE | 1u << WSB_ENTITY_ID;

    field = ev->field;

    kin = wsb_key(&entry->parts, 1u << WSB_ENTITY_TYPE);
    entry->kin = kin.h[1] % WSB_KIN;
    entry->type = kin.h[0];

    if ((entry->parts.present & mask) == mask) {
        one = wsb_key(&entry->parts, mask);
        entry->one = one.h[0];
    }

    if (ev->flags & WSB_EVENT_RESYNC) {
        entry->resync = 1;
        entry->every = (ev->flags & WSB_EVENT_EVERY) != 0
                       || !(entry->parts.present & 1u << WSB_ENTITY_TYPE);
        return;
    }

    if (entry->one == 0
        || field[WSB_KIND].data == NULL
        || !wsb_str_eq(&field[WSB_KIND], "entity"))
    {
        return;
    }

    entry->entity = 1;
    entry->key = one;

    if (field[WSB_SCHEMA].len != 0) {
        schema = wsb_hash_memo(key, WSB_DOMAIN_FIELD + WSB_SCHEMA,
                               field[WSB_SCHEMA]);

        entry->key.h[0] ^= schema.h[0];
        entry->key.h[1] ^= schema.h[1];
    }

    if (field[WSB_OLD].data != NULL || (ev->flags & WSB_EVENT_ALONE)) {
        return;
    }

    entry->asks = (ev->flags & WSB_EVENT_PATCH) || wsb_batch_row(ev)
                  || (field[WSB_ACTION].data != NULL
                      && wsb_str_eq(&field[WSB_ACTION], "deleted"));
}


/* What other actions carry is the publisher's own affair. */

int
wsb_batch_row(const wsb_event_t *ev)
{
    wsb_str_t  action, data;

    action = ev->field[WSB_ACTION];
    data = ev->field[WSB_DATA];

    return !(ev->flags & WSB_EVENT_PART)
           && data.len != 0 && data.data[0] == '{'
           && action.data != NULL
           && (wsb_str_eq(&action, "created")
               || wsb_str_eq(&action, "updated"));
}
