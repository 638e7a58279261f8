/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The tenant protocol: what clients may say, what they get to read, and whose
 * they are.
 */

#include "ws/alloc.h"
#include "json/wsb_text.c"
#include "protocol/wsb_op.c"
#include "protocol/wsb_tenant.c"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))


static const wsb_codec_t  *codec = &wsb_codec_tenant;

static const wsb_str_t  none = wsb_null_string;


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


static const struct {
    const char  *message;
    const char  *code;              /* NULL: it is answered with "Pong" */
} messages[] = {

    { "\"Ping\"", NULL },
    { " \t\"Ping\"\n", NULL },
    { "\"P\\u0069ng\"", NULL },
    { "{\"Ping\":null}", NULL },
    { " { \"Ping\" : null } ", NULL },

    { "\"Pong\"", "pong" },
    { "{\"Pong\":null}", "pong" },
    { "{\"ConfigChanged\":{\"tenant_id\":\"a\",\"change_type\":\"created\"}}",
      "config_changed" },
    { "{\"ConfigChanged\":null}", "config_changed" },

    { "\"ping\"", "unknown_message" },
    { "\"PING\"", "unknown_message" },
    { "\"Ping \"", "unknown_message" },
    { "\"\"", "unknown_message" },
    { "null", "unknown_message" },
    { "1", "unknown_message" },
    { "true", "unknown_message" },
    { "[]", "unknown_message" },
    { "[\"Ping\"]", "unknown_message" },
    { "{}", "unknown_message" },
    { "{\"type\":\"ping\"}", "unknown_message" },
    { "{\"ping\":null}", "unknown_message" },
    { "{\"Ping\":{}}", "unknown_message" },
    { "{\"Ping\":[]}", "unknown_message" },
    { "{\"Ping\":null,\"x\":1}", "unknown_message" },
    { "{\"x\":1,\"Ping\":null}", "unknown_message" },
    { "{\"type\":\"subscribe\",\"filter\":{}}", "unknown_message" },

    { "", "invalid_json" },
    { "Ping", "invalid_json" },
    { "'Ping'", "invalid_json" },
    { "\"Ping", "invalid_json" },
    { "\"Ping\"\"Ping\"", "invalid_json" },
    { "{\"Ping\":null,\"Ping\":null}", "invalid_json" },
    { "{\"Ping\":null", "invalid_json" },
    { "\"\\ud800\"", "invalid_json" },
    { "\"\\u0000\"", "invalid_json" },
    { "\"Ping\\u0000\"", "invalid_json" },
    { "{\"Ping\\u0000\":null}", "invalid_json" }
};


static void
test_messages(void)
{
    unsigned    i;
    wsb_op_t    op;
    wsb_str_t   m;
    uint8_t    *copy;

    for (i = 0; i < len(messages); i++) {
        m = str(messages[i].message);

        copy = malloc(m.len + 1);
        memcpy(copy, m.data, m.len);
        m.data = copy;

        memset(&op, 0, sizeof(op));

        ok(codec->decode(NULL, m, &op) == WSB_OK
           && (messages[i].code == NULL
               ? op.type == WSB_OP_ASK_PONG && op.code == NULL
               : op.type == WSB_OP_NOTHING && op.code != NULL
                 && strcmp(op.code, messages[i].code) == 0),
           "%s: %s", messages[i].message,
           messages[i].code ? messages[i].code : "answered");

        wsb_op_done(&op);
        free(copy);
    }
}


static void
is_text(wsb_text_t *t, const char *want, const char *what)
{
    is_bytes(t->data, t->len, want, "%s", what);
    wsb_text_done(t);
}


#define CHANGED(tenant, change)                                              \
    "{\"ConfigChanged\":{\"tenant_id\":\"" tenant "\",\"change_type\":\""    \
    change "\"}}"


static void
test_rendering(void)
{
    unsigned       i;
    wsb_op_t       op;
    wsb_text_t     t;
    wsb_event_t    ev;
    wsb_filter_t   filter;

    static const struct {
        const char  *action;
        const char  *want;
    } words[] = {
        { "created", CHANGED("acme", "created") },
        { "updated", CHANGED("acme", "modified") },
        { "modified", CHANGED("acme", "modified") },
        { "deleted", CHANGED("acme", "deleted") },
        { "status_changed", CHANGED("acme", "modified") },
        { "Created", CHANGED("acme", "modified") },
        { "", CHANGED("acme", "modified") },
        { NULL, CHANGED("acme", "modified") }
    };

    memset(&t, 0, sizeof(t));
    memset(&op, 0, sizeof(op));
    memset(&ev, 0, sizeof(ev));
    memset(&filter, 0, sizeof(filter));

    ev.field[WSB_TENANT] = str("acme");
    ev.field[WSB_ENTITY_TYPE] = str("config");
    ev.field[WSB_ENTITY_ID] = str("acme.json");
    ev.field[WSB_DATA] = str("{\"a\":1}");

    for (i = 0; i < len(words); i++) {
        ev.field[WSB_ACTION] = str(words[i].action);
        codec->body(&t, &ev, str("e-1"));
        is_text(&t, words[i].want, words[i].action ? words[i].action
                                                   : "no action");
    }

    ev.field[WSB_TENANT] = str("a\"\\\n\xc3\xa9");
    codec->body(&t, &ev, str("e-1"));
    is_text(&t, CHANGED("a\\\"\\\\\\n\xc3\xa9", "modified"),
            "a tenant is a JSON string");

    codec->gap(&t, NULL, str("acme"), NULL, 1, 1, str("e-1"), str("e-5"), "slow");
    is_text(&t, CHANGED("acme", "modified"), "a gap");

    codec->pong(&t, &op, str("e-1"));
    is_text(&t, "\"Pong\"", "a pong");

    codec->filter(&t, &filter);
    is_text(&t, "{}", "the filter");

    ok(codec->prefix == NULL && codec->welcome == NULL
       && codec->subscribed == NULL && codec->unsubscribed == NULL
       && codec->position == NULL && codec->error == NULL,
       "it says nothing else");

    ok(codec->implicit, "and one need not subscribe");
}


static const struct {
    const char  *args;
    const char  *tenant;            /* NULL: refused */
    const char  *refusal;
} args[] = {

    { "tenant_id=acme", "acme", NULL },
    { "x=1&tenant_id=acme&y", "acme", NULL },
    { "&&tenant_id=acme&&", "acme", NULL },
    { "tenant%5Fid=acme", "acme", NULL },
    { "tenant%5fid=acme", "acme", NULL },
    { "tenant_id=a%20b+c%2Bd", "a b c+d", NULL },
    { "tenant_id=%20", " ", NULL },
    { "tenant_id=+", " ", NULL },
    { "tenant_id=%C3%A9", "\xc3\xa9", NULL },
    { "tenant_id=\xc3\xa9", "\xc3\xa9", NULL },
    { "tenant_id=a=b", "a=b", NULL },
    { "tenant_id==", "=", NULL },
    { "tenant_id=a;b", "a;b", NULL },
    { "tenant_id=a%26tenant_id%3Db", "a&tenant_id=b", NULL },
    { "x=%zz&tenant_id=acme&%", "acme", NULL },
    { "Tenant_id=b&tenant_id=acme", "acme", NULL },

    { "tenant_id=", NULL, WSB_TENANT_EMPTY },
    { "tenant_id", NULL, WSB_TENANT_EMPTY },
    { "x&tenant_id&y", NULL, WSB_TENANT_EMPTY },

    { "", NULL, WSB_TENANT_MISSING },
    { NULL, NULL, WSB_TENANT_MISSING },
    { "&", NULL, WSB_TENANT_MISSING },
    { "=acme", NULL, WSB_TENANT_MISSING },
    { "tenant=acme", NULL, WSB_TENANT_MISSING },
    { "TENANT_ID=acme", NULL, WSB_TENANT_MISSING },
    { "xtenant_id=acme", NULL, WSB_TENANT_MISSING },
    { "tenant_idx=acme", NULL, WSB_TENANT_MISSING },
    { "tenant_id=acme&tenant_id=acme", NULL, WSB_TENANT_MISSING },
    { "tenant_id=acme&x=1&tenant_id", NULL, WSB_TENANT_MISSING },
    { "tenant_id=acme&tenant%5fid=b", NULL, WSB_TENANT_MISSING },
    { "tenant_id=a%", NULL, WSB_TENANT_MISSING },
    { "tenant_id=a%4", NULL, WSB_TENANT_MISSING },
    { "tenant_id=%zz", NULL, WSB_TENANT_MISSING },
    { "tenant_id=%4g", NULL, WSB_TENANT_MISSING },
    { "tenant_id=a%00", NULL, WSB_TENANT_MISSING },
    { "tenant_id=%00", NULL, WSB_TENANT_MISSING },
    { "tenant_id=%ff", NULL, WSB_TENANT_MISSING },
    { "tenant_id=%c3", NULL, WSB_TENANT_MISSING },
    { "tenant_id=%c0%80", NULL, WSB_TENANT_MISSING },
    { "tenant_id=%ed%a0%80", NULL, WSB_TENANT_MISSING }
};


static void
test_tenant(void)
{
    char         query[16 + WSB_TENANT_MAX + 1];
    size_t       n;
    uint8_t     *copy, *dst;
    unsigned     i;
    wsb_str_t    a, tenant;
    const char  *refusal;

    for (i = 0; i < len(args); i++) {
        a = str(args[i].args);

        copy = malloc(a.len + 1);
        dst = malloc(a.len + (a.len == 0));

        if (a.len != 0) {
            memcpy(copy, a.data, a.len);
        }

        a.data = copy;

        codec->tenant(a, dst, &tenant);
        free(copy);

        refusal = codec->refuse_tenant(tenant);

        if (args[i].tenant != NULL) {
            is_bytes(tenant.data, tenant.len, args[i].tenant, "%s",
                     args[i].args);
            ok(refusal == NULL, "is a tenant");

        } else {
            is_bytes(refusal, refusal ? strlen(refusal) : 0, args[i].refusal,
                     "%s", args[i].args ? args[i].args : "no arguments");
        }

        free(dst);
    }

    is_bytes(WSB_TENANT_MISSING, strlen(WSB_TENANT_MISSING),
             "Missing or invalid tenant_id query parameter", "the one text");
    is_bytes(WSB_TENANT_EMPTY, strlen(WSB_TENANT_EMPTY),
             "tenant_id cannot be empty", "the other text");

    for (n = WSB_TENANT_MAX; n <= WSB_TENANT_MAX + 1; n++) {
        memset(query, 'a', n);
        tenant.data = (uint8_t *) query;
        tenant.len = n;
        ok((codec->refuse_tenant(tenant) == NULL) == (n == WSB_TENANT_MAX),
           "a tenant of %zu bytes", n);
    }

    ok(codec->refuse_tenant(none) != NULL, "none at all");
}


int
main(void)
{
    test_messages();
    test_rendering();
    test_tenant();

    return tap_done();
}
