/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a hook is told, and the request that tells it.
 */

#include "ngx_http_ws_bus_backend.h"


static void ngx_http_ws_bus_hook_told_filter(ngx_http_ws_bus_ask_t *ask,
    wsb_hook_t *told, wsb_text_t *text);
static ngx_int_t ngx_http_ws_bus_hook_told_body(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_call_loc_conf_t *conf, ngx_http_ws_bus_caller_t *caller,
    wsb_hook_t *told);
static ngx_int_t ngx_http_ws_bus_hook_told_uri(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_hook_t *hook);
static ngx_int_t ngx_http_ws_bus_hook_told_header(
    ngx_http_ws_bus_call_t *call, const char *name, wsb_str_t value);


void
ngx_http_ws_bus_hook_told(ngx_http_ws_bus_ask_t *ask, wsb_hook_t *told,
    u_char id[NGX_HTTP_WS_BUS_HOOK_ID], wsb_text_t *text)
{
    const char                *name;
    wsb_op_request_t          *req;
    ngx_http_ws_bus_client_t  *wc;
    ngx_http_ws_bus_asker_t   *asker;

    asker = ask->asker;
    wc = asker->client;
    req = &ask->kept->op.request;

    switch (ask->kept->op.type) {

    case WSB_OP_SUBSCRIBE:
        name = "subscribe";
        break;

    case WSB_OP_UNSUBSCRIBE:
        name = "unsubscribe";
        told->subscription_id = ask->kept->op.subscription;
        break;

    default: /* WSB_OP_REQUEST */
        name = wsb_operation_names[req->operation];
        told->record_id = req->record_id;
        told->data = req->data;
        told->options = req->options;
    }

    told->phase = ngx_http_ws_bus_hook_names[ask->hooked->phase];
    told->id.data = id;
    told->id.len = ngx_sprintf(id, "%*s-%ui", (size_t) 32, asker->id + 5,
                               ++asker->ncalls)
                   - id;
    told->connection_id.data = asker->id;
    told->connection_id.len = sizeof(asker->id);
    told->metadata = asker->metadata;
    told->tenant.data = wc->tenant.len ? wc->tenant.data : NULL;
    told->tenant.len = wc->tenant.len;
    told->operation.data = (const uint8_t *) name;
    told->operation.len = ngx_strlen(name);
    told->schema = req->schema;
    told->entity = req->entity;

    if (told->schema.data == NULL && wc->context != NULL
        && wc->context->schema.len != 0)
    {
        told->schema = wc->context->schema;
    }

    if (ask->hooked->after && (ask->kept->op.type == WSB_OP_REQUEST
                               || ask->kept->op.type == WSB_OP_SNAPSHOT))
    {
        told->result = ask->hooked->result.data;
        told->status = ask->hooked->result.status;
    }

    ngx_http_ws_bus_hook_told_filter(ask, told, text);
}


/* Of a subscription: what it selects, in the protocol's words. */

static void
ngx_http_ws_bus_hook_told_filter(ngx_http_ws_bus_ask_t *ask, wsb_hook_t *told,
    wsb_text_t *text)
{
    wsb_filter_t  *filter;

    if (ask->kept->op.type != WSB_OP_SUBSCRIBE) {
        return;
    }

    filter = &ask->kept->op.filter;

    if (told->entity.data == NULL && filter->n[WSB_ENTITY_TYPE] == 1) {
        told->entity = filter->value[WSB_ENTITY_TYPE][0];
    }

    ask->asker->client->conf->codec->filter(text, filter);

    told->options.data = text->data;
    told->options.len = text->len;
}


ngx_int_t
ngx_http_ws_bus_hook_told_fill(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_hook_t *hook, ngx_http_ws_bus_call_loc_conf_t *conf,
    ngx_http_ws_bus_caller_t *caller, wsb_hook_t *told)
{
    if (ngx_http_ws_bus_hook_told_body(call, conf, caller, told) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_hook_told_request(call, hook, conf, told->id);
}


ngx_int_t
ngx_http_ws_bus_hook_told_request(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_hook_t *hook, ngx_http_ws_bus_call_loc_conf_t *conf,
    wsb_str_t id)
{
    static const wsb_str_t  json =
                      wsb_string("application/json, application/problem+json");

    call->method = NGX_HTTP_POST;
    ngx_str_set(&call->method_name, "POST");
    ngx_str_set(&call->content_type, "application/json");

    call->timeout = conf->timeout;
    call->max_body = conf->max_body;

    if (ngx_http_ws_bus_hook_told_uri(call, hook) != NGX_OK
        || ngx_http_ws_bus_hook_told_header(call, "X-Request-ID", id)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_hook_told_header(call, "Accept", json);
}


static ngx_int_t
ngx_http_ws_bus_hook_told_body(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_call_loc_conf_t *conf, ngx_http_ws_bus_caller_t *caller,
    wsb_hook_t *told)
{
    ngx_int_t   rc;
    wsb_text_t  claims, text;

    ngx_memzero(&claims, sizeof(wsb_text_t));
    ngx_memzero(&text, sizeof(wsb_text_t));

    if (conf->claims != NULL && conf->claims->nelts != 0
        && caller->claims.text.data != NULL)
    {
        wsb_hook_claims(&claims, &caller->claims, conf->claims->elts,
                        (unsigned) conf->claims->nelts);

        told->claims.data = claims.data;
        told->claims.len = claims.len;
    }

    wsb_hook_text(&text, told);

    rc = NGX_ERROR;

    if (!claims.failed && !text.failed) {
        call->body.data = ngx_pnalloc(call->pool, text.len);

        if (call->body.data != NULL) {
            ngx_memcpy(call->body.data, text.data, text.len);
            call->body.len = text.len;
            rc = NGX_OK;
        }
    }

    wsb_text_done(&claims);
    wsb_text_done(&text);

    return rc;
}


static ngx_int_t
ngx_http_ws_bus_hook_told_uri(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_hook_t *hook)
{
    u_char                     *p;
    ngx_int_t                   rc;
    ngx_str_t                   uri;
    wsb_result_t                result;
    ngx_http_ws_bus_backend_t   b;

    call->main->method = NGX_HTTP_POST;
    call->main->method_name = call->method_name;

    if (ngx_http_complex_value(call->main, &hook->uri, &uri) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&b.path, sizeof(wsb_text_t));
    ngx_memzero(&b.args, sizeof(wsb_text_t));

    b.call = call;
    b.result = &result;

    p = ngx_strlchr(uri.data, uri.data + uri.len, '?');

    if (p != NULL) {
        wsb_text_add(&b.args, p + 1, uri.data + uri.len - p - 1);
        uri.len = p - uri.data;
    }

    wsb_text_add(&b.path, uri.data, uri.len);

    rc = b.path.failed || b.args.failed || b.path.len == 0
             ? NGX_ERROR : ngx_http_ws_bus_backend_uri(&b);

    wsb_text_done(&b.path);
    wsb_text_done(&b.args);

    return rc;
}


static ngx_int_t
ngx_http_ws_bus_hook_told_header(ngx_http_ws_bus_call_t *call, const char *name,
    wsb_str_t value)
{
    u_char                         *p;
    ngx_http_ws_bus_call_header_t  *h;

    h = ngx_array_push(&call->headers);
    p = ngx_pnalloc(call->pool, value.len + 1);

    if (h == NULL || p == NULL) {
        return NGX_ERROR;
    }

    h->name.data = (u_char *) name;
    h->name.len = ngx_strlen(name);
    h->value.data = p;
    h->value.len = value.len;

    *ngx_cpymem(p, value.data, value.len) = '\0';

    return NGX_OK;
}
