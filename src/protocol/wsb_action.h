/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#ifndef WSB_ACTION_H
#define WSB_ACTION_H


#include "wsb_codec.h"


/* The kind of events that are actions. */
#define WSB_ACTION_KIND  "action"


#endif /* WSB_ACTION_H */
