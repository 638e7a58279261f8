/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_hash.h"


#define WSB_ROTL(x, b)  ((x) << (b) | (x) >> (64 - (b)))

#define WSB_HASH_MEMO        64                /* a power of two */
#define WSB_HASH_MEMO_VALUE  30


/*
 * Kinds, types, actions and tenants are few, and come with every event: their
 * hashes are remembered, each in a line of the cache.  Of the process; what
 * is found has been compared in full, so that it is never another's.
 */

typedef struct {
    uint8_t               key[16];
    wsb_key_t             hash;
    uint8_t               domain;         /* 0: empty */
    uint8_t               len;
    uint8_t               value[WSB_HASH_MEMO_VALUE];
} __attribute__((aligned(64))) wsb_hash_memo_t;


static wsb_hash_memo_t  wsb_hash_memos[WSB_HASH_MEMO];


static inline uint64_t
wsb_hash_le64(const uint8_t *p)
{
    uint64_t  n;

    memcpy(&n, p, 8);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = __builtin_bswap64(n);
#endif

    return n;
}


static inline void
wsb_hash_rounds(uint64_t v[4], unsigned n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[1] = WSB_ROTL(v[1], 13) ^ v[0];
        v[0] = WSB_ROTL(v[0], 32);
        v[2] += v[3];
        v[3] = WSB_ROTL(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = WSB_ROTL(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = WSB_ROTL(v[1], 17) ^ v[2];
        v[2] = WSB_ROTL(v[2], 32);
    }
}


wsb_key_t
wsb_hash(const uint8_t key[16], unsigned domain, const void *data,
    size_t len)
{
    size_t          n;
    uint8_t         tail[8];
    uint64_t        v[4], m;
    wsb_key_t       hash;
    const uint8_t  *p = data;

    v[0] = wsb_hash_le64(key) ^ UINT64_C(0x736f6d6570736575);
    v[1] = wsb_hash_le64(key + 8) ^ UINT64_C(0x646f72616e646f6d);
    v[2] = wsb_hash_le64(key) ^ UINT64_C(0x6c7967656e657261);
    v[3] = wsb_hash_le64(key + 8) ^ UINT64_C(0x7465646279746573);

    /* a tweak next to the one that sets SipHash-128 apart from SipHash-64 */

    v[1] ^= 0xee ^ (uint64_t) domain << 8;

    for (n = len; n >= 8; n -= 8) {
        m = wsb_hash_le64(p);
        p += 8;

        v[3] ^= m;
        wsb_hash_rounds(v, 2);
        v[0] ^= m;
    }

    memset(tail, 0, sizeof(tail));

    if (n != 0) {
        memcpy(tail, p, n);
    }

    tail[7] = len;
    m = wsb_hash_le64(tail);

    v[3] ^= m;
    wsb_hash_rounds(v, 2);
    v[0] ^= m;

    v[2] ^= 0xee;
    wsb_hash_rounds(v, 4);
    hash.h[0] = v[0] ^ v[1] ^ v[2] ^ v[3];

    v[1] ^= 0xdd;
    wsb_hash_rounds(v, 4);
    hash.h[1] = v[0] ^ v[1] ^ v[2] ^ v[3];

    return hash;
}


wsb_key_t
wsb_hash_memo(const uint8_t key[16], unsigned domain, wsb_str_t value)
{
    unsigned     n;
    wsb_hash_memo_t  *memo;

    if (value.len > WSB_HASH_MEMO_VALUE) {
        return wsb_hash(key, domain, value.data, value.len);
    }

    n = domain + value.len;

    if (value.len != 0) {
        n += 7 * value.data[0] + 31 * value.data[value.len - 1];
    }

    memo = &wsb_hash_memos[n % WSB_HASH_MEMO];

    if (memo->domain != domain || memo->len != value.len
        || memcmp(memo->key, key, 16) != 0
        || (value.len != 0
            && memcmp(memo->value, value.data, value.len) != 0))
    {
        memcpy(memo->key, key, 16);
        memo->hash = wsb_hash(key, domain, value.data, value.len);
        memo->domain = domain;
        memo->len = value.len;

        if (value.len != 0) {
            memcpy(memo->value, value.data, value.len);
        }
    }

    return memo->hash;
}
