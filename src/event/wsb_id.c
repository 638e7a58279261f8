/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_id.h"


#define WSB_ID_VARIANT  ((uint64_t) 2 << 62)


static uint8_t *wsb_id_hex(uint8_t *dst, uint64_t n, unsigned bytes);


/* Two digits for each byte: an id is 14 look-ups and no division. */

static const char  wsb_id_pairs[] =
    "000102030405060708090a0b0c0d0e0f"
    "101112131415161718191a1b1c1d1e1f"
    "202122232425262728292a2b2c2d2e2f"
    "303132333435363738393a3b3c3d3e3f"
    "404142434445464748494a4b4c4d4e4f"
    "505152535455565758595a5b5c5d5e5f"
    "606162636465666768696a6b6c6d6e6f"
    "707172737475767778797a7b7c7d7e7f"
    "808182838485868788898a8b8c8d8e8f"
    "909192939495969798999a9b9c9d9e9f"
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
    "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
    "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
    "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
    "e0e1e2e3e4e5e6e7e8e9eaebecedeeef"
    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";


size_t
wsb_id(uint8_t *dst, uint64_t epoch, uint64_t seq)
{
    uint64_t  low;
    uint8_t  *p;

    static const char  fixed[] = "-8000-";

    low = WSB_ID_VARIANT | (seq & WSB_SEQ_MAX);

    p = wsb_id_hex(dst, epoch >> 16, 4);
    *p++ = '-';
    p = wsb_id_hex(p, epoch, 2);

    memcpy(p, fixed, sizeof(fixed) - 1);
    p += sizeof(fixed) - 1;

    p = wsb_id_hex(p, low >> 48, 2);
    *p++ = '-';
    p = wsb_id_hex(p, low, 6);

    return p - dst;
}


wsb_rc_t
wsb_id_parse(wsb_str_t s, uint64_t *epoch, uint64_t *seq)
{
    uint8_t   c;
    size_t    i;
    uint64_t  high, low;

    if (s.len != WSB_ID_LEN) {
        return WSB_ERROR;
    }

    high = 0;
    low = 0;

    for (i = 0; i < WSB_ID_LEN; i++) {
        c = s.data[i];

        if (i == 8 || i == 13 || i == 18 || i == 23) {

            if (c != '-') {
                return WSB_ERROR;
            }

            continue;
        }

        if (c >= '0' && c <= '9') {
            c -= '0';

        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            c = (c | 0x20) - 'a' + 10;

        } else {
            return WSB_ERROR;
        }

        if (i < 18) {
            high = high << 4 | c;

        } else {
            low = low << 4 | c;
        }
    }

    if ((high & 0xffff) != 0x8000 || (low & ~WSB_SEQ_MAX) != WSB_ID_VARIANT) {
        return WSB_ERROR;
    }

    *epoch = high >> 16;
    *seq = low & WSB_SEQ_MAX;

    return WSB_OK;
}


/* The low bytes of n, most significant first. */

static uint8_t *
wsb_id_hex(uint8_t *dst, uint64_t n, unsigned bytes)
{
    while (bytes-- != 0) {
        memcpy(dst, &wsb_id_pairs[2 * (n >> (8 * bytes) & 0xff)], 2);
        dst += 2;
    }

    return dst;
}
