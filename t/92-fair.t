# SPDX-License-Identifier: BSD-2-Clause
# A fan-out to as many connections as may be opened does not hold up the
# worker: its turns are short, and pings and publishes are answered meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Poll qw(POLLIN);
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::Nginx;
use WSBus::Raw;
use WSBus::Swarm;

my $COUNT  = 15_000;
my $ROUNDS = 15;

# the soft limit of open files may be below what is allowed

BEGIN {
    if (!$ENV{WSB_FILES_RAISED}) {
        $ENV{WSB_FILES_RAISED} = 1;
        exec 'bash', '-c', 'ulimit -n "$(ulimit -H -n)"; exec "$0" "$@"',
             $^X, $0, @ARGV;
    }
}

chomp(my $files = `bash -c 'ulimit -n'`);
$files = 1 << 20 if $files !~ /^\d+$/;
$COUNT = $files - 300 if $files < $COUNT + 300;

# with less than a sixteenth free, nginx closes those that wait
my $connections = int($COUNT * 1.1) + 100;
my $rlimit      = $connections + 100;
$rlimit = $files if $rlimit > $files;

my $nginx = WSBus::Nginx->new(
    workers       => 1,
    fixed_workers => 1,
    main          => "worker_rlimit_nofile $rlimit;",
    events        => "worker_connections $connections;",
    http          => WSBus::Nginx::minimal(
        zone   => 'zone=events:32m',
        listen => 'backlog=4096',
        http   => 'keepalive_requests 10000000; ws_bus_ping_interval 1h;',
        server => 'location /echo { ws_bus_echo; }'),
)->start;

my $port = $nginx->port;
my ($worker) = $nginx->worker_pids;

sub worker {
    my $zone = WSBus::Raw::zone($port);
    return { %{ $zone->{workers}[0] }, last => $zone->{last_id} };
}

# ms that the worker was ready to run, and something else ran

sub waited {
    my @n = split ' ', WSBus::Nginx::slurp("/proc/$worker/schedstat");
    return ($n[1] // 0) / 1e6;
}

sub median { my @n = sort { $a <=> $b } @_; return $n[ @n / 2 ] }


my $swarm = WSBus::Swarm->new(port => $port);
my $t0    = time;
my $ready = 0;

# some at a time: who is there already need not be looked at

while ($ready < $COUNT) {
    my $some = WSBus::Swarm->new(port => $port);
    my $n    = $COUNT - $ready < 250 ? $COUNT - $ready : 250;
    $some->add(subs => [ { filter => { entity_type => 't1' },
                           since  => 'now' } ]) for 1 .. $n;
    $some->all_subscribed(20) or last;
    push @{ $swarm->{followers} }, $some->followers;
    $ready += $n;
}

# nginx does not wait for ever for a first request

my $pub = WSBus::Raw->new($port);
my $ws  = WSBus::Raw->open($port);

is($ready, $COUNT, "$COUNT subscribers of one worker");
diag(sprintf '%d connections in %.1f s, longest turn %.1f ms', $COUNT,
     time - $t0, worker()->{longest_turn_ms});


# a publish, and pings until all of it is sent

my (@ping, @publish, @fanout);
my ($longest, $all_waited) = (0, 0);

sub events {
    my ($n) = @_;
    return '[' . join(',', (
        '{"action":"updated","entity_type":"t1","entity_id":"x1",'
        . '"data":"' . 'y' x 100 . '"}') x $n) . ']';
}

sub fan_out {
    my ($n) = @_;

    my $row    = worker();
    my $before = $row->{deliveries};
    my $waited = waited();
    my $body   = events($n);
    my $start  = time;

    # the first, whose fan-out all that follows has to wait for, or not
    $pub->write("POST /publish HTTP/1.1\r\nHost: a\r\nContent-Type: "
                . "application/json\r\nContent-Length: " . length($body)
                . "\r\n\r\n$body");
    my $res = $pub->response;
    die "publish: $res->{status}\n" if $res->{status} != 200;

    # while it goes on: pings, and a publish that concerns nobody

    for (1 .. 4) {
        my $t = time;
        $ws->send_text('{"type":"ping"}');
        my $m = $ws->read_json;
        die "ping: $m->{type}\n" if $m->{type} ne 'pong';
        push @ping, (time - $t) * 1000;

        $t = time;
        $res = $pub->post('/publish', '{"action":"updated",'
            . '"entity_type":"t2","entity_id":"x1","data":{}}');
        die "publish: $res->{status}\n" if $res->{status} != 200;
        push @publish, (time - $t) * 1000;
    }

    WSBus::Nginx::await(
        sub { worker()->{deliveries} - $before >= $n * $COUNT }, 20)
        or die "not delivered\n";
    push @fanout, (time - $start) * 1000;

    # a turn is as long as the clock says; what the system took is not ours

    my $turn = worker()->{longest_turn_ms};
    $waited = waited() - $waited;
    $all_waited += $waited;

    if ($turn > $row->{longest_turn_ms} && $turn - $waited > $longest) {
        $longest = $turn - $waited;
    }

    return;
}


# what the opening of connections took is not what is asked

my $opened = worker()->{longest_turn_ms};

fan_out(1) for 1 .. $ROUNDS;
fan_out(3) for 1 .. 2;

my $row = worker();

diag(sprintf 'fan-outs to %d: %.0f ms (median); longest turn %.1f ms (before '
     . '%.1f, others ran for %.0f ms); ping: median %.1f, longest %.1f ms; '
     . 'publish: median %.1f, longest %.1f ms', $COUNT, median(@fanout),
     $row->{longest_turn_ms}, $opened, $all_waited, median(@ping), (sort { $b <=> $a } @ping)[0], median(@publish),
     (sort { $b <=> $a } @publish)[0]);

cmp_ok($row->{longest_turn_ms}, '>', 0, 'there is a figure');
cmp_ok($longest, '<', 2000, 'no turn of a fan-out is long');
cmp_ok(median(@ping), '<', 2000, 'pings are answered meanwhile');
cmp_ok(median(@publish), '<', 2000, 'so are publishes');


# and everybody has everything

ok($swarm->until(sub {
    !grep { $_->{events} < $ROUNDS + 6 } $swarm->followers }, 20),
   'each has all events');

my @more  = grep { $_->{events} != $ROUNDS + 6 } $swarm->followers;
my @fault = $swarm->faults;
is(scalar @more, 0, 'and no more');
is(scalar @fault, 0, 'in order');

$swarm->close_all;
$_->close for $ws, $pub;

ok(WSBus::Nginx::await(sub { worker()->{connections} == 0 }, 20),
   'all are closed');

$nginx->finish;
done_testing;
