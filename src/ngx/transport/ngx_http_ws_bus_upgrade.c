/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The opening handshake (RFC 6455, section 4.2), and the detachment: once the
 * 101 has been written and nothing else uses the request, the request is
 * freed and the connection is ours.
 */

#include "ngx_http_ws_bus_transport.h"

#include <ngx_sha1.h>


#define NGX_HTTP_WS_BUS_WAIT_MIN  5       /* ms between looks */
#define NGX_HTTP_WS_BUS_WAIT_MAX  100

#define NGX_HTTP_WS_BUS_SUBPROTOCOL  "ws_bus"

#define NGX_HTTP_WS_BUS_LACKS  256        /* bytes of all that may be missing */


/* Lives in the request's pool, until the request is freed. */

typedef struct {
    ngx_http_request_t          *request;
    ngx_http_ws_bus_websocket_t *ws;          /* until it is on its own */
    u_char                      *id;          /* of it */
    ngx_event_t                  event;
    ngx_msec_t                   wait;
} ngx_http_ws_bus_upgrade_t;


/* The headers of a handshake; key and version at most once. */

typedef struct {
    ngx_str_t                    key;
    ngx_str_t                    version;
    ngx_str_t                    extensions;  /* all lines, joined */
    ngx_uint_t                   protocol;    /* ours is offered */
    ngx_uint_t                   upgrade;     /* names "websocket" */
    ngx_uint_t                   connection;  /* names "upgrade" */
    ngx_uint_t                   bad;         /* one came twice */
    ngx_str_t                    origin;
    ngx_uint_t                   origins;     /* how many came */
} ngx_http_ws_bus_handshake_t;


static ngx_int_t ngx_http_ws_bus_upgrade_ask(ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_upgrade_check(ngx_http_request_t *r,
    ngx_http_ws_bus_handshake_t *hs);
static void ngx_http_ws_bus_upgrade_read_headers(ngx_http_request_t *r,
    ngx_http_ws_bus_handshake_t *hs);
static void ngx_http_ws_bus_upgrade_join(ngx_http_request_t *r, ngx_str_t *list,
    ngx_str_t *value);
static size_t ngx_http_ws_bus_upgrade_lacks(ngx_http_request_t *r,
    const ngx_http_ws_bus_handshake_t *hs, u_char *dst);
static ngx_int_t ngx_http_ws_bus_upgrade_refuse_version(ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_upgrade_refuse(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *lacks);
static ngx_int_t ngx_http_ws_bus_upgrade_switch(ngx_http_request_t *r,
    ngx_http_ws_bus_handshake_t *hs);
static ngx_int_t ngx_http_ws_bus_upgrade_wait(ngx_http_request_t *r,
    ngx_http_ws_bus_websocket_t *ws);
static void ngx_http_ws_bus_upgrade_flush_handler(ngx_http_request_t *r);
static void ngx_http_ws_bus_upgrade_detach_handler(ngx_event_t *ev);
static ngx_uint_t ngx_http_ws_bus_upgrade_detachable(ngx_http_request_t *r);
static void ngx_http_ws_bus_upgrade_detach(ngx_http_request_t *r,
    ngx_http_ws_bus_websocket_t *ws);
static void ngx_http_ws_bus_upgrade_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc);
static void ngx_http_ws_bus_upgrade_cleanup(void *data);


ngx_int_t
ngx_http_ws_bus_upgrade_handler(ngx_http_request_t *r)
{
    ngx_int_t                           rc;
    ngx_str_t                           tenant;
    ngx_http_ws_bus_fan_t              *fan;
    ngx_http_ws_bus_websocket_t        *ws;
    ngx_http_ws_bus_handshake_t         hs;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ngx_http_ws_bus_turn();

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (ccf->asked & NGX_HTTP_WS_BUS_ASKED_CONNECT) {

        /* what comes of it may be in the values that are taken below */

        rc = ngx_http_ws_bus_upgrade_ask(r);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_http_ws_bus_tenant_check(r, &tenant);

    if (rc == NGX_DONE) {
        /* it has been answered */
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_ws_bus_upgrade_check(r, &hs);

    if (rc == NGX_DONE) {
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_ws_bus_origin_check(r, &hs.origin, hs.origins);
    if (rc != NGX_OK) {
        return rc;
    }

    fan = ngx_http_ws_bus_admit_fan(ccf->zone);
    if (fan == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ws = ngx_http_ws_bus_websocket_create(r, fan);
    if (ws == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_ws_bus_admit(r, &ws->client, &tenant);

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_deflate_negotiate(r, ws, &hs.extensions);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_token_attach(r, &ws->client);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_upgrade_wait(r, ws);
    }

    if (rc != NGX_OK) {
        ngx_http_ws_bus_client_free(&ws->client);
        return rc;
    }

    /* from here on ws belongs to the cleanup of the request */

    rc = ngx_http_ws_bus_upgrade_switch(r, &hs);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    r->write_event_handler = ngx_http_ws_bus_upgrade_flush_handler;
    r->read_event_handler = ngx_http_block_reading;
    r->main->count++;

    return NGX_DONE;
}


/* Nobody is asked about what is no handshake, and is refused below. */

static ngx_int_t
ngx_http_ws_bus_upgrade_ask(ngx_http_request_t *r)
{
    u_char                       buf[NGX_HTTP_WS_BUS_LACKS];
    ngx_int_t                    rc;
    ngx_http_ws_bus_handshake_t  hs;

    ngx_http_ws_bus_upgrade_read_headers(r, &hs);

    if (r->method != NGX_HTTP_GET
        || ngx_http_ws_bus_upgrade_lacks(r, &hs, buf) != 0)
    {
        return NGX_OK;
    }

    rc = ngx_http_ws_bus_origin_check(r, &hs.origin, hs.origins);

    return rc == NGX_OK ? ngx_http_ws_bus_admit_ask(r) : rc;
}


/* NGX_DONE: it is none, and has been answered. */

static ngx_int_t
ngx_http_ws_bus_upgrade_check(ngx_http_request_t *r,
    ngx_http_ws_bus_handshake_t *hs)
{
    u_char     buf[NGX_HTTP_WS_BUS_LACKS];
    ngx_str_t  lacks;

    if (r->method != NGX_HTTP_GET) {

        if (ngx_http_ws_bus_http_add_header(r, "Allow", "GET") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_HTTP_NOT_ALLOWED;
    }

    ngx_http_ws_bus_upgrade_read_headers(r, hs);

    lacks.data = buf;
    lacks.len = ngx_http_ws_bus_upgrade_lacks(r, hs, buf);

    if (lacks.len != 0) {
        return ngx_http_ws_bus_upgrade_refuse(r, NGX_HTTP_BAD_REQUEST,
                                              &lacks);
    }

    if (hs->version.len != 2 || ngx_strncmp(hs->version.data, "13", 2) != 0) {
        return ngx_http_ws_bus_upgrade_refuse_version(r);
    }

    return NGX_OK;
}


static void
ngx_http_ws_bus_upgrade_read_headers(ngx_http_request_t *r,
    ngx_http_ws_bus_handshake_t *hs)
{
    wsb_str_t         value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_memzero(hs, sizeof(ngx_http_ws_bus_handshake_t));

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        value.data = h[i].value.data;
        value.len = h[i].value.len;

        if (ngx_http_ws_bus_http_header_is(&h[i], "upgrade")) {
            hs->upgrade |= wsb_handshake_has_token(value, "websocket");

        } else if (ngx_http_ws_bus_http_header_is(&h[i], "connection")) {
            hs->connection |= wsb_handshake_has_token(value, "upgrade");

        } else if (ngx_http_ws_bus_http_header_is(&h[i], "sec-websocket-key")) {
            hs->bad |= (hs->key.data != NULL);
            hs->key = h[i].value;

        } else if (ngx_http_ws_bus_http_header_is(&h[i],
                                                  "sec-websocket-version"))
        {
            hs->bad |= (hs->version.data != NULL);
            hs->version = h[i].value;

        } else if (ngx_http_ws_bus_http_header_is(&h[i],
                                                  "sec-websocket-extensions"))
        {
            ngx_http_ws_bus_upgrade_join(r, &hs->extensions, &h[i].value);

        } else if (ngx_http_ws_bus_http_header_is(&h[i], "origin")) {
            hs->origin = h[i].value;
            hs->origins++;

        } else if (ngx_http_ws_bus_http_header_is(&h[i],
                                                  "sec-websocket-protocol"))
        {
            hs->protocol |=
                wsb_handshake_has_token(value, NGX_HTTP_WS_BUS_SUBPROTOCOL);
        }
    }
}


/* RFC 7230, section 3.2.2.  Without memory the rest is not offered. */

static void
ngx_http_ws_bus_upgrade_join(ngx_http_request_t *r, ngx_str_t *list,
    ngx_str_t *value)
{
    u_char  *p;

    if (list->data == NULL) {
        *list = *value;
        return;
    }

    p = ngx_pnalloc(r->pool, list->len + 2 + value->len);
    if (p == NULL) {
        return;
    }

    ngx_sprintf(p, "%V, %V", list, value);

    list->data = p;
    list->len += 2 + value->len;
}


/*
 * What a handshake must have and this one does not, for people.  A proxy in
 * between that knows nothing of WebSockets takes out several at once.
 */

static size_t
ngx_http_ws_bus_upgrade_lacks(ngx_http_request_t *r,
    const ngx_http_ws_bus_handshake_t *hs, u_char *dst)
{
    u_char      *p;
    wsb_str_t    key;
    ngx_uint_t   i;

    static const char  *names[] = {
        "a request of a client's own",
        "HTTP/1.1",
        "\"Upgrade: websocket\"",
        "\"Connection: Upgrade\"",
        "a valid \"Sec-WebSocket-Key\"",
        "its headers once each",
        "an empty body"
    };

    ngx_uint_t   there[sizeof(names) / sizeof(names[0])];

    key.data = hs->key.data;
    key.len = hs->key.len;

    there[0] = r == r->main;
    there[1] = r->http_version == NGX_HTTP_VERSION_11;
    there[2] = hs->upgrade;
    there[3] = hs->connection;
    there[4] = key.data != NULL && wsb_handshake_key_valid(key);
    there[5] = !hs->bad;
    there[6] = r->headers_in.content_length_n <= 0 && !r->headers_in.chunked;

    p = dst;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        if (!there[i]) {
            p = ngx_sprintf(p, "%s%s", p == dst ? "" : ", ", names[i]);
        }
    }

    return p - dst;
}


/* RFC 6455, section 4.4. */

static ngx_int_t
ngx_http_ws_bus_upgrade_refuse_version(ngx_http_request_t *r)
{
    static ngx_str_t  lacks = ngx_string("\"Sec-WebSocket-Version: 13\"");

    if (ngx_http_ws_bus_http_add_header(r, "Sec-WebSocket-Version", "13")
        != NGX_OK
        || ngx_http_ws_bus_http_add_header(r, "Upgrade", "websocket") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_ws_bus_upgrade_refuse(r, 426, &lacks);
}


/*
 * Mostly not a client's mistake but the configuration's of a proxy before us:
 * both who looks at the answer and who looks into the log shall see it.
 */

static ngx_int_t
ngx_http_ws_bus_upgrade_refuse(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *lacks)
{
    size_t      len;
    u_char     *p, *start;
    ngx_int_t   rc;

    static const char  text[] =
        "This location is a WebSocket, and the handshake lacks %V.\n"
        "Behind another proxy? It must pass Upgrade and Connection, and speak "
        "HTTP/1.1.\n";

    ngx_http_ws_bus_refusal_log(r, NGX_LOG_ERR,
                                "websocket handshake refused: it lacks %V",
                                lacks);

    if (r != r->main) {
        return status;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    len = sizeof(text) + lacks->len;

    start = ngx_pnalloc(r->pool, len);
    if (start == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_slprintf(start, start + len, text, lacks);

    rc = ngx_http_ws_bus_http_send_body(r, status, "text/plain", start,
                                        p - start);

    return rc == NGX_OK ? NGX_DONE : rc;
}


/* Prepares the watch for the moment in which the request can be freed. */

static ngx_int_t
ngx_http_ws_bus_upgrade_wait(ngx_http_request_t *r,
    ngx_http_ws_bus_websocket_t *ws)
{
    ngx_http_cleanup_t         *cln;
    ngx_http_ws_bus_upgrade_t  *up;

    up = ngx_pcalloc(r->pool, sizeof(ngx_http_ws_bus_upgrade_t));
    if (up == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_ws_bus_upgrade_cleanup;
    cln->data = up;

    up->request = r;
    up->ws = ws;
    up->id = ws->client.id;
    up->wait = NGX_HTTP_WS_BUS_WAIT_MIN;

    /* not cancelable: an exiting worker waits for the handshake to end */

    up->event.handler = ngx_http_ws_bus_upgrade_detach_handler;
    up->event.log = r->connection->log;
    up->event.data = up;

    ngx_http_set_ctx(r, ws->client.id, ngx_http_ws_bus_client_module);

    ngx_http_ws_bus_session_log_begin(r, &ws->client);

    ngx_post_event(&up->event, &ngx_posted_events);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_upgrade_switch(ngx_http_request_t *r,
    ngx_http_ws_bus_handshake_t *hs)
{
    u_char      digest[20];
    ngx_int_t   rc;
    ngx_str_t   accept, hash;
    ngx_sha1_t  sha1;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, hs->key.data, hs->key.len);
    ngx_sha1_update(&sha1, WSB_HANDSHAKE_GUID,
                    sizeof(WSB_HANDSHAKE_GUID) - 1);
    ngx_sha1_final(digest, &sha1);

    hash.data = digest;
    hash.len = sizeof(digest);

    accept.data = ngx_pnalloc(r->pool,
                              ngx_base64_encoded_length(hash.len) + 1);
    if (accept.data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64(&accept, &hash);
    accept.data[accept.len] = '\0';

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->headers_out.content_length_n = -1;
    r->keepalive = 0;

    if (ngx_http_ws_bus_http_add_header(r, "Upgrade", "websocket") != NGX_OK
        || ngx_http_ws_bus_http_add_header(r, "Sec-WebSocket-Accept",
                                           (char *) accept.data)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* never an entry that a token came in: see ws_bus_jwt */

    if (hs->protocol
        && ngx_http_ws_bus_http_add_header(r, "Sec-WebSocket-Protocol",
                                           NGX_HTTP_WS_BUS_SUBPROTOCOL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_send_special(r, NGX_HTTP_FLUSH);
}


static void
ngx_http_ws_bus_upgrade_flush_handler(ngx_http_request_t *r)
{
    if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (ngx_handle_write_event(r->connection->write, 0) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


/*
 * No function of nginx that still uses the request is on the stack here.
 * There is no notice when a background subrequest (a mirror's) ends: look
 * again after a while.
 */

static void
ngx_http_ws_bus_upgrade_detach_handler(ngx_event_t *ev)
{
    ngx_http_request_t           *r;
    ngx_http_ws_bus_websocket_t  *ws;
    ngx_http_ws_bus_upgrade_t    *up;

    up = ev->data;
    r = up->request;

    if (!ngx_http_ws_bus_upgrade_detachable(r)) {
        ngx_add_timer(ev, up->wait);

        up->wait = ngx_min(up->wait * 2, NGX_HTTP_WS_BUS_WAIT_MAX);
        return;
    }

    ngx_http_ws_bus_turn();

    ws = up->ws;
    up->ws = NULL;

    ngx_http_ws_bus_upgrade_detach(r, ws);
}


static ngx_uint_t
ngx_http_ws_bus_upgrade_detachable(ngx_http_request_t *r)
{
    return r->main->count == 1
           && r->main->blocked == 0
           && r->postponed == NULL
           && r->main->posted_requests == NULL
           && r->out == NULL
           && r->connection->buffered == 0;
}


static void
ngx_http_ws_bus_upgrade_detach(ngx_http_request_t *r,
    ngx_http_ws_bus_websocket_t *ws)
{
    ngx_buf_t              *b;
    ngx_connection_t       *c;
    ngx_http_connection_t  *hc;

    c = r->connection;
    hc = r->http_connection;
    b = r->header_in;

    /* frames may have come together with the request */

    if (b->pos < b->last
        && ngx_http_ws_bus_read_aside(ws, b->pos, b->last - b->pos) != NGX_OK)
    {
        ngx_http_ws_bus_client_free(&ws->client);
        ngx_http_finalize_request(r, NGX_HTTP_CLOSE);
        ngx_http_run_posted_requests(c);
        return;
    }

    r->keepalive = 0;

    ngx_http_free_request(r, 0);

    c->data = ws;
    c->destroyed = 0;

    ngx_http_ws_bus_upgrade_free_buffers(c, hc);

    ngx_http_ws_bus_websocket_open(ws);
}


/* As ngx_http_set_keepalive() does, but for good. */

static void
ngx_http_ws_bus_upgrade_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc)
{
    ngx_chain_t  *cl;

    for (cl = hc->free; cl; cl = cl->next) {
        ngx_pfree(c->pool, cl->buf->start);
    }

    for (cl = hc->busy; cl; cl = cl->next) {
        ngx_pfree(c->pool, cl->buf->start);
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;

    if (c->buffer != NULL) {
        ngx_pfree(c->pool, c->buffer->start);
        c->buffer = NULL;
    }

    ngx_http_ws_bus_compat_free_ssl_buffer(c);
}


/* The request ends: regularly by its detachment, or before it. */

static void
ngx_http_ws_bus_upgrade_cleanup(void *data)
{
    ngx_http_ws_bus_upgrade_t  *up = data;

    if (up->event.timer_set) {
        ngx_del_timer(&up->event);
    }

    if (up->event.posted) {
        ngx_delete_posted_event(&up->event);
    }

    if (up->ws != NULL) {
        ngx_http_ws_bus_client_free(&up->ws->client);
        up->ws = NULL;
    }
}
