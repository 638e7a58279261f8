/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_set.h"


void
wsb_set_add(wsb_set_t *set, const wsb_key_t *hash)
{
    int       found;
    unsigned  i;

    i = wsb_set_find(set->hash, set->n, hash, &found);

    if (!found && set->n < WSB_FILTER_VALUES) {
        memmove(&set->hash[i + 1], &set->hash[i],
                (set->n - i) * sizeof(wsb_key_t));
        set->hash[i] = *hash;
        set->n++;
    }
}


void
wsb_set_keep(wsb_set_t *set, const wsb_key_t *hash, unsigned n)
{
    int       found;
    unsigned  i, kept;

    kept = 0;

    for (i = 0; i < set->n; i++) {
        (void) wsb_set_find(hash, n, &set->hash[i], &found);

        if (found) {
            set->hash[kept++] = set->hash[i];
        }
    }

    set->n = kept;
}


unsigned
wsb_set_find(const wsb_key_t *set, unsigned n, const wsb_key_t *hash,
    int *found)
{
    unsigned  low, high, mid;

    low = 0;
    high = n;

    while (low < high) {
        mid = (low + high) / 2;

        if (wsb_key_less(&set[mid], hash)) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    *found = low < n && wsb_key_eq(&set[low], hash);

    return low;
}
