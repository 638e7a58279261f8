/* mark.pml - marks of sources: src/log/wsb_mark.c, wsb_append.c.
 *
 * A source has messages 1, 2, ...  Whoever holds its lease reads them from the mark on and appends one after the other;
 * the mark commits with the batch.  An owner may die at any store, or be stalled while another takes the lease over:
 * then both append.  `next` is the mark: what is below it is in the log.  An append is prepared as (offset, seq), the
 * log's head commits it, and whoever holds the mutex next settles it by the head.
 * Property: each message is in the log once, in order, and none is left out.
 *  MARK_FIRST   the mark is stored before the commit: a death in between leaves a message out
 *  MARK_LAST    it is stored behind the commit, with nothing prepared: a message comes twice
 *  BLIND        what was prepared is settled whatever the head says
 *  NO_LOOK      the mark is not looked at in the hold that appends
 */
#ifndef NMSG
#define NMSG 3
#endif
#ifndef DEATHS
#define DEATHS 2
#endif

byte head, next = 1;
byte prep, pseq;                         /* offset, seq; 0: nothing */
byte got[NMSG + 2];                      /* how often each is in the log */
byte last, mtx, deaths;

#define MAYDIE if :: deaths < DEATHS -> deaths++; goto die :: skip fi

active [2] proctype owner()
{
    byte m;
end:
    m = next;                            /* the lease is taken: read on from there */
    do
    :: m <= NMSG ->
        atomic { mtx == 0 -> mtx = _pid + 1 };
        if
        :: prep != 0 ->
#ifdef BLIND
            next = prep + 1;
#else
            if :: head >= pseq -> next = prep + 1 :: else fi;
#endif
            MAYDIE;
            prep = 0
        :: else
        fi;
        MAYDIE;
#ifndef NO_LOOK
        if :: m < next -> mtx = 0; m++; goto on :: else fi;
#endif
#ifdef MARK_FIRST
        next = m + 1; MAYDIE;
#else
#ifndef MARK_LAST
        pseq = head + 1; MAYDIE;
        prep = m; MAYDIE;
#endif
#endif
        d_step { head++; got[m]++; assert(got[m] == 1 && m == last + 1); last = m };
        MAYDIE;
#ifdef MARK_LAST
        next = m + 1; MAYDIE;
#else
#ifndef MARK_FIRST
        if :: prep != 0 && head >= pseq -> next = prep + 1 :: else fi;
        MAYDIE;
        prep = 0;
#endif
#endif
        mtx = 0; m++;
on:     skip
    :: m > NMSG -> break
    od;
    goto out;
die:
    atomic { mtx = 0; m = 0 };
    goto end;                            /* another takes it over */
out:
    assert(last == NMSG)
}
