# SPDX-License-Identifier: BSD-2-Clause
# The tenant protocol, as a client of EasySale knows it.

use strict;
use warnings;

use Compress::Raw::Zlib;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use Mojo::JSON qw(decode_json encode_json);
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(time);

use WSBus::Client;
use WSBus::EasySale;
use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(workers => 2, fixed_workers => 1,
    http => <<'END');
    ws_bus_zone zone=events:8m;
    ws_bus_zone zone=small:2m history=128k;

    keepalive_requests 1000000;
    client_max_body_size 8m;
    error_log error.log info;
    ws_bus_drain_window 1s;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        listen 127.0.0.1:%%PORT1%% ssl;
        ssl_certificate     %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;

        ws_bus_protocol tenant;

        location = /ws { ws_bus events; }

        location = /fast {
            ws_bus events;
            ws_bus_ping_interval 1s;
            ws_bus_pong_timeout  2s;
        }

        location = /off     { ws_bus events; ws_bus_ping_interval 0; }
        location = /host    { ws_bus events; ws_bus_tenant $http_x_tenant; }
        location = /deflate { ws_bus events; ws_bus_deflate on;
                              ws_bus_deflate_min_length 0; }
        location = /tiny    { ws_bus events; ws_bus_max_message_size 1k; }

        location = /small {
            ws_bus small;
            ws_bus_sndbuf 8k;
            ws_bus_ping_interval 0;
        }

        location = /mirrored {
            ws_bus events;
            mirror /slow;
        }

        location = /slow { internal; proxy_pass http://127.0.0.1:%%PORT2%%; }

        location = /one { ws_bus events;
                          ws_bus_max_subscriptions 1 key=$arg_tenant_id; }

        location /outer { ws_bus events;
            location = /outer/publish { ws_bus_publish events; }
            location = /outer/status  { ws_bus_status; } }

        location = /forced { ws_bus events; ws_bus_restrict owner eq me; }

        location = /variable {
            ws_bus events;
            add_header X-Tenant "[$ws_bus_tenant]" always;
        }

        location = /bus   { ws_bus events; ws_bus_protocol bus; }
        location = /named { ws_bus events; ws_bus_protocol bus;
                            ws_bus_tenant $arg_t; }

        location = /publish       { ws_bus_publish events; }
        location = /small/publish { ws_bus_publish small; }
        location = /status        { ws_bus_status; }
    }
END

$nginx->certificate->start;

my $port = $nginx->port;
my $pub  = WSBus::Raw->new($port);
my $MISSING = 'Missing or invalid tenant_id query parameter';
my $EMPTY   = 'tenant_id cannot be empty';


sub changed {
    my ($tenant, $change) = @_;
    return qq({"ConfigChanged":{"tenant_id":"$tenant","change_type":"$change"}});
}

sub publish {
    my ($tenant, $action, %o) = @_;

    my @event = map { {
        action => $action, entity_type => 'config', entity_id => "c-$_",
        (defined $tenant ? (tenant => $tenant) : ()),
        ($o{size} ? (data => 'x' x $o{size}) : ()),
    } } 1 .. $o{n} // 1;

    my $res = $pub->post($o{path} // '/publish', encode_json(\@event));
    die "publish: $res->{status} $res->{body}\n" if $res->{status} != 200;

    return decode_json($res->{body})->{subscribers};
}

sub open_ws {
    my ($query, %o) = @_;
    return WSBus::Raw->open($o{port} // $port, no_welcome => 1, ssl => $o{ssl},
                            %o, path => ($o{path} // '/ws') . "?$query");
}

# so many texts

sub texts {
    my ($ws, $n) = @_;

    my @got;

    while (@got < $n) {
        my $frame = $ws->read_frame or return (@got, $ws->{state});
        push @got, $frame->{payload};
    }

    return @got;
}

# those before a deletion that is published now

sub texts_before {
    my ($ws, $tenant) = @_;

    publish($tenant, 'deleted');

    my @got;

    while (my $frame = $ws->read_frame) {
        return @got if $frame->{payload} =~ /"deleted"/;
        push @got, $frame->{payload};
    }

    return (@got, $ws->{state});
}

sub zone {
    my ($name) = @_;
    return WSBus::Raw::zone($port, $name // 'events');
}


subtest 'the handshake' => sub {
    my %websocket = (
        'a handshake'    => {},
        'a plain GET'    => { headers => [ Upgrade => undef,
                                           Connection => undef,
                                           'Sec-WebSocket-Key' => undef,
                                           'Sec-WebSocket-Version' => undef ] },
        'a POST'         => { method => 'POST',
                              headers => [ 'Content-Length' => 0 ] },
        'a wrong version' => { headers => [ 'Sec-WebSocket-Version' => 8 ] },
    );

    my %valid = ('a handshake' => 101, 'a plain GET' => 400, 'a POST' => 405,
                 'a wrong version' => 426);

    my @query = (
        [ '?tenant_id=acme' ],
        [ '?x=%zz&tenant_id=acme&y' ],
        [ '?tenant_id=%20' ],
        [ '?tenant_id=+' ],
        [ '?tenant%5Fid=%C3%A9' ],
        [ '?tenant_id=' . 'a' x 256 ],
        [ '',                           $MISSING ],
        [ '?',                          $MISSING ],
        [ '?tenant=acme',               $MISSING ],
        [ '?Tenant_id=acme',            $MISSING ],
        [ '?tenant_id=a&tenant_id=a',   $MISSING ],
        [ '?tenant_id=a&tenant_id=',    $MISSING ],
        [ '?tenant_id=a&tenant%5fid=b', $MISSING ],
        [ '?tenant_id=%zz',             $MISSING ],
        [ '?tenant_id=%ff',             $MISSING ],
        [ '?tenant_id=a%00',            $MISSING ],
        [ '?tenant_id=' . 'a' x 257,    $MISSING ],
        [ '?tenant_id=',                $EMPTY ],
        [ '?tenant_id',                 $EMPTY ],
        [ '?x=1&tenant_id=&y=2',        $EMPTY ],
    );

    for my $q (@query) {
        my ($query, $text) = @$q;

        for my $what (sort keys %websocket) {
            my $name = length $query > 40 ? substr($query, 0, 40) . '..'
                                          : $query;
            my $raw  = WSBus::Raw->new($port);
            my $res  = $raw->handshake(path => "/ws$query",
                                       %{ $websocket{$what} });

            is($res->{status}, $text ? 400 : $valid{$what}, "$what of $name");

            if ($text) {
                is($res->{body}, $text, 'with its text');
                is($res->{headers}{'content-type'}, 'text/plain', 'plain');
            } else {
                isnt($res->{body}, $_, 'not for its tenant')
                    for $MISSING, $EMPTY;
            }

            $raw->close;
        }
    }

    my $raw = WSBus::Raw->new($port);
    my $res = $raw->post('/ws', 'x' x 10_000);
    is($res->{status}, 400, 'a body is passed over');
    is($raw->post('/ws?tenant_id=a', '')->{status}, 405,
       'and the connection goes on');
};


subtest 'a tenant of the configuration' => sub {
    my $raw = WSBus::Raw->new($port);
    my $res = $raw->handshake(path => '/host?tenant_id=acme');
    is($res->{status}, 400, 'empty is refused');
    is($res->{body}, $EMPTY, 'with the text');

    $res = WSBus::Raw->new($port)->handshake(
        path => '/host?tenant_id=acme', headers => [ 'X-Tenant' => "\xff" ]);
    is($res->{status}, 400, 'no UTF-8 is refused');

    my $ws = open_ws('tenant_id=acme', path => '/host',
                     headers => [ 'X-Tenant' => 'globex' ]);
    publish('acme', 'created');
    publish('globex', 'created');
    is_deeply([ texts_before($ws, 'globex') ],
              [ changed('globex', 'created') ],
              'it is that one that counts');
    $ws->close;

    $res = WSBus::Raw->new($port)->handshake(path => '/variable?tenant_id=a+b');
    is($res->{headers}{'x-tenant'}, '[a b]', '$ws_bus_tenant is the decoded');

    is(publish('acme', 'created', path => '/outer/publish'), 0,
       'who publishes within such a location names no tenant in the URL');
    $raw = WSBus::Raw->new($port);
    $raw->write("GET /outer/status HTTP/1.1\r\nHost: a\r\n\r\n");
    is($raw->response->{status}, 200, 'nor who asks for the status');

    $res = WSBus::Raw->new($port)->handshake(path => '/named');
    is($res->{status}, 400, 'and of another protocol, too');
    isnt($res->{body}, $EMPTY, 'in nginx\'s own words');
};


subtest 'messages' => sub {
    my $ws = open_ws('tenant_id=acme');

    is($ws->read_frame(0.3), undef, 'nothing comes by itself');

    is(publish('acme', $_), 1, "$_: one hears it")
        for qw(created updated modified deleted status_changed);

    is_deeply([ texts($ws, 5) ],
              [ map { changed('acme', $_) }
                qw(created modified modified deleted modified) ],
              'each is said, and in its words');

    publish('acme', 'updated', n => 50);
    is_deeply([ texts_before($ws, 'acme') ],
              [ (changed('acme', 'modified')) x 50 ],
              'as often as it happens');

    my $was = zone()->{totals};

    my @ignored = ('"Pong"', changed('acme', 'created'), 'Ping', '', '"ping"',
                   'null', '{"type":"ping"}', '{"Ping":null,"x":1}',
                   '{"type":"subscribe","filter":{}}', '[' x 1000,
                   '{"secret":"s3cr3t-value"}');

    $ws->send_text($_) for @ignored;
    $ws->send_frame(WSBus::Raw::BINARY, '"Ping"');
    $ws->send_text('"Ping"');
    is_deeply([ texts($ws, 1) ], [ '"Pong"' ],
              'what it does not know it ignores');

    my $now = zone()->{totals};
    is($now->{messages_ignored} - $was->{messages_ignored}, @ignored + 1,
       'they are counted');
    is($now->{errors}, $was->{errors}, 'and are no errors');
    like($nginx->error_log, qr/message is ignored: invalid_json/, 'and logged');
    unlike($nginx->error_log, qr/s3cr3t-value/, 'but not what they say');

    for my $ping ('"Ping"', '{"Ping":null}', ' { "Ping" : null } ',
                  '"P\u0069ng"')
    {
        $ws->send_text($ping);
        is($ws->read_frame->{payload}, '"Pong"', "$ping is answered");
    }

    # a message in fragments, with a control frame between them

    $ws->send_frame(WSBus::Raw::TEXT, '"Pi', fin => 0);
    $ws->send_frame(WSBus::Raw::PING, 'between');
    $ws->send_frame(WSBus::Raw::CONT, '', fin => 0);
    $ws->send_frame(WSBus::Raw::CONT, 'ng"');
    is($ws->read_frame->{payload}, $_, "in fragments: $_")
        for 'between', '"Pong"';

    $ws->send_frame(WSBus::Raw::CLOSE, WSBus::Raw::close_payload(1000));
    is($ws->read_close, 1000, 'Close is answered');
    is($ws->read_end, 'eof', 'and that is the end');

    my %code = (
        'no UTF-8'          => [ 1007, [ WSBus::Raw::TEXT, "\xff" ] ],
        'a frame unmasked'  => [ 1002, [ WSBus::Raw::TEXT, '"Ping"',
                                         mask => 0 ] ],
        'too long'          => [ 1009, [ WSBus::Raw::TEXT, ' ' x 2000 ] ],
    );

    for my $what (sort keys %code) {
        my ($want, $frame) = @{ $code{$what} };
        my $bad = open_ws('tenant_id=acme', path => '/tiny');
        $bad->send_frame(@$frame);
        is($bad->read_close, $want, "$what: $want");
        $bad->close;
    }

    ok(WSBus::Nginx::await(sub { publish('acme', 'created') == 0 }),
       'nobody is subscribed any more');
};


subtest 'tenants' => sub {
    my %tenant = ('acme' => 'acme', 'Acme' => 'Acme', 'acme+' => 'acme ',
                  '%20' => ' ', 'acme%22%5C%0A' => "acme\"\\\n",
                  '%D0%B0cme' => "\x{430}cme", '*' => '*', '%25' => '%',
                  'null' => 'null');

    # several connections of each, so that they are on both workers

    my %ws = map { my $q = $_; $q => [ map { open_ws("tenant_id=$q") } 1 .. 6 ] }
             sort keys %tenant;

    publish(undef, 'created');
    my $alone = open_ws('{}', path => '/bus');
    is($alone->read_json->{type}, 'welcome', 'another protocol beside it');
    $alone->send_text('{"type":"subscribe","filter":{}}');
    is($alone->read_json->{type}, 'subscribed', 'without a tenant');

    for my $q (sort keys %tenant) {
        is(publish($tenant{$q}, 'created'), 6, "$q: six hear it");
    }

    publish(undef, 'deleted');

    for my $q (sort keys %tenant) {
        is(publish($tenant{$q}, 'updated'), 6, "$q: six hear that, too");

        my @want = map { { ConfigChanged => {
            tenant_id => $tenant{$q}, change_type => $_ } } }
            qw(created modified);
        my @got = map { [ map { decode_json($_) } texts($_, 2) ] }
                  @{ $ws{$q} };

        is_deeply(\@got, [ (\@want) x 6 ],
                  "$q: each hears its own, and nothing else");
    }

    is($alone->read_json->{data}{event}{action}, 'deleted',
       'what has no tenant reaches who has none');

    my ($filters) = grep { !%{ $_->{filter} } } @{ zone()->{filters} };
    cmp_ok($filters->{count}, '>=', 55, 'the status page lists them');

    $_->close for $alone, map { @$_ } values %ws;
};


subtest 'forced conditions' => sub {
    my $ws = open_ws('tenant_id=forced', path => '/forced');

    for my $rows ([ 'me' ], [ 'you' ], [ 'you', 'me' ]) {
        my ($owner, $old) = @$rows;
        my $res = $pub->post('/publish', encode_json({
            action => 'updated', entity_type => 'row', entity_id => "@$rows",
            tenant => 'forced', data => { owner => $owner },
            $old ? (old => { owner => $old }) : () }));
        is($res->{status}, 200, "@$rows");
    }

    is_deeply([ texts($ws, 2) ], [ (changed('forced', 'modified')) x 2 ],
              'what it may see, and what leaves its sight');
    is($ws->read_frame(0.2), undef, 'and no more');
    $ws->close;
};


subtest 'who cannot be subscribed' => sub {
    my $first  = open_ws('tenant_id=full', path => '/one');
    ok(WSBus::Nginx::await(sub { publish('full', 'created') == 1 }), 'one');
    my $second = open_ws('tenant_id=full', path => '/one');
    is($second->read_close, 1013, 'another one is closed with 1013');
    is($second->{close_reason}, 'too_many_subscriptions', 'and told why');
    $_->close for $first, $second;
};


# the 101 is out, but a subrequest that is not done holds the connection

subtest 'an event right after the 101' => sub {
    my $slow = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $nginx->port(2), Listen => 5,
        ReuseAddr => 1) or die "listen: $!\n";

    my $ws  = open_ws('tenant_id=early', path => '/mirrored');
    my $got = $slow->accept;
    is(publish('early', 'created'), 0, 'nobody is subscribed yet');
    is(publish('early', 'deleted'), 0, 'nor yet');
    close $got;

    is($ws->read_frame->{payload}, changed('early', $_),
       "but nothing is missing: $_") for qw(created deleted);
    is(publish('early', 'updated'), 1, 'now it is');
    is_deeply([ texts_before($ws, 'early') ],
              [ changed('early', 'modified') ], 'and once');
    $ws->close;
};


subtest 'who does not read' => sub {
    my $ws = WSBus::Raw->new($port);
    setsockopt $ws->sock, SOL_SOCKET, SO_RCVBUF, 4096;
    is($ws->handshake(path => '/small?tenant_id=acme')->{status}, 101, 'open');

    my $n = 0;
    my $gaps = sub { zone('small')->{totals}{gaps} };

    ok(WSBus::Nginx::await(sub {
        publish('acme', 'created', path => '/small/publish', n => 100,
                size => 200);
        $n += 100;
        return zone('small')->{totals}{deliveries} + 2500 < $n;
    }, 20), "its socket is full after some of $n events");

    is($gaps->(), 0, 'it is not told before it reads');

    publish('acme', 'deleted', path => '/small/publish');

    # answers come first, events in their order

    my (%count, $last);
    while (my $frame = $ws->read_frame) {
        $last = $frame->{payload};
        $count{$last}++;
        last if $last eq changed('acme', 'deleted');
    }

    is($last, changed('acme', 'deleted'), 'then it is told, up to the last');
    is($count{ changed('acme', 'modified') }, 1, 'once, that some are missing');
    cmp_ok($count{ changed('acme', 'created') }, '<', $n - 200, 'not all came');
    is(scalar keys %count, 3, 'and nothing else');
    is($gaps->(), 1, 'that was one gap');

    publish('acme', 'deleted', path => '/small/publish');
    is($ws->read_frame->{payload}, changed('acme', 'deleted'), 'it goes on');
    $ws->close;
};


subtest 'compressed, and over TLS' => sub {
    # of a short one, compressing would not pay
    my $long = 'acme' x 50;

    my $ws = open_ws("tenant_id=$long", path => '/deflate',
                     headers => [ 'Sec-WebSocket-Extensions' =>
                                  'permessage-deflate' ]);
    my $plain = open_ws("tenant_id=$long");

    publish($long, 'created');
    my $frame = $ws->read_frame;
    is($frame->{rsv}, 4, 'compressed');

    my $z = Compress::Raw::Zlib::Inflate->new(-WindowBits => -15);
    my $in = $frame->{payload} . "\0\0\xff\xff";
    $z->inflate($in, my $out);
    is($out, changed($long, 'created'), 'the same message');
    is_deeply([ texts($plain, 1) ], [ changed($long, 'created') ],
              'beside one that is not');

    my $tls = open_ws('tenant_id=acme', port => $nginx->port(1), ssl => 1);
    publish('acme', 'deleted');
    is($tls->read_frame->{payload}, changed('acme', 'deleted'), 'over TLS');

    $_->close for $ws, $plain, $tls;
};


subtest 'the hook of a browser' => sub {
    my @acme  = map { WSBus::EasySale->new("127.0.0.1:$port", 'acme') } 1 .. 4;
    my $other = WSBus::EasySale->new("127.0.0.1:$port", "gl\x{f6}bex & co");
    my @all   = (@acme, $other);

    my $until = \&WSBus::Client::run_until;

    ok($until->(sub { !grep { $_->{opened} < 1 } @all }), 'connected');

    publish('acme', $_) for qw(created updated deleted);
    publish("gl\x{f6}bex & co", 'updated');

    my $got = sub {
        my ($hook, @words) = @_;
        return "@{ $hook->{changes} }" eq "@words";
    };

    ok($until->(sub {
        !grep { !$got->($_, qw(created modified deleted)) } @acme
            or return;
        return $got->($other, 'modified');
    }), 'each has its changes');

    $nginx->reload;
    ok($until->(sub { !grep { $_->{opened} < 2 } @all }),
       'after a reload they come back');
    is_deeply([ map { $_->{closed} } @all ], [ ([1012]) x 5 ],
              'they were told why to go');

    $pub = WSBus::Raw->new($port);
    publish('acme', 'updated');
    ok($until->(sub {
        !grep { !$got->($_, qw(created modified deleted modified)) } @acme
    }), 'and hear what happens then');

    is_deeply([ map { @{ $_->{odd} } } @all ], [], 'nothing puzzled them');

    $_->close for @all;
    ok($until->(sub { !grep { $_->{tx} } @all }), 'closed');
};


# Only Ping and Pong frames count. Each is looked at as soon as it says
# something, and says something itself each 0.2 s, if it is to.

subtest 'heartbeat' => sub {
    my %c = map { $_->[0] => { path => $_->[1], say => $_->[2] } } (
        [ default => '/ws' ],
        [ good    => '/fast' ],
        [ mute    => '/fast' ],
        [ talks   => '/fast', [ WSBus::Raw::TEXT, '"Ping"' ] ],
        [ pings   => '/fast', [ WSBus::Raw::PING, 'x' ] ],
        [ pongs   => '/fast', [ WSBus::Raw::PONG, 'unasked' ] ],
        [ off     => '/off' ],
    );

    for my $c (values %c) {
        $c->{asked} = time;
        $c->{ws}    = open_ws('tenant_id=beat', path => $c->{path});
        $c->{born}  = time;
        $c->{pings} = [];
    }

    my $look = sub {
        my ($c) = @_;

        $c->{ws}->fill(0.001);

        while (my $frame = WSBus::Raw::take_frame(\$c->{ws}{in})) {
            if ($frame->{opcode} == WSBus::Raw::PING) {
                push @{ $c->{pings} }, time - $c->{born};
                $c->{payload} .= $frame->{payload};
                $c->{ws}->send_frame(WSBus::Raw::PONG, '')
                    if $c == $c{good};

            } elsif ($frame->{opcode} == WSBus::Raw::CLOSE) {
                ($c->{code}) = unpack 'n', $frame->{payload};
                $c->{end} = time - $c->{born};
            }
        }
    };

    my ($end, $said) = (time + WSBus::Nginx::patience(20), 0);

    while (time < $end) {
        my @open = grep { !$_->{end} } values %c;

        last if $c{default}{end} && @{ $c{good}{pings} } > 4
                && $c{mute}{end} && $c{talks}{end};

        IO::Select->new(map { $_->{ws}->sock } @open)->can_read(0.1);
        $look->($_) for @open;

        next if time - $said < 0.2;
        $said = time;
        $_->{ws}->send_frame(@{ $_->{say} }) for grep { $_->{say} } @open;
    }

    for my $name (qw(mute talks)) {
        cmp_ok($c{$name}{end} // 0, '>', 2, "$name: is gone, but not too soon");
        cmp_ok($c{$name}{end} // 99, '<', 6, 'and in time');
        is($c{$name}{code}, 1001, 'with a Close');
        cmp_ok(scalar @{ $c{$name}{pings} }, '>=', 2, 'after two pings');
    }

    for my $name (qw(good pings pongs off)) {
        ok(!$c{$name}{end}, "$name: lives");
    }

    my @beat = @{ $c{good}{pings} };
    my @gaps = sort { $a <=> $b } map { $beat[$_] - $beat[ $_ - 1 ] } 1 .. $#beat;
    cmp_ok($gaps[ @gaps / 2 ], '<', 1.5, 'a ping each second');
    cmp_ok($gaps[ @gaps / 2 ], '>', 0.5, 'not more often');
    cmp_ok(scalar @{ $c{pings}{pings} }, '>=', 3, 'whoever pings is pinged');
    is($c{good}{payload}, '', 'without a payload');
    is(scalar @{ $c{off}{pings} }, 0, 'with 0 there are none');

    # how early as seen from before the handshake, how late from after it

    my $slack = WSBus::Nginx::patience(1) - 1;
    my $later = $c{default}{born} - $c{default}{asked};
    my @at    = (@{ $c{default}{pings} }, $c{default}{end} // 0);

    is(scalar @at, 3, 'by default a silent client is gone after two pings');
    for my $i (0 .. 2) {
        my $due = 5 * ($i + 1);
        cmp_ok($at[$i] + $later, '>', $due - 0.05, "not before $due s");
        cmp_ok($at[$i], '<', $due + 0.5 + $slack, 'nor much after');
    }

    $_->{ws}->close for values %c;
};


$pub->close;
$nginx->finish;
done_testing;
