# SPDX-License-Identifier: BSD-2-Clause
# The action protocol, as clients of composable-rust know it: commands go to
# the backend, what it publishes goes to all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json true false);
use Test::More;

use WSBus::Backend;
use WSBus::Client;
use WSBus::Nginx;
use WSBus::Raw;

my $backend = WSBus::Backend->start;
my $reply   = $backend->raw;

sub http {
    return <<"END";
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        ws_bus_zone zone=events:8m;
        ws_bus_zone zone=small:2m history=128k;
        server {
            listen 127.0.0.1:%%PORT%%;
            listen 127.0.0.1:%%PORT1%% ssl;
            ssl_certificate     %%PREFIX%%/cert.pem;
            ssl_certificate_key %%PREFIX%%/key.pem;
            ws_bus_protocol action;

            location = /ws { ws_bus events; ws_bus_backend /commands; }
            location = /none   { ws_bus events; }
            location = /quick  { ws_bus events; ws_bus_backend /reply;
                                 ws_bus_call_timeout 300ms; }
            location = /reply-ws { ws_bus events; ws_bus_backend /reply; }
            location = /tenant { ws_bus events; ws_bus_tenant \$arg_t; }
            location = /small  { ws_bus small; ws_bus_sndbuf 8k;
                                 ws_bus_on_gap notify; }
            location = /bus    { ws_bus events; ws_bus_protocol bus; }
            location = /small/publish { ws_bus_publish small; }
            location = /publish { ws_bus_publish events; }
            location = /status  { ws_bus_status; }
            location = /plain/publish { ws_bus_publish events;
                                        ws_bus_protocol bus; }
            location = /commands {
                internal;
                default_type application/json;
                proxy_set_header X-Reply command;
                proxy_pass http://127.0.0.1:$reply;
                ws_bus_capture events;
            }
            location = /reply {
                internal;
                proxy_set_header X-Reply reply;
                proxy_pass http://127.0.0.1:$reply;
            }
        }
END
}

my ($nginx, $c);

# a client that has nothing to read before it has asked

sub open_ws {
    my ($path, $tls) = @_;
    return WSBus::Raw->open($nginx->port($tls ? 1 : 0), no_welcome => 1,
                            path => $path // '/ws', ssl => $tls);
}

sub text {
    my ($ws) = @_;
    my $frame = $ws->read_frame or return;
    return $frame->{payload};
}

sub publish {
    my ($body, %o) = @_;
    my $http = WSBus::Raw->new($nginx->port);
    my $res  = $http->post($o{path} // '/publish', $body, %{ $o{head} // {} });
    return ($res->{status}, eval { decode_json($res->{body}) });
}

sub pong {
    my ($ws) = @_;
    $ws->send_text('{"type":"ping"}');
    return text($ws);
}

my $PONG = '{"type":"pong"}';


for my $workers (1, 2) {
    for my $tls (0, 1) {
        $nginx = WSBus::Nginx->new(workers => $workers, fixed_workers => 1,
                                   http => http());
        $nginx->certificate;
        $nginx->start;
        $c = WSBus::Client->new($nginx);
        all("$workers workers, " . ($tls ? 'TLS' : 'plain'), $tls);
        $c->close_all;
        $nginx->finish;
    }
}

done_testing;


sub all {
    my ($how, $tls) = @_;

subtest "$how: commands and actions" => sub {
    my ($ann, $bob) = map { open_ws('/ws', $tls) } 1, 2;
    is(pong($ann), $PONG, 'nothing comes before it has asked');
    is(pong($bob), $PONG, 'nor to another');

    # the backend has what was sent, to the byte
    my $action = '{ "PlaceOrder" : {"n":9007199254740993,"f":1.0,"s":"\u00e9"} }';
    $backend->leave('command', WSBus::Backend::bytes(202, ''));
    $ann->send_text(qq({"type":"command","action":$action}));
    is(pong($ann), $PONG, 'a command is not answered');
    WSBus::Nginx::await(sub { $backend->got('command') });
    is($backend->got('command'), 1, 'the backend has it');
    is($backend->body('command'), $action, 'as it was sent');

    # what it publishes goes to all, the sender too
    my @published = ('{"OrderPlaced":{"id":9007199254740993,"total":1.50}}',
                     '"Increment"', '{"Nothing":null}',
                     '{"A":{"b":1,"b":2}}', '{"\u00e9":[]}');
    for my $text (@published) {
        my ($status, $got) = publish($text);
        is($status, 200, $text) or diag(explain($got));
        (my $want = $text) =~ s/\\u00e9/\xc3\xa9/;
        for my $ws ($ann, $bob) {
            is(text($ws), qq({"type":"event","action":$want}), 'is told');
        }
    }

    my ($status, $got) = publish('[{"A":1},"B",{"C":{}}]');
    is($got->{published}, 3, 'a batch');
    is(text($bob), qq({"type":"event","action":$_}), $_)
        for '{"A":1}', '"B"', '{"C":{}}';
    text($ann) for 1 .. 3;

    ($status, $got) = publish("\"A\"\n{\"B\":2}\n",
        head => { 'Content-Type' => 'application/x-ndjson' });
    is($got->{published}, 2, 'lines');
    text($_) for ($ann, $bob) x 2;

    # an event of an entity is not for them
    ($status) = publish('{"action":"created","entity_type":"order",'
                        . '"entity_id":"1"}');
    is($status, 200, 'an event of an entity is taken here, too');
    is(pong($ann), $PONG, 'but not sent');

    # who comes later has missed it
    is(pong(open_ws('/ws', $tls)), $PONG, 'nothing from before');
};


subtest "$how: errors" => sub {
    my $ws = open_ws('/ws', $tls);
    my $says = sub {
        my ($sent, $re, $what) = @_;
        $ws->send_text($sent);
        my $m = eval { decode_json(text($ws)) } // {};
        is(join(' ', sort keys %$m), 'message type', "$what: an error");
        is($m->{type}, 'error', 'its type');
        like($m->{message}, $re, 'its words');
    };

    $says->('{"type":"command"}', qr/^Invalid action format: missing field `a/,
            'no action');
    $says->('{"type":"command","action":{"A":1,"B":2}}',
            qr/^Invalid action format: an action is/, 'two at once');
    $says->('{"type":"command","action":[]}', qr/^Invalid action format/,
            'none');
    $says->('nonsense', qr/^Invalid action format: /, 'no JSON');
    $says->('{"type":"subscribe"}', qr/^Invalid action format: unknown type/,
            'another type');
    $says->('{"type":"command","action":{"A":"\u0000', qr/^Invalid action/,
            'broken');

    $ws->send_text($_) for '{"type":"pong"}', '{"type":"event","action":"A"}',
                           '{"type":"error","message":"x"}';
    $ws->send_frame(WSBus::Raw::BINARY, "\0\1");
    is(pong($ws), $PONG, 'what servers say is not answered, nor binary');

    $ws = open_ws('/reply-ws', $tls);
    for my $try ([ 422, '{"error":"sold out"}', 'sold out' ],
                 [ 400, '{"detail":"no such order"}', 'no such order' ],
                 [ 403, '{}', 'the backend does not allow it' ],
                 [ 500, '{"error":"secret"}', 'the backend has failed' ],
                 [ 404, '', 'there is no such record' ]) {
        my ($status, $body, $message) = @$try;
        $backend->leave('reply', WSBus::Backend::bytes($status, $body));
        $ws->send_text('{"type":"command","action":"Increment"}');
        is_deeply(eval { decode_json(text($ws)) },
                  { type => 'error', message => $message }, "status $status");
    }

    for my $status (200, 201, 204) {
        $backend->leave('reply', WSBus::Backend::bytes($status,
            $status == 204 ? '' : '{"id":"r-1"}'));
        $ws->send_text('{"type":"command","action":"Increment"}');
        WSBus::Nginx::await(sub { $backend->got('reply') });
    }
    is(pong($ws), $PONG, 'a success says nothing, and is no event');

    $ws = open_ws('/quick', $tls);
    $backend->leave('reply', $WSBus::Backend::HOLD
                             . WSBus::Backend::bytes(200, ''));
    $ws->send_text('{"type":"command","action":"Increment"}');
    like(text($ws), qr/"message":"the backend did not answer in time/,
         'no answer in time');
    $backend->go('reply');
    $nginx->allow(qr/a call was not answered in time|it is not known/);

    $ws = open_ws('/none', $tls);
    $ws->send_text('{"type":"command","action":"Increment"}');
    is_deeply(eval { decode_json(text($ws)) }, { type => 'error',
        message => 'This location has no backend' }, 'no backend');
};


subtest "$how: in the bus" => sub {
    my $bus = $c->open('/bus');
    $bus->subscribe({ kind => 'action' });
    my $one = $c->open('/bus');
    $one->subscribe({ kind => 'action', event_type => 'OrderPlaced' });

    publish('"Increment"');
    publish('{"OrderPlaced":{ "n":1.0 }}');

    my $m = $bus->wait_type('event');
    is_deeply($m->{data}{event}, { kind => 'action', action => 'Increment' },
              'a bare name');
    $m = $bus->wait_type('event');
    is_deeply($m->{data}{event}, { kind => 'action', action => 'OrderPlaced',
                                   data => { n => 1 } }, 'one with fields');
    is($one->wait_type('event')->{data}{event}{action}, 'OrderPlaced',
       'a filter by its name');
    is_deeply([ $one->sync ], [], 'and no other');
};


subtest "$how: what is published" => sub {
    my $ws = open_ws('/ws', $tls);
    for my $try ([ '1', 422 ], [ '{}', 422 ], [ 'null', 422 ], [ '""', 422 ],
                 [ '{"":1}', 422 ], [ '"a\u0000"', 422 ], [ '{"A":1', 400 ],
                 [ '{"A":1,"B":2}', 422 ], [ '["A",1]', 422 ],
                 [ '"' . 'x' x 257 . '"', 422 ]) {
        my ($body, $want) = @$try;
        my ($status, $problem) = publish($body);
        is($status, $want, 'the body ' . substr $body, 0, 20);
    }
    is((publish('["A",1]'))[1]{index}, 1, 'which of a batch');
    is((publish('"A"', path => '/plain/publish'))[0], 422,
       'not where the protocol is another one');
    is(pong($ws), $PONG, 'nothing of it is told');

    my @key = (head => { 'Idempotency-Key' => "k-$how" });
    my (undef, $first) = publish('{"Once":1}', @key);
    my (undef, $again) = publish('{"Once":1}', @key);
    is($again->{first_id}, $first->{first_id}, 'a repeat');
    is(text($ws), '{"type":"event","action":{"Once":1}}', 'is told once');
    is(pong($ws), $PONG, 'not twice');
};


subtest "$how: tenants" => sub {
    my ($acme, $globex) = map { open_ws("/tenant?t=$_", $tls) }
                          qw(acme globex);
    my $all = $c->open('/bus');
    my ($status, $got) = publish('{"Told":1}');
    is($status, 200, 'to nobody\'s tenant');
    is(pong($acme), $PONG, 'nobody of a tenant hears it');
    is(pong($globex), $PONG, 'nobody');
};


subtest "$how: who is too slow" => sub {
    my $ws = open_ws('/small', 0);
    my $batch = encode_json([ map { { Big => 'x' x 4000 } } 1 .. 10 ]);
    publish($batch, path => '/small/publish') for 1 .. 200;
    is($ws->read_close, 1013, 'comes again later');
    $nginx->allow(qr/too slow/);
};

}
