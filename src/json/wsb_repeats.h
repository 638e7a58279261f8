/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Does a JSON text say the same thing twice?  Parsers differ in which of two
 * members with one key they believe.
 */

#ifndef WSB_REPEATS_H
#define WSB_REPEATS_H


#include "wsb_json.h"


#define WSB_REPEATS_KEYS          65536   /* of objects that are open at once */


/*
 * Has an object in this validated value a key twice, in its decoded form?  1
 * also where that cannot be told: keys that have no decoded form, more than
 * WSB_REPEATS_KEYS of them, no memory.
 */
int wsb_repeats(const wsb_json_t *value);


#endif /* WSB_REPEATS_H */
