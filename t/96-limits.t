# SPDX-License-Identifier: BSD-2-Clause
# What is full, too large or too many is refused by itself, and nothing else
# changes; publishing never fails for want of room.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json);
use Test::More;
use Time::HiRes qw(time);

use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(
    workers => 2, fixed_workers => 1,
    events  => 'worker_connections 2048;',
    http    => WSBus::Nginx::minimal(
        zone   => 'zone=events:1m',
        listen => 'reuseport',
        http   => 'keepalive_requests 10000000;
                   client_max_body_size 3m; client_body_buffer_size 8k;
                   ws_bus_max_subscriptions 100000;
                   ws_bus_zone zone=large:16m;',
        server => 'add_header X-Worker $pid always;
                   location /few/ws { ws_bus events;
                                      ws_bus_max_subscriptions 3; }
                   location /stub          { stub_status; }
                   location /large/ws      { ws_bus large; }
                   location /large/publish { ws_bus_publish large; }
                   location /file/publish  { ws_bus_publish large;
                                             client_body_in_file_only clean; }
                   '),
)->start;

my $port = $nginx->port;
my $pub  = WSBus::Raw->new($port);


sub zone {
    my ($name) = @_;
    return WSBus::Raw::zone($port, $name // 'events');
}

sub head { return seq_of(zone($_[0])->{last_id}) }

sub post {
    my ($body, $path, %headers) = @_;
    my $res = $pub->post($path // '/publish', $body, %headers);
    return ($res->{status}, eval { decode_json($res->{body}) } // {}, $res);
}

sub order {
    my ($id, $size) = @_;
    return qq({"action":"created","entity_type":"order","entity_id":"$id",)
           . '"data":"' . 'x' x ($size // 0) . '"}';
}

sub batch { '[' . join(',', @_) . ']' }


subtest 'a registry that is full' => sub {
    my $early = WSBus::Raw->open($port);
    is($early->subscribe({ entity_id => 'early' })->{type}, 'subscribed',
       'a subscription');

    # one connection after the other takes filters of its own

    my (@ws, $refused);
    my $n = 0;

    until ($refused || $n > 200_000) {
        push @ws, WSBus::Raw->open($port);
        for (1 .. 500) {
            my $id  = 'f' . ++$n;
            my $got = $ws[-1]->subscribe({ entity_id => $id }, id => $id);
            next if $got->{type} eq 'subscribed';
            $refused = $got;
            last;
        }
    }

    my $last = $ws[-1];

    is($refused->{type}, 'error', 'at some time one is refused');
    is($refused->{code}, 'registry_full', 'with its code');
    is($refused->{id}, "f$n", 'and the id of the request');
    like($refused->{message}, qr/full/, 'and a message that says why');
    diag("$n filters fit into a zone of 1m");

    # how many depends on which worker each connection has come to: 697 to 810
    cmp_ok($n, '>', 600, 'many did fit');

    # a page may have room left for one or another key: until none has

    my @no = ("f$n");
    my $row = 0;

    for (my $i = 0; $row < 30 && $i < 10_000; $i++) {
        my $got = $last->subscribe({ entity_id => "g$i" });
        $row = $got->{type} eq 'error' ? $row + 1 : 0;
        push @no, "g$i" if $got->{type} eq 'error';
    }

    cmp_ok(scalar @no, '>', 30, @no . ' are refused, the others are not');
    ok($last->alive, 'the connection lives');

    my $many = $last->subscribe({ entity_id => [ map { "array-$_" } 1 .. 100 ] });
    is($many->{code}, 'registry_full', 'so is one of many keys');

    # nothing else has changed

    my ($status, $answer) = post(batch(map { order($_) } @no));
    is($status, 200, 'publishing goes on');
    is($answer->{subscribers}, 0, 'who was refused is not counted');

    my $sum = 0;
    for my $id (map { "array-$_" } 1 .. 100) {
        $sum += (post(order($id)))[1]{subscribers};
    }
    is($sum, 0, 'nor a part of that of many keys');

    (undef, $answer) = post(order('f1'));
    is($answer->{subscribers}, 1, 'the first one is there');
    is($ws[0]->read_json->{data}{event}{entity_id}, 'f1', 'and has its event');

    is($ws[0]->subscribe({ entity_id => 'f1' })->{type}, 'subscribed',
       'a filter that is there already takes no room');

    post(order('early'));
    is($early->read_json->{data}{event}{entity_id}, 'early',
       'an earlier one has its event');
    is(zone()->{totals}{subscriptions} >= $n ? 'yes' : 'no', 'yes',
       'all that were accepted are counted');

    # what is unsubscribed makes room

    $ws[0]->ask({ type => 'unsubscribe', subscription_id => "sub_$_" })
        for 1 .. 400;
    my $again = 0;
    for my $i (1 .. 200) {
        $again++ if $ws[0]->subscribe({ entity_id => "h$i" })->{type}
                    eq 'subscribed';
    }
    cmp_ok($again, '>=', 100, "$again more after 400 have gone");

    # and so do clients that leave, while one stays

    $_->close for @ws;
    ok(WSBus::Nginx::await(sub { zone()->{totals}{subscriptions} == 1 }),
       'they leave');

    my $zone = zone();
    cmp_ok($zone->{chunks} - $zone->{chunks_free}, '<=', 8,
           'their chunks are free');

    my $new = WSBus::Raw->open($port);
    my $ok  = 0;
    for my $i (1 .. 600) {
        $ok++ if $new->subscribe({ entity_id => "n$i" })->{type} eq 'subscribed';
    }
    is($ok, 600, 'six hundred new ones of one client fit');
    post(order('n600'));
    is($new->read_json->{data}{event}{entity_id}, 'n600', 'and have events');

    $_->close for $new, $early;
};


subtest 'an event that is too large' => sub {
    my $ws = WSBus::Raw->open($port);
    $ws->subscribe({});

    my $history = zone()->{history};
    my $quarter = int($history / 4);
    my $head    = head();

    for my $size ($quarter, $quarter + 100_000, 2 * $quarter) {
        my ($status, $problem, $res) = post(order('big', $size));
        is($status, 413, "$size bytes of data: 413");
        like($res->{headers}{'content-type'}, qr{^application/problem\+json},
             'as a problem');
        is($problem->{status}, 413, 'that says so');
        like($problem->{detail}, qr/\d/, 'and how large it may be');
    }

    my ($status, $problem)
        = post(batch(order(1), order(2), order(3, $quarter), order(4)));
    is($status, 413, 'in a batch, too');
    is($problem->{index}, 2, 'with its index');

    is(head(), $head, 'nothing was published');

    ($status, my $answer) = post(order('fits', $quarter - 300));
    is($status, 200, 'a quarter of the history is not too large');
    my $m = $ws->read_json;
    is($m->{data}{event}{entity_id}, 'fits', 'it comes');
    is(length $m->{data}{event}{data}, $quarter - 300, 'as a whole');
    is($m->{data}{id}, $answer->{last_id}, 'first');

    $ws->close;
};


subtest 'a batch that is too large' => sub {
    my $ws = WSBus::Raw->open($port);
    $ws->subscribe({});

    my $half = int(zone()->{history} / 2);
    my $part = int($half / 5);
    my $head = head();

    my ($status, $problem) = post(batch(map { order($_, $part) } 1 .. 5));
    is($status, 413, 'more than half of the history: 413');
    is($problem->{status}, 413, 'a problem');
    like($problem->{detail}, qr/batch.*\d/, 'that says how large it may be');

    ($status) = post(join("\n", map { order($_, $part) } 1 .. 6), undef,
                     'Content-Type' => 'application/x-ndjson');
    is($status, 413, 'as lines as well');
    is(head(), $head, 'nothing was published');

    ($status, my $answer) = post(batch(map { order($_, $part) } 1 .. 4));
    is($status, 200, 'less than half is not');
    is(join(' ', map { $ws->read_json->{data}{event}{entity_id} } 1 .. 4),
       '1 2 3 4', 'it comes');
    ok($ws->alive, 'and nothing else');

    my ($code, undef, $res) = post(order('huge', 4 << 20));
    is($code, 413, 'beyond client_max_body_size nginx itself says 413');
    $pub->close;
    $pub = WSBus::Raw->new($port);

    $ws->close;
};


subtest 'there is always room for an event' => sub {
    my $ws = WSBus::Raw->open($port);
    $ws->send_text('{"type":"subscribe","filter":{},"since":"now"}');
    $ws->read_json;

    srand(11);
    my $quarter = int(zone()->{history} / 4);
    my ($wrong, $bytes) = (0, 0);
    my $next = head() + 1;

    for my $i (1 .. 400) {
        my $n    = rand() < 0.3 ? 1 + int rand 20 : 1;
        my $size = $n > 1 ? int rand($quarter / 12)
                          : int rand($quarter - 300);
        $bytes += $n * $size;
        my ($status, $answer) = post(batch((order($i, $size)) x $n));
        $wrong++ if $status != 200 || $answer->{published} != $n
                    || seq_of($answer->{first_id}) != $next;
        $next += $n;
    }

    my $zone = zone();
    is($wrong, 0, 'each publish succeeds');
    cmp_ok($bytes, '>', 20 * $zone->{size}, 'of many times what fits');
    cmp_ok($zone->{used}, '<=', $zone->{history}, 'the history is not larger');
    cmp_ok($zone->{used}, '>', $zone->{history} / 3, 'but well filled');

    my $first = seq_of($zone->{first_id});
    my $new = WSBus::Raw->open($port);
    my $got = $new->subscribe({}, since => 'first');
    is(seq_of($got->{last_id}), $first - 1,
       'and can be read from its oldest');
    my $seq = $first;
    my $bad = 0;
    while ($seq < $next) {
        my $m = $new->read_json;
        $bad++, last if (seq_of($m->{data}{id}) // -1) != $seq;
        $seq++;
    }
    is($bad, 0, 'to its newest');

    $_->close for $ws, $new;
};


subtest 'a body in a temporary file' => sub {
    my $ws = WSBus::Raw->open($port, path => '/large/ws');
    $ws->subscribe({});
    my $log = length $nginx->error_log;

    my @data = map { join '', map { chr(97 + int rand 26) } 1 .. 3000 } 1 .. 200;
    my $body = batch(map {
        qq({"action":"created","entity_type":"order","entity_id":"$_",)
        . qq("data":"$data[ $_ - 1 ]"}) } 1 .. 200);

    for my $path ('/large/publish', '/file/publish') {
        my ($status, $answer) = post($body, $path);
        is($status, 200, "$path: 600 KB");
        is($answer->{published}, 200, 'all of it');

        my $wrong = 0;
        for my $i (1 .. 200) {
            my $m = $ws->read_json;
            $wrong++ if ($m->{data}{event}{entity_id} // '') ne $i
                        || $m->{data}{event}{data} ne $data[ $i - 1 ];
        }
        is($wrong, 0, 'each event comes as it was');
    }

    like(substr($nginx->error_log, $log),
         qr/a client request body is buffered to a temporary file/,
         'by way of a file');

    # in small pieces, chunked

    $pub->write("POST /large/publish HTTP/1.1\r\nHost: a\r\n"
                . "Content-Type: application/json\r\n"
                . "Transfer-Encoding: chunked\r\n\r\n");
    for (my $at = 0; $at < length $body; $at += 40_000) {
        my $part = substr $body, $at, 40_000;
        $pub->write(sprintf "%x\r\n%s\r\n", length $part, $part);
    }
    $pub->write("0\r\n\r\n");
    my $res = $pub->response;
    is($res->{status}, 200, 'chunked');
    my $wrong = 0;
    for my $i (1 .. 200) {
        my $m = $ws->read_json;
        $wrong++ if ($m->{data}{event}{data} // '') ne $data[ $i - 1 ];
    }
    is($wrong, 0, 'each event comes as it was');

    is(scalar(() = glob $nginx->file('tmp/body/*')), 0, 'no file is left');

    $ws->close;
};


subtest 'a publisher that goes away in the middle' => sub {
    my $ws = WSBus::Raw->open($port, path => '/large/ws');
    $ws->subscribe({});
    my $head = head('large');
    my $left = 0;

    my $active = sub {
        my $raw = WSBus::Raw->new($port);
        $raw->write("GET /stub HTTP/1.1\r\nHost: a\r\n"
                    . "Connection: close\r\n\r\n");
        return $raw->response->{body} =~ /Active connections: (\d+)/ ? $1 : -1;
    };
    my $before = $active->();

    for my $events (1, 40, 300) {
        my $body = batch(map { order("gone-$_", 1000) } 1 .. $events);
        my $text = "POST /large/publish HTTP/1.1\r\nHost: a\r\n"
                   . "Idempotency-Key: gone-$events\r\n"
                   . "Content-Type: application/json\r\nContent-Length: "
                   . length($body) . "\r\n\r\n";

        for my $part (0, 0.01, 0.5, 0.9, 1) {
            my $n = $part == 1 ? length($body) - 1 : int $part * length $body;
            for my $end (qw(close vanish)) {
                my $raw = WSBus::Raw->new($port);
                $raw->write($text . substr $body, 0, $n);
                $raw->$end;
                $left++;
            }
        }

        # as lines each of which is an event by itself
        my $lines = join '', map { order("line-$_", 1000) . "\n" } 1 .. $events;
        my $raw = WSBus::Raw->new($port);
        $raw->write("POST /large/publish HTTP/1.1\r\nHost: a\r\n"
                    . "Content-Type: application/x-ndjson\r\n"
                    . "Content-Length: " . (length($lines) + 1) . "\r\n\r\n"
                    . $lines);
        $raw->close;
        $raw = WSBus::Raw->new($port);
        $raw->write("POST /large/publish HTTP/1.1\r\nHost: a\r\n"
                    . "Content-Type: application/x-ndjson\r\n"
                    . "Transfer-Encoding: chunked\r\n\r\n"
                    . sprintf("%x\r\n", length $lines) . $lines . "\r\n");
        $raw->close;
        $left += 2;
    }

    # nginx has seen the end of each of them

    ok(WSBus::Nginx::await(sub { $active->() == $before }), "$left went away");

    post(order('after'), '/large/publish');
    my $m = $ws->read_json;
    is($m->{data}{event}{entity_id}, 'after', 'nothing comes of them');
    is(head('large'), $head + 1, 'nor is anything in the history');

    # and what was tried under a key can be done under it

    my $body = batch(map { order("gone-$_", 1000) } 1 .. 40);
    my ($status, $answer) = post($body, '/large/publish',
                                 'Idempotency-Key' => 'gone-40');
    is($status, 200, 'again, this time to its end');
    is($answer->{published}, 40, 'it is published');
    is(head('large'), $head + 41, 'once');

    $ws->close;
};


subtest 'too many subscriptions' => sub {
    my $ws = WSBus::Raw->open($port, path => '/few/ws');

    is($ws->subscribe({ entity_id => "s$_" })->{subscription_id}, "sub_$_",
       "subscription $_") for 1 .. 3;

    for my $more ({}, { since => 'now' }, { since => 'first' }) {
        my $got = $ws->subscribe({ entity_id => 's4' }, id => 'x', %$more);
        is($got->{code}, 'too_many_subscriptions', 'one more is refused');
        is($got->{id}, 'x', 'with the id of the request');
    }

    is((post(order('s4')))[1]{subscribers}, 0, 'it is not counted');
    is((post(order('s3')))[1]{subscribers}, 1, 'the others are');
    is($ws->read_json->{data}{event}{entity_id}, 's3', 'and have events');

    $ws->ask({ type => 'unsubscribe', subscription_id => 'sub_2' });
    my $got = $ws->subscribe({ entity_id => 's5' });
    is($got->{type}, 'subscribed', 'one that is gone makes room');
    is($got->{subscription_id}, 'sub_4', 'the numbers go on');
    is($ws->subscribe({ entity_id => 's6' })->{code}, 'too_many_subscriptions',
       'for one');

    $ws->close;
};


$pub->close;
$nginx->finish;
done_testing;
