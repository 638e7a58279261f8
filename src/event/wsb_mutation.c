/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_mutation.h"
#include "../json/wsb_json.h"
#include "../json/wsb_repeats.h"
#include "../json/wsb_text.h"

#include <strings.h>


/* "\u0041" is the longest way to write a byte */
#define WSB_MUTATION_ID_TEXT  (6 * WSB_MUTATION_FIELD + 2)


static const char  wsb_mutation_bad_id[] =
    "the id is longer than 256 bytes, or not UTF-8 without NUL";

static wsb_rc_t wsb_mutation_defaults(wsb_mutation_t *m);
static wsb_rc_t wsb_mutation_response(wsb_mutation_t *m, wsb_json_t *body);
static wsb_rc_t wsb_mutation_request(wsb_mutation_t *m, wsb_json_t *body);
static wsb_rc_t wsb_mutation_parse(wsb_str_t text, wsb_json_t *body);
static wsb_rc_t wsb_mutation_rows(wsb_mutation_t *m,
    const wsb_json_t *response, wsb_mutation_data_t kind);
static int wsb_mutation_same_length(const wsb_json_t *a,
    const wsb_json_t *b);
static wsb_rc_t wsb_mutation_add(wsb_mutation_t *m, const wsb_json_t *row,
    const wsb_json_t *data, int patch);
static void wsb_mutation_metadata(const wsb_mutation_t *m,
    const wsb_json_t *row, wsb_text_t *t);
static void wsb_mutation_version(const wsb_mutation_t *m,
    const wsb_json_t *row, wsb_text_t *t);
static wsb_rc_t wsb_mutation_place(const wsb_json_t *row, wsb_str_t path,
    wsb_json_t *value);
static wsb_rc_t wsb_mutation_id(const wsb_mutation_t *m,
    const wsb_json_t *row, uint8_t *buf, wsb_str_t *id);
static wsb_rc_t wsb_mutation_id_in_row(const wsb_mutation_t *m,
    const wsb_json_t *row, uint8_t *buf, wsb_str_t *id);
static wsb_rc_t wsb_mutation_member(const wsb_json_t *object,
    wsb_str_t name, wsb_json_t *value);
static int wsb_mutation_word(wsb_str_t s, const char *word);


/*
 * With the data; or, if that is more than the zone takes, without it; or, of
 * a list that is too long even so, one event for all.
 */

wsb_rc_t
wsb_mutation_events(wsb_mutation_t *m)
{
    wsb_rc_t              rc;
    wsb_json_t            body, *response;
    wsb_mutation_data_t   kind;

    if (wsb_mutation_defaults(m) != WSB_OK) {
        return WSB_ERROR;
    }

    response = wsb_mutation_response(m, &body) == WSB_OK ? &body : NULL;

    kind = m->data;

    if (kind == WSB_MUTATION_DEFAULT) {
        kind = m->method == WSB_MUTATION_DELETE ? WSB_MUTATION_NO_DATA
                                                : WSB_MUTATION_RESPONSE;
    }

    if (kind != WSB_MUTATION_RESPONSE) {
        /* only what is to be sent can be truncated */
        m->truncated = 0;
    }

    if (wsb_mutation_rows(m, response, kind) == WSB_OK) {
        return WSB_OK;
    }

    m->truncated = 1;

    if (wsb_mutation_rows(m, response, WSB_MUTATION_NO_DATA) == WSB_OK) {
        return WSB_OK;
    }

    rc = wsb_mutation_rows(m, NULL, WSB_MUTATION_NO_DATA);

    if (rc != WSB_OK) {
        wsb_batch_done(&m->batch);
        m->reason = "it could not be made";
    }

    return rc == WSB_OK ? WSB_OK : WSB_ERROR;
}


int
wsb_mutation_field(wsb_str_t value)
{
    return value.len != 0 && value.len <= WSB_MUTATION_FIELD
           && wsb_text_valid(value);
}


int
wsb_mutation_is_json(wsb_str_t type)
{
    size_t     i;
    wsb_str_t  s;

    if (type.len == 0) {
        return 1;
    }

    s = type;

    for (s.len = 0; s.len < type.len; s.len++) {
        if (s.data[s.len] == ';' || s.data[s.len] == ' ') {
            break;
        }
    }

    /* bytes of another charset would be other letters */

    for (i = s.len; i + 8 <= type.len; i++) {

        if (strncasecmp((const char *) type.data + i, "charset=", 8) == 0) {
            type.data += i + 8;
            type.len -= i + 8;

            if (type.len >= 2 && type.data[0] == '"') {
                type.data++;
                type.len -= 2;
            }

            if (!wsb_mutation_word(type, "utf-8")
                && !wsb_mutation_word(type, "us-ascii"))
            {
                return 0;
            }

            break;
        }
    }

    if (wsb_mutation_word(s, "application/json")
        || wsb_mutation_word(s, "text/json"))
    {
        return 1;
    }

    if (s.len < 5) {
        return 0;
    }

    s.data += s.len - 5;
    s.len = 5;

    return wsb_mutation_word(s, "+json");
}


static int
wsb_mutation_word(wsb_str_t s, const char *word)
{
    return s.len == strlen(word)
           && strncasecmp((const char *) s.data, word, s.len) == 0;
}


static wsb_rc_t
wsb_mutation_defaults(wsb_mutation_t *m)
{
    wsb_str_t  *field;

    static const wsb_str_t  entity = wsb_string("entity");
    static const wsb_str_t  actions[] = {
        wsb_string("updated"),
        wsb_string("created"),
        wsb_string("updated"),
        wsb_string("updated"),
        wsb_string("deleted")
    };

    field = m->event.field;

    field[WSB_KIND] = entity;

    if (field[WSB_ACTION].data == NULL) {
        field[WSB_ACTION] = actions[m->method];
    }

    if (wsb_mutation_type(m) != WSB_OK) {
        m->reason = "the URI names no entity type, or one that is longer "
                    "than 256 bytes or not UTF-8";
        return WSB_ERROR;
    }

    if (field[WSB_ENTITY_ID].data != NULL
        && !wsb_mutation_field(field[WSB_ENTITY_ID]))
    {
        m->reason = wsb_mutation_bad_id;
        return WSB_ERROR;
    }

    return WSB_OK;
}


wsb_rc_t
wsb_mutation_type(wsb_mutation_t *m)
{
    wsb_str_t  *type;

    type = &m->event.field[WSB_ENTITY_TYPE];

    return type->data != NULL
               ? WSB_OK
               : wsb_uri_collection(&m->uri, m->prefix, m->entity, type);
}


/* The response as JSON, if it is that. */

static wsb_rc_t
wsb_mutation_response(wsb_mutation_t *m, wsb_json_t *body)
{
    wsb_str_t  text;

    static const uint8_t  bom[] = { 0xef, 0xbb, 0xbf };

    text = m->response;

    if (!m->lost_response) {

        if (text.len == 0) {
            return WSB_NOTFOUND;
        }

        /* whoever reads a response skips it, too: RFC 8259, 8.1 */

        if (text.len >= sizeof(bom)
            && memcmp(text.data, bom, sizeof(bom)) == 0)
        {
            text.data += sizeof(bom);
            text.len -= sizeof(bom);
        }

        if (wsb_mutation_parse(text, body) == WSB_OK) {
            return WSB_OK;
        }
    }

    m->truncated = 1;

    return WSB_ERROR;
}


/*
 * What the client has sent is told only if the backend cannot have understood
 * something else.
 */

static wsb_rc_t
wsb_mutation_request(wsb_mutation_t *m, wsb_json_t *body)
{
    if (!m->lost_request
        && wsb_mutation_parse(m->request, body) == WSB_OK
        && !wsb_repeats(body))
    {
        return WSB_OK;
    }

    m->truncated = 1;

    return WSB_ERROR;
}


static wsb_rc_t
wsb_mutation_parse(wsb_str_t text, wsb_json_t *body)
{
    wsb_json_error_t   err;
    wsb_json_limits_t  limits;

    limits.depth = WSB_JSON_DEPTH;
    limits.strict = 0;

    return wsb_json_parse(text, &limits, body, &err);
}


/* A list of rows in answer to a POST or PATCH is an event for each. */

static wsb_rc_t
wsb_mutation_rows(wsb_mutation_t *m, const wsb_json_t *response,
    wsb_mutation_data_t kind)
{
    int                known, patch;
    wsb_rc_t           rc;
    wsb_json_t         sent, row, part;
    wsb_json_walk_t    rows, parts;
    const wsb_json_t  *data;

    wsb_batch_done(&m->batch);
    m->nrefused = 0;

    known = kind == WSB_MUTATION_REQUEST
            && wsb_mutation_request(m, &sent) == WSB_OK;

    /* what is sent to be changed is no row by itself */

    patch = kind == WSB_MUTATION_REQUEST && m->method == WSB_MUTATION_PATCH;

    if (response == NULL || response->type != WSB_JSON_ARRAY
        || (m->method != WSB_MUTATION_POST && m->method != WSB_MUTATION_PATCH)
        || m->event.field[WSB_ENTITY_ID].data != NULL)
    {
        data = kind == WSB_MUTATION_RESPONSE ? response
                                             : known ? &sent : NULL;

        return wsb_mutation_add(m, response, data, patch);
    }

    if (kind == WSB_MUTATION_REQUEST
        && !(known && wsb_mutation_same_length(response, &sent)))
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

        data = kind == WSB_MUTATION_RESPONSE ? &row : NULL;

        if (known && wsb_json_element(&parts, &part) == WSB_OK) {
            data = &part;
        }

        rc = wsb_mutation_add(m, &row, data, patch);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    return WSB_OK;
}


static int
wsb_mutation_same_length(const wsb_json_t *a, const wsb_json_t *b)
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


/* A row whose id cannot be told is refused: it never gets another's. */

static wsb_rc_t
wsb_mutation_add(wsb_mutation_t *m, const wsb_json_t *row,
    const wsb_json_t *data, int patch)
{
    uint8_t      id[WSB_MUTATION_ID_TEXT];
    wsb_rc_t     rc;
    wsb_text_t   t;
    wsb_event_t  ev;

    ev = m->event;
    memset(&t, 0, sizeof(wsb_text_t));

    if (ev.field[WSB_ENTITY_ID].data == NULL) {
        rc = wsb_mutation_id(m, row, id, &ev.field[WSB_ENTITY_ID]);

        if (rc != WSB_OK) {
            m->nrefused++;
            m->reason = rc == WSB_NOTFOUND ? "there is no id"
                                           : wsb_mutation_bad_id;
            return WSB_OK;
        }
    }

    ev.flags = m->alone ? WSB_EVENT_ALONE : 0;

    if (data != NULL) {
        ev.field[WSB_DATA] = data->text;

        if (patch) {
            ev.flags |= WSB_EVENT_PART;

            if (data->type == WSB_JSON_OBJECT) {
                ev.flags |= WSB_EVENT_PATCH;
            }
        }
    }

    wsb_mutation_metadata(m, row, &t);

    if (!t.failed) {
        ev.field[WSB_METADATA].data = t.data;
        ev.field[WSB_METADATA].len = t.len;
    }

    rc = wsb_batch_add(&m->batch, &ev, &m->conf);

    wsb_text_done(&t);

    return rc;
}


static void
wsb_mutation_metadata(const wsb_mutation_t *m, const wsb_json_t *row,
    wsb_text_t *t)
{
    wsb_str_t  cause;

    cause = m->event.field[WSB_CAUSE];

    wsb_text_lit(t, "{");

    if (cause.len != 0) {
        wsb_text_lit(t, "\"origin\":");
        wsb_text_json(t, cause);
    }

    if (m->request_id.len != 0) {
        wsb_text_lit(t, t->len > 1 ? ",\"request_id\":" : "\"request_id\":");
        wsb_text_json(t, m->request_id);
    }

    wsb_mutation_version(m, row, t);

    if (m->truncated) {
        wsb_text_lit(t, t->len > 1 ? ",\"truncated\":true"
                                   : "\"truncated\":true");
    }

    wsb_text_lit(t, "}");
}


/*
 * From the row, else from the Location header, else from the URI: the first
 * that has one.
 */

static wsb_rc_t
wsb_mutation_id(const wsb_mutation_t *m, const wsb_json_t *row, uint8_t *buf,
    wsb_str_t *id)
{
    wsb_rc_t  rc;

    if (row != NULL) {
        rc = wsb_mutation_id_in_row(m, row, buf, id);

        if (rc != WSB_NOTFOUND) {
            return rc;
        }
    }

    rc = wsb_uri_reference(m->location, buf, id);

    return rc != WSB_NOTFOUND ? rc : wsb_uri_last(&m->uri, buf, id);
}


/* NOTFOUND: also what cannot be an id, such as null or a fraction. */

static wsb_rc_t
wsb_mutation_id_in_row(const wsb_mutation_t *m, const wsb_json_t *row,
    uint8_t *buf, wsb_str_t *id)
{
    size_t      len;
    wsb_json_t  value;

    if (wsb_mutation_place(row, m->id_path, &value) != WSB_OK) {
        return WSB_NOTFOUND;
    }

    if (value.type == WSB_JSON_NUMBER && wsb_json_is_integer(&value)) {
        *id = value.text;
        return id->len <= WSB_MUTATION_FIELD ? WSB_OK : WSB_ERROR;
    }

    if (value.type != WSB_JSON_STRING || value.text.len == 2) {
        return WSB_NOTFOUND;
    }

    if (value.text.len > WSB_MUTATION_ID_TEXT
        || wsb_json_decode(&value, buf, &len) != WSB_OK)
    {
        return WSB_ERROR;
    }

    id->data = buf;
    id->len = len;

    return wsb_mutation_field(*id) ? WSB_OK : WSB_ERROR;
}


/* A number of the row stays one, a string is one, and so is a value. */

static void
wsb_mutation_version(const wsb_mutation_t *m, const wsb_json_t *row,
    wsb_text_t *t)
{
    wsb_json_t  value;

    value.text.len = 0;

    if (m->version_path.len != 0) {

        if (row == NULL
            || wsb_mutation_place(row, m->version_path, &value) != WSB_OK
            || (value.type != WSB_JSON_NUMBER && value.type != WSB_JSON_STRING)
            || value.text.len > WSB_MUTATION_FIELD)
        {
            return;
        }

    } else if (m->version.len == 0) {
        return;
    }

    wsb_text_lit(t, t->len > 1 ? ",\"version\":" : "\"version\":");

    if (value.text.len != 0) {
        wsb_text_str(t, value.text);

    } else {
        wsb_text_json(t, m->version);
    }
}


/* Names joined by dots. */

static wsb_rc_t
wsb_mutation_place(const wsb_json_t *row, wsb_str_t path, wsb_json_t *value)
{
    wsb_str_t       name;
    wsb_json_t      next;
    const uint8_t  *p, *last;

    *value = *row;
    p = path.data;
    last = p + path.len;

    while (p < last) {
        name.data = p;
        p = memchr(p, '.', last - p);
        p = p ? p : last;
        name.len = p - name.data;
        p++;

        if (value->type != WSB_JSON_OBJECT
            || wsb_mutation_member(value, name, &next) != WSB_OK)
        {
            return WSB_NOTFOUND;
        }

        *value = next;
    }

    return WSB_OK;
}


/* Of a repeated key the last one counts, as in JSON.parse(). */

static wsb_rc_t
wsb_mutation_member(const wsb_json_t *object, wsb_str_t name,
    wsb_json_t *value)
{
    wsb_rc_t         rc;
    wsb_json_t       key, v;
    wsb_json_walk_t  walk;
    char             text[WSB_MUTATION_FIELD + 1];

    if (name.len > WSB_MUTATION_FIELD) {
        return WSB_NOTFOUND;
    }

    memcpy(text, name.data, name.len);
    text[name.len] = '\0';

    rc = WSB_NOTFOUND;

    wsb_json_enter(&walk, object);

    while (wsb_json_member(&walk, &key, &v) == WSB_OK) {
        if (wsb_json_key_is(&key, text)) {
            *value = v;
            rc = WSB_OK;
        }
    }

    return rc;
}
