/*
 * Which tenant a request belongs to.
 */

#include "ngx_http_ws_bus_module.h"


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
