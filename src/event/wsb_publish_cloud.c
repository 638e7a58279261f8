/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * CloudEvents 1.0 in JSON: one is an event if its type ends in an entity and
 * what happened to it, as in com.example.order.created, or if extensions say
 * so.
 */

#include "wsb_publish_fields.h"


static wsb_rc_t wsb_publish_cloud_require(wsb_publish_t *pub,
    unsigned seen);
static wsb_rc_t wsb_publish_cloud_type(wsb_publish_t *pub, wsb_event_t *ev,
    wsb_publish_decoded_t *members);
static size_t wsb_publish_cloud_last(wsb_str_t *text, wsb_str_t *part);
static int wsb_publish_cloud_version(const wsb_str_t *part);


/* Required attributes come first; subject goes before the extension. */

static const wsb_member_t  wsb_publish_cloud_members[] = {
    { "specversion", WSB_NFIELDS,     WSB_VALUE_STRING },
    { "id",          WSB_NFIELDS,     WSB_VALUE_STRING },
    { "source",      WSB_NFIELDS,     WSB_VALUE_STRING },
    { "type",        WSB_NFIELDS,     WSB_VALUE_STRING },
    { "subject",     WSB_ENTITY_ID,   WSB_VALUE_ID },
    { "time",        WSB_TIMESTAMP,   WSB_VALUE_TIME },
    { "data",        WSB_DATA,        WSB_VALUE_JSON },
    { "entitytype",  WSB_ENTITY_TYPE, WSB_VALUE_STRING },
    { "entityid",    WSB_ENTITY_ID,   WSB_VALUE_ID },
    { "action",      WSB_ACTION,      WSB_VALUE_STRING },
    { "tenant",      WSB_TENANT,      WSB_VALUE_STRING },
};

#define WSB_CLOUD_MEMBERS                                                     \
    (sizeof(wsb_publish_cloud_members) / sizeof(wsb_publish_cloud_members[0]))
#define WSB_CLOUD_REQUIRED  4
#define WSB_CLOUD_TYPE      3


/*
 * The required ones are read one after the other into the place of an alias,
 * where the type stays: it is the last of them that counts.
 */

wsb_rc_t
wsb_publish_cloud_read(wsb_publish_t *pub, const wsb_json_t *object,
    wsb_event_t *ev, wsb_publish_decoded_t *members)
{
    unsigned             i, seen;
    wsb_rc_t             rc;
    wsb_json_t           key, value, type;
    wsb_json_walk_t      walk;
    const wsb_member_t  *member;

    seen = 0;
    members->seen = 0;
    members->event_type.data = NULL;
    members->event_type.len = 0;
    type.text.data = NULL;

    wsb_json_enter(&walk, object);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        if (wsb_json_key_is(&key, "data_base64")) {
            return wsb_problem_set(pub->problem, 422,
                                   "data_base64 is not taken: send data");
        }

        for (i = 0; i < WSB_CLOUD_MEMBERS; i++) {
            if (wsb_json_key_is(&key, wsb_publish_cloud_members[i].name)) {
                break;
            }
        }

        if (i == WSB_CLOUD_MEMBERS || value.type == WSB_JSON_NULL) {
            /* an extension of others */
            continue;
        }

        member = &wsb_publish_cloud_members[i];
        seen |= 1u << i;

        rc = wsb_publish_fields_value(pub, member, &value, ev, members);

        if (rc != WSB_OK) {
            return rc;
        }

        if (i == 0 && !wsb_str_eq(&members->event_type, "1.0")) {
            return wsb_problem_set(pub->problem, 422,
                                   "specversion must be 1.0");
        }

        if (i == WSB_CLOUD_TYPE) {
            type = value;
        }
    }

    rc = wsb_publish_cloud_require(pub, seen);

    if (rc != WSB_OK) {
        return rc;
    }

    /* others may have been read after it */

    rc = wsb_publish_fields_value(pub,
                                  &wsb_publish_cloud_members[WSB_CLOUD_TYPE],
                                  &type, ev, members);

    return rc == WSB_OK ? wsb_publish_cloud_type(pub, ev, members) : rc;
}


static wsb_rc_t
wsb_publish_cloud_require(wsb_publish_t *pub, unsigned seen)
{
    unsigned  i;

    for (i = 0; i < WSB_CLOUD_REQUIRED; i++) {
        if (!(seen & 1u << i)) {
            return wsb_problem_set(pub->problem, 422, "%s is missing",
                                   wsb_publish_cloud_members[i].name);
        }
    }

    return WSB_OK;
}


/* com.example.order.created.v1: the version says nothing here. */

static wsb_rc_t
wsb_publish_cloud_type(wsb_publish_t *pub, wsb_event_t *ev,
    wsb_publish_decoded_t *members)
{
    wsb_str_t  text, action, entity;

    text = members->event_type;

    (void) wsb_publish_cloud_last(&text, &action);

    if (wsb_publish_cloud_version(&action)) {
        (void) wsb_publish_cloud_last(&text, &action);
    }

    (void) wsb_publish_cloud_last(&text, &entity);

    members->event_type.data = NULL;
    members->event_type.len = 0;

    if (ev->field[WSB_ACTION].data == NULL && action.len != 0) {
        ev->field[WSB_ACTION] = action;
    }

    if (ev->field[WSB_ENTITY_TYPE].data == NULL && entity.len != 0) {
        ev->field[WSB_ENTITY_TYPE] = entity;
    }

    if (ev->field[WSB_ACTION].data == NULL
        || ev->field[WSB_ENTITY_TYPE].data == NULL)
    {
        return wsb_problem_set(pub->problem, 422,
                               "type must end in an entity and an action, as "
                               "in order.created, or entitytype and action "
                               "say them");
    }

    if (ev->field[WSB_ENTITY_ID].data == NULL) {
        return wsb_problem_set(pub->problem, 422, "subject is missing");
    }

    return WSB_OK;
}


/* Takes the last part off: what is behind the last dot, or all. */

static size_t
wsb_publish_cloud_last(wsb_str_t *text, wsb_str_t *part)
{
    size_t  n;

    for (n = text->len; n > 0 && text->data[n - 1] != '.'; n--) { /* void */ }

    part->data = text->data + n;
    part->len = text->len - n;

    text->len = n ? n - 1 : 0;

    return part->len;
}


static int
wsb_publish_cloud_version(const wsb_str_t *part)
{
    size_t  i;

    if (part->len < 2 || part->data[0] != 'v') {
        return 0;
    }

    for (i = 1; i < part->len; i++) {
        if (part->data[i] < '0' || part->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}
