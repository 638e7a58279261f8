# SPDX-License-Identifier: BSD-2-Clause
# Mutations that nobody could tell: subscribers are told a gap, and who has
# nothing to do with them is not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use Time::HiRes qw(sleep);

use WSBus::Backend;
use WSBus::Client;
use WSBus::Nginx;
use WSBus::Raw;
use WSBus::Stream;

my $backend = WSBus::Backend->start;
my $odd     = "127.0.0.1:" . $backend->raw;

my $nginx = WSBus::Nginx->new(
    workers       => 2,
    fixed_workers => 1,
    http          => <<"END")->start;
    ws_bus_zone zone=events:4m;
    proxy_ignore_client_abort off;

    map \$arg_t \$tenant { default \$arg_t; "" none; }

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Worker \$pid always;

        location = /ws      { ws_bus events; }
        location = /wst     { ws_bus events; ws_bus_tenant \$tenant; }
        location = /closes  { ws_bus events; ws_bus_on_gap close; }
        location = /action  { ws_bus events; ws_bus_protocol action; }
        location = /sse     { ws_bus_events events; }
        location = /status  { ws_bus_status; }
        location = /publish { ws_bus_publish events; }
        location = /wsc     { ws_bus events; ws_bus_backend /backend;
                              ws_bus_call_timeout 1s; }
        location /backend   { internal; proxy_pass http://$odd; }
        location /api/      { proxy_pass http://$odd; ws_bus_capture events;
                              ws_bus_capture_id \$arg_id; }
        location /quick/    { proxy_pass http://$odd; ws_bus_capture events;
                              proxy_read_timeout 1s; }
        location /paged/    { proxy_pass http://$odd; ws_bus_capture events;
                              proxy_read_timeout 1s; error_page 504 /50x.html; }
        location = /50x.html { return 504 "later"; }
        location /t/        { proxy_pass http://$odd; ws_bus_capture events;
                              ws_bus_tenant \$tenant; }
    }
END

my $c = WSBus::Client->new($nginx);
my $n = 0;

sub aware {
    my ($path, @filters) = @_;
    my $ws = $c->open($path);
    $ws->subscribe($_, since => 'now') for @filters;
    $ws->sync if $path ne '/wst?t=a' && $path ne '/wst?t=b';     # its marker
    return $ws;
}

sub request {
    my ($method, $uri, $name) = @_;
    my $body = $method eq 'DELETE' ? '' : '{}';
    return "$method $uri HTTP/1.1\r\nHost: x\r\nX-Reply: $name\r\n"
         . "Content-Length: " . length($body) . "\r\n\r\n$body";
}

# a mutation whose client leaves while the backend is at work

sub leaves {
    my ($uri) = @_;
    my $name = 'r' . ++$n;
    my $raw  = WSBus::Raw->new($nginx->port);
    $backend->leave($name, $WSBus::Backend::HOLD . WSBus::Backend::bytes(200, '{}'));
    $raw->write(request(POST => $uri, $name));
    ok(WSBus::Nginx::await(sub { $backend->got($name) }), 'the backend has it');
    $raw->close;
    return $name;
}

# what came before the events that all of them get; a resync takes a moment

sub resyncs { return $c->status->{zones}[0]{resyncs} }

sub until_resync {
    my ($was) = @_;
    return ok(WSBus::Nginx::await(sub { resyncs() > $was }), 'it is told');
}

sub told {
    my ($ws, $tenant) = @_;
    my @got;

    if (!defined $tenant) {
        @got = $ws->sync;

    } else {
        $c->publish({ action => 'updated', entity_type => 'mark', entity_id => 'm',
                      tenant => $tenant });
        while (my $got = $ws->next) {
            last if ($got->{data}{event}{entity_type} // '') eq 'mark';
            push @got, $got;
        }
    }

    return map { $_->{type} eq 'event' ? $_->{data}{event}{entity_id}
               : $_->{type} eq 'gap'   ? "gap $_->{subscription_id} $_->{reason}"
               : $_->{code} // $_->{type} }
           grep { $_->{type} ne 'position' } @got;
}


subtest 'a client that leaves' => sub {
    my %ws = (
        type   => aware('/ws', { entity_type => 'x' }),
        all    => aware('/ws', {}),
        id     => aware('/ws', { entity_type => 'x', entity_id => '7' }),
        many   => aware('/ws', { entity_type => [ 'x', 'y' ] }, { kind => 'link' },
                        { entity_type => 'x', event_type => 'deleted' }),
        other  => aware('/ws', { entity_type => 'z' }),
        tenant => aware('/wst?t=a', {}),
    );
    my $plain = $c->open('/ws');
    $plain->subscribe({ entity_type => 'x' });
    $plain->sync;
    my $stream = WSBus::Stream->open($nginx->port, '/sse?entity_type=x');

    my $was = resyncs();
    $c->publish({ action => 'updated', entity_type => 'x', entity_id => 7, data => {} });
    leaves('/api/x');
    until_resync($was);
    $c->publish({ action => 'updated', entity_type => 'x', entity_id => 7, data => {} });

    my $sub = 'gap sub_1 unknown';
    is_deeply([ told($ws{type}) ], [ 7, $sub, 7 ], 'its type, in its place');
    is_deeply([ told($ws{all}) ], [ 7, $sub, 7 ], 'whoever takes everything');
    is_deeply([ told($ws{id}) ], [ 7, $sub, 7 ], 'a row of the type');
    is_deeply([ told($ws{many}) ], [ 7, $sub, 'gap sub_3 unknown', 7 ],
              'those subscriptions that it may concern');
    is_deeply([ told($ws{other}) ], [], 'not another type');
    is_deeply([ told($ws{tenant}, 'a') ], [], 'nor another tenant');
    is_deeply([ told($plain) ], [ 7, 'gap', 7 ], 'one that knows no gap, as an error');
    is_deeply([ map { $stream->next->{event} } 1 .. 4 ],
              [qw(subscribed event gap event)], 'a stream');
    $_->finish for values %ws, $plain;
};


subtest 'who comes later' => sub {
    my $ws = aware('/ws', { entity_type => 'x' });
    my $since = $c->status->{zones}[0]{last_id};
    my $was = resyncs();
    leaves('/api/x');
    until_resync($was);
    is_deeply([ told($ws) ], [ 'gap sub_1 unknown' ], 'is told');

    my $late = $c->open('/ws');
    $late->sync;
    $late->subscribe({ entity_type => 'x' }, since => $since);
    is_deeply([ told($late) ], [ 'gap sub_2 unknown' ], 'by since, too');
    $late->subscribe({ entity_type => 'x' }, since => 'now');
    is_deeply([ told($late) ], [], 'but not behind it');
    $_->finish for $ws, $late;
};


subtest 'how it ends' => sub {
    my $ws = aware('/ws', { entity_type => 'x' });
    my $ask = sub {
        my ($uri, $bytes, $method) = @_;
        my $name = 'r' . ++$n;
        $backend->leave($name, $bytes);
        return ($c->request($method // 'POST', $uri, '{}', 'X-Reply' => $name))[0];
    };
    my $is = sub {
        my ($what, $want, @ask) = @_;
        my $was = resyncs();
        $ask->(@ask);
        until_resync($was) if $want;
        is_deeply([ grep { $_ =~ /gap/ } told($ws) ],
                  [ $want ? 'gap sub_1 unknown' : () ], $what);
    };

    my $ok = WSBus::Backend::bytes(200, '{"id":1}');

    $is->('no answer in time', 1, '/quick/x', $WSBus::Backend::HOLD);
    $is->('with a page for it', 1, '/paged/x', $WSBus::Backend::HOLD);
    $is->('a gateway that gave up', 1, '/api/x', WSBus::Backend::bytes(504, '{}'));
    $is->('broken off before its status', 1, '/api/x', substr $ok, 0, 5);
    $is->('an id that no event can carry', 1, '/quick/x',
          WSBus::Backend::bytes(200, '{"id":"' . 'x' x 300 . '"}'));
    $is->('a refusal', 0, '/api/x', WSBus::Backend::bytes(422, '{}'));
    $is->('a failure', 0, '/api/x', WSBus::Backend::bytes(500, '{}'));
    $is->('a success', 0, '/api/x', $ok);
    $is->('a read', 0, '/quick/x', $WSBus::Backend::HOLD, 'GET');
    $ws->finish;
    $nginx->allow(qr/no event of a mutation|upstream/);
};


# each worker tells one for all of a moment

subtest 'many at once' => sub {
    my $was = resyncs();
    my @raw = map {
        my $name = 'r' . ++$n;
        $backend->leave($name, $WSBus::Backend::HOLD);
        my $raw = WSBus::Raw->new($nginx->port);
        $raw->write(request(POST => '/quick/x', $name));
        $raw;
    } 1 .. 20;
    is($_->response->{status}, 504, 'no answer in time') for @raw;
    until_resync($was);
    ok(WSBus::Nginx::await(sub { !$c->status->{zones}[0]{mutations_under_way} }),
       'then nothing is');
    cmp_ok(resyncs() - $was, '<', 10, 'they are few');
    $nginx->allow(qr/upstream timed out/);
};


subtest 'tenants' => sub {
    my $a = aware('/wst?t=a', {});
    my $b = aware('/wst?t=b', {});
    my $was = resyncs();
    leaves('/t/x?t=a');
    until_resync($was);
    is_deeply([ told($a, 'a') ], [ 'gap sub_1 unknown' ], 'its own is told');
    is_deeply([ told($b, 'b') ], [], 'another one is not');
    $_->finish for $a, $b;
};


subtest 'other words' => sub {
    my $closes = aware('/closes', { entity_type => 'x' });
    my $action = $c->connect('/action');
    my $caller = aware('/wsc', { entity_type => 'x' });
    my $was = resyncs();
    $backend->leave('none', $WSBus::Backend::HOLD);
    leaves('/api/x');
    until_resync($was);
    is(($closes->wait_close)[0], 1013, 'ws_bus_on_gap close');
    is_deeply([ told($caller) ], [ 'gap sub_1 unknown' ], 'a client that calls');
    $was = resyncs();
    $caller->send({ type => 'request', id => 'q', operation => 'create',
                    entity_type => 'x', data => { a => 1 } });
    my $got = $caller->wait_type('response');
    ok(!$got->{success}, 'a call without an answer');
    until_resync($was);
    is_deeply([ told($caller) ], [ 'gap sub_1 unknown' ], 'and what it may have done');
    $caller->finish;
};


# the worker that has the request dies: of it nobody knows anything any more

subtest 'a worker that dies' => sub {
    my $name = 'r' . ++$n;
    my $raw  = WSBus::Raw->new($nginx->port);
    $backend->leave($name, WSBus::Backend::bytes(422, '{}'));
    $raw->write(request(POST => '/api/x', $name));
    my $pid = $raw->response->{headers}{'x-worker'};

    my @ws;
    while (@ws < 1) {
        my $ws = WSBus::Raw->new($nginx->port);
        my $res = $ws->handshake;
        next if $res->{headers}{'x-worker'} == $pid;
        $ws->read_json;
        push @ws, $ws;
    }
    my $ws = $ws[0];
    $ws->send_text('{"type":"subscribe","filter":{"entity_type":"other"},"since":"now"}');
    is($ws->read_json->{type}, 'subscribed', 'of another worker');

    my $was = resyncs();
    is($c->status->{zones}[0]{mutations_under_way}, 0, 'nothing is under way');

    $name = 'r' . ++$n;
    $backend->leave($name, $WSBus::Backend::HOLD);
    $raw->write(request(POST => '/api/x', $name));
    ok(WSBus::Nginx::await(sub { $backend->got($name) }), 'the backend has it');
    is($c->status->{zones}[0]{mutations_under_way}, 1, 'one is under way');

    $nginx->kill_worker($pid);
    my $got = $ws->read_json;
    is($got->{type}, 'gap', 'everybody is told');
    is($got->{reason}, 'unknown', 'why');
    until_resync($was);
    is($c->status->{zones}[0]{mutations_under_way}, 0, 'nothing is under way');
};


$nginx->stop('QUIT');
done_testing();
