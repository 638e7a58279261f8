/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * How long a turn of the event loop takes: the longest one tells an operator
 * what a client may have waited for because of others.
 *
 * A turn is measured from the first handler of ours that runs in it to an
 * event that is posted then, and posts itself again until it is the last.
 */

#include "ngx_http_ws_bus_core.h"


static void ngx_http_ws_bus_turn_handler(ngx_event_t *ev);


/* Of this process.  No handler: no zone, and nothing to measure for. */

static ngx_event_t  ngx_http_ws_bus_turn_event;
static uint64_t     ngx_http_ws_bus_turn_start;   /* 0: none of ours ran yet */


void
ngx_http_ws_bus_turn_init(ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    ev = &ngx_http_ws_bus_turn_event;
    ev->handler = ngx_http_ws_bus_turn_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_no_connection;
}


void
ngx_http_ws_bus_turn(void)
{
    if (ngx_http_ws_bus_turn_start == 0
        && ngx_http_ws_bus_turn_event.handler != NULL)
    {
        ngx_http_ws_bus_turn_start = ngx_http_ws_bus_turn_now();
        ngx_post_event(&ngx_http_ws_bus_turn_event, &ngx_posted_events);
    }
}


uint64_t
ngx_http_ws_bus_turn_began(void)
{
    return ngx_http_ws_bus_turn_start ? ngx_http_ws_bus_turn_start
                                      : ngx_http_ws_bus_turn_now();
}


uint64_t
ngx_http_ws_bus_turn_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static void
ngx_http_ws_bus_turn_handler(ngx_event_t *ev)
{
    uint64_t                            took;
    ngx_uint_t                          i;
    ngx_http_ws_bus_worker_t           *w;
    ngx_http_ws_bus_module_counters_t  *counters;

    if (!ngx_queue_empty(&ngx_posted_events)) {
        ngx_post_event(ev, &ngx_posted_events);
        return;
    }

    took = ngx_http_ws_bus_turn_now() - ngx_http_ws_bus_turn_start;
    ngx_http_ws_bus_turn_start = 0;

    i = 0;

    while ((w = ngx_http_ws_bus_worker_next(&i)) != NULL) {
        counters = ngx_http_ws_bus_module_counters(w);
        counters->longest_turn_ms = ngx_max(counters->longest_turn_ms, took);
    }
}
