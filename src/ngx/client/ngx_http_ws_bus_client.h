/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * A client is who is served: its tenant and rights, its subscriptions, its
 * position in the log, its queues and limits.  How its bytes go is the
 * business of its transport, which is known here by a table of functions.
 *
 *   client        made, opened, ended, closed
 *   client_conf   the room's configuration
 *   admit         what a request must pass to become a client
 *   origin        which pages may open a connection
 *   tenant        whose a request is
 *   section       of which entity and section it is, for whom
 *   refuse        handshakes that a protocol refuses in its own words
 *   restrict      what a client may see
 *   limit         what it may have
 *   token         its token expires, or is renewed
 *   op            its messages, turned into operations
 *   context       who it is, as far as a protocol wants to know
 *   subscribe     subscriptions: made, started, taken out
 *   live          those with a snapshot
 *   position      where it stands
 *   fanout        from the log to the clients
 *   catch         clients that are behind
 *   out           control queue, event queue, writing
 *   record        records of the log in this process, rendered once
 *   heartbeat     who is silent
 *   session_log   one line for each client, at its close
 */

#ifndef NGX_HTTP_WS_BUS_CLIENT_H
#define NGX_HTTP_WS_BUS_CLIENT_H


#include "ngx_http_ws_bus_client_types.h"


/* client */

ngx_int_t ngx_http_ws_bus_client_init_process(ngx_cycle_t *cycle);

/* A client of `size` bytes, of which it is the first member, or NULL. */
ngx_http_ws_bus_client_t *ngx_http_ws_bus_client_create(size_t size,
    const ngx_http_ws_bus_transport_t *transport, ngx_connection_t *c,
    ngx_http_ws_bus_client_loc_conf_t *conf, ngx_http_ws_bus_fan_t *fan);

/* Of one that was never opened, and of a husk. */
void ngx_http_ws_bus_client_free(ngx_http_ws_bus_client_t *wc);

/* From now on it is served.  It may be closed afterwards. */
void ngx_http_ws_bus_client_open(ngx_http_ws_bus_client_t *wc);

/* Ends it, once: its transport tells the peer. */
void ngx_http_ws_bus_client_end(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_end_e why, const char *text);

/*
 * For transports that end it by themselves: no event comes any more.  Its
 * last_id is what last() says before.
 */
void ngx_http_ws_bus_client_stop(ngx_http_ws_bus_client_t *wc);

/* The id up to which it has been served, ended by a NUL. */
void ngx_http_ws_bus_client_last(ngx_http_ws_bus_client_t *wc,
    u_char id[WSB_ID_LEN + 1]);

/* It is not read any more, until it is released of all that holds it. */
void ngx_http_ws_bus_client_hold(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t why);
void ngx_http_ws_bus_client_release(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t why);

/* The end: wc is a husk afterwards. */
void ngx_http_ws_bus_client_close(ngx_http_ws_bus_client_t *wc);

/* Of a husk: the end of the turn frees it. */
void ngx_http_ws_bus_client_discard(ngx_http_ws_bus_client_t *wc);

/* Those who are of no bus: an echo's. */
extern ngx_http_ws_bus_fan_t  ngx_http_ws_bus_no_fan;


/* client_conf */

/* A location of which the protocol is given: another one is refused. */
ngx_int_t ngx_http_ws_bus_client_conf_speaks_bus(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *conf);


/* admit */

/*
 * Before anything is made of a request: may it make a client?  As connect()
 * of those who are asked.
 */
ngx_int_t ngx_http_ws_bus_admit_ask(ngx_http_request_t *r);

/*
 * The process's part in a zone, or with NULL of no zone.  NULL: it has none
 * now, which is a 503.
 */
ngx_http_ws_bus_fan_t *ngx_http_ws_bus_admit_fan(ngx_http_ws_bus_zone_t *bus);

/*
 * Gives a client what the request and its location say: tenant, forced
 * conditions, limits, in which it is counted in.  NGX_OK, or the status to
 * answer with.
 */
ngx_int_t ngx_http_ws_bus_admit(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc, ngx_str_t *tenant);

/* The id of the client that this request makes, 16 bytes, or NULL. */
u_char *ngx_http_ws_bus_admit_id(ngx_http_request_t *r);


/* origin */

char *ngx_http_ws_bus_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Takes the names of the server along: nginx itself does not keep them. */
ngx_int_t ngx_http_ws_bus_origin_merge(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *prev,
    ngx_http_ws_bus_client_loc_conf_t *conf);

/* Are there origins by name, so that others are kept out? */
ngx_uint_t ngx_http_ws_bus_origin_listed_only(
    ngx_http_ws_bus_client_loc_conf_t *conf);

/* Of a handshake with n Origin headers: NGX_OK, or 403, counted and logged. */
ngx_int_t ngx_http_ws_bus_origin_check(ngx_http_request_t *r,
    ngx_str_t *origin, ngx_uint_t n);


/* cors */

/*
 * What a page needs that comes with n Origin headers, and has been let in;
 * expose: the headers of the answer that it may read.  NGX_OK, or a status.
 */
ngx_int_t ngx_http_ws_bus_cors(ngx_http_request_t *r, ngx_str_t *origin,
    ngx_uint_t n, const char *expose);

/* Answers a preflight.  NGX_DECLINED: it has been answered. */
ngx_int_t ngx_http_ws_bus_cors_preflight(ngx_http_request_t *r,
    const char *methods, const char *headers);


/* tenant */

char *ngx_http_ws_bus_tenant_value(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* What "ws_bus_tenant off" makes of a level's tenant. */
extern ngx_http_complex_value_t   ngx_http_ws_bus_no_tenant;

/*
 * The value of ws_bus_tenant where there is no client, in the request's
 * pool; len 0: there is none.  Else 400, which has been logged: no event can
 * have it; or 500.
 */
ngx_int_t ngx_http_ws_bus_tenant_of(ngx_http_request_t *r,
    ngx_str_t *tenant);

/*
 * The tenant of a request's location, in the request's pool or static.  data
 * NULL with NGX_OK: the client should have named one.  NGX_DECLINED: there
 * are no tenants here.
 */
ngx_int_t ngx_http_ws_bus_tenant_get(ngx_http_request_t *r,
    ngx_str_t *tenant);

/* Why no event can have it: it is empty, too long, no text; NULL: it can. */
const char *ngx_http_ws_bus_tenant_wrong(ngx_str_t *tenant);

/*
 * NGX_OK: a client can have it, len 0 is none.  NGX_DONE: it cannot, and
 * has been answered.  Else the status to answer with.
 */
ngx_int_t ngx_http_ws_bus_tenant_check(ngx_http_request_t *r,
    ngx_str_t *tenant);

wsb_key_t ngx_http_ws_bus_tenant_hash(wsb_zone_t *zone, ngx_str_t *tenant);


/* restrict */

char *ngx_http_ws_bus_restrict(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_ws_bus_restrict_merge(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *prev,
    ngx_http_ws_bus_client_loc_conf_t *conf);

/* *n conditions of WSB_RESTRICT_CONDITIONS, in the request's pool. */
ngx_int_t ngx_http_ws_bus_restrict_force(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc, wsb_forced_t *forced, ngx_uint_t *n);

/*
 * Does an event, or a row that is told as one, meet these conditions?
 * NGX_DECLINED: it does not.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_ws_bus_restrict_meets(const uint8_t key[16],
    const wsb_forced_t *forced, ngx_uint_t n, const wsb_event_t *ev);


/* limit */

char *ngx_http_ws_bus_limit_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_limit_message_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_ws_bus_limit(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_limit_give(ngx_http_ws_bus_client_t *wc);
ngx_int_t ngx_http_ws_bus_limit_message(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t control);


/* token */

ngx_int_t ngx_http_ws_bus_token_init_process(ngx_cycle_t *cycle);

/*
 * At the handshake, when all values have been evaluated: which claims they
 * were made of is remembered.  NGX_OK, or a status.
 */
ngx_int_t ngx_http_ws_bus_token_attach(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc);

/* While it is open, a client ends when its token expires. */
void ngx_http_ws_bus_token_start(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_token_stop(ngx_http_ws_bus_client_t *wc);

/*
 * Another token for a client of a bus.
 *   NGX_OK        renewed; *exp is when it expires, see wsb_claims_check()
 *   NGX_ABORT     it is refused, *reason says why; the old one counts
 *   NGX_DONE      it is of another subject or of other rights: ended
 *   NGX_DECLINED  the client has no token, or one without a subject
 *   NGX_BUSY      too many in one second
 *   NGX_ERROR     no memory
 */
ngx_int_t ngx_http_ws_bus_token_renew(ngx_http_ws_bus_client_t *wc,
    wsb_str_t token, uint64_t *exp, const char **reason);


/* op */

/* What the protocol says and does when a client opens. */
void ngx_http_ws_bus_op_welcome(ngx_http_ws_bus_client_t *wc);

/*
 * Answers it: a text of the codec, which is freed.  Without memory the client
 * is closed.
 */

void ngx_http_ws_bus_op_reply(ngx_http_ws_bus_client_t *wc, wsb_text_t *text);

/* A message that nobody has asked for now.  It may be closed by it. */
void ngx_http_ws_bus_op_say(ngx_http_ws_bus_client_t *wc, const u_char *data,
    size_t len);

/* One more message of a client: NGX_DECLINED, it has been ended for it. */
ngx_int_t ngx_http_ws_bus_op_count(ngx_http_ws_bus_client_t *wc);

/* The same of a control frame; answer: it may be that to our ping. */
ngx_int_t ngx_http_ws_bus_op_control(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t answer);

/* A message, text or binary.  wc may be closed by it. */
void ngx_http_ws_bus_op_text(ngx_http_ws_bus_client_t *wc, wsb_str_t message);
void ngx_http_ws_bus_op_binary(ngx_http_ws_bus_client_t *wc);

/* To a client that resumes: how far it has been served, if that has moved. */
void ngx_http_ws_bus_op_position(ngx_http_ws_bus_client_t *wc);

/* Answer with an error: what the operation holds, or this. */
void ngx_http_ws_bus_op_refuse(ngx_http_ws_bus_client_t *wc, wsb_op_t *op);
void ngx_http_ws_bus_op_error(ngx_http_ws_bus_client_t *wc, wsb_str_t id,
    const char *code, wsb_str_t message);

/*
 * Operations that wait.
 *
 * keep() takes over what op holds, which is empty afterwards, so that the
 * caller of the handler frees nothing.  How many a client may have is the
 * handler's affair: wc->nops is how many it has.  NULL: no memory, or the
 * client is closing; op is as it was, and can still be refused.
 *
 * answer() sends a text of the codec's, which is freed.  It may be called in
 * any turn, and any number of times.  NGX_DECLINED: the client is gone, or has
 * gone in the call for want of memory; in neither case is end() called for it
 * any more.
 *
 * So what ends an operation is always these two lines:
 *
 *     (void) ngx_http_ws_bus_op_answer(kept, &text);
 *     ngx_http_ws_bus_op_done(kept);
 */
ngx_http_ws_bus_op_t *ngx_http_ws_bus_op_keep(ngx_http_ws_bus_client_t *wc,
    wsb_op_t *op);
ngx_int_t ngx_http_ws_bus_op_answer(ngx_http_ws_bus_op_t *kept,
    wsb_text_t *text);
void ngx_http_ws_bus_op_done(ngx_http_ws_bus_op_t *kept);

/*
 * Carries out a SUBSCRIBE or UNSUBSCRIBE that was kept, and answers it; with
 * what a subscription must meet besides, which need not outlive the call.
 * NGX_DECLINED: it was refused, or the client is gone.
 */
ngx_int_t ngx_http_ws_bus_op_perform(ngx_http_ws_bus_op_t *kept,
    const wsb_forced_t *forced, ngx_uint_t n);

/* The client goes: end() of each that waits. */
void ngx_http_ws_bus_op_end_all(ngx_http_ws_bus_client_t *wc);

/* Each subscription that lacks something up to `to` is told. */
void ngx_http_ws_bus_op_gaps(ngx_http_ws_bus_client_t *wc, uint64_t to,
    const char *reason);

/* One is told that it lacks what comes after the id `from`, up to `to`. */
void ngx_http_ws_bus_op_gap(ngx_http_ws_bus_client_t *wc, uint32_t ordinal,
    wsb_str_t from, uint64_t to, const char *reason);


/* context */

char *ngx_http_ws_bus_context_default_schema(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

/*
 * At the handshake, after tenant and id are known: what the location or the
 * protocol wants to know of a client, if they do.  NGX_OK, or a status.
 */
ngx_int_t ngx_http_ws_bus_context_attach(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc);


/* section */

char *ngx_http_ws_bus_section_entity(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_section_topics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_ws_bus_section_merge(ngx_conf_t *cf,
    ngx_http_ws_bus_client_loc_conf_t *prev,
    ngx_http_ws_bus_client_loc_conf_t *conf);
ngx_int_t ngx_http_ws_bus_section_variables(ngx_conf_t *cf);

/* A connection's, in the request's pool; what it has not is empty. */

typedef struct {
    ngx_str_t                    entity;
    ngx_str_t                    section;
    ngx_str_t                    user;
    ngx_str_t                    session;
    ngx_str_t                    roles;       /* a JSON array */
} ngx_http_ws_bus_section_who_t;

/*
 * Only the section, where the protocol does not ask for the others.  Claims
 * count if the token has been looked at.
 */
ngx_int_t ngx_http_ws_bus_section_who(ngx_http_request_t *r,
    ngx_http_ws_bus_section_who_t *who);
ngx_int_t ngx_http_ws_bus_section_of_uri(ngx_http_request_t *r,
    ngx_str_t *section);

/* The first value of ws_bus_entity, trimmed and in small letters. */
ngx_int_t ngx_http_ws_bus_section_name(ngx_http_request_t *r,
    ngx_str_t *name);

/* The name in the URI, and what it is called here; empty: it is unknown. */
ngx_int_t ngx_http_ws_bus_section_of(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *entity);

/* The same of the name of another entity. */
ngx_int_t ngx_http_ws_bus_section_look(ngx_http_request_t *r, wsb_str_t name,
    ngx_str_t *entity);


/* refuse */

ngx_int_t ngx_http_ws_bus_refuse_init(ngx_conf_t *cf);

/*
 * Answers as the protocol does, and finalizes the request: NGX_DONE, or a
 * status if it could not.
 */
ngx_int_t ngx_http_ws_bus_refuse(ngx_http_request_t *r, wsb_refused_t why,
    ngx_str_t *entity);


/* subscribe */

/*
 * As the message says, with these forced conditions, which need not outlive
 * the call.  NGX_DECLINED: it has been refused.
 */
ngx_int_t ngx_http_ws_bus_subscribe(ngx_http_ws_bus_client_t *wc,
    wsb_op_t *op, const wsb_restrict_t *forced);

/* To everything of its tenant, for a protocol without subscribe. */
void ngx_http_ws_bus_subscribe_by_itself(ngx_http_ws_bus_client_t *wc);

/* What the client is told when it begins: its answer, and perhaps a gap. */
void ngx_http_ws_bus_subscribe_told(ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub, wsb_op_t *op, const wsb_start_t *start);

/* NULL: it has none of this number. */
wsb_sub_t *ngx_http_ws_bus_subscribe_find(ngx_http_ws_bus_client_t *wc,
    uint32_t ordinal);

/* NGX_DECLINED: it has been refused. */
ngx_int_t ngx_http_ws_bus_subscribe_end(ngx_http_ws_bus_client_t *wc,
    wsb_op_t *op);

/*
 * It closes: all its subscriptions are taken out, in this turn or, if that
 * would be too long, in the next ones.  Until then it must be `behind`, and
 * it is a husk for longer.
 */
void ngx_http_ws_bus_subscribe_leave(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_subscribe_leave_handler(ngx_event_t *ev);


/* live */

/*
 * A subscription with a snapshot starts: it waits for it, or goes on with the
 * events after `since`, if they are all there.
 */
void ngx_http_ws_bus_live_start(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    wsb_op_t *op, wsb_start_t *start);

/*
 * It waits: it is sent nothing, until it goes on.  The head: what is asked for
 * after this call holds whatever is in the log up to there.
 */
uint64_t ngx_http_ws_bus_live_hold(ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub);

/* It goes on with `from`; 0: where it was. */
void ngx_http_ws_bus_live_go(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    uint64_t from);

/*
 * What it has is not right any more from this record on, and nobody can tell
 * how: it waits for another one.
 */
void ngx_http_ws_bus_live_stale(ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub, uint64_t from);

/*
 * Of a vague record, that nobody knows whole: is it an event for this
 * subscription?  If it has a snapshot, that may be stale then.
 */
ngx_uint_t ngx_http_ws_bus_live_takes(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec, wsb_sub_t *sub, wsb_change_t *change);

static ngx_inline ngx_uint_t
ngx_http_ws_bus_live_vague(ngx_http_ws_bus_record_t *rec,
    wsb_change_t change)
{
    return change >= WSB_CHANGE_LEFT_UNKNOWN
           || (rec->event.flags & WSB_EVENT_PART);
}

/* The client asks for another snapshot. */
void ngx_http_ws_bus_live_again(ngx_http_ws_bus_client_t *wc, wsb_op_t *op);

/* The codec's words for why there is none. */
void ngx_http_ws_bus_live_fail(ngx_http_ws_bus_client_t *wc, wsb_sub_t *sub,
    const wsb_op_t *op, const char *code, const char *text);


/* topics */

/* A SUBSCRIBE or UNSUBSCRIBE of each: as those of subscribe. */
ngx_int_t ngx_http_ws_bus_topics_add(ngx_http_ws_bus_client_t *wc,
    wsb_op_t *op, const wsb_restrict_t *forced);
ngx_int_t ngx_http_ws_bus_topics_remove(ngx_http_ws_bus_client_t *wc,
    wsb_op_t *op);

/* Of its first subscription it hears these topics, or does not. */
void ngx_http_ws_bus_topics_hear(ngx_http_ws_bus_client_t *wc,
    uint64_t topics);
void ngx_http_ws_bus_topics_mute(ngx_http_ws_bus_client_t *wc,
    uint64_t topics);

/* Of one that mutes some: is the record of such a topic? */
ngx_uint_t ngx_http_ws_bus_topics_muted(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec, uint32_t ordinal);


/* position */

/* The next frame to look at. */
wsb_position_t ngx_http_ws_bus_position(ngx_http_ws_bus_client_t *wc);

/* Up to and including this everything has been sent: min(next) - 1. */
uint64_t ngx_http_ws_bus_position_last_id(ngx_http_ws_bus_client_t *wc);

/*
 * The position goes back to `from` for this subscription, or stays where it
 * is if it is lower already.  The others are kept from what they have been
 * sent.
 */
void ngx_http_ws_bus_position_rewind(ngx_http_ws_bus_client_t *wc,
    wsb_sub_t *sub, uint64_t from);


/* fanout */

ngx_int_t ngx_http_ws_bus_fanout_init_process(ngx_cycle_t *cycle);

/* Does delivery lag behind what has been published? */
ngx_uint_t ngx_http_ws_bus_fanout_busy(ngx_http_ws_bus_zone_t *bus);
void ngx_http_ws_bus_fanout_not_overflowed(ngx_http_ws_bus_client_t *wc);


/* catch */

/* Let a client that is behind go on, if it may write. */
void ngx_http_ws_bus_catch_up(ngx_http_ws_bus_client_t *wc);

/*
 * It is sent no events: they stay in the log, until it may go on where it
 * was.  As often as the one, the other is called.
 */
void ngx_http_ws_bus_catch_wait(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_catch_go(ngx_http_ws_bus_client_t *wc);

/* A resync: those whom it concerns will be told a gap, at their turn. */
void ngx_http_ws_bus_catch_resync(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec);

/* Those that may write, in turns; NGX_AGAIN: it has been long enough. */
ngx_int_t ngx_http_ws_bus_catch_serve(ngx_http_ws_bus_fan_t *fan,
    uint64_t until);


/* out */

/*
 * For transports: a place for len bytes of an answer, to be filled from
 * out->last on and then queued.  NULL: no memory, and wc has been closed.
 */
ngx_http_ws_bus_out_t *ngx_http_ws_bus_out_new(ngx_http_ws_bus_client_t *wc,
    size_t len);
void ngx_http_ws_bus_out_add(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_out_t *out);

/* Queues an event's frame; NGX_DECLINED: the queue is full. */
ngx_int_t ngx_http_ws_bus_out_push(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec, wsb_sub_t *sub, wsb_change_t change);

/* Takes queued frames of a subscription, but not one that has been begun. */
void ngx_http_ws_bus_out_unqueue(ngx_http_ws_bus_client_t *wc,
    uint32_t ordinal);

/* From being pushed to, to a cursor: frames not begun are dropped. */
void ngx_http_ws_bus_out_fall_behind(ngx_http_ws_bus_client_t *wc);

/* The same, while this record is matched and the queue is full: it stays. */
void ngx_http_ws_bus_out_overflow(ngx_http_ws_bus_client_t *wc,
    ngx_http_ws_bus_record_t *rec);

/*
 * Writes what is queued, the frame begun first, then answers, then events.
 *   NGX_OK     all of it is written
 *   NGX_AGAIN  the peer takes no more: it goes on by itself
 *   NGX_ERROR  the client has been closed
 */
ngx_int_t ngx_http_ws_bus_out_flush(ngx_http_ws_bus_client_t *wc);

/* The peer takes bytes again. */
void ngx_http_ws_bus_out_writable(ngx_http_ws_bus_client_t *wc);

void ngx_http_ws_bus_out_mark_dirty(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_out_drop(ngx_http_ws_bus_client_t *wc);


/* record */

/*
 * The record at the cursor, with a reference for the caller; the cursor moves
 * behind it.  The errors are those of wsb_log_read().
 */
wsb_rc_t ngx_http_ws_bus_record_fetch(ngx_http_ws_bus_fan_t *fan,
    wsb_cursor_t *cursor, ngx_http_ws_bus_record_t **rec);
void ngx_http_ws_bus_record_release(ngx_http_ws_bus_fan_t *fan,
    ngx_http_ws_bus_record_t *rec);

/* The body as the codec renders it, with headroom; NULL: no memory. */
ngx_http_ws_bus_form_t *ngx_http_ws_bus_record_plain(
    ngx_http_ws_bus_record_t *rec, ngx_http_ws_bus_client_loc_conf_t *conf,
    wsb_change_t change);


/* heartbeat */

void ngx_http_ws_bus_heartbeat_init(ngx_cycle_t *cycle);
void ngx_http_ws_bus_heartbeat_start(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_heartbeat_stop(ngx_http_ws_bus_client_t *wc);

/* A sign of life: a Pong frame, a Ping frame, or anything else. */
void ngx_http_ws_bus_heartbeat_heard(ngx_http_ws_bus_client_t *wc,
    wsb_life_t life);


/* session_log */

char *ngx_http_ws_bus_session_log(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_ws_bus_session_log_variables(ngx_conf_t *cf);

/* At the handshake, and at the very end. */
void ngx_http_ws_bus_session_log_begin(ngx_http_request_t *r,
    ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_session_log_end(ngx_http_ws_bus_client_t *wc);
void ngx_http_ws_bus_session_log_free(ngx_http_ws_bus_client_t *wc);

/* How it was closed, by whoever closed it first. */
void ngx_http_ws_bus_session_log_close(ngx_http_ws_bus_client_t *wc,
    ngx_uint_t code, const u_char *reason, size_t len);


/* What sending an event looks at: 128 bytes; wc may be any address. */

static ngx_inline void
ngx_http_ws_bus_client_prefetch(const ngx_http_ws_bus_client_t *wc)
{
    __builtin_prefetch(wc, 1);
    __builtin_prefetch((const u_char *) wc + 64, 1);
    __builtin_prefetch((const u_char *) wc + 127, 1);
}


extern ngx_module_t  ngx_http_ws_bus_client_module;


#endif /* NGX_HTTP_WS_BUS_CLIENT_H */
