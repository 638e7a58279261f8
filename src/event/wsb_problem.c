/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_problem.h"

#include <stdarg.h>
#include <stdio.h>


wsb_rc_t
wsb_problem_set(wsb_problem_t *problem, unsigned status, const char *fmt, ...)
{
    va_list  args;

    problem->status = status;

    switch (status) {

    case 400:
        problem->title = "Malformed JSON";
        break;

    case 413:
        problem->title = "Too large";
        break;

    case 422:
        problem->title = "Invalid event";
        break;

    default:
        problem->title = "Internal error";
    }

    va_start(args, fmt);
    vsnprintf(problem->detail, sizeof(problem->detail), fmt, args);
    va_end(args);

    return WSB_ERROR;
}
