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

    if (!ngx_http_ws_bus_is_loopback(r->connection->sockaddr)) {
        return 0;
    }

    len = sizeof(ngx_sockaddr_t);

    if (getpeername(r->connection->fd, &peer.sockaddr, &len) == -1) {
        return 0;
    }

    return ngx_http_ws_bus_is_loopback(&peer.sockaddr);
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
    b->memory = 1;
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
