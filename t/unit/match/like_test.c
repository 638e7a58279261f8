/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Patterns: the escape, one form for all that mean the same, and random ones
 * against a table of what matches what.
 */

#include "ws/alloc.h"
#include "match/wsb_like.c"

#include "tap.h"


#define TEXT  700


static uint64_t  random_state = 88172645463325252ULL;

static unsigned
rnd(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return (unsigned) ((random_state >> 11) % n);
}


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { strlen(s), (const uint8_t *) s };

    return v;
}


/* The plain way: each character of the pattern with each of the text. */

static int
ref_like(wsb_str_t pattern, wsb_str_t text, int fold)
{
    char             a, b;
    size_t           i, k, n, wide;
    const uint8_t   *p, *last;
    static uint8_t   now[TEXT + 1], next[TEXT + 1];

    n = text.len;
    memset(now, 0, sizeof(now));
    now[0] = 1;

    p = pattern.data;
    last = p + pattern.len;

    while (p < last) {
        memset(next, 0, sizeof(next));

        if (*p == '%') {
            p++;

            for (i = 0, k = 0; i <= n; i++) {
                k |= now[i];
                next[i] = (uint8_t) k;
            }

        } else if (*p == '_') {
            p++;

            for (i = 0; i < n; i++) {
                for (wide = 1; i + wide < n
                               && (text.data[i + wide] & 0xc0) == 0x80; )
                {
                    wide++;
                }

                if ((text.data[i] & 0xc0) != 0x80) {
                    next[i + wide] |= now[i];
                }
            }

        } else {
            if (*p == '\\' && p + 1 < last && strchr("%_\\", p[1])) {
                p++;
            }

            for (i = 0; i < n; i++) {
                a = (char) text.data[i];
                b = (char) *p;
                a = fold && a >= 'A' && a <= 'Z' ? a + 32 : a;
                b = fold && b >= 'A' && b <= 'Z' ? b + 32 : b;
                next[i + 1] = now[i] && a == b;
            }

            p++;
        }

        memcpy(now, next, sizeof(now));
    }

    return now[n];
}


static int
like(wsb_str_t pattern, wsb_str_t text, int fold)
{
    int         result;
    uint8_t    *copy, *tokens;
    wsb_str_t   t, s;

    /* of just that size, so that a sanitizer sees what is read behind them */

    tokens = malloc(pattern.len + 1);
    t.data = tokens;
    t.len = wsb_like_compile(tokens, pattern, fold);

    if (t.len > pattern.len) {
        abort();
    }

    tokens = realloc(tokens, t.len + (t.len == 0));
    t.data = tokens;

    copy = malloc(text.len + (text.len == 0));
    memcpy(copy, text.data, text.len);
    s.data = copy;
    s.len = text.len;

    result = wsb_like_match(t, s, fold);

    free(copy);
    free(tokens);

    return result;
}


static const char *const  letters[] = {
    "a", "b", "A", "B", "ab", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
    "%", "_", "\\", "\xc3\x89", "[", "{"
};


static size_t
add(uint8_t *buf, size_t n, const char *s)
{
    memcpy(buf + n, s, strlen(s));

    return n + strlen(s);
}


static void
test_escape(void)
{
    size_t   i, n, m;
    uint8_t  tokens[16], other[16];

    static const struct {
        const char  *pattern;
        const char  *text;
        int          like;
    } table[] = {
        { "100\\%", "100%", 1 },
        { "100\\%", "1000", 0 },
        { "100\\%", "100\\%", 0 },
        { "a\\_b", "a_b", 1 },
        { "a\\_b", "axb", 0 },
        { "a\\\\b", "a\\b", 1 },
        { "a\\\\b", "a\\\\b", 0 },
        { "a\\\\%", "a\\and so on", 1 },
        { "a\\\\%", "a%", 0 },
        { "a\\b", "a\\b", 1 },
        { "a\\b", "ab", 0 },
        { "a\\", "a\\", 1 },
        { "\\", "\\", 1 },
        { "%\\", "ab\\", 1 },
        { "%\\%%", "at 5% at most", 1 },
        { "%\\%%", "at 5 at most", 0 },
        { "", "", 1 },
        { "", "a", 0 },
        { "%", "", 1 },
    };

    static const char *const  same[][2] = {
        { "%%", "%" }, { "%_", "_%" }, { "_%_%%_", "___%" },
        { "a%__%%b", "a__%b" }, { "%_\\_", "_%\\_" }
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        is_uint(like(str(table[i].pattern), str(table[i].text), 0),
                table[i].like, "%s like %s", table[i].text,
                table[i].pattern);
        is_uint(ref_like(str(table[i].pattern), str(table[i].text), 0),
                table[i].like, "the reference says so, too");
    }

    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        n = wsb_like_compile(tokens, str(same[i][0]), 0);
        m = wsb_like_compile(other, str(same[i][1]), 0);

        ok(n == m && memcmp(tokens, other, n) == 0, "%s is %s", same[i][0],
           same[i][1]);
    }

    n = wsb_like_compile(tokens, str("aB\\_"), 1);
    m = wsb_like_compile(other, str("Ab\\_"), 1);
    ok(n == 3 && m == 3 && memcmp(tokens, other, 3) == 0, "folded");
}


/* Short ones, of which about half match. */

static void
test_random(void)
{
    int        fold, want;
    size_t     i, k;
    uint8_t    p[64], t[128];
    unsigned   round, bad, matched;
    wsb_str_t  pattern, text;

    bad = 0;
    matched = 0;

    for (round = 0; round < 300000; round++) {
        pattern.len = 0;
        text.len = 0;
        pattern.data = p;
        text.data = t;
        fold = (int) rnd(2);

        k = rnd(12);

        for (i = 0; i < k; i++) {
            pattern.len = add(p, pattern.len, letters[rnd(4) ? 8 + rnd(3)
                                                             : rnd(14)]);
        }

        k = rnd(14);

        for (i = 0; i < k; i++) {
            text.len = add(t, text.len, letters[rnd(3) ? rnd(2) : rnd(14)]);
        }

        want = ref_like(pattern, text, fold);
        matched += want;

        if (like(pattern, text, fold) != want) {
            bad++;
            printf("# %.*s like %.*s: %d\n", (int) text.len, t,
                   (int) pattern.len, p, want);
        }
    }

    is_uint(bad, 0, "random patterns");
    ok(matched > 15000, "%u match", matched);
}


/*
 * Texts that nearly match everywhere, and pieces of a pattern that are cut out
 * of the text, with some characters changed: so that much has to be tried.
 */

static void
test_repetitive(void)
{
    int        fold, want;
    size_t     i, k, n, from, piece, used;
    uint8_t    p[WSB_LIKE_PATTERN + 8], t[TEXT + 8];
    unsigned   round, bad, matched, few;
    wsb_str_t  pattern, text;

    bad = 0;
    matched = 0;

    for (round = 0; round < 20000; round++) {
        text.len = 0;
        text.data = t;
        pattern.data = p;
        fold = (int) rnd(2);
        few = 1 + rnd(40);
        n = TEXT / 4 + rnd(TEXT / 2);

        while (text.len < n) {
            text.len = add(t, text.len, letters[rnd(few) ? round % 2 * 5
                                                         : rnd(8)]);
        }

        n = 0;
        from = 0;
        piece = 1 + rnd(WSB_LIKE_PATTERN);

        while (n < WSB_LIKE_PATTERN / 2 && from < text.len) {
            n = add(p, n, "%");
            from += rnd(1 + (unsigned) (text.len - from) / 2);

            while (from < text.len && (t[from] & 0xc0) == 0x80) {
                from++;
            }

            for (k = 0; k < piece && from < text.len; k++) {

                for (used = 1; from + used < text.len
                               && (t[from + used] & 0xc0) == 0x80; used++)
                {
                    /* void */
                }

                if (n + used + 4 > WSB_LIKE_PATTERN) {
                    break;
                }

                if (rnd(20) == 0) {
                    n = add(p, n, "_");

                } else if (rnd(400) == 0) {
                    n = add(p, n, letters[rnd(8)]);

                } else {
                    for (i = 0; i < used; i++) {
                        p[n++] = fold && t[from] == 'a' && rnd(2)
                                     ? 'A' : t[from + i];
                    }
                }

                from += used;
            }
        }

        n = rnd(4) ? add(p, n, "%") : n;
        pattern.len = n;

        want = ref_like(pattern, text, fold);
        matched += want;
        bad += like(pattern, text, fold) != want;
    }

    is_uint(bad, 0, "patterns that nearly match everywhere");
    ok(matched > 2000, "%u match", matched);
}


static void
test_cost(void)
{
    size_t     i;
    uint8_t    tokens[WSB_LIKE_PATTERN];
    wsb_str_t  s;
    char       text[WSB_LIKE_PATTERN + 1];

    static const struct {
        const char  *pattern;
        unsigned     cost;
    } table[] = {
        { "", 1 }, { "abc", 1 }, { "abc%", 1 }, { "%abc", 1 }, { "%", 1 },
        { "ab%cd", 1 }, { "/home/some/%", 2 }, { "%a%", 64 },
        { "a%b%c", 64 }, { "%%%%%%", 1 }
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        s.data = tokens;
        s.len = wsb_like_compile(tokens, str(table[i].pattern), 0);
        is_uint(wsb_like_cost(s), table[i].cost, "%s", table[i].pattern);
    }

    memset(text, '_', sizeof(text));
    text[1] = '%';
    text[2] = 'a';
    text[3] = '%';
    text[WSB_LIKE_PATTERN] = '\0';
    s.len = wsb_like_compile(tokens, str(text), 0);
    is_uint(wsb_like_cost(s), 256, "the longest one");
}


int
main(void)
{
    test_escape();
    test_random();
    test_repetitive();
    test_cost();

    return tap_done();
}
