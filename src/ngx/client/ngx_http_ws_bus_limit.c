/*
 * Limits: of connections, subscriptions and comparisons, which are counted in
 * the zone, and of the rate of messages, which is each connection's own.
 */

#include "ngx_http_ws_bus_client.h"


#define NGX_HTTP_WS_BUS_LIMITS         8      /* of one kind at one location */
#define NGX_HTTP_WS_BUS_CONTROL_RATE   10000  /* thousandths a second */
#define NGX_HTTP_WS_BUS_CONTROL_BURST  5      /* seconds of it */


/* At most n for each value of the key. */

typedef struct {
    ngx_uint_t                   n;
    ngx_str_t                    name;        /* the key as written */
    ngx_http_complex_value_t    *key;         /* NULL: of the whole zone */
} ngx_http_ws_bus_limit_t;


static ngx_int_t ngx_http_ws_bus_limit_push(ngx_conf_t *cf,
    ngx_array_t **limits, ngx_http_ws_bus_limit_t **out);
static ngx_int_t ngx_http_ws_bus_limit_number(ngx_conf_t *cf,
    ngx_uint_t *n);
static ngx_int_t ngx_http_ws_bus_limit_key(ngx_conf_t *cf,
    ngx_http_ws_bus_limit_t *limit);
static ngx_int_t ngx_http_ws_bus_limit_rate(ngx_str_t s);
static ngx_int_t ngx_http_ws_bus_limit_client(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc, ngx_uint_t n, ngx_uint_t tenant);
static void ngx_http_ws_bus_limit_quota(ngx_http_ws_bus_client_t *wc,
    unsigned domain,
    ngx_str_t *tenant, wsb_quota_t *quota);
static ngx_uint_t ngx_http_ws_bus_limit_has_zone(
    ngx_http_ws_bus_client_loc_conf_t *ccf);
static ngx_int_t ngx_http_ws_bus_limit_quotas(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc, ngx_array_t *limits, unsigned domain,
    wsb_quota_t *quotas, ngx_uint_t *n);


/*
 * ws_bus_max_connections; ws_bus_max_subscriptions and ws_bus_max_comparisons
 * with a key: of several all must be kept.
 */

char *
ngx_http_ws_bus_limit_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_int_t                     *plain;
    ngx_uint_t                     n;
    ngx_http_ws_bus_limit_t       *limit;
    ngx_http_ws_bus_client_main_conf_t   *wmcf;

    if (ngx_http_ws_bus_limit_number(cf, &n) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2 && cmd->post != NULL) {

        /* of each connection, which counts for itself */

        plain = (ngx_int_t *) (p + *(size_t *) cmd->post);

        if (*plain != NGX_CONF_UNSET) {
            return "is duplicate";
        }

        *plain = n;

        return NGX_CONF_OK;
    }

    if (ngx_http_ws_bus_limit_push(cf, (ngx_array_t **) (p + cmd->offset),
                                   &limit)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    limit->n = n;

    if (cf->args->nelts == 3) {
        return ngx_http_ws_bus_limit_key(cf, limit) == NGX_OK
                   ? NGX_CONF_OK
                   : NGX_CONF_ERROR;
    }

    /* then those of all locations count */

    wmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_ws_bus_client_module);
    wmcf->counted = 1;

    return NGX_CONF_OK;
}


/* A new one of this key, which would be counted twice if there is one. */

static ngx_int_t
ngx_http_ws_bus_limit_push(ngx_conf_t *cf, ngx_array_t **limits,
    ngx_http_ws_bus_limit_t **out)
{
    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_http_ws_bus_limit_t  *limit;

    value = cf->args->elts;

    if (*limits == NULL) {
        *limits = ngx_array_create(cf->pool, 2,
                                   sizeof(ngx_http_ws_bus_limit_t));
        if (*limits == NULL) {
            return NGX_ERROR;
        }
    }

    if ((*limits)->nelts == NGX_HTTP_WS_BUS_LIMITS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d \"%V\" at one level",
                           NGX_HTTP_WS_BUS_LIMITS, &value[0]);
        return NGX_ERROR;
    }

    limit = (*limits)->elts;

    for (i = 0; i < (*limits)->nelts; i++) {

        if (cf->args->nelts == 3
                ? limit[i].name.len == value[2].len - 4
                  && ngx_strcmp(limit[i].name.data, value[2].data + 4) == 0
                : limit[i].key == NULL)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is duplicate: one for each key",
                               &value[0]);
            return NGX_ERROR;
        }
    }

    limit = ngx_array_push(*limits);
    if (limit == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(limit, sizeof(ngx_http_ws_bus_limit_t));

    *out = limit;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_limit_number(ngx_conf_t *cf, ngx_uint_t *n)
{
    ngx_int_t   number;
    ngx_str_t  *value;

    value = cf->args->elts;

    number = ngx_atoi(value[1].data, value[1].len);

    if (number < 1 || number > 10000000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\": expected a "
                           "number from 1 to 10000000", &value[1], &value[0]);
        return NGX_ERROR;
    }

    *n = number;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_limit_key(ngx_conf_t *cf, ngx_http_ws_bus_limit_t *limit)
{
    ngx_str_t                         *value, key;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    if (value[2].len < 5 || ngx_strncmp(value[2].data, "key=", 4) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%V\": write "
                           "\"key=\" and a value such as \"key=$remote_addr"
                           "\"", &value[2], &value[0]);
        return NGX_ERROR;
    }

    limit->name.data = value[2].data + 4;
    limit->name.len = value[2].len - 4;

    limit->key = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (limit->key == NULL) {
        return NGX_ERROR;
    }

    key = limit->name;

    if (ngx_http_ws_bus_arg_decode(cf, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &key;
    ccv.complex_value = limit->key;

    return ngx_http_compile_complex_value(&ccv);
}


/*
 * "10r/s" or "600r/m", as nginx writes rates; burst=n messages at once.
 * control=10r/s is the rate of Ping and Pong frames.
 */

char *
ngx_http_ws_bus_limit_message_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf = conf;

    ngx_int_t    rate, burst, control;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (ccf->message_rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        ccf->message_rate = 0;
        return NGX_CONF_OK;
    }

    rate = ngx_http_ws_bus_limit_rate(value[1]);

    if (rate == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid rate \"%V\" in \"%V\": expected "
                           "messages a second or a minute, such as \"10r/s\" "
                           "or \"600r/m\", or \"off\"",
                           &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    burst = (rate + 999) / 1000;
    control = NGX_HTTP_WS_BUS_CONTROL_RATE;

    for (i = 2; i < cf->args->nelts; i++) {
        s = value[i];

        if (s.len > 6 && ngx_strncmp(s.data, "burst=", 6) == 0) {
            burst = ngx_atoi(s.data + 6, s.len - 6);

        } else if (s.len > 8 && ngx_strncmp(s.data, "control=", 8) == 0) {
            s.data += 8;
            s.len -= 8;
            control = ngx_http_ws_bus_limit_rate(s);

        } else {
            burst = NGX_ERROR;
        }

        if (burst < 1 || burst > 1000000 || control == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\": expected "
                               "\"burst=\" and a number from 1 to 1000000, "
                               "or \"control=\" and a rate",
                               &value[i], &value[0]);
            return NGX_CONF_ERROR;
        }
    }

    ccf->message_rate = rate;
    ccf->message_burst = burst * 1000;
    ccf->control_rate = control;
    ccf->control_burst = ngx_min(ngx_max(control, 1000), 100000000)
                          * NGX_HTTP_WS_BUS_CONTROL_BURST;

    return NGX_CONF_OK;
}


/* In thousandths a second, as limit_req counts; or NGX_ERROR. */

static ngx_int_t
ngx_http_ws_bus_limit_rate(ngx_str_t s)
{
    ngx_int_t   n;
    ngx_uint_t  scale;

    if (s.len <= 3) {
        return NGX_ERROR;
    }

    if (ngx_strncmp(s.data + s.len - 3, "r/s", 3) == 0) {
        scale = 1;

    } else if (ngx_strncmp(s.data + s.len - 3, "r/m", 3) == 0) {
        scale = 60;

    } else {
        return NGX_ERROR;
    }

    n = ngx_atoi(s.data, s.len - 3);

    return n < 1 || n > 1000000 ? NGX_ERROR : n * 1000 / (ngx_int_t) scale;
}


/*
 * One more message, or control frame.  NGX_DECLINED: it is one too many.  The
 * excess runs off at the rate; a connection starts with all of its burst.
 */

ngx_int_t
ngx_http_ws_bus_limit_message(ngx_http_ws_bus_client_t *wc, ngx_uint_t control)
{
    uint32_t                            ms, *excess;
    uint64_t                            off, off_control;
    ngx_uint_t                          burst;
    ngx_http_ws_bus_client_loc_conf_t  *conf;

    conf = wc->conf;

    if (conf->message_rate == 0) {
        return NGX_OK;
    }

    ms = (uint32_t) ngx_current_msec - wc->counted_at;
    off = (uint64_t) conf->message_rate * ms / 1000;
    off_control = (uint64_t) conf->control_rate * ms / 1000;

    /* what is less than a thousandth of either is not forgotten */

    if (off != 0 && off_control != 0) {
        wc->counted_at += ms;

        wc->excess = wc->excess > off ? wc->excess - (uint32_t) off : 0;
        wc->excess_control = wc->excess_control > off_control
                             ? wc->excess_control - (uint32_t) off_control : 0;
    }

    excess = control ? &wc->excess_control : &wc->excess;
    burst = control ? conf->control_burst : conf->message_burst;

    if (*excess + 1000 > burst) {
        return NGX_DECLINED;
    }

    *excess += 1000;

    return NGX_OK;
}


/*
 * At the handshake: the connection is counted in, and what its subscriptions
 * will be counted under is found out, since there is no request later.  Of a
 * tenant both are counted for its status page.
 */

ngx_int_t
ngx_http_ws_bus_limit(ngx_http_request_t *r, ngx_http_ws_bus_client_t *wc)
{
    ngx_int_t                            rc;
    ngx_str_t                            none;
    ngx_uint_t                           nconns, nsubs, n, tenant;
    wsb_quota_t                          quotas[3 * NGX_HTTP_WS_BUS_LIMITS + 4];
    ngx_http_ws_bus_client_loc_conf_t   *ccf;
    ngx_http_ws_bus_client_main_conf_t  *wmcf;

    if (wc->fan->worker == NULL) {
        return NGX_OK;
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_ws_bus_client_module);
    ccf = wc->conf;
    tenant = (wc->tenant.len != 0);
    n = 0;

    rc = ngx_http_ws_bus_limit_quotas(r, wc, ccf->connection_limits,
                                      WSB_DOMAIN_CONNECTIONS, quotas, &n);

    if (rc == NGX_OK && wmcf->counted
        && !ngx_http_ws_bus_limit_has_zone(ccf))
    {
        ngx_str_null(&none);
        ngx_http_ws_bus_limit_quota(wc, WSB_DOMAIN_CONNECTIONS, &none,
                                    &quotas[n++]);
    }

    if (rc == NGX_OK && tenant) {
        ngx_http_ws_bus_limit_quota(wc, WSB_DOMAIN_CONNECTIONS, &wc->tenant,
                                    &quotas[n++]);
    }

    nconns = n;

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_limit_quotas(r, wc, ccf->subscription_limits,
                                          WSB_DOMAIN_SUBSCRIPTIONS, quotas, &n);
    }

    if (rc == NGX_OK && tenant) {
        ngx_http_ws_bus_limit_quota(wc, WSB_DOMAIN_SUBSCRIPTIONS, &wc->tenant,
                                    &quotas[n++]);

        /* and whether it has little */

        ngx_http_ws_bus_limit_quota(wc, WSB_DOMAIN_KEYS, &wc->tenant,
                                    &quotas[n]);
        quotas[n++].weighs = 1;
    }

    nsubs = n - nconns;

    if (rc == NGX_OK) {
        rc = ngx_http_ws_bus_limit_quotas(r, wc, ccf->comparison_limits,
                                          WSB_DOMAIN_COMPARISONS, quotas, &n);
    }

    if (rc != NGX_OK || n == 0) {
        return rc;
    }

    wc->quotas = ngx_alloc(sizeof(ngx_http_ws_bus_quotas_t)
                           + n * sizeof(wsb_quota_t), r->connection->log);
    if (wc->quotas == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wc->quotas->nconns = 0;
    wc->quotas->nsubs = nsubs;
    wc->quotas->subs = &wc->quotas->quota[nconns];
    wc->quotas->ncosts = n - nconns - nsubs;
    wc->quotas->costs = &wc->quotas->quota[nconns + nsubs];

    ngx_memcpy(wc->quotas->quota, quotas, n * sizeof(wsb_quota_t));

    return ngx_http_ws_bus_limit_client(r, wc, nconns, tenant);
}


static ngx_int_t
ngx_http_ws_bus_limit_client(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc,
    ngx_uint_t n, ngx_uint_t tenant)
{
    wsb_rc_t                   rc;
    ngx_http_ws_bus_worker_t  *w;

    w = wc->fan->worker;

    ngx_shmtx_lock(&w->shpool->mutex);

    rc = wsb_quota_take_locked(w->zone, (unsigned) w->slot,
                               wc->quotas->quota, (unsigned) n);

    if (rc == WSB_FULL && n == 1 && tenant
        && wc->quotas->quota[0].max == WSB_QUOTA_NONE)
    {

        /*
         * it is no limit: a registry that is full keeps nobody out, only the
         * page does not tell of him, nor of his subscriptions
         */

        wc->quotas->nsubs -= 2;
        n = 0;
        rc = WSB_OK;
    }

    ngx_shmtx_unlock(&w->shpool->mutex);

    if (rc == WSB_OK) {
        wc->quotas->nconns = n;
        return NGX_OK;
    }

    ngx_http_ws_bus_counters(w)->refused_connections++;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "websocket handshake refused: %s",
                  rc == WSB_CONFLICT
                      ? "\"ws_bus_max_connections\" is reached"
                      : "the registry of the bus is full");

    return NGX_HTTP_SERVICE_UNAVAILABLE;
}


/* Of a tenant, or with none of the zone, without a limit. */

static void
ngx_http_ws_bus_limit_quota(ngx_http_ws_bus_client_t *wc, unsigned domain,
    ngx_str_t *tenant, wsb_quota_t *quota)
{
    wsb_str_t  value;

    static const wsb_str_t  none = wsb_string("");

    value.data = tenant->data;
    value.len = tenant->len;

    quota->key = wsb_quota_key(wc->fan->worker->zone->key, domain, none, value);
    quota->max = WSB_QUOTA_NONE;
    quota->weighs = 0;
}


static ngx_uint_t
ngx_http_ws_bus_limit_has_zone(ngx_http_ws_bus_client_loc_conf_t *ccf)
{
    ngx_uint_t                i;
    ngx_http_ws_bus_limit_t  *limit;

    if (ccf->connection_limits == NULL) {
        return 0;
    }

    limit = ccf->connection_limits->elts;

    for (i = 0; i < ccf->connection_limits->nelts; i++) {
        if (limit[i].key == NULL) {
            return 1;
        }
    }

    return 0;
}


/* Adds a quota for each limit whose key has a value. */

static ngx_int_t
ngx_http_ws_bus_limit_quotas(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc,
    ngx_array_t *limits, unsigned domain, wsb_quota_t *quotas, ngx_uint_t *n)
{
    ngx_str_t                 value;
    wsb_str_t                 name, text;
    ngx_uint_t                i;
    ngx_http_ws_bus_limit_t  *limit;

    if (limits == NULL) {
        return NGX_OK;
    }

    limit = limits->elts;

    for (i = 0; i < limits->nelts; i++) {

        ngx_str_null(&value);

        if (limit[i].key != NULL) {

            if (ngx_http_complex_value(r, limit[i].key, &value) != NGX_OK) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            if (value.len == 0) {
                continue;
            }
        }

        name.data = limit[i].name.data;
        name.len = limit[i].name.len;
        text.data = value.data;
        text.len = value.len;

        quotas[*n].key = wsb_quota_key(wc->fan->worker->zone->key, domain, name,
                                       text);
        quotas[*n].max = limit[i].n;
        quotas[*n].weighs = (domain != WSB_DOMAIN_CONNECTIONS);

        (*n)++;
    }

    return NGX_OK;
}


/* The connection is counted out; its subscriptions may still be in. */

void
ngx_http_ws_bus_limit_give(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_worker_t  *w;

    if (wc->quotas == NULL || wc->quotas->nconns == 0) {
        return;
    }

    w = wc->fan->worker;

    ngx_shmtx_lock(&w->shpool->mutex);

    wsb_quota_give_locked(w->zone, (unsigned) w->slot, wc->quotas->quota,
                          wc->quotas->nconns);

    ngx_shmtx_unlock(&w->shpool->mutex);

    wc->quotas->nconns = 0;
}
