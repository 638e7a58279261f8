/*
 * Options of requests, as queries in each style.
 */

#include "ws/alloc.h"
#include "json/wsb_text.c"
#include "rest/wsb_rest.c"
#include "rest/wsb_rest_query.c"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))

#define F(column, op, value)                                                 \
    "{\"column\":\"" column "\",\"operator\":\"" op "\",\"value\":" value "}"

#define OR(column, op, value)                                                \
    "{\"column\":\"" column "\",\"operator\":\"" op "\",\"value\":" value    \
    ",\"logic_operator\":\"or\"}"

#define FILTERS(filters)  "{\"filters\":[" filters "]}"

#define CANNOT  "!style"
#define BAD     "!"


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


/* The query, or "!style" and "!" for an error. */

static wsb_rc_t
query(const char *text, const wsb_forced_t *forced, wsb_rest_style_t style,
    const char *id, wsb_text_t *got, wsb_rest_error_t *err)
{
    char              *copy;
    wsb_rc_t           rc;
    wsb_str_t          s;
    wsb_json_t         options;
    wsb_rest_t         rest;
    wsb_text_t         args;
    wsb_json_error_t   wrong;

    static const wsb_json_limits_t  limits = { 32, 32 };

    copy = strdup(text);
    s = str(copy);
    memset(&args, 0, sizeof(args));
    memset(err, 'x', sizeof(*err));

    if (wsb_json_parse(s, &limits, &options, &wrong) != WSB_OK) {
        printf("# %s: %s\n", text, wrong.reason);
    }

    rc = wsb_rest_options(&rest, &options, err);

    if (rc == WSB_OK && forced != NULL) {
        rc = wsb_rest_force(&rest, forced, err);
    }

    if (rc == WSB_OK) {
        rc = wsb_rest_query(&rest, style, str(id), got, &args, err);
    }

    if (rc == WSB_OK) {
        wsb_text_lit(got, args.len ? "?" : "");
        wsb_text_add(got, args.data, args.len);

    } else if (rc != WSB_NOMEM) {
        got->len = 0;
        wsb_text_lit(got, err->style ? CANNOT : BAD);
    }

    wsb_text_done(&args);
    wsb_rest_done(&rest);
    free(copy);

    return rc;
}


static void
test_styles(void)
{
    size_t            i, k;
    wsb_text_t        got;
    wsb_rest_error_t  err;

    static const struct {
        const char   *options;
        const char   *want[3];            /* rest, postgrest, json-server */
    } cases[] = {

    { "null", { "", "", "" } },
    { "{}", { "", "", "" } },
    { "{\"filters\":null,\"columns\":[],\"sort\":[],\"preload\":[1]}",
      { "", "", "" } },

    { FILTERS(F("a", "eq", "\"v\"")), { "?a=v", "?a=eq.v", "?a=v" } },
    { FILTERS(F("a", "neq", "1.0")),
      { "?a%5Bneq%5D=1.0", "?a=neq.1.0", "?a_ne=1.0" } },
    { FILTERS(F("a", "gt", "1")),
      { "?a%5Bgt%5D=1", "?a=gt.1", CANNOT } },
    { FILTERS(F("a", "gte", "true")),
      { "?a%5Bgte%5D=true", "?a=gte.true", "?a_gte=true" } },
    { FILTERS(F("a", "lt", "1")),
      { "?a%5Blt%5D=1", "?a=lt.1", CANNOT } },
    { FILTERS(F("a", "lte", "1")),
      { "?a%5Blte%5D=1", "?a=lte.1", "?a_lte=1" } },
    { FILTERS(F("a", "like", "\"x%\"")),
      { "?a%5Blike%5D=x%25", "?a=like.x%25", CANNOT } },
    { FILTERS(F("a", "ilike", "\"x%_.\"")),
      { "?a%5Bilike%5D=x%25_.", "?a=ilike.x%25_.",
        "?a_like=%5Ex%5B%5E%5D%2A%5B%5E%5D%5C.%24" } },
    { FILTERS(F("a", "like", "\"x*\"")),
      { "?a%5Blike%5D=x%2A", CANNOT, CANNOT } },
    { FILTERS(F("a", "in", "[1,\"b\"]")),
      { "?a%5Bin%5D=1,b", "?a=in.(%221%22,%22b%22)", "?a=1&a=b" } },
    { FILTERS(F("a", "in", "\"b\"")),
      { "?a%5Bin%5D=b", "?a=in.(%22b%22)", "?a=b" } },
    { FILTERS(F("a", "in", "[\"b,c\\\"\\\\\"]")),
      { CANNOT, "?a=in.(%22b%2Cc%5C%22%5C%5C%22)",
        "?a=b%2Cc%22%5C" } },
    { FILTERS(F("a", "in", "[]")), { CANNOT, "?a=in.()", CANNOT } },
    { FILTERS(F("a", "in", "[null]")), { CANNOT, CANNOT, CANNOT } },

    /* nothing adds a parameter */

    { FILTERS(F("a", "eq", "\"&admin=1#%26\\r\\n\\u00e9\"")),
      { "?a=%26admin%3D1%23%2526%0D%0A%C3%A9",
        "?a=eq.%26admin%3D1%23%2526%0D%0A%C3%A9",
        "?a=%26admin%3D1%23%2526%0D%0A%C3%A9" } },
    { FILTERS(F("a&b=c", "eq", "1")),
      { "?a%26b%3Dc=1", CANNOT, "?a%26b%3Dc=1" } },
    { FILTERS(F("a[gt]", "eq", "1")), { CANNOT, CANNOT, CANNOT } },
    { FILTERS(F("limit", "eq", "1")), { CANNOT, CANNOT, "?limit=1" } },
    { FILTERS(F("Select", "eq", "1")), { "?Select=1", CANNOT, "?Select=1" } },
    { FILTERS(F("_limit", "eq", "1")), { "?_limit=1", "?_limit=eq.1",
                                         CANNOT } },
    { FILTERS(F("a_ne", "eq", "1")), { "?a_ne=1", "?a_ne=eq.1", CANNOT } },
    { FILTERS(F("q", "eq", "1")), { "?q=1", "?q=eq.1", CANNOT } },
    { FILTERS(F("a.b", "eq", "1")), { "?a.b=1", CANNOT, "?a.b=1" } },

    /* two on one column, and groups */

    { FILTERS(F("a", "eq", "1") "," F("b", "eq", "2")),
      { "?a=1&b=2", "?a=eq.1&b=eq.2", "?a=1&b=2" } },
    { FILTERS(F("a", "gte", "1") "," F("a", "lte", "2")),
      { "?a%5Bgte%5D=1&a%5Blte%5D=2", "?a=gte.1&a=lte.2", CANNOT } },
    { FILTERS(F("a", "eq", "1") "," F("A", "eq", "2")),
      { CANNOT, "?a=eq.1&A=eq.2", CANNOT } },
    { FILTERS(F("a", "eq", "1") "," F("a", "gt", "2")),
      { CANNOT, "?a=eq.1&a=gt.2", CANNOT } },
    { FILTERS(F("a", "eq", "1") "," OR("b", "gt", "\"x)\"") ","
              F("c", "lt", "3")),
      { CANNOT, "?or=(a.eq.%221%22,b.gt.%22x%29%22)&c=lt.3", CANNOT } },
    { FILTERS(OR("a", "eq", "1")), { "?a=1", "?a=eq.1", "?a=1" } },

    /* the rest */

    { "{\"columns\":[\"a\",\"b\"]}",
      { "?fields=a,b", "?select=a,b", CANNOT } },
    { "{\"columns\":[\"a,b\"]}", { CANNOT, CANNOT, CANNOT } },
    { "{\"columns\":[\"a(b)\"]}", { "?fields=a%28b%29", CANNOT, CANNOT } },
    { "{\"sort\":[{\"column\":\"a\"},{\"column\":\"b\",\"direction\":"
      "\"DESC\"}]}",
      { "?sort=a,-b", "?order=a.asc,b.desc", "?_sort=a,b&_order=asc,desc" } },
    { "{\"sort\":[{\"column\":\"-a\"}]}", { CANNOT, CANNOT, CANNOT } },
    { "{\"limit\":2,\"offset\":0}",
      { "?limit=2&offset=0", "?limit=2&offset=0", "?_limit=2&_start=0" } },

    /* wrong for all */

    { "[]", { BAD, BAD, BAD } },
    { "{\"limit\":-1}", { BAD, BAD, BAD } },
    { "{\"limit\":1.5}", { BAD, BAD, BAD } },
    { "{\"limit\":\"1\"}", { BAD, BAD, BAD } },
    { "{\"offset\":1234567890123456}", { BAD, BAD, BAD } },
    { "{\"filters\":{}}", { BAD, BAD, BAD } },
    { FILTERS("{\"column\":\"a\",\"operator\":\"eq\"}"), { BAD, BAD, BAD } },
    { FILTERS(F("a", "GT", "1")), { BAD, BAD, BAD } },
    { FILTERS(F("", "eq", "1")), { BAD, BAD, BAD } },
    { FILTERS(F("a\\n", "eq", "1")), { BAD, BAD, BAD } },
    { FILTERS(F("a", "eq", "null")), { BAD, BAD, BAD } },
    { FILTERS(F("a", "eq", "[1]")), { BAD, BAD, BAD } },
    { FILTERS(F("a", "like", "1")), { BAD, BAD, BAD } },
    { "{\"columns\":\"a\"}", { BAD, BAD, BAD } },
    { "{\"columns\":[1]}", { BAD, BAD, BAD } },
    { "{\"sort\":[\"a\"]}", { BAD, BAD, BAD } }
    };

    for (i = 0; i < len(cases); i++) {
        for (k = 0; k < 3; k++) {
            memset(&got, 0, sizeof(got));
            (void) query(cases[i].options, NULL, (wsb_rest_style_t) k, NULL,
                         &got, &err);
            is_bytes(got.data, got.len, cases[i].want[k], "%s, %s",
                     wsb_rest_names[k], cases[i].options);
            wsb_text_done(&got);
        }
    }
}


static void
test_ids(void)
{
    size_t            i, k;
    wsb_text_t        got;
    wsb_rest_error_t  err;

    static const struct {
        const char   *id;
        const char   *want[3];
    } cases[] = {
    { "7", { "/7", "?id=eq.7", "/7" } },
    { "a b", { "/a%20b", "?id=eq.a%20b", "/a%20b" } },
    { "7?x=1&y#z%2F", { "/7%3Fx%3D1%26y%23z%252F",
                        "?id=eq.7%3Fx%3D1%26y%23z%252F",
                        "/7%3Fx%3D1%26y%23z%252F" } },
    { "a/b", { BAD, "?id=eq.a%2Fb", BAD } },
    { "../../secret", { BAD, "?id=eq...%2F..%2Fsecret", BAD } },
    { "..", { BAD, "?id=eq...", BAD } },
    { ".", { BAD, "?id=eq..", BAD } },
    { "...", { "/...", "?id=eq....", "/..." } },
    { ".a", { "/.a", "?id=eq..a", "/.a" } },
    { "", { BAD, BAD, BAD } },
    { "a\r\nb", { BAD, BAD, BAD } },
    { "\xff", { BAD, BAD, BAD } }
    };

    for (i = 0; i < len(cases); i++) {
        for (k = 0; k < 3; k++) {
            memset(&got, 0, sizeof(got));
            (void) query("null", NULL, (wsb_rest_style_t) k, cases[i].id,
                         &got, &err);
            is_bytes(got.data, got.len, cases[i].want[k], "%s, id %zu",
                     wsb_rest_names[k], i);
            wsb_text_done(&got);
        }
    }
}


static void
test_forced(void)
{
    size_t            i, k;
    wsb_text_t        got;
    wsb_forced_t      forced;
    wsb_rest_error_t  err;

    static const struct {
        const char   *field, *op, *value;
        const char   *options;
        const char   *want[3];
    } cases[] = {
    { "data.tenant", "eq", "a&b", "null",
      { "?tenant=a%26b", "?tenant=eq.a%26b", "?tenant=a%26b" } },
    { "n", "in", "1,2", FILTERS(F("a", "eq", "1")),
      { "?a=1&n%5Bin%5D=1%2C2", "?a=eq.1&n=in.(%221%22,%222%22)",
        "?a=1&n=1&n=2" } },
    { "n", "gt", "1", "null",
      { "?n%5Bgt%5D=1", "?n=gt.1", CANNOT } },
    { "tenant", "eq", "a", FILTERS(F("tenant", "eq", "\"b\"")),
      { BAD, BAD, BAD } },
    { "tenant_id", "eq", "a", FILTERS(F("Tenant.ID", "eq", "\"b\"")),
      { BAD, BAD, BAD } },
    { "tenant", "eq", "a", FILTERS(F("tenant[neq]", "eq", "\"b\"")),
      { CANNOT, CANNOT, CANNOT } },
    { "tenant", "eq", "a", FILTERS(F("tenant_ne", "eq", "\"b\"")),
      { "?tenant_ne=b&tenant=a", "?tenant_ne=eq.b&tenant=eq.a", CANNOT } },

    /* an OR of the client's takes nothing of it along */

    { "t", "eq", "a", FILTERS(F("a", "eq", "1") "," OR("b", "eq", "2")),
      { CANNOT, "?or=(a.eq.%221%22,b.eq.%222%22)&t=eq.a", CANNOT } },
    };

    for (i = 0; i < len(cases); i++) {
        forced.field = str(cases[i].field);
        forced.op = str(cases[i].op);
        forced.value = str(cases[i].value);

        for (k = 0; k < 3; k++) {
            memset(&got, 0, sizeof(got));
            (void) query(cases[i].options, &forced, (wsb_rest_style_t) k,
                         NULL, &got, &err);
            is_bytes(got.data, got.len, cases[i].want[k], "%s, forced %s, %s",
                     wsb_rest_names[k], cases[i].field, cases[i].options);
            wsb_text_done(&got);
        }
    }
}


/* No more of anything than there is room for, and said so. */

static void
test_limits(void)
{
    size_t            i, n;
    wsb_rc_t          rc;
    wsb_text_t        t, got;
    wsb_rest_error_t  err;

    static const struct {
        const char   *first, *item, *last;
        size_t        max;
    } cases[] = {
    { "{\"filters\":[", F("a", "gt", "1"), "]}", WSB_REST_FILTERS },
    { "{\"columns\":[", "\"a\"", "]}", WSB_REST_COLUMNS },
    { "{\"sort\":[", "{\"column\":\"a\"}", "]}", WSB_REST_SORTS },
    { "{\"filters\":[{\"column\":\"a\",\"operator\":\"in\",\"value\":[", "1",
      "]}]}", WSB_REST_VALUES }
    };

    for (i = 0; i < len(cases); i++) {
        for (n = cases[i].max; n <= cases[i].max + 1; n++) {
            size_t  k;

            memset(&t, 0, sizeof(t));
            memset(&got, 0, sizeof(got));
            wsb_text_lit(&t, cases[i].first);

            for (k = 0; k < n; k++) {
                wsb_text_lit(&t, k ? "," : "");
                wsb_text_lit(&t, cases[i].item);
            }

            wsb_text_lit(&t, cases[i].last);
            wsb_text_add(&t, "", 1);

            rc = query((char *) t.data, NULL, WSB_REST_POSTGREST, NULL, &got,
                       &err);
            is_uint(rc, n == cases[i].max ? WSB_OK : WSB_ERROR, "%zu of %s",
                    n, cases[i].item);

            wsb_text_done(&t);
            wsb_text_done(&got);
        }
    }
}


static void
test_totals(void)
{
    is_uint(wsb_rest_total(str("0-24/3573458"), str(NULL)), 3573458,
            "of a range");
    is_uint(wsb_rest_total(str("*/0"), str("7")), 0, "the range first");
    is_uint(wsb_rest_total(str(NULL), str("7")), 7, "a count");
    is_uint(wsb_rest_total(str("0-24/*"), str(NULL)), WSB_REST_NONE,
            "unknown");
    is_uint(wsb_rest_total(str(NULL), str("-7")), WSB_REST_NONE, "no number");
    is_uint(wsb_rest_total(str(NULL), str("1234567890123456")), WSB_REST_NONE,
            "too long");
    is_uint(wsb_rest_total(str(NULL), str(NULL)), WSB_REST_NONE, "none");
}


static void
test_failures(void)
{
    int               bad;
    size_t            n, i, k;
    wsb_rc_t          rc;
    wsb_text_t        got;
    wsb_rest_error_t  err;

    static const char *const  options[] = {
        FILTERS(F("a", "ilike", "\"%x\"")),
        FILTERS(F("a", "eq", "1") "," OR("b", "eq", "2")),
        "{\"columns\":[\"a\"],\"limit\":2}"
    };

    bad = 0;

    for (i = 0; i < len(options); i++) {
        for (k = 0; k < 3; k++) {
            for (n = 1; n < 30; n++) {
                memset(&got, 0, sizeof(got));
                calls = 0;
                fail_at = n;
                rc = query(options[i], NULL, (wsb_rest_style_t) k, "7", &got,
                           &err);
                bad += calls >= n && rc != WSB_NOMEM && !got.failed;
                fail_at = 0;
                wsb_text_done(&got);
                bad += live != 0;
            }
        }
    }

    is_uint(bad, 0, "any allocation may fail");
    is_uint(live, 0, "nothing is left");
}


int
main(void)
{
    test_styles();
    test_ids();
    test_forced();
    test_limits();
    test_totals();
    test_failures();

    return tap_done();
}
