/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A query string: the first line is the Last-Event-ID, or none, the rest the
 * query.
 *
 * What becomes of it is one JSON object of the type `subscribe`, whatever the
 * query says, and the bus protocol reads it as an operation or refuses it.
 */

#include "fuzz.h"

#include "json/wsb_json.h"
#include "protocol/wsb_codec.h"
#include "protocol/wsb_query.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t           *copy;
    wsb_op_t           op;
    wsb_rc_t           rc;
    wsb_str_t          args, since, text;
    wsb_text_t         t;
    wsb_json_t         value, type;
    const char        *why;
    wsb_query_t        query;
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    since = fuzz_line(&data, &size);

    copy = fuzz_copy(data, size);
    args.data = copy;
    args.len = size;

    memset(&t, 0, sizeof(t));
    memset(&op, 0, sizeof(op));

    query.since = since;
    if (since.len == 0) {
        query.since.data = NULL;
    }

    rc = wsb_query_subscribe(&t, args, &query, &why);

    if (rc == WSB_OK) {
        text.data = t.data;
        text.len = t.len;

        /* bytes that are no UTF-8 are refused with the rest */

        if (wsb_json_parse(text, &limits, &value, &err) == WSB_OK) {
            fuzz_check(value.type == WSB_JSON_OBJECT);
            fuzz_check(wsb_json_get(&value, "type", &type) == WSB_OK
                       && wsb_json_key_is(&type, "subscribe"));
        }

        fuzz_check(wsb_codec_bus.decode(NULL, text, &op) == WSB_OK);
        fuzz_check(op.type == WSB_OP_SUBSCRIBE || op.type == WSB_OP_REFUSE);

        wsb_op_done(&op);

    } else {
        fuzz_check(rc == WSB_ERROR && why != NULL);
    }

    wsb_text_done(&t);
    free((void *) since.data);
    free(copy);

    return 0;
}
