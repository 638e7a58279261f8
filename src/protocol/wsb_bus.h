/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#ifndef WSB_BUS_H
#define WSB_BUS_H


#include "wsb_codec.h"


#define WSB_SUB_PREFIX            "sub_"


typedef struct {
    const char           *name;
    wsb_field_t           field;
} wsb_bus_name_t;


/* The fields of a filter, in the order in which it is repeated. */
extern const wsb_bus_name_t  wsb_bus_names[WSB_NROUTING];


wsb_rc_t wsb_bus_decode(const wsb_context_t *context, wsb_str_t message,
    wsb_op_t *op);


#endif /* WSB_BUS_H */
