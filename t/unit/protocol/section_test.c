/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The section protocol: what clients may say, what they get to read, and what
 * is for whom.
 */

#include "ws/alloc.h"

#define WSB_SECTION_NOW()  1767323045678

#include "event/wsb_form.c"
#include "json/wsb_text.c"
#include "match/wsb_where.c"
#include "protocol/wsb_op.c"
#include "protocol/wsb_section_decode.c"
#include "protocol/wsb_section_read.c"
#include "protocol/wsb_section.c"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))

#define NOW     "\"timestamp\":\"2026-01-02T03:04:05.678Z\"}"


static const wsb_codec_t  *codec = &wsb_codec_section;

static const wsb_str_t  none = wsb_null_string;

static const wsb_str_t  actions[] = {
    wsb_string("created"), wsb_string("updated"), wsb_string("snapshot")
};


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


static wsb_context_t
of(const char *entity)
{
    wsb_context_t  context;

    memset(&context, 0, sizeof(context));

    context.entity = str(entity);
    context.section = str("main-hall");
    context.user = str("u-1");
    context.session = str("s-1");
    context.roles = str("[\"USER\"]");
    context.actions = actions;
    context.nactions = len(actions);

    return context;
}


/* Decodes a copy that is gone when the operation is looked at. */

static wsb_rc_t
decode(const char *entity, const char *text, wsb_op_t *op)
{
    uint8_t        *copy;
    wsb_rc_t        rc;
    wsb_str_t       message;
    wsb_context_t   context;

    context = of(entity);
    message = str(text);

    copy = malloc(message.len + 1);
    memcpy(copy, message.data, message.len);
    message.data = copy;

    memset(op, 0, sizeof(wsb_op_t));

    rc = codec->decode(&context, message, op);

    memset(copy, 'x', message.len);
    free(copy);

    return rc;
}


static void
is_text(wsb_text_t *t, const char *want, const char *what)
{
    is_bytes(t->data, t->len, want, "%s", what);
    wsb_text_done(t);
}


/* Commands, and what the backend is asked; NULL: the reason of an error. */

static const struct {
    const char  *entity;
    const char  *message;
    const char  *args;
    const char  *id;
    const char  *reason;
} commands[] = {

#define LIST(entity, name)                                                   \
    { entity, "{\"action\":\"" name "\"}", "page=1&limit=20", NULL, NULL }
#define GET(entity, name)                                                    \
    { entity, "{\"action\":\"" name "\",\"payload\":{\"id\":\"7\"}}", NULL,  \
      "7", NULL }
#define BAD(message, reason)                                                 \
    { "tables", message, NULL, NULL, reason }
#define ASKS(payload, args)                                                  \
    { "tables", "{\"action\":\"list\",\"payload\":" payload "}", args, NULL, \
      NULL }
#define INVALID(action, payload)                                             \
    BAD("{\"action\":\"" action "\",\"payload\":" payload "}",               \
        "invalid payload")

    LIST("restaurants", "list_restaurants"),
    LIST("tables", "list_tables"),
    LIST("reservations", "list_reservations"),
    LIST("reviews", "list_reviews"),
    LIST("sections", "list_sections"),
    LIST("objects", "list_objects"),
    LIST("menus", "list_menus"),
    LIST("dishes", "list_dishes"),
    LIST("images", "list_images"),
    LIST("section-objects", "list_section_objects"),
    LIST("payments", "list_payments"),
    LIST("subscriptions", "list_subscriptions"),
    LIST("subscription-plans", "list_subscription_plans"),
    LIST("users", "list_users"),
    LIST("owner-upgrades", "list_owner_upgrades"),
    LIST("tables", "list"),
    LIST("tables", "fetch_all"),
    LIST("tables", " \\tLIST_Tables "),

    GET("restaurants", "get_restaurant"),
    GET("tables", "get_table"),
    GET("reservations", "get_reservation"),
    GET("reviews", "get_review"),
    GET("sections", "get_section"),
    GET("objects", "get_object"),
    GET("menus", "get_menu"),
    GET("dishes", "get_dish"),
    GET("images", "get_image"),
    GET("section-objects", "get_section_object"),
    GET("payments", "get_payment"),
    GET("subscriptions", "get_subscription"),
    GET("subscription-plans", "get_subscription_plan"),
    GET("users", "get_user"),
    GET("owner-upgrades", "get_owner_upgrade"),
    GET("tables", "detail"),
    GET("tables", "fetch_one"),
    GET("tables", "Get_Table"),

    BAD("{\"action\":\"list_restaurants\"}", "unsupported action"),
    BAD("{\"action\":\"list_table\"}", "unsupported action"),
    BAD("{\"action\":\"get_tables\"}", "unsupported action"),
    BAD("{\"action\":\"list_\"}", "unsupported action"),
    BAD("{\"action\":\"\"}", "unsupported action"),
    BAD("{\"action\":null}", "unsupported action"),
    BAD("{}", "unsupported action"),
    BAD("{\"topic\":\"x\"}", "unsupported action"),
    BAD("{\"action\":\"delete_table\"}", "unsupported action"),
    BAD("{\"action\":\"\\ud800\"}", "unsupported action"),

    BAD("", "invalid message"),
    BAD("list", "invalid message"),
    BAD("[]", "invalid message"),
    BAD("null", "invalid message"),
    BAD("\"list\"", "invalid message"),
    BAD("{\"action\":\"list\"", "invalid message"),
    BAD("{\"action\":1}", "invalid message"),
    BAD("{\"action\":{}}", "invalid message"),
    BAD("{\"action\":\"ping\",\"topic\":1}", "invalid message"),

    ASKS("null", "page=1&limit=20"),
    ASKS("{}", "page=1&limit=20"),
    ASKS("{\"page\":0,\"limit\":-5}", "page=1&limit=20"),
    ASKS("{\"page\":-0,\"limit\":101}", "page=1&limit=100"),
    ASKS("{\"page\":3,\"limit\":100}", "page=3&limit=100"),
    ASKS("{\"PAGE\":3,\"Limit\":7}", "page=3&limit=7"),
    ASKS("{\"page\":2,\"page\":4}", "page=4&limit=20"),
    ASKS("{\"page\":null,\"search\":null,\"filters\":null}",
         "page=1&limit=20"),
    ASKS("{\"page\":9223372036854775807}",
         "page=9223372036854775807&limit=20"),
    ASKS("{\"search\":\"  a b&c=\xc3\xa9 \",\"sortBy\":\" name \","
         "\"sortOrder\":\" desc \"}",
         "page=1&limit=20&q=a%20b%26c%3D%C3%A9&sortBy=name&sortOrder=DESC"),
    ASKS("{\"search\":\"  \"}", "page=1&limit=20"),
    ASKS("{\"filters\":{\"Status\":\" open \",\"a\":\"1\",\"\":\"x\","
         "\"b\":\" \",\"page\":\"9\",\"LIMIT\":\"9\",\"q\":\"9\","
         "\"sortBy\":\"9\",\"c\":null}}",
         "page=1&limit=20&a=1&status=open"),
    ASKS("{\"filters\":{\"a\":\"1\",\"A\":\"2\"}}", "page=1&limit=20&a=2"),
    ASKS("{\"unknown\":[1]}", "page=1&limit=20"),

    INVALID("list", "\"x\""),
    INVALID("list", "[]"),
    INVALID("list", "1"),
    INVALID("list", "{\"page\":\"2\"}"),
    INVALID("list", "{\"page\":1.0}"),
    INVALID("list", "{\"page\":1e1}"),
    INVALID("list", "{\"page\":9223372036854775808}"),
    INVALID("list", "{\"limit\":true}"),
    INVALID("list", "{\"search\":1}"),
    INVALID("list", "{\"search\":\"\\u0000\"}"),
    INVALID("list", "{\"filters\":[]}"),
    INVALID("list", "{\"filters\":{\"a\":1}}"),
    INVALID("detail", "null"),
    INVALID("detail", "{}"),
    INVALID("detail", "{\"id\":\"\"}"),
    INVALID("detail", "{\"id\":\"  \"}"),
    INVALID("detail", "{\"id\":7}"),
    INVALID("detail", "{\"id\":null}"),
    INVALID("detail", "[]"),
    BAD("{\"action\":\"get_table\"}", "invalid payload"),
    { "tables", "{\"action\":\"get_table\",\"payload\":{\"ID\":\" t\\u002d7 "
      "\"}}", NULL, "t-7", NULL }
};


static void
test_commands(void)
{
    unsigned  i;
    wsb_op_t  op;

    for (i = 0; i < len(commands); i++) {

        if (decode(commands[i].entity, commands[i].message, &op) != WSB_OK) {
            ok(0, "%s", commands[i].message);
            continue;
        }

        if (commands[i].reason != NULL) {
            ok(op.type == WSB_OP_REFUSE, "%s is refused",
               commands[i].message);
            is_bytes(op.text.data, op.text.len, commands[i].reason,
                     "with its reason");

        } else {
            ok(op.type == WSB_OP_REQUEST && op.request.operation == WSB_READ,
               "%s of %s reads", commands[i].message, commands[i].entity);
            is_bytes(op.request.entity.data, op.request.entity.len,
                     commands[i].entity, "its entity");
            is_bytes(op.request.args.data, op.request.args.len,
                     commands[i].args ? commands[i].args : "", "its query");
            is_bytes(op.request.record_id.data, op.request.record_id.len,
                     commands[i].id ? commands[i].id : "", "its id");
        }

        wsb_op_done(&op);
    }
}


static const struct {
    const char  *entity;
    const char  *key;
} ids[] = {
    { "restaurants", "restaurantId" },
    { "tables", "tableId" },
    { "reservations", "reservationId" },
    { "reviews", "reviewId" },
    { "sections", "resourceSectionId" },
    { "objects", "objectId" },
    { "menus", "menuId" },
    { "dishes", "dishId" },
    { "images", "imageId" },
    { "section-objects", "sectionObjectId" },
    { "payments", "paymentId" },
    { "subscriptions", "subscriptionId" },
    { "subscription-plans", "subscriptionPlanId" },
    { "users", "userId" },
    { "owner-upgrades", "restaurantId" }
};


static void
test_answers(void)
{
    char           want[512];
    unsigned       i;
    wsb_op_t       op;
    wsb_text_t     t;
    wsb_result_t   result;

    memset(&t, 0, sizeof(t));

    wsb_result_init(&result);
    result.time = WSB_SECTION_NOW();
    result.data = str("{\"items\":[],\"total\":0}");

    (void) decode("tables", "{\"action\":\"list_tables\"}", &op);

    codec->response(&t, &op, &result);
    is_text(&t, "{\"topic\":\"tables.list\",\"entity\":\"tables\",\"action\":"
            "\"list\",\"resourceId\":\"main-hall\",\"data\":{\"items\":[],"
            "\"total\":0},\"metadata\":{\"limit\":\"20\",\"origin\":"
            "\"request\",\"page\":\"1\",\"sectionId\":\"main-hall\"}," NOW,
            "a list");

    result.refresh = 1;
    result.data = str("null");
    codec->response(&t, &op, &result);
    is_text(&t, "{\"topic\":\"tables.list\",\"entity\":\"tables\",\"action\":"
            "\"list\",\"resourceId\":\"main-hall\",\"metadata\":{\"limit\":"
            "\"20\",\"origin\":\"refresh\",\"page\":\"1\",\"sectionId\":"
            "\"main-hall\"}," NOW, "a refresh, without data");

    is_uint(codec->refresh(&op), WSB_SECTION_LIST, "it is a list");

    result.code = "read_error";
    codec->response(&t, &op, &result);
    is_text(&t, "", "a refresh that fails says nothing");
    wsb_op_done(&op);

    wsb_result_init(&result);
    result.time = WSB_SECTION_NOW();
    result.data = str("[12345678901234567890, 1.0]");

    (void) decode("tables", "{\"action\":\"list\",\"payload\":{\"page\":2,"
                  "\"search\":\"x\",\"sortBy\":\"n\",\"sortOrder\":\"asc\","
                  "\"filters\":{\"zone\":\"b\",\"open\":\"1\",\"search\":"
                  "\"y\"}}}", &op);
    codec->response(&t, &op, &result);
    is_text(&t, "{\"topic\":\"tables.list\",\"entity\":\"tables\",\"action\":"
            "\"list\",\"resourceId\":\"main-hall\",\"data\":"
            "[12345678901234567890, 1.0],\"metadata\":{\"limit\":\"20\","
            "\"open\":\"1\",\"origin\":\"request\",\"page\":\"2\",\"search\":"
            "\"x\",\"sectionId\":\"main-hall\",\"sortBy\":\"n\",\"sortOrder\":"
            "\"ASC\",\"zone\":\"b\"}," NOW, "all that was asked for");
    wsb_op_done(&op);

    result.data = str("{\"id\":\"7\"}");

    for (i = 0; i < len(ids); i++) {
        snprintf(want, sizeof(want), "{\"topic\":\"%s.detail\",\"entity\":"
                 "\"%s\",\"action\":\"detail\",\"resourceId\":\"7\",\"data\":"
                 "{\"id\":\"7\"},\"metadata\":{%s\"origin\":\"request\",%s"
                 "\"sectionId\":\"main-hall\"%s}," NOW, ids[i].entity,
                 ids[i].entity, "%s", "%s", "%s");
        (void) decode(ids[i].entity, "{\"action\":\"detail\",\"payload\":"
                      "{\"id\":\"7\"}}", &op);
        codec->response(&t, &op, &result);

        {
            char         full[600], pair[64];
            const char  *k = ids[i].key;

            snprintf(pair, sizeof(pair), "%s\"%s\":\"7\"%s",
                     strcmp(k, "sectionId") > 0 ? "," : "", k,
                     strcmp(k, "sectionId") > 0 ? "" : ",");

            snprintf(full, sizeof(full), want,
                     strcmp(k, "origin") < 0 ? pair : "",
                     strcmp(k, "origin") > 0 && strcmp(k, "sectionId") < 0
                         ? pair : "",
                     strcmp(k, "sectionId") > 0 ? pair : "");
            is_text(&t, full, k);
        }

        is_uint(codec->refresh(&op), WSB_SECTION_DETAIL, "it is a detail");
        wsb_op_done(&op);
    }
}


static const struct {
    const char  *code;
    unsigned     status;
    const char  *text;
    const char  *reason;
} failures[] = {
    { "unauthorized", 401, "no", "section snapshot forbidden" },
    { "unauthorized", 403, "no", "section snapshot forbidden" },
    { "read_error", 404, "no", "section snapshot not found" },
    { "model_not_found", 0, "no", "section snapshot entity unsupported" },
    { "read_error", 500, "the backend has failed", "the backend has failed" },
    { "timeout", 504, "too late", "too late" }
};


static void
test_errors(void)
{
    char           want[512];
    unsigned       i;
    wsb_op_t       op;
    wsb_text_t     t;
    wsb_result_t   result;
    wsb_context_t  context;

    memset(&t, 0, sizeof(t));

#define ERROR(action, reason)                                                \
    "{\"topic\":\"tables.error\",\"entity\":\"tables\",\"action\":\"error\"," \
    "\"resourceId\":\"main-hall\",\"data\":{\"error\":\"" reason "\"},"       \
    "\"metadata\":{\"action\":\"" action "\",\"reason\":\"" reason "\","      \
    "\"sectionId\":\"main-hall\"}," NOW

    for (i = 0; i < len(failures); i++) {
        wsb_result_init(&result);
        result.time = WSB_SECTION_NOW();
        result.code = failures[i].code;
        result.status = failures[i].status;
        result.text = str(failures[i].text);

        (void) decode("tables", "{\"action\":\"detail\",\"payload\":{\"id\":"
                      "\"7\"}}", &op);

        snprintf(want, sizeof(want), ERROR("detail", "%s"),
                 failures[i].reason, failures[i].reason);
        codec->response(&t, &op, &result);
        is_text(&t, want, failures[i].reason);
        wsb_op_done(&op);
    }

    context = of("tables");

    codec->error(&t, &context, none, "unsupported",
                 str("unsupported action"));
    is_text(&t, ERROR("unknown", "unsupported action"), "an unknown action");

    codec->error(&t, &context, str("detail"), "invalid_message",
                 str("invalid payload"));
    is_text(&t, ERROR("detail", "invalid payload"), "an invalid payload");

    codec->error(&t, &context, str("list"), "model_not_found", str("no"));
    is_text(&t, ERROR("list", "section snapshot entity unsupported"),
            "no backend");

    codec->gap(&t, &context, none, NULL, 1, 1, none, none, "slow");
    is_text(&t, ERROR("gap", "gap"), "a gap");
}


static const struct {
    wsb_refused_t  why;
    unsigned       status;
    const char    *body;
} refusals[] = {
    { WSB_REFUSED_NO_ENTITY, 400, "missing entity" },
    { WSB_REFUSED_ENTITY, 404, "entity t\\\"x is not integrated" },
    { WSB_REFUSED_NO_SECTION, 400, "missing section" },
    { WSB_REFUSED_NO_TOKEN, 400, "missing token" },
    { WSB_REFUSED_TOKEN, 401, "invalid token" },
    { WSB_REFUSED_RIGHT, 403, "forbidden" },
    { WSB_REFUSED_NOT_FOUND, 404, "section not found" },
    { WSB_REFUSED_TIMEOUT, 504, "snapshot timeout" },
    { WSB_REFUSED_FAILED, 500, "unable to connect section" }
};


static void
test_connect(void)
{
    char           want[128];
    unsigned       i;
    wsb_op_t       op;
    wsb_text_t     t;
    wsb_context_t  context;

    memset(&t, 0, sizeof(t));
    memset(&op, 0, sizeof(op));

    for (i = 0; i < len(refusals); i++) {
        is_uint(codec->refuse(&t, refusals[i].why, str("t\"x")),
                refusals[i].status, "%s", refusals[i].body);
        snprintf(want, sizeof(want), "{\"message\":\"%s\"}",
                 refusals[i].body);
        is_text(&t, want, "its body");
    }

    context = of("tables");

    codec->welcome(&t, &context, str("conn_1"));
    is_text(&t, "{\"topic\":\"system.connected\",\"entity\":\"system\","
            "\"action\":\"connected\",\"data\":{\"entity\":\"tables\","
            "\"sectionId\":\"main-hall\",\"allowedTopics\":["
            "\"tables.snapshot\",\"tables.list\",\"tables.detail\","
            "\"tables.error\",\"tables.created\",\"tables.updated\"],"
            "\"roles\":[\"USER\"]},\"metadata\":{\"sectionId\":\"main-hall\","
            "\"sessionId\":\"s-1\",\"userId\":\"u-1\"}," NOW, "connected");

    context.user = none;
    context.session = none;
    context.roles = none;
    context.nactions = 0;

    codec->welcome(&t, &context, str("conn_1"));
    is_text(&t, "{\"topic\":\"system.connected\",\"entity\":\"system\","
            "\"action\":\"connected\",\"data\":{\"entity\":\"tables\","
            "\"sectionId\":\"main-hall\",\"allowedTopics\":["
            "\"tables.snapshot\",\"tables.list\",\"tables.detail\","
            "\"tables.error\"],\"roles\":[]},\"metadata\":{\"sectionId\":"
            "\"main-hall\"}," NOW, "connected without a token");

    ok(decode("tables", "{\"action\":\" PING \",\"payload\":7}", &op)
       == WSB_OK && op.type == WSB_OP_ASK_PONG, "a ping");
    codec->pong(&t, &op, none);
    is_text(&t, "{\"topic\":\"system.pong\",\"entity\":\"system\",\"action\":"
            "\"pong\"," NOW, "a pong");
    wsb_op_done(&op);
}


static const struct {
    const char  *message;
    unsigned     type;
    uint64_t     topics;            /* or these */
    const char  *entity;
    const char  *action;
} topics[] = {
    { "{\"action\":\"subscribe\",\"topic\":\"tables.updated\"}",
      WSB_OP_SUBSCRIBE, 1 << 5, NULL, NULL },
    { "{\"action\":\"unsubscribe\",\"topic\":\" tables.list \"}",
      WSB_OP_UNSUBSCRIBE, WSB_SECTION_LIST, NULL, NULL },
    { "{\"action\":\"unsubscribe\",\"topic\":\"tables.snapshot\"}",
      WSB_OP_UNSUBSCRIBE, WSB_SECTION_SNAPSHOT | 1 << 6, NULL, NULL },
    { "{\"action\":\"subscribe\",\"topic\":\"tables.moved\"}",
      WSB_OP_SUBSCRIBE, 0, "tables", "moved" },
    { "{\"action\":\"subscribe\",\"topic\":\"menus.a.b\"}",
      WSB_OP_SUBSCRIBE, 0, "menus", "a.b" },
    { "{\"action\":\"unsubscribe\",\"topic\":\"menus.updated\"}",
      WSB_OP_UNSUBSCRIBE, 0, "menus", "updated" },
    { "{\"action\":\"subscribe\",\"topic\":\"x\"}", WSB_OP_NOTHING,
      0, NULL, NULL },
    { "{\"action\":\"subscribe\",\"topic\":\".x\"}", WSB_OP_NOTHING,
      0, NULL, NULL },
    { "{\"action\":\"subscribe\",\"topic\":\"x.\"}", WSB_OP_NOTHING,
      0, NULL, NULL },
    { "{\"action\":\"subscribe\"}", WSB_OP_NOTHING, 0, NULL, NULL },
    { "{\"action\":\"subscribe\",\"topic\":\"a.\\u0000\"}", WSB_OP_NOTHING,
      0, NULL, NULL }
};


static void
test_topics(void)
{
    unsigned        i;
    wsb_op_t        op;
    wsb_text_t      t;
    wsb_context_t   context;

    for (i = 0; i < len(topics); i++) {

        ok(decode("tables", topics[i].message, &op) == WSB_OK
           && op.type == topics[i].type && op.topics == topics[i].topics
           && (op.type != WSB_OP_NOTHING || op.code != NULL),
           "%s", topics[i].message);

        if (topics[i].entity != NULL) {
            ok(op.each && op.filter.where != NULL, "a subscription of its own");
            is_bytes(op.filter.value[WSB_ENTITY_TYPE]->data,
                     op.filter.value[WSB_ENTITY_TYPE]->len, topics[i].entity,
                     "to this entity");
            is_bytes(op.filter.value[WSB_ACTION]->data,
                     op.filter.value[WSB_ACTION]->len, topics[i].action,
                     "and this action");
        }

        wsb_op_done(&op);
    }

    context = of("tables");
    memset(&op, 0, sizeof(op));
    memset(&t, 0, sizeof(t));

    ok(codec->base(&context, &op) == WSB_OK
       && op.filter.n[WSB_ENTITY_TYPE] == 1
       && op.filter.n[WSB_ACTION] == 3 && op.filter.where != NULL,
       "by itself a connection hears of all its actions");
    is_uint(op.filter.where->nconditions, 6,
            "its section, user and session, or none");

    codec->filter(&t, &op.filter);
    is_text(&t, "{\"topics\":[\"tables.created\",\"tables.updated\","
            "\"tables.snapshot\"]}", "the filter names nobody");
    wsb_op_done(&op);

    is_uint(codec->topic_bits(&context, str("created")), 1 << 4, "a bit");
    is_uint(codec->topic_bits(&context, str("Created")), 0, "no bit");
}


static void
test_events(void)
{
    wsb_text_t   t;
    wsb_event_t  ev;

    memset(&t, 0, sizeof(t));
    memset(&ev, 0, sizeof(ev));

    ev.msec = WSB_SECTION_NOW();
    ev.field[WSB_ENTITY_TYPE] = str("restaurants");
    ev.field[WSB_ACTION] = str("created");
    ev.field[WSB_ENTITY_ID] = str("r-1");
    ev.field[WSB_DATA] = str("{\"id\":\"r-1\"}");
    ev.field[WSB_METADATA] = str("{\"sectionId\":\"main-hall\"}");
    ev.field[WSB_SECTION] = str("main-hall");

    codec->body(&t, &ev, none);
    is_text(&t, "{\"topic\":\"restaurants.created\",\"entity\":"
            "\"restaurants\",\"action\":\"created\",\"resourceId\":\"r-1\","
            "\"data\":{\"id\":\"r-1\"},\"metadata\":{\"sectionId\":"
            "\"main-hall\"}," NOW, "an event");

    ev.field[WSB_METADATA] = str("{\"n\":1,\"b\":true,\"z\":null,\"o\":"
                                 "{\"a\":\"b\"},\"s\":\"x\"}");
    ev.field[WSB_TIMESTAMP] = str("2026-05-06T07:08:09Z");
    codec->body(&t, &ev, none);
    is_text(&t, "{\"topic\":\"restaurants.created\",\"entity\":"
            "\"restaurants\",\"action\":\"created\",\"resourceId\":\"r-1\","
            "\"data\":{\"id\":\"r-1\"},\"metadata\":{\"n\":\"1\",\"b\":"
            "\"true\",\"o\":\"{\\\"a\\\":\\\"b\\\"}\",\"s\":\"x\","
            "\"sectionId\":\"main-hall\"},\"timestamp\":"
            "\"2026-05-06T07:08:09Z\"}", "all values are strings");

    ev.field[WSB_METADATA] = str("[1]");
    ev.field[WSB_SECTION] = none;
    ev.field[WSB_DATA] = str("null");
    ev.field[WSB_ENTITY_ID] = none;
    ev.field[WSB_TIMESTAMP] = str("2026-05-06T07:08:09+02:00");
    ev.field[WSB_ENTITY_TYPE] = str("a\"b");
    codec->body(&t, &ev, none);
    is_text(&t, "{\"topic\":\"a\\\"b.created\",\"entity\":\"a\\\"b\","
            "\"action\":\"created\"," NOW, "what is empty is left out");
}


static void
test_memory(void)
{
    unsigned    i, k;
    wsb_op_t    op;

    static const char  *messages[] = {
        "{\"action\":\"list\"}",
        "{\"action\":\"detail\",\"payload\":{\"id\":\"7\"}}",
        "{\"action\":\"subscribe\",\"topic\":\"menus.updated\"}",
        "{\"action\":\"nothing\"}"
    };

    for (i = 0; i < len(messages); i++) {
        for (k = 0; k < 16; k++) {
            calls = 0;
            fail_at = k + 1;

            if (decode("tables", messages[i], &op) == WSB_OK) {
                fail_at = 0;
                wsb_op_done(&op);
                break;
            }
        }

        fail_at = 0;
        ok(k > 0 && k < 16, "%s, without memory %u times", messages[i], k);
        is_uint(live, 0, "nothing is left");
    }
}


int
main(void)
{
    test_commands();
    test_answers();
    test_errors();
    test_connect();
    test_topics();
    test_events();
    test_memory();

    return tap_done();
}
