/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A client's messages: the codec makes operations of them, here they are
 * carried out.
 */

#include "ngx_http_ws_bus_client.h"


static void ngx_http_ws_bus_op_too_many(ngx_http_ws_bus_client_t *wc,
    const char *what);
static void ngx_http_ws_bus_op_ignore(ngx_http_ws_bus_client_t *wc,
    const char *why);
static void ngx_http_ws_bus_op_pong(ngx_http_ws_bus_client_t *wc, wsb_op_t *op);
static void ngx_http_ws_bus_op_auth(ngx_http_ws_bus_client_t *wc, wsb_op_t *op);
static void ngx_http_ws_bus_op_request(ngx_http_ws_bus_client_t *wc,
    wsb_op_t *op);
static void ngx_http_ws_bus_op_link(ngx_http_ws_bus_op_t *kept,
    ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_op_unlink(ngx_http_ws_bus_op_t *kept);
static ngx_int_t ngx_http_ws_bus_op_answered(ngx_http_ws_bus_op_t *kept,
    ngx_http_ws_bus_client_t *wc);


void
ngx_http_ws_bus_op_welcome(ngx_http_ws_bus_client_t *wc)
{
    wsb_str_t   id;
    wsb_text_t  text;
    u_char      name[sizeof("conn_") - 1 + 32];

    if (wc->conf->codec->welcome != NULL) {

        ngx_memcpy(name, "conn_", 5);
        ngx_hex_dump(name + 5, wc->id, sizeof(wc->id));

        id.data = name;
        id.len = sizeof(name);

        ngx_memzero(&text, sizeof(wsb_text_t));

        wc->conf->codec->welcome(&text, wc->context, id);

        ngx_http_ws_bus_op_reply(wc, &text);
    }

    if (wc->conf->codec->implicit && !wc->closed) {
        ngx_http_ws_bus_subscribe_by_itself(wc);
    }
}


void
ngx_http_ws_bus_op_reply(ngx_http_ws_bus_client_t *wc, wsb_text_t *text)
{
    if (text->failed) {
        wsb_text_done(text);
        ngx_http_ws_bus_client_close(wc);
        return;
    }

    wc->transport->answer(wc, text->data, text->len);

    wsb_text_done(text);
}


void
ngx_http_ws_bus_op_say(ngx_http_ws_bus_client_t *wc, const u_char *data,
    size_t len)
{
    wc->transport->answer(wc, data, len);

    if (wc->closed) {
        return;
    }

    ngx_http_ws_bus_out_mark_dirty(wc);

    if (!wc->fan->worker->event.posted) {
        ngx_post_event(&wc->fan->worker->event, &ngx_posted_events);
    }
}


ngx_int_t
ngx_http_ws_bus_op_count(ngx_http_ws_bus_client_t *wc)
{
    if (wc->logged != NULL) {
        wc->logged->messages_in++;
    }

    if (ngx_http_ws_bus_limit_message(wc, 0) == NGX_OK) {
        return NGX_OK;
    }

    ngx_http_ws_bus_op_too_many(wc, "too many messages");

    return NGX_DECLINED;
}


/* The answer to our own Ping is not counted: the rate may be below its. */

ngx_int_t
ngx_http_ws_bus_op_control(ngx_http_ws_bus_client_t *wc, ngx_uint_t answer)
{
    ngx_http_ws_bus_heartbeat_heard(wc, answer ? WSB_LIFE_PONG
                                               : WSB_LIFE_CONTROL);

    if (answer && wc->asked) {
        wc->asked = 0;
        return NGX_OK;
    }

    if (ngx_http_ws_bus_limit_message(wc, 1) == NGX_OK) {
        return NGX_OK;
    }

    ngx_http_ws_bus_op_too_many(wc, "too many control frames");

    return NGX_DECLINED;
}


static void
ngx_http_ws_bus_op_too_many(ngx_http_ws_bus_client_t *wc, const char *what)
{
    if (wc->fan->worker != NULL) {
        ngx_http_ws_bus_client_counters(wc->fan->worker)->limited++;
    }

    ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_LIMIT, what);
}


void
ngx_http_ws_bus_op_text(ngx_http_ws_bus_client_t *wc, wsb_str_t message)
{
    wsb_rc_t  rc;
    wsb_op_t  op;

    ngx_http_ws_bus_client_counters(wc->fan->worker)->messages_received++;

    ngx_memzero(&op, sizeof(wsb_op_t));

    rc = wc->conf->codec->decode(wc->context, message, &op);

    if (rc != WSB_OK) {
        wsb_op_done(&op);
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_INTERNAL,
                                   "no memory");
        return;
    }

    switch (op.type) {

    case WSB_OP_SUBSCRIBE:
        if (wc->conf->asked & NGX_HTTP_WS_BUS_ASKED_SUBSCRIBE) {
            wc->conf->requests->request(wc, &op);
            break;
        }

        (void) ngx_http_ws_bus_subscribe(wc, &op, wc->forced);
        break;

    case WSB_OP_UNSUBSCRIBE:
        if (wc->conf->asked & NGX_HTTP_WS_BUS_ASKED_UNSUBSCRIBE) {
            wc->conf->requests->request(wc, &op);
            break;
        }

        (void) ngx_http_ws_bus_subscribe_end(wc, &op);
        break;

    case WSB_OP_SNAPSHOT:
        ngx_http_ws_bus_live_again(wc, &op);
        break;

    case WSB_OP_ASK_PONG:
        ngx_http_ws_bus_op_pong(wc, &op);
        break;

    case WSB_OP_AUTH:
        ngx_http_ws_bus_op_auth(wc, &op);
        break;

    case WSB_OP_REQUEST:
        ngx_http_ws_bus_op_request(wc, &op);
        break;

    case WSB_OP_REFUSE:
        ngx_http_ws_bus_op_refuse(wc, &op);
        break;

    default: /* WSB_OP_NOTHING */
        ngx_http_ws_bus_op_ignore(wc, op.code);
        break;
    }

    wsb_op_done(&op);
}


void
ngx_http_ws_bus_op_binary(ngx_http_ws_bus_client_t *wc)
{
    static const wsb_str_t  none = wsb_null_string;
    static const wsb_str_t  text =
                       wsb_string("Binary messages are not accepted");

    ngx_http_ws_bus_client_counters(wc->fan->worker)->messages_received++;

    ngx_http_ws_bus_op_error(wc, none, "binary", text);
}


/* Nothing of what it says may stand in the log. */

static void
ngx_http_ws_bus_op_ignore(ngx_http_ws_bus_client_t *wc, const char *why)
{
    ngx_http_ws_bus_client_counters(wc->fan->worker)->messages_ignored++;

    ngx_log_error(NGX_LOG_INFO, wc->connection->log, 0,
                  "websocket client's message is ignored: %s", why);
}


void
ngx_http_ws_bus_op_gaps(ngx_http_ws_bus_client_t *wc, uint64_t to,
    const char *reason)
{
    u_char           id[WSB_ID_LEN];
    uint32_t         i;
    uint64_t         next;
    wsb_str_t        from;
    wsb_sub_t       *sub;
    wsb_position_t   at;

    at = ngx_http_ws_bus_position(wc);

    for (i = 0; i < wc->nsubs; i++) {
        sub = wc->subs[i];
        next = wsb_position_next(at, sub->from, sub->ordinal);

        if (next > to) {
            continue;
        }

        sub->from = to + 1;

        from.data = id;
        from.len = wsb_id(id, wc->fan->worker->zone->epoch, next - 1);

        ngx_http_ws_bus_op_gap(wc, sub->ordinal, from, to, reason);

        if (wc->closed) {
            return;
        }
    }
}


void
ngx_http_ws_bus_op_gap(ngx_http_ws_bus_client_t *wc, uint32_t ordinal,
    wsb_str_t from, uint64_t to, const char *reason)
{
    u_char      id[WSB_ID_LEN];
    wsb_str_t   end, tenant;
    wsb_sub_t  *sub;
    wsb_text_t  text;

    if (wc->conf->codec->gap == NULL) {
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_LATER, "too slow");
        return;
    }

    end.data = id;
    end.len = wsb_id(id, wc->fan->worker->zone->epoch, to);

    tenant.data = wc->tenant.data;
    tenant.len = wc->tenant.len;

    ngx_memzero(&text, sizeof(wsb_text_t));

    wc->conf->codec->gap(&text, wc->context, tenant, wc->id, ordinal,
                         wc->aware, from, end, reason);

    ngx_http_ws_bus_client_counters(wc->fan->worker)->gaps++;
    wc->gaps++;

    if (wc->asker != NULL) {
        wc->conf->requests->missed(wc);
    }

    ngx_http_ws_bus_op_reply(wc, &text);

    sub = wc->closed ? NULL : ngx_http_ws_bus_subscribe_find(wc, ordinal);

    if (sub != NULL) {
        ngx_http_ws_bus_live_stale(wc, sub, to + 1);
    }
}


void
ngx_http_ws_bus_op_position(ngx_http_ws_bus_client_t *wc)
{
    u_char      id[WSB_ID_LEN];
    uint64_t    last;
    wsb_str_t   last_id;
    wsb_text_t  text;

    if (!wc->aware || wc->nsubs == 0 || wc->conf->codec->position == NULL) {
        return;
    }

    last = ngx_http_ws_bus_position_last_id(wc);

    if (last <= wc->said) {
        return;
    }

    wc->said = last;

    last_id.data = id;
    last_id.len = wsb_id(id, wc->fan->worker->zone->epoch, last);

    ngx_memzero(&text, sizeof(wsb_text_t));

    wc->conf->codec->position(&text, last_id);

    ngx_http_ws_bus_op_reply(wc, &text);
}


/* A last_id smaller than one already said is left out: it would take back. */

static void
ngx_http_ws_bus_op_pong(ngx_http_ws_bus_client_t *wc, wsb_op_t *op)
{
    u_char      id[WSB_ID_LEN];
    uint64_t    last;
    wsb_str_t   last_id;
    wsb_text_t  text;

    last = ngx_http_ws_bus_position_last_id(wc);

    last_id.data = NULL;
    last_id.len = 0;

    if (last >= wc->said) {
        wc->said = last;
        last_id.data = id;
        last_id.len = wsb_id(id, wc->fan->worker->zone->epoch, last);
    }

    ngx_memzero(&text, sizeof(wsb_text_t));

    wc->conf->codec->pong(&text, op, last_id);

    ngx_http_ws_bus_op_reply(wc, &text);
}


static void
ngx_http_ws_bus_op_auth(ngx_http_ws_bus_client_t *wc, wsb_op_t *op)
{
    uint64_t     expires;
    ngx_int_t    rc;
    wsb_text_t   text;
    const char  *reason;

    rc = ngx_http_ws_bus_token_renew(wc, op->token, &expires, &reason);

    switch (rc) {

    case NGX_OK:
        ngx_memzero(&text, sizeof(wsb_text_t));

        wc->conf->codec->renewed(&text, op, expires);

        ngx_http_ws_bus_op_reply(wc, &text);
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
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_INTERNAL,
                                   "no memory");
        return;
    }

    ngx_http_ws_bus_op_refuse(wc, op);
}


/* Without a backend: some protocols have a word for an unknown entity. */

static void
ngx_http_ws_bus_op_request(ngx_http_ws_bus_client_t *wc, wsb_op_t *op)
{
    wsb_str_t    schema, entity;
    const char  *code;

    if (wc->conf->asked & NGX_HTTP_WS_BUS_ASKED_REQUEST) {
        wc->conf->requests->request(wc, op);
        return;
    }

    schema = op->request.schema;
    entity = op->request.entity;

    if (schema.len == 0 && wc->context != NULL) {
        schema = wc->context->schema;
    }

    code = wc->conf->codec->no_backend;

    if (entity.len == 0) {
        wsb_op_refuse(op, code ? code : "unsupported",
                      "This location has no backend");
        ngx_http_ws_bus_op_refuse(wc, op);
        return;
    }

    wsb_op_refuse(op, code ? code : "unsupported",
                  "This location has no backend for a request of %.*s%s%.*s",
                  (int) schema.len, (const char *) schema.data,
                  schema.len != 0 ? "." : "",
                  (int) entity.len, (const char *) entity.data);

    ngx_http_ws_bus_op_refuse(wc, op);
}


void
ngx_http_ws_bus_op_refuse(ngx_http_ws_bus_client_t *wc, wsb_op_t *op)
{
    wsb_str_t  message;

    message.data = op->text.data;
    message.len = op->text.len;

    if (op->text.failed) {
        ngx_http_ws_bus_client_close(wc);
        return;
    }

    ngx_http_ws_bus_op_error(wc, op->id, op->code, message);
}


void
ngx_http_ws_bus_op_error(ngx_http_ws_bus_client_t *wc, wsb_str_t id,
    const char *code, wsb_str_t message)
{
    wsb_text_t  text;

    ngx_memzero(&text, sizeof(wsb_text_t));

    if (wc->conf->codec->error != NULL) {
        wc->conf->codec->error(&text, wc->context, id, code, message);
    }

    if (text.len == 0 && !text.failed) {
        ngx_http_ws_bus_op_ignore(wc, code);
        return;
    }

    ngx_http_ws_bus_client_counters(wc->fan->worker)->errors++;

    ngx_http_ws_bus_op_reply(wc, &text);
}


ngx_http_ws_bus_op_t *
ngx_http_ws_bus_op_keep(ngx_http_ws_bus_client_t *wc, wsb_op_t *op)
{
    ngx_http_ws_bus_op_t  *kept;

    if (wc->closing || wc->nops == UINT16_MAX) {
        return NULL;
    }

    kept = ngx_calloc(sizeof(ngx_http_ws_bus_op_t), wc->connection->log);
    if (kept == NULL) {
        return NULL;
    }

    kept->op = *op;
    ngx_memzero(op, sizeof(wsb_op_t));

    ngx_http_ws_bus_op_link(kept, wc);

    return kept;
}


static void
ngx_http_ws_bus_op_link(ngx_http_ws_bus_op_t *kept,
    ngx_http_ws_bus_client_t *wc)
{
    kept->client = wc;
    kept->next = wc->ops;
    kept->prev = &wc->ops;

    if (kept->next != NULL) {
        kept->next->prev = &kept->next;
    }

    wc->ops = kept;
    wc->nops++;
}


static void
ngx_http_ws_bus_op_unlink(ngx_http_ws_bus_op_t *kept)
{
    *kept->prev = kept->next;

    if (kept->next != NULL) {
        kept->next->prev = kept->prev;
    }

    kept->client->nops--;
    kept->client = NULL;
}


/*
 * Meanwhile it is not the client's: should the client be closed for want of
 * memory, the caller learns it from what we return, and not from end() as
 * well.
 */

ngx_int_t
ngx_http_ws_bus_op_answer(ngx_http_ws_bus_op_t *kept, wsb_text_t *text)
{
    ngx_http_ws_bus_client_t  *wc;

    wc = kept->client;

    if (wc == NULL) {
        wsb_text_done(text);
        return NGX_DECLINED;
    }

    if (text->len == 0 && !text->failed) {
        wsb_text_done(text);
        return NGX_OK;
    }

    ngx_http_ws_bus_op_unlink(kept);

    ngx_http_ws_bus_op_reply(wc, text);

    return ngx_http_ws_bus_op_answered(kept, wc);
}


/*
 * It is written with whatever else this turn has for the client, which may be
 * in the middle of a write now.
 */

static ngx_int_t
ngx_http_ws_bus_op_answered(ngx_http_ws_bus_op_t *kept,
    ngx_http_ws_bus_client_t *wc)
{
    if (wc->closed) {
        return NGX_DECLINED;
    }

    ngx_http_ws_bus_op_link(kept, wc);

    ngx_http_ws_bus_out_mark_dirty(wc);

    if (!wc->fan->worker->event.posted) {
        ngx_post_event(&wc->fan->worker->event, &ngx_posted_events);
    }

    return NGX_OK;
}


void
ngx_http_ws_bus_op_done(ngx_http_ws_bus_op_t *kept)
{
    if (kept->client != NULL) {
        ngx_http_ws_bus_op_unlink(kept);
    }

    wsb_op_done(&kept->op);

    ngx_free(kept);
}


/* As answer(): while it is carried out it is not the client's. */

ngx_int_t
ngx_http_ws_bus_op_perform(ngx_http_ws_bus_op_t *kept,
    const wsb_forced_t *forced, ngx_uint_t n)
{
    wsb_rc_t                   rc;
    ngx_int_t                  done;
    wsb_restrict_t            *made;
    wsb_where_error_t          err;
    ngx_http_ws_bus_client_t  *wc;

    wc = kept->client;

    if (wc == NULL || wc->closing) {
        return NGX_DECLINED;
    }

    made = NULL;
    rc = n ? wsb_restrict_create(wc->fan->worker->zone->key, forced,
                                 (unsigned) n, &made, &err)
           : WSB_OK;

    if (rc != WSB_OK) {
        /* they were looked at before: for want of memory */
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_INTERNAL,
                                   "no memory");
        return NGX_DECLINED;
    }

    ngx_http_ws_bus_op_unlink(kept);

    done = kept->op.type == WSB_OP_SUBSCRIBE
               ? ngx_http_ws_bus_subscribe(wc, &kept->op,
                                           n ? made : wc->forced)
               : ngx_http_ws_bus_subscribe_end(wc, &kept->op);

    wsb_restrict_free(made);

    if (ngx_http_ws_bus_op_answered(kept, wc) != NGX_OK) {
        return NGX_DECLINED;
    }

    return done;
}


void
ngx_http_ws_bus_op_end_all(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_op_t  *kept;

    while (wc->ops != NULL) {
        kept = wc->ops;

        ngx_http_ws_bus_op_unlink(kept);

        if (kept->end != NULL) {
            kept->end(kept);

        } else {
            ngx_http_ws_bus_op_done(kept);
        }
    }
}
