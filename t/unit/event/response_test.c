/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/* Responses in one piece and byte by byte. */

#include "event/wsb_response.h"
#include "tap.h"

#include <stdlib.h>


#define len(a)  (sizeof(a) / sizeof((a)[0]))


typedef struct {
    const char  *what;
    const char  *bytes;
    wsb_rc_t     rc;
    int          closed;                  /* whole by that */
    unsigned     status;
    const char  *body;
} case_t;


static const case_t  cases[] = {
    { "a length", "HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc",
      WSB_OK, 1, 201, "abc" },
    { "what follows is not its", "HTTP/1.1 201 Created\r\n"
      "content-length:3 \r\n\r\nabcHTTP/1.1", WSB_OK, 1, 201, "abc" },
    { "too little", "HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nabc",
      WSB_AGAIN, 0, 201, "abc" },
    { "chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n0a;x=\"y\"\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
      WSB_OK, 1, 200, "abc0123456789" },
    { "chunks without an end", "HTTP/1.1 200 OK\r\n"
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", WSB_AGAIN, 0, 200,
      "abc" },
    { "chunks before a length", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
      "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", WSB_OK, 1,
      200, "ab" },
    { "a chunk of no size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
      "\r\n\r\n\r\nabc", WSB_ERROR, 0, 200, "" },
    { "a chunk of too much", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
      "\r\n\r\nffffffffffffffff\r\nabc", WSB_ERROR, 0, 200, "" },
    { "a chunk that is longer than it says", "HTTP/1.1 200 OK\r\n"
      "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", WSB_ERROR,
      0, 200, "a" },
    { "up to the end", "HTTP/1.1 200 OK\r\n\r\nabc", WSB_AGAIN, 1, 200,
      "abc" },
    { "204", "HTTP/1.1 204 No Content\r\n\r\n", WSB_OK, 1, 204, "" },
    { "no length", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
      WSB_OK, 1, 201, "" },
    { "others first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints"
      "\r\nLocation: /no\r\nContent-Length: 9\r\n\r\nHTTP/1.1 201\r\n"
      "Location: /yes\r\nContent-Length: 1\r\n\r\nx", WSB_OK, 1, 201, "x" },
    { "bare line feeds", "HTTP/1.0 422 No\nContent-Length: 2\n\n{}", WSB_OK,
      1, 422, "{}" },
    { "nothing", "", WSB_AGAIN, 0, 0, "" },
    { "a header that is cut", "HTTP/1.1 201 Created\r\nContent-Len",
      WSB_AGAIN, 0, 201, "" },
    { "no response", "{\"id\":1}\n", WSB_ERROR, 0, 0, "" },
    { "not of HTTP/1", "HTTP/2 200 OK...\r\n\r\n", WSB_ERROR, 0, 0, "" },
    { "a short status", "HTTP/1.1 20\r\n\r\n", WSB_ERROR, 0, 0, "" },
    { "a long status", "HTTP/1.1 2011\r\n\r\n", WSB_ERROR, 0, 0, "" },
    { "101", "HTTP/1.1 101 Switching\r\n\r\n", WSB_ERROR, 0, 101, "" },
    { "no header", "HTTP/1.1 201 Created\r\nabc\r\n\r\n", WSB_ERROR, 0, 201,
      "" },
    { "two lengths", "HTTP/1.1 201 Created\r\nContent-Length: 1\r\n"
      "Content-Length: 2\r\n\r\nab", WSB_ERROR, 0, 201, "" },
    { "no number", "HTTP/1.1 201 Created\r\nContent-Length: -1\r\n\r\n",
      WSB_ERROR, 0, 201, "" },
    { "a long number", "HTTP/1.1 201 Created\r\n"
      "Content-Length: 99999999999999999999\r\n\r\n", WSB_ERROR, 0, 201, "" },
    { "another coding", "HTTP/1.1 201 Created\r\nTransfer-Encoding: gzip\r\n"
      "\r\n", WSB_ERROR, 0, 201, "" },
};


static void
test_cases(void)
{
    size_t          i, n, k, all;
    wsb_rc_t        rc;
    const uint8_t  *p;
    wsb_response_t  res;
    static const size_t  pieces[] = { 100000, 1, 2, 7 };

    for (i = 0; i < len(cases); i++) {
        for (n = 0; n < len(pieces); n++) {
            memset(&res, 0, sizeof(res));
            res.max_body = 1000;
            p = (const uint8_t *) cases[i].bytes;
            all = strlen(cases[i].bytes);
            rc = WSB_AGAIN;

            for (k = 0; k < all; k += pieces[n]) {
                rc = wsb_response_feed(&res, p + k, all - k < pieces[n]
                                                    ? all - k : pieces[n]);
            }

            ok(rc == cases[i].rc, "%s, %zu", cases[i].what, pieces[n]);
            is_uint(res.status, cases[i].status, "status");
            is_bytes(res.body.len ? (char *) res.body.data : "", res.body.len,
                     cases[i].body, "body");
            ok(wsb_response_closed(&res) == cases[i].closed, "closed");

            if (strcmp(cases[i].what, "others first") == 0) {
                is_bytes(res.location.data, res.location.len, "/yes",
                         "the right Location");
            }

            wsb_response_done(&res);
        }
    }
}


static void
test_limits(void)
{
    char            line[1024];
    int             i;
    wsb_rc_t        rc;
    wsb_response_t  res;

    static const char  head[] = "HTTP/1.1 201 C\r\nContent-Encoding: gzip\r\n"
                                "Content-Length: 8\r\n\r\n1234";

    memset(&res, 0, sizeof(res));
    res.max_body = 7;
    rc = wsb_response_feed(&res, (const uint8_t *) head, sizeof(head) - 1);
    ok(rc == WSB_AGAIN && !res.lost, "half of it");
    rc = wsb_response_feed(&res, (const uint8_t *) "5678", 4);
    ok(rc == WSB_OK && res.lost && res.body.len == 0,
       "too much is not kept, but counted");
    is_bytes(res.encoding.data, res.encoding.len, "gzip", "encoding");
    wsb_response_done(&res);

    memset(&res, 0, sizeof(res));
    memset(line, 'a', sizeof(line));
    memcpy(line, "X:", 2);
    line[sizeof(line) - 1] = '\n';
    rc = wsb_response_feed(&res, (const uint8_t *) head, 16);

    for (i = 0; rc == WSB_AGAIN && i < 100; i++) {
        rc = wsb_response_feed(&res, (const uint8_t *) line, sizeof(line));
    }

    ok(rc == WSB_ERROR && i == 64, "a header has an end");
    wsb_response_done(&res);
}


int
main(void)
{
    test_cases();
    test_limits();

    return tap_done();
}
