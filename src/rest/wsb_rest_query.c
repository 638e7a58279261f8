/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Options of a request, written as a query in the backend's style.
 */

#include "wsb_rest_write.h"

#include <stdarg.h>
#include <stdio.h>


static wsb_rc_t wsb_rest_id(wsb_rest_write_t *w, wsb_str_t id,
    wsb_text_t *path);
static wsb_rc_t wsb_rest_write(wsb_rest_write_t *w);
static wsb_rc_t wsb_rest_write_plain(wsb_rest_write_t *w, unsigned i);
static wsb_rc_t wsb_rest_write_rest(wsb_rest_write_t *w);
static int wsb_rest_column(const wsb_rest_write_t *w, wsb_str_t name);


static const char *const  wsb_rest_names[] = { "rest", "postgrest",
                                               "json-server" };

const char *const  wsb_rest_ops[] = {
    "", "eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "in"
};


wsb_rc_t
wsb_rest_query(const wsb_rest_t *rest, wsb_rest_style_t style, wsb_str_t id,
    wsb_text_t *path, wsb_text_t *args, wsb_rest_error_t *err)
{
    wsb_rc_t          rc;
    wsb_rest_write_t  w;

    memset(&w, 0, sizeof(wsb_rest_write_t));

    w.rest = rest;
    w.style = style;
    w.args = args;
    w.err = err;

    rc = id.data != NULL ? wsb_rest_id(&w, id, path) : WSB_OK;

    if (rc == WSB_OK) {
        rc = wsb_rest_write(&w);
    }

    if (w.value.failed || path->failed || args->failed) {
        rc = WSB_NOMEM;
    }

    wsb_text_done(&w.value);

    return rc;
}


/* A record_id that no style can carry: the style is not to blame. */

static wsb_rc_t
wsb_rest_bad_id(wsb_rest_write_t *w, const char *text)
{
    w->err->style = 0;
    (void) snprintf(w->err->text, sizeof(w->err->text), "%s", text);

    return WSB_ERROR;
}


/*
 * nginx decodes a path and collapses it: what would not be there afterwards
 * as it was sent is refused; so is what some servers take for the end of a
 * segment, since nginx sends it on as it is.
 */

static wsb_rc_t
wsb_rest_id(wsb_rest_write_t *w, wsb_str_t id, wsb_text_t *path)
{
    size_t  i;

    if (id.len == 0 || id.len > WSB_REST_ID || !wsb_text_valid(id)) {
        return wsb_rest_bad_id(w, "record_id must have 1 to 256 bytes of "
                               "text");
    }

    for (i = 0; i < id.len; i++) {
        if (id.data[i] < 0x20 || id.data[i] == 0x7f) {
            return wsb_rest_bad_id(w, "record_id has a control character");
        }
    }

    if (w->style == WSB_REST_POSTGREST) {
        wsb_rest_begin(w->args);
        wsb_text_lit(w->args, "id=eq.");
        wsb_rest_encode(w->args, id);
        return WSB_OK;
    }

    if (memchr(id.data, '/', id.len) != NULL
        || memchr(id.data, '\\', id.len) != NULL
        || memchr(id.data, ';', id.len) != NULL
        || (id.len <= 2 && id.data[0] == '.' && id.data[id.len - 1] == '.'))
    {
        return wsb_rest_bad_id(w, "record_id cannot be carried in a path: it "
                               "has a slash, a backslash or a semicolon, or "
                               "is . or ..");
    }

    wsb_text_lit(path, "/");
    wsb_rest_encode(path, id);

    return WSB_OK;
}


static wsb_rc_t
wsb_rest_write(wsb_rest_write_t *w)
{
    wsb_rc_t  rc;
    unsigned  i;

    rc = WSB_OK;

    for (i = 0; i < w->rest->nfilters && rc == WSB_OK; /* void */ ) {

        if (w->style == WSB_REST_POSTGREST) {
            rc = wsb_rest_write_postgrest(w, &i);
            continue;
        }

        if (w->rest->filter[i].joined) {
            return wsb_rest_cannot(w, "conditions joined by OR");
        }

        rc = w->style == WSB_REST_JSON_SERVER
                 ? wsb_rest_write_json_server(w, i)
                 : wsb_rest_write_plain(w, i);
        i++;
    }

    return rc == WSB_OK ? wsb_rest_write_rest(w) : rc;
}


static wsb_rc_t
wsb_rest_write_plain(wsb_rest_write_t *w, unsigned i)
{
    wsb_rc_t                  rc;
    unsigned                  n;
    wsb_str_t                 s;
    wsb_json_t                value;
    wsb_json_walk_t           walk;
    const wsb_rest_filter_t  *f, *other;

    static const char *const  taken[] = { "fields", "sort", "limit",
                                          "offset", NULL };

    f = &w->rest->filter[i];

    if (wsb_rest_listed(f->column, taken) || wsb_rest_bracket(f->column)) {
        return wsb_rest_cannot(w, "a condition on a column of that name");
    }

    /* of a parameter that comes twice many take but one */

    for (n = 0; n < i; n++) {
        other = &w->rest->filter[n];

        if (wsb_rest_same(other->column, f->column)
            && (other->op == f->op || other->op == WSB_WHERE_EQ
                || f->op == WSB_WHERE_EQ))
        {
            return wsb_rest_cannot(w, "two such conditions on one column");
        }
    }

    wsb_rest_begin(w->args);
    wsb_rest_encode(w->args, f->column);

    if (f->op != WSB_WHERE_EQ) {
        wsb_text_lit(w->args, "%5B");
        wsb_text_lit(w->args, wsb_rest_ops[f->op]);
        wsb_text_lit(w->args, "%5D");
    }

    wsb_text_lit(w->args, "=");

    for (n = 0; wsb_rest_next(f, &walk, n, &value); n++) {

        rc = wsb_rest_value(w, f, &value);
        if (rc != WSB_OK) {
            return rc;
        }

        s.data = w->value.data;
        s.len = w->value.len;

        if (f->op == WSB_WHERE_IN && !f->forced && s.len != 0
            && memchr(s.data, ',', s.len) != NULL)
        {
            return wsb_rest_cannot(w, "a value of in that has a comma");
        }

        if (n != 0) {
            wsb_text_lit(w->args, ",");
        }

        /* a forced list is one text with commas already */

        wsb_rest_encode(w->args, s);
    }

    if (n == 0) {
        return wsb_rest_cannot(w, "an in without values");
    }

    return WSB_OK;
}


/* Columns, sort, limit, offset. */

static wsb_rc_t
wsb_rest_write_rest(wsb_rest_write_t *w)
{
    unsigned                 i;
    const wsb_rest_t        *rest;
    const wsb_rest_style_t   style = w->style;

    static const char *const  columns[] = { "fields=", "select=", NULL };
    static const char *const  sort[] = { "sort=", "order=", "_sort=" };
    static const char *const  limit[] = { "limit=", "limit=", "_limit=" };
    static const char *const  offset[] = { "offset=", "offset=", "_start=" };

    rest = w->rest;

    for (i = 0; i < rest->ncolumns; i++) {

        if (columns[style] == NULL) {
            return wsb_rest_cannot(w, "columns");
        }

        if (!wsb_rest_column(w, rest->column[i])) {
            return wsb_rest_cannot(w, "a column of that name");
        }

        if (i == 0) {
            wsb_rest_begin(w->args);
            wsb_text_lit(w->args, columns[style]);
        } else {
            wsb_text_lit(w->args, ",");
        }

        wsb_rest_encode(w->args, rest->column[i]);
    }

    for (i = 0; i < rest->nsorts; i++) {

        if (!wsb_rest_column(w, rest->sort[i].column)) {
            return wsb_rest_cannot(w, "a column of that name");
        }

        if (i == 0) {
            wsb_rest_begin(w->args);
            wsb_text_lit(w->args, sort[style]);
        } else {
            wsb_text_lit(w->args, ",");
        }

        if (style == WSB_REST_PLAIN && rest->sort[i].desc) {
            wsb_text_lit(w->args, "-");
        }

        wsb_rest_encode(w->args, rest->sort[i].column);

        if (style == WSB_REST_POSTGREST) {
            wsb_text_lit(w->args, rest->sort[i].desc ? ".desc" : ".asc");
        }
    }

    for (i = 0; i < rest->nsorts && style == WSB_REST_JSON_SERVER; i++) {
        wsb_text_lit(w->args, i == 0 ? "&_order=" : ",");
        wsb_text_lit(w->args, rest->sort[i].desc ? "desc" : "asc");
    }

    if (rest->limit != WSB_REST_NONE) {
        wsb_rest_begin(w->args);
        wsb_text_lit(w->args, limit[style]);
        wsb_text_uint(w->args, rest->limit);
    }

    if (rest->offset != WSB_REST_NONE) {
        wsb_rest_begin(w->args);
        wsb_text_lit(w->args, offset[style]);
        wsb_text_uint(w->args, rest->offset);
    }

    return WSB_OK;
}


void
wsb_rest_begin(wsb_text_t *args)
{
    if (args->len != 0) {
        wsb_text_lit(args, "&");
    }
}


wsb_rc_t
wsb_rest_value(wsb_rest_write_t *w, const wsb_rest_filter_t *f,
    const wsb_json_t *value)
{
    size_t    len;
    uint8_t  *p;

    w->value.len = 0;

    if (f->forced) {
        wsb_text_str(&w->value, f->text);
        return WSB_OK;
    }

    switch (value->type) {

    case WSB_JSON_STRING:
        p = wsb_text_reserve(&w->value, value->text.len);

        if (p == NULL) {
            return WSB_NOMEM;
        }

        if (wsb_json_decode(value, p, &len) != WSB_OK) {
            return wsb_rest_cannot(w, "a NUL or half a character in a value");
        }

        w->value.len = len;
        return WSB_OK;

    case WSB_JSON_NUMBER:
    case WSB_JSON_TRUE:
    case WSB_JSON_FALSE:
        wsb_text_str(&w->value, value->text);
        return WSB_OK;

    default:
        return wsb_rest_cannot(w, "a value that is null, an array or an "
                               "object");
    }
}


int
wsb_rest_next(const wsb_rest_filter_t *f, wsb_json_walk_t *walk, unsigned n,
    wsb_json_t *value)
{
    if (f->forced || f->value.type != WSB_JSON_ARRAY) {
        *value = f->value;
        return n == 0;
    }

    if (n == 0) {
        wsb_json_enter(walk, &f->value);
    }

    return n < WSB_REST_VALUES && wsb_json_element(walk, value) == WSB_OK;
}


/*
 * Can it stand in a list of columns?  PostgREST has relations, functions and
 * "*" there as well, which are none.
 */

static int
wsb_rest_column(const wsb_rest_write_t *w, wsb_str_t name)
{
    if (w->style == WSB_REST_POSTGREST) {
        return wsb_rest_plain(name);
    }

    return name.data[0] != '-' && memchr(name.data, ',', name.len) == NULL;
}


int
wsb_rest_bracket(wsb_str_t name)
{
    return memchr(name.data, '[', name.len) != NULL
           || memchr(name.data, ']', name.len) != NULL;
}


int
wsb_rest_plain(wsb_str_t name)
{
    size_t   i;
    uint8_t  c;

    for (i = 0; i < name.len; i++) {
        c = name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '_' || c == ' ' || c >= 0x80))
        {
            return 0;
        }
    }

    return 1;
}


int
wsb_rest_listed(wsb_str_t name, const char *const *list)
{
    wsb_str_t  s;

    for ( /* void */ ; *list != NULL; list++) {
        s.data = (const uint8_t *) *list;
        s.len = strlen(*list);

        if (wsb_rest_same(name, s)) {
            return 1;
        }
    }

    return 0;
}


/* RFC 3986, section 2.3 */

static inline int
wsb_rest_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9')
           || c == '-' || c == '.' || c == '_' || c == '~';
}


int
wsb_rest_plain_bytes(wsb_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (!wsb_rest_unreserved(s.data[i])) {
            return 0;
        }
    }

    return 1;
}


void
wsb_rest_encode(wsb_text_t *t, wsb_str_t s)
{
    size_t    i;
    uint8_t   c, *p;

    static const char  hex[] = "0123456789ABCDEF";

    p = wsb_text_reserve(t, 3 * s.len);

    if (p == NULL) {
        return;
    }

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (wsb_rest_unreserved(c)) {
            *p++ = c;
            continue;
        }

        *p++ = '%';
        *p++ = (uint8_t) hex[c >> 4];
        *p++ = (uint8_t) hex[c & 15];
    }

    t->len = (size_t) (p - t->data);
}


wsb_rc_t
wsb_rest_cannot(wsb_rest_write_t *w, const char *fmt, ...)
{
    int      n;
    va_list  args;

    w->err->style = 1;

    va_start(args, fmt);
    n = vsnprintf(w->err->text, sizeof(w->err->text), fmt, args);
    va_end(args);

    if (n > 0 && (size_t) n < sizeof(w->err->text)) {
        (void) snprintf(w->err->text + n, sizeof(w->err->text) - (size_t) n,
                        ": this backend (%s) cannot be asked so",
                        wsb_rest_names[w->style]);
    }

    return WSB_ERROR;
}
