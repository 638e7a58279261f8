/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The resource protocol: what the WebSocketSpec of ResolveSpec speaks, and
 * what docs/protocol-resource.md adds.
 *
 * Each message of the server has a type and a timestamp.  Whatever answers
 * carries the client's id, "" if it has none.
 *
 * Codes of errors that are the protocol's:
 *
 *   invalid_message                 no JSON, a field of a wrong type, or one
 *                                   that is missing
 *   invalid_message_type            a type that clients do not send
 *   invalid_operation               of a request
 *   invalid_subscription_operation  of a subscription
 *   missing_subscription_id         what is to be unsubscribed?
 *   subscription_not_found          there is none on this connection
 *   unsupported                     this version does not do that
 *   gap                             events are missing
 *
 * Those of requests are the engine's, see wsb_codec.h, as are those of its
 * limits.
 */

#include "wsb_resource.h"
#include "../event/wsb_hash.h"
#include "../event/wsb_timestamp.h"

#include <time.h>


#ifndef WSB_RESOURCE_NOW
#define WSB_RESOURCE_NOW()        wsb_resource_now()
#endif

#define WSB_RESOURCE_NAMES        1       /* domain of their hash, which has
                                             a key of its own */


static void wsb_resource_filter(wsb_text_t *t, const wsb_filter_t *filter);
static void wsb_resource_subscribed(wsb_text_t *t, const wsb_op_t *op,
    const uint8_t *client, uint32_t ordinal, wsb_str_t last_id,
    int recovered);
static void wsb_resource_unsubscribed(wsb_text_t *t, const wsb_op_t *op);
static void wsb_resource_pong(wsb_text_t *t, const wsb_op_t *op,
    wsb_str_t last_id);
static void wsb_resource_gap(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t tenant, const uint8_t *client, uint32_t ordinal, int aware,
    wsb_str_t from, wsb_str_t to, const char *reason);
static void wsb_resource_error(wsb_text_t *t, const wsb_context_t *context,
    wsb_str_t id, const char *code, wsb_str_t text);
static void wsb_resource_response(wsb_text_t *t, const wsb_op_t *op,
    const wsb_result_t *result);
static void wsb_resource_result(wsb_text_t *t, const wsb_op_t *op,
    const wsb_result_t *result);
static void wsb_resource_failure(wsb_text_t *t, const wsb_result_t *result);
static size_t wsb_resource_prefix(uint8_t *dst, const uint8_t *client,
    uint32_t ordinal, wsb_change_t change);
static void wsb_resource_body(wsb_text_t *t, const wsb_event_t *ev,
    wsb_str_t event_id);
static void wsb_resource_left(wsb_text_t *t, const wsb_event_t *ev,
    wsb_str_t event_id);
static void wsb_resource_event(wsb_text_t *t, const wsb_event_t *ev,
    const char *operation);
static void wsb_resource_begin(wsb_text_t *t, wsb_str_t id, int success);
static void wsb_resource_end(wsb_text_t *t, uint64_t msec);
static void wsb_resource_string(wsb_text_t *t, const char *name,
    wsb_str_t value);
static void wsb_resource_number(wsb_text_t *t, const char *name, uint64_t n);
static int wsb_resource_hex(uint8_t c);
static uint64_t wsb_resource_now(void);


/*
 * Its clients expect a Ping each 54 s, and to be gone when they have not
 * answered one for 60 s, whatever else they say.
 */

const wsb_codec_t  wsb_codec_resource = {
    .name = "resource",
    .ping_interval = 54000,
    .pong_timeout = 60000,
    .life = WSB_LIFE_PONG,
    .ordered = 1,
    .context = 1,
    .own_names = 1,
    .no_backend = "model_not_found",
    .decode = wsb_resource_decode,
    .filter = wsb_resource_filter,
    .subscribed = wsb_resource_subscribed,
    .unsubscribed = wsb_resource_unsubscribed,
    .pong = wsb_resource_pong,
    .gap = wsb_resource_gap,
    .error = wsb_resource_error,
    .response = wsb_resource_response,
    .prefix = wsb_resource_prefix,
    .body = wsb_resource_body,
    .left = wsb_resource_left
};


static void
wsb_resource_filter(wsb_text_t *t, const wsb_filter_t *filter)
{
    char              comma;
    wsb_value_t       schema;
    const uint8_t    *p, *last;
    wsb_condition_t   condition;

    comma = '{';

    if (filter->n[WSB_ENTITY_TYPE] != 0) {
        wsb_resource_string(t, "{\"entity\":",
                            filter->value[WSB_ENTITY_TYPE][0]);
        comma = ',';
    }

    p = filter->where ? filter->where->bytes : NULL;
    last = filter->where ? p + filter->where->len : NULL;

    while (p < last) {
        p = wsb_where_next(p, &condition);

        if (condition.field && condition.path == WSB_SCHEMA
            && condition.op == WSB_WHERE_EQ)
        {
            (void) wsb_where_value(condition.values, &schema);

            wsb_text_add(t, &comma, 1);
            wsb_resource_string(t, "\"schema\":", schema.text);
            comma = ',';
        }
    }

    if (filter->where_text.data != NULL) {
        wsb_text_add(t, &comma, 1);
        wsb_text_lit(t, "\"filters\":");
        wsb_text_str(t, filter->where_text);
        comma = ',';
    }

    wsb_text_lit(t, comma == '{' ? "{}" : "}");
}


static void
wsb_resource_subscribed(wsb_text_t *t, const wsb_op_t *op,
    const uint8_t *client, uint32_t ordinal, wsb_str_t last_id, int recovered)
{
    uint8_t    name[WSB_UUID_LEN];
    wsb_str_t  s = { WSB_UUID_LEN, name };

    (void) last_id;
    (void) recovered;

    wsb_resource_name(client, ordinal, name);

    wsb_resource_begin(t, op->id, 1);
    wsb_resource_string(t, ",\"data\":{\"subscription_id\":", s);
    wsb_resource_string(t, ",\"schema\":", op->request.schema);
    wsb_resource_string(t, ",\"entity\":", op->request.entity);
    wsb_text_lit(t, "}");
    wsb_resource_end(t, WSB_RESOURCE_NOW());
}


static void
wsb_resource_unsubscribed(wsb_text_t *t, const wsb_op_t *op)
{
    wsb_resource_begin(t, op->id, 1);
    wsb_resource_string(t, ",\"data\":{\"unsubscribed\":true,"
                           "\"subscription_id\":", op->subscription);
    wsb_text_lit(t, "}");
    wsb_resource_end(t, WSB_RESOURCE_NOW());
}


static void
wsb_resource_pong(wsb_text_t *t, const wsb_op_t *op, wsb_str_t last_id)
{
    (void) last_id;

    wsb_resource_string(t, "{\"id\":", op->id);
    wsb_text_lit(t, ",\"type\":\"pong\"");
    wsb_resource_end(t, WSB_RESOURCE_NOW());
}


/* It answers nothing that a client has asked for: its id is "". */

static void
wsb_resource_gap(wsb_text_t *t, const wsb_context_t *context, wsb_str_t tenant,
    const uint8_t *client, uint32_t ordinal, int aware, wsb_str_t from,
    wsb_str_t to, const char *reason)
{
    uint8_t    name[WSB_UUID_LEN];
    wsb_str_t  s = { WSB_UUID_LEN, name };

    static const wsb_str_t  none = wsb_null_string;

    (void) context;
    (void) tenant;
    (void) aware;

    wsb_resource_name(client, ordinal, name);

    wsb_resource_begin(t, none, 0);
    wsb_text_lit(t, ",\"error\":{\"code\":\"gap\",\"message\":\"Events may be"
                    " missing for subscription ");
    wsb_text_str(t, s);
    wsb_resource_string(t, "\",\"details\":{\"subscription_id\":", s);
    wsb_resource_string(t, ",\"from\":", from);
    wsb_resource_string(t, ",\"to\":", to);
    wsb_text_lit(t, ",\"reason\":\"");
    wsb_text_lit(t, reason);
    wsb_text_lit(t, "\"}}");
    wsb_resource_end(t, WSB_RESOURCE_NOW());
}


static void
wsb_resource_error(wsb_text_t *t, const wsb_context_t *context, wsb_str_t id,
    const char *code, wsb_str_t text)
{
    (void) context;

    /* as the engine calls what the protocol has a longer word for */

    if (strcmp(code, "not_found") == 0) {
        code = "subscription_not_found";
    }

    wsb_resource_begin(t, id, 0);
    wsb_text_lit(t, ",\"error\":{\"code\":\"");
    wsb_text_lit(t, code);
    wsb_resource_string(t, "\",\"message\":", text);
    wsb_text_lit(t, "}");
    wsb_resource_end(t, WSB_RESOURCE_NOW());
}


static void
wsb_resource_response(wsb_text_t *t, const wsb_op_t *op,
    const wsb_result_t *result)
{
    wsb_resource_begin(t, op->id, result->code == NULL);

    if (result->code == NULL) {
        wsb_resource_result(t, op, result);

    } else {
        wsb_resource_failure(t, result);
    }

    wsb_resource_end(t, result->time);
}


/* There is always a data: clients look at it without asking. */

static void
wsb_resource_result(wsb_text_t *t, const wsb_op_t *op,
    const wsb_result_t *result)
{
    wsb_text_lit(t, ",\"data\":");

    if (result->data.data != NULL) {
        wsb_text_str(t, result->data);

    } else {
        wsb_text_lit(t, op->request.operation == WSB_DELETE
                            ? "{\"deleted\":true}" : "null");
    }

    if (result->total == WSB_RESULT_NONE && result->count == WSB_RESULT_NONE)
    {
        return;
    }

    wsb_text_lit(t, ",\"metadata\":{");
    wsb_resource_number(t, "\"total\":", result->total);

    if (result->total != WSB_RESULT_NONE && result->count != WSB_RESULT_NONE)
    {
        wsb_text_lit(t, ",");
    }

    wsb_resource_number(t, "\"count\":", result->count);
    wsb_text_lit(t, "}");
}


static void
wsb_resource_failure(wsb_text_t *t, const wsb_result_t *result)
{
    wsb_text_lit(t, ",\"error\":{\"code\":\"");
    wsb_text_lit(t, result->code);
    wsb_resource_string(t, "\",\"message\":", result->text);

    if (result->details.data != NULL) {
        wsb_text_lit(t, ",\"details\":");
        wsb_text_str(t, result->details);
    }

    wsb_resource_number(t, ",\"retry_after\":", result->retry_after);
    wsb_text_lit(t, "}");
}


static size_t
wsb_resource_prefix(uint8_t *dst, const uint8_t *client, uint32_t ordinal,
    wsb_change_t change)
{
    uint8_t  *p;

    static const char  head[] = "{\"type\":\"notification\","
                                "\"subscription_id\":\"";
    static const char  tail[] = "\",";

    _Static_assert(sizeof(head) - 1 + WSB_UUID_LEN + sizeof(tail) - 1
                   <= WSB_PREFIX_MAX, "it has room");

    (void) change;

    p = dst;

    memcpy(p, head, sizeof(head) - 1);
    p += sizeof(head) - 1;

    wsb_resource_name(client, ordinal, p);
    p += WSB_UUID_LEN;

    memcpy(p, tail, sizeof(tail) - 1);

    return p + sizeof(tail) - 1 - dst;
}


/* There are but three actions: see the filter that decode() makes. */

static void
wsb_resource_body(wsb_text_t *t, const wsb_event_t *ev, wsb_str_t event_id)
{
    wsb_str_t  action;

    (void) event_id;

    action = ev->field[WSB_ACTION];

    if (action.data != NULL && wsb_str_eq(&action, "created")) {
        wsb_resource_event(t, ev, "create");

    } else if (action.data != NULL && wsb_str_eq(&action, "deleted")) {
        wsb_resource_event(t, ev, "delete");

    } else {
        wsb_resource_event(t, ev, "update");
    }
}


/* For whoever no longer selects it, it is gone. */

static void
wsb_resource_left(wsb_text_t *t, const wsb_event_t *ev, wsb_str_t event_id)
{
    (void) event_id;

    wsb_resource_event(t, ev, "delete");
}


static void
wsb_resource_event(wsb_text_t *t, const wsb_event_t *ev,
    const char *operation)
{
    wsb_str_t  timestamp;

    wsb_text_lit(t, "\"operation\":\"");
    wsb_text_lit(t, operation);
    wsb_resource_string(t, "\",\"schema\":", ev->field[WSB_SCHEMA]);
    wsb_resource_string(t, ",\"entity\":", ev->field[WSB_ENTITY_TYPE]);
    wsb_text_lit(t, ",\"data\":");

    if (strcmp(operation, "delete") == 0) {
        wsb_resource_string(t, "{\"id\":", ev->field[WSB_ENTITY_ID]);
        wsb_text_lit(t, "}");

    } else if (ev->field[WSB_DATA].data != NULL) {
        wsb_text_str(t, ev->field[WSB_DATA]);

    } else {
        wsb_text_lit(t, "null");
    }

    timestamp = ev->field[WSB_TIMESTAMP];

    if (timestamp.data == NULL) {
        wsb_resource_end(t, ev->msec);
        return;
    }

    wsb_resource_string(t, ",\"timestamp\":", timestamp);
    wsb_text_lit(t, "}");
}


static void
wsb_resource_begin(wsb_text_t *t, wsb_str_t id, int success)
{
    wsb_resource_string(t, "{\"id\":", id);
    wsb_text_lit(t, success ? ",\"type\":\"response\",\"success\":true"
                            : ",\"type\":\"response\",\"success\":false");
}


static void
wsb_resource_end(wsb_text_t *t, uint64_t msec)
{
    uint8_t    buf[WSB_TIMESTAMP_LEN];
    wsb_str_t  timestamp;

    timestamp.len = wsb_timestamp(msec, buf);
    timestamp.data = buf;

    wsb_resource_string(t, ",\"timestamp\":", timestamp);
    wsb_text_lit(t, "}");
}


/* A text that is absent is "": fields of this protocol are always there. */

static void
wsb_resource_string(wsb_text_t *t, const char *name, wsb_str_t value)
{
    static const wsb_str_t  empty = wsb_string("");

    wsb_text_lit(t, name);
    wsb_text_json(t, value.data != NULL ? value : empty);
}


static void
wsb_resource_number(wsb_text_t *t, const char *name, uint64_t n)
{
    if (n != WSB_RESULT_NONE) {
        wsb_text_lit(t, name);
        wsb_text_uint(t, n);
    }
}


/*
 * The last 96 bits are a hash of the ordinal under the client's own key; the
 * ordinal stands in the first 32, XORed with the others.
 */

void
wsb_resource_name(const uint8_t *client, uint32_t ordinal,
    uint8_t dst[WSB_UUID_LEN])
{
    uint8_t    bytes[16], number[4];
    unsigned   i;
    wsb_key_t  hash;

    static const char  hex[] = "0123456789abcdef";

    for (i = 0; i < 4; i++) {
        number[i] = ordinal >> 8 * i & 0xff;
    }

    hash = wsb_hash(client, WSB_RESOURCE_NAMES, number, 4);
    memcpy(bytes, hash.h, 16);

    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;

    for (i = 0; i < 4; i++) {
        bytes[i] = number[i] ^ bytes[4 + i] ^ bytes[8 + i] ^ bytes[12 + i];
    }

    for (i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *dst++ = '-';
        }

        *dst++ = hex[bytes[i] >> 4];
        *dst++ = hex[bytes[i] & 0x0f];
    }
}


uint32_t
wsb_resource_ordinal(const uint8_t *client, wsb_str_t name)
{
    int       c;
    size_t    i;
    uint8_t   bytes[16], same[WSB_UUID_LEN];
    uint32_t  ordinal;
    unsigned  n;

    if (name.len != WSB_UUID_LEN) {
        return 0;
    }

    memset(bytes, 0, sizeof(bytes));

    for (i = 0, n = 0; i < WSB_UUID_LEN; i++) {

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            continue;
        }

        c = wsb_resource_hex(name.data[i]);

        if (c < 0) {
            return 0;
        }

        bytes[n / 2] |= n % 2 ? c : c << 4;
        n++;
    }

    for (i = 0, ordinal = 0; i < 4; i++) {
        ordinal |= (uint32_t) (bytes[i] ^ bytes[4 + i] ^ bytes[8 + i]
                               ^ bytes[12 + i]) << 8 * i;
    }

    wsb_resource_name(client, ordinal, same);

    return memcmp(same, name.data, WSB_UUID_LEN) == 0 ? ordinal : 0;
}


static int
wsb_resource_hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


static uint64_t
wsb_resource_now(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0 || ts.tv_sec < 0) {
        return 0;
    }

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}
