/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Why a request over HTTP is refused, as RFC 9457 has it.
 */

#ifndef WSB_PROBLEM_H
#define WSB_PROBLEM_H


#include "../wsb.h"


/* index is that of the event in a batch, -1: none. */

typedef struct {
    unsigned              status;         /* 400, 413, 422, 500 */
    long                  index;
    const char           *title;          /* static */
    char                  detail[160];    /* printable ASCII, no quotes */
} wsb_problem_t;


/* Says what is wrong; index stays as it is.  Returns WSB_ERROR. */

wsb_rc_t wsb_problem_set(wsb_problem_t *problem, unsigned status,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));


#endif /* WSB_PROBLEM_H */
