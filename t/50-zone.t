# SPDX-License-Identifier: BSD-2-Clause
# The zone outlives reloads and workers, and zones know nothing of each other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Client;
use WSBus::Id;
use WSBus::Nginx;

sub http {
    my (%o) = @_;

    my $events = $o{events} // 'zone=events:8m';
    my $other  = $o{other}  // 'ws_bus_zone zone=other:4m;';
    my $more   = $o{more}   // '';

    return <<"END";
        ws_bus_zone $events;
        ws_bus_drain_window 1s;
        $other
        server {
            listen 127.0.0.1:%%PORT%%;
            location /ws      { ws_bus events; }
            location /publish { ws_bus_publish events; }
            location /status  { ws_bus_status; }
            location /other/ws      { ws_bus other; }
            location /other/publish { ws_bus_publish other; }
            location /generation    { return 200 "@{[ $o{generation} // 1 ]}"; }
            $more
        }
END
}

my $nginx = WSBus::Nginx->new(workers => 2, http => http())->start;
my $c     = WSBus::Client->new($nginx);

sub order {
    return { action => 'created', entity_type => 'order', entity_id => 'o',
             data => {}, @_ };
}

sub publish_id {
    my (%o) = @_;
    my ($code, $reply) = $c->publish(order(), %o);
    is($code, 200, 'published');
    return (epoch_of($reply->{last_id}), seq_of($reply->{last_id}));
}

sub zone {
    my ($name) = @_;
    my ($zone) = grep { $_->{name} eq $name } @{ $c->status->{zones} };
    return $zone // {};
}


subtest 'ids go on after a reload' => sub {
    my ($epoch, $seq) = publish_id();

    for my $n (1 .. 3) {
        my $first = zone('events')->{first_id};

        ok($nginx->reload(http => http(generation => $n + 1)), "reload $n");
        is(($c->get('/generation'))[3], $n + 1, 'the new configuration serves');

        is(zone('events')->{epoch}, $epoch, 'the same epoch in the status');
        is(zone('events')->{first_id}, $first, 'the history is there');
        is(zone('events')->{last_id}, event_id($epoch, $seq),
           'to its last event');

        my ($e, $s) = publish_id();
        is($e, $epoch, 'the same epoch');
        is($s, ++$seq, 'the next id');
    }
};


subtest 'subscribers go on after a reload' => sub {
    my $ws = $c->open;
    $ws->subscribe({ entity_type => 'order' });
    my ($epoch, $seq) = publish_id();
    is($ws->wait_type('event')->{data}{id}, event_id($epoch, $seq),
       'an event before');

    ok($nginx->reload, 'reload');

    my $again = $c->open;
    is($again->subscribe({ entity_type => 'order' })->{last_id},
       event_id($epoch, $seq), 'a new connection starts where the old one was');

    publish_id();
    is($again->wait_type('event')->{data}{id}, event_id($epoch, $seq + 1),
       'and has the next event');

    my ($code) = $ws->wait_close(20);
    is($code, 1012, 'the old one is closed with 1012');

    $again->finish;

    ok(WSBus::Nginx::await(sub { !$nginx->draining_pids }, 20),
       'the old workers are gone');
};


subtest 'another size is refused' => sub {
    my ($epoch, $seq) = publish_id();
    my $before = join ' ', $nginx->worker_pids;

    $nginx->allow(qr/\[emerg\].*events.*size|\[emerg\].*size.*events/);

    my $said = $nginx->reload_refused(http => http(events => 'zone=events:16m',
                                                   generation => 99));

    like($said, qr/\[emerg\][^\n]*events/, 'with a message that names the zone');
    like($said, qr/\[emerg\][^\n]*size/, 'and says that it is the size');

    is(join(' ', $nginx->worker_pids), $before, 'the old workers serve');
    isnt(($c->get('/generation'))[3], 99, 'with the old configuration');
    is(zone('events')->{size}, 8 << 20, 'and the old zone');

    my ($e, $s) = publish_id();
    is($e, $epoch, 'the same epoch');
    is($s, $seq + 1, 'the next id');

    ok($nginx->reload(http => http()), 'a right configuration is taken');
    ($e, $s) = publish_id();
    is(event_id($e, $s), event_id($epoch, $seq + 2), 'and ids go on');
};


subtest 'a zone may come and go' => sub {
    my ($epoch, $seq) = publish_id();

    ok($nginx->reload(http => http(
        other => 'ws_bus_zone zone=other:4m; ws_bus_zone zone=third:1m;',
        more  => 'location /third { ws_bus_publish third; }')), 'reload');

    my ($third) = publish_id(path => '/third');
    isnt($third, $epoch, 'a third zone, with an epoch of its own');

    ok($nginx->reload(http => http()), 'reload without it');
    is_deeply([ sort map { $_->{name} } @{ $c->status->{zones} } ],
              [qw(events other)], 'it is gone');

    my ($e, $s) = publish_id();
    is(event_id($e, $s), event_id($epoch, $seq + 1), 'the others go on');
};


subtest 'two zones are two' => sub {
    my $one = $c->open('/ws');
    my $two = $c->open('/other/ws');
    $_->subscribe({}) for $one, $two;

    my ($e1, $s1) = publish_id();
    my ($e2, $s2) = publish_id(path => '/other/publish');
    isnt($e1, $e2, 'other epochs');

    is(join(' ', map { $_->{data}{id} } $one->sync), event_id($e1, $s1),
       'an event of the first is for the first');
    is(join(' ', map { $_->{data}{id} } $two->sync(path => '/other/publish')),
       event_id($e2, $s2), 'and of the second for the second');

    my (undef, $reply) = $c->publish(order(), path => '/other/publish');
    is($reply->{subscribers}, 1, 'subscribers are counted by zone');

    $_->finish for $one, $two;
};


subtest 'history is bounded by the zone' => sub {
    my $big   = order(data => 'x' x 100_000);
    my $first = zone('events')->{first_id};

    is(($c->publish([ ($big) x 5 ]))[0], 200, 'accepted') for 1 .. 30;

    my $now = zone('events');
    isnt($now->{first_id}, $first, 'the oldest are gone');
    cmp_ok($now->{used}, '<=', $now->{size}, 'the zone is not larger than it is');

    my $old = seq_of($now->{first_id});
    my $new = seq_of($now->{last_id});
    cmp_ok($new - $old, '>', 30, 'most of the zone is history');
    cmp_ok($new - $old, '<', 80, 'and no more than fits');
};


subtest 'a worker that dies' => sub {
    for my $round (1 .. 4) {
        my @ws = $c->connect_many(6);
        $_->wait_type('welcome'), $_->subscribe({ entity_type => 'order' })
            for @ws;

        my ($epoch, $seq) = publish_id();
        $_->wait_type('event') for @ws;

        my ($victim) = $nginx->worker_pids;
        ok($nginx->kill_worker($victim), "SIGKILL of $victim");

        ok(WSBus::Nginx::await(sub {
            $nginx->all_workers
                && !grep { $_ == $victim } $nginx->worker_pids;
        }), 'another takes its place');

        my ($e, $s) = publish_id();
        is(event_id($e, $s), event_id($epoch, $seq + 1), 'ids go on');

        my $left = 0;
        for my $ws (@ws) {
            my $got = $ws->wait_for(
                sub { ($_->{data}{id} // '') eq event_id($e, $s) }, 5);
            next if $ws->{closed};
            is($got->{type}, 'event', 'who is still connected has the event');
            $left++;
        }

        ok(WSBus::Nginx::await(sub {
            my $n = 0;
            $n += $_->{subscriptions} for @{ zone('events')->{workers} };
            return $n == $left;
        }), 'the subscriptions of the dead are gone from the status');

        is(($c->publish(order()))[1]{subscribers}, $left,
           'and are counted no more');

        my $ws = $c->open;
        $ws->subscribe({ entity_type => 'order' });
        ($e, $s) = publish_id();
        is($ws->wait_type('event')->{data}{id}, event_id($e, $s),
           'a new one has events');

        $_->finish for grep { !$_->{closed} } @ws, $ws;
    }
};


$nginx->finish;
done_testing;
