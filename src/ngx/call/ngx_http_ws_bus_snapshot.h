/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What there is of a subscription before its events, and who may be given the
 * same.
 */

#ifndef NGX_HTTP_WS_BUS_SNAPSHOT_H
#define NGX_HTTP_WS_BUS_SNAPSHOT_H


#include "ngx_http_ws_bus_call.h"


/* snapshot */

/* As those of ngx_http_ws_bus_requests_t. */
ngx_int_t ngx_http_ws_bus_snapshot_live(ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub, const wsb_op_t *op);
void ngx_http_ws_bus_snapshot_dead(ngx_http_ws_bus_client_t *wc,
    uint32_t ordinal);
void ngx_http_ws_bus_snapshot_stale(ngx_http_ws_bus_client_t *wc,
    uint32_t ordinal);
void ngx_http_ws_bus_snapshot_again(ngx_http_ws_bus_client_t *wc,
    uint32_t ordinal);

/* Its client is freed. */
void ngx_http_ws_bus_snapshot_leave(ngx_http_ws_bus_asker_t *asker);

/*
 * Its subscription waits from now on.  NGX_OK: it is ask->call; NGX_DONE: the
 * subscription has ended; NGX_DECLINED: the result says why there is none.
 */
ngx_int_t ngx_http_ws_bus_snapshot_call(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);

/* The rows of an answer that meet the client's conditions. */
void ngx_http_ws_bus_snapshot_rows(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, const wsb_json_t *body);

/* Makes a failure of a result: static texts. */
void ngx_http_ws_bus_snapshot_fail(wsb_result_t *result, const char *code,
    const char *text);

/*
 * What came of it is sent, and the subscription goes on; or it is asked again.
 */
void ngx_http_ws_bus_snapshot_send(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);


/*
 * Since when what the call reads is as it is, in its pool: an answer that comes
 * after this is good for as long as it stays so.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_ws_bus_snapshot_version(ngx_http_ws_bus_ask_t *ask,
    ngx_http_ws_bus_call_t *call, ngx_str_t *version);


/* audience */

/* Of a call of this ask, in its pool.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_ws_bus_audience(ngx_http_ws_bus_ask_t *ask,
    ngx_http_ws_bus_call_t *call, ngx_str_t *audience);

/*
 * What it is made of, added to t: forced conditions; and all that a client
 * shows of itself by which a backend could tell it from another one.
 */
void ngx_http_ws_bus_audience_forced(wsb_text_t *t,
    const wsb_forced_t *forced, ngx_uint_t n);
void ngx_http_ws_bus_audience_shown(wsb_text_t *t,
    ngx_http_ws_bus_asker_t *asker);
void ngx_http_ws_bus_audience_add(wsb_text_t *t, const void *data,
    size_t len);


#endif /* NGX_HTTP_WS_BUS_SNAPSHOT_H */
