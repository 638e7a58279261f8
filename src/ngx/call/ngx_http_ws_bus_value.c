/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a call is about, as variables: percent-encoded where it comes from a
 * client's message, so that in a URI no value leaves its place.
 */

#include "ngx_http_ws_bus_snapshot.h"


static ngx_int_t ngx_http_ws_bus_value_get(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_int_t ngx_http_ws_bus_value_handshake(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ws_bus_value_made(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ws_bus_value_meta(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_ws_bus_value_table[] = {

    { ngx_string("ws_bus_operation"), NULL, ngx_http_ws_bus_value_get,
      NGX_HTTP_WS_BUS_CALL_OPERATION, 0, 0 },

    { ngx_string("ws_bus_schema"), NULL, ngx_http_ws_bus_value_get,
      NGX_HTTP_WS_BUS_CALL_SCHEMA, 0, 0 },

    { ngx_string("ws_bus_entity"), NULL, ngx_http_ws_bus_value_get,
      NGX_HTTP_WS_BUS_CALL_ENTITY, 0, 0 },

    { ngx_string("ws_bus_record_id"), NULL, ngx_http_ws_bus_value_get,
      NGX_HTTP_WS_BUS_CALL_RECORD_ID, 0, 0 },

    { ngx_string("ws_bus_section"), NULL, ngx_http_ws_bus_value_get,
      NGX_HTTP_WS_BUS_CALL_SECTION, 0, 0 },

    { ngx_string("ws_bus_snapshot_version"), NULL, ngx_http_ws_bus_value_made,
      NGX_HTTP_WS_BUS_CALL_VERSION, 0, 0 },

    { ngx_string("ws_bus_audience"), NULL, ngx_http_ws_bus_value_made,
      NGX_HTTP_WS_BUS_CALL_AUDIENCE, 0, 0 },

    { ngx_string("ws_bus_meta_"), NULL, ngx_http_ws_bus_value_meta,
      0, NGX_HTTP_VAR_PREFIX|NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_ws_bus_value_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_ws_bus_value_table; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_value_get(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_ws_bus_call_t  *call;

    call = ngx_http_ws_bus_call_of(r);

    if (call == NULL) {
        return ngx_http_ws_bus_value_handshake(r, v, data);
    }

    if (call->value[data].data == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = call->value[data].data;
    v->len = call->value[data].len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* Made when it is wanted first; once, whatever comes until the call ends. */

static ngx_int_t
ngx_http_ws_bus_value_made(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t                rc;
    ngx_http_ws_bus_ask_t   *ask;
    ngx_http_ws_bus_call_t  *call;

    call = ngx_http_ws_bus_call_of(r);

    if (call == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    /* a hook's call has another function, and so have others' */

    if (call->value[data].data == NULL
        && call->done == ngx_http_ws_bus_asker_done)
    {
        ask = call->data;

        if (ask->asker != NULL
            && ask->kept->op.request.operation == WSB_READ)
        {
            rc = data == NGX_HTTP_WS_BUS_CALL_VERSION
                     ? ngx_http_ws_bus_snapshot_version(ask, call,
                                                        &call->value[data])
                     : ngx_http_ws_bus_audience(ask, call,
                                                &call->value[data]);
            if (rc != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return ngx_http_ws_bus_value_get(r, v, data);
}


/* Of a request that is none: what it would make a client of. */

static ngx_int_t
ngx_http_ws_bus_value_handshake(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t  rc;
    ngx_str_t  name, value;

    ngx_str_null(&value);

    rc = data == NGX_HTTP_WS_BUS_CALL_ENTITY
             ? ngx_http_ws_bus_section_of(r, &name, &value)
             : data == NGX_HTTP_WS_BUS_CALL_SECTION
                   ? ngx_http_ws_bus_section_of_uri(r, &value) : NGX_OK;

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (value.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = value.data;
    v->len = value.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/*
 * What hooks have said of the connection: of a call, that of its client; of a
 * handshake, its own.
 */

static ngx_int_t
ngx_http_ws_bus_value_meta(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               *full = (ngx_str_t *) data;

    u_char                  *p;
    size_t                   len;
    wsb_str_t                name, metadata;
    ngx_http_ws_bus_call_t  *call;

    call = ngx_http_ws_bus_call_of(r);
    metadata = call ? call->metadata : ngx_http_ws_bus_connect_metadata(r);

    v->not_found = 1;

    if (metadata.data == NULL) {
        return NGX_OK;
    }

    name.data = full->data + sizeof("ws_bus_meta_") - 1;
    name.len = full->len - (sizeof("ws_bus_meta_") - 1);

    p = ngx_pnalloc(r->pool, metadata.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (wsb_hook_value(metadata, name, p, &len) == WSB_OK) {
        v->data = p;
        v->len = len;
        v->valid = 1;
        v->no_cacheable = 0;
        v->not_found = 0;
    }

    return NGX_OK;
}
