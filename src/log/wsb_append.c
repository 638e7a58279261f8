/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_append.h"
#include "wsb_before.h"
#include "wsb_idem.h"


static void wsb_append_settle_locked(wsb_zone_t *zone, wsb_appended_t *out);
static wsb_rc_t wsb_append_batch_locked(wsb_zone_t *zone, wsb_batch_t *batch,
    uint64_t msec, const wsb_idem_request_t *req,
    const wsb_mark_request_t *mark, wsb_appended_t *out);
static void wsb_append_stamp(const wsb_batch_t *batch, uint8_t *records,
    uint64_t first, uint64_t msec);
static wsb_rc_t wsb_append_repeat_locked(wsb_zone_t *zone,
    const wsb_idem_request_t *req, wsb_appended_t *out);


wsb_rc_t
wsb_append_locked(wsb_zone_t *zone, wsb_batch_t *batch, uint64_t msec,
    const wsb_idem_request_t *req, wsb_appended_t *out)
{
    wsb_rc_t  rc;

    wsb_append_settle_locked(zone, out);

    if (req != NULL) {
        rc = wsb_append_repeat_locked(zone, req, out);
        if (rc != WSB_NOTFOUND) {
            return rc;
        }
    }

    return wsb_append_batch_locked(zone, batch, msec, req, NULL, out);
}


wsb_rc_t
wsb_append_marked_locked(wsb_zone_t *zone, wsb_batch_t *batch, uint64_t msec,
    const wsb_mark_request_t *mark, wsb_appended_t *out)
{
    wsb_rc_t  rc;

    wsb_append_settle_locked(zone, out);

    rc = wsb_mark_look_locked(&zone->marks, mark);

    return rc == WSB_OK ? wsb_append_batch_locked(zone, batch, msec, NULL,
                                                  mark, out)
                        : rc;
}


/* What a writer that died has left: the log says what became of it. */

static void
wsb_append_settle_locked(wsb_zone_t *zone, wsb_appended_t *out)
{
    uint64_t  head, torn;

    memset(out, 0, sizeof(wsb_appended_t));

    torn = wsb_log_torn_locked(&zone->log);

    if (torn != 0) {

        /* a worker may have taken meanwhile, and found nothing there */

        wsb_interest_notify_all_locked(zone, torn, out);
        wsb_log_repair_locked(&zone->log);

        memset(out, 0, sizeof(wsb_appended_t));
    }

    head = wsb_log_head(&zone->log);

    wsb_idem_settle_locked(wsb_zone_idem(zone), head);
    wsb_last_settle_locked(&zone->last, head);
    wsb_mark_settle_locked(&zone->marks, head);
}


static wsb_rc_t
wsb_append_batch_locked(wsb_zone_t *zone, wsb_batch_t *batch, uint64_t msec,
    const wsb_idem_request_t *req, const wsb_mark_request_t *mark,
    wsb_appended_t *out)
{
    size_t         i, len;
    uint8_t       *records;
    uint64_t       pos, seq;
    wsb_entry_t   *entry;

    seq = wsb_log_head(&zone->log);

    if (batch->len > wsb_log_max_batch(&zone->log)) {
        return WSB_ERROR;
    }

    if (!wsb_before_same_locked(zone, batch)) {
        return WSB_AGAIN;
    }

    records = batch->ready ? batch->ready : batch->records;
    len = batch->ready ? batch->ready_len : batch->len;

    out->first = seq + 1;
    out->last = seq + batch->nentries;

    wsb_append_stamp(batch, records, seq + 1, msec);

    pos = wsb_log_prepare_locked(&zone->log, len);
    wsb_log_write_locked(&zone->log, pos, records, len);
    wsb_before_note_locked(zone, batch, out->first, pos);

    for (i = 0; i < batch->nentries; i++) {
        entry = &batch->entries[i];

        wsb_version_note_locked(&zone->versions, entry, seq + 1 + i);

        if (entry->resync) {
            wsb_interest_notify_all_locked(zone, seq + 1 + i, out);
            zone->resyncs++;

        } else {
            wsb_interest_notify_locked(zone, &entry->parts, seq + 1 + i, out);
        }
    }

    if (req != NULL) {
        wsb_idem_prepare_locked(wsb_zone_idem(zone), req, out->first,
                                (uint32_t) batch->nentries,
                                (uint32_t) out->subscribers);
    }

    if (mark != NULL) {
        wsb_mark_prepare_locked(&zone->marks, mark, out->last);
    }

    /*
     * The release store also keeps the compiler from moving a store to
     * pending_from behind it: a death in between must leave a needless wake,
     * never a missing one.
     */

    wsb_log_commit_locked(&zone->log, out->last, pos + len);

    wsb_last_done_locked(&zone->last);
    wsb_idem_settle_locked(wsb_zone_idem(zone), out->last);
    wsb_mark_settle_locked(&zone->marks, out->last);

    return WSB_OK;
}


void
wsb_append_skip_locked(wsb_zone_t *zone, uint64_t n, wsb_appended_t *out)
{
    wsb_append_settle_locked(zone, out);

    out->first = wsb_log_head(&zone->log) + 1;
    out->last = out->first + n - 1;

    wsb_interest_notify_all_locked(zone, out->first, out);

    /* nobody knows what it would have said */

    wsb_last_resync_locked(&zone->last, WSB_KIN, out->last);

    /* what the words above settled by the head is settled: it may move on */

    wsb_log_skip_locked(&zone->log, n);
}


void
wsb_append_resync_locked(wsb_zone_t *zone, uint64_t msec, wsb_appended_t *out)
{
    size_t       len;
    uint64_t     pos;
    wsb_event_t  ev;

    _Alignas(8) uint8_t  record[64];

    static const wsb_str_t  entity = wsb_string("entity");

    wsb_append_settle_locked(zone, out);

    memset(&ev, 0, sizeof(wsb_event_t));

    ev.seq = wsb_log_head(&zone->log) + 1;
    ev.msec = msec;
    ev.flags = WSB_EVENT_RESYNC | WSB_EVENT_EVERY;
    ev.field[WSB_KIND] = entity;

    len = wsb_event_size(&ev);
    wsb_event_encode(&ev, record);

    out->first = ev.seq;
    out->last = ev.seq;

    pos = wsb_log_prepare_locked(&zone->log, len);
    wsb_log_write_locked(&zone->log, pos, record, len);

    wsb_last_resync_locked(&zone->last, WSB_KIN, ev.seq);
    wsb_interest_notify_all_locked(zone, ev.seq, out);

    wsb_log_commit_locked(&zone->log, ev.seq, pos + len);

    zone->resyncs++;
}


/* What a record has only now. */

static void
wsb_append_stamp(const wsb_batch_t *batch, uint8_t *records, uint64_t first,
    uint64_t msec)
{
    size_t              i;
    wsb_record_t       *rec;
    const wsb_entry_t  *entry;

    for (i = 0; i < batch->nentries; i++) {
        entry = &batch->entries[i];

        rec = (wsb_record_t *) (records + (batch->ready ? entry->at
                                                        : entry->offset));
        rec->seq = first + i;
        rec->msec = msec;
    }
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
