/*
 * What the files of the status page share.
 */

#ifndef NGX_HTTP_WS_BUS_STATUS_H
#define NGX_HTTP_WS_BUS_STATUS_H


#include "ngx_http_ws_bus_module.h"

#include <cjson/cJSON.h>


/* The filters of a bus, into its part of the page; tenant NULL: of all. */
ngx_int_t ngx_http_ws_bus_status_filters(cJSON *zone,
    ngx_http_ws_bus_zone_t *bus, const wsb_key_t *tenant);


#endif /* NGX_HTTP_WS_BUS_STATUS_H */
