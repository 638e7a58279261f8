/*
 * What calls need of the request that made their client, which is long gone
 * when they are made.
 */

#include "ngx_http_ws_bus_call.h"

#include "../jwt/ngx_http_ws_bus_jwt.h"


static u_char *ngx_http_ws_bus_caller_keep(u_char *p, ngx_str_t *dst,
    const ngx_str_t *src);


ngx_http_ws_bus_caller_t *
ngx_http_ws_bus_caller_create(ngx_http_request_t *r, ngx_array_t *names)
{
    size_t                          size;
    u_char                         *p;
    ngx_str_t                      *name;
    ngx_str_t                      *value[NGX_HTTP_WS_BUS_CALL_HEADERS];
    ngx_uint_t                      i, n;
    ngx_connection_t               *c;
    ngx_http_ws_bus_caller_t       *caller;
    ngx_http_ws_bus_jwt_ctx_t      *jwt;

    c = r->connection;
    name = names->elts;
    n = 0;

    size = sizeof(ngx_http_ws_bus_caller_t) + c->addr_text.len
           + r->headers_in.server.len + r->uri.len + r->args.len;

    jwt = ngx_http_ws_bus_jwt_ctx(r);

    if (jwt != NULL && jwt->verified) {
        size += jwt->claims.text.len;
    }

    for (i = 0; i < names->nelts && i < NGX_HTTP_WS_BUS_CALL_HEADERS; i++) {
        value[i] = ngx_http_ws_bus_http_find_header(&r->headers_in.headers,
                                               &name[i]);
        if (value[i] != NULL) {
            size += sizeof(ngx_http_ws_bus_call_header_t) + name[i].len
                    + value[i]->len;
            n++;
        }
    }

    caller = ngx_calloc(size, c->log);
    if (caller == NULL) {
        return NULL;
    }

    caller->main_conf = r->main_conf;
    caller->srv_conf = r->srv_conf;
    caller->loc_conf = r->loc_conf;
    caller->listening = c->listening;
    caller->number = c->number;

    caller->http_connection.addr_conf = r->http_connection->addr_conf;
    caller->http_connection.conf_ctx = r->http_connection->conf_ctx;

    caller->socklen = ngx_min(c->socklen, sizeof(ngx_sockaddr_t));
    ngx_memcpy(&caller->sockaddr, c->sockaddr, caller->socklen);

    if (ngx_connection_local_sockaddr(c, NULL, 0) == NGX_OK) {
        caller->local_socklen = ngx_min(c->local_socklen,
                                        sizeof(ngx_sockaddr_t));
        ngx_memcpy(&caller->local, c->local_sockaddr, caller->local_socklen);
    }

    caller->headers = (ngx_http_ws_bus_call_header_t *) (caller + 1);
    caller->nheaders = n;

    p = (u_char *) (caller->headers + n);

    p = ngx_http_ws_bus_caller_keep(p, &caller->addr_text, &c->addr_text);
    p = ngx_http_ws_bus_caller_keep(p, &caller->host, &r->headers_in.server);
    p = ngx_http_ws_bus_caller_keep(p, &caller->uri, &r->uri);
    p = ngx_http_ws_bus_caller_keep(p, &caller->args, &r->args);

    n = 0;

    for (i = 0; i < names->nelts && i < NGX_HTTP_WS_BUS_CALL_HEADERS; i++) {

        if (value[i] == NULL) {
            continue;
        }

        p = ngx_http_ws_bus_caller_keep(p, &caller->headers[n].name,
                                        &name[i]);
        p = ngx_http_ws_bus_caller_keep(p, &caller->headers[n].value,
                                        value[i]);
        n++;
    }

    if (jwt != NULL && jwt->verified) {
        caller->claims = jwt->claims;
        caller->claims.text.data = p;
        ngx_memcpy(p, jwt->claims.text.data, jwt->claims.text.len);
    }

    return caller;
}


static u_char *
ngx_http_ws_bus_caller_keep(u_char *p, ngx_str_t *dst, const ngx_str_t *src)
{
    dst->data = p;
    dst->len = src->len;

    return src->len ? ngx_cpymem(p, src->data, src->len) : p;
}
