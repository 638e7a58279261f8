/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What this room counts.  A new one is one line here; the status page shows
 * it by itself, and docs/directives.md must name it.
 */

#ifndef NGX_HTTP_WS_BUS_CLIENT_COUNTERS_H
#define NGX_HTTP_WS_BUS_CLIENT_COUNTERS_H


#include "../core/ngx_http_ws_bus_core.h"


/* Name, kind, where it is shown, meaning. */

#define NGX_HTTP_WS_BUS_CLIENT_COUNTERS(counter)                              \
    counter(connections, NOW, BOTH,                                           \
            "clients that are connected")                                     \
    counter(connections_opened, SUM, TOTALS,                                  \
            "clients that were ever connected")                               \
    counter(refused_connections, SUM, TOTALS,                                 \
            "handshakes refused with 503 by a limit")                         \
    counter(refused_origins, SUM, TOTALS,                                     \
            "handshakes refused for their Origin")                            \
    counter(subscriptions, NOW, BOTH,                                         \
            "subscriptions of these clients")                                 \
    counter(deliveries, SUM, BOTH,                                            \
            "event messages written to clients")                              \
    counter(bytes_out, SUM, TOTALS,                                           \
            "bytes written after the handshake")                              \
    counter(messages_received, SUM, TOTALS,                                   \
            "messages of clients")                                            \
    counter(messages_ignored, SUM, TOTALS,                                    \
            "of these, those that have no answer")                            \
    counter(errors, SUM, TOTALS,                                              \
            "messages answered with an error")                                \
    counter(limited, SUM, TOTALS,                                             \
            "subscriptions refused, clients closed by a limit")               \
    counter(closed_by_error, SUM, TOTALS,                                     \
            "clients closed for an error")                                    \
    counter(gaps, SUM, TOTALS,                                                \
            "gaps that clients were told")                                    \
    counter(jwt_expired, SUM, TOTALS,                                         \
            "clients closed since their token expired")                       \
    counter(jwt_renewed, SUM, TOTALS,                                         \
            "tokens renewed by clients")

typedef struct {
    NGX_HTTP_WS_BUS_CLIENT_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_FIELD)
} ngx_http_ws_bus_client_counters_t;


extern ngx_uint_t  ngx_http_ws_bus_client_counters_at;


static ngx_inline ngx_http_ws_bus_client_counters_t *
ngx_http_ws_bus_client_counters(ngx_http_ws_bus_worker_t *w)
{
    return (ngx_http_ws_bus_client_counters_t *)
               (w->counters + ngx_http_ws_bus_client_counters_at);
}


#endif /* NGX_HTTP_WS_BUS_CLIENT_COUNTERS_H */
