/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Snapshots: what there is of a subscription is read from the backend, as a
 * request of its client would read it, and the events that come after it go
 * on behind it.
 *
 * The position comes before the question: so the answer holds all that is in
 * the log up to there.  Should the events behind it be evicted meanwhile, the
 * question is asked again.
 */

#include "ngx_http_ws_bus_snapshot.h"


#define NGX_HTTP_WS_BUS_SNAPSHOT_TRIES   3
#define NGX_HTTP_WS_BUS_SNAPSHOT_JITTER  1000    /* ms */
#define NGX_HTTP_WS_BUS_SNAPSHOT_FAILED  5       /* then it is 32 times that */


/*
 * What is asked for, as one malloc'd block that an operation frees as its
 * memory.
 */

typedef struct {
    wsb_op_request_t             request;
    wsb_str_t                    id;          /* of the subscribe */
    ngx_uint_t                   nadded;
    wsb_forced_t                 added[];     /* by hooks; then the bytes */
} ngx_http_ws_bus_snapshot_what_t;


/* Of a subscription, until it ends or its client closes. */

typedef struct {
    ngx_queue_t                  queue;       /* of the asker's */
    ngx_http_ws_bus_asker_t     *asker;
    uint32_t                     ordinal;
    ngx_uint_t                   tries;
    ngx_uint_t                   failed;      /* in a row */
    uint64_t                     position;    /* of the call under way */
    ngx_event_t                  event;       /* until it is asked anew */
    unsigned                     asked:1;     /* an ask waits, or runs */
    unsigned                     lacks:1;     /* what the client has is wrong
                                                 until another one comes */
    ngx_http_ws_bus_snapshot_what_t  *what;
} ngx_http_ws_bus_snapshot_t;


static ngx_http_ws_bus_snapshot_what_t *ngx_http_ws_bus_snapshot_what(
    const wsb_op_request_t *req, wsb_str_t id, const wsb_forced_t *added,
    ngx_uint_t nadded);
static u_char *ngx_http_ws_bus_snapshot_copy(u_char *p, wsb_str_t *s);
static ngx_http_ws_bus_snapshot_t *ngx_http_ws_bus_snapshot_find(
    ngx_http_ws_bus_asker_t *asker, uint32_t ordinal);
static ngx_int_t ngx_http_ws_bus_snapshot_ask(
    ngx_http_ws_bus_snapshot_t *snap);
static void ngx_http_ws_bus_snapshot_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_snapshot_free(ngx_http_ws_bus_snapshot_t *snap);


ngx_int_t
ngx_http_ws_bus_snapshot_live(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    const wsb_op_t *op)
{
    ngx_http_ws_bus_asker_t     *asker;
    ngx_http_ws_bus_snapshot_t  *snap;

    asker = wc->asker;

    snap = ngx_calloc(sizeof(ngx_http_ws_bus_snapshot_t),
                      wc->connection->log);
    if (snap == NULL) {
        return NGX_ERROR;
    }

    snap->what = ngx_http_ws_bus_snapshot_what(&op->request, op->id,
                                               asker->adding, asker->nadding);
    if (snap->what == NULL) {
        ngx_free(snap);
        return NGX_ERROR;
    }

    snap->asker = asker;
    snap->ordinal = sub->ordinal;

    snap->event.handler = ngx_http_ws_bus_snapshot_handler;
    snap->event.data = snap;
    snap->event.log = ngx_cycle->log;
    snap->event.cancelable = 1;

    ngx_queue_insert_tail(&asker->snapshots, &snap->queue);

    return sub->from & WSB_POSITION_WAITS ? ngx_http_ws_bus_snapshot_ask(snap)
                                          : NGX_OK;
}


static ngx_http_ws_bus_snapshot_what_t *
ngx_http_ws_bus_snapshot_what(const wsb_op_request_t *req, wsb_str_t id,
    const wsb_forced_t *added, ngx_uint_t nadded)
{
    size_t                            size;
    u_char                           *p;
    ngx_uint_t                        i;
    ngx_http_ws_bus_snapshot_what_t  *what;

    size = sizeof(ngx_http_ws_bus_snapshot_what_t)
           + nadded * sizeof(wsb_forced_t)
           + req->entity.len + req->schema.len + req->record_id.len
           + req->options.len + req->where.len + id.len;

    for (i = 0; i < nadded; i++) {
        size += added[i].field.len + added[i].op.len + added[i].value.len;
    }

    what = wsb_malloc(size);
    if (what == NULL) {
        return NULL;
    }

    ngx_memzero(what, sizeof(ngx_http_ws_bus_snapshot_what_t));

    what->request.operation = WSB_READ;
    what->request.entity = req->entity;
    what->request.schema = req->schema;
    what->request.record_id = req->record_id;
    what->request.options = req->options;
    what->request.where = req->where;
    what->id = id;
    what->nadded = nadded;

    p = (u_char *) &what->added[nadded];

    p = ngx_http_ws_bus_snapshot_copy(p, &what->request.entity);
    p = ngx_http_ws_bus_snapshot_copy(p, &what->request.schema);
    p = ngx_http_ws_bus_snapshot_copy(p, &what->request.record_id);
    p = ngx_http_ws_bus_snapshot_copy(p, &what->request.options);
    p = ngx_http_ws_bus_snapshot_copy(p, &what->request.where);
    p = ngx_http_ws_bus_snapshot_copy(p, &what->id);

    for (i = 0; i < nadded; i++) {
        what->added[i] = added[i];

        p = ngx_http_ws_bus_snapshot_copy(p, &what->added[i].field);
        p = ngx_http_ws_bus_snapshot_copy(p, &what->added[i].op);
        p = ngx_http_ws_bus_snapshot_copy(p, &what->added[i].value);
    }

    return what;
}


/* data NULL stays so. */

static u_char *
ngx_http_ws_bus_snapshot_copy(u_char *p, wsb_str_t *s)
{
    if (s->data != NULL) {
        ngx_memcpy(p, s->data, s->len);
        s->data = p;
        p += s->len;
    }

    return p;
}


static ngx_http_ws_bus_snapshot_t *
ngx_http_ws_bus_snapshot_find(ngx_http_ws_bus_asker_t *asker,
    uint32_t ordinal)
{
    ngx_queue_t                 *q;
    ngx_http_ws_bus_snapshot_t  *snap;

    for (q = ngx_queue_head(&asker->snapshots);
         q != ngx_queue_sentinel(&asker->snapshots);
         q = ngx_queue_next(q))
    {
        snap = ngx_queue_data(q, ngx_http_ws_bus_snapshot_t, queue);

        if (snap->ordinal == ordinal) {
            return snap;
        }
    }

    return NULL;
}


/* One that is asked for waits its turn, as a request of the client does. */

static ngx_int_t
ngx_http_ws_bus_snapshot_ask(ngx_http_ws_bus_snapshot_t *snap)
{
    wsb_op_t                          op;
    ngx_http_ws_bus_ask_t            *ask;
    ngx_http_ws_bus_asker_t          *asker;
    ngx_http_ws_bus_snapshot_what_t  *what;

    asker = snap->asker;

    if (asker->client->closing || asker->client->closed) {
        return NGX_OK;
    }

    what = ngx_http_ws_bus_snapshot_what(&snap->what->request, snap->what->id,
                                         snap->what->added,
                                         snap->what->nadded);
    if (what == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&op, sizeof(wsb_op_t));

    op.type = WSB_OP_SNAPSHOT;
    op.ordinal = snap->ordinal;
    op.request = what->request;
    op.id = what->id;
    op.memory = what;

    ask = ngx_http_ws_bus_asker_keep(asker, &op);

    if (ask == NULL) {
        wsb_op_done(&op);
        return NGX_ERROR;
    }

    ask->added = what->added;
    ask->nadded = what->nadded;

    snap->asked = 1;

    ngx_queue_insert_tail(&asker->waiting, &ask->queue);
    ngx_http_ws_bus_asker_turn(asker);

    return NGX_OK;
}


/* A herd does not come at once, and later each time that it has failed. */

void
ngx_http_ws_bus_snapshot_stale(ngx_http_ws_bus_client_t *wc, uint32_t ordinal)
{
    ngx_http_ws_bus_snapshot_t  *snap;

    snap = ngx_http_ws_bus_snapshot_find(wc->asker, ordinal);

    if (snap == NULL) {
        return;
    }

    snap->lacks = 1;

    if (!snap->asked && !snap->event.timer_set) {
        ngx_add_timer(&snap->event,
                      ngx_random() % (NGX_HTTP_WS_BUS_SNAPSHOT_JITTER
                                      << snap->failed));
    }
}


static void
ngx_http_ws_bus_snapshot_handler(ngx_event_t *ev)
{
    ngx_http_ws_bus_client_t    *wc;
    ngx_http_ws_bus_snapshot_t  *snap = ev->data;

    ngx_http_ws_bus_turn();

    wc = snap->asker->client;

    if (ngx_http_ws_bus_snapshot_ask(snap) != NGX_OK) {
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_INTERNAL,
                                   "no memory");
    }
}


/* One that is on its way is the answer. */

void
ngx_http_ws_bus_snapshot_again(ngx_http_ws_bus_client_t *wc, uint32_t ordinal)
{
    ngx_http_ws_bus_snapshot_t  *snap;

    snap = ngx_http_ws_bus_snapshot_find(wc->asker, ordinal);

    if (snap == NULL || snap->asked) {
        return;
    }

    if (snap->event.timer_set) {
        ngx_del_timer(&snap->event);
    }

    if (ngx_http_ws_bus_snapshot_ask(snap) != NGX_OK) {
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_INTERNAL,
                                   "no memory");
    }
}


void
ngx_http_ws_bus_snapshot_dead(ngx_http_ws_bus_client_t *wc, uint32_t ordinal)
{
    ngx_http_ws_bus_snapshot_t  *snap;

    snap = ngx_http_ws_bus_snapshot_find(wc->asker, ordinal);

    if (snap != NULL) {
        ngx_http_ws_bus_snapshot_free(snap);
    }
}


void
ngx_http_ws_bus_snapshot_leave(ngx_http_ws_bus_asker_t *asker)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&asker->snapshots)) {
        q = ngx_queue_head(&asker->snapshots);

        ngx_http_ws_bus_snapshot_free(ngx_queue_data(q,
                                         ngx_http_ws_bus_snapshot_t, queue));
    }
}


static void
ngx_http_ws_bus_snapshot_free(ngx_http_ws_bus_snapshot_t *snap)
{
    if (snap->event.timer_set) {
        ngx_del_timer(&snap->event);
    }

    ngx_queue_remove(&snap->queue);

    wsb_free(snap->what);
    ngx_free(snap);
}


ngx_int_t
ngx_http_ws_bus_snapshot_call(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result)
{
    wsb_sub_t                   *sub;
    uint32_t                     ordinal;
    ngx_http_ws_bus_client_t    *wc;
    ngx_http_ws_bus_snapshot_t  *snap;

    wc = ask->asker->client;
    ordinal = ask->kept->op.ordinal;

    sub = ngx_http_ws_bus_subscribe_find(wc, ordinal);
    snap = ngx_http_ws_bus_snapshot_find(ask->asker, ordinal);

    if (sub == NULL || snap == NULL) {
        /* it has been ended meanwhile */
        return NGX_DONE;
    }

    snap->position = ngx_http_ws_bus_live_hold(wc, sub);

    return ngx_http_ws_bus_backend_call(ask, result);
}


void
ngx_http_ws_bus_snapshot_send(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result)
{
    u_char                       id[WSB_ID_LEN];
    uint32_t                     ordinal;
    uint64_t                     from;
    wsb_str_t                    last;
    wsb_sub_t                   *sub;
    wsb_text_t                   text;
    wsb_zone_t                  *zone;
    ngx_http_ws_bus_client_t    *wc;
    ngx_http_ws_bus_snapshot_t  *snap;

    static const wsb_str_t  null = wsb_string("null");

    wc = ask->kept->client;
    ordinal = ask->kept->op.ordinal;

    sub = ngx_http_ws_bus_subscribe_find(wc, ordinal);
    snap = sub ? ngx_http_ws_bus_snapshot_find(wc->asker, ordinal) : NULL;

    if (snap == NULL) {
        return;
    }

    snap->asked = 0;
    from = 0;
    zone = ask->bus->zone;

    if (result->code != NULL && ask->kept->op.request.record_id.data != NULL
        && (result->status == NGX_HTTP_NOT_FOUND || result->status == 410))
    {
        /* that there is none is what there is */

        wsb_result_init(result);

        result->status = NGX_HTTP_NOT_FOUND;
        result->data = null;
    }

    if (result->code == NULL) {
        from = snap->position + 1;

        if (from < wsb_log_oldest(&zone->log)) {

            if (++snap->tries < NGX_HTTP_WS_BUS_SNAPSHOT_TRIES
                && ngx_http_ws_bus_snapshot_ask(snap) == NGX_OK)
            {
                return;
            }

            from = 0;
            ngx_http_ws_bus_snapshot_fail(result, "gap",
                    "events were evicted while the backend was asked");
        }
    }

    snap->tries = 0;
    snap->failed = result->code == NULL
                       ? 0 : ngx_min(snap->failed + 1,
                                     NGX_HTTP_WS_BUS_SNAPSHOT_FAILED);

    last.data = id;
    last.len = from ? wsb_id(id, zone->epoch, from - 1) : 0;

    ngx_memzero(&text, sizeof(wsb_text_t));

    wc->conf->codec->snapshot(&text, &ask->kept->op, wc->id, ordinal, last,
                              result);

    snap->what->id.data = NULL;
    snap->what->id.len = 0;

    if (ngx_http_ws_bus_op_answer(ask->kept, &text) != NGX_OK) {
        return;
    }

    if (from == 0 && snap->lacks) {
        /* it waits on */
        ngx_http_ws_bus_snapshot_stale(wc, ordinal);
        return;
    }

    snap->lacks = 0;

    ngx_http_ws_bus_live_go(wc, sub, from);
}


ngx_int_t
ngx_http_ws_bus_snapshot_version(ngx_http_ws_bus_ask_t *ask,
    ngx_http_ws_bus_call_t *call, ngx_str_t *version)
{
    uint64_t                 seq;
    wsb_str_t                tenant;
    wsb_zone_t              *zone;
    wsb_version_key_t        key;
    const wsb_op_request_t  *req;

    zone = ask->bus->zone;
    req = &ask->kept->op.request;

    version->data = ngx_pnalloc(call->pool, WSB_ID_LEN);
    if (version->data == NULL) {
        return NGX_ERROR;
    }

    tenant.data = ask->asker->client->tenant.data;
    tenant.len = ask->asker->client->tenant.len;

    seq = wsb_log_head(&zone->log);
    key = wsb_version_key(zone->key, tenant, req->entity, req->record_id);
    seq = wsb_version(&zone->versions, &zone->last, &key, seq);

    version->len = wsb_id(version->data, zone->epoch, seq);

    return NGX_OK;
}


void
ngx_http_ws_bus_snapshot_fail(wsb_result_t *result, const char *code,
    const char *text)
{
    wsb_result_init(result);

    result->code = code;
    result->text.data = (const uint8_t *) text;
    result->text.len = ngx_strlen(text);
}
