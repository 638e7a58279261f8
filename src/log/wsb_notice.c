/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

#include "wsb_notice.h"


#define WSB_NOTICE_LAYOUT         UINT64_C(0x6e6f746963653031)
#define WSB_NOTICE_WAYS           4       /* hints that a key may stand in */


static wsb_notice_cell_t *wsb_notice_cells(const wsb_notices_t *table);
static uint32_t *wsb_notice_stack(const wsb_notices_t *table);
static uint32_t *wsb_notice_hints(const wsb_notices_t *table);
static uint32_t wsb_notice_pop_locked(wsb_notices_t *table);
static void wsb_notice_push_locked(wsb_notices_t *table, uint32_t cell);
static void wsb_notice_write_locked(wsb_notices_t *table, uint32_t cell,
    uint32_t rest, const wsb_notice_new_t *add);
static wsb_notice_cell_t *wsb_notice_find(const wsb_notices_t *table,
    const wsb_notice_t *notice, uint32_t pid);
static void wsb_notice_free_locked(wsb_notices_t *table, uint32_t cell);
static void wsb_notice_hint_locked(wsb_notices_t *table, uint32_t cell);
static wsb_rc_t wsb_notice_read(const wsb_notices_t *table,
    const wsb_notice_cell_t *head, wsb_text_t *t);
static void wsb_notice_recount_locked(wsb_notices_t *table);


#define store(p, v)  __atomic_store_n(p, v, __ATOMIC_RELEASE)


static wsb_notice_cell_t *
wsb_notice_cells(const wsb_notices_t *table)
{
    size_t  size;

    size = (sizeof(wsb_notices_t) + WSB_NOTICE_CELL - 1)
           & ~(size_t) (WSB_NOTICE_CELL - 1);

    return (wsb_notice_cell_t *) ((uint8_t *) table + size);
}


static uint32_t *
wsb_notice_stack(const wsb_notices_t *table)
{
    return (uint32_t *) (wsb_notice_cells(table) + table->ncells);
}


static uint32_t *
wsb_notice_hints(const wsb_notices_t *table)
{
    return wsb_notice_stack(table) + table->ncells;
}


static wsb_notice_rest_t *
wsb_notice_rest(const wsb_notices_t *table, uint32_t cell)
{
    return (wsb_notice_rest_t *) (wsb_notice_cells(table) + cell);
}


/* At most two hints for each cell, as their number is a power of two. */

uint32_t
wsb_notice_table_cells(size_t size)
{
    size_t  n, head;

    head = sizeof(wsb_notices_t) + 2 * WSB_NOTICE_CELL;

    if (size < head) {
        return 0;
    }

    n = (size - head) / (WSB_NOTICE_CELL + 3 * sizeof(uint32_t));

    return (uint32_t) (n < WSB_NOTICE_CELLS_MAX ? n : WSB_NOTICE_CELLS_MAX);
}


void
wsb_notice_table_init(wsb_notices_t *table, uint32_t ncells)
{
    table->ncells = ncells;
    table->nhints = WSB_NOTICE_WAYS;

    while (table->nhints < ncells) {
        table->nhints *= 2;
    }

    wsb_notice_recount_locked(table);

    store(&table->layout, WSB_NOTICE_LAYOUT);
}


int
wsb_notice_table_valid(const wsb_notices_t *table, uint32_t ncells)
{
    return table->layout == WSB_NOTICE_LAYOUT && table->ncells == ncells;
}


wsb_rc_t
wsb_notice_join_locked(wsb_notices_t *table, uint32_t pid)
{
    unsigned  i;

    for (i = 0; i < WSB_NOTICE_WORKERS; i++) {
        if (table->pids[i] == 0) {
            store(&table->pids[i], pid);
            return WSB_OK;
        }
    }

    return WSB_FULL;
}


/*
 * The stack of free cells is only where to look: a cell on it that is in use
 * is passed over, and one that is missing from it comes back with a sweep.
 */

static uint32_t
wsb_notice_pop_locked(wsb_notices_t *table)
{
    uint32_t  cell, *stack;

    stack = wsb_notice_stack(table);

    while (table->nfree != 0 && table->nfree <= table->ncells) {
        cell = stack[table->nfree - 1];

        store(&table->nfree, table->nfree - 1);

        if (cell < table->ncells
            && wsb_notice_cells(table)[cell].state == WSB_NOTICE_FREE)
        {
            return cell + 1;
        }
    }

    return 0;
}


static void
wsb_notice_push_locked(wsb_notices_t *table, uint32_t cell)
{
    if (table->nfree < table->ncells) {
        wsb_notice_stack(table)[table->nfree] = cell;
        store(&table->nfree, table->nfree + 1);
    }
}


wsb_rc_t
wsb_notice_add_locked(wsb_notices_t *table, const wsb_notice_new_t *add,
    wsb_notice_t *notice)
{
    size_t    len;
    uint32_t  head, cell, rest;

    if (add->text.len > WSB_NOTICE_TEXT) {
        return WSB_ERROR;
    }

    head = wsb_notice_pop_locked(table);

    if (head == 0) {
        return WSB_FULL;
    }

    /* from its end: each cell knows the next one when it is chained */

    rest = 0;

    for (len = WSB_NOTICE_HEAD; len < add->text.len; len += WSB_NOTICE_REST) {
        cell = wsb_notice_pop_locked(table);

        if (cell == 0) {
            break;
        }

        wsb_notice_rest(table, cell - 1)->next = rest;
        store(&wsb_notice_rest(table, cell - 1)->state, WSB_NOTICE_CHAINED);

        rest = cell;
    }

    if (len < add->text.len) {

        while (rest != 0) {
            cell = rest - 1;
            rest = wsb_notice_rest(table, cell)->next;

            store(&wsb_notice_rest(table, cell)->state, WSB_NOTICE_FREE);
            wsb_notice_push_locked(table, cell);
        }

        wsb_notice_push_locked(table, head - 1);

        return WSB_FULL;
    }

    wsb_notice_write_locked(table, head - 1, rest, add);

    notice->cell = head - 1;
    notice->number = wsb_notice_cells(table)[head - 1].number;

    return WSB_OK;
}


static void
wsb_notice_write_locked(wsb_notices_t *table, uint32_t cell, uint32_t rest,
    const wsb_notice_new_t *add)
{
    size_t              left, n;
    const uint8_t      *p;
    wsb_notice_cell_t  *head;
    wsb_notice_rest_t  *r;

    head = &wsb_notice_cells(table)[cell];

    store(&table->number, table->number + 1);

    head->number = table->number;
    head->next = rest;
    head->pid = add->pid;
    head->len = (uint32_t) add->text.len;
    head->hook = add->hook;
    head->key = add->key;
    head->due = add->due;
    head->at = add->at;
    head->delay = add->delay;

    p = add->text.data;
    left = add->text.len;

    n = left < WSB_NOTICE_HEAD ? left : WSB_NOTICE_HEAD;
    memcpy(head->text, p, n);

    while (left -= n, p += n, left != 0) {
        r = wsb_notice_rest(table, rest - 1);
        rest = r->next;

        n = left < WSB_NOTICE_REST ? left : WSB_NOTICE_REST;
        memcpy(r->text, p, n);
    }

    store(&head->state, add->due ? WSB_NOTICE_DUE : WSB_NOTICE_LIVE);
}


static wsb_notice_cell_t *
wsb_notice_find(const wsb_notices_t *table, const wsb_notice_t *notice,
    uint32_t pid)
{
    wsb_notice_cell_t  *head;

    if (notice->number == 0 || notice->cell >= table->ncells) {
        return NULL;
    }

    head = &wsb_notice_cells(table)[notice->cell];

    return head->state != WSB_NOTICE_FREE && head->state != WSB_NOTICE_CHAINED
           && head->number == notice->number && head->pid == pid
               ? head : NULL;
}


wsb_rc_t
wsb_notice_end_locked(wsb_notices_t *table, const wsb_notice_t *notice,
    uint32_t pid, uint64_t due, uint64_t at)
{
    wsb_notice_cell_t  *head;

    head = wsb_notice_find(table, notice, pid);

    if (head == NULL || head->state != WSB_NOTICE_LIVE) {
        return WSB_NOTFOUND;
    }

    head->due = due;
    head->at = at;

    store(&head->state, WSB_NOTICE_DUE);

    wsb_notice_hint_locked(table, notice->cell);

    return WSB_OK;
}


/* Where its key may stand: in the place of one that is of no use, or oldest. */

static void
wsb_notice_hint_locked(wsb_notices_t *table, uint32_t cell)
{
    unsigned            i, best;
    uint32_t           *hint;
    uint64_t            key, oldest;
    wsb_notice_cell_t  *cells;

    cells = wsb_notice_cells(table);
    key = cells[cell].key;

    if (key == 0) {
        return;
    }

    hint = wsb_notice_hints(table) + (key & (table->nhints - 1)
                                      & ~(uint64_t) (WSB_NOTICE_WAYS - 1));
    best = 0;
    oldest = UINT64_MAX;

    for (i = 0; i < WSB_NOTICE_WAYS; i++) {

        if (hint[i] == 0 || hint[i] > table->ncells
            || cells[hint[i] - 1].state != WSB_NOTICE_DUE)
        {
            best = i;
            break;
        }

        if (cells[hint[i] - 1].number < oldest) {
            oldest = cells[hint[i] - 1].number;
            best = i;
        }
    }

    hint[best] = cell + 1;
}


int
wsb_notice_cancel_locked(wsb_notices_t *table, uint64_t hook, uint64_t key)
{
    unsigned            i;
    uint32_t           *hint, cell;
    wsb_notice_cell_t  *cells;

    if (key == 0) {
        return 0;
    }

    cells = wsb_notice_cells(table);
    hint = wsb_notice_hints(table) + (key & (table->nhints - 1)
                                      & ~(uint64_t) (WSB_NOTICE_WAYS - 1));

    for (i = 0; i < WSB_NOTICE_WAYS; i++) {

        if (hint[i] == 0 || hint[i] > table->ncells) {
            continue;
        }

        cell = hint[i] - 1;

        if (cells[cell].state == WSB_NOTICE_DUE && cells[cell].key == key
            && cells[cell].hook == hook)
        {
            hint[i] = 0;
            wsb_notice_free_locked(table, cell);
            return 1;
        }
    }

    return 0;
}


/* First the notice is none, then its cells are free. */

static void
wsb_notice_free_locked(wsb_notices_t *table, uint32_t cell)
{
    uint32_t  rest, n;

    rest = wsb_notice_cells(table)[cell].next;

    store(&wsb_notice_cells(table)[cell].state, WSB_NOTICE_FREE);
    wsb_notice_push_locked(table, cell);

    for (n = 0; rest != 0 && rest <= table->ncells && n < table->ncells; n++) {
        cell = rest - 1;

        if (wsb_notice_rest(table, cell)->state != WSB_NOTICE_CHAINED) {
            break;
        }

        rest = wsb_notice_rest(table, cell)->next;

        store(&wsb_notice_rest(table, cell)->state, WSB_NOTICE_FREE);
        wsb_notice_push_locked(table, cell);
    }
}


wsb_rc_t
wsb_notice_send_locked(wsb_notices_t *table, const wsb_notice_t *notice,
    uint32_t pid, wsb_text_t *t, uint64_t *at)
{
    wsb_rc_t            rc;
    wsb_notice_cell_t  *head;

    head = wsb_notice_find(table, notice, pid);

    if (head == NULL || head->state == WSB_NOTICE_LIVE) {
        return WSB_NOTFOUND;
    }

    rc = wsb_notice_read(table, head, t);

    if (rc != WSB_OK) {
        return rc;
    }

    *at = head->at;

    store(&head->state, WSB_NOTICE_SENT);

    return WSB_OK;
}


static wsb_rc_t
wsb_notice_read(const wsb_notices_t *table, const wsb_notice_cell_t *head,
    wsb_text_t *t)
{
    size_t                    left, n;
    uint32_t                  rest;
    const wsb_notice_rest_t  *r;

    left = head->len;
    rest = head->next;

    n = left < WSB_NOTICE_HEAD ? left : WSB_NOTICE_HEAD;
    wsb_text_add(t, head->text, n);

    while (left -= n, left != 0 && rest != 0 && rest <= table->ncells) {
        r = wsb_notice_rest(table, rest - 1);
        rest = r->next;

        n = left < WSB_NOTICE_REST ? left : WSB_NOTICE_REST;
        wsb_text_add(t, r->text, n);
    }

    return t->failed ? WSB_NOMEM : WSB_OK;
}


void
wsb_notice_told_locked(wsb_notices_t *table, const wsb_notice_t *notice,
    uint32_t pid, int told)
{
    wsb_notice_cell_t  *head;

    head = wsb_notice_find(table, notice, pid);

    if (head == NULL || head->state != WSB_NOTICE_SENT) {
        return;
    }

    if (told) {
        wsb_notice_free_locked(table, notice->cell);
        return;
    }

    store(&head->state, WSB_NOTICE_DUE);
}


void
wsb_notice_drop_locked(wsb_notices_t *table, const wsb_notice_t *notice,
    uint32_t pid)
{
    if (wsb_notice_find(table, notice, pid) != NULL) {
        wsb_notice_free_locked(table, notice->cell);
    }
}


int
wsb_notice_orphaned(const wsb_notices_t *table, int (*gone)(uint32_t pid))
{
    unsigned  i;
    uint32_t  pid;

    for (i = 0; i < WSB_NOTICE_WORKERS; i++) {
        pid = __atomic_load_n(&table->pids[i], __ATOMIC_RELAXED);

        if (pid != 0 && gone(pid)) {
            return 1;
        }
    }

    return 0;
}


unsigned
wsb_notice_sweep_locked(wsb_notices_t *table, uint32_t pid, uint64_t now,
    uint64_t at, int (*gone)(uint32_t pid), wsb_notice_found_pt fn,
    void *data)
{
    unsigned            i, n;
    uint32_t            cell, dead[WSB_NOTICE_WORKERS];
    wsb_notice_t        notice;
    wsb_notice_cell_t  *head;

    n = 0;

    for (i = 0; i < WSB_NOTICE_WORKERS; i++) {
        if (table->pids[i] != 0 && gone(table->pids[i])) {
            dead[n++] = table->pids[i];
        }
    }

    if (n == 0) {
        return 0;
    }

    for (cell = 0; cell < table->ncells; cell++) {
        head = &wsb_notice_cells(table)[cell];

        if (head->state != WSB_NOTICE_LIVE && head->state != WSB_NOTICE_DUE
            && head->state != WSB_NOTICE_SENT)
        {
            continue;
        }

        for (i = 0; i < n && head->pid != dead[i]; i++) { /* void */ }

        if (i == n) {
            continue;
        }

        if (head->state == WSB_NOTICE_LIVE) {
            head->due = now + head->delay;
            head->at = at;
        }

        store(&head->state, WSB_NOTICE_DUE);

        WSB_STEP("notice due");

        /* the sweeper's death is another sweep */

        store(&head->pid, pid);

        notice.number = head->number;
        notice.cell = cell;

        wsb_notice_hint_locked(table, cell);

        fn(data, &notice, head->hook, head->due);
    }

    wsb_notice_recount_locked(table);

    /* not before all is done: else nobody would do the rest */

    for (i = 0; i < WSB_NOTICE_WORKERS; i++) {
        for (cell = 0; cell < n; cell++) {
            if (table->pids[i] == dead[cell]) {
                store(&table->pids[i], 0);
            }
        }
    }

    return n;
}


/*
 * Cells that are chained to no notice are free, and the stack has all that
 * are.  Whoever dies in here is a process of the table: it is done again.
 */

static void
wsb_notice_recount_locked(wsb_notices_t *table)
{
    size_t              n;
    uint32_t            cell, rest, nfree;
    uint8_t            *used;
    wsb_notice_cell_t  *cells;

    cells = wsb_notice_cells(table);

    used = wsb_malloc(table->ncells + 1);

    if (used == NULL) {
        /* what has been lost stays so until the next time */
        return;
    }

    memset(used, 0, table->ncells + 1);

    for (cell = 0; cell < table->ncells; cell++) {

        if (cells[cell].state == WSB_NOTICE_FREE
            || cells[cell].state == WSB_NOTICE_CHAINED)
        {
            continue;
        }

        used[cell] = 1;

        rest = cells[cell].next;

        for (n = 0; rest != 0 && rest <= table->ncells
                    && n <= WSB_NOTICE_TEXT / WSB_NOTICE_REST; n++)
        {
            used[rest - 1] = 1;
            rest = wsb_notice_rest(table, rest - 1)->next;
        }
    }

    store(&table->nfree, 0);

    nfree = 0;

    for (cell = table->ncells; cell-- > 0; /* void */) {

        if (!used[cell]) {
            store(&cells[cell].state, WSB_NOTICE_FREE);
            wsb_notice_stack(table)[nfree++] = cell;
        }
    }

    store(&table->nfree, nfree);

    wsb_free(used);
}
