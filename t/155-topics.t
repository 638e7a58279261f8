# SPDX-License-Identifier: BSD-2-Clause
# The action protocol with topics: clients subscribe to topics, and speak to
# those who have.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
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
        server {
            listen 127.0.0.1:%%PORT%%;
            ws_bus_protocol action;
            ws_bus_action_topics on;

            location = /ws     { ws_bus events; }
            location = /tenant { ws_bus events; ws_bus_tenant \$arg_t; }
            location = /few    { ws_bus events; ws_bus_max_subscriptions 2; }
            location = /hooked { ws_bus events; ws_bus_hook before_create /hook;
                                 ws_bus_hook before_subscribe /hook2; }
            location = /plain  { ws_bus events; ws_bus_action_topics off; }
            location = /bus    { ws_bus events; ws_bus_protocol bus; }
            location = /publish { ws_bus_publish events; }
            location = /status  { ws_bus_status; }
            location ~ ^/(hook2?)\$ {
                internal;
                proxy_set_header X-Reply \$1;
                proxy_pass http://127.0.0.1:$reply;
            }
        }
END
}

my $nginx;

sub open_ws {
    return WSBus::Raw->open($nginx->port, no_welcome => 1, path => $_[0] // '/ws');
}

sub text { my $frame = $_[0]->read_frame or return; return $frame->{payload} }

my $PONG = '{"type":"pong"}';

# what it has been sent by now
sub all {
    my ($ws) = @_;
    my @text;
    $ws->send_text('{"type":"ping"}');
    while (defined(my $text = text($ws))) {
        return @text if $text eq $PONG;
        push @text, $text;
    }
    return 'closed';
}

sub topics {
    my ($ws, $type, @topics) = @_;
    $ws->send_text(encode_json({ type => $type, topics => \@topics }));
    my @answer = all($ws);
    is("@answer", '', "$type @topics: is not confirmed");
    return;
}

sub command {
    my ($ws, $topic, $action) = @_;
    $ws->send_text('{"type":"command","action":' . $action
                   . (defined $topic ? ",\"topic\":\"$topic\"" : '') . '}');
    return;
}

sub event { return qq({"type":"event","action":$_[1],"topic":"$_[0]"}) }

sub publish {
    my $res = WSBus::Raw->new($nginx->port)->post('/publish', $_[0]);
    return $res->{status};
}

for my $workers (1, 2) {
    $nginx = WSBus::Nginx->new(workers => $workers, fixed_workers => 1, http => http())->start;
    subtest "$workers workers" => \&topics_of;
    is($nginx->stop('QUIT'), 'clean', 'it stops');
}

done_testing;


sub topics_of {
    my ($ann, $bob, $eve) = map { open_ws() } 1 .. 3;

    topics($ann, subscribe => 'a', 'b');
    topics($bob, subscribe => 'a');
    topics($bob, subscribe => 'a', 'a');

    my $said = '{"Said":{"n":9007199254740993,"f":1.0,"s":"\u00e9"}}';
    command($eve, a => $said);
    my $heard = event(a => $said);
    is(text($_), $heard, 'who has subscribed hears it') for $ann, $bob;
    is_deeply([ all($bob) ], [], 'once');
    is_deeply([ all($eve) ], [], 'who has not does not, and no answer comes');

    command($ann, b => '"Ping"');
    is(text($ann), event(b => '"Ping"'), 'the sender hears what it has subscribed to');
    is_deeply([ all($bob) ], [], 'the others do not');

    command($ann, undef, '"Lost"');
    is_deeply([ map { all($_) } $ann, $bob, $eve ], [], 'without a topic it is nobody\'s');

    topics($ann, unsubscribe => 'a', 'none');
    command($eve, a => '"Again"');
    is(text($bob), event(a => '"Again"'), 'who is left hears it');
    is_deeply([ all($ann) ], [], 'who has left does not');
    topics($ann, unsubscribe => 'a');

    is(publish('{"topic":"a","action":{"Told":{"x":1}}}'), 200,
       'the backend publishes to a topic');
    is(text($bob), event(a => '{"Told":{"x":1}}'), 'as clients do');
    is(publish($_), 422, "$_ is no action")
        for '{"topic":"","action":"A"}', '{"topic":"a","action":1}', '{"topic":1,"action":"A"}';
    topics($eve, subscribe => 'default');
    is(publish('{"Told":{"x":2}}'), 200, 'a bare action');
    is(text($eve), event(default => '{"Told":{"x":2}}'), 'is of the topic "default"');

    my $bus = WSBus::Client->new($nginx)->open('/bus');
    $bus->subscribe({ kind => 'action', entity_type => 'b' });
    command($bob, b => '{"Seen":{"y":1}}');
    is_deeply($bus->wait_type('event')->{data}{event},
              { kind => 'action', entity_type => 'b', action => 'Seen', data => { y => 1 } },
              'in the bus protocol the topic is the entity_type');

    my $plain = open_ws('/plain');
    is_deeply([ all($plain) ], [], 'a client without topics');
    command($bob, b => '"All"');
    is(text($plain), '{"type":"event","action":"All"}', 'hears all of them');

    my @t = map { my $ws = open_ws("/tenant?t=$_"); topics($ws, subscribe => 'a'); $ws } 1, 2;
    command($t[0], a => '"Mine"');
    is(text($t[0]), event(a => '"Mine"'), 'a tenant speaks to itself');
    is_deeply([ all($t[1]), grep { /Mine/ } all($bob) ], [], 'and to no other');

    for (['{"type":"subscribe","topics":"a"}', qr/topics must be an array of 1 to 128 strings/],
         ['{"type":"subscribe","topics":[""]}', qr/a topic has 1 to 256 bytes/],
         ['{"type":"command","topic":"a","action":{}}', qr/an action is a string/],
         ['{"type":"command","topic":"a","action":"' . 'x' x 300 . '"}', qr/longer than 256 bytes/])
    {
        my ($message, $re) = @$_;
        $eve->send_text($message);
        my $got = decode_json(text($eve));
        is($got->{type}, 'error', substr $message, 0, 60);
        like($got->{message}, qr/\AInvalid action format: .*$re/, 'and why');
    }

    my $few = open_ws('/few');
    topics($few, subscribe => 'a', 'b');
    topics($few, subscribe => 'b', 'a');
    $few->send_text('{"type":"subscribe","topics":["c"]}');
    like(text($few), qr/"type":"error","message":"Too many subscriptions/, 'more than it may');
    topics($few, unsubscribe => 'b');
    topics($few, subscribe => 'c');

    my $hooked = open_ws('/hooked');
    $backend->leave('hook2', WSBus::Backend::bytes(204, ''));
    topics($hooked, subscribe => 'h');
    $backend->leave('hook', WSBus::Backend::bytes(403, '{"message":"not you"}'));
    command($hooked, h => '"No"');
    is(text($hooked), '{"type":"error","message":"not you"}', 'a hook refuses it');
    $backend->leave('hook', WSBus::Backend::bytes(200, '{"data":{"Changed":{"z":1}}}'));
    command($hooked, h => '"Yes"');
    is(text($hooked), event(h => '{"Changed":{"z":1}}'), 'or changes it');

    $backend->leave('hook', WSBus::Backend::bytes(204, ''));
    $backend->leave('hook2', WSBus::Backend::bytes(200,
        '{"filters":[{"column":"k","operator":"eq","value":"1"}]}'));
    topics($hooked, subscribe => 'f');
    topics($hooked, subscribe => 'f');
    command($hooked, f => '{"No":{"k":"2"}}');
    command($hooked, f => '{"Yes":{"k":"1"}}');
    is(text($hooked), event(f => '{"Yes":{"k":"1"}}'), 'a hook adds conditions');
    is_deeply([ all($hooked) ], [], 'and it is told once');
    topics($hooked, unsubscribe => 'f');
    command($hooked, f => '{"Yes":{"k":"1"}}');
    is_deeply([ all($hooked) ], [], 'a topic with conditions can be left');

    my $status = WSBus::Client->new($nginx)->status->{zones}[0];
    ok((grep { encode_json($_->{filter}) eq '{"topics":["a"]}' } @{ $status->{filters} }),
       'the status page names topics');
    return;
}
