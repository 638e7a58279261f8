#include "event/wsb_id.h"

#include "tap.h"


static const struct {
    uint64_t     epoch;
    uint64_t     seq;
    const char  *id;
} good[] = {
    { 0, 0, "000000000000-0" },
    { 1, 1, "000000000001-1" },
    { 0x0123456789ab, 10, "0123456789ab-10" },
    { WSB_EPOCH_MASK, 1234567890, "ffffffffffff-1234567890" },
    { 0xc0ffee, WSB_SEQ_MAX, "000000c0ffee-9223372036854775806" },
};


static const char  *bad[] = {
    "",
    "-",
    "0123456789ab",
    "0123456789ab-",
    "0123456789ab-+1",
    "0123456789ab--1",
    "0123456789ab-01",
    "0123456789ab-00",
    "0123456789ab- 1",
    "0123456789ab-1 ",
    " 0123456789ab-1",
    "0123456789ab-1x",
    "0123456789ab-0x1",
    "0123456789ab-1.0",
    "0123456789ab_1",
    "0123456789a-1",
    "00123456789ab-1",
    "0123456789AB-1",
    "0123456789ag-1",
    "0x23456789ab-1",
    "0123456789ab-9223372036854775807",
    "0123456789ab-18446744073709551615",
    "0123456789ab-18446744073709551616",
    "0123456789ab-99999999999999999999",
    "0123456789ab-184467440737095516150",
    "0123456789ab-1\n",
    "now",
};


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

    n = wsb_id(buf, UINT64_MAX, UINT64_MAX);
    is_bytes(buf, n, "ffffffffffff-18446744073709551615",
             "the longest one fits");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s.len = strlen(bad[i]);
        s.data = copy = malloc(s.len + 1);
        memcpy(copy, bad[i], s.len + 1);

        ok(wsb_id_parse(s, &epoch, &seq) == WSB_ERROR,
           "refused: \"%s\"", i == sizeof(bad) / sizeof(bad[0]) - 2
                              ? "with a line feed" : bad[i]);
        free(copy);
    }

    s.len = 14;
    s.data = (const uint8_t *) "0123456789ab-\0";
    ok(wsb_id_parse(s, &epoch, &seq) == WSB_ERROR, "refused: a NUL");

    s.len = 0;
    s.data = NULL;
    ok(wsb_id_parse(s, &epoch, &seq) == WSB_ERROR, "refused: nothing");

    return tap_done();
}
