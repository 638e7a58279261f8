/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The wake-up protocol: the code as it is, under a scheduler that tries every
 * order.
 *
 * Publishers, workers and a sweeper are coroutines.  They stop at each
 * WSB_STEP and where they wait for the mutex; which one goes on, and who is
 * killed, is tried in all ways, depth first.  A state that has been seen is
 * not gone through again: it is the zone, what the actors hold, and their
 * stacks.  To go back to where it branches, all of these are copied back; with
 * the address sanitizer, which knows nothing of that, the execution is
 * repeated from its start, and only some are tried.
 *
 * To show that it finds something, the same is done with rules broken.
 */

/*
 * longjmp() goes from one stack to another here, which the fortified one takes
 * for a mistake; some compilers define this by themselves.
 */
#undef _FORTIFY_SOURCE

static void step(const char *name);

#define WSB_STEP(name)  step(name)

#include "log/wsb_append.h"
#include "log/wsb_slot.h"

/* between them and the zone a rule may be broken: see below */
#define wsb_interest_notify_locked  interest_notify_locked
#include "../../../src/log/wsb_interest.c"
#undef wsb_interest_notify_locked

#include "../../../src/log/wsb_append.c"
#include "../../../src/log/wsb_bucket.c"
#include "../../../src/log/wsb_chunk.c"
#include "../../../src/log/wsb_log.c"
#include "../../../src/log/wsb_slot.c"
#include "../../../src/log/wsb_zone.c"

#include "tap.h"

#include <setjmp.h>
#include <stdlib.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define SANITIZED         1
#define unguard(p, n)     __asan_unpoison_memory_region(p, n)
#define NOT_SANITIZED     __attribute__((no_sanitize("address"), noinline))
#else
#define SANITIZED         0
#define unguard(p, n)
#define NOT_SANITIZED     __attribute__((noinline))
#endif


#define SIZE              (512 * 1024)
#define STACK             (SANITIZED ? 65536 : 16384)
#define ACTORS            6
#define SEQS              8
#define RECORD            32
#define DEPTH             512
#define FRAME             256       /* below what is hashed of a stack */
#define SAVED             (32 * 1024)
#define SEEN              ((size_t) 1 << 22)

/* what of the zone is ever touched: the rest stays as it was made */
#define AREAS             6
#define CHUNKS            4


/* The rules that can be broken. */

typedef enum {
    AS_BUILT = 0,
    ONE_LOOK,                   /* arm does not look at pending_from */
    ARM_NEVER_FIRST,            /* a fresh worker does not arm itself */
    WAKE_IF_PENDING,            /* who finds nothing pending does not arm */
    TAKE_UNLOCKED,
    SUBSCRIBE_UNLOCKED,
    PENDING_IF_ZERO,            /* stored only if there is none */
    HEAD_FIRST,                 /* visible, then pending_from */
    DISARM_EARLY,               /* before pending_from is stored */
    NO_TIMER,
    PENDING_THEN_HEAD,          /* "I stand at the head", the other way */
    SWEEP_BLINDLY,              /* without looking at the pid again */
    PID_FIRST,                  /* reclaim frees the pid, then the chunks */
    NBROKEN
} broken_t;


typedef struct {
    const char     *name;
    unsigned        publishers;
    unsigned        workers;
    unsigned        batch;      /* at most */
    unsigned        rounds;     /* of each publisher */
    unsigned        mortal;     /* who may be killed, once: bit i actor i */
    unsigned        timer;
    unsigned        sweep;      /* sweepers; and worker 0 has a successor */
    unsigned        ping;
    broken_t        broken;
    size_t          limit;      /* of executions, 0: none */
} plan_t;


typedef enum {
    UNBORN = 0,
    RUNS,
    ENDED,
    KILLED
} life_t;


typedef struct actor_s  actor_t;

struct actor_s {
    unsigned        n;
    uint32_t        pid;
    life_t          life;
    const char     *at;
    unsigned      (*choices)(actor_t *a);
    unsigned        choice;
    uint8_t        *low;        /* of its stack in use */

    /* a worker's */
    int             slot;
    unsigned        which;      /* of the masks */
    wsb_hand_t      hand;
    uint64_t        from;
    uint8_t         got[SEQS + 1];
    uint64_t        last;
    unsigned        pinged;

    /* a publisher's */
    unsigned        round;
    wsb_batch_t     batch;
    wsb_entry_t     entries[2];
    uint64_t        records[2 * RECORD / 8];
    wsb_appended_t  out;
};


typedef struct {
    actor_t         actor[ACTORS];
    unsigned        holder;     /* of the mutex: n + 1 */
    unsigned        killed;
    uint8_t         signal[2];
    uint8_t         mask[SEQS + 1];   /* by seq: which worker it concerns */
} world_t;


typedef struct {
    uint8_t         actor;
    uint8_t         choice;     /* 32: kill, 33: unlock for the dead */
} move_t;

typedef struct {
    unsigned        n;
    unsigned        i;
    move_t          move[24];
#if !SANITIZED
    jmp_buf         jump[ACTORS + 1];
    uint8_t         saved[SAVED];
#endif
} branch_t;


typedef struct {
    void           *p;
    void           *copy;
    size_t          len;
} area_t;


static const uint8_t   secret[] = "0123456789abcdef";

static const plan_t   *plan;
static world_t         world;
static wsb_zone_t     *zone;
static area_t          area[AREAS];
static actor_t        *self;

static uint8_t        *stack[ACTORS];
static ucontext_t      context[ACTORS + 1];
#if !SANITIZED
static jmp_buf         jump[ACTORS + 1];
#endif

static wsb_copy_t      copy;
static const char     *fault;

static branch_t        path[DEPTH];
static size_t          depth;
static uint64_t       *seen;
static size_t          nseen, nruns, nends;


/*
 * Coroutines.  A hash of what is on a stack stands for where its actor is.
 */

static void
switch_to(unsigned from, unsigned to)
{
#if SANITIZED
    swapcontext(&context[from], &context[to]);
#else
    if (_setjmp(jump[from]) == 0) {
        _longjmp(jump[to], 1);
    }
#endif
}


static unsigned
at_once(actor_t *a)
{
    (void) a;
    return 1;
}


static __attribute__((noinline)) unsigned
pause_at(const char *at, unsigned (*choices)(actor_t *a))
{
    actor_t  *a = self;

    /* registers too are to be on the stack */
    __builtin_unwind_init();

    a->at = at;
    a->choices = choices;
    a->low = (uint8_t *) __builtin_frame_address(0) - 64;

    switch_to(a->n + 1, 0);

    return a->choice;
}


static void
step(const char *name)
{
    /* without deaths, what happens under the mutex is seen by few */

    if (self == NULL) {
        return;
    }

    if (plan->mortal == 0
        && strcmp(name, "pending stored") != 0
        && strcmp(name, "end word") != 0
        && strcmp(name, "armed") != 0
        && strcmp(name, "taken") != 0
        && strcmp(name, "head read") != 0
        && plan->broken != SUBSCRIBE_UNLOCKED)
    {
        return;
    }

    /* and these are steps for nobody but slot_test.c */

    if (strcmp(name, "counter cleared") == 0
        || strcmp(name, "end read") == 0
        || strcmp(name, "seek") == 0
        || strcmp(name, "header read") == 0
        || strcmp(name, "copied") == 0)
    {
        return;
    }

    pause_at(name, at_once);
}


static unsigned
when_unlocked(actor_t *a)
{
    (void) a;
    return world.holder == 0;
}


static void
lock(void)
{
    pause_at("lock", when_unlocked);
    world.holder = self->n + 1;
}


static void
unlock(void)
{
    world.holder = 0;
}


static void
wrong(const char *what)
{
    if (fault == NULL) {
        fault = what;
    }
}


/*
 * Publishers.  What they publish: for each record, whom it concerns.
 */

static const struct {
    unsigned  n;
    uint8_t   mask[2];
} what[] = {
    { 1, { 1, 0 } }, { 2, { 0, 1 } }, { 1, { 0, 0 } }, { 2, { 1, 1 } },
    { 2, { 1, 0 } },
    /* with two workers */
    { 1, { 2, 0 } }, { 1, { 3, 0 } }, { 2, { 2, 1 } }, { 2, { 1, 2 } },
    { 2, { 3, 1 } }
};


static unsigned
publishable(actor_t *a)
{
    unsigned  i, choices, n;

    (void) a;

    if (world.holder != 0) {
        return 0;
    }

    n = plan->workers == 2 ? 10 : 5;

    for (i = 0, choices = 0; i < n; i++) {
        if (what[i].n <= plan->batch) {
            choices |= 1u << i;
        }
    }

    return choices;
}


static wsb_parts_t
parts_of(unsigned mask)
{
    wsb_parts_t  parts;

    /* worker 0 asks for a type, worker 1 for an id */

    memset(&parts, 0, sizeof(wsb_parts_t));

    parts.tenant.h[0] = 1;
    parts.part[WSB_ENTITY_TYPE].h[0] = 100 + (mask & 1);
    parts.part[WSB_ENTITY_ID].h[0] = 200 + (mask & 2);
    parts.present = 1 << WSB_ENTITY_TYPE | 1 << WSB_ENTITY_ID;

    return parts;
}


/* Stands between the interest table and wsb_append_locked(). */

void
wsb_interest_notify_locked(wsb_zone_t *z, const wsb_parts_t *parts,
    uint64_t seq, wsb_appended_t *out)
{
    unsigned  i;
    uint64_t  pending[2];

    for (i = 0; i < 2; i++) {
        pending[i] = wsb_zone_slot(z, i)->pending_from;
    }

    interest_notify_locked(z, parts, seq, out);

    if (plan->broken == PENDING_IF_ZERO) {
        for (i = 0; i < 2; i++) {
            if (pending[i] != 0) {
                wsb_zone_slot(z, i)->pending_from = pending[i];
            }
        }
    }
}


static void
append_head_first_locked(wsb_batch_t *b, wsb_appended_t *out)
{
    size_t         i;
    uint64_t       pos, seq;
    wsb_record_t  *rec;

    seq = wsb_log_head(&zone->log);

    for (i = 0; i < b->nentries; i++) {
        rec = (wsb_record_t *) (b->records + b->entries[i].offset);
        rec->seq = seq + 1 + i;
    }

    pos = wsb_log_prepare_locked(&zone->log, b->len);
    wsb_log_write_locked(&zone->log, pos, b->records, b->len);
    wsb_log_commit_locked(&zone->log, seq + b->nentries, pos + b->len);

    for (i = 0; i < b->nentries; i++) {
        wsb_interest_notify_locked(zone, &b->entries[i].parts, seq + 1 + i,
                                   out);
    }
}


static void
publish(actor_t *a, unsigned choice)
{
    unsigned        i, was;
    uint64_t        seq;
    wsb_batch_t    *b;
    wsb_record_t   *rec;

    b = &a->batch;
    b->records = (uint8_t *) a->records;
    b->entries = a->entries;
    b->nentries = what[choice].n;
    b->len = b->nentries * RECORD;

    seq = wsb_log_head(&zone->log);

    if (seq + b->nentries > SEQS) {
        abort();
    }

    for (i = 0; i < b->nentries; i++) {
        b->entries[i].offset = RECORD * i;
        b->entries[i].len = RECORD;
        b->entries[i].parts = parts_of(what[choice].mask[i]);

        rec = (wsb_record_t *) (b->records + RECORD * i);
        rec->len = RECORD;
        b->records[RECORD * i + sizeof(wsb_record_t)] = what[choice].mask[i];
    }

    was = 0;

    if (plan->broken == DISARM_EARLY) {
        for (i = 0; i < plan->workers; i++) {
            if (wsb_zone_slot(zone, i)->nentries != 0
                && wsb_slot_disarm(zone, i))
            {
                was |= 1u << i;
            }
        }
    }

    memset(&a->out, 0, sizeof(wsb_appended_t));

    if (plan->broken == HEAD_FIRST) {
        append_head_first_locked(b, &a->out);

    } else {
        wsb_append_locked(zone, b, 1, NULL, &a->out);
    }

    unlock();

    for (i = 0; i < 2; i++) {

        if (!(a->out.slots[0] & 1u << i)) {
            continue;
        }

        pause_at("disarm", at_once);

        if (plan->broken == DISARM_EARLY ? (int) (was >> i & 1)
                                         : wsb_slot_disarm(zone, i))
        {
            pause_at("signal", at_once);
            world.signal[i] = 1;
        }
    }
}


static void
publisher(actor_t *a)
{
    unsigned  choice;

    while (a->round < plan->rounds) {
        choice = pause_at("publish", publishable);
        world.holder = a->n + 1;
        a->round++;

        publish(a, choice);
    }
}


/*
 * Workers.
 */

#define BY_SIGNAL    0x01
#define BY_TIMER     0x02
#define BY_CLIENT    0x04
#define BY_PING      0x08
#define GO_ON        0x10


static unsigned
asleep(actor_t *a)
{
    unsigned  by;

    by = world.signal[a->slot] ? BY_SIGNAL : 0;

    if (plan->timer && plan->broken != NO_TIMER
        && wsb_slot_pending(zone, (unsigned) a->slot))
    {
        by |= BY_TIMER;
    }

    if (a->from == 0) {
        by |= BY_CLIENT;
    }

    if (plan->ping && !a->pinged && a->from != 0) {
        by |= BY_PING;
    }

    return by;
}


static unsigned
between(actor_t *a)
{
    return a->from == 0 ? GO_ON | BY_CLIENT : GO_ON;
}


static void
take(actor_t *a)
{
    if (!wsb_slot_pending(zone, (unsigned) a->slot)) {
        /* what is not in hand concerns nobody here */
        return;
    }

    if (plan->broken == TAKE_UNLOCKED) {
        pause_at("take", at_once);
        wsb_slot_take_locked(zone, (unsigned) a->slot, &a->hand);
        return;
    }

    lock();
    wsb_slot_take_locked(zone, (unsigned) a->slot, &a->hand);
    unlock();
}


static void
subscribe(actor_t *a)
{
    unsigned     mask;
    wsb_key_t    key;
    wsb_parts_t  parts;

    mask = a->which == 0 ? 1 << WSB_ENTITY_TYPE : 1 << WSB_ENTITY_ID;
    parts = parts_of(3);
    key = wsb_key(&parts, mask);

    if (plan->broken == SUBSCRIBE_UNLOCKED) {
        pause_at("subscribe", at_once);

    } else {
        lock();
    }

    wsb_slot_take_locked(zone, (unsigned) a->slot, &a->hand);
    a->from = wsb_log_head(&zone->log) + 1;

    if (wsb_interest_add_locked(zone, (unsigned) a->slot, &key, 1, mask)
        != WSB_OK)
    {
        abort();
    }

    if (plan->broken != SUBSCRIBE_UNLOCKED) {
        unlock();
    }
}


static void
read_one(actor_t *a)
{
    uint64_t             seq;
    uint8_t              mask;
    const wsb_record_t  *rec;

    seq = a->hand.next.seq;

    if (wsb_log_read(&zone->log, &a->hand.next, &copy) != WSB_OK) {
        wrong("a record in the hand cannot be read");
        a->hand.next.seq++;
        return;
    }

    rec = (const wsb_record_t *) copy.data;
    mask = copy.data[sizeof(wsb_record_t)];

    if (rec->seq != seq || a->hand.next.seq != seq + 1) {
        wrong("another record was read");
    }

    if (a->from == 0 || seq < a->from || !(mask >> a->which & 1)) {
        return;
    }

    if (seq <= a->last) {
        wrong("a record was read twice, or out of order");
    }

    if (seq > wsb_log_head(&zone->log)) {
        wrong("a record was read before it was visible");
    }

    a->last = seq;
    a->got[seq]++;
}


static uint8_t
mask_of(uint64_t seq)
{
    uint8_t       mask;
    wsb_cursor_t  cursor;

    cursor.seq = seq;
    cursor.pos = WSB_LOG_POS_UNKNOWN;
    mask = 0xff;

    if (wsb_log_read(&zone->log, &cursor, &copy) == WSB_OK) {
        mask = copy.data[sizeof(wsb_record_t)];
    }

    return mask;
}


static void
ping(actor_t *a)
{
    uint64_t  head, seq;
    actor_t  *me;

    a->pinged = 1;

    if (plan->broken == PENDING_THEN_HEAD) {
        head = wsb_slot_pending(zone, (unsigned) a->slot);
        pause_at("pending read", at_once);
        head = head ? 0 : wsb_log_head(&zone->log);

    } else {
        head = wsb_slot_at_head(zone, (unsigned) a->slot);
    }

    me = self;
    self = NULL;

    for (seq = a->from; seq <= head; seq++) {
        if ((mask_of(seq) >> a->which & 1) && a->got[seq] == 0) {
            wrong("said to stand at the head, but it does not");
        }
    }

    self = me;
}


static int
is_gone(uint32_t pid)
{
    unsigned  i;

    for (i = 0; i < ACTORS; i++) {
        if (world.actor[i].pid == pid) {
            return world.actor[i].life == KILLED;
        }
    }

    return 0;
}


static void
worker(actor_t *a)
{
    unsigned  by;

    lock();
    a->slot = wsb_slot_enter_locked(zone, a->pid, 1, is_gone,
                                    &a->hand);
    unlock();

    if (plan->sweep && a->slot != 0) {
        wrong("not the slot of its predecessor");
    }

    if (plan->broken != ARM_NEVER_FIRST) {
        goto arm;
    }

    for ( ;; ) {
        by = pause_at("asleep", asleep);

        if (by == BY_PING) {
            ping(a);
            continue;
        }

        if (by == BY_CLIENT) {
            subscribe(a);

            if (wsb_hand_empty(&a->hand)) {
                /* as armed as it was */
                continue;
            }

        } else {

            if (by == BY_SIGNAL) {
                world.signal[a->slot] = 0;

                if (plan->broken == WAKE_IF_PENDING
                    && !wsb_slot_pending(zone, (unsigned) a->slot))
                {
                    continue;
                }
            }

again:

            take(a);
        }

        while (!wsb_hand_empty(&a->hand)) {

            if (pause_at("between", between) == BY_CLIENT) {
                subscribe(a);

            } else {
                read_one(a);
            }
        }

arm:

        pause_at("arm", at_once);

        if (wsb_slot_arm(zone, (unsigned) a->slot)
            && plan->broken != ONE_LOOK)
        {
            goto again;
        }
    }
}


/*
 * A sweeper: looks at slot 0 once its process is gone.
 */

static unsigned
when_gone(actor_t *a)
{
    uint32_t  pid;

    (void) a;

    pid = wsb_zone_slot(zone, 0)->pid;

    return pid != 0 && is_gone(pid);
}


static void
sweeper(actor_t *a)
{
    uint32_t     pid, i, *owner;
    wsb_slot_t  *slot;

    (void) a;

    pause_at("sweep", when_gone);
    slot = wsb_zone_slot(zone, 0);
    pid = slot->pid;

    lock();

    if (plan->broken == SWEEP_BLINDLY) {
        pid = slot->pid;
    }

    if (plan->broken == PID_FIRST && slot->pid == pid) {
        slot->pid = 0;
        pause_at("pid cleared", at_once);

        slot->nentries = 0;
        memset(slot->dir, 0, sizeof(slot->dir));
        owner = wsb_zone_owners(zone);

        for (i = 0; i < zone->nchunks; i++) {
            owner[i] = owner[i] == 1 ? 0 : owner[i];
        }

        unlock();
        return;
    }

    wsb_slot_reclaim_locked(zone, 0, pid);
    unlock();
}


/*
 * The scheduler.
 */

static void
actor_main(int n)
{
    actor_t  *a;

    a = &world.actor[n];

    if (n < (int) plan->publishers) {
        publisher(a);

    } else if (a->pid >= 200) {
        sweeper(a);

    } else {
        worker(a);
    }

    a->life = ENDED;
    a->low = stack[n] + STACK;
    switch_to(a->n + 1, 0);
}


static unsigned
never(actor_t *a)
{
    (void) a;
    return 0;
}


static void
actor_create(unsigned n, uint32_t pid, unsigned which)
{
    actor_t     *a;

    a = &world.actor[n];
    a->n = n;
    a->pid = pid;
    a->which = which;
    a->life = RUNS;
    a->at = "born";
    a->choices = at_once;
    a->low = stack[n] + STACK;

    unguard(stack[n], STACK);
    memset(stack[n] + STACK - 4096, 0, 4096);

    getcontext(&context[n + 1]);
    context[n + 1].uc_stack.ss_sp = stack[n];
    context[n + 1].uc_stack.ss_size = STACK;
    context[n + 1].uc_link = NULL;
    makecontext(&context[n + 1], (void (*)(void)) actor_main, 1, (int) n);
}


static void
actor_start(unsigned n)
{
    /* until its first pause: that is before it does anything */

    self = &world.actor[n];

#if SANITIZED
    swapcontext(&context[0], &context[n + 1]);
#else
    if (_setjmp(jump[0]) == 0) {
        setcontext(&context[n + 1]);
    }
#endif

    self = NULL;
}


static void
world_reset(void)
{
    unsigned  i, n;

    for (i = 0; i < AREAS; i++) {
        memcpy(area[i].p, area[i].copy, area[i].len);
    }

    memset(&world, 0, sizeof(world_t));

    for (i = 0; i < ACTORS; i++) {
        world.actor[i].choices = never;
    }

    n = 0;

    for (i = 0; i < plan->publishers; i++) {
        actor_create(n, 10 + i, 0);
        actor_start(n++);
    }

    for (i = 0; i < plan->workers; i++) {
        actor_create(n, 100 + i, i);
        actor_start(n++);
    }

    for (i = 0; i < plan->sweep; i++) {
        actor_create(n, 200 + i, 0);
        actor_start(n++);
    }
}


/* Who can go on, and how. */

static unsigned
moves(branch_t *b)
{
    unsigned  i, k, choices;
    actor_t  *a;

    b->n = 0;
    b->i = 0;

    for (i = 0; i < ACTORS; i++) {
        a = &world.actor[i];

        if (a->life == RUNS) {
            choices = a->choices(a);

            for (k = 0; k < 16; k++) {
                if (choices & 1u << k) {
                    b->move[b->n].actor = (uint8_t) i;
                    b->move[b->n++].choice = (uint8_t) k;
                }
            }

            if (plan->mortal & ~world.killed & 1u << i) {
                b->move[b->n].actor = (uint8_t) i;
                b->move[b->n++].choice = 32;
            }
        }

        if (a->life == KILLED && world.holder == i + 1) {
            b->move[b->n].actor = (uint8_t) i;
            b->move[b->n++].choice = 33;
        }
    }

    /* the successor of worker 0, in its slot */

    i = plan->publishers;

    if (plan->sweep && world.actor[i].life == KILLED
        && world.holder != i + 1 && world.actor[ACTORS - 1].life == UNBORN)
    {
        b->move[b->n].actor = ACTORS - 1;
        b->move[b->n++].choice = 34;
    }

    return b->n;
}


static void
move(const move_t *m)
{
    actor_t  *a;

    a = &world.actor[m->actor];

    switch (m->choice) {

    case 32:
        a->life = KILLED;
        a->low = stack[a->n] + STACK;
        world.killed |= 1u << a->n;
        break;

    case 33:
        world.holder = 0;
        break;

    case 34:
        actor_create(m->actor, 150, 0);
        actor_start(m->actor);
        break;

    default:
        a->choice = m->choice;

        if (a->choices == asleep || a->choices == between) {
            a->choice = 1u << m->choice;
        }

        self = a;
        switch_to(0, a->n + 1);
        self = NULL;
    }
}


#if SANITIZED

static void
save(branch_t *b)
{
    (void) b;
}


static void
restore(branch_t *b)
{
    branch_t  *p;

    world_reset();

    for (p = path; p < b; p++) {
        move(&p->move[p->i]);
    }
}

#else

static uint8_t *
keep(uint8_t *p, void *it, size_t len, int back)
{
    if (back) {
        memcpy(it, p, len);

    } else {
        memcpy(p, it, len);
    }

    return p + len;
}


static void
save_or_restore(branch_t *b, int back)
{
    size_t     len;
    uint8_t   *p;
    unsigned   i;
    actor_t   *a;

    p = keep(b->saved, &world, sizeof(world_t), back);

    for (i = 0; i < AREAS; i++) {
        p = keep(p, area[i].p, area[i].len, back);
    }

    for (i = 0; i < ACTORS; i++) {
        a = &world.actor[i];

        if (a->life == RUNS) {
            len = (size_t) (stack[i] + STACK - a->low) + FRAME;

            if (p + len > b->saved + SAVED) {
                abort();
            }

            p = keep(p, a->low - FRAME, len, back);
        }
    }

    keep((uint8_t *) b->jump, jump, sizeof(jump), back);
}


static void
save(branch_t *b)
{
    save_or_restore(b, 0);
}


static void
restore(branch_t *b)
{
    save_or_restore(b, 1);
}

#endif


static NOT_SANITIZED uint64_t
hash_of(uint64_t h, const void *p, size_t len)
{
    uint64_t         a, b;
    const uint64_t  *w, *last;

    w = p;
    last = w + len / 8;
    a = h;
    b = ~h;

    for ( /* void */ ; w + 1 < last; w += 2) {
        a = (a ^ w[0]) * 0x9fb21c651e98df25ULL;
        b = (b ^ w[1]) * 0xd6e8feb86659fd93ULL;
        a ^= a >> 32;
        b ^= b >> 29;
    }

    if (w < last) {
        a ^= *w;
    }

    return (a ^ (b << 1)) * 0x9fb21c651e98df25ULL;
}


static uint64_t
state(void)
{
    unsigned  i;
    uint64_t  h;
    actor_t  *a;

    h = 1;

    for (i = 0; i < AREAS; i++) {
        h = hash_of(h, area[i].p, area[i].len);
    }

    h = hash_of(h, &world, sizeof(world_t));

    for (i = 0; i < ACTORS; i++) {
        a = &world.actor[i];

        if (a->life == RUNS) {
            h = hash_of(h + i, a->low, (size_t) (stack[i] + STACK - a->low));
        }
    }

    return h ? h : 1;
}


/* True: it has not been seen yet. */

static int
see(uint64_t h)
{
    size_t  i;

    for (i = h & (SEEN - 1); seen[i] != 0; i = (i + 1) & (SEEN - 1)) {
        if (seen[i] == h) {
            return 0;
        }
    }

    seen[i] = h;
    nseen++;

    return 1;
}


/* Nobody can go on: has everybody what is his? */

static void
check_end(void)
{
    uint32_t     i, k, n, *owner;
    uint64_t     seq, head;
    actor_t     *a;
    wsb_slot_t  *slot;

    nends++;

    if (zone->hint > CHUNKS) {
        abort();
    }

    if (world.holder != 0) {
        wrong("the mutex is held for ever");
    }

    head = wsb_log_head(&zone->log);

    for (i = 0; i < ACTORS; i++) {
        a = &world.actor[i];

        if (a->choices != asleep || a->life != RUNS) {
            continue;
        }

        slot = wsb_zone_slot(zone, (unsigned) a->slot);

        if (slot->pid != a->pid) {
            wrong("a living worker has lost its slot");
        }

        if (slot->pending_from != 0) {
            wrong("it sleeps with something pending");
        }

        /* killed between the exchange and the signal: until the timer */

        if (slot->armed != 1 && world.killed == 0) {
            wrong("it sleeps and is not armed");
        }

        for (seq = a->from ? a->from : SEQS; seq <= head; seq++) {
            if ((mask_of(seq) >> a->which & 1) != a->got[seq]) {
                wrong("a record was not read");
            }
        }
    }

    /* a table is a page and a bucket here */

    owner = wsb_zone_owners(zone);

    for (k = 0; k < 2; k++) {
        slot = wsb_zone_slot(zone, k);

        for (i = 0, n = 0; i < CHUNKS; i++) {
            n += owner[i] == k + 1;
        }

        if (slot->pid == 0 || is_gone(slot->pid)) {
            if (n != 0 && plan->sweep) {
                wrong("a chunk of a dead worker is leaked");
            }

        } else if (n != (slot->nentries ? 2 : 0)) {
            wrong("a chunk is leaked, or taken away");
        }
    }
}


static void
trace(void)
{
    size_t   i;
    move_t  *m;

    world_reset();

    for (i = 0; i < depth; i++) {
        m = &path[i].move[path[i].i];
        printf("#   %u (pid %u) %s: %u\n", m->actor,
               world.actor[m->actor].pid,
               m->choice == 32 ? "killed" :
               m->choice == 33 ? "unlocked" : world.actor[m->actor].at,
               m->choice);
        move(m);
    }

    for (i = 0; i < 2; i++) {
        printf("#   slot %zu: pid %u, pending %llu, armed %u, signal %u\n",
               i, wsb_zone_slot(zone, i)->pid, (unsigned long long)
               wsb_zone_slot(zone, i)->pending_from,
               wsb_zone_slot(zone, i)->armed, world.signal[i]);
    }
}


/* True: all states have been seen, or a fault was found. */

static int
explore(const plan_t *p)
{
    size_t     limit;
    branch_t  *b;

    plan = p;
    limit = getenv("WSB_EXHAUSTIVE") ? 0 : p->limit;

    if (SANITIZED && p->broken == AS_BUILT) {
        limit = 10000;
    }

    memset(seen, 0, SEEN * sizeof(uint64_t));
    nseen = 0;
    nruns = 0;
    nends = 0;
    depth = 0;
    fault = NULL;

    world_reset();

    for ( ;; ) {
        nruns++;

        for ( ;; ) {

            if (!see(state())) {
                break;
            }

            if (depth == DEPTH) {
                wrong("it does not end");
                return 1;
            }

            if (moves(&path[depth]) == 0) {
                check_end();
                break;
            }

            if (path[depth].n > 1) {
                save(&path[depth]);
            }

            move(&path[depth].move[0]);
            depth++;

            if (fault != NULL) {
                break;
            }
        }

        if (fault != NULL) {
            return 1;
        }

        while (depth > 0 && path[depth - 1].i + 1 == path[depth - 1].n) {
            depth--;
        }

        if (depth == 0) {
            return 1;
        }

        b = &path[depth - 1];
        restore(b);
        b->i++;
        move(&b->move[b->i]);

        if (nseen > SEEN / 4 * 3 || (limit != 0 && nruns >= limit)) {
            return 0;
        }
    }
}


static void
zone_create(void)
{
    void      *p;
    unsigned   i;

    if (posix_memalign(&p, 4096, SIZE) != 0
        || wsb_zone_init(p, SIZE, WSB_LOG_MIN, 8, 1, secret) != WSB_OK)
    {
        abort();
    }

    zone = p;

    area[0].p = zone;
    area[0].len = sizeof(wsb_zone_t);
    area[1].p = wsb_zone_slot(zone, 0);
    area[1].len = 2 * sizeof(wsb_slot_t);
    area[2].p = wsb_zone_owners(zone);
    area[2].len = 16 * sizeof(uint32_t);
    area[3].p = (uint8_t *) &zone->log + zone->log.index;
    area[3].len = 8 * sizeof(uint64_t);
    area[4].p = (uint8_t *) &zone->log + zone->log.ring;
    area[4].len = SEQS * RECORD;
    area[5].p = wsb_zone_chunk(zone, 1);
    area[5].len = CHUNKS * WSB_CHUNK_SIZE;

    for (i = 0; i < AREAS; i++) {
        area[i].copy = malloc(area[i].len);
        memcpy(area[i].copy, area[i].p, area[i].len);
    }

    for (i = 0; i < ACTORS; i++) {
        stack[i] = malloc(STACK);
    }

    copy.data = malloc(4096);
    copy.size = 4096;

    seen = malloc(SEEN * sizeof(uint64_t));
}


static void
holds(const plan_t *p)
{
    int  all;

    all = explore(p);

    if (!ok(fault == NULL, "%s%s%s", p->name, fault ? ": " : "",
            fault ? fault : ""))
    {
        trace();
    }

    printf("# %s: %zu states, %zu runs, %zu ends%s\n", p->name, nseen, nruns,
           nends, all ? ", all of them" : "");
}


static void
fails(const plan_t *p)
{
    explore(p);

    ok(fault != NULL, "%s is found: %s", p->name, fault ? fault : "no");

    printf("# %s: %zu states, %zu runs\n", p->name, nseen, nruns);
}


int
main(void)
{
    size_t         i;
    unsigned       k;

    /* publishers come first: bit i of mortal is publisher i */

    static const plan_t  sound[] = {
        { "one publisher, one worker",
          1, 1, 2, 3, 0, 0, 0, 0, AS_BUILT, 0 },
        { "one publisher, one worker, ping",
          1, 1, 2, 3, 0, 0, 0, 1, AS_BUILT, 0 },
        { "two publishers, one worker",
          2, 1, 2, 1, 0, 0, 0, 1, AS_BUILT, 0 },
        { "two publishers, twice, one worker",
          2, 1, 1, 2, 0, 0, 0, 0, AS_BUILT, 0 },
        { "one publisher, two workers",
          1, 2, 2, 2, 0, 0, 0, 0, AS_BUILT, 150000 },
        { "two publishers, two workers",
          2, 2, 2, 1, 0, 0, 0, 0, AS_BUILT, 120000 },
        { "a publisher that dies, a timer",
          1, 1, 2, 2, 1, 1, 0, 1, AS_BUILT, 0 },
        { "two publishers, one dies, a timer",
          2, 1, 2, 1, 1, 1, 0, 0, AS_BUILT, 0 },
        { "two publishers that die, a timer",
          2, 1, 2, 1, 3, 1, 0, 0, AS_BUILT, 0 },
        { "a worker that dies, two sweepers, a successor",
          1, 1, 1, 1, 2, 0, 2, 0, AS_BUILT, 0 },
        { "a worker and a sweeper that die, a successor",
          1, 1, 1, 1, 2 + 4, 1, 2, 0, AS_BUILT, 0 }
    };

    static const plan_t  unsound[] = {
        { "arming without a second look",
          1, 1, 1, 2, 0, 0, 0, 0, ONE_LOOK, 0 },
        { "a fresh worker that does not arm itself",
          1, 1, 1, 1, 0, 0, 0, 0, ARM_NEVER_FIRST, 0 },
        { "going back to sleep when nothing is pending",
          1, 1, 1, 2, 0, 0, 0, 0, WAKE_IF_PENDING, 0 },
        { "taking without the mutex",
          1, 1, 1, 3, 0, 0, 0, 0, TAKE_UNLOCKED, 0 },
        { "subscribing without the mutex",
          1, 1, 1, 2, 0, 0, 0, 0, SUBSCRIBE_UNLOCKED, 0 },
        { "storing pending_from only over 0",
          2, 1, 2, 1, 1, 1, 0, 0, PENDING_IF_ZERO, 0 },
        { "the head before pending_from",
          1, 1, 1, 2, 1, 1, 0, 0, HEAD_FIRST, 0 },
        { "disarming before pending_from",
          1, 1, 1, 2, 0, 0, 0, 0, DISARM_EARLY, 0 },
        { "deaths without a timer",
          1, 1, 1, 1, 1, 1, 0, 0, NO_TIMER, 0 },
        { "pending_from before the head",
          1, 1, 1, 2, 0, 0, 0, 1, PENDING_THEN_HEAD, 0 },
        { "a sweep that does not look again",
          1, 1, 1, 1, 2, 0, 1, 0, SWEEP_BLINDLY, 0 },
        { "a reclaim that frees the pid first",
          1, 1, 1, 1, 2 + 4, 0, 1, 0, PID_FIRST, 0 }
    };

    zone_create();

    for (i = 0; i < sizeof(sound) / sizeof(plan_t); i++) {
        holds(&sound[i]);
    }

    for (i = 0; i < sizeof(unsound) / sizeof(plan_t); i++) {
        fails(&unsound[i]);
    }

    for (k = 0; k < ACTORS; k++) {
        free(stack[k]);
    }

    for (k = 0; k < AREAS; k++) {
        free(area[k].copy);
    }

    free(copy.data);
    free(seen);
    free(zone);

    return tap_done();
}
