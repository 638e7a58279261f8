/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The core: zones, this process's part in each of them, and what all rooms
 * need of nginx.  It knows no client, no transport and no source of events.
 *
 *   conf      how values of directives are read
 *   zone      shared memory
 *   worker    this process's slot in each zone, the tick, sweeping the slots of
 *             the dead, generations of workers, sources that wait
 *   wake      the signal by which one worker wakes another
 *   turn      how long a turn of the event loop takes
 *   counter   what the rooms count, for the status page
 *   http      headers, bodies and answers of requests
 *   arg       arguments of the query string, decoded
 *   place     where a directive stands
 *   refusal   a refusal in the error log
 */

#ifndef NGX_HTTP_WS_BUS_CORE_H
#define NGX_HTTP_WS_BUS_CORE_H


#include "ngx_http_ws_bus_compat.h"

#include "../../log/wsb_interest.h"
#include "../../log/wsb_slot.h"


#define NGX_HTTP_WS_BUS_VERSION        "0.2.0"


typedef struct ngx_http_ws_bus_zone_s    ngx_http_ws_bus_zone_t;
typedef struct ngx_http_ws_bus_worker_s  ngx_http_ws_bus_worker_t;
typedef struct ngx_http_ws_bus_paused_s  ngx_http_ws_bus_paused_t;


/* What a counter is. */

typedef enum {
    NGX_HTTP_WS_BUS_COUNTER_NOW = 0,  /* goes up and down */
    NGX_HTTP_WS_BUS_COUNTER_SUM,      /* only goes up, also when workers go */
    NGX_HTTP_WS_BUS_COUNTER_MAX       /* the longest time of a worker: counted
                                         in microseconds, shown in ms */
} ngx_http_ws_bus_counter_e;

/* Where the status page shows it: for each worker, in the totals. */

#define NGX_HTTP_WS_BUS_COUNTER_WORKERS  1
#define NGX_HTTP_WS_BUS_COUNTER_TOTALS   2
#define NGX_HTTP_WS_BUS_COUNTER_BOTH     3


typedef struct {
    const char                  *name;        /* on the page */
    ngx_http_ws_bus_counter_e    kind;
    ngx_uint_t                   shown;
    const char                  *meaning;
} ngx_http_ws_bus_counter_t;


typedef struct {
    const ngx_http_ws_bus_counter_t  *row[WSB_COUNTERS];  /* by number */
    ngx_uint_t                        n;
} ngx_http_ws_bus_counters_t;


/*
 * A room lists what it counts once, a line for each:
 *
 *   #define ROOM_COUNTERS(counter)                                           \
 *       counter(connections, NOW, BOTH, "connections that are open")
 *
 * and makes of it a struct of that many uint64_t, for the code that counts,
 * and the rows that it registers.
 */

#define NGX_HTTP_WS_BUS_COUNTER_FIELD(name, kind, shown, meaning)             \
    uint64_t  name;

#define NGX_HTTP_WS_BUS_COUNTER_ROW(name, kind, shown, meaning)               \
    { #name, NGX_HTTP_WS_BUS_COUNTER_##kind,                                  \
      NGX_HTTP_WS_BUS_COUNTER_##shown, meaning },


/* Those of the core itself. */

#define NGX_HTTP_WS_BUS_MODULE_COUNTERS(counter)                              \
    counter(wakeups, SUM, WORKERS,                                            \
            "how often another worker woke it")                               \
    counter(longest_turn_ms, MAX, WORKERS,                                    \
            "the longest turn of its event loop in which the module worked")

typedef struct {
    NGX_HTTP_WS_BUS_MODULE_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_FIELD)
} ngx_http_ws_bus_module_counters_t;


/*
 * A bus as it is configured: made new with each configuration.  The shared
 * memory that it points to is the same before and after a reload.
 */

struct ngx_http_ws_bus_zone_s {
    ngx_str_t                    name;
    size_t                       size;
    size_t                       history;
    size_t                       idempotency; /* keys remembered */
    ngx_shm_zone_t              *shm_zone;
    ngx_slab_pool_t             *shpool;
    wsb_zone_t                  *zone;
    ngx_http_ws_bus_counters_t  *counters;    /* of all zones */
    ngx_http_ws_bus_worker_t    *worker;      /* of this process, or NULL */
    u_char                      *file;        /* where it is declared */
    ngx_uint_t                   line;
    ngx_uint_t                   declared;
};


typedef struct {
    ngx_array_t                  zones;       /* ngx_http_ws_bus_zone_t * */
    ngx_http_ws_bus_counters_t   counters;
} ngx_http_ws_bus_main_conf_t;


typedef struct {
    ngx_http_handler_pt          handler;     /* that we gave the location */
    ngx_http_ws_bus_zone_t      *zone;        /* of the location, or NULL: what
                                                 is refused before a client
                                                 exists is counted in it */
    ngx_uint_t                   preflight;   /* its handler answers those of
                                                 browsers */
} ngx_http_ws_bus_loc_conf_t;


/*
 * This process's part in one bus: private memory, made in init_process, gone
 * with the process.
 */

struct ngx_http_ws_bus_worker_s {
    ngx_http_ws_bus_zone_t      *bus;
    wsb_zone_t                  *zone;
    ngx_slab_pool_t             *shpool;
    ngx_int_t                    slot;        /* -1: none was free */
    wsb_hand_t                   hand;

    uint64_t                    *counters;    /* those of its slot, or idle:
                                                 there is always somewhere to
                                                 count, and nothing to check */
    uint64_t                     idle[WSB_COUNTERS];

    ngx_event_t                  event;       /* posted: there is work */

    void                        *fan;         /* of the room client */
    ngx_queue_t                  paused;      /* ngx_http_ws_bus_paused_t */
};


/* A source of events that waits until delivery has caught up. */

struct ngx_http_ws_bus_paused_s {
    ngx_queue_t                  queue;
    void                       (*resume)(ngx_http_ws_bus_paused_t *paused);
    unsigned                     queued:1;
};


/* conf */

/* How the value of a simple directive is read, and what a good one is. */

typedef struct {
    char                       *(*slot)(ngx_conf_t *cf, ngx_command_t *cmd,
                                    void *conf);
    const char                   *expected;
    size_t                        min;
    size_t                        max;
    ngx_uint_t                    zero;       /* 0 is good as well */
} ngx_http_ws_bus_conf_value_t;

/* cmd->post is an ngx_http_ws_bus_conf_value_t. */
char *ngx_http_ws_bus_conf_value(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Gives a location its handler, or says that it has one. */
char *ngx_http_ws_bus_conf_take_location(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_handler_pt handler);

/* The value of the level above, where this one has none. */
void ngx_http_ws_bus_conf_merge_value(ngx_http_complex_value_t **conf,
    ngx_http_complex_value_t *prev);


/* zone */

char *ngx_http_ws_bus_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_http_ws_bus_zone_t *ngx_http_ws_bus_zone_get(ngx_conf_t *cf,
    ngx_str_t *name);
char *ngx_http_ws_bus_zone_check_all(ngx_conf_t *cf,
    ngx_http_ws_bus_main_conf_t *mcf);


/* worker */

#define NGX_HTTP_WS_BUS_TICK           250    /* ms */

ngx_int_t ngx_http_ws_bus_worker_init_module(ngx_cycle_t *cycle);
ngx_int_t ngx_http_ws_bus_worker_init_process(ngx_cycle_t *cycle);
void ngx_http_ws_bus_worker_exit_process(ngx_cycle_t *cycle);

/*
 * This process's parts that have a slot:
 *
 *   i = 0;
 *
 *   while ((w = ngx_http_ws_bus_worker_next(&i)) != NULL) {
 */
ngx_http_ws_bus_worker_t *ngx_http_ws_bus_worker_next(ngx_uint_t *i);

/* What is pending gets into the hand; only with a slot. */
void ngx_http_ws_bus_worker_take(ngx_http_ws_bus_worker_t *w);

/*
 * A source waits until this worker's delivery has caught up, or does not any
 * more.  Another worker may lag still, and nobody tells when it has caught up:
 * so a source also has a timer of its own.
 */
void ngx_http_ws_bus_worker_pause(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_paused_t *paused);
void ngx_http_ws_bus_worker_unpause(ngx_http_ws_bus_paused_t *paused);

/* Delivery has caught up: sources that wait go on. */
void ngx_http_ws_bus_worker_resume(ngx_http_ws_bus_worker_t *w);

/* Whether a pid has died. */
int ngx_http_ws_bus_worker_gone(uint32_t pid);

/* Whether a newer generation of workers is at work, and which this one is. */
ngx_uint_t ngx_http_ws_bus_worker_succeeded(void);
ngx_uint_t ngx_http_ws_bus_worker_generation(void);


/* wake */

/* From now on others can wake this process; if not, it is tried again by the
 * tick, and said once. */
void ngx_http_ws_bus_wake_listen(ngx_cycle_t *cycle);

/* After an append and the unlock: whoever sleeps is woken. */
void ngx_http_ws_bus_wake(ngx_http_ws_bus_zone_t *bus,
    const wsb_appended_t *appended);


/* turn */

void ngx_http_ws_bus_turn_init(ngx_cycle_t *cycle);

/* Measures how long one turn of the loop takes; called by each handler. */
void ngx_http_ws_bus_turn(void);

/* When this one began. */
uint64_t ngx_http_ws_bus_turn_began(void);

/* Monotonic, microseconds. */
uint64_t ngx_http_ws_bus_turn_now(void);


/* counter */

/* In preconfiguration; the room's counters have the numbers from *at on. */
ngx_int_t ngx_http_ws_bus_counter_register(ngx_conf_t *cf,
    const ngx_http_ws_bus_counter_t *row, ngx_uint_t n, ngx_uint_t *at);

/* What a zone remembers of them. */
uint64_t ngx_http_ws_bus_counter_kept(
    const ngx_http_ws_bus_counters_t *counters);
uint64_t ngx_http_ws_bus_counter_digest(
    const ngx_http_ws_bus_counters_t *counters);


/* http */

/* name and value live as long as the request. */
ngx_int_t ngx_http_ws_bus_http_add_header(ngx_http_request_t *r,
    const char *name,
    const char *value);

/* The first one of this name; NULL: none. */
ngx_str_t *ngx_http_ws_bus_http_find_header(ngx_list_t *headers,
    const ngx_str_t *name);

/* Is it the header of this name, whatever its case? */
ngx_uint_t ngx_http_ws_bus_http_header_is(ngx_table_elt_t *h, const char *name);

/* Is the peer on loopback or a unix socket? */
ngx_uint_t ngx_http_ws_bus_http_local(ngx_http_request_t *r);

/*
 * Is it a CORS preflight that the handler of its location answers?  A browser
 * sends it by itself, without a token, and learns nothing by it.
 */
ngx_uint_t ngx_http_ws_bus_http_preflight(ngx_http_request_t *r);

/*
 * The body of a request in one piece, from wherever nginx has put it; lives
 * as long as the request.  NGX_DECLINED: it is longer than max bytes.
 */
ngx_int_t ngx_http_ws_bus_http_read_body(ngx_http_request_t *r, size_t max,
    wsb_str_t *body);

/*
 * An answer of RFC 9457.  detail is ASCII without quotes; index is that of
 * the event in a batch, -1: none.
 */
ngx_int_t ngx_http_ws_bus_http_send_problem(ngx_http_request_t *r,
    ngx_uint_t status, const char *title, const char *detail, long index);

/* data lives in the request's pool. */
ngx_int_t ngx_http_ws_bus_http_send_body(ngx_http_request_t *r,
    ngx_uint_t status, const char *type, u_char *data, size_t len);


/* arg */

/*
 * In the text of a value: arguments of the query string are read decoded.
 * For each directive whose value may be made of one.
 */
ngx_int_t ngx_http_ws_bus_arg_decode(ngx_conf_t *cf, ngx_str_t *value);

/* ngx_http_set_complex_value_slot() with that. */
char *ngx_http_ws_bus_arg_complex(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

ngx_int_t ngx_http_ws_bus_arg_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* place */

/* Where a directive stands, for what is found out later. */

typedef struct {
    ngx_str_t                    file;
    ngx_uint_t                   line;        /* 0: unknown */
} ngx_http_ws_bus_place_t;

/* The line that is being read. */
void ngx_http_ws_bus_place_here(ngx_conf_t *cf, ngx_http_ws_bus_place_t *place);

/* As ngx_conf_log_error(), but there. */
void ngx_http_ws_bus_place_log(ngx_uint_t level, ngx_conf_t *cf,
    ngx_http_ws_bus_place_t *place, const char *fmt, ...);


/* refusal */

/* One line: the reason, the location, and the Origin if there is one. */
void ngx_http_ws_bus_refusal_log(ngx_http_request_t *r, ngx_uint_t level,
    const char *fmt, ...);


extern ngx_uint_t  ngx_http_ws_bus_module_counters_at;


static ngx_inline ngx_http_ws_bus_module_counters_t *
ngx_http_ws_bus_module_counters(ngx_http_ws_bus_worker_t *w)
{
    return (ngx_http_ws_bus_module_counters_t *)
               (w->counters + ngx_http_ws_bus_module_counters_at);
}


/* For the data of an event that has no connection: nginx's debug log reads
 * the descriptor of it. */
extern ngx_connection_t  ngx_http_ws_bus_no_connection;

extern ngx_module_t  ngx_http_ws_bus_module;


#endif /* NGX_HTTP_WS_BUS_CORE_H */
