/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The module ngx_http_ws_bus_events_module: locations that events are read
 * from.
 */

#include "ngx_http_ws_bus_events.h"


static char *ngx_http_ws_bus_events_conf_location(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_ws_bus_events_conf_init_process(
    ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_ws_bus_events_commands[] = {

    { ngx_string("ws_bus_events"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_events_conf_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ws_bus_events_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_ws_bus_events_module = {
    NGX_MODULE_V1,
    &ngx_http_ws_bus_events_module_ctx,    /* module context */
    ngx_http_ws_bus_events_commands,       /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_ws_bus_events_conf_init_process,  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_ws_bus_events_conf_location(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                          *value;
    ngx_http_ws_bus_loc_conf_t         *wlcf;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    value = cf->args->elts;

    wlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_ws_bus_module);
    ccf = ngx_http_conf_get_module_loc_conf(cf,
                                            ngx_http_ws_bus_client_module);

    ccf->zone = ngx_http_ws_bus_zone_get(cf, &value[1]);
    if (ccf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    wlcf->zone = ccf->zone;
    wlcf->preflight = 1;
    ccf->handler = ngx_http_ws_bus_events_request_handler;

    if (ngx_http_ws_bus_client_conf_speaks_bus(cf, ccf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_ws_bus_conf_take_location(cf, cmd, ccf->handler);
}


static ngx_int_t
ngx_http_ws_bus_events_conf_init_process(ngx_cycle_t *cycle)
{
    ngx_http_ws_bus_events_drain_init(cycle);

    return NGX_OK;
}
