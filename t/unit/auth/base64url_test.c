/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/* base64url has one spelling for each value. */

#include "tap.h"

#include "auth/wsb_base64url.h"


static void
check(const char *text, const char *want)
{
    size_t     len = 0;
    uint8_t    buf[64];
    wsb_rc_t   rc;
    wsb_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    rc = wsb_base64url_decode(s, buf, &len);

    if (want == NULL) {
        ok(rc == WSB_ERROR, "refused: \"%s\"", text);
        return;
    }

    ok(rc == WSB_OK, "taken: \"%s\"", text);
    is_bytes(buf, len, want, "... as what it is");
}


int
main(void)
{
    size_t     i, len;
    uint8_t    buf[8], c;
    unsigned   good;
    wsb_str_t  s;

    check("", "");
    check("Zg", "f");
    check("Zm8", "fo");
    check("Zm9v", "foo");
    check("Zm9vYg", "foob");
    check("_-_-", "\xff\xef\xfe");

    check("Z", NULL);
    check("Zm9vY", NULL);
    check("Zg==", NULL);
    check("Zg=", NULL);
    check("Zm8=", NULL);
    check("Zh", NULL);
    check("Zm9", NULL);
    check("Zm9\t", NULL);
    check(" Zm9v", NULL);
    check("Zm9v Zm9v", NULL);
    check("+/+/", NULL);
    check("Zm\xc3\xa9", NULL);

    /* of 256 bytes, 64 are characters */

    good = 0;

    for (i = 0; i < 256; i++) {
        c = (uint8_t) i;
        memcpy(buf, "AAAA", 4);
        buf[2] = c;
        s.data = buf;
        s.len = 4;
        good += wsb_base64url_decode(s, buf, &len) == WSB_OK && len == 3;
    }

    is_uint(good, 64, "64 characters, decoded in place");

    return tap_done();
}
