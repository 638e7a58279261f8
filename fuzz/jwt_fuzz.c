/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Tokens and keys.  The first byte says what the rest is: `k` a key file,
 * `s` a header and, in the next line, claims, which are signed here; anything
 * else a token.
 *
 * Only what is signed is ever taken; claims that are taken have no NUL and no
 * control character in any text.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "fuzz.h"

#include "auth/wsb_base64url.h"
#include "auth/wsb_claims.h"
#include "auth/wsb_jwt.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>


#define SECRET  "0123456789abcdef0123456789abcdef"

static const char  chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "abcdefghijklmnopqrstuvwxyz0123456789-_";


static const wsb_jwks_t *
all_keys(void)
{
    unsigned           i;
    wsb_str_t          text;
    wsb_jwk_error_t    err;
    static wsb_jwks_t  keys;

    static const wsb_jwk_use_t  any;

    static const char *const  jwk[] = {
        "{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
        "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\","
        "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
        "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
    };

    for (i = 0; keys.n < 3; i++) {
        text.data = (const uint8_t *) jwk[i];
        text.len = strlen(jwk[i]);
        fuzz_check(wsb_jwks_add(&keys, text, &any, &err) == WSB_OK);
    }

    return &keys;
}


static void
check_value(const wsb_json_t *value)
{
    size_t           i;
    wsb_text_t       t;
    wsb_json_t       key, v;
    wsb_json_walk_t  walk;

    memset(&t, 0, sizeof(t));

    if (wsb_claims_text(value, &t) == WSB_OK) {
        for (i = 0; i < t.len; i++) {
            fuzz_check(t.data[i] >= 0x20 && t.data[i] != 0x7f);
        }
    } else {
        fuzz_check(t.len == 0 && !t.failed);
    }

    wsb_text_done(&t);

    if (value->type == WSB_JSON_OBJECT) {
        wsb_json_enter(&walk, value);

        while (wsb_json_member(&walk, &key, &v) == WSB_OK) {
            check_value(&v);
        }

    } else if (value->type == WSB_JSON_ARRAY) {
        wsb_json_enter(&walk, value);

        while (wsb_json_element(&walk, &v) == WSB_OK) {
            check_value(&v);
        }
    }
}


/* Each name leads to its value, as a path by itself. */

static void
check_claims(const wsb_json_t *claims)
{
    size_t               len, n;
    uint8_t              path[WSB_CLAIM_PATH_MAX], *name;
    uint64_t             exp;
    wsb_str_t            s;
    wsb_json_t           key, v, got;
    const char          *reason, *list[] = { "a", "b" };
    wsb_json_walk_t      walk;
    wsb_claims_rules_t   rules;

    memset(&rules, 0, sizeof(rules));

    rules.exp_optional = 1;

    if (wsb_claims_check(claims, &rules, 1000, &exp, &reason) == WSB_OK) {
        fuzz_check(exp > 1000 && exp <= WSB_NEVER);
    }

    rules.issuers = rules.audiences = list;
    rules.nissuers = rules.naudiences = 2;
    rules.leeway = 60;
    (void) wsb_claims_check(claims, &rules, 1000, &exp, &reason);

    check_value(claims);

    wsb_json_enter(&walk, claims);

    while (wsb_json_member(&walk, &key, &v) == WSB_OK) {
        name = malloc(key.text.len + 1);
        fuzz_check(wsb_json_decode(&key, name, &n) == WSB_OK);
        name[n] = '\0';

        if (n != 0) {
            fuzz_check(wsb_claims_get(claims, name, n + 1, &got)
                       == (v.type == WSB_JSON_NULL ? WSB_NOTFOUND : WSB_OK));
            fuzz_check(got.text.data == v.text.data
                       || v.type == WSB_JSON_NULL);
        }

        s.data = name;
        s.len = n;

        if (wsb_claims_path(s, ".", path, &len) == WSB_OK) {
            fuzz_check(len <= sizeof(path) && path[len - 1] == '\0');
            (void) wsb_claims_get(claims, path, len, &got);
        }

        free(name);
    }
}


/* Is it what the secret signs? */

static int
is_signed(wsb_str_t token)
{
    size_t          n;
    uint8_t         mac[EVP_MAX_MD_SIZE], *sig;
    unsigned        len;
    wsb_str_t       s;
    const uint8_t  *dot;

    dot = memrchr(token.data, '.', token.len);
    s.data = dot + 1;
    s.len = token.data + token.len - s.data;
    sig = malloc(s.len + 1);

    fuzz_check(wsb_base64url_decode(s, sig, &n) == WSB_OK);

    HMAC(EVP_sha256(), SECRET, 32, token.data, dot - token.data, mac, &len);
    n = n == len && memcmp(mac, sig, n) == 0;
    free(sig);

    return n;
}


static void
check_token(const uint8_t *data, size_t size)
{
    uint8_t     *buf;
    wsb_rc_t     rc;
    wsb_str_t    token;
    wsb_json_t   claims;
    const char  *reason;

    token.data = fuzz_copy(data, size);
    token.len = size;
    buf = malloc(size + (size == 0));

    rc = wsb_jwt_verify(token, all_keys(), buf, &claims, &reason);

    fuzz_check(ERR_peek_error() == 0);

    if (rc == WSB_OK) {
        fuzz_check(reason == NULL && size <= WSB_JWT_MAX);
        fuzz_check(claims.type == WSB_JSON_OBJECT);
        check_claims(&claims);

        /* nobody here has the other keys; the RFC's example is signed */
        fuzz_check(is_signed(token)
                   || memmem(token.data, size, "DtEhU3ljbEg8L38VWAfUAqOy", 24)
                      != NULL);

    } else {
        fuzz_check(rc == WSB_ERROR && reason != NULL);
    }

    free((void *) token.data);
    free(buf);
}


static void
encode(wsb_text_t *t, const uint8_t *data, size_t len)
{
    size_t    i;
    uint32_t  bits = 0;
    unsigned  n = 0;

    for (i = 0; i < len; i++) {
        bits = bits << 8 | data[i];

        for (n += 8; n >= 6; n -= 6) {
            wsb_text_add(t, &chars[bits >> (n - 6) & 63], 1);
        }
    }

    if (n != 0) {
        wsb_text_add(t, &chars[bits << (6 - n) & 63], 1);
    }
}


static void
check_signed(const uint8_t *data, size_t size)
{
    size_t          n;
    uint8_t         mac[EVP_MAX_MD_SIZE];
    unsigned        len;
    wsb_text_t      t;
    const uint8_t  *end;

    end = size == 0 ? NULL : memchr(data, '\n', size);
    n = end == NULL ? size : (size_t) (end - data);

    memset(&t, 0, sizeof(t));

    encode(&t, data, n);
    wsb_text_lit(&t, ".");

    if (end != NULL) {
        encode(&t, end + 1, size - n - 1);
    }

    HMAC(EVP_sha256(), SECRET, 32, t.data, t.len, mac, &len);

    wsb_text_lit(&t, ".");
    encode(&t, mac, len);

    check_token(t.data, t.len);

    wsb_text_done(&t);
}


static void
warned(void *ctx, const char *text)
{
    (void) ctx;
    fuzz_check(strlen(text) < 256);
}


static void
check_keys(const uint8_t *data, size_t size)
{
    unsigned         i, algs;
    wsb_rc_t         rc;
    wsb_str_t        file;
    wsb_jwks_t       keys;
    wsb_jwk_use_t    use;
    wsb_jwk_error_t  err;

    file.data = fuzz_copy(data, size);
    file.len = size;

    for (algs = 0; algs <= WSB_JWA_HS; algs += WSB_JWA_HS) {
        memset(&keys, 0, sizeof(keys));

        memset(&use, 0, sizeof(use));

        use.algs = algs;
        use.warn = warned;

        rc = wsb_jwks_add(&keys, file, &use, &err);

        fuzz_check(ERR_peek_error() == 0);
        fuzz_check(rc == WSB_OK ? keys.n != 0
                                : memchr(err.text, '\0', sizeof(err.text))
                                  != NULL);

        for (i = 0; i < keys.n; i++) {
            fuzz_check(keys.key[i].algs != 0);
            fuzz_check((keys.key[i].pkey == NULL)
                       == ((keys.key[i].algs & WSB_JWA_HS) != 0));
            fuzz_check((keys.key[i].pkey == NULL)
                       == (keys.key[i].secret.len >= 32));
            fuzz_check(algs == 0 || (keys.key[i].algs & ~algs) == 0);
        }

        wsb_jwks_done(&keys);
    }

    free((void *) file.data);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        check_token(data, size);

    } else if (data[0] == 'k') {
        check_keys(data + 1, size - 1);

    } else if (data[0] == 's') {
        check_signed(data + 1, size - 1);

    } else {
        check_token(data, size);
    }

    return 0;
}
