/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What decoding a message fills, for the files that do it.
 */

#ifndef WSB_BUS_MEMORY_H
#define WSB_BUS_MEMORY_H


#include "wsb_bus.h"
#include "../json/wsb_json.h"


#define WSB_INVALID  "Invalid message: "

#define WSB_BUS_VALUE_MAX  256            /* bytes of one value of a field */


/* All that an operation points to. */

typedef struct {
    wsb_str_t             value[WSB_NROUTING][WSB_FILTER_VALUES];
    uint8_t              *pos;
    uint8_t               bytes[];        /* as many as the message has */
} wsb_bus_memory_t;


int wsb_bus_is_request(const wsb_json_t *message);

/* Its id has been decoded.  Refuses it, or makes the operation of it. */
void wsb_bus_request(wsb_op_t *op, const wsb_json_t *message);

/* null is as good as absent. */
int wsb_bus_get(const wsb_json_t *object, const char *name,
    wsb_json_t *value);

/*
 * Both take from the memory of op.  No byte of a message is taken twice, so
 * that all fit into its length.
 */

void wsb_bus_copy(wsb_op_t *op, wsb_str_t *s);
int wsb_bus_string(wsb_op_t *op, const wsb_json_t *string, wsb_str_t *s);


#endif /* WSB_BUS_MEMORY_H */
