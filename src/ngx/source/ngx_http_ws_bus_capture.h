/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What the files of capture share: capture watches the response, mutation
 * makes the event, capture_cause says whose it is.
 */

#ifndef NGX_HTTP_WS_BUS_CAPTURE_H
#define NGX_HTTP_WS_BUS_CAPTURE_H


#include "ngx_http_ws_bus_source.h"

#include "../../event/wsb_mutation.h"
#include "../../event/wsb_response.h"


#define NGX_HTTP_WS_BUS_MUTATIONS  (NGX_HTTP_POST|NGX_HTTP_PUT               \
                                    |NGX_HTTP_PATCH|NGX_HTTP_DELETE)


/* Of a main request; lives in a cleanup of its pool. */

typedef struct {
    ngx_http_ws_bus_source_loc_conf_t  *conf;  /* of the location captured */
    ngx_http_ws_bus_client_loc_conf_t  *client;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_ws_bus_zone_t      *bus;
    ngx_http_ws_bus_zone_t      *counted;     /* where it is underway */
    const ngx_http_ws_bus_called_t  *called;  /* NULL: it is captured */
    ngx_uint_t                   method;
    ngx_str_t                    uri;
    ngx_str_t                    raw;         /* as the client has sent it */
    ngx_str_t                    location;    /* the header */
    ngx_str_t                    encoding;
    wsb_text_t                   body;        /* of the response */
    ngx_str_t                    id;          /* of the first event */

    /* "103 Early Hints" came first: what follows; else NULL */
    wsb_response_t              *proper;

    unsigned                     rewritten:1; /* uri is not that of raw */
    unsigned                     active:1;    /* its response passes by */
    unsigned                     lost:1;      /* the body is not known */
    unsigned                     done:1;      /* the event is out */
    unsigned                     underway:1;  /* counted in the slot */
} ngx_http_ws_bus_captured_t;


/* A header of the client, else an id of the request; len 0: there is none. */
wsb_str_t ngx_http_ws_bus_capture_cause(ngx_http_request_t *r);

/* A line in the error log: which location, and why. */
void ngx_http_ws_bus_mutation_refused(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap, const char *reason);

/* It may have been made, and no event will tell of it. */
void ngx_http_ws_bus_mutation_lost(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap);

/* Publishes what has been captured, once. */
void ngx_http_ws_bus_mutation_emit(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap);


#endif /* NGX_HTTP_WS_BUS_CAPTURE_H */
