/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * How the values of directives are read, where they have one.
 */

#include "ngx_http_ws_bus_core.h"


char *
ngx_http_ws_bus_conf_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                          *rv;
    size_t                        *field;
    ngx_str_t                     *value;
    ngx_command_t                  plain;
    ngx_http_ws_bus_conf_value_t  *v;

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


char *
ngx_http_ws_bus_conf_take_location(ngx_conf_t *cf, ngx_command_t *cmd,
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


void
ngx_http_ws_bus_conf_merge_value(ngx_http_complex_value_t **conf,
    ngx_http_complex_value_t *prev)
{
    if (*conf == NULL) {
        *conf = prev;
    }
}
