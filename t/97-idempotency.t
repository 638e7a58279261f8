# SPDX-License-Identifier: BSD-2-Clause
# A publish that is sent again under its Idempotency-Key is answered as it was
# and publishes nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json);
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(
    workers => 2, fixed_workers => 1,
    http    => WSBus::Nginx::minimal(
        zone   => 'zone=events:8m history=4m',
        listen => 'reuseport',
        http   => 'keepalive_requests 10000000; client_max_body_size 4m;
                   client_body_buffer_size 8k; ws_bus_drain_window 1s;
                   ws_bus_zone zone=few:2m idempotency=8;
                   ws_bus_zone zone=none:2m idempotency=0;',
        server => 'add_header X-Worker $pid always;
                   location /few/publish  { ws_bus_publish few; }
                   location /none/publish { ws_bus_publish none; }
                   location /other        { ws_bus_publish few; }
                   location /tenant/publish { ws_bus_publish events;
                                              ws_bus_tenant $arg_t; }'),
)->start;

my $port = $nginx->port;
my $raw  = WSBus::Raw->new($port);


sub again { $raw->close; $raw = WSBus::Raw->new($port); return $raw }

sub head {
    my ($name) = @_;
    return seq_of(WSBus::Raw::zone($port, $name // 'events')->{last_id}) // 0;
}

sub order {
    my ($id, $size) = @_;
    return qq({"action":"created","entity_type":"order","entity_id":"$id",)
           . '"data":"' . 'x' x ($size // 0) . '"}';
}

# status, decoded body, its text

sub post {
    my ($key, $body, %o) = @_;

    my $to  = $o{to} // $raw;
    my $res = $to->post($o{path} // '/publish', $body,
                        (defined $key ? ('Idempotency-Key' => $key) : ()),
                        %{ $o{headers} // {} });

    return ($res->{status}, eval { decode_json($res->{body}) } // {},
            $res->{body}, $res->{headers});
}

# a connection of another worker than this one's

sub other_worker {
    my ($of) = @_;

    my $pid = sub {
        $_[0]->write("GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
        return $_[0]->response->{headers}{'x-worker'};
    };
    my $not = $pid->($of);

    for (1 .. 200) {
        my $to = WSBus::Raw->new($port);
        return $to if $pid->($to) != $not;
        $to->close;
    }

    die "no other worker\n";
}


subtest 'the same request again' => sub {
    my $ws = WSBus::Raw->open($port);
    $ws->send_text('{"type":"subscribe","filter":{}}');
    $ws->read_json;

    my ($status, $first, $text) = post('k1', order(1));
    is($status, 200, 'published');
    is($first->{published}, 1, 'one event');
    is($first->{subscribers}, 1, 'one subscriber');

    my $head = head();

    for my $n (1 .. 3) {
        my ($code, $reply, $body) = post('k1', order(1));
        is($code, 200, "again, $n");
        is($body, $text, 'the same answer, to the letter');
    }

    is((post('k1', order(1), to => other_worker($raw)))[2], $text,
       'by another worker, too');

    is(head(), $head, 'nothing was published');
    is($ws->read_json->{data}{event}{entity_id}, 1, 'the event comes');

    my (undef, $next) = post('k2', order(2));
    is(seq_of($next->{last_id}), $head + 1,
       'another key publishes');
    is($ws->read_json->{data}{event}{entity_id}, 2, 'the next is that one');

    post(undef, order(3)) for 1, 2;
    is(head(), $head + 3, 'without a key each request publishes');
    $ws->read_json for 1, 2;

    # what counts is the first answer, not how many subscribe now
    $ws->close;
    ok(WSBus::Nginx::await(sub {
        (post(undef, order(4)))[1]{subscribers} == 0 }), 'nobody subscribes');
    is((post('k1', order(1)))[2], $text, 'the first answer it stays');
};


subtest 'another body under the key' => sub {
    my (undef, undef, $text) = post('b1', order(1));
    my $head = head();

    for my $body (order(2), order(1) . ' ', '[' . order(1) . ']') {
        my ($code, $problem, undef, $headers) = post('b1', $body);
        is($code, 422, 'another body: 422');
        is($problem->{status}, 422, 'a problem');
        like($headers->{'content-type'}, qr{^application/problem\+json},
             'as such');
        like("$problem->{title} $problem->{detail}", qr/Idempotency-Key/,
             'that names the key');
    }

    is(head(), $head, 'nothing is published');
    is((post('b1', order(1)))[2], $text, 'and the first body is still known');
};


subtest 'what fails is not remembered' => sub {
    my $head = head();

    is((post('f1', '{"action":'))[0], 400, 'a body that is no JSON');
    is((post('f1', '{"action":"x"}'))[0], 422, 'one that is no event');
    is((post('f1', order(1, 1_200_000)))[0], 413, 'one that is too large');
    is((post('f1', order(1)))[0], 200, 'then a right one, under the same key');
    is(head(), $head + 1, 'is published');
    is((post('f1', '{"action":'))[0] =~ /^4/ ? 'no' : 'yes', 'no',
       'a wrong one under it is refused');
    is(head(), $head + 1, 'and publishes nothing');
};


subtest 'keys' => sub {
    my $head = head();

    my ($code, $problem) = post('', order(1));
    is($code, 400, 'an empty key: 400');
    is((post('k' x 257, order(1)))[0], 400, '257 bytes: 400');
    is((post('k' x 256, order(1)))[0], 200, '256 bytes are a key');
    is((post('k' x 255, order(1)))[0], 200, '255 are another');
    is(head(), $head + 2, 'two events');

    my ($first) = (post('"quoted key, with; all"', order(5)))[2];
    is((post('"quoted key, with; all"', order(5)))[2], $first,
       'any characters');
    isnt((post('"Quoted key, with; all"', order(5)))[2], $first,
         'case counts');

    $raw->write("POST /publish HTTP/1.1\r\nHost: a\r\n"
                . "Content-Type: application/json\r\nIdempotency-Key: a\r\n"
                . "Idempotency-Key: b\r\nContent-Length: "
                . length(order(1)) . "\r\n\r\n" . order(1));
    is($raw->response->{status}, 400, 'two keys: 400');

    my $text = (post('name', order(6)))[2];
    $raw->write("POST /publish HTTP/1.1\r\nHost: a\r\n"
                . "Content-Type: application/json\r\nidempotency-KEY: name\r\n"
                . "Content-Length: " . length(order(6)) . "\r\n\r\n"
                . order(6));
    is($raw->response->{body}, $text, 'the name of the header in any case');
};


subtest 'tenants have keys of their own' => sub {
    my %text;

    for my $t (qw(a b)) {
        my ($code, $reply, $text) = post('t1', order(1),
                                         path => "/tenant/publish?t=$t");
        is($code, 200, "tenant $t");
        $text{$t} = $text;
    }

    isnt($text{a}, $text{b}, 'the same key, two events');
    is((post('t1', order(1), path => '/tenant/publish?t=a'))[2], $text{a},
       'each is answered as it was');
    is((post('t1', order(2), path => '/tenant/publish?t=b'))[0], 422,
       'or refused');
    is((post('t1', order(2)))[0], 200, 'without a tenant it is another key');
};


subtest 'batches, lines, files' => sub {
    my $head  = head();
    my $batch = '[' . join(',', map { order($_, 500) } 1 .. 100) . ']';
    my $lines = join "\n", map { order($_, 500) } 1 .. 100;

    my ($code, $reply, $text) = post('big', $batch);
    is($reply->{published}, 100, 'a batch');
    is((post('big', $batch))[2], $text, 'again: the same answer');

    my %nd = (headers => { 'Content-Type' => 'application/x-ndjson' });
    my $second = (post('lines', $lines, %nd))[2];
    is((post('lines', $lines, %nd))[2], $second, 'lines as well');

    is(head(), $head + 200, 'each was published once');
};


subtest 'how many are remembered' => sub {
    my $last;
    my @text = map { (post("n$_", order($_), path => '/few/publish'))[2] }
               1 .. 8;
    my $head = head('few');

    is((post("n$_", order($_), path => '/few/publish'))[2], $text[ $_ - 1 ],
       "of eight, number $_ is known") for 1 .. 8;
    is(head('few'), $head, 'nothing was published');

    post('n9', order(9), path => '/few/publish');
    is((post('n2', order(2), path => '/few/publish'))[2], $text[1],
       'after a ninth the second is known');
    is(head('few'), $head + 1, 'one event more');

    isnt((post('n1', order(1), path => '/few/publish'))[2], $text[0],
         'the first is not');
    is(head('few'), $head + 2, 'and is published again');

    # requests without a key, and repeats, do not push others out
    post(undef, order('x'), path => '/few/publish') for 1 .. 30;
    post('n9', order(9), path => '/few/publish') for 1 .. 30;
    is((post('n4', order(4), path => '/few/publish'))[2], $text[3],
       'repeats push nobody out');

    # by default 4,096
    my $first = (post('m0', order(0)))[2];
    post("m$_", order($_)) for 1 .. 4095;
    is((post('m0', order(0)))[2], $first, 'of 4,096 the first is known');
    post('m4096', order(4096));
    isnt((post('m0', order(0)))[2], $first, 'of 4,097 it is not');

    # the answer outlives its events
    my $text = (post('gone', order(1)))[2];
    post(undef, '[' . join(',', (order('y', 100_000)) x 9) . ']') for 1 .. 8;
    is((post('gone', order(1)))[2], $text,
       'also when its event is no longer in the history');

    my $h = head('none');
    post('k', order(1), path => '/none/publish') for 1 .. 3;
    is(head('none'), $h + 3, 'idempotency=0 remembers none');
};


subtest 'through a reload' => sub {
    my $text = (post('r1', order(1)))[2];
    my $head = head();

    for my $n (1, 2) {
        ok($nginx->reload, "reload $n");
        again();
        is((post('r1', order(1)))[2], $text, 'the answer is known');
        is((post('r1', order(2)))[0], 422, 'so is the body');
    }

    is(head(), $head, 'nothing was published');
};


subtest 'many at the same time' => sub {
    my $head = head();

    # all send the same ten requests, each as soon as it can

    my @pids;
    for my $n (1 .. 6) {
        my $file = $nginx->file("same.$n");
        my $pid  = fork() // die "fork: $!\n";
        push @pids, $pid and next if $pid;

        my $to = WSBus::Raw->new($port);
        open my $fh, '>', $file;
        for my $i (1 .. 200) {
            print $fh +(post("same$i", order($i), to => $to))[2], "\n";
        }
        close $fh;
        POSIX::_exit(0);
    }

    waitpid $_, 0 for @pids;

    is(head(), $head + 200, '200 requests by six: 200 events');
    my %said = map { WSBus::Nginx::slurp($nginx->file("same.$_")) => 1 } 1 .. 6;
    is(scalar keys %said, 1, 'and all had the same answers');
};


# a worker that dies has published it or not: who tries again cannot tell, and
# need not

subtest 'through crashes' => sub {
    my $head = head();
    my $n    = 0;
    my (%seq, $lost);
    my $end  = time + 6;
    my $next = time + 0.2;

    while (time < $end) {
        $n++;
        my $body = '[' . join(',', map { order("c$n-$_", 300) } 1 .. 20) . ']';
        my ($code, $reply) = (0);

        for (1 .. 200) {
            if (time > $next) {
                $next = time + 0.3;
                my @pids = $nginx->worker_pids;
                $nginx->kill_worker($pids[ rand @pids ]) if @pids;
            }
            ($code, $reply) = post("crash$n", $body);
            last if $code;
            $lost++;
            eval { again() } or sleep(0.02);
        }

        is($code, 200, "request $n"), last if $code != 200;
        $seq{ $reply->{first_id} }++;
        fail("20 events") if $reply->{published} != 20;
    }

    cmp_ok($lost // 0, '>', 0, sprintf '%d answers were lost', $lost // 0);
    is(head(), $head + 20 * $n, "$n requests: each published once");
    is(scalar keys %seq, $n, 'each has ids of its own');

    # and each is still known, unless it is too long ago
    my $bad = 0;
    for my $i (($n > 4000 ? $n - 4000 : 1) .. $n) {
        my $body = '[' . join(',', map { order("c$i-$_", 300) } 1 .. 20) . ']';
        $bad++ if (post("crash$i", $body))[0] != 200;
    }
    is($bad, 0, 'and is answered once more');
    is(head(), $head + 20 * $n, 'without being published');
    diag("$n requests, $lost of them more than once");
};


$raw->close;
$nginx->finish;
done_testing;
