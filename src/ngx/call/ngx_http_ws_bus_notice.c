/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What hooks will be told of a client: its coming, and its going, which is
 * written down when it comes.
 */

#include "ngx_http_ws_bus_notice.h"

#include "../../event/wsb_hash.h"


static ngx_int_t ngx_http_ws_bus_notice_key(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_notices_t *notices);
static ngx_uint_t ngx_http_ws_bus_notice_back(
    ngx_http_ws_bus_notices_t *notices);
static void ngx_http_ws_bus_notice_text(ngx_http_ws_bus_asker_t *asker,
    ngx_http_ws_bus_notice_t *notice, ngx_uint_t brief, wsb_text_t *text);
static ngx_int_t ngx_http_ws_bus_notice_due(ngx_http_ws_bus_notice_t *notice,
    uint64_t due);


static ngx_inline ngx_uint_t
ngx_http_ws_bus_notice_of_end(const ngx_http_ws_bus_notice_t *notice)
{
    return notice->teller->hook->phase
           == NGX_HTTP_WS_BUS_HOOK_AFTER_DISCONNECT;
}


ngx_int_t
ngx_http_ws_bus_notice_admit(ngx_http_request_t *r,
    ngx_http_ws_bus_asker_t *asker)
{
    size_t                       size;
    ngx_str_t                    user;
    ngx_uint_t                   i, n;
    ngx_array_t                 *tellers;
    ngx_http_ws_bus_teller_t   **teller;
    ngx_http_ws_bus_notices_t   *notices;

    tellers = asker->conf->tellers;

    if (tellers == NULL || ngx_http_ws_bus_notice_memory.table == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, asker->client->conf->user, &user)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    teller = tellers->elts;
    n = tellers->nelts;

    size = sizeof(ngx_http_ws_bus_notices_t)
           + n * sizeof(ngx_http_ws_bus_notice_t) + user.len;

    notices = ngx_calloc(size, r->connection->log);
    if (notices == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    asker->notices = notices;

    notices->n = n;

    for (i = 0; i < n; i++) {
        notices->notice[i].teller = teller[i];
    }

    notices->user.data = (u_char *) &notices->notice[n];
    notices->user.len = user.len;
    ngx_memcpy(notices->user.data, user.data, user.len);

    return user.len == 0
           || ngx_http_ws_bus_notice_key(asker->client, notices) == NGX_OK
               ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* The same name in another tenant is somebody else. */

static ngx_int_t
ngx_http_ws_bus_notice_key(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_notices_t *notices)
{
    wsb_key_t   key;
    wsb_text_t  text;

    ngx_memzero(&text, sizeof(wsb_text_t));

    wsb_text_add(&text, wc->tenant.data, wc->tenant.len);
    wsb_text_add(&text, "", 1);
    wsb_text_add(&text, notices->user.data, notices->user.len);

    if (text.failed) {
        wsb_text_done(&text);
        return NGX_ERROR;
    }

    key = wsb_hash(wc->fan->worker->zone->key, WSB_DOMAIN_NOTICES, text.data,
                   text.len);

    wsb_text_done(&text);

    notices->key = key.h[0] ? key.h[0] : 1;

    return NGX_OK;
}


void
ngx_http_ws_bus_notice_opened(ngx_http_ws_bus_client_t *wc)
{
    uint64_t                    due;
    ngx_uint_t                  i, back;
    wsb_notice_t                added;
    ngx_http_ws_bus_notice_t   *notice;
    ngx_http_ws_bus_notices_t  *notices;

    notices = wc->asker->notices;

    if (notices == NULL) {
        return;
    }

    notices->opened = 1;

    back = ngx_http_ws_bus_notice_back(notices);

    for (i = 0; i < notices->n; i++) {
        notice = &notices->notice[i];

        if (ngx_http_ws_bus_notice_of_end(notice)) {

            /* without room it is tried again when the client goes */

            (void) ngx_http_ws_bus_notice_add(wc->asker, notice, 0,
                                              &notice->notice);
            continue;
        }

        if (back) {
            /* it was told to have come, and not to have gone */
            continue;
        }

        due = ngx_current_msec;

        if (ngx_http_ws_bus_notice_add(wc->asker, notice, due, &added)
            == NGX_OK)
        {
            ngx_http_ws_bus_teller_add(notice->teller, &added, due);
        }
    }
}


/*
 * Is it somebody who has just gone, so that nobody has been told yet?  Only
 * if that holds for each hook of its going.
 */

static ngx_uint_t
ngx_http_ws_bus_notice_back(ngx_http_ws_bus_notices_t *notices)
{
    ngx_uint_t                       i, n, nback;
    ngx_http_ws_bus_notice_t        *notice;
    ngx_http_ws_bus_notice_memory_t  *m;

    m = &ngx_http_ws_bus_notice_memory;

    n = 0;
    nback = 0;

    for (i = 0; i < notices->n; i++) {
        notice = &notices->notice[i];

        if (!ngx_http_ws_bus_notice_of_end(notice)) {
            continue;
        }

        n++;

        if (notice->teller->hook->delay == 0) {
            continue;
        }

        ngx_shmtx_lock(&m->shpool->mutex);

        nback += wsb_notice_cancel_locked(m->table, notice->teller->hash,
                                          notices->key);

        ngx_shmtx_unlock(&m->shpool->mutex);
    }

    return n != 0 && n == nback;
}


/* What it has learnt of itself since, it goes with. */

void
ngx_http_ws_bus_notice_renew(ngx_http_ws_bus_asker_t *asker)
{
    ngx_uint_t                        i;
    wsb_notice_t                      added;
    ngx_http_ws_bus_notice_t         *notice;
    ngx_http_ws_bus_notice_memory_t  *m;

    m = &ngx_http_ws_bus_notice_memory;

    if (asker->notices == NULL || !asker->notices->opened) {
        return;
    }

    for (i = 0; i < asker->notices->n; i++) {
        notice = &asker->notices->notice[i];

        if (notice->notice.number == 0
            || ngx_http_ws_bus_notice_add(asker, notice, 0, &added) != NGX_OK)
        {
            continue;
        }

        ngx_shmtx_lock(&m->shpool->mutex);
        wsb_notice_drop_locked(m->table, &notice->notice, (uint32_t) ngx_pid);
        ngx_shmtx_unlock(&m->shpool->mutex);

        notice->notice = added;
    }
}


void
ngx_http_ws_bus_notice_closed(ngx_http_ws_bus_client_t *wc)
{
    uint64_t                    due;
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_http_ws_bus_notice_t   *notice;
    ngx_http_ws_bus_notices_t  *notices;

    notices = wc->asker->notices;

    if (notices == NULL || !notices->opened) {
        return;
    }

    notices->opened = 0;

    for (i = 0; i < notices->n; i++) {
        notice = &notices->notice[i];

        if (!ngx_http_ws_bus_notice_of_end(notice)) {
            continue;
        }

        due = ngx_current_msec;

        if (!ngx_exiting || ngx_http_ws_bus_worker_succeeded()) {
            /* else nobody comes back */
            due += notice->teller->hook->delay;
        }

        /* without room at its beginning it is tried again */

        rc = notice->notice.number != 0
                 ? ngx_http_ws_bus_notice_due(notice, due)
                 : ngx_http_ws_bus_notice_add(wc->asker, notice, due,
                                              &notice->notice);

        if (rc == NGX_OK) {
            ngx_http_ws_bus_teller_add(notice->teller, &notice->notice, due);
        }
    }
}


static ngx_int_t
ngx_http_ws_bus_notice_due(ngx_http_ws_bus_notice_t *notice, uint64_t due)
{
    wsb_rc_t                          rc;
    ngx_time_t                       *tp;
    ngx_http_ws_bus_notice_memory_t  *m;

    m = &ngx_http_ws_bus_notice_memory;
    tp = ngx_timeofday();

    ngx_shmtx_lock(&m->shpool->mutex);

    rc = wsb_notice_end_locked(m->table, &notice->notice, (uint32_t) ngx_pid,
                               due, (uint64_t) tp->sec * 1000 + tp->msec);

    ngx_shmtx_unlock(&m->shpool->mutex);

    return rc == WSB_OK ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_ws_bus_notice_add(ngx_http_ws_bus_asker_t *asker,
    ngx_http_ws_bus_notice_t *notice, uint64_t due, wsb_notice_t *added)
{
    wsb_rc_t                          rc;
    ngx_time_t                       *tp;
    wsb_text_t                        text;
    wsb_notice_new_t                  new;
    ngx_http_ws_bus_worker_t         *w;
    ngx_http_ws_bus_notice_memory_t  *m;

    m = &ngx_http_ws_bus_notice_memory;
    tp = ngx_timeofday();

    ngx_memzero(&text, sizeof(wsb_text_t));

    ngx_http_ws_bus_notice_text(asker, notice, 0, &text);

    if (!text.failed && text.len > WSB_NOTICE_TEXT) {
        wsb_text_done(&text);
        ngx_http_ws_bus_notice_text(asker, notice, 1, &text);
    }

    new.pid = (uint32_t) ngx_pid;
    new.hook = notice->teller->hash;
    new.key = asker->notices->key;
    new.due = due;
    new.at = (uint64_t) tp->sec * 1000 + tp->msec;
    new.delay = (uint32_t) notice->teller->hook->delay;
    new.text.data = text.data;
    new.text.len = text.len;

    rc = WSB_NOMEM;

    if (!text.failed) {
        ngx_shmtx_lock(&m->shpool->mutex);
        rc = wsb_notice_add_locked(m->table, &new, added);
        ngx_shmtx_unlock(&m->shpool->mutex);
    }

    wsb_text_done(&text);

    if (rc == WSB_OK) {
        return NGX_OK;
    }

    w = notice->teller->bus->worker;

    if (due != 0 && w != NULL && w->counters != NULL) {
        ngx_http_ws_bus_call_counters(w)->notices_lost++;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "a hook \"%s\" is not told of a connection: %s",
                      ngx_http_ws_bus_hook_names[notice->teller->hook->phase],
                      rc == WSB_FULL ? "ws_bus_hook_memory is full"
                                     : "no memory");
    }

    return NGX_ERROR;
}


/* brief: without what may be long. */

static void
ngx_http_ws_bus_notice_text(ngx_http_ws_bus_asker_t *asker,
    ngx_http_ws_bus_notice_t *notice, ngx_uint_t brief, wsb_text_t *text)
{
    u_char                            id[NGX_HTTP_WS_BUS_HOOK_ID];
    wsb_hook_t                        told;
    wsb_text_t                        claims;
    ngx_http_ws_bus_client_t         *wc;
    ngx_http_ws_bus_call_loc_conf_t  *conf;

    wc = asker->client;
    conf = asker->conf;

    ngx_memzero(&told, sizeof(wsb_hook_t));
    ngx_memzero(&claims, sizeof(wsb_text_t));

    told.phase = ngx_http_ws_bus_hook_names[notice->teller->hook->phase];
    told.id.data = id;
    told.id.len = ngx_sprintf(id, "%*s-%s", (size_t) 32, asker->id + 5,
                              ngx_http_ws_bus_notice_of_end(notice)
                                  ? "end" : "begin")
                  - id;
    told.connection_id.data = asker->id;
    told.connection_id.len = sizeof(asker->id);
    told.tenant.data = wc->tenant.len ? wc->tenant.data : NULL;
    told.tenant.len = wc->tenant.len;

    if (!brief) {
        if (asker->notices->user.len != 0) {
            told.user.data = asker->notices->user.data;
            told.user.len = asker->notices->user.len;
        }

        told.metadata = asker->metadata;
        told.uri.data = asker->caller->uri.data;
        told.uri.len = asker->caller->uri.len;

        if (conf->claims != NULL && conf->claims->nelts != 0
            && asker->caller->claims.text.data != NULL)
        {
            wsb_hook_claims(&claims, &asker->caller->claims,
                            conf->claims->elts,
                            (unsigned) conf->claims->nelts);

            told.claims.data = claims.data;
            told.claims.len = claims.len;
        }
    }

    wsb_hook_text(text, &told);

    text->failed |= claims.failed;

    wsb_text_done(&claims);
}
