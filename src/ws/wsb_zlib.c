/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_zlib.h"


/* What is not set is seen by valgrind, though zlib does without it. */

void *
wsb_zlib_alloc(void *data, unsigned items, unsigned size)
{
    void    *p;
    size_t   n;

    (void) data;

    n = (size_t) items * size;
    p = wsb_malloc(n);

    if (p != NULL) {
        memset(p, 0, n);
    }

    return p;
}


void
wsb_zlib_free(void *data, void *p)
{
    (void) data;

    wsb_free(p);
}
