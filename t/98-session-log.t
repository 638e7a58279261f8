# SPDX-License-Identifier: BSD-2-Clause
# One line for each connection, at its close: what the request said, and how
# it ended.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json);
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;

my $OWN = '"$remote_addr|$arg_x|$http_user_agent|$host|$ws_bus_connection_id'
        . '|$ws_bus_tenant|$ws_bus_close_code|$ws_bus_close_reason'
        . '|$ws_bus_messages_in|$ws_bus_events_out|$ws_bus_subscriptions'
        . '|$kind|${arg_x}ed'
        . '|$ws_bus_bytes_out|$ws_bus_gaps|$ws_bus_duration'
        . '|$ws_bus_close_time|$ws_bus_version"';

my $nginx = WSBus::Nginx->new(
    workers => 2, fixed_workers => 1,
    events  => 'worker_connections 1024;',
    http    => WSBus::Nginx::minimal(
        zone   => 'zone=events:2m history=512k',
        listen => 'reuseport',
        http   => 'map $arg_x $kind { default other; one first; }
                   ws_bus_ping_interval 1h;
                   ws_bus_drain_window 500ms; ws_bus_sndbuf 8k;
                   ws_bus_session_log %%PREFIX%%/json.log;',
        server => "location /own/ws { ws_bus events; ws_bus_tenant \$arg_t;
                       ws_bus_session_log %%PREFIX%%/own.log $OWN; }"
                . 'location /off/ws { ws_bus events; ws_bus_session_log off; }
                   location /close/ws { ws_bus events; ws_bus_on_gap close; }
                   location /mute/ws { ws_bus events; ws_bus_ping_interval 1s;
                                       ws_bus_pong_timeout 1s; }
                   location /small/ws { ws_bus events;
                                        ws_bus_max_message_size 200; }
                   location /own/publish { ws_bus_publish events;
                                           ws_bus_tenant $arg_t; }'),
)->start;

my $port = $nginx->port;
my $pub  = WSBus::Raw->new($port);


sub open_ws { my ($path, %o) = @_; return WSBus::Raw->open($port, path => $path, %o) }

sub conn_id { $_[0]{welcome}{connection_id} }

# the line of a connection, once it is written

sub line_of {
    my ($ws, $file) = @_;

    my $id = conn_id($ws);
    my @line;

    WSBus::Nginx::await(sub {
        @line = grep { /\Q$id\E/ } lines($file // 'json.log');
        return scalar @line;
    });

    return $line[0] // '';
}

sub session { return eval { decode_json(line_of(@_)) } // {} }

# whole ones: one that is just being written may be there in part

sub lines {
    my ($file) = @_;
    my $text = WSBus::Nginx::slurp($nginx->file($file));
    return grep { chomp } $text =~ /.*\n/g;
}

sub publish {
    my ($n, $size, $path) = @_;
    return $pub->publish('[' . join(',', (
        '{"action":"created","entity_type":"order","entity_id":"1","data":"'
        . 'x' x ($size // 0) . '"}') x $n) . ']', $path)->{last_id};
}

sub subscribe {
    my ($ws, $filter, $since) = @_;
    $ws->send_text(qq({"type":"subscribe","filter":$filter)
                   . ($since ? qq(,"since":"$since"}) : '}'));
    my $got;
    do { $got = $ws->read_json } while $got->{type} eq 'event';
    die "not subscribed: $got->{type}\n" if $got->{type} ne 'subscribed';
    return $got;
}

sub say_close {
    my ($ws, $payload) = @_;
    $ws->send_frame(WSBus::Raw::CLOSE, $payload);
    my $code = $ws->read_close;
    $ws->close;
    return $code;
}


subtest 'a line of JSON' => sub {
    my $all  = 0;
    my $out  = time;
    my $ws   = WSBus::Raw->new($port);
    my $head = $ws->handshake(path => '/ws')->{status};
    my $in   = time;

    # every byte after the handshake is counted
    my $take = sub {
        my $before = length $ws->{in};
        my $frame = $ws->read_frame or die "no frame\n";
        my $n = length $frame->{payload};
        $all += $n + ($n < 126 ? 2 : $n < 65_536 ? 4 : 10);
        return $frame->{payload};
    };

    $ws->{welcome} = decode_json($take->());
    for my $filter ('{"entity_type":"order"}', '{"entity_type":"none"}') {
        $ws->send_text(qq({"type":"subscribe","filter":$filter}));
        $take->();
    }
    $ws->send_text('{"type":"unsubscribe","subscription_id":"sub_2"}');
    $take->();
    publish(3);
    $take->() for 1 .. 3;
    $ws->send_frame(WSBus::Raw::PING, 'abc');
    $take->();
    sleep(0.3);
    $in = time - $in;
    $ws->send_frame(WSBus::Raw::CLOSE,
                    WSBus::Raw::close_payload(1000, qq(bye "x" \\ \x{c3}\x{a9})));
    $take->();
    $ws->close;

    my $line = line_of($ws);
    $out = time - $out;
    my $s    = eval { decode_json($line) };
    ok($s, 'it is JSON') or diag($line);

    is($s->{connection_id}, conn_id($ws), 'connection_id');
    is($s->{remote_addr}, '127.0.0.1', 'remote_addr');
    is($s->{tenant}, '', 'no tenant');
    is($s->{close_code}, 1000, 'the code of the client');
    is($s->{close_reason}, qq(bye "x" \\ \x{e9}), 'and its reason');
    is($s->{messages_in}, 3, 'its messages');
    is($s->{events_out}, 3, 'the events');
    is($s->{bytes_out}, $all, 'the bytes, to the last one');
    is($s->{subscriptions}, 2, 'its subscriptions, also one that is gone');
    is($s->{gaps}, 0, 'no gap');
    cmp_ok($s->{seconds}, '>', $in - 0.1, 'how long it lasted');
    cmp_ok($s->{seconds}, '<', $out + 0.1, '... and no longer');
    like($s->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/, 'when it ended');
    is(scalar(grep { /\Q@{[ conn_id($ws) ]}\E/ } lines('json.log')), 1,
       'one line');
};


subtest 'how it ended' => sub {
    my %end = (
        'a Close without a code' => [ 1005, '', sub { say_close($_[0], '') } ],
        'a code of its own' => [ 4000, 'mine', sub {
            say_close($_[0], WSBus::Raw::close_payload(4000, 'mine')) } ],
        'the end of the stream' => [ 1006, '', sub { $_[0]->close } ],
        'a reset' => [ 1006, '', sub { $_[0]->vanish } ],
        'a frame that is none' => [ 1002, qr/./, sub {
            $_[0]->send_frame(3, 'x'); $_[0]->read_close } ],
        'text that is none' => [ 1007, qr/./, sub {
            $_[0]->send_text("\xff"); $_[0]->read_close } ],
    );

    for my $what (sort keys %end) {
        my ($code, $reason, $do) = @{ $end{$what} };
        my $ws = open_ws('/ws');
        $do->($ws);
        $ws->close;
        my $s = session($ws);
        is($s->{close_code}, $code, "$what: $code");
        ref $reason ? like($s->{close_reason}, $reason, 'a reason')
                    : is($s->{close_reason}, $reason, 'the reason');
    }

    my $big = open_ws('/small/ws');
    $big->send_text('{"type":"ping"' . ' ' x 300 . '}');
    $big->read_close;
    $big->close;
    is(session($big)->{close_code}, 1009, 'a message that is too big: 1009');

    my $mute = open_ws('/mute/ws');
    is(session($mute)->{close_code}, 1006, 'no answer to a ping: 1006');
    cmp_ok(session($mute)->{seconds}, '>=', 1.9, 'after interval and timeout');

    $mute->close;
};


subtest 'gaps' => sub {
    my $close  = open_ws('/close/ws');
    my $notify = open_ws('/ws');

    subscribe($_, '{}', 'now') for $close, $notify;
    publish(40, 5000) for 1 .. 60;

    is($close->read_close, 1013, 'closed with 1013');
    $close->close;
    my $s = session($close);
    is($s->{close_code}, 1013, 'which the line says');
    is($s->{close_reason}, $close->{close_reason}, 'with the id');
    like($s->{close_reason}, qr/\A$EVENT_ID\z/, 'that is one');

    my ($gaps, $events) = (0, 0);
    $notify->send_text('{"type":"ping"}');
    my $end = publish(1);
    while (my $m = $notify->read_json) {
        $gaps++ if $m->{type} eq 'gap';
        $events++ if $m->{type} eq 'event';
        last if $m->{type} =~ /^(?:none|CLOSE)$/
                || ($m->{data}{id} // '') eq $end;
    }
    say_close($notify, WSBus::Raw::close_payload(1000));
    $s = session($notify);
    cmp_ok($gaps, '>', 0, 'another is told its gap');
    is($s->{gaps}, $gaps, 'which the line counts');
    is($s->{events_out}, $events, 'and events');

};


subtest 'a line of one\'s own' => sub {
    my $ws = WSBus::Raw->open($port, path => '/own/ws?x=one&t=acme',
                              host => 'example.org',
                              headers => [ 'User-Agent' => qq(a "b" \\ \tc) ]);
    subscribe($ws, '{}');
    my $res = $pub->post('/own/publish?t=acme',
        '{"action":"created","entity_type":"x","entity_id":"1","data":{}}');
    is($res->{status}, 200, 'published');
    $ws->read_json;
    say_close($ws, WSBus::Raw::close_payload(1000, 'a|b'));

    my $id = conn_id($ws);
    my ($version) = WSBus::Nginx::slurp(
        "$FindBin::Bin/../src/ngx/core/ngx_http_ws_bus_core.h")
        =~ /define NGX_HTTP_WS_BUS_VERSION\s+"([^"]+)"/;
    my ($line, $rest) = line_of($ws, 'own.log') =~ /^(.*oneed)\|(.*)$/;
    is($line,
       '127.0.0.1|one|a \u0022b\u0022 \u005c \u0009c|example.org|'
       . "$id|acme|1000|a|b|1|1|1|first|oneed",
       'what the request said, and how it ended');

    my ($bytes, $gaps, $seconds, $time, $own) = split /\|/, $rest;
    cmp_ok($bytes, '>', 300, '$ws_bus_bytes_out');
    is($gaps, 0, '$ws_bus_gaps');
    like($seconds, qr/^\d+\.\d{3}$/, '$ws_bus_duration');
    like($time, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/, '$ws_bus_close_time');
    is($own, $version, '$ws_bus_version');

    is(scalar(grep { /\Q$id\E/ } lines('json.log')), 0,
       'a location has one log');

    my $bare = open_ws('/own/ws?t=b');
    $bare->close;
    like(line_of($bare, 'own.log'),
         qr/^127\.0\.0\.1\|\|\|127\.0\.0\.1\|conn_\w+\|b\|1006\|\|0\|0\|0\|other\|ed\|/,
         'what is not there is empty');

    my $off = open_ws('/off/ws');
    say_close($off, WSBus::Raw::close_payload(1000));
    my $bad = WSBus::Raw->new($port);
    is($bad->handshake(path => '/own/ws')->{status}, 400, 'one is refused');
    $bad->close;

    my $on = open_ws('/ws');
    $on->close;
    line_of($on);
    is(scalar(grep { /\Q@{[ conn_id($off) ]}\E/ } lines('json.log'),
              lines('own.log')), 0, 'off is off');
    is(scalar(() = lines('own.log')), 2, 'who was refused has no line');
};


subtest 'a line of JSON is JSON, whatever the client says' => sub {
    my $reason = "\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xc2\x9b\x00\"\\\xc2\xa0";

    my $ws = open_ws('/ws');
    say_close($ws, WSBus::Raw::close_payload(1000, $reason));
    my $line = line_of($ws);
    is(eval { decode_json($line)->{close_reason} },
       "\x{85}\x{2028}\x{2029}\x{9b}\x{0}\"\\\x{a0}", 'read back');
    unlike($line, qr/\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]/, 'but escaped');

    $ws = WSBus::Raw->open($port, path => '/own/ws?t=a',
        headers => [ 'User-Agent' => "\xff\xc3(\xe2\x80\xa8\xc2\x9b\xed\xa0\x80\xc3\xa9" ]);
    $ws->close;
    like(line_of($ws, 'own.log'),
         qr/\|\\ufffd\\ufffd\(\\u2028\\u009b(?:\\ufffd){3}\xc3\xa9\|/,
         'bytes that are no UTF-8, too');
};


subtest 'reopened' => sub {
    my $early = open_ws('/ws');
    my @mine  = lines('json.log');

    rename $nginx->file('json.log'), $nginx->file('json.log.1') or die $!;

    my $ws = open_ws('/ws');
    $ws->close;
    WSBus::Nginx::await(sub {
        WSBus::Nginx::slurp($nginx->file('json.log.1'))
            =~ /\Q@{[ conn_id($ws) ]}\E/ });
    ok(!-e $nginx->file('json.log'), 'until then it goes on in the old file');

    kill 'USR1', $nginx->pid;
    ok(WSBus::Nginx::await(sub { -e $nginx->file('json.log') }),
       'USR1 makes a new one');

    # all workers have it, as soon as none has the old one open
    ok(WSBus::Nginx::await(sub {
        !grep { (readlink($_) // '') =~ /json\.log\.1$/ }
         map { glob "/proc/$_/fd/*" } $nginx->worker_pids }),
       'in all workers');

    my $size = -s $nginx->file('json.log.1');
    for my $c ($early, map { open_ws('/ws') } 1 .. 10) {
        say_close($c, WSBus::Raw::close_payload(1000));
        is(session($c)->{close_code}, 1000, 'in the new file');
    }
    is(-s $nginx->file('json.log.1'), $size, 'nothing more in the old one');
};


subtest 'many at once' => sub {
    my $n  = 300;
    my @ws = map { open_ws('/own/ws?t=many&x=' . 'y' x 500) } 1 .. $n;
    $_->close for @ws;

    my @line;
    ok(WSBus::Nginx::await(sub {
        @line = grep { /\|many\|/ } lines('own.log'); @line >= $n }),
       'as many lines');
    is(scalar(grep {
        /^127\.0\.0\.1\|y{500}\|\|127\.0\.0\.1\|conn_[0-9a-f]{32}\|many\|1006\|\|0\|0\|0\|other\|y{500}ed\|\d+\|0\|\d+\.\d{3}\|[-\dT:.+Z]+\|[\d.]+$/
    } @line), $n, 'and none of them mixed with another');
};


subtest 'a reload' => sub {
    my @ws = map { open_ws('/ws') } 1 .. 20;
    subscribe($_, '{}') for @ws[ 0 .. 9 ];
    my $last = publish(1);

    ok($nginx->reload, 'reload');

    my ($wrong, $reason) = (0, 0);
    for my $ws (@ws) {
        $ws->read_close;
        $ws->close;
        my $s = session($ws);
        $wrong++ if ($s->{close_code} // 0) != 1012;
        $reason++ if ($s->{close_reason} // '') ne $ws->{close_reason};
    }
    is($wrong, 0, 'each line says 1012');
    is($reason, 0, 'and the reason that the client was told');
};


$pub->close;


subtest 'a quit' => sub {
    my @ws = map { open_ws('/ws') } 1 .. 5;
    $nginx->quit;
    for my $ws (@ws) {
        $ws->read_close;
        $ws->close;
        is(session($ws)->{close_code}, 1001, 'the line says 1001');
    }
};


$nginx->finish;


subtest 'what is refused' => sub {
    my $conf = sub {
        return WSBus::Nginx->test_config(http =>
            WSBus::Nginx::minimal(http => $_[0]));
    };

    for my $case (
        [ 'ws_bus_session_log;', qr/ws_bus_session_log/ ],
        [ 'ws_bus_session_log a b c;', qr/ws_bus_session_log/ ],
        [ 'ws_bus_session_log %%PREFIX%%/a "${x";', qr/ws_bus_session_log/ ],
        [ 'ws_bus_session_log %%PREFIX%%/a "$";', qr/ws_bus_session_log/ ],
        [ 'ws_bus_session_log %%PREFIX%%/a "$nothing_of_the_kind";',
          qr/nothing_of_the_kind/ ],
        [ 'ws_bus_session_log %%PREFIX%%/none/a;', qr{none/a} ],
        [ 'ws_bus_session_log off "$arg_x";', qr/ws_bus_session_log/ ],
        [ 'ws_bus_session_log %%PREFIX%%/a; ws_bus_session_log %%PREFIX%%/b;',
          qr/ws_bus_session_log.*duplicate/ ])
    {
        my ($text, $like) = @$case;
        my ($status, $said) = $conf->($text);
        isnt($status, 0, "$text is refused");
        like($said, $like, 'and it is said why');
    }
};


done_testing;
