/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What several rooms need of requests: headers, answers, the peer.
 */

#include "ngx_http_ws_bus_core.h"


ngx_int_t
ngx_http_ws_bus_http_add_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    /* zeroed, since newer versions of nginx have more members */
    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return NGX_OK;
}


ngx_str_t *
ngx_http_ws_bus_http_find_header(ngx_list_t *headers, const ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &headers->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == name->len && h[i].hash != 0
                && ngx_strncasecmp(h[i].key.data, name->data, name->len) == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
}


/*
 * Both the client that realip has found and the peer of the socket: a header
 * can take the right away, but never give it.
 */

ngx_uint_t
ngx_http_ws_bus_http_local(ngx_http_request_t *r)
{
    socklen_t       len;
    ngx_sockaddr_t  peer;

    if (!ngx_http_ws_bus_compat_is_loopback(r->connection->sockaddr)) {
        return 0;
    }

    len = sizeof(ngx_sockaddr_t);

    if (getpeername(r->connection->fd, &peer.sockaddr, &len) == -1) {
        return 0;
    }

    return ngx_http_ws_bus_compat_is_loopback(&peer.sockaddr);
}


/* data lives in the request's pool. */

ngx_int_t
ngx_http_ws_bus_http_send_body(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, u_char *data, size_t len)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = len;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = data;
    b->last = data + len;
    b->memory = (len != 0);
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_uint_t
ngx_http_ws_bus_http_header_is(ngx_table_elt_t *h, const char *name)
{
    size_t  len;

    len = ngx_strlen(name);

    return h->hash != 0
           && h->key.len == len
           && ngx_strncasecmp(h->key.data, (u_char *) name, len) == 0;
}


ngx_int_t
ngx_http_ws_bus_http_read_body(ngx_http_request_t *r, size_t max,
    wsb_str_t *body)
{
    off_t         len;
    u_char       *p;
    size_t        size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    body->data = (u_char *) "";
    body->len = 0;

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    len = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    if ((uint64_t) len > max) {
        return NGX_DECLINED;
    }

    body->len = (size_t) len;

    b = r->request_body->bufs->buf;

    if (r->request_body->bufs->next == NULL && !b->in_file) {
        body->data = b->pos;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, (size_t) len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->data = p;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        size = (size_t) ngx_buf_size(b);

        if (size == 0) {
            continue;
        }

        if (!b->in_file) {
            p = ngx_cpymem(p, b->pos, size);
            continue;
        }

        if (b->file->fd == NGX_INVALID_FILE
            || ngx_read_file(b->file, p, size, b->file_pos) != (ssize_t) size)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p += size;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_ws_bus_http_send_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *title, const char *detail, long index)
{
    u_char  *p, *start;

    start = ngx_pnalloc(r->pool, 512);
    if (start == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_slprintf(start, start + 480,
                     "{\"type\":\"about:blank\",\"title\":\"%s\","
                     "\"status\":%ui,\"detail\":\"%s\"",
                     title, status, detail);

    if (index >= 0) {
        p = ngx_sprintf(p, ",\"index\":%l", index);
    }

    *p++ = '}';

    return ngx_http_ws_bus_http_send_body(r, status, "application/problem+json",
                                          start, p - start);
}


ngx_uint_t
ngx_http_ws_bus_http_preflight(ngx_http_request_t *r)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf;

    static const ngx_str_t  method =
                                  ngx_string("Access-Control-Request-Method");

    if (r->method != NGX_HTTP_OPTIONS) {
        return 0;
    }

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_module);

    return wlcf->preflight
           && ngx_http_ws_bus_http_find_header(&r->headers_in.headers, &method)
              != NULL;
}
