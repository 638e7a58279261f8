# SPDX-License-Identifier: BSD-2-Clause
# The upgrade among other modules of nginx, and at the end of a worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(workers => 2, http => <<'END');
    ws_bus_zone zone=events:8m;
    ws_bus_drain_window 1s;

    limit_req_zone $server_port zone=often:1m rate=10r/s;
    limit_req_zone $server_port zone=rare:1m  rate=60r/m;

    server {
        listen 127.0.0.1:%%PORT1%%;
        location / { return 200 "fast"; }
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        mirror /mirror;
        location = /mirror {
            internal;
            access_log %%PREFIX%%/mirror.log;
            log_subrequest on;
            proxy_pass http://127.0.0.1:%%PORT1%%;
        }

        location /ws      { ws_bus events; }
        location /publish { ws_bus_publish events; }
        location /status  { ws_bus_status; }
        location /hello   { return 200 "hello"; }

        location /file {
            alias %%PREFIX%%/html/large;
        }

        location = /allow { internal; return 204; }
        location = /deny  { internal; return 403; }
        location = /proxied { internal; proxy_pass http://127.0.0.1:%%PORT1%%; }

        location /auth/ok      { auth_request /allow;   ws_bus events; }
        location /auth/denied  { auth_request /deny;    ws_bus events; }
        location /auth/proxied { auth_request /proxied; ws_bus events; }

        location /any/ok {
            satisfy any;
            deny all;
            auth_request /proxied;
            ws_bus events;
        }
        location /any/denied {
            satisfy any;
            deny all;
            auth_request /deny;
            ws_bus events;
        }
        location /any/peer {
            satisfy any;
            allow 127.0.0.1;
            deny all;
            auth_request /deny;
            ws_bus events;
        }

        location /delay { limit_req zone=often burst=20; ws_bus events; }
        location /gzip  { gzip on; gzip_types *; ws_bus events; }
        location /head  { add_header X-Own yes always; ws_bus events; }
        location /sent  { limit_rate 10k; sendfile on; ws_bus events; }
        location /try   { try_files /none /ws; }
        location /rewrite { rewrite ^ /ws last; }
        location /deep  { error_page 418 = @named; return 418; }
        location @named { ws_bus events; }
    }

    server {
        listen 127.0.0.1:%%PORT2%% ssl;
        ssl_certificate     %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        mirror /mirror;
        location = /mirror { internal; proxy_pass http://127.0.0.1:%%PORT1%%; }
        location = /allow  { internal; proxy_pass http://127.0.0.1:%%PORT1%%; }
        location /ws { auth_request /allow; ws_bus events; }
        location /hello { return 200 "hello"; }
    }

    server {
        listen 127.0.0.1:%%PORT3%%;
        location /rare { limit_req zone=rare burst=20; ws_bus events; }
    }
END

$nginx->certificate;
$nginx->write_file('html/large', 'L' x 200_000);
$nginx->start;

my $PING = WSBus::Raw::frame(1, '{"type":"ping"}');


# upgraded, greets, talks, and gets events

sub works {
    my ($what, %o) = @_;

    subtest $what => sub {
        my $raw = WSBus::Raw->new($o{port} // $nginx->port, ssl => $o{ssl});
        my $res = $raw->handshake(%o);

        is($res->{status}, 101, 'upgraded') or return;
        is($raw->read_json->{type}, 'welcome', 'welcome');
        ok($raw->alive, 'talks');

        $raw->send_text('{"type":"subscribe","filter":{}}');
        is($raw->read_json->{type}, 'subscribed', 'subscribes');

        WSBus::Raw->new($nginx->port)->post('/publish',
            '{"action":"created","entity_type":"a","entity_id":"b","data":{}}');
        is($raw->read_json->{type}, 'event', 'gets events');

        $raw->send_frame(8, WSBus::Raw::close_payload(1000));
        is($raw->read_close, 1000, 'closes');
        is($raw->read_end, 'eof', 'ends');
    };
}

sub refused {
    my ($what, $status, %o) = @_;
    is(WSBus::Raw->new($nginx->port)->handshake(%o)->{status}, $status, $what);
}


works('a mirror of the server');
ok(WSBus::Nginx::await(
       sub { WSBus::Nginx::slurp($nginx->file('mirror.log')) =~ m{ 200 } }),
   'the mirror was asked');

works('auth_request that allows', path => '/auth/ok');
works('auth_request over a proxy', path => '/auth/proxied');
refused('auth_request that denies', 403, path => '/auth/denied');

works('satisfy any, by auth_request', path => '/any/ok');
works('satisfy any, by address', path => '/any/peer');
refused('satisfy any, by none', 403, path => '/any/denied');

works('gzip', path => '/gzip');
works('add_header', path => '/head');
works('limit_rate', path => '/sent');
works('try_files', path => '/try');
works('rewrite', path => '/rewrite');
works('a named location', path => '/deep');

works('TLS with mirror and auth_request', port => $nginx->port(2), ssl => 1);
works('frames behind the request over TLS', port => $nginx->port(2), ssl => 1,
      after => WSBus::Raw::frame(9, 'early'));


subtest 'limit_req with a delay' => sub {
    my @raw = map { WSBus::Raw->new($nginx->port) } 1 .. 5;

    $_->write(WSBus::Raw::request(path => '/delay', after => $PING)) for @raw;

    for my $raw (@raw) {
        is($raw->response->{status}, 101, 'upgraded');
        is($raw->read_json->{type}, 'welcome', 'welcome');
        is($raw->read_json->{type}, 'pong', 'the frame that came early');
    }
};


subtest 'a client that leaves during the delay' => sub {
    my $first = WSBus::Raw->new($nginx->port(3));
    is($first->handshake(path => '/rare')->{status}, 101, 'the first');

    # so many that one is, however long the first took
    my $from = length $nginx->error_log;
    my @raw  = map { WSBus::Raw->new($nginx->port(3)) } 1 .. 5;

    $_->write(WSBus::Raw::request(path => '/rare', after => $PING)) for @raw;
    ok($nginx->await_log(qr/delaying request/, $from), 'is delayed');
    $_->vanish for @raw;

    ok($first->alive, 'the first lives');
};


subtest 'requests before the handshake on the same connection' => sub {
    my $get = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

    my $raw = WSBus::Raw->new($nginx->port);
    $raw->write($get);
    is($raw->response->{body}, 'hello', 'a GET');
    is($raw->handshake->{status}, 101, 'then the handshake');
    is($raw->read_json->{type}, 'welcome', 'welcome');
    ok($raw->alive, 'talks');

    $raw = WSBus::Raw->new($nginx->port);
    my $res = $raw->handshake(before => $get, after => $PING);
    is($res->{body}, 'hello', 'a GET in the same segment');
    is($raw->response->{status}, 101, 'then the handshake');
    is($raw->read_json->{type}, 'welcome', 'welcome');
    is($raw->read_json->{type}, 'pong', 'the frame behind it');

    $raw = WSBus::Raw->new($nginx->port);
    $raw->handshake(before => $get x 5, after => $PING);
    is($raw->response->{body}, 'hello', 'more GETs') for 2 .. 5;
    is($raw->response->{status}, 101, 'then the handshake');
    is($raw->read_json->{type}, 'welcome', 'welcome');
    is($raw->read_json->{type}, 'pong', 'the frame behind it');

    $raw = WSBus::Raw->new($nginx->port);
    $res = $raw->handshake(
        before => "GET /file HTTP/1.1\r\nHost: a\r\n\r\n", after => $PING);
    is(length $res->{body}, 200_000, 'a large file in the same segment');
    is($raw->response->{status}, 101, 'then the handshake');
    is($raw->read_json->{type}, 'welcome', 'welcome');
    is($raw->read_json->{type}, 'pong', 'the frame behind it');

    my $event = '{"action":"created","entity_type":"a","entity_id":"b"}';
    $raw = WSBus::Raw->new($nginx->port);
    $res = $raw->handshake(
        before => "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: "
                  . "application/json\r\nContent-Length: " . length($event)
                  . "\r\n\r\n$event", after => $PING);
    is($res->{status}, 200, 'a publish in the same segment');
    is($raw->response->{status}, 101, 'then the handshake');
    is($raw->read_json->{type}, 'welcome', 'welcome');
    is($raw->read_json->{type}, 'pong', 'the frame behind it');

    $raw = WSBus::Raw->new($nginx->port(2), ssl => 1);
    $res = $raw->handshake(before => $get, after => $PING);
    is($res->{body}, 'hello', 'a GET over TLS');
    is($raw->response->{status}, 101, 'then the handshake');
    is($raw->read_json->{type}, 'welcome', 'welcome');
    is($raw->read_json->{type}, 'pong', 'the frame behind it');
};


subtest 'headers in large buffers' => sub {
    my $cookie = 'c=' . 'x' x 3000;

    for my $how (
        [ 'a cookie of 3 KB', headers => [ Cookie => $cookie ] ],
        [ 'two of them', headers => [ Cookie => $cookie, 'X-More' => $cookie ] ],
        [ 'arguments of 3 KB', path => '/ws?' . 'a' x 3000 ],
        [ 'all of it', path => '/ws?' . 'a' x 3000,
          headers => [ Cookie => $cookie, 'X-More' => $cookie ] ],
    ) {
        my ($what, @o) = @$how;

        works($what, @o);

        my $raw = WSBus::Raw->new($nginx->port);
        is($raw->handshake(@o, after => $PING x 20)->{status}, 101,
           "$what, and frames behind it");
        is($raw->read_json->{type}, 'welcome', 'welcome');
        my $n = 0;
        $n++ while $n < 20 && $raw->read_json->{type} eq 'pong';
        is($n, 20, 'all are answered');
    }

    my $bytes = WSBus::Raw::request(headers => [ Cookie => $cookie ]) . $PING;
    my $raw   = WSBus::Raw->new($nginx->port);
    $raw->write($_) for $bytes =~ /(.{1,100})/gs;
    is($raw->response->{status}, 101, 'in many segments');
    is($raw->read_json->{type}, 'welcome', 'welcome');
    is($raw->read_json->{type}, 'pong', 'the frame behind it');
};


# the handshake waits in limit_req while its worker is told to go

sub held {
    my ($n) = @_;

    my $port  = $nginx->port(3);
    my $from  = length $nginx->error_log;
    my $first = WSBus::Raw->new($port);

    $first->handshake(path => '/rare');

    my @raw = map { WSBus::Raw->new($port) } 1 .. $n;
    $_->write(WSBus::Raw::request(path => '/rare', after => $PING)) for @raw;

    WSBus::Nginx::await(sub {
        my $n = () = substr($nginx->error_log, $from) =~ /delaying request/g;
        return $n >= @raw;
    }) or diag('the handshakes are not held');

    return ($first, @raw);
}

sub ends_well {
    my ($raw, $what) = @_;

    my $res = $raw->response(timeout => 15);

    if ($res->{status} == 101) {
        like($raw->read_close(15), qr/^(?:1001|1012)$/, "$what: told to go");
        $raw->send_frame(8, WSBus::Raw::close_payload(1001));
        is($raw->read_end(15), 'eof', "$what: ends");
    } else {
        is($res->{status}, 503, "$what: refused")
            or diag("state $raw->{state}, $res->{line}");
    }
}

subtest 'a handshake that ends in a worker that drains' => sub {
    my ($first, @raw) = held(2);

    ok($nginx->reload, 'reload');
    ends_well($_, 'held') for @raw;

    is($first->read_close(20), 1012, 'one that was open is told 1012');
    $first->send_frame(8, WSBus::Raw::close_payload(1012));
    is($first->read_end(15), 'eof', 'and ends');

    works('the new workers serve');

    ok(WSBus::Nginx::await(sub { !$nginx->draining_pids }, 20),
       'the old workers are gone');
};

subtest 'a handshake that ends in a worker that quits' => sub {
    my ($first, @raw) = held(2);

    $nginx->quit;
    ends_well($_, 'held') for @raw;

    is($first->read_close(20), 1001, 'one that was open is told 1001');
    $first->send_frame(8, WSBus::Raw::close_payload(1001));
    is($first->read_end(15), 'eof', 'and ends');

    ok(WSBus::Nginx::await(sub { !$nginx->running }, 20), 'nginx has ended');
    is($nginx->{exit}, 0, 'in good order');
};


$nginx->finish;
done_testing;
