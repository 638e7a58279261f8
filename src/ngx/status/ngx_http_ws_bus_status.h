/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The status location.
 *
 *   status        what is shown
 *   status_health   whether this nginx serves clients: 200 or 503
 *   status_filters  the filters that are most subscribed to
 *   status_conf   the module ngx_http_ws_bus_status_module, its directive
 */

#ifndef NGX_HTTP_WS_BUS_STATUS_H
#define NGX_HTTP_WS_BUS_STATUS_H


#include "../client/ngx_http_ws_bus_client.h"

#include <cjson/cJSON.h>


/* What a location shows. */

#define NGX_HTTP_WS_BUS_STATUS_JSON    0
#define NGX_HTTP_WS_BUS_STATUS_HEALTH  1


typedef struct {
    ngx_uint_t                   status_any;
    ngx_uint_t                   form;
} ngx_http_ws_bus_status_loc_conf_t;


ngx_int_t ngx_http_ws_bus_status_handler(ngx_http_request_t *r);

/* The same for all tenants, and nothing of them. */
ngx_int_t ngx_http_ws_bus_status_health(ngx_http_request_t *r);

/* The filters of a bus, into its part of the page; tenant NULL: of all. */
ngx_int_t ngx_http_ws_bus_status_filters(cJSON *zone,
    ngx_http_ws_bus_zone_t *bus, const wsb_key_t *tenant);


extern ngx_module_t  ngx_http_ws_bus_status_module;


#endif /* NGX_HTTP_WS_BUS_STATUS_H */
