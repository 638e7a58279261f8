/*
 * The request of a call: its header lines and its body.
 */

#include "ngx_http_ws_bus_call.h"

#include "../jwt/ngx_http_ws_bus_jwt.h"


static ngx_int_t ngx_http_ws_bus_request_header(ngx_http_ws_bus_call_t *call,
    const ngx_str_t *name, const ngx_str_t *value);


/* The lines that the caller brings along; others follow with the body. */

ngx_int_t
ngx_http_ws_bus_request_fill(ngx_http_ws_bus_call_t *call,
    ngx_http_ws_bus_caller_t *caller)
{
    u_char              *p;
    ngx_str_t            name, value;
    ngx_uint_t           i;
    wsb_json_t           claims;
    ngx_http_request_t  *r;

    static const ngx_str_t  host = ngx_string("Host");

    r = call->main;

    value.len = caller->uri.len + caller->args.len + caller->host.len;
    value.data = ngx_pnalloc(call->pool, value.len + 1);

    if (value.data == NULL) {
        return NGX_ERROR;
    }

    r->uri.data = value.data;
    r->uri.len = caller->uri.len;
    r->args.data = ngx_cpymem(r->uri.data, caller->uri.data,
                              caller->uri.len);
    r->args.len = caller->args.len;
    r->headers_in.server.data = ngx_cpymem(r->args.data, caller->args.data,
                                           caller->args.len);
    r->headers_in.server.len = caller->host.len;
    ngx_memcpy(r->headers_in.server.data, caller->host.data,
               caller->host.len);

    r->unparsed_uri = r->uri;

    if (caller->host.len != 0
        && ngx_http_ws_bus_request_header(call, &host, &r->headers_in.server)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < caller->nheaders; i++) {
        name = caller->headers[i].name;

        /* nginx ends what it parses with a NUL */

        value.len = caller->headers[i].value.len;
        value.data = ngx_pnalloc(call->pool, value.len + 1 + name.len);

        if (value.data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(value.data, caller->headers[i].value.data, value.len);
        *p++ = '\0';

        ngx_memcpy(p, name.data, name.len);
        name.data = p;

        if (ngx_http_ws_bus_request_header(call, &name, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (caller->claims.text.data == NULL) {
        return NGX_OK;
    }

    claims = caller->claims;

    p = ngx_pnalloc(call->pool, claims.text.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, claims.text.data, claims.text.len);
    claims.text.data = p;

    return ngx_http_ws_bus_jwt_lend(r, &claims);
}


ngx_int_t
ngx_http_ws_bus_request_body(ngx_http_ws_bus_call_t *call,
    ngx_http_request_t *r)
{
    ngx_buf_t                      *b;
    ngx_str_t                       value;
    ngx_uint_t                      i;
    ngx_http_request_body_t        *rb;
    ngx_http_ws_bus_call_header_t  *h;

    static const ngx_str_t  type = ngx_string("Content-Type");
    static const ngx_str_t  length = ngx_string("Content-Length");

    h = call->headers.elts;

    for (i = 0; i < call->headers.nelts; i++) {
        if (ngx_http_ws_bus_request_header(call, &h[i].name, &h[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    rb = ngx_pcalloc(call->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        return NGX_ERROR;
    }

    r->request_body = rb;

    if (call->body.data == NULL) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(call->pool);
    rb->bufs = ngx_alloc_chain_link(call->pool);
    value.data = ngx_pnalloc(call->pool, NGX_SIZE_T_LEN);

    if (b == NULL || rb->bufs == NULL || value.data == NULL) {
        return NGX_ERROR;
    }

    b->memory = 1;
    b->last_buf = 1;
    b->start = call->body.data;
    b->pos = call->body.data;
    b->last = call->body.data + call->body.len;
    b->end = b->last;

    rb->bufs->buf = b;
    rb->bufs->next = NULL;
    rb->buf = b;

    r->headers_in.content_length_n = call->body.len;

    value.len = ngx_sprintf(value.data, "%uz", call->body.len) - value.data;

    if (ngx_http_ws_bus_request_header(call, &length, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return call->content_type.len == 0
           ? NGX_OK
           : ngx_http_ws_bus_request_header(call, &type, &call->content_type);
}


/* A line of it, which variables and backends find as that of any request. */

static ngx_int_t
ngx_http_ws_bus_request_header(ngx_http_ws_bus_call_t *call,
    const ngx_str_t *name, const ngx_str_t *value)
{
    ngx_table_elt_t            *h;
    ngx_http_header_t          *hh;
    ngx_http_request_t         *r;
    ngx_http_core_main_conf_t  *cmcf;

    static const ngx_str_t  host = ngx_string("host");

    r = call->main;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key = *name;
    h->value = *value;

    h->lowcase_key = ngx_pnalloc(call->pool, name->len);
    if (h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, name->data, name->len);

    if (name->len == host.len
        && ngx_memcmp(h->lowcase_key, host.data, host.len) == 0)
    {
        /* nginx's own handler would look for another server */
        r->headers_in.host = h;
        return NGX_OK;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, h->hash, h->lowcase_key,
                       name->len);

    return hh != NULL ? hh->handler(r, h, hh->offset) : NGX_OK;
}
