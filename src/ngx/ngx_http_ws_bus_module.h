/*
 * What the files of the glue share.
 *
 *   conf      how values of directives are read
 *   upgrade   the opening handshake, until the connection is ours
 *   origin    which pages may open a connection
 *   tenant    whose a request is
 *   jwt       tokens, of requests and of connections
 *   conn      events of a connection, its close
 *   out       control queue, event queue, writing
 *   session   a client's messages, turned into operations
 *   subscribe subscriptions: made, started, taken out
 *   fanout    from the log to the connections
 *   wake      sleeping and waking, the zone's slots
 *   zone      shared memory
 *   restrict, limit   what a connection may see, and have
 *   watch     directories whose files are watched
 *   publish, status   HTTP locations
 */

#ifndef NGX_HTTP_WS_BUS_MODULE_H
#define NGX_HTTP_WS_BUS_MODULE_H


#include "ngx_http_ws_bus_compat.h"

#include "../ws/wsb_deflate.h"
#include "../ws/wsb_handshake.h"
#include "../ws/wsb_reader.h"
#include "../bus/wsb_index.h"
#include "../bus/wsb_interest.h"
#include "../bus/wsb_quota.h"
#include "../bus/wsb_slot.h"
#include "../bus/wsb_watch.h"
#include "../protocol/wsb_codec.h"


#define NGX_HTTP_WS_BUS_VERSION        "0.1.0"

#define NGX_HTTP_WS_BUS_READ_SIZE      32768    /* one recv() */
#define NGX_HTTP_WS_BUS_READ_TIMES     16       /* of them in one turn */
#define NGX_HTTP_WS_BUS_CONTROL_MAX    16384    /* memory of queued answers */
#define NGX_HTTP_WS_BUS_PARSE_TIME     4000     /* us of a turn */
#define NGX_HTTP_WS_BUS_QUEUE_FRAMES   16       /* events of a connection */
#define NGX_HTTP_WS_BUS_QUEUE_BYTES    65536
#define NGX_HTTP_WS_BUS_CLOSE_TIMEOUT  5000     /* ms, for the peer's Close */
#define NGX_HTTP_WS_BUS_UNSURE         500      /* ms, for successors */
#define NGX_HTTP_WS_BUS_LINGER         2000     /* ms, for the peer's FIN */
#define NGX_HTTP_WS_BUS_MATCH_TIME     2000     /* us of a turn */
#define NGX_HTTP_WS_BUS_FLUSH_TIME     4000
#define NGX_HTTP_WS_BUS_BEHIND_TIME    2000
#define NGX_HTTP_WS_BUS_LEAVE_TIME     2000
#define NGX_HTTP_WS_BUS_PARK_TIME      100      /* ms, a publisher at most */
#define NGX_HTTP_WS_BUS_PARK_EVENTS    4        /* queued, before it waits */
#define NGX_HTTP_WS_BUS_PARK_LAG       2048     /* events of another worker */
#define NGX_HTTP_WS_BUS_FILTER_SIZE    2048     /* for each subscription */
#define NGX_HTTP_WS_BUS_CATCH_TIME     1000     /* us, one connection's */
#define NGX_HTTP_WS_BUS_CATCH_RECORDS  256
#define NGX_HTTP_WS_BUS_CATCH_WORK     16384    /* bytes, between two looks
                                                   at the clock */
#define NGX_HTTP_WS_BUS_CACHE_BYTES    (4 * 1024 * 1024)
#define NGX_HTTP_WS_BUS_CACHE_RECORDS  1024     /* a power of two */
#define NGX_HTTP_WS_BUS_WHOLE          4        /* frames kept whole */
#define NGX_HTTP_WS_BUS_WHOLE_MAX      16384    /* bytes of such a frame */
#define NGX_HTTP_WS_BUS_CODECS         2

/* What may precede a body: frame header, stored block's header, prefix. */
#define NGX_HTTP_WS_BUS_HEADROOM       (WSB_FRAME_SERVER_HEADER_MAX          \
                                        + WSB_DEFLATE_STORED_HEADER          \
                                        + WSB_PREFIX_MAX)


typedef struct ngx_http_ws_bus_zone_s    ngx_http_ws_bus_zone_t;
typedef struct ngx_http_ws_bus_worker_s  ngx_http_ws_bus_worker_t;
typedef struct ngx_http_ws_bus_conn_s    ngx_http_ws_bus_conn_t;
typedef struct ngx_http_ws_bus_out_s     ngx_http_ws_bus_out_t;
typedef struct ngx_http_ws_bus_record_s  ngx_http_ws_bus_record_t;
typedef struct ngx_http_ws_bus_form_s    ngx_http_ws_bus_form_t;
typedef struct ngx_http_ws_bus_origins_s ngx_http_ws_bus_origins_t;
typedef struct ngx_http_ws_bus_jwt_session_s  ngx_http_ws_bus_jwt_session_t;


/* A bus as configured.  Belongs to a cycle; the block that it names lives on
 * from cycle to cycle. */

struct ngx_http_ws_bus_zone_s {
    ngx_str_t                    name;
    size_t                       size;
    size_t                       history;
    size_t                       idempotency; /* keys remembered */
    ngx_shm_zone_t              *shm_zone;
    ngx_slab_pool_t             *shpool;
    wsb_zone_t                  *zone;
    ngx_http_ws_bus_worker_t    *worker;      /* of this process, or NULL */
    u_char                      *file;        /* where it is declared */
    ngx_uint_t                   line;
    ngx_uint_t                   declared;
};


typedef struct {
    ngx_array_t                  zones;       /* ngx_http_ws_bus_zone_t * */
    ngx_uint_t                   counted;     /* some location limits the
                                                 connections of its zone */
    ngx_array_t                  watches;     /* of the file watch */
} ngx_http_ws_bus_main_conf_t;


typedef struct {
    ngx_open_file_t             *file;
    ngx_array_t                  parts;       /* of the line: see log */
} ngx_http_ws_bus_session_log_t;


#define NGX_HTTP_WS_BUS_DATA_DEFAULT   0
#define NGX_HTTP_WS_BUS_DATA_RESPONSE  1
#define NGX_HTTP_WS_BUS_DATA_REQUEST   2
#define NGX_HTTP_WS_BUS_DATA_NONE      3

#define NGX_HTTP_WS_BUS_GAP_NOTIFY     0
#define NGX_HTTP_WS_BUS_GAP_CLOSE      1


typedef struct {
    ngx_http_handler_pt          handler;     /* that we gave the location */
    ngx_http_ws_bus_zone_t      *zone;        /* of a ws_bus location; NULL:
                                                 an echo */
    ngx_http_ws_bus_zone_t      *publish;     /* of a ws_bus_publish one */
    ngx_uint_t                   publish_any;
    ngx_uint_t                   status_any;

    const wsb_codec_t           *codec;
    ngx_uint_t                   codec_index;
    ngx_uint_t                   protocol;

    ngx_http_complex_value_t    *tenant;
    ngx_http_ws_bus_origins_t   *origins;     /* NULL: any */
    ngx_array_t                 *names;       /* of the server, see origin */
    ngx_http_complex_value_t    *schema;
    ngx_http_complex_value_t    *section;

    ngx_array_t                 *conditions;  /* forced: see restrict */
    ngx_array_t                 *connection_limits;   /* see limit */
    ngx_array_t                 *subscription_limits;
    ngx_array_t                 *comparison_limits;
    ngx_uint_t                   message_rate;    /* thousandths a second; */
    ngx_uint_t                   message_burst;   /* 0: no limit */
    ngx_uint_t                   control_rate;    /* of control frames */
    ngx_uint_t                   control_burst;

    ngx_http_ws_bus_zone_t      *capture;
    ngx_http_complex_value_t    *capture_entity;
    ngx_http_complex_value_t    *capture_id;
    ngx_http_complex_value_t    *capture_action;
    ngx_uint_t                   capture_data;
    size_t                       capture_max_body;

    size_t                       max_message_size;
    ngx_int_t                    max_subscriptions;
    size_t                       max_filters_size;    /* as set, or unset */
    size_t                       filters_size;
    ngx_int_t                    max_comparisons;
    size_t                       sndbuf;
    ngx_uint_t                   deflate;     /* level; 0: off */
    size_t                       deflate_min_length;
    ngx_uint_t                   on_gap;
    ngx_msec_t                   drain_window;
    ngx_msec_t                   ping_interval;   /* as set, or unset */
    ngx_msec_t                   pong_timeout;
    ngx_msec_t                   beat_interval;   /* 0: no heartbeat */
    ngx_msec_t                   beat_timeout;
    ngx_http_ws_bus_session_log_t  *session_log;  /* NULL: off */

    wsb_reader_conf_t            reader;
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
    wsb_index_t                 *index;

    ngx_event_t                  event;       /* posted: there is work */

    ngx_queue_t                  conns;
    ngx_queue_t                  dirty;       /* something to be written */
    ngx_queue_t                  behind;      /* cursors that may write */

    ngx_queue_t                  leaving;     /* closed, with subscriptions */
    ngx_event_t                  leave_event;

    /* records of the log in this process, newest last */
    ngx_queue_t                  records;
    ngx_http_ws_bus_record_t    *recent[NGX_HTTP_WS_BUS_CACHE_RECORDS];
    size_t                       cached;      /* bytes */
    ngx_queue_t                  spare;       /* records to be used again */
    ngx_uint_t                   nspare;

    void                        *items;       /* free queues of events */

    /* publishers that wait until delivery has caught up with them */
    ngx_queue_t                  parked;
    ngx_uint_t                   overflowed;  /* cursors for want of queue */
    ngx_uint_t                   late;        /* the last turn was too short */
};


/* What a connection counts in the zone, and its subscriptions do. */

typedef struct {
    ngx_uint_t                   nconns;      /* counted in */
    ngx_uint_t                   nsubs;
    ngx_uint_t                   ncosts;
    wsb_quota_t                 *subs;
    wsb_quota_t                 *costs;       /* of their conditions */
    wsb_quota_t                  quota[];
} ngx_http_ws_bus_quotas_t;


/* A message for one client that is no event. */

struct ngx_http_ws_bus_out_s {
    ngx_http_ws_bus_out_t       *next;
    u_char                      *pos;
    u_char                      *last;
    ngx_uint_t                   opcode;
    u_char                       data[];
};


/* What the session log says of a connection, beside what it needs itself. */

typedef struct {
    ngx_str_t                    line;        /* with marks */
    ngx_str_t                    close_reason;
    ngx_msec_t                   opened;
    uint64_t                     messages_in;
} ngx_http_ws_bus_logged_t;


/* One frame of an event on its way to one subscription. */

typedef struct {
    ngx_http_ws_bus_record_t    *record;      /* holds a reference */
    u_char                      *pos;         /* of a frame that the record
                                                 keeps whole, or NULL */
    uint32_t                     ordinal;
    uint32_t                     len;         /* of the whole frame */
    wsb_change_t                 change;
} ngx_http_ws_bus_item_t;


/*
 * A connection.  malloc'd; lives from the handshake until
 * ngx_http_ws_bus_close_conn(), after which it is only a husk that the end
 * of the turn frees.  Owned by this process alone.
 *
 * Where it stands: while `behind` is set, `cursor` and `ordinal` name the next
 * frame to look at; else it is pushed to, and stands before its first queued
 * item or, with none, where its worker stands.
 */

struct ngx_http_ws_bus_conn_s {

    /*
     * First all that sending an event to a plain socket looks at, 128 bytes:
     * with thousands of connections, lines of the cache are what it costs.
     */

    ngx_http_ws_bus_worker_t    *worker;      /* NULL: an echo */
    ngx_http_ws_bus_loc_conf_t  *conf;
    ngx_queue_t                  link;        /* dirty or behind */

    /* events: queued frames, the first of them perhaps partly written */
    ngx_http_ws_bus_item_t      *items;
    ngx_http_ws_bus_item_t       one;         /* items, while one is enough */
    uint32_t                     nitems;
    uint32_t                     queued;      /* bytes */
    uint32_t                     sent;        /* of the first item */
    unsigned                     behind:1;
    unsigned                     blocked:1;   /* the socket takes no more */
    unsigned                     dirty:1;
    unsigned                     catching:1;  /* in the worker's behind */
    unsigned                     aware:1;     /* it has sent since */
    unsigned                     closing:1;   /* our Close is queued */
    unsigned                     close_seen:1;
    unsigned                     shut:1;      /* our side is shut down */
    unsigned                     closed:1;    /* a husk */
    unsigned                     paused:1;    /* not read: answers wait */
    unsigned                     counted:1;
    unsigned                     overflowed:1;       /* counted as such */
    unsigned                     unsure:1;    /* a reload, or a quit? */
    unsigned                     deflate_bits:4;     /* window; 0: none */
    unsigned                     beating:1;   /* in the wheel */
    unsigned                     pinged:1;    /* at pinged_at */
    unsigned                     resumed:1;   /* it was blocked before */
    unsigned                     asked:1;     /* our Ping has no Pong yet */

    ngx_socket_t                 fd;          /* of a plain socket that is
                                                 ours, or -1 */
    uint64_t                     events_out;
    uint64_t                     bytes_out;

    /* answers: queue of messages, the first perhaps partly written */
    ngx_http_ws_bus_out_t       *control;

    /* what is looked at less often */

    ngx_http_ws_bus_out_t      **control_last;
    ngx_http_ws_bus_out_t       *pong;        /* the latest, while blocked */
    ngx_connection_t            *connection;

    wsb_sub_t                  **subs;        /* by ordinal */
    uint32_t                     nsubs;
    uint32_t                     nleft;       /* to be taken out */
    uint32_t                     nkeys;       /* of all of them */
    uint32_t                     nalloc;
    size_t                       filters;     /* bytes of their filters */
    uint32_t                     cost;        /* of all their conditions */
    uint32_t                     last_ordinal;
    uint32_t                     ordinal;
    wsb_cursor_t                 cursor;      /* until it is open: what comes
                                                 after the handshake */
    uint64_t                     said;        /* largest last_id sent */

    wsb_reader_t                 reader;
    ngx_str_t                    input;       /* read but not parsed yet */
    ngx_str_t                    tenant;
    wsb_restrict_t              *forced;      /* NULL: nothing is */
    ngx_http_ws_bus_quotas_t    *quotas;      /* NULL: none */
    uint32_t                     excess;      /* of messages, in thousandths */
    uint32_t                     excess_control;     /* of control frames */
    uint32_t                     counted_at;  /* ms, when they were */
    uint32_t                     control_size;       /* with the pong */
    ngx_http_ws_bus_jwt_session_t  *jwt;      /* NULL: no token */

    ngx_queue_t                  conns;
    ngx_queue_t                  leaving;     /* while nleft is not 0 */
    ngx_queue_t                  beat;
    uint32_t                     heard;       /* ms, last sign of life */
    uint32_t                     pinged_at;   /* or due */
    u_char                       id[16];

    ngx_http_ws_bus_logged_t    *logged;      /* NULL: no session log */
    uint32_t                     gaps;
    uint16_t                     close_code;  /* 0: it just vanished */
};


/* A whole frame for one ordinal and change. */

typedef struct {
    u_char                      *pos;
    size_t                       len;
    uint32_t                     ordinal;     /* 0: none */
    wsb_change_t                 change;
} ngx_http_ws_bus_whole_t;


/* The body of an event's message, plain or compressed. */

struct ngx_http_ws_bus_form_s {
    u_char                      *body;        /* NULL: not made, or does not
                                                 pay; headroom before it */
    size_t                       len;
    ngx_uint_t                   bits;        /* least window; 0: plain */
    ngx_uint_t                   stays;       /* plain, for want of memory */
    ngx_http_ws_bus_form_t      *next;
    ngx_http_ws_bus_whole_t      whole[NGX_HTTP_WS_BUS_WHOLE];
};


/* As one codec renders it: the plain form, behind it compressed ones. */

typedef struct {
    wsb_text_t                   text;        /* memory of the plain form */
    ngx_http_ws_bus_form_t       plain;
} ngx_http_ws_bus_render_t;


struct ngx_http_ws_bus_record_s {
    uint64_t                     seq;
    uint64_t                     epoch;
    ngx_uint_t                   refs;        /* items, and the cache */
    size_t                       size;        /* as counted by the cache */
    wsb_copy_t                   copy;
    wsb_event_t                  event;       /* points into copy */
    wsb_parts_t                  parts;
    ngx_http_ws_bus_render_t     render[NGX_HTTP_WS_BUS_CODECS];
    ngx_http_ws_bus_render_t    *hidden;      /* the same without its row, or
                                                 NULL */
    ngx_queue_t                  link;
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
} ngx_http_ws_bus_value_t;

/* cmd->post is an ngx_http_ws_bus_value_t. */
char *ngx_http_ws_bus_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_ws_bus_tenant_value(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_protocol(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_capture_id(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_capture_data(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_deflate_level(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_on_gap(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* All protocols, and what "ws_bus_tenant off" makes of a level's tenant. */
extern const wsb_codec_t         *ngx_http_ws_bus_codecs[];
extern ngx_http_complex_value_t   ngx_http_ws_bus_no_tenant;


/* zone */

char *ngx_http_ws_bus_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_http_ws_bus_zone_t *ngx_http_ws_bus_zone_get(ngx_conf_t *cf,
    ngx_str_t *name);
char *ngx_http_ws_bus_zones_check(ngx_conf_t *cf,
    ngx_http_ws_bus_main_conf_t *mcf);


/* wake */

ngx_int_t ngx_http_ws_bus_wake_init_module(ngx_cycle_t *cycle);
ngx_int_t ngx_http_ws_bus_wake_init_process(ngx_cycle_t *cycle);
void ngx_http_ws_bus_wake_exit_process(ngx_cycle_t *cycle);

/* After an append and the unlock: whoever sleeps is woken. */
void ngx_http_ws_bus_wake(ngx_http_ws_bus_zone_t *bus,
    const wsb_appended_t *appended);

/* Measures how long one turn of the loop takes; called by each handler. */
void ngx_http_ws_bus_turn(void);

/* When this one began. */
uint64_t ngx_http_ws_bus_turn_began(void);

/* Monotonic, microseconds. */
uint64_t ngx_http_ws_bus_now(void);

/* Whether a pid has died. */
int ngx_http_ws_bus_gone(uint32_t pid);

/* Whether a newer generation of workers is at work, and which this one is. */
ngx_uint_t ngx_http_ws_bus_succeeded(void);
ngx_uint_t ngx_http_ws_bus_my_generation(void);


/* upgrade */

ngx_int_t ngx_http_ws_bus_handler(ngx_http_request_t *r);

/* The id of the connection that this handshake makes, 16 bytes, or NULL. */
u_char *ngx_http_ws_bus_request_id(ngx_http_request_t *r);

/* name and value live as long as the request. */
ngx_int_t ngx_http_ws_bus_add_header(ngx_http_request_t *r, const char *name,
    const char *value);


/* Is it the header of this name, whatever its case? */
ngx_uint_t ngx_http_ws_bus_header_is(ngx_table_elt_t *h, const char *name);


/* arg */

/*
 * In the text of a value: arguments of the query string are read decoded.
 * For each directive whose value may be made of one.
 */
ngx_int_t ngx_http_ws_bus_decode_args(ngx_conf_t *cf, ngx_str_t *value);

/* ngx_http_set_complex_value_slot() with that. */
char *ngx_http_ws_bus_complex(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

ngx_int_t ngx_http_ws_bus_variable_arg(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* place */

/* Where a directive stands, for what is found out later. */

typedef struct {
    ngx_str_t                    file;
    ngx_uint_t                   line;        /* 0: unknown */
} ngx_http_ws_bus_place_t;

/* The line that is being read. */
void ngx_http_ws_bus_here(ngx_conf_t *cf, ngx_http_ws_bus_place_t *place);

/* As ngx_conf_log_error(), but there. */
void ngx_http_ws_bus_log_at(ngx_uint_t level, ngx_conf_t *cf,
    ngx_http_ws_bus_place_t *place, const char *fmt, ...);


/* refusal */

/* One line: the reason, the location, and the Origin if there is one. */
void ngx_http_ws_bus_log_refusal(ngx_http_request_t *r, ngx_uint_t level,
    const char *fmt, ...);


/* origin */

char *ngx_http_ws_bus_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Takes the names of the server along: nginx itself does not keep them. */
ngx_int_t ngx_http_ws_bus_merge_origin(ngx_conf_t *cf,
    ngx_http_ws_bus_loc_conf_t *prev, ngx_http_ws_bus_loc_conf_t *conf);

/* Of a handshake with n Origin headers: NGX_OK, or 403, counted and logged. */
ngx_int_t ngx_http_ws_bus_check_origin(ngx_http_request_t *r,
    ngx_str_t *origin, ngx_uint_t n);


/* watch */

char *ngx_http_ws_bus_watch_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_watches_check(ngx_conf_t *cf,
    ngx_http_ws_bus_main_conf_t *wmcf);
void ngx_http_ws_bus_watch_init_process(ngx_cycle_t *cycle,
    ngx_http_ws_bus_main_conf_t *wmcf);
void ngx_http_ws_bus_watch_exit_process(void);


/* tenant */

/*
 * The value of ws_bus_tenant where there is no connection, in the request's
 * pool; len 0: there is none.  Else 400, which has been logged: no event can
 * have it; or 500.
 */
ngx_int_t ngx_http_ws_bus_tenant_of(ngx_http_request_t *r,
    ngx_str_t *tenant);

/*
 * The tenant of a request's location, in the request's pool or static.  data
 * NULL with NGX_OK: the client should have named one.  NGX_DECLINED: there
 * are no tenants here.
 */
ngx_int_t ngx_http_ws_bus_get_tenant(ngx_http_request_t *r,
    ngx_str_t *tenant);

/* Why no event can have it: it is empty, too long, no text; NULL: it can. */
const char *ngx_http_ws_bus_tenant_wrong(ngx_str_t *tenant);

/*
 * NGX_OK: a connection can have it, len 0 is none.  NGX_DONE: it cannot, and
 * has been answered.  Else the status to answer with.
 */
ngx_int_t ngx_http_ws_bus_check_tenant(ngx_http_request_t *r,
    ngx_str_t *tenant);


/* conn */

void ngx_http_ws_bus_open_conn(ngx_http_ws_bus_conn_t *wc);

/* Sends a Close frame, once; then the peer has a while to answer. */
void ngx_http_ws_bus_start_close(ngx_http_ws_bus_conn_t *wc, ngx_uint_t code,
    const char *reason);

/* The end: unsubscribes, closes the socket.  wc is a husk afterwards. */
void ngx_http_ws_bus_close_conn(ngx_http_ws_bus_conn_t *wc);

/* Of a husk: the end of the turn frees it. */
void ngx_http_ws_bus_discard(ngx_http_ws_bus_conn_t *wc);

/* Everything is written: if both have closed, our side is shut down. */
void ngx_http_ws_bus_shut(ngx_http_ws_bus_conn_t *wc);

/* Allocates a connection, and frees one that was never opened. */
ngx_http_ws_bus_conn_t *ngx_http_ws_bus_create_conn(ngx_connection_t *c,
    ngx_http_ws_bus_loc_conf_t *conf);
void ngx_http_ws_bus_free_conn(ngx_http_ws_bus_conn_t *wc);


/* out */

/*
 * Queue an answer: a text of the codec, which is freed; a payload; a whole
 * frame.  Without memory the connection is closed.
 */
void ngx_http_ws_bus_send_text(ngx_http_ws_bus_conn_t *wc, wsb_text_t *text);
void ngx_http_ws_bus_send_frame(ngx_http_ws_bus_conn_t *wc,
    ngx_uint_t opcode, const u_char *data, size_t len);
void ngx_http_ws_bus_send_raw(ngx_http_ws_bus_conn_t *wc, ngx_uint_t opcode,
    const u_char *frame, size_t len);

/* Queues an event's frame; NGX_DECLINED: the queue is full. */
ngx_int_t ngx_http_ws_bus_push(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_record_t *rec, wsb_sub_t *sub, wsb_change_t change);

/* Takes queued frames of a subscription, but not one that has been begun. */
void ngx_http_ws_bus_unqueue(ngx_http_ws_bus_conn_t *wc, uint32_t ordinal);

/* From being pushed to, to a cursor: frames not begun are dropped. */
void ngx_http_ws_bus_fall_behind(ngx_http_ws_bus_conn_t *wc);

/* The same, while this record is matched and the queue is full: it stays. */
void ngx_http_ws_bus_overflow(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_record_t *rec);

/*
 * Writes what is queued, the frame begun first, then answers, then events.
 *   NGX_OK     all of it is written
 *   NGX_AGAIN  the socket is full: the write event goes on
 *   NGX_ERROR  the connection has been closed
 */
ngx_int_t ngx_http_ws_bus_flush(ngx_http_ws_bus_conn_t *wc);

void ngx_http_ws_bus_mark_dirty(ngx_http_ws_bus_conn_t *wc);
void ngx_http_ws_bus_drop_out(ngx_http_ws_bus_conn_t *wc);
void ngx_http_ws_bus_write_handler(ngx_event_t *wev);


/* session */

/* What the protocol says and does when a connection opens. */
void ngx_http_ws_bus_welcome(ngx_http_ws_bus_conn_t *wc);
void ngx_http_ws_bus_message(ngx_http_ws_bus_conn_t *wc,
    const wsb_message_t *msg);

/* To a client that resumes: how far it has been served, if that has moved. */
void ngx_http_ws_bus_tell_position(ngx_http_ws_bus_conn_t *wc);

/* Answer with an error: what the operation holds, or this. */
void ngx_http_ws_bus_refuse(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op);
void ngx_http_ws_bus_error(ngx_http_ws_bus_conn_t *wc, wsb_str_t id,
    const char *code, wsb_str_t message);

/* Each subscription that lacks something up to `to` is told. */
void ngx_http_ws_bus_gap(ngx_http_ws_bus_conn_t *wc, uint64_t to,
    const char *reason);


/* subscribe */

void ngx_http_ws_bus_subscribe(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op);

/* To everything of its tenant, for a protocol without subscribe. */
void ngx_http_ws_bus_subscribe_by_itself(ngx_http_ws_bus_conn_t *wc);
void ngx_http_ws_bus_unsubscribe(ngx_http_ws_bus_conn_t *wc, wsb_op_t *op);

/*
 * It closes: all its subscriptions are taken out, in this turn or, if that
 * would be too long, in the next ones.  Until then it must be `behind`, and
 * it is a husk for longer.
 */
void ngx_http_ws_bus_leave(ngx_http_ws_bus_conn_t *wc);
void ngx_http_ws_bus_leave_handler(ngx_event_t *ev);


/* fanout */

ngx_int_t ngx_http_ws_bus_fanout_init(ngx_http_ws_bus_worker_t *w);
void ngx_http_ws_bus_work_handler(ngx_event_t *ev);

/* The next frame to look at: seq and ordinal. */
void ngx_http_ws_bus_position(ngx_http_ws_bus_conn_t *wc, uint64_t *seq,
    uint32_t *ordinal);

/* The first seq that this subscription has not been sent. */
uint64_t ngx_http_ws_bus_next(const wsb_sub_t *sub, uint64_t seq,
    uint32_t ordinal);

/* Up to and including this everything has been sent: min(next) - 1. */
uint64_t ngx_http_ws_bus_last_id(ngx_http_ws_bus_conn_t *wc);

/* Let a connection that is behind go on, if it may write. */
void ngx_http_ws_bus_catch_up(ngx_http_ws_bus_conn_t *wc);

void ngx_http_ws_bus_work(ngx_http_ws_bus_worker_t *w);

/* Does delivery lag behind what has been published? */
ngx_uint_t ngx_http_ws_bus_busy(ngx_http_ws_bus_zone_t *bus);
void ngx_http_ws_bus_not_overflowed(ngx_http_ws_bus_conn_t *wc);


/* record */

/*
 * The record at the cursor, with a reference for the caller; the cursor moves
 * behind it.  The errors are those of wsb_log_read().
 */
wsb_rc_t ngx_http_ws_bus_fetch(ngx_http_ws_bus_worker_t *w,
    wsb_cursor_t *cursor, ngx_http_ws_bus_record_t **rec);
void ngx_http_ws_bus_release(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec);

/*
 * The frame of an event for one subscription of a connection: one piece, or
 * two, of which the first is made in scratch.  Returns how many; 0: no memory.
 * The same call gives the same bytes as long as the record is held.
 */
ngx_uint_t ngx_http_ws_bus_frame(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_conn_t *wc, uint32_t ordinal, wsb_change_t change,
    u_char scratch[NGX_HTTP_WS_BUS_HEADROOM], ngx_str_t piece[2]);


/* deflate */

wsb_deflate_t *ngx_http_ws_bus_deflate(ngx_uint_t level, ngx_uint_t bits);
ngx_int_t ngx_http_ws_bus_negotiate(ngx_http_request_t *r,
    ngx_http_ws_bus_conn_t *wc, ngx_str_t *offers);
ngx_int_t ngx_http_ws_bus_send_deflated(ngx_http_ws_bus_conn_t *wc,
    ngx_uint_t opcode, const u_char *data, size_t len);



/* jwt */

/*
 * At the handshake, when all values have been evaluated: which claims they
 * were made of is remembered.  NGX_OK, or a status.
 */
ngx_int_t ngx_http_ws_bus_jwt_attach(ngx_http_request_t *r,
    ngx_http_ws_bus_conn_t *wc);

/* While it is open, a connection is closed when its token expires. */
void ngx_http_ws_bus_jwt_start(ngx_http_ws_bus_conn_t *wc);
void ngx_http_ws_bus_jwt_stop(ngx_http_ws_bus_conn_t *wc);

/*
 * Another token for a connection of a bus.
 *   NGX_OK        renewed; *exp is when it expires, see wsb_claims_check()
 *   NGX_ABORT     it is refused, *reason says why; the old one counts
 *   NGX_DONE      it is of another subject or of other rights: closed
 *   NGX_DECLINED  the connection has no token, or one without a subject
 *   NGX_BUSY      too many in one second
 *   NGX_ERROR     no memory
 */
ngx_int_t ngx_http_ws_bus_jwt_renew(ngx_http_ws_bus_conn_t *wc,
    wsb_str_t token, uint64_t *exp, const char **reason);


/* heartbeat */

void ngx_http_ws_bus_heartbeat_init(ngx_cycle_t *cycle);
void ngx_http_ws_bus_start_heartbeat(ngx_http_ws_bus_conn_t *wc);
void ngx_http_ws_bus_stop_heartbeat(ngx_http_ws_bus_conn_t *wc);

/* A sign of life: of a frame Ping or Pong, or of anything else. */
void ngx_http_ws_bus_heard(ngx_http_ws_bus_conn_t *wc, wsb_life_t life);


/* log */

ngx_int_t ngx_http_ws_bus_add_variables(ngx_conf_t *cf);
char *ngx_http_ws_bus_session_log(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* At the handshake, and at the very end. */
void ngx_http_ws_bus_log_begin(ngx_http_request_t *r,
    ngx_http_ws_bus_conn_t *wc);
void ngx_http_ws_bus_log_end(ngx_http_ws_bus_conn_t *wc);
void ngx_http_ws_bus_log_free(ngx_http_ws_bus_conn_t *wc);

/* How it was closed, by whoever closed it first. */
void ngx_http_ws_bus_log_close(ngx_http_ws_bus_conn_t *wc, ngx_uint_t code,
    const u_char *reason, size_t len);


/* restrict */

char *ngx_http_ws_bus_restrict(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_ws_bus_merge_restrict(ngx_conf_t *cf,
    ngx_http_ws_bus_loc_conf_t *prev, ngx_http_ws_bus_loc_conf_t *conf);
ngx_int_t ngx_http_ws_bus_force(ngx_http_request_t *r,
    ngx_http_ws_bus_conn_t *wc);


/* limit */

char *ngx_http_ws_bus_set_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_message_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_ws_bus_limit(ngx_http_request_t *r,
    ngx_http_ws_bus_conn_t *wc);
void ngx_http_ws_bus_unlimit(ngx_http_ws_bus_conn_t *wc);
ngx_int_t ngx_http_ws_bus_count_message(ngx_http_ws_bus_conn_t *wc,
    ngx_uint_t control);


/* publish, status */

ngx_int_t ngx_http_ws_bus_publish_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_ws_bus_status_handler(ngx_http_request_t *r);

/* Lets parked publishers go on: delivery has caught up. */
void ngx_http_ws_bus_unpark(ngx_http_ws_bus_worker_t *w);

/* Appends a batch and wakes whom it concerns: see wsb_zone_append_locked(). */
wsb_rc_t ngx_http_ws_bus_publish_batch(ngx_http_ws_bus_zone_t *bus,
    wsb_batch_t *batch, const wsb_request_t *req, wsb_appended_t *appended);


/* capture */

ngx_int_t ngx_http_ws_bus_capture_init(ngx_conf_t *cf);

/* The id of the event that was captured of this request; len 0: none. */
ngx_str_t ngx_http_ws_bus_captured_id(ngx_http_request_t *r);

/* Is the peer on loopback or a unix socket? */
ngx_uint_t ngx_http_ws_bus_local(ngx_http_request_t *r);
ngx_int_t ngx_http_ws_bus_send_body(ngx_http_request_t *r,
    ngx_uint_t status, const char *type, u_char *data, size_t len);


static ngx_inline wsb_counters_t *
ngx_http_ws_bus_counters(ngx_http_ws_bus_worker_t *w)
{
    return &wsb_zone_slot(w->zone, (unsigned) w->slot)->counters;
}


static ngx_inline wsb_key_t
ngx_http_ws_bus_tenant_hash(wsb_zone_t *zone, ngx_str_t *tenant)
{
    wsb_str_t  name;

    name.data = tenant->data;
    name.len = tenant->len;

    return wsb_key_tenant(zone->key, name);
}


/* What sending an event looks at: 128 bytes; wc may be any address. */

static ngx_inline void
ngx_http_ws_bus_prefetch(const ngx_http_ws_bus_conn_t *wc)
{
    __builtin_prefetch(wc, 1);
    __builtin_prefetch((const u_char *) wc + 64, 1);
    __builtin_prefetch((const u_char *) wc + 127, 1);
}


extern ngx_module_t  ngx_http_ws_bus_module;


#endif /* NGX_HTTP_WS_BUS_MODULE_H */
