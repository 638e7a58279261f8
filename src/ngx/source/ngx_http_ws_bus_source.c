/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The module ngx_http_ws_bus_source_module: where events come from.
 */

#include "ngx_http_ws_bus_source.h"


static ngx_int_t ngx_http_ws_bus_source_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_ws_bus_source_init_process(ngx_cycle_t *cycle);
static void ngx_http_ws_bus_source_exit_process(ngx_cycle_t *cycle);
static char *ngx_http_ws_bus_source_publish(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_ws_bus_source_capture(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static void ngx_http_ws_bus_source_zone(ngx_conf_t *cf,
    ngx_http_ws_bus_zone_t *bus);
static char *ngx_http_ws_bus_source_capture_path(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_ws_bus_source_capture_word(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value);
static char *ngx_http_ws_bus_source_capture_data(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_ws_bus_source_capture_old(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static void *ngx_http_ws_bus_source_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_ws_bus_source_init_main_conf(ngx_conf_t *cf,
    void *conf);
static void *ngx_http_ws_bus_source_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_ws_bus_source_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_ws_bus_source_captured_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_max_body = {
    ngx_conf_set_size_slot, "a size from 1k to 64m, such as \"256k\"",
    1024, 64 * 1024 * 1024, 0
};

static ngx_command_t  ngx_http_ws_bus_source_commands[] = {

    { ngx_string("ws_bus_publish"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_source_publish,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_capture"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_source_capture,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_capture_entity"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_arg_complex,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_source_loc_conf_t, capture_entity),
      NULL },

    { ngx_string("ws_bus_capture_id"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_source_capture_path,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_source_loc_conf_t, capture_id),
      NULL },

    { ngx_string("ws_bus_capture_action"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_arg_complex,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_source_loc_conf_t, capture_action),
      NULL },

    { ngx_string("ws_bus_capture_data"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_source_capture_data,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_capture_old"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_source_capture_old,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_capture_version"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_source_capture_path,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_source_loc_conf_t, capture_version),
      NULL },

    { ngx_string("ws_bus_capture_max_body"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_source_loc_conf_t, capture_max_body),
      &ngx_http_ws_bus_max_body },

    { ngx_string("ws_bus_watch"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_watch_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ws_bus_source_module_ctx = {
    ngx_http_ws_bus_source_preconfiguration,/* preconfiguration */
    ngx_http_ws_bus_capture_init,          /* postconfiguration */

    ngx_http_ws_bus_source_create_main_conf,  /* create main configuration */
    ngx_http_ws_bus_source_init_main_conf, /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_ws_bus_source_create_loc_conf,   /* create location conf */
    ngx_http_ws_bus_source_merge_loc_conf  /* merge location configuration */
};


ngx_module_t  ngx_http_ws_bus_source_module = {
    NGX_MODULE_V1,
    &ngx_http_ws_bus_source_module_ctx,    /* module context */
    ngx_http_ws_bus_source_commands,       /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_ws_bus_source_init_process,   /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_ws_bus_source_exit_process,   /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_str_t  ngx_http_ws_bus_captured_id_name =
    ngx_string("ws_bus_captured_id");


ngx_uint_t  ngx_http_ws_bus_source_counters_at;

static const ngx_http_ws_bus_counter_t  ngx_http_ws_bus_source_counter[] = {
    NGX_HTTP_WS_BUS_SOURCE_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_ROW)
};


static ngx_int_t
ngx_http_ws_bus_source_preconfiguration(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, &ngx_http_ws_bus_captured_id_name,
                                NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_ws_bus_source_captured_id;

    return ngx_http_ws_bus_counter_register(cf,
                                 ngx_http_ws_bus_source_counter,
                                 sizeof(ngx_http_ws_bus_source_counters_t)
                                     / sizeof(uint64_t),
                                 &ngx_http_ws_bus_source_counters_at);
}


static ngx_int_t
ngx_http_ws_bus_source_init_process(ngx_cycle_t *cycle)
{
    ngx_http_ws_bus_source_main_conf_t  *smcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        /* a cache manager takes no part */
        return NGX_OK;
    }

    smcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_ws_bus_source_module);

    if (smcf != NULL) {
        ngx_http_ws_bus_resync_init_process(cycle);
        ngx_http_ws_bus_watch_init_process(cycle, smcf);
    }

    return NGX_OK;
}


static void
ngx_http_ws_bus_source_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_ws_bus_watch_exit_process();
}


static char *
ngx_http_ws_bus_source_publish(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_source_loc_conf_t  *slcf = conf;

    ngx_str_t                   *value;
    ngx_http_ws_bus_loc_conf_t  *wlcf;

    value = cf->args->elts;

    if (cf->args->nelts == 3) {

        if (ngx_strcmp(value[2].data, "any") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"ws_bus_publish\": only \"any\" may follow "
                               "the zone", &value[2]);
            return NGX_CONF_ERROR;
        }

        slcf->publish_any = 1;

    } else {
        slcf->publish_any = 0;
    }

    slcf->publish = ngx_http_ws_bus_zone_get(cf, &value[1]);
    if (slcf->publish == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_http_ws_bus_source_zone(cf, slcf->publish);

    wlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_ws_bus_module);
    wlcf->preflight = slcf->publish_any;

    return ngx_http_ws_bus_conf_take_location(cf, cmd,
                                              ngx_http_ws_bus_publish_handler);
}


static char *
ngx_http_ws_bus_source_capture(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_source_loc_conf_t  *slcf = conf;

    ngx_str_t  *value;

    if (slcf->capture != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        slcf->capture = NULL;
        return NGX_CONF_OK;
    }

    slcf->capture = ngx_http_ws_bus_zone_get(cf, &value[1]);

    if (slcf->capture == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_http_ws_bus_source_zone(cf, slcf->capture);

    return NGX_CONF_OK;
}


/* Whose the location is, unless it has clients of another bus. */

static void
ngx_http_ws_bus_source_zone(ngx_conf_t *cf, ngx_http_ws_bus_zone_t *bus)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf;

    wlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_ws_bus_module);

    if (wlcf->zone == NULL) {
        wlcf->zone = bus;
    }
}


/* A value, or "path=" and names joined by dots. */

static char *
ngx_http_ws_bus_source_capture_path(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char                      *rv;
    u_char                    *p;
    ngx_str_t                 *value;
    ngx_http_complex_value_t  *cv;

    rv = ngx_http_ws_bus_arg_complex(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "path=", 5) != 0) {
        return ngx_http_ws_bus_source_capture_word(cf, cmd, &value[1]);
    }

    cv = *(ngx_http_complex_value_t **) ((char *) conf + cmd->offset);

    if (cv->lengths != NULL) {
        return NGX_CONF_OK;
    }

    p = value[1].data + 5;

    if (*p == '\0' || *p == '.' || value[1].data[value[1].len - 1] == '.'
        || ngx_strstr(p, "..") != NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid path \"%V\" in \"%V\": expected names "
                           "joined by dots, such as \"path=data.order.id\"",
                           &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* A word before "=" is meant as a parameter, and there is but one. */

static char *
ngx_http_ws_bus_source_capture_word(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value)
{
    u_char  *p, c;

    for (p = value->data; p < value->data + value->len; p++) {
        c = *p | 0x20;

        if ((c < 'a' || c > 'z') && *p != '_') {
            break;
        }
    }

    if (p == value->data || *p != '=') {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"%V\": write "
                       "\"path=%s\" for a place in the response, or the "
                       "value alone", value, &cmd->name, p + 1);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_ws_bus_source_capture_data(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_source_loc_conf_t  *slcf = conf;

    ngx_str_t  *value;

    if (slcf->capture_data != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "response") == 0) {
        slcf->capture_data = NGX_HTTP_WS_BUS_DATA_RESPONSE;

    } else if (ngx_strcmp(value[1].data, "request") == 0) {
        slcf->capture_data = NGX_HTTP_WS_BUS_DATA_REQUEST;

    } else if (ngx_strcmp(value[1].data, "none") == 0) {
        slcf->capture_data = NGX_HTTP_WS_BUS_DATA_NONE;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"ws_bus_capture_data\": "
                           "expected \"response\", \"request\" or \"none\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_source_capture_old(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_source_loc_conf_t  *slcf = conf;

    ngx_str_t  *value;

    if (slcf->capture_old != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "history") == 0) {
        slcf->capture_old = NGX_HTTP_WS_BUS_OLD_HISTORY;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        slcf->capture_old = NGX_HTTP_WS_BUS_OLD_OFF;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"ws_bus_capture_old\": "
                           "expected \"history\" or \"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_ws_bus_source_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_ws_bus_source_main_conf_t  *smcf;

    smcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_source_main_conf_t));
    if (smcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&smcf->watches, cf->pool, 1, sizeof(void *))
        != NGX_OK)
    {
        return NULL;
    }

    return smcf;
}


static char *
ngx_http_ws_bus_source_init_main_conf(ngx_conf_t *cf, void *conf)
{
    return ngx_http_ws_bus_watch_check_all(cf, conf);
}


static void *
ngx_http_ws_bus_source_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_ws_bus_source_loc_conf_t  *slcf;

    slcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_source_loc_conf_t));
    if (slcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     slcf->capture_entity = NULL;
     *     slcf->capture_id = NULL;
     *     slcf->capture_action = NULL;
     *     slcf->capture_version = NULL;
     */

    slcf->publish = NGX_CONF_UNSET_PTR;
    slcf->publish_any = NGX_CONF_UNSET_UINT;
    slcf->capture = NGX_CONF_UNSET_PTR;
    slcf->capture_data = NGX_CONF_UNSET_UINT;
    slcf->capture_old = NGX_CONF_UNSET_UINT;
    slcf->capture_max_body = NGX_CONF_UNSET_SIZE;

    return slcf;
}


static char *
ngx_http_ws_bus_source_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_ws_bus_source_loc_conf_t  *prev = parent;
    ngx_http_ws_bus_source_loc_conf_t  *conf = child;

    /* an "if" within a location runs the handler with a conf of its own */

    ngx_conf_merge_ptr_value(conf->publish, prev->publish, NULL);
    ngx_conf_merge_uint_value(conf->publish_any, prev->publish_any, 0);

    ngx_conf_merge_ptr_value(conf->capture, prev->capture, NULL);
    ngx_conf_merge_uint_value(conf->capture_data, prev->capture_data,
                              NGX_HTTP_WS_BUS_DATA_DEFAULT);
    ngx_conf_merge_uint_value(conf->capture_old, prev->capture_old,
                              NGX_HTTP_WS_BUS_OLD_HISTORY);
    ngx_conf_merge_size_value(conf->capture_max_body, prev->capture_max_body,
                              256 * 1024);

    ngx_http_ws_bus_conf_merge_value(&conf->capture_entity,
                                     prev->capture_entity);
    ngx_http_ws_bus_conf_merge_value(&conf->capture_id, prev->capture_id);
    ngx_http_ws_bus_conf_merge_value(&conf->capture_action,
                                     prev->capture_action);
    ngx_http_ws_bus_conf_merge_value(&conf->capture_version,
                                     prev->capture_version);

    return NGX_CONF_OK;
}



static ngx_int_t
ngx_http_ws_bus_source_captured_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  id;

    id = ngx_http_ws_bus_capture_event_id(r);

    if (id.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = id.data;
    v->len = id.len;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}
