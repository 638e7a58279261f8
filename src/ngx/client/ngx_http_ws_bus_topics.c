/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A client's set of topics, for protocols that speak of sets: a subscription
 * for each topic, and never two.
 */

#include "ngx_http_ws_bus_client.h"


static ngx_int_t ngx_http_ws_bus_topics_find(ngx_http_ws_bus_client_t *wc,
    wsb_op_t *one);


/* One that is there stays.  The first that is refused ends it. */

ngx_int_t
ngx_http_ws_bus_topics_add(ngx_http_ws_bus_client_t *wc, wsb_op_t *op,
    const wsb_restrict_t *forced)
{
    unsigned   i;
    wsb_op_t   one;
    ngx_int_t  rc;

    one = *op;
    one.each = 0;
    one.filter.n[WSB_ENTITY_TYPE] = 1;

    for (i = 0; i < op->filter.n[WSB_ENTITY_TYPE]; i++) {
        one.filter.value[WSB_ENTITY_TYPE] =
                                         &op->filter.value[WSB_ENTITY_TYPE][i];

        rc = ngx_http_ws_bus_topics_find(wc, &one);

        if (rc == NGX_DECLINED) {
            rc = ngx_http_ws_bus_subscribe(wc, &one, forced);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* One that is not there is none of its topics as before. */

ngx_int_t
ngx_http_ws_bus_topics_remove(ngx_http_ws_bus_client_t *wc, wsb_op_t *op)
{
    unsigned  i;
    wsb_op_t  one;

    one = *op;
    one.each = 0;
    one.filter.n[WSB_ENTITY_TYPE] = 1;

    for (i = 0; i < op->filter.n[WSB_ENTITY_TYPE] && !wc->closed; i++) {
        one.filter.value[WSB_ENTITY_TYPE] =
                                         &op->filter.value[WSB_ENTITY_TYPE][i];

        if (ngx_http_ws_bus_topics_find(wc, &one) == NGX_OK) {
            (void) ngx_http_ws_bus_subscribe_end(wc, &one);
        }
    }

    return NGX_OK;
}


/*
 * NGX_OK: it is one->ordinal.  By its key: what a subscription must meet
 * besides, by a hook for example, is no part of that.
 */

static ngx_int_t
ngx_http_ws_bus_topics_find(ngx_http_ws_bus_client_t *wc, wsb_op_t *one)
{
    uint32_t     i;
    wsb_key_t    key, keys[WSB_FILTER_VALUES];
    wsb_str_t    tenant;
    wsb_plan_t  *plan;

    tenant.data = wc->tenant.data;
    tenant.len = wc->tenant.len;

    plan = wsb_plan_create(wc->fan->worker->zone->key, tenant, &one->filter,
                           NULL);
    if (plan == NULL) {
        ngx_http_ws_bus_client_end(wc, NGX_HTTP_WS_BUS_END_INTERNAL,
                                   "no memory");
        return NGX_ERROR;
    }

    key = plan->keys[0];

    wsb_free(plan);

    for (i = 0; i < wc->nsubs; i++) {

        (void) wsb_index_node_keys(wc->fan->index, wc->subs[i]->node, keys);

        if (ngx_memcmp(&keys[0], &key, sizeof(wsb_key_t)) == 0) {
            one->ordinal = wc->subs[i]->ordinal;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


void
ngx_http_ws_bus_topics_hear(ngx_http_ws_bus_client_t *wc, uint64_t topics)
{
    wc->muted &= ~topics;
    wc->mutes = wc->muted != 0;
}


/* What is queued of them already is not heard either. */

void
ngx_http_ws_bus_topics_mute(ngx_http_ws_bus_client_t *wc, uint64_t topics)
{
    wc->muted |= topics;
    wc->mutes = 1;

    ngx_http_ws_bus_out_fall_behind(wc);

    if (!wc->blocked) {
        ngx_http_ws_bus_catch_up(wc);
    }
}


ngx_uint_t
ngx_http_ws_bus_topics_muted(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec, uint32_t ordinal)
{
    return ordinal == 1
           && (wc->conf->codec->topic_bits(wc->context,
                                           rec->event.field[WSB_ACTION])
               & ~wc->muted)
              == 0;
}
