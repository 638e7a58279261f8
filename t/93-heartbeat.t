# SPDX-License-Identifier: BSD-2-Clause
# Who gives no sign of life is pinged, and then is gone; who resumes is told
# its position meanwhile; and the time of day has no part in it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;


sub conf {
    return WSBus::Nginx::minimal(
        zone   => 'zone=events:8m',
        http   => 'keepalive_requests 1000000; ws_bus_sndbuf 8k;
                   ws_bus_ping_interval 1s; ws_bus_pong_timeout 1s;
                   ws_bus_drain_window 1s;
                   ws_bus_zone zone=small:2m history=128k;',
        server => 'location /off/ws  { ws_bus events; ws_bus_ping_interval 0; }
                   location /long/ws { ws_bus events;
                                       ws_bus_pong_timeout 60s; }
                   location /slow/ws { ws_bus events;
                                       ws_bus_ping_interval 2s;
                                       ws_bus_pong_timeout 2s; }
                   location /lazy/ws { ws_bus events;
                                       ws_bus_ping_interval 4s; }
                   location /small/ws      { ws_bus small;
                                             ws_bus_pong_timeout 60s; }
                   location /small/publish { ws_bus_publish small; }');
}

my $nginx = WSBus::Nginx->new(workers => 2, fixed_workers => 1,
                              http => conf())->start;
our $port  = $nginx->port;

# Seconds that all may come later where all is slower. What must not come too
# early is measured from before the server began to count, what must not come
# too late from after it: so a client that had to wait for its turn proves
# nothing wrong.
my $SLACK = WSBus::Nginx::patience(1) - 1;

my $pub   = WSBus::Raw->new($port);


sub publish {
    my ($type, $size, $path) = @_;
    return $pub->publish(
        qq({"action":"created","entity_type":"$type","entity_id":"1",)
        . '"data":"' . 'x' x ($size // 0) . '"}', $path)->{last_id};
}

sub connections {
    return WSBus::Raw::zone($port, 'events')->{totals}{connections};
}

# A client of a temper. answer: it answers pings; read: bytes that it reads
# each tenth of a second (undef: all, 0: none); say: code that is called each
# tenth of a second; since, filter: it subscribes.

sub client {
    my ($path, %o) = @_;

    my $asked = time;
    my $raw   = WSBus::Raw->new($port);
    setsockopt $raw->sock, SOL_SOCKET, SO_RCVBUF,
               $o{rcvbuf} // 8192 if exists $o{read};
    my $status = $raw->handshake(path => $path)->{status};
    die "handshake: $status\n" if $status != 101;
    $raw->read_json;

    if ($o{filter}) {
        my $since = $o{since} ? qq(,"since":"$o{since}") : '';
        $raw->send_text(qq({"type":"subscribe","filter":$o{filter}$since}));
        my $got = $raw->read_json;
        die "not subscribed: $raw->{text}\n" if $got->{type} ne 'subscribed';
        ($o{start}) = $got->{last_id};
    }

    return { raw => $raw, answer => 1, seen => [], asked => $asked,
             born => time, last => $asked, gap => 0, %o };
}

# lets them live for so long, or until the code says true

sub live {
    my ($seconds, $clients, $code) = @_;

    my $end  = time + $seconds;
    my $tick = 0;

    while (time < $end) {
        last if $code && $code->();

        my $ticks = time > $tick;
        $tick = time + 0.1 if $ticks;

        for my $c (@$clients) {
            next if $c->{end};
            my $raw = $c->{raw};

            if ($ticks && $c->{say}) {
                $c->{say}->($raw);
                my $gap = time - $c->{last};
                $c->{gap} = $gap if $gap > $c->{gap};
                $c->{last} = time;
            }

            my $want = $c->{read} // 262_144;
            next if !$want || (defined $c->{read} && !$ticks);

            my $n = sysread $raw->sock, $raw->{in}, $want, length $raw->{in};

            if (!$n) {
                next if !defined $n && $!{EAGAIN};
                $c->{end} = time;
                next;
            }

            while (my $frame = WSBus::Raw::take_frame(\$raw->{in})) {
                my $what = $frame->{opcode} == WSBus::Raw::PING ? 'ping'
                         : $frame->{opcode} == WSBus::Raw::CLOSE ? 'close'
                         : $frame->{payload} =~ /^\{"type":"(\w+)"/ ? $1
                         : 'other';
                push @{ $c->{seen} }, [ time, $what, $frame->{payload} ];

                if ($what eq 'ping' && $c->{answer}) {
                    $raw->send_frame(WSBus::Raw::PONG, $frame->{payload});
                }
            }
        }

        sleep(0.01);
    }

    return;
}

sub seen { my ($c, $what) = @_; return grep { $_->[1] eq $what } @{ $c->{seen} } }

sub ids {
    my ($c) = @_;
    return map { $_->[2] =~ /"last_id":"([^"]+)"/ } seen($c, 'position');
}


subtest 'pings, and who is gone' => sub {
    my %c = (
        good   => client('/ws'),
        mute   => client('/ws', answer => 0),
        plain  => client('/ws', filter => '{"entity_type":"none"}',
                         answer => 0),
        aware  => client('/ws', filter => '{"entity_type":"none"}',
                         since => 'now', answer => 0),
        talks  => client('/ws', answer => 0, say => sub {
                      $_[0]->send_text('{"type":"ping"}') }),
        pongs  => client('/ws', answer => 0, say => sub {
                      $_[0]->send_frame(WSBus::Raw::PONG, 'unasked') }),
        bytes  => client('/ws', answer => 0),
        off    => client('/off/ws', answer => 0),
        long   => client('/long/ws', answer => 0),
        prompt => client('/long/ws'),
        lazy   => client('/lazy/ws', answer => 0),
    );

    # a byte at a time of a message that does not end
    my $text = WSBus::Raw::frame(1, '{"type":"ping"' . ' ' x 3000 . '}');
    $c{bytes}{say} = sub { $_[0]->write(substr $text, 0, 1, '') };

    live(7.5, [ values %c ]);

    for my $name (qw(good talks pongs bytes off long prompt)) {
        ok(!$c{$name}{end}, "$name: lives");
    }

    for my $name (qw(mute plain aware)) {
        my $end = $c{$name}{end} // 0;
        cmp_ok($end - $c{$name}{asked}, '>=', 1.95,
               "$name: is not gone before its time");
        cmp_ok($end - $c{$name}{born}, '<=', 4 + $SLACK, 'but as is promised');
        is(scalar seen($c{$name}, 'ping'), 1, 'after one ping');
    }

    my ($ping) = map { $_->[0] } seen($c{mute}, 'ping');
    cmp_ok(($ping // 0) - $c{mute}{asked}, '>=', 0.95,
           'the ping came after the interval');
    cmp_ok(($ping // 0) - $c{mute}{born}, '<=', 2 + $SLACK,
           'and not much later');
    is(scalar seen($c{mute}, 'close'), 0, 'without a Close, to nobody');

    for my $name (qw(good prompt)) {
        my $pings = seen($c{$name}, 'ping');
        cmp_ok($pings, '>=', 3, "$name: is pinged again and again: $pings");
        cmp_ok($pings, '<=', 8, 'but not more often than is asked for');
    }

    ok(!seen($c{$_}, 'ping') || $c{$_}{gap} > 0.9,
       "$_: shows life, and is not pinged") for qw(talks pongs bytes);
    is(scalar seen($c{off}, 'ping'), 0, 'with 0 there are no pings');
    is(scalar seen($c{long}, 'ping'), 1,
       'one ping, while its answer is waited for');

    ($ping) = map { $_->[0] } seen($c{lazy}, 'ping');
    cmp_ok(($ping // 0) - $c{lazy}{asked}, '>=', 3.9,
           'each location has its own interval');
    cmp_ok(($ping // 0) - $c{lazy}{born}, '<=', 5 + $SLACK, 'which is kept');

    my $alive = grep { !$_->{end} } values %c;
    ok(WSBus::Nginx::await(sub { connections() <= $alive }),
       'who is gone is counted no more');

    $_->{raw}->close for values %c;
    ok(WSBus::Nginx::await(sub { connections() == 0 }), 'all are closed');
};


# Progress of a write that had blocked is life; no progress is none. The kernel
# tells of some once it has room for much again: to who reads 30 KB a second
# the server writes about once in a second and a half. And it may take a little
# more, late, of who never reads.

subtest 'who reads slowly stays, who does not read goes' => sub {
    publish('big', 5000) for 1 .. 150;

    # the first is never done with them within this time
    my %o     = (filter => '{"entity_type":"big"}', since => 'first',
                 answer => 0);
    my $slow  = client('/slow/ws', %o, read => 3000);
    my $never = client('/slow/ws', %o, read => 0);

    my $gone;
    live(20, [ $slow, $never ], sub {
        $gone //= time if !$slow->{end} && connections() == 1;
        return $gone && time > $slow->{born} + 8;
    });

    ok(!$slow->{end}, 'who reads a little lives');
    cmp_ok(scalar seen($slow, 'event'), '>', 5, 'and has events');
    ok($gone, 'who does not read is gone');
    cmp_ok(($gone // 0) - $never->{born}, '<=', 10 + $SLACK, 'in time');
    cmp_ok(($gone // 0) - $never->{asked}, '>=', 3.95, 'and not before');

    $_->{raw}->close for $slow, $never;
};

subtest 'position' => sub {
    my $none  = '{"entity_type":"none"}';
    my $aware = client('/ws', filter => $none, since => 'now');
    my $plain = client('/ws', filter => $none);
    my $still = client('/off/ws', filter => $none, since => 'now');
    my $late  = client('/long/ws', filter => '{"entity_type":"big"}',
                       since => 'now', read => 0, rcvbuf => 65_536);
    my @all   = ($aware, $plain, $still, $late);

    my $first = publish('x');
    live(10, \@all, sub { ids($aware) });
    is((ids($aware))[0], $first,
       'without a matching event the position is the head');

    my $n = ids($aware);
    live(2.5, \@all);
    is(scalar ids($aware), $n, 'while it does not move, it is not told again');

    my $second = publish('x');
    live(10, \@all, sub { ids($aware) > $n });
    is((ids($aware))[-1], $second, 'but when it does');

    is(scalar ids($plain), 0, 'a client that sent no since is told nothing');
    is(scalar ids($still), 0, 'nor is anybody without a heartbeat');

    # a client that cannot be written to is not told what it has not got

    publish('big', 5000) for 1 .. 200;
    my $last = publish('x');
    live(1.2, \@all);
    $late->{read} = 20_000;
    live(1.6, \@all);
    $late->{read} = 262_144;
    $late->{answer} = 1;
    live(15, \@all, sub { ((ids($late))[-1] // '') eq $last });

    my ($said, $wrong) = (0, 0);
    for my $m (@{ $late->{seen} }) {
        if ($m->[1] eq 'event') {
            $wrong++ if seq_of($m->[2] =~ /"id":"([^"]+)"/) <= $said;
        } elsif ($m->[1] eq 'position') {
            $said = seq_of($m->[2] =~ /"last_id":"([^"]+)"/);
        }
    }
    is(scalar seen($late, 'event'), 200, 'it has all events');
    is($wrong, 0, 'no position claims what had not been sent');
    is((ids($late))[-1] // '', $last, 'in the end it is the head');

    my @seq = map { seq_of($_) } ids($late);
    is(join(' ', @seq), join(' ', sort { $a <=> $b } @seq), 'it never goes back');

    $_->{raw}->close for @all;
};


# that is what it is for: a subscriber of rare events can resume

subtest 'a quiet client does not fall out of the history' => sub {
    my $c = client('/small/ws', filter => '{"entity_type":"rare"}',
                   since => 'now');

    publish('other', 2000, '/small/publish') for 1 .. 150;
    live(10, [ $c ], sub { ids($c) });
    my ($id) = (ids($c))[-1];
    ok($id, 'its position is told');
    $c->{raw}->close;

    my $want = publish('rare', 0, '/small/publish');

    my @got;
    for my $since ($id, $c->{start}) {
        my $ws = WSBus::Raw->open($port, path => '/small/ws');
        $ws->send_text('{"type":"subscribe","filter":{"entity_type":"rare"},'
                       . qq("since":"$since"}));
        push @got, [ $ws->read_json, $ws->read_json ];
        $ws->close;
    }

    is($got[0][0]{recovered}, Mojo::JSON->true, 'from there it is recovered');
    is($got[0][1]{data}{id}, $want, 'with what it lacks');
    is($got[1][0]{recovered}, Mojo::JSON->false,
       'from where it began it would not be');
};


$pub->close;
$nginx->finish;


# A clock that can be set, for nginx alone.

my $CLOCK = <<'END';
#include <sys/time.h>
#include <time.h>

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    static int (*real)(clockid_t, struct timespec *);
    int  rc;

    if (real == NULL) {
        real = (int (*)(clockid_t, struct timespec *))
                   dlsym(RTLD_NEXT, "clock_gettime");
    }

    rc = real(id, ts);

    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) {
        ts->tv_sec += *shim_value;
    }

    return rc;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;
    (void) clock_gettime(CLOCK_REALTIME, &ts);

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}

time_t
time(time_t *t)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    if (t != NULL) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}
END


subtest 'the clock jumps by a day, both ways' => sub {
    my $own = WSBus::Nginx->new(workers => 2, fixed_workers => 1,
                                http => conf());

    my $set = $own->start_with($CLOCK);

    local $port = $own->port;
    my $raw = WSBus::Raw->new($port);

    my $good  = client('/ws', filter => '{}', since => 'now');
    my $mute  = client('/lazy/ws', answer => 0);
    my @all   = ($good, $mute);
    my ($slowest, $date) = (0, '');

    for my $jump (0, 86_400, -86_400, 0) {
        $set->($jump);
        my $n = seen($good, 'event');

        for my $i (1 .. 3) {
            my $t0 = time;
            $raw->post('/publish', '{"action":"created","entity_type":"x",'
                       . '"entity_id":"1","data":{}}')->{status} == 200
                or die "publish\n";
            live(10, \@all, sub { seen($good, 'event') >= $n + $i });
            my $took = time - $t0;
            $slowest = $took if $took > $slowest;
            live(0.3, \@all);
        }

        is(scalar seen($good, 'event'), $n + 3, "by $jump s: the events come");
        my ($stamp) = (seen($good, 'event'))[-1][2]
            =~ /"timestamp":"(\d{4}-\d\d-\d\dT\d\d)/;
        my @t = gmtime(time + $jump);
        my $like = sprintf '%04d-%02d-%02dT%02d', $t[5] + 1900, $t[4] + 1,
                           @t[ 3, 2 ];
        is($stamp, $like, 'and have the time of day, as it is');
    }

    cmp_ok($slowest, '<', 5, sprintf 'none waited: %.0f ms', $slowest * 1000);
    ok(!$good->{end}, 'who answers lives');

    my $pings = seen($good, 'ping');
    cmp_ok($pings, '<=', time - $good->{asked},
           "pings go on at their pace: $pings");

    live(12, \@all, sub { $mute->{end} });
    my ($ping) = map { $_->[0] } seen($mute, 'ping');
    cmp_ok(($ping // 0) - $mute->{asked}, '>=', 3.9,
           'a ping comes after its interval');
    cmp_ok(($ping // 0) - $mute->{born}, '<=', 5 + $SLACK,
           'as measured by a clock that does not jump');
    ok($mute->{end}, 'and who is silent is gone');

    # a drain, too

    $set->(-86_400);
    kill 'HUP', $own->pid;
    $set->(86_400);
    live(14, [ $good ], sub { $good->{end} || seen($good, 'close') });
    my ($close) = seen($good, 'close');
    is($close ? unpack('n', $close->[2]) : 0, 1012,
       'a reload closes with 1012 within its window');

    $_->close for $raw, map { $_->{raw} } @all;
    $own->finish;
};


done_testing;
