/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "alloc.h"
#include "ws/wsb_deflate.c"
#include "ws/wsb_inflate.c"
#include "ws/wsb_zlib.c"
#include "ws/wsb_reader.c"
#include "wire.h"


#define D       0x40        /* RSV1: compressed */

#define HELLO   "\xf2\x48\xcd\xc9\xc9\x07\x00"


static case_t  messages[] = {

    /* RFC 7692, section 7.2.3 */

    { "7.2.3.1 a message", "text Hello", { F(T | D, HELLO) } },
    { "7.2.3.1 in two fragments", "text Hello",
      { F(T0 | D, "\xf2\x48\xcd"), F(C1, "\xc9\xc9\x07\x00") } },
    { "7.2.3.2 a context that was kept", "text Hello|!1007",
      { F(T | D, HELLO), F(T | D, "\xf2\x00\x11\x00\x00") } },
    { "7.2.3.3 no compression", "text Hello",
      { F(T | D, "\x00\x05\x00\xfa\xffHello\x00") } },
    { "7.2.3.4 a final block", "text Hello",
      { F(T | D, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00") } },
    { "7.2.3.5 two blocks", "text Hello",
      { F(T | D, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00") } },
    { "7.2.3.6 empty", "text ", { F(T | D, "\x00") } },

    /* what may be said otherwise */

    { "the same twice", "text Hello|text Hello",
      { F(T | D, HELLO), F(T | D, HELLO) } },
    { "binary", "binary Hello", { F(B | D, HELLO) } },
    { "one of the two is compressed", "text Hello|text Hello|binary x",
      { F(T | D, HELLO), F(T, "Hello"), F(B, "x") } },
    { "compressed, a byte each", "text Hello",
      { F(T0 | D, "\xf2"), F(C0, "\x48"), F(C0, ""), F(C0, "\xcd"),
        F(C0, "\xc9"), F(C0, "\xc9"), F(C0, "\x07"), F(C1, "\x00") } },
    { "a ping between", "ping <ff>|text Hello",
      { F(T0 | D, "\xf2\x48\xcd"), F(PING, "\xff"),
        F(C1, "\xc9\xc9\x07\x00") } },
    { "fragmented and not compressed", "text ab|text Hello",
      { F(T0, "a"), F(C1, "b"), F(T | D, HELLO) } },
    { "nothing at all", "text |text a", { F(T | D, ""), F(T, "a") } },
    { "nothing in fragments", "text ", { F(T0 | D, ""), F(C1, "") } },
    { "a final block and nothing", "text Hello",
      { F(T | D, "\xf3\x48\xcd\xc9\xc9\x07\x00") } },
    { "two final blocks", "text HelloHello",
      { F(T | D, "\xf3\x48\xcd\xc9\xc9\x07\x00"
                 "\xf3\x48\xcd\xc9\xc9\x07\x00\x00") } },
    { "a final stored block without its tail", "text ",
      { F(T | D, "\x01") } },
    { "the tail was not removed", "text Hello",
      { F(T | D, HELLO "\x00\x00\xff\xff\x00") } },
    { "text", "text <c3><bc>",
      { F(T | D, "\x00\x02\x00\xfd\xff\xc3\xbc\x00") } },
    { "text that a block's end divides", "text <c3><bc>",
      { F(T | D, "\x00\x01\x00\xfe\xff\xc3\x00\x01\x00\xfe\xff\xbc\x00") } },

    /* RSV1 */

    { "RSV1 on a continuation", "!1002",
      { F(T0 | D, "\xf2\x48\xcd"), F(C1 | D, "\xc9\xc9\x07\x00") } },
    { "RSV1 on a ping", "!1002", { F(PING | D, HELLO) } },
    { "RSV1 on a pong", "!1002", { F(PONG | D, "") } },
    { "RSV1 on a close", "!1002", { F(CLOSE | D, "\x03\xe8") } },
    { "RSV1 and RSV2", "!1002", { F(T | D | 0x20, HELLO) } },
    { "RSV1 and RSV3", "!1002", { F(T | D | 0x10, HELLO) } },

    /* data that is none */

    { "a reserved block type", "!1007", { F(T | D, "\x06\x00") } },
    { "stored, its length is wrong", "!1007",
      { F(T | D, "\x00\x05\x00\xfa\xfeHello\x00") } },
    { "incomplete in a code", "!1007", { F(T | D, "\xf2\x48\xcd") } },
    { "incomplete in a stored block", "!1007",
      { F(T | D, "\x00\x50\x00\xaf\xffHello") } },
    { "incomplete: a final block that the tail ends", "!1007",
      { F(T | D, "\x03") } },
    { "a byte of the tail is missing", "!1007",
      { F(T | D, "\xf2\x48\xcd\xc9\xc9\x07") } },
    { "a reference before the start", "!1007",
      { F(B | D, "\xf2\x00\x11\x00\x00") } },
    { "text that is not UTF-8", "!1007",
      { F(T | D, "\x00\x02\x00\xfd\xff\xc3\x28\x00") } },
    { "text that ends inside of a character", "!1007",
      { F(T | D, "\x00\x01\x00\xfe\xff\xc3\x00") } },
    { "binary that is not UTF-8", "binary <c3>(",
      { F(B | D, "\x00\x02\x00\xfd\xff\xc3\x28\x00") } },
    { "bad data, then a message", "!1007",
      { F(T | D, "\x06\x00"), F(T, "a") } },
};


static uint32_t  seed = 1;

static uint8_t
noise(void)
{
    seed = seed * 1103515245 + 12345;

    return seed >> 16;
}


/* The kinds of bodies that compression behaves differently for. */

#define KINDS   6

static void
fill(uint8_t *p, size_t len, unsigned kind)
{
    size_t  i, n;

    static const char  text[] = "{\"type\":\"order.updated\",\"data\":{\"id\":";

    for (i = 0; i < len; i++) {

        switch (kind) {

        case 0:
            p[i] = noise();
            break;

        case 1:
            p[i] = '*';
            break;

        case 2:
            n = sizeof(text) - 1;
            p[i] = i % 53 < n ? text[i % 53] : '0' + noise() % 10;
            break;

        case 3:
            /* what comes again is 5,000 behind */
            p[i] = i < 5000 ? noise() : p[i - 5000];
            break;

        case 4:
            /* 250 to 262 behind: at the edge of the smallest window */
            p[i] = i < 300 ? noise() : p[i - 250 - (i / 1000) % 13];
            break;

        default:
            p[i] = noise() & 3;
        }
    }
}


/*
 * What a receiver with so large a window makes of a payload; byte by byte, so
 * that everything that is referred to has to be in its window.
 */

static int
same_in_window(const uint8_t *p, size_t len, unsigned bits,
    const uint8_t *want, size_t nwant)
{
    int       rc;
    size_t    i, n;
    uint8_t  *in, c;
    z_stream  z;

    in = malloc(len + 4);
    memcpy(in, p, len);
    memcpy(in + len, "\0\0\xff\xff", 4);

    memset(&z, 0, sizeof(z));
    inflateInit2(&z, -(int) bits);
    z.next_in = in;
    z.avail_in = len + 4;

    for (i = 0; ; i += n) {
        z.next_out = &c;
        z.avail_out = 1;
        rc = inflate(&z, Z_SYNC_FLUSH);
        n = 1 - z.avail_out;

        if (rc != Z_OK || n == 0) {
            break;
        }

        if (i == nwant || c != want[i]) {
            break;
        }
    }

    inflateEnd(&z);
    free(in);

    return i == nwant && n == 0 && z.avail_in == 0
           && (rc == Z_OK || rc == Z_BUF_ERROR);
}


/*
 * A prefix in a stored block and a body, which all who have the same window
 * share, are the message, for every level and window.
 */

static void
test_windows(void)
{
    size_t          i, len, size, n, bad, worst;
    uint8_t        *body, *out, *message;
    unsigned        bits, level, kind;
    wsb_rc_t        rc;
    wsb_str_t       s;
    wsb_deflate_t  *d;

    static const char    prefix[] = "{\"sub\":\"12\",\"event\":";
    static const size_t  lens[] = { 0, 1, 2, 3, 20, 255, 256, 257, 511, 512,
                                    513, 1000, 5300, 40000, 70000 };

    body = malloc(70000);
    message = malloc(70000 + sizeof(prefix));

    for (bits = 8; bits <= 15; bits++) {
        for (level = 1; level <= 9; level += bits == 8 ? 1 : 4) {
            d = wsb_deflate_create(level, bits);
            bad = 0;
            worst = 0;

            for (i = 0; i < KINDS * sizeof(lens) / sizeof(lens[0]); i++) {
                kind = i % KINDS;
                len = lens[i / KINDS];
                fill(body, len, kind);

                n = sizeof(prefix) - 1;
                memcpy(message, prefix, n);
                memcpy(message + n, body, len);

                size = wsb_deflate_bound(d, len);
                out = malloc(WSB_DEFLATE_STORED_HEADER + n + size);

                wsb_deflate_stored(out, n);
                memcpy(out + WSB_DEFLATE_STORED_HEADER, prefix, n);

                s.data = body;
                s.len = len;
                rc = wsb_deflate(d, s, out + WSB_DEFLATE_STORED_HEADER + n,
                                 &size);

                bad += rc != WSB_OK;
                bad += !same_in_window(out, WSB_DEFLATE_STORED_HEADER + n
                                            + size, bits, message, n + len);

                if (kind == 2 && len == 5300) {
                    worst = size;
                }

                free(out);
            }

            is_uint(bad, 0, "window of %u, level %u, %zu of 5300 bytes",
                    bits, level, worst);
            wsb_deflate_destroy(d);
        }
    }

    free(body);
    free(message);
    is_uint(live, 0, "and all is freed");
}


/* A body that is shorter than a window needs no larger one. */

static void
test_shared_window(void)
{
    size_t          i, size, bad;
    uint8_t         body[4097], out[8192];
    unsigned        kind, bits;
    wsb_str_t       s;
    wsb_deflate_t  *d;

    static const struct {
        size_t    len;
        unsigned  bits, want;
    } cases[] = {
        { 0, 15, 8 }, { 1, 15, 8 }, { 256, 15, 8 }, { 257, 15, 9 },
        { 512, 15, 9 }, { 513, 15, 10 }, { 4096, 15, 12 }, { 4097, 15, 13 },
        { 4097, 12, 12 }, { 4097, 8, 8 }, { 16384, 15, 14 },
        { 16385, 15, 15 }, { 1 << 30, 15, 15 }, { SIZE_MAX, 15, 15 },
        { SIZE_MAX, 9, 9 }, { 1, 8, 8 }
    };

    d = wsb_deflate_create(9, 15);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bits = wsb_deflate_window(cases[i].len, cases[i].bits);
        is_uint(bits, cases[i].want, "%zu bytes with %u bits", cases[i].len,
                cases[i].bits);

        if (cases[i].len > sizeof(body) || cases[i].bits != 15) {
            continue;
        }

        bad = 0;

        for (kind = 0; kind < KINDS; kind++) {
            fill(body, cases[i].len, kind);
            s.data = body;
            s.len = cases[i].len;
            size = sizeof(out);
            bad += wsb_deflate(d, s, out, &size) != WSB_OK;
            bad += !same_in_window(out, size, bits, body, s.len);
        }

        is_uint(bad, 0, "and it is enough");
    }

    wsb_deflate_destroy(d);
}


static void
test_room(void)
{
    size_t          size, need, bad;
    uint8_t         body[600], out[1024];
    unsigned        bits;
    wsb_str_t       s = { sizeof(body), body };
    wsb_deflate_t  *d;

    for (bits = 8; bits <= 9; bits++) {
        d = wsb_deflate_create(6, bits);
        fill(body, sizeof(body), 2);

        need = sizeof(out);
        wsb_deflate(d, s, out, &need);
        bad = 0;

        for (size = 0; size < need + WSB_ZLIB_TAIL; size++) {
            memset(out, 0xee, sizeof(out));
            bad += wsb_deflate(d, s, out, &size) != WSB_FULL;
            bad += out[size] != 0xee;
        }

        is_uint(bad, 0, "no room, window of %u", bits);

        size = need + WSB_ZLIB_TAIL + 1;
        is_uint(wsb_deflate(d, s, out, &size), WSB_OK, "just enough");
        is_uint(size, need, "which is the same");

        fill(body, sizeof(body), 0);
        size = sizeof(body);
        is_uint(wsb_deflate(d, s, out, &size), WSB_FULL, "it does not pay");

        wsb_deflate_destroy(d);
    }
}


/* A compressed frame of what deflate makes of it. */

static size_t
wire_deflated(wire_t *w, const uint8_t *p, size_t len, unsigned level,
    size_t fragment)
{
    size_t          size, sent, n;
    uint8_t        *out;
    wsb_str_t       s = { len, p };
    wsb_deflate_t  *d;

    d = wsb_deflate_create(level, 15);
    size = wsb_deflate_bound(d, len);
    out = malloc(size);
    wsb_deflate(d, s, out, &size);

    for (sent = 0; sent < size; sent += n) {
        n = size - sent < fragment ? size - sent : fragment;
        wire_frame(w, (sent == 0 ? B0 | D : C0)
                      | (sent + n == size ? 0x80 : 0), out + sent, n, 1);
    }

    wsb_deflate_destroy(d);
    free(out);

    return size;
}


static void
test_bombs(wsb_inflate_t *z)
{
    log_t              log;
    size_t             i, len, sent;
    wire_t             w;
    uint8_t           *data;
    wsb_reader_conf_t  conf = { 1 << 20, z };

    len = 64 << 20;
    data = malloc(len);
    memset(data, '*', len);

    memset(&w, 0, sizeof(w));
    sent = wire_deflated(&w, data, len, 9, len);
    largest = 0;
    deliver(&conf, &w, 0, 16384, &log);
    is_bytes(log.text, log.len, "!1009", "64 MB in %zu bytes", sent);
    ok(largest <= (1 << 20) + 1, "are not inflated beyond the limit");
    free(w.data);

    static const struct {
        size_t       len;
        const char  *want;
    } cases[] = {
        { (1 << 20) - 1, "binary *1048575" },
        { 1 << 20, "binary *1048576" },
        { (1 << 20) + 1, "!1009" },
        { (1 << 20) + 2, "!1009" },
        { 2 << 20, "!1009" },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&w, 0, sizeof(w));
        wire_deflated(&w, data, cases[i].len, 1 + i, 4096);
        deliver(&conf, &w, 0, 1000, &log);
        is_bytes(log.text, log.len, cases[i].want, "%zu bytes",
                 cases[i].len);
        free(w.data);
    }

    conf.max_message = 0;
    memset(&w, 0, sizeof(w));
    wire_deflated(&w, data, 0, 1, 4096);
    wire_deflated(&w, data, 1, 1, 4096);
    check("a limit of nothing", &conf, &w, "binary |!1009");
    free(w.data);

    /* payload beyond everything that a legal message could have */

    conf.max_message = 1000;
    memset(&w, 0, sizeof(w));
    wire_frame(&w, B | D, "\0\0\0\xff\xff", 5, 1000);
    check("too big before it is inflated", &conf, &w, "!1009");
    free(w.data);

    memset(&w, 0, sizeof(w));

    for (i = 0; i < 1000; i++) {
        wire_frame(&w, i ? C0 : B0 | D, "\0\0\0\xff\xff", 5, 1);
    }

    largest = 0;
    check("so in fragments", &conf, &w, "!1009");
    ok(largest <= wsb_inflate_payload_max(1000), "bounded");
    free(w.data);
    free(data);
}


/* Autobahn 12: all kinds of data up to the limit, in all ways. */

static void
test_sizes(wsb_inflate_t *z)
{
    size_t             i, j, len, bad;
    wire_t             w;
    uint8_t           *data, *pos, *end;
    wsb_rc_t           rc;
    wsb_reader_t       rd;
    wsb_message_t      msg;
    wsb_reader_conf_t  conf = { 1 << 20, z };

    static const size_t  lens[] = { 0, 16, 64, 256, 1024, 4096, 8192, 16384,
                                    32768, 65536, 131072, 1 << 20 };
    static const size_t  chops[] = { 16 << 20, 65536, 1433 };

    data = malloc(1 << 20);

    for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        len = lens[i];
        bad = 0;

        for (j = 0; j < KINDS * 3; j++) {
            memset(&rd, 0, sizeof(rd));
            memset(&w, 0, sizeof(w));
            rd.deflate = 1;
            fill(data, len, j / 3);
            wire_deflated(&w, data, len, 1 + j % 9, 10 + len / (1 + j));

            pos = w.data;

            do {
                end = w.data + w.len;

                if ((size_t) (end - pos) > chops[j % 3]) {
                    end = pos + chops[j % 3];
                }

                rc = wsb_reader_next(&rd, &conf, &pos, end, &msg);
            } while (rc == WSB_AGAIN && pos != w.data + w.len);

            bad += rc != WSB_OK || msg.opcode != WSB_FRAME_BINARY
                   || msg.len != len || memcmp(msg.data, data, len) != 0;

            wsb_reader_done(&rd);
            free(w.data);
        }

        is_uint(bad, 0, "12 messages of %zu", len);
    }

    free(data);
}


/* What was collected is gone when the message is handed out. */

static void
test_memory(wsb_inflate_t *z)
{
    size_t             before;
    wire_t             w;
    uint8_t           *pos, data[4096];
    wsb_rc_t           rc;
    wsb_reader_t       rd;
    wsb_message_t      msg;
    wsb_reader_conf_t  conf = { 1 << 20, z };

    memset(&rd, 0, sizeof(rd));
    memset(&w, 0, sizeof(w));
    rd.deflate = 1;
    fill(data, sizeof(data), 0);
    wire_deflated(&w, data, sizeof(data), 6, 1000);
    before = live;

    pos = w.data;
    rc = wsb_reader_next(&rd, &conf, &pos, w.data + w.len - 1, &msg);
    ok(rc == WSB_AGAIN && live == before + 1, "one buffer collects");

    rc = wsb_reader_next(&rd, &conf, &pos, w.data + w.len, &msg);
    ok(rc == WSB_OK && msg.len == sizeof(data) && live == before + 1
       && msg.data == rd.buf,
       "one buffer is handed out");

    rc = wsb_reader_next(&rd, &conf, &pos, w.data + w.len, &msg);
    ok(rc == WSB_AGAIN && live == before && rd.buf == NULL,
       "nothing is left");

    wsb_reader_done(&rd);
    free(w.data);
}


static void
test_not_negotiated(wsb_inflate_t *z)
{
    wire_t             w;
    uint8_t           *pos;
    wsb_rc_t           rc;
    wsb_reader_t       rd;
    wsb_message_t      msg;
    wsb_reader_conf_t  conf = { 1000, z }, none = { 1000, NULL };

    memset(&w, 0, sizeof(w));
    wire_frame(&w, T | D, HELLO, 7, 1);

    memset(&rd, 0, sizeof(rd));
    pos = w.data;
    rc = wsb_reader_next(&rd, &conf, &pos, w.data + 1, &msg);
    ok(rc == WSB_ERROR && rd.close_code == 1002, "RSV1, not negotiated");

    memset(&rd, 0, sizeof(rd));
    rd.deflate = 1;
    pos = w.data;
    rc = wsb_reader_next(&rd, &none, &pos, w.data + 1, &msg);
    ok(rc == WSB_ERROR && rd.close_code == 1002, "RSV1, no inflate");

    free(w.data);
}


/* Fails each allocation in turn, and goes on with the same streams. */

static void
test_nomem(wsb_inflate_t *z)
{
    log_t              log;
    size_t             i, n;
    wire_t             w;
    uint8_t           *data;
    wsb_inflate_t     *fresh;
    wsb_reader_conf_t  conf = { 1 << 20, z };

    data = malloc(300000);
    memset(data, '*', 300000);
    memset(&w, 0, sizeof(w));
    wire_deflated(&w, data, 300000, 6, 100);

    calls = 0;
    deliver(&conf, &w, 0, 50, &log);
    n = calls;

    for (i = 1; i <= n; i++) {
        calls = 0;
        fail_at = i;
        deliver(&conf, &w, 0, 50, &log);
        is_bytes(log.text, log.len, "nomem", "allocation %zu of %zu", i, n);

        deliver(&conf, &w, 0, 50, &log);
        is_bytes(log.text, log.len, "binary *300000", "and then");
    }

    /* zlib's window, which is allocated with the first message, and kept */

    for (i = 1; i < 100; i++) {
        fail_at = 0;
        fresh = wsb_inflate_create();
        conf.inflate = fresh;
        calls = 0;
        fail_at = i;
        deliver(&conf, &w, 0, 50, &log);
        wsb_inflate_destroy(fresh);

        if (strncmp(log.text, "binary *300000", 14) == 0) {
            break;
        }

        ok(strncmp(log.text, "nomem", 5) == 0, "allocation %zu, first time",
           i);
    }

    ok(i > n && i < 100, "all of %zu", i - 1);
    fail_at = 0;

    free(w.data);
    free(data);
}


static void
test_create_nomem(void)
{
    size_t          i, before;
    wsb_inflate_t  *z;
    wsb_deflate_t  *d;

    before = live;

    for (i = 1; /* void */ ; i++) {
        calls = 0;
        fail_at = i;
        z = wsb_inflate_create();

        if (z != NULL) {
            break;
        }

        is_uint(live, before, "inflate: allocation %zu fails", i);
    }

    wsb_inflate_destroy(z);

    for (i = 1; /* void */ ; i++) {
        calls = 0;
        fail_at = i;
        d = wsb_deflate_create(6, 15);

        if (d != NULL) {
            break;
        }

        is_uint(live, before, "deflate: allocation %zu fails", i);
    }

    fail_at = 0;
    wsb_deflate_destroy(d);
    wsb_inflate_destroy(NULL);
    wsb_deflate_destroy(NULL);

    is_uint(live, before, "all is freed");
}


int
main(void)
{
    wsb_str_t           hello = { sizeof(HELLO) - 1,
                                  (const uint8_t *) HELLO };
    wsb_inflate_t      *z;
    wsb_inflated_t      out;
    wsb_reader_conf_t   conf = { 131072, NULL };

    z = wsb_inflate_create();
    conf.inflate = z;

    /* zlib allocates its window when it is first needed, and keeps it */

    ok(wsb_inflate(z, hello, 5, 1, &out) == WSB_OK && out.len == 5
       && memcmp(out.data, "Hello", 5) == 0,
       "inflate by itself");
    test_free(out.data);

    test_cases(messages, sizeof(messages) / sizeof(messages[0]), &conf);
    test_bombs(z);
    test_sizes(z);
    test_memory(z);
    test_not_negotiated(z);
    test_nomem(z);
    test_create_nomem();

    wsb_inflate_destroy(z);

    test_windows();
    test_shared_window();
    test_room();

    return tap_done();
}
