/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_batch.h"


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

    entry->offset = batch->len;
    entry->len = len;
    wsb_key_parts(conf->key, ev, &entry->parts);

    wsb_event_encode(ev, batch->records + batch->len);
    batch->len += len;

    return WSB_OK;
}


void
wsb_batch_done(wsb_batch_t *batch)
{
    wsb_free(batch->records);
    wsb_free(batch->entries);
    wsb_free(batch->ignored);
    memset(batch, 0, sizeof(wsb_batch_t));
}
