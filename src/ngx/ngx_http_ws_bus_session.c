/*
 * A client's messages: the codec makes operations of them, here they are
 * carried out.
 */

#include "ngx_http_ws_bus_module.h"


static void ngx_http_ws_bus_subscribe_by_itself(ngx_http_ws_bus_conn_t *wc);
static void ngx_http_ws_bus_binary(ngx_http_ws_bus_conn_t *wc);
static void ngx_http_ws_bus_ignore(ngx_http_ws_bus_conn_t *wc,
    const char *why);
static void ngx_http_ws_bus_subscribe(ngx_http_ws_bus_conn_t *wc,
    wsb_op_t *op);
static wsb_sub_t *ngx_http_ws_bus_add_sub(ngx_http_ws_bus_conn_t *wc,
    wsb_op_t *op, const char **code, const char **text);
static ngx_int_t ngx_http_ws_bus_count_in(ngx_http_ws_bus_conn_t *wc,
    wsb_sub_t *sub, wsb_plan_t *plan, wsb_op_t *op);
static void ngx_http_ws_bus_start(ngx_http_ws_bus_conn_t *wc, wsb_sub_t *sub,
    wsb_op_t *op);
static void ngx_http_ws_bus_rewind(ngx_http_ws_bus_conn_t *wc,
    wsb_sub_t *sub, uint64_t from);
static void ngx_http_ws_bus_unsubscribe(ngx_http_ws_bus_conn_t *wc,
    wsb_op_t *op);
static void ngx_http_ws_bus_remove_sub(ngx_http_ws_bus_conn_t *wc,
    wsb_sub_t *sub);
static void ngx_http_ws_bus_pong(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op);
static void ngx_http_ws_bus_auth(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op);
static void ngx_http_ws_bus_refuse(ngx_http_ws_bus_conn_t *wc,
    wsb_op_t *op);
static void ngx_http_ws_bus_error(ngx_http_ws_bus_conn_t *wc, wsb_str_t id,
    const char *code, wsb_str_t text);


void
ngx_http_ws_bus_welcome(ngx_http_ws_bus_conn_t *wc)
{
    wsb_str_t   id;
    wsb_text_t  text;
    u_char      name[sizeof("conn_") - 1 + 32];

    if (wc->worker == NULL) {
        return;
    }

    if (wc->conf->codec->welcome != NULL) {

        ngx_memcpy(name, "conn_", 5);
        ngx_hex_dump(name + 5, wc->id, sizeof(wc->id));

        id.data = name;
        id.len = sizeof(name);

        ngx_memzero(&text, sizeof(wsb_text_t));

        wc->conf->codec->welcome(&text, id);

        ngx_http_ws_bus_send_text(wc, &text);
    }

    if (wc->conf->codec->implicit && !wc->closed) {
        ngx_http_ws_bus_subscribe_by_itself(wc);
    }
}


/*
 * A client that need not subscribe counts on what comes after its handshake:
 * the 101 was sent before, and other workers may have published since.
 */

static void
ngx_http_ws_bus_subscribe_by_itself(ngx_http_ws_bus_conn_t *wc)
{
    wsb_op_t     op;
    wsb_sub_t   *sub;
    const char  *code, *text;

    ngx_memzero(&op, sizeof(wsb_op_t));

    op.type = WSB_OP_SUBSCRIBE;
    op.since = WSB_SINCE_ID;
    op.since_epoch = wc->worker->zone->epoch;
    op.since_seq = wc->cursor.seq - 1;

    sub = ngx_http_ws_bus_add_sub(wc, &op, &code, &text);

    if (sub == NULL) {
        ngx_log_error(NGX_LOG_INFO, wc->connection->log, 0,
                      "websocket client cannot be subscribed: %s", code);
        ngx_http_ws_bus_start_close(wc, WSB_CLOSE_TRY_LATER, code);
        return;
    }

    ngx_http_ws_bus_start(wc, sub, &op);
}


void
ngx_http_ws_bus_message(ngx_http_ws_bus_conn_t *wc, const wsb_message_t *msg)
{
    wsb_rc_t   rc;
    wsb_op_t   op;
    wsb_str_t  message;

    if (msg->opcode == WSB_FRAME_PING) {
        ngx_http_ws_bus_heard(wc, WSB_LIFE_CONTROL);
        ngx_http_ws_bus_send_frame(wc, WSB_FRAME_PONG, msg->data, msg->len);
        return;
    }

    if (msg->opcode == WSB_FRAME_PONG) {
        ngx_http_ws_bus_heard(wc, WSB_LIFE_CONTROL);
        return;
    }

    if (wc->logged != NULL) {
        wc->logged->messages_in++;
    }

    if (ngx_http_ws_bus_count_message(wc) != NGX_OK) {

        if (wc->worker != NULL) {
            ngx_http_ws_bus_counters(wc->worker)->limited++;
        }

        ngx_http_ws_bus_start_close(wc, WSB_CLOSE_POLICY,
                                    "too many messages");
        return;
    }

    if (wc->worker == NULL) {

        if (ngx_http_ws_bus_send_deflated(wc, msg->opcode, msg->data,
                                          msg->len)
            == NGX_DECLINED)
        {
            ngx_http_ws_bus_send_frame(wc, msg->opcode, msg->data, msg->len);
        }

        return;
    }

    ngx_http_ws_bus_counters(wc->worker)->received++;

    if (msg->opcode == WSB_FRAME_BINARY) {
        ngx_http_ws_bus_binary(wc);
        return;
    }

    ngx_memzero(&op, sizeof(wsb_op_t));

    message.data = msg->data;
    message.len = msg->len;

    rc = wc->conf->codec->decode(message, &op);

    if (rc != WSB_OK) {
        wsb_op_done(&op);
        ngx_http_ws_bus_start_close(wc, WSB_CLOSE_INTERNAL, "no memory");
        return;
    }

    switch (op.type) {

    case WSB_OP_SUBSCRIBE:
        ngx_http_ws_bus_subscribe(wc, &op);
        break;

    case WSB_OP_UNSUBSCRIBE:
        ngx_http_ws_bus_unsubscribe(wc, &op);
        break;

    case WSB_OP_ASK_PONG:
        ngx_http_ws_bus_pong(wc, &op);
        break;

    case WSB_OP_AUTH:
        ngx_http_ws_bus_auth(wc, &op);
        break;

    case WSB_OP_REFUSE:
        ngx_http_ws_bus_refuse(wc, &op);
        break;

    default: /* WSB_OP_NOTHING */
        ngx_http_ws_bus_ignore(wc, op.code);
        break;
    }

    wsb_op_done(&op);
}


static void
ngx_http_ws_bus_binary(ngx_http_ws_bus_conn_t *wc)
{
    static const wsb_str_t  none = wsb_null_string;
    static const wsb_str_t  text =
                       wsb_string("Binary messages are not accepted");

    ngx_http_ws_bus_error(wc, none, "binary", text);
}


/* Nothing of what it says may stand in the log. */

static void
ngx_http_ws_bus_ignore(ngx_http_ws_bus_conn_t *wc, const char *why)
{
    ngx_http_ws_bus_counters(wc->worker)->ignored++;

    ngx_log_error(NGX_LOG_INFO, wc->connection->log, 0,
                  "websocket client's message is ignored: %s", why);
}


static void
ngx_http_ws_bus_subscribe(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op)
{
    wsb_str_t    message;
    wsb_sub_t   *sub;
    const char  *code, *text;

    sub = ngx_http_ws_bus_add_sub(wc, op, &code, &text);

    if (sub == NULL) {
        message.data = (const uint8_t *) text;
        message.len = ngx_strlen(text);

        ngx_http_ws_bus_error(wc, op->id, code, message);
        return;
    }

    ngx_http_ws_bus_start(wc, sub, op);
}


/* NULL: refused, and nothing has changed. */

static wsb_sub_t *
ngx_http_ws_bus_add_sub(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op,
    const char **code, const char **text)
{
    uint32_t     n;
    wsb_str_t    tenant;
    ngx_int_t    rc;
    wsb_sub_t   *sub, **subs;
    wsb_plan_t  *plan;

    if (wc->nsubs >= (ngx_uint_t) wc->conf->max_subscriptions) {
        ngx_http_ws_bus_counters(wc->worker)->limited++;

        *code = "too_many_subscriptions";
        *text = "Too many subscriptions on this connection";
        return NULL;
    }

    *code = "no_memory";
    *text = "Subscription refused: out of memory";

    if (wc->nsubs == wc->nalloc) {
        n = wc->nalloc ? wc->nalloc * 2 : 1;

        subs = wsb_realloc(wc->subs, n * sizeof(wsb_sub_t *));
        if (subs == NULL) {
            return NULL;
        }

        wc->subs = subs;
        wc->nalloc = n;
    }

    tenant.data = wc->tenant.data;
    tenant.len = wc->tenant.len;

    plan = wsb_plan_create(wc->worker->zone->key, tenant, &op->filter,
                           wc->forced);
    if (plan == NULL) {
        return NULL;
    }

    sub = wsb_malloc(sizeof(wsb_sub_t));

    if (sub != NULL) {
        ngx_memzero(sub, sizeof(wsb_sub_t));

        sub->owner = wc;
        sub->ordinal = wc->last_ordinal + 1;

        if (wsb_index_add(wc->worker->index, plan, sub) != WSB_OK) {
            wsb_free(sub);
            sub = NULL;
        }
    }

    rc = sub ? ngx_http_ws_bus_count_in(wc, sub, plan, op) : NGX_OK;

    if (rc != NGX_OK) {

        if (rc == NGX_BUSY) {
            ngx_http_ws_bus_counters(wc->worker)->limited++;

            *code = "too_many_subscriptions";
            *text = "Too many subscriptions";

        } else {
            *code = "registry_full";
            *text = "Subscription refused: the registry of the bus is full";
        }

        wsb_index_remove(wc->worker->index, sub);
        wsb_free(sub);
        sub = NULL;
    }

    wsb_free(plan);

    if (sub == NULL) {
        return NULL;
    }

    wc->last_ordinal++;
    wc->subs[wc->nsubs++] = sub;

    ngx_http_ws_bus_counters(wc->worker)->subscriptions++;

    return sub;
}


/*
 * Under one hold of the mutex: what is pending is taken, so that whatever a
 * later take skips is newer than this subscription, and the subscription is
 * counted in.  It begins behind the head.  NGX_BUSY: there are as many as the
 * connection's keys may have; NGX_DECLINED: the registry is full.
 */

static ngx_int_t
ngx_http_ws_bus_count_in(ngx_http_ws_bus_conn_t *wc, wsb_sub_t *sub,
    wsb_plan_t *plan, wsb_op_t *op)
{
    wsb_rc_t                   rc;
    wsb_key_t                  tenant;
    wsb_str_t                  filter;
    wsb_text_t                 text;
    wsb_node_t                *node;
    ngx_http_ws_bus_worker_t  *w;

    w = wc->worker;
    node = sub->node;

    ngx_memzero(&text, sizeof(wsb_text_t));

    if (node->nsubs == 1) {
        /* for the status page */
        wc->conf->codec->filter(&text, &op->filter);
    }

    filter.data = text.data;
    filter.len = text.failed ? 0 : text.len;

    tenant = ngx_http_ws_bus_tenant_hash(w->zone, &wc->tenant);

    ngx_shmtx_lock(&w->shpool->mutex);

    rc = WSB_OK;

    if (wc->quotas != NULL) {
        rc = wsb_quota_take_locked(w->zone, (unsigned) w->slot,
                                   wc->quotas->subs,
                                   (unsigned) wc->quotas->nsubs);
    }

    if (rc == WSB_OK) {
        rc = wsb_interest_add_locked(w->zone, (unsigned) w->slot, plan->keys,
                                     plan->nkeys, plan->mask);

        if (rc != WSB_OK && wc->quotas != NULL) {
            wsb_quota_give_locked(w->zone, (unsigned) w->slot,
                                  wc->quotas->subs,
                                  (unsigned) wc->quotas->nsubs);
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
        return rc == WSB_CONFLICT ? NGX_BUSY : NGX_DECLINED;
    }

    if (!wsb_hand_empty(&w->hand)) {
        ngx_post_event(&w->event, &ngx_posted_events);
    }

    return NGX_OK;
}


/*
 * Where it begins: with what comes from now on, or after an event of the
 * past, as far back as that is retained.
 */

static void
ngx_http_ws_bus_start(ngx_http_ws_bus_conn_t *wc, wsb_sub_t *sub,
    wsb_op_t *op)
{
    int          recovered;
    u_char       id[WSB_ID_LEN], to[WSB_ID_LEN];
    uint64_t     head, oldest, from, gap;
    wsb_str_t    last, end, tenant;
    wsb_text_t   text;
    wsb_zone_t  *zone;

    zone = wc->worker->zone;
    head = sub->from - 1;
    oldest = wsb_log_oldest(&zone->log);

    from = sub->from;
    recovered = op->since == WSB_SINCE_NONE ? -1 : 1;
    gap = 0;

    if (op->since == WSB_SINCE_FIRST) {
        from = oldest;

    } else if (op->since == WSB_SINCE_ID) {

        if (op->since_epoch != zone->epoch || op->since_seq + 1 < oldest) {
            /* of another log, or evicted: all there is */
            recovered = 0;
            from = oldest;
            gap = oldest - 1;

        } else if (op->since_seq > head) {
            /* of the future */
            recovered = 0;
            gap = head;

        } else {
            from = op->since_seq + 1;
        }
    }

    if (op->since != WSB_SINCE_NONE) {
        wc->aware = 1;
        ngx_http_ws_bus_rewind(wc, sub, from);
    }

    if (wc->conf->codec->subscribed != NULL) {

        last.data = id;
        last.len = wsb_id(id, zone->epoch, sub->from - 1);

        ngx_memzero(&text, sizeof(wsb_text_t));

        wc->conf->codec->subscribed(&text, op, sub->ordinal, last, recovered);

        ngx_http_ws_bus_send_text(wc, &text);
    }

    if (recovered != 0 || wc->closed) {
        return;
    }

    end.data = to;
    end.len = wsb_id(to, zone->epoch, gap);

    ngx_memzero(&text, sizeof(wsb_text_t));

    tenant.data = wc->tenant.data;
    tenant.len = wc->tenant.len;

    wc->conf->codec->gap(&text, tenant, sub->ordinal, 1, op->since_text, end,
                         "history");

    ngx_http_ws_bus_counters(wc->worker)->gaps++;
    wc->gaps++;

    ngx_http_ws_bus_send_text(wc, &text);
}


/*
 * The position goes back to `from`, or stays where it is if it is lower
 * already.  The other subscriptions are kept from what they have been sent.
 */

static void
ngx_http_ws_bus_rewind(ngx_http_ws_bus_conn_t *wc, wsb_sub_t *sub,
    uint64_t from)
{
    uint32_t  i, ordinal;
    uint64_t  seq;

    if (from >= sub->from) {
        return;
    }

    ngx_http_ws_bus_fall_behind(wc);
    ngx_http_ws_bus_position(wc, &seq, &ordinal);

    for (i = 0; i < wc->nsubs; i++) {
        if (wc->subs[i] != sub) {
            wc->subs[i]->from = ngx_http_ws_bus_next(wc->subs[i], seq,
                                                     ordinal);
        }
    }

    sub->from = from;

    if (from <= seq) {
        wc->cursor.seq = from;
        wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
        wc->ordinal = 0;
    }

    if (!wc->blocked) {
        ngx_http_ws_bus_catch_up(wc);
    }
}


static void
ngx_http_ws_bus_unsubscribe(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op)
{
    uint32_t    low, high, mid;
    wsb_sub_t  *sub;
    wsb_text_t  text;

    low = 0;
    high = wc->nsubs;

    while (low < high) {
        mid = (low + high) / 2;

        if (wc->subs[mid]->ordinal < op->ordinal) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }

    if (low == wc->nsubs || wc->subs[low]->ordinal != op->ordinal) {
        wsb_op_not_found(op);
        ngx_http_ws_bus_refuse(wc, op);
        return;
    }

    sub = wc->subs[low];

    wc->nsubs--;
    ngx_memmove(&wc->subs[low], &wc->subs[low + 1],
                (wc->nsubs - low) * sizeof(wsb_sub_t *));

    ngx_http_ws_bus_unqueue(wc, sub->ordinal);
    ngx_http_ws_bus_remove_sub(wc, sub);

    if (wc->conf->codec->unsubscribed == NULL) {
        return;
    }

    ngx_memzero(&text, sizeof(wsb_text_t));

    wc->conf->codec->unsubscribed(&text, op);

    ngx_http_ws_bus_send_text(wc, &text);
}


static void
ngx_http_ws_bus_remove_sub(ngx_http_ws_bus_conn_t *wc, wsb_sub_t *sub)
{
    uint32_t                   n, text, left;
    wsb_key_t                  keys[WSB_FILTER_VALUES];
    wsb_node_t                *node;
    ngx_http_ws_bus_worker_t  *w;

    w = wc->worker;
    node = sub->node;

    /* the node may be gone before the lock is held */

    n = wsb_node_keys(w->index, node, keys);
    left = node->nsubs - 1;
    text = node->text;

    wsb_index_remove(w->index, sub);
    wsb_free(sub);

    ngx_shmtx_lock(&w->shpool->mutex);

    wsb_interest_remove_locked(w->zone, (unsigned) w->slot, keys, n);

    if (wc->quotas != NULL) {
        wsb_quota_give_locked(w->zone, (unsigned) w->slot, wc->quotas->subs,
                              (unsigned) wc->quotas->nsubs);
    }

    wsb_filter_text_count_locked(w->zone, text, left);

    ngx_shmtx_unlock(&w->shpool->mutex);

    ngx_http_ws_bus_counters(w)->subscriptions--;
}


void
ngx_http_ws_bus_unsubscribe_all(ngx_http_ws_bus_conn_t *wc)
{
    while (wc->nsubs > 0) {
        wc->nsubs--;

        ngx_http_ws_bus_unqueue(wc, wc->subs[wc->nsubs]->ordinal);
        ngx_http_ws_bus_remove_sub(wc, wc->subs[wc->nsubs]);
    }
}


void
ngx_http_ws_bus_gap(ngx_http_ws_bus_conn_t *wc, uint64_t to,
    const char *reason)
{
    u_char      from_id[WSB_ID_LEN], to_id[WSB_ID_LEN];
    uint32_t    i, ordinal;
    uint64_t    seq, next, epoch;
    wsb_str_t   from, end, tenant;
    wsb_sub_t  *sub;
    wsb_text_t  text;

    epoch = wc->worker->zone->epoch;

    end.data = to_id;
    end.len = wsb_id(to_id, epoch, to);

    tenant.data = wc->tenant.data;
    tenant.len = wc->tenant.len;

    ngx_http_ws_bus_position(wc, &seq, &ordinal);

    for (i = 0; i < wc->nsubs; i++) {
        sub = wc->subs[i];
        next = ngx_http_ws_bus_next(sub, seq, ordinal);

        if (next > to) {
            continue;
        }

        sub->from = to + 1;

        from.data = from_id;
        from.len = wsb_id(from_id, epoch, next - 1);

        ngx_memzero(&text, sizeof(wsb_text_t));

        wc->conf->codec->gap(&text, tenant, sub->ordinal, wc->aware, from,
                             end, reason);

        ngx_http_ws_bus_counters(wc->worker)->gaps++;
        wc->gaps++;

        ngx_http_ws_bus_send_text(wc, &text);

        if (wc->closed) {
            return;
        }
    }
}


void
ngx_http_ws_bus_tell_position(ngx_http_ws_bus_conn_t *wc)
{
    u_char      id[WSB_ID_LEN];
    uint64_t    last;
    wsb_str_t   last_id;
    wsb_text_t  text;

    if (!wc->aware || wc->nsubs == 0 || wc->conf->codec->position == NULL) {
        return;
    }

    last = ngx_http_ws_bus_last_id(wc);

    if (last <= wc->said) {
        return;
    }

    wc->said = last;

    last_id.data = id;
    last_id.len = wsb_id(id, wc->worker->zone->epoch, last);

    ngx_memzero(&text, sizeof(wsb_text_t));

    wc->conf->codec->position(&text, last_id);

    ngx_http_ws_bus_send_text(wc, &text);
}


/* A last_id smaller than one already said is left out: it would take back. */

static void
ngx_http_ws_bus_pong(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op)
{
    u_char      id[WSB_ID_LEN];
    uint64_t    last;
    wsb_str_t   last_id;
    wsb_text_t  text;

    last = ngx_http_ws_bus_last_id(wc);

    last_id.data = NULL;
    last_id.len = 0;

    if (last >= wc->said) {
        wc->said = last;
        last_id.data = id;
        last_id.len = wsb_id(id, wc->worker->zone->epoch, last);
    }

    ngx_memzero(&text, sizeof(wsb_text_t));

    wc->conf->codec->pong(&text, op, last_id);

    ngx_http_ws_bus_send_text(wc, &text);
}


static void
ngx_http_ws_bus_auth(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op)
{
    uint64_t     expires;
    ngx_int_t    rc;
    wsb_text_t   text;
    const char  *reason;

    rc = ngx_http_ws_bus_jwt_renew(wc, op->token, &expires, &reason);

    switch (rc) {

    case NGX_OK:
        ngx_memzero(&text, sizeof(wsb_text_t));

        wc->conf->codec->renewed(&text, op, expires);

        ngx_http_ws_bus_send_text(wc, &text);
        return;

    case NGX_DONE:
        return;

    case NGX_ABORT:
        wsb_op_refuse(op, "bad_token", "Token refused: %s", reason);
        break;

    case NGX_BUSY:
        wsb_op_refuse(op, "too_many_tokens",
                      "Token not looked at: too many in a second");
        break;

    case NGX_DECLINED:
        wsb_op_refuse(op, "unsupported",
                      "This connection has no token that could be renewed");
        break;

    default:
        ngx_http_ws_bus_start_close(wc, WSB_CLOSE_INTERNAL, "no memory");
        return;
    }

    ngx_http_ws_bus_refuse(wc, op);
}


static void
ngx_http_ws_bus_refuse(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op)
{
    wsb_str_t  message;

    message.data = op->text.data;
    message.len = op->text.len;

    if (op->text.failed) {
        ngx_http_ws_bus_close_conn(wc);
        return;
    }

    ngx_http_ws_bus_error(wc, op->id, op->code, message);
}


static void
ngx_http_ws_bus_error(ngx_http_ws_bus_conn_t *wc, wsb_str_t id,
    const char *code, wsb_str_t message)
{
    wsb_text_t  text;

    if (wc->conf->codec->error == NULL) {
        ngx_http_ws_bus_ignore(wc, code);
        return;
    }

    ngx_http_ws_bus_counters(wc->worker)->errors++;

    ngx_memzero(&text, sizeof(wsb_text_t));

    wc->conf->codec->error(&text, id, code, message);

    ngx_http_ws_bus_send_text(wc, &text);
}
