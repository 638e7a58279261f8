/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Who may be given the same answer: a digest of all by which a backend could
 * tell two clients apart.  ws_bus_audience names something wider in the place
 * of what a client shows of itself; its tenant, and what is forced upon it,
 * count in any case.
 */

#include "ngx_http_ws_bus_snapshot.h"


#define NGX_HTTP_WS_BUS_AUDIENCE_DOMAIN  80


static void ngx_http_ws_bus_audience_add(wsb_text_t *t, const void *data,
    size_t len);


ngx_int_t
ngx_http_ws_bus_audience(ngx_http_ws_bus_ask_t *ask,
    ngx_http_ws_bus_call_t *call, ngx_str_t *audience)
{
    ngx_str_t                       value;
    wsb_key_t                       hash;
    wsb_text_t                      text;
    ngx_uint_t                      i, n;
    wsb_forced_t                    forced[WSB_RESTRICT_CONDITIONS];
    ngx_http_ws_bus_caller_t       *caller;
    ngx_http_ws_bus_call_header_t  *h;

    ngx_memzero(&text, sizeof(wsb_text_t));

    caller = ask->asker->caller;

    ngx_http_ws_bus_audience_add(&text, ask->asker->client->tenant.data,
                                 ask->asker->client->tenant.len);

    n = ngx_http_ws_bus_hook_forced(ask, forced);

    for (i = 0; i < n; i++) {
        ngx_http_ws_bus_audience_add(&text, forced[i].field.data,
                                     forced[i].field.len);
        ngx_http_ws_bus_audience_add(&text, forced[i].op.data,
                                     forced[i].op.len);
        ngx_http_ws_bus_audience_add(&text, forced[i].value.data,
                                     forced[i].value.len);
    }

    if (ask->conf->audience != NULL) {

        if (ngx_http_complex_value(call->main, ask->conf->audience, &value)
            != NGX_OK)
        {
            wsb_text_done(&text);
            return NGX_ERROR;
        }

        ngx_http_ws_bus_audience_add(&text, "value", sizeof("value") - 1);
        ngx_http_ws_bus_audience_add(&text, value.data, value.len);

    } else {

        /* what the call carries, or can be made of it by variables */

        for (i = 0; i < caller->nheaders; i++) {
            h = &caller->headers[i];

            ngx_http_ws_bus_audience_add(&text, h->name.data, h->name.len);
            ngx_http_ws_bus_audience_add(&text, h->value.data, h->value.len);
        }

        ngx_http_ws_bus_audience_add(&text, caller->claims.text.data,
                                     caller->claims.text.len);
        ngx_http_ws_bus_audience_add(&text, caller->args.data,
                                     caller->args.len);
        ngx_http_ws_bus_audience_add(&text, ask->asker->metadata.data,
                                     ask->asker->metadata.len);
    }

    audience->data = ngx_pnalloc(call->pool, 32 + 1);

    if (text.failed || audience->data == NULL) {
        wsb_text_done(&text);
        return NGX_ERROR;
    }

    hash = wsb_hash(ask->bus->zone->key, NGX_HTTP_WS_BUS_AUDIENCE_DOMAIN,
                    text.data, text.len);

    wsb_text_done(&text);

    audience->len = ngx_sprintf(audience->data, "%016xL%016xL", hash.h[0],
                                hash.h[1])
                    - audience->data;

    return NGX_OK;
}


/* With its length: no two of them are the same text together. */

static void
ngx_http_ws_bus_audience_add(wsb_text_t *t, const void *data, size_t len)
{
    uint64_t  n = len;

    wsb_text_add(t, &n, sizeof(n));

    if (len != 0) {
        wsb_text_add(t, data, len);
    }
}
