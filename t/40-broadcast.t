# SPDX-License-Identifier: BSD-2-Clause
# Every subscriber of every worker has every event, once, in the same order.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Poll qw(POLLIN POLLHUP POLLERR);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;


sub nginx_of {
    my ($workers) = @_;

    return WSBus::Nginx->new(
        workers       => $workers,
        fixed_workers => 1,
        events        => 'worker_connections 2048;',
        http          => WSBus::Nginx::minimal(
            listen => 'reuseport',
            http   => 'keepalive_requests 10000000;',
            server => 'add_header X-Worker $pid always;'),
    )->start;
}


# runs the code in a process of its own

sub in_child {
    my ($code) = @_;

    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;

    my $ok = eval { $code->(); 1 };
    print STDERR "# $@" if !$ok;
    POSIX::_exit($ok ? 0 : 1);
}


sub all_well {
    my ($what, @pids) = @_;

    my $bad = 0;

    for my $pid (@pids) {
        my $gone = WSBus::Nginx::await(
            sub { waitpid($pid, POSIX::WNOHANG()) == $pid }, 60);
        kill 'KILL', $pid if !$gone;
        $bad++ if !$gone || $?;
    }

    is($bad, 0, $what);
}


sub publisher {
    my ($port, $name, $n) = @_;

    my $raw = WSBus::Raw->new($port);

    for my $i (1 .. $n) {
        my $res = $raw->post('/publish', '{"action":"created",'
            . qq("entity_type":"order","entity_id":"$name-$i","data":{"i":$i}}));
        die "publish: $res->{status} $res->{body}\n" if $res->{status} != 200;
    }
}


# n subscribers: { sock, in, got: the sequence of "seq:entity_id" }

sub subscribers {
    my ($port, $n) = @_;

    my (@subs, %worker);

    for (1 .. $n) {
        my $raw = WSBus::Raw->new($port);
        my $res = $raw->handshake(after => WSBus::Raw::frame(
            1, '{"type":"subscribe","filter":{"entity_type":"order"}}'));

        $raw->read_json->{type} eq 'welcome'    or die "no welcome\n";
        my $got = $raw->read_json;
        $got->{type} eq 'subscribed'            or die "not subscribed\n";

        $raw->{from} = seq_of($got->{last_id});
        $raw->{got} = [];
        $worker{ $res->{headers}{'x-worker'} }++;
        push @subs, $raw;
    }

    return (\@subs, \%worker);
}


sub take_events {
    my ($raw) = @_;

    my $at = 0;

    while (my ($b0, $start, $n) = WSBus::Raw::frame_at(\$raw->{in}, $at)) {
        my $text = substr $raw->{in}, $start, $n;
        $at = $start + $n;

        if ($b0 == 0x81
            && $text =~ /"id":"($EVENT_ID)".*?"entity_id":"([^"]*)"/o)
        {
            push @{ $raw->{got} }, seq_in($1) . ":$2";
        } elsif (($b0 & 15) < 8 || ($b0 & 15) == 8) {
            push @{ $raw->{other} }, sprintf '%02x %s', $b0, $text;
        }
    }

    substr $raw->{in}, 0, $at, '';
}


# reads until each of them has n events

sub collect {
    my ($subs, $n, $timeout) = @_;

    my $poll = IO::Poll->new;
    my %by   = map { $_->sock => $_ } @$subs;

    for my $raw (@$subs) {
        take_events($raw);
        $poll->mask($raw->sock => POLLIN) if @{ $raw->{got} } < $n;
    }

    my $end = time + 3 * WSBus::Nginx::patience($timeout);

    while ($poll->handles && time < $end) {
        $poll->poll(0.5);

        for my $sock ($poll->handles(POLLIN | POLLHUP | POLLERR)) {
            my $raw = $by{$sock};
            if (!sysread $sock, $raw->{in}, 262_144, length $raw->{in}) {
                next if $!{EAGAIN};
                $poll->remove($sock);
                next;
            }
            take_events($raw);
            $poll->remove($sock) if @{ $raw->{got} } >= $n;
        }
    }
}


sub broadcast {
    my ($workers, $connections, $publishers, $each) = @_;

    my $n     = $publishers * $each;
    my $nginx = nginx_of($workers);

    my ($subs, $worker) = subscribers($nginx->port, $connections);

    is(scalar keys %$worker, scalar($nginx->worker_pids),
       'there are subscribers on each worker');

    my $t0 = time;

    my @pids = map {
        my $name = "p$_";
        in_child(sub { publisher($nginx->port, $name, $each) });
    } 1 .. $publishers;

    collect($subs, $n, 60);

    diag(sprintf '%s workers, %d connections, %d events: %.1f s',
         $workers, $connections, $n, time - $t0);

    all_well('all is published', @pids);

    my $short = grep { @{ $_->{got} } != $n } @$subs;
    is($short, 0, "each subscriber has $n events");

    my @other = map { @{ $_->{other} // [] } } @$subs;
    is(scalar @other, 0, 'and nothing else') or diag($other[0]);

    my %order = map { join(' ', @{ $_->{got} }) => 1 } @$subs;
    is(scalar keys %order, 1, 'all in the same order');

    my @got  = map { [ split /:/ ] } @{ $subs->[0]{got} };
    my @back = grep { $got[$_][0] != $got[ $_ - 1 ][0] + 1 } 1 .. $#got;
    is(scalar @back, 0, 'the order of the ids, with none left out');

    my %seen;
    $seen{ $_->[1] }++ for @got;
    is(scalar keys %seen, $n, 'no event twice');

    my %last;
    my $mixed = 0;
    for my $event (@got) {
        my ($p, $i) = split /-/, $event->[1];
        $mixed++ if $i != ($last{$p} // 0) + 1;
        $last{$p} = $i;
    }
    is($mixed, 0, 'those of one publisher in its own order');

    $_->close for @$subs;
    $nginx->finish;
}


subtest '1 worker'     => sub { broadcast(1, 60, 4, 50) };
subtest '2 workers'    => sub { broadcast(2, 60, 4, 50) };
subtest 'auto workers' => sub { broadcast('auto', 60, 4, 50) };
subtest '4 workers'    => sub { broadcast(4, 400, 8, 125) };


# a subscriber misses nothing that is published after "subscribed"

subtest 'subscribe, then publish' => sub {
    my $nginx = nginx_of(4);

    my @ws  = map { WSBus::Raw->open($nginx->port) } 1 .. 12;
    my @pub = map { WSBus::Raw->new($nginx->port) } 1 .. 8;

    my ($missed, $wrong, $slowest) = (0, 0, 0);

    for my $round (1 .. 1500) {
        my $ws  = $ws[ $round % @ws ];
        my $pub = $pub[ int rand @pub ];

        $ws->send_text(qq({"type":"subscribe","filter":{"entity_id":"r$round"}}));
        my $got = $ws->read_json;
        my $id  = $got->{subscription_id} // die "round $round: $got->{type}\n";

        my $t0  = time;
        my $res = $pub->post('/publish', '{"action":"created",'
            . qq("entity_type":"round","entity_id":"r$round","data":{}}));
        $wrong++ if $res->{body} !~ /"subscribers":\s*1\b/;

        $got = $ws->read_json;

        if ($got->{type} ne 'event' || $got->{subscription_id} ne $id
            || $got->{data}{event}{entity_id} ne "r$round")
        {
            $missed++;
            diag("round $round: $got->{type}");
            last if $missed > 5;
            next;
        }

        my $took = time - $t0;
        $slowest = $took if $took > $slowest;

        $ws->send_text(qq({"type":"unsubscribe","subscription_id":"$id"}));
        $ws->read_json->{type} eq 'unsubscribed' or $wrong++;
    }

    diag(sprintf 'the slowest event took %.1f ms', $slowest * 1000);

    is($missed, 0, 'nothing is missed');
    is($wrong, 0, 'each publish knew its one subscriber');

    $_->close for @ws, @pub;
    $nginx->finish;
};


subtest 'subscribe while others publish' => sub {
    my $nginx = nginx_of(4);

    my @pids = map {
        my $name = "s$_";
        in_child(sub { publisher($nginx->port, $name, 10_000_000) });
    } 1 .. 3;

    my ($holes, $early, $short) = (0, 0, 0);
    my $end = time + 60;
    my $rounds;

    for ($rounds = 0; $rounds < 100 && time < $end; $rounds++) {
        last if $rounds >= 10 && time > $end - 40;
        my ($subs) = subscribers($nginx->port, 4);
        collect($subs, 20, 5);

        for my $raw (@$subs) {
            my @seq = map { /^(\d+)/ } @{ $raw->{got} };
            my $next = $raw->{from} + 1;
            $short++ if @seq < 20;
            $early++ if @seq && $seq[0] < $next;
            for my $seq (@seq) { $holes++ if $seq != $next++ }
            $raw->close;
        }
    }

    my $ended = grep { waitpid($_, POSIX::WNOHANG()) != 0 } @pids;
    is($ended, 0, 'the publishers did not stop');
    @pids = () if $ended;

    for my $pid (@pids) {
        kill 'TERM', $pid;
        waitpid $pid, 0;
    }

    cmp_ok($rounds, '>=', 10, "$rounds rounds");
    is($short, 0, 'events come');
    is($early, 0, 'nothing of before the start');
    is($holes, 0, 'the first event is the one after last_id, and all follow');

    $nginx->finish;
};


# a connection that is not read does not hold up the others, and has all
# events when it reads again

subtest 'a slow subscriber' => sub {
    my $nginx = nginx_of(2);

    my ($slow)  = subscribers($nginx->port, 2);
    my ($quick) = subscribers($nginx->port, 10);

    my $big = 'x' x 4000;
    my $pub = WSBus::Raw->new($nginx->port);

    for my $i (1 .. 10) {
        $pub->post('/publish', '[' . join(',', map {
            qq({"action":"created","entity_type":"order","entity_id":"b-$i-$_",)
            . qq("data":"$big"}) } 1 .. 100) . ']');
    }

    collect($quick, 1000, 30);
    is(scalar(grep { @{ $_->{got} } != 1000 } @$quick), 0,
       'those that read have all');

    collect($slow, 1000, 30);
    is(scalar(grep { @{ $_->{got} } != 1000 } @$slow), 0,
       'the slow ones have all, when they read');

    my %order = map { join(' ', @{ $_->{got} }) => 1 } @$quick, @$slow;
    is(scalar keys %order, 1, 'in the same order');

    $pub->post('/publish', '{"action":"created","entity_type":"order",'
        . '"entity_id":"b-0-0","data":{}}');
    collect([ @$slow, @$quick ], 1001, 10);
    is(scalar(grep { @{ $_->{got} } != 1001 } @$slow, @$quick), 0,
       'and the next one');

    $_->close for @$slow, @$quick, $pub;
    $nginx->finish;
};


done_testing;
