/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "ngx_http_ws_bus_jwt.h"


#define NGX_HTTP_WS_BUS_JWT_EXPIRY_REQUIRED  0
#define NGX_HTTP_WS_BUS_JWT_EXPIRY_OPTIONAL  1

#define NGX_HTTP_WS_BUS_JWT_LEEWAY_MAX       600      /* seconds */


static char *ngx_http_ws_bus_jwt(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_uint_t ngx_http_ws_bus_jwt_source_is(ngx_str_t *value,
    const char *prefix);
static char *ngx_http_ws_bus_jwt_strings(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ws_bus_jwt_expiry(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ws_bus_jwt_leeway(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ws_bus_jwt_require(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_ws_bus_jwt_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_ws_bus_jwt_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_ws_bus_jwt_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_ws_bus_jwt_merge_require(
    ngx_http_ws_bus_jwt_loc_conf_t *conf,
    ngx_http_ws_bus_jwt_loc_conf_t *prev);


static ngx_command_t  ngx_http_ws_bus_jwt_commands[] = {

    { ngx_string("ws_bus_jwt"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_jwt,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_jwt_key_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_jwt_key_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_jwt_issuer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_jwt_strings,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_jwt_loc_conf_t, issuers),
      NULL },

    { ngx_string("ws_bus_jwt_audience"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_jwt_strings,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_jwt_loc_conf_t, audiences),
      NULL },

    { ngx_string("ws_bus_jwt_expiry"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_jwt_expiry,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_jwt_leeway"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_jwt_leeway,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_jwt_require"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_ws_bus_jwt_require,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ws_bus_jwt_claim_set"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_ws_bus_jwt_claim_set,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ws_bus_jwt_module_ctx = {
    ngx_http_ws_bus_jwt_preconfiguration,  /* preconfiguration */
    ngx_http_ws_bus_jwt_init,              /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_ws_bus_jwt_create_loc_conf,   /* create location configuration */
    ngx_http_ws_bus_jwt_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_ws_bus_jwt_module = {
    NGX_MODULE_V1,
    &ngx_http_ws_bus_jwt_module_ctx,       /* module context */
    ngx_http_ws_bus_jwt_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_ws_bus_jwt(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf = conf;

    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_http_ws_bus_jwt_source_t      *source;
    ngx_http_compile_complex_value_t   ccv;

    if (jlcf->sources != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    ngx_http_ws_bus_place_here(cf, &jlcf->place);

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        jlcf->sources = NULL;
        return NGX_CONF_OK;
    }

    jlcf->sources = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                     sizeof(ngx_http_ws_bus_jwt_source_t));
    if (jlcf->sources == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strchr(value[i].data, '$') == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"ws_bus_jwt\": "
                               "expected variables that hold the token, such "
                               "as \"$http_authorization $arg_token\", or "
                               "\"off\" alone", &value[i]);
            return NGX_CONF_ERROR;
        }

        source = ngx_array_push(jlcf->sources);
        if (source == NULL) {
            return NGX_CONF_ERROR;
        }

        source->list =
             ngx_http_ws_bus_jwt_source_is(&value[i],
                                           "http_sec_websocket_protocol")
             && value[i].len - 2 * (value[i].data[1] == '{')
                == sizeof("$http_sec_websocket_protocol") - 1;

        if (!ngx_http_ws_bus_jwt_source_is(&value[i], "http_")
            && !ngx_http_ws_bus_jwt_source_is(&value[i], "cookie_"))
        {
            jlcf->in_line = 1;
        }

        if (ngx_http_ws_bus_arg_decode(cf, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &value[i];
        ccv.complex_value = &source->value;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* Is it one variable whose name begins so? */

static ngx_uint_t
ngx_http_ws_bus_jwt_source_is(ngx_str_t *value, const char *prefix)
{
    u_char  *p;

    p = value->data + 1;
    p += *p == '{';

    return value->data[0] == '$'
           && ngx_strncasecmp(p, (u_char *) prefix, ngx_strlen(prefix)) == 0
           && ngx_strchr(p, '$') == NULL;
}


/* Strings that are compared: one of them must be. */

static char *
ngx_http_ws_bus_jwt_strings(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t     *value;
    ngx_uint_t     i;
    const char   **s;
    ngx_array_t  **list;

    list = (ngx_array_t **) ((char *) conf + cmd->offset);

    if (*list != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    *list = ngx_array_create(cf->pool, cf->args->nelts - 1, sizeof(char *));
    if (*list == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0 || ngx_strchr(value[i].data, '$') != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"%V\": expected a "
                               "string without variables", &value[i],
                               &cmd->name);
            return NGX_CONF_ERROR;
        }

        s = ngx_array_push(*list);
        if (s == NULL) {
            return NGX_CONF_ERROR;
        }

        *s = (const char *) value[i].data;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_jwt_expiry(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf = conf;

    ngx_str_t  *value;

    if (jlcf->expiry != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "required") == 0) {
        jlcf->expiry = NGX_HTTP_WS_BUS_JWT_EXPIRY_REQUIRED;

    } else if (ngx_strcmp(value[1].data, "optional") == 0) {
        jlcf->expiry = NGX_HTTP_WS_BUS_JWT_EXPIRY_OPTIONAL;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"ws_bus_jwt_expiry\": "
                           "expected \"required\" or \"optional\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_jwt_leeway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf = conf;

    ngx_str_t  *value;

    if (jlcf->leeway != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    jlcf->leeway = ngx_parse_time(&value[1], 1);

    if (jlcf->leeway == (time_t) NGX_ERROR
        || jlcf->leeway > NGX_HTTP_WS_BUS_JWT_LEEWAY_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"ws_bus_jwt_leeway\": "
                           "expected a time of at most 10m, such as \"30s\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_jwt_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf = conf;

    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_http_complex_value_t          *cv;
    ngx_http_compile_complex_value_t   ccv;

    ngx_http_ws_bus_place_here(cf, &jlcf->require_place);

    if (jlcf->require == NULL) {
        jlcf->require = ngx_array_create(cf->pool, 4,
                                         sizeof(ngx_http_complex_value_t));
        if (jlcf->require == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strchr(value[i].data, '$') == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in "
                               "\"ws_bus_jwt_require\": expected variables, "
                               "such as \"$ws_bus_jwt_claim_tenant\", or one "
                               "that a \"map\" makes of a claim",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        cv = ngx_array_push(jlcf->require);
        if (cv == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &value[i];
        ccv.complex_value = cv;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


ngx_uint_t  ngx_http_ws_bus_jwt_counters_at;

static const ngx_http_ws_bus_counter_t  ngx_http_ws_bus_jwt_counter[] = {
    NGX_HTTP_WS_BUS_JWT_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_ROW)
};


static ngx_int_t
ngx_http_ws_bus_jwt_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_ws_bus_jwt_add_variables(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_counter_register(cf,
                                 ngx_http_ws_bus_jwt_counter,
                                 sizeof(ngx_http_ws_bus_jwt_counters_t)
                                     / sizeof(uint64_t),
                                 &ngx_http_ws_bus_jwt_counters_at);
}


static void *
ngx_http_ws_bus_jwt_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf;

    jlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_jwt_loc_conf_t));
    if (jlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     jlcf->in_line = 0;
     *     jlcf->keys = NULL;
     *     jlcf->require = NULL;
     *     jlcf->rules = { 0 };
     */

    jlcf->sources = NGX_CONF_UNSET_PTR;
    jlcf->issuers = NGX_CONF_UNSET_PTR;
    jlcf->audiences = NGX_CONF_UNSET_PTR;
    jlcf->leeway = NGX_CONF_UNSET;
    jlcf->expiry = NGX_CONF_UNSET_UINT;

    return jlcf;
}


static char *
ngx_http_ws_bus_jwt_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_ws_bus_jwt_loc_conf_t  *prev = parent;
    ngx_http_ws_bus_jwt_loc_conf_t  *conf = child;

    ngx_uint_t  own;

    own = conf->sources != NGX_CONF_UNSET_PTR;

    if (!own) {
        conf->in_line = prev->in_line;
        conf->place = prev->place;
    }

    ngx_conf_merge_ptr_value(conf->sources, prev->sources, NULL);
    ngx_conf_merge_ptr_value(conf->issuers, prev->issuers, NULL);
    ngx_conf_merge_ptr_value(conf->audiences, prev->audiences, NULL);
    ngx_conf_merge_sec_value(conf->leeway, prev->leeway, 0);
    ngx_conf_merge_uint_value(conf->expiry, prev->expiry,
                              NGX_HTTP_WS_BUS_JWT_EXPIRY_REQUIRED);

    if (conf->keys == NULL) {
        conf->keys = prev->keys;
    }

    if (ngx_http_ws_bus_jwt_merge_require(conf, prev) != NGX_OK
        || ngx_http_ws_bus_jwt_check(cf, conf, own) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->sources == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->issuers != NULL) {
        conf->rules.issuers = conf->issuers->elts;
        conf->rules.nissuers = conf->issuers->nelts;
    }

    if (conf->audiences != NULL) {
        conf->rules.audiences = conf->audiences->elts;
        conf->rules.naudiences = conf->audiences->nelts;
    }

    conf->rules.leeway = conf->leeway;
    conf->rules.exp_optional =
                      conf->expiry == NGX_HTTP_WS_BUS_JWT_EXPIRY_OPTIONAL;

    return NGX_CONF_OK;
}


/* What an outer level requires is never taken back by an inner one. */

static ngx_int_t
ngx_http_ws_bus_jwt_merge_require(ngx_http_ws_bus_jwt_loc_conf_t *conf,
    ngx_http_ws_bus_jwt_loc_conf_t *prev)
{
    ngx_http_complex_value_t  *cv;

    if (conf->require == NULL) {
        conf->require = prev->require;
        return NGX_OK;
    }

    if (prev->require == NULL) {
        return NGX_OK;
    }

    cv = ngx_array_push_n(conf->require, prev->require->nelts);
    if (cv == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(cv, prev->require->elts,
               prev->require->nelts * sizeof(ngx_http_complex_value_t));

    return NGX_OK;
}
