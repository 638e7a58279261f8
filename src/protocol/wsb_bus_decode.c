/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_bus_memory.h"


#define WSB_BUS_TYPE_MAX   64             /* longer ones are not repeated */


static void wsb_bus_message(wsb_op_t *op, const wsb_json_t *message);
static void wsb_bus_unknown(wsb_op_t *op, const wsb_json_t *type);
static void wsb_bus_subscribe(wsb_op_t *op, const wsb_json_t *message);
static void wsb_bus_unsubscribe(wsb_op_t *op, const wsb_json_t *message);
static void wsb_bus_auth(wsb_op_t *op, const wsb_json_t *message);
static void wsb_bus_id(wsb_op_t *op, const wsb_json_t *message);
static void wsb_bus_again(wsb_op_t *op, const wsb_json_t *message);
static int wsb_bus_named(wsb_op_t *op, const wsb_json_t *message);
static int wsb_bus_first(wsb_op_t *op, const wsb_json_t *message);
static int wsb_bus_first_of(wsb_op_t *op);
static int wsb_bus_since(wsb_op_t *op, const wsb_json_t *message);
static int wsb_bus_filter(wsb_op_t *op, const wsb_json_t *message);
static int wsb_bus_action(wsb_op_t *op, const wsb_json_t *filter);
static int wsb_bus_where(wsb_op_t *op, const wsb_json_t *message,
    const wsb_json_t *filter);
static void wsb_bus_ignored(wsb_op_t *op, const char *prefix,
    const wsb_json_t *object, const char *const *known);
static int wsb_bus_filter_field(wsb_op_t *op, const wsb_json_t *filter,
    const wsb_bus_name_t *name);
static int wsb_bus_filter_value(wsb_op_t *op, const wsb_bus_name_t *name,
    const wsb_json_t *value);
static uint32_t wsb_bus_ordinal(wsb_str_t s);


const wsb_bus_name_t  wsb_bus_names[WSB_NROUTING] = {
    { "entity_type", WSB_ENTITY_TYPE },
    { "entity_id",   WSB_ENTITY_ID },
    { "event_type",  WSB_ACTION },
    { "kind",        WSB_KIND }
};


wsb_rc_t
wsb_bus_decode(const wsb_context_t *context, wsb_str_t message, wsb_op_t *op)
{
    wsb_json_t         value;
    wsb_bus_memory_t  *memory;
    wsb_json_error_t   err, other;

    static const wsb_json_limits_t  limits = {
        WSB_MESSAGE_DEPTH, WSB_MESSAGE_DEPTH
    };

    /* data of a request is the backend's business, as long as it is JSON */

    static const wsb_json_limits_t  loose = { WSB_JSON_DEPTH, 1 };

    (void) context;

    if (wsb_json_parse(message, &limits, &value, &err) != WSB_OK
        && (wsb_json_parse(message, &loose, &value, &other) != WSB_OK
            || !wsb_bus_is_request(&value)))
    {
        wsb_op_refuse(op, "invalid_json", WSB_INVALID "%s at byte %zu",
                      err.reason, err.offset);

    } else if (value.type != WSB_JSON_OBJECT) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_INVALID "an object is expected");

    } else {
        memory = wsb_malloc(sizeof(wsb_bus_memory_t) + message.len);
        if (memory == NULL) {
            return WSB_NOMEM;
        }

        memory->pos = memory->bytes;
        op->memory = memory;

        wsb_bus_message(op, &value);
    }

    if (op->text.failed) {
        wsb_op_done(op);
        return WSB_NOMEM;
    }

    return WSB_OK;
}


static void
wsb_bus_message(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_json_t  type;

    wsb_bus_id(op, message);

    if (!wsb_bus_get(message, "type", &type)) {
        wsb_op_refuse(op, "missing_field",
                      WSB_INVALID "missing field `type`");

    } else if (type.type != WSB_JSON_STRING) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_INVALID "type must be a string");

    } else if (wsb_json_key_is(&type, "ping")) {
        op->type = WSB_OP_ASK_PONG;

    } else if (wsb_json_key_is(&type, "subscribe")) {
        wsb_bus_subscribe(op, message);

    } else if (wsb_json_key_is(&type, "unsubscribe")) {
        wsb_bus_unsubscribe(op, message);

    } else if (wsb_json_key_is(&type, "snapshot")) {
        wsb_bus_again(op, message);

    } else if (wsb_json_key_is(&type, "auth")) {
        wsb_bus_auth(op, message);

    } else if (wsb_json_key_is(&type, "request")) {
        wsb_bus_request(op, message);

    } else {
        wsb_bus_unknown(op, &type);
    }
}


static void
wsb_bus_unknown(wsb_op_t *op, const wsb_json_t *type)
{
    wsb_str_t  name;

    if (!wsb_bus_string(op, type, &name)) {
        return;
    }

    if (name.len > WSB_BUS_TYPE_MAX) {
        name.len = 0;
    }

    wsb_op_refuse(op, "unknown_type",
                  WSB_INVALID "unknown type `%.*s`, expected one of"
                  " `subscribe`, `unsubscribe`, `ping`, `auth`, `request`,"
                  " `snapshot`",
                  (int) name.len, (const char *) name.data);
}


static void
wsb_bus_subscribe(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_json_t  id;

    static const char *const  known[] = {
        "type", "filter", "where", "since", "snapshot", "options", "id", NULL
    };

    if (wsb_bus_get(message, "id", &id) && op->id.data == NULL) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_INVALID "id must be a string of at most %d bytes",
                      WSB_CLIENT_ID_MAX);
        return;
    }

    if (wsb_bus_filter(op, message)
        && wsb_bus_first(op, message)
        && wsb_bus_since(op, message))
    {
        op->type = WSB_OP_SUBSCRIBE;
        wsb_bus_ignored(op, "", message, known);
    }
}


static void
wsb_bus_unsubscribe(wsb_op_t *op, const wsb_json_t *message)
{
    if (wsb_bus_named(op, message)) {
        op->type = WSB_OP_UNSUBSCRIBE;
    }
}


static void
wsb_bus_again(wsb_op_t *op, const wsb_json_t *message)
{
    if (wsb_bus_named(op, message)) {
        op->type = WSB_OP_SNAPSHOT;
    }
}


/* It names a subscription. */

static int
wsb_bus_named(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_json_t  id;

    if (!wsb_bus_get(message, "subscription_id", &id)) {
        wsb_op_refuse(op, "missing_field",
                      WSB_INVALID "missing field `subscription_id`");
        return 0;
    }

    if (id.type != WSB_JSON_STRING
        || !wsb_bus_string(op, &id, &op->subscription)
        || op->subscription.len > WSB_CLIENT_ID_MAX)
    {
        wsb_op_refuse(op, "invalid_message", WSB_INVALID "subscription_id"
                      " must be a string of at most %d bytes",
                      WSB_CLIENT_ID_MAX);
        return 0;
    }

    op->ordinal = wsb_bus_ordinal(op->subscription);

    return 1;
}


static void
wsb_bus_auth(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_json_t  token;

    if (!wsb_bus_get(message, "token", &token)) {
        wsb_op_refuse(op, "missing_field",
                      WSB_INVALID "missing field `token`");
        return;
    }

    if (token.type != WSB_JSON_STRING
        || !wsb_bus_string(op, &token, &op->token))
    {
        wsb_op_refuse(op, "invalid_message",
                      WSB_INVALID "token must be a string");
        return;
    }

    op->type = WSB_OP_AUTH;
}


/* Errors carry the id, if it is one, whatever else is wrong. */

static void
wsb_bus_id(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_str_t   s;
    wsb_json_t  id;

    if (wsb_bus_get(message, "id", &id)
        && id.type == WSB_JSON_STRING
        && wsb_bus_string(op, &id, &s)
        && s.len <= WSB_CLIENT_ID_MAX)
    {
        op->id = s;
    }
}


/* What there is already, and how it is to be read. */

static int
wsb_bus_first(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_json_t  value, filters;

    if (!wsb_bus_get(message, "snapshot", &value)) {
        value.type = WSB_JSON_FALSE;
    }

    if (value.type != WSB_JSON_TRUE && value.type != WSB_JSON_FALSE) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_INVALID "snapshot must be true or false");
        return 0;
    }

    op->snapshot = value.type == WSB_JSON_TRUE;

    if (op->snapshot && !wsb_bus_first_of(op)) {
        return 0;
    }

    if (!wsb_bus_get(message, "options", &value)) {
        return 1;
    }

    if (value.type != WSB_JSON_OBJECT) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_INVALID "options must be an object");
        return 0;
    }

    if (!op->snapshot) {
        wsb_op_refuse(op, "bad_snapshot", WSB_INVALID
                      "options say how a snapshot is read: they come with "
                      "\"snapshot\":true");
        return 0;
    }

    if (wsb_bus_get(&value, "filters", &filters)) {
        wsb_op_refuse(op, "bad_snapshot", WSB_INVALID
                      "the conditions of a subscription stand in where, not "
                      "in options.filters");
        return 0;
    }

    op->request.options = value.text;
    wsb_bus_copy(op, &op->request.options);

    return 1;
}


/* A backend is asked for one collection, or for one of its entities. */

static int
wsb_bus_first_of(wsb_op_t *op)
{
    wsb_filter_t  *filter = &op->filter;

    if (filter->n[WSB_ENTITY_TYPE] != 1) {
        wsb_op_refuse(op, "bad_snapshot", WSB_INVALID
                      "with a snapshot filter.entity_type must be one type");
        return 0;
    }

    if (filter->n[WSB_ENTITY_ID] > 1) {
        wsb_op_refuse(op, "bad_snapshot", WSB_INVALID
                      "with a snapshot filter.entity_id must be one id, or "
                      "absent");
        return 0;
    }

    if (filter->n[WSB_KIND] > 1
        || (filter->n[WSB_KIND] == 1
            && !wsb_str_eq(&filter->value[WSB_KIND][0], "entity")))
    {
        wsb_op_refuse(op, "bad_snapshot", WSB_INVALID
                      "with a snapshot filter.kind must be entity, or "
                      "absent");
        return 0;
    }

    op->request.entity = filter->value[WSB_ENTITY_TYPE][0];

    if (filter->n[WSB_ENTITY_ID] != 0) {
        op->request.record_id = filter->value[WSB_ENTITY_ID][0];
    }

    op->request.where = filter->where_text;

    return 1;
}


static int
wsb_bus_since(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_str_t   s;
    wsb_json_t  value;

    if (!wsb_bus_get(message, "since", &value)) {
        return 1;
    }

    if (value.type == WSB_JSON_STRING && wsb_bus_string(op, &value, &s)) {

        if (wsb_str_eq(&s, "now")) {
            op->since = WSB_SINCE_NOW;
            return 1;
        }

        if (wsb_str_eq(&s, "first")) {
            op->since = WSB_SINCE_FIRST;
            return 1;
        }

        if (wsb_id_parse(s, &op->since_epoch, &op->since_seq) == WSB_OK) {
            op->since = WSB_SINCE_ID;
            op->since_text = s;
            return 1;
        }
    }

    wsb_op_refuse(op, "bad_since", WSB_INVALID
                  "since must be an event id, \"now\" or \"first\"");

    return 0;
}


static int
wsb_bus_filter(wsb_op_t *op, const wsb_json_t *message)
{
    unsigned    i;
    wsb_json_t  filter;

    static const char *const  known[] = {
        "entity_type", "entity_id", "event_type", "action", "kind", "where",
        NULL
    };

    if (!wsb_bus_get(message, "filter", &filter)) {
        wsb_op_refuse(op, "missing_field",
                      WSB_INVALID "missing field `filter`");
        return 0;
    }

    if (filter.type != WSB_JSON_OBJECT) {
        wsb_op_refuse(op, "bad_filter",
                      WSB_INVALID "filter must be an object");
        return 0;
    }

    for (i = 0; i < WSB_NROUTING; i++) {
        if (!wsb_bus_filter_field(op, &filter, &wsb_bus_names[i])) {
            return 0;
        }
    }

    if (!wsb_bus_action(op, &filter)) {
        return 0;
    }

    wsb_bus_ignored(op, "filter.", &filter, known);

    return wsb_bus_where(op, message, &filter);
}


/* Another name of event_type: what events are published with. */

static int
wsb_bus_action(wsb_op_t *op, const wsb_json_t *filter)
{
    wsb_json_t  action, type;

    static const wsb_bus_name_t  alias = { "action", WSB_ACTION };

    if (!wsb_bus_get(filter, "event_type", &type)) {
        return wsb_bus_filter_field(op, filter, &alias);
    }

    if (wsb_bus_get(filter, "action", &action)
        && (action.text.len != type.text.len
            || memcmp(action.text.data, type.text.data, type.text.len) != 0))
    {
        wsb_op_refuse(op, "bad_filter", WSB_INVALID
                      "filter.action and filter.event_type differ");
        return 0;
    }

    return 1;
}


/* Conditions stand beside the filter, or among its fields. */

static int
wsb_bus_where(wsb_op_t *op, const wsb_json_t *message,
    const wsb_json_t *filter)
{
    wsb_rc_t             rc;
    wsb_str_t           *text;
    wsb_json_t           value, other;
    wsb_bus_memory_t    *memory = op->memory;
    wsb_where_error_t    err;

    if (wsb_bus_get(filter, "where", &value)) {
        op->filter.where_inside = 1;

        if (wsb_bus_get(message, "where", &other)) {
            wsb_op_refuse(op, "bad_where", WSB_INVALID
                          "where stands both in filter and beside it");
            return 0;
        }

    } else if (!wsb_bus_get(message, "where", &value)) {
        return 1;
    }

    rc = wsb_where_parse(&value, &op->filter.where, &err);

    if (rc == WSB_NOMEM) {
        op->text.failed = 1;
        return 0;
    }

    if (rc != WSB_OK) {
        wsb_op_refuse(op, "bad_where", WSB_INVALID "%s", err.text);
        return 0;
    }

    text = &op->filter.where_text;

    memcpy(memory->pos, value.text.data, value.text.len);
    text->data = memory->pos;
    text->len = value.text.len;
    memory->pos += text->len;

    return 1;
}


/* Remembers the fields that are none of the known ones. */

static void
wsb_bus_ignored(wsb_op_t *op, const char *prefix, const wsb_json_t *object,
    const char *const *known)
{
    unsigned         i;
    wsb_json_t       key, value;
    wsb_json_walk_t  walk;

    wsb_json_enter(&walk, object);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        if (value.type == WSB_JSON_NULL) {
            continue;
        }

        for (i = 0; known[i] != NULL; i++) {
            if (wsb_json_key_is(&key, known[i])) {
                break;
            }
        }

        if (known[i] == NULL
            && wsb_ignored_add(&op->ignored, prefix, &key) != WSB_OK)
        {
            op->text.failed = 1;
            return;
        }
    }
}


static int
wsb_bus_filter_field(wsb_op_t *op, const wsb_json_t *filter,
    const wsb_bus_name_t *name)
{
    wsb_json_t         value, element;
    wsb_json_walk_t    walk;
    wsb_bus_memory_t  *memory = op->memory;

    if (!wsb_bus_get(filter, name->name, &value)) {
        return 1;
    }

    op->filter.value[name->field] = memory->value[name->field];

    if (value.type != WSB_JSON_ARRAY) {
        return wsb_bus_filter_value(op, name, &value);
    }

    op->filter.array[name->field] = 1;

    wsb_json_enter(&walk, &value);

    while (wsb_json_element(&walk, &element) == WSB_OK) {

        if (op->filter.n[name->field] == WSB_FILTER_VALUES) {
            wsb_op_refuse(op, "bad_filter", WSB_INVALID
                          "filter.%s has more than %d values",
                          name->name, WSB_FILTER_VALUES);
            return 0;
        }

        if (!wsb_bus_filter_value(op, name, &element)) {
            return 0;
        }
    }

    if (op->filter.n[name->field] == 0) {
        wsb_op_refuse(op, "bad_filter",
                      WSB_INVALID "filter.%s is an empty array", name->name);
        return 0;
    }

    return 1;
}


static int
wsb_bus_filter_value(wsb_op_t *op, const wsb_bus_name_t *name,
    const wsb_json_t *value)
{
    int                is_id = name->field == WSB_ENTITY_ID;
    wsb_str_t         *s;
    wsb_bus_memory_t  *memory = op->memory;

    s = &memory->value[name->field][op->filter.n[name->field]++];

    if (is_id && wsb_json_is_integer(value)) {
        memcpy(memory->pos, value->text.data, value->text.len);
        s->data = memory->pos;
        s->len = value->text.len;
        memory->pos += s->len;

    } else if (value->type != WSB_JSON_STRING
               || !wsb_bus_string(op, value, s))
    {
        wsb_op_refuse(op, "bad_filter", WSB_INVALID
                      "filter.%s must be a string%s, or an array of them",
                      name->name, is_id ? " or an integer" : "");
        return 0;
    }

    if (is_id && s->len == 0) {
        wsb_op_refuse(op, "bad_filter",
                      WSB_INVALID "filter.%s is empty", name->name);
        return 0;
    }

    if (s->len > WSB_BUS_VALUE_MAX) {
        wsb_op_refuse(op, "bad_filter",
                      WSB_INVALID "filter.%s is longer than %d bytes",
                      name->name, WSB_BUS_VALUE_MAX);
        return 0;
    }

    return 1;
}


int
wsb_bus_get(const wsb_json_t *object, const char *name, wsb_json_t *value)
{
    return wsb_json_get(object, name, value) == WSB_OK
           && value->type != WSB_JSON_NULL;
}


void
wsb_bus_copy(wsb_op_t *op, wsb_str_t *s)
{
    wsb_bus_memory_t  *memory = op->memory;

    memcpy(memory->pos, s->data, s->len);
    s->data = memory->pos;
    memory->pos += s->len;
}


int
wsb_bus_string(wsb_op_t *op, const wsb_json_t *string, wsb_str_t *s)
{
    size_t             len;
    wsb_bus_memory_t  *memory = op->memory;

    if (wsb_json_decode(string, memory->pos, &len) != WSB_OK) {
        return 0;
    }

    s->data = memory->pos;
    s->len = len;
    memory->pos += len;

    return 1;
}


/* 0: no id that we have given. */

static uint32_t
wsb_bus_ordinal(wsb_str_t s)
{
    size_t    i;
    uint64_t  n;

    i = sizeof(WSB_SUB_PREFIX) - 1;

    if (s.len <= i
        || s.len > i + 10
        || memcmp(s.data, WSB_SUB_PREFIX, i) != 0
        || s.data[i] == '0')
    {
        return 0;
    }

    for (n = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return 0;
        }

        n = n * 10 + (s.data[i] - '0');
    }

    return n <= UINT32_MAX ? n : 0;
}
