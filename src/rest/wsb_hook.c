/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_hook.h"


static void wsb_hook_string(wsb_text_t *t, const char *name, wsb_str_t value);
static void wsb_hook_json(wsb_text_t *t, const char *name, wsb_str_t value);
static void wsb_hook_name(wsb_text_t *t, const char *name);
static void wsb_hook_member(const wsb_json_t *body, const char *name,
    wsb_json_t *value);
static wsb_rc_t wsb_hook_filter(const wsb_json_t *filter,
    wsb_forced_t *forced, uint8_t **pos, const char **why);
static wsb_rc_t wsb_hook_scalar(const wsb_json_t *value, uint8_t **pos);
static wsb_rc_t wsb_hook_list(const wsb_json_t *value, uint8_t **pos);
static int wsb_hook_named(const wsb_json_t *key);
static int wsb_hook_has(const wsb_json_t *object, const wsb_json_t *key);


void
wsb_hook_text(wsb_text_t *t, const wsb_hook_t *hook)
{
    wsb_str_t  phase;

    phase.data = (const uint8_t *) hook->phase;
    phase.len = strlen(hook->phase);

    wsb_text_lit(t, "{\"phase\":");
    wsb_text_json(t, phase);

    wsb_hook_string(t, "id", hook->id);
    wsb_hook_string(t, "connection_id", hook->connection_id);
    wsb_hook_string(t, "user", hook->user);
    wsb_hook_json(t, "metadata", hook->metadata);
    wsb_hook_string(t, "uri", hook->uri);
    wsb_hook_string(t, "tenant", hook->tenant);
    wsb_hook_json(t, "claims", hook->claims);
    wsb_hook_string(t, "operation", hook->operation);
    wsb_hook_string(t, "schema", hook->schema);
    wsb_hook_string(t, "entity", hook->entity);
    wsb_hook_string(t, "record_id", hook->record_id);
    wsb_hook_string(t, "subscription_id", hook->subscription_id);
    wsb_hook_json(t, "data", hook->data);
    wsb_hook_json(t, "options", hook->options);
    wsb_hook_json(t, "result", hook->result);

    if (hook->status != 0) {
        wsb_hook_name(t, "status");
        wsb_text_uint(t, hook->status);
    }

    wsb_text_lit(t, "}");
}


static void
wsb_hook_string(wsb_text_t *t, const char *name, wsb_str_t value)
{
    if (value.data != NULL) {
        wsb_hook_name(t, name);
        wsb_text_json(t, value);
    }
}


/* Its bytes as they are. */

static void
wsb_hook_json(wsb_text_t *t, const char *name, wsb_str_t value)
{
    if (value.data != NULL) {
        wsb_hook_name(t, name);
        wsb_text_str(t, value);
    }
}


static void
wsb_hook_name(wsb_text_t *t, const char *name)
{
    wsb_text_lit(t, ",\"");
    wsb_text_lit(t, name);
    wsb_text_lit(t, "\":");
}


void
wsb_hook_claims(wsb_text_t *t, const wsb_json_t *claims,
    const wsb_str_t *names, unsigned n)
{
    int              first;
    size_t           len;
    uint8_t         *name;
    unsigned         i;
    wsb_json_t       key, value;
    wsb_json_walk_t  walk;

    name = wsb_malloc(claims->text.len);
    if (name == NULL) {
        t->failed = 1;
        return;
    }

    first = 1;

    wsb_text_lit(t, "{");

    wsb_json_enter(&walk, claims);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        if (wsb_json_decode(&key, name, &len) != WSB_OK) {
            continue;
        }

        for (i = 0; i < n; i++) {
            if (names[i].len == len && memcmp(names[i].data, name, len) == 0) {

                if (!first) {
                    wsb_text_lit(t, ",");
                }

                wsb_text_str(t, key.text);
                wsb_text_lit(t, ":");
                wsb_text_str(t, value.text);

                first = 0;
                break;
            }
        }
    }

    wsb_text_lit(t, "}");

    wsb_free(name);
}


wsb_rc_t
wsb_hook_answer(const wsb_json_t *body, wsb_hook_answer_t *answer,
    const char **why)
{
    memset(answer, 0, sizeof(wsb_hook_answer_t));

    if (body->type != WSB_JSON_OBJECT) {
        *why = "its answer is no JSON object";
        return WSB_ERROR;
    }

    wsb_hook_member(body, "data", &answer->data);
    wsb_hook_member(body, "filters", &answer->filters);
    wsb_hook_member(body, "metadata", &answer->metadata);
    wsb_hook_member(body, "result", &answer->result);

    if (answer->filters.text.data != NULL
        && answer->filters.type != WSB_JSON_ARRAY)
    {
        *why = "its filters are no array";
        return WSB_ERROR;
    }

    if (answer->metadata.text.data != NULL
        && answer->metadata.type != WSB_JSON_OBJECT)
    {
        *why = "its metadata are no object";
        return WSB_ERROR;
    }

    return WSB_OK;
}


/* One that is not there has no text: the look-up leaves what it saw last. */

static void
wsb_hook_member(const wsb_json_t *body, const char *name, wsb_json_t *value)
{
    if (wsb_json_get(body, name, value) != WSB_OK) {
        memset(value, 0, sizeof(wsb_json_t));
    }
}


wsb_rc_t
wsb_hook_filters(const wsb_json_t *filters, wsb_forced_t *forced,
    unsigned max, unsigned *n, uint8_t **memory, const char **why)
{
    uint8_t          *pos;
    wsb_rc_t          rc;
    wsb_json_t        filter;
    wsb_json_walk_t   walk;

    *n = 0;

    /* "data." for each, which takes no more than the keys of a filter do */

    *memory = wsb_malloc(filters->text.len);
    if (*memory == NULL) {
        return WSB_NOMEM;
    }

    pos = *memory;

    wsb_json_enter(&walk, filters);

    while (wsb_json_element(&walk, &filter) == WSB_OK) {

        if (*n == max) {
            *why = "it has too many filters";
            return WSB_ERROR;
        }

        rc = wsb_hook_filter(&filter, &forced[*n], &pos, why);

        if (rc != WSB_OK) {
            return rc;
        }

        (*n)++;
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_hook_filter(const wsb_json_t *filter, wsb_forced_t *forced,
    uint8_t **pos, const char **why)
{
    int         list;
    wsb_json_t  column, op, value;

    if (filter->type != WSB_JSON_OBJECT
        || wsb_json_get(filter, "column", &column) != WSB_OK
        || column.type != WSB_JSON_STRING
        || wsb_json_get(filter, "operator", &op) != WSB_OK
        || op.type != WSB_JSON_STRING
        || wsb_json_get(filter, "value", &value) != WSB_OK)
    {
        *why = "a filter lacks column, operator or value";
        return WSB_ERROR;
    }

    forced->field.data = *pos;
    memcpy(*pos, "data.", 5);
    *pos += 5;

    if (wsb_hook_scalar(&column, pos) != WSB_OK
        || *pos == forced->field.data + 5)
    {
        *why = "a filter's column is no name";
        return WSB_ERROR;
    }

    forced->field.len = (size_t) (*pos - forced->field.data);
    forced->op.data = *pos;

    if (wsb_hook_scalar(&op, pos) != WSB_OK) {
        *why = "a filter's operator is no name";
        return WSB_ERROR;
    }

    forced->op.len = (size_t) (*pos - forced->op.data);
    forced->value.data = *pos;

    list = wsb_str_eq(&forced->op, "in");

    if (list != (value.type == WSB_JSON_ARRAY)
        || (list ? wsb_hook_list(&value, pos) : wsb_hook_scalar(&value, pos))
           != WSB_OK)
    {
        *why = "a filter's value is none that its operator takes";
        return WSB_ERROR;
    }

    forced->value.len = (size_t) (*pos - forced->value.data);

    return WSB_OK;
}


static wsb_rc_t
wsb_hook_scalar(const wsb_json_t *value, uint8_t **pos)
{
    size_t  len;

    switch (value->type) {

    case WSB_JSON_STRING:
        if (wsb_json_decode(value, *pos, &len) != WSB_OK) {
            return WSB_ERROR;
        }

        *pos += len;
        return WSB_OK;

    case WSB_JSON_NUMBER:
    case WSB_JSON_TRUE:
    case WSB_JSON_FALSE:
        memcpy(*pos, value->text.data, value->text.len);
        *pos += value->text.len;
        return WSB_OK;

    default:
        return WSB_ERROR;
    }
}


/* With commas between, so that no element may have one. */

static wsb_rc_t
wsb_hook_list(const wsb_json_t *value, uint8_t **pos)
{
    uint8_t          *start;
    wsb_json_t        element;
    wsb_json_walk_t   walk;

    wsb_json_enter(&walk, value);

    while (wsb_json_element(&walk, &element) == WSB_OK) {

        start = *pos;

        if (wsb_hook_scalar(&element, pos) != WSB_OK
            || *pos == start
            || memchr(start, ',', (size_t) (*pos - start)) != NULL)
        {
            return WSB_ERROR;
        }

        *(*pos)++ = ',';
    }

    if ((*pos)[-1] != ',') {
        return WSB_ERROR;
    }

    (*pos)--;

    return WSB_OK;
}


wsb_rc_t
wsb_hook_merge(wsb_text_t *t, wsb_str_t old, const wsb_json_t *change,
    const char **why)
{
    size_t            start;
    wsb_json_t        key, value, object;
    wsb_json_walk_t   walk;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 1 };

    start = t->len;

    if (old.data != NULL) {
        object.type = WSB_JSON_OBJECT;
        object.text = old;

        wsb_json_enter(&walk, &object);

        while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

            if (!wsb_hook_has(change, &key)) {
                wsb_text_lit(t, t->len == start ? "{" : ",");
                wsb_text_str(t, key.text);
                wsb_text_lit(t, ":");
                wsb_text_str(t, value.text);
            }
        }
    }

    wsb_json_enter(&walk, change);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        if (!wsb_hook_named(&key)) {
            *why = "a name in its metadata has other bytes than letters, "
                   "digits and _, or too many";
            return WSB_ERROR;
        }

        if (value.type == WSB_JSON_ARRAY || value.type == WSB_JSON_OBJECT) {
            *why = "its metadata hold more than text, numbers and booleans";
            return WSB_ERROR;
        }

        if (value.type != WSB_JSON_NULL) {
            wsb_text_lit(t, t->len == start ? "{" : ",");
            wsb_text_str(t, key.text);
            wsb_text_lit(t, ":");
            wsb_text_str(t, value.text);
        }
    }

    wsb_text_lit(t, t->len == start ? "{}" : "}");

    if (t->failed) {
        return WSB_NOMEM;
    }

    if (t->len - start > WSB_HOOK_METADATA) {
        *why = "its metadata are too large";
        return WSB_ERROR;
    }

    /* they become values of variables, and parts of URIs */

    object.text.data = t->data + start;
    object.text.len = t->len - start;

    if (wsb_json_parse(object.text, &limits, &value, &err) != WSB_OK) {
        *why = "its metadata have a NUL, half a character, a name twice, or "
               "more than 64 names";
        return WSB_ERROR;
    }

    return WSB_OK;
}


/* Without escapes, so that it is the same name as it is written. */

static int
wsb_hook_named(const wsb_json_t *key)
{
    size_t   i;
    uint8_t  ch;

    if (key->text.len < 3 || key->text.len > WSB_HOOK_NAME + 2) {
        return 0;
    }

    for (i = 1; i < key->text.len - 1; i++) {
        ch = key->text.data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '_'))
        {
            return 0;
        }
    }

    return 1;
}


static int
wsb_hook_has(const wsb_json_t *object, const wsb_json_t *key)
{
    wsb_json_t       other, value;
    wsb_json_walk_t  walk;

    wsb_json_enter(&walk, object);

    while (wsb_json_member(&walk, &other, &value) == WSB_OK) {
        if (wsb_json_same(other.text, key->text)) {
            return 1;
        }
    }

    return 0;
}


wsb_rc_t
wsb_hook_value(wsb_str_t metadata, wsb_str_t name, uint8_t *dst, size_t *len)
{
    uint8_t          *pos;
    wsb_json_t        object, key, value;
    wsb_json_walk_t   walk;

    if (metadata.data == NULL) {
        return WSB_NOTFOUND;
    }

    object.type = WSB_JSON_OBJECT;
    object.text = metadata;

    wsb_json_enter(&walk, &object);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        if (key.text.len - 2 == name.len
            && memcmp(key.text.data + 1, name.data, name.len) == 0)
        {
            pos = dst;

            if (wsb_hook_scalar(&value, &pos) != WSB_OK) {
                return WSB_NOTFOUND;
            }

            *len = (size_t) (pos - dst);
            return WSB_OK;
        }
    }

    return WSB_NOTFOUND;
}
