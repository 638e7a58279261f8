/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The bus protocol: what clients may say, and what they get to read.
 */

#include "ws/alloc.h"
#include "event/wsb_ignored.c"
#include "json/wsb_text.c"
#include "match/wsb_value.c"
#include "match/wsb_where.c"
#include "match/wsb_where_build.c"
#include "match/wsb_where_parse.c"
#include "protocol/wsb_op.c"
#include "protocol/wsb_bus_decode.c"
#include "protocol/wsb_bus_request.c"
#include "protocol/wsb_bus.c"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))

#define UUID  "0123abcd-4567-89ef-0123-456789abcdef"


static const wsb_codec_t  *bus = &wsb_codec_bus;

static const wsb_str_t  none = wsb_null_string;


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


/* Decodes a copy that is gone when the operation is looked at. */

static wsb_rc_t
decode(wsb_str_t message, wsb_op_t *op)
{
    uint8_t   *copy;
    wsb_rc_t   rc;

    copy = malloc(message.len + (message.len == 0));
    memcpy(copy, message.data, message.len);
    message.data = copy;

    memset(op, 0, sizeof(*op));
    rc = bus->decode(NULL, message, op);

    memset(copy, 'x', message.len);
    free(copy);

    return rc;
}


static void
asked(wsb_text_t *t, wsb_str_t s)
{
    wsb_text_lit(t, "|");

    if (s.data != NULL) {
        wsb_text_str(t, s);

    } else {
        wsb_text_lit(t, "-");
    }
}


/* The answer to an operation, as an engine without events would give it. */

static void
answer(wsb_text_t *t, const wsb_op_t *op)
{
    wsb_str_t  text;

    switch (op->type) {

    case WSB_OP_SUBSCRIBE:
        bus->subscribed(t, op, NULL, 1, str("E-1"), -1);
        break;

    case WSB_OP_UNSUBSCRIBE:
        bus->unsubscribed(t, op);
        break;

    case WSB_OP_ASK_PONG:
        bus->pong(t, op, none);
        break;

    case WSB_OP_AUTH:
        wsb_text_str(t, op->token);
        bus->renewed(t, op, op->token.len ? 1700000000 : WSB_NEVER);
        break;

    case WSB_OP_REFUSE:
        text.data = op->text.data;
        text.len = op->text.len;
        bus->error(t, NULL, op->id, op->code, text);
        break;

    case WSB_OP_REQUEST:
        wsb_text_lit(t, wsb_operation_names[op->request.operation]);
        asked(t, op->request.entity);
        asked(t, op->request.schema);
        asked(t, op->request.record_id);
        asked(t, op->request.data);
        asked(t, op->request.options);
        break;

    default:
        wsb_text_lit(t, "?");
    }
}


#define SUBSCRIBED(filter)                                                   \
    "{\"type\":\"subscribed\",\"subscription_id\":\"sub_1\",\"filter\":"     \
    filter ",\"last_id\":\"E-1\"}"

#define WHERE(filter, where)                                                 \
    "{\"type\":\"subscribed\",\"subscription_id\":\"sub_1\",\"filter\":"     \
    filter ",\"where\":" where ",\"last_id\":\"E-1\"}"

#define COND(column, op, value)                                              \
    "{\"column\":\"" column "\",\"operator\":\"" op "\",\"value\":" value "}"

#define ERROR(code, text)                                                    \
    "{\"type\":\"error\",\"message\":\"" text "\",\"code\":\"" code "\"}"

#define IGNORED(filter, names)                                               \
    "{\"type\":\"subscribed\",\"subscription_id\":\"sub_1\",\"filter\":"     \
    filter ",\"last_id\":\"E-1\",\"ignored\":[" names "]}"

#define LONG  "0123456789012345678901234567890123456789012345678901234567890123"

#define INVALID(code, text)  ERROR(code, "Invalid message: " text)

#define REQUEST(fields)                                                      \
    "{\"type\":\"request\",\"id\":\"1\"," fields "}"

#define REFUSED(code, text)                                                  \
    "{\"type\":\"error\",\"message\":\"Invalid message: " text "\","       \
    "\"code\":\"" code "\",\"id\":\"1\"}"

#define ASKED(operation, entity, schema, id, data, options)                  \
    operation "|" entity "|" schema "|" id "|" data "|" options

#define SUBSCRIBE(filter)  "{\"type\":\"subscribe\",\"filter\":" filter "}"


static const struct {
    const char  *message;
    const char  *answer;
} dialogue[] = {

    /* tokens */

    { "{\"type\":\"auth\",\"token\":\"a.\\u0062.c\",\"id\":\"7\"}",
      "a.b.c{\"type\":\"auth\",\"expires\":1700000000,\"id\":\"7\"}" },
    { "{\"type\":\"auth\",\"token\":\"\"}",
      "{\"type\":\"auth\",\"expires\":null}" },
    { "{\"type\":\"auth\"}", INVALID("missing_field",
      "missing field `token`") },
    { "{\"type\":\"auth\",\"token\":null}", INVALID("missing_field",
      "missing field `token`") },
    { "{\"type\":\"auth\",\"token\":[\"a\"]}", INVALID("invalid_message",
      "token must be a string") },

    /* filters and their echo */

    { SUBSCRIBE("{}"), SUBSCRIBED("{}") },
    { " {\"filter\" : {} , \"type\":\"subscribe\"}\n", SUBSCRIBED("{}") },
    { SUBSCRIBE("{\"x\":1,\"kind\":null}"), IGNORED("{}", "\"filter.x\"") },
    { SUBSCRIBE("{\"entity_type\":\"order\"}"),
      SUBSCRIBED("{\"entity_type\":\"order\"}") },
    { SUBSCRIBE("{\"kind\":\"k\",\"event_type\":\"e\",\"entity_id\":\"i\","
                "\"entity_type\":\"t\"}"),
      SUBSCRIBED("{\"entity_type\":\"t\",\"entity_id\":\"i\","
                 "\"event_type\":\"e\",\"kind\":\"k\"}") },
    { SUBSCRIBE("{\"entity_type\":[\"a\"],\"kind\":[\"b\",\"a\",\"b\"]}"),
      SUBSCRIBED("{\"entity_type\":[\"a\"],\"kind\":[\"b\",\"a\",\"b\"]}") },
    { SUBSCRIBE("{\"entity_type\":\"\",\"kind\":\"*\",\"event_type\":[\"\"]}"),
      SUBSCRIBED("{\"entity_type\":\"\",\"event_type\":[\"\"],"
                 "\"kind\":\"*\"}") },
    { SUBSCRIBE("{\"entity_id\":17}"), SUBSCRIBED("{\"entity_id\":\"17\"}") },
    { SUBSCRIBE("{\"entity_id\":[-5,\"x\",123456789012345678901]}"),
      SUBSCRIBED("{\"entity_id\":[\"-5\",\"x\",\"123456789012345678901\"]}")
    },
    { SUBSCRIBE("{\"entity_id\":\"{0123ABCD-4567-89EF-0123-456789ABCDEF}\"}"),
      SUBSCRIBED("{\"entity_id\":\"" UUID "\"}") },
    { SUBSCRIBE("{\"entity_id\":[\"0123ABCD456789EF0123456789ABCDEF\","
                "\"urn:uuid:" UUID "\"]}"),
      SUBSCRIBED("{\"entity_id\":[\"" UUID "\",\"" UUID "\"]}") },
    { SUBSCRIBE("{\"entity_type\":\"0123ABCD456789EF0123456789ABCDEF\"}"),
      SUBSCRIBED("{\"entity_type\":\"0123ABCD456789EF0123456789ABCDEF\"}") },
    { SUBSCRIBE("{\"entity_type\":\"\\u00e9\\n\\\"\\u0001\\/\\ud83d\\ude00\"}"),
      SUBSCRIBED("{\"entity_type\":\"\xc3\xa9\\n\\\"\\u0001/"
                 "\xf0\x9f\x98\x80\"}") },
    { SUBSCRIBE("{\"\\u006bind\":\"k\"}"), SUBSCRIBED("{\"kind\":\"k\"}") },
    { SUBSCRIBE("{\"where\":null,\"data\":{\"a\":[]},\"since\":7}"),
      IGNORED("{}", "\"filter.data\",\"filter.since\"") },
    { "{\"type\":\"\\u0073ubscribe\",\"filter\":{},\"extra\":[{}]}",
      IGNORED("{}", "\"extra\"") },

    /* what nobody looks at */

    { SUBSCRIBE("{\"entitytype\":\"order\"}"),
      IGNORED("{}", "\"filter.entitytype\"") },
    { "{\"type\":\"subscribe\",\"entity_type\":\"x\",\"filter\":{\"Kind\":\"k\","
      "\"kind\":\"k\",\"\":0,\"o\":null},\"Since\":\"now\",\"nil\":null,"
      "\"id\":\"7\"}",
      "{\"type\":\"subscribed\",\"subscription_id\":\"sub_1\",\"filter\":{"
      "\"kind\":\"k\"},\"last_id\":\"E-1\",\"ignored\":[\"filter.Kind\","
      "\"filter.\",\"entity_type\",\"Since\"],\"id\":\"7\"}" },
    { SUBSCRIBE("{\"\\u0061\\n\\\"\u00e9\":0}"),
      IGNORED("{}", "\"filter.a\\n\\\"\u00e9\"") },
    { SUBSCRIBE("{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,"
                "\"h\":0}"),
      IGNORED("{}", "\"filter.a\",\"filter.b\",\"filter.c\",\"filter.d\","
              "\"filter.e\",\"filter.f\",\"filter.g\",\"filter.h\"") },
    { SUBSCRIBE("{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,"
                "\"h\":0,\"i\":0,\"j\":0}"),
      IGNORED("{}", "\"filter.a\",\"filter.b\",\"filter.c\",\"filter.d\","
              "\"filter.e\",\"filter.f\",\"filter.g\",\"filter.h\","
              "\"...\"") },
    { SUBSCRIBE("{\"" LONG "\":0}"), IGNORED("{}", "\"filter." LONG "\"") },
    { SUBSCRIBE("{\"" LONG "4\":0}"), IGNORED("{}", "\"...\"") },
    { SUBSCRIBE("{\"" LONG "4\":0,\"b\":0}"),
      IGNORED("{}", "\"filter.b\",\"...\"") },

    /* action is event_type */

    { SUBSCRIBE("{\"action\":\"e\"}"), SUBSCRIBED("{\"event_type\":\"e\"}") },
    { SUBSCRIBE("{\"action\":[\"d\",\"e\"],\"event_type\":null}"),
      SUBSCRIBED("{\"event_type\":[\"d\",\"e\"]}") },
    { SUBSCRIBE("{\"event_type\":[\"e\"],\"action\":null}"),
      SUBSCRIBED("{\"event_type\":[\"e\"]}") },
    { SUBSCRIBE("{\"event_type\":\"e\",\"action\":\"e\"}"),
      SUBSCRIBED("{\"event_type\":\"e\"}") },
    { SUBSCRIBE("{\"action\":\"e\",\"event_type\":\"f\"}"),
      INVALID("bad_filter", "filter.action and filter.event_type differ") },
    { SUBSCRIBE("{\"action\":\"e\",\"event_type\":[\"e\"]}"),
      INVALID("bad_filter", "filter.action and filter.event_type differ") },
    { SUBSCRIBE("{\"action\":1}"),
      INVALID("bad_filter", "filter.action must be a string, or an array of"
                            " them") },
    { SUBSCRIBE("{\"action\":[]}"),
      INVALID("bad_filter", "filter.action is an empty array") },

    /* the rest of a subscribe */

    { "{\"type\":\"subscribe\",\"filter\":{},\"id\":\"a\\\"b\"}",
      "{\"type\":\"subscribed\",\"subscription_id\":\"sub_1\",\"filter\":{},"
      "\"last_id\":\"E-1\",\"id\":\"a\\\"b\"}" },
    { "{\"type\":\"subscribe\",\"filter\":{},\"id\":\"\"}",
      "{\"type\":\"subscribed\",\"subscription_id\":\"sub_1\",\"filter\":{},"
      "\"last_id\":\"E-1\",\"id\":\"\"}" },
    { "{\"type\":\"subscribe\",\"filter\":{},\"id\":null,\"since\":null,"
      "\"where\":null,\"snapshot\":null}", SUBSCRIBED("{}") },
    { "{\"type\":\"subscribe\",\"filter\":{},\"snapshot\":false}",
      SUBSCRIBED("{}") },
    { "{\"type\":\"subscribe\",\"filter\":{},\"id\":7}",
      INVALID("invalid_message", "id must be a string of at most 256 bytes")
    },
    { "{\"type\":\"subscribe\",\"filter\":{},\"snapshot\":1}",
      INVALID("invalid_message", "snapshot must be true or false") },
    { "{\"type\":\"subscribe\",\"filter\":{},\"snapshot\":true,\"id\":\"q\"}",
      "{\"type\":\"error\",\"message\":\"Invalid message: with a snapshot"
      " filter.entity_type must be one type\",\"code\":\"bad_snapshot\","
      "\"id\":\"q\"}" },
    { REQUEST("\"operation\":\"read\",\"entity_type\":\"order\""),
      ASKED("read", "order", "-", "-", "-", "-") },
    { REQUEST("\"operation\":\"update\",\"entity_type\":\"o\","
              "\"entity_id\":9007199254740993,\"schema\":\"s\","
              "\"data\":[1.0,{\"a\":1,\"a\":\"\\u0000\"}],"
              "\"options\":{ \"limit\" : 2 }"),
      ASKED("update", "o", "s", "9007199254740993",
            "[1.0,{\"a\":1,\"a\":\"\\u0000\"}]", "{ \"limit\" : 2 }") },
    { REQUEST("\"operation\":\"d\\u0065lete\",\"entity_type\":\"\\u00e9\","
              "\"entity_id\":\"../../a\""),
      ASKED("delete", "\xc3\xa9", "-", "../../a", "-", "-") },
    { "{\"type\":\"request\",\"operation\":\"read\"}",
      INVALID("missing_field", "a request must have an id, a string of 1 to"
              " 256 bytes") },
    { REQUEST("\"operation\":null"),
      REFUSED("missing_field", "missing field `operation`") },
    { REQUEST("\"operation\":\"READ\""),
      REFUSED("invalid_operation", "operation must be create, read, update,"
              " delete or meta") },
    { REQUEST("\"operation\":\"meta\""),
      REFUSED("missing_field", "missing field `entity_type`") },
    { REQUEST("\"operation\":\"meta\",\"entity_type\":\"\""),
      REFUSED("invalid_message", "entity_type must be a string of 1 to 256"
              " bytes") },
    { REQUEST("\"operation\":\"read\",\"entity_type\":\"o\","
              "\"entity_id\":1.5"),
      REFUSED("invalid_message", "entity_id must be a string of 1 to 256"
              " bytes") },
    { REQUEST("\"operation\":\"read\",\"entity_type\":\"o\","
              "\"options\":[]"),
      REFUSED("invalid_message", "options must be an object") },
    { REQUEST("\"operation\":\"read\",\"entity_type\":\"o\","
              "\"options\":{\"limit\":1,\"limit\":2}"),
      REFUSED("invalid_message", "options must be an object") },

    /* conditions, repeated as they are written where they were */

    { "{\"type\":\"subscribe\",\"filter\":{},\"where\":[]}",
      WHERE("{}", "[]") },
    { SUBSCRIBE("{\"where\":[]}"), SUBSCRIBED("{\"where\":[]}") },
    { "{\"type\":\"subscribe\",\"filter\":{\"kind\":\"k\"},\"where\":[ "
      COND("a.b", "eq", "1.0") " ] }",
      WHERE("{\"kind\":\"k\"}", "[ " COND("a.b", "eq", "1.0") " ]") },
    { SUBSCRIBE("{\"where\":[" COND("a", "in", "[1,\"\\u00e9\"]")
                "],\"kind\":\"k\"}"),
      SUBSCRIBED("{\"kind\":\"k\",\"where\":["
                 COND("a", "in", "[1,\"\\u00e9\"]") "]}") },
    { "{\"type\":\"subscribe\",\"filter\":{\"where\":null},\"where\":["
      COND("a", "like", "\"x%\"") "]}",
      WHERE("{}", "[" COND("a", "like", "\"x%\"") "]") },
    { "{\"type\":\"subscribe\",\"filter\":{\"where\":[]},\"where\":[]}",
      INVALID("bad_where", "where stands both in filter and beside it") },
    { "{\"type\":\"subscribe\",\"filter\":{},\"where\":{}}",
      INVALID("bad_where", "where must be an array") },
    { SUBSCRIBE("{\"where\":[" COND("a", "eq", "1") "," COND("a", "eq", "1")
                "," COND("a", "GT", "1") "]}"),
      INVALID("bad_where", "where[2]: unknown operator, expected one of "
              WSB_WHERE_OPERATORS) },
    { "{\"type\":\"subscribe\",\"filter\":{},\"where\":[1],\"id\":\"q\"}",
      "{\"type\":\"error\",\"message\":\"Invalid message: where[0]: an object"
      " is expected\",\"code\":\"bad_where\",\"id\":\"q\"}" },
    { "{\"type\":\"subscribe\",\"filter\":{},\"where\":["
      COND("a", "eq", "1") "],\"since\":7}",
      INVALID("bad_since", "since must be an event id, \\\"now\\\" or"
                           " \\\"first\\\"") },
    { "{\"type\":\"subscribe\",\"filter\":{},\"where\":["
      "{\"column\":\"a\",\"column\":\"b\"}]}",
      INVALID("invalid_json", "repeated key at byte 55") },

    /* wrong filters */

    { "{\"type\":\"subscribe\"}",
      INVALID("missing_field", "missing field `filter`") },
    { SUBSCRIBE("null"), INVALID("missing_field", "missing field `filter`") },
    { SUBSCRIBE("\"order\""),
      INVALID("bad_filter", "filter must be an object") },
    { SUBSCRIBE("[]"), INVALID("bad_filter", "filter must be an object") },
    { SUBSCRIBE("{\"entity_type\":1}"),
      INVALID("bad_filter", "filter.entity_type must be a string, or an"
                            " array of them") },
    { SUBSCRIBE("{\"kind\":true}"),
      INVALID("bad_filter", "filter.kind must be a string, or an array of"
                            " them") },
    { SUBSCRIBE("{\"event_type\":{}}"),
      INVALID("bad_filter", "filter.event_type must be a string, or an array"
                            " of them") },
    { SUBSCRIBE("{\"entity_id\":1.5}"),
      INVALID("bad_filter", "filter.entity_id must be a string or an integer,"
                            " or an array of them") },
    { SUBSCRIBE("{\"entity_id\":[\"a\",null]}"),
      INVALID("bad_filter", "filter.entity_id must be a string or an integer,"
                            " or an array of them") },
    { SUBSCRIBE("{\"kind\":[[\"a\"]]}"),
      INVALID("bad_filter", "filter.kind must be a string, or an array of"
                            " them") },
    { SUBSCRIBE("{\"kind\":[]}"),
      INVALID("bad_filter", "filter.kind is an empty array") },
    { SUBSCRIBE("{\"entity_id\":\"\"}"),
      INVALID("bad_filter", "filter.entity_id is empty") },
    { SUBSCRIBE("{\"entity_id\":[\"a\",\"\"]}"),
      INVALID("bad_filter", "filter.entity_id is empty") },

    /* unsubscribe, ping */

    { "{\"type\":\"unsubscribe\",\"subscription_id\":\"sub_7\"}",
      "{\"type\":\"unsubscribed\",\"subscription_id\":\"sub_7\"}" },
    { "{\"type\":\"unsubscribe\"}",
      INVALID("missing_field", "missing field `subscription_id`") },
    { "{\"type\":\"unsubscribe\",\"subscription_id\":7,\"id\":\"i\"}",
      "{\"type\":\"error\",\"message\":\"Invalid message: subscription_id must"
      " be a string of at most 256 bytes\",\"code\":\"invalid_message\","
      "\"id\":\"i\"}" },
    { "{\"type\":\"ping\"}", "{\"type\":\"pong\"}" },
    { "{\"type\":\"ping\",\"id\":7,\"filter\":1,\"x\":{}}",
      "{\"type\":\"pong\"}" },

    /* no message */

    { "", INVALID("invalid_json", "unexpected end at byte 0") },
    { "hello", INVALID("invalid_json", "a value is expected at byte 0") },
    { "{\"type\":\"ping\",\"x\":\"a\\u0000\"}",
      INVALID("invalid_json", "escaped NUL at byte 21") },
    { "{\"type\":\"ping\",\"\\u0000\":1}",
      INVALID("invalid_json", "escaped NUL at byte 16") },
    { "{\"type\":\"ping\",\"x\":\"\\ud83d\"}",
      INVALID("invalid_json", "lone surrogate at byte 20") },
    { "{\"type\":\"ping\",\"x\":[{\"\\ude00\":1}]}",
      INVALID("invalid_json", "lone surrogate at byte 22") },
    { "{\"type\":\"ping\"}x", INVALID("invalid_json", "text after the end of"
                                      " the document at byte 15") },
    { "{\"type\":\"ping\",}",
      INVALID("invalid_json", "a key is expected at byte 15") },
    { "{\"type\":\"ping\",\"type\":\"ping\"}",
      INVALID("invalid_json", "repeated key at byte 15") },
    { SUBSCRIBE("{\"kind\":\"a\",\"kind\":\"a\"}"),
      INVALID("invalid_json", "repeated key at byte 41") },
    { SUBSCRIBE("{\"kind\":\"a\\u0000\"}"),
      INVALID("invalid_json", "escaped NUL at byte 39") },
    { SUBSCRIBE("{\"kind\":\"\\ud800\"}"),
      INVALID("invalid_json", "lone surrogate at byte 38") },
    { "[]", INVALID("invalid_message", "an object is expected") },
    { "\"ping\"", INVALID("invalid_message", "an object is expected") },
    { "null", INVALID("invalid_message", "an object is expected") },
    { "{}", INVALID("missing_field", "missing field `type`") },
    { "{\"type\":null}", INVALID("missing_field", "missing field `type`") },
    { "{\"type\":[\"ping\"]}",
      INVALID("invalid_message", "type must be a string") },
    { "{\"Type\":\"ping\"}",
      INVALID("missing_field", "missing field `type`") },
    { "{\"type\":\"Ping\"}",
      INVALID("unknown_type", "unknown type `Ping`, expected one of"
              " `subscribe`, `unsubscribe`, `ping`, `auth`, `request`,"
              " `snapshot`") },
    { "{\"type\":\"\\n%s\"}",
      INVALID("unknown_type", "unknown type `\\n%s`, expected one of"
              " `subscribe`, `unsubscribe`, `ping`, `auth`, `request`,"
              " `snapshot`") },
    { "{\"type\":\"\",\"id\":\"x\"}",
      "{\"type\":\"error\",\"message\":\"Invalid message: unknown type ``,"
      " expected one of `subscribe`, `unsubscribe`, `ping`, `auth`, `request`,"
              " `snapshot`\","
      "\"code\":\"unknown_type\",\"id\":\"x\"}" },
    { "{\"type\":\"0123456789012345678901234567890123456789012345678901234567"
      "890123\"}",
      INVALID("unknown_type", "unknown type"
              " `0123456789012345678901234567890123456789012345678901234567"
              "890123`, expected one of"
              " `subscribe`, `unsubscribe`, `ping`, `auth`, `request`,"
              " `snapshot`") },
};


static void
test_dialogue(void)
{
    size_t      i;
    wsb_op_t    op;
    wsb_text_t  t;

    memset(&t, 0, sizeof(t));

    for (i = 0; i < len(dialogue); i++) {
        is_uint(decode(str(dialogue[i].message), &op), WSB_OK, "%s",
                i == 1 ? "white space around" : dialogue[i].message);

        answer(&t, &op);
        is_bytes(t.data, t.len, dialogue[i].answer, "answer");

        wsb_text_done(&t);
        wsb_op_done(&op);
    }

    is_uint(live, 0, "nothing is left");
}


static void
test_since(void)
{
    char      message[200];
    size_t    i;
    wsb_op_t  op;

    static const struct {
        const char   *since;
        wsb_since_t   want;
        uint64_t      seq;
    } table[] = {
        { "null", WSB_SINCE_NONE, 0 },
        { "\"now\"", WSB_SINCE_NOW, 0 },
        { "\"first\"", WSB_SINCE_FIRST, 0 },
        { "\"fi\\u0072st\"", WSB_SINCE_FIRST, 0 },
        { "\"01234567-89ab-8000-8000-000000000011\"", WSB_SINCE_ID, 17 },
        { "\"01234567-89AB-8000-8000-000000000000\"", WSB_SINCE_ID, 0 },
    };

    static const char  *bad[] = {
        "\"\"", "\"Now\"", "\"0123456789ab-1\"",
        "\"01234567-89ab-8000-8000-000000000011 \"",
        "\"01234567-89ab-4000-8000-000000000011\"",
        "\"{01234567-89ab-8000-8000-000000000011}\"",
        "17", "true", "[]", "{}", "\"2026-01-02T03:04:05Z\""
    };

    for (i = 0; i < len(table); i++) {
        sprintf(message, "{\"type\":\"subscribe\",\"filter\":{},\"since\":%s}",
                table[i].since);
        decode(str(message), &op);

        is_uint(op.type, WSB_OP_SUBSCRIBE, "since %s", table[i].since);
        is_uint(op.since, table[i].want, "is understood");

        if (table[i].want == WSB_SINCE_ID) {
            is_uint(op.since_epoch, 0x0123456789ab, "epoch");
            is_uint(op.since_seq, table[i].seq, "seq");
            is_bytes(op.since_text.data, op.since_text.len,
                     i == 4 ? "01234567-89ab-8000-8000-000000000011"
                            : "01234567-89AB-8000-8000-000000000000",
                     "as sent");
        }

        wsb_op_done(&op);
    }

    for (i = 0; i < len(bad); i++) {
        sprintf(message, "{\"type\":\"subscribe\",\"filter\":{},\"since\":%s}",
                bad[i]);
        decode(str(message), &op);

        is_uint(op.type, WSB_OP_REFUSE, "since %s", bad[i]);
        is_bytes(op.code, strlen(op.code), "bad_since", "code");
        wsb_op_done(&op);
    }
}


static void
test_unsubscribe(void)
{
    char        message[400];
    size_t      i;
    wsb_op_t    op;

    static const struct {
        const char  *id;
        uint32_t     ordinal;
    } table[] = {
        { "sub_1", 1 },
        { "sub_4294967295", 4294967295 },
        { "sub_4294967296", 0 },
        { "sub_9999999999", 0 },
        { "sub_42949672950", 0 },
        { "sub_0", 0 },
        { "sub_01", 0 },
        { "sub_", 0 },
        { "sub", 0 },
        { "", 0 },
        { "sub_1x", 0 },
        { "sub_ 1", 0 },
        { "sub_-1", 0 },
        { "Sub_1", 0 },
        { "sub_0123456789abcdef0123456789abcdef", 0 },
    };

    for (i = 0; i < len(table); i++) {
        sprintf(message, "{\"type\":\"unsubscribe\",\"subscription_id\":"
                "\"%s\"}", table[i].id);
        decode(str(message), &op);

        is_uint(op.type, WSB_OP_UNSUBSCRIBE, "unsubscribe %s", table[i].id);
        is_uint(op.ordinal, table[i].ordinal, "ordinal");

        sprintf(message, "Subscription %s not found", table[i].id);
        wsb_op_not_found(&op);
        is_uint(op.type, WSB_OP_REFUSE, "not found");
        is_bytes(op.code, strlen(op.code), "not_found", "code");
        is_bytes(op.text.data, op.text.len, message, "text");
        wsb_op_done(&op);
    }
}


static void
test_limits(void)
{
    char      *message, *p;
    size_t     i, n, j;
    wsb_op_t   op;

    message = malloc(200000);

    for (n = WSB_FILTER_VALUES; n <= WSB_FILTER_VALUES + 1; n++) {
        p = stpcpy(message, "{\"type\":\"subscribe\",\"filter\":{");

        for (i = 0; i < WSB_NROUTING; i++) {
            p += sprintf(p, "%s\"%s\":[", i ? "," : "",
                         wsb_bus_names[i].name);

            for (j = 0; j < n; j++) {
                p += sprintf(p, "%s\"v%zu\"", j ? "," : "", j);
            }

            p = stpcpy(p, "]");
        }

        strcpy(p, "}}");
        decode(str(message), &op);

        if (n == WSB_FILTER_VALUES) {
            is_uint(op.type, WSB_OP_SUBSCRIBE, "four times 128 values");

            for (i = 0; i < WSB_NROUTING; i++) {
                is_uint(op.filter.n[i], n, "all of them");
                is_bytes(op.filter.value[i][127].data,
                         op.filter.value[i][127].len, "v127", "the last");
                is_uint(op.filter.array[i], 1, "an array");
            }

        } else {
            is_bytes(op.text.data, op.text.len, "Invalid message:"
                     " filter.entity_type has more than 128 values",
                     "129 are too many");
        }

        wsb_op_done(&op);
    }

    for (n = 256; n <= 257; n++) {
        p = stpcpy(message, "{\"type\":\"subscribe\",\"filter\":{\"kind\":\"");
        memset(p, 'k', n);
        strcpy(p + n, "\"}}");
        decode(str(message), &op);
        is_uint(op.type, n == 256 ? WSB_OP_SUBSCRIBE : WSB_OP_REFUSE,
                "a value of %zu bytes", n);
        wsb_op_done(&op);

        p = stpcpy(message, "{\"type\":\"subscribe\",\"filter\":{},\"id\":\"");
        memset(p, 'k', n);
        strcpy(p + n, "\"}");
        decode(str(message), &op);
        is_uint(op.type, n == 256 ? WSB_OP_SUBSCRIBE : WSB_OP_REFUSE,
                "an id of %zu bytes", n);
        is_uint(op.id.len, n == 256 ? 256 : 0, "is repeated if it fits");
        wsb_op_done(&op);

        p = stpcpy(message, "{\"type\":\"unsubscribe\",\"subscription_id\":\"");
        memset(p, 'k', n);
        strcpy(p + n, "\"}");
        decode(str(message), &op);
        is_uint(op.type, n == 256 ? WSB_OP_UNSUBSCRIBE : WSB_OP_REFUSE,
                "a subscription_id of %zu bytes", n);
        wsb_op_done(&op);
    }

    for (n = WSB_MESSAGE_DEPTH; n <= WSB_MESSAGE_DEPTH + 1; n++) {
        p = stpcpy(message, "{\"type\":\"ping\",\"x\":");
        memset(p, '[', n - 1);
        memset(p + n - 1, ']', n - 1);
        strcpy(p + 2 * (n - 1), "}");
        decode(str(message), &op);
        is_uint(op.type, n == WSB_MESSAGE_DEPTH ? WSB_OP_ASK_PONG
                                                : WSB_OP_REFUSE,
                "depth %zu", n);
        wsb_op_done(&op);
    }

    p = stpcpy(message, "{\"type\":\"");
    memset(p, 't', 65);
    strcpy(p + 65, "\"}");
    decode(str(message), &op);
    is_bytes(op.text.data, op.text.len, "Invalid message: unknown type ``,"
             " expected one of `subscribe`, `unsubscribe`, `ping`, `auth`, `request`,"
              " `snapshot`",
             "a long type is not repeated");
    wsb_op_done(&op);

    free(message);
}


static void
test_answers(void)
{
    wsb_op_t    op;
    wsb_text_t  t;

    memset(&t, 0, sizeof(t));

    bus->welcome(&t, NULL, str("conn_0123456789abcdef0123456789abcdef"));
    is_bytes(t.data, t.len, "{\"type\":\"welcome\",\"connection_id\":"
             "\"conn_0123456789abcdef0123456789abcdef\"}", "welcome");
    wsb_text_done(&t);

    decode(str("{\"type\":\"subscribe\",\"filter\":{\"kind\":\"link\"},"
               "\"id\":\"x\"}"), &op);

    bus->subscribed(&t, &op, NULL, 4294967295, str("e-9"), 1);
    is_bytes(t.data, t.len, "{\"type\":\"subscribed\",\"subscription_id\":"
             "\"sub_4294967295\",\"filter\":{\"kind\":\"link\"},\"last_id\":"
             "\"e-9\",\"recovered\":true,\"id\":\"x\"}", "recovered");
    wsb_text_done(&t);

    bus->subscribed(&t, &op, NULL, 2, str("e-9"), 0);
    is_bytes(t.data, t.len, "{\"type\":\"subscribed\",\"subscription_id\":"
             "\"sub_2\",\"filter\":{\"kind\":\"link\"},\"last_id\":"
             "\"e-9\",\"recovered\":false,\"id\":\"x\"}", "not recovered");
    wsb_text_done(&t);

    bus->filter(&t, &op.filter);
    is_bytes(t.data, t.len, "{\"kind\":\"link\"}", "the filter by itself");
    wsb_text_done(&t);
    wsb_op_done(&op);

    decode(str("{\"type\":\"subscribe\",\"filter\":{\"kind\":\"link\"},"
               "\"where\":[" COND("a", "eq", "1") "]}"), &op);
    ok(op.filter.where != NULL && !op.filter.where_inside, "conditions");
    bus->filter(&t, &op.filter);
    is_bytes(t.data, t.len, "{\"kind\":\"link\",\"where\":["
             COND("a", "eq", "1") "]}", "the filter with conditions");
    wsb_text_done(&t);
    wsb_op_done(&op);

    decode(str("{\"type\":\"subscribe\",\"filter\":{},\"where\":["
               COND("a", "eq", "1") "," COND("b", "eq", "1") ","
               COND("c", "eq", "\"longer\"") "]}"), &op);
    bus->filter(&t, &op.filter);
    is_bytes(t.data, t.len, "{\"where\":\"...\"}", "not with many");
    wsb_text_done(&t);
    wsb_op_done(&op);

    bus->pong(&t, &op, str("e-3"));
    is_bytes(t.data, t.len, "{\"type\":\"pong\",\"last_id\":\"e-3\"}", "pong");
    wsb_text_done(&t);

    bus->position(&t, str("e-3"));
    is_bytes(t.data, t.len, "{\"type\":\"position\",\"last_id\":\"e-3\"}",
             "position");
    wsb_text_done(&t);

    bus->gap(&t, NULL, none, NULL, 3, 1, str("e-1"), str("e-5"), "slow");
    is_bytes(t.data, t.len, "{\"type\":\"gap\",\"subscription_id\":\"sub_3\","
             "\"from\":\"e-1\",\"to\":\"e-5\",\"reason\":\"slow\"}", "gap");
    wsb_text_done(&t);

    bus->gap(&t, NULL, none, NULL, 3, 0, str("e-1"), str("e-5"), "history");
    is_bytes(t.data, t.len, "{\"type\":\"error\",\"message\":\"Events after"
             " e-1 up to e-5 may be missing for subscription sub_3\","
             "\"code\":\"gap\"}", "gap for who does not know of them");
    wsb_text_done(&t);

    bus->error(&t, NULL, str("a\nb"), "code", str("say \"no\""));
    is_bytes(t.data, t.len, "{\"type\":\"error\",\"message\":"
             "\"say \\\"no\\\"\",\"code\":\"code\",\"id\":\"a\\nb\"}",
             "error");
    wsb_text_done(&t);
}


static void
test_prefix(void)
{
    size_t    n;
    uint8_t   buf[WSB_PREFIX_MAX];

    n = bus->prefix(buf, NULL, 1, WSB_CHANGE_NONE);
    is_bytes(buf, n, "{\"type\":\"event\",\"subscription_id\":\"sub_1\",",
             "prefix");

    n = bus->prefix(buf, NULL, 2, WSB_CHANGE_LEFT);
    is_bytes(buf, n, "{\"type\":\"event\",\"subscription_id\":\"sub_2\","
                     "\"change\":\"left\",", "left");

    n = bus->prefix(buf, NULL, UINT32_MAX, WSB_CHANGE_ENTERED);
    is_bytes(buf, n,
             "{\"type\":\"event\",\"subscription_id\":\"sub_4294967295\","
             "\"change\":\"entered\",", "the longest");
    ok(n < WSB_PREFIX_MAX, "has room");
}


static void
test_body(void)
{
    size_t       i, j;
    wsb_text_t   t;
    wsb_event_t  ev;

#define ENTITY  [WSB_KIND] = "entity", [WSB_ENTITY_TYPE] = "order",          \
                [WSB_ENTITY_ID] = "o-1"
#define LINK    [WSB_KIND] = "link", [WSB_LINK_TYPE] = "has",                \
                [WSB_LINK_ID] = "l", [WSB_SOURCE_ID] = "s",                  \
                [WSB_TARGET_ID] = "t"
#define BODY    "\"data\":{\"id\":\"e-1\",\"timestamp\":"                    \
                "\"2026-01-02T03:04:05.678Z\",\"event\":{"
#define OF_LINK  ",\"link_type\":\"has\",\"link_id\":\"l\","                 \
                 "\"source_id\":\"s\",\"target_id\":\"t\""

    static const struct {
        const char  *field[WSB_NFIELDS];
        const char  *body;
    } table[] = {
        { { ENTITY, [WSB_ACTION] = "created", [WSB_DATA] = "{ \"a\":1.0}" },
          BODY "\"kind\":\"entity\",\"action\":\"created\",\"entity_type\":"
          "\"order\",\"entity_id\":\"o-1\",\"data\":{ \"a\":1.0}}}}" },
        { { ENTITY, [WSB_ACTION] = "deleted" },
          BODY "\"kind\":\"entity\",\"action\":\"deleted\",\"entity_type\":"
          "\"order\",\"entity_id\":\"o-1\"}}}" },
        { { ENTITY, [WSB_ACTION] = "x", [WSB_DATA] = "null",
            [WSB_METADATA] = "[]", [WSB_OLD] = "{}", [WSB_TENANT] = "acme",
            [WSB_SCHEMA] = "s", [WSB_SECTION] = "s", [WSB_CAUSE] = "o",
            [WSB_LINK_TYPE] = "l" },
          BODY "\"kind\":\"entity\",\"action\":\"x\",\"entity_type\":"
          "\"order\",\"entity_id\":\"o-1\",\"data\":null,"
          "\"metadata\":[]}}}" },
        { { ENTITY, [WSB_ACTION] = "a\"\n",
            [WSB_TIMESTAMP] = "2025-01-01T00:00:00+01:00" },
          "\"data\":{\"id\":\"e-1\",\"timestamp\":"
          "\"2025-01-01T00:00:00+01:00\",\"event\":{"
          "\"kind\":\"entity\",\"action\":\"a\\\"\\n\",\"entity_type\":"
          "\"order\",\"entity_id\":\"o-1\"}}}" },
        { { [WSB_ACTION] = "x" },
          BODY "\"kind\":\"entity\",\"action\":\"x\"}}}" },
        { { [WSB_DATA] = "1" },
          BODY "\"kind\":\"entity\",\"data\":1}}}" },
        { { LINK, [WSB_ACTION] = "created" },
          BODY "\"kind\":\"link\",\"action\":\"created\"" OF_LINK
          ",\"metadata\":null}}}" },
        { { LINK, [WSB_ACTION] = "created", [WSB_METADATA] = "{}",
            [WSB_ENTITY_TYPE] = "e", [WSB_ENTITY_ID] = "i" },
          BODY "\"kind\":\"link\",\"action\":\"created\"" OF_LINK
          ",\"metadata\":{}}}}" },
        { { LINK, [WSB_ACTION] = "deleted", [WSB_METADATA] = "{}" },
          BODY "\"kind\":\"link\",\"action\":\"deleted\"" OF_LINK "}}}" },
        { { LINK, [WSB_ACTION] = "changed", [WSB_METADATA] = "{}",
            [WSB_DATA] = "2" },
          BODY "\"kind\":\"link\",\"action\":\"changed\"" OF_LINK
          ",\"data\":2,\"metadata\":{}}}}" },
        { { LINK, [WSB_ACTION] = "changed" },
          BODY "\"kind\":\"link\",\"action\":\"changed\"" OF_LINK "}}}" },
    };

    memset(&t, 0, sizeof(t));
    memset(&ev, 0, sizeof(ev));
    ev.msec = 1767323045678;

    for (i = 0; i < len(table); i++) {
        for (j = 0; j < WSB_NFIELDS; j++) {
            ev.field[j] = str(table[i].field[j]);
        }

        bus->body(&t, &ev, str("e-1"));
        is_bytes(t.data, t.len, table[i].body, "body %zu", i);
        wsb_text_done(&t);
    }
}


static void
test_failures(void)
{
    size_t      i, n, bad;
    wsb_rc_t    rc;
    wsb_op_t    op;
    wsb_text_t  t;

    bad = 0;

    for (i = 0; i < len(dialogue); i++) {
        for (n = 1; n < 50; n++) {
            calls = 0;
            fail_at = n;

            memset(&t, 0, sizeof(t));
            rc = decode(str(dialogue[i].message), &op);

            if (rc == WSB_OK) {
                answer(&t, &op);

                if (!t.failed) {
                    bad += t.len != strlen(dialogue[i].answer);
                    break;
                }

            } else {
                bad += rc != WSB_NOMEM;
            }

            wsb_op_done(&op);
            wsb_text_done(&t);
            bad += live != 0;
        }

        bad += n == 50;
        wsb_op_done(&op);
        wsb_text_done(&t);
    }

    fail_at = 0;
    is_uint(bad, 0, "any allocation may fail");
    is_uint(live, 0, "nothing is left");
}


/* The answer to a request, of its parts those that are known. */

static void
test_response(void)
{
    wsb_op_t      op;
    wsb_text_t    t;
    wsb_result_t  r;

    memset(&t, 0, sizeof(t));
    memset(&op, 0, sizeof(op));
    op.id = str("a\"1");

    wsb_result_init(&r);
    r.status = 201;
    r.data = str("{ \"n\": 1.0 }");
    bus->response(&t, &op, &r);
    is_bytes(t.data, t.len, "{\"type\":\"response\",\"id\":\"a\\\"1\","
             "\"success\":true,\"status\":201,\"data\":{ \"n\": 1.0 }}",
             "a success, the bytes of the backend as they are");
    wsb_text_done(&t);

    wsb_result_init(&r);
    r.status = 206;
    r.data = str("[1]");
    r.total = 7;
    r.count = 1;
    bus->response(&t, &op, &r);
    is_bytes(t.data, t.len, "{\"type\":\"response\",\"id\":\"a\\\"1\","
             "\"success\":true,\"status\":206,\"data\":[1],"
             "\"metadata\":{\"total\":7,\"count\":1}}", "rows");
    wsb_text_done(&t);

    r.count = WSB_RESULT_NONE;
    r.data = none;
    bus->response(&t, &op, &r);
    is_bytes(t.data, t.len, "{\"type\":\"response\",\"id\":\"a\\\"1\","
             "\"success\":true,\"status\":206,\"metadata\":{\"total\":7}}",
             "a total alone");
    wsb_text_done(&t);

    wsb_result_init(&r);
    r.code = "validation_error";
    r.text = str("no \"name\"");
    r.status = 422;
    r.details = str("[ ]");
    bus->response(&t, &op, &r);
    is_bytes(t.data, t.len, "{\"type\":\"response\",\"id\":\"a\\\"1\","
             "\"success\":false,\"status\":422,\"error\":{\"code\":"
             "\"validation_error\",\"message\":\"no \\\"name\\\"\","
             "\"details\":[ ]}}", "a failure");
    wsb_text_done(&t);

    wsb_result_init(&r);
    r.code = "too_many_requests";
    r.text = str("later");
    r.retry_after = 3;
    bus->response(&t, &op, &r);
    is_bytes(t.data, t.len, "{\"type\":\"response\",\"id\":\"a\\\"1\","
             "\"success\":false,\"error\":{\"code\":\"too_many_requests\","
             "\"message\":\"later\",\"retry_after\":3}}", "to be tried again");
    wsb_text_done(&t);

    is_bytes(wsb_operation_error(WSB_META), 10, "read_error", "of a meta");
    is_bytes(wsb_operation_error(WSB_DELETE), 12, "delete_error", "of one");
    is_uint(live, 0, "nothing is left");
}


int
main(void)
{
    test_dialogue();
    test_since();
    test_unsubscribe();
    test_limits();
    test_answers();
    test_prefix();
    test_body();
    test_response();
    test_failures();

    return tap_done();
}
