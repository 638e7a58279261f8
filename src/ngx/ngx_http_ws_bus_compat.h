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
ngx_http_ws_bus_free_ssl_buffer(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif
}


/*
 * Closes our side for writing, with TLS's own farewell before; the peer may
 * still be read.
 */

static ngx_inline ngx_int_t
ngx_http_ws_bus_shutdown(ngx_connection_t *c)
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


#endif /* NGX_HTTP_WS_BUS_COMPAT_H */
