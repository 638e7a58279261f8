# SPDX-License-Identifier: BSD-2-Clause
# Very many calls: over one socket, of sockets that close with calls in flight,
# through reloads and killed workers. Each request is answered once or its
# connection closed, each change told once, and the memory is where it was.
#
# WSB_MANY=10: ten times as many.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use Time::HiRes qw(time);

use WSBus::Backend;
use WSBus::Nginx;
use WSBus::Raw;

my $MANY    = $ENV{WSB_MANY} // 1;
my $CALLS   = 10_000 * $MANY;
my $SOCKETS = 1_000 * $MANY;

my $backend = WSBus::Backend->start;
my ($rest, $reply) = ($backend->rest, $backend->raw);

sub start {
    my ($workers) = @_;

    return WSBus::Nginx->new(workers => $workers, fixed_workers => 1,
                             http => <<"END")->start;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        ws_bus_zone zone=events:16m;
        ws_bus_drain_window 500ms;
        upstream other {
            server 127.0.0.1:%%PORT1%%;
            keepalive 8;
        }
        server {
            listen 127.0.0.1:%%PORT1%%;
            keepalive_requests 1000000;
            access_log off;
            default_type application/json;
            location / { return 200 '[1]'; }
        }
        server {
            listen 127.0.0.1:%%PORT%%;
            access_log off;
            location /status { ws_bus_status; }
            location /ws {
                ws_bus events;
                ws_bus_backend /\$ws_bus_entity;
            }
            location /direct { default_type application/json;
                               return 200 '[1]'; }
            location /other { internal; proxy_pass http://other; }
            location /held {
                internal;
                proxy_set_header X-Reply held;
                proxy_pass http://127.0.0.1:$reply;
            }
            location /rows {
                internal;
                proxy_pass http://127.0.0.1:$rest/rows;
            }
        }
END
}

sub totals {
    my ($nginx) = @_;
    my $http = WSBus::Raw->new($nginx->port);
    $http->write("GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
    return decode_json($http->response->{body})->{zones}[0]{totals};
}

sub private {
    my ($pid) = @_;
    my ($kb) = WSBus::Nginx::slurp("/proc/$pid/smaps_rollup")
               =~ /^Private_Dirty:\s+(\d+) kB/m;
    return $kb;
}

sub request {
    my ($id, $operation, $entity, %more) = @_;
    return encode_json({ type => 'request', id => "$id", entity_type => $entity,
                         operation => $operation, %more });
}

# a sanitizer keeps what was freed
sub where_it_was {
    my ($is, $was, $more, $what) = @_;
    diag("$what: $was kB, then $is kB");
    return pass($what) if WSBus::Nginx::sanitized();
    return cmp_ok($is, '<', $was + $more, $what);
}


subtest 'over one socket' => sub {
    my $nginx = start(1);
    my ($worker) = $nginx->worker_pids;
    my $ws = WSBus::Raw->open($nginx->port);

    for my $entity (qw(direct other)) {
        my (%answered, $was);
        my ($sent, $got, $wrong, $t0) = (0, 0, 0, time);

        while ($got < $CALLS) {
            if ($sent - $got <= 32 && $sent < $CALLS) {
                $ws->write(join '', map {
                    WSBus::Raw::frame(WSBus::Raw::TEXT,
                                      request(++$sent, read => $entity))
                } 1 .. 32);
            }
            my $frame = $ws->read_frame or last;
            my ($id) = $frame->{payload} =~ /"id":"(\d+)"/;
            $wrong++ if $answered{$id}++
                        || $frame->{payload} !~ /"success":true.*"data":\[1\]/;
            $got++;
            $was //= private($worker) if $got > $CALLS / 4;
        }

        is($got, $CALLS, "$entity: $CALLS answers");
        is($wrong, 0, 'each once, and right');
        diag(sprintf '%s: %.1f s', $entity, time - $t0);
        where_it_was(private($worker), $was, 256, 'memory of the worker');
    }

    is(totals($nginx)->{calls_running}, 0, 'none is under way');
    $ws->close;
    $nginx->finish;
};


subtest 'sockets that close' => sub {
    my $nginx = start(1);
    my ($worker) = $nginx->worker_pids;
    my $opened = 0;
    my $was;

    $backend->leave('held', $WSBus::Backend::HOLD
                            . WSBus::Backend::bytes(201, '{"id":1}'));

    while ($opened < $SOCKETS) {
        my @ws = map { WSBus::Raw->open($nginx->port) } 1 .. 100;
        for my $ws (@ws) {
            $ws->send_text(request($_, read => 'held')) for 1 .. 12;
        }
        # read by the worker: eight are under way, four wait
        WSBus::Nginx::await(sub { totals($nginx)->{calls_running} == 800 })
            or diag('they are not under way');
        $_->vanish for @ws;
        $opened += @ws;
        WSBus::Nginx::await(sub { my $is = totals($nginx);
            !$is->{calls_running} && !$is->{requests_waiting} })
            or last;
        $was //= private($worker) if $opened >= $SOCKETS / 2;
    }

    my $is = totals($nginx);
    is($opened, $SOCKETS, "$SOCKETS sockets");
    is($is->{calls_running}, 0, 'no call is left');
    is($is->{requests_waiting}, 0, 'no request is');
    is($is->{calls_cancelled}, 8 * $SOCKETS, 'all were cancelled');
    is($is->{connections}, 0, 'no connection is left');
    where_it_was(private($worker), $was, 4096, 'memory of the worker');

    # changes run on, and are told
    my $all = WSBus::Raw->open($nginx->port);
    $all->send_text('{"type":"subscribe","filter":{}}');
    $all->read_json;
    my @ws = map { WSBus::Raw->open($nginx->port) } 1 .. 20;
    $_->send_text(request(1, create => 'held', data => {})) for @ws;
    WSBus::Nginx::await(sub { totals($nginx)->{calls_running} == 20 });
    $_->vanish for @ws;
    WSBus::Nginx::await(sub { totals($nginx)->{connections} == 1 });
    $backend->go('held');
    my $told = 0;
    for (1 .. 20) {
        my $m = $all->read_json // last;
        $told++ if $m->{type} eq 'event';
    }
    is($told, 20, 'changes of those who went away are told');
    $all->close;
    $nginx->finish;
};


for my $how (qw(reload kill)) {
    subtest "$how, with calls under way" => sub {
        my $nginx = start(2);
        my (%asked, %answered, @twice, $closed);
        my $n = 0;

        # ten clients create rows; who is cut off comes again, and does not
        # ask again
        my @ws = map { WSBus::Raw->open($nginx->port) } 1 .. 10;
        my $end = time + 3 + $MANY;
        my $next = time + 0.5;
        my $cuts = 0;

        while (time < $end || grep { !$answered{$_} && !$closed->{$_} }
                              keys %asked) {
            last if time > $end + 10;

            if (time > $next && time < $end) {
                $next = time + 0.7;
                $how eq 'reload'
                    ? $nginx->reload
                    : $nginx->kill_worker(($nginx->worker_pids)[0], 'KILL');
                $cuts++;
            }

            for my $ws (@ws) {
                my $frame = $ws->read_frame(0.001);
                if ($frame && $frame->{opcode} == WSBus::Raw::TEXT) {
                    my $m = decode_json($frame->{payload});
                    next if $m->{type} ne 'response';
                    push @twice, $m->{id} if $answered{ $m->{id} }++;
                    $ws->{due} = undef;
                } elsif ($frame && $frame->{opcode} == WSBus::Raw::CLOSE
                         || $ws->state =~ /^(?:eof|reset)$/) {
                    $closed->{ $ws->{due} } = 1 if defined $ws->{due};
                    my $new = eval { WSBus::Raw->open($nginx->port) } or next;
                    $ws = $new;
                }
                if (!defined $ws->{due} && time < $end) {
                    my $id = "$how-" . ++$n;
                    $asked{$id} = 1;
                    $ws->{due} = $id;
                    $ws->send_text(request($id, create => 'rows',
                                           data => { id => $id }));
                }
            }
        }

        my @open = grep { !$answered{$_} && !$closed->{$_} } keys %asked;
        is("@open", '', 'each was answered or its connection closed');
        is("@twice", '', 'none was answered twice');

        WSBus::Nginx::await(sub { totals($nginx)->{calls_running} == 0 });

        my $all = WSBus::Raw->open($nginx->port);
        $all->send_text('{"type":"subscribe","filter":{},"since":"first"}');
        $all->send_text('{"type":"ping"}');
        my %told;
        while (my $m = $all->read_json) {
            last if $m->{type} eq 'pong' && %told
                    && $m->{last_id} eq status_id($nginx);
            $told{ $m->{data}{event}{entity_id} }++ if $m->{type} eq 'event';
            $all->send_text('{"type":"ping"}') if $m->{type} eq 'pong';
        }

        my $http = WSBus::Raw->new($rest);
        $http->write("GET /rows HTTP/1.1\r\nHost: x\r\n\r\n");
        my @made = grep { /^$how-/ } map { $_->{id} }
                   @{ decode_json($http->response->{body}) };

        is(scalar(grep { $_ > 1 } values %told), 0, 'none is told twice');
        my %made = map { $_ => 1 } @made;
        is(scalar(grep { !$made{$_} } keys %told), 0,
           'none is told that was not made');
        my @untold = grep { !$told{$_} } @made;
        is(scalar(grep { $answered{$_} } @untold), 0,
           'what was answered is told');
        is(scalar @untold, 0, 'what was made is told') if $how eq 'reload';
        cmp_ok(scalar @untold, '<=', 10 * $cuts, 'but what a kill cut off')
            if $how eq 'kill';
        diag(sprintf '%d changes, %d cut off, %d made, %d not told, %d cuts',
             scalar keys %asked, scalar keys %{ $closed // {} }, scalar @made,
             scalar @untold, $cuts);
        cmp_ok(scalar @made, '>', 100, 'many were made');

        $_->close for @ws, $all;
        $nginx->allow(qr/worker process \d+ exited on signal 9/)
            if $how eq 'kill';
        $nginx->finish;
    };
}

sub status_id {
    my ($nginx) = @_;
    my $http = WSBus::Raw->new($nginx->port);
    $http->write("GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
    return decode_json($http->response->{body})->{zones}[0]{last_id};
}

done_testing;
