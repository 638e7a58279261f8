/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The forms of a body: which events it has, and where one lies that is in an
 * envelope.  What such an event says is read by wsb_publish_fields.c.
 */

#include "wsb_publish.h"
#include "wsb_publish_fields.h"


static wsb_rc_t wsb_publish_json(wsb_publish_t *pub);
static wsb_rc_t wsb_publish_ndjson(wsb_publish_t *pub);
static wsb_rc_t wsb_publish_document(wsb_str_t text, wsb_json_t *value,
    wsb_json_error_t *err);
static long wsb_publish_index(const uint8_t *p, const uint8_t *last);
static wsb_rc_t wsb_publish_event(wsb_publish_t *pub,
    const wsb_json_t *value);
static wsb_rc_t wsb_publish_targeted(wsb_publish_t *pub,
    const wsb_json_t *object);
static wsb_rc_t wsb_publish_cloud(wsb_publish_t *pub,
    const wsb_json_t *object);
static int wsb_publish_topic(const wsb_json_t *value, wsb_json_t *topic,
    wsb_json_t *action);
static wsb_rc_t wsb_publish_action(wsb_publish_t *pub,
    const wsb_json_t *value);
static wsb_rc_t wsb_publish_envelope(wsb_publish_t *pub,
    const wsb_json_t *object, wsb_json_t *inner, wsb_json_t *timestamp);
static wsb_rc_t wsb_publish_outer(wsb_publish_t *pub,
    const wsb_json_t *envelope);
static wsb_rc_t wsb_publish_add(wsb_publish_t *pub, const wsb_event_t *ev);


wsb_rc_t
wsb_publish_parse(wsb_batch_t *batch, wsb_format_t format, wsb_str_t body,
    const wsb_publish_conf_t *conf, wsb_problem_t *problem)
{
    wsb_rc_t       rc;
    wsb_publish_t  pub;

    memset(problem, 0, sizeof(wsb_problem_t));

    /* that of the event which is read */
    problem->index = -1;

    pub.batch = batch;
    pub.conf = &conf->batch;
    pub.tenant = conf->tenant;
    pub.bare = conf->bare;
    pub.topic = conf->topic;
    pub.target = conf->target;
    pub.dropped = 0;
    pub.cloud = format == WSB_FORMAT_CLOUDEVENTS;
    pub.problem = problem;
    pub.body = body;

    if (body.len >= 3 && memcmp(body.data, "\xef\xbb\xbf", 3) == 0) {
        rc = wsb_problem_set(problem, 400, "offset 0: a byte order mark "
                             "(BOM) must not stand before JSON");

    } else {
        rc = format == WSB_FORMAT_NDJSON ? wsb_publish_ndjson(&pub)
                                         : wsb_publish_json(&pub);
    }

    if (rc == WSB_OK && batch->nentries == 0 && !pub.dropped) {
        problem->index = -1;
        rc = wsb_problem_set(problem, 422, "there is no event");
    }

    if (rc != WSB_OK) {
        wsb_batch_done(batch);
        return WSB_ERROR;
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_publish_json(wsb_publish_t *pub)
{
    wsb_rc_t          rc;
    wsb_json_t        value, element;
    wsb_json_walk_t   walk;
    wsb_json_error_t  err;

    if (wsb_publish_document(pub->body, &value, &err) != WSB_OK) {
        pub->problem->index = wsb_publish_index(pub->body.data,
                                                pub->body.data + err.offset);

        return wsb_problem_set(pub->problem, 400, "offset %zu: %s", err.offset,
                               err.reason);
    }

    if (value.type != WSB_JSON_ARRAY) {
        return wsb_publish_event(pub, &value);
    }

    wsb_json_enter(&walk, &value);

    while (wsb_json_element(&walk, &element) == WSB_OK) {
        pub->problem->index++;

        rc = wsb_publish_event(pub, &element);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_publish_ndjson(wsb_publish_t *pub)
{
    wsb_rc_t           rc;
    wsb_str_t          line;
    wsb_json_t         value;
    const uint8_t     *p, *last, *end;
    wsb_json_error_t   err;

    p = pub->body.data;
    last = p + pub->body.len;

    for ( /* void */ ; p < last; p = end + 1) {
        end = memchr(p, '\n', last - p);

        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t' || *p == '\r')) {
            p++;
        }

        if (p == end) {
            continue;
        }

        pub->problem->index++;

        line.data = p;
        line.len = end - p;

        if (wsb_publish_document(line, &value, &err) != WSB_OK) {
            return wsb_problem_set(pub->problem, 400, "offset %zu: %s",
                                   p - pub->body.data + err.offset,
                                   err.reason);
        }

        rc = wsb_publish_event(pub, &value);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    return WSB_OK;
}


/*
 * Nothing is strict here: payloads are free to repeat keys, and the fields of
 * the events, whose depth depends on the form, are looked at one by one.
 */

static wsb_rc_t
wsb_publish_document(wsb_str_t text, wsb_json_t *value,
    wsb_json_error_t *err)
{
    wsb_json_limits_t  limits;

    limits.depth = WSB_JSON_DEPTH;
    limits.strict = 0;

    return wsb_json_parse(text, &limits, value, err);
}


/* In which element of an array is `last`, if all before it is valid? */

static long
wsb_publish_index(const uint8_t *p, const uint8_t *last)
{
    long      index;
    unsigned  depth, quoted, array;

    index = 0;
    depth = 0;
    quoted = 0;
    array = 0;

    for ( /* void */ ; p < last; p++) {

        if (quoted) {
            if (*p == '\\') {
                p++;

            } else if (*p == '"') {
                quoted = 0;
            }

            continue;
        }

        switch (*p) {

        case '"':
            quoted = 1;
            break;

        case '[':
            array |= depth == 0;
            depth++;
            break;

        case '{':
            depth++;
            break;

        case ']':
        case '}':
            if (--depth == 0) {
                return -1;
            }

            break;

        case ',':
            index += depth == 1;
            break;
        }
    }

    return array ? index : -1;
}


static wsb_rc_t
wsb_publish_event(wsb_publish_t *pub, const wsb_json_t *value)
{
    wsb_rc_t               rc;
    unsigned               inside;
    wsb_json_t             object, timestamp;
    wsb_event_t            ev;
    wsb_publish_decoded_t  members;

    if (pub->bare && !pub->cloud) {
        rc = wsb_publish_action(pub, value);

        if (rc != WSB_DONE) {
            return rc;
        }
    }

    if (value->type != WSB_JSON_OBJECT) {
        return wsb_problem_set(pub->problem, 422,
                               "an event must be an object");
    }

    if (pub->cloud) {
        return wsb_publish_cloud(pub, value);
    }

    if (pub->target != NULL) {
        return wsb_publish_targeted(pub, value);
    }

    rc = wsb_publish_envelope(pub, value, &object, &timestamp);

    if (rc != WSB_OK) {
        return rc;
    }

    inside = object.text.data != value->text.data;

    memset(&ev, 0, sizeof(wsb_event_t));

    rc = wsb_publish_fields_read(pub, &object, inside ? "event." : "", &ev,
                                 &members);

    if (rc != WSB_OK) {
        return rc;
    }

    if (timestamp.text.data != NULL) {
        rc = wsb_publish_fields_time(pub, &timestamp, &ev, &members);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    if (inside) {
        rc = wsb_publish_outer(pub, value);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    rc = wsb_publish_fields_check(pub, &ev, &members);

    if (rc != WSB_OK) {
        return rc;
    }

    if (pub->tenant.data != NULL) {
        ev.field[WSB_TENANT] = pub->tenant;
    }

    return wsb_publish_add(pub, &ev);
}


static wsb_rc_t
wsb_publish_targeted(wsb_publish_t *pub, const wsb_json_t *object)
{
    wsb_rc_t               rc;
    wsb_event_t            ev;
    wsb_publish_decoded_t  members;

    memset(&ev, 0, sizeof(wsb_event_t));

    rc = wsb_publish_target_read(pub, object, &ev, &members);

    if (rc == WSB_DONE) {
        pub->dropped = 1;
        return WSB_OK;
    }

    if (rc != WSB_OK) {
        return rc;
    }

    if (pub->tenant.data != NULL) {
        ev.field[WSB_TENANT] = pub->tenant;
    }

    return wsb_publish_add(pub, &ev);
}


static wsb_rc_t
wsb_publish_cloud(wsb_publish_t *pub, const wsb_json_t *object)
{
    wsb_rc_t               rc;
    wsb_event_t            ev;
    wsb_publish_decoded_t  members;

    memset(&ev, 0, sizeof(wsb_event_t));

    rc = wsb_publish_cloud_read(pub, object, &ev, &members);

    if (rc == WSB_OK) {
        rc = wsb_publish_fields_check(pub, &ev, &members);
    }

    if (rc != WSB_OK) {
        return rc;
    }

    if (pub->tenant.data != NULL) {
        ev.field[WSB_TENANT] = pub->tenant;
    }

    return wsb_publish_add(pub, &ev);
}


/* Where actions have topics: is it {"topic":...,"action":...}? */

static int
wsb_publish_topic(const wsb_json_t *value, wsb_json_t *topic,
    wsb_json_t *action)
{
    unsigned         seen;
    wsb_json_t       key, member;
    wsb_json_walk_t  walk;

    if (value->type != WSB_JSON_OBJECT) {
        return 0;
    }

    seen = 0;

    wsb_json_enter(&walk, value);

    while (wsb_json_member(&walk, &key, &member) == WSB_OK) {

        if (wsb_json_key_is(&key, "topic")) {
            *topic = member;
            seen |= 1;

        } else if (wsb_json_key_is(&key, "action")) {
            *action = member;
            seen |= 2;

        } else {
            return 0;
        }
    }

    return seen == 3;
}


/*
 * An action is named by the only member of an object, which holds what it
 * says; without that it is its name alone.  WSB_DONE: it is none.
 */

static wsb_rc_t
wsb_publish_action(wsb_publish_t *pub, const wsb_json_t *value)
{
    wsb_rc_t               rc;
    wsb_json_t             name, content, more, topic, action;
    wsb_event_t            ev;
    wsb_json_walk_t        walk;
    wsb_publish_decoded_t  members;

    memset(&ev, 0, sizeof(wsb_event_t));

    ev.field[WSB_ENTITY_TYPE] = pub->topic;

    if (pub->topic.data != NULL && wsb_publish_topic(value, &topic, &action)) {

        rc = wsb_publish_fields_topic(pub, &topic, &ev, &members);

        if (rc != WSB_OK) {
            return rc;
        }

        value = &action;
    }

    if (value->type == WSB_JSON_STRING) {
        rc = wsb_publish_fields_action(pub, value, NULL, &ev, &members);

    } else if (value->type == WSB_JSON_OBJECT) {
        wsb_json_enter(&walk, value);

        if (wsb_json_member(&walk, &name, &content) != WSB_OK
            || wsb_json_member(&walk, &more, &more) == WSB_OK)
        {
            return WSB_DONE;
        }

        rc = wsb_publish_fields_action(pub, &name, &content, &ev, &members);

    } else {
        return WSB_DONE;
    }

    if (rc != WSB_OK) {
        return rc;
    }

    if (pub->tenant.data != NULL) {
        ev.field[WSB_TENANT] = pub->tenant;
    }

    return wsb_publish_add(pub, &ev);
}


/*
 * T's envelope is an object without an action, with an "event" that is an
 * object.  Its id is not kept: ids are the log's.
 */

static wsb_rc_t
wsb_publish_envelope(wsb_publish_t *pub, const wsb_json_t *object,
    wsb_json_t *inner, wsb_json_t *timestamp)
{
    unsigned         action;
    wsb_json_t       key, value, *member;
    wsb_json_walk_t  walk;

    action = 0;
    inner->text.data = NULL;
    timestamp->text.data = NULL;

    wsb_json_enter(&walk, object);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        if (wsb_json_key_is(&key, "action")
            || wsb_json_key_is(&key, "event_type"))
        {
            action = 1;
            break;
        }

        if (wsb_json_key_is(&key, "event")) {
            member = inner;

        } else if (wsb_json_key_is(&key, "timestamp")) {
            member = timestamp;

        } else {
            continue;
        }

        if (member->text.data != NULL) {
            return wsb_problem_set(pub->problem, 400, "offset %zu: repeated %s",
                                   wsb_publish_fields_offset(pub, &key),
                                   member == inner ? "event" : "timestamp");
        }

        *member = value;
    }

    if (action
        || inner->text.data == NULL
        || inner->type != WSB_JSON_OBJECT)
    {
        *inner = *object;
        timestamp->text.data = NULL;
    }

    return WSB_OK;
}


/* What an envelope has besides. */

static wsb_rc_t
wsb_publish_outer(wsb_publish_t *pub, const wsb_json_t *envelope)
{
    wsb_json_t       key, value;
    wsb_json_walk_t  walk;

    wsb_json_enter(&walk, envelope);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        if (!wsb_json_key_is(&key, "event")
            && !wsb_json_key_is(&key, "timestamp")
            && !wsb_json_key_is(&key, "id")
            && wsb_publish_fields_ignored(pub, "", &key, &value) != WSB_OK)
        {
            return WSB_ERROR;
        }
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_publish_add(wsb_publish_t *pub, const wsb_event_t *ev)
{
    size_t    len;
    wsb_rc_t  rc;

    len = wsb_event_size(ev);

    if (len == 0 || len > pub->conf->max_record) {
        return wsb_problem_set(pub->problem, 413, "the event is larger than %zu"
                               " bytes", pub->conf->max_record);
    }

    rc = wsb_batch_add(pub->batch, ev, pub->conf);

    if (rc == WSB_NOMEM) {
        return wsb_problem_set(pub->problem, 500, "no memory");
    }

    if (rc != WSB_OK) {
        return wsb_problem_set(pub->problem, 413, "the batch is larger than %zu"
                               " bytes", pub->conf->max_batch);
    }

    return WSB_OK;
}
