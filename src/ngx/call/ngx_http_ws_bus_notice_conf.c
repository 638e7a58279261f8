/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Who tells of connections, and the memory in which that lies.
 */

#include "ngx_http_ws_bus_notice.h"

#include "../jwt/ngx_http_ws_bus_jwt.h"

#include "../../event/wsb_hash.h"


#define NGX_HTTP_WS_BUS_NOTICE_MEMORY  (4 * 1024 * 1024)


static ngx_int_t ngx_http_ws_bus_notice_conf_user(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *ccf, ngx_http_ws_bus_hook_t *hook);
static ngx_http_ws_bus_teller_t *ngx_http_ws_bus_notice_conf_teller(
    ngx_conf_t *cf, ngx_http_ws_bus_call_loc_conf_t *conf,
    ngx_http_ws_bus_hook_t *hook);
static uint64_t ngx_http_ws_bus_notice_conf_hash(ngx_conf_t *cf,
    ngx_http_ws_bus_hook_t *hook, ngx_http_ws_bus_zone_t *bus);
static ngx_int_t ngx_http_ws_bus_notice_conf_zone(ngx_shm_zone_t *shm_zone,
    void *data);


void *
ngx_http_ws_bus_notice_conf_create(ngx_conf_t *cf)
{
    ngx_http_ws_bus_call_main_conf_t  *kmcf;

    kmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_call_main_conf_t));
    if (kmcf == NULL) {
        return NULL;
    }

    kmcf->memory = NGX_CONF_UNSET_SIZE;

    if (ngx_array_init(&kmcf->tellers, cf->pool, 4,
                       sizeof(ngx_http_ws_bus_teller_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return kmcf;
}


/* Of a location in which clients are made: each such hook has its teller. */

ngx_int_t
ngx_http_ws_bus_notice_conf_merge(ngx_conf_t *cf,
    ngx_http_ws_bus_call_loc_conf_t *conf)
{
    ngx_uint_t                           i;
    ngx_http_ws_bus_hook_t              *hook;
    ngx_http_ws_bus_teller_t            *teller, **place;
    ngx_http_ws_bus_client_loc_conf_t   *ccf;

    ccf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_ws_bus_client_module);

    if (ccf->zone == NULL
        || !(conf->phases & (1 << NGX_HTTP_WS_BUS_HOOK_AFTER_CONNECT
                             | 1 << NGX_HTTP_WS_BUS_HOOK_AFTER_DISCONNECT)))
    {
        return NGX_OK;
    }

    conf->tellers = ngx_array_create(cf->pool, 2,
                                     sizeof(ngx_http_ws_bus_teller_t *));
    if (conf->tellers == NULL) {
        return NGX_ERROR;
    }

    hook = conf->hooks->elts;

    for (i = 0; i < conf->hooks->nelts; i++) {

        if (hook[i].phase != NGX_HTTP_WS_BUS_HOOK_AFTER_CONNECT
            && hook[i].phase != NGX_HTTP_WS_BUS_HOOK_AFTER_DISCONNECT)
        {
            continue;
        }

        if (conf->tellers->nelts == NGX_HTTP_WS_BUS_TELLERS_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "more than %d hooks \"after_connect\" and "
                               "\"after_disconnect\" in one place",
                               NGX_HTTP_WS_BUS_TELLERS_MAX);
            return NGX_ERROR;
        }

        if (ngx_http_ws_bus_notice_conf_user(cf, ccf, &hook[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        teller = ngx_http_ws_bus_notice_conf_teller(cf, conf, &hook[i]);
        place = ngx_array_push(conf->tellers);

        if (teller == NULL || place == NULL) {
            return NGX_ERROR;
        }

        *place = teller;
    }

    return NGX_OK;
}


/* Who says nothing else is known by the token. */

static ngx_int_t
ngx_http_ws_bus_notice_conf_user(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *ccf, ngx_http_ws_bus_hook_t *hook)
{
    ngx_http_ws_bus_jwt_loc_conf_t    *jlcf;
    ngx_http_compile_complex_value_t   ccv;

    static ngx_str_t  sub = ngx_string("$ws_bus_jwt_claim_sub");

    jlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_ws_bus_jwt_module);

    if (hook->delay != 0 && jlcf->sources == NULL
        && (ccf->user == NULL
            || ngx_strcmp(ccf->user->value.data, sub.data) == 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"delay=\" of the hook \"after_disconnect\" waits "
                           "for who comes back, and here nobody is known: add "
                           "\"ws_bus_user\" or \"ws_bus_jwt\"");
        return NGX_ERROR;
    }

    if (ccf->user != NULL) {
        return NGX_OK;
    }

    ccf->user = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (ccf->user == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &sub;
    ccv.complex_value = ccf->user;

    return ngx_http_compile_complex_value(&ccv);
}


/* The same hook of several locations of a server is told by one. */

static ngx_http_ws_bus_teller_t *
ngx_http_ws_bus_notice_conf_teller(ngx_conf_t *cf,
    ngx_http_ws_bus_call_loc_conf_t *conf, ngx_http_ws_bus_hook_t *hook)
{
    uint64_t                             hash;
    ngx_uint_t                           i;
    ngx_http_conf_ctx_t                 *ctx;
    ngx_http_ws_bus_teller_t            *teller, **place;
    ngx_http_ws_bus_call_main_conf_t    *kmcf;
    ngx_http_ws_bus_client_loc_conf_t   *ccf;

    ctx = cf->ctx;
    kmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ws_bus_call_module);
    ccf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_ws_bus_client_module);

    hash = ngx_http_ws_bus_notice_conf_hash(cf, hook, ccf->zone);

    place = kmcf->tellers.elts;

    for (i = 0; i < kmcf->tellers.nelts; i++) {
        if (place[i]->hash == hash) {
            return place[i];
        }
    }

    teller = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_teller_t));
    place = ngx_array_push(&kmcf->tellers);

    if (teller == NULL || place == NULL) {
        return NULL;
    }

    teller->hook = hook;
    teller->conf = conf;
    teller->bus = ccf->zone;
    teller->srv_conf = ctx->srv_conf;
    teller->loc_conf = ctx->loc_conf;
    teller->hash = hash;

    *place = teller;

    return teller;
}


/* What a hook is known by in other processes, and after a reload. */

static uint64_t
ngx_http_ws_bus_notice_conf_hash(ngx_conf_t *cf, ngx_http_ws_bus_hook_t *hook,
    ngx_http_ws_bus_zone_t *bus)
{
    wsb_key_t                  key;
    wsb_text_t                 text;
    ngx_http_core_srv_conf_t  *cscf;

    static const uint8_t  zero[16];

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    ngx_memzero(&text, sizeof(wsb_text_t));

    wsb_text_lit(&text, ngx_http_ws_bus_hook_names[hook->phase]);
    wsb_text_lit(&text, " ");
    wsb_text_add(&text, hook->uri.value.data, hook->uri.value.len);
    wsb_text_lit(&text, " ");
    wsb_text_uint(&text, hook->delay);
    wsb_text_lit(&text, " ");
    wsb_text_add(&text, bus->name.data, bus->name.len);
    wsb_text_lit(&text, " ");
    wsb_text_add(&text, cscf->server_name.data, cscf->server_name.len);

    key = wsb_hash(zero, WSB_DOMAIN_NOTICES, text.data, text.len);

    wsb_text_done(&text);

    return key.h[0];
}


/* When all is merged: no memory where nobody needs it. */

ngx_int_t
ngx_http_ws_bus_notice_conf_init(ngx_conf_t *cf)
{
    ngx_http_ws_bus_call_main_conf_t  *kmcf;

    static ngx_str_t  name = ngx_string("ws_bus_hook");

    kmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ws_bus_call_module);

    ngx_conf_init_size_value(kmcf->memory, NGX_HTTP_WS_BUS_NOTICE_MEMORY);

    if (kmcf->tellers.nelts == 0) {
        return NGX_OK;
    }

    kmcf->shm_zone = ngx_shared_memory_add(cf, &name, kmcf->memory,
                                           &ngx_http_ws_bus_call_module);
    if (kmcf->shm_zone == NULL) {
        return NGX_ERROR;
    }

    kmcf->shm_zone->init = ngx_http_ws_bus_notice_conf_zone;
    kmcf->shm_zone->data = kmcf;

    return NGX_OK;
}


/* All but what the slab allocator takes for itself, of each page. */

static ngx_int_t
ngx_http_ws_bus_notice_conf_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    size_t            size;
    uint32_t          n;
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    size = shm_zone->shm.size;
    size -= size / 64 + 16 * ngx_pagesize;
    n = wsb_notice_table_cells(size);

    if (shpool->data == NULL) {

        shpool->data = ngx_slab_calloc(shpool, size);

        if (shpool->data == NULL || n == 0) {
            return NGX_ERROR;
        }

        wsb_notice_table_init(shpool->data, n);

        return NGX_OK;
    }

    if (!wsb_notice_table_valid(shpool->data, n)) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "the memory of \"ws_bus_hook_memory\" was laid out by "
                      "another version of the module: restart nginx, a "
                      "reload cannot change it");
        return NGX_ERROR;
    }

    return NGX_OK;
}
