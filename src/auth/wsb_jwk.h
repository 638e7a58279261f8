/*
 * Keys that verify tokens: RFC 7517 (JWK), PEM, or the bytes of a secret.
 *
 * Each key is pinned to the algorithms of its type.  A token's header only
 * chooses among them: a public key is never the secret of an HMAC.
 */

#ifndef WSB_JWK_H
#define WSB_JWK_H


#include "../wsb.h"


#define WSB_JWK_MAX         64            /* keys of a set */
#define WSB_JWK_NAMELESS    8             /* without a kid: all are tried */
#define WSB_JWK_FILE_MAX    (256 * 1024)  /* bytes of a file */
#define WSB_JWK_KID_MAX     256           /* bytes of a kid */
#define WSB_JWK_RSA_MIN     2048          /* bits */


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

extern const char *const  wsb_jwa_names[WSB_JWA_NUMBER];

/* By its name, which is case-sensitive; WSB_JWA_NUMBER: it is none of ours. */
wsb_jwa_t wsb_jwa_find(wsb_str_t name);


/* pkey (OpenSSL's) and the bytes are owned by the set. */

typedef struct {
    wsb_str_t             kid;            /* data NULL: none */
    unsigned              algs;           /* bits; at least one */
    struct evp_pkey_st   *pkey;           /* public; NULL: a secret */
    wsb_str_t             secret;
} wsb_jwk_t;


/* Zeroed at first. */

typedef struct {
    wsb_jwk_t             key[WSB_JWK_MAX];
    unsigned              n;
    unsigned              nameless;       /* of them, without a kid */
} wsb_jwks_t;


typedef struct {
    char                  text[160];
} wsb_jwk_error_t;


/*
 * Adds the keys of a file.  algs: the algorithms allowed for them, 0: any of
 * their type.
 *
 *   {...}        a JWK or a JWK set (RFC 7517).  Keys of other use or of an
 *                unknown type or algorithm are passed over
 *   -----BEGIN   PEM: public keys and certificates, of which only the key
 *                counts
 *   other bytes  a secret, if algs names only HS*; one line end behind it is
 *                not part of it
 *
 * WSB_ERROR: err says what is wrong: a file that is none of these or has no
 * key for algs; a private key; a weak one: RSA of less than 2048 bits, a
 * secret shorter than the hash (RFC 7518, sections 3.2 and 3.3).  The set then
 * may have some of the keys, and is good for wsb_jwks_done() only.
 */

wsb_rc_t wsb_jwks_add(wsb_jwks_t *keys, wsb_str_t file, unsigned algs,
    wsb_jwk_error_t *err);

void wsb_jwks_done(wsb_jwks_t *keys);


#endif /* WSB_JWK_H */
