#include "wsb_bus.h"
#include "../json/wsb_json.h"


#define WSB_INVALID  "Invalid message: "

#define WSB_BUS_VALUE_MAX  256            /* bytes of one value of a filter */
#define WSB_BUS_TYPE_MAX   64             /* longer ones are not repeated */


/* All that an operation points to. */

typedef struct {
    wsb_str_t             value[WSB_NROUTING][WSB_FILTER_VALUES];
    uint8_t              *pos;
    uint8_t               bytes[];        /* as many as the message has */
} wsb_bus_memory_t;


static void wsb_bus_message(wsb_op_t *op, const wsb_json_t *message);
static void wsb_bus_unknown(wsb_op_t *op, const wsb_json_t *type);
static void wsb_bus_subscribe(wsb_op_t *op, const wsb_json_t *message);
static void wsb_bus_unsubscribe(wsb_op_t *op, const wsb_json_t *message);
static void wsb_bus_auth(wsb_op_t *op, const wsb_json_t *message);
static int wsb_bus_is_request(const wsb_json_t *message);
static void wsb_bus_request(wsb_op_t *op, const wsb_json_t *message);
static int wsb_bus_operation(wsb_op_t *op, const wsb_json_t *message);
static int wsb_bus_field(wsb_op_t *op, const wsb_json_t *message,
    const char *name, int required, wsb_str_t *s);
static int wsb_bus_record_id(wsb_op_t *op, const wsb_json_t *message);
static int wsb_bus_raw(wsb_op_t *op, const wsb_json_t *message,
    const char *name, wsb_json_type_t type, wsb_str_t *s);
static void wsb_bus_id(wsb_op_t *op, const wsb_json_t *message);
static int wsb_bus_options(wsb_op_t *op, const wsb_json_t *message);
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
static int wsb_bus_get(const wsb_json_t *object, const char *name,
    wsb_json_t *value);
static void wsb_bus_copy(wsb_op_t *op, wsb_str_t *s);
static int wsb_bus_string(wsb_op_t *op, const wsb_json_t *string,
    wsb_str_t *s);
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
                  " `subscribe`, `unsubscribe`, `ping`, `auth`, `request`",
                  (int) name.len, (const char *) name.data);
}


static void
wsb_bus_subscribe(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_json_t  id;

    static const char *const  known[] = {
        "type", "filter", "where", "since", "snapshot", "id", NULL
    };

    if (wsb_bus_get(message, "id", &id) && op->id.data == NULL) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_INVALID "id must be a string of at most %d bytes",
                      WSB_CLIENT_ID_MAX);
        return;
    }

    if (wsb_bus_filter(op, message)
        && wsb_bus_options(op, message)
        && wsb_bus_since(op, message))
    {
        op->type = WSB_OP_SUBSCRIBE;
        wsb_bus_ignored(op, "", message, known);
    }
}


static void
wsb_bus_unsubscribe(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_json_t  id;

    if (!wsb_bus_get(message, "subscription_id", &id)) {
        wsb_op_refuse(op, "missing_field",
                      WSB_INVALID "missing field `subscription_id`");
        return;
    }

    if (id.type != WSB_JSON_STRING
        || !wsb_bus_string(op, &id, &op->subscription)
        || op->subscription.len > WSB_CLIENT_ID_MAX)
    {
        wsb_op_refuse(op, "invalid_message", WSB_INVALID "subscription_id"
                      " must be a string of at most %d bytes",
                      WSB_CLIENT_ID_MAX);
        return;
    }

    op->ordinal = wsb_bus_ordinal(op->subscription);
    op->type = WSB_OP_UNSUBSCRIBE;
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


static int
wsb_bus_is_request(const wsb_json_t *message)
{
    wsb_json_t  type;

    return message->type == WSB_JSON_OBJECT
           && wsb_json_get(message, "type", &type) == WSB_OK
           && type.type == WSB_JSON_STRING
           && wsb_json_key_is(&type, "request");
}


static void
wsb_bus_request(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_op_request_t  *req;

    req = &op->request;

    if (op->id.data == NULL || op->id.len == 0) {
        wsb_op_refuse(op, "missing_field", WSB_INVALID
                      "a request must have an id, a string of 1 to %d bytes",
                      WSB_CLIENT_ID_MAX);
        return;
    }

    if (wsb_bus_operation(op, message)
        && wsb_bus_field(op, message, "entity_type", 1, &req->entity)
        && wsb_bus_field(op, message, "schema", 0, &req->schema)
        && wsb_bus_record_id(op, message)
        && wsb_bus_raw(op, message, "data", WSB_JSON_NULL, &req->data)
        && wsb_bus_raw(op, message, "options", WSB_JSON_OBJECT,
                       &req->options))
    {
        op->type = WSB_OP_REQUEST;
    }
}


static int
wsb_bus_operation(wsb_op_t *op, const wsb_json_t *message)
{
    unsigned    i;
    wsb_json_t  value;

    if (!wsb_bus_get(message, "operation", &value)) {
        wsb_op_refuse(op, "missing_field",
                      WSB_INVALID "missing field `operation`");
        return 0;
    }

    for (i = WSB_READ; i <= WSB_META; i++) {
        if (value.type == WSB_JSON_STRING
            && wsb_json_key_is(&value, wsb_operation_names[i]))
        {
            op->request.operation = (wsb_operation_t) i;
            return 1;
        }
    }

    wsb_op_refuse(op, "invalid_operation", WSB_INVALID
                  "operation must be create, read, update, delete or meta");

    return 0;
}


static int
wsb_bus_field(wsb_op_t *op, const wsb_json_t *message, const char *name,
    int required, wsb_str_t *s)
{
    wsb_json_t  value;

    if (!wsb_bus_get(message, name, &value)) {

        if (required) {
            wsb_op_refuse(op, "missing_field",
                          WSB_INVALID "missing field `%s`", name);
        }

        return !required;
    }

    if (value.type != WSB_JSON_STRING || !wsb_bus_string(op, &value, s)
        || s->len == 0 || s->len > WSB_BUS_VALUE_MAX)
    {
        wsb_op_refuse(op, "invalid_message", WSB_INVALID
                      "%s must be a string of 1 to %d bytes", name,
                      WSB_BUS_VALUE_MAX);
        return 0;
    }

    return 1;
}


/* A number as it is written: it may be larger than a double holds. */

static int
wsb_bus_record_id(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_json_t  value;

    if (wsb_bus_get(message, "entity_id", &value)
        && wsb_json_is_integer(&value)
        && value.text.len <= WSB_BUS_VALUE_MAX)
    {
        op->request.record_id = value.text;
        wsb_bus_copy(op, &op->request.record_id);
        return 1;
    }

    return wsb_bus_field(op, message, "entity_id", 0,
                         &op->request.record_id);
}


/* JSON as it was sent; type NULL: of any type. */

static int
wsb_bus_raw(wsb_op_t *op, const wsb_json_t *message, const char *name,
    wsb_json_type_t type, wsb_str_t *s)
{
    wsb_json_t        value;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = {
        WSB_MESSAGE_DEPTH, WSB_MESSAGE_DEPTH
    };

    if (!wsb_bus_get(message, name, &value)) {
        return 1;
    }

    if (type != WSB_JSON_NULL
        && (value.type != type
            || wsb_json_parse(value.text, &limits, &value, &err) != WSB_OK))
    {
        wsb_op_refuse(op, "invalid_message",
                      WSB_INVALID "%s must be an object", name);
        return 0;
    }

    *s = value.text;
    wsb_bus_copy(op, s);

    return 1;
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


/* What a subscribe may ask for, but not of this version. */

static int
wsb_bus_options(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_json_t  value;

    if (!wsb_bus_get(message, "snapshot", &value)
        || value.type == WSB_JSON_FALSE)
    {
        return 1;
    }

    if (value.type != WSB_JSON_TRUE) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_INVALID "snapshot must be true or false");
        return 0;
    }

    wsb_op_refuse(op, "unsupported",
                  "snapshot is not supported by this version");

    return 0;
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


/* null is as good as absent. */

static int
wsb_bus_get(const wsb_json_t *object, const char *name, wsb_json_t *value)
{
    return wsb_json_get(object, name, value) == WSB_OK
           && value->type != WSB_JSON_NULL;
}


static void
wsb_bus_copy(wsb_op_t *op, wsb_str_t *s)
{
    wsb_bus_memory_t  *memory = op->memory;

    memcpy(memory->pos, s->data, s->len);
    s->data = memory->pos;
    memory->pos += s->len;
}


/* No byte is taken twice, so that all fit into the message's length. */

static int
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
