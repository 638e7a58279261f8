#include "wsb_where.h"

#include <stdio.h>


#define WSB_WHERE_UNKNOWN                                                    \
    "unknown operator, expected one of " WSB_WHERE_OPERATORS


typedef struct {
    size_t                offset;
    size_t                len;
} wsb_span_t;


/*
 * Values, conditions and groups are collected as bytes, and each kind sorted,
 * before the next larger thing is made of them.  In a condition the column
 * is still a text here: columns are numbered when all is sorted.
 */

typedef struct {
    wsb_text_t            values;         /* of one condition */
    wsb_span_t            value[WSB_WHERE_VALUES];
    unsigned              nvalues;

    wsb_text_t            conditions;     /* of one group */
    wsb_span_t            condition[WSB_WHERE_CONDITIONS];
    unsigned              nconditions;

    wsb_text_t            groups;
    wsb_span_t            group[WSB_WHERE_CONDITIONS];
    unsigned              ngroups;

    unsigned              never;          /* a group has no condition */
    unsigned              element;        /* of the array */
    wsb_where_error_t    *err;
} wsb_where_parser_t;


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
static int wsb_where_insert(const wsb_text_t *t, wsb_span_t *spans,
    unsigned *n, wsb_span_t span);
static void wsb_where_end_group(wsb_where_parser_t *ps);
static wsb_rc_t wsb_where_block(wsb_where_parser_t *ps, wsb_where_t **where);
static void wsb_where_condition(wsb_text_t *t, wsb_text_t *paths,
    wsb_where_t *head, const uint8_t **pos);
static wsb_rc_t wsb_where_fail(wsb_where_parser_t *ps, const char *reason);



static inline void
wsb_where_add16(wsb_text_t *t, size_t n)
{
    uint8_t  buf[2] = { n & 0xff, n >> 8 & 0xff };

    wsb_text_add(t, buf, 2);
}


static inline void
wsb_where_set16(wsb_text_t *t, size_t offset, size_t n)
{
    if (!t->failed) {
        t->data[offset] = n & 0xff;
        t->data[offset + 1] = n >> 8 & 0xff;
    }
}


static inline int
wsb_where_failed(const wsb_where_parser_t *ps)
{
    return ps->values.failed || ps->conditions.failed || ps->groups.failed;
}


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
        rc = wsb_where_block(&ps, where);
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

        if (rc == WSB_OK && wsb_where_failed(ps)) {
            rc = WSB_NOMEM;
        }

        if (rc != WSB_OK) {
            return rc;
        }

        ps->element++;
    }

    if (ps->element != 0) {
        wsb_where_end_group(ps);
    }

    return wsb_where_failed(ps) ? WSB_NOMEM : WSB_OK;
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
        wsb_where_end_group(ps);
    }

    if (op == WSB_WHERE_IN && ps->nvalues == 1) {
        op = WSB_WHERE_EQ;
    }

    t = &ps->conditions;
    byte = op;

    span.offset = t->len;

    wsb_text_add(t, &byte, 1);

    rc = wsb_where_column(ps, element);

    if (rc != WSB_OK || wsb_where_failed(ps)) {
        return rc;
    }

    if (op == WSB_WHERE_IN) {
        wsb_where_add16(t, ps->nvalues);
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
        || !wsb_where_insert(t, ps->condition, &ps->nconditions, span))
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
    wsb_where_add16(t, 0);

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

    if (rc != WSB_OK || wsb_where_failed(ps)) {
        return rc;
    }

    if (like && value->type != WSB_JSON_STRING) {
        return wsb_where_fail(ps, "the pattern must be a string");
    }

    span.len = t->len - span.offset;

    if (like && span.len - 3 > WSB_WHERE_PATTERN) {
        return wsb_where_fail(ps, "the pattern is longer than 256 bytes");
    }

    wsb_where_set16(t, span.offset + 1, span.len - 3);

    if (!wsb_where_insert(t, ps->value, &ps->nvalues, span)) {
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
        wsb_where_set16(t, t->len - len - 2, len);
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


/* Where it belongs in the sorted spans; 0: it is among them. */

static int
wsb_where_insert(const wsb_text_t *t, wsb_span_t *spans, unsigned *n,
    wsb_span_t span)
{
    int       order;
    size_t    len;
    unsigned  low, high, mid;

    low = 0;
    high = *n;

    while (low < high) {
        mid = (low + high) / 2;

        len = spans[mid].len < span.len ? spans[mid].len : span.len;
        order = memcmp(t->data + spans[mid].offset, t->data + span.offset,
                       len);

        if (order == 0 && spans[mid].len == span.len) {
            return 0;
        }

        if (order < 0 || (order == 0 && spans[mid].len < span.len)) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    memmove(&spans[low + 1], &spans[low], (*n - low) * sizeof(wsb_span_t));

    spans[low] = span;
    ++*n;

    return 1;
}


static void
wsb_where_end_group(wsb_where_parser_t *ps)
{
    unsigned      i;
    wsb_span_t    span;
    wsb_text_t   *t;

    t = &ps->groups;
    span.offset = t->len;

    if (ps->nconditions == 0) {
        ps->never = 1;
        return;
    }

    for (i = 0; i < ps->nconditions; i++) {
        span.len = t->len;

        wsb_text_add(t, ps->conditions.data + ps->condition[i].offset,
                     ps->condition[i].len);

        if (t->failed) {
            return;
        }

        if (i > 0) {
            t->data[span.len] |= WSB_WHERE_JOINED;
        }
    }

    span.len = t->len - span.offset;

    if (!wsb_where_insert(t, ps->group, &ps->ngroups, span)) {
        t->len = span.offset;
    }

    ps->conditions.len = 0;
    ps->nconditions = 0;
}


static wsb_rc_t
wsb_where_block(wsb_where_parser_t *ps, wsb_where_t **where)
{
    unsigned        i;
    wsb_text_t      t, paths;
    wsb_where_t     head;
    const uint8_t  *p, *last;

    static const uint8_t  never = WSB_WHERE_NEVER;

    memset(&t, 0, sizeof(wsb_text_t));
    memset(&paths, 0, sizeof(wsb_text_t));
    memset(&head, 0, sizeof(wsb_where_t));

    if (ps->never) {
        ps->ngroups = 0;
        head.nconditions = 1;
        wsb_text_add(&t, &never, 1);
    }

    for (i = 0; i < ps->ngroups; i++) {
        p = ps->groups.data + ps->group[i].offset;
        last = p + ps->group[i].len;

        while (p < last) {
            wsb_where_condition(&t, &paths, &head, &p);
        }
    }

    if (!t.failed && !paths.failed) {
        head.len = t.len;
        head.size = sizeof(wsb_where_t) + t.len + paths.len;

        *where = wsb_malloc(head.size);
    }

    if (*where != NULL) {
        memcpy(*where, &head, sizeof(wsb_where_t));
        memcpy((*where)->bytes, t.data, t.len);

        if (paths.len != 0) {
            memcpy((*where)->bytes + t.len, paths.data, paths.len);
        }
    }

    wsb_text_done(&t);
    wsb_text_done(&paths);

    return *where != NULL ? WSB_OK : WSB_NOMEM;
}


/* Adds the one at *pos, with the number of its column. */

static void
wsb_where_condition(wsb_text_t *t, wsb_text_t *paths, wsb_where_t *head,
    const uint8_t **pos)
{
    uint8_t         code[2];
    unsigned        n;
    wsb_str_t       path;
    const uint8_t  *p, *values;

    p = *pos;

    path.data = p + 3;
    path.len = wsb_where_get16(p + 1);

    code[0] = p[0];
    code[1] = wsb_where_number(head, paths, path);

    values = path.data + path.len;
    p = values;
    n = 1;

    if ((code[0] & WSB_WHERE_OP) == WSB_WHERE_IN) {
        n = wsb_where_get16(p);
        p += 2;
    }

    *pos = wsb_where_skip(p, n);

    wsb_text_add(t, code, 2);
    wsb_text_add(t, values, *pos - values);

    head->nconditions++;
}


static wsb_rc_t
wsb_where_fail(wsb_where_parser_t *ps, const char *reason)
{
    ps->err->element = ps->element;

    snprintf(ps->err->text, sizeof(ps->err->text), "where[%u]: %s",
             ps->element, reason);

    return WSB_ERROR;
}
