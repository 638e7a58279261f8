/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_resource.h"
#include "../json/wsb_json.h"


#define WSB_PARSE     "Failed to parse message: "
#define WSB_VALIDATE  "Message validation failed: "

#define WSB_RESOURCE_TEXT_MAX   256       /* bytes of any name or id */
#define WSB_RESOURCE_SHOWN_MAX  64        /* longer ones are not repeated */
#define WSB_RESOURCE_DEPTH      128       /* of a row that is written */


/* All that an operation points to. */

typedef struct {
    wsb_str_t             entity[1];
    wsb_str_t             kind[1];
    uint8_t              *pos;
    uint8_t               bytes[];        /* as many as the message has */
} wsb_resource_memory_t;


/* What a message consists of; data NULL: it is not there, or is null. */

typedef struct {
    wsb_str_t             id;
    wsb_str_t             type;
    wsb_str_t             operation;
    wsb_str_t             schema;
    wsb_str_t             entity;
    wsb_str_t             subscription;
    wsb_str_t             record;
    wsb_json_t            data;
    wsb_json_t            options;
} wsb_resource_message_t;


static void wsb_resource_message(const wsb_context_t *context, wsb_op_t *op,
    const wsb_json_t *message);
static int wsb_resource_fields(wsb_op_t *op, const wsb_json_t *message,
    wsb_resource_message_t *m);
static int wsb_resource_text(wsb_op_t *op, const wsb_json_index_t *message,
    const char *name, wsb_str_t *s);
static int wsb_resource_record(wsb_op_t *op, const wsb_json_index_t *message,
    wsb_str_t *s);
static int wsb_resource_options(wsb_op_t *op, const wsb_json_index_t *message,
    wsb_json_t *options);
static void wsb_resource_request(wsb_op_t *op,
    const wsb_resource_message_t *m);
static void wsb_resource_subscription(const wsb_context_t *context,
    wsb_op_t *op, const wsb_json_t *message, const wsb_resource_message_t *m);
static void wsb_resource_subscribe(const wsb_context_t *context, wsb_op_t *op,
    const wsb_resource_message_t *m);
static int wsb_resource_filters(wsb_op_t *op, const wsb_json_t *options);
static int wsb_resource_narrow(const wsb_context_t *context, wsb_op_t *op);
static void wsb_resource_narrow_by(wsb_op_t *op, wsb_field_t field,
    const wsb_str_t *texts, unsigned n, int absent);
static void wsb_resource_unsubscribe(const wsb_context_t *context,
    wsb_op_t *op, const wsb_resource_message_t *m);
static int wsb_resource_missing(wsb_op_t *op, const wsb_str_t *s,
    const char *name);
static void wsb_resource_unknown(wsb_op_t *op, const char *code,
    const char *what, wsb_str_t name, const char *expected);
static int wsb_resource_member(const wsb_json_index_t *message,
    const char *name, wsb_json_t *value);
static int wsb_resource_get(const wsb_json_t *object, const char *name,
    wsb_json_t *value);
static wsb_str_t wsb_resource_copy(wsb_op_t *op, wsb_str_t text);


/* A row may be as deep as it likes, within reason, and repeat its keys. */

wsb_rc_t
wsb_resource_decode(const wsb_context_t *context, wsb_str_t message,
    wsb_op_t *op)
{
    wsb_json_t              value;
    wsb_json_error_t        err;
    wsb_resource_memory_t  *memory;

    static const wsb_json_limits_t  limits = { WSB_RESOURCE_DEPTH, 1 };

    if (wsb_json_parse(message, &limits, &value, &err) != WSB_OK) {
        wsb_op_refuse(op, "invalid_message", WSB_PARSE "%s at byte %zu",
                      err.reason, err.offset);

    } else if (value.type != WSB_JSON_OBJECT) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_PARSE "an object is expected");

    } else {
        memory = wsb_malloc(sizeof(wsb_resource_memory_t) + message.len);
        if (memory == NULL) {
            return WSB_NOMEM;
        }

        memory->pos = memory->bytes;
        op->memory = memory;

        wsb_resource_message(context, op, &value);
    }

    if (op->text.failed) {
        wsb_op_done(op);
        return WSB_NOMEM;
    }

    return WSB_OK;
}


/*
 * What is of a wrong type could not be parsed, and so its id is unknown; what
 * is missing has been, and is answered under its id.
 */

static void
wsb_resource_message(const wsb_context_t *context, wsb_op_t *op,
    const wsb_json_t *message)
{
    wsb_resource_message_t  m;

    memset(&m, 0, sizeof(wsb_resource_message_t));

    if (!wsb_resource_fields(op, message, &m)) {
        return;
    }

    op->id = m.id;

    if (wsb_resource_missing(op, &m.type, "type")) {
        return;
    }

    if (wsb_str_eq(&m.type, "ping")) {
        op->type = WSB_OP_ASK_PONG;

    } else if (wsb_str_eq(&m.type, "request")) {
        wsb_resource_request(op, &m);

    } else if (wsb_str_eq(&m.type, "subscription")) {
        wsb_resource_subscription(context, op, message, &m);

    } else {
        wsb_resource_unknown(op, "invalid_message_type", "message type",
                             m.type, "request, subscription or ping");
    }
}


static int
wsb_resource_fields(wsb_op_t *op, const wsb_json_t *message,
    wsb_resource_message_t *m)
{
    wsb_json_index_t  index;

    wsb_json_index(&index, message);

    if (!wsb_resource_text(op, &index, "id", &m->id)
        || !wsb_resource_text(op, &index, "type", &m->type)
        || !wsb_resource_text(op, &index, "operation", &m->operation)
        || !wsb_resource_text(op, &index, "schema", &m->schema)
        || !wsb_resource_text(op, &index, "entity", &m->entity)
        || !wsb_resource_text(op, &index, "subscription_id",
                              &m->subscription)
        || !wsb_resource_record(op, &index, &m->record)
        || !wsb_resource_options(op, &index, &m->options))
    {
        return 0;
    }

    (void) wsb_resource_member(&index, "data", &m->data);

    return 1;
}


/* 0: it has been refused.  An empty text is as good as none. */

static int
wsb_resource_text(wsb_op_t *op, const wsb_json_index_t *message,
    const char *name, wsb_str_t *s)
{
    size_t                  len;
    wsb_json_t              value;
    wsb_resource_memory_t  *memory = op->memory;

    if (!wsb_resource_member(message, name, &value)) {
        return 1;
    }

    if (value.type != WSB_JSON_STRING
        || wsb_json_decode(&value, memory->pos, &len) != WSB_OK
        || len > WSB_RESOURCE_TEXT_MAX)
    {
        wsb_op_refuse(op, "invalid_message", WSB_PARSE
                      "%s must be a string of at most %d bytes",
                      name, WSB_RESOURCE_TEXT_MAX);
        return 0;
    }

    if (len != 0) {
        s->data = memory->pos;
        s->len = len;
        memory->pos += len;
    }

    return 1;
}


/* A number is what rows have; it is not printed anew. */

static int
wsb_resource_record(wsb_op_t *op, const wsb_json_index_t *message, wsb_str_t *s)
{
    wsb_json_t  value;

    if (!wsb_resource_member(message, "record_id", &value)
        || value.type != WSB_JSON_NUMBER)
    {
        return wsb_resource_text(op, message, "record_id", s);
    }

    if (!wsb_json_is_integer(&value)
        || value.text.len > WSB_RESOURCE_TEXT_MAX)
    {
        wsb_op_refuse(op, "invalid_message", WSB_PARSE
                      "record_id must be a string or an integer");
        return 0;
    }

    *s = wsb_resource_copy(op, value.text);

    return 1;
}


/* Unlike a row, options are the protocol's: they are looked at strictly. */

static int
wsb_resource_options(wsb_op_t *op, const wsb_json_index_t *message,
    wsb_json_t *options)
{
    wsb_json_t         value;
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = {
        WSB_MESSAGE_DEPTH, WSB_MESSAGE_DEPTH
    };

    if (!wsb_resource_member(message, "options", options)) {
        return 1;
    }

    if (options->type != WSB_JSON_OBJECT) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_PARSE "options must be an object");
        return 0;
    }

    if (wsb_json_parse(options->text, &limits, &value, &err) != WSB_OK) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_PARSE "%s at byte %zu of options",
                      err.reason, err.offset);
        return 0;
    }

    return 1;
}


static void
wsb_resource_request(wsb_op_t *op, const wsb_resource_message_t *m)
{
    unsigned           i;
    wsb_op_request_t  *request;

    if (wsb_resource_missing(op, &m->id, "id")
        || wsb_resource_missing(op, &m->operation, "operation")
        || wsb_resource_missing(op, &m->entity, "entity"))
    {
        return;
    }

    for (i = WSB_READ; !wsb_str_eq(&m->operation, wsb_operation_names[i]);
         i++)
    {
        if (i == WSB_META) {
            wsb_resource_unknown(op, "invalid_operation", "operation",
                                 m->operation,
                                 "read, create, update, delete or meta");
            return;
        }
    }

    /* without one it would be every row's */

    if ((i == WSB_UPDATE || i == WSB_DELETE)
        && wsb_resource_missing(op, &m->record, "record_id"))
    {
        return;
    }

    request = &op->request;

    request->operation = i;
    request->entity = m->entity;
    request->schema = m->schema;
    request->record_id = m->record;
    request->data = wsb_resource_copy(op, m->data.text);
    request->options = wsb_resource_copy(op, m->options.text);

    op->type = WSB_OP_REQUEST;
}


static void
wsb_resource_subscription(const wsb_context_t *context, wsb_op_t *op,
    const wsb_json_t *message, const wsb_resource_message_t *m)
{
    wsb_json_t  value;

    if (wsb_resource_missing(op, &m->id, "id")
        || wsb_resource_missing(op, &m->operation, "operation"))
    {
        return;
    }

    if (wsb_str_eq(&m->operation, "unsubscribe")) {
        wsb_resource_unsubscribe(context, op, m);

    } else if (!wsb_str_eq(&m->operation, "subscribe")) {
        wsb_resource_unknown(op, "invalid_subscription_operation",
                             "subscription operation", m->operation,
                             "subscribe or unsubscribe");

    } else if (wsb_resource_get(message, "snapshot", &value)
               && value.type != WSB_JSON_FALSE)
    {
        wsb_op_refuse(op, "unsupported",
                      "snapshot is not supported by this version");

    } else {
        wsb_resource_subscribe(context, op, m);
    }
}


/* Without an entity it is to all of them. */

static void
wsb_resource_subscribe(const wsb_context_t *context, wsb_op_t *op,
    const wsb_resource_message_t *m)
{
    wsb_resource_memory_t  *memory = op->memory;

    static const wsb_str_t  entity = wsb_string("entity");

    op->request.entity = m->entity;
    op->request.schema = m->schema;

    if (m->schema.len == 0 && context != NULL) {
        op->request.schema = context->schema;
    }

    if (m->entity.len != 0) {
        memory->entity[0] = m->entity;
        op->filter.value[WSB_ENTITY_TYPE] = memory->entity;
        op->filter.n[WSB_ENTITY_TYPE] = 1;

    } else {
        memory->kind[0] = entity;
        op->filter.value[WSB_KIND] = memory->kind;
        op->filter.n[WSB_KIND] = 1;
    }

    if (wsb_resource_filters(op, &m->options)
        && wsb_resource_narrow(context, op))
    {
        op->type = WSB_OP_SUBSCRIBE;
    }
}


/* 0: refused, or no memory. */

static int
wsb_resource_filters(wsb_op_t *op, const wsb_json_t *options)
{
    wsb_rc_t            rc;
    wsb_json_t          filters;
    wsb_where_error_t   err;

    if (options->text.data == NULL
        || !wsb_resource_get(options, "filters", &filters))
    {
        return 1;
    }

    rc = wsb_where_parse(&filters, &op->filter.where, &err);

    if (rc == WSB_NOMEM) {
        op->text.failed = 1;
        return 0;
    }

    if (rc != WSB_OK) {
        /* "where[2]: ...": it has another name here */
        wsb_op_refuse(op, "invalid_message", WSB_VALIDATE "filters%s",
                      err.text + sizeof("where") - 1);
        return 0;
    }

    if (op->filter.where != NULL) {
        op->filter.where_text = wsb_resource_copy(op, filters.text);
    }

    return 1;
}


/*
 * To what this protocol has a word for, and to the schema.  Who names none,
 * subscriber or event, is in the default one.
 */

static int
wsb_resource_narrow(const wsb_context_t *context, wsb_op_t *op)
{
    int        absent;
    wsb_str_t  schema;

    static const wsb_str_t  actions[] = {
        wsb_string("created"), wsb_string("deleted"), wsb_string("updated")
    };

    schema = op->request.schema;

    absent = schema.len == 0
             || (context != NULL && context->schema.len == schema.len
                 && memcmp(context->schema.data, schema.data,
                           schema.len) == 0);

    wsb_resource_narrow_by(op, WSB_ACTION, actions, 3, 0);
    wsb_resource_narrow_by(op, WSB_SCHEMA, &schema, schema.len != 0, absent);

    return !op->text.failed;
}


static void
wsb_resource_narrow_by(wsb_op_t *op, wsb_field_t field,
    const wsb_str_t *texts, unsigned n, int absent)
{
    wsb_where_t  *where;

    if (op->text.failed
        || wsb_where_field(op->filter.where, field, texts, n, absent, &where)
           != WSB_OK)
    {
        op->text.failed = 1;
        return;
    }

    wsb_free(op->filter.where);
    op->filter.where = where;
}


static void
wsb_resource_unsubscribe(const wsb_context_t *context, wsb_op_t *op,
    const wsb_resource_message_t *m)
{
    if (m->subscription.len == 0) {
        wsb_op_refuse(op, "missing_subscription_id",
                      "subscription_id is required for unsubscribe");
        return;
    }

    op->subscription = m->subscription;

    if (context != NULL && context->client != NULL) {
        op->ordinal = wsb_resource_ordinal(context->client, op->subscription);
    }

    op->type = WSB_OP_UNSUBSCRIBE;
}


static int
wsb_resource_missing(wsb_op_t *op, const wsb_str_t *s, const char *name)
{
    if (s->len != 0) {
        return 0;
    }

    wsb_op_refuse(op, "invalid_message", WSB_VALIDATE "missing %s", name);

    return 1;
}


static void
wsb_resource_unknown(wsb_op_t *op, const char *code, const char *what,
    wsb_str_t name, const char *expected)
{
    if (name.len > WSB_RESOURCE_SHOWN_MAX) {
        name.len = 0;
    }

    wsb_op_refuse(op, code, "Unknown %s `%.*s`, expected %s", what,
                  (int) name.len, (const char *) name.data, expected);
}


/* null is as good as absent; value is zeroed where there is none. */

static int
wsb_resource_member(const wsb_json_index_t *message, const char *name,
    wsb_json_t *value)
{
    if (wsb_json_find(message, name, value) == WSB_OK
        && value->type != WSB_JSON_NULL)
    {
        return 1;
    }

    memset(value, 0, sizeof(wsb_json_t));

    return 0;
}


static int
wsb_resource_get(const wsb_json_t *object, const char *name,
    wsb_json_t *value)
{
    if (wsb_json_get(object, name, value) == WSB_OK
        && value->type != WSB_JSON_NULL)
    {
        return 1;
    }

    memset(value, 0, sizeof(wsb_json_t));

    return 0;
}


/* No byte is taken twice, so that all fit into the message's length. */

static wsb_str_t
wsb_resource_copy(wsb_op_t *op, wsb_str_t text)
{
    wsb_str_t               copy;
    wsb_resource_memory_t  *memory = op->memory;

    copy.data = text.data != NULL ? memory->pos : NULL;
    copy.len = text.len;

    if (text.len != 0) {
        memcpy(memory->pos, text.data, text.len);
        memory->pos += text.len;
    }

    return copy;
}
