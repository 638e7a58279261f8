/* skip.pml - a hole in the seq: src/log/wsb_log.c (skip), wsb_append.c, wsb_slot.c (take).
 *
 * A writer appends, or skips two seqs: it evicts everything and moves both ends on.  It may die at any store; whoever
 * holds the mutex to write next finds oldest > head + 1, and finishes the skip.  The worker, all of whose subscriptions
 * want everything, looks at pending_from (its timer; the signal is wake.pml's), takes under the mutex, and reads.
 * Property: in the end each seq up to the head was delivered or lies in a gap that was told; one that was skipped was
 * never delivered.
 *  NO_PEND        a skip does not set pending_from
 *  HEAD_FIRST     the head is moved before oldest
 *  REPAIR_NO_PEND who writes next finishes the skip without setting pending_from again
 */
#ifndef NSEQ
#define NSEQ 6
#endif
#ifndef DEATHS
#define DEATHS 2
#endif

byte head, oldest = 1, pend;
byte mtx, deaths, writers = 2;
bit made[NSEQ + 4];                      /* a record lies there */
byte told[NSEQ + 4];                     /* 1: delivered, 2: in a gap */

#define MAYDIE if :: deaths < DEATHS -> deaths++; goto die :: skip fi
#define PEND(s) if :: pend == 0 || pend > s -> pend = s :: else fi

active [2] proctype writer()
{
    byte s, n;
again:
    do
    :: n < 2 && head < NSEQ - 2 ->
        atomic { mtx == 0 -> mtx = _pid + 1 };
        if
        :: head >= NSEQ - 2 -> mtx = 0; break
        :: else
        fi;
        if
        :: oldest > head + 1 ->
#ifndef REPAIR_NO_PEND
            PEND(head + 1); MAYDIE;
#endif
            head = oldest - 1; MAYDIE
        :: else
        fi;
        s = head + 1;
        if
        :: skip -> PEND(s); MAYDIE;                  /* an event */
            made[s] = 1;
            head = s; MAYDIE
        :: skip ->                                   /* a hole of two */
#ifndef NO_PEND
            PEND(s); MAYDIE;
#endif
#ifdef HEAD_FIRST
            head = s + 1; MAYDIE;
            oldest = s + 2; MAYDIE
#else
            oldest = s + 2; MAYDIE;
            head = s + 1; MAYDIE
#endif
        fi;
        n++;
        atomic { mtx = 0; s = 0 }
    :: else -> break
    od;
    goto out;
die:
    atomic { mtx = 0; s = 0 };
    n++;
    goto again;
out:
    writers--
}

active proctype worker()
{
    byte next = 1, last, e, o;
end:
    do
    :: pend != 0 ->
        atomic { mtx == 0 -> mtx = 100 };
        e = head;
        if                                           /* nothing is in hand here */
        :: pend == 0 || pend > e -> next = e + 1
        :: pend > next && pend <= e -> next = pend
        :: else
        fi;
        last = e;
        pend = 0;
        mtx = 0;
        do
        :: next <= last ->
            o = oldest;
            if
            :: next < o ->                           /* a gap, up to where it goes on */
                do
                :: next < o -> told[next] = 2; next++
                :: else -> break
                od
            :: else ->
                atomic { assert(made[next]); told[next] = 1 };
                next++
            fi
        :: else -> break
        od
    :: atomic { writers == 0 && pend == 0 && oldest <= head + 1 ->
            e = 1;
            do
            :: e <= head -> assert(told[e] != 0); assert(made[e] || told[e] == 2); e++
            :: else -> break
            od;
            break }
    od
}
