/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The section protocol: what mesa-ya speaks.  A connection is of one entity
 * and one section, hears what happens to that entity there, and asks for lists
 * and details, which are sent anew when they have changed.
 *
 * Each message of the server has a topic, "entity.action".  The values of its
 * metadata are strings, in the order of their names.
 */

#include "wsb_section.h"
#include "../event/wsb_timestamp.h"
#include "../json/wsb_json.h"

#include <time.h>


#ifndef WSB_SECTION_NOW
#define WSB_SECTION_NOW()         wsb_section_now()
#endif


static void wsb_section_filter(wsb_text_t *t, const wsb_filter_t *filter);
static void wsb_section_welcome(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t connection_id);
static void wsb_section_topics_of(wsb_text_t *t,
    const wsb_context_t *context);
static int wsb_section_fixed(wsb_str_t action);
static void wsb_section_pong(wsb_text_t *t, const wsb_op_t *op,
    wsb_str_t last_id);
static void wsb_section_gap(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t tenant, const uint8_t *client, uint32_t ordinal, int aware,
    wsb_str_t from, wsb_str_t to, const char *reason);
static void wsb_section_error(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t id, const char *code, wsb_str_t text);
static void wsb_section_failure(wsb_text_t *t, wsb_str_t entity,
    wsb_str_t section, wsb_str_t action, wsb_str_t reason, uint64_t now);
static void wsb_section_response(wsb_text_t *t, const wsb_op_t *op,
    const wsb_result_t *result);
static wsb_str_t wsb_section_reason(const wsb_result_t *result);
static uint64_t wsb_section_refresh(const wsb_op_t *op);
static unsigned wsb_section_refuse(wsb_text_t *t, wsb_refused_t why,
    wsb_str_t entity);
static void wsb_section_body(wsb_text_t *t, const wsb_event_t *ev,
    wsb_str_t event_id);
static void wsb_section_metadata(wsb_text_t *t, const wsb_event_t *ev);
static void wsb_section_value(wsb_text_t *t, const wsb_json_t *value);
static void wsb_section_begin(wsb_text_t *t, wsb_str_t entity,
    wsb_str_t action, wsb_str_t id);
static void wsb_section_pair(wsb_text_t *t, char *comma, const char *name,
    wsb_str_t value);
static void wsb_section_end(wsb_text_t *t, uint64_t msec);
static uint64_t wsb_section_now(void);


/* Its clients are pinged after 30 s of silence, and gone after 60 s. */

const wsb_codec_t  wsb_codec_section = {
    .name = "section",
    .ping_interval = 30000,
    .pong_timeout = 30000,
    .implicit = 1,
    .base = wsb_section_base,
    .topic_bits = wsb_section_topic_bits,
    .refresh = wsb_section_refresh,
    .refuse = wsb_section_refuse,
    .bearer = 1,
    .targeted = 1,
    .context = 1,
    .no_backend = "model_not_found",
    .decode = wsb_section_decode,
    .filter = wsb_section_filter,
    .welcome = wsb_section_welcome,
    .pong = wsb_section_pong,
    .gap = wsb_section_gap,
    .error = wsb_section_error,
    .response = wsb_section_response,
    .body = wsb_section_body
};


const char *const  wsb_section_topics[WSB_SECTION_FIXED] = {
    "snapshot", "list", "detail", "error"
};

static const wsb_str_t  wsb_section_system = wsb_string("system");
static const wsb_str_t  wsb_section_none = wsb_null_string;


static inline wsb_str_t
wsb_section_str(const char *s)
{
    wsb_str_t  str;

    str.len = strlen(s);
    str.data = (const uint8_t *) s;

    return str;
}


/* Whom a targeted event is for is no part of it: it would be told of users. */

static void
wsb_section_filter(wsb_text_t *t, const wsb_filter_t *filter)
{
    unsigned  i;

    wsb_text_lit(t, "{\"topics\":[");

    for (i = 0; i < filter->n[WSB_ACTION]; i++) {
        wsb_text_lit(t, i ? ",\"" : "\"");
        wsb_text_line(t, filter->value[WSB_ENTITY_TYPE][0]);
        wsb_text_lit(t, ".");
        wsb_text_line(t, filter->value[WSB_ACTION][i]);
        wsb_text_lit(t, "\"");
    }

    wsb_text_lit(t, "]}");
}


static void
wsb_section_welcome(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t connection_id)
{
    char  comma;

    (void) connection_id;

    wsb_section_begin(t, wsb_section_system, wsb_section_str("connected"),
                      wsb_section_none);

    wsb_text_lit(t, ",\"data\":{\"entity\":");
    wsb_text_json(t, context->entity);
    wsb_text_lit(t, ",\"sectionId\":");
    wsb_text_json(t, context->section);
    wsb_text_lit(t, ",\"allowedTopics\":[");
    wsb_section_topics_of(t, context);
    wsb_text_lit(t, "],\"roles\":");

    if (context->roles.len != 0) {
        wsb_text_str(t, context->roles);

    } else {
        wsb_text_lit(t, "[]");
    }

    wsb_text_lit(t, "},\"metadata\":");

    comma = '{';

    wsb_section_pair(t, &comma, "sectionId", context->section);
    wsb_section_pair(t, &comma, "sessionId", context->session);
    wsb_section_pair(t, &comma, "userId", context->user);

    wsb_text_lit(t, "}");
    wsb_section_end(t, WSB_SECTION_NOW());
}


static void
wsb_section_topics_of(wsb_text_t *t, const wsb_context_t *context)
{
    unsigned   i;
    wsb_str_t  action;

    for (i = 0; i < WSB_SECTION_FIXED + context->nactions; i++) {

        if (i < WSB_SECTION_FIXED) {
            action = wsb_section_str(wsb_section_topics[i]);

        } else {
            action = context->actions[i - WSB_SECTION_FIXED];

            if (wsb_section_fixed(action)) {
                continue;
            }
        }

        wsb_text_lit(t, i ? ",\"" : "\"");
        wsb_text_line(t, context->entity);
        wsb_text_lit(t, ".");
        wsb_text_line(t, action);
        wsb_text_lit(t, "\"");
    }
}


static int
wsb_section_fixed(wsb_str_t action)
{
    unsigned  i;

    for (i = 0; i < WSB_SECTION_FIXED; i++) {
        if (wsb_str_eq(&action, wsb_section_topics[i])) {
            return 1;
        }
    }

    return 0;
}


static void
wsb_section_pong(wsb_text_t *t, const wsb_op_t *op, wsb_str_t last_id)
{
    (void) op;
    (void) last_id;

    wsb_section_begin(t, wsb_section_system, wsb_section_str("pong"),
                      wsb_section_none);
    wsb_section_end(t, WSB_SECTION_NOW());
}


/* What has been missed is not told, but what was asked for is sent anew. */

static void
wsb_section_gap(wsb_text_t *t, const wsb_context_t *context, wsb_str_t tenant,
    const uint8_t *client, uint32_t ordinal, int aware, wsb_str_t from,
    wsb_str_t to, const char *reason)
{
    static const wsb_str_t  gap = wsb_string("gap");

    (void) tenant;
    (void) client;
    (void) ordinal;
    (void) aware;
    (void) from;
    (void) to;
    (void) reason;

    wsb_section_failure(t, context->entity, context->section, gap, gap,
                        WSB_SECTION_NOW());
}


static void
wsb_section_error(wsb_text_t *t, const wsb_context_t *context, wsb_str_t id,
    const char *code, wsb_str_t text)
{
    static const wsb_str_t  unknown = wsb_string("unknown");

    if (strcmp(code, "model_not_found") == 0) {
        text = wsb_section_str("section snapshot entity unsupported");
    }

    /* of a command the id is what it is called here */

    wsb_section_failure(t, context->entity, context->section,
                        id.data != NULL ? id : unknown, text,
                        WSB_SECTION_NOW());
}


static void
wsb_section_failure(wsb_text_t *t, wsb_str_t entity, wsb_str_t section,
    wsb_str_t action, wsb_str_t reason, uint64_t now)
{
    char  comma;

    wsb_section_begin(t, entity, wsb_section_str("error"), section);

    wsb_text_lit(t, ",\"data\":{\"error\":");
    wsb_text_json(t, reason);
    wsb_text_lit(t, "},\"metadata\":");

    comma = '{';

    wsb_section_pair(t, &comma, "action", action);
    wsb_section_pair(t, &comma, "reason", reason);
    wsb_section_pair(t, &comma, "sectionId", section);

    wsb_text_lit(t, "}");
    wsb_section_end(t, now);
}


/* What could not be read anew is as it was: that is not told. */

static void
wsb_section_response(wsb_text_t *t, const wsb_op_t *op,
    const wsb_result_t *result)
{
    char                          comma;
    unsigned                      i, done;
    wsb_str_t                     origin;
    const wsb_section_request_t  *req;

    static const wsb_str_t  origin_name = wsb_string("origin");

    req = op->memory;

    if (result->code != NULL) {

        if (!result->refresh) {
            wsb_section_failure(t, op->request.entity, req->section, op->id,
                                wsb_section_reason(result), result->time);
        }

        return;
    }

    wsb_section_begin(t, op->request.entity,
                      wsb_section_str(req->detail ? "detail" : "list"),
                      req->detail ? op->request.record_id : req->section);

    if (result->data.data != NULL && !wsb_str_eq(&result->data, "null")) {
        wsb_text_lit(t, ",\"data\":");
        wsb_text_str(t, result->data);
    }

    wsb_text_lit(t, ",\"metadata\":");

    comma = '{';
    done = 0;
    origin = wsb_section_str(result->refresh ? "refresh" : "request");

    for (i = 0; i < req->npairs; i++) {

        if (!done
            && wsb_section_compare(req->pair[i].name, origin_name) > 0)
        {
            wsb_section_pair(t, &comma, "origin", origin);
            done = 1;
        }

        wsb_text_add(t, &comma, 1);
        comma = ',';
        wsb_text_json(t, req->pair[i].name);
        wsb_text_lit(t, ":");
        wsb_text_json(t, req->pair[i].value);
    }

    if (!done) {
        wsb_section_pair(t, &comma, "origin", origin);
    }

    wsb_text_lit(t, "}");
    wsb_section_end(t, result->time);
}


static wsb_str_t
wsb_section_reason(const wsb_result_t *result)
{
    if (strcmp(result->code, "unauthorized") == 0) {
        return wsb_section_str("section snapshot forbidden");
    }

    if (strcmp(result->code, "model_not_found") == 0) {
        return wsb_section_str("section snapshot entity unsupported");
    }

    if (result->status == 404 || result->status == 410) {
        return wsb_section_str("section snapshot not found");
    }

    return result->text;
}


static uint64_t
wsb_section_refresh(const wsb_op_t *op)
{
    const wsb_section_request_t  *req;

    req = op->memory;

    return req->detail ? WSB_SECTION_DETAIL : WSB_SECTION_LIST;
}


static unsigned
wsb_section_refuse(wsb_text_t *t, wsb_refused_t why, wsb_str_t entity)
{
    wsb_text_t  text;

    static const struct {
        unsigned     status;
        const char  *text;
    } refused[] = {
        [WSB_REFUSED_NO_ENTITY] = { 400, "missing entity" },
        [WSB_REFUSED_ENTITY] = { 404, NULL },
        [WSB_REFUSED_NO_SECTION] = { 400, "missing section" },
        [WSB_REFUSED_NO_TOKEN] = { 400, "missing token" },
        [WSB_REFUSED_TOKEN] = { 401, "invalid token" },
        [WSB_REFUSED_RIGHT] = { 403, "forbidden" },
        [WSB_REFUSED_NOT_FOUND] = { 404, "section not found" },
        [WSB_REFUSED_TIMEOUT] = { 504, "snapshot timeout" },
        [WSB_REFUSED_FAILED] = { 500, "unable to connect section" }
    };

    memset(&text, 0, sizeof(text));

    if (refused[why].text != NULL) {
        wsb_text_lit(&text, refused[why].text);

    } else {
        wsb_text_lit(&text, "entity ");
        wsb_text_str(&text, entity);
        wsb_text_lit(&text, " is not integrated");
    }

    wsb_text_lit(t, "{\"message\":");

    entity.data = text.data;
    entity.len = text.len;

    wsb_text_json(t, entity);
    wsb_text_lit(t, "}");

    t->failed |= text.failed;

    wsb_text_done(&text);

    return refused[why].status;
}


static void
wsb_section_body(wsb_text_t *t, const wsb_event_t *ev, wsb_str_t event_id)
{
    wsb_str_t  timestamp;

    (void) event_id;

    wsb_section_begin(t, ev->field[WSB_ENTITY_TYPE], ev->field[WSB_ACTION],
                      ev->field[WSB_ENTITY_ID]);

    if (ev->field[WSB_DATA].data != NULL
        && !wsb_str_eq(&ev->field[WSB_DATA], "null"))
    {
        wsb_text_lit(t, ",\"data\":");
        wsb_text_str(t, ev->field[WSB_DATA]);
    }

    wsb_section_metadata(t, ev);

    /* in UTC, as all others: one of another zone gives way to ours */

    timestamp = ev->field[WSB_TIMESTAMP];

    if (timestamp.len == 0 || timestamp.data[timestamp.len - 1] != 'Z') {
        wsb_section_end(t, ev->msec);
        return;
    }

    wsb_text_lit(t, ",\"timestamp\":");
    wsb_text_json(t, timestamp);
    wsb_text_lit(t, "}");
}


/* As it was published, but that all values are strings. */

static void
wsb_section_metadata(wsb_text_t *t, const wsb_event_t *ev)
{
    char              comma;
    unsigned          section;
    wsb_json_t        metadata, key, value;
    wsb_json_walk_t   walk;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    comma = '{';
    section = ev->field[WSB_SECTION].len == 0;

    if (ev->field[WSB_METADATA].data != NULL
        && wsb_json_parse(ev->field[WSB_METADATA], &limits, &metadata, &err)
           == WSB_OK
        && metadata.type == WSB_JSON_OBJECT)
    {
        wsb_json_enter(&walk, &metadata);

        while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

            if (value.type == WSB_JSON_NULL) {
                continue;
            }

            section |= wsb_json_key_is(&key, "sectionId");

            wsb_text_lit(t, comma == '{' ? ",\"metadata\":{" : ",");
            comma = ',';

            wsb_text_str(t, key.text);
            wsb_text_lit(t, ":");
            wsb_section_value(t, &value);
        }
    }

    if (!section) {
        wsb_text_lit(t, comma == '{' ? ",\"metadata\":{" : ",");
        comma = ',';

        wsb_text_lit(t, "\"sectionId\":");
        wsb_text_json(t, ev->field[WSB_SECTION]);
    }

    if (comma == ',') {
        wsb_text_lit(t, "}");
    }
}


static void
wsb_section_value(wsb_text_t *t, const wsb_json_t *value)
{
    if (value->type == WSB_JSON_STRING) {
        wsb_text_str(t, value->text);

    } else {
        wsb_text_json(t, value->text);
    }
}


static void
wsb_section_begin(wsb_text_t *t, wsb_str_t entity, wsb_str_t action,
    wsb_str_t id)
{
    size_t  len;

    wsb_text_lit(t, "{\"topic\":");

    /* both are quoted: the closing and the opening quote give way to a dot */

    wsb_text_json(t, entity);

    if (t->len != 0) {
        t->len--;
    }

    wsb_text_lit(t, ".");
    len = t->len;
    wsb_text_json(t, action);

    if (t->len > len) {
        memmove(t->data + len, t->data + len + 1, t->len - len - 1);
        t->len--;
    }

    wsb_text_lit(t, ",\"entity\":");
    wsb_text_json(t, entity);
    wsb_text_lit(t, ",\"action\":");
    wsb_text_json(t, action);

    if (id.len != 0) {
        wsb_text_lit(t, ",\"resourceId\":");
        wsb_text_json(t, id);
    }
}


/* Nothing, if the value is empty. */

static void
wsb_section_pair(wsb_text_t *t, char *comma, const char *name,
    wsb_str_t value)
{
    if (value.len == 0) {
        return;
    }

    wsb_text_add(t, comma, 1);
    *comma = ',';

    wsb_text_lit(t, "\"");
    wsb_text_lit(t, name);
    wsb_text_lit(t, "\":");
    wsb_text_json(t, value);
}


static void
wsb_section_end(wsb_text_t *t, uint64_t msec)
{
    uint8_t  buf[WSB_TIMESTAMP_LEN];

    wsb_text_lit(t, ",\"timestamp\":\"");
    wsb_text_add(t, buf, wsb_timestamp(msec, buf));
    wsb_text_lit(t, "\"}");
}


static uint64_t
wsb_section_now(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0 || ts.tv_sec < 0) {
        return 0;
    }

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}
