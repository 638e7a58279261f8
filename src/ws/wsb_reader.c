/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_reader.h"


/* What a message may ever have, whatever is configured: sizes are 32 bits. */
#define WSB_READER_LIMIT          0x40000000

/* The first allocation for a message that is not there as a whole. */
#define WSB_READER_STEP           1024


static wsb_rc_t wsb_reader_header(wsb_reader_t *rd,
    const wsb_reader_conf_t *conf, uint8_t **pos, uint8_t *last);
static uint64_t wsb_reader_limit(const wsb_reader_conf_t *conf,
    int compressed);
static wsb_rc_t wsb_reader_data(wsb_reader_t *rd,
    const wsb_reader_conf_t *conf, uint8_t **pos, uint8_t *last,
    wsb_message_t *msg);
static wsb_rc_t wsb_reader_inflate(wsb_reader_t *rd,
    const wsb_reader_conf_t *conf, uint8_t *p, size_t n);
static wsb_rc_t wsb_reader_append(wsb_reader_t *rd, uint64_t limit,
    const uint8_t *p, size_t n);
static wsb_rc_t wsb_reader_control(wsb_reader_t *rd, uint8_t **pos,
    uint8_t *last, wsb_message_t *msg);
static wsb_rc_t wsb_reader_check_close(wsb_reader_t *rd, const uint8_t *p,
    size_t n);
static size_t wsb_reader_payload(wsb_reader_t *rd, uint8_t **pos,
    uint8_t *last);
static void wsb_reader_unmask(wsb_reader_t *rd, uint8_t *p, size_t n);
static wsb_rc_t wsb_reader_fail(wsb_reader_t *rd, unsigned code,
    const char *reason);
static wsb_rc_t wsb_reader_nomem(wsb_reader_t *rd);
static void wsb_reader_free(wsb_reader_t *rd);


wsb_rc_t
wsb_reader_next(wsb_reader_t *rd, const wsb_reader_conf_t *conf,
    uint8_t **pos, uint8_t *last, wsb_message_t *msg)
{
    wsb_rc_t  rc;

    if (rd->close_code != 0) {
        return WSB_ERROR;
    }

    if (rd->handed_out) {
        wsb_free(rd->buf);
        rd->buf = NULL;
        rd->len = 0;
        rd->size = 0;
        rd->handed_out = 0;
    }

    if (rd->ctl != NULL && !rd->in_payload) {
        wsb_free(rd->ctl);
        rd->ctl = NULL;
        rd->nctl = 0;
    }

    while (*pos != last) {

        if (!rd->in_payload) {
            rc = wsb_reader_header(rd, conf, pos, last);

            if (rc != WSB_OK) {
                return rc;
            }
        }

        if (wsb_frame_is_control(rd->opcode)) {
            rc = wsb_reader_control(rd, pos, last, msg);

        } else {
            rc = wsb_reader_data(rd, conf, pos, last, msg);
        }

        if (rc != WSB_DONE) {
            return rc;
        }
    }

    return WSB_AGAIN;
}


/* The header is parsed where it is kept when it is incomplete. */

static wsb_rc_t
wsb_reader_header(wsb_reader_t *rd, const wsb_reader_conf_t *conf,
    uint8_t **pos, uint8_t *last)
{
    size_t              n, have;
    wsb_rc_t            rc;
    wsb_frame_t         frame;
    wsb_frame_expect_t  expect;

    n = WSB_FRAME_HEADER_MAX - rd->nheader;

    if ((size_t) (last - *pos) < n) {
        n = last - *pos;
    }

    memcpy(rd->header + rd->nheader, *pos, n);
    have = rd->nheader + n;

    expect.plain = wsb_reader_limit(conf, 0);
    expect.deflated = wsb_reader_limit(conf, 1);
    expect.len = rd->len;
    expect.message = rd->message;
    expect.compressed = rd->compressed;
    expect.deflate = rd->deflate && conf->inflate != NULL;

    rc = wsb_frame_parse(rd->header, have, &expect, &frame);

    if (rc == WSB_ERROR) {
        return wsb_reader_fail(rd, frame.close_code, frame.reason);
    }

    if (rc == WSB_AGAIN) {
        rd->nheader = have;
        *pos = last;
        return rc;
    }

    *pos += frame.size - rd->nheader;

    memcpy(rd->mask, rd->header + frame.size - 4, 4);
    rd->nheader = 0;
    rd->mask_pos = 0;
    rd->remaining = frame.len;
    rd->opcode = frame.opcode;
    rd->fin = frame.fin;
    rd->in_payload = 1;

    if (rd->opcode == WSB_FRAME_TEXT || rd->opcode == WSB_FRAME_BINARY) {
        rd->message = rd->opcode;
        rd->compressed = frame.rsv1;
        rd->utf8 = WSB_UTF8_START;
    }

    return WSB_OK;
}


/* What may be assembled of a message, as it comes. */

static uint64_t
wsb_reader_limit(const wsb_reader_conf_t *conf, int compressed)
{
    size_t  limit;

    limit = conf->max_message < WSB_READER_LIMIT ? conf->max_message
                                                 : WSB_READER_LIMIT;

    return compressed ? wsb_inflate_payload_max(limit) : limit;
}


static wsb_rc_t
wsb_reader_data(wsb_reader_t *rd, const wsb_reader_conf_t *conf,
    uint8_t **pos, uint8_t *last, wsb_message_t *msg)
{
    size_t    n;
    uint8_t  *p;
    wsb_rc_t  rc;

    p = *pos;
    n = wsb_reader_payload(rd, pos, last);

    if (rd->message == WSB_FRAME_TEXT && !rd->compressed) {
        rd->utf8 = wsb_utf8(rd->utf8, p, n);

        if (rd->utf8 == WSB_UTF8_INVALID
            || (!rd->in_payload && rd->fin && rd->utf8 != WSB_UTF8_START))
        {
            return wsb_reader_fail(rd, WSB_CLOSE_BAD_DATA,
                                   "text is not UTF-8");
        }
    }

    if (rd->in_payload || !rd->fin || rd->len != 0) {
        rc = wsb_reader_append(rd, wsb_reader_limit(conf, rd->compressed),
                               p, n);

        if (rc != WSB_OK) {
            return rc;
        }

        if (rd->in_payload) {
            return WSB_AGAIN;
        }

        if (!rd->fin) {
            return WSB_DONE;
        }

        p = rd->buf;
        n = rd->len;
        rd->handed_out = 1;
    }

    if (rd->compressed) {
        rc = wsb_reader_inflate(rd, conf, p, n);

        if (rc != WSB_OK) {
            return rc;
        }

        p = rd->buf;
        n = rd->len;
    }

    msg->opcode = rd->message;
    msg->code = 0;
    msg->data = p;
    msg->len = n;

    rd->message = 0;

    return WSB_OK;
}


/* What was collected is given up as soon as it is inflated. */

static wsb_rc_t
wsb_reader_inflate(wsb_reader_t *rd, const wsb_reader_conf_t *conf,
    uint8_t *p, size_t n)
{
    wsb_rc_t        rc;
    wsb_str_t       payload;
    wsb_inflated_t  out;

    payload.data = p;
    payload.len = n;

    rc = wsb_inflate(conf->inflate, payload, wsb_reader_limit(conf, 0),
                     rd->message == WSB_FRAME_TEXT, &out);

    if (rc == WSB_ERROR) {
        return wsb_reader_fail(rd, out.close_code, out.reason);
    }

    if (rc != WSB_OK) {
        return wsb_reader_nomem(rd);
    }

    wsb_free(rd->buf);

    rd->buf = out.data;
    rd->len = out.len;
    rd->size = out.size;
    rd->handed_out = 1;

    return WSB_OK;
}


/*
 * The buffer doubles with what has arrived, never with what is announced,
 * and is never larger than the message can become.
 */

static wsb_rc_t
wsb_reader_append(wsb_reader_t *rd, uint64_t limit, const uint8_t *p,
    size_t n)
{
    uint8_t   *buf;
    uint64_t   need, most, size;

    if (n == 0) {
        return WSB_OK;
    }

    need = rd->len + n;

    if (need > rd->size) {
        most = rd->fin ? need + rd->remaining : limit;
        size = rd->size == 0 ? WSB_READER_STEP : rd->size * 2ull;

        if (size < need) {
            size = need;
        }

        if (size > most) {
            size = most;
        }

        buf = wsb_realloc(rd->buf, size);

        if (buf == NULL) {
            return wsb_reader_nomem(rd);
        }

        rd->buf = buf;
        rd->size = size;
    }

    memcpy(rd->buf + rd->len, p, n);
    rd->len = need;

    return WSB_OK;
}


static wsb_rc_t
wsb_reader_control(wsb_reader_t *rd, uint8_t **pos, uint8_t *last,
    wsb_message_t *msg)
{
    size_t    n;
    uint8_t  *p;
    wsb_rc_t  rc;

    p = *pos;
    n = wsb_reader_payload(rd, pos, last);

    if (rd->in_payload && n == 0) {
        return WSB_AGAIN;
    }

    if (rd->in_payload || rd->ctl != NULL) {

        if (rd->ctl == NULL) {
            rd->ctl = wsb_malloc(WSB_FRAME_CONTROL_MAX);

            if (rd->ctl == NULL) {
                return wsb_reader_nomem(rd);
            }
        }

        memcpy(rd->ctl + rd->nctl, p, n);
        rd->nctl += n;

        p = rd->ctl;
        n = rd->nctl;
    }

    if (rd->opcode == WSB_FRAME_CLOSE) {
        rc = wsb_reader_check_close(rd, p, n);

        if (rc != WSB_OK) {
            return rc;
        }
    }

    if (rd->in_payload) {
        return WSB_AGAIN;
    }

    msg->opcode = rd->opcode;
    msg->code = 0;
    msg->data = p;
    msg->len = n;

    if (rd->opcode == WSB_FRAME_CLOSE) {
        msg->code = WSB_CLOSE_NO_STATUS;

        if (n >= 2) {
            msg->code = p[0] << 8 | p[1];
            msg->data += 2;
            msg->len -= 2;
        }
    }

    return WSB_OK;
}


/* Of the payload, n bytes are there; the frame may have more to come. */

static wsb_rc_t
wsb_reader_check_close(wsb_reader_t *rd, const uint8_t *p, size_t n)
{
    wsb_utf8_t  utf8;

    if (n < 2) {
        return WSB_OK;
    }

    if (!wsb_close_code_valid(p[0] << 8 | p[1])) {
        return wsb_reader_fail(rd, WSB_CLOSE_PROTOCOL, "invalid close code");
    }

    utf8 = wsb_utf8(WSB_UTF8_START, p + 2, n - 2);

    if (utf8 == WSB_UTF8_INVALID
        || (utf8 != WSB_UTF8_START && !rd->in_payload))
    {
        return wsb_reader_fail(rd, WSB_CLOSE_BAD_DATA,
                               "close reason is not UTF-8");
    }

    return WSB_OK;
}


/* Takes and unmasks what there is of a payload; in_payload: more to come. */

static size_t
wsb_reader_payload(wsb_reader_t *rd, uint8_t **pos, uint8_t *last)
{
    size_t  n;

    n = last - *pos;

    if (n >= rd->remaining) {
        n = rd->remaining;
        rd->in_payload = 0;
    }

    wsb_reader_unmask(rd, *pos, n);

    *pos += n;
    rd->remaining -= n;

    return n;
}


static void
wsb_reader_unmask(wsb_reader_t *rd, uint8_t *p, size_t n)
{
    size_t    i;
    uint8_t   mask[8];
    uint64_t  key, word;

    for (i = 0; i < sizeof(mask); i++) {
        mask[i] = rd->mask[(rd->mask_pos + i) & 3];
    }

    memcpy(&key, mask, sizeof(key));

    for (i = 0; n - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, p + i, sizeof(word));
        word ^= key;
        memcpy(p + i, &word, sizeof(word));
    }

    for ( /* void */ ; i < n; i++) {
        p[i] ^= mask[i & 7];
    }

    rd->mask_pos = (rd->mask_pos + n) & 3;
}


static wsb_rc_t
wsb_reader_fail(wsb_reader_t *rd, unsigned code, const char *reason)
{
    wsb_reader_free(rd);

    rd->close_code = code;
    rd->reason = reason;

    return WSB_ERROR;
}


static wsb_rc_t
wsb_reader_nomem(wsb_reader_t *rd)
{
    (void) wsb_reader_fail(rd, WSB_CLOSE_INTERNAL, "out of memory");

    return WSB_NOMEM;
}


static void
wsb_reader_free(wsb_reader_t *rd)
{
    wsb_free(rd->buf);
    wsb_free(rd->ctl);

    rd->buf = NULL;
    rd->ctl = NULL;
    rd->len = 0;
    rd->size = 0;
    rd->nctl = 0;
}


void
wsb_reader_done(wsb_reader_t *rd)
{
    unsigned  deflate;

    deflate = rd->deflate;

    wsb_reader_free(rd);
    memset(rd, 0, sizeof(wsb_reader_t));

    rd->deflate = deflate;
}
