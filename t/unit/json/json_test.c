/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Strict JSON: what RFC 8259 takes, what it does not, and the walk over it.
 * The two large tables have the categories of JSONTestSuite.
 */

#include "json/wsb_json.h"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))

#define bytes(text)  { sizeof(text) - 1, (const uint8_t *) (text) }


static const wsb_json_limits_t  loose = { WSB_JSON_DEPTH, 0 };
static const wsb_json_limits_t  strict = { 32, 32 };


static const wsb_str_t  good[] = {

    /* structure */

    bytes("{}"),
    bytes("[]"),
    bytes("[{}]"),
    bytes("{\"a\":[]}"),
    bytes("[[],[[]]]"),
    bytes("[1,2,3]"),
    bytes("[null,1,\"1\",{}]"),
    bytes("{\"a\":1,\"b\":2}"),
    bytes("{\"a\":1,\"a\":1}"),
    bytes("{\"\":0}"),
    bytes("{\"a\":{\"b\":{\"c\":[{}]}}}"),
    bytes("{\"asd\":\"sdf\",\"dfg\":\"fgh\"}"),
    bytes("{\"foo\\u0000bar\":42}"),
    bytes("{ \"min\": -1.0e+28, \"max\": 1.0e+28 }"),

    /* white space */

    bytes(" {} "),
    bytes("\t\n\r []\t\n\r "),
    bytes("[1\n]"),
    bytes("[ 1 , 2 ]"),
    bytes("{ \"a\" : 1 , \"b\" : [ ] }"),
    bytes("[\n\t]"),
    bytes("{\n}"),

    /* scalars */

    bytes("true"),
    bytes("false"),
    bytes("null"),
    bytes("\"\""),
    bytes("\"a\""),
    bytes("42"),
    bytes("-0.1"),
    bytes("[true]"),
    bytes("[false]"),
    bytes("[null]"),

    /* numbers */

    bytes("0"),
    bytes("-0"),
    bytes("[-0]"),
    bytes("[0e1]"),
    bytes("[0e+1]"),
    bytes("[0E-1]"),
    bytes("[-1]"),
    bytes("[-123]"),
    bytes("[123e65]"),
    bytes("[1E22]"),
    bytes("[1E-2]"),
    bytes("[1e+2]"),
    bytes("[123.456e78]"),
    bytes("[1.000000005]"),
    bytes("[-0.000000000000000000000000000000000000000000000000000001]"),
    bytes("[20e1]"),
    bytes("[1e400]"),
    bytes("[-1e+9999]"),
    bytes("[9007199254740993]"),
    bytes("[123456789012345678901234567890]"),
    bytes("1.0"),

    /* strings */

    bytes("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
    bytes("[\"\\u0060\\u012a\\u12AB\"]"),
    bytes("[\"\\uD801\\udc37\"]"),
    bytes("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    bytes("[\"\\u0000\"]"),
    bytes("[\"\\\\u0000\"]"),
    bytes("[\"\\\"\"]"),
    bytes("[\"a/*b*/c/*d//e\"]"),
    bytes("[\"\\\\a\"]"),
    bytes("[\"\\uFFFE\\uffff\"]"),
    bytes("[\"\\ud800\"]"),
    bytes("[\"\\udc00\"]"),
    bytes("[\"\\udc00\\ud800\"]"),
    bytes("[\"\\ud800abc\"]"),
    bytes("[\"\\ud800\\n\"]"),
    bytes("[\"\\ud800\\ud800\\udc00\"]"),
    bytes("[\"\x7f\"]"),
    bytes("[\"\xc2\x80\"]"),
    bytes("[\"\xdf\xbf\"]"),
    bytes("[\"\xe0\xa0\x80\"]"),
    bytes("[\"\xed\x9f\xbf\"]"),
    bytes("[\"\xee\x80\x80\"]"),
    bytes("[\"\xef\xbf\xbf\"]"),
    bytes("[\"\xf0\x90\x80\x80\"]"),
    bytes("[\"\xf4\x8f\xbf\xbf\"]"),
    bytes("[\"\xe2\x80\xa8 \xe2\x80\xa9\"]"),
    bytes("[\"\xef\xbb\xbf\"]"),
    bytes("{\"\xc3\xa9\":1}"),
};


static const wsb_str_t  wrong[] = {

    /* structure */

    bytes(""),
    bytes(" "),
    bytes("\n\t"),
    bytes("["),
    bytes("{"),
    bytes("]"),
    bytes("}"),
    bytes("[}"),
    bytes("{]"),
    bytes("[]]"),
    bytes("{}}"),
    bytes("[] []"),
    bytes("{} {}"),
    bytes("{}#"),
    bytes("{},"),
    bytes("[],"),
    bytes("[1]x"),
    bytes("1 2"),
    bytes("[,]"),
    bytes("[,1]"),
    bytes("[1,]"),
    bytes("[1,,2]"),
    bytes("[1,,]"),
    bytes("[1 2]"),
    bytes("[1:2]"),
    bytes("[\"a\":1]"),
    bytes("[1"),
    bytes("[1,"),
    bytes("[1,\n1\n,1"),
    bytes("[[]"),
    bytes("[{}"),
    bytes("[\"x\""),
    bytes("[3[4]]"),
    bytes("{,}"),
    bytes("{\"a\""),
    bytes("{\"a\":"),
    bytes("{\"a\":1"),
    bytes("{\"a\":1,"),
    bytes("{\"a\":1,}"),
    bytes("{\"a\":1,,\"b\":2}"),
    bytes("{\"a\" 1}"),
    bytes("{\"a\",1}"),
    bytes("{\"a\"::1}"),
    bytes("{\"a\":1 \"b\":2}"),
    bytes("{\"a\"}"),
    bytes("{\"a\":}"),
    bytes("{:1}"),
    bytes("{a:1}"),
    bytes("{1:1}"),
    bytes("{null:1}"),
    bytes("{'a':1}"),
    bytes("{[1]:1}"),
    bytes("{\"a\":1]"),
    bytes("[1}"),
    bytes("{\"a\":[1}]"),
    bytes("{\"a\":\"b\"}/**/"),
    bytes("{\"a\":\"b\"}//"),
    bytes("/* */{}"),
    bytes("[1//\n]"),
    bytes("*"),
    bytes("<null>"),
    bytes("[<null>]"),
    bytes("{[[[[["),

    /* white space */

    bytes("[\f]"),
    bytes("[\v]"),
    bytes("\f1"),
    bytes("1\0"),
    bytes("\0"),
    bytes("[1\0]"),
    bytes("[\0]"),
    bytes("{\"a\":1}\0{}"),
    bytes("[\xc2\xa0]"),
    bytes("[\xe2\x81\xa0]"),
    bytes("\xef\xbb\xbf{}"),
    bytes("\xef\xbb\xbf"),
    bytes("\xfe\xff\0{\0}"),
    bytes("{\0}\0"),

    /* literals */

    bytes("t"),
    bytes("tru"),
    bytes("truE"),
    bytes("True"),
    bytes("[True]"),
    bytes("[nul]"),
    bytes("[nulll]"),
    bytes("[fals]"),
    bytes("truefalse"),
    bytes("undefined"),
    bytes("NaN"),
    bytes("[-NaN]"),
    bytes("[Infinity]"),
    bytes("[-Infinity]"),
    bytes("[+Inf]"),

    /* numbers */

    bytes("-"),
    bytes("[-]"),
    bytes("[- 1]"),
    bytes("[--1]"),
    bytes("[++1]"),
    bytes("[+1]"),
    bytes("[01]"),
    bytes("[-01]"),
    bytes("[-012]"),
    bytes("[00]"),
    bytes("[00.0]"),
    bytes("[.1]"),
    bytes("[-.1]"),
    bytes("[.]"),
    bytes("[1.]"),
    bytes("[-1.]"),
    bytes("[2.e3]"),
    bytes("[0.e1]"),
    bytes("[0.3e]"),
    bytes("[0.3e+]"),
    bytes("[0e]"),
    bytes("[0e+]"),
    bytes("[1e]"),
    bytes("[1e-]"),
    bytes("[1e1.5]"),
    bytes("[1eE2]"),
    bytes("[1ee2]"),
    bytes("[1.2.3]"),
    bytes("[1 000]"),
    bytes("[1,000 0]"),
    bytes("[1_000]"),
    bytes("[0x1]"),
    bytes("[0x42]"),
    bytes("[1a]"),
    bytes("[1-2]"),
    bytes("[1+2]"),
    bytes("[123\xe5]"),
    bytes("[\xef\xbc\x91]"),
    bytes("1e"),
    bytes("0."),

    /* strings */

    bytes("\""),
    bytes("\"a"),
    bytes("[\"a"),
    bytes("[\"a]"),
    bytes("'a'"),
    bytes("['a']"),
    bytes("[a]"),
    bytes("[\"\"\"]"),
    bytes("[\"\n\"]"),
    bytes("[\"\t\"]"),
    bytes("[\"\r\"]"),
    bytes("[\"\0\"]"),
    bytes("[\"\x1f\"]"),
    bytes("[\"a\0a\"]"),
    bytes("{\"a\tb\":1}"),
    bytes("[\"\\"),
    bytes("[\"\\\"]"),
    bytes("[\"\\a\"]"),
    bytes("[\"\\x00\"]"),
    bytes("[\"\\0\"]"),
    bytes("[\"\\012\"]"),
    bytes("[\"\\'\"]"),
    bytes("[\"\\U0041\"]"),
    bytes("[\"\\ \"]"),
    bytes("[\"\\\n\"]"),
    bytes("[\"\\\0\"]"),
    bytes("[\"\\\xc3\xa9\"]"),
    bytes("[\"\\u\"]"),
    bytes("[\"\\u1\"]"),
    bytes("[\"\\u00\"]"),
    bytes("[\"\\u000\"]"),
    bytes("[\"\\u00g0\"]"),
    bytes("[\"\\u 041\"]"),
    bytes("[\"\\u+041\"]"),
    bytes("[\"\\u0x41\"]"),
    bytes("[\"\\uD800\\u\"]"),
    bytes("[\"\\uD800\\u1\"]"),
    bytes("[\"\\uD800\\u1x\"]"),
    bytes("[\"\\u{41}\"]"),
    bytes("\"\\u00"),
    bytes("\"\\u"),
    bytes("\"\\"),
    bytes("\"a\" \"b\""),
    bytes("[\"a\" \"b\"]"),

    /* UTF-8 */

    bytes("[\"\x80\"]"),
    bytes("[\"\xbf\"]"),
    bytes("[\"\xc0\x80\"]"),
    bytes("[\"\xc0\xaf\"]"),
    bytes("[\"\xc1\xbf\"]"),
    bytes("[\"\xc3\"]"),
    bytes("[\"\xc3(\"]"),
    bytes("[\"\xe0\x80\x80\"]"),
    bytes("[\"\xe0\x9f\xbf\"]"),
    bytes("[\"\xe2\x82\"]"),
    bytes("[\"\xe2(\xa1\"]"),
    bytes("[\"\xed\xa0\x80\"]"),
    bytes("[\"\xed\xbf\xbf\"]"),
    bytes("[\"\xf0\x80\x80\x80\"]"),
    bytes("[\"\xf0\x8f\xbf\xbf\"]"),
    bytes("[\"\xf0\x9f\x98\"]"),
    bytes("[\"\xf4\x90\x80\x80\"]"),
    bytes("[\"\xf5\x80\x80\x80\"]"),
    bytes("[\"\xf8\x88\x80\x80\x80\"]"),
    bytes("[\"\xfe\"]"),
    bytes("[\"\xff\"]"),
    bytes("\"\xc3"),
    bytes("\"\xf0\x9f\x98"),
    bytes("{\"\xff\":1}"),
    bytes("[\xff]"),
    bytes("\xe9"),
};


static wsb_rc_t
parse(wsb_str_t text, const wsb_json_limits_t *limits, wsb_json_error_t *err)
{
    uint8_t           *copy;
    wsb_rc_t           rc;
    wsb_json_t         value;

    /* nothing behind the end, for the sanitizer's sake */

    copy = malloc(text.len + (text.len == 0));
    memcpy(copy, text.data, text.len);
    text.data = copy;

    rc = wsb_json_parse(text, limits, &value, err);

    if (rc == WSB_OK
        && (value.text.data < copy
            || value.text.data + value.text.len > copy + text.len
            || value.text.len == 0))
    {
        rc = WSB_DONE;
    }

    if (rc == WSB_ERROR && err->offset > text.len) {
        rc = WSB_DONE;
    }

    free(copy);

    return rc;
}


static void
test_tables(void)
{
    char               name[24];
    size_t             i, j, n;
    wsb_json_error_t   err;

    for (i = 0; i < len(good) + len(wrong); i++) {
        const wsb_str_t  *s = i < len(good) ? &good[i]
                                            : &wrong[i - len(good)];

        for (j = 0, n = 0; j < s->len && n < sizeof(name) - 1; j++) {
            name[n++] = s->data[j] >= 0x20 && s->data[j] < 0x7f
                        && s->data[j] != '#' ? s->data[j] : '.';
        }

        name[n] = '\0';

        if (i < len(good)) {
            ok(parse(*s, &loose, &err) == WSB_OK, "taken: %s", name);

        } else {
            ok(parse(*s, &loose, &err) == WSB_ERROR, "refused: %s", name);
            ok(parse(*s, &strict, &err) == WSB_ERROR, "and strictly");
        }
    }
}


/* A document that is cut anywhere is none. */

static void
test_prefixes(void)
{
    size_t             n, bad;
    wsb_str_t          s;
    wsb_json_error_t   err;

    static const char  text[] =
        "{\"a\":[1,-2.5e+3,true,false,null,\"x\\n\\u00e9\\ud83d\\ude00\"],"
        "\"\xc3\xa9\":{\"deep\":[[[{}]]],\"\xf0\x9f\x98\x80\":\"\"}}";

    bad = 0;
    s.data = (const uint8_t *) text;

    for (n = 0; n < sizeof(text) - 1; n++) {
        s.len = n;
        bad += parse(s, &loose, &err) != WSB_ERROR || err.offset > n;
        bad += parse(s, &strict, &err) != WSB_ERROR || err.offset > n;
    }

    is_uint(bad, 0, "no prefix is taken");

    s.len = sizeof(text) - 1;
    ok(parse(s, &strict, &err) == WSB_OK, "the whole is");
}


static void
test_offsets(void)
{
    size_t             i;
    wsb_json_error_t   err;

    static const struct {
        wsb_str_t    text;
        size_t       offset;
        const char  *reason;
    } table[] = {
        { bytes(""), 0, "unexpected end" },
        { bytes("  "), 2, "unexpected end" },
        { bytes("[1,]"), 3, "a value is expected" },
        { bytes("[1 2]"), 3, "a comma or the end is expected" },
        { bytes("{\"a\" 1}"), 5, "a colon is expected" },
        { bytes("{1:1}"), 1, "a key is expected" },
        { bytes("{\"a\":1,}"), 7, "a key is expected" },
        { bytes("[01]"), 2, "a comma or the end is expected" },
        { bytes("[1.]"), 3, "a digit is expected" },
        { bytes("[\"a\nb\"]"), 3, "control character in a string" },
        { bytes("[\"a\xff\"]"), 3, "invalid UTF-8" },
        { bytes("[\"a\\x\"]"), 3, "invalid escape" },
        { bytes("[\"a\\u12x4\"]"), 3, "invalid escape" },
        { bytes("[\"abc"), 5, "unexpected end" },
        { bytes("{} x"), 3, "text after the end of the document" },
    };

    for (i = 0; i < len(table); i++) {
        if (ok(parse(table[i].text, &loose, &err) == WSB_ERROR,
               "an error: %s", table[i].reason))
        {
            is_uint(err.offset, table[i].offset, "where");
            is_bytes(err.reason, strlen(err.reason), table[i].reason, "why");
        }
    }
}


static void
nest(wsb_str_t *s, size_t depth, const char *open, const char *close,
    const char *inner)
{
    char    *p;
    size_t   i;

    p = malloc(depth * (strlen(open) + strlen(close)) + strlen(inner) + 1);
    s->data = (uint8_t *) p;

    for (i = 0; i < depth; i++) {
        p = stpcpy(p, open);
    }

    p = stpcpy(p, inner);

    for (i = 0; i < depth; i++) {
        p = stpcpy(p, close);
    }

    s->len = p - (char *) s->data;
}


static void
test_depth(void)
{
    size_t             i;
    wsb_str_t          s;
    wsb_json_t         value;
    wsb_json_error_t   err;
    wsb_json_limits_t  limits;

    static const struct {
        const char  *open;
        const char  *close;
    } kind[] = {
        { "[", "]" }, { "{\"a\":", "}" }, { "[{\"a\":[", "]}]" },
    };

    for (i = 0; i < 2; i++) {
        nest(&s, WSB_JSON_DEPTH, kind[i].open, kind[i].close, "0");
        ok(parse(s, &loose, &err) == WSB_OK, "depth 512: %s", kind[i].open);
        free((void *) s.data);

        nest(&s, WSB_JSON_DEPTH + 1, kind[i].open, kind[i].close, "0");
        ok(parse(s, &loose, &err) == WSB_ERROR, "depth 513 is too deep");
        is_bytes(err.reason, strlen(err.reason), "nesting is too deep",
                 "reason");
        is_uint(err.offset, 512 * strlen(kind[i].open), "offset");
        free((void *) s.data);

        nest(&s, 1000000, kind[i].open, kind[i].close, "0");
        ok(parse(s, &loose, &err) == WSB_ERROR, "depth 1000000");

        limits.depth = 10000000;
        limits.strict = 10000000;
        ok(parse(s, &limits, &err) == WSB_ERROR,
           "no limit of a caller is larger");
        free((void *) s.data);

        nest(&s, 5, kind[i].open, kind[i].close, "\"x\"");
        limits.depth = 5;
        ok(parse(s, &limits, &err) == WSB_OK, "a limit of 5: 5");
        limits.depth = 4;
        ok(parse(s, &limits, &err) == WSB_ERROR, "a limit of 5: 6");
        free((void *) s.data);
    }

    nest(&s, 100, kind[2].open, kind[2].close, "0");
    ok(parse(s, &loose, &err) == WSB_OK, "mixed");
    free((void *) s.data);

    limits.depth = 0;
    limits.strict = 0;
    ok(parse((wsb_str_t) bytes("7"), &limits, &err) == WSB_OK,
       "depth 0: a scalar");
    ok(parse((wsb_str_t) bytes("[]"), &limits, &err) == WSB_ERROR,
       "depth 0: no array");

    s = (wsb_str_t) bytes("  [ 1 ]\n");
    wsb_json_parse(s, &loose, &value, &err);
    is_bytes(value.text.data, value.text.len, "[ 1 ]",
             "the value is without white space");
}


static void
test_strict(void)
{
    size_t             i;
    wsb_json_error_t   err;
    wsb_json_limits_t  limits;

    static const struct {
        unsigned     strict;
        int          taken;
        wsb_str_t    text;
        const char  *reason;
    } table[] = {
        { 0, 1, bytes("{\"a\":1,\"a\":2}"), NULL },
        { 1, 0, bytes("{\"a\":1,\"a\":2}"), "repeated key" },
        { 1, 0, bytes("{\"a\":1,\"b\":2,\"\\u0061\":3}"), "repeated key" },
        { 1, 0, bytes("{\"\\u0061\":1,\"\\u0061\":3}"), "repeated key" },
        { 1, 0, bytes("{\"\\u0061b\":1,\"a\\u0062\":3}"), "repeated key" },
        { 1, 0, bytes("{\"\xc3\xa9\":1,\"\\u00e9\":3}"), "repeated key" },
        { 1, 0, bytes("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\uDE00\":3}"),
          "repeated key" },
        { 1, 0, bytes("{\"\":1,\"\":3}"), "repeated key" },
        { 1, 0, bytes("{\"/\":1,\"\\/\":3}"), "repeated key" },
        { 1, 1, bytes("{\"a\":1,\"A\":2,\"a \":3,\"\":4,\"aa\":5}"), NULL },
        { 1, 1, bytes("{\"\\n\":1,\"n\":2,\"\\\\n\":3}"), NULL },
        { 1, 1, bytes("{\"a\":{\"a\":{\"a\":1}}}"), NULL },
        { 1, 1, bytes("{\"a\":{\"b\":1,\"b\":1}}"), NULL },
        { 2, 0, bytes("{\"a\":{\"b\":1,\"b\":1}}"), "repeated key" },
        { 2, 0, bytes("{\"x\":{\"y\":1},\"a\":{\"b\":1,\"b\":1}}"),
          "repeated key" },
        { 2, 0, bytes("{\"x\":{\"y\":1},\"x\":1}"), "repeated key" },
        { 2, 1, bytes("{\"x\":{\"y\":1},\"y\":{\"x\":1}}"), NULL },
        { 2, 1, bytes("[{\"a\":1},{\"a\":1}]"), NULL },
        { 1, 1, bytes("[{\"a\":1,\"a\":1}]"), NULL },
        { 2, 0, bytes("[{\"a\":1,\"a\":1}]"), "repeated key" },
        { 32, 0, bytes("[[[[[{\"a\":1,\"a\":1}]]]]]"), "repeated key" },

        { 0, 1, bytes("\"\\u0000\""), NULL },
        { 1, 0, bytes("\"\\u0000\""), "escaped NUL" },
        { 1, 0, bytes("{\"a\":\"\\u0000\"}"), "escaped NUL" },
        { 1, 0, bytes("{\"a\\u0000\":1}"), "escaped NUL" },
        { 1, 0, bytes("[\"x\\u0000y\"]"), "escaped NUL" },
        { 1, 1, bytes("{\"a\":{\"b\\u0000\":\"\\u0000\"}}"), NULL },
        { 1, 1, bytes("{\"a\":[\"\\u0000\"]}"), NULL },
        { 2, 0, bytes("{\"a\":[\"\\u0000\"]}"), "escaped NUL" },
        { 1, 1, bytes("\"\\\\u0000\\u0001\""), NULL },

        { 0, 1, bytes("\"\\ud800\""), NULL },
        { 1, 0, bytes("\"\\ud800\""), "lone surrogate" },
        { 1, 0, bytes("\"\\udc00\""), "lone surrogate" },
        { 1, 0, bytes("\"\\udc00\\ud800\""), "lone surrogate" },
        { 1, 0, bytes("\"\\ud800\\ud800\\udc00\""), "lone surrogate" },
        { 1, 0, bytes("\"\\ud800x\""), "lone surrogate" },
        { 1, 0, bytes("\"\\ud800\\n    \""), "lone surrogate" },
        { 1, 0, bytes("\"\\ud800\\u0041\""), "lone surrogate" },
        { 1, 0, bytes("\"\\ud800\\udc0\""), "lone surrogate" },
        { 1, 0, bytes("{\"\\udfff\":1}"), "lone surrogate" },
        { 1, 1, bytes("\"\\ud800\\udc00\\uDBFF\\uDFFF\\ue000\\ud7ff\""),
          NULL },
    };

    for (i = 0; i < len(table); i++) {
        limits.depth = 32;
        limits.strict = table[i].strict;

        err.reason = "taken";

        ok(parse(table[i].text, &limits, &err)
           == (table[i].taken ? WSB_OK : WSB_ERROR),
           "strict %u: %.*s", table[i].strict, (int) table[i].text.len,
           table[i].text.data);

        if (!table[i].taken) {
            is_bytes(err.reason, strlen(err.reason), table[i].reason, "why");
        }
    }
}


static void
test_members(void)
{
    char              *text, *p;
    unsigned           i, j;
    wsb_str_t          s;
    wsb_json_error_t   err;

    text = malloc(100000);

    for (i = 64; i <= 65; i++) {
        p = text;
        *p++ = '{';

        for (j = 0; j < i; j++) {
            p += sprintf(p, "%s\"key%u\":%u", j ? "," : "", j, j);
        }

        *p++ = '}';
        s.data = (uint8_t *) text;
        s.len = p - text;

        ok(parse(s, &loose, &err) == WSB_OK, "%u members, loose", i);
        is_uint(parse(s, &strict, &err), i == 64 ? WSB_OK : WSB_ERROR,
                "%u members, strict", i);
    }

    /* 32 objects in each other, each of 64 members, are the most */

    p = text;

    for (i = 0; i < 32; i++) {
        *p++ = '{';

        for (j = 0; j < 63; j++) {
            p += sprintf(p, "\"k%u\":0,", j);
        }

        p = stpcpy(p, "\"in\":");
    }

    p = stpcpy(p, "0");
    memset(p, '}', 32);
    p += 32;
    s.len = p - text;

    ok(parse(s, &strict, &err) == WSB_OK, "32 times 64 members");
    p[-1] = ',';
    ok(parse(s, &strict, &err) == WSB_ERROR, "and not finished");

    free(text);
}


/* Everything of a document again, from its walk. */

static void
print(const wsb_json_t *value, char **p)
{
    size_t           n;
    unsigned         first;
    wsb_json_t       key, v;
    wsb_json_walk_t  walk;

    first = 1;

    switch (value->type) {

    case WSB_JSON_OBJECT:
        *(*p)++ = '{';
        wsb_json_enter(&walk, value);

        while (wsb_json_member(&walk, &key, &v) == WSB_OK) {
            *p = stpcpy(*p, first ? "" : ",");
            first = 0;
            print(&key, p);
            *(*p)++ = ':';
            print(&v, p);
        }

        *(*p)++ = '}';
        break;

    case WSB_JSON_ARRAY:
        *(*p)++ = '[';
        wsb_json_enter(&walk, value);

        while (wsb_json_element(&walk, &v) == WSB_OK) {
            *p = stpcpy(*p, first ? "" : ",");
            first = 0;
            print(&v, p);
        }

        *(*p)++ = ']';
        break;

    case WSB_JSON_STRING:
        wsb_json_decode(value, (uint8_t *) *p + 1, &n);
        (*p)[0] = '<';
        (*p)[n + 1] = '>';
        *p += n + 2;
        break;

    default:
        *p += sprintf(*p, "%d%.*s", value->type, (int) value->text.len,
                      value->text.data);
    }
}


static void
test_walk(void)
{
    char               buf[200], *p;
    size_t             i;
    wsb_json_t         value, v;
    wsb_json_error_t   err;

    static const struct {
        wsb_str_t    text;
        const char  *want;
    } table[] = {
        { bytes("[]"), "[]" },
        { bytes("[ ]"), "[]" },
        { bytes("{\n}"), "{}" },
        { bytes("[1,2]"), "[31,32]" },
        { bytes(" [ 1 , [ ] , { } , null ] "), "[31,[],{},0null]" },
        { bytes("[true,false]"), "[2true,1false]" },
        { bytes("[-1.5e+3 ,\t0]"), "[3-1.5e+3,30]" },
        { bytes("[\"]\",\"}\",\",\"]"), "[<]>,<}>,<,>]" },
        { bytes("[\"\\\"\",\"\\\\\",\"a\\\\\"]"), "[<\">,<\\>,<a\\>]" },
        { bytes("{\"a\":1,\"b\" : [{\"c\":\"d\"}] , \"\":{}}"),
          "{<a>:31,<b>:[{<c>:<d>}],<>:{}}" },
        { bytes("{\"{\\\"\":\"[\\\\\",\"x\":\"\xc3\xa9\"}"),
          "{<{\">:<[\\>,<x>:<\xc3\xa9>}" },
        { bytes("[[[[]]],\"long enough for words, \\\" and then\"]"),
          "[[[[]]],<long enough for words, \" and then>]" },
        { bytes("\"\\b\\f\\n\\r\\t\\/\\u0041\\u00e9\\u20ac\\ud83d\\ude00\""),
          "<\b\f\n\r\t/A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80>" },
    };

    for (i = 0; i < len(table); i++) {
        p = buf;

        if (wsb_json_parse(table[i].text, &loose, &value, &err) == WSB_OK) {
            print(&value, &p);
        }

        is_bytes(buf, p - buf, table[i].want, "walk %zu", i);
    }

    wsb_json_parse((wsb_str_t) bytes("{\"a\":1,\"\\u0062\":2,\"b\":3,"
                                     "\"b\\u0000\":4}"),
                   &loose, &value, &err);

    ok(wsb_json_get(&value, "a", &v) == WSB_OK && *v.text.data == '1',
       "get: a member");
    ok(wsb_json_get(&value, "b", &v) == WSB_OK && *v.text.data == '2',
       "get: the first one, escapes decoded");
    ok(wsb_json_get(&value, "c", &v) == WSB_NOTFOUND, "get: none");
    ok(wsb_json_get(&value, "", &v) == WSB_NOTFOUND, "get: no empty one");
}


static void
test_keys(void)
{
    size_t      i;
    wsb_json_t  key;

    static const struct {
        int          same;
        wsb_str_t    key;
        const char  *name;
    } table[] = {
        { 1, bytes("\"type\""), "type" },
        { 1, bytes("\"\\u0074ype\""), "type" },
        { 1, bytes("\"typ\\u0065\""), "type" },
        { 1, bytes("\"\""), "" },
        { 1, bytes("\"\xc3\xa9\""), "\xc3\xa9" },
        { 1, bytes("\"\\u00e9\""), "\xc3\xa9" },
        { 0, bytes("\"type\""), "Type" },
        { 0, bytes("\"type\""), "typ" },
        { 0, bytes("\"type\""), "types" },
        { 0, bytes("\"type\\u0000\""), "type" },
        { 0, bytes("\"type\\u0000evil\""), "type" },
        { 0, bytes("\"type\\ud800\""), "type" },
        { 0, bytes("\"\\u0000\""), "" },
        { 0, bytes("\"\""), "type" },
        { 0, bytes("\"type\""), "" },
        { 0, bytes("\"\\u00e9\""), "\xc3" },
    };

    key.type = WSB_JSON_STRING;

    for (i = 0; i < len(table); i++) {
        key.text = table[i].key;
        is_uint(wsb_json_key_is(&key, table[i].name), table[i].same,
                "key %.*s is%s %s", (int) key.text.len, key.text.data,
                table[i].same ? "" : " not", table[i].name);
    }
}


static void
test_decode(void)
{
    size_t      i, n;
    uint8_t    *buf;
    wsb_json_t  string;

    static const wsb_str_t  bad[] = {
        bytes("\"\\u0000\""),
        bytes("\"abc\\u0000\""),
        bytes("\"\\ud800\""),
        bytes("\"\\udc00\""),
        bytes("\"\\ud800\\ud800\""),
        bytes("\"\\ud800\\u0041\""),
        bytes("\"\\ud800\\n12345\""),
    };

    string.type = WSB_JSON_STRING;

    for (i = 0; i < len(bad); i++) {
        string.text = bad[i];
        buf = malloc(string.text.len);
        ok(wsb_json_decode(&string, buf, &n) == WSB_ERROR,
           "not decoded: %.*s", (int) bad[i].len, bad[i].data);
        free(buf);
    }

    string.text = (wsb_str_t) bytes("\"\\ud83d\\ude00\"");
    buf = malloc(string.text.len);
    ok(wsb_json_decode(&string, buf, &n) == WSB_OK, "a pair is decoded");
    is_bytes(buf, n, "\xf0\x9f\x98\x80", "to one character");
    free(buf);
}


static void
test_integer(void)
{
    size_t      i;
    wsb_json_t  value;

    static const struct {
        int              is;
        wsb_json_type_t  type;
        wsb_str_t        text;
    } table[] = {
        { 1, WSB_JSON_NUMBER, bytes("0") },
        { 1, WSB_JSON_NUMBER, bytes("7") },
        { 1, WSB_JSON_NUMBER, bytes("-7") },
        { 1, WSB_JSON_NUMBER, bytes("123456789012345678901234567890") },
        { 0, WSB_JSON_NUMBER, bytes("-0") },
        { 0, WSB_JSON_NUMBER, bytes("1.0") },
        { 0, WSB_JSON_NUMBER, bytes("1e3") },
        { 0, WSB_JSON_NUMBER, bytes("1E3") },
        { 0, WSB_JSON_NUMBER, bytes("-1.5") },
        { 0, WSB_JSON_STRING, bytes("\"7\"") },
        { 0, WSB_JSON_NULL, bytes("null") },
        { 0, WSB_JSON_TRUE, bytes("true") },
        { 0, WSB_JSON_ARRAY, bytes("[7]") },
    };

    for (i = 0; i < len(table); i++) {
        value.type = table[i].type;
        value.text = table[i].text;
        is_uint(wsb_json_is_integer(&value), table[i].is, "%.*s is%s one",
                (int) value.text.len, value.text.data,
                table[i].is ? "" : " not");
    }
}


int
main(void)
{
    test_tables();
    test_prefixes();
    test_offsets();
    test_depth();
    test_strict();
    test_members();
    test_walk();
    test_keys();
    test_decode();
    test_integer();

    return tap_done();
}
