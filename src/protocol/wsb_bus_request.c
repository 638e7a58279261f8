/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A request for records, decoded.
 */

#include "wsb_bus_memory.h"


static int wsb_bus_member(const wsb_json_index_t *message, const char *name,
    wsb_json_t *value);
static int wsb_bus_operation(wsb_op_t *op, const wsb_json_index_t *message);
static int wsb_bus_field(wsb_op_t *op, const wsb_json_index_t *message,
    const char *name, int required, wsb_str_t *s);
static int wsb_bus_record_id(wsb_op_t *op, const wsb_json_index_t *message);
static int wsb_bus_raw(wsb_op_t *op, const wsb_json_index_t *message,
    const char *name, wsb_json_type_t type, wsb_str_t *s);


int
wsb_bus_is_request(const wsb_json_t *message)
{
    wsb_json_t  type;

    return message->type == WSB_JSON_OBJECT
           && wsb_json_get(message, "type", &type) == WSB_OK
           && type.type == WSB_JSON_STRING
           && wsb_json_key_is(&type, "request");
}


void
wsb_bus_request(wsb_op_t *op, const wsb_json_t *message)
{
    wsb_op_request_t  *req;
    wsb_json_index_t   index;

    req = &op->request;

    if (op->id.data == NULL || op->id.len == 0) {
        wsb_op_refuse(op, "missing_field", WSB_INVALID
                      "a request must have an id, a string of 1 to %d bytes",
                      WSB_CLIENT_ID_MAX);
        return;
    }

    wsb_json_index(&index, message);

    if (wsb_bus_operation(op, &index)
        && wsb_bus_field(op, &index, "entity_type", 1, &req->entity)
        && wsb_bus_field(op, &index, "schema", 0, &req->schema)
        && wsb_bus_record_id(op, &index)
        && wsb_bus_raw(op, &index, "data", WSB_JSON_NULL, &req->data)
        && wsb_bus_raw(op, &index, "options", WSB_JSON_OBJECT,
                       &req->options))
    {
        op->type = WSB_OP_REQUEST;
    }
}


static int
wsb_bus_member(const wsb_json_index_t *message, const char *name,
    wsb_json_t *value)
{
    return wsb_json_find(message, name, value) == WSB_OK
           && value->type != WSB_JSON_NULL;
}


static int
wsb_bus_operation(wsb_op_t *op, const wsb_json_index_t *message)
{
    unsigned    i;
    wsb_json_t  value;

    if (!wsb_bus_member(message, "operation", &value)) {
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
wsb_bus_field(wsb_op_t *op, const wsb_json_index_t *message, const char *name,
    int required, wsb_str_t *s)
{
    wsb_json_t  value;

    if (!wsb_bus_member(message, name, &value)) {

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
wsb_bus_record_id(wsb_op_t *op, const wsb_json_index_t *message)
{
    wsb_json_t  value;

    if (wsb_bus_member(message, "entity_id", &value)
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
wsb_bus_raw(wsb_op_t *op, const wsb_json_index_t *message, const char *name,
    wsb_json_type_t type, wsb_str_t *s)
{
    wsb_json_t        value;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = {
        WSB_MESSAGE_DEPTH, WSB_MESSAGE_DEPTH
    };

    if (!wsb_bus_member(message, name, &value)) {
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
