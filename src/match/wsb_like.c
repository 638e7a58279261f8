/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_like.h"


#define WSB_LIKE_WORD   64
#define WSB_LIKE_WORDS  (WSB_LIKE_PATTERN / WSB_LIKE_WORD)

/* What it takes to find one place where a piece could begin, in bytes. */

#define WSB_LIKE_TRY    8


/*
 * left: how many bytes may still be looked at twice.  As long as few are,
 * memchr() is faster than anything else; who needs more gets a table of bits.
 */

typedef struct {
    const uint8_t        *end;
    ptrdiff_t             left;
    int                   fold;
} wsb_like_t;


static const uint8_t *wsb_like_find(wsb_like_t *l, const uint8_t *p,
    size_t n, const uint8_t *s);
static const uint8_t *wsb_like_first(const wsb_like_t *l, uint8_t c,
    const uint8_t *s, const uint8_t *end);
static const uint8_t *wsb_like_word(const wsb_like_t *l, const uint8_t *p,
    size_t n, const uint8_t *s);
static const uint8_t *wsb_like_words(const wsb_like_t *l, const uint8_t *p,
    size_t n, const uint8_t *s);


static inline int
wsb_like_is_rest(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}


static inline uint8_t
wsb_like_fold(uint8_t c, int fold)
{
    return fold && c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}


/* Behind what the token matches at s; NULL: it does not. */

static inline const uint8_t *
wsb_like_token(const wsb_like_t *l, uint8_t token, const uint8_t *s)
{
    if (s == l->end) {
        return NULL;
    }

    if (token != WSB_LIKE_ONE) {
        return wsb_like_fold(*s, l->fold) == token ? s + 1 : NULL;
    }

    do {
        s++;
    } while (s < l->end && wsb_like_is_rest(*s));

    return s;
}


size_t
wsb_like_compile(uint8_t *tokens, wsb_str_t pattern, int fold)
{
    int             run;
    uint8_t         c, *q;
    const uint8_t  *p, *last;

    p = pattern.data;
    last = p + pattern.len;
    q = tokens;
    run = 0;

    while (p < last) {
        c = *p++;

        if (c == '%') {
            run = 1;
            continue;
        }

        if (c == '_') {
            *q++ = WSB_LIKE_ONE;
            continue;
        }

        if (c == '\\' && p < last
            && (*p == '%' || *p == '_' || *p == '\\'))
        {
            c = *p++;
        }

        if (run) {
            *q++ = WSB_LIKE_RUN;
            run = 0;
        }

        *q++ = wsb_like_fold(c, fold);
    }

    if (run) {
        *q++ = WSB_LIKE_RUN;
    }

    return q - tokens;
}


/*
 * What stands before the first run and behind the last one has its place.
 * Each piece between them is taken as far to the left as it is found, which
 * leaves the most for the others.
 */

int
wsb_like_match(wsb_str_t tokens, wsb_str_t text, int fold)
{
    size_t          n, rest;
    wsb_like_t      l;
    const uint8_t  *p, *q, *piece, *last, *s, *end;

    p = tokens.data;
    last = p + tokens.len;
    s = text.data;
    end = s + text.len;

    l.fold = fold;
    l.end = end;

    for ( /* void */ ; p < last && *p != WSB_LIKE_RUN; p++) {
        s = wsb_like_token(&l, *p, s);

        if (s == NULL) {
            return 0;
        }
    }

    if (p == last) {
        return s == end;
    }

    while (last[-1] != WSB_LIKE_RUN) {

        if (s == end) {
            return 0;
        }

        end--;
        last--;

        if (*last != WSB_LIKE_ONE) {

            if (wsb_like_fold(*end, fold) != *last) {
                return 0;
            }

            continue;
        }

        while (end > s && wsb_like_is_rest(*end)) {
            end--;
        }
    }

    /* each token takes one byte at least, but a run */

    rest = 0;

    for (q = p; q < last; q++) {
        rest += *q != WSB_LIKE_RUN;
    }

    l.left = WSB_LIKE_WORD + (end - s) / 4;

    for (p++; p < last; p = q + 1) {
        q = memchr(p, WSB_LIKE_RUN, last - p);

        for (piece = q; piece > p && piece[-1] == WSB_LIKE_ONE; piece--) {
            /* void */
        }

        if ((size_t) (end - s) < rest) {
            return 0;
        }

        n = piece - p;
        rest -= n;
        l.end = end - rest;

        if (n != 0) {
            s = wsb_like_find(&l, p, n, s);

            if (s == NULL) {
                return 0;
            }
        }

        for (l.end = end; piece < q; piece++) {
            s = wsb_like_token(&l, WSB_LIKE_ONE, s);
            rest--;

            if (s == NULL) {
                return 0;
            }
        }
    }

    return 1;
}


unsigned
wsb_like_cost(wsb_str_t tokens)
{
    size_t    i;
    unsigned  runs;

    runs = 0;

    for (i = 0; i < tokens.len; i++) {
        runs += tokens.data[i] == WSB_LIKE_RUN;
    }

    if (runs > 1) {
        return (tokens.len + WSB_LIKE_WORD - 1) / WSB_LIKE_WORD
               * WSB_LIKE_WORD;
    }

    return tokens.len / 8 + 1;
}


/*
 * Behind the first place where these n tokens match.  They begin and end with
 * a byte of the text.
 */

static const uint8_t *
wsb_like_find(wsb_like_t *l, const uint8_t *p, size_t n, const uint8_t *s)
{
    size_t          i;
    const uint8_t  *t, *at;

    while (n == 1 || l->left > 0) {

        if ((size_t) (l->end - s) < n) {
            return NULL;
        }

        s = wsb_like_first(l, *p, s, l->end - (n - 1));

        if (s == NULL) {
            return NULL;
        }

        t = s + 1;

        for (i = 1; i < n; i++) {
            at = t;
            t = wsb_like_token(l, p[i], at);

            if (t == NULL) {
                break;
            }
        }

        if (i == n) {
            return t;
        }

        l->left -= WSB_LIKE_TRY + (at - s);
        s++;
    }

    return n <= WSB_LIKE_WORD ? wsb_like_word(l, p, n, s)
                              : wsb_like_words(l, p, n, s);
}


static const uint8_t *
wsb_like_first(const wsb_like_t *l, uint8_t c, const uint8_t *s,
    const uint8_t *end)
{
    if (!l->fold || c < 'a' || c > 'z') {
        return memchr(s, c, end - s);
    }

    for ( /* void */ ; s < end; s++) {
        if ((*s | 0x20) == c) {
            return s;
        }
    }

    return NULL;
}


/*
 * Bit i is set when tokens 0 to i match what ends here.  All of them move on
 * by one shift with each byte; but one that stands for a code point stays
 * with the rest of its bytes.
 */

static const uint8_t *
wsb_like_word(const wsb_like_t *l, const uint8_t *p, size_t n,
    const uint8_t *s)
{
    size_t    i;
    unsigned  c;
    uint64_t  d, bit, last, ones, mask[256];

    memset(mask, 0, sizeof(mask));
    ones = 0;

    for (i = 0; i < n; i++) {
        bit = (uint64_t) 1 << i;

        if (p[i] == WSB_LIKE_ONE) {
            ones |= bit;
            continue;
        }

        mask[p[i]] |= bit;

        if (l->fold && p[i] >= 'a' && p[i] <= 'z') {
            mask[p[i] & ~0x20] |= bit;
        }
    }

    last = (uint64_t) 1 << (n - 1);
    d = 0;

    if (ones == 0) {

        for ( /* void */ ; s < l->end; s++) {
            d = (d << 1 | 1) & mask[*s];

            if (d & last) {
                return s + 1;
            }
        }

        return NULL;
    }

    for (c = 0; c < 256; c++) {
        mask[c] |= wsb_like_is_rest(c) ? 0 : ones;
    }

    for ( /* void */ ; s < l->end; s++) {
        d = ((d << 1 | 1) & mask[*s])
            | (d & (wsb_like_is_rest(*s) ? ones : 0));

        if (d & last) {
            return s + 1;
        }
    }

    return NULL;
}


/* The same for more tokens than a word has bits. */

static const uint8_t *
wsb_like_words(const wsb_like_t *l, const uint8_t *p, size_t n,
    const uint8_t *s)
{
    size_t    i, k, words;
    unsigned  c;
    uint64_t  bit, carry, next, stay, d[WSB_LIKE_WORDS],
              ones[WSB_LIKE_WORDS], mask[256][WSB_LIKE_WORDS];

    memset(mask, 0, sizeof(mask));
    memset(ones, 0, sizeof(ones));
    memset(d, 0, sizeof(d));

    words = (n + WSB_LIKE_WORD - 1) / WSB_LIKE_WORD;

    for (i = 0; i < n; i++) {
        k = i / WSB_LIKE_WORD;
        bit = (uint64_t) 1 << i % WSB_LIKE_WORD;

        if (p[i] == WSB_LIKE_ONE) {
            ones[k] |= bit;
            continue;
        }

        mask[p[i]][k] |= bit;

        if (l->fold && p[i] >= 'a' && p[i] <= 'z') {
            mask[p[i] & ~0x20][k] |= bit;
        }
    }

    for (c = 0; c < 256; c++) {
        for (k = 0; k < words; k++) {
            mask[c][k] |= wsb_like_is_rest(c) ? 0 : ones[k];
        }
    }

    bit = (uint64_t) 1 << (n - 1) % WSB_LIKE_WORD;

    for ( /* void */ ; s < l->end; s++) {
        carry = 1;
        stay = wsb_like_is_rest(*s) ? ~(uint64_t) 0 : 0;

        for (k = 0; k < words; k++) {
            next = d[k] >> (WSB_LIKE_WORD - 1);
            d[k] = ((d[k] << 1 | carry) & mask[*s][k])
                   | (d[k] & ones[k] & stay);
            carry = next;
        }

        if (d[words - 1] & bit) {
            return s + 1;
        }
    }

    return NULL;
}
