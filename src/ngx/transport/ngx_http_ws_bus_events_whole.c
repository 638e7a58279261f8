/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * An answer with wait=: sent when it is whole, with where it goes on.
 */

#include "ngx_http_ws_bus_events.h"


#define NGX_HTTP_WS_BUS_EVENTS_LOOK   5        /* ms, until history is there */


static ngx_msec_t ngx_http_ws_bus_events_whole_left(
    ngx_http_ws_bus_events_t *es);
static ngx_int_t ngx_http_ws_bus_events_whole_head(
    ngx_http_ws_bus_events_t *es);


void
ngx_http_ws_bus_events_whole(ngx_http_ws_bus_events_t *es)
{
    size_t               len;
    u_char              *p;
    ngx_int_t            rc;
    wsb_str_t            why;
    ngx_msec_t           left;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    static const wsb_str_t  refused =
                                  wsb_string("the subscription was refused");

    left = es->refused ? 0 : ngx_http_ws_bus_events_whole_left(es);

    if (left != 0) {
        es->event.cancelable = 1;
        ngx_add_timer(&es->event, left);
        return;
    }

    r = es->request;
    c = r->connection;
    len = ngx_min(es->text.len, es->whole);

    p = ngx_pnalloc(r->pool, len + 1);

    rc = p == NULL || ngx_http_ws_bus_events_whole_head(es) != NGX_OK
             ? NGX_HTTP_INTERNAL_SERVER_ERROR : NGX_OK;

    if (rc == NGX_OK) {
        ngx_memcpy(p, es->text.data ? es->text.data : p, len);
    }

    why = refused;

    if (es->refused) {
        len = 0;
    }

    /* from here on the request is nginx's alone */

    ngx_http_ws_bus_events_release(es);
    ngx_http_ws_bus_client_close(&es->client);

    if (rc == NGX_OK && es->refused) {
        rc = ngx_http_ws_bus_events_request_refuse(r, NGX_HTTP_FORBIDDEN, why);
        rc = rc == NGX_DECLINED ? NGX_OK : rc;

    } else if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_http_send_body(r, NGX_HTTP_OK,
                                            es->lines
                                                ? "application/x-ndjson"
                                                : "text/event-stream",
                                            p, len);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* How long until it may be answered; 0: now. */

static ngx_msec_t
ngx_http_ws_bus_events_whole_left(ngx_http_ws_bus_events_t *es)
{
    ngx_msec_int_t             left;
    ngx_http_ws_bus_client_t  *wc;

    wc = &es->client;

    if (es->full && es->text.len >= es->whole) {
        return 0;
    }

    if (wc->nops != 0 || wc->behind || wc->nitems != 0
        || wc->control != NULL)
    {
        return NGX_HTTP_WS_BUS_EVENTS_LOOK;
    }

    if (es->text.len != 0) {
        return 0;
    }

    left = (ngx_msec_int_t) (es->wait - ngx_current_msec);

    return left > 0 ? (ngx_msec_t) left : 0;
}


/* Where it goes on: RFC 8288. */

static ngx_int_t
ngx_http_ws_bus_events_whole_head(ngx_http_ws_bus_events_t *es)
{
    u_char              *link, *p, *pos, *end, *last;
    ngx_str_t            path;
    ngx_http_request_t  *r;
    u_char               id[WSB_ID_LEN + 1];

    r = es->request;

    ngx_http_ws_bus_client_last(&es->client, id);

    if (es->full) {
        id[wsb_id(id, es->client.fan->worker->zone->epoch, es->latest)] = '\0';
    }

    path = r->unparsed_uri;
    p = ngx_strlchr(path.data, path.data + path.len, '?');
    path.len = p ? (size_t) (p - path.data) : path.len;

    link = ngx_pnalloc(r->pool, path.len + r->args.len
                                + sizeof("<?since=&>; rel=\"next\"")
                                + WSB_ID_LEN);
    p = ngx_pnalloc(r->pool, sizeof(id));

    if (link == NULL || p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, id, sizeof(id));

    if (ngx_http_ws_bus_http_add_header(r, "Ws-Bus-Last-Id", (char *) p)
        != NGX_OK
        || ngx_http_ws_bus_http_add_header(r, "Cache-Control", "no-store")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_sprintf(link, "<%V?since=%s", &path, id);

    last = r->args.data + r->args.len;

    for (pos = r->args.data; pos < last; pos = end + 1) {

        end = ngx_strlchr(pos, last, '&');
        end = end ? end : last;

        if (end - pos >= 6 && ngx_strncmp(pos, "since=", 6) == 0) {
            continue;
        }

        *p++ = '&';
        p = ngx_cpymem(p, pos, end - pos);
    }

    p = ngx_cpymem(p, ">; rel=\"next\"", sizeof(">; rel=\"next\"") - 1);
    *p = '\0';

    return ngx_http_ws_bus_http_add_header(r, "Link", (char *) link);
}
