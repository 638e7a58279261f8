/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The claims of a token that has been verified (RFC 7519).
 */

#ifndef WSB_CLAIMS_H
#define WSB_CLAIMS_H


#include "../json/wsb_json.h"
#include "../json/wsb_text.h"


#define WSB_CLAIM_PATH_MAX   256          /* bytes, the last NUL included */
#define WSB_CLAIM_LEVELS     8


/* What the claims must say.  Strings end with a NUL. */

typedef struct {
    const char          **issuers;        /* one of them is "iss" */
    unsigned              nissuers;       /* 0: any, or none */
    const char          **audiences;      /* one of them is in "aud" */
    unsigned              naudiences;     /* 0: any, or none */
    uint64_t              leeway;         /* seconds, for exp and nbf */
    int                   exp_optional;
} wsb_claims_rules_t;


/*
 * Judges "exp", "nbf", "iss" and "aud" at the time now, in seconds since
 * 1970.  *exp is when the token expires, without leeway, rounded down, at
 * most WSB_NEVER, which also means that it has no exp.
 *
 * WSB_ERROR: *reason says why it is refused, a static text.
 */

wsb_rc_t wsb_claims_check(const wsb_json_t *claims,
    const wsb_claims_rules_t *rules, uint64_t now, uint64_t *exp,
    const char **reason);


/*
 * A path names a claim: a name, or names that lead through objects.  Each
 * ends with a NUL, which no name has.
 *
 * Makes one of names joined by `joint`, one or two equal bytes; in the former
 * case a backslash takes the next byte as it is.  WSB_ERROR: a name is empty,
 * there are more than WSB_CLAIM_LEVELS, or it is longer than
 * WSB_CLAIM_PATH_MAX.
 */

wsb_rc_t wsb_claims_path(wsb_str_t names, const char *joint,
    uint8_t path[WSB_CLAIM_PATH_MAX], size_t *len);

/* WSB_NOTFOUND: there is none, or it is null. */
wsb_rc_t wsb_claims_get(const wsb_json_t *claims, const uint8_t *path,
    size_t len, wsb_json_t *value);

/*
 * Adds the value as text: a string decoded, a number as it was written, true
 * or false, the elements of an array joined by commas.
 *
 * WSB_NOTFOUND: it has no text, and nothing is added: an object, null, an
 * array with one of these or with an array, a string with a control
 * character (a header would end there), an array with a string that holds a
 * comma (it would look like two).  WSB_NOMEM: t has failed.
 */

wsb_rc_t wsb_claims_text(const wsb_json_t *value, wsb_text_t *t);


#endif /* WSB_CLAIMS_H */
