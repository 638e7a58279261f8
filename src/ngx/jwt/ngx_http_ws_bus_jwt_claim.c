/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Claims as variables.  Which ones are asked for is remembered with the
 * request: see ngx_http_ws_bus_jwt_attach().
 */

#include "ngx_http_ws_bus_jwt.h"


#define NGX_HTTP_WS_BUS_JWT_CLAIM    "ws_bus_jwt_claim_"


static ngx_int_t ngx_http_ws_bus_jwt_prefix_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ws_bus_jwt_path_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_uint_t ngx_http_ws_bus_jwt_claims_used(
    ngx_http_core_main_conf_t *cmcf);
static ngx_int_t ngx_http_ws_bus_jwt_wrapped_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ws_bus_jwt_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, u_char *path, size_t len);
static ngx_int_t ngx_http_ws_bus_jwt_remember(ngx_http_request_t *r,
    ngx_http_ws_bus_jwt_ctx_t *ctx, u_char *path, size_t len);


/* A variable that is made of others, perhaps of claims. */

typedef struct {
    ngx_http_get_variable_pt     handler;
    uintptr_t                    data;
} ngx_http_ws_bus_jwt_wrapped_t;


static ngx_uint_t  ngx_http_ws_bus_jwt_asked;     /* claims, ever */


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


/*
 * Whoever makes a variable has said all, and nginx has not yet taken over
 * what is said.
 */

ngx_int_t
ngx_http_ws_bus_jwt_wrap_variables(ngx_conf_t *cf)
{
    ngx_uint_t                      i;
    ngx_hash_key_t                 *key;
    ngx_http_variable_t            *var;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_ws_bus_jwt_wrapped_t  *wrapped;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (!ngx_http_ws_bus_jwt_claims_used(cmcf)) {
        return NGX_OK;
    }

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        var = key[i].value;

        if (var == NULL || var->get_handler == NULL
            || var->set_handler != NULL
            || !(var->flags & NGX_HTTP_VAR_CHANGEABLE)
            || (var->flags & NGX_HTTP_VAR_NOCACHEABLE))
        {
            continue;
        }

        wrapped = ngx_palloc(cf->pool, sizeof(ngx_http_ws_bus_jwt_wrapped_t));
        if (wrapped == NULL) {
            return NGX_ERROR;
        }

        wrapped->handler = var->get_handler;
        wrapped->data = var->data;

        var->get_handler = ngx_http_ws_bus_jwt_wrapped_variable;
        var->data = (uintptr_t) wrapped;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_ws_bus_jwt_claims_used(ngx_http_core_main_conf_t *cmcf)
{
    ngx_uint_t            i;
    ngx_hash_key_t       *key;
    ngx_http_variable_t  *var;

    var = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {
        if (var[i].name.len >= sizeof(NGX_HTTP_WS_BUS_JWT_CLAIM) - 1
            && ngx_strncmp(var[i].name.data, NGX_HTTP_WS_BUS_JWT_CLAIM,
                           sizeof(NGX_HTTP_WS_BUS_JWT_CLAIM) - 1)
               == 0)
        {
            return 1;
        }
    }

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        var = key[i].value;

        if (var != NULL
            && var->get_handler == ngx_http_ws_bus_jwt_path_variable)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_ws_bus_jwt_wrapped_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_ws_bus_jwt_wrapped_t  *wrapped;

    ngx_int_t   rc;
    ngx_uint_t  asked;

    wrapped = (ngx_http_ws_bus_jwt_wrapped_t *) data;
    asked = ngx_http_ws_bus_jwt_asked;

    rc = wrapped->handler(r, v, wrapped->data);

    if (asked != ngx_http_ws_bus_jwt_asked) {
        v->no_cacheable = 1;
    }

    return rc;
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

    ngx_http_ws_bus_jwt_asked++;

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
