/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Handshakes that a protocol refuses in words and an order of its own.  It is
 * asked in the access phase, before the modules there: what they would refuse,
 * such as a request without a token, is answered here.
 */

#include "ngx_http_ws_bus_client.h"

#include "../jwt/ngx_http_ws_bus_jwt.h"


static ngx_int_t ngx_http_ws_bus_refuse_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_refuse_token(ngx_http_request_t *r,
    wsb_refused_t *why);


ngx_int_t
ngx_http_ws_bus_refuse_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_ws_bus_refuse_handler;

    return NGX_OK;
}


/* A method that makes no client is none of its business. */

static ngx_int_t
ngx_http_ws_bus_refuse_handler(ngx_http_request_t *r)
{
    ngx_int_t                           rc;
    ngx_str_t                           name;
    wsb_refused_t                       why;
    ngx_http_ws_bus_section_who_t       who;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (ccf->codec->refuse == NULL || ccf->zone == NULL
        || ccf->handler == NULL || r->content_handler != ccf->handler
        || r->method != NGX_HTTP_GET)
    {
        return NGX_DECLINED;
    }

    ngx_http_ws_bus_turn();

    if (ngx_http_ws_bus_section_of(r, &name, &who.entity) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (who.entity.len == 0) {
        why = name.len == 0 ? WSB_REFUSED_NO_ENTITY : WSB_REFUSED_ENTITY;
        return ngx_http_ws_bus_refuse(r, why, &name);
    }

    /* without claims, which may be none of this location's */

    if (ngx_http_ws_bus_section_of_uri(r, &who.section) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (who.section.len == 0) {
        return ngx_http_ws_bus_refuse(r, WSB_REFUSED_NO_SECTION, &name);
    }

    rc = ngx_http_ws_bus_refuse_token(r, &why);

    if (rc != NGX_DECLINED) {
        return rc == NGX_DONE ? ngx_http_ws_bus_refuse(r, why, &name) : rc;
    }

    return NGX_DECLINED;
}


/* NGX_DECLINED: there is nothing to refuse; NGX_DONE: *why. */

static ngx_int_t
ngx_http_ws_bus_refuse_token(ngx_http_request_t *r, wsb_refused_t *why)
{
    ngx_int_t                       rc;
    ngx_uint_t                      present;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_ws_bus_section_who_t   who;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->satisfy != NGX_HTTP_SATISFY_ALL) {
        /* another module may let it in */
        return NGX_DECLINED;
    }

    rc = ngx_http_ws_bus_jwt_ask(r, &present);

    if (rc == NGX_DECLINED || rc == NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return rc;
    }

    if (rc == NGX_HTTP_UNAUTHORIZED) {
        *why = present ? WSB_REFUSED_TOKEN : WSB_REFUSED_NO_TOKEN;

        if (!present && r->headers_out.www_authenticate != NULL) {
            /* it is of a 401 */
            r->headers_out.www_authenticate->hash = 0;
            r->headers_out.www_authenticate = NULL;
        }

        return NGX_DONE;
    }

    if (ngx_http_ws_bus_section_who(r, &who) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (who.user.len == 0) {
        *why = WSB_REFUSED_TOKEN;
        return NGX_DONE;
    }

    if (rc == NGX_HTTP_FORBIDDEN) {
        *why = WSB_REFUSED_RIGHT;
        return NGX_DONE;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_ws_bus_refuse(ngx_http_request_t *r, wsb_refused_t why,
    ngx_str_t *entity)
{
    u_char                             *p;
    size_t                              len;
    ngx_int_t                           rc;
    wsb_str_t                           name;
    ngx_uint_t                          status;
    wsb_text_t                          text;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    ngx_memzero(&text, sizeof(wsb_text_t));

    name.data = entity->data;
    name.len = entity->len;

    status = ccf->codec->refuse(&text, why, name);

    p = text.failed ? NULL : ngx_pnalloc(r->pool, text.len + 1);
    len = text.len;

    if (p != NULL) {
        ngx_memcpy(p, text.data, len);
    }

    wsb_text_done(&text);

    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (why < WSB_REFUSED_NO_TOKEN) {
        /* what stands in the URI may be a token in the wrong place */
        ngx_http_ws_bus_refusal_log(r, NGX_LOG_ERR,
                                    "websocket handshake refused with %ui: "
                                    "its URI names no %s", status,
                                    why == WSB_REFUSED_NO_SECTION
                                        ? "section" : "entity of ours");
    }

    rc = ngx_http_discard_request_body(r);

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_http_send_body(r, status, "application/json", p,
                                            len);
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}
