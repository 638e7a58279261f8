/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Options of a request, read.
 */

#include "wsb_rest.h"

#include <stdarg.h>
#include <stdio.h>


typedef struct {
    wsb_rest_t           *rest;
    uint8_t              *pos;            /* in its memory */
    const char           *filters;        /* what they are called */
    wsb_rest_error_t     *err;
} wsb_rest_read_t;


static wsb_rc_t wsb_rest_filters(wsb_rest_read_t *read,
    const wsb_json_t *filters);
static wsb_rc_t wsb_rest_members(wsb_rest_read_t *read,
    const wsb_json_t *options);
static wsb_rc_t wsb_rest_filter(wsb_rest_read_t *read, unsigned i,
    const wsb_json_t *filter);
static unsigned wsb_rest_count(const wsb_json_t *array);
static wsb_rc_t wsb_rest_columns(wsb_rest_read_t *read,
    const wsb_json_t *columns);
static wsb_rc_t wsb_rest_sorts(wsb_rest_read_t *read,
    const wsb_json_t *sorts);
static wsb_rc_t wsb_rest_number(wsb_rest_read_t *read, const char *name,
    const wsb_json_t *value, uint64_t *n);
static wsb_rc_t wsb_rest_string(wsb_rest_read_t *read, const char *where,
    const wsb_json_t *value, wsb_str_t *s);
static uint8_t wsb_rest_fold(uint8_t c);
static wsb_rc_t wsb_rest_fail(wsb_rest_read_t *read, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


wsb_rc_t
wsb_rest_options(wsb_rest_t *rest, const wsb_json_t *options,
    wsb_rest_error_t *err)
{
    wsb_json_t  none;

    memset(&none, 0, sizeof(wsb_json_t));

    return wsb_rest_select(rest, options, &none, err);
}


wsb_rc_t
wsb_rest_select(wsb_rest_t *rest, const wsb_json_t *options,
    const wsb_json_t *where, wsb_rest_error_t *err)
{
    size_t           size;
    wsb_rc_t         rc;
    wsb_rest_read_t  read;

    /* what is counted is set, the rest of it is never looked at */

    rest->nfilters = 0;
    rest->ncolumns = 0;
    rest->nsorts = 0;
    rest->memory = NULL;

    rest->limit = WSB_REST_NONE;
    rest->offset = WSB_REST_NONE;

    read.rest = rest;
    read.err = err;

    size = 0;

    if (options->type != WSB_JSON_NULL) {

        if (options->type != WSB_JSON_OBJECT) {
            return wsb_rest_fail(&read, "options must be an object");
        }

        size += options->text.len;
    }

    if (where->type != WSB_JSON_NULL) {
        size += where->text.len;
    }

    if (size == 0) {
        return WSB_OK;
    }

    rest->memory = wsb_malloc(size);
    if (rest->memory == NULL) {
        return WSB_NOMEM;
    }

    read.pos = rest->memory;
    rc = WSB_OK;

    if (where->type != WSB_JSON_NULL) {
        read.filters = "where";
        rc = wsb_rest_filters(&read, where);
    }

    if (rc == WSB_OK && options->type != WSB_JSON_NULL) {
        read.filters = "options.filters";
        rc = wsb_rest_members(&read, options);
    }

    return rc;
}


static wsb_rc_t
wsb_rest_members(wsb_rest_read_t *read, const wsb_json_t *options)
{
    wsb_rc_t         rc;
    wsb_json_t       key, value;
    wsb_rest_t      *rest;
    wsb_json_walk_t  walk;

    rest = read->rest;
    rc = WSB_OK;

    wsb_json_enter(&walk, options);

    while (rc == WSB_OK && wsb_json_member(&walk, &key, &value) == WSB_OK) {

        if (value.type == WSB_JSON_NULL) {
            continue;
        }

        if (wsb_json_key_is(&key, "filters")) {
            rc = wsb_rest_filters(read, &value);

        } else if (wsb_json_key_is(&key, "columns")) {
            rc = wsb_rest_columns(read, &value);

        } else if (wsb_json_key_is(&key, "sort")) {
            rc = wsb_rest_sorts(read, &value);

        } else if (wsb_json_key_is(&key, "limit")) {
            rc = wsb_rest_number(read, "limit", &value, &rest->limit);

        } else if (wsb_json_key_is(&key, "offset")) {
            rc = wsb_rest_number(read, "offset", &value, &rest->offset);
        }
    }

    return rc;
}


void
wsb_rest_done(wsb_rest_t *rest)
{
    wsb_free(rest->memory);
    rest->memory = NULL;
}


static wsb_rc_t
wsb_rest_filters(wsb_rest_read_t *read, const wsb_json_t *filters)
{
    wsb_rc_t         rc;
    unsigned         i;
    wsb_json_t       filter;
    wsb_json_walk_t  walk;

    if (filters->type != WSB_JSON_ARRAY) {
        return wsb_rest_fail(read, "%s must be an array",
                             read->filters);
    }

    wsb_json_enter(&walk, filters);

    for (i = 0; wsb_json_element(&walk, &filter) == WSB_OK; i++) {

        if (read->rest->nfilters == WSB_REST_FILTERS) {
            return wsb_rest_fail(read, "%s has more than %u "
                                 "conditions", read->filters,
                                 WSB_REST_FILTERS);
        }

        rc = wsb_rest_filter(read, i, &filter);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_rest_filter(wsb_rest_read_t *read, unsigned i, const wsb_json_t *filter)
{
    char                where[48];
    wsb_rc_t            rc;
    wsb_str_t           name;
    wsb_json_t          column, op, logic;
    wsb_rest_filter_t  *f;

    f = &read->rest->filter[read->rest->nfilters];

    memset(f, 0, sizeof(wsb_rest_filter_t));

    if (filter->type != WSB_JSON_OBJECT
        || wsb_json_get(filter, "column", &column) != WSB_OK
        || wsb_json_get(filter, "operator", &op) != WSB_OK
        || wsb_json_get(filter, "value", &f->value) != WSB_OK)
    {
        return wsb_rest_fail(read, "%s[%u] must have column, "
                             "operator and value", read->filters, i);
    }

    (void) snprintf(where, sizeof(where), "%s[%u].column", read->filters, i);

    rc = wsb_rest_string(read, where, &column, &f->column);

    if (rc == WSB_OK) {
        (void) snprintf(where, sizeof(where), "%s[%u].operator",
                        read->filters, i);
        rc = wsb_rest_string(read, where, &op, &name);
    }

    if (rc != WSB_OK) {
        return rc;
    }

    f->op = wsb_where_operator(name);

    if (f->op == WSB_WHERE_NEVER) {
        return wsb_rest_fail(read, "%s[%u]: unknown operator; "
                             "there are eq, neq, gt, gte, lt, lte, like, "
                             "ilike, in", read->filters, i);
    }

    if (wsb_json_get(filter, "logic_operator", &logic) == WSB_OK
        && logic.type == WSB_JSON_STRING)
    {
        (void) snprintf(where, sizeof(where),
                        "%s[%u].logic_operator", read->filters, i);

        rc = wsb_rest_string(read, where, &logic, &name);

        if (rc != WSB_OK) {
            return rc;
        }

        f->joined = name.len == 2 && (name.data[0] | 0x20) == 'o'
                    && (name.data[1] | 0x20) == 'r'
                    && read->rest->nfilters != 0;
    }

    if (f->value.type == WSB_JSON_OBJECT
        || (f->value.type == WSB_JSON_ARRAY && f->op != WSB_WHERE_IN)
        || f->value.type == WSB_JSON_NULL)
    {
        return wsb_rest_fail(read, "%s[%u].value must be a "
                             "string, a number, true or false%s",
                             read->filters, i,
                             f->op == WSB_WHERE_IN ? ", or an array of them"
                                                   : "");
    }

    if ((f->op == WSB_WHERE_LIKE || f->op == WSB_WHERE_ILIKE)
        && f->value.type != WSB_JSON_STRING)
    {
        return wsb_rest_fail(read, "%s[%u].value must be a "
                             "string", read->filters, i);
    }

    if (f->value.type == WSB_JSON_ARRAY
        && wsb_rest_count(&f->value) > WSB_REST_VALUES)
    {
        return wsb_rest_fail(read, "%s[%u].value has more than "
                             "%u values", read->filters, i, WSB_REST_VALUES);
    }

    read->rest->nfilters++;

    return WSB_OK;
}


static unsigned
wsb_rest_count(const wsb_json_t *array)
{
    unsigned         n;
    wsb_json_t       value;
    wsb_json_walk_t  walk;

    wsb_json_enter(&walk, array);

    for (n = 0; n <= WSB_REST_VALUES; n++) {
        if (wsb_json_element(&walk, &value) != WSB_OK) {
            break;
        }
    }

    return n;
}


static wsb_rc_t
wsb_rest_columns(wsb_rest_read_t *read, const wsb_json_t *columns)
{
    wsb_rc_t         rc;
    wsb_rest_t      *rest;
    wsb_json_t       column;
    wsb_json_walk_t  walk;

    rest = read->rest;

    if (columns->type != WSB_JSON_ARRAY) {
        return wsb_rest_fail(read, "options.columns must be an array");
    }

    wsb_json_enter(&walk, columns);

    while (wsb_json_element(&walk, &column) == WSB_OK) {

        if (rest->ncolumns == WSB_REST_COLUMNS) {
            return wsb_rest_fail(read, "options.columns has more than %u",
                                 WSB_REST_COLUMNS);
        }

        rc = wsb_rest_string(read, "options.columns", &column,
                             &rest->column[rest->ncolumns]);
        if (rc != WSB_OK) {
            return rc;
        }

        rest->ncolumns++;
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_rest_sorts(wsb_rest_read_t *read, const wsb_json_t *sorts)
{
    wsb_rc_t          rc;
    wsb_str_t         direction;
    wsb_rest_t       *rest;
    wsb_json_t        item, column, desc;
    wsb_rest_sort_t  *sort;
    wsb_json_walk_t   walk;

    rest = read->rest;

    if (sorts->type != WSB_JSON_ARRAY) {
        return wsb_rest_fail(read, "options.sort must be an array");
    }

    wsb_json_enter(&walk, sorts);

    while (wsb_json_element(&walk, &item) == WSB_OK) {

        if (rest->nsorts == WSB_REST_SORTS) {
            return wsb_rest_fail(read, "options.sort has more than %u",
                                 WSB_REST_SORTS);
        }

        if (item.type != WSB_JSON_OBJECT
            || wsb_json_get(&item, "column", &column) != WSB_OK)
        {
            return wsb_rest_fail(read, "options.sort must hold objects with "
                                 "column and direction");
        }

        sort = &rest->sort[rest->nsorts];

        memset(sort, 0, sizeof(wsb_rest_sort_t));

        rc = wsb_rest_string(read, "options.sort", &column, &sort->column);
        if (rc != WSB_OK) {
            return rc;
        }

        /* exactly "desc", in any case, is descending */

        if (wsb_json_get(&item, "direction", &desc) == WSB_OK
            && desc.type == WSB_JSON_STRING)
        {
            rc = wsb_rest_string(read, "options.sort", &desc, &direction);
            if (rc != WSB_OK) {
                return rc;
            }

            sort->desc = direction.len == 4
                         && (direction.data[0] | 0x20) == 'd'
                         && (direction.data[1] | 0x20) == 'e'
                         && (direction.data[2] | 0x20) == 's'
                         && (direction.data[3] | 0x20) == 'c';
        }

        rest->nsorts++;
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_rest_number(wsb_rest_read_t *read, const char *name,
    const wsb_json_t *value, uint64_t *n)
{
    size_t  i;

    if (value->type != WSB_JSON_NUMBER || !wsb_json_is_integer(value)
        || value->text.data[0] == '-' || value->text.len > 15)
    {
        return wsb_rest_fail(read, "options.%s must be a whole number", name);
    }

    *n = 0;

    for (i = 0; i < value->text.len; i++) {
        *n = *n * 10 + (value->text.data[i] - '0');
    }

    return WSB_OK;
}


/* A name: it has at least one byte, and no more than a column may have. */

static wsb_rc_t
wsb_rest_string(wsb_rest_read_t *read, const char *where,
    const wsb_json_t *value, wsb_str_t *s)
{
    size_t  i;

    if (value->type != WSB_JSON_STRING
        || wsb_json_decode(value, read->pos, &s->len) != WSB_OK
        || s->len == 0 || s->len > WSB_REST_NAME)
    {
        return wsb_rest_fail(read, "%s must be a string of 1 to %u bytes",
                             where, WSB_REST_NAME);
    }

    s->data = read->pos;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < 0x20 || s->data[i] == 0x7f) {
            return wsb_rest_fail(read, "%s has a control character", where);
        }
    }

    read->pos += s->len;

    return WSB_OK;
}


wsb_rc_t
wsb_rest_force(wsb_rest_t *rest, const wsb_forced_t *forced,
    wsb_rest_error_t *err)
{
    unsigned            i;
    wsb_str_t           column;
    wsb_rest_filter_t  *f;

    column = forced->field;

    if (column.len > 5 && memcmp(column.data, "data.", 5) == 0) {
        column.data += 5;
        column.len -= 5;
    }

    for (i = 0; i < rest->nfilters; i++) {
        f = &rest->filter[i];

        if (!f->forced && wsb_rest_same(f->column, column)) {
            err->style = 0;
            (void) snprintf(err->text, sizeof(err->text),
                            "options.filters[%u] is on a column that this "
                            "server restricts", i);
            return WSB_CONFLICT;
        }
    }

    f = &rest->filter[rest->nfilters++];

    memset(f, 0, sizeof(wsb_rest_filter_t));

    f->column = column;
    f->op = wsb_where_operator(forced->op);
    f->text = forced->value;
    f->forced = 1;

    return WSB_OK;
}


/*
 * Some backends take no notice of case, and PHP makes an underscore of a dot
 * and of a blank: what might be one column there is one here.
 */

int
wsb_rest_same(wsb_str_t a, wsb_str_t b)
{
    size_t  i;

    if (a.len != b.len) {
        return 0;
    }

    for (i = 0; i < a.len; i++) {
        if (wsb_rest_fold(a.data[i]) != wsb_rest_fold(b.data[i])) {
            return 0;
        }
    }

    return 1;
}


static uint8_t
wsb_rest_fold(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c | 0x20;
    }

    return c == '.' || c == ' ' || c == '-' ? '_' : c;
}


uint64_t
wsb_rest_total(wsb_str_t content_range, wsb_str_t total_count)
{
    size_t     i;
    uint64_t   n;
    wsb_str_t  s;

    s = total_count;

    for (i = content_range.len; i > 0; i--) {
        if (content_range.data[i - 1] == '/') {
            s.data = content_range.data + i;
            s.len = content_range.len - i;
            break;
        }
    }

    if (s.len == 0 || s.len > 15) {
        return WSB_REST_NONE;
    }

    n = 0;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return WSB_REST_NONE;
        }

        n = n * 10 + (s.data[i] - '0');
    }

    return n;
}


static wsb_rc_t
wsb_rest_fail(wsb_rest_read_t *read, const char *fmt, ...)
{
    va_list  args;

    read->err->style = 0;

    va_start(args, fmt);
    (void) vsnprintf(read->err->text, sizeof(read->err->text), fmt, args);
    va_end(args);

    return WSB_ERROR;
}
