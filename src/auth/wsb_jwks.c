/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE                       /* memmem() */
#endif

#include "wsb_jwks.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <stdio.h>


#define WSB_JWKS_DEPTH       8


static wsb_rc_t wsb_jwks_pem(wsb_jwks_t *keys, wsb_str_t file, unsigned algs,
    wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwks_pem_block(const char *name, const uint8_t *der,
    long len, EVP_PKEY **pkey, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwks_json(wsb_jwks_t *keys, wsb_str_t file, unsigned algs,
    wsb_jwk_error_t *err);
static void wsb_jwks_pass(const wsb_jwks_t *keys, unsigned n,
    const wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwks_jwk(wsb_jwks_t *keys, const wsb_json_t *jwk,
    unsigned algs, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwks_oct(wsb_jwks_t *keys, const wsb_json_t *jwk,
    wsb_str_t kid, unsigned algs, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwks_add_secret(wsb_jwks_t *keys, wsb_str_t secret,
    wsb_str_t kid, unsigned algs, unsigned named, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwks_add_public(wsb_jwks_t *keys, EVP_PKEY *pkey,
    wsb_str_t kid, unsigned algs, wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwks_push(wsb_jwks_t *keys, wsb_jwk_t *key,
    wsb_jwk_error_t *err);
static wsb_rc_t wsb_jwks_copy(wsb_str_t *dst, wsb_str_t src);


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
        rc = wsb_jwks_json(keys, file, algs ? algs : WSB_JWA_ANY, err);

    } else if (memmem(file.data, file.len, "-----BEGIN ", 11) != NULL) {
        rc = wsb_jwks_pem(keys, file, algs ? algs : WSB_JWA_ANY, err);

    } else if (algs != 0 && (algs & ~WSB_JWA_HS) == 0) {

        if (file.data[file.len - 1] == '\n') {
            file.len--;
            file.len -= file.len != 0 && file.data[file.len - 1] == '\r';
        }

        rc = wsb_jwks_add_secret(keys, file, none, algs, 1, err);

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
wsb_jwks_pem(wsb_jwks_t *keys, wsb_str_t file, unsigned algs,
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

        rc = wsb_jwks_pem_block(name, der, len, &pkey, err);

        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, len);

        if (rc == WSB_OK && pkey != NULL) {
            rc = wsb_jwks_add_public(keys, pkey, none, algs, err);
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
wsb_jwks_pem_block(const char *name, const uint8_t *der, long len,
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
wsb_jwks_json(wsb_jwks_t *keys, wsb_str_t file, unsigned algs,
    wsb_jwk_error_t *err)
{
    wsb_rc_t           rc;
    unsigned           n;
    wsb_json_t         doc, list, jwk;
    wsb_json_walk_t    walk;
    wsb_json_error_t   json;

    static const wsb_json_limits_t  limits = { WSB_JWKS_DEPTH, WSB_JWKS_DEPTH };

    if (wsb_json_parse(file, &limits, &doc, &json) != WSB_OK) {
        return wsb_jwk_fail(err, "is no JSON: %s at byte %zu", json.reason,
                            json.offset);
    }

    if (wsb_json_get(&doc, "keys", &list) != WSB_OK) {
        return wsb_jwks_jwk(keys, &doc, algs, err);
    }

    if (list.type != WSB_JSON_ARRAY) {
        return wsb_jwk_fail(err, "has \"keys\" that is no array");
    }

    rc = WSB_OK;
    wsb_json_enter(&walk, &list);

    for (n = 0; wsb_json_element(&walk, &jwk) == WSB_OK; n++) {

        rc = jwk.type == WSB_JSON_OBJECT
             ? wsb_jwks_jwk(keys, &jwk, algs, err)
             : wsb_jwk_fail(err, "has a key that is no object");

        if (rc == WSB_OK) {
            continue;
        }

        if (err->fatal) {
            return rc;
        }

        wsb_jwks_pass(keys, n, err);
    }

    return WSB_OK;
}


static void
wsb_jwks_pass(const wsb_jwks_t *keys, unsigned n, const wsb_jwk_error_t *err)
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
wsb_jwks_jwk(wsb_jwks_t *keys, const wsb_json_t *jwk, unsigned algs,
    wsb_jwk_error_t *err)
{
    uint8_t     buf[WSB_JWK_STRING_MAX];
    wsb_rc_t    rc;
    EVP_PKEY   *pkey;
    wsb_str_t   kid;
    wsb_json_t  kty;

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
        return wsb_jwks_oct(keys, jwk, kid, algs, err);
    }

    rc = wsb_jwk_public(jwk, &kty, &pkey, err);

    if (rc != WSB_OK) {
        return rc;
    }

    return wsb_jwks_add_public(keys, pkey, kid, algs, err);
}


static wsb_rc_t
wsb_jwks_oct(wsb_jwks_t *keys, const wsb_json_t *jwk, wsb_str_t kid,
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

    rc = wsb_jwks_add_secret(keys, secret, kid, algs,
                            wsb_json_get(jwk, "alg", &alg) == WSB_OK, err);

    OPENSSL_cleanse(buf, sizeof(buf));

    return rc;
}


/*
 * named: each of algs has been asked for, so that a secret too short for one
 * is an error; else it is just not used for that one.
 */

static wsb_rc_t
wsb_jwks_add_secret(wsb_jwks_t *keys, wsb_str_t secret, wsb_str_t kid,
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

    rc = wsb_jwks_copy(&key.secret, secret);

    if (rc == WSB_OK) {
        rc = wsb_jwks_copy(&key.kid, kid);
    }

    if (rc == WSB_OK) {
        return wsb_jwks_push(keys, &key, err);
    }

    wsb_free((void *) key.secret.data);

    err->fatal = 1;
    return wsb_jwk_fail(err, "cannot be read: no memory");
}


/* pkey is taken over. */

static wsb_rc_t
wsb_jwks_add_public(wsb_jwks_t *keys, EVP_PKEY *pkey, wsb_str_t kid,
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

    if (wsb_jwks_copy(&key.kid, kid) != WSB_OK) {
        EVP_PKEY_free(pkey);
        err->fatal = 1;
        return wsb_jwk_fail(err, "cannot be read: no memory");
    }

    return wsb_jwks_push(keys, &key, err);
}


/* What key points to is taken over. */

static wsb_rc_t
wsb_jwks_push(wsb_jwks_t *keys, wsb_jwk_t *key, wsb_jwk_error_t *err)
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


/* What is absent stays so; what is empty, not. */

static wsb_rc_t
wsb_jwks_copy(wsb_str_t *dst, wsb_str_t src)
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
