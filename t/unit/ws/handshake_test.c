/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "ws/wsb_handshake.h"
#include "tap.h"


typedef struct {
    int          want;
    const char  *text;
    const char  *token;
} case_t;


static case_t  lists[] = {
    { 1, "Upgrade", "upgrade" },
    { 1, "upgrade", "upgrade" },
    { 1, "UPGRADE", "upgrade" },
    { 1, "keep-alive, Upgrade", "upgrade" },
    { 1, "Upgrade, keep-alive", "upgrade" },
    { 1, "keep-alive,Upgrade,x", "upgrade" },
    { 1, " \t Upgrade \t ", "upgrade" },
    { 1, ",, ,Upgrade,,", "upgrade" },
    { 0, "", "upgrade" },
    { 0, ",", "upgrade" },
    { 0, " ", "upgrade" },
    { 0, "Upgrad", "upgrade" },
    { 0, "Upgrades", "upgrade" },
    { 0, "xUpgrade", "upgrade" },
    { 0, "keep-alive Upgrade", "upgrade" },
    { 0, "keep-alive;Upgrade", "upgrade" },
    { 0, "\"Upgrade\"", "upgrade" },
    { 0, "", "" },
    { 0, "a,,b", "" },
    { 1, "bus.v1, bus.v2", "bus.v2" },
};


static case_t  keys[] = {
    { 1, "dGhlIHNhbXBsZSBub25jZQ==", NULL },
    { 1, "AAAAAAAAAAAAAAAAAAAAAA==", NULL },
    { 1, "+/+/+/+/+/+/+/+/+/+/+w==", NULL },
    { 0, "", NULL },
    { 0, "dGhlIHNhbXBsZSBub25jZQ=", NULL },
    { 0, "dGhlIHNhbXBsZSBub25jZQ===", NULL },
    { 0, "dGhlIHNhbXBsZSBub25jZQA=", NULL },
    { 0, "dGhlIHNhbXBsZSBub25jZQAA", NULL },
    { 0, "dGhlIHNhbXBsZSBub25jZ===", NULL },
    { 0, "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==", NULL },
    { 0, "dGhlIHNh XBsZSBub25jZQ==", NULL },
    { 0, "dGhlIHNh-XBsZSBub25jZQ==", NULL },
    { 0, "dGhlIHNh=XBsZSBub25jZQ==", NULL },
    { 0, "dGhlIHNhbXBsZSBub25jZQ= ", NULL },
    { 0, "dGhlIHNhbXBsZSBub25jZQ =", NULL },
    { 0, "========================", NULL },
};


/* Copied to the byte, so that the sanitizer sees what is read beyond. */

static wsb_str_t
exact(const char *text)
{
    uint8_t    *p;
    wsb_str_t   s;

    s.len = strlen(text);
    p = malloc(s.len + (s.len == 0));
    memcpy(p, text, s.len);
    s.data = p;

    return s;
}


int
main(void)
{
    size_t     i;
    wsb_str_t  s, null = wsb_null_string;

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        s = exact(lists[i].text);
        is_uint(wsb_handshake_has_token(s, lists[i].token), lists[i].want,
                "token \"%s\" in \"%s\"", lists[i].token, lists[i].text);
        free((void *) s.data);
    }

    is_uint(wsb_handshake_has_token(null, "upgrade"), 0, "no list");

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        s = exact(keys[i].text);
        is_uint(wsb_handshake_key_valid(s), keys[i].want, "key \"%s\"",
                keys[i].text);
        free((void *) s.data);
    }

    is_uint(wsb_handshake_key_valid(null), 0, "no key");

    return tap_done();
}
