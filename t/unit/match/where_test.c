/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Conditions: values against a plain reference, what is refused, and that
 * equal conditions are one.
 */

#include "ws/alloc.h"
#include "json/wsb_text.c"
#include "match/wsb_value.c"
#include "match/wsb_like.c"
#include "match/wsb_where.c"
#include "match/wsb_where_build.c"
#include "match/wsb_where_parse.c"

#include "tap.h"


static uint64_t  random_state = 88172645463325252ULL;

static unsigned
rnd(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return (unsigned) ((random_state >> 11) % n);
}

#include "match/where_ref.h"


#define OPERATORS ", expected one of " WSB_WHERE_OPERATORS

#define len(a)  (sizeof(a) / sizeof((a)[0]))


static const uint8_t  secret[] = "0123456789abcdef";

static wsb_where_error_t  error;


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


/* The text is gone when the conditions are looked at. */

static wsb_rc_t
parse(const char *text, wsb_where_t **where)
{
    size_t             n;
    uint8_t           *copy;
    wsb_rc_t           rc;
    wsb_str_t          s;
    wsb_json_t         value;
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = { 32, 0 };

    n = strlen(text);
    copy = malloc(n + 1);
    memcpy(copy, text, n);
    s.data = copy;
    s.len = n;

    memset(&error, 0, sizeof(error));

    if (wsb_json_parse(s, &limits, &value, &err) != WSB_OK) {
        printf("# %s at %zu: %s\n", err.reason, err.offset, text);
        abort();
    }

    rc = wsb_where_parse(&value, where, &error);

    memset(copy, 'x', n);
    free(copy);

    return rc;
}


static wsb_where_t *
where_of(const char *text)
{
    wsb_where_t  *where;

    if (parse(text, &where) != WSB_OK) {
        printf("# %s: %s\n", error.text, text);
        abort();
    }

    return where;
}


static wsb_value_t
value_of(const char *json)
{
    size_t            n;
    wsb_json_t        value;
    wsb_value_t       v;
    wsb_json_error_t  err;

    static char  buf[4][20000];
    static unsigned  i;

    static const wsb_json_limits_t  limits = { 32, 0 };

    if (wsb_json_parse(str(json), &limits, &value, &err) != WSB_OK) {
        abort();
    }

    v.type = value.type;
    v.text = value.text;

    if (v.type == WSB_JSON_STRING) {
        i = (i + 1) % 4;

        if (wsb_json_decode(&value, (uint8_t *) buf[i], &n) != WSB_OK) {
            abort();
        }

        v.text.data = (uint8_t *) buf[i];
        v.text.len = n;
    }

    return v;
}


static int
asked(const wsb_condition_t *condition, wsb_value_t value)
{
    wsb_subject_t  subject;

    subject.value = value;
    subject.parsed = 0;

    return wsb_where_holds(condition, &subject);
}


static int
like(wsb_value_t value, const char *pattern, int fold)
{
    uint8_t    tokens[WSB_LIKE_PATTERN];
    wsb_str_t  s;

    s.data = tokens;
    s.len = wsb_like_compile(tokens, str(pattern), fold);

    return wsb_value_is_scalar(&value)
           && wsb_like_match(s, value.text, fold);
}


/* Does {"column":"a",...} hold for this value of a? */

static int
holds(const char *op, const char *value, const char *row)
{
    int               result;
    char              text[WSB_WHERE_TEXT];
    wsb_value_t       v;
    wsb_where_t      *where;
    wsb_condition_t   condition;

    snprintf(text, sizeof(text),
             "[{\"column\":\"a\",\"operator\":\"%s\",\"value\":%s}]", op,
             value);

    where = where_of(text);
    v = value_of(row);

    wsb_where_next(where->bytes, &condition);
    result = asked(&condition, v);
    wsb_free(where);

    return result;
}


static void
test_reference(void)
{
    unsigned          op, i, k, bad, unequal;
    wsb_key_t         x, y;
    ref_row_t         row;
    wsb_value_t       a, b;
    ref_condition_t   c;

    memset(&row, 0xff, sizeof(row));
    memset(&c, 0, sizeof(c));
    c.nvalues = 1;

    for (op = 0; op < REF_NOPS; op++) {

        if (op == 6 || op == 7) {
            continue;
        }

        bad = 0;
        c.op = op;

        for (i = 0; i < REF_NVALUES; i++) {
            for (k = 0; k < REF_NVALUES - 4; k++) {
                row.a = (int) i;
                c.value[0] = (int) k;

                if (holds(ref_ops[op], ref_values[k].json,
                          ref_values[i].json)
                    != ref_holds(&c, &row))
                {
                    bad++;
                    printf("# %s %s %s\n", ref_values[i].json, ref_ops[op],
                           ref_values[k].json);
                }
            }
        }

        is_uint(bad, 0, "%s of each value and each", ref_ops[op]);
    }

    for (op = 6; op < 8; op++) {
        bad = 0;
        c.op = op;

        for (i = 0; i < REF_NVALUES; i++) {
            for (k = 0; k < REF_NPATTERNS; k++) {
                row.a = (int) i;
                c.value[0] = (int) k;
                a = value_of(ref_values[i].json);

                if (a.type == WSB_JSON_NULL) {
                    continue;
                }

                bad += like(a, ref_patterns[k], op == 7)
                       != ref_holds(&c, &row);
            }
        }

        is_uint(bad, 0, "%s of each value and pattern", ref_ops[op]);
    }

    bad = 0;
    unequal = 0;

    for (i = 0; i < REF_NVALUES; i++) {
        for (k = 0; k < REF_NVALUES; k++) {
            a = value_of(ref_values[i].json);
            b = value_of(ref_values[k].json);

            if (wsb_value_compare(&a, &b) == WSB_EQUAL) {
                bad += !wsb_value_hash(secret, &a, &x)
                       || !wsb_value_hash(secret, &b, &y)
                       || !wsb_key_eq(&x, &y);

            } else if (wsb_value_hash(secret, &a, &x)
                       && wsb_value_hash(secret, &b, &y)
                       && a.type != WSB_JSON_STRING)
            {
                unequal += wsb_key_eq(&x, &y);
            }
        }
    }

    is_uint(bad, 0, "equal values have one hash");
    is_uint(unequal, 0, "others have others");
}


static void
test_numbers(void)
{
    size_t        i, k;
    wsb_text_t    t, u;
    wsb_key_t     x, y;
    wsb_value_t   a, b;
    wsb_order_t   want;

    /* in rising order; equal ones in one row */

    static const char  *const table[][5] = {
        { "-9e999999999999999999999" },
        { "-1e99999999999999999999999999", "-1e1000000000000000001" },
        { "-1e400" },
        { "-18446744073709551617", "-18446744073709551617.0" },
        { "-18446744073709551616" },
        { "-9223372036854775809" },
        { "-1.0000000000000000000000000000000000000000000000000001" },
        { "-1", "-1.0", "-1e0", "-0.1E1", "-10e-1" },
        { "-0.1" },
        { "-1e-400" },
        { "0", "-0", "0.0", "0e99999999999999999999", "-0.00e-5" },
        { "1e-99999999999999999999999", "1e-9999999999999999999999999" },
        { "1e-400", "0.1e-399", "10e-401" },
        { "0.1", "1e-1", "0.10", "100e-3" },
        { "0.10000000000000000000000000000000000000000000000000000001" },
        { "1", "1.0", "0.001e3", "1000E-3", "1e+0" },
        { "9007199254740992" },
        { "9007199254740993", "9007199254740993.000", "9.007199254740993e15",
          "90071992547409930e-1" },
        { "9223372036854775807" },
        { "9223372036854775808" },
        { "18446744073709551615" },
        { "18446744073709551616", "18446744073709551616e0" },
        { "123456789012345678901234567890" },
        { "123456789012345678901234567891",
          "1.23456789012345678901234567891e29" },
        { "1e400" },
        { "1e401", "10e400", "0.1e402" },
        { "1e99999999999999999999999999", "100e888888888888888888888888" },
        { "1.5e88888888888888888888888888" },
    };

    for (i = 0; i < len(table) * 5; i++) {
        if (table[i / 5][i % 5] == NULL) {
            continue;
        }

        memset(&t, 0, sizeof(t));
        wsb_value_number(&t, str(table[i / 5][i % 5]));
        a = value_of(table[i / 5][i % 5]);

        for (k = 0; k < len(table) * 5; k++) {
            if (table[k / 5][k % 5] == NULL) {
                continue;
            }

            b = value_of(table[k / 5][k % 5]);

            want = i / 5 < k / 5 ? WSB_LESS
                   : i / 5 > k / 5 ? WSB_GREATER
                   : WSB_EQUAL;

            if (wsb_value_compare(&a, &b) != want) {
                ok(0, "%s and %s", table[i / 5][i % 5], table[k / 5][k % 5]);
            }

            memset(&u, 0, sizeof(u));
            wsb_value_number(&u, str(table[k / 5][k % 5]));

            if ((t.len == u.len && memcmp(t.data, u.data, t.len) == 0)
                != (wsb_value_compare(&a, &b) == WSB_EQUAL))
            {
                ok(0, "canonical: %s and %s", table[i / 5][i % 5],
                   table[k / 5][k % 5]);
            }

            b.text.data = u.data;
            b.text.len = u.len;

            if (wsb_value_compare(&a, &b) == WSB_EQUAL) {
                wsb_value_hash(secret, &a, &x);
                wsb_value_hash(secret, &b, &y);

                if (!wsb_key_eq(&x, &y)) {
                    ok(0, "hash: %s", table[i / 5][i % 5]);
                }

            } else if (i == k) {
                ok(0, "not itself: %s", table[i / 5][i % 5]);
            }

            wsb_text_done(&u);
        }

        wsb_text_done(&t);
    }

    ok(1, "numbers in order, exactly");

    ok(holds("eq", "9007199254740993", "9007199254740993")
       && !holds("eq", "9007199254740993", "9007199254740992"),
       "a double would not tell these two");
    ok(holds("gt", "18446744073709551615", "18446744073709551616"),
       "beyond 64 bits");
    ok(holds("eq", "\"9007199254740993\"", "9007199254740993.0"),
       "a number and a string that is one");
    ok(!holds("eq", "\"1.0\"", "\"1\"") && holds("neq", "\"1.0\"", "\"1\""),
       "strings are compared by their bytes");
    ok(holds("gt", "\"9\"", "10") && !holds("gt", "\"9\"", "\"10\""),
       "10 > \"9\", but \"10\" < \"9\"");
}


static void
test_like(void)
{
    size_t  i;

    static const struct {
        const char  *row;
        const char  *pattern;
        int          like;
        int          ilike;
    } table[] = {
        { "\"hello\"", "\"hello\"", 1, 1 },
        { "\"hello\"", "\"hell\"", 0, 0 },
        { "\"hello\"", "\"ello\"", 0, 0 },
        { "\"hello\"", "\"%ello\"", 1, 1 },
        { "\"Hello\"", "\"hello\"", 0, 1 },
        { "\"HELLO\"", "\"h%O\"", 0, 1 },
        { "\"h\xc3\xa9llo\"", "\"h_llo\"", 1, 1 },
        { "\"h\xc3\xa9llo\"", "\"h__llo\"", 0, 0 },
        { "\"\\ud83d\\ude00\"", "\"_\"", 1, 1 },
        { "\"\xc3\x89\"", "\"\xc3\xa9\"", 0, 0 },
        { "42", "\"4%\"", 1, 1 },
        { "42.0", "\"42\"", 0, 0 },
        { "1E5", "\"1e5\"", 0, 1 },
        { "true", "\"t%\"", 1, 1 },
        { "true", "\"T%\"", 0, 1 },
        { "{\"a\":1}", "\"%\"", 0, 0 },
        { "[\"a\"]", "\"%\"", 0, 0 },
        { "null", "\"%\"", 0, 0 },
        { "\"\"", "\"%\"", 1, 1 },
        { "\"\"", "\"\"", 1, 1 },
        { "\"\"", "\"_\"", 0, 0 },
        { "\"a%b\"", "\"a\\\\%b\"", 1, 1 },
        { "\"axb\"", "\"a\\\\%b\"", 0, 0 },
        { "\"a\\\\xb\"", "\"a\\\\%b\"", 0, 0 },
        { "\"A\\\\xb\"", "\"a\\\\x_\"", 0, 1 },
        { "\"mississippi\"", "\"m%iss%ip%i\"", 1, 1 },
        { "\"mississippi\"", "\"m%iss%ip%s\"", 0, 0 },
        { "\"aaaaaaaaaaaaaaaaaaaaaaaaab\"", "\"%a%a%a%a%a%a%a%a%c\"", 0, 0 },
        { "\"abc\"", "null", 0, 0 },
    };

    for (i = 0; i < len(table); i++) {
        is_uint(holds("like", table[i].pattern, table[i].row), table[i].like,
                "%s like %s", table[i].row, table[i].pattern);
        is_uint(holds("ilike", table[i].pattern, table[i].row),
                table[i].ilike, "ilike");
    }
}


#define C(column, op, value)                                                 \
    "{\"column\":\"" column "\",\"operator\":\"" op "\",\"value\":" value "}"

#define O(column, op, value)                                                 \
    "{\"column\":\"" column "\",\"operator\":\"" op "\",\"value\":" value    \
    ",\"logic_operator\":\"OR\"}"


static void
test_equal(void)
{
    size_t        i, k;
    wsb_key_t     x, y;
    wsb_where_t  *a, *b;

    /* those of a row mean the same, those of two rows do not */

    static const char  *const table[][5] = {
        { "[" C("a", "eq", "1") "]",
          " [ " C("a", "eq", "1.0") "\n]",
          "[{\"value\":10e-1,\"operator\":\"\\u0065q\",\"column\":"
          "\"\\u0061\",\"extra\":[]}]",
          "[" C("a", "in", "1") "]",
          "[" C("a", "in", "[1,null,1.0,100e-2]") "]" },
        { "[" C("a", "eq", "\"1\"") "]",
          "[" C("a", "in", "[\"1\",null]") "," C("a", "eq", "\"\\u0031\"")
          "]" },
        { "[" C("a", "eq", "\"1.0\"") "]" },
        { "[" C("a", "eq", "true") "]" },
        { "[" C("a", "eq", "\"true\"") "]" },
        { "[" C("a", "neq", "1") "]" },
        { "[" C("b", "eq", "1") "]" },
        { "[" C("a.b", "eq", "1") "]", "[" C("a\\u002eb", "eq", "1") "]" },
        { "[" C("b.a", "eq", "1") "]" },
        { "[" C("a", "in", "[1,2,\"x\"]") "]",
          "[" C("a", "in", "[\"x\",2,1,2,2.0]") "]" },
        { "[" C("a", "eq", "1") "," C("b", "gt", "2") "]",
          "[" C("b", "gt", "2") "," C("a", "eq", "1") "]",
          "[" C("b", "gt", "2") "," C("a", "eq", "1") "," C("b", "gt", "2")
          "]",
          "[" O("b", "gt", "2") "," C("a", "eq", "1") "," O("a", "eq", "1")
          "]" },
        { "[" C("a", "eq", "1") "," O("b", "gt", "2") "]",
          "[" C("b", "gt", "2") "," O("a", "eq", "1") "," O("b", "gt", "2")
          "," O("c", "in", "[]") "," O("c", "neq", "null") "]" },
        { "[" C("a", "eq", "1") "," O("b", "gt", "2") "," C("c", "lt", "3")
          "," O("d", "lt", "4") "]",
          "[" C("d", "lt", "4") "," O("c", "lt", "3") "," C("b", "gt", "2")
          "," O("a", "eq", "1") "]",
          "[" C("d", "lt", "4") "," O("c", "lt", "3") "," C("b", "gt", "2")
          "," O("a", "eq", "1") "," C("a", "eq", "1") "," O("b", "gt", "2")
          "]" },
        { "[" C("a", "eq", "1") "," C("b", "gt", "2") "," O("c", "lt", "3")
          "," O("d", "lt", "4") "]" },
        { "[" C("a", "in", "[]") "]",
          "[" C("b", "neq", "null") "]",
          "[" C("b", "in", "null") "," C("c", "eq", "1") "]",
          "[" C("b", "like", "null") "," O("c", "in", "[null]") "]" },
        { "[" C("a", "like", "\"a%\"") "]", "[" C("a", "like", "\"a%%\"") "]" },
        { "[" C("a", "ilike", "\"a%\"") "]", "[" C("a", "ilike", "\"A%\"") "]" },
        { "[" C("a", "like", "\"%_\\\\%\"") "]",
          "[" C("a", "like", "\"_%%\\\\%\"") "]" },
        { "[" C("x", "eq", "1") "]", "[" C("data.x", "eq", "1") "]" },
        { "[" C("data", "eq", "1") "]", "[" C("data.data", "eq", "1") "]" },
        { "[" C("x\\\\.y", "eq", "1") "]",
          "[" C("data.x\\\\.y", "eq", "1") "]" },
        { "[" C("x.y", "eq", "1") "]", "[" C("\\\\x.y", "eq", "1") "]" },
        { "[" C("x\\\\[0]", "eq", "1") "]" },
        { "[" C("x[", "eq", "1") "]", "[" C("x\\\\[", "eq", "1") "]" },
        { "[" C("x[]", "eq", "1") "]" },
        { "[" C("x[0]y", "eq", "1") "]" },
        { "[" C("y", "eq", "1") "," O("x", "eq", "2") "]",
          "[" C("y", "eq", "1") ",{\"column\":\"x\",\"operator\":\"eq\","
          "\"value\":2,\"logic_operator\":\"O\\u0052\"}]",
          "[" C("y", "eq", "1") ",{\"column\":\"x\",\"operator\":\"eq\","
          "\"value\":2,\"logic_operator\":\"\\u006f\\u0052\"}]" },
        { "[" C("y", "eq", "1") "," C("x", "eq", "2") "]",
          "[" C("y", "eq", "1") ",{\"column\":\"x\",\"operator\":\"eq\","
          "\"value\":2,\"logic_operator\":\"\\u0061\\u006e\\u0064\"}]" },
        { "[" C("a", "eq", "\"\"") "]" },
        { "[" C("a", "eq", "0") "]", "[" C("a", "eq", "-0.0e9") "]" },
    };

    for (i = 0; i < len(table) * 5; i++) {
        if (table[i / 5][i % 5] == NULL) {
            continue;
        }

        a = where_of(table[i / 5][i % 5]);
        x = wsb_where_id(secret, a);

        for (k = 0; k < len(table) * 5; k++) {
            if (table[k / 5][k % 5] == NULL) {
                continue;
            }

            b = where_of(table[k / 5][k % 5]);
            y = wsb_where_id(secret, b);

            if ((i / 5 == k / 5) != wsb_key_eq(&x, &y)
                || (i / 5 == k / 5)
                   != (a->size == b->size && memcmp(a, b, a->size) == 0))
            {
                ok(0, "%s and %s", table[i / 5][i % 5], table[k / 5][k % 5]);
            }

            wsb_free(b);
        }

        wsb_free(a);
    }

    ok(1, "equal conditions are one");
    is_uint(live, 0, "nothing is left");

    ok(where_of("[]") == NULL, "no condition is none");
}


/* Sorting and joining do not change what they mean. */

static void
test_random(void)
{
    int               group, bad, never;
    char              text[REF_TEXT];
    unsigned          i, k;
    ref_row_t         row;
    ref_where_t       w;
    wsb_str_t         path;
    wsb_value_t       v;
    const uint8_t    *p, *last;
    wsb_where_t      *where, *again;
    wsb_condition_t   c;

    static const char  *const paths[] = {
        "a", "b", "n\0a", "n\0b", "n\0m\0a", "zz", "a\0b", "n"
    };

    static const size_t  path_len[] = { 2, 2, 4, 4, 6, 3, 4, 2 };

    bad = 0;
    never = 0;

    for (i = 0; i < 20000; i++) {
        ref_random_where(&w, i % 10 ? 4 : REF_MAX);
        ref_where_text(&w, text);
        where = where_of(text);
        ref_where_text(&w, text);
        again = where_of(text);

        bad += where->size != again->size
               || memcmp(where, again, where->size) != 0;

        wsb_free(again);

        ref_random_row(&row);
        row.present = 1;

        p = where->bytes;
        last = p + where->len;
        group = 1;

        for (k = 0; p < last; k++) {
            p = wsb_where_next(p, &c);

            if (!c.joined) {
                if (!group) {
                    break;
                }

                group = 0;
            }

            if (c.op == WSB_WHERE_NEVER) {
                never++;
                continue;
            }

            path = wsb_where_path(where, c.path);

            for (k = 0; k < REF_NCOLUMNS; k++) {
                if (path.len == path_len[k]
                    && memcmp(path.data, paths[k], path.len) == 0)
                {
                    break;
                }
            }

            if (k == REF_NCOLUMNS) {
                bad++;
                break;
            }

            if (ref_column(&row, k) != -1) {
                v = value_of(ref_values[ref_column(&row, k)].json);
                group |= asked(&c, v);
            }
        }

        if (group != ref_match(&w, &row)) {
            bad++;
            printf("# %s\n", text);
        }

        wsb_free(where);
    }

    is_uint(bad, 0, "random conditions mean what they say");
    ok(never > 10, "some hold never: %d", never);
    is_uint(live, 0, "nothing is left");
}


static void
test_errors(void)
{
    size_t        i;
    wsb_where_t  *where;

    static const struct {
        const char  *text;
        const char  *error;
    } table[] = {
        { "{}", "where must be an array" },
        { "\"a\"", "where must be an array" },
        { "[1]", "where[0]: an object is expected" },
        { "[" C("a", "eq", "1") ",[]]", "where[1]: an object is expected" },
        { "[{}]", "where[0]: missing operator" },
        { "[{\"column\":\"a\",\"value\":1}]", "where[0]: missing operator" },
        { "[{\"operator\":\"eq\",\"value\":1}]", "where[0]: missing column" },
        { "[{\"operator\":\"eq\",\"column\":\"a\"}]",
          "where[0]: missing value" },
        { "[" C("a", "eq", "1") "," C("a", "eq", "1") ","
          C("a", "GT", "1") "]", "where[2]: unknown operator" OPERATORS },
        { "[" C("a", "contains", "1") "]", "where[0]: unknown operator" OPERATORS },
        { "[" C("a", "", "1") "]", "where[0]: unknown operator" OPERATORS },
        { "[{\"column\":\"a\",\"operator\":null,\"value\":1}]",
          "where[0]: operator must be a string" },
        { "[{\"column\":1,\"operator\":\"eq\",\"value\":1}]",
          "where[0]: column must be a string" },
        { "[" C("", "eq", "1") "]", "where[0]: column is empty" },
        { "[" C(".", "eq", "1") "]", "where[0]: column has an empty key" },
        { "[" C("a.", "eq", "1") "]", "where[0]: column has an empty key" },
        { "[" C("a..b", "eq", "1") "]", "where[0]: column has an empty key" },
        { "[" C("data.", "eq", "1") "]", "where[0]: column has an empty key" },
        { "[" C("items[0].x", "eq", "1") "]", "where[0]: arrays are not "
          "entered; a bracket in a key is written \\[" },
        { "[" C("x.items[12]", "eq", "1") "]", "where[0]: arrays are not "
          "entered; a bracket in a key is written \\[" },
        { "[" C("a.b.c.d.e.f.g.h.i", "eq", "1") "]",
          "where[0]: column has more than 8 keys" },
        { "[" C("a\\u0000", "eq", "1") "]", "where[0]: column is no text" },
        { "[" C("a", "eq", "\"\\ud800\"") "]", "where[0]: value is no text" },
        { "[" C("a", "eq", "[1]") "]", "where[0]: value must be a scalar" },
        { "[" C("a", "eq", "{}") "]", "where[0]: value must be a scalar" },
        { "[" C("a", "in", "{}") "]",
          "where[0]: value must be a scalar, or an array of them" },
        { "[" C("a", "in", "[[1]]") "]",
          "where[0]: value must be a scalar, or an array of them" },
        { "[" C("a", "like", "1") "]",
          "where[0]: the pattern must be a string" },
        { "[" C("a", "ilike", "true") "]",
          "where[0]: the pattern must be a string" },
        { "[{\"column\":\"a\",\"operator\":\"eq\",\"value\":1,"
          "\"logic_operator\":\"XOR\"}]",
          "where[0]: logic_operator must be \"AND\" or \"OR\"" },
        { "[{\"column\":\"a\",\"operator\":\"eq\",\"value\":1,"
          "\"logic_operator\":1}]",
          "where[0]: logic_operator must be \"AND\" or \"OR\"" },
        { "[{\"column\":\"a\",\"operator\":\"eq\",\"value\":1,"
          "\"logic_operator\":\"OR and so on\"}]",
          "where[0]: logic_operator must be \"AND\" or \"OR\"" },
    };

    for (i = 0; i < len(table); i++) {
        is_uint(parse(table[i].text, &where), WSB_ERROR, "%s", table[i].text);
        is_bytes(error.text, strlen(error.text), table[i].error, "error");
        ok(where == NULL, "and nothing else");
    }

    is_uint(live, 0, "nothing is left");

    where = where_of("[" C("a.b.c.d.e.f.g.h", "eq", "1") "]");
    is_bytes(wsb_where_path(where, 0).data, wsb_where_path(where, 0).len - 15,
             "a", "eight keys");
    wsb_free(where);
}


static void
test_limits(void)
{
    char         *text, *p;
    unsigned      n, i;
    wsb_rc_t      rc;
    wsb_where_t  *where;

    text = malloc(20000);

    for (n = 16; n <= 17; n++) {
        p = text;

        for (i = 0; i < n; i++) {
            p += sprintf(p, "%c" C("c%u", "eq", "%u"), i ? ',' : '[', i, i);
        }

        strcpy(p, "]");
        rc = parse(text, &where);

        if (n == 16) {
            is_uint(rc, WSB_OK, "16 conditions");
            is_uint(where->nconditions, 16, "all of them");
            is_uint(where->npaths, 16, "and their columns");
            wsb_free(where);

        } else {
            is_uint(rc, WSB_ERROR, "17 are too many");
            is_bytes(error.text, strlen(error.text),
                     "where has more than 16 conditions", "error");
        }
    }

    for (n = 256; n <= 257; n++) {
        p = text + sprintf(text, "[{\"column\":\"a\",\"operator\":\"in\","
                                 "\"value\":[");

        for (i = 0; i < n; i++) {
            p += sprintf(p, "%s%u", i ? "," : "", i);
        }

        strcpy(p, "]}]");
        rc = parse(text, &where);

        if (n == 256) {
            is_uint(rc, WSB_OK, "256 values");
            wsb_free(where);

        } else {
            is_uint(rc, WSB_ERROR, "257 are too many");
            is_bytes(error.text, strlen(error.text),
                     "where[0]: more than 256 values", "error");
        }
    }

    for (n = WSB_WHERE_TEXT; n <= WSB_WHERE_TEXT + 1; n++) {
        p = text + sprintf(text, "[" C("a", "eq", "1"));
        memset(p, ' ', n - (p - text));
        text[n - 1] = ']';
        text[n] = '\0';
        rc = parse(text, &where);

        if (n == WSB_WHERE_TEXT) {
            is_uint(rc, WSB_OK, "8192 bytes");
            wsb_free(where);

        } else {
            is_uint(rc, WSB_ERROR, "8193 are too many");
            is_bytes(error.text, strlen(error.text),
                     "where is longer than 8192 bytes", "error");
        }
    }

    for (n = WSB_WHERE_PATTERN; n <= WSB_WHERE_PATTERN + 1; n++) {
        p = text + sprintf(text, "[{\"column\":\"a\",\"operator\":\"like\","
                                 "\"value\":\"");
        memset(p, '_', n);
        strcpy(p + n, "\"}]");
        rc = parse(text, &where);

        if (n == WSB_WHERE_PATTERN) {
            is_uint(rc, WSB_OK, "a pattern of 256 bytes");
            wsb_free(where);

        } else {
            is_uint(rc, WSB_ERROR, "257 are too many");
            is_bytes(error.text, strlen(error.text),
                     "where[0]: the pattern is longer than 256 bytes",
                     "error");
        }
    }

    /* the longest that there can be */

    p = text + sprintf(text, "[");

    for (i = 0; i < 16; i++) {
        p += sprintf(p, "%s{\"column\":\"%u\",\"operator\":\"in\","
                        "\"value\":[", i ? "," : "", i);

        for (n = 0; n < 112; n++) {
            p += sprintf(p, "%s%u", n ? "," : "", 10 * (n + 1) % 1000);
        }

        p += sprintf(p, "]}");
    }

    strcpy(p, "]");
    ok(strlen(text) > 7000 && strlen(text) <= WSB_WHERE_TEXT, "%zu bytes",
       strlen(text));
    where = where_of(text);
    ok(where->size < 32768, "make %u", where->size);
    wsb_free(where);

    free(text);
}


static void
test_cost(void)
{
    char          text[4096];
    size_t        i;
    wsb_where_t  *where, *joined;

    static const struct {
        const char  *text;
        unsigned     cost;
    } table[] = {
        { "[" C("a", "eq", "1") "]", 0 },
        { "[" C("a", "eq", "1") "," C("b", "in", "[1,2,3]") "]", 0 },
        { "[" C("a", "eq", "1") "," O("a", "eq", "2") "]", 2 },
        { "[" C("a", "eq", "1") "," C("b", "gt", "2") "]", 1 },
        { "[" C("a", "eq", "1") "," C("b", "gt", "2") "," O("b", "lt", "1")
          "," C("c", "eq", "1") "]", 2 },
        { "[" C("a", "neq", "1") "]", 1 },
        { "[" C("a", "in", "[]") "]", 0 },
        { "[" C("a", "in", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]") ","
          O("b", "eq", "1") "]", 2 },
        { "[" C("a", "in", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]") ","
          O("b", "eq", "1") "]", 3 },
        { "[" C("a", "like", "\"a%\"") "]", 1 },
        { "[" C("a", "like", "\"%a%\"") "," C("b", "like", "\"%a%\"") "]",
          128 },
        { "[" C("a", "eq", "\"1234567890123456789012345678901234567890\"")
          "]", 0 },
        { "[" C("a", "eq", "12345678901234567890123456789012345678901")
          "]", 1 },
        { "[" C("a", "eq", "\"12345678901234567890123456789012345678901\"")
          "]", 1 },
        { "[" C("a", "eq", "\"x2345678901234567890123456789012345678901\"")
          "]", 0 },
    };

    for (i = 0; i < len(table); i++) {
        where = where_of(table[i].text);
        is_uint(wsb_where_cost(where), table[i].cost, "%s", table[i].text);
        wsb_free(where);
    }

    where = where_of("[" C("a", "like", "\"%a%\"") "]");

    if (wsb_where_join(where, where, WSB_WHERE_FORCED, 0, &joined)
        != WSB_OK)
    {
        abort();
    }

    is_uint(wsb_where_cost(joined), 64, "what is forced costs nothing");
    wsb_free(joined);
    wsb_free(where);

    /* 256 bytes count without the backslashes */

    strcpy(text, "[{\"column\":\"a\",\"operator\":\"like\",\"value\":\"");

    for (i = 0; i < WSB_LIKE_PATTERN; i++) {
        strcat(text, "\\\\%");
    }

    strcat(text, "\"}]");
    where = where_of(text);
    is_uint(wsb_where_cost(where), 33, "256 characters that are escaped");
    wsb_free(where);
}


/* Conditions on a field of the event, which codecs add to a client's own. */

static int
field_holds(const wsb_where_t *where, wsb_field_t field, const char *value)
{
    int              holds;
    wsb_str_t        v = str(value);
    const uint8_t   *p, *last;
    wsb_subject_t    subject;
    wsb_condition_t  condition;

    memset(&subject, 0, sizeof(subject));
    subject.value.type = value ? WSB_JSON_STRING : WSB_JSON_NULL;
    subject.value.text = v;

    p = where->bytes;
    last = p + where->len;
    holds = 1;

    while (p < last) {
        p = wsb_where_next(p, &condition);

        if (!condition.field || condition.path != field) {
            continue;
        }

        holds = condition.joined
                    ? holds || wsb_where_holds(&condition, &subject)
                    : wsb_where_holds(&condition, &subject);
    }

    return holds;
}


static void
test_field(void)
{
    unsigned         n;
    wsb_str_t        texts[3];
    wsb_where_t     *own, *one, *many, *none;

    texts[0] = str("a");
    texts[1] = str("bb");
    texts[2] = str("");

    own = where_of("[" C("a", "gt", "1") "]");

    if (wsb_where_field(NULL, WSB_SCHEMA, texts, 1, 0, &one) != WSB_OK
        || wsb_where_field(own, WSB_SCHEMA, texts, 3, 1, &many) != WSB_OK
        || wsb_where_field(many, WSB_ACTION, NULL, 0, 1, &none) != WSB_OK)
    {
        abort();
    }

    ok(field_holds(one, WSB_SCHEMA, "a"), "it is the one text");
    ok(!field_holds(one, WSB_SCHEMA, "b"), "it is another");
    ok(!field_holds(one, WSB_SCHEMA, NULL), "it is absent");
    is_uint(one->npaths, 0, "no column is asked for");
    is_uint(one->size, sizeof(wsb_where_t) + one->len, "of that size");

    ok(field_holds(many, WSB_SCHEMA, "bb"), "it is one of many");
    ok(!field_holds(many, WSB_SCHEMA, "b"), "it is none of many");
    ok(field_holds(many, WSB_SCHEMA, NULL), "or absent");
    is_uint(many->nconditions, 3, "the client's own is there");
    is_uint(many->npaths, 1, "with its column");
    is_uint(wsb_where_cost(many), wsb_where_cost(own), "it costs nothing");

    ok(field_holds(none, WSB_ACTION, NULL), "absent alone");
    ok(!field_holds(none, WSB_ACTION, "a"), "and not if it is there");
    ok(field_holds(none, WSB_SCHEMA, "a"), "the others stay");

    wsb_free(one);
    wsb_free(none);

    texts[0].len = UINT16_MAX + 1;
    ok(wsb_where_field(own, WSB_SCHEMA, texts, 1, 0, &one) == WSB_ERROR,
       "too long");

    texts[0].len = 1;

    for (n = 1; n < 10; n++) {
        calls = 0;
        fail_at = n;

        if (wsb_where_field(own, WSB_SCHEMA, texts, 1, 0, &one) == WSB_OK) {
            wsb_free(one);
            break;
        }
    }

    fail_at = 0;
    ok(n > 2 && n < 10, "any allocation may fail");

    wsb_free(many);
    wsb_free(own);
    is_uint(live, 0, "nothing is left");
}


static void
test_failures(void)
{
    char          text[REF_TEXT];
    unsigned      i, n, bad, failed;
    wsb_rc_t      rc;
    ref_where_t   w;
    wsb_where_t  *where;

    bad = 0;
    failed = 0;

    for (i = 0; i < 300; i++) {
        ref_random_where(&w, REF_MAX);
        ref_where_text(&w, text);

        for (n = 1; n < 100; n++) {
            calls = 0;
            fail_at = n;
            rc = parse(text, &where);

            if (rc == WSB_OK) {
                wsb_free(where);
                break;
            }

            failed++;
            bad += rc != WSB_NOMEM || where != NULL || live != 0;
        }

        bad += n == 100;
    }

    fail_at = 0;
    is_uint(bad, 0, "any allocation may fail");
    ok(failed > 1000, "%u times", failed);
    is_uint(live, 0, "nothing is left");
}


int
main(void)
{
    test_reference();
    test_numbers();
    test_like();
    test_equal();
    test_random();
    test_errors();
    test_limits();
    test_cost();
    test_field();
    test_failures();

    return tap_done();
}
