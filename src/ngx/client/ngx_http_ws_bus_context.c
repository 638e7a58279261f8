/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Who a client is, as far as its protocol or its location wants to know: kept
 * for as long as the client lives, since the request is freed before.  Where
 * nobody asks, it takes no memory.
 */

#include "ngx_http_ws_bus_client.h"


#define NGX_HTTP_WS_BUS_CONTEXT_ID  (sizeof("conn_") - 1 + 32)
#define NGX_HTTP_WS_BUS_SCHEMA_MAX  256   /* bytes, as of other fields */


static u_char *ngx_http_ws_bus_context_copy(u_char *p, wsb_str_t *dst,
    ngx_str_t *src);


/* A name that an event can have, or "" for none. */

char *
ngx_http_ws_bus_context_default_schema(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf = conf;

    wsb_str_t   name;
    ngx_str_t  *value;

    if (ccf->default_schema.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    name.data = value[1].data;
    name.len = value[1].len;

    if (name.len > NGX_HTTP_WS_BUS_SCHEMA_MAX
        || !wsb_text_valid(name)
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, '$'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in "
                           "\"ws_bus_default_schema\": expected a name of at "
                           "most %d bytes without variables, such as "
                           "\"public\"",
                           &value[1], NGX_HTTP_WS_BUS_SCHEMA_MAX);
        return NGX_CONF_ERROR;
    }

    ccf->default_schema = value[1];

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_ws_bus_context_attach(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc)
{
    u_char                         *p;
    ngx_str_t                       schema;
    wsb_context_t                  *context;
    ngx_http_ws_bus_section_who_t   who;

    if (!wc->conf->context && !wc->conf->codec->context) {
        return NGX_OK;
    }

    ngx_str_null(&schema);

    if (ngx_http_ws_bus_section_who(r, &who) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (wc->conf->default_schema.len != 0) {
        schema = wc->conf->default_schema;

    } else if (wc->conf->schema != NULL
               && ngx_http_complex_value(r, wc->conf->schema, &schema)
                  != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    context = ngx_calloc(sizeof(wsb_context_t) + NGX_HTTP_WS_BUS_CONTEXT_ID
                         + wc->tenant.len + r->uri.len + schema.len
                         + who.section.len + who.entity.len + who.user.len
                         + who.session.len + who.roles.len,
                         r->connection->log);
    if (context == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wc->context = context;

    p = (u_char *) (context + 1);

    context->client = wc->id;

    context->connection_id.data = p;
    context->connection_id.len = NGX_HTTP_WS_BUS_CONTEXT_ID;

    p = ngx_cpymem(p, "conn_", 5);
    p = ngx_hex_dump(p, wc->id, sizeof(wc->id));

    p = ngx_http_ws_bus_context_copy(p, &context->tenant, &wc->tenant);
    p = ngx_http_ws_bus_context_copy(p, &context->uri, &r->uri);
    p = ngx_http_ws_bus_context_copy(p, &context->section, &who.section);
    p = ngx_http_ws_bus_context_copy(p, &context->entity, &who.entity);
    p = ngx_http_ws_bus_context_copy(p, &context->user, &who.user);
    p = ngx_http_ws_bus_context_copy(p, &context->session, &who.session);
    p = ngx_http_ws_bus_context_copy(p, &context->roles, &who.roles);
    (void) ngx_http_ws_bus_context_copy(p, &context->schema, &schema);

    context->actions = wc->conf->actions->elts;
    context->nactions = (unsigned) wc->conf->actions->nelts;

    return NGX_OK;
}


static u_char *
ngx_http_ws_bus_context_copy(u_char *p, wsb_str_t *dst, ngx_str_t *src)
{
    if (src->len == 0) {
        return p;
    }

    dst->data = p;
    dst->len = src->len;

    return ngx_cpymem(p, src->data, src->len);
}
