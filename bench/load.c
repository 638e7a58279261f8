/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * The load generator: WebSockets in great number, publishers, and a count of
 * what arrives.  It speaks to anything that takes events by POST and sends
 * them to WebSockets.  One line of JSON on stdout says what it measured.
 *
 * Where more connections are wanted than a process may have files, it forks:
 * the first process publishes and counts for all.  Connections come from
 * many addresses of 127.0.0.0/8, so that ports do not run out.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>


#define LOAD_PROCESSES    16
#define LOAD_RESERVED     128           /* files of a process, beside */
#define LOAD_EVENTS       512
#define LOAD_BUFFER       (512 * 1024)
#define LOAD_TEMPLATES    32
#define LOAD_BATCH        16            /* subscribe messages in one go */
#define LOAD_SOURCES      64            /* addresses, at least */
#define LOAD_PIDS         8
#define LOAD_BUCKETS      2048
#define LOAD_N            1000000000u   /* so that each has ten digits */
#define LOAD_T            1000000000000000u
#define LOAD_DRAIN        5000000       /* us, for what is on its way */


typedef enum {
    LOAD_PHASE_SETUP,
    LOAD_PHASE_WARM,
    LOAD_PHASE_MEASURE,
    LOAD_PHASE_DRAIN,
    LOAD_PHASE_EXIT
} load_phase_t;


typedef enum {
    LOAD_KIND_WEBSOCKET,
    LOAD_KIND_PUBLISHER,
    LOAD_KIND_STDIN,
    LOAD_KIND_TIMER
} load_kind_t;


typedef enum {
    LOAD_CONNECTING,
    LOAD_HANDSHAKE,
    LOAD_OPEN,
    LOAD_CLOSING,
    LOAD_CLOSED
} load_state_t;


typedef struct {
    load_kind_t        kind;
    load_state_t       state;
    int                fd;
    uint32_t           index;           /* of all processes' */
    uint32_t           asked;           /* subscriptions */
    uint32_t           answered;
    uint32_t           count;           /* events, for --verify */
    uint64_t           sum;
    uint64_t           since;           /* of its ping */
    char              *part;            /* a frame not whole yet */
    size_t             part_len;
    unsigned           ready:1;
    unsigned           stalled:1;
    unsigned           busy:1;          /* a publisher's */
} load_conn_t;


/* What one process tells the first one. */

typedef struct {
    uint64_t           ready;
    uint64_t           subscriptions;
    uint64_t           deliveries;
    uint64_t           bytes;
    uint64_t           pongs;
    uint64_t           cycles;          /* connect to close */
    uint64_t           closed;          /* by the server */
    uint64_t           gaps;
    uint64_t           refused;
    uint64_t           bad;             /* connections, of --verify */
    volatile uint64_t  verified;
    uint64_t           last;            /* when the last event came */
    char               code[64];        /* of the first refusal */
    uint64_t           bucket[LOAD_BUCKETS];
} __attribute__((aligned(128))) load_proc_t;


typedef struct {
    volatile int       phase;
    volatile uint32_t  wanted;          /* subscriptions of a connection */
    volatile uint64_t  first;           /* n of the first event measured */
    volatile uint64_t  expect_count;
    volatile uint64_t  expect_sum;
    volatile uint64_t  verify;          /* how often it was asked for */
    load_proc_t        proc[LOAD_PROCESSES];
} load_shared_t;


typedef enum {
    LOAD_MODE_PUBLISH,
    LOAD_MODE_PING,
    LOAD_MODE_CYCLE,
    LOAD_MODE_HOLD,
    LOAD_MODE_PROBE
} load_mode_t;


/* What a probe asks in turns, and how long the answers took. */

typedef struct {
    uint64_t           n;
    uint64_t           longest;
    uint64_t           bucket[LOAD_BUCKETS];
} load_probe_t;


/* The command line. */

static struct {
    load_mode_t        mode;
    int                port;
    const char        *ws;
    const char        *publish;
    uint32_t           connections;
    uint32_t           concurrency;
    const char        *subscribe[LOAD_TEMPLATES];
    uint32_t           nsubscribe;
    uint32_t           subscriptions;
    const char        *wide_subscribe;
    uint32_t           wide;
    const char        *ping;
    const char        *method;
    const char        *event;
    uint32_t           size;
    uint32_t           ids;
    uint32_t           publishers;
    double             match;           /* deliveries of an event */
    uint32_t           window;
    uint32_t           burst;
    double             rate;
    double             seconds;
    uint64_t           events;
    uint64_t           warm;
    uint32_t           stalled;         /* percent */
    int                verify;
    int                sse;             /* events instead of WebSockets */
    int                latency;
    int                interactive;
    pid_t              pid[LOAD_PIDS];
    uint32_t           npids;
    double             timeout;
} conf = {
    .ws = "/ws",
    .publish = "/publish",
    .concurrency = 128,
    .subscriptions = 1,
    .ping = "{\"type\":\"ping\"}",
    .method = "POST",
    .event = "{\"action\":\"updated\",\"entity_type\":\"bench\","
             "\"entity_id\":\"id-%i\",\"data\":{\"n\":%n,\"t\":%t,"
             "\"pad\":\"%p\"}}",
    .size = 250,
    .ids = 1,
    .publishers = 1,
    .seconds = 3,
    .timeout = 120
};


static load_shared_t      *shared;
static load_proc_t        *me;
static uint32_t            nprocs;
static uint32_t            proc;        /* number of this process */
static int                 ep;

static load_conn_t        *conns;       /* of this process */
static uint32_t            nconns;
static uint32_t            started;     /* of them */
static uint32_t            connecting;
static uint32_t            cycle_index;

static load_conn_t        *publishers;
static uint64_t            published;   /* events sent */
static uint64_t            accepted;    /* answered with 2xx */
static uint64_t            refused;     /* answered otherwise */
static uint64_t            allowed;     /* by the clock, or a burst */
static uint64_t            delivered_base;
static uint64_t            published_base;
static uint64_t            publish_limit;
static uint64_t            sum;         /* of n since the measure began */
static int                 publishing;
static uint64_t            random_state = 88172645463325252u;

static load_conn_t         console;
static load_conn_t         timer;
static char                command[64];
static size_t              command_len;
static int                 console_closed;

static char                input[LOAD_BUFFER];
static int                 stalled_out;

static load_probe_t        probe_ping;
static load_probe_t        probe_post;
static load_probe_t       *probing;     /* what is being waited for */
static uint64_t            probe_since;


static void load_start_ws(load_conn_t *c);
static void load_post(load_conn_t *c);


static void
load_die(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    fprintf(stderr, "load: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);

    if (proc == 0 && shared != NULL) {
        shared->phase = LOAD_PHASE_EXIT;
    }

    exit(1);
}


static uint64_t
load_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static uint64_t
load_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return random_state;
}


/* On the CPU since it began, in ns: the processes that are watched. */

static uint64_t
load_cpu(void)
{
    char      name[64];
    FILE     *f;
    uint32_t  i;
    uint64_t  total, ns;

    total = 0;

    for (i = 0; i < conf.npids; i++) {
        snprintf(name, sizeof(name), "/proc/%d/schedstat", conf.pid[i]);

        f = fopen(name, "r");

        if (f == NULL || fscanf(f, "%lu", &ns) != 1) {
            load_die("cannot read %s: has the server died?", name);
        }

        fclose(f);
        total += ns;
    }

    return total;
}


/* 64 buckets for each power of two: an error of at most 1.6 %. */

static uint32_t
load_bucket(uint64_t v)
{
    uint32_t  bits;

    if (v < 64) {
        return (uint32_t) v;
    }

    bits = 63 - (uint32_t) __builtin_clzll(v) - 6;

    if (bits >= LOAD_BUCKETS / 64 - 1) {
        return LOAD_BUCKETS - 1;
    }

    return (bits + 1) * 64 + (uint32_t) (v >> bits & 63);
}


static uint64_t
load_bucket_value(uint32_t i)
{
    uint32_t  bits;

    if (i < 64) {
        return i;
    }

    bits = i / 64 - 1;

    return (uint64_t) (64 + i % 64) << bits;
}


static uint64_t
load_total(size_t offset)
{
    uint32_t  i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < nprocs; i++) {
        n += *(volatile uint64_t *) ((char *) &shared->proc[i] + offset);
    }

    return n;
}


#define load_sum(field)  load_total(offsetof(load_proc_t, field))


/* Of a histogram of this process. */

static uint64_t
load_quantile(const load_probe_t *probe, double p)
{
    uint32_t  i;
    uint64_t  seen;

    seen = 0;

    for (i = 0; i < LOAD_BUCKETS; i++) {
        seen += probe->bucket[i];

        if (probe->n != 0 && (double) seen >= p * (double) probe->n) {
            return load_bucket_value(i);
        }
    }

    return 0;
}


static uint64_t
load_percentile(double p)
{
    uint32_t  i, k;
    uint64_t  n, seen;

    n = 0;

    for (k = 0; k < nprocs; k++) {
        for (i = 0; i < LOAD_BUCKETS; i++) {
            n += shared->proc[k].bucket[i];
        }
    }

    seen = 0;

    for (i = 0; i < LOAD_BUCKETS; i++) {

        for (k = 0; k < nprocs; k++) {
            seen += shared->proc[k].bucket[i];
        }

        if (n != 0 && (double) seen >= p * (double) n) {
            return load_bucket_value(i);
        }
    }

    return 0;
}


static void
load_watch(load_conn_t *c, int op, uint32_t events)
{
    struct epoll_event  ev;

    memset(&ev, 0, sizeof(ev));
    ev.events = events;
    ev.data.ptr = c;

    if (epoll_ctl(ep, op, c->fd, &ev) == -1) {
        load_die("epoll_ctl(): %s", strerror(errno));
    }
}


/* The server reads what it is sent: these are small and few at a time. */

static void
load_send(load_conn_t *c, const char *data, size_t len)
{
    ssize_t  n;

    while (len != 0) {
        n = send(c->fd, data, len, MSG_NOSIGNAL);

        if (n == -1 && errno == EAGAIN) {
            usleep(100);
            continue;
        }

        if (n == -1) {
            /* reading will say so */
            return;
        }

        data += n;
        len -= (size_t) n;
    }
}


static size_t
load_frame(char *dst, unsigned opcode, const char *text, size_t len)
{
    static const uint8_t  mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

    size_t  n, i;

    dst[0] = (char) (0x80 | opcode);

    if (len < 126) {
        dst[1] = (char) (0x80 | len);
        n = 2;

    } else {
        dst[1] = (char) (0x80 | 126);
        dst[2] = (char) (len >> 8);
        dst[3] = (char) len;
        n = 4;
    }

    memcpy(dst + n, mask, 4);
    n += 4;

    for (i = 0; i < len; i++) {
        dst[n + i] = (char) (text[i] ^ mask[i & 3]);
    }

    return n + len;
}


/*
 * %n number of the event, %t time, %i one of the ids, %p as much as the size
 * lacks; %g number of the subscription, %q the same divided by the number of
 * templates, %c number of the connection.
 */

static size_t
load_expand(char *dst, size_t size, const char *t, uint64_t n, uint64_t g,
    uint32_t index)
{
    char      *p, *pad;
    size_t     len;

    pad = NULL;

    for (p = dst; *t != '\0' && p < dst + size - 32; t++) {

        if (*t != '%') {
            *p++ = *t;
            continue;
        }

        switch (*++t) {

        case 'n':
            p += sprintf(p, "%lu", LOAD_N + n);
            break;

        case 't':
            p += sprintf(p, "%lu", LOAD_T + load_now());
            break;

        case 'i':
            p += sprintf(p, "%lu", load_random() % conf.ids);
            break;

        case 'g':
            p += sprintf(p, "%lu", g);
            break;

        case 'q':
            p += sprintf(p, "%lu", g / conf.nsubscribe);
            break;

        case 'c':
            p += sprintf(p, "%u", index);
            break;

        case 'p':
            pad = p;
            break;

        default:
            *p++ = *t;
        }
    }

    len = (size_t) (p - dst);

    if (pad != NULL && len < conf.size && conf.size < size) {
        memmove(pad + (conf.size - len), pad, (size_t) (p - pad));
        memset(pad, 'x', conf.size - len);
        len = conf.size;
    }

    return len;
}


/* A few messages at a time: the server's answers are limited, too. */

static void
load_subscribe(load_conn_t *c)
{
    char         text[8192], out[LOAD_BATCH * 1024], *p;
    size_t       len;
    uint32_t     i, wanted, own;
    uint64_t     g;
    const char  *t;

    own = conf.nsubscribe ? shared->wanted : 0;
    wanted = own + (conf.wide_subscribe && c->index < conf.wide);

    if (c->answered < c->asked || c->asked == wanted) {
        return;
    }

    p = out;

    for (i = 0; i < LOAD_BATCH && c->asked < wanted; i++, c->asked++) {

        if (c->asked < own) {
            g = (uint64_t) c->asked * conf.connections + c->index;
            t = conf.subscribe[g % conf.nsubscribe];

        } else {
            g = 0;
            t = conf.wide_subscribe;
        }

        len = load_expand(text, sizeof(text), t, 0, g, c->index);

        if ((size_t) (out + sizeof(out) - p) < len + 8) {
            break;
        }

        p += load_frame(p, 1, text, len);
    }

    load_send(c, out, (size_t) (p - out));
}


static void
load_ready(load_conn_t *c)
{
    uint32_t  wanted;
    char      frame[16];

    wanted = (conf.nsubscribe ? shared->wanted : 0)
             + (conf.wide_subscribe && c->index < conf.wide);

    if (c->ready || c->state != LOAD_OPEN || c->answered < wanted) {
        return;
    }

    c->ready = 1;
    connecting--;

    if (conf.mode == LOAD_MODE_CYCLE) {
        c->state = LOAD_CLOSING;
        load_send(c, frame, load_frame(frame, 8, "\x03\xe8", 2));
        return;
    }

    me->ready++;
}


static void
load_ping(load_conn_t *c)
{
    char  frame[512];

    c->since = load_now();
    load_send(c, frame, load_frame(frame, 1, conf.ping, strlen(conf.ping)));
}


/* The next question of a probe, unless the last one is still open. */

static void
load_ask(void)
{
    static int  turn;

    if (probing != NULL || publishers[0].state != LOAD_OPEN) {
        return;
    }

    probe_since = load_now();
    turn = !turn;

    if (turn) {
        probing = &probe_ping;
        load_ping(&conns[0]);

    } else {
        probing = &probe_post;
        load_post(&publishers[0]);
    }
}


static void
load_answered(load_probe_t *probe)
{
    uint64_t  took;

    if (probing != probe) {
        return;
    }

    took = load_now() - probe_since;
    probing = NULL;

    probe->n++;
    probe->bucket[load_bucket(took)]++;
    probe->longest = took > probe->longest ? took : probe->longest;
}


/* Over: by the server, unless this is the end of a cycle. */

static void
load_over(load_conn_t *c)
{
    close(c->fd);
    free(c->part);

    c->part = NULL;
    c->part_len = 0;

    if (conf.mode == LOAD_MODE_CYCLE && c->state == LOAD_CLOSING) {
        me->cycles++;
        me->bucket[load_bucket(load_now() - c->since)]++;

        if (shared->phase <= LOAD_PHASE_MEASURE) {
            load_start_ws(c);
            return;
        }

    } else {
        me->closed++;
    }

    if (!c->ready) {
        connecting--;
    }

    c->state = LOAD_CLOSED;
}


static void
load_event(load_conn_t *c, const char *text, size_t len, uint64_t now)
{
    uint64_t     n, t;
    const char  *p;

    me->deliveries++;
    me->last = now;

    if (!conf.verify && !conf.latency) {
        return;
    }

    p = memmem(text, len, "\"n\":", 4);

    if (p == NULL || p + 35 > text + len) {
        return;
    }

    n = strtoul(p + 4, NULL, 10) - LOAD_N;

    if (n < shared->first) {
        return;
    }

    c->count++;
    c->sum += n * n;

    if (conf.latency && memcmp(p + 14, ",\"t\":", 5) == 0) {
        t = strtoul(p + 19, NULL, 10) - LOAD_T;
        me->bucket[load_bucket(now - t)]++;
    }
}


static void
load_message(load_conn_t *c, const char *text, size_t len, uint64_t now)
{
    const char  *p;

    /* an event: as it was posted, or in the envelope of the bus */

    if (len > 10 && (text[9] == 'e' ? text[10] == 'v' : text[2] != 't')) {
        load_event(c, text, len, now);
        return;
    }

    if (len < 12 || memcmp(text, "{\"type\":\"", 9) != 0) {
        return;
    }

    switch (text[10]) {

    case 'u':                           /* subscribed */
        c->answered++;
        me->subscriptions++;
        break;

    case 'e':                           /* response */

        if (conf.mode == LOAD_MODE_PING
            && shared->phase == LOAD_PHASE_MEASURE)
        {
            if (memmem(text, len, "\"success\":true", 14) == NULL) {
                me->refused++;
            }

            me->pongs++;
            me->bucket[load_bucket(load_now() - c->since)]++;
            load_ping(c);
        }

        return;

    case 'o':                           /* pong, position */
        if (conf.mode == LOAD_MODE_PROBE) {
            load_answered(&probe_ping);
            return;
        }

        if (text[11] == 'n' && shared->phase == LOAD_PHASE_MEASURE) {
            me->pongs++;
            me->bucket[load_bucket(load_now() - c->since)]++;
            load_ping(c);
        }

        return;

    case 'a':                           /* gap */
        me->gaps++;
        return;

    case 'r':                           /* error */
        if (memmem(text, len, "\"code\":\"gap\"", 12) != NULL) {
            me->gaps++;
            return;
        }

        if (me->refused++ == 0) {
            p = memmem(text, len, "\"code\":\"", 8);

            if (p != NULL) {
                p += 8;
                snprintf(me->code, sizeof(me->code), "%.*s",
                         (int) strcspn(p, "\""), p);
            }
        }

        c->answered++;
        break;

    default:                            /* welcome */
        return;
    }

    if (!conf.sse) {
        load_subscribe(c);
    }

    load_ready(c);
}


static size_t
load_frames(load_conn_t *c, char *data, size_t len)
{
    char      pong[256];
    size_t    used, head, size;
    uint8_t  *p;
    uint64_t  now;

    now = load_now();

    for (used = 0; len - used >= 2; used += head + size) {
        p = (uint8_t *) data + used;

        head = 2;
        size = p[1] & 0x7f;

        if (size == 126) {
            head = 4;
            size = (size_t) p[2] << 8 | p[3];

        } else if (size == 127) {
            head = 10;
            size = (size_t) p[6] << 24 | (size_t) p[7] << 16
                   | (size_t) p[8] << 8 | p[9];
        }

        if (len - used < head || len - used < head + size) {
            break;
        }

        switch (p[0] & 0x0f) {

        case 1:
        case 2:
            load_message(c, (char *) p + head, size, now);
            break;

        case 9:
            load_send(c, pong, load_frame(pong, 10, (char *) p + head, size));
            break;

        case 8:
            if (c->state != LOAD_CLOSING && shared->phase != LOAD_PHASE_EXIT
                && me->closed == 0)
            {
                fprintf(stderr, "load: closed by the server: %d %.*s\n",
                        size >= 2 ? p[head] << 8 | p[head + 1] : 0,
                        size > 2 ? (int) size - 2 : 0, p + head + 2);
            }

            break;
        }
    }

    me->bytes += used;

    return used;
}


/*
 * Server-sent events: a block that holds data is a message.  Lengths of chunks
 * stand between them and are no matter here, since a block is in one chunk.
 */

static size_t
load_stream(load_conn_t *c, char *data, size_t len)
{
    char      *text, *line, *end, *last;
    size_t     used;
    uint64_t   now;

    now = load_now();
    used = 0;

    while ((end = memmem(data + used, len - used, "\n\n", 2)) != NULL) {

        text = memmem(data + used, (size_t) (end - data) - used, "data: ", 6);

        if (text != NULL) {
            text += 6;
            last = memchr(text, '\n', (size_t) (end - text));
            line = last ? last : end;

            if (line - text > 10) {
                load_message(c, text, (size_t) (line - text), now);
            }
        }

        load_ready(c);

        used = (size_t) (end + 2 - data);
    }

    me->bytes += used;

    return used;
}


static size_t
load_handshake(load_conn_t *c, char *data, size_t len)
{
    char  *end;

    end = memmem(data, len, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    end[2] = '\0';

    if (conf.sse) {

        if (strncmp(data, "HTTP/1.1 200", 12) != 0) {
            load_die("no events: %.*s", (int) strcspn(data, "\r"), data);
        }

        c->state = LOAD_OPEN;

        return (size_t) (end + 4 - data);
    }

    if (strncmp(data, "HTTP/1.1 101", 12) != 0
        || strstr(data, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == NULL)
    {
        load_die("no websocket: %.*s", (int) strcspn(data, "\r"), data);
    }

    c->state = LOAD_OPEN;

    load_subscribe(c);
    load_ready(c);

    return (size_t) (end + 4 - data);
}


static void
load_readable(load_conn_t *c)
{
    size_t   len, used;
    ssize_t  n;

    if (c->part_len != 0) {
        memcpy(input, c->part, c->part_len);
    }

    n = recv(c->fd, input + c->part_len, sizeof(input) - c->part_len, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {

        if (c->state < LOAD_OPEN) {
            load_die("the server closed before the handshake was over");
        }

        load_over(c);
        return;
    }

    len = c->part_len + (size_t) n;
    used = 0;

    if (c->state == LOAD_HANDSHAKE) {
        used = load_handshake(c, input, len);
    }

    if (c->state != LOAD_HANDSHAKE) {
        used += conf.sse ? load_stream(c, input + used, len - used)
                         : load_frames(c, input + used, len - used);
    }

    if (c->part != NULL) {
        free(c->part);
        c->part = NULL;
    }

    c->part_len = len - used;

    if (c->part_len != 0) {
        c->part = malloc(c->part_len);

        if (c->part == NULL || c->part_len > sizeof(input) / 2) {
            load_die("a frame of more than %zu bytes", c->part_len);
        }

        memcpy(c->part, input + used, c->part_len);
    }
}


static int
load_socket(uint32_t index, int source)
{
    int                 fd, on;
    uint32_t            addr, n;
    struct sockaddr_in  sin;

    on = 1;

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        load_die("socket(): %s", strerror(errno));
    }

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;

    if (source) {
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));

        n = conf.connections / 16384;
        n = n < LOAD_SOURCES ? LOAD_SOURCES : n;

        addr = INADDR_LOOPBACK + 0x100 + index % n;
        sin.sin_addr.s_addr = htonl(addr);

        if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
            load_die("bind(): %s", strerror(errno));
        }
    }

    sin.sin_port = htons((uint16_t) conf.port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        && errno != EINPROGRESS)
    {
        load_die("connect(): %s", strerror(errno));
    }

    return fd;
}


static void
load_start_ws(load_conn_t *c)
{
    struct linger  linger;

    c->asked = 0;
    c->answered = 0;
    c->ready = 0;
    c->state = LOAD_CONNECTING;
    c->since = load_now();

    connecting++;

    if (conf.mode == LOAD_MODE_CYCLE) {
        c->fd = load_socket(cycle_index++, 1);

    } else {
        c->fd = load_socket(c->index, 1);

        /* thousands of them leave no TIME_WAIT behind */

        linger.l_onoff = 1;
        linger.l_linger = 0;
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }

    load_watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}


static void
load_connected(load_conn_t *c)
{
    int        n, err;
    char       request[512];
    socklen_t  len;

    err = 0;
    len = sizeof(err);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1 || err) {
        load_die("connect(): %s", strerror(err));
    }

    c->state = LOAD_HANDSHAKE;
    load_watch(c, EPOLL_CTL_MOD, EPOLLIN);

    if (c->kind == LOAD_KIND_PUBLISHER) {
        c->state = LOAD_OPEN;
        return;
    }

    n = snprintf(request, sizeof(request), conf.sse
                 ? "GET %s HTTP/1.1\r\nHost: bench\r\n"
                   "Accept: text/event-stream\r\n\r\n"
                 : "GET %s HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                 "Sec-WebSocket-Version: 13\r\n\r\n", conf.ws);

    load_send(c, request, (size_t) n);
}


/* Publishers: each posts when it has its answer and there is more to post. */

static int
load_may_publish(void)
{
    uint64_t  done;

    if (!publishing || published - published_base >= publish_limit) {
        return 0;
    }

    if ((conf.rate > 0 || conf.burst) && published >= allowed) {
        return 0;
    }

    if (conf.window) {
        done = (uint64_t) ((double) (load_sum(deliveries) - delivered_base)
                           / conf.match + 0.0000001);

        if (published - published_base >= done + conf.window) {
            return 0;
        }
    }

    return 1;
}


static void
load_post(load_conn_t *c)
{
    char    body[16384], request[16384 + 512];
    size_t  len;
    int     n;

    len = load_expand(body, sizeof(body), conf.event, published, 0, 0);

    if (strcmp(conf.method, "GET") == 0) {
        n = sprintf(request, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n",
                    conf.publish);
        len = 0;

    } else {
        n = sprintf(request, "%s %s HTTP/1.1\r\nHost: bench\r\n"
                             "Content-Type: application/json\r\n"
                             "Content-Length: %zu\r\n\r\n",
                    conf.method, conf.publish, len);
    }

    memcpy(request + n, body, len);

    c->busy = 1;
    sum += published * published;
    published++;

    load_send(c, request, (size_t) n + len);
}


static void
load_publish(void)
{
    uint32_t         i;
    static uint32_t  next;

    for (i = 0; i < conf.publishers && load_may_publish(); i++) {

        if (++next >= conf.publishers) {
            next = 0;
        }

        if (!publishers[next].busy && publishers[next].state == LOAD_OPEN) {
            load_post(&publishers[next]);
        }
    }
}


static void
load_answer(load_conn_t *c)
{
    char     data[16384], *end, *p;
    size_t   len, body;
    ssize_t  n;

    if (c->part_len != 0) {
        memcpy(data, c->part, c->part_len);
    }

    n = recv(c->fd, data + c->part_len, sizeof(data) - 1 - c->part_len, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {

        if (c->busy && publishing) {
            load_die("a publisher's connection was closed");
        }

        /* keepalive_requests, or keepalive_timeout, of the server */

        close(c->fd);
        c->fd = load_socket(0, 0);
        c->state = LOAD_CONNECTING;
        load_watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
        return;
    }

    len = c->part_len + (size_t) n;
    data[len] = '\0';

    free(c->part);
    c->part = NULL;
    c->part_len = 0;

    end = strstr(data, "\r\n\r\n");

    if (end != NULL) {
        p = strcasestr(data, "\r\nContent-Length:");
        body = p && p < end ? strtoul(p + 17, NULL, 10) : 0;

        if ((size_t) (data + len - end - 4) >= body) {

            if (strncmp(data + 9, "20", 2) == 0) {
                accepted++;

            } else {
                if (refused++ == 0) {
                    fprintf(stderr, "load: publish: %s\n", data);
                }
            }

            c->busy = 0;
            load_answered(&probe_post);

            if (load_may_publish()) {
                load_post(c);
            }

            return;
        }
    }

    c->part = malloc(len);

    if (c->part == NULL || len + 1 >= sizeof(data)) {
        load_die("too long an answer to a publisher");
    }

    memcpy(c->part, data, len);
    c->part_len = len;
}


static void
load_console(void)
{
    ssize_t  n;

    n = read(STDIN_FILENO, command + command_len,
             sizeof(command) - 1 - command_len);

    if (n <= 0) {
        console_closed = 1;
        return;
    }

    command_len += (size_t) n;
    command[command_len] = '\0';
}


/* Those that never read again. */

static void
load_stall(void)
{
    uint32_t  i;

    if (stalled_out || conf.stalled == 0 || shared->phase < LOAD_PHASE_WARM) {
        return;
    }

    stalled_out = 1;

    for (i = 0; i < nconns; i++) {

        if (conns[i].index % 100 < conf.stalled) {
            conns[i].stalled = 1;
            epoll_ctl(ep, EPOLL_CTL_DEL, conns[i].fd, NULL);
        }
    }
}


static void
load_more_subscriptions(void)
{
    uint32_t         i;
    static uint32_t  known;

    if (known == 0) {
        known = conf.subscriptions;
    }

    if (shared->wanted == known) {
        return;
    }

    known = shared->wanted;

    for (i = 0; i < nconns; i++) {
        load_subscribe(&conns[i]);
    }
}


/* One turn of the loop. */

static void
load_turn(int timeout)
{
    int                 i, n;
    uint64_t            ticks;
    load_conn_t        *c;
    struct epoll_event  events[LOAD_EVENTS];

    while (started < nconns && connecting < conf.concurrency) {
        load_start_ws(&conns[started++]);
    }

    load_stall();
    load_more_subscriptions();

    if (nprocs > 1 && proc == 0 && timeout > 1) {
        timeout = 1;
    }

    n = epoll_wait(ep, events, LOAD_EVENTS, timeout);

    for (i = 0; i < n; i++) {
        c = events[i].data.ptr;

        switch (c->kind) {

        case LOAD_KIND_TIMER:

            if (read(c->fd, &ticks, sizeof(ticks)) != sizeof(ticks)) {
                break;
            }

            if (conf.mode == LOAD_MODE_PROBE) {
                load_ask();

            } else if (publishing) {
                allowed += ticks;
            }

            break;

        case LOAD_KIND_STDIN:
            load_console();
            break;

        default:

            if (c->state == LOAD_CONNECTING) {
                load_connected(c);

            } else if (c->state != LOAD_CLOSED) {

                if (c->kind == LOAD_KIND_PUBLISHER) {
                    load_answer(c);

                } else {
                    load_readable(c);
                }
            }
        }
    }

    if (proc == 0 && publishing) {
        load_publish();
    }
}


static void
load_files(void)
{
    uint32_t       limit;
    struct rlimit  rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) == -1) {
        load_die("getrlimit(): %s", strerror(errno));
    }

    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);

    limit = rl.rlim_max > 1000000 ? 1000000 : (uint32_t) rl.rlim_max;

    if (limit <= LOAD_RESERVED + conf.publishers) {
        load_die("the limit of open files is too low");
    }

    limit -= LOAD_RESERVED + conf.publishers;

    nprocs = (conf.connections + limit - 1) / limit;
    nprocs = nprocs ? nprocs : 1;

    if (nprocs > LOAD_PROCESSES) {
        load_die("too many connections for %d processes", LOAD_PROCESSES);
    }
}


static void
load_begin(void)
{
    uint32_t  i, first, next;

    shared = mmap(NULL, sizeof(load_shared_t), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        load_die("mmap(): %s", strerror(errno));
    }

    shared->wanted = conf.subscriptions;
    shared->first = UINT64_MAX;         /* nothing is measured yet */

    for (proc = nprocs - 1; proc != 0; proc--) {

        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            break;
        }
    }

    me = &shared->proc[proc];

    ep = epoll_create1(EPOLL_CLOEXEC);

    first = (uint32_t) ((uint64_t) conf.connections * proc / nprocs);
    next = (uint32_t) ((uint64_t) conf.connections * (proc + 1) / nprocs);
    nconns = next - first;

    if (conf.mode == LOAD_MODE_CYCLE) {
        nconns = conf.concurrency;
    }

    conns = calloc(nconns + 1, sizeof(load_conn_t));
    publishers = calloc(conf.publishers + 1, sizeof(load_conn_t));

    if (ep == -1 || conns == NULL || publishers == NULL) {
        load_die("no memory");
    }

    for (i = 0; i < nconns; i++) {
        conns[i].kind = LOAD_KIND_WEBSOCKET;
        conns[i].index = first + i;
    }

    if (proc == 0 && (conf.mode == LOAD_MODE_PUBLISH
                      || conf.mode == LOAD_MODE_PROBE))
    {
        for (i = 0; i < conf.publishers; i++) {
            publishers[i].kind = LOAD_KIND_PUBLISHER;
            publishers[i].state = LOAD_CONNECTING;
            publishers[i].fd = load_socket(i, 0);
            load_watch(&publishers[i], EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
        }
    }
}


static void
load_set_up(void)
{
    uint64_t  until;

    until = load_now() + (uint64_t) (conf.timeout * 1e6);

    while (load_sum(ready) < conf.connections) {
        load_turn(10);

        if (load_now() > until) {
            load_die("only %lu of %u connections are ready",
                     load_sum(ready), conf.connections);
        }

        if (load_sum(closed) != 0) {
            load_die("the server closed a connection");
        }
    }
}


/* Until all have arrived, or nothing more does. */

static void
load_drain(uint64_t expected)
{
    uint64_t  last, now, n, since;

    last = load_sum(deliveries);
    since = load_now();

    while (load_sum(deliveries) - delivered_base < expected
           || published > accepted + refused)
    {
        load_turn(5);

        now = load_now();
        n = load_sum(deliveries);

        if (n != last) {
            last = n;
            since = now;
        }

        if (now - since > LOAD_DRAIN) {
            return;
        }
    }
}


/* By number or by time; where an event is lost and awaited, it gives up. */

static void
load_publish_for(uint64_t events, double seconds)
{
    uint64_t  until, now, n, last, since;

    since = load_now();
    until = since + (uint64_t) (seconds * 1e6);
    last = 0;

    published_base = published;
    delivered_base = load_sum(deliveries);
    publish_limit = events ? events : UINT64_MAX;
    allowed = published;
    publishing = 1;

    while (published - published_base < publish_limit) {
        load_turn(5);

        now = load_now();

        if (!events && now >= until) {
            break;
        }

        n = load_sum(deliveries) + published;

        if (n != last) {
            last = n;
            since = now;
        }

        if (now - since > LOAD_DRAIN) {
            break;
        }
    }

    publishing = 0;
}


/* Each burst is measured by itself, to its last delivery. */

static void
load_bursts(void)
{
    uint64_t  until, start, expected;

    until = load_now() + (uint64_t) (conf.seconds * 1e6);

    published_base = published;
    delivered_base = load_sum(deliveries);
    publish_limit = UINT64_MAX;

    while (load_now() < until) {
        start = load_now();
        allowed = published + conf.burst;
        publishing = 1;

        while (published < allowed) {
            load_turn(5);
        }

        publishing = 0;

        expected = (uint64_t) ((double) (published - published_base)
                               * conf.match);
        load_drain(expected);

        if (load_sum(deliveries) - delivered_base < expected) {
            break;
        }

        me->bucket[load_bucket(load_now() - start)]++;
    }
}


static void
load_timer(void)
{
    struct itimerspec  its;

    if (conf.rate <= 0) {
        return;
    }

    timer.kind = LOAD_KIND_TIMER;
    timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    memset(&its, 0, sizeof(its));
    its.it_interval.tv_nsec = (long) (1e9 / conf.rate) % 1000000000;
    its.it_interval.tv_sec = (long) (1 / conf.rate);
    its.it_value = its.it_interval;

    if (timer.fd == -1 || timerfd_settime(timer.fd, 0, &its, NULL) == -1) {
        load_die("timerfd: %s", strerror(errno));
    }

    load_watch(&timer, EPOLL_CTL_ADD, EPOLLIN);
}


static void
load_verify_own(void)
{
    uint32_t      i, k;
    load_conn_t  *c;

    if (me->verified == shared->verify) {
        return;
    }

    k = conf.nsubscribe ? shared->wanted : 1;
    me->bad = 0;

    for (i = 0; i < nconns; i++) {
        c = &conns[i];

        if (!c->stalled && (c->count != shared->expect_count * k
                            || c->sum != shared->expect_sum * k))
        {
            me->bad++;
        }
    }

    me->verified = shared->verify;
}


/*
 * With --interactive a line on stdin begins a round, and its end is the end;
 * so runs against several servers are interleaved.
 */

static int
load_go(void)
{
    static int  rounds;

    if (!conf.interactive) {
        return rounds++ == 0;
    }

    if (rounds++ == 0) {
        console.kind = LOAD_KIND_STDIN;
        console.fd = STDIN_FILENO;
        load_watch(&console, EPOLL_CTL_ADD, EPOLLIN);
    }

    printf("{\"connections\":%lu,\"subscriptions\":%lu,\"closed\":%lu,"
           "\"refused\":%lu,\"code\":\"%s\"}\n",
           load_sum(ready), load_sum(subscriptions), load_sum(closed),
           load_sum(refused), shared->proc[0].code);
    fflush(stdout);

    while (!console_closed && strchr(command, '\n') == NULL) {
        load_turn(100);
    }

    command_len = 0;
    memset(command, 0, sizeof(command));

    return !console_closed;
}


static void
load_clear(void)
{
    uint32_t  i;

    for (i = 0; i < nprocs; i++) {
        memset(shared->proc[i].bucket, 0, sizeof(me->bucket));
    }
}


static void
load_publish_round(void)
{
    double    elapsed, events;
    uint32_t  i;
    uint64_t  start, cpu, expected, got, bytes, last, ok, bad;

    load_clear();

    ok = accepted;
    bad = refused;
    bytes = load_sum(bytes);
    shared->phase = LOAD_PHASE_MEASURE;

    cpu = load_cpu();
    start = load_now();

    if (conf.burst) {
        load_bursts();

    } else {
        load_publish_for(conf.events, conf.seconds);
    }

    shared->phase = LOAD_PHASE_DRAIN;

    events = (double) (published - published_base);
    expected = (uint64_t) (events * conf.match + 0.5);

    load_drain(expected);

    cpu = load_cpu() - cpu;
    got = load_sum(deliveries) - delivered_base;
    last = 0;

    for (i = 0; i < nprocs; i++) {
        last = shared->proc[i].last > last ? shared->proc[i].last : last;
    }

    elapsed = (double) ((got ? last : load_now()) - start) / 1e6;

    if (conf.verify) {
        shared->expect_count = published - shared->first;
        shared->expect_sum = sum;
        shared->verify++;
        load_verify_own();

        for (i = 0; i < nprocs; i++) {
            while (shared->proc[i].verified != shared->verify) {
                usleep(1000);
            }
        }
    }

    printf("{\"connections\":%u,\"subscriptions\":%lu,\"publishers\":%u,"
           "\"seconds\":%.6f,\"events\":%.0f,\"accepted\":%lu,"
           "\"publish_errors\":%lu,\"deliveries\":%lu,\"expected\":%lu,"
           "\"lost\":%ld,\"bad\":%lu,\"gaps\":%lu,\"closed\":%lu,"
           "\"events_per_s\":%.1f,\"deliveries_per_s\":%.1f,"
           "\"bytes\":%lu,\"cpu_ns\":%lu,\"cpu_per_delivery_ns\":%.1f,"
           "\"cpu_per_event_ns\":%.1f,\"rounds_per_s\":%.1f,"
           "\"cpu_per_round_ns\":%.1f,\"p50_us\":%lu,\"p99_us\":%lu,"
           "\"refused\":%lu,\"code\":\"%s\"}\n",
           conf.connections, load_sum(subscriptions), conf.publishers,
           elapsed, events, accepted - ok, refused - bad, got, expected,
           (long) (expected - got), load_sum(bad), load_sum(gaps),
           load_sum(closed),
           (conf.match > 0 ? (double) got / conf.match
                           : (double) (accepted - ok)) / elapsed,
           (double) got / elapsed, load_sum(bytes) - bytes, cpu,
           got ? (double) cpu / (double) got : 0,
           events > 0 ? (double) cpu / events : 0,
           (double) (accepted - ok) / elapsed,
           accepted > ok ? (double) cpu / (double) (accepted - ok) : 0,
           load_percentile(0.5),
           load_percentile(0.99), load_sum(refused), shared->proc[0].code);
    fflush(stdout);
}


static void
load_publish_mode(void)
{
    load_timer();

    shared->phase = LOAD_PHASE_WARM;

    if (conf.warm) {
        load_publish_for(conf.warm, 0);
        load_drain((uint64_t) ((double) (published - published_base)
                               * conf.match + 0.5));
    }

    sum = 0;
    shared->first = published;

    while (load_go()) {
        load_publish_round();
    }
}


/* Round trips, or cycles: for a time, and what they cost the server. */

static void
load_round(void)
{
    double    elapsed;
    uint64_t  start, cpu, base, n, until;

    load_clear();

    base = load_sum(cycles) + load_sum(pongs);
    cpu = load_cpu();
    start = load_now();
    until = start + (uint64_t) (conf.seconds * 1e6);

    while (load_now() < until) {
        load_turn(5);
    }

    n = load_sum(cycles) + load_sum(pongs) - base;
    cpu = load_cpu() - cpu;
    elapsed = (double) (load_now() - start) / 1e6;

    printf("{\"connections\":%u,\"seconds\":%.6f,\"rounds\":%lu,"
           "\"rounds_per_s\":%.1f,\"cpu_ns\":%lu,\"cpu_per_round_ns\":%.1f,"
           "\"p50_us\":%lu,\"p99_us\":%lu,\"closed\":%lu,\"refused\":%lu,"
           "\"code\":\"%s\"}\n",
           conf.connections, elapsed, n, (double) n / elapsed, cpu,
           n ? (double) cpu / (double) n : 0, load_percentile(0.5),
           load_percentile(0.99), load_sum(closed), load_sum(refused),
           shared->proc[0].code);
    fflush(stdout);
}


static void
load_ping_mode(void)
{
    uint32_t  i, n;

    while (load_go()) {
        shared->phase = LOAD_PHASE_MEASURE;

        /* a window of them on each connection, else one */

        for (i = 0; i < nconns; i++) {
            for (n = 0; n < conf.window || n == 0; n++) {
                load_ping(&conns[i]);
            }
        }

        load_round();

        /* what is on its way is answered no more */

        shared->phase = LOAD_PHASE_DRAIN;

        for (i = 0; i < 20; i++) {
            load_turn(5);
        }
    }
}


/*
 * Pings and publishes in turns, at a rate: what one client waits while others
 * keep the server busy.  A line on stdin begins a round, the next one ends it.
 */

static void
load_probe_mode(void)
{
    load_timer();

    while (load_go()) {
        memset(&probe_ping, 0, sizeof(load_probe_t));
        memset(&probe_post, 0, sizeof(load_probe_t));

        while (!console_closed && strchr(command, '\n') == NULL) {
            load_turn(100);
        }

        command_len = 0;
        memset(command, 0, sizeof(command));

        /* who has not been answered by now counts as well */

        if (probing != NULL) {
            load_answered(probing);
        }

        printf("{\"pings\":%lu,\"ping_p50_us\":%lu,\"ping_p99_us\":%lu,"
               "\"ping_longest_us\":%lu,\"publishes\":%lu,"
               "\"publish_p50_us\":%lu,\"publish_p99_us\":%lu,"
               "\"publish_longest_us\":%lu}\n",
               probe_ping.n, load_quantile(&probe_ping, 0.5),
               load_quantile(&probe_ping, 0.99), probe_ping.longest,
               probe_post.n, load_quantile(&probe_post, 0.5),
               load_quantile(&probe_post, 0.99), probe_post.longest);
        fflush(stdout);
    }
}


static void
load_cycle_mode(void)
{
    uint64_t  until;

    /* until the first ones are through everything is warm */

    until = load_now() + 300000;

    while (load_now() < until) {
        load_turn(5);
    }

    load_round();
}


/*
 * Says when all is there, and holds it until stdin ends.  A number in a line
 * is that many subscriptions more for each connection.
 */

static void
load_hold_mode(void)
{
    long      n;
    char     *end;
    uint64_t  wide, wanted;

    console.kind = LOAD_KIND_STDIN;
    console.fd = STDIN_FILENO;
    load_watch(&console, EPOLL_CTL_ADD, EPOLLIN);

    wide = conf.wide_subscribe ? conf.wide : 0;

    for ( ;; ) {
        wanted = conf.nsubscribe
                 ? (uint64_t) shared->wanted * conf.connections : 0;

        while (load_sum(subscriptions) + load_sum(refused) < wanted + wide
               && load_sum(closed) == 0)
        {
            load_turn(10);
        }

        printf("{\"connections\":%lu,\"subscriptions\":%lu,\"closed\":%lu,"
               "\"refused\":%lu,\"code\":\"%s\"}\n",
               load_sum(ready), load_sum(subscriptions), load_sum(closed),
               load_sum(refused), shared->proc[0].code);
        fflush(stdout);

        while (!console_closed && strchr(command, '\n') == NULL) {
            load_turn(100);
        }

        if (console_closed) {
            return;
        }

        n = strtol(command, &end, 10);

        if (n > 0) {
            shared->wanted += (uint32_t) n;
        }

        command_len = 0;
        memset(command, 0, sizeof(command));
    }
}


static void
load_usage(void)
{
    fprintf(stderr,
        "usage: load --port=N [options]\n"
        "  --mode=publish|ping|cycle|hold|probe\n"
        "  --connections=N       WebSockets\n"
        "  --concurrency=N       of them at a time in the handshake\n"
        "  --ws=path --publish=path\n"
        "  --sse                 the path has server-sent events\n"
        "  --subscribe=text      a message; several: in turns; %%g %%q %%c\n"
        "  --subscriptions=N     of each connection\n"
        "  --wide-subscribe=text, --wide=N   one more, of the first N\n"
        "  --ping=text\n"
        "  --method=POST|GET\n"
        "  --event=text          with %%n %%t %%i %%p\n"
        "  --size=N --ids=N\n"
        "  --publishers=N --rate=N --window=N --burst=N\n"
        "  --events=N | --seconds=T, --warm=events before\n"
        "  --match=N             deliveries of one event\n"
        "  --stalled=percent     of the WebSockets never read\n"
        "  --verify --latency\n"
        "  --interactive         a round for each line on stdin\n"
        "  --pids=N,...          of the server: its CPU time is measured\n"
        "  --timeout=T           to connect, in seconds\n");
    exit(2);
}


static void
load_options(int argc, char **argv)
{
    static const struct option  options[] = {
        { "mode", 1, NULL, 'm' },
        { "port", 1, NULL, 'p' },
        { "connections", 1, NULL, 'c' },
        { "concurrency", 1, NULL, 'C' },
        { "ws", 1, NULL, 'w' },
        { "publish", 1, NULL, 'u' },
        { "subscribe", 1, NULL, 's' },
        { "subscriptions", 1, NULL, 'S' },
        { "wide-subscribe", 1, NULL, 'x' },
        { "wide", 1, NULL, 'X' },
        { "ping", 1, NULL, 'g' },
        { "method", 1, NULL, 'h' },
        { "event", 1, NULL, 'e' },
        { "size", 1, NULL, 'z' },
        { "ids", 1, NULL, 'i' },
        { "publishers", 1, NULL, 'P' },
        { "rate", 1, NULL, 'r' },
        { "window", 1, NULL, 'W' },
        { "burst", 1, NULL, 'b' },
        { "events", 1, NULL, 'E' },
        { "seconds", 1, NULL, 't' },
        { "warm", 1, NULL, 'k' },
        { "match", 1, NULL, 'M' },
        { "stalled", 1, NULL, 'd' },
        { "sse", 0, NULL, 'q' },
        { "verify", 0, NULL, 'v' },
        { "latency", 0, NULL, 'l' },
        { "interactive", 0, NULL, 'n' },
        { "pids", 1, NULL, 'I' },
        { "timeout", 1, NULL, 'T' },
        { NULL, 0, NULL, 0 }
    };

    static const char  *modes[] = { "publish", "ping", "cycle", "hold",
                                    "probe" };

    int       o, i;
    char     *p;

    conf.match = -1;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {

        switch (o) {

        case 'm':
            for (i = 0; i < 5 && strcmp(modes[i], optarg) != 0; i++) {
                /* void */
            }

            if (i == 5) {
                load_usage();
            }

            conf.mode = (load_mode_t) i;
            break;

        case 's':
            if (conf.nsubscribe == LOAD_TEMPLATES) {
                load_usage();
            }

            conf.subscribe[conf.nsubscribe++] = optarg;
            break;

        case 'I':
            for (p = strtok(optarg, ","); p != NULL; p = strtok(NULL, ",")) {

                if (conf.npids == LOAD_PIDS) {
                    load_usage();
                }

                conf.pid[conf.npids++] = atoi(p);
            }

            break;

        case 'p': conf.port = atoi(optarg); break;
        case 'c': conf.connections = (uint32_t) atol(optarg); break;
        case 'C': conf.concurrency = (uint32_t) atol(optarg); break;
        case 'w': conf.ws = optarg; break;
        case 'u': conf.publish = optarg; break;
        case 'S': conf.subscriptions = (uint32_t) atol(optarg); break;
        case 'x': conf.wide_subscribe = optarg; break;
        case 'X': conf.wide = (uint32_t) atol(optarg); break;
        case 'g': conf.ping = optarg; break;
        case 'h': conf.method = optarg; break;
        case 'e': conf.event = optarg; break;
        case 'z': conf.size = (uint32_t) atol(optarg); break;
        case 'i': conf.ids = (uint32_t) atol(optarg); break;
        case 'P': conf.publishers = (uint32_t) atol(optarg); break;
        case 'r': conf.rate = atof(optarg); break;
        case 'W': conf.window = (uint32_t) atol(optarg); break;
        case 'b': conf.burst = (uint32_t) atol(optarg); break;
        case 'E': conf.events = strtoul(optarg, NULL, 10); break;
        case 't': conf.seconds = atof(optarg); break;
        case 'k': conf.warm = strtoul(optarg, NULL, 10); break;
        case 'M': conf.match = atof(optarg); break;
        case 'd': conf.stalled = (uint32_t) atol(optarg); break;
        case 'q': conf.sse = 1; break;
        case 'v': conf.verify = 1; break;
        case 'l': conf.latency = 1; break;
        case 'n': conf.interactive = 1; break;
        case 'T': conf.timeout = atof(optarg); break;

        default:
            load_usage();
        }
    }

    if (conf.port == 0 || conf.ids == 0 || conf.concurrency == 0
        || conf.size > 8192 || optind != argc
        || (conf.mode != LOAD_MODE_CYCLE && conf.mode != LOAD_MODE_PUBLISH
            && conf.connections == 0)
        || ((conf.mode == LOAD_MODE_PUBLISH || conf.mode == LOAD_MODE_PROBE)
            && conf.publishers == 0)
        || (conf.mode == LOAD_MODE_PROBE && conf.rate <= 0))
    {
        load_usage();
    }
}


int
main(int argc, char **argv)
{
    uint32_t  i, reading;

    load_options(argc, argv);

    signal(SIGPIPE, SIG_IGN);

    if (conf.match < 0) {
        reading = 0;

        for (i = 0; i < conf.connections; i++) {
            reading += i % 100 >= conf.stalled;
        }

        conf.match = (double) reading
                     * (conf.nsubscribe ? conf.subscriptions : 1);
    }

    load_files();
    load_begin();

    if (proc != 0) {
        while (shared->phase != LOAD_PHASE_EXIT) {
            load_turn(20);
            load_verify_own();
        }

        return 0;
    }

    if (conf.mode != LOAD_MODE_CYCLE) {
        load_set_up();
    }

    switch (conf.mode) {

    case LOAD_MODE_PUBLISH:
        load_publish_mode();
        break;

    case LOAD_MODE_HOLD:
        load_hold_mode();
        break;

    case LOAD_MODE_PING:
        load_ping_mode();
        break;

    case LOAD_MODE_CYCLE:
        load_cycle_mode();
        break;

    case LOAD_MODE_PROBE:
        load_probe_mode();
        break;
    }

    fflush(stdout);

    shared->phase = LOAD_PHASE_EXIT;

    while (wait(NULL) != -1) {
        /* void */
    }

    return 0;
}
