/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A key that verifies tokens, and what a JWK (RFC 7517) says of one.
 *
 * Each key is pinned to the algorithms of its type.  A token's header only
 * chooses among them: a public key is never the secret of an HMAC.
 */

#ifndef WSB_JWK_H
#define WSB_JWK_H


#include "wsb_jwa.h"
#include "../json/wsb_json.h"


#define WSB_JWK_KID_MAX     256           /* bytes of a kid */
#define WSB_JWK_RSA_MIN     2048          /* bits */
#define WSB_JWK_STRING_MAX  4096          /* of one member that counts */


/* pkey (OpenSSL's) and the bytes are owned by the set. */

typedef struct {
    wsb_str_t             kid;            /* data NULL: none */
    unsigned              algs;           /* bits; at least one */
    struct evp_pkey_st   *pkey;           /* public; NULL: a secret */
    wsb_str_t             secret;
    const char          **issuers;        /* whose it is */
    unsigned              nissuers;       /* 0: anybody's */
} wsb_jwk_t;


typedef struct {
    char                  text[160];
    int                   fatal;          /* not of one key of a set alone */
} wsb_jwk_error_t;


/* Is one of the issuers of both, as far as each is bound to any? */
int wsb_jwk_shared(const wsb_jwk_t *a, const wsb_jwk_t *b);


/*
 * Is it for signatures, and by which of these algorithms?  WSB_NOTFOUND: it
 * is not, which is nothing to warn of.
 */
wsb_rc_t wsb_jwk_usable(const wsb_json_t *jwk, unsigned *algs,
    wsb_jwk_error_t *err);

/* Its kid, in buf, which has WSB_JWK_STRING_MAX bytes; data NULL: none. */
wsb_rc_t wsb_jwk_kid(const wsb_json_t *jwk, uint8_t *buf, wsb_str_t *kid,
    wsb_jwk_error_t *err);

/* Its public key, if it is of this type and no private one. */
wsb_rc_t wsb_jwk_public(const wsb_json_t *jwk, const wsb_json_t *kty,
    struct evp_pkey_st **pkey, wsb_jwk_error_t *err);

/* The bytes of a member. */
wsb_rc_t wsb_jwk_bytes(const wsb_json_t *jwk, const char *name,
    uint8_t buf[WSB_JWK_STRING_MAX], size_t *len);


/* The algorithms of its type. */
wsb_rc_t wsb_jwk_algs(struct evp_pkey_st *pkey, unsigned *algs,
    wsb_jwk_error_t *err);

/* A point on its curve; a modulus and an exponent that make sense. */
int wsb_jwk_sound(struct evp_pkey_st *pkey);


/* Says what is wrong; returns WSB_ERROR. */
wsb_rc_t wsb_jwk_fail(wsb_jwk_error_t *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


#endif /* WSB_JWK_H */
