#include "wsb_publish.h"
#include "wsb_timestamp.h"
#include "../json/wsb_json.h"

#include <stdarg.h>
#include <stdio.h>


#define WSB_VALUE_MAX  256               /* bytes of a field that is no JSON */

/* "\u0041" is the longest way to write a byte */
#define WSB_VALUE_TEXT_MAX  (6 * WSB_VALUE_MAX + 2)

#define WSB_EVENT_TYPE  WSB_NFIELDS      /* the alias of WSB_ACTION */


typedef enum {
    WSB_VALUE_STRING = 0,                /* not empty */
    WSB_VALUE_LABEL,                     /* a string; an empty one is none */
    WSB_VALUE_ID,                        /* a string or an integer */
    WSB_VALUE_TIME,
    WSB_VALUE_OBJECT,
    WSB_VALUE_JSON                       /* anything, null too */
} wsb_value_type_t;


typedef struct {
    const char           *name;
    uint8_t               field;
    uint8_t               type;
} wsb_member_t;


/* Where the decoded values of one event are kept until it is a record. */

typedef struct {
    wsb_str_t             event_type;
    unsigned              seen;           /* bit i: field i, or the alias */
    uint8_t               decoded[WSB_NFIELDS + 1][WSB_VALUE_MAX];
} wsb_members_t;


typedef struct {
    wsb_batch_t               *batch;
    const wsb_publish_conf_t  *conf;
    wsb_problem_t             *problem;
    wsb_str_t                  body;
    long                       index;
} wsb_publish_t;


static wsb_rc_t wsb_publish_json(wsb_publish_t *pub);
static wsb_rc_t wsb_publish_ndjson(wsb_publish_t *pub);
static wsb_rc_t wsb_publish_document(wsb_str_t text, wsb_json_t *value,
    wsb_json_error_t *err);
static long wsb_publish_index(const uint8_t *p, const uint8_t *last);
static wsb_rc_t wsb_publish_event(wsb_publish_t *pub,
    const wsb_json_t *value);
static wsb_rc_t wsb_publish_envelope(wsb_publish_t *pub,
    const wsb_json_t *object, wsb_json_t *inner, wsb_json_t *timestamp);
static wsb_rc_t wsb_publish_outer(wsb_publish_t *pub,
    const wsb_json_t *envelope);
static wsb_rc_t wsb_publish_ignored(wsb_publish_t *pub, const char *prefix,
    const wsb_json_t *key, const wsb_json_t *value);
static wsb_rc_t wsb_publish_members(wsb_publish_t *pub,
    const wsb_json_t *object, const char *prefix, wsb_event_t *ev,
    wsb_members_t *members);
static wsb_rc_t wsb_publish_value(wsb_publish_t *pub,
    const wsb_member_t *member, const wsb_json_t *value, wsb_event_t *ev,
    wsb_members_t *members);
static wsb_rc_t wsb_publish_text(wsb_publish_t *pub,
    const wsb_member_t *member, const wsb_json_t *value, wsb_str_t *text,
    uint8_t *buf);
static wsb_rc_t wsb_publish_check(wsb_publish_t *pub, wsb_event_t *ev,
    const wsb_members_t *members);
static wsb_rc_t wsb_publish_require(wsb_publish_t *pub,
    const wsb_event_t *ev, const wsb_field_t *fields, unsigned n);
static wsb_rc_t wsb_publish_add(wsb_publish_t *pub, const wsb_event_t *ev);
static wsb_rc_t wsb_publish_fail(wsb_publish_t *pub, unsigned status,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));


static const wsb_member_t  wsb_publish_fields[] = {
    { "kind",        WSB_KIND,        WSB_VALUE_STRING },
    { "entity_type", WSB_ENTITY_TYPE, WSB_VALUE_STRING },
    { "action",      WSB_ACTION,      WSB_VALUE_STRING },
    { "event_type",  WSB_EVENT_TYPE,  WSB_VALUE_STRING },
    { "entity_id",   WSB_ENTITY_ID,   WSB_VALUE_ID },
    { "tenant",      WSB_TENANT,      WSB_VALUE_STRING },
    { "schema",      WSB_SCHEMA,      WSB_VALUE_LABEL },
    { "section",     WSB_SECTION,     WSB_VALUE_LABEL },
    { "origin",      WSB_ORIGIN,      WSB_VALUE_LABEL },
    { "link_type",   WSB_LINK_TYPE,   WSB_VALUE_STRING },
    { "link_id",     WSB_LINK_ID,     WSB_VALUE_ID },
    { "source_id",   WSB_SOURCE_ID,   WSB_VALUE_ID },
    { "target_id",   WSB_TARGET_ID,   WSB_VALUE_ID },
    { "timestamp",   WSB_TIMESTAMP,   WSB_VALUE_TIME },
    { "metadata",    WSB_METADATA,    WSB_VALUE_JSON },
    { "data",        WSB_DATA,        WSB_VALUE_JSON },
    { "old",         WSB_OLD,         WSB_VALUE_OBJECT },
};

#define WSB_PUBLISH_FIELDS                                                   \
    (sizeof(wsb_publish_fields) / sizeof(wsb_publish_fields[0]))


static inline size_t
wsb_publish_offset(const wsb_publish_t *pub, const wsb_json_t *value)
{
    return value->text.data - pub->body.data;
}


wsb_rc_t
wsb_publish_parse(wsb_batch_t *batch, wsb_format_t format, wsb_str_t body,
    const wsb_publish_conf_t *conf, wsb_problem_t *problem)
{
    wsb_rc_t       rc;
    wsb_publish_t  pub;

    memset(problem, 0, sizeof(wsb_problem_t));
    problem->index = -1;

    pub.batch = batch;
    pub.conf = conf;
    pub.problem = problem;
    pub.body = body;
    pub.index = -1;

    if (body.len >= 3 && memcmp(body.data, "\xef\xbb\xbf", 3) == 0) {
        rc = wsb_publish_fail(&pub, 400, "offset 0: a byte order mark (BOM) "
                              "must not stand before JSON");

    } else {
        rc = format == WSB_FORMAT_NDJSON ? wsb_publish_ndjson(&pub)
                                         : wsb_publish_json(&pub);
    }

    if (rc == WSB_OK && batch->nentries == 0) {
        pub.index = -1;
        rc = wsb_publish_fail(&pub, 422, "there is no event");
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
        pub->index = wsb_publish_index(pub->body.data,
                                       pub->body.data + err.offset);

        return wsb_publish_fail(pub, 400, "offset %zu: %s", err.offset,
                                err.reason);
    }

    if (value.type != WSB_JSON_ARRAY) {
        return wsb_publish_event(pub, &value);
    }

    wsb_json_enter(&walk, &value);

    while (wsb_json_element(&walk, &element) == WSB_OK) {
        pub->index++;

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
    wsb_rc_t          rc;
    wsb_str_t         line;
    wsb_json_t        value;
    const uint8_t    *p, *last, *end;
    wsb_json_error_t  err;

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

        pub->index++;

        line.data = p;
        line.len = end - p;

        if (wsb_publish_document(line, &value, &err) != WSB_OK) {
            return wsb_publish_fail(pub, 400, "offset %zu: %s",
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
    wsb_rc_t       rc;
    unsigned       inside;
    wsb_json_t     object, timestamp;
    wsb_event_t    ev;
    wsb_members_t  members;

    static const wsb_member_t  outer = {
        "timestamp", WSB_TIMESTAMP, WSB_VALUE_TIME
    };

    if (value->type != WSB_JSON_OBJECT) {
        return wsb_publish_fail(pub, 422, "an event must be an object");
    }

    rc = wsb_publish_envelope(pub, value, &object, &timestamp);

    if (rc != WSB_OK) {
        return rc;
    }

    inside = object.text.data != value->text.data;

    memset(&ev, 0, sizeof(wsb_event_t));

    rc = wsb_publish_members(pub, &object, inside ? "event." : "", &ev,
                             &members);

    if (rc != WSB_OK) {
        return rc;
    }

    if (timestamp.text.data != NULL) {
        rc = wsb_publish_value(pub, &outer, &timestamp, &ev, &members);

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

    rc = wsb_publish_check(pub, &ev, &members);

    if (rc != WSB_OK) {
        return rc;
    }

    if (pub->conf->tenant.data != NULL) {
        ev.field[WSB_TENANT] = pub->conf->tenant;
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
            return wsb_publish_fail(pub, 400, "offset %zu: repeated %s",
                                    wsb_publish_offset(pub, &key),
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
            && wsb_publish_ignored(pub, "", &key, &value) != WSB_OK)
        {
            return WSB_ERROR;
        }
    }

    return WSB_OK;
}


/* An event is not refused for it, but the answer says so. */

static wsb_rc_t
wsb_publish_ignored(wsb_publish_t *pub, const char *prefix,
    const wsb_json_t *key, const wsb_json_t *value)
{
    if (value->type == WSB_JSON_NULL
        || wsb_ignored_add(&pub->batch->ignored, prefix, key) == WSB_OK)
    {
        return WSB_OK;
    }

    return wsb_publish_fail(pub, 500, "no memory");
}


static wsb_rc_t
wsb_publish_members(wsb_publish_t *pub, const wsb_json_t *object,
    const char *prefix, wsb_event_t *ev, wsb_members_t *members)
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

        for (i = 0; i < WSB_PUBLISH_FIELDS; i++) {
            member = &wsb_publish_fields[i];

            if (!wsb_json_key_is(&key, member->name)) {
                continue;
            }

            if (members->seen & 1u << member->field) {
                return wsb_publish_fail(pub, 400, "offset %zu: repeated %s",
                                        wsb_publish_offset(pub, &key),
                                        member->name);
            }

            members->seen |= 1u << member->field;

            rc = wsb_publish_value(pub, member, &value, ev, members);

            if (rc != WSB_OK) {
                return rc;
            }

            break;
        }

        if (i == WSB_PUBLISH_FIELDS) {
            rc = wsb_publish_ignored(pub, prefix, &key, &value);

            if (rc != WSB_OK) {
                return rc;
            }
        }
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_publish_value(wsb_publish_t *pub, const wsb_member_t *member,
    const wsb_json_t *value, wsb_event_t *ev, wsb_members_t *members)
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
            return wsb_publish_fail(pub, 422, "%s must be an object",
                                    member->name);
        }

        *text = value->text;
        return WSB_OK;
    }

    rc = wsb_publish_text(pub, member, value, text,
                          members->decoded[member->field]);
    if (rc != WSB_OK) {
        return rc;
    }

    if (text->len > WSB_VALUE_MAX) {
        return wsb_publish_fail(pub, 422, "%s is longer than %d bytes",
                                member->name, WSB_VALUE_MAX);
    }

    if (text->len == 0 && member->type == WSB_VALUE_LABEL) {
        text->data = NULL;
        return WSB_OK;
    }

    if (member->type == WSB_VALUE_TIME && !wsb_timestamp_valid(*text)) {
        return wsb_publish_fail(pub, 422,
                                "%s must be a date and time of RFC 3339",
                                member->name);
    }

    if (text->len == 0) {
        return wsb_publish_fail(pub, 422, "%s is empty", member->name);
    }

    return WSB_OK;
}


/* A string, decoded into buf if it has escapes, or an id's integer. */

static wsb_rc_t
wsb_publish_text(wsb_publish_t *pub, const wsb_member_t *member,
    const wsb_json_t *value, wsb_str_t *text, uint8_t *buf)
{
    size_t   len;
    uint8_t  decoded[WSB_VALUE_TEXT_MAX];

    if (member->type == WSB_VALUE_ID && wsb_json_is_integer(value)) {
        *text = value->text;
        return WSB_OK;
    }

    if (value->type != WSB_JSON_STRING) {
        return wsb_publish_fail(pub, 422, "%s must be a string%s",
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
        return wsb_publish_fail(pub, 422,
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


static wsb_rc_t
wsb_publish_check(wsb_publish_t *pub, wsb_event_t *ev,
    const wsb_members_t *members)
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
        return wsb_publish_fail(pub, 422, "action and event_type differ");
    }

    kind = &ev->field[WSB_KIND];

    if (kind->data == NULL) {
        *kind = ev->field[WSB_LINK_TYPE].data == NULL ? entity : link;
    }

    if (wsb_str_eq(kind, "link")) {
        return wsb_publish_require(pub, ev, of_link, 5);
    }

    if (wsb_str_eq(kind, "entity")) {
        return wsb_publish_require(pub, ev, of_entity, 3);
    }

    return wsb_publish_fail(pub, 422, "kind must be entity or link");
}


static wsb_rc_t
wsb_publish_require(wsb_publish_t *pub, const wsb_event_t *ev,
    const wsb_field_t *fields, unsigned n)
{
    size_t    j;
    unsigned  i;

    for (i = 0; i < n; i++) {

        if (ev->field[fields[i]].data != NULL) {
            continue;
        }

        for (j = 0; wsb_publish_fields[j].field != fields[i]; j++) {
            /* void */
        }

        return wsb_publish_fail(pub, 422, "%s is missing",
                                wsb_publish_fields[j].name);
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
        return wsb_publish_fail(pub, 413, "the event is larger than %zu"
                                " bytes", pub->conf->max_record);
    }

    rc = wsb_batch_add(pub->batch, ev, pub->conf);

    if (rc == WSB_NOMEM) {
        return wsb_publish_fail(pub, 500, "no memory");
    }

    if (rc != WSB_OK) {
        return wsb_publish_fail(pub, 413, "the batch is larger than %zu"
                                " bytes", pub->conf->max_batch);
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_publish_fail(wsb_publish_t *pub, unsigned status, const char *fmt, ...)
{
    va_list         args;
    wsb_problem_t  *problem = pub->problem;

    problem->status = status;
    problem->index = pub->index;

    switch (status) {

    case 400:
        problem->title = "Malformed JSON";
        break;

    case 413:
        problem->title = "Too large";
        break;

    case 422:
        problem->title = "Invalid event";
        break;

    default:
        problem->title = "Internal error";
    }

    va_start(args, fmt);
    vsnprintf(problem->detail, sizeof(problem->detail), fmt, args);
    va_end(args);

    return WSB_ERROR;
}
