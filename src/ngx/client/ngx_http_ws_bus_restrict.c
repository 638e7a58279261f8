/*
 * ws_bus_restrict: conditions that every subscription of a connection gets.
 * The values are taken once, at the handshake.
 */

#include "ngx_http_ws_bus_client.h"


/* A piece of a pattern: what is made of variables means itself. */

typedef struct {
    ngx_http_complex_value_t     value;
    ngx_uint_t                   literal;
} ngx_http_ws_bus_piece_t;


typedef struct {
    ngx_str_t                    field;
    ngx_str_t                    op;
    ngx_http_complex_value_t     value;
    ngx_array_t                 *pieces;      /* of a pattern with variables,
                                                 else NULL */
} ngx_http_ws_bus_condition_t;


static char *ngx_http_ws_bus_restrict_pieces(ngx_conf_t *cf,
    ngx_http_ws_bus_condition_t *condition, ngx_str_t *value);
static size_t ngx_http_ws_bus_restrict_piece_len(ngx_str_t *value,
    ngx_uint_t *literal);
static ngx_int_t ngx_http_ws_bus_restrict_compile(ngx_conf_t *cf,
    ngx_str_t *value, ngx_http_complex_value_t *cv);
static ngx_int_t ngx_http_ws_bus_restrict_value(ngx_http_request_t *r,
    ngx_http_ws_bus_condition_t *condition, wsb_str_t *value);
static ngx_int_t ngx_http_ws_bus_restrict_check(ngx_conf_t *cf,
    ngx_http_ws_bus_condition_t *condition);
static void ngx_http_ws_bus_restrict_met(void *ctx, wsb_node_t *node,
    wsb_change_t change);
static ngx_uint_t ngx_http_ws_bus_restrict_many(ngx_conf_t *cf,
    ngx_uint_t n);


static ngx_inline wsb_str_t
ngx_http_ws_bus_restrict_str(const ngx_str_t *s)
{
    wsb_str_t  str;

    str.data = s->data;
    str.len = s->len;

    return str;
}


char *
ngx_http_ws_bus_restrict(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf = conf;

    char                         *rv;
    ngx_str_t                    *value;
    ngx_http_ws_bus_condition_t  *condition;

    if (ccf->conditions == NULL) {
        ccf->conditions = ngx_array_create(cf->pool, 4,
                                        sizeof(ngx_http_ws_bus_condition_t));
        if (ccf->conditions == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_ws_bus_restrict_many(cf, ccf->conditions->nelts + 1)) {
        return NGX_CONF_ERROR;
    }

    condition = ngx_array_push(ccf->conditions);
    if (condition == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    ngx_memzero(condition, sizeof(ngx_http_ws_bus_condition_t));

    condition->field = value[1];
    condition->op = value[2];

    if (ngx_strcmp(value[2].data, "in") == 0
        && (ngx_strstr(value[3].data, ", ") != NULL
            || ngx_strstr(value[3].data, " ,") != NULL))
    {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "a space beside a comma in \"%V\" belongs to an "
                           "element: write the list without spaces",
                           &value[3]);
    }

    if (ngx_http_ws_bus_arg_decode(cf, &value[3]) != NGX_OK
        || ngx_http_ws_bus_restrict_compile(cf, &value[3], &condition->value)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (condition->value.lengths != NULL
        && (ngx_strcmp(value[2].data, "like") == 0
            || ngx_strcmp(value[2].data, "ilike") == 0))
    {
        rv = ngx_http_ws_bus_restrict_pieces(cf, condition, &value[3]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return ngx_http_ws_bus_restrict_check(cf, condition) == NGX_OK
               ? NGX_CONF_OK
               : NGX_CONF_ERROR;
}


/* By turns the text of the configuration, in which "%" and "_" are any. */

static char *
ngx_http_ws_bus_restrict_pieces(ngx_conf_t *cf,
    ngx_http_ws_bus_condition_t *condition, ngx_str_t *value)
{
    ngx_str_t                 rest, text;
    ngx_uint_t                literal, i;
    ngx_http_ws_bus_piece_t  *piece;

    condition->pieces = ngx_array_create(cf->pool, 4,
                                         sizeof(ngx_http_ws_bus_piece_t));
    if (condition->pieces == NULL) {
        return NGX_CONF_ERROR;
    }

    for (rest = *value; rest.len != 0; rest.len -= text.len) {

        text.data = rest.data;
        text.len = ngx_http_ws_bus_restrict_piece_len(&rest, &literal);
        rest.data += text.len;

        /* one in front of a variable would take its first byte */

        for (i = 0; i < text.len && text.data[text.len - 1 - i] == '\\'; i++)
        {
            /* void */
        }

        if (!literal && (i & 1) && text.len != rest.len) {
            return "has a backslash in front of a variable: write two for "
                   "one that means itself";
        }

        piece = ngx_array_push(condition->pieces);
        if (piece == NULL) {
            return NGX_CONF_ERROR;
        }

        piece->literal = literal;

        if (ngx_http_ws_bus_restrict_compile(cf, &text, &piece->value)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* Of the variable, or of the text, that the value begins with. */

static size_t
ngx_http_ws_bus_restrict_piece_len(ngx_str_t *value, ngx_uint_t *literal)
{
    u_char  *p, *last, ch;

    p = value->data;
    last = p + value->len;

    *literal = (*p == '$');

    if (*p != '$') {
        p = ngx_strlchr(p, last, '$');
        return (p ? p : last) - value->data;
    }

    p++;

    if (p < last && *p == '{') {
        p = ngx_strlchr(p, last, '}');
        return (p ? p + 1 : last) - value->data;
    }

    if (p < last && *p >= '1' && *p <= '9') {
        return 2;
    }

    for ( /* void */ ; p < last; p++) {
        ch = *p;

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '_'))
        {
            break;
        }
    }

    return p - value->data;
}


static ngx_int_t
ngx_http_ws_bus_restrict_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv)
{
    ngx_http_compile_complex_value_t  ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    return ngx_http_compile_complex_value(&ccv);
}


/* What does not depend on a request is refused now. */

static ngx_int_t
ngx_http_ws_bus_restrict_check(ngx_conf_t *cf,
    ngx_http_ws_bus_condition_t *condition)
{
    wsb_rc_t            rc;
    wsb_forced_t        forced;
    wsb_restrict_t     *made;
    wsb_where_error_t   err;

    static const uint8_t    key[16];
    static const wsb_str_t  any = wsb_string("0");

    forced.field = ngx_http_ws_bus_restrict_str(&condition->field);
    forced.op = ngx_http_ws_bus_restrict_str(&condition->op);
    forced.value = condition->value.lengths
                       ? any
                       : ngx_http_ws_bus_restrict_str(&condition->value.value);

    rc = wsb_restrict_create(key, &forced, 1, &made, &err);

    if (rc == WSB_OK) {
        wsb_restrict_free(made);
        return NGX_OK;
    }

    if (rc == WSB_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"ws_bus_restrict %V %V\": %s; write a "
                           "field or a column, an operator (eq, neq, gt, gte, "
                           "lt, lte, like, ilike, in) and a value",
                           &condition->field, &condition->op, err.text);
    }

    return NGX_ERROR;
}


static ngx_uint_t
ngx_http_ws_bus_restrict_many(ngx_conf_t *cf, ngx_uint_t n)
{
    if (n <= WSB_RESTRICT_CONDITIONS) {
        return 0;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "more than %d \"ws_bus_restrict\" for one location, "
                       "those of outer levels included",
                       WSB_RESTRICT_CONDITIONS);
    return 1;
}


/* Those of outer levels come first; none of them is ever replaced. */

ngx_int_t
ngx_http_ws_bus_restrict_merge(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *prev,
    ngx_http_ws_bus_client_loc_conf_t *conf)
{
    ngx_uint_t                    n;
    ngx_array_t                  *all;
    ngx_http_ws_bus_condition_t  *condition;

    if (prev->conditions == NULL) {
        return NGX_OK;
    }

    if (conf->conditions == NULL) {
        conf->conditions = prev->conditions;
        return NGX_OK;
    }

    n = prev->conditions->nelts + conf->conditions->nelts;

    if (ngx_http_ws_bus_restrict_many(cf, n)) {
        return NGX_ERROR;
    }

    all = ngx_array_create(cf->pool, n, sizeof(ngx_http_ws_bus_condition_t));
    if (all == NULL) {
        return NGX_ERROR;
    }

    condition = ngx_array_push_n(all, n);
    if (condition == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(condition, prev->conditions->elts,
               prev->conditions->nelts * sizeof(ngx_http_ws_bus_condition_t));
    ngx_memcpy(condition + prev->conditions->nelts, conf->conditions->elts,
               conf->conditions->nelts * sizeof(ngx_http_ws_bus_condition_t));

    conf->conditions = all;

    return NGX_OK;
}


/*
 * At the handshake.  A value that is empty, or cannot be what it is there
 * for, lets nobody in.
 */

ngx_int_t
ngx_http_ws_bus_restrict_force(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc, wsb_forced_t *forced, ngx_uint_t *count)
{
    wsb_rc_t                      rc;
    ngx_uint_t                    i, n;
    wsb_where_error_t             err;
    ngx_http_ws_bus_condition_t  *condition;

    *count = 0;

    if (wc->conf->conditions == NULL || wc->fan->worker == NULL) {
        return NGX_OK;
    }

    condition = wc->conf->conditions->elts;
    n = wc->conf->conditions->nelts;

    *count = n;

    for (i = 0; i < n; i++) {

        if (ngx_http_ws_bus_restrict_value(r, &condition[i],
                                           &forced[i].value)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        forced[i].field = ngx_http_ws_bus_restrict_str(&condition[i].field);
        forced[i].op = ngx_http_ws_bus_restrict_str(&condition[i].op);
    }

    rc = wsb_restrict_create(wc->fan->worker->zone->key, forced, n, &wc->forced,
                             &err);

    if (rc == WSB_ERROR) {
        ngx_http_ws_bus_refusal_log(r, NGX_LOG_ERR,
                                    "websocket handshake refused by "
                                    "\"ws_bus_restrict %V %V\": %s",
                                    &condition[err.element].field,
                                    &condition[err.element].op, err.text);
        return NGX_HTTP_FORBIDDEN;
    }

    return rc == WSB_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * In a pattern no variable has a wildcard.  One that is empty makes the whole
 * of it empty, since "$name%" would be anything.
 */

static ngx_int_t
ngx_http_ws_bus_restrict_value(ngx_http_request_t *r,
    ngx_http_ws_bus_condition_t *condition, wsb_str_t *value)
{
    u_char                   *p;
    ngx_str_t                 s;
    wsb_text_t                text;
    ngx_uint_t                i;
    ngx_http_ws_bus_piece_t  *piece;

    if (condition->pieces == NULL) {

        if (ngx_http_complex_value(r, &condition->value, &s) != NGX_OK) {
            return NGX_ERROR;
        }

        *value = ngx_http_ws_bus_restrict_str(&s);
        return NGX_OK;
    }

    ngx_memzero(&text, sizeof(wsb_text_t));

    piece = condition->pieces->elts;

    for (i = 0; i < condition->pieces->nelts; i++) {

        if (ngx_http_complex_value(r, &piece[i].value, &s) != NGX_OK) {
            wsb_text_done(&text);
            return NGX_ERROR;
        }

        if (piece[i].literal && s.len == 0) {
            wsb_text_done(&text);
            break;
        }

        if (piece[i].literal) {
            wsb_restrict_literal(&text, ngx_http_ws_bus_restrict_str(&s));

        } else {
            wsb_text_str(&text, ngx_http_ws_bus_restrict_str(&s));
        }
    }

    p = text.failed ? NULL : ngx_pnalloc(r->pool, text.len + 1);

    if (p != NULL && text.len != 0) {
        ngx_memcpy(p, text.data, text.len);
    }

    value->data = p;
    value->len = text.len;

    wsb_text_done(&text);

    return p == NULL ? NGX_ERROR : NGX_OK;
}


/*
 * The same that a subscription to everything would get, since it is the same
 * that judges.
 */

ngx_int_t
ngx_http_ws_bus_restrict_meets(const uint8_t key[16],
    const wsb_forced_t *forced, ngx_uint_t n, const wsb_event_t *ev)
{
    wsb_rc_t            rc;
    wsb_sub_t           sub;
    ngx_uint_t          met;
    wsb_plan_t         *plan;
    wsb_index_t        *index;
    wsb_parts_t         parts;
    wsb_filter_t        all;
    wsb_restrict_t     *made;
    wsb_where_error_t   err;

    static const wsb_str_t  none = wsb_null_string;

    if (n == 0) {
        return NGX_OK;
    }

    rc = wsb_restrict_create(key, forced, (unsigned) n, &made, &err);

    if (rc != WSB_OK) {
        return rc == WSB_NOMEM ? NGX_ERROR : NGX_DECLINED;
    }

    ngx_memzero(&all, sizeof(wsb_filter_t));
    ngx_memzero(&sub, sizeof(wsb_sub_t));

    met = 0;
    plan = wsb_plan_create(key, none, &all, made);
    index = wsb_index_create(key);
    rc = plan != NULL && index != NULL ? wsb_index_add(index, plan, &sub)
                                       : WSB_NOMEM;

    if (rc == WSB_OK) {
        wsb_key_parts(key, ev, &parts);

        rc = wsb_index_match(index, &parts, ev,
                             ngx_http_ws_bus_restrict_met, &met);

        wsb_index_remove(index, &sub);
    }

    if (index != NULL) {
        wsb_index_destroy(index);
    }

    wsb_free(plan);
    wsb_restrict_free(made);

    if (rc != WSB_OK) {
        return NGX_ERROR;
    }

    return met ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_ws_bus_restrict_met(void *ctx, wsb_node_t *node, wsb_change_t change)
{
    *(ngx_uint_t *) ctx = (change == WSB_CHANGE_NONE);
}
