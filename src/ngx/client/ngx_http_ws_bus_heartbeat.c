/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The heartbeat of all connections of this process: one timer, and a wheel of
 * ticks, four a second, in which each connection stands where it is due next.
 * It is looked at no sooner, and at most a tick later.
 *
 * Which signs of life count is the protocol's.  If all do, that is a byte read
 * or progress of a write that had blocked, a peer without them for
 * ws_bus_ping_interval is sent a Ping; without them for another
 * ws_bus_pong_timeout it is gone.
 *
 * If only Ping and Pong frames do, a peer is sent a Ping each
 * ws_bus_ping_interval, and is gone if it has been without them for longer
 * than ws_bus_pong_timeout when the next one is due.  If only Pong frames do,
 * it is gone as soon as it has been without them for so long.
 */

#include "ngx_http_ws_bus_client.h"


#define NGX_HTTP_WS_BUS_BEAT   250        /* ms, a tick */
#define NGX_HTTP_WS_BUS_WHEEL  256        /* ticks, a power of two */
#define NGX_HTTP_WS_BUS_BEATS  256        /* connections in one turn */


static void ngx_http_ws_bus_heartbeat_wheel_wait(void);
static void ngx_http_ws_bus_heartbeat_wheel_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_heartbeat_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_heartbeat_beat(ngx_http_ws_bus_client_t *wc);
static ngx_int_t ngx_http_ws_bus_heartbeat_silent(ngx_http_ws_bus_client_t *wc,
    ngx_msec_t *wait);
static ngx_int_t ngx_http_ws_bus_heartbeat_steady(ngx_http_ws_bus_client_t *wc,
    ngx_msec_t *wait);
static void ngx_http_ws_bus_heartbeat_ping(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_heartbeat_schedule(ngx_http_ws_bus_client_t *wc,
    ngx_msec_t wait);


static ngx_queue_t       ngx_http_ws_bus_wheel[NGX_HTTP_WS_BUS_WHEEL];
static ngx_queue_t       ngx_http_ws_bus_due;
static ngx_event_t       ngx_http_ws_bus_wheel_event;
static ngx_event_t       ngx_http_ws_bus_beats;
static ngx_uint_t        ngx_http_ws_bus_wheel_hand;   /* ticks done */


void
ngx_http_ws_bus_heartbeat_init(ngx_cycle_t *cycle)
{
    ngx_uint_t    i;
    ngx_event_t  *ev;

    for (i = 0; i < NGX_HTTP_WS_BUS_WHEEL; i++) {
        ngx_queue_init(&ngx_http_ws_bus_wheel[i]);
    }

    ngx_queue_init(&ngx_http_ws_bus_due);

    ngx_http_ws_bus_wheel_hand = ngx_current_msec / NGX_HTTP_WS_BUS_BEAT;

    ev = &ngx_http_ws_bus_beats;
    ev->handler = ngx_http_ws_bus_heartbeat_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_no_connection;

    ev = &ngx_http_ws_bus_wheel_event;
    ev->handler = ngx_http_ws_bus_heartbeat_wheel_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_no_connection;
    ev->cancelable = 1;

    ngx_http_ws_bus_heartbeat_wheel_wait();
}


/* Until the next tick begins: who is due in it does not wait for its end. */

static void
ngx_http_ws_bus_heartbeat_wheel_wait(void)
{
    ngx_add_timer(&ngx_http_ws_bus_wheel_event,
                  NGX_HTTP_WS_BUS_BEAT
                  - ngx_current_msec % NGX_HTTP_WS_BUS_BEAT);
}


void
ngx_http_ws_bus_heartbeat_start(ngx_http_ws_bus_client_t *wc)
{
    wc->heard = (uint32_t) ngx_current_msec;
    wc->pinged_at = wc->heard + (uint32_t) wc->conf->beat_interval;

    if (wc->conf->beat_interval != 0) {
        ngx_http_ws_bus_heartbeat_schedule(wc, wc->conf->beat_interval);
    }
}


void
ngx_http_ws_bus_heartbeat_heard(ngx_http_ws_bus_client_t *wc, wsb_life_t life)
{
    /* each protocol counts what it names, and what shows more */

    if (life >= wc->conf->codec->life) {
        wc->heard = (uint32_t) ngx_current_msec;
    }
}


void
ngx_http_ws_bus_heartbeat_stop(ngx_http_ws_bus_client_t *wc)
{
    if (wc->beating) {
        ngx_queue_remove(&wc->beat);
        wc->beating = 0;
    }
}


/* Rounded up, so that nobody is due too early; more than the wheel is long
 * is looked at in between. */

static void
ngx_http_ws_bus_heartbeat_schedule(ngx_http_ws_bus_client_t *wc,
    ngx_msec_t wait)
{
    ngx_uint_t  tick;

    tick = (ngx_current_msec + wait + NGX_HTTP_WS_BUS_BEAT - 1)
           / NGX_HTTP_WS_BUS_BEAT;

    if (tick <= ngx_http_ws_bus_wheel_hand) {
        tick = ngx_http_ws_bus_wheel_hand + 1;
    }

    if (tick - ngx_http_ws_bus_wheel_hand >= NGX_HTTP_WS_BUS_WHEEL) {
        tick = ngx_http_ws_bus_wheel_hand + NGX_HTTP_WS_BUS_WHEEL - 1;
    }

    wc->beating = 1;
    ngx_queue_insert_tail(&ngx_http_ws_bus_wheel[tick
                                                 % NGX_HTTP_WS_BUS_WHEEL],
                          &wc->beat);
}


static void
ngx_http_ws_bus_heartbeat_wheel_handler(ngx_event_t *ev)
{
    ngx_uint_t    now;
    ngx_queue_t  *q;

    now = ngx_current_msec / NGX_HTTP_WS_BUS_BEAT;

    if (now - ngx_http_ws_bus_wheel_hand > NGX_HTTP_WS_BUS_WHEEL) {
        /* the process did not run: all are looked at */
        ngx_http_ws_bus_wheel_hand = now - NGX_HTTP_WS_BUS_WHEEL;
    }

    while (ngx_http_ws_bus_wheel_hand < now) {
        ngx_http_ws_bus_wheel_hand++;

        q = &ngx_http_ws_bus_wheel[ngx_http_ws_bus_wheel_hand
                                   % NGX_HTTP_WS_BUS_WHEEL];

        if (!ngx_queue_empty(q)) {
            ngx_queue_add(&ngx_http_ws_bus_due, q);
            ngx_queue_init(q);
        }
    }

    if (!ngx_queue_empty(&ngx_http_ws_bus_due)) {
        ngx_post_event(&ngx_http_ws_bus_beats, &ngx_posted_events);
    }

    ngx_http_ws_bus_heartbeat_wheel_wait();
}


static void
ngx_http_ws_bus_heartbeat_handler(ngx_event_t *ev)
{
    ngx_uint_t                 n;
    ngx_queue_t               *q;
    ngx_http_ws_bus_client_t  *wc;

    ngx_http_ws_bus_turn();

    for (n = 0; !ngx_queue_empty(&ngx_http_ws_bus_due); n++) {

        if (n == NGX_HTTP_WS_BUS_BEATS) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        q = ngx_queue_head(&ngx_http_ws_bus_due);
        ngx_queue_remove(q);

        wc = ngx_queue_data(q, ngx_http_ws_bus_client_t, beat);
        wc->beating = 0;

        ngx_http_ws_bus_heartbeat_beat(wc);
    }
}


static void
ngx_http_ws_bus_heartbeat_beat(ngx_http_ws_bus_client_t *wc)
{
    ngx_int_t   rc;
    ngx_msec_t  wait;

    if (wc->closing) {
        /* a timer of its own watches over it */
        return;
    }

    if (wc->held) {
        /* it is not read: that it is silent is not its fault */
        wc->heard = (uint32_t) ngx_current_msec;
    }

    rc = wc->conf->codec->life == WSB_LIFE_ANY
             ? ngx_http_ws_bus_heartbeat_silent(wc, &wait)
             : ngx_http_ws_bus_heartbeat_steady(wc, &wait);

    if (rc != NGX_OK) {
        return;
    }

    ngx_http_ws_bus_op_position(wc);

    if (ngx_http_ws_bus_out_flush(wc) == NGX_ERROR) {
        return;
    }

    ngx_http_ws_bus_heartbeat_schedule(wc, wait);
}


/*
 * Who is silent is pinged.  NGX_DONE: it has been closed.  Times have 32 bits,
 * which are enough for more than a day.
 */

static ngx_int_t
ngx_http_ws_bus_heartbeat_silent(ngx_http_ws_bus_client_t *wc, ngx_msec_t *wait)
{
    uint32_t  now, limit, timeout;

    now = (uint32_t) ngx_current_msec;
    limit = (uint32_t) wc->conf->beat_interval;
    timeout = (uint32_t) wc->conf->beat_timeout;

    if (wc->pinged) {

        if ((int32_t) (wc->heard - wc->pinged_at) >= 0) {
            wc->pinged = 0;

        } else if (now - wc->pinged_at >= timeout) {
            ngx_log_error(NGX_LOG_INFO, wc->connection->log, NGX_ETIMEDOUT,
                          "websocket client does not answer a ping");
            ngx_http_ws_bus_client_close(wc);
            return NGX_DONE;
        }
    }

    if (!wc->pinged && now - wc->heard >= limit) {
        wc->pinged = 1;
        wc->pinged_at = now;

        ngx_http_ws_bus_heartbeat_ping(wc);
    }

    if (wc->pinged) {
        /* a pong that comes sooner must not wait for a long timeout's end */
        *wait = ngx_min(wc->pinged_at + timeout - now, limit);

    } else {
        *wait = wc->heard + limit - now;
    }

    return NGX_OK;
}


/*
 * Everybody is pinged.  What counts is when that was due, not when it came to
 * be done: so nobody drifts, and a timeout of twice the interval always ends
 * with the third tick.
 */

static ngx_int_t
ngx_http_ws_bus_heartbeat_steady(ngx_http_ws_bus_client_t *wc, ngx_msec_t *wait)
{
    uint32_t  now, due, silent, interval, timeout;

    now = (uint32_t) ngx_current_msec;
    due = wc->pinged_at;
    interval = (uint32_t) wc->conf->beat_interval;
    timeout = (uint32_t) wc->conf->beat_timeout;
    silent = now - wc->heard;

    if (wc->conf->codec->life == WSB_LIFE_PONG
            ? silent >= timeout
            : (int32_t) (due - now) <= 0
              && (int32_t) (due - wc->heard) > (int32_t) timeout)
    {
        ngx_log_error(NGX_LOG_INFO, wc->connection->log, NGX_ETIMEDOUT,
                      wc->conf->codec->life == WSB_LIFE_PONG
                          ? "websocket client has sent no pong"
                          : "websocket client has sent neither ping nor pong");
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_SILENT, "no pong");
        return NGX_DONE;
    }

    if ((int32_t) (due - now) <= 0) {
        ngx_http_ws_bus_heartbeat_ping(wc);

        due += interval;

        if ((int32_t) (due - now) <= 0) {
            /* the process did not run */
            due = now + interval;
        }

        wc->pinged_at = due;
    }

    *wait = due - now;

    if (wc->conf->codec->life == WSB_LIFE_PONG) {
        *wait = ngx_min(*wait, timeout - silent);
    }

    return NGX_OK;
}


static void
ngx_http_ws_bus_heartbeat_ping(ngx_http_ws_bus_client_t *wc)
{
    wc->asked = 1;
    wc->transport->ping(wc);
}
