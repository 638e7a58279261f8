/*
 * From a captured response to its events.
 *
 * An odd body never loses the event: what cannot be used is left out, and the
 * metadata say "truncated".
 */

#include "ngx_http_ws_bus_capture.h"

#include "../../event/wsb_gunzip.h"
#include "../../json/wsb_json.h"


#define NGX_HTTP_WS_BUS_DEPTH      512


/* All that the events of one mutation have in common. */

typedef struct {
    ngx_http_request_t          *request;
    ngx_http_ws_bus_captured_t  *cap;
    wsb_event_t                  event;
    wsb_publish_conf_t           conf;
    wsb_batch_t                  batch;
    wsb_text_t                   request_body;
    wsb_str_t                    origin;
    ngx_str_t                    id_path;     /* in the response's body */
    unsigned                     truncated:1;
} ngx_http_ws_bus_mutation_t;


static void ngx_http_ws_bus_mutation(ngx_http_ws_bus_mutation_t *m);
static ngx_uint_t ngx_http_ws_bus_mutation_fields(
    ngx_http_ws_bus_mutation_t *m);
static ngx_uint_t ngx_http_ws_bus_value_of(ngx_http_ws_bus_mutation_t *m,
    ngx_http_complex_value_t *cv, size_t max, wsb_str_t *value);
static void ngx_http_ws_bus_mutation_entity(ngx_http_ws_bus_mutation_t *m);
static wsb_str_t ngx_http_ws_bus_mutation_action(
    ngx_http_ws_bus_mutation_t *m);
static ngx_uint_t ngx_http_ws_bus_mutation_body(
    ngx_http_ws_bus_mutation_t *m, wsb_json_t *body);
static ngx_uint_t ngx_http_ws_bus_mutation_request(
    ngx_http_ws_bus_mutation_t *m, wsb_json_t *body);
static void ngx_http_ws_bus_mutation_events(ngx_http_ws_bus_mutation_t *m,
    const wsb_json_t *response);
static wsb_rc_t ngx_http_ws_bus_mutation_rows(ngx_http_ws_bus_mutation_t *m,
    const wsb_json_t *response, ngx_uint_t kind);
static ngx_uint_t ngx_http_ws_bus_same_length(const wsb_json_t *a,
    const wsb_json_t *b);
static wsb_rc_t ngx_http_ws_bus_mutation_add(ngx_http_ws_bus_mutation_t *m,
    const wsb_json_t *row, const wsb_json_t *data);
static void ngx_http_ws_bus_mutation_metadata(ngx_http_ws_bus_mutation_t *m,
    wsb_text_t *t);
static wsb_str_t ngx_http_ws_bus_mutation_id(ngx_http_ws_bus_mutation_t *m,
    const wsb_json_t *row);
static ngx_uint_t ngx_http_ws_bus_id_in_row(ngx_http_ws_bus_mutation_t *m,
    const wsb_json_t *row, wsb_str_t *id);
static wsb_str_t ngx_http_ws_bus_last_segment(ngx_str_t *uri);
static void ngx_http_ws_bus_mutation_append(ngx_http_ws_bus_mutation_t *m);


void
ngx_http_ws_bus_capture_emit(ngx_http_request_t *r,
    ngx_http_ws_bus_captured_t *cap)
{
    uint8_t                     *plain;
    size_t                       len;
    wsb_str_t                    body;
    ngx_http_ws_bus_mutation_t   m;

    cap->done = 1;

    ngx_memzero(&m, sizeof(ngx_http_ws_bus_mutation_t));

    m.request = r;
    m.cap = cap;

    if (!cap->lost && cap->encoding.len != 0 && cap->body.len != 0) {

        body.data = cap->body.data;
        body.len = cap->body.len;

        if (wsb_gunzip(body, cap->conf->capture_max_body, &plain, &len)
            == WSB_OK)
        {
            wsb_text_done(&cap->body);

            cap->body.data = plain;
            cap->body.len = len;
            cap->body.size = len;

        } else {
            cap->lost = 1;
        }
    }

    ngx_http_ws_bus_mutation(&m);

    wsb_batch_done(&m.batch);
    wsb_text_done(&m.request_body);
    wsb_text_done(&cap->body);
}


static void
ngx_http_ws_bus_mutation(ngx_http_ws_bus_mutation_t *m)
{
    wsb_zone_t  *zone;
    wsb_json_t   response;

    zone = m->cap->conf->capture->zone;

    m->conf.key = zone->key;
    m->conf.max_record = wsb_log_max_record(&zone->log);
    m->conf.max_batch = wsb_log_max_batch(&zone->log);

    if (!ngx_http_ws_bus_mutation_fields(m)) {
        ngx_log_error(NGX_LOG_ERR, m->request->connection->log, 0,
                      "ws bus capture: no event, a value of its fields could "
                      "not be had");
        return;
    }

    if (ngx_http_ws_bus_mutation_body(m, &response)) {
        ngx_http_ws_bus_mutation_events(m, &response);
    } else {
        ngx_http_ws_bus_mutation_events(m, NULL);
    }

    if (m->batch.nentries != 0) {
        ngx_http_ws_bus_mutation_append(m);
    }
}


static ngx_uint_t
ngx_http_ws_bus_mutation_fields(ngx_http_ws_bus_mutation_t *m)
{
    static const wsb_str_t  entity = wsb_string("entity");

    wsb_str_t                    value;
    wsb_event_t                 *ev;
    ngx_http_ws_bus_source_loc_conf_t  *conf;
    ngx_http_ws_bus_client_loc_conf_t  *client;

    ev = &m->event;
    conf = m->cap->conf;
    client = m->cap->client;

    ev->field[WSB_KIND] = entity;

    if (!ngx_http_ws_bus_value_of(m, client->tenant, NGX_HTTP_WS_BUS_FIELD_MAX,
                                  &ev->field[WSB_TENANT])
        || !ngx_http_ws_bus_value_of(m, client->schema,
                                     NGX_HTTP_WS_BUS_FIELD_MAX,
                                     &ev->field[WSB_SCHEMA])
        || !ngx_http_ws_bus_value_of(m, client->section,
                                     NGX_HTTP_WS_BUS_FIELD_MAX,
                                     &ev->field[WSB_SECTION])
        || !ngx_http_ws_bus_value_of(m, conf->capture_action,
                                     NGX_HTTP_WS_BUS_FIELD_MAX,
                                     &ev->field[WSB_ACTION])
        || !ngx_http_ws_bus_value_of(m, conf->capture_entity,
                                     NGX_HTTP_WS_BUS_FIELD_MAX,
                                     &ev->field[WSB_ENTITY_TYPE])
        || !ngx_http_ws_bus_value_of(m, conf->capture_id, 4096, &value))
    {
        return 0;
    }

    if (client->tenant != NULL && ev->field[WSB_TENANT].data == NULL) {
        /* it must never reach those without a tenant */
        return 0;
    }

    if (ev->field[WSB_ACTION].data == NULL) {
        ev->field[WSB_ACTION] = ngx_http_ws_bus_mutation_action(m);
    }

    if (ev->field[WSB_ENTITY_TYPE].data == NULL) {
        ngx_http_ws_bus_mutation_entity(m);
    }

    ngx_str_set(&m->id_path, "id");

    /*
     * A path is what the directive says is one: a variable's value is an id,
     * else whoever makes up an URI could have any field of the response told.
     */

    if (conf->capture_id != NULL
        && ngx_strncmp(conf->capture_id->value.data, "path=", 5) == 0)
    {
        if (value.len > 5) {
            m->id_path.data = (u_char *) value.data + 5;
            m->id_path.len = value.len - 5;
        }

    } else if (value.len != 0 && value.len <= NGX_HTTP_WS_BUS_FIELD_MAX) {
        ev->field[WSB_ENTITY_ID] = value;
    }

    m->origin = ngx_http_ws_bus_capture_origin(m->request);
    ev->field[WSB_ORIGIN] = m->origin;

    return 1;
}


/* An empty value counts as none; one that is too long, as a failure. */

static ngx_uint_t
ngx_http_ws_bus_value_of(ngx_http_ws_bus_mutation_t *m,
    ngx_http_complex_value_t *cv, size_t max, wsb_str_t *value)
{
    ngx_str_t  s;

    value->data = NULL;
    value->len = 0;

    if (cv == NULL) {
        return 1;
    }

    if (ngx_http_complex_value(m->request, cv, &s) != NGX_OK || s.len > max
        || ngx_strlchr(s.data, s.data + s.len, '\0') != NULL)
    {
        return 0;
    }

    if (s.len != 0) {
        value->data = s.data;
        value->len = s.len;
    }

    return 1;
}


/*
 * Of a location whose prefix ends in a slash: the first segment behind it;
 * else the prefix's own last one.  A regular expression has no prefix.
 */

static void
ngx_http_ws_bus_mutation_entity(ngx_http_ws_bus_mutation_t *m)
{
    u_char     *p, *last;
    ngx_str_t  *uri, *name, rest;

    uri = &m->cap->uri;
    name = &m->cap->clcf->name;

    rest = *uri;

    if (uri->len > name->len && name->len != 0
        && ngx_strncmp(uri->data, name->data, name->len) == 0
        && name->data[name->len - 1] == '/')
    {
        rest.data += name->len;
        rest.len -= name->len;

    } else if (name->len > 1 && uri->len >= name->len
               && ngx_strncmp(uri->data, name->data, name->len) == 0)
    {
        m->event.field[WSB_ENTITY_TYPE] = ngx_http_ws_bus_last_segment(name);
        return;
    }

    p = rest.data;
    last = rest.data + rest.len;

    while (p < last && *p == '/') {
        p++;
    }

    m->event.field[WSB_ENTITY_TYPE].data = p;

    while (p < last && *p != '/') {
        p++;
    }

    m->event.field[WSB_ENTITY_TYPE].len =
                                p - m->event.field[WSB_ENTITY_TYPE].data;
}


static wsb_str_t
ngx_http_ws_bus_mutation_action(ngx_http_ws_bus_mutation_t *m)
{
    static const wsb_str_t  created = wsb_string("created");
    static const wsb_str_t  updated = wsb_string("updated");
    static const wsb_str_t  deleted = wsb_string("deleted");

    switch (m->cap->method) {

    case NGX_HTTP_POST:
        return created;

    case NGX_HTTP_DELETE:
        return deleted;

    default:
        return updated;
    }
}


/* The response as JSON, if it is that. */

static ngx_uint_t
ngx_http_ws_bus_mutation_body(ngx_http_ws_bus_mutation_t *m,
    wsb_json_t *body)
{
    wsb_str_t          text;
    wsb_json_error_t   err;
    wsb_json_limits_t  limits;

    if (m->cap->lost) {
        m->truncated = 1;
        return 0;
    }

    if (m->cap->body.len == 0) {
        return 0;
    }

    text.data = m->cap->body.data;
    text.len = m->cap->body.len;

    limits.depth = NGX_HTTP_WS_BUS_DEPTH;
    limits.strict = 0;

    if (wsb_json_parse(text, &limits, body, &err) == WSB_OK) {
        return 1;
    }

    m->truncated = 1;

    return 0;
}


static ngx_uint_t
ngx_http_ws_bus_mutation_request(ngx_http_ws_bus_mutation_t *m,
    wsb_json_t *body)
{
    off_t              size;
    u_char            *p;
    ssize_t            n;
    wsb_str_t          text;
    ngx_chain_t       *cl;
    wsb_json_error_t   err;
    wsb_json_limits_t  limits;

    if (m->request->request_body == NULL) {
        m->truncated = 1;
        return 0;
    }

    m->request_body.len = 0;

    for (cl = m->request->request_body->bufs; cl; cl = cl->next) {
        size = ngx_buf_size(cl->buf);

        if (size > (off_t) (m->cap->conf->capture_max_body
                            - m->request_body.len))
        {
            m->truncated = 1;
            return 0;
        }

        if (!cl->buf->in_file) {
            wsb_text_add(&m->request_body, cl->buf->pos, (size_t) size);
            continue;
        }

        p = wsb_text_reserve(&m->request_body, (size_t) size);
        n = NGX_ERROR;

        if (p != NULL && cl->buf->file->fd != NGX_INVALID_FILE) {
            n = ngx_read_file(cl->buf->file, p, (size_t) size,
                              cl->buf->file_pos);
        }

        if (n != (ssize_t) size) {
            m->truncated = 1;
            return 0;
        }

        m->request_body.len += (size_t) size;
    }

    text.data = m->request_body.data;
    text.len = m->request_body.len;

    limits.depth = NGX_HTTP_WS_BUS_DEPTH;
    limits.strict = 0;

    if (m->request_body.failed
        || wsb_json_parse(text, &limits, body, &err) != WSB_OK)
    {
        m->truncated = 1;
        return 0;
    }

    return 1;
}


/*
 * With the data; or, if that is more than the zone takes, without it; or, of
 * a list that is too long even so, one event for all.
 */

static void
ngx_http_ws_bus_mutation_events(ngx_http_ws_bus_mutation_t *m,
    const wsb_json_t *response)
{
    ngx_uint_t  kind;

    kind = m->cap->conf->capture_data;

    if (kind == NGX_HTTP_WS_BUS_DATA_DEFAULT) {
        kind = m->cap->method == NGX_HTTP_DELETE
                   ? NGX_HTTP_WS_BUS_DATA_NONE
                   : NGX_HTTP_WS_BUS_DATA_RESPONSE;
    }

    if (kind != NGX_HTTP_WS_BUS_DATA_RESPONSE) {
        /* only what is to be sent can be truncated */
        m->truncated = 0;
    }

    if (ngx_http_ws_bus_mutation_rows(m, response, kind) == WSB_OK) {
        return;
    }

    wsb_batch_done(&m->batch);
    m->truncated = 1;

    if (ngx_http_ws_bus_mutation_rows(m, response, NGX_HTTP_WS_BUS_DATA_NONE)
        == WSB_OK)
    {
        return;
    }

    wsb_batch_done(&m->batch);

    if (ngx_http_ws_bus_mutation_add(m, NULL, NULL) != WSB_OK) {
        ngx_log_error(NGX_LOG_ERR, m->request->connection->log, 0,
                      "ws bus capture: an event could not be made");
        wsb_batch_done(&m->batch);
    }
}


/* A list of rows in answer to a POST or PATCH is an event for each. */

static wsb_rc_t
ngx_http_ws_bus_mutation_rows(ngx_http_ws_bus_mutation_t *m,
    const wsb_json_t *response, ngx_uint_t kind)
{
    wsb_rc_t           rc;
    ngx_uint_t         known;
    wsb_json_t         sent, row, part;
    wsb_json_walk_t    rows, parts;
    const wsb_json_t  *data;

    known = kind == NGX_HTTP_WS_BUS_DATA_REQUEST
            && ngx_http_ws_bus_mutation_request(m, &sent);

    if (response == NULL || response->type != WSB_JSON_ARRAY
        || !(m->cap->method & (NGX_HTTP_POST|NGX_HTTP_PATCH))
        || m->event.field[WSB_ENTITY_ID].data != NULL)
    {
        data = kind == NGX_HTTP_WS_BUS_DATA_RESPONSE ? response
                                                     : known ? &sent : NULL;

        return ngx_http_ws_bus_mutation_add(m, response, data);
    }

    if (kind == NGX_HTTP_WS_BUS_DATA_REQUEST
        && !(known && ngx_http_ws_bus_same_length(response, &sent)))
    {
        /* which part of what was sent made which row cannot be told */
        known = 0;
        m->truncated = 1;
    }

    wsb_json_enter(&rows, response);

    if (known) {
        wsb_json_enter(&parts, &sent);
    }

    while (wsb_json_element(&rows, &row) == WSB_OK) {

        data = kind == NGX_HTTP_WS_BUS_DATA_RESPONSE ? &row : NULL;

        if (known && wsb_json_element(&parts, &part) == WSB_OK) {
            data = &part;
        }

        rc = ngx_http_ws_bus_mutation_add(m, &row, data);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    return WSB_OK;
}


static ngx_uint_t
ngx_http_ws_bus_same_length(const wsb_json_t *a, const wsb_json_t *b)
{
    wsb_rc_t         rc;
    wsb_json_t       value;
    wsb_json_walk_t  wa, wb;

    if (b->type != WSB_JSON_ARRAY) {
        return 0;
    }

    wsb_json_enter(&wa, a);
    wsb_json_enter(&wb, b);

    do {
        rc = wsb_json_element(&wa, &value);

        if (wsb_json_element(&wb, &value) != rc) {
            return 0;
        }

    } while (rc == WSB_OK);

    return 1;
}


static wsb_rc_t
ngx_http_ws_bus_mutation_add(ngx_http_ws_bus_mutation_t *m,
    const wsb_json_t *row, const wsb_json_t *data)
{
    wsb_rc_t     rc;
    wsb_text_t   t;
    wsb_event_t  ev;

    ev = m->event;
    ngx_memzero(&t, sizeof(wsb_text_t));

    if (ev.field[WSB_ENTITY_ID].data == NULL) {
        ev.field[WSB_ENTITY_ID] = ngx_http_ws_bus_mutation_id(m, row);
    }

    if (data != NULL) {
        ev.field[WSB_DATA] = data->text;
    }

    ngx_http_ws_bus_mutation_metadata(m, &t);

    if (!t.failed) {
        ev.field[WSB_METADATA].data = t.data;
        ev.field[WSB_METADATA].len = t.len;
    }

    rc = wsb_batch_add(&m->batch, &ev, &m->conf);

    wsb_text_done(&t);

    return rc;
}


static void
ngx_http_ws_bus_mutation_metadata(ngx_http_ws_bus_mutation_t *m,
    wsb_text_t *t)
{
    if (m->origin.len != 0) {
        wsb_text_lit(t, "{\"origin\":");
        wsb_text_json(t, m->origin);

    } else {
        wsb_text_lit(t, "{");
    }

    if (m->truncated) {
        wsb_text_lit(t, m->origin.len ? ",\"truncated\":true"
                                      : "\"truncated\":true");
    }

    wsb_text_lit(t, "}");
}


/* From the row, else from the Location header, else from the URI. */

static wsb_str_t
ngx_http_ws_bus_mutation_id(ngx_http_ws_bus_mutation_t *m,
    const wsb_json_t *row)
{
    wsb_str_t  id;

    if (row != NULL && ngx_http_ws_bus_id_in_row(m, row, &id)) {
        return id;
    }

    id = ngx_http_ws_bus_last_segment(&m->cap->location);

    if (id.len == 0 || id.len > NGX_HTTP_WS_BUS_FIELD_MAX) {
        id = ngx_http_ws_bus_last_segment(&m->cap->uri);
    }

    if (id.len == 0 || id.len > NGX_HTTP_WS_BUS_FIELD_MAX) {
        id.data = NULL;
        id.len = 0;
    }

    return id;
}


static ngx_uint_t
ngx_http_ws_bus_id_in_row(ngx_http_ws_bus_mutation_t *m,
    const wsb_json_t *row, wsb_str_t *id)
{
    size_t      len;
    u_char     *p, *last, *dot, *dst;
    char        name[NGX_HTTP_WS_BUS_FIELD_MAX + 1];
    wsb_json_t  value, next;

    value = *row;
    p = m->id_path.data;
    last = p + m->id_path.len;

    while (p < last) {
        dot = ngx_strlchr(p, last, '.');
        if (dot == NULL) {
            dot = last;
        }

        len = dot - p;

        if (value.type != WSB_JSON_OBJECT || len > sizeof(name) - 1) {
            return 0;
        }

        ngx_memcpy(name, p, len);
        name[len] = '\0';

        if (wsb_json_get(&value, name, &next) != WSB_OK) {
            return 0;
        }

        value = next;
        p = dot + 1;
    }

    if (value.type == WSB_JSON_NUMBER && wsb_json_is_integer(&value)) {
        *id = value.text;
        return id->len <= NGX_HTTP_WS_BUS_FIELD_MAX;
    }

    if (value.type != WSB_JSON_STRING) {
        return 0;
    }

    dst = ngx_pnalloc(m->request->pool, value.text.len);

    if (dst == NULL || wsb_json_decode(&value, dst, &len) != WSB_OK) {
        return 0;
    }

    id->data = dst;
    id->len = len;

    return len != 0 && len <= NGX_HTTP_WS_BUS_FIELD_MAX;
}


/* "/a/b/" and "/a/b?x" give "b". */

static wsb_str_t
ngx_http_ws_bus_last_segment(ngx_str_t *uri)
{
    u_char     *p, *last;
    wsb_str_t   s;

    last = uri->data + uri->len;

    for (p = uri->data; p < last; p++) {
        if (*p == '?' || *p == '#') {
            last = p;
            break;
        }
    }

    while (last > uri->data && last[-1] == '/') {
        last--;
    }

    p = last;

    while (p > uri->data && p[-1] != '/') {
        p--;
    }

    s.data = p;
    s.len = last - p;

    return s;
}


static void
ngx_http_ws_bus_mutation_append(ngx_http_ws_bus_mutation_t *m)
{
    u_char                  *p;
    wsb_rc_t                 rc;
    wsb_str_t                location;
    wsb_appended_t           appended;
    ngx_http_ws_bus_zone_t  *bus;

    bus = m->cap->conf->capture;

    rc = ngx_http_ws_bus_publish_batch(bus, &m->batch, NULL, &appended);

    if (rc != WSB_OK) {
        ngx_log_error(NGX_LOG_ERR, m->request->connection->log, 0,
                      "ws bus capture: the events of a response are more "
                      "than the zone \"%V\" can take", &bus->name);
        return;
    }

    location.data = m->cap->clcf->name.data;
    location.len = m->cap->clcf->name.len;

    ngx_shmtx_lock(&bus->shpool->mutex);
    wsb_zone_captured_locked(bus->zone, location, m->batch.nentries);
    ngx_shmtx_unlock(&bus->shpool->mutex);

    if (bus->worker != NULL && bus->worker->slot != -1) {
        ngx_http_ws_bus_counters(bus->worker)->captured +=
                                                        m->batch.nentries;
    }

    p = ngx_pnalloc(m->request->pool, WSB_ID_LEN);

    if (p != NULL) {
        m->cap->id.data = p;
        m->cap->id.len = wsb_id(p, bus->zone->epoch, appended.first);
    }
}
