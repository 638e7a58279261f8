/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Notices: what a table takes, gives back and hands on; and that a death at
 * any instruction leaves each notice whole or not there, and no cell lost.
 *
 * The code as it is is run instruction by instruction in a child: what the
 * table holds after each is what a death there would leave, and is swept.
 */

#include "log/wsb_notice.h"
#include "tap.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>


#define SIZE   (16 * 1024)
#define ME     10                         /* pids */
#define OTHER  11
#define HEIR   12


static uint32_t  dead;
static unsigned  nfound;
static uint64_t  found_due;


static int
gone(uint32_t pid)
{
    return pid == dead;
}


static void
found(void *data, const wsb_notice_t *notice, uint64_t hook, uint64_t due)
{
    wsb_notice_t  *list = data;

    (void) hook;

    found_due = due;

    if (list != NULL) {
        list[nfound] = *notice;
    }

    nfound++;
}


static wsb_notices_t *
create(void)
{
    wsb_notices_t  *table;

    table = mmap(NULL, SIZE, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1, 0);

    wsb_notice_table_init(table, wsb_notice_table_cells(SIZE));
    wsb_notice_join_locked(table, ME);
    wsb_notice_join_locked(table, OTHER);

    return table;
}


static void
destroy(wsb_notices_t *table)
{
    munmap(table, SIZE);
}


static char  long_text[WSB_NOTICE_TEXT + 2];


static wsb_rc_t
add(wsb_notices_t *table, uint32_t pid, size_t len, uint64_t key,
    uint64_t due, wsb_notice_t *notice)
{
    wsb_notice_new_t  new;

    memset(&new, 0, sizeof(wsb_notice_new_t));

    new.pid = pid;
    new.hook = 7;
    new.key = key;
    new.due = due;
    new.at = 1000;
    new.delay = 50;
    new.text.data = (const uint8_t *) long_text;
    new.text.len = len;

    return wsb_notice_add_locked(table, &new, notice);
}


static int
reads(wsb_notices_t *table, const wsb_notice_t *notice, uint32_t pid,
    size_t len)
{
    int         same;
    uint64_t    at;
    wsb_text_t  t;

    memset(&t, 0, sizeof(wsb_text_t));

    same = wsb_notice_send_locked(table, notice, pid, &t, &at) == WSB_OK
           && t.len == len
           && (len == 0 || memcmp(t.data, long_text, len) == 0);

    wsb_text_done(&t);

    return same;
}


static void
test_life(void)
{
    uint32_t        all;
    unsigned        i;
    wsb_notice_t    n, gone_one;
    wsb_notices_t  *table;

    static const size_t  sizes[] = {
        0, 1, WSB_NOTICE_HEAD - 1, WSB_NOTICE_HEAD, WSB_NOTICE_HEAD + 1,
        WSB_NOTICE_HEAD + WSB_NOTICE_REST,
        WSB_NOTICE_HEAD + WSB_NOTICE_REST + 1, 2000, WSB_NOTICE_TEXT
    };

    table = create();
    all = table->nfree;

    ok(all > 40 && all == wsb_notice_table_cells(SIZE), "%u cells", all);
    ok(wsb_notice_table_valid(table, all)
       && !wsb_notice_table_valid(table, all - 1), "the table is of this many");

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        is_uint(add(table, ME, sizes[i], 0, 0, &n), WSB_OK, "%zu bytes",
                sizes[i]);
        ok(!reads(table, &n, ME, sizes[i]), "a live one is not sent");
        is_uint(wsb_notice_end_locked(table, &n, OTHER, 5, 6), WSB_NOTFOUND,
                "only its owner ends it");
        is_uint(wsb_notice_end_locked(table, &n, ME, 5, 6), WSB_OK, "it ends");
        is_uint(wsb_notice_end_locked(table, &n, ME, 5, 6), WSB_NOTFOUND,
                "once");
        ok(!reads(table, &n, OTHER, sizes[i]), "another does not send it");
        ok(reads(table, &n, ME, sizes[i]), "its text is as it was");
        wsb_notice_told_locked(table, &n, ME, 0);
        ok(reads(table, &n, ME, sizes[i]), "it is sent again");
        wsb_notice_told_locked(table, &n, ME, 1);
        ok(!reads(table, &n, ME, sizes[i]), "it has been told");
        is_uint(table->nfree, all, "its cells are free");
    }

    is_uint(add(table, ME, WSB_NOTICE_TEXT + 1, 0, 0, &n), WSB_ERROR,
            "a text that is too long");
    is_uint(table->nfree, all, "takes nothing");

    add(table, ME, 10, 0, 1, &gone_one);
    wsb_notice_drop_locked(table, &gone_one, OTHER);
    ok(reads(table, &gone_one, ME, 10), "another does not drop it");
    wsb_notice_drop_locked(table, &gone_one, ME);
    add(table, ME, 10, 0, 1, &n);
    ok(n.cell == gone_one.cell && !reads(table, &gone_one, ME, 10),
       "a cell that is another's now is not mistaken");

    destroy(table);
}


static void
test_full(void)
{
    unsigned        n;
    uint32_t        left;
    wsb_notice_t    notice, first;
    wsb_notices_t  *table;

    table = create();

    memset(&first, 0, sizeof(wsb_notice_t));

    for (n = 0; add(table, ME, 500, 0, 1, &notice) == WSB_OK; n++) {
        if (first.number == 0) {
            first = notice;
        }
    }

    left = table->nfree;

    ok(n == table->ncells / 3 && left == table->ncells % 3,
       "%u of 3 cells fit", n);
    is_uint(add(table, ME, 500, 0, 1, &notice), WSB_FULL, "no more");
    is_uint(table->nfree, left, "which takes nothing");

    wsb_notice_drop_locked(table, &first, ME);
    is_uint(add(table, ME, 500, 0, 1, &notice), WSB_OK,
            "one that goes makes room");

    for (n = 0; wsb_notice_join_locked(table, 100 + n) == WSB_OK; n++) {
        /* void */
    }

    is_uint(n, WSB_NOTICE_WORKERS - 2, "as many owners as there is room for");

    destroy(table);
}


static void
test_cancel(void)
{
    unsigned        i, n;
    wsb_notice_t    a, b, many[24];
    wsb_notices_t  *table;

    table = create();

    add(table, ME, 10, 99, 0, &a);
    ok(!wsb_notice_cancel_locked(table, 7, 99), "who is there has not left");

    wsb_notice_end_locked(table, &a, ME, 5, 6);
    ok(!wsb_notice_cancel_locked(table, 8, 99), "another hook's stays");
    ok(!wsb_notice_cancel_locked(table, 7, 98), "another's stays");
    ok(!wsb_notice_cancel_locked(table, 7, 0), "nobody's is not asked for");
    ok(wsb_notice_cancel_locked(table, 7, 99), "who comes back");
    ok(!reads(table, &a, ME, 10), "is not told to have left");
    ok(!wsb_notice_cancel_locked(table, 7, 99), "once");
    is_uint(table->nfree, table->ncells, "its cell is free");

    add(table, ME, 10, 99, 0, &b);
    wsb_notice_end_locked(table, &b, ME, 5, 6);
    ok(reads(table, &b, ME, 10), "what is being told");
    ok(!wsb_notice_cancel_locked(table, 7, 99), "is not taken back");
    wsb_notice_told_locked(table, &b, ME, 0);
    ok(wsb_notice_cancel_locked(table, 7, 99), "until that has failed");

    /* more of one place than it has room for: the latest are found */

    for (i = 0; i < 24; i++) {
        add(table, ME, 10, 64 * (i + 1), 0, &many[i]);
        wsb_notice_end_locked(table, &many[i], ME, 5, 6);
    }

    for (i = 0, n = 0; i < 24; i++) {
        n += (unsigned) wsb_notice_cancel_locked(table, 7, 64 * (i + 1));
    }

    ok(n >= 4 && table->nfree == table->ncells - 24 + n,
       "%u of 24 of one place are found", n);

    destroy(table);
}


static void
test_sweep(void)
{
    uint32_t        all;
    wsb_notice_t    live, due, sent, mine, list[8];
    wsb_notices_t  *table;

    table = create();
    all = table->nfree;
    dead = 0;

    add(table, OTHER, 700, 42, 0, &live);
    add(table, OTHER, 10, 0, 3, &due);
    add(table, OTHER, 300, 0, 4, &sent);
    ok(reads(table, &sent, OTHER, 300), "one is on its way");
    add(table, ME, 10, 0, 0, &mine);

    ok(!wsb_notice_orphaned(table, gone), "nobody has died");
    is_uint(wsb_notice_sweep_locked(table, ME, 100, 2000, gone, found, list),
            0, "so nothing is swept");

    dead = OTHER;
    nfound = 0;

    ok(wsb_notice_orphaned(table, gone), "one has died");
    is_uint(wsb_notice_sweep_locked(table, ME, 100, 2000, gone, found, list),
            1, "and is swept");
    is_uint(nfound, 3, "its notices are found");
    ok(!wsb_notice_orphaned(table, gone), "once");
    ok(wsb_notice_cancel_locked(table, 7, 42),
       "who comes back from a dead worker is found");
    ok(reads(table, &due, ME, 10) && reads(table, &sent, ME, 300),
       "the others are the sweeper's");
    ok(!reads(table, &mine, ME, 10), "what was live and its own is live");

    wsb_notice_told_locked(table, &due, ME, 1);
    wsb_notice_told_locked(table, &sent, ME, 1);
    wsb_notice_drop_locked(table, &mine, ME);
    is_uint(table->nfree, all, "no cell is lost");

    add(table, ME, 10, 0, 0, &live);
    dead = ME;
    wsb_notice_sweep_locked(table, HEIR, 100, 2000, gone, found, list);
    is_uint(found_due, 150, "what was live is due after its delay");

    destroy(table);
}


/*
 * What each instruction of these leaves.  The two that stand are whole ever
 * after, the third is whole or none, and all other cells are free.
 */

static const char *const  works[] = {
    "add", "end", "cancel", "send", "told", "drop", "sweep"
};


static wsb_notice_t  stands[2], subject;


static void
work(wsb_notices_t *table, unsigned which)
{
    wsb_notice_t  n;

    switch (which) {

    case 0:
        add(table, ME, 600, 5, 9, &n);
        break;

    case 1:
        wsb_notice_end_locked(table, &subject, ME, 5, 6);
        break;

    case 2:
        wsb_notice_cancel_locked(table, 7, 5);
        break;

    case 3:
        reads(table, &subject, ME, 600);
        break;

    case 4:
        wsb_notice_told_locked(table, &subject, ME, 1);
        break;

    case 5:
        wsb_notice_drop_locked(table, &subject, ME);
        break;

    default:
        dead = OTHER;
        wsb_notice_sweep_locked(table, ME, 100, 2000, gone, found, NULL);
    }
}


static wsb_notices_t *
prepare(unsigned which)
{
    wsb_notices_t  *table;

    dead = 0;

    table = create();

    add(table, ME, 700, 1, 0, &stands[0]);
    add(table, OTHER, 300, 2, 4, &stands[1]);

    memset(&subject, 0, sizeof(wsb_notice_t));

    if (which != 0) {
        add(table, which == 6 ? OTHER : ME, 600, 5, 0, &subject);
    }

    if (which >= 2 && which <= 5) {
        wsb_notice_end_locked(table, &subject, ME, 5, 6);
    }

    if (which == 4) {
        reads(table, &subject, ME, 600);
    }

    return table;
}


/* What the heir finds in a table that its owners have left like this. */

static const char *
inherit(wsb_notices_t *table, unsigned which)
{
    unsigned        i, nthird;
    wsb_notice_t    list[16];

    nfound = 0;
    dead = ME;
    wsb_notice_sweep_locked(table, HEIR, 100, 2000, gone, found, list);

    if (which == 6) {
        dead = OTHER;
        wsb_notice_sweep_locked(table, HEIR, 100, 2000, gone, found, list);
    } else {
        list[nfound++] = stands[1];
    }

    nthird = 0;

    for (i = 0; i < nfound; i++) {
        if (list[i].number != stands[0].number
            && list[i].number != stands[1].number)
        {
            nthird = 1;

            if (!reads(table, &list[i], HEIR, 600)) {
                return "the third is not whole";
            }
        }
    }

    if (!reads(table, &stands[0], HEIR, 700)
        || !reads(table, &stands[1], which == 6 ? HEIR : OTHER, 300))
    {
        return "one that stands is not whole";
    }

    if ((which == 1 || which == 3 || which == 6) && nthird == 0) {
        return "the third is lost";
    }

    if (table->nfree + 4 + 2 + nthird * 3 != table->ncells) {
        return "cells are lost";
    }

    return NULL;
}


static void
test_deaths(unsigned which)
{
    int             status;
    pid_t           pid;
    unsigned        n, nstates;
    const char     *wrong;
    wsb_notices_t  *table, *was, *copy;

    table = prepare(which);
    was = malloc(SIZE);
    copy = aligned_alloc(WSB_NOTICE_CELL, SIZE);
    memcpy(was, table, SIZE);

    pid = fork();

    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        work(table, which);
        raise(SIGSTOP);
        _exit(0);
    }

    waitpid(pid, &status, 0);

    n = 0;
    nstates = 0;
    wrong = NULL;

    for ( ;; ) {

        if (n == 0 || memcmp(was, table, SIZE) != 0) {
            memcpy(was, table, SIZE);
            memcpy(copy, table, SIZE);
            nstates++;

            wrong = inherit(copy, which);

            if (wrong != NULL) {
                break;
            }
        }

        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == -1
            || waitpid(pid, &status, 0) == -1 || !WIFSTOPPED(status)
            || WSTOPSIG(status) != SIGTRAP || ++n > 4000000)
        {
            break;
        }
    }

    ok(wrong == NULL && n > 50 && n < 4000000 && nstates > 1,
       "%s: %u instructions, %u states%s%s", works[which], n, nstates,
       wrong ? ": " : "", wrong ? wrong : "");

    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);

    free(was);
    free(copy);
    destroy(table);
}


int
main(void)
{
    unsigned  i;

    for (i = 0; i < sizeof(long_text); i++) {
        long_text[i] = (char) ('a' + i % 23 + i / 256 % 3);
    }

    test_life();
    test_full();
    test_cancel();
    test_sweep();

    for (i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        test_deaths(i);
    }

    return tap_done();
}
