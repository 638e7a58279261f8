#include "wsb_key.h"


#define WSB_ROTL(x, b)  ((x) << (b) | (x) >> (64 - (b)))

#define WSB_MEMO        64                /* a power of two */
#define WSB_MEMO_VALUE  30


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
    uint8_t               value[WSB_MEMO_VALUE];
} __attribute__((aligned(64))) wsb_memo_t;


static wsb_memo_t  wsb_memo[WSB_MEMO];


static wsb_key_t wsb_hash_memo(const uint8_t key[16], unsigned domain,
    wsb_str_t value);


static inline uint64_t
wsb_le64(const uint8_t *p)
{
    uint64_t  n;

    memcpy(&n, p, 8);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = __builtin_bswap64(n);
#endif

    return n;
}


static inline void
wsb_sip_rounds(uint64_t v[4], unsigned n)
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

    v[0] = wsb_le64(key) ^ UINT64_C(0x736f6d6570736575);
    v[1] = wsb_le64(key + 8) ^ UINT64_C(0x646f72616e646f6d);
    v[2] = wsb_le64(key) ^ UINT64_C(0x6c7967656e657261);
    v[3] = wsb_le64(key + 8) ^ UINT64_C(0x7465646279746573);

    /* a tweak next to the one that sets SipHash-128 apart from SipHash-64 */

    v[1] ^= 0xee ^ (uint64_t) domain << 8;

    for (n = len; n >= 8; n -= 8) {
        m = wsb_le64(p);
        p += 8;

        v[3] ^= m;
        wsb_sip_rounds(v, 2);
        v[0] ^= m;
    }

    memset(tail, 0, sizeof(tail));

    if (n != 0) {
        memcpy(tail, p, n);
    }

    tail[7] = len;
    m = wsb_le64(tail);

    v[3] ^= m;
    wsb_sip_rounds(v, 2);
    v[0] ^= m;

    v[2] ^= 0xee;
    wsb_sip_rounds(v, 4);
    hash.h[0] = v[0] ^ v[1] ^ v[2] ^ v[3];

    v[1] ^= 0xdd;
    wsb_sip_rounds(v, 4);
    hash.h[1] = v[0] ^ v[1] ^ v[2] ^ v[3];

    return hash;
}


static wsb_key_t
wsb_hash_memo(const uint8_t key[16], unsigned domain, wsb_str_t value)
{
    unsigned     n;
    wsb_memo_t  *memo;

    if (value.len > WSB_MEMO_VALUE) {
        return wsb_hash(key, domain, value.data, value.len);
    }

    n = domain + value.len;

    if (value.len != 0) {
        n += 7 * value.data[0] + 31 * value.data[value.len - 1];
    }

    memo = &wsb_memo[n % WSB_MEMO];

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


wsb_key_t
wsb_key_tenant(const uint8_t key[16], wsb_str_t tenant)
{
    if (tenant.data == NULL) {
        tenant.len = 0;
    }

    return wsb_hash_memo(key, WSB_DOMAIN_TENANT, tenant);
}


wsb_key_t
wsb_key_part(const uint8_t key[16], wsb_field_t field, wsb_str_t value)
{
    uint8_t  buf[WSB_UUID_LEN];

    if (field == WSB_ENTITY_ID) {
        value = wsb_entity_id_norm(value, buf);

        return wsb_hash(key, WSB_DOMAIN_FIELD + field, value.data,
                        value.len);
    }

    return wsb_hash_memo(key, WSB_DOMAIN_FIELD + field, value);
}


void
wsb_key_parts(const uint8_t key[16], const wsb_event_t *ev,
    wsb_parts_t *parts)
{
    unsigned   i;
    wsb_str_t  value;

    memset(parts, 0, sizeof(wsb_parts_t));

    parts->tenant = wsb_key_tenant(key, ev->field[WSB_TENANT]);

    for (i = 0; i < WSB_NROUTING; i++) {
        value = wsb_key_value(ev, i);

        /* an empty value in a filter matches nothing */

        if (value.data != NULL && value.len != 0) {
            parts->part[i] = wsb_key_part(key, i, value);
            parts->present |= 1u << i;
        }
    }
}


wsb_str_t
wsb_key_value(const wsb_event_t *ev, wsb_field_t field)
{
    wsb_str_t  kind;

    static const wsb_str_t  none = wsb_null_string;

    kind = ev->field[WSB_KIND];

    if (kind.data != NULL && wsb_str_eq(&kind, "link")) {

        if (field == WSB_ENTITY_TYPE) {
            return none;
        }

        if (field == WSB_ENTITY_ID) {
            return ev->field[WSB_LINK_ID];
        }
    }

    return ev->field[field];
}


/*
 * The parts are outputs of one random function under distinct domains: their
 * sum is as hard to aim at as each of them.
 */

wsb_key_t
wsb_key(const wsb_parts_t *parts, unsigned mask)
{
    unsigned   i;
    wsb_key_t  key;

    key.h[0] = parts->tenant.h[0] ^ mask * UINT64_C(0x9e3779b97f4a7c15);
    key.h[1] = parts->tenant.h[1] ^ mask * UINT64_C(0xc2b2ae3d27d4eb4f);

    for (i = 0; i < WSB_NROUTING; i++) {
        if (mask & 1u << i) {
            key.h[0] ^= parts->part[i].h[0];
            key.h[1] ^= parts->part[i].h[1];
        }
    }

    return key;
}
