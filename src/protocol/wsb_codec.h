/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A codec: one of the protocols, chosen by location, never guessed.
 *
 * It turns a client's message into an operation of the engine, and renders
 * events, answers and errors.  The engine knows no protocol's words.
 */

#ifndef WSB_CODEC_H
#define WSB_CODEC_H


#include "../event/wsb_event.h"
#include "../match/wsb_filter.h"
#include "../event/wsb_id.h"
#include "../event/wsb_ignored.h"
#include "../json/wsb_text.h"
#include "../log/wsb_position.h"


#define WSB_PREFIX_MAX            80      /* bytes before an event's body */
#define WSB_MESSAGE_DEPTH         32      /* containers in a client's message */
#define WSB_CLIENT_ID_MAX         256     /* bytes of a correlation id */
#define WSB_TENANT_MAX            256     /* no event has a longer one */


typedef enum {
    WSB_OP_NOTHING = 0,             /* to be ignored; code says why */
    WSB_OP_SUBSCRIBE,
    WSB_OP_UNSUBSCRIBE,
    WSB_OP_ASK_PONG,                /* a ping in the protocol's own words */
    WSB_OP_AUTH,                    /* a new token for this connection */
    WSB_OP_REQUEST,                 /* of records, to the backend */
    WSB_OP_SNAPSHOT,                /* again, of a subscription that has one */
    WSB_OP_REFUSE                   /* answer with code and text */
} wsb_op_type_t;


/* What shows that a client is alive. */

typedef enum {
    WSB_LIFE_ANY = 0,               /* a byte from it; it reads what waits */
    WSB_LIFE_CONTROL,               /* Ping and Pong frames, nothing else */
    WSB_LIFE_PONG                   /* Pong frames alone */
} wsb_life_t;


/*
 * Who sends the messages, as far as a protocol may want to know.  Lives as
 * long as its client.  NULL where neither the protocol nor the location has a
 * use for one; a string of it is empty where the location does not say it.
 */

#define WSB_CLIENT_LEN            16

typedef struct {
    const uint8_t        *client;         /* random bytes of its own */
    wsb_str_t             connection_id;  /* "conn_" and 32 hex digits */
    wsb_str_t             tenant;
    wsb_str_t             uri;            /* of the handshake, decoded */
    wsb_str_t             entity;
    wsb_str_t             section;
    wsb_str_t             schema;         /* of who names none */
    wsb_str_t             user;           /* of its token; len 0: none */
    wsb_str_t             session;        /* the same */
    wsb_str_t             roles;          /* the same: a JSON array */
    const wsb_str_t      *actions;        /* that it hears of by itself */
    unsigned              nactions;
} wsb_context_t;


/* What may be wrong with a handshake, in the order of the looks. */

typedef enum {
    WSB_REFUSED_NO_ENTITY = 0,
    WSB_REFUSED_ENTITY,             /* nobody knows it */
    WSB_REFUSED_NO_SECTION,
    WSB_REFUSED_NO_TOKEN,
    WSB_REFUSED_TOKEN,
    WSB_REFUSED_RIGHT,
    WSB_REFUSED_NOT_FOUND,          /* these three: a hook says so */
    WSB_REFUSED_TIMEOUT,
    WSB_REFUSED_FAILED
} wsb_refused_t;


/* What a request wants to be done. */

typedef enum {
    WSB_READ = 0,
    WSB_CREATE,
    WSB_UPDATE,
    WSB_DELETE,
    WSB_META
} wsb_operation_t;


/* data and options are JSON as it was sent; a data NULL: it is not there. */

typedef struct {
    wsb_operation_t       operation;
    wsb_str_t             entity;
    wsb_str_t             schema;         /* data NULL: that of the location */
    wsb_str_t             record_id;      /* decoded; data NULL: none */
    wsb_str_t             data;
    wsb_str_t             options;
    wsb_str_t             args;           /* a query as the backend gets it, in
                                             the place of options */
    unsigned              untold;         /* what comes of it is published by
                                             the backend: no event is made */
    wsb_str_t             where;          /* conditions besides those of the
                                             options, of a snapshot */
    wsb_str_t             topic;          /* not NULL: data is an action, which
                                             goes to its subscribers alone */
} wsb_op_request_t;


/*
 * What has come of a request.  code, static, is NULL for a success; else it
 * is one of these, which are the same in all protocols:
 *
 *   read_error create_error update_error delete_error
 *                      the backend has failed, or has no such record
 *   model_not_found    no backend has this entity
 *   unauthorized       the backend says 401 or 403
 *   validation_error   the backend says 400, 409, 412 or 422
 *   invalid_message    options or record_id cannot be asked for
 *   too_large          the request, or the answer
 *   too_many_requests  here or there; retry_after
 *   timeout            no answer in time: a mutation may have been made
 */

#define WSB_RESULT_NONE           UINT64_MAX

typedef struct {
    const char           *code;
    wsb_str_t             text;           /* of a failure */
    unsigned              status;         /* of the backend; 0: none */
    wsb_str_t             data;           /* JSON; data NULL: none */
    wsb_str_t             details;        /* JSON, of a failure; or NULL */
    uint64_t              total;          /* rows, or WSB_RESULT_NONE */
    uint64_t              count;          /* rows in data, or NONE */
    uint64_t              retry_after;    /* seconds, or NONE */
    uint64_t              time;           /* now, ms since 1970 */
    unsigned              refresh;        /* nobody has asked for it now */
} wsb_result_t;


/*
 * All strings are owned by the operation and live until wsb_op_done().
 */

typedef struct {
    wsb_op_type_t         type;

    wsb_filter_t          filter;         /* SUBSCRIBE; with each UNSUBSCRIBE */
    unsigned              each;           /* a subscription for each entity_type
                                             of the filter that has none yet;
                                             or all of these are ended */
    uint64_t              topics;         /* not 0: instead of the filter,
                                             these of its first subscription,
                                             as bits, are heard or are not */
    wsb_ignored_t        *ignored;        /* NULL: all was understood */
    wsb_since_t           since;
    uint64_t              since_epoch;
    uint64_t              since_seq;
    wsb_str_t             since_text;     /* as sent, with SINCE_ID */

    unsigned              snapshot;       /* SUBSCRIBE: what there is comes
                                             first; request says how to read
                                             it */

    uint32_t              ordinal;        /* UNSUBSCRIBE, SNAPSHOT; 0: not of
                                             ours */
    wsb_str_t             subscription;   /* the same, as sent */

    wsb_str_t             token;          /* AUTH */

    wsb_op_request_t      request;        /* REQUEST, SNAPSHOT; of SUBSCRIBE
                                             entity and schema, as they are
                                             answered */

    wsb_str_t             id;             /* the client's, NULL: none */

    const char           *code;           /* REFUSE, NOTHING; static */
    wsb_text_t            text;

    void                 *memory;         /* of the codec */
} wsb_op_t;


/*
 * Where a function of rendering is NULL, the protocol says nothing there; a
 * message that ends in an error is then ignored; so it does where the text that
 * is rendered is empty.  decode, filter and body are never NULL.
 */

typedef struct {
    const char           *name;

    /*
     * Milliseconds, where no directive sets them.  With WSB_LIFE_CONTROL each
     * client is pinged at each interval, and the timeout is how long it may
     * be silent when that is due; with WSB_LIFE_PONG likewise, but it is
     * gone when the timeout is over.  Else only who is silent for the
     * interval is pinged, and the timeout is how long the answer may take.
     */
    uint32_t              ping_interval;
    uint32_t              pong_timeout;
    wsb_life_t            life;

    /*
     * A connection has one subscription by itself, to all of its tenant that
     * is of this kind; data NULL: of any.
     */
    int                   implicit;
    wsb_str_t             kind;

    /*
     * If not NULL, it makes the filter of that subscription, in op, which is
     * zeroed.  WSB_NOMEM.
     */
    wsb_rc_t            (*base)(const wsb_context_t *context, wsb_op_t *op);

    /* The bits of op->topics that this action of its entity has. */
    uint64_t            (*topic_bits)(const wsb_context_t *context,
                                      wsb_str_t action);

    /*
     * What a client has read is read again when it changes, and sent as a
     * response to the same operation, with refresh set in its result, unless
     * the client does not hear this bit of op->topics.
     */
    uint64_t            (*refresh)(const wsb_op_t *op);

    /*
     * Handshakes are judged before nginx's access modules: the status and the
     * body, JSON, of a refusal.  entity: the name, as far as it is known.
     */
    unsigned            (*refuse)(wsb_text_t *t, wsb_refused_t why,
                                  wsb_str_t entity);

    /* The backend is asked with the client's token, wherever that was found. */
    int                   bearer;

    /* A publish location of this protocol takes its events as well. */
    int                   targeted;

    /* A publish location of this protocol takes bare actions as well. */
    int                   bare;

    /* The topic of such actions; data NULL: they have none. */
    wsb_str_t             topic;

    /* Requests of a connection run one at a time, in their order. */
    int                   ordered;

    /* Code for a request where there is no backend; NULL: "unsupported". */
    const char           *no_backend;

    /*
     * Subscriptions of different clients have different names, made of the
     * client's random bytes and the ordinal: no frame serves two of them.
     */
    int                   own_names;

    /* decode() has use for a context. */
    int                   context;

    /*
     * A protocol in which the client names its tenant: takes it out of the
     * query string, decoded to dst, which has room for args.len bytes.
     * tenant->data NULL: it is not there, or not as it must be.  Asked where
     * no directive sets the tenant.
     */
    void                (*tenant)(wsb_str_t args, uint8_t *dst,
                                  wsb_str_t *tenant);

    /*
     * Why a connection cannot have this tenant, wherever it is from: static
     * text, the body of the 400.  NULL: it can.
     */
    const char         *(*refuse_tenant)(wsb_str_t tenant);

    /*
     * Decodes one text message of this client.  op is zeroed before.
     * WSB_NOMEM: the client is ended; everything else, errors of the client
     * too, is an operation.
     */
    wsb_rc_t            (*decode)(const wsb_context_t *context,
                                  wsb_str_t message, wsb_op_t *op);

    /* The filter in the protocol's words, for people: one JSON object. */
    void                (*filter)(wsb_text_t *t, const wsb_filter_t *filter);

    /* What comes first on a connection. */
    void                (*welcome)(wsb_text_t *t, const wsb_context_t *context,
                                   wsb_str_t connection_id);

    /*
     * client: the WSB_CLIENT_LEN random bytes of whom it is for, here and
     * below.  recovered: 0, 1, or -1: not asked for.
     */
    void                (*subscribed)(wsb_text_t *t, const wsb_op_t *op,
                                      const uint8_t *client,
                                      uint32_t ordinal, wsb_str_t last_id,
                                      int recovered);
    void                (*unsubscribed)(wsb_text_t *t, const wsb_op_t *op);
    /* last_id.data NULL: left out */
    void                (*pong)(wsb_text_t *t, const wsb_op_t *op,
                                wsb_str_t last_id);
    void                (*position)(wsb_text_t *t, wsb_str_t last_id);

    /* in seconds since 1970; WSB_NEVER: it does not expire */
    void                (*renewed)(wsb_text_t *t, const wsb_op_t *op,
                                   uint64_t expires);

    /*
     * NULL: the protocol has no word for a gap, the connection is closed.
     * reason is "history", "slow" or "unknown"; aware: the client has sent
     * since; tenant is that of the connection, data NULL: none.
     */
    void                (*gap)(wsb_text_t *t, const wsb_context_t *context,
                               wsb_str_t tenant, const uint8_t *client,
                               uint32_t ordinal, int aware, wsb_str_t from,
                               wsb_str_t to, const char *reason);

    /* id.data NULL: none */
    void                (*error)(wsb_text_t *t, const wsb_context_t *context,
                                 wsb_str_t id, const char *code,
                                 wsb_str_t text);

    /*
     * The one answer to a REQUEST.  Not NULL where decode() makes any.  Data
     * and details are added as they are.
     */
    void                (*response)(wsb_text_t *t, const wsb_op_t *op,
                                    const wsb_result_t *result);

    /*
     * What a subscription selects, up to and including last_id; or, with a
     * code, why it cannot be told.  op is the SNAPSHOT.  NULL: there are no
     * snapshots.
     */
    void                (*snapshot)(wsb_text_t *t, const wsb_op_t *op,
                                    const uint8_t *client, uint32_t ordinal,
                                    wsb_str_t last_id,
                                    const wsb_result_t *result);

    /*
     * An event's message is a prefix, which names the subscription and how
     * the event changes what it selects, and a body, which is the same for
     * all.  The prefix is written at dst, at most WSB_PREFIX_MAX bytes; its
     * length is returned.  NULL: there is no prefix.
     */
    size_t              (*prefix)(uint8_t *dst, const uint8_t *client,
                                  uint32_t ordinal, wsb_change_t change);
    void                (*body)(wsb_text_t *t, const wsb_event_t *ev,
                                wsb_str_t event_id);

    /*
     * The body for a subscription that the event leaves, where that is
     * another one.  ev is without its row.  NULL: body serves.
     */
    void                (*left)(wsb_text_t *t, const wsb_event_t *ev,
                                wsb_str_t event_id);
} wsb_codec_t;


extern const wsb_codec_t  wsb_codec_bus;
extern const wsb_codec_t  wsb_codec_tenant;
extern const wsb_codec_t  wsb_codec_resource;
extern const wsb_codec_t  wsb_codec_action;
extern const wsb_codec_t  wsb_codec_topics;   /* "action" with topics */
extern const wsb_codec_t  wsb_codec_section;


/* "read", "create", ... */
extern const char *const  wsb_operation_names[];

/* The code of an operation that has failed: "read_error", ... */
const char *wsb_operation_error(wsb_operation_t operation);

/* A result of which nothing is known yet. */
void wsb_result_init(wsb_result_t *result);

/* Makes the operation a refusal with this code and text. */
void wsb_op_refuse(wsb_op_t *op, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, when the engine does not know what UNSUBSCRIBE names. */
void wsb_op_not_found(wsb_op_t *op);

/* Frees what decode() made. */
void wsb_op_done(wsb_op_t *op);


#endif /* WSB_CODEC_H */
