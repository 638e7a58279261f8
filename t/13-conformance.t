# SPDX-License-Identifier: BSD-2-Clause
# The sections of the Autobahn test suite, strictly: what is not exactly as
# expected fails. A case is one connection: the frames that come back, with
# type and payload, the code of the Close frame, and the end of TCP.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::MD5 qw(md5_hex);
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;

use WSBus::Nginx;
use WSBus::Raw qw(CONT TEXT BINARY CLOSE PING PONG frame close_frame);

my $MAX   = 16 * 1024 * 1024;
my $MASK  = "\x5a\x00\xc3\x81";
my @NAMES = qw(cont text binary 3 4 5 6 7 close ping pong 11 12 13 14 15);

my $nginx = WSBus::Nginx->new(http => <<'END');
    ws_bus_max_message_size 16m;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /echo { ws_bus_echo; }
        location /slow { ws_bus_echo; ws_bus_sndbuf 8k; }
        location /tiny { ws_bus_echo; ws_bus_max_message_size 1k; }
    }
    server {
        listen 127.0.0.1:%%PORT1%% ssl;
        ssl_certificate     %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        location /echo { ws_bus_echo; }
    }
END

$nginx->certificate->start;

my (%passed, %cases, $tls);


# with a size, the socket receives no more than that ahead of our reading

sub ws {
    my ($path, $size) = @_;

    my $ws = WSBus::Raw->new($nginx->port($tls ? 1 : 0), ssl => $tls);

    setsockopt $ws->sock, SOL_SOCKET, SO_RCVBUF, $size if $size;

    $ws->handshake(path => $path // '/echo')->{status} == 101
        or die "no 101\n";

    return $ws;
}


# What is sent is a list of pieces of bytes, each one write; [n, bytes] is
# written n bytes at a time.

sub send_all {
    my ($ws, @pieces) = @_;

    for my $piece (@pieces) {
        if (!ref $piece) {
            $ws->write($piece);
            next;
        }

        my ($n, $bytes) = @$piece;

        for (my $at = 0; $at < length $bytes; $at += $n) {
            $ws->write(substr $bytes, $at, $n);
        }
    }
}

sub label {
    my ($opcode, $payload) = @_;

    my $n = length $payload;

    return $NAMES[$opcode] . ' '
           . ($n > 64 ? "of $n bytes, " . md5_hex($payload)
                      : '"' . ($payload =~ s/([^ -~])/sprintf '\x%02x', ord $1/ger)
                        . '"');
}

# the next frame as text: what it is, or what came instead of it

sub next_frame {
    my ($ws) = @_;

    my $frame = $ws->read_frame or return $ws->state;
    my $odd   = join '', map { " $_=$frame->{$_}" }
                grep { $frame->{$_} != ($_ eq 'fin' ? 1 : 0) }
                qw(fin rsv masked);

    if ($frame->{opcode} == CLOSE) {
        my ($code) = unpack 'n', $frame->{payload};
        return 'close ' . ($code // 1005) . $odd;
    }

    return label($frame->{opcode}, $frame->{payload}) . $odd;
}

# as many, or fewer if the connection ends or says nothing more

sub next_frames {
    my ($ws, $n) = @_;

    my @got;

    while (@got < $n) {
        push @got, next_frame($ws);
        last if $got[-1] =~ /^(?:timeout|eof|reset)/;
    }

    return @got;
}

sub judge {
    my ($section, $what, $got, $want) = @_;

    $cases{$section}++;
    $passed{$section}++ if is($got, $want, $what);
}


# the connection stands: these frames come back, no more, and a Close of
# ours ends it

sub good {
    my ($section, $what, $send, @want) = @_;

    my $ws = ws();

    send_all($ws, @$send);

    my @got = next_frames($ws, scalar @want);

    $ws->write(close_frame(1000));
    push @got, next_frame($ws);

    judge($section, $what, join("\n", @got, $ws->read_end),
          join("\n", map({ label(@$_) } @want), 'close 1000', 'eof'));
}

# it does not: these frames come back, then a Close with this code. What is
# in {later} is sent only after that, and changes nothing

sub fails {
    my ($section, $what, $send, $code, @want) = @_;

    my %o  = ref $send eq 'HASH' ? %$send : (send => $send);
    my $ws = ws($o{path});

    send_all($ws, @{ $o{send} });

    my @got = next_frames($ws, @want + 1);

    send_all($ws, @{ $o{later} // [] });
    $ws->write(close_frame(1000)) if !$o{silent};

    judge($section, $what, join("\n", @got, $ws->read_end),
          join("\n", map({ label(@$_) } @want), "close $code", 'eof'));
}

# it ends with the Close frame that is in what is sent

sub closes { return fails($_[0], $_[1], { send => $_[2], silent => 1 },
                          @_[3 .. $#_]) }


sub section {
    my ($id, $what, $code) = @_;

    subtest "$id $what" => $code;

    diag(sprintf '%-4s %-42s %4d of %4d', $id, $what, $passed{$id} // 0,
         $cases{$id} // 0);
}

# n bytes of UTF-8 of all lengths: whatever cuts it, cuts characters

sub text_of {
    my ($n) = @_;

    my $part = "\xc3\xa9 \xe2\x82\xac \xf0\x90\x8d\x88 ab";
    my $text = $part x ($n / length $part);

    return $text . '*' x ($n - length $text);
}

sub binary_of {
    my ($n) = @_;
    return substr join('', map { chr } 0 .. 255) x ($n / 256 + 1), 0, $n;
}

sub payload_of { return $_[0] == TEXT ? text_of($_[1]) : binary_of($_[1]) }

# a message in fragments of n bytes

sub fragments {
    my ($opcode, $payload, $n) = @_;

    my ($out, $size) = ('', length $payload);

    for (my $at = 0; $at < $size; $at += $n) {
        $out .= frame($at ? CONT : $opcode, substr($payload, $at, $n),
                      fin => $at + $n >= $size, mask => $MASK);
    }

    return $out;
}

# the same frames: in one write, each in its own, byte by byte

sub delivered {
    my (@frames) = @_;
    return ([ 'in one write'  => [ join '', @frames ] ],
            [ 'frame by frame' => [ @frames ] ],
            [ 'byte by byte'  => [ [ 1, join '', @frames ] ] ]);
}


section(1, 'framing', sub {
    for my $opcode (TEXT, BINARY) {
        for my $n (0, 1, 125, 126, 127, 128, 65535, 65536, 65537) {
            my $payload = payload_of($opcode, $n);

            good(1, "$NAMES[$opcode] of $n bytes",
                 [ frame($opcode, $payload) ], [ $opcode, $payload ]);

            for my $chop (1, 997) {
                next if $chop == 1 && $n > 128;
                good(1, "$NAMES[$opcode] of $n bytes, $chop at a time",
                     [ [ $chop, frame($opcode, $payload) ] ],
                     [ $opcode, $payload ]);
            }
        }

        for my $mask ("\0\0\0\0", "\xff\xff\xff\xff", "\0\0\0\1", "\1\0\0\0") {
            my $payload = payload_of($opcode, 301);
            good(1, "$NAMES[$opcode], mask " . unpack('H*', $mask),
                 [ frame($opcode, $payload, mask => $mask) ],
                 [ $opcode, $payload ]);
        }
    }

    my @messages = map { [ TEXT, "message $_" ] } 1 .. 100;
    good(1, 'a hundred messages in one write',
         [ join '', map { frame(@$_) } @messages ], @messages);
});


section('1a', 'lengths, and errors that a header shows', sub {
    # each shows with its last byte: nothing more is sent before the Close
    my @early = (
        [ 'no mask', "\x81\x05" ],
        [ 'a ping without a mask', "\x89\x00" ],
        [ 'a close without a mask', "\x88\x02" ],
        [ 'an empty text without a mask', "\x81\x00" ],
        [ '16 bits for 0',     "\x81\xfe\x00\x00" ],
        [ '16 bits for 125',   "\x81\xfe\x00\x7d" ],
        [ '64 bits for 0',     "\x81\xff" . "\0" x 6 ],
        [ '64 bits for 125',   "\x82\xff" . "\0" x 6 ],
        [ '64 bits for 65535', "\x81\xff\0\0\0\0\0\0" ],
        [ 'the top bit of 64', "\x81\xff\x80" ],
        [ 'all 64 bits',       "\x82\xff\xff" ],
        [ 'a ping of 126 bytes',  "\x89\xfe" ],
        [ 'a pong of 126 bytes',  "\x8a\xfe" ],
        [ 'a close of 126 bytes', "\x88\xfe" ],
        [ 'a ping with 64 bits',  "\x89\xff" ],
        [ 'a close of one byte',  "\x88\x81" ],
        [ 'a fragmented close',   "\x08" ],
        [ 'a fragmented ping',    "\x09" ],
        [ 'a fragmented pong',    "\x0a" ],
        [ 'a continuation of nothing', "\x80" ],
        [ 'a continuation of nothing, to go on', "\x00" ],
        map({ [ "opcode $_", chr(0x80 | $_) ], [ "opcode $_, no FIN", chr $_ ] }
            3 .. 7, 11 .. 15),
        map({ my $rsv = $_;
              map { [ "reserved bits $rsv, opcode $_",
                      chr(0x80 | $rsv << 4 | $_) ] } 0, 1, 2, 8, 9, 10 }
            1 .. 7),
    );

    for my $case (@early) {
        my ($what, $bytes) = @$case;

        fails('1a', $what, [ $bytes ], 1002);
        fails('1a', "$what, byte by byte", [ [ 1, $bytes ] ], 1002);
        fails('1a', "$what, after a message",
              [ frame(TEXT, 'first') . $bytes ], 1002, [ TEXT, 'first' ]);
    }

    my @big = (
        [ 'a byte more than 16m', pack 'CCQ>', 0x81, 0xff, $MAX + 1 ],
        [ 'binary too', pack 'CCQ>', 0x82, 0xff, $MAX + 1 ],
        [ '2^31', pack 'CCQ>', 0x82, 0xff, 1 << 31 ],
        [ '2^32', pack 'CCQ>', 0x82, 0xff, 1 << 32 ],
        [ '2^40, as soon as it shows', "\x81\xff\0\0\1" ],
        [ '2^63 - 1, as soon as it shows', "\x81\xff\x7f" ],
    );

    for my $case (@big) {
        my ($what, $bytes) = @$case;

        fails('1a', $what, [ $bytes ], 1009);
        fails('1a', "$what, byte by byte", [ [ 1, $bytes ] ], 1009);
        fails('1a', "$what, in a fragment",
              [ frame(TEXT, 'x', fin => 0) . "\x80" . substr $bytes, 1 ], 1009);
    }

    fails('1a', 'where 1k is allowed, 1025 bytes',
          { path => '/tiny', send => [ "\x81\xfe\x04\x01" ],
            later => [ $MASK, 'x' x 1025 ] }, 1009);
    fails('1a', 'in fragments',
          { path => '/tiny',
            send => [ frame(TEXT, 'x' x 512, fin => 0)
                      . frame(CONT, 'x' x 512, fin => 0), "\x00\x81" ] },
          1009);
});


section(2, 'pings and pongs', sub {
    good(2, 'a ping of nothing', [ frame(PING, '') ], [ PONG, '' ]);
    good(2, 'text', [ frame(PING, 'Hello, world!') ], [ PONG, 'Hello, world!' ]);
    good(2, 'no UTF-8', [ frame(PING, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff") ],
         [ PONG, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff" ]);

    for my $n (0 .. 125) {
        good(2, "$n bytes", [ frame(PING, "\xfe" x $n) ], [ PONG, "\xfe" x $n ]);
    }

    good(2, '125 bytes, byte by byte', [ [ 1, frame(PING, "\xfe" x 125) ] ],
         [ PONG, "\xfe" x 125 ]);
    fails(2, '126 bytes', [ frame(PING, "\xfe" x 126) ], 1002);
    fails(2, '126 bytes, byte by byte', [ [ 1, frame(PING, "\xfe" x 126) ] ],
          1002);

    good(2, 'a pong that nobody asked for', [ frame(PONG, '') ]);
    good(2, 'with a payload', [ frame(PONG, 'unsolicited pong payload') ]);
    good(2, 'and then a ping',
         [ frame(PONG, 'unsolicited') . frame(PING, 'ping payload') ],
         [ PONG, 'ping payload' ]);

    my @ping = map { frame(PING, "payload-$_") } 1 .. 10;

    for (delivered(@ping)) {
        my ($how, $bytes) = @$_;
        good(2, "ten pings, $how", $bytes,
             map { [ PONG, "payload-$_" ] } 1 .. 10);
    }

    good(2, 'between messages',
         [ join '', map { frame(TEXT, "m$_"), frame(PING, "p$_") } 1 .. 10 ],
         map { [ TEXT, "m$_" ], [ PONG, "p$_" ] } 1 .. 10);
});


section(3, 'reserved bits', sub {
    my $hello = frame(TEXT, 'Hello, world!');

    for my $rsv (1 .. 7) {
        for my $opcode (TEXT, BINARY, CLOSE, PING, PONG) {
            my $bad = frame($opcode, $opcode == CLOSE
                                         ? WSBus::Raw::close_payload(1000)
                                         : 'x', rsv => $rsv);

            fails(3, "bits $rsv of a $NAMES[$opcode]", [ $bad ], 1002);

            for (delivered($hello, $bad, frame(PING, ''))) {
                my ($how, $bytes) = @$_;
                fails(3, "bits $rsv of a $NAMES[$opcode] after a message, $how",
                      $bytes, 1002, [ TEXT, 'Hello, world!' ]);
            }
        }

        fails(3, "bits $rsv of a continuation",
              [ frame(TEXT, 'a', fin => 0), frame(CONT, 'b', rsv => $rsv) ],
              1002);
    }
});


section(4, 'opcodes', sub {
    my $hello = frame(TEXT, 'Hello, world!');

    for my $opcode (3 .. 7, 11 .. 15) {
        for my $payload ('', 'reserved opcode payload') {
            my $bad  = frame($opcode, $payload);
            my $what = "opcode $opcode, " . length($payload) . ' bytes';

            fails(4, $what, [ $bad ], 1002);

            for (delivered($hello, $bad, frame(PING, ''))) {
                my ($how, $bytes) = @$_;
                fails(4, "$what after a message, $how", $bytes, 1002,
                      [ TEXT, 'Hello, world!' ]);
            }
        }

        fails(4, "opcode $opcode inside a message",
              [ frame(TEXT, 'a', fin => 0), frame($opcode, '') ], 1002);
    }
});


section(5, 'fragmentation', sub {
    for my $opcode (CLOSE, PING, PONG) {
        my $payload = $opcode == CLOSE ? WSBus::Raw::close_payload(1000) : 'ab';
        for (delivered(frame($opcode, $payload, fin => 0), frame(CONT, 'cd'))) {
            my ($how, $bytes) = @$_;
            fails(5, "a $NAMES[$opcode] in two fragments, $how", $bytes, 1002);
        }
    }

    my @two = (frame(TEXT, 'fragment1', fin => 0), frame(CONT, 'fragment2'));
    my $sum = [ TEXT, 'fragment1fragment2' ];

    for (delivered(@two)) {
        my ($how, $bytes) = @$_;
        good(5, "two fragments, $how", $bytes, $sum);
    }

    for (delivered($two[0], frame(PING, 'ping payload'), $two[1])) {
        my ($how, $bytes) = @$_;
        good(5, "a ping between them, $how", $bytes,
             [ PONG, 'ping payload' ], $sum);
    }

    for (delivered($two[0], frame(PONG, 'unasked'), $two[1])) {
        my ($how, $bytes) = @$_;
        good(5, "a pong between them, $how", $bytes, $sum);
    }

    my $text = frame(TEXT, 'Hello, world!');

    for my $fin (1, 0) {
        my $lost = frame(CONT, 'nothing to continue', fin => $fin);

        for (delivered($lost, $text)) {
            my ($how, $bytes) = @$_;
            fails(5, "a continuation of nothing, FIN $fin, $how", $bytes, 1002);
        }

        for (delivered(@two, $lost, $text)) {
            my ($how, $bytes) = @$_;
            fails(5, "after a message, FIN $fin, $how", $bytes, 1002, $sum);
        }

        fails(5, "and again, FIN $fin", [ ($lost, $text) x 2 ], 1002);
    }

    for my $opcode (TEXT, BINARY) {
        for my $first (TEXT, BINARY) {
            for my $fin (0, 1) {
                for (delivered(frame($first, 'fragment1', fin => 0),
                               frame($opcode, 'fragment2', fin => $fin)))
                {
                    my ($how, $bytes) = @$_;
                    fails(5, "a $NAMES[$opcode] inside a $NAMES[$first], "
                          . "FIN $fin, $how", $bytes, 1002);
                }
            }
        }
    }

    my @five = (frame(TEXT, 'fragment1', fin => 0),
                frame(CONT, 'fragment2', fin => 0), frame(PING, 'ping1'),
                frame(CONT, 'fragment3', fin => 0),
                frame(CONT, 'fragment4', fin => 0), frame(PING, 'ping2'),
                frame(CONT, 'fragment5'));

    for (delivered(@five)) {
        my ($how, $bytes) = @$_;
        good(5, "five fragments and two pings, $how", $bytes,
             [ PONG, 'ping1' ], [ PONG, 'ping2' ],
             [ TEXT, join '', map { "fragment$_" } 1 .. 5 ]);
    }

    # the first ping is answered before the message goes on
    {
        my $ws = ws();
        send_all($ws, @five[0 .. 2]);
        my @got = next_frame($ws);
        send_all($ws, @five[3 .. 6], close_frame(1000));
        push @got, next_frames($ws, 3);
        judge(5, 'the ping is answered at once',
              join("\n", @got, $ws->read_end),
              join("\n", label(PONG, 'ping1'), label(PONG, 'ping2'),
                   label(TEXT, join '', map { "fragment$_" } 1 .. 5),
                   'close 1000', 'eof'));
    }

    for my $opcode (TEXT, BINARY) {
        my $payload = payload_of($opcode, 600);

        for my $n (1, 2, 3, 125, 126, 127, 599, 600) {
            good(5, "$NAMES[$opcode] in fragments of $n",
                 [ fragments($opcode, $payload, $n) ], [ $opcode, $payload ]);
        }

        good(5, "$NAMES[$opcode] in empty fragments",
             [ frame($opcode, '', fin => 0) . frame(CONT, '', fin => 0) x 5
               . frame(CONT, $payload, fin => 0) . frame(CONT, '', fin => 0)
               . frame(CONT, '') ], [ $opcode, $payload ]);

        good(5, "$NAMES[$opcode] of nothing in three fragments",
             [ frame($opcode, '', fin => 0) . frame(CONT, '', fin => 0)
               . frame(CONT, '') ], [ $opcode, '' ]);
    }
});


section(6, 'UTF-8', sub {
    my $kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
    my $hello = "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0"
                . "\xc3\xa1-UTF-8!!";

    good(6, 'nothing', [ frame(TEXT, '') ], [ TEXT, '' ]);
    good(6, 'nothing in three fragments',
         [ frame(TEXT, '', fin => 0), frame(CONT, '', fin => 0),
           frame(CONT, '') ], [ TEXT, '' ]);
    good(6, 'something in the second',
         [ frame(TEXT, '', fin => 0), frame(CONT, 'middle', fin => 0),
           frame(CONT, '') ], [ TEXT, 'middle' ]);

    my @valid = (
        $hello, $kosme,
        # the first and the last of each length, and what is next to a bound
        "\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80",
        "\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf",
        "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd",
        "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
        # no characters, but valid
        "\xef\xbf\xbe", "\xef\xbf\xbf", "\xef\xb7\x90", "\xef\xb7\xaf",
        map({ ("$_\xbf\xbe", "$_\xbf\xbf") }
            "\xf0\x9f", "\xf0\xaf", "\xf0\xbf", "\xf4\x8f",
            map { my $lead = $_;
                  map { "$lead$_" } "\x8f", "\x9f", "\xaf", "\xbf" }
            "\xf1", "\xf2", "\xf3"),
        # specials
        map({ "\xef\xbf" . chr } 0xb9 .. 0xbf),
        "\xef\xbb\xbf" . 'after a byte order mark',
    );

    for my $text (@valid) {
        my $what = unpack 'H*', $text;

        good(6, "valid: $what", [ frame(TEXT, $text) ], [ TEXT, $text ]);
        good(6, "valid: $what, a fragment for each byte",
             [ fragments(TEXT, $text, 1) ], [ TEXT, $text ]);
        good(6, "valid: $what, byte by byte",
             [ [ 1, frame(TEXT, "<$text>") ] ], [ TEXT, "<$text>" ]);

        for my $at (1 .. length($text) - 1) {
            good(6, "valid: $what, cut at $at",
                 [ frame(TEXT, substr($text, 0, $at), fin => 0)
                   . frame(CONT, substr $text, $at) ], [ TEXT, $text ]);
        }
    }

    my @invalid = (
        # beyond what there is
        "\xf4\x90\x80\x80", "\xf7\xbf\xbf\xbf", "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80", "\xfb\xbf\xbf\xbf\xbf",
        "\xfc\x84\x80\x80\x80\x80", "\xfd\xbf\xbf\xbf\xbf\xbf",
        # continuation bytes of nothing
        "\x80", "\xbf", map({ substr "\x80\xbf" x 4, 0, $_ } 2 .. 7),
        join('', map { chr } 0x80 .. 0xbf),
        # lead bytes of nothing
        join('', map { chr($_) . ' ' } 0xc0 .. 0xdf),
        join('', map { chr($_) . ' ' } 0xe0 .. 0xef),
        join('', map { chr($_) . ' ' } 0xf0 .. 0xf7),
        join('', map { chr($_) . ' ' } 0xf8 .. 0xfb), "\xfc \xfd ",
        # the last byte is missing
        "\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80",
        "\xfc\x80\x80\x80\x80", "\xdf", "\xef\xbf", "\xf7\xbf\xbf",
        "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf", "\xc2", "\xe0\xa0",
        "\xe2\x82", "\xf0\x90\x8d", "\xf4\x8f\xbf",
        "\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80"
        . "\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf",
        # never
        "\xfe", "\xff", "\xfe\xfe\xff\xff",
        # overlong
        "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf",
        "\xfc\x80\x80\x80\x80\xaf", "\xc1\xbf", "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf",
        "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80",
        "\xfc\x80\x80\x80\x80\x80",
        # surrogates, alone and in pairs
        "\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf",
        "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf",
        map({ my $high = $_; map { "\xed$high\xed$_" } "\xb0\x80", "\xbf\xbf" }
            "\xa0\x80", "\xad\xbf", "\xae\x80", "\xaf\xbf"),
        "$kosme\xed\xa0\x80edited",
    );

    for my $text (@invalid) {
        my $what = unpack 'H*', $text;

        fails(6, "invalid: $what", [ frame(TEXT, $text) ], 1007);
        fails(6, "invalid: $what, a fragment for each byte",
              [ fragments(TEXT, $text, 1) ], 1007);
        fails(6, "invalid: $what, after a good message and in the midst",
              [ frame(TEXT, $kosme) . frame(TEXT, "$kosme$text$kosme") ], 1007,
              [ TEXT, $kosme ]);
        good(6, "as binary it is free: $what",
             [ frame(BINARY, $text) ], [ BINARY, $text ]);
    }

    # each prefix of a text: whole characters are, others are not
    my %whole = map { $_ => 1 } 0, 2, 5, 7, 9, 11;

    for my $n (0 .. length $kosme) {
        my $text = substr $kosme, 0, $n;

        if ($whole{$n}) {
            good(6, "the first $n bytes", [ frame(TEXT, $text) ],
                 [ TEXT, $text ]);
        } else {
            fails(6, "the first $n bytes", [ frame(TEXT, $text) ], 1007);
        }
    }

    # at once: the frame or the message never becomes whole
    my @fast = (
        [ 'at the fourth byte',  "\xf4\x90", '' ],
        [ 'a surrogate',         "\xed\xa0", '' ],
        [ 'overlong',            "\xe0\x9f", '' ],
        [ 'a lead byte and ASCII', "\xe2\x82(", '' ],
        [ 'a byte that never is', "\xff", '' ],
        [ 'the lead byte came before', "\x90", "\xf4" ],
        [ 'all but the last came before', '(', "\xf0\x90\x8d" ],
    );

    for my $case (@fast) {
        my ($what, $bad, $before) = @$case;

        # the ping says that what came before it is no fault yet
        my $ws = ws();
        send_all($ws, frame(TEXT, "$kosme$before", fin => 0)
                      . frame(PING, 'still there'));
        my @got = next_frame($ws);
        send_all($ws, frame(CONT, $bad, fin => 0));
        push @got, next_frame($ws);
        send_all($ws, frame(CONT, 'edited'), close_frame(1000));
        judge(6, "at once, before the message is whole: $what",
              join("\n", @got, $ws->read_end),
              join("\n", label(PONG, 'still there'), 'close 1007', 'eof'));

        my $frame = frame(TEXT, "$kosme$before$bad" . 'x' x 1000);
        my $cut   = 8 + length "$kosme$before$bad";

        fails(6, "at once, before the frame is whole: $what",
              { send => [ substr $frame, 0, $cut ],
                later => [ substr $frame, $cut ] }, 1007);
        fails(6, "at once, byte by byte: $what",
              { send => [ [ 1, substr $frame, 0, $cut ] ],
                later => [ substr $frame, $cut ] }, 1007);
    }
});


section(7, 'close', sub {
    my $done = close_frame(1000);

    closes(7, 'a close', [ $done ], 1000);
    closes(7, 'after a message', [ frame(TEXT, 'Hello World!') . $done ], 1000,
           [ TEXT, 'Hello World!' ]);

    for (delivered($done, $done)) {
        my ($how, $bytes) = @$_;
        closes(7, "two of them, $how", $bytes, 1000);
    }

    my %after = (
        'a ping'         => frame(PING, 'after'),
        'a text'         => frame(TEXT, 'after'),
        'a binary'       => frame(BINARY, 'after'),
        'another code'   => close_frame(4000),
        'a bad frame'    => frame(3, 'after'),
        'no frame at all' => "GET / HTTP/1.1\r\n\r\n",
        'half a frame'   => substr(frame(TEXT, 'after'), 0, 7),
        'a megabyte'     => frame(BINARY, binary_of(1 << 20), mask => $MASK),
    );

    for my $what (sort keys %after) {
        closes(7, "$what after it, in one write", [ $done . $after{$what} ],
               1000);
        closes(7, "$what after it, in another", [ $done, $after{$what} ], 1000);
        fails(7, "$what after the answer",
              { send => [ $done ], later => [ $after{$what} ], silent => 1 },
              1000);
        fails(7, "$what after a failure",
              { send => [ frame(3, '') ], later => [ $after{$what} ] }, 1002);
    }

    closes(7, 'in the midst of a message',
           [ frame(TEXT, 'fragment1', fin => 0) . $done
             . frame(CONT, 'fragment2') ], 1000);

    my $large = text_of(262_144);
    closes(7, '256k, a text, a close and a ping',
           [ frame(TEXT, $large, mask => $MASK) . frame(TEXT, 'Hello World!')
             . $done . frame(PING, 'after') ], 1000,
           [ TEXT, $large ], [ TEXT, 'Hello World!' ]);

    closes(7, 'without a code', [ frame(CLOSE, '') ], 1005);
    fails(7, 'half a code', [ frame(CLOSE, 'a') ], 1002);
    closes(7, 'with a reason', [ close_frame(1000, 'Hello World!') ], 1000);
    closes(7, 'with a reason, byte by byte',
           [ [ 1, close_frame(1000, 'Hello World!') ] ], 1000);
    closes(7, 'a reason of 123 bytes', [ close_frame(1000, '*' x 123) ], 1000);
    closes(7, 'of 122, in UTF-8',
           [ close_frame(1000, "\xc3\xa9" x 61) ], 1000);
    fails(7, 'a reason of 124 bytes', [ close_frame(1000, '*' x 124) ], 1002);

    for my $bad ("\xff", "\xc3", "\xed\xa0\x80", "ok \xce\xba\xf4\x90\x80\x80",
                 'x' x 122 . "\xe2")
    {
        fails(7, 'a reason that is no UTF-8: ' . unpack('H*', $bad),
              [ close_frame(1000, $bad) ], 1007);
        fails(7, 'byte by byte', [ [ 1, close_frame(1000, $bad) ] ], 1007);
    }

    for my $code (1000 .. 1003, 1007 .. 1014, 3000, 3001, 3999, 4000, 4001,
                  4998, 4999)
    {
        closes(7, "code $code", [ close_frame($code) ], $code);
        closes(7, "code $code with a reason",
               [ close_frame($code, 'reason') ], $code);
    }

    for my $code (0, 1, 998, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999,
                  2000, 2999, 5000, 5001, 32768, 65535)
    {
        fails(7, "code $code", [ close_frame($code) ], 1002);
        fails(7, "code $code with a reason", [ close_frame($code, 'reason') ],
              1002);
        fails(7, "code $code, as soon as it shows",
              { send  => [ substr frame(CLOSE, pack('n', $code) . 'x' x 100),
                                  0, 8 ] }, 1002);
    }

    # peers that have closed their half
    for my $send ([ 'a text and a close', frame(TEXT, 'last') . $done, 1000 ],
                  [ 'a text', frame(TEXT, 'last'), undef ],
                  [ 'a failure', frame(TEXT, 'last') . frame(3, ''), 1002 ])
    {
        my ($what, $bytes, $code) = @$send;

        my $ws = ws();
        $ws->write($bytes);
        shutdown $ws->sock, 1;

        my @got = next_frame($ws);
        push @got, next_frame($ws) if defined $code;
        judge(7, "$what, then half closed",
              join("\n", @got, $ws->read_end),
              join("\n", label(TEXT, 'last'),
                   defined $code ? "close $code" : (), 'eof'));
    }

    # and are still owed more than the buffers of the sockets hold
    for my $case ([ '/echo', $MAX ], [ '/slow', 100_000 ], [ '/slow', 300_000 ],
                  [ '/slow', 1 << 20 ])
    {
        my ($path, $n) = @$case;

        for my $last ([ 'and a close', $done, 'close 1000' ],
                      [ 'and a failure', frame(3, ''), 'close 1002' ],
                      [ 'alone', '' ])
        {
            my ($what, $bytes, @close) = @$last;

            my $ws      = ws($path, $path eq '/slow' ? 65536 : 0);
            my $payload = binary_of($n);

            $ws->write(frame(BINARY, $payload, mask => $MASK) . $bytes);
            shutdown $ws->sock, 1;

            my @got = next_frames($ws, 1 + (@close || 1));

            # a Close to one who has said none is nobody's duty
            pop @got if !@close && $got[-1] =~ /^(?:close 1005|eof)$/;

            judge(7, "$n bytes $what, then half closed, $path",
                  join("\n", @got, $ws->read_end),
                  join("\n", label(BINARY, $payload), @close, 'eof'));
        }
    }

    # nothing at all
    {
        my $ws = ws();
        shutdown $ws->sock, 1;
        judge(7, 'half closed without a word', next_frame($ws), 'eof');
    }

    # in a segment with the handshake
    {
        my $ws = WSBus::Raw->new($nginx->port);
        my $rs = $ws->handshake(path => '/echo',
                                after => frame(TEXT, 'with it') . $done);
        judge(7, 'in the segment of the handshake',
              join("\n", $rs->{status}, next_frames($ws, 2),
                   $ws->read_end),
              join("\n", 101, label(TEXT, 'with it'), 'close 1000', 'eof'));
    }
});


section(9, 'large messages', sub {
    my ($k, $m) = (1024, 1024 * 1024);

    for my $opcode (TEXT, BINARY) {
        my $name = $NAMES[$opcode];

        for my $n (64 * $k, 256 * $k, $m, 4 * $m, 8 * $m, $MAX - 1, $MAX) {
            my $payload = payload_of($opcode, $n);
            good(9, "$name of $n bytes",
                 [ frame($opcode, $payload, mask => $MASK) ],
                 [ $opcode, $payload ]);
        }

        my $payload = payload_of($opcode, 4 * $m);
        for my $n (64, 256, $k, 4 * $k, 16 * $k, 64 * $k, 256 * $k, $m, 4 * $m)
        {
            good(9, "$name of 4 MB in fragments of $n",
                 [ fragments($opcode, $payload, $n) ], [ $opcode, $payload ]);
        }

        $payload = payload_of($opcode, $MAX);
        for my $n (64, $k, 64 * $k, $m) {
            good(9, "$name of 16 MB in fragments of $n",
                 [ fragments($opcode, $payload, $n) ], [ $opcode, $payload ]);
        }

        fails(9, "$name of 16 MB and a byte, in fragments",
              [ fragments($opcode, $payload . 'x', 64 * $k) ], 1009);

        $payload = payload_of($opcode, $m);
        for my $n (64, 128, 256, 512, $k, 2 * $k) {
            good(9, "$name of 1 MB, $n bytes at a time",
                 [ [ $n, frame($opcode, $payload, mask => $MASK) ] ],
                 [ $opcode, $payload ]);
        }

        good(9, "$name of 16 MB, 16k at a time",
             [ [ 16 * $k, frame($opcode, payload_of($opcode, $MAX),
                                mask => $MASK) ] ],
             [ $opcode, payload_of($opcode, $MAX) ]);

        for my $n (0, 16, 64, 256, $k, 4 * $k, 16 * $k) {
            my $payload = payload_of($opcode, $n);
            my $frame   = frame($opcode, $payload, mask => $MASK);
            my $want    = label($opcode, $payload);
            my $ws      = ws();
            my $same    = 0;

            for (1 .. 1000) {
                $ws->write($frame);
                last if next_frame($ws) ne $want;
                $same++;
            }

            $ws->write(close_frame(1000));
            judge(9, "a thousand of $n bytes, $name, one after the other",
                  join("\n", $same, next_frame($ws), $ws->read_end),
                  join("\n", 1000, 'close 1000', 'eof'));
        }
    }
});


section(10, 'fragmented by the sender', sub {
    for my $opcode (TEXT, BINARY) {
        my $payload = payload_of($opcode, 65536);

        for my $n (1300, 1, 999) {
            good(10, "$NAMES[$opcode] of 64k in fragments of $n",
                 [ fragments($opcode, $payload, $n) ], [ $opcode, $payload ]);
        }

        good(10, "$NAMES[$opcode] in fragments of 1300, 997 at a time",
             [ [ 997, fragments($opcode, $payload, 1300) ] ],
             [ $opcode, $payload ]);
    }
});


section('tls', 'of each something over TLS', sub {
    $tls = 1;

    for my $opcode (TEXT, BINARY) {
        for my $n (0, 125, 126, 65535, 65536, 1 << 20, $MAX) {
            my $payload = payload_of($opcode, $n);
            good('tls', "$NAMES[$opcode] of $n bytes",
                 [ frame($opcode, $payload, mask => $MASK) ],
                 [ $opcode, $payload ]);
        }

        my $payload = payload_of($opcode, 1 << 20);
        good('tls', "$NAMES[$opcode] in fragments of 1300",
             [ fragments($opcode, $payload, 1300) ], [ $opcode, $payload ]);
        good('tls', "$NAMES[$opcode], 997 at a time",
             [ [ 997, frame($opcode, $payload, mask => $MASK) ] ],
             [ $opcode, $payload ]);
    }

    good('tls', 'ten pings', [ join '', map { frame(PING, "p$_") } 1 .. 10 ],
         map { [ PONG, "p$_" ] } 1 .. 10);
    fails('tls', 'a reserved opcode after a message',
          [ frame(TEXT, 'first') . frame(3, '') ], 1002, [ TEXT, 'first' ]);
    fails('tls', 'bad UTF-8', [ frame(TEXT, "\xff", fin => 0) ], 1007);
    closes('tls', 'a close', [ close_frame(4321, 'bye') ], 4321);

    $tls = 0;
});


my ($n, $all) = (0, 0);
$n   += $_ for values %passed;
$all += $_ for values %cases;
diag("in all: $n of $all");

$nginx->finish;
done_testing;
