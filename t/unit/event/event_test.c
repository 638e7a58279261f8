/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include <time.h>

#include "event/wsb_event.h"
#include "event/wsb_timestamp.h"
#include "event/wsb_uuid.h"

#include "tap.h"


#define len(a)  (sizeof(a) / sizeof((a)[0]))


static wsb_str_t
str(const char *s)
{
    wsb_str_t  v = { s ? strlen(s) : 0, (const uint8_t *) s };

    return v;
}


static int
same(const wsb_event_t *a, const wsb_event_t *b)
{
    unsigned  i;

    if (a->seq != b->seq || a->msec != b->msec) {
        return 0;
    }

    for (i = 0; i < WSB_NFIELDS; i++) {
        if ((a->field[i].data == NULL) != (b->field[i].data == NULL)
            || a->field[i].len != b->field[i].len
            || (a->field[i].len != 0
                && memcmp(a->field[i].data, b->field[i].data, a->field[i].len)
                   != 0))
        {
            return 0;
        }
    }

    return 1;
}


static void
make(wsb_event_t *ev, unsigned present)
{
    unsigned  i;

    static const char  text[] = "0123456789abcdefghijklmnopqrstuvwxyz";

    memset(ev, 0, sizeof(*ev));

    ev->seq = UINT64_C(0x1122334455667788) + present;
    ev->msec = 1767323045678;

    for (i = 0; i < WSB_NFIELDS; i++) {
        if (present & 1u << i) {
            ev->field[i].data = (const uint8_t *) text + i;
            ev->field[i].len = (present >> i) % 19;
        }
    }
}


static void
test_record(void)
{
    size_t        n, bad, unaligned, refused;
    uint8_t      *buf;
    unsigned      present;
    wsb_event_t   ev, got;

    bad = 0;
    unaligned = 0;
    refused = 0;

    for (present = 0; present < 1u << WSB_NFIELDS; present++) {
        make(&ev, present);

        n = wsb_event_size(&ev);
        unaligned += n % 8 != 0;

        buf = malloc(n);
        memset(buf, 0xee, n);
        wsb_event_encode(&ev, buf);

        bad += ((wsb_record_t *) buf)->len != n;
        bad += wsb_event_decode(buf, n, &got) != WSB_OK || !same(&ev, &got);

        if (present % 97 == 0) {
            refused += wsb_event_decode(buf, n - 1, &got) == WSB_OK;
            refused += wsb_event_decode(buf, n - 8, &got) == WSB_OK;
        }

        free(buf);
    }

    is_uint(bad, 0, "each set of fields comes back");
    is_uint(unaligned, 0, "records are multiples of 8");
    is_uint(refused, 0, "a shorter one is refused");
}


/* Broken records: whatever it says, no field may leave the buffer. */

static void
test_broken(void)
{
    size_t        i, j, n, out;
    uint8_t      *buf, *copy;
    unsigned      bit;
    wsb_event_t   ev, got;

    make(&ev, 0xbeef);
    n = wsb_event_size(&ev);
    buf = malloc(n);
    copy = malloc(n);
    wsb_event_encode(&ev, buf);

    out = 0;

    for (i = 0; i < n; i++) {
        for (bit = 0; bit < 8; bit++) {
            memcpy(copy, buf, n);
            copy[i] ^= 1 << bit;

            if (wsb_event_decode(copy, n, &got) != WSB_OK) {
                continue;
            }

            for (j = 0; j < WSB_NFIELDS; j++) {
                if (got.field[j].data != NULL) {
                    out += got.field[j].data < copy
                           || got.field[j].len
                              > (size_t) (copy + n - got.field[j].data);
                }
            }
        }
    }

    is_uint(out, 0, "one wrong bit: no field leaves the record");

    for (i = 0; i < n; i++) {
        free(copy);
        copy = malloc(i + 1);
        memcpy(copy, buf, i);
        out += wsb_event_decode(copy, i, &got) == WSB_OK;
    }

    is_uint(out, 0, "each shorter buffer is refused");

    memset(buf, 0xff, n);
    ok(wsb_event_decode(buf, n, &got) == WSB_ERROR, "ones are no record");
    memset(buf, 0, n);
    ok(wsb_event_decode(buf, n, &got) == WSB_ERROR, "zeros are no record");

    free(buf);
    free(copy);

    memset(&ev, 0, sizeof(ev));
    ev.field[WSB_DATA].data = (const uint8_t *) "";
    ev.field[WSB_DATA].len = (size_t) 1 << 31;
    is_uint(wsb_event_size(&ev), 0, "too large a field");

    ev.field[WSB_DATA].len = (size_t) 1 << 30;
    ev.field[WSB_OLD] = ev.field[WSB_DATA];
    is_uint(wsb_event_size(&ev), 0, "too large together");

    ev.field[WSB_DATA].len = SIZE_MAX;
    is_uint(wsb_event_size(&ev), 0, "no overflow");
}


static void
test_norm(void)
{
    size_t     i;
    uint8_t    buf[WSB_UUID_LEN], *copy;
    wsb_str_t  s, n;

    static const char  norm[] = "0123abcd-4567-89ef-0123-456789abcdef";

    static const char  *uuid[] = {
        "0123abcd-4567-89ef-0123-456789abcdef",
        "0123ABCD-4567-89EF-0123-456789ABCDEF",
        "0123aBcD-4567-89eF-0123-456789AbcDef",
        "0123abcd456789ef0123456789abcdef",
        "0123ABCD456789EF0123456789ABCDEF",
        "{0123ABCD-4567-89ef-0123-456789abcdef}",
        "urn:uuid:0123abcd-4567-89ef-0123-456789abcdef",
        "URN:UUID:0123ABCD-4567-89EF-0123-456789ABCDEF",
    };

    static const char  *other[] = {
        "",
        "17",
        "order-1",
        "0123abcd-4567-89ef-0123-456789abcde",
        "0123abcd-4567-89ef-0123-456789abcdeg",
        "0123abcd-4567-89ef-0123-456789abcdef0",
        "0123abcd-4567-89ef-0123_456789abcdef",
        "0123abcd--567-89ef-0123-456789abcdef",
        "0123abcd4567-89ef-0123-456789abcdef0",
        "0123abcd456789ef0123456789abcde",
        "0123abcd456789ef0123456789abcdez",
        "0123abcd456789ef0123456789abcd-f",
        "{0123abcd-4567-89ef-0123-456789abcdef",
        "{0123abcd-4567-89ef-0123-456789abcdef)",
        "(0123abcd-4567-89ef-0123-456789abcdef}",
        "{0123abcd456789ef0123456789abcdef}",
        "urn:uuix:0123abcd-4567-89ef-0123-456789abcdef",
        "urn_uuid:0123abcd-4567-89ef-0123-456789abcdef",
        "urn\x1auuid:0123abcd-4567-89ef-0123-456789abcdef",
        "urn:uuid:0123abcd456789ef0123456789abcdef",
        " 123abcd-4567-89ef-0123-456789abcdef",
    };

    for (i = 0; i < len(uuid); i++) {
        s = str(uuid[i]);
        copy = malloc(s.len);
        memcpy(copy, s.data, s.len);
        s.data = copy;

        n = wsb_uuid_norm(s, buf);
        is_bytes(n.data, n.len, norm, "a UUID: %s", uuid[i]);
        free(copy);
    }

    for (i = 0; i < len(other); i++) {
        s = str(other[i]);
        n = wsb_uuid_norm(s, buf);
        ok(n.data == s.data && n.len == s.len, "none: %zu", i);
    }

    s = str(NULL);
    n = wsb_uuid_norm(s, buf);
    ok(n.data == NULL && n.len == 0, "nothing is itself");
}


static void
test_timestamp(void)
{
    char       want[32];
    size_t     i, n, bad, ms;
    time_t     t;
    uint8_t    buf[WSB_TIMESTAMP_LEN];
    uint64_t   msec;
    struct tm  tm;

    static const struct {
        uint64_t     msec;
        const char  *text;
    } table[] = {
        { 0, "1970-01-01T00:00:00Z" },
        { 1, "1970-01-01T00:00:00.001Z" },
        { UINT64_C(951782400000), "2000-02-29T00:00:00Z" },
        { UINT64_C(1767323045678), "2026-01-02T03:04:05.678Z" },
        { UINT64_C(4107542399990), "2100-02-28T23:59:59.990Z" },
        { UINT64_C(4107542400000), "2100-03-01T00:00:00Z" },
        { UINT64_C(253402300799999), "9999-12-31T23:59:59.999Z" },
        { UINT64_C(253402300800000), "9999-12-31T23:59:59.999Z" },
        { UINT64_MAX, "9999-12-31T23:59:59.999Z" },
    };

    for (i = 0; i < len(table); i++) {
        n = wsb_timestamp(table[i].msec, buf);
        is_bytes(buf, n, table[i].text, "timestamp %s", table[i].text);
    }

    bad = 0;

    for (msec = 0; msec < UINT64_C(253402300800000);
         msec += UINT64_C(43210987654))
    {
        t = msec / 1000;
        ms = msec % 1000;
        gmtime_r(&t, &tm);
        strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);

        if (ms != 0) {
            snprintf(want + 19, sizeof(want) - 19, ".%03zuZ", ms);

        } else {
            strcpy(want + 19, "Z");
        }

        n = wsb_timestamp(msec, buf);
        bad += n != strlen(want) || memcmp(buf, want, n) != 0;
        bad += !wsb_timestamp_valid((wsb_str_t) { n, buf });
    }

    /* each day of four centuries */

    for (t = 0; t < (time_t) 146097 * 86400; t += 86400) {
        gmtime_r(&t, &tm);
        strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
        n = wsb_timestamp((uint64_t) t * 1000, buf);
        bad += n != 20 || memcmp(buf, want, n) != 0;
    }

    is_uint(bad, 0, "as gmtime() has it, to the year 9999");
}


static void
test_valid(void)
{
    size_t     i;
    uint8_t   *copy;
    wsb_str_t  s;

    static const struct {
        int          valid;
        const char  *text;
    } table[] = {
        { 1, "2026-01-02T03:04:05Z" },
        { 1, "2026-01-02t03:04:05z" },
        { 1, "2026-01-02T03:04:05.6Z" },
        { 1, "2026-01-02T03:04:05.678901234Z" },
        { 1, "2026-01-02T03:04:05.678901234567890123Z" },
        { 1, "2026-01-02T03:04:05+00:00" },
        { 1, "2026-01-02T03:04:05-00:00" },
        { 1, "2026-01-02T03:04:05.1-23:59" },
        { 1, "0000-01-01T00:00:00Z" },
        { 1, "9999-12-31T23:59:59Z" },
        { 1, "2024-02-29T00:00:00Z" },
        { 1, "2000-02-29T00:00:00Z" },
        { 1, "2016-12-31T23:59:60Z" },
        { 1, "1990-12-31T15:59:60-08:00" },
        { 1, "1991-01-01T00:59:60+01:00" },
        { 0, "" },
        { 0, "yesterday" },
        { 0, "2026-01-02" },
        { 0, "2026-01-02T03:04Z" },
        { 0, "2026-01-02T03:04:05" },
        { 0, "2026-01-02 03:04:05Z" },
        { 0, "2026-01-02T03:04:05 Z" },
        { 0, " 2026-01-02T03:04:05Z" },
        { 0, "2026-01-02T03:04:05Z " },
        { 0, "2026-01-02T03:04:05.Z" },
        { 0, "2026-01-02T03:04:05." },
        { 0, "2026-01-02T03:04:05.1" },
        { 0, "2026-01-02T03:04:05,1Z" },
        { 0, "2026-01-02T03:04:05+0000" },
        { 0, "2026-01-02T03:04:05+00" },
        { 0, "2026-01-02T03:04:05+" },
        { 0, "2026-01-02T03:04:05+00:0" },
        { 0, "2026-01-02T03:04:05+00:000" },
        { 0, "2026-01-02T03:04:05+24:00" },
        { 0, "2026-01-02T03:04:05+00:60" },
        { 0, "2026-01-02T03:04:05Z+00:00" },
        { 0, "2026-00-02T03:04:05Z" },
        { 0, "2026-13-02T03:04:05Z" },
        { 0, "2026-01-00T03:04:05Z" },
        { 0, "2026-01-32T03:04:05Z" },
        { 0, "2026-04-31T03:04:05Z" },
        { 0, "2026-02-29T03:04:05Z" },
        { 0, "1900-02-29T03:04:05Z" },
        { 0, "2026-01-02T24:00:00Z" },
        { 0, "2026-01-02T03:60:05Z" },
        { 0, "2026-01-02T03:04:61Z" },
        { 0, "2026-01-02T03:04:60Z" },
        { 0, "2016-12-31T23:59:60+01:00" },
        { 0, "26-01-02T03:04:05Z" },
        { 0, "+2026-01-02T03:04:05Z" },
        { 0, "-026-01-02T03:04:05Z" },
        { 0, "2026/01/02T03:04:05Z" },
        { 0, "20260102T030405Z" },
        { 0, "2026-W01-2T03:04:05Z" },
    };

    for (i = 0; i < len(table); i++) {
        s = str(table[i].text);
        copy = malloc(s.len + 1);
        memcpy(copy, s.data, s.len);
        s.data = copy;

        is_uint(wsb_timestamp_valid(s), table[i].valid, "%s: \"%s\"",
                table[i].valid ? "valid" : "not valid", table[i].text);
        free(copy);
    }
}


int
main(void)
{
    test_record();
    test_broken();
    test_norm();
    test_timestamp();
    test_valid();

    return tap_done();
}
