/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The module ngx_http_ws_bus_module: zones, and the worker's part in them.
 * The other rooms are modules of their own in the same file.
 */

#include "ngx_http_ws_bus_core.h"


static ngx_int_t ngx_http_ws_bus_module_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_ws_bus_module_version(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void *ngx_http_ws_bus_module_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_ws_bus_module_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_ws_bus_module_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_ws_bus_module_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);


static ngx_command_t  ngx_http_ws_bus_commands[] = {

    { ngx_string("ws_bus_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_zone_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ws_bus_module_ctx = {
    ngx_http_ws_bus_module_preconfiguration,  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_ws_bus_module_create_main_conf,   /* create main configuration */
    ngx_http_ws_bus_module_init_main_conf,        /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_ws_bus_module_create_loc_conf,    /* create location conf */
    ngx_http_ws_bus_module_merge_loc_conf      /* merge location conf */
};


ngx_module_t  ngx_http_ws_bus_module = {
    NGX_MODULE_V1,
    &ngx_http_ws_bus_module_ctx,           /* module context */
    ngx_http_ws_bus_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_ws_bus_worker_init_module,    /* init module */
    ngx_http_ws_bus_worker_init_process,   /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_ws_bus_worker_exit_process,   /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_str_t  ngx_http_ws_bus_version_name = ngx_string("ws_bus_version");


ngx_uint_t  ngx_http_ws_bus_module_counters_at;

static const ngx_http_ws_bus_counter_t  ngx_http_ws_bus_module_counter[] = {
    NGX_HTTP_WS_BUS_MODULE_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_ROW)
};


static ngx_int_t
ngx_http_ws_bus_module_preconfiguration(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, &ngx_http_ws_bus_version_name, 0);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_ws_bus_module_version;

    return ngx_http_ws_bus_counter_register(cf, ngx_http_ws_bus_module_counter,
                                 sizeof(ngx_http_ws_bus_module_counters_t)
                                     / sizeof(uint64_t),
                                 &ngx_http_ws_bus_module_counters_at);
}


static ngx_int_t
ngx_http_ws_bus_module_version(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    v->data = (u_char *) NGX_HTTP_WS_BUS_VERSION;
    v->len = sizeof(NGX_HTTP_WS_BUS_VERSION) - 1;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static void *
ngx_http_ws_bus_module_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_ws_bus_main_conf_t  *wmcf;

    wmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_main_conf_t));
    if (wmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&wmcf->zones, cf->pool, 2,
                       sizeof(ngx_http_ws_bus_zone_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return wmcf;
}


static char *
ngx_http_ws_bus_module_init_main_conf(ngx_conf_t *cf, void *conf)
{
    return ngx_http_ws_bus_zone_check_all(cf, conf);
}


static void *
ngx_http_ws_bus_module_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf;

    wlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_loc_conf_t));
    if (wlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     wlcf->handler = NULL;
     *     wlcf->zone = NULL;
     */

    return wlcf;
}


static char *
ngx_http_ws_bus_module_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_ws_bus_loc_conf_t  *prev = parent;
    ngx_http_ws_bus_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->handler != NULL && clcf->handler != conf->handler) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "location \"%V\" is given to ws_bus and to another "
                           "handler: give each a location of its own",
                           &clcf->name);
        return NGX_CONF_ERROR;
    }

    /* an "if" within a location runs the handler with a conf of its own */

    if (conf->zone == NULL) {
        conf->zone = prev->zone;
    }

    return NGX_CONF_OK;
}
