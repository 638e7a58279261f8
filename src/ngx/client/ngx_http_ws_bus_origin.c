/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * ws_bus_origin: which pages may open a connection.
 *
 * A browser lets any page connect to any server, with the user's cookies, and
 * says in the Origin header which page it was.  Other clients send what they
 * like there, or nothing.
 */

#include "ngx_http_ws_bus_client.h"

#include "../../ws/wsb_origin.h"


/* One value of the directive: one of the three is set. */

typedef struct {
    wsb_origin_pattern_t         pattern;
    ngx_http_complex_value_t    *value;       /* holds variables */
#if (NGX_PCRE)
    ngx_http_regex_t            *regex;
#endif
} ngx_http_ws_bus_origin_item_t;


struct ngx_http_ws_bus_origins_s {
    ngx_uint_t                   any;
    ngx_uint_t                   same;
    ngx_uint_t                   null;        /* "Origin: null" */
    ngx_uint_t                   required;
    ngx_array_t                  items;   /* ngx_http_ws_bus_origin_item_t */
    ngx_http_ws_bus_place_t      place;
};


static char *ngx_http_ws_bus_origin_word(ngx_conf_t *cf,
    ngx_http_ws_bus_origins_t *origins, ngx_str_t *value, ngx_uint_t *found);
static char *ngx_http_ws_bus_origin_item(ngx_conf_t *cf,
    ngx_http_ws_bus_origins_t *origins, ngx_str_t *value);
static char *ngx_http_ws_bus_origin_regex(ngx_conf_t *cf,
    ngx_http_ws_bus_origin_item_t *item, ngx_str_t *value);
static char *ngx_http_ws_bus_origin_value(ngx_conf_t *cf,
    ngx_http_ws_bus_origin_item_t *item, ngx_str_t *value);
static const char *ngx_http_ws_bus_origin_refused(ngx_http_request_t *r,
    ngx_http_ws_bus_origins_t *origins, ngx_str_t *text, ngx_uint_t n);
static ngx_uint_t ngx_http_ws_bus_origin_listed(ngx_http_request_t *r,
    ngx_http_ws_bus_origins_t *origins, ngx_str_t *text,
    wsb_origin_t *origin);
static ngx_uint_t ngx_http_ws_bus_origin_own(ngx_http_request_t *r,
    wsb_origin_t *origin);
static ngx_uint_t ngx_http_ws_bus_origin_no_name(wsb_str_t *host);
static void ngx_http_ws_bus_origin_warn(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *conf);
static ngx_uint_t ngx_http_ws_bus_origin_named(ngx_http_server_name_t *sn,
    wsb_str_t *host, ngx_uint_t asked);


char *
ngx_http_ws_bus_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf = conf;

    char                       *rv;
    ngx_str_t                  *value;
    ngx_uint_t                  i, word;
    ngx_http_ws_bus_origins_t  *origins;

    if (ccf->origins != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    origins = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_origins_t));

    if (origins != NULL) {
        ngx_http_ws_bus_place_here(cf, &origins->place);
    }

    if (origins == NULL
        || ngx_array_init(&origins->items, cf->pool, 4,
                          sizeof(ngx_http_ws_bus_origin_item_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        rv = ngx_http_ws_bus_origin_word(cf, origins, &value[i], &word);

        if (rv == NGX_CONF_OK && !word) {
            rv = ngx_http_ws_bus_origin_item(cf, origins, &value[i]);
        }

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (origins->any && cf->args->nelts > 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"any\" in \"ws_bus_origin\" stands alone: write "
                           "either \"any\" or the origins that may connect");
        return NGX_CONF_ERROR;
    }

    if (origins->required && cf->args->nelts == 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ws_bus_origin required\" allows nothing: write "
                           "the origins that may connect as well, such as "
                           "\"same\"");
        return NGX_CONF_ERROR;
    }

    ccf->origins = origins;

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_origin_word(ngx_conf_t *cf,
    ngx_http_ws_bus_origins_t *origins, ngx_str_t *value, ngx_uint_t *found)
{
    ngx_uint_t  *flag;

    *found = 1;

    if (ngx_strcmp(value->data, "any") == 0) {
        flag = &origins->any;

    } else if (ngx_strcmp(value->data, "same") == 0) {
        flag = &origins->same;

    } else if (ngx_strcmp(value->data, "null") == 0) {
        flag = &origins->null;

    } else if (ngx_strcmp(value->data, "required") == 0) {
        flag = &origins->required;

    } else {
        *found = 0;
        return NGX_CONF_OK;
    }

    if (*flag) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" comes twice in \"ws_bus_origin\": write it "
                           "once", value);
        return NGX_CONF_ERROR;
    }

    *flag = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_ws_bus_origin_item(ngx_conf_t *cf,
    ngx_http_ws_bus_origins_t *origins, ngx_str_t *value)
{
    wsb_str_t                       text;
    const char                     *reason;
    ngx_http_ws_bus_origin_item_t  *item;

    item = ngx_array_push(&origins->items);
    if (item == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(item, sizeof(ngx_http_ws_bus_origin_item_t));

    if (value->len != 0 && value->data[0] == '~') {
        return ngx_http_ws_bus_origin_regex(cf, item, value);
    }

    if (ngx_http_script_variables_count(value) != 0) {
        return ngx_http_ws_bus_origin_value(cf, item, value);
    }

    text.data = value->data;
    text.len = value->len;

    if (ngx_strncasecmp(value->data, (u_char *) "ws://", 5) == 0
        || ngx_strncasecmp(value->data, (u_char *) "wss://", 6) == 0)
    {
        reason = "the origin is that of the page, not of the websocket, so "
                 "that it never begins with \"ws://\" or \"wss://\"";
        goto invalid;
    }

    if (wsb_origin_pattern_parse(text, &item->pattern, &reason) != WSB_OK) {
        goto invalid;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid origin \"%V\" in \"ws_bus_origin\": %s; "
                       "write \"any\", \"same\", \"null\", or an origin "
                       "such as \"https://example.com\"", value, reason);

    return NGX_CONF_ERROR;
}


/* It must match as a whole: else whoever owns a longer name gets in. */

static char *
ngx_http_ws_bus_origin_regex(ngx_conf_t *cf,
    ngx_http_ws_bus_origin_item_t *item, ngx_str_t *value)
{
#if (NGX_PCRE)

    u_char                errstr[NGX_MAX_CONF_ERRSTR];
    ngx_str_t             whole;
    ngx_regex_compile_t   rc;

    if (value->len == 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty regex in \"ws_bus_origin\": write one "
                           "behind the \"~\"");
        return NGX_CONF_ERROR;
    }

    whole.len = sizeof("^(?:)$") - 1 + value->len - 1;
    whole.data = ngx_pnalloc(cf->pool, whole.len + 1);
    if (whole.data == NULL) {
        return NGX_CONF_ERROR;
    }

    *ngx_sprintf(whole.data, "^(?:%s)$", value->data + 1) = '\0';

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern = whole;
    rc.options = NGX_REGEX_CASELESS;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    item->regex = ngx_http_regex_compile(cf, &rc);

    return item->regex ? NGX_CONF_OK : NGX_CONF_ERROR;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "the regex \"%V\" in \"ws_bus_origin\" needs an nginx "
                       "with PCRE: write the origins instead", value);

    return NGX_CONF_ERROR;

#endif
}


static char *
ngx_http_ws_bus_origin_value(ngx_conf_t *cf,
    ngx_http_ws_bus_origin_item_t *item, ngx_str_t *value)
{
    ngx_http_compile_complex_value_t  ccv;

    item->value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (item->value == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = item->value;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


/* text is the last of n Origin headers. */

ngx_uint_t
ngx_http_ws_bus_origin_listed_only(
    ngx_http_ws_bus_client_loc_conf_t *conf)
{
    return conf->origins != NULL && !conf->origins->any;
}


ngx_int_t
ngx_http_ws_bus_origin_check(ngx_http_request_t *r, ngx_str_t *text,
    ngx_uint_t n)
{
    const char                         *reason;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (ccf->origins == NULL || ccf->origins->any) {
        return NGX_OK;
    }

    reason = ngx_http_ws_bus_origin_refused(r, ccf->origins, text, n);

    if (reason == NULL) {
        return NGX_OK;
    }

    ngx_http_ws_bus_refusal_log(r, NGX_LOG_ERR,
                                "websocket handshake refused: %s", reason);

    if (ccf->zone != NULL && ccf->zone->worker != NULL) {
        ngx_http_ws_bus_client_counters(ccf->zone->worker)->refused_origins++;
    }

    return NGX_HTTP_FORBIDDEN;
}


/* Why it is refused; NULL: it is not. */

static const char *
ngx_http_ws_bus_origin_refused(ngx_http_request_t *r,
    ngx_http_ws_bus_origins_t *origins, ngx_str_t *text, ngx_uint_t n)
{
    wsb_str_t     s;
    wsb_origin_t  origin;

    if (n == 0) {
        return origins->required ? "it has no Origin" : NULL;
    }

    if (n > 1) {
        return "it has more than one Origin";
    }

    if (text->len == 4 && ngx_strncmp(text->data, "null", 4) == 0) {
        return origins->null ? NULL : "its Origin is null";
    }

    s.data = text->data;
    s.len = text->len;

    if (wsb_origin_parse(s, &origin) != WSB_OK) {
        return "its Origin is not valid";
    }

    if ((origins->same && ngx_http_ws_bus_origin_own(r, &origin))
        || ngx_http_ws_bus_origin_listed(r, origins, text, &origin))
    {
        return NULL;
    }

    return "its Origin is not allowed";
}


static ngx_uint_t
ngx_http_ws_bus_origin_listed(ngx_http_request_t *r,
    ngx_http_ws_bus_origins_t *origins, ngx_str_t *text,
    wsb_origin_t *origin)
{
    wsb_str_t                       s;
    ngx_str_t                       value;
    ngx_uint_t                      i;
    wsb_origin_t                    other;
    ngx_http_ws_bus_origin_item_t  *item;

    item = origins->items.elts;

    for (i = 0; i < origins->items.nelts; i++) {

#if (NGX_PCRE)
        if (item[i].regex != NULL) {
            if (ngx_http_regex_exec(r, item[i].regex, text) == NGX_OK) {
                return 1;
            }

            continue;
        }
#endif

        if (item[i].value == NULL) {
            if (wsb_origin_match(&item[i].pattern, origin)) {
                return 1;
            }

            continue;
        }

        /* of a client's value nothing is a wildcard */

        if (ngx_http_complex_value(r, item[i].value, &value) != NGX_OK) {
            continue;
        }

        s.data = value.data;
        s.len = value.len;

        if (wsb_origin_parse(s, &other) == WSB_OK
            && wsb_origin_equal(&other, origin))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Is it that of the request: $scheme, and the Host header?  That alone would
 * let in a page whose name has been made to lead here (DNS rebinding): it is
 * of one origin with all that it asks for.  So the name must be configured.
 */

static ngx_uint_t
ngx_http_ws_bus_origin_own(ngx_http_request_t *r, wsb_origin_t *origin)
{
    u_char                             *p;
    ngx_str_t                          *host;
    wsb_str_t                           s, name;
    ngx_uint_t                          i, asked;
    const char                         *scheme;
    wsb_origin_t                        own;
    ngx_http_server_name_t             *sn;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    if (r->headers_in.host == NULL) {
        return 0;
    }

    host = &r->headers_in.host->value;
    scheme = ngx_http_ws_bus_compat_scheme(r->connection);

    p = ngx_pnalloc(r->pool, sizeof("https://") + host->len);
    if (p == NULL) {
        return 0;
    }

    s.data = p;
    s.len = ngx_sprintf(p, "%s://%V", scheme, host) - p;

    if (wsb_origin_parse(s, &own) != WSB_OK) {
        return 0;
    }

    asked = wsb_origin_equal(&own, origin);

    if (asked && ngx_http_ws_bus_origin_no_name(&own.host)) {
        return 1;
    }

    /* but for the name */

    name = own.host;
    own.host = origin->host;

    if (!wsb_origin_equal(&own, origin)) {
        return 0;
    }

    ngx_strlow(p, (u_char *) name.data, name.len);
    name.data = p;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);
    sn = ccf->names->elts;

    for (i = 0; i < ccf->names->nelts; i++) {
        if (ngx_http_ws_bus_origin_named(&sn[i],
                                         asked ? &name : &origin->host,
                                         asked))
        {
            return 1;
        }
    }

    return 0;
}


/* An address, or this machine: no name server is asked for it. */

static ngx_uint_t
ngx_http_ws_bus_origin_no_name(wsb_str_t *host)
{
    size_t  i;

    if (host->data[0] == '[') {
        return 1;
    }

    if (host->len == sizeof("localhost") - 1
        && ngx_strncasecmp((u_char *) host->data, (u_char *) "localhost",
                           host->len)
           == 0)
    {
        return 1;
    }

    for (i = 0; i < host->len; i++) {
        if (host->data[i] != '.'
            && (host->data[i] < '0' || host->data[i] > '9'))
        {
            return 0;
        }
    }

    return 1;
}


/*
 * asked: the Host header says the same, in lower case here.  Else only a name
 * that is written out counts: below one domain there may be pages of many.
 * One with an asterisk at its end is anybody's.
 */

static ngx_uint_t
ngx_http_ws_bus_origin_named(ngx_http_server_name_t *sn, wsb_str_t *host,
    ngx_uint_t asked)
{
    size_t      n;
    u_char     *name;
    ngx_str_t   s;

    s.data = (u_char *) host->data;
    s.len = host->len;

#if (NGX_PCRE)
    if (sn->regex != NULL) {
        return asked && ngx_regex_exec(sn->regex->regex, &s, NULL, 0) >= 0;
    }
#endif

    name = sn->name.data;
    n = sn->name.len;

    if (n > 1 && name[0] == '*') {
        name++;
        n--;

    } else if (n == 0 || name[0] != '.') {
        return n == s.len && ngx_strncasecmp(name, s.data, n) == 0;
    }

    /* ".name": names below it, and that itself if no asterisk was before it */

    if (!asked) {
        return 0;
    }

    if (s.len > n) {
        return ngx_memcmp(s.data + s.len - n, name, n) == 0;
    }

    return name == sn->name.data && s.len == n - 1
           && ngx_memcmp(s.data, name + 1, s.len) == 0;
}


ngx_int_t
ngx_http_ws_bus_origin_merge(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *prev,
    ngx_http_ws_bus_client_loc_conf_t *conf)
{
    ngx_http_server_name_t    *sn;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_core_srv_conf_t  *cscf;

    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);

    conf->names = prev->names;

    if (conf->names == NULL) {
        cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

        conf->names = ngx_array_create(cf->pool,
                                       cscf->server_names.nelts + 1,
                                       sizeof(ngx_http_server_name_t));
        if (conf->names == NULL) {
            return NGX_ERROR;
        }

        sn = ngx_array_push_n(conf->names, cscf->server_names.nelts);
        if (sn == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(sn, cscf->server_names.elts,
                   cscf->server_names.nelts * sizeof(ngx_http_server_name_t));
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->handler != NULL && clcf->handler == conf->handler
        && conf->origins != NULL && conf->origins->same)
    {
        ngx_http_ws_bus_origin_warn(cf, conf);
    }

    return NGX_OK;
}


/* "same" needs a name to compare with. */

static void
ngx_http_ws_bus_origin_warn(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *conf)
{
    ngx_uint_t                 i;
    ngx_http_server_name_t    *sn;
    ngx_http_core_loc_conf_t  *clcf;

    if (conf->origins->items.nelts != 0) {
        return;
    }

    sn = conf->names->elts;

    for (i = 0; i < conf->names->nelts; i++) {
        if (sn[i].name.len > 1) {
            return;
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    ngx_http_ws_bus_place_log(NGX_LOG_WARN, cf, &conf->origins->place,
                              "\"ws_bus_origin same\" for location \"%V\" of a "
                              "server without a \"server_name\": only pages at "
                              "an address or at \"localhost\" can connect",
                              &clcf->name);
}
