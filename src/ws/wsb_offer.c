/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_offer.h"

#include <strings.h>


#define WSB_OFFER_NAME            "permessage-deflate"
#define WSB_OFFER_SERVER_CONTEXT  "server_no_context_takeover"
#define WSB_OFFER_CLIENT_CONTEXT  "client_no_context_takeover"
#define WSB_OFFER_SERVER_BITS     "server_max_window_bits"
#define WSB_OFFER_CLIENT_BITS     "client_max_window_bits"


typedef struct {
    const uint8_t        *pos;
    const uint8_t        *last;
} wsb_offer_reader_t;


/* No value that means something has more than two characters. */

typedef struct {
    size_t                len;
    uint8_t               text[2];
    unsigned              present:1;
} wsb_offer_value_t;


typedef struct {
    wsb_offer_t           offer;
    unsigned              server_context:1;
    unsigned              client_context:1;
    unsigned              client_bits:1;
} wsb_offer_params_t;


static wsb_rc_t wsb_offer_parse(wsb_offer_reader_t *r, wsb_offer_t *offer);
static wsb_rc_t wsb_offer_param(wsb_offer_params_t *params, wsb_str_t name,
    const wsb_offer_value_t *value);
static wsb_rc_t wsb_offer_bits(const wsb_offer_value_t *value,
    unsigned *bits);
static wsb_rc_t wsb_offer_token(wsb_offer_reader_t *r, wsb_str_t *token);
static wsb_rc_t wsb_offer_value(wsb_offer_reader_t *r,
    wsb_offer_value_t *value);
static wsb_rc_t wsb_offer_quoted(wsb_offer_reader_t *r,
    wsb_offer_value_t *value);
static void wsb_offer_value_add(wsb_offer_value_t *value, uint8_t c);
static void wsb_offer_skip_space(wsb_offer_reader_t *r);
static int wsb_offer_next(wsb_offer_reader_t *r, uint8_t c);
static int wsb_offer_is(wsb_str_t token, const char *name);
static int wsb_offer_token_char(uint8_t c);
static uint8_t *wsb_offer_write(uint8_t *p, const char *text);
static uint8_t *wsb_offer_write_bits(uint8_t *p, const char *name,
    unsigned bits);


wsb_rc_t
wsb_offer_choose(wsb_str_t header, wsb_offer_t *agreed)
{
    wsb_rc_t            rc, found;
    wsb_offer_t         offer;
    wsb_offer_reader_t  r;

    if (header.data == NULL) {
        return WSB_NOTFOUND;
    }

    r.pos = header.data;
    r.last = header.data + header.len;
    found = WSB_NOTFOUND;

    for ( ;; ) {
        wsb_offer_skip_space(&r);

        if (r.pos == r.last) {
            return found;
        }

        if (wsb_offer_next(&r, ',')) {
            continue;
        }

        rc = wsb_offer_parse(&r, &offer);

        if (rc == WSB_ERROR) {
            return rc;
        }

        if (rc == WSB_OK && found == WSB_NOTFOUND) {
            *agreed = offer;
            found = rc;
        }

        if (r.pos != r.last && !wsb_offer_next(&r, ',')) {
            return WSB_ERROR;
        }
    }
}


/* One offer, to its end, also when it has turned out to be declined. */

static wsb_rc_t
wsb_offer_parse(wsb_offer_reader_t *r, wsb_offer_t *offer)
{
    wsb_rc_t            rc;
    wsb_str_t           name;
    wsb_offer_value_t   value;
    wsb_offer_params_t  params;

    memset(&params, 0, sizeof(params));

    if (wsb_offer_token(r, &name) != WSB_OK) {
        return WSB_ERROR;
    }

    rc = wsb_offer_is(name, WSB_OFFER_NAME) ? WSB_OK : WSB_NOTFOUND;

    wsb_offer_skip_space(r);

    while (wsb_offer_next(r, ';')) {
        wsb_offer_skip_space(r);

        if (wsb_offer_token(r, &name) != WSB_OK
            || wsb_offer_value(r, &value) != WSB_OK)
        {
            return WSB_ERROR;
        }

        if (rc == WSB_OK) {
            rc = wsb_offer_param(&params, name, &value);
        }

        wsb_offer_skip_space(r);
    }

    *offer = params.offer;

    if (!offer->server_asked) {
        offer->server_bits = WSB_OFFER_BITS_MAX;
    }

    return rc;
}


static wsb_rc_t
wsb_offer_param(wsb_offer_params_t *params, wsb_str_t name,
    const wsb_offer_value_t *value)
{
    if (wsb_offer_is(name, WSB_OFFER_SERVER_CONTEXT)) {

        if (params->server_context || value->present) {
            return WSB_NOTFOUND;
        }

        params->server_context = 1;

        return WSB_OK;
    }

    if (wsb_offer_is(name, WSB_OFFER_CLIENT_CONTEXT)) {

        if (params->client_context || value->present) {
            return WSB_NOTFOUND;
        }

        params->client_context = 1;

        return WSB_OK;
    }

    if (wsb_offer_is(name, WSB_OFFER_SERVER_BITS)) {

        if (params->offer.server_asked) {
            return WSB_NOTFOUND;
        }

        params->offer.server_asked = 1;

        return wsb_offer_bits(value, &params->offer.server_bits);
    }

    if (wsb_offer_is(name, WSB_OFFER_CLIENT_BITS)) {

        if (params->client_bits) {
            return WSB_NOTFOUND;
        }

        params->client_bits = 1;

        /* without a value it says only that the answer may have it */

        if (!value->present) {
            return WSB_OK;
        }

        return wsb_offer_bits(value, &params->offer.client_bits);
    }

    return WSB_NOTFOUND;
}


/* 8 to 15, without leading zeros: RFC 7692, section 7.1.2. */

static wsb_rc_t
wsb_offer_bits(const wsb_offer_value_t *value, unsigned *bits)
{
    const uint8_t  *p;

    if (!value->present) {
        return WSB_NOTFOUND;
    }

    p = value->text;

    if (value->len == 1 && (p[0] == '8' || p[0] == '9')) {
        *bits = p[0] - '0';
        return WSB_OK;
    }

    if (value->len == 2 && p[0] == '1' && p[1] >= '0' && p[1] <= '5') {
        *bits = 10 + p[1] - '0';
        return WSB_OK;
    }

    return WSB_NOTFOUND;
}


static wsb_rc_t
wsb_offer_token(wsb_offer_reader_t *r, wsb_str_t *token)
{
    token->data = r->pos;

    while (r->pos != r->last && wsb_offer_token_char(*r->pos)) {
        r->pos++;
    }

    token->len = r->pos - token->data;

    return token->len != 0 ? WSB_OK : WSB_ERROR;
}


/* What may follow a parameter's name: RFC 6455 has token and quoted-string. */

static wsb_rc_t
wsb_offer_value(wsb_offer_reader_t *r, wsb_offer_value_t *value)
{
    size_t     i;
    wsb_str_t  token;

    memset(value, 0, sizeof(wsb_offer_value_t));

    wsb_offer_skip_space(r);

    if (!wsb_offer_next(r, '=')) {
        return WSB_OK;
    }

    value->present = 1;

    wsb_offer_skip_space(r);

    if (wsb_offer_next(r, '"')) {
        return wsb_offer_quoted(r, value);
    }

    if (wsb_offer_token(r, &token) != WSB_OK) {
        return WSB_ERROR;
    }

    for (i = 0; i < token.len; i++) {
        wsb_offer_value_add(value, token.data[i]);
    }

    return WSB_OK;
}


/*
 * Unescaped it has to be a token, too: RFC 6455, section 9.1.  One of nothing
 * is none, but a string all the same: no parameter has that value, so that
 * the offer is declined.
 */

static wsb_rc_t
wsb_offer_quoted(wsb_offer_reader_t *r, wsb_offer_value_t *value)
{
    uint8_t  c;

    while (r->pos != r->last) {
        c = *r->pos++;

        if (c == '"') {
            return WSB_OK;
        }

        if (c == '\\') {

            if (r->pos == r->last) {
                return WSB_ERROR;
            }

            c = *r->pos++;
        }

        if (!wsb_offer_token_char(c)) {
            return WSB_ERROR;
        }

        wsb_offer_value_add(value, c);
    }

    return WSB_ERROR;
}


static void
wsb_offer_value_add(wsb_offer_value_t *value, uint8_t c)
{
    if (value->len < sizeof(value->text)) {
        value->text[value->len] = c;
    }

    value->len++;
}


static void
wsb_offer_skip_space(wsb_offer_reader_t *r)
{
    while (r->pos != r->last && (*r->pos == ' ' || *r->pos == '\t')) {
        r->pos++;
    }
}


static int
wsb_offer_next(wsb_offer_reader_t *r, uint8_t c)
{
    if (r->pos == r->last || *r->pos != c) {
        return 0;
    }

    r->pos++;

    return 1;
}


static int
wsb_offer_is(wsb_str_t token, const char *name)
{
    return token.len == strlen(name)
           && strncasecmp((const char *) token.data, name, token.len) == 0;
}


/* RFC 7230, section 3.2.6 */

static int
wsb_offer_token_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9')
           || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}


size_t
wsb_offer_response(uint8_t *p, const wsb_offer_t *agreed)
{
    uint8_t  *start;

    start = p;

    p = wsb_offer_write(p, WSB_OFFER_NAME "; " WSB_OFFER_SERVER_CONTEXT "; "
                           WSB_OFFER_CLIENT_CONTEXT);

    if (agreed->server_asked) {
        p = wsb_offer_write_bits(p, "; " WSB_OFFER_SERVER_BITS "=",
                                 agreed->server_bits);
    }

    if (agreed->client_bits != 0) {
        p = wsb_offer_write_bits(p, "; " WSB_OFFER_CLIENT_BITS "=",
                                 agreed->client_bits);
    }

    return p - start;
}


static uint8_t *
wsb_offer_write(uint8_t *p, const char *text)
{
    size_t  n;

    n = strlen(text);
    memcpy(p, text, n);

    return p + n;
}


static uint8_t *
wsb_offer_write_bits(uint8_t *p, const char *name, unsigned bits)
{
    p = wsb_offer_write(p, name);

    if (bits >= 10) {
        *p++ = '0' + bits / 10;
    }

    *p++ = '0' + bits % 10;

    return p;
}
