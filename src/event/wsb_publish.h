/*
 * The body of a publish request, made into records: all of it or nothing.
 */

#ifndef WSB_PUBLISH_H
#define WSB_PUBLISH_H


#include "wsb_event.h"
#include "wsb_ignored.h"
#include "wsb_key.h"


typedef enum {
    WSB_FORMAT_JSON = 0,            /* one event, or an array of events */
    WSB_FORMAT_NDJSON               /* one event a line */
} wsb_format_t;


/* RFC 9457; index is that of the event in a batch, -1: none. */

typedef struct {
    unsigned              status;         /* 400, 413, 422, 500 */
    long                  index;
    const char           *title;          /* static */
    char                  detail[160];    /* printable ASCII, no quotes */
} wsb_problem_t;


/* One event of a batch: its record, ready but for seq and msec. */

typedef struct {
    uint32_t              offset;         /* in wsb_batch_t.records */
    uint32_t              len;
    wsb_parts_t           parts;
} wsb_entry_t;


typedef struct {
    uint8_t              *records;        /* malloc'd, aligned to 8 */
    size_t                len;
    size_t                size;
    wsb_entry_t          *entries;        /* malloc'd */
    size_t                nentries;
    size_t                nalloc;
    wsb_ignored_t        *ignored;        /* fields of its events, or NULL */
} wsb_batch_t;


typedef struct {
    const uint8_t        *key;            /* 16 bytes of the zone: wsb_hash.h */
    wsb_str_t             tenant;         /* overrides the body's if not NULL */
    size_t                max_record;     /* bytes; more is 413 */
    size_t                max_batch;      /* bytes; more is 413 */
} wsb_publish_conf_t;


/*
 * Parses a whole body.  WSB_OK: the batch has at least one entry.  WSB_ERROR:
 * problem says why, the batch is empty.  The batch is zeroed by the caller
 * before, and freed by wsb_batch_done() in either case.
 */

wsb_rc_t wsb_publish_parse(wsb_batch_t *batch, wsb_format_t format,
    wsb_str_t body, const wsb_publish_conf_t *conf, wsb_problem_t *problem);

/*
 * Adds one event that is already in its neutral form (captures, tests).
 * WSB_ERROR: it is larger than max_record, or the batch than max_batch.
 */

wsb_rc_t wsb_batch_add(wsb_batch_t *batch, const wsb_event_t *ev,
    const wsb_publish_conf_t *conf);

void wsb_batch_done(wsb_batch_t *batch);


#endif /* WSB_PUBLISH_H */
