# SPDX-License-Identifier: BSD-2-Clause
# What one client may cost: the CPU time of its worker, against that of a client
# that does the same and reads. Times are of the worker alone, and compared
# within one run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(min);
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::Nginx;
use WSBus::Raw qw(PING PONG frame);

my $PINGS = 80_000;
my $MASK  = "\x11\x22\x33\x44";

my $FIONREAD = 0x541b;

my $nginx = WSBus::Nginx->new(
    workers => 1, fixed_workers => 1,
    http    => WSBus::Nginx::minimal(
        http   => 'ws_bus_sndbuf 8k; ws_bus_ping_interval 0;',
        server => 'location /tenant { ws_bus events;
                                      ws_bus_protocol tenant; }'))->start;

my ($worker) = $nginx->worker_pids;
my $pub      = WSBus::Raw->new($nginx->port);


sub cpu {
    my ($ns) = split ' ', WSBus::Nginx::slurp("/proc/$worker/schedstat");
    return $ns / 1e6;
}

# milliseconds of CPU until the worker has nothing to do with it any more

sub cost {
    my ($code) = @_;

    my $start = cpu();
    $code->();

    my $now = 0;
    WSBus::Nginx::await(sub {
        my $last = $now;
        sleep 0.3;
        $now = cpu();
        return $now - $last < 1;
    });

    return $now - $start;
}

# writes while the other side takes it, and reads, if it is to

sub talk {
    my ($ws, $bytes, $reads) = @_;

    my $last = time;

    while (length $bytes && time - $last < 0.5) {
        my $n = syswrite $ws->sock, $bytes;

        if ($n) {
            substr $bytes, 0, $n, '';
            $last = time;
        }

        if ($reads) {
            1 while sysread $ws->sock, my $in, 65_536;
        } elsif (!$n) {
            sleep 0.01;
        }
    }

    return;
}

# a client to which no more can be written, since it has not read its events

sub blocked {
    my $ws = WSBus::Raw->open($nginx->port, path => '/tenant?tenant_id=t',
                              no_welcome => 1);
    setsockopt $ws->sock, SOL_SOCKET, SO_RCVBUF, 65536;

    my $event = '{"action":"created","entity_type":"x","entity_id":"1",'
                . '"tenant":"t"}';
    my $res   = $pub->post('/publish',
                           '[' . join(',', ($event) x 3000) . ']');
    die "publish: $res->{status}\n" if $res->{status} != 200;

    # until no more comes

    my $there = -1;
    WSBus::Nginx::await(sub {
        my $before = $there;
        my $n      = pack 'i', 0;
        sleep 0.3;
        ioctl $ws->sock, $FIONREAD, $n or die "FIONREAD: $!\n";
        $there = unpack 'i', $n;
        return $there && $there == $before;
    });

    return $ws;
}


my $pings = frame(PING, '', mask => $MASK) x $PINGS;

my ($reads, $silent, $waiting) = map {
    my ($open, $before, $read) = @$_;

    # the least of three: what comes in between adds to it
    min map {
        my $ws = $open->();
        my $ms = cost(sub { talk($ws, $before . $pings, $read) });
        $ws->vanish;
        $ms;
    } 1 .. 3;
} (
    [ sub { WSBus::Raw->open($nginx->port) }, '', 1 ],
    [ \&blocked, '', 0 ],
    [ \&blocked, frame(1, '"Ping"', mask => $MASK) x 1800, 0 ],
);

diag sprintf '%d pings: %.1f ms who reads, %.1f who does not, %.1f with '
             . 'answers that wait', $PINGS, $reads, $silent, $waiting;

cmp_ok($silent, '<', 2 * $reads + 5,
       'pings of a client that does not read cost no more');
cmp_ok($waiting, '<', 2 * $reads + 5, 'nor if answers wait before them');


# the answer to the latest comes, behind all else, and none after a Close

my $ws = blocked();
$ws->write(frame(1, '"Ping"', mask => $MASK) x 20);
$ws->write(join '', map { frame(PING, "p$_", mask => $MASK) } 1 .. 1000);
$ws->write(frame(8, WSBus::Raw::close_payload(1000), mask => $MASK));

my (@pongs, $answers, $after);
while (my $frame = $ws->read_frame) {
    $after++ if $after;
    push @pongs, $frame->{payload} if $frame->{opcode} == PONG;
    $answers++ if $frame->{payload} eq '"Pong"';
    $after //= 0, last if $frame->{opcode} == 8;
}
is($answers, 20, 'each message is answered');
is($pongs[-1], 'p1000', 'and of the pings the latest');
cmp_ok(scalar @pongs, '<', 500, 'not all of them');
is($after, 0, 'before the Close');
like($ws->read_end, qr/^(?:eof|reset)$/, 'which is the last');


# answers are counted as the memory that they take: tiny ones are not free

sub memory {
    my ($kb) = WSBus::Nginx::slurp("/proc/$worker/status")
        =~ /^VmRSS:\s+(\d+)/m;
    return $kb;
}

SKIPPED: {
    last if WSBus::Nginx::sanitized();

    my @ws     = map { blocked() } 1 .. 20;
    my $before = memory();
    talk($_, frame(1, '"Ping"', mask => $MASK) x 5000) for @ws;
    cmp_ok(memory() - $before, '<', 20 * 100,
           'what waits for 20 clients is less than 100 KB for each');
    $_->vanish for @ws;
}

$pub->close;
$nginx->finish;
done_testing;
