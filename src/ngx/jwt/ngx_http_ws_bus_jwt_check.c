/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What is wrong with the directives of tokens only taken together: known when
 * a location has all of them, and told at the line of one of them.
 */

#include "ngx_http_ws_bus_jwt.h"


static void ngx_http_ws_bus_jwt_check_issuers(ngx_conf_t *cf,
    ngx_http_ws_bus_jwt_loc_conf_t *conf);
static ngx_uint_t ngx_http_ws_bus_jwt_return(ngx_conf_t *cf);


ngx_int_t
ngx_http_ws_bus_jwt_check(ngx_conf_t *cf,
    ngx_http_ws_bus_jwt_loc_conf_t *conf, ngx_uint_t own)
{
    ngx_uint_t                 status;
    ngx_http_core_loc_conf_t  *clcf;

    /* a server may leave it to its locations to complete this */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->name.len == 0 && !clcf->noname) {
        return NGX_OK;
    }

    if (conf->sources == NULL) {

        if (conf->require_place.line != 0) {
            ngx_http_ws_bus_place_log(NGX_LOG_EMERG, cf, &conf->require_place,
                                    "\"ws_bus_jwt_require\" in location "
                                    "\"%V\" without a token to look at: write "
                                    "where it comes from by \"ws_bus_jwt\", "
                                    "here or further out", &clcf->name);
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (conf->keys == NULL) {
        ngx_http_ws_bus_place_log(NGX_LOG_EMERG, cf, &conf->place,
                                  "\"ws_bus_jwt\" in location \"%V\" without a "
                                  "key to verify tokens: add "
                                  "\"ws_bus_jwt_key_file\"", &clcf->name);
        return NGX_ERROR;
    }

    ngx_http_ws_bus_jwt_check_issuers(cf, conf);

    status = ngx_http_ws_bus_jwt_return(cf);

    if (status != 0 && (own || status < NGX_HTTP_SPECIAL_RESPONSE)) {
        ngx_http_ws_bus_place_log(NGX_LOG_WARN, cf, &conf->place,
                               "\"return\" in location \"%V\" answers "
                               "before any token is looked at: \"ws_bus_jwt\" "
                               "does not guard it; use \"try_files\" and a "
                               "named location, or write \"ws_bus_jwt off\"",
                               &clcf->name);
    }

    return NGX_OK;
}


/*
 * With several issuers, whoever has the key of one could sign as another.  One
 * key alone is everybody's who signs by it.
 */

static void
ngx_http_ws_bus_jwt_check_issuers(ngx_conf_t *cf,
    ngx_http_ws_bus_jwt_loc_conf_t *conf)
{
    unsigned     i, free;
    wsb_jwks_t  *set;

    set = &conf->keys->set;
    free = 0;

    for (i = 0; i < set->n; i++) {
        free += set->key[i].nissuers == 0;
    }

    if (conf->keys->warned || free == 0 || set->n < 2
        || (free == set->n
            && (conf->issuers == NULL || conf->issuers->nelts < 2)))
    {
        return;
    }

    conf->keys->warned = 1;

    ngx_http_ws_bus_place_log(NGX_LOG_WARN, cf, &conf->keys->place,
                              "there are several issuers, and keys that are "
                              "bound to none: each of these verifies tokens of "
                              "any issuer; write \"issuer=\" behind each "
                              "\"ws_bus_jwt_key_file\"");
}


/*
 * The status of a "return" in this location that is no refusal; 0: there is
 * none.  What the rewrite module has compiled is looked through for its
 * operation: a list of words of which each operation begins with its function.
 */

static ngx_uint_t
ngx_http_ws_bus_jwt_return(ngx_conf_t *cf)
{
    void                  *conf;
    uintptr_t             *word;
    ngx_uint_t             i, n;
    ngx_array_t           *codes;
    ngx_module_t         **modules;
    ngx_http_conf_ctx_t   *ctx;

    ctx = cf->ctx;
    modules = cf->cycle->modules;
    conf = NULL;

    for (i = 0; modules[i]; i++) {
        if (ngx_strcmp(modules[i]->name, "ngx_http_rewrite_module") == 0) {
            conf = ctx->loc_conf[modules[i]->ctx_index];
        }
    }

    /* its first member */

    codes = conf ? *(ngx_array_t **) conf : NULL;

    if (codes == NULL) {
        return 0;
    }

    word = codes->elts;
    n = codes->nelts * codes->size / sizeof(uintptr_t);

    for (i = 0; i + 1 < n; i++) {
        if (word[i] == (uintptr_t) ngx_http_script_return_code
            && word[i + 1] < NGX_HTTP_BAD_REQUEST)
        {
            return word[i + 1];
        }
    }

    return 0;
}
