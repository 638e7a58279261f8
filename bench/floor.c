/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright the ws_bus authors */

/*
 * What the others are measured against: the least that a broadcaster can do.
 *
 *   floor --port=N [--coalesce | --rest] [--processes=1|2]
 *
 * A POST to any path is broadcast to every WebSocket, as it is: one send() for
 * each delivery, and nothing else.  With --coalesce all that came in one turn
 * of the loop goes out with one send() to each.  With --rest it broadcasts
 * nothing and answers with the body that it got, as a backend that has made a
 * row of it.  Messages that contain
 * "ping" or "subscribe" as their type are answered, so that the load generator
 * speaks with it as with the others.
 *
 * Not a server for anything: no limits, no time-outs, no Ping.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>


#define FLOOR_FDS      65536
#define FLOOR_EVENTS   512
#define FLOOR_BUFFER   (256 * 1024)
#define FLOOR_MESSAGE  (64 * 1024)      /* a frame, and a body */
#define FLOOR_PIPE     (8 * 1024 * 1024)


typedef enum {
    FLOOR_HTTP,
    FLOOR_WEBSOCKET,
    FLOOR_CLOSED,                       /* it has been answered its Close */
    FLOOR_PEER                          /* the other process */
} floor_state_t;


typedef struct {
    floor_state_t    state;
    uint32_t         place;             /* in receivers[] */
    char            *in;                /* not whole yet */
    size_t           in_len;
    char            *out;               /* the socket was full */
    size_t           out_len;
} floor_conn_t;


/* All that a broadcast looks at. */

typedef struct {
    int              fd;
    int              blocked;
} floor_receiver_t;


static int                floor_epoll;
static int                floor_listener;
static int                floor_other = -1;
static int                floor_coalesce;
static int                floor_rest;
static floor_conn_t      *floor_conns;
static floor_receiver_t  *floor_receivers;
static uint32_t           floor_nreceivers;

static char               floor_input[FLOOR_BUFFER];
static char               floor_turn[1024 * 1024];
static size_t             floor_turn_len;

static char              *floor_backlog;      /* for the other process */
static size_t             floor_backlog_len;


static void
floor_die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}


/* FIPS 180-4; messages of less than 120 bytes. */

static void
floor_sha1(const char *text, size_t len, uint8_t digest[20])
{
    int       i;
    size_t    n, blocks;
    uint8_t   m[128];
    uint32_t  h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                       0xc3d2e1f0 };
    uint32_t  w[80], a, b, c, d, e, f, k, t;

    memset(m, 0, sizeof(m));
    memcpy(m, text, len);
    m[len] = 0x80;

    blocks = len + 9 <= 64 ? 1 : 2;
    m[blocks * 64 - 2] = (uint8_t) (len * 8 >> 8);
    m[blocks * 64 - 1] = (uint8_t) (len * 8);

    for (n = 0; n < blocks; n++) {

        for (i = 0; i < 16; i++) {
            w[i] = (uint32_t) m[n * 64 + i * 4] << 24
                   | (uint32_t) m[n * 64 + i * 4 + 1] << 16
                   | (uint32_t) m[n * 64 + i * 4 + 2] << 8
                   | m[n * 64 + i * 4 + 3];
        }

        for (i = 16; i < 80; i++) {
            t = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
            w[i] = t << 1 | t >> 31;
        }

        a = h[0];
        b = h[1];
        c = h[2];
        d = h[3];
        e = h[4];

        for (i = 0; i < 80; i++) {

            if (i < 20) {
                f = (b & c) | (~b & d);
                k = 0x5a827999;

            } else if (i < 40) {
                f = b ^ c ^ d;
                k = 0x6ed9eba1;

            } else if (i < 60) {
                f = (b & c) | (b & d) | (c & d);
                k = 0x8f1bbcdc;

            } else {
                f = b ^ c ^ d;
                k = 0xca62c1d6;
            }

            t = (a << 5 | a >> 27) + f + e + k + w[i];
            e = d;
            d = c;
            c = b << 30 | b >> 2;
            b = a;
            a = t;
        }

        h[0] += a;
        h[1] += b;
        h[2] += c;
        h[3] += d;
        h[4] += e;
    }

    for (i = 0; i < 20; i++) {
        digest[i] = (uint8_t) (h[i / 4] >> (24 - i % 4 * 8));
    }
}


static void
floor_base64(const uint8_t digest[20], char text[29])
{
    static const char  set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789+/";

    int       i;
    uint32_t  v;

    for (i = 0; i < 7; i++) {
        v = (uint32_t) digest[i * 3] << 16
            | (uint32_t) digest[i * 3 + 1] << 8
            | (i < 6 ? digest[i * 3 + 2] : 0);

        text[i * 4] = set[v >> 18 & 63];
        text[i * 4 + 1] = set[v >> 12 & 63];
        text[i * 4 + 2] = set[v >> 6 & 63];
        text[i * 4 + 3] = set[v & 63];
    }

    text[27] = '=';
    text[28] = '\0';
}


static void
floor_watch(int fd, int op, uint32_t events)
{
    struct epoll_event  ev;

    memset(&ev, 0, sizeof(ev));
    ev.events = events;
    ev.data.fd = fd;

    if (epoll_ctl(floor_epoll, op, fd, &ev) == -1) {
        floor_die("epoll_ctl()");
    }
}


static void
floor_close(int fd)
{
    floor_conn_t      *c;
    floor_receiver_t  *last;

    c = &floor_conns[fd];

    if (c->state == FLOOR_PEER) {
        exit(0);
    }

    if (c->state == FLOOR_WEBSOCKET) {
        last = &floor_receivers[--floor_nreceivers];
        floor_receivers[c->place] = *last;
        floor_conns[last->fd].place = c->place;
    }

    free(c->in);
    free(c->out);
    memset(c, 0, sizeof(floor_conn_t));

    close(fd);
}


/* What the socket did not take waits. */

static void
floor_wait(int fd, const char *data, size_t len)
{
    floor_conn_t  *c;

    c = &floor_conns[fd];

    c->out = realloc(c->out, c->out_len + len);
    if (c->out == NULL) {
        floor_die("no memory");
    }

    if (c->out_len == 0) {
        floor_watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }

    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;

    if (c->state == FLOOR_WEBSOCKET) {
        floor_receivers[c->place].blocked = 1;
    }
}


static void
floor_send(int fd, const char *data, size_t len)
{
    ssize_t  n;

    if (floor_conns[fd].out_len != 0) {
        floor_wait(fd, data, len);
        return;
    }

    n = send(fd, data, len, MSG_NOSIGNAL);

    if (n == (ssize_t) len) {
        return;
    }

    if (n == -1 && errno != EAGAIN) {
        /* its event is about to say so, too */
        return;
    }

    if (n == -1) {
        n = 0;
    }

    floor_wait(fd, data + n, len - (size_t) n);
}


static void
floor_writable(int fd)
{
    ssize_t        n;
    floor_conn_t  *c;

    c = &floor_conns[fd];

    if (c->out_len == 0) {
        return;
    }

    n = send(fd, c->out, c->out_len, MSG_NOSIGNAL);

    if (n <= 0) {
        return;
    }

    c->out_len -= (size_t) n;
    memmove(c->out, c->out + n, c->out_len);

    if (c->out_len == 0) {
        free(c->out);
        c->out = NULL;

        floor_watch(fd, EPOLL_CTL_MOD, EPOLLIN);

        if (c->state == FLOOR_WEBSOCKET) {
            floor_receivers[c->place].blocked = 0;
        }
    }
}


static void
floor_broadcast(const char *data, size_t len)
{
    ssize_t            n;
    uint32_t           i;
    floor_receiver_t  *r;

    for (i = 0; i < floor_nreceivers; i++) {
        r = &floor_receivers[i];

        if (r->blocked) {
            floor_wait(r->fd, data, len);
            continue;
        }

        n = send(r->fd, data, len, MSG_NOSIGNAL);

        if (n == (ssize_t) len) {
            continue;
        }

        if (n == -1) {

            if (errno != EAGAIN) {
                continue;
            }

            n = 0;
        }

        floor_wait(r->fd, data + n, len - (size_t) n);
    }
}


static void
floor_frame(const char *body, size_t len)
{
    size_t   n;
    char    *p;

    if (floor_turn_len + len + 4 > sizeof(floor_turn)) {
        floor_broadcast(floor_turn, floor_turn_len);
        floor_turn_len = 0;
    }

    p = floor_turn + floor_turn_len;
    n = 2;

    p[0] = (char) 0x81;

    if (len < 126) {
        p[1] = (char) len;

    } else {
        p[1] = 126;
        p[2] = (char) (len >> 8);
        p[3] = (char) len;
        n = 4;
    }

    memcpy(p + n, body, len);
    floor_turn_len += n + len;

    if (!floor_coalesce) {
        floor_broadcast(floor_turn, floor_turn_len);
        floor_turn_len = 0;
    }
}


/* To the other process; what its socket does not take goes next turn. */

static void
floor_forward(const char *body, size_t len)
{
    uint32_t  size;

    if (floor_other == -1) {
        return;
    }

    size = (uint32_t) len;

    if (floor_backlog_len + sizeof(size) + len > FLOOR_PIPE) {
        fprintf(stderr, "floor: the other process does not keep up\n");
        exit(1);
    }

    memcpy(floor_backlog + floor_backlog_len, &size, sizeof(size));
    memcpy(floor_backlog + floor_backlog_len + sizeof(size), body, len);
    floor_backlog_len += sizeof(size) + len;
}


static void
floor_flush_forward(void)
{
    ssize_t  n;

    if (floor_backlog_len == 0) {
        return;
    }

    n = send(floor_other, floor_backlog, floor_backlog_len, MSG_NOSIGNAL);

    if (n > 0) {
        floor_backlog_len -= (size_t) n;
        memmove(floor_backlog, floor_backlog + n, floor_backlog_len);
    }
}


static size_t
floor_peer(const char *data, size_t len)
{
    size_t    used;
    uint32_t  size;

    for (used = 0; len - used >= sizeof(size); used += sizeof(size) + size) {
        memcpy(&size, data + used, sizeof(size));

        if (len - used - sizeof(size) < size) {
            break;
        }

        floor_frame(data + used + sizeof(size), size);
    }

    return used;
}


static const char *
floor_header(const char *head, const char *end, const char *name)
{
    const char  *p;

    p = memmem(head, (size_t) (end - head), "\r\n", 2);

    while (p != NULL && p + 2 < end) {
        p += 2;

        if (strncasecmp(p, name, strlen(name)) == 0) {
            p += strlen(name);
            return p + strspn(p, " ");
        }

        p = memmem(p, (size_t) (end - p), "\r\n", 2);
    }

    return NULL;
}


static void
floor_upgrade(int fd, const char *key)
{
    char      text[96], accept[29], answer[256];
    size_t    len;
    uint8_t   digest[20];

    len = strcspn(key, "\r");

    if (len > 32) {
        return;
    }

    memcpy(text, key, len);
    strcpy(text + len, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");

    floor_sha1(text, strlen(text), digest);
    floor_base64(digest, accept);

    len = (size_t) sprintf(answer, "HTTP/1.1 101 Switching Protocols\r\n"
                                   "Upgrade: websocket\r\n"
                                   "Connection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: %s\r\n\r\n",
                           accept);

    floor_send(fd, answer, len);

    floor_conns[fd].state = FLOOR_WEBSOCKET;
    floor_conns[fd].place = floor_nreceivers;

    floor_receivers[floor_nreceivers].fd = fd;
    floor_receivers[floor_nreceivers].blocked = 0;
    floor_nreceivers++;
}


static void
floor_row(int fd, const char *body, size_t len)
{
    int   n;
    char  answer[FLOOR_MESSAGE + 256];

    if (len > FLOOR_MESSAGE) {
        len = FLOOR_MESSAGE;
    }

    n = sprintf(answer, "HTTP/1.1 201 Created\r\n"
                        "Content-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n", len);

    memcpy(answer + n, body, len);
    floor_send(fd, answer, (size_t) n + len);
}


/* Returns how much was used: a whole request, or nothing. */

static size_t
floor_http(int fd, const char *data, size_t len)
{
    static const char  answer[] = "HTTP/1.1 200 OK\r\n"
                                  "Content-Type: application/json\r\n"
                                  "Content-Length: 15\r\n\r\n"
                                  "{\"published\":1}";
    static const char  row[] = "{\"id\":\"id-1\",\"name\":\"a row that is read by"
                               " its id\",\"n\":1}";

    size_t       size, body;
    const char  *end, *value;

    end = memmem(data, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }

    size = (size_t) (end + 4 - data);

    if (memcmp(data, "GET", 3) == 0) {
        value = floor_header(data, end + 2, "Sec-WebSocket-Key:");

        if (value != NULL) {
            floor_upgrade(fd, value);

        } else if (floor_rest) {
            floor_row(fd, row, sizeof(row) - 1);
        }

        return size;
    }

    value = floor_header(data, end + 2, "Content-Length:");
    body = value ? strtoul(value, NULL, 10) : 0;

    if (len - size < body) {
        return 0;
    }

    if (floor_rest) {
        floor_row(fd, data + size, body);
        return size + body;
    }

    floor_send(fd, answer, sizeof(answer) - 1);

    floor_frame(data + size, body);
    floor_forward(data + size, body);

    return size + body;
}


static void
floor_message(int fd, const char *text, size_t len)
{
    static const char  pong[] = "\x81\x0f{\"type\":\"pong\"}";
    static const char  subscribed[] = "\x81\x15{\"type\":\"subscribed\"}";

    if (len > 10 && memcmp(text, "{\"type\":\"", 9) == 0) {

        if (text[9] == 'p') {
            floor_send(fd, pong, sizeof(pong) - 1);

        } else if (text[9] == 's') {
            floor_send(fd, subscribed, sizeof(subscribed) - 1);
        }
    }
}


/* Frames of a client are masked, and short. */

static size_t
floor_websocket(int fd, char *data, size_t len)
{
    size_t   used, head, size, i;
    uint8_t  *p, *mask;

    for (used = 0; len - used >= 6; used += head + size) {
        p = (uint8_t *) data + used;

        head = 6;
        size = p[1] & 0x7f;

        if (size == 126) {
            head = 8;
            size = (size_t) p[2] << 8 | p[3];
        }

        if (len - used < head + size) {
            break;
        }

        mask = p + head - 4;

        for (i = 0; i < size; i++) {
            p[head + i] ^= mask[i & 3];
        }

        if ((p[0] & 0x0f) == 8) {
            floor_send(fd, "\x88\x02\x03\xe8", 4);
            shutdown(fd, SHUT_WR);
            return len;
        }

        if ((p[0] & 0x0f) == 1) {
            floor_message(fd, (char *) p + head, size);
        }
    }

    return used;
}


static void
floor_readable(int fd)
{
    char          *data;
    size_t         len, used, n;
    ssize_t        rc;
    floor_conn_t  *c;

    c = &floor_conns[fd];
    data = floor_input;

    if (c->in_len != 0) {
        memcpy(data, c->in, c->in_len);
    }

    rc = recv(fd, data + c->in_len, FLOOR_BUFFER - c->in_len, 0);

    if (rc == 0 || (rc == -1 && errno != EAGAIN)) {
        floor_close(fd);
        return;
    }

    if (rc == -1) {
        return;
    }

    len = c->in_len + (size_t) rc;
    used = 0;

    do {
        switch (c->state) {

        case FLOOR_HTTP:
            n = floor_http(fd, data + used, len - used);
            break;

        case FLOOR_WEBSOCKET:
            n = floor_websocket(fd, data + used, len - used);
            break;

        case FLOOR_PEER:
            n = floor_peer(data + used, len - used);
            break;

        default:
            n = len - used;
            break;
        }

        used += n;

    } while (n != 0 && used < len);

    free(c->in);
    c->in = NULL;
    c->in_len = len - used;

    if (c->in_len != 0) {

        if (c->in_len > FLOOR_MESSAGE
            || (c->in = malloc(c->in_len)) == NULL)
        {
            c->in_len = 0;
            floor_close(fd);
            return;
        }

        memcpy(c->in, data + used, c->in_len);
    }
}


static void
floor_accept(void)
{
    int  fd, on;

    on = 1;

    for ( ;; ) {
        fd = accept4(floor_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd == -1) {
            return;
        }

        if (fd >= FLOOR_FDS) {
            close(fd);
            return;
        }

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        floor_watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}


static int
floor_listen(int port)
{
    int                 fd, on;
    struct sockaddr_in  sin;

    on = 1;

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd == -1) {
        floor_die("socket()");
    }

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((uint16_t) port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(fd, 4096) == -1)
    {
        floor_die("listen()");
    }

    return fd;
}


static void
floor_run(void)
{
    int                 i, n, fd;
    struct epoll_event  events[FLOOR_EVENTS], *ev;

    floor_epoll = epoll_create1(EPOLL_CLOEXEC);
    floor_conns = calloc(FLOOR_FDS, sizeof(floor_conn_t));
    floor_receivers = calloc(FLOOR_FDS, sizeof(floor_receiver_t));

    if (floor_epoll == -1 || floor_conns == NULL || floor_receivers == NULL) {
        floor_die("no memory");
    }

    floor_watch(floor_listener, EPOLL_CTL_ADD, EPOLLIN);

    if (floor_other != -1) {
        floor_conns[floor_other].state = FLOOR_PEER;
        floor_watch(floor_other, EPOLL_CTL_ADD, EPOLLIN);

        floor_backlog = malloc(FLOOR_PIPE);
        if (floor_backlog == NULL) {
            floor_die("no memory");
        }
    }

    for ( ;; ) {
        n = epoll_wait(floor_epoll, events, FLOOR_EVENTS,
                       floor_backlog_len ? 1 : -1);

        for (i = 0; i < n; i++) {
            ev = &events[i];
            fd = ev->data.fd;

            if (fd == floor_listener) {
                floor_accept();
                continue;
            }

            if (ev->events & EPOLLOUT) {
                floor_writable(fd);
            }

            if (ev->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                floor_readable(fd);
            }
        }

        floor_flush_forward();

        if (floor_turn_len != 0) {
            floor_broadcast(floor_turn, floor_turn_len);
            floor_turn_len = 0;
        }
    }
}


int
main(int argc, char **argv)
{
    int            i, port, processes, pair[2], second;
    struct rlimit  limit;

    port = 0;
    processes = 1;

    for (i = 1; i < argc; i++) {

        if (strncmp(argv[i], "--port=", 7) == 0) {
            port = atoi(argv[i] + 7);

        } else if (strncmp(argv[i], "--processes=", 12) == 0) {
            processes = atoi(argv[i] + 12);

        } else if (strcmp(argv[i], "--coalesce") == 0) {
            floor_coalesce = 1;

        } else if (strcmp(argv[i], "--rest") == 0) {
            floor_rest = 1;

        } else {
            port = 0;
            break;
        }
    }

    if (port == 0 || processes < 1 || processes > 2) {
        fprintf(stderr, "usage: floor --port=N [--coalesce | --rest] "
                        "[--processes=1|2]\n");
        return 2;
    }

    signal(SIGPIPE, SIG_IGN);

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }

    floor_listener = floor_listen(port);

    if (processes == 2) {
        second = floor_listen(port);

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                       0, pair)
            == -1)
        {
            floor_die("socketpair()");
        }

        switch (fork()) {

        case -1:
            floor_die("fork()");
            break;

        case 0:
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            close(pair[0]);
            close(floor_listener);
            floor_listener = second;
            floor_other = pair[1];
            break;

        default:
            close(pair[1]);
            close(second);
            floor_other = pair[0];
        }
    }

    floor_run();

    return 0;
}
