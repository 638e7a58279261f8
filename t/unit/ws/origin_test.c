/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/* Origins, and patterns of them. */

#include "ws/wsb_origin.h"
#include "tap.h"


typedef struct {
    const char  *text;
    const char  *scheme;                  /* NULL: it is none */
    const char  *host;
    unsigned     port;
} origin_t;


typedef struct {
    int          want;
    const char  *pattern;
    const char  *origin;
} match_t;


static origin_t  origins[] = {
    { "https://example.com", "https", "example.com", 443 },
    { "http://example.com", "http", "example.com", 80 },
    { "HTTPS://Example.COM", "HTTPS", "Example.COM", 443 },
    { "https://example.com:8443", "https", "example.com", 8443 },
    { "https://example.com:443", "https", "example.com", 443 },
    { "http://127.0.0.1:1", "http", "127.0.0.1", 1 },
    { "http://localhost:65535", "http", "localhost", 65535 },
    { "http://[::1]", "http", "[::1]", 80 },
    { "http://[2001:DB8::1]:8080", "http", "[2001:DB8::1]", 8080 },
    { "https://xn--bcher-kva.example", "https", "xn--bcher-kva.example", 443 },
    { "https://a_b.example", "https", "a_b.example", 443 },
    { "https://example.com.", "https", "example.com.", 443 },
    { "chrome-extension://abcdef", "chrome-extension", "abcdef", 0 },
    { "capacitor://localhost", "capacitor", "localhost", 0 },
    { "", NULL, NULL, 0 },
    { "null", NULL, NULL, 0 },
    { "*", NULL, NULL, 0 },
    { "https:", NULL, NULL, 0 },
    { "https:/", NULL, NULL, 0 },
    { "https://", NULL, NULL, 0 },
    { "://example.com", NULL, NULL, 0 },
    { "//example.com", NULL, NULL, 0 },
    { "example.com", NULL, NULL, 0 },
    { "1https://example.com", NULL, NULL, 0 },
    { "https ://example.com", NULL, NULL, 0 },
    { "https://example.com/", NULL, NULL, 0 },
    { "https://example.com/a", NULL, NULL, 0 },
    { "https://example.com?a", NULL, NULL, 0 },
    { "https://example.com#a", NULL, NULL, 0 },
    { "https://user@example.com", NULL, NULL, 0 },
    { "https://user:1@example.com", NULL, NULL, 0 },
    { "https://example.com\\@evil.example", NULL, NULL, 0 },
    { "https://example.com https://evil.example", NULL, NULL, 0 },
    { "https://example.com, https://evil.example", NULL, NULL, 0 },
    { " https://example.com", NULL, NULL, 0 },
    { "https://example.com ", NULL, NULL, 0 },
    { "https://exam\tple.com", NULL, NULL, 0 },
    { "https://ex\303\244mple.com", NULL, NULL, 0 },
    { "https://*.example.com", NULL, NULL, 0 },
    { "https://example.com:", NULL, NULL, 0 },
    { "https://example.com:0", NULL, NULL, 0 },
    { "https://example.com:080", NULL, NULL, 0 },
    { "https://example.com:65536", NULL, NULL, 0 },
    { "https://example.com:99999", NULL, NULL, 0 },
    { "https://example.com:4294967739", NULL, NULL, 0 },
    { "https://example.com:-1", NULL, NULL, 0 },
    { "https://example.com:+1", NULL, NULL, 0 },
    { "https://example.com:1:2", NULL, NULL, 0 },
    { "https://:443", NULL, NULL, 0 },
    { "http://[::1", NULL, NULL, 0 },
    { "http://[]", NULL, NULL, 0 },
    { "http://[::1]x", NULL, NULL, 0 },
    { "http://[::1]]", NULL, NULL, 0 },
    { "http://[evil.example]", NULL, NULL, 0 },
    { "http://::1", NULL, NULL, 0 },
    { "http://.", NULL, NULL, 0 },
    { "http://.example.com", NULL, NULL, 0 },
};


static match_t  matches[] = {
    { 1, "https://example.com", "https://example.com" },
    { 1, "https://Example.com", "HTTPS://example.COM" },
    { 1, "https://example.com:443", "https://example.com" },
    { 1, "http://example.com", "http://example.com:80" },
    { 0, "https://example.com", "http://example.com" },
    { 0, "https://example.com", "http://example.com:443" },
    { 0, "https://example.com", "https://example.com:8443" },
    { 0, "https://example.com", "https://www.example.com" },
    { 0, "https://example.com", "https://example.com.evil.example" },
    { 0, "https://example.com", "https://evilexample.com" },
    { 0, "https://example.com", "https://example.com." },
    { 0, "https://example.com", "https://example.co" },

    { 1, "https://*.example.com", "https://a.example.com" },
    { 1, "https://*.example.com", "https://a.b.example.com" },
    { 1, "https://*.EXAMPLE.com", "https://A.example.COM" },
    { 0, "https://*.example.com", "https://example.com" },
    { 0, "https://*.example.com", "https://.example.com" },
    { 0, "https://*.example.com", "https://evilexample.com" },
    { 0, "https://*.example.com", "https://a.example.com.evil.example" },
    { 0, "https://*.example.com", "http://a.example.com" },
    { 0, "https://*.example.com", "https://a.example.com:8443" },
    { 1, "https://*.example.com:8443", "https://a.example.com:8443" },
    { 0, "https://*.example.com:8443", "https://a.example.com" },

    { 1, "https://.example.com", "https://example.com" },
    { 1, "https://.example.com", "https://a.example.com" },
    { 0, "https://.example.com", "https://.example.com" },
    { 0, "https://.example.com", "https://evilexample.com" },

    { 1, "chrome-extension://abc", "chrome-extension://abc" },
    { 0, "chrome-extension://abc", "chrome-extension://abd" },
    { 1, "http://[::1]:8080", "http://[::1]:8080" },
};


static const char  *bad[] = {
    "", "*", "example.com", "*.example.com", ".example.com", "https",
    "https://", "https://*", "https://*.", "https://.", "https://..com",
    "https://*..com", "https://*example.com", "https://a.*.example.com",
    "https://example.*", "https://*.*.example.com", "https://*.[::1]",
    "https://example.com/", "https://example.com/*", "*://example.com",
    "https://example.com:*", "https://example.com:0", "https://exa mple.com",
    "https://user@example.com",
};


/* Copied to the byte, so that the sanitizer sees what is read beyond. */

static wsb_str_t
exact(const char *text)
{
    uint8_t    *p;
    wsb_str_t   s;

    s.len = strlen(text);
    p = malloc(s.len + (s.len == 0));
    memcpy(p, text, s.len);
    s.data = p;

    return s;
}


static void
test_length(size_t scheme, size_t host, wsb_rc_t want)
{
    char          text[512];
    wsb_str_t     s;
    wsb_origin_t  origin;

    memset(text, 'a', sizeof(text));
    memcpy(text + scheme, "://", 3);
    text[scheme + 3 + host] = '\0';

    s = exact(text);
    is_uint(wsb_origin_parse(s, &origin), want,
            "a scheme of %zu bytes, a host of %zu", scheme, host);
    free((void *) s.data);
}


int
main(void)
{
    size_t                 i;
    wsb_rc_t               rc;
    wsb_str_t              s, t;
    const char            *reason;
    wsb_origin_t           origin;
    wsb_origin_pattern_t   pattern;

    for (i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        s = exact(origins[i].text);
        rc = wsb_origin_parse(s, &origin);

        is_uint(rc, origins[i].scheme ? WSB_OK : WSB_ERROR, "origin \"%s\"",
                origins[i].text);

        if (rc == WSB_OK && origins[i].scheme != NULL) {
            is_bytes(origin.scheme.data, origin.scheme.len,
                     origins[i].scheme, "its scheme");
            is_bytes(origin.host.data, origin.host.len, origins[i].host,
                     "its host");
            is_uint(origin.port, origins[i].port, "its port");
        }

        free((void *) s.data);
    }

    test_length(32, 255, WSB_OK);
    test_length(33, 1, WSB_ERROR);
    test_length(1, 256, WSB_ERROR);

    for (i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
        s = exact(matches[i].pattern);
        t = exact(matches[i].origin);

        ok(wsb_origin_pattern_parse(s, &pattern, &reason) == WSB_OK,
           "pattern \"%s\"", matches[i].pattern);

        rc = wsb_origin_parse(t, &origin);

        is_uint(rc == WSB_OK && wsb_origin_match(&pattern, &origin),
                matches[i].want, "\"%s\" %s \"%s\"", matches[i].pattern,
                matches[i].want ? "is" : "is not", matches[i].origin);

        free((void *) s.data);
        free((void *) t.data);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s = exact(bad[i]);
        reason = NULL;

        is_uint(wsb_origin_pattern_parse(s, &pattern, &reason), WSB_ERROR,
                "no pattern: \"%s\"", bad[i]);
        ok(reason != NULL, "with a reason");

        free((void *) s.data);
    }

    return tap_done();
}
