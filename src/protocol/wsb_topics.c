/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The action protocol with topics: clients subscribe to topics, and a command
 * that names one goes to those who have, without a backend.  A topic is the
 * entity_type of an action.
 */

#include "wsb_action.h"


#define WSB_TOPICS_MAX    WSB_FILTER_VALUES    /* of one message */
#define WSB_TOPICS_LEN    256                  /* bytes, as of an entity_type */


static wsb_rc_t wsb_topics_decode(const wsb_context_t *context,
    wsb_str_t message, wsb_op_t *op);
static void wsb_topics_message(wsb_op_t *op, const wsb_json_index_t *message,
    const wsb_json_t *type);
static void wsb_topics_set(wsb_op_t *op, const wsb_json_index_t *message,
    wsb_op_type_t type);
static void wsb_topics_read(wsb_op_t *op, const wsb_json_t *topics,
    wsb_str_t *list);
static int wsb_topics_good(const wsb_str_t *topic);
static void wsb_topics_command(wsb_op_t *op, const wsb_json_index_t *message);
static void wsb_topics_body(wsb_text_t *t, const wsb_event_t *ev,
    wsb_str_t event_id);


const wsb_codec_t  wsb_codec_topics = {
    .name = "action",
    .ping_interval = 30000,
    .pong_timeout = 30000,
    .bare = 1,
    .topic = wsb_string("default"),
    .no_backend = "no_backend",
    .decode = wsb_topics_decode,
    .filter = wsb_topics_filter,
    .pong = wsb_action_pong,
    .error = wsb_action_error,
    .response = wsb_action_response,
    .body = wsb_topics_body
};


static wsb_rc_t
wsb_topics_decode(const wsb_context_t *context, wsb_str_t message,
    wsb_op_t *op)
{
    (void) context;

    return wsb_action_read(message, op, wsb_topics_message);
}


static void
wsb_topics_message(wsb_op_t *op, const wsb_json_index_t *message,
    const wsb_json_t *type)
{
    if (wsb_json_key_is(type, "subscribe")) {
        wsb_topics_set(op, message, WSB_OP_SUBSCRIBE);

    } else if (wsb_json_key_is(type, "unsubscribe")) {
        wsb_topics_set(op, message, WSB_OP_UNSUBSCRIBE);

    } else if (wsb_json_key_is(type, "command")) {
        wsb_topics_command(op, message);

    } else if (wsb_json_key_is(type, "subscribed")
               || wsb_json_key_is(type, "unsubscribed"))
    {
        wsb_action_ignore(op, "a message of servers");

    } else {
        wsb_op_refuse(op, "unknown_type", WSB_ACTION_INVALID
                      "unknown type, expected `command`, `subscribe`, "
                      "`unsubscribe` or `ping`");
    }
}


/* All of them or, if one is none, nothing. */

static void
wsb_topics_set(wsb_op_t *op, const wsb_json_index_t *message,
    wsb_op_type_t type)
{
    size_t           n, size;
    wsb_json_t       topics, value;
    wsb_json_walk_t  walk;

    static wsb_str_t  kind = wsb_string(WSB_ACTION_KIND);

    if (wsb_json_find(message, "topics", &topics) != WSB_OK) {
        wsb_op_refuse(op, "missing_field",
                      WSB_ACTION_INVALID "missing field `topics`");
        return;
    }

    n = 0;
    size = 0;

    if (topics.type == WSB_JSON_ARRAY) {
        wsb_json_enter(&walk, &topics);

        while (wsb_json_element(&walk, &value) == WSB_OK) {

            if (value.type != WSB_JSON_STRING || ++n > WSB_TOPICS_MAX) {
                n = 0;
                break;
            }

            size += value.text.len;
        }
    }

    if (n == 0) {
        wsb_op_refuse(op, "invalid_message", WSB_ACTION_INVALID
                      "topics must be an array of 1 to %u strings",
                      (unsigned) WSB_TOPICS_MAX);
        return;
    }

    op->memory = wsb_malloc(n * sizeof(wsb_str_t) + size);

    if (op->memory == NULL) {
        op->text.failed = 1;
        return;
    }

    op->type = type;
    op->each = 1;
    op->filter.value[WSB_KIND] = &kind;
    op->filter.n[WSB_KIND] = 1;
    op->filter.value[WSB_ENTITY_TYPE] = op->memory;
    op->filter.n[WSB_ENTITY_TYPE] = (unsigned) n;

    wsb_topics_read(op, &topics, op->memory);
}


static void
wsb_topics_read(wsb_op_t *op, const wsb_json_t *topics, wsb_str_t *list)
{
    size_t           i, n;
    uint8_t         *p;
    wsb_json_t       value;
    wsb_json_walk_t  walk;

    n = op->filter.n[WSB_ENTITY_TYPE];
    p = (uint8_t *) (list + n);

    wsb_json_enter(&walk, topics);

    for (i = 0; i < n && wsb_json_element(&walk, &value) == WSB_OK; i++) {

        list[i].data = p;

        if (wsb_json_decode(&value, p, &list[i].len) != WSB_OK
            || !wsb_topics_good(&list[i]))
        {
            wsb_op_refuse(op, "invalid_message", WSB_ACTION_INVALID
                          "a topic has 1 to %u bytes, and no NUL",
                          (unsigned) WSB_TOPICS_LEN);
            return;
        }

        p += list[i].len;
    }
}


static int
wsb_topics_good(const wsb_str_t *topic)
{
    return topic->len != 0 && topic->len <= WSB_TOPICS_LEN
           && memchr(topic->data, '\0', topic->len) == NULL;
}


/* Without a topic it is nobody's. */

static void
wsb_topics_command(wsb_op_t *op, const wsb_json_index_t *message)
{
    uint8_t     *p;
    wsb_json_t   topic;

    if (wsb_json_find(message, "topic", &topic) != WSB_OK
        || topic.type == WSB_JSON_NULL)
    {
        wsb_action_ignore(op, "a command without a topic");
        return;
    }

    if (topic.type != WSB_JSON_STRING) {
        wsb_op_refuse(op, "invalid_message",
                      WSB_ACTION_INVALID "topic must be a string");
        return;
    }

    /* behind the action, in the same memory */

    p = wsb_action_command(op, message, topic.text.len);

    if (p == NULL) {
        return;
    }

    op->request.topic.data = p;

    if (wsb_json_decode(&topic, p, &op->request.topic.len) != WSB_OK
        || !wsb_topics_good(&op->request.topic))
    {
        wsb_op_refuse(op, "invalid_message", WSB_ACTION_INVALID
                      "a topic has 1 to %u bytes, and no NUL",
                      (unsigned) WSB_TOPICS_LEN);
    }
}


void
wsb_topics_filter(wsb_text_t *t, const wsb_filter_t *filter)
{
    unsigned  i;

    wsb_text_lit(t, "{\"topics\":[");

    for (i = 0; i < filter->n[WSB_ENTITY_TYPE]; i++) {

        if (i != 0) {
            wsb_text_lit(t, ",");
        }

        wsb_text_json(t, filter->value[WSB_ENTITY_TYPE][i]);
    }

    wsb_text_lit(t, "]}");
}


static void
wsb_topics_body(wsb_text_t *t, const wsb_event_t *ev, wsb_str_t event_id)
{
    (void) event_id;

    wsb_action_event(t, ev);

    wsb_text_lit(t, ",\"topic\":");
    wsb_text_json(t, ev->field[WSB_ENTITY_TYPE]);
    wsb_text_lit(t, "}");
}
