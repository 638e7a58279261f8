#include "ngx_http_ws_bus_module.h"


static char *ngx_http_ws_bus_location(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ws_bus_publish(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ws_bus_capture(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ws_bus_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ws_bus_echo(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ws_bus_take_location(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_http_handler_pt handler);

static void ngx_http_ws_bus_merge_value(ngx_http_complex_value_t **conf,
    ngx_http_complex_value_t *prev);
static void *ngx_http_ws_bus_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_ws_bus_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_ws_bus_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_ws_bus_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);


static ngx_http_ws_bus_value_t  ngx_http_ws_bus_message_size = {
    ngx_conf_set_size_slot, "a size from 125 to 1g, such as \"64k\"",
    125, 1024 * 1024 * 1024, 0
};

static size_t  ngx_http_ws_bus_subscriptions =
    offsetof(ngx_http_ws_bus_loc_conf_t, max_subscriptions);

static ngx_http_ws_bus_value_t  ngx_http_ws_bus_sndbuf = {
    ngx_conf_set_size_slot,
    "a size from 8k to 64m, or 0 for the system's own",
    8192, 64 * 1024 * 1024, 1
};

static ngx_http_ws_bus_value_t  ngx_http_ws_bus_max_body = {
    ngx_conf_set_size_slot, "a size from 1k to 64m, such as \"256k\"",
    1024, 64 * 1024 * 1024, 0
};

static ngx_http_ws_bus_value_t  ngx_http_ws_bus_min_length = {
    ngx_conf_set_size_slot, "a size of at most 1g, such as \"256\"",
    0, 1024 * 1024 * 1024, 0
};

static ngx_http_ws_bus_value_t  ngx_http_ws_bus_interval = {
    ngx_conf_set_msec_slot,
    "a time from 1s to 1d such as \"30s\", or 0 for no heartbeat",
    1000, 86400 * 1000, 1
};

static ngx_http_ws_bus_value_t  ngx_http_ws_bus_timeout = {
    ngx_conf_set_msec_slot, "a time from 1s to 1d, such as \"30s\"",
    1000, 86400 * 1000, 0
};

static ngx_http_ws_bus_value_t  ngx_http_ws_bus_window = {
    ngx_conf_set_msec_slot, "a time of at most 1h, such as \"10s\"",
    0, 3600 * 1000, 0
};

static ngx_command_t  ngx_http_ws_bus_commands[] = {

    { ngx_string("ws_bus_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_zone_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_watch"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_watch_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_publish"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_publish,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_capture"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_capture,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_capture_entity"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_complex,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, capture_entity),
      NULL },

    { ngx_string("ws_bus_capture_id"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_capture_id,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, capture_id),
      NULL },

    { ngx_string("ws_bus_capture_action"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_complex,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, capture_action),
      NULL },

    { ngx_string("ws_bus_capture_data"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_capture_data,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_capture_max_body"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, capture_max_body),
      &ngx_http_ws_bus_max_body },

    { ngx_string("ws_bus_schema"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_complex,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, schema),
      NULL },

    { ngx_string("ws_bus_section"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_complex,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, section),
      NULL },

    { ngx_string("ws_bus_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_ws_bus_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_echo"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_ws_bus_echo,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_protocol"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_protocol,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_tenant"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_tenant_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, tenant),
      NULL },

    { ngx_string("ws_bus_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF
                        |NGX_CONF_1MORE,
      ngx_http_ws_bus_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_max_message_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, max_message_size),
      &ngx_http_ws_bus_message_size },

    { ngx_string("ws_bus_max_subscriptions"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_set_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, subscription_limits),
      &ngx_http_ws_bus_subscriptions },

    { ngx_string("ws_bus_max_connections"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_set_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, connection_limits),
      NULL },

    { ngx_string("ws_bus_message_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_message_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_restrict"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE3,
      ngx_http_ws_bus_restrict,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_sndbuf"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, sndbuf),
      &ngx_http_ws_bus_sndbuf },

    { ngx_string("ws_bus_deflate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_deflate_level,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_deflate_min_length"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, deflate_min_length),
      &ngx_http_ws_bus_min_length },

    { ngx_string("ws_bus_on_gap"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_on_gap,
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
      ngx_http_ws_bus_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, ping_interval),
      &ngx_http_ws_bus_interval },

    { ngx_string("ws_bus_pong_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, pong_timeout),
      &ngx_http_ws_bus_timeout },

    { ngx_string("ws_bus_drain_window"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_loc_conf_t, drain_window),
      &ngx_http_ws_bus_window },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ws_bus_module_ctx = {
    ngx_http_ws_bus_add_variables,         /* preconfiguration */
    ngx_http_ws_bus_capture_init,          /* postconfiguration */

    ngx_http_ws_bus_create_main_conf,      /* create main configuration */
    ngx_http_ws_bus_init_main_conf,        /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_ws_bus_create_loc_conf,       /* create location configuration */
    ngx_http_ws_bus_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_ws_bus_module = {
    NGX_MODULE_V1,
    &ngx_http_ws_bus_module_ctx,           /* module context */
    ngx_http_ws_bus_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_ws_bus_wake_init_module,      /* init module */
    ngx_http_ws_bus_wake_init_process,     /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_ws_bus_wake_exit_process,     /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_ws_bus_location(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    wlcf->zone = ngx_http_ws_bus_zone_get(cf, &value[1]);
    if (wlcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_ws_bus_take_location(cf, cmd, ngx_http_ws_bus_handler);
}


static char *
ngx_http_ws_bus_publish(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (cf->args->nelts == 3) {

        if (ngx_strcmp(value[2].data, "any") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"ws_bus_publish\": only \"any\" may follow "
                               "the zone", &value[2]);
            return NGX_CONF_ERROR;
        }

        wlcf->publish_any = 1;

    } else {
        wlcf->publish_any = 0;
    }

    wlcf->publish = ngx_http_ws_bus_zone_get(cf, &value[1]);
    if (wlcf->publish == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_ws_bus_take_location(cf, cmd,
                                         ngx_http_ws_bus_publish_handler);
}


static char *
ngx_http_ws_bus_capture(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    ngx_str_t  *value;

    if (wlcf->capture != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        wlcf->capture = NULL;
        return NGX_CONF_OK;
    }

    wlcf->capture = ngx_http_ws_bus_zone_get(cf, &value[1]);

    return wlcf->capture ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_ws_bus_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "any") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"ws_bus_status\": write \"any\" or nothing",
                               &value[1]);
            return NGX_CONF_ERROR;
        }

        wlcf->status_any = 1;

    } else {
        wlcf->status_any = 0;
    }

    return ngx_http_ws_bus_take_location(cf, cmd,
                                         ngx_http_ws_bus_status_handler);
}


static char *
ngx_http_ws_bus_echo(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    /* a ws_bus location without a zone, whatever is around it */

    wlcf->zone = NULL;

    return ngx_http_ws_bus_take_location(cf, cmd, ngx_http_ws_bus_handler);
}


static char *
ngx_http_ws_bus_take_location(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_handler_pt handler)
{
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_ws_bus_loc_conf_t  *wlcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    wlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_ws_bus_module);

    if (clcf->handler != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in a location that already has a "
                           "handler: give it a location of its own",
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    clcf->handler = handler;
    wlcf->handler = handler;

    return NGX_CONF_OK;
}


static void
ngx_http_ws_bus_merge_value(ngx_http_complex_value_t **conf,
    ngx_http_complex_value_t *prev)
{
    if (*conf == NULL) {
        *conf = prev;
    }
}


static void *
ngx_http_ws_bus_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_ws_bus_main_conf_t  *wmcf;

    wmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_main_conf_t));
    if (wmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&wmcf->zones, cf->pool, 2,
                       sizeof(ngx_http_ws_bus_zone_t *))
        != NGX_OK
        || ngx_array_init(&wmcf->watches, cf->pool, 1, sizeof(void *))
           != NGX_OK)
    {
        return NULL;
    }

    return wmcf;
}


static char *
ngx_http_ws_bus_init_main_conf(ngx_conf_t *cf, void *conf)
{
    if (ngx_http_ws_bus_zones_check(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_ws_bus_watches_check(cf, conf);
}


static void *
ngx_http_ws_bus_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf;

    wlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_loc_conf_t));
    if (wlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     wlcf->handler = NULL;
     *     wlcf->codec = NULL;
     *     wlcf->tenant = NULL;
     *     wlcf->schema = NULL;
     *     wlcf->section = NULL;
     *     wlcf->conditions = NULL;
     *     wlcf->connection_limits = NULL;
     *     wlcf->subscription_limits = NULL;
     *     wlcf->message_burst = 0;
     *     wlcf->capture_entity = NULL;
     *     wlcf->capture_id = NULL;
     *     wlcf->capture_action = NULL;
     */

    wlcf->zone = NGX_CONF_UNSET_PTR;
    wlcf->publish = NGX_CONF_UNSET_PTR;
    wlcf->capture = NGX_CONF_UNSET_PTR;
    wlcf->capture_data = NGX_CONF_UNSET_UINT;
    wlcf->capture_max_body = NGX_CONF_UNSET_SIZE;
    wlcf->publish_any = NGX_CONF_UNSET_UINT;
    wlcf->status_any = NGX_CONF_UNSET_UINT;

    wlcf->protocol = NGX_CONF_UNSET_UINT;
    wlcf->origins = NGX_CONF_UNSET_PTR;
    wlcf->max_message_size = NGX_CONF_UNSET_SIZE;
    wlcf->max_subscriptions = NGX_CONF_UNSET;
    wlcf->message_rate = NGX_CONF_UNSET_UINT;
    wlcf->sndbuf = NGX_CONF_UNSET_SIZE;
    wlcf->deflate = NGX_CONF_UNSET_UINT;
    wlcf->deflate_min_length = NGX_CONF_UNSET_SIZE;
    wlcf->on_gap = NGX_CONF_UNSET_UINT;
    wlcf->drain_window = NGX_CONF_UNSET_MSEC;
    wlcf->ping_interval = NGX_CONF_UNSET_MSEC;
    wlcf->pong_timeout = NGX_CONF_UNSET_MSEC;
    wlcf->session_log = NGX_CONF_UNSET_PTR;

    return wlcf;
}


static char *
ngx_http_ws_bus_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_ws_bus_loc_conf_t  *prev = parent;
    ngx_http_ws_bus_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->handler != NULL && clcf->handler != conf->handler) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "location \"%V\" is given to ws_bus and to another "
                           "handler: give each a location of its own",
                           &clcf->name);
        return NGX_CONF_ERROR;
    }

    /* an "if" within a location runs the handler with a conf of its own */

    ngx_conf_merge_ptr_value(conf->zone, prev->zone, NULL);
    ngx_conf_merge_ptr_value(conf->publish, prev->publish, NULL);
    ngx_conf_merge_uint_value(conf->publish_any, prev->publish_any, 0);
    ngx_conf_merge_uint_value(conf->status_any, prev->status_any, 0);

    ngx_conf_merge_uint_value(conf->protocol, prev->protocol, 0);

    if (ngx_http_ws_bus_merge_origin(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_ptr_value(conf->capture, prev->capture, NULL);
    ngx_conf_merge_uint_value(conf->capture_data, prev->capture_data,
                              NGX_HTTP_WS_BUS_DATA_DEFAULT);
    ngx_conf_merge_size_value(conf->capture_max_body, prev->capture_max_body,
                              256 * 1024);

    ngx_http_ws_bus_merge_value(&conf->tenant, prev->tenant);

    if (conf->tenant == &ngx_http_ws_bus_no_tenant) {
        conf->tenant = NULL;
    }

    ngx_http_ws_bus_merge_value(&conf->schema, prev->schema);
    ngx_http_ws_bus_merge_value(&conf->section, prev->section);
    ngx_http_ws_bus_merge_value(&conf->capture_entity, prev->capture_entity);
    ngx_http_ws_bus_merge_value(&conf->capture_id, prev->capture_id);
    ngx_http_ws_bus_merge_value(&conf->capture_action, prev->capture_action);

    ngx_conf_merge_size_value(conf->max_message_size,
                              prev->max_message_size, 65536);
    ngx_conf_merge_value(conf->max_subscriptions,
                         prev->max_subscriptions, 128);

    if (conf->message_rate == NGX_CONF_UNSET_UINT) {
        ngx_conf_merge_uint_value(conf->message_rate, prev->message_rate, 0);
        conf->message_burst = prev->message_burst;
    }

    if (conf->connection_limits == NULL) {
        conf->connection_limits = prev->connection_limits;
    }

    if (conf->subscription_limits == NULL) {
        conf->subscription_limits = prev->subscription_limits;
    }

    if (ngx_http_ws_bus_merge_restrict(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_size_value(conf->sndbuf, prev->sndbuf, 256 * 1024);
    ngx_conf_merge_uint_value(conf->deflate, prev->deflate, 0);
    ngx_conf_merge_size_value(conf->deflate_min_length,
                              prev->deflate_min_length, 256);
    ngx_conf_merge_uint_value(conf->on_gap, prev->on_gap,
                              NGX_HTTP_WS_BUS_GAP_NOTIFY);
    ngx_conf_merge_msec_value(conf->drain_window, prev->drain_window, 10000);

    ngx_conf_merge_ptr_value(conf->session_log, prev->session_log, NULL);

    conf->codec = ngx_http_ws_bus_codecs[conf->protocol];
    conf->codec_index = conf->protocol;

    /* the default is the protocol's, which a level below may change */

    ngx_conf_merge_msec_value(conf->ping_interval, prev->ping_interval,
                              NGX_CONF_UNSET_MSEC);
    ngx_conf_merge_msec_value(conf->pong_timeout, prev->pong_timeout,
                              NGX_CONF_UNSET_MSEC);

    conf->beat_interval = conf->ping_interval;
    conf->beat_timeout = conf->pong_timeout;

    ngx_conf_init_msec_value(conf->beat_interval, conf->codec->ping_interval);
    ngx_conf_init_msec_value(conf->beat_timeout, conf->codec->pong_timeout);

    conf->reader.max_message = conf->max_message_size;

    return NGX_CONF_OK;
}
