/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Sources: how events get into the log.
 *
 *   source    directives; the room's configuration
 *   append    the one way in
 *   publish   a location that events are posted to
 *   capture   mutations that pass through this nginx
 *   resync    mutations that nobody can tell
 *   watch     directories whose files are watched
 */

#ifndef NGX_HTTP_WS_BUS_SOURCE_H
#define NGX_HTTP_WS_BUS_SOURCE_H


#include "../client/ngx_http_ws_bus_client.h"

#include "../../event/wsb_publish.h"
#include "../../log/wsb_append.h"
#include "../../log/wsb_slot.h"


#define NGX_HTTP_WS_BUS_DATA_DEFAULT   0
#define NGX_HTTP_WS_BUS_DATA_RESPONSE  1
#define NGX_HTTP_WS_BUS_DATA_REQUEST   2
#define NGX_HTTP_WS_BUS_DATA_NONE      3

#define NGX_HTTP_WS_BUS_OLD_OFF        0
#define NGX_HTTP_WS_BUS_OLD_HISTORY    1


/* What this room counts: name, kind, where it is shown, meaning. */

#define NGX_HTTP_WS_BUS_SOURCE_COUNTERS(counter)                              \
    counter(captured, SUM, TOTALS,                                            \
            "events of mutations that passed through")                        \
    counter(refused_publishes, SUM, TOTALS,                                   \
            "publish requests answered with a problem")

typedef struct {
    NGX_HTTP_WS_BUS_SOURCE_COUNTERS(NGX_HTTP_WS_BUS_COUNTER_FIELD)
} ngx_http_ws_bus_source_counters_t;


typedef struct {
    ngx_array_t                  watches;     /* of the file watch */
} ngx_http_ws_bus_source_main_conf_t;


typedef struct {
    ngx_http_ws_bus_zone_t      *publish;     /* of a ws_bus_publish location */
    ngx_uint_t                   publish_any;

    ngx_http_ws_bus_zone_t      *capture;
    ngx_http_complex_value_t    *capture_entity;
    ngx_http_complex_value_t    *capture_id;
    ngx_http_complex_value_t    *capture_action;
    ngx_http_complex_value_t    *capture_version;
    ngx_uint_t                   capture_data;
    ngx_uint_t                   capture_old;
    size_t                       capture_max_body;
} ngx_http_ws_bus_source_loc_conf_t;


/* append */

/*
 * How far a source has come whose events may come to it again: an offset in
 * one of the partitions of what it reads.
 */

typedef struct {
    ngx_str_t                    source;
    uint32_t                     partition;
    uint64_t                     offset;      /* of the batch's last message */
    uint64_t                     end;         /* of the source; 0: not known */
    const wsb_lease_t           *lease;       /* of this process, or NULL */
    uint64_t                     term;
} ngx_http_ws_bus_mark_t;


/*
 * Told once what became of a batch: see wsb_append_locked() for rc.
 * appended is only there for WSB_OK and WSB_DONE.
 */

typedef struct ngx_http_ws_bus_done_s  ngx_http_ws_bus_done_t;

struct ngx_http_ws_bus_done_s {
    void                       (*handler)(ngx_http_ws_bus_done_t *done,
                                    wsb_rc_t rc,
                                    const wsb_appended_t *appended);
};


/*
 * Appends a batch as one and wakes whom it concerns.  req is NULL, or the
 * request with an Idempotency-Key that the batch came with.  mark is NULL, or
 * what commits with the batch; then req is NULL: see
 * wsb_append_marked_locked() for rc.
 *
 * done must live until its handler is called, which happens before this
 * returns; batch, req and mark need not live longer than this call.
 */
void ngx_http_ws_bus_append_submit(ngx_http_ws_bus_zone_t *bus,
    wsb_batch_t *batch, const wsb_idem_request_t *req,
    const ngx_http_ws_bus_mark_t *mark, ngx_http_ws_bus_done_t *done);

/*
 * Is delivery so far behind that a source which can wait should?  Then
 * ngx_http_ws_bus_worker_pause() and a timer say when it may try again.
 */
ngx_uint_t ngx_http_ws_bus_append_busy(ngx_http_ws_bus_zone_t *bus);


/* resync */

void ngx_http_ws_bus_resync_init_process(ngx_cycle_t *cycle);

/*
 * A mutation may have been made, or rows of this type may have changed, and no
 * event tells of it: subscribers will be told a gap, within a second.  tenant
 * with len 0: none; type with len 0: all types of the tenant.
 */
void ngx_http_ws_bus_resync(ngx_http_ws_bus_zone_t *bus,
    const ngx_str_t *tenant, const ngx_str_t *type);

/*
 * A mutation is under way, from before it is sent until it has been told: if
 * this process dies meanwhile, whoever reclaims its slot tells a resync.  end
 * is for those alone for which begin was true.
 */
ngx_uint_t ngx_http_ws_bus_resync_begin(ngx_http_ws_bus_zone_t *bus);
void ngx_http_ws_bus_resync_end(ngx_http_ws_bus_zone_t *bus);


/* publish */

ngx_int_t ngx_http_ws_bus_publish_handler(ngx_http_request_t *r);


/* capture */

ngx_int_t ngx_http_ws_bus_capture_init(ngx_conf_t *cf);

/* The id of the event that was captured of this request; len 0: none. */
ngx_str_t ngx_http_ws_bus_capture_event_id(ngx_http_request_t *r);


/* mutation */

/*
 * A mutation that a call has made for a client, which may be gone.  What the
 * directives of the called location say of entity, id, action and data counts
 * before this; whose it is does not come from there.
 */

typedef struct {
    ngx_http_ws_bus_zone_t      *bus;
    ngx_uint_t                   method;
    ngx_str_t                    tenant;      /* len 0: none, of each */
    ngx_str_t                    schema;
    ngx_str_t                    entity;
    ngx_str_t                    id;
    ngx_str_t                    cause;       /* id of the connection */
    ngx_str_t                    request_id;  /* the client's own */
    ngx_str_t                    request;     /* bodies */
    ngx_str_t                    response;
    ngx_str_t                    location;    /* header of the response */
    unsigned                     lost:1;      /* the response is not known */
} ngx_http_ws_bus_called_t;

/* r is the request that the location has answered. */
void ngx_http_ws_bus_mutation_called(ngx_http_request_t *r,
    const ngx_http_ws_bus_called_t *called);

/* The same of one of which nobody knows whether it was made. */
void ngx_http_ws_bus_mutation_unknown(ngx_http_request_t *r,
    const ngx_http_ws_bus_called_t *called);


/* watch */

char *ngx_http_ws_bus_watch_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_watch_check_all(ngx_conf_t *cf,
    ngx_http_ws_bus_source_main_conf_t *smcf);
void ngx_http_ws_bus_watch_init_process(ngx_cycle_t *cycle,
    ngx_http_ws_bus_source_main_conf_t *smcf);
void ngx_http_ws_bus_watch_exit_process(void);


extern ngx_uint_t  ngx_http_ws_bus_source_counters_at;


static ngx_inline ngx_http_ws_bus_source_counters_t *
ngx_http_ws_bus_source_counters(ngx_http_ws_bus_worker_t *w)
{
    return (ngx_http_ws_bus_source_counters_t *)
               (w->counters + ngx_http_ws_bus_source_counters_at);
}


extern ngx_module_t  ngx_http_ws_bus_source_module;


#endif /* NGX_HTTP_WS_BUS_SOURCE_H */
