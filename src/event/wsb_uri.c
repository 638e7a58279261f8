/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_uri.h"
#include "../json/wsb_text.h"


static wsb_str_t wsb_uri_path(wsb_str_t raw);
static wsb_str_t wsb_uri_last_of(wsb_str_t path);
static wsb_str_t wsb_uri_first_of(wsb_str_t path);
static wsb_rc_t wsb_uri_behind(wsb_str_t raw, wsb_str_t prefix,
    wsb_str_t *rest);
static wsb_rc_t wsb_uri_decode(wsb_str_t raw, uint8_t *buf,
    wsb_str_t *segment);
static const uint8_t *wsb_uri_byte(const uint8_t *p, const uint8_t *last,
    uint8_t *c);
static int wsb_uri_hex(uint8_t c);
static wsb_rc_t wsb_uri_check(wsb_str_t segment);
static int wsb_uri_dots(const wsb_str_t *segment);
static int wsb_uri_begins(wsb_str_t path, wsb_str_t segment);
static int wsb_uri_ends(wsb_str_t path, wsb_str_t segment);


wsb_rc_t
wsb_uri_last(const wsb_uri_t *uri, uint8_t buf[WSB_URI_SEGMENT],
    wsb_str_t *segment)
{
    wsb_rc_t  rc;

    rc = wsb_uri_decode(wsb_uri_last_of(wsb_uri_path(uri->raw)), buf,
                        segment);

    /* a rewrite may have left the end of the path as it was */

    if (rc != WSB_NOTFOUND
        && (uri->rewritten ? wsb_uri_ends(uri->path, *segment)
                           : !wsb_uri_dots(segment)))
    {
        return rc == WSB_OK ? wsb_uri_check(*segment) : rc;
    }

    *segment = wsb_uri_last_of(uri->path);

    return wsb_uri_check(*segment);
}


wsb_rc_t
wsb_uri_collection(const wsb_uri_t *uri, wsb_str_t prefix,
    uint8_t buf[WSB_URI_SEGMENT], wsb_str_t *segment)
{
    wsb_rc_t   rc;
    wsb_str_t  rest, raw;

    rest = uri->path;

    if (prefix.len == 0 || prefix.len > rest.len
        || memcmp(rest.data, prefix.data, prefix.len) != 0)
    {
        prefix.len = 0;

    } else if (prefix.len == rest.len
               || prefix.data[prefix.len - 1] != '/')
    {
        *segment = wsb_uri_last_of(prefix);

        if (segment->len != 0) {
            return wsb_uri_check(*segment);
        }

    } else {
        rest.data += prefix.len;
        rest.len -= prefix.len;
    }

    if (wsb_uri_behind(wsb_uri_path(uri->raw), prefix, &raw) == WSB_OK) {
        rc = wsb_uri_decode(wsb_uri_first_of(raw), buf, segment);

        if (rc == WSB_ERROR && !uri->rewritten) {
            return WSB_ERROR;
        }

        /* else "..", or a rewrite, has made something else of it */

        if (rc == WSB_OK && wsb_uri_begins(rest, *segment)) {
            return wsb_uri_check(*segment);
        }
    }

    *segment = wsb_uri_first_of(rest);

    return wsb_uri_check(*segment);
}


wsb_rc_t
wsb_uri_reference(wsb_str_t reference, uint8_t buf[WSB_URI_SEGMENT],
    wsb_str_t *segment)
{
    wsb_rc_t        rc;
    wsb_str_t       path;
    const uint8_t  *p, *last;

    path = wsb_uri_path(reference);
    last = path.data + path.len;

    /* "scheme:" if there is a "//" behind it; then the host, up to a slash */

    for (p = path.data; p < last && *p != '/' && *p != ':'; p++) {
        /* void */
    }

    if (p < last && *p == ':') {
        p++;

    } else {
        p = path.data;
    }

    if (last - p >= 2 && p[0] == '/' && p[1] == '/') {
        p = memchr(p + 2, '/', last - p - 2);

        path.data = p ? p : last;
        path.len = last - path.data;
    }

    rc = wsb_uri_decode(wsb_uri_last_of(path), buf, segment);

    if (rc != WSB_OK) {
        return rc;
    }

    return wsb_uri_dots(segment) ? WSB_NOTFOUND : wsb_uri_check(*segment);
}


/* Without arguments and fragment. */

static wsb_str_t
wsb_uri_path(wsb_str_t raw)
{
    size_t  i;

    for (i = 0; i < raw.len; i++) {
        if (raw.data[i] == '?' || raw.data[i] == '#') {
            break;
        }
    }

    raw.len = i;

    return raw;
}


static wsb_str_t
wsb_uri_last_of(wsb_str_t path)
{
    wsb_str_t       s;
    const uint8_t  *p;

    while (path.len != 0 && path.data[path.len - 1] == '/') {
        path.len--;
    }

    p = path.data + path.len;

    while (p > path.data && p[-1] != '/') {
        p--;
    }

    s.data = p;
    s.len = path.data + path.len - p;

    return s;
}


static wsb_str_t
wsb_uri_first_of(wsb_str_t path)
{
    wsb_str_t       s;
    const uint8_t  *p, *last;

    p = path.data;
    last = p + path.len;

    while (p < last && *p == '/') {
        p++;
    }

    s.data = p;

    while (p < last && *p != '/') {
        p++;
    }

    s.len = p - s.data;

    return s;
}


/* What follows the prefix, which is decoded; an escaped slash is none. */

static wsb_rc_t
wsb_uri_behind(wsb_str_t raw, wsb_str_t prefix, wsb_str_t *rest)
{
    size_t          i;
    uint8_t         c;
    const uint8_t  *p, *last, *next;

    p = raw.data;
    last = p + raw.len;

    for (i = 0; i < prefix.len; i++) {
        if (p == last) {
            return WSB_NOTFOUND;
        }

        next = wsb_uri_byte(p, last, &c);

        if (c != prefix.data[i] || (c == '/' && *p != '/')) {
            return WSB_NOTFOUND;
        }

        p = next;
    }

    rest->data = p;
    rest->len = last - p;

    return WSB_OK;
}


/* WSB_ERROR: it is too long for buf; the segment then is what fits. */

static wsb_rc_t
wsb_uri_decode(wsb_str_t raw, uint8_t *buf, wsb_str_t *segment)
{
    uint8_t         c;
    const uint8_t  *p, *last;

    segment->data = buf;
    segment->len = 0;

    if (raw.len == 0) {
        return WSB_NOTFOUND;
    }

    p = raw.data;
    last = p + raw.len;

    while (p < last) {
        if (segment->len == WSB_URI_SEGMENT) {
            return WSB_ERROR;
        }

        p = wsb_uri_byte(p, last, &c);
        buf[segment->len++] = c;
    }

    return WSB_OK;
}


/* What is no escape stands for itself. */

static const uint8_t *
wsb_uri_byte(const uint8_t *p, const uint8_t *last, uint8_t *c)
{
    if (*p == '%' && last - p >= 3
        && wsb_uri_hex(p[1]) != -1 && wsb_uri_hex(p[2]) != -1)
    {
        *c = (uint8_t) (wsb_uri_hex(p[1]) << 4 | wsb_uri_hex(p[2]));
        return p + 3;
    }

    *c = *p;

    return p + 1;
}


static int
wsb_uri_hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


static wsb_rc_t
wsb_uri_check(wsb_str_t segment)
{
    if (segment.len == 0) {
        return WSB_NOTFOUND;
    }

    return segment.len <= WSB_URI_SEGMENT && wsb_text_valid(segment)
           ? WSB_OK : WSB_ERROR;
}


/* They do not name anything: the server has resolved them. */

static int
wsb_uri_dots(const wsb_str_t *segment)
{
    return wsb_str_eq(segment, ".") || wsb_str_eq(segment, "..");
}


/*
 * Do the first segments of the path make up this one, escaped slashes as
 * such?  The server may have made one slash of several.
 */

static int
wsb_uri_begins(wsb_str_t path, wsb_str_t segment)
{
    size_t  i, j;

    i = 0;
    j = 0;

    while (i < path.len && path.data[i] == '/') {
        i++;
    }

    while (j < segment.len && segment.data[j] == '/') {
        j++;
    }

    while (j < segment.len) {

        if (i == path.len || path.data[i] != segment.data[j]) {
            /* a slash at the end may be gone */
            return i == path.len && segment.data[j] == '/'
                   && j + 1 == segment.len;
        }

        if (segment.data[j] == '/') {
            for ( ; i + 1 < path.len && path.data[i + 1] == '/'; i++) {
                /* void */
            }

            for ( ; j + 1 < segment.len && segment.data[j + 1] == '/'; j++) {
                /* void */
            }
        }

        i++;
        j++;
    }

    return i == path.len || path.data[i] == '/'
           || (i > 0 && path.data[i - 1] == '/');
}


static int
wsb_uri_ends(wsb_str_t path, wsb_str_t segment)
{
    size_t  i, j;

    i = path.len;
    j = segment.len;

    while (i > 0 && path.data[i - 1] == '/') {
        i--;
    }

    while (j > 0 && segment.data[j - 1] == '/') {
        j--;
    }

    while (j > 0) {

        if (i == 0 || path.data[i - 1] != segment.data[j - 1]) {
            return 0;
        }

        if (segment.data[j - 1] == '/') {
            for ( ; i > 1 && path.data[i - 2] == '/'; i--) {
                /* void */
            }

            for ( ; j > 1 && segment.data[j - 2] == '/'; j--) {
                /* void */
            }
        }

        i--;
        j--;
    }

    return i == 0 || path.data[i - 1] == '/'
           || (i < path.len && path.data[i] == '/');
}
