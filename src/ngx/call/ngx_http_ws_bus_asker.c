/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A client's requests for records.  Some run, the others wait; clients that
 * have some waiting take turns, one request each, so that nobody waits for
 * another's hundred.
 */

#include "ngx_http_ws_bus_question.h"
#include "ngx_http_ws_bus_snapshot.h"


static void ngx_http_ws_bus_asker_request(ngx_http_ws_bus_client_t *wc,
    wsb_op_t *op);
static size_t ngx_http_ws_bus_asker_size(const wsb_op_t *op);
static void ngx_http_ws_bus_asker_pump_handler(ngx_event_t *ev);
static ngx_uint_t ngx_http_ws_bus_asker_may(ngx_http_ws_bus_asker_t *asker);
static void ngx_http_ws_bus_asker_start(ngx_http_ws_bus_asker_t *asker);
static void ngx_http_ws_bus_asker_end(ngx_http_ws_bus_op_t *kept);
static void ngx_http_ws_bus_asker_work(ngx_http_ws_bus_ask_t *ask);
static void ngx_http_ws_bus_asker_finish(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, ngx_uint_t made);
static ngx_int_t ngx_http_ws_bus_asker_perform(ngx_http_ws_bus_ask_t *ask);
static void ngx_http_ws_bus_asker_call(ngx_http_ws_bus_ask_t *ask);
static void ngx_http_ws_bus_asker_unqueue(ngx_http_ws_bus_asker_t *asker,
    ngx_http_ws_bus_ask_t *ask);
static void ngx_http_ws_bus_asker_resume(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_asker_missed(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_asker_closed(ngx_http_ws_bus_client_t *wc);
static ngx_int_t ngx_http_ws_bus_asker_renew(ngx_http_ws_bus_client_t *wc,
    wsb_str_t token, const wsb_json_t *claims);
static void ngx_http_ws_bus_asker_free(ngx_http_ws_bus_client_t *wc);
static ngx_str_t *ngx_http_ws_bus_asker_tenant(ngx_http_request_t *r);


const ngx_http_ws_bus_requests_t  ngx_http_ws_bus_asker_requests = {
    ngx_http_ws_bus_connect,
    ngx_http_ws_bus_asker_admit,
    ngx_http_ws_bus_notice_opened,
    ngx_http_ws_bus_asker_closed,
    ngx_http_ws_bus_asker_request,
    ngx_http_ws_bus_snapshot_live,
    ngx_http_ws_bus_snapshot_dead,
    ngx_http_ws_bus_snapshot_stale,
    ngx_http_ws_bus_snapshot_again,
    ngx_http_ws_bus_asker_resume,
    ngx_http_ws_bus_asker_missed,
    ngx_http_ws_bus_asker_renew,
    ngx_http_ws_bus_asker_free,
    ngx_http_ws_bus_asker_tenant
};


/* Of this process: those whose turn comes, and the event in which it does. */

static ngx_queue_t  ngx_http_ws_bus_asker_turns;
static ngx_event_t  ngx_http_ws_bus_asker_pump;
static ngx_uint_t   ngx_http_ws_bus_asker_running;


ngx_int_t
ngx_http_ws_bus_asker_init_process(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_ws_bus_asker_turns);

    ngx_http_ws_bus_question_init_process(cycle);

    ngx_http_ws_bus_asker_pump.handler = ngx_http_ws_bus_asker_pump_handler;
    ngx_http_ws_bus_asker_pump.log = cycle->log;

    return NGX_OK;
}


wsb_str_t
ngx_http_ws_bus_asker_meta(ngx_http_ws_bus_asker_t *asker, ngx_pool_t *pool)
{
    u_char     *p;
    wsb_str_t   meta = wsb_null_string;

    p = asker->metadata.data ? ngx_pnalloc(pool, asker->metadata.len) : NULL;

    if (p != NULL) {
        ngx_memcpy(p, asker->metadata.data, asker->metadata.len);

        meta.data = p;
        meta.len = asker->metadata.len;
    }

    return meta;
}


static void
ngx_http_ws_bus_asker_request(ngx_http_ws_bus_client_t *wc, wsb_op_t *op)
{
    ngx_http_ws_bus_ask_t    *ask;
    ngx_http_ws_bus_asker_t  *asker;

    asker = wc->asker;

    ask = ngx_http_ws_bus_asker_keep(asker, op);

    if (ask == NULL) {
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_INTERNAL,
                                   "no memory");
        return;
    }

    ngx_queue_insert_tail(&asker->waiting, &ask->queue);

    ngx_http_ws_bus_question_asked(ask);

    ngx_http_ws_bus_asker_turn(asker);

    if (asker->nwaiting >= NGX_HTTP_WS_BUS_WAITING_MAX
        || asker->bytes >= NGX_HTTP_WS_BUS_WAITING_BYTES)
    {
        ngx_http_ws_bus_client_hold(wc, NGX_HTTP_WS_BUS_HELD_REQUESTS);
    }
}


ngx_http_ws_bus_ask_t *
ngx_http_ws_bus_asker_keep(ngx_http_ws_bus_asker_t *asker, wsb_op_t *op)
{
    ngx_http_ws_bus_op_t      *kept;
    ngx_http_ws_bus_ask_t     *ask;
    ngx_http_ws_bus_client_t  *wc;

    wc = asker->client;

    ask = ngx_calloc(sizeof(ngx_http_ws_bus_ask_t), wc->connection->log);
    kept = ask ? ngx_http_ws_bus_op_keep(wc, op) : NULL;

    if (kept == NULL) {

        if (ask != NULL) {
            ngx_free(ask);
        }

        return NULL;
    }

    kept->data = ask;
    kept->end = ngx_http_ws_bus_asker_end;

    ask->kept = kept;
    ask->asker = asker;
    ask->conf = asker->conf;
    ask->codec = wc->conf->codec;
    ask->bus = wc->fan->worker->bus;
    ask->size = ngx_http_ws_bus_asker_size(&kept->op);

    ask->waiting = 1;
    asker->nwaiting++;
    asker->bytes += ask->size;
    ngx_http_ws_bus_call_counters(ask->bus->worker)->requests_waiting++;

    return ask;
}


/* About what it takes in memory. */

static size_t
ngx_http_ws_bus_asker_size(const wsb_op_t *op)
{
    return sizeof(ngx_http_ws_bus_ask_t) + sizeof(ngx_http_ws_bus_op_t)
           + op->id.len + op->request.entity.len + op->request.schema.len
           + op->request.record_id.len + op->request.data.len
           + op->request.options.len + op->request.where.len
           + op->subscription.len
           + op->since_text.len
           + (op->type == WSB_OP_SUBSCRIBE ? wsb_index_bytes(&op->filter)
                                           : 0);
}


/* It gets its turn, if something waits that may run. */

void
ngx_http_ws_bus_asker_turn(ngx_http_ws_bus_asker_t *asker)
{
    if (!asker->queued && asker->nwaiting != 0) {
        asker->queued = 1;
        ngx_queue_insert_tail(&ngx_http_ws_bus_asker_turns, &asker->queue);
    }

    /* in an event of its own: starting a call may end it, and another */

    if (!ngx_queue_empty(&ngx_http_ws_bus_asker_turns)
        && !ngx_http_ws_bus_asker_pump.posted)
    {
        ngx_post_event(&ngx_http_ws_bus_asker_pump, &ngx_posted_events);
    }
}


/*
 * Once round: who has more waiting comes again at the end, in this turn of
 * the loop or, when that has been long enough, in the next one.
 */

static void
ngx_http_ws_bus_asker_pump_handler(ngx_event_t *ev)
{
    ngx_queue_t              *q;
    ngx_http_ws_bus_asker_t  *asker;

    ngx_http_ws_bus_turn();

    while (!ngx_queue_empty(&ngx_http_ws_bus_asker_turns)) {
        q = ngx_queue_head(&ngx_http_ws_bus_asker_turns);

        asker = ngx_queue_data(q, ngx_http_ws_bus_asker_t, queue);

        if (ngx_http_ws_bus_asker_running >= asker->conf->max_worker
            || (ngx_http_ws_bus_response_bytes
                >= NGX_HTTP_WS_BUS_ANSWERS_SOFT
                && ngx_http_ws_bus_asker_running != 0))
        {
            /* the next one that ends comes here again */
            return;
        }

        if (ngx_http_ws_bus_turn_now() - ngx_http_ws_bus_turn_began()
            >= NGX_HTTP_WS_BUS_MATCH_TIME)
        {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        ngx_queue_remove(q);
        asker->queued = 0;

        if (ngx_http_ws_bus_asker_may(asker)) {
            ngx_http_ws_bus_asker_start(asker);
        }
    }
}


/* Else it gets another turn when what it waits for has come. */

static ngx_uint_t
ngx_http_ws_bus_asker_may(ngx_http_ws_bus_asker_t *asker)
{
    ngx_queue_t               *q;
    ngx_http_ws_bus_ask_t     *ask;
    ngx_http_ws_bus_client_t  *wc;

    wc = asker->client;

    q = ngx_queue_head(&asker->waiting);
    ask = ngx_queue_empty(&asker->waiting)
              ? NULL : ngx_queue_data(q, ngx_http_ws_bus_ask_t, queue);

    if (wc->control_size > NGX_HTTP_WS_BUS_CONTROL_MAX
        && !(ask != NULL && ask->refresh))
    {
        /* it does not read its answers */
        wc->stalled = 1;
        return 0;
    }

    return asker->nwaiting != 0
           && asker->running < (wc->conf->codec->ordered
                                    ? 1 : asker->conf->max_calls);
}


static void
ngx_http_ws_bus_asker_start(ngx_http_ws_bus_asker_t *asker)
{
    ngx_int_t               rc;
    wsb_result_t            result;
    ngx_queue_t            *q;
    ngx_http_ws_bus_ask_t  *ask;

    q = ngx_queue_head(&asker->waiting);
    ask = ngx_queue_data(q, ngx_http_ws_bus_ask_t, queue);

    ngx_http_ws_bus_asker_unqueue(asker, ask);

    asker->running++;
    ngx_http_ws_bus_asker_running++;

    ngx_http_ws_bus_asker_turn(asker);

    if (ask->question != NULL && !ask->refresh) {
        ngx_http_ws_bus_hold(ask);
    }

    rc = ngx_http_ws_bus_hook_call(ask, &result);

    if (rc == NGX_DONE) {
        ngx_http_ws_bus_asker_work(ask);
        return;
    }

    if (rc == NGX_OK) {
        ngx_http_ws_bus_asker_call(ask);
        return;
    }

    ngx_http_ws_bus_asker_finish(ask, &result, 0);
}


/* No hook has refused it: it is carried out. */

static void
ngx_http_ws_bus_asker_work(ngx_http_ws_bus_ask_t *ask)
{
    ngx_int_t     rc;
    wsb_result_t  result;

    if (ask->kept->op.request.topic.data != NULL) {

        rc = ngx_http_ws_bus_command(ask, &result);

        if (rc != NGX_OK) {
            ngx_http_ws_bus_asker_finish(ask, &result, 0);
            return;
        }

    } else if (ask->kept->op.type == WSB_OP_REQUEST) {

        if (ngx_http_ws_bus_backend_call(ask, &result) == NGX_OK) {
            ngx_http_ws_bus_asker_call(ask);
            return;
        }

        ngx_http_ws_bus_asker_finish(ask, &result, 0);
        return;

    } else if (ask->kept->op.type == WSB_OP_SNAPSHOT) {

        rc = ngx_http_ws_bus_snapshot_call(ask, &result);

        if (rc == NGX_OK) {
            ngx_http_ws_bus_asker_call(ask);
            return;
        }

        ngx_http_ws_bus_asker_finish(ask, rc == NGX_DONE ? NULL : &result, 0);
        return;

    } else {
        rc = ngx_http_ws_bus_asker_perform(ask);
    }

    if (rc == NGX_OK && ask->asker != NULL
        && ngx_http_ws_bus_hook_has(ask, 1))
    {
        wsb_result_init(&result);

        if (ngx_http_ws_bus_hook_after(ask, NULL, &result) == NGX_OK) {
            ngx_http_ws_bus_asker_call(ask);
            return;
        }
    }

    ngx_http_ws_bus_asker_finish(ask, NULL, 0);
}


/* What its hooks have added is said of a snapshot, too. */

static ngx_int_t
ngx_http_ws_bus_asker_perform(ngx_http_ws_bus_ask_t *ask)
{
    ngx_int_t                 rc;
    ngx_uint_t                n;
    wsb_forced_t              forced[WSB_RESTRICT_CONDITIONS];
    ngx_http_ws_bus_asker_t  *asker;

    n = 0;
    asker = ask->asker;

    if (ask->hooked != NULL && ask->hooked->nadded != 0) {
        n = ngx_http_ws_bus_hook_forced(ask, forced);

        asker->adding = ask->hooked->added;
        asker->nadding = ask->hooked->nadded;
    }

    rc = ngx_http_ws_bus_op_perform(ask->kept, forced, n);

    if (ask->asker != NULL) {
        asker->nadding = 0;
    }

    return rc;
}


static void
ngx_http_ws_bus_asker_call(ngx_http_ws_bus_ask_t *ask)
{
    ngx_http_ws_bus_call_counters_t  *counters;

    counters = ngx_http_ws_bus_call_counters(ask->bus->worker);

    counters->calls++;
    counters->calls_running++;

    if (!ask->underway && !ask->check && !ask->hooking
        && ask->kept->op.type == WSB_OP_REQUEST
        && ask->kept->op.request.operation != WSB_READ
        && ask->kept->op.request.operation != WSB_META)
    {
        ask->underway = ngx_http_ws_bus_resync_begin(ask->bus);
    }

    ngx_http_ws_bus_call_start(ask->call);
}


static void
ngx_http_ws_bus_asker_unqueue(ngx_http_ws_bus_asker_t *asker,
    ngx_http_ws_bus_ask_t *ask)
{
    ngx_queue_remove(&ask->queue);
    ask->waiting = 0;

    asker->nwaiting--;
    asker->bytes -= ask->size;
    ngx_http_ws_bus_call_counters(ask->bus->worker)->requests_waiting--;

    if (asker->nwaiting <= NGX_HTTP_WS_BUS_WAITING_MAX / 2
        && asker->bytes <= NGX_HTTP_WS_BUS_WAITING_BYTES / 2)
    {
        ngx_http_ws_bus_client_release(asker->client,
                                       NGX_HTTP_WS_BUS_HELD_REQUESTS);
    }
}


void
ngx_http_ws_bus_asker_done(ngx_http_ws_bus_call_t *call)
{
    ngx_int_t               rc;
    wsb_result_t            result;
    ngx_http_ws_bus_ask_t  *ask;

    ask = call->data;

    ngx_http_ws_bus_answer_count(ask);

    rc = ngx_http_ws_bus_backend_next(ask, &result);

    if (rc == NGX_OK) {
        ngx_http_ws_bus_asker_call(ask);
        return;
    }

    if (rc == NGX_DONE) {
        ngx_http_ws_bus_answer(ask, &result);

        if (result.code == NULL && ask->asker != NULL
            && ngx_http_ws_bus_hook_has(ask, 1)
            && ngx_http_ws_bus_hook_after(ask, call, &result) == NGX_OK)
        {
            ngx_http_ws_bus_asker_call(ask);
            return;
        }
    }

    ngx_http_ws_bus_asker_finish(ask, &result, rc == NGX_DONE);
}


void
ngx_http_ws_bus_asker_hooked(ngx_http_ws_bus_call_t *call)
{
    ngx_int_t                  rc;
    ngx_uint_t                 after;
    wsb_result_t               result;
    ngx_http_ws_bus_ask_t     *ask;
    ngx_http_ws_bus_hooked_t  *hooked;

    ask = call->data;
    hooked = ask->hooked;
    after = hooked->after;

    wsb_result_init(&result);

    ngx_http_ws_bus_answer_count(ask);

    rc = ngx_http_ws_bus_hook_answer(ask, &result);

    ask->call = NULL;
    ask->hooking = 0;

    if (rc == NGX_OK) {
        rc = ask->asker ? ngx_http_ws_bus_hook_call(ask, &result) : NGX_DONE;
    }

    if (rc == NGX_OK) {
        ngx_http_ws_bus_asker_call(ask);
        return;
    }

    if (!after) {

        if (rc == NGX_DONE && ask->asker != NULL) {
            ngx_http_ws_bus_asker_work(ask);
            return;
        }

        ngx_http_ws_bus_asker_finish(ask, &result, 0);
        return;
    }

    ask->call = hooked->work;

    if (ask->call == NULL) {
        /* of a subscription, which has been answered */
        ngx_http_ws_bus_asker_finish(ask, NULL, 0);
        return;
    }

    ngx_http_ws_bus_asker_finish(ask, rc == NGX_DONE ? &hooked->result
                                                     : &result, 1);
}


/* The writer has its answer first, then all are told. */

static void
ngx_http_ws_bus_asker_finish(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result, ngx_uint_t made)
{
    ngx_http_ws_bus_asker_t  *asker;

    ngx_http_ws_bus_asker_running--;

    if (ask->asker != NULL) {
        ask->asker->running--;
    }

    if (result != NULL && !ask->refresh) {
        /* the client may go by it, and its asker too */
        ngx_http_ws_bus_answer_send(ask, result);
    }

    ngx_http_ws_bus_hold_end(ask);
    ngx_http_ws_bus_refresh_done(ask, result);

    if (made) {
        ngx_http_ws_bus_answer_event(ask);
    }

    if (ask->underway) {
        ngx_http_ws_bus_resync_end(ask->bus);
    }

    ngx_http_ws_bus_op_done(ask->kept);

    asker = ask->asker;

    ngx_http_ws_bus_hook_free(ask);
    ngx_free(ask);

    if (asker != NULL) {
        ngx_http_ws_bus_asker_turn(asker);

    } else if (!ngx_queue_empty(&ngx_http_ws_bus_asker_turns)
               && !ngx_http_ws_bus_asker_pump.posted)
    {
        ngx_post_event(&ngx_http_ws_bus_asker_pump, &ngx_posted_events);
    }
}


/* Its client is gone.  A mutation that has been sent is made all the same. */

static void
ngx_http_ws_bus_asker_end(ngx_http_ws_bus_op_t *kept)
{
    ngx_http_ws_bus_ask_t    *ask;
    ngx_http_ws_bus_asker_t  *asker;

    ask = kept->data;
    asker = ask->asker;

    ask->asker = NULL;

    ngx_http_ws_bus_hold_end(ask);

    if (ask->waiting) {

        ngx_queue_remove(&ask->queue);
        asker->nwaiting--;
        asker->bytes -= ask->size;
        ngx_http_ws_bus_call_counters(ask->bus->worker)->requests_waiting--;

        ngx_http_ws_bus_refresh_done(ask, NULL);
        ngx_http_ws_bus_op_done(kept);
        ngx_free(ask);
        return;
    }

    asker->running--;

    if (ask->call != NULL
        && (kept->op.type != WSB_OP_REQUEST
            || kept->op.request.operation == WSB_READ
            || kept->op.request.operation == WSB_META
            || ask->check
            || (ask->hooking && !ask->hooked->after)))
    {
        ngx_http_ws_bus_call_cancel(ask->call);
    }
}


static void
ngx_http_ws_bus_asker_resume(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_question_missed(wc->asker, 0);
    ngx_http_ws_bus_asker_turn(wc->asker);
}


static void
ngx_http_ws_bus_asker_missed(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_question_missed(wc->asker, 1);
}


static void
ngx_http_ws_bus_asker_closed(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_notice_closed(wc);
    ngx_http_ws_bus_question_leave(wc->asker);
}


static ngx_int_t
ngx_http_ws_bus_asker_renew(ngx_http_ws_bus_client_t *wc, wsb_str_t token,
    const wsb_json_t *claims)
{
    if (ngx_http_ws_bus_caller_renew(wc->asker->caller, token, claims)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_ws_bus_notice_renew(wc->asker);

    return NGX_OK;
}


static void
ngx_http_ws_bus_asker_free(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_asker_t  *asker;

    asker = wc->asker;
    wc->asker = NULL;

    ngx_http_ws_bus_snapshot_leave(asker);

    if (asker->queued) {
        ngx_queue_remove(&asker->queue);
    }

    if (asker->notices != NULL) {
        ngx_free(asker->notices);
    }

    if (asker->caller != NULL) {
        ngx_http_ws_bus_caller_free(asker->caller);
    }

    if (asker->metadata.data != NULL) {
        wsb_free((void *) asker->metadata.data);
    }

    ngx_free(asker);
}


static ngx_str_t *
ngx_http_ws_bus_asker_tenant(ngx_http_request_t *r)
{
    ngx_http_ws_bus_call_t  *call;

    call = ngx_http_ws_bus_call_of(r);

    return call ? &call->value[NGX_HTTP_WS_BUS_CALL_TENANT] : NULL;
}
