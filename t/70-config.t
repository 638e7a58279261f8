# SPDX-License-Identifier: BSD-2-Clause
# nginx -t refuses what is wrong with a sentence that says what to write.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Nginx;

my $ZONE = 'ws_bus_zone zone=events:8m;';

# what is wrong, the configuration, what the message has to contain

sub location { return "$ZONE server { listen 127.0.0.1:%%PORT%%; location / { $_[0] } }" }
sub server   { return "$ZONE server { listen 127.0.0.1:%%PORT%%; $_[0] }" }

my @bad = (
    [ 'ws_bus of an unknown zone', location('ws_bus orders;'),
      qr/orders/, qr/ws_bus_zone/ ],
    [ 'ws_bus_publish of an unknown zone', location('ws_bus_publish orders;'),
      qr/orders/, qr/ws_bus_zone/ ],
    [ 'ws_bus without a name', location('ws_bus;'), qr/"ws_bus"/ ],
    [ 'ws_bus of two names', location('ws_bus events events;'), qr/"ws_bus"/ ],
    [ 'ws_bus twice', location('ws_bus events; ws_bus events;'), qr/"ws_bus"/ ],
    [ 'ws_bus_publish twice',
      location('ws_bus_publish events; ws_bus_publish events;'),
      qr/"ws_bus_publish"/ ],
    [ 'ws_bus and ws_bus_publish in one location',
      location('ws_bus events; ws_bus_publish events;'), qr/ws_bus/ ],
    [ 'ws_bus_publish and something else than any',
      location('ws_bus_publish events all;'), qr/ws_bus_publish/, qr/all/,
      qr/any/ ],
    [ 'ws_bus_status and something else than any',
      location('ws_bus_status events;'), qr/ws_bus_status/, qr/any/,
      qr/json/, qr/health/ ],
    [ 'ws_bus_status of two forms', location('ws_bus_status json health;'),
      qr/ws_bus_status/, qr/"health"/ ],
    [ 'ws_bus_status any any', location('ws_bus_status any any;'),
      qr/ws_bus_status/, qr/"any"/ ],

    [ 'a zone without parameters', 'ws_bus_zone;', qr/ws_bus_zone/ ],
    [ 'a zone without zone=', 'ws_bus_zone history=4m;', qr/ws_bus_zone/,
      qr/zone=/ ],
    [ 'a zone without a size', 'ws_bus_zone zone=events;', qr/ws_bus_zone/,
      qr/zone=events/, qr/size|zone=\w+:/ ],
    [ 'a zone with an empty size', 'ws_bus_zone zone=events:;',
      qr/ws_bus_zone/, qr/size|zone=\w+:\d/ ],
    [ 'a zone without a name', 'ws_bus_zone zone=:8m;', qr/ws_bus_zone/,
      qr/name/ ],
    [ 'a zone of a bad size', 'ws_bus_zone zone=events:big;', qr/ws_bus_zone/,
      qr/big/ ],
    [ 'a zone of a negative size', 'ws_bus_zone zone=events:-8m;',
      qr/ws_bus_zone/, qr/-8m/ ],
    [ 'a zone that is too small', 'ws_bus_zone zone=events:8k;',
      qr/ws_bus_zone/, qr/events/, qr/small/, qr/at least|\d+k|\d+m/ ],
    [ 'a bad history', 'ws_bus_zone zone=events:8m history=much;',
      qr/ws_bus_zone/, qr/history/ ],
    [ 'a history as large as the zone',
      'ws_bus_zone zone=events:8m history=8m;', qr/ws_bus_zone/,
      qr/history/ ],
    [ 'a history larger than the zone',
      'ws_bus_zone zone=events:8m history=9m;', qr/ws_bus_zone/,
      qr/history/ ],
    [ 'a history of nothing', 'ws_bus_zone zone=events:8m history=0;',
      qr/ws_bus_zone/, qr/history/ ],
    [ 'an unknown parameter', 'ws_bus_zone zone=events:8m color=red;',
      qr/ws_bus_zone/, qr/color=red/ ],
    [ 'two zones of one name', "$ZONE ws_bus_zone zone=events:4m;",
      qr/ws_bus_zone/, qr/events/ ],
    [ 'the same zone twice', "$ZONE $ZONE", qr/ws_bus_zone/, qr/events/ ],
    [ 'a zone of another module', "limit_req_zone \$uri zone=events:8m rate=1r/s; $ZONE",
      qr/events/ ],
    [ 'a zone in a server', server('ws_bus_zone zone=x:8m;'),
      qr/"ws_bus_zone" directive is not allowed here/ ],
    [ 'ws_bus in a server', server('ws_bus events;'),
      qr/"ws_bus" directive is not allowed here/ ],
    [ 'ws_bus_publish in a server', server('ws_bus_publish events;'),
      qr/"ws_bus_publish" directive is not allowed here/ ],

    [ 'an unknown protocol', location('ws_bus events; ws_bus_protocol mqtt;'),
      qr/ws_bus_protocol/, qr/mqtt/, qr/expected "bus", "tenant", "resource"/ ],
    [ 'a protocol in capitals', location('ws_bus events; ws_bus_protocol BUS;'),
      qr/ws_bus_protocol/, qr/BUS/ ],
    [ 'a protocol twice',
      location('ws_bus events; ws_bus_protocol bus; ws_bus_protocol bus;'),
      qr/ws_bus_protocol/ ],

    [ 'a tenant that is empty', location('ws_bus events; ws_bus_tenant "";'),
      qr/ws_bus_tenant/, qr/"off"/ ],
    [ 'a tenant of 257 bytes',
      location('ws_bus events; ws_bus_tenant ' . 'a' x 257 . ';'),
      qr/ws_bus_tenant/, qr/1 to 256 bytes/ ],

    [ 'a message size that is none',
      location('ws_bus events; ws_bus_max_message_size big;'),
      qr/ws_bus_max_message_size/ ],
    [ 'a negative message size',
      location('ws_bus events; ws_bus_max_message_size -1;'),
      qr/ws_bus_max_message_size/ ],
    [ 'a message size of nothing',
      location('ws_bus events; ws_bus_max_message_size 0;'),
      qr/ws_bus_max_message_size/ ],
    [ 'a message size twice',
      location('ws_bus events; ws_bus_max_message_size 1k; ws_bus_max_message_size 1k;'),
      qr/ws_bus_max_message_size/ ],
    [ 'a message size without a value',
      location('ws_bus events; ws_bus_max_message_size;'),
      qr/ws_bus_max_message_size/ ],
);

my @good = (
    [ 'the minimal configuration', WSBus::Nginx::minimal() ],
    [ 'nothing of ours', 'server { listen 127.0.0.1:%%PORT%%; }' ],
    [ 'a zone alone', $ZONE ],
    [ 'a zone with a history', 'ws_bus_zone zone=events:8m history=4m;' ],
    [ 'the zone after its use', 'server { listen 127.0.0.1:%%PORT%%;'
      . " location / { ws_bus events; } } $ZONE" ],
    [ 'many zones', join ' ', map { "ws_bus_zone zone=z$_:1m;" } 1 .. 20 ],
    [ 'ws_bus_publish any', location('ws_bus_publish events any;') ],
    [ 'ws_bus_status any', location('ws_bus_status any;') ],
    [ 'ws_bus_status health any', location('ws_bus_status health any;') ],
    [ 'ws_bus_status any health', location('ws_bus_status any health;') ],
    [ 'ws_bus_status json any', location('ws_bus_status json any;') ],
    [ 'ws_bus_status without a zone',
      'server { listen 127.0.0.1:%%PORT%%; location / { ws_bus_status; } }' ],
    [ 'the protocol bus', location('ws_bus events; ws_bus_protocol bus;') ],
    [ 'the protocol in http', "ws_bus_protocol bus; $ZONE" ],
    [ 'the protocol in a server', server('ws_bus_protocol bus;') ],
    [ 'a tenant of 256 bytes',
      location('ws_bus events; ws_bus_tenant ' . 'a' x 256 . ';') ],
    [ 'a message size', location('ws_bus events; ws_bus_max_message_size 1m;') ],
    [ 'a message size in http', "ws_bus_max_message_size 1m; $ZONE" ],
    [ 'several locations of one zone', server('location /a { ws_bus events; }'
      . ' location /b { ws_bus events; } location /c { ws_bus_publish events; }') ],
);


for my $row (@bad) {
    my ($what, $http, @re) = @$row;

    subtest $what => sub {
        my ($rc, $out) = WSBus::Nginx->test_config(http => $http);

        is($rc, 1, 'is refused');
        like($out, qr/\[emerg\]/, 'with [emerg]');

        my ($line) = $out =~ /\[emerg\] (.*)/;
        $line //= '';

        like($line, $_, 'says it') for @re;
        like($line, qr{ in \S+/nginx\.conf:\d+\b}, 'says where');
        cmp_ok(scalar(my @words = $line =~ /\w+/g), '>=', 6, 'is a sentence');

        note($line);
    };
}

for my $row (@good) {
    my ($what, $http) = @$row;
    my ($rc, $out) = WSBus::Nginx->test_config(http => $http);

    is($rc, 0, "$what: is accepted") or diag($out);
    unlike($out, qr/\[(?:warn|error|alert|crit)\]/, "$what: without a warning");
}


subtest 'nginx -t beside an nginx that runs' => sub {
    my $nginx = WSBus::Nginx->new(http => WSBus::Nginx::minimal())->start;

    my ($rc, $out) = WSBus::Nginx::run(
        20, WSBus::Nginx::binary(), '-t', '-p', $nginx->prefix . '/',
        '-c', 'nginx.conf', '-e', 'error.log');
    is($rc, 0, 'is accepted') or diag($out);

    require WSBus::Client;
    my $c  = WSBus::Client->new($nginx);
    my $ws = $c->open;
    $ws->subscribe({});
    $c->publish({ action => 'created', entity_type => 'a', entity_id => 'b' });
    is($ws->wait_type('event')->{type}, 'event', 'and disturbs nothing');

    $nginx->finish;
};


done_testing;
