/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The algorithms of signatures.
 */

#ifndef WSB_JWA_H
#define WSB_JWA_H


#include "../wsb.h"


/* RFC 7518, section 3.1, and RFC 8037. */

typedef enum {
    WSB_JWA_HS256 = 0,
    WSB_JWA_HS384,
    WSB_JWA_HS512,
    WSB_JWA_RS256,
    WSB_JWA_RS384,
    WSB_JWA_RS512,
    WSB_JWA_PS256,
    WSB_JWA_PS384,
    WSB_JWA_PS512,
    WSB_JWA_ES256,
    WSB_JWA_ES384,
    WSB_JWA_ES512,
    WSB_JWA_EDDSA,
    WSB_JWA_NUMBER
} wsb_jwa_t;

#define WSB_JWA_BIT(jwa)    (1u << (jwa))
#define WSB_JWA_ANY         (WSB_JWA_BIT(WSB_JWA_NUMBER) - 1)
#define WSB_JWA_HS          (WSB_JWA_BIT(WSB_JWA_HS256)                      \
                             | WSB_JWA_BIT(WSB_JWA_HS384)                    \
                             | WSB_JWA_BIT(WSB_JWA_HS512))
#define WSB_JWA_RS          (WSB_JWA_BIT(WSB_JWA_RS256)                      \
                             | WSB_JWA_BIT(WSB_JWA_RS384)                    \
                             | WSB_JWA_BIT(WSB_JWA_RS512))
#define WSB_JWA_PS          (WSB_JWA_BIT(WSB_JWA_PS256)                      \
                             | WSB_JWA_BIT(WSB_JWA_PS384)                    \
                             | WSB_JWA_BIT(WSB_JWA_PS512))

extern const char *const  wsb_jwa_names[WSB_JWA_NUMBER];

/* By its name, which is case-sensitive; WSB_JWA_NUMBER: it is none of ours. */
wsb_jwa_t wsb_jwa_find(wsb_str_t name);


#endif /* WSB_JWA_H */
