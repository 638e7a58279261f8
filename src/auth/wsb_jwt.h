/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Signed tokens: a JWS in compact form (RFC 7515) whose payload is a set of
 * claims (RFC 7519), as RFC 8725 advises to read it.
 */

#ifndef WSB_JWT_H
#define WSB_JWT_H


#include "wsb_jwks.h"
#include "../json/wsb_json.h"


#define WSB_JWT_MAX         8192          /* bytes of a token */
#define WSB_JWT_DEPTH       16            /* containers in its claims */


/*
 * Verifies the signature, and only then reads the claims: a JSON object in
 * buf, which has room for token.len bytes.  Of the claims only "iss" is judged
 * here, if the key is bound to issuers: see wsb_claims_check() for the others.
 *
 * The key is one that is for the algorithm of the header and has its "kid".
 * A key without a kid is tried for any token, and a token without a kid is
 * tried with such keys, or with the only key that there is.  What it verifies
 * must be of one of its issuers: it is no key for the tokens of others.
 *
 * WSB_ERROR: *reason says why it is refused, a static text without anything
 * of the token.  Refused are also critical headers ("crit"), base64url that
 * is not in its only spelling, repeated keys and escaped NULs at any depth.
 */

wsb_rc_t wsb_jwt_verify(wsb_str_t token, const wsb_jwks_t *keys,
    uint8_t *buf, wsb_json_t *claims, const char **reason);


#endif /* WSB_JWT_H */
