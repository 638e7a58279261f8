/*
 * From the log to the connections of this worker.
 *
 * Two passes.  Matching puts references on the receivers' queues and is never
 * cut inside a record.  Flushing writes each dirty connection once, and is
 * cut after a few milliseconds, to go on in the next turn.  Connections that
 * are behind come last, each as a cursor of its own over the same records.
 */

#include "ngx_http_ws_bus_module.h"


#define NGX_HTTP_WS_BUS_SPARE_MAX  64
#define NGX_HTTP_WS_BUS_HEADROOM   (WSB_FRAME_SERVER_HEADER_MAX              \
                                    + WSB_PREFIX_MAX)


typedef struct {
    ngx_http_ws_bus_worker_t    *worker;
    ngx_http_ws_bus_record_t    *record;
} ngx_http_ws_bus_match_t;


static void ngx_http_ws_bus_take(ngx_http_ws_bus_worker_t *w);
static ngx_int_t ngx_http_ws_bus_match(ngx_http_ws_bus_worker_t *w,
    uint64_t until);
static void ngx_http_ws_bus_match_node(void *data, wsb_node_t *node);
static void ngx_http_ws_bus_overtaken(ngx_http_ws_bus_worker_t *w);
static ngx_int_t ngx_http_ws_bus_flush_dirty(ngx_http_ws_bus_worker_t *w,
    uint64_t until);
static ngx_int_t ngx_http_ws_bus_serve_behind(ngx_http_ws_bus_worker_t *w,
    uint64_t until);
static ngx_int_t ngx_http_ws_bus_catch(ngx_http_ws_bus_conn_t *wc);
static ngx_int_t ngx_http_ws_bus_catch_record(ngx_http_ws_bus_conn_t *wc);
static void ngx_http_ws_bus_cursor_gap(ngx_http_ws_bus_conn_t *wc);
static wsb_rc_t ngx_http_ws_bus_fetch(ngx_http_ws_bus_worker_t *w,
    wsb_cursor_t *cursor, ngx_http_ws_bus_record_t **rec);
static void ngx_http_ws_bus_cache(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec);
static void ngx_http_ws_bus_forget(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec);
static ngx_http_ws_bus_render_t *ngx_http_ws_bus_render(
    ngx_http_ws_bus_record_t *rec, ngx_http_ws_bus_loc_conf_t *conf);
static ngx_http_ws_bus_whole_t *ngx_http_ws_bus_whole(
    ngx_http_ws_bus_render_t *render, const wsb_codec_t *codec,
    uint32_t ordinal);
static size_t ngx_http_ws_bus_prefix(u_char *dst, const wsb_codec_t *codec,
    uint32_t ordinal, size_t body);


ngx_int_t
ngx_http_ws_bus_fanout_init(ngx_http_ws_bus_worker_t *w)
{
    ngx_queue_init(&w->conns);
    ngx_queue_init(&w->dirty);
    ngx_queue_init(&w->behind);
    ngx_queue_init(&w->records);
    ngx_queue_init(&w->spare);

    w->index = wsb_index_create();

    return w->index ? NGX_OK : NGX_ERROR;
}


void
ngx_http_ws_bus_work_handler(ngx_event_t *ev)
{
    ngx_http_ws_bus_turn();
    ngx_http_ws_bus_work(ev->data);
}


void
ngx_http_ws_bus_work(ngx_http_ws_bus_worker_t *w)
{
    uint64_t   until;
    ngx_int_t  rc;

    if (w->slot == -1) {
        return;
    }

    until = ngx_http_ws_bus_now() + NGX_HTTP_WS_BUS_TURN;

    ngx_http_ws_bus_take(w);

    rc = ngx_http_ws_bus_match(w, until);

    if (ngx_http_ws_bus_flush_dirty(w, until) == NGX_AGAIN) {
        rc = NGX_AGAIN;
    }

    if (ngx_http_ws_bus_serve_behind(w, until) == NGX_AGAIN) {
        rc = NGX_AGAIN;
    }

    ngx_http_ws_bus_counters(w)->cursor = w->hand.next.seq - 1;

    /* it sleeps only with nothing in hand: until then it need not be woken */

    if (wsb_hand_empty(&w->hand)
        && wsb_slot_arm(w->zone, (unsigned) w->slot))
    {
        rc = NGX_AGAIN;
    }

    if (rc == NGX_AGAIN) {
        ngx_post_event(&w->event, &ngx_posted_next_events);
    }
}


/*
 * The lock is needed only if something is pending: with less in hand than
 * there is, the rest concerns nobody here.
 */

static void
ngx_http_ws_bus_take(ngx_http_ws_bus_worker_t *w)
{
    if (wsb_slot_pending(w->zone, (unsigned) w->slot)) {
        ngx_shmtx_lock(&w->shpool->mutex);
        wsb_slot_take_locked(w->zone, (unsigned) w->slot, &w->hand);
        ngx_shmtx_unlock(&w->shpool->mutex);
    }
}


/* NGX_AGAIN: there is more in hand. */

static ngx_int_t
ngx_http_ws_bus_match(ngx_http_ws_bus_worker_t *w, uint64_t until)
{
    wsb_rc_t                   rc;
    wsb_cursor_t               cursor;
    ngx_http_ws_bus_match_t    match;
    ngx_http_ws_bus_record_t  *rec;

    while (!wsb_hand_empty(&w->hand)) {

        cursor = w->hand.next;

        rc = ngx_http_ws_bus_fetch(w, &cursor, &rec);

        if (rc == WSB_GAP || rc == WSB_ERROR) {
            ngx_http_ws_bus_overtaken(w);
            continue;
        }

        if (rc != WSB_OK) {
            /* no memory now: it stays in hand, the tick comes back to it */
            return NGX_OK;
        }

        match.worker = w;
        match.record = rec;

        wsb_index_match(w->index, &rec->parts, ngx_http_ws_bus_match_node,
                        &match);

        w->hand.next = cursor;

        ngx_http_ws_bus_release(w, rec);

        if (ngx_http_ws_bus_now() >= until) {
            return wsb_hand_empty(&w->hand) ? NGX_OK : NGX_AGAIN;
        }
    }

    return NGX_OK;
}


static void
ngx_http_ws_bus_match_node(void *data, wsb_node_t *node)
{
    ngx_http_ws_bus_match_t  *match = data;

    uint32_t                  i;
    ngx_int_t                 rc;
    wsb_sub_t               **subs;
    ngx_http_ws_bus_conn_t   *wc;

    subs = wsb_node_subs(node);

    for (i = 0; i < node->nsubs; i++) {
        wc = subs[i]->owner;

        if (wc->behind || match->record->seq < subs[i]->from) {
            continue;
        }

        rc = ngx_http_ws_bus_push(wc, match->record, subs[i]);

        if (rc != NGX_OK) {
            ngx_http_ws_bus_overflow(wc, match->record);
        }

        ngx_http_ws_bus_mark_dirty(wc);
    }
}


/*
 * The ring has overtaken the worker itself: each connection that it pushed to
 * goes on as a cursor where the worker was, and tells its own gap.
 */

static void
ngx_http_ws_bus_overtaken(ngx_http_ws_bus_worker_t *w)
{
    uint64_t                 oldest;
    ngx_queue_t             *q;
    ngx_http_ws_bus_conn_t  *wc;

    for (q = ngx_queue_head(&w->conns);
         q != ngx_queue_sentinel(&w->conns);
         q = ngx_queue_next(q))
    {
        wc = ngx_queue_data(q, ngx_http_ws_bus_conn_t, conns);

        if (wc->behind || wc->closing || wc->nsubs == 0) {
            continue;
        }

        wc->behind = 1;
        wc->cursor = w->hand.next;
        wc->ordinal = 0;

        if (!wc->blocked) {
            ngx_http_ws_bus_mark_dirty(wc);
        }
    }

    oldest = wsb_log_oldest(&w->zone->log);

    /* a record that cannot be read counts as evicted */

    w->hand.next.seq = oldest > w->hand.next.seq ? oldest
                                                 : w->hand.next.seq + 1;
    w->hand.next.pos = WSB_LOG_POS_UNKNOWN;
}


static ngx_int_t
ngx_http_ws_bus_flush_dirty(ngx_http_ws_bus_worker_t *w, uint64_t until)
{
    ngx_uint_t               n;
    ngx_queue_t             *q;
    ngx_http_ws_bus_conn_t  *wc;

    n = 0;

    while (!ngx_queue_empty(&w->dirty)) {

        if (n++ % 16 == 15 && ngx_http_ws_bus_now() >= until) {
            return NGX_AGAIN;
        }

        q = ngx_queue_head(&w->dirty);
        ngx_queue_remove(q);

        wc = ngx_queue_data(q, ngx_http_ws_bus_conn_t, link);
        wc->dirty = 0;

        if (ngx_http_ws_bus_flush(wc) == NGX_OK && wc->behind) {
            ngx_http_ws_bus_catch_up(wc);
        }
    }

    return NGX_OK;
}


void
ngx_http_ws_bus_catch_up(ngx_http_ws_bus_conn_t *wc)
{
    ngx_http_ws_bus_worker_t  *w;

    if (wc->closing || wc->catching) {
        return;
    }

    w = wc->worker;

    if (wc->dirty) {
        ngx_queue_remove(&wc->link);
        wc->dirty = 0;
    }

    wc->catching = 1;
    ngx_queue_insert_tail(&w->behind, &wc->link);

    if (!w->event.posted) {
        ngx_post_event(&w->event, &ngx_posted_next_events);
    }
}


/* Round robin: each gets a bounded piece of the turn. */

static ngx_int_t
ngx_http_ws_bus_serve_behind(ngx_http_ws_bus_worker_t *w, uint64_t until)
{
    ngx_int_t                rc;
    ngx_queue_t             *q;
    ngx_http_ws_bus_conn_t  *wc;

    while (!ngx_queue_empty(&w->behind)) {

        if (ngx_http_ws_bus_now() >= until) {
            return NGX_AGAIN;
        }

        q = ngx_queue_head(&w->behind);
        ngx_queue_remove(q);

        wc = ngx_queue_data(q, ngx_http_ws_bus_conn_t, link);
        wc->catching = 0;

        rc = ngx_http_ws_bus_catch(wc);

        if (rc == NGX_AGAIN) {
            wc->catching = 1;
            ngx_queue_insert_tail(&w->behind, &wc->link);
        }
    }

    return NGX_OK;
}


/*
 * NGX_AGAIN: there is more for it to read, and it may write.  Otherwise it is
 * pushed to again, or blocked, or closed.
 */

static ngx_int_t
ngx_http_ws_bus_catch(ngx_http_ws_bus_conn_t *wc)
{
    uint64_t                   until;
    ngx_int_t                  rc;
    ngx_uint_t                 n;
    ngx_http_ws_bus_worker_t  *w;

    w = wc->worker;
    until = ngx_http_ws_bus_now() + NGX_HTTP_WS_BUS_CATCH_TIME;

    for (n = 0; n < NGX_HTTP_WS_BUS_CATCH_RECORDS; n++) {

        if (wc->closing || wc->blocked) {
            return NGX_OK;
        }

        if (wc->cursor.seq >= w->hand.next.seq || wc->nsubs == 0) {

            /* between two records it has reached the worker */

            wc->behind = 0;
            return ngx_http_ws_bus_flush(wc) == NGX_ERROR ? NGX_ERROR
                                                          : NGX_OK;
        }

        rc = ngx_http_ws_bus_catch_record(wc);

        if (rc == NGX_DECLINED) {

            /* the queue is full */

            if (ngx_http_ws_bus_flush(wc) != NGX_OK) {
                return NGX_OK;
            }

        } else if (rc != NGX_OK) {
            return NGX_OK;
        }

        if (n % 16 == 15 && ngx_http_ws_bus_now() >= until) {
            break;
        }
    }

    return ngx_http_ws_bus_flush(wc) == NGX_OK ? NGX_AGAIN : NGX_OK;
}


/*
 * The record at the cursor, against the connection's own subscriptions, in
 * the order of their ordinals.  NGX_DECLINED: the queue is full, the cursor
 * stands at the frame that found no place.
 */

static ngx_int_t
ngx_http_ws_bus_catch_record(ngx_http_ws_bus_conn_t *wc)
{
    uint32_t                   i;
    wsb_rc_t                   rc;
    ngx_int_t                  pushed;
    wsb_sub_t                 *sub;
    wsb_cursor_t               cursor;
    ngx_http_ws_bus_record_t  *rec;

    cursor = wc->cursor;

    rc = ngx_http_ws_bus_fetch(wc->worker, &cursor, &rec);

    if (rc == WSB_GAP || rc == WSB_ERROR) {
        ngx_http_ws_bus_cursor_gap(wc);
        return NGX_OK;
    }

    if (rc != WSB_OK) {
        ngx_http_ws_bus_close_conn(wc);
        return NGX_ERROR;
    }

    for (i = 0; i < wc->nsubs; i++) {
        sub = wc->subs[i];

        if (sub->ordinal < wc->ordinal || rec->seq < sub->from
            || !wsb_node_match(sub->node, &rec->parts))
        {
            continue;
        }

        pushed = ngx_http_ws_bus_push(wc, rec, sub);

        if (pushed != NGX_OK) {
            wc->ordinal = sub->ordinal;
            ngx_http_ws_bus_release(wc->worker, rec);

            if (pushed == NGX_ERROR) {
                ngx_http_ws_bus_close_conn(wc);
            }

            return pushed;
        }
    }

    wc->cursor = cursor;
    wc->ordinal = 0;

    ngx_http_ws_bus_release(wc->worker, rec);

    return NGX_OK;
}


/* The ring has overtaken it: it goes on in the middle of what is retained. */

static void
ngx_http_ws_bus_cursor_gap(ngx_http_ws_bus_conn_t *wc)
{
    uint64_t    to, head, oldest;
    wsb_log_t  *log;

    log = &wc->worker->zone->log;
    oldest = wsb_log_oldest(log);
    head = wsb_log_head(log);

    if (oldest <= wc->cursor.seq) {
        /* it could not be read, though it was there */
        to = wc->cursor.seq;

    } else {
        to = oldest + (head + 1 - oldest) / 2 - 1;
    }

    ngx_log_error(NGX_LOG_INFO, wc->connection->log, 0,
                  "websocket client is too slow, events %uL to %uL are lost "
                  "to it", wc->cursor.seq, to);

    if (wc->conf->on_gap == NGX_HTTP_WS_BUS_GAP_CLOSE) {
        ngx_http_ws_bus_start_close(wc, WSB_CLOSE_TRY_LATER, NULL);
        return;
    }

    ngx_http_ws_bus_gap(wc, to, "slow");

    wc->cursor.seq = to + 1;
    wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
    wc->ordinal = 0;
}


void
ngx_http_ws_bus_position(ngx_http_ws_bus_conn_t *wc, uint64_t *seq,
    uint32_t *ordinal)
{
    uint64_t                   head;
    ngx_uint_t                 begun;
    ngx_http_ws_bus_worker_t  *w;

    begun = wc->sent ? 1 : 0;

    if (wc->nitems > begun) {
        *seq = wc->items[begun].record->seq;
        *ordinal = wc->items[begun].ordinal;
        return;
    }

    if (wc->behind) {
        *seq = wc->cursor.seq;
        *ordinal = wc->ordinal;
        return;
    }

    w = wc->worker;

    *seq = w->hand.next.seq;
    *ordinal = 0;

    if (wsb_hand_empty(&w->hand)) {
        head = wsb_slot_at_head(w->zone, (unsigned) w->slot);

        if (head >= *seq) {
            *seq = head + 1;
        }
    }
}


uint64_t
ngx_http_ws_bus_next(const wsb_sub_t *sub, uint64_t seq, uint32_t ordinal)
{
    if (sub->ordinal < ordinal) {
        seq++;
    }

    return sub->from > seq ? sub->from : seq;
}


uint64_t
ngx_http_ws_bus_last_id(ngx_http_ws_bus_conn_t *wc)
{
    uint32_t  i, ordinal;
    uint64_t  seq, next, min;

    ngx_http_ws_bus_position(wc, &seq, &ordinal);

    min = wc->nsubs ? UINT64_MAX : seq;

    for (i = 0; i < wc->nsubs; i++) {
        next = ngx_http_ws_bus_next(wc->subs[i], seq, ordinal);

        if (next < min) {
            min = next;
        }
    }

    return min - 1;
}


/*
 * The record at the cursor, from the cache or from the log, with a reference
 * for the caller; the cursor moves behind it.
 */

static wsb_rc_t
ngx_http_ws_bus_fetch(ngx_http_ws_bus_worker_t *w, wsb_cursor_t *cursor,
    ngx_http_ws_bus_record_t **out)
{
    wsb_rc_t                   rc;
    ngx_queue_t               *q;
    ngx_http_ws_bus_record_t  *rec;

    rec = w->recent[cursor->seq & (NGX_HTTP_WS_BUS_CACHE_RECORDS - 1)];

    if (rec != NULL && rec->seq == cursor->seq) {
        cursor->seq++;

        if (cursor->pos != WSB_LOG_POS_UNKNOWN) {
            cursor->pos += rec->copy.len;
        }

        rec->refs++;
        *out = rec;

        return WSB_OK;
    }

    if (!ngx_queue_empty(&w->spare)) {
        q = ngx_queue_head(&w->spare);
        ngx_queue_remove(q);
        w->nspare--;

        rec = ngx_queue_data(q, ngx_http_ws_bus_record_t, link);

    } else {
        rec = ngx_calloc(sizeof(ngx_http_ws_bus_record_t), ngx_cycle->log);
        if (rec == NULL) {
            return WSB_NOMEM;
        }
    }

    rec->refs = 1;
    rec->seq = cursor->seq;
    rec->epoch = w->zone->epoch;

    rc = wsb_log_read(&w->zone->log, cursor, &rec->copy);

    if (rc == WSB_OK) {
        rc = wsb_event_decode(rec->copy.data, rec->copy.len, &rec->event);
    }

    if (rc != WSB_OK) {

        if (rc == WSB_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "ws bus zone \"%V\": event %uL cannot be read",
                          &w->bus->name, rec->seq);
        }

        ngx_http_ws_bus_release(w, rec);
        return rc;
    }

    wsb_key_parts(w->zone->key, &rec->event, &rec->parts);

    ngx_http_ws_bus_cache(w, rec);

    *out = rec;

    return WSB_OK;
}


static void
ngx_http_ws_bus_cache(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec)
{
    ngx_queue_t                *q;
    ngx_http_ws_bus_record_t  **place, *old;

    place = &w->recent[rec->seq & (NGX_HTTP_WS_BUS_CACHE_RECORDS - 1)];

    if (*place != NULL) {
        ngx_http_ws_bus_forget(w, *place);
    }

    /* about what it takes once it is rendered */

    rec->size = sizeof(ngx_http_ws_bus_record_t) + 2 * rec->copy.len;
    rec->refs++;

    *place = rec;
    w->cached += rec->size;

    ngx_queue_insert_tail(&w->records, &rec->link);

    while (w->cached > NGX_HTTP_WS_BUS_CACHE_BYTES) {
        q = ngx_queue_head(&w->records);
        old = ngx_queue_data(q, ngx_http_ws_bus_record_t, link);

        ngx_http_ws_bus_forget(w, old);
    }
}


static void
ngx_http_ws_bus_forget(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec)
{
    w->recent[rec->seq & (NGX_HTTP_WS_BUS_CACHE_RECORDS - 1)] = NULL;
    w->cached -= rec->size;

    ngx_queue_remove(&rec->link);

    ngx_http_ws_bus_release(w, rec);
}


void
ngx_http_ws_bus_release(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec)
{
    ngx_uint_t                 i, k;
    ngx_http_ws_bus_render_t  *render;

    if (--rec->refs != 0) {
        return;
    }

    for (i = 0; i < NGX_HTTP_WS_BUS_CODECS; i++) {
        render = &rec->render[i];

        /* the first whole frame lies in the text itself */

        for (k = 1; k < NGX_HTTP_WS_BUS_WHOLE; k++) {
            if (render->whole[k].pos != NULL) {
                ngx_free(render->whole[k].pos);
            }
        }

        ngx_memzero(render->whole, sizeof(render->whole));

        /* its memory serves the next event, unless it is unusually large */

        render->text.len = 0;

        if (render->text.failed || render->text.size > 8192) {
            wsb_text_done(&render->text);
        }
    }

    if (w->nspare < NGX_HTTP_WS_BUS_SPARE_MAX && rec->copy.size <= 8192) {
        ngx_queue_insert_head(&w->spare, &rec->link);
        w->nspare++;
        return;
    }

    for (i = 0; i < NGX_HTTP_WS_BUS_CODECS; i++) {
        wsb_text_done(&rec->render[i].text);
    }

    wsb_free(rec->copy.data);
    ngx_free(rec);
}


ngx_uint_t
ngx_http_ws_bus_frame(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_loc_conf_t *conf, uint32_t ordinal,
    u_char scratch[WSB_FRAME_SERVER_HEADER_MAX + WSB_PREFIX_MAX],
    ngx_str_t piece[2])
{
    ngx_http_ws_bus_whole_t   *whole;
    ngx_http_ws_bus_render_t  *render;

    render = ngx_http_ws_bus_render(rec, conf);
    if (render == NULL) {
        return 0;
    }

    whole = ngx_http_ws_bus_whole(render, conf->codec, ordinal);

    if (whole != NULL) {
        piece[0].data = whole->pos;
        piece[0].len = whole->len;

        return 1;
    }

    piece[1].data = render->text.data + NGX_HTTP_WS_BUS_HEADROOM;
    piece[1].len = render->text.len - NGX_HTTP_WS_BUS_HEADROOM;

    piece[0].data = scratch;
    piece[0].len = ngx_http_ws_bus_prefix(scratch, conf->codec, ordinal,
                                          piece[1].len);
    return 2;
}


/* Once for each event and codec: the body, behind room for what precedes. */

static ngx_http_ws_bus_render_t *
ngx_http_ws_bus_render(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_loc_conf_t *conf)
{
    uint8_t                    id[WSB_ID_LEN];
    wsb_str_t                  event_id;
    ngx_http_ws_bus_render_t  *render;

    render = &rec->render[conf->codec_index];

    if (render->text.len != 0) {
        return render;
    }

    if (wsb_text_reserve(&render->text,
                         NGX_HTTP_WS_BUS_HEADROOM + rec->copy.len + 256)
        == NULL)
    {
        return NULL;
    }

    render->text.len = NGX_HTTP_WS_BUS_HEADROOM;

    event_id.data = id;
    event_id.len = wsb_id(id, rec->epoch, rec->seq);

    conf->codec->body(&render->text, &rec->event, event_id);

    if (render->text.failed) {
        wsb_text_done(&render->text);
        return NULL;
    }

    return render;
}


/*
 * Small frames are kept whole for the first ordinals that come along, which
 * are those of nearly everybody; the very first takes no copy at all.
 */

static ngx_http_ws_bus_whole_t *
ngx_http_ws_bus_whole(ngx_http_ws_bus_render_t *render,
    const wsb_codec_t *codec, uint32_t ordinal)
{
    size_t                    len, body;
    u_char                    prefix[NGX_HTTP_WS_BUS_HEADROOM], *data;
    ngx_uint_t                i;
    ngx_http_ws_bus_whole_t  *whole;

    for (i = 0; i < NGX_HTTP_WS_BUS_WHOLE; i++) {
        whole = &render->whole[i];

        if (whole->ordinal == ordinal) {
            return whole;
        }

        if (whole->ordinal == 0) {
            break;
        }
    }

    if (i == NGX_HTTP_WS_BUS_WHOLE) {
        return NULL;
    }

    data = render->text.data + NGX_HTTP_WS_BUS_HEADROOM;
    body = render->text.len - NGX_HTTP_WS_BUS_HEADROOM;

    if (i > 0 && body > NGX_HTTP_WS_BUS_WHOLE_MAX) {
        return NULL;
    }

    len = ngx_http_ws_bus_prefix(prefix, codec, ordinal, body);

    if (i == 0) {
        whole->pos = data - len;

    } else {
        whole->pos = ngx_alloc(len + body, ngx_cycle->log);
        if (whole->pos == NULL) {
            return NULL;
        }

        ngx_memcpy(whole->pos + len, data, body);
    }

    ngx_memcpy(whole->pos, prefix, len);

    whole->len = len + body;
    whole->ordinal = ordinal;

    return whole;
}


/* The frame's header and the codec's prefix; returns their length. */

static size_t
ngx_http_ws_bus_prefix(u_char *dst, const wsb_codec_t *codec,
    uint32_t ordinal, size_t body)
{
    size_t  len, header;
    u_char  prefix[WSB_PREFIX_MAX];

    len = codec->prefix(prefix, ordinal);
    header = wsb_frame_header(dst, WSB_FRAME_TEXT, 0, len + body);

    ngx_memcpy(dst + header, prefix, len);

    return header + len;
}
