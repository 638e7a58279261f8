/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "ws/alloc.h"
#include "json/wsb_text.c"

#include "tap.h"


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { strlen(s), (const uint8_t *) s };

    return v;
}


static void
test_growth(void)
{
    char        piece[100];
    size_t      i, j, bad;
    uint8_t    *p;
    wsb_text_t  t;

    memset(&t, 0, sizeof(t));

    wsb_text_add(&t, "", 0);
    wsb_text_str(&t, str(""));
    is_uint(t.len, 0, "nothing added is nothing");

    for (i = 0; i < 1000; i++) {
        memset(piece, 'a' + i % 26, sizeof(piece));
        wsb_text_add(&t, piece, i % 100);
    }

    bad = 0;
    p = t.data;

    for (i = 0; i < 1000; i++) {
        for (j = 0; j < i % 100; j++) {
            bad += *p++ != 'a' + i % 26;
        }
    }

    is_uint(t.len, 10 * 4950, "length after a thousand pieces");
    is_uint(bad, 0, "and their bytes");

    p = wsb_text_reserve(&t, 100000);
    ok(p == t.data + t.len, "reserve: where the text ends");
    ok(t.size - t.len >= 100000, "reserve: and there is room");

    ok(wsb_text_reserve(&t, SIZE_MAX) == NULL, "no room for everything");
    ok(t.failed && t.data == NULL && t.len == 0, "then it is empty");

    wsb_text_lit(&t, "more");
    ok(t.failed && t.data == NULL, "and stays so");

    wsb_text_done(&t);
    ok(!t.failed, "done: it may be used again");

    ok(wsb_text_reserve(&t, 0) != NULL, "room for nothing is not NULL");
    wsb_text_done(&t);
}


static void
test_uint(void)
{
    size_t      i;
    wsb_text_t  t;

    static const struct {
        uint64_t     n;
        const char  *text;
    } table[] = {
        { 0, "0" },
        { 9, "9" },
        { 10, "10" },
        { 1234567890, "1234567890" },
        { UINT64_MAX, "18446744073709551615" },
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        memset(&t, 0, sizeof(t));
        wsb_text_uint(&t, table[i].n);
        is_bytes(t.data, t.len, table[i].text, "uint %s", table[i].text);
        wsb_text_done(&t);
    }
}


static void
test_json(void)
{
    size_t      i;
    wsb_text_t  t;

    static const struct {
        const char  *in;
        const char  *out;
    } table[] = {
        { "", "\"\"" },
        { "plain", "\"plain\"" },
        { "a\"b", "\"a\\\"b\"" },
        { "a\\b", "\"a\\\\b\"" },
        { "/", "\"/\"" },
        { "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"" },
        { "\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\"" },
        { "long enough for a word, then \"", "\"long enough for a word, then"
                                             " \\\"\"" },
        { "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
          "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"" },
        { "\xe2\x80\xa8", "\"\xe2\x80\xa8\"" },
        { "\xff", "\"\xef\xbf\xbd\"" },
        { "a\xc3", "\"a\xef\xbf\xbd\"" },
        { "\xc3(", "\"\xef\xbf\xbd(\"" },
        { "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        memset(&t, 0, sizeof(t));
        wsb_text_json(&t, str(table[i].in));
        is_bytes(t.data, t.len, table[i].out, "json %zu", i);
        wsb_text_done(&t);
    }

    memset(&t, 0, sizeof(t));
    wsb_text_json(&t, (wsb_str_t) { 3, (const uint8_t *) "a\0b" });
    is_bytes(t.data, t.len, "\"a\\u0000b\"", "json: NUL");
    wsb_text_done(&t);

    wsb_text_json(&t, (wsb_str_t) wsb_null_string);
    is_bytes(t.data, t.len, "\"\"", "json: absent");
    wsb_text_done(&t);
}


/* Each byte at each place of each length: against the plain definition. */

static void
test_plain(void)
{
    size_t          len, at, bad, n, want;
    unsigned        c, d;
    uint8_t        *buf;
    const uint8_t  *p;

    bad = 0;

    for (len = 1; len <= 20; len++) {
        buf = malloc(len);

        for (at = 0; at < len; at++) {
            for (c = 0; c < 256; c++) {

                memset(buf, 'x', len);
                buf[at] = c;

                want = c < 0x20 || c >= 0x80 || c == '"' || c == '\\'
                       ? at : len;

                p = wsb_text_plain(buf, buf + len);
                n = p - buf;
                bad += n != want;
            }
        }

        free(buf);
    }

    is_uint(bad, 0, "plain: one byte of 256 at each place");

    /* what borrows from its neighbour */

    bad = 0;
    buf = malloc(8);

    for (c = 0; c < 256; c++) {
        for (d = 0; d < 256; d++) {
            memset(buf, 'x', 8);
            buf[3] = c;
            buf[4] = d;

            for (want = 0; want < 8; want++) {
                if (buf[want] < 0x20 || buf[want] >= 0x80
                    || buf[want] == '"' || buf[want] == '\\')
                {
                    break;
                }
            }

            bad += wsb_text_plain(buf, buf + 8) != buf + want;
        }
    }

    free(buf);

    is_uint(bad, 0, "plain: each pair of bytes");
}


/* UTF-8 by the definition: decode, then ask whether it is the shortest. */

static size_t
utf8_reference(const uint8_t *p, size_t len)
{
    size_t    i, n;
    uint32_t  c;

    static const uint32_t  min[] = { 0, 0, 0x80, 0x800, 0x10000 };

    if (p[0] < 0x80) {
        return 1;
    }

    n = p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;

    if (n == 0 || n > len) {
        return 0;
    }

    c = p[0] & (0x7f >> n);

    for (i = 1; i < n; i++) {
        if (p[i] >> 6 != 2) {
            return 0;
        }

        c = c << 6 | (p[i] & 0x3f);
    }

    return c < min[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}


static void
test_utf8(void)
{
    size_t    len, bad;
    uint8_t  *buf;
    unsigned  a, b, i, j;

    static const uint8_t  tail[] = {
        0x00, 0x22, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff
    };

    bad = 0;

    for (len = 1; len <= 4; len++) {
        buf = malloc(len);

        for (a = 0; a < 256; a++) {
            buf[0] = a;

            for (b = 0; b < (len > 1 ? 256 : 1); b++) {
                if (len > 1) {
                    buf[1] = b;
                }

                for (i = 0; i < (len > 2 ? sizeof(tail) : 1); i++) {
                    if (len > 2) {
                        buf[2] = tail[i];
                    }

                    for (j = 0; j < (len > 3 ? sizeof(tail) : 1); j++) {
                        if (len > 3) {
                            buf[3] = tail[j];
                        }

                        bad += wsb_text_utf8(buf, buf + len)
                               != utf8_reference(buf, len);
                    }
                }
            }
        }

        free(buf);
    }

    is_uint(bad, 0, "utf8: as it is defined");
}


static void
test_failures(void)
{
    size_t      n;
    wsb_text_t  t;

    for (n = 1; n < 100; n++) {
        calls = 0;
        fail_at = n;

        memset(&t, 0, sizeof(t));
        wsb_text_lit(&t, "x");
        wsb_text_json(&t, str("some \" text\n"));
        while (t.len < 3000 && !t.failed) {
            wsb_text_lit(&t, "0123456789abcdef");
        }

        if (!t.failed) {
            break;
        }

        ok(t.len == 0 && t.data == NULL && live == 0,
           "allocation %zu fails: empty, nothing is left", n);
        wsb_text_done(&t);
    }

    fail_at = 0;
    wsb_text_done(&t);

    ok(n > 2 && n < 100, "%zu allocations", n - 1);
    is_uint(live, 0, "nothing is left");
}


static void
test_line(void)
{
    size_t      i;
    wsb_text_t  t;

    static const struct {
        const char  *s;
        const char  *text;
    } table[] = {
        { "", "" },
        { "plain ~ \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
          "plain ~ \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
        { "\"\\", "\\u0022\\u005c" },
        { "a\r\n\tb\x1b\x7f", "a\\u000d\\u000a\\u0009b\\u001b\\u007f" },
        { "\xc2\x80\xc2\x85\xc2\x9f\xc2\xa0",
          "\\u0080\\u0085\\u009f\xc2\xa0" },
        { "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa",
          "\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa" },
        { "\xe3\x80\xa8", "\xe3\x80\xa8" },
        { "\xff\xc3", "\\ufffd\\ufffd" },
        { "a\xe9z", "a\\ufffdz" },
        { "\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd" },
        { "\xc0\x80", "\\ufffd\\ufffd" },
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        memset(&t, 0, sizeof(t));
        wsb_text_line(&t, str(table[i].s));
        wsb_text_add(&t, "", 1);
        ok(strcmp((char *) t.data, table[i].text) == 0, "a line: %s", t.data);
        wsb_text_done(&t);
    }

    memset(&t, 0, sizeof(t));
    wsb_text_line(&t, (wsb_str_t) { 2, (const uint8_t *) "\0x" });
    ok(t.len == 7 && memcmp(t.data, "\\u0000x", 7) == 0, "a NUL in a line");
    wsb_text_done(&t);
}


int
main(void)
{
    test_growth();
    test_line();
    test_uint();
    test_json();
    test_plain();
    test_utf8();
    test_failures();

    return tap_done();
}
