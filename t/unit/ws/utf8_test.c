/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "ws/wsb_utf8.h"
#include "tap.h"
#include "utf8_ref.h"

#include <stdlib.h>


static size_t
by_bytes(const uint8_t *p, size_t len)
{
    size_t      i;
    wsb_utf8_t  state;

    state = WSB_UTF8_START;

    for (i = 0; i < len; i++) {
        state = wsb_utf8(state, p + i, 1);

        if (state == WSB_UTF8_INVALID) {
            return i;
        }
    }

    return state == WSB_UTF8_START ? len : len + 1;
}


static size_t
verdict(wsb_utf8_t state, size_t len)
{
    return state == WSB_UTF8_START ? len
           : state == WSB_UTF8_INVALID ? 0 : len + 1;
}


/* Whole, and at every split: the outcome is that of single bytes. */

static int
same_at_splits(const uint8_t *p, size_t len)
{
    size_t       i, want;
    uint8_t     *copy;
    wsb_utf8_t   state;

    want = by_bytes(p, len);

    if (want < len) {
        want = 0;

    } else if (len == 0) {
        return 1;
    }

    /* an exact copy, for the sanitizer */
    copy = malloc(len);
    memcpy(copy, p, len);

    for (i = 0; i <= len; i++) {
        state = wsb_utf8(WSB_UTF8_START, copy, i);
        state = wsb_utf8(state, copy + i, len - i);

        if (verdict(state, len) != want) {
            free(copy);
            return 0;
        }
    }

    free(copy);

    return 1;
}


typedef struct {
    const char  *name;
    size_t       at;           /* GOOD, PART or the first invalid byte */
    size_t       len;
    const char  *text;
} text_t;


#define GOOD            ((size_t) -1)
#define PART            ((size_t) -2)
#define TEXT(s)         sizeof(s) - 1, s

/* Autobahn 6.2 to 6.23; the letters are those of Markus Kuhn's tests. */

#define KOSME           "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"

static text_t  texts[] = {
    { "empty", GOOD, TEXT("") },
    { "6.2 hello", GOOD, TEXT("Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4"
                              "\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!") },
    { "6.5.1 kosme", GOOD, TEXT(KOSME) },
    { "6.3 surrogate after kosme", 12,
      TEXT(KOSME "\xed\xa0\x80" "edited") },
    { "6.4 above U+10FFFF after kosme", 12,
      TEXT(KOSME "\xf4\x90\x80\x80" "edited") },
    { "6.6.1 one byte of a character", PART, TEXT("\xce") },
    { "6.6.2 first character", GOOD, TEXT("\xce\xba") },
    { "6.6.4 two of three", PART, TEXT("\xce\xba\xe1\xbd") },
    { "6.7.1 U+0000", GOOD, TEXT("\0") },
    { "6.7.2 U+0080", GOOD, TEXT("\xc2\x80") },
    { "6.7.3 U+0800", GOOD, TEXT("\xe0\xa0\x80") },
    { "6.7.4 U+10000", GOOD, TEXT("\xf0\x90\x80\x80") },
    { "6.8.1 five bytes", 0, TEXT("\xf8\x88\x80\x80\x80") },
    { "6.8.2 six bytes", 0, TEXT("\xfc\x84\x80\x80\x80\x80") },
    { "6.9.1 U+007F", GOOD, TEXT("\x7f") },
    { "6.9.2 U+07FF", GOOD, TEXT("\xdf\xbf") },
    { "6.9.3 U+FFFF", GOOD, TEXT("\xef\xbf\xbf") },
    { "6.9.4 U+10FFFF", GOOD, TEXT("\xf4\x8f\xbf\xbf") },
    { "6.10.1 U+1FFFFF", 0, TEXT("\xf7\xbf\xbf\xbf") },
    { "6.10.2 U+3FFFFFF", 0, TEXT("\xfb\xbf\xbf\xbf\xbf") },
    { "6.10.3 U+7FFFFFFF", 0, TEXT("\xfd\xbf\xbf\xbf\xbf\xbf") },
    { "6.11.1 U+D7FF", GOOD, TEXT("\xed\x9f\xbf") },
    { "6.11.2 U+E000", GOOD, TEXT("\xee\x80\x80") },
    { "6.11.3 U+FFFD", GOOD, TEXT("\xef\xbf\xbd") },
    { "6.11.5 U+110000", 1, TEXT("\xf4\x90\x80\x80") },
    { "6.12.1 lone 80", 0, TEXT("\x80") },
    { "6.12.2 lone bf", 0, TEXT("\xbf") },
    { "6.12.3 80 bf", 0, TEXT("\x80\xbf") },
    { "6.13.1 c2 and a space", 1, TEXT("\xc2 \xc3 ") },
    { "6.13.2 e0 and a space", 1, TEXT("\xe0 \xe1 ") },
    { "6.13.3 f0 and a space", 1, TEXT("\xf0 \xf1 ") },
    { "6.13.4 f8 and a space", 0, TEXT("\xf8 ") },
    { "6.14.1 first of two", PART, TEXT("\xc3") },
    { "6.14.2 two of three, overlong", 1, TEXT("\xe0\x80") },
    { "6.14.3 three of four, overlong", 1, TEXT("\xf0\x80\x80") },
    { "6.14.6 first of two", PART, TEXT("\xdf") },
    { "6.14.7 two of three", PART, TEXT("\xef\xbf") },
    { "6.14.8 three of four, too high", 0, TEXT("\xf7\xbf\xbf") },
    { "three of four", PART, TEXT("\xf4\x8f\xbf") },
    { "6.15.1 parts of many", 0, TEXT("\xc0\xe0\x80\xf0\x80\x80") },
    { "6.16.1 fe", 0, TEXT("\xfe") },
    { "6.16.2 ff", 0, TEXT("\xff") },
    { "6.17.1 overlong slash in two", 0, TEXT("\xc0\xaf") },
    { "6.17.2 overlong slash in three", 1, TEXT("\xe0\x80\xaf") },
    { "6.17.3 overlong slash in four", 1, TEXT("\xf0\x80\x80\xaf") },
    { "6.18.1 overlong U+007F", 0, TEXT("\xc1\xbf") },
    { "6.18.2 overlong U+07FF", 1, TEXT("\xe0\x9f\xbf") },
    { "6.18.3 overlong U+FFFF", 1, TEXT("\xf0\x8f\xbf\xbf") },
    { "6.19.1 overlong U+0000 in two", 0, TEXT("\xc0\x80") },
    { "6.19.2 overlong U+0000 in three", 1, TEXT("\xe0\x80\x80") },
    { "6.20.1 U+D800", 1, TEXT("\xed\xa0\x80") },
    { "6.20.7 U+DFFF", 1, TEXT("\xed\xbf\xbf") },
    { "6.21.1 a pair of surrogates", 1, TEXT("\xed\xa0\x80\xed\xb0\x80") },
    { "6.22.1 U+FFFE", GOOD, TEXT("\xef\xbf\xbe") },
    { "6.22.34 U+10FFFF", GOOD, TEXT("\xf4\x8f\xbf\xbf") },
    { "6.23.1 U+FEFF", GOOD, TEXT("\xef\xbb\xbf") },
    { "ASCII of 8", GOOD, TEXT("12345678") },
    { "ASCII of 17, then bad", 17, TEXT("12345678123456781\xff") },
    { "bad in a word", 11, TEXT("12345678123\xff" "56781234567812345678") },
};


static void
test_table(void)
{
    size_t   i, at, want;
    text_t  *t;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        t = &texts[i];
        want = t->at == GOOD ? t->len : t->at == PART ? t->len + 1 : t->at;
        at = by_bytes((const uint8_t *) t->text, t->len);

        ok(at == want && same_at_splits((const uint8_t *) t->text, t->len),
           "%s", t->name);
    }
}


/* Every sequence of three bytes, and four where the first two let it be. */

static void
test_exhaustive(void)
{
    uint8_t    p[4];
    size_t     bad;
    uint32_t   i, j;

    static const uint8_t  edge[] = { 0x00, 0x7f, 0x80, 0x81, 0x8f, 0x90,
                                     0x9f, 0xa0, 0xbe, 0xbf, 0xc0, 0xff };

    bad = 0;

    for (i = 0; i < 1 << 24; i++) {
        p[0] = i >> 16;
        p[1] = i >> 8;
        p[2] = i;

        bad += by_bytes(p, 3) != ref_text(p, 3);
    }

    is_uint(bad, 0, "all sequences of three bytes");

    bad = 0;

    for (i = 0xe000; i < 1 << 16; i++) {
        p[0] = i >> 8;
        p[1] = i;

        for (j = 0; j < sizeof(edge) * sizeof(edge); j++) {
            p[2] = edge[j / sizeof(edge)];
            p[3] = edge[j % sizeof(edge)];

            bad += by_bytes(p, 4) != ref_text(p, 4);
        }
    }

    is_uint(bad, 0, "all beginnings of four bytes");
}


static void
test_state(void)
{
    wsb_utf8_t  state;

    state = wsb_utf8(WSB_UTF8_START, (const uint8_t *) "\xff", 1);
    state = wsb_utf8(state, (const uint8_t *) "valid", 5);

    is_uint(state, WSB_UTF8_INVALID, "invalid for ever after");

    is_uint(wsb_utf8(WSB_UTF8_INVALID, NULL, 0), WSB_UTF8_INVALID,
            "invalid after nothing");

    is_uint(wsb_utf8(WSB_UTF8_START, NULL, 0), WSB_UTF8_START,
            "start after nothing");
}


static void
test_long(void)
{
    size_t   i, at, bad;
    uint8_t  p[80];

    bad = 0;

    for (at = 0; at < sizeof(p); at++) {
        for (i = 0; i < sizeof(p); i++) {
            memset(p, 'a', sizeof(p));
            p[at] = 0xff;
            bad += by_bytes(p, i) != ref_text(p, i);
            bad += !same_at_splits(p, i);
        }
    }

    is_uint(bad, 0, "a bad byte anywhere in ASCII");
}


int
main(void)
{
    test_table();
    test_state();
    test_long();
    test_exhaustive();

    return tap_done();
}
