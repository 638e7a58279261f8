/*
 * The heartbeat of all connections of this process: one timer, and a wheel of
 * seconds in which each connection stands where it is due next.
 *
 * Life is a byte read, or progress of a write that had blocked.  A peer
 * without it for ws_bus_ping_interval is sent a Ping; without it for another
 * ws_bus_pong_timeout it is gone.
 */

#include "ngx_http_ws_bus_module.h"


#define NGX_HTTP_WS_BUS_WHEEL  64         /* seconds, a power of two */
#define NGX_HTTP_WS_BUS_BEATS  256        /* connections in one turn */


static void ngx_http_ws_bus_second_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_beat_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_beat(ngx_http_ws_bus_conn_t *wc);
static void ngx_http_ws_bus_schedule(ngx_http_ws_bus_conn_t *wc,
    ngx_msec_t wait);


static ngx_queue_t       ngx_http_ws_bus_wheel[NGX_HTTP_WS_BUS_WHEEL];
static ngx_queue_t       ngx_http_ws_bus_due;
static ngx_event_t       ngx_http_ws_bus_second;
static ngx_event_t       ngx_http_ws_bus_beats;
static ngx_uint_t        ngx_http_ws_bus_hand;   /* seconds done */
static ngx_connection_t  ngx_http_ws_bus_nobody; /* debug log wants one */


void
ngx_http_ws_bus_heartbeat_init(ngx_cycle_t *cycle)
{
    ngx_uint_t    i;
    ngx_event_t  *ev;

    for (i = 0; i < NGX_HTTP_WS_BUS_WHEEL; i++) {
        ngx_queue_init(&ngx_http_ws_bus_wheel[i]);
    }

    ngx_queue_init(&ngx_http_ws_bus_due);

    ngx_http_ws_bus_nobody.fd = (ngx_socket_t) -1;
    ngx_http_ws_bus_hand = ngx_current_msec / 1000;

    ev = &ngx_http_ws_bus_beats;
    ev->handler = ngx_http_ws_bus_beat_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_nobody;

    ev = &ngx_http_ws_bus_second;
    ev->handler = ngx_http_ws_bus_second_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_nobody;
    ev->cancelable = 1;

    ngx_add_timer(ev, 1000);
}


void
ngx_http_ws_bus_start_heartbeat(ngx_http_ws_bus_conn_t *wc)
{
    wc->heard = ngx_current_msec;

    if (wc->conf->ping_interval != 0) {
        ngx_http_ws_bus_schedule(wc, wc->conf->ping_interval);
    }
}


void
ngx_http_ws_bus_stop_heartbeat(ngx_http_ws_bus_conn_t *wc)
{
    if (wc->beating) {
        ngx_queue_remove(&wc->beat);
        wc->beating = 0;
    }
}


/* Rounded up, so that nobody is due too early; more than the wheel is long
 * is looked at in between. */

static void
ngx_http_ws_bus_schedule(ngx_http_ws_bus_conn_t *wc, ngx_msec_t wait)
{
    ngx_uint_t  second;

    second = (ngx_current_msec + wait) / 1000 + 1;

    if (second <= ngx_http_ws_bus_hand) {
        second = ngx_http_ws_bus_hand + 1;
    }

    if (second - ngx_http_ws_bus_hand >= NGX_HTTP_WS_BUS_WHEEL) {
        second = ngx_http_ws_bus_hand + NGX_HTTP_WS_BUS_WHEEL - 1;
    }

    wc->beating = 1;
    ngx_queue_insert_tail(&ngx_http_ws_bus_wheel[second
                                             % NGX_HTTP_WS_BUS_WHEEL],
                          &wc->beat);
}


static void
ngx_http_ws_bus_second_handler(ngx_event_t *ev)
{
    ngx_uint_t    now;
    ngx_queue_t  *q;

    now = ngx_current_msec / 1000;

    if (now - ngx_http_ws_bus_hand > NGX_HTTP_WS_BUS_WHEEL) {
        /* the process did not run: all are looked at */
        ngx_http_ws_bus_hand = now - NGX_HTTP_WS_BUS_WHEEL;
    }

    while (ngx_http_ws_bus_hand < now) {
        ngx_http_ws_bus_hand++;

        q = &ngx_http_ws_bus_wheel[ngx_http_ws_bus_hand
                                   % NGX_HTTP_WS_BUS_WHEEL];

        if (!ngx_queue_empty(q)) {
            ngx_queue_add(&ngx_http_ws_bus_due, q);
            ngx_queue_init(q);
        }
    }

    if (!ngx_queue_empty(&ngx_http_ws_bus_due)) {
        ngx_post_event(&ngx_http_ws_bus_beats, &ngx_posted_events);
    }

    ngx_add_timer(ev, 1000);
}


static void
ngx_http_ws_bus_beat_handler(ngx_event_t *ev)
{
    ngx_uint_t               n;
    ngx_queue_t             *q;
    ngx_http_ws_bus_conn_t  *wc;

    ngx_http_ws_bus_turn();

    for (n = 0; !ngx_queue_empty(&ngx_http_ws_bus_due); n++) {

        if (n == NGX_HTTP_WS_BUS_BEATS) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        q = ngx_queue_head(&ngx_http_ws_bus_due);
        ngx_queue_remove(q);

        wc = ngx_queue_data(q, ngx_http_ws_bus_conn_t, beat);
        wc->beating = 0;

        ngx_http_ws_bus_beat(wc);
    }
}


static void
ngx_http_ws_bus_beat(ngx_http_ws_bus_conn_t *wc)
{
    ngx_msec_t                   now, limit, wait;
    ngx_http_ws_bus_loc_conf_t  *conf;

    if (wc->closing) {
        /* a timer of its own watches over it */
        return;
    }

    conf = wc->conf;
    now = ngx_current_msec;
    limit = conf->ping_interval;

    if (wc->pinged) {

        if ((ngx_msec_int_t) (wc->heard - wc->pinged_at) >= 0) {
            wc->pinged = 0;

        } else if (now - wc->pinged_at >= conf->pong_timeout) {
            ngx_log_error(NGX_LOG_INFO, wc->connection->log, NGX_ETIMEDOUT,
                          "websocket client does not answer a ping");
            ngx_http_ws_bus_close_conn(wc);
            return;
        }
    }

    if (!wc->pinged && now - wc->heard >= limit) {
        wc->pinged = 1;
        wc->pinged_at = now;

        ngx_http_ws_bus_send_frame(wc, WSB_FRAME_PING, (u_char *) "", 0);
    }

    ngx_http_ws_bus_tell_position(wc);

    if (ngx_http_ws_bus_flush(wc) == NGX_ERROR) {
        return;
    }

    /* a pong that comes sooner must not wait for the end of a long timeout */

    wait = wc->heard + limit - now;

    if (wc->pinged) {
        wait = wc->pinged_at + conf->pong_timeout - now;
        wait = ngx_min(wait, limit);
    }

    ngx_http_ws_bus_schedule(wc, wait);
}
