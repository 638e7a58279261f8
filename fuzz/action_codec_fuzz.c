/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A message of a client of the action protocol; what is rendered of it, and of
 * its action as if the backend had published it, is strict JSON.  The same
 * with topics.
 */

#define _GNU_SOURCE

#include "fuzz.h"

#include "json/wsb_json.h"
#include "protocol/wsb_codec.h"


static const wsb_codec_t  *codec;

static const wsb_str_t  id =
    wsb_string("01234567-89ab-8000-8000-000000000011");


static void
check_json(wsb_text_t *t, const char *type)
{
    wsb_str_t         text;
    wsb_json_t        value, member;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 1 };

    fuzz_check(!t->failed);

    text.data = fuzz_copy(t->data, t->len);
    text.len = t->len;
    wsb_text_done(t);

    fuzz_check(wsb_json_parse(text, &limits, &value, &err) == WSB_OK);
    fuzz_check(wsb_json_get(&value, "type", &member) == WSB_OK);
    fuzz_check(wsb_json_key_is(&member, type));

    free((void *) text.data);
}


static void
check_topics(const wsb_op_t *op, wsb_text_t *t)
{
    unsigned          i;
    wsb_str_t         text, topic;
    wsb_json_t        value;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 1 };

    fuzz_check(op->each && op->filter.n[WSB_ENTITY_TYPE] > 0
               && op->filter.n[WSB_ENTITY_TYPE] <= WSB_FILTER_VALUES);

    for (i = 0; i < op->filter.n[WSB_ENTITY_TYPE]; i++) {
        topic = op->filter.value[WSB_ENTITY_TYPE][i];

        fuzz_check(topic.len > 0 && topic.len <= 256
                   && memchr(topic.data, 0, topic.len) == NULL);
    }

    codec->filter(t, &op->filter);
    fuzz_check(!t->failed);

    text.data = t->data;
    text.len = t->len;

    fuzz_check(wsb_json_parse(text, &limits, &value, &err) == WSB_OK);
    wsb_text_done(t);
}


static void
check_message(const uint8_t *data, size_t size)
{
    uint8_t      *copy;
    wsb_op_t      op;
    wsb_str_t     message;
    wsb_text_t    t;
    wsb_result_t  result;

    copy = fuzz_copy(data, size);
    message.data = copy;
    message.len = size;

    memset(&op, 0, sizeof(op));
    memset(&t, 0, sizeof(t));

    fuzz_check(codec->decode(NULL, message, &op) == WSB_OK);

    switch (op.type) {

    case WSB_OP_ASK_PONG:
        codec->pong(&t, &op, id);
        check_json(&t, "pong");
        break;

    case WSB_OP_REFUSE:
        fuzz_check(op.text.len > 23);
        message.data = op.text.data;
        message.len = op.text.len;
        codec->error(&t, NULL, op.id, op.code, message);
        check_json(&t, "error");
        break;

    case WSB_OP_REQUEST:
        fuzz_check(op.request.untold && op.request.operation == WSB_CREATE);
        fuzz_check((op.request.topic.data != NULL)
                   == (codec == &wsb_codec_topics));
        fuzz_check(memmem(data, size, op.request.data.data,
                          op.request.data.len)
                   != NULL);

        wsb_result_init(&result);
        codec->response(&t, &op, &result);
        fuzz_check(t.len == 0);
        wsb_text_done(&t);
        break;

    case WSB_OP_SUBSCRIBE:
    case WSB_OP_UNSUBSCRIBE:
        check_topics(&op, &t);
        break;

    default:
        fuzz_check(op.type == WSB_OP_NOTHING && op.code != NULL);
    }

    wsb_op_done(&op);
    free(copy);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    codec = &wsb_codec_action;
    check_message(data, size);

    codec = &wsb_codec_topics;
    check_message(data, size);

    return 0;
}
