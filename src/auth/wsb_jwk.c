/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_jwk.h"
#include "wsb_base64url.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <stdarg.h>
#include <stdio.h>


/* A curve, as JWK and OpenSSL name it; size of a coordinate in bytes. */

typedef struct {
    const char           *crv;
    const char           *group;
    size_t                size;
    wsb_jwa_t             jwa;
} wsb_jwk_curve_t;


static wsb_rc_t wsb_jwk_rsa(const wsb_json_t *jwk, EVP_PKEY **pkey,
    wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_ec(const wsb_json_t *jwk, EVP_PKEY **pkey,
    wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwk_okp(const wsb_json_t *jwk, EVP_PKEY **pkey,
    wsb_jwk_error_t *err);
static EVP_PKEY *wsb_jwk_from_params(const char *type, OSSL_PARAM_BLD *bld);
static int wsb_jwk_string_is(const wsb_json_t *jwk, const char *name,
    const char *text);
static wsb_rc_t wsb_jwk_integer(const wsb_json_t *jwk, const char *name,
    uint8_t *dst, size_t size);


static const wsb_jwk_curve_t  wsb_jwk_curves[] = {
    { "P-256", "prime256v1", 32, WSB_JWA_ES256 },
    { "P-384", "secp384r1",  48, WSB_JWA_ES384 },
    { "P-521", "secp521r1",  66, WSB_JWA_ES512 }
};

#define WSB_JWK_CURVES  (sizeof(wsb_jwk_curves) / sizeof(wsb_jwk_curves[0]))


wsb_rc_t
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


wsb_rc_t
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


wsb_rc_t
wsb_jwk_public(const wsb_json_t *jwk, const wsb_json_t *kty,
    EVP_PKEY **pkey, wsb_jwk_error_t *err)
{
    wsb_json_t  d;

    if (wsb_json_get(jwk, "d", &d) == WSB_OK) {
        err->fatal = 1;
        return wsb_jwk_fail(err, "has a private key (\"d\"): write the public"
                            " one only");
    }

    *pkey = NULL;

    if (wsb_json_key_is(kty, "RSA")) {
        return wsb_jwk_rsa(jwk, pkey, err);
    }

    if (wsb_json_key_is(kty, "EC")) {
        return wsb_jwk_ec(jwk, pkey, err);
    }

    if (wsb_json_key_is(kty, "OKP")) {
        return wsb_jwk_okp(jwk, pkey, err);
    }

    return wsb_jwk_fail(err, "has a key of an unknown type (\"kty\")");
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


wsb_rc_t
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


int
wsb_jwk_sound(EVP_PKEY *pkey)
{
    int            ok;
    EVP_PKEY_CTX  *ctx;

    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    ok = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);

    return ok;
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


wsb_rc_t
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


wsb_rc_t
wsb_jwk_fail(wsb_jwk_error_t *err, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);

    return WSB_ERROR;
}
