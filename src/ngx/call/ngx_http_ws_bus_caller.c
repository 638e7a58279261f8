/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What calls need of the request that made their client, which is long gone
 * when they are made.
 */

#include "ngx_http_ws_bus_call.h"

#include "../jwt/ngx_http_ws_bus_jwt.h"


static ngx_int_t ngx_http_ws_bus_caller_bearer(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_ctx_t *jwt, ngx_str_t *bearer);
static void ngx_http_ws_bus_caller_hide(ngx_str_t *s, wsb_str_t *token);
static void ngx_http_ws_bus_caller_connection(
    ngx_http_ws_bus_caller_t *caller, ngx_http_request_t *r);
static ngx_str_t *ngx_http_ws_bus_caller_token(
    ngx_http_ws_bus_caller_t *caller);
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
    ngx_str_t                       bearer;
    ngx_http_ws_bus_jwt_ctx_t      *jwt;

    static const ngx_str_t  authorization = ngx_string("Authorization");

    c = r->connection;
    name = names->elts;
    n = 0;

    size = sizeof(ngx_http_ws_bus_caller_t) + c->addr_text.len
           + r->headers_in.server.len + r->uri.len + r->args.len;

    jwt = ngx_http_ws_bus_jwt_ctx(r);

    if (jwt != NULL && jwt->verified) {
        size += jwt->claims.text.len;
    }

    if (ngx_http_ws_bus_caller_bearer(r, jwt, &bearer) != NGX_OK) {
        return NULL;
    }

    for (i = 0; i < names->nelts && i < NGX_HTTP_WS_BUS_CALL_HEADERS; i++) {
        value[i] = ngx_http_ws_bus_http_find_header(&r->headers_in.headers,
                                               &name[i]);

        if (bearer.len != 0 && name[i].len == authorization.len
            && ngx_strncasecmp(name[i].data, authorization.data, name[i].len)
               == 0)
        {
            value[i] = &bearer;
        }

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

    ngx_http_ws_bus_caller_connection(caller, r);

    caller->headers = (ngx_http_ws_bus_call_header_t *) (caller + 1);
    caller->nheaders = n;

    p = (u_char *) (caller->headers + n);

    p = ngx_http_ws_bus_caller_keep(p, &caller->addr_text, &c->addr_text);
    p = ngx_http_ws_bus_caller_keep(p, &caller->host, &r->headers_in.server);
    p = ngx_http_ws_bus_caller_keep(p, &caller->uri, &r->uri);
    p = ngx_http_ws_bus_caller_keep(p, &caller->args, &r->args);

    if (bearer.len != 0) {
        ngx_http_ws_bus_caller_hide(&caller->uri, &jwt->token);
        ngx_http_ws_bus_caller_hide(&caller->args, &jwt->token);
    }

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

        caller->token = ngx_http_ws_bus_caller_token(caller);
    }

    return caller;
}


/* Its token as a header, where the protocol wants that; else empty. */

static ngx_int_t
ngx_http_ws_bus_caller_bearer(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_ctx_t *jwt, ngx_str_t *bearer)
{
    u_char                             *p;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ngx_str_null(bearer);

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (!ccf->codec->bearer || jwt == NULL || !jwt->verified) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, sizeof("Bearer ") - 1 + jwt->token.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    bearer->data = p;
    bearer->len = sizeof("Bearer ") - 1 + jwt->token.len;

    p = ngx_cpymem(p, "Bearer ", sizeof("Bearer ") - 1);
    ngx_memcpy(p, jwt->token.data, jwt->token.len);

    return NGX_OK;
}


/* It goes as a header, and need not stand in an URI that others may log. */

static void
ngx_http_ws_bus_caller_hide(ngx_str_t *s, wsb_str_t *token)
{
    u_char  *p, *last;

    p = s->len ? memmem(s->data, s->len, token->data, token->len) : NULL;

    if (p != NULL) {
        last = s->data + s->len;
        s->len -= token->len;
        ngx_memmove(p, p + token->len, last - p - token->len);
    }
}


static void
ngx_http_ws_bus_caller_connection(ngx_http_ws_bus_caller_t *caller,
    ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

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
}


/*
 * The token may have come from anywhere.  What is passed on as "Bearer" is it
 * if it holds the very claims that were verified.
 */

static ngx_str_t *
ngx_http_ws_bus_caller_token(ngx_http_ws_bus_caller_t *caller)
{
    u_char                         *p, *last, *end;
    ngx_str_t                       coded, plain;
    ngx_uint_t                      i, same;
    ngx_http_ws_bus_call_header_t  *h;

    static const ngx_str_t  name = ngx_string("Authorization");

    for (i = 0; i < caller->nheaders; i++) {
        h = &caller->headers[i];

        if (h->name.len != name.len
            || ngx_strncasecmp(h->name.data, name.data, name.len) != 0
            || h->value.len < 7
            || ngx_strncasecmp(h->value.data, (u_char *) "Bearer ", 7) != 0)
        {
            continue;
        }

        last = h->value.data + h->value.len;
        p = ngx_strlchr(h->value.data, last, '.');
        end = p ? ngx_strlchr(p + 1, last, '.') : NULL;

        if (end == NULL) {
            return NULL;
        }

        coded.data = p + 1;
        coded.len = end - coded.data;

        plain.data = ngx_alloc(ngx_base64_decoded_length(coded.len) + 1,
                               ngx_cycle->log);
        if (plain.data == NULL) {
            return NULL;
        }

        same = (ngx_decode_base64url(&plain, &coded) == NGX_OK
                && plain.len == caller->claims.text.len
                && ngx_memcmp(plain.data, caller->claims.text.data,
                              plain.len)
                   == 0);

        ngx_free(plain.data);

        return same ? &h->value : NULL;
    }

    return NULL;
}


ngx_int_t
ngx_http_ws_bus_caller_renew(ngx_http_ws_bus_caller_t *caller,
    wsb_str_t token, const wsb_json_t *claims)
{
    u_char  *p;
    size_t   len;

    len = caller->token ? sizeof("Bearer ") - 1 + token.len : 0;

    p = ngx_alloc(claims->text.len + len, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (caller->renewed != NULL) {
        ngx_free(caller->renewed);
    }

    caller->renewed = p;

    caller->claims = *claims;
    caller->claims.text.data = p;

    p = ngx_cpymem(p, claims->text.data, claims->text.len);

    if (caller->token != NULL) {
        caller->token->data = p;
        caller->token->len = len;

        p = ngx_cpymem(p, "Bearer ", sizeof("Bearer ") - 1);
        ngx_memcpy(p, token.data, token.len);
    }

    return NGX_OK;
}


void
ngx_http_ws_bus_caller_free(ngx_http_ws_bus_caller_t *caller)
{
    if (caller->renewed != NULL) {
        ngx_free(caller->renewed);
    }

    ngx_free(caller);
}


static u_char *
ngx_http_ws_bus_caller_keep(u_char *p, ngx_str_t *dst, const ngx_str_t *src)
{
    dst->data = p;
    dst->len = src->len;

    return src->len ? ngx_cpymem(p, src->data, src->len) : p;
}
