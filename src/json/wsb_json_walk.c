/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_json.h"
#include "wsb_text.h"


/* The decoded bytes of a string, one by one. */

typedef struct {
    const uint8_t        *pos;
    const uint8_t        *last;
    uint8_t               buf[4];
    unsigned              i;
    unsigned              n;
} wsb_json_bytes_t;


static const uint8_t *wsb_json_skip(const uint8_t *p, const uint8_t *last);
static const uint8_t *wsb_json_skip_string(const uint8_t *p,
    const uint8_t *last);
static void wsb_json_bytes(wsb_json_bytes_t *b, wsb_str_t string);
static int wsb_json_byte(wsb_json_bytes_t *b);


void
wsb_json_enter(wsb_json_walk_t *walk, const wsb_json_t *container)
{
    walk->pos = container->text.data + 1;
    walk->last = container->text.data + container->text.len - 1;
}


wsb_rc_t
wsb_json_element(wsb_json_walk_t *walk, wsb_json_t *value)
{
    const uint8_t  *p;

    p = wsb_json_space(walk->pos, walk->last);

    if (p < walk->last && *p == ',') {
        p = wsb_json_space(p + 1, walk->last);
    }

    if (p >= walk->last) {
        return WSB_DONE;
    }

    walk->pos = wsb_json_skip(p, walk->last);

    value->type = wsb_json_type(*p);
    value->text.data = p;
    value->text.len = walk->pos - p;

    return WSB_OK;
}


wsb_rc_t
wsb_json_member(wsb_json_walk_t *walk, wsb_json_t *key, wsb_json_t *value)
{
    if (wsb_json_element(walk, key) != WSB_OK) {
        return WSB_DONE;
    }

    walk->pos = wsb_json_space(walk->pos, walk->last) + 1;

    return wsb_json_element(walk, value);
}


wsb_rc_t
wsb_json_get(const wsb_json_t *object, const char *key, wsb_json_t *value)
{
    wsb_json_t       name;
    wsb_json_walk_t  walk;

    wsb_json_enter(&walk, object);

    while (wsb_json_member(&walk, &name, value) == WSB_OK) {
        if (wsb_json_key_is(&name, key)) {
            return WSB_OK;
        }
    }

    return WSB_NOTFOUND;
}


void
wsb_json_index(wsb_json_index_t *index, const wsb_json_t *object)
{
    index->n = 0;

    wsb_json_enter(&index->rest, object);

    while (index->n < WSB_JSON_INDEX
           && wsb_json_member(&index->rest, &index->key[index->n],
                              &index->value[index->n])
              == WSB_OK)
    {
        index->n++;
    }
}


wsb_rc_t
wsb_json_find(const wsb_json_index_t *index, const char *key,
    wsb_json_t *value)
{
    unsigned         i;
    wsb_json_t       name;
    wsb_json_walk_t  walk;

    for (i = 0; i < index->n; i++) {
        if (wsb_json_key_is(&index->key[i], key)) {
            *value = index->value[i];
            return WSB_OK;
        }
    }

    walk = index->rest;

    while (wsb_json_member(&walk, &name, value) == WSB_OK) {
        if (wsb_json_key_is(&name, key)) {
            return WSB_OK;
        }
    }

    return WSB_NOTFOUND;
}


int
wsb_json_key_same(const wsb_json_t *key, const char *name)
{
    int               c;
    size_t            len;
    wsb_json_bytes_t  bytes;

    /* mostly nothing is escaped */

    len = key->text.len - 2;

    if (memchr(key->text.data + 1, '\\', len) == NULL) {
        return strlen(name) == len
               && memcmp(key->text.data + 1, name, len) == 0;
    }

    wsb_json_bytes(&bytes, key->text);

    while (bytes.pos < bytes.last && *bytes.pos != '\\') {
        if (*bytes.pos++ != (uint8_t) *name++) {
            return 0;
        }
    }

    do {
        c = wsb_json_byte(&bytes);

        if (c == -1) {
            return *name == '\0';
        }

    } while (c == (uint8_t) *name++);

    return 0;
}


wsb_rc_t
wsb_json_decode(const wsb_json_t *string, uint8_t *dst, size_t *len)
{
    uint8_t        *d;
    unsigned        n;
    const uint8_t  *p, *last, *slash;

    d = dst;
    p = string->text.data + 1;
    last = p + string->text.len - 2;

    while (p < last) {
        slash = memchr(p, '\\', last - p);

        if (slash == NULL) {
            slash = last;
        }

        memcpy(d, p, slash - p);
        d += slash - p;
        p = slash;

        if (p < last) {
            p = wsb_json_unescape(p, last, d, &n);

            if (p == NULL) {
                return WSB_ERROR;
            }

            d += n;
        }
    }

    *len = d - dst;

    return WSB_OK;
}


int
wsb_json_is_integer(const wsb_json_t *number)
{
    const uint8_t  *p, *last;

    p = number->text.data;
    last = p + number->text.len;

    if (number->type != WSB_JSON_NUMBER || wsb_str_eq(&number->text, "-0")) {
        return 0;
    }

    if (*p == '-') {
        p++;
    }

    while (p < last && *p >= '0' && *p <= '9') {
        p++;
    }

    return p == last;
}


int
wsb_json_same(wsb_str_t a, wsb_str_t b)
{
    int               c;
    wsb_json_bytes_t  x, y;

    if (a.len == b.len && memcmp(a.data, b.data, a.len) == 0) {
        return 1;
    }

    if (memchr(a.data, '\\', a.len) == NULL
        && memchr(b.data, '\\', b.len) == NULL)
    {
        return 0;
    }

    wsb_json_bytes(&x, a);
    wsb_json_bytes(&y, b);

    do {
        c = wsb_json_byte(&x);

        if (c != wsb_json_byte(&y)) {
            return 0;
        }

    } while (c >= 0);

    return c == -1;
}


wsb_json_type_t
wsb_json_type(uint8_t c)
{
    switch (c) {

    case '{':
        return WSB_JSON_OBJECT;

    case '[':
        return WSB_JSON_ARRAY;

    case '"':
        return WSB_JSON_STRING;

    case 't':
        return WSB_JSON_TRUE;

    case 'f':
        return WSB_JSON_FALSE;

    case 'n':
        return WSB_JSON_NULL;

    default:
        return WSB_JSON_NUMBER;
    }
}


static const uint8_t *
wsb_json_skip(const uint8_t *p, const uint8_t *last)
{
    unsigned  depth;

    if (*p != '{' && *p != '[') {

        if (*p == '"') {
            return wsb_json_skip_string(p, last);
        }

        while (p < last && *p != ',' && *p != ' ' && *p > 0x1f
               && *p != ']' && *p != '}')
        {
            p++;
        }

        return p;
    }

    depth = 0;

    do {
        switch (*p) {

        case '"':
            p = wsb_json_skip_string(p, last);
            continue;

        case '{':
        case '[':
            depth++;
            break;

        case '}':
        case ']':
            depth--;
            break;
        }

        p++;

    } while (depth > 0 && p < last);

    return p;
}


static const uint8_t *
wsb_json_skip_string(const uint8_t *p, const uint8_t *last)
{
    p++;

    while (p < last) {
        p = wsb_text_plain(p, last);

        if (p < last) {
            if (*p == '"') {
                return p + 1;
            }

            p += *p == '\\' ? 2 : 1;
        }
    }

    return last;
}


uint32_t
wsb_json_hash(wsb_str_t string)
{
    uint8_t         buf[4];
    uint32_t        hash;
    unsigned        i, n;
    const uint8_t  *p, *last;

    p = string.data + 1;
    last = string.data + string.len - 1;
    hash = 2166136261;

    while (p != NULL && p < last) {

        if (*p != '\\') {
            hash = (hash ^ *p++) * 16777619;
            continue;
        }

        p = wsb_json_unescape(p, last, buf, &n);

        for (i = 0; p != NULL && i < n; i++) {
            hash = (hash ^ buf[i]) * 16777619;
        }
    }

    return hash;
}


static void
wsb_json_bytes(wsb_json_bytes_t *b, wsb_str_t string)
{
    b->pos = string.data + 1;
    b->last = string.data + string.len - 1;
    b->i = 0;
    b->n = 0;
}


/* -1: the end, -2: something that has no UTF-8, and nothing follows. */

static int
wsb_json_byte(wsb_json_bytes_t *b)
{
    const uint8_t  *p;

    if (b->i < b->n) {
        return b->buf[b->i++];
    }

    if (b->pos >= b->last) {
        return -1;
    }

    if (*b->pos != '\\') {
        return *b->pos++;
    }

    p = wsb_json_unescape(b->pos, b->last, b->buf, &b->n);

    if (p == NULL) {
        return -2;
    }

    b->pos = p;
    b->i = 1;

    return b->buf[0];
}


const uint8_t *
wsb_json_unescape(const uint8_t *p, const uint8_t *last, uint8_t dst[4],
    unsigned *n)
{
    int          low;
    uint32_t     c;
    const char  *e;

    static const char  from[] = "bfnrt";
    static const char  to[] = "\b\f\n\r\t";

    *n = 1;

    if (p[1] != 'u') {
        e = strchr(from, p[1]);
        dst[0] = e == NULL ? p[1] : to[e - from];
        return p + 2;
    }

    c = wsb_json_hex4(p + 2, last);
    p += 6;

    if (c == 0) {
        return NULL;
    }

    if (c >= 0xd800 && c <= 0xdfff) {

        if (c >= 0xdc00 || last - p < 6 || p[0] != '\\' || p[1] != 'u') {
            return NULL;
        }

        low = wsb_json_hex4(p + 2, last);

        if (low < 0xdc00 || low > 0xdfff) {
            return NULL;
        }

        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }

    if (c < 0x80) {
        dst[0] = c;

    } else if (c < 0x800) {
        dst[0] = 0xc0 | c >> 6;
        dst[1] = 0x80 | (c & 0x3f);
        *n = 2;

    } else if (c < 0x10000) {
        dst[0] = 0xe0 | c >> 12;
        dst[1] = 0x80 | (c >> 6 & 0x3f);
        dst[2] = 0x80 | (c & 0x3f);
        *n = 3;

    } else {
        dst[0] = 0xf0 | c >> 18;
        dst[1] = 0x80 | (c >> 12 & 0x3f);
        dst[2] = 0x80 | (c >> 6 & 0x3f);
        dst[3] = 0x80 | (c & 0x3f);
        *n = 4;
    }

    return p;
}


int
wsb_json_hex4(const uint8_t *p, const uint8_t *last)
{
    int       c;
    unsigned  i;

    if (last - p < 4) {
        return -1;
    }

    c = 0;

    for (i = 0; i < 4; i++) {

        if (p[i] >= '0' && p[i] <= '9') {
            c = c << 4 | (p[i] - '0');

        } else if ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f') {
            c = c << 4 | ((p[i] | 0x20) - 'a' + 10);

        } else {
            return -1;
        }
    }

    return c;
}
