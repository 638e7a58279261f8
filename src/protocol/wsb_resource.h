/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#ifndef WSB_RESOURCE_H
#define WSB_RESOURCE_H


#include "wsb_codec.h"
#include "../event/wsb_uuid.h"


/*
 * The name of a subscription: a UUID of version 4, as it is read.  It is the
 * client's alone, looks random, and holds the ordinal, so that nothing need be
 * kept or looked for.
 */

void wsb_resource_name(const uint8_t *client, uint32_t ordinal,
    uint8_t dst[WSB_UUID_LEN]);

/* The ordinal of such a name; 0: this client has none of that name. */
uint32_t wsb_resource_ordinal(const uint8_t *client, wsb_str_t name);


wsb_rc_t wsb_resource_decode(const wsb_context_t *context, wsb_str_t message,
    wsb_op_t *op);


#endif /* WSB_RESOURCE_H */
