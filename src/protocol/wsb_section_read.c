/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * Lists and details that a client of the section protocol asks for, as what
 * the backend is asked for.  The same question is the same query, whatever
 * its spelling was.
 */

#include "wsb_section.h"
#include "../event/wsb_form.h"


#define WSB_SECTION_PAGE          "page"
#define WSB_SECTION_LIMIT         "limit"
#define WSB_SECTION_SEARCH        "q"


/* A list's payload, as far as it is understood. */

typedef struct {
    uint64_t              page;
    uint64_t              limit;
    wsb_str_t             search;
    wsb_str_t             sort_by;
    wsb_str_t             sort_order;
    unsigned              nfilters;
    wsb_pair_t            filter[WSB_SECTION_FILTERS];
} wsb_section_list_t;


static uint8_t *wsb_section_detail(wsb_op_t *op, const wsb_json_t *payload,
    wsb_section_request_t *req, wsb_str_t entity, uint8_t *p);
static uint8_t *wsb_section_list(wsb_op_t *op, const wsb_json_t *payload,
    wsb_section_request_t *req, uint8_t *p);
static wsb_rc_t wsb_section_fields(const wsb_json_t *payload,
    wsb_section_list_t *list, uint8_t **p);
static wsb_rc_t wsb_section_filters(const wsb_json_t *filters,
    wsb_section_list_t *list, uint8_t **p);
static void wsb_section_filter_add(wsb_section_list_t *list, wsb_str_t name,
    wsb_str_t value);
static uint8_t *wsb_section_query(wsb_op_t *op,
    const wsb_section_list_t *list, uint8_t *p);
static uint8_t *wsb_section_arg(uint8_t *p, uint8_t *start, const char *name,
    wsb_str_t value);
static void wsb_section_add(wsb_section_request_t *req, wsb_str_t name,
    wsb_str_t value);
static uint8_t *wsb_section_number(uint8_t *p, uint64_t n, wsb_str_t *s);
static wsb_rc_t wsb_section_integer(const wsb_json_t *value, uint64_t least,
    uint64_t *n);


void
wsb_section_read(const wsb_context_t *context, wsb_op_t *op,
    const wsb_json_t *payload, size_t size, unsigned detail)
{
    uint8_t                *p;
    wsb_str_t               entity;
    wsb_section_request_t  *req;

    static const wsb_str_t  section = wsb_string("sectionId");
    static const wsb_str_t  names[] = {
        wsb_string("list"), wsb_string("detail")
    };

    op->id = names[detail];

    if (payload->text.data != NULL && payload->type != WSB_JSON_OBJECT) {
        wsb_op_refuse(op, "invalid_message", WSB_SECTION_INVALID);
        return;
    }

    /* a byte of the payload is decoded once, and written to the query */

    req = wsb_malloc(sizeof(wsb_section_request_t) + 4 * size + 512
                     + context->entity.len * 2 + context->section.len);
    if (req == NULL) {
        op->text.failed = 1;
        return;
    }

    op->memory = req;

    req->detail = detail;
    req->npairs = 0;

    p = req->bytes;

    entity.data = p;
    entity.len = context->entity.len;

    memcpy(p, context->entity.data, entity.len);
    p += entity.len;

    req->section.data = p;
    req->section.len = context->section.len;

    memcpy(p, context->section.data, context->section.len);
    p += context->section.len;

    op->request.operation = WSB_READ;
    op->request.entity = entity;

    p = detail ? wsb_section_detail(op, payload, req, entity, p)
               : wsb_section_list(op, payload, req, p);

    if (p == NULL) {
        wsb_op_refuse(op, "invalid_message", WSB_SECTION_INVALID);
        return;
    }

    wsb_section_add(req, section, req->section);

    op->type = WSB_OP_REQUEST;
}


/* Its metadata has the id under a name of its entity. */

static uint8_t *
wsb_section_detail(wsb_op_t *op, const wsb_json_t *payload,
    wsb_section_request_t *req, wsb_str_t entity, uint8_t *p)
{
    size_t           i, n, len;
    uint8_t          name[WSB_SECTION_NAME];
    unsigned         up;
    wsb_str_t        id, s;
    wsb_json_t       key, value;
    wsb_json_walk_t  walk;

    id.len = 0;

    if (payload->text.data == NULL) {
        return NULL;
    }

    wsb_json_enter(&walk, payload);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        len = wsb_section_key(&key, name);

        s.data = name;
        s.len = len;

        if (!wsb_str_eq(&s, "id") || value.type == WSB_JSON_NULL) {
            continue;
        }

        if (value.type != WSB_JSON_STRING
            || wsb_section_string(&value, &id, &p) != WSB_OK)
        {
            return NULL;
        }
    }

    if (id.len == 0 || id.len > WSB_SECTION_VALUE) {
        return NULL;
    }

    op->request.record_id = id;

    s.data = p;

    if (wsb_str_eq(&entity, "sections")) {
        /* sectionId is the connection's */
        memcpy(p, "resourceSection", 15);
        p += 15;

    } else if (wsb_str_eq(&entity, "owner-upgrades")) {
        memcpy(p, "restaurant", 10);
        p += 10;

    } else {
        n = wsb_section_singular(entity);
        up = 0;

        for (i = 0; i < n; i++) {

            if (entity.data[i] == '-') {
                up = 1;
                continue;
            }

            *p = entity.data[i];
            wsb_section_case(p, up, 'a', 'z');
            p++;
            up = 0;
        }
    }

    *p++ = 'I';
    *p++ = 'd';

    s.len = p - s.data;

    wsb_section_add(req, s, id);

    return p;
}


static uint8_t *
wsb_section_list(wsb_op_t *op, const wsb_json_t *payload,
    wsb_section_request_t *req, uint8_t *p)
{
    unsigned            i;
    wsb_str_t           s;
    wsb_section_list_t  list;

    static const wsb_str_t  page = wsb_string("page");
    static const wsb_str_t  limit = wsb_string("limit");
    static const wsb_str_t  search = wsb_string("search");
    static const wsb_str_t  sort_by = wsb_string("sortBy");
    static const wsb_str_t  sort_order = wsb_string("sortOrder");

    memset(&list, 0, sizeof(wsb_section_list_t));

    if (payload->text.data != NULL
        && wsb_section_fields(payload, &list, &p) != WSB_OK)
    {
        return NULL;
    }

    list.page = list.page ? list.page : 1;
    list.limit = list.limit == 0 ? 20 : list.limit > 100 ? 100 : list.limit;

    wsb_section_case((uint8_t *) list.sort_order.data, list.sort_order.len,
                     'a', 'z');

    p = wsb_section_query(op, &list, p);

    p = wsb_section_number(p, list.page, &s);
    wsb_section_add(req, page, s);

    p = wsb_section_number(p, list.limit, &s);
    wsb_section_add(req, limit, s);

    wsb_section_add(req, search, list.search);
    wsb_section_add(req, sort_by, list.sort_by);
    wsb_section_add(req, sort_order, list.sort_order);

    for (i = 0; i < list.nfilters; i++) {
        wsb_section_add(req, list.filter[i].name, list.filter[i].value);
    }

    return p;
}


static wsb_rc_t
wsb_section_fields(const wsb_json_t *payload, wsb_section_list_t *list,
    uint8_t **p)
{
    size_t           len;
    uint8_t          name[WSB_SECTION_NAME];
    wsb_rc_t         rc;
    wsb_str_t        s;
    wsb_json_t       key, value;
    wsb_json_walk_t  walk;

    wsb_json_enter(&walk, payload);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        if (value.type == WSB_JSON_NULL) {
            continue;
        }

        len = wsb_section_key(&key, name);

        s.data = name;
        s.len = len;

        if (wsb_str_eq(&s, "page")) {
            rc = wsb_section_integer(&value, 1, &list->page);

        } else if (wsb_str_eq(&s, "limit")) {
            rc = wsb_section_integer(&value, 1, &list->limit);

        } else if (wsb_str_eq(&s, "search")) {
            rc = wsb_section_string(&value, &list->search, p);

        } else if (wsb_str_eq(&s, "sortby")) {
            rc = wsb_section_string(&value, &list->sort_by, p);

        } else if (wsb_str_eq(&s, "sortorder")) {
            rc = wsb_section_string(&value, &list->sort_order, p);

        } else if (wsb_str_eq(&s, "filters")) {
            rc = wsb_section_filters(&value, list, p);

        } else {
            rc = WSB_OK;
        }

        if (rc != WSB_OK) {
            return rc;
        }
    }

    return WSB_OK;
}


/* One that has the name of another argument would be that one. */

static wsb_rc_t
wsb_section_filters(const wsb_json_t *filters, wsb_section_list_t *list,
    uint8_t **p)
{
    wsb_str_t        name, text;
    wsb_json_t       key, value;
    wsb_json_walk_t  walk;

    list->nfilters = 0;

    if (filters->type != WSB_JSON_OBJECT) {
        return WSB_ERROR;
    }

    wsb_json_enter(&walk, filters);

    while (wsb_json_member(&walk, &key, &value) == WSB_OK) {

        text.len = 0;

        if (wsb_section_string(&key, &name, p) != WSB_OK
            || (value.type != WSB_JSON_NULL
                && wsb_section_string(&value, &text, p) != WSB_OK))
        {
            return WSB_ERROR;
        }

        wsb_section_case((uint8_t *) name.data, name.len, 'A', 'Z');

        if (name.len == 0 || text.len == 0
            || wsb_str_eq(&name, WSB_SECTION_PAGE)
            || wsb_str_eq(&name, WSB_SECTION_LIMIT)
            || wsb_str_eq(&name, WSB_SECTION_SEARCH)
            || wsb_str_eq(&name, "sortby") || wsb_str_eq(&name, "sortorder"))
        {
            continue;
        }

        if (list->nfilters == WSB_SECTION_FILTERS) {
            return WSB_ERROR;
        }

        wsb_section_filter_add(list, name, text);
    }

    return WSB_OK;
}


/* By name, so that the same question is the same query. */

static void
wsb_section_filter_add(wsb_section_list_t *list, wsb_str_t name,
    wsb_str_t value)
{
    int       order;
    unsigned  i;

    order = 1;

    for (i = 0; i < list->nfilters; i++) {
        order = wsb_section_compare(list->filter[i].name, name);

        if (order >= 0) {
            break;
        }
    }

    if (i == list->nfilters || order != 0) {
        memmove(&list->filter[i + 1], &list->filter[i],
                (list->nfilters - i) * sizeof(wsb_pair_t));
        list->nfilters++;
    }

    list->filter[i].name = name;
    list->filter[i].value = value;
}


static uint8_t *
wsb_section_query(wsb_op_t *op, const wsb_section_list_t *list, uint8_t *p)
{
    uint8_t    *start, digits[20];
    unsigned    i;
    wsb_str_t   s;

    start = p;

    (void) wsb_section_number(digits, list->page, &s);
    p = wsb_section_arg(p, start, WSB_SECTION_PAGE, s);

    (void) wsb_section_number(digits, list->limit, &s);
    p = wsb_section_arg(p, start, WSB_SECTION_LIMIT, s);

    p = wsb_section_arg(p, start, WSB_SECTION_SEARCH, list->search);
    p = wsb_section_arg(p, start, "sortBy", list->sort_by);
    p = wsb_section_arg(p, start, "sortOrder", list->sort_order);

    for (i = 0; i < list->nfilters; i++) {
        *p++ = '&';
        p = wsb_form_encode(p, list->filter[i].name);
        *p++ = '=';
        p = wsb_form_encode(p, list->filter[i].value);
    }

    op->request.args.data = start;
    op->request.args.len = p - start;

    return p;
}


static uint8_t *
wsb_section_arg(uint8_t *p, uint8_t *start, const char *name, wsb_str_t value)
{
    size_t  n;

    if (value.len == 0) {
        return p;
    }

    if (p != start) {
        *p++ = '&';
    }

    n = strlen(name);

    memcpy(p, name, n);
    p += n;
    *p++ = '=';

    return wsb_form_encode(p, value);
}


/* Into the metadata, by name; the first of a name counts. */

static void
wsb_section_add(wsb_section_request_t *req, wsb_str_t name, wsb_str_t value)
{
    int       order;
    unsigned  i;

    if (value.len == 0 || wsb_str_eq(&name, "origin")) {
        return;
    }

    order = 1;

    for (i = 0; i < req->npairs; i++) {
        order = wsb_section_compare(req->pair[i].name, name);

        if (order == 0) {
            return;
        }

        if (order > 0) {
            break;
        }
    }

    memmove(&req->pair[i + 1], &req->pair[i],
            (req->npairs - i) * sizeof(wsb_pair_t));

    req->pair[i].name = name;
    req->pair[i].value = value;
    req->npairs++;
}


static uint8_t *
wsb_section_number(uint8_t *p, uint64_t n, wsb_str_t *s)
{
    s->data = p;
    s->len = wsb_text_digits(p, n);

    return p + s->len;
}


/* An integer of 64 bits, as it was written; what is less than one is 0. */

static wsb_rc_t
wsb_section_integer(const wsb_json_t *value, uint64_t least, uint64_t *n)
{
    size_t    i;
    uint64_t  digit;
    unsigned  negative;

    if (value->type != WSB_JSON_NUMBER) {
        return WSB_ERROR;
    }

    negative = value->text.data[0] == '-';

    *n = 0;

    for (i = negative; i < value->text.len; i++) {
        digit = (uint64_t) value->text.data[i] - '0';

        if (digit > 9 || *n > (INT64_MAX - digit) / 10) {
            return WSB_ERROR;
        }

        *n = *n * 10 + digit;
    }

    if (negative || *n < least) {
        *n = 0;
    }

    return WSB_OK;
}
