/* resync.pml - mutations that nobody could tell: src/log/wsb_slot.c, wsb_append.c.
 *
 * A worker passes mutations on to a backend, which makes them or not, and appends an event for each that was made.  It
 * may die at any instruction.  Sweepers find the slot's pid gone and reclaim it, under the mutex, and may die as well.
 * `made` counts what the backend has done, `told` what of it the log tells of: an event tells of its own, a resync of
 * everything that was made before it.
 * Property: when the slot is free, nothing that was made is untold.
 *  COUNT_LATE   it is counted when it has been sent
 *  DONE_EARLY   it is counted off before its event is appended
 *  CLEAR_FIRST  who reclaims clears the count, then appends
 *  PID_FIRST    or frees the slot, then appends
 *  NO_EVERY     no resync is appended
 */
#ifndef NMUT
#define NMUT 3
#endif
#ifndef DEATHS
#define DEATHS 2                         /* of sweepers */
#endif

byte underway, made, told; bit slot = 1, dead;
byte mtx, deaths;

active proctype worker()
{
    byte n; bit did;

    do
    :: n < NMUT ->
#ifndef COUNT_LATE
        underway++;
        if :: dead = 1; goto out :: skip fi;
#endif
        if :: made++; did = 1 :: did = 0 fi;     /* sent: the backend did it, or not */
        if :: dead = 1; goto out :: skip fi;
#ifdef COUNT_LATE
        underway++;
        if :: dead = 1; goto out :: skip fi;
#endif
#ifdef DONE_EARLY
        underway--;
        if :: dead = 1; goto out :: skip fi;
#endif
        if
        :: did -> atomic { mtx == 0 -> mtx = 1 }; told++;        /* one store commits */
            if :: dead = 1; mtx = 0; goto out :: skip fi;
            mtx = 0
        :: else
        fi;
        if :: dead = 1; goto out :: skip fi;
#ifndef DONE_EARLY
        underway--;
        if :: dead = 1; goto out :: skip fi;
#endif
        n++; did = 0
    :: n == NMUT -> dead = 1; break
    od;
out: skip
}

#define MAYDIE if :: deaths < DEATHS -> deaths++; mtx = 0; goto again :: skip fi

active [2] proctype sweeper()
{
end:
again:
    do
    :: atomic { dead && slot && mtx == 0 -> mtx = _pid + 1 };
        if
        :: slot ->
#ifdef PID_FIRST
            slot = 0; MAYDIE;
#endif
            if
            :: underway > 0 ->
#ifdef CLEAR_FIRST
                underway = 0; MAYDIE;
#endif
#ifndef NO_EVERY
                told = made; MAYDIE;
#endif
                underway = 0; MAYDIE
            :: else
            fi;
            slot = 0; MAYDIE
        :: else
        fi;
        mtx = 0
    :: atomic { !slot && mtx == 0 -> assert(told == made); break }
    od
}
