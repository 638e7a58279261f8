/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_jwt.h"
#include "wsb_base64url.h"

#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>


#define WSB_JWT_HEADER_DEPTH  8
#define WSB_JWT_DER_MAX       160         /* of two integers of 66 bytes */


typedef struct {
    wsb_str_t             header;         /* decoded, as the next two */
    wsb_str_t             payload;
    wsb_str_t             signature;
    wsb_str_t             input;          /* what is signed */

    wsb_jwa_t             jwa;
    int                   named;          /* it has a kid */
    wsb_json_t            kid;
} wsb_jwt_t;


static const char *wsb_jwt_parts(wsb_str_t token, uint8_t *buf,
    wsb_jwt_t *jwt);
static const char *wsb_jwt_header(wsb_jwt_t *jwt);
static const char *wsb_jwt_keys(const wsb_jwt_t *jwt, const wsb_jwks_t *keys,
    wsb_json_t *claims);
static int wsb_jwt_issued(const wsb_json_t *claims, const wsb_jwk_t *key);
static int wsb_jwt_fits(const wsb_jwt_t *jwt, const wsb_jwks_t *keys,
    const wsb_jwk_t *key);
static int wsb_jwt_signed(const wsb_jwt_t *jwt, const wsb_jwk_t *key);
static int wsb_jwt_hmac(const wsb_jwt_t *jwt, const wsb_jwk_t *key);
static int wsb_jwt_public(const wsb_jwt_t *jwt, EVP_PKEY *pkey,
    wsb_str_t signature);
static int wsb_jwt_der(const wsb_jwt_t *jwt, uint8_t der[WSB_JWT_DER_MAX],
    wsb_str_t *signature);
static const EVP_MD *wsb_jwt_md(wsb_jwa_t jwa);


wsb_rc_t
wsb_jwt_verify(wsb_str_t token, const wsb_jwks_t *keys, uint8_t *buf,
    wsb_json_t *claims, const char **reason)
{
    wsb_jwt_t    jwt;
    const char  *why;

    memset(&jwt, 0, sizeof(wsb_jwt_t));

    why = wsb_jwt_parts(token, buf, &jwt);

    if (why == NULL) {
        why = wsb_jwt_header(&jwt);
    }

    if (why == NULL) {
        why = wsb_jwt_keys(&jwt, keys, claims);
    }

    *reason = why;

    return why == NULL ? WSB_OK : WSB_ERROR;
}


static const char *
wsb_jwt_parts(wsb_str_t token, uint8_t *buf, wsb_jwt_t *jwt)
{
    size_t          i, n;
    wsb_str_t       text;
    const uint8_t  *p, *dot, *last;

    wsb_str_t  *const  part[] = {
        &jwt->header, &jwt->payload, &jwt->signature
    };

    if (token.len > WSB_JWT_MAX) {
        return "it is too long";
    }

    p = token.data;
    last = p + token.len;

    for (i = 0; i < 3; i++) {
        dot = memchr(p, '.', last - p);

        if ((i < 2) != (dot != NULL)) {
            return "it is no JWS in compact form";
        }

        if (dot == NULL) {
            dot = last;
            jwt->input.data = token.data;
            jwt->input.len = p - 1 - token.data;
        }

        text.data = p;
        text.len = dot - p;

        if (wsb_base64url_decode(text, buf, &n) != WSB_OK) {
            return "it is not in base64url";
        }

        part[i]->data = buf;
        part[i]->len = n;

        buf += n;
        p = dot + 1;
    }

    return NULL;
}


static const char *
wsb_jwt_header(wsb_jwt_t *jwt)
{
    size_t             len;
    uint8_t            name[16];
    wsb_str_t          alg;
    wsb_json_t         header, value;
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = {
        WSB_JWT_HEADER_DEPTH, WSB_JWT_HEADER_DEPTH
    };

    if (wsb_json_parse(jwt->header, &limits, &header, &err) != WSB_OK
        || header.type != WSB_JSON_OBJECT)
    {
        return "its header is not one strict JSON object";
    }

    if (wsb_json_get(&header, "crit", &value) == WSB_OK) {
        return "its header has critical extensions";
    }

    jwt->named = wsb_json_get(&header, "kid", &jwt->kid) == WSB_OK;

    if (jwt->named && jwt->kid.type != WSB_JSON_STRING) {
        return "its kid is no string";
    }

    if (wsb_json_get(&header, "alg", &value) != WSB_OK
        || value.type != WSB_JSON_STRING
        || value.text.len > sizeof(name)
        || wsb_json_decode(&value, name, &len) != WSB_OK)
    {
        return "its algorithm is not accepted";
    }

    alg.data = name;
    alg.len = len;

    jwt->jwa = wsb_jwa_find(alg);

    return jwt->jwa == WSB_JWA_NUMBER ? "its algorithm is not accepted"
                                      : NULL;
}


/* The claims are read once a key has verified them, and not before. */

static const char *
wsb_jwt_keys(const wsb_jwt_t *jwt, const wsb_jwks_t *keys, wsb_json_t *claims)
{
    unsigned           i, algs, tried;
    const char        *why;
    wsb_json_error_t   err;

    static const wsb_json_limits_t  limits = { WSB_JWT_DEPTH, WSB_JWT_DEPTH };

    algs = 0;
    tried = 0;
    why = "its signature is not valid";

    for (i = 0; i < keys->n; i++) {
        algs |= keys->key[i].algs;

        if (!wsb_jwt_fits(jwt, keys, &keys->key[i])) {
            continue;
        }

        tried++;

        if (!wsb_jwt_signed(jwt, &keys->key[i])) {
            continue;
        }

        if (wsb_json_parse(jwt->payload, &limits, claims, &err) != WSB_OK
            || claims->type != WSB_JSON_OBJECT)
        {
            why = "its claims are not one strict JSON object";
            break;
        }

        if (wsb_jwt_issued(claims, &keys->key[i])) {
            why = NULL;
            break;
        }

        /* the same key may be there once more, for another issuer */

        why = "its key is not for its issuer";
    }

    if (tried != 0) {
        /* what is left here would be an alert of nginx's SSL code */
        ERR_clear_error();

        return why;
    }

    if (!(algs & WSB_JWA_BIT(jwt->jwa))) {
        return "its algorithm is not accepted";
    }

    return jwt->named ? "its kid is not known" : "it has no kid";
}


static int
wsb_jwt_issued(const wsb_json_t *claims, const wsb_jwk_t *key)
{
    unsigned    i;
    wsb_json_t  iss;

    if (key->nissuers == 0) {
        return 1;
    }

    if (wsb_json_get(claims, "iss", &iss) != WSB_OK
        || iss.type != WSB_JSON_STRING)
    {
        return 0;
    }

    for (i = 0; i < key->nissuers; i++) {
        if (wsb_json_key_is(&iss, key->issuers[i])) {
            return 1;
        }
    }

    return 0;
}


static int
wsb_jwt_fits(const wsb_jwt_t *jwt, const wsb_jwks_t *keys,
    const wsb_jwk_t *key)
{
    size_t   len;
    uint8_t  kid[6 * WSB_JWK_KID_MAX + 2];

    if (!(key->algs & WSB_JWA_BIT(jwt->jwa))) {
        return 0;
    }

    if (key->kid.data == NULL) {
        return 1;
    }

    if (!jwt->named) {
        return keys->n == 1;
    }

    return jwt->kid.text.len <= sizeof(kid)
           && wsb_json_decode(&jwt->kid, kid, &len) == WSB_OK
           && len == key->kid.len
           && memcmp(kid, key->kid.data, len) == 0;
}


static int
wsb_jwt_signed(const wsb_jwt_t *jwt, const wsb_jwk_t *key)
{
    uint8_t    der[WSB_JWT_DER_MAX];
    wsb_str_t  signature;

    if (key->pkey == NULL) {
        return wsb_jwt_hmac(jwt, key);
    }

    signature = jwt->signature;

    if (jwt->jwa >= WSB_JWA_ES256 && jwt->jwa <= WSB_JWA_ES512
        && !wsb_jwt_der(jwt, der, &signature))
    {
        return 0;
    }

    return wsb_jwt_public(jwt, key->pkey, signature);
}


static int
wsb_jwt_hmac(const wsb_jwt_t *jwt, const wsb_jwk_t *key)
{
    uint8_t   mac[EVP_MAX_MD_SIZE];
    unsigned  len;

    return HMAC(wsb_jwt_md(jwt->jwa), key->secret.data,
                (int) key->secret.len, jwt->input.data, jwt->input.len, mac,
                &len) != NULL
           && jwt->signature.len == len
           && CRYPTO_memcmp(jwt->signature.data, mac, len) == 0;
}


static int
wsb_jwt_public(const wsb_jwt_t *jwt, EVP_PKEY *pkey, wsb_str_t signature)
{
    int            ok;
    EVP_MD_CTX    *ctx;
    EVP_PKEY_CTX  *pctx;

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return 0;
    }

    ok = EVP_DigestVerifyInit(ctx, &pctx, wsb_jwt_md(jwt->jwa), NULL, pkey)
         == 1;

    if (ok && jwt->jwa >= WSB_JWA_PS256 && jwt->jwa <= WSB_JWA_PS512) {
        /* RFC 7518, section 3.5; MGF1 has the same hash by default */
        ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1
             && EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST)
                == 1;
    }

    ok = ok
         && EVP_DigestVerify(ctx, signature.data, signature.len,
                             jwt->input.data, jwt->input.len)
            == 1;

    EVP_MD_CTX_free(ctx);

    return ok;
}


/* RFC 7518, section 3.4: two integers of fixed length; OpenSSL wants DER. */

static int
wsb_jwt_der(const wsb_jwt_t *jwt, uint8_t der[WSB_JWT_DER_MAX],
    wsb_str_t *signature)
{
    int         len;
    size_t      n;
    BIGNUM     *r, *s;
    ECDSA_SIG  *sig;

    static const size_t  size[] = { 32, 48, 66 };

    n = size[jwt->jwa - WSB_JWA_ES256];

    if (jwt->signature.len != 2 * n) {
        return 0;
    }

    len = 0;
    r = BN_bin2bn(jwt->signature.data, (int) n, NULL);
    s = BN_bin2bn(jwt->signature.data + n, (int) n, NULL);
    sig = ECDSA_SIG_new();

    if (r == NULL || s == NULL || sig == NULL
        || ECDSA_SIG_set0(sig, r, s) != 1)
    {
        BN_free(r);
        BN_free(s);

    } else if (i2d_ECDSA_SIG(sig, NULL) <= WSB_JWT_DER_MAX) {
        signature->data = der;
        len = i2d_ECDSA_SIG(sig, &der);
        signature->len = (size_t) len;
    }

    ECDSA_SIG_free(sig);

    return len > 0;
}


/* EdDSA has a hash of its own. */

static const EVP_MD *
wsb_jwt_md(wsb_jwa_t jwa)
{
    switch (jwa) {

    case WSB_JWA_HS256:
    case WSB_JWA_RS256:
    case WSB_JWA_PS256:
    case WSB_JWA_ES256:
        return EVP_sha256();

    case WSB_JWA_HS384:
    case WSB_JWA_RS384:
    case WSB_JWA_PS384:
    case WSB_JWA_ES384:
        return EVP_sha384();

    case WSB_JWA_HS512:
    case WSB_JWA_RS512:
    case WSB_JWA_PS512:
    case WSB_JWA_ES512:
        return EVP_sha512();

    default:
        return NULL;
    }
}
