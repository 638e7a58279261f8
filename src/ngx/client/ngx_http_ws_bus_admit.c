/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a request must pass to become a client, whatever its transport.
 */

#include "ngx_http_ws_bus_client.h"


static ngx_int_t ngx_http_ws_bus_admit_tenant(ngx_http_ws_bus_client_t *wc,
    ngx_str_t *tenant);


ngx_int_t
ngx_http_ws_bus_admit(ngx_http_request_t *r, ngx_http_ws_bus_client_t *wc,
    ngx_str_t *tenant)
{
    u_char       *id;
    ngx_int_t     rc;
    ngx_uint_t    n;
    wsb_forced_t  forced[WSB_RESTRICT_CONDITIONS];

    n = 0;
    id = ngx_http_ws_bus_admit_id(r);

    if (id != NULL) {
        /* it has been told already */
        ngx_memcpy(wc->id, id, sizeof(wc->id));
    }

    if (wc->fan->worker == NULL) {
        /* of no bus: there is nothing to be seen, and nothing to be had */
        return NGX_OK;
    }

    rc = ngx_http_ws_bus_admit_tenant(wc, tenant);

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_restrict_force(r, wc, forced, &n);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_context_attach(r, wc);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_limit(r, wc);
    }

    if (rc == NGX_OK && wc->conf->requests != NULL
        && wc->fan->worker != NULL)
    {
        rc = wc->conf->requests->admit(r, wc, forced, n);
    }

    return rc;
}


ngx_int_t
ngx_http_ws_bus_admit_ask(ngx_http_request_t *r)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    return ccf->zone != NULL && (ccf->asked & NGX_HTTP_WS_BUS_ASKED_CONNECT)
               ? ccf->requests->connect(r)
               : NGX_OK;
}


/* The process's part in a zone: NULL, it has none now; or of no zone. */

ngx_http_ws_bus_fan_t *
ngx_http_ws_bus_admit_fan(ngx_http_ws_bus_zone_t *bus)
{
    if (bus == NULL) {
        return &ngx_http_ws_bus_no_fan;
    }

    if (bus->worker == NULL || bus->worker->slot == -1) {
        return NULL;
    }

    return bus->worker->fan;
}


/* A connection without a request still needs it. */

static ngx_int_t
ngx_http_ws_bus_admit_tenant(ngx_http_ws_bus_client_t *wc, ngx_str_t *tenant)
{
    if (tenant->len == 0) {
        return NGX_OK;
    }

    wc->tenant.data = ngx_alloc(tenant->len, wc->connection->log);
    if (wc->tenant.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wc->tenant.len = tenant->len;
    ngx_memcpy(wc->tenant.data, tenant->data, tenant->len);

    return NGX_OK;
}


u_char *
ngx_http_ws_bus_admit_id(ngx_http_request_t *r)
{
    return ngx_http_get_module_ctx(r->main, ngx_http_ws_bus_client_module);
}
