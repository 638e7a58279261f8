/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * One call: a fake main request, blocked so that nginx never frees it, and a
 * subrequest whose end is seen when nginx posts its parent.
 */

#include "ngx_http_ws_bus_call.h"


#define NGX_HTTP_WS_BUS_CALL_POOL   8192
#define NGX_HTTP_WS_BUS_CALL_POOLS  16


static ngx_pool_t *ngx_http_ws_bus_call_pool(ngx_log_t *log);
static void ngx_http_ws_bus_call_leave(ngx_pool_t *pool);
static ngx_int_t ngx_http_ws_bus_call_connection(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_caller_t *caller, ngx_log_t *log);
static ngx_int_t ngx_http_ws_bus_call_main(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_caller_t *caller);
static ngx_int_t ngx_http_ws_bus_call_launch(ngx_http_ws_bus_call_t *call);
static void ngx_http_ws_bus_call_event_handler(ngx_event_t *ev);
static ngx_chain_t *ngx_http_ws_bus_call_sink(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static u_char *ngx_http_ws_bus_call_log_error(ngx_log_t *log, u_char *buf,
    size_t len);
static void ngx_http_ws_bus_call_resumed(ngx_http_request_t *r);
static void ngx_http_ws_bus_call_nothing(ngx_http_request_t *r);
static void ngx_http_ws_bus_call_terminated(void *data);
static void ngx_http_ws_bus_call_timer_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_call_break(ngx_http_ws_bus_call_t *call);
static void ngx_http_ws_bus_call_finish_handler(ngx_event_t *ev);
static void ngx_http_ws_bus_call_free(ngx_http_ws_bus_call_t *call);


ngx_http_ws_bus_call_t *
ngx_http_ws_bus_call_create(ngx_http_ws_bus_caller_t *caller, ngx_log_t *log)
{
    ngx_pool_t              *pool;
    ngx_http_ws_bus_call_t  *call;

    pool = ngx_http_ws_bus_call_pool(log);
    if (pool == NULL) {
        return NULL;
    }

    call = ngx_pcalloc(pool, sizeof(ngx_http_ws_bus_call_t));
    if (call == NULL) {
        ngx_http_ws_bus_call_leave(pool);
        return NULL;
    }

    call->pool = pool;
    call->length = -1;

    call->timer.handler = ngx_http_ws_bus_call_timer_handler;
    call->timer.log = &call->log;
    call->timer.data = call;

    call->finish.handler = ngx_http_ws_bus_call_finish_handler;
    call->finish.log = &call->log;
    call->finish.data = call;

    if (ngx_array_init(&call->headers, pool, 4,
                       sizeof(ngx_http_ws_bus_call_header_t))
        != NGX_OK
        || ngx_http_ws_bus_call_connection(call, caller, log) != NGX_OK
        || ngx_http_ws_bus_call_main(call, caller) != NGX_OK
        || ngx_http_ws_bus_request_fill(call, caller) != NGX_OK)
    {
        ngx_http_ws_bus_call_leave(pool);
        return NULL;
    }

    return call;
}


/*
 * The pools of this process that calls have left, for the next ones.  Without
 * them the heap ends with a call's memory, and the system takes and gives its
 * pages with each.
 */

static ngx_pool_t  *ngx_http_ws_bus_call_pools[NGX_HTTP_WS_BUS_CALL_POOLS];
static ngx_uint_t   ngx_http_ws_bus_call_npools;


static ngx_pool_t *
ngx_http_ws_bus_call_pool(ngx_log_t *log)
{
    ngx_pool_t  *pool;

    if (ngx_http_ws_bus_call_npools == 0) {
        return ngx_create_pool(NGX_HTTP_WS_BUS_CALL_POOL, log);
    }

    pool = ngx_http_ws_bus_call_pools[--ngx_http_ws_bus_call_npools];
    pool->log = log;

    return pool;
}


/* One that has grown is not kept. */

static void
ngx_http_ws_bus_call_leave(ngx_pool_t *pool)
{
    ngx_pool_cleanup_t  *cln;

    if (ngx_http_ws_bus_call_npools == NGX_HTTP_WS_BUS_CALL_POOLS
        || (pool->d.next != NULL && pool->d.next->d.next != NULL))
    {
        ngx_destroy_pool(pool);
        return;
    }

    while (pool->cleanup != NULL) {
        cln = pool->cleanup;
        pool->cleanup = cln->next;

        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    ngx_reset_pool(pool);

    ngx_http_ws_bus_call_pools[ngx_http_ws_bus_call_npools++] = pool;
}


ngx_http_ws_bus_call_t *
ngx_http_ws_bus_call_of(ngx_http_request_t *r)
{
    return ngx_http_get_module_ctx(r->main, ngx_http_ws_bus_call_module);
}


/*
 * A connection that is no connection: it has no descriptor, its events look
 * as if they were registered, and what is written to it is gone.
 */

static ngx_int_t
ngx_http_ws_bus_call_connection(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_caller_t *caller, ngx_log_t *log)
{
    u_char            *p;
    ngx_connection_t  *c;

    call->log = *log;
    call->log.handler = ngx_http_ws_bus_call_log_error;
    call->log.data = &call->log_ctx;
    call->log.action = "calling for a websocket client";
    call->log.connection = caller->number;

    c = &call->connection;

    call->log_ctx.connection = c;

    c->fd = (ngx_socket_t) -1;
    c->pool = call->pool;
    c->log = &call->log;
    c->log_error = NGX_ERROR_INFO;
    c->read = &call->read;
    c->write = &call->write;

    call->read.data = c;
    call->read.index = NGX_INVALID_INDEX;
    call->read.active = 1;
    call->read.handler = ngx_http_ws_bus_call_event_handler;
    call->read.log = &call->log;

    call->write.data = c;
    call->write.index = NGX_INVALID_INDEX;
    call->write.active = 1;
    call->write.ready = 1;
    call->write.write = 1;
    call->write.handler = ngx_http_ws_bus_call_event_handler;
    call->write.log = &call->log;

    c->send_chain = ngx_http_ws_bus_call_sink;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    c->number = caller->number;
    c->listening = caller->listening;

    /* all of it must outlive the client, which may be gone before its call */

    p = ngx_pnalloc(call->pool, caller->addr_text.len + 2
                                + caller->socklen + caller->local_socklen
                                + NGX_ALIGNMENT);
    if (p == NULL) {
        return NGX_ERROR;
    }

    c->addr_text.data = p;
    c->addr_text.len = caller->addr_text.len;
    p = ngx_cpymem(p, caller->addr_text.data, caller->addr_text.len);

    p = ngx_align_ptr(p, NGX_ALIGNMENT);

    c->sockaddr = (struct sockaddr *) p;
    c->socklen = caller->socklen;
    ngx_memcpy(p, &caller->sockaddr, caller->socklen);

    c->local_sockaddr = ngx_palloc(call->pool, caller->local_socklen + 1);
    if (c->local_sockaddr == NULL) {
        return NGX_ERROR;
    }

    c->local_socklen = caller->local_socklen;
    ngx_memcpy(c->local_sockaddr, &caller->local, caller->local_socklen);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_call_main(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_caller_t *caller)
{
    ngx_time_t                 *tp;
    ngx_http_cleanup_t         *cln;
    ngx_http_request_t         *r;
    ngx_http_connection_t      *hc;
    ngx_http_core_main_conf_t  *cmcf;

    r = ngx_pcalloc(call->pool, sizeof(ngx_http_request_t));
    hc = ngx_palloc(call->pool, sizeof(ngx_http_connection_t));

    if (r == NULL || hc == NULL) {
        return NGX_ERROR;
    }

    *hc = caller->http_connection;

    call->main = r;
    call->connection.data = r;
    call->log_ctx.request = r;
    call->log_ctx.current_request = r;

    r->signature = NGX_HTTP_MODULE;
    r->connection = &call->connection;
    r->pool = call->pool;
    r->main = r;
    r->http_connection = hc;

    r->main_conf = caller->main_conf;
    r->srv_conf = caller->srv_conf;
    r->loc_conf = caller->loc_conf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    r->ctx = ngx_pcalloc(call->pool, sizeof(void *) * ngx_http_max_module);
    r->variables = ngx_pcalloc(call->pool,
                               cmcf->variables.nelts
                               * sizeof(ngx_http_variable_value_t));

    if (r->ctx == NULL || r->variables == NULL
        || ngx_list_init(&r->headers_in.headers, call->pool, 10,
                         sizeof(ngx_table_elt_t))
           != NGX_OK
        || ngx_list_init(&r->headers_out.headers, call->pool, 1,
                         sizeof(ngx_table_elt_t))
           != NGX_OK
        || ngx_list_init(&r->headers_out.trailers, call->pool, 1,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /*
     * Closing and terminating a request leave one alone that is blocked, so
     * that it is freed here and nowhere else.
     */

    r->count = 1;
    r->blocked = 1;

    r->headers_in.content_length_n = -1;
    r->headers_in.keep_alive_n = -1;
    r->headers_out.content_length_n = -1;

    r->http_version = NGX_HTTP_VERSION_11;
    ngx_str_set(&r->http_protocol, "HTTP/1.1");
    ngx_str_set(&r->request_line, "WS /");

    r->uri_changes = NGX_HTTP_MAX_URI_CHANGES + 1;
    r->subrequests = NGX_HTTP_MAX_SUBREQUESTS + 1;
    r->internal = 1;
    r->header_sent = 1;
    r->logged = 1;
    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;

    tp = ngx_timeofday();
    r->start_sec = tp->sec;
    r->start_msec = tp->msec;

    r->read_event_handler = ngx_http_ws_bus_call_nothing;
    r->write_event_handler = ngx_http_ws_bus_call_resumed;
    r->log_handler = NULL;

    ngx_http_set_ctx(r, call, ngx_http_ws_bus_call_module);

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_ws_bus_call_terminated;
    cln->data = call;

    return NGX_OK;
}


void
ngx_http_ws_bus_call_destroy(ngx_http_ws_bus_call_t *call)
{
    ngx_http_ws_bus_call_leave(call->pool);
}


void
ngx_http_ws_bus_call_start(ngx_http_ws_bus_call_t *call)
{
    /* not cancelable: an exiting worker waits for the answer */

    ngx_add_timer(&call->timer, call->timeout);

    if (ngx_http_ws_bus_call_launch(call) != NGX_OK) {
        ngx_http_ws_bus_call_finish(call, NGX_HTTP_WS_BUS_CALL_FAILED);
        return;
    }

    ngx_http_run_posted_requests(&call->connection);
}


static ngx_int_t
ngx_http_ws_bus_call_launch(ngx_http_ws_bus_call_t *call)
{
    ngx_http_request_t  *r, *sr;

    r = call->main;

    r->method = call->method;
    r->method_name = call->method_name;

    if (call->uri.len == 0 || call->uri.data[0] != '/') {
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "a call has no URI of a location: \"%V\"", &call->uri);
        return NGX_ERROR;
    }

    if (ngx_http_ws_bus_request_body(call, r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_subrequest(r, &call->uri, &call->args, &sr, NULL,
                            NGX_HTTP_SUBREQUEST_WAITED)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    call->request = sr;

    /* caches answer methods that they know, and go by this word */

    sr->method = call->uncached ? NGX_HTTP_UNKNOWN : call->method;
    sr->method_name = call->method_name;
    sr->request_body = r->request_body;

    /* the list's end points into the request that it was copied from */

    if (r->headers_in.headers.last == &r->headers_in.headers.part) {
        sr->headers_in.headers.last = &sr->headers_in.headers.part;
    }

    return NGX_OK;
}


static void
ngx_http_ws_bus_call_event_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ev->data;
    r = c->data;

    ngx_http_ws_bus_turn();

    ev->delayed = 0;
    ev->timedout = 0;

    if (ev->write) {
        r->write_event_handler(r);

    } else {
        r->read_event_handler(r);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_chain_t *
ngx_http_ws_bus_call_sink(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    ngx_chain_t  *cl;

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    return NULL;
}


static u_char *
ngx_http_ws_bus_call_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                  *p;
    ngx_http_log_ctx_t      *ctx;
    ngx_http_ws_bus_call_t  *call;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
        buf = p;
    }

    ctx = log->data;

    p = ngx_snprintf(buf, len, ", client: %V", &ctx->connection->addr_text);
    len -= p - buf;

    call = ctx->request ? ngx_http_get_module_ctx(ctx->request,
                                                  ngx_http_ws_bus_call_module)
                        : NULL;

    if (call != NULL) {
        p = ngx_snprintf(p, len, ", call: \"%V %V\"", &call->method_name,
                         &call->uri);
    }

    return p;
}


static void
ngx_http_ws_bus_call_nothing(ngx_http_request_t *r)
{
}


/* The subrequest has ended, or a filter of it has posted its parent. */

static void
ngx_http_ws_bus_call_resumed(ngx_http_request_t *r)
{
    ngx_http_ws_bus_call_t  *call;

    call = ngx_http_get_module_ctx(r, ngx_http_ws_bus_call_module);

    if (call->request == NULL || !call->request->done || call->finished) {
        return;
    }

    /*
     * A backend that dies in the middle of its body ends the request as if it
     * were whole: only the last buffer, or the length, tells.
     */

    if (call->proper != NULL) {
        call->whole = wsb_response_closed(call->proper)
                      && ngx_http_ws_bus_response_proper(call) == NGX_OK;
    }

    ngx_http_ws_bus_call_finish(call, call->headed && call->whole
                                      && (call->length == -1
                                          || call->length
                                             == (off_t) call->text.len)
                                          ? NGX_HTTP_WS_BUS_CALL_ANSWERED
                                          : NGX_HTTP_WS_BUS_CALL_FAILED);
}


/* nginx has given it up, and does not call anybody. */

static void
ngx_http_ws_bus_call_terminated(void *data)
{
    ngx_http_ws_bus_call_finish(data, NGX_HTTP_WS_BUS_CALL_FAILED);
}


static void
ngx_http_ws_bus_call_timer_handler(ngx_event_t *ev)
{
    ngx_http_ws_bus_call_t  *call;

    call = ev->data;

    ngx_http_ws_bus_turn();

    ngx_log_error(NGX_LOG_ERR, &call->log, NGX_ETIMEDOUT,
                  "a call was not answered in time");

    ngx_http_ws_bus_call_finish(call, NGX_HTTP_WS_BUS_CALL_TIMEOUT);
    ngx_http_ws_bus_call_break(call);
}


void
ngx_http_ws_bus_call_cancel(ngx_http_ws_bus_call_t *call)
{
    ngx_http_ws_bus_call_finish(call, NGX_HTTP_WS_BUS_CALL_CANCELLED);
    ngx_http_ws_bus_call_break(call);
}


/* Upstreams are closed by the cleanups of the main request. */

static void
ngx_http_ws_bus_call_break(ngx_http_ws_bus_call_t *call)
{
    if (call->request == NULL || call->request->done) {
        return;
    }

    ngx_http_finalize_request(call->request, NGX_HTTP_CLIENT_CLOSED_REQUEST);
    ngx_http_run_posted_requests(&call->connection);
}


/*
 * Functions of nginx that use the request may be on the stack: what follows
 * comes in an event of its own.
 */

void
ngx_http_ws_bus_call_finish(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_call_end_e end)
{
    ngx_event_t  *ev;

    if (call->finished) {
        return;
    }

    call->finished = 1;
    call->end = end;

    if (call->timer.timer_set) {
        ngx_del_timer(&call->timer);
    }

    ev = &call->finish;
    ngx_post_event(ev, &ngx_posted_events);
}


static void
ngx_http_ws_bus_call_finish_handler(ngx_event_t *ev)
{
    ngx_http_ws_bus_call_t  *call;

    call = ev->data;

    ngx_http_ws_bus_turn();

    if (call->done != NULL) {

        if (call->end == NGX_HTTP_WS_BUS_CALL_ANSWERED) {
            call->answer.data = call->text.data ? call->text.data
                                                : (u_char *) "";
            call->answer.len = call->text.len;
        }

        call->done(call);
        call->done = NULL;
    }

    if (!call->held) {
        ngx_http_ws_bus_call_free(call);
    }
}


void
ngx_http_ws_bus_call_release(ngx_http_ws_bus_call_t *call)
{
    call->held = 0;
    ngx_http_ws_bus_call_free(call);
}


static void
ngx_http_ws_bus_call_free(ngx_http_ws_bus_call_t *call)
{
    ngx_http_cleanup_t  *cln;

    /* what it has begun with files or threads must end before its memory */

    if (call->main->blocked > 1) {
        ngx_add_timer(&call->finish, 10);
        return;
    }

    ngx_http_ws_bus_call_break(call);

    while (call->main->cleanup != NULL) {
        cln = call->main->cleanup;
        call->main->cleanup = cln->next;

        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    if (call->read.timer_set) {
        ngx_del_timer(&call->read);
    }

    if (call->write.timer_set) {
        ngx_del_timer(&call->write);
    }

    if (call->read.posted) {
        ngx_delete_posted_event(&call->read);
    }

    if (call->write.posted) {
        ngx_delete_posted_event(&call->write);
    }

    if (call->finish.posted) {
        ngx_delete_posted_event(&call->finish);
    }

    ngx_http_ws_bus_response_done(call);

    ngx_http_ws_bus_call_leave(call->pool);
}
