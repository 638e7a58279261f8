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
    const char          **issuers;        /* whose it is */
    unsigned              nissuers;       /* 0: anybody's */
} wsb_jwk_t;


/* Zeroed at first. */

typedef struct {
    wsb_jwk_t             key[WSB_JWK_MAX];
    unsigned              n;
    unsigned              nameless;       /* of them, without a kid */
    const struct wsb_jwk_use_s  *use;     /* while a file is added */
} wsb_jwks_t;


typedef struct {
    char                  text[160];
    int                   fatal;          /* not of one key of a set alone */
} wsb_jwk_error_t;


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

/* Is one of the issuers of both, as far as each is bound to any? */
int wsb_jwk_shared(const wsb_jwk_t *a, const wsb_jwk_t *b);

void wsb_jwks_done(wsb_jwks_t *keys);


#endif /* WSB_JWK_H */
