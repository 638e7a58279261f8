/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/* Segments of paths, as sent and as a server has put them in order. */

#include "event/wsb_uri.h"
#include "tap.h"

#include <stdlib.h>


#define len(a)  (sizeof(a) / sizeof((a)[0]))


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { strlen(s), (const uint8_t *) s };

    return v;
}


static void
is_segment(wsb_rc_t rc, wsb_str_t s, const char *want, const char *what)
{
    if (want == NULL) {
        ok(rc == WSB_NOTFOUND, "%s: none", what);

    } else if (*want == '!') {
        ok(rc == WSB_ERROR, "%s: unfit", what);

    } else {
        ok(rc == WSB_OK, "%s: there is one", what);
        is_bytes(s.data, s.len, want, "%s: %s", what, want);
    }
}


static void
test_last(void)
{
    size_t     i;
    uint8_t    buf[WSB_URI_SEGMENT];
    wsb_rc_t   rc;
    wsb_uri_t  uri;
    wsb_str_t  s;

    static const struct {
        const char  *raw;
        const char  *path;
        int          rewritten;
        const char  *want;
    } cases[] = {
        { "/api/orders/7", "/api/orders/7", 0, "7" },
        { "/api/orders/7/?a=/b", "/api/orders/7/", 0, "7" },
        { "/api/orders/7#c", "/api/orders/7", 0, "7" },
        { "/api/langs/C%23", "/api/langs/C#", 0, "C#" },
        { "/api/q/what%3Fnow", "/api/q/what?now", 0, "what?now" },
        { "/api/q/what%3fnow?x=%3F", "/api/q/what?now", 0, "what?now" },
        { "/api/q/a%2Fb", "/api/q/a/b", 0, "a/b" },
        { "/api/q/a%2F%2Fb", "/api/q/a/b", 0, "a//b" },
        { "/api/q/a%2F", "/api/q/a/", 0, "a/" },
        { "/api/q/%252F", "/api/q/%2F", 0, "%2F" },
        { "/api/q/a+b", "/api/q/a+b", 0, "a+b" },
        { "/api/q/a/../b", "/api/q/b", 0, "b" },
        { "/api/q/b/x/..", "/api/q/b/", 0, "b" },
        { "/api/q/b/%2e%2E/", "/api/q/", 0, "q" },
        { "/api/q/b/.", "/api/q/b/", 0, "b" },
        { "/", "/", 0, NULL },
        { "/?a=b", "/", 0, NULL },
        { "", "", 0, NULL },
        { "/a%FF", "/a\xff", 0, "!" },
        { "/%ed%a0%80", "/\xed\xa0\x80", 0, "!" },
        { "/a%00b", "/a", 0, "!" },
        /* a rewrite that keeps the end, and one that does not */
        { "/v1/langs/C%23", "/api/langs/C#", 1, "C#" },
        { "/v1/q/a%2Fb", "/api/q/a/b", 1, "a/b" },
        { "/v1/q/a%2F%2Fb/", "/api/q/a/b", 1, "a//b" },
        { "/v1/q/%2Fb", "/api/q/b", 1, "/b" },
        { "/legacy?id=7", "/api/orders/7", 1, "7" },
        { "/x/7", "/api/orders/17", 1, "17" },
        { "/x/a%2Fb", "/api/orders/b", 1, "b" },
        { "/x/c%2Fb", "/api/a/b", 1, "b" },
    };

    for (i = 0; i < len(cases); i++) {
        uri.raw = str(cases[i].raw);
        uri.path = str(cases[i].path);
        uri.rewritten = cases[i].rewritten;
        rc = wsb_uri_last(&uri, buf, &s);
        is_segment(rc, s, cases[i].want, cases[i].raw);
    }
}


static void
test_collection(void)
{
    size_t     i;
    uint8_t    buf[WSB_URI_SEGMENT];
    wsb_rc_t   rc;
    wsb_uri_t  uri;
    wsb_str_t  s;

    static const struct {
        const char  *prefix;
        const char  *raw;
        const char  *path;
        const char  *want;
    } cases[] = {
        { "/orders", "/orders", "/orders", "orders" },
        { "/orders", "/orders/7", "/orders/7", "orders" },
        { "/a/C#", "/a/C%23/1", "/a/C#/1", "C#" },
        { "/api/", "/api/orders/7", "/api/orders/7", "orders" },
        { "/api/", "/api//orders/7", "/api/orders/7", "orders" },
        { "/api/", "//api/orders/7", "/api/orders/7", "orders" },
        { "/api/", "/api/", "/api/", "api" },
        { "/api/", "/api/Order%23s/1", "/api/Order#s/1", "Order#s" },
        { "/api/", "/api/a%2Fb/1", "/api/a/b/1", "a/b" },
        { "/api/", "/api/a%2F%2Fb/1", "/api/a/b/1", "a//b" },
        { "/api/", "/api/a%2F", "/api/a/", "a/" },
        { "/api/", "/%61pi/orders/1", "/api/orders/1", "orders" },
        { "/api/", "/api%2Fa%2Fb/1", "/api/a/b/1", "a" },
        { "/api/", "/api/a/../b/1", "/api/b/1", "b" },
        { "/api/", "/api/./b/1", "/api/b/1", "b" },
        { "/api/", "/v1/orders/1", "/api/orders/1", "orders" },
        { "/", "/orders/1", "/orders/1", "orders" },
        { "/", "/", "/", NULL },
        { "@named", "/a%2Fb/1", "/a/b/1", "a/b" },
        { "", "/orders", "/orders", "orders" },
        { "/api/", "/api/%FF/1", "/api/\xff/1", "!" },
    };

    for (i = 0; i < len(cases); i++) {
        uri.raw = str(cases[i].raw);
        uri.path = str(cases[i].path);
        uri.rewritten = 0;
        rc = wsb_uri_collection(&uri, str(cases[i].prefix), buf, &s);
        is_segment(rc, s, cases[i].want, cases[i].raw);
    }
}


static void
test_reference(void)
{
    size_t     i;
    uint8_t    buf[WSB_URI_SEGMENT];
    wsb_rc_t   rc;
    wsb_str_t  s;

    static const struct {
        const char  *text;
        const char  *want;
    } cases[] = {
        { "/orders/l-3", "l-3" },
        { "http://a.b:8080/orders/l-4", "l-4" },
        { "//a.b/orders/l-4", "l-4" },
        { "/orders/l-5/?a=/b#c", "l-5" },
        { "/langs/C%23", "C#" }, { "/q/a%2Fb", "a/b" },
        { "7", "7" }, { "urn:x", "urn:x" }, { "a:b/c", "c" },
        { "http://a.b", NULL }, { "http://a.b/", NULL }, { "", NULL },
        { "..", NULL }, { "?id=7", NULL }, { "100%", "100%" },
        { "/a%2", "a%2" }, { "/%zz", "%zz" },
        { "/%ff", "!" }, { "/a%00", "!" },
    };

    for (i = 0; i < len(cases); i++) {
        rc = wsb_uri_reference(str(cases[i].text), buf, &s);
        is_segment(rc, s, cases[i].want, cases[i].text);
    }
}


static void
test_limits(void)
{
    char       raw[2 + 3 * WSB_URI_SEGMENT + 4], path[2 + WSB_URI_SEGMENT + 2];
    size_t     i, n;
    uint8_t    buf[WSB_URI_SEGMENT];
    wsb_uri_t  uri;
    wsb_str_t  s, none = wsb_null_string;

    for (n = WSB_URI_SEGMENT; n <= WSB_URI_SEGMENT + 1; n++) {
        raw[0] = path[0] = '/';

        for (i = 0; i < n; i++) {
            memcpy(raw + 1 + 3 * i, "%61", 4);
            memcpy(path + 1 + i, "a", 2);
        }

        uri.raw = str(raw);
        uri.path = str(path);
        uri.rewritten = 0;

        ok((wsb_uri_last(&uri, buf, &s) == WSB_OK) == (n <= 256),
           "last, %zu", n);
        ok((wsb_uri_collection(&uri, none, buf, &s) == WSB_OK) == (n <= 256),
           "collection, %zu", n);
        ok((wsb_uri_reference(uri.raw, buf, &s) == WSB_OK) == (n <= 256),
           "reference, %zu", n);

        uri.rewritten = 1;
        ok((wsb_uri_last(&uri, buf, &s) == WSB_OK) == (n <= 256),
           "last, rewritten, %zu", n);
    }
}


/* Whatever it is made of: nothing beyond it is read (make asan). */

static void
test_random(void)
{
    char       *raw, *path;
    size_t      i, n, k;
    uint8_t     buf[WSB_URI_SEGMENT];
    unsigned    bad = 0;
    wsb_uri_t   uri;
    wsb_str_t   s, prefix;

    srand(11);

    for (i = 0; i < 200000; i++) {
        n = (size_t) rand() % 12;
        raw = malloc(n + 1);
        path = malloc(n + 1);

        for (k = 0; k < n; k++) {
            raw[k] = "//a%2Ff.?#:"[rand() % 11];
            path[k] = "//ab."[rand() % 5];
        }

        uri.raw.data = (uint8_t *) raw;
        uri.path.data = (uint8_t *) path;
        uri.raw.len = uri.path.len = n;
        uri.rewritten = rand() % 2;
        prefix.data = uri.path.data;
        prefix.len = n ? (size_t) rand() % n : 0;

        bad += wsb_uri_last(&uri, buf, &s) == WSB_OK && s.len == 0;
        bad += wsb_uri_collection(&uri, prefix, buf, &s) == WSB_OK
               && s.len == 0;
        bad += wsb_uri_reference(uri.raw, buf, &s) == WSB_OK && s.len == 0;

        free(raw);
        free(path);
    }

    is_uint(bad, 0, "no segment is empty");
}


int
main(void)
{
    test_last();
    test_collection();
    test_reference();
    test_limits();
    test_random();

    return tap_done();
}
