/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_jwa.h"


const char *const  wsb_jwa_names[WSB_JWA_NUMBER] = {
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
    "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
};


wsb_jwa_t
wsb_jwa_find(wsb_str_t name)
{
    unsigned  i;

    for (i = 0; i < WSB_JWA_NUMBER; i++) {
        if (wsb_str_eq(&name, wsb_jwa_names[i])) {
            break;
        }
    }

    return i;
}
