/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The Autobahn categories as far as a reader can show them.  Each case is
 * delivered whole, byte by byte and at every split, and must give the same.
 */

#include "alloc.h"
#include "ws/wsb_reader.c"
#include "wire.h"


static case_t  framing[] = {
    { "1.1.1 empty text", "text ", { F(T, "") } },
    { "1.1.2 text of 125", "text *125", { R(T, "*", 125) } },
    { "1.1.3 text of 126", "text *126", { R(T, "*", 126) } },
    { "1.1.4 text of 127", "text *127", { R(T, "*", 127) } },
    { "1.1.5 text of 128", "text *128", { R(T, "*", 128) } },
    { "1.1.6 text of 65535", "text *65535", { R(T, "*", 65535) } },
    { "1.1.7 text of 65536", "text *65536", { R(T, "*", 65536) } },
    { "1.2.1 empty binary", "binary ", { F(B, "") } },
    { "1.2.2 binary of 125", "binary *125", { R(B, "*", 125) } },
    { "1.2.6 binary of 65535", "binary *65535", { R(B, "*", 65535) } },
    { "1.2.7 binary of 65536", "binary *65536", { R(B, "*", 65536) } },
    { "two messages", "text one|binary two", { F(T, "one"), F(B, "two") } },
    { "binary that is not UTF-8", "binary <ff><c3>", { F(B, "\xff\xc3") } },

    { "2.1 empty ping", "ping ", { F(PING, "") } },
    { "2.2 ping with payload", "ping Hello", { F(PING, "Hello") } },
    { "2.3 binary ping", "ping <00><ff><fe>", { F(PING, "\0\xff\xfe") } },
    { "2.4 ping of 125", "ping *125", { R(PING, "*", 125) } },
    { "2.5 ping of 126", "!1002", { R(PING, "*", 126) } },
    { "2.7 unsolicited pong", "pong ", { F(PONG, "") } },
    { "2.8 pong with payload", "pong x", { F(PONG, "x") } },
    { "2.9 pong, ping", "pong x|ping y", { F(PONG, "x"), F(PING, "y") } },
    { "2.10 pings", "ping 0|ping 1|ping 2|ping 3|ping 4",
      { F(PING, "0"), F(PING, "1"), F(PING, "2"), F(PING, "3"),
        F(PING, "4") } },
    { "pong of 126", "!1002", { R(PONG, "*", 126) } },
    { "ping with a 16-bit length of 5", "!1002",
      { RAW("\x89\xfe\0\x05" Z "Hello") } },
    { "ping with a 64-bit length of 5", "!1002",
      { RAW("\x89\xff\0\0\0\0\0\0\0\x05" Z "Hello") } },

    { "3.1 RSV 1", "!1002", { F(T | 0x40, "Hello") } },
    { "3.2 RSV 2 after a text", "text Hello|!1002",
      { F(T, "Hello"), F(T | 0x20, "Hello"), F(PING, "") } },
    { "3.3 RSV 3", "text Hello|!1002", { F(T, "Hello"), F(T | 0x30, "x") } },
    { "3.4 RSV 4", "text Hello|!1002", { F(T, "Hello"), F(T | 0x10, "x") } },
    { "3.5 RSV 5 on binary", "!1002", { F(B | 0x50, "Hello") } },
    { "3.6 RSV 6 on ping", "!1002", { F(PING | 0x60, "Hello") } },
    { "3.7 RSV 7 on close", "!1002", { F(CLOSE | 0x70, "") } },
    { "RSV 1 on ping", "!1002", { F(PING | 0x40, "") } },
    { "RSV 1 on continuation", "!1002", { F(T0, "a"), F(C1 | 0x40, "b") } },

    { "4.1.1 opcode 3", "!1002", { F(0x83, "") } },
    { "4.1.2 opcode 4", "!1002", { F(0x84, "x") } },
    { "4.1.3 opcode 5", "text a|!1002", { F(T, "a"), F(0x85, "") } },
    { "4.1.4 opcode 6", "text a|!1002", { F(T, "a"), F(0x86, "x") } },
    { "4.1.5 opcode 7", "text a|!1002", { F(T, "a"), F(0x87, "x") } },
    { "4.2.1 opcode 11", "!1002", { F(0x8b, "") } },
    { "4.2.2 opcode 12", "!1002", { F(0x8c, "x") } },
    { "4.2.3 opcode 13", "text a|!1002", { F(T, "a"), F(0x8d, "") } },
    { "4.2.4 opcode 14", "text a|!1002", { F(T, "a"), F(0x8e, "x") } },
    { "4.2.5 opcode 15", "text a|!1002", { F(T, "a"), F(0x8f, "x") } },
    { "opcode 3, not final", "!1002", { F(0x03, "") } },

    { "unmasked text", "!1002", { RAW("\x81\x05Hello") } },
    { "unmasked empty ping", "!1002", { RAW("\x89\0") } },
    { "unmasked close", "!1002", { RAW("\x88\x02\x03\xe8") } },
    { "unmasked with a length too big", "!1002", { RAW("\x82\x7f") } },
    { "zero mask", "text Hello", { RAW("\x81\x85" Z "Hello") } },

    { "16-bit length of 125", "!1002", { RAW("\x82\xfe\0\x7d") } },
    { "16-bit length of 0", "!1002", { RAW("\x82\xfe\0\0") } },
    { "64-bit length of 65535", "!1002",
      { RAW("\x82\xff\0\0\0\0\0\0\xff\xff") } },
    { "64-bit length of 1", "!1002",
      { RAW("\x82\xff\0\0\0\0\0\0\0\1" Z "x") } },
    { "64-bit length, top bit", "!1002",
      { RAW("\x82\xff\x80\0\0\0\0\0\0\1" Z) } },
    { "64-bit length, all bits", "!1002",
      { RAW("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" Z) } },
    { "64-bit length, all but the top bit", "!1009",
      { RAW("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" Z) } },
};


static case_t  fragments[] = {
    { "5.1 fragmented ping", "!1002", { F(0x09, "a"), F(C1, "b") } },
    { "5.2 fragmented pong", "!1002", { F(0x0a, "a"), F(C1, "b") } },
    { "fragmented close", "!1002", { F(0x08, ""), F(C1, "") } },
    { "5.3 text in two", "text fragment1fragment2",
      { F(T0, "fragment1"), F(C1, "fragment2") } },
    { "5.6 ping between", "ping ping|text ab",
      { F(T0, "a"), F(PING, "ping"), F(C1, "b") } },
    { "close between", "close 1000 |text ab",
      { F(T0, "a"), F(CLOSE, "\x03\xe8"), F(C1, "b") } },
    { "5.9 continuation first, final", "!1002",
      { F(C1, "x"), F(T, "Hello") } },
    { "5.12 continuation first", "!1002", { F(C0, "x"), F(T, "Hello") } },
    { "continuation after a whole message", "text a|!1002",
      { F(T, "a"), F(C1, "b") } },
    { "5.15 continuation after a fragmented one", "text ab|!1002",
      { F(T0, "a"), F(C1, "b"), F(C0, "c"), F(T, "d") } },
    { "5.16 continuations and texts", "!1002",
      { F(C0, "a"), F(T0, "b"), F(C1, "c") } },
    { "5.18 text inside of a text", "!1002", { F(T0, "a"), F(T, "b") } },
    { "binary inside of a text", "!1002", { F(T0, "a"), F(B0, "b") } },
    { "text inside of a binary", "!1002", { F(B0, ""), F(T, "") } },
    { "5.19 five with pings",
      "ping p1|ping p2|text 12345",
      { F(T0, "1"), F(C0, "2"), F(PING, "p1"), F(C0, "3"), F(C0, "4"),
        F(PING, "p2"), F(C1, "5") } },
    { "6.1.1 empty text", "text ", { F(T, "") } },
    { "6.1.2 empty fragments", "text ", { F(T0, ""), F(C0, ""), F(C1, "") } },
    { "6.1.3 one that is not empty", "text middle",
      { F(T0, ""), F(C0, "middle"), F(C1, "") } },
    { "only the last one is not empty", "text last",
      { F(T0, ""), F(C0, ""), F(C1, "last") } },
    { "binary in three", "binary <00><ff>x",
      { F(B0, "\0"), F(C0, "\xff"), F(C1, "x") } },
    { "a fragmented one, then a whole one", "text ab|text c|binary de",
      { F(T0, "a"), F(C1, "b"), F(T, "c"), F(B0, "d"), F(C1, "e") } },
    { "two sizes of length", "text *70200",
      { R(T0, "*", 200), R(C0, "*", 70000), F(C1, "") } },
    { "1009 in the second frame", "!1009",
      { R(B0, "*", 100000), R(C1, "*", 31073) } },
    { "exactly the limit", "binary *131072",
      { R(B0, "*", 100000), R(C1, "*", 31072) } },
    { "a ping at the limit", "ping x|binary *131072",
      { R(B0, "*", 131072), F(PING, "x"), F(C1, "") } },
    { "1009 at the limit", "ping x|!1009",
      { R(B0, "*", 131072), F(PING, "x"), F(C0, ""), F(C1, "x") } },
    { "1009 at once", "!1009", { R(B, "*", 131073) } },
};


#define KOSME   "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
#define KOSME_  "<ce><ba><e1><bd><b9><cf><83><ce><bc><ce><b5>"

static case_t  utf8[] = {
    { "6.2.1 valid", "text <c2><b5>@", { F(T, "\xc2\xb5@") } },
    { "6.2.2 valid, split between", "text " KOSME_,
      { F(T0, "\xce\xba"), F(C1, "\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5") } },
    { "6.2.3 valid, a byte each", "text <f4><8f><bf><bf>",
      { F(T0, "\xf4"), F(C0, "\x8f"), F(C0, "\xbf"), F(C1, "\xbf") } },
    { "valid, with empty fragments inside", "text <c2><b5>",
      { F(T0, "\xc2"), F(C0, ""), F(C1, "\xb5"), } },
    { "a ping inside of a character", "ping <ff>|text <c2><b5>",
      { F(T0, "\xc2"), F(PING, "\xff"), F(C1, "\xb5"), } },
    { "6.3.1 invalid in one frame", "!1007",
      { F(T, KOSME "\xed\xa0\x80" "edited") } },
    { "6.3.2 invalid, a byte each", "!1007",
      { F(T0, "\xed"), F(C0, "\xa0"), F(C0, "\x80"), F(C1, "e") } },
    { "6.4.1 invalid in the second frame", "!1007",
      { F(T0, KOSME), F(C0, "\xf4\x90\x80\x80"), F(C1, "edited") } },
    { "6.4.2 invalid at a frame's end", "!1007",
      { F(T0, KOSME "\xf4"), F(C0, "\x90"), F(C1, "") } },
    { "invalid before a ping", "!1007",
      { F(T0, "\xff"), F(PING, ""), F(C1, "") } },
    { "incomplete in one frame", "!1007", { F(T, "a\xc3") } },
    { "incomplete in fragments", "!1007", { F(T0, "a\xc3"), F(C1, "") } },
    { "incomplete, then a message", "!1007",
      { F(T0, "\xc3"), F(C1, ""), F(T, "\xb5") } },
    { "the state is not that of the last message", "text <c2><b5>|text a",
      { F(T, "\xc2\xb5"), F(T, "a") } },
    { "6.5 with NULs", "text <00>a<00>", { F(T, "\0a\0") } },
};


static case_t  closing[] = {
    { "7.3.1 empty", "close 1005 ", { F(CLOSE, "") } },
    { "7.3.2 half a code", "!1002", { F(CLOSE, "a") } },
    { "7.3.3 code", "close 1000 ", { F(CLOSE, "\x03\xe8") } },
    { "7.3.4 reason", "close 1000 Hello", { F(CLOSE, "\x03\xe8Hello") } },
    { "7.3.5 reason of 123", "close 1000 *123",
      { RAW("\x88\xfd" Z "\x03\xe8"
            "****************************************"
            "****************************************"
            "****************************************" "***") } },
    { "7.3.6 reason of 124", "!1002", { R(CLOSE, "**", 63) } },
    { "7.5.1 reason is not UTF-8", "!1007",
      { F(CLOSE, "\x03\xe8" KOSME "\xed\xa0\x80" "edited") } },
    { "reason ends inside of a character", "!1007",
      { F(CLOSE, "\x03\xe8\xc2") } },
    { "reason is UTF-8", "close 1000 <c2><b5>",
      { F(CLOSE, "\x03\xe8\xc2\xb5") } },
    { "invalid code and reason", "!1002", { F(CLOSE, "\x03\xe7\xff") } },
    { "data after close", "close 1000 |text a",
      { F(CLOSE, "\x03\xe8"), F(T, "a") } },
};


/* Autobahn 7.7, 7.9 and 7.13: the codes. */

static void
test_codes(void)
{
    char                want[64], name[64];
    size_t              i;
    wire_t              w;
    uint8_t             p[2];
    wsb_reader_conf_t   conf = { 131072, NULL };

    static const struct {
        unsigned  low, high, valid;
    } codes[] = {
        { 0, 0, 0 }, { 1, 1, 0 }, { 999, 999, 0 }, { 1000, 1003, 1 },
        { 1004, 1006, 0 }, { 1007, 1014, 1 }, { 1015, 1016, 0 },
        { 1100, 1100, 0 }, { 2000, 2000, 0 }, { 2999, 2999, 0 },
        { 3000, 3001, 1 }, { 3999, 4000, 1 }, { 4999, 4999, 1 },
        { 5000, 5000, 0 }, { 65535, 65535, 0 }
    };
    unsigned            code;

    for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        for (code = codes[i].low; code <= codes[i].high; code++) {
            memset(&w, 0, sizeof(w));
            p[0] = code >> 8;
            p[1] = code;
            wire_frame(&w, CLOSE, p, 2, 1);

            snprintf(name, sizeof(name), "7.7, 7.9 code %u", code);
            snprintf(want, sizeof(want),
                     codes[i].valid ? "close %u " : "!1002", code);

            check(name, &conf, &w, want);
            free(w.data);
        }
    }
}


/* The error is there with the last of these bytes and not before. */

static void
test_fail_fast(void)
{
    log_t              log;
    size_t             i, j;
    wire_t             w;
    wsb_reader_t       rd;
    wsb_reader_conf_t  conf = { 100000, NULL };

    static const struct {
        const char  *name, *want;
        size_t       len;
        const char  *data;
    } cases[] = {
#define E(s)  sizeof(s) - 1, s
        { "reserved bit", "!1002", E("\xa1") },
        { "RSV1 without deflate", "!1002", E("\xc1") },
        { "reserved opcode", "!1002", E("\x83") },
        { "reserved control opcode", "!1002", E("\x8b") },
        { "fragmented control frame", "!1002", E("\x09") },
        { "continuation without a message", "!1002", E("\x80") },
        { "message inside of a message", "!1002", E("\x01\x80" Z "\x81") },
        { "unmasked", "!1002", E("\x81\x7f") },
        { "control frame of 126", "!1002", E("\x89\xfe") },
        { "control frame, 64-bit length", "!1002", E("\x89\xff") },
        { "close with half a code", "!1002", E("\x88\x81") },
        { "top bit of the length", "!1002", E("\x82\xff\x80") },
        { "16-bit length, too short", "!1002", E("\x82\xfe\0\x7d") },
        { "64-bit length, too short", "!1002", E("\x82\xff\0\0\0\0\0\0") },
        { "64-bit length, far too big", "!1009", E("\x82\xff\1") },
        { "64-bit length, too big", "!1009", E("\x82\xff\0\0\0\0\0\2") },
        { "64-bit length, one too big", "!1009",
          E("\x82\xff\0\0\0\0\0\1\x86\xa1") },
        { "the second frame makes it too big", "!1009",
          E("\x02\x81" Z "x" "\x80\xff\0\0\0\0\0\1\x86\xa0") },
        { "UTF-8 in the middle of a frame", "!1007",
          E("\x81\xfe\x01\0" Z "abc\xf4\x90") },
        { "UTF-8 at the end of a frame", "!1007",
          E("\x81\x82" Z "a\xc3") },
        { "close code in a longer close", "!1002", E("\x88\xfd" Z "\3\xe7") },
        { "close reason", "!1007", E("\x88\xfd" Z "\3\xe8\xff") },
#undef E
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&rd, 0, sizeof(rd));
        memset(&log, 0, sizeof(log));
        largest = 0;

        for (j = 0; j < cases[i].len; j++) {
            if (feed(&rd, &conf, (const uint8_t *) cases[i].data + j, 1, &log)
                != WSB_OK)
            {
                break;
            }
        }

        ok(j == cases[i].len - 1 && strcmp(log.text, cases[i].want) == 0,
           "at once: %s", cases[i].name);
        ok(live == 0 && largest <= WSB_READER_STEP,
           "and nothing is held or was announced: %s", cases[i].name);

        j = feed(&rd, &conf, (const uint8_t *) "\x81\x80" Z, 6, &log);
        is_uint(j, WSB_ERROR, "and it stays: %s", cases[i].name);

        wsb_reader_done(&rd);
        memset(&w, 0, sizeof(w));
        wire_add(&w, cases[i].data, cases[i].len);
        check(cases[i].name, &conf, &w, cases[i].want);
        free(w.data);
    }
}


/* Autobahn 9.1 to 9.8: up to 16 MB, in a frame, in fragments, in chops. */

static void
test_large(void)
{
    char               want[64], name[64];
    log_t              log;
    size_t             i, len, frame, sent, n;
    wire_t             w;
    uint8_t           *data;
    wsb_reader_conf_t  conf = { 16 << 20, NULL };

    static const struct {
        size_t  len, frame, chop;
    } cases[] = {
        { 65536, 65536, 65536 },
        { 1 << 20, 1 << 20, 1 << 20 },
        { 16 << 20, 16 << 20, 16 << 20 },
        { 16 << 20, 16 << 20, 65536 },
        { 16 << 20, 16 << 20, 4093 },
        { 4 << 20, 64, 65536 },
        { 4 << 20, 256, 65536 },
        { 4 << 20, 1024, 1024 },
        { 4 << 20, 4096, 97 },
        { 4 << 20, 65536, 64 },
        { 16 << 20, 1 << 20, 16384 },
        { 1 << 20, 1 << 20, 64 },
        { 1 << 20, 1 << 20, 1 },
        { (16 << 20) - 1, 4 << 20, 1 << 20 },
        { 16 << 20, 65535, 8192 },
    };

    data = malloc(16 << 20);
    memset(data, '*', 16 << 20);

    for (i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        len = cases[i / 2].len;
        frame = cases[i / 2].frame;
        memset(&w, 0, sizeof(w));

        for (sent = 0; sent < len; sent += n) {
            n = len - sent < frame ? len - sent : frame;
            wire_frame(&w, (sent == 0 ? 1 + i % 2 : 0)
                           | (sent + n == len ? 0x80 : 0),
                       data, n, 1);
        }

        largest = 0;
        calls = 0;
        deliver(&conf, &w, 0, cases[i / 2].chop, &log);

        snprintf(want, sizeof(want), "%s *%zu", i % 2 ? "binary" : "text",
                 len);
        snprintf(name, sizeof(name), "9 %s of %zu, frames of %zu, by %zu",
                 i % 2 ? "binary" : "text", len, frame, cases[i / 2].chop);

        is_bytes(log.text, log.len, want, "%s", name);
        ok(largest <= 16 << 20 && calls < 20,
           "buffer is within the limit, %zu allocations", calls);
        free(w.data);
    }

    free(data);
}


/* Autobahn 10.1, and 100,000 fragments of one byte. */

static void
test_tiny(void)
{
    log_t              log;
    size_t             i;
    wire_t             w;
    wsb_reader_conf_t  conf = { 16 << 20, NULL };

    memset(&w, 0, sizeof(w));
    wire_frame(&w, T, "*", 1, 65536);
    deliver(&conf, &w, 0, 1300, &log);
    is_bytes(log.text, log.len, "text *65536", "10.1.1 fragments of 1300");
    free(w.data);

    memset(&w, 0, sizeof(w));

    for (i = 0; i < 100000; i++) {
        wire_frame(&w, (i == 0 ? 1 : 0) | (i == 99999 ? 0x80 : 0), "*", 1, 1);
    }

    calls = 0;
    deliver(&conf, &w, 0, 16384, &log);
    is_bytes(log.text, log.len, "text *100000", "100,000 fragments");
    ok(calls < 10, "with %zu allocations", calls);

    deliver(&conf, &w, 0, 1, &log);
    is_bytes(log.text, log.len, "text *100000", "byte by byte");
    free(w.data);
}


/* What a frame announces is not what is allocated. */

static void
test_bounded(void)
{
    log_t              log;
    size_t             i;
    wire_t             w;
    wsb_reader_t       rd;
    wsb_reader_conf_t  conf = { 16 << 20, NULL };

    memset(&rd, 0, sizeof(rd));
    memset(&log, 0, sizeof(log));
    memset(&w, 0, sizeof(w));
    wire_frame(&w, B, "*", 1, 16 << 20);
    largest = 0;

    feed(&rd, &conf, w.data, 14, &log);
    is_uint(live, 0, "nothing is allocated for a header");

    feed(&rd, &conf, w.data + 14, 1, &log);
    is_uint(largest, WSB_READER_STEP, "a step for one byte of 16 MB");

    for (i = 15; i < 20015; i += 100) {
        feed(&rd, &conf, w.data + i, 100, &log);
    }

    is_uint(largest, 32768, "at most twice of what has arrived");

    wsb_reader_done(&rd);
    is_uint(live, 0, "and freed in the middle of it");
    free(w.data);

    memset(&w, 0, sizeof(w));
    wire_frame(&w, T, "*", 1, 700);
    largest = 0;
    deliver(&conf, &w, 300, 1000, &log);
    is_uint(largest, 700, "no more than the message needs");
    free(w.data);
}


static void
test_in_place(void)
{
    wire_t             w;
    uint8_t           *pos;
    wsb_rc_t           rc;
    wsb_reader_t       rd;
    wsb_message_t      msg;
    wsb_reader_conf_t  conf = { 1000, NULL };

    memset(&rd, 0, sizeof(rd));
    memset(&w, 0, sizeof(w));
    wire_frame(&w, T, "Hello", 5, 1);
    wire_frame(&w, PING, "p", 1, 1);
    wire_frame(&w, T0, "", 0, 1);
    wire_frame(&w, C1, "World", 5, 1);
    wire_frame(&w, T0, "ab", 2, 1);
    wire_frame(&w, PING, "q", 1, 1);
    wire_frame(&w, C1, "cd", 2, 1);
    calls = 0;

    pos = w.data;
    rc = wsb_reader_next(&rd, &conf, &pos, w.data + w.len, &msg);
    ok(rc == WSB_OK && msg.data == w.data + 6 && pos == w.data + 11,
       "a whole message is not copied");

    rc = wsb_reader_next(&rd, &conf, &pos, w.data + w.len, &msg);
    ok(rc == WSB_OK && msg.data == pos - 1, "nor is a ping");

    rc = wsb_reader_next(&rd, &conf, &pos, w.data + w.len, &msg);
    ok(rc == WSB_OK && msg.data == pos - 5 && calls == 0,
       "nor what follows an empty fragment");

    rc = wsb_reader_next(&rd, &conf, &pos, w.data + w.len, &msg);
    ok(rc == WSB_OK && msg.opcode == WSB_FRAME_PING && msg.data == pos - 1
       && calls == 1 && live == 1,
       "nor is a ping inside of a message");

    rc = wsb_reader_next(&rd, &conf, &pos, w.data + w.len, &msg);
    ok(rc == WSB_OK && msg.len == 4 && live == 1, "which is assembled");

    rc = wsb_reader_next(&rd, &conf, &pos, w.data + w.len, &msg);
    ok(rc == WSB_AGAIN && live == 0 && rd.buf == NULL && rd.size == 0,
       "and freed with the next call");

    wsb_reader_done(&rd);
    free(w.data);
}


/* Fails each allocation in turn. */

static void
test_nomem(void)
{
    log_t              log;
    size_t             i, n;
    wire_t             w;
    wsb_reader_conf_t  conf = { 100000, NULL };

    memset(&w, 0, sizeof(w));
    wire_frame(&w, T0, "*", 1, 3000);
    wire_frame(&w, PING, "ping", 4, 1);
    wire_frame(&w, C1, "*", 1, 3000);

    calls = 0;
    deliver(&conf, &w, 0, 1, &log);
    n = calls;

    for (i = 1; i <= n; i++) {
        calls = 0;
        fail_at = i;
        deliver(&conf, &w, 0, 1, &log);
        ok(log.len >= 5 && strcmp(log.text + log.len - 5, "nomem") == 0,
           "allocation %zu of %zu fails: %s", i, n, log.text);
    }

    fail_at = 0;
    free(w.data);
}


static void
test_limits(void)
{
    wire_t             w;
    wsb_reader_conf_t  none = { 0, NULL }, some = { 10, NULL };
    wsb_reader_conf_t  huge = { SIZE_MAX, NULL };

    memset(&w, 0, sizeof(w));
    wire_frame(&w, T, "", 0, 1);
    check("empty within a limit of nothing", &none, &w, "text ");
    wire_frame(&w, T, "a", 1, 1);
    check("a byte over a limit of nothing", &none, &w, "text |!1009");
    free(w.data);

    memset(&w, 0, sizeof(w));
    wire_frame(&w, T, "*", 1, 10);
    wire_frame(&w, PING, "*", 1, 100);
    wire_frame(&w, T, "*", 1, 11);
    check("a ping may be larger", &some, &w, "text *10|ping *100|!1009");
    free(w.data);

    memset(&w, 0, sizeof(w));
    wire_add(&w, "\x82\xff\0\0\0\0\x40\0\0\1", 10);
    check("no limit has a limit", &huge, &w, "!1009");
    free(w.data);
}


static void
test_done(void)
{
    log_t              log;
    wsb_reader_t       rd;
    wsb_reader_conf_t  conf = { 10, NULL };

    memset(&rd, 0, sizeof(rd));
    memset(&log, 0, sizeof(log));
    rd.deflate = 1;

    feed(&rd, &conf, (const uint8_t *) "\x01\x81" Z "\xc2\x80\xff", 9, &log);
    wsb_reader_done(&rd);
    feed(&rd, &conf, (const uint8_t *) "\x81\x81" Z "a", 7, &log);

    is_bytes(log.text, log.len, "text a", "a reader can be used again");
    is_uint(rd.deflate, 1, "and keeps what was negotiated");
    wsb_reader_done(&rd);

    ok(sizeof(wsb_reader_t) <= 88, "a reader has %zu bytes",
       sizeof(wsb_reader_t));
}


static void
test_writers(void)
{
    char     reason[200];
    size_t   i, n;
    uint8_t  p[WSB_FRAME_CONTROL_MAX + 2];

    static const struct {
        uint64_t     len;
        size_t       n;
        const char  *bytes;
    } headers[] = {
        { 0, 2, "\x81\0" },
        { 125, 2, "\x81\x7d" },
        { 126, 4, "\x81\x7e\0\x7e" },
        { 65535, 4, "\x81\x7e\xff\xff" },
        { 65536, 10, "\x81\x7f\0\0\0\0\0\1\0\0" },
        { 0x0102030405060708, 10, "\x81\x7f\1\2\3\4\5\6\7\x08" },
    };

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        n = wsb_frame_header(p, WSB_FRAME_TEXT, 0, headers[i].len);
        ok(n == headers[i].n && memcmp(p, headers[i].bytes, n) == 0,
           "header for %llu", (unsigned long long) headers[i].len);
    }

    n = wsb_frame_header(p, WSB_FRAME_BINARY, 1, 1);
    ok(n == 2 && memcmp(p, "\xc2\1", 2) == 0, "header with RSV1");

    n = wsb_frame_close(p, 1000, "bye");
    ok(n == 7 && memcmp(p, "\x88\5\3\xe8" "bye", 7) == 0, "close");

    n = wsb_frame_close(p, 4999, NULL);
    ok(n == 4 && memcmp(p, "\x88\2\x13\x87", 4) == 0, "close, no reason");

    n = wsb_frame_close(p, WSB_CLOSE_NO_STATUS, "ignored");
    ok(n == 2 && memcmp(p, "\x88\0", 2) == 0, "close, no code");

    memset(reason, 'a', 123);
    reason[123] = '\0';
    n = wsb_frame_close(p, 1000, reason);
    ok(n == 127 && p[1] == 125, "reason of 123");

    reason[123] = 'b';
    reason[124] = '\0';
    n = wsb_frame_close(p, 1000, reason);
    ok(n == 127 && p[1] == 125 && p[126] == 'a', "reason of 124 is cut");

    memcpy(reason + 121, "\xe2\x82\xac", 4);
    n = wsb_frame_close(p, 1000, reason);
    ok(n == 125 && p[1] == 123 && p[124] == 'a', "between characters");

    memcpy(reason + 120, "\xe2\x82\xac" "a", 5);
    n = wsb_frame_close(p, 1000, reason);
    ok(n == 127 && p[126] == 0xac, "behind a character");

    memset(reason, 0x80, 199);
    reason[199] = '\0';
    n = wsb_frame_close(p, 1000, reason);
    ok(n == 4 && p[1] == 2, "nothing of what is no text");
}


#define CASES(c)    test_cases(c, sizeof(c) / sizeof(c[0]), &conf)

int
main(void)
{
    wsb_reader_conf_t  conf = { 131072, NULL };

    CASES(framing);
    CASES(fragments);
    CASES(utf8);
    CASES(closing);

    test_codes();
    test_fail_fast();
    test_large();
    test_tiny();
    test_bounded();
    test_in_place();
    test_nomem();
    test_limits();
    test_done();
    test_writers();

    return tap_done();
}
