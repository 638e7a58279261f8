# SPDX-License-Identifier: BSD-2-Clause
# Many workers and many reloads: whoever was started when, each is woken as
# soon as something concerns it, and none is lost for want of descriptors.
#
#   WSB_RELOADS=20 WSB_PROCESSES=128 prove -v -It/lib t/122-workers.t
#
# is the long run: 20 reloads 1 s apart, and 128 workers with 1,024 descriptors.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);

use WSBus::Nginx;
use WSBus::Raw;

my $RELOADS   = $ENV{WSB_RELOADS};
my $PROCESSES = $ENV{WSB_PROCESSES} || 24;

# a wake that is missing costs 125 ms in the mean: a hundred times as much
my $RATIO  = $RELOADS ? 2 : 15;
our $EVENTS = $RELOADS ? 200 : 40;


sub nginx_of {
    my ($workers, %o) = ($_[0], window => '1h', @_[1 .. $#_]);

    return WSBus::Nginx->new(
        workers       => $workers,
        fixed_workers => 1,
        nofile        => $o{nofile},
        events        => 'worker_connections 1024;',
        # each worker with a subscription takes 8 KB
        http          => WSBus::Nginx::minimal(
            zone   => 'zone=events:64m',
            listen => 'reuseport backlog=1024',
            http   => 'keepalive_requests 10000000; ws_bus_ping_interval 1d; '
                      . "ws_bus_drain_window $o{window};",
            server => 'add_header X-Worker $pid always;'),
    );
}

sub row {
    my ($nginx, $pid) = @_;
    my $zone = WSBus::Raw::zone($nginx->port);
    return (grep { $_->{pid} == $pid } @{ $zone->{workers} })[0];
}

# a subscriber in each of these workers

sub clients_on {
    my ($nginx, $type, @pids) = @_;

    my %want = map { $_ => 1 } @pids;
    my @clients;

    for (1 .. 100 * @pids) {
        last if !%want;
        my $ws  = WSBus::Raw->new($nginx->port);
        my $res = $ws->handshake;
        die "handshake: $res->{status}\n" if $res->{status} != 101;

        if (!delete $want{ $res->{headers}{'x-worker'} }) {
            $ws->close;
            next;
        }

        $ws->send_text(qq({"type":"subscribe","filter":{"entity_type":"$type"},)
                       . '"since":"now"}');
        $ws->read_json for 1, 2;
        push @clients, $ws;
    }

    die "no connection of some workers\n" if %want;
    return @clients;
}

sub publisher_of {
    my ($nginx, $pid) = @_;

    for (1 .. 2000) {
        my $raw = WSBus::Raw->new($nginx->port);
        $raw->write("GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
        return $raw if $raw->response->{headers}{'x-worker'} == $pid;
        $raw->close;
    }

    die "no connection of worker $pid\n";
}

# The median time, in ms, from a request to publish to its event at a client.
# Clients of old workers may have their turn to be closed meanwhile.

sub median {
    my ($pub, $type, @clients) = @_;

    my (@took, %of);
    my $select = IO::Select->new;
    $of{ $_->sock } = $_ for @clients;

    for my $i (1 .. $EVENTS) {
        my $t0 = time;

        $select->add($_->sock) for values %of;
        my $res = $pub->post('/publish', '{"action":"created","data":{},'
            . qq("entity_type":"$type","entity_id":"$i"}));
        die "publish: $res->{status}\n" if $res->{status} != 200;

        while ($select->count) {
            my @ready = $select->can_read(WSBus::Nginx::patience(10))
                or die "no event\n";
            my $t = time;

            for my $sock (@ready) {
                my $got;
                do { $got = $of{$sock}->read_json }
                    while $got->{type} eq 'position';
                $select->remove($sock);

                if (($got->{code} // 0) == 1012) {
                    delete $of{$sock};
                    next;
                }

                push @took, ($t - $t0) * 1000;
                my $id = $got->{data}{event}{entity_id} // $got->{type};
                die "event $id, not $i\n" if $id ne $i;
            }
        }
    }

    return (sort { $a <=> $b } @took)[@took / 2];
}


for my $case ($RELOADS ? ([ 2, $RELOADS ], [ 16, $RELOADS ])
                       : [ 2, 13 ])
{
    my ($workers, $reloads) = @$case;

    subtest "$workers workers, $reloads reloads in a row" => sub {
        my $nginx = nginx_of($workers)->start;
        my @pids  = $nginx->worker_pids;
        my @first = clients_on($nginx, 'probe', @pids);
        my @all   = clients_on($nginx, 'other', @pids);

        my $before = median(publisher_of($nginx, $pids[0]), 'probe', @first);

        for (1 .. $reloads) {
            my $t0 = time;
            $nginx->reload;
            @pids = $nginx->worker_pids;
            push @all, clients_on($nginx, 'other', @pids);
            sleep($t0 + 1 - time) if $RELOADS && time < $t0 + 1;
        }

        cmp_ok(scalar $nginx->draining_pids, '>', 0.8 * $workers * $reloads,
               'nearly all old workers are still there, with their clients');

        my $pub   = publisher_of($nginx, $pids[0]);
        my $old   = median($pub, 'probe', @first);
        $_->close for @first;
        my @last  = clients_on($nginx, 'probe', @pids);
        my $after = median($pub, 'probe', @last);

        diag(sprintf 'median delivery: %.2f ms before; now %.2f ms from the '
                     . 'newest workers to themselves, %.2f ms to the oldest',
                     $before, $after, $old) if $RELOADS;

        cmp_ok($after, '<=', $RATIO * $before,
               "workers of the last generation: at most $RATIO times");
        cmp_ok($old, '<=', 2 * $RATIO * $before,
               'those of the first, from the last: at most twice as many');

        median($pub, 'other', @all);
        pass('each worker of each generation has its events');

        $_->close for @all, @last, $pub;
        $nginx->finish;
    };
}


# in the master: two sockets for each process, one for each that listens

subtest "$PROCESSES workers with few descriptors" => sub {
    my $nginx = nginx_of($PROCESSES, window => '1s',
                         nofile => 8 * $PROCESSES)->start;

    for my $n (1 .. 3) {
        my @clients = clients_on($nginx, 'a', $nginx->worker_pids);
        $nginx->reload;
        $_->close for @clients;

        ok(WSBus::Nginx::await(sub { !$nginx->draining_pids }, 20),
           "reload $n: the old workers are gone");
        is(scalar $nginx->worker_pids, $PROCESSES, 'the new ones are all there');
    }

    my @pids    = $nginx->worker_pids;
    my @clients = clients_on($nginx, 'a', @pids);
    my $pub     = publisher_of($nginx, $pids[0]);
    my $woken   = row($nginx, $pids[-1])->{wakeups};

    median($pub, 'a', @clients);
    cmp_ok(row($nginx, $pids[-1])->{wakeups}, '>', $woken,
           'each has its events, woken');

    my @left = glob "/proc/@{[ $nginx->pid ]}/fd/*";
    my @eventfds = grep { (readlink($_) // '') =~ /eventfd|signalfd/ } @left;
    is(scalar @eventfds, 0, 'the master has no descriptor for it');

    $_->close for @clients, $pub;
    $nginx->finish;
};


# the descriptor that it reads its wakes from, while there is none to be had

my $SHORT = <<'END';
#include <errno.h>
#include <signal.h>

int
signalfd(int fd, const sigset_t *mask, int flags)
{
    static int (*real)(int, const sigset_t *, int);

    if (*shim_value == 0) {
        errno = EMFILE;
        return -1;
    }

    if (real == NULL) {
        real = (int (*)(int, const sigset_t *, int))
                   dlsym(RTLD_NEXT, "signalfd");
    }

    return real(fd, mask, flags);
}
END

subtest 'a worker that cannot be woken' => sub {
    my $nginx = nginx_of(2);
    $nginx->allow(qr/signalfd\(\) failed/);
    my $mend = $nginx->start_with($SHORT);

    my ($one, $other) = $nginx->worker_pids;
    my ($ws) = clients_on($nginx, 'a', $one);
    my $pub  = publisher_of($nginx, $other);

    my $said = () = $nginx->error_log =~
        /\[alert\].*signalfd\(\) failed.*up to 250 ms late \(24: Too many open/g;
    is($said, 2, 'each says what is missing');

    median($pub, 'a', $ws);
    pass('its clients have their events, late');
    is(row($nginx, $one)->{wakeups}, 0, 'without a wake');

    $mend->(1);

    ok(WSBus::Nginx::await(sub {
        local $EVENTS = 1;
        median($pub, 'a', $ws);
        return row($nginx, $one)->{wakeups} > 0;
    }), 'it is woken when it has what was missing');

    $said = () = $nginx->error_log =~ /signalfd\(\) failed/g;
    is($said, 2, 'and has said it once');

    $_->close for $ws, $pub;
    $nginx->finish;
};


done_testing();
