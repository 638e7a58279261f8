/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Who may be given the same answer: a digest of all by which a backend could
 * tell two clients apart.  ws_bus_audience names something wider in the place
 * of what a client shows of itself; its tenant, and what is forced upon it,
 * count in any case.
 */

#include "ngx_http_ws_bus_snapshot.h"


#define NGX_HTTP_WS_BUS_AUDIENCE_DOMAIN  85     /* of wsb_hash() */


static ngx_uint_t ngx_http_ws_bus_audience_tells(const ngx_str_t *name);


ngx_int_t
ngx_http_ws_bus_audience(ngx_http_ws_bus_ask_t *ask,
    ngx_http_ws_bus_call_t *call, ngx_str_t *audience)
{
    ngx_str_t     value;
    wsb_key_t     hash;
    wsb_text_t    text;
    ngx_uint_t    n;
    wsb_forced_t  forced[WSB_RESTRICT_CONDITIONS];

    ngx_memzero(&text, sizeof(wsb_text_t));

    ngx_http_ws_bus_audience_add(&text, ask->asker->client->tenant.data,
                                 ask->asker->client->tenant.len);

    n = ngx_http_ws_bus_hook_forced(ask, forced);

    ngx_http_ws_bus_audience_forced(&text, forced, n);

    if (ask->conf->audience == NULL) {
        ngx_http_ws_bus_audience_shown(&text, ask->asker);

    } else {

        if (ngx_http_complex_value(call->main, ask->conf->audience, &value)
            != NGX_OK)
        {
            wsb_text_done(&text);
            return NGX_ERROR;
        }

        ngx_http_ws_bus_audience_add(&text, "value", sizeof("value") - 1);
        ngx_http_ws_bus_audience_add(&text, value.data, value.len);
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


void
ngx_http_ws_bus_audience_forced(wsb_text_t *t, const wsb_forced_t *forced,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        ngx_http_ws_bus_audience_add(t, forced[i].field.data,
                                     forced[i].field.len);
        ngx_http_ws_bus_audience_add(t, forced[i].op.data, forced[i].op.len);
        ngx_http_ws_bus_audience_add(t, forced[i].value.data,
                                     forced[i].value.len);
    }
}


void
ngx_http_ws_bus_audience_shown(wsb_text_t *t, ngx_http_ws_bus_asker_t *asker)
{
    ngx_uint_t                      i;
    ngx_http_ws_bus_caller_t       *caller;
    ngx_http_ws_bus_call_header_t  *h;

    caller = asker->caller;

    ngx_http_ws_bus_audience_add(t, caller->host.data, caller->host.len);
    ngx_http_ws_bus_audience_add(t, caller->args.data, caller->args.len);
    ngx_http_ws_bus_audience_add(t, caller->claims.text.data,
                                 caller->claims.text.len);
    ngx_http_ws_bus_audience_add(t, asker->metadata.data,
                                 asker->metadata.len);

    for (i = 0; i < caller->nheaders; i++) {
        h = &caller->headers[i];

        if (ngx_http_ws_bus_audience_tells(&h->name)) {
            ngx_http_ws_bus_audience_add(t, h->name.data, h->name.len);
            ngx_http_ws_bus_audience_add(t, h->value.data, h->value.len);
        }
    }
}


/* Which program asks, and its trace, say nothing of whom it asks for. */

static ngx_uint_t
ngx_http_ws_bus_audience_tells(const ngx_str_t *name)
{
    static const ngx_str_t  not[] = {
        ngx_string("User-Agent"), ngx_string("traceparent"), ngx_null_string
    };

    const ngx_str_t  *n;

    for (n = not; n->len != 0; n++) {
        if (name->len == n->len
            && ngx_strncasecmp(name->data, n->data, n->len) == 0)
        {
            return 0;
        }
    }

    return 1;
}


/* With its length: no two of them are the same text together. */

void
ngx_http_ws_bus_audience_add(wsb_text_t *t, const void *data, size_t len)
{
    uint64_t  n = len;

    wsb_text_add(t, &n, sizeof(n));

    if (len != 0) {
        wsb_text_add(t, data, len);
    }
}
