/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * UUIDs, in one spelling.
 */

#ifndef WSB_UUID_H
#define WSB_UUID_H


#include "../wsb.h"


/*
 * The norm of an entity id: one of the spellings of a UUID (36 characters, 32
 * hex digits, in braces, after "urn:uuid:", any case) becomes 36 lower-case
 * characters in buf; anything else is itself.
 */

#define WSB_UUID_LEN              36

wsb_str_t wsb_uuid_norm(wsb_str_t id, uint8_t buf[WSB_UUID_LEN]);


#endif /* WSB_UUID_H */
