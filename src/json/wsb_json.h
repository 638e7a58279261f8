/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Strict JSON: RFC 8259, and no more than what a browser's JSON.parse takes.
 *
 * Validation comes first and covers every byte; the walk over members and
 * elements may then trust the text.  Payloads are spans of the original
 * bytes, they are never printed anew.
 */

#ifndef WSB_JSON_H
#define WSB_JSON_H


#include "../wsb.h"


typedef enum {
    WSB_JSON_NULL = 0,
    WSB_JSON_FALSE,
    WSB_JSON_TRUE,
    WSB_JSON_NUMBER,
    WSB_JSON_STRING,
    WSB_JSON_ARRAY,
    WSB_JSON_OBJECT
} wsb_json_type_t;


/* A value: its bytes from the first to the last, a string's quotes too. */

typedef struct {
    wsb_json_type_t       type;
    wsb_str_t             text;
} wsb_json_t;


/*
 * Containers that are nested in fewer than `strict` others hold fields of a
 * protocol: a repeated key (in its decoded form), an escaped NUL or a lone
 * surrogate in a key or in a string that stands directly in one of them, or
 * more than 64 members of one object is an error there.  0: nowhere.
 */

#define WSB_JSON_DEPTH            512
#define WSB_JSON_STRICT_DEPTH     32
#define WSB_JSON_STRICT_MEMBERS   64

typedef struct {
    unsigned              depth;          /* WSB_JSON_DEPTH at most */
    unsigned              strict;         /* WSB_JSON_STRICT_DEPTH at most */
} wsb_json_limits_t;


typedef struct {
    size_t                offset;         /* of the byte that is wrong */
    const char           *reason;         /* static text, lower case */
} wsb_json_error_t;


/* The whole of `text` is one document, white space around it allowed. */
wsb_rc_t wsb_json_parse(wsb_str_t text, const wsb_json_limits_t *limits,
    wsb_json_t *value, wsb_json_error_t *err);


/*
 * Walks over a validated array or object.  In *walk is kept how far it is.
 * Each call returns WSB_OK, or WSB_DONE after the last.
 */

typedef struct {
    const uint8_t        *pos;
    const uint8_t        *last;
} wsb_json_walk_t;

void wsb_json_enter(wsb_json_walk_t *walk, const wsb_json_t *container);
wsb_rc_t wsb_json_element(wsb_json_walk_t *walk, wsb_json_t *value);
wsb_rc_t wsb_json_member(wsb_json_walk_t *walk, wsb_json_t *key,
    wsb_json_t *value);

/* The first member of a validated object with this key: OK or NOTFOUND. */
wsb_rc_t wsb_json_get(const wsb_json_t *object, const char *key,
    wsb_json_t *value);

/*
 * The members of a validated object, walked through once for many look-ups:
 * points into the object's text.  Those beyond the first WSB_JSON_INDEX are
 * walked through at each look-up.
 */

#define WSB_JSON_INDEX            12

typedef struct {
    unsigned              n;
    wsb_json_t            key[WSB_JSON_INDEX];
    wsb_json_t            value[WSB_JSON_INDEX];
    wsb_json_walk_t       rest;
} wsb_json_index_t;

void wsb_json_index(wsb_json_index_t *index, const wsb_json_t *object);

/* As wsb_json_get(). */
wsb_rc_t wsb_json_find(const wsb_json_index_t *index, const char *key,
    wsb_json_t *value);

/* Is the decoded key this one?  Mostly the first byte says no. */

int wsb_json_key_same(const wsb_json_t *key, const char *name);

static inline int
wsb_json_key_is(const wsb_json_t *key, const char *name)
{
    uint8_t  c;

    c = key->text.data[1];

    return (c == (uint8_t) *name || c == '\\' || c == '"')
           && wsb_json_key_same(key, name);
}

/*
 * Decodes a validated string to UTF-8 at dst, which has room for
 * string->text.len bytes.  WSB_ERROR: an escaped NUL or a lone surrogate.
 */

wsb_rc_t wsb_json_decode(const wsb_json_t *string, uint8_t *dst, size_t *len);

/* Is this number a decimal integer, -?(0|[1-9][0-9]*), and not "-0"? */
int wsb_json_is_integer(const wsb_json_t *number);


/* What the parser and the walk share. */

wsb_json_type_t wsb_json_type(uint8_t c);

/* Are two valid strings, with their quotes, the same when decoded? */
int wsb_json_same(wsb_str_t a, wsb_str_t b);

/* The same for strings that are: only to save comparisons. */
uint32_t wsb_json_hash(wsb_str_t string);

/*
 * Decodes the valid escape at p to n bytes.  Returns what follows, or NULL:
 * an escaped NUL or a lone surrogate.
 */

const uint8_t *wsb_json_unescape(const uint8_t *p, const uint8_t *last,
    uint8_t dst[4], unsigned *n);

/* -1: these are not four hex digits. */
int wsb_json_hex4(const uint8_t *p, const uint8_t *last);


static inline const uint8_t *
wsb_json_space(const uint8_t *p, const uint8_t *last)
{
    while (p < last
           && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
    {
        p++;
    }

    return p;
}


#endif /* WSB_JSON_H */
