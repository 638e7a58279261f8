/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What the two files of watched directories share: who looks, and looking.
 */

#ifndef NGX_HTTP_WS_BUS_WATCH_H
#define NGX_HTTP_WS_BUS_WATCH_H


#include "ngx_http_ws_bus_source.h"

#include "../../log/wsb_watch.h"


#define NGX_HTTP_WS_BUS_WATCH_DIRS    3


/*
 * One directive.  Belongs to a cycle; the block that it names lives on, as
 * long as the directive stays the same.
 */

typedef struct {
    ngx_str_t                    dir;         /* ends with a NUL */
    ngx_str_t                    zone;        /* len 0: the only one */
    ngx_str_t                    pattern;
    wsb_watch_conf_t             conf;
    uint32_t                     files;       /* that it holds */
    ngx_http_ws_bus_zone_t      *bus;
    u_char                      *file;        /* where it is written */
    ngx_uint_t                   line;

    ngx_shm_zone_t              *shm_zone;
    ngx_slab_pool_t             *shpool;
    wsb_watch_t                 *shared;

    /* of this process, while it looks after the directory */
    uint64_t                     term;        /* of its lease; 0: it does not */
    ngx_connection_t            *connection;  /* inotify; NULL: there is none */
    int                          wd[NGX_HTTP_WS_BUS_WATCH_DIRS];
    ngx_event_t                  look;
    wsb_watch_burst_t            burst;
    dev_t                        dev;         /* of the directory last seen */
    ino_t                        ino;
    ngx_uint_t                   ticks;
    unsigned                     blind:1;     /* inotify does not see it all */
    unsigned                     trouble:1;   /* in this look */
    unsigned                     logged:1;    /* that of the last one was */
} ngx_http_ws_bus_watch_t;


/* The directory itself, NULL, and those below it. */
extern const char *const
    ngx_http_ws_bus_watch_folders[NGX_HTTP_WS_BUS_WATCH_DIRS];


/*
 * Looks, and tells what has changed since somebody looked before.  Only with
 * the lease; who finds that it is another's by now, leaves.
 */
void ngx_http_ws_bus_watch_look(ngx_http_ws_bus_watch_t *w);

/* Also when it has been taken from us. */
void ngx_http_ws_bus_watch_leave(ngx_http_ws_bus_watch_t *w);


#endif /* NGX_HTTP_WS_BUS_WATCH_H */
