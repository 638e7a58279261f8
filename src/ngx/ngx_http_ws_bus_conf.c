/*
 * How the values of directives are read, where they have one.
 */

#include "ngx_http_ws_bus_module.h"


ngx_http_complex_value_t  ngx_http_ws_bus_no_tenant;

const wsb_codec_t  *ngx_http_ws_bus_codecs[] = {
    &wsb_codec_bus,
    &wsb_codec_tenant
};


char *
ngx_http_ws_bus_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                     *rv;
    size_t                   *field;
    ngx_str_t                *value;
    ngx_command_t             plain;
    ngx_http_ws_bus_value_t  *v;

    v = cmd->post;
    field = (size_t *) ((char *) conf + cmd->offset);

    if (*field != (size_t) NGX_CONF_UNSET) {
        return "is duplicate";
    }

    plain = *cmd;
    plain.post = NULL;

    rv = v->slot(cf, &plain, conf);

    if (rv == NGX_CONF_OK
        && ((*field >= v->min && *field <= v->max)
            || (*field == 0 && v->zero)))
    {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\": expected %s",
                       &value[1], &cmd->name, v->expected);

    return NGX_CONF_ERROR;
}


/*
 * "off": none, whatever an outer level says.  A constant that would get 400
 * each time is refused here.
 */

char *
ngx_http_ws_bus_tenant_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    char       *rv;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (wlcf->tenant == NULL && ngx_strcmp(value[1].data, "off") == 0) {
        wlcf->tenant = &ngx_http_ws_bus_no_tenant;
        return NGX_CONF_OK;
    }

    rv = ngx_http_ws_bus_complex(cf, cmd, conf);

    if (rv != NGX_CONF_OK || wlcf->tenant->lengths != NULL) {
        return rv;
    }

    if (ngx_http_ws_bus_tenant_wrong(&value[1]) != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid tenant of %uz bytes in "
                           "\"ws_bus_tenant\": write one of 1 to %d bytes "
                           "of UTF-8, or \"off\" for none",
                           value[1].len, WSB_TENANT_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_ws_bus_protocol(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    u_char      *p, names[64];
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (wlcf->protocol != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    p = names;

    for (i = 0; i < NGX_HTTP_WS_BUS_CODECS; i++) {

        if (ngx_strcmp(value[1].data, ngx_http_ws_bus_codecs[i]->name) == 0) {
            wlcf->protocol = i;
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


/* A value, or "path=" and names joined by dots. */

char *
ngx_http_ws_bus_capture_id(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    char       *rv;
    u_char     *p;
    ngx_str_t  *value;

    rv = ngx_http_ws_bus_complex(cf, cmd, conf);

    if (rv != NGX_CONF_OK || wlcf->capture_id->lengths != NULL) {
        return rv;
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "path=", 5) != 0) {
        return NGX_CONF_OK;
    }

    p = value[1].data + 5;

    if (*p == '\0' || *p == '.' || value[1].data[value[1].len - 1] == '.'
        || ngx_strstr(p, "..") != NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid path \"%V\" in \"ws_bus_capture_id\": "
                           "expected names joined by dots, such as "
                           "\"path=data.order.id\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_ws_bus_capture_data(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    ngx_str_t  *value;

    if (wlcf->capture_data != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "response") == 0) {
        wlcf->capture_data = NGX_HTTP_WS_BUS_DATA_RESPONSE;

    } else if (ngx_strcmp(value[1].data, "request") == 0) {
        wlcf->capture_data = NGX_HTTP_WS_BUS_DATA_REQUEST;

    } else if (ngx_strcmp(value[1].data, "none") == 0) {
        wlcf->capture_data = NGX_HTTP_WS_BUS_DATA_NONE;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"ws_bus_capture_data\": "
                           "expected \"response\", \"request\" or \"none\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_ws_bus_deflate_level(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    ngx_str_t  *value;

    if (wlcf->deflate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        wlcf->deflate = 0;

    } else if (ngx_strcmp(value[1].data, "on") == 0) {
        wlcf->deflate = 1;

    } else if (value[1].len == 1
               && value[1].data[0] >= '1' && value[1].data[0] <= '9')
    {
        wlcf->deflate = value[1].data[0] - '0';

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"ws_bus_deflate\": "
                           "expected \"off\", \"on\" (level 1), or a level "
                           "from 1 to 9", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_ws_bus_on_gap(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf = conf;

    ngx_str_t  *value;

    if (wlcf->on_gap != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "notify") == 0) {
        wlcf->on_gap = NGX_HTTP_WS_BUS_GAP_NOTIFY;

    } else if (ngx_strcmp(value[1].data, "close") == 0) {
        wlcf->on_gap = NGX_HTTP_WS_BUS_GAP_CLOSE;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"ws_bus_on_gap\": "
                           "expected \"notify\" or \"close\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
