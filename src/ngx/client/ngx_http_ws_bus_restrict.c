/*
 * ws_bus_restrict: conditions that every subscription of a connection gets.
 * The values are taken once, at the handshake.
 */

#include "ngx_http_ws_bus_client.h"


typedef struct {
    ngx_str_t                    field;
    ngx_str_t                    op;
    ngx_http_complex_value_t     value;
} ngx_http_ws_bus_condition_t;


static ngx_int_t ngx_http_ws_bus_check_condition(ngx_conf_t *cf,
    ngx_http_ws_bus_condition_t *condition);
static ngx_uint_t ngx_http_ws_bus_many_conditions(ngx_conf_t *cf,
    ngx_uint_t n);


static ngx_inline wsb_str_t
ngx_http_ws_bus_str(const ngx_str_t *s)
{
    wsb_str_t  str;

    str.data = s->data;
    str.len = s->len;

    return str;
}


char *
ngx_http_ws_bus_restrict(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *wlcf = conf;

    ngx_str_t                         *value;
    ngx_http_ws_bus_condition_t       *condition;
    ngx_http_compile_complex_value_t   ccv;

    if (wlcf->conditions == NULL) {
        wlcf->conditions = ngx_array_create(cf->pool, 4,
                                        sizeof(ngx_http_ws_bus_condition_t));
        if (wlcf->conditions == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_ws_bus_many_conditions(cf, wlcf->conditions->nelts + 1)) {
        return NGX_CONF_ERROR;
    }

    condition = ngx_array_push(wlcf->conditions);
    if (condition == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    ngx_memzero(condition, sizeof(ngx_http_ws_bus_condition_t));

    condition->field = value[1];
    condition->op = value[2];

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[3];
    ccv.complex_value = &condition->value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_ws_bus_check_condition(cf, condition) == NGX_OK
               ? NGX_CONF_OK
               : NGX_CONF_ERROR;
}


/* What does not depend on a request is refused now. */

static ngx_int_t
ngx_http_ws_bus_check_condition(ngx_conf_t *cf,
    ngx_http_ws_bus_condition_t *condition)
{
    wsb_rc_t            rc;
    wsb_forced_t        forced;
    wsb_restrict_t     *made;
    wsb_where_error_t   err;

    static const uint8_t    key[16];
    static const wsb_str_t  any = wsb_string("0");

    forced.field = ngx_http_ws_bus_str(&condition->field);
    forced.op = ngx_http_ws_bus_str(&condition->op);
    forced.value = condition->value.lengths
                       ? any
                       : ngx_http_ws_bus_str(&condition->value.value);

    rc = wsb_restrict_create(key, &forced, 1, &made, &err);

    if (rc == WSB_OK) {
        wsb_restrict_free(made);
        return NGX_OK;
    }

    if (rc == WSB_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"ws_bus_restrict %V %V\": %s; write a "
                           "field or a column, an operator (eq, neq, gt, gte, "
                           "lt, lte, like, ilike, in) and a value",
                           &condition->field, &condition->op, err.text);
    }

    return NGX_ERROR;
}


static ngx_uint_t
ngx_http_ws_bus_many_conditions(ngx_conf_t *cf, ngx_uint_t n)
{
    if (n <= WSB_RESTRICT_CONDITIONS) {
        return 0;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "more than %d \"ws_bus_restrict\" for one location, "
                       "those of outer levels included",
                       WSB_RESTRICT_CONDITIONS);
    return 1;
}


/* Those of outer levels come first; none of them is ever replaced. */

ngx_int_t
ngx_http_ws_bus_merge_restrict(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *prev, ngx_http_ws_bus_client_loc_conf_t *conf)
{
    ngx_uint_t                    n;
    ngx_array_t                  *all;
    ngx_http_ws_bus_condition_t  *condition;

    if (prev->conditions == NULL) {
        return NGX_OK;
    }

    if (conf->conditions == NULL) {
        conf->conditions = prev->conditions;
        return NGX_OK;
    }

    n = prev->conditions->nelts + conf->conditions->nelts;

    if (ngx_http_ws_bus_many_conditions(cf, n)) {
        return NGX_ERROR;
    }

    all = ngx_array_create(cf->pool, n, sizeof(ngx_http_ws_bus_condition_t));
    if (all == NULL) {
        return NGX_ERROR;
    }

    condition = ngx_array_push_n(all, n);
    if (condition == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(condition, prev->conditions->elts,
               prev->conditions->nelts * sizeof(ngx_http_ws_bus_condition_t));
    ngx_memcpy(condition + prev->conditions->nelts, conf->conditions->elts,
               conf->conditions->nelts * sizeof(ngx_http_ws_bus_condition_t));

    conf->conditions = all;

    return NGX_OK;
}


/*
 * At the handshake.  A value that is empty, or cannot be what it is there
 * for, lets nobody in.
 */

ngx_int_t
ngx_http_ws_bus_force(ngx_http_request_t *r, ngx_http_ws_bus_client_t *wc)
{
    wsb_rc_t                      rc;
    ngx_str_t                     value;
    ngx_uint_t                    i, n;
    wsb_forced_t                  forced[WSB_RESTRICT_CONDITIONS];
    wsb_where_error_t             err;
    ngx_http_ws_bus_condition_t  *condition;

    if (wc->conf->conditions == NULL || wc->fan->worker == NULL) {
        return NGX_OK;
    }

    condition = wc->conf->conditions->elts;
    n = wc->conf->conditions->nelts;

    for (i = 0; i < n; i++) {

        if (ngx_http_complex_value(r, &condition[i].value, &value) != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        forced[i].field = ngx_http_ws_bus_str(&condition[i].field);
        forced[i].op = ngx_http_ws_bus_str(&condition[i].op);
        forced[i].value = ngx_http_ws_bus_str(&value);
    }

    rc = wsb_restrict_create(wc->fan->worker->zone->key, forced, n, &wc->forced,
                             &err);

    if (rc == WSB_ERROR) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "websocket handshake refused by \"ws_bus_restrict "
                      "%V %V\": %s", &condition[err.element].field,
                      &condition[err.element].op, err.text);
        return NGX_HTTP_FORBIDDEN;
    }

    return rc == WSB_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}
