/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What clients have read is read again when it has changed.
 *
 * One call serves all clients of this process that have asked the same.  Of
 * each question one call is under way at most, and they are at least a second
 * apart, however many events come in between.
 *
 * No answer is sent that may be older than an event that its receiver has
 * been sent.  A call begins when the worker stands at the head, so that its
 * answer knows all that has been sent.  If an event comes while it is under
 * way, its answer is not used, and while the next one is under way those who
 * wait for it are sent no events: these come behind the answer, from the log.
 */

#include "ngx_http_ws_bus_question.h"

#include "../../log/wsb_slot.h"


#define NGX_HTTP_WS_BUS_REFRESH_APART    1000   /* ms between two calls */
#define NGX_HTTP_WS_BUS_REFRESH_LATER    30000  /* at most, after failures */
#define NGX_HTTP_WS_BUS_REFRESH_SOON     20     /* if it is not the time */
#define NGX_HTTP_WS_BUS_REFRESH_CLIENTS  256    /* served in one turn */


static void ngx_http_ws_bus_refresh_again(ngx_http_ws_bus_question_t *q);
static void ngx_http_ws_bus_refresh_start(ngx_http_ws_bus_question_t *q);
static ngx_http_ws_bus_question_link_t *ngx_http_ws_bus_refresh_choose(
    ngx_http_ws_bus_question_t *q);
static void ngx_http_ws_bus_refresh_hold(ngx_http_ws_bus_question_t *q);
static void ngx_http_ws_bus_refresh_let_go(ngx_http_ws_bus_question_t *q);
static ngx_uint_t ngx_http_ws_bus_refresh_transient(
    const wsb_result_t *result);
static void ngx_http_ws_bus_refresh_forget(ngx_http_ws_bus_question_t *q,
    ngx_http_ws_bus_asker_t *asker);
static void ngx_http_ws_bus_refresh_send(ngx_http_ws_bus_question_t *q);
static void ngx_http_ws_bus_refresh_send_one(ngx_http_ws_bus_question_t *q,
    ngx_http_ws_bus_question_link_t *link);


void
ngx_http_ws_bus_refresh_schedule(ngx_http_ws_bus_question_t *q)
{
    ngx_uint_t      n;
    ngx_msec_t      apart;
    ngx_msec_int_t  wait;

    if (!q->due || q->running || q->sending || q->event.timer_set
        || q->op.type == WSB_OP_NOTHING)
    {
        return;
    }

    apart = NGX_HTTP_WS_BUS_REFRESH_APART;

    for (n = q->failed; n > 0 && apart < NGX_HTTP_WS_BUS_REFRESH_LATER; n--) {
        apart *= 2;
    }

    apart = ngx_min(apart, NGX_HTTP_WS_BUS_REFRESH_LATER);

    wait = (ngx_msec_int_t) (q->began + apart - ngx_current_msec);

    /* the events of this turn are sent first */

    ngx_add_timer(&q->event, (ngx_msec_t) ngx_max(wait, 1));
}


void
ngx_http_ws_bus_refresh_handler(ngx_event_t *ev)
{
    ngx_http_ws_bus_question_t  *q;

    q = ev->data;

    ngx_http_ws_bus_turn();

    if (q->sending) {
        ngx_http_ws_bus_refresh_send(q);
        return;
    }

    if (q->running) {
        /* its call takes too long to keep events back for it */
        ngx_http_ws_bus_refresh_let_go(q);
        return;
    }

    if (q->due && !ngx_exiting && !ngx_terminate) {
        ngx_http_ws_bus_refresh_start(q);
    }
}


static void
ngx_http_ws_bus_refresh_again(ngx_http_ws_bus_question_t *q)
{
    if (!q->event.timer_set) {
        ngx_add_timer(&q->event, NGX_HTTP_WS_BUS_REFRESH_SOON);
    }
}


/* In the name of one of those who wait for it. */

static void
ngx_http_ws_bus_refresh_start(ngx_http_ws_bus_question_t *q)
{
    uint64_t                          head;
    ngx_http_ws_bus_ask_t            *ask;
    ngx_http_ws_bus_worker_t         *w;
    ngx_http_ws_bus_question_link_t  *link;

    if (ngx_queue_empty(&q->links)) {
        return;
    }

    w = q->bus->worker;

    head = w->slot != -1 && wsb_hand_empty(&w->hand)
               ? wsb_slot_at_head(w->zone, (unsigned) w->slot) : 0;

    link = head ? ngx_http_ws_bus_refresh_choose(q) : NULL;

    if (link == NULL) {
        ngx_http_ws_bus_refresh_again(q);
        return;
    }

    ask = ngx_http_ws_bus_asker_keep(link->asker, &q->op);

    if (ask == NULL) {
        ngx_http_ws_bus_refresh_again(q);
        return;
    }

    ask->refresh = 1;
    ask->question = q;

    /* before all else that waits there */

    ngx_queue_insert_head(&link->asker->waiting, &ask->queue);
    ngx_http_ws_bus_asker_turn(link->asker);

    q->refs++;
    q->head = head;
    q->began = ngx_current_msec;
    q->running = 1;
    q->due = 0;

    ngx_http_ws_bus_call_counters(w)->refreshes++;

    if (q->late) {
        ngx_http_ws_bus_refresh_hold(q);
    }
}


/* One that hears the topic, reads its answers, and may have one call more. */

static ngx_http_ws_bus_question_link_t *
ngx_http_ws_bus_refresh_choose(ngx_http_ws_bus_question_t *q)
{
    ngx_queue_t                     *l;
    ngx_http_ws_bus_client_t        *wc;
    ngx_http_ws_bus_question_link_t  *link;

    for (l = ngx_queue_head(&q->links); l != ngx_queue_sentinel(&q->links);
         l = ngx_queue_next(l))
    {
        link = ngx_queue_data(l, ngx_http_ws_bus_question_link_t, queue);
        wc = link->asker->client;

        if (!wc->closing && !(wc->muted & q->topic)
            && wc->control_size <= NGX_HTTP_WS_BUS_CONTROL_MAX
            && link->asker->running < link->asker->conf->max_calls)
        {
            return link;
        }
    }

    return NULL;
}


static void
ngx_http_ws_bus_refresh_hold(ngx_http_ws_bus_question_t *q)
{
    ngx_queue_t                     *l;
    ngx_http_ws_bus_question_link_t  *link;

    for (l = ngx_queue_head(&q->links); l != ngx_queue_sentinel(&q->links);
         l = ngx_queue_next(l))
    {
        link = ngx_queue_data(l, ngx_http_ws_bus_question_link_t, queue);

        if (!link->held) {
            link->held = 1;
            ngx_http_ws_bus_catch_wait(link->asker->client);
        }
    }

    q->held = 1;

    ngx_add_timer(&q->event, NGX_HTTP_WS_BUS_HOLD_TIME);
}


static void
ngx_http_ws_bus_refresh_let_go(ngx_http_ws_bus_question_t *q)
{
    ngx_queue_t                     *l;
    ngx_http_ws_bus_question_link_t  *link;

    q->held = 0;

    for (l = ngx_queue_head(&q->links); l != ngx_queue_sentinel(&q->links);
         l = ngx_queue_next(l))
    {
        link = ngx_queue_data(l, ngx_http_ws_bus_question_link_t, queue);

        if (link->held) {
            link->held = 0;
            ngx_http_ws_bus_catch_go(link->asker->client);
        }
    }
}


/*
 * Of a client's own ask: the question keeps what it was.  Of a refresh: its
 * answer is sent, unless it is too late.
 */

void
ngx_http_ws_bus_refresh_done(ngx_http_ws_bus_ask_t *ask,
    wsb_result_t *result)
{
    ngx_uint_t                   again;
    ngx_time_t                  *tp;
    const wsb_codec_t           *codec;
    ngx_http_ws_bus_question_t  *q;

    q = ask->question;

    if (q == NULL) {
        return;
    }

    ask->question = NULL;

    if (q->op.type == WSB_OP_NOTHING) {
        q->op = ask->kept->op;
        ngx_memzero(&ask->kept->op, sizeof(wsb_op_t));
    }

    if (!ask->refresh) {

        if (ask->asker != NULL && result != NULL && result->code != NULL
            && !ngx_http_ws_bus_refresh_transient(result))
        {
            ngx_http_ws_bus_refresh_forget(q, ask->asker);
        }

        ngx_http_ws_bus_refresh_schedule(q);
        ngx_http_ws_bus_question_release(q);
        return;
    }

    q->running = 0;

    if (q->event.timer_set) {
        ngx_del_timer(&q->event);
    }

    codec = ask->codec;
    again = 0;

    if (ask->asker == NULL || result == NULL) {
        /* who asked has gone */
        again = 1;

    } else if (result->code != NULL) {
        again = ngx_http_ws_bus_refresh_transient(result);

        q->failed = again ? q->failed + 1 : 0;

        if (!again) {
            /* it is gone, or no longer theirs to see */
            ngx_http_ws_bus_refresh_forget(q, NULL);
        }

    } else if (!q->held && q->seen > q->head) {
        q->late = 1;
        again = 1;

    } else {
        tp = ngx_timeofday();
        result->time = (uint64_t) tp->sec * 1000 + tp->msec;
        result->refresh = 1;

        codec->response(&q->text, &q->op, result);

        /* while events come so often, the next one would be late as well */

        q->failed = 0;
        q->late = q->seen > q->head;
        q->round++;
        q->sending = !q->text.failed;
    }

    q->due |= again;

    if (q->sending) {
        ngx_http_ws_bus_refresh_send(q);

    } else {
        wsb_text_done(&q->text);
        ngx_http_ws_bus_refresh_let_go(q);
        ngx_http_ws_bus_refresh_schedule(q);
    }

    ngx_http_ws_bus_question_release(q);
}


/* May the same question have an answer later? */

static ngx_uint_t
ngx_http_ws_bus_refresh_transient(const wsb_result_t *result)
{
    return ngx_strcmp(result->code, "timeout") == 0
           || ngx_strcmp(result->code, "too_many_requests") == 0
           || (ngx_strcmp(result->code, wsb_operation_error(WSB_READ)) == 0
               && (result->status < 400 || result->status > 499));
}


/* This one waits for it no more, or with NULL nobody does. */

static void
ngx_http_ws_bus_refresh_forget(ngx_http_ws_bus_question_t *q,
    ngx_http_ws_bus_asker_t *asker)
{
    ngx_queue_t                      *l, *next;
    ngx_http_ws_bus_question_link_t  *link;

    for (l = ngx_queue_head(&q->links); l != ngx_queue_sentinel(&q->links);
         l = next)
    {
        next = ngx_queue_next(l);
        link = ngx_queue_data(l, ngx_http_ws_bus_question_link_t, queue);

        if (asker == NULL || link->asker == asker) {
            ngx_http_ws_bus_question_unlink(link);
        }
    }
}


/*
 * Some in each turn.  If an event comes in between, the others are served by
 * the next call, first of all.
 */

static void
ngx_http_ws_bus_refresh_send(ngx_http_ws_bus_question_t *q)
{
    ngx_uint_t                       n;
    ngx_queue_t                     *l;
    ngx_http_ws_bus_question_link_t  *link;

    q->refs++;

    for (n = 0; !ngx_queue_empty(&q->links); n++) {

        l = ngx_queue_head(&q->links);
        link = ngx_queue_data(l, ngx_http_ws_bus_question_link_t, queue);

        if (link->round == q->round) {
            break;
        }

        if (!q->held && q->seen > q->head) {
            q->late = 1;
            break;
        }

        if (n == NGX_HTTP_WS_BUS_REFRESH_CLIENTS) {
            ngx_post_event(&q->event, &ngx_posted_next_events);
            ngx_http_ws_bus_question_release(q);
            return;
        }

        ngx_queue_remove(l);
        ngx_queue_insert_tail(&q->links, l);

        link->round = q->round;

        ngx_http_ws_bus_refresh_send_one(q, link);
    }

    q->sending = 0;
    wsb_text_done(&q->text);

    ngx_http_ws_bus_refresh_let_go(q);
    ngx_http_ws_bus_refresh_schedule(q);

    ngx_http_ws_bus_question_release(q);
}


/* Who has come since may have been sent an event, if others are held. */

static void
ngx_http_ws_bus_refresh_send_one(ngx_http_ws_bus_question_t *q,
    ngx_http_ws_bus_question_link_t *link)
{
    ngx_uint_t                 held;
    ngx_http_ws_bus_client_t  *wc;

    wc = link->asker->client;
    held = link->held;

    link->held = 0;

    if (wc->closing || (wc->muted & q->topic) || (q->held && !held)) {
        /* nothing for it */

    } else if (wc->control_size > NGX_HTTP_WS_BUS_CONTROL_MAX) {
        link->missed = 1;
        wc->stalled = 1;

    } else {
        /* the link may be gone afterwards */
        ngx_http_ws_bus_op_say(wc, q->text.data, q->text.len);
    }

    if (held && !wc->closed) {
        ngx_http_ws_bus_catch_go(wc);
    }
}
