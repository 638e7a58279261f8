/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The resource protocol: what clients may say, and what they get to read.
 */

#include "ws/alloc.h"

#define WSB_RESOURCE_NOW()  1767323045000

#include "event/wsb_ignored.c"
#include "json/wsb_text.c"
#include "match/wsb_value.c"
#include "match/wsb_where.c"
#include "match/wsb_where_build.c"
#include "match/wsb_where_parse.c"
#include "protocol/wsb_op.c"
#include "protocol/wsb_resource_decode.c"
#include "protocol/wsb_resource.c"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))

#define NOW     "\"timestamp\":\"2026-01-02T03:04:05Z\"}"


static const wsb_codec_t  *codec = &wsb_codec_resource;

static const wsb_str_t  none = wsb_null_string;

static const uint8_t  client[WSB_CLIENT_LEN + 1] = "0123456789abcdef";
static const uint8_t  other[WSB_CLIENT_LEN + 1] = "0123456789abcdeg";

static uint8_t  name1[WSB_UUID_LEN + 1];


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


/* Decodes a copy that is gone when the operation is looked at. */

static wsb_rc_t
decode(wsb_str_t message, const char *schema, wsb_op_t *op)
{
    uint8_t        *copy;
    wsb_rc_t        rc;
    wsb_context_t   context;

    memset(&context, 0, sizeof(context));
    context.client = client;
    context.schema = str(schema);

    copy = malloc(message.len + (message.len == 0));
    memcpy(copy, message.data, message.len);
    message.data = copy;

    memset(op, 0, sizeof(*op));
    rc = codec->decode(&context, message, op);

    memset(copy, 'x', message.len);
    free(copy);

    return rc;
}


static void
add(wsb_text_t *t, const char *what, wsb_str_t s)
{
    wsb_text_lit(t, what);
    wsb_text_add(t, s.data ? (const char *) s.data : "-", s.data ? s.len : 1);
}


/* The answer to an operation, as an engine without events would give it. */

static void
answer(wsb_text_t *t, const wsb_op_t *op)
{
    wsb_str_t  text;

    switch (op->type) {

    case WSB_OP_SUBSCRIBE:
        codec->subscribed(t, op, client, 1, str("E-1"), -1);
        break;

    case WSB_OP_UNSUBSCRIBE:
        wsb_text_uint(t, op->ordinal);
        codec->unsubscribed(t, op);
        break;

    case WSB_OP_ASK_PONG:
        codec->pong(t, op, str("E-1"));
        break;

    case WSB_OP_REQUEST:
        wsb_text_lit(t, wsb_operation_names[op->request.operation]);
        add(t, " id=", op->id);
        add(t, " schema=", op->request.schema);
        add(t, " entity=", op->request.entity);
        add(t, " record=", op->request.record_id);
        add(t, " data=", op->request.data);
        add(t, " options=", op->request.options);
        break;

    case WSB_OP_REFUSE:
        text.data = op->text.data;
        text.len = op->text.len;
        codec->error(t, NULL, op->id, op->code, text);
        break;

    default:
        wsb_text_lit(t, "?");
    }
}


#define ERROR(id, code, text)                                                \
    "{\"id\":\"" id "\",\"type\":\"response\",\"success\":false,\"error\":"  \
    "{\"code\":\"" code "\",\"message\":\"" text "\"}," NOW

#define PARSE(text)                                                          \
    ERROR("", "invalid_message", "Failed to parse message: " text)

#define INVALID(text)                                                        \
    ERROR("1", "invalid_message", "Message validation failed: " text)

#define REQUEST(rest)                                                        \
    "{\"id\":\"1\",\"type\":\"request\"," rest "}"

#define SUBSCRIPTION(rest)                                                   \
    "{\"id\":\"1\",\"type\":\"subscription\"," rest "}"

#define FILTERS(filters)                                                     \
    SUBSCRIPTION("\"operation\":\"subscribe\",\"entity\":\"users\","         \
                 "\"options\":{\"filters\":" filters "}")

/* "@" stands for the name of the first subscription */

#define SUBSCRIBED(schema, entity)                                           \
    "{\"id\":\"1\",\"type\":\"response\",\"success\":true,\"data\":{"        \
    "\"subscription_id\":\"@\",\"schema\":\"" schema "\",\"entity\":\""      \
    entity "\"}," NOW


static const struct {
    const char  *message;
    const char  *answer;
} messages[] = {

    /* no message */

    { "", PARSE("unexpected end at byte 0") },
    { "[]", PARSE("an object is expected") },
    { "{\"id\":1}", PARSE("id must be a string of at most 256 bytes") },
    { "{\"id\":\"1\",\"type\":{}}",
      PARSE("type must be a string of at most 256 bytes") },
    { REQUEST("\"operation\":1"),
      PARSE("operation must be a string of at most 256 bytes") },
    { REQUEST("\"schema\":1"),
      PARSE("schema must be a string of at most 256 bytes") },
    { REQUEST("\"entity\":true"),
      PARSE("entity must be a string of at most 256 bytes") },
    { REQUEST("\"subscription_id\":1"),
      PARSE("subscription_id must be a string of at most 256 bytes") },
    { REQUEST("\"record_id\":[]"),
      PARSE("record_id must be a string of at most 256 bytes") },
    { REQUEST("\"record_id\":1.5"),
      PARSE("record_id must be a string or an integer") },
    { REQUEST("\"options\":[]"), PARSE("options must be an object") },
    { "{\"id\":\"a\\u0000b\",\"type\":\"ping\"}",
      PARSE("escaped NUL at byte 8") },

    /* what is missing */

    { "{}", ERROR("", "invalid_message",
                  "Message validation failed: missing type") },
    { "{\"id\":\"1\",\"type\":null}", INVALID("missing type") },
    { "{\"type\":\"request\",\"operation\":\"read\",\"entity\":\"users\"}",
      ERROR("", "invalid_message",
            "Message validation failed: missing id") },
    { REQUEST("\"entity\":\"users\""), INVALID("missing operation") },
    { REQUEST("\"operation\":\"read\",\"entity\":\"\""),
      INVALID("missing entity") },
    { REQUEST("\"operation\":\"update\",\"entity\":\"users\","
              "\"record_id\":\"\""), INVALID("missing record_id") },
    { REQUEST("\"operation\":\"delete\",\"entity\":\"users\""),
      INVALID("missing record_id") },
    { SUBSCRIPTION("\"entity\":\"users\""), INVALID("missing operation") },
    { SUBSCRIPTION("\"operation\":\"unsubscribe\""),
      ERROR("1", "missing_subscription_id",
            "subscription_id is required for unsubscribe") },

    /* what is not known */

    { "{\"id\":\"1\",\"type\":\"notification\"}",
      ERROR("1", "invalid_message_type", "Unknown message type"
            " `notification`, expected request, subscription or ping") },
    { REQUEST("\"operation\":\"subscribe\",\"entity\":\"users\""),
      ERROR("1", "invalid_operation", "Unknown operation `subscribe`,"
            " expected read, create, update, delete or meta") },
    { REQUEST("\"operation\":\"READ\",\"entity\":\"a\""),
      ERROR("1", "invalid_operation", "Unknown operation `READ`,"
            " expected read, create, update, delete or meta") },
    { SUBSCRIPTION("\"operation\":\"a\\\"b\""),
      ERROR("1", "invalid_subscription_operation", "Unknown subscription"
            " operation `a\\\"b`, expected subscribe or unsubscribe") },

    /* requests */

    { REQUEST("\"operation\":\"read\",\"schema\":\"public\",\"entity\":"
              "\"users\",\"options\":{\"limit\":2}"),
      "read id=1 schema=public entity=users record=- data=- "
      "options={\"limit\":2}" },
    { REQUEST("\"operation\":\"read\",\"entity\":\"users\",\"record_id\":7"),
      "read id=1 schema=- entity=users record=7 data=- options=-" },
    { REQUEST("\"operation\":\"create\",\"entity\":\"users\",\"data\":"
              "{\"n\":9007199254740993, \"a\":[{\"a\":1,\"a\":2}]}"),
      "create id=1 schema=- entity=users record=- data="
      "{\"n\":9007199254740993, \"a\":[{\"a\":1,\"a\":2}]} options=-" },
    { REQUEST("\"operation\":\"update\",\"entity\":\"us\\u0065rs\","
              "\"record_id\":\"../../secret\",\"data\":null"),
      "update id=1 schema=- entity=users record=../../secret data=- "
      "options=-" },
    { REQUEST("\"operation\":\"delete\",\"entity\":\"users\",\"record_id\":"
              "\"a/b\",\"x\":1"),
      "delete id=1 schema=- entity=users record=a/b data=- options=-" },
    { REQUEST("\"operation\":\"meta\",\"entity\":\"users\""),
      "meta id=1 schema=- entity=users record=- data=- options=-" },

    /* subscriptions */

    { SUBSCRIPTION("\"operation\":\"subscribe\",\"schema\":\"hr\","
                   "\"entity\":\"users\",\"options\":{}"),
      SUBSCRIBED("hr", "users") },
    { SUBSCRIPTION("\"operation\":\"subscribe\",\"entity\":\"users\""),
      SUBSCRIBED("public", "users") },
    { SUBSCRIPTION("\"operation\":\"subscribe\""),
      SUBSCRIBED("public", "") },
    { SUBSCRIPTION("\"operation\":\"subscribe\",\"entity\":\"users\","
                   "\"snapshot\":false"), SUBSCRIBED("public", "users") },
    { SUBSCRIPTION("\"operation\":\"subscribe\",\"snapshot\":true"),
      ERROR("1", "unsupported", "snapshot is not supported by this version") },
    { FILTERS("null"), SUBSCRIBED("public", "users") },
    { FILTERS("[]"), SUBSCRIBED("public", "users") },
    { FILTERS("[{\"column\":\"a\",\"operator\":\"in\",\"value\":[]}]"),
      SUBSCRIBED("public", "users") },
    { FILTERS("\"a\""), INVALID("filters must be an array") },
    { FILTERS("[{\"column\":\"a\",\"operator\":\"is_null\",\"value\":1}]"),
      INVALID("filters[0]: unknown operator, expected one of "
              WSB_WHERE_OPERATORS) },
    { FILTERS("[{\"column\":\"a\",\"operator\":\"eq\"}]"),
      INVALID("filters[0]: missing value") },
    { FILTERS("[{\"column\":\"a\",\"operator\":\"eq\",\"value\":1},"
              "{\"column\":\"a\",\"operator\":\"eq\",\"value\":{}}]"),
      INVALID("filters[1]: value must be a scalar") },

    { SUBSCRIPTION("\"operation\":\"unsubscribe\",\"subscription_id\":"
                   "\"sub_1\""),
      "0{\"id\":\"1\",\"type\":\"response\",\"success\":true,\"data\":{"
      "\"unsubscribed\":true,\"subscription_id\":\"sub_1\"}," NOW },

    /* ping */

    { "{\"type\":\"ping\",\"id\":\"9\"}",
      "{\"id\":\"9\",\"type\":\"pong\"," NOW },
    { "{\"type\":\"ping\"}", "{\"id\":\"\",\"type\":\"pong\"," NOW }
};


static void
test_messages(void)
{
    char         want[512], *p;
    const char  *from;
    unsigned     i;
    wsb_op_t     op;
    wsb_text_t   t;

    for (i = 0; i < len(messages); i++) {
        memset(&t, 0, sizeof(t));

        if (decode(str(messages[i].message), "public", &op) != WSB_OK) {
            abort();
        }

        answer(&t, &op);

        for (from = messages[i].answer, p = want; *from; from++) {
            if (*from == '@') {
                memcpy(p, name1, WSB_UUID_LEN);
                p += WSB_UUID_LEN;
            } else {
                *p++ = *from;
            }
        }

        *p = '\0';

        is_bytes(t.data, t.len, want, "%s", messages[i].message);

        wsb_text_done(&t);
        wsb_op_done(&op);
    }

    is_uint(live, 0, "nothing is left");
}


/* What is subscribed to: routing, and conditions besides the client's. */

static int
condition(const wsb_where_t *where, wsb_field_t field, wsb_where_op_t op)
{
    const uint8_t    *p, *last;
    wsb_condition_t   c;

    p = where->bytes;
    last = p + where->len;

    while (p < last) {
        p = wsb_where_next(p, &c);

        if (c.field && c.path == field && c.op == op) {
            return 1;
        }
    }

    return 0;
}


static void
subscribe(const char *schema, const char *rest, wsb_op_t *op)
{
    char  text[512];

    snprintf(text, sizeof(text), "{\"id\":\"1\",\"type\":\"subscription\","
             "\"operation\":\"subscribe\"%s}", rest);

    if (decode(str(text), schema, op) != WSB_OK
        || op->type != WSB_OP_SUBSCRIBE)
    {
        abort();
    }
}


static void
test_filter(void)
{
    wsb_op_t    op;
    wsb_text_t  t;

    memset(&t, 0, sizeof(t));

    subscribe("public", ",\"entity\":\"users\"", &op);
    is_uint(op.filter.n[WSB_ENTITY_TYPE], 1, "one entity");
    is_uint(op.filter.n[WSB_KIND], 0, "of any kind");
    ok(condition(op.filter.where, WSB_ACTION, WSB_WHERE_IN),
       "the actions that have a word");
    ok(condition(op.filter.where, WSB_SCHEMA, WSB_WHERE_EQ)
       && condition(op.filter.where, WSB_SCHEMA, WSB_WHERE_ABSENT),
       "the default schema, or none");
    is_uint(wsb_where_cost(op.filter.where), 0, "it costs nothing");
    codec->filter(&t, &op.filter);
    is_bytes(t.data, t.len, "{\"entity\":\"users\",\"schema\":\"public\"}",
             "as people read it");
    wsb_text_done(&t);
    wsb_op_done(&op);

    subscribe("public", ",\"entity\":\"users\",\"schema\":\"hr\"", &op);
    ok(condition(op.filter.where, WSB_SCHEMA, WSB_WHERE_EQ)
       && !condition(op.filter.where, WSB_SCHEMA, WSB_WHERE_ABSENT),
       "another schema alone");
    wsb_op_done(&op);

    subscribe(NULL, ",\"options\":{\"filters\":[{\"column\":\"a\","
              "\"operator\":\"gt\",\"value\":1}]}", &op);
    is_uint(op.filter.n[WSB_ENTITY_TYPE], 0, "any entity");
    is_uint(op.filter.n[WSB_KIND], 1, "of the kind of entities");
    ok(!condition(op.filter.where, WSB_SCHEMA, WSB_WHERE_EQ)
       && condition(op.filter.where, WSB_SCHEMA, WSB_WHERE_ABSENT),
       "without a schema");
    is_uint(wsb_where_cost(op.filter.where), 1, "it costs what it says");
    codec->filter(&t, &op.filter);
    is_bytes(t.data, t.len, "{\"filters\":[{\"column\":\"a\",\"operator\":"
             "\"gt\",\"value\":1}]}", "as people read it");
    wsb_text_done(&t);
    wsb_op_done(&op);

    is_uint(live, 0, "nothing is left");
}


static void
test_names(void)
{
    unsigned    i, k, bad, same;
    uint8_t     name[WSB_UUID_LEN], next[WSB_UUID_LEN];
    wsb_str_t   s = { WSB_UUID_LEN, name };

    static const uint32_t  ordinals[] = {
        1, 2, 3, 255, 256, 65535, 65536, 16777216, UINT32_MAX
    };

    bad = 0;
    same = 0;

    for (i = 0; i < len(ordinals); i++) {
        wsb_resource_name(client, ordinals[i], name);
        wsb_resource_name(other, ordinals[i], next);

        bad += wsb_resource_ordinal(client, s) != ordinals[i];
        bad += wsb_resource_ordinal(other, s) != 0;
        bad += name[14] != '4' || strchr("89ab", name[19]) == NULL;
        same += memcmp(name, next, 8) == 0;

        for (k = 0; k < WSB_UUID_LEN; k++) {
            name[k] ^= 1;
            bad += wsb_resource_ordinal(client, s) != 0;
            name[k] ^= 1;
        }

        s.len--;
        bad += wsb_resource_ordinal(client, s) != 0;
        s.len++;
    }

    is_uint(bad, 0, "a name is its client's, and its ordinal is found");
    is_uint(same, 0, "names of two clients differ");
    ok(wsb_resource_ordinal(client, none) == 0, "none is none");
    ok(wsb_resource_ordinal(client, str("01234567-89AB-4def-8123-"
                                        "456789abcdef")) == 0, "capitals");
}


#define HEAD                                                                 \
    "\"operation\":\"%s\",\"schema\":\"public\",\"entity\":\"users\",\"data\":"


static void
is_body(const wsb_event_t *ev, int left, const char *operation,
    const char *rest)
{
    char        want[512];
    wsb_text_t  t;

    memset(&t, 0, sizeof(t));

    if (left) {
        codec->left(&t, ev, none);
    } else {
        codec->body(&t, ev, none);
    }

    snprintf(want, sizeof(want), HEAD "%s", operation, rest);
    is_bytes(t.data, t.len, want, "%s%s", operation, left ? ", left" : "");
    wsb_text_done(&t);
}


static void
test_events(void)
{
    size_t       n;
    uint8_t      prefix[WSB_PREFIX_MAX];
    char         want[WSB_PREFIX_MAX + 1];
    wsb_text_t   t;
    wsb_event_t  ev;

    memset(&ev, 0, sizeof(ev));

    ev.msec = 1767323045678;
    ev.field[WSB_KIND] = str("entity");
    ev.field[WSB_ACTION] = str("created");
    ev.field[WSB_SCHEMA] = str("public");
    ev.field[WSB_ENTITY_TYPE] = str("users");
    ev.field[WSB_ENTITY_ID] = str("a\"7");
    ev.field[WSB_DATA] = str("{\"n\":1.0, \"n\":2}");

    is_body(&ev, 0, "create", "{\"n\":1.0, \"n\":2},"
            "\"timestamp\":\"2026-01-02T03:04:05.678Z\"}");

    ev.field[WSB_ACTION] = str("updated");
    ev.field[WSB_TIMESTAMP] = str("2020-01-01T00:00:00+01:00");
    is_body(&ev, 0, "update", "{\"n\":1.0, \"n\":2},"
            "\"timestamp\":\"2020-01-01T00:00:00+01:00\"}");
    is_body(&ev, 1, "delete", "{\"id\":\"a\\\"7\"},"
            "\"timestamp\":\"2020-01-01T00:00:00+01:00\"}");

    ev.field[WSB_DATA] = none;
    is_body(&ev, 0, "update",
            "null,\"timestamp\":\"2020-01-01T00:00:00+01:00\"}");

    ev.field[WSB_ACTION] = str("deleted");
    ev.field[WSB_ENTITY_ID] = none;
    is_body(&ev, 0, "delete", "{\"id\":\"\"},"
            "\"timestamp\":\"2020-01-01T00:00:00+01:00\"}");

    memset(&ev, 0, sizeof(ev));
    memset(&t, 0, sizeof(t));
    codec->body(&t, &ev, none);
    is_bytes(t.data, t.len, "\"operation\":\"update\",\"schema\":\"\","
             "\"entity\":\"\",\"data\":null,"
             "\"timestamp\":\"1970-01-01T00:00:00Z\"}", "an empty event");
    wsb_text_done(&t);

    n = codec->prefix(prefix, client, 1, WSB_CHANGE_ENTERED);
    snprintf(want, sizeof(want), "{\"type\":\"notification\","
             "\"subscription_id\":\"%s\",", (char *) name1);
    is_bytes(prefix, n, want, "the prefix has the client's name for it");
}


static void
is_response(const wsb_result_t *result, wsb_operation_t operation,
    const char *want)
{
    wsb_op_t    op;
    wsb_text_t  t;

    memset(&op, 0, sizeof(op));
    memset(&t, 0, sizeof(t));

    op.id = str("1");
    op.request.operation = operation;

    codec->response(&t, &op, result);
    is_bytes(t.data, t.len, want, "%s", want);
    wsb_text_done(&t);
}


#define SUCCESS  "{\"id\":\"1\",\"type\":\"response\",\"success\":true,"
#define FAILURE  "{\"id\":\"1\",\"type\":\"response\",\"success\":false,"


static void
test_responses(void)
{
    char           want[512];
    wsb_text_t     t;
    wsb_result_t   result;

    wsb_result_init(&result);
    result.time = WSB_RESOURCE_NOW();

    is_response(&result, WSB_READ, SUCCESS "\"data\":null," NOW);
    is_response(&result, WSB_DELETE,
                SUCCESS "\"data\":{\"deleted\":true}," NOW);

    result.data = str("[{\"id\":7}]");
    result.total = 11;
    is_response(&result, WSB_READ, SUCCESS "\"data\":[{\"id\":7}],"
                "\"metadata\":{\"total\":11}," NOW);

    result.count = 1;
    is_response(&result, WSB_READ, SUCCESS "\"data\":[{\"id\":7}],"
                "\"metadata\":{\"total\":11,\"count\":1}," NOW);

    result.total = WSB_RESULT_NONE;
    is_response(&result, WSB_READ, SUCCESS "\"data\":[{\"id\":7}],"
                "\"metadata\":{\"count\":1}," NOW);

    result.code = "validation_error";
    result.text = str("no \"name\"");
    is_response(&result, WSB_CREATE, FAILURE "\"error\":{\"code\":"
                "\"validation_error\",\"message\":\"no \\\"name\\\"\"}," NOW);

    result.details = str("{\"field\":\"name\"}");
    result.retry_after = 3;
    is_response(&result, WSB_CREATE, FAILURE "\"error\":{\"code\":"
                "\"validation_error\",\"message\":\"no \\\"name\\\"\","
                "\"details\":{\"field\":\"name\"},\"retry_after\":3}," NOW);

    memset(&t, 0, sizeof(t));
    codec->gap(&t, NULL, none, client, 1, 0, str("E-1"), str("E-5"), "slow");
    snprintf(want, sizeof(want), "{\"id\":\"\",\"type\":\"response\","
             "\"success\":false,\"error\":{\"code\":\"gap\",\"message\":"
             "\"Events may be missing for subscription %s\",\"details\":{"
             "\"subscription_id\":\"%s\",\"from\":\"E-1\",\"to\":\"E-5\","
             "\"reason\":\"slow\"}}," NOW, (char *) name1, (char *) name1);
    is_bytes(t.data, t.len, want, "a gap");
    wsb_text_done(&t);

    codec->error(&t, NULL, str("8"), "not_found", str("Subscription x not found"));
    is_bytes(t.data, t.len, ERROR("8", "subscription_not_found",
                                  "Subscription x not found"), "no such");
    wsb_text_done(&t);
}


/* A row has as many columns as it likes; a message does not. */

static void
test_limits(void)
{
    char      *text, *p;
    unsigned   i;
    wsb_op_t   op;

    text = malloc(65536);

    p = text + sprintf(text, "{\"id\":\"1\",\"type\":\"request\","
                       "\"operation\":\"create\",\"entity\":\"a\","
                       "\"data\":{\"c\":0");

    for (i = 0; i < 200; i++) {
        p += sprintf(p, ",\"c%u\":\"\\ud800\"", i);
    }

    strcpy(p, "}}");
    ok(decode(str(text), NULL, &op) == WSB_OK && op.type == WSB_OP_REQUEST,
       "a row of many columns");
    wsb_op_done(&op);

    p = text + sprintf(text, "{\"id\":\"1\",\"type\":\"request\","
                       "\"operation\":\"create\",\"entity\":\"a\","
                       "\"data\":");
    memset(p, '[', 200);
    memset(p + 200, ']', 200);
    strcpy(p + 400, "}");
    ok(decode(str(text), NULL, &op) == WSB_OK && op.type == WSB_OP_REFUSE,
       "but not of any depth");
    wsb_op_done(&op);

    p = text + sprintf(text, "{\"type\":\"ping\",\"id\":\"");
    memset(p, 'x', 256);
    strcpy(p + 256, "\"}");
    ok(decode(str(text), NULL, &op) == WSB_OK && op.id.len == 256,
       "an id of 256 bytes");
    wsb_op_done(&op);

    strcpy(p + 256, "x\"}");
    ok(decode(str(text), NULL, &op) == WSB_OK && op.type == WSB_OP_REFUSE
       && op.id.data == NULL, "and no more");
    wsb_op_done(&op);

    free(text);
}


static void
test_failures(void)
{
    unsigned   i, n, bad, failed;
    wsb_op_t   op;
    wsb_rc_t   rc;

    bad = 0;
    failed = 0;

    for (i = 0; i < len(messages); i++) {
        for (n = 1; n < 100; n++) {
            calls = 0;
            fail_at = n;
            rc = decode(str(messages[i].message), "public", &op);

            if (rc == WSB_OK) {
                wsb_op_done(&op);
                break;
            }

            failed++;
            bad += rc != WSB_NOMEM || live != 0;
        }

        bad += n == 100;
    }

    fail_at = 0;
    is_uint(bad, 0, "any allocation may fail");
    ok(failed > 100, "%u times", failed);
    is_uint(live, 0, "nothing is left");
}


int
main(void)
{
    wsb_resource_name(client, 1, name1);

    test_messages();
    test_filter();
    test_names();
    test_events();
    test_responses();
    test_limits();
    test_failures();

    return tap_done();
}
