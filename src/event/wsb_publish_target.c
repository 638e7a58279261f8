/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Events that may say whom they are for: {"event_type","entity_id","data",
 * "metadata"} as they are sent to topics of one entity, or any other event.
 *
 *   entity       entity_type, or entity, or entity_subtype, or the middle of
 *                the topic, "shop.tables.events", or the first part of two,
 *                "tables.created", or that of the location
 *   action       event_type, or action, or the second part of such a topic,
 *                or "unknown"
 *   id           entity_id, or resourceId; there may be none
 *   for whom     sectionId, userId and sessionId of the metadata, whose values
 *                are strings
 *
 * The first of them that is there counts.  Entities are looked up by what they
 * are called, actions are in small letters.
 */

#include "wsb_publish_fields.h"
#include "wsb_timestamp.h"


/* Members that no other event has; others are of the common table. */

typedef struct {
    wsb_json_t            entity;
    wsb_json_t            subtype;
    wsb_json_t            topic;
    wsb_json_t            id;
} wsb_publish_legacy_t;


typedef struct {
    wsb_str_t             first;          /* of a topic */
    wsb_str_t             second;         /* empty, unless it has two parts */
} wsb_publish_parts_t;


static wsb_rc_t wsb_publish_target_find(wsb_publish_t *pub,
    wsb_str_t *entity);
static wsb_rc_t wsb_publish_target_legacy(wsb_publish_t *pub,
    const wsb_json_t *object, wsb_publish_legacy_t *legacy);
static wsb_rc_t wsb_publish_target_plain(wsb_publish_t *pub,
    const wsb_json_t *object, wsb_event_t *ev,
    wsb_publish_decoded_t *members);
static wsb_rc_t wsb_publish_target_entity(wsb_publish_t *pub,
    const wsb_publish_legacy_t *legacy, wsb_event_t *ev,
    wsb_publish_decoded_t *members, wsb_publish_parts_t *topic);
static void wsb_publish_target_parts(wsb_str_t text,
    wsb_publish_parts_t *topic);
static wsb_rc_t wsb_publish_target_action(wsb_publish_t *pub,
    wsb_event_t *ev, wsb_publish_decoded_t *members, wsb_str_t named);
static wsb_rc_t wsb_publish_target_whom(wsb_publish_t *pub, wsb_event_t *ev,
    wsb_publish_decoded_t *members);
static wsb_rc_t wsb_publish_target_label(wsb_publish_t *pub,
    const wsb_json_t *value, wsb_field_t field, wsb_event_t *ev,
    wsb_publish_decoded_t *members);


wsb_rc_t
wsb_publish_target_read(wsb_publish_t *pub, const wsb_json_t *object,
    wsb_event_t *ev, wsb_publish_decoded_t *members)
{
    wsb_rc_t              rc;
    wsb_json_t            value;
    wsb_publish_parts_t   topic;
    wsb_publish_legacy_t  legacy;

    static const wsb_str_t  entity = wsb_string("entity");

    static const wsb_member_t  id = {
        "resourceId", WSB_ENTITY_ID, WSB_VALUE_ID
    };

    memset(&topic, 0, sizeof(wsb_publish_parts_t));

    rc = wsb_publish_target_legacy(pub, object, &legacy);

    if (rc == WSB_OK) {
        rc = wsb_publish_target_plain(pub, object, ev, members);
    }

    if (rc == WSB_OK && ev->field[WSB_ENTITY_ID].data == NULL
        && legacy.id.text.data != NULL)
    {
        rc = wsb_publish_fields_value(pub, &id, &legacy.id, ev, members);
    }

    if (rc == WSB_OK && ev->field[WSB_ENTITY_TYPE].data == NULL) {
        rc = wsb_publish_target_entity(pub, &legacy, ev, members, &topic);
    }

    if (rc == WSB_OK) {
        rc = wsb_publish_target_action(pub, ev, members, topic.second);
    }

    if (rc == WSB_OK) {
        rc = wsb_publish_target_whom(pub, ev, members);
    }

    if (rc != WSB_OK) {
        return rc;
    }

    if (wsb_json_get(object, "kind", &value) == WSB_OK
        && ev->field[WSB_KIND].data != NULL
        && !wsb_str_eq(&ev->field[WSB_KIND], "entity"))
    {
        return wsb_problem_set(pub->problem, 422, "kind must be entity");
    }

    ev->field[WSB_KIND] = entity;

    return wsb_publish_target_find(pub, &ev->field[WSB_ENTITY_TYPE]);
}


/* One that nobody knows keeps its name. */

static wsb_rc_t
wsb_publish_target_find(wsb_publish_t *pub, wsb_str_t *entity)
{
    wsb_str_t  name;

    name.len = 0;

    if (pub->target->find(pub->target->ctx, *entity, &name) != WSB_OK) {
        return wsb_problem_set(pub->problem, 500, "no memory");
    }

    if (name.len != 0) {
        *entity = name;
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_publish_target_legacy(wsb_publish_t *pub, const wsb_json_t *object,
    wsb_publish_legacy_t *legacy)
{
    wsb_json_t       key, value, *dst;
    wsb_json_walk_t  walk;

    memset(legacy, 0, sizeof(wsb_publish_legacy_t));

    wsb_json_enter(&walk, object);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        dst = wsb_json_key_is(&key, "entity") ? &legacy->entity
              : wsb_json_key_is(&key, "entity_subtype") ? &legacy->subtype
              : wsb_json_key_is(&key, "topic") ? &legacy->topic
              : wsb_json_key_is(&key, "resourceId") ? &legacy->id : NULL;

        if (dst == NULL || value.type == WSB_JSON_NULL) {
            continue;
        }

        if (dst->text.data != NULL) {
            return wsb_problem_set(pub->problem, 400, "offset %zu: a repeated "
                                   "name",
                                   wsb_publish_fields_offset(pub, &key));
        }

        *dst = value;
    }

    return WSB_OK;
}


/*
 * A time that is none of RFC 3339 is passed over: there are senders that leave
 * its zone out.
 */

static wsb_rc_t
wsb_publish_target_plain(wsb_publish_t *pub, const wsb_json_t *object,
    wsb_event_t *ev, wsb_publish_decoded_t *members)
{
    unsigned          i;
    wsb_rc_t          rc;
    wsb_str_t         text;
    wsb_json_t        key, value;
    wsb_json_walk_t   walk;

    static const wsb_member_t  table[] = {
        { "event_type",  WSB_NFIELDS,     WSB_VALUE_LABEL },
        { "action",      WSB_ACTION,      WSB_VALUE_LABEL },
        { "entity_id",   WSB_ENTITY_ID,   WSB_VALUE_ID },
        { "data",        WSB_DATA,        WSB_VALUE_JSON },
        { "metadata",    WSB_METADATA,    WSB_VALUE_OBJECT },
        { "timestamp",   WSB_TIMESTAMP,   WSB_VALUE_TIME },
        { "entity_type", WSB_ENTITY_TYPE, WSB_VALUE_LABEL },
        { "kind",        WSB_KIND,        WSB_VALUE_LABEL },
        { "tenant",      WSB_TENANT,      WSB_VALUE_LABEL },
        { "schema",      WSB_SCHEMA,      WSB_VALUE_LABEL },
        { "section",     WSB_SECTION,     WSB_VALUE_LABEL },
        { "cause",       WSB_CAUSE,       WSB_VALUE_LABEL },
        { "old",         WSB_OLD,         WSB_VALUE_OBJECT },
        { NULL, 0, 0 }
    };

    static const char *const  legacy[] = {
        "entity", "entity_subtype", "topic", "resourceId", NULL
    };

    members->seen = 0;
    members->event_type.len = 0;
    members->event_type.data = NULL;

    wsb_json_enter(&walk, object);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        for (i = 0; table[i].name != NULL; i++) {
            if (wsb_json_key_is(&key, table[i].name)) {
                break;
            }
        }

        if (table[i].name == NULL) {

            for (i = 0; legacy[i] != NULL; i++) {
                if (wsb_json_key_is(&key, legacy[i])) {
                    break;
                }
            }

            if (legacy[i] == NULL
                && wsb_publish_fields_ignored(pub, "", &key, &value)
                   != WSB_OK)
            {
                return WSB_ERROR;
            }

            continue;
        }

        if (members->seen & 1u << table[i].field) {
            return wsb_problem_set(pub->problem, 400,
                                   "offset %zu: repeated %s",
                                   wsb_publish_fields_offset(pub, &key),
                                   table[i].name);
        }

        members->seen |= 1u << table[i].field;

        if (table[i].type == WSB_VALUE_TIME) {
            text.data = value.text.data + 1;
            text.len = value.text.len - 2;

            if (value.type != WSB_JSON_STRING
                || !wsb_timestamp_valid(text))
            {
                continue;
            }
        }

        /* an empty id is as good as none */

        if (table[i].type == WSB_VALUE_ID && value.type == WSB_JSON_STRING
            && value.text.len == 2)
        {
            continue;
        }

        rc = wsb_publish_fields_value(pub, &table[i], &value, ev, members);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_publish_target_entity(wsb_publish_t *pub,
    const wsb_publish_legacy_t *legacy, wsb_event_t *ev,
    wsb_publish_decoded_t *members, wsb_publish_parts_t *topic)
{
    unsigned    i;
    wsb_rc_t    rc;
    wsb_str_t  *entity;

    static const wsb_member_t  table[] = {
        { "entity",         WSB_ENTITY_TYPE, WSB_VALUE_LABEL },
        { "entity_subtype", WSB_ENTITY_TYPE, WSB_VALUE_LABEL },
        { "topic",          WSB_ENTITY_TYPE, WSB_VALUE_LABEL }
    };

    const wsb_json_t *const  value[] = {
        &legacy->entity, &legacy->subtype, &legacy->topic
    };

    entity = &ev->field[WSB_ENTITY_TYPE];

    for (i = 0; i < 3 && entity->data == NULL; i++) {

        if (value[i]->text.data == NULL) {
            continue;
        }

        rc = wsb_publish_fields_value(pub, &table[i], value[i], ev, members);

        if (rc != WSB_OK) {
            return rc;
        }

        if (i == 2 && entity->data != NULL) {
            wsb_publish_target_parts(*entity, topic);
            *entity = topic->first;
        }
    }

    if (entity->data == NULL) {
        *entity = pub->target->entity;
    }

    if (entity->len == 0) {
        return wsb_problem_set(pub->problem, 422, "entity is missing");
    }

    return WSB_OK;
}


/* "a.b.c": b.  "a.b": a and b.  Anything else is a name. */

static void
wsb_publish_target_parts(wsb_str_t text, wsb_publish_parts_t *topic)
{
    const uint8_t  *p, *q, *last;

    topic->first = text;

    last = text.data + text.len;

    p = memchr(text.data, '.', text.len);
    q = p ? memchr(p + 1, '.', last - p - 1) : NULL;

    if (q != NULL && q != p + 1) {
        topic->first.data = p + 1;
        topic->first.len = q - p - 1;

    } else if (p != NULL && q == NULL && p != text.data && p + 1 < last) {
        topic->first.len = p - text.data;
        topic->second.data = p + 1;
        topic->second.len = last - p - 1;
    }
}


static wsb_rc_t
wsb_publish_target_action(wsb_publish_t *pub, wsb_event_t *ev,
    wsb_publish_decoded_t *members, wsb_str_t named)
{
    size_t      i;
    uint8_t    *p;
    wsb_str_t  *action;

    static const wsb_str_t  unknown = wsb_string("unknown");

    action = &ev->field[WSB_ACTION];

    if (members->event_type.data != NULL) {
        *action = members->event_type;

    } else if (action->data == NULL) {
        *action = named.len != 0 ? named : unknown;
    }

    /* its own place may be that of its own bytes */

    p = members->decoded[WSB_ACTION];

    for (i = 0; i < action->len; i++) {
        p[i] = action->data[i];

        if (p[i] >= 'A' && p[i] <= 'Z') {
            p[i] |= 0x20;
        }
    }

    action->data = p;

    for (i = 0; i < pub->target->nactions; i++) {
        named = pub->target->actions[i];

        if (named.len == action->len
            && memcmp(named.data, p, named.len) == 0)
        {
            return WSB_OK;
        }
    }

    return pub->target->nactions == 0 ? WSB_OK : WSB_DONE;
}


static wsb_rc_t
wsb_publish_target_whom(wsb_publish_t *pub, wsb_event_t *ev,
    wsb_publish_decoded_t *members)
{
    wsb_rc_t         rc;
    wsb_json_t       metadata, key, value;
    wsb_field_t      field;
    wsb_json_walk_t  walk;

    if (ev->field[WSB_METADATA].data == NULL) {
        return WSB_OK;
    }

    metadata.type = WSB_JSON_OBJECT;
    metadata.text = ev->field[WSB_METADATA];

    wsb_json_enter(&walk, &metadata);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        if (value.type != WSB_JSON_STRING) {
            return wsb_problem_set(pub->problem, 422, "offset %zu: the values "
                                   "of metadata must be strings",
                                   wsb_publish_fields_offset(pub, &value));
        }

        field = wsb_json_key_is(&key, "sectionId") ? WSB_SECTION
                : wsb_json_key_is(&key, "userId") ? WSB_USER
                : wsb_json_key_is(&key, "sessionId") ? WSB_SESSION
                                                     : WSB_NFIELDS;

        if (field == WSB_NFIELDS) {
            continue;
        }

        rc = wsb_publish_target_label(pub, &value, field, ev, members);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    return WSB_OK;
}


/*
 * One for whom it is, is one: who is named twice, and not as the same, is a
 * mistake that would tell others what they should not know.
 */

static wsb_rc_t
wsb_publish_target_label(wsb_publish_t *pub, const wsb_json_t *value,
    wsb_field_t field, wsb_event_t *ev, wsb_publish_decoded_t *members)
{
    wsb_rc_t               rc;
    wsb_event_t            other;
    wsb_publish_decoded_t  decoded;
    const wsb_str_t       *was, *is;

    static const char *const  names[] = { "sectionId", "userId", "sessionId" };

    wsb_member_t  member = {
        names[field == WSB_SECTION ? 0 : field == WSB_USER ? 1 : 2],
        field, WSB_VALUE_LABEL
    };

    was = &ev->field[field];

    if (was->data == NULL) {
        return wsb_publish_fields_value(pub, &member, value, ev, members);
    }

    memset(&other, 0, sizeof(wsb_event_t));

    rc = wsb_publish_fields_value(pub, &member, value, &other, &decoded);

    if (rc != WSB_OK) {
        return rc;
    }

    is = &other.field[field];

    if (is->len != was->len || memcmp(is->data, was->data, is->len) != 0) {
        return wsb_problem_set(pub->problem, 422, "%s is named twice, and not "
                               "the same", member.name);
    }

    return WSB_OK;
}
