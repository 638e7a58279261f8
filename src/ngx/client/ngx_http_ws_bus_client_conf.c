/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The room's module, ngx_http_ws_bus_client_module: who is served, and how.
 */

#include "ngx_http_ws_bus_client.h"


static ngx_int_t ngx_http_ws_bus_client_conf_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_ws_bus_client_conf_create_main(ngx_conf_t *cf);
static void *ngx_http_ws_bus_client_conf_create_loc(ngx_conf_t *cf);
static char *ngx_http_ws_bus_client_conf_merge_loc(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_ws_bus_client_conf_protocol(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_ws_bus_client_conf_on_gap(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);


static const wsb_codec_t  *ngx_http_ws_bus_codecs[] = {
    &wsb_codec_bus,
    &wsb_codec_tenant,
    &wsb_codec_resource,
    &wsb_codec_action,
    &wsb_codec_section,
    &wsb_codec_topics                      /* has no name of its own */
};

static size_t  ngx_http_ws_bus_subscriptions =
    offsetof(ngx_http_ws_bus_client_loc_conf_t, max_subscriptions);

static size_t  ngx_http_ws_bus_comparisons =
    offsetof(ngx_http_ws_bus_client_loc_conf_t, max_comparisons);

static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_filters = {
    ngx_conf_set_size_slot, "a size from 1k to 1g, such as \"256k\"",
    1024, 1024 * 1024 * 1024, 0
};

static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_interval = {
    ngx_conf_set_msec_slot,
    "a time from 1s to 1d such as \"30s\", or 0 for no heartbeat",
    1000, 86400 * 1000, 1
};

static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_timeout = {
    ngx_conf_set_msec_slot, "a time from 1s to 1d, such as \"30s\"",
    1000, 86400 * 1000, 0
};

static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_window = {
    ngx_conf_set_msec_slot, "a time of at most 1h, such as \"10s\"",
    0, 3600 * 1000, 0
};

static ngx_command_t  ngx_http_ws_bus_client_commands[] = {

    { ngx_string("ws_bus_protocol"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_client_conf_protocol,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_tenant"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_tenant_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, tenant),
      NULL },

    { ngx_string("ws_bus_schema"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_arg_complex,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, schema),
      NULL },

    { ngx_string("ws_bus_default_schema"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_context_default_schema,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_action_topics"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, topics),
      NULL },

    { ngx_string("ws_bus_user"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_arg_complex,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, user),
      NULL },

    { ngx_string("ws_bus_section"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_arg_complex,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, section),
      NULL },

    { ngx_string("ws_bus_entity"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_section_entity,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_topics"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_section_topics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF
                        |NGX_CONF_1MORE,
      ngx_http_ws_bus_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_restrict"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE3,
      ngx_http_ws_bus_restrict,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_max_connections"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_limit_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, connection_limits),
      NULL },

    { ngx_string("ws_bus_max_subscriptions"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_limit_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, subscription_limits),
      &ngx_http_ws_bus_subscriptions },

    { ngx_string("ws_bus_max_filters_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, max_filters_size),
      &ngx_http_ws_bus_filters },

    { ngx_string("ws_bus_max_comparisons"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_limit_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, comparison_limits),
      &ngx_http_ws_bus_comparisons },

    { ngx_string("ws_bus_message_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_ws_bus_limit_message_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_on_gap"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_client_conf_on_gap,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_session_log"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_session_log,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_ping_interval"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, ping_interval),
      &ngx_http_ws_bus_interval },

    { ngx_string("ws_bus_pong_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, pong_timeout),
      &ngx_http_ws_bus_timeout },

    { ngx_string("ws_bus_drain_window"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, drain_window),
      &ngx_http_ws_bus_window },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ws_bus_client_module_ctx = {
    ngx_http_ws_bus_client_conf_preconfiguration,  /* preconfiguration */
    ngx_http_ws_bus_refuse_init,           /* postconfiguration */

    ngx_http_ws_bus_client_conf_create_main,  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_ws_bus_client_conf_create_loc,   /* create location conf */
    ngx_http_ws_bus_client_conf_merge_loc  /* merge location configuration */
};


ngx_module_t  ngx_http_ws_bus_client_module = {
    NGX_MODULE_V1,
    &ngx_http_ws_bus_client_module_ctx,    /* module context */
    ngx_http_ws_bus_client_commands,       /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_ws_bus_client_init_process,   /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_uint_t  ngx_http_ws_bus_client_counters_at;

static const ngx_http_ws_bus_counter_t  ngx_http_ws_bus_client_counter[] = {
    NGX_HTTP_WS_BUS_CLIENT_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_ROW)
};


static ngx_int_t
ngx_http_ws_bus_client_conf_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_ws_bus_session_log_variables(cf) != NGX_OK
        || ngx_http_ws_bus_section_variables(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_counter_register(cf,
                                 ngx_http_ws_bus_client_counter,
                                 sizeof(ngx_http_ws_bus_client_counters_t)
                                     / sizeof(uint64_t),
                                 &ngx_http_ws_bus_client_counters_at);
}


static void *
ngx_http_ws_bus_client_conf_create_main(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_client_main_conf_t));
}


static void *
ngx_http_ws_bus_client_conf_create_loc(ngx_conf_t *cf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_client_loc_conf_t));
    if (ccf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     ccf->handler = NULL;
     *     ccf->context = 0;
     *     ccf->codec = NULL;
     *     ccf->tenant = NULL;
     *     ccf->user = NULL;
     *     ccf->schema = NULL;
     *     ccf->section = NULL;
     *     ccf->entity_name = NULL;
     *     ccf->entity = NULL;
     *     ccf->actions = NULL;
     *     ccf->default_schema = { 0, NULL };
     *     ccf->conditions = NULL;
     *     ccf->connection_limits = NULL;
     *     ccf->subscription_limits = NULL;
     *     ccf->comparison_limits = NULL;
     *     ccf->message_burst = 0;
     */

    ccf->zone = NGX_CONF_UNSET_PTR;
    ccf->protocol = NGX_CONF_UNSET_UINT;
    ccf->origins = NGX_CONF_UNSET_PTR;
    ccf->max_subscriptions = NGX_CONF_UNSET;
    ccf->topics = NGX_CONF_UNSET;
    ccf->max_filters_size = NGX_CONF_UNSET_SIZE;
    ccf->max_comparisons = NGX_CONF_UNSET;
    ccf->message_rate = NGX_CONF_UNSET_UINT;
    ccf->on_gap = NGX_CONF_UNSET_UINT;
    ccf->drain_window = NGX_CONF_UNSET_MSEC;
    ccf->ping_interval = NGX_CONF_UNSET_MSEC;
    ccf->pong_timeout = NGX_CONF_UNSET_MSEC;
    ccf->session_log = NGX_CONF_UNSET_PTR;

    return ccf;
}


static char *
ngx_http_ws_bus_client_conf_merge_loc(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_ws_bus_client_loc_conf_t  *prev = parent;
    ngx_http_ws_bus_client_loc_conf_t  *conf = child;

    size_t  size;

    /* an "if" within a location runs the handler with a conf of its own */

    ngx_conf_merge_ptr_value(conf->zone, prev->zone, NULL);

    conf->loc_conf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf;

    if (conf->handler == NULL) {
        conf->handler = prev->handler;
    }

    ngx_conf_merge_uint_value(conf->protocol, prev->protocol, 0);

    if (ngx_http_ws_bus_origin_merge(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_http_ws_bus_conf_merge_value(&conf->tenant, prev->tenant);

    if (conf->tenant == &ngx_http_ws_bus_no_tenant) {
        conf->tenant = NULL;
    }

    ngx_http_ws_bus_conf_merge_value(&conf->user, prev->user);
    ngx_http_ws_bus_conf_merge_value(&conf->schema, prev->schema);
    ngx_http_ws_bus_conf_merge_value(&conf->section, prev->section);
    ngx_conf_merge_str_value(conf->default_schema, prev->default_schema, "");

    ngx_conf_merge_value(conf->max_subscriptions,
                         prev->max_subscriptions, 128);
    ngx_conf_merge_size_value(conf->max_filters_size, prev->max_filters_size,
                              NGX_CONF_UNSET_SIZE);

    size = conf->max_filters_size;
    ngx_conf_init_size_value(size, (size_t) conf->max_subscriptions
                                   * NGX_HTTP_WS_BUS_FILTER_SIZE);

    conf->filters_size = (uint32_t) ngx_min(size, NGX_MAX_UINT32_VALUE);
    ngx_conf_merge_value(conf->max_comparisons,
                         prev->max_comparisons, 2048);

    if (conf->message_rate == NGX_CONF_UNSET_UINT) {
        ngx_conf_merge_uint_value(conf->message_rate, prev->message_rate, 0);
        conf->message_burst = prev->message_burst;
        conf->control_rate = prev->control_rate;
        conf->control_burst = prev->control_burst;
    }

    if (conf->connection_limits == NULL) {
        conf->connection_limits = prev->connection_limits;
    }

    if (conf->comparison_limits == NULL) {
        conf->comparison_limits = prev->comparison_limits;
    }

    if (conf->subscription_limits == NULL) {
        conf->subscription_limits = prev->subscription_limits;
    }

    if (ngx_http_ws_bus_restrict_merge(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_uint_value(conf->on_gap, prev->on_gap,
                              NGX_HTTP_WS_BUS_GAP_NOTIFY);
    ngx_conf_merge_msec_value(conf->drain_window, prev->drain_window, 10000);

    ngx_conf_merge_ptr_value(conf->session_log, prev->session_log, NULL);

    ngx_conf_merge_value(conf->topics, prev->topics, 0);

    conf->codec_index = conf->protocol;

    if (conf->topics
        && ngx_http_ws_bus_codecs[conf->protocol] == &wsb_codec_action)
    {
        conf->codec_index = NGX_HTTP_WS_BUS_CODECS - 1;
    }

    conf->codec = ngx_http_ws_bus_codecs[conf->codec_index];

    if (ngx_http_ws_bus_section_merge(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (conf->codec->gap == NULL) {
        conf->on_gap = NGX_HTTP_WS_BUS_GAP_CLOSE;
    }

    /* the default is the protocol's, which a level below may change */

    ngx_conf_merge_msec_value(conf->ping_interval, prev->ping_interval,
                              NGX_CONF_UNSET_MSEC);
    ngx_conf_merge_msec_value(conf->pong_timeout, prev->pong_timeout,
                              NGX_CONF_UNSET_MSEC);

    conf->beat_interval = conf->ping_interval;
    conf->beat_timeout = conf->pong_timeout;

    ngx_conf_init_msec_value(conf->beat_interval, conf->codec->ping_interval);
    ngx_conf_init_msec_value(conf->beat_timeout, conf->codec->pong_timeout);

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_client_conf_protocol(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf = conf;

    u_char      *p, names[64];
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (ccf->protocol != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    p = names;

    for (i = 0; i < NGX_HTTP_WS_BUS_PROTOCOLS; i++) {

        if (ngx_strcmp(value[1].data, ngx_http_ws_bus_codecs[i]->name) == 0) {
            ccf->protocol = i;
            return NGX_CONF_OK;
        }

        p = ngx_slprintf(p, names + sizeof(names), "%s\"%s\"",
                         i ? ", " : "", ngx_http_ws_bus_codecs[i]->name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown protocol \"%V\" in \"ws_bus_protocol\": "
                       "expected %*s", &value[1],
                       (size_t) (p - names), names);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_ws_bus_client_conf_on_gap(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf = conf;

    ngx_str_t  *value;

    if (ccf->on_gap != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "notify") == 0) {
        ccf->on_gap = NGX_HTTP_WS_BUS_GAP_NOTIFY;

    } else if (ngx_strcmp(value[1].data, "close") == 0) {
        ccf->on_gap = NGX_HTTP_WS_BUS_GAP_CLOSE;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"ws_bus_on_gap\": "
                           "expected \"notify\" or \"close\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_ws_bus_client_conf_speaks_bus(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *conf)
{
    if (conf->protocol != NGX_CONF_UNSET_UINT && conf->protocol != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "this location has messages of the protocol "
                           "\"bus\": remove \"ws_bus_protocol\"");
        return NGX_ERROR;
    }

    conf->protocol = 0;

    return NGX_OK;
}
