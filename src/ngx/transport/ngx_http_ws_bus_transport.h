/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The transports: how bytes go to a client and come from it.
 *
 *   upgrade         the opening handshake, until the connection is ours
 *   websocket       frames and ends
 *   websocket_conf  the room's configuration
 *   read            reading
 *   frame           an event's message as a frame
 *   deflate         compression
 *   events          server-sent events: see ngx_http_ws_bus_events.h
 *   echo            a WebSocket that answers with what it is sent
 */

#ifndef NGX_HTTP_WS_BUS_TRANSPORT_H
#define NGX_HTTP_WS_BUS_TRANSPORT_H


#include "../client/ngx_http_ws_bus_client.h"

#include "../../ws/wsb_close.h"
#include "../../ws/wsb_deflate.h"
#include "../../ws/wsb_handshake.h"
#include "../../ws/wsb_offer.h"
#include "../../ws/wsb_reader.h"


/* What this room counts: name, kind, where it is shown, meaning. */

#define NGX_HTTP_WS_BUS_WEBSOCKET_COUNTERS(counter)                           \
    counter(event_streams, NOW, BOTH,                                         \
            "of the connections, those that read events over HTTP")           \
    counter(deflations, SUM, TOTALS,                                          \
            "how often an event was compressed")

typedef struct {
    NGX_HTTP_WS_BUS_WEBSOCKET_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_FIELD)
} ngx_http_ws_bus_websocket_counters_t;


typedef struct ngx_http_ws_bus_websocket_s  ngx_http_ws_bus_websocket_t;


typedef struct {
    /* What is done with a message. */
    void                       (*message)(ngx_http_ws_bus_websocket_t *ws,
                                    const wsb_message_t *msg);

    size_t                       max_message_size;
    size_t                       sndbuf;
    ngx_uint_t                   deflate;     /* level; 0: off */
    size_t                       deflate_min_length;
    wsb_reader_conf_t            reader;
} ngx_http_ws_bus_websocket_loc_conf_t;


#define ngx_http_ws_bus_websocket_conf(ws)                                    \
    ((ngx_http_ws_bus_websocket_loc_conf_t *)                                 \
        (ws)->client.conf->loc_conf[                                          \
            ngx_http_ws_bus_websocket_module.ctx_index])


/* What has been read but not parsed yet. */

typedef struct {
    size_t                       len;
    u_char                       data[];
} ngx_http_ws_bus_input_t;


/* A client whose transport is a WebSocket, on a connection that is ours. */

struct ngx_http_ws_bus_websocket_s {
    ngx_http_ws_bus_client_t     client;
    wsb_reader_t                 reader;
    ngx_http_ws_bus_input_t     *input;       /* NULL: none */
    unsigned                     deflate_bits:4;     /* window; 0: none */
    unsigned                     close_seen:1;
    unsigned                     shut:1;      /* our side is shut down */
    unsigned                     unsure:1;    /* a reload, or a quit? */
};


/* upgrade */

ngx_int_t ngx_http_ws_bus_upgrade_handler(ngx_http_request_t *r);


/* websocket */

ngx_http_ws_bus_websocket_t *ngx_http_ws_bus_websocket_create(
    ngx_http_request_t *r, ngx_http_ws_bus_fan_t *fan);

/* Its socket is ours from now on. */
void ngx_http_ws_bus_websocket_open(ngx_http_ws_bus_websocket_t *ws);

/* Queues a frame. */
void ngx_http_ws_bus_websocket_send(ngx_http_ws_bus_websocket_t *ws,
    ngx_uint_t opcode, const u_char *data, size_t len);
void ngx_http_ws_bus_websocket_send_raw(ngx_http_ws_bus_websocket_t *ws,
    const u_char *frame, size_t len, ngx_http_ws_bus_out_e kind);

/* Sends a Close frame, once; then the peer has a while to answer. */
void ngx_http_ws_bus_websocket_finish(ngx_http_ws_bus_websocket_t *ws,
    ngx_uint_t code, const char *reason);

/* The worker is to exit: it ends in a while. */
void ngx_http_ws_bus_websocket_drain(ngx_http_ws_bus_websocket_t *ws);
void ngx_http_ws_bus_websocket_timeout(ngx_http_ws_bus_websocket_t *ws);


/* Of any transport on a socket of its own: ws_bus_sndbuf. */
void ngx_http_ws_bus_websocket_sndbuf(ngx_connection_t *c,
    ngx_http_ws_bus_websocket_loc_conf_t *wslcf);

void ngx_http_ws_bus_websocket_message(ngx_http_ws_bus_websocket_t *ws,
    const wsb_message_t *msg);


/* read */

/* Puts bytes aside, at least one, that ngx_http_ws_bus_read() parses first. */
ngx_int_t ngx_http_ws_bus_read_aside(ngx_http_ws_bus_websocket_t *ws,
    const u_char *data, size_t len);

void ngx_http_ws_bus_read_handler(ngx_event_t *rev);
void ngx_http_ws_bus_read(ngx_http_ws_bus_websocket_t *ws);


/* echo */

void ngx_http_ws_bus_echo_message(ngx_http_ws_bus_websocket_t *ws,
    const wsb_message_t *msg);


/* frame */

ngx_uint_t ngx_http_ws_bus_frame_event(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_client_t *wc, uint32_t ordinal, wsb_change_t change,
    u_char scratch[NGX_HTTP_WS_BUS_HEADROOM], ngx_str_t piece[2]);


/* deflate */

char *ngx_http_ws_bus_deflate_level(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* One for each level and window, made when it is first needed, or NULL. */
wsb_deflate_t *ngx_http_ws_bus_deflate(ngx_uint_t level, ngx_uint_t bits);

/* Agrees with a client on a compression, or none. */
ngx_int_t ngx_http_ws_bus_deflate_negotiate(ngx_http_request_t *r,
    ngx_http_ws_bus_websocket_t *ws, ngx_str_t *offers);

/* A message for one client; NGX_DECLINED: to be sent as it is. */
ngx_int_t ngx_http_ws_bus_deflate_send(ngx_http_ws_bus_websocket_t *ws,
    ngx_uint_t opcode, const u_char *data, size_t len);


extern ngx_uint_t  ngx_http_ws_bus_websocket_counters_at;


static ngx_inline ngx_http_ws_bus_websocket_counters_t *
ngx_http_ws_bus_websocket_counters(ngx_http_ws_bus_worker_t *w)
{
    return (ngx_http_ws_bus_websocket_counters_t *)
               (w->counters + ngx_http_ws_bus_websocket_counters_at);
}


extern ngx_module_t  ngx_http_ws_bus_websocket_module;


#endif /* NGX_HTTP_WS_BUS_TRANSPORT_H */
