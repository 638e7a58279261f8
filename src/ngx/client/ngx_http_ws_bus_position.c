/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Where a client stands: from its queue, its cursor or its worker.  What that
 * means for its subscriptions is the arithmetic of wsb_position.h.
 */

#include "ngx_http_ws_bus_client.h"


wsb_position_t
ngx_http_ws_bus_position(ngx_http_ws_bus_client_t *wc)
{
    uint64_t                   head;
    ngx_uint_t                 begun;
    wsb_position_t             at;
    ngx_http_ws_bus_worker_t  *w;

    begun = wc->sent ? 1 : 0;

    if (wc->nitems > begun) {
        at.seq = wc->items[begun].record->seq;
        at.ordinal = wc->items[begun].ordinal;
        return at;
    }

    if (wc->behind) {
        at.seq = wc->cursor.seq;
        at.ordinal = wc->ordinal;
        return at;
    }

    w = wc->fan->worker;

    head = wsb_hand_empty(&w->hand)
               ? wsb_slot_at_head(w->zone, (unsigned) w->slot) : 0;

    return wsb_position_pushed(w->hand.next.seq, head);
}


uint64_t
ngx_http_ws_bus_position_last_id(ngx_http_ws_bus_client_t *wc)
{
    uint32_t        i;
    uint64_t        next, min;
    wsb_position_t  at;

    at = ngx_http_ws_bus_position(wc);

    min = wc->nsubs ? UINT64_MAX : at.seq;

    for (i = 0; i < wc->nsubs; i++) {
        next = wsb_position_next(at, wc->subs[i]->from,
                                 wc->subs[i]->ordinal)
               & ~WSB_POSITION_WAITS;

        if (next < min) {
            min = next;
        }
    }

    return min - 1;
}


void
ngx_http_ws_bus_position_rewind(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    uint64_t from)
{
    uint32_t         i;
    wsb_sub_t       *other;
    wsb_position_t   at;

    if (from >= sub->from) {
        return;
    }

    ngx_http_ws_bus_out_fall_behind(wc);

    at = ngx_http_ws_bus_position(wc);

    for (i = 0; i < wc->nsubs; i++) {
        other = wc->subs[i];

        if (other != sub) {
            other->from = wsb_position_next(at, other->from, other->ordinal);
        }
    }

    sub->from = from;

    if (wsb_position_rewinds(at, from)) {
        wc->cursor.seq = from;
        wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
        wc->ordinal = 0;
    }

    if (!wc->blocked) {
        ngx_http_ws_bus_catch_up(wc);
    }
}
