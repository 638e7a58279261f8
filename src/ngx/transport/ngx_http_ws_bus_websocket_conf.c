/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The room's module, ngx_http_ws_bus_websocket_module: the directives that
 * make a location a WebSocket, and those that say how it is one.
 */

#include "ngx_http_ws_bus_transport.h"


static char *ngx_http_ws_bus_websocket_conf_location(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_ws_bus_websocket_conf_echo(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_ws_bus_websocket_conf_counters(ngx_conf_t *cf);
static void *ngx_http_ws_bus_websocket_conf_create(ngx_conf_t *cf);
static char *ngx_http_ws_bus_websocket_conf_merge(ngx_conf_t *cf,
    void *parent, void *child);


static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_message_size = {
    ngx_conf_set_size_slot, "a size from 125 to 1g, such as \"64k\"",
    125, 1024 * 1024 * 1024, 0
};

static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_sndbuf = {
    ngx_conf_set_size_slot,
    "a size from 8k to 64m, or 0 for the system's own",
    8192, 64 * 1024 * 1024, 1
};

static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_min_length = {
    ngx_conf_set_size_slot, "a size of at most 1g, such as \"256\"",
    0, 1024 * 1024 * 1024, 0
};


static ngx_command_t  ngx_http_ws_bus_websocket_commands[] = {

    { ngx_string("ws_bus"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_websocket_conf_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_echo"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_ws_bus_websocket_conf_echo,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_max_message_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_websocket_loc_conf_t, max_message_size),
      &ngx_http_ws_bus_message_size },

    { ngx_string("ws_bus_sndbuf"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_websocket_loc_conf_t, sndbuf),
      &ngx_http_ws_bus_sndbuf },

    { ngx_string("ws_bus_deflate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_deflate_level,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_deflate_min_length"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_websocket_loc_conf_t, deflate_min_length),
      &ngx_http_ws_bus_min_length },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ws_bus_websocket_module_ctx = {
    ngx_http_ws_bus_websocket_conf_counters,  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_ws_bus_websocket_conf_create,  /* create location conf */
    ngx_http_ws_bus_websocket_conf_merge    /* merge location conf */
};


ngx_module_t  ngx_http_ws_bus_websocket_module = {
    NGX_MODULE_V1,
    &ngx_http_ws_bus_websocket_module_ctx, /* module context */
    ngx_http_ws_bus_websocket_commands,    /* module directives */
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
ngx_http_ws_bus_websocket_conf_location(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_websocket_loc_conf_t  *wslcf = conf;

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
    ccf->handler = ngx_http_ws_bus_upgrade_handler;
    wslcf->message = ngx_http_ws_bus_websocket_message;

    return ngx_http_ws_bus_conf_take_location(cf, cmd,
                                              ngx_http_ws_bus_upgrade_handler);
}


static char *
ngx_http_ws_bus_websocket_conf_echo(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_websocket_loc_conf_t  *wslcf = conf;

    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    /* of no bus, whatever is around it */

    ccf = ngx_http_conf_get_module_loc_conf(cf,
                                            ngx_http_ws_bus_client_module);
    ccf->zone = NULL;
    ccf->handler = ngx_http_ws_bus_upgrade_handler;
    wslcf->message = ngx_http_ws_bus_echo_message;

    return ngx_http_ws_bus_conf_take_location(cf, cmd,
                                              ngx_http_ws_bus_upgrade_handler);
}


ngx_uint_t  ngx_http_ws_bus_websocket_counters_at;

static const ngx_http_ws_bus_counter_t  ngx_http_ws_bus_websocket_counter[] = {
    NGX_HTTP_WS_BUS_WEBSOCKET_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_ROW)
};


static ngx_int_t
ngx_http_ws_bus_websocket_conf_counters(ngx_conf_t *cf)
{
    return ngx_http_ws_bus_counter_register(cf,
                                 ngx_http_ws_bus_websocket_counter,
                                 sizeof(ngx_http_ws_bus_websocket_counters_t)
                                     / sizeof(uint64_t),
                                 &ngx_http_ws_bus_websocket_counters_at);
}


static void *
ngx_http_ws_bus_websocket_conf_create(ngx_conf_t *cf)
{
    ngx_http_ws_bus_websocket_loc_conf_t  *wslcf;

    wslcf = ngx_pcalloc(cf->pool,
                        sizeof(ngx_http_ws_bus_websocket_loc_conf_t));
    if (wslcf == NULL) {
        return NULL;
    }

    wslcf->max_message_size = NGX_CONF_UNSET_SIZE;
    wslcf->sndbuf = NGX_CONF_UNSET_SIZE;
    wslcf->deflate = NGX_CONF_UNSET_UINT;
    wslcf->deflate_min_length = NGX_CONF_UNSET_SIZE;

    return wslcf;
}


static char *
ngx_http_ws_bus_websocket_conf_merge(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_ws_bus_websocket_loc_conf_t  *prev = parent;
    ngx_http_ws_bus_websocket_loc_conf_t  *conf = child;

    if (conf->message == NULL) {
        conf->message = prev->message;
    }

    ngx_conf_merge_size_value(conf->max_message_size,
                              prev->max_message_size, 65536);
    ngx_conf_merge_size_value(conf->sndbuf, prev->sndbuf, 256 * 1024);
    ngx_conf_merge_uint_value(conf->deflate, prev->deflate, 0);
    ngx_conf_merge_size_value(conf->deflate_min_length,
                              prev->deflate_min_length, 256);

    conf->reader.max_message = conf->max_message_size;

    return NGX_CONF_OK;
}
