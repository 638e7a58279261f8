/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A WebSocket on a connection that is ours: its frames and its end.
 */

#include "ngx_http_ws_bus_transport.h"


#define NGX_HTTP_WS_BUS_CLOSE_TIMEOUT  5000     /* ms, for the peer's Close */
#define NGX_HTTP_WS_BUS_UNSURE         500      /* ms, for successors */
#define NGX_HTTP_WS_BUS_ANSWERS        50       /* ms, between two looks for
                                                   answers that it awaits */
#define NGX_HTTP_WS_BUS_LINGER         2000     /* ms, for the peer's FIN */


static void ngx_http_ws_bus_websocket_write_handler(ngx_event_t *wev);
static void ngx_http_ws_bus_websocket_answer(ngx_http_ws_bus_client_t *wc,
    const u_char *data, size_t len);
static void ngx_http_ws_bus_websocket_ping(ngx_http_ws_bus_client_t *wc);
static ngx_int_t ngx_http_ws_bus_websocket_write(
    ngx_http_ws_bus_client_t *wc, ngx_http_ws_bus_write_t *w, size_t *sent);
static ngx_int_t ngx_http_ws_bus_websocket_write_chain(
    ngx_http_ws_bus_client_t *wc, ngx_http_ws_bus_write_t *w, size_t *sent);
static ngx_uint_t ngx_http_ws_bus_websocket_buffered(
    ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_websocket_written(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_websocket_shut(ngx_http_ws_bus_websocket_t *ws);
static void ngx_http_ws_bus_websocket_resume(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_websocket_end(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_end_e why, const char *text);
static void ngx_http_ws_bus_websocket_close(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_websocket_free(ngx_http_ws_bus_client_t *wc);


static const ngx_http_ws_bus_transport_t  ngx_http_ws_bus_websocket = {
    "websocket",
    WSB_CLOSE_ABNORMAL,
    ngx_http_ws_bus_frame_event,
    ngx_http_ws_bus_websocket_answer,
    ngx_http_ws_bus_websocket_ping,
    ngx_http_ws_bus_websocket_write,
    ngx_http_ws_bus_websocket_buffered,
    ngx_http_ws_bus_websocket_written,
    ngx_http_ws_bus_websocket_resume,
    ngx_http_ws_bus_websocket_end,
    ngx_http_ws_bus_websocket_close,
    ngx_http_ws_bus_websocket_free
};


/* By ngx_http_ws_bus_end_e. */

static const uint16_t  ngx_http_ws_bus_websocket_codes[] = {
    WSB_CLOSE_RESTART,
    WSB_CLOSE_GOING_AWAY,
    WSB_CLOSE_TRY_LATER,
    WSB_CLOSE_GOING_AWAY,
    WSB_CLOSE_POLICY,
    WSB_CLOSE_UNAUTHORIZED,
    WSB_CLOSE_FORBIDDEN,
    WSB_CLOSE_INTERNAL
};


ngx_http_ws_bus_websocket_t *
ngx_http_ws_bus_websocket_create(ngx_http_request_t *r,
    ngx_http_ws_bus_fan_t *fan)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    return (ngx_http_ws_bus_websocket_t *)
             ngx_http_ws_bus_client_create(
                                    sizeof(ngx_http_ws_bus_websocket_t),
                                    &ngx_http_ws_bus_websocket,
                                    r->connection, ccf, fan);
}


void
ngx_http_ws_bus_websocket_open(ngx_http_ws_bus_websocket_t *ws)
{
    ngx_connection_t          *c;
    ngx_http_ws_bus_client_t  *wc;

    ngx_http_ws_bus_websocket_loc_conf_t  *wslcf;

    wc = &ws->client;
    c = wc->connection;
    wslcf = ngx_http_ws_bus_websocket_conf(ws);

    c->log->action = "serving a websocket";
    c->read->handler = ngx_http_ws_bus_read_handler;
    c->write->handler = ngx_http_ws_bus_websocket_write_handler;

    ngx_http_ws_bus_websocket_sndbuf(c, wslcf);

    /* frames are small, and each is written as a whole */

    if (ngx_tcp_nodelay(c) != NGX_OK) {
        ngx_http_ws_bus_client_close(wc);
        return;
    }

    if (c->send == ngx_send) {
        wc->fd = c->fd;
    }

    /* so nginx tells us, once, that the worker is to exit */
    c->idle = 1;

    ngx_http_ws_bus_client_open(wc);

    if (ngx_exiting && !wc->closed) {
        /* that notice was given before */
        ngx_http_ws_bus_websocket_drain(ws);
    }

    if (ngx_http_ws_bus_out_flush(wc) != NGX_ERROR) {
        ngx_http_ws_bus_read(ws);
    }
}


/* What a peer that does not read can pin in the kernel. */

void
ngx_http_ws_bus_websocket_sndbuf(ngx_connection_t *c,
    ngx_http_ws_bus_websocket_loc_conf_t *wslcf)
{
    int  size;

    size = (int) wslcf->sndbuf;

    if (size != 0
        && setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(int)) == -1)
    {
        ngx_connection_error(c, ngx_socket_errno,
                             "setsockopt(SO_SNDBUF) failed");
    }
}


/* A text or binary message for the bus. */

void
ngx_http_ws_bus_websocket_message(ngx_http_ws_bus_websocket_t *ws,
    const wsb_message_t *msg)
{
    wsb_str_t  message;

    if (msg->opcode == WSB_FRAME_BINARY) {
        ngx_http_ws_bus_op_binary(&ws->client);
        return;
    }

    message.data = msg->data;
    message.len = msg->len;

    ngx_http_ws_bus_op_text(&ws->client, message);
}


static void
ngx_http_ws_bus_websocket_answer(ngx_http_ws_bus_client_t *wc,
    const u_char *data, size_t len)
{
    ngx_http_ws_bus_websocket_send((ngx_http_ws_bus_websocket_t *) wc,
                                   WSB_FRAME_TEXT, data, len);
}


static void
ngx_http_ws_bus_websocket_ping(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_websocket_send((ngx_http_ws_bus_websocket_t *) wc,
                                   WSB_FRAME_PING, (u_char *) "", 0);
}


void
ngx_http_ws_bus_websocket_send(ngx_http_ws_bus_websocket_t *ws,
    ngx_uint_t opcode, const u_char *data, size_t len)
{
    ngx_http_ws_bus_out_t  *out;

    out = ngx_http_ws_bus_out_new(&ws->client,
                                  WSB_FRAME_SERVER_HEADER_MAX + len);
    if (out == NULL) {
        return;
    }

    out->last += wsb_frame_header(out->last, (unsigned) opcode, 0, len);
    out->last = ngx_cpymem(out->last, data, len);

    if (opcode == WSB_FRAME_PONG) {

        /*
         * A client that pings without reading is answered the latest of these
         * pings only: RFC 6455, section 5.5.3.
         */

        out->kind = NGX_HTTP_WS_BUS_OUT_LATEST;
    }

    ngx_http_ws_bus_out_add(&ws->client, out);
}


void
ngx_http_ws_bus_websocket_send_raw(ngx_http_ws_bus_websocket_t *ws,
    const u_char *frame, size_t len, ngx_http_ws_bus_out_e kind)
{
    ngx_http_ws_bus_out_t  *out;

    out = ngx_http_ws_bus_out_new(&ws->client, len);
    if (out == NULL) {
        return;
    }

    out->kind = kind;

    out->last = ngx_cpymem(out->last, frame, len);

    ngx_http_ws_bus_out_add(&ws->client, out);
}


static void
ngx_http_ws_bus_websocket_write_handler(ngx_event_t *wev)
{
    ngx_connection_t          *c;
    ngx_http_ws_bus_client_t  *wc;

    c = wev->data;

    wc = c->data;

    ngx_http_ws_bus_turn();

    ngx_http_ws_bus_out_writable(wc);

    /* poll() and select() would say so again and again */

    if (!wc->closed && !wc->blocked
        && ngx_handle_write_event(wev, 0) != NGX_OK)
    {
        ngx_http_ws_bus_client_close(wc);
    }
}


static ngx_int_t
ngx_http_ws_bus_websocket_write(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_write_t *w, size_t *sent)
{
    ssize_t            n;
    ngx_int_t          rc;
    ngx_err_t          err;
    ngx_connection_t  *c;

    c = wc->connection;
    *sent = 0;

    if (wc->fd == (ngx_socket_t) -1) {
        rc = ngx_http_ws_bus_websocket_write_chain(wc, w, sent);

    } else {

        do {
            n = w->n == 1 ? send(wc->fd, w->piece[0].iov_base, w->size, 0)
                          : writev(wc->fd, w->piece, (int) w->n);

            err = n == -1 ? ngx_socket_errno : 0;

        } while (err == NGX_EINTR);

        if (err != 0 && err != NGX_EAGAIN) {
            (void) ngx_connection_error(c, err,
                                        "writev() to a websocket failed");
            rc = NGX_ERROR;

        } else {
            *sent = n == -1 ? 0 : (size_t) n;
            rc = *sent == w->size ? NGX_OK : NGX_AGAIN;
        }

        if (rc == NGX_AGAIN) {
            c->write->ready = 0;
        }
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "client closed a websocket while it was written");
        return NGX_ERROR;
    }

    if (rc == NGX_AGAIN && ngx_handle_write_event(c->write, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return rc;
}


/* Through nginx: TLS, and a connection that is not detached yet. */

static ngx_int_t
ngx_http_ws_bus_websocket_write_chain(ngx_http_ws_bus_client_t *wc,
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


static ngx_uint_t
ngx_http_ws_bus_websocket_buffered(ngx_http_ws_bus_client_t *wc)
{
    return wc->connection->buffered;
}


static void
ngx_http_ws_bus_websocket_written(ngx_http_ws_bus_client_t *wc)
{
    if (wc->closing) {
        ngx_http_ws_bus_websocket_shut((ngx_http_ws_bus_websocket_t *) wc);
        return;
    }

    ngx_http_ws_bus_compat_free_ssl_buffer(wc->connection);
}


/* If both have closed, our side is shut down. */

static void
ngx_http_ws_bus_websocket_shut(ngx_http_ws_bus_websocket_t *ws)
{
    ngx_connection_t  *c;

    c = ws->client.connection;

    if (!ws->close_seen || ws->shut) {
        return;
    }

    if (ngx_http_ws_bus_compat_shutdown(c) != NGX_OK) {
        ngx_http_ws_bus_client_close(&ws->client);
        return;
    }

    ws->shut = 1;

    ngx_add_timer(c->read, NGX_HTTP_WS_BUS_LINGER);

    /* its FIN may have been read, and it is told once only */

    if (c->read->ready || c->read->eof || !c->read->active) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static void
ngx_http_ws_bus_websocket_resume(ngx_http_ws_bus_client_t *wc)
{
    ngx_event_t  *rev;

    rev = wc->connection->read;

    ngx_post_event(rev, &ngx_posted_next_events);
}


static void
ngx_http_ws_bus_websocket_end(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_end_e why, const char *text)
{
    ngx_http_ws_bus_websocket_finish((ngx_http_ws_bus_websocket_t *) wc,
                                     ngx_http_ws_bus_websocket_codes[why],
                                     text);
}


void
ngx_http_ws_bus_websocket_finish(ngx_http_ws_bus_websocket_t *ws,
    ngx_uint_t code, const char *reason)
{
    size_t                     len;
    u_char                     frame[WSB_FRAME_SERVER_HEADER_MAX
                                     + WSB_FRAME_CONTROL_MAX];
    ngx_event_t               *rev;
    ngx_http_ws_bus_client_t  *wc;

    wc = &ws->client;

    if (wc->closing || wc->closed) {
        return;
    }

    ngx_http_ws_bus_client_stop(wc);

    if (wc->close_code == 0) {
        ngx_http_ws_bus_session_log_close(wc, code, (u_char *) reason,
                                          reason ? ngx_strlen(reason) : 0);
    }

    wc->connection->idle = 0;

    len = wsb_frame_close(frame, (unsigned) code, reason);

    ngx_http_ws_bus_websocket_send_raw(ws, frame, len,
                                       NGX_HTTP_WS_BUS_OUT_LAST);

    if (wc->closed) {
        return;
    }

    /* not cancelable: an exiting worker waits for it */

    rev = wc->connection->read;
    ngx_add_timer(rev, NGX_HTTP_WS_BUS_CLOSE_TIMEOUT);

    if (ngx_http_ws_bus_out_flush(wc) == NGX_ERROR) {
        return;
    }

    if ((rev->ready || !rev->active) && !ws->shut) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }
}


/*
 * The worker is to exit.  On a reload the clients are told one by one, over
 * the drain window, so that they do not come back all at once; it is the read
 * timer's other use, and it keeps the worker alive until then.
 */

void
ngx_http_ws_bus_websocket_drain(ngx_http_ws_bus_websocket_t *ws)
{
    ngx_msec_t                 wait;
    ngx_http_ws_bus_client_t  *wc;
    ngx_http_ws_bus_worker_t  *w;

    wc = &ws->client;

    if (wc->closing) {
        return;
    }

    if (!ngx_http_ws_bus_worker_succeeded()) {

        /* a quit; or the new workers have not come to their slots yet */

        ws->unsure = 1;
        ngx_add_timer(wc->connection->read, NGX_HTTP_WS_BUS_UNSURE);
        return;
    }

    wait = wc->conf->drain_window;

    ngx_add_timer(wc->connection->read, wait ? ngx_random() % wait : 0);

    w = wc->fan->worker;

    if (w != NULL) {
        wsb_zone_slot(w->zone, (unsigned) w->slot)->draining = 1;
    }
}


/* Its timer: the peer does not close, or its turn in the drain has come. */

void
ngx_http_ws_bus_websocket_timeout(ngx_http_ws_bus_websocket_t *ws)
{
    ngx_http_ws_bus_client_t  *wc;

    wc = &ws->client;

    if (wc->closing) {
        ngx_log_error(NGX_LOG_INFO, wc->connection->log, NGX_ETIMEDOUT,
                      "client did not finish the websocket close");
        ngx_http_ws_bus_client_close(wc);
        return;
    }

    if (ws->unsure && ngx_http_ws_bus_worker_succeeded()) {
        ws->unsure = 0;
        ngx_http_ws_bus_websocket_drain(ws);
        return;
    }

    if (wc->nops != 0) {
        /* what it has asked for is answered, and it asks for no more */
        ngx_http_ws_bus_client_hold(wc, NGX_HTTP_WS_BUS_HELD_LEAVING);
        ngx_add_timer(wc->connection->read, NGX_HTTP_WS_BUS_ANSWERS);
        return;
    }

    ngx_http_ws_bus_client_end(wc, ngx_http_ws_bus_worker_succeeded()
                                       ? NGX_HTTP_WS_BUS_END_RESTART
                                       : NGX_HTTP_WS_BUS_END_QUIT, NULL);
}


static void
ngx_http_ws_bus_websocket_close(ngx_http_ws_bus_client_t *wc)
{
    ngx_connection_t  *c;

    c = wc->connection;

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    c->idle = 0;
    c->data = NULL;
    c->log->action = "closing a websocket";

    ngx_http_close_connection(c);
}


static void
ngx_http_ws_bus_websocket_free(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_websocket_t  *ws;

    ws = (ngx_http_ws_bus_websocket_t *) wc;

    wsb_reader_done(&ws->reader);

    if (ws->input != NULL) {
        ngx_free(ws->input);
    }
}
