/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_uuid.h"


static int wsb_uuid_digits(const uint8_t *p, unsigned hyphens,
    uint8_t buf[WSB_UUID_LEN]);


wsb_str_t
wsb_uuid_norm(wsb_str_t id, uint8_t buf[WSB_UUID_LEN])
{
    uint8_t         c;
    unsigned        i, hyphens;
    wsb_str_t       norm;
    const uint8_t  *p;

    static const uint8_t  urn[] = "urn:uuid:";

    p = id.data;
    hyphens = 1;

    switch (id.len) {

    case WSB_UUID_LEN:
        break;

    case WSB_UUID_LEN - 4:
        hyphens = 0;
        break;

    case WSB_UUID_LEN + 2:
        if (*p++ != '{' || p[WSB_UUID_LEN] != '}') {
            return id;
        }

        break;

    case WSB_UUID_LEN + sizeof(urn) - 1:
        for (i = 0; urn[i] != '\0'; i++) {
            c = *p++;

            if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != urn[i]) {
                return id;
            }
        }

        break;

    default:
        return id;
    }

    if (!wsb_uuid_digits(p, hyphens, buf)) {
        return id;
    }

    norm.len = WSB_UUID_LEN;
    norm.data = buf;

    return norm;
}


static int
wsb_uuid_digits(const uint8_t *p, unsigned hyphens, uint8_t buf[WSB_UUID_LEN])
{
    uint8_t   c;
    unsigned  i;

    for (i = 0; i < WSB_UUID_LEN; i++) {

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (hyphens && *p++ != '-') {
                return 0;
            }

            buf[i] = '-';
            continue;
        }

        c = *p++;

        if (c >= 'A' && c <= 'F') {
            c |= 0x20;
        }

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) {
            return 0;
        }

        buf[i] = c;
    }

    return 1;
}
