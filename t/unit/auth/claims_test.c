/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/* Claims: dates, issuers and audiences; paths; values as text. */

#include "tap.h"

#include "auth/wsb_claims.h"


static wsb_json_t
parse(const char *text)
{
    wsb_str_t         s;
    wsb_json_t        value;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { 16, 16 };

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    if (wsb_json_parse(s, &limits, &value, &err) != WSB_OK) {
        printf("Bail out! %s: %s\n", text, err.reason);
    }

    return value;
}


static void
check(const wsb_claims_rules_t *rules, const char *text, const char *want)
{
    uint64_t     exp;
    wsb_rc_t     rc;
    wsb_json_t   claims = parse(text);
    const char  *reason = NULL;

    rc = wsb_claims_check(&claims, rules, 1000, &exp, &reason);

    if (want == NULL) {
        ok(rc == WSB_OK, "good: %s", text);
    } else {
        ok(rc == WSB_ERROR && strcmp(reason, want) == 0, "%s: %s", want,
           text);
    }
}


static void
check_exp(const char *number, uint64_t want)
{
    char                text[512];
    uint64_t            exp;
    wsb_json_t          claims;
    const char         *reason;
    wsb_claims_rules_t  rules;

    memset(&rules, 0, sizeof(rules));
    snprintf(text, sizeof(text), "{\"exp\":%s}", number);
    claims = parse(text);

    (void) wsb_claims_check(&claims, &rules, 0, &exp, &reason);

    is_uint(exp, want, "exp %.40s", number);
}


static void
check_dates(void)
{
    const char          *one[] = { "a", "b" };
    wsb_claims_rules_t   rules;

    static const char  expired[] = "it has expired";
    static const char  early[] = "it is not valid yet";
    static const char  no_date[] = "its exp or nbf is no number";
    static const char  issuer[] = "its issuer is not accepted";
    static const char  audience[] = "its audience is another";

    memset(&rules, 0, sizeof(rules));

    check(&rules, "{\"exp\":1001}", NULL);
    check(&rules, "{\"exp\":1000}", expired);
    check(&rules, "{\"exp\":1000.9}", expired);
    check(&rules, "{\"exp\":999}", expired);
    check(&rules, "{}", "it has no exp");
    check(&rules, "{\"exp\":\"1001\"}", no_date);
    check(&rules, "{\"exp\":null}", no_date);
    check(&rules, "{\"exp\":[1001]}", no_date);
    check(&rules, "{\"exp\":1001,\"nbf\":1000}", NULL);
    check(&rules, "{\"exp\":1001,\"nbf\":1001}", early);
    check(&rules, "{\"exp\":1001,\"nbf\":1e9}", early);
    check(&rules, "{\"exp\":1001,\"nbf\":true}", no_date);
    check(&rules, "{\"exp\":1001,\"iss\":7,\"aud\":{}}", NULL);

    rules.leeway = 5;
    check(&rules, "{\"exp\":996,\"nbf\":1005}", NULL);
    check(&rules, "{\"exp\":995}", expired);
    check(&rules, "{\"exp\":1001,\"nbf\":1006}", early);

    rules.exp_optional = 1;
    check(&rules, "{}", NULL);
    check(&rules, "{\"exp\":null}", no_date);
    check(&rules, "{\"exp\":-1}", expired);

    rules.issuers = one;
    rules.nissuers = 2;
    check(&rules, "{\"iss\":\"a\"}", NULL);
    check(&rules, "{\"iss\":\"\\u0062\"}", NULL);
    check(&rules, "{\"iss\":\"c\"}", issuer);
    check(&rules, "{\"iss\":\"ab\"}", issuer);
    check(&rules, "{\"iss\":\"\"}", issuer);
    check(&rules, "{\"iss\":[\"a\"]}", issuer);
    check(&rules, "{\"iss\":null}", issuer);
    check(&rules, "{}", issuer);

    rules.nissuers = 0;
    rules.audiences = one;
    rules.naudiences = 2;
    check(&rules, "{\"aud\":\"b\"}", NULL);
    check(&rules, "{\"aud\":[7,\"x\",\"b\"]}", NULL);
    check(&rules, "{\"aud\":[]}", audience);
    check(&rules, "{\"aud\":[[\"a\"]]}", audience);
    check(&rules, "{\"aud\":{\"a\":\"a\"}}", audience);
    check(&rules, "{\"aud\":\"A\"}", audience);
    check(&rules, "{}", audience);

    check_exp("0", 0);
    check_exp("-0", 0);
    check_exp("-5e9", 0);
    check_exp("1700000000", 1700000000);
    check_exp("1700000000.999", 1700000000);
    check_exp("1.7e9", 1700000000);
    check_exp("17E+8", 1700000000);
    check_exp("0.0000017e15", 1700000000);
    check_exp("17000000009e-1", 1700000000);
    check_exp("0.5", 0);
    check_exp("0.5e1", 5);
    check_exp("0e999999", 0);
    check_exp("5e-999999", 0);
    check_exp("253402300799", 253402300799);
    check_exp("253402300800", WSB_NEVER);
    check_exp("99999999999999999999999999", WSB_NEVER);
    check_exp("1e999999999999999999999999", WSB_NEVER);
    check_exp("0.1e999999999999999999999999", WSB_NEVER);
    check_exp("1e-99999999999999999999999999", 0);
}


static void
check_path(const char *names, const char *joint, const char *want)
{
    size_t     i, len;
    uint8_t    path[WSB_CLAIM_PATH_MAX];
    wsb_str_t  s;

    s.data = (const uint8_t *) names;
    s.len = strlen(names);

    if (wsb_claims_path(s, joint, path, &len) != WSB_OK) {
        ok(want == NULL, "no path: \"%.30s\" by \"%s\"", names, joint);
        return;
    }

    for (i = 0; i < len; i++) {
        path[i] = path[i] == '\0' ? '|' : path[i];
    }

    is_bytes(path, len, want ? want : "", "path \"%.30s\" by \"%s\"", names,
             joint);
}


static void
check_paths(void)
{
    char  text[300];

    check_path("sub", ".", "sub|");
    check_path("a.b.c", ".", "a|b|c|");
    check_path("https://x\\.example/a", ".", "https://x.example/a|");
    check_path("a\\\\b\\.", ".", "a\\b.|");
    check_path("a\\", ".", "a\\|");
    check_path("", ".", NULL);
    check_path(".", ".", NULL);
    check_path("a.", ".", NULL);
    check_path(".a", ".", NULL);
    check_path("a..b", ".", NULL);
    check_path("a.b.c.d.e.f.g.h", ".", "a|b|c|d|e|f|g|h|");
    check_path("a.b.c.d.e.f.g.h.i", ".", NULL);

    check_path("a_b", "__", "a_b|");
    check_path("a__b", "__", "a|b|");
    check_path("a___b", "__", "a|_b|");
    check_path("_a", "__", "_a|");
    check_path("__a", "__", NULL);
    check_path("a__", "__", NULL);
    check_path("a.b\\c", "__", "a.b\\c|");

    memset(text, 'x', sizeof(text));
    text[256] = '\0';
    check_path(text, ".", NULL);

    text[254] = '.';
    text[255] = '\0';
    check_path(text, ".", NULL);
}


/* NULL: not there; "-": there, without a text. */

static void
check_text(const char *text, const char *names, const char *want)
{
    size_t       len;
    uint8_t      path[WSB_CLAIM_PATH_MAX];
    wsb_rc_t     rc;
    wsb_str_t    s;
    wsb_text_t   t;
    wsb_json_t   claims = parse(text), value;

    s.data = (const uint8_t *) names;
    s.len = strlen(names);

    memset(&t, 0, sizeof(t));
    wsb_text_lit(&t, "=");

    ok(wsb_claims_path(s, ".", path, &len) == WSB_OK, "path %s", names);

    rc = wsb_claims_get(&claims, path, len, &value);

    if (rc != WSB_OK) {
        ok(rc == WSB_NOTFOUND && want == NULL, "none: %s", text);

    } else {
        rc = wsb_claims_text(&value, &t);

        if (rc == WSB_OK) {
            is_bytes(t.data + 1, t.len - 1, want ? want : "NULL", "%s", text);
        } else {
            ok(rc == WSB_NOTFOUND && want != NULL && want[0] == '-'
               && t.len == 1, "no text: %s", text);
        }
    }

    wsb_text_done(&t);
}


int
main(void)
{
    check_dates();
    check_paths();

    check_text("{\"a\":\"x\"}", "a", "x");
    check_text("{\"a\":\"\"}", "a", "");
    check_text("{\"a\":\"\\u00e9\\n\"}", "a", "-");
    check_text("{\"a\":\"\\u00e9,\"}", "a", "\xc3\xa9,");
    check_text("{\"a\":1.50e+3}", "a", "1.50e+3");
    check_text("{\"a\":12345678901234567890}", "a", "12345678901234567890");
    check_text("{\"a\":true,\"b\":false}", "b", "false");
    check_text("{\"a\":null}", "a", NULL);
    check_text("{\"a\":{}}", "a", "-");
    check_text("{\"a\":[]}", "a", "");
    check_text("{\"a\":[\"x\",1,true,\"\"]}", "a", "x,1,true,");
    check_text("{\"a\":[\"x\",\"y,z\"]}", "a", "-");
    check_text("{\"a\":[\"x\",null]}", "a", "-");
    check_text("{\"a\":[\"x\",[]]}", "a", "-");
    check_text("{\"a\":[\"x\",{\"b\":1}]}", "a", "-");
    check_text("{\"a\":{\"b\":{\"c\":7}}}", "a.b.c", "7");
    check_text("{\"a\":{\"b\":{\"c\":7}}}", "a.b", "-");
    check_text("{\"a\":{\"b\":{\"c\":7}}}", "a.c", NULL);
    check_text("{\"a\":[{\"b\":7}]}", "a.b", NULL);
    check_text("{\"a\":\"{\\\"b\\\":7}\"}", "a.b", NULL);
    check_text("{\"a.b\":7}", "a.b", NULL);
    check_text("{\"a.b\":7}", "a\\.b", "7");
    check_text("{\"A\":7}", "a", NULL);
    check_text("{}", "a", NULL);

    return tap_done();
}
