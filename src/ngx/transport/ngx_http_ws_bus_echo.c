/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A WebSocket that answers each message with itself: for conformance tests
 * and the checks of load balancers.  It is of no bus.
 */

#include "ngx_http_ws_bus_transport.h"


void
ngx_http_ws_bus_echo_message(ngx_http_ws_bus_websocket_t *ws,
    const wsb_message_t *msg)
{
    if (ngx_http_ws_bus_deflate_send(ws, msg->opcode, msg->data, msg->len)
        == NGX_DECLINED)
    {
        ngx_http_ws_bus_websocket_send(ws, msg->opcode, msg->data, msg->len);
    }
}
