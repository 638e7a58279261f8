# SPDX-License-Identifier: BSD-2-Clause
# RFC 6455 frames: what a client may send, and what closes the connection.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Encode qw(encode_utf8);
use Test::More;

use WSBus::Nginx;
use WSBus::Raw qw(frame);

my $nginx = WSBus::Nginx->new(http => WSBus::Nginx::minimal(server => <<'END'));
    location /small { ws_bus events; ws_bus_max_message_size 1k; }
END

$nginx->certificate;
$nginx->{http} .= <<'END';
    server {
        listen 127.0.0.1:%%PORT1%% ssl;
        ssl_certificate     %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        location /ws { ws_bus events; }
    }
END
$nginx->start;

my $PING = '{"type":"ping"}';

sub ws { return WSBus::Raw->open($nginx->port, @_) }

# the frames close the connection with this code, and TCP ends after it

sub closes {
    my ($code, $what, @bytes) = @_;

    my $ws = ws();
    $ws->write($_) for @bytes;

    is($ws->read_close, $code, "$what: $code");

    $ws->send_frame(8, WSBus::Raw::close_payload($code));
    like($ws->read_end, qr/^(?:eof|reset)$/, "$what: the connection ends");
}

sub pong {
    my ($ws, $what) = @_;
    is($ws->read_json->{type}, 'pong', $what);
}


subtest 'a message is answered' => sub {
    my $ws = ws();

    is($ws->{welcome}{type}, 'welcome', 'welcome');

    $ws->send_text($PING);
    my $frame = $ws->read_frame;

    is($frame->{opcode}, 1, 'text');
    is($frame->{fin}, 1, 'in one frame');
    is($frame->{rsv}, 0, 'no reserved bit');
    is($frame->{masked}, 0, 'not masked');
    like($frame->{payload}, qr/^\{"type":"pong"/, 'pong');
};


subtest 'frames in the segment of the handshake' => sub {
    my $ws  = WSBus::Raw->new($nginx->port);
    my $res = $ws->handshake(after =>
        frame(1, '{"type":"subscribe","filter":{}}') . frame(1, $PING));

    is($res->{status}, 101, 'upgraded');
    is($ws->read_json->{type}, 'welcome', 'welcome is first');
    is($ws->read_json->{type}, 'subscribed', 'first frame');
    pong($ws, 'second frame');
};


subtest 'half a frame in the segment of the handshake' => sub {
    my $bytes = frame(1, $PING);
    my $ws = WSBus::Raw->new($nginx->port);

    $ws->handshake(after => substr $bytes, 0, 5);
    is($ws->read_json->{type}, 'welcome', 'welcome');
    $ws->write(substr $bytes, 5);
    pong($ws, 'answered when it is whole');
};


subtest 'byte by byte' => sub {
    my $ws = WSBus::Raw->new($nginx->port);

    $ws->write($_) for split //, WSBus::Raw::request() . frame(1, $PING);

    is($ws->response->{status}, 101, 'upgraded');
    is($ws->read_json->{type}, 'welcome', 'welcome');
    pong($ws, 'pong');

    my $text = '{"type":"ping","x":"' . 'y' x 300 . '"}';
    $ws->write($_) for split //, frame(1, $text);
    pong($ws, '16-bit length');

};


subtest 'many frames in one segment' => sub {
    my $ws = ws();

    $ws->write(join '', map { frame(9, "n$_"), frame(1, $PING) } 1 .. 50);

    my (@pong, $json);
    while (my $frame = $ws->read_frame) {
        push @pong, $frame->{payload} if $frame->{opcode} == 10;
        $json++ if $frame->{opcode} == 1;
        last if ($json // 0) == 50 && @pong && $pong[-1] eq 'n50';
    }

    is($json, 50, 'each message is answered');
    is($pong[-1], 'n50', 'the latest ping is answered');
};


subtest 'fragments' => sub {
    my $ws = ws();

    $ws->write(frame(1, '{"ty', fin => 0) . frame(0, 'pe":"pi', fin => 0)
               . frame(0, 'ng"}'));
    pong($ws, 'three fragments');

    $ws->write(frame(1, '', fin => 0) . frame(0, '', fin => 0)
               . frame(0, $PING));
    pong($ws, 'empty fragments');

    $ws->write(frame(1, $PING, fin => 0) . frame(0, ''));
    pong($ws, 'an empty last fragment');

    $ws->write(frame(1, substr($PING, 0, 1), fin => 0));
    $ws->write(frame(0, $_, fin => 0)) for split //, substr $PING, 1;
    $ws->write(frame(0, ''));
    pong($ws, 'a fragment for each byte');
};


subtest 'control frames between fragments' => sub {
    my $ws = ws();

    $ws->write(frame(1, '{"type":', fin => 0));
    $ws->write(frame(9, 'between'));

    my $frame = $ws->read_frame;
    is($frame->{opcode}, 10, 'pong at once');
    is($frame->{payload}, 'between', 'with the payload of the ping');

    $ws->write(frame(10, 'unasked') . frame(0, '"ping"}'));
    pong($ws, 'the message is whole');
};


subtest 'pings' => sub {
    my $ws = ws();

    for my $payload ('', 'a', "\x00\xff\x80", 'x' x 125) {
        $ws->send_frame(9, $payload);
        my $frame = $ws->read_frame;
        is($frame->{opcode}, 10, 'pong');
        is($frame->{payload}, $payload, length($payload) . ' bytes are echoed');
    }

    $ws->send_frame(10, 'nobody asked');
    ok($ws->alive, 'a pong that nobody asked for is passed over');
};


subtest 'masks' => sub {
    my $ws = ws();

    for my $mask ("\x00\x00\x00\x00", "\xff\xff\xff\xff", "\x01\x02\x03\x04",
                  "\x00\x00\x00\x01")
    {
        $ws->send_frame(1, $PING, mask => $mask);
        pong($ws, 'mask ' . unpack 'H*', $mask);
    }
};


subtest 'lengths' => sub {
    my $ws = ws();

    for my $n (125, 126, 127, 128, 65535) {
        my $text = '{"type":"ping","x":"';
        $text .= 'z' x ($n - length($text) - 2) . '"}';
        is(length $text, $n, "$n bytes");
        $ws->send_text($text);
        pong($ws, 'are read');
    }

    for my $form (16, 64) {
        my $other = ws();
        $other->send_frame(1, $PING, form => $form);
        my $got = $other->read_json;
        like($got->{type} eq 'CLOSE' ? $got->{code} : $got->{type},
             qr/^(?:pong|1002)$/,
             "a length longer than needed ($form bits): answered or 1002");
    }

    closes(1002, 'a length with its highest bit',
           pack('CCQ>', 0x81, 0xff, 1 << 63) . 'mask');
};


subtest 'UTF-8 that is cut in every way' => sub {
    my $ws   = ws();
    my $text = encode_utf8('{"type":"ping","x":"é€𐍈ß"}');

    $ws->send_text($text);
    pong($ws, 'in one frame');

    for my $at (1 .. length($text) - 1) {
        $ws->write(frame(1, substr($text, 0, $at), fin => 0)
                   . frame(0, substr($text, $at)));
    }

    my $n = 0;
    $n++ while $n < length($text) - 1 && $ws->read_json->{type} eq 'pong';
    is($n, length($text) - 1, 'in two fragments, cut at every byte');
};


subtest 'not as RFC 6455 says' => sub {
    closes(1002, 'no mask', frame(1, $PING, mask => 0));
    closes(1002, 'a ping without a mask', frame(9, 'x', mask => 0));

    for my $opcode (3 .. 7, 11 .. 15) {
        closes(1002, "opcode $opcode", frame($opcode, 'x'));
    }

    for my $rsv (1, 2, 4) {
        closes(1002, "reserved bits $rsv", frame(1, $PING, rsv => $rsv));
    }

    closes(1002, 'a fragmented ping', frame(9, 'x', fin => 0));
    closes(1002, 'a ping of 126 bytes', frame(9, 'x' x 126));
    closes(1002, 'a fragmented close', frame(8, '', fin => 0));
    closes(1002, 'a continuation of nothing', frame(0, $PING));
    closes(1002, 'a message inside another',
           frame(1, '{"a', fin => 0), frame(1, $PING));
    closes(1002, 'a continuation after the end',
           frame(1, '{"type":', fin => 0), frame(0, '"ping"}'),
           frame(0, 'more'));
};


subtest 'bad UTF-8 is 1007' => sub {
    my %bad = (
        'a lone continuation'        => "\x80",
        'a lead byte and ASCII'      => "\xc3(",
        'overlong, two bytes'        => "\xc0\xaf",
        'overlong, three bytes'      => "\xe0\x80\xaf",
        'overlong, four bytes'       => "\xf0\x80\x80\xaf",
        'a surrogate'                => "\xed\xa0\x80",
        'above U+10FFFF'             => "\xf4\x90\x80\x80",
        'five bytes'                 => "\xf8\x88\x80\x80\x80",
        '0xFF'                       => "\xff",
    );

    for my $what (sort keys %bad) {
        closes(1007, $what, frame(1, qq({"type":"ping","x":"$bad{$what}"})));
    }

    closes(1007, 'cut at the end of the message',
           frame(1, qq({"type":"ping","x":"\xe2\x82)));

    my $ws = ws();
    $ws->write(frame(1, qq({"type":"\xed\xa0), fin => 0));
    is($ws->read_close, 1007, 'at once, before the message is whole');

    $ws = ws();
    $ws->write(substr frame(1, "ab\xff" . 'c' x 100), 0, 40);
    is($ws->read_close, 1007, 'at once, before the frame is whole');

    $ws = ws();
    $ws->write(frame(1, qq({"x":"\xe2\x82), fin => 0) . frame(9, 'mid'));
    my $frame = $ws->read_frame;
    is($frame->{opcode}, 10, 'a sequence that may still become whole is no fault');
    $ws->write(frame(0, 'x"}'));
    is($ws->read_close, 1007, 'and is one when it does not');
};


subtest 'bytes of a binary message are free' => sub {
    my $ws = ws();

    $ws->send_frame(2, "\x00\xff\xfe\x80");
    my $got = $ws->read_json;

    is($got->{type}, 'error', 'an error');
    is($got->{code}, 'binary', 'of code binary');
    ok($ws->alive, 'the connection stays');

    $ws->write(frame(2, "\xff", fin => 0) . frame(0, "\xff"));
    is($ws->read_json->{code}, 'binary', 'fragmented');
    ok($ws->alive, 'the connection stays');

    $ws->send_frame(2, $PING);
    is($ws->read_json->{code}, 'binary', 'even with JSON inside');

    $ws->send_frame(2, '');
    is($ws->read_json->{code}, 'binary', 'empty');
};


subtest 'an empty text message' => sub {
    my $ws = ws();

    $ws->send_text('');
    my $got = $ws->read_json;

    is($got->{type}, 'error', 'an error');
    like($got->{message}, qr/^Invalid message: /, 'that says so');
    ok($ws->alive, 'the connection stays');
};


subtest 'too big is 1009' => sub {
    my $big = '{"type":"ping","x":"' . 'x' x (64 * 1024) . '"}';

    closes(1009, 'above 64k', frame(1, $big));

    my $half = 'x' x (40 * 1024);
    closes(1009, 'above 64k in fragments',
           frame(1, qq({"x":"$half), fin => 0), frame(0, $half, fin => 0));

    my $ws = ws();
    $ws->write(substr frame(1, '', length => 1 << 40), 0, 14);
    is($ws->read_close, 1009, 'a length of 2^40, before any payload');

    $ws = ws(path => '/small');
    $ws->send_text('{"type":"ping","x":"' . 'x' x 1002 . '"}');
    pong($ws, '1024 bytes where 1k is allowed');

    $ws->send_text('{"type":"ping","x":"' . 'x' x 1003 . '"}');
    is($ws->read_close, 1009, '1025 bytes');

    $ws = ws(path => '/small');
    $ws->send_frame(2, 'x' x 2000);
    is($ws->read_close, 1009, 'binary too');
};


subtest 'close, from the client' => sub {
    for my $code (1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999,
                  4000, 4999)
    {
        my $ws = ws();
        $ws->send_frame(8, WSBus::Raw::close_payload($code, 'bye'));
        is($ws->read_close, $code, "$code is echoed");
        is($ws->read_end, 'eof', 'and the server closes');
    }

    my $ws = ws();
    $ws->send_frame(8, '');
    my $frame = $ws->read_frame;
    is($frame->{opcode}, 8, 'a close without a code');
    like(length $frame->{payload} ? unpack('n', $frame->{payload}) : 1005,
         qr/^(?:1000|1005)$/, 'is answered with none, or 1000');
    is($ws->read_end, 'eof', 'and the server closes');

    $ws = ws();
    $ws->write(frame(8, WSBus::Raw::close_payload(1000)) . frame(1, $PING));
    is($ws->read_close, 1000, 'what follows a close');
    is(length($ws->{in}), 0, 'is not answered');

    $ws = ws();
    $ws->write(frame(1, $PING) . frame(8, WSBus::Raw::close_payload(4001)));
    pong($ws, 'what comes before it is answered');
    is($ws->read_close, 4001, 'and then the close');

    $ws = ws();
    $ws->write(frame(1, '{"ty', fin => 0)
               . frame(8, WSBus::Raw::close_payload(1000)));
    is($ws->read_close, 1000, 'in the middle of a message');
};


subtest 'close codes that nobody may send' => sub {
    for my $code (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
                  65535)
    {
        closes(1002, "close with $code",
               frame(8, WSBus::Raw::close_payload($code)));
    }

    closes(1002, 'a close of one byte', frame(8, "\x03"));
    closes(1007, 'a reason that is not UTF-8',
           frame(8, WSBus::Raw::close_payload(1000, "\xff")));
    closes(1002, 'a close of 126 bytes',
           frame(8, WSBus::Raw::close_payload(1000, 'x' x 124)));
};


subtest 'over TLS' => sub {
    my $ws = WSBus::Raw->open($nginx->port(1), ssl => 1);

    is($ws->{welcome}{type}, 'welcome', 'welcome');

    $ws->send_text('{"type":"ping","x":"' . 'y' x 60_000 . '"}');
    pong($ws, 'a message of several TLS records');

    $ws->write(join '', map { frame(1, $PING) } 1 .. 100);
    my $n = 0;
    $n++ while $n < 100 && $ws->read_json->{type} eq 'pong';
    is($n, 100, 'many frames in one record');

    $ws->send_frame(8, WSBus::Raw::close_payload(4321));
    is($ws->read_close, 4321, 'close');
    is($ws->read_end, 'eof', 'the server closes');
};


subtest 'clients that vanish' => sub {
    my $control = ws();

    ws()->vanish for 1 .. 20;

    for (1 .. 20) {
        my $ws = ws();
        $ws->write(substr frame(1, $PING), 0, 4);
        $ws->vanish;
    }

    for (1 .. 20) {
        my $ws = ws();
        $ws->write(frame(1, '{"type":"subscribe","filter":{}}') x 20);
        $ws->vanish;
    }

    for (1 .. 20) {
        my $ws = ws();
        $ws->send_frame(8, WSBus::Raw::close_payload(1000));
        $ws->vanish;
    }

    my $half = ws();
    shutdown $half->sock, 1;
    is($half->read_end, 'eof', 'half closed by the client: closed by the server');

    ok(WSBus::Nginx::await(sub {
        my $res = WSBus::Raw->new($nginx->port)
                      ->handshake(path => '/status');
        my $json = eval { Mojo::JSON::decode_json($res->{body}) } or return;
        my $n = 0;
        $n += $_->{connections} for @{ $json->{zones}[0]{workers} };
        return $n == 1;
    }), 'none of them is left in the status');

    ok($control->alive, 'another connection did not notice');
};


$nginx->finish;
done_testing;
