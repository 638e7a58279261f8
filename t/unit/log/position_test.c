/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Positions, against a plain list of which frames have been sent.
 */

#include "tap.h"
#include "log/wsb_position.h"


#define SUBS     4
#define RECORDS  12


/* Which frames of whom have been sent, and from where each may get any. */

typedef struct {
    uint64_t  from[SUBS + 1];
    int       sent[SUBS + 1][RECORDS + 2];
} plain_t;


static uint32_t  seed = 1;


static uint32_t
rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;

    return (seed >> 16) % n;
}


/* All frames before the position, in the order of records and ordinals. */

static void
send_up_to(plain_t *p, wsb_position_t at)
{
    uint64_t  seq;
    uint32_t  i;

    memset(p->sent, 0, sizeof(p->sent));

    for (seq = 1; seq <= RECORDS; seq++) {
        for (i = 1; i <= SUBS; i++) {
            if (seq < at.seq || (seq == at.seq && i < at.ordinal)) {
                p->sent[i][seq] = seq >= p->from[i];
            }
        }
    }
}


static uint64_t
plain_next(plain_t *p, uint32_t i)
{
    uint64_t  seq;

    for (seq = p->from[i]; seq <= RECORDS && p->sent[i][seq]; seq++) {
        /* void */
    }

    return seq;
}


static void
test_next(void)
{
    int             n, bad;
    plain_t         p;
    uint32_t        i;
    wsb_position_t  at;

    bad = 0;

    for (n = 0; n < 20000; n++) {

        for (i = 1; i <= SUBS; i++) {
            p.from[i] = 1 + rnd(RECORDS);
        }

        at.seq = 1 + rnd(RECORDS);
        at.ordinal = rnd(SUBS + 2);

        send_up_to(&p, at);

        for (i = 1; i <= SUBS; i++) {
            bad += wsb_position_next(at, p.from[i], i) != plain_next(&p, i);
        }
    }

    is_uint(bad, 0, "next is the first frame that has not been sent");
}


/*
 * A subscription goes back: afterwards it gets all from there on, and no
 * other one gets a frame twice or misses one.
 */

static void
test_rewind(void)
{
    int             n, twice, missed;
    plain_t         p, q;
    uint64_t        from, seq;
    uint32_t        i, who;
    wsb_position_t  at;

    twice = 0;
    missed = 0;

    for (n = 0; n < 20000; n++) {

        for (i = 1; i <= SUBS; i++) {
            p.from[i] = 1 + rnd(RECORDS);
        }

        at.seq = 1 + rnd(RECORDS);
        at.ordinal = rnd(SUBS + 2);
        who = 1 + rnd(SUBS);
        from = 1 + rnd((uint32_t) p.from[who]);

        send_up_to(&p, at);

        q = p;

        for (i = 1; i <= SUBS; i++) {
            q.from[i] = i == who ? from : wsb_position_next(at, p.from[i], i);
        }

        if (wsb_position_rewinds(at, from)) {
            at.seq = from;
            at.ordinal = 0;
        }

        /* what is sent from the new position on */

        for (seq = 1; seq <= RECORDS; seq++) {
            for (i = 1; i <= SUBS; i++) {
                int  now = seq >= q.from[i]
                           && (seq > at.seq
                               || (seq == at.seq && i >= at.ordinal));
                int  due = seq >= (i == who ? from : p.from[i]);

                if (i != who && now && p.sent[i][seq]) {
                    twice++;
                }

                if (due && !now && !p.sent[i][seq]) {
                    missed++;
                }
            }
        }
    }

    is_uint(twice, 0, "going back sends no other subscription a frame twice");
    is_uint(missed, 0, "and nobody misses one");
}


static void
test_start(void)
{
    wsb_start_t  s;

    s = wsb_position_start(WSB_SINCE_NONE, 0, 0, 7, 5, 9);
    is_uint(s.from, 10, "without since it begins behind the head");
    ok(s.recovered == -1, "and nothing is recovered");

    s = wsb_position_start(WSB_SINCE_NOW, 0, 0, 7, 5, 9);
    is_uint(s.from, 10, "now: the same");
    ok(s.recovered == 1, "and it is recovered");

    s = wsb_position_start(WSB_SINCE_FIRST, 0, 0, 7, 5, 9);
    is_uint(s.from, 5, "first: the oldest");
    ok(s.recovered == 1, "which is all it asks for");

    s = wsb_position_start(WSB_SINCE_ID, 7, 6, 7, 5, 9);
    is_uint(s.from, 7, "an id: behind it");
    ok(s.recovered == 1 && s.gap == 0, "without a gap");

    s = wsb_position_start(WSB_SINCE_ID, 7, 4, 7, 5, 9);
    ok(s.from == 5 && s.recovered == 1, "the last one evicted is enough");

    s = wsb_position_start(WSB_SINCE_ID, 7, 3, 7, 5, 9);
    ok(s.from == 5 && s.recovered == 0 && s.gap == 4,
       "evicted: a gap up to the oldest, then all there is");

    s = wsb_position_start(WSB_SINCE_ID, 8, 6, 7, 5, 9);
    ok(s.from == 5 && s.recovered == 0 && s.gap == 4, "another epoch: too");

    s = wsb_position_start(WSB_SINCE_ID, 7, 9, 7, 5, 9);
    ok(s.from == 10 && s.recovered == 1, "the head: from now on");

    s = wsb_position_start(WSB_SINCE_ID, 7, 10, 7, 5, 9);
    ok(s.from == 10 && s.recovered == 0 && s.gap == 9,
       "the future: a gap up to the head, then live");

    s = wsb_position_start(WSB_SINCE_FIRST, 0, 0, 7, 1, 0);
    is_uint(s.from, 1, "of an empty log");

    s = wsb_position_start(WSB_SINCE_ID, 7, UINT64_MAX, 7, 5, 9);
    ok(s.recovered == 0, "the largest number is no event of this log");
}


static void
test_overtaken(void)
{
    int             n, bad;
    uint64_t        oldest, head, to;
    wsb_position_t  at = { 0, 0 };

    bad = 0;

    for (n = 0; n < 20000; n++) {
        at.seq = 1 + rnd(50);
        oldest = at.seq + 1 + rnd(50);
        head = oldest - 1 + rnd(50);

        to = wsb_position_overtaken(at, oldest, head);

        /* it loses no more than what is gone and half of what is there */

        bad += to + 1 < oldest || to > head
               || to - (oldest - 1) > (head + 1 - oldest) / 2;
    }

    is_uint(bad, 0, "overtaken, it goes on in the middle of what is retained");

    at.seq = 9;
    is_uint(wsb_position_overtaken(at, 9, 20), 9,
            "a record that cannot be read is lost alone");
}


static void
test_pushed(void)
{
    wsb_position_t  at;

    at = wsb_position_pushed(5, 0);
    ok(at.seq == 5 && at.ordinal == 0, "pushed to: where the worker stands");

    at = wsb_position_pushed(5, 9);
    is_uint(at.seq, 10, "which is the head if nothing there concerns it");

    at = wsb_position_pushed(5, 4);
    is_uint(at.seq, 5, "an older head takes nothing back");
}


int
main(void)
{
    test_next();
    test_rewind();
    test_start();
    test_overtaken();
    test_pushed();

    return tap_done();
}
