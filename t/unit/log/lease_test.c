/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Leases: who may take one over, and that a stalled owner can do no harm.
 *
 * A child kills itself at the k-th WSB_STEP, for every k: what it leaves must
 * be somebody's who can be found out, or to be taken over.
 */

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void  step(const char *name);

#include "wsb.h"

#undef WSB_STEP
#define WSB_STEP(name)  step(name)

#include "log/wsb_lease.c"

#include "tap.h"


#define OLD    10                         /* pids */
#define NEW    11
#define THIRD  12


static unsigned  killed_at;               /* 0: at none */
static unsigned  steps;
static uint32_t  dead;


static void
step(const char *name)
{
    (void) name;

    if (++steps == killed_at) {
        kill(getpid(), SIGKILL);
    }
}


static int
gone(uint32_t pid)
{
    return pid == dead;
}


static void
test_take(void)
{
    uint64_t     term, next;
    wsb_lease_t  l;

    memset(&l, 0, sizeof(l));

    ok(!wsb_lease_held_locked(&l, OLD, 1), "a new one is nobody's");
    ok(wsb_lease_free(&l, OLD, 1, 5000, gone), "so it can be taken");

    term = wsb_lease_take_locked(&l, OLD, 1, 5000, gone);
    is_uint(term, 1, "the first term");
    ok(wsb_lease_held_locked(&l, OLD, term), "it is held");
    ok(!wsb_lease_held_locked(&l, NEW, term), "by no other process");
    ok(!wsb_lease_held_locked(&l, OLD, 2), "with no other term");

    is_uint(wsb_lease_take_locked(&l, NEW, 1, 5000, gone), 0,
            "it is not taken from an owner that is well");
    is_uint(wsb_lease_take_locked(&l, NEW, 1, 5000 + WSB_LEASE_TIME, gone), 0,
            "as long as it has shown itself");
    is_uint(wsb_lease_take_locked(&l, NEW, 1, 4000, gone), 0,
            "nor if a clock lags behind");
    is_uint(l.term, 1, "and the term is the same");

    ok(wsb_lease_beat(&l, OLD, term, 6000), "it shows itself");
    ok(!wsb_lease_free(&l, NEW, 1, 6000 + WSB_LEASE_TIME, gone),
       "that counts from then on");

    /* stalled */

    next = wsb_lease_take_locked(&l, NEW, 1, 6001 + WSB_LEASE_TIME, gone);
    is_uint(next, 2, "who is silent for too long loses it, the term grows");
    ok(!wsb_lease_held_locked(&l, OLD, term), "the old owner holds it no more");
    ok(!wsb_lease_beat(&l, OLD, term, 9999), "is told so");
    is_uint(l.beat, 6001 + WSB_LEASE_TIME, "and does not show the new one");
    wsb_lease_leave_locked(&l, OLD, term);
    ok(wsb_lease_held_locked(&l, NEW, next), "nor gives its lease away");

    /* stalled, and it has taken it over again without knowing that */

    wsb_lease_leave_locked(&l, NEW, next);
    ok(!wsb_lease_held_locked(&l, NEW, next), "who is the owner can leave");
    is_uint(wsb_lease_take_locked(&l, OLD, 1, 9100, gone), 3,
            "then it is free at once");
    ok(!wsb_lease_held_locked(&l, OLD, term),
       "an old term of the same process is over");

    /* a newer generation */

    is_uint(wsb_lease_take_locked(&l, NEW, 2, 9100, gone), 4,
            "a newer generation takes it at once");
    is_uint(wsb_lease_take_locked(&l, OLD, 1, 9100, gone), 0,
            "an older one does not");

    /* a death */

    dead = NEW;
    is_uint(wsb_lease_take_locked(&l, OLD, 1, 9100, gone), 5,
            "what the dead have held is free");
    dead = 0;

    is_uint(wsb_lease_take_locked(&l, OLD, 2, 9100, gone), 6,
            "so is what somebody with our pid has held before us");
}


/*
 * OLD holds it with term 1, and NEW dies at a step of taking it over.  The
 * lease is whole at each: OLD either holds it or has lost it, THIRD gets it,
 * with a term that nobody was given, and OLD can do no more harm.
 */

static const char *
taken_fault(wsb_lease_t *l, uint64_t given, int lives)
{
    uint64_t  term;

    if (given != 0 && given != 2) {
        return "no such term";
    }

    if (wsb_lease_held_locked(l, OLD, 1)) {
        return "the old owner has it as well";
    }

    if (wsb_lease_beat(l, OLD, 1, 9000)) {
        return "the old owner shows itself";
    }

    wsb_lease_leave_locked(l, OLD, 1);

    if (l->owner != NEW) {
        return "the old owner has given it away";
    }

    if (given != 0 && !wsb_lease_held_locked(l, NEW, given)) {
        return "who has taken it does not hold it";
    }

    /* dead, or its pid is a stranger's by now, that never shows itself */

    dead = lives ? 0 : NEW;
    term = wsb_lease_take_locked(l, THIRD, 1, 20000, gone);
    dead = 0;

    if (term <= 1 || term == given) {
        return "nobody can take it over, or not with a new term";
    }

    return wsb_lease_held_locked(l, THIRD, term)
           && !wsb_lease_held_locked(l, NEW, given)
           ? NULL : "the third does not hold it alone";
}


static void
take(wsb_lease_t *l, uint64_t *given)
{
    *given = wsb_lease_take_locked(l, NEW, 1, 5001 + WSB_LEASE_TIME, gone);
}


static void
leave(wsb_lease_t *l, uint64_t *given)
{
    (void) given;

    wsb_lease_leave_locked(l, OLD, 1);
}


static const char *
left_fault(wsb_lease_t *l, uint64_t given, int lives)
{
    (void) given;
    (void) lives;

    return wsb_lease_take_locked(l, THIRD, 1, 5001, gone) == 2
           ? NULL : "it is not free";
}


static void
beat(wsb_lease_t *l, uint64_t *given)
{
    (void) given;

    (void) wsb_lease_beat(l, OLD, 1, 6000);
}


static const char *
beat_fault(wsb_lease_t *l, uint64_t given, int lives)
{
    (void) given;
    (void) lives;

    if (wsb_lease_free(l, THIRD, 1, 6000 + WSB_LEASE_TIME, gone)) {
        return "it was not seen";
    }

    dead = OLD;
    lives = wsb_lease_take_locked(l, THIRD, 1, 6000, gone) == 2;
    dead = 0;

    return lives ? NULL : "it is not free when its owner is dead";
}


static void
test_killed(const char *name, void (*run)(wsb_lease_t *l, uint64_t *given),
    const char *(*fault)(wsb_lease_t *l, uint64_t given, int lives),
    unsigned want)
{
    int          status, lives, bad;
    pid_t        pid;
    unsigned     k;
    uint64_t    *given;
    const char  *what;
    wsb_lease_t *l, copy;

    l = mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);
    given = (uint64_t *) (l + 1);
    bad = 0;

    for (k = 1; /* void */ ; k++) {
        memset(l, 0, 4096);
        wsb_lease_take_locked(l, OLD, 1, 5000, gone);

        pid = fork();

        if (pid == 0) {
            steps = 0;
            killed_at = k;
            run(l, given);
            _exit(0);
        }

        if (waitpid(pid, &status, 0) != pid) {
            status = 0;
            bad++;
        }

        copy = *l;

        for (lives = 0; lives < 2; lives++) {
            *l = copy;
            what = fault(l, *given, lives);

            if (what != NULL) {
                bad++;
                printf("# %s, killed at step %u: %s\n", name, k, what);
            }
        }

        if (!WIFSIGNALED(status)) {
            break;
        }
    }

    ok(!bad && k - 1 == want, "%s: killed at each of %u steps", name, k - 1);

    munmap(l, 4096);
}


int
main(void)
{
    test_take();
    test_killed("take over", take, taken_fault, 4);
    test_killed("leave", leave, left_fault, 1);
    test_killed("beat", beat, beat_fault, 1);

    return tap_done();
}
