/*
 * A client is who is served: its tenant and rights, its subscriptions, its
 * position in the log, its queues and limits.  How its bytes go is the
 * business of its transport, which is known here by a table of functions.
 *
 *   client        made, opened, ended, closed; the room's configuration
 *   admit         what a request must pass to become a client
 *   origin        which pages may open a connection
 *   tenant        whose a request is
 *   restrict      what a client may see
 *   limit         what it may have
 *   token         its token expires, or is renewed
 *   op            its messages, turned into operations
 *   context       who it is, as far as a protocol wants to know
 *   subscribe     subscriptions: made, started, taken out
 *   position      where it stands
 *   fanout        from the log to the clients
 *   catch         clients that are behind
 *   out           control queue, event queue, writing
 *   record        records of the log in this process, rendered once
 *   heartbeat     who is silent
 *   session_log   one line for each client, at its close
 */

#ifndef NGX_HTTP_WS_BUS_CLIENT_H
#define NGX_HTTP_WS_BUS_CLIENT_H


#include "../core/ngx_http_ws_bus_core.h"

#include "../../log/wsb_interest.h"
#include "../../log/wsb_position.h"
#include "../../log/wsb_quota.h"
#include "../../match/wsb_index.h"
#include "../../protocol/wsb_codec.h"


#define NGX_HTTP_WS_BUS_CONTROL_MAX    16384    /* memory of queued answers */
#define NGX_HTTP_WS_BUS_QUEUE_FRAMES   16       /* events of a client */
#define NGX_HTTP_WS_BUS_QUEUE_BYTES    65536
#define NGX_HTTP_WS_BUS_MATCH_TIME     2000     /* us of a turn */
#define NGX_HTTP_WS_BUS_FLUSH_TIME     4000
#define NGX_HTTP_WS_BUS_BEHIND_TIME    2000
#define NGX_HTTP_WS_BUS_LEAVE_TIME     2000
#define NGX_HTTP_WS_BUS_PARK_EVENTS    4        /* queued, before it waits */
#define NGX_HTTP_WS_BUS_PARK_LAG       2048     /* events of another worker */
#define NGX_HTTP_WS_BUS_FILTER_SIZE    2048     /* for each subscription */
#define NGX_HTTP_WS_BUS_CATCH_TIME     1000     /* us, one client's */
#define NGX_HTTP_WS_BUS_CATCH_RECORDS  256
#define NGX_HTTP_WS_BUS_CATCH_WORK     16384    /* bytes, between two looks
                                                   at the clock */
#define NGX_HTTP_WS_BUS_CACHE_BYTES    (4 * 1024 * 1024)
#define NGX_HTTP_WS_BUS_CACHE_RECORDS  1024     /* a power of two */
#define NGX_HTTP_WS_BUS_WHOLE          4        /* frames kept whole */
#define NGX_HTTP_WS_BUS_WHOLE_MAX      16384    /* bytes of such a frame */
#define NGX_HTTP_WS_BUS_CODECS         3

/* What may precede a body: what the transport and the codec put there. */
#define NGX_HTTP_WS_BUS_HEADROOM       96

#define NGX_HTTP_WS_BUS_GAP_NOTIFY     0
#define NGX_HTTP_WS_BUS_GAP_CLOSE      1


typedef struct ngx_http_ws_bus_fan_s        ngx_http_ws_bus_fan_t;
typedef struct ngx_http_ws_bus_client_s     ngx_http_ws_bus_client_t;
typedef struct ngx_http_ws_bus_transport_s  ngx_http_ws_bus_transport_t;
typedef struct ngx_http_ws_bus_op_s         ngx_http_ws_bus_op_t;
typedef struct ngx_http_ws_bus_requests_s   ngx_http_ws_bus_requests_t;
typedef struct ngx_http_ws_bus_asker_s      ngx_http_ws_bus_asker_t;
typedef struct ngx_http_ws_bus_out_s        ngx_http_ws_bus_out_t;
typedef struct ngx_http_ws_bus_write_s      ngx_http_ws_bus_write_t;
typedef struct ngx_http_ws_bus_record_s     ngx_http_ws_bus_record_t;
typedef struct ngx_http_ws_bus_form_s       ngx_http_ws_bus_form_t;
typedef struct ngx_http_ws_bus_origins_s    ngx_http_ws_bus_origins_t;
typedef struct ngx_http_ws_bus_token_s      ngx_http_ws_bus_token_t;


typedef struct {
    ngx_uint_t                   counted;     /* some location limits the
                                                 clients of its zone */
} ngx_http_ws_bus_client_main_conf_t;


typedef struct {
    ngx_open_file_t             *file;
    ngx_array_t                  parts;       /* of the line: see session_log */
} ngx_http_ws_bus_session_log_t;


typedef struct {
    ngx_http_handler_pt          handler;     /* that lets clients in here */
    ngx_http_ws_bus_zone_t      *zone;        /* whose they are; NULL: of no
                                                 bus */

    const wsb_codec_t           *codec;
    ngx_uint_t                   codec_index;
    ngx_uint_t                   protocol;

    ngx_http_complex_value_t    *tenant;
    ngx_http_complex_value_t    *schema;
    ngx_http_complex_value_t    *section;
    ngx_str_t                    default_schema;      /* of who names none */
    ngx_uint_t                   context;     /* clients keep one: set when
                                                 merging, by any room */

    const ngx_http_ws_bus_requests_t  *requests;  /* NULL: there is nobody to
                                                 ask; set when merging */

    ngx_http_ws_bus_origins_t   *origins;     /* NULL: any */
    ngx_array_t                 *names;       /* of the server, see origin */
    ngx_array_t                 *conditions;  /* forced: see restrict */
    ngx_array_t                 *connection_limits;   /* see limit */
    ngx_array_t                 *subscription_limits;
    ngx_array_t                 *comparison_limits;
    ngx_int_t                    max_subscriptions;
    size_t                       max_filters_size;    /* as set, or unset */
    size_t                       filters_size;
    ngx_int_t                    max_comparisons;
    ngx_uint_t                   message_rate;    /* thousandths a second; */
    ngx_uint_t                   message_burst;   /* 0: no limit */
    ngx_uint_t                   control_rate;    /* of control frames */
    ngx_uint_t                   control_burst;

    ngx_uint_t                   on_gap;
    ngx_msec_t                   drain_window;
    ngx_msec_t                   ping_interval;   /* as set, or unset */
    ngx_msec_t                   pong_timeout;
    ngx_msec_t                   beat_interval;   /* 0: no heartbeat */
    ngx_msec_t                   beat_timeout;
    ngx_http_ws_bus_session_log_t  *session_log;  /* NULL: off */
} ngx_http_ws_bus_client_loc_conf_t;


/* Why the engine ends a client.  A transport says it in its own words. */

typedef enum {
    NGX_HTTP_WS_BUS_END_RESTART = 0,      /* others serve it from now on */
    NGX_HTTP_WS_BUS_END_QUIT,             /* nginx stops */
    NGX_HTTP_WS_BUS_END_LATER,            /* overtaken, or no room for it */
    NGX_HTTP_WS_BUS_END_SILENT,           /* no sign of life */
    NGX_HTTP_WS_BUS_END_LIMIT,            /* more than it may */
    NGX_HTTP_WS_BUS_END_EXPIRED,          /* its token */
    NGX_HTTP_WS_BUS_END_RIGHTS,           /* a token of other rights */
    NGX_HTTP_WS_BUS_END_INTERNAL          /* no memory */
} ngx_http_ws_bus_end_e;


/*
 * A transport.  Events and answers reach it through the queues of `out`; it
 * makes bytes of them and takes these to the peer.  None of its functions is
 * called for a client that is closed.
 */

struct ngx_http_ws_bus_transport_s {
    const char                  *name;

    /*
     * An event for one subscription: one piece, or two, of which the first
     * is made in scratch.  Returns how many; 0: no memory.  The same call
     * gives the same bytes as long as the record is held.
     */
    ngx_uint_t                 (*event)(ngx_http_ws_bus_record_t *rec,
                                    ngx_http_ws_bus_client_t *wc,
                                    uint32_t ordinal, wsb_change_t change,
                                    u_char scratch[NGX_HTTP_WS_BUS_HEADROOM],
                                    ngx_str_t piece[2]);

    /* Queues an answer, by ngx_http_ws_bus_out_add(). */
    void                       (*answer)(ngx_http_ws_bus_client_t *wc,
                                    const u_char *data, size_t len);

    /* Queues what makes a peer that lives show it. */
    void                       (*ping)(ngx_http_ws_bus_client_t *wc);

    /*
     * Writes what has been gathered, none of it perhaps.  *sent is how much
     * the peer's buffers have taken.  NGX_AGAIN: they take no more, and
     * ngx_http_ws_bus_out_writable() is called when they do.
     */
    ngx_int_t                  (*write)(ngx_http_ws_bus_client_t *wc,
                                    ngx_http_ws_bus_write_t *w,
                                    size_t *sent);

    /* Does it still hold bytes that write() has taken? */
    ngx_uint_t                 (*buffered)(ngx_http_ws_bus_client_t *wc);

    /* All that was queued has been written; wc may be closed in it. */
    void                       (*written)(ngx_http_ws_bus_client_t *wc);

    /* It may be read again: its answers have been written. */
    void                       (*resume)(ngx_http_ws_bus_client_t *wc);

    /*
     * Ends it: by words of its own, with a text for the peer or NULL, or at
     * once.  The client has been stopped; its transport closes it.
     */
    void                       (*end)(ngx_http_ws_bus_client_t *wc,
                                    ngx_http_ws_bus_end_e why,
                                    const char *text);

    /* Closes what carries the bytes: part of ngx_http_ws_bus_client_close().
     */
    void                       (*close)(ngx_http_ws_bus_client_t *wc);

    /* Frees what is its own; the client itself is freed by others. */
    void                       (*free)(ngx_http_ws_bus_client_t *wc);
};


/*
 * What this process does for the clients of one bus: private memory, made in
 * init_process, gone with the process.  A fan without a zone serves those who
 * are of no bus.
 */

struct ngx_http_ws_bus_fan_s {
    ngx_http_ws_bus_worker_t    *worker;      /* of the core; NULL: no bus */
    wsb_index_t                 *index;

    ngx_queue_t                  clients;
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

    ngx_uint_t                   overflowed;  /* cursors for want of queue */
    ngx_uint_t                   late;        /* the last turn was too short */
};


/* What a client counts in the zone, and its subscriptions do. */

typedef struct {
    ngx_uint_t                   nconns;      /* counted in */
    ngx_uint_t                   nsubs;
    ngx_uint_t                   ncosts;
    wsb_quota_t                 *subs;
    wsb_quota_t                 *costs;       /* of their conditions */
    wsb_quota_t                  quota[];
} ngx_http_ws_bus_quotas_t;


/*
 * An operation that is not done when its message has been read: it waits for
 * an answer from elsewhere.  A handler that can finish at once has no use for
 * it.  Made by ngx_http_ws_bus_op_keep(), owned by its handler, and freed by
 * ngx_http_ws_bus_op_done() alone, which its handler calls exactly once.
 */

struct ngx_http_ws_bus_op_s {
    ngx_http_ws_bus_client_t    *client;      /* NULL: it is gone */
    wsb_op_t                     op;          /* as decoded */

    /*
     * The client is gone, and client is NULL already.  The work may be given
     * up here, with ngx_http_ws_bus_op_done(), or go on without the client
     * and be done later.  Not called once it is done.  NULL: it is done with
     * its client, and data needs no care.
     */
    void                       (*end)(ngx_http_ws_bus_op_t *kept);
    void                        *data;        /* of the handler */

    ngx_http_ws_bus_op_t        *next;        /* of the same client */
    ngx_http_ws_bus_op_t       **prev;
};


/*
 * Who answers requests for records: the room of calls, which is known here by
 * this table alone.  What it keeps of a client is wc->asker.
 */

struct ngx_http_ws_bus_requests_s {

    /* At the handshake.  The conditions live as long as the request. */
    ngx_int_t                  (*admit)(ngx_http_request_t *r,
                                    ngx_http_ws_bus_client_t *wc,
                                    const wsb_forced_t *forced,
                                    ngx_uint_t n);

    /* It keeps the operation, or has refused it. */
    void                       (*request)(ngx_http_ws_bus_client_t *wc,
                                    wsb_op_t *op);

    /* A client that was stalled has read its answers. */
    void                       (*resume)(ngx_http_ws_bus_client_t *wc);

    void                       (*free)(ngx_http_ws_bus_client_t *wc);

    /* Of the client that this request is made for; NULL: it is no call. */
    ngx_str_t                 *(*tenant)(ngx_http_request_t *r);
};


/* Why a client is not read, besides answers that wait. */

#define NGX_HTTP_WS_BUS_HELD_REQUESTS  1      /* it has asked for too much */
#define NGX_HTTP_WS_BUS_HELD_LEAVING   2      /* it only awaits answers */


/* A message for one client that is no event. */

typedef enum {
    NGX_HTTP_WS_BUS_OUT_ANSWER = 0,
    NGX_HTTP_WS_BUS_OUT_LATEST,           /* of these only the latest waits
                                             while the peer takes no more */
    NGX_HTTP_WS_BUS_OUT_LAST              /* nothing comes after it */
} ngx_http_ws_bus_out_e;


struct ngx_http_ws_bus_out_s {
    ngx_http_ws_bus_out_t       *next;
    u_char                      *pos;
    u_char                      *last;
    ngx_http_ws_bus_out_e        kind;
    u_char                       data[];
};


/* What one write takes. */

#define NGX_HTTP_WS_BUS_PIECES         64

struct ngx_http_ws_bus_write_s {
    struct iovec                 piece[NGX_HTTP_WS_BUS_PIECES];
    u_char                       scratch[NGX_HTTP_WS_BUS_QUEUE_FRAMES]
                                     [NGX_HTTP_WS_BUS_HEADROOM];
    ngx_uint_t                   n;
    size_t                       size;
};


/* What the session log says of a client, beside what it needs itself. */

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
 * A client.  The first member of what its transport allocates; lives from the
 * handshake until ngx_http_ws_bus_client_close(), after which it is only a
 * husk that the end of the turn frees.  Owned by this process alone.
 *
 * Where it stands: while `behind` is set, `cursor` and `ordinal` name the next
 * frame to look at; else it is pushed to, and stands before its first queued
 * item or, with none, where its worker stands.
 */

struct ngx_http_ws_bus_client_s {

    /*
     * First all that sending an event to a plain socket looks at, 128 bytes:
     * with thousands of clients, lines of the cache are what it costs.
     */

    ngx_http_ws_bus_fan_t       *fan;
    ngx_http_ws_bus_client_loc_conf_t  *conf;
    ngx_queue_t                  link;        /* dirty or behind */

    /* events: queued frames, the first of them perhaps partly written */
    ngx_http_ws_bus_item_t      *items;
    ngx_http_ws_bus_item_t       one;         /* items, while one is enough */
    uint32_t                     nitems;
    uint32_t                     queued;      /* bytes */
    uint32_t                     sent;        /* of the first item */
    unsigned                     behind:1;
    unsigned                     blocked:1;   /* the peer takes no more */
    unsigned                     dirty:1;
    unsigned                     catching:1;  /* in the fan's behind */
    unsigned                     aware:1;     /* it has sent since */
    unsigned                     closing:1;   /* its end is queued */
    unsigned                     closed:1;    /* a husk */
    unsigned                     paused:1;    /* not read: answers wait */
    unsigned                     held:2;      /* not read for these reasons */
    unsigned                     stalled:1;   /* the room of calls waits until
                                                 its answers are read */
    unsigned                     counted:1;
    unsigned                     overflowed:1;       /* counted as such */
    unsigned                     beating:1;   /* in the wheel */
    unsigned                     pinged:1;    /* at pinged_at */
    unsigned                     resumed:1;   /* it was blocked before */
    unsigned                     asked:1;     /* our ping has no answer yet */

    ngx_socket_t                 fd;          /* of a plain socket whose bytes
                                                 we write, or -1 */
    uint64_t                     events_out;
    uint64_t                     bytes_out;

    /* answers: queue of messages, the first perhaps partly written */
    ngx_http_ws_bus_out_t       *control;

    /* what is looked at less often */

    ngx_http_ws_bus_out_t      **control_last;
    ngx_http_ws_bus_out_t       *latest;      /* while blocked */
    const ngx_http_ws_bus_transport_t  *transport;
    ngx_connection_t            *connection;  /* what its log lines name */

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

    ngx_str_t                    tenant;
    wsb_restrict_t              *forced;      /* NULL: nothing is */
    ngx_http_ws_bus_quotas_t    *quotas;      /* NULL: none */
    uint32_t                     excess;      /* of messages, in thousandths */
    uint32_t                     excess_control;     /* of control frames */
    uint32_t                     counted_at;  /* ms, when they were */
    uint32_t                     control_size;       /* with the latest */
    ngx_http_ws_bus_token_t     *token;       /* NULL: none */
    wsb_context_t               *context;     /* NULL: nobody asks for it */
    ngx_http_ws_bus_op_t        *ops;         /* those that wait */
    ngx_http_ws_bus_asker_t     *asker;       /* NULL: nobody to ask */

    ngx_queue_t                  clients;
    ngx_queue_t                  leaving;     /* while nleft is not 0 */
    ngx_queue_t                  beat;
    uint32_t                     heard;       /* ms, last sign of life */
    uint32_t                     pinged_at;   /* or due */
    u_char                       id[16];

    ngx_http_ws_bus_logged_t    *logged;      /* NULL: no session log */
    uint32_t                     gaps;
    uint16_t                     close_code;  /* as its transport counts them;
                                                 0: it just vanished */
    uint16_t                     nops;        /* in ops */
};


/* A whole frame for one ordinal and change. */

typedef struct {
    u_char                      *pos;
    size_t                       len;
    uint32_t                     ordinal;     /* 0: none */
    wsb_change_t                 change;
} ngx_http_ws_bus_whole_t;


/* The body of an event's message, plain or as a transport has packed it. */

struct ngx_http_ws_bus_form_s {
    u_char                      *body;        /* NULL: not made, or does not
                                                 pay; headroom before it */
    size_t                       len;
    ngx_uint_t                   bits;        /* least window; 0: plain */
    ngx_uint_t                   stays;       /* plain, for want of memory */
    ngx_http_ws_bus_form_t      *next;
    ngx_http_ws_bus_whole_t      whole[NGX_HTTP_WS_BUS_WHOLE];
};


/* As one codec renders it: the plain form, behind it packed ones. */

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
    ngx_http_ws_bus_render_t    *hidden;      /* the same without its row, for
                                                 whom it leaves; or NULL */
    ngx_queue_t                  link;
};


/* client */

/* A client of `size` bytes, of which it is the first member, or NULL. */
ngx_http_ws_bus_client_t *ngx_http_ws_bus_client_create(size_t size,
    const ngx_http_ws_bus_transport_t *transport, ngx_connection_t *c,
    ngx_http_ws_bus_client_loc_conf_t *conf, ngx_http_ws_bus_fan_t *fan);

/* Of one that was never opened, and of a husk. */
void ngx_http_ws_bus_client_free(ngx_http_ws_bus_client_t *wc);

/* From now on it is served.  It may be closed afterwards. */
void ngx_http_ws_bus_client_open(ngx_http_ws_bus_client_t *wc);

/* Ends it, once: its transport tells the peer. */
void ngx_http_ws_bus_client_end(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_end_e why, const char *text);

/*
 * For transports that end it by themselves: no event comes any more.  Its
 * last_id is what last() says before.
 */
void ngx_http_ws_bus_client_stop(ngx_http_ws_bus_client_t *wc);

/* The id up to which it has been served, ended by a NUL. */
void ngx_http_ws_bus_client_last(ngx_http_ws_bus_client_t *wc,
    u_char id[WSB_ID_LEN + 1]);

/* It is not read any more, until it is released of all that holds it. */
void ngx_http_ws_bus_client_hold(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t why);
void ngx_http_ws_bus_client_release(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t why);

/* The end: wc is a husk afterwards. */
void ngx_http_ws_bus_client_close(ngx_http_ws_bus_client_t *wc);

/* Of a husk: the end of the turn frees it. */
void ngx_http_ws_bus_client_discard(ngx_http_ws_bus_client_t *wc);

/* Those who are of no bus: an echo's. */
extern ngx_http_ws_bus_fan_t  ngx_http_ws_bus_no_fan;


/* admit */

/*
 * The process's part in a zone, or with NULL of no zone.  NULL: it has none
 * now, which is a 503.
 */
ngx_http_ws_bus_fan_t *ngx_http_ws_bus_admit_fan(ngx_http_ws_bus_zone_t *bus);

/*
 * Gives a client what the request and its location say: tenant, forced
 * conditions, limits, in which it is counted in.  NGX_OK, or the status to
 * answer with.
 */
ngx_int_t ngx_http_ws_bus_admit(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc, ngx_str_t *tenant);

/* The id of the client that this request makes, 16 bytes, or NULL. */
u_char *ngx_http_ws_bus_admit_id(ngx_http_request_t *r);


/* origin */

char *ngx_http_ws_bus_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Takes the names of the server along: nginx itself does not keep them. */
ngx_int_t ngx_http_ws_bus_origin_merge(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *prev,
    ngx_http_ws_bus_client_loc_conf_t *conf);

/* Of a handshake with n Origin headers: NGX_OK, or 403, counted and logged. */
ngx_int_t ngx_http_ws_bus_origin_check(ngx_http_request_t *r,
    ngx_str_t *origin, ngx_uint_t n);


/* tenant */

char *ngx_http_ws_bus_tenant_value(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* What "ws_bus_tenant off" makes of a level's tenant. */
extern ngx_http_complex_value_t   ngx_http_ws_bus_no_tenant;

/*
 * The value of ws_bus_tenant where there is no client, in the request's
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
ngx_int_t ngx_http_ws_bus_tenant_get(ngx_http_request_t *r,
    ngx_str_t *tenant);

/* Why no event can have it: it is empty, too long, no text; NULL: it can. */
const char *ngx_http_ws_bus_tenant_wrong(ngx_str_t *tenant);

/*
 * NGX_OK: a client can have it, len 0 is none.  NGX_DONE: it cannot, and
 * has been answered.  Else the status to answer with.
 */
ngx_int_t ngx_http_ws_bus_tenant_check(ngx_http_request_t *r,
    ngx_str_t *tenant);

wsb_key_t ngx_http_ws_bus_tenant_hash(wsb_zone_t *zone, ngx_str_t *tenant);


/* restrict */

char *ngx_http_ws_bus_restrict(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_ws_bus_restrict_merge(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *prev,
    ngx_http_ws_bus_client_loc_conf_t *conf);

/* *n conditions of WSB_RESTRICT_CONDITIONS, in the request's pool. */
ngx_int_t ngx_http_ws_bus_restrict_force(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc, wsb_forced_t *forced, ngx_uint_t *n);

/*
 * Does an event, or a row that is told as one, meet these conditions?
 * NGX_DECLINED: it does not.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_ws_bus_restrict_meets(const uint8_t key[16],
    const wsb_forced_t *forced, ngx_uint_t n, const wsb_event_t *ev);


/* limit */

char *ngx_http_ws_bus_limit_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_limit_message_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_ws_bus_limit(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_limit_give(ngx_http_ws_bus_client_t *wc);
ngx_int_t ngx_http_ws_bus_limit_message(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t control);


/* token */

ngx_int_t ngx_http_ws_bus_token_init_process(ngx_cycle_t *cycle);

/*
 * At the handshake, when all values have been evaluated: which claims they
 * were made of is remembered.  NGX_OK, or a status.
 */
ngx_int_t ngx_http_ws_bus_token_attach(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc);

/* While it is open, a client ends when its token expires. */
void ngx_http_ws_bus_token_start(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_token_stop(ngx_http_ws_bus_client_t *wc);

/*
 * Another token for a client of a bus.
 *   NGX_OK        renewed; *exp is when it expires, see wsb_claims_check()
 *   NGX_ABORT     it is refused, *reason says why; the old one counts
 *   NGX_DONE      it is of another subject or of other rights: ended
 *   NGX_DECLINED  the client has no token, or one without a subject
 *   NGX_BUSY      too many in one second
 *   NGX_ERROR     no memory
 */
ngx_int_t ngx_http_ws_bus_token_renew(ngx_http_ws_bus_client_t *wc,
    wsb_str_t token, uint64_t *exp, const char **reason);


/* op */

/* What the protocol says and does when a client opens. */
void ngx_http_ws_bus_op_welcome(ngx_http_ws_bus_client_t *wc);

/* One more message of a client: NGX_DECLINED, it has been ended for it. */
ngx_int_t ngx_http_ws_bus_op_count(ngx_http_ws_bus_client_t *wc);

/* The same of a control frame; answer: it may be that to our ping. */
ngx_int_t ngx_http_ws_bus_op_control(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t answer);

/* A message, text or binary.  wc may be closed by it. */
void ngx_http_ws_bus_op_text(ngx_http_ws_bus_client_t *wc, wsb_str_t message);
void ngx_http_ws_bus_op_binary(ngx_http_ws_bus_client_t *wc);

/* To a client that resumes: how far it has been served, if that has moved. */
void ngx_http_ws_bus_op_position(ngx_http_ws_bus_client_t *wc);

/* Answer with an error: what the operation holds, or this. */
void ngx_http_ws_bus_op_refuse(ngx_http_ws_bus_client_t *wc, wsb_op_t *op);
void ngx_http_ws_bus_op_error(ngx_http_ws_bus_client_t *wc, wsb_str_t id,
    const char *code, wsb_str_t message);

/*
 * Operations that wait.
 *
 * keep() takes over what op holds, which is empty afterwards, so that the
 * caller of the handler frees nothing.  How many a client may have is the
 * handler's affair: wc->nops is how many it has.  NULL: no memory, or the
 * client is closing; op is as it was, and can still be refused.
 *
 * answer() sends a text of the codec's, which is freed; answer_error() an error
 * with the operation's id.  Both may be called in any turn, and any number of
 * times.  NGX_DECLINED: the client is gone, or has gone in the call for want
 * of memory; in neither case is end() called for it any more.
 *
 * So what ends an operation is always these two lines:
 *
 *     (void) ngx_http_ws_bus_op_answer(kept, &text);
 *     ngx_http_ws_bus_op_done(kept);
 */
ngx_http_ws_bus_op_t *ngx_http_ws_bus_op_keep(ngx_http_ws_bus_client_t *wc,
    wsb_op_t *op);
ngx_int_t ngx_http_ws_bus_op_answer(ngx_http_ws_bus_op_t *kept,
    wsb_text_t *text);
ngx_int_t ngx_http_ws_bus_op_answer_error(ngx_http_ws_bus_op_t *kept,
    const char *code, wsb_str_t message);
void ngx_http_ws_bus_op_done(ngx_http_ws_bus_op_t *kept);

/* The client goes: end() of each that waits. */
void ngx_http_ws_bus_op_end_all(ngx_http_ws_bus_client_t *wc);

/* Each subscription that lacks something up to `to` is told. */
void ngx_http_ws_bus_op_gap(ngx_http_ws_bus_client_t *wc, uint64_t to,
    const char *reason);


/* context */

char *ngx_http_ws_bus_context_default_schema(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

/*
 * At the handshake, after tenant and id are known: what the location or the
 * protocol wants to know of a client, if they do.  NGX_OK, or a status.
 */
ngx_int_t ngx_http_ws_bus_context_attach(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc);


/* subscribe */

void ngx_http_ws_bus_subscribe(ngx_http_ws_bus_client_t *wc, wsb_op_t *op);

/* To everything of its tenant, for a protocol without subscribe. */
void ngx_http_ws_bus_subscribe_by_itself(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_subscribe_end(ngx_http_ws_bus_client_t *wc, wsb_op_t *op);

/*
 * It closes: all its subscriptions are taken out, in this turn or, if that
 * would be too long, in the next ones.  Until then it must be `behind`, and
 * it is a husk for longer.
 */
void ngx_http_ws_bus_subscribe_leave(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_subscribe_leave_handler(ngx_event_t *ev);


/* position */

/* The next frame to look at. */
wsb_position_t ngx_http_ws_bus_position(ngx_http_ws_bus_client_t *wc);

/* Up to and including this everything has been sent: min(next) - 1. */
uint64_t ngx_http_ws_bus_position_last_id(ngx_http_ws_bus_client_t *wc);

/*
 * The position goes back to `from` for this subscription, or stays where it
 * is if it is lower already.  The others are kept from what they have been
 * sent.
 */
void ngx_http_ws_bus_position_rewind(ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub, uint64_t from);


/* fanout */

ngx_int_t ngx_http_ws_bus_fanout_init_process(ngx_cycle_t *cycle);

/* Does delivery lag behind what has been published? */
ngx_uint_t ngx_http_ws_bus_fanout_busy(ngx_http_ws_bus_zone_t *bus);
void ngx_http_ws_bus_fanout_not_overflowed(ngx_http_ws_bus_client_t *wc);


/* catch */

/* Let a client that is behind go on, if it may write. */
void ngx_http_ws_bus_catch_up(ngx_http_ws_bus_client_t *wc);

/* Those that may write, in turns; NGX_AGAIN: it has been long enough. */
ngx_int_t ngx_http_ws_bus_catch_serve(ngx_http_ws_bus_fan_t *fan,
    uint64_t until);


/* out */

/* Queue an answer: a text of the codec, which is freed.  Without memory the
 * client is closed. */
void ngx_http_ws_bus_out_text(ngx_http_ws_bus_client_t *wc, wsb_text_t *text);

/*
 * For transports: a place for len bytes of an answer, to be filled from
 * out->last on and then queued.  NULL: no memory, and wc has been closed.
 */
ngx_http_ws_bus_out_t *ngx_http_ws_bus_out_new(ngx_http_ws_bus_client_t *wc,
    size_t len);
void ngx_http_ws_bus_out_add(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_out_t *out);

/* Queues an event's frame; NGX_DECLINED: the queue is full. */
ngx_int_t ngx_http_ws_bus_out_push(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec, wsb_sub_t *sub, wsb_change_t change);

/* Takes queued frames of a subscription, but not one that has been begun. */
void ngx_http_ws_bus_out_unqueue(ngx_http_ws_bus_client_t *wc,
    uint32_t ordinal);

/* From being pushed to, to a cursor: frames not begun are dropped. */
void ngx_http_ws_bus_out_fall_behind(ngx_http_ws_bus_client_t *wc);

/* The same, while this record is matched and the queue is full: it stays. */
void ngx_http_ws_bus_out_overflow(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec);

/*
 * Writes what is queued, the frame begun first, then answers, then events.
 *   NGX_OK     all of it is written
 *   NGX_AGAIN  the peer takes no more: it goes on by itself
 *   NGX_ERROR  the client has been closed
 */
ngx_int_t ngx_http_ws_bus_out_flush(ngx_http_ws_bus_client_t *wc);

/* The peer takes bytes again. */
void ngx_http_ws_bus_out_writable(ngx_http_ws_bus_client_t *wc);

void ngx_http_ws_bus_out_mark_dirty(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_out_drop(ngx_http_ws_bus_client_t *wc);


/* record */

/*
 * The record at the cursor, with a reference for the caller; the cursor moves
 * behind it.  The errors are those of wsb_log_read().
 */
wsb_rc_t ngx_http_ws_bus_record_fetch(ngx_http_ws_bus_fan_t *fan,
    wsb_cursor_t *cursor, ngx_http_ws_bus_record_t **rec);
void ngx_http_ws_bus_record_release(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec);

/* The body as the codec renders it, with headroom; NULL: no memory. */
ngx_http_ws_bus_form_t *ngx_http_ws_bus_record_plain(
    ngx_http_ws_bus_record_t *rec, ngx_http_ws_bus_client_loc_conf_t *conf,
    wsb_change_t change);


/* heartbeat */

void ngx_http_ws_bus_heartbeat_init(ngx_cycle_t *cycle);
void ngx_http_ws_bus_heartbeat_start(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_heartbeat_stop(ngx_http_ws_bus_client_t *wc);

/* A sign of life: a Pong frame, a Ping frame, or anything else. */
void ngx_http_ws_bus_heartbeat_heard(ngx_http_ws_bus_client_t *wc,
    wsb_life_t life);


/* session_log */

char *ngx_http_ws_bus_session_log(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_ws_bus_session_log_variables(ngx_conf_t *cf);

/* At the handshake, and at the very end. */
void ngx_http_ws_bus_session_log_begin(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_session_log_end(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_session_log_free(ngx_http_ws_bus_client_t *wc);

/* How it was closed, by whoever closed it first. */
void ngx_http_ws_bus_session_log_close(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t code,
    const u_char *reason, size_t len);


/* What sending an event looks at: 128 bytes; wc may be any address. */

static ngx_inline void
ngx_http_ws_bus_prefetch(const ngx_http_ws_bus_client_t *wc)
{
    __builtin_prefetch(wc, 1);
    __builtin_prefetch((const u_char *) wc + 64, 1);
    __builtin_prefetch((const u_char *) wc + 127, 1);
}


extern ngx_module_t  ngx_http_ws_bus_client_module;


#endif /* NGX_HTTP_WS_BUS_CLIENT_H */
