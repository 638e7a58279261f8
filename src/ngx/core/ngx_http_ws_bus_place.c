/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Places of the configuration: what is found out when all of it has been read
 * is told at the line that it is about.
 */

#include "ngx_http_ws_bus_core.h"


void
ngx_http_ws_bus_place_here(ngx_conf_t *cf, ngx_http_ws_bus_place_t *place)
{
    ngx_str_null(&place->file);

    if (cf->conf_file != NULL) {
        place->file = cf->conf_file->file.name;
        place->line = cf->conf_file->line;
    }
}


void
ngx_http_ws_bus_place_log(ngx_uint_t level, ngx_conf_t *cf,
    ngx_http_ws_bus_place_t *place, const char *fmt, ...)
{
    u_char   text[NGX_MAX_CONF_ERRSTR], *last;
    va_list  args;

    va_start(args, fmt);
    last = ngx_vslprintf(text, text + sizeof(text), fmt, args);
    va_end(args);

    ngx_log_error(level, cf->log, 0, "%*s in %V:%ui", (size_t) (last - text),
                  text, &place->file, place->line);
}
