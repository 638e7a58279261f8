/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_origin.h"

#include <strings.h>


static size_t wsb_origin_scheme(wsb_str_t text);
static wsb_rc_t wsb_origin_authority(const uint8_t *p, const uint8_t *last,
    wsb_origin_t *origin);
static const uint8_t *wsb_origin_host(const uint8_t *p, const uint8_t *last);
static unsigned wsb_origin_port(const uint8_t *p, const uint8_t *last);
static unsigned wsb_origin_default_port(const wsb_str_t *scheme);
static int wsb_origin_same_text(const wsb_str_t *a, const wsb_str_t *b);


static inline int
wsb_origin_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}


static inline int
wsb_origin_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}


wsb_rc_t
wsb_origin_parse(wsb_str_t text, wsb_origin_t *origin)
{
    size_t  n;

    n = wsb_origin_scheme(text);
    if (n == 0) {
        return WSB_ERROR;
    }

    origin->scheme.data = text.data;
    origin->scheme.len = n;

    return wsb_origin_authority(text.data + n + 3, text.data + text.len,
                                origin);
}


wsb_rc_t
wsb_origin_pattern_parse(wsb_str_t text, wsb_origin_pattern_t *pattern,
    const char **reason)
{
    size_t          n;
    wsb_origin_t   *origin = &pattern->origin;
    const uint8_t  *p, *last;

    n = wsb_origin_scheme(text);
    if (n == 0) {
        *reason = "it has to begin with a scheme, as \"https://\"";
        return WSB_ERROR;
    }

    origin->scheme.data = text.data;
    origin->scheme.len = n;

    p = text.data + n + 3;
    last = text.data + text.len;

    if (memchr(p, '/', last - p) != NULL) {
        *reason = "nothing follows the host and the port, no \"/\" either";
        return WSB_ERROR;
    }

    pattern->wild = WSB_ORIGIN_EXACT;

    if (last - p > 2 && p[0] == '*' && p[1] == '.') {
        pattern->wild = WSB_ORIGIN_BELOW;
        p += 2;

    } else if (last - p > 1 && p[0] == '.') {
        pattern->wild = WSB_ORIGIN_WITHIN;
        p++;
    }

    if (memchr(p, '*', last - p) != NULL) {
        *reason = "an asterisk can only stand for what is before the first "
                  "dot of the host, as in \"https://*.example.com\"";
        return WSB_ERROR;
    }

    if (wsb_origin_authority(p, last, origin) != WSB_OK
        || (pattern->wild != WSB_ORIGIN_EXACT && *p == '['))
    {
        *reason = "its host or its port is not valid";
        return WSB_ERROR;
    }

    return WSB_OK;
}


/* Length of the scheme before "://"; 0: there is none. */

static size_t
wsb_origin_scheme(wsb_str_t text)
{
    size_t   n;
    uint8_t  c;

    for (n = 0; n < text.len && n <= WSB_ORIGIN_SCHEME_MAX; n++) {
        c = text.data[n];

        if (!wsb_origin_alpha(c)
            && (n == 0
                || (!wsb_origin_digit(c) && c != '+' && c != '-'
                    && c != '.')))
        {
            break;
        }
    }

    if (n == 0 || n > WSB_ORIGIN_SCHEME_MAX || text.len - n < 3
        || memcmp(text.data + n, "://", 3) != 0)
    {
        return 0;
    }

    return n;
}


static wsb_rc_t
wsb_origin_authority(const uint8_t *p, const uint8_t *last,
    wsb_origin_t *origin)
{
    const uint8_t  *end;

    end = wsb_origin_host(p, last);

    if (end == NULL || end - p > WSB_ORIGIN_HOST_MAX) {
        return WSB_ERROR;
    }

    origin->host.data = p;
    origin->host.len = end - p;

    if (end == last) {
        origin->port = wsb_origin_default_port(&origin->scheme);
        return WSB_OK;
    }

    if (*end != ':') {
        return WSB_ERROR;
    }

    origin->port = wsb_origin_port(end + 1, last);

    return origin->port == 0 ? WSB_ERROR : WSB_OK;
}


/* The end of the host; NULL: there is none. */

static const uint8_t *
wsb_origin_host(const uint8_t *p, const uint8_t *last)
{
    const uint8_t  *start;

    start = p;

    if (p != last && *p == '[') {

        for (p++; p != last && *p != ']'; p++) {
            if (!wsb_origin_digit(*p) && *p != ':' && *p != '.'
                && !((*p | 0x20) >= 'a' && (*p | 0x20) <= 'f'))
            {
                return NULL;
            }
        }

        return p == last || p == start + 1 ? NULL : p + 1;
    }

    if (p != last && *p == '.') {
        return NULL;
    }

    while (p != last
           && (wsb_origin_alpha(*p) || wsb_origin_digit(*p)
               || *p == '.' || *p == '-' || *p == '_'))
    {
        p++;
    }

    return p == start ? NULL : p;
}


static unsigned
wsb_origin_port(const uint8_t *p, const uint8_t *last)
{
    unsigned  port;

    if (p == last || last - p > 5 || *p == '0') {
        return 0;
    }

    for (port = 0; p != last; p++) {
        if (!wsb_origin_digit(*p)) {
            return 0;
        }

        port = port * 10 + (*p - '0');
    }

    return port > 65535 ? 0 : port;
}


static unsigned
wsb_origin_default_port(const wsb_str_t *scheme)
{
    static const wsb_str_t  http = wsb_string("http");
    static const wsb_str_t  https = wsb_string("https");

    if (wsb_origin_same_text(scheme, &http)) {
        return 80;
    }

    return wsb_origin_same_text(scheme, &https) ? 443 : 0;
}


int
wsb_origin_equal(const wsb_origin_t *a, const wsb_origin_t *b)
{
    return a->port == b->port
           && wsb_origin_same_text(&a->scheme, &b->scheme)
           && wsb_origin_same_text(&a->host, &b->host);
}


int
wsb_origin_match(const wsb_origin_pattern_t *pattern,
    const wsb_origin_t *origin)
{
    size_t        below;
    wsb_origin_t  tail;

    tail = *origin;

    if (pattern->wild != WSB_ORIGIN_EXACT
        && origin->host.len > pattern->origin.host.len)
    {
        /* a dot before the name; what is before that is not empty */

        below = origin->host.len - pattern->origin.host.len;

        if (origin->host.data[below - 1] != '.') {
            return 0;
        }

        tail.host.data += below;
        tail.host.len -= below;

    } else if (pattern->wild == WSB_ORIGIN_BELOW) {
        return 0;
    }

    return wsb_origin_equal(&pattern->origin, &tail);
}


static int
wsb_origin_same_text(const wsb_str_t *a, const wsb_str_t *b)
{
    return a->len == b->len
           && strncasecmp((const char *) a->data, (const char *) b->data,
                          a->len)
              == 0;
}
