/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_where_build.h"

#include <stdio.h>


#define WSB_WHERE_UNKNOWN                                                    \
    "unknown operator, expected one of " WSB_WHERE_OPERATORS


static wsb_rc_t wsb_where_array(wsb_where_parser_t *ps,
    const wsb_json_t *array);
static wsb_rc_t wsb_where_element(wsb_where_parser_t *ps,
    const wsb_json_t *element);
static wsb_rc_t wsb_where_logic(wsb_where_parser_t *ps,
    const wsb_json_t *element, int *joined);
static wsb_rc_t wsb_where_get_operator(wsb_where_parser_t *ps,
    const wsb_json_t *element, wsb_where_op_t *op);
static wsb_rc_t wsb_where_values(wsb_where_parser_t *ps,
    const wsb_json_t *element, wsb_where_op_t op);
static wsb_rc_t wsb_where_scalar(wsb_where_parser_t *ps,
    const wsb_json_t *value, wsb_where_op_t op);
static wsb_rc_t wsb_where_string(wsb_where_parser_t *ps,
    const wsb_json_t *value, wsb_where_op_t op);
static wsb_rc_t wsb_where_column(wsb_where_parser_t *ps,
    const wsb_json_t *element);
static wsb_rc_t wsb_where_keys(wsb_where_parser_t *ps, uint8_t *p,
    size_t *len);
static int wsb_where_is_index(const uint8_t *p, size_t len);
static wsb_rc_t wsb_where_fail(wsb_where_parser_t *ps, const char *reason);


wsb_rc_t
wsb_where_parse(const wsb_json_t *value, wsb_where_t **where,
    wsb_where_error_t *err)
{
    wsb_rc_t             rc;
    wsb_where_parser_t   ps;

    *where = NULL;

    memset(&ps, 0, sizeof(wsb_where_parser_t));
    ps.err = err;

    rc = wsb_where_array(&ps, value);

    if (rc == WSB_OK && ps.element != 0) {
        rc = wsb_where_build_block(&ps, where);
    }

    wsb_text_done(&ps.values);
    wsb_text_done(&ps.conditions);
    wsb_text_done(&ps.groups);

    return rc;
}


static wsb_rc_t
wsb_where_array(wsb_where_parser_t *ps, const wsb_json_t *array)
{
    wsb_rc_t          rc;
    wsb_json_t        element;
    wsb_json_walk_t   walk;

    if (array->type != WSB_JSON_ARRAY) {
        snprintf(ps->err->text, sizeof(ps->err->text),
                 "where must be an array");
        return WSB_ERROR;
    }

    if (array->text.len > WSB_WHERE_TEXT) {
        snprintf(ps->err->text, sizeof(ps->err->text),
                 "where is longer than %d bytes", WSB_WHERE_TEXT);
        return WSB_ERROR;
    }

    wsb_json_enter(&walk, array);

    while (wsb_json_element(&walk, &element) == WSB_OK) {

        if (ps->element == WSB_WHERE_CONDITIONS) {
            snprintf(ps->err->text, sizeof(ps->err->text),
                     "where has more than %d conditions",
                     WSB_WHERE_CONDITIONS);
            return WSB_ERROR;
        }

        rc = wsb_where_element(ps, &element);

        if (rc == WSB_OK && wsb_where_build_failed(ps)) {
            rc = WSB_NOMEM;
        }

        if (rc != WSB_OK) {
            return rc;
        }

        ps->element++;
    }

    if (ps->element != 0) {
        wsb_where_build_group(ps);
    }

    return wsb_where_build_failed(ps) ? WSB_NOMEM : WSB_OK;
}


static wsb_rc_t
wsb_where_element(wsb_where_parser_t *ps, const wsb_json_t *element)
{
    int              joined;
    uint8_t          byte;
    unsigned         i;
    wsb_rc_t         rc;
    wsb_span_t       span;
    wsb_text_t      *t;
    wsb_where_op_t   op;

    if (element->type != WSB_JSON_OBJECT) {
        return wsb_where_fail(ps, "an object is expected");
    }

    op = WSB_WHERE_EQ;

    rc = wsb_where_get_operator(ps, element, &op);

    if (rc == WSB_OK) {
        rc = wsb_where_logic(ps, element, &joined);
    }

    if (rc == WSB_OK) {
        rc = wsb_where_values(ps, element, op);
    }

    if (rc != WSB_OK) {
        return rc;
    }

    if (!joined && ps->element != 0) {
        wsb_where_build_group(ps);
    }

    if (op == WSB_WHERE_IN && ps->nvalues == 1) {
        op = WSB_WHERE_EQ;
    }

    t = &ps->conditions;
    byte = op;

    span.offset = t->len;

    wsb_text_add(t, &byte, 1);

    rc = wsb_where_column(ps, element);

    if (rc != WSB_OK || wsb_where_build_failed(ps)) {
        return rc;
    }

    if (op == WSB_WHERE_IN) {
        wsb_where_build_add16(t, ps->nvalues);
    }

    for (i = 0; i < ps->nvalues; i++) {
        wsb_text_add(t, ps->values.data + ps->value[i].offset,
                     ps->value[i].len);
    }

    if (t->failed) {
        return WSB_NOMEM;
    }

    span.len = t->len - span.offset;

    /* without a value it is never true, which adds nothing to its group */

    if (ps->nvalues == 0
        || !wsb_where_build_insert(t, ps->condition, &ps->nconditions, span))
    {
        t->len = span.offset;
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_where_logic(wsb_where_parser_t *ps, const wsb_json_t *element,
    int *joined)
{
    size_t       i, len;
    uint8_t      word[24];                /* with each letter escaped */
    wsb_str_t    text;
    wsb_json_t   value;

    *joined = 0;

    if (wsb_json_get(element, "logic_operator", &value) != WSB_OK
        || value.type == WSB_JSON_NULL)
    {
        return WSB_OK;
    }

    if (value.type == WSB_JSON_STRING && value.text.len <= sizeof(word)
        && wsb_json_decode(&value, word, &len) == WSB_OK)
    {
        for (i = 0; i < len; i++) {
            word[i] |= word[i] >= 'A' && word[i] <= 'Z' ? 0x20 : 0;
        }

        text.data = word;
        text.len = len;

        *joined = wsb_str_eq(&text, "or");

        if (*joined || wsb_str_eq(&text, "and")) {
            return WSB_OK;
        }
    }

    return wsb_where_fail(ps, "logic_operator must be \"AND\" or \"OR\"");
}


static wsb_rc_t
wsb_where_get_operator(wsb_where_parser_t *ps, const wsb_json_t *element,
    wsb_where_op_t *op)
{
    size_t      len;
    uint8_t     name[64];
    wsb_str_t   text;
    wsb_json_t  value;

    if (wsb_json_get(element, "operator", &value) != WSB_OK) {
        return wsb_where_fail(ps, "missing operator");
    }

    if (value.type != WSB_JSON_STRING) {
        return wsb_where_fail(ps, "operator must be a string");
    }

    if (value.text.len > sizeof(name)
        || wsb_json_decode(&value, name, &len) != WSB_OK)
    {
        return wsb_where_fail(ps, WSB_WHERE_UNKNOWN);
    }

    text.data = name;
    text.len = len;

    *op = wsb_where_operator(text);

    return *op != WSB_WHERE_NEVER ? WSB_OK
                                  : wsb_where_fail(ps, WSB_WHERE_UNKNOWN);
}


static wsb_rc_t
wsb_where_values(wsb_where_parser_t *ps, const wsb_json_t *element,
    wsb_where_op_t op)
{
    unsigned          n;
    wsb_rc_t          rc;
    wsb_json_t        value, v;
    wsb_json_walk_t   walk;

    ps->values.len = 0;
    ps->nvalues = 0;

    if (wsb_json_get(element, "value", &value) != WSB_OK) {
        return wsb_where_fail(ps, "missing value");
    }

    if (op != WSB_WHERE_IN || value.type != WSB_JSON_ARRAY) {
        return wsb_where_scalar(ps, &value, op);
    }

    wsb_json_enter(&walk, &value);

    for (n = 0; wsb_json_element(&walk, &v) == WSB_OK; n++) {

        if (n == WSB_WHERE_VALUES) {
            return wsb_where_fail(ps, "more than 256 values");
        }

        rc = wsb_where_scalar(ps, &v, op);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    return WSB_OK;
}


/* Adds it to the sorted values, unless it is null or known. */

static wsb_rc_t
wsb_where_scalar(wsb_where_parser_t *ps, const wsb_json_t *value,
    wsb_where_op_t op)
{
    int           like;
    uint8_t       type;
    wsb_rc_t      rc;
    wsb_span_t    span;
    wsb_text_t   *t;

    like = op == WSB_WHERE_LIKE || op == WSB_WHERE_ILIKE;
    type = value->type;
    t = &ps->values;

    span.offset = t->len;

    wsb_text_add(t, &type, 1);
    wsb_where_build_add16(t, 0);

    rc = WSB_OK;

    switch (value->type) {

    case WSB_JSON_NULL:
        t->len = span.offset;
        return WSB_OK;

    case WSB_JSON_STRING:
        rc = wsb_where_string(ps, value, op);
        break;

    case WSB_JSON_NUMBER:
        if (!like) {
            wsb_value_number(t, value->text);
        }

        break;

    case WSB_JSON_FALSE:
    case WSB_JSON_TRUE:
        break;

    default:
        return wsb_where_fail(ps, op == WSB_WHERE_IN
                              ? "value must be a scalar, or an array of them"
                              : "value must be a scalar");
    }

    if (rc != WSB_OK || wsb_where_build_failed(ps)) {
        return rc;
    }

    if (like && value->type != WSB_JSON_STRING) {
        return wsb_where_fail(ps, "the pattern must be a string");
    }

    span.len = t->len - span.offset;

    if (like && span.len - 3 > WSB_WHERE_PATTERN) {
        return wsb_where_fail(ps, "the pattern is longer than 256 bytes");
    }

    wsb_where_build_set16(t, span.offset + 1, span.len - 3);

    if (!wsb_where_build_insert(t, ps->value, &ps->nvalues, span)) {
        t->len = span.offset;
    }

    return WSB_OK;
}


/* Behind its type and length. */

static wsb_rc_t
wsb_where_string(wsb_where_parser_t *ps, const wsb_json_t *value,
    wsb_where_op_t op)
{
    size_t      len;
    uint8_t    *p;
    wsb_str_t   text;

    p = wsb_text_reserve(&ps->values, value->text.len);

    if (p == NULL) {
        return WSB_NOMEM;
    }

    if (wsb_json_decode(value, p, &len) != WSB_OK) {
        return wsb_where_fail(ps, "value is no text");
    }

    text.data = p;
    text.len = len;

    if (op == WSB_WHERE_LIKE || op == WSB_WHERE_ILIKE) {
        len = wsb_like_compile(p, text, op == WSB_WHERE_ILIKE);

    } else if (wsb_value_is_number(text)) {
        p[-3] |= WSB_WHERE_NUMBER;
    }

    ps->values.len += len;

    return WSB_OK;
}


static wsb_rc_t
wsb_where_column(wsb_where_parser_t *ps, const wsb_json_t *element)
{
    size_t       len;
    uint8_t     *p;
    wsb_rc_t     rc;
    wsb_text_t  *t;
    wsb_json_t   value;

    if (wsb_json_get(element, "column", &value) != WSB_OK) {
        return wsb_where_fail(ps, "missing column");
    }

    if (value.type != WSB_JSON_STRING) {
        return wsb_where_fail(ps, "column must be a string");
    }

    t = &ps->conditions;

    /* its length, the keys, the last NUL */

    p = wsb_text_reserve(t, 2 + value.text.len + 1);

    if (p == NULL) {
        return WSB_NOMEM;
    }

    p += 2;

    if (wsb_json_decode(&value, p, &len) != WSB_OK) {
        return wsb_where_fail(ps, "column is no text");
    }

    if (len == 0) {
        return wsb_where_fail(ps, "column is empty");
    }

    /* where rows are in an event */

    if (len > 5 && memcmp(p, "data.", 5) == 0) {
        len -= 5;
        memmove(p, p + 5, len);
    }

    rc = wsb_where_keys(ps, p, &len);

    if (rc == WSB_OK) {
        t->len += 2 + len;
        wsb_where_build_set16(t, t->len - len - 2, len);
    }

    return rc;
}


/*
 * Each key with a NUL behind it, in place; what a backslash precedes belongs
 * to the key.  There is room for one byte more.
 */

static wsb_rc_t
wsb_where_keys(wsb_where_parser_t *ps, uint8_t *p, size_t *len)
{
    size_t    i, n, start, bracket;
    unsigned  depth;

    depth = 0;
    start = 0;
    bracket = 0;
    n = 0;

    for (i = 0; i <= *len; i++) {

        if (i < *len && p[i] == '\\' && i + 1 < *len) {
            p[n++] = p[++i];
            continue;
        }

        if (i < *len && p[i] != '.') {
            bracket = p[i] == '[' ? n + 1 : bracket;
            p[n++] = p[i];
            continue;
        }

        if (n == start) {
            return wsb_where_fail(ps, "column has an empty key");
        }

        if (bracket > start && wsb_where_is_index(p + bracket, n - bracket)) {
            return wsb_where_fail(ps, "arrays are not entered; a bracket "
                                      "in a key is written \\[");
        }

        if (++depth > WSB_WHERE_DEPTH) {
            return wsb_where_fail(ps, "column has more than 8 keys");
        }

        p[n++] = '\0';
        start = n;
    }

    *len = n;

    return WSB_OK;
}


/* What follows a bracket: "0]". */

static int
wsb_where_is_index(const uint8_t *p, size_t len)
{
    size_t  n;

    for (n = 0; n < len && p[n] >= '0' && p[n] <= '9'; n++) {
        /* void */
    }

    return n != 0 && n == len - 1 && p[n] == ']';
}


static wsb_rc_t
wsb_where_fail(wsb_where_parser_t *ps, const char *reason)
{
    ps->err->element = ps->element;

    snprintf(ps->err->text, sizeof(ps->err->text), "where[%u]: %s",
             ps->element, reason);

    return WSB_ERROR;
}
