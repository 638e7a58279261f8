/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Close codes: RFC 6455, section 7.4, and the registered ones that this
 * server sends.
 */

#ifndef WSB_CLOSE_H
#define WSB_CLOSE_H


#define WSB_CLOSE_NORMAL          1000
#define WSB_CLOSE_GOING_AWAY      1001
#define WSB_CLOSE_PROTOCOL        1002
#define WSB_CLOSE_UNSUPPORTED     1003
#define WSB_CLOSE_NO_STATUS       1005    /* never on the wire */
#define WSB_CLOSE_ABNORMAL        1006    /* never on the wire */
#define WSB_CLOSE_BAD_DATA        1007
#define WSB_CLOSE_POLICY          1008
#define WSB_CLOSE_TOO_BIG         1009
#define WSB_CLOSE_INTERNAL        1011
#define WSB_CLOSE_RESTART         1012
#define WSB_CLOSE_TRY_LATER       1013
#define WSB_CLOSE_UNAUTHORIZED    3000
#define WSB_CLOSE_FORBIDDEN       3003


/* May a peer send this code?  RFC 6455, 7.4.1 and 7.4.2. */

static inline int
wsb_close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1014
            && code != 1004 && code != 1005 && code != 1006)
           || (code >= 3000 && code <= 4999);
}


#endif /* WSB_CLOSE_H */
