/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Conditions that a backend is not told of: whoever asks it judges the rows
 * that come by them.
 */

#include "wsb_rest.h"


static unsigned wsb_rest_leave_group(const wsb_rest_t *rest, unsigned i);
static wsb_rc_t wsb_rest_leave_try(const wsb_rest_t *rest,
    wsb_rest_style_t style);
static int wsb_rest_leave_plain(const wsb_rest_filter_t *f, unsigned n,
    const wsb_forced_t *forced, unsigned nforced);


int
wsb_rest_leave_out(wsb_rest_t *rest, wsb_rest_style_t style,
    const wsb_forced_t *forced, unsigned nforced)
{
    int        left;
    unsigned   i, n;
    wsb_rc_t   rc;
    wsb_rest_t kept;

    left = 0;

    memset(&kept, 0, sizeof(wsb_rest_t));

    kept.limit = WSB_REST_NONE;
    kept.offset = WSB_REST_NONE;

    for (i = 0; i < rest->nfilters; i += n) {
        n = wsb_rest_leave_group(rest, i);

        memcpy(&kept.filter[kept.nfilters], &rest->filter[i],
               n * sizeof(wsb_rest_filter_t));
        kept.nfilters += n;

        rc = wsb_rest_leave_plain(&rest->filter[i], n, forced, nforced)
                 ? wsb_rest_leave_try(&kept, style) : WSB_ERROR;

        if (rc == WSB_NOMEM) {
            return -1;
        }

        if (rc != WSB_OK) {
            kept.nfilters -= n;
            left = 1;
        }
    }

    memcpy(rest->filter, kept.filter,
           kept.nfilters * sizeof(wsb_rest_filter_t));
    rest->nfilters = kept.nfilters;

    return left;
}


/* How many an OR joins to this one, with it. */

static unsigned
wsb_rest_leave_group(const wsb_rest_t *rest, unsigned i)
{
    unsigned  n;

    for (n = 1; i + n < rest->nfilters && rest->filter[i + n].joined; n++) {
        /* void */
    }

    return n;
}


static wsb_rc_t
wsb_rest_leave_try(const wsb_rest_t *rest, wsb_rest_style_t style)
{
    wsb_rc_t          rc;
    wsb_str_t         none = wsb_null_string;
    wsb_text_t        path, args;
    wsb_rest_error_t  err;

    memset(&path, 0, sizeof(wsb_text_t));
    memset(&args, 0, sizeof(wsb_text_t));

    rc = wsb_rest_query(rest, style, none, &path, &args, &err);

    wsb_text_done(&path);
    wsb_text_done(&args);

    return rc;
}


/*
 * Are they on columns that lie in the row itself, and that nobody else has
 * conditions on?  What a path through objects is called, each backend has its
 * own idea of.
 */

static int
wsb_rest_leave_plain(const wsb_rest_filter_t *f, unsigned n,
    const wsb_forced_t *forced, unsigned nforced)
{
    unsigned   i, k;
    wsb_str_t  column;

    for (i = 0; i < n; i++) {

        if (memchr(f[i].column.data, '.', f[i].column.len) != NULL
            || memchr(f[i].column.data, '\\', f[i].column.len) != NULL)
        {
            return 0;
        }

        for (k = 0; k < nforced; k++) {
            column = forced[k].field;

            if (column.len > 5 && memcmp(column.data, "data.", 5) == 0) {
                column.data += 5;
                column.len -= 5;
            }

            if (wsb_rest_same(f[i].column, column)) {
                return 0;
            }
        }
    }

    return 1;
}
