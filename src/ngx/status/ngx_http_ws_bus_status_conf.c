/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The module ngx_http_ws_bus_status_module.
 */

#include "ngx_http_ws_bus_status.h"


static char *ngx_http_ws_bus_status_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_ws_bus_status_conf_create(ngx_conf_t *cf);
static char *ngx_http_ws_bus_status_conf_merge(ngx_conf_t *cf, void *parent,
    void *child);


static ngx_command_t  ngx_http_ws_bus_status_commands[] = {

    { ngx_string("ws_bus_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_ws_bus_status_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ws_bus_status_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_ws_bus_status_conf_create,    /* create location configuration */
    ngx_http_ws_bus_status_conf_merge      /* merge location configuration */
};


ngx_module_t  ngx_http_ws_bus_status_module = {
    NGX_MODULE_V1,
    &ngx_http_ws_bus_status_module_ctx,    /* module context */
    ngx_http_ws_bus_status_commands,       /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_ws_bus_status_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_status_loc_conf_t  *stlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, any, form;

    value = cf->args->elts;
    any = 0;
    form = NGX_CONF_UNSET_UINT;

    for (i = 1; i < cf->args->nelts; i++) {

        if (!any && ngx_strcmp(value[i].data, "any") == 0) {
            any = 1;
            continue;
        }

        if (form == NGX_CONF_UNSET_UINT) {

            if (ngx_strcmp(value[i].data, "json") == 0) {
                form = NGX_HTTP_WS_BUS_STATUS_JSON;
                continue;
            }

            if (ngx_strcmp(value[i].data, "health") == 0) {
                form = NGX_HTTP_WS_BUS_STATUS_HEALTH;
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"ws_bus_status\": "
                           "write \"any\" or nothing, and one of \"json\" "
                           "and \"health\" or none", &value[i]);
        return NGX_CONF_ERROR;
    }

    stlcf->status_any = any;
    stlcf->form = form;

    return ngx_http_ws_bus_conf_take_location(cf, cmd,
                                              ngx_http_ws_bus_status_handler);
}


static void *
ngx_http_ws_bus_status_conf_create(ngx_conf_t *cf)
{
    ngx_http_ws_bus_status_loc_conf_t  *stlcf;

    stlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_status_loc_conf_t));
    if (stlcf == NULL) {
        return NULL;
    }

    stlcf->status_any = NGX_CONF_UNSET_UINT;
    stlcf->form = NGX_CONF_UNSET_UINT;

    return stlcf;
}


static char *
ngx_http_ws_bus_status_conf_merge(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_ws_bus_status_loc_conf_t  *prev = parent;
    ngx_http_ws_bus_status_loc_conf_t  *conf = child;

    ngx_conf_merge_uint_value(conf->status_any, prev->status_any, 0);
    ngx_conf_merge_uint_value(conf->form, prev->form,
                              NGX_HTTP_WS_BUS_STATUS_JSON);

    return NGX_CONF_OK;
}
