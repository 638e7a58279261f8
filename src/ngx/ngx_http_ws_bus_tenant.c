/*
 * Tenants: which one a request belongs to, and how many connections and
 * subscriptions each has, for its status page.
 */

#include "ngx_http_ws_bus_module.h"


static wsb_key_t ngx_http_ws_bus_tenant_key(ngx_http_ws_bus_conn_t *wc,
    wsb_count_t what);


ngx_int_t
ngx_http_ws_bus_tenant_of(ngx_http_request_t *r, ngx_str_t *tenant)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf;

    ngx_str_null(tenant);

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_module);

    if (wlcf->tenant == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, wlcf->tenant, tenant) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return tenant->len == 0 || tenant->len > NGX_HTTP_WS_BUS_TENANT_MAX
           ? NGX_HTTP_BAD_REQUEST : NGX_OK;
}


void
ngx_http_ws_bus_count_tenant(ngx_http_ws_bus_conn_t *wc)
{
    wsb_rc_t                   rc;
    wsb_key_t                  key;
    ngx_http_ws_bus_worker_t  *w;

    if (wc->tenant.len == 0) {
        return;
    }

    w = wc->worker;
    key = ngx_http_ws_bus_tenant_key(wc, WSB_COUNT_CONNECTIONS);

    ngx_shmtx_lock(&w->shpool->mutex);
    rc = wsb_interest_add_locked(w->zone, (unsigned) w->slot, &key, 1,
                                 WSB_MASK_COUNT);
    ngx_shmtx_unlock(&w->shpool->mutex);

    /* a registry that is full leaves it out, with its subscriptions */

    wc->tenant_counted = (rc == WSB_OK);
}


void
ngx_http_ws_bus_uncount_tenant(ngx_http_ws_bus_conn_t *wc)
{
    wsb_key_t                  key;
    ngx_http_ws_bus_worker_t  *w;

    if (!wc->tenant_counted) {
        return;
    }

    w = wc->worker;
    key = ngx_http_ws_bus_tenant_key(wc, WSB_COUNT_CONNECTIONS);

    ngx_shmtx_lock(&w->shpool->mutex);
    wsb_interest_remove_locked(w->zone, (unsigned) w->slot, &key, 1);
    ngx_shmtx_unlock(&w->shpool->mutex);

    wc->tenant_counted = 0;
}


wsb_rc_t
ngx_http_ws_bus_count_sub_locked(ngx_http_ws_bus_conn_t *wc)
{
    wsb_key_t  key;

    if (!wc->tenant_counted) {
        return WSB_OK;
    }

    key = ngx_http_ws_bus_tenant_key(wc, WSB_COUNT_SUBSCRIPTIONS);

    return wsb_interest_add_locked(wc->worker->zone,
                                   (unsigned) wc->worker->slot, &key, 1,
                                   WSB_MASK_COUNT);
}


void
ngx_http_ws_bus_uncount_sub_locked(ngx_http_ws_bus_conn_t *wc)
{
    wsb_key_t  key;

    if (!wc->tenant_counted) {
        return;
    }

    key = ngx_http_ws_bus_tenant_key(wc, WSB_COUNT_SUBSCRIPTIONS);

    wsb_interest_remove_locked(wc->worker->zone, (unsigned) wc->worker->slot,
                               &key, 1);
}


static wsb_key_t
ngx_http_ws_bus_tenant_key(ngx_http_ws_bus_conn_t *wc, wsb_count_t what)
{
    wsb_key_t  tenant;

    tenant = ngx_http_ws_bus_tenant_hash(wc->worker->zone, &wc->tenant);

    return wsb_key_count(&tenant, what);
}
