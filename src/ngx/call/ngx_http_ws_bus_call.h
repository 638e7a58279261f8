/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Calls: what an operation needs from elsewhere is asked of a location of
 * this nginx.
 *
 *   call      one request to an internal location, its answer
 *   caller    what is kept of a handshake for the calls of its client
 *   request   the request that is made
 *   response  the answer that is caught
 *   asker     a client's requests for records: which of them runs when;
 *             asker_admit: what is kept of it
 *   question  what was read, by whom; refresh: it is read again
 *   hold      events wait for an answer
 *   backend   such a request, as a call; backend_rights: what the client may
 *   answer    the call's answer, as the client's
 *   command   what a client says to a topic
 *   hook      hooks around an operation; hook_told: what they are told;
 *             hook_conf: their directives
 *   snapshot  what there is of a subscription, before its events; audience:
 *             who may be given the same answer; ngx_http_ws_bus_snapshot.h
 *   connect   hooks before a connection
 *   notice    hooks after it: see ngx_http_ws_bus_notice.h
 *   conf      directives; the room's module
 *   value     variables
 *
 * A call is a fake main request with a pool of its own and one subrequest of
 * it, so that any handler may stand in the location, and nothing of the
 * client's own memory grows with the number of its calls.  It belongs to this
 * process; it is freed once, after its done function has been called.
 */

#ifndef NGX_HTTP_WS_BUS_CALL_H
#define NGX_HTTP_WS_BUS_CALL_H


#include "../source/ngx_http_ws_bus_source.h"

#include "../../event/wsb_response.h"
#include "../../rest/wsb_hook.h"
#include "../../rest/wsb_rest.h"


#define NGX_HTTP_WS_BUS_WAITING_MAX    64     /* requests of a client */
#define NGX_HTTP_WS_BUS_QUESTIONS      16     /* that a client hears of again */
#define NGX_HTTP_WS_BUS_QUESTIONS_WORKER  16384
#define NGX_HTTP_WS_BUS_HOLD_TIME      2000   /* ms, events wait for an answer
                                                 at most */
#define NGX_HTTP_WS_BUS_WAITING_BYTES  (256 * 1024)

/* Bytes of answers that a worker holds: beyond these none is asked for; */
#define NGX_HTTP_WS_BUS_ANSWERS_SOFT   (32 * 1024 * 1024)
/* and beyond these none is taken. */
#define NGX_HTTP_WS_BUS_ANSWERS_HARD   (64 * 1024 * 1024)

/* How often a row that changes meanwhile is looked at, before a change. */
#define NGX_HTTP_WS_BUS_CHECKS_MAX     3

#define NGX_HTTP_WS_BUS_TELLERS_MAX    8      /* hooks after a connection,
                                                 of one location */

#define NGX_HTTP_WS_BUS_HOOK_ID        (32 + 2 + NGX_INT_T_LEN)

#define NGX_HTTP_WS_BUS_CALL_HEADERS   17     /* that are passed on: those of
                                                 ws_bus_call_header, and
                                                 traceparent */


/* What this room counts: name, kind, where it is shown, meaning. */

#define NGX_HTTP_WS_BUS_CALL_COUNTERS(counter)                                \
    counter(requests_waiting, NOW, BOTH,                                      \
            "requests of clients whose turn has not come")                    \
    counter(calls_running, NOW, BOTH,                                         \
            "calls to backends that have no answer yet")                      \
    counter(calls, SUM, TOTALS,                                               \
            "calls to backends that were made")                               \
    counter(calls_timed_out, SUM, TOTALS,                                     \
            "of these, those without an answer in time")                      \
    counter(calls_failed, SUM, TOTALS,                                        \
            "of these, those that broke off or had a status of 5xx")          \
    counter(calls_too_large, SUM, TOTALS,                                     \
            "of these, those whose answer was larger than is passed on")      \
    counter(calls_cancelled, SUM, TOTALS,                                     \
            "of these, reads whose client went away")                         \
    counter(questions, NOW, BOTH,                                             \
            "lists and details that are read again when they change")         \
    counter(questions_refused, SUM, TOTALS,                                   \
            "of these, those that are not: there were too many")              \
    counter(refreshes, SUM, TOTALS,                                           \
            "calls that read them again")                                     \
    counter(notices_waiting, NOW, BOTH,                                       \
            "what hooks will be told of connections that came or went")       \
    counter(notices_told, SUM, TOTALS,                                        \
            "what hooks were told of them")                                   \
    counter(notices_lost, SUM, TOTALS,                                        \
            "what they are not told, for want of memory")                     \
    counter(changes_unknown, SUM, TOTALS,                                     \
            "changes of which nobody knows whether they were made: "           \
            "subscribers are told a gap")

typedef struct {
    NGX_HTTP_WS_BUS_CALL_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_FIELD)
} ngx_http_ws_bus_call_counters_t;


typedef struct ngx_http_ws_bus_call_s    ngx_http_ws_bus_call_t;
typedef struct ngx_http_ws_bus_caller_s  ngx_http_ws_bus_caller_t;
typedef struct ngx_http_ws_bus_ask_s     ngx_http_ws_bus_ask_t;
typedef struct ngx_http_ws_bus_hooked_s  ngx_http_ws_bus_hooked_t;
typedef struct ngx_http_ws_bus_teller_s  ngx_http_ws_bus_teller_t;
typedef struct ngx_http_ws_bus_notices_s  ngx_http_ws_bus_notices_t;
typedef struct ngx_http_ws_bus_question_s  ngx_http_ws_bus_question_t;


typedef struct {
    size_t                       memory;      /* bytes of ws_bus_hook_memory */
    ngx_array_t                  tellers;     /* ngx_http_ws_bus_teller_t * */
    ngx_shm_zone_t              *shm_zone;    /* NULL: none is needed */
} ngx_http_ws_bus_call_main_conf_t;


typedef struct {
    ngx_http_complex_value_t    *backend;     /* NULL: none */
    ngx_http_complex_value_t    *snapshot;    /* NULL: as not set */
    ngx_http_complex_value_t    *snapshots;   /* where they are from; NULL:
                                                 nowhere */
    ngx_http_complex_value_t    *audience;    /* NULL: as not set */
    ngx_uint_t                   style;       /* wsb_rest_style_t */
    ngx_uint_t                   update;      /* NGX_HTTP_PATCH or _PUT */
    ngx_msec_t                   timeout;
    ngx_uint_t                   max_calls;   /* of a client */
    ngx_uint_t                   max_worker;  /* of a worker */
    size_t                       max_body;    /* of an answer */
    ngx_array_t                 *headers;     /* ngx_str_t */
    ngx_flag_t                   event;
    ngx_array_t                 *hooks;       /* ngx_http_ws_bus_hook_t */
    ngx_uint_t                   phases;      /* that they have, as bits */
    ngx_array_t                 *claims;      /* wsb_str_t: that they are told
                                                 of */
    ngx_array_t                 *tellers;     /* ngx_http_ws_bus_teller_t *,
                                                 NULL: none */
} ngx_http_ws_bus_call_loc_conf_t;

/* The answer is there, or there will be none; the call is freed afterwards. */
typedef void (*ngx_http_ws_bus_call_done_pt)(ngx_http_ws_bus_call_t *call);


typedef struct {
    ngx_str_t                    name;
    ngx_str_t                    value;
} ngx_http_ws_bus_call_header_t;


/*
 * What calls need of the request that made the client: malloc'd as one block,
 * owned by whoever has asked for it.  The configurations belong to the cycle,
 * which lives as long as the worker.
 */

struct ngx_http_ws_bus_caller_s {
    void                       **main_conf;
    void                       **srv_conf;
    void                       **loc_conf;
    ngx_http_connection_t        http_connection;
    ngx_listening_t             *listening;
    ngx_sockaddr_t               sockaddr;
    socklen_t                    socklen;
    ngx_sockaddr_t               local;
    socklen_t                    local_socklen;
    ngx_atomic_uint_t            number;
    ngx_str_t                    addr_text;
    ngx_str_t                    host;
    ngx_str_t                    uri;         /* of the handshake */
    ngx_str_t                    args;
    ngx_uint_t                   nheaders;
    ngx_http_ws_bus_call_header_t  *headers;
    wsb_json_t                   claims;      /* text.data NULL: none */
    ngx_str_t                   *token;       /* the header that holds the token
                                                 of these claims, or NULL */
    u_char                      *renewed;     /* malloc'd: the claims, and that
                                                 header, of a later token */
};


typedef enum {
    NGX_HTTP_WS_BUS_CALL_ANSWERED = 0,
    NGX_HTTP_WS_BUS_CALL_TIMEOUT,
    NGX_HTTP_WS_BUS_CALL_TOO_LARGE,       /* the answer */
    NGX_HTTP_WS_BUS_CALL_BUSY,            /* too many answers at once */
    NGX_HTTP_WS_BUS_CALL_FAILED,          /* broken off, or no memory */
    NGX_HTTP_WS_BUS_CALL_CANCELLED
} ngx_http_ws_bus_call_end_e;


/* The variables that an operation has for its calls. */

typedef enum {
    NGX_HTTP_WS_BUS_CALL_OPERATION = 0,
    NGX_HTTP_WS_BUS_CALL_SCHEMA,
    NGX_HTTP_WS_BUS_CALL_ENTITY,
    NGX_HTTP_WS_BUS_CALL_RECORD_ID,
    NGX_HTTP_WS_BUS_CALL_SECTION,
    NGX_HTTP_WS_BUS_CALL_CONNECTION_ID,
    NGX_HTTP_WS_BUS_CALL_TENANT,
    NGX_HTTP_WS_BUS_CALL_VERSION,
    NGX_HTTP_WS_BUS_CALL_AUDIENCE,
    NGX_HTTP_WS_BUS_CALL_NVALUES
} ngx_http_ws_bus_call_value_e;


/* When hooks run: those of operations, then the others. */

typedef enum {
    NGX_HTTP_WS_BUS_HOOK_BEFORE_READ = 0,     /* as wsb_operation_t */
    NGX_HTTP_WS_BUS_HOOK_BEFORE_CREATE,
    NGX_HTTP_WS_BUS_HOOK_BEFORE_UPDATE,
    NGX_HTTP_WS_BUS_HOOK_BEFORE_DELETE,
    NGX_HTTP_WS_BUS_HOOK_BEFORE_META,
    NGX_HTTP_WS_BUS_HOOK_BEFORE_SUBSCRIBE,
    NGX_HTTP_WS_BUS_HOOK_BEFORE_UNSUBSCRIBE,
    NGX_HTTP_WS_BUS_HOOK_AFTER_READ,          /* in the same order */
    NGX_HTTP_WS_BUS_HOOK_AFTER_CREATE,
    NGX_HTTP_WS_BUS_HOOK_AFTER_UPDATE,
    NGX_HTTP_WS_BUS_HOOK_AFTER_DELETE,
    NGX_HTTP_WS_BUS_HOOK_AFTER_META,
    NGX_HTTP_WS_BUS_HOOK_AFTER_SUBSCRIBE,
    NGX_HTTP_WS_BUS_HOOK_AFTER_UNSUBSCRIBE,
    NGX_HTTP_WS_BUS_HOOK_BEFORE_HANDLE,       /* before each BEFORE */
    NGX_HTTP_WS_BUS_HOOK_BEFORE_CONNECT,
    NGX_HTTP_WS_BUS_HOOK_AFTER_CONNECT,       /* these two: later, in batches */
    NGX_HTTP_WS_BUS_HOOK_AFTER_DISCONNECT,
    NGX_HTTP_WS_BUS_HOOK_NPHASES
} ngx_http_ws_bus_hook_e;


typedef struct {
    ngx_http_ws_bus_hook_e       phase;
    ngx_http_complex_value_t     uri;
    ngx_uint_t                   open;        /* its failure changes nothing */
    ngx_msec_t                   delay;       /* of after_disconnect */
} ngx_http_ws_bus_hook_t;


struct ngx_http_ws_bus_call_s {

    /* set by who makes it, in call->pool, before it is started */

    ngx_pool_t                  *pool;
    ngx_str_t                    value[NGX_HTTP_WS_BUS_CALL_NVALUES];
    wsb_str_t                    metadata;    /* of the connection */
    ngx_uint_t                   method;      /* NGX_HTTP_GET ... */
    ngx_str_t                    method_name;
    ngx_str_t                    uri;
    ngx_str_t                    args;
    ngx_str_t                    body;        /* data NULL: none */
    ngx_str_t                    content_type;
    ngx_array_t                  headers;     /* call_header_t */
    ngx_msec_t                   timeout;
    size_t                       max_body;    /* of the answer */
    ngx_uint_t                   uncached;    /* no cache of nginx answers */
    ngx_http_ws_bus_call_done_pt  done;
    void                        *data;

    /* the answer; status 0: there is none */

    ngx_http_ws_bus_call_end_e   end;
    ngx_uint_t                   status;      /* it may be there although
                                                 the answer is not whole */
    ngx_str_t                    answer;      /* in one piece */
    ngx_list_t                  *answer_headers;
    off_t                        length;      /* as the header says, or -1 */

    /* its own */

    ngx_http_request_t          *main;
    ngx_http_request_t          *request;     /* the subrequest */
    ngx_connection_t             connection;
    ngx_event_t                  read;
    ngx_event_t                  write;
    ngx_log_t                    log;
    ngx_http_log_ctx_t           log_ctx;
    ngx_event_t                  timer;
    ngx_event_t                  finish;
    wsb_text_t                   text;        /* of the answer, growing */
    wsb_response_t              *proper;      /* behind a 1xx; else NULL */
    size_t                       counted;     /* bytes, of all the answers of
                                                 the worker */
    unsigned                     whole:1;     /* its end has been seen */
    unsigned                     headed:1;    /* its header has been seen */
    unsigned                     finished:1;
    unsigned                     held:1;      /* by its done function: not freed
                                                 after it, but by release() */
};


/* caller */

/* Of a request, with these headers of it.  NULL: no memory. */
ngx_http_ws_bus_caller_t *ngx_http_ws_bus_caller_create(
    ngx_http_request_t *r, ngx_array_t *names);

/*
 * Its client has another token: calls have its claims, and it goes where the
 * old one was passed on.  NGX_ERROR: no memory, all is as it was.
 */
ngx_int_t ngx_http_ws_bus_caller_renew(ngx_http_ws_bus_caller_t *caller,
    wsb_str_t token, const wsb_json_t *claims);

void ngx_http_ws_bus_caller_free(ngx_http_ws_bus_caller_t *caller);


/* call */

/*
 * A call to be filled in, whose variables can be evaluated on call->main as
 * soon as its values are set.  NULL: no memory.
 */
ngx_http_ws_bus_call_t *ngx_http_ws_bus_call_create(
    ngx_http_ws_bus_caller_t *caller, ngx_log_t *log);

/* The call whose request this is; NULL: it is none. */
ngx_http_ws_bus_call_t *ngx_http_ws_bus_call_of(ngx_http_request_t *r);

/* Starts it; done is called later, never before this has returned. */
void ngx_http_ws_bus_call_start(ngx_http_ws_bus_call_t *call);

/* Breaks it off: done is called later, with CANCELLED. */
void ngx_http_ws_bus_call_cancel(ngx_http_ws_bus_call_t *call);

/* One that has not been started. */
void ngx_http_ws_bus_call_destroy(ngx_http_ws_bus_call_t *call);

/* One that was held. */
void ngx_http_ws_bus_call_release(ngx_http_ws_bus_call_t *call);

/* It ends so, unless it has ended already. */
void ngx_http_ws_bus_call_finish(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_call_end_e end);


/* request */

/* The header lines of the request and its body.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_ws_bus_request_fill(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_caller_t *caller);
ngx_int_t ngx_http_ws_bus_request_body(ngx_http_ws_bus_call_t *call,
    ngx_http_request_t *r);


/* response */

ngx_int_t ngx_http_ws_bus_response_init(ngx_conf_t *cf);

/* What came behind a 1xx is the answer.  NGX_DECLINED: it is none. */
ngx_int_t ngx_http_ws_bus_response_proper(ngx_http_ws_bus_call_t *call);

/* How many bytes of answers this worker holds. */
extern size_t  ngx_http_ws_bus_response_bytes;

/* Their memory is given back, and not counted any more. */
void ngx_http_ws_bus_response_done(ngx_http_ws_bus_call_t *call);

/* gzip is undone.  NGX_DECLINED: it cannot be, within the bound. */
ngx_int_t ngx_http_ws_bus_response_inflate(ngx_http_ws_bus_call_t *call);

/* A header of the answer; NULL: it has none. */
ngx_str_t *ngx_http_ws_bus_response_header(ngx_http_ws_bus_call_t *call,
    const ngx_str_t *name);


/* asker */

/* A request of a client, from its message to its answer. */

struct ngx_http_ws_bus_ask_s {
    ngx_http_ws_bus_op_t        *kept;
    ngx_http_ws_bus_asker_t     *asker;       /* NULL: its client is gone */
    ngx_http_ws_bus_call_t      *call;        /* under way, or NULL */
    ngx_http_ws_bus_call_loc_conf_t  *conf;
    ngx_http_ws_bus_zone_t      *bus;
    ngx_http_ws_bus_hooked_t    *hooked;      /* NULL: no hook has run */
    ngx_queue_t                  queue;
    size_t                       size;
    ngx_str_t                    schema;      /* of the call's pool */
    ngx_str_t                    etag;        /* of the check's, which is about
                                                 to end */
    ngx_uint_t                   checks;      /* that were made */
    unsigned                     waiting:1;   /* its turn has not come */
    unsigned                     rows:1;      /* more than one is read */
    unsigned                     paged:1;     /* not all of them */
    unsigned                     judged:1;    /* the row that comes is */
    unsigned                     here:1;      /* those that come are, by the
                                                 client's conditions */
    unsigned                     check:1;     /* the call looks at the row that
                                                 is to be changed */
    unsigned                     checked:1;   /* which may be changed */
    unsigned                     matched:1;   /* if it is still the same */
    unsigned                     hooking:1;   /* the call is a hook's */
    unsigned                     refresh:1;   /* nobody has asked now: its
                                                 answer is the question's */
    unsigned                     holding:1;   /* its client is sent no events
                                                 until it is answered */
    unsigned                     underway:1;  /* a change, counted in the slot
                                                 until it has been told */
    ngx_http_ws_bus_question_t  *question;    /* NULL: it is asked once */
    const wsb_forced_t          *added;       /* of a snapshot: by the hooks of
                                                 its subscribe */
    ngx_uint_t                   nadded;
    const wsb_codec_t           *codec;
    ngx_event_t                  hold;        /* the longest that it holds */
    u_char                       text[160];   /* of a refusal */
};


/* What is kept of a client that may ask. */

struct ngx_http_ws_bus_asker_s {
    ngx_http_ws_bus_client_t    *client;
    ngx_http_ws_bus_call_loc_conf_t  *conf;
    ngx_http_ws_bus_caller_t    *caller;
    ngx_queue_t                  queue;       /* of those that have their turn
                                                 to come */
    ngx_queue_t                  waiting;     /* asks */
    ngx_uint_t                   nwaiting;
    size_t                       bytes;       /* of them */
    ngx_uint_t                   running;
    ngx_uint_t                   ncalls;      /* ever */
    ngx_queue_t                  questions;   /* see refresh; oldest first */
    ngx_queue_t                  snapshots;   /* see snapshot */
    const wsb_forced_t          *adding;      /* while a subscribe is carried
                                                 out: added by its hooks */
    ngx_uint_t                   nadding;
    unsigned                     queued:1;
    wsb_str_t                    metadata;    /* malloc'd; data NULL: none */
    ngx_http_ws_bus_notices_t   *notices;     /* NULL: no hook is told */
    u_char                       id[sizeof("conn_") - 1 + 32];
    ngx_uint_t                   nforced;
    wsb_forced_t                 forced[];    /* conditions, and their texts */
};


extern const ngx_http_ws_bus_requests_t  ngx_http_ws_bus_asker_requests;

ngx_int_t ngx_http_ws_bus_asker_init_process(ngx_cycle_t *cycle);

ngx_int_t ngx_http_ws_bus_asker_admit(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc, const wsb_forced_t *forced, ngx_uint_t n);

/* The connection's metadata, copied to the pool; data NULL: none. */
wsb_str_t ngx_http_ws_bus_asker_meta(ngx_http_ws_bus_asker_t *asker,
    ngx_pool_t *pool);

/*
 * An ask that waits, to be put into the queue of its asker, which then gets its
 * turn.  NULL: no memory, or the client is closing; op is as it was.
 */
ngx_http_ws_bus_ask_t *ngx_http_ws_bus_asker_keep(
    ngx_http_ws_bus_asker_t *asker, wsb_op_t *op);
void ngx_http_ws_bus_asker_turn(ngx_http_ws_bus_asker_t *asker);

/* The call of an ask has its answer: the backend's, a hook's. */
void ngx_http_ws_bus_asker_done(ngx_http_ws_bus_call_t *call);
void ngx_http_ws_bus_asker_hooked(ngx_http_ws_bus_call_t *call);


/* question */

/* A client asks: it will hear again of what it reads. */
void ngx_http_ws_bus_question_asked(ngx_http_ws_bus_ask_t *ask);

/* A client has missed events, or answers: all that it reads is due. */
void ngx_http_ws_bus_question_missed(ngx_http_ws_bus_asker_t *asker,
    ngx_uint_t all);

void ngx_http_ws_bus_question_leave(ngx_http_ws_bus_asker_t *asker);


/* refresh */

/* An ask is done, with this result, or NULL: before its op is freed. */
void ngx_http_ws_bus_refresh_done(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);


/* hold */

/*
 * The client of an ask is sent no events until it is answered, so that its
 * answer is not older than an event that is sent before it; for a while.
 */
void ngx_http_ws_bus_hold(ngx_http_ws_bus_ask_t *ask);
void ngx_http_ws_bus_hold_end(ngx_http_ws_bus_ask_t *ask);


/* backend */

/*
 * Makes the call that an ask needs: ask->call.  NGX_DECLINED: there is none to
 * be made, the result says why.
 */
ngx_int_t ngx_http_ws_bus_backend_call(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);

/*
 * Is there another call to be made, now that one has its answer?  NGX_OK: it is
 * ask->call; NGX_DONE: there is none; NGX_DECLINED: there is none, the result
 * says why.
 */
ngx_int_t ngx_http_ws_bus_backend_next(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);

/* Does a row meet the conditions on the columns of rows?  As for meets(). */
ngx_int_t ngx_http_ws_bus_backend_judge(ngx_http_ws_bus_ask_t *ask,
    const wsb_json_t *row);


/* answer */

/* What has come of a call, in words that live as long as it does. */
void ngx_http_ws_bus_answer(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);

/* What a body says to people, copied to the pool; none: text is as it was. */
void ngx_http_ws_bus_answer_words(const wsb_json_t *body, ngx_pool_t *pool,
    wsb_str_t *text);

/* Sends it; the ask stays. */
void ngx_http_ws_bus_answer_send(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);

/* What has come of a call is counted, for its bus. */
void ngx_http_ws_bus_answer_count(ngx_http_ws_bus_ask_t *ask);

/* A mutation that has been made becomes an event, once. */
void ngx_http_ws_bus_answer_event(ngx_http_ws_bus_ask_t *ask);


/* command */

/*
 * Publishes what a client says to a topic.  NGX_DECLINED: it is none, or there
 * is no room; the result says so, in words that live as long as the ask.
 */
ngx_int_t ngx_http_ws_bus_command(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);


/* hook */

/*
 * What hooks have made of an operation: in a pool of its own, from the first
 * hook until the ask is freed.
 */

struct ngx_http_ws_bus_hooked_s {
    ngx_pool_t                  *pool;
    ngx_uint_t                   next;        /* of the location's hooks */
    ngx_http_ws_bus_hook_e       phase;       /* whose hooks run */
    ngx_http_ws_bus_hook_t      *hook;        /* which of them does */
    unsigned                     after:1;     /* the work is done */
    ngx_http_ws_bus_call_t      *work;        /* its call, which is held; NULL:
                                                 there was none */
    wsb_result_t                 result;      /* of it, in its pool or ours */
    ngx_uint_t                   nadded;
    wsb_forced_t                 added[WSB_RESTRICT_CONDITIONS];
};


/* Has the location some that run before this operation, or after it? */
ngx_uint_t ngx_http_ws_bus_hook_has(ngx_http_ws_bus_ask_t *ask,
    ngx_uint_t after);

/*
 * The next hook before an operation, or after it: NGX_OK: ask->call is its
 * call.  NGX_DONE: there is none.  NGX_DECLINED: the operation is refused, the
 * result says why.
 */
ngx_int_t ngx_http_ws_bus_hook_call(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);

/*
 * The work is done, with this result: the hooks after it come.  NGX_OK:
 * ask->call is the first one's, and the work is held.  NGX_DECLINED: there is
 * no memory, and the result says so.
 */
ngx_int_t ngx_http_ws_bus_hook_after(ngx_http_ws_bus_ask_t *ask,
    ngx_http_ws_bus_call_t *work, wsb_result_t *result);

/* What has come of ask->call: NGX_OK, or NGX_DECLINED as above. */
ngx_int_t ngx_http_ws_bus_hook_answer(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result);

/* All conditions of an ask, at most WSB_RESTRICT_CONDITIONS; how many. */
ngx_uint_t ngx_http_ws_bus_hook_forced(ngx_http_ws_bus_ask_t *ask,
    wsb_forced_t *forced);

void ngx_http_ws_bus_hook_free(ngx_http_ws_bus_ask_t *ask);

/*
 * What a hook's call has answered: NGX_OK, with its changes, or none, which
 * live as long as the call; NGX_DECLINED: it refuses, the text is in the pool
 * or static; NGX_ERROR: it has failed, *why is static text.
 */
ngx_int_t ngx_http_ws_bus_hook_read(ngx_http_ws_bus_call_t *call,
    wsb_hook_answer_t *answer, ngx_pool_t *pool, wsb_str_t *text,
    const char **why);

/* "before_read", ... */
extern const char *const  ngx_http_ws_bus_hook_names[];


/* hook_told */

/*
 * What the hook that runs is told of an operation, in words that live as long
 * as the ask, `id`, and the text, which is freed by the caller.
 */
void ngx_http_ws_bus_hook_told(ngx_http_ws_bus_ask_t *ask, wsb_hook_t *told,
    u_char id[NGX_HTTP_WS_BUS_HOOK_ID], wsb_text_t *text);

/*
 * Makes a call of a hook: its URI, body and headers.  NGX_ERROR: no memory, or
 * no such URI.
 */
ngx_int_t ngx_http_ws_bus_hook_told_fill(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_hook_t *hook, ngx_http_ws_bus_call_loc_conf_t *conf,
    ngx_http_ws_bus_caller_t *caller, wsb_hook_t *told);


/* Of a call of a hook all but its body; the same. */
ngx_int_t ngx_http_ws_bus_hook_told_request(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_hook_t *hook, ngx_http_ws_bus_call_loc_conf_t *conf,
    wsb_str_t id);


/* hook_conf */

char *ngx_http_ws_bus_hook_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_hook_conf_claims(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* connect */

ngx_int_t ngx_http_ws_bus_connect(ngx_http_request_t *r);

/* The metadata that hooks gave to a handshake; data NULL: none. */
wsb_str_t ngx_http_ws_bus_connect_metadata(ngx_http_request_t *r);


/* notice */

/* At the handshake: whom hooks will be told of.  NGX_OK, or a status. */
ngx_int_t ngx_http_ws_bus_notice_admit(ngx_http_request_t *r,
    ngx_http_ws_bus_asker_t *asker);

/* As those of ngx_http_ws_bus_requests_t. */
void ngx_http_ws_bus_notice_opened(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_notice_closed(ngx_http_ws_bus_client_t *wc);

/* Its metadata or its claims are others now. */
void ngx_http_ws_bus_notice_renew(ngx_http_ws_bus_asker_t *asker);


/* notice_conf */

void *ngx_http_ws_bus_notice_conf_create(ngx_conf_t *cf);
ngx_int_t ngx_http_ws_bus_notice_conf_merge(ngx_conf_t *cf,
    ngx_http_ws_bus_call_loc_conf_t *conf);
ngx_int_t ngx_http_ws_bus_notice_conf_init(ngx_conf_t *cf);


/* teller */

ngx_int_t ngx_http_ws_bus_teller_init_process(ngx_cycle_t *cycle);


/* value */

ngx_int_t ngx_http_ws_bus_value_add(ngx_conf_t *cf);


extern ngx_uint_t  ngx_http_ws_bus_call_counters_at;


static ngx_inline ngx_http_ws_bus_call_counters_t *
ngx_http_ws_bus_call_counters(ngx_http_ws_bus_worker_t *w)
{
    return (ngx_http_ws_bus_call_counters_t *)
               (w->counters + ngx_http_ws_bus_call_counters_at);
}


extern ngx_module_t  ngx_http_ws_bus_call_module;


#endif /* NGX_HTTP_WS_BUS_CALL_H */
