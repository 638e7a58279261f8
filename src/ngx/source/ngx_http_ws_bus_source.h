/*
 * Sources: how events get into the log.
 *
 *   source    directives; the room's configuration
 *   append    the one way in
 *   publish   a location that events are posted to
 *   capture   mutations that pass through this nginx
 *   watch     directories whose files are watched
 */

#ifndef NGX_HTTP_WS_BUS_SOURCE_H
#define NGX_HTTP_WS_BUS_SOURCE_H


#include "../client/ngx_http_ws_bus_client.h"


#define NGX_HTTP_WS_BUS_DATA_DEFAULT   0
#define NGX_HTTP_WS_BUS_DATA_RESPONSE  1
#define NGX_HTTP_WS_BUS_DATA_REQUEST   2
#define NGX_HTTP_WS_BUS_DATA_NONE      3

#define NGX_HTTP_WS_BUS_PARK_TIME      100      /* ms, a publisher at most */


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
    ngx_uint_t                   capture_data;
    size_t                       capture_max_body;
} ngx_http_ws_bus_source_loc_conf_t;


/* append */

/* Appends a batch and wakes whom it concerns: see wsb_zone_append_locked(). */
wsb_rc_t ngx_http_ws_bus_append(ngx_http_ws_bus_zone_t *bus,
    wsb_batch_t *batch, const wsb_request_t *req, wsb_appended_t *appended);


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


/* watch */

char *ngx_http_ws_bus_watch_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ws_bus_watch_check_all(ngx_conf_t *cf,
    ngx_http_ws_bus_source_main_conf_t *smcf);
void ngx_http_ws_bus_watch_init_process(ngx_cycle_t *cycle,
    ngx_http_ws_bus_source_main_conf_t *smcf);
void ngx_http_ws_bus_watch_exit_process(void);


extern ngx_module_t  ngx_http_ws_bus_source_module;


#endif /* NGX_HTTP_WS_BUS_SOURCE_H */
