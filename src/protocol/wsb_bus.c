/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The bus protocol: what this-rs speaks, and what docs/protocol.md adds.
 *
 * Codes of errors:
 *
 *   invalid_json     the message is no strict JSON
 *   invalid_message  it is, but no object, or a field is of a wrong type
 *   missing_field    a field that is required is absent or null
 *   unknown_type     the type is none of ours
 *   bad_filter       a field of the filter is not what it can be
 *   bad_where        a condition is not what it can be
 *   bad_snapshot     a snapshot of this filter, or with these options, cannot
 *                    be asked for
 *   bad_since        since is no event id, "now" or "first"
 *   unsupported      this version does not do that, or this location
 *   invalid_operation  the operation of a request is none of ours
 *   not_found        there is no such subscription on this connection
 *   snapshot_failed  what a subscription selects is not told; it goes on
 *   gap              events are missing, told to who never sent a since
 *
 * The engine has codes of its own for its limits.
 */

#include "wsb_bus.h"
#include "../event/wsb_timestamp.h"
#include "../event/wsb_uuid.h"

#include <stdio.h>


#define WSB_GAP_TEXT_MAX    256
#define WSB_WHERE_TEXT_MAX  128          /* longer ones are not for people */


static void wsb_bus_welcome(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t connection_id);
static void wsb_bus_subscribed(wsb_text_t *t, const wsb_op_t *op,
    const uint8_t *client, uint32_t ordinal, wsb_str_t last_id,
    int recovered);
static void wsb_bus_unsubscribed(wsb_text_t *t, const wsb_op_t *op);
static void wsb_bus_pong(wsb_text_t *t, const wsb_op_t *op,
    wsb_str_t last_id);
static void wsb_bus_position(wsb_text_t *t, wsb_str_t last_id);
static void wsb_bus_renewed(wsb_text_t *t, const wsb_op_t *op,
    uint64_t expires);
static void wsb_bus_gap(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t tenant, const uint8_t *client, uint32_t ordinal, int aware,
    wsb_str_t from, wsb_str_t to, const char *reason);
static void wsb_bus_error(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t id, const char *code, wsb_str_t text);
static void wsb_bus_response(wsb_text_t *t, const wsb_op_t *op,
    const wsb_result_t *result);
static void wsb_bus_result(wsb_text_t *t, const wsb_result_t *result);
static void wsb_bus_failure(wsb_text_t *t, const wsb_result_t *result);
static void wsb_bus_snapshot(wsb_text_t *t, const wsb_op_t *op,
    const uint8_t *client, uint32_t ordinal, wsb_str_t last_id,
    const wsb_result_t *result);
static void wsb_bus_number(wsb_text_t *t, const char *name, uint64_t n);
static size_t wsb_bus_prefix(uint8_t *dst, const uint8_t *client,
    uint32_t ordinal, wsb_change_t change);
static void wsb_bus_body(wsb_text_t *t, const wsb_event_t *ev,
    wsb_str_t event_id);
static void wsb_bus_event(wsb_text_t *t, const wsb_event_t *ev);
static void wsb_bus_link(wsb_text_t *t, const wsb_event_t *ev);
static void wsb_bus_render_filter(wsb_text_t *t, const wsb_filter_t *filter);
static void wsb_bus_filter_object(wsb_text_t *t, const wsb_filter_t *filter,
    wsb_str_t where);
static void wsb_bus_filter_text(wsb_text_t *t, wsb_field_t field,
    wsb_str_t value);
static void wsb_bus_text(wsb_text_t *t, const char *name, wsb_str_t value);
static void wsb_bus_json(wsb_text_t *t, const char *name, wsb_str_t value);


const wsb_codec_t  wsb_codec_bus = {
    .name = "bus",
    .ping_interval = 30000,
    .pong_timeout = 30000,
    .decode = wsb_bus_decode,
    .filter = wsb_bus_render_filter,
    .welcome = wsb_bus_welcome,
    .subscribed = wsb_bus_subscribed,
    .unsubscribed = wsb_bus_unsubscribed,
    .pong = wsb_bus_pong,
    .position = wsb_bus_position,
    .renewed = wsb_bus_renewed,
    .gap = wsb_bus_gap,
    .error = wsb_bus_error,
    .response = wsb_bus_response,
    .snapshot = wsb_bus_snapshot,
    .prefix = wsb_bus_prefix,
    .body = wsb_bus_body
};


static void
wsb_bus_welcome(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t connection_id)
{
    (void) context;

    wsb_text_lit(t, "{\"type\":\"welcome\"");
    wsb_bus_text(t, ",\"connection_id\":", connection_id);
    wsb_text_lit(t, "}");
}


static void
wsb_bus_subscribed(wsb_text_t *t, const wsb_op_t *op, const uint8_t *client,
    uint32_t ordinal, wsb_str_t last_id, int recovered)
{
    wsb_str_t  where, none = wsb_null_string;

    (void) client;

    where = op->filter.where_text;

    wsb_text_lit(t, "{\"type\":\"subscribed\",\"subscription_id\":\""
                    WSB_SUB_PREFIX);
    wsb_text_uint(t, ordinal);
    wsb_text_lit(t, "\",\"filter\":");
    wsb_bus_filter_object(t, &op->filter,
                          op->filter.where_inside ? where : none);

    /* where it was found, so that the answer can be sent again */

    if (!op->filter.where_inside) {
        wsb_bus_json(t, ",\"where\":", where);
    }

    wsb_bus_text(t, ",\"last_id\":", last_id);

    if (recovered >= 0) {
        wsb_text_lit(t, recovered ? ",\"recovered\":true"
                                  : ",\"recovered\":false");
    }

    wsb_ignored_text(t, op->ignored);

    wsb_bus_text(t, ",\"id\":", op->id);
    wsb_text_lit(t, "}");
}


static void
wsb_bus_unsubscribed(wsb_text_t *t, const wsb_op_t *op)
{
    wsb_text_lit(t, "{\"type\":\"unsubscribed\"");
    wsb_bus_text(t, ",\"subscription_id\":", op->subscription);
    wsb_text_lit(t, "}");
}


static void
wsb_bus_pong(wsb_text_t *t, const wsb_op_t *op, wsb_str_t last_id)
{
    (void) op;

    wsb_text_lit(t, "{\"type\":\"pong\"");
    wsb_bus_text(t, ",\"last_id\":", last_id);
    wsb_text_lit(t, "}");
}


static void
wsb_bus_position(wsb_text_t *t, wsb_str_t last_id)
{
    wsb_text_lit(t, "{\"type\":\"position\"");
    wsb_bus_text(t, ",\"last_id\":", last_id);
    wsb_text_lit(t, "}");
}


static void
wsb_bus_renewed(wsb_text_t *t, const wsb_op_t *op, uint64_t expires)
{
    wsb_text_lit(t, "{\"type\":\"auth\",\"expires\":");

    if (expires < WSB_NEVER) {
        wsb_text_uint(t, expires);

    } else {
        wsb_text_lit(t, "null");
    }

    wsb_bus_text(t, ",\"id\":", op->id);
    wsb_text_lit(t, "}");
}


static void
wsb_bus_gap(wsb_text_t *t, const wsb_context_t *context, wsb_str_t tenant,
    const uint8_t *client, uint32_t ordinal, int aware, wsb_str_t from,
    wsb_str_t to, const char *reason)
{
    int        n;
    char       buf[WSB_GAP_TEXT_MAX];
    wsb_str_t  text, none = wsb_null_string;

    (void) context;
    (void) tenant;
    (void) client;

    if (aware) {
        wsb_text_lit(t, "{\"type\":\"gap\",\"subscription_id\":\""
                        WSB_SUB_PREFIX);
        wsb_text_uint(t, ordinal);
        wsb_text_lit(t, "\"");
        wsb_bus_text(t, ",\"from\":", from);
        wsb_bus_text(t, ",\"to\":", to);
        wsb_text_lit(t, ",\"reason\":\"");
        wsb_text_lit(t, reason);
        wsb_text_lit(t, "\"}");
        return;
    }

    n = snprintf(buf, sizeof(buf), "Events after %.*s up to %.*s may be"
                 " missing for subscription " WSB_SUB_PREFIX "%u",
                 (int) from.len, (const char *) from.data,
                 (int) to.len, (const char *) to.data, (unsigned) ordinal);

    text.data = (const uint8_t *) buf;
    text.len = n < 0 ? 0 : (size_t) n < sizeof(buf) ? (size_t) n
                                                    : sizeof(buf) - 1;

    wsb_bus_error(t, NULL, none, "gap", text);
}


static void
wsb_bus_error(wsb_text_t *t, const wsb_context_t *context, wsb_str_t id,
    const char *code, wsb_str_t text)
{
    (void) context;

    wsb_text_lit(t, "{\"type\":\"error\",\"message\":");
    wsb_text_json(t, text);
    wsb_text_lit(t, ",\"code\":\"");
    wsb_text_lit(t, code);
    wsb_text_lit(t, "\"");
    wsb_bus_text(t, ",\"id\":", id);
    wsb_text_lit(t, "}");
}


static void
wsb_bus_response(wsb_text_t *t, const wsb_op_t *op,
    const wsb_result_t *result)
{
    wsb_text_lit(t, "{\"type\":\"response\"");
    wsb_bus_text(t, ",\"id\":", op->id);
    wsb_text_lit(t, result->code == NULL ? ",\"success\":true"
                                         : ",\"success\":false");
    if (result->status != 0) {
        wsb_bus_number(t, ",\"status\":", result->status);
    }

    if (result->code != NULL) {
        wsb_bus_failure(t, result);

    } else {
        wsb_bus_result(t, result);
    }

    wsb_text_lit(t, "}");
}


static void
wsb_bus_result(wsb_text_t *t, const wsb_result_t *result)
{
    wsb_bus_json(t, ",\"data\":", result->data);

    if (result->total == WSB_RESULT_NONE && result->count == WSB_RESULT_NONE)
    {
        return;
    }

    wsb_text_lit(t, ",\"metadata\":{");
    wsb_bus_number(t, "\"total\":", result->total);

    if (result->total != WSB_RESULT_NONE && result->count != WSB_RESULT_NONE)
    {
        wsb_text_lit(t, ",");
    }

    wsb_bus_number(t, "\"count\":", result->count);
    wsb_text_lit(t, "}");
}


/* A failure says what failed, and of which subscription. */

static void
wsb_bus_snapshot(wsb_text_t *t, const wsb_op_t *op, const uint8_t *client,
    uint32_t ordinal, wsb_str_t last_id, const wsb_result_t *result)
{
    (void) client;

    if (result->code == NULL) {
        wsb_text_lit(t, "{\"type\":\"snapshot\"");

    } else {
        wsb_text_lit(t, "{\"type\":\"error\",\"message\":");
        wsb_text_json(t, result->text);
        wsb_text_lit(t, ",\"code\":\"snapshot_failed\",\"reason\":\"");
        wsb_text_lit(t, result->code);
        wsb_text_lit(t, "\"");
    }

    wsb_text_lit(t, ",\"subscription_id\":\"" WSB_SUB_PREFIX);
    wsb_text_uint(t, ordinal);
    wsb_text_lit(t, "\"");

    if (result->code == NULL) {
        wsb_bus_text(t, ",\"last_id\":", last_id);
        wsb_bus_result(t, result);

    } else {

        if (result->status != 0) {
            wsb_bus_number(t, ",\"status\":", result->status);
        }

        wsb_bus_number(t, ",\"retry_after\":", result->retry_after);
    }

    wsb_bus_text(t, ",\"id\":", op->id);
    wsb_text_lit(t, "}");
}


static void
wsb_bus_failure(wsb_text_t *t, const wsb_result_t *result)
{
    wsb_text_lit(t, ",\"error\":{\"code\":\"");
    wsb_text_lit(t, result->code);
    wsb_text_lit(t, "\",\"message\":");
    wsb_text_json(t, result->text);
    wsb_bus_number(t, ",\"retry_after\":", result->retry_after);
    wsb_bus_json(t, ",\"details\":", result->details);
    wsb_text_lit(t, "}");
}


static void
wsb_bus_number(wsb_text_t *t, const char *name, uint64_t n)
{
    if (n != WSB_RESULT_NONE) {
        wsb_text_lit(t, name);
        wsb_text_uint(t, n);
    }
}


static size_t
wsb_bus_prefix(uint8_t *dst, const uint8_t *client, uint32_t ordinal,
    wsb_change_t change)
{
    uint8_t  *p;

    static const char       head[] = "{\"type\":\"event\","
                                     "\"subscription_id\":\""
                                     WSB_SUB_PREFIX;
    static const wsb_str_t  words[] = {
        wsb_string("\","),
        wsb_string("\",\"change\":\"entered\","),
        wsb_string("\",\"change\":\"left\","),
        wsb_string("\",\"change\":\"left\",")
    };

    (void) client;

    memcpy(dst, head, sizeof(head) - 1);
    p = dst + sizeof(head) - 1;

    p += wsb_text_digits(p, ordinal);

    memcpy(p, words[change].data, words[change].len);

    return p + words[change].len - dst;
}


static void
wsb_bus_body(wsb_text_t *t, const wsb_event_t *ev, wsb_str_t event_id)
{
    uint8_t    buf[WSB_TIMESTAMP_LEN];
    wsb_str_t  kind, timestamp;

    static const wsb_str_t  entity = wsb_string("entity");

    kind = ev->field[WSB_KIND];

    if (kind.data == NULL) {
        kind = entity;
    }

    timestamp = ev->field[WSB_TIMESTAMP];

    if (timestamp.data == NULL) {
        timestamp.len = wsb_timestamp(ev->msec, buf);
        timestamp.data = buf;
    }

    wsb_bus_text(t, "\"data\":{\"id\":", event_id);
    wsb_bus_text(t, ",\"timestamp\":", timestamp);
    wsb_bus_text(t, ",\"event\":{\"kind\":", kind);
    wsb_bus_text(t, ",\"action\":", ev->field[WSB_ACTION]);

    if (wsb_str_eq(&kind, "link")) {
        wsb_bus_link(t, ev);

    } else {
        wsb_bus_event(t, ev);
    }

    wsb_text_lit(t, "}}}");
}


static void
wsb_bus_event(wsb_text_t *t, const wsb_event_t *ev)
{
    wsb_bus_text(t, ",\"entity_type\":", ev->field[WSB_ENTITY_TYPE]);
    wsb_bus_text(t, ",\"entity_id\":", ev->field[WSB_ENTITY_ID]);
    wsb_bus_json(t, ",\"data\":", ev->field[WSB_DATA]);
    wsb_bus_json(t, ",\"metadata\":", ev->field[WSB_METADATA]);
}


/* A created link always has metadata, a deleted one never. */

static void
wsb_bus_link(wsb_text_t *t, const wsb_event_t *ev)
{
    wsb_str_t  action = ev->field[WSB_ACTION];
    wsb_str_t  metadata = ev->field[WSB_METADATA];

    static const wsb_str_t  null = wsb_string("null");

    wsb_bus_text(t, ",\"link_type\":", ev->field[WSB_LINK_TYPE]);
    wsb_bus_text(t, ",\"link_id\":", ev->field[WSB_LINK_ID]);
    wsb_bus_text(t, ",\"source_id\":", ev->field[WSB_SOURCE_ID]);
    wsb_bus_text(t, ",\"target_id\":", ev->field[WSB_TARGET_ID]);
    wsb_bus_json(t, ",\"data\":", ev->field[WSB_DATA]);

    if (action.data != NULL && wsb_str_eq(&action, "deleted")) {
        return;
    }

    if (metadata.data == NULL
        && action.data != NULL && wsb_str_eq(&action, "created"))
    {
        metadata = null;
    }

    wsb_bus_json(t, ",\"metadata\":", metadata);
}


static void
wsb_bus_render_filter(wsb_text_t *t, const wsb_filter_t *filter)
{
    wsb_str_t  where;

    static const wsb_str_t  more = wsb_string("\"...\"");

    where = filter->where_text;

    wsb_bus_filter_object(t, filter,
                          where.len > WSB_WHERE_TEXT_MAX ? more : where);
}


static void
wsb_bus_filter_object(wsb_text_t *t, const wsb_filter_t *filter,
    wsb_str_t where)
{
    char          comma;
    unsigned      i, j;
    wsb_field_t   field;

    comma = '{';

    for (i = 0; i < WSB_NROUTING; i++) {
        field = wsb_bus_names[i].field;

        if (filter->n[field] == 0) {
            continue;
        }

        wsb_text_add(t, &comma, 1);
        comma = ',';

        wsb_text_lit(t, "\"");
        wsb_text_lit(t, wsb_bus_names[i].name);
        wsb_text_lit(t, filter->array[field] ? "\":[" : "\":");

        for (j = 0; j < filter->n[field]; j++) {
            wsb_text_lit(t, j == 0 ? "" : ",");
            wsb_bus_filter_text(t, field, filter->value[field][j]);
        }

        wsb_text_lit(t, filter->array[field] ? "]" : "");
    }

    if (where.data != NULL) {
        wsb_text_add(t, &comma, 1);
        comma = ',';

        wsb_bus_json(t, "\"where\":", where);
    }

    wsb_text_lit(t, comma == '{' ? "{}" : "}");
}


static void
wsb_bus_filter_text(wsb_text_t *t, wsb_field_t field, wsb_str_t value)
{
    uint8_t  buf[WSB_UUID_LEN];

    if (field == WSB_ENTITY_ID) {
        value = wsb_uuid_norm(value, buf);
    }

    wsb_text_json(t, value);
}


/* These two add nothing if there is no value. */

static void
wsb_bus_text(wsb_text_t *t, const char *name, wsb_str_t value)
{
    if (value.data != NULL) {
        wsb_text_lit(t, name);
        wsb_text_json(t, value);
    }
}


static void
wsb_bus_json(wsb_text_t *t, const char *name, wsb_str_t value)
{
    if (value.data != NULL) {
        wsb_text_lit(t, name);
        wsb_text_str(t, value);
    }
}
