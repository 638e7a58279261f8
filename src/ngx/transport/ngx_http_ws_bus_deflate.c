/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The compressors of this process: one for each level and window that some
 * location and client agree on, made when it is first needed, and one that
 * inflates.  A connection has none of its own.
 */

#include "ngx_http_ws_bus_transport.h"


static wsb_deflate_t  *ngx_http_ws_bus_deflates[10][16];
static wsb_inflate_t  *ngx_http_ws_bus_inflate;


char *
ngx_http_ws_bus_deflate_level(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_websocket_loc_conf_t  *wslcf = conf;

    ngx_str_t  *value;

    if (wslcf->deflate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        wslcf->deflate = 0;

    } else if (ngx_strcmp(value[1].data, "on") == 0) {
        wslcf->deflate = 1;

    } else if (value[1].len == 1
               && value[1].data[0] >= '1' && value[1].data[0] <= '9')
    {
        wslcf->deflate = value[1].data[0] - '0';

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"ws_bus_deflate\": "
                           "expected \"off\", \"on\" (level 1), or a level "
                           "from 1 to 9", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


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
ngx_http_ws_bus_deflate_negotiate(ngx_http_request_t *r,
    ngx_http_ws_bus_websocket_t *ws, ngx_str_t *offers)
{
    u_char       *value;
    wsb_rc_t      rc;
    wsb_str_t     header;
    wsb_offer_t   agreed;

    ngx_http_ws_bus_websocket_loc_conf_t  *wslcf;

    wslcf = ngx_http_ws_bus_websocket_conf(ws);

    if (wslcf->deflate == 0 || offers->len == 0) {
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

    wslcf->reader.inflate = ngx_http_ws_bus_inflate;
    ws->reader.deflate = 1;
    ws->deflate_bits = agreed.server_bits;
    ws->client.packs = ws->deflate_bits != 0;

    return ngx_http_ws_bus_http_add_header(r, "Sec-WebSocket-Extensions",
                                           (char *) value)
           == NGX_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * A message that goes to one client alone.  NGX_DECLINED: to be sent as it
 * is.
 */

ngx_int_t
ngx_http_ws_bus_deflate_send(ngx_http_ws_bus_websocket_t *ws, ngx_uint_t opcode,
    const u_char *data, size_t len)
{
    size_t          size, n;
    u_char         *out;
    wsb_str_t       body;
    wsb_deflate_t  *d;

    ngx_http_ws_bus_websocket_loc_conf_t  *wslcf;

    wslcf = ngx_http_ws_bus_websocket_conf(ws);

    if (ws->deflate_bits == 0 || len < wslcf->deflate_min_length) {
        return NGX_DECLINED;
    }

    d = ngx_http_ws_bus_deflate(wslcf->deflate, ws->deflate_bits);
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

    ngx_http_ws_bus_websocket_send_raw(ws, out, n + size,
                                       NGX_HTTP_WS_BUS_OUT_ANSWER);

    ngx_free(out);

    return NGX_OK;
}
