/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Conditions in the style of PostgREST.
 */

#include "wsb_rest_write.h"


static wsb_rc_t wsb_rest_postgrest_value(wsb_rest_write_t *w,
    const wsb_rest_filter_t *f, int quoted);
static wsb_rc_t wsb_rest_postgrest_in(wsb_rest_write_t *w,
    const wsb_rest_filter_t *f);
static void wsb_rest_quote(wsb_text_t *t, wsb_str_t s);


/* A condition, or a group of those joined by OR. */

wsb_rc_t
wsb_rest_write_postgrest(wsb_rest_write_t *w, unsigned *i)
{
    int                       group;
    wsb_rc_t                  rc;
    unsigned                  first;
    const wsb_rest_filter_t  *f;

    static const char *const  taken[] = { "select", "order", "limit",
                                          "offset", "or", "and", "columns",
                                          "on_conflict", NULL };

    first = *i;
    group = first + 1 < w->rest->nfilters && w->rest->filter[first + 1].joined;

    wsb_rest_begin(w->args);

    if (group) {
        wsb_text_lit(w->args, "or=(");
    }

    do {
        f = &w->rest->filter[*i];

        if (wsb_rest_listed(f->column, taken) || !wsb_rest_plain(f->column)) {
            return wsb_rest_cannot(w, "a condition on a column of that name");
        }

        if (*i != first) {
            wsb_text_lit(w->args, ",");
        }

        wsb_rest_encode(w->args, f->column);
        wsb_text_lit(w->args, group ? "." : "=");
        wsb_text_lit(w->args, wsb_rest_ops[f->op]);
        wsb_text_lit(w->args, ".");

        rc = f->op == WSB_WHERE_IN ? wsb_rest_postgrest_in(w, f)
                                   : wsb_rest_postgrest_value(w, f, group);
        if (rc != WSB_OK) {
            return rc;
        }

        (*i)++;

    } while (*i < w->rest->nfilters && w->rest->filter[*i].joined);

    if (group) {
        wsb_text_lit(w->args, ")");
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_rest_postgrest_value(wsb_rest_write_t *w, const wsb_rest_filter_t *f,
    int quoted)
{
    wsb_rc_t   rc;
    wsb_str_t  s;

    rc = wsb_rest_value(w, f, &f->value);
    if (rc != WSB_OK) {
        return rc;
    }

    s.data = w->value.data;
    s.len = w->value.len;

    if ((f->op == WSB_WHERE_LIKE || f->op == WSB_WHERE_ILIKE)
        && s.len != 0 && memchr(s.data, '*', s.len) != NULL)
    {
        /* there it stands for any run of characters */
        return wsb_rest_cannot(w, "a pattern that has an asterisk");
    }

    if (quoted) {
        wsb_rest_quote(w->args, s);

    } else {
        wsb_rest_encode(w->args, s);
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_rest_postgrest_in(wsb_rest_write_t *w, const wsb_rest_filter_t *f)
{
    size_t           n;
    wsb_rc_t         rc;
    unsigned         i;
    wsb_str_t        s, part;
    wsb_json_t       value;
    wsb_json_walk_t  walk;

    wsb_text_lit(w->args, "(");

    if (f->forced) {
        s = f->text;

        for ( ;; ) {
            for (n = 0; n < s.len && s.data[n] != ','; n++) { /* void */ }

            part.data = s.data;
            part.len = n;
            wsb_rest_quote(w->args, part);

            if (n == s.len) {
                break;
            }

            wsb_text_lit(w->args, ",");
            s.data += n + 1;
            s.len -= n + 1;
        }

    } else {

        for (i = 0; wsb_rest_next(f, &walk, i, &value); i++) {

            rc = wsb_rest_value(w, f, &value);
            if (rc != WSB_OK) {
                return rc;
            }

            if (i != 0) {
                wsb_text_lit(w->args, ",");
            }

            s.data = w->value.data;
            s.len = w->value.len;
            wsb_rest_quote(w->args, s);
        }
    }

    wsb_text_lit(w->args, ")");

    return WSB_OK;
}


/* In PostgREST's lists: between quotes, the quotes in it and \ escaped. */

static void
wsb_rest_quote(wsb_text_t *t, wsb_str_t s)
{
    size_t     i;
    wsb_str_t  c;

    wsb_text_lit(t, "%22");

    for (i = 0; i < s.len; i++) {

        if (s.data[i] == '"' || s.data[i] == '\\') {
            wsb_text_lit(t, "%5C");
        }

        c.data = s.data + i;
        c.len = 1;
        wsb_rest_encode(t, c);
    }

    wsb_text_lit(t, "%22");
}
