/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * ws_bus_jwt_key_file: keys, and what they are for.
 */

#include "ngx_http_ws_bus_jwt.h"


typedef struct {
    ngx_conf_t                  *cf;
    ngx_str_t                   *file;
} ngx_http_ws_bus_jwt_key_warn_t;


static void ngx_http_ws_bus_jwt_key_warn(void *ctx, const char *text);
static ngx_int_t ngx_http_ws_bus_jwt_key_use(ngx_conf_t *cf,
    wsb_jwk_use_t *use);
static ngx_int_t ngx_http_ws_bus_jwt_key_algs(ngx_conf_t *cf, ngx_str_t *arg,
    unsigned *algs);
static ngx_int_t ngx_http_ws_bus_jwt_read_file(ngx_conf_t *cf,
    ngx_str_t *name, wsb_str_t *text);
static void ngx_http_ws_bus_jwt_keys_cleanup(void *data);


/* Each adds to the keys of its level. */

char *
ngx_http_ws_bus_jwt_key_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_jwt_loc_conf_t  *jlcf = conf;

    wsb_rc_t                         rc;
    ngx_str_t                       *value;
    wsb_str_t                        text;
    wsb_jwk_use_t                    use;
    wsb_jwk_error_t                  err;
    ngx_pool_cleanup_t              *cln;
    ngx_http_ws_bus_jwt_key_warn_t   warn;

    value = cf->args->elts;

    if (ngx_http_ws_bus_jwt_key_use(cf, &use) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (jlcf->keys == NULL) {
        jlcf->keys = ngx_pcalloc(cf->pool,
                                 sizeof(ngx_http_ws_bus_jwt_keys_t));
        if (jlcf->keys == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_http_ws_bus_place_here(cf, &jlcf->keys->place);

        cln = ngx_pool_cleanup_add(cf->pool, 0);
        if (cln == NULL) {
            return NGX_CONF_ERROR;
        }

        cln->handler = ngx_http_ws_bus_jwt_keys_cleanup;
        cln->data = &jlcf->keys->set;
    }

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK
        || ngx_http_ws_bus_jwt_read_file(cf, &value[1], &text) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    warn.cf = cf;
    warn.file = &value[1];

    use.warn = ngx_http_ws_bus_jwt_key_warn;
    use.ctx = &warn;

    rc = wsb_jwks_add(&jlcf->keys->set, text, &use, &err);

    ngx_explicit_memzero((void *) text.data, text.len);
    ngx_free((void *) text.data);

    if (rc != WSB_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "key file \"%V\" %s",
                           &value[1], err.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_http_ws_bus_jwt_key_warn(void *ctx, const char *text)
{
    ngx_http_ws_bus_jwt_key_warn_t  *warn = ctx;

    ngx_conf_log_error(NGX_LOG_WARN, warn->cf, 0, "key file \"%V\" %s",
                       warn->file, text);
}


/* What is behind the name of the file; issuer= may come several times. */

static ngx_int_t
ngx_http_ws_bus_jwt_key_use(ngx_conf_t *cf, wsb_jwk_use_t *use)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    ngx_memzero(use, sizeof(wsb_jwk_use_t));

    value = cf->args->elts;

    use->issuers = ngx_palloc(cf->pool, cf->args->nelts * sizeof(char *));
    if (use->issuers == NULL) {
        return NGX_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "issuer=", 7) == 0) {

            if (value[i].len == 7
                || ngx_strchr(value[i].data, '$') != NULL)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid parameter \"%V\" in "
                                   "\"ws_bus_jwt_key_file\": expected "
                                   "\"issuer=\" and the \"iss\" of tokens, "
                                   "without variables", &value[i]);
                return NGX_ERROR;
            }

            use->issuers[use->nissuers++] = (char *) value[i].data + 7;
            continue;
        }

        if (use->algs != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"alg=\" comes twice in "
                               "\"ws_bus_jwt_key_file\": join the names by "
                               "commas");
            return NGX_ERROR;
        }

        if (ngx_http_ws_bus_jwt_key_algs(cf, &value[i], &use->algs) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* alg=name[,name ...] */

static ngx_int_t
ngx_http_ws_bus_jwt_key_algs(ngx_conf_t *cf, ngx_str_t *arg, unsigned *algs)
{
    u_char      *p, *last, *end, names[256];
    wsb_str_t    name;
    wsb_jwa_t    jwa;
    ngx_uint_t   i;

    last = arg->data + arg->len;

    if (ngx_strncmp(arg->data, "alg=", 4) != 0) {
        goto invalid;
    }

    for (p = arg->data + 4; p <= last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        end = end ? end : last;

        name.data = p;
        name.len = end - p;
        jwa = wsb_jwa_find(name);

        if (jwa == WSB_JWA_NUMBER) {
            goto invalid;
        }

        *algs |= WSB_JWA_BIT(jwa);
    }

    return NGX_OK;

invalid:

    p = names;

    for (i = 0; i < WSB_JWA_NUMBER; i++) {
        p = ngx_slprintf(p, names + sizeof(names), "%s%s", i ? ", " : "",
                         wsb_jwa_names[i]);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"ws_bus_jwt_key_file\": "
                       "expected \"issuer=\" and an issuer, or \"alg=\" and "
                       "names joined by commas, of %*s", arg,
                       (size_t) (p - names), names);

    return NGX_ERROR;
}


/* The text is to be freed. */

static ngx_int_t
ngx_http_ws_bus_jwt_read_file(ngx_conf_t *cf, ngx_str_t *name,
    wsb_str_t *text)
{
    size_t       size;
    u_char      *buf;
    ssize_t      n;
    ngx_file_t   file;

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    /* one byte more, so that a longer file is seen to be one */

    size = WSB_JWK_FILE_MAX + 1;
    n = NGX_ERROR;

    buf = ngx_alloc(size, cf->log);

    if (buf != NULL) {
        n = ngx_read_file(&file, buf, size, 0);

        if (n == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               ngx_read_file_n " \"%V\" failed", name);
            ngx_free(buf);
        }
    }

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", name);
    }

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    text->data = buf;
    text->len = n;

    return NGX_OK;
}


static void
ngx_http_ws_bus_jwt_keys_cleanup(void *data)
{
    wsb_jwks_done(data);
}
