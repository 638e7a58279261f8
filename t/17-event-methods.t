# SPDX-License-Identifier: BSD-2-Clause
# Event methods of nginx: what epoll tells once, poll and select tell again and
# again until it is done. No state of a connection keeps a worker busy that has
# nothing to do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(SOL_SOCKET SO_RCVBUF SO_SNDBUF);
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::Nginx;
use WSBus::Raw qw(frame);

my $PING = '{"type":"ping"}';
my $MASK = "\x11\x22\x33\x44";

our ($nginx, $worker);

# seconds of CPU that the worker has had

sub cpu {
    my ($ns) = split ' ', WSBus::Nginx::slurp("/proc/$worker/schedstat");
    return $ns / 1e9;
}

# It rests if there is a span of half a second in which it needs less than a
# twentieth of that. One that spins needs all that it is given.

sub rests {
    my ($what) = @_;

    my $used;
    my $rests = WSBus::Nginx::await(sub {
        my ($cpu, $t0) = (cpu(), time);
        sleep 0.5;
        $used = (cpu() - $cpu) / (time - $t0);
        return $used < 0.05;
    }, 4);

    ok($rests, sprintf '%s: the worker rests (%.1f %%)', $what, $used * 100);
    return;
}

# a client whose sockets are small

sub client {
    my ($path, $ssl) = @_;

    my $ws = WSBus::Raw->open($nginx->port($ssl ? 1 : 0), ssl => $ssl,
                              path => $path, no_welcome => scalar $path =~ /echo/);

    setsockopt $ws->sock, SOL_SOCKET, SO_RCVBUF, 65536;
    setsockopt $ws->sock, SOL_SOCKET, SO_SNDBUF, 8192;
    $ws->sock->blocking(0);

    return $ws;
}

# writes frames, without reading, until nothing more is taken for a while: how
# many were, and what comes next (of TLS, exactly this must)

sub flood {
    my ($ws, $frame) = @_;

    my ($bytes, $sent, $last) = ('', 0, time);

    while (time - $last < 0.5) {
        $bytes .= $frame x 20 if length $bytes < 10 * length $frame;
        my $n = syswrite $ws->sock, $bytes;

        if (!$n) {
            sleep 0.01;
            next;
        }

        substr $bytes, 0, $n, '';
        $sent += $n;
        $last = time;
    }

    return (int $sent / length $frame, $bytes);
}

sub publish {
    my ($n) = @_;
    my $pub = WSBus::Raw->new($nginx->port);
    for (1 .. $n) {
        $pub->publish(
            '{"action":"created","entity_type":"x","entity_id":"1","data":"'
            . 'x' x 4000 . '"}');
    }
    $pub->close;
    return;
}


sub paused {
    my ($ssl) = @_;

    my $ws = client('/slow/echo', $ssl);
    my ($sent, $next) = flood($ws, frame(2, 'x' x 1000, mask => $MASK));
    rests('a client that sends without reading the answers');

    # and then it reads them all: each is there
    my $got = 0;
    while ($got < $sent) {
        my $frame = $ws->read_frame or last;
        $got++ if $frame->{payload} eq 'x' x 1000;
    }
    is($got, $sent, 'all answers come');
    $ws->write($next);
    is(($ws->read_frame // {})->{opcode}, 2, 'and it is read again');
    rests('once it has read');
    $ws->close;
}

sub blocked {
    my ($ssl) = @_;

    my $ws = client('/slow/ws', $ssl);
    $ws->send_text('{"type":"subscribe","filter":{}}');
    is($ws->read_json->{type}, 'subscribed', 'subscribed');

    publish(60);
    rests('a client that does not read its events');

    my $got = 0;
    $got++ while $got < 60 && ($ws->read_json->{type} // '') eq 'event';
    is($got, 60, 'all events come');
    rests('once it has read');

    publish(1);
    is($ws->read_json->{type}, 'event', 'and the next');
    $ws->close;
}

sub half_closed {
    my $ws = client('/slow/echo');
    my ($sent) = flood($ws, frame(2, 'x' x 1000, mask => $MASK));

    # a message that is not whole, then a FIN; what has been asked is owed
    shutdown $ws->sock, 1;
    $ws->read_frame for 1 .. $sent / 2;
    rests('half closed, while it is owed answers');
    like($ws->read_end, qr/^(?:eof|reset)$/, 'it ends');
}

sub owed_after_fin {
    my $ws = client('/slow/echo');
    my $frame = frame(2, 'x' x 1_000_000, mask => $MASK);

    # one answer of which the half does not fit into the sockets
    $ws->write($frame);
    shutdown $ws->sock, 1;
    sleep 0.1;
    rests('half closed behind a message that is answered');

    my $answer = $ws->read_frame // { payload => '' };
    is(length $answer->{payload}, 1_000_000, 'it has its answer');
    like($ws->read_end, qr/^(?:eof|reset)$/, 'and it ends');
}

sub closing {
    my $ws = client('/rate/ws');
    $ws->write(join '', map { frame(1, $PING, mask => $MASK) } 1 .. 20);
    is($ws->read_close, 1008, 'the server closes');
    rests('a client that does not answer Close');

    # it goes on, which is read and dropped
    $ws->write(frame(1, $PING, mask => $MASK) x 20);
    rests('and goes on');
    $ws->close;

    $ws = client('/slow/echo');
    flood($ws, frame(2, 'x' x 1000, mask => $MASK));
    $ws->vanish;
    rests('a client that vanishes while it is not read');
}

sub lingering {
    my $ws = client('/slow/ws');
    $ws->send_frame(8, WSBus::Raw::close_payload(1000));
    is($ws->read_close, 1000, 'closed');
    $ws->write('x' x 5000);
    my $t0 = time;
    rests('closed by both, without a FIN');
    like($ws->read_end, qr/^(?:eof|reset)$/, 'it ends');
    $ws->close;

    # a Close in the same segment as the handshake
    $ws = WSBus::Raw->new($nginx->port);
    $ws->write(WSBus::Raw::request()
               . frame(8, WSBus::Raw::close_payload(1001)));
    $ws->response;
    is($ws->read_close, 1001, 'a Close that comes with the handshake');
    is($ws->read_end, 'eof', 'ends');
    $ws->close;

    $ws = WSBus::Raw->new($nginx->port);
    $ws->write(WSBus::Raw::request() . frame(3, 'x'));
    $ws->response;
    is($ws->read_close, 1002, 'so does a bad frame');
    rests('after it');
    $ws->close;
}

sub publishers {
    my $http = WSBus::Raw->new($nginx->port);
    my $body = '{"action":"created","entity_type":"y","entity_id":"1"}';
    my $post = "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: application"
               . "/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";

    $http->write($post x 20 . substr $post, 0, 100);
    is($http->response->{status}, 200, 'pipelined') for 1 .. 20;
    rests('publishers');
    $http->write(substr $post, 100);
    is($http->response->{status}, 200, 'and the rest');
    $http->close;
}


# poll and select where nginx was built with them

my @methods = ('level', 'epoll',
               grep { WSBus::Nginx::version() =~ /--with-${_}_module/ }
               qw(poll select));

for my $method (@methods) {
    subtest $method => sub {
        local $nginx = WSBus::Nginx->new(
            workers => 1, fixed_workers => 1,
            events  => "use $method; worker_connections 256;",
            http    => WSBus::Nginx::minimal(
                http   => 'ws_bus_sndbuf 8k; keepalive_requests 10000;
                           ws_bus_max_message_size 2m;',
                server => 'location /slow/ws   { ws_bus events; }
                           location /slow/echo { ws_bus_echo; }
                           location /rate/ws   { ws_bus events;
                               ws_bus_message_rate 1r/s burst=5; }'));
        $nginx->certificate;
        $nginx->{http} .= <<'END';
            server {
                listen 127.0.0.1:%%PORT1%% ssl;
                ssl_certificate     %%PREFIX%%/cert.pem;
                ssl_certificate_key %%PREFIX%%/key.pem;
                location /slow/ws   { ws_bus events; }
                location /slow/echo { ws_bus_echo; }
            }
END
        $nginx->start;
        local ($worker) = $nginx->worker_pids;

        rests('at first');

        subtest 'paused'           => sub { paused(0) };
        subtest 'paused, TLS'      => sub { paused(1) };
        subtest 'blocked'          => sub { blocked(0) };
        subtest 'blocked, TLS'     => sub { blocked(1) };
        subtest 'half closed'      => \&half_closed;
        subtest 'owed after a FIN' => \&owed_after_fin;
        subtest 'closing'          => \&closing;
        subtest 'lingering'        => \&lingering;
        subtest 'publishers'       => \&publishers;

        rests('in the end');
        $nginx->finish;
    };
}

done_testing;
