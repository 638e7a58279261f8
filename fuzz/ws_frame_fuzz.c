/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The reader.  The first byte has the flags, the second says how the others
 * are cut: messages and errors must be those of the input as a whole.
 */

#include "fuzz.h"

#include "ws/wsb_inflate.h"
#include "ws/wsb_reader.h"
#include "ws/utf8_ref.h"


#define NO_DEFLATE      0x01    /* not negotiated */
#define MASKED          0x02    /* the masks are taken to be zero */
#define LIMITS          0x0c


/* What came of it: a digest of the messages, and the error. */

typedef struct {
    uint64_t    digest;
    unsigned    messages;
    unsigned    code;
    char        reason[64];
} outcome_t;


static void
digest(outcome_t *o, const void *p, size_t n)
{
    size_t          i;
    const uint8_t  *bytes = p;

    for (i = 0; i < n; i++) {
        o->digest = (o->digest ^ bytes[i]) * 0x100000001b3ull;
    }
}


static void
check_message(const wsb_message_t *m, const wsb_reader_conf_t *conf)
{
    fuzz_check(m->data != NULL);

    switch (m->opcode) {

    case WSB_FRAME_TEXT:
        fuzz_check(ref_text(m->data, m->len) == m->len);
        /* fall through */

    case WSB_FRAME_BINARY:
        fuzz_check(m->len <= conf->max_message);
        fuzz_check(m->code == 0);
        break;

    case WSB_FRAME_CLOSE:
        fuzz_check(m->len <= WSB_FRAME_CONTROL_MAX - 2);
        fuzz_check(m->code == WSB_CLOSE_NO_STATUS
                   ? m->len == 0 : wsb_close_code_valid(m->code));
        fuzz_check(ref_text(m->data, m->len) == m->len);
        break;

    default:
        fuzz_check(m->opcode == WSB_FRAME_PING
                   || m->opcode == WSB_FRAME_PONG);
        fuzz_check(m->len <= WSB_FRAME_CONTROL_MAX);
        fuzz_check(m->code == 0);
    }
}


static wsb_rc_t
feed(wsb_reader_t *rd, const wsb_reader_conf_t *conf, const uint8_t *p,
    size_t n, outcome_t *o)
{
    uint8_t        *copy, *pos;
    wsb_rc_t        rc;
    wsb_message_t   msg;

    copy = fuzz_copy(p, n);
    pos = copy;

    for ( ;; ) {
        memset(&msg, 0xee, sizeof(msg));
        rc = wsb_reader_next(rd, conf, &pos, copy + n, &msg);

        fuzz_check(pos >= copy && pos <= copy + n);
        fuzz_check(rd->size <= wsb_inflate_payload_max(conf->max_message));

        if (rc != WSB_OK) {
            break;
        }

        check_message(&msg, conf);

        o->messages++;
        digest(o, &msg.opcode, sizeof(msg.opcode));
        digest(o, &msg.code, sizeof(msg.code));
        digest(o, &msg.len, sizeof(msg.len));
        digest(o, msg.data, msg.len);
    }

    if (rc == WSB_AGAIN) {
        fuzz_check(pos == copy + n);
        fuzz_check(!rd->handed_out);

    } else {
        fuzz_check(rc == WSB_ERROR);
        fuzz_check(rd->close_code == WSB_CLOSE_PROTOCOL
                   || rd->close_code == WSB_CLOSE_BAD_DATA
                   || rd->close_code == WSB_CLOSE_TOO_BIG);
        fuzz_check(rd->buf == NULL && rd->ctl == NULL);

        o->code = rd->close_code;
        snprintf(o->reason, sizeof(o->reason), "%s", rd->reason);
    }

    free(copy);

    return rc;
}


static void
run(const wsb_reader_conf_t *conf, unsigned deflate, uint8_t how,
    const uint8_t *p, size_t size, outcome_t *o)
{
    size_t        n;
    wsb_reader_t  rd;
    fuzz_split_t  split;

    memset(&rd, 0, sizeof(rd));
    memset(o, 0, sizeof(outcome_t));
    rd.deflate = deflate;
    fuzz_split_init(&split, how);

    while (size != 0) {
        n = fuzz_split_next(&split, size);

        if (feed(&rd, conf, p, n, o) != WSB_AGAIN) {
            break;
        }

        p += n;
        size -= n;
    }

    wsb_reader_done(&rd);
    fuzz_check(rd.buf == NULL && rd.ctl == NULL && rd.deflate == deflate);
}


/* Headers stay as they are, and payloads are readable for the mutator. */

static void
clear_masks(uint8_t *p, size_t n)
{
    size_t    i, ext;
    uint64_t  len;

    while (n >= 2) {
        len = p[1] & 0x7f;
        ext = len == 126 ? 2 : len == 127 ? 8 : 0;

        if (n < 2 + ext + 4) {
            return;
        }

        if (ext != 0) {
            len = 0;
        }

        for (i = 0; i < ext; i++) {
            len = len << 8 | p[2 + i];
        }

        p[1] |= 0x80;
        memset(p + 2 + ext, 0, 4);

        p += 2 + ext + 4;
        n -= 2 + ext + 4;

        if (len > n) {
            return;
        }

        p += len;
        n -= len;
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t                *input;
    unsigned                deflate;
    outcome_t               whole, split, bytes;
    wsb_reader_conf_t       conf;

    static const size_t     limits[] = { 1 << 20, 65536, 1000, 10 };
    static wsb_inflate_t   *inflate;

    if (size < 2) {
        return 0;
    }

    if (inflate == NULL) {
        inflate = wsb_inflate_create();
    }

    conf.max_message = limits[(data[0] & LIMITS) >> 2];
    conf.inflate = inflate;
    deflate = !(data[0] & NO_DEFLATE);

    input = fuzz_copy(data + 2, size - 2);

    if (data[0] & MASKED) {
        clear_masks(input, size - 2);
    }

    run(&conf, deflate, 1, input, size - 2, &whole);
    run(&conf, deflate, 0, input, size - 2, &bytes);
    run(&conf, deflate, data[1], input, size - 2, &split);

    fuzz_check(memcmp(&whole, &bytes, sizeof(outcome_t)) == 0);
    fuzz_check(memcmp(&whole, &split, sizeof(outcome_t)) == 0);

    free(input);

    return 0;
}
