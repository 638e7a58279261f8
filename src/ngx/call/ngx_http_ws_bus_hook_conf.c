/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The directives of hooks.
 */

#include "ngx_http_ws_bus_call.h"


static ngx_int_t ngx_http_ws_bus_hook_conf_parameter(ngx_conf_t *cf,
    ngx_http_ws_bus_hook_t *hook, ngx_str_t *value);
static ngx_int_t ngx_http_ws_bus_hook_conf_check(ngx_conf_t *cf,
    ngx_http_ws_bus_hook_t *hook);
static ngx_uint_t ngx_http_ws_bus_hook_conf_phase(ngx_str_t *name);


const char *const  ngx_http_ws_bus_hook_names[] = {
    "before_read", "before_create", "before_update", "before_delete",
    "before_meta", "before_subscribe", "before_unsubscribe",
    "after_read", "after_create", "after_update", "after_delete",
    "after_meta", "after_subscribe", "after_unsubscribe",
    "before_handle", "before_connect", "after_connect", "after_disconnect",
    NULL
};


char *
ngx_http_ws_bus_hook_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_call_loc_conf_t  *kcf = conf;

    ngx_str_t                         *value;
    ngx_uint_t                         i, phase;
    ngx_http_ws_bus_hook_t            *hook;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    phase = ngx_http_ws_bus_hook_conf_phase(&value[1]);

    if (phase == NGX_HTTP_WS_BUS_HOOK_NPHASES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown phase \"%V\" in \"ws_bus_hook\": write "
                           "before_handle, or before_ or after_ with connect, "
                           "read, create, update, delete, meta, subscribe or "
                           "unsubscribe, or after_disconnect", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (value[2].data[0] != '/' && value[2].data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"ws_bus_hook\": write "
                           "the URI of a location of this server, such as "
                           "\"/hooks/$ws_bus_entity\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (kcf->hooks == NULL) {
        kcf->hooks = ngx_array_create(cf->pool, 4,
                                      sizeof(ngx_http_ws_bus_hook_t));
        if (kcf->hooks == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    hook = ngx_array_push(kcf->hooks);
    if (hook == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(hook, sizeof(ngx_http_ws_bus_hook_t));

    hook->phase = phase;
    kcf->phases |= 1 << phase;

    for (i = 3; i < cf->args->nelts; i++) {
        if (ngx_http_ws_bus_hook_conf_parameter(cf, hook, &value[i])
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &hook->uri;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_ws_bus_hook_conf_check(cf, hook) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_ws_bus_hook_conf_parameter(ngx_conf_t *cf,
    ngx_http_ws_bus_hook_t *hook, ngx_str_t *value)
{
    ngx_int_t   delay;
    ngx_str_t   s;
    ngx_uint_t  later;

    later = hook->phase == NGX_HTTP_WS_BUS_HOOK_AFTER_CONNECT
            || hook->phase == NGX_HTTP_WS_BUS_HOOK_AFTER_DISCONNECT;

    if (!later && ngx_strcmp(value->data, "fail=open") == 0) {
        hook->open = 1;
        return NGX_OK;
    }

    if (!later && ngx_strcmp(value->data, "fail=closed") == 0) {
        return NGX_OK;
    }

    if (later && ngx_strncmp(value->data, "delay=", 6) == 0
        && hook->phase == NGX_HTTP_WS_BUS_HOOK_AFTER_DISCONNECT)
    {
        s.data = value->data + 6;
        s.len = value->len - 6;

        delay = ngx_parse_time(&s, 0);

        if (delay != NGX_ERROR && delay <= 3600 * 1000) {
            hook->delay = delay;
            return NGX_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"ws_bus_hook\": write "
                       "%s", value,
                       !later ? "fail=closed or fail=open"
                       : hook->phase == NGX_HTTP_WS_BUS_HOOK_AFTER_CONNECT
                             ? "none" : "delay= and a time of at most 1h");

    return NGX_ERROR;
}


/* One call tells of many connections: nothing of it can be one's own. */

static ngx_int_t
ngx_http_ws_bus_hook_conf_check(ngx_conf_t *cf, ngx_http_ws_bus_hook_t *hook)
{
    if (hook->uri.lengths != NULL
        && (hook->phase == NGX_HTTP_WS_BUS_HOOK_AFTER_CONNECT
            || hook->phase == NGX_HTTP_WS_BUS_HOOK_AFTER_DISCONNECT))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the URI \"%V\" of the hook \"%s\" cannot have "
                           "variables: one call tells of many connections",
                           &hook->uri.value,
                           ngx_http_ws_bus_hook_names[hook->phase]);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_ws_bus_hook_conf_phase(ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; ngx_http_ws_bus_hook_names[i] != NULL; i++) {
        if (ngx_strcmp(name->data, ngx_http_ws_bus_hook_names[i]) == 0) {
            break;
        }
    }

    return i;
}


char *
ngx_http_ws_bus_hook_conf_claims(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_call_loc_conf_t  *kcf = conf;

    wsb_str_t   *name;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (kcf->claims != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    kcf->claims = ngx_array_create(cf->pool, 4, sizeof(wsb_str_t));
    if (kcf->claims == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        name = ngx_array_push(kcf->claims);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        name->data = value[i].data;
        name->len = value[i].len;
    }

    return NGX_CONF_OK;
}
