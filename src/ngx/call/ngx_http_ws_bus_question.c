/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Questions: what clients have read, with everything that the answer may
 * depend on.  Clients of this process that have asked the same share one, and
 * it is due again when an event concerns it.
 */

#include "ngx_http_ws_bus_question.h"
#include "ngx_http_ws_bus_snapshot.h"


#define NGX_HTTP_WS_BUS_QUESTION_BUCKETS  1024  /* a power of two */
#define NGX_HTTP_WS_BUS_QUESTION_DOMAIN   84    /* of wsb_hash(): see
                                                   wsb_memo.h */


static ngx_http_ws_bus_question_t *ngx_http_ws_bus_question_find(
    ngx_http_ws_bus_asker_t *asker, const wsb_op_t *op);
static void ngx_http_ws_bus_question_about(ngx_http_ws_bus_asker_t *asker,
    const wsb_op_t *op, wsb_text_t *text);
static ngx_http_ws_bus_question_t *ngx_http_ws_bus_question_create(
    ngx_http_ws_bus_asker_t *asker, const wsb_op_t *op, wsb_key_t *key,
    ngx_queue_t *bucket);
static u_char *ngx_http_ws_bus_question_copy(u_char *p, wsb_str_t *dst,
    const wsb_str_t *src);
static ngx_queue_t *ngx_http_ws_bus_question_bucket(const wsb_str_t *tenant,
    const wsb_str_t *entity, const wsb_str_t *section);
static ngx_int_t ngx_http_ws_bus_question_join(ngx_http_ws_bus_asker_t *asker,
    ngx_http_ws_bus_question_t *q);
static void ngx_http_ws_bus_question_concern(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec);
static void ngx_http_ws_bus_question_bucket_due(ngx_queue_t *bucket,
    ngx_http_ws_bus_fan_t *fan, ngx_http_ws_bus_record_t *rec);
static ngx_uint_t ngx_http_ws_bus_question_same(const wsb_str_t *a,
    const wsb_str_t *b);


static ngx_queue_t  ngx_http_ws_bus_question_buckets
                        [NGX_HTTP_WS_BUS_QUESTION_BUCKETS];
static ngx_uint_t   ngx_http_ws_bus_question_questions;


void
ngx_http_ws_bus_question_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_WS_BUS_QUESTION_BUCKETS; i++) {
        ngx_queue_init(&ngx_http_ws_bus_question_buckets[i]);
    }
}


/* Without memory, or with too many questions, it is not heard of again. */

void
ngx_http_ws_bus_question_asked(ngx_http_ws_bus_ask_t *ask)
{
    wsb_op_t                    *op;
    ngx_http_ws_bus_client_t    *wc;
    ngx_http_ws_bus_question_t  *q;

    op = &ask->kept->op;
    wc = ask->asker->client;

    if (wc->conf->codec->refresh == NULL || op->type != WSB_OP_REQUEST
        || op->request.operation != WSB_READ)
    {
        return;
    }

    q = ngx_http_ws_bus_question_find(ask->asker, op);

    if (q == NULL) {
        ngx_http_ws_bus_call_counters(ask->bus->worker)->questions_refused++;
        return;
    }

    /* held by the ask, whatever becomes of its client's link */

    q->refs++;

    if (ngx_http_ws_bus_question_join(ask->asker, q) != NGX_OK) {
        ngx_http_ws_bus_question_release(q);
        return;
    }

    wc->fan->concern = ngx_http_ws_bus_question_concern;
    ask->question = q;
}


static ngx_http_ws_bus_question_t *
ngx_http_ws_bus_question_find(ngx_http_ws_bus_asker_t *asker,
    const wsb_op_t *op)
{
    wsb_key_t                    key;
    wsb_text_t                   text;
    ngx_queue_t                 *b, *l;
    const wsb_context_t         *context;
    ngx_http_ws_bus_question_t  *q;

    context = asker->client->context;

    ngx_memzero(&text, sizeof(wsb_text_t));

    ngx_http_ws_bus_question_about(asker, op, &text);

    if (text.failed) {
        wsb_text_done(&text);
        return NULL;
    }

    key = wsb_hash(asker->client->fan->worker->zone->key,
                   NGX_HTTP_WS_BUS_QUESTION_DOMAIN, text.data, text.len);

    wsb_text_done(&text);

    b = ngx_http_ws_bus_question_bucket(&context->tenant, &op->request.entity,
                                       &context->section);

    for (l = ngx_queue_head(b); l != ngx_queue_sentinel(b);
         l = ngx_queue_next(l))
    {
        q = ngx_queue_data(l, ngx_http_ws_bus_question_t, queue);

        if (q->key.h[0] == key.h[0] && q->key.h[1] == key.h[1]) {
            return q;
        }
    }

    return ngx_http_ws_bus_question_create(asker, op, &key, b);
}


/*
 * All that the answer may depend on: whose it is, and the question itself.
 * What hooks know of a connection is that one's alone.
 */

static void
ngx_http_ws_bus_question_about(ngx_http_ws_bus_asker_t *asker,
    const wsb_op_t *op, wsb_text_t *text)
{
    const wsb_context_t  *context;

    context = asker->client->context;

    ngx_http_ws_bus_audience_add(text, &asker->conf, sizeof(void *));
    ngx_http_ws_bus_audience_add(text, &asker->client->fan, sizeof(void *));
    ngx_http_ws_bus_audience_add(text, context->tenant.data,
                                 context->tenant.len);
    ngx_http_ws_bus_audience_add(text, context->section.data,
                                 context->section.len);
    ngx_http_ws_bus_audience_add(text, op->request.entity.data,
                                 op->request.entity.len);
    ngx_http_ws_bus_audience_add(text, op->request.record_id.data,
                                 op->request.record_id.len);
    ngx_http_ws_bus_audience_add(text, op->request.args.data,
                                 op->request.args.len);

    if (asker->conf->hooks != NULL) {
        ngx_http_ws_bus_audience_add(text, asker->id, sizeof(asker->id));
    }

    ngx_http_ws_bus_audience_forced(text, asker->forced, asker->nforced);
    ngx_http_ws_bus_audience_shown(text, asker);
}


static ngx_http_ws_bus_question_t *
ngx_http_ws_bus_question_create(ngx_http_ws_bus_asker_t *asker,
    const wsb_op_t *op, wsb_key_t *key, ngx_queue_t *bucket)
{
    u_char                      *p;
    const wsb_context_t         *context;
    ngx_http_ws_bus_question_t  *q;

    context = asker->client->context;

    if (ngx_http_ws_bus_question_questions
        >= NGX_HTTP_WS_BUS_QUESTIONS_WORKER)
    {
        return NULL;
    }

    q = ngx_calloc(sizeof(ngx_http_ws_bus_question_t) + context->tenant.len
                   + op->request.entity.len + context->section.len,
                   ngx_cycle->log);
    if (q == NULL) {
        return NULL;
    }

    p = ngx_http_ws_bus_question_copy(q->bytes, &q->tenant, &context->tenant);
    p = ngx_http_ws_bus_question_copy(p, &q->entity, &op->request.entity);
    (void) ngx_http_ws_bus_question_copy(p, &q->section, &context->section);

    q->key = *key;
    q->bus = asker->client->fan->worker->bus;
    q->topic = asker->client->conf->codec->refresh(op);
    q->began = ngx_current_msec;

    q->event.handler = ngx_http_ws_bus_refresh_handler;
    q->event.log = ngx_cycle->log;
    q->event.data = q;
    q->event.cancelable = 1;

    ngx_queue_init(&q->links);
    ngx_queue_insert_tail(bucket, &q->queue);

    ngx_http_ws_bus_question_questions++;
    ngx_http_ws_bus_call_counters(q->bus->worker)->questions++;

    return q;
}


static u_char *
ngx_http_ws_bus_question_copy(u_char *p, wsb_str_t *dst, const wsb_str_t *src)
{
    dst->data = p;
    dst->len = src->len;

    return src->len ? ngx_cpymem(p, src->data, src->len) : p;
}


/* Events of a section are for the questions of one bucket. */

static ngx_queue_t *
ngx_http_ws_bus_question_bucket(const wsb_str_t *tenant,
    const wsb_str_t *entity, const wsb_str_t *section)
{
    uint32_t  hash;

    hash = ngx_murmur_hash2((u_char *) tenant->data, tenant->len);
    hash = hash * 31 + ngx_murmur_hash2((u_char *) entity->data, entity->len);
    hash = hash * 31 + ngx_murmur_hash2((u_char *) section->data,
                                        section->len);

    return &ngx_http_ws_bus_question_buckets
                [hash & (NGX_HTTP_WS_BUS_QUESTION_BUCKETS - 1)];
}


/* Of a client's questions the newest count. */

static ngx_int_t
ngx_http_ws_bus_question_join(ngx_http_ws_bus_asker_t *asker,
    ngx_http_ws_bus_question_t *q)
{
    ngx_uint_t                       n;
    ngx_queue_t                     *l;
    ngx_http_ws_bus_question_link_t  *link;

    n = 0;

    for (l = ngx_queue_head(&asker->questions);
         l != ngx_queue_sentinel(&asker->questions);
         l = ngx_queue_next(l))
    {
        link = ngx_queue_data(l, ngx_http_ws_bus_question_link_t, own);

        if (link->question == q) {
            ngx_queue_remove(l);
            ngx_queue_insert_tail(&asker->questions, l);
            return NGX_OK;
        }

        n++;
    }

    if (n >= NGX_HTTP_WS_BUS_QUESTIONS) {
        l = ngx_queue_head(&asker->questions);
        ngx_http_ws_bus_question_unlink(
                     ngx_queue_data(l, ngx_http_ws_bus_question_link_t, own));
    }

    link = ngx_calloc(sizeof(ngx_http_ws_bus_question_link_t), ngx_cycle->log);
    if (link == NULL) {
        return NGX_ERROR;
    }

    link->question = q;
    link->asker = asker;
    link->round = q->round;
    q->refs++;

    ngx_queue_insert_tail(&q->links, &link->queue);
    ngx_queue_insert_tail(&asker->questions, &link->own);

    return NGX_OK;
}


void
ngx_http_ws_bus_question_unlink(ngx_http_ws_bus_question_link_t *link)
{
    if (link->held) {
        ngx_http_ws_bus_catch_go(link->asker->client);
    }

    ngx_queue_remove(&link->queue);
    ngx_queue_remove(&link->own);

    ngx_http_ws_bus_question_release(link->question);

    ngx_free(link);
}


void
ngx_http_ws_bus_question_release(ngx_http_ws_bus_question_t *q)
{
    if (--q->refs != 0) {
        return;
    }

    if (q->event.timer_set) {
        ngx_del_timer(&q->event);
    }

    if (q->event.posted) {
        ngx_delete_posted_event(&q->event);
    }

    ngx_queue_remove(&q->queue);
    ngx_http_ws_bus_question_questions--;
    ngx_http_ws_bus_call_counters(q->bus->worker)->questions--;

    wsb_op_done(&q->op);
    wsb_text_done(&q->text);

    ngx_free(q);
}


void
ngx_http_ws_bus_question_leave(ngx_http_ws_bus_asker_t *asker)
{
    ngx_queue_t  *l;

    while (!ngx_queue_empty(&asker->questions)) {
        l = ngx_queue_head(&asker->questions);
        ngx_http_ws_bus_question_unlink(
                     ngx_queue_data(l, ngx_http_ws_bus_question_link_t, own));
    }
}


void
ngx_http_ws_bus_question_missed(ngx_http_ws_bus_asker_t *asker,
    ngx_uint_t all)
{
    ngx_queue_t                     *l;
    ngx_http_ws_bus_question_link_t  *link;

    for (l = ngx_queue_head(&asker->questions);
         l != ngx_queue_sentinel(&asker->questions);
         l = ngx_queue_next(l))
    {
        link = ngx_queue_data(l, ngx_http_ws_bus_question_link_t, own);

        if (all || link->missed) {
            link->missed = 0;
            link->question->due = 1;
            ngx_http_ws_bus_refresh_schedule(link->question);
        }
    }
}


/* The worker has matched this record. */

static void
ngx_http_ws_bus_question_concern(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec)
{
    ngx_uint_t  i;
    wsb_str_t  *field;

    if (ngx_http_ws_bus_question_questions == 0) {
        return;
    }

    field = rec->event.field;

    if (field[WSB_SECTION].len != 0
        && !(rec->event.flags & WSB_EVENT_RESYNC))
    {
        ngx_http_ws_bus_question_bucket_due(
            ngx_http_ws_bus_question_bucket(&field[WSB_TENANT],
                                           &field[WSB_ENTITY_TYPE],
                                           &field[WSB_SECTION]),
            fan, rec);
        return;
    }

    for (i = 0; i < NGX_HTTP_WS_BUS_QUESTION_BUCKETS; i++) {
        ngx_http_ws_bus_question_bucket_due(
                        &ngx_http_ws_bus_question_buckets[i], fan, rec);
    }
}


static void
ngx_http_ws_bus_question_bucket_due(ngx_queue_t *b, ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec)
{
    wsb_str_t                   *field;
    ngx_uint_t                   resync;
    ngx_queue_t                 *l;
    ngx_http_ws_bus_question_t  *q;

    field = rec->event.field;
    resync = (rec->event.flags & WSB_EVENT_RESYNC) ? 1 : 0;

    for (l = ngx_queue_head(b); l != ngx_queue_sentinel(b);
         l = ngx_queue_next(l))
    {
        q = ngx_queue_data(l, ngx_http_ws_bus_question_t, queue);

        if (q->bus->worker != fan->worker
            || !(ngx_http_ws_bus_question_same(&q->entity,
                                              &field[WSB_ENTITY_TYPE])
                 || (resync && field[WSB_ENTITY_TYPE].len == 0))
            || !(ngx_http_ws_bus_question_same(&q->tenant, &field[WSB_TENANT])
                 || (rec->event.flags & WSB_EVENT_EVERY))
            || !(field[WSB_SECTION].len == 0
                 || ngx_http_ws_bus_question_same(&q->section,
                                                 &field[WSB_SECTION])))
        {
            continue;
        }

        q->seen = rec->seq;
        q->due = 1;

        ngx_http_ws_bus_refresh_schedule(q);
    }
}


static ngx_uint_t
ngx_http_ws_bus_question_same(const wsb_str_t *a, const wsb_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}
