/*
 * What is on its way to a client: the control queue, the event queue, and the
 * writing of both.
 *
 * The frame that has been begun is finished first, then the answers go, then
 * the events.  If the socket takes no more, events not begun are dropped and
 * the connection becomes a cursor: it costs the same whatever it misses.
 */

#include "ngx_http_ws_bus_module.h"


#define NGX_HTTP_WS_BUS_PIECES  64        /* of one writev() */


/* What one call writes. */

typedef struct {
    struct iovec                 piece[NGX_HTTP_WS_BUS_PIECES];
    u_char                       scratch[NGX_HTTP_WS_BUS_QUEUE_FRAMES]
                                     [NGX_HTTP_WS_BUS_HEADROOM];
    ngx_uint_t                   n;
    size_t                       size;
} ngx_http_ws_bus_write_t;


static ngx_http_ws_bus_out_t *ngx_http_ws_bus_new_out(
    ngx_http_ws_bus_conn_t *wc, ngx_uint_t opcode, size_t len);
static void ngx_http_ws_bus_enqueue(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_out_t *out);
static void ngx_http_ws_bus_append(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_out_t *out);
static void ngx_http_ws_bus_append_pong(ngx_http_ws_bus_conn_t *wc);
static ngx_int_t ngx_http_ws_bus_more_items(ngx_http_ws_bus_conn_t *wc);
static void ngx_http_ws_bus_give_items(ngx_http_ws_bus_conn_t *wc);
static void ngx_http_ws_bus_drop_items(ngx_http_ws_bus_conn_t *wc,
    ngx_uint_t from);
static ngx_uint_t ngx_http_ws_bus_flush_one(ngx_http_ws_bus_conn_t *wc);
static void ngx_http_ws_bus_gather(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_write_t *w);
static void ngx_http_ws_bus_gather_item(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_write_t *w, ngx_uint_t i, size_t skip);
static void ngx_http_ws_bus_piece(ngx_http_ws_bus_write_t *w, u_char *pos,
    size_t len);
static ngx_int_t ngx_http_ws_bus_write(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_write_t *w, size_t *sent);
static ngx_int_t ngx_http_ws_bus_write_chain(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_write_t *w, size_t *sent);
static void ngx_http_ws_bus_written(ngx_http_ws_bus_conn_t *wc, size_t n);
static size_t ngx_http_ws_bus_written_items(ngx_http_ws_bus_conn_t *wc,
    size_t n, ngx_uint_t max);
static ngx_int_t ngx_http_ws_bus_block(ngx_http_ws_bus_conn_t *wc);


/* What is counted of a message is memory: tiny ones are not free. */

static ngx_inline size_t
ngx_http_ws_bus_out_size(const ngx_http_ws_bus_out_t *out)
{
    return sizeof(ngx_http_ws_bus_out_t) + (size_t) (out->last - out->pos);
}


/* One for the process: flushes do not nest. */

static ngx_http_ws_bus_write_t  ngx_http_ws_bus_w;


void
ngx_http_ws_bus_send_text(ngx_http_ws_bus_conn_t *wc, wsb_text_t *text)
{
    if (text->failed) {
        wsb_text_done(text);
        ngx_http_ws_bus_close_conn(wc);
        return;
    }

    ngx_http_ws_bus_send_frame(wc, WSB_FRAME_TEXT, text->data, text->len);

    wsb_text_done(text);
}


void
ngx_http_ws_bus_send_frame(ngx_http_ws_bus_conn_t *wc, ngx_uint_t opcode,
    const u_char *data, size_t len)
{
    ngx_http_ws_bus_out_t  *out;

    out = ngx_http_ws_bus_new_out(wc, opcode,
                                  WSB_FRAME_SERVER_HEADER_MAX + len);
    if (out == NULL) {
        return;
    }

    out->last += wsb_frame_header(out->last, (unsigned) opcode, 0, len);
    out->last = ngx_cpymem(out->last, data, len);

    ngx_http_ws_bus_enqueue(wc, out);
}


void
ngx_http_ws_bus_send_raw(ngx_http_ws_bus_conn_t *wc, ngx_uint_t opcode,
    const u_char *frame, size_t len)
{
    ngx_http_ws_bus_out_t  *out;

    out = ngx_http_ws_bus_new_out(wc, opcode, len);
    if (out == NULL) {
        return;
    }

    out->last = ngx_cpymem(out->last, frame, len);

    ngx_http_ws_bus_enqueue(wc, out);
}


static ngx_http_ws_bus_out_t *
ngx_http_ws_bus_new_out(ngx_http_ws_bus_conn_t *wc, ngx_uint_t opcode,
    size_t len)
{
    ngx_http_ws_bus_out_t  *out;

    if (wc->closed) {
        return NULL;
    }

    out = ngx_alloc(sizeof(ngx_http_ws_bus_out_t) + len,
                    wc->connection->log);
    if (out == NULL) {
        ngx_http_ws_bus_close_conn(wc);
        return NULL;
    }

    out->next = NULL;
    out->opcode = opcode;
    out->pos = out->data;
    out->last = out->data;

    return out;
}


static void
ngx_http_ws_bus_enqueue(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_out_t *out)
{
    wc->control_size += (uint32_t) ngx_http_ws_bus_out_size(out);

    if (out->opcode == WSB_FRAME_PONG && wc->blocked) {

        /*
         * A client that pings without reading is answered the latest of
         * these pings only: RFC 6455, section 5.5.3.
         */

        if (wc->pong != NULL) {
            wc->control_size -= (uint32_t) ngx_http_ws_bus_out_size(wc->pong);
            ngx_free(wc->pong);
        }

        wc->pong = out;
        return;
    }

    if (out->opcode == WSB_FRAME_CLOSE) {
        /* nothing comes after it */
        ngx_http_ws_bus_append_pong(wc);
    }

    ngx_http_ws_bus_append(wc, out);
}


static void
ngx_http_ws_bus_append(ngx_http_ws_bus_conn_t *wc, ngx_http_ws_bus_out_t *out)
{
    *wc->control_last = out;
    wc->control_last = &out->next;
}


static void
ngx_http_ws_bus_append_pong(ngx_http_ws_bus_conn_t *wc)
{
    if (wc->pong != NULL) {
        ngx_http_ws_bus_append(wc, wc->pong);
        wc->pong = NULL;
    }
}


ngx_int_t
ngx_http_ws_bus_push(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_record_t *rec, wsb_sub_t *sub, wsb_change_t change)
{
    size_t                      len;
    u_char                      scratch[NGX_HTTP_WS_BUS_HEADROOM];
    ngx_str_t                   piece[2];
    ngx_uint_t                  i, n;
    ngx_http_ws_bus_item_t     *item;

    if (wc->nitems > 0
        && (wc->nitems == NGX_HTTP_WS_BUS_QUEUE_FRAMES
            || wc->queued > NGX_HTTP_WS_BUS_QUEUE_BYTES))
    {
        return NGX_DECLINED;
    }

    if (wc->nitems == 1 && wc->items == &wc->one
        && ngx_http_ws_bus_more_items(wc) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    n = ngx_http_ws_bus_frame(rec, wc, sub->ordinal, change, scratch, piece);

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
ngx_http_ws_bus_more_items(ngx_http_ws_bus_conn_t *wc)
{
    void                    **block;
    ngx_http_ws_bus_item_t   *items;

    block = wc->worker->items;

    if (block != NULL) {
        wc->worker->items = *block;

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
ngx_http_ws_bus_give_items(ngx_http_ws_bus_conn_t *wc)
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

    *block = wc->worker->items;
    wc->worker->items = block;
}


static void
ngx_http_ws_bus_drop_items(ngx_http_ws_bus_conn_t *wc, ngx_uint_t from)
{
    ngx_uint_t  i;

    for (i = from; i < wc->nitems; i++) {
        wc->queued -= wc->items[i].len;
        ngx_http_ws_bus_release(wc->worker, wc->items[i].record);
    }

    if (wc->nitems > from) {
        wc->nitems = (uint32_t) from;
    }

    ngx_http_ws_bus_give_items(wc);
}


void
ngx_http_ws_bus_unqueue(ngx_http_ws_bus_conn_t *wc, uint32_t ordinal)
{
    ngx_uint_t  i, n;

    n = wc->sent ? 1 : 0;

    for (i = n; i < wc->nitems; i++) {

        if (wc->items[i].ordinal == ordinal) {
            wc->queued -= wc->items[i].len;
            ngx_http_ws_bus_release(wc->worker, wc->items[i].record);
            continue;
        }

        wc->items[n++] = wc->items[i];
    }

    if (wc->nitems > n) {
        wc->nitems = (uint32_t) n;
        ngx_http_ws_bus_give_items(wc);
    }
}


/*
 * The queue is full in the middle of matching this record: what it holds of
 * earlier ones stays, the cursor goes on with this one.
 */

void
ngx_http_ws_bus_overflow(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_record_t *rec)
{
    ngx_uint_t  n;

    for (n = wc->nitems; n > 0; n--) {
        if (wc->items[n - 1].record != rec) {
            break;
        }
    }

    ngx_http_ws_bus_drop_items(wc, n);

    if (!wc->overflowed) {
        wc->overflowed = 1;
        wc->worker->overflowed++;
    }

    wc->behind = 1;
    wc->cursor.seq = rec->seq;
    wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
    wc->ordinal = 0;
}


void
ngx_http_ws_bus_fall_behind(ngx_http_ws_bus_conn_t *wc)
{
    ngx_uint_t               begun;
    ngx_http_ws_bus_item_t  *item;

    if (wc->worker == NULL) {
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
        wc->cursor = wc->worker->hand.next;
        wc->ordinal = 0;
    }

    wc->behind = 1;

    /* from now on it is the client that is slow */
    ngx_http_ws_bus_not_overflowed(wc);

    ngx_http_ws_bus_drop_items(wc, begun);
}


void
ngx_http_ws_bus_mark_dirty(ngx_http_ws_bus_conn_t *wc)
{
    if (wc->dirty || wc->catching) {
        return;
    }

    wc->dirty = 1;
    ngx_queue_insert_tail(&wc->worker->dirty, &wc->link);
}


/* Forgets everything; the connection writes no more. */

void
ngx_http_ws_bus_drop_out(ngx_http_ws_bus_conn_t *wc)
{
    ngx_http_ws_bus_out_t  *out;

    ngx_http_ws_bus_append_pong(wc);

    while (wc->control != NULL) {
        out = wc->control;
        wc->control = out->next;
        ngx_free(out);
    }

    wc->control_last = &wc->control;
    wc->control_size = 0;

    if (wc->worker != NULL) {
        ngx_http_ws_bus_drop_items(wc, 0);
    }

    wc->sent = 0;
}


void
ngx_http_ws_bus_write_handler(ngx_event_t *wev)
{
    ngx_connection_t        *c;
    ngx_http_ws_bus_conn_t  *wc;

    c = wev->data;
    wc = c->data;

    ngx_http_ws_bus_turn();

    wc->resumed = wc->blocked;
    wc->blocked = 0;

    ngx_http_ws_bus_append_pong(wc);

    if (ngx_http_ws_bus_flush(wc) == NGX_OK && wc->behind && !wc->closing) {
        ngx_http_ws_bus_catch_up(wc);
    }

    /* poll() and select() would say so again and again */

    if (!wc->closed && !wc->blocked && ngx_handle_write_event(wev, 0) != NGX_OK)
    {
        ngx_http_ws_bus_close_conn(wc);
    }
}


ngx_int_t
ngx_http_ws_bus_flush(ngx_http_ws_bus_conn_t *wc)
{
    size_t                    sent;
    ngx_int_t                 rc;
    ngx_event_t              *rev;
    ngx_connection_t         *c;
    ngx_http_ws_bus_write_t  *w;

    if (ngx_http_ws_bus_flush_one(wc)) {
        return NGX_OK;
    }

    if (wc->closed) {
        return NGX_ERROR;
    }

    c = wc->connection;
    w = &ngx_http_ws_bus_w;

    while (!wc->blocked) {

        ngx_http_ws_bus_gather(wc, w);

        if (w->n == 0 && !c->buffered) {
            break;
        }

        rc = ngx_http_ws_bus_write(wc, w, &sent);

        if (rc == NGX_ERROR) {
            ngx_log_error(NGX_LOG_INFO, c->log, 0,
                          "client closed a websocket while it was written");
            ngx_http_ws_bus_close_conn(wc);
            return NGX_ERROR;
        }

        ngx_http_ws_bus_written(wc, sent);

        if (rc == NGX_AGAIN) {
            if (ngx_http_ws_bus_block(wc) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    if (wc->paused && wc->control_size <= NGX_HTTP_WS_BUS_CONTROL_MAX / 2) {
        wc->paused = 0;
        rev = c->read;
        ngx_post_event(rev, &ngx_posted_next_events);
    }

    if (wc->blocked) {
        return NGX_AGAIN;
    }

    if (wc->closing) {
        ngx_http_ws_bus_shut(wc);
        return wc->closed ? NGX_ERROR : NGX_OK;
    }

    if (wc->control == NULL && wc->nitems == 0) {
        ngx_http_ws_bus_free_ssl_buffer(c);
    }

    return NGX_OK;
}


/*
 * By far the commonest: one frame, kept whole, for a plain socket that takes
 * it.  Is that all?  If not, the usual way goes on with what is left, and
 * meets the error again.
 */

static ngx_uint_t
ngx_http_ws_bus_flush_one(ngx_http_ws_bus_conn_t *wc)
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
        ngx_http_ws_bus_written(wc, (size_t) n);
    }

    return wc->nitems == 0;
}


/* The next pieces to be written, as many as one call takes. */

static void
ngx_http_ws_bus_gather(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_write_t *w)
{
    ngx_uint_t              i;
    ngx_http_ws_bus_out_t  *out;

    w->n = 0;
    w->size = 0;
    i = 0;

    if (wc->sent) {
        ngx_http_ws_bus_gather_item(wc, w, 0, wc->sent);
        i = 1;
    }

    for (out = wc->control; out != NULL; out = out->next) {

        if (w->n == NGX_HTTP_WS_BUS_PIECES) {
            return;
        }

        ngx_http_ws_bus_piece(w, out->pos, out->last - out->pos);
    }

    for ( /* void */ ; i < wc->nitems; i++) {

        if (w->n + 2 > NGX_HTTP_WS_BUS_PIECES) {
            return;
        }

        ngx_http_ws_bus_gather_item(wc, w, i, 0);
    }
}


static void
ngx_http_ws_bus_gather_item(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_write_t *w, ngx_uint_t i, size_t skip)
{
    ngx_str_t                piece[2];
    ngx_uint_t               k, n;
    ngx_http_ws_bus_item_t  *item;

    item = &wc->items[i];

    if (item->pos != NULL) {
        ngx_http_ws_bus_piece(w, item->pos + skip, item->len - skip);
        return;
    }

    n = ngx_http_ws_bus_frame(item->record, wc, item->ordinal, item->change,
                              w->scratch[i], piece);

    for (k = 0; k < n; k++) {

        if (skip >= piece[k].len) {
            skip -= piece[k].len;
            continue;
        }

        ngx_http_ws_bus_piece(w, piece[k].data + skip, piece[k].len - skip);
        skip = 0;
    }
}


static void
ngx_http_ws_bus_piece(ngx_http_ws_bus_write_t *w, u_char *pos, size_t len)
{
    w->piece[w->n].iov_base = pos;
    w->piece[w->n].iov_len = len;

    w->n++;
    w->size += len;
}


/* NGX_AGAIN: the socket took *sent bytes and takes no more. */

static ngx_int_t
ngx_http_ws_bus_write(ngx_http_ws_bus_conn_t *wc, ngx_http_ws_bus_write_t *w,
    size_t *sent)
{
    ssize_t            n;
    ngx_err_t          err;
    ngx_connection_t  *c;

    c = wc->connection;
    *sent = 0;

    if (wc->fd == (ngx_socket_t) -1) {
        return ngx_http_ws_bus_write_chain(wc, w, sent);
    }

    do {
        n = w->n == 1 ? send(wc->fd, w->piece[0].iov_base, w->size, 0)
                      : writev(wc->fd, w->piece, (int) w->n);

        err = n == -1 ? ngx_socket_errno : 0;

    } while (err == NGX_EINTR);

    if (err != 0 && err != NGX_EAGAIN) {
        (void) ngx_connection_error(c, err, "writev() to a websocket failed");
        return NGX_ERROR;
    }

    *sent = n == -1 ? 0 : (size_t) n;

    if (*sent == w->size) {
        return NGX_OK;
    }

    c->write->ready = 0;

    return NGX_AGAIN;
}


/* Through nginx: TLS, and a connection that is not detached yet. */

static ngx_int_t
ngx_http_ws_bus_write_chain(ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_write_t *w, size_t *sent)
{
    size_t             left;
    ngx_buf_t         *b;
    ngx_uint_t         i;
    ngx_chain_t       *cl;
    ngx_connection_t  *c;

    static ngx_buf_t    bufs[NGX_HTTP_WS_BUS_PIECES];
    static ngx_chain_t  chain[NGX_HTTP_WS_BUS_PIECES];

    c = wc->connection;

    for (i = 0; i < w->n; i++) {
        b = &bufs[i];

        ngx_memzero(b, sizeof(ngx_buf_t));

        b->pos = w->piece[i].iov_base;
        b->last = b->pos + w->piece[i].iov_len;
        b->memory = 1;

        /* TLS holds small buffers back until it is told to flush */
        b->flush = (i + 1 == w->n);

        chain[i].buf = b;
        chain[i].next = b->flush ? NULL : &chain[i + 1];
    }

    cl = c->send_chain(c, w->n ? chain : NULL, 0);

    if (cl == NGX_CHAIN_ERROR) {
        return NGX_ERROR;
    }

    left = 0;

    for (i = 0; i < w->n; i++) {
        left += bufs[i].last - bufs[i].pos;
    }

    *sent = w->size - left;

    return (left != 0 || c->buffered) ? NGX_AGAIN : NGX_OK;
}


/* Takes n written bytes off the queues, in the order of gather(). */

static void
ngx_http_ws_bus_written(ngx_http_ws_bus_conn_t *wc, size_t n)
{
    size_t                  len;
    ngx_http_ws_bus_out_t  *out;

    wc->bytes_out += n;

    if (wc->worker != NULL) {
        ngx_http_ws_bus_counters(wc->worker)->bytes_out += n;
    }

    if (wc->resumed && n > 0) {
        /* it does read, if slowly */
        wc->resumed = 0;
        ngx_http_ws_bus_heard(wc, WSB_LIFE_ANY);
    }

    if (wc->sent) {
        n = ngx_http_ws_bus_written_items(wc, n, 1);
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
        (void) ngx_http_ws_bus_written_items(wc, n, wc->nitems);
    }
}


/* Of the first max items; returns what is left of n. */

static size_t
ngx_http_ws_bus_written_items(ngx_http_ws_bus_conn_t *wc, size_t n,
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

        ngx_http_ws_bus_release(wc->worker, item->record);
    }

    if (i == 0) {
        return n;
    }

    ngx_http_ws_bus_counters(wc->worker)->deliveries += i;
    wc->events_out += i;

    wc->nitems -= (uint32_t) i;

    if (wc->nitems != 0) {
        ngx_memmove(wc->items, wc->items + i,
                    wc->nitems * sizeof(ngx_http_ws_bus_item_t));
    }

    ngx_http_ws_bus_give_items(wc);

    return n;
}


static ngx_int_t
ngx_http_ws_bus_block(ngx_http_ws_bus_conn_t *wc)
{
    wc->blocked = 1;

    if (!wc->closing) {
        ngx_http_ws_bus_fall_behind(wc);
    }

    if (ngx_handle_write_event(wc->connection->write, 0) != NGX_OK) {
        ngx_http_ws_bus_close_conn(wc);
        return NGX_ERROR;
    }

    return NGX_OK;
}
