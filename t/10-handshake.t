# SPDX-License-Identifier: BSD-2-Clause
# The upgrade request: what is accepted, and the status of what is not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(http => WSBus::Nginx::minimal(http => <<'END'));
    server {
        listen 127.0.0.1:%%PORT1%% ssl;
        ssl_certificate     %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        location /ws { ws_bus events; }
    }
    server {
        listen 127.0.0.1:%%PORT2%% http2;
        location /ws { ws_bus events; }
    }
END

$nginx->certificate;
$nginx->start;

sub handshake {
    my $raw = WSBus::Raw->new($nginx->port);
    my $res = $raw->handshake(@_);
    $res->{raw} = $raw;
    return $res;
}

sub status_is {
    my ($status, $what, @request) = @_;
    my $res = handshake(@request);
    is($res->{status}, $status, "$what: $status");
    return $res;
}


subtest 'a good handshake' => sub {
    my $res = status_is(101, 'upgrade');

    is($res->{line}, 'HTTP/1.1 101 Switching Protocols', 'status line');
    is(lc $res->{headers}{upgrade}, 'websocket', 'Upgrade');
    is(lc $res->{headers}{connection}, 'upgrade', 'Connection');
    is($res->{headers}{'sec-websocket-accept'},
       's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'Sec-WebSocket-Accept of RFC 6455');

    for my $name (qw(content-length transfer-encoding content-type
                     sec-websocket-extensions sec-websocket-protocol))
    {
        ok(!exists $res->{headers}{$name}, "no $name");
    }

    is($res->{raw}->read_json->{type}, 'welcome', 'welcome');

    for my $key ('AAAAAAAAAAAAAAAAAAAAAA==', 'x3JJHMbDL1EzLkh9GBhXDw==',
                 '+/+/+/+/+/+/+/+/+/+/+w==')
    {
        my $got = handshake(key => $key);
        is($got->{headers}{'sec-websocket-accept'},
           WSBus::Raw::accept_of($key), "accept of $key");
    }
};


subtest 'headers as clients write them' => sub {
    status_is(101, 'Upgrade in capitals', headers => [ Upgrade => 'WebSocket' ]);
    status_is(101, 'Upgrade in other capitals',
              headers => [ Upgrade => 'WEBSOCKET' ]);
    status_is(101, 'Connection in capitals',
              headers => [ Connection => 'UPGRADE' ]);
    status_is(101, 'Connection: keep-alive, Upgrade',
              headers => [ Connection => 'keep-alive, Upgrade' ]);
    status_is(101, 'Connection: upgrade,keep-alive',
              headers => [ Connection => 'upgrade,keep-alive' ]);
    status_is(101, 'names in other capitals', headers => [
        'Sec-WebSocket-Key' => undef, 'sEC-webSOCKET-kEY' => $WSBus::Raw::KEY,
    ]);
    status_is(101, 'blanks around values', headers => [
        'Sec-WebSocket-Key' => "  $WSBus::Raw::KEY  ",
        'Sec-WebSocket-Version' => '  13  ',
    ]);
    status_is(101, 'any Origin', headers => [ Origin => 'https://other.test' ]);
    status_is(101, 'an extension that is not known',
              headers => [ 'Sec-WebSocket-Extensions' => 'x-unknown; a=1' ]);
    status_is(101, 'arguments', path => '/ws?a=1&b=2');
    status_is(101, 'a Content-Length of 0', headers => [ 'Content-Length' => 0 ]);
};


subtest 'methods' => sub {
    for my $method (qw(POST PUT DELETE OPTIONS PATCH)) {
        my $res = status_is(405, $method, method => $method);
        is($res->{headers}{allow}, 'GET', "$method: Allow");
    }

    my $res = status_is(405, 'HEAD', method => 'HEAD');
};


subtest 'no upgrade' => sub {
    status_is(400, 'no Upgrade', headers => [ Upgrade => undef ]);
    status_is(400, 'another Upgrade', headers => [ Upgrade => 'h2c' ]);
    status_is(400, 'Upgrade that only begins so',
              headers => [ Upgrade => 'websocketx' ]);
    status_is(400, 'no Connection', headers => [ Connection => undef ]);
    status_is(400, 'Connection: keep-alive',
              headers => [ Connection => 'keep-alive' ]);
    status_is(400, 'Connection with a longer word',
              headers => [ Connection => 'upgraded' ]);
    status_is(400, 'HTTP/1.0', version => 'HTTP/1.0');
    status_is(400, 'a plain GET', headers => [
        Upgrade => undef, Connection => undef, 'Sec-WebSocket-Key' => undef,
        'Sec-WebSocket-Version' => undef,
    ]);
};


subtest 'keys' => sub {
    status_is(400, 'none', headers => [ 'Sec-WebSocket-Key' => undef ]);
    status_is(400, $_->[0], headers => [ 'Sec-WebSocket-Key' => $_->[1] ])
        for [ 'empty', '' ],
            [ 'too short', 'AAAAAAAAAAAAAAAAAAAA' ],
            [ 'too long', 'AAAAAAAAAAAAAAAAAAAAAAAA' ],
            [ 'no base64', '!!!!!!!!!!!!!!!!!!!!!!==' ],
            [ 'without padding', 'AAAAAAAAAAAAAAAAAAAAAA' ];

    status_is(400, 'two keys', headers => [
        'Sec-WebSocket-Key' => $WSBus::Raw::KEY,
        'Sec-WebSocket-Key' => 'AAAAAAAAAAAAAAAAAAAAAA==',
    ]);
};


subtest 'versions' => sub {
    for my $version (undef, '8', '12', '14', '130', '1', '013', 'thirteen') {
        my $name = $version // 'none';
        my $res = status_is(426, "version $name",
                            headers => [ 'Sec-WebSocket-Version' => $version ]);
        is($res->{headers}{'sec-websocket-version'}, '13',
           "version $name: the right one is named");
    }
};


subtest 'a request with a body' => sub {
    status_is(400, 'Content-Length', after => 'hello',
              headers => [ 'Content-Length' => 5 ]);
    status_is(400, 'chunked', after => "5\r\nhello\r\n0\r\n\r\n",
              headers => [ 'Transfer-Encoding' => 'chunked' ]);
};


subtest 'a refused client may try again' => sub {
    my $raw = WSBus::Raw->new($nginx->port);

    my $res = $raw->handshake(headers => [ 'Sec-WebSocket-Version' => '8' ]);
    is($res->{status}, 426, 'refused');

    if (lc($res->{headers}{connection} // '') eq 'close') {
        is($raw->read_end, 'eof', 'closed as it was said');
    } else {
        is($raw->handshake->{status}, 101, 'on the same connection');
    }
};


subtest 'TLS' => sub {
    my $raw = WSBus::Raw->new($nginx->port(1), ssl => 1);

    is($raw->handshake->{status}, 101, 'upgraded');
    is($raw->read_json->{type}, 'welcome', 'welcome');
    ok($raw->alive, 'talks');
};


subtest 'HTTP/2' => sub {
    my $raw = WSBus::Raw->new($nginx->port(2));

    my $literal = sub {
        my ($name, $value) = @_;
        return "\x00" . chr(length $name) . $name . chr(length $value) . $value;
    };

    my $block = "\x82\x86\x04\x03/ws\x01\x09127.0.0.1"
              . $literal->('sec-websocket-version', '13')
              . $literal->('sec-websocket-key', $WSBus::Raw::KEY);

    $raw->write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                . "\0\0\0\x04\0\0\0\0\0"
                . substr(pack('N', length $block), 1) . "\x01\x05\0\0\0\x01"
                . $block);

    my $status;

    while (!defined $status) {
        while (length $raw->{in} < 9) { $raw->fill or last }
        last if length $raw->{in} < 9;

        my ($hi, $lo, $type) = unpack 'CnC', $raw->{in};
        my $len = $hi << 16 | $lo;

        while (length $raw->{in} < 9 + $len) { $raw->fill or last }
        my $payload = substr $raw->{in}, 9, $len;
        substr $raw->{in}, 0, 9 + $len, '';

        next if $type != 1;
        $payload =~ s/^[\x20-\x3f]+//;
        $status = ord $payload;
    }

    is($status, 0x8c, 'refused with 400');
};


$nginx->finish;
done_testing;
