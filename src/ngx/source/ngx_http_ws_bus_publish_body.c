/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The body of a request to publish: of which type it is, and how it is
 * encoded.
 */

#include "ngx_http_ws_bus_publish.h"

#include "../../event/wsb_gunzip.h"


typedef struct {
    const char                  *type;
    wsb_format_t                 format;
} ngx_http_ws_bus_format_t;


static wsb_rc_t ngx_http_ws_bus_publish_body_find(void *ctx, wsb_str_t name,
    wsb_str_t *entity);
static void ngx_http_ws_bus_publish_body_attribute(ngx_http_request_t *r,
    ngx_table_elt_t *h, wsb_text_t *text);
static ngx_uint_t ngx_http_ws_bus_publish_body_is(const ngx_str_t *value,
    const char *name);


static ngx_http_ws_bus_format_t  ngx_http_ws_bus_formats[] = {
    { "application/json", WSB_FORMAT_JSON },
    { "application/x-ndjson", WSB_FORMAT_NDJSON },
    { "application/cloudevents+json", WSB_FORMAT_CLOUDEVENTS },
    { "application/cloudevents-batch+json", WSB_FORMAT_CLOUDEVENTS },
    { NULL, 0 }
};


/* Parameters of the type (a charset) do not matter: JSON is UTF-8. */

ngx_int_t
ngx_http_ws_bus_publish_body_format(ngx_http_request_t *r, wsb_format_t *format)
{
    size_t                     len, n;
    ngx_str_t                 *value;
    ngx_http_ws_bus_format_t  *f;

    if (r->headers_in.content_type == NULL) {
        return NGX_DECLINED;
    }

    value = &r->headers_in.content_type->value;

    for (n = 0; n < value->len; n++) {
        if (value->data[n] == ';' || value->data[n] == ' ') {
            break;
        }
    }

    for (f = ngx_http_ws_bus_formats; f->type != NULL; f++) {
        len = ngx_strlen(f->type);

        if (n == len
            && (ngx_memcmp(value->data, f->type, len) == 0
                || ngx_strncasecmp(value->data, (u_char *) f->type, len)
                   == 0))
        {
            *format = f->format;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* More than one encoding is one that we do not decode. */

ngx_uint_t
ngx_http_ws_bus_publish_body_encoding(ngx_http_request_t *r)
{
    ngx_uint_t        i, encoding;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    encoding = NGX_HTTP_WS_BUS_PLAIN;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (!ngx_http_ws_bus_http_header_is(&h[i], "Content-Encoding")
                || h[i].value.len == 0
                || ngx_http_ws_bus_publish_body_is(&h[i].value, "identity"))
            {
                continue;
            }

            encoding = encoding == NGX_HTTP_WS_BUS_PLAIN
                       && (ngx_http_ws_bus_publish_body_is(&h[i].value, "gzip")
                           || ngx_http_ws_bus_publish_body_is(&h[i].value,
                                                              "x-gzip"))
                       ? NGX_HTTP_WS_BUS_GZIP : NGX_HTTP_WS_BUS_OTHER;
        }
    }

    return encoding;
}


static ngx_uint_t
ngx_http_ws_bus_publish_body_is(const ngx_str_t *value, const char *name)
{
    return value->len == ngx_strlen(name)
           && ngx_strncasecmp(value->data, (u_char *) name, value->len) == 0;
}


ngx_int_t
ngx_http_ws_bus_publish_body_inflate(ngx_http_request_t *r, wsb_str_t *body,
    size_t max, uint8_t **plain)
{
    size_t                     len;
    ngx_http_core_loc_conf_t  *clcf;

    static const uint8_t  gzip[] = { 0x1f, 0x8b };

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->client_max_body_size != 0
        && clcf->client_max_body_size < (off_t) max)
    {
        max = (size_t) clcf->client_max_body_size;
    }

    if (body->len < sizeof(gzip)
        || ngx_memcmp(body->data, gzip, sizeof(gzip)) != 0)
    {
        /* zlib is another encoding, "deflate" */
        return NGX_HTTP_BAD_REQUEST;
    }

    switch (wsb_gunzip(*body, max, plain, &len)) {

    case WSB_OK:
        body->data = *plain;
        body->len = len;
        return NGX_OK;

    case WSB_FULL:
        return NGX_DECLINED;

    default:
        return NGX_HTTP_BAD_REQUEST;
    }
}


/*
 * The binary content mode of CloudEvents over HTTP, section 3.1: attributes
 * are headers, and the body is the data; as the text of a structured one.
 */

ngx_int_t
ngx_http_ws_bus_publish_body_cloud(ngx_http_request_t *r, wsb_str_t body,
    wsb_text_t *text)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;
    wsb_json_t        data;
    wsb_json_error_t  err;

    static const ngx_str_t  version = ngx_string("ce-specversion");

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    if (ngx_http_ws_bus_http_find_header(&r->headers_in.headers, &version)
        == NULL)
    {
        return NGX_DECLINED;
    }

    if (body.len != 0
        && wsb_json_parse(body, &limits, &data, &err) != WSB_OK)
    {
        /* what is wrong is said of the body itself */
        return NGX_DECLINED;
    }

    wsb_text_lit(text, "{");

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len > 3
                && ngx_strncasecmp(h[i].key.data, (u_char *) "ce-", 3) == 0)
            {
                ngx_http_ws_bus_publish_body_attribute(r, &h[i], text);
            }
        }
    }

    if (body.len != 0) {
        wsb_text_lit(text, text->len > 1 ? ",\"data\":" : "\"data\":");
        wsb_text_str(text, body);
    }

    wsb_text_lit(text, "}");

    return text->failed ? NGX_ERROR : NGX_OK;
}


/* Its value is percent-encoded, once. */

static void
ngx_http_ws_bus_publish_body_attribute(ngx_http_request_t *r,
    ngx_table_elt_t *h, wsb_text_t *text)
{
    u_char     *src, *dst;
    wsb_str_t   name, value;

    dst = ngx_pnalloc(r->pool, h->key.len + h->value.len);
    if (dst == NULL) {
        text->failed = 1;
        return;
    }

    name.data = dst;
    name.len = h->key.len - 3;
    ngx_strlow(dst, h->key.data + 3, name.len);

    dst += name.len;
    src = h->value.data;
    value.data = dst;

    ngx_unescape_uri(&dst, &src, h->value.len, 0);

    value.len = dst - value.data;

    wsb_text_lit(text, text->len > 1 ? "," : "");
    wsb_text_json(text, name);
    wsb_text_lit(text, ":");
    wsb_text_json(text, value);
}


/* Entities, and what they are called here, as the location says. */

wsb_target_t *
ngx_http_ws_bus_publish_body_target(ngx_http_request_t *r)
{
    ngx_str_t                           name;
    wsb_target_t                       *target;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    target = ngx_palloc(r->pool, sizeof(wsb_target_t));

    if (target == NULL || ngx_http_ws_bus_section_name(r, &name) != NGX_OK) {
        return NULL;
    }

    target->entity.data = name.data;
    target->entity.len = name.len;
    target->actions = ccf->actions->elts;
    target->nactions = (unsigned) ccf->actions->nelts;
    target->find = ngx_http_ws_bus_publish_body_find;
    target->ctx = r;

    return target;
}


static wsb_rc_t
ngx_http_ws_bus_publish_body_find(void *ctx, wsb_str_t name,
    wsb_str_t *entity)
{
    ngx_str_t  found;

    if (ngx_http_ws_bus_section_look(ctx, name, &found) != NGX_OK) {
        return WSB_NOMEM;
    }

    entity->data = found.data;
    entity->len = found.len;

    return WSB_OK;
}
