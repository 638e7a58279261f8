/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The action protocol: what clients may say, and what they get to read.
 */

#include "ws/alloc.h"
#include "json/wsb_text.c"
#include "protocol/wsb_op.c"
#include "protocol/wsb_action.c"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))

#define BAD(text)  "Invalid action format: " text


static const wsb_codec_t  *codec = &wsb_codec_action;

static const wsb_str_t  none = wsb_null_string;


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


static const struct {
    const char      *message;
    wsb_op_type_t    type;
    const char      *text;          /* the action, or of the refusal */
} messages[] = {

    { "{\"type\":\"command\",\"action\":{\"PlaceOrder\":{\"n\":1.0}}}",
      WSB_OP_REQUEST, "{\"PlaceOrder\":{\"n\":1.0}}" },
    { " { \"action\" : { \"A\" : 9007199254740993 } , \"type\":\"command\" } ",
      WSB_OP_REQUEST, "{ \"A\" : 9007199254740993 }" },
    { "{\"type\":\"command\",\"action\":\"Increment\"}",
      WSB_OP_REQUEST, "\"Increment\"" },
    { "{\"type\":\"command\",\"action\":{\"A\":null},\"x\":1}",
      WSB_OP_REQUEST, "{\"A\":null}" },
    { "{\"type\":\"command\",\"action\":{\"A\":{\"b\":1,\"b\":2}}}",
      WSB_OP_REQUEST, "{\"A\":{\"b\":1,\"b\":2}}" },

    { "{\"type\":\"ping\"}", WSB_OP_ASK_PONG, NULL },
    { "{\"x\":[],\"type\":\"p\\u0069ng\"}", WSB_OP_ASK_PONG, NULL },

    { "{\"type\":\"pong\"}", WSB_OP_NOTHING, NULL },
    { "{\"type\":\"event\",\"action\":\"A\"}", WSB_OP_NOTHING, NULL },
    { "{\"type\":\"error\",\"message\":\"x\"}", WSB_OP_NOTHING, NULL },

    { "{\"type\":\"command\"}", WSB_OP_REFUSE,
      BAD("missing field `action`") },
    { "{\"type\":\"command\",\"action\":{}}", WSB_OP_REFUSE,
      BAD("an action is a string, or an object with one field") },
    { "{\"type\":\"command\",\"action\":{\"A\":1,\"B\":2}}", WSB_OP_REFUSE,
      BAD("an action is a string, or an object with one field") },
    { "{\"type\":\"command\",\"action\":{\"\":1}}", WSB_OP_REFUSE,
      BAD("an action is a string, or an object with one field") },
    { "{\"type\":\"command\",\"action\":\"\"}", WSB_OP_REFUSE,
      BAD("an action is a string, or an object with one field") },
    { "{\"type\":\"command\",\"action\":1}", WSB_OP_REFUSE,
      BAD("an action is a string, or an object with one field") },
    { "{\"type\":\"command\",\"action\":null}", WSB_OP_REFUSE,
      BAD("an action is a string, or an object with one field") },
    { "{\"type\":\"command\",\"action\":[\"A\"]}", WSB_OP_REFUSE,
      BAD("an action is a string, or an object with one field") },

    { "{}", WSB_OP_REFUSE, BAD("missing field `type`") },
    { "{\"type\":1}", WSB_OP_REFUSE, BAD("type must be a string") },
    { "{\"type\":\"Command\",\"action\":\"A\"}", WSB_OP_REFUSE,
      BAD("unknown type, expected `command` or `ping`") },
    { "[]", WSB_OP_REFUSE, BAD("an object is expected") },
    { "\"A\"", WSB_OP_REFUSE, BAD("an object is expected") },
    { "{\"type\":\"ping\"", WSB_OP_REFUSE, NULL },
    { "{\"type\":\"ping\",\"type\":\"ping\"}", WSB_OP_REFUSE, NULL },
    { "", WSB_OP_REFUSE, NULL }
};


static void
test_messages(void)
{
    unsigned    i;
    wsb_op_t    op;
    wsb_str_t   m, want, got;
    uint8_t    *copy;

    for (i = 0; i < len(messages); i++) {
        m = str(messages[i].message);

        copy = malloc(m.len + 1);
        memcpy(copy, m.data, m.len);
        m.data = copy;

        memset(&op, 0, sizeof(op));

        ok(codec->decode(NULL, m, &op) == WSB_OK
           && op.type == messages[i].type, "%s", messages[i].message);

        free(copy);

        want = str(messages[i].text);

        if (op.type == WSB_OP_REQUEST) {
            got = op.request.data;

            ok(op.request.operation == WSB_CREATE && op.request.untold
               && op.request.entity.data == NULL, "a command");
        } else {
            got.data = op.text.data;
            got.len = op.text.len;
        }

        if (want.data != NULL) {
            is_bytes(got.data, got.len, (const char *) want.data, "its text");

        } else if (op.type == WSB_OP_REFUSE) {
            ok(got.len > 23
               && memcmp(got.data, "Invalid action format: ", 23) == 0,
               "its text");
        }

        wsb_op_done(&op);
    }
}


static void
is_text(wsb_text_t *t, const char *want, const char *what)
{
    is_bytes(t->data ? t->data : (const uint8_t *) "", t->len, want, "%s",
             what);
    wsb_text_done(t);
}


static void
test_rendering(void)
{
    wsb_op_t       op;
    wsb_text_t     t;
    wsb_event_t    ev;
    wsb_filter_t   filter;
    wsb_result_t   result;

    memset(&t, 0, sizeof(t));
    memset(&op, 0, sizeof(op));
    memset(&ev, 0, sizeof(ev));
    memset(&filter, 0, sizeof(filter));

    ev.field[WSB_KIND] = str(WSB_ACTION_KIND);
    ev.field[WSB_ACTION] = str("OrderPlaced");
    ev.field[WSB_DATA] = str("{ \"total\" : 1e2 }");
    codec->body(&t, &ev, str("e-1"));
    is_text(&t, "{\"type\":\"event\",\"action\":{\"OrderPlaced\":"
                "{ \"total\" : 1e2 }}}", "an action");

    ev.field[WSB_DATA] = none;
    codec->body(&t, &ev, str("e-1"));
    is_text(&t, "{\"type\":\"event\",\"action\":\"OrderPlaced\"}",
            "one without fields");

    ev.field[WSB_ACTION] = str("a\"\\\n");
    codec->body(&t, &ev, str("e-1"));
    is_text(&t, "{\"type\":\"event\",\"action\":\"a\\\"\\\\\\n\"}",
            "its name is a JSON string");

    codec->pong(&t, &op, str("e-1"));
    is_text(&t, "{\"type\":\"pong\"}", "pong");

    codec->filter(&t, &filter);
    is_text(&t, "{}", "filter");

    codec->error(&t, NULL, none, "x", str("so \"it\" is"));
    is_text(&t, "{\"type\":\"error\",\"message\":\"so \\\"it\\\" is\"}",
            "error");

    codec->error(&t, NULL, none, "binary", str("no"));
    is_text(&t, "", "a binary message is not answered");

    wsb_result_init(&result);
    codec->response(&t, &op, &result);
    is_text(&t, "", "a success is not answered");

    result.code = "validation_error";
    result.text = str("sold out");
    codec->response(&t, &op, &result);
    is_text(&t, "{\"type\":\"error\",\"message\":\"sold out\"}", "a failure");

    ok(codec->gap == NULL && codec->welcome == NULL
       && codec->subscribed == NULL, "nothing else is said");
}


static void
test_memory(void)
{
    unsigned  n;
    wsb_op_t  op;

    memset(&op, 0, sizeof(op));

    for (n = 1; n < 4; n++) {
        calls = 0;
        fail_at = n;
        (void) codec->decode(NULL, str(messages[0].message), &op);
        wsb_op_done(&op);
        memset(&op, 0, sizeof(op));
        calls = 0;
        (void) codec->decode(NULL, str("[]"), &op);
        wsb_op_done(&op);
        memset(&op, 0, sizeof(op));
    }

    fail_at = 0;
    ok(live == 0, "no memory, and none is lost");
}


int
main(void)
{
    test_messages();
    test_rendering();
    test_memory();

    return tap_done();
}
