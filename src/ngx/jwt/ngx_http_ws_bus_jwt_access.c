/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The token of a request.  It is looked at once: by whoever needs a claim
 * first, at the latest in the access phase.  So claims are there for
 * limit_req as well, which comes before.
 */

#include "ngx_http_ws_bus_jwt.h"


#define NGX_HTTP_WS_BUS_JWT_SCHEME   "Bearer"
#define NGX_HTTP_WS_BUS_JWT_ENTRY    "bearer."
#define NGX_HTTP_WS_BUS_JWT_REALM    "Bearer realm=\"ws_bus\""


static ngx_int_t ngx_http_ws_bus_jwt_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_jwt_required(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_loc_conf_t *jlcf);
static ngx_int_t ngx_http_ws_bus_jwt_unauthorized(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_ctx_t *ctx);
static ngx_uint_t ngx_http_ws_bus_jwt_level(ngx_http_request_t *r);
static void ngx_http_ws_bus_jwt_count(ngx_http_request_t *r);
static ngx_http_ws_bus_jwt_ctx_t *ngx_http_ws_bus_jwt_create_ctx(
    ngx_http_request_t *r);
static void ngx_http_ws_bus_jwt_ctx_cleanup(void *data);
static ngx_uint_t ngx_http_ws_bus_jwt_same(
    const ngx_http_ws_bus_jwt_loc_conf_t *a,
    const ngx_http_ws_bus_jwt_loc_conf_t *b);
static ngx_int_t ngx_http_ws_bus_jwt_find(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_loc_conf_t *jlcf, wsb_str_t *token);
static ngx_uint_t ngx_http_ws_bus_jwt_take(ngx_str_t *value, wsb_str_t *token);
static ngx_uint_t ngx_http_ws_bus_jwt_find_entry(ngx_http_request_t *r,
    wsb_str_t *token);
static ngx_uint_t ngx_http_ws_bus_jwt_take_entry(ngx_str_t *value,
    wsb_str_t *token);
static ngx_int_t ngx_http_ws_bus_jwt_rewrite_handler(ngx_http_request_t *r);
static u_char *ngx_http_ws_bus_jwt_log_handler(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);


ngx_int_t
ngx_http_ws_bus_jwt_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_ws_bus_jwt_rewrite_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_ws_bus_jwt_handler;

    return ngx_http_ws_bus_jwt_wrap_variables(cf);
}


static ngx_int_t
ngx_http_ws_bus_jwt_handler(ngx_http_request_t *r)
{
    ngx_uint_t  present;

    return ngx_http_ws_bus_jwt_ask(r, &present);
}


ngx_int_t
ngx_http_ws_bus_jwt_ask(ngx_http_request_t *r, ngx_uint_t *present)
{
    ngx_http_ws_bus_jwt_ctx_t       *ctx;
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf;

    *present = 0;

    jlcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_jwt_module);

    if (jlcf->sources == NULL || ngx_http_ws_bus_http_preflight(r)) {
        return NGX_DECLINED;
    }

    ngx_http_ws_bus_turn();

    ctx = ngx_http_ws_bus_jwt_look(r, jlcf);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *present = ctx->present;

    if (!ctx->verified) {
        return ngx_http_ws_bus_jwt_unauthorized(r, ctx);
    }

    return ngx_http_ws_bus_jwt_required(r, jlcf);
}


static ngx_int_t
ngx_http_ws_bus_jwt_required(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_loc_conf_t *jlcf)
{
    ngx_str_t                  value;
    ngx_uint_t                 i;
    ngx_http_complex_value_t  *cv;

    if (jlcf->require == NULL) {
        return NGX_OK;
    }

    cv = jlcf->require->elts;

    for (i = 0; i < jlcf->require->nelts; i++) {

        if (ngx_http_complex_value(r, &cv[i], &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /* false is what a claim of that value is in a variable */

        if (value.len == 0
            || (value.len == 1 && value.data[0] == '0')
            || (value.len == 5
                && ngx_strncmp(value.data, "false", 5) == 0))
        {
            ngx_http_ws_bus_refusal_log(r, ngx_http_ws_bus_jwt_level(r),
                                        "token lacks what "
                                        "\"ws_bus_jwt_require\" wants: %V is "
                                        "empty, \"0\" or \"false\"",
                                        &cv[i].value);
            ngx_http_ws_bus_jwt_count(r);
            return NGX_HTTP_FORBIDDEN;
        }
    }

    return NGX_OK;
}


/* RFC 6750, section 3: no error is named to who brought no token. */

static ngx_int_t
ngx_http_ws_bus_jwt_unauthorized(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_ctx_t *ctx)
{
    u_char           *p;
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* zeroed, since newer versions of nginx have more members */
    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    ngx_str_set(&h->key, "WWW-Authenticate");
    ngx_str_set(&h->value, NGX_HTTP_WS_BUS_JWT_REALM);

    r->headers_out.www_authenticate = h;

    ngx_http_ws_bus_jwt_count(r);

    if (!ctx->present) {
        ngx_http_ws_bus_refusal_log(r, ngx_http_ws_bus_jwt_level(r),
                                    "client sent no token");
        return NGX_HTTP_UNAUTHORIZED;
    }

    ngx_http_ws_bus_refusal_log(r, ngx_http_ws_bus_jwt_level(r),
                                "client sent a token that is refused: %s",
                                ctx->reason);

    p = ngx_pnalloc(r->pool, sizeof(NGX_HTTP_WS_BUS_JWT_REALM) + 64
                             + ngx_strlen(ctx->reason));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->value.data = p;
    h->value.len = ngx_sprintf(p, NGX_HTTP_WS_BUS_JWT_REALM
                               ", error=\"invalid_token\""
                               ", error_description=\"%s\"", ctx->reason)
                   - p;

    return NGX_HTTP_UNAUTHORIZED;
}


/* That of nginx's own: with "satisfy any" it may be let in all the same. */

static ngx_uint_t
ngx_http_ws_bus_jwt_level(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    return clcf->satisfy == NGX_HTTP_SATISFY_ALL ? NGX_LOG_ERR : NGX_LOG_INFO;
}


/* Where there is a bus to count it at. */

static void
ngx_http_ws_bus_jwt_count(ngx_http_request_t *r)
{
    ngx_http_ws_bus_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_module);

    if (wlcf->zone != NULL && wlcf->zone->worker != NULL) {
        ngx_http_ws_bus_jwt_counters(wlcf->zone->worker)->jwt_refused++;
    }
}


ngx_http_ws_bus_jwt_ctx_t *
ngx_http_ws_bus_jwt_look(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_loc_conf_t *jlcf)
{
    u_char                     *buf;
    ngx_int_t                   rc;
    wsb_str_t                   token;
    ngx_http_ws_bus_jwt_ctx_t  *ctx;

    ctx = ngx_http_ws_bus_jwt_ctx(r);

    if (ctx == NULL) {
        ctx = ngx_http_ws_bus_jwt_create_ctx(r);
        if (ctx == NULL) {
            return NULL;
        }
    }

    if (ctx->conf == jlcf) {
        return ctx;
    }

    if (ctx->conf != NULL && ngx_http_ws_bus_jwt_same(ctx->conf, jlcf)) {
        ctx->conf = jlcf;
        return ctx;
    }

    /* meanwhile there is none, should a source itself ask for a claim */

    ctx->conf = jlcf;
    ctx->verified = 0;
    ctx->present = 0;

    rc = ngx_http_ws_bus_jwt_find(r, jlcf, &token);

    if (rc == NGX_DECLINED) {
        return ctx;
    }

    if (rc != NGX_OK) {
        ctx->conf = NULL;
        return NULL;
    }

    ctx->present = 1;
    ctx->token = token;

    /* one that is too long is refused before it is decoded */

    buf = ngx_pnalloc(r->pool, ngx_min(token.len, WSB_JWT_MAX) + 1);
    if (buf == NULL) {
        ctx->conf = NULL;
        return NULL;
    }

    ctx->verified = ngx_http_ws_bus_jwt_judge(jlcf, token, buf, &ctx->claims,
                                              &ctx->exp, &ctx->reason)
                    == WSB_OK;

    return ctx;
}


wsb_rc_t
ngx_http_ws_bus_jwt_judge(ngx_http_ws_bus_jwt_loc_conf_t *jlcf,
    wsb_str_t token, u_char *buf, wsb_json_t *claims, uint64_t *exp,
    const char **reason)
{
    if (jlcf->keys == NULL) {
        *reason = "there is no key to verify it";
        return WSB_ERROR;
    }

    if (wsb_jwt_verify(token, &jlcf->keys->set, buf, claims, reason)
        != WSB_OK)
    {
        return WSB_ERROR;
    }

    return wsb_claims_check(claims, &jlcf->rules, (uint64_t) ngx_time(), exp,
                            reason);
}


/*
 * A redirect within nginx clears what modules know of a request, but not
 * the values of variables, which may be of claims: so the pool is asked, too.
 */

ngx_http_ws_bus_jwt_ctx_t *
ngx_http_ws_bus_jwt_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_ws_bus_jwt_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_ws_bus_jwt_module);

    if (ctx != NULL) {
        return ctx;
    }

    for (cln = r->main->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_ws_bus_jwt_ctx_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r->main, ctx, ngx_http_ws_bus_jwt_module);
            break;
        }
    }

    return ctx;
}


static ngx_http_ws_bus_jwt_ctx_t *
ngx_http_ws_bus_jwt_create_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_ws_bus_jwt_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_ws_bus_jwt_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_ws_bus_jwt_ctx_t));

    if (ngx_array_init(&ctx->reads, r->pool, 4, sizeof(ngx_str_t)) != NGX_OK)
    {
        return NULL;
    }

    cln->handler = ngx_http_ws_bus_jwt_ctx_cleanup;

    ngx_http_set_ctx(r->main, ctx, ngx_http_ws_bus_jwt_module);

    return ctx;
}


ngx_int_t
ngx_http_ws_bus_jwt_lend(ngx_http_request_t *r, const wsb_json_t *claims)
{
    ngx_http_ws_bus_jwt_ctx_t  *ctx;

    ctx = ngx_http_ws_bus_jwt_create_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->conf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_jwt_module);
    ctx->verified = 1;
    ctx->present = 1;
    ctx->claims = *claims;

    return NGX_OK;
}


/* Nothing: it marks the place. */

static void
ngx_http_ws_bus_jwt_ctx_cleanup(void *data)
{
}


/* Would both judge a token in the same way? */

static ngx_uint_t
ngx_http_ws_bus_jwt_same(const ngx_http_ws_bus_jwt_loc_conf_t *a,
    const ngx_http_ws_bus_jwt_loc_conf_t *b)
{
    return a->sources == b->sources
           && a->keys == b->keys
           && a->issuers == b->issuers
           && a->audiences == b->audiences
           && a->leeway == b->leeway
           && a->expiry == b->expiry;
}


/* The first source that holds one.  NGX_DECLINED: none does. */

static ngx_int_t
ngx_http_ws_bus_jwt_find(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_loc_conf_t *jlcf, wsb_str_t *token)
{
    ngx_str_t                      value;
    ngx_uint_t                     i;
    ngx_http_ws_bus_jwt_source_t  *source;

    source = jlcf->sources->elts;

    for (i = 0; i < jlcf->sources->nelts; i++) {

        if (source[i].list) {

            if (ngx_http_ws_bus_jwt_find_entry(r, token)) {
                return NGX_OK;
            }

            continue;
        }

        if (ngx_http_complex_value(r, &source[i].value, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_http_ws_bus_jwt_take(&value, token)) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* Credentials of another scheme ("Basic ...") are none. */

static ngx_uint_t
ngx_http_ws_bus_jwt_take(ngx_str_t *value, wsb_str_t *token)
{
    size_t   n;
    u_char  *p, *last;

    p = value->data;
    last = p + value->len;
    n = sizeof(NGX_HTTP_WS_BUS_JWT_SCHEME) - 1;

    if (value->len >= n
        && ngx_strncasecmp(p, (u_char *) NGX_HTTP_WS_BUS_JWT_SCHEME, n) == 0
        && (value->len == n || p[n] == ' '))
    {
        p += n;
    }

    while (p < last && *p == ' ') {
        p++;
    }

    while (p < last && last[-1] == ' ') {
        last--;
    }

    token->data = p;
    token->len = last - p;

    return p < last && ngx_strlchr(p, last, ' ') == NULL;
}


/* The list may be spread over several lines, of which a variable has one. */

static ngx_uint_t
ngx_http_ws_bus_jwt_find_entry(ngx_http_request_t *r, wsb_str_t *token)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_ws_bus_http_header_is(&h[i], "sec-websocket-protocol")
                && ngx_http_ws_bus_jwt_take_entry(&h[i].value, token))
            {
                return 1;
            }
        }
    }

    return 0;
}


/* The entry "bearer.<token>" of a list of subprotocols. */

static ngx_uint_t
ngx_http_ws_bus_jwt_take_entry(ngx_str_t *value, wsb_str_t *token)
{
    size_t   n;
    u_char  *p, *end, *last;

    n = sizeof(NGX_HTTP_WS_BUS_JWT_ENTRY) - 1;
    last = value->data + value->len;

    for (p = value->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        end = end ? end : last;

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if ((size_t) (end - p) > n
            && ngx_strncmp(p, NGX_HTTP_WS_BUS_JWT_ENTRY, n) == 0)
        {
            token->data = p + n;
            token->len = end - token->data;

            while (token->data[token->len - 1] == ' '
                   || token->data[token->len - 1] == '\t')
            {
                token->len--;
            }

            return 1;
        }
    }

    return 0;
}


/* From here on no line of the error log has the request line. */

static ngx_int_t
ngx_http_ws_bus_jwt_rewrite_handler(ngx_http_request_t *r)
{
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf;

    jlcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_jwt_module);

    if (jlcf->sources != NULL && jlcf->in_line) {
        r->main->log_handler = ngx_http_ws_bus_jwt_log_handler;
    }

    return NGX_DECLINED;
}


/* In the place of nginx's: no request line, subrequest, upstream, referrer. */

static u_char *
ngx_http_ws_bus_jwt_log_handler(ngx_http_request_t *r, ngx_http_request_t *sr,
    u_char *buf, size_t len)
{
    u_char                    *p;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    p = ngx_snprintf(buf, len, ", server: %V, request: \"%V\" in location "
                     "\"%V\"", &cscf->server_name, &r->method_name,
                     &clcf->name);

    if (r->headers_in.host) {
        len -= p - buf;
        p = ngx_snprintf(p, len, ", host: \"%V\"",
                         &r->headers_in.host->value);
    }

    return p;
}
