/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Who caused a captured mutation: so that a client knows its own when it
 * comes back, as an event.
 */

#include "ngx_http_ws_bus_capture.h"

#include <sys/random.h>


static ngx_uint_t ngx_http_ws_bus_capture_cause_valid(u_char *data, size_t len);
static wsb_str_t ngx_http_ws_bus_capture_cause_request(ngx_http_request_t *r);
static ngx_uint_t ngx_http_ws_bus_capture_cause_used(ngx_http_request_t *r);


wsb_str_t
ngx_http_ws_bus_capture_cause(ngx_http_request_t *r)
{
    ngx_str_t   *value;
    wsb_str_t    cause;
    ngx_uint_t   i;

    static ngx_str_t  names[] = {
        ngx_string("X-Ws-Bus-Origin"),
        ngx_string("X-Request-ID")
    };

    for (i = 0; i < 2; i++) {
        value = ngx_http_ws_bus_http_find_header(&r->headers_in.headers,
                                                 &names[i]);

        if (value != NULL
            && ngx_http_ws_bus_capture_cause_valid(value->data, value->len))
        {
            cause.data = value->data;
            cause.len = value->len;

            return cause;
        }
    }

    return ngx_http_ws_bus_capture_cause_request(r);
}


static ngx_uint_t
ngx_http_ws_bus_capture_cause_valid(u_char *data, size_t len)
{
    size_t  n;

    if (len == 0 || len > WSB_MUTATION_FIELD) {
        return 0;
    }

    for (n = 0; n < len; n++) {
        if (data[n] < 0x20 || data[n] > 0x7e) {
            return 0;
        }
    }

    return 1;
}


/*
 * $request_id, if the configuration has a use for it.  If not, nobody else
 * knows it, and a number costs a twentieth: that of the mutation, behind a
 * random one of the process.
 */

static wsb_str_t
ngx_http_ws_bus_capture_cause_request(ngx_http_request_t *r)
{
    u_char                     *p;
    uint64_t                    id[2];
    wsb_str_t                   cause = wsb_null_string;
    ngx_uint_t                  key;
    ngx_http_variable_value_t  *v;

    static uint64_t   n, process;
    static ngx_str_t  name = ngx_string("request_id");

    if (ngx_http_ws_bus_capture_cause_used(r)
        || (process == 0
            && getrandom(&process, sizeof(process), 0) != sizeof(process)))
    {
        key = ngx_hash_key(name.data, name.len);
        v = ngx_http_get_variable(r, &name, key);

        if (v != NULL && !v->not_found) {
            cause.data = v->data;
            cause.len = v->len;
        }

        return cause;
    }

    p = ngx_pnalloc(r->pool, 2 * sizeof(id));
    if (p == NULL) {
        return cause;
    }

    /* each number once, and no two that look alike */

    id[0] = process;
    id[1] = ++n * UINT64_C(0x9e3779b97f4a7c15);

    (void) ngx_hex_dump(p, (u_char *) id, sizeof(id));

    cause.data = p;
    cause.len = 2 * sizeof(id);

    return cause;
}


static ngx_uint_t
ngx_http_ws_bus_capture_cause_used(ngx_http_request_t *r)
{
    ngx_uint_t                  key;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    static ngx_uint_t                  used;
    static ngx_str_t                   name = ngx_string("request_id");
    static ngx_http_core_main_conf_t  *known;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    if (cmcf != known) {
        key = ngx_hash_key(name.data, name.len);
        v = ngx_hash_find(&cmcf->variables_hash, key, name.data, name.len);

        used = (v != NULL && (v->flags & NGX_HTTP_VAR_INDEXED));
        known = cmcf;
    }

    return used;
}
