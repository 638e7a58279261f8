/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_json.h"
#include "wsb_text.h"


typedef struct {
    const uint8_t        *last;
    const uint8_t        *bad;            /* where the error is */
    const char           *reason;

    unsigned              max_depth;
    unsigned              strict;
    unsigned              depth;          /* of open containers */
    uint8_t               close[WSB_JSON_DEPTH];

    /* the keys of the open strict objects, one object behind the other */

    unsigned              nkeys;
    unsigned              first[WSB_JSON_STRICT_DEPTH];
    wsb_str_t             keys[WSB_JSON_STRICT_DEPTH
                               * WSB_JSON_STRICT_MEMBERS];
    uint32_t              hashes[WSB_JSON_STRICT_DEPTH
                                 * WSB_JSON_STRICT_MEMBERS];
} wsb_json_parser_t;


static const uint8_t *wsb_json_document(wsb_json_parser_t *ps,
    const uint8_t *p);
static const uint8_t *wsb_json_open(wsb_json_parser_t *ps, const uint8_t *p,
    int *empty);
static const uint8_t *wsb_json_next(wsb_json_parser_t *ps, const uint8_t *p,
    int *due);
static const uint8_t *wsb_json_scalar(wsb_json_parser_t *ps,
    const uint8_t *p);
static void wsb_json_pop(wsb_json_parser_t *ps);
static const uint8_t *wsb_json_key(wsb_json_parser_t *ps, const uint8_t *p);
static int wsb_json_remember(wsb_json_parser_t *ps, wsb_str_t key);
static const uint8_t *wsb_json_string(wsb_json_parser_t *ps,
    const uint8_t *p);
static const uint8_t *wsb_json_escape(wsb_json_parser_t *ps,
    const uint8_t *p);
static const uint8_t *wsb_json_number(wsb_json_parser_t *ps,
    const uint8_t *p);
static const uint8_t *wsb_json_literal(wsb_json_parser_t *ps,
    const uint8_t *p, const char *text);
static const uint8_t *wsb_json_fail(wsb_json_parser_t *ps, const uint8_t *p,
    const char *reason);


static inline int
wsb_json_is_digit(const uint8_t *p, const uint8_t *last)
{
    return p < last && *p >= '0' && *p <= '9';
}


static inline const uint8_t *
wsb_json_digits(const uint8_t *p, const uint8_t *last)
{
    while (wsb_json_is_digit(p, last)) {
        p++;
    }

    return p;
}


/* Are the fields of the innermost open container a protocol's? */

static inline int
wsb_json_is_strict(const wsb_json_parser_t *ps)
{
    return ps->depth <= ps->strict && ps->strict != 0;
}


wsb_rc_t
wsb_json_parse(wsb_str_t text, const wsb_json_limits_t *limits,
    wsb_json_t *value, wsb_json_error_t *err)
{
    const uint8_t      *p, *end;
    wsb_json_parser_t   ps;

    ps.last = text.data + text.len;
    ps.depth = 0;
    ps.nkeys = 0;

    ps.max_depth = limits->depth < WSB_JSON_DEPTH ? limits->depth
                                                  : WSB_JSON_DEPTH;
    ps.strict = limits->strict < WSB_JSON_STRICT_DEPTH
                ? limits->strict : WSB_JSON_STRICT_DEPTH;

    p = wsb_json_space(text.data, ps.last);
    end = wsb_json_document(&ps, p);

    if (end != NULL && wsb_json_space(end, ps.last) != ps.last) {
        end = wsb_json_fail(&ps, wsb_json_space(end, ps.last),
                            "text after the end of the document");
    }

    if (end == NULL) {
        err->offset = ps.bad - text.data;
        err->reason = ps.reason;
        return WSB_ERROR;
    }

    value->type = wsb_json_type(*p);
    value->text.data = p;
    value->text.len = end - p;

    return WSB_OK;
}


/* Each turn begins where a value is due. */

static const uint8_t *
wsb_json_document(wsb_json_parser_t *ps, const uint8_t *p)
{
    int  due, empty;

    do {
        p = wsb_json_space(p, ps->last);

        if (p == ps->last) {
            return wsb_json_fail(ps, p, "unexpected end");
        }

        if (*p == '{' || *p == '[') {
            p = wsb_json_open(ps, p, &empty);

            if (p != NULL && !empty) {
                due = 1;
                continue;
            }

        } else {
            p = wsb_json_scalar(ps, p);
        }

        if (p != NULL) {
            p = wsb_json_next(ps, p, &due);
        }

    } while (p != NULL && due);

    return p;
}


static const uint8_t *
wsb_json_open(wsb_json_parser_t *ps, const uint8_t *p, int *empty)
{
    uint8_t  close;

    if (ps->depth == ps->max_depth) {
        return wsb_json_fail(ps, p, "nesting is too deep");
    }

    close = *p == '{' ? '}' : ']';
    ps->close[ps->depth++] = close;

    if (wsb_json_is_strict(ps)) {
        ps->first[ps->depth - 1] = ps->nkeys;
    }

    p = wsb_json_space(p + 1, ps->last);

    *empty = p < ps->last && *p == close;

    if (*empty) {
        wsb_json_pop(ps);
        return p + 1;
    }

    return close == '}' ? wsb_json_key(ps, p) : p;
}


/* Goes from the end of a value to where the next is due, or to the end. */

static const uint8_t *
wsb_json_next(wsb_json_parser_t *ps, const uint8_t *p, int *due)
{
    uint8_t  close;

    while (ps->depth > 0) {
        p = wsb_json_space(p, ps->last);

        if (p == ps->last) {
            return wsb_json_fail(ps, p, "unexpected end");
        }

        close = ps->close[ps->depth - 1];

        if (*p == ',') {
            *due = 1;
            p = wsb_json_space(p + 1, ps->last);
            return close == '}' ? wsb_json_key(ps, p) : p;
        }

        if (*p != close) {
            return wsb_json_fail(ps, p, "a comma or the end is expected");
        }

        wsb_json_pop(ps);
        p++;
    }

    *due = 0;

    return p;
}


static const uint8_t *
wsb_json_scalar(wsb_json_parser_t *ps, const uint8_t *p)
{
    switch (*p) {

    case '"':
        return wsb_json_string(ps, p);

    case 't':
        return wsb_json_literal(ps, p, "true");

    case 'f':
        return wsb_json_literal(ps, p, "false");

    case 'n':
        return wsb_json_literal(ps, p, "null");

    default:
        return wsb_json_number(ps, p);
    }
}


static void
wsb_json_pop(wsb_json_parser_t *ps)
{
    if (wsb_json_is_strict(ps)) {
        ps->nkeys = ps->first[ps->depth - 1];
    }

    ps->depth--;
}


/* A key and its colon. */

static const uint8_t *
wsb_json_key(wsb_json_parser_t *ps, const uint8_t *p)
{
    wsb_str_t       key;
    const uint8_t  *end;

    if (p == ps->last) {
        return wsb_json_fail(ps, p, "unexpected end");
    }

    if (*p != '"') {
        return wsb_json_fail(ps, p, "a key is expected");
    }

    end = wsb_json_string(ps, p);

    if (end == NULL) {
        return NULL;
    }

    if (wsb_json_is_strict(ps)) {
        key.data = p;
        key.len = end - p;

        if (!wsb_json_remember(ps, key)) {
            return NULL;
        }
    }

    p = wsb_json_space(end, ps->last);

    if (p == ps->last) {
        return wsb_json_fail(ps, p, "unexpected end");
    }

    if (*p != ':') {
        return wsb_json_fail(ps, p, "a colon is expected");
    }

    return p + 1;
}


static int
wsb_json_remember(wsb_json_parser_t *ps, wsb_str_t key)
{
    uint32_t  hash;
    unsigned  i, first;

    first = ps->first[ps->depth - 1];

    if (ps->nkeys - first == WSB_JSON_STRICT_MEMBERS) {
        wsb_json_fail(ps, key.data, "too many members");
        return 0;
    }

    hash = wsb_json_hash(key);

    for (i = first; i < ps->nkeys; i++) {
        if (ps->hashes[i] == hash && wsb_json_same(ps->keys[i], key)) {
            wsb_json_fail(ps, key.data, "repeated key");
            return 0;
        }
    }

    ps->hashes[ps->nkeys] = hash;
    ps->keys[ps->nkeys++] = key;

    return 1;
}


static const uint8_t *
wsb_json_string(wsb_json_parser_t *ps, const uint8_t *p)
{
    size_t  n;

    p++;

    for ( ;; ) {
        p = wsb_text_plain(p, ps->last);

        if (p == ps->last) {
            return wsb_json_fail(ps, p, "unexpected end");
        }

        if (*p == '"') {
            return p + 1;
        }

        if (*p == '\\') {
            p = wsb_json_escape(ps, p);

            if (p == NULL) {
                return NULL;
            }

            continue;
        }

        if (*p < 0x20) {
            return wsb_json_fail(ps, p, "control character in a string");
        }

        n = wsb_text_utf8(p, ps->last);

        if (n == 0) {
            return wsb_json_fail(ps, p, "invalid UTF-8");
        }

        p += n;
    }
}


static const uint8_t *
wsb_json_escape(wsb_json_parser_t *ps, const uint8_t *p)
{
    int              c;
    uint8_t          buf[4];
    unsigned         n;
    const uint8_t   *next;

    if (ps->last - p < 2) {
        return wsb_json_fail(ps, ps->last, "unexpected end");
    }

    if (p[1] != 'u') {
        if (p[1] == '\0' || strchr("\"\\/bfnrt", p[1]) == NULL) {
            return wsb_json_fail(ps, p, "invalid escape");
        }

        return p + 2;
    }

    c = wsb_json_hex4(p + 2, ps->last);

    if (c == -1) {
        return wsb_json_fail(ps, p, "invalid escape");
    }

    if (!wsb_json_is_strict(ps)) {
        return p + 6;
    }

    next = wsb_json_unescape(p, ps->last, buf, &n);

    if (next == NULL) {
        return wsb_json_fail(ps, p, c == 0 ? "escaped NUL"
                                           : "lone surrogate");
    }

    return next;
}


static const uint8_t *
wsb_json_number(wsb_json_parser_t *ps, const uint8_t *p)
{
    const uint8_t  *last = ps->last, *start = p;

    if (*p == '-') {
        p++;
    }

    if (!wsb_json_is_digit(p, last)) {
        return wsb_json_fail(ps, p, p == start ? "a value is expected"
                                               : "a digit is expected");
    }

    p = *p == '0' ? p + 1 : wsb_json_digits(p, last);

    if (p < last && *p == '.') {
        p++;

        if (!wsb_json_is_digit(p, last)) {
            return wsb_json_fail(ps, p, "a digit is expected");
        }

        p = wsb_json_digits(p, last);
    }

    if (p < last && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < last && (*p == '+' || *p == '-')) {
            p++;
        }

        if (!wsb_json_is_digit(p, last)) {
            return wsb_json_fail(ps, p, "a digit is expected");
        }

        p = wsb_json_digits(p, last);
    }

    return p;
}


static const uint8_t *
wsb_json_literal(wsb_json_parser_t *ps, const uint8_t *p, const char *text)
{
    size_t  len = strlen(text);

    if ((size_t) (ps->last - p) < len || memcmp(p, text, len) != 0) {
        return wsb_json_fail(ps, p, "a value is expected");
    }

    return p + len;
}


static const uint8_t *
wsb_json_fail(wsb_json_parser_t *ps, const uint8_t *p, const char *reason)
{
    ps->bad = p;
    ps->reason = reason;

    return NULL;
}
