/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Events wait for an answer: they stay in the log, and come behind it.
 */

#include "ngx_http_ws_bus_call.h"


static void ngx_http_ws_bus_hold_handler(ngx_event_t *ev);


void
ngx_http_ws_bus_hold(ngx_http_ws_bus_ask_t *ask)
{
    ask->holding = 1;

    ask->hold.handler = ngx_http_ws_bus_hold_handler;
    ask->hold.log = ngx_cycle->log;
    ask->hold.data = ask;
    ask->hold.cancelable = 1;

    ngx_http_ws_bus_catch_wait(ask->asker->client);
    ngx_add_timer(&ask->hold, NGX_HTTP_WS_BUS_HOLD_TIME);
}


static void
ngx_http_ws_bus_hold_handler(ngx_event_t *ev)
{
    ngx_http_ws_bus_turn();
    ngx_http_ws_bus_hold_end(ev->data);
}


void
ngx_http_ws_bus_hold_end(ngx_http_ws_bus_ask_t *ask)
{
    if (!ask->holding) {
        return;
    }

    ask->holding = 0;

    if (ask->hold.timer_set) {
        ngx_del_timer(&ask->hold);
    }

    if (ask->kept->client != NULL) {
        ngx_http_ws_bus_catch_go(ask->kept->client);
    }
}
