/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_idem.h"


#define WSB_DOMAIN_ID    64               /* apart from those of wsb_key.c */
#define WSB_DOMAIN_BODY  65


/* Of each request: its id, then, while it is in between, the id again. */

static inline uint64_t *
wsb_idem_ids(const wsb_idem_t *idem)
{
    return (uint64_t *) (idem + 1);
}


static inline wsb_idem_answer_t *
wsb_idem_answers(const wsb_idem_t *idem)
{
    return (wsb_idem_answer_t *) (wsb_idem_ids(idem) + idem->n + 1);
}


size_t
wsb_idem_size(size_t n)
{
    return sizeof(wsb_idem_t) + (n + 1) * sizeof(uint64_t)
           + n * sizeof(wsb_idem_answer_t);
}


void
wsb_idem_init(wsb_idem_t *idem, size_t n)
{
    memset(idem, 0, wsb_idem_size(n));

    idem->n = (uint32_t) n;
}


void
wsb_idem_request(wsb_idem_request_t *req, const uint8_t key[16],
    wsb_str_t tenant, wsb_str_t idem_key, wsb_str_t body)
{
    wsb_key_t  t;

    t = wsb_key_tenant(key, tenant);

    req->id = wsb_hash(key, WSB_DOMAIN_ID, idem_key.data, idem_key.len);
    req->id.h[0] ^= t.h[0];
    req->id.h[1] ^= t.h[1];

    if (req->id.h[0] == 0) {
        req->id.h[0] = 1;
    }

    req->body = wsb_hash(key, WSB_DOMAIN_BODY, body.data, body.len);
}


wsb_rc_t
wsb_idem_find_locked(const wsb_idem_t *idem, const wsb_idem_request_t *req,
    wsb_idem_answer_t *answer)
{
    uint32_t            i;
    uint64_t           *ids;
    wsb_idem_answer_t  *answers;

    ids = wsb_idem_ids(idem);
    answers = wsb_idem_answers(idem);

    for (i = 0; i < idem->n; i++) {

        if (ids[i] != req->id.h[0] || answers[i].id != req->id.h[1]) {
            continue;
        }

        if (answers[i].body != req->body.h[0]) {
            return WSB_CONFLICT;
        }

        *answer = answers[i];

        return WSB_OK;
    }

    return WSB_NOTFOUND;
}


void
wsb_idem_prepare_locked(wsb_idem_t *idem, const wsb_idem_request_t *req,
    uint64_t first, uint32_t count, uint32_t subscribers)
{
    uint32_t            i;
    uint64_t           *ids;
    wsb_idem_answer_t  *answer;

    if (idem->n == 0) {
        return;
    }

    i = idem->next % idem->n;
    ids = wsb_idem_ids(idem);
    answer = &wsb_idem_answers(idem)[i];

    ids[i] = 0;

    /* the old answer is forgotten before it is overwritten */
    __atomic_thread_fence(__ATOMIC_RELEASE);

    WSB_STEP("entry freed");

    answer->id = req->id.h[1];
    answer->body = req->body.h[0];
    answer->first = first;
    answer->count = count;
    answer->subscribers = subscribers;

    ids[idem->n] = req->id.h[0];

    /* not before all of it is written: the compiler is held to that */

    __atomic_store_n(&idem->pending, i + 1, __ATOMIC_RELEASE);

    WSB_STEP("entry pending");
}


void
wsb_idem_settle_locked(wsb_idem_t *idem, uint64_t head)
{
    uint32_t            i;
    uint64_t           *ids;
    wsb_idem_answer_t  *answer;

    if (idem->pending == 0 || idem->pending > idem->n) {
        return;
    }

    i = idem->pending - 1;
    ids = wsb_idem_ids(idem);
    answer = &wsb_idem_answers(idem)[i];

    if (answer->first + answer->count - 1 <= head) {
        __atomic_store_n(&ids[i], ids[idem->n], __ATOMIC_RELEASE);

        WSB_STEP("entry counted in");

        idem->next = (i + 1) % idem->n;
    }

    __atomic_store_n(&idem->pending, 0, __ATOMIC_RELEASE);
}
