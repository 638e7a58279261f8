/* wake.pml - the wake-up protocol as built: src/log/wsb_slot.c, wsb_interest.c, wsb_zone.c, src/ngx wake.c and fanout.c.
 *
 * 2 publishers, 2 workers with a slot each, a sweeper, and the master, which force-unlocks the zone
 * mutex when its holder is dead and respawns worker 0.  Each slot has pending_from, armed, a signal
 * (a flag: edge), a pid, and an interest table that lives in a chunk with an owner word.
 * A worker has a range in hand, hn..he, which it reads record by record; a subscription may come in between.
 * Everything is interleaved at single shared loads and stores.  End: `timeout` (nobody can move) and
 * there the assertion: each visible record with seq >= from that matches was read exactly once, nobody sleeps
 * with something pending, and who sleeps is armed (unless somebody was killed).
 * The graph has no productive cycle, so "at the end" is "eventually".
 *
 * Switches (all off = as built, no death, no timer):
 *  MORTAL_PUB MORTAL_W MORTAL_SWEEP  who may be killed (at any step, once)
 *  TIMER        the 250 ms timer looks at pending_from
 *  SWEEP        the sweep runs
 *  PING         a worker claims "I stand at the head" once (wsb_slot_at_head)
 *  ONEREC       no batches
 *  ONEPUB ONEW  only one publisher, one worker (smaller)
 *  rules broken:
 *  IF_ZERO      pending_from stored only if it is 0 (else: 0 or larger than this seq)
 *  NO_MB        no barrier between `armed = 1` and the second look (store buffer of the worker's CPU)
 *  ONE_LOOK     no second look
 *  WAKE_IF_PENDING  a wake that finds nothing pending goes back to sleep as it is
 *  XCHG_EARLY   the publisher's exchange of armed may pass its store of pending_from
 *  HEAD_FIRST   head stored before pending_from (what a compiler may do without a release store)
 *  TAKE_NOLOCK  the worker takes pending_from and head without the mutex
 *  SUB_NOLOCK   subscribe reads head, counts in without the mutex
 *  NO_RECHECK   the sweep does not look at the pid again under the mutex
 *  PID_FIRST    reclaim clears the pid first, the owner words after it
 *  BY_ROOT      reclaim clears the chunk that the slot points to, not the chunks whose owner word it is
 *  PING_PENDING_FIRST  lock-free claim that reads pending_from before head
 *  NO_ARM_AT_START     a fresh worker does not arm itself
 */
#define MAXSEQ 4
#define PUB0 1
#define PUB1 2
#define W0   3
#define W1   4
#define W0B  5           /* the successor of W0 in slot 0 */
#define SW0  6
#define SW1  7
#define SLOTS 2

byte mtx;                          /* pid of the holder, as ngx_shmtx */
bool dead[8];                      /* killed; the master reaps later */
byte head;                         /* last visible seq */
byte rec[MAXSEQ + 3];              /* record: which workers' keys it matches (bits 0, 1) */
byte pending[SLOTS];               /* pending_from */
bit  armed[SLOTS], efd[SLOTS];
bit  sb[SLOTS];                    /* store buffer: "armed = 1" not yet visible */
byte spid[SLOTS];
byte root[SLOTS];                  /* the slot's table: chunk 1 or 2; 0 none */
byte owner[3];                     /* chunk -> slot + 1, 0 free */
bit  content[3];                   /* chunk holds the subscription's entry */
/* ghost state for the property */
byte hn[SLOTS], he[SLOTS];         /* in hand: hn..he, nothing if hn > he */
byte from_[SLOTS];                 /* 0 = not subscribed */
byte got[SLOTS];                   /* bit s-1: record s read */
bit  respawned, ended[8];

#define BIT(m, w)     (((m) >> (w)) & 1)
#define INTERESTED(w) (root[w] != 0 && content[root[w]])

inline lock(me)   { atomic { mtx == 0 -> mtx = me } }
inline unlock(me) { mtx = 0 }      /* CAS pid -> 0, a full barrier: nginx's ngx_shmtx_unlock */

#ifdef MORTAL_PUB
#define PDIE if :: goto killed :: skip fi
#else
#define PDIE skip
#endif
#ifdef MORTAL_SWEEP
#define SDIE if :: (me == SW0) -> goto killed :: skip fi
#else
#define SDIE skip
#endif
#ifdef MORTAL_W
#define WDIE if :: (me == W0) -> goto killed :: skip fi
#else
#define WDIE skip
#endif

#ifdef IF_ZERO
#define STORE_PENDING(w, s) if :: pending[w] == 0 -> pending[w] = s :: else fi
#else
#define STORE_PENDING(w, s) if :: pending[w] == 0 || pending[w] > s -> pending[w] = s :: else fi
#endif

proctype publisher(byte me)
{
    byte s, n, i, w, wake, got_armed; bit t;

    lock(me);
    s = head + 1;
#ifdef ONEREC
    n = 1;
#else
    if :: n = 1 :: n = 2 fi;                         /* a batch of one or two */
#endif
    if :: rec[s] = 1 :: rec[s] = 2 :: rec[s] = 3 :: rec[s] = 0 fi;
    PDIE;
    if :: n == 2 -> if :: rec[s + 1] = 1 :: rec[s + 1] = 3 fi :: else fi;
    PDIE;
#ifdef HEAD_FIRST
    head = s + n - 1; PDIE;
#endif
#ifdef XCHG_EARLY
    w = 0;
    do :: w < SLOTS -> atomic { if :: INTERESTED(w) && armed[w] -> armed[w] = 0; got_armed = got_armed | (1 << w) :: else fi }; w++
       :: else -> break od;
#endif
    i = 0;
    do
    :: i < n ->
        w = 0;
        do
        :: w < SLOTS ->
            if
            :: INTERESTED(w) && BIT(rec[s + i], w) ->
                wake = wake | (1 << w);
                STORE_PENDING(w, s + i);
                PDIE
            :: else
            fi;
            w++
        :: else -> break
        od;
        i++
    :: else -> break
    od;
#ifndef HEAD_FIRST
    head = s + n - 1;
    PDIE;
#endif
    unlock(me);
    PDIE;
    w = 0;
    do
    :: w < SLOTS && BIT(wake, w) ->
#ifdef XCHG_EARLY
        t = BIT(got_armed, w);
#else
        atomic { t = armed[w]; armed[w] = 0 };
#endif
        PDIE;
        if :: t -> efd[w] = 1 :: else fi;
        PDIE;
        w++
    :: w < SLOTS && !BIT(wake, w) -> w++
    :: else -> break
    od;
    ended[me] = 1;
    goto done;
killed:
    dead[me] = 1;
done: skip
}

/* reclaim: called under the mutex; the order matters, the caller may die between any two */
#ifdef PID_FIRST
#define R_A spid[w] = 0
#define R_Z skip
#else
#define R_A skip
#define R_Z spid[w] = 0
#endif
#ifdef BY_ROOT
#define R_CHUNK(c) if :: root[w] == c -> content[c] = 0; DIE; owner[c] = 0 :: else fi
#define R_ROOT0 skip
#define R_ROOT1 root[w] = 0
#else
#define R_CHUNK(c) if :: owner[c] == w + 1 -> content[c] = 0; DIE; owner[c] = 0 :: else fi
#define R_ROOT0 root[w] = 0
#define R_ROOT1 skip
#endif
#define RECLAIM R_A; DIE; R_ROOT0; DIE; pending[w] = 0; armed[w] = 0; DIE; \
                R_CHUNK(1); DIE; R_CHUNK(2); DIE; R_ROOT1; DIE; R_Z

#define EMPTY(w) (hn[w] > he[w])

/* wsb_slot_take_locked() */
inline take(w)
{
    f = pending[w]; h = head; WDIE;
    d_step {
        if
        :: EMPTY(w) && (f == 0 || f > h) -> hn[w] = h + 1
        :: EMPTY(w) && f != 0 && f <= h && f > hn[w] -> hn[w] = f
        :: else
        fi;
        he[w] = h; f = 0; h = 0
    };
    WDIE;
    pending[w] = 0; WDIE
}

proctype worker(byte w; byte me)
{
    byte f, h, c; bit pinged;

#define DIE WDIE
    lock(me);                                        /* wsb_slot_enter_locked() */
    RECLAIM;
    atomic { got[w] = 0; from_[w] = 0; hn[w] = head + 1; he[w] = head };
    spid[w] = me;
    unlock(me);
#ifndef NO_ARM_AT_START
    goto arm;
#endif
idle:
end:
    do
    :: from_[w] == 0 ->                              /* one subscription, at any time */
#ifdef SUB_NOLOCK
        c = w + 1; owner[c] = w + 1; f = head; WDIE; content[c] = 1; root[w] = c;
        atomic { from_[w] = f + 1; f = 0; c = 0 };
#else
        sb[w] == 0;                                  /* a lock operation drains the store buffer */
        lock(me);
        if :: owner[1] == 0 -> c = 1 :: else -> if :: owner[2] == 0 -> c = 2 :: else -> assert(false) fi fi;
        owner[c] = w + 1; WDIE;
        root[w] = c; WDIE;
        content[c] = 1; c = 0; WDIE;
        take(w);
        from_[w] = head + 1;
        unlock(me);
#endif
    :: !EMPTY(w) ->                                  /* the next record in hand; records are immutable here */
        d_step {
            if
            :: from_[w] != 0 && hn[w] >= from_[w] && BIT(rec[hn[w]], w) ->
                assert(!BIT(got[w], hn[w] - 1));     /* never twice */
                assert((got[w] >> hn[w]) == 0);      /* in order */
                got[w] = got[w] | (1 << (hn[w] - 1))
            :: else
            fi;
            hn[w] = hn[w] + 1
        };
        if :: EMPTY(w) -> goto arm :: else fi
    :: EMPTY(w) && efd[w] -> efd[w] = 0;
#ifdef WAKE_IF_PENDING
        if :: pending[w] != 0 -> goto wake :: else fi
#else
        goto wake
#endif
#ifdef TIMER
    :: EMPTY(w) && pending[w] != 0 -> goto wake
#endif
#ifdef PING
    :: EMPTY(w) && from_[w] != 0 && !pinged -> pinged = 1;   /* wsb_slot_at_head() */
#ifdef PING_PENDING_FIRST
        f = pending[w]; h = head;
#else
        h = head; f = pending[w];
#endif
        d_step {
        if :: f == 0 ->
            f = from_[w];
            do :: f <= h -> assert(!BIT(rec[f], w) || BIT(got[w], f - 1)); f++ :: else -> break od
           :: else fi;
        f = 0; h = 0 }
#endif
#ifdef MORTAL_W
    :: me == W0 -> goto killed
#endif
    od;

wake:
    if
    :: pending[w] == 0 -> goto arm                   /* looked at without the mutex */
    :: else
    fi;
#ifdef TAKE_NOLOCK
    take(w);
#else
    sb[w] == 0;
    lock(me);
    take(w);
    unlock(me);
#endif
    if :: !EMPTY(w) -> goto idle :: else fi;
arm:
    sb[w] = 1;                                       /* armed = 1, in the store buffer */
#ifndef NO_MB
    sb[w] == 0;                                      /* full barrier */
#endif
#ifdef ONE_LOOK
    goto idle;
#else
    if :: pending[w] != 0 -> goto wake :: else -> goto idle fi;
#endif
#undef DIE
killed:
    dead[me] = 1
}

proctype cpu()                                       /* drains the store buffers, at any later time */
{
end:
    do
    :: atomic { sb[0] -> sb[0] = 0; armed[0] = 1 }
    :: atomic { sb[1] -> sb[1] = 0; armed[1] = 1 }
    od
}

proctype master()
{
end:
    do
    :: atomic { mtx != 0 && dead[mtx] -> mtx = 0 }   /* ngx_unlock_mutexes() */
#ifdef MORTAL_W
    :: atomic { dead[W0] && mtx != W0 && !respawned -> respawned = 1; sb[0] = 0; run worker(0, W0B) }
    :: atomic { dead[W0] && mtx != W0 && !respawned -> respawned = 1 }   /* draining: no successor */
#endif
    od
}

#ifdef SWEEP
proctype sweeper(byte me)                            /* looks at slot 0 */
{
    byte p, w;
    w = 0;
#define DIE SDIE
    atomic { (spid[0] == W0 && dead[W0]) -> p = W0 };  /* read the pid, kill(pid, 0): gone */
    lock(me);
#ifdef NO_RECHECK
    RECLAIM;
#else
    if :: spid[0] == p -> RECLAIM :: else fi;
#endif
    unlock(me);
    goto done;
killed:
    dead[me] = 1;
done: ended[me] = 1
#undef DIE
}
#endif

#define SUBD(w) (from_[w] != 0)
proctype monitor()
{
    byte s, w;
    timeout;
    d_step {
    assert(mtx == 0);
    w = 0;
    do
    :: w < SLOTS ->
        if
        :: SUBD(w) && spid[w] != 0 && !dead[spid[w]] ->
            assert(pending[w] == 0);
#if !defined(MORTAL_PUB) && !defined(MORTAL_W)
            assert(armed[w]);
#endif
            s = from_[w];
            do
            :: s <= head -> assert(BIT(rec[s], w) == BIT(got[w], s - 1)); s++
            :: else -> break
            od
        :: else
        fi;
        w++
    :: else -> break
    od;
#ifdef SWEEP
    /* nothing leaks: each owned chunk belongs to a slot whose process lives (the sweep SW1 never dies) */
    assert(owner[1] == 0 || (spid[owner[1] - 1] != 0 && !dead[spid[owner[1] - 1]]));
    assert(owner[2] == 0 || (spid[owner[2] - 1] != 0 && !dead[spid[owner[2] - 1]]));
#endif
    }
}

init {
    atomic {
        run worker(0, W0);
#ifndef ONEW
        run worker(1, W1);
#endif
        run publisher(PUB0); 
#ifndef ONEPUB
        run publisher(PUB1);
#endif
        run cpu(); run master(); run monitor();
#ifdef SWEEP
        run sweeper(SW0); run sweeper(SW1);
#endif
    }
}
