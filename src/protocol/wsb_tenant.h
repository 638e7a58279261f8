/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#ifndef WSB_TENANT_H
#define WSB_TENANT_H


#include "wsb_codec.h"


#define WSB_TENANT_ARG            "tenant_id"

/* The bodies of a 400. */

#define WSB_TENANT_MISSING        "Missing or invalid tenant_id query parameter"
#define WSB_TENANT_EMPTY          "tenant_id cannot be empty"


#endif /* WSB_TENANT_H */
