/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Hooks that are told of connections after they have come or gone.
 *
 *   notice       what is told of a client; its life
 *   notice_conf  memory, and who tells what
 *   teller       tells it: batches, retries, what the dead have left
 *
 * What is to be told lies in shared memory from a client's first moment on,
 * so that it does not die with the worker: see src/log/wsb_notice.h.
 */

#ifndef NGX_HTTP_WS_BUS_NOTICE_H
#define NGX_HTTP_WS_BUS_NOTICE_H


#include "ngx_http_ws_bus_call.h"

#include "../../log/wsb_notice.h"


#define NGX_HTTP_WS_BUS_NOTICE_TICK    500    /* ms between looks for the
                                                 dead */


/*
 * One hook, and the server whose location it is.  Belongs to the cycle; what
 * follows `hash` is this process's own.
 */

struct ngx_http_ws_bus_teller_s {
    ngx_http_ws_bus_hook_t      *hook;
    ngx_http_ws_bus_call_loc_conf_t  *conf;
    ngx_http_ws_bus_zone_t      *bus;
    void                       **srv_conf;
    void                       **loc_conf;
    uint64_t                     hash;        /* of what is written of it: the
                                                 same after a reload */

    ngx_http_ws_bus_caller_t    *caller;      /* NULL: not needed yet */
    ngx_http_ws_bus_call_t      *call;        /* under way, or NULL */
    ngx_queue_t                  waiting;     /* teller_item_t */
    ngx_queue_t                  sent;        /* by the call */
    ngx_event_t                  event;
    ngx_msec_t                   pause;       /* 0: the last call went well */
    ngx_uint_t                   ncalls;
};


/* Of one client, for one hook. */

typedef struct {
    ngx_http_ws_bus_teller_t    *teller;
    wsb_notice_t                 notice;      /* live; number 0: none */
} ngx_http_ws_bus_notice_t;


/* malloc'd as one block */

struct ngx_http_ws_bus_notices_s {
    ngx_uint_t                   opened;
    ngx_str_t                    user;        /* len 0: nobody */
    uint64_t                     key;         /* hash of tenant and user, or
                                                 0 */
    ngx_uint_t                   n;
    ngx_http_ws_bus_notice_t     notice[];
};


/* The memory of this process; table NULL: no hook needs it. */

typedef struct {
    wsb_notices_t               *table;
    ngx_slab_pool_t             *shpool;
} ngx_http_ws_bus_notice_memory_t;

extern ngx_http_ws_bus_notice_memory_t  ngx_http_ws_bus_notice_memory;


/* notice */

/*
 * Adds what is told of a client, by this hook: live, or due at `due`.  What
 * there is no room for is counted as lost, unless it can be tried again.
 */
ngx_int_t ngx_http_ws_bus_notice_add(ngx_http_ws_bus_asker_t *asker,
    ngx_http_ws_bus_notice_t *notice, uint64_t due, wsb_notice_t *added);


/* teller */

/* This process has something to tell, from then on. */
void ngx_http_ws_bus_teller_add(ngx_http_ws_bus_teller_t *teller,
    const wsb_notice_t *notice, uint64_t due);


#endif /* NGX_HTTP_WS_BUS_NOTICE_H */
