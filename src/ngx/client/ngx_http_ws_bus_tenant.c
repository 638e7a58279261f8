/*
 * Whose a request is: as the configuration says, else, of a handshake, if the
 * protocol lets the client say it, as the URL says.
 */

#include "ngx_http_ws_bus_client.h"


ngx_http_complex_value_t  ngx_http_ws_bus_no_tenant;


/*
 * "off": none, whatever an outer level says.  A constant that would get 400
 * each time is refused here.
 */

char *
ngx_http_ws_bus_tenant_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf = conf;

    char       *rv;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ccf->tenant == NULL && ngx_strcmp(value[1].data, "off") == 0) {
        ccf->tenant = &ngx_http_ws_bus_no_tenant;
        return NGX_CONF_OK;
    }

    rv = ngx_http_ws_bus_arg_complex(cf, cmd, conf);

    if (rv != NGX_CONF_OK || ccf->tenant->lengths != NULL) {
        return rv;
    }

    if (ngx_http_ws_bus_tenant_wrong(&value[1]) != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid tenant of %uz bytes in "
                           "\"ws_bus_tenant\": write one of 1 to %d bytes "
                           "of UTF-8, or \"off\" for none",
                           value[1].len, WSB_TENANT_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_ws_bus_tenant_get(ngx_http_request_t *r, ngx_str_t *tenant)
{
    u_char                             *p;
    wsb_str_t                           args, s;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    ngx_str_null(tenant);

    if (ccf->tenant != NULL) {

        if (ngx_http_complex_value(r, ccf->tenant, tenant) != NGX_OK) {
            return NGX_ERROR;
        }

        if (tenant->data == NULL) {
            /* empty, as opposed to absent */
            tenant->data = (u_char *) "";
        }

        return NGX_OK;
    }

    /* a location within it, for publishing, inherits the zone */

    if (r->content_handler != ccf->handler
        || ccf->zone == NULL || ccf->codec->tenant == NULL)
    {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, r->args.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    args.data = r->args.data;
    args.len = r->args.len;

    ccf->codec->tenant(args, p, &s);

    tenant->data = (u_char *) s.data;
    tenant->len = s.len;

    return NGX_OK;
}


const char *
ngx_http_ws_bus_tenant_wrong(ngx_str_t *tenant)
{
    wsb_str_t  s;

    if (tenant->len == 0) {
        return "it is empty";
    }

    if (tenant->len > WSB_TENANT_MAX) {
        return "it is longer than 256 bytes";
    }

    s.data = tenant->data;
    s.len = tenant->len;

    return wsb_text_valid(s) ? NULL : "it is not UTF-8, or has a NUL";
}


ngx_int_t
ngx_http_ws_bus_tenant_of(ngx_http_request_t *r, ngx_str_t *tenant)
{
    ngx_int_t    rc;
    const char  *wrong;

    rc = ngx_http_ws_bus_tenant_get(r, tenant);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    wrong = ngx_http_ws_bus_tenant_wrong(tenant);

    if (wrong == NULL) {
        return NGX_OK;
    }

    ngx_http_ws_bus_refusal_log(r, NGX_LOG_ERR,
                                "request refused by its tenant: %s", wrong);

    return NGX_HTTP_BAD_REQUEST;
}


ngx_int_t
ngx_http_ws_bus_tenant_check(ngx_http_request_t *r, ngx_str_t *tenant)
{
    ngx_int_t                           rc;
    wsb_str_t                           s;
    const char                         *text, *wrong;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (ccf->zone == NULL) {
        ngx_str_null(tenant);
        return NGX_OK;
    }

    rc = ngx_http_ws_bus_tenant_get(r, tenant);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    s.data = tenant->data;
    s.len = tenant->len;

    text = ccf->codec->refuse_tenant ? ccf->codec->refuse_tenant(s) : NULL;

    wrong = ngx_http_ws_bus_tenant_wrong(tenant);

    if (text == NULL && wrong == NULL) {
        return NGX_OK;
    }

    /* the client's own is its own fault, the configured one is looked for */

    ngx_http_ws_bus_refusal_log(r, ccf->tenant ? NGX_LOG_ERR : NGX_LOG_INFO,
                                "websocket handshake refused by its tenant: "
                                "%s", wrong ? wrong : text);

    if (text == NULL) {
        return NGX_HTTP_BAD_REQUEST;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_ws_bus_http_send_body(r, NGX_HTTP_BAD_REQUEST, "text/plain",
                                        (u_char *) text, ngx_strlen(text));

    return rc == NGX_OK ? NGX_DONE : rc;
}


wsb_key_t
ngx_http_ws_bus_tenant_hash(wsb_zone_t *zone, ngx_str_t *tenant)
{
    wsb_str_t  name;

    name.data = tenant->data;
    name.len = tenant->len;

    return wsb_key_tenant(zone->key, name);
}
