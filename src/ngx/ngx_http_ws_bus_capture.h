/*
 * What the two files of capture share: capture watches the response,
 * mutation makes the event.
 */

#ifndef NGX_HTTP_WS_BUS_CAPTURE_H
#define NGX_HTTP_WS_BUS_CAPTURE_H


#include "ngx_http_ws_bus_module.h"


#define NGX_HTTP_WS_BUS_MUTATIONS  (NGX_HTTP_POST|NGX_HTTP_PUT               \
                                    |NGX_HTTP_PATCH|NGX_HTTP_DELETE)


/* Of a main request; lives in a cleanup of its pool. */

typedef struct {
    ngx_http_ws_bus_loc_conf_t  *conf;        /* of the location captured */
    ngx_http_core_loc_conf_t    *clcf;
    ngx_uint_t                   method;
    ngx_str_t                    uri;
    ngx_str_t                    location;    /* the header */
    ngx_str_t                    encoding;
    wsb_text_t                   body;        /* of the response */
    ngx_str_t                    id;          /* of the first event */

    unsigned                     active:1;    /* its response passes by */
    unsigned                     lost:1;      /* the body is not known */
    unsigned                     done:1;      /* the event is out */
} ngx_http_ws_bus_captured_t;


/* Publishes what has been captured, once. */
void ngx_http_ws_bus_capture_emit(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap);


#endif /* NGX_HTTP_WS_BUS_CAPTURE_H */
