/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Deaths at any instruction: a child does its work on shared memory step by
 * step, and what the memory holds after each is what a death there leaves.
 */

#ifndef STEPS_H
#define STEPS_H


#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>


#define STEPS_MAX  1000000


typedef struct {
    unsigned      instructions;
    unsigned      states;                 /* of the memory, that differ */
    const char   *wrong;                  /* NULL: nothing */
} steps_t;


/*
 * inherit is given a copy of each state, which is its own, and says what is
 * wrong with it; work is done by the child, on shared, of size bytes.
 */

static void
steps_through(steps_t *steps, void *shared, size_t size, void (*work)(void),
    const char *(*inherit)(void *copy))
{
    int     status;
    void   *was, *copy;
    pid_t   pid;

    memset(steps, 0, sizeof(steps_t));

    was = aligned_alloc(4096, size);
    copy = aligned_alloc(4096, size);

    pid = fork();

    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        work();
        raise(SIGSTOP);
        _exit(0);
    }

    waitpid(pid, &status, 0);

    for ( ;; ) {

        if (steps->instructions == 0 || memcmp(was, shared, size) != 0) {
            memcpy(was, shared, size);
            memcpy(copy, shared, size);
            steps->states++;

            steps->wrong = inherit(copy);

            if (steps->wrong != NULL) {
                break;
            }
        }

        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == -1
            || waitpid(pid, &status, 0) == -1 || !WIFSTOPPED(status)
            || WSTOPSIG(status) != SIGTRAP
            || ++steps->instructions > STEPS_MAX)
        {
            break;
        }
    }

    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);

    free(was);
    free(copy);
}


/* So many instructions and states there are at least. */

static int
steps_well(const steps_t *steps, unsigned instructions, unsigned states)
{
    return steps->wrong == NULL && steps->instructions > instructions
           && steps->instructions <= STEPS_MAX && steps->states > states;
}


#endif /* STEPS_H */
