/*
 * A client's life: made at the handshake, opened when its transport is ready,
 * ended by the engine or by its transport, closed.  And the room's module,
 * ngx_http_ws_bus_client_module: who is served, and how.
 */

#include "ngx_http_ws_bus_client.h"

#include <sys/random.h>


static ngx_int_t ngx_http_ws_bus_client_init_process(ngx_cycle_t *cycle);
static void *ngx_http_ws_bus_client_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_ws_bus_client_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_ws_bus_client_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_ws_bus_client_protocol(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ws_bus_client_on_gap(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void ngx_http_ws_bus_client_husk_handler(ngx_event_t *ev);


static const wsb_codec_t  *ngx_http_ws_bus_codecs[] = {
    &wsb_codec_bus,
    &wsb_codec_tenant,
    &wsb_codec_resource
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
      ngx_http_ws_bus_client_protocol,
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

    { ngx_string("ws_bus_section"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ws_bus_arg_complex,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ws_bus_client_loc_conf_t, section),
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
      ngx_http_ws_bus_client_on_gap,
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
    ngx_http_ws_bus_session_log_variables, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_ws_bus_client_create_main_conf,  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_ws_bus_client_create_loc_conf,   /* create location conf */
    ngx_http_ws_bus_client_merge_loc_conf  /* merge location configuration */
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


ngx_http_ws_bus_fan_t  ngx_http_ws_bus_no_fan;

static ngx_queue_t     ngx_http_ws_bus_husks;
static ngx_event_t     ngx_http_ws_bus_husk_event;


static ngx_int_t
ngx_http_ws_bus_client_init_process(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        /* a cache manager takes no part */
        return NGX_OK;
    }

    ngx_queue_init(&ngx_http_ws_bus_husks);

    ngx_http_ws_bus_husk_event.handler = ngx_http_ws_bus_client_husk_handler;
    ngx_http_ws_bus_husk_event.log = cycle->log;

    ngx_http_ws_bus_heartbeat_init(cycle);
    ngx_http_ws_bus_token_init_process(cycle);

    return ngx_http_ws_bus_fanout_init_process(cycle);
}


ngx_http_ws_bus_client_t *
ngx_http_ws_bus_client_create(size_t size,
    const ngx_http_ws_bus_transport_t *transport, ngx_connection_t *c,
    ngx_http_ws_bus_client_loc_conf_t *conf, ngx_http_ws_bus_fan_t *fan)
{
    ngx_http_ws_bus_client_t  *wc;

    wc = ngx_calloc(size, c->log);
    if (wc == NULL) {
        return NULL;
    }

    if (getrandom(wc->id, sizeof(wc->id), 0) != sizeof(wc->id)) {
        ngx_free(wc);
        return NULL;
    }

    /* a UUID of version 4, without its hyphens */

    wc->id[6] = (wc->id[6] & 0x0f) | 0x40;
    wc->id[8] = (wc->id[8] & 0x3f) | 0x80;

    wc->transport = transport;
    wc->connection = c;
    wc->fd = (ngx_socket_t) -1;
    wc->conf = conf;
    wc->fan = fan;
    wc->items = &wc->one;
    wc->control_last = &wc->control;

    if (fan->worker != NULL) {
        wc->cursor.seq = wsb_log_head(&fan->worker->zone->log) + 1;
        wc->cursor.pos = WSB_LOG_POS_UNKNOWN;
    }

    return wc;
}


void
ngx_http_ws_bus_client_free(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_out_drop(wc);

    wc->transport->free(wc);

    if (wc->tenant.data != NULL) {
        ngx_free(wc->tenant.data);
    }

    wsb_restrict_free(wc->forced);
    ngx_http_ws_bus_limit_give(wc);

    if (wc->asker != NULL) {
        wc->conf->requests->free(wc);
    }

    if (wc->quotas != NULL) {
        ngx_free(wc->quotas);
    }

    if (wc->token != NULL) {
        ngx_free(wc->token);
    }

    if (wc->context != NULL) {
        ngx_free(wc->context);
    }

    if (wc->subs != NULL) {
        wsb_free(wc->subs);
    }

    ngx_http_ws_bus_session_log_free(wc);

    ngx_free(wc);
}


void
ngx_http_ws_bus_client_open(ngx_http_ws_bus_client_t *wc)
{
    wsb_counters_t  *counters;

    if (wc->fan->worker != NULL) {
        ngx_queue_insert_tail(&wc->fan->clients, &wc->clients);

        counters = ngx_http_ws_bus_counters(wc->fan->worker);
        counters->connections++;
        counters->opened++;
        wc->counted = 1;
    }

    ngx_http_ws_bus_heartbeat_start(wc);
    ngx_http_ws_bus_token_start(wc);

    if (wc->fan->worker != NULL) {
        ngx_http_ws_bus_op_welcome(wc);
    }
}


void
ngx_http_ws_bus_client_end(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_end_e why, const char *text)
{
    u_char  id[WSB_ID_LEN + 1];

    if (wc->closing || wc->closed) {
        return;
    }

    if (text == NULL && wc->fan->worker != NULL
        && (why == NGX_HTTP_WS_BUS_END_RESTART
            || why == NGX_HTTP_WS_BUS_END_QUIT
            || why == NGX_HTTP_WS_BUS_END_LATER))
    {
        /* events that are queued come no more: the id says so */

        ngx_http_ws_bus_client_last(wc, id);
        text = (const char *) id;

    } else if (text != NULL && wc->fan->worker != NULL
               && why != NGX_HTTP_WS_BUS_END_EXPIRED
               && why != NGX_HTTP_WS_BUS_END_RIGHTS)
    {
        ngx_http_ws_bus_counters(wc->fan->worker)->closed_by_error++;
    }

    wc->transport->end(wc, why, text);
}


void
ngx_http_ws_bus_client_last(ngx_http_ws_bus_client_t *wc,
    u_char id[WSB_ID_LEN + 1])
{
    size_t  len;

    len = wsb_id(id, wc->fan->worker->zone->epoch,
                 ngx_http_ws_bus_position_last_id(wc));
    id[len] = '\0';
}


void
ngx_http_ws_bus_client_stop(ngx_http_ws_bus_client_t *wc)
{
    wc->closing = 1;

    ngx_http_ws_bus_op_end_all(wc);

    if (wc->fan->worker != NULL) {
        ngx_http_ws_bus_out_fall_behind(wc);
        ngx_http_ws_bus_subscribe_leave(wc);
    }
}


void
ngx_http_ws_bus_client_hold(ngx_http_ws_bus_client_t *wc, ngx_uint_t why)
{
    wc->held |= why;
    wc->paused = 1;
}


void
ngx_http_ws_bus_client_release(ngx_http_ws_bus_client_t *wc, ngx_uint_t why)
{
    if (!(wc->held & why)) {
        return;
    }

    wc->held &= ~why;

    if (!wc->held && !wc->closing
        && wc->control_size <= NGX_HTTP_WS_BUS_CONTROL_MAX / 2)
    {
        wc->paused = 0;
        wc->transport->resume(wc);
    }
}


/*
 * Callers up the stack may still hold wc: it is freed at the end of the turn.
 */

void
ngx_http_ws_bus_client_close(ngx_http_ws_bus_client_t *wc)
{
    if (wc->closed) {
        return;
    }

    wc->closed = 1;
    wc->closing = 1;

    ngx_http_ws_bus_op_end_all(wc);

    if (wc->fan->worker != NULL) {
        ngx_http_ws_bus_fanout_not_overflowed(wc);
        wc->behind = 1;
        ngx_http_ws_bus_subscribe_leave(wc);
    }

    ngx_http_ws_bus_out_drop(wc);
    ngx_http_ws_bus_session_log_end(wc);

    if (wc->dirty || wc->catching) {
        ngx_queue_remove(&wc->link);
        wc->dirty = 0;
        wc->catching = 0;
    }

    ngx_http_ws_bus_heartbeat_stop(wc);
    ngx_http_ws_bus_token_stop(wc);

    if (wc->counted) {
        ngx_queue_remove(&wc->clients);
        ngx_http_ws_bus_counters(wc->fan->worker)->connections--;
        ngx_http_ws_bus_limit_give(wc);
        wc->counted = 0;
    }

    wc->transport->close(wc);

    wc->connection = NULL;
    wc->fd = (ngx_socket_t) -1;

    if (wc->nleft == 0) {
        ngx_http_ws_bus_client_discard(wc);
    }
}


void
ngx_http_ws_bus_client_discard(ngx_http_ws_bus_client_t *wc)
{
    ngx_queue_insert_tail(&ngx_http_ws_bus_husks, &wc->link);
    ngx_post_event(&ngx_http_ws_bus_husk_event, &ngx_posted_next_events);
}


static void
ngx_http_ws_bus_client_husk_handler(ngx_event_t *ev)
{
    ngx_queue_t               *q;
    ngx_http_ws_bus_client_t  *wc;

    ngx_http_ws_bus_turn();

    while (!ngx_queue_empty(&ngx_http_ws_bus_husks)) {
        q = ngx_queue_head(&ngx_http_ws_bus_husks);
        ngx_queue_remove(q);

        wc = ngx_queue_data(q, ngx_http_ws_bus_client_t, link);

        ngx_http_ws_bus_client_free(wc);
    }
}


static void *
ngx_http_ws_bus_client_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_client_main_conf_t));
}


static void *
ngx_http_ws_bus_client_create_loc_conf(ngx_conf_t *cf)
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
     *     ccf->schema = NULL;
     *     ccf->section = NULL;
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
ngx_http_ws_bus_client_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_ws_bus_client_loc_conf_t  *prev = parent;
    ngx_http_ws_bus_client_loc_conf_t  *conf = child;

    /* an "if" within a location runs the handler with a conf of its own */

    ngx_conf_merge_ptr_value(conf->zone, prev->zone, NULL);

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

    ngx_http_ws_bus_conf_merge_value(&conf->schema, prev->schema);
    ngx_http_ws_bus_conf_merge_value(&conf->section, prev->section);
    ngx_conf_merge_str_value(conf->default_schema, prev->default_schema, "");

    ngx_conf_merge_value(conf->max_subscriptions,
                         prev->max_subscriptions, 128);
    ngx_conf_merge_size_value(conf->max_filters_size, prev->max_filters_size,
                              NGX_CONF_UNSET_SIZE);

    conf->filters_size = conf->max_filters_size;
    ngx_conf_init_size_value(conf->filters_size,
                             (size_t) conf->max_subscriptions
                             * NGX_HTTP_WS_BUS_FILTER_SIZE);
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

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_client_protocol(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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

    for (i = 0; i < NGX_HTTP_WS_BUS_CODECS; i++) {

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
ngx_http_ws_bus_client_on_gap(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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
