/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a client of the section protocol says: an action, with a topic or a
 * payload.  Names of fields are looked for in any case of letters, of repeated
 * ones the last counts, and null is as good as none.
 */

#include "wsb_section.h"


typedef struct {
    wsb_json_t            action;
    wsb_json_t            topic;
    wsb_json_t            payload;
} wsb_section_message_t;


/* All that a subscription points to. */

typedef struct {
    wsb_str_t             entity;
    wsb_str_t             action[];
} wsb_section_topic_t;


static wsb_rc_t wsb_section_message(wsb_str_t text,
    wsb_section_message_t *message);
static void wsb_section_act(const wsb_context_t *context, wsb_op_t *op,
    const wsb_section_message_t *message, const uint8_t *name, size_t len);
static int wsb_section_command(wsb_str_t name, const char *verb,
    wsb_str_t entity, int singular);
static void wsb_section_subscribe(const wsb_context_t *context, wsb_op_t *op,
    const wsb_json_t *topic, wsb_op_type_t type);
static wsb_rc_t wsb_section_target(const wsb_context_t *context,
    wsb_op_t *op);
static wsb_rc_t wsb_section_target_by(wsb_op_t *op, wsb_field_t field,
    wsb_str_t value);


wsb_rc_t
wsb_section_decode(const wsb_context_t *context, wsb_str_t message,
    wsb_op_t *op)
{
    size_t                  len;
    wsb_str_t               name;
    uint8_t                *buf;
    wsb_section_message_t   m;

    if (wsb_section_message(message, &m) != WSB_OK) {
        wsb_op_refuse(op, "invalid_json", "invalid message");

    } else if (m.action.text.data == NULL) {
        wsb_op_refuse(op, "unsupported", WSB_SECTION_UNSUPPORTED);

    } else {
        buf = wsb_malloc(m.action.text.len);
        if (buf == NULL) {
            return WSB_NOMEM;
        }

        if (wsb_json_decode(&m.action, buf, &len) != WSB_OK) {
            len = 0;
        }

        name.data = buf;
        name.len = len;
        name = wsb_section_trim(name);

        wsb_section_case(buf, len, 'A', 'Z');

        wsb_section_act(context, op, &m, name.data, name.len);

        wsb_free(buf);
    }

    if (op->text.failed) {
        wsb_op_done(op);
        return WSB_NOMEM;
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_section_message(wsb_str_t text, wsb_section_message_t *message)
{
    size_t            len;
    uint8_t           name[WSB_SECTION_NAME];
    wsb_str_t         s;
    wsb_json_t        value, key, member, *dst;
    wsb_json_walk_t   walk;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { WSB_MESSAGE_DEPTH, 0 };

    memset(message, 0, sizeof(wsb_section_message_t));

    if (wsb_json_parse(text, &limits, &value, &err) != WSB_OK
        || value.type != WSB_JSON_OBJECT)
    {
        return WSB_ERROR;
    }

    wsb_json_enter(&walk, &value);

    while (wsb_json_member(&walk, &key, &member) == WSB_OK) {

        len = wsb_section_key(&key, name);

        s.data = name;
        s.len = len;

        dst = wsb_str_eq(&s, "action") ? &message->action
              : wsb_str_eq(&s, "topic") ? &message->topic
              : wsb_str_eq(&s, "payload") ? &message->payload : NULL;

        if (dst == NULL || member.type == WSB_JSON_NULL) {
            continue;
        }

        if (dst != &message->payload && member.type != WSB_JSON_STRING) {
            return WSB_ERROR;
        }

        *dst = member;
    }

    return WSB_OK;
}


static void
wsb_section_act(const wsb_context_t *context, wsb_op_t *op,
    const wsb_section_message_t *message, const uint8_t *data, size_t len)
{
    size_t     size;
    wsb_str_t  name;

    name.data = data;
    name.len = len;

    size = message->payload.text.len;

    if (wsb_str_eq(&name, "ping")) {
        op->type = WSB_OP_ASK_PONG;

    } else if (wsb_str_eq(&name, "subscribe")) {
        wsb_section_subscribe(context, op, &message->topic, WSB_OP_SUBSCRIBE);

    } else if (wsb_str_eq(&name, "unsubscribe")) {
        wsb_section_subscribe(context, op, &message->topic,
                              WSB_OP_UNSUBSCRIBE);

    } else if (wsb_str_eq(&name, "list") || wsb_str_eq(&name, "fetch_all")
               || wsb_section_command(name, "list_", context->entity, 0))
    {
        wsb_section_read(context, op, &message->payload, size, 0);

    } else if (wsb_str_eq(&name, "detail") || wsb_str_eq(&name, "fetch_one")
               || wsb_section_command(name, "get_", context->entity, 1))
    {
        wsb_section_read(context, op, &message->payload, size, 1);

    } else {
        wsb_op_refuse(op, "unsupported", WSB_SECTION_UNSUPPORTED);
    }
}


/* Is it the verb and the entity, with underscores for its hyphens? */

static int
wsb_section_command(wsb_str_t name, const char *verb, wsb_str_t entity,
    int singular)
{
    size_t  i, n;

    n = strlen(verb);

    if (singular) {
        entity.len = wsb_section_singular(entity);
    }

    if (name.len != n + entity.len || memcmp(name.data, verb, n) != 0) {
        return 0;
    }

    for (i = 0; i < entity.len; i++) {
        if (name.data[n + i] != (entity.data[i] == '-' ? '_'
                                                       : entity.data[i]))
        {
            return 0;
        }
    }

    return entity.len != 0;
}


/* There is no answer, whatever the topic is. */

static void
wsb_section_subscribe(const wsb_context_t *context, wsb_op_t *op,
    const wsb_json_t *topic, wsb_op_type_t type)
{
    uint8_t              *p;
    wsb_str_t             s, entity;
    const uint8_t        *dot;
    wsb_section_topic_t  *t;

    op->type = WSB_OP_NOTHING;
    op->code = "no topic that could be published";

    if (topic->text.data == NULL
        || topic->text.len > 6 * 2 * WSB_SECTION_VALUE)
    {
        return;
    }

    t = wsb_malloc(sizeof(wsb_section_topic_t) + sizeof(wsb_str_t)
                   + topic->text.len);
    if (t == NULL) {
        op->text.failed = 1;
        return;
    }

    op->memory = t;

    p = (uint8_t *) &t->action[1];

    if (wsb_section_string(topic, &s, &p) != WSB_OK) {
        return;
    }

    dot = memchr(s.data, '.', s.len);

    if (dot == NULL || dot == s.data || dot == s.data + s.len - 1) {
        return;
    }

    entity.data = s.data;
    entity.len = dot - s.data;

    t->entity = entity;
    t->action[0].data = dot + 1;
    t->action[0].len = s.len - entity.len - 1;

    if (t->entity.len > WSB_SECTION_VALUE
        || t->action[0].len > WSB_SECTION_VALUE)
    {
        return;
    }

    if (wsb_section_compare(entity, context->entity) == 0) {
        op->topics = wsb_section_topic_bits(context, t->action[0]);
    }

    if (op->topics == 0) {
        op->each = 1;
        op->filter.value[WSB_ENTITY_TYPE] = &t->entity;
        op->filter.n[WSB_ENTITY_TYPE] = 1;
        op->filter.value[WSB_ACTION] = t->action;
        op->filter.n[WSB_ACTION] = 1;

        if (wsb_section_target(context, op) != WSB_OK) {
            op->text.failed = 1;
            return;
        }
    }

    op->type = type;
    op->code = NULL;
}


uint64_t
wsb_section_topic_bits(const wsb_context_t *context, wsb_str_t action)
{
    unsigned  i;
    uint64_t  bits;

    bits = 0;

    for (i = 0; i < WSB_SECTION_FIXED; i++) {
        if (wsb_str_eq(&action, wsb_section_topics[i])) {
            bits |= UINT64_C(1) << i;
        }
    }

    for (i = 0; i < context->nactions; i++) {
        if (wsb_section_compare(action, context->actions[i]) == 0) {
            bits |= UINT64_C(1) << (WSB_SECTION_FIXED + i);
        }
    }

    return bits;
}


wsb_rc_t
wsb_section_base(const wsb_context_t *context, wsb_op_t *op)
{
    unsigned              i;
    wsb_section_topic_t  *t;

    t = wsb_malloc(sizeof(wsb_section_topic_t)
                   + context->nactions * sizeof(wsb_str_t));
    if (t == NULL) {
        return WSB_NOMEM;
    }

    op->memory = t;

    t->entity = context->entity;

    for (i = 0; i < context->nactions; i++) {
        t->action[i] = context->actions[i];
    }

    op->filter.value[WSB_ENTITY_TYPE] = &t->entity;
    op->filter.n[WSB_ENTITY_TYPE] = 1;
    op->filter.value[WSB_ACTION] = t->action;
    op->filter.n[WSB_ACTION] = context->nactions;

    return wsb_section_target(context, op);
}


/* What is for one section, user or session alone is not for the others. */

static wsb_rc_t
wsb_section_target(const wsb_context_t *context, wsb_op_t *op)
{
    wsb_rc_t  rc;

    rc = wsb_section_target_by(op, WSB_SECTION, context->section);

    if (rc == WSB_OK) {
        rc = wsb_section_target_by(op, WSB_USER, context->user);
    }

    if (rc == WSB_OK) {
        rc = wsb_section_target_by(op, WSB_SESSION, context->session);
    }

    return rc;
}


static wsb_rc_t
wsb_section_target_by(wsb_op_t *op, wsb_field_t field, wsb_str_t value)
{
    wsb_rc_t      rc;
    wsb_where_t  *where;

    rc = wsb_where_field(op->filter.where, field, &value, value.len != 0, 1,
                         &where);
    if (rc == WSB_OK) {
        wsb_free(op->filter.where);
        op->filter.where = where;
    }

    return rc;
}


wsb_rc_t
wsb_section_string(const wsb_json_t *value, wsb_str_t *s, uint8_t **p)
{
    size_t  len;

    if (value->type != WSB_JSON_STRING
        || wsb_json_decode(value, *p, &len) != WSB_OK)
    {
        return WSB_ERROR;
    }

    s->data = *p;
    s->len = len;

    *p += len;
    *s = wsb_section_trim(*s);

    return WSB_OK;
}


size_t
wsb_section_key(const wsb_json_t *key, uint8_t dst[WSB_SECTION_NAME])
{
    size_t  len;

    if (key->text.len > WSB_SECTION_NAME
        || wsb_json_decode(key, dst, &len) != WSB_OK)
    {
        return 0;
    }

    wsb_section_case(dst, len, 'A', 'Z');

    return len;
}


wsb_str_t
wsb_section_trim(wsb_str_t s)
{
    while (s.len != 0 && (*s.data == ' ' || (*s.data >= 9 && *s.data <= 13))) {
        s.data++;
        s.len--;
    }

    while (s.len != 0
           && (s.data[s.len - 1] == ' '
               || (s.data[s.len - 1] >= 9 && s.data[s.len - 1] <= 13)))
    {
        s.len--;
    }

    return s;
}


void
wsb_section_case(uint8_t *p, size_t len, uint8_t first, uint8_t last)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] >= first && p[i] <= last) {
            p[i] ^= 0x20;
        }
    }
}


size_t
wsb_section_singular(wsb_str_t entity)
{
    size_t          n;
    const uint8_t  *end;

    n = entity.len;
    end = entity.data + n;

    if (n > 4 && (memcmp(end - 4, "shes", 4) == 0
                  || memcmp(end - 4, "ches", 4) == 0
                  || memcmp(end - 4, "sses", 4) == 0))
    {
        return n - 2;
    }

    return n > 1 && end[-1] == 's' ? n - 1 : n;
}


int
wsb_section_compare(wsb_str_t a, wsb_str_t b)
{
    int  order;

    order = a.len == 0 || b.len == 0
                ? 0 : memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}
