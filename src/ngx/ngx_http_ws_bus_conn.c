/*
 * A connection that is ours: reading, closing, shutting down.
 */

#include "ngx_http_ws_bus_module.h"

#include <sys/random.h>


static void ngx_http_ws_bus_read_handler(ngx_event_t *rev);
static void ngx_http_ws_bus_read(ngx_http_ws_bus_conn_t *wc);
static void ngx_http_ws_bus_block_reading(ngx_http_ws_bus_conn_t *wc);
static ngx_int_t ngx_http_ws_bus_parse(ngx_http_ws_bus_conn_t *wc,
    u_char *pos, u_char *last);
static ngx_int_t ngx_http_ws_bus_keep_input(ngx_http_ws_bus_conn_t *wc,
    u_char *pos, u_char *last);
static void ngx_http_ws_bus_peer_close(ngx_http_ws_bus_conn_t *wc,
    wsb_message_t *msg);
static void ngx_http_ws_bus_drain(ngx_http_ws_bus_conn_t *wc);
static void ngx_http_ws_bus_end_of_service(ngx_http_ws_bus_conn_t *wc);
static void ngx_http_ws_bus_husk_handler(ngx_event_t *ev);


/* One for all connections of the process: none is parsed within another. */

static u_char         ngx_http_ws_bus_buffer[NGX_HTTP_WS_BUS_READ_SIZE];

static ngx_queue_t    ngx_http_ws_bus_husks;
static ngx_event_t    ngx_http_ws_bus_husk_event;


ngx_http_ws_bus_conn_t *
ngx_http_ws_bus_create_conn(ngx_connection_t *c,
    ngx_http_ws_bus_loc_conf_t *conf)
{
    ngx_http_ws_bus_conn_t  *wc;

    wc = ngx_calloc(sizeof(ngx_http_ws_bus_conn_t), c->log);
    if (wc == NULL) {
        return NULL;
    }

    if (getrandom(wc->id, sizeof(wc->id), 0) != sizeof(wc->id)) {
        ngx_free(wc);
        return NULL;
    }

    /* a UUID of version 4, without its hyphens */

    wc->id[6] = (wc->id[6] & 0x0f) | 0x40;
    wc->id[8] = (wc->id[8] & 0x3f) | 0x80;

    wc->connection = c;
    wc->fd = (ngx_socket_t) -1;
    wc->conf = conf;
    wc->worker = conf->zone ? conf->zone->worker : NULL;
    wc->items = &wc->one;
    wc->control_last = &wc->control;

    if (wc->worker != NULL) {
        wc->cursor.seq = wsb_log_head(&wc->worker->zone->log) + 1;
        wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
    }

    return wc;
}


void
ngx_http_ws_bus_free_conn(ngx_http_ws_bus_conn_t *wc)
{
    ngx_http_ws_bus_drop_out(wc);
    wsb_reader_done(&wc->reader);

    if (wc->input.data != NULL) {
        ngx_free(wc->input.data);
    }

    if (wc->tenant.data != NULL) {
        ngx_free(wc->tenant.data);
    }

    wsb_restrict_free(wc->forced);
    ngx_http_ws_bus_unlimit(wc);

    if (wc->quotas != NULL) {
        ngx_free(wc->quotas);
    }

    if (wc->jwt != NULL) {
        ngx_free(wc->jwt);
    }

    if (wc->subs != NULL) {
        wsb_free(wc->subs);
    }

    ngx_http_ws_bus_log_free(wc);

    ngx_free(wc);
}


void
ngx_http_ws_bus_open_conn(ngx_http_ws_bus_conn_t *wc)
{
    int                size;
    wsb_counters_t    *counters;
    ngx_connection_t  *c;

    c = wc->connection;

    c->log->action = "serving a websocket";
    c->read->handler = ngx_http_ws_bus_read_handler;
    c->write->handler = ngx_http_ws_bus_write_handler;

    if (wc->conf->sndbuf != 0) {
        size = (int) wc->conf->sndbuf;

        if (setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(int))
            == -1)
        {
            ngx_connection_error(c, ngx_socket_errno,
                                 "setsockopt(SO_SNDBUF) failed");
        }
    }

    /* frames are small, and each is written as a whole */

    if (ngx_tcp_nodelay(c) != NGX_OK) {
        ngx_http_ws_bus_close_conn(wc);
        return;
    }

    if (c->send == ngx_send) {
        wc->fd = c->fd;
    }

    if (wc->worker != NULL) {
        ngx_queue_insert_tail(&wc->worker->conns, &wc->conns);

        counters = ngx_http_ws_bus_counters(wc->worker);
        counters->connections++;
        counters->opened++;
        wc->counted = 1;
    }

    /* so nginx tells us, once, that the worker is to exit */
    c->idle = 1;

    ngx_http_ws_bus_start_heartbeat(wc);
    ngx_http_ws_bus_jwt_start(wc);
    ngx_http_ws_bus_welcome(wc);

    if (ngx_exiting && !wc->closed) {
        /* that notice was given before */
        ngx_http_ws_bus_end_of_service(wc);
    }

    if (ngx_http_ws_bus_flush(wc) != NGX_ERROR) {
        ngx_http_ws_bus_read(wc);
    }
}


static void
ngx_http_ws_bus_read_handler(ngx_event_t *rev)
{
    ngx_connection_t        *c;
    ngx_http_ws_bus_conn_t  *wc;

    c = rev->data;
    wc = c->data;

    ngx_http_ws_bus_turn();

    if (c->close) {
        c->close = 0;

        if (c->error) {
            /* worker_shutdown_timeout */
            ngx_http_ws_bus_close_conn(wc);
            return;
        }

        c->idle = 0;
        ngx_http_ws_bus_end_of_service(wc);
        return;
    }

    if (rev->timedout) {
        rev->timedout = 0;

        if (wc->closing) {
            ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                          "client did not finish the websocket close");
            ngx_http_ws_bus_close_conn(wc);
            return;
        }

        if (wc->unsure && ngx_http_ws_bus_succeeded()) {
            wc->unsure = 0;
            ngx_http_ws_bus_end_of_service(wc);
            return;
        }

        /* its turn in the drain has come */

        ngx_http_ws_bus_start_close(wc, ngx_http_ws_bus_succeeded()
                                            ? WSB_CLOSE_RESTART
                                            : WSB_CLOSE_GOING_AWAY, NULL);
        return;
    }

    if (wc->shut) {
        ngx_http_ws_bus_drain(wc);
        return;
    }

    if (wc->paused) {
        ngx_http_ws_bus_block_reading(wc);
        return;
    }

    ngx_http_ws_bus_read(wc);
}


/*
 * Reads until there is no more, but no longer than is fair to the others:
 * then it goes on in the next turn.
 */

static void
ngx_http_ws_bus_read(ngx_http_ws_bus_conn_t *wc)
{
    u_char            *pos;
    ssize_t            n;
    ngx_int_t          rc;
    ngx_str_t          input;
    ngx_uint_t         i;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = wc->connection;
    rev = c->read;

    if (wc->input.data != NULL) {
        input = wc->input;
        ngx_str_null(&wc->input);

        rc = ngx_http_ws_bus_parse(wc, input.data, input.data + input.len);

        ngx_free(input.data);

        if (rc != NGX_OK) {
            return;
        }
    }

    for (i = 0; i < NGX_HTTP_WS_BUS_READ_TIMES; i++) {

        n = c->recv(c, ngx_http_ws_bus_buffer, NGX_HTTP_WS_BUS_READ_SIZE);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 && wc->control_size != 0) {
            /* half closed: it gets what it is owed, in a bounded time */
            wc->close_seen = 1;
            ngx_http_ws_bus_block_reading(wc);
            ngx_http_ws_bus_start_close(wc, WSB_CLOSE_NO_STATUS, NULL);
            return;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_log_error(NGX_LOG_INFO, c->log, 0,
                          "client closed a websocket without a Close frame");
            ngx_http_ws_bus_close_conn(wc);
            return;
        }

        ngx_http_ws_bus_heard(wc, WSB_LIFE_ANY);
        pos = ngx_http_ws_bus_buffer;

        if (ngx_http_ws_bus_parse(wc, pos, pos + n) != NGX_OK) {
            return;
        }

    }

    if (i == NGX_HTTP_WS_BUS_READ_TIMES && rev->ready) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_ws_bus_close_conn(wc);
    }
}


/* What is not read, poll() and select() would report again and again. */

static void
ngx_http_ws_bus_block_reading(ngx_http_ws_bus_conn_t *wc)
{
    ngx_event_t  *rev;

    rev = wc->connection->read;

    if ((ngx_event_flags & NGX_USE_LEVEL_EVENT) && rev->active
        && ngx_del_event(rev, NGX_READ_EVENT, 0) != NGX_OK)
    {
        ngx_http_ws_bus_close_conn(wc);
    }
}


/*
 * NGX_OK: everything has been parsed, read on.  NGX_DONE: no more is to be
 * read now, or ever; wc may be a husk.
 */

static ngx_int_t
ngx_http_ws_bus_parse(ngx_http_ws_bus_conn_t *wc, u_char *pos, u_char *last)
{
    wsb_rc_t       rc;
    wsb_message_t  msg;

    for ( ;; ) {

        rc = wsb_reader_next(&wc->reader, &wc->conf->reader, &pos, last,
                             &msg);

        if (rc != WSB_OK) {
            break;
        }

        if (msg.opcode == WSB_FRAME_CLOSE) {
            ngx_http_ws_bus_peer_close(wc, &msg);
            return NGX_DONE;
        }

        if (wc->closing) {
            /* a client may go on until it has seen our Close */
            continue;
        }

        ngx_http_ws_bus_message(wc, &msg);

        if (wc->closed) {
            return NGX_DONE;
        }

        if (wc->control_size > NGX_HTTP_WS_BUS_CONTROL_MAX
            && ngx_http_ws_bus_flush(wc) != NGX_OK)
        {
            if (wc->closed) {
                return NGX_DONE;
            }

            if (wc->control_size > NGX_HTTP_WS_BUS_CONTROL_MAX) {
                wc->paused = 1;
                return ngx_http_ws_bus_keep_input(wc, pos, last);
            }
        }

        if (pos < last
            && ngx_http_ws_bus_now() - ngx_http_ws_bus_turn_began()
               >= NGX_HTTP_WS_BUS_PARSE_TIME)
        {
            /* the turn of all: each has at least one message in it */

            if (ngx_http_ws_bus_flush(wc) == NGX_ERROR) {
                return NGX_DONE;
            }

            ngx_post_event(wc->connection->read, &ngx_posted_next_events);
            return ngx_http_ws_bus_keep_input(wc, pos, last);
        }
    }

    if (rc == WSB_AGAIN) {
        return ngx_http_ws_bus_flush(wc) == NGX_ERROR ? NGX_DONE : NGX_OK;
    }

    if (rc == WSB_NOMEM) {
        ngx_http_ws_bus_start_close(wc, WSB_CLOSE_INTERNAL, "no memory");
        return NGX_DONE;
    }

    ngx_log_error(NGX_LOG_INFO, wc->connection->log, 0,
                  "client sent a bad websocket frame: %s",
                  wc->reader.reason);

    /* RFC 6455, section 7.1.7: what it may still say does not count */

    wc->close_seen = 1;

    if (wc->closing) {
        (void) ngx_http_ws_bus_flush(wc);
        return NGX_DONE;
    }

    ngx_http_ws_bus_start_close(wc, wc->reader.close_code,
                                wc->reader.reason);

    return NGX_DONE;
}


/*
 * The client sends without reading its answers, and is not read either until
 * they have been written; or the turn has been long enough.  What was read
 * already waits.
 */

static ngx_int_t
ngx_http_ws_bus_keep_input(ngx_http_ws_bus_conn_t *wc, u_char *pos,
    u_char *last)
{
    if (pos == last) {
        return NGX_DONE;
    }

    wc->input.data = ngx_alloc(last - pos, wc->connection->log);

    if (wc->input.data == NULL) {
        ngx_http_ws_bus_close_conn(wc);
        return NGX_DONE;
    }

    wc->input.len = last - pos;
    ngx_memcpy(wc->input.data, pos, last - pos);

    return NGX_DONE;
}


/* RFC 6455, section 5.5.1. */

static void
ngx_http_ws_bus_peer_close(ngx_http_ws_bus_conn_t *wc, wsb_message_t *msg)
{
    wc->close_seen = 1;

    if (!wc->closing) {
        ngx_http_ws_bus_log_close(wc, msg->code, msg->data, msg->len);
        ngx_http_ws_bus_start_close(wc, msg->code, NULL);
        return;
    }

    (void) ngx_http_ws_bus_flush(wc);
}


void
ngx_http_ws_bus_start_close(ngx_http_ws_bus_conn_t *wc, ngx_uint_t code,
    const char *reason)
{
    size_t        len;
    u_char        frame[WSB_FRAME_SERVER_HEADER_MAX + WSB_FRAME_CONTROL_MAX];
    u_char        id[WSB_ID_LEN + 1];
    uint64_t      last;
    ngx_event_t  *rev;

    if (wc->closing || wc->closed) {
        return;
    }

    if (wc->worker != NULL) {

        if (reason != NULL && code < 3000) {
            ngx_http_ws_bus_counters(wc->worker)->closed_by_error++;
        }

        /* events that are queued come no more: the id says so */

        if (reason == NULL
            && (code == WSB_CLOSE_RESTART || code == WSB_CLOSE_GOING_AWAY
                || code == WSB_CLOSE_TRY_LATER)
            && !wc->close_seen)
        {
            last = ngx_http_ws_bus_last_id(wc);
            len = wsb_id(id, wc->worker->zone->epoch, last);
            id[len] = '\0';
            reason = (const char *) id;
        }

        ngx_http_ws_bus_fall_behind(wc);
        ngx_http_ws_bus_leave(wc);
    }

    if (wc->close_code == 0) {
        ngx_http_ws_bus_log_close(wc, code, (u_char *) reason,
                                  reason ? ngx_strlen(reason) : 0);
    }

    wc->closing = 1;
    wc->connection->idle = 0;

    len = wsb_frame_close(frame, (unsigned) code, reason);

    ngx_http_ws_bus_send_raw(wc, WSB_FRAME_CLOSE, frame, len);

    if (wc->closed) {
        return;
    }

    /* not cancelable: an exiting worker waits for it */

    rev = wc->connection->read;
    ngx_add_timer(rev, NGX_HTTP_WS_BUS_CLOSE_TIMEOUT);

    if (ngx_http_ws_bus_flush(wc) == NGX_ERROR) {
        return;
    }

    if ((rev->ready || !rev->active) && !wc->shut) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }
}


/*
 * Both have closed.  What the client still sends is read and dropped until
 * its FIN: data left unread would turn our last frames into a reset.
 */

static void
ngx_http_ws_bus_drain(ngx_http_ws_bus_conn_t *wc)
{
    ssize_t            n;
    ngx_uint_t         i;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = wc->connection;
    rev = c->read;

    for (i = 0; i < NGX_HTTP_WS_BUS_READ_TIMES; i++) {

        n = c->recv(c, ngx_http_ws_bus_buffer, NGX_HTTP_WS_BUS_READ_SIZE);

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_http_ws_bus_close_conn(wc);
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_ws_bus_close_conn(wc);
            return;
        }
    }

    ngx_post_event(rev, &ngx_posted_next_events);
}


/* Called when everything, and our Close at its end, has been written. */

void
ngx_http_ws_bus_shut(ngx_http_ws_bus_conn_t *wc)
{
    ngx_connection_t  *c;

    c = wc->connection;

    if (!wc->close_seen || wc->shut) {
        return;
    }

    if (ngx_http_ws_bus_shutdown(c) != NGX_OK) {
        ngx_http_ws_bus_close_conn(wc);
        return;
    }

    wc->shut = 1;

    ngx_add_timer(c->read, NGX_HTTP_WS_BUS_LINGER);

    /* its FIN may have been read, and it is told once only */

    if (c->read->ready || c->read->eof || !c->read->active) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


/*
 * The worker is to exit.  On a reload the clients are told one by one, over
 * the drain window, so that they do not come back all at once; it is the read
 * timer's other use, and it keeps the worker alive until then.
 */

static void
ngx_http_ws_bus_end_of_service(ngx_http_ws_bus_conn_t *wc)
{
    ngx_msec_t  wait;

    if (wc->closing) {
        return;
    }

    if (!ngx_http_ws_bus_succeeded()) {

        /* a quit; or the new workers have not come to their slots yet */

        wc->unsure = 1;
        ngx_add_timer(wc->connection->read, NGX_HTTP_WS_BUS_UNSURE);
        return;
    }

    wait = wc->conf->drain_window;

    ngx_add_timer(wc->connection->read, wait ? ngx_random() % wait : 0);

    if (wc->worker != NULL) {
        wsb_zone_slot(wc->worker->zone,
                      (unsigned) wc->worker->slot)->draining = 1;
    }
}


/*
 * Callers up the stack may still hold wc: it is freed at the end of the turn.
 */

void
ngx_http_ws_bus_close_conn(ngx_http_ws_bus_conn_t *wc)
{
    ngx_connection_t  *c;

    if (wc->closed) {
        return;
    }

    c = wc->connection;

    wc->closed = 1;
    wc->closing = 1;

    if (wc->worker != NULL) {
        ngx_http_ws_bus_not_overflowed(wc);
        wc->behind = 1;
        ngx_http_ws_bus_leave(wc);
    }

    ngx_http_ws_bus_drop_out(wc);
    ngx_http_ws_bus_log_end(wc);

    if (wc->dirty || wc->catching) {
        ngx_queue_remove(&wc->link);
        wc->dirty = 0;
        wc->catching = 0;
    }

    ngx_http_ws_bus_stop_heartbeat(wc);
    ngx_http_ws_bus_jwt_stop(wc);

    if (wc->counted) {
        ngx_queue_remove(&wc->conns);
        ngx_http_ws_bus_counters(wc->worker)->connections--;
        ngx_http_ws_bus_unlimit(wc);
        wc->counted = 0;
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    c->idle = 0;
    c->data = NULL;
    c->log->action = "closing a websocket";

    ngx_http_close_connection(c);
    wc->connection = NULL;
    wc->fd = (ngx_socket_t) -1;

    if (wc->nleft == 0) {
        ngx_http_ws_bus_discard(wc);
    }
}


void
ngx_http_ws_bus_discard(ngx_http_ws_bus_conn_t *wc)
{
    if (ngx_http_ws_bus_husk_event.handler == NULL) {
        ngx_queue_init(&ngx_http_ws_bus_husks);

        ngx_http_ws_bus_husk_event.handler = ngx_http_ws_bus_husk_handler;
        ngx_http_ws_bus_husk_event.log = ngx_cycle->log;
    }

    ngx_queue_insert_tail(&ngx_http_ws_bus_husks, &wc->link);
    ngx_post_event(&ngx_http_ws_bus_husk_event, &ngx_posted_next_events);
}


static void
ngx_http_ws_bus_husk_handler(ngx_event_t *ev)
{
    ngx_queue_t             *q;
    ngx_http_ws_bus_conn_t  *wc;

    ngx_http_ws_bus_turn();

    while (!ngx_queue_empty(&ngx_http_ws_bus_husks)) {
        q = ngx_queue_head(&ngx_http_ws_bus_husks);
        ngx_queue_remove(q);

        wc = ngx_queue_data(q, ngx_http_ws_bus_conn_t, link);

        ngx_http_ws_bus_free_conn(wc);
    }
}
