/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The action protocol: what composable-rust speaks.  Clients send commands,
 * which go to the backend; what the backend publishes as actions goes to all.
 *
 * An action is tagged from outside: an object with one member, named after the
 * action, or, without fields, the bare name as a string.
 */

#include "wsb_action.h"


static wsb_rc_t wsb_action_decode(const wsb_context_t *context,
    wsb_str_t message, wsb_op_t *op);
static void wsb_action_message(wsb_op_t *op, const wsb_json_index_t *message,
    const wsb_json_t *type);
static int wsb_action_is(const wsb_json_t *value);
static void wsb_action_filter(wsb_text_t *t, const wsb_filter_t *filter);
static void wsb_action_body(wsb_text_t *t, const wsb_event_t *ev,
    wsb_str_t event_id);


const wsb_codec_t  wsb_codec_action = {
    .name = "action",
    .ping_interval = 30000,
    .pong_timeout = 30000,
    .implicit = 1,
    .kind = wsb_string(WSB_ACTION_KIND),
    .bare = 1,
    .no_backend = "no_backend",
    .decode = wsb_action_decode,
    .filter = wsb_action_filter,
    .pong = wsb_action_pong,
    .error = wsb_action_error,
    .response = wsb_action_response,
    .body = wsb_action_body
};


static wsb_rc_t
wsb_action_decode(const wsb_context_t *context, wsb_str_t message,
    wsb_op_t *op)
{
    (void) context;

    return wsb_action_read(message, op, wsb_action_message);
}


wsb_rc_t
wsb_action_read(wsb_str_t message, wsb_op_t *op,
    void (*known)(wsb_op_t *op, const wsb_json_index_t *message,
    const wsb_json_t *type))
{
    wsb_json_t        value, type;
    wsb_json_index_t  index;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 1 };

    if (wsb_json_parse(message, &limits, &value, &err) != WSB_OK) {
        wsb_op_refuse(op, "invalid_json", WSB_ACTION_INVALID "%s at byte %zu",
                      err.reason, err.offset);

    } else if (value.type != WSB_JSON_OBJECT) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_ACTION_INVALID "an object is expected");

    } else if (wsb_json_index(&index, &value),
               wsb_json_find(&index, "type", &type) != WSB_OK)
    {
        wsb_op_refuse(op, "missing_field",
                      WSB_ACTION_INVALID "missing field `type`");

    } else if (type.type != WSB_JSON_STRING) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_ACTION_INVALID "type must be a string");

    } else if (wsb_json_key_is(&type, "ping")) {
        op->type = WSB_OP_ASK_PONG;

    } else if (wsb_json_key_is(&type, "pong")
               || wsb_json_key_is(&type, "event")
               || wsb_json_key_is(&type, "error"))
    {
        wsb_action_ignore(op, "a message of servers");

    } else {
        known(op, &index, &type);
    }

    if (op->text.failed) {
        wsb_op_done(op);
        return WSB_NOMEM;
    }

    return WSB_OK;
}


static void
wsb_action_message(wsb_op_t *op, const wsb_json_index_t *message,
    const wsb_json_t *type)
{
    if (wsb_json_key_is(type, "command")) {
        (void) wsb_action_command(op, message, 0);
        return;
    }

    wsb_op_refuse(op, "unknown_type", WSB_ACTION_INVALID
                  "unknown type, expected `command` or `ping`");
}


/* What the action means is the backend's business: it goes as it is. */

uint8_t *
wsb_action_command(wsb_op_t *op, const wsb_json_index_t *message, size_t more)
{
    uint8_t     *p;
    wsb_json_t   action;

    if (wsb_json_find(message, "action", &action) != WSB_OK) {
        wsb_op_refuse(op, "missing_field",
                      WSB_ACTION_INVALID "missing field `action`");
        return NULL;
    }

    if (!wsb_action_is(&action)) {
        wsb_op_refuse(op, "invalid_message", WSB_ACTION_INVALID
                      "an action is a string, or an object with one field");
        return NULL;
    }

    p = wsb_malloc(action.text.len + more);
    if (p == NULL) {
        op->text.failed = 1;
        return NULL;
    }

    memcpy(p, action.text.data, action.text.len);

    op->memory = p;
    op->type = WSB_OP_REQUEST;
    op->request.operation = WSB_CREATE;
    op->request.untold = 1;
    op->request.data.data = p;
    op->request.data.len = action.text.len;

    return p + action.text.len;
}


static int
wsb_action_is(const wsb_json_t *value)
{
    wsb_json_t       key, member;
    wsb_json_walk_t  walk;

    if (value->type == WSB_JSON_STRING) {
        return value->text.len > 2;
    }

    if (value->type != WSB_JSON_OBJECT) {
        return 0;
    }

    wsb_json_enter(&walk, value);

    return wsb_json_member(&walk, &key, &member) == WSB_OK
           && key.text.len > 2
           && wsb_json_member(&walk, &key, &member) != WSB_OK;
}


void
wsb_action_ignore(wsb_op_t *op, const char *why)
{
    op->type = WSB_OP_NOTHING;
    op->code = why;
}


/* There is but one: all actions. */

static void
wsb_action_filter(wsb_text_t *t, const wsb_filter_t *filter)
{
    (void) filter;

    wsb_text_lit(t, "{}");
}


void
wsb_action_pong(wsb_text_t *t, const wsb_op_t *op, wsb_str_t last_id)
{
    (void) op;
    (void) last_id;

    wsb_text_lit(t, "{\"type\":\"pong\"}");
}


/* There are no codes.  A binary message is not answered. */

void
wsb_action_error(wsb_text_t *t, const wsb_context_t *context, wsb_str_t id,
    const char *code, wsb_str_t text)
{
    (void) context;
    (void) id;

    if (strcmp(code, "binary") == 0) {
        return;
    }

    wsb_text_lit(t, "{\"type\":\"error\",\"message\":");
    wsb_text_json(t, text);
    wsb_text_lit(t, "}");
}


/* A command is not acknowledged: what comes of it are actions, if anything. */

void
wsb_action_response(wsb_text_t *t, const wsb_op_t *op,
    const wsb_result_t *result)
{
    (void) op;

    if (result->code != NULL) {
        wsb_action_error(t, NULL, result->text, result->code, result->text);
    }
}


static void
wsb_action_body(wsb_text_t *t, const wsb_event_t *ev, wsb_str_t event_id)
{
    (void) event_id;

    wsb_action_event(t, ev);
    wsb_text_lit(t, "}");
}


/* The name is written anew, what the action holds is as it was published. */

void
wsb_action_event(wsb_text_t *t, const wsb_event_t *ev)
{
    wsb_text_lit(t, "{\"type\":\"event\",\"action\":");

    if (ev->field[WSB_DATA].data == NULL) {
        wsb_text_json(t, ev->field[WSB_ACTION]);
        return;
    }

    wsb_text_lit(t, "{");
    wsb_text_json(t, ev->field[WSB_ACTION]);
    wsb_text_lit(t, ":");
    wsb_text_str(t, ev->field[WSB_DATA]);
    wsb_text_lit(t, "}");
}
