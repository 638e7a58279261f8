/*
 * Records of the log in this process: recent ones are cached, and each is
 * rendered once for each codec, whoever gets it.
 */

#include "ngx_http_ws_bus_module.h"

#include "../ws/wsb_deflate.h"


#define NGX_HTTP_WS_BUS_SPARE_MAX  64
#define NGX_HTTP_WS_BUS_SPARE_SIZE 8192   /* a larger one is freed */


static void ngx_http_ws_bus_cache(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec);
static void ngx_http_ws_bus_forget(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec);
static void ngx_http_ws_bus_free_forms(ngx_http_ws_bus_render_t *render);
static ngx_http_ws_bus_form_t *ngx_http_ws_bus_plain(
    ngx_http_ws_bus_record_t *rec, ngx_http_ws_bus_loc_conf_t *conf,
    ngx_uint_t hidden);
static void ngx_http_ws_bus_hide(const wsb_event_t *ev, wsb_event_t *hidden);
static ngx_http_ws_bus_form_t *ngx_http_ws_bus_deflated(
    ngx_http_ws_bus_record_t *rec, ngx_http_ws_bus_conn_t *wc,
    ngx_http_ws_bus_form_t *plain);
static ngx_http_ws_bus_whole_t *ngx_http_ws_bus_whole(
    ngx_http_ws_bus_form_t *form, const wsb_codec_t *codec,
    uint32_t ordinal, wsb_change_t change);
static size_t ngx_http_ws_bus_prefix(u_char *dst,
    const ngx_http_ws_bus_form_t *form, const wsb_codec_t *codec,
    uint32_t ordinal, wsb_change_t change);


/*
 * The record at the cursor, from the cache or from the log, with a reference
 * for the caller; the cursor moves behind it.
 */

wsb_rc_t
ngx_http_ws_bus_fetch(ngx_http_ws_bus_worker_t *w, wsb_cursor_t *cursor,
    ngx_http_ws_bus_record_t **out)
{
    wsb_rc_t                   rc;
    ngx_queue_t               *q;
    ngx_http_ws_bus_record_t  *rec;

    rec = w->recent[cursor->seq & (NGX_HTTP_WS_BUS_CACHE_RECORDS - 1)];

    if (rec != NULL && rec->seq == cursor->seq) {
        cursor->seq++;

        if (cursor->pos != WSB_LOG_POS_UNKNOWN) {
            cursor->pos += rec->copy.len;
        }

        rec->refs++;
        *out = rec;

        return WSB_OK;
    }

    if (!ngx_queue_empty(&w->spare)) {
        q = ngx_queue_head(&w->spare);
        ngx_queue_remove(q);
        w->nspare--;

        rec = ngx_queue_data(q, ngx_http_ws_bus_record_t, link);

    } else {
        rec = ngx_calloc(sizeof(ngx_http_ws_bus_record_t), ngx_cycle->log);
        if (rec == NULL) {
            return WSB_NOMEM;
        }
    }

    rec->refs = 1;
    rec->seq = cursor->seq;
    rec->epoch = w->zone->epoch;

    rc = wsb_log_read(&w->zone->log, cursor, &rec->copy);

    if (rc == WSB_OK) {
        rc = wsb_event_decode(rec->copy.data, rec->copy.len, &rec->event);
    }

    if (rc != WSB_OK) {

        if (rc == WSB_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "ws bus zone \"%V\": event %uL cannot be read",
                          &w->bus->name, rec->seq);
        }

        ngx_http_ws_bus_release(w, rec);
        return rc;
    }

    wsb_key_parts(w->zone->key, &rec->event, &rec->parts);

    ngx_http_ws_bus_cache(w, rec);

    *out = rec;

    return WSB_OK;
}


static void
ngx_http_ws_bus_cache(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec)
{
    ngx_queue_t                *q;
    ngx_http_ws_bus_record_t  **place, *old;

    place = &w->recent[rec->seq & (NGX_HTTP_WS_BUS_CACHE_RECORDS - 1)];

    if (*place != NULL) {
        ngx_http_ws_bus_forget(w, *place);
    }

    /* about what it takes once it is rendered */

    rec->size = sizeof(ngx_http_ws_bus_record_t) + 2 * rec->copy.len;
    rec->refs++;

    *place = rec;
    w->cached += rec->size;

    ngx_queue_insert_tail(&w->records, &rec->link);

    while (w->cached > NGX_HTTP_WS_BUS_CACHE_BYTES) {
        q = ngx_queue_head(&w->records);
        old = ngx_queue_data(q, ngx_http_ws_bus_record_t, link);

        ngx_http_ws_bus_forget(w, old);
    }
}


static void
ngx_http_ws_bus_forget(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec)
{
    w->recent[rec->seq & (NGX_HTTP_WS_BUS_CACHE_RECORDS - 1)] = NULL;
    w->cached -= rec->size;

    ngx_queue_remove(&rec->link);

    ngx_http_ws_bus_release(w, rec);
}


void
ngx_http_ws_bus_release(ngx_http_ws_bus_worker_t *w,
    ngx_http_ws_bus_record_t *rec)
{
    ngx_uint_t                 i;
    ngx_http_ws_bus_render_t  *render;

    if (--rec->refs != 0) {
        return;
    }

    for (i = 0; rec->hidden != NULL && i < NGX_HTTP_WS_BUS_CODECS; i++) {
        ngx_http_ws_bus_free_forms(&rec->hidden[i]);
        wsb_text_done(&rec->hidden[i].text);
    }

    if (rec->hidden != NULL) {
        ngx_free(rec->hidden);
        rec->hidden = NULL;
    }

    for (i = 0; i < NGX_HTTP_WS_BUS_CODECS; i++) {
        render = &rec->render[i];

        ngx_http_ws_bus_free_forms(render);

        /* its memory serves the next event, unless it is unusually large */

        render->text.len = 0;

        if (render->text.failed
            || render->text.size > NGX_HTTP_WS_BUS_SPARE_SIZE)
        {
            wsb_text_done(&render->text);
        }
    }

    if (w->nspare < NGX_HTTP_WS_BUS_SPARE_MAX
        && rec->copy.size <= NGX_HTTP_WS_BUS_SPARE_SIZE)
    {
        ngx_queue_insert_head(&w->spare, &rec->link);
        w->nspare++;
        return;
    }

    for (i = 0; i < NGX_HTTP_WS_BUS_CODECS; i++) {
        wsb_text_done(&rec->render[i].text);
    }

    wsb_free(rec->copy.data);
    ngx_free(rec);
}


static void
ngx_http_ws_bus_free_forms(ngx_http_ws_bus_render_t *render)
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


ngx_uint_t
ngx_http_ws_bus_frame(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_conn_t *wc, uint32_t ordinal, wsb_change_t change,
    u_char scratch[NGX_HTTP_WS_BUS_HEADROOM], ngx_str_t piece[2])
{
    ngx_http_ws_bus_form_t   *form;
    ngx_http_ws_bus_whole_t  *whole;

    form = ngx_http_ws_bus_plain(rec, wc->conf,
                                 change == WSB_CHANGE_LEFT_HIDDEN);

    if (form != NULL && wc->deflate_bits != 0
        && form->len >= wc->conf->deflate_min_length)
    {
        form = ngx_http_ws_bus_deflated(rec, wc, form);
    }

    if (form == NULL) {
        return 0;
    }

    whole = ngx_http_ws_bus_whole(form, wc->conf->codec, ordinal, change);

    if (whole != NULL) {
        piece[0].data = whole->pos;
        piece[0].len = whole->len;

        return 1;
    }

    piece[0].data = scratch;
    piece[0].len = ngx_http_ws_bus_prefix(scratch, form, wc->conf->codec,
                                          ordinal, change);
    piece[1].data = form->body;
    piece[1].len = form->len;

    return 2;
}


/* Once for each event and codec: the body, behind room for what precedes. */

static ngx_http_ws_bus_form_t *
ngx_http_ws_bus_plain(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_loc_conf_t *conf, ngx_uint_t hidden)
{
    uint8_t                    id[WSB_ID_LEN];
    wsb_str_t                  event_id;
    wsb_event_t               *ev, event;
    ngx_http_ws_bus_render_t  *render;

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

        ngx_http_ws_bus_hide(ev, &event);

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

    conf->codec->body(&render->text, ev, event_id);

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
ngx_http_ws_bus_hide(const wsb_event_t *ev, wsb_event_t *hidden)
{
    ngx_uint_t  i;

    static const wsb_field_t  shown[] = {
        WSB_KIND, WSB_ENTITY_TYPE, WSB_ACTION, WSB_ENTITY_ID, WSB_TENANT,
        WSB_LINK_TYPE, WSB_LINK_ID,
        WSB_TIMESTAMP
    };

    ngx_memzero(hidden, sizeof(wsb_event_t));

    hidden->seq = ev->seq;
    hidden->msec = ev->msec;

    for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        hidden->field[shown[i]] = ev->field[shown[i]];
    }
}


/*
 * The body is compressed once and serves every peer whose window is at least
 * as large as what it refers back to.  Where compressing does not pay, the
 * plain form goes out.
 */

static ngx_http_ws_bus_form_t *
ngx_http_ws_bus_deflated(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_conn_t *wc, ngx_http_ws_bus_form_t *plain)
{
    size_t                    len;
    wsb_str_t                 body;
    wsb_deflate_t            *d;
    ngx_http_ws_bus_form_t   *form, **last;

    /*
     * The first that fits, in the order in which they were made: a frame that
     * has been begun must be finished in the same form.
     */

    for (last = &plain->next; *last != NULL; last = &(*last)->next) {
        form = *last;

        if (form->bits <= wc->deflate_bits) {
            return form->body ? form : plain;
        }
    }

    if (plain->stays) {
        return plain;
    }

    d = ngx_http_ws_bus_deflate(wc->conf->deflate, wc->deflate_bits);

    form = ngx_alloc(sizeof(ngx_http_ws_bus_form_t)
                     + NGX_HTTP_WS_BUS_HEADROOM + plain->len,
                     ngx_cycle->log);

    if (form == NULL || d == NULL) {

        if (form != NULL) {
            ngx_free(form);
        }

        /* later there may be memory, when a plain frame has been begun */

        plain->stays = 1;

        return plain;
    }

    ngx_memzero(form, sizeof(ngx_http_ws_bus_form_t));

    body.data = plain->body;
    body.len = plain->len;
    len = plain->len;

    form->bits = wsb_deflate_window(body.len, wc->deflate_bits);
    form->body = (u_char *) (form + 1) + NGX_HTTP_WS_BUS_HEADROOM;

    if (wsb_deflate(d, body, form->body, &len) == WSB_OK) {
        form->len = len;

    } else {
        form->body = NULL;
    }

    ngx_http_ws_bus_counters(wc->worker)->deflations++;

    *last = form;

    return form->body ? form : plain;
}


/*
 * Small frames are kept whole for the first ordinals that come along, which
 * are those of nearly everybody; the very first takes no copy at all.
 */

static ngx_http_ws_bus_whole_t *
ngx_http_ws_bus_whole(ngx_http_ws_bus_form_t *form, const wsb_codec_t *codec,
    uint32_t ordinal, wsb_change_t change)
{
    size_t                    len;
    u_char                    prefix[NGX_HTTP_WS_BUS_HEADROOM];
    ngx_uint_t                i;
    ngx_http_ws_bus_whole_t  *whole;

    for (i = 0; i < NGX_HTTP_WS_BUS_WHOLE; i++) {
        whole = &form->whole[i];

        if (whole->ordinal == ordinal && whole->change == change) {
            return whole;
        }

        if (whole->ordinal == 0) {
            break;
        }
    }

    if (i == NGX_HTTP_WS_BUS_WHOLE
        || (i > 0 && form->len > NGX_HTTP_WS_BUS_WHOLE_MAX))
    {
        return NULL;
    }

    len = ngx_http_ws_bus_prefix(prefix, form, codec, ordinal, change);

    if (i == 0) {
        whole->pos = form->body - len;

    } else {
        whole->pos = ngx_alloc(len + form->len, ngx_cycle->log);
        if (whole->pos == NULL) {
            return NULL;
        }

        ngx_memcpy(whole->pos + len, form->body, form->len);
    }

    ngx_memcpy(whole->pos, prefix, len);

    whole->len = len + form->len;
    whole->ordinal = ordinal;
    whole->change = change;

    return whole;
}


/*
 * The frame's header and the codec's prefix, if it has one, which before a
 * compressed body is a stored block; returns their length.
 */

static size_t
ngx_http_ws_bus_prefix(u_char *dst, const ngx_http_ws_bus_form_t *form,
    const wsb_codec_t *codec, uint32_t ordinal, wsb_change_t change)
{
    size_t  len, n;
    u_char  prefix[WSB_DEFLATE_STORED_HEADER + WSB_PREFIX_MAX];

    n = form->bits ? WSB_DEFLATE_STORED_HEADER : 0;
    len = codec->prefix ? codec->prefix(prefix + n, ordinal, change) : 0;

    if (form->bits && len != 0) {
        (void) wsb_deflate_stored(prefix, len);
        len += n;
    }

    n = wsb_frame_header(dst, WSB_FRAME_TEXT, form->bits != 0,
                         len + form->len);

    ngx_memcpy(dst + n, prefix, len);

    return n + len;
}
