/*
 * The token of a request.  It is looked at once: by whoever needs a claim
 * first, at the latest in the access phase.  So claims are there for
 * limit_req as well, which comes before.
 */

#include "ngx_http_ws_bus_jwt.h"


#define NGX_HTTP_WS_BUS_JWT_CLAIM    "ws_bus_jwt_claim_"
#define NGX_HTTP_WS_BUS_JWT_SCHEME   "Bearer"
#define NGX_HTTP_WS_BUS_JWT_ENTRY    "bearer."
#define NGX_HTTP_WS_BUS_JWT_REALM    "Bearer realm=\"ws_bus\""


static ngx_int_t ngx_http_ws_bus_jwt_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_ws_bus_jwt_required(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_loc_conf_t *jlcf);
static ngx_int_t ngx_http_ws_bus_jwt_unauthorized(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_ctx_t *ctx);
static void ngx_http_ws_bus_jwt_count(ngx_http_request_t *r);
static ngx_http_ws_bus_jwt_ctx_t *ngx_http_ws_bus_jwt_look(
    ngx_http_request_t *r, ngx_http_ws_bus_jwt_loc_conf_t *jlcf);
static ngx_http_ws_bus_jwt_ctx_t *ngx_http_ws_bus_jwt_create_ctx(
    ngx_http_request_t *r);
static void ngx_http_ws_bus_jwt_ctx_cleanup(void *data);
static ngx_uint_t ngx_http_ws_bus_jwt_same(
    const ngx_http_ws_bus_jwt_loc_conf_t *a,
    const ngx_http_ws_bus_jwt_loc_conf_t *b);
static ngx_int_t ngx_http_ws_bus_jwt_find(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_loc_conf_t *jlcf, wsb_str_t *token);
static ngx_uint_t ngx_http_ws_bus_jwt_take(ngx_str_t *value, wsb_str_t *token);
static ngx_uint_t ngx_http_ws_bus_jwt_take_entry(ngx_str_t *value,
    wsb_str_t *token);
static ngx_int_t ngx_http_ws_bus_jwt_prefix_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ws_bus_jwt_path_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ws_bus_jwt_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, u_char *path, size_t len);
static ngx_int_t ngx_http_ws_bus_jwt_remember(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_ctx_t *ctx, u_char *path, size_t len);
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

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_jwt_handler(ngx_http_request_t *r)
{
    ngx_http_ws_bus_jwt_ctx_t       *ctx;
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf;

    jlcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_jwt_module);

    if (jlcf->sources == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_ws_bus_jwt_look(r, jlcf);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

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

        if (value.len == 0 || (value.len == 1 && value.data[0] == '0')) {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "token lacks what \"ws_bus_jwt_require\" wants");
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
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client sent no token");
        return NGX_HTTP_UNAUTHORIZED;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "client sent a token that is refused: %s", ctx->reason);

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


/* Where there is a bus to count it at. */

static void
ngx_http_ws_bus_jwt_count(ngx_http_request_t *r)
{
    ngx_http_ws_bus_zone_t      *bus;
    ngx_http_ws_bus_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_module);

    bus = wlcf->zone ? wlcf->zone
                     : wlcf->publish ? wlcf->publish : wlcf->capture;

    if (bus != NULL && bus->worker != NULL && bus->worker->slot != -1) {
        ngx_http_ws_bus_counters(bus->worker)->jwt_refused++;
    }
}


/* NULL: no memory. */

static ngx_http_ws_bus_jwt_ctx_t *
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

    if (wsb_jwt_verify(token, jlcf->keys, buf, claims, reason) != WSB_OK) {
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
    ngx_uint_t                     i, found;
    ngx_http_ws_bus_jwt_source_t  *source;

    source = jlcf->sources->elts;

    for (i = 0; i < jlcf->sources->nelts; i++) {

        if (ngx_http_complex_value(r, &source[i].value, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        found = source[i].list ? ngx_http_ws_bus_jwt_take_entry(&value, token)
                               : ngx_http_ws_bus_jwt_take(&value, token);

        if (found) {
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


ngx_int_t
ngx_http_ws_bus_jwt_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    static ngx_str_t  name = ngx_string(NGX_HTTP_WS_BUS_JWT_CLAIM);

    var = ngx_http_add_variable(cf, &name,
                                NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_ws_bus_jwt_prefix_variable;

    return NGX_OK;
}


char *
ngx_http_ws_bus_jwt_claim_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    size_t                len;
    u_char                buf[WSB_CLAIM_PATH_MAX];
    ngx_str_t            *value, *path;
    wsb_str_t             names;
    ngx_http_variable_t  *var;

    value = cf->args->elts;

    if (value[1].len < 2 || value[1].data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid variable \"%V\" in "
                           "\"ws_bus_jwt_claim_set\": write \"$name\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    names.data = value[2].data;
    names.len = value[2].len;

    if (wsb_claims_path(names, ".", buf, &len) != WSB_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid path \"%V\" in \"ws_bus_jwt_claim_set\": "
                           "expected names joined by dots, at most %d, and "
                           "less than %d bytes", &value[2], WSB_CLAIM_LEVELS,
                           WSB_CLAIM_PATH_MAX);
        return NGX_CONF_ERROR;
    }

    path = ngx_palloc(cf->pool, sizeof(ngx_str_t));
    if (path == NULL) {
        return NGX_CONF_ERROR;
    }

    path->len = len;
    path->data = ngx_pnalloc(cf->pool, len);
    if (path->data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(path->data, buf, len);

    value[1].data++;
    value[1].len--;

    var = ngx_http_add_variable(cf, &value[1], NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_CONF_ERROR;
    }

    var->get_handler = ngx_http_ws_bus_jwt_path_variable;
    var->data = (uintptr_t) path;

    return NGX_CONF_OK;
}


/* In the name of a variable two underscores stand for a dot. */

static ngx_int_t
ngx_http_ws_bus_jwt_prefix_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    size_t      len;
    u_char      path[WSB_CLAIM_PATH_MAX];
    ngx_str_t  *name;
    wsb_str_t   names;

    name = (ngx_str_t *) data;

    names.data = name->data + sizeof(NGX_HTTP_WS_BUS_JWT_CLAIM) - 1;
    names.len = name->len - (sizeof(NGX_HTTP_WS_BUS_JWT_CLAIM) - 1);

    if (wsb_claims_path(names, "__", path, &len) != WSB_OK) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_ws_bus_jwt_variable(r, v, path, len);
}


static ngx_int_t
ngx_http_ws_bus_jwt_path_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  *path;

    path = (ngx_str_t *) data;

    return ngx_http_ws_bus_jwt_variable(r, v, path->data, path->len);
}


static ngx_int_t
ngx_http_ws_bus_jwt_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, u_char *path, size_t len)
{
    wsb_rc_t                         rc;
    wsb_text_t                       text;
    wsb_json_t                       value;
    ngx_http_ws_bus_jwt_ctx_t       *ctx;
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf;

    v->not_found = 1;

    if (r != r->main) {
        /* no access phase: what is known of the main request */
        ctx = ngx_http_ws_bus_jwt_ctx(r);

    } else {
        jlcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_jwt_module);

        if (jlcf->sources == NULL) {
            return NGX_OK;
        }

        ctx = ngx_http_ws_bus_jwt_look(r, jlcf);
        if (ctx == NULL) {
            return NGX_ERROR;
        }
    }

    if (ctx == NULL || !ctx->verified) {
        return NGX_OK;
    }

    if (ngx_http_ws_bus_jwt_remember(r, ctx, path, len) != NGX_OK) {
        return NGX_ERROR;
    }

    if (wsb_claims_get(&ctx->claims, path, len, &value) != WSB_OK) {
        return NGX_OK;
    }

    ngx_memzero(&text, sizeof(wsb_text_t));

    rc = wsb_claims_text(&value, &text);

    if (rc == WSB_OK) {
        v->len = text.len;
        v->data = ngx_pnalloc(r->pool, text.len + 1);
        v->valid = (v->data != NULL);
        v->not_found = 0;

        if (v->data == NULL) {
            rc = WSB_NOMEM;

        } else if (text.len != 0) {
            ngx_memcpy(v->data, text.data, text.len);
        }
    }

    wsb_text_done(&text);

    return rc == WSB_NOMEM ? NGX_ERROR : NGX_OK;
}


/* What a connection is made of must come out the same when it is renewed. */

static ngx_int_t
ngx_http_ws_bus_jwt_remember(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_ctx_t *ctx, u_char *path, size_t len)
{
    ngx_str_t   *read;
    ngx_uint_t   i;

    read = ctx->reads.elts;

    for (i = 0; i < ctx->reads.nelts; i++) {
        if (read[i].len == len && ngx_memcmp(read[i].data, path, len) == 0) {
            return NGX_OK;
        }
    }

    read = ngx_array_push(&ctx->reads);
    if (read == NULL) {
        return NGX_ERROR;
    }

    read->len = len;
    read->data = ngx_pnalloc(r->pool, len);

    if (read->data == NULL) {
        ctx->reads.nelts--;
        return NGX_ERROR;
    }

    ngx_memcpy(read->data, path, len);

    return NGX_OK;
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
