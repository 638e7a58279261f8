/*
 * What is on its way to a client: the control queue, the event queue, and the
 * writing of both.
 *
 * The frame that has been begun is finished first, then the answers go, then
 * the events.  If the socket takes no more, events not begun are dropped and
 * the connection becomes a cursor: it costs the same whatever it misses.
 */

#include "ngx_http_ws_bus_client.h"


static void ngx_http_ws_bus_out_append(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_out_t *out);
static void ngx_http_ws_bus_out_append_latest(ngx_http_ws_bus_client_t *wc);
static ngx_int_t ngx_http_ws_bus_out_more_items(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_out_give_items(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_out_drop_items(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t from);
static ngx_uint_t ngx_http_ws_bus_out_flush_one(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_out_gather(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_write_t *w);
static void ngx_http_ws_bus_out_gather_item(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_write_t *w, ngx_uint_t i, size_t skip);
static void ngx_http_ws_bus_out_piece(ngx_http_ws_bus_write_t *w, u_char *pos,
    size_t len);
static void ngx_http_ws_bus_out_written(ngx_http_ws_bus_client_t *wc, size_t n);
static size_t ngx_http_ws_bus_out_written_items(ngx_http_ws_bus_client_t *wc,
    size_t n, ngx_uint_t max);


/* What is counted of a message is memory: tiny ones are not free. */

static ngx_inline size_t
ngx_http_ws_bus_out_size(const ngx_http_ws_bus_out_t *out)
{
    return sizeof(ngx_http_ws_bus_out_t) + (size_t) (out->last - out->pos);
}


/* One for the process: flushes do not nest. */

static ngx_http_ws_bus_write_t  ngx_http_ws_bus_w;


void
ngx_http_ws_bus_out_text(ngx_http_ws_bus_client_t *wc, wsb_text_t *text)
{
    if (text->failed) {
        wsb_text_done(text);
        ngx_http_ws_bus_client_close(wc);
        return;
    }

    wc->transport->answer(wc, text->data, text->len);

    wsb_text_done(text);
}


ngx_http_ws_bus_out_t *
ngx_http_ws_bus_out_new(ngx_http_ws_bus_client_t *wc, size_t len)
{
    ngx_http_ws_bus_out_t  *out;

    if (wc->closed) {
        return NULL;
    }

    out = ngx_alloc(sizeof(ngx_http_ws_bus_out_t) + len,
                    wc->connection->log);
    if (out == NULL) {
        ngx_http_ws_bus_client_close(wc);
        return NULL;
    }

    out->next = NULL;
    out->kind = NGX_HTTP_WS_BUS_OUT_ANSWER;
    out->pos = out->data;
    out->last = out->data;

    return out;
}


void
ngx_http_ws_bus_out_add(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_out_t *out)
{
    wc->control_size += (uint32_t) ngx_http_ws_bus_out_size(out);

    if (out->kind == NGX_HTTP_WS_BUS_OUT_LATEST && wc->blocked) {

        if (wc->latest != NULL) {
            wc->control_size -= (uint32_t)
                                ngx_http_ws_bus_out_size(wc->latest);
            ngx_free(wc->latest);
        }

        wc->latest = out;
        return;
    }

    if (out->kind == NGX_HTTP_WS_BUS_OUT_LAST) {
        /* nothing comes after it */
        ngx_http_ws_bus_out_append_latest(wc);
    }

    ngx_http_ws_bus_out_append(wc, out);
}


static void
ngx_http_ws_bus_out_append(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_out_t *out)
{
    *wc->control_last = out;
    wc->control_last = &out->next;
}


static void
ngx_http_ws_bus_out_append_latest(ngx_http_ws_bus_client_t *wc)
{
    if (wc->latest != NULL) {
        ngx_http_ws_bus_out_append(wc, wc->latest);
        wc->latest = NULL;
    }
}


ngx_int_t
ngx_http_ws_bus_out_push(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec, wsb_sub_t *sub, wsb_change_t change)
{
    size_t                   len;
    u_char                   scratch[NGX_HTTP_WS_BUS_HEADROOM];
    ngx_str_t                piece[2];
    ngx_uint_t               i, n;
    ngx_http_ws_bus_item_t  *item;

    if (wc->nitems > 0
        && (wc->nitems == NGX_HTTP_WS_BUS_QUEUE_FRAMES
            || wc->queued > NGX_HTTP_WS_BUS_QUEUE_BYTES))
    {
        return NGX_DECLINED;
    }

    if (wc->nitems == 1 && wc->items == &wc->one
        && ngx_http_ws_bus_out_more_items(wc) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    n = wc->transport->event(rec, wc, sub->ordinal, change, scratch, piece);

    if (n == 0) {
        return NGX_ERROR;
    }

    len = piece[0].len + (n == 2 ? piece[1].len : 0);

    /* subscriptions of one connection get a record in their order */

    i = wc->nitems;

    while (i > (wc->sent ? 1 : 0)
           && wc->items[i - 1].record == rec
           && wc->items[i - 1].ordinal > sub->ordinal)
    {
        wc->items[i] = wc->items[i - 1];
        i--;
    }

    item = &wc->items[i];
    item->record = rec;
    item->pos = n == 1 ? piece[0].data : NULL;
    item->ordinal = sub->ordinal;
    item->change = change;
    item->len = (uint32_t) len;

    rec->refs++;

    wc->nitems++;
    wc->queued += (uint32_t) len;

    return NGX_OK;
}


/* Queues of more than one are passed on from connection to connection. */

static ngx_int_t
ngx_http_ws_bus_out_more_items(ngx_http_ws_bus_client_t *wc)
{
    void                    **block;
    ngx_http_ws_bus_item_t   *items;

    block = wc->fan->items;

    if (block != NULL) {
        wc->fan->items = *block;

    } else {
        block = ngx_alloc(NGX_HTTP_WS_BUS_QUEUE_FRAMES
                          * sizeof(ngx_http_ws_bus_item_t),
                          wc->connection->log);
        if (block == NULL) {
            return NGX_ERROR;
        }
    }

    items = (ngx_http_ws_bus_item_t *) block;
    items[0] = wc->one;
    wc->items = items;

    return NGX_OK;
}


static void
ngx_http_ws_bus_out_give_items(ngx_http_ws_bus_client_t *wc)
{
    void  **block;

    if (wc->items == &wc->one || wc->nitems > 1) {
        return;
    }

    block = (void **) wc->items;

    if (wc->nitems == 1) {
        wc->one = wc->items[0];
    }

    wc->items = &wc->one;

    *block = wc->fan->items;
    wc->fan->items = block;
}


static void
ngx_http_ws_bus_out_drop_items(ngx_http_ws_bus_client_t *wc, ngx_uint_t from)
{
    ngx_uint_t  i;

    for (i = from; i < wc->nitems; i++) {
        wc->queued -= wc->items[i].len;
        ngx_http_ws_bus_record_release(wc->fan, wc->items[i].record);
    }

    if (wc->nitems > from) {
        wc->nitems = (uint32_t) from;
    }

    ngx_http_ws_bus_out_give_items(wc);
}


void
ngx_http_ws_bus_out_unqueue(ngx_http_ws_bus_client_t *wc, uint32_t ordinal)
{
    ngx_uint_t  i, n;

    n = wc->sent ? 1 : 0;

    for (i = n; i < wc->nitems; i++) {

        if (wc->items[i].ordinal == ordinal) {
            wc->queued -= wc->items[i].len;
            ngx_http_ws_bus_record_release(wc->fan, wc->items[i].record);
            continue;
        }

        wc->items[n++] = wc->items[i];
    }

    if (wc->nitems > n) {
        wc->nitems = (uint32_t) n;
        ngx_http_ws_bus_out_give_items(wc);
    }
}


/*
 * The queue is full in the middle of matching this record: what it holds of
 * earlier ones stays, the cursor goes on with this one.
 */

void
ngx_http_ws_bus_out_overflow(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec)
{
    ngx_uint_t  n;

    for (n = wc->nitems; n > 0; n--) {
        if (wc->items[n - 1].record != rec) {
            break;
        }
    }

    ngx_http_ws_bus_out_drop_items(wc, n);

    if (!wc->overflowed) {
        wc->overflowed = 1;
        wc->fan->overflowed++;
    }

    wc->behind = 1;
    wc->cursor.seq = rec->seq;
    wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
    wc->ordinal = 0;
}


void
ngx_http_ws_bus_out_fall_behind(ngx_http_ws_bus_client_t *wc)
{
    ngx_uint_t               begun;
    ngx_http_ws_bus_item_t  *item;

    if (wc->fan->worker == NULL) {
        /* of no bus: it has no position */
        return;
    }

    begun = wc->sent ? 1 : 0;

    if (wc->nitems > begun) {

        /* these come again from the log, the first of them at the head */

        item = &wc->items[begun];

        wc->cursor.seq = item->record->seq;
        wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
        wc->ordinal = item->ordinal;

    } else if (!wc->behind) {
        wc->cursor = wc->fan->worker->hand.next;
        wc->ordinal = 0;
    }

    wc->behind = 1;

    /* from now on it is the client that is slow */
    ngx_http_ws_bus_fanout_not_overflowed(wc);

    ngx_http_ws_bus_out_drop_items(wc, begun);
}


void
ngx_http_ws_bus_out_mark_dirty(ngx_http_ws_bus_client_t *wc)
{
    if (wc->dirty || wc->catching) {
        return;
    }

    wc->dirty = 1;
    ngx_queue_insert_tail(&wc->fan->dirty, &wc->link);
}


/* Forgets everything; the connection writes no more. */

void
ngx_http_ws_bus_out_drop(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_out_t  *out;

    ngx_http_ws_bus_out_append_latest(wc);

    while (wc->control != NULL) {
        out = wc->control;
        wc->control = out->next;
        ngx_free(out);
    }

    wc->control_last = &wc->control;
    wc->control_size = 0;

    ngx_http_ws_bus_out_drop_items(wc, 0);

    wc->sent = 0;
}


void
ngx_http_ws_bus_out_writable(ngx_http_ws_bus_client_t *wc)
{
    wc->resumed = wc->blocked;
    wc->blocked = 0;

    ngx_http_ws_bus_out_append_latest(wc);

    if (ngx_http_ws_bus_out_flush(wc) == NGX_OK && wc->behind && !wc->closing) {
        ngx_http_ws_bus_catch_up(wc);
    }
}


ngx_int_t
ngx_http_ws_bus_out_flush(ngx_http_ws_bus_client_t *wc)
{
    size_t                    sent;
    ngx_int_t                 rc;
    ngx_http_ws_bus_write_t  *w;

    if (ngx_http_ws_bus_out_flush_one(wc)) {
        return NGX_OK;
    }

    if (wc->closed) {
        return NGX_ERROR;
    }

    w = &ngx_http_ws_bus_w;

    while (!wc->blocked) {

        ngx_http_ws_bus_out_gather(wc, w);

        if (w->n == 0 && !wc->transport->buffered(wc)) {
            break;
        }

        rc = wc->transport->write(wc, w, &sent);

        if (rc == NGX_ERROR) {
            ngx_http_ws_bus_client_close(wc);
            return NGX_ERROR;
        }

        ngx_http_ws_bus_out_written(wc, sent);

        if (rc == NGX_AGAIN) {
            wc->blocked = 1;

            if (!wc->closing) {
                ngx_http_ws_bus_out_fall_behind(wc);
            }
        }
    }

    if (wc->stalled && wc->control_size <= NGX_HTTP_WS_BUS_CONTROL_MAX / 2) {
        wc->stalled = 0;
        wc->conf->requests->resume(wc);
    }

    if (wc->paused && !wc->held
        && wc->control_size <= NGX_HTTP_WS_BUS_CONTROL_MAX / 2)
    {
        wc->paused = 0;
        wc->transport->resume(wc);
    }

    if (wc->blocked) {
        return NGX_AGAIN;
    }

    if (wc->closing || (wc->control == NULL && wc->nitems == 0)) {
        wc->transport->written(wc);
    }

    return wc->closed ? NGX_ERROR : NGX_OK;
}


/*
 * By far the commonest: one frame, kept whole, for a plain socket that takes
 * it.  Is that all?  If not, the usual way goes on with what is left, and
 * meets the error again.
 */

static ngx_uint_t
ngx_http_ws_bus_out_flush_one(ngx_http_ws_bus_client_t *wc)
{
    ssize_t                  n;
    ngx_http_ws_bus_item_t  *item;

    item = wc->items;

    if (wc->nitems != 1 || item->pos == NULL || wc->sent != 0
        || wc->control != NULL || wc->fd == (ngx_socket_t) -1
        || wc->blocked || wc->paused || wc->closing)
    {
        return 0;
    }

    n = send(wc->fd, item->pos, item->len, 0);

    if (n > 0) {
        ngx_http_ws_bus_out_written(wc, (size_t) n);
    }

    return wc->nitems == 0;
}


/* The next pieces to be written, as many as one call takes. */

static void
ngx_http_ws_bus_out_gather(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_write_t *w)
{
    ngx_uint_t              i;
    ngx_http_ws_bus_out_t  *out;

    w->n = 0;
    w->size = 0;
    i = 0;

    if (wc->sent) {
        ngx_http_ws_bus_out_gather_item(wc, w, 0, wc->sent);
        i = 1;
    }

    for (out = wc->control; out != NULL; out = out->next) {

        if (w->n == NGX_HTTP_WS_BUS_PIECES) {
            return;
        }

        ngx_http_ws_bus_out_piece(w, out->pos, out->last - out->pos);
    }

    for ( /* void */ ; i < wc->nitems; i++) {

        if (w->n + 2 > NGX_HTTP_WS_BUS_PIECES) {
            return;
        }

        ngx_http_ws_bus_out_gather_item(wc, w, i, 0);
    }
}


static void
ngx_http_ws_bus_out_gather_item(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_write_t *w, ngx_uint_t i, size_t skip)
{
    ngx_str_t                piece[2];
    ngx_uint_t               k, n;
    ngx_http_ws_bus_item_t  *item;

    item = &wc->items[i];

    if (item->pos != NULL) {
        ngx_http_ws_bus_out_piece(w, item->pos + skip, item->len - skip);
        return;
    }

    n = wc->transport->event(item->record, wc, item->ordinal, item->change,
                             w->scratch[i], piece);

    for (k = 0; k < n; k++) {

        if (skip >= piece[k].len) {
            skip -= piece[k].len;
            continue;
        }

        ngx_http_ws_bus_out_piece(w, piece[k].data + skip, piece[k].len - skip);
        skip = 0;
    }
}


static void
ngx_http_ws_bus_out_piece(ngx_http_ws_bus_write_t *w, u_char *pos, size_t len)
{
    w->piece[w->n].iov_base = pos;
    w->piece[w->n].iov_len = len;

    w->n++;
    w->size += len;
}


/* Takes n written bytes off the queues, in the order of gather(). */

static void
ngx_http_ws_bus_out_written(ngx_http_ws_bus_client_t *wc, size_t n)
{
    size_t                  len;
    ngx_http_ws_bus_out_t  *out;

    wc->bytes_out += n;

    if (wc->fan->worker != NULL) {
        ngx_http_ws_bus_counters(wc->fan->worker)->bytes_out += n;
    }

    if (wc->resumed && n > 0) {
        /* it does read, if slowly */
        wc->resumed = 0;
        ngx_http_ws_bus_heartbeat_heard(wc, WSB_LIFE_ANY);
    }

    if (wc->sent) {
        n = ngx_http_ws_bus_out_written_items(wc, n, 1);
    }

    while (n > 0 && wc->control != NULL) {
        out = wc->control;
        len = out->last - out->pos;

        if (n < len) {
            out->pos += n;
            wc->control_size -= (uint32_t) n;
            return;
        }

        n -= len;
        wc->control_size -= (uint32_t) ngx_http_ws_bus_out_size(out);
        wc->control = out->next;

        if (wc->control == NULL) {
            wc->control_last = &wc->control;
        }

        ngx_free(out);
    }

    if (n > 0) {
        (void) ngx_http_ws_bus_out_written_items(wc, n, wc->nitems);
    }
}


/* Of the first max items; returns what is left of n. */

static size_t
ngx_http_ws_bus_out_written_items(ngx_http_ws_bus_client_t *wc, size_t n,
    ngx_uint_t max)
{
    size_t                   left;
    ngx_uint_t               i;
    ngx_http_ws_bus_item_t  *item;

    for (i = 0; i < max && n > 0; i++) {
        item = &wc->items[i];
        left = item->len - wc->sent;

        if (n < left) {
            wc->sent += (uint32_t) n;
            n = 0;
            break;
        }

        n -= left;

        wc->sent = 0;
        wc->queued -= item->len;

        ngx_http_ws_bus_record_release(wc->fan, item->record);
    }

    if (i == 0) {
        return n;
    }

    ngx_http_ws_bus_counters(wc->fan->worker)->deliveries += i;
    wc->events_out += i;

    wc->nitems -= (uint32_t) i;

    if (wc->nitems != 0) {
        ngx_memmove(wc->items, wc->items + i,
                    wc->nitems * sizeof(ngx_http_ws_bus_item_t));
    }

    ngx_http_ws_bus_out_give_items(wc);

    return n;
}
