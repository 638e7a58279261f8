/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The worker is to exit, which nginx does not tell those who hold a stream of
 * HTTP/2, nor does it wait for them: so a timer looks, and keeps the worker
 * there, while anybody is.
 */

#include "ngx_http_ws_bus_events.h"


#define NGX_HTTP_WS_BUS_EVENTS_TICK    250     /* ms between looks */
#define NGX_HTTP_WS_BUS_EVENTS_UNSURE  500     /* ms, for successors */


static void ngx_http_ws_bus_events_drain_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_events_drain(ngx_http_ws_bus_events_t *es);


static ngx_queue_t       ngx_http_ws_bus_events_all;
static ngx_event_t       ngx_http_ws_bus_events_tick;
static ngx_connection_t  ngx_http_ws_bus_events_dumb;


void
ngx_http_ws_bus_events_drain_init(ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    ngx_queue_init(&ngx_http_ws_bus_events_all);

    ngx_http_ws_bus_events_dumb.fd = (ngx_socket_t) -1;

    ev = &ngx_http_ws_bus_events_tick;

    ev->handler = ngx_http_ws_bus_events_drain_handler;
    ev->data = &ngx_http_ws_bus_events_dumb;
    ev->log = cycle->log;
}


void
ngx_http_ws_bus_events_drain_add(ngx_http_ws_bus_events_t *es)
{
    if (es->client.closed) {
        return;
    }

    ngx_queue_insert_tail(&ngx_http_ws_bus_events_all, &es->queue);
    ngx_http_ws_bus_websocket_counters(es->client.fan->worker)
        ->event_streams++;

    if (!ngx_http_ws_bus_events_tick.timer_set) {
        ngx_add_timer(&ngx_http_ws_bus_events_tick,
                      NGX_HTTP_WS_BUS_EVENTS_TICK);
    }
}


void
ngx_http_ws_bus_events_drain_remove(ngx_http_ws_bus_events_t *es)
{
    if (es->queue.next != NULL) {
        ngx_queue_remove(&es->queue);
        es->queue.next = NULL;

        ngx_http_ws_bus_websocket_counters(es->client.fan->worker)
            ->event_streams--;
    }
}


static void
ngx_http_ws_bus_events_drain_handler(ngx_event_t *ev)
{
    ngx_queue_t               *q, *next;
    ngx_http_ws_bus_events_t  *es;

    ngx_http_ws_bus_turn();

    for (q = ngx_queue_head(&ngx_http_ws_bus_events_all);
         ngx_exiting && q != ngx_queue_sentinel(&ngx_http_ws_bus_events_all);
         q = next)
    {
        next = ngx_queue_next(q);
        es = ngx_queue_data(q, ngx_http_ws_bus_events_t, queue);

        if (!es->draining) {
            es->draining = 1;
            ngx_http_ws_bus_events_drain(es);
        }
    }

    if (!ngx_queue_empty(&ngx_http_ws_bus_events_all)) {
        ngx_add_timer(ev, NGX_HTTP_WS_BUS_EVENTS_TICK);
    }
}


static void
ngx_http_ws_bus_events_drain(ngx_http_ws_bus_events_t *es)
{
    ngx_msec_t                 wait;
    ngx_http_ws_bus_client_t  *wc;
    ngx_http_ws_bus_worker_t  *w;

    wc = &es->client;

    if (wc->closing) {
        return;
    }

    if (es->collect) {
        /* it has what there is, and comes again */
        es->wait = ngx_current_msec;
        ngx_post_event(&es->event, &ngx_posted_events);
        return;
    }

    es->event.cancelable = 0;

    if (!ngx_http_ws_bus_worker_succeeded()) {
        es->unsure = 1;
        ngx_add_timer(&es->event, NGX_HTTP_WS_BUS_EVENTS_UNSURE);
        return;
    }

    wait = wc->conf->drain_window;

    ngx_add_timer(&es->event, wait ? ngx_random() % wait : 0);

    w = wc->fan->worker;
    wsb_zone_slot(w->zone, (unsigned) w->slot)->draining = 1;
}


void
ngx_http_ws_bus_events_drain_timeout(ngx_http_ws_bus_events_t *es)
{
    if (!es->draining) {
        return;
    }

    if (es->unsure && ngx_http_ws_bus_worker_succeeded()) {
        es->unsure = 0;
        ngx_http_ws_bus_events_drain(es);
        return;
    }

    ngx_http_ws_bus_client_end(&es->client,
                               ngx_http_ws_bus_worker_succeeded()
                                   ? NGX_HTTP_WS_BUS_END_RESTART
                                   : NGX_HTTP_WS_BUS_END_QUIT, NULL);
}
