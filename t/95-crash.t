# SPDX-License-Identifier: BSD-2-Clause
# Workers that are killed take nothing with them but their connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use WSBus::Id;
use WSBus::Ledger;
use WSBus::Nginx;
use WSBus::Raw;
use WSBus::Swarm;

my $ZONE = 'zone=events:8m';


sub nginx_of {
    my ($workers, %o) = @_;

    my $nginx = WSBus::Nginx->new(
        workers       => $workers,
        fixed_workers => 1,
        main          => $o{main} // '',
        events        => 'worker_connections 1024;',
        http          => WSBus::Nginx::minimal(
            zone   => $o{zone} // $ZONE,
            listen => 'reuseport backlog=1024',
            http   => 'keepalive_requests 10000000; ws_bus_drain_window '
                      . ($o{window} // '1s') . ';',
            server => 'add_header X-Worker $pid always;'),
    );

    return $nginx->start if $o{start} // 1;
    return $nginx;
}

sub zone { return WSBus::Raw::zone($_[0]->port, undef, 2) }

sub row {
    my ($nginx, $pid) = @_;
    return (grep { $_->{pid} == $pid } @{ zone($nginx)->{workers} // [] })[0];
}

# a connection of this worker, welcome taken

sub ws_of {
    my ($nginx, $pid) = @_;

    for (1 .. 500) {
        my $ws  = WSBus::Raw->new($nginx->port);
        my $res = $ws->handshake;
        my $got = $res->{headers}{'x-worker'};
        if ($got == $pid) {
            $ws->read_json;
            return $ws;
        }
        $ws->close;
    }

    die "no connection of worker $pid\n";
}

# a POST connection of this worker

sub publisher_of {
    my ($nginx, $pid) = @_;

    for (1 .. 500) {
        my $raw = WSBus::Raw->new($nginx->port);
        $raw->write("GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
        return $raw if $raw->response->{headers}{'x-worker'} == $pid;
        $raw->close;
    }

    die "no connection of worker $pid\n";
}

sub subscribe {
    my ($ws, $filter) = @_;
    $ws->send_text(qq({"type":"subscribe","filter":$filter,"since":"now"}));
    my $got = $ws->read_json;
    die "not subscribed: $got->{type}\n" if $got->{type} ne 'subscribed';
    return $got;
}

sub post {
    my ($raw, $id) = @_;
    my $res = $raw->post('/publish', qq({"action":"created",)
        . qq("entity_type":"order","entity_id":"$id","data":{}}));
    my $last = seq_of($res->{body} =~ /"last_id":"([^"]+)"/);
    my ($n)    = $res->{body} =~ /"subscribers":\s*(\d+)/;
    return ($res->{status}, $last, $n);
}

sub killed {
    my ($nginx, $pid) = @_;
    $nginx->kill_worker($pid);
    return WSBus::Nginx::await(sub { !-d "/proc/$pid" });
}


subtest 'an idle worker' => sub {
    my $nginx = nginx_of(2);
    my ($victim, $other) = $nginx->worker_pids;

    my @doomed = map { ws_of($nginx, $victim) } 1 .. 5;
    my @living = map { ws_of($nginx, $other) } 1 .. 5;
    my $pub    = publisher_of($nginx, $other);

    # filters of its own, so many that they take chunks
    my $n = 0;
    for my $ws (@doomed) {
        subscribe($ws, qq({"entity_id":"dead-) . $n++ . '"}') for 1 .. 100;
    }
    subscribe($_, '{"entity_type":"order"}') for @doomed, @living;

    is((post($pub, 'a'))[2], 10, 'ten subscribers');
    is($_->read_json->{data}{event}{entity_id}, 'a', 'an event before')
        for $living[0], $doomed[0];

    my $before = zone($nginx);
    cmp_ok($before->{chunks_free}, '<', $before->{chunks}, 'chunks are taken');

    ok(killed($nginx, $victim), 'SIGKILL');
    my $t0 = time;

    # at once: who is left has everything

    my $wrong = 0;
    for my $i (1 .. 50) {
        my ($status) = post($pub, "b$i");
        $wrong++ if $status != 200;
    }
    is($wrong, 0, 'publishes succeed');

    for my $ws (@living) {
        my @want = map { "b$_" } 1 .. 50;
        unshift @want, 'a' if $ws != $living[0];
        my @got = map { my $m = $ws->read_json;
                        $m->{data}{event}{entity_id} // $m->{type} } @want;
        is("@got", "@want", 'a survivor has everything, in order');
    }

    for my $ws (@doomed) {
        like($ws->read_end, qr/^(?:eof|reset)$/,
             'a connection of the dead is over');
    }

    # within about two seconds its filters and counts are given back

    ok(WSBus::Nginx::await(sub { !row($nginx, $victim) }),
       'its row is gone');
    my $took = time - $t0;
    cmp_ok($took, '<', WSBus::Nginx::patience(8), sprintf 'after %.1f s', $took);

    is((post($pub, 'c'))[2], 5, 'its subscriptions are counted no more');

    my $zone = zone($nginx);
    is(scalar(grep { $_->{filter}{entity_id} } @{ $zone->{filters} }), 0,
       'its filters are gone');
    is($zone->{totals}{subscriptions}, 5, 'five subscriptions are left');
    is($zone->{totals}{connections}, 5, 'and five connections');
    cmp_ok($zone->{chunks_free}, '>', $before->{chunks_free},
           'its chunks are free');

    # the successor starts clean

    ok(WSBus::Nginx::await(sub {
        $nginx->all_workers && 2 == grep { $_->{pid} != $victim }
                                    @{ zone($nginx)->{workers} } }),
       'another takes its place');
    my ($new) = grep { $_ != $other } $nginx->worker_pids;
    my $row = row($nginx, $new);
    is($row->{connections}, 0, 'without connections');
    is($row->{subscriptions}, 0, 'without subscriptions');
    is($row->{filters}, 0, 'without filters');

    my $ws = ws_of($nginx, $new);
    subscribe($ws, '{}');
    post($pub, 'd');
    is($ws->read_json->{data}{event}{entity_id}, 'd', 'and serves');

    my $own = publisher_of($nginx, $new);
    post($own, 'e');
    is($ws->read_json->{data}{event}{entity_id}, 'e', 'also as a publisher');
    my @got = map { $living[0]->read_json->{data}{event}{entity_id} } 1 .. 3;
    is("@got", 'c d e', 'of which the survivors hear');

    $_->close for @living, @doomed, $ws, $own, $pub;
    $nginx->finish;
};


subtest 'all workers at once' => sub {
    my $nginx = nginx_of(3);
    my @pids  = $nginx->worker_pids;
    my $swarm = WSBus::Swarm->new(port => $nginx->port);
    my $ledger = WSBus::Ledger->new;

    $swarm->add(subs => [ { filter => {}, since => 'now' },
                          { filter => { entity_type => 't2' },
                            since  => 'now' } ]) for 1 .. 20;
    ok($swarm->all_subscribed, 'all are subscribed');

    my $raw  = WSBus::Raw->new($nginx->port);
    $ledger->publish($raw, 20, map { WSBus::Ledger::random_class() } 1 .. 50);
    $raw->close;

    $nginx->kill_worker($_) for @pids;
    ok(WSBus::Nginx::await(sub {
        my %now = map { $_ => 1 } $nginx->worker_pids;
        return keys %now == 3 && !grep { $now{$_} } @pids }), 'all are new');

    $raw = WSBus::Raw->new($nginx->port);
    my $last = $ledger->publish($raw, 20,
                   map { WSBus::Ledger::random_class() } 1 .. 50);

    is($last, 100, 'the ids go on');
    ok($swarm->all_reach($last, 30), 'all come to the end');
    my $sum = $ledger->prove('all', $swarm);
    is($sum->{in_gap}, 0, 'without a gap');

    $swarm->close_all;
    $raw->close;
    $nginx->finish;
};


# clients and publishers go on while code kills workers

sub under_load {
    my ($name, %o) = @_;

    my $nginx  = nginx_of($o{workers}, %{ $o{nginx} // {} });
    my $ledger = WSBus::Ledger->new;
    my $swarm  = WSBus::Swarm->new(port => $nginx->port);

    srand(5);

    my @filter = ({}, { entity_type => 't1' }, { entity_id => [qw(x2 x3)] },
                  { entity_type => 't4', entity_id => 'x5' });

    $swarm->add(ping => 0.2, pause => sub { rand 0.05 },
                subs => [ { filter => $filter[ $_ % 4 ], since => 'now' },
                          { filter => $filter[ ($_ + 1) % 4 ],
                            since  => 'now' } ]) for 1 .. 40;
    ok($swarm->all_subscribed, 'all are subscribed');

    $ledger->start_publisher($nginx->port, seed => $_, rate => 700,
                             batch => sub { 1 + int rand 4 }) for 1 .. 2;
    $ledger->start_publisher($nginx->port, seed => 3, rate => 300, key => 1);

    my $run = sub {
        my ($seconds) = @_;
        my $t0 = time;
        $swarm->until(sub { time - $t0 > $seconds }, $seconds + 1);
    };

    $run->(0.3);
    $o{code}->($nginx, $run, $swarm);
    $run->(0.3);

    ok($ledger->stop, 'the publishers did not fail');
    is(scalar @{ $ledger->{refused} }, 0, 'no publish is refused');

    my $head = seq_of(zone($nginx)->{last_id} // '');
    {
        local $ledger->{head} = $head;
        cmp_ok($ledger->orphans, '<=', $ledger->{lost},
               'what is in the log was published once');
    }
    ok($swarm->all_reach($head, 30), 'all come to the end');

    my $sum = $ledger->prove($name, $swarm);
    is($sum->{in_gap}, 0, "$name: no gap") if !$o{gaps};
    cmp_ok($swarm->sum('opened'), '>', 40, 'clients came back');
    diag(sprintf '%s: %d events (%d without an answer), %d delivered, '
         . '%d connections', $name, $head, $ledger->{lost}, $sum->{got},
         $swarm->sum('opened'));

    ok(WSBus::Nginx::await(sub {
        my %alive = map { $_ => 1 } $nginx->worker_pids, $nginx->draining_pids;
        my @rows  = map { $_->{pid} } @{ zone($nginx)->{workers} // [] };
        return @rows && !grep { !$alive{$_} } @rows }, 3),
       'no row of a dead worker is left');

    my $alive = WSBus::Nginx::await(sub {
        my $zone = zone($nginx);
        return ($zone->{totals}{subscriptions} // -1) == 80 });
    ok($alive, 'every subscription is counted, and no other');

    $swarm->close_all;
    $nginx->finish;
    return;
}


subtest 'under load' => sub {
    under_load('load', workers => 3, code => sub {
        my ($nginx, $run) = @_;
        for my $round (1 .. 8) {
            my @pids = $nginx->worker_pids;
            $nginx->kill_worker($pids[ $round % @pids ]) if @pids;
            $run->(0.35);
        }
    });
};


subtest 'workers that drain' => sub {
    under_load('drain', workers => 2, nginx => { window => '20s' },
        code => sub {
            my ($nginx, $run, $swarm) = @_;
            for (1 .. 2) {
                ok($nginx->reload, 'reload');
                $run->(0.4);
                my @draining = $nginx->draining_pids;
                cmp_ok(scalar @draining, '>', 0, 'there are some that drain');
                for my $pid (@draining) {
                    ok((row($nginx, $pid) // {})->{draining},
                       'the status says so');
                    $nginx->kill_worker($pid);
                    $run->(0.3);
                }
                ok(WSBus::Nginx::await(sub {
                    my %gone = map { $_ => 1 } @draining;
                    my $zone = zone($nginx);
                    return $zone->{workers}
                           && !grep { $gone{ $_->{pid} } }
                                    @{ $zone->{workers} } }, 3),
                   'who is never respawned is reclaimed, too');
            }
        });
};


subtest 'after worker_processes was lowered' => sub {
    under_load('lowered', workers => 4, nginx => { window => '20s' },
        code => sub {
            my ($nginx, $run) = @_;
            my @old = $nginx->worker_pids;

            ok($nginx->reload(workers => 1), 'one worker instead of four');
            $run->(0.3);

            for my $pid (grep { my $p = $_; grep { $_ == $p } @old }
                         $nginx->draining_pids)
            {
                $nginx->kill_worker($pid);
                $run->(0.1);
            }

            ok(WSBus::Nginx::await(sub {
                my $zone = zone($nginx);
                return $zone->{workers} && @{ $zone->{workers} } == 1 }, 3),
               'one row is left');

            $nginx->kill_worker($nginx->worker_pids);
            $run->(0.5);
        });
};


# whoever holds the lock when it dies: each append takes it

subtest 'while they append' => sub {
    my $nginx  = nginx_of(2, zone => 'zone=events:8m');
    my $ledger = WSBus::Ledger->new;
    my $swarm  = WSBus::Swarm->new(port => $nginx->port);

    $swarm->add(subs => [ { filter => {}, since => 'now' } ], ping => 0.1)
        for 1 .. 4;
    ok($swarm->all_subscribed, 'all are subscribed');

    # nearly all of a worker's time is spent on large batches
    $ledger->start_publisher($nginx->port, seed => $_, batch => 400,
                             size => 300) for 1 .. 4;

    for my $round (1 .. 10) {
        my $t0 = time;
        $swarm->until(sub { time - $t0 > 0.15 }, 2);
        my @pids = $nginx->worker_pids;
        $nginx->kill_worker($pids[ rand @pids ]) if @pids;
    }

    ok($ledger->stop, 'the publishers did not fail');
    is(scalar @{ $ledger->{refused} }, 0, 'no publish is refused');
    my $head = seq_of(zone($nginx)->{last_id} // '');
    is($head % 400, 0, 'each batch is there as a whole, or not at all');
    ok($swarm->all_reach($head, 30), 'all come to the end');
    $ledger->prove('append', $swarm);

    $swarm->close_all;
    $nginx->finish;
};


# A signal that is not sent, as long as that is asked for: so it looks if a
# publisher dies when it has said that it would wake a worker

my $MUTE = <<'END';
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

long
syscall(long n, ...)
{
    int      i;
    long     a[6];
    va_list  ap;
    static long (*real)(long, ...);

    va_start(ap, n);
    for (i = 0; i < 6; i++) {
        a[i] = va_arg(ap, long);
    }
    va_end(ap);

    if (real == NULL) {
        real = (long (*)(long, ...)) dlsym(RTLD_NEXT, "syscall");
    }

    if (*shim_value && n == SYS_tgkill && a[2] == SIGURG) {
        return 0;
    }

    return real(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}
END

subtest 'a wake that dies with its writer' => sub {
    my $nginx = nginx_of(2, start => 0);
    my $mute  = $nginx->start_with($MUTE);
    my ($one, $other) = $nginx->worker_pids;

    my $ws  = ws_of($nginx, $one);
    my $pub = publisher_of($nginx, $other);
    subscribe($ws, '{}');

    # now and then the worker looks by itself just then
    my $woken = sub {
        my $before = row($nginx, $one)->{wakeups};
        return WSBus::Nginx::await(sub {
            post($pub, 'a');
            $ws->read_json->{data}{event}{entity_id} eq 'a' or die "no event\n";
            return row($nginx, $one)->{wakeups} > $before;
        });
    };

    ok($woken->(), 'an event, and a wake');
    my $wakeups = row($nginx, $one)->{wakeups};

    $mute->(1);
    for my $id (qw(b c)) {
        my $t0 = time;
        post($pub, $id);
        is($ws->read_json->{data}{event}{entity_id}, $id,
           sprintf 'without one it comes as well, after %.0f ms',
                   (time - $t0) * 1000);
    }
    is(row($nginx, $one)->{wakeups}, $wakeups, 'there was none');

    $mute->(0);
    ok($woken->(), 'then one again: it is armed');

    $_->close for $ws, $pub;
    $nginx->finish;
};


# The mutex of a zone is the first word of its memory: the pid of who holds it

sub lock_of {
    my ($pid) = @_;

    no warnings 'portable';

    for (split /\n/, WSBus::Nginx::slurp("/proc/$pid/maps")) {
        my ($from, $to) = m{^([0-9a-f]+)-([0-9a-f]+) rw-s .*/dev/zero} or next;
        next if hex($to) - hex($from) != 8 << 20;

        open my $mem, '<:raw', "/proc/$pid/mem" or die "mem: $!\n";
        sysseek $mem, hex $from, 0;
        sysread $mem, my $word, 8;
        return unpack 'Q', $word;
    }

    die "no zone in $pid\n";
}

# one of them, stopped again and again, in turn, until that is while it holds
# the lock

sub stopped_with_lock {
    my (@pids) = @_;

    return WSBus::Nginx::await(sub {
        my $pid = shift @pids;
        push @pids, $pid;

        kill 'STOP', $pid;
        WSBus::Nginx::await(sub {
            WSBus::Nginx::slurp("/proc/$pid/stat") =~ /\) T / });
        return $pid if lock_of($pid) == $pid;
        kill 'CONT', $pid;
        return;
    }, 20);
}


subtest 'with the lock in its hand' => sub {
    my $nginx  = nginx_of(2);
    my $ledger = WSBus::Ledger->new;
    my $swarm  = WSBus::Swarm->new(port => $nginx->port);
    my $batch  = 100;

    $swarm->add(subs => [ { filter => {}, since => 'now' } ], ping => 0.1)
        for 1 .. 4;
    ok($swarm->all_subscribed, 'all are subscribed');

    $ledger->start_publisher($nginx->port, seed => $_, batch => $batch,
                             size => 300) for 1 .. 4;

    for my $round (1 .. 3) {
        ok(WSBus::Nginx::await(sub { $nginx->worker_pids == 2 }),
           "round $round: two workers");
        my @pids   = $nginx->worker_pids;
        my $victim = stopped_with_lock(@pids);

        ok($victim, 'one of them stands, with the lock') or last;

        my ($other) = grep { $_ != $victim } @pids;
        my $from    = length $nginx->error_log;
        $nginx->kill_worker($victim);

        ok($nginx->await_log(qr/was locked by $victim\b/, $from),
           'the master takes it from the dead');
        ok(-d "/proc/$other", 'the other one lives');

        my $was = seq_of(zone($nginx)->{last_id} // '');
        ok(WSBus::Nginx::await(sub {
            $swarm->step(0.01);
            my $is = seq_of(zone($nginx)->{last_id} // '');
            return defined $is && $is > $was + 10 * $batch;
        }), 'publishes go on');
    }

    ok($ledger->stop, 'the publishers did not fail');
    is(scalar @{ $ledger->{refused} }, 0, 'no publish is refused');
    my $head = seq_of(zone($nginx)->{last_id} // '');
    is($head % $batch, 0, 'each batch is there as a whole, or not at all');
    ok($swarm->all_reach($head, 30), 'all come to the end');
    $ledger->prove('lock', $swarm);

    $swarm->close_all;
    $nginx->finish;
};


done_testing;
