/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Hooks around an operation: each is a call to a location that may let it
 * pass, change it or refuse it.  They run one after the other, as part of the
 * operation, which has its turn already.
 */

#include "ngx_http_ws_bus_backend.h"


static ngx_uint_t ngx_http_ws_bus_hook_kind(ngx_http_ws_bus_ask_t *ask);
static ngx_int_t ngx_http_ws_bus_hook_create(ngx_http_ws_bus_ask_t *ask);
static ngx_http_ws_bus_hook_t *ngx_http_ws_bus_hook_next(
    ngx_http_ws_bus_ask_t *ask);
static ngx_int_t ngx_http_ws_bus_hook_make(ngx_http_ws_bus_ask_t *ask);
static ngx_int_t ngx_http_ws_bus_hook_parse(ngx_http_ws_bus_call_t *call,
    wsb_json_t *body);
static wsb_str_t ngx_http_ws_bus_hook_done(ngx_http_ws_bus_ask_t *ask,
    wsb_str_t text);
static ngx_int_t ngx_http_ws_bus_hook_take(ngx_http_ws_bus_ask_t *ask,
    wsb_hook_answer_t *answer, const char **why);
static ngx_int_t ngx_http_ws_bus_hook_meta(ngx_http_ws_bus_asker_t *asker,
    const wsb_json_t *change, const char **why);
static ngx_int_t ngx_http_ws_bus_hook_add(ngx_http_ws_bus_ask_t *ask,
    const wsb_json_t *filters, const char **why);
static void ngx_http_ws_bus_hook_cleanup(void *data);
static ngx_int_t ngx_http_ws_bus_hook_keep(ngx_http_ws_bus_ask_t *ask,
    wsb_str_t *dst, const wsb_json_t *value, const char **why);
static void ngx_http_ws_bus_hook_refuse(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, wsb_str_t text);


/* An operation's place in the order of the phases. */

static ngx_uint_t
ngx_http_ws_bus_hook_kind(ngx_http_ws_bus_ask_t *ask)
{
    switch (ask->kept->op.type) {

    case WSB_OP_SUBSCRIBE:
        return NGX_HTTP_WS_BUS_HOOK_BEFORE_SUBSCRIBE;

    case WSB_OP_UNSUBSCRIBE:
        return NGX_HTTP_WS_BUS_HOOK_BEFORE_UNSUBSCRIBE;

    default: /* WSB_OP_REQUEST */
        return ask->kept->op.request.operation;
    }
}


ngx_uint_t
ngx_http_ws_bus_hook_has(ngx_http_ws_bus_ask_t *ask, ngx_uint_t after)
{
    ngx_uint_t  kind;

    kind = ngx_http_ws_bus_hook_kind(ask);

    if (after) {
        return ask->conf->phases & (1 << (NGX_HTTP_WS_BUS_HOOK_AFTER_READ
                                          + kind));
    }

    return ask->conf->phases & (1 << kind
                                | 1 << NGX_HTTP_WS_BUS_HOOK_BEFORE_HANDLE);
}


ngx_int_t
ngx_http_ws_bus_hook_call(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result)
{
    ngx_http_ws_bus_hook_t  *hook;

    static const wsb_str_t  text = wsb_string("no memory");

    if (ask->hooked == NULL) {

        if (!ngx_http_ws_bus_hook_has(ask, 0)) {
            return NGX_DONE;
        }

        if (ngx_http_ws_bus_hook_create(ask) != NGX_OK) {
            ngx_http_ws_bus_hook_refuse(ask, result, text);
            return NGX_DECLINED;
        }

        ask->hooked->phase = NGX_HTTP_WS_BUS_HOOK_BEFORE_HANDLE;
    }

    hook = ngx_http_ws_bus_hook_next(ask);

    if (hook == NULL) {
        return NGX_DONE;
    }

    ask->hooked->hook = hook;

    if (ngx_http_ws_bus_hook_make(ask) != NGX_OK) {
        ngx_http_ws_bus_hook_refuse(ask, result, text);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_hook_create(ngx_http_ws_bus_ask_t *ask)
{
    ngx_pool_t  *pool;

    pool = ngx_create_pool(2048, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    ask->hooked = ngx_pcalloc(pool, sizeof(ngx_http_ws_bus_hooked_t));

    if (ask->hooked == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    ask->hooked->pool = pool;

    return NGX_OK;
}


static ngx_http_ws_bus_hook_t *
ngx_http_ws_bus_hook_next(ngx_http_ws_bus_ask_t *ask)
{
    ngx_http_ws_bus_hook_t    *hook;
    ngx_http_ws_bus_hooked_t  *hooked;

    hooked = ask->hooked;
    hook = ask->conf->hooks->elts;

    for ( ;; ) {

        while (hooked->next < ask->conf->hooks->nelts) {
            if (hook[hooked->next++].phase == hooked->phase) {
                return &hook[hooked->next - 1];
            }
        }

        if (hooked->phase != NGX_HTTP_WS_BUS_HOOK_BEFORE_HANDLE) {
            return NULL;
        }

        hooked->phase = ngx_http_ws_bus_hook_kind(ask);
        hooked->next = 0;
    }
}


ngx_int_t
ngx_http_ws_bus_hook_after(ngx_http_ws_bus_ask_t *ask,
    ngx_http_ws_bus_call_t *work, wsb_result_t *result)
{
    ngx_http_ws_bus_hooked_t  *hooked;

    static const wsb_str_t  text = wsb_string("done, but a hook after it "
                                              "could not be asked");

    if (ask->hooked == NULL && ngx_http_ws_bus_hook_create(ask) != NGX_OK) {
        ngx_http_ws_bus_hook_refuse(ask, result, text);
        return NGX_DECLINED;
    }

    hooked = ask->hooked;

    hooked->after = 1;
    hooked->phase = NGX_HTTP_WS_BUS_HOOK_AFTER_READ
                    + ngx_http_ws_bus_hook_kind(ask);
    hooked->next = 0;
    hooked->result = *result;
    hooked->hook = ngx_http_ws_bus_hook_next(ask);

    if (ngx_http_ws_bus_hook_make(ask) != NGX_OK) {
        ask->call = work;
        ngx_http_ws_bus_hook_refuse(ask, result, text);
        return NGX_DECLINED;
    }

    if (work != NULL) {
        work->held = 1;
        hooked->work = work;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_hook_make(ngx_http_ws_bus_ask_t *ask)
{
    u_char                     id[NGX_HTTP_WS_BUS_HOOK_ID];
    ngx_int_t                  rc;
    wsb_hook_t                 told;
    wsb_text_t                 text;
    ngx_http_ws_bus_call_t    *call;
    ngx_http_ws_bus_backend_t  b;

    call = ngx_http_ws_bus_call_create(ask->asker->caller, ngx_cycle->log);
    if (call == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&told, sizeof(wsb_hook_t));
    ngx_memzero(&text, sizeof(wsb_text_t));

    ngx_http_ws_bus_hook_told(ask, &told, id, &text);

    call->metadata = ngx_http_ws_bus_asker_meta(ask->asker, call->pool);

    b.ask = ask;
    b.call = call;
    b.req = &ask->kept->op.request;
    b.name = (const char *) told.operation.data;

    rc = text.failed ? NGX_ERROR : ngx_http_ws_bus_backend_values(&b);

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_hook_told_fill(call, ask->hooked->hook,
                                            ask->conf, ask->asker->caller,
                                            &told);
    }

    wsb_text_done(&text);

    if (rc != NGX_OK) {
        ngx_http_ws_bus_call_destroy(call);
        return NGX_ERROR;
    }

    call->done = ngx_http_ws_bus_asker_hooked;
    call->data = ask;

    ask->call = call;
    ask->hooking = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_ws_bus_hook_read(ngx_http_ws_bus_call_t *call,
    wsb_hook_answer_t *answer, ngx_pool_t *pool, wsb_str_t *text,
    const char **why)
{
    wsb_json_t  body;

    static const wsb_str_t  refused = wsb_string("refused by a hook");

    ngx_memzero(answer, sizeof(wsb_hook_answer_t));

    if (call->end != NGX_HTTP_WS_BUS_CALL_ANSWERED) {
        *why = call->end == NGX_HTTP_WS_BUS_CALL_TIMEOUT
                   ? "it did not answer in time"
             : call->end == NGX_HTTP_WS_BUS_CALL_TOO_LARGE
                   ? "its answer is too large" : "its answer broke off";
        return NGX_ERROR;
    }

    if (call->status == NGX_HTTP_NO_CONTENT) {
        return NGX_OK;
    }

    if (call->status >= 400 && call->status < 500) {
        *text = refused;

        if (ngx_http_ws_bus_hook_parse(call, &body) == NGX_OK) {
            ngx_http_ws_bus_answer_words(&body, pool, text);
        }

        return NGX_DECLINED;
    }

    if (call->status != NGX_HTTP_OK) {
        *why = "it answered with another status than 200, 204 or 4xx";
        return NGX_ERROR;
    }

    if (ngx_http_ws_bus_hook_parse(call, &body) != NGX_OK) {
        *why = "its answer is no JSON";
        return NGX_ERROR;
    }

    return wsb_hook_answer(&body, answer, why) == WSB_OK ? NGX_OK
                                                         : NGX_ERROR;
}


static ngx_int_t
ngx_http_ws_bus_hook_parse(ngx_http_ws_bus_call_t *call, wsb_json_t *body)
{
    wsb_str_t         text;
    wsb_json_error_t  err;

    /* what stands in it decides: no key may come twice */

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 1 };

    if (ngx_http_ws_bus_response_inflate(call) != NGX_OK) {
        return NGX_DECLINED;
    }

    text.data = call->answer.data;
    text.len = call->answer.len;

    return wsb_json_parse(text, &limits, body, &err) == WSB_OK ? NGX_OK
                                                               : NGX_DECLINED;
}


ngx_int_t
ngx_http_ws_bus_hook_answer(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result)
{
    ngx_int_t                 rc;
    wsb_str_t                 text;
    const char               *why;
    wsb_hook_answer_t         answer;
    ngx_http_ws_bus_hooked_t *hooked;

    static const wsb_str_t  failed = wsb_string("the hook failed");
    static const wsb_str_t  after = wsb_string("done, but the hook after it "
                                               "failed");

    hooked = ask->hooked;

    if (ask->call->end == NGX_HTTP_WS_BUS_CALL_CANCELLED) {
        /* there is nobody to be told */
        return NGX_DECLINED;
    }

    rc = ngx_http_ws_bus_hook_read(ask->call, &answer, hooked->pool, &text,
                                   &why);
    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_hook_take(ask, &answer, &why);
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_ws_bus_hook_refuse(ask, result,
                                    hooked->after
                                        ? ngx_http_ws_bus_hook_done(ask, text)
                                        : text);
        return NGX_DECLINED;
    }

    ask->call->log.action = "asking a hook";

    ngx_log_error(NGX_LOG_ERR, &ask->call->log, 0,
                  "the hook \"%s\" failed: %s",
                  ngx_http_ws_bus_hook_names[hooked->phase], why);

    if (hooked->hook->open) {
        return NGX_OK;
    }

    ngx_http_ws_bus_hook_refuse(ask, result, hooked->after ? after : failed);

    return NGX_DECLINED;
}


/* Whoever is refused after it must not think that nothing was done. */

static wsb_str_t
ngx_http_ws_bus_hook_done(ngx_http_ws_bus_ask_t *ask, wsb_str_t text)
{
    u_char     *p;
    wsb_str_t   done = wsb_string("done, but refused by the hook after it");

    p = ngx_pnalloc(ask->hooked->pool, sizeof("done, but: ") - 1 + text.len);

    if (p != NULL) {
        ngx_memcpy(ngx_cpymem(p, "done, but: ", sizeof("done, but: ") - 1),
                   text.data, text.len);

        done.data = p;
        done.len = sizeof("done, but: ") - 1 + text.len;
    }

    return done;
}


/*
 * Its changes, of which those count that the phase has a use for: all of them,
 * or none.  So what can be wrong comes first.
 */

static ngx_int_t
ngx_http_ws_bus_hook_take(ngx_http_ws_bus_ask_t *ask,
    wsb_hook_answer_t *answer, const char **why)
{
    ngx_int_t                  rc;
    ngx_uint_t                 nadded;
    wsb_op_request_t          *req;
    ngx_http_ws_bus_hooked_t  *hooked;

    hooked = ask->hooked;
    req = &ask->kept->op.request;
    nadded = hooked->nadded;

    if (ask->asker == NULL) {
        return NGX_OK;
    }

    rc = NGX_OK;

    if (!hooked->after && answer->filters.text.data != NULL) {
        rc = ngx_http_ws_bus_hook_add(ask, &answer->filters, why);
    }

    if (rc == NGX_OK && answer->metadata.text.data != NULL) {
        rc = ngx_http_ws_bus_hook_meta(ask->asker, &answer->metadata, why);
    }

    if (rc == NGX_OK && hooked->after && answer->result.text.data != NULL) {
        rc = ngx_http_ws_bus_hook_keep(ask, &hooked->result.data,
                                       &answer->result, why);
    }

    if (rc == NGX_OK && !hooked->after && answer->data.text.data != NULL
        && req->data.data != NULL)
    {
        rc = ngx_http_ws_bus_hook_keep(ask, &req->data, &answer->data, why);
    }

    if (rc != NGX_OK) {
        hooked->nadded = nadded;
    }

    return rc;
}


static ngx_int_t
ngx_http_ws_bus_hook_meta(ngx_http_ws_bus_asker_t *asker,
    const wsb_json_t *change, const char **why)
{
    wsb_text_t  text;

    ngx_memzero(&text, sizeof(wsb_text_t));

    *why = "no memory";

    if (wsb_hook_merge(&text, asker->metadata, change, why) != WSB_OK) {
        wsb_text_done(&text);
        return NGX_ERROR;
    }

    if (asker->metadata.data != NULL) {
        wsb_free((void *) asker->metadata.data);
    }

    asker->metadata.data = text.data;
    asker->metadata.len = text.len;

    ngx_http_ws_bus_notice_renew(asker);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_hook_keep(ngx_http_ws_bus_ask_t *ask, wsb_str_t *dst,
    const wsb_json_t *value, const char **why)
{
    u_char  *p;

    p = ngx_pnalloc(ask->hooked->pool, value->text.len);

    if (p == NULL) {
        *why = "no memory";
        return NGX_ERROR;
    }

    ngx_memcpy(p, value->text.data, value->text.len);

    dst->data = p;
    dst->len = value->text.len;

    return NGX_OK;
}


/* They are judged now: what is no condition must not be none. */

static ngx_int_t
ngx_http_ws_bus_hook_add(ngx_http_ws_bus_ask_t *ask,
    const wsb_json_t *filters, const char **why)
{
    uint8_t                   *memory;
    wsb_rc_t                   rc;
    unsigned                   n;
    wsb_forced_t               all[WSB_RESTRICT_CONDITIONS];
    wsb_restrict_t            *made;
    wsb_where_error_t          err;
    ngx_pool_cleanup_t        *cln;
    ngx_http_ws_bus_hooked_t  *hooked;

    hooked = ask->hooked;

    *why = "no memory";

    cln = ngx_pool_cleanup_add(hooked->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    rc = wsb_hook_filters(filters, &hooked->added[hooked->nadded],
                          (unsigned) (WSB_RESTRICT_CONDITIONS
                                      - ask->asker->nforced - ask->nadded
                                      - hooked->nadded),
                          &n, &memory, why);

    cln->handler = ngx_http_ws_bus_hook_cleanup;
    cln->data = memory;

    if (rc != WSB_OK) {
        return NGX_ERROR;
    }

    hooked->nadded += n;

    n = (unsigned) ngx_http_ws_bus_hook_forced(ask, all);

    if (n == 0) {
        return NGX_OK;
    }

    rc = wsb_restrict_create(ask->bus->zone->key, all, n, &made, &err);

    if (rc != WSB_OK) {

        if (rc == WSB_ERROR) {
            *why = "a filter of it has no such operator, or no value that "
                   "the operator takes";
        }

        return NGX_ERROR;
    }

    wsb_restrict_free(made);

    return NGX_OK;
}


static void
ngx_http_ws_bus_hook_cleanup(void *data)
{
    wsb_free(data);
}


ngx_uint_t
ngx_http_ws_bus_hook_forced(ngx_http_ws_bus_ask_t *ask, wsb_forced_t *forced)
{
    ngx_uint_t  n;

    n = ask->asker->nforced;

    ngx_memcpy(forced, ask->asker->forced, n * sizeof(wsb_forced_t));

    if (ask->nadded != 0) {
        ngx_memcpy(forced + n, ask->added,
                   ask->nadded * sizeof(wsb_forced_t));
        n += ask->nadded;
    }

    if (ask->hooked != NULL) {
        ngx_memcpy(forced + n, ask->hooked->added,
                   ask->hooked->nadded * sizeof(wsb_forced_t));
        n += ask->hooked->nadded;
    }

    return n;
}


static void
ngx_http_ws_bus_hook_refuse(ngx_http_ws_bus_ask_t *ask, wsb_result_t *result,
    wsb_str_t text)
{
    wsb_result_init(result);

    result->code = ask->hooked != NULL
                   && ask->hooked->phase == NGX_HTTP_WS_BUS_HOOK_BEFORE_HANDLE
                       ? "unauthorized" : "hook_error";
    result->text = text;
}


void
ngx_http_ws_bus_hook_free(ngx_http_ws_bus_ask_t *ask)
{
    if (ask->hooked == NULL) {
        return;
    }

    if (ask->hooked->work != NULL) {
        ngx_http_ws_bus_call_release(ask->hooked->work);
    }

    ngx_destroy_pool(ask->hooked->pool);
}
