/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A refusal that an operator looks for in the error log: why, where, and
 * which page it came from.
 */

#include "ngx_http_ws_bus_core.h"

#include "../../json/wsb_text.h"


#define NGX_HTTP_WS_BUS_ORIGIN_LOGGED  256    /* bytes of the header */


static ngx_str_t *ngx_http_ws_bus_refusal_origin(ngx_http_request_t *r);


void
ngx_http_ws_bus_refusal_log(ngx_http_request_t *r, ngx_uint_t level,
    const char *fmt, ...)
{
    u_char                     reason[NGX_MAX_ERROR_STR / 2], *last;
    va_list                    args;
    wsb_str_t                  s;
    ngx_str_t                 *origin;
    wsb_text_t                 text;
    ngx_http_core_loc_conf_t  *clcf;

    if (r->connection->log->log_level < level) {
        return;
    }

    va_start(args, fmt);
    last = ngx_vslprintf(reason, reason + sizeof(reason), fmt, args);
    va_end(args);

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    origin = ngx_http_ws_bus_refusal_origin(r);

    if (origin == NULL) {
        ngx_log_error(level, r->connection->log, 0, "%*s, location: \"%V\"",
                      (size_t) (last - reason), reason, &clcf->name);
        return;
    }

    /* a stranger's bytes: what would break the line is escaped */

    ngx_memzero(&text, sizeof(wsb_text_t));

    s.data = origin->data;
    s.len = ngx_min(origin->len, NGX_HTTP_WS_BUS_ORIGIN_LOGGED);

    wsb_text_line(&text, s);

    if (s.len < origin->len) {
        wsb_text_lit(&text, "...");
    }

    ngx_log_error(level, r->connection->log, 0,
                  "%*s, location: \"%V\", origin: \"%*s\"",
                  (size_t) (last - reason), reason, &clcf->name,
                  text.len, text.data);

    wsb_text_done(&text);
}


/* The first, if there are several; NULL: there is none. */

static ngx_str_t *
ngx_http_ws_bus_refusal_origin(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_ws_bus_http_header_is(&h[i], "origin")) {
                return &h[i].value;
            }
        }
    }

    return NULL;
}
