/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_publish_fields.h"
#include "wsb_timestamp.h"


/* "\u0041" is the longest way to write a byte */
#define WSB_VALUE_TEXT_MAX  (6 * WSB_VALUE_MAX + 2)

#define WSB_EVENT_TYPE  WSB_NFIELDS      /* the alias of WSB_ACTION */


static wsb_rc_t wsb_publish_fields_text(wsb_publish_t *pub,
    const wsb_member_t *member, const wsb_json_t *value, wsb_str_t *text,
    uint8_t *buf);
static wsb_rc_t wsb_publish_fields_require(wsb_publish_t *pub,
    const wsb_event_t *ev, const wsb_field_t *fields, unsigned n);


static const wsb_member_t  wsb_publish_members[] = {
    { "kind",        WSB_KIND,        WSB_VALUE_STRING },
    { "entity_type", WSB_ENTITY_TYPE, WSB_VALUE_STRING },
    { "action",      WSB_ACTION,      WSB_VALUE_STRING },
    { "event_type",  WSB_EVENT_TYPE,  WSB_VALUE_STRING },
    { "entity_id",   WSB_ENTITY_ID,   WSB_VALUE_ID },
    { "tenant",      WSB_TENANT,      WSB_VALUE_STRING },
    { "schema",      WSB_SCHEMA,      WSB_VALUE_LABEL },
    { "section",     WSB_SECTION,     WSB_VALUE_LABEL },
    { "cause",       WSB_CAUSE,       WSB_VALUE_LABEL },
    { "origin",      WSB_CAUSE,       WSB_VALUE_LABEL },
    { "link_type",   WSB_LINK_TYPE,   WSB_VALUE_STRING },
    { "link_id",     WSB_LINK_ID,     WSB_VALUE_ID },
    { "source_id",   WSB_SOURCE_ID,   WSB_VALUE_ID },
    { "target_id",   WSB_TARGET_ID,   WSB_VALUE_ID },
    { "timestamp",   WSB_TIMESTAMP,   WSB_VALUE_TIME },
    { "metadata",    WSB_METADATA,    WSB_VALUE_JSON },
    { "data",        WSB_DATA,        WSB_VALUE_JSON },
    { "old",         WSB_OLD,         WSB_VALUE_OBJECT },
};

#define WSB_PUBLISH_MEMBERS                                                   \
    (sizeof(wsb_publish_members) / sizeof(wsb_publish_members[0]))


wsb_rc_t
wsb_publish_fields_time(wsb_publish_t *pub, const wsb_json_t *value,
    wsb_event_t *ev, wsb_publish_decoded_t *members)
{
    static const wsb_member_t  timestamp = {
        "timestamp", WSB_TIMESTAMP, WSB_VALUE_TIME
    };

    return wsb_publish_fields_value(pub, &timestamp, value, ev, members);
}


wsb_rc_t
wsb_publish_fields_action(wsb_publish_t *pub, const wsb_json_t *name,
    const wsb_json_t *content, wsb_event_t *ev,
    wsb_publish_decoded_t *members)
{
    static const wsb_str_t  kind = wsb_string("action");

    static const wsb_member_t  action = {
        "the name of an action", WSB_ACTION, WSB_VALUE_STRING
    };

    ev->field[WSB_KIND] = kind;

    if (content != NULL) {
        ev->field[WSB_DATA] = content->text;
    }

    return wsb_publish_fields_value(pub, &action, name, ev, members);
}


wsb_rc_t
wsb_publish_fields_topic(wsb_publish_t *pub, const wsb_json_t *value,
    wsb_event_t *ev, wsb_publish_decoded_t *members)
{
    static const wsb_member_t  topic = {
        "topic", WSB_ENTITY_TYPE, WSB_VALUE_STRING
    };

    return wsb_publish_fields_value(pub, &topic, value, ev, members);
}


wsb_rc_t
wsb_publish_fields_ignored(wsb_publish_t *pub, const char *prefix,
    const wsb_json_t *key, const wsb_json_t *value)
{
    if (value->type == WSB_JSON_NULL
        || wsb_ignored_add(&pub->batch->ignored, prefix, key) == WSB_OK)
    {
        return WSB_OK;
    }

    return wsb_problem_set(pub->problem, 500, "no memory");
}


wsb_rc_t
wsb_publish_fields_read(wsb_publish_t *pub, const wsb_json_t *object,
    const char *prefix, wsb_event_t *ev, wsb_publish_decoded_t *members)
{
    size_t               i;
    wsb_rc_t             rc;
    wsb_json_t           key, value;
    wsb_json_walk_t      walk;
    const wsb_member_t  *member;

    members->seen = 0;
    members->event_type.len = 0;
    members->event_type.data = NULL;

    wsb_json_enter(&walk, object);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        for (i = 0; i < WSB_PUBLISH_MEMBERS; i++) {
            member = &wsb_publish_members[i];

            if (!wsb_json_key_is(&key, member->name)) {
                continue;
            }

            if (members->seen & 1u << member->field) {
                return wsb_problem_set(pub->problem, 400,
                                       "offset %zu: repeated %s",
                                       wsb_publish_fields_offset(pub, &key),
                                       member->name);
            }

            members->seen |= 1u << member->field;

            rc = wsb_publish_fields_value(pub, member, &value, ev, members);

            if (rc != WSB_OK) {
                return rc;
            }

            break;
        }

        if (i == WSB_PUBLISH_MEMBERS) {
            rc = wsb_publish_fields_ignored(pub, prefix, &key, &value);

            if (rc != WSB_OK) {
                return rc;
            }
        }
    }

    return WSB_OK;
}


wsb_rc_t
wsb_publish_fields_value(wsb_publish_t *pub, const wsb_member_t *member,
    const wsb_json_t *value, wsb_event_t *ev, wsb_publish_decoded_t *members)
{
    wsb_rc_t    rc;
    wsb_str_t  *text;

    text = member->field == WSB_EVENT_TYPE ? &members->event_type
                                           : &ev->field[member->field];

    if (member->type == WSB_VALUE_JSON) {
        *text = value->text;
        return WSB_OK;
    }

    if (value->type == WSB_JSON_NULL) {
        return WSB_OK;
    }

    if (member->type == WSB_VALUE_OBJECT) {

        if (value->type != WSB_JSON_OBJECT) {
            return wsb_problem_set(pub->problem, 422, "%s must be an object",
                                   member->name);
        }

        *text = value->text;
        return WSB_OK;
    }

    rc = wsb_publish_fields_text(pub, member, value, text,
                                 members->decoded[member->field]);
    if (rc != WSB_OK) {
        return rc;
    }

    if (text->len > WSB_VALUE_MAX) {
        return wsb_problem_set(pub->problem, 422, "%s is longer than %d bytes",
                               member->name, WSB_VALUE_MAX);
    }

    if (text->len == 0 && member->type == WSB_VALUE_LABEL) {
        text->data = NULL;
        return WSB_OK;
    }

    if (member->type == WSB_VALUE_TIME && !wsb_timestamp_valid(*text)) {
        return wsb_problem_set(pub->problem, 422,
                               "%s must be a date and time of RFC 3339",
                               member->name);
    }

    if (text->len == 0) {
        return wsb_problem_set(pub->problem, 422, "%s is empty", member->name);
    }

    return WSB_OK;
}


/* A string, decoded into buf if it has escapes, or an id's integer. */

static wsb_rc_t
wsb_publish_fields_text(wsb_publish_t *pub, const wsb_member_t *member,
    const wsb_json_t *value, wsb_str_t *text, uint8_t *buf)
{
    size_t   len;
    uint8_t  decoded[WSB_VALUE_TEXT_MAX];

    if (member->type == WSB_VALUE_ID && wsb_json_is_integer(value)) {
        *text = value->text;
        return WSB_OK;
    }

    if (value->type != WSB_JSON_STRING) {
        return wsb_problem_set(pub->problem, 422, "%s must be a string%s",
                               member->name,
                               member->type == WSB_VALUE_ID
                               ? " or an integer" : "");
    }

    text->data = value->text.data + 1;
    text->len = value->text.len - 2;

    if (memchr(text->data, '\\', text->len) == NULL
        || value->text.len > sizeof(decoded))
    {
        return WSB_OK;
    }

    if (wsb_json_decode(value, decoded, &len) != WSB_OK) {
        return wsb_problem_set(pub->problem, 422,
                               "%s has an escaped NUL or a lone surrogate",
                               member->name);
    }

    text->len = len;

    if (len <= WSB_VALUE_MAX) {
        memcpy(buf, decoded, len);
        text->data = buf;
    }

    return WSB_OK;
}


wsb_rc_t
wsb_publish_fields_check(wsb_publish_t *pub, wsb_event_t *ev,
    const wsb_publish_decoded_t *members)
{
    wsb_str_t  *action, *kind;

    static const wsb_str_t    entity = wsb_string("entity");
    static const wsb_str_t    link = wsb_string("link");

    static const wsb_field_t  of_entity[] = {
        WSB_ACTION, WSB_ENTITY_TYPE, WSB_ENTITY_ID
    };

    static const wsb_field_t  of_link[] = {
        WSB_ACTION, WSB_LINK_TYPE, WSB_LINK_ID, WSB_SOURCE_ID, WSB_TARGET_ID
    };

    action = &ev->field[WSB_ACTION];

    if (action->data == NULL) {
        *action = members->event_type;

    } else if (members->event_type.data != NULL
               && (action->len != members->event_type.len
                   || memcmp(action->data, members->event_type.data,
                             action->len)
                      != 0))
    {
        return wsb_problem_set(pub->problem, 422,
                               "action and event_type differ");
    }

    kind = &ev->field[WSB_KIND];

    if (kind->data == NULL) {
        *kind = ev->field[WSB_LINK_TYPE].data == NULL ? entity : link;
    }

    if (wsb_str_eq(kind, "link")) {
        return wsb_publish_fields_require(pub, ev, of_link, 5);
    }

    if (wsb_str_eq(kind, "entity")) {
        return wsb_publish_fields_require(pub, ev, of_entity, 3);
    }

    return wsb_problem_set(pub->problem, 422, "kind must be entity or link");
}


static wsb_rc_t
wsb_publish_fields_require(wsb_publish_t *pub, const wsb_event_t *ev,
    const wsb_field_t *fields, unsigned n)
{
    size_t    j;
    unsigned  i;

    for (i = 0; i < n; i++) {

        if (ev->field[fields[i]].data != NULL) {
            continue;
        }

        for (j = 0; wsb_publish_members[j].field != fields[i]; j++) {
            /* void */
        }

        return wsb_problem_set(pub->problem, 422, "%s is missing",
                               wsb_publish_members[j].name);
    }

    return WSB_OK;
}
