# SPDX-License-Identifier: BSD-2-Clause
# A reload under load: the old workers deliver while they drain, close their
# clients one by one, and these go on where they were. Then the ways to end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::Id;
use WSBus::Ledger;
use WSBus::Nginx;
use WSBus::Raw;
use WSBus::Swarm;

my $CLIENTS = 1000;
my $WINDOW  = 2;


sub nginx_of {
    my (%o) = @_;

    return WSBus::Nginx->new(
        workers       => 2,
        fixed_workers => 1,
        main          => $o{main} // '',
        events        => 'worker_connections 4096;',
        http          => WSBus::Nginx::minimal(
            zone   => 'zone=events:16m',
            listen => 'reuseport backlog=2048',
            http   => 'keepalive_requests 10000000; ws_bus_drain_window '
                      . ($o{window} // "${WINDOW}s") . ';',
            server => 'location /at-once/ws { ws_bus events;
                                              ws_bus_drain_window 0; }'),
    )->start;
}

sub zone { return WSBus::Raw::zone($_[0]->port, undef, 2) }

sub subscribe {
    my ($ws) = @_;
    $ws->send_text('{"type":"subscribe","filter":{},"since":"now"}');
    my $got = $ws->read_json;
    die "not subscribed: $got->{type}\n" if $got->{type} ne 'subscribed';
    return $got;
}


subtest 'three reloads under load' => sub {
    my $nginx  = nginx_of();
    my $ledger = WSBus::Ledger->new;
    my $swarm  = WSBus::Swarm->new(port => $nginx->port);

    # most are quiet, as clients are
    my @filter = ({ entity_type => 't1', entity_id => 'x1' },
                  { entity_type => 't2', entity_id => [qw(x1 x3)] },
                  { entity_type => 't3', entity_id => 'x5' },
                  { entity_id => 'none' });

    my @closes;
    $swarm->{lost} = sub {
        my ($f) = @_;
        push @closes, [ $f->{closed_at} // time, $f->{close} ];
    };

    for my $i (1 .. $CLIENTS) {
        $swarm->add(subs => [ { filter => $i % 50 ? $filter[ $i % 4 ] : {},
                                since  => 'now' } ], ping => $i % 10 ? 0 : 1);
    }
    ok($swarm->all_subscribed(20), "$CLIENTS clients");

    my $was = zone($nginx);
    $ledger->start_publisher($nginx->port, seed => $_, rate => 250, key => 1)
        for 1, 2;

    for my $n (1 .. 3) {
        @closes = ();
        my %old = map { $_ => 1 } $nginx->worker_pids;

        my $t0 = time;
        kill 'HUP', $nginx->pid;

        my $drained = $swarm->until(sub {
            my @now = ($nginx->worker_pids, $nginx->draining_pids);
            return @now >= 2 && !grep { $old{$_} } @now;
        }, $WINDOW + 8);
        ok($drained, "reload $n: the old workers are gone");
        ok($swarm->all_subscribed(20), 'all are there again');

        is(scalar @closes, $CLIENTS, 'each client was closed once');
        is(scalar(grep { !$_->[1] || $_->[1][0] != 1012 } @closes), 0,
           'with 1012');
        is(scalar(grep { !$_->[1] || $_->[1][1] !~ /\A$EVENT_ID\z/ }
                  @closes), 0, 'and its last id in the reason');

        my @at    = sort { $a <=> $b } map { $_->[0] } @closes;
        my $spread = $at[ @at * 0.95 ] - $at[ @at * 0.05 ];
        # 0.9 of it, but who is busy sees several at the same time

        cmp_ok($spread, '>', $WINDOW * 0.5, 'spread over the window')
            or diag("$spread s");
        cmp_ok($spread, '<', $WINDOW * 4, 'and not over the default one');

        # at no time came a crowd: of equal parts, none has far more
        my @part;
        $part[ ($_ - $at[0]) / $WINDOW * 4 ]++ for @at;
        my ($most) = sort { $b <=> $a } map { $_ // 0 } @part;
        cmp_ok($most, '<', $CLIENTS * 0.75, "evenly: $most in a quarter of it");

        is($swarm->sum('opened'), ($n + 1) * $CLIENTS, 'and came back once');
    }

    ok($ledger->stop, 'the publishers did not fail');
    is(scalar @{ $ledger->{refused} }, 0, 'each publish succeeded');

    my $is = zone($nginx);
    my $head = seq_of($is->{last_id});
    is($is->{epoch}, $was->{epoch}, 'the epoch lives on');
    is($is->{first_id}, event_id($was->{epoch}, 1), 'and the history');
    is($is->{totals}{connections_opened} >= 4 * $CLIENTS ? 'yes' : 'no', 'yes',
       'and the counters');
    is($is->{totals}{connections}, $CLIENTS, 'all connections are counted');
    is($head, $ledger->{events}, 'each event is in the log once');

    ok($swarm->all_reach($head, 20), 'all come to the end');
    my $sum = $ledger->prove('reload', $swarm);
    is($sum->{in_gap}, 0, 'there is no gap');
    diag(sprintf '%d events, %d delivered, %d connections',
         $ledger->{events}, $sum->{got}, $swarm->sum('opened'));

    $swarm->close_all;
    $nginx->finish;
};


# a reload on the heels of another: three generations at once

subtest 'a reload while another one drains' => sub {
    my $nginx  = nginx_of(window => '8s');
    my $ledger = WSBus::Ledger->new;
    my $swarm  = WSBus::Swarm->new(port => $nginx->port);

    $ledger->start_publisher($nginx->port, rate => 300, key => 1);

    # each generation has clients of its own, whatever the reload takes
    my $most = 0;
    for my $n (1 .. 4) {
        $swarm->add(subs => [ { filter => {}, since => 'now' } ]) for 1 .. 16;
        ok($swarm->all_subscribed, 'all are subscribed');
        ok($nginx->reload, "reload $n");
        my $t0 = time;
        $swarm->until(sub { time - $t0 > 0.3 }, 2);
        my $n = () = $nginx->draining_pids;
        $most = $n if $n > $most;
    }
    cmp_ok($most, '>=', 4, "$most workers drained at the same time");

    ok($swarm->until(sub { !$nginx->draining_pids }, 15), 'they all end');
    ok($ledger->stop, 'the publisher did not fail');
    ok($swarm->all_reach($ledger->{head}, 30), 'all come to the end');
    my $sum = $ledger->prove('four', $swarm);
    is($sum->{in_gap}, 0, 'there is no gap');
    is(join(' ', sort keys %{ $swarm->closes }), '1012',
       'every close was a 1012');

    $swarm->close_all;
    $nginx->finish;
};


subtest 'a window of 0' => sub {
    my $nginx = nginx_of(window => '30s');

    my $ws   = WSBus::Raw->open($nginx->port, path => '/at-once/ws');
    my $late = WSBus::Raw->open($nginx->port);
    subscribe($_) for $ws, $late;

    ok($nginx->reload, 'reload');
    my $t0 = time;
    is($ws->read_close, 1012, 'closed');
    cmp_ok(time - $t0, '<', 15, 'at once');

    ok($late->alive, 'another location has its own window');

    # one that drains is closed with 1001 once nobody takes over

    my $pid = $nginx->pid;
    $nginx->quit;
    $_->close for $ws, $late;
    $nginx->finish;
};


# their worker has slept all the while

subtest 'whose events never came' => sub {
    my $nginx = nginx_of(window => '500ms');
    my $raw   = WSBus::Raw->new($nginx->port);
    my @ws    = map { WSBus::Raw->open($nginx->port) } 1 .. 12;

    for my $ws (@ws[ 0 .. 7 ]) {
        $ws->send_text('{"type":"subscribe","filter":{"entity_type":"none"},'
                       . '"since":"now"}');
        $ws->read_json->{type} eq 'subscribed' or die "not subscribed\n";
    }

    my $last;
    for (1 .. 30) {
        my $res = $raw->post('/publish', '{"action":"created","entity_type":'
            . '"order","entity_id":"1","data":{}}');
        ($last) = $res->{body} =~ /"last_id":"([^"]+)"/;
    }

    for my $ws (@ws[ 0 .. 3 ]) {
        $ws->send_text('{"type":"ping"}');
        is($ws->read_json->{last_id}, $last, 'a pong says the last id');
    }

    ok($nginx->reload, 'reload');

    my ($code, $reason) = (0, 0);
    for my $ws (@ws) {
        $code++ if $ws->read_close != 1012;
        $reason++ if $ws->{close_reason} ne $last;
    }
    is($code, 0, 'closed with 1012');
    is($reason, 0, 'with the last id of the bus in the reason');

    $_->close for @ws, $raw;
    $nginx->finish;
};


# a client may be anywhere: blocked, in a message, in its handshake

subtest 'who else is there' => sub {
    my $nginx = nginx_of(window => '500ms');
    my $raw   = WSBus::Raw->new($nginx->port);

    my $half = WSBus::Raw->open($nginx->port);
    $half->write(substr WSBus::Raw::frame(1, '{"type":"ping"}'), 0, 5);
    my $mute = WSBus::Raw->open($nginx->port);
    subscribe($mute);
    my $rude = WSBus::Raw->open($nginx->port);
    subscribe($rude);
    my $early = WSBus::Raw->new($nginx->port);
    $early->write(substr WSBus::Raw::request(), 0, 40);

    my $last;
    for (1 .. 60) {
        my $res = $raw->post('/publish', '{"action":"created","entity_type":'
            . '"order","entity_id":"1","data":"' . 'x' x 50_000 . '"}');
        ($last) = $res->{body} =~ /"last_id":"([^"]+)"/;
    }

    my @old = $nginx->worker_pids;
    ok($nginx->reload, 'reload');

    is($half->read_close, 1012, 'in the middle of a message: 1012');

    # the window has passed: the Close waits behind a frame that was begun
    sleep(0.7);

    # who does not answer the Close is let go, with what it has read
    my ($n, $id, $code, $reason) = (0);
    while (my $frame = $mute->read_frame) {
        if ($frame->{opcode} == WSBus::Raw::CLOSE) {
            ($code, $reason) = unpack 'na*', $frame->{payload};
            last;
        }
        ($id) = $frame->{payload} =~ /"type":"event".*?"id":"([^"]+)"/;
        $n++;
    }
    is($code, 1012, 'a blocked one: 1012, when it reads on');
    is($reason, $id, 'with the id of the last event that it got');
    cmp_ok($n, '<', 60, 'which was not the last of all');

    $early->write(substr WSBus::Raw::request(), 40);
    is($early->response->{status}, 101, 'one in its handshake is served');
    is($early->read_close, 1012, 'and closed with 1012');

    ok(WSBus::Nginx::await(sub {
        my %now = map { $_ => 1 } $nginx->draining_pids;
        return !grep { $now{$_} } @old }, 12),
       'who does not answer does not hold the worker for ever');

    $_->close for $half, $mute, $rude, $early, $raw;
    $nginx->finish;
};


subtest 'quit' => sub {
    my $nginx = nginx_of(window => '30s');
    my $raw   = WSBus::Raw->new($nginx->port);

    my @ws = map { WSBus::Raw->open($nginx->port) } 1 .. 50;
    subscribe($_) for @ws[ 0 .. 40 ];

    my $res = $raw->post('/publish',
        '{"action":"created","entity_type":"order","entity_id":"1","data":{}}');
    my ($last) = $res->{body} =~ /"last_id":"([^"]+)"/;
    $_->read_json for @ws[ 0 .. 40 ];

    my $t0 = time;
    $nginx->quit;

    my ($wrong, $reason) = (0, 0);
    for my $ws (@ws) {
        $wrong++ if $ws->read_close != 1001;
        $reason++ if ($ws->{close_reason} // '') ne $last;
    }
    is($wrong, 0, 'each is closed with 1001');
    is($reason, 0, 'with its last id in the reason');
    cmp_ok(time - $t0, '<', 15, 'at once, whatever the window');

    $_->close for @ws, $raw;
    ok(WSBus::Nginx::await(sub { !$nginx->running }), 'nginx ends');
    $nginx->finish;
};


subtest 'quit while a reload drains' => sub {
    my $nginx = nginx_of(window => '4s');
    my @ws = map { WSBus::Raw->open($nginx->port) } 1 .. 20;
    subscribe($_) for @ws;

    ok($nginx->reload, 'reload');
    my $new = WSBus::Raw->open($nginx->port);
    subscribe($new);
    $nginx->quit;

    is($new->read_close, 1001, 'a client of the new generation: 1001');
    $new->close;

    my %code;
    $code{ $_->read_close }++, $_->close for @ws;
    is(join(' ', sort keys %code) =~ /^(?:1001|1012|1001 1012)$/ ? 'yes' : 'no',
       'yes', 'those of the old one: 1012 before, 1001 after')
        or diag(join ' ', %code);
    ok(WSBus::Nginx::await(sub { !$nginx->running }), 'nginx ends');
    $nginx->finish;
};


subtest 'worker_shutdown_timeout' => sub {
    my $nginx = nginx_of(window => '60s',
                         main   => 'worker_shutdown_timeout 1s;');
    my @ws = map { WSBus::Raw->open($nginx->port) } 1 .. 20;
    subscribe($_) for @ws;

    my @old = $nginx->worker_pids;
    my $t0  = time;
    ok($nginx->reload, 'reload');

    ok(WSBus::Nginx::await(sub { !grep { -d "/proc/$_" } @old }, 30),
       'the old workers end');
    my $took = time - $t0;
    cmp_ok($took, '>=', 0.9, 'not before the time');
    cmp_ok($took, '<', 40, 'and long before the end of the window');

    my $open = grep { $_->read_end eq 'timeout' } @ws;
    is($open, 0, 'their connections are over');

    ok(WSBus::Nginx::await(
        sub { (zone($nginx)->{totals}{connections} // 1) == 0 }),
       'and are counted no more');

    $_->close for @ws;
    $nginx->finish;
};


done_testing;
