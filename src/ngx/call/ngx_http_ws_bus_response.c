/*
 * The answer to a call, caught by filters of ours: it goes nowhere else.
 */

#include "ngx_http_ws_bus_call.h"

#include "../../event/wsb_gunzip.h"


static ngx_int_t ngx_http_ws_bus_response_header_filter(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_response_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


static ngx_int_t ngx_http_ws_bus_response_take(ngx_http_ws_bus_call_t *call,
    u_char *p, size_t len);


size_t  ngx_http_ws_bus_response_bytes;

static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_int_t
ngx_http_ws_bus_response_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_ws_bus_response_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_ws_bus_response_body_filter;

    return NGX_OK;
}


ngx_http_ws_bus_call_t *
ngx_http_ws_bus_call_of(ngx_http_request_t *r)
{
    return ngx_http_get_module_ctx(r->main, ngx_http_ws_bus_call_module);
}


/*
 * Only of the call's own request: one that a handler there makes in memory
 * (js) or puts into its answer (SSI) goes on to who has asked for it.
 */

static ngx_int_t
ngx_http_ws_bus_response_header_filter(ngx_http_request_t *r)
{
    ngx_http_ws_bus_call_t  *call;

    call = ngx_http_ws_bus_call_of(r);

    if (call == NULL || r != call->request) {
        return ngx_http_next_header_filter(r);
    }

    call->headed = 1;
    call->status = r->headers_out.status;
    call->answer_headers = &r->headers_out.headers;
    call->length = r->headers_out.content_length_n;
    call->whole = (call->length == 0 || call->status == NGX_HTTP_NO_CONTENT
                   || call->status == NGX_HTTP_NOT_MODIFIED);
    call->text.len = 0;

    if (call->status == NGX_HTTP_NO_CONTENT
        || call->status == NGX_HTTP_NOT_MODIFIED)
    {
        call->length = -1;
    }

    if (call->status < 200) {

        /* nginx takes it for the whole of the response */

        call->proper = ngx_pcalloc(call->pool, sizeof(wsb_response_t));
        if (call->proper == NULL) {
            return NGX_ERROR;
        }

        call->proper->max_body = call->max_body;
        call->status = 0;
        call->length = -1;
    }

    r->header_sent = 1;
    r->filter_need_in_memory = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_response_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t               *b;
    ngx_int_t                rc;
    ngx_chain_t             *cl;
    ngx_http_ws_bus_call_t  *call;

    call = ngx_http_ws_bus_call_of(r);

    if (call == NULL || r != call->request) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b) && !call->finished) {
            rc = ngx_http_ws_bus_response_take(call, b->pos,
                                               b->last - b->pos);
            if (rc != NGX_OK) {
                return NGX_ERROR;
            }
        }

        call->whole |= (b->last_buf || b->last_in_chain);

        b->pos = b->last;
        b->file_pos = b->file_last;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_response_take(ngx_http_ws_bus_call_t *call, u_char *p,
    size_t len)
{
    wsb_rc_t  rc;

    if (call->proper != NULL) {
        rc = wsb_response_feed(call->proper, p, len);

        if (rc == WSB_OK) {
            ngx_http_ws_bus_call_finish(call,
                              ngx_http_ws_bus_response_proper(call) == NGX_OK
                                  ? NGX_HTTP_WS_BUS_CALL_ANSWERED
                                  : NGX_HTTP_WS_BUS_CALL_TOO_LARGE);
        }

        return rc == WSB_ERROR ? NGX_ERROR : NGX_OK;
    }

    if (len > call->max_body - call->text.len) {
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "the answer to a call is larger than "
                      "\"ws_bus_call_max_body\"");

        ngx_http_ws_bus_call_finish(call, NGX_HTTP_WS_BUS_CALL_TOO_LARGE);
        return NGX_ERROR;
    }

    if (len > NGX_HTTP_WS_BUS_ANSWERS_HARD - ngx_http_ws_bus_response_bytes) {
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "the answers to calls are larger than a worker holds");

        ngx_http_ws_bus_call_finish(call, NGX_HTTP_WS_BUS_CALL_BUSY);
        return NGX_ERROR;
    }

    wsb_text_add(&call->text, p, len);

    call->counted += len;
    ngx_http_ws_bus_response_bytes += len;

    if (call->text.failed) {
        ngx_http_ws_bus_call_finish(call, NGX_HTTP_WS_BUS_CALL_FAILED);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_ws_bus_response_proper(ngx_http_ws_bus_call_t *call)
{
    wsb_response_t  *res;

    res = call->proper;

    if (res->status < 200) {
        return NGX_DECLINED;
    }

    call->status = res->status;

    wsb_text_done(&call->text);

    call->text = res->body;
    ngx_memzero(&res->body, sizeof(wsb_text_t));

    return res->lost ? NGX_DECLINED : NGX_OK;
}


void
ngx_http_ws_bus_response_done(ngx_http_ws_bus_call_t *call)
{
    wsb_text_done(&call->text);

    if (call->proper != NULL) {
        wsb_response_done(call->proper);
    }

    ngx_http_ws_bus_response_bytes -= call->counted;
    call->counted = 0;
}


ngx_int_t
ngx_http_ws_bus_response_inflate(ngx_http_ws_bus_call_t *call)
{
    size_t      len;
    uint8_t    *plain;
    ngx_str_t  *encoding, found;
    wsb_str_t   body;

    static const ngx_str_t  name = ngx_string("Content-Encoding");

    encoding = ngx_http_ws_bus_response_header(call, &name);

    if (call->proper != NULL && call->proper->encoding.len != 0) {
        found.data = call->proper->encoding.data;
        found.len = call->proper->encoding.len;
        encoding = &found;
    }

    if (encoding == NULL || encoding->len == 0 || call->answer.len == 0
        || (encoding->len == 8
            && ngx_strncasecmp(encoding->data, (u_char *) "identity", 8)
               == 0))
    {
        return NGX_OK;
    }

    body.data = call->answer.data;
    body.len = call->answer.len;

    if (wsb_gunzip(body, call->max_body, &plain, &len) != WSB_OK) {
        return NGX_DECLINED;
    }

    wsb_text_done(&call->text);

    call->text.data = plain;
    call->text.len = len;
    call->text.size = len;

    call->answer.data = plain;
    call->answer.len = len;

    return NGX_OK;
}


ngx_str_t *
ngx_http_ws_bus_response_header(ngx_http_ws_bus_call_t *call,
    const ngx_str_t *name)
{
    return call->answer_headers
               ? ngx_http_ws_bus_http_find_header(call->answer_headers, name)
               : NULL;
}
