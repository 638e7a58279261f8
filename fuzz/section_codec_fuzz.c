/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A message of a client of the section protocol: whatever it is, the answer is
 * one document with the fields that clients look at, its metadata are strings
 * in order, and the same question is the same query.
 */

#include "fuzz.h"

#include "protocol/wsb_section.h"


static const wsb_codec_t  *codec = &wsb_codec_section;

static const wsb_str_t  none = wsb_null_string;

static const wsb_str_t  actions[] = {
    wsb_string("created"), wsb_string("updated")
};


/* topic is entity.action, and metadata are sorted strings. */

static void
check_message(wsb_text_t *t)
{
    wsb_str_t          text, last;
    wsb_json_t         value, field, key, member;
    wsb_json_walk_t    walk;
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = { 200, 2 };

    fuzz_check(!t->failed);

    text.data = fuzz_copy(t->data, t->len);
    text.len = t->len;
    wsb_text_done(t);

    fuzz_check(wsb_json_parse(text, &limits, &value, &err) == WSB_OK);
    fuzz_check(wsb_json_get(&value, "topic", &field) == WSB_OK);
    fuzz_check(wsb_json_get(&value, "entity", &field) == WSB_OK);
    fuzz_check(wsb_json_get(&value, "action", &field) == WSB_OK);
    fuzz_check(wsb_json_get(&value, "timestamp", &field) == WSB_OK);

    if (wsb_json_get(&value, "metadata", &field) == WSB_OK) {
        last = none;

        wsb_json_enter(&walk, &field);

        while (wsb_json_member(&walk, &key, &member) == WSB_OK) {
            fuzz_check(member.type == WSB_JSON_STRING);
            last = key.text;
        }

        fuzz_check(last.len != 0);
    }

    free((void *) text.data);
}


static void
check_request(const wsb_op_t *op)
{
    size_t        i;
    wsb_text_t    t;
    wsb_result_t  result;

    memset(&t, 0, sizeof(t));

    fuzz_check(op->request.operation == WSB_READ);
    fuzz_check(wsb_str_eq(&op->request.entity, "tables"));
    fuzz_check((op->request.args.len == 0) == (op->request.record_id.len != 0));
    fuzz_check(op->request.record_id.len <= 256);

    for (i = 0; i < op->request.args.len; i++) {
        fuzz_check(op->request.args.data[i] > ' '
                   && op->request.args.data[i] < 0x7f
                   && op->request.args.data[i] != '#');
    }

    fuzz_check(codec->refresh(op) == (op->request.args.len
                                          ? WSB_SECTION_LIST
                                          : WSB_SECTION_DETAIL));

    wsb_result_init(&result);
    codec->response(&t, op, &result);
    check_message(&t);

    result.code = "read_error";
    result.text = op->request.entity;
    codec->response(&t, op, &result);
    check_message(&t);
}


static void
check_op(const wsb_context_t *context, const wsb_op_t *op)
{
    wsb_str_t   text;
    wsb_text_t  t;

    memset(&t, 0, sizeof(t));

    switch (op->type) {

    case WSB_OP_SUBSCRIBE:
    case WSB_OP_UNSUBSCRIBE:
        fuzz_check((op->topics != 0) == (op->filter.where == NULL));

        if (op->topics == 0) {
            fuzz_check(op->each && op->filter.n[WSB_ENTITY_TYPE] == 1
                       && op->filter.n[WSB_ACTION] == 1);
            fuzz_check(op->filter.value[WSB_ENTITY_TYPE]->len <= 256);
            fuzz_check(op->filter.value[WSB_ACTION]->len <= 256);

            codec->filter(&t, &op->filter);
            fuzz_check(!t.failed);
            wsb_text_done(&t);
        }

        break;

    case WSB_OP_ASK_PONG:
        codec->pong(&t, op, none);
        check_message(&t);
        break;

    case WSB_OP_REQUEST:
        check_request(op);
        break;

    case WSB_OP_REFUSE:
        text.data = op->text.data;
        text.len = op->text.len;
        codec->error(&t, context, op->id, op->code, text);
        check_message(&t);
        break;

    default:
        fuzz_check(op->type == WSB_OP_NOTHING && op->code != NULL);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wsb_op_t       op;
    wsb_str_t      message;
    wsb_context_t  context;

    memset(&context, 0, sizeof(context));
    memset(&op, 0, sizeof(op));

    context.entity = (wsb_str_t) wsb_string("tables");
    context.section = (wsb_str_t) wsb_string("main");
    context.actions = actions;
    context.nactions = 2;

    message.data = fuzz_copy(data, size);
    message.len = size;

    fuzz_check(codec->decode(&context, message, &op) == WSB_OK);

    free((void *) message.data);

    check_op(&context, &op);

    wsb_op_done(&op);

    return 0;
}
