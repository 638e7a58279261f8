/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The transport of server-sent events (WHATWG HTML, section 9.2) and of
 * messages a line.  All bytes go through nginx's own filters, so that HTTP/2,
 * TLS and gzip are its affair.
 */

#include "ngx_http_ws_bus_events.h"


#define NGX_HTTP_WS_BUS_EVENTS_WRITE  16384     /* bytes that nginx is given
                                                   at a time */
#define NGX_HTTP_WS_BUS_EVENTS_BITS   16        /* of a form for events, */
#define NGX_HTTP_WS_BUS_LINES_BITS    17        /* and of one for lines */
#define NGX_HTTP_WS_BUS_EVENTS_TEXT   (1024 * 1024)    /* of an answer that is
                                                   collected, about */
#define NGX_HTTP_WS_BUS_EVENTS_CLOSE  5000      /* ms, for the last bytes */
#define NGX_HTTP_WS_BUS_EVENTS_RETRY  3000      /* ms, spread over these */


static ngx_uint_t ngx_http_ws_bus_events_event(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_client_t *wc, uint32_t ordinal, wsb_change_t change,
    u_char scratch[NGX_HTTP_WS_BUS_HEADROOM], ngx_str_t piece[2]);
static ngx_http_ws_bus_form_t *ngx_http_ws_bus_events_form(
    ngx_http_ws_bus_record_t *rec, ngx_http_ws_bus_form_t *plain,
    ngx_uint_t lines);
static void ngx_http_ws_bus_events_count(ngx_http_ws_bus_events_t *es,
    ngx_http_ws_bus_record_t *rec, size_t len);
static void ngx_http_ws_bus_events_answer(ngx_http_ws_bus_client_t *wc,
    const u_char *data, size_t len);
static void ngx_http_ws_bus_events_text(ngx_http_ws_bus_client_t *wc,
    wsb_text_t *t, wsb_str_t message);
static void ngx_http_ws_bus_events_queue(ngx_http_ws_bus_events_t *es,
    const u_char *data, size_t len, ngx_http_ws_bus_out_e kind);
static void ngx_http_ws_bus_events_ping(ngx_http_ws_bus_client_t *wc);
static ngx_int_t ngx_http_ws_bus_events_write(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_write_t *w, size_t *sent);
static ngx_int_t ngx_http_ws_bus_events_give(ngx_http_ws_bus_events_t *es,
    ngx_chain_t *cl);
static ngx_uint_t ngx_http_ws_bus_events_buffered(
    ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_events_written(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_events_resume(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_events_end(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_end_e why, const char *text);
static void ngx_http_ws_bus_events_close(ngx_http_ws_bus_client_t *wc);
static void ngx_http_ws_bus_events_free(ngx_http_ws_bus_client_t *wc);


static const ngx_http_ws_bus_transport_t  ngx_http_ws_bus_events = {
    "events",
    0,
    ngx_http_ws_bus_events_event,
    ngx_http_ws_bus_events_answer,
    ngx_http_ws_bus_events_ping,
    ngx_http_ws_bus_events_write,
    ngx_http_ws_bus_events_buffered,
    ngx_http_ws_bus_events_written,
    ngx_http_ws_bus_events_resume,
    ngx_http_ws_bus_events_end,
    ngx_http_ws_bus_events_close,
    ngx_http_ws_bus_events_free
};


ngx_http_ws_bus_events_t *
ngx_http_ws_bus_events_create(ngx_http_request_t *r,
    ngx_http_ws_bus_fan_t *fan)
{
    ngx_http_ws_bus_events_t           *es;
    ngx_http_ws_bus_client_loc_conf_t  *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_ws_bus_client_module);

    es = (ngx_http_ws_bus_events_t *)
             ngx_http_ws_bus_client_create(sizeof(ngx_http_ws_bus_events_t),
                                           &ngx_http_ws_bus_events,
                                           r->connection, ccf, fan);
    if (es != NULL) {
        es->request = r;
    }

    return es;
}


void
ngx_http_ws_bus_events_begin(ngx_http_ws_bus_events_t *es)
{
    u_char  *p, buf[sizeof("retry: \n\n") + NGX_INT_T_LEN];

    if (es->lines || es->collect) {
        return;
    }

    p = ngx_sprintf(buf, "retry: %d\n\n", NGX_HTTP_WS_BUS_EVENTS_RETRY);

    ngx_http_ws_bus_events_queue(es, buf, p - buf,
                                 NGX_HTTP_WS_BUS_OUT_ANSWER);
}


void
ngx_http_ws_bus_events_write_handler(ngx_http_request_t *r)
{
    ngx_http_ws_bus_client_t  *wc;

    wc = ngx_http_get_module_ctx(r, ngx_http_ws_bus_events_module);

    if (wc == NULL || wc->closed) {
        return;
    }

    ngx_http_ws_bus_turn();

    ngx_http_ws_bus_out_writable(wc);

    if (!wc->closed && !wc->blocked
        && ngx_handle_write_event(r->connection->write, 0) != NGX_OK)
    {
        ngx_http_ws_bus_client_close(wc);
    }
}


static ngx_uint_t
ngx_http_ws_bus_events_event(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_client_t *wc, uint32_t ordinal, wsb_change_t change,
    u_char scratch[NGX_HTTP_WS_BUS_HEADROOM], ngx_str_t piece[2])
{
    u_char                    *p;
    ngx_http_ws_bus_form_t    *form;
    ngx_http_ws_bus_events_t  *es;

    es = (ngx_http_ws_bus_events_t *) wc;

    form = ngx_http_ws_bus_record_plain(rec, wc->conf, change);

    if (form != NULL) {
        form = ngx_http_ws_bus_events_form(rec, form, es->lines);
    }

    if (form == NULL) {
        return 0;
    }

    p = es->lines ? scratch : ngx_cpymem(scratch, "data: ", 6);

    if (wc->conf->codec->prefix) {
        p += wc->conf->codec->prefix(p, wc->id, ordinal, change);
    }

    piece[0].data = scratch;
    piece[0].len = p - scratch;
    piece[1].data = form->body;
    piece[1].len = form->len;

    if (es->collect) {
        ngx_http_ws_bus_events_count(es, rec, piece[0].len + piece[1].len);
    }

    return 2;
}


/*
 * The body with what follows it, made once for all.  White space of its JSON
 * may be the end of a line, which here would be the end of a field: there each
 * line is a field of its own, and in a message a line it is a blank.
 */

static ngx_http_ws_bus_form_t *
ngx_http_ws_bus_events_form(ngx_http_ws_bus_record_t *rec,
    ngx_http_ws_bus_form_t *plain, ngx_uint_t lines)
{
    size_t                   i, n;
    u_char                  *p, c;
    ngx_uint_t               bits;
    ngx_http_ws_bus_form_t  *form, **last;

    bits = lines ? NGX_HTTP_WS_BUS_LINES_BITS : NGX_HTTP_WS_BUS_EVENTS_BITS;

    for (last = &plain->next; *last != NULL; last = &(*last)->next) {
        if ((*last)->bits == bits) {
            return *last;
        }
    }

    n = 0;

    for (i = 0; !lines && i < plain->len; i++) {
        n += (plain->body[i] == '\n' || plain->body[i] == '\r');
    }

    form = ngx_alloc(sizeof(ngx_http_ws_bus_form_t) + plain->len
                     + n * (sizeof("data: ") - 1)
                     + sizeof("\nid: \nevent: event\n\n") + WSB_ID_LEN,
                     ngx_cycle->log);
    if (form == NULL) {
        return NULL;
    }

    ngx_memzero(form, sizeof(ngx_http_ws_bus_form_t));

    form->bits = bits;
    form->body = (u_char *) (form + 1);

    p = form->body;

    for (i = 0; i < plain->len; i++) {
        c = plain->body[i];

        if (c != '\n' && c != '\r') {
            *p++ = c;

        } else if (lines) {
            *p++ = ' ';

        } else {
            *p++ = '\n';
            p = ngx_cpymem(p, "data: ", 6);
        }
    }

    *p++ = '\n';

    if (!lines) {
        p = ngx_cpymem(p, "id: ", 4);
        p += wsb_id(p, rec->epoch, rec->seq);
        p = ngx_cpymem(p, "\nevent: event\n\n", 15);
    }

    form->len = p - form->body;

    *last = form;

    return form;
}


/*
 * Of an answer that is collected.  An event may come again, when it has been
 * queued and dropped: it counts once.
 */

static void
ngx_http_ws_bus_events_count(ngx_http_ws_bus_events_t *es,
    ngx_http_ws_bus_record_t *rec, size_t len)
{
    if (es->full || rec->seq <= es->latest) {
        return;
    }

    es->latest = rec->seq;
    es->nevents++;
    es->whole += len;

    es->full = es->nevents == es->limit
               || es->whole >= NGX_HTTP_WS_BUS_EVENTS_TEXT;
}


static void
ngx_http_ws_bus_events_answer(ngx_http_ws_bus_client_t *wc,
    const u_char *data, size_t len)
{
    wsb_str_t                  message;
    wsb_text_t                 text;
    ngx_http_ws_bus_events_t  *es;

    es = (ngx_http_ws_bus_events_t *) wc;

    if (ngx_strncmp(data, "{\"type\":\"welcome\"", 17) == 0) {
        return;
    }

    if (ngx_strncmp(data, "{\"type\":\"error\"", 15) == 0
        && wc->nsubs == 0)
    {
        es->refused = 1;

    } else if (es->collect
               && (es->full
                   || ngx_strncmp(data, "{\"type\":\"gap\"", 13) != 0))
    {
        /* a whole answer has events, and what it lacks */
        return;
    }

    ngx_memzero(&text, sizeof(wsb_text_t));

    message.data = data;
    message.len = len;

    if (es->lines) {
        wsb_text_str(&text, message);
        wsb_text_lit(&text, "\n");

    } else {
        ngx_http_ws_bus_events_text(wc, &text, message);
    }

    if (text.failed) {
        wsb_text_done(&text);
        ngx_http_ws_bus_client_close(wc);
        return;
    }

    if (es->collect) {
        es->whole += text.len;
    }

    ngx_http_ws_bus_events_queue(es, text.data, text.len,
                                 NGX_HTTP_WS_BUS_OUT_ANSWER);
    wsb_text_done(&text);
}


/*
 * Its type is the event's, and what it names as the last one the id: but not
 * of a subscription that begins in the past, which has more to come.
 */

static void
ngx_http_ws_bus_events_text(ngx_http_ws_bus_client_t *wc, wsb_text_t *t,
    wsb_str_t message)
{
    ngx_uint_t        i, past;
    wsb_str_t         text;
    wsb_json_t        value, member;
    wsb_json_error_t  err;

    static const wsb_json_limits_t  limits = { WSB_JSON_DEPTH, 0 };

    static const char *const  ids[] = { "last_id", "to" };

    wsb_text_lit(t, "data: ");
    wsb_text_str(t, message);
    wsb_text_lit(t, "\n");

    if (wsb_json_parse(message, &limits, &value, &err) == WSB_OK) {

        if (wsb_json_get(&value, "type", &member) == WSB_OK) {
            text.data = member.text.data + 1;
            text.len = member.text.len - 2;

            wsb_text_lit(t, "event: ");
            wsb_text_str(t, text);
            wsb_text_lit(t, "\n");
        }

        past = wsb_json_get(&value, "recovered", &member) == WSB_OK;

        if (wc->nsubs != 0 && wc->subs[0]->live
            && wsb_json_get(&value, "data", &member) != WSB_OK
            && ((wc->subs[0]->from & WSB_POSITION_WAITS)
                || wsb_json_get(&value, "to", &member) == WSB_OK))
        {
            /* whoever has no snapshot yet must not come back with an id */

            wsb_text_lit(t, "id:\n");
            past = 1;
        }

        for (i = 0; !past && i < sizeof(ids) / sizeof(ids[0]); i++) {

            if (wsb_json_get(&value, ids[i], &member) == WSB_OK
                && member.type == WSB_JSON_STRING)
            {
                text.data = member.text.data + 1;
                text.len = member.text.len - 2;

                wsb_text_lit(t, "id: ");
                wsb_text_str(t, text);
                wsb_text_lit(t, "\n");
                break;
            }
        }
    }

    wsb_text_lit(t, "\n");
}


static void
ngx_http_ws_bus_events_queue(ngx_http_ws_bus_events_t *es,
    const u_char *data, size_t len, ngx_http_ws_bus_out_e kind)
{
    ngx_http_ws_bus_out_t  *out;

    out = ngx_http_ws_bus_out_new(&es->client, len);
    if (out == NULL) {
        return;
    }

    out->kind = kind;
    out->last = ngx_cpymem(out->last, data, len);

    ngx_http_ws_bus_out_add(&es->client, out);
}


/* A peer that only reads shows its life by reading. */

static void
ngx_http_ws_bus_events_ping(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_events_t  *es;

    es = (ngx_http_ws_bus_events_t *) wc;

    if (!es->collect) {
        ngx_http_ws_bus_events_queue(es, (u_char *) (es->lines ? "\n"
                                                               : ":\n\n"),
                                     es->lines ? 1 : 3,
                                     NGX_HTTP_WS_BUS_OUT_LATEST);
    }

    if (!wc->closed && !wc->blocked) {
        ngx_http_ws_bus_heartbeat_heard(wc, WSB_LIFE_ANY);
    }
}


static ngx_int_t
ngx_http_ws_bus_events_write(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_write_t *w, size_t *sent)
{
    size_t                     size, n;
    u_char                    *p;
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_http_ws_bus_events_t  *es;

    es = (ngx_http_ws_bus_events_t *) wc;
    *sent = 0;

    if (es->collect) {

        /* what counts comes first, and nothing after it is kept */

        size = es->full ? es->whole - ngx_min(es->text.len, es->whole)
                        : w->size;

        for (i = 0; i < w->n && size > 0; i++) {
            n = ngx_min(w->piece[i].iov_len, size);
            wsb_text_add(&es->text, w->piece[i].iov_base, n);
            size -= n;
        }

        *sent = w->size;

        return es->text.failed ? NGX_ERROR : NGX_OK;
    }

    rc = ngx_http_ws_bus_events_give(es, NULL);

    if (rc != NGX_OK || w->n == 0) {
        return rc;
    }

    size = ngx_min(w->size, NGX_HTTP_WS_BUS_EVENTS_WRITE);

    /* large enough to be given back to the pool, not only to be taken of it */

    es->data = ngx_palloc(es->request->pool, ngx_max(size, ngx_pagesize));
    if (es->data == NULL) {
        return NGX_ERROR;
    }

    p = es->data;

    for (i = 0; i < w->n && size > 0; i++) {
        n = ngx_min(w->piece[i].iov_len, size);
        p = ngx_cpymem(p, w->piece[i].iov_base, n);
        size -= n;
    }

    ngx_memzero(es->buf, sizeof(ngx_buf_t));

    es->buf->start = es->data;
    es->buf->pos = es->data;
    es->buf->last = p;
    es->buf->end = p;
    es->buf->temporary = 1;
    es->buf->flush = 1;

    es->chain->buf = es->buf;
    es->chain->next = NULL;

    *sent = p - es->data;

    return ngx_http_ws_bus_events_give(es, es->chain);
}


/* Gives nginx this, or what it has not taken yet. */

static ngx_int_t
ngx_http_ws_bus_events_give(ngx_http_ws_bus_events_t *es, ngx_chain_t *cl)
{
    ngx_http_request_t  *r;

    r = es->request;

    if (cl == NULL && !ngx_http_ws_bus_events_buffered(&es->client)) {
        return NGX_OK;
    }

    if (ngx_http_output_filter(r, cl) == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (es->data != NULL && es->buf->pos == es->buf->last) {
        ngx_pfree(r->pool, es->data);
        es->data = NULL;
    }

    if (!ngx_http_ws_bus_events_buffered(&es->client)) {
        return NGX_OK;
    }

    if (ngx_handle_write_event(r->connection->write, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static ngx_uint_t
ngx_http_ws_bus_events_buffered(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_events_t  *es;

    es = (ngx_http_ws_bus_events_t *) wc;

    if (es->collect) {
        return 0;
    }

    return es->data != NULL || es->request->buffered
           || es->request->out != NULL || wc->connection->buffered;
}


static void
ngx_http_ws_bus_events_written(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_events_t  *es;

    es = (ngx_http_ws_bus_events_t *) wc;

    if (wc->closing) {
        ngx_http_ws_bus_client_close(wc);
        return;
    }

    if (es->collect || es->refused) {
        /* in an event of its own: the engine may be in the middle of it */
        ngx_post_event(&es->event, &ngx_posted_events);
    }
}


/* It says nothing that would have to be read. */

static void
ngx_http_ws_bus_events_resume(ngx_http_ws_bus_client_t *wc)
{
}


/*
 * Who loses the connection comes again by itself: those of a worker that
 * leaves, not all at once.
 */

static void
ngx_http_ws_bus_events_end(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_end_e why, const char *text)
{
    u_char                    *p, buf[sizeof("retry: \n\n") + NGX_INT_T_LEN];
    ngx_http_ws_bus_events_t  *es;

    es = (ngx_http_ws_bus_events_t *) wc;

    if (es->collect || es->lines) {
        ngx_http_ws_bus_client_close(wc);
        return;
    }

    ngx_http_ws_bus_client_stop(wc);

    p = ngx_sprintf(buf, "retry: %d\n\n",
                    (int) (500 + ngx_random()
                                 % NGX_HTTP_WS_BUS_EVENTS_RETRY));

    ngx_http_ws_bus_events_queue(es, buf, p - buf, NGX_HTTP_WS_BUS_OUT_LAST);

    if (wc->closed) {
        return;
    }

    /* not cancelable: an exiting worker waits for it */

    es->event.cancelable = 0;
    ngx_add_timer(&es->event, NGX_HTTP_WS_BUS_EVENTS_CLOSE);

    (void) ngx_http_ws_bus_out_flush(wc);
}


static void
ngx_http_ws_bus_events_close(ngx_http_ws_bus_client_t *wc)
{
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_ws_bus_events_t  *es;

    es = (ngx_http_ws_bus_events_t *) wc;
    r = es->request;

    ngx_http_ws_bus_events_drain_remove(es);

    if (es->event.timer_set) {
        ngx_del_timer(&es->event);
    }

    if (es->event.posted) {
        ngx_delete_posted_event(&es->event);
    }

    if (r == NULL) {
        /* it is the request that ends */
        return;
    }

    ngx_http_ws_bus_events_release(es);

    c = r->connection;

    if (!r->header_sent || es->data != NULL) {
        /* a part of it only, which must not look like all */
        ngx_http_finalize_request(r, NGX_ERROR);

    } else {
        ngx_http_finalize_request(r, ngx_http_send_special(r, NGX_HTTP_LAST));
    }

    ngx_http_run_posted_requests(c);
}


void
ngx_http_ws_bus_events_release(ngx_http_ws_bus_events_t *es)
{
    ngx_http_set_ctx(es->request, NULL, ngx_http_ws_bus_events_module);

    es->cleanup->handler = NULL;
    es->request = NULL;
}


static void
ngx_http_ws_bus_events_free(ngx_http_ws_bus_client_t *wc)
{
    ngx_http_ws_bus_events_t  *es;

    es = (ngx_http_ws_bus_events_t *) wc;

    wsb_text_done(&es->subscribe);
    wsb_text_done(&es->text);
}
