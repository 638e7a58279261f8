/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What the two files of publishing share: the endpoint, and what a request
 * has for a body.
 */

#ifndef NGX_HTTP_WS_BUS_PUBLISH_H
#define NGX_HTTP_WS_BUS_PUBLISH_H


#include "ngx_http_ws_bus_source.h"


#define NGX_HTTP_WS_BUS_PLAIN   0
#define NGX_HTTP_WS_BUS_GZIP    1
#define NGX_HTTP_WS_BUS_OTHER   2         /* we cannot decode it */

/* Of which type it is.  NGX_DECLINED: of none that we take. */
ngx_int_t ngx_http_ws_bus_publish_body_format(ngx_http_request_t *r,
    wsb_format_t *format);

/* How the body is encoded, by its header. */
ngx_uint_t ngx_http_ws_bus_publish_body_encoding(ngx_http_request_t *r);

/*
 * Decodes it; plain is malloc'd: at most max bytes, and no more than
 * client_max_body_size permits.  NGX_DECLINED: it would be more.
 * NGX_HTTP_BAD_REQUEST: it is no gzip.
 */
ngx_int_t ngx_http_ws_bus_publish_body_inflate(ngx_http_request_t *r,
    wsb_str_t *body, size_t max, uint8_t **plain);

/*
 * A CloudEvent of which the headers hold the attributes: as a structured one,
 * in text.  NGX_DECLINED: it is none; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_ws_bus_publish_body_cloud(ngx_http_request_t *r,
    wsb_str_t body, wsb_text_t *text);

/* How events are read that may say whom they are for; NULL: no memory. */
wsb_target_t *ngx_http_ws_bus_publish_body_target(ngx_http_request_t *r);


#endif /* NGX_HTTP_WS_BUS_PUBLISH_H */
