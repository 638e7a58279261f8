/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_response.h"

#include <strings.h>


#define WSB_RESPONSE_SIZE_MAX  (UINT64_MAX >> 8)


static size_t wsb_response_line(wsb_response_t *res, const uint8_t *p,
    size_t len);
static wsb_response_state_t wsb_response_status(wsb_response_t *res);
static wsb_response_state_t wsb_response_header(wsb_response_t *res);
static wsb_response_state_t wsb_response_head_end(wsb_response_t *res);
static wsb_response_state_t wsb_response_length(wsb_response_t *res,
    wsb_str_t value);
static void wsb_response_keep(wsb_text_t *text, wsb_str_t value);
static int wsb_response_token(wsb_str_t value, const char *token);
static wsb_response_state_t wsb_response_chunk(wsb_response_t *res,
    uint8_t c);
static size_t wsb_response_data(wsb_response_t *res, const uint8_t *p,
    size_t len);


wsb_rc_t
wsb_response_feed(wsb_response_t *res, const uint8_t *data, size_t len)
{
    size_t          n;
    const uint8_t  *p, *last;

    p = data;
    last = p + len;

    while (p < last) {

        switch (res->state) {

        case WSB_RESPONSE_STATUS:
        case WSB_RESPONSE_HEADER:
        case WSB_RESPONSE_TRAILER:
        case WSB_RESPONSE_CHUNK_END:
            n = wsb_response_line(res, p, last - p);
            break;

        case WSB_RESPONSE_CHUNK:
            res->state = wsb_response_chunk(res, *p);
            n = 1;
            break;

        case WSB_RESPONSE_LENGTH:
        case WSB_RESPONSE_DATA:
        case WSB_RESPONSE_CLOSE:
            n = wsb_response_data(res, p, last - p);
            break;

        case WSB_RESPONSE_WHOLE:
            /* what comes after it is nobody's */
            return WSB_OK;

        default:
            return WSB_ERROR;
        }

        p += n;
    }

    return res->state == WSB_RESPONSE_WHOLE ? WSB_OK
           : res->state == WSB_RESPONSE_BAD ? WSB_ERROR : WSB_AGAIN;
}


int
wsb_response_closed(wsb_response_t *res)
{
    if (res->state == WSB_RESPONSE_CLOSE) {
        res->state = WSB_RESPONSE_WHOLE;
    }

    return res->state == WSB_RESPONSE_WHOLE;
}


void
wsb_response_done(wsb_response_t *res)
{
    wsb_text_done(&res->line);
    wsb_text_done(&res->location);
    wsb_text_done(&res->encoding);
    wsb_text_done(&res->body);
}


/* Takes what there is of a line; if that is all of it, looks at it. */

static size_t
wsb_response_line(wsb_response_t *res, const uint8_t *p, size_t len)
{
    size_t          n;
    const uint8_t  *lf;

    lf = memchr(p, '\n', len);
    n = lf ? (size_t) (lf + 1 - p) : len;

    if (n > WSB_RESPONSE_HEAD - res->head) {
        res->state = WSB_RESPONSE_BAD;
        return len;
    }

    res->head += n;
    wsb_text_add(&res->line, p, n);

    if (res->line.failed) {
        res->state = WSB_RESPONSE_BAD;
        return len;
    }

    if (lf == NULL) {
        return n;
    }

    while (res->line.len != 0
           && (res->line.data[res->line.len - 1] == '\n'
               || res->line.data[res->line.len - 1] == '\r'))
    {
        res->line.len--;
    }

    switch (res->state) {

    case WSB_RESPONSE_STATUS:
        res->state = wsb_response_status(res);
        break;

    case WSB_RESPONSE_HEADER:
        res->state = wsb_response_header(res);
        break;

    case WSB_RESPONSE_CHUNK_END:
        res->state = res->line.len == 0 ? WSB_RESPONSE_CHUNK
                                        : WSB_RESPONSE_BAD;
        res->head = 0;
        break;

    default:
        if (res->line.len == 0) {
            res->state = WSB_RESPONSE_WHOLE;
        }
    }

    res->line.len = 0;

    return n;
}


/* "HTTP/1.1 201 Created"; without a reason, too. */

static wsb_response_state_t
wsb_response_status(wsb_response_t *res)
{
    unsigned        i;
    const uint8_t  *p;

    p = res->line.data;
    res->status = 0;

    if (res->line.len < sizeof("HTTP/1.1 201") - 1
        || memcmp(p, "HTTP/1.", sizeof("HTTP/1.") - 1) != 0
        || p[7] < '0' || p[7] > '9' || p[8] != ' '
        || (res->line.len > 12 && p[12] != ' '))
    {
        return WSB_RESPONSE_BAD;
    }

    for (i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return WSB_RESPONSE_BAD;
        }

        res->status = 10 * res->status + (p[i] - '0');
    }

    /* after 101 it is not HTTP any more */

    return res->status < 100 || res->status == 101 ? WSB_RESPONSE_BAD
                                                   : WSB_RESPONSE_HEADER;
}


static wsb_response_state_t
wsb_response_header(wsb_response_t *res)
{
    wsb_str_t       name, value;
    const uint8_t  *p, *last;

    if (res->line.len == 0) {
        return wsb_response_head_end(res);
    }

    p = memchr(res->line.data, ':', res->line.len);

    if (p == NULL) {
        return WSB_RESPONSE_BAD;
    }

    name.data = res->line.data;
    name.len = p - res->line.data;

    last = res->line.data + res->line.len;

    for (p++; p < last && (*p == ' ' || *p == '\t'); p++) {
        /* void */
    }

    while (last > p && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    value.data = p;
    value.len = last - p;

    if (wsb_response_token(name, "location")) {
        wsb_response_keep(&res->location, value);

    } else if (wsb_response_token(name, "content-encoding")) {
        wsb_response_keep(&res->encoding, value);

    } else if (wsb_response_token(name, "content-length")) {
        return wsb_response_length(res, value);

    } else if (wsb_response_token(name, "transfer-encoding")) {

        if (!wsb_response_token(value, "chunked")) {
            return WSB_RESPONSE_BAD;
        }

        res->chunked = 1;
    }

    return res->location.failed || res->encoding.failed
           ? WSB_RESPONSE_BAD : WSB_RESPONSE_HEADER;
}


static wsb_response_state_t
wsb_response_head_end(wsb_response_t *res)
{
    res->head = 0;

    if (res->status < 200) {
        /* another one of those that come first */
        res->location.len = 0;
        res->encoding.len = 0;
        res->length = 0;
        res->chunked = 0;

        return WSB_RESPONSE_STATUS;
    }

    if (res->status == 204 || res->status == 304) {
        return WSB_RESPONSE_WHOLE;
    }

    if (res->chunked) {
        res->left = 0;
        return WSB_RESPONSE_CHUNK;
    }

    if (res->length) {
        return res->left ? WSB_RESPONSE_LENGTH : WSB_RESPONSE_WHOLE;
    }

    return WSB_RESPONSE_CLOSE;
}


static wsb_response_state_t
wsb_response_length(wsb_response_t *res, wsb_str_t value)
{
    size_t    i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9'
            || n > WSB_RESPONSE_SIZE_MAX)
        {
            return WSB_RESPONSE_BAD;
        }

        n = 10 * n + (value.data[i] - '0');
    }

    if (value.len == 0 || (res->length && res->left != n)) {
        return WSB_RESPONSE_BAD;
    }

    res->length = 1;
    res->left = n;

    return WSB_RESPONSE_HEADER;
}


/* The first one counts. */

static void
wsb_response_keep(wsb_text_t *text, wsb_str_t value)
{
    if (text->len == 0) {
        wsb_text_str(text, value);
    }
}


static int
wsb_response_token(wsb_str_t value, const char *token)
{
    return value.len == strlen(token)
           && strncasecmp((const char *) value.data, token, value.len) == 0;
}


static wsb_response_state_t
wsb_response_chunk(wsb_response_t *res, uint8_t c)
{
    unsigned  digit;

    if (++res->head > WSB_RESPONSE_HEAD) {
        return WSB_RESPONSE_BAD;
    }

    if (c == '\n') {
        if (!res->sized) {
            return WSB_RESPONSE_BAD;
        }

        res->sized = 0;
        res->extension = 0;
        res->head = 0;

        return res->left ? WSB_RESPONSE_DATA : WSB_RESPONSE_TRAILER;
    }

    if (res->extension) {
        return WSB_RESPONSE_CHUNK;
    }

    if (res->sized && (c == '\r' || c == ';' || c == ' ' || c == '\t')) {
        res->extension = 1;
        return WSB_RESPONSE_CHUNK;
    }

    if (c >= '0' && c <= '9') {
        digit = c - '0';

    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        digit = (c | 0x20) - 'a' + 10;

    } else {
        return WSB_RESPONSE_BAD;
    }

    if (res->left > WSB_RESPONSE_SIZE_MAX / 16) {
        return WSB_RESPONSE_BAD;
    }

    res->left = 16 * res->left + digit;
    res->sized = 1;

    return WSB_RESPONSE_CHUNK;
}


/* Bytes of the body: more than are kept are counted. */

static size_t
wsb_response_data(wsb_response_t *res, const uint8_t *p, size_t len)
{
    size_t  n;

    n = len;

    if (res->state != WSB_RESPONSE_CLOSE) {
        n = res->left < len ? (size_t) res->left : len;
        res->left -= n;
    }

    if (!res->lost && n > res->max_body - res->body.len) {
        res->lost = 1;
    }

    if (!res->lost) {
        wsb_text_add(&res->body, p, n);
        res->lost = res->body.failed;
    }

    if (res->lost) {
        wsb_text_done(&res->body);
    }

    if (res->state != WSB_RESPONSE_CLOSE && res->left == 0) {
        res->state = res->state == WSB_RESPONSE_DATA ? WSB_RESPONSE_CHUNK_END
                                                     : WSB_RESPONSE_WHOLE;
    }

    return n;
}
