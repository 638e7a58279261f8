/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Keys and signatures: the examples of RFC 7515 and RFC 8037, and tokens
 * that are signed here by keys that are made here.
 */

#include "tap.h"

#include "auth/wsb_jwt.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>


#define SECRET  "0123456789abcdef0123456789abcdef"                          \
                "0123456789abcdef0123456789abcdef"


static wsb_str_t
str(const char *text)
{
    wsb_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}


static char  warnings[4096];


static void
warned(void *ctx, const char *text)
{
    (void) ctx;

    strcat(warnings, text);
    strcat(warnings, "\n");
}


static void
add_use(wsb_jwks_t *keys, const char *file, const wsb_jwk_use_t *use,
    const char *want)
{
    wsb_rc_t         rc;
    wsb_jwk_error_t  err;

    warnings[0] = '\0';

    rc = wsb_jwks_add(keys, str(file), use, &err);

    if (want == NULL) {
        ok(rc == WSB_OK, "a key file: %.20s", file);
    } else {
        ok(rc == WSB_ERROR && strstr(err.text, want) != NULL,
           "refused: %s", rc == WSB_OK ? file : err.text);
    }

    ok(ERR_peek_error() == 0, "... and nothing is left of OpenSSL's");
}


static void
add(wsb_jwks_t *keys, const char *file, unsigned algs, const char *want)
{
    wsb_jwk_use_t  use;

    memset(&use, 0, sizeof(use));
    use.algs = algs;

    add_use(keys, file, &use, want);
}


static void
check(const wsb_jwks_t *keys, const char *token, const char *want)
{
    uint8_t     *buf;
    wsb_rc_t     rc;
    wsb_str_t    s;
    wsb_json_t   claims;
    const char  *reason;

    /* of just that size, for the sanitizer */

    s.len = strlen(token);
    s.data = malloc(s.len + 1);
    memcpy((void *) s.data, token, s.len);
    buf = malloc(s.len + 1);

    rc = wsb_jwt_verify(s, keys, buf, &claims, &reason);

    if (want == NULL) {
        ok(rc == WSB_OK && claims.type == WSB_JSON_OBJECT, "taken: %.30s",
           token);
    } else {
        ok(rc == WSB_ERROR && strcmp(reason, want) == 0, "%s: %.30s",
           rc == WSB_ERROR ? reason : "taken", token);
    }

    ok(ERR_peek_error() == 0, "... and nothing is left of OpenSSL's");

    free((void *) s.data);
    free(buf);
}


static void
check_examples(void)
{
    wsb_jwks_t  keys;

    static const char  hs256[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJl"
        "eHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c"
        "nVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    static const char  es256[] =
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAs"
        "DQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L3"
        "8VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-"
        "Kg6NU1Q";

    /* its payload is no JSON, which is said only of what is signed */

    static const char  eddsa[] =
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_"
        "MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7s"
        "VvpAr_MuM0KAg";

    static const char  evil[] =
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_"
        "MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7s"
        "VvpAr_MuM0KAw";

    memset(&keys, 0, sizeof(keys));

    add(&keys, "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"
               "-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}", 0,
        NULL);
    add(&keys, "{\"kty\":\"EC\",\"crv\":\"P-256\","
               "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
               "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}", 0,
        NULL);

    check(&keys, hs256, NULL);
    check(&keys, es256, NULL);
    check(&keys, eddsa, "its algorithm is not accepted");

    add(&keys, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
               "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}", 0,
        NULL);

    check(&keys, eddsa, "its claims are not one strict JSON object");
    check(&keys, evil, "its signature is not valid");

    wsb_jwks_done(&keys);
    is_uint(keys.n, 0, "done");
}


static void
encode(char **p, const uint8_t *data, size_t len)
{
    size_t    i;
    uint32_t  bits = 0;
    unsigned  n = 0;

    static const char  chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789-_";

    for (i = 0; i < len; i++) {
        bits = bits << 8 | data[i];

        for (n += 8; n >= 6; n -= 6) {
            *(*p)++ = chars[bits >> (n - 6) & 63];
        }
    }

    if (n != 0) {
        *(*p)++ = chars[bits << (6 - n) & 63];
    }

    **p = '\0';
}


/* By HMAC with SHA-256, or by the key. */

static char *
token(EVP_PKEY *pkey, const char *header, const char *claims)
{
    char        *text, *p;
    size_t       len = 1024;
    uint8_t      sig[1024];
    unsigned     n;
    EVP_MD_CTX  *ctx;

    text = p = malloc(2 * (strlen(header) + strlen(claims)) + 2048);

    encode(&p, (const uint8_t *) header, strlen(header));
    *p++ = '.';
    encode(&p, (const uint8_t *) claims, strlen(claims));

    if (pkey == NULL) {
        HMAC(EVP_sha256(), SECRET, 64, (uint8_t *) text, p - text, sig, &n);
        len = n;

    } else {
        ctx = EVP_MD_CTX_new();

        if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) != 1
            || EVP_DigestSign(ctx, sig, &len, (uint8_t *) text, p - text)
               != 1)
        {
            printf("Bail out! no signature\n");
        }

        EVP_MD_CTX_free(ctx);
    }

    *p++ = '.';
    encode(&p, sig, len);

    return text;
}


static void
check_token(const wsb_jwks_t *keys, EVP_PKEY *pkey, const char *header,
    const char *claims, const char *want)
{
    char  *text;

    text = token(pkey, header, claims);
    check(keys, text, want);
    free(text);
}


static void
check_secret(void)
{
    char        *text, *long_claims;
    size_t       n;
    wsb_jwks_t   keys;

    memset(&keys, 0, sizeof(keys));
    add(&keys, SECRET "\r\n", WSB_JWA_HS, NULL);
    is_uint(keys.key[0].secret.len, 64, "the line end is not part of it");
    is_uint(keys.key[0].algs, WSB_JWA_HS, "for three algorithms");

    check_token(&keys, NULL, "{\"alg\":\"HS256\"}", "{}", NULL);
    check_token(&keys, NULL, "{\"\\u0061lg\":\"\\u0048S256\"}", "{}", NULL);
    check_token(&keys, NULL, "{\"alg\":\"HS384\"}", "{}",
                "its signature is not valid");
    check_token(&keys, NULL, "{\"alg\":\"none\"}", "{}",
                "its algorithm is not accepted");
    check_token(&keys, NULL, "{\"alg\":\"HS256\",\"crit\":[]}", "{}",
                "its header has critical extensions");
    check_token(&keys, NULL, "{\"alg\":\"HS256\"}", "[]",
                "its claims are not one strict JSON object");

    /* of which length a token may be */

    text = token(NULL, "{\"alg\":\"HS256\"}", "{\"a\":\"\"}");
    n = strlen(text);
    free(text);

    n = (WSB_JWT_MAX - n) / 4 * 3;
    long_claims = malloc(n + 10);
    memset(long_claims, 'x', n + 10);
    memcpy(long_claims, "{\"a\":\"", 6);
    strcpy(long_claims + 6 + n, "\"}");
    check_token(&keys, NULL, "{\"alg\":\"HS256\"}", long_claims, NULL);
    free(long_claims);

    long_claims = malloc(WSB_JWT_MAX + 2);
    memset(long_claims, 'e', WSB_JWT_MAX + 2);
    long_claims[WSB_JWT_MAX] = '\0';
    check(&keys, long_claims, "it is no JWS in compact form");
    long_claims[WSB_JWT_MAX] = 'e';
    long_claims[WSB_JWT_MAX + 1] = '\0';
    check(&keys, long_claims, "it is too long");
    free(long_claims);

    wsb_jwks_done(&keys);
}


static void
check_kids(void)
{
    char        *pem;
    long         n;
    BIO         *bio;
    EVP_PKEY    *rsa, *other;
    wsb_jwks_t   keys;

    static const char  rs256[] = "{\"alg\":\"RS256\"}";

    rsa = EVP_RSA_gen(2048);
    other = EVP_RSA_gen(2048);

    memset(&keys, 0, sizeof(keys));

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, rsa);
    PEM_write_bio_PUBKEY(bio, other);
    BIO_write(bio, "", 1);
    n = BIO_get_mem_data(bio, &pem);
    ok(n > 800, "two keys in one file");

    add(&keys, pem, 0, NULL);
    is_uint(keys.n, 2, "... are two");

    check_token(&keys, rsa, rs256, "{}", NULL);
    check_token(&keys, other, rs256, "{}", NULL);
    check_token(&keys, other, "{\"alg\":\"RS256\",\"kid\":\"x\"}", "{}", NULL);
    check_token(&keys, rsa, "{\"alg\":\"PS256\"}", "{}",
                "its signature is not valid");

    add(&keys, pem, WSB_JWA_BIT(WSB_JWA_ES256), "no key for these");
    add(&keys, pem, WSB_JWA_HS, "no key for these");

    add(&keys, "{\"kty\":\"oct\",\"kid\":\"s\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZj"
               "AxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFi"
               "Y2RlZg\"}", 0, NULL);

    check_token(&keys, NULL, "{\"alg\":\"HS256\",\"kid\":\"s\"}", "{}", NULL);
    check_token(&keys, NULL, "{\"alg\":\"HS256\",\"kid\":\"\\u0073\"}", "{}",
                NULL);
    check_token(&keys, NULL, "{\"alg\":\"HS256\",\"kid\":\"t\"}", "{}",
                "its kid is not known");
    check_token(&keys, NULL, "{\"alg\":\"HS256\",\"kid\":\"\"}", "{}",
                "its kid is not known");
    check_token(&keys, NULL, "{\"alg\":\"HS256\",\"kid\":null}", "{}",
                "its kid is no string");
    check_token(&keys, NULL, "{\"alg\":\"HS256\"}", "{}", "it has no kid");

    BIO_free(bio);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other);
    wsb_jwks_done(&keys);
}


/* A key counts for its issuers only. */

static void
check_issuers(void)
{
    wsb_jwks_t     keys;
    wsb_jwk_use_t  a, b, both;

    static const char *const  list[] = { "https://a", "https://b" };

    static const char  hs256[] = "{\"alg\":\"HS256\"}";
    static const char  kid[] = "{\"alg\":\"HS256\",\"kid\":\"1\"}";
    static const char  why[] = "its key is not for its issuer";

    static const char  mine[] =
        "{\"kty\":\"oct\",\"kid\":\"1\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM"
        "0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg\"}";
    static const char  other[] =
        "{\"kty\":\"oct\",\"kid\":\"1\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKOb"
        "wVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}";

    memset(&a, 0, sizeof(a));
    a.issuers = (const char **) list;
    a.nissuers = 1;

    b = a;
    b.issuers++;

    both = a;
    both.nissuers = 2;

    memset(&keys, 0, sizeof(keys));
    b.algs = WSB_JWA_HS;
    add_use(&keys, SECRET, &b, NULL);
    b.algs = 0;

    check_token(&keys, NULL, hs256, "{\"iss\":\"https://b\"}", NULL);
    check_token(&keys, NULL, hs256, "{\"iss\":\"https:\\/\\/b\"}", NULL);
    check_token(&keys, NULL, hs256, "{\"iss\":\"https://a\"}", why);
    check_token(&keys, NULL, hs256, "{\"iss\":\"https://b/\"}", why);
    check_token(&keys, NULL, hs256, "{\"iss\":[\"https://b\"]}", why);
    check_token(&keys, NULL, hs256, "{\"iss\":null}", why);
    check_token(&keys, NULL, hs256, "{}", why);

    /* the same one once more, for another */

    a.algs = WSB_JWA_HS;
    add_use(&keys, SECRET, &a, NULL);
    a.algs = 0;

    check_token(&keys, NULL, hs256, "{\"iss\":\"https://a\"}", NULL);
    check_token(&keys, NULL, hs256, "{\"iss\":\"https://b\"}", NULL);
    check_token(&keys, NULL, hs256, "{\"iss\":\"https://c\"}", why);
    wsb_jwks_done(&keys);

    /* one kid, of two issuers */

    add_use(&keys, other, &b, NULL);
    add_use(&keys, mine, &both, "a \"kid\" that another key has");
    add(&keys, mine, 0, "a \"kid\" that another key has");
    add_use(&keys, mine, &a, NULL);

    check_token(&keys, NULL, kid, "{\"iss\":\"https://a\"}", NULL);
    check_token(&keys, NULL, kid, "{\"iss\":\"https://b\"}", why);
    wsb_jwks_done(&keys);

    add_use(&keys, mine, &both, NULL);
    check_token(&keys, NULL, kid, "{\"iss\":\"https://a\"}", NULL);
    check_token(&keys, NULL, kid, "{\"iss\":\"https://b\"}", NULL);
    check_token(&keys, NULL, kid, "{\"iss\":\"https://c\"}", why);
    wsb_jwks_done(&keys);
}


/* Those who write sets leave zeros out, put zeros in, and add what they like. */

static void
check_sets(void)
{
    char           *text, *p;
    size_t          n;
    uint8_t         point[65], zero[33];
    unsigned        i;
    EVP_PKEY       *pkey;
    wsb_jwks_t      keys;
    wsb_jwk_use_t   use;

    static const char  rest[] =
        "{\"keys\":[7,{},{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"},"
        "{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\"},{\"kty\":\"AKP\"},"
        "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"},"
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"},"
        "{\"kty\":\"RSA\",\"use\":\"enc\"},"
        "{\"kty\":\"oct\",\"k\":\"AAAA\"},{\"kty\":\"oct\",\"kid\":7},"
        "%s]}";

    text = malloc(8192);

    for (i = 0; i < 2; i++) {

        /* x, then y, begins with a zero */

        do {
            pkey = EVP_EC_gen("P-256");
            EVP_PKEY_get_octet_string_param(pkey, "pub", point, 65, &n);

            if (point[1 + 32 * i] != 0) {
                EVP_PKEY_free(pkey);
                pkey = NULL;
            }
        } while (pkey == NULL);

        p = text + sprintf(text, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
        encode(&p, point + 1 + (i == 0), 32 - (i == 0));
        p += sprintf(p, "\",\"y\":\"");

        /* that of the other, with one in front */

        zero[0] = 0;
        memcpy(zero + 1, point + 33, 32);

        if (i == 0) {
            encode(&p, zero, 33);

        } else {
            encode(&p, point + 34, 31);
        }

        sprintf(p, "\"}");

        memset(&keys, 0, sizeof(keys));
        add(&keys, text, 0, NULL);

        ok(keys.n == 1 && EVP_PKEY_eq(keys.key[0].pkey, pkey) == 1,
           "%s without its zero: the same key", i ? "y" : "x");

        wsb_jwks_done(&keys);
        EVP_PKEY_free(pkey);
    }

    memset(&use, 0, sizeof(use));
    use.warn = warned;

    p = malloc(16384);
    sprintf(p, rest, text);
    add_use(&keys, p, &use, NULL);

    is_uint(keys.n, 1, "what can be used is, in a set with much else");

    for (i = 0; i < 10; i++) {
        sprintf(text, "keys[%u] is passed over\n", i);
        ok((strstr(warnings, text) != NULL) == (i != 7), "%s a warning: %u",
           i == 7 ? "no reason for" : "with", i);
    }

    ok(strstr(warnings, "RSA key of 17 bits: 2048 are the least: keys[2]")
       != NULL, "which says why");
    wsb_jwks_done(&keys);

    sprintf(p, rest, "7");
    add_use(&keys, p, &use, "has no key that can be used");

    sprintf(p, rest, "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\","
                     "\"d\":\"AQ\"}");
    add_use(&keys, p, &use, "private key");

    is_uint(keys.n, 0, "no key of these");

    free(p);
    free(text);
}


/* What is wrong leaves a set that can be freed. */

static void
check_files(void)
{
    char        *big;
    unsigned     i;
    wsb_jwks_t   keys;

    static const struct {
        const char  *file;
        unsigned     algs;
        const char  *want;
    } bad[] = {
        { "", 0, "empty" },
        { " \n", WSB_JWA_HS, "empty" },
        { SECRET, 0, "neither PEM nor a JWK set" },
        { SECRET, WSB_JWA_BIT(WSB_JWA_RS256), "neither PEM" },
        { SECRET, WSB_JWA_ANY, "neither PEM" },
        { "short\n", WSB_JWA_BIT(WSB_JWA_HS256), "5 bytes: HS256 needs 32" },
        { "{", WSB_JWA_HS, "no JSON" },
        { "{}", 0, "without \"kty\"" },
        { "{\"keys\":[7]}", 0, "no key that can be used" },
        { "{\"keys\":{}}", 0, "no array" },
        { "{\"keys\":[]}", 0, "no key that can be used" },
        { "{\"kty\":\"oct\"}", 0, "bad \"k\"" },
        { "{\"kty\":\"oct\",\"k\":7}", 0, "bad \"k\"" },
        { "{\"kty\":\"oct\",\"k\":\"AAAA\"}", 0, "3 bytes" },
        { "{\"kty\":\"oct\",\"k\":\"AAAA\",\"use\":\"enc\"}", 0, "no key" },
        { "{\"kty\":\"oct\",\"k\":\"AAAA\",\"key_ops\":[\"sign\"]}", 0,
          "no key" },
        { "{\"kty\":\"oct\",\"k\":\"AAAA\",\"key_ops\":\"verify\"}", 0,
          "\"key_ops\" is no array" },
        { "{\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"A128KW\"}", 0,
          "algorithm" },
        { "{\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":7}", 0, "algorithm" },
        { "{\"kty\":\"new\"}", 0, "unknown type" },
        { "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", 0, "17 bits" },
        { "{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"}", 0, "RSA key" },
        { "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"d\":\"AQ\"}", 0,
          "private" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\"}", 0, "bad \"x\"" },
        { "{\"kty\":\"EC\",\"crv\":\"P-257\"}", 0, "curve" },
        { "{\"kty\":\"EC\"}", 0, "curve" },
        { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", 0,
          "bad \"x\"" },
        { "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AAAA\"}", 0,
          "curve" },
        { "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", 0,
          "cannot be read" },
        { "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
          0, "private key" },
        { "-----BEGIN X-----\nAAAA\n-----END X-----\n", 0, "block \"X\"" },
        { "x -----BEGIN \n", WSB_JWA_HS, "no key" }
    };

    memset(&keys, 0, sizeof(keys));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        add(&keys, bad[i].file, bad[i].algs, bad[i].want);
    }

    is_uint(keys.n, 0, "no key of these");

    big = malloc(WSB_JWK_FILE_MAX + 2);
    memset(big, 'x', WSB_JWK_FILE_MAX + 2);
    big[WSB_JWK_FILE_MAX + 1] = '\0';
    add(&keys, big, WSB_JWA_HS, "longer than");
    free(big);

    for (i = 0; i < WSB_JWK_NAMELESS; i++) {
        add(&keys, SECRET, WSB_JWA_HS, NULL);
    }

    add(&keys, SECRET, WSB_JWA_HS, "too many");
    is_uint(keys.n, WSB_JWK_NAMELESS, "those before it");

    wsb_jwks_done(&keys);
}


int
main(void)
{
    check_examples();
    check_secret();
    check_kids();
    check_issuers();
    check_sets();
    check_files();

    return tap_done();
}
