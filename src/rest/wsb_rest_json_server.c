/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Conditions in the style of json-server.
 */

#include "wsb_rest_write.h"


static wsb_rc_t wsb_rest_write_regex(wsb_rest_write_t *w,
    const wsb_rest_filter_t *f);


wsb_rc_t
wsb_rest_write_json_server(wsb_rest_write_t *w, unsigned i)
{
    wsb_rc_t                  rc;
    unsigned                  n, k;
    wsb_str_t                 s;
    wsb_json_t                value;
    wsb_json_walk_t           walk;
    const char               *suffix;
    const wsb_rest_filter_t  *f, *other;

    static const char *const  taken[] = { "q", NULL };
    static const char *const  ends[] = { "_ne", "_gte", "_lte", "_like",
                                         NULL };

    f = &w->rest->filter[i];

    /* it ORs what names one column twice */

    for (k = 0; k < i; k++) {
        other = &w->rest->filter[k];

        if (wsb_rest_same(other->column, f->column)) {
            return wsb_rest_cannot(w, "two conditions on one column");
        }
    }

    if (f->column.data[0] == '_' || wsb_rest_listed(f->column, taken)
        || wsb_rest_bracket(f->column))
    {
        return wsb_rest_cannot(w, "a condition on a column of that name");
    }

    for (k = 0; k < f->column.len; k++) {
        s.data = f->column.data + k;
        s.len = f->column.len - k;

        if (wsb_rest_listed(s, ends)) {
            return wsb_rest_cannot(w, "a condition on a column of that name");
        }
    }

    switch (f->op) {

    case WSB_WHERE_EQ:
    case WSB_WHERE_IN:
        suffix = "=";
        break;

    case WSB_WHERE_NEQ:
        suffix = "_ne=";
        break;

    case WSB_WHERE_GTE:
        suffix = "_gte=";
        break;

    case WSB_WHERE_LTE:
        suffix = "_lte=";
        break;

    case WSB_WHERE_ILIKE:
        return wsb_rest_write_regex(w, f);

    default:
        return wsb_rest_cannot(w, "the operator %s", wsb_rest_ops[f->op]);
    }

    if (f->forced && f->op == WSB_WHERE_IN && f->text.len != 0
        && memchr(f->text.data, ',', f->text.len) != NULL)
    {
        /* split at its commas */

        s = f->text;

        while (s.data != NULL) {
            value.text = s;
            n = 0;

            while (n < s.len && s.data[n] != ',') {
                n++;
            }

            wsb_rest_begin(w->args);
            wsb_rest_encode(w->args, f->column);
            wsb_text_lit(w->args, suffix);

            value.text.len = n;
            wsb_rest_encode(w->args, value.text);

            if (n == s.len) {
                return WSB_OK;
            }

            s.data += n + 1;
            s.len -= n + 1;
        }
    }

    for (n = 0; wsb_rest_next(f, &walk, n, &value); n++) {

        rc = wsb_rest_value(w, f, &value);
        if (rc != WSB_OK) {
            return rc;
        }

        s.data = w->value.data;
        s.len = w->value.len;

        wsb_rest_begin(w->args);
        wsb_rest_encode(w->args, f->column);
        wsb_text_lit(w->args, suffix);
        wsb_rest_encode(w->args, s);
    }

    return n == 0 ? wsb_rest_cannot(w, "an in without values") : WSB_OK;
}


/* _like of json-server is a regular expression that ignores case. */

static wsb_rc_t
wsb_rest_write_regex(wsb_rest_write_t *w, const wsb_rest_filter_t *f)
{
    size_t      i;
    uint8_t     c;
    wsb_rc_t    rc;
    wsb_str_t   s;
    wsb_text_t  regex;

    rc = wsb_rest_value(w, f, &f->value);
    if (rc != WSB_OK) {
        return rc;
    }

    memset(&regex, 0, sizeof(wsb_text_t));

    wsb_text_lit(&regex, "^");

    for (i = 0; i < w->value.len; i++) {
        c = w->value.data[i];

        if (c == '%') {
            wsb_text_lit(&regex, "[^]*");

        } else if (c == '_') {
            wsb_text_lit(&regex, "[^]");

        } else {

            if (c == '\\' && i + 1 < w->value.len
                && (w->value.data[i + 1] == '%'
                    || w->value.data[i + 1] == '_'
                    || w->value.data[i + 1] == '\\'))
            {
                c = w->value.data[++i];
            }

            if (strchr("\\^$.|?*+()[]{}/-", c) != NULL) {
                wsb_text_lit(&regex, "\\");
            }

            wsb_text_add(&regex, &c, 1);
        }
    }

    wsb_text_lit(&regex, "$");

    s.data = regex.data;
    s.len = regex.len;

    wsb_rest_begin(w->args);
    wsb_rest_encode(w->args, f->column);
    wsb_text_lit(w->args, "_like=");
    wsb_rest_encode(w->args, s);

    rc = regex.failed ? WSB_NOMEM : WSB_OK;

    wsb_text_done(&regex);

    return rc;
}
