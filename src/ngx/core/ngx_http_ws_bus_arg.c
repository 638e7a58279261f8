/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Arguments of the query string as values.  nginx's $arg_name is what stands
 * in the URL: "caf%C3%A9" is no name that anybody has.  So our directives
 * read $ws_bus_arg_name in its place, which is decoded.
 */

#include "ngx_http_ws_bus_core.h"

#include "../../event/wsb_form.h"


#define NGX_HTTP_WS_BUS_ARG    "ws_bus_arg_"


/* $arg_... and ${arg_...} become $ws_bus_arg_... in the text of a value. */

ngx_int_t
ngx_http_ws_bus_arg_decode(ngx_conf_t *cf, ngx_str_t *value)
{
    u_char      *p, *q, *last;
    ngx_uint_t   n;

    static u_char  arg[] = "arg_";

    n = 0;
    last = value->data + value->len;

    for (p = value->data; p < last; p++) {
        n += *p == '$';
    }

    if (n == 0) {
        return NGX_OK;
    }

    q = ngx_pnalloc(cf->pool, value->len + n * (sizeof("ws_bus_") - 1) + 1);
    if (q == NULL) {
        return NGX_ERROR;
    }

    p = value->data;
    value->data = q;

    while (p < last) {
        *q++ = *p++;

        if (p[-1] != '$') {
            continue;
        }

        if (p < last && *p == '{') {
            *q++ = *p++;
        }

        if (last - p > 4 && ngx_strncasecmp(p, arg, 4) == 0) {
            q = ngx_cpymem(q, "ws_bus_", sizeof("ws_bus_") - 1);
        }
    }

    *q = '\0';
    value->len = q - value->data;

    return NGX_OK;
}


/* A slot for a value with variables. */

char *
ngx_http_ws_bus_arg_complex(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_http_ws_bus_arg_decode(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_set_complex_value_slot(cf, cmd, conf);
}


/* One that cannot be decoded is as good as none. */

ngx_int_t
ngx_http_ws_bus_arg_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    size_t      len;
    u_char     *p;
    ngx_str_t  *name, value;
    wsb_str_t   s;

    name = (ngx_str_t *) data;

    v->not_found = 1;

    if (name->len <= sizeof(NGX_HTTP_WS_BUS_ARG) - 1
        || ngx_http_arg(r, name->data + sizeof(NGX_HTTP_WS_BUS_ARG) - 1,
                        name->len - (sizeof(NGX_HTTP_WS_BUS_ARG) - 1), &value)
           != NGX_OK)
    {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, value.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    s.data = value.data;
    s.len = value.len;

    if (wsb_form_decode(s, p, &len) != WSB_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "argument \"%*s\" is taken for empty: it has a \"%%\" "
                      "without two hex digits behind it",
                      name->len - (sizeof(NGX_HTTP_WS_BUS_ARG) - 1),
                      name->data + sizeof(NGX_HTTP_WS_BUS_ARG) - 1);
        return NGX_OK;
    }

    v->data = p;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
