/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_key.h"
#include "wsb_uuid.h"


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
        value = wsb_uuid_norm(value, buf);

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
