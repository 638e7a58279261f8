/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Records of the log in this process: recent ones are cached, and each is
 * rendered once for each codec, whoever gets it.
 */

#include "ngx_http_ws_bus_client.h"


#define NGX_HTTP_WS_BUS_SPARE_MAX  64
#define NGX_HTTP_WS_BUS_SPARE_SIZE 8192   /* a larger one is freed */


static void ngx_http_ws_bus_record_cache(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec);
static void ngx_http_ws_bus_record_forget(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec);
static void ngx_http_ws_bus_record_free_forms(ngx_http_ws_bus_render_t *render);
static void ngx_http_ws_bus_record_hide(const wsb_event_t *ev,
    wsb_event_t *hidden);


/*
 * The record at the cursor, from the cache or from the log, with a reference
 * for the caller; the cursor moves behind it.
 */

wsb_rc_t
ngx_http_ws_bus_record_fetch(ngx_http_ws_bus_fan_t *fan, wsb_cursor_t *cursor,
    ngx_http_ws_bus_record_t **out)
{
    wsb_rc_t                   rc;
    ngx_queue_t               *q;
    ngx_http_ws_bus_record_t  *rec;

    rec = fan->recent[cursor->seq & (NGX_HTTP_WS_BUS_CACHE_RECORDS - 1)];

    if (rec != NULL && rec->seq == cursor->seq) {
        cursor->seq++;

        if (cursor->pos != WSB_LOG_POS_UNKNOWN) {
            cursor->pos += rec->copy.len;
        }

        rec->refs++;
        *out = rec;

        return WSB_OK;
    }

    if (!ngx_queue_empty(&fan->spare)) {
        q = ngx_queue_head(&fan->spare);
        ngx_queue_remove(q);
        fan->nspare--;

        rec = ngx_queue_data(q, ngx_http_ws_bus_record_t, link);

    } else {
        rec = ngx_calloc(sizeof(ngx_http_ws_bus_record_t), ngx_cycle->log);
        if (rec == NULL) {
            return WSB_NOMEM;
        }
    }

    rec->refs = 1;
    rec->seq = cursor->seq;
    rec->epoch = fan->worker->zone->epoch;

    rc = wsb_log_read(&fan->worker->zone->log, cursor, &rec->copy);

    if (rc == WSB_OK) {
        rc = wsb_event_decode(rec->copy.data, rec->copy.len, &rec->event);
    }

    if (rc != WSB_OK) {

        if (rc == WSB_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "ws bus zone \"%V\": event %uL cannot be read",
                          &fan->worker->bus->name, rec->seq);
        }

        ngx_http_ws_bus_record_release(fan, rec);
        return rc;
    }

    wsb_key_parts(fan->worker->zone->key, &rec->event, &rec->parts);

    ngx_http_ws_bus_record_cache(fan, rec);

    *out = rec;

    return WSB_OK;
}


static void
ngx_http_ws_bus_record_cache(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec)
{
    ngx_queue_t                *q;
    ngx_http_ws_bus_record_t  **place, *old;

    place = &fan->recent[rec->seq & (NGX_HTTP_WS_BUS_CACHE_RECORDS - 1)];

    if (*place != NULL) {
        ngx_http_ws_bus_record_forget(fan, *place);
    }

    /* about what it takes once it is rendered */

    rec->size = sizeof(ngx_http_ws_bus_record_t) + 2 * rec->copy.len;
    rec->refs++;

    *place = rec;
    fan->cached += rec->size;

    ngx_queue_insert_tail(&fan->records, &rec->link);

    while (fan->cached > NGX_HTTP_WS_BUS_CACHE_BYTES) {
        q = ngx_queue_head(&fan->records);
        old = ngx_queue_data(q, ngx_http_ws_bus_record_t, link);

        ngx_http_ws_bus_record_forget(fan, old);
    }
}


static void
ngx_http_ws_bus_record_forget(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec)
{
    fan->recent[rec->seq & (NGX_HTTP_WS_BUS_CACHE_RECORDS - 1)] = NULL;
    fan->cached -= rec->size;

    ngx_queue_remove(&rec->link);

    ngx_http_ws_bus_record_release(fan, rec);
}


void
ngx_http_ws_bus_record_release(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec)
{
    ngx_uint_t                 i;
    ngx_http_ws_bus_render_t  *render;

    if (--rec->refs != 0) {
        return;
    }

    for (i = 0; rec->hidden != NULL && i < NGX_HTTP_WS_BUS_CODECS; i++) {
        ngx_http_ws_bus_record_free_forms(&rec->hidden[i]);
        wsb_text_done(&rec->hidden[i].text);
    }

    if (rec->hidden != NULL) {
        ngx_free(rec->hidden);
        rec->hidden = NULL;
    }

    for (i = 0; i < NGX_HTTP_WS_BUS_CODECS; i++) {
        render = &rec->render[i];

        ngx_http_ws_bus_record_free_forms(render);

        /* its memory serves the next event, unless it is unusually large */

        render->text.len = 0;

        if (render->text.failed
            || render->text.size > NGX_HTTP_WS_BUS_SPARE_SIZE)
        {
            wsb_text_done(&render->text);
        }
    }

    if (fan->nspare < NGX_HTTP_WS_BUS_SPARE_MAX
        && rec->copy.size <= NGX_HTTP_WS_BUS_SPARE_SIZE)
    {
        ngx_queue_insert_head(&fan->spare, &rec->link);
        fan->nspare++;
        return;
    }

    for (i = 0; i < NGX_HTTP_WS_BUS_CODECS; i++) {
        wsb_text_done(&rec->render[i].text);
    }

    wsb_free(rec->copy.data);
    ngx_free(rec);
}


static void
ngx_http_ws_bus_record_free_forms(ngx_http_ws_bus_render_t *render)
{
    ngx_uint_t               k;
    ngx_http_ws_bus_form_t  *form, *next;

    for (form = &render->plain; form != NULL; form = next) {
        next = form->next;

        /* the first whole frame lies in front of the body */

        for (k = 1; k < NGX_HTTP_WS_BUS_WHOLE; k++) {
            if (form->whole[k].pos != NULL) {
                ngx_free(form->whole[k].pos);
            }
        }

        if (form != &render->plain) {
            ngx_free(form);
        }
    }

    ngx_memzero(&render->plain, sizeof(ngx_http_ws_bus_form_t));
}


/*
 * Once for each event and codec: the body, behind room for what precedes; and
 * once more for those whom the event leaves, where they get another one.
 */

ngx_http_ws_bus_form_t *
ngx_http_ws_bus_record_plain(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_client_loc_conf_t *conf, wsb_change_t change)
{
    uint8_t                    id[WSB_ID_LEN];
    wsb_str_t                  event_id;
    ngx_uint_t                 hidden;
    wsb_event_t               *ev, event;
    ngx_http_ws_bus_render_t  *render;

    hidden = change == WSB_CHANGE_LEFT_HIDDEN
             || (change == WSB_CHANGE_LEFT && conf->codec->left != NULL);

    ev = &rec->event;
    render = &rec->render[conf->codec_index];

    if (hidden) {

        if (rec->hidden == NULL) {
            rec->hidden = ngx_calloc(sizeof(ngx_http_ws_bus_render_t)
                                     * NGX_HTTP_WS_BUS_CODECS,
                                     ngx_cycle->log);
            if (rec->hidden == NULL) {
                return NULL;
            }
        }

        ngx_http_ws_bus_record_hide(ev, &event);

        ev = &event;
        render = &rec->hidden[conf->codec_index];
    }

    if (render->plain.body != NULL) {
        return &render->plain;
    }

    if (wsb_text_reserve(&render->text,
                         NGX_HTTP_WS_BUS_HEADROOM + rec->copy.len + 256)
        == NULL)
    {
        wsb_text_done(&render->text);
        return NULL;
    }

    render->text.len = NGX_HTTP_WS_BUS_HEADROOM;

    event_id.data = id;
    event_id.len = wsb_id(id, rec->epoch, rec->seq);

    if (hidden && conf->codec->left != NULL) {
        conf->codec->left(&render->text, ev, event_id);

    } else {
        conf->codec->body(&render->text, ev, event_id);
    }

    if (render->text.failed) {
        wsb_text_done(&render->text);
        return NULL;
    }

    render->plain.body = render->text.data + NGX_HTTP_WS_BUS_HEADROOM;
    render->plain.len = render->text.len - NGX_HTTP_WS_BUS_HEADROOM;

    return &render->plain;
}


/* What may be told of an event to those who may not see its row. */

static void
ngx_http_ws_bus_record_hide(const wsb_event_t *ev, wsb_event_t *hidden)
{
    ngx_uint_t  i;

    static const wsb_field_t  shown[] = {
        WSB_KIND, WSB_ENTITY_TYPE, WSB_ACTION, WSB_ENTITY_ID, WSB_TENANT,
        WSB_SCHEMA, WSB_LINK_TYPE, WSB_LINK_ID, WSB_TIMESTAMP
    };

    ngx_memzero(hidden, sizeof(wsb_event_t));

    hidden->seq = ev->seq;
    hidden->msec = ev->msec;

    for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        hidden->field[shown[i]] = ev->field[shown[i]];
    }
}
