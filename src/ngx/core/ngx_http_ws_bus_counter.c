/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Counters: each room says what it counts, and where the status page shows it.
 *
 * What a room registers gets the next numbers in the slots of all zones.  The
 * rooms register in the same order each time, so all processes of one version
 * of the module agree on the numbers.  A reload may load another version: its
 * digest then differs from that of the zone, and it is refused before a worker
 * could count the wrong thing.
 */

#include "ngx_http_ws_bus_core.h"


ngx_int_t
ngx_http_ws_bus_counter_register(ngx_conf_t *cf,
    const ngx_http_ws_bus_counter_t *row, ngx_uint_t n, ngx_uint_t *at)
{
    ngx_uint_t                    i;
    ngx_http_ws_bus_counters_t   *counters;
    ngx_http_ws_bus_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ws_bus_module);
    counters = &wmcf->counters;

    if (n > WSB_COUNTERS - counters->n) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "ws_bus has more than %d counters: this is an error of "
                      "the module, raise WSB_COUNTERS and WSB_ZONE_LAYOUT",
                      WSB_COUNTERS);
        return NGX_ERROR;
    }

    *at = counters->n;

    for (i = 0; i < n; i++) {
        counters->row[counters->n++] = &row[i];
    }

    return NGX_OK;
}


uint64_t
ngx_http_ws_bus_counter_kept(const ngx_http_ws_bus_counters_t *counters)
{
    uint64_t    kept;
    ngx_uint_t  i;

    kept = 0;

    for (i = 0; i < counters->n; i++) {
        if (counters->row[i]->kind == NGX_HTTP_WS_BUS_COUNTER_SUM) {
            kept |= (uint64_t) 1 << i;
        }
    }

    return kept;
}


/* FNV-1a of all names, in their order, with their kinds. */

uint64_t
ngx_http_ws_bus_counter_digest(const ngx_http_ws_bus_counters_t *counters)
{
    uint64_t     digest;
    ngx_uint_t   i;
    const char  *p;

    digest = 0xcbf29ce484222325ULL;

    for (i = 0; i < counters->n; i++) {

        for (p = counters->row[i]->name; *p; p++) {
            digest = (digest ^ (u_char) *p) * 0x100000001b3ULL;
        }

        digest = (digest ^ counters->row[i]->kind) * 0x100000001b3ULL;
    }

    return digest;
}
