# SPDX-License-Identifier: BSD-2-Clause
# Peers that mean no good, thousands of each. All are served by one worker:
# who behaves is answered meanwhile, and afterwards the worker has no more
# memory than before.
#
# Of those that take long there are few. WSB_HOSTILE=n: as many of these too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Compress::Raw::Zlib;
use IO::Select;
use Mojo::JSON qw(encode_json);
use Socket qw(SOL_SOCKET SO_RCVBUF SO_SNDBUF);
use Test::More;
use Time::HiRes qw(time);

use WSBus::Nginx;
use WSBus::Raw qw(CONT TEXT BINARY CLOSE PING PONG frame close_frame);

# the soft limit of open files may be below what is allowed

BEGIN {
    if (!$ENV{WSB_FILES_RAISED}) {
        $ENV{WSB_FILES_RAISED} = 1;
        exec 'bash', '-c', 'ulimit -n "$(ulimit -H -n)"; exec "$0" "$@"',
             $^X, $0, @ARGV;
    }
}

chomp(my $allowed = `bash -c 'ulimit -n'`);
$allowed = 1 << 20 if $allowed !~ /^\d+$/;

my $MANY    = $allowed > 3300 ? 2500 : $allowed - 800;    # at once
my $LIMIT   = 1 << 20;                          # bytes that may be missing
my $HOSTILE = $ENV{WSB_HOSTILE} || 0;
my $PATIENT = WSBus::Nginx::patience(5);      # seconds until an answer
my $PING    = '{"type":"ping"}';
my $MASK    = "\x11\x22\x33\x44";

# the defaults of malloc(), which it raises with what it sees, and then holds
# megabytes back, if they are not set

$ENV{MALLOC_TRIM_THRESHOLD_} = $ENV{MALLOC_MMAP_THRESHOLD_} = 128 * 1024;

my $nginx = WSBus::Nginx->new(
    workers       => 1,
    fixed_workers => 1,
    main          => 'worker_rlimit_nofile ' . ($MANY + 800) . ';',
    events        => 'worker_connections ' . ($MANY + 700) . ';',
    http          => WSBus::Nginx::minimal(
        listen => 'backlog=2048',
        http   => <<'END', server => <<'END2'));
    ws_bus_deflate on;
END
    location /echo  { ws_bus_echo; ws_bus_max_message_size 1m; }
    location /tiny  { ws_bus events; ws_bus_max_message_size 1k; }
    location /slow  { ws_bus events; ws_bus_sndbuf 8k; }
    location /slow/echo { ws_bus_echo; ws_bus_sndbuf 8k; }
    ws_bus_drain_window 0;
END2

$nginx->certificate;
$nginx->{http} .= <<'END';
    server {
        listen 127.0.0.1:%%PORT1%% ssl backlog=2048;
        client_header_timeout 1s;
        ssl_certificate     %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        location /ws { ws_bus events; }
    }
END
$nginx->start;

my ($worker)  = $nginx->worker_pids;
my $sanitized = WSBus::Nginx::sanitized();


# n connections that are open and welcome; none waits for its turn for long

sub open_many {
    my ($n, $path, %o) = @_;

    $path //= '/ws';

    my $request = WSBus::Raw::request(path => $path, %o);
    my @all;

    while (@all < $n) {
        my @ws = map { WSBus::Raw->new($nginx->port) }
                 1 .. ($n - @all < 100 ? $n - @all : 100);

        $_->write($request) for @ws;

        for my $ws (@ws) {
            $ws->response->{status} == 101 or die "no 101\n";
            $ws->read_json->{type} eq 'welcome' or die "no welcome\n"
                if $path !~ /echo/;
        }

        push @all, @ws;
    }

    return @all;
}

sub deflate {
    my ($data) = @_;

    my ($d) = Compress::Raw::Zlib::Deflate->new(-WindowBits   => -15,
                                                -AppendOutput => 1);
    my $out = '';
    $d->deflate($data, $out);
    $d->flush($out, Z_SYNC_FLUSH);

    return substr $out, 0, -4;
}


# somebody who behaves

my $witness = WSBus::Raw->open($nginx->port);
my $worst   = 0;

sub answered {
    my $start = time;
    my $alive = $witness->alive;
    my $took  = time - $start;

    $worst = $took if $took > $worst;

    return $alive;
}

sub status {
    return WSBus::Raw::zone($nginx->port)->{workers}[0] // {};
}

sub files {
    opendir my $dir, "/proc/$worker/fd" or return -1;
    return scalar(() = readdir $dir);
}

my $files = files();

# only the witness is left, in this time: also of those that never became a
# connection of the bus

sub alone {
    my ($timeout) = @_;

    return WSBus::Nginx::await(
        sub { files() <= $files && (status()->{connections} // 0) == 1 },
        $timeout);
}

sub memory {
    my $text = WSBus::Nginx::slurp("/proc/$worker/smaps_rollup");
    my ($kb) = $text =~ /^Private_Dirty:\s+(\d+) kB/m;
    return $kb * 1024;
}

sub published {
    my ($n) = @_;

    my $raw = WSBus::Raw->new($nginx->port);

    for (1 .. $n) {
        $raw->post('/publish', encode_json({ action => 'updated',
            entity_type => 'order', entity_id => 'o', data => 'x' x 200 }))
            ->{status} == 200 or die "not published\n";
    }
}

# n of a kind, batch by batch. What the first batch (or a few) takes, the
# worker may keep for the next: after all of them it has not much more. What
# malloc() only holds back by chance is gone after another batch, a leak is not

sub kind {
    my ($what, $n, $batch, $code, $first) = @_;

    $first //= 1;

    subtest "$what: $n" => sub {
        my $start = time;
        my ($wrong, $silent, $done) = (0, 0, 0);

        for (1 .. $first) {
            $code->($batch);
            ok(alone(), 'the first of them are gone');
        }

        my $before = memory();
        my $more;

        for ($done = $first * $batch; $done < $n + 3 * $batch;
             $done += $batch)
        {
            if ($done >= $n) {
                $more = memory() - $before;
                last if $sanitized || $more < $LIMIT;
            }

            $wrong += $code->($batch) // 0;
            $silent++ if !answered();
            $wrong++ if !alone();
        }

        is($wrong, 0, 'each is treated as it should be, and gone');
        is($silent, 0, 'others are answered');

        diag(sprintf '%-44s %6d in %4.1f s, %5d kB', $what, $done,
             time - $start, $more / 1024);

        if ($sanitized) {
            pass('memory: not judged with a sanitizer');
        } else {
            cmp_ok($more, '<', $LIMIT, 'the memory is as before');
        }
    };
}

# so many, or more if that is asked for

sub at_least { my ($n) = @_; return $n > $HOSTILE ? $n : $HOSTILE }

# what was expected of each, and how many are otherwise

sub wrong { my ($want, @got) = @_; return scalar grep { $_ ne $want } @got }

# Close frames have come from all of these, and they are gone

sub all_closed {
    my ($code, @ws) = @_;

    my $wrong = wrong($code, map { $_->read_close } @ws);

    $_->write(close_frame($code)) for @ws;
    $wrong += wrong('eof', map { $_->read_end } @ws);
    $_->close for @ws;

    return $wrong;
}


# as many as any kind has at once, before anything is measured

for (1 .. 3) {
    $_->vanish for open_many(500), open_many(500, '/echo');
    alone() or die "they are not gone\n";
}


# byte by byte, the connections in turn

sub drip {
    my ($ws, @bytes) = @_;

    my $longest = (sort { $b <=> $a } map { length } @bytes)[0];

    for my $at (0 .. $longest - 1) {
        for my $i (0 .. $#$ws) {
            $ws->[$i]->write(substr $bytes[ $i % @bytes ], $at, 1)
                if $at < length $bytes[ $i % @bytes ];
        }
    }
}

kind('frames byte by byte', 10_000, 500, sub {
    my ($n) = @_;

    my @ws   = open_many($n);
    my $text = '{"type":"ping","x":"' . 'y' x 120 . '"}';

    drip(\@ws, frame(TEXT, $PING), frame(TEXT, $PING, mask => $MASK));
    my $wrong = wrong('pong', map { $_->read_json->{type} } @ws);

    drip(\@ws, substr(frame(TEXT, $text), 0, 8),
         substr(frame(BINARY, 'x' x 70_000), 0, 14));
    $_->vanish for @ws;

    return $wrong;
});

kind('handshakes byte by byte', at_least(500), 100, sub {
    my ($n) = @_;

    my @ws = map { WSBus::Raw->new($nginx->port) } 1 .. $n;

    drip(\@ws, WSBus::Raw::request());

    my $wrong = wrong(101, map { $_->response->{status} } @ws);
    $_->vanish for @ws;

    return $wrong;
});


kind('a hundred thousand fragments of one byte', at_least(12), 2, sub {
    my ($n) = @_;

    my $one   = frame(CONT, 'x', fin => 0, mask => $MASK);
    my @ws    = open_many($n, '/echo');
    my $bytes = frame(TEXT, 'x', fin => 0, mask => $MASK)
                . $one x 99_998 . frame(CONT, 'x', mask => $MASK);

    $_->write($bytes) for @ws;
    answered();

    my $wrong = wrong('x' x 100_000,
                      map { ($_->read_frame // {})->{payload} // '' } @ws);
    $_->vanish for @ws;

    # where 64k are allowed
    @ws = open_many($n);
    $_->write($bytes) for @ws;
    $wrong += all_closed(1009, @ws);

    # of none at all there may be any number
    @ws = open_many($n);
    $bytes = frame(TEXT, '', fin => 0, mask => $MASK)
             . frame(CONT, '', fin => 0, mask => $MASK) x 99_998
             . frame(CONT, $PING, mask => $MASK);
    $_->write($bytes) for @ws;
    $wrong += wrong('pong', map { $_->read_json->{type} } @ws);
    $_->vanish for @ws;

    return $wrong;
});


kind('messages that never end', 10_000, 500, sub {
    my ($n) = @_;

    my $wrong = 0;

    # the limit is 1k
    my @ws = open_many($n * 0.8, '/tiny');
    my $bytes = frame(TEXT, 'x' x 300, fin => 0, mask => $MASK)
                . frame(CONT, 'x' x 300, fin => 0, mask => $MASK) x 10;
    $_->write($bytes) for @ws;
    $wrong += all_closed(1009, @ws);

    # 64k
    @ws = open_many($n * 0.1);
    $bytes = frame(BINARY, 'x' x 5000, fin => 0, mask => $MASK)
             . frame(CONT, 'x' x 5000, fin => 0, mask => $MASK) x 20;
    $_->write($bytes) for @ws;
    $wrong += all_closed(1009, @ws);

    # and many who hold just below it
    @ws = open_many($n * 0.1);
    $bytes = frame(BINARY, 'x' x 30_000, fin => 0, mask => $MASK)
             . frame(CONT, 'x' x 30_000, fin => 0, mask => $MASK);
    $_->write($bytes . frame(PING, '')) for @ws;
    $wrong += wrong(PONG, map { ($_->read_frame // {})->{opcode} // '' } @ws);
    $_->vanish for @ws;

    return $wrong;
});

kind('lengths announced, and nothing sent', 10_000, 500, sub {
    my ($n) = @_;

    my @ws = open_many($n);

    for my $i (0 .. $#ws) {
        $ws[$i]->write($i % 2 ? pack 'CCn', 0x81, 0xfe, 65535
                              : pack 'CCQ>', 0x82, 0xff, 65536);
    }

    $_->vanish for @ws;
    return 0;
});

kind('lengths beyond the limit', 10_000, 500, sub {
    my ($n) = @_;

    my @ws = open_many($n);
    $_->write(pack 'CCQ>', 0x82, 0xff, 1 << 40) for @ws;

    return all_closed(1009, @ws);
});


kind('deflate bombs', at_least(1000), 100, sub {
    my ($n) = @_;

    my @ws = open_many($n, '/ws', headers => [
        'Sec-WebSocket-Extensions' => 'permessage-deflate' ]);
    my $bomb = frame(TEXT, deflate(' ' x (8 << 20)), rsv => 4, mask => $MASK);

    $_->write($bomb) for @ws;

    return all_closed(1009, @ws);
});


# Those who ask without end and never read. The sockets are small, so that
# it shows soon

sub unread {
    my ($path) = @_;

    my ($ws) = open_many(1, $path);

    setsockopt $ws->sock, SOL_SOCKET, SO_RCVBUF, 65536;
    setsockopt $ws->sock, SOL_SOCKET, SO_SNDBUF, 65536;

    return $ws;
}

my $FLOOD = $HOSTILE ? 2000 : 20_000;    # pings of each

kind("pings without reading: $FLOOD from each", at_least(12), 2, sub {
    my ($n) = @_;

    my $wrong = 0;

    for my $ws (map { unread($_ % 2 ? '/slow' : '/slow/echo') } 1 .. $n) {
        my $before = memory();
        my $last;

        # all of them are read: the pongs that wait make way for the latest
        for my $i (1 .. $FLOOD / 100) {
            my $bytes = join '', map { frame(PING, sprintf('%06d', $i * 100 + $_)
                                             . 'x' x 119, mask => $MASK) }
                        1 .. 100;
            $last = sprintf '%06d', $i * 100 + 100;
            $ws->write($bytes) or $wrong++;
        }

        $wrong++ if !answered();
        $wrong++ if !$sanitized && memory() - $before > $LIMIT;

        # each that comes is one of ours, and newer; the last is the last
        my ($got, $seen) = (0, 0);
        while (my $frame = $ws->read_frame) {
            my ($number) = $frame->{payload} =~ /^(\d{6})/;
            $wrong++ if $frame->{opcode} != PONG || $number <= $seen;
            $seen = $number;
            $got++;
            last if $number == $last;
        }
        $wrong++ if $seen != $last;

        $ws->vanish;
    }

    return $wrong;
});

kind('messages without reading the answers', 12, 2, sub {
    my ($n) = @_;

    my $wrong = 0;

    for my $ws (map { unread($_ % 2 ? '/slow' : '/slow/echo') } 1 .. $n) {
        my $before = memory();
        my $frame  = frame(TEXT, $PING, mask => $MASK);
        my $bytes  = $frame x 1000;
        my ($sent, $at) = (0, 0);

        # until the server reads no more; what is sent is counted, to the byte
        while (1) {
            my $written = syswrite $ws->sock, $bytes, length($bytes) - $at, $at;

            if (defined $written) {
                $sent += $written;
                $at = ($at + $written) % length $bytes;

            } elsif (!IO::Select->new($ws->sock)->can_write(0.25)) {
                last;
            }

            if ($sent > 64 << 20) {
                $wrong++;
                last;
            }
        }

        $wrong++ if !answered();
        $wrong++ if !$sanitized && memory() - $before > $LIMIT;

        # it has only been put off
        my $whole = int $sent / length $frame;
        my $got   = 0;
        while ($got < $whole) {
            my $answer = $ws->read_frame or last;
            $wrong++ if $answer->{opcode} != TEXT;
            $got++;
        }
        $wrong++ if $got != $whole;

        $ws->vanish;
    }

    return $wrong;
});

kind('messages without reading, then a reset', 100, 20, sub {
    my ($n) = @_;

    my @ws    = map { unread('/slow') } 1 .. $n;
    my $bytes = frame(TEXT, $PING, mask => $MASK) x 3000;

    # as much as it takes at once
    syswrite $_->sock, $bytes for @ws, @ws;
    answered();

    # and events, which nobody takes either
    $_->vanish for @ws;

    return 0;
});


# A reset at each state of a connection

my @states = (
    [ 'connected' ],
    [ 'half a request',     sub { $_[0]->write("GET /ws HTTP/1.1\r\nHos") } ],
    [ 'a request',          sub { $_[0]->write(WSBus::Raw::request()) } ],
    [ 'a request and a frame', sub {
        $_[0]->write(WSBus::Raw::request(after => frame(TEXT, $PING))) } ],
    [ 'a bad request',      sub {
        $_[0]->write(WSBus::Raw::request(key => 'bad')) } ],
    map({ [ @$_, 'open' ] }
        [ 'open',                  undef ],
        [ 'a byte of a header',    sub { $_[0]->write("\x81") } ],
        [ 'half a header',         sub { $_[0]->write("\x81\xfe\x01\x00\x11") } ],
        [ 'half a payload',        sub {
            $_[0]->write(substr frame(TEXT, 'x' x 600), 0, 300) } ],
        [ 'half a ping',           sub {
            $_[0]->write(substr frame(PING, 'x' x 100), 0, 50) } ],
        [ 'between two fragments', sub {
            $_[0]->write(frame(TEXT, 'x' x 600, fin => 0)) } ],
        [ 'a ping unanswered',     sub { $_[0]->write(frame(PING, 'x')) } ],
        [ 'messages unanswered',   sub {
            $_[0]->write(frame(TEXT, $PING) x 50) } ],
        [ 'a subscription asked for', sub {
            $_[0]->send_text('{"type":"subscribe","filter":{}}') } ],
        [ 'subscriptions, and events unread', sub {
            $_[0]->send_text('{"type":"subscribe","filter":{}}') for 1 .. 3;
            $_[0]->read_json for 1 .. 3 } ],
        [ 'a close sent',          sub { $_[0]->write(close_frame(1000)) } ],
        [ 'a close answered',      sub {
            $_[0]->write(close_frame(1000));
            $_[0]->read_close } ],
        [ 'a failure sent',        sub { $_[0]->write("\x83\x80") } ],
        [ 'a failure answered',    sub {
            $_[0]->write("\x83\x80");
            $_[0]->read_close } ],
        [ 'half closed',           sub { shutdown $_[0]->sock, 1 } ],
    ),
);

my $each = 25;

sub at_all_states {
    my @all;

    for my $state (@states) {
        my ($what, $code, $open) = @$state;

        my @ws = $open ? open_many($each)
                       : map { WSBus::Raw->new($nginx->port) } 1 .. $each;

        if ($code) {
            $code->($_) for @ws;
        }

        push @all, @ws;
    }

    return @all;
}

kind('resets, at ' . @states . ' states', 10_000, $each * @states, sub {
    my @all = at_all_states();

    # half of them with an event on its way to those who subscribe
    published(1);
    $all[ $_ * 2 ]->vanish for 0 .. $#all / 2;
    published(1);
    $all[ $_ * 2 + 1 ]->vanish for 0 .. ($#all - 1) / 2;

    return 0;
});

kind('gone with a FIN, at ' . @states . ' states', at_least(2000),
     $each * @states, sub {
    $_->close for at_all_states();
    return 0;
});


# Who never finishes the close handshake is waited for, but not for long

kind('a close answered, and no FIN', 10_000, $MANY, sub {
    my ($n) = @_;

    my @ws = open_many($n);

    $_->write(close_frame(1000)) for @ws[ 0 .. $n / 2 - 1 ];
    $_->write("\x83\x80") for @ws[ $n / 2 .. $n - 1 ];

    my $wrong = wrong('1000', map { $_->read_close } @ws[ 0 .. $n / 2 - 1 ])
                + wrong('1002', map { $_->read_close } @ws[ $n / 2 .. $n - 1 ]);

    # our ends stay open, and some even go on writing
    $_->write('x') for @ws[ $n - 100 .. $n - 1 ];

    $wrong++ if !alone();
    $_->close for @ws;

    return $wrong;
});


# TLS that is not gone through with

require Net::SSLeay;

my $hello = do {
    my $ctx = Net::SSLeay::CTX_new();
    my $ssl = Net::SSLeay::new($ctx);
    my $in  = Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem());
    my $out = Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem());

    Net::SSLeay::set_bio($ssl, $in, $out);
    Net::SSLeay::set_connect_state($ssl);
    Net::SSLeay::connect($ssl);
    my $bytes = Net::SSLeay::BIO_read($out);
    Net::SSLeay::free($ssl);
    Net::SSLeay::CTX_free($ctx);

    $bytes;
};

cmp_ok(length $hello, '>', 100, 'there is a ClientHello');

# n that are at different points of the handshake

sub half_open {
    my ($n) = @_;

    my $cut = length $hello;
    my @ws;

    # each says at once what it has to say: its time has begun

    for my $i (0 .. $n - 1) {
        push @ws, WSBus::Raw->new($nginx->port(1));
        $ws[$i]->write(substr $hello, 0,
                       (0, 1, 5, $cut / 2, $cut - 1, $cut)[ $i % 6 ]);
    }

    # a whole one is answered: by then all of them are known
    $ws[$_]->fill or die "no answer\n" for grep { $_ % 6 == 5 } 0 .. $#ws;

    return @ws;
}

kind('TLS, half open and cut off', 10_000, 200, sub {
    my ($n) = @_;
    $_->vanish for half_open($n);
    return 0;
}, 10);

kind('TLS, half open until they are sent away', 600, 200, sub {
    my ($n) = @_;

    my @ws = half_open($n);
    my $wrong = wrong('eof', map { $_->read_end } @ws);
    $_->close for @ws;

    return $wrong;
});

kind('TLS, cut off once it is open', 100, 25, sub {
    my ($n) = @_;

    my @ws = map { WSBus::Raw->open($nginx->port(1), ssl => 1) } 1 .. $n;

    for my $i (0 .. $#ws) {
        my $ws = $ws[$i];

        $ws->write((frame(TEXT, $PING), substr(frame(TEXT, $PING), 0, 4),
                    close_frame(1000), "\x83\x80", '')[ $i % 5 ]);

        # the socket below it: TLS says no farewell
        if ($i % 2) {
            setsockopt $ws->sock, SOL_SOCKET, Socket::SO_LINGER(),
                       pack 'll', 1, 0;
        }
        $ws->sock->close(SSL_no_shutdown => 1);
    }

    return 0;
});


# Our own Close that nobody answers: a worker that is to exit is gone soon

subtest 'an exiting worker does not wait for ever' => sub {
    ok(answered(), 'the witness');

    my @ws   = open_many(300);
    my $full = unread('/slow');
    syswrite $full->sock, frame(TEXT, $PING, mask => $MASK) x 20_000;

    my $start = time;

    $nginx->reload;

    is(wrong('1012', map { $_->read_close } @ws), 0, 'all are told');
    ok(WSBus::Nginx::await(sub { !-d "/proc/$worker" }, 30),
       'none answers, one does not even read: the worker exits');
    cmp_ok(time - $start, '<', 30, 'after the time it has given them');
    is(wrong('eof', map { $_->read_end } @ws), 0, 'all are cut off');
};


diag(sprintf 'the longest that anybody waited: %.0f ms', $worst * 1000);

cmp_ok($worst, '<', $PATIENT, 'nobody waited long');

$nginx->finish;
done_testing;
