/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A request that is being made a call of, for the files that do it.
 */

#ifndef NGX_HTTP_WS_BUS_BACKEND_H
#define NGX_HTTP_WS_BUS_BACKEND_H


#include "ngx_http_ws_bus_call.h"


typedef struct {
    ngx_http_ws_bus_ask_t       *ask;
    ngx_http_ws_bus_call_t      *call;
    const wsb_op_request_t      *req;
    wsb_operation_t              operation;   /* that the call is for: a check
                                                 reads */
    const char                  *name;        /* of it */
    wsb_result_t                *result;
    wsb_rest_t                   rest;
    wsb_text_t                   path;
    wsb_text_t                   args;
} ngx_http_ws_bus_backend_t;


/* Sets the variables that a call has. */
ngx_int_t ngx_http_ws_bus_backend_values(ngx_http_ws_bus_backend_t *b);

/*
 * Takes path and args as the URI of the call.  NGX_DECLINED: it is refused,
 * and the result says why.
 */
ngx_int_t ngx_http_ws_bus_backend_uri(ngx_http_ws_bus_backend_t *b);

/* Must the row be looked at before it is changed? */
ngx_uint_t ngx_http_ws_bus_backend_rights_look(ngx_http_ws_bus_backend_t *b);

/* The conditions on columns; how many. */
ngx_uint_t ngx_http_ws_bus_backend_rights_columns(ngx_http_ws_bus_ask_t *ask,
    wsb_forced_t *forced);

/*
 * What a snapshot is asked with: the options, and the subscription's own
 * conditions as far as the backend can be asked for them.  As of
 * wsb_rest_select().
 */
ngx_int_t ngx_http_ws_bus_backend_select(ngx_http_ws_bus_backend_t *b,
    const wsb_json_t *options, wsb_rest_error_t *err);

/* NGX_DECLINED: it is refused, and the result says why. */
ngx_int_t ngx_http_ws_bus_backend_rights(ngx_http_ws_bus_backend_t *b);

/* NGX_DECLINED.  text is static, or outlives the result. */
ngx_int_t ngx_http_ws_bus_backend_refuse(ngx_http_ws_bus_backend_t *b,
    const char *code, const char *text);


#endif /* NGX_HTTP_WS_BUS_BACKEND_H */
