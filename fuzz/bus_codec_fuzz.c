/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Messages of clients of the bus protocol.  Whatever they say, the answer is
 * strict JSON, and what is repeated in it would be understood again.
 */

#include "fuzz.h"

#include "json/wsb_json.h"
#include "match/wsb_plan.h"
#include "protocol/wsb_codec.h"


static const wsb_codec_t  *bus = &wsb_codec_bus;

static const wsb_str_t  none = wsb_null_string;
static const wsb_str_t  id =
    wsb_string("01234567-89ab-8000-8000-000000000011");

static const uint8_t  key[16] = "0123456789abcde";


/* Frees the text. */

static void
check_with(wsb_text_t *t, wsb_json_t *copy, const wsb_json_limits_t *limits)
{
    wsb_str_t           text;
    wsb_json_t          type;
    wsb_json_error_t    err;

    fuzz_check(!t->failed);

    text.data = fuzz_copy(t->data, t->len);
    text.len = t->len;
    wsb_text_done(t);

    fuzz_check(wsb_json_parse(text, limits, copy, &err) == WSB_OK);
    fuzz_check(copy->type == WSB_JSON_OBJECT);
    fuzz_check(wsb_json_get(copy, "type", &type) == WSB_OK);
}


/* What a client has written of conditions is in it. */

static void
check_answer(wsb_text_t *t, wsb_json_t *copy)
{
    static const wsb_json_limits_t  limits = {
        WSB_MESSAGE_DEPTH, WSB_MESSAGE_DEPTH
    };

    check_with(t, copy, &limits);
}


/* Data, whatever it is, one level deeper than in the request. */

static void
check_response(wsb_text_t *t, wsb_json_t *copy)
{
    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 1 };

    check_with(t, copy, &limits);
}


static void
check_filter(const wsb_filter_t *f)
{
    size_t       k, n;
    unsigned     i, j;
    wsb_str_t    v;
    wsb_plan_t  *plan;

    for (i = 0; i < WSB_NROUTING; i++) {
        fuzz_check(f->n[i] <= WSB_FILTER_VALUES);
        fuzz_check(f->n[i] <= 1 || f->array[i]);

        for (j = 0; j < f->n[i]; j++) {
            v = f->value[i][j];
            fuzz_check(v.data != NULL && v.len <= 256);
            fuzz_check(v.len != 0 || i != WSB_ENTITY_ID);

            for (k = 0; k < v.len; k += n) {
                n = wsb_text_utf8(v.data + k, v.data + v.len);
                fuzz_check(n != 0 && v.data[k] != 0);
            }
        }
    }

    plan = wsb_plan_create(key, none, f, NULL);
    fuzz_check(plan->nkeys >= 1 && plan->nkeys <= WSB_FILTER_VALUES);
    wsb_free(plan);
}


/* The echo of a filter, sent as a filter, is that filter. */

static void
check_echo(const wsb_op_t *op, const wsb_json_t *answer)
{
    wsb_op_t     again;
    wsb_str_t    text;
    wsb_text_t   t;
    wsb_plan_t  *a, *b;
    wsb_json_t   filter, where;

    fuzz_check(wsb_json_get(answer, "filter", &filter) == WSB_OK);

    memset(&t, 0, sizeof(t));
    wsb_text_lit(&t, "{\"type\":\"subscribe\",\"filter\":");
    wsb_text_str(&t, filter.text);

    if (wsb_json_get(answer, "where", &where) == WSB_OK) {
        fuzz_check(!op->filter.where_inside);
        wsb_text_lit(&t, ",\"where\":");
        wsb_text_str(&t, where.text);
    }

    wsb_text_lit(&t, "}");

    text.data = t.data;
    text.len = t.len;

    memset(&again, 0, sizeof(again));
    fuzz_check(bus->decode(NULL, text, &again) == WSB_OK);
    fuzz_check(again.type == WSB_OP_SUBSCRIBE);
    wsb_text_done(&t);

    a = wsb_plan_create(key, none, &op->filter, NULL);
    b = wsb_plan_create(key, none, &again.filter, NULL);
    fuzz_check(wsb_plan_size(a) == wsb_plan_size(b));
    fuzz_check(memcmp(a, b, wsb_plan_size(a)) == 0);
    wsb_free(a);
    wsb_free(b);

    bus->filter(&t, &again.filter);
    fuzz_check(again.filter.where_text.data != NULL
               || (t.len == filter.text.len
                   && memcmp(t.data, filter.text.data, t.len) == 0));
    wsb_text_done(&t);
    wsb_op_done(&again);
}


static void
check_refusal(wsb_op_t *op, wsb_text_t *t)
{
    wsb_str_t  text;

    text.data = op->text.data;
    text.len = op->text.len;

    fuzz_check(op->code != NULL && text.len != 0);
    bus->error(t, NULL, op->id, op->code, text);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wsb_op_t     op;
    wsb_str_t    message;
    wsb_text_t   t;
    wsb_json_t   answer;
    wsb_result_t result;

    memset(&op, 0, sizeof(op));
    memset(&t, 0, sizeof(t));

    message.data = fuzz_copy(data, size);
    message.len = size;

    fuzz_check(bus->decode(NULL, message, &op) == WSB_OK);

    /* the operation owns all that it names */

    memset((void *) message.data, 'x', size);
    free((void *) message.data);

    fuzz_check(op.id.data == NULL || op.id.len <= WSB_CLIENT_ID_MAX);

    switch (op.type) {

    case WSB_OP_SUBSCRIBE:
        check_filter(&op.filter);

        if (op.since == WSB_SINCE_ID) {
            bus->gap(&t, NULL, none, NULL, 7, 1, op.since_text, id, "history");
            check_answer(&t, &answer);
            free((void *) answer.text.data);

            bus->gap(&t, NULL, none, NULL, 7, 0, op.since_text, id, "history");
            check_answer(&t, &answer);
            free((void *) answer.text.data);
        }

        bus->subscribed(&t, &op, NULL, 7, id,
                        op.since == WSB_SINCE_NONE ? -1 : 0);
        check_answer(&t, &answer);
        check_echo(&op, &answer);
        break;

    case WSB_OP_UNSUBSCRIBE:
        bus->unsubscribed(&t, &op);
        check_answer(&t, &answer);
        free((void *) answer.text.data);

        wsb_op_not_found(&op);
        check_refusal(&op, &t);
        check_answer(&t, &answer);
        break;

    case WSB_OP_ASK_PONG:
        bus->pong(&t, &op, id);
        check_answer(&t, &answer);
        break;

    case WSB_OP_AUTH:
        fuzz_check(op.token.data != NULL && op.token.len <= size);
        bus->renewed(&t, &op, size % 2 ? WSB_NEVER : size);
        check_answer(&t, &answer);
        break;

    case WSB_OP_REQUEST:
        fuzz_check(op.id.len != 0 && op.request.entity.len != 0);
        fuzz_check(op.request.record_id.data == NULL
                   || op.request.record_id.len != 0);

        /* what it holds is whole: JSON again, in an answer too */

        wsb_result_init(&result);
        result.data = op.request.data;
        bus->response(&t, &op, &result);
        check_response(&t, &answer);
        free((void *) answer.text.data);

        result.code = "validation_error";
        result.text = op.request.entity;
        result.details = op.request.options;
        bus->response(&t, &op, &result);
        check_response(&t, &answer);
        break;

    default:
        fuzz_check(op.type == WSB_OP_REFUSE);
        check_refusal(&op, &t);
        check_answer(&t, &answer);
    }

    free((void *) answer.text.data);
    wsb_op_done(&op);

    return 0;
}
