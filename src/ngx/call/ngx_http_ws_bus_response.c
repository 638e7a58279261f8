/*
 * The answer to a call, caught by filters of ours: it goes nowhere else.
 */

#include "ngx_http_ws_bus_call.h"


static ngx_int_t ngx_http_ws_bus_response_header_filter(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_response_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


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
    call->text.len = 0;

    r->header_sent = 1;
    r->filter_need_in_memory = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_response_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    size_t                   len;
    ngx_buf_t               *b;
    ngx_chain_t             *cl;
    ngx_http_ws_bus_call_t  *call;

    call = ngx_http_ws_bus_call_of(r);

    if (call == NULL || r != call->request) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b) && !call->finished) {
            len = b->last - b->pos;

            if (len > call->max_body - call->text.len) {
                ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                              "the answer to a call is larger than "
                              "\"ws_bus_call_max_body\"");

                ngx_http_ws_bus_call_finish(call,
                                            NGX_HTTP_WS_BUS_CALL_TOO_LARGE);
                return NGX_ERROR;
            }

            wsb_text_add(&call->text, b->pos, len);

            if (call->text.failed) {
                ngx_http_ws_bus_call_finish(call,
                                            NGX_HTTP_WS_BUS_CALL_FAILED);
                return NGX_ERROR;
            }
        }

        b->pos = b->last;
        b->file_pos = b->file_last;
    }

    return NGX_OK;
}


ngx_str_t *
ngx_http_ws_bus_response_header(ngx_http_ws_bus_call_t *call,
    const ngx_str_t *name)
{
    return call->answer_headers
           ? ngx_http_ws_bus_find_header(call->answer_headers, name) : NULL;
}
