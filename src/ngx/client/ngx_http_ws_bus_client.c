/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A client's life: made at the handshake, opened when its transport is ready,
 * ended by the engine or by its transport, closed.
 */

#include "ngx_http_ws_bus_client.h"

#include <sys/random.h>


static void ngx_http_ws_bus_client_tell_closed(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_client_husk_handler(ngx_event_t *ev);


ngx_http_ws_bus_fan_t  ngx_http_ws_bus_no_fan;

static ngx_queue_t     ngx_http_ws_bus_husks;
static ngx_event_t     ngx_http_ws_bus_husk_event;


ngx_int_t
ngx_http_ws_bus_client_init_process(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        /* a cache manager takes no part */
        return NGX_OK;
    }

    ngx_queue_init(&ngx_http_ws_bus_husks);

    ngx_http_ws_bus_husk_event.handler = ngx_http_ws_bus_client_husk_handler;
    ngx_http_ws_bus_husk_event.log = cycle->log;

    ngx_http_ws_bus_heartbeat_init(cycle);
    ngx_http_ws_bus_token_init_process(cycle);

    return ngx_http_ws_bus_fanout_init_process(cycle);
}


ngx_http_ws_bus_client_t *
ngx_http_ws_bus_client_create(size_t size,
    const ngx_http_ws_bus_transport_t *transport, ngx_connection_t *c,
    ngx_http_ws_bus_client_loc_conf_t *conf, ngx_http_ws_bus_fan_t *fan)
{
    ngx_http_ws_bus_client_t  *wc;

    wc = ngx_calloc(size, c->log);
    if (wc == NULL) {
        return NULL;
    }

    if (getrandom(wc->id, sizeof(wc->id), 0) != sizeof(wc->id)) {
        ngx_free(wc);
        return NULL;
    }

    /* a UUID of version 4, without its hyphens */

    wc->id[6] = (wc->id[6] & 0x0f) | 0x40;
    wc->id[8] = (wc->id[8] & 0x3f) | 0x80;

    wc->transport = transport;
    wc->connection = c;
    wc->fd = (ngx_socket_t) -1;
    wc->conf = conf;
    wc->fan = fan;
    wc->items = &wc->one;
    wc->control_last = &wc->control;

    if (fan->worker != NULL) {
        wc->cursor.seq = wsb_log_head(&fan->worker->zone->log) + 1;
        wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
    }

    return wc;
}


void
ngx_http_ws_bus_client_free(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_out_drop(wc);

    wc->transport->free(wc);

    if (wc->tenant.data != NULL) {
        ngx_free(wc->tenant.data);
    }

    wsb_restrict_free(wc->forced);
    ngx_http_ws_bus_limit_give(wc);

    if (wc->asker != NULL) {
        wc->conf->requests->free(wc);
    }

    if (wc->quotas != NULL) {
        ngx_free(wc->quotas);
    }

    if (wc->token != NULL) {
        ngx_free(wc->token);
    }

    if (wc->context != NULL) {
        ngx_free(wc->context);
    }

    if (wc->subs != NULL) {
        wsb_free(wc->subs);
    }

    ngx_http_ws_bus_session_log_free(wc);

    ngx_free(wc);
}


void
ngx_http_ws_bus_client_open(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_client_counters_t  *counters;

    ngx_http_ws_bus_heartbeat_start(wc);
    ngx_http_ws_bus_token_start(wc);

    if (wc->fan->worker == NULL) {
        return;
    }

    ngx_queue_insert_tail(&wc->fan->clients, &wc->clients);

    counters = ngx_http_ws_bus_client_counters(wc->fan->worker);
    counters->connections++;
    counters->connections_opened++;
    wc->counted = 1;

    if (wc->asker != NULL) {
        wc->conf->requests->opened(wc);
    }

    ngx_http_ws_bus_op_welcome(wc);
}


void
ngx_http_ws_bus_client_end(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_end_e why, const char *text)
{
    u_char  id[WSB_ID_LEN + 1];

    if (wc->closing || wc->closed) {
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, wc->connection->log, 0,
                   "ws_bus end: why:%ui \"%s\"",
                   (ngx_uint_t) why, text ? text : "");

    if (wc->fan->worker == NULL) {
        wc->transport->end(wc, why, text);
        return;
    }

    if (text == NULL
        && (why == NGX_HTTP_WS_BUS_END_RESTART
            || why == NGX_HTTP_WS_BUS_END_QUIT
            || why == NGX_HTTP_WS_BUS_END_LATER))
    {
        /* events that are queued come no more: the id says so */

        ngx_http_ws_bus_client_last(wc, id);
        text = (const char *) id;

    } else if (text != NULL
               && why != NGX_HTTP_WS_BUS_END_EXPIRED
               && why != NGX_HTTP_WS_BUS_END_RIGHTS)
    {
        ngx_http_ws_bus_client_counters(wc->fan->worker)->closed_by_error++;
    }

    wc->transport->end(wc, why, text);
}


void
ngx_http_ws_bus_client_last(ngx_http_ws_bus_client_t *wc,
    u_char id[WSB_ID_LEN + 1])
{
    size_t  len;

    len = wsb_id(id, wc->fan->worker->zone->epoch,
                 ngx_http_ws_bus_position_last_id(wc));
    id[len] = '\0';
}


static void
ngx_http_ws_bus_client_tell_closed(ngx_http_ws_bus_client_t *wc)
{
    if (wc->asker != NULL) {
        wc->conf->requests->closed(wc);
    }
}


void
ngx_http_ws_bus_client_stop(ngx_http_ws_bus_client_t *wc)
{
    wc->closing = 1;

    ngx_http_ws_bus_client_tell_closed(wc);
    ngx_http_ws_bus_op_end_all(wc);

    ngx_http_ws_bus_out_fall_behind(wc);
    ngx_http_ws_bus_subscribe_leave(wc);
}


void
ngx_http_ws_bus_client_hold(ngx_http_ws_bus_client_t *wc, ngx_uint_t why)
{
    wc->held |= why;
    wc->paused = 1;
}


void
ngx_http_ws_bus_client_release(ngx_http_ws_bus_client_t *wc, ngx_uint_t why)
{
    if (!(wc->held & why)) {
        return;
    }

    wc->held &= ~why;

    if (!wc->held && !wc->closing
        && wc->control_size <= NGX_HTTP_WS_BUS_CONTROL_MAX / 2)
    {
        wc->paused = 0;
        wc->transport->resume(wc);
    }
}


/*
 * Callers up the stack may still hold wc: it is freed at the end of the turn.
 */

void
ngx_http_ws_bus_client_close(ngx_http_ws_bus_client_t *wc)
{
    if (wc->closed) {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, wc->connection->log, 0,
                   "ws_bus close: events:%uL", wc->events_out);

    wc->closed = 1;
    wc->closing = 1;

    ngx_http_ws_bus_client_tell_closed(wc);
    ngx_http_ws_bus_op_end_all(wc);

    ngx_http_ws_bus_fanout_not_overflowed(wc);
    wc->behind = 1;
    ngx_http_ws_bus_subscribe_leave(wc);

    ngx_http_ws_bus_out_drop(wc);
    ngx_http_ws_bus_session_log_end(wc);

    if (wc->dirty || wc->catching) {
        ngx_queue_remove(&wc->link);
        wc->dirty = 0;
        wc->catching = 0;
    }

    ngx_http_ws_bus_heartbeat_stop(wc);
    ngx_http_ws_bus_token_stop(wc);

    if (wc->counted) {
        ngx_queue_remove(&wc->clients);
        ngx_http_ws_bus_client_counters(wc->fan->worker)->connections--;
        ngx_http_ws_bus_limit_give(wc);
        wc->counted = 0;
    }

    wc->transport->close(wc);

    wc->connection = NULL;
    wc->fd = (ngx_socket_t) -1;

    if (wc->nleft == 0) {
        ngx_http_ws_bus_client_discard(wc);
    }
}


void
ngx_http_ws_bus_client_discard(ngx_http_ws_bus_client_t *wc)
{
    ngx_queue_insert_tail(&ngx_http_ws_bus_husks, &wc->link);
    ngx_post_event(&ngx_http_ws_bus_husk_event, &ngx_posted_next_events);
}


static void
ngx_http_ws_bus_client_husk_handler(ngx_event_t *ev)
{
    ngx_queue_t               *q;
    ngx_http_ws_bus_client_t  *wc;

    ngx_http_ws_bus_turn();

    while (!ngx_queue_empty(&ngx_http_ws_bus_husks)) {
        q = ngx_queue_head(&ngx_http_ws_bus_husks);
        ngx_queue_remove(q);

        wc = ngx_queue_data(q, ngx_http_ws_bus_client_t, link);

        ngx_http_ws_bus_client_free(wc);
    }
}
