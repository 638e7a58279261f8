/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Capture: a mutation that nginx proxies becomes an event.
 *
 * The response passes through untouched; what is needed of it is copied on
 * the way.  The event is appended when the last buffer of a complete response
 * is seen, before that is passed on: whoever has read the whole response and
 * subscribes then does not get it as a live event.
 */

#include "ngx_http_ws_bus_capture.h"


static ngx_int_t ngx_http_ws_bus_capture_handler(ngx_http_request_t *r);
static ngx_http_ws_bus_captured_t *ngx_http_ws_bus_capture_remember(
    ngx_http_request_t *r);
static ngx_http_ws_bus_captured_t *ngx_http_ws_bus_capture_find(
    ngx_http_request_t *r, ngx_uint_t create);
static ngx_int_t ngx_http_ws_bus_capture_header(ngx_http_request_t *r);
static ngx_uint_t ngx_http_ws_bus_capture_starts(ngx_http_request_t *r);
static ngx_uint_t ngx_http_ws_bus_capture_interim(ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_capture_wait(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap);
static void ngx_http_ws_bus_capture_proper(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap, ngx_chain_t *in);
static void ngx_http_ws_bus_capture_identity(
    ngx_http_ws_bus_captured_t *cap);
static ngx_uint_t ngx_http_ws_bus_capture_redirected(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap);
static ngx_int_t ngx_http_ws_bus_capture_body(ngx_http_request_t *r,
    ngx_chain_t *in);
static void ngx_http_ws_bus_capture_copy(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap, ngx_buf_t *b);
static ngx_int_t ngx_http_ws_bus_capture_log(ngx_http_request_t *r);
static ngx_uint_t ngx_http_ws_bus_capture_unanswered(ngx_http_request_t *r);
static ngx_uint_t ngx_http_ws_bus_capture_complete(ngx_http_request_t *r);
static void ngx_http_ws_bus_capture_cleanup(void *data);


static const char  ngx_http_ws_bus_capture_unknown[] =
    "the backend has begun with a response of 1xx, such as \"103 Early "
    "Hints\", and how it has answered then is not known";

static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_int_t
ngx_http_ws_bus_capture_init(ngx_conf_t *cf)
{
    ngx_array_t                *log;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_ws_bus_capture_handler;

    log = &cmcf->phases[NGX_HTTP_LOG_PHASE].handlers;

    if (ngx_array_push(log) == NULL) {
        return NGX_ERROR;
    }

    /* before the access log, which may name the event's id */

    h = log->elts;
    ngx_memmove(h + 1, h, (log->nelts - 1) * sizeof(ngx_http_handler_pt));
    h[0] = ngx_http_ws_bus_capture_log;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_ws_bus_capture_header;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_ws_bus_capture_body;

    return NGX_OK;
}


/*
 * Before the location's handler runs: after a redirect of its backend neither
 * the method nor the URI nor the location are the same.
 */

static ngx_int_t
ngx_http_ws_bus_capture_handler(ngx_http_request_t *r)
{
    ngx_http_ws_bus_source_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_source_module);

    if (slcf->capture == NULL || r != r->main
        || !(r->method & NGX_HTTP_WS_BUS_MUTATIONS))
    {
        return NGX_DECLINED;
    }

    if (slcf->capture_data == NGX_HTTP_WS_BUS_DATA_REQUEST) {
        /* a body in a file is kept until the response is there */
        r->preserve_body = 1;
    }

    return ngx_http_ws_bus_capture_remember(r) ? NGX_DECLINED
                                        : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* The first location whose backend succeeds is the one that captures. */

static ngx_http_ws_bus_captured_t *
ngx_http_ws_bus_capture_remember(ngx_http_request_t *r)
{
    ngx_http_ws_bus_captured_t  *cap;

    cap = ngx_http_ws_bus_capture_find(r, 1);

    if (cap != NULL && !cap->active && !cap->done
        && !ngx_http_ws_bus_capture_redirected(r, cap))
    {
        cap->conf = ngx_http_get_module_loc_conf(r,
                                                 ngx_http_ws_bus_source_module);
        cap->client = ngx_http_get_module_loc_conf(r,
                                               ngx_http_ws_bus_client_module);
        cap->clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
        cap->bus = cap->conf->capture;
        cap->method = r->method;
        cap->uri = r->uri;
        cap->raw = r->unparsed_uri;
        cap->rewritten = !r->valid_unparsed_uri;

        if (!cap->underway) {
            cap->counted = cap->bus;
            cap->underway = ngx_http_ws_bus_resync_begin(cap->bus);
        }
    }

    return cap;
}


/* In a cleanup of the pool: an internal redirect clears the contexts. */

static ngx_http_ws_bus_captured_t *
ngx_http_ws_bus_capture_find(ngx_http_request_t *r, ngx_uint_t create)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->main->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_ws_bus_capture_cleanup) {
            return cln->data;
        }
    }

    if (!create) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_ws_bus_captured_t));
    if (cln == NULL) {
        return NULL;
    }

    ngx_memzero(cln->data, sizeof(ngx_http_ws_bus_captured_t));
    cln->handler = ngx_http_ws_bus_capture_cleanup;

    return cln->data;
}


static void
ngx_http_ws_bus_capture_cleanup(void *data)
{
    ngx_http_ws_bus_captured_t  *cap = data;

    wsb_text_done(&cap->body);

    if (cap->proper != NULL) {
        wsb_response_done(cap->proper);
    }

    /* after the log phase, in which what has been lost is told */

    if (cap->underway) {
        ngx_http_ws_bus_resync_end(cap->counted);
    }
}


static ngx_int_t
ngx_http_ws_bus_capture_header(ngx_http_request_t *r)
{
    ngx_str_t                   *value;
    ngx_uint_t                   interim;
    ngx_http_ws_bus_captured_t  *cap;

    static const ngx_str_t  location = ngx_string("Location");

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    if (r->internal) {
        cap = ngx_http_ws_bus_capture_find(r, 0);

        if (cap != NULL && !cap->done
            && ngx_http_ws_bus_capture_redirected(r, cap))
        {
            /* X-Accel-Redirect: nginx has thrown its body away */
            cap->lost = 1;
            ngx_http_ws_bus_mutation_emit(r, cap);
        }
    }

    if (!(r->method & NGX_HTTP_WS_BUS_MUTATIONS)) {
        return ngx_http_next_header_filter(r);
    }

    interim = ngx_http_ws_bus_capture_interim(r);

    if (!interim && !ngx_http_ws_bus_capture_starts(r)) {
        return ngx_http_next_header_filter(r);
    }

    /* again: a "return" answers before the phase of the handler */

    cap = ngx_http_ws_bus_capture_remember(r);

    if (cap == NULL || cap->done || cap->active) {
        return ngx_http_next_header_filter(r);
    }

    if (interim) {
        return ngx_http_ws_bus_capture_wait(r, cap) == NGX_OK
               ? ngx_http_next_header_filter(r) : NGX_ERROR;
    }

    cap->active = 1;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ws bus capture begins location:\"%V\" status:%ui",
                   &cap->clcf->name, r->headers_out.status);

    /* nginx itself keeps a relative one only in the list */

    value = ngx_http_ws_bus_http_find_header(&r->headers_out.headers,
                                             &location);

    if (value != NULL) {
        cap->location = *value;
    }

    if (r->headers_out.content_encoding != NULL) {
        cap->encoding = r->headers_out.content_encoding->value;
    }

    ngx_http_ws_bus_capture_identity(cap);

    if (r->headers_out.status == NGX_HTTP_NO_CONTENT || r->header_only
        || r->headers_out.content_length_n == 0)
    {
        /* there need not be a call for the body */
        ngx_http_ws_bus_mutation_emit(r, cap);

    } else {
        r->filter_need_in_memory = 1;
    }

    return ngx_http_next_header_filter(r);
}


/* Does a backend's success of this very location begin here? */

static ngx_uint_t
ngx_http_ws_bus_capture_starts(ngx_http_request_t *r)
{
    ngx_http_ws_bus_source_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_source_module);

    if (slcf->capture == NULL || ngx_http_ws_bus_compat_is_cached(r)
        || r->headers_out.status < 200 || r->headers_out.status > 299)
    {
        return 0;
    }

    return r->upstream == NULL
           || (r->upstream->headers_in.status_n >= 200
               && r->upstream->headers_in.status_n <= 299)
           || r->upstream->headers_in.status_n == 0;
}


/*
 * nginx takes a response from 100 to 199, but for 101, for the whole of it,
 * and passes on as its body whatever comes until the connection is closed.
 */

static ngx_uint_t
ngx_http_ws_bus_capture_interim(ngx_http_request_t *r)
{
    ngx_uint_t                          status;
    ngx_http_ws_bus_source_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_source_module);

    if (slcf->capture == NULL || r->upstream == NULL) {
        return 0;
    }

    status = r->upstream->headers_in.status_n;

    return status >= 100 && status <= 199
           && status != NGX_HTTP_SWITCHING_PROTOCOLS
           && status == r->headers_out.status;
}


static ngx_int_t
ngx_http_ws_bus_capture_wait(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap)
{
    cap->proper = ngx_pcalloc(r->pool, sizeof(wsb_response_t));

    if (cap->proper == NULL) {
        return NGX_ERROR;
    }

    cap->active = 1;
    cap->proper->max_body = cap->conf->capture_max_body;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ws bus capture waits location:\"%V\" status:%ui",
                   &cap->clcf->name, r->headers_out.status);

    r->filter_need_in_memory = 1;

    return NGX_OK;
}


/*
 * The response proper, in what nginx takes for the body of the first.  That
 * one may last as long as the connection, so the event does not wait for it.
 */

static void
ngx_http_ws_bus_capture_proper(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap, ngx_chain_t *in)
{
    wsb_rc_t         rc;
    ngx_buf_t       *b;
    ngx_chain_t     *cl;
    wsb_response_t  *res;

    res = cap->proper;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        rc = !ngx_buf_in_memory(b) && b->in_file
             ? WSB_ERROR : wsb_response_feed(res, b->pos, b->last - b->pos);

        if (rc == WSB_AGAIN && b->last_buf && wsb_response_closed(res)) {
            rc = WSB_OK;
        }

        if (rc == WSB_OK && res->status >= 200 && res->status <= 299) {

            cap->body = res->body;
            cap->lost = res->lost;
            ngx_memzero(&res->body, sizeof(wsb_text_t));

            cap->location.data = res->location.data;
            cap->location.len = res->location.len;
            cap->encoding.data = res->encoding.data;
            cap->encoding.len = res->encoding.len;

            ngx_http_ws_bus_capture_identity(cap);
            ngx_http_ws_bus_mutation_emit(r, cap);
            return;
        }

        if (rc != WSB_AGAIN || b->last_buf) {

            if (rc == WSB_ERROR || res->state <= WSB_RESPONSE_HEADER) {
                ngx_http_ws_bus_mutation_refused(r, cap,
                                     ngx_http_ws_bus_capture_unknown);
                ngx_http_ws_bus_mutation_lost(r, cap);
            }

            cap->done = 1;
            return;
        }
    }
}


static void
ngx_http_ws_bus_capture_identity(ngx_http_ws_bus_captured_t *cap)
{
    if (cap->encoding.len == 8
        && ngx_strncasecmp(cap->encoding.data, (u_char *) "identity", 8) == 0)
    {
        cap->encoding.len = 0;
    }
}


/*
 * The location that captures has been left.  Its backend's last status is
 * that before the first empty state, which the next upstream has pushed.
 */

static ngx_uint_t
ngx_http_ws_bus_capture_redirected(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap)
{
    ngx_uint_t                  i, status;
    ngx_http_upstream_state_t  *state;

    if (cap->conf == NULL || cap->active || r->upstream_states == NULL
        || ((r->method & NGX_HTTP_WS_BUS_MUTATIONS)
            && cap->conf == ngx_http_get_module_loc_conf(r,
                                               ngx_http_ws_bus_source_module)))
    {
        return 0;
    }

    state = r->upstream_states->elts;
    status = 0;

    for (i = 0; i < r->upstream_states->nelts; i++) {

        if (state[i].peer == NULL) {
            break;
        }

        status = state[i].status;
    }

    return status >= 200 && status <= 299;
}


static ngx_int_t
ngx_http_ws_bus_capture_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_uint_t                   last;
    ngx_chain_t                 *cl;
    ngx_http_ws_bus_captured_t  *cap;

    if (in == NULL || r != r->main
        || !(r->method & NGX_HTTP_WS_BUS_MUTATIONS))
    {
        return ngx_http_next_body_filter(r, in);
    }

    cap = ngx_http_ws_bus_capture_find(r, 0);

    if (cap == NULL || !cap->active || cap->done) {
        return ngx_http_next_body_filter(r, in);
    }

    if (cap->proper != NULL) {
        ngx_http_ws_bus_capture_proper(r, cap, in);
        return ngx_http_next_body_filter(r, in);
    }

    last = 0;

    for (cl = in; cl; cl = cl->next) {
        ngx_http_ws_bus_capture_copy(r, cap, cl->buf);
        last |= cl->buf->last_buf;
    }

    if (last) {
        ngx_http_ws_bus_mutation_emit(r, cap);
    }

    return ngx_http_next_body_filter(r, in);
}


/* More than the bound is not needed: the event then goes without data. */

static void
ngx_http_ws_bus_capture_copy(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap, ngx_buf_t *b)
{
    size_t  len;

    if (cap->lost || !ngx_buf_in_memory(b)) {
        cap->lost |= (b->in_file && !ngx_buf_in_memory(b));
        return;
    }

    len = b->last - b->pos;

    if (len > cap->conf->capture_max_body - cap->body.len) {
        cap->lost = 1;
        wsb_text_done(&cap->body);
        return;
    }

    wsb_text_add(&cap->body, b->pos, len);

    if (cap->body.failed) {
        cap->lost = 1;
        wsb_text_done(&cap->body);
    }
}


/*
 * The client went away before the end of the response: if the backend's was
 * complete all the same, the mutation has happened.
 */

static ngx_int_t
ngx_http_ws_bus_capture_log(ngx_http_request_t *r)
{
    ngx_http_ws_bus_captured_t  *cap;

    cap = ngx_http_ws_bus_capture_find(r, 0);

    if (cap == NULL || cap->conf == NULL || cap->done) {
        return NGX_OK;
    }

    if (!cap->active) {

        if (ngx_http_ws_bus_capture_unanswered(r)) {
            ngx_http_ws_bus_mutation_lost(r, cap);
        }

        return NGX_OK;
    }

    if (cap->proper != NULL) {
        /* who has left, or was cut off, has not seen it either */
        ngx_http_ws_bus_mutation_refused(r, cap,
                                         ngx_http_ws_bus_capture_unknown);
        ngx_http_ws_bus_mutation_lost(r, cap);
        return NGX_OK;
    }

    if (!ngx_http_ws_bus_capture_complete(r)) {
        ngx_http_ws_bus_mutation_lost(r, cap);
        return NGX_OK;
    }

    /* what was seen of it is whole if it is a JSON document */

    cap->lost |= (cap->body.len == 0);

    ngx_http_ws_bus_mutation_emit(r, cap);

    return NGX_OK;
}


/*
 * It was sent, and nginx has heard nothing: the client left, or the time was
 * up.  A gateway behind it that says the same knows no more.  By now an
 * "error_page" may have made a GET of it.
 */

static ngx_uint_t
ngx_http_ws_bus_capture_unanswered(ngx_http_request_t *r)
{
    ngx_uint_t            status;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u == NULL) {
        return 0;
    }

    status = u->headers_in.status_n;

    return (u->request_sent && status == 0)
           || status == NGX_HTTP_BAD_GATEWAY
           || status == NGX_HTTP_GATEWAY_TIME_OUT;
}


static ngx_uint_t
ngx_http_ws_bus_capture_complete(ngx_http_request_t *r)
{
    ngx_event_pipe_t     *p;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u == NULL) {
        /* made by nginx itself, nobody has written it to the end */
        return 1;
    }

    if (u->headers_in.status_n < 200 || u->headers_in.status_n > 299) {
        return 0;
    }

    p = u->pipe;

    if (u->buffering && p != NULL) {
        return p->upstream_done
               || (p->upstream_eof && p->length == -1
                   && u->headers_in.content_length_n == -1);
    }

    return u->length == 0;
}


ngx_str_t
ngx_http_ws_bus_capture_event_id(ngx_http_request_t *r)
{
    ngx_str_t                    none = ngx_null_string;
    ngx_http_ws_bus_captured_t  *cap;

    cap = ngx_http_ws_bus_capture_find(r, 0);

    return cap ? cap->id : none;
}
