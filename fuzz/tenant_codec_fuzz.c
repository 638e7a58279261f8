/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The first byte says what the rest is: a message of a client of the tenant
 * protocol, or the query string of its handshake.
 */

#include "fuzz.h"

#include "json/wsb_json.h"
#include "protocol/wsb_codec.h"


static const wsb_codec_t  *codec = &wsb_codec_tenant;

static const wsb_str_t  id =
    wsb_string("01234567-89ab-8000-8000-000000000011");


/* Whoever's it is: strict JSON, and the tenant comes out as it went in. */

static void
check_changed(wsb_text_t *t, wsb_str_t tenant)
{
    size_t              len;
    uint8_t            *decoded;
    wsb_str_t           text;
    wsb_json_t          value, changed, name, change;
    wsb_json_error_t    err;

    static const wsb_json_limits_t  limits = { 2, 2 };

    fuzz_check(!t->failed);

    text.data = fuzz_copy(t->data, t->len);
    text.len = t->len;
    wsb_text_done(t);

    fuzz_check(wsb_json_parse(text, &limits, &value, &err) == WSB_OK);
    fuzz_check(wsb_json_get(&value, "ConfigChanged", &changed) == WSB_OK);
    fuzz_check(wsb_json_get(&changed, "tenant_id", &name) == WSB_OK);
    fuzz_check(wsb_json_get(&changed, "change_type", &change) == WSB_OK);
    fuzz_check(wsb_json_key_is(&change, "modified"));

    decoded = malloc(name.text.len);
    fuzz_check(decoded != NULL);
    fuzz_check(wsb_json_decode(&name, decoded, &len) == WSB_OK);
    fuzz_check(len == tenant.len && memcmp(decoded, tenant.data, len) == 0);

    free(decoded);
    free((void *) text.data);
}


static void
check_message(wsb_str_t message)
{
    wsb_op_t    op;
    wsb_text_t  t;

    memset(&op, 0, sizeof(op));
    memset(&t, 0, sizeof(t));

    fuzz_check(codec->decode(NULL, message, &op) == WSB_OK);

    if (op.type == WSB_OP_ASK_PONG) {
        codec->pong(&t, &op, id);
        fuzz_check(t.len == 6 && memcmp(t.data, "\"Pong\"", 6) == 0);
        wsb_text_done(&t);

    } else {
        fuzz_check(op.type == WSB_OP_NOTHING && op.code != NULL);
    }

    wsb_op_done(&op);
}


/* How often is there a parameter of this name? */

static unsigned
count(wsb_str_t args)
{
    size_t    i;
    unsigned  n, high, low;
    uint8_t   c;

    static const char  name[] = "tenant_id";

    for (n = 0, i = 0; i < args.len; i++) {
        size_t  k = 0;

        for ( ;; ) {
            c = i < args.len ? args.data[i] : '&';

            if (c == '=' || c == '&') {
                break;
            }

            if (c == '%' && args.len - i > 2
                && sscanf((char[3]) { (char) args.data[i + 1], 0 }, "%1x",
                          &high) == 1
                && sscanf((char[3]) { (char) args.data[i + 2], 0 }, "%1x",
                          &low) == 1)
            {
                c = (uint8_t) (high << 4 | low);
                i += 2;

            } else if (c == '%') {
                k = sizeof(name) + 1;
            }

            k = k < sizeof(name) - 1 && c == (uint8_t) name[k]
                ? k + 1 : sizeof(name) + 1;
            i++;
        }

        n += k == sizeof(name) - 1;

        while (i < args.len && args.data[i] != '&') {
            i++;
        }
    }

    return n;
}


static void
check_args(wsb_str_t args)
{
    uint8_t        *dst;
    wsb_str_t       tenant;
    wsb_text_t      t;
    wsb_event_t     ev;

    dst = malloc(args.len + (args.len == 0));
    fuzz_check(dst != NULL);

    codec->tenant(args, dst, &tenant);

    fuzz_check(tenant.data == NULL || count(args) == 1);

    if (codec->refuse_tenant(tenant) == NULL) {
        fuzz_check(tenant.len != 0 && tenant.len <= WSB_TENANT_MAX);

        memset(&t, 0, sizeof(t));
        memset(&ev, 0, sizeof(ev));

        ev.field[WSB_TENANT] = tenant;
        codec->body(&t, &ev, id);
        check_changed(&t, tenant);

        codec->gap(&t, NULL, tenant, NULL, 1, 1, id, id, "slow");
        check_changed(&t, tenant);
    }

    free(dst);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wsb_str_t  input;

    if (size == 0) {
        return 0;
    }

    input.data = fuzz_copy(data + 1, size - 1);
    input.len = size - 1;

    if (data[0] & 1) {
        check_args(input);

    } else {
        check_message(input);
    }

    free((void *) input.data);

    return 0;
}
