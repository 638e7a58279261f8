/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The action protocol with topics: what clients may say, and what they get.
 */

#include "ws/alloc.h"
#include "json/wsb_text.c"
#include "protocol/wsb_op.c"
#include "protocol/wsb_action.c"
#include "protocol/wsb_topics.c"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))


static const wsb_codec_t  *codec = &wsb_codec_topics;


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { strlen(s), (const uint8_t *) s };

    return v;
}


static const struct {
    const char      *message;
    wsb_op_type_t    type;
    const char      *text;          /* topics, each with a comma; the topic */
} messages[] = {

    { "{\"type\":\"subscribe\",\"topics\":[\"a\",\"b\"]}",
      WSB_OP_SUBSCRIBE, "a,b," },
    { "{\"topics\":[\"\\u00e9\\n\"],\"type\":\"subscribe\"}",
      WSB_OP_SUBSCRIBE, "\xc3\xa9\n," },
    { "{\"type\":\"unsubscribe\",\"topics\":[\"a\",\"a\"]}",
      WSB_OP_UNSUBSCRIBE, "a,a," },
    { "{\"type\":\"command\",\"action\":{\"A\":1},\"topic\":\"a\\\"b\"}",
      WSB_OP_REQUEST, "a\"b" },
    { "{\"type\":\"command\",\"action\":\"A\",\"topic\":\"x\"}",
      WSB_OP_REQUEST, "x" },

    { "{\"type\":\"command\",\"action\":\"A\"}", WSB_OP_NOTHING, NULL },
    { "{\"type\":\"command\",\"action\":\"A\",\"topic\":null}",
      WSB_OP_NOTHING, NULL },
    { "{\"type\":\"subscribed\",\"topics\":[\"a\"]}", WSB_OP_NOTHING, NULL },
    { "{\"type\":\"event\"}", WSB_OP_NOTHING, NULL },
    { "{\"type\":\"ping\"}", WSB_OP_ASK_PONG, NULL },

    { "{\"type\":\"subscribe\"}", WSB_OP_REFUSE, NULL },
    { "{\"type\":\"subscribe\",\"topics\":\"a\"}", WSB_OP_REFUSE, NULL },
    { "{\"type\":\"subscribe\",\"topics\":[]}", WSB_OP_REFUSE, NULL },
    { "{\"type\":\"subscribe\",\"topics\":[\"a\",1]}", WSB_OP_REFUSE, NULL },
    { "{\"type\":\"subscribe\",\"topics\":[\"a\",\"\"]}", WSB_OP_REFUSE,
      NULL },
    { "{\"type\":\"subscribe\",\"topics\":[\"\\u0000\"]}", WSB_OP_REFUSE,
      NULL },
    { "{\"type\":\"command\",\"action\":\"A\",\"topic\":1}", WSB_OP_REFUSE,
      NULL },
    { "{\"type\":\"command\",\"action\":\"A\",\"topic\":\"\"}",
      WSB_OP_REFUSE, NULL },
    { "{\"type\":\"command\",\"action\":\"A\",\"topic\":\"a\\u0000\"}",
      WSB_OP_REFUSE, NULL },
    { "{\"type\":\"command\",\"action\":1,\"topic\":\"a\"}",
      WSB_OP_REFUSE, NULL },
    { "{\"type\":\"command\",\"topic\":\"a\"}", WSB_OP_REFUSE, NULL },
    { "{\"type\":\"other\"}", WSB_OP_REFUSE, NULL },
    { "{", WSB_OP_REFUSE, NULL }
};


static void
test_messages(void)
{
    size_t      i;
    unsigned    k;
    wsb_op_t    op;
    wsb_text_t  t;

    for (i = 0; i < len(messages); i++) {
        memset(&op, 0, sizeof(op));
        memset(&t, 0, sizeof(t));

        ok(codec->decode(NULL, str(messages[i].message), &op) == WSB_OK
           && op.type == messages[i].type, "%s", messages[i].message);

        if (op.type == WSB_OP_REFUSE) {
            ok(op.text.len > 23 && memcmp(op.text.data,
                                          "Invalid action format: ", 23) == 0,
               "its text");

        } else if (op.type == WSB_OP_REQUEST) {
            is_bytes(op.request.topic.data, op.request.topic.len,
                     messages[i].text, "its topic");
            ok(op.request.untold && op.request.data.len != 0, "an action");

        } else if (messages[i].text != NULL) {
            for (k = 0; k < op.filter.n[WSB_ENTITY_TYPE]; k++) {
                wsb_text_str(&t, op.filter.value[WSB_ENTITY_TYPE][k]);
                wsb_text_lit(&t, ",");
            }

            is_bytes(t.data, t.len, messages[i].text, "its topics");
            ok(op.each && op.filter.n[WSB_KIND] == 1
               && wsb_str_eq(op.filter.value[WSB_KIND], "action"),
               "of actions");
        }

        wsb_text_done(&t);
        wsb_op_done(&op);
    }
}


static void
test_bounds(void)
{
    size_t      i, n;
    wsb_op_t    op;
    wsb_text_t  t;

    for (n = WSB_TOPICS_MAX; n <= WSB_TOPICS_MAX + 1; n++) {
        memset(&t, 0, sizeof(t));
        memset(&op, 0, sizeof(op));

        wsb_text_lit(&t, "{\"type\":\"subscribe\",\"topics\":[\"a\"");

        for (i = 1; i < n; i++) {
            wsb_text_lit(&t, ",\"a\"");
        }

        wsb_text_lit(&t, "]}");

        (void) codec->decode(NULL, (wsb_str_t) { t.len, t.data }, &op);

        is_uint(op.type, n <= WSB_TOPICS_MAX ? WSB_OP_SUBSCRIBE
                                             : WSB_OP_REFUSE, "%zu topics", n);
        wsb_text_done(&t);
        wsb_op_done(&op);
    }

    for (n = WSB_TOPICS_LEN; n <= WSB_TOPICS_LEN + 1; n++) {
        memset(&t, 0, sizeof(t));
        memset(&op, 0, sizeof(op));

        wsb_text_lit(&t, "{\"type\":\"command\",\"action\":\"A\",\"topic\":\"");

        for (i = 0; i < n; i++) {
            wsb_text_lit(&t, "a");
        }

        wsb_text_lit(&t, "\"}");

        (void) codec->decode(NULL, (wsb_str_t) { t.len, t.data }, &op);

        is_uint(op.type, n <= WSB_TOPICS_LEN ? WSB_OP_REQUEST
                                             : WSB_OP_REFUSE, "%zu bytes", n);
        wsb_text_done(&t);
        wsb_op_done(&op);
    }
}


static void
test_rendering(void)
{
    wsb_str_t     topics[2];
    wsb_text_t    t;
    wsb_event_t   ev;
    wsb_filter_t  filter;

    memset(&t, 0, sizeof(t));
    memset(&ev, 0, sizeof(ev));
    memset(&filter, 0, sizeof(filter));

    ev.field[WSB_ENTITY_TYPE] = str("a\"");
    ev.field[WSB_ACTION] = str("Said");
    ev.field[WSB_DATA] = str("{\"n\":1.0}");
    codec->body(&t, &ev, str("e-1"));
    is_bytes(t.data, t.len, "{\"type\":\"event\",\"action\":{\"Said\":"
             "{\"n\":1.0}},\"topic\":\"a\\\"\"}", "an action");
    wsb_text_done(&t);

    topics[0] = str("a");
    topics[1] = str("b");
    filter.value[WSB_ENTITY_TYPE] = topics;
    filter.n[WSB_ENTITY_TYPE] = 2;
    codec->filter(&t, &filter);
    is_bytes(t.data, t.len, "{\"topics\":[\"a\",\"b\"]}", "a filter");
    wsb_text_done(&t);
}


static void
test_memory(void)
{
    size_t    i;
    unsigned  n;
    wsb_op_t  op;

    for (i = 0; i < len(messages); i++) {
        for (n = 1; n < 4; n++) {
            memset(&op, 0, sizeof(op));
            calls = 0;
            fail_at = n;
            (void) codec->decode(NULL, str(messages[i].message), &op);
            wsb_op_done(&op);
        }
    }

    fail_at = 0;
    ok(live == 0, "no memory, and none is lost");
}


int
main(void)
{
    test_messages();
    test_bounds();
    test_rendering();
    test_memory();

    return tap_done();
}
