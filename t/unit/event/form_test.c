/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/* Values of a query string, decoded. */

#include "tap.h"

#include "event/wsb_form.h"


static void
check(const char *text, const char *want, size_t n)
{
    size_t     len;
    uint8_t    buf[64];
    wsb_rc_t   rc;
    wsb_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);
    len = 0;

    rc = wsb_form_decode(s, buf, &len);

    if (want == NULL) {
        ok(rc == WSB_ERROR, "refused: \"%s\"", text);
        return;
    }

    ok(rc == WSB_OK && len == n && memcmp(buf, want, n) == 0,
       "decoded: \"%s\"", text);
}


int
main(void)
{
    check("", "", 0);
    check("plain", "plain", 5);
    check("caf%C3%A9", "caf\xc3\xa9", 5);
    check("a%2Fb%2fc", "a/b/c", 5);
    check("a+b%20c%2B", "a b c+", 6);
    check("%00", "\0", 1);
    check("%2541", "%41", 3);

    check("%", NULL, 0);
    check("a%4", NULL, 0);
    check("%zz", NULL, 0);
    check("%4g", NULL, 0);
    check("%%41", NULL, 0);

    return tap_done();
}
