/* last.pml - the last row of an entity: src/log/wsb_last.c, wsb_before.c, wsb_append.c.
 *
 * Records of an entity A and of others (B).  A hint (seq, position) says where the newest record of A is.  A writer looks
 * it up before it takes the mutex and reads the record (that reading is ring.pml's), then appends under the mutex: the
 * hint first, the commit behind it.  It may die at any store; the master unlocks, the next one goes on.  A record
 * begins at the tail or one further on, since those before it in a batch may be longer.  At a position where no record
 * begins a payload lies, which may say whatever its sender wants: it pretends to be the record that was looked for.
 * Property: the row that is taken for the last one is that of the newest record of A, or none is.
 *  HINT_AFTER  the hint is written behind the commit: a death in between leaves an older row
 *  NO_PENDING  who dies between hint and commit is not noticed, and the hint stays
 *  NO_CHECK    the hint is not looked at once more under the mutex
 *  NO_POS      only its seq is
 */
#ifndef NREC
#define NREC 4
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#define FORGED 255
#define NPOS 12

byte head, tail = 1, newest;             /* newest: of A, visible */
byte hs, hp; bit pending;                /* the hint; what death leaves */
byte begins[NPOS]; bit isa[NPOS];        /* which record begins here; of A? */
byte mtx, deaths;

#define MAYDIE if :: deaths < DEATHS -> deaths++; goto die :: skip fi

active [2] proctype writer()
{
    byte s, p, rs, rp, old; bit a;
end:
    do
    :: head < NREC ->
again:  old = 0;
        rs = hs;                         /* without the mutex, */
        rp = hp;                         /* word by word */
        if
        :: rs == 0 || rs > head -> skip
        :: else ->
            atomic {
            if
            :: begins[rp] == rs && isa[rp] -> old = rs
            :: begins[rp] == rs && !isa[rp] -> skip
            :: begins[rp] != rs -> old = FORGED
            fi }
        fi;
        atomic { mtx == 0 -> mtx = _pid + 1 };
        if
        :: head >= NREC -> atomic { mtx = 0; rs = 0; rp = 0; old = 0 }; break
        :: else
        fi;
#ifndef NO_PENDING
        if
        :: pending ->
            if :: hs > head -> hs = 0; MAYDIE; hp = 0 :: else fi;
            MAYDIE;
            pending = 0
        :: else
        fi;
#endif
#ifdef NO_CHECK
        skip;
#else
#ifdef NO_POS
        if :: rs != hs -> mtx = 0; goto again :: else fi;
#else
        if :: rs != hs || (rs != 0 && rp != hp) -> mtx = 0; goto again :: else fi;
#endif
#endif
        atomic { assert(old == 0 || old == newest); rs = 0; rp = 0; old = 0 };
        s = head + 1;
        if :: p = tail :: p = tail + 1 fi;
        if :: a = 0 :: a = 1 fi;
        d_step {                         /* the ring: what is overwritten begins no more */
            begins[tail] = 0; begins[tail + 1] = 0; begins[tail + 2] = 0;
            begins[p] = s; isa[p] = a
        };
        MAYDIE;
#ifndef HINT_AFTER
        if
        :: a ->
            pending = 1; MAYDIE;
            hs = 0; MAYDIE;
            hp = p; MAYDIE;
            hs = s; MAYDIE
        :: else
        fi;
#endif
        d_step { head = s; tail = p + 1; if :: a -> newest = s :: else fi };
        MAYDIE;
#ifdef HINT_AFTER
        if :: a -> hs = 0; hp = p; MAYDIE; hs = s; MAYDIE :: else fi;
#endif
        pending = 0;
        atomic { mtx = 0; s = 0; p = 0; a = 0 }
    :: else -> break
    od;
    goto out;
die:
    atomic { mtx = 0; s = 0; p = 0; a = 0; rs = 0; rp = 0; old = 0 };
    goto end;                            /* its successor */
out:
    skip
}
