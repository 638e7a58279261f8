# SPDX-License-Identifier: BSD-2-Clause
# Limits of connections and subscriptions, for the zone and for each value of
# a key, over all workers; of the rate of messages; and of what one client can
# cost in memory, in the registry and in a turn.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(encode_json);
use Test::More;
use Time::HiRes qw(sleep time);

use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(
    workers => 4, fixed_workers => 1,
    http    => WSBus::Nginx::minimal(
        listen => 'reuseport',
        http   => 'ws_bus_tenant $arg_tenant; ws_bus_zone zone=small:2m history=512k;',
        server => 'add_header X-Worker $pid always;
                   location = /status { ws_bus_status; ws_bus_tenant off; }
                   location /zone/ws { ws_bus events;
                       ws_bus_tenant a; ws_bus_max_connections 3; }
                   location /key/ws { ws_bus events;
                       ws_bus_tenant a;
                       ws_bus_max_connections 2 key=$arg_user;
                       ws_bus_max_connections 5 key=$server_port; }
                   location /same/ws { ws_bus events;
                       ws_bus_tenant a;
                       ws_bus_max_connections 3 key=$arg_user; }
                   location /subs/ws { ws_bus events;
                       ws_bus_max_subscriptions 3;
                       ws_bus_max_subscriptions 4 key=$ws_bus_tenant; }
    location /cost/ws { ws_bus events; ws_bus_tenant $arg_tenant;
                       ws_bus_max_comparisons 150;
                       ws_bus_max_comparisons 200 key=$ws_bus_tenant; }
                   location /rate/ws { ws_bus events; ws_bus_tenant a;
                       ws_bus_message_rate 600r/m burst=5; }
                   location /control/ws { ws_bus events; ws_bus_tenant a;
                       ws_bus_message_rate 600r/m burst=50 control=1r/m;
                       ws_bus_ping_interval 1s; }
                   location /keys/ws { ws_bus events;
                       ws_bus_max_subscriptions 10 key=$ws_bus_tenant; }
                   location /bytes/ws { ws_bus events;
                       ws_bus_max_filters_size 8k; }
                   location /small/ws { ws_bus small;
                       ws_bus_max_subscriptions 1000; }
                   location /rate/echo { ws_bus_echo;
                       ws_bus_message_rate 1r/s; }
                   '),
)->start;

my $port = $nginx->port;


sub totals {
    my $zone = WSBus::Raw::zone($port);
    return ($zone->{totals}, $zone);
}

sub try_open {
    my ($path) = @_;
    my $ws  = WSBus::Raw->new($port);
    my $res = $ws->handshake(path => $path);
    if ($res->{status} == 101) {
        $ws->{worker} = $res->{headers}{'x-worker'};
        $ws->read_json;
    }
    return ($res->{status}, $ws);
}

sub fill {
    my ($path, $n) = @_;
    my @open;
    for (1 .. $n) {
        my ($status, $ws) = try_open($path);
        is($status, 101, "$path: number $_");
        push @open, $ws;
    }
    return @open;
}

# closed as the server sees it

sub leave {
    my ($ws) = @_;
    $ws->send_frame(8, WSBus::Raw::close_payload(1000));
    $ws->read_end;
    $ws->close;
}

# a place that was left is free as soon as the worker has closed

sub opens_again {
    my ($path, $what) = @_;
    my ($status, $ws);
    my $end = time + $WSBus::Nginx::TIMEOUT;
    do { ($status, $ws) = try_open($path) } while $status == 503 && time < $end;
    is($status, 101, $what);
    return $ws;
}

my $SUB = '{"type":"subscribe","filter":{}}';


subtest 'of the zone' => sub {
    my @open = fill('/zone/ws', 3);
    my ($before) = totals();

    is((try_open('/zone/ws'))[0], 503, 'one more, on whatever worker')
        for 1 .. 8;
    is((totals())[0]{refused_connections} - $before->{refused_connections}, 8,
       'counted');

    my ($status, $ws) = try_open('/ws?tenant=b');
    is($status, 101, 'another location has no limit');

    leave(pop @open);
    ok(WSBus::Nginx::await(sub { (totals())[0]{connections} <= 3 }),
       'one has left');
    is((try_open('/zone/ws'))[0], 503, 'but its connections are of the zone');
    leave($ws);

    push @open, opens_again('/zone/ws', 'a place that was left is free');
    is((try_open('/zone/ws'))[0], 503, 'and taken');

    $_->vanish for @open;
    @open = (opens_again('/zone/ws', 'so are those of clients that vanished'));
    leave($_) for @open;
};


subtest 'of a key' => sub {
    my @open = (fill('/key/ws?user=ann', 2), fill('/key/ws?user=bob', 2));

    is((try_open('/key/ws?user=ann'))[0], 503, 'ann has two');
    is((try_open('/key/ws?user=bob'))[0], 503, 'bob as well');

    push @open, fill('/key/ws', 1);
    is((try_open('/key/ws?user=cid'))[0], 503, 'the other limit holds too');
    is((try_open('/key/ws'))[0], 503, 'also for who has no user');

    my ($status, $ws) = try_open('/same/ws?user=ann');
    is($status, 101, 'the same key at another location is the same count');
    is((try_open('/same/ws?user=ann'))[0], 503, 'with its own limit');
    leave($ws);

    leave($_) for @open;

    # a handshake that is refused by one limit counts for no other: of those
    # that are refused until the last ones are gone, too

    for (1 .. 6) {
        my @both = map { opens_again('/key/ws?user=ann', "free again: $_") } 1, 2;
        is((try_open('/key/ws?user=ann'))[0], 503, 'and no more than two');
        $_->vanish for @both;
    }
};


subtest 'a worker that is killed gives back what it held' => sub {
    my @open = fill('/zone/ws', 3);

    my %of;
    $of{ $_->{worker} }++ for @open;
    my ($worker) = sort { $of{$b} <=> $of{$a} } keys %of;

    $nginx->kill_worker($worker);

    my @free = map { opens_again('/zone/ws', 'a place of the dead') }
               1 .. $of{$worker};
    is((try_open('/zone/ws'))[0], 503, 'no more than those');

    leave($_) for @free, grep { $_->{worker} != $worker } @open;
};


subtest 'subscriptions of a key' => sub {
    my (undef, $one) = try_open('/subs/ws?tenant=t');
    my (undef, $two) = try_open('/subs/ws?tenant=t');
    my (undef, $other) = try_open('/subs/ws?tenant=u');

    is($one->ask($SUB)->{type}, 'subscribed', "one $_") for 1 .. 3;

    my $more = $one->ask($SUB);
    is($more->{code}, 'too_many_subscriptions', 'of the connection');

    is($two->ask($SUB)->{type}, 'subscribed', 'the fourth');
    $more = $two->ask($SUB);
    is($more->{code}, 'too_many_subscriptions', 'of the key');
    is($more->{message}, 'Too many subscriptions', 'in words');

    is($other->ask($SUB)->{type}, 'subscribed', 'another key');

    is($one->ask('{"type":"unsubscribe","subscription_id":"sub_2"}')->{type},
       'unsubscribed', 'one less');
    is($two->ask($SUB)->{type}, 'subscribed', 'one more');

    leave($one);
    my $end = time + $WSBus::Nginx::TIMEOUT;
    my $got;
    do { $got = $two->ask($SUB)->{type} } while $got eq 'error' && time < $end;
    is($got, 'subscribed', 'a connection that ends gives its own back');

    my (undef, $zone) = totals();
    my $filters = 0;
    $filters += $_->{filters} for @{ $zone->{workers} };
    is($filters, 2, 'quotas are no filters');

    leave($_) for $two, $other;
};


sub ids { return { entity_id => [ map { "$_[0]-$_" } 1 .. $_[1] ] } }

sub subscribe { return { type => 'subscribe', filter => $_[0], @_[ 1 .. $#_ ] } }


subtest 'subscriptions count as many as they have keys' => sub {
    my (undef, $one) = try_open('/keys/ws?tenant=k');
    my (undef, $two) = try_open('/keys/ws?tenant=k');

    is($one->ask(subscribe(ids('a', 8)))->{type}, 'subscribed', 'eight values');
    is($two->ask(subscribe(ids('b', 3)))->{code}, 'too_many_subscriptions',
       'three more are too many');
    is($two->ask(subscribe(ids('b', 2)))->{type}, 'subscribed', 'two are not');
    is($two->ask($SUB)->{code}, 'too_many_subscriptions', 'and that was all');

    is($one->ask('{"type":"unsubscribe","subscription_id":"sub_1"}')->{type},
       'unsubscribed', 'the eight go');
    is($two->ask(subscribe({ %{ ids('c', 2) }, kind => [qw(entity link)],
                             event_type => [qw(created deleted)] }))->{type},
       'subscribed', 'there is room for two by two by two');
    is($one->ask($SUB)->{code}, 'too_many_subscriptions', 'which are eight');

    leave($_) for $one, $two;
};


subtest 'bytes of filters' => sub {
    my ($before) = totals();
    my (undef, $ws) = try_open('/bytes/ws?tenant=t');

    is($ws->ask(subscribe(ids('a', 100)))->{type}, 'subscribed', '100 values');
    my $more = $ws->ask(subscribe(ids('a', 100)));
    is($more->{code}, 'filters_too_large', 'the same again is too much');
    like($more->{message}, qr/too large together/, 'in words');
    is((totals())[0]{limited} - $before->{limited}, 1, 'counted');
    is($ws->ask($SUB)->{type}, 'subscribed', 'a small one fits');

    is($ws->ask('{"type":"unsubscribe","subscription_id":"sub_1"}')->{type},
       'unsubscribed', 'without the first');
    is($ws->ask(subscribe(ids('a', 100)))->{type}, 'subscribed', 'it fits');
    ok($ws->alive, 'the connection stays');
    leave($ws);

    # conditions count with their text, and for each column

    (undef, $ws) = try_open('/bytes/ws?tenant=t');
    my @where = map { { column => "a.b.c$_", operator => 'eq', value => 1 } } 1 .. 9;
    is($ws->ask(subscribe({}, where => [ @where[ 0 .. 8 ] ]))->{type},
       'subscribed', 'nine columns');
    is($ws->ask(subscribe({}, where => [ @where[ 0 .. 8 ] ]))->{code},
       'filters_too_large', 'nine more');
    leave($ws);

    # by default 2k for each subscription, so that all simple ones fit

    (undef, $ws) = try_open('/ws?tenant=t');
    my %got;
    $got{ $_->{code} // $_->{type} }++
        for map { $ws->ask(subscribe(ids("d$_", 128))) } 1 .. 45;
    is_deeply(\%got, { subscribed => 41, filters_too_large => 4 },
              'of 128 values 41');
    leave($ws);
};


subtest 'one tenant cannot take all of the registry' => sub {
    my (@big, %got);

    for (1 .. 400) {
        my (undef, $ws) = try_open('/small/ws?tenant=big');
        push @big, $ws;

        # each connection has little

        for my $n (1 .. 3) {
            my $got = $ws->ask(subscribe(ids("$_-$n", 40)));
            $got{ $got->{code} // $got->{type} }++;
        }

        last if ($got{registry_full} // 0) >= 50;
    }

    cmp_ok($got{registry_full} // 0, '>=', 50, 'it is refused');
    cmp_ok($got{subscribed}, '>', 200, 'after it has got a lot');

    my @small;

    for my $name ('a' .. 'p') {
        my (undef, $ws) = try_open("/small/ws?tenant=$name");
        push @small, $ws;
        my $got = $ws->ask(subscribe(ids('x', 10)));
        is($got->{type}, 'subscribed', $name)
            or diag(encode_json($got));
    }

    leave($_) for @big, @small;
};


subtest 'the page of filters has an end' => sub {
    my @ws;

    for my $k (0 .. 11) {
        my (undef, $ws) = try_open('/ws?tenant=t');
        push @ws, $ws;
        $ws->ask(subscribe({ entity_type => "p-$k-$_" })) for 1 .. 110;
        $ws->ask(subscribe({ entity_type => 'all' }));
    }

    my (undef, $zone) = totals();
    my @filters = @{ $zone->{filters} };
    my ($all) = grep { $_->{filter}{entity_type} eq 'all' } @filters;

    is(scalar @filters, 1000, 'a thousand lines');
    is(scalar(keys %{ { map { encode_json($_->{filter}) => 1 } @filters } }), 1000,
       'each another one');
    cmp_ok($zone->{filters_more} // 0, '>=', 320, 'and how many are not shown');
    is($all->{count}, 12, 'equal ones of all workers are one') if $all;

    leave($_) for @ws;
    ok(WSBus::Nginx::await(sub { (totals())[0]{subscriptions} == 0 }), 'all gone');
    (undef, $zone) = totals();
    is(scalar @{ $zone->{filters} }, 0, 'no line is left');
    ok(!exists $zone->{filters_more}, 'nor more');
};


subtest 'many wide filters go at once' => sub {
    my (undef, $free) = totals();
    my (@ws, %workers);

    for my $k (1 .. 24) {
        my (undef, $ws) = try_open('/ws?tenant=t');
        push @ws, $ws;
        $workers{ $ws->{worker} } = 1;
        $ws->send_text(encode_json(subscribe(ids('common', 100),
            where => [ { column => "c-$k-$_", operator => 'eq', value => 1 } ])))
            for 1 .. 10;
        is($ws->read_json->{type}, 'subscribed') for 1 .. 10;
    }

    my (undef, $stays) = try_open('/ws?tenant=t');
    $stays->ask(subscribe({ entity_id => 'common-7' }));

    kill STOP => $_ for keys %workers;
    $_->sock->close for @ws;
    kill CONT => $_ for keys %workers;

    my $pub = WSBus::Raw->new($port);
    my $res = $pub->post('/publish?tenant=t', encode_json({ action => 'created',
        entity_type => 'x', entity_id => 'common-7', data => { 'c-1-1' => 1 } }));
    is($res->{status}, 200, 'published meanwhile');
    is($stays->read_json->{type}, 'event', 'who stays has it');

    ok(WSBus::Nginx::await(sub { (totals())[0]{subscriptions} == 1 }),
       'the others are taken out');
    ok($stays->alive, 'a worker lives');
    leave($stays);

    ok(WSBus::Nginx::await(sub { (totals())[1]{chunks_free} >= $free->{chunks_free} }),
       'with all that they had');
};


subtest 'comparisons' => sub {
    my $where = sub {
        my @conditions = map { my ($op, $value, $logic) = @$_;
            qq({"column":"c","operator":"$op","value":$value,"logic_operator":")
            . ($logic // 'AND') . '"}' } @_;
        return '{"type":"subscribe","filter":{},"where":['
               . join(',', @conditions) . ']}';
    };
    my $pattern  = [ 'like', '"%x%"' ];           # 64
    my $anchored = [ 'like', '"a%"' ];            # 1
    my $found    = [ 'eq', '1' ];                 # 0

    my (undef, $one) = try_open('/cost/ws?tenant=t');
    my (undef, $two) = try_open('/cost/ws?tenant=t');
    my (undef, $other) = try_open('/cost/ws?tenant=u');

    my ($before) = totals();

    is($one->ask($where->($pattern))->{type}, 'subscribed', 'a pattern');
    is($one->ask($where->($pattern, $found))->{type}, 'subscribed', 'another');
    is($one->ask($where->($found))->{type}, 'subscribed', 'what a hash finds');

    my $more = $one->ask($where->($pattern));
    is($more->{code}, 'too_costly', 'of the connection');
    is($more->{message},
       'The conditions on this connection cost too many comparisons',
       'in words');

    is($one->ask($where->(($anchored) x 1, map { [ 'neq', $_ ] } 1 .. 10))
           ->{type}, 'subscribed', 'eleven more');

    is($two->ask($where->($anchored))->{type}, 'subscribed', 'of another');
    $more = $two->ask($where->($pattern));
    is($more->{code}, 'too_costly', 'of the key');
    is($more->{message}, 'The conditions cost too many comparisons',
       'in words');
    is($two->ask($where->($found))->{type}, 'subscribed', 'the connection stays');

    is($other->ask($where->($pattern, $pattern, [ 'like', '"%y%"' ]))->{type},
       'subscribed', 'another key, and one that is there twice');

    my ($after) = totals();
    is($after->{limited} - $before->{limited}, 2, 'counted');

    is($one->ask('{"type":"unsubscribe","subscription_id":"sub_1"}')->{type},
       'unsubscribed', 'one less');
    is($two->ask($where->($pattern))->{type}, 'subscribed', 'one more');
    is($one->ask($where->($pattern))->{code}, 'too_costly', 'but not both');

    leave($two);
    my $end = time + $WSBus::Nginx::TIMEOUT;
    my $got;
    do { $got = $one->ask($where->($pattern))->{type} }
        while $got eq 'error' && time < $end;
    is($got, 'subscribed', 'a connection that ends gives its own back');

    my (undef, $default) = try_open('/subs/ws?tenant=default');
    my $wide = $where->(map { [ 'like', qq("%$_%") ] } 1 .. 16);
    is($default->ask($wide)->{type}, 'subscribed', '16 patterns');
    is($default->ask($wide)->{type}, 'subscribed', '32 patterns');
    is($default->ask($where->($pattern))->{code}, 'too_costly',
       'are 2048, of as many by default');

    leave($_) for $one, $other, $default;
};


subtest 'messages' => sub {
    my ($before) = totals();

    my (undef, $ws) = try_open('/rate/ws');
    is($ws->ask('{"type":"ping"}')->{type}, 'pong', "message $_")
        for 1 .. 5;

    # whatever time it took, fifty at once are too many

    $ws->write(join '', map { WSBus::Raw::frame(1, '{"type":"ping"}') } 1 .. 50);
    is($ws->read_close, 1008, 'too many at once');
    is($ws->{close_reason}, 'too many messages', 'in words');

    is((totals())[0]{limited} - $before->{limited}, 1, 'counted');

    (undef, $ws) = try_open('/rate/ws');

    my $n = 0;
    while ($n < 10) {
        sleep 0.11;
        last if $ws->ask('{"type":"ping"}')->{type} ne 'pong';
        $n++;
    }
    is($n, 10, 'ten a second go on for ever');
    $ws->close;

    # control frames are counted by themselves

    (undef, $ws) = try_open('/rate/ws');
    $ws->send_frame($_ % 2 ? 9 : 10, 'x') for 1 .. 50;
    ok($ws->alive, '50 control frames at once, beside the messages');
    $ws->send_frame(9, 'x') for 1 .. 5000;
    is($ws->read_close, 1008, 'but not any number');
    is($ws->{close_reason}, 'too many control frames', 'in words');

    is((totals())[0]{limited} - $before->{limited}, 2, 'counted');

    (undef, $ws) = try_open('/control/ws');
    $ws->send_frame(9, 'x') for 1 .. 5;
    ok($ws->alive, 'five of a rate below one a second');

    # answers to the server's own pings are not counted: 1 s is the interval
    $n = 0;
    while ($n < 3 && (my $frame = $ws->read_frame)) {
        next if $frame->{opcode} != 9;
        $ws->send_frame(10, '');
        $n++;
    }
    ok($ws->alive, 'whatever the server itself asks for comes besides');
    $ws->send_frame(10, 'x');
    is($ws->read_close, 1008, 'and no more than that');

    my $echo = WSBus::Raw->open($port, path => '/rate/echo',
                                no_welcome => 1);
    $echo->write(join '', map { WSBus::Raw::frame(1, $_) } qw(a b c));
    is($echo->read_close, 1008, 'an echo has it, too');
};


subtest 'configurations' => sub {
    my %bad = (
        'ws_bus_max_connections 0'            => qr/from 1 to 10000000/,
        'ws_bus_max_filters_size 1023'        => qr/a size from 1k to 1g/,
        'ws_bus_max_filters_size off'         => qr/a size from 1k to 1g/,
        'ws_bus_max_connections x'            => qr/from 1 to 10000000/,
        'ws_bus_max_connections 1 key='       => qr/write "key=" and a value/,
        'ws_bus_max_connections 1 by=$uri'    => qr/write "key=" and a value/,
        'ws_bus_max_subscriptions 0'          => qr/from 1 to 10000000/,
        'ws_bus_max_subscriptions 1; ws_bus_max_subscriptions 2'
                                              => qr/is duplicate/,
        'ws_bus_max_comparisons 0'            => qr/from 1 to 10000000/,
        'ws_bus_max_comparisons 1 by=$uri'    => qr/write "key=" and a value/,
        'ws_bus_max_comparisons 1; ws_bus_max_comparisons 2'
                                              => qr/is duplicate/,
        'ws_bus_message_rate 10'              => qr/such as "10r\/s"/,
        'ws_bus_message_rate 0r/s'            => qr/such as "10r\/s"/,
        'ws_bus_message_rate 10r/h'           => qr/such as "10r\/s"/,
        'ws_bus_message_rate 10r/s burst=0'   => qr/"burst=" and a number/,
        'ws_bus_message_rate 10r/s nodelay'   => qr/"burst=" and a number/,
        'ws_bus_message_rate 10r/s control=0r/s'    => qr/"control=" and a rate/,
        'ws_bus_message_rate 10r/s control=off'     => qr/"control=" and a rate/,
        'ws_bus_message_rate 10r/s burst=5 control' => qr/"control=" and a rate/,
        'ws_bus_message_rate 1r/s; ws_bus_message_rate off'
                                              => qr/is duplicate/,
        'ws_bus_max_connections 1; ws_bus_max_connections 2'
                                              => qr/is duplicate/,
        'ws_bus_max_connections 1 key=$uri; ws_bus_max_connections 2 key=$uri'
                                              => qr/is duplicate/,
        join('; ', map { "ws_bus_max_connections 1 key=$_" } 1 .. 9)
                                              => qr/more than 8/,
    );

    for my $line (sort keys %bad) {
        my (undef, $said) = WSBus::Nginx->test_config(
            http => WSBus::Nginx::minimal(http => "$line;"));
        like($said, $bad{$line}, $line);
    }
};

$nginx->allow(qr/exited on signal 9/);
$nginx->finish;
done_testing;
