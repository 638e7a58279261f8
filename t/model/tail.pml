/* tail.pml - the ends of the log as built: src/log/wsb_log.c, end_set, end_get, prepare, commit.
 *
 * Ring of 4 words, records of 1 or 2 words at growing byte positions (taken modulo 4); the header word holds seq, length
 * and (ghost) which attempt wrote it.  A batch is one record, or two of one word.  Writers (3 lives) may die between
 * any two stores; the next one goes on.  An end is a word, seq * 2 + c, and two cells for the position, of which c is its own.
 * Sequential memory: the order of stores against a reader is ring.pml's matter.
 * Property: who reads seq s at its position finds record s, of the writer that made it visible; what a writer evicts
 * is what it believes it to be.
 *  TWO_WORDS  the position is stored into the cell in use, then the word: two words that must agree
 *  NO_AGAIN   a reader does not look at the word again after the position
 */
#ifndef NREC
#define NREC 5
#endif
byte hw, tc[2], ow = 2, oc[2];
#define head   (hw / 2)
#define tail   tc[hw % 2]
#define oldest (ow / 2)
#define opos   oc[ow % 2]
#ifdef TWO_WORDS
#define OTHER(w) ((w) % 2)
#else
#define OTHER(w) (1 - (w) % 2)
#endif
byte hseq[4], hlen[4], hatt[4], second[4];   /* header word and second word at position % 4 */
byte vis[NREC + 3], att, lives = 3;
#define DIE if :: lives > 1 -> lives--; goto again :: skip fi

inline put(s, l, p)
{
    atomic { hseq[(p) % 4] = s; hlen[(p) % 4] = l; hatt[(p) % 4] = att }; DIE;
    if :: l == 2 -> atomic { hseq[(p + 1) % 4] = 0; second[(p + 1) % 4] = s } :: else fi; DIE
}

active proctype writer()
{
    byte s, l, p, n, q, two, c;
again:
    do
    :: head < NREC ->
        atomic { att++; s = head + 1; p = tail; if :: l = 1; two = 0 :: l = 2; two = 0 :: l = 1; two = 1 fi;
                 n = oldest; q = opos };
        do                                           /* prepare: one store for all that is evicted */
        :: p + l + two - q > 4 ->
            assert(hseq[q % 4] == n);
            q = q + hlen[q % 4]; n++
        :: else -> break
        od;
        if
        :: n != oldest ->
            c = OTHER(ow);
            oc[c] = q; DIE;
            ow = n * 2 + c; DIE
        :: else
        fi;
        put(s, l, p);                                /* write */
        if :: two -> put(s + 1, 1, p + 1) :: else fi;
        c = OTHER(hw);                               /* commit */
        tc[c] = p + l + two; DIE;
        atomic { hw = (s + two) * 2 + c; vis[s] = att; vis[s + 1] = (two -> att : vis[s + 1]) }; DIE
    :: else -> break
    od
}

active proctype reader()                             /* a cursor: seq and position, walks record by record */
{
    byte r = 1, p, n, w, x;
end:
    do
    :: atomic { head >= r && oldest <= r ->          /* the copy held: it may be used */
        assert(hseq[p % 4] == r && hatt[p % 4] == vis[r]);
        n = hlen[p % 4];
        assert(n != 2 || second[(p + 1) % 4] == r);
        r++; p = p + n; n = 0 }
    :: oldest > r ->                                 /* a gap, or a seek: from the oldest on */
        w = ow;
        x = oc[w % 2];
#ifndef NO_AGAIN
        if :: ow == w -> skip :: else -> goto no fi;
#endif
        atomic { r = w / 2; p = x; w = 0; x = 0 }
    :: head >= r ->                                  /* to the end, as a worker with nothing pending */
        w = hw;
        x = tc[w % 2];
#ifndef NO_AGAIN
        if :: hw == w -> skip :: else -> goto no fi;
#endif
        atomic { r = w / 2 + 1; p = x; w = 0; x = 0 }
    od;
no: atomic { w = 0; x = 0; goto end }
}
