/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Events on the response of a request that is kept, for whoever cannot hold a
 * WebSocket: server-sent events or a message a line, as they come or all at
 * once.
 *
 *   events           the transport: what becomes bytes, and how they go
 *   events_request   the request that makes such a client, and its answer
 *   events_whole     an answer that is sent when it is whole
 *   events_drain     the worker is to exit
 *   events_conf      directive; module
 */

#ifndef NGX_HTTP_WS_BUS_EVENTS_H
#define NGX_HTTP_WS_BUS_EVENTS_H


#include "ngx_http_ws_bus_transport.h"

#include "../../protocol/wsb_query.h"


/*
 * A client; malloc'd.  Its request, which is nginx's, ends it or is ended by
 * it; whichever comes first, `request` is NULL afterwards.
 */

typedef struct {
    ngx_http_ws_bus_client_t     client;
    ngx_http_request_t          *request;
    ngx_http_cleanup_t          *cleanup;     /* of it */
    ngx_event_t                  event;       /* opens it, then is its timer:
                                                 see events_drain, and wait */
    ngx_queue_t                  queue;       /* of this process, while it is
                                                 open */
    wsb_text_t                   subscribe;   /* the message that it sends when
                                                 it opens */

    /*
     * What nginx has been given and may not have taken yet: of the request's
     * pool, since its filters may hold it for longer than this lives.
     */
    u_char                      *data;        /* NULL: it has taken all */
    ngx_buf_t                   *buf;
    ngx_chain_t                 *chain;

    unsigned                     opened:1;
    unsigned                     refused:1;   /* its subscription was */
    unsigned                     lines:1;     /* a message a line */
    unsigned                     collect:1;   /* the answer is sent when it is
                                                 whole: with wait= */
    unsigned                     full:1;      /* it has all that it may have */
    unsigned                     answered:1;
    unsigned                     draining:1;
    unsigned                     unsure:1;    /* a reload, or a quit? */

    /* of one that is collected */
    wsb_text_t                   text;
    ngx_msec_t                   wait;        /* until when it waits */
    uint64_t                     limit;       /* events */
    uint64_t                     nevents;
    uint64_t                     latest;      /* seq, of those counted */
    size_t                       whole;       /* bytes of all that counts */
} ngx_http_ws_bus_events_t;


/* events */

ngx_http_ws_bus_events_t *ngx_http_ws_bus_events_create(
    ngx_http_request_t *r, ngx_http_ws_bus_fan_t *fan);

/* Says what it has to say before the first event. */
void ngx_http_ws_bus_events_begin(ngx_http_ws_bus_events_t *es);

/* Of its request. */
void ngx_http_ws_bus_events_write_handler(ngx_http_request_t *r);

/* The request goes its own way: nothing of it comes here any more. */
void ngx_http_ws_bus_events_release(ngx_http_ws_bus_events_t *es);


/* events_request */

ngx_int_t ngx_http_ws_bus_events_request_handler(ngx_http_request_t *r);

/* Answers with a problem.  NGX_DECLINED: it has been answered. */
ngx_int_t ngx_http_ws_bus_events_request_refuse(ngx_http_request_t *r,
    ngx_uint_t status, wsb_str_t why);


/* events_whole */

/* If all is there, it is answered, and closed; else it is looked at again. */
void ngx_http_ws_bus_events_whole(ngx_http_ws_bus_events_t *es);


/* events_drain */

void ngx_http_ws_bus_events_drain_init(ngx_cycle_t *cycle);
void ngx_http_ws_bus_events_drain_add(ngx_http_ws_bus_events_t *es);
void ngx_http_ws_bus_events_drain_remove(ngx_http_ws_bus_events_t *es);

/* Its timer: its turn in the drain has come. */
void ngx_http_ws_bus_events_drain_timeout(ngx_http_ws_bus_events_t *es);


extern ngx_module_t  ngx_http_ws_bus_events_module;


#endif /* NGX_HTTP_WS_BUS_EVENTS_H */
