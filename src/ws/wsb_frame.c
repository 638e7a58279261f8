/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_close.h"
#include "wsb_frame.h"


/* The first bytes of a header. */

#define WSB_FRAME_FIN             0x80
#define WSB_FRAME_RSV1            0x40
#define WSB_FRAME_RSV23           0x30
#define WSB_FRAME_OPCODE          0x0f

#define WSB_FRAME_MASK            0x80
#define WSB_FRAME_LENGTH          0x7f
#define WSB_FRAME_LENGTH16        126
#define WSB_FRAME_LENGTH64        127


static wsb_rc_t wsb_frame_check_first(wsb_frame_t *f,
    const wsb_frame_expect_t *expect, unsigned first);
static wsb_rc_t wsb_frame_check_length(wsb_frame_t *f, uint64_t limit,
    const uint8_t *p, size_t have, size_t size);
static wsb_rc_t wsb_frame_fail(wsb_frame_t *f, unsigned code,
    const char *reason);


wsb_rc_t
wsb_frame_parse(const uint8_t *h, size_t have,
    const wsb_frame_expect_t *expect, wsb_frame_t *f)
{
    size_t    size;
    uint64_t  limit;
    wsb_rc_t  rc;
    unsigned  compressed;

    rc = wsb_frame_check_first(f, expect, h[0]);

    if (rc != WSB_OK) {
        return rc;
    }

    if (have < 2) {
        return WSB_AGAIN;
    }

    if ((h[1] & WSB_FRAME_MASK) == 0) {
        return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL, "frame is not masked");
    }

    f->len = h[1] & WSB_FRAME_LENGTH;

    size = f->len == WSB_FRAME_LENGTH16 ? 2
           : f->len == WSB_FRAME_LENGTH64 ? 8 : 0;

    if (wsb_frame_is_control(f->opcode)) {

        if (size != 0) {
            return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL,
                                  "control frame is too long");
        }

        if (f->opcode == WSB_FRAME_CLOSE && f->len == 1) {
            return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL,
                                  "close frame with half a code");
        }

    } else {
        compressed = f->opcode == WSB_FRAME_CONT ? expect->compressed
                                                 : f->rsv1;

        limit = compressed ? expect->deflated : expect->plain;

        rc = wsb_frame_check_length(f, limit - expect->len, h + 2, have - 2,
                                    size);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    f->size = 2 + size + 4;

    return have < f->size ? WSB_AGAIN : WSB_OK;
}


static wsb_rc_t
wsb_frame_check_first(wsb_frame_t *f, const wsb_frame_expect_t *expect,
    unsigned first)
{
    f->opcode = first & WSB_FRAME_OPCODE;
    f->fin = (first & WSB_FRAME_FIN) != 0;
    f->rsv1 = (first & WSB_FRAME_RSV1) != 0;

    if (first & WSB_FRAME_RSV23) {
        return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL, "reserved bit is set");
    }

    switch (f->opcode) {

    case WSB_FRAME_CONT:

        if (expect->message == 0) {
            return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL,
                                  "continuation without a message");
        }

        break;

    case WSB_FRAME_TEXT:
    case WSB_FRAME_BINARY:

        if (expect->message != 0) {
            return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL,
                                  "message inside of a message");
        }

        if (expect->deflate) {
            return WSB_OK;
        }

        break;

    case WSB_FRAME_CLOSE:
    case WSB_FRAME_PING:
    case WSB_FRAME_PONG:

        if (!f->fin) {
            return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL,
                                  "control frame is fragmented");
        }

        break;

    default:
        return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL, "reserved opcode");
    }

    if (f->rsv1) {
        return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL, "reserved bit is set");
    }

    return WSB_OK;
}


/*
 * Of an extended length of size bytes, have are there: they tell a lower and
 * an upper bound.  Both are the length itself as soon as it is complete.
 */

static wsb_rc_t
wsb_frame_check_length(wsb_frame_t *f, uint64_t limit, const uint8_t *p,
    size_t have, size_t size)
{
    size_t    i;
    uint64_t  low, high;

    low = size == 0 ? f->len : 0;
    high = low;

    for (i = 0; i < size; i++) {
        low = low << 8 | (i < have ? p[i] : 0);
        high = high << 8 | (i < have ? p[i] : 0xff);
    }

    if (low >> 63) {
        return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL,
                              "64-bit length with the top bit set");
    }

    if ((size == 2 && high < WSB_FRAME_LENGTH16)
        || (size == 8 && high <= 0xffff))
    {
        return wsb_frame_fail(f, WSB_CLOSE_PROTOCOL,
                              "length is not in its shortest form");
    }

    if (low > limit) {
        return wsb_frame_fail(f, WSB_CLOSE_TOO_BIG, "message is too big");
    }

    f->len = low;

    return WSB_OK;
}


static wsb_rc_t
wsb_frame_fail(wsb_frame_t *f, unsigned code, const char *reason)
{
    f->close_code = code;
    f->reason = reason;

    return WSB_ERROR;
}


size_t
wsb_frame_header(uint8_t *p, unsigned opcode, unsigned rsv1, uint64_t len)
{
    size_t  i, n;

    p[0] = WSB_FRAME_FIN | (rsv1 ? WSB_FRAME_RSV1 : 0) | opcode;

    if (len < WSB_FRAME_LENGTH16) {
        p[1] = len;
        return 2;
    }

    if (len <= 0xffff) {
        p[1] = WSB_FRAME_LENGTH16;
        n = 2;

    } else {
        p[1] = WSB_FRAME_LENGTH64;
        n = 8;
    }

    for (i = 0; i < n; i++) {
        p[2 + i] = len >> 8 * (n - 1 - i);
    }

    return 2 + n;
}


size_t
wsb_frame_close(uint8_t *p, unsigned code, const char *reason)
{
    size_t  n, len;

    if (code == WSB_CLOSE_NO_STATUS) {
        return wsb_frame_header(p, WSB_FRAME_CLOSE, 0, 0);
    }

    len = reason == NULL ? 0 : strlen(reason);

    if (len > WSB_FRAME_CONTROL_MAX - 2) {
        len = WSB_FRAME_CONTROL_MAX - 2;

        while (len > 0 && ((uint8_t) reason[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    n = wsb_frame_header(p, WSB_FRAME_CLOSE, 0, 2 + len);

    p[n++] = code >> 8;
    p[n++] = code;

    if (len != 0) {
        memcpy(p + n, reason, len);
    }

    return n + len;
}
