/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The fields of a message that nobody looks at, told to who sent it: a typo
 * would else go unseen.
 *
 * A name comes once, however often it was used.  Beyond 8 names, and for a
 * name of more than 64 bytes or that is no text, "..." says that there was
 * something.
 */

#ifndef WSB_IGNORED_H
#define WSB_IGNORED_H


#include "../json/wsb_json.h"
#include "../json/wsb_text.h"


#define WSB_IGNORED_NAMES         8
#define WSB_IGNORED_NAME_MAX      64      /* bytes, as it was written */
#define WSB_IGNORED_PREFIX_MAX    8       /* bytes of what it stands in */


/* malloc'd with the first name; freed with wsb_free(). */

typedef struct {
    unsigned              n;
    unsigned              more;
    uint8_t               len[WSB_IGNORED_NAMES];
    uint8_t               name[WSB_IGNORED_NAMES][WSB_IGNORED_PREFIX_MAX
                                                  + WSB_IGNORED_NAME_MAX];
} wsb_ignored_t;


/*
 * Adds a key, with what it stands in before it: "" or, for instance,
 * "filter.".  WSB_NOMEM if there was no memory for the first.
 */
wsb_rc_t wsb_ignored_add(wsb_ignored_t **ignored, const char *prefix,
    const wsb_json_t *key);

/* Adds ,"ignored":["name",…] to an object, or nothing if there is none. */
void wsb_ignored_text(wsb_text_t *t, const wsb_ignored_t *ignored);


#endif /* WSB_IGNORED_H */
