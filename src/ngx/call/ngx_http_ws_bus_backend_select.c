/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What a snapshot is asked with.
 */

#include "ngx_http_ws_bus_backend.h"


ngx_int_t
ngx_http_ws_bus_backend_select(ngx_http_ws_bus_backend_t *b,
    const wsb_json_t *options, wsb_rest_error_t *err)
{
    int               left;
    wsb_rc_t          rc;
    ngx_uint_t        n;
    wsb_json_t        where;
    wsb_forced_t      forced[WSB_RESTRICT_CONDITIONS];
    wsb_json_error_t  wrong;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    ngx_memzero(&where, sizeof(wsb_json_t));

    if (b->req->where.data != NULL
        && wsb_json_parse(b->req->where, &limits, &where, &wrong) != WSB_OK)
    {
        return WSB_NOMEM;
    }

    rc = wsb_rest_select(&b->rest, options, &where, err);

    if (rc != WSB_OK) {
        return rc;
    }

    if (b->req->record_id.data != NULL) {
        /* the row says itself whether it meets them */
        left = b->rest.nfilters != 0;
        b->rest.nfilters = 0;

    } else {
        n = ngx_http_ws_bus_backend_rights_columns(b->ask, forced);
        left = wsb_rest_leave_out(&b->rest, b->ask->conf->style, forced,
                                  (unsigned) n);
    }

    if (left == -1) {
        return WSB_NOMEM;
    }

    b->ask->here = left;

    if (!left) {
        return WSB_OK;
    }

    if (b->rest.limit != WSB_REST_NONE || b->rest.offset != WSB_REST_NONE
        || b->rest.ncolumns != 0)
    {
        ngx_cpystrn((u_char *) err->text,
                    (u_char *) "limit, offset and columns need conditions "
                    "that the backend can be asked for: some of where are "
                    "judged by this server", sizeof(err->text));
        return WSB_ERROR;
    }

    return WSB_OK;
}
