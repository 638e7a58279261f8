/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * From the log to the connections of this worker.
 *
 * Two passes.  Matching puts references on the receivers' queues and is never
 * cut inside a record.  Flushing writes each dirty connection once, and is
 * cut after a few milliseconds, to go on in the next turn.  Connections that
 * are behind come last, each as a cursor of its own over the same records.
 */

#include "ngx_http_ws_bus_client.h"


#define NGX_HTTP_WS_BUS_AHEAD  4          /* subscriptions fetched ahead */


static void ngx_http_ws_bus_fanout_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_fanout_work(ngx_http_ws_bus_fan_t *fan);
static ngx_uint_t ngx_http_ws_bus_fanout_lags(ngx_http_ws_bus_fan_t *fan);
static ngx_int_t ngx_http_ws_bus_fanout_match(ngx_http_ws_bus_fan_t *fan,
    uint64_t until);
static void ngx_http_ws_bus_fanout_match_node(void *data, wsb_node_t *node,
    wsb_change_t change);
static void ngx_http_ws_bus_fanout_overtaken(ngx_http_ws_bus_fan_t *fan);
static ngx_int_t ngx_http_ws_bus_fanout_flush(ngx_http_ws_bus_fan_t *fan,
    uint64_t until);


ngx_int_t
ngx_http_ws_bus_fanout_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_http_ws_bus_fan_t         *fan;
    ngx_http_ws_bus_zone_t       **bus;
    ngx_http_ws_bus_main_conf_t   *wmcf;

    wmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ws_bus_module);

    if (wmcf == NULL) {
        return NGX_OK;
    }

    bus = wmcf->zones.elts;

    for (i = 0; i < wmcf->zones.nelts; i++) {

        fan = ngx_pcalloc(cycle->pool, sizeof(ngx_http_ws_bus_fan_t));
        if (fan == NULL) {
            return NGX_ERROR;
        }

        ngx_queue_init(&fan->clients);
        ngx_queue_init(&fan->dirty);
        ngx_queue_init(&fan->behind);
        fan->leaving_last = &fan->leaving;
        ngx_queue_init(&fan->records);
        ngx_queue_init(&fan->spare);

        fan->index = wsb_index_create(bus[i]->zone->key);
        if (fan->index == NULL) {
            return NGX_ERROR;
        }

        fan->worker = bus[i]->worker;
        fan->worker->fan = fan;
        fan->worker->event.handler = ngx_http_ws_bus_fanout_handler;

        fan->leave_event.handler = ngx_http_ws_bus_subscribe_leave_handler;
        fan->leave_event.log = cycle->log;
        fan->leave_event.data = fan;
    }

    return NGX_OK;
}


static void
ngx_http_ws_bus_fanout_handler(ngx_event_t *ev)
{
    ngx_http_ws_bus_worker_t  *w;

    w = ev->data;

    ngx_http_ws_bus_turn();
    ngx_http_ws_bus_fanout_work(w->fan);
}


static void
ngx_http_ws_bus_fanout_work(ngx_http_ws_bus_fan_t *fan)
{
    uint64_t   now, until;
    ngx_int_t  rc;

    if (fan->worker->slot == -1) {
        return;
    }

    /* each has a share of the turn of its own, so that none starves */

    ngx_http_ws_bus_worker_take(fan->worker);

    now = ngx_http_ws_bus_turn_now();
    until = now + NGX_HTTP_WS_BUS_MATCH_TIME;

    rc = ngx_http_ws_bus_fanout_match(fan, until);

    /* one record for very many takes longer, and then less is written */

    until += NGX_HTTP_WS_BUS_FLUSH_TIME;
    now = ngx_http_ws_bus_turn_now() + NGX_HTTP_WS_BUS_FLUSH_TIME / 2;

    if (ngx_http_ws_bus_fanout_flush(fan, ngx_max(now, until)) == NGX_AGAIN) {
        rc = NGX_AGAIN;
    }

    fan->late = (rc == NGX_AGAIN);

    now = ngx_http_ws_bus_turn_now();

    if (ngx_http_ws_bus_catch_serve(fan, now + NGX_HTTP_WS_BUS_BEHIND_TIME)
        == NGX_AGAIN)
    {
        rc = NGX_AGAIN;
    }

    wsb_zone_slot(fan->worker->zone, (unsigned) fan->worker->slot)->cursor =
                                            fan->worker->hand.next.seq - 1;

    /* it sleeps only with nothing in hand: until then it need not be woken */

    if (wsb_hand_empty(&fan->worker->hand)
        && wsb_slot_arm(fan->worker->zone, (unsigned) fan->worker->slot))
    {
        rc = NGX_AGAIN;
    }

    if (rc == NGX_AGAIN) {
        ngx_post_event(&fan->worker->event, &ngx_posted_next_events);
    }

    if (!ngx_http_ws_bus_fanout_lags(fan) && fan->overflowed == 0) {
        ngx_http_ws_bus_worker_resume(fan->worker);
    }
}


/*
 * Publishers of this worker wait while its last turn was too short for what
 * there was to do, if more than a few events are on their way: up to then one
 * more costs little, since it is written with them.  Or while connections
 * overflowed that could have been written.  And, of other workers, only for
 * one that lags far behind.
 */

ngx_uint_t
ngx_http_ws_bus_fanout_busy(ngx_http_ws_bus_zone_t *bus)
{
    unsigned                i;
    uint64_t                head;
    wsb_slot_t             *slot;
    ngx_http_ws_bus_fan_t  *fan;

    if (bus->worker == NULL || bus->worker->slot == -1) {
        return 0;
    }

    fan = bus->worker->fan;

    if (ngx_http_ws_bus_fanout_lags(fan) || fan->overflowed != 0) {
        return 1;
    }

    head = wsb_log_head(&bus->zone->log);

    for (i = wsb_zone_next(bus->zone, 0);
         i < WSB_SLOTS;
         i = wsb_zone_next(bus->zone, i + 1))
    {
        slot = wsb_zone_slot(bus->zone, i);

        if (slot->pid != 0 && wsb_slot_pending(bus->zone, i)
            && head > slot->cursor + NGX_HTTP_WS_BUS_PARK_LAG)
        {
            return 1;
        }
    }

    return 0;
}


/* The connection that is dirty for the longest time has the longest queue. */

static ngx_uint_t
ngx_http_ws_bus_fanout_lags(ngx_http_ws_bus_fan_t *fan)
{
    ngx_queue_t               *q;
    ngx_http_ws_bus_client_t  *wc;

    if (!fan->late || !wsb_hand_empty(&fan->worker->hand)
        || ngx_queue_empty(&fan->dirty))
    {
        return fan->late;
    }

    q = ngx_queue_head(&fan->dirty);
    wc = ngx_queue_data(q, ngx_http_ws_bus_client_t, link);

    return wc->nitems >= NGX_HTTP_WS_BUS_PARK_EVENTS;
}


void
ngx_http_ws_bus_fanout_not_overflowed(ngx_http_ws_bus_client_t *wc)
{
    if (wc->overflowed) {
        wc->overflowed = 0;
        wc->fan->overflowed--;
    }
}


/* NGX_AGAIN: there is more in hand. */

static ngx_int_t
ngx_http_ws_bus_fanout_match(ngx_http_ws_bus_fan_t *fan, uint64_t until)
{
    wsb_rc_t                   rc;
    wsb_cursor_t               cursor;
    ngx_http_ws_bus_record_t  *rec;

    while (!wsb_hand_empty(&fan->worker->hand)) {

        cursor = fan->worker->hand.next;

        rc = ngx_http_ws_bus_record_fetch(fan, &cursor, &rec);

        if (rc == WSB_GAP || rc == WSB_ERROR) {
            ngx_http_ws_bus_fanout_overtaken(fan);
            continue;
        }

        if (rc != WSB_OK) {
            /* no memory now: it stays in hand, the tick comes back to it */
            return NGX_OK;
        }

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "ws_bus match: zone:%V seq:%uL",
                       &fan->worker->bus->name, rec->seq);

        if (rec->event.flags & WSB_EVENT_RESYNC) {
            ngx_http_ws_bus_catch_resync(fan, rec);

        } else {
            rc = wsb_index_match(fan->index, &rec->parts, &rec->event,
                                 ngx_http_ws_bus_fanout_match_node, rec);
        }

        if (rc == WSB_OK && fan->concern != NULL) {
            fan->concern(fan, rec);
        }

        ngx_http_ws_bus_record_release(fan, rec);

        if (rc != WSB_OK) {
            return NGX_OK;
        }

        fan->worker->hand.next = cursor;

        if (ngx_http_ws_bus_turn_now() >= until) {
            return wsb_hand_empty(&fan->worker->hand) ? NGX_OK : NGX_AGAIN;
        }
    }

    return NGX_OK;
}


static void
ngx_http_ws_bus_fanout_match_node(void *data, wsb_node_t *node,
    wsb_change_t change)
{
    ngx_http_ws_bus_record_t  *rec = data;

    uint32_t                   i, n;
    ngx_int_t                  rc;
    ngx_uint_t                 vague;
    wsb_sub_t                **subs;
    wsb_change_t               told;
    ngx_http_ws_bus_client_t  *wc;

    subs = wsb_node_subs(node);
    n = node->nsubs;
    vague = ngx_http_ws_bus_live_vague(rec, change);

    for (i = 0; i < n; i++) {

        if (i + NGX_HTTP_WS_BUS_AHEAD < n) {
            ngx_http_ws_bus_client_prefetch(
                                      subs[i + NGX_HTTP_WS_BUS_AHEAD]->owner);
        }

        if (i + 2 * NGX_HTTP_WS_BUS_AHEAD < n) {
            __builtin_prefetch(subs[i + 2 * NGX_HTTP_WS_BUS_AHEAD]);
        }

        wc = subs[i]->owner;

        if (wc->behind || rec->seq < subs[i]->from
            || (wc->mutes
                && ngx_http_ws_bus_topics_muted(wc, rec, subs[i]->ordinal)))
        {
            continue;
        }

        told = change;

        if (vague && !ngx_http_ws_bus_live_takes(wc, rec, subs[i], &told)) {
            continue;
        }

        rc = ngx_http_ws_bus_out_push(wc, rec, subs[i], told);

        if (rc != NGX_OK) {
            ngx_http_ws_bus_out_overflow(wc, rec);
        }

        ngx_http_ws_bus_out_mark_dirty(wc);
    }
}


/*
 * The ring has overtaken the worker itself: each connection that it pushed to
 * goes on as a cursor where the worker was, and tells its own gap.
 */

static void
ngx_http_ws_bus_fanout_overtaken(ngx_http_ws_bus_fan_t *fan)
{
    uint64_t                   oldest;
    ngx_queue_t               *q;
    ngx_http_ws_bus_client_t  *wc;

    for (q = ngx_queue_head(&fan->clients);
         q != ngx_queue_sentinel(&fan->clients);
         q = ngx_queue_next(q))
    {
        wc = ngx_queue_data(q, ngx_http_ws_bus_client_t, clients);

        if (wc->behind || wc->closing || wc->nsubs == 0) {
            continue;
        }

        wc->behind = 1;
        wc->cursor = fan->worker->hand.next;
        wc->ordinal = 0;

        if (!wc->blocked) {
            ngx_http_ws_bus_out_mark_dirty(wc);
        }
    }

    oldest = wsb_log_oldest(&fan->worker->zone->log);

    /* a record that cannot be read counts as evicted */

    fan->worker->hand.next.seq = oldest > fan->worker->hand.next.seq ? oldest
                                              : fan->worker->hand.next.seq + 1;
    fan->worker->hand.next.pos = WSB_LOG_POS_UNKNOWN;
}


static ngx_int_t
ngx_http_ws_bus_fanout_flush(ngx_http_ws_bus_fan_t *fan, uint64_t until)
{
    ngx_uint_t                 n;
    ngx_queue_t               *q;
    ngx_http_ws_bus_client_t  *wc;

    n = 0;

    while (!ngx_queue_empty(&fan->dirty)) {

        if (n++ % 16 == 15 && ngx_http_ws_bus_turn_now() >= until) {
            return NGX_AGAIN;
        }

        q = ngx_queue_head(&fan->dirty);
        ngx_queue_remove(q);

        wc = ngx_queue_data(q, ngx_http_ws_bus_client_t, link);
        wc->dirty = 0;

        /* the next one comes while this one is written */

        q = ngx_queue_head(&fan->dirty);
        ngx_http_ws_bus_client_prefetch(ngx_queue_data(q,
                                              ngx_http_ws_bus_client_t, link));

        if (ngx_http_ws_bus_out_flush(wc) == NGX_OK && wc->behind) {
            ngx_http_ws_bus_catch_up(wc);
        }
    }

    return NGX_OK;
}
