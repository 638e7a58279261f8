/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * From a captured response to its events: what nginx knows of it goes to
 * wsb_mutation.c, and what that makes of it to the log.
 */

#include "ngx_http_ws_bus_capture.h"

#include "../../event/wsb_gunzip.h"


/* A directive whose value becomes a field. */

typedef struct {
    const char                  *directive;
    size_t                       offset;      /* in the loc conf, */
    ngx_uint_t                   client;      /* in that of the room client */
    wsb_field_t                  field;       /* WSB_NFIELDS: the version */
} ngx_http_ws_bus_field_t;


typedef struct {
    ngx_http_ws_bus_done_t       done;
    ngx_http_request_t          *request;
    ngx_http_ws_bus_captured_t  *cap;
    wsb_mutation_t               row;
} ngx_http_ws_bus_mutation_t;


static void ngx_http_ws_bus_mutation_resync(ngx_http_ws_bus_mutation_t *m);
static void ngx_http_ws_bus_mutation_of_call(ngx_http_request_t *r,
    const ngx_http_ws_bus_called_t *called, ngx_http_ws_bus_captured_t *cap);
static void ngx_http_ws_bus_mutation_inflate(ngx_http_ws_bus_captured_t *cap);
static ngx_uint_t ngx_http_ws_bus_mutation_fields(
    ngx_http_ws_bus_mutation_t *m);
static void ngx_http_ws_bus_mutation_known(ngx_http_ws_bus_mutation_t *m);
static void ngx_http_ws_bus_mutation_default(wsb_mutation_t *row,
    wsb_field_t field, const ngx_str_t *value);
static ngx_uint_t ngx_http_ws_bus_mutation_value(
    ngx_http_ws_bus_mutation_t *m, const ngx_http_ws_bus_field_t *f);
static ngx_uint_t ngx_http_ws_bus_mutation_path(
    const ngx_http_complex_value_t *cv, wsb_str_t value, wsb_str_t *path);
static void ngx_http_ws_bus_mutation_bodies(ngx_http_ws_bus_mutation_t *m);
static ngx_uint_t ngx_http_ws_bus_mutation_request(
    ngx_http_ws_bus_mutation_t *m);
static wsb_mutation_method_t ngx_http_ws_bus_mutation_method(
    ngx_uint_t method);
static void ngx_http_ws_bus_mutation_done(ngx_http_ws_bus_done_t *done,
    wsb_rc_t rc, const wsb_appended_t *appended);


static const ngx_http_ws_bus_field_t  ngx_http_ws_bus_mutation_values[] = {

    { "ws_bus_tenant", offsetof(ngx_http_ws_bus_client_loc_conf_t, tenant),
      1, WSB_TENANT },

    { "ws_bus_schema", offsetof(ngx_http_ws_bus_client_loc_conf_t, schema),
      1, WSB_SCHEMA },

    { "ws_bus_section", offsetof(ngx_http_ws_bus_client_loc_conf_t, section),
      1, WSB_SECTION },

    { "ws_bus_capture_action",
      offsetof(ngx_http_ws_bus_source_loc_conf_t, capture_action),
      0, WSB_ACTION },

    { "ws_bus_capture_entity",
      offsetof(ngx_http_ws_bus_source_loc_conf_t, capture_entity),
      0, WSB_ENTITY_TYPE },

    { "ws_bus_capture_id",
      offsetof(ngx_http_ws_bus_source_loc_conf_t, capture_id),
      0, WSB_ENTITY_ID },

    { "ws_bus_capture_version",
      offsetof(ngx_http_ws_bus_source_loc_conf_t, capture_version),
      0, WSB_NFIELDS },

    { NULL, 0, 0, 0 }
};


static ngx_inline wsb_str_t
ngx_http_ws_bus_mutation_str(const ngx_str_t *s)
{
    wsb_str_t  str;

    str.data = s->data;
    str.len = s->len;

    return str;
}


void
ngx_http_ws_bus_mutation_emit(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap)
{
    ngx_http_ws_bus_mutation_t  m;

    cap->done = 1;

    ngx_memzero(&m, sizeof(ngx_http_ws_bus_mutation_t));

    m.done.handler = ngx_http_ws_bus_mutation_done;
    m.request = r;
    m.cap = cap;

    ngx_http_ws_bus_mutation_inflate(cap);

    if (ngx_http_ws_bus_mutation_fields(&m)) {

        ngx_http_ws_bus_mutation_bodies(&m);

        if (wsb_mutation_events(&m.row) != WSB_OK || m.row.nrefused != 0) {
            ngx_http_ws_bus_mutation_refused(r, cap, m.row.reason);
            ngx_http_ws_bus_mutation_resync(&m);
        }

        if (m.row.batch.nentries != 0) {
            ngx_http_ws_bus_append_submit(cap->bus, &m.row.batch,
                                          NULL, NULL, &m.done);
        }
    }

    wsb_batch_done(&m.row.batch);
    wsb_text_done(&cap->body);
}


void
ngx_http_ws_bus_mutation_lost(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap)
{
    ngx_http_ws_bus_mutation_t  m;

    cap->done = 1;

    ngx_memzero(&m, sizeof(ngx_http_ws_bus_mutation_t));

    m.request = r;
    m.cap = cap;

    if (ngx_http_ws_bus_mutation_fields(&m)) {
        ngx_http_ws_bus_mutation_resync(&m);
    }
}


/* Where not even the type can be told, it is that of all of the tenant's. */

static void
ngx_http_ws_bus_mutation_resync(ngx_http_ws_bus_mutation_t *m)
{
    wsb_str_t  *field;
    ngx_str_t   tenant, type;

    (void) wsb_mutation_type(&m->row);

    field = m->row.event.field;

    tenant.data = (u_char *) field[WSB_TENANT].data;
    tenant.len = field[WSB_TENANT].len;

    type.data = (u_char *) field[WSB_ENTITY_TYPE].data;
    type.len = field[WSB_ENTITY_TYPE].len;

    ngx_http_ws_bus_resync(m->cap->bus, &tenant, &type);
}


void
ngx_http_ws_bus_mutation_called(ngx_http_request_t *r,
    const ngx_http_ws_bus_called_t *called)
{
    ngx_http_ws_bus_captured_t  cap;

    ngx_http_ws_bus_mutation_of_call(r, called, &cap);

    cap.location = called->location;
    cap.lost = called->lost || called->response.len
                               > cap.conf->capture_max_body;

    if (!cap.lost) {
        wsb_text_add(&cap.body, called->response.data, called->response.len);
        cap.lost = cap.body.failed;
    }

    ngx_http_ws_bus_mutation_emit(r, &cap);
}


void
ngx_http_ws_bus_mutation_unknown(ngx_http_request_t *r,
    const ngx_http_ws_bus_called_t *called)
{
    ngx_http_ws_bus_captured_t  cap;

    ngx_http_ws_bus_mutation_of_call(r, called, &cap);
    ngx_http_ws_bus_mutation_lost(r, &cap);
}


static void
ngx_http_ws_bus_mutation_of_call(ngx_http_request_t *r,
    const ngx_http_ws_bus_called_t *called, ngx_http_ws_bus_captured_t *cap)
{
    ngx_memzero(cap, sizeof(ngx_http_ws_bus_captured_t));

    cap->conf = ngx_http_get_module_loc_conf(r,
                                             ngx_http_ws_bus_source_module);
    cap->client = ngx_http_get_module_loc_conf(r,
                                               ngx_http_ws_bus_client_module);
    cap->clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    cap->bus = called->bus;
    cap->called = called;
    cap->method = called->method;
}


void
ngx_http_ws_bus_mutation_refused(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap, const char *reason)
{
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "ws bus capture: no event of a mutation in location "
                  "\"%V\": %s", &cap->clcf->name, reason);
}


static void
ngx_http_ws_bus_mutation_inflate(ngx_http_ws_bus_captured_t *cap)
{
    size_t      len;
    uint8_t    *plain;
    wsb_str_t   body;

    if (cap->lost || cap->encoding.len == 0 || cap->body.len == 0) {
        return;
    }

    body.data = cap->body.data;
    body.len = cap->body.len;

    if (wsb_gunzip(body, cap->conf->capture_max_body, &plain, &len)
        != WSB_OK)
    {
        cap->lost = 1;
        return;
    }

    wsb_text_done(&cap->body);

    cap->body.data = plain;
    cap->body.len = len;
    cap->body.size = len;
}


static ngx_uint_t
ngx_http_ws_bus_mutation_fields(ngx_http_ws_bus_mutation_t *m)
{
    wsb_mutation_t                 *row;
    const ngx_http_ws_bus_field_t  *f;

    static const wsb_str_t  id = wsb_string("id");

    row = &m->row;

    row->id_path = id;

    for (f = ngx_http_ws_bus_mutation_values; f->directive != NULL; f++) {

        if (m->cap->called != NULL && f->client) {
            /* whose it is the connection says */
            continue;
        }

        if (!ngx_http_ws_bus_mutation_value(m, f)) {
            return 0;
        }
    }

    if (m->cap->called != NULL) {
        ngx_http_ws_bus_mutation_known(m);
        return 1;
    }

    if (m->cap->client->tenant != NULL
        && row->event.field[WSB_TENANT].data == NULL)
    {
        /* it must never reach those without a tenant */
        ngx_http_ws_bus_mutation_refused(m->request, m->cap,
                                         "the value of \"ws_bus_tenant\" is "
                                         "empty");
        return 0;
    }

    row->event.field[WSB_CAUSE] = ngx_http_ws_bus_capture_cause(m->request);

    row->method = ngx_http_ws_bus_mutation_method(m->cap->method);
    row->uri.path = ngx_http_ws_bus_mutation_str(&m->cap->uri);
    row->uri.raw = ngx_http_ws_bus_mutation_str(&m->cap->raw);
    row->uri.rewritten = m->cap->rewritten;
    row->prefix = ngx_http_ws_bus_mutation_str(&m->cap->clcf->name);
    row->location = ngx_http_ws_bus_mutation_str(&m->cap->location);

    return 1;
}


/* What a call knows without its location. */

static void
ngx_http_ws_bus_mutation_known(ngx_http_ws_bus_mutation_t *m)
{
    wsb_mutation_t                  *row;
    const ngx_http_ws_bus_called_t  *called;

    row = &m->row;
    called = m->cap->called;

    ngx_http_ws_bus_mutation_default(row, WSB_TENANT, &called->tenant);
    ngx_http_ws_bus_mutation_default(row, WSB_SCHEMA, &called->schema);
    ngx_http_ws_bus_mutation_default(row, WSB_ENTITY_TYPE, &called->entity);
    ngx_http_ws_bus_mutation_default(row, WSB_ENTITY_ID, &called->id);
    ngx_http_ws_bus_mutation_default(row, WSB_CAUSE, &called->cause);

    row->request_id = ngx_http_ws_bus_mutation_str(&called->request_id);
    row->method = ngx_http_ws_bus_mutation_method(m->cap->method);
    row->location = ngx_http_ws_bus_mutation_str(&m->cap->location);
}


static void
ngx_http_ws_bus_mutation_default(wsb_mutation_t *row, wsb_field_t field,
    const ngx_str_t *value)
{
    if (row->event.field[field].data == NULL && value->len != 0) {
        row->event.field[field] = ngx_http_ws_bus_mutation_str(value);
    }
}


/* An empty value counts as none; one that no event can have, as a failure. */

static ngx_uint_t
ngx_http_ws_bus_mutation_value(ngx_http_ws_bus_mutation_t *m,
    const ngx_http_ws_bus_field_t *f)
{
    char                       *base;
    u_char                      reason[128];
    ngx_str_t                   s;
    wsb_str_t                   value;
    ngx_http_complex_value_t  **cv;

    base = f->client ? (char *) m->cap->client : (char *) m->cap->conf;
    cv = (ngx_http_complex_value_t **) (base + f->offset);

    if (*cv == NULL) {
        return 1;
    }

    if (ngx_http_complex_value(m->request, *cv, &s) != NGX_OK) {
        ngx_http_ws_bus_mutation_refused(m->request, m->cap, "no memory");
        return 0;
    }

    if (s.len == 0) {
        return 1;
    }

    value = ngx_http_ws_bus_mutation_str(&s);

    if (f->field == WSB_ENTITY_ID
        && ngx_http_ws_bus_mutation_path(*cv, value, &m->row.id_path))
    {
        return 1;
    }

    if (f->field == WSB_NFIELDS
        && ngx_http_ws_bus_mutation_path(*cv, value, &m->row.version_path))
    {
        return 1;
    }

    if (!wsb_mutation_field(value)) {
        *ngx_snprintf(reason, sizeof(reason) - 1,
                      "the value of \"%s\" is longer than %d bytes, or not "
                      "UTF-8 without NUL", f->directive,
                      WSB_MUTATION_FIELD) = '\0';

        ngx_http_ws_bus_mutation_refused(m->request, m->cap, (char *) reason);
        return 0;
    }

    if (f->field == WSB_NFIELDS) {
        m->row.version = value;
        return 1;
    }

    m->row.event.field[f->field] = value;

    return 1;
}


/*
 * A path is what the directive says is one: a variable's value is an id, else
 * whoever makes up an URI could have any field of the response told.
 */

static ngx_uint_t
ngx_http_ws_bus_mutation_path(const ngx_http_complex_value_t *cv,
    wsb_str_t value, wsb_str_t *path)
{
    if (ngx_strncmp(cv->value.data, "path=", 5) != 0) {
        return 0;
    }

    if (value.len > 5) {
        path->data = value.data + 5;
        path->len = value.len - 5;
    }

    return 1;
}


static void
ngx_http_ws_bus_mutation_bodies(ngx_http_ws_bus_mutation_t *m)
{
    wsb_mutation_t  *row;

    row = &m->row;

    wsb_zone_batch(m->cap->bus->zone, &row->conf);

    row->alone = m->cap->conf->capture_old == NGX_HTTP_WS_BUS_OLD_OFF;

    row->response.data = m->cap->body.data;
    row->response.len = m->cap->body.len;
    row->lost_response = m->cap->lost;

    switch (m->cap->conf->capture_data) {

    case NGX_HTTP_WS_BUS_DATA_RESPONSE:
        row->data = WSB_MUTATION_RESPONSE;
        break;

    case NGX_HTTP_WS_BUS_DATA_REQUEST:
        row->data = WSB_MUTATION_REQUEST;
        row->lost_request = !ngx_http_ws_bus_mutation_request(m);
        break;

    case NGX_HTTP_WS_BUS_DATA_NONE:
        row->data = WSB_MUTATION_NO_DATA;
        break;

    default:
        row->data = WSB_MUTATION_DEFAULT;
    }
}


/* If there is one and it says that it is JSON. */

static ngx_uint_t
ngx_http_ws_bus_mutation_request(ngx_http_ws_bus_mutation_t *m)
{
    size_t            max;
    wsb_str_t         body;
    ngx_table_elt_t  *type;

    if (m->cap->called != NULL) {
        m->row.request = ngx_http_ws_bus_mutation_str(
                                              &m->cap->called->request);

        return m->row.request.len != 0;
    }

    max = m->cap->conf->capture_max_body;
    type = m->request->headers_in.content_type;

    if (m->request->request_body == NULL
        || (type != NULL
            && !wsb_mutation_is_json(
                                ngx_http_ws_bus_mutation_str(&type->value)))
        || ngx_http_ws_bus_http_read_body(m->request, max, &body) != NGX_OK)
    {
        return 0;
    }

    m->row.request = body;

    return 1;
}


static wsb_mutation_method_t
ngx_http_ws_bus_mutation_method(ngx_uint_t method)
{
    switch (method) {

    case NGX_HTTP_POST:
        return WSB_MUTATION_POST;

    case NGX_HTTP_PUT:
        return WSB_MUTATION_PUT;

    case NGX_HTTP_PATCH:
        return WSB_MUTATION_PATCH;

    case NGX_HTTP_DELETE:
        return WSB_MUTATION_DELETE;

    default:
        return WSB_MUTATION_NONE;
    }
}


static void
ngx_http_ws_bus_mutation_done(ngx_http_ws_bus_done_t *done, wsb_rc_t rc,
    const wsb_appended_t *appended)
{
    u_char                      *p;
    uint64_t                     n;
    ngx_log_t                   *log;
    ngx_http_ws_bus_zone_t      *bus;
    ngx_http_ws_bus_mutation_t  *m;

    m = (ngx_http_ws_bus_mutation_t *) done;
    bus = m->cap->bus;
    log = m->request->connection->log;

    if (rc != WSB_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "ws bus capture: the events of a response are more "
                      "than the zone \"%V\" can take", &bus->name);
        return;
    }

    n = appended->last - appended->first + 1;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, log, 0,
                   "ws bus capture location:\"%V\" events:%uL seq:%uL",
                   &m->cap->clcf->name, n, appended->first);

    ngx_shmtx_lock(&bus->shpool->mutex);
    wsb_zone_captured_locked(bus->zone,
                          ngx_http_ws_bus_mutation_str(&m->cap->clcf->name), n);
    ngx_shmtx_unlock(&bus->shpool->mutex);

    if (bus->worker != NULL) {
        ngx_http_ws_bus_source_counters(bus->worker)->captured += n;
    }

    p = ngx_pnalloc(m->request->pool, WSB_ID_LEN);

    if (p != NULL) {
        m->cap->id.data = p;
        m->cap->id.len = wsb_id(p, bus->zone->epoch, appended->first);
    }
}
