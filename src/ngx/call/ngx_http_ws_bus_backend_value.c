/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a call is about: the variables that its location has.
 */

#include "ngx_http_ws_bus_backend.h"


static ngx_int_t ngx_http_ws_bus_backend_value(ngx_http_ws_bus_backend_t *b,
    ngx_uint_t n, const uint8_t *data, size_t len, ngx_uint_t encoded);


ngx_int_t
ngx_http_ws_bus_backend_values(ngx_http_ws_bus_backend_t *b)
{
    wsb_str_t                 schema;
    const char               *name;
    ngx_http_ws_bus_client_t *wc;

    wc = b->ask->asker->client;
    name = b->name;

    schema = b->req->schema;

    if (schema.data == NULL && wc->context != NULL) {
        schema = wc->context->schema;
    }

    if (schema.len != 0) {
        b->ask->schema.data = ngx_pnalloc(b->call->pool, schema.len);
        if (b->ask->schema.data == NULL) {
            return NGX_ERROR;
        }

        b->ask->schema.len = schema.len;
        ngx_memcpy(b->ask->schema.data, schema.data, schema.len);
    }

    if (ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_OPERATION,
                                      (const uint8_t *) name,
                                      ngx_strlen(name), 0)
        != NGX_OK
        || ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_SCHEMA,
                                         schema.data, schema.len, 1)
           != NGX_OK
        || ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_ENTITY,
                                         b->req->entity.data,
                                         b->req->entity.len, 1)
           != NGX_OK
        || ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_RECORD_ID,
                                         b->req->record_id.data,
                                         b->req->record_id.len, 1)
           != NGX_OK
        || (wc->context != NULL
            && ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_SECTION,
                                             wc->context->section.data,
                                             wc->context->section.len, 1)
               != NGX_OK)
        || ngx_http_ws_bus_backend_value(b, NGX_HTTP_WS_BUS_CALL_TENANT,
                                         wc->tenant.data, wc->tenant.len, 0)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* what $ws_bus_connection_id looks at */

    b->call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].data =
                               ngx_pnalloc(b->call->pool, sizeof(wc->id));

    if (b->call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].data == NULL) {
        return NGX_ERROR;
    }

    b->call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].len = sizeof(wc->id);
    ngx_memcpy(b->call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].data,
               wc->id, sizeof(wc->id));

    ngx_http_set_ctx(b->call->main,
                     b->call->value[NGX_HTTP_WS_BUS_CALL_CONNECTION_ID].data,
                     ngx_http_ws_bus_client_module);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_backend_value(ngx_http_ws_bus_backend_t *b, ngx_uint_t n,
    const uint8_t *data, size_t len, ngx_uint_t encoded)
{
    ngx_int_t    rc;
    wsb_str_t    s;
    wsb_text_t   text;
    ngx_str_t   *value;

    value = &b->call->value[n];

    if (data == NULL) {
        return NGX_OK;
    }

    s.data = data;
    s.len = len;

    if (!encoded || wsb_rest_plain_bytes(s)) {
        value->data = ngx_pnalloc(b->call->pool, len + 1);
        if (value->data == NULL) {
            return NGX_ERROR;
        }

        value->len = len;
        ngx_memcpy(value->data, data, len);

        return NGX_OK;
    }

    ngx_memzero(&text, sizeof(wsb_text_t));

    wsb_rest_encode(&text, s);

    rc = NGX_ERROR;

    if (!text.failed) {
        value->data = ngx_pnalloc(b->call->pool, text.len + 1);

        if (value->data != NULL) {
            value->len = text.len;
            rc = NGX_OK;

            if (text.len != 0) {
                ngx_memcpy(value->data, text.data, text.len);
            }
        }
    }

    wsb_text_done(&text);

    return rc;
}
