/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Entity, section and user of a connection, for protocols in which it has
 * one of each.  What an entity is called here is said by a map of nginx, which
 * looks at $ws_bus_entity_name: of a connection, or of an event.
 */

#include "ngx_http_ws_bus_client.h"

#include "../jwt/ngx_http_ws_bus_jwt.h"

#include "../../protocol/wsb_section.h"


#define NGX_HTTP_WS_BUS_SECTION_NAME   256    /* bytes of an entity's name */


static ngx_int_t ngx_http_ws_bus_section_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ws_bus_section_normal(ngx_http_request_t *r,
    ngx_str_t *name, wsb_str_t raw);
static ngx_int_t ngx_http_ws_bus_section_session(ngx_http_request_t *r,
    wsb_json_t *claims, ngx_str_t *session);
static ngx_int_t ngx_http_ws_bus_section_claim(ngx_http_request_t *r,
    wsb_json_t *claims, const char *name, ngx_str_t *value);
static ngx_int_t ngx_http_ws_bus_section_roles(ngx_http_request_t *r,
    wsb_json_t *claims, ngx_str_t *roles);


/* The name that is looked up just now, if it is an event's. */

static wsb_str_t  *ngx_http_ws_bus_section_looked;


char *
ngx_http_ws_bus_section_entity(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf = conf;

    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_http_complex_value_t         **cv;
    ngx_http_compile_complex_value_t   ccv;

    if (ccf->entity_name != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        cv = i == 1 ? &ccf->entity_name : &ccf->entity;

        *cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));

        if (*cv == NULL
            || ngx_http_ws_bus_arg_decode(cf, &value[i]) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &value[i];
        ccv.complex_value = *cv;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* In small letters, each once. */

char *
ngx_http_ws_bus_section_topics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf = conf;

    wsb_str_t    name, *action;
    ngx_str_t   *value;
    ngx_uint_t   i, k;

    if (ccf->actions != NULL) {
        return "is duplicate";
    }

    ccf->actions = ngx_array_create(cf->pool, 8, sizeof(wsb_str_t));
    if (ccf->actions == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        ngx_strlow(value[i].data, value[i].data, value[i].len);

        name.data = value[i].data;
        name.len = value[i].len;

        if (name.len == 0 || name.len > NGX_HTTP_WS_BUS_SECTION_NAME
            || !wsb_text_valid(name)
            || ngx_strchr(value[i].data, '$') != NULL)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"ws_bus_topics\": "
                               "expected names of actions without variables, "
                               "such as \"created updated deleted\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        action = ccf->actions->elts;

        for (k = 0; k < ccf->actions->nelts; k++) {
            if (wsb_section_compare(action[k], name) == 0) {
                break;
            }
        }

        if (k < ccf->actions->nelts) {
            continue;
        }

        if (k == WSB_SECTION_ACTIONS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "more than %d names in \"ws_bus_topics\"",
                               WSB_SECTION_ACTIONS);
            return NGX_CONF_ERROR;
        }

        action = ngx_array_push(ccf->actions);
        if (action == NULL) {
            return NGX_CONF_ERROR;
        }

        *action = name;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_ws_bus_section_merge(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *prev,
    ngx_http_ws_bus_client_loc_conf_t *conf)
{
    static wsb_str_t  actions[] = {
        wsb_string("created"), wsb_string("updated"), wsb_string("deleted"),
        wsb_string("status_changed"), wsb_string("user_signed_up"),
        wsb_string("user_logged_in"), wsb_string("roles_updated"),
        wsb_string("permissions_updated")
    };

    static ngx_array_t  defaults = {
        actions, sizeof(actions) / sizeof(actions[0]), sizeof(wsb_str_t),
        sizeof(actions) / sizeof(actions[0]), NULL
    };

    if (conf->entity_name == NULL) {
        conf->entity_name = prev->entity_name;
        conf->entity = prev->entity;
    }

    if (conf->actions == NULL) {
        conf->actions = prev->actions ? prev->actions : &defaults;
    }

    if (conf->codec->refuse == NULL || conf->handler == NULL
        || conf->zone == NULL
        || (conf->entity_name != NULL && conf->section != NULL))
    {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"ws_bus_protocol %s\" needs \"%s\": it says what of "
                       "a connection's URI is its %s", conf->codec->name,
                       conf->entity_name ? "ws_bus_section" : "ws_bus_entity",
                       conf->entity_name ? "section" : "entity");
    return NGX_ERROR;
}


ngx_int_t
ngx_http_ws_bus_section_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    static ngx_str_t  name = ngx_string("ws_bus_entity_name");

    var = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_ws_bus_section_variable;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_section_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  name;

    if (ngx_http_ws_bus_section_looked != NULL) {
        if (ngx_http_ws_bus_section_normal(r, &name,
                                           *ngx_http_ws_bus_section_looked)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (ngx_http_ws_bus_section_name(r, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    v->data = name.data;
    v->len = name.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_ws_bus_section_name(ngx_http_request_t *r, ngx_str_t *name)
{
    wsb_str_t                           raw;
    ngx_str_t                           value;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    ngx_str_null(&value);

    if (ccf->entity_name != NULL
        && ngx_http_complex_value(r, ccf->entity_name, &value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    raw.data = value.data;
    raw.len = value.len;

    return ngx_http_ws_bus_section_normal(r, name, raw);
}


static ngx_int_t
ngx_http_ws_bus_section_normal(ngx_http_request_t *r, ngx_str_t *name,
    wsb_str_t raw)
{
    raw = wsb_section_trim(raw);

    name->len = raw.len;
    name->data = ngx_pnalloc(r->pool, raw.len + 1);

    if (name->data == NULL) {
        return NGX_ERROR;
    }

    if (raw.len != 0) {
        ngx_strlow(name->data, (u_char *) raw.data, raw.len);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_ws_bus_section_of(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *entity)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (ngx_http_ws_bus_section_name(r, name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ccf->entity == NULL) {
        *entity = *name;
        return NGX_OK;
    }

    return ngx_http_complex_value(r, ccf->entity, entity);
}


/*
 * A map keeps what it has found for its request: so it gets a set of variables
 * in which nothing has been found yet.
 */

ngx_int_t
ngx_http_ws_bus_section_look(ngx_http_request_t *r, wsb_str_t name,
    ngx_str_t *entity)
{
    ngx_int_t                           rc;
    ngx_http_variable_value_t          *vars;
    ngx_http_core_main_conf_t          *cmcf;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (ccf->entity == NULL) {
        return ngx_http_ws_bus_section_normal(r, entity, name);
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    vars = r->variables;

    /* not of the pool: a batch may have many names */

    r->variables = ngx_calloc(cmcf->variables.nelts
                              * sizeof(ngx_http_variable_value_t),
                              r->connection->log);
    if (r->variables == NULL) {
        r->variables = vars;
        return NGX_ERROR;
    }

    ngx_http_ws_bus_section_looked = &name;

    rc = ngx_http_complex_value(r, ccf->entity, entity);

    ngx_http_ws_bus_section_looked = NULL;

    ngx_free(r->variables);
    r->variables = vars;

    return rc;
}


ngx_int_t
ngx_http_ws_bus_section_of_uri(ngx_http_request_t *r, ngx_str_t *section)
{
    wsb_str_t                           trimmed;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ngx_str_null(section);

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (ccf->section == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, ccf->section, section) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ccf->codec->refuse != NULL) {
        trimmed.data = section->data;
        trimmed.len = section->len;

        trimmed = wsb_section_trim(trimmed);

        section->data = (u_char *) trimmed.data;
        section->len = trimmed.len;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_ws_bus_section_who(ngx_http_request_t *r,
    ngx_http_ws_bus_section_who_t *who)
{
    ngx_str_t                           name;
    ngx_http_ws_bus_jwt_ctx_t          *jwt;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ngx_memzero(who, sizeof(ngx_http_ws_bus_section_who_t));

    if (ngx_http_ws_bus_section_of_uri(r, &who->section) != NGX_OK) {
        return NGX_ERROR;
    }

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    if (ccf->codec->refuse == NULL) {
        return NGX_OK;
    }

    if (ngx_http_ws_bus_section_of(r, &name, &who->entity) != NGX_OK
        || (ccf->user != NULL
            && ngx_http_complex_value(r, ccf->user, &who->user) != NGX_OK))
    {
        return NGX_ERROR;
    }

    jwt = ngx_http_ws_bus_jwt_ctx(r);

    if (jwt == NULL || !jwt->verified) {
        return NGX_OK;
    }

    if (who->user.len == 0
        && ngx_http_ws_bus_section_claim(r, &jwt->claims, "sub", &who->user)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_ws_bus_section_session(r, &jwt->claims, &who->session)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_ws_bus_section_roles(r, &jwt->claims, &who->roles);
}


/* sid, or jti, or <sub>:<exp>, or sub. */

static ngx_int_t
ngx_http_ws_bus_section_session(ngx_http_request_t *r, wsb_json_t *claims,
    ngx_str_t *session)
{
    u_char     *p;
    ngx_str_t   sub, exp;

    if (ngx_http_ws_bus_section_claim(r, claims, "sid", session) != NGX_OK) {
        return NGX_ERROR;
    }

    if (session->len != 0) {
        return NGX_OK;
    }

    if (ngx_http_ws_bus_section_claim(r, claims, "jti", session) != NGX_OK) {
        return NGX_ERROR;
    }

    if (session->len != 0) {
        return NGX_OK;
    }

    if (ngx_http_ws_bus_section_claim(r, claims, "sub", &sub) != NGX_OK
        || ngx_http_ws_bus_section_claim(r, claims, "exp", &exp) != NGX_OK)
    {
        return NGX_ERROR;
    }

    *session = sub;

    if (sub.len == 0 || exp.len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, sub.len + 1 + exp.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    session->data = p;
    session->len = ngx_sprintf(p, "%V:%V", &sub, &exp) - p;

    return NGX_OK;
}


/* A text, or a number as it was written; anything else is none. */

static ngx_int_t
ngx_http_ws_bus_section_claim(ngx_http_request_t *r, wsb_json_t *claims,
    const char *name, ngx_str_t *value)
{
    size_t      len;
    wsb_json_t  claim;

    ngx_str_null(value);

    if (wsb_json_get(claims, name, &claim) != WSB_OK
        || (claim.type != WSB_JSON_STRING && claim.type != WSB_JSON_NUMBER))
    {
        return NGX_OK;
    }

    value->data = ngx_pnalloc(r->pool, claim.text.len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    if (claim.type == WSB_JSON_NUMBER) {
        value->len = claim.text.len;
        ngx_memcpy(value->data, claim.text.data, claim.text.len);
        return NGX_OK;
    }

    if (wsb_json_decode(&claim, value->data, &len) == WSB_OK) {
        value->len = len;
    }

    return NGX_OK;
}


/* The strings of the claim, as they are. */

static ngx_int_t
ngx_http_ws_bus_section_roles(ngx_http_request_t *r, wsb_json_t *claims,
    ngx_str_t *roles)
{
    u_char           *p;
    wsb_json_t        claim, role;
    wsb_json_walk_t   walk;

    ngx_str_null(roles);

    if (wsb_json_get(claims, "roles", &claim) != WSB_OK
        || claim.type != WSB_JSON_ARRAY)
    {
        return NGX_OK;
    }

    roles->data = ngx_pnalloc(r->pool, claim.text.len);
    if (roles->data == NULL) {
        return NGX_ERROR;
    }

    p = roles->data;
    *p++ = '[';

    wsb_json_enter(&walk, &claim);

    while (wsb_json_element(&walk, &role) == WSB_OK) {

        if (role.type != WSB_JSON_STRING) {
            continue;
        }

        if (p - roles->data > 1) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, role.text.data, role.text.len);
    }

    *p++ = ']';

    roles->len = p - roles->data;

    return NGX_OK;
}
