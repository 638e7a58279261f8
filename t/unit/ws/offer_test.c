/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/* The negotiation matrix of RFC 7692, section 7.1. */

#include "ws/wsb_offer.h"
#include "tap.h"


#define PD          "permessage-deflate"
#define ALWAYS      PD "; server_no_context_takeover; "                       \
                    "client_no_context_takeover"
#define NONE        NULL
#define BAD         "!"


static struct {
    const char  *header;
    const char  *answer;
    unsigned     bits;
} offers[] = {

    /* one offer */

    { PD, ALWAYS, 15 },
    { "  " PD "  ", ALWAYS, 15 },
    { "Permessage-Deflate", ALWAYS, 15 },
    { PD "; client_max_window_bits", ALWAYS, 15 },
    { PD "; server_no_context_takeover", ALWAYS, 15 },
    { PD "; client_no_context_takeover", ALWAYS, 15 },
    { PD "; server_no_context_takeover; client_no_context_takeover", ALWAYS,
      15 },
    { PD ";server_no_context_takeover;client_max_window_bits", ALWAYS, 15 },
    { PD "\t;\tSERVER_NO_CONTEXT_TAKEOVER", ALWAYS, 15 },

    /* windows */

    { PD "; server_max_window_bits=8", ALWAYS "; server_max_window_bits=8",
      8 },
    { PD "; server_max_window_bits=9", ALWAYS "; server_max_window_bits=9",
      9 },
    { PD "; server_max_window_bits=10", ALWAYS "; server_max_window_bits=10",
      10 },
    { PD "; server_max_window_bits=11", ALWAYS "; server_max_window_bits=11",
      11 },
    { PD "; server_max_window_bits=12", ALWAYS "; server_max_window_bits=12",
      12 },
    { PD "; server_max_window_bits=13", ALWAYS "; server_max_window_bits=13",
      13 },
    { PD "; server_max_window_bits=14", ALWAYS "; server_max_window_bits=14",
      14 },
    { PD "; server_max_window_bits=15", ALWAYS "; server_max_window_bits=15",
      15 },
    { PD "; client_max_window_bits=8", ALWAYS "; client_max_window_bits=8",
      15 },
    { PD "; client_max_window_bits=15", ALWAYS "; client_max_window_bits=15",
      15 },
    { PD "; client_max_window_bits=10; server_max_window_bits=10",
      ALWAYS "; server_max_window_bits=10; client_max_window_bits=10", 10 },
    { PD "; server_max_window_bits = 10", ALWAYS "; server_max_window_bits=10",
      10 },
    { PD "; server_max_window_bits=\"10\"",
      ALWAYS "; server_max_window_bits=10", 10 },
    { PD "; server_max_window_bits=\"1\\0\"",
      ALWAYS "; server_max_window_bits=10", 10 },
    { PD "; client_max_window_bits=\"9\"; server_no_context_takeover",
      ALWAYS "; client_max_window_bits=9", 15 },

    /* windows that there are not */

    { PD "; server_max_window_bits", NONE, 0 },
    { PD "; server_max_window_bits=0", NONE, 0 },
    { PD "; server_max_window_bits=7", NONE, 0 },
    { PD "; server_max_window_bits=16", NONE, 0 },
    { PD "; server_max_window_bits=08", NONE, 0 },
    { PD "; server_max_window_bits=010", NONE, 0 },
    { PD "; server_max_window_bits=100", NONE, 0 },
    { PD "; server_max_window_bits=-9", NONE, 0 },
    { PD "; server_max_window_bits=+9", NONE, 0 },
    { PD "; server_max_window_bits=1a", NONE, 0 },
    { PD "; server_max_window_bits=a", NONE, 0 },
    { PD "; server_max_window_bits=9.", NONE, 0 },
    { PD "; server_max_window_bits=\"16\"", NONE, 0 },
    { PD "; client_max_window_bits=7", NONE, 0 },
    { PD "; client_max_window_bits=16", NONE, 0 },
    { PD "; client_max_window_bits=010", NONE, 0 },
    { PD "; client_max_window_bits=99999999999999999999", NONE, 0 },

    /* values where there must be none, repetitions, unknown ones */

    { PD "; server_no_context_takeover=1", NONE, 0 },
    { PD "; client_no_context_takeover=true", NONE, 0 },
    { PD "; server_no_context_takeover; server_no_context_takeover", NONE,
      0 },
    { PD "; client_no_context_takeover; client_no_context_takeover", NONE,
      0 },
    { PD "; server_max_window_bits=10; server_max_window_bits=10", NONE, 0 },
    { PD "; client_max_window_bits; client_max_window_bits=10", NONE, 0 },
    { PD "; client_max_window_bits=10; client_max_window_bits", NONE, 0 },
    { PD "; x", NONE, 0 },
    { PD "; server_max_window_bit=10", NONE, 0 },
    { PD "; server_max_window_bits_=10", NONE, 0 },
    { PD "; x; server_max_window_bits=10", NONE, 0 },
    { PD "; server_max_window_bits=10; x=y", NONE, 0 },

    /* a value of nothing */

    { PD "; server_max_window_bits=\"\"", NONE, 0 },
    { PD "; client_max_window_bits=\"\"", NONE, 0 },
    { PD "; client_max_window_bits = \"\" ", NONE, 0 },
    { PD "; server_no_context_takeover=\"\"", NONE, 0 },
    { PD "; client_no_context_takeover=\"\"", NONE, 0 },
    { PD "; x=\"\"", NONE, 0 },
    { PD "; x=\"\", " PD, ALWAYS, 15 },
    { PD "; server_max_window_bits=\"\", " PD "; server_max_window_bits=9",
      ALWAYS "; server_max_window_bits=9", 9 },
    { "foo; a=\"\", " PD, ALWAYS, 15 },

    /* other extensions */

    { "", NONE, 0 },
    { "x-webkit-deflate-frame", NONE, 0 },
    { "permessage-bzip2; a=b", NONE, 0 },
    { PD "e", NONE, 0 },
    { "permessage-deflat", NONE, 0 },
    { "mux; max-channels=4; flow-control, deflate-stream", NONE, 0 },
    { "foo, " PD, ALWAYS, 15 },
    { "foo; a=\"b\"; c, " PD "; server_max_window_bits=9",
      ALWAYS "; server_max_window_bits=9", 9 },
    { PD ", foo", ALWAYS, 15 },

    /* several offers: the first that can be kept to */

    { PD "; server_max_window_bits=10, " PD,
      ALWAYS "; server_max_window_bits=10", 10 },
    { PD ", " PD "; server_max_window_bits=10", ALWAYS, 15 },
    { PD "; server_max_window_bits=7, " PD "; server_max_window_bits=9",
      ALWAYS "; server_max_window_bits=9", 9 },
    { PD "; x, " PD "; x=y, " PD "; client_max_window_bits=12",
      ALWAYS "; client_max_window_bits=12", 15 },
    { PD "; server_max_window_bits=9; x, " PD, ALWAYS, 15 },
    { PD "; x, " PD "; y", NONE, 0 },
    { ",, " PD " ,,", ALWAYS, 15 },
    { " , ", NONE, 0 },

    /* what the grammar does not allow */

    { PD ";", BAD, 0 },
    { PD "; ; x", BAD, 0 },
    { "; x", BAD, 0 },
    { "=x", BAD, 0 },
    { PD "; server_max_window_bits=", BAD, 0 },
    { PD "; server_max_window_bits==9", BAD, 0 },
    { PD "; server_max_window_bits=9 9", BAD, 0 },
    { PD "; server_max_window_bits=\"9", BAD, 0 },
    { PD "; server_max_window_bits=\"9\\", BAD, 0 },
    { PD "; server_max_window_bits=\"9 \"", BAD, 0 },
    { PD "; server_max_window_bits=\"9\"9", BAD, 0 },
    { PD "; server_max_window_bits=9\"", BAD, 0 },
    { PD "; x=\"a,b\"", BAD, 0 },
    { PD " " PD, BAD, 0 },
    { PD "; \x80", BAD, 0 },
    { PD "; x\x01", BAD, 0 },
    { PD "/1", BAD, 0 },
    { PD ", foo; =", BAD, 0 },
    { "foo;, " PD, BAD, 0 },
};


int
main(void)
{
    char         answer[WSB_OFFER_RESPONSE_MAX + 1];
    size_t       i, n;
    uint8_t     *p;
    wsb_rc_t     rc;
    wsb_str_t    header, null = wsb_null_string;
    wsb_offer_t  offer;
    const char  *want;

    for (i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        header.len = strlen(offers[i].header);
        p = malloc(header.len + (header.len == 0));
        memcpy(p, offers[i].header, header.len);
        header.data = p;

        rc = wsb_offer_choose(header, &offer);
        free(p);

        n = 0;

        if (rc == WSB_OK) {
            n = wsb_offer_response((uint8_t *) answer, &offer);
        }

        answer[n] = '\0';
        want = offers[i].answer;

        ok(want == NULL ? rc == WSB_NOTFOUND
           : strcmp(want, BAD) == 0 ? rc == WSB_ERROR
           : rc == WSB_OK && strcmp(answer, want) == 0
             && offer.server_bits == offers[i].bits,
           "\"%s\"", offers[i].header);
    }

    is_uint(wsb_offer_choose(null, &offer), WSB_NOTFOUND, "no header");

    memset(&offer, 0, sizeof(offer));
    offer.server_asked = 1;
    offer.server_bits = 15;
    offer.client_bits = 15;
    n = wsb_offer_response((uint8_t *) answer, &offer);
    is_uint(n, WSB_OFFER_RESPONSE_MAX, "the longest answer");

    return tap_done();
}
