/*
 * The compressors of this process: one for each level and window that some
 * location and client agree on, made when it is first needed, and one that
 * inflates.  A connection has none of its own.
 */

#include "ngx_http_ws_bus_module.h"

#include "../ws/wsb_deflate.h"


static wsb_deflate_t  *ngx_http_ws_bus_deflates[10][16];
static wsb_inflate_t  *ngx_http_ws_bus_inflate;


wsb_deflate_t *
ngx_http_ws_bus_deflate(ngx_uint_t level, ngx_uint_t bits)
{
    wsb_deflate_t  **d;

    d = &ngx_http_ws_bus_deflates[level % 10][bits % 16];

    if (*d == NULL) {
        *d = wsb_deflate_create((unsigned) level, (unsigned) bits);
    }

    return *d;
}


/* RFC 7692, section 7.1: agrees with the client on a compression, or none. */

ngx_int_t
ngx_http_ws_bus_negotiate(ngx_http_request_t *r, ngx_http_ws_bus_conn_t *wc,
    ngx_str_t *offers)
{
    u_char       *value;
    wsb_rc_t      rc;
    wsb_str_t     header;
    wsb_offer_t   agreed;

    if (wc->conf->deflate == 0 || offers->len == 0) {
        return NGX_OK;
    }

    header.data = offers->data;
    header.len = offers->len;

    rc = wsb_offer_choose(header, &agreed);

    if (rc == WSB_NOTFOUND) {
        return NGX_OK;
    }

    if (rc != WSB_OK) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client sent invalid \"Sec-WebSocket-Extensions\"");
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_http_ws_bus_inflate == NULL) {
        ngx_http_ws_bus_inflate = wsb_inflate_create();
    }

    value = ngx_pnalloc(r->pool, WSB_OFFER_RESPONSE_MAX + 1);

    if (value == NULL || ngx_http_ws_bus_inflate == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value[wsb_offer_response(value, &agreed)] = '\0';

    wc->conf->reader.inflate = ngx_http_ws_bus_inflate;
    wc->reader.deflate = 1;
    wc->deflate_bits = agreed.server_bits;

    return ngx_http_ws_bus_add_header(r, "Sec-WebSocket-Extensions",
                                      (char *) value)
           == NGX_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * A message that goes to one client alone.  NGX_DECLINED: to be sent as it
 * is.
 */

ngx_int_t
ngx_http_ws_bus_send_deflated(ngx_http_ws_bus_conn_t *wc, ngx_uint_t opcode,
    const u_char *data, size_t len)
{
    size_t          size, n;
    u_char         *out;
    wsb_str_t       body;
    wsb_deflate_t  *d;

    if (wc->deflate_bits == 0 || len < wc->conf->deflate_min_length) {
        return NGX_DECLINED;
    }

    d = ngx_http_ws_bus_deflate(wc->conf->deflate, wc->deflate_bits);
    if (d == NULL) {
        return NGX_DECLINED;
    }

    out = ngx_alloc(WSB_FRAME_SERVER_HEADER_MAX + len, ngx_cycle->log);
    if (out == NULL) {
        return NGX_DECLINED;
    }

    body.data = data;
    body.len = len;
    size = len;

    if (wsb_deflate(d, body, out + WSB_FRAME_SERVER_HEADER_MAX, &size)
        != WSB_OK)
    {
        ngx_free(out);
        return NGX_DECLINED;
    }

    n = wsb_frame_header(out, (unsigned) opcode, 1, size);
    ngx_memmove(out + n, out + WSB_FRAME_SERVER_HEADER_MAX, size);

    ngx_http_ws_bus_send_raw(wc, opcode, out, n + size);

    ngx_free(out);

    return NGX_OK;
}
