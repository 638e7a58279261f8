/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Reading a WebSocket: what it sends is parsed as it comes, and given to its
 * message function.
 */

#include "ngx_http_ws_bus_transport.h"


#define NGX_HTTP_WS_BUS_READ_SIZE   32768     /* one recv() */
#define NGX_HTTP_WS_BUS_READ_TIMES  16        /* of them in one turn */
#define NGX_HTTP_WS_BUS_PARSE_TIME  4000      /* us of a turn */


static void ngx_http_ws_bus_read_block(ngx_http_ws_bus_websocket_t *ws);
static ngx_int_t ngx_http_ws_bus_read_parse(ngx_http_ws_bus_websocket_t *ws,
    u_char *pos, u_char *last);
static void ngx_http_ws_bus_read_message(ngx_http_ws_bus_websocket_t *ws,
    const wsb_message_t *msg);
static ngx_int_t ngx_http_ws_bus_read_keep(ngx_http_ws_bus_websocket_t *ws,
    u_char *pos, u_char *last);
static void ngx_http_ws_bus_read_close(ngx_http_ws_bus_websocket_t *ws,
    wsb_message_t *msg);
static void ngx_http_ws_bus_read_linger(ngx_http_ws_bus_websocket_t *ws);


/* One for all connections of the process: none is parsed within another. */

static u_char  ngx_http_ws_bus_read_buffer[NGX_HTTP_WS_BUS_READ_SIZE];


void
ngx_http_ws_bus_read_handler(ngx_event_t *rev)
{
    ngx_connection_t             *c;
    ngx_http_ws_bus_websocket_t  *ws;

    c = rev->data;
    ws = c->data;

    ngx_http_ws_bus_turn();

    if (c->close) {
        c->close = 0;

        if (c->error) {
            /* worker_shutdown_timeout */
            ngx_http_ws_bus_client_close(&ws->client);
            return;
        }

        c->idle = 0;
        ngx_http_ws_bus_websocket_drain(ws);
        return;
    }

    if (rev->timedout) {
        rev->timedout = 0;
        ngx_http_ws_bus_websocket_timeout(ws);
        return;
    }

    if (ws->shut) {
        ngx_http_ws_bus_read_linger(ws);
        return;
    }

    if (ws->client.paused) {
        ngx_http_ws_bus_read_block(ws);
        return;
    }

    ngx_http_ws_bus_read(ws);
}


/*
 * Reads until there is no more, but no longer than is fair to the others:
 * then it goes on in the next turn.
 */

void
ngx_http_ws_bus_read(ngx_http_ws_bus_websocket_t *ws)
{
    u_char            *pos;
    ssize_t            n;
    ngx_int_t          rc;
    ngx_uint_t         i;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    ngx_http_ws_bus_input_t  *input;

    c = ws->client.connection;
    rev = c->read;

    if (ws->input != NULL) {
        input = ws->input;
        ws->input = NULL;

        rc = ngx_http_ws_bus_read_parse(ws, input->data,
                                        input->data + input->len);

        ngx_free(input);

        if (rc != NGX_OK) {
            return;
        }
    }

    for (i = 0; i < NGX_HTTP_WS_BUS_READ_TIMES; i++) {

        n = c->recv(c, ngx_http_ws_bus_read_buffer,
                    NGX_HTTP_WS_BUS_READ_SIZE);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 && ws->client.control_size != 0) {
            /* half closed: it gets what it is owed, in a bounded time */
            ws->close_seen = 1;
            ngx_http_ws_bus_read_block(ws);
            ngx_http_ws_bus_websocket_finish(ws, WSB_CLOSE_NO_STATUS, NULL);
            return;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_log_error(NGX_LOG_INFO, c->log, 0,
                          "client closed a websocket without a Close frame");
            ngx_http_ws_bus_client_close(&ws->client);
            return;
        }

        ngx_http_ws_bus_heartbeat_heard(&ws->client, WSB_LIFE_ANY);
        pos = ngx_http_ws_bus_read_buffer;

        if (ngx_http_ws_bus_read_parse(ws, pos, pos + n) != NGX_OK) {
            return;
        }
    }

    if (i == NGX_HTTP_WS_BUS_READ_TIMES && rev->ready) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_ws_bus_client_close(&ws->client);
    }
}


/* What is not read, poll() and select() would report again and again. */

static void
ngx_http_ws_bus_read_block(ngx_http_ws_bus_websocket_t *ws)
{
    ngx_event_t  *rev;

    rev = ws->client.connection->read;

    if ((ngx_event_flags & NGX_USE_LEVEL_EVENT) && rev->active
        && ngx_del_event(rev, NGX_READ_EVENT, 0) != NGX_OK)
    {
        ngx_http_ws_bus_client_close(&ws->client);
    }
}


/*
 * NGX_OK: everything has been parsed, read on.  NGX_DONE: no more is to be
 * read now, or ever; the client may be a husk.
 */

static ngx_int_t
ngx_http_ws_bus_read_parse(ngx_http_ws_bus_websocket_t *ws, u_char *pos,
    u_char *last)
{
    wsb_rc_t                   rc;
    wsb_message_t              msg;
    const wsb_reader_conf_t   *conf;
    ngx_http_ws_bus_client_t  *wc;

    wc = &ws->client;
    conf = &ngx_http_ws_bus_websocket_conf(ws)->reader;

    for ( ;; ) {

        rc = wsb_reader_next(&ws->reader, conf, &pos, last, &msg);

        if (rc != WSB_OK) {
            break;
        }

        if (msg.opcode == WSB_FRAME_CLOSE) {
            ngx_http_ws_bus_read_close(ws, &msg);
            return NGX_DONE;
        }

        if (wc->closing) {
            /* a client may go on until it has seen our Close */
            continue;
        }

        ngx_http_ws_bus_read_message(ws, &msg);

        if (wc->closed) {
            return NGX_DONE;
        }

        if (wc->held) {
            return ngx_http_ws_bus_out_flush(wc) == NGX_ERROR
                       ? NGX_DONE
                       : ngx_http_ws_bus_read_keep(ws, pos, last);
        }

        if (wc->control_size > NGX_HTTP_WS_BUS_CONTROL_MAX
            && ngx_http_ws_bus_out_flush(wc) != NGX_OK)
        {
            if (wc->closed) {
                return NGX_DONE;
            }

            if (wc->control_size > NGX_HTTP_WS_BUS_CONTROL_MAX) {
                wc->paused = 1;
                return ngx_http_ws_bus_read_keep(ws, pos, last);
            }
        }

        if (pos < last
            && ngx_http_ws_bus_turn_now() - ngx_http_ws_bus_turn_began()
               >= NGX_HTTP_WS_BUS_PARSE_TIME)
        {
            /* the turn of all: each has at least one message in it */

            if (ngx_http_ws_bus_out_flush(wc) == NGX_ERROR) {
                return NGX_DONE;
            }

            ngx_post_event(wc->connection->read, &ngx_posted_next_events);
            return ngx_http_ws_bus_read_keep(ws, pos, last);
        }
    }

    if (rc == WSB_AGAIN) {
        return ngx_http_ws_bus_out_flush(wc) == NGX_ERROR ? NGX_DONE : NGX_OK;
    }

    if (rc == WSB_NOMEM) {
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_INTERNAL,
                                   "no memory");
        return NGX_DONE;
    }

    ngx_log_error(NGX_LOG_INFO, wc->connection->log, 0,
                  "client sent a bad websocket frame: %s",
                  ws->reader.reason);

    /* RFC 6455, section 7.1.7: what it may still say does not count */

    ws->close_seen = 1;

    if (wc->closing) {
        (void) ngx_http_ws_bus_out_flush(wc);
        return NGX_DONE;
    }

    if (wc->fan->worker != NULL && ws->reader.reason != NULL) {
        ngx_http_ws_bus_client_counters(wc->fan->worker)->closed_by_error++;
    }

    ngx_http_ws_bus_websocket_finish(ws, ws->reader.close_code,
                                     ws->reader.reason);

    return NGX_DONE;
}


static void
ngx_http_ws_bus_read_message(ngx_http_ws_bus_websocket_t *ws,
    const wsb_message_t *msg)
{
    if (!wsb_frame_is_control(msg->opcode)) {

        if (ngx_http_ws_bus_op_count(&ws->client) == NGX_OK) {
            ngx_http_ws_bus_websocket_conf(ws)->message(ws, msg);
        }

        return;
    }

    if (ngx_http_ws_bus_op_control(&ws->client,
                                   msg->opcode == WSB_FRAME_PONG)
        == NGX_OK
        && msg->opcode == WSB_FRAME_PING)
    {
        ngx_http_ws_bus_websocket_send(ws, WSB_FRAME_PONG, msg->data,
                                       msg->len);
    }
}


/*
 * The client sends without reading its answers, and is not read either until
 * they have been written; or the turn has been long enough.  What was read
 * already waits.
 */

static ngx_int_t
ngx_http_ws_bus_read_keep(ngx_http_ws_bus_websocket_t *ws, u_char *pos,
    u_char *last)
{
    if (pos == last) {
        return NGX_DONE;
    }

    if (ngx_http_ws_bus_read_aside(ws, pos, last - pos) != NGX_OK) {
        ngx_http_ws_bus_client_close(&ws->client);
    }

    return NGX_DONE;
}


ngx_int_t
ngx_http_ws_bus_read_aside(ngx_http_ws_bus_websocket_t *ws,
    const u_char *data, size_t len)
{
    ws->input = ngx_alloc(sizeof(ngx_http_ws_bus_input_t) + len,
                          ws->client.connection->log);
    if (ws->input == NULL) {
        return NGX_ERROR;
    }

    ws->input->len = len;
    ngx_memcpy(ws->input->data, data, len);

    return NGX_OK;
}


/* RFC 6455, section 5.5.1. */

static void
ngx_http_ws_bus_read_close(ngx_http_ws_bus_websocket_t *ws,
    wsb_message_t *msg)
{
    ws->close_seen = 1;

    if (!ws->client.closing) {
        ngx_http_ws_bus_session_log_close(&ws->client, msg->code, msg->data,
                                          msg->len);
        ngx_http_ws_bus_websocket_finish(ws, msg->code, NULL);
        return;
    }

    (void) ngx_http_ws_bus_out_flush(&ws->client);
}


/*
 * Both have closed.  What the client still sends is read and dropped until
 * its FIN: data left unread would turn our last frames into a reset.
 */

static void
ngx_http_ws_bus_read_linger(ngx_http_ws_bus_websocket_t *ws)
{
    ssize_t            n;
    ngx_uint_t         i;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = ws->client.connection;
    rev = c->read;

    for (i = 0; i < NGX_HTTP_WS_BUS_READ_TIMES; i++) {

        n = c->recv(c, ngx_http_ws_bus_read_buffer,
                    NGX_HTTP_WS_BUS_READ_SIZE);

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_http_ws_bus_client_close(&ws->client);
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_ws_bus_client_close(&ws->client);
            return;
        }
    }

    ngx_post_event(rev, &ngx_posted_next_events);
}
