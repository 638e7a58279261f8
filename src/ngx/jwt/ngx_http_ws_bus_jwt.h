/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Tokens (JWT) in nginx: the module ngx_http_ws_bus_jwt_module.
 *
 *   jwt          directives
 *   jwt_key      files of keys
 *   jwt_check    what is wrong with all of them together
 *   jwt_access   a request's token: found, verified once, or refused
 *   jwt_claim    its claims as variables
 */

#ifndef NGX_HTTP_WS_BUS_JWT_H
#define NGX_HTTP_WS_BUS_JWT_H


#include "../core/ngx_http_ws_bus_core.h"

#include "../../auth/wsb_claims.h"
#include "../../auth/wsb_jwt.h"


/* What this room counts: name, kind, where it is shown, meaning. */

#define NGX_HTTP_WS_BUS_JWT_COUNTERS(counter)                                 \
    counter(jwt_refused, SUM, TOTALS,                                         \
            "requests and messages refused for their token")

typedef struct {
    NGX_HTTP_WS_BUS_JWT_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_FIELD)
} ngx_http_ws_bus_jwt_counters_t;


/* Where a token may be. */

typedef struct {
    ngx_http_complex_value_t     value;
    ngx_uint_t                   list;        /* of subprotocols */
} ngx_http_ws_bus_jwt_source_t;


/* Shared by all levels that inherit it. */

typedef struct {
    wsb_jwks_t                   set;
    ngx_http_ws_bus_place_t  place;       /* of the first file */
    ngx_uint_t                   warned;
} ngx_http_ws_bus_jwt_keys_t;


typedef struct {
    ngx_array_t                 *sources;     /* NULL: off */
    ngx_uint_t                   in_line;     /* one is not a header of its
                                                 own: the request line may
                                                 hold a token */
    ngx_http_ws_bus_jwt_keys_t  *keys;
    ngx_array_t                 *issuers;     /* const char * */
    ngx_array_t                 *audiences;
    time_t                       leeway;
    ngx_uint_t                   expiry;
    ngx_array_t                 *require;     /* complex values, with those
                                                 of outer levels */
    wsb_claims_rules_t           rules;
    ngx_http_ws_bus_place_t  place;       /* of ws_bus_jwt */
    ngx_http_ws_bus_place_t  require_place;
} ngx_http_ws_bus_jwt_loc_conf_t;


/* Of a request: lives in its pool, also across internal redirects. */

typedef struct {
    ngx_http_ws_bus_jwt_loc_conf_t  *conf;    /* that judged it */
    ngx_uint_t                   verified;
    ngx_uint_t                   present;     /* there was a token */
    wsb_str_t                    token;       /* it, in the request's memory */
    const char                  *reason;      /* why it is refused */
    wsb_json_t                   claims;      /* if it is verified */
    uint64_t                     exp;
    ngx_array_t                  reads;       /* ngx_str_t: paths of claims
                                                 that were asked for */
} ngx_http_ws_bus_jwt_ctx_t;


/* key */

char *ngx_http_ws_bus_jwt_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* check */

/* Of the merged conf of a location; own: ws_bus_jwt is written in it. */
ngx_int_t ngx_http_ws_bus_jwt_check(ngx_conf_t *cf,
    ngx_http_ws_bus_jwt_loc_conf_t *conf, ngx_uint_t own);


/* access */

ngx_int_t ngx_http_ws_bus_jwt_init(ngx_conf_t *cf);

/*
 * What the access phase says of a request: NGX_OK, a status, whose header has
 * been set, or NGX_DECLINED where no token is asked for.  present: there is
 * one.
 */
ngx_int_t ngx_http_ws_bus_jwt_ask(ngx_http_request_t *r,
    ngx_uint_t *present);

/* Looks at the token, unless that has been done; NULL: no memory. */
ngx_http_ws_bus_jwt_ctx_t *ngx_http_ws_bus_jwt_look(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_loc_conf_t *jlcf);

/* What is known of the token of this request; NULL: nothing. */
ngx_http_ws_bus_jwt_ctx_t *ngx_http_ws_bus_jwt_ctx(ngx_http_request_t *r);

/*
 * A request that is made for the client of another one, which is gone: these
 * were that one's claims.
 */
ngx_int_t ngx_http_ws_bus_jwt_lend(ngx_http_request_t *r,
    const wsb_json_t *claims);

/*
 * Verifies a token at the present time.  buf has room for token.len bytes
 * and holds the claims.  WSB_ERROR: *reason.
 */
wsb_rc_t ngx_http_ws_bus_jwt_judge(ngx_http_ws_bus_jwt_loc_conf_t *jlcf,
    wsb_str_t token, u_char *buf, wsb_json_t *claims, uint64_t *exp,
    const char **reason);


/* claim */

ngx_int_t ngx_http_ws_bus_jwt_add_variables(ngx_conf_t *cf);

/*
 * What a map, or the like, makes of a claim is not kept: the claims of a
 * request are others once it has come to a location of other keys.
 */
ngx_int_t ngx_http_ws_bus_jwt_wrap_variables(ngx_conf_t *cf);

char *ngx_http_ws_bus_jwt_claim_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


extern ngx_uint_t  ngx_http_ws_bus_jwt_counters_at;


static ngx_inline ngx_http_ws_bus_jwt_counters_t *
ngx_http_ws_bus_jwt_counters(ngx_http_ws_bus_worker_t *w)
{
    return (ngx_http_ws_bus_jwt_counters_t *)
               (w->counters + ngx_http_ws_bus_jwt_counters_at);
}


extern ngx_module_t  ngx_http_ws_bus_jwt_module;


#endif /* NGX_HTTP_WS_BUS_JWT_H */
