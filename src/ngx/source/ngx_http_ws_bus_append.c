/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The one way into the log, for all sources.
 */

#include "ngx_http_ws_bus_source.h"

#include "../../log/wsb_before.h"


/* How often the rows before a batch are looked for without the mutex. */

#define NGX_HTTP_WS_BUS_APPEND_TRIES  3


static wsb_rc_t ngx_http_ws_bus_append(ngx_http_ws_bus_zone_t *bus,
    wsb_batch_t *batch, const wsb_idem_request_t *req,
    const wsb_mark_request_t *mark, wsb_appended_t *appended);
static wsb_rc_t ngx_http_ws_bus_append_locked(ngx_http_ws_bus_zone_t *bus,
    wsb_batch_t *batch, const wsb_idem_request_t *req,
    const wsb_mark_request_t *mark, wsb_appended_t *appended);


/* How many slots an append concerns: for the debug log. */

static ngx_inline ngx_uint_t
ngx_http_ws_bus_append_slots(const wsb_appended_t *appended)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < WSB_SLOTS / 64; i++) {
        n += (ngx_uint_t) __builtin_popcountll(appended->slots[i]);
    }

    return n;
}


void
ngx_http_ws_bus_append_submit(ngx_http_ws_bus_zone_t *bus, wsb_batch_t *batch,
    const wsb_idem_request_t *req, const ngx_http_ws_bus_mark_t *mark,
    ngx_http_ws_bus_done_t *done)
{
    wsb_rc_t             rc;
    wsb_str_t            source;
    wsb_appended_t       appended;
    wsb_mark_request_t   request;

    if (mark == NULL) {
        rc = ngx_http_ws_bus_append(bus, batch, req, NULL, &appended);

    } else {
        source.data = mark->source.data;
        source.len = mark->source.len;

        request.id = wsb_mark_id(bus->zone->key, source, mark->partition);
        request.offset = mark->offset;
        request.end = mark->end;
        request.lease = mark->lease;
        request.pid = (uint32_t) ngx_pid;
        request.term = mark->term;

        rc = ngx_http_ws_bus_append(bus, batch, NULL, &request, &appended);
    }

    done->handler(done, rc, &appended);
}


static wsb_rc_t
ngx_http_ws_bus_append(ngx_http_ws_bus_zone_t *bus, wsb_batch_t *batch,
    const wsb_idem_request_t *req, const wsb_mark_request_t *mark,
    wsb_appended_t *appended)
{
    wsb_rc_t    rc;
    ngx_uint_t  n;

    for (n = 0; n < NGX_HTTP_WS_BUS_APPEND_TRIES; n++) {

        rc = wsb_before_find(bus->zone, batch);

        if (rc != WSB_OK) {
            break;
        }

        ngx_shmtx_lock(&bus->shpool->mutex);
        rc = ngx_http_ws_bus_append_locked(bus, batch, req, mark, appended);
        ngx_shmtx_unlock(&bus->shpool->mutex);

        if (rc != WSB_AGAIN) {
            break;
        }
    }

    if (rc == WSB_AGAIN) {

        /* others write the same entities all the time: not any more */

        ngx_shmtx_lock(&bus->shpool->mutex);

        wsb_last_settle_locked(&bus->zone->last,
                               wsb_log_head(&bus->zone->log));

        rc = wsb_before_find(bus->zone, batch);

        if (rc == WSB_OK) {
            rc = ngx_http_ws_bus_append_locked(bus, batch, req, mark,
                                               appended);
        }

        ngx_shmtx_unlock(&bus->shpool->mutex);
    }

    if (rc != WSB_OK) {
        ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "ws bus append zone:\"%V\" events:%uz not appended: %d",
                       &bus->name, batch->nentries, rc);
        return rc;
    }

    ngx_log_debug5(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "ws bus append zone:\"%V\" seq:%uL-%uL subscribers:%uL "
                   "slots:%ui", &bus->name, appended->first, appended->last,
                   appended->subscribers,
                   ngx_http_ws_bus_append_slots(appended));

    ngx_http_ws_bus_wake(bus, appended);

    return WSB_OK;
}


static wsb_rc_t
ngx_http_ws_bus_append_locked(ngx_http_ws_bus_zone_t *bus,
    wsb_batch_t *batch, const wsb_idem_request_t *req,
    const wsb_mark_request_t *mark, wsb_appended_t *appended)
{
    uint64_t     msec;
    ngx_time_t  *tp;

    tp = ngx_timeofday();
    msec = (uint64_t) tp->sec * 1000 + tp->msec;

    if (mark != NULL) {
        return wsb_append_marked_locked(bus->zone, batch, msec, mark,
                                        appended);
    }

    return wsb_append_locked(bus->zone, batch, msec, req, appended);
}


ngx_uint_t
ngx_http_ws_bus_append_busy(ngx_http_ws_bus_zone_t *bus)
{
    return ngx_http_ws_bus_fanout_busy(bus);
}
