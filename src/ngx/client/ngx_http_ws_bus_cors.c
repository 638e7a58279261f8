/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Pages of other origins that ask by fetch() or an EventSource: the CORS
 * protocol of Fetch.
 */

#include "ngx_http_ws_bus_client.h"


/* Only where origins are named may their pages come with cookies. */

ngx_int_t
ngx_http_ws_bus_cors(ngx_http_request_t *r, ngx_str_t *origin, ngx_uint_t n,
    const char *expose)
{
    u_char                             *p;
    ngx_uint_t                          named;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    static const ngx_str_t  name = ngx_string("Access-Control-Allow-Origin");

    /* a handler that has waited for a hook comes here once more */

    if (n == 0
        || ngx_http_ws_bus_http_find_header(&r->headers_out.headers, &name)
           != NULL)
    {
        return NGX_OK;
    }

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    named = ccf->origins != NULL && ngx_http_ws_bus_origin_listed_only(ccf);

    p = ngx_pnalloc(r->pool, origin->len + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *ngx_cpymem(p, origin->data, origin->len) = '\0';

    if (ngx_http_ws_bus_http_add_header(r, "Access-Control-Allow-Origin",
                                        named ? (char *) p : "*")
        != NGX_OK
        || ngx_http_ws_bus_http_add_header(r, "Access-Control-Expose-Headers",
                                           expose)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (named
        && (ngx_http_ws_bus_http_add_header(r, "Vary", "Origin") != NGX_OK
            || ngx_http_ws_bus_http_add_header(r,
                                       "Access-Control-Allow-Credentials",
                                       "true")
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_ws_bus_cors_preflight(ngx_http_request_t *r, const char *methods,
    const char *headers)
{
    ngx_int_t  rc;

    if (ngx_http_ws_bus_http_add_header(r, "Access-Control-Allow-Methods",
                                        methods)
        != NGX_OK
        || ngx_http_ws_bus_http_add_header(r, "Access-Control-Allow-Headers",
                                           headers)
           != NGX_OK
        || ngx_http_ws_bus_http_add_header(r, "Access-Control-Max-Age",
                                           "3600")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    rc = ngx_http_send_header(r);

    return rc == NGX_OK || rc == NGX_AGAIN ? NGX_DECLINED : rc;
}
