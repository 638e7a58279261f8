# SPDX-License-Identifier: BSD-2-Clause
# Our locations with "if", "limit_except" and nested locations.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(workers => 1, http => <<'END')->start;
    ws_bus_zone zone=events:2m;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /ws {
            ws_bus events;
            if ($arg_x) { set $y 1; }

            location /ws/echo { ws_bus_echo; }
        }

        location /publish {
            ws_bus_publish events;
            if ($arg_x) { set $y 1; }
        }

        location /status {
            ws_bus_status;
            if ($arg_x) { set $y 1; }
        }
    }
END

my $event = '{"action":"created","entity_type":"a","entity_id":"1"}';

for my $args ('', '?x=1') {
    my $raw = WSBus::Raw->new($nginx->port);

    is($raw->handshake(path => "/ws$args")->{status}, 101, "/ws$args: 101");
    is($raw->read_json->{type}, 'welcome', 'not an echo');

    $raw->send_text('{"type":"subscribe","filter":{}}');
    is($raw->read_json->{type}, 'subscribed', 'subscribed');

    my $res = WSBus::Raw->new($nginx->port)->post("/publish$args", $event);
    is($res->{status}, 200, "/publish$args: 200");
    is($raw->read_json->{type}, 'event', 'the event comes');

    my $get = WSBus::Raw->new($nginx->port);
    $get->write("GET /status$args HTTP/1.1\r\nHost: a\r\n"
                . "Connection: close\r\n\r\n");
    is($get->response->{status}, 200, "/status$args: 200");
}

my $echo = WSBus::Raw->new($nginx->port);
is($echo->handshake(path => '/ws/echo')->{status}, 101, 'an echo within');
$echo->send_text('{"a":1}');
is_deeply($echo->read_json, { a => 1 }, 'it echoes');

for my $other ('ws_bus_echo; proxy_pass http://127.0.0.1:9;',
               'proxy_pass http://127.0.0.1:9; ws_bus_echo;')
{
    my ($rc, $out) = WSBus::Nginx->test_config(
        http => "server { listen 127.0.0.1:%%PORT%%; location / { $other } }");

    isnt($rc, 0, "refused: $other");
    like($out, qr/location of its own/, 'says what to do');
}

my ($rc, $out) = WSBus::Nginx->test_config(
    http => 'ws_bus_zone zone=a:1m zone=b:2m;');

isnt($rc, 0, 'two zones in a directive: refused');
like($out, qr/write a directive for each/, 'says what to do');

($rc, $out) = WSBus::Nginx->test_config(http => 'ws_bus_on_gap maybe;');

isnt($rc, 0, 'ws_bus_on_gap maybe: refused');
like($out, qr/expected "notify" or "close"/, 'says what to write');

$nginx->finish;
done_testing();
