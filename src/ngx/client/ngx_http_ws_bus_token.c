/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The token of a connection.  One timer of the process looks once a second
 * at the token that expires first; a client may send a new one before.
 */

#include "ngx_http_ws_bus_client.h"

#include "../jwt/ngx_http_ws_bus_jwt.h"


#define NGX_HTTP_WS_BUS_TOKEN_TICK     1000     /* ms */
#define NGX_HTTP_WS_BUS_TOKEN_CLOSES   256      /* connections in one turn */
#define NGX_HTTP_WS_BUS_TOKEN_TRIES    4        /* renewals in one second */

#define NGX_HTTP_WS_BUS_TOKEN_DOMAIN   96       /* of wsb_hash() */


/*
 * malloc'd, owned by the connection, in the tree while that is open.  The
 * conf belongs to the cycle, which outlives its connections.
 */

struct ngx_http_ws_bus_token_s {
    ngx_rbtree_node_t                node;    /* key: when it ends */
    ngx_http_ws_bus_client_t          *wc;
    ngx_http_ws_bus_jwt_loc_conf_t  *conf;
    wsb_key_t                        hash;    /* of who and of what */
    time_t                           second;  /* of the last renewal */
    unsigned                         tries:8; /* in that second */
    unsigned                         subject:1;
    unsigned                         waiting:1;   /* in the tree */
    uint32_t                         len;
    u_char                           reads[]; /* paths, one after the other,
                                                 each ended by one NUL more */
};


static ngx_http_ws_bus_token_t *ngx_http_ws_bus_token_create(
    ngx_http_ws_bus_jwt_ctx_t *ctx);
static ngx_int_t ngx_http_ws_bus_token_hash(ngx_http_ws_bus_token_t *js,
    const wsb_json_t *claims, wsb_key_t *hash);
static void ngx_http_ws_bus_token_add(wsb_text_t *text,
    const wsb_json_t *claims, const u_char *path, size_t len);
static time_t ngx_http_ws_bus_token_end(ngx_http_ws_bus_token_t *js,
    uint64_t exp);
static void ngx_http_ws_bus_token_await(ngx_http_ws_bus_token_t *js);
static void ngx_http_ws_bus_token_tick_handler(ngx_event_t *ev);


static ngx_rbtree_t       ngx_http_ws_bus_token_tree;
static ngx_rbtree_node_t  ngx_http_ws_bus_token_sentinel;
static ngx_event_t        ngx_http_ws_bus_token_tick;


ngx_int_t
ngx_http_ws_bus_token_init_process(ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    ngx_rbtree_init(&ngx_http_ws_bus_token_tree,
                    &ngx_http_ws_bus_token_sentinel,
                    ngx_rbtree_insert_value);

    ev = &ngx_http_ws_bus_token_tick;
    ev->handler = ngx_http_ws_bus_token_tick_handler;
    ev->log = cycle->log;
    ev->data = &ngx_http_ws_bus_no_connection;
    ev->cancelable = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_ws_bus_token_attach(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_jwt_ctx_t       *ctx;
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf;

    jlcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_jwt_module);
    ctx = ngx_http_ws_bus_jwt_ctx(r);

    if (jlcf->sources == NULL || ctx == NULL || !ctx->verified) {
        return NGX_OK;
    }

    wc->token = ngx_http_ws_bus_token_create(ctx);

    if (wc->token == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wc->token->wc = wc;
    wc->token->conf = jlcf;
    wc->token->node.key = ngx_http_ws_bus_token_end(wc->token, ctx->exp);

    if (ngx_http_ws_bus_token_hash(wc->token, &ctx->claims, &wc->token->hash)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


static ngx_http_ws_bus_token_t *
ngx_http_ws_bus_token_create(ngx_http_ws_bus_jwt_ctx_t *ctx)
{
    size_t                    len;
    u_char                   *p;
    ngx_str_t                *read;
    ngx_uint_t                i;
    wsb_json_t                sub;
    ngx_http_ws_bus_token_t  *js;

    read = ctx->reads.elts;
    len = 0;

    for (i = 0; i < ctx->reads.nelts; i++) {
        len += read[i].len + 1;
    }

    js = ngx_calloc(sizeof(ngx_http_ws_bus_token_t) + len,
                    ngx_cycle->log);
    if (js == NULL) {
        return NULL;
    }

    p = js->reads;

    for (i = 0; i < ctx->reads.nelts; i++) {
        p = ngx_cpymem(p, read[i].data, read[i].len);
        *p++ = '\0';
    }

    js->len = len;
    js->subject = wsb_json_get(&ctx->claims, "sub", &sub) == WSB_OK
                  && sub.type == WSB_JSON_STRING;

    return js;
}


/*
 * Of the subject, who is one only together with the issuer, and of each claim
 * that a value of the handshake was made of.
 */

static ngx_int_t
ngx_http_ws_bus_token_hash(ngx_http_ws_bus_token_t *js,
    const wsb_json_t *claims, wsb_key_t *hash)
{
    u_char      *p, *end, *last;
    wsb_text_t   text;

    static const u_char  nobody[16];

    ngx_memzero(&text, sizeof(wsb_text_t));

    ngx_http_ws_bus_token_add(&text, claims, (u_char *) "iss", 4);
    ngx_http_ws_bus_token_add(&text, claims, (u_char *) "sub", 4);

    last = js->reads + js->len;

    for (p = js->reads; p < last; p = end + 1) {

        /* a path ends with the second of two NULs */

        for (end = p + 1; end[0] != '\0' || end[-1] != '\0'; end++) {
            /* void */
        }

        ngx_http_ws_bus_token_add(&text, claims, p, end - p);
    }

    if (text.failed) {
        return NGX_ERROR;
    }

    *hash = wsb_hash(js->wc->fan->worker ? js->wc->fan->worker->zone->key
                                         : nobody,
                     NGX_HTTP_WS_BUS_TOKEN_DOMAIN, text.data, text.len);

    wsb_text_done(&text);

    return NGX_OK;
}


/* Whether it is there, its length, its bytes: no two lists look alike. */

static void
ngx_http_ws_bus_token_add(wsb_text_t *text, const wsb_json_t *claims,
    const u_char *path, size_t len)
{
    wsb_json_t  value;

    if (wsb_claims_get(claims, path, len, &value) != WSB_OK) {
        wsb_text_add(text, "-", 1);
        return;
    }

    wsb_text_add(text, "+", 1);
    wsb_text_add(text, &value.text.len, sizeof(size_t));
    wsb_text_str(text, value.text);
}


void
ngx_http_ws_bus_token_start(ngx_http_ws_bus_client_t *wc)
{
    if (wc->token != NULL) {
        ngx_http_ws_bus_token_await(wc->token);
    }
}


void
ngx_http_ws_bus_token_stop(ngx_http_ws_bus_client_t *wc)
{
    if (wc->token != NULL && wc->token->waiting) {
        ngx_rbtree_delete(&ngx_http_ws_bus_token_tree, &wc->token->node);
        wc->token->waiting = 0;
    }
}


/* The first second in which the token would not be taken any more. */

static time_t
ngx_http_ws_bus_token_end(ngx_http_ws_bus_token_t *js, uint64_t exp)
{
    return (time_t) exp + js->conf->leeway;
}


static void
ngx_http_ws_bus_token_await(ngx_http_ws_bus_token_t *js)
{
    ngx_rbtree_insert(&ngx_http_ws_bus_token_tree, &js->node);
    js->waiting = 1;

    if (!ngx_http_ws_bus_token_tick.timer_set) {
        ngx_add_timer(&ngx_http_ws_bus_token_tick, NGX_HTTP_WS_BUS_TOKEN_TICK);
    }
}


/* By the time of day, as tokens are: it may jump. */

static void
ngx_http_ws_bus_token_tick_handler(ngx_event_t *ev)
{
    ngx_uint_t                 n;
    ngx_rbtree_t              *tree;
    ngx_rbtree_node_t         *node;
    ngx_http_ws_bus_client_t  *wc;
    ngx_http_ws_bus_token_t   *js;

    ngx_http_ws_bus_turn();

    tree = &ngx_http_ws_bus_token_tree;

    for (n = 0; tree->root != tree->sentinel; n++) {

        node = ngx_rbtree_min(tree->root, tree->sentinel);

        if ((time_t) node->key > ngx_time()) {
            ngx_add_timer(ev, NGX_HTTP_WS_BUS_TOKEN_TICK);
            return;
        }

        if (n == NGX_HTTP_WS_BUS_TOKEN_CLOSES) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        js = (ngx_http_ws_bus_token_t *) node;
        wc = js->wc;

        ngx_http_ws_bus_token_stop(wc);

        if (wc->closing) {
            continue;
        }

        ngx_log_error(NGX_LOG_INFO, wc->connection->log, 0,
                      "token of a websocket client has expired");

        if (wc->fan->worker != NULL) {
            ngx_http_ws_bus_client_counters(wc->fan->worker)->jwt_expired++;
        }

        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_EXPIRED,
                                   "token expired");
    }
}


ngx_int_t
ngx_http_ws_bus_token_renew(ngx_http_ws_bus_client_t *wc, wsb_str_t token,
    uint64_t *exp, const char **reason)
{
    u_char                   *buf;
    wsb_rc_t                  rc;
    ngx_int_t                 same;
    wsb_key_t                 hash;
    wsb_json_t                claims;
    ngx_http_ws_bus_token_t  *js;

    js = wc->token;

    if (js == NULL || !js->subject) {
        return NGX_DECLINED;
    }

    if (js->second != ngx_time()) {
        js->second = ngx_time();
        js->tries = 0;
    }

    if (js->tries == NGX_HTTP_WS_BUS_TOKEN_TRIES) {
        return NGX_BUSY;
    }

    js->tries++;

    buf = ngx_alloc(ngx_min(token.len, WSB_JWT_MAX) + 1, ngx_cycle->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_ws_bus_jwt_judge(js->conf, token, buf, &claims, exp,
                                   reason);

    same = rc == WSB_OK ? ngx_http_ws_bus_token_hash(js, &claims, &hash)
                        : NGX_OK;

    if (same == NGX_OK && rc == WSB_OK && wsb_key_eq(&hash, &js->hash)
        && wc->asker != NULL)
    {
        same = wc->conf->requests->renew(wc, token, &claims);
    }

    ngx_free(buf);

    if (same != NGX_OK) {
        return NGX_ERROR;
    }

    if (rc != WSB_OK) {
        ngx_http_ws_bus_jwt_counters(wc->fan->worker)->jwt_refused++;
        return NGX_ABORT;
    }

    if (!wsb_key_eq(&hash, &js->hash)) {
        ngx_http_ws_bus_jwt_counters(wc->fan->worker)->jwt_refused++;

        ngx_log_error(NGX_LOG_INFO, wc->connection->log, 0,
                      "websocket client sent a token of other rights");

        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_RIGHTS,
                                   "token of other rights");
        return NGX_DONE;
    }

    ngx_http_ws_bus_client_counters(wc->fan->worker)->jwt_renewed++;

    ngx_http_ws_bus_token_stop(wc);
    js->node.key = ngx_http_ws_bus_token_end(js, *exp);
    ngx_http_ws_bus_token_await(js);

    return NGX_OK;
}
