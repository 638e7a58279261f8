/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What hooks are told, and what is made of their answers.
 */

#include "ws/alloc.h"
#include "json/wsb_text.c"
#include "rest/wsb_hook.c"

#include "tap.h"


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


static wsb_json_t
json(const char *s)
{
    wsb_json_t         value;
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = { 32, 1 };

    if (wsb_json_parse(str(s), &limits, &value, &err) != WSB_OK) {
        memset(&value, 0, sizeof(value));
    }

    return value;
}


static int
is(wsb_text_t *t, const char *s)
{
    int  same;

    same = !t->failed && t->len == strlen(s) && memcmp(t->data, s, t->len) == 0;

    if (!same) {
        printf("# %.*s\n# not %s\n", (int) t->len, (char *) t->data, s);
    }

    wsb_text_done(t);
    return same;
}


static void
told(void)
{
    wsb_hook_t  hook;
    wsb_text_t  t;
    wsb_json_t  claims;
    wsb_str_t   names[2];

    memset(&hook, 0, sizeof(hook));
    memset(&t, 0, sizeof(t));

    hook.phase = "before_read";
    wsb_hook_text(&t, &hook);
    ok(is(&t, "{\"phase\":\"before_read\"}"), "what is not known is left out");

    hook.id = str("a\"b");
    hook.data = str("{ \"n\": 1.00 }");
    hook.status = 201;
    wsb_hook_text(&t, &hook);
    ok(is(&t, "{\"phase\":\"before_read\",\"id\":\"a\\\"b\","
              "\"data\":{ \"n\": 1.00 },\"status\":201}"),
       "strings are escaped, JSON is as it is");

    names[0] = str("sub");
    names[1] = str("role");
    claims = json("{\"iss\":\"x\",\"s\\u0075b\":\"a\",\"role\":[1.0]}");
    wsb_hook_claims(&t, &claims, names, 2);
    ok(is(&t, "{\"s\\u0075b\":\"a\",\"role\":[1.0]}"), "claims that are named");

    wsb_hook_claims(&t, &claims, names, 0);
    ok(is(&t, "{}"), "none");
}


static void
answered(void)
{
    wsb_json_t         body;
    const char        *why;
    wsb_hook_answer_t  a;

    body = json("{\"filters\":[],\"x\":1}");
    ok(wsb_hook_answer(&body, &a, &why) == WSB_OK
       && a.filters.text.data != NULL && a.data.text.data == NULL
       && a.metadata.text.data == NULL && a.result.text.data == NULL,
       "what is not there has no text");

    body = json("{\"data\":null}");
    ok(wsb_hook_answer(&body, &a, &why) == WSB_OK
       && a.data.text.data != NULL && a.data.type == WSB_JSON_NULL,
       "null is data");

    body = json("[]");
    ok(wsb_hook_answer(&body, &a, &why) == WSB_ERROR, "an array");
    body = json("{\"filters\":{}}");
    ok(wsb_hook_answer(&body, &a, &why) == WSB_ERROR, "filters: an object");
    body = json("{\"metadata\":[]}");
    ok(wsb_hook_answer(&body, &a, &why) == WSB_ERROR, "metadata: an array");
}


/* The conditions as text, or NULL for an error. */

static wsb_rc_t
filters(const char *text, char *dst)
{
    uint8_t       *memory;
    wsb_rc_t       rc;
    unsigned       n, i;
    wsb_json_t     list;
    const char    *why;
    wsb_forced_t   forced[2];

    list = json(text);
    rc = wsb_hook_filters(&list, forced, 2, &n, &memory, &why);

    *dst = '\0';

    for (i = 0; rc == WSB_OK && i < n; i++) {
        dst += sprintf(dst, "%.*s %.*s %.*s;",
                       (int) forced[i].field.len, forced[i].field.data,
                       (int) forced[i].op.len, forced[i].op.data,
                       (int) forced[i].value.len, forced[i].value.data);
    }

    wsb_free(memory);
    return rc;
}


#define F(c, o, v)  "{\"column\":" c ",\"operator\":" o ",\"value\":" v "}"

static void
conditions(void)
{
    char        got[256];
    unsigned    i;

    static const char *const  bad[] = {
        "[1]", "[{}]", "[{\"column\":\"a\",\"operator\":\"eq\"}]",
        "[" F("1", "\"eq\"", "1") "]", "[" F("\"\"", "\"eq\"", "1") "]",
        "[" F("\"a\"", "\"eq\"", "null") "]",
        "[" F("\"a\"", "\"eq\"", "{}") "]",
        "[" F("\"a\"", "\"eq\"", "[1]") "]",
        "[" F("\"a\"", "\"in\"", "1") "]",
        "[" F("\"a\"", "\"in\"", "[]") "]",
        "[" F("\"a\"", "\"in\"", "[\"\"]") "]",
        "[" F("\"a\"", "\"in\"", "[\"x,y\"]") "]",
        "[" F("\"a\"", "\"in\"", "[[1]]") "]",
        "[" F("\"\\u0000\"", "\"eq\"", "1") "]",
        "[" F("\"a\"", "\"eq\"", "1") "," F("\"b\"", "\"eq\"", "1") ","
            F("\"c\"", "\"eq\"", "1") "]",
        NULL
    };

    ok(filters("[" F("\"a\"", "\"eq\"", "\"x\\u0041\"") ","
               F("\"kind\"", "\"in\"", "[1,true,\"z\"]") "]", got) == WSB_OK
       && strcmp(got, "data.a eq xA;data.kind in 1,true,z;") == 0,
       "columns of the row, whatever they are called");

    ok(filters("[{\"value\":1,\"operator\":\"gt\",\"column\":\"n\"}]", got)
       == WSB_OK && strcmp(got, "data.n gt 1;") == 0, "in any order");

    ok(filters("[]", got) == WSB_OK && got[0] == '\0', "none");

    for (i = 0; bad[i] != NULL; i++) {
        ok(filters(bad[i], got) == WSB_ERROR, bad[i]);
    }
}


static wsb_rc_t
merge(const char *old, const char *change, wsb_text_t *t)
{
    wsb_json_t         c;
    const char        *why;
    wsb_json_error_t   err;

    /* inside an answer it is looked at less strictly */

    static const wsb_json_limits_t  limits = { 32, 0 };

    (void) wsb_json_parse(str(change), &limits, &c, &err);
    wsb_text_done(t);

    return wsb_hook_merge(t, str(old), &c, &why);
}


static void
metadata(void)
{
    char        large[WSB_HOOK_METADATA + 16];
    size_t      len;
    uint8_t     dst[64];
    wsb_text_t  t;

    memset(&t, 0, sizeof(t));

    ok(merge(NULL, "{\"a\":1,\"b\":\"x\"}", &t) == WSB_OK
       && is(&t, "{\"a\":1,\"b\":\"x\"}"), "new ones");
    ok(merge("{\"a\":1,\"b\":2}", "{\"a\":null,\"c\":true}", &t) == WSB_OK
       && is(&t, "{\"b\":2,\"c\":true}"), "null takes one away");
    ok(merge("{\"a\":1}", "{\"a\":null}", &t) == WSB_OK && is(&t, "{}"),
       "none is left");
    ok(merge(NULL, "{\"a-b\":1}", &t) == WSB_ERROR, "a name");
    ok(merge(NULL, "{\"\\u0061\":1}", &t) == WSB_ERROR, "an escaped name");
    ok(merge(NULL, "{\"\":1}", &t) == WSB_ERROR, "an empty name");
    ok(merge(NULL, "{\"a\":{}}", &t) == WSB_ERROR, "an object");
    ok(merge(NULL, "{\"a\":\"x\\u0000\"}", &t) == WSB_ERROR, "a NUL");
    ok(merge(NULL, "{\"a\":\"\\ud800\"}", &t) == WSB_ERROR,
       "half a character");

    memset(large, 'x', sizeof(large));
    memcpy(large, "{\"a\":\"", 6);
    memcpy(large + WSB_HOOK_METADATA - 2, "\"}", 3);
    ok(merge(NULL, large, &t) == WSB_OK, "as large as they may be");
    memcpy(large + WSB_HOOK_METADATA - 2, "x\"}", 4);
    ok(merge(NULL, large, &t) == WSB_ERROR, "a byte more");

    wsb_text_done(&t);

    ok(wsb_hook_value(str("{\"ab\":1,\"a\":\"\\u0062\"}"), str("a"), dst, &len)
       == WSB_OK && len == 1 && dst[0] == 'b', "a value");
    ok(wsb_hook_value(str("{\"ab\":1.50}"), str("ab"), dst, &len)
       == WSB_OK && len == 4 && memcmp(dst, "1.50", 4) == 0, "a number");
    ok(wsb_hook_value(str("{\"ab\":1}"), str("a"), dst, &len)
       == WSB_NOTFOUND, "none");
    ok(wsb_hook_value(str(NULL), str("a"), dst, &len) == WSB_NOTFOUND,
       "none at all");
}


int
main(void)
{
    told();
    answered();
    conditions();
    metadata();

    return tap_done();
}
