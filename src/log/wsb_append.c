/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_append.h"
#include "wsb_idem.h"


static wsb_rc_t wsb_append_repeat_locked(wsb_zone_t *zone,
    const wsb_idem_request_t *req, wsb_appended_t *out);


wsb_rc_t
wsb_append_locked(wsb_zone_t *zone, wsb_batch_t *batch, uint64_t msec,
    const wsb_idem_request_t *req, wsb_appended_t *out)
{
    size_t         i;
    uint64_t       pos, seq;
    wsb_rc_t       rc;
    wsb_idem_t    *idem;
    wsb_entry_t   *entry;
    wsb_record_t  *rec;

    memset(out, 0, sizeof(wsb_appended_t));

    seq = wsb_log_head(&zone->log);
    idem = wsb_zone_idem(zone);

    wsb_idem_settle_locked(idem, seq);

    if (req != NULL) {
        rc = wsb_append_repeat_locked(zone, req, out);
        if (rc != WSB_NOTFOUND) {
            return rc;
        }
    }

    if (batch->len > wsb_log_max_batch(&zone->log)) {
        return WSB_ERROR;
    }

    out->first = seq + 1;
    out->last = seq + batch->nentries;

    for (i = 0; i < batch->nentries; i++) {
        rec = (wsb_record_t *) (batch->records + batch->entries[i].offset);
        rec->seq = seq + 1 + i;
        rec->msec = msec;
    }

    pos = wsb_log_prepare_locked(&zone->log, batch->len);
    wsb_log_write_locked(&zone->log, pos, batch->records, batch->len);

    for (i = 0; i < batch->nentries; i++) {
        entry = &batch->entries[i];
        wsb_interest_notify_locked(zone, &entry->parts, seq + 1 + i, out);
    }

    if (req != NULL) {
        wsb_idem_prepare_locked(idem, req, out->first,
                                (uint32_t) batch->nentries,
                                (uint32_t) out->subscribers);
    }

    /*
     * The release store also keeps the compiler from moving a store to
     * pending_from behind it: a death in between must leave a needless wake,
     * never a missing one.
     */

    wsb_log_commit_locked(&zone->log, out->last, pos + batch->len);

    wsb_idem_settle_locked(idem, out->last);

    return WSB_OK;
}


/* WSB_NOTFOUND: it is no repetition. */

static wsb_rc_t
wsb_append_repeat_locked(wsb_zone_t *zone, const wsb_idem_request_t *req,
    wsb_appended_t *out)
{
    wsb_rc_t      rc;
    wsb_idem_answer_t  answer;

    rc = wsb_idem_find_locked(wsb_zone_idem(zone), req, &answer);

    if (rc != WSB_OK) {
        return rc;
    }

    out->first = answer.first;
    out->last = answer.first + answer.count - 1;
    out->subscribers = answer.subscribers;

    return WSB_DONE;
}
