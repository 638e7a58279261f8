#ifndef _GNU_SOURCE
#define _GNU_SOURCE                       /* memmem() */
#endif

#include "wsb_jwk.h"
#include "wsb_base64url.h"
#include "../json/wsb_json.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <stdarg.h>
#include <stdio.h>


#define WSB_JWK_DEPTH        8
#define WSB_JWK_STRING_MAX   4096         /* of one member that counts */

#define WSB_JWA_RS           (WSB_JWA_BIT(WSB_JWA_RS256)                     \
                              | WSB_JWA_BIT(WSB_JWA_RS384)                   \
                              | WSB_JWA_BIT(WSB_JWA_RS512))
#define WSB_JWA_PS           (WSB_JWA_BIT(WSB_JWA_PS256)                     \
                              | WSB_JWA_BIT(WSB_JWA_PS384)                   \
                              | WSB_JWA_BIT(WSB_JWA_PS512))


/* A curve, as JWK and OpenSSL name it; size of a coordinate in bytes. */

typedef struct {
    const char           *crv;
    const char           *group;
    size_t                size;
    wsb_jwa_t             jwa;
} wsb_jwk_curve_t;


static wsb_rc_t wsb_jwk_pem(wsb_jwks_t *keys, wsb_str_t file, unsigned algs,
    wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_pem_block(const char *name, const uint8_t *der,
    long len, EVP_PKEY **pkey, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_json(wsb_jwks_t *keys, wsb_str_t file, unsigned algs,
    wsb_jwk_error_t *err);
static void wsb_jwk_pass(const wsb_jwks_t *keys, unsigned n,
    const wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_one(wsb_jwks_t *keys, const wsb_json_t *jwk,
    unsigned algs, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_usable(const wsb_json_t *jwk, unsigned *algs,
    wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_kid(const wsb_json_t *jwk, uint8_t *buf,
    wsb_str_t *kid, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_oct(wsb_jwks_t *keys, const wsb_json_t *jwk,
    wsb_str_t kid, unsigned algs, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_rsa(const wsb_json_t *jwk, EVP_PKEY **pkey,
    wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_ec(const wsb_json_t *jwk, EVP_PKEY **pkey,
    wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_okp(const wsb_json_t *jwk, EVP_PKEY **pkey,
    wsb_jwk_error_t *err);
static EVP_PKEY *wsb_jwk_from_params(const char *type, OSSL_PARAM_BLD *bld);
static wsb_rc_t wsb_jwk_add_secret(wsb_jwks_t *keys, wsb_str_t secret,
    wsb_str_t kid, unsigned algs, unsigned named, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_add_public(wsb_jwks_t *keys, EVP_PKEY *pkey,
    wsb_str_t kid, unsigned algs, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_algs(EVP_PKEY *pkey, unsigned *algs,
    wsb_jwk_error_t *err);
static int wsb_jwk_sound(EVP_PKEY *pkey);
static wsb_rc_t wsb_jwk_push(wsb_jwks_t *keys, wsb_jwk_t *key,
    wsb_jwk_error_t *err);
static int wsb_jwk_string_is(const wsb_json_t *jwk, const char *name,
    const char *text);
static wsb_rc_t wsb_jwk_bytes(const wsb_json_t *jwk, const char *name,
    uint8_t buf[WSB_JWK_STRING_MAX], size_t *len);
static wsb_rc_t wsb_jwk_integer(const wsb_json_t *jwk, const char *name,
    uint8_t *dst, size_t size);
static wsb_rc_t wsb_jwk_copy(wsb_str_t *dst, wsb_str_t src);
static wsb_rc_t wsb_jwk_fail(wsb_jwk_error_t *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


const char *const  wsb_jwa_names[WSB_JWA_NUMBER] = {
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
    "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
};


static const wsb_jwk_curve_t  wsb_jwk_curves[] = {
    { "P-256", "prime256v1", 32, WSB_JWA_ES256 },
    { "P-384", "secp384r1",  48, WSB_JWA_ES384 },
    { "P-521", "secp521r1",  66, WSB_JWA_ES512 }
};

#define WSB_JWK_CURVES  (sizeof(wsb_jwk_curves) / sizeof(wsb_jwk_curves[0]))


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


wsb_rc_t
wsb_jwks_add(wsb_jwks_t *keys, wsb_str_t file, const wsb_jwk_use_t *use,
    wsb_jwk_error_t *err)
{
    wsb_rc_t        rc;
    unsigned        n, algs;
    wsb_str_t       none = wsb_null_string;
    const uint8_t  *p;

    if (file.len > WSB_JWK_FILE_MAX) {
        return wsb_jwk_fail(err, "is longer than %d bytes",
                            WSB_JWK_FILE_MAX);
    }

    p = wsb_json_space(file.data, file.data + file.len);

    if (p == file.data + file.len) {
        return wsb_jwk_fail(err, "is empty");
    }

    n = keys->n;
    algs = use->algs;
    err->fatal = 0;
    keys->use = use;

    if (*p == '{') {
        rc = wsb_jwk_json(keys, file, algs ? algs : WSB_JWA_ANY, err);

    } else if (memmem(file.data, file.len, "-----BEGIN ", 11) != NULL) {
        rc = wsb_jwk_pem(keys, file, algs ? algs : WSB_JWA_ANY, err);

    } else if (algs != 0 && (algs & ~WSB_JWA_HS) == 0) {

        if (file.data[file.len - 1] == '\n') {
            file.len--;
            file.len -= file.len != 0 && file.data[file.len - 1] == '\r';
        }

        rc = wsb_jwk_add_secret(keys, file, none, algs, 1, err);

    } else {
        rc = wsb_jwk_fail(err, "is neither PEM nor a JWK set; for the bytes"
                          " of a secret write alg=HS256 behind it");
    }

    /* what is left here would be an alert of nginx's SSL code */
    ERR_clear_error();

    keys->use = NULL;

    if (rc == WSB_OK && keys->n == n) {
        return wsb_jwk_fail(err, use->algs ? "has no key for these algorithms"
                                           : "has no key that can be used");
    }

    return rc;
}


void
wsb_jwks_done(wsb_jwks_t *keys)
{
    unsigned    i;
    wsb_jwk_t  *key;

    for (i = 0; i < keys->n; i++) {
        key = &keys->key[i];

        if (key->secret.data != NULL) {
            OPENSSL_cleanse((void *) key->secret.data, key->secret.len);
        }

        EVP_PKEY_free(key->pkey);
        wsb_free((void *) key->secret.data);
        wsb_free((void *) key->kid.data);
    }

    memset(keys, 0, sizeof(wsb_jwks_t));
}


/* Each block is a key. */

static wsb_rc_t
wsb_jwk_pem(wsb_jwks_t *keys, wsb_str_t file, unsigned algs,
    wsb_jwk_error_t *err)
{
    BIO        *bio;
    char       *name, *header;
    long        len;
    uint8_t    *der;
    wsb_rc_t    rc;
    EVP_PKEY   *pkey;
    wsb_str_t   none = wsb_null_string;

    bio = BIO_new_mem_buf(file.data, (int) file.len);
    if (bio == NULL) {
        return wsb_jwk_fail(err, "cannot be read: no memory");
    }

    rc = WSB_OK;

    while (rc == WSB_OK && PEM_read_bio(bio, &name, &header, &der, &len)) {

        rc = wsb_jwk_pem_block(name, der, len, &pkey, err);

        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, len);

        if (rc == WSB_OK && pkey != NULL) {
            rc = wsb_jwk_add_public(keys, pkey, none, algs, err);
        }
    }

    BIO_free(bio);

    if (rc == WSB_OK
        && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    {
        return wsb_jwk_fail(err, "has a PEM block that cannot be read");
    }

    return rc;
}


/* pkey NULL: to be passed over. */

static wsb_rc_t
wsb_jwk_pem_block(const char *name, const uint8_t *der, long len,
    EVP_PKEY **pkey, wsb_jwk_error_t *err)
{
    X509  *cert;

    *pkey = NULL;

    if (strstr(name, "PRIVATE") != NULL) {
        return wsb_jwk_fail(err, "has a private key: write the public one"
                            " only");
    }

    if (strcmp(name, "EC PARAMETERS") == 0) {
        return WSB_OK;
    }

    if (strcmp(name, "PUBLIC KEY") == 0) {
        *pkey = d2i_PUBKEY(NULL, &der, len);

    } else if (strcmp(name, "RSA PUBLIC KEY") == 0) {
        *pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &der, len);

    } else if (strcmp(name, "CERTIFICATE") == 0) {
        cert = d2i_X509(NULL, &der, len);

        if (cert != NULL) {
            *pkey = X509_get_pubkey(cert);
            X509_free(cert);
        }

    } else {
        return wsb_jwk_fail(err, "has a PEM block \"%.40s\": expected PUBLIC"
                            " KEY or CERTIFICATE", name);
    }

    if (*pkey == NULL) {
        return wsb_jwk_fail(err, "has a %s that cannot be read", name);
    }

    return WSB_OK;
}


static wsb_rc_t
wsb_jwk_json(wsb_jwks_t *keys, wsb_str_t file, unsigned algs,
    wsb_jwk_error_t *err)
{
    wsb_rc_t           rc;
    unsigned           n;
    wsb_json_t         doc, list, jwk;
    wsb_json_walk_t    walk;
    wsb_json_error_t   json;

    static const wsb_json_limits_t  limits = { WSB_JWK_DEPTH, WSB_JWK_DEPTH };

    if (wsb_json_parse(file, &limits, &doc, &json) != WSB_OK) {
        return wsb_jwk_fail(err, "is no JSON: %s at byte %zu", json.reason,
                            json.offset);
    }

    if (wsb_json_get(&doc, "keys", &list) != WSB_OK) {
        return wsb_jwk_one(keys, &doc, algs, err);
    }

    if (list.type != WSB_JSON_ARRAY) {
        return wsb_jwk_fail(err, "has \"keys\" that is no array");
    }

    rc = WSB_OK;
    wsb_json_enter(&walk, &list);

    for (n = 0; wsb_json_element(&walk, &jwk) == WSB_OK; n++) {

        rc = jwk.type == WSB_JSON_OBJECT
             ? wsb_jwk_one(keys, &jwk, algs, err)
             : wsb_jwk_fail(err, "has a key that is no object");

        if (rc == WSB_OK) {
            continue;
        }

        if (err->fatal) {
            return rc;
        }

        wsb_jwk_pass(keys, n, err);
    }

    return WSB_OK;
}


static void
wsb_jwk_pass(const wsb_jwks_t *keys, unsigned n, const wsb_jwk_error_t *err)
{
    char  text[sizeof(err->text) + 64];

    if (keys->use->warn == NULL || n >= WSB_JWK_MAX) {
        return;
    }

    (void) snprintf(text, sizeof(text), "%s: keys[%u] is passed over",
                    err->text, n);

    keys->use->warn(keys->use->ctx, text);
}


/* RFC 7517, section 5: what is not understood is passed over. */

static wsb_rc_t
wsb_jwk_one(wsb_jwks_t *keys, const wsb_json_t *jwk, unsigned algs,
    wsb_jwk_error_t *err)
{
    uint8_t     buf[WSB_JWK_STRING_MAX];
    wsb_rc_t    rc;
    EVP_PKEY   *pkey;
    wsb_str_t   kid;
    wsb_json_t  kty, d;

    if (wsb_json_get(jwk, "kty", &kty) != WSB_OK
        || kty.type != WSB_JSON_STRING)
    {
        return wsb_jwk_fail(err, "has a key without \"kty\"");
    }

    rc = wsb_jwk_usable(jwk, &algs, err);

    if (rc != WSB_OK) {
        return rc == WSB_NOTFOUND ? WSB_OK : rc;
    }

    rc = wsb_jwk_kid(jwk, buf, &kid, err);
    if (rc != WSB_OK) {
        return rc;
    }

    if (wsb_json_key_is(&kty, "oct")) {
        return wsb_jwk_oct(keys, jwk, kid, algs, err);
    }

    if (wsb_json_get(jwk, "d", &d) == WSB_OK) {
        err->fatal = 1;
        return wsb_jwk_fail(err, "has a private key (\"d\"): write the public"
                            " one only");
    }

    pkey = NULL;

    if (wsb_json_key_is(&kty, "RSA")) {
        rc = wsb_jwk_rsa(jwk, &pkey, err);

    } else if (wsb_json_key_is(&kty, "EC")) {
        rc = wsb_jwk_ec(jwk, &pkey, err);

    } else if (wsb_json_key_is(&kty, "OKP")) {
        rc = wsb_jwk_okp(jwk, &pkey, err);

    } else {
        rc = wsb_jwk_fail(err, "has a key of an unknown type (\"kty\")");
    }

    if (rc != WSB_OK) {
        return rc;
    }

    return wsb_jwk_add_public(keys, pkey, kid, algs, err);
}


/*
 * Is it for signatures, and by which of these algorithms?  WSB_NOTFOUND: it
 * is not, which is nothing to warn of.
 */

static wsb_rc_t
wsb_jwk_usable(const wsb_json_t *jwk, unsigned *algs, wsb_jwk_error_t *err)
{
    int              found;
    size_t           len;
    uint8_t          buf[WSB_JWK_STRING_MAX];
    wsb_str_t        name;
    wsb_jwa_t        jwa;
    wsb_json_t       value, op;
    wsb_json_walk_t  walk;

    if (wsb_json_get(jwk, "use", &value) == WSB_OK
        && !wsb_jwk_string_is(jwk, "use", "sig"))
    {
        return WSB_NOTFOUND;
    }

    if (wsb_json_get(jwk, "key_ops", &value) == WSB_OK) {

        if (value.type != WSB_JSON_ARRAY) {
            return wsb_jwk_fail(err, "has a key whose \"key_ops\" is no array");
        }

        found = 0;
        wsb_json_enter(&walk, &value);

        while (wsb_json_element(&walk, &op) == WSB_OK) {
            found |= op.type == WSB_JSON_STRING
                     && wsb_json_key_is(&op, "verify");
        }

        if (!found) {
            return WSB_NOTFOUND;
        }
    }

    if (wsb_json_get(jwk, "alg", &value) != WSB_OK) {
        return WSB_OK;
    }

    name.data = buf;
    name.len = 0;

    if (value.type == WSB_JSON_STRING
        && value.text.len <= sizeof(buf)
        && wsb_json_decode(&value, buf, &len) == WSB_OK)
    {
        name.len = len;
    }

    jwa = wsb_jwa_find(name);

    if (jwa == WSB_JWA_NUMBER) {
        return wsb_jwk_fail(err, "has a key of an algorithm (\"alg\") that is"
                            " not known");
    }

    *algs &= WSB_JWA_BIT(jwa);

    return *algs ? WSB_OK : WSB_NOTFOUND;
}


static wsb_rc_t
wsb_jwk_kid(const wsb_json_t *jwk, uint8_t *buf, wsb_str_t *kid,
    wsb_jwk_error_t *err)
{
    wsb_json_t  value;

    kid->data = NULL;
    kid->len = 0;

    if (wsb_json_get(jwk, "kid", &value) != WSB_OK) {
        return WSB_OK;
    }

    if (value.type != WSB_JSON_STRING
        || value.text.len > WSB_JWK_KID_MAX + 2
        || wsb_json_decode(&value, buf, &kid->len) != WSB_OK)
    {
        return wsb_jwk_fail(err, "has a key with a \"kid\" that is no string"
                            " of at most %d bytes", WSB_JWK_KID_MAX);
    }

    kid->data = buf;

    return WSB_OK;
}


static wsb_rc_t
wsb_jwk_oct(wsb_jwks_t *keys, const wsb_json_t *jwk, wsb_str_t kid,
    unsigned algs, wsb_jwk_error_t *err)
{
    size_t      len;
    uint8_t     buf[WSB_JWK_STRING_MAX];
    wsb_rc_t    rc;
    wsb_str_t   secret;
    wsb_json_t  alg;

    if (wsb_jwk_bytes(jwk, "k", buf, &len) != WSB_OK) {
        return wsb_jwk_fail(err, "has a key of type \"oct\" with a bad"
                            " \"k\"");
    }

    secret.data = buf;
    secret.len = len;

    rc = wsb_jwk_add_secret(keys, secret, kid, algs,
                            wsb_json_get(jwk, "alg", &alg) == WSB_OK, err);

    OPENSSL_cleanse(buf, sizeof(buf));

    return rc;
}


static wsb_rc_t
wsb_jwk_rsa(const wsb_json_t *jwk, EVP_PKEY **pkey, wsb_jwk_error_t *err)
{
    size_t           nlen, elen;
    uint8_t          n[WSB_JWK_STRING_MAX], e[WSB_JWK_STRING_MAX];
    BIGNUM          *bn, *be;
    OSSL_PARAM_BLD  *bld;

    if (wsb_jwk_bytes(jwk, "n", n, &nlen) != WSB_OK
        || wsb_jwk_bytes(jwk, "e", e, &elen) != WSB_OK)
    {
        return wsb_jwk_fail(err, "has an RSA key with a bad \"n\" or \"e\"");
    }

    bn = BN_bin2bn(n, (int) nlen, NULL);
    be = BN_bin2bn(e, (int) elen, NULL);
    bld = OSSL_PARAM_BLD_new();

    if (bn != NULL && be != NULL && bld != NULL
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn)
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be))
    {
        *pkey = wsb_jwk_from_params("RSA", bld);
    }

    OSSL_PARAM_BLD_free(bld);
    BN_free(bn);
    BN_free(be);

    return *pkey ? WSB_OK : wsb_jwk_fail(err, "has an RSA key that cannot be"
                                         " read");
}


static wsb_rc_t
wsb_jwk_ec(const wsb_json_t *jwk, EVP_PKEY **pkey, wsb_jwk_error_t *err)
{
    size_t                  n;
    uint8_t                 point[1 + 2 * 66];
    unsigned                i;
    OSSL_PARAM_BLD         *bld;
    const wsb_jwk_curve_t  *curve;

    for (i = 0; i < WSB_JWK_CURVES; i++) {
        if (wsb_jwk_string_is(jwk, "crv", wsb_jwk_curves[i].crv)) {
            break;
        }
    }

    if (i == WSB_JWK_CURVES) {
        return wsb_jwk_fail(err, "has an EC key on a curve (\"crv\") that is"
                            " not known");
    }

    curve = &wsb_jwk_curves[i];
    n = curve->size;

    point[0] = 4;                         /* uncompressed */

    if (wsb_jwk_integer(jwk, "x", point + 1, n) != WSB_OK
        || wsb_jwk_integer(jwk, "y", point + 1 + n, n) != WSB_OK)
    {
        return wsb_jwk_fail(err, "has an EC key with a bad \"x\" or \"y\"");
    }

    bld = OSSL_PARAM_BLD_new();

    if (bld != NULL
        && OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                           curve->group, 0)
        && OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                            point, 1 + 2 * n))
    {
        *pkey = wsb_jwk_from_params("EC", bld);
    }

    OSSL_PARAM_BLD_free(bld);

    return *pkey ? WSB_OK : wsb_jwk_fail(err, "has an EC key whose point is"
                                         " not on its curve");
}


/* RFC 8037, section 2. */

static wsb_rc_t
wsb_jwk_okp(const wsb_json_t *jwk, EVP_PKEY **pkey, wsb_jwk_error_t *err)
{
    int      type;
    size_t   len;
    uint8_t  x[WSB_JWK_STRING_MAX];

    if (wsb_jwk_string_is(jwk, "crv", "Ed25519")) {
        type = EVP_PKEY_ED25519;

    } else if (wsb_jwk_string_is(jwk, "crv", "Ed448")) {
        type = EVP_PKEY_ED448;

    } else {
        return wsb_jwk_fail(err, "has an OKP key on a curve (\"crv\") that is"
                            " not known");
    }

    if (wsb_jwk_bytes(jwk, "x", x, &len) == WSB_OK) {
        *pkey = EVP_PKEY_new_raw_public_key(type, NULL, x, len);
    }

    return *pkey ? WSB_OK : wsb_jwk_fail(err, "has an OKP key with a bad"
                                         " \"x\"");
}


static EVP_PKEY *
wsb_jwk_from_params(const char *type, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY      *pkey;
    OSSL_PARAM    *params;
    EVP_PKEY_CTX  *ctx;

    pkey = NULL;
    params = OSSL_PARAM_BLD_to_param(bld);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (params == NULL || ctx == NULL
        || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
    {
        pkey = NULL;
    }

    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);

    return pkey;
}


/*
 * named: each of algs has been asked for, so that a secret too short for one
 * is an error; else it is just not used for that one.
 */

static wsb_rc_t
wsb_jwk_add_secret(wsb_jwks_t *keys, wsb_str_t secret, wsb_str_t kid,
    unsigned algs, unsigned named, wsb_jwk_error_t *err)
{
    unsigned   i;
    wsb_rc_t   rc;
    wsb_jwk_t  key;

    static const size_t  need[] = { 32, 48, 64 };

    memset(&key, 0, sizeof(wsb_jwk_t));

    key.algs = algs & WSB_JWA_HS;

    if (key.algs == 0) {
        return WSB_OK;
    }

    for (i = WSB_JWA_HS256; i <= WSB_JWA_HS512; i++) {

        if (!(key.algs & WSB_JWA_BIT(i)) || secret.len >= need[i]) {
            continue;
        }

        if (named || i == WSB_JWA_HS256) {
            return wsb_jwk_fail(err, "has a secret of %zu bytes: %s needs %zu"
                                " at least", secret.len, wsb_jwa_names[i],
                                need[i]);
        }

        key.algs &= ~WSB_JWA_BIT(i);
    }

    if (key.algs == 0) {
        return WSB_OK;
    }

    rc = wsb_jwk_copy(&key.secret, secret);

    if (rc == WSB_OK) {
        rc = wsb_jwk_copy(&key.kid, kid);
    }

    if (rc == WSB_OK) {
        return wsb_jwk_push(keys, &key, err);
    }

    wsb_free((void *) key.secret.data);

    err->fatal = 1;
    return wsb_jwk_fail(err, "cannot be read: no memory");
}


/* pkey is taken over. */

static wsb_rc_t
wsb_jwk_add_public(wsb_jwks_t *keys, EVP_PKEY *pkey, wsb_str_t kid,
    unsigned algs, wsb_jwk_error_t *err)
{
    wsb_rc_t   rc;
    wsb_jwk_t  key;

    memset(&key, 0, sizeof(wsb_jwk_t));

    key.pkey = pkey;

    rc = wsb_jwk_algs(pkey, &key.algs, err);

    key.algs &= algs;

    if (rc != WSB_OK || key.algs == 0) {
        EVP_PKEY_free(pkey);
        return rc;
    }

    if (!wsb_jwk_sound(pkey)) {
        EVP_PKEY_free(pkey);
        return wsb_jwk_fail(err, "has a public key that is not valid");
    }

    if (wsb_jwk_copy(&key.kid, kid) != WSB_OK) {
        EVP_PKEY_free(pkey);
        err->fatal = 1;
        return wsb_jwk_fail(err, "cannot be read: no memory");
    }

    return wsb_jwk_push(keys, &key, err);
}


/* The algorithms of its type. */

static wsb_rc_t
wsb_jwk_algs(EVP_PKEY *pkey, unsigned *algs, wsb_jwk_error_t *err)
{
    int       type, bits;
    char      group[64];
    size_t    len;
    unsigned  i;

    type = EVP_PKEY_get_base_id(pkey);

    switch (type) {

    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        bits = EVP_PKEY_get_bits(pkey);

        if (bits < WSB_JWK_RSA_MIN) {
            return wsb_jwk_fail(err, "has an RSA key of %d bits: %d are the"
                                " least", bits, WSB_JWK_RSA_MIN);
        }

        *algs = type == EVP_PKEY_RSA ? WSB_JWA_RS | WSB_JWA_PS : WSB_JWA_PS;
        return WSB_OK;

    case EVP_PKEY_ED25519:
    case EVP_PKEY_ED448:
        *algs = WSB_JWA_BIT(WSB_JWA_EDDSA);
        return WSB_OK;

    case EVP_PKEY_EC:

        if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) != 1) {
            break;
        }

        for (i = 0; i < WSB_JWK_CURVES; i++) {
            if (strcmp(group, wsb_jwk_curves[i].group) == 0) {
                *algs = WSB_JWA_BIT(wsb_jwk_curves[i].jwa);
                return WSB_OK;
            }
        }

        break;
    }

    return wsb_jwk_fail(err, "has a key of a type that no algorithm is for:"
                        " expected RSA, EC on P-256, P-384 or P-521, Ed25519"
                        " or Ed448");
}


/* A point on its curve; a modulus and an exponent that make sense. */

static int
wsb_jwk_sound(EVP_PKEY *pkey)
{
    int            ok;
    EVP_PKEY_CTX  *ctx;

    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    ok = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);

    return ok;
}


/* What key points to is taken over. */

static wsb_rc_t
wsb_jwk_push(wsb_jwks_t *keys, wsb_jwk_t *key, wsb_jwk_error_t *err)
{
    unsigned    i;
    wsb_rc_t    rc;
    wsb_jwk_t  *other;

    rc = WSB_OK;

    key->issuers = keys->use->issuers;
    key->nissuers = keys->use->nissuers;

    if (keys->n == WSB_JWK_MAX) {
        err->fatal = 1;
        rc = wsb_jwk_fail(err, "has one key too many: at most %d in all",
                          WSB_JWK_MAX);

    } else if (key->kid.data == NULL && keys->nameless == WSB_JWK_NAMELESS) {
        err->fatal = 1;
        rc = wsb_jwk_fail(err, "has one key without a \"kid\" too many: at"
                          " most %d in all", WSB_JWK_NAMELESS);
    }

    for (i = 0; i < keys->n && rc == WSB_OK && key->kid.data != NULL; i++) {
        other = &keys->key[i];

        if (other->kid.data != NULL
            && (other->algs & key->algs) != 0
            && wsb_jwk_shared(other, key)
            && other->kid.len == key->kid.len
            && memcmp(other->kid.data, key->kid.data, key->kid.len) == 0)
        {
            rc = wsb_jwk_fail(err, "has a \"kid\" that another key has");
        }
    }

    if (rc != WSB_OK) {
        EVP_PKEY_free(key->pkey);
        wsb_free((void *) key->secret.data);
        wsb_free((void *) key->kid.data);
        return rc;
    }

    keys->key[keys->n++] = *key;
    keys->nameless += key->kid.data == NULL;

    return WSB_OK;
}


int
wsb_jwk_shared(const wsb_jwk_t *a, const wsb_jwk_t *b)
{
    unsigned  i, j;

    if (a->nissuers == 0 || b->nissuers == 0) {
        return 1;
    }

    for (i = 0; i < a->nissuers; i++) {
        for (j = 0; j < b->nissuers; j++) {
            if (strcmp(a->issuers[i], b->issuers[j]) == 0) {
                return 1;
            }
        }
    }

    return 0;
}


static int
wsb_jwk_string_is(const wsb_json_t *jwk, const char *name, const char *text)
{
    wsb_json_t  value;

    return wsb_json_get(jwk, name, &value) == WSB_OK
           && value.type == WSB_JSON_STRING
           && wsb_json_key_is(&value, text);
}


static wsb_rc_t
wsb_jwk_bytes(const wsb_json_t *jwk, const char *name,
    uint8_t buf[WSB_JWK_STRING_MAX], size_t *len)
{
    wsb_str_t   text;
    wsb_json_t  value;

    if (wsb_json_get(jwk, name, &value) != WSB_OK
        || value.type != WSB_JSON_STRING
        || value.text.len > WSB_JWK_STRING_MAX
        || wsb_json_decode(&value, buf, &text.len) != WSB_OK)
    {
        return WSB_ERROR;
    }

    text.data = buf;

    return wsb_base64url_decode(text, buf, len);
}


/*
 * A positive integer in size bytes.  It should have that many: some write
 * those of the integer only, or a zero in front as ASN.1 does.
 */

static wsb_rc_t
wsb_jwk_integer(const wsb_json_t *jwk, const char *name, uint8_t *dst,
    size_t size)
{
    size_t          len;
    uint8_t         buf[WSB_JWK_STRING_MAX];
    const uint8_t  *p;

    if (wsb_jwk_bytes(jwk, name, buf, &len) != WSB_OK) {
        return WSB_ERROR;
    }

    for (p = buf; len > size && *p == 0; p++) {
        len--;
    }

    if (len == 0 || len > size) {
        return WSB_ERROR;
    }

    memset(dst, 0, size - len);
    memcpy(dst + size - len, p, len);

    return WSB_OK;
}


/* What is absent stays so; what is empty, not. */

static wsb_rc_t
wsb_jwk_copy(wsb_str_t *dst, wsb_str_t src)
{
    uint8_t  *p;

    if (src.data == NULL) {
        return WSB_OK;
    }

    p = wsb_malloc(src.len + 1);
    if (p == NULL) {
        return WSB_NOMEM;
    }

    memcpy(p, src.data, src.len);

    dst->data = p;
    dst->len = src.len;

    return WSB_OK;
}


static wsb_rc_t
wsb_jwk_fail(wsb_jwk_error_t *err, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);

    return WSB_ERROR;
}
