/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The only place where versions of nginx are told apart.
 */

#ifndef NGX_HTTP_WS_BUS_COMPAT_H
#define NGX_HTTP_WS_BUS_COMPAT_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>


/* With TLS built in, a detached connection gives its 16 KB buffer back. */

static ngx_inline void
ngx_http_ws_bus_compat_free_ssl_buffer(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif
}


/* Of the connection, as $scheme. */

static ngx_inline const char *
ngx_http_ws_bus_compat_scheme(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)
    if (c->ssl) {
        return "https";
    }
#endif

    return "http";
}


/* Does the response come out of a cache, and no backend was asked? */

static ngx_inline ngx_uint_t
ngx_http_ws_bus_compat_is_cached(ngx_http_request_t *r)
{
#if (NGX_HTTP_CACHE)
    return r->cached;
#else
    return 0;
#endif
}


/*
 * Closes our side for writing, with TLS's own farewell before; the peer may
 * still be read.
 */

static ngx_inline ngx_int_t
ngx_http_ws_bus_compat_shutdown(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)
    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;

        (void) SSL_shutdown(c->ssl->connection);
        ERR_clear_error();
    }
#endif

    return ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1 ? NGX_ERROR
                                                                : NGX_OK;
}


/* 127.0.0.0/8, ::1, the former mapped into IPv6, or a unix socket. */

static ngx_inline ngx_uint_t
ngx_http_ws_bus_compat_is_loopback(struct sockaddr *sa)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    u_char               *p;
    struct sockaddr_in6  *sin6;
#endif

    switch (sa->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        return (ntohl(sin->sin_addr.s_addr) >> 24) == 127;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        p = sin6->sin6_addr.s6_addr;

        return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr)
               || (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr) && p[12] == 127);
#endif

#if (NGX_HAVE_UNIX_DOMAIN)
    case AF_UNIX:
        return 1;
#endif

    default:
        return 0;
    }
}


#endif /* NGX_HTTP_WS_BUS_COMPAT_H */
