/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "event/wsb_id.h"

#include "tap.h"


static const struct {
    uint64_t     epoch;
    uint64_t     seq;
    const char  *id;
} good[] = {
    { 0, 0, "00000000-0000-8000-8000-000000000000" },
    { 1, 1, "00000000-0001-8000-8000-000000000001" },
    { 0x0123456789ab, 10, "01234567-89ab-8000-8000-00000000000a" },
    { 0x0123456789ab, 0x123456789abcdef,
      "01234567-89ab-8000-8123-456789abcdef" },
    { WSB_EPOCH_MASK, 1234567890, "ffffffff-ffff-8000-8000-0000499602d2" },
    { 0xc0ffee, (uint64_t) 1 << 61, "000000c0-ffee-8000-a000-000000000000" },
    { 0xc0ffee, WSB_SEQ_MAX, "000000c0-ffee-8000-bfff-ffffffffffff" },
};


static const struct {
    const char  *id;
    const char  *what;
} bad[] = {
    { "", "nothing" },
    { "now", "a word" },
    { "0123456789ab-1", "what ids once were" },
    { "01234567-89ab-8000-8000-00000000000", "too short" },
    { "01234567-89ab-8000-8000-0000000000001", "too long" },
    { "01234567-89ab-8000-8000-00000000000 ", "a blank in it" },
    { "01234567-89ab-8000-8000-000000000001 ", "a blank behind it" },
    { " 01234567-89ab-8000-8000-000000000001", "a blank before it" },
    { "01234567-89ab-8000-8000-00000000000\n", "a line feed" },
    { "0123456789ab80008000000000000001", "no hyphens" },
    { "0123456-789ab-8000-8000-000000000001", "a hyphen that is early" },
    { "01234567-89ab-8000-80000-00000000001", "a hyphen that is late" },
    { "01234567089ab-8000-8000-000000000001", "a digit for a hyphen" },
    { "01234567-89ab-8000-8000_000000000001", "an underscore" },
    { "01234567-89ag-8000-8000-000000000001", "no hex digit" },
    { "01234567-89a`-8000-8000-000000000001", "what precedes a" },
    { "01234567-89a@-8000-8000-000000000001", "what precedes A" },
    { "01234567-89a/-8000-8000-000000000001", "what precedes 0" },
    { "01234567-89a:-8000-8000-000000000001", "what follows 9" },
    { "01234567-89a\x11-8000-8000-000000000001", "0 without a bit" },
    { "0x234567-89ab-8000-8000-000000000001", "0x" },
    { "{1234567-89ab-8000-8000-00000000000}", "braces" },
    { "01234567-89ab-4000-8000-000000000001", "version 4" },
    { "01234567-89ab-7000-8000-000000000001", "version 7" },
    { "01234567-89ab-8001-8000-000000000001", "bits behind the version" },
    { "01234567-89ab-8000-0000-000000000001", "another variant" },
    { "01234567-89ab-8000-4000-000000000001", "another variant" },
    { "01234567-89ab-8000-c000-000000000001", "another variant" },
};


/* Of two ids of one epoch the greater string is the later event. */

static void
test_order(void)
{
    size_t    i, j, wrong = 0;
    uint8_t   a[WSB_ID_LEN], b[WSB_ID_LEN];

    static const uint64_t  seq[] = {
        0, 1, 9, 10, 15, 16, 99, 100, 255, 256, 0xffff, 0x10000, 0xfffffff,
        0xffffffff, 0x100000000, 0xffffffffffff, 0x1000000000000,
        (uint64_t) 1 << 61, WSB_SEQ_MAX - 1, WSB_SEQ_MAX
    };

    for (i = 0; i < sizeof(seq) / sizeof(seq[0]); i++) {
        for (j = 0; j < i; j++) {
            (void) wsb_id(a, 0x0123456789ab, seq[j]);
            (void) wsb_id(b, 0x0123456789ab, seq[i]);

            wrong += memcmp(a, b, WSB_ID_LEN) >= 0;
        }
    }

    ok(wrong == 0, "the order of ids is the order of seqs");
}


int
main(void)
{
    size_t     i, n;
    uint8_t    buf[WSB_ID_LEN], *copy;
    uint64_t   epoch, seq;
    wsb_str_t  s;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        n = wsb_id(buf, good[i].epoch, good[i].seq);
        is_bytes(buf, n, good[i].id, "written: %s", good[i].id);

        s.len = n;
        s.data = buf;
        epoch = seq = 77;

        ok(wsb_id_parse(s, &epoch, &seq) == WSB_OK
           && epoch == good[i].epoch && seq == good[i].seq,
           "and read: %s", good[i].id);
    }

    s.len = WSB_ID_LEN;
    s.data = (const uint8_t *) "ABCDEFAB-CDEF-8000-Abcd-eFABCDEF0123";
    ok(wsb_id_parse(s, &epoch, &seq) == WSB_OK
       && epoch == 0xabcdefabcdef && seq == 0x2bcdefabcdef0123,
       "read: letters of either case");

    n = wsb_id(buf, UINT64_MAX, UINT64_MAX);
    is_bytes(buf, n, "ffffffff-ffff-8000-bfff-ffffffffffff",
             "bits beyond those of an id do not change its form");

    test_order();

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s.len = strlen(bad[i].id);
        s.data = copy = malloc(s.len + 1);
        memcpy(copy, bad[i].id, s.len + 1);

        ok(wsb_id_parse(s, &epoch, &seq) == WSB_ERROR,
           "refused: %s", bad[i].what);
        free(copy);
    }

    s.len = WSB_ID_LEN;
    s.data = (const uint8_t *) "01234567-89ab-8000-8000-00000000000\0";
    ok(wsb_id_parse(s, &epoch, &seq) == WSB_ERROR, "refused: a NUL");

    s.len = 0;
    s.data = NULL;
    ok(wsb_id_parse(s, &epoch, &seq) == WSB_ERROR, "refused: nothing");

    return tap_done();
}
