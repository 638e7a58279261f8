/* cursor.pml - one connection as built: src/ngx fanout.c, out.c, session.c; and the contract's `last_id` and `gap`.
 *
 * One worker, one connection, two subscriptions (ordinals 0, 1), a publisher that appends NSEQ records with
 * any match mask and evicts at any time.  The worker is single-threaded: each action below is one atomic
 * step, the critical sections are proven by wake.pml.  The socket may block before or inside any frame.
 *
 * Worker cursor: all records <= wcur are done (hand.next = wcur + 1); wcur+1..hend are in hand; what a take skips
 * concerned nobody.  Position (ps, po) = the next frame to look at.  A connection that is behind (CUR) fills the queue
 * from the log as one that is pushed to has it filled by the worker.
 * NEXT(i) = first seq that subscription i has not been sent = max(from_i, i < po ? ps + 1 : ps).
 *
 * Default: as built.  A rule broken:
 *  REACH_EQ     "reaches its worker's cursor" read as position == cursor (holds, too)
 *  NO_SUBTAKE   subscribe only counts in and reads the head
 *  NO_GAPRAISE  a gap moves the position only, not the `from` of the subscriptions (holds with REACH_EQ only)
 *  GAP_ONE      one gap range for all subscriptions, from the position's seq - 1
 *  GAP_QUEUED   a gap is told while frames not begun are queued
 *  NO_RAISE     `since` does not raise `from` of the others
 *  FWD          `since` sets the position even if that is forward
 *  BARE_SEQ     position without ordinal, points at the record of the first frame dropped
 *  PONG_WCUR    pong says the worker's cursor, whatever is queued
 *  PONG_MAXQ    pong of a pushed-to connection with frames queued says the worker's cursor
 *  W_SKIP       an overtaken worker skips, its pushed-to connections are not told
 *  EV_FIRST     frames may go before the control queue
 *  MONO         check "pong.last_id is never below an event id already sent, unless rewound" (fails: the rule is MONO2)
 *  MONO2        a last_id smaller than one already said is not said (with NPING=2)
 */
#ifndef NSEQ
#define NSEQ 3
#endif
#ifndef NPING
#define NPING 1
#endif
#define NSUB 2
#define PUSH 0
#define CUR  1
mtype = { SUBSCRIBED, PONG, GAP };
#define BIT(m, s) (((m) >> (s)) & 1)

/* zone */
byte head, oldest = 1, pend;
byte mask[NSEQ + 2];
/* worker */
byte wcur, hend;
/* connection */
bit  mode, blocked;
byte ps = 1, po;
byte from_[NSUB];
bit  act[NSUB];
byte nsub, pings;
chan q   = [2] of { byte, byte };
chan ctl = [6] of { mtype, byte, byte, byte };
/* ghosts */
byte from0[NSUB], last[NSUB], got[NSUB], gapq[NSUB], told[NSUB], maxsent, maxid;
bit  known[NSUB], rew;

#define POSNEXT(i, s, o) ((i) < (o) -> (s) + 1 : (s))
#define NEXT(i, s, o)    (from_[i] > POSNEXT(i, s, o) -> from_[i] : POSNEXT(i, s, o))

/* before the first frame queued, or the cursor, or the worker's */
inline getpos(s, o)
{
    if
    :: nempty(q) -> q?<s, o>
    :: empty(q) && mode == CUR -> s = ps; o = po
    :: empty(q) && mode == PUSH -> s = wcur + 1; o = 0
    fi
}
inline dropq() { do :: nempty(q) -> q?_,_ :: empty(q) -> break od }
inline to_cursor()                                     /* fall_behind() */
{
    if
    :: mode == PUSH || nempty(q) ->
        getpos(ps, po);
#ifdef BARE_SEQ
        po = 0;
#endif
        mode = CUR; dropq()
    :: else
    fi
}
inline overflow(r)                                     /* the queue is full: what it has of r comes again */
{
    n = len(q);
    do
    :: n > 0 -> q?o, t; n--; if :: o != r -> q!o, t :: else fi
    :: else -> break
    od;
    o = 0; t = 0;
    mode = CUR; ps = r; po = 0
}
/* a frame has been begun: it will be finished before anything else is written */
inline deliver(s, i)
{
    assert(known[i]);                                  /* not before its `subscribed` */
    assert(BIT(mask[s], i) && s >= from0[i]);
    assert(s > last[i]);                               /* in order, never twice */
    assert(!BIT(gapq[i], s));                          /* nothing in a gap is delivered */
    t = from0[i];
    do                                                 /* what lies before has been sent or told */
    :: t < s -> assert(!BIT(mask[t], i) || BIT(got[i], t) || BIT(told[i], t)); t++
    :: else -> break
    od;
    t = 0;
    last[i] = s; got[i] = got[i] | (1 << s);
    if :: s > maxsent -> maxsent = s :: else fi
}
inline add_gap(i, f, to)                               /* (f, to] */
{
    ctl!GAP(i, f, to);
    t = f + 1;
    do :: t <= to -> assert(!BIT(got[i], t)); gapq[i] = gapq[i] | (1 << t); t++ :: else -> break od;
    t = 0
}

inline take()                                          /* under the mutex */
{
    if
    :: wcur >= hend && pend == 0 -> wcur = head
    :: wcur >= hend && pend > wcur + 1 -> wcur = pend - 1
    :: else
    fi;
    hend = head; pend = 0
}
inline subscribe(i, issince, sn)
{
#ifdef NO_SUBTAKE
    if :: wcur >= hend && pend == 0 -> wcur = head; hend = head :: else fi;
#else
    take();
#endif
    act[i] = 1; nsub++;
    ctl!SUBSCRIBED(i, 0, 0);
    if
    :: !issince -> from_[i] = head + 1; from0[i] = head + 1
    :: else ->
        from0[i] = sn + 1; from_[i] = sn + 1;
        if :: sn + 1 < oldest -> from_[i] = oldest; add_gap(i, sn, oldest - 1) :: else fi;
        to_cursor();
#ifndef NO_RAISE
        if :: i == 1 -> from_[0] = NEXT(0, ps, po) :: else fi;
#endif
#ifdef FWD
        ps = from_[i]; po = 0;
#else
        if :: from_[i] <= ps -> ps = from_[i]; po = 0; rew = 1 :: else fi;
        if :: from_[i] <= maxid -> rew = 1 :: else fi      /* may still take back what a pong has said */
#endif
    fi
}

active proctype worker()
{
    byte s, o, t, n, i, to, L; mtype ty;

end:
    do
    /* --- taking the range and matching --- */
    :: atomic { nsub > 0 && wcur >= hend && (pend != 0 || wcur < head) -> take() }
    :: atomic { wcur < hend ->
        s = wcur + 1;
        if
        :: s < oldest ->                               /* the worker itself is overtaken */
#ifndef W_SKIP
            if :: mode == PUSH -> mode = CUR; ps = wcur + 1; po = 0 :: else fi;   /* what is queued stays */
#endif
            wcur = oldest - 1
        :: else ->
            i = 0;
            do
            :: i < NSUB ->
                if
                :: mode == PUSH && act[i] && BIT(mask[s], i) && s >= from_[i] ->
                    if :: full(q) -> overflow(s) :: nfull(q) -> q!s, i fi
                :: else
                fi;
                i++
            :: else -> break
            od;
            wcur = s
        fi;
        s = 0; i = 0; o = 0 }
    /* --- flushing --- */
#ifdef EV_FIRST
    :: atomic { !blocked && nempty(q) ->
#else
    :: atomic { !blocked && empty(ctl) && nempty(q) ->
#endif
        if
        :: q?s, i -> deliver(s, i)
        :: q?s, i -> deliver(s, i); blocked = 1; to_cursor()   /* begun, then blocked */
        :: blocked = 1; to_cursor()                            /* not begun */
        fi;
        s = 0; i = 0 }
    /* --- control queue --- */
    :: atomic { !blocked && nempty(ctl) ->
        if
        :: blocked = 1; to_cursor()
        :: ctl?ty, i, o, to;
            if
            :: ty == SUBSCRIBED -> known[i] = 1
            :: ty == GAP ->
                t = o + 1;
                do :: t <= to -> told[i] = told[i] | (1 << t); t++ :: else -> break od
            :: ty == PONG ->                           /* o = last_id: nothing up to it may be missing */
                i = 0;
                do
                :: i < NSUB && known[i] ->
                    t = from0[i];
                    do
                    :: t <= o && t <= head -> assert(!BIT(mask[t], i) || BIT(got[i], t) || BIT(told[i], t)); t++
                    :: else -> break
                    od;
                    i++
                :: i < NSUB && !known[i] -> i++
                :: else -> break
                od
            fi;
            if :: blocked = 1; to_cursor() :: skip fi
        fi;
        i = 0; o = 0; to = 0; t = 0; ty = 0; s = 0 }
    :: atomic { blocked -> blocked = 0 }
    /* --- cursor --- */
    :: atomic { nsub > 0 && mode == CUR && !blocked &&
#ifdef REACH_EQ
                ps == wcur + 1 && po == 0
#else
                ps > wcur
#endif
                -> mode = PUSH; rew = 0; ps = 0; po = 0 }
    :: atomic { nsub > 0 && mode == CUR && !blocked && ps <= wcur && ps < oldest &&
                len(ctl) + NSUB < 6 &&
#ifndef GAP_QUEUED
                empty(q)                               /* they are flushed first */
#else
                true
#endif
                ->                                     /* overtaken: on at the middle */
            to = oldest + (head + 1 - oldest) / 2 - 1;
            getpos(s, o);
            i = 0;
            do
            :: i < NSUB && act[i] ->
#ifdef GAP_ONE
                n = ps;
#else
                n = NEXT(i, s, o);
#endif
                if :: n <= to -> add_gap(i, n - 1, to)
#ifndef NO_GAPRAISE
                                 ; if :: from_[i] <= to -> from_[i] = to + 1 :: else fi
#endif
                   :: else fi;
                i++
            :: i < NSUB && !act[i] -> i++
            :: else -> break
            od;
            ps = to + 1; po = 0;
            s = 0; o = 0; i = 0; n = 0; to = 0 }
    :: atomic { nsub > 0 && mode == CUR && !blocked && ps <= wcur && ps >= oldest && nfull(q) ->
            if                                         /* one frame, or one ordinal without a match */
            :: act[po] && BIT(mask[ps], po) && ps >= from_[po] -> q!ps, po
            :: else
            fi;
            po++;
            if :: po == NSUB -> ps++; po = 0 :: else fi }
    /* --- what the client does --- */
    :: atomic { nsub == 0 -> mode = PUSH; subscribe(0, 0, 0) }
    :: atomic { nsub < NSUB ->
        s = 0; i = nsub;
        do :: s < head -> s++ :: break od;
        subscribe(i, 1, s); s = 0; o = 0; i = 0 }
    :: atomic { nsub == 1 -> subscribe(1, 0, 0) }
    :: atomic { nsub > 0 && pings < NPING && len(ctl) < 3 ->
        pings++;
        getpos(s, o);
#ifdef PONG_WCUR
        s = wcur + 1; o = 0;
#endif
#ifdef PONG_MAXQ
        if :: mode == PUSH -> s = wcur + 1; o = 0 :: else fi;
#endif
        L = NEXT(0, s, o) - 1;
        if :: act[1] && NEXT(1, s, o) - 1 < L -> L = NEXT(1, s, o) - 1 :: else fi;
#ifdef MONO
        assert(rew || L >= maxsent);
#endif
#ifdef MONO2
        if :: L < maxid -> L = 0 :: else -> maxid = L fi;   /* a smaller one is not said */
        assert(L == 0 || rew || L >= maxid);
#endif
        ctl!PONG(0, L, 0); L = 0; s = 0; o = 0 }
    od
}

active proctype publisher()
{
    byte m;
end:
    do
    :: atomic { head < NSEQ ->
        if :: m = 0 :: m = 1 :: m = 2 :: m = 3 fi;
        mask[head + 1] = m;
        if
        :: pend == 0 && ((act[0] && BIT(m, 0)) || (act[1] && BIT(m, 1))) -> pend = head + 1
        :: else
        fi;
        head++; m = 0 }
#ifdef EVICT
    :: atomic { oldest < head -> oldest++ }
#endif
    od
}

active proctype monitor()
{
    byte i, t;
    timeout;
    d_step {
    assert(nsub == NSUB && mode == PUSH && !blocked && empty(ctl) && empty(q) && wcur == head);
    i = 0;
    do
    :: i < NSUB ->
        t = from0[i];
        do
        :: t <= head -> assert(!BIT(mask[t], i) || (BIT(got[i], t) != BIT(told[i], t))); t++
        :: else -> break
        od;
        i++
    :: else -> break
    od }
}
