/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A request for events: what it asks for, who may ask, and the head of its
 * answer, or the whole of it.
 */

#include "ngx_http_ws_bus_events.h"


#define NGX_HTTP_WS_BUS_EVENTS_LIMIT  1000     /* events, if none is named */


/* What it asks for. */

typedef struct {
    ngx_str_t                    origin;
    ngx_uint_t                   norigins;
    ngx_uint_t                   lines;
    ngx_uint_t                   acceptable;
    wsb_query_t                  query;
    wsb_text_t                   subscribe;   /* malloc'd */
} ngx_http_ws_bus_events_ask_t;


static ngx_int_t ngx_http_ws_bus_events_request_problem(
    ngx_http_request_t *r, ngx_uint_t status);
static ngx_int_t ngx_http_ws_bus_events_request_check(ngx_http_request_t *r,
    ngx_http_ws_bus_events_ask_t *ask);
static void ngx_http_ws_bus_events_request_read_headers(ngx_http_request_t *r,
    ngx_http_ws_bus_events_ask_t *ask);
static ngx_uint_t ngx_http_ws_bus_events_request_accepts(ngx_str_t *accept,
    const char *type);
static ngx_int_t ngx_http_ws_bus_events_request_query(ngx_http_request_t *r,
    ngx_http_ws_bus_events_ask_t *ask);
static ngx_int_t ngx_http_ws_bus_events_request_make(ngx_http_request_t *r,
    ngx_http_ws_bus_events_ask_t *ask, ngx_str_t *tenant);
static ngx_int_t ngx_http_ws_bus_events_request_keep(ngx_http_request_t *r,
    ngx_http_ws_bus_events_t *es);
static ngx_int_t ngx_http_ws_bus_events_request_head(ngx_http_request_t *r,
    ngx_uint_t lines);
static void ngx_http_ws_bus_events_request_event_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_events_request_open(ngx_http_ws_bus_events_t *es);
static void ngx_http_ws_bus_events_request_cleanup(void *data);


ngx_int_t
ngx_http_ws_bus_events_request_handler(ngx_http_request_t *r)
{
    ngx_int_t                           rc;
    ngx_str_t                           tenant;
    ngx_http_ws_bus_events_ask_t        ask;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ngx_http_ws_bus_turn();

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    ngx_memzero(&ask, sizeof(ngx_http_ws_bus_events_ask_t));

    rc = ngx_http_ws_bus_events_request_check(r, &ask);

    if (rc == NGX_OK && (ccf->asked & NGX_HTTP_WS_BUS_ASKED_CONNECT)
        && r->method == NGX_HTTP_GET)
    {
        /* what comes of it may be in the values that are taken below */
        rc = ngx_http_ws_bus_admit_ask(r);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_tenant_check(r, &tenant);

        if (rc == NGX_DONE) {
            /* it has been answered */
            wsb_text_done(&ask.subscribe);
            return NGX_OK;
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_events_request_make(r, &ask, &tenant);
    }

    wsb_text_done(&ask.subscribe);

    if (rc == NGX_HTTP_FORBIDDEN || rc == NGX_HTTP_SERVICE_UNAVAILABLE
        || rc == NGX_HTTP_NOT_ALLOWED)
    {
        rc = ngx_http_ws_bus_events_request_problem(r, rc);
    }

    /* NGX_DECLINED: it has been answered here */

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


static ngx_int_t
ngx_http_ws_bus_events_request_problem(ngx_http_request_t *r,
    ngx_uint_t status)
{
    static const wsb_str_t  forbidden =
                               wsb_string("these events are not for you");
    static const wsb_str_t  unavailable =
                               wsb_string("there are too many connections, or "
                                          "nginx stops: try again");
    static const wsb_str_t  method = wsb_string("events are read by GET");

    return ngx_http_ws_bus_events_request_refuse(r, status,
                            status == NGX_HTTP_FORBIDDEN ? forbidden
                            : status == NGX_HTTP_NOT_ALLOWED ? method
                                                             : unavailable);
}


static ngx_int_t
ngx_http_ws_bus_events_request_check(ngx_http_request_t *r,
    ngx_http_ws_bus_events_ask_t *ask)
{
    ngx_int_t  rc;

    static const wsb_str_t  types = wsb_string(
        "this location has text/event-stream and application/x-ndjson");

    if (r != r->main) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_OPTIONS))) {

        if (ngx_http_ws_bus_http_add_header(r, "Allow", "GET, HEAD, OPTIONS")
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_ws_bus_events_request_read_headers(r, ask);

    rc = ngx_http_ws_bus_origin_check(r, &ask->origin, ask->norigins);

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_cors(r, &ask->origin, ask->norigins,
                                  "Link, Ws-Bus-Last-Id");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (r->method == NGX_HTTP_OPTIONS) {

        if (ngx_http_ws_bus_http_add_header(r, "Allow", "GET, HEAD, OPTIONS")
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_ws_bus_cors_preflight(r, "GET, HEAD",
                                              "Accept, Authorization, "
                                              "Cache-Control, Last-Event-ID");
    }

    if (!ask->acceptable) {
        return ngx_http_ws_bus_events_request_refuse(r, 406,
                                             types);
    }

    return ngx_http_ws_bus_events_request_query(r, ask);
}


static void
ngx_http_ws_bus_events_request_read_headers(ngx_http_request_t *r,
    ngx_http_ws_bus_events_ask_t *ask)
{
    ngx_uint_t        i, k;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static const char *const  types[] = {
        "text/event-stream", "text/*", "*/*"
    };

    ask->acceptable = 1;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_ws_bus_http_header_is(&h[i], "origin")) {
                ask->origin = h[i].value;
                ask->norigins++;

            } else if (ngx_http_ws_bus_http_header_is(&h[i],
                                                      "last-event-id"))
            {
                if (h[i].value.len != 0) {
                    ask->query.since.data = h[i].value.data;
                    ask->query.since.len = h[i].value.len;
                }

            } else if (ngx_http_ws_bus_http_header_is(&h[i], "accept")) {
                ask->lines =
                    ngx_http_ws_bus_events_request_accepts(&h[i].value,
                                                      "application/x-ndjson");

                ask->acceptable = ask->lines;

                for (k = 0; k < 3; k++) {
                    ask->acceptable |=
                        ngx_http_ws_bus_events_request_accepts(&h[i].value,
                                                               types[k]);
                }
            }
        }
    }
}


/* RFC 9110, section 12.5.1, without weights. */

static ngx_uint_t
ngx_http_ws_bus_events_request_accepts(ngx_str_t *accept, const char *type)
{
    return ngx_strlcasestrn(accept->data, accept->data + accept->len,
                            (u_char *) type, ngx_strlen(type) - 1)
           != NULL;
}


/* NGX_DECLINED: it has been answered. */

static ngx_int_t
ngx_http_ws_bus_events_request_query(ngx_http_request_t *r,
    ngx_http_ws_bus_events_ask_t *ask)
{
    wsb_rc_t      rc;
    wsb_op_t      op;
    ngx_int_t     result;
    wsb_str_t     args, why;
    const char   *text;

    args.data = r->args.data;
    args.len = r->args.len;

    rc = wsb_query_subscribe(&ask->subscribe, args, &ask->query, &text);

    if (rc == WSB_ERROR) {
        why.data = (const uint8_t *) text;
        why.len = ngx_strlen(text);

        return ngx_http_ws_bus_events_request_refuse(r, NGX_HTTP_BAD_REQUEST,
                                                     why);
    }

    if (rc != WSB_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* what is wrong with it is said before there is a stream */

    ngx_memzero(&op, sizeof(wsb_op_t));

    args.data = ask->subscribe.data;
    args.len = ask->subscribe.len;

    rc = wsb_codec_bus.decode(NULL, args, &op);

    if (rc != WSB_OK) {
        wsb_op_done(&op);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    result = NGX_OK;

    if (op.type == WSB_OP_REFUSE) {
        why.data = op.text.data;
        why.len = op.text.len;

        result = ngx_http_ws_bus_events_request_refuse(r,
                                                       NGX_HTTP_BAD_REQUEST,
                                                       why);
    }

    wsb_op_done(&op);

    return result;
}


/* RFC 9457. */

ngx_int_t
ngx_http_ws_bus_events_request_refuse(ngx_http_request_t *r, ngx_uint_t status,
    wsb_str_t why)
{
    u_char      *p;
    size_t       len;
    ngx_int_t    rc;
    wsb_text_t   text;

    ngx_memzero(&text, sizeof(wsb_text_t));

    wsb_text_lit(&text, "{\"type\":\"about:blank\",\"title\":");
    switch (status) {

    case NGX_HTTP_BAD_REQUEST:
        wsb_text_lit(&text, "\"Bad Request\",\"status\":");
        break;

    case NGX_HTTP_FORBIDDEN:
        wsb_text_lit(&text, "\"Forbidden\",\"status\":");
        break;

    case NGX_HTTP_NOT_ALLOWED:
        wsb_text_lit(&text, "\"Method Not Allowed\",\"status\":");
        break;

    case 406:
        wsb_text_lit(&text, "\"Not Acceptable\",\"status\":");
        break;

    default: /* 503 */
        wsb_text_lit(&text, "\"Service Unavailable\",\"status\":");
    }

    wsb_text_uint(&text, status);
    wsb_text_lit(&text, ",\"detail\":");
    wsb_text_json(&text, why);
    wsb_text_lit(&text, "}");

    len = text.len;
    p = text.failed ? NULL : ngx_pnalloc(r->pool, len);

    if (p != NULL) {
        ngx_memcpy(p, text.data, len);
    }

    wsb_text_done(&text);

    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_ws_bus_http_send_body(r, status, "application/problem+json",
                                        p, len);

    return rc == NGX_OK || rc == NGX_AGAIN ? NGX_DECLINED : rc;
}


static ngx_int_t
ngx_http_ws_bus_events_request_make(ngx_http_request_t *r,
    ngx_http_ws_bus_events_ask_t *ask, ngx_str_t *tenant)
{
    ngx_int_t                           rc;
    ngx_http_ws_bus_fan_t              *fan;
    ngx_http_ws_bus_events_t           *es;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_http_ws_bus_events_request_head(r, ask->lines);
    }

    fan = ngx_http_ws_bus_admit_fan(ccf->zone);
    if (fan == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    es = ngx_http_ws_bus_events_create(r, fan);
    if (es == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    es->subscribe = ask->subscribe;
    ngx_memzero(&ask->subscribe, sizeof(wsb_text_t));

    es->lines = (ask->lines != 0);
    es->collect = (ask->query.wait >= 0);
    es->wait = ngx_current_msec + (ngx_msec_t) ask->query.wait * 1000;
    es->limit = ask->query.limit ? ask->query.limit
                                 : NGX_HTTP_WS_BUS_EVENTS_LIMIT;

    rc = ngx_http_ws_bus_admit(r, &es->client, tenant);

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_token_attach(r, &es->client);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_events_request_keep(r, es);
    }

    if (rc != NGX_OK) {
        ngx_http_ws_bus_client_free(&es->client);
        return rc;
    }

    /* from here on es belongs to the cleanup of the request */

    if (!es->collect) {

        if (r->http_version < NGX_HTTP_VERSION_20) {
            /* else the socket is that of other requests as well */
            ngx_http_ws_bus_websocket_sndbuf(r->connection,
                ngx_http_get_module_loc_conf(r,
                                         ngx_http_ws_bus_websocket_module));

            /* an event does not wait until the one before is acknowledged */

            if (ngx_tcp_nodelay(r->connection) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        rc = ngx_http_ws_bus_events_request_head(r, es->lines);

        if (rc == NGX_ERROR || rc > NGX_OK) {
            return rc;
        }

        if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = es->collect
                                 ? ngx_http_request_empty_handler
                                 : ngx_http_ws_bus_events_write_handler;
    r->main->count++;

    ngx_post_event(&es->event, &ngx_posted_events);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_ws_bus_events_request_keep(ngx_http_request_t *r,
    ngx_http_ws_bus_events_t *es)
{
    es->buf = ngx_calloc_buf(r->pool);
    es->chain = ngx_alloc_chain_link(r->pool);
    es->cleanup = ngx_http_cleanup_add(r, 0);

    if (es->buf == NULL || es->chain == NULL || es->cleanup == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    es->cleanup->handler = ngx_http_ws_bus_events_request_cleanup;
    es->cleanup->data = es;

    es->event.handler = ngx_http_ws_bus_events_request_event_handler;
    es->event.data = es;
    es->event.log = ngx_cycle->log;

    ngx_http_set_ctx(r, es, ngx_http_ws_bus_events_module);
    ngx_http_set_ctx(r, es->client.id, ngx_http_ws_bus_client_module);

    ngx_http_ws_bus_session_log_begin(r, &es->client);

    return NGX_OK;
}


/* Neither caches nor proxies may keep it back. */

static ngx_int_t
ngx_http_ws_bus_events_request_head(ngx_http_request_t *r, ngx_uint_t lines)
{
    if (lines) {
        ngx_str_set(&r->headers_out.content_type, "application/x-ndjson");

    } else {
        ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.status = NGX_HTTP_OK;

    if (ngx_http_ws_bus_http_add_header(r, "Cache-Control", "no-store")
        != NGX_OK
        || ngx_http_ws_bus_http_add_header(r, "X-Accel-Buffering", "no")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_send_header(r);
}


/*
 * Its one event: it opens; a whole answer may be ready; it was refused; its
 * turn in the drain has come; its last bytes were not taken.  No function of
 * nginx that uses the request is on the stack here.
 */

static void
ngx_http_ws_bus_events_request_event_handler(ngx_event_t *ev)
{
    ngx_http_ws_bus_events_t  *es;

    es = ev->data;

    ngx_http_ws_bus_turn();

    if (!es->opened) {
        ngx_http_ws_bus_events_request_open(es);
        return;
    }

    if (es->client.closing) {
        ngx_http_ws_bus_client_close(&es->client);
        return;
    }

    if (es->collect) {
        ngx_http_ws_bus_events_whole(es);
        return;
    }

    if (es->refused) {
        ngx_http_ws_bus_client_close(&es->client);
        return;
    }

    ngx_http_ws_bus_events_drain_timeout(es);
}


static void
ngx_http_ws_bus_events_request_open(ngx_http_ws_bus_events_t *es)
{
    wsb_str_t                  message;
    ngx_http_ws_bus_client_t  *wc;

    wc = &es->client;

    es->opened = 1;

    ngx_http_ws_bus_events_begin(es);
    ngx_http_ws_bus_client_open(wc);
    ngx_http_ws_bus_events_drain_add(es);

    /* gaps and positions are words that it knows */

    wc->aware = 1;

    message.data = es->subscribe.data;
    message.len = es->subscribe.len;

    if (!wc->closed) {
        ngx_http_ws_bus_op_text(wc, message);
    }

    wsb_text_done(&es->subscribe);

    if (!wc->closed && ngx_http_ws_bus_out_flush(wc) != NGX_ERROR
        && es->collect && !es->event.posted)
    {
        ngx_post_event(&es->event, &ngx_posted_events);
    }
}


/* The request ends, perhaps before it was opened. */

static void
ngx_http_ws_bus_events_request_cleanup(void *data)
{
    ngx_http_ws_bus_events_t  *es = data;

    es->request = NULL;

    if (es->opened) {
        ngx_http_ws_bus_client_close(&es->client);
        return;
    }

    if (es->event.posted) {
        ngx_delete_posted_event(&es->event);
    }

    ngx_http_ws_bus_client_free(&es->client);
}
