/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a client and its way are made of: its configuration, the client
 * itself, what a process keeps for all of them, what waits for the peer, the
 * records of the log, and the table of a transport.  Others include
 * ngx_http_ws_bus_client.h, which has the functions.
 */

#ifndef NGX_HTTP_WS_BUS_CLIENT_TYPES_H
#define NGX_HTTP_WS_BUS_CLIENT_TYPES_H


#include "ngx_http_ws_bus_client_counters.h"

#include "../../log/wsb_filter_text.h"
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
#define NGX_HTTP_WS_BUS_CODECS         6
#define NGX_HTTP_WS_BUS_PROTOCOLS      5      /* those that have a name */

/* What may precede a body: what the transport and the codec put there. */
#define NGX_HTTP_WS_BUS_HEADROOM       96

#define NGX_HTTP_WS_BUS_GAP_NOTIFY     0
#define NGX_HTTP_WS_BUS_GAP_CLOSE      1


typedef struct ngx_http_ws_bus_fan_s        ngx_http_ws_bus_fan_t;
typedef struct ngx_http_ws_bus_client_s     ngx_http_ws_bus_client_t;
typedef struct ngx_http_ws_bus_transport_s  ngx_http_ws_bus_transport_t;
typedef struct ngx_http_ws_bus_op_s         ngx_http_ws_bus_op_t;
typedef struct ngx_http_ws_bus_out_s        ngx_http_ws_bus_out_t;
typedef struct ngx_http_ws_bus_write_s      ngx_http_ws_bus_write_t;
typedef struct ngx_http_ws_bus_record_s     ngx_http_ws_bus_record_t;
typedef struct ngx_http_ws_bus_form_s       ngx_http_ws_bus_form_t;
typedef struct ngx_http_ws_bus_origins_s    ngx_http_ws_bus_origins_t;
typedef struct ngx_http_ws_bus_token_s      ngx_http_ws_bus_token_t;
typedef struct ngx_http_ws_bus_requests_s   ngx_http_ws_bus_requests_t;
typedef struct ngx_http_ws_bus_asker_s      ngx_http_ws_bus_asker_t;


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
    void                       **loc_conf;    /* the location's, by module */

    const wsb_codec_t           *codec;
    ngx_uint_t                   codec_index;
    ngx_uint_t                   protocol;
    ngx_flag_t                   topics;      /* of the protocol "action" */

    ngx_http_complex_value_t    *tenant;
    ngx_http_complex_value_t    *user;        /* whose a client is; NULL: as
                                                 not set */
    ngx_http_complex_value_t    *schema;
    ngx_http_complex_value_t    *section;
    ngx_http_complex_value_t    *entity_name; /* in the URI; NULL: not set */
    ngx_http_complex_value_t    *entity;      /* by its name; NULL: that */
    ngx_array_t                 *actions;     /* wsb_str_t: see section */
    ngx_str_t                    default_schema;      /* of who names none */
    ngx_uint_t                   context;     /* clients keep one: set when
                                                 merging, by any room */

    const ngx_http_ws_bus_requests_t  *requests;  /* NULL: there is nobody to
                                                 ask; set when merging */
    ngx_uint_t                   asked;       /* what they are asked for */

    ngx_http_ws_bus_origins_t   *origins;     /* NULL: any */
    ngx_array_t                 *names;       /* of the server, see origin */
    ngx_array_t                 *conditions;  /* forced: see restrict */
    ngx_array_t                 *connection_limits;   /* see limit */
    ngx_array_t                 *subscription_limits;
    ngx_array_t                 *comparison_limits;
    ngx_int_t                    max_subscriptions;
    size_t                       max_filters_size;    /* as set, or unset */
    uint32_t                     filters_size;
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

    /* What the session log says where nobody has said how it was closed. */
    ngx_uint_t                   vanished;

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
     * Ends it: at once, by client_close(), or by words of its own, with a
     * text for the peer or NULL.  Then it calls client_stop() first, and
     * client_close() within a bounded time.  Not every end comes this way:
     * who is silent, or cannot be written to, is closed.
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

    /* no longer served, with subscriptions: by `leaving` of each */
    ngx_http_ws_bus_client_t    *leaving;
    ngx_http_ws_bus_client_t   **leaving_last;
    ngx_event_t                  leave_event;

    /* records of the log in this process, newest last */
    ngx_queue_t                  records;
    ngx_http_ws_bus_record_t    *recent[NGX_HTTP_WS_BUS_CACHE_RECORDS];
    size_t                       cached;      /* bytes */
    ngx_queue_t                  spare;       /* records to be used again */
    ngx_uint_t                   nspare;

    void                        *items;       /* free queues of events */

    /* told of each record that has been matched; NULL: nobody is */
    void                       (*concern)(ngx_http_ws_bus_fan_t *fan,
                                    ngx_http_ws_bus_record_t *rec);

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


/* What is not done at once, but by the room of calls. */

#define NGX_HTTP_WS_BUS_ASKED_REQUEST      1
#define NGX_HTTP_WS_BUS_ASKED_SUBSCRIBE    2
#define NGX_HTTP_WS_BUS_ASKED_UNSUBSCRIBE  4
#define NGX_HTTP_WS_BUS_ASKED_CONNECT      8
#define NGX_HTTP_WS_BUS_ASKED_SNAPSHOT     16


/*
 * Who answers requests for records, and asks hooks: the room of calls, which
 * is known here by this table alone.  What it keeps of a client is wc->asker.
 */

struct ngx_http_ws_bus_requests_s {

    /*
     * Of a request that would make a client: may it?  NGX_OK; NGX_DONE: the
     * answer is not there yet, and the location's handler is called again
     * when it is; else the status to answer with.
     */
    ngx_int_t                  (*connect)(ngx_http_request_t *r);

    /* At the handshake.  The conditions live as long as the request. */
    ngx_int_t                  (*admit)(ngx_http_request_t *r,
                                    ngx_http_ws_bus_client_t *wc,
                                    const wsb_forced_t *forced,
                                    ngx_uint_t n);

    /* It is served from now on. */
    void                       (*opened)(ngx_http_ws_bus_client_t *wc);

    /* It is not any more: before its peer can know, and perhaps twice. */
    void                       (*closed)(ngx_http_ws_bus_client_t *wc);

    /* It keeps the operation, or has refused it. */
    void                       (*request)(ngx_http_ws_bus_client_t *wc,
                                    wsb_op_t *op);

    /*
     * A subscription has a snapshot now, for which it waits; it has one no
     * more; or what it has is stale.  again: its client asks for another.
     * NGX_ERROR: no memory.
     */
    ngx_int_t                  (*live)(ngx_http_ws_bus_client_t *wc,
                                    wsb_sub_t *sub, const wsb_op_t *op);
    void                       (*dead)(ngx_http_ws_bus_client_t *wc,
                                    uint32_t ordinal);
    void                       (*stale)(ngx_http_ws_bus_client_t *wc,
                                    uint32_t ordinal);
    void                       (*again)(ngx_http_ws_bus_client_t *wc,
                                    uint32_t ordinal);

    /* A client that was stalled has read its answers. */
    void                       (*resume)(ngx_http_ws_bus_client_t *wc);

    /* It has been told a gap. */
    void                       (*missed)(ngx_http_ws_bus_client_t *wc);

    /* It has another token now, of the same rights.  NGX_ERROR: no memory. */
    ngx_int_t                  (*renew)(ngx_http_ws_bus_client_t *wc,
                                    wsb_str_t token,
                                    const wsb_json_t *claims);

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
    unsigned                     mutes:1;     /* it does not hear all of its
                                                 first subscription: muted */
    unsigned                     packs:1;     /* its transport may pack what
                                                 it sends: see there */

    ngx_socket_t                 fd;          /* of a plain socket whose bytes
                                                 we write, or -1 */
    uint32_t                     control_size;       /* with the latest */
    uint64_t                     events_out;
    uint64_t                     bytes_out;

    /* answers: queue of messages, the first perhaps partly written */
    ngx_http_ws_bus_out_t       *control;

    const ngx_http_ws_bus_transport_t  *transport;

    /* what is looked at less often */

    ngx_http_ws_bus_out_t      **control_last;
    ngx_http_ws_bus_out_t       *latest;      /* while blocked */
    ngx_connection_t            *connection;  /* what its log lines name */

    wsb_sub_t                  **subs;        /* by ordinal */
    uint32_t                     nsubs;
    uint32_t                     nleft;       /* to be taken out */
    uint32_t                     nkeys;       /* of all of them */
    uint32_t                     filters;     /* bytes of their filters */
    uint32_t                     cost;        /* of all their conditions */
    uint32_t                     last_ordinal;
    uint32_t                     ordinal;
    uint16_t                     close_code;  /* as its transport counts them;
                                                 0: nobody has said one */
    uint16_t                     nops;        /* in ops */
    uint16_t                     waits;       /* for answers that come before
                                                 the next event */
    wsb_cursor_t                 cursor;      /* until it is open: what comes
                                                 after the handshake */
    uint64_t                     said;        /* largest last_id sent */
    uint64_t                     muted;       /* as wsb_op_t.topics */

    ngx_str_t                    tenant;
    wsb_restrict_t              *forced;      /* NULL: nothing is */
    ngx_http_ws_bus_quotas_t    *quotas;      /* NULL: none */
    uint32_t                     excess;      /* of messages, in thousandths */
    uint32_t                     excess_control;     /* of control frames */
    uint32_t                     counted_at;  /* ms, when they were */
    uint32_t                     gaps;
    ngx_http_ws_bus_token_t     *token;       /* NULL: none */
    wsb_context_t               *context;     /* NULL: nobody asks for it */
    ngx_http_ws_bus_op_t        *ops;         /* those that wait */
    ngx_http_ws_bus_asker_t     *asker;       /* NULL: nobody to ask */

    ngx_queue_t                  clients;
    ngx_queue_t                  beat;
    ngx_http_ws_bus_client_t    *leaving;     /* the next of them */
    uint32_t                     heard;       /* ms, last sign of life */
    uint32_t                     pinged_at;   /* or due */
    u_char                       id[16];

    ngx_http_ws_bus_logged_t    *logged;      /* NULL: no session log */
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


#endif /* NGX_HTTP_WS_BUS_CLIENT_TYPES_H */
