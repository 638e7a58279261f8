/* version.pml - what an answer is still good for: src/log/wsb_version.c, wsb_append.c.
 *
 * The backend makes a change, then its event is appended: of the type in question, or of another one.  `word` is the last
 * event of the type, stored before the commit; a writer may die in between.  A reader reads the head, then the word; the
 * lower of them is the version, and the key of a cache.  What the cache does not have is asked of the backend then.
 * Property: an answer holds each change whose event is not above the head that was read before it.
 *  NO_CLAMP    the word alone is the version: that of a writer that died is used again
 *  WORD_LATE   the word is stored behind the commit
 *  WORD_FIRST  the word is read before the head
 *  ASK_FIRST   the backend is asked before the head is read
 */
#ifndef NSEQ
#define NSEQ 3
#endif
#ifndef READS
#define READS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

byte head, word, mtx, deaths, nchanges;
byte ev[NSEQ + 2];                       /* bits of the change that it tells; 0: another type's */
byte db;                                 /* bits of the changes made */
byte cache[NSEQ + 2];                    /* by version: bits, and 128: it is there */

#define MAYDIE if :: deaths < DEATHS -> deaths++; goto die :: skip fi

active [2] proctype writer()
{
    byte bits, seq;
    do
    :: d_step { head + nchanges < NSEQ * 2 && nchanges < 3 -> bits = 1 << nchanges; nchanges++ };
        if
        :: db = db | bits                /* a change of the type, */
        :: bits = 0                      /* or of another one */
        fi;
        atomic { mtx == 0 && head < NSEQ -> mtx = 1 };
        seq = head + 1;
#ifndef WORD_LATE
        if :: bits -> word = seq :: else fi;
        MAYDIE;
#endif
        d_step { ev[seq] = bits; head = seq };
#ifdef WORD_LATE
        MAYDIE;
        if :: bits -> word = seq :: else fi;
#endif
        mtx = 0;
        goto more;
die:    mtx = 0;
more:   skip
    :: break
    od
}

active [2] proctype reader()
{
    byte p, v, w, data, i, n;
    do
    :: n < READS ->
        n++;
#ifdef WORD_FIRST
        w = word;
        p = head;
#else
#ifdef ASK_FIRST
        data = db;
#endif
        p = head;
        w = word;
#endif
#ifdef NO_CLAMP
        v = w;
#else
        v = (w < p -> w : p);
#endif
        if
        :: cache[v] -> data = cache[v]
        :: else ->
#ifndef ASK_FIRST
            data = db;
#endif
            cache[v] = data | 128
        fi;
        d_step {
            i = 1;
            do
            :: i <= p -> assert((ev[i] & data) == ev[i]); i++
            :: else -> break
            od;
            i = 0; p = 0; v = 0; w = 0; data = 0
        }
    :: n == READS -> break
    od
}
