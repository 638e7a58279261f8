# SPDX-License-Identifier: BSD-2-Clause
# Who does not read costs the same whatever it misses, is told what it has
# missed, and holds up nobody.

use strict;
use warnings;

use Compress::Raw::Zlib;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Poll ();
use Mojo::JSON qw(decode_json);
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(time);

use WSBus::Id;
use WSBus::Ledger;
use WSBus::Nginx;
use WSBus::Raw;
use WSBus::Swarm;


sub nginx_of {
    my (%o) = @_;

    return WSBus::Nginx->new(
        workers       => $o{workers} // 1,
        fixed_workers => 1,
        events        => 'worker_connections 4096;',
        http          => WSBus::Nginx::minimal(
            zone   => $o{zone} // 'zone=events:2m history=1m',
            listen => 'reuseport backlog=2048',
            http   => "keepalive_requests 10000000; client_max_body_size 8m;
                       ws_bus_ping_interval 1h; " . ($o{http} // ''),
            server => 'add_header X-Worker $pid always;
                       location /close/ws { ws_bus events;
                                            ws_bus_on_gap close; }'),
    )->start;
}

sub event {
    my ($id, $size) = @_;
    return qq({"action":"updated","entity_type":"t1","entity_id":"$id",)
           . qq("data":") . 'x' x ($size // 10) . '"}';
}

sub publish {
    my ($raw, @events) = @_;
    return seq_of($raw->publish('[' . join(',', @events) . ']')->{last_id});
}

sub subscribe {
    my ($ws, $filter, $more) = @_;
    $ws->send_text(qq({"type":"subscribe","filter":$filter)
                   . ($more // '') . '}');
    return;
}

# all messages up to the pong that says so much

sub up_to {
    my ($ws, $seq, $timeout) = @_;

    my @got;
    my $end = time + 3 * WSBus::Nginx::patience($timeout);

    while (time < $end) {
        $ws->send_text('{"type":"ping"}');
        my $m;
        push @got, $m
            while ($m = $ws->read_json)->{type} !~ /^(?:pong|none|CLOSE)$/;
        last if $m->{type} ne 'pong';
        last if defined $m->{last_id}
                && seq_of($m->{last_id}) >= $seq;
    }

    return @got;
}

# publishes until the socket of a client that does not read is full, and has
# been for a while; what the history holds by then is not evicted yet

sub fill_socket {
    my ($nginx, $pub) = @_;

    my $ask  = WSBus::Raw->new($nginx->port);
    my $sent = sub {
        $ask->write("GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
        return decode_json($ask->response->{body})
                   ->{zones}[0]{totals}{bytes_out};
    };

    publish($pub, map { event($_, 2000) } 1 .. 10) for 1 .. 30;

    my ($was, $since) = (-1, time);
    WSBus::Nginx::await(sub {
        my $now = $sent->();
        ($was, $since) = ($now, time) if $now != $was;
        return time - $since > 0.5;
    });

    $ask->close;
    return;
}

# a client with a small buffer that does not grow

sub small {
    my ($nginx, $path) = @_;
    my $ws = WSBus::Raw->new($nginx->port);
    setsockopt $ws->sock, SOL_SOCKET, SO_RCVBUF, 16_384;
    $ws->handshake(path => $path // '/ws');
    $ws->read_json->{type} eq 'welcome' or die "no welcome\n";
    return $ws;
}

sub seq { return seq_of($_[0]) }


subtest 'memory' => sub {
    my $nginx = nginx_of(http => 'ws_bus_sndbuf 8k;',
                         zone => 'zone=events:64m');
    my ($worker) = $nginx->worker_pids;
    my $count = 300;
    my $pub   = WSBus::Raw->new($nginx->port);

    my $memory = sub {
        my ($kb) = WSBus::Nginx::slurp("/proc/$worker/status")
                   =~ /^RssAnon:\s+(\d+) kB/m;
        return $kb * 1024;
    };

    my $swarm = WSBus::Swarm->new(port => $nginx->port);
    $swarm->add(subs => [ { filter => {}, since => 'now' } ], rcvbuf => 65_536)
        for 1 .. $count;
    ok($swarm->all_subscribed, "$count subscribers");
    $_->{read} = 0 for $swarm->followers;

    # who reads nothing has its socket full after this, and what the worker
    # keeps for all has its full size

    my $reader = WSBus::Raw->open($nginx->port);
    subscribe($reader, '{}');
    $reader->read_json;

    my ($last, @memory);

    for my $n (10, 12, 12) {
        $last = publish($pub, map { event($_, 1000) } 1 .. 500) for 1 .. $n;
        up_to($reader, $last, 30);
        push @memory, $memory->();
    }

    my @each = map { ($memory[$_] - $memory[ $_ - 1 ]) / $count } 1, 2;
    diag(sprintf 'each of %d blocked connections grew by %.0f bytes while it '
         . 'missed 6 MB, by %.0f while it missed 6 MB more', $count, @each);

    # one frame that has been begun, at the most
    if (WSBus::Nginx::sanitized()) {
        pass('memory: not judged with a sanitizer');
    } else {
        cmp_ok($each[0], '<', 8192,
               'what a blocked connection misses is not kept');
        cmp_ok($each[1], '<', 512, 'whatever it misses');
    }

    # and all of it comes, when they read

    my $ledger = WSBus::Ledger->new;
    $_->{read} = 262_144 for ($swarm->followers)[ 0 .. 3 ];
    $_->drop, $_->{due} = undef for ($swarm->followers)[ 4 .. $count - 1 ];
    $swarm->{followers} = [ ($swarm->followers)[ 0 .. 3 ] ];
    ok($swarm->all_reach($last, 30), 'four of them read again');
    is(join(' ', map { $_->{events} } $swarm->followers),
       join(' ', (17_000) x 4), 'and have every event');
    is(scalar $swarm->faults, 0, 'in order');

    $swarm->close_all;
    $_->close for $reader, $pub;
    $nginx->finish;
};


subtest 'overtaken: each subscription is told its own gap' => sub {
    my $nginx = nginx_of(http => 'ws_bus_sndbuf 8k;');
    my $pub   = WSBus::Raw->new($nginx->port);

    # a connection that is told nothing until it reads again

    my $ws = small($nginx);
    subscribe($ws, '{}', ',"since":"now"');
    subscribe($ws, '{"entity_id":"none"}', ',"since":"now"');
    $ws->read_json for 1, 2;

    my $first = publish($pub, event('begin'));
    fill_socket($nginx, $pub);
    publish($pub, map { event($_, 2000) } 1 .. 200) for 1 .. 10;

    # it does not read, but may write: this one begins at the head
    subscribe($ws, '{}', ',"since":"now"');
    subscribe($ws, '{"entity_id":["end","none"]}', ',"since":"now"');

    my $status = WSBus::Raw->new($nginx->port);
    my $zone   = sub {
        $status->write("GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
        return decode_json($status->response->{body})->{zones}[0];
    };
    ok(WSBus::Nginx::await(
        sub { $zone->()->{totals}{subscriptions} == 4 }), 'four subscriptions');

    my $last = publish($pub, event('end'));
    my ($oldest) = seq($zone->()->{first_id});
    my @got  = up_to($ws, $last);

    my %gap;
    push @{ $gap{ $_->{subscription_id} } }, $_
        for grep { $_->{type} eq 'gap' } @got;

    is(join(' ', sort keys %gap), 'sub_1 sub_2',
       'those that lack something are told, the others are not');
    is(scalar @{ $gap{sub_1} // [] }, 1, 'once');
    is(scalar @{ $gap{sub_2} // [] }, 1, 'once');

    my $gap = $gap{sub_1}[0];
    is($gap->{reason}, 'slow', 'it was too slow');

    my @seq = map { seq($_->{data}{id}) }
              grep { $_->{type} eq 'event'
                     && $_->{subscription_id} eq 'sub_1' } @got;

    my ($from, $to) = (seq($gap->{from}), seq($gap->{to}));
    my @before = grep { $_ <= $from } @seq;
    my @after  = grep { $_ > $to } @seq;

    is(scalar @before + @after, scalar @seq, 'nothing delivered lies in it');
    is("@before", join(' ', $first .. $from), 'all before it came');
    is("@after", join(' ', $to + 1 .. $last), 'all after it came');

    my $middle = ($oldest + $last) / 2;
    cmp_ok(abs($to - $middle), '<=', 3,
           'it goes on in the middle of what is retained');

    is(seq($gap{sub_2}[0]{to}), $to, 'the gap of the other ends there, too');
    cmp_ok(seq($gap{sub_2}[0]{from}), '>=', $from - 1,
           'it begins where that had come to');
    cmp_ok(seq($gap{sub_2}[0]{from}), '<=', $from + 1, 'and not before');

    for my $case ([ sub_3 => 1 ], [ sub_4 => 1 ], [ sub_2 => 0 ]) {
        my ($sub, $n) = @$case;
        is(scalar(grep { $_->{type} eq 'event'
                         && $_->{subscription_id} eq $sub } @got), $n,
           "$sub has what came since");
    }

    cmp_ok($zone->()->{totals}{gaps}, '>=', 2, 'the status counts gaps');

    $_->close for $ws, $pub, $status;
    $nginx->finish;
};


subtest 'a client that never sent since gets an error' => sub {
    my $nginx = nginx_of(http => 'ws_bus_sndbuf 8k;');
    my $pub   = WSBus::Raw->new($nginx->port);
    my $ws    = small($nginx);

    subscribe($ws, '{}');
    subscribe($ws, '{"entity_id":"never"}');
    $ws->read_json for 1, 2;
    fill_socket($nginx, $pub);

    my $last;
    $last = publish($pub, map { event($_, 2000) } 1 .. 200) for 1 .. 10;

    my @got = up_to($ws, $last);
    my @gap = grep { $_->{type} ne 'event' } @got;

    is(join(' ', map { "$_->{type} $_->{code}" } @gap), 'error gap error gap',
       'two errors with code gap, and no type that it does not know');
    ok(!(grep { exists $_->{id} } @gap), 'without an id');
    like($gap[0]{message}, qr/sub_1\b/, 'the message says of which');
    like($gap[1]{message}, qr/sub_2\b/, 'the message says of which');

    is(seq($got[-1]{data}{id}), $last, 'it goes on to the last event');

    $_->close for $ws, $pub;
    $nginx->finish;
};


# everything that was published is delivered once, or in a gap that was told

subtest 'a crowd that reads too slowly' => sub {
    my $nginx  = nginx_of(workers => 2, http => 'ws_bus_sndbuf 16k;');
    my $ledger = WSBus::Ledger->new;
    my $swarm  = WSBus::Swarm->new(port => $nginx->port);

    srand(3);

    my @filter = ({}, { entity_type => [qw(t1 t2)] }, { entity_id => 'x1' },
                  { entity_type => 't3', entity_id => 'x2' });

    for my $i (1 .. 24) {
        my $f = $swarm->add(rcvbuf => 16_384,
            subs => [ map { { filter => $filter[ ($i + $_) % 4 ],
                              since  => $i % 6 == 5 ? undef : 'now' } }
                      0 .. $i % 3 ]);
        $f->{ping} = 0.05 if $i % 2;
    }

    ok($swarm->all_subscribed, 'all are subscribed');
    my @all = $swarm->followers;

    for my $i (0 .. $#all) {
        $all[$i]{read}  = $i % 4 == 3 ? 262_144 : 2000 + 3000 * ($i % 5);
        $all[$i]{every} = $i % 4 == 3 ? 0 : 0.02 * (1 + $i % 3);
    }

    my $batch;
    $ledger->start_publisher($nginx->port, seed => $_, rate => 6000,
        batch => sub { $batch = rand() < 0.02 ? 600 : 1 + int rand 20 },
        size  => sub { $batch > 3 ? 20 + int rand 100
                       : rand() < 0.1 ? 60_000 : 500 }) for 1, 2;

    my $t0 = time;
    $swarm->until(sub { time - $t0 > 6 }, 10);
    ok($ledger->stop, 'the publishers did not fail');
    is($ledger->{lost} + @{ $ledger->{refused} }, 0, 'each publish succeeded');

    $_->{read} = 262_144, delete $_->{every}, delete $_->{not_before} for @all;
    ok($swarm->all_reach($ledger->{head}, 20), 'all come to the end');

    my $sum = $ledger->prove('slow', $swarm);
    diag(sprintf '%d events, %d delivered, %d in %d gaps', $ledger->{events},
         $sum->{got}, $sum->{in_gap}, $swarm->sum('gaps'));
    cmp_ok($swarm->sum('gaps'), '>', 10, 'there were gaps');
    is(scalar(grep { !$_->{gaps} && $_->{plain} } @all) < 4 ? 'some' : 'none',
       'some', 'also of those that never sent since');

    $swarm->close_all;
    $nginx->finish;
};


# what is evicted under a replay that has frames in its queue

subtest 'overtaken in the middle of a replay' => sub {
    my $nginx  = nginx_of(workers => 2);
    my $ledger = WSBus::Ledger->new;
    my $swarm  = WSBus::Swarm->new(port => $nginx->port);
    my $filter = { entity_type => 't5', entity_id => 'x4' };

    $ledger->start_publisher($nginx->port, seed => $_, batch => 1500)
        for 1, 2;

    $swarm->add(subs => [ { filter => $filter, since => 'first' } ], once => 1)
        for 1 .. 10;

    my ($runs, $gaps, @fault) = (0, 0);
    my $t0 = time;

    # five seconds, or until enough of them were overtaken
    while (time - $t0 < 5 || $gaps <= 20 && time - $t0 < 60) {
        $swarm->step(0.05);

        for my $f ($swarm->followers) {
            next if $f->{sock} && $f->{subs}[0]{events} < 30;
            next if !$f->{opened};
            $runs++;
            $gaps += $f->{gaps};
            push @fault, @{ $f->{faults} };
            $f->drop;

            # the next one knows nothing
            $f->{due}    = 0;
            $f->{faults} = [];
            $f->{gaps}   = 0;
            $f->{subs}   = [ { filter => $filter, since => 'first', got => '',
                               gap => '', events => 0, gaps => 0 } ];
        }
    }

    ok($ledger->stop, 'the publishers did not fail');
    diag("$runs replays, $gaps gaps, $ledger->{events} events");
    cmp_ok($gaps, '>', 20, 'replays were overtaken');
    is(scalar @fault, 0, 'nothing delivered lies in a gap')
        or diag(join "\n", @fault[ 0 .. ($#fault < 9 ? $#fault : 9) ]);

    $swarm->close_all;
    $nginx->finish;
};


# a worker that did not run for so long that all it had not read is gone

subtest 'a worker that is overtaken itself' => sub {
    my $nginx  = nginx_of(workers => 2);
    my $ledger = WSBus::Ledger->new;
    my $swarm  = WSBus::Swarm->new(port => $nginx->port);
    my ($stopped) = $nginx->worker_pids;

    my @filter = ({}, { entity_type => 't1' }, { entity_id => 'x9' },
                  { entity_type => 'none' });
    $swarm->add(subs => [ { filter => $filter[ $_ % 4 ], since => 'now' },
                          { filter => $filter[ ($_ + 1) % 4 ],
                            since  => 'now' } ]) for 1 .. 24;

    # and those who want little, which no slow reader of ours makes lag: so
    # many that some are surely the other worker's
    $swarm->add(subs => [ { filter => $filter[2], since => 'now' },
                          { filter => $filter[3], since => 'now' } ])
        for 1 .. 24;
    ok($swarm->all_subscribed, 'all are subscribed');

    my $pub;
    for (1 .. 200) {
        $pub = WSBus::Raw->new($nginx->port);
        $pub->write("GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
        last if $pub->response->{headers}{'x-worker'} != $stopped;
        $pub->close;
    }

    my @classes = map { WSBus::Ledger::random_class() } 1 .. 200;
    $ledger->publish($pub, 500, @classes);

    kill 'STOP', $stopped;
    my $last;
    $last = $ledger->publish($pub, 500, @classes) for 1 .. 30;
    kill 'CONT', $stopped;

    ok($swarm->all_reach($last, 20), 'all come to the end');
    my $sum = $ledger->prove('stopped', $swarm);
    my @told = grep { $_->{gaps} } $swarm->followers;
    cmp_ok(scalar @told, '>', 0, 'its clients are told their gaps');
    cmp_ok(scalar @told, '<', 48, 'those of the other worker have none');

    $swarm->close_all;
    $pub->close;
    $nginx->finish;
};


subtest 'ws_bus_on_gap close' => sub {
    my $nginx = nginx_of(workers => 2, http => 'ws_bus_sndbuf 16k;');

    my $ledger = WSBus::Ledger->new;
    my $swarm  = WSBus::Swarm->new(port => $nginx->port);

    $swarm->add(path => '/close/ws', rcvbuf => 16_384,
                subs => [ { filter => {}, since => 'now' },
                          { filter => { entity_id => 'x3' },
                            since  => 'now' } ]) for 1 .. 8;
    ok($swarm->all_subscribed, 'all are subscribed');
    $_->{read} = 0 for $swarm->followers;

    my $raw = WSBus::Raw->new($nginx->port);
    my $last;
    $last = $ledger->publish($raw, 1000,
                map { WSBus::Ledger::random_class() } 1 .. 200) for 1 .. 15;

    $_->{read} = 262_144 for $swarm->followers;
    ok($swarm->all_reach($last, 20), 'all come to the end');

    is(scalar(grep { ($_->{closes}{1013} // 0) >= 1 } $swarm->followers), 8,
       'each was closed with 1013');
    my $sum = $ledger->prove('close', $swarm);
    cmp_ok($sum->{in_gap}, '>', 0, 'and learnt of its gap when it came back');

    # a plain one, too

    my $ws = small($nginx, '/close/ws');
    subscribe($ws, '{}');
    $ws->read_json;
    publish($raw, map { event($_, 2000) } 1 .. 200) for 1 .. 10;
    is($ws->read_close, 1013, 'also who never sent since');
    like($ws->{close_reason}, qr/\A$EVENT_ID\z/, 'with its last id');

    $swarm->close_all;
    $_->close for $ws, $raw;
    $nginx->finish;
};


# a frame that has been begun goes on in the same bytes, whoever asks for the
# event in another form meanwhile

subtest 'blocked in the middle of a compressed frame' => sub {
    my $nginx = nginx_of(zone => 'zone=events:64m', http => 'ws_bus_deflate on;
        ws_bus_deflate_min_length 0; ws_bus_sndbuf 16k;');
    my $pub = WSBus::Raw->new($nginx->port);

    my $client = sub {
        my ($bits) = @_;
        my $ws = WSBus::Raw->new($nginx->port);
        $ws->handshake(headers => [ 'Sec-WebSocket-Extensions' =>
            "permessage-deflate; server_max_window_bits=$bits" ]);
        return $ws;
    };

    my $message = sub {
        my ($ws) = @_;
        my $frame = $ws->read_frame or return { type => 'none' };
        my $text  = $frame->{payload};
        if ($frame->{rsv} & 4) {
            my $z = Compress::Raw::Zlib::Inflate->new(-WindowBits => -15);
            my $in = "$text\0\0\xff\xff";
            $z->inflate($in, $text);
        }
        return eval { decode_json($text) } // { type => 'garbage' };
    };

    my @ws = map { $client->($_) } (15) x 4, 12, 9;
    for my $ws (@ws) {
        $message->($ws);
        $ws->send_text('{"type":"subscribe","filter":{}}');
        $message->($ws);
    }

    # it repeats itself beyond the small windows
    my @letter = ('a' .. 'z');
    my $part   = join '', map { $letter[ rand 26 ] } 1 .. 20_000;
    my $data   = $part x 12;
    my $wrong  = 0;
    my $n      = 8;

    my $check = sub {
        my ($ws, $i) = @_;
        my $m = $message->($ws);
        return 1 if ($m->{data}{event}{entity_id} // '') eq "x$i"
                    && $m->{data}{event}{data} eq $data;
        $wrong++;
        diag("event $i: $m->{type}") if $wrong < 5;
        return 0;
    };

    for my $i (1 .. $n) {
        $pub->post('/publish', qq({"action":"updated","entity_type":"t1",)
                   . qq("entity_id":"x$i","data":"$data"}));
        $check->($ws[-1], $i) or last;
    }

    for my $ws (@ws[ 0 .. $#ws - 1 ]) {
        for my $i (1 .. $n) { $check->($ws, $i) or last }
    }

    is($wrong, 0, 'each gets each event, whole');

    $_->close for @ws, $pub;
    $nginx->finish;
};


subtest 'others, while 1,000 do not read' => sub {
    my $nginx = nginx_of(zone => 'zone=events:8m', http => 'ws_bus_sndbuf 8k;');
    my $pub   = WSBus::Raw->new($nginx->port);
    my $quick = WSBus::Raw->open($nginx->port);

    subscribe($quick, '{}');
    $quick->read_json;

    # what an event costs the worker: how long it took depends on who else is
    # there

    my ($worker) = $nginx->worker_pids;
    my $cpu = sub {
        my ($ns) = split ' ', WSBus::Nginx::slurp("/proc/$worker/schedstat");
        return $ns / 1e6;
    };

    my $latency = sub {
        my @took;
        my $before = $cpu->();
        for my $i (1 .. 300) {
            my $t0 = time;
            publish($pub, event($i, 500));
            my $m = $quick->read_json;
            die "no event: $m->{type}\n" if $m->{type} ne 'event';
            push @took, time - $t0;
        }
        @took = sort { $a <=> $b } @took;
        return ($took[150] * 1000, $took[290] * 1000,
                ($cpu->() - $before) / 300);
    };

    my @alone = $latency->();

    my $swarm = WSBus::Swarm->new(port => $nginx->port);
    $swarm->add(rcvbuf => 4096, subs => [ { filter => {}, since => 'now' } ])
        for 1 .. 1000;
    ok($swarm->all_subscribed(20), 'a thousand more');
    $_->{read} = 0 for $swarm->followers;

    for my $i (1 .. 200) {
        publish($pub, event($i, 500));
        $quick->read_json;
    }

    my @crowd = $latency->();

    diag(sprintf 'median %.2f ms alone, %.2f ms with 1,000 that do not read; '
         . '97%% %.2f and %.2f ms; of CPU %.3f and %.3f ms', $alone[0],
         $crowd[0], $alone[1], $crowd[1], $alone[2], $crowd[2]);

    cmp_ok($crowd[2], '<', $alone[2] * 2 + 0.5, 'an event costs no more');

    $swarm->close_all;
    $_->close for $quick, $pub;
    $nginx->finish;
};


done_testing;
