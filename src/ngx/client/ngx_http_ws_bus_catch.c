/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Clients that are behind: each is a cursor of its own over the records of
 * the log, until it has reached its worker and is pushed to again.
 */

#include "ngx_http_ws_bus_client.h"


static ngx_int_t ngx_http_ws_bus_catch_one(ngx_http_ws_bus_client_t *wc);
static ngx_int_t ngx_http_ws_bus_catch_record(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_catch_gap(ngx_http_ws_bus_client_t *wc);
static ngx_int_t ngx_http_ws_bus_catch_unknown(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec, wsb_cursor_t cursor);
static ngx_uint_t ngx_http_ws_bus_catch_concerned(
    ngx_http_ws_bus_client_t *wc, ngx_http_ws_bus_record_t *rec,
    wsb_sub_t *sub);


void
ngx_http_ws_bus_catch_up(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_fan_t  *fan;

    if (wc->closing || wc->catching || wc->waits) {
        return;
    }

    fan = wc->fan;

    if (wc->dirty) {
        ngx_queue_remove(&wc->link);
        wc->dirty = 0;
    }

    wc->catching = 1;
    ngx_queue_insert_tail(&fan->behind, &wc->link);

    if (!fan->worker->event.posted) {
        ngx_post_event(&fan->worker->event, &ngx_posted_next_events);
    }
}


void
ngx_http_ws_bus_catch_wait(ngx_http_ws_bus_client_t *wc)
{
    if (wc->waits++ != 0 || wc->closing) {
        return;
    }

    ngx_http_ws_bus_out_fall_behind(wc);

    if (wc->catching) {
        ngx_queue_remove(&wc->link);
        wc->catching = 0;
    }
}


void
ngx_http_ws_bus_catch_go(ngx_http_ws_bus_client_t *wc)
{
    if (--wc->waits == 0 && !wc->closing && !wc->blocked) {
        ngx_http_ws_bus_catch_up(wc);
    }
}


/* Round robin: each gets a bounded piece of the turn. */

ngx_int_t
ngx_http_ws_bus_catch_serve(ngx_http_ws_bus_fan_t *fan, uint64_t until)
{
    ngx_int_t                  rc;
    ngx_queue_t               *q;
    ngx_http_ws_bus_client_t  *wc;

    while (!ngx_queue_empty(&fan->behind)) {

        if (ngx_http_ws_bus_turn_now() >= until) {
            return NGX_AGAIN;
        }

        q = ngx_queue_head(&fan->behind);
        ngx_queue_remove(q);

        wc = ngx_queue_data(q, ngx_http_ws_bus_client_t, link);
        wc->catching = 0;

        rc = ngx_http_ws_bus_catch_one(wc);

        if (rc == NGX_AGAIN) {
            wc->catching = 1;
            ngx_queue_insert_tail(&fan->behind, &wc->link);
        }
    }

    return NGX_OK;
}


/*
 * NGX_AGAIN: there is more for it to read, and it may write.  Otherwise it is
 * pushed to again, or blocked, or closed.
 */

static ngx_int_t
ngx_http_ws_bus_catch_one(ngx_http_ws_bus_client_t *wc)
{
    uint64_t                until, work, done;
    ngx_int_t               rc;
    ngx_uint_t              n;
    ngx_http_ws_bus_fan_t  *fan;

    fan = wc->fan;
    until = ngx_http_ws_bus_turn_now() + NGX_HTTP_WS_BUS_CATCH_TIME;
    work = wsb_index_work(fan->index);

    for (n = 0; n < NGX_HTTP_WS_BUS_CATCH_RECORDS; n++) {

        if (wc->closing || wc->blocked) {
            return NGX_OK;
        }

        if (wc->cursor.seq >= fan->worker->hand.next.seq || wc->nsubs == 0) {

            /* between two records it has reached the worker */

            ngx_log_debug2(NGX_LOG_DEBUG_HTTP, wc->connection->log, 0,
                           "ws_bus caught up: seq:%uL, worker at %uL",
                           wc->cursor.seq, fan->worker->hand.next.seq);

            ngx_http_ws_bus_fanout_not_overflowed(wc);
            wc->behind = 0;
            return ngx_http_ws_bus_out_flush(wc) == NGX_ERROR ? NGX_ERROR
                                                          : NGX_OK;
        }

        rc = ngx_http_ws_bus_catch_record(wc);

        if (rc == NGX_DECLINED || (rc == NGX_ABORT && wc->nitems > 0)) {

            /*
             * The queue is full; or a gap is due, which goes out before the
             * events and so waits until those of before it are written.
             */

            if (ngx_http_ws_bus_out_flush(wc) != NGX_OK) {
                return NGX_OK;
            }

        } else if (rc == NGX_ABORT) {
            ngx_http_ws_bus_catch_gap(wc);

        } else if (rc != NGX_OK) {
            return NGX_OK;
        }

        /* a record may cost a hundred others */

        done = wsb_index_work(fan->index);

        if (n % 16 == 15 || done - work >= NGX_HTTP_WS_BUS_CATCH_WORK) {
            work = done;

            if (ngx_http_ws_bus_turn_now() >= until) {
                break;
            }
        }
    }

    return ngx_http_ws_bus_out_flush(wc) == NGX_OK ? NGX_AGAIN : NGX_OK;
}


/*
 * The record at the cursor, against the connection's own subscriptions, in
 * the order of their ordinals.  NGX_DECLINED: the queue is full, the cursor
 * stands at the frame that found no place.  NGX_ABORT: the record is gone.
 */

static ngx_int_t
ngx_http_ws_bus_catch_record(ngx_http_ws_bus_client_t *wc)
{
    uint32_t                   i;
    wsb_rc_t                   rc;
    ngx_int_t                  pushed;
    wsb_sub_t                 *sub;
    wsb_index_t               *index;
    wsb_change_t               change;
    wsb_cursor_t               cursor;
    ngx_http_ws_bus_record_t  *rec;

    cursor = wc->cursor;
    index = wc->fan->index;

    rc = ngx_http_ws_bus_record_fetch(wc->fan, &cursor, &rec);

    if (rc == WSB_GAP || rc == WSB_ERROR) {
        return NGX_ABORT;
    }

    if (rc == WSB_OK && (rec->event.flags & WSB_EVENT_RESYNC)) {
        return ngx_http_ws_bus_catch_unknown(wc, rec, cursor);
    }

    if (rc == WSB_OK) {
        rc = wsb_index_begin(index, &rec->event);

        if (rc != WSB_OK) {
            ngx_http_ws_bus_record_release(wc->fan, rec);
        }
    }

    if (rc != WSB_OK) {
        ngx_http_ws_bus_client_close(wc);
        return NGX_ERROR;
    }

    for (i = 0; i < wc->nsubs; i++) {
        sub = wc->subs[i];

        if (sub->ordinal < wc->ordinal || rec->seq < sub->from
            || !wsb_index_node_matches(index, sub->node, &rec->parts, &change)
            || (wc->mutes
                && ngx_http_ws_bus_topics_muted(wc, rec, sub->ordinal)))
        {
            continue;
        }

        if (ngx_http_ws_bus_live_vague(rec, change)
            && !ngx_http_ws_bus_live_takes(wc, rec, sub, &change))
        {
            continue;
        }

        pushed = ngx_http_ws_bus_out_push(wc, rec, sub, change);

        if (pushed != NGX_OK) {
            wc->ordinal = sub->ordinal;
            ngx_http_ws_bus_record_release(wc->fan, rec);

            if (pushed == NGX_ERROR) {
                ngx_http_ws_bus_client_close(wc);
            }

            return pushed;
        }
    }

    wc->cursor = cursor;
    wc->ordinal = 0;

    ngx_http_ws_bus_record_release(wc->fan, rec);

    return NGX_OK;
}


/*
 * The ring has overtaken it, and nothing is queued: it goes on in the middle
 * of what is retained.
 */

static void
ngx_http_ws_bus_catch_gap(ngx_http_ws_bus_client_t *wc)
{
    uint64_t    to;
    wsb_log_t  *log;

    log = &wc->fan->worker->zone->log;

    /* the oldest first: the head that is read after it is no older */

    to = wsb_log_oldest(log);
    to = wsb_position_overtaken(ngx_http_ws_bus_position(wc), to,
                                wsb_log_head(log));

    ngx_log_error(NGX_LOG_INFO, wc->connection->log, 0,
                  "websocket client is too slow, events %uL to %uL are lost "
                  "to it", wc->cursor.seq, to);

    if (wc->conf->on_gap == NGX_HTTP_WS_BUS_GAP_CLOSE) {
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_LATER, NULL);
        return;
    }

    ngx_http_ws_bus_op_gaps(wc, to, "slow");

    wc->cursor.seq = to + 1;
    wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
    wc->ordinal = 0;
}


/*
 * The gap of a resync has its place between the events before it and those
 * after it: so whoever is told goes on as a cursor, at the resync.
 */

void
ngx_http_ws_bus_catch_resync(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec)
{
    uint32_t                   i;
    ngx_queue_t               *q;
    ngx_http_ws_bus_client_t  *wc;

    for (q = ngx_queue_head(&fan->clients);
         q != ngx_queue_sentinel(&fan->clients);
         q = ngx_queue_next(q))
    {
        wc = ngx_queue_data(q, ngx_http_ws_bus_client_t, clients);

        if (wc->behind || wc->closing) {
            continue;
        }

        for (i = 0; i < wc->nsubs; i++) {
            if (ngx_http_ws_bus_catch_concerned(wc, rec, wc->subs[i])) {
                break;
            }
        }

        if (i == wc->nsubs) {
            continue;
        }

        wc->behind = 1;
        wc->cursor.seq = rec->seq;
        wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
        wc->ordinal = 0;

        if (!wc->blocked) {
            ngx_http_ws_bus_out_mark_dirty(wc);
        }
    }
}


/* At the resync: NGX_DECLINED, what is queued must be written first. */

static ngx_int_t
ngx_http_ws_bus_catch_unknown(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec, wsb_cursor_t cursor)
{
    u_char      id[WSB_ID_LEN];
    uint32_t    i;
    wsb_str_t   from;
    wsb_sub_t  *sub;

    from.data = id;
    from.len = wsb_id(id, rec->epoch, rec->seq - 1);

    for (i = 0; i < wc->nsubs && !wc->closing; i++) {
        sub = wc->subs[i];

        if (sub->ordinal < wc->ordinal
            || !ngx_http_ws_bus_catch_concerned(wc, rec, sub))
        {
            continue;
        }

        if (wc->nitems > 0) {
            wc->ordinal = sub->ordinal;
            ngx_http_ws_bus_record_release(wc->fan, rec);
            return NGX_DECLINED;
        }

        if (wc->conf->on_gap == NGX_HTTP_WS_BUS_GAP_CLOSE) {
            ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_LATER, NULL);
            break;
        }

        ngx_http_ws_bus_op_gap(wc, sub->ordinal, from, rec->seq, "unknown");
    }

    wc->cursor = cursor;
    wc->ordinal = 0;

    ngx_http_ws_bus_record_release(wc->fan, rec);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_ws_bus_catch_concerned(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec, wsb_sub_t *sub)
{
    wsb_str_t  *tenant;

    tenant = &rec->event.field[WSB_TENANT];

    if (rec->seq < sub->from
        || (!(rec->event.flags & WSB_EVENT_EVERY)
            && (tenant->len != wc->tenant.len
                || (tenant->len != 0
                    && ngx_memcmp(tenant->data, wc->tenant.data, tenant->len)
                       != 0))))
    {
        return 0;
    }

    return wsb_index_node_concerns(sub->node, &rec->parts);
}
