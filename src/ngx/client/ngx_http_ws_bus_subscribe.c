/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Subscriptions of a connection: made, started from where the client wants
 * them to, and taken out again.
 */

#include "ngx_http_ws_bus_client.h"


static wsb_sub_t *ngx_http_ws_bus_subscribe_add(ngx_http_ws_bus_client_t *wc,
    wsb_op_t *op, const wsb_restrict_t *forced, const char **code,
    const char **text);
static ngx_int_t ngx_http_ws_bus_subscribe_count_in(
    ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub, wsb_plan_t *plan, wsb_op_t *op);
static wsb_rc_t ngx_http_ws_bus_subscribe_take_quotas_locked(
    ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub, uint32_t nkeys,
    ngx_uint_t *costly);
static void ngx_http_ws_bus_subscribe_give_quotas_locked(
    ngx_http_ws_bus_client_t *wc,
    uint32_t nkeys, uint32_t cost);
static void ngx_http_ws_bus_subscribe_start(ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub,
    wsb_op_t *op);
static uint32_t ngx_http_ws_bus_subscribe_place(ngx_http_ws_bus_client_t *wc,
    uint32_t ordinal);
static void ngx_http_ws_bus_subscribe_remove(ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub);
static ngx_int_t ngx_http_ws_bus_subscribe_leave_until(
    ngx_http_ws_bus_client_t *wc,
    uint64_t until);


ngx_int_t
ngx_http_ws_bus_subscribe(ngx_http_ws_bus_client_t *wc, wsb_op_t *op,
    const wsb_restrict_t *forced)
{
    wsb_str_t    message;
    wsb_sub_t   *sub;
    const char  *code, *text;

    if (op->topics) {
        ngx_http_ws_bus_topics_hear(wc, op->topics);
        return NGX_OK;
    }

    if (op->each) {
        return ngx_http_ws_bus_topics_add(wc, op, forced);
    }

    sub = ngx_http_ws_bus_subscribe_add(wc, op, forced, &code, &text);

    if (sub == NULL) {
        message.data = (const uint8_t *) text;
        message.len = ngx_strlen(text);

        ngx_http_ws_bus_op_error(wc, op->id, code, message);
        return NGX_DECLINED;
    }

    ngx_http_ws_bus_subscribe_start(wc, sub, op);

    return NGX_OK;
}


/*
 * A client that need not subscribe counts on what comes after its handshake:
 * the 101 was sent before, and other workers may have published since.
 */

void
ngx_http_ws_bus_subscribe_by_itself(ngx_http_ws_bus_client_t *wc)
{
    wsb_op_t     op;
    wsb_str_t    kind;
    wsb_sub_t   *sub;
    const char  *code, *text;

    ngx_memzero(&op, sizeof(wsb_op_t));

    op.type = WSB_OP_SUBSCRIBE;
    op.since = WSB_SINCE_ID;
    op.since_epoch = wc->fan->worker->zone->epoch;
    op.since_seq = wc->cursor.seq - 1;

    if (wc->conf->codec->base != NULL
        && wc->conf->codec->base(wc->context, &op) != WSB_OK)
    {
        wsb_op_done(&op);
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_INTERNAL,
                                   "no memory");
        return;
    }

    if (wc->conf->codec->kind.data != NULL) {
        kind = wc->conf->codec->kind;
        op.filter.value[WSB_KIND] = &kind;
        op.filter.n[WSB_KIND] = 1;
    }

    sub = ngx_http_ws_bus_subscribe_add(wc, &op, wc->forced, &code, &text);

    if (sub == NULL) {
        ngx_log_error(NGX_LOG_INFO, wc->connection->log, 0,
                      "websocket client cannot be subscribed: %s", code);
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_LATER, code);
        wsb_op_done(&op);
        return;
    }

    ngx_http_ws_bus_subscribe_start(wc, sub, &op);

    wsb_op_done(&op);
}


/* NULL: refused, and nothing has changed. */

static wsb_sub_t *
ngx_http_ws_bus_subscribe_add(ngx_http_ws_bus_client_t *wc, wsb_op_t *op,
    const wsb_restrict_t *forced, const char **code, const char **text)
{
    size_t       bytes;
    uint32_t     n, cost;
    wsb_str_t    tenant;
    ngx_int_t    rc;
    wsb_sub_t   *sub, **subs;
    wsb_plan_t  *plan;

    if (wc->nsubs >= (ngx_uint_t) wc->conf->max_subscriptions) {
        ngx_http_ws_bus_client_counters(wc->fan->worker)->limited++;

        *code = "too_many_subscriptions";
        *text = "Too many subscriptions on this connection";
        return NULL;
    }

    bytes = wsb_index_bytes(&op->filter);

    if (bytes > wc->conf->filters_size - wc->filters) {
        ngx_http_ws_bus_client_counters(wc->fan->worker)->limited++;

        *code = "filters_too_large";
        *text = "The filters of this connection are too large together";
        return NULL;
    }

    /* whatever is forced is the configuration's affair */

    cost = op->filter.where ? wsb_where_cost(op->filter.where) : 0;

    if (wc->cost + cost > (uint32_t) wc->conf->max_comparisons) {
        ngx_http_ws_bus_client_counters(wc->fan->worker)->limited++;

        *code = "too_costly";
        *text = "The conditions on this connection cost too many comparisons";
        return NULL;
    }

    *code = "no_memory";
    *text = "Subscription refused: out of memory";

    /* the array has room up to the next power of two */

    if ((wc->nsubs & (wc->nsubs - 1)) == 0) {
        n = wc->nsubs ? wc->nsubs * 2 : 1;

        subs = wsb_realloc(wc->subs, n * sizeof(wsb_sub_t *));
        if (subs == NULL) {
            return NULL;
        }

        wc->subs = subs;
    }

    tenant.data = wc->tenant.data;
    tenant.len = wc->tenant.len;

    plan = wsb_plan_create(wc->fan->worker->zone->key, tenant, &op->filter,
                           forced);
    if (plan == NULL) {
        return NULL;
    }

    if (op->snapshot) {
        wsb_plan_live(plan);
    }

    sub = wsb_malloc(sizeof(wsb_sub_t));

    if (sub != NULL) {
        ngx_memzero(sub, sizeof(wsb_sub_t));

        sub->owner = wc;
        sub->bytes = (uint32_t) bytes;
        sub->ordinal = wc->last_ordinal + 1;
        sub->cost = cost;
        sub->live = op->snapshot;

        if (wsb_index_add(wc->fan->index, plan, sub) != WSB_OK) {
            wsb_free(sub);
            sub = NULL;
        }
    }

    rc = sub ? ngx_http_ws_bus_subscribe_count_in(wc, sub, plan, op) : NGX_OK;

    if (rc != NGX_OK) {

        if (rc == NGX_BUSY) {
            ngx_http_ws_bus_client_counters(wc->fan->worker)->limited++;

            *code = "too_many_subscriptions";
            *text = "Too many subscriptions";

        } else if (rc == NGX_ABORT) {
            ngx_http_ws_bus_client_counters(wc->fan->worker)->limited++;

            *code = "too_costly";
            *text = "The conditions cost too many comparisons";

        } else {
            *code = "registry_full";
            *text = "Subscription refused: the registry of the bus is full";
        }

        wsb_index_remove(wc->fan->index, sub);
        wsb_free(sub);
        sub = NULL;
    }

    n = plan->nkeys;
    wsb_free(plan);

    if (sub == NULL) {
        return NULL;
    }

    wc->nkeys += n;
    wc->filters += bytes;
    wc->cost += cost;
    wc->last_ordinal++;
    wc->subs[wc->nsubs++] = sub;

    ngx_http_ws_bus_client_counters(wc->fan->worker)->subscriptions++;

    return sub;
}


/*
 * Under one hold of the mutex: what is pending is taken, so that whatever a
 * later take skips is newer than this subscription, and the subscription is
 * counted in.  It begins behind the head.  NGX_BUSY: there are as many as the
 * connection's keys may have; NGX_ABORT: their conditions cost as much as they
 * may; NGX_DECLINED: the registry is full.
 */

static ngx_int_t
ngx_http_ws_bus_subscribe_count_in(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    wsb_plan_t *plan, wsb_op_t *op)
{
    uint32_t                   reserve;
    wsb_rc_t                   rc;
    wsb_key_t                  tenant;
    wsb_str_t                  filter;
    wsb_text_t                 text;
    unsigned                   n;
    ngx_uint_t                 costly;
    wsb_node_t                *node;
    wsb_quota_t               *quotas;
    ngx_http_ws_bus_worker_t  *w;

    w = wc->fan->worker;
    node = sub->node;

    quotas = wc->quotas ? wc->quotas->subs : NULL;
    n = wc->quotas ? (unsigned) wc->quotas->nsubs : 0;

    ngx_memzero(&text, sizeof(wsb_text_t));

    if (node->nsubs == 1) {
        /* for the status page */
        wc->conf->codec->filter(&text, &op->filter);
    }

    filter.data = text.data;
    filter.len = text.failed ? 0 : text.len;

    tenant = ngx_http_ws_bus_tenant_hash(w->zone, &wc->tenant);

    ngx_shmtx_lock(&w->shpool->mutex);

    costly = 0;
    rc = ngx_http_ws_bus_subscribe_take_quotas_locked(wc, sub, plan->nkeys,
                                                      &costly);

    if (rc == WSB_OK) {
        reserve = wsb_quota_reserve_locked(w->zone, quotas, n,
                                           wc->nkeys + plan->nkeys);

        rc = wsb_interest_add_within_locked(w->zone, (unsigned) w->slot,
                                            plan->keys, plan->nkeys,
                                            plan->mask, reserve);
        if (rc != WSB_OK) {
            ngx_http_ws_bus_subscribe_give_quotas_locked(wc, plan->nkeys,
                                                         sub->cost);
        }
    }

    if (rc == WSB_OK) {
        wsb_slot_take_locked(w->zone, (unsigned) w->slot, &w->hand);

        sub->from = wsb_log_head(&w->zone->log) + 1;

        if (node->nsubs == 1) {
            node->text = filter.len == 0
                             ? 0
                             : wsb_filter_text_add_locked(w->zone,
                                                          (unsigned) w->slot,
                                                          filter, &tenant);
        } else {
            wsb_filter_text_count_locked(w->zone, node->text, node->nsubs);
        }
    }

    ngx_shmtx_unlock(&w->shpool->mutex);

    wsb_text_done(&text);

    if (rc != WSB_OK) {
        return rc != WSB_CONFLICT ? NGX_DECLINED : costly ? NGX_ABORT
                                                          : NGX_BUSY;
    }

    if (!wsb_hand_empty(&w->hand)) {
        ngx_post_event(&w->event, &ngx_posted_events);
    }

    return NGX_OK;
}


/* All or none; costly: it is the conditions that are refused. */

static wsb_rc_t
ngx_http_ws_bus_subscribe_take_quotas_locked(ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub, uint32_t nkeys, ngx_uint_t *costly)
{
    wsb_rc_t                   rc;
    ngx_http_ws_bus_worker_t  *w;

    if (wc->quotas == NULL) {
        return WSB_OK;
    }

    w = wc->fan->worker;

    rc = wsb_quota_take_many_locked(w->zone, (unsigned) w->slot,
                                    wc->quotas->subs,
                                    (unsigned) wc->quotas->nsubs, nkeys);
    if (rc != WSB_OK) {
        return rc;
    }

    rc = wsb_quota_take_many_locked(w->zone, (unsigned) w->slot,
                                    wc->quotas->costs,
                                    (unsigned) wc->quotas->ncosts,
                                    sub->cost);
    if (rc != WSB_OK) {
        *costly = 1;
        wsb_quota_give_many_locked(w->zone, (unsigned) w->slot,
                                   wc->quotas->subs,
                                   (unsigned) wc->quotas->nsubs, nkeys);
    }

    return rc;
}


static void
ngx_http_ws_bus_subscribe_give_quotas_locked(ngx_http_ws_bus_client_t *wc,
    uint32_t nkeys, uint32_t cost)
{
    ngx_http_ws_bus_worker_t  *w;

    if (wc->quotas == NULL) {
        return;
    }

    w = wc->fan->worker;

    wsb_quota_give_many_locked(w->zone, (unsigned) w->slot,
                               wc->quotas->subs,
                               (unsigned) wc->quotas->nsubs, nkeys);
    wsb_quota_give_many_locked(w->zone, (unsigned) w->slot,
                               wc->quotas->costs,
                               (unsigned) wc->quotas->ncosts, cost);
}


/*
 * Where it begins: with what comes from now on, or after an event of the
 * past, as far back as that is retained.
 */

static void
ngx_http_ws_bus_subscribe_start(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    wsb_op_t *op)
{
    wsb_zone_t   *zone;
    wsb_start_t   start;

    zone = wc->fan->worker->zone;

    start = wsb_position_start(op->since, op->since_epoch, op->since_seq,
                               zone->epoch, wsb_log_oldest(&zone->log),
                               sub->from - 1);

    if (op->since != WSB_SINCE_NONE) {
        wc->aware = 1;
    }

    if (sub->live) {
        ngx_http_ws_bus_live_start(wc, sub, op, &start);
        return;
    }

    if (op->since != WSB_SINCE_NONE) {
        ngx_http_ws_bus_position_rewind(wc, sub, start.from);
    }

    ngx_http_ws_bus_subscribe_told(wc, sub, op, &start);
}


void
ngx_http_ws_bus_subscribe_told(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    wsb_op_t *op, const wsb_start_t *start)
{
    u_char       id[WSB_ID_LEN];
    uint64_t     from;
    wsb_str_t    last;
    wsb_text_t   text;
    wsb_zone_t  *zone;

    zone = wc->fan->worker->zone;
    from = sub->from & ~WSB_POSITION_WAITS;

    if (wc->conf->codec->subscribed != NULL) {

        last.data = id;
        last.len = wsb_id(id, zone->epoch, from - 1);

        ngx_memzero(&text, sizeof(wsb_text_t));

        wc->conf->codec->subscribed(&text, op, wc->id, sub->ordinal, last,
                                    start->recovered);

        ngx_http_ws_bus_op_reply(wc, &text);
    }

    if (start->recovered == 0 && !wc->closed) {
        ngx_http_ws_bus_op_gap(wc, sub->ordinal, op->since_text, start->gap,
                               "history");
    }
}


ngx_int_t
ngx_http_ws_bus_subscribe_end(ngx_http_ws_bus_client_t *wc, wsb_op_t *op)
{
    uint32_t     i;
    wsb_sub_t   *sub;
    wsb_text_t   text;

    if (op->topics) {
        ngx_http_ws_bus_topics_mute(wc, op->topics);
        return NGX_OK;
    }

    if (op->each) {
        return ngx_http_ws_bus_topics_remove(wc, op);
    }

    i = ngx_http_ws_bus_subscribe_place(wc, op->ordinal);

    if (i == wc->nsubs || wc->subs[i]->ordinal != op->ordinal) {
        wsb_op_not_found(op);
        ngx_http_ws_bus_op_refuse(wc, op);
        return NGX_DECLINED;
    }

    sub = wc->subs[i];

    wc->nsubs--;
    ngx_memmove(&wc->subs[i], &wc->subs[i + 1],
                (wc->nsubs - i) * sizeof(wsb_sub_t *));

    if (sub->live) {
        wc->conf->requests->dead(wc, sub->ordinal);
    }

    ngx_http_ws_bus_out_unqueue(wc, sub->ordinal);
    ngx_http_ws_bus_subscribe_remove(wc, sub);

    if (wc->conf->codec->unsubscribed != NULL) {
        ngx_memzero(&text, sizeof(wsb_text_t));

        wc->conf->codec->unsubscribed(&text, op);

        ngx_http_ws_bus_op_reply(wc, &text);
    }

    return NGX_OK;
}


wsb_sub_t *
ngx_http_ws_bus_subscribe_find(ngx_http_ws_bus_client_t *wc, uint32_t ordinal)
{
    uint32_t  i;

    i = ngx_http_ws_bus_subscribe_place(wc, ordinal);

    return i < wc->nsubs && wc->subs[i]->ordinal == ordinal ? wc->subs[i]
                                                            : NULL;
}


/* Of the first whose ordinal is not less; they are in order. */

static uint32_t
ngx_http_ws_bus_subscribe_place(ngx_http_ws_bus_client_t *wc,
    uint32_t ordinal)
{
    uint32_t  low, high, mid;

    low = 0;
    high = wc->nsubs;

    while (low < high) {
        mid = (low + high) / 2;

        if (wc->subs[mid]->ordinal < ordinal) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }

    return low;
}


static void
ngx_http_ws_bus_subscribe_remove(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub)
{
    uint32_t                   n, text, left, cost;
    wsb_key_t                  keys[WSB_FILTER_VALUES];
    wsb_node_t                *node;
    ngx_http_ws_bus_worker_t  *w;

    w = wc->fan->worker;
    node = sub->node;

    /* the node may be gone before the lock is held */

    n = wsb_index_node_keys(wc->fan->index, node, keys);
    left = node->nsubs - 1;
    text = node->text;
    cost = sub->cost;

    wc->cost -= cost;

    wc->nkeys -= n;
    wc->filters -= sub->bytes;

    wsb_index_remove(wc->fan->index, sub);
    wsb_free(sub);

    ngx_shmtx_lock(&w->shpool->mutex);

    wsb_interest_remove_locked(w->zone, (unsigned) w->slot, keys, n);

    ngx_http_ws_bus_subscribe_give_quotas_locked(wc, n, cost);

    wsb_filter_text_count_locked(w->zone, text, left);

    ngx_shmtx_unlock(&w->shpool->mutex);

    ngx_http_ws_bus_client_counters(w)->subscriptions--;
}


/*
 * One client may have thousands of keys, and many can close at once: what
 * does not fit into the turn goes on in the next ones.
 */

void
ngx_http_ws_bus_subscribe_leave(ngx_http_ws_bus_client_t *wc)
{
    uint64_t                until;
    ngx_http_ws_bus_fan_t  *fan;

    if (wc->nsubs == 0) {
        return;
    }

    fan = wc->fan;
    until = ngx_http_ws_bus_turn_began() + NGX_HTTP_WS_BUS_LEAVE_TIME;

    wc->nleft = wc->nsubs;
    wc->nsubs = 0;

    if (fan->leaving == NULL
        && ngx_http_ws_bus_subscribe_leave_until(wc, until) == NGX_OK)
    {
        return;
    }

    *fan->leaving_last = wc;
    fan->leaving_last = &wc->leaving;

    ngx_post_event(&fan->leave_event, &ngx_posted_next_events);
}


/* NGX_AGAIN: it has been long enough. */

static ngx_int_t
ngx_http_ws_bus_subscribe_leave_until(ngx_http_ws_bus_client_t *wc,
    uint64_t until)
{
    do {

        if (ngx_http_ws_bus_turn_now() >= until) {
            return NGX_AGAIN;
        }

        ngx_http_ws_bus_subscribe_remove(wc, wc->subs[wc->nleft - 1]);

    } while (--wc->nleft > 0);

    return NGX_OK;
}


void
ngx_http_ws_bus_subscribe_leave_handler(ngx_event_t *ev)
{
    uint64_t                   until;
    ngx_http_ws_bus_client_t  *wc;
    ngx_http_ws_bus_fan_t     *fan;

    fan = ev->data;

    ngx_http_ws_bus_turn();

    /* a share of its own, whatever else the turn has been long for */

    until = ngx_http_ws_bus_turn_now() + NGX_HTTP_WS_BUS_LEAVE_TIME;

    while (fan->leaving != NULL) {
        wc = fan->leaving;

        if (ngx_http_ws_bus_subscribe_leave_until(wc, until) != NGX_OK) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        fan->leaving = wc->leaving;

        if (fan->leaving == NULL) {
            fan->leaving_last = &fan->leaving;
        }

        if (wc->closed) {
            ngx_http_ws_bus_client_discard(wc);
        }
    }
}
