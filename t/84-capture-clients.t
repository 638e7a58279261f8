# SPDX-License-Identifier: BSD-2-Clause
# Capture: clients that leave, that speak other versions of HTTP, and many at
# once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::Backend;
use WSBus::Capture;
use WSBus::Client;
use WSBus::H2;
use WSBus::Nginx;
use WSBus::Raw;

start_capture(main => 'worker_shutdown_timeout 10s;');


subtest 'clients that go away' => sub {
    my $leave = sub {
        my ($uri, $reply, $how) = @_;

        my $name = next_name(1);
        my $raw  = WSBus::Raw->new($nginx->port);
        my $n    = log_lines();

        $backend->leave($name, $WSBus::Backend::HOLD . $reply);
        $raw->write(request(POST => $uri, headers => { 'X-Reply' => $name }));

        ok(WSBus::Nginx::await(sub { $backend->got($name) }),
           'the backend has the request');

        $how eq 'reset' ? $raw->vanish : $raw->close;

        if ($uri =~ m{^/leave}) {
            ok(WSBus::Nginx::await(sub { log_lines() > $n }), 'nginx has given up');
            is((log_lines())[-1], qq(POST $uri 499 "-"), 'it is logged');
            is_deeply([ events() ], [], 'no event');
        }

        $backend->go($name);

        ok(WSBus::Nginx::await(sub { log_lines() > $n }), 'the request is over');

        return (log_lines())[-1];
    };

    my $long = encode_json({ id => 'o-1', text => 'y' x 6000 });
    my $huge = encode_json({ id => 'o-1', text => 'y' x 4_000_000 });

    for my $how (qw(closed reset)) {
        subtest "$how, nginx gives up with it" => sub {
            $leave->('/leave/x', $created, $how);
            is_deeply([ events() ], [], 'no event');
        };

        for my $case ([ 'short', $created, $data ],
                      [ 'long', json(201, $long), decode_json($long) ])
        {
            my ($what, $reply, $expect) = @$case;

            subtest "$how, proxy_ignore_client_abort, $what" => sub {
                my $line = $leave->('/stay/x', $reply, $how);
                my @got  = $ws->sync;
                is_deeply([ map { $_->{data}{event} } @got ],
                    [ event(action => 'created', entity_type => 'x',
                            entity_id => 'o-1', data => $expect) ],
                    'one event');
                is($line, qq(POST /stay/x 201 ")
                          . (@got ? $got[0]{data}{id} : 'none') . '"',
                   'it is logged with its id');
            };
        }

        # nginx does not read what it can no longer pass on: how it would have
        # ended is not known
        subtest "$how, proxy_ignore_client_abort, not read to its end" => sub {
            my $line = $leave->('/stay/x', json(201, $huge), $how);
            is_deeply([ events() ], [], 'no event');
            is($line, 'POST /stay/x 201 "-"', 'it is logged');
        };

        for my $reply (json(500, '{}'), json(201, $long, length => 20_000)) {
            subtest "$how, and no success after all" => sub {
                $leave->('/stay/x', $reply, $how);
                is_deeply([ events() ], [], 'no event');
            };
        }
    }
};


subtest 'HTTP/1.0 and keep-alive clients' => sub {
    my $raw = WSBus::Raw->new($nginx->port);

    $backend->leave('keep', $created);

    for (1 .. 3) {
        is($raw->post('/orders', '{}', 'X-Reply' => 'keep',
                      'X-Request-ID' => "k-$_")->{status}, 201, "request $_");
    }

    is_deeply([ map { $_->{metadata}{origin} } events() ],
              [ map { "k-$_" } 1 .. 3 ], 'an event for each, in order');

    $raw = WSBus::Raw->new($nginx->port);
    $raw->write("POST /orders HTTP/1.0\r\nX-Reply: keep\r\n"
                . "Content-Length: 2\r\n\r\n{}");
    like(whole($raw), qr/\A\S+ 201 .*42\.0\}\z/s, 'HTTP/1.0');
    is(scalar(my @got = events()), 1, 'one event');
};


subtest 'HTTP/2' => sub {
    my $h2 = WSBus::H2->new($nginx->port(2));

    $backend->leave('h2', $created);
    $backend->leave('h2none', json(204, ''));

    my $post   = $h2->ask(POST => '/orders', '{"sent":1}', 'x-reply' => 'h2',
                          'x-request-id' => 'r-1');
    my $answer = $h2->answers->{$post};

    is($answer->{status}, 201, 'created');
    is($answer->{body}, '{"id":"o-1","amount":42.0}', 'the body');
    is_deeply([ events() ], [ event(action => 'created',
        entity_type => 'orders', entity_id => 'o-1', data => $data) ],
        'one event');

    my $delete = $h2->ask(DELETE => '/orders/o-2', undef,
                          'x-reply' => 'h2none', 'x-request-id' => 'r-1');
    is($h2->answers->{$delete}{status}, 204, 'deleted');
    is_deeply([ events() ], [ event(action => 'deleted',
        entity_type => 'orders', entity_id => 'o-2') ], 'one event');

    my $get = $h2->ask(GET => '/orders/o-2', undef, 'x-reply' => 'h2');
    is($h2->answers->{$get}{status}, 201, 'read');
    is_deeply([ events() ], [], 'no event');
};


sub order_of_events {
    my ($with, $port, $rounds) = @_;

    my ($late, $missed) = (0, 0);
    my $last = $ws->subscribe({ entity_type => 'none' })->{last_id};

    for my $n (1 .. $rounds) {
        my $raw = WSBus::Raw->new($nginx->port($port));
        my $res = $raw->post('/orders', '{}', 'X-Reply' => 'order');
        die "status $res->{status}\n" if $res->{status} != 201;

        my $sub = WSBus::Raw->open($nginx->port);
        $sub->send_text('{"type":"subscribe","filter":{"entity_type":"orders"}}');
        $sub->send_text('{"type":"ping"}');
        for (;;) {
            my $message = $sub->read_json;
            $late++ if $message->{type} eq 'event';
            last if $message->{type} =~ /^(?:pong|none|CLOSE)$/;
        }
        $sub->close;

        $sub = WSBus::Raw->open($nginx->port);
        $sub->send_text(encode_json({ type => 'subscribe', since => $last,
                                      filter => { entity_type => 'orders' } }));
        $sub->send_text('{"type":"ping"}');
        my $found;
        for (;;) {
            my $message = $sub->read_json;
            if ($message->{type} eq 'event') {
                $found = $message->{data}{id};
                last;
            }
            last if $message->{type} =~ /^(?:none|CLOSE)$/;
        }
        $found ? ($last = $found) : $missed++;
        $sub->close;
    }

    is($late, 0, "$with: subscribed after the response, no live event");
    is($missed, 0, "$with: a since of before has it");

    return;
}


subtest 'order' => sub {
    $backend->leave('order', $created);
    order_of_events('one worker', 0, 20);
    is(scalar(my @got = events()), 20, 'an event for each');
};


# 200 at once: each exactly once

sub prepare {
    my ($prefix) = @_;

    my $left = 0;
    for my $n (1 .. 50) {
        for my $method (qw(PUT PATCH DELETE)) {
            $left++;
            $c->ua->post("http://$rest/$prefix" => json =>
                         { id => "$method-$n" } => sub { $left-- });
        }
    }

    return WSBus::Client::run_until(sub { !$left }, 30);
}

sub expected {
    my ($prefix) = @_;

    return sort map {
        my ($method, $n) = @$_;
        my $id = $method eq 'POST' ? "new-$n" : "$method-$n";
        my $action = { POST => 'created', DELETE => 'deleted' }->{$method}
                     // 'updated';
        my $body = $method eq 'DELETE' ? '-' : "$method-$n-sent";
        "$action $prefix $id $body $method-$n";
    } map { my $n = $_; map { [ $_, $n ] } qw(POST PUT PATCH DELETE) } 1 .. 50;
}

sub seen {
    return sort map {
        my $e = $_;
        join ' ', @$e{qw(action entity_type entity_id)},
             ref $e->{data} ? $e->{data}{n} : '-', $e->{metadata}{origin};
    } @_;
}

sub concurrent {
    my ($what, $prefix, $ask) = @_;

    subtest $what => sub {
        ok(prepare($prefix), 'there is something to mutate');

        my %status = $ask->(map {
            my $n = $_;
            map { [ $_, $_ eq 'POST' ? "/$prefix" : "/$prefix/$_-$n",
                    $_ eq 'DELETE' ? undef
                        : encode_json({ n => "$_-$n-sent",
                              $_ eq 'POST' ? (id => "new-$n") : () }),
                    "$_-$n" ] } qw(POST PUT PATCH DELETE);
        } 1 .. 50);

        is_deeply(\%status, { 200 => 100, 201 => 50, 204 => 50 },
                  '200 responses');
        is_deeply([ seen(events()) ], [ expected($prefix) ],
                  '200 events, each once');
    };

    return;
}

sub over_http1 {
    my (@asks) = @_;

    my ($left, %status) = (scalar @asks);

    for my $ask (@asks) {
        my ($method, $path, $body, $origin) = @$ask;
        my $tx = $c->ua->build_tx($method => $c->url($path) => {
            'X-Request-ID' => $origin,
            'Content-Type' => 'application/json' } => $body // '');
        $c->ua->start($tx => sub { $status{ $_[1]->res->code // 0 }++; $left-- });
    }

    WSBus::Client::run_until(sub { !$left }, 30);

    return %status;
}

sub over_http2 {
    my (@asks) = @_;

    my %status;
    my @half = map { WSBus::H2->new($nginx->port(2)) } 0, 1;

    for my $n (0 .. $#asks) {
        my ($method, $path, $body, $origin) = @{ $asks[$n] };
        $half[ $n % 2 ]->ask($method, $path, $body, 'x-request-id' => $origin,
                             'content-type' => 'application/json');
    }

    for my $h2 (@half) {
        $status{ $_->{status} }++ for values %{ $h2->answers };
        $h2->close;
    }

    return %status;
}


concurrent('200 at once, HTTP/1.1', 'many1', \&over_http1);
concurrent('200 at once, HTTP/2', 'many2', \&over_http2);

$nginx->finish;


subtest '4 workers' => sub {
    start_capture(workers => 4, fixed_workers => 1);

    order_of_events('4 workers', 0, 40);
    events();
    concurrent('200 at once, HTTP/1.1', 'many3', \&over_http1);
    concurrent('200 at once, HTTP/2', 'many4', \&over_http2);

};


$nginx->finish;
$backend->stop;

done_testing;
