/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Subscriptions with a snapshot.  Who fetches it is the room of calls; here
 * its subscription waits for it, and then goes on with what came after it,
 * through the same cursor as any other.
 */

#include "ngx_http_ws_bus_client.h"


static void ngx_http_ws_bus_live_wait(ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub, uint64_t from);


/*
 * Events after a `since` are as good as a snapshot, if they are all there:
 * the client has what they change.
 */

void
ngx_http_ws_bus_live_start(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    wsb_op_t *op, wsb_start_t *start)
{
    /* it knows what a gap is */

    wc->aware = 1;

    if (op->since == WSB_SINCE_ID && start->recovered == 1) {
        ngx_http_ws_bus_position_rewind(wc, sub, start->from);
        ngx_http_ws_bus_subscribe_told(wc, sub, op, start);

    } else {
        sub->from |= WSB_POSITION_WAITS;
        ngx_http_ws_bus_subscribe_told(wc, sub, op, start);
    }

    if (wc->closed) {
        return;
    }

    if (!(wc->conf->asked & NGX_HTTP_WS_BUS_ASKED_SNAPSHOT)) {
        sub->live = 0;
        ngx_http_ws_bus_live_fail(wc, sub, op, "unsupported",
                                  "This location has no backend");
        return;
    }

    if (wc->conf->requests->live(wc, sub, op) != NGX_OK) {
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_INTERNAL,
                                   "no memory");
    }
}


uint64_t
ngx_http_ws_bus_live_hold(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub)
{
    ngx_http_ws_bus_live_wait(wc, sub, 0);

    return wsb_log_head(&wc->fan->worker->zone->log);
}


/*
 * What is queued for it is dropped: the snapshot will hold it.  Unless there is
 * none; so `from` keeps what it was not sent.
 */

static void
ngx_http_ws_bus_live_wait(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    uint64_t from)
{
    uint32_t  i;
    uint64_t  next;

    next = sub->from & ~WSB_POSITION_WAITS;

    if (!(sub->from & WSB_POSITION_WAITS)) {
        next = wsb_position_next(ngx_http_ws_bus_position(wc), next,
                                 sub->ordinal);
    }

    if (next < from) {
        next = from;
    }

    for (i = wc->sent ? 1 : 0; i < wc->nitems; i++) {

        if (wc->items[i].ordinal == sub->ordinal) {

            if (wc->items[i].record->seq < next) {
                next = wc->items[i].record->seq;
            }

            break;
        }
    }

    ngx_http_ws_bus_out_unqueue(wc, sub->ordinal);

    sub->from = next | WSB_POSITION_WAITS;
}


void
ngx_http_ws_bus_live_go(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    uint64_t from)
{
    if (!(sub->from & WSB_POSITION_WAITS)) {
        return;
    }

    if (from == 0) {
        from = sub->from & ~WSB_POSITION_WAITS;
    }

    ngx_http_ws_bus_position_rewind(wc, sub, from);
}


/*
 * It is sent nothing from `from` on, until there is another one: a client that
 * had an event behind what it lacks would resume behind it, with a list that
 * stays wrong.
 */

void
ngx_http_ws_bus_live_stale(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    uint64_t from)
{
    /* one that waits gets what is right anyway */

    if (sub->live && !(sub->from & WSB_POSITION_WAITS) && wc->asker != NULL) {
        ngx_http_ws_bus_live_wait(wc, sub, from);
        wc->conf->requests->stale(wc, sub->ordinal);
    }
}


/* What it is not told of comes with the other snapshot. */

ngx_uint_t
ngx_http_ws_bus_live_takes(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec, wsb_sub_t *sub, wsb_change_t *change)
{
    if (sub->live
        && (*change == WSB_CHANGE_ANEW || (rec->event.flags & WSB_EVENT_PART)))
    {
        ngx_http_ws_bus_live_stale(wc, sub, rec->seq);
        return 0;
    }

    if (*change == WSB_CHANGE_LEFT_UNKNOWN && sub->live) {
        *change = WSB_CHANGE_LEFT_HIDDEN;
    }

    return *change < WSB_CHANGE_LEFT_UNKNOWN;
}


void
ngx_http_ws_bus_live_again(ngx_http_ws_bus_client_t *wc, wsb_op_t *op)
{
    wsb_sub_t  *sub;

    sub = ngx_http_ws_bus_subscribe_find(wc, op->ordinal);

    if (sub == NULL) {
        wsb_op_not_found(op);
        ngx_http_ws_bus_op_refuse(wc, op);
        return;
    }

    if (!sub->live) {
        wsb_op_refuse(op, "bad_snapshot",
                      "This subscription was made without a snapshot");
        ngx_http_ws_bus_op_refuse(wc, op);
        return;
    }

    wc->conf->requests->again(wc, sub->ordinal);
}


void
ngx_http_ws_bus_live_fail(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    const wsb_op_t *op, const char *code, const char *text)
{
    wsb_str_t     none = wsb_null_string;
    wsb_text_t    message;
    wsb_result_t  result;

    wsb_result_init(&result);

    result.code = code;
    result.text.data = (const uint8_t *) text;
    result.text.len = ngx_strlen(text);

    ngx_memzero(&message, sizeof(wsb_text_t));

    wc->conf->codec->snapshot(&message, op, wc->id, sub->ordinal, none,
                              &result);

    ngx_http_ws_bus_op_reply(wc, &message);

    if (!wc->closed) {
        ngx_http_ws_bus_live_go(wc, sub, 0);
    }
}
