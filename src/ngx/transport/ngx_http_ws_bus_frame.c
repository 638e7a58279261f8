/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * An event's message as a frame: its header and the codec's prefix in front
 * of the body, which is rendered, and compressed, once for all.
 */

#include "ngx_http_ws_bus_transport.h"


_Static_assert(NGX_HTTP_WS_BUS_HEADROOM >= WSB_FRAME_SERVER_HEADER_MAX
                                           + WSB_DEFLATE_STORED_HEADER
                                           + WSB_PREFIX_MAX,
               "what precedes a body finds room there");


static ngx_http_ws_bus_form_t *ngx_http_ws_bus_frame_deflated(
    ngx_http_ws_bus_websocket_t *ws, ngx_http_ws_bus_form_t *plain);
static ngx_http_ws_bus_whole_t *ngx_http_ws_bus_frame_whole(
    ngx_http_ws_bus_form_t *form, const ngx_http_ws_bus_client_t *wc,
    uint32_t ordinal, wsb_change_t change);
static size_t ngx_http_ws_bus_frame_prefix(u_char *dst,
    const ngx_http_ws_bus_form_t *form, const ngx_http_ws_bus_client_t *wc,
    uint32_t ordinal, wsb_change_t change);


ngx_uint_t
ngx_http_ws_bus_frame_event(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_client_t *wc, uint32_t ordinal, wsb_change_t change,
    u_char scratch[NGX_HTTP_WS_BUS_HEADROOM], ngx_str_t piece[2])
{
    ngx_http_ws_bus_form_t       *form;
    ngx_http_ws_bus_whole_t      *whole;
    ngx_http_ws_bus_websocket_t  *ws;

    ws = (ngx_http_ws_bus_websocket_t *) wc;

    form = ngx_http_ws_bus_record_plain(rec, wc->conf, change);

    /* without compression ws is not looked at: it is far from the hot lines */

    if (form != NULL && wc->packs
        && form->len
           >= ngx_http_ws_bus_websocket_conf(ws)->deflate_min_length)
    {
        form = ngx_http_ws_bus_frame_deflated(ws, form);
    }

    if (form == NULL) {
        return 0;
    }

    whole = wc->conf->codec->own_names
                ? NULL
                : ngx_http_ws_bus_frame_whole(form, wc, ordinal, change);

    if (whole != NULL) {
        piece[0].data = whole->pos;
        piece[0].len = whole->len;

        return 1;
    }

    piece[0].data = scratch;
    piece[0].len = ngx_http_ws_bus_frame_prefix(scratch, form, wc, ordinal,
                                                change);
    piece[1].data = form->body;
    piece[1].len = form->len;

    return 2;
}


/*
 * The body is compressed once and serves every peer whose window is at least
 * as large as what it refers back to.  Where compressing does not pay, the
 * plain form goes out.
 */

static ngx_http_ws_bus_form_t *
ngx_http_ws_bus_frame_deflated(ngx_http_ws_bus_websocket_t *ws,
    ngx_http_ws_bus_form_t *plain)
{
    size_t                   len;
    wsb_str_t                body;
    wsb_deflate_t           *d;
    ngx_http_ws_bus_form_t  *form, **last;

    /*
     * The first that fits, in the order in which they were made: a frame that
     * has been begun must be finished in the same form.
     */

    for (last = &plain->next; *last != NULL; last = &(*last)->next) {
        form = *last;

        if (form->bits <= ws->deflate_bits) {
            return form->body ? form : plain;
        }
    }

    if (plain->stays) {
        return plain;
    }

    d = ngx_http_ws_bus_deflate(ngx_http_ws_bus_websocket_conf(ws)->deflate,
                                ws->deflate_bits);

    form = ngx_alloc(sizeof(ngx_http_ws_bus_form_t)
                     + NGX_HTTP_WS_BUS_HEADROOM + plain->len,
                     ngx_cycle->log);

    if (form == NULL || d == NULL) {

        if (form != NULL) {
            ngx_free(form);
        }

        /* later there may be memory, when a plain frame has been begun */

        plain->stays = 1;

        return plain;
    }

    ngx_memzero(form, sizeof(ngx_http_ws_bus_form_t));

    body.data = plain->body;
    body.len = plain->len;
    len = plain->len;

    form->bits = wsb_deflate_window(body.len, ws->deflate_bits);
    form->body = (u_char *) (form + 1) + NGX_HTTP_WS_BUS_HEADROOM;

    if (wsb_deflate(d, body, form->body, &len) == WSB_OK) {
        form->len = len;

    } else {
        form->body = NULL;
    }

    ngx_http_ws_bus_websocket_counters(ws->client.fan->worker)->deflations++;

    *last = form;

    return form->body ? form : plain;
}


/*
 * Small frames are kept whole for the first ordinals that come along, which
 * are those of nearly everybody; the very first takes no copy at all.
 */

static ngx_http_ws_bus_whole_t *
ngx_http_ws_bus_frame_whole(ngx_http_ws_bus_form_t *form,
    const ngx_http_ws_bus_client_t *wc, uint32_t ordinal, wsb_change_t change)
{
    size_t                    len;
    u_char                    prefix[NGX_HTTP_WS_BUS_HEADROOM];
    ngx_uint_t                i;
    ngx_http_ws_bus_whole_t  *whole;

    for (i = 0; i < NGX_HTTP_WS_BUS_WHOLE; i++) {
        whole = &form->whole[i];

        if (whole->ordinal == ordinal && whole->change == change) {
            return whole;
        }

        if (whole->ordinal == 0) {
            break;
        }
    }

    if (i == NGX_HTTP_WS_BUS_WHOLE
        || (i > 0 && form->len > NGX_HTTP_WS_BUS_WHOLE_MAX))
    {
        return NULL;
    }

    len = ngx_http_ws_bus_frame_prefix(prefix, form, wc, ordinal, change);

    if (i == 0) {
        whole->pos = form->body - len;

    } else {
        whole->pos = ngx_alloc(len + form->len, ngx_cycle->log);
        if (whole->pos == NULL) {
            return NULL;
        }

        ngx_memcpy(whole->pos + len, form->body, form->len);
    }

    ngx_memcpy(whole->pos, prefix, len);

    whole->len = len + form->len;
    whole->ordinal = ordinal;
    whole->change = change;

    return whole;
}


/*
 * The frame's header and the codec's prefix, if it has one, which before a
 * compressed body is a stored block; returns their length.
 */

static size_t
ngx_http_ws_bus_frame_prefix(u_char *dst, const ngx_http_ws_bus_form_t *form,
    const ngx_http_ws_bus_client_t *wc, uint32_t ordinal, wsb_change_t change)
{
    size_t              len, n;
    u_char              prefix[WSB_DEFLATE_STORED_HEADER + WSB_PREFIX_MAX];
    const wsb_codec_t  *codec;

    codec = wc->conf->codec;

    n = form->bits ? WSB_DEFLATE_STORED_HEADER : 0;
    len = codec->prefix
              ? codec->prefix(prefix + n, wc->id, ordinal, change)
              : 0;

    if (form->bits && len != 0) {
        (void) wsb_deflate_stored(prefix, len);
        len += n;
    }

    n = wsb_frame_header(dst, WSB_FRAME_TEXT, form->bits != 0,
                         len + form->len);

    ngx_memcpy(dst + n, prefix, len);

    return n + len;
}
