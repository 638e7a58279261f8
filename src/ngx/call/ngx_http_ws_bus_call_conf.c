/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The module ngx_http_ws_bus_call_module: whom clients' requests are put to,
 * and how.
 */

#include "ngx_http_ws_bus_call.h"


static ngx_int_t ngx_http_ws_bus_call_conf_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_ws_bus_call_conf_init_process(ngx_cycle_t *cycle);
static char *ngx_http_ws_bus_call_conf_backend(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_ws_bus_call_conf_max_calls(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_ws_bus_call_conf_header(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_ws_bus_call_conf_header_add(ngx_conf_t *cf,
    ngx_array_t *headers, ngx_str_t *name);
static void *ngx_http_ws_bus_call_conf_create(ngx_conf_t *cf);
static char *ngx_http_ws_bus_call_conf_merge(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_uint_t ngx_http_ws_bus_call_conf_asked(
    ngx_http_ws_bus_call_loc_conf_t *conf);
static ngx_int_t ngx_http_ws_bus_call_conf_postconfiguration(
    ngx_conf_t *cf);
static ngx_int_t ngx_http_ws_bus_call_conf_default(ngx_conf_t *cf,
    ngx_http_ws_bus_call_loc_conf_t *conf);


static ngx_conf_enum_t  ngx_http_ws_bus_call_styles[] = {
    { ngx_string("rest"), WSB_REST_PLAIN },
    { ngx_string("postgrest"), WSB_REST_POSTGREST },
    { ngx_string("json-server"), WSB_REST_JSON_SERVER },
    { ngx_null_string, 0 }
};

static ngx_conf_enum_t  ngx_http_ws_bus_call_methods[] = {
    { ngx_string("PATCH"), NGX_HTTP_PATCH },
    { ngx_string("PUT"), NGX_HTTP_PUT },
    { ngx_null_string, 0 }
};

static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_call_time = {
    ngx_conf_set_msec_slot, "a time from 1ms to 1h, such as \"30s\"",
    1, 3600 * 1000, 0
};

static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_call_size = {
    ngx_conf_set_size_slot, "a size from 1k to 16m, such as \"1m\"",
    1024, 16 * 1024 * 1024, 0
};

static ngx_http_ws_bus_conf_value_t  ngx_http_ws_bus_call_memory = {
    ngx_conf_set_size_slot, "a size from 256k to 1g, such as \"4m\"",
    256 * 1024, 1024 * 1024 * 1024, 0
};


static ngx_command_t  ngx_http_ws_bus_call_commands[] = {

    { ngx_string("ws_bus_backend"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_call_conf_backend,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_call_loc_conf_t, backend),
      NULL },

    { ngx_string("ws_bus_snapshot"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_call_conf_backend,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_call_loc_conf_t, snapshot),
      NULL },

    { ngx_string("ws_bus_audience"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_call_loc_conf_t, audience),
      NULL },

    { ngx_string("ws_bus_backend_style"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_call_loc_conf_t, style),
      ngx_http_ws_bus_call_styles },

    { ngx_string("ws_bus_update_method"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_call_loc_conf_t, update),
      ngx_http_ws_bus_call_methods },

    { ngx_string("ws_bus_call_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_call_loc_conf_t, timeout),
      &ngx_http_ws_bus_call_time },

    { ngx_string("ws_bus_max_calls"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ws_bus_call_conf_max_calls,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_call_max_body"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_call_loc_conf_t, max_body),
      &ngx_http_ws_bus_call_size },

    { ngx_string("ws_bus_call_header"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_call_conf_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_call_event"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_call_loc_conf_t, event),
      NULL },

    { ngx_string("ws_bus_hook"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_ws_bus_hook_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_hook_memory"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_conf_value,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_call_main_conf_t, memory),
      &ngx_http_ws_bus_call_memory },

    { ngx_string("ws_bus_hook_claims"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_hook_conf_claims,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ws_bus_call_module_ctx = {
    ngx_http_ws_bus_call_conf_preconfiguration,   /* preconfiguration */
    ngx_http_ws_bus_call_conf_postconfiguration,  /* postconfiguration */

    ngx_http_ws_bus_notice_conf_create,    /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_ws_bus_call_conf_create,      /* create location configuration */
    ngx_http_ws_bus_call_conf_merge        /* merge location configuration */
};


ngx_module_t  ngx_http_ws_bus_call_module = {
    NGX_MODULE_V1,
    &ngx_http_ws_bus_call_module_ctx,      /* module context */
    ngx_http_ws_bus_call_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_ws_bus_call_conf_init_process,   /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* What "ws_bus_backend off" makes of a level's backend. */

static ngx_http_complex_value_t  ngx_http_ws_bus_call_conf_none;


ngx_uint_t  ngx_http_ws_bus_call_counters_at;

static const ngx_http_ws_bus_counter_t  ngx_http_ws_bus_call_counter[] = {
    NGX_HTTP_WS_BUS_CALL_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_ROW)
};


static ngx_int_t
ngx_http_ws_bus_call_conf_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_ws_bus_value_add(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_counter_register(cf, ngx_http_ws_bus_call_counter,
                                   sizeof(ngx_http_ws_bus_call_counters_t)
                                       / sizeof(uint64_t),
                                   &ngx_http_ws_bus_call_counters_at);
}


static ngx_int_t
ngx_http_ws_bus_call_conf_postconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_ws_bus_notice_conf_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_response_init(cf);
}


static ngx_int_t
ngx_http_ws_bus_call_conf_init_process(ngx_cycle_t *cycle)
{
    if (ngx_http_ws_bus_teller_init_process(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_asker_init_process(cycle);
}


static char *
ngx_http_ws_bus_call_conf_backend(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                  *value;
    ngx_http_complex_value_t  **field;

    value = cf->args->elts;
    field = (ngx_http_complex_value_t **) ((char *) conf + cmd->offset);

    if (*field == NULL && ngx_strcmp(value[1].data, "off") == 0) {
        *field = &ngx_http_ws_bus_call_conf_none;
        return NGX_CONF_OK;
    }

    if (value[1].data[0] != '/' && value[1].data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\": write the URI of a "
                           "location of this server, such as "
                           "\"/backend/$ws_bus_entity\", or \"off\"",
                           &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_set_complex_value_slot(cf, cmd, conf);
}


static char *
ngx_http_ws_bus_call_conf_max_calls(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_call_loc_conf_t  *kcf = conf;

    ngx_int_t    n, worker;
    ngx_str_t   *value;

    if (kcf->max_calls != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);
    worker = 1024;

    if (cf->args->nelts == 3) {
        worker = ngx_strncmp(value[2].data, "worker=", 7) == 0
                     ? ngx_atoi(value[2].data + 7, value[2].len - 7)
                     : NGX_ERROR;
    }

    if (n < 1 || n > 1024 || worker < 1 || worker > 65535) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value in \"ws_bus_max_calls\": write how "
                           "many calls a client may have at a time, 1 to "
                           "1024, and perhaps \"worker=n\" for all of a "
                           "worker, 1 to 65535");
        return NGX_CONF_ERROR;
    }

    kcf->max_calls = n;
    kcf->max_worker = worker;

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_call_conf_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_call_loc_conf_t  *kcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    static ngx_str_t  trace = ngx_string("traceparent");

    if (kcf->headers != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    if (cf->args->nelts > NGX_HTTP_WS_BUS_CALL_HEADERS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d names in \"ws_bus_call_header\"",
                           NGX_HTTP_WS_BUS_CALL_HEADERS - 1);
        return NGX_CONF_ERROR;
    }

    kcf->headers = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    if (kcf->headers == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_ws_bus_call_conf_header_add(cf, kcf->headers, &value[i])
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    /* a trace does not break here, whatever else is passed on */

    return ngx_http_ws_bus_call_conf_header_add(cf, kcf->headers, &trace)
           == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* Not what belongs to the handshake, or to the call. */

static ngx_int_t
ngx_http_ws_bus_call_conf_header_add(ngx_conf_t *cf, ngx_array_t *headers,
    ngx_str_t *name)
{
    ngx_str_t   *s;
    ngx_uint_t   i;

    static const char *const  taken[] = {
        "Host", "Connection", "Upgrade", "Keep-Alive", "TE", "Trailer",
        "Content-Length", "Content-Type", "Content-Encoding",
        "Transfer-Encoding", "Expect", "Range", "If-", "Sec-WebSocket-",
        "Accept", "Accept-Encoding", "Prefer", "X-Request-ID",
        "Cache-Control", NULL
    };

    for (i = 0; taken[i] != NULL; i++) {
        size_t  len = ngx_strlen(taken[i]);

        if (name->len >= len
            && ngx_strncasecmp(name->data, (u_char *) taken[i], len) == 0
            && (name->len == len || taken[i][len - 1] == '-'))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"ws_bus_call_header\" cannot pass on \"%V\": "
                               "a call has its own", name);
            return NGX_ERROR;
        }
    }

    s = headers->elts;

    for (i = 0; i < headers->nelts; i++) {
        if (s[i].len == name->len
            && ngx_strncasecmp(s[i].data, name->data, name->len) == 0)
        {
            return NGX_OK;
        }
    }

    s = ngx_array_push(headers);
    if (s == NULL) {
        return NGX_ERROR;
    }

    *s = *name;

    return NGX_OK;
}


static void *
ngx_http_ws_bus_call_conf_create(ngx_conf_t *cf)
{
    ngx_http_ws_bus_call_loc_conf_t  *kcf;

    kcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_call_loc_conf_t));
    if (kcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     kcf->backend = NULL;
     *     kcf->snapshot = NULL;
     *     kcf->audience = NULL;
     *     kcf->hooks = NULL;
     *     kcf->phases = 0;
     */

    kcf->style = NGX_CONF_UNSET_UINT;
    kcf->update = NGX_CONF_UNSET_UINT;
    kcf->timeout = NGX_CONF_UNSET_MSEC;
    kcf->max_calls = NGX_CONF_UNSET_UINT;
    kcf->max_worker = NGX_CONF_UNSET_UINT;
    kcf->max_body = NGX_CONF_UNSET_SIZE;
    kcf->headers = NGX_CONF_UNSET_PTR;
    kcf->claims = NGX_CONF_UNSET_PTR;
    kcf->event = NGX_CONF_UNSET;

    return kcf;
}


static char *
ngx_http_ws_bus_call_conf_merge(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_ws_bus_call_loc_conf_t  *prev = parent;
    ngx_http_ws_bus_call_loc_conf_t  *conf = child;

    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ngx_http_ws_bus_conf_merge_value(&conf->backend, prev->backend);

    ngx_http_ws_bus_conf_merge_value(&conf->snapshot, prev->snapshot);
    ngx_http_ws_bus_conf_merge_value(&conf->audience, prev->audience);

    if (conf->backend == &ngx_http_ws_bus_call_conf_none) {
        conf->backend = NULL;
    }

    conf->snapshots = conf->snapshot == NULL ? conf->backend
                    : conf->snapshot == &ngx_http_ws_bus_call_conf_none
                          ? NULL : conf->snapshot;

    ngx_conf_merge_uint_value(conf->style, prev->style, WSB_REST_PLAIN);
    ngx_conf_merge_uint_value(conf->update, prev->update, NGX_HTTP_PATCH);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 30000);
    ngx_conf_merge_uint_value(conf->max_calls, prev->max_calls, 8);
    ngx_conf_merge_uint_value(conf->max_worker, prev->max_worker, 1024);
    ngx_conf_merge_size_value(conf->max_body, prev->max_body, 1024 * 1024);
    ngx_conf_merge_value(conf->event, prev->event, 1);
    ngx_conf_merge_ptr_value(conf->headers, prev->headers, NULL);
    ngx_conf_merge_ptr_value(conf->claims, prev->claims, NULL);

    if (conf->hooks == NULL) {
        conf->hooks = prev->hooks;
        conf->phases = prev->phases;
    }

    if (conf->headers == NULL
        && ngx_http_ws_bus_call_conf_default(cf, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ccf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_ws_bus_client_module);

    if (conf->backend != NULL || conf->hooks != NULL
        || conf->snapshots != NULL
        || ccf->codec == &wsb_codec_topics)
    {
        ccf->requests = &ngx_http_ws_bus_asker_requests;
        ccf->context = 1;
        ccf->asked = ngx_http_ws_bus_call_conf_asked(conf);

        if (ccf->codec == &wsb_codec_topics) {
            ccf->asked |= NGX_HTTP_WS_BUS_ASKED_REQUEST;
        }
    }

    return ngx_http_ws_bus_notice_conf_merge(cf, conf) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* Which operations of a client are not done at once. */

static ngx_uint_t
ngx_http_ws_bus_call_conf_asked(ngx_http_ws_bus_call_loc_conf_t *conf)
{
    ngx_uint_t  asked;

    asked = conf->backend ? NGX_HTTP_WS_BUS_ASKED_REQUEST : 0;

    if (conf->snapshots != NULL) {
        asked |= NGX_HTTP_WS_BUS_ASKED_SNAPSHOT;
    }

    if (conf->phases & (1 << NGX_HTTP_WS_BUS_HOOK_BEFORE_HANDLE
                        | 1 << NGX_HTTP_WS_BUS_HOOK_BEFORE_SUBSCRIBE
                        | 1 << NGX_HTTP_WS_BUS_HOOK_AFTER_SUBSCRIBE))
    {
        asked |= NGX_HTTP_WS_BUS_ASKED_SUBSCRIBE;
    }

    if (conf->phases & (1 << NGX_HTTP_WS_BUS_HOOK_BEFORE_HANDLE
                        | 1 << NGX_HTTP_WS_BUS_HOOK_BEFORE_UNSUBSCRIBE
                        | 1 << NGX_HTTP_WS_BUS_HOOK_AFTER_UNSUBSCRIBE))
    {
        asked |= NGX_HTTP_WS_BUS_ASKED_UNSUBSCRIBE;
    }

    if (conf->phases & (1 << NGX_HTTP_WS_BUS_HOOK_BEFORE_CONNECT)) {
        asked |= NGX_HTTP_WS_BUS_ASKED_CONNECT;
    }

    return asked;
}


static ngx_int_t
ngx_http_ws_bus_call_conf_default(ngx_conf_t *cf,
    ngx_http_ws_bus_call_loc_conf_t *conf)
{
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("Authorization"),
        ngx_string("Cookie"),
        ngx_string("Accept-Language"),
        ngx_string("User-Agent"),
        ngx_string("traceparent")
    };

    conf->headers = ngx_array_create(cf->pool, 5, sizeof(ngx_str_t));
    if (conf->headers == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (ngx_http_ws_bus_call_conf_header_add(cf, conf->headers, &names[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
