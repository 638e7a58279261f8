/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A set of keys, and the files that they come from: RFC 7517 (JWK), PEM, or the
 * bytes of a secret.
 */

#ifndef WSB_JWKS_H
#define WSB_JWKS_H


#include "wsb_jwk.h"


#define WSB_JWK_MAX         64            /* keys of a set */
#define WSB_JWK_NAMELESS    8             /* without a kid: all are tried */
#define WSB_JWK_FILE_MAX    (256 * 1024)  /* bytes of a file */


/* Zeroed at first. */

typedef struct {
    wsb_jwk_t             key[WSB_JWK_MAX];
    unsigned              n;
    unsigned              nameless;       /* of them, without a kid */
    const struct wsb_jwk_use_s  *use;     /* while a file is added */
} wsb_jwks_t;


/*
 * What the keys of a file are for.  The issuers, strings that end with a NUL,
 * have to stay as long as the set.  warn, if it is not NULL, is told of the
 * first keys of a JWK set that cannot be used.
 */

typedef struct wsb_jwk_use_s {
    unsigned              algs;           /* 0: any of a key's type */
    const char          **issuers;
    unsigned              nissuers;
    void                (*warn)(void *ctx, const char *text);
    void                 *ctx;
} wsb_jwk_use_t;


/*
 * Adds the keys of a file.
 *
 *   {...}        a JWK or a JWK set (RFC 7517).  Keys of other use are passed
 *                over, and in a set all that cannot be used, with a warning:
 *                sets are other people's.  A private key is an error there,
 *                too
 *   -----BEGIN   PEM: public keys and certificates, of which only the key
 *                counts
 *   other bytes  a secret, if algs names only HS*; one line end behind it is
 *                not part of it
 *
 * WSB_ERROR: err says what is wrong: a file that is none of these or has no
 * key for algs; a private key; a weak one: RSA of less than 2048 bits, a
 * secret shorter than the hash (RFC 7518, sections 3.2 and 3.3).  The set then
 * may have some of the keys, and is good for wsb_jwks_done() only.
 *
 * Two keys may have one kid if each has issuers of its own.
 */

wsb_rc_t wsb_jwks_add(wsb_jwks_t *keys, wsb_str_t file,
    const wsb_jwk_use_t *use, wsb_jwk_error_t *err);

void wsb_jwks_done(wsb_jwks_t *keys);


#endif /* WSB_JWKS_H */
