/*
 * The session log: one line for each connection, at its close.
 *
 * By then the request is long gone.  So the line is made in two steps: at the
 * handshake everything that the request knows is put in, and what only the
 * end knows is left as a mark, a NUL and a number, which no value can hold.
 */

#include "ngx_http_ws_bus_client.h"


/* The code of a client that is gone without a word: RFC 6455, 7.1.5. */
#define NGX_HTTP_WS_BUS_VANISHED  1006


typedef enum {
    ngx_http_ws_bus_late_none = 0,        /* known at the handshake */
    ngx_http_ws_bus_late_close_code,
    ngx_http_ws_bus_late_close_reason,
    ngx_http_ws_bus_late_messages_in,
    ngx_http_ws_bus_late_events_out,
    ngx_http_ws_bus_late_bytes_out,
    ngx_http_ws_bus_late_subscriptions,
    ngx_http_ws_bus_late_gaps,
    ngx_http_ws_bus_late_duration,
    ngx_http_ws_bus_late_time
} ngx_http_ws_bus_late_e;


/* A piece of the line: text, or a variable. */

typedef struct {
    ngx_str_t                    text;
    ngx_int_t                    index;       /* of a variable; -1: none */
    ngx_http_ws_bus_late_e       late;
} ngx_http_ws_bus_part_t;


static ngx_int_t ngx_http_ws_bus_session_log_parts(ngx_conf_t *cf,
    ngx_array_t *parts, ngx_str_t *line);
static ngx_int_t ngx_http_ws_bus_session_log_name(ngx_str_t *line, size_t *i,
    ngx_str_t *name);
static ngx_int_t ngx_http_ws_bus_session_log_variable(ngx_conf_t *cf,
    ngx_array_t *parts, ngx_str_t *name);
static void ngx_http_ws_bus_session_log_late(wsb_text_t *t,
    ngx_http_ws_bus_client_t *wc, ngx_uint_t late);
static ngx_int_t ngx_http_ws_bus_session_log_connection_id(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ws_bus_session_log_tenant(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ws_bus_session_log_known_late(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_str_t  ngx_http_ws_bus_session_log_default = ngx_string(
    "{\"time\":\"$ws_bus_close_time\","
    "\"connection_id\":\"$ws_bus_connection_id\","
    "\"remote_addr\":\"$remote_addr\",\"tenant\":\"$ws_bus_tenant\","
    "\"seconds\":$ws_bus_duration,\"messages_in\":$ws_bus_messages_in,"
    "\"events_out\":$ws_bus_events_out,\"bytes_out\":$ws_bus_bytes_out,"
    "\"subscriptions\":$ws_bus_subscriptions,\"gaps\":$ws_bus_gaps,"
    "\"close_code\":$ws_bus_close_code,"
    "\"close_reason\":\"$ws_bus_close_reason\"}");


/* data: what is known late */

static ngx_http_variable_t  ngx_http_ws_bus_session_log_table[] = {

    { ngx_string("ws_bus_connection_id"), NULL,
      ngx_http_ws_bus_session_log_connection_id, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ws_bus_tenant"), NULL,
      ngx_http_ws_bus_session_log_tenant, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ws_bus_arg_"), NULL, ngx_http_ws_bus_arg_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("ws_bus_close_code"), NULL,
      ngx_http_ws_bus_session_log_known_late,
      ngx_http_ws_bus_late_close_code, 0, 0 },

    { ngx_string("ws_bus_close_reason"), NULL,
      ngx_http_ws_bus_session_log_known_late,
      ngx_http_ws_bus_late_close_reason, 0, 0 },

    { ngx_string("ws_bus_close_time"), NULL,
      ngx_http_ws_bus_session_log_known_late,
      ngx_http_ws_bus_late_time, 0, 0 },

    { ngx_string("ws_bus_messages_in"), NULL,
      ngx_http_ws_bus_session_log_known_late,
      ngx_http_ws_bus_late_messages_in, 0, 0 },

    { ngx_string("ws_bus_events_out"), NULL,
      ngx_http_ws_bus_session_log_known_late,
      ngx_http_ws_bus_late_events_out, 0, 0 },

    { ngx_string("ws_bus_bytes_out"), NULL,
      ngx_http_ws_bus_session_log_known_late,
      ngx_http_ws_bus_late_bytes_out, 0, 0 },

    { ngx_string("ws_bus_subscriptions"), NULL,
      ngx_http_ws_bus_session_log_known_late,
      ngx_http_ws_bus_late_subscriptions, 0, 0 },

    { ngx_string("ws_bus_gaps"), NULL,
      ngx_http_ws_bus_session_log_known_late,
      ngx_http_ws_bus_late_gaps, 0, 0 },

    { ngx_string("ws_bus_duration"), NULL,
      ngx_http_ws_bus_session_log_known_late,
      ngx_http_ws_bus_late_duration, 0, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_ws_bus_session_log_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_ws_bus_session_log_table; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


char *
ngx_http_ws_bus_session_log(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_bus_client_loc_conf_t  *ccf = conf;

    ngx_str_t                    *value;
    ngx_http_ws_bus_session_log_t  *log;

    if (ccf->session_log != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (cf->args->nelts == 3) {
            return "takes no string after \"off\"";
        }

        ccf->session_log = NULL;
        return NGX_CONF_OK;
    }

    log = ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_bus_session_log_t));
    if (log == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the cycle reopens it on USR1 */

    log->file = ngx_conf_open_file(cf->cycle, &value[1]);

    if (log->file == NULL
        || ngx_array_init(&log->parts, cf->pool, 8,
                          sizeof(ngx_http_ws_bus_part_t))
           != NGX_OK
        || ngx_http_ws_bus_session_log_parts(cf, &log->parts,
                                             cf->args->nelts == 3
                                        ? &value[2]
                                        : &ngx_http_ws_bus_session_log_default)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ccf->session_log = log;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_ws_bus_session_log_parts(ngx_conf_t *cf, ngx_array_t *parts,
    ngx_str_t *line)
{
    size_t                   i, start;
    ngx_str_t                name;
    ngx_http_ws_bus_part_t  *part;

    for (i = 0; i < line->len; /* void */ ) {

        if (line->data[i] == '$') {

            if (ngx_http_ws_bus_session_log_name(line, &i, &name) != NGX_OK) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid variable in the string of "
                                   "\"ws_bus_session_log\": write \"$name\" "
                                   "or \"${name}\"");
                return NGX_ERROR;
            }

            if (ngx_http_ws_bus_session_log_variable(cf, parts,
                                                     &name) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        start = i;

        while (i < line->len && line->data[i] != '$') {
            i++;
        }

        part = ngx_array_push(parts);
        if (part == NULL) {
            return NGX_ERROR;
        }

        part->text.data = line->data + start;
        part->text.len = i - start;
        part->index = -1;
        part->late = ngx_http_ws_bus_late_none;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_session_log_name(ngx_str_t *line, size_t *i, ngx_str_t *name)
{
    u_char      ch;
    size_t      n;
    ngx_uint_t  bracket;

    n = *i + 1;
    bracket = (n < line->len && line->data[n] == '{');
    n += bracket;

    name->data = line->data + n;

    for ( /* void */ ; n < line->len; n++) {
        ch = line->data[n];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '_'))
        {
            break;
        }
    }

    name->len = line->data + n - name->data;

    if (bracket) {
        if (n == line->len || line->data[n] != '}') {
            return NGX_ERROR;
        }

        n++;
    }

    *i = n;

    return name->len ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_ws_bus_session_log_variable(ngx_conf_t *cf, ngx_array_t *parts,
    ngx_str_t *name)
{
    ngx_http_variable_t     *v;
    ngx_http_ws_bus_part_t  *part;

    part = ngx_array_push(parts);
    if (part == NULL) {
        return NGX_ERROR;
    }

    ngx_str_null(&part->text);
    part->index = -1;
    part->late = ngx_http_ws_bus_late_none;

    for (v = ngx_http_ws_bus_session_log_table; v->name.len; v++) {
        if (v->data != 0 && v->name.len == name->len
            && ngx_strncmp(v->name.data, name->data, name->len) == 0)
        {
            part->late = v->data;
            return NGX_OK;
        }
    }

    part->index = ngx_http_get_variable_index(cf, name);

    return part->index == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/* At the handshake.  Without memory the connection has no line. */

void
ngx_http_ws_bus_session_log_begin(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc)
{
    wsb_str_t                   value;
    ngx_uint_t                  i;
    wsb_text_t                  t;
    ngx_http_ws_bus_part_t     *part;
    ngx_http_variable_value_t  *v;

    if (wc->conf->session_log == NULL) {
        return;
    }

    ngx_memzero(&t, sizeof(wsb_text_t));

    part = wc->conf->session_log->parts.elts;

    for (i = 0; i < wc->conf->session_log->parts.nelts; i++) {

        if (part[i].late) {
            wsb_text_add(&t, "\0", 1);
            wsb_text_add(&t, (u_char[]) { (u_char) part[i].late }, 1);
            continue;
        }

        if (part[i].index == -1) {
            wsb_text_add(&t, part[i].text.data, part[i].text.len);
            continue;
        }

        v = ngx_http_get_flushed_variable(r, part[i].index);

        if (v != NULL && !v->not_found) {
            value.data = v->data;
            value.len = v->len;

            wsb_text_line(&t, value);
        }
    }

    wc->logged = ngx_calloc(sizeof(ngx_http_ws_bus_logged_t), ngx_cycle->log);

    if (t.failed || wc->logged == NULL) {
        wsb_text_done(&t);
        ngx_http_ws_bus_session_log_free(wc);
        return;
    }

    wc->logged->line.data = t.data;
    wc->logged->line.len = t.len;
    wc->logged->opened = ngx_current_msec;
}


/* At the close. */

void
ngx_http_ws_bus_session_log_end(ngx_http_ws_bus_client_t *wc)
{
    size_t       i, len, start;
    u_char      *p;
    wsb_text_t   t;

    if (wc->logged == NULL) {
        return;
    }

    ngx_memzero(&t, sizeof(wsb_text_t));

    p = wc->logged->line.data;
    len = wc->logged->line.len;

    for (i = 0; i < len; /* void */ ) {

        if (p[i] == '\0' && i + 1 < len) {
            ngx_http_ws_bus_session_log_late(&t, wc, p[i + 1]);
            i += 2;
            continue;
        }

        start = i;

        while (i < len && p[i] != '\0') {
            i++;
        }

        wsb_text_add(&t, p + start, i - start);
    }

    wsb_text_lit(&t, "\n");

    /* in one write: lines of several workers do not mix */

    if (!t.failed
        && ngx_write_fd(wc->conf->session_log->file->fd, t.data, t.len)
           == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      ngx_write_fd_n " to \"%V\" failed",
                      &wc->conf->session_log->file->name);
    }

    wsb_text_done(&t);

    ngx_http_ws_bus_session_log_free(wc);
}


void
ngx_http_ws_bus_session_log_free(ngx_http_ws_bus_client_t *wc)
{
    if (wc->logged == NULL) {
        return;
    }

    if (wc->logged->close_reason.data != NULL) {
        ngx_free(wc->logged->close_reason.data);
    }

    wsb_free(wc->logged->line.data);
    ngx_free(wc->logged);

    wc->logged = NULL;
}


static void
ngx_http_ws_bus_session_log_late(wsb_text_t *t, ngx_http_ws_bus_client_t *wc,
    ngx_uint_t late)
{
    u_char      buf[NGX_INT64_LEN + 8];
    wsb_str_t   reason;
    ngx_msec_t  ms;

    switch (late) {

    case ngx_http_ws_bus_late_close_code:
        wsb_text_uint(t, wc->close_code ? wc->close_code
                                        : NGX_HTTP_WS_BUS_VANISHED);
        break;

    case ngx_http_ws_bus_late_close_reason:
        reason.data = wc->logged->close_reason.data;
        reason.len = wc->logged->close_reason.len;

        wsb_text_line(t, reason);
        break;

    case ngx_http_ws_bus_late_messages_in:
        wsb_text_uint(t, wc->logged->messages_in);
        break;

    case ngx_http_ws_bus_late_events_out:
        wsb_text_uint(t, wc->events_out);
        break;

    case ngx_http_ws_bus_late_bytes_out:
        wsb_text_uint(t, wc->bytes_out);
        break;

    case ngx_http_ws_bus_late_subscriptions:
        wsb_text_uint(t, wc->last_ordinal);
        break;

    case ngx_http_ws_bus_late_gaps:
        wsb_text_uint(t, wc->gaps);
        break;

    case ngx_http_ws_bus_late_duration:
        ms = ngx_current_msec - wc->logged->opened;
        wsb_text_add(t, buf, ngx_sprintf(buf, "%M.%03M", ms / 1000,
                                         ms % 1000) - buf);
        break;

    case ngx_http_ws_bus_late_time:
        wsb_text_add(t, ngx_cached_http_log_iso8601.data,
                     ngx_cached_http_log_iso8601.len);
        break;
    }
}


void
ngx_http_ws_bus_session_log_close(ngx_http_ws_bus_client_t *wc, ngx_uint_t code,
    const u_char *reason, size_t len)
{
    ngx_http_ws_bus_logged_t  *logged;

    wc->close_code = (uint16_t) code;
    logged = wc->logged;

    if (logged == NULL || len == 0 || logged->close_reason.len != 0) {
        return;
    }

    logged->close_reason.data = ngx_alloc(len, ngx_cycle->log);

    if (logged->close_reason.data != NULL) {
        ngx_memcpy(logged->close_reason.data, reason, len);
        logged->close_reason.len = len;
    }
}


static ngx_int_t
ngx_http_ws_bus_session_log_connection_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char  *id;

    id = ngx_http_ws_bus_admit_id(r);

    if (id == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, sizeof("conn_") - 1 + 32);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    ngx_hex_dump(ngx_cpymem(v->data, "conn_", 5), id, 16);

    v->len = 37;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ws_bus_session_log_tenant(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t                           rc;
    ngx_str_t                           tenant, *known;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r->main, ngx_http_ws_bus_client_module);

    known = ccf->requests ? ccf->requests->tenant(r) : NULL;

    if (known != NULL) {
        tenant = *known;
        rc = tenant.len ? NGX_OK : NGX_DECLINED;

    } else {
        rc = ngx_http_ws_bus_tenant_get(r, &tenant);
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED || tenant.data == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    /* auth_request and the like may have changed what it is made of */

    v->data = tenant.data;
    v->len = tenant.len;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


/* Known only at the close, to the session log alone. */

static ngx_int_t
ngx_http_ws_bus_session_log_known_late(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    v->not_found = 1;

    return NGX_OK;
}
