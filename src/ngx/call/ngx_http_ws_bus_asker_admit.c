/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What is kept of a client that may ask, from its handshake on.
 */

#include "ngx_http_ws_bus_call.h"


static ngx_int_t ngx_http_ws_bus_asker_admit_metadata(
    ngx_http_ws_bus_asker_t *asker, wsb_str_t metadata);
static u_char *ngx_http_ws_bus_asker_admit_copy(u_char *p, wsb_str_t *dst,
    const wsb_str_t *src);


ngx_int_t
ngx_http_ws_bus_asker_admit(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc, const wsb_forced_t *forced, ngx_uint_t n)
{
    size_t                            size;
    u_char                           *p;
    ngx_uint_t                        i;
    ngx_http_ws_bus_asker_t          *asker;
    ngx_http_ws_bus_call_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_call_module);

    size = sizeof(ngx_http_ws_bus_asker_t) + n * sizeof(wsb_forced_t);

    for (i = 0; i < n; i++) {
        size += forced[i].field.len + forced[i].op.len + forced[i].value.len;
    }

    asker = ngx_calloc(size, r->connection->log);
    if (asker == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wc->asker = asker;

    asker->client = wc;
    asker->conf = conf;
    asker->nforced = n;
    ngx_queue_init(&asker->waiting);
    ngx_queue_init(&asker->questions);
    ngx_queue_init(&asker->snapshots);

    ngx_hex_dump(ngx_cpymem(asker->id, "conn_", 5), wc->id, sizeof(wc->id));

    p = (u_char *) &asker->forced[n];

    for (i = 0; i < n; i++) {
        p = ngx_http_ws_bus_asker_admit_copy(p, &asker->forced[i].field,
                                       &forced[i].field);
        p = ngx_http_ws_bus_asker_admit_copy(p, &asker->forced[i].op,
                                       &forced[i].op);
        p = ngx_http_ws_bus_asker_admit_copy(p, &asker->forced[i].value,
                                       &forced[i].value);
    }

    asker->caller = ngx_http_ws_bus_caller_create(r, conf->headers);

    if (asker->caller == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_ws_bus_notice_admit(r, asker) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_ws_bus_asker_admit_metadata(asker,
                                        ngx_http_ws_bus_connect_metadata(r));
}


/* What hooks have said of the handshake is the connection's. */

static ngx_int_t
ngx_http_ws_bus_asker_admit_metadata(ngx_http_ws_bus_asker_t *asker,
    wsb_str_t metadata)
{
    u_char  *p;

    if (metadata.data == NULL) {
        return NGX_OK;
    }

    p = wsb_malloc(metadata.len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    asker->metadata.data = p;
    asker->metadata.len = metadata.len;
    ngx_memcpy(p, metadata.data, metadata.len);

    return NGX_OK;
}


static u_char *
ngx_http_ws_bus_asker_admit_copy(u_char *p, wsb_str_t *dst,
    const wsb_str_t *src)
{
    dst->data = p;
    dst->len = src->len;

    return src->len ? ngx_cpymem(p, src->data, src->len) : p;
}
