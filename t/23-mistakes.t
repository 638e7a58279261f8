# SPDX-License-Identifier: BSD-2-Clause
# Each of the usual mistakes is typed, and what comes back says what it is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(http => WSBus::Nginx::minimal())->start;
my $port  = $nginx->port;


sub post {
    my ($body, %head) = @_;
    my $raw = WSBus::Raw->new($port);
    my $res = $raw->post('/publish', $body, %head);
    $raw->close;
    return decode_json($res->{body});
}

sub order {
    return { action => 'created', entity_type => 'order', entity_id => 'o-1',
             @_ };
}


subtest 'a field that no filter has' => sub {
    my $ws = WSBus::Raw->open($port);

    my $got = $ws->ask('{"type":"subscribe","filter":{"entitytype":"order"}}');
    is_deeply($got->{filter}, {}, 'it selects everything');
    is_deeply($got->{ignored}, ['filter.entitytype'], 'and the answer says why');

    $got = $ws->ask('{"type":"subscribe","filter":{"entity_type":"order"},'
                    . '"Since":"first","wheer":[],"id":"7"}');
    is_deeply($got->{ignored}, [qw(Since wheer)], 'beside the filter, too');

    $got = $ws->ask('{"type":"subscribe","filter":{"entity_type":"order",'
                    . '"nothing":null},"where":[],"snapshot":false}');
    ok(!exists $got->{ignored}, 'nothing is said where all is understood');

    my @names = map { sprintf 'n%02d', $_ } 1 .. 60;
    $got = $ws->ask(encode_json({ type => 'subscribe',
        filter => { (map { $_ => 1 } @names), 'x' x 5000 => 1 } }));
    is(scalar @{ $got->{ignored} }, 9, 'what is said is bounded: 8 names');
    is($got->{ignored}[8], '...', 'and that there are more');
    is(scalar(grep { /^filter\.n\d\d$/ } @{ $got->{ignored} }), 8, 'short ones');

    $ws->close;
};


subtest 'action is event_type' => sub {
    my $ws = WSBus::Raw->open($port);

    my $got = $ws->ask('{"type":"subscribe","filter":{"action":"deleted"}}');
    is_deeply($got->{filter}, { event_type => 'deleted' }, 'understood so');
    ok(!exists $got->{ignored}, 'and not ignored');

    post(encode_json([ order(), order(action => 'deleted', entity_id => 2) ]));
    is($ws->read_json->{data}{event}{entity_id}, 2, 'it selects by the action');

    $got = $ws->ask('{"type":"subscribe","filter":{"action":"a",'
                    . '"event_type":"b"}}');
    is($got->{code}, 'bad_filter', 'both, and different');
    like($got->{message}, qr/filter\.action and filter\.event_type differ/,
         'named');

    $ws->close;
};


subtest 'a type that is none' => sub {
    my $ws  = WSBus::Raw->open($port);
    my $got = $ws->ask('{"type":"authenticate","token":"x"}');

    is($got->{code}, 'unknown_type', 'unknown');
    like($got->{message}, qr/`$_`/, "$_ is listed")
        for qw(subscribe unsubscribe ping auth);

    $ws->close;
};


subtest 'a field that no event has' => sub {
    my $ws = WSBus::Raw->open($port);
    $ws->ask('{"type":"subscribe","filter":{}}');

    my $got = post(encode_json(order(payload => { amount => 1 })));
    is($got->{published}, 1, 'it is published');
    is_deeply($got->{ignored}, ['payload'], 'and the answer names it');
    ok(!exists $ws->read_json->{data}{event}{data}, 'which is without data');

    $got = post(encode_json([ map { order(payload => 1, Data => 2) } 1 .. 50 ]));
    is_deeply([ sort @{ $got->{ignored} } ], [qw(Data payload)],
              'in a batch each name comes once');

    $got = post(encode_json(order(map { ("n$_" => 1) } 1 .. 60)));
    is(scalar @{ $got->{ignored} }, 9, 'what is said is bounded');

    $got = post(encode_json({ id => 'x', from => 'me', event => order(id => 1) }));
    is_deeply([ sort @{ $got->{ignored} } ], [qw(event.id from)],
              'in an envelope');

    $got = post(encode_json(order(data => { payload => 1 }, old => { x => 1 })));
    ok(!exists $got->{ignored}, 'what stands in data is not looked at');

    my $text = encode_json(order(payload => 1));
    my @again = map { post($text, 'Idempotency-Key' => 'k') } 1, 2;
    is_deeply($again[1], $again[0], 'said again with a repeated request');
    is_deeply($again[0]{ignored}, ['payload'], 'the same');

    $ws->close;
};


# what a proxy in between takes out that knows nothing of WebSockets

sub refused {
    my ($what, $status, $lacks, @request) = @_;

    my $raw = WSBus::Raw->new($port);
    my $was = length $nginx->error_log;
    my $res = $raw->handshake(@request);
    $raw->close;

    is($res->{status}, $status, "$what: $status");
    is($res->{headers}{'content-type'}, 'text/plain', 'a text');
    like($res->{body}, qr/the handshake lacks \Q$lacks\E\.\n/, $lacks);
    like($res->{body}, qr/Behind another proxy\? It must pass Upgrade and/,
         'and what to do');

    my @said = grep { /handshake/ } split /\n/, substr $nginx->error_log, $was;
    is(scalar @said, 1, 'one line in the log');
    like($said[0], qr{\[error\].*handshake refused: it lacks \Q$lacks\E, location: "/ws"},
         'as an error, with the reason and the location');
}

subtest 'a handshake that is none' => sub {
    refused('without Upgrade', 400, '"Upgrade: websocket"',
            headers => [ Upgrade => undef ]);
    refused('without Connection', 400, '"Connection: Upgrade"',
            headers => [ Connection => 'keep-alive' ]);
    refused('as nginx passes it on by default', 400,
            'HTTP/1.1, "Upgrade: websocket", "Connection: Upgrade"',
            version => 'HTTP/1.0',
            headers => [ Upgrade => undef, Connection => 'close' ]);
    refused('a page that is opened', 400,
            '"Upgrade: websocket", "Connection: Upgrade", '
            . 'a valid "Sec-WebSocket-Key"', headers => [
                Upgrade => undef, Connection => undef,
                'Sec-WebSocket-Key' => undef,
                'Sec-WebSocket-Version' => undef ]);
    refused('a wrong key', 400, 'a valid "Sec-WebSocket-Key"',
            headers => [ 'Sec-WebSocket-Key' => 'x' ]);
    refused('two versions', 400, 'its headers once each', headers => [
            'Sec-WebSocket-Version' => 8, 'Sec-WebSocket-Version' => 13 ]);
    refused('a body', 400, 'an empty body', after => 'hello',
            headers => [ 'Content-Length' => 5 ]);
    refused('another version', 426, '"Sec-WebSocket-Version: 13"',
            headers => [ 'Sec-WebSocket-Version' => 8 ]);
};


$nginx->finish;
done_testing;
