/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A message of a client of the resource protocol: whatever it is, the answer
 * is one document with the fields that clients look at, and a subscription is
 * found again by the name that it got.
 */

#include "fuzz.h"

#include "json/wsb_json.h"
#include "protocol/wsb_resource.h"


static const wsb_codec_t  *codec = &wsb_codec_resource;

static const uint8_t  client[WSB_CLIENT_LEN + 1] = "0123456789abcdef";

static const wsb_str_t  none = wsb_null_string;
static const wsb_str_t  schema = wsb_string("public");
static const wsb_str_t  id =
    wsb_string("01234567-89ab-8000-8000-000000000011");


/* A document of this type; its id is the one given, "" for none. */

static void
check_answer(wsb_text_t *t, const char *type, wsb_str_t want)
{
    size_t             len;
    uint8_t           *decoded;
    wsb_str_t          text;
    wsb_json_t         value, field;
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = { 200, 1 };

    fuzz_check(!t->failed);

    text.data = fuzz_copy(t->data, t->len);
    text.len = t->len;
    wsb_text_done(t);

    fuzz_check(wsb_json_parse(text, &limits, &value, &err) == WSB_OK);
    fuzz_check(wsb_json_get(&value, "type", &field) == WSB_OK);
    fuzz_check(wsb_json_key_is(&field, type));
    fuzz_check(wsb_json_get(&value, "timestamp", &field) == WSB_OK);
    fuzz_check(wsb_json_get(&value, "id", &field) == WSB_OK);

    decoded = malloc(field.text.len);
    fuzz_check(decoded != NULL);
    fuzz_check(wsb_json_decode(&field, decoded, &len) == WSB_OK);
    fuzz_check(len == want.len
               && (len == 0 || memcmp(decoded, want.data, len) == 0));
    free(decoded);

    if (strcmp(type, "response") == 0) {
        fuzz_check(wsb_json_get(&value, "success", &field) == WSB_OK);
        fuzz_check(wsb_json_get(&value, field.type == WSB_JSON_TRUE
                                            ? "data" : "error", &field)
                   == WSB_OK);
    }

    free((void *) text.data);
}


static void
check_subscription(const wsb_op_t *op)
{
    wsb_text_t  t;

    memset(&t, 0, sizeof(t));

    fuzz_check(op->filter.where != NULL);
    fuzz_check(op->filter.n[WSB_ENTITY_TYPE] + op->filter.n[WSB_KIND] == 1);

    codec->filter(&t, &op->filter);
    fuzz_check(!t.failed && t.len != 0);
    wsb_text_done(&t);

    codec->subscribed(&t, op, client, 7, id, -1);
    check_answer(&t, "response", op->id);

    codec->gap(&t, NULL, none, client, 7, 0, id, id, "slow");
    check_answer(&t, "response", none);
}


static void
check_request(const wsb_op_t *op)
{
    wsb_text_t    t;
    wsb_result_t  result;

    memset(&t, 0, sizeof(t));

    fuzz_check(op->request.operation <= WSB_META);
    fuzz_check(op->request.entity.len != 0 && op->id.len != 0);
    fuzz_check(op->request.record_id.len <= 256);

    wsb_result_init(&result);
    result.data = op->request.data;
    codec->response(&t, op, &result);
    check_answer(&t, "response", op->id);

    result.code = "read_error";
    result.text = op->request.record_id;
    result.details = op->request.options;
    codec->response(&t, op, &result);
    check_answer(&t, "response", op->id);
}


static void
check_op(wsb_op_t *op)
{
    wsb_str_t   text;
    wsb_text_t  t;

    memset(&t, 0, sizeof(t));

    fuzz_check(op->id.len <= WSB_CLIENT_ID_MAX);

    switch (op->type) {

    case WSB_OP_SUBSCRIBE:
        check_subscription(op);
        break;

    case WSB_OP_UNSUBSCRIBE:
        codec->unsubscribed(&t, op);
        check_answer(&t, "response", op->id);
        break;

    case WSB_OP_ASK_PONG:
        codec->pong(&t, op, id);
        check_answer(&t, "pong", op->id);
        break;

    case WSB_OP_REQUEST:
        check_request(op);
        break;

    default:
        fuzz_check(op->type == WSB_OP_REFUSE && op->code != NULL);

        text.data = op->text.data;
        text.len = op->text.len;

        codec->error(&t, NULL, op->id, op->code, text);
        check_answer(&t, "response", op->id);
    }
}


/* Text that is no name of this client's has no ordinal. */

static void
check_name(wsb_str_t input)
{
    uint8_t    name[WSB_UUID_LEN];
    uint32_t   ordinal;

    ordinal = wsb_resource_ordinal(client, input);

    if (ordinal != 0) {
        wsb_resource_name(client, ordinal, name);
        fuzz_check(memcmp(name, input.data, WSB_UUID_LEN) == 0);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wsb_op_t       op;
    wsb_str_t      input;
    wsb_context_t  context;

    input.data = fuzz_copy(data, size);
    input.len = size;

    check_name(input);

    memset(&context, 0, sizeof(context));
    context.client = client;
    context.schema = schema;

    memset(&op, 0, sizeof(op));
    fuzz_check(codec->decode(&context, input, &op) == WSB_OK);

    free((void *) input.data);

    check_op(&op);
    wsb_op_done(&op);

    return 0;
}
