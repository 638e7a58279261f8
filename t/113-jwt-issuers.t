# SPDX-License-Identifier: BSD-2-Clause
# Keys that are bound to issuers, claims after a change of keys, where tokens
# hide, and what nginx -t says of it all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::JWT;
use WSBus::Nginx;
use WSBus::Raw;

my $A = WSBus::JWT->key('oct');
my $B = WSBus::JWT->key('p256');
my $C = WSBus::JWT->key('rsa');

my $nginx = WSBus::Nginx->new(workers => 1, http => '');

$nginx->write_file('a', $A->pem);
$nginx->write_file('b', $B->pem);
$nginx->write_file('set', WSBus::JWT::jwks(
    WSBus::JWT->key('rsa1024')->jwk(kid => 'weak'), { kty => 'AKP', kid => 'x' },
    $C->jwk(kid => '1')));
$nginx->write_file('set-b', WSBus::JWT::jwks($B->jwk(kid => '1')));

my $bound = 'ws_bus_jwt_issuer https://a https://b;
    ws_bus_jwt_key_file a alg=HS256 issuer=https://a issuer=https://a2;
    ws_bus_jwt_key_file b issuer=https://b;';

$nginx->{http} = WSBus::Nginx::minimal(
    http => <<'END',
        map $ws_bus_jwt_claim_sub $mapped { default "<$ws_bus_jwt_claim_sub>"; "" nobody; }
        map $mapped $twice { default "[$mapped]"; }
        map $http_x_plain $plain { default "plain $http_x_plain"; }
END
    server => <<"END",
        location /bound/ws { ws_bus events; $bound ws_bus_jwt \$http_authorization; }
        location /alone/ws { ws_bus events; ws_bus_jwt \$http_authorization;
            ws_bus_jwt_key_file b issuer=https://b; }
        location /set/ws { ws_bus events; ws_bus_jwt \$http_authorization;
            ws_bus_jwt_key_file set issuer=https://c;
            ws_bus_jwt_key_file set-b issuer=https://b; }
        location /list/ws { ws_bus events; ws_bus_jwt_key_file a alg=HS256;
            ws_bus_jwt \$http_sec_websocket_protocol; }
        location /arg/ws { ws_bus events; ws_bus_jwt_key_file a alg=HS256;
            ws_bus_jwt \$arg_token; ws_bus_tenant \$arg_t; }
        location /t/ws { ws_bus events; ws_bus_tenant "x-\${arg_t}"; }
        location = /t/value { add_header X-T "\$ws_bus_arg_t|\$arg_t";
            try_files /file =404; }
        location /t/publish { ws_bus_publish events; ws_bus_tenant \$arg_t; }
        location /need/ws { ws_bus events; ws_bus_jwt_key_file a alg=HS256;
            ws_bus_jwt \$http_authorization;
            ws_bus_jwt_require \$ws_bus_jwt_claim_sub \$ws_bus_jwt_claim_tenant;
            ws_bus_tenant \$ws_bus_jwt_claim_tenant; }
        location = /first { ws_bus_jwt_key_file a alg=HS256;
            ws_bus_jwt \$http_authorization;
            ws_bus_jwt_require \$twice;
            set \$seen "\$twice"; add_header X-Plain "\$plain";
            try_files /none \@second; }
        location = /off { set \$seen "\$twice"; try_files /none \@second; }
        location \@second { ws_bus_jwt_key_file b; ws_bus_jwt \$http_x_token;
            add_header X-Seen "\$seen"; add_header X-Now "\$twice";
            add_header X-Plain "\$plain";
            try_files /file =404; }
END
);
mkdir $nginx->file('html');
$nginx->write_file('html/file', "file\n");
$nginx->start;

my $port = $nginx->port;

sub bearer { return (Authorization => "Bearer $_[0]") }

sub handshake {
    my ($path, @headers) = @_;
    return WSBus::Raw->new($port)->handshake(path => $path,
                                             headers => \@headers);
}

sub reason { return ($_[0]{headers}{'www-authenticate'} // '') =~ /description="(.*)"/ ? $1 : '' }


subtest 'a key counts for its issuers' => sub {
    my %t = map { my $iss = $_; map { ("$_ $iss" => { A => $A, B => $B }->{$_}
                ->token($_ eq 'A' ? 'HS256' : 'ES256', { iss => "https://$iss" })) }
                qw(A B) } qw(a b a2 c);

    is(handshake('/bound/ws', bearer($t{$_}))->{status}, 101, $_)
        for 'A a', 'B b';

    for ('A b', 'B a', 'B a2') {
        my $res = handshake('/bound/ws', bearer($t{$_}));
        is($res->{status}, 401, $_);
        is(reason($res), 'its key is not for its issuer', 'why');
    }

    is(reason(handshake('/bound/ws', bearer($t{'A a2'}))),
       'its issuer is not accepted', 'ws_bus_jwt_issuer counts as well');

    is(handshake('/alone/ws', bearer($t{'B b'}))->{status}, 101, 'alone');
    is(handshake('/alone/ws', bearer($t{'B a'}))->{status}, 401, 'another');
    is(handshake('/alone/ws', bearer($B->token('ES256', {})))->{status}, 401,
       'without iss');

    # two sets that number their keys in the same way

    is(handshake('/set/ws', bearer($C->token('RS256', { iss => 'https://c' },
        kid => '1')))->{status}, 101, 'a set with keys that cannot be used');
    is(handshake('/set/ws', bearer($B->token('ES256', { iss => 'https://b' },
        kid => '1')))->{status}, 101, 'another with the same kid');
    is(handshake('/set/ws', bearer($B->token('ES256', { iss => 'https://c' },
        kid => '1')))->{status}, 401, 'not for each other');
};


subtest 'renewal goes by the same keys' => sub {
    my $raw = WSBus::Raw->open($port, path => '/bound/ws', headers => [
        bearer($A->token('HS256', { iss => 'https://a', sub => 'u' })) ]);
    $raw->send_text(encode_json({ type => 'auth',
        token => $B->token('ES256', { iss => 'https://a', sub => 'u' }) }));
    is($raw->read_json->{code}, 'bad_token', 'a key of another issuer');
    $raw->send_text(encode_json({ type => 'auth',
        token => $A->token('HS256', { iss => 'https://a', sub => 'u' }) }));
    is($raw->read_json->{type}, 'auth', 'its own');
};


subtest 'a list of subprotocols in several lines' => sub {
    my $token = $A->token('HS256');

    for my $lines ([ 'ws_bus', "bearer.$token" ], [ "bearer.$token", 'ws_bus' ],
                   [ 'chat', 'x, y', "ws_bus , bearer.$token" ])
    {
        my $raw = WSBus::Raw->new($port);
        (my $text = WSBus::Raw::request(path => '/list/ws'))
            =~ s/\r\n\r\n$//;
        $raw->write(join "\r\n", $text,
                    (map { "sEc-WebSocket-Protocol: $_" } @$lines), '', '');
        my $res = $raw->response;
        is($res->{status}, 101, scalar(@$lines) . ' lines');
        is($res->{headers}{'sec-websocket-protocol'}, 'ws_bus', 'ws_bus');
    }
};


subtest 'arguments are decoded' => sub {
    my $token = $A->token('HS256');
    (my $escaped = $token) =~ s/\./%2E/g;

    sub tenant { return WSBus::Raw->open($port, path => $_[0]) }

    for ("token=$token", "token=$escaped", "token=Bearer+$token",
         "token=bearer%20$token")
    {
        is(handshake("/arg/ws?t=a&$_")->{status}, 101, substr $_, 0, 20);
    }
    is(handshake("/arg/ws?t=a&token=%zz$token")->{status}, 401, 'no escape');

    my %event = ('caf%C3%A9' => "caf\x{e9}", 'a%2Fb' => 'a/b', 'a+b' => 'a b',
                 'a%2bb' => 'a+b', '%2541' => '%41');

    for my $arg (sort keys %event) {
        my $ws = tenant("/arg/ws?t=$arg&token=$token");
        my $x  = tenant("/t/ws?t=$arg");
        for ($ws, $x) {
            $_->send_text('{"type":"subscribe","filter":{}}');
            is($_->read_json->{type}, 'subscribed', $arg);
        }
        my $pub = WSBus::Raw->new($port);
        my %e = (action => 'created', entity_type => 'o', data => {});
        $pub->post('/publish', encode_json([
            { %e, entity_id => 'own', tenant => $event{$arg} },
            { %e, entity_id => 'x', tenant => "x-$event{$arg}" } ]));
        is($ws->read_json->{data}{event}{entity_id}, 'own', 'its events');
        is($x->read_json->{data}{event}{entity_id}, 'x', 'in part of a value');
        $pub->post("/t/publish?t=$arg",
                   encode_json({ %e, entity_id => 'by arg' }));
        is($ws->read_json->{data}{event}{entity_id}, 'by arg', 'and published');
    }

    for (['a+b', 'a b'], ['%2541', '%41'], ['a%2Fb', 'a/b'], ['%zz', '']) {
        my $raw = WSBus::Raw->new($port);
        $raw->write(WSBus::Raw::request(path => "/t/value?t=$_->[0]"));
        is($raw->response->{headers}{'x-t'}, "$_->[1]|$_->[0]",
           "\$ws_bus_arg_t beside \$arg_t: $_->[0]");
    }

    for my $arg ('%', '%4', '%zz', '%00', '%FF', 'a' x 257) {
        is(handshake("/arg/ws?t=$arg&token=$token")->{status}, 400,
           't=' . substr $arg, 0, 10);
    }
    my $log = $nginx->error_log;
    like($log, qr/argument "t" is taken for empty: it has a "%" without two hex digits/,
         'the log says so');
    like($log, qr{\[error\].*refused by its tenant: it is not UTF-8, or has a NUL, location: "/arg/ws"},
         'and what no event can have');
};


subtest 'refusals are seen' => sub {
    my $from = length $nginx->error_log;
    my @origin = (Origin => 'https://page.example');

    handshake('/need/ws', @origin);
    handshake('/need/ws', @origin, bearer($A->token('HS256', { exp => 1 })));
    handshake('/need/ws', @origin, bearer($A->token('HS256', { sub => 'u' })));

    my $log = substr $nginx->error_log, $from;
    for my $why ('client sent no token', 'client sent a token that is refused: it has expired',
         'token lacks what "ws_bus_jwt_require" wants: $ws_bus_jwt_claim_tenant is empty')
    {
        my @lines = grep { /\[error\].*\Q$why\E/ } split /\n/, $log;
        is(scalar @lines, 1, "one line: $why");
        like($lines[0], qr{\[error\].*location: "/need/ws", origin: "https://page\.example"},
             'where, and from which page');
    }
    unlike($log, qr/eyJ/, 'no token');
};


subtest 'a map of a claim is that of the keys in force' => sub {
    my $get = sub {
        my ($path, @headers) = @_;
        my $raw = WSBus::Raw->new($port);
        my $text = "GET $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
        while (my ($name, $value) = splice @headers, 0, 2) {
            $text .= "$name: $value\r\n";
        }
        $raw->write("$text\r\n");
        return $raw->response;
    };

    my @second = ('X-Token' => $B->token('ES256', { sub => 'second' }));
    my $res = $get->('/first', bearer($A->token('HS256', { sub => 'first' })),
                     @second, 'X-Plain' => 'p');
    is($res->{status}, 200, 'two sets of keys');
    is($res->{headers}{'x-seen'}, '[<first>]', 'at first');
    is($res->{headers}{'x-now'}, '[<second>]', 'then');
    is($res->{headers}{'x-plain'}, 'plain p', 'another map');

    $res = $get->('/off', @second);
    is($res->{headers}{'x-seen'}, '[nobody]', 'nobody');
    is($res->{headers}{'x-now'}, '[<second>]', 'then somebody');
};

$nginx->finish;


# --- nginx -t

sub test {
    my ($text) = @_;
    my $nginx = WSBus::Nginx->new(http => "ws_bus_zone zone=events:1m;\n$text");
    $nginx->{finished} = 1;
    $nginx->write_file('a', $A->pem);
    $nginx->write_file('b', $B->pem);
    $nginx->write_file('weak', WSBus::JWT::jwks(
        WSBus::JWT->key('rsa1024')->jwk, $B->jwk(kid => 'b')));
    $nginx->write_file('nginx.conf', $nginx->conf);
    my @rc = WSBus::Nginx::run(20, WSBus::Nginx::binary(), '-t', '-p',
                               $nginx->prefix . '/', '-c', 'nginx.conf',
                               '-e', 'error.log');
    push @rc, $nginx->conf;
    $nginx->clean;
    return @rc;
}

# the line of the configuration that says "HERE"

sub at {
    my ($out, $conf) = @_;
    my ($line) = grep { (split /\n/, $conf)[ $_ - 1 ] =~ /HERE/ }
                 1 .. $conf =~ tr/\n//;
    return $out =~ m{ in \S+/nginx\.conf:$line$}m;
}

my $two = 'ws_bus_jwt_key_file a alg=HS256; ws_bus_jwt_key_file b';
my $jwt = 'ws_bus_jwt $http_authorization;';
my $in  = sub { "server { listen 127.0.0.1:%%PORT%%;\n$_[0]\n}\n" };

for (
    [ 'two issuers, no key of one', 1, qr/several issuers/,
      "$jwt ws_bus_jwt_issuer x y; $two; # HERE\n location / { }" ],
    [ 'one key bound, one not', 1, qr/several issuers/,
      "location / { $jwt $two issuer=x; # HERE\n }" ],
    [ 'all bound', 0, qr/several issuers/, "$jwt ws_bus_jwt_issuer x y;
      ws_bus_jwt_key_file a alg=HS256 issuer=x; ws_bus_jwt_key_file b issuer=y;
      location / { }" ],
    [ 'one issuer', 0, qr/several issuers/,
      "$jwt ws_bus_jwt_issuer x; $two; location / { }" ],
    [ 'return', 1, qr/"return" in location "\/a" answers before any token/,
      "location /a {\n $jwt # HERE\n $two; return 200 secret;\n}" ],
    [ 'return a URL', 1, qr/"return" in location/,
      "location /a {\n $jwt # HERE\n $two; return 302 /x;\n}" ],
    [ 'return in an if', 1, qr/"return" in location/,
      "location /a {\n $jwt # HERE\n $two; if (\$arg_x) { return 204; }\n}" ],
    [ 'return, inherited', 1, qr/"return" in location/,
      "$jwt # HERE\n $two; location /a { return 200; }" ],
    [ 'a redirect, inherited', 0, qr/"return" in location/,
      "$jwt $two; location /a { return 301 https://x/; }" ],
    [ 'return of a refusal', 0, qr/"return" in location/,
      "location /a { $jwt $two; if (\$arg_x) { return 403; } }" ],
    [ 'return, off', 0, qr/"return" in location/,
      "$jwt $two; location /a { ws_bus_jwt off; return 200; }" ],
    [ 'a weak key in a set', 1, qr/RSA key of 1024 bits.*keys\[0\] is passed over/,
      "ws_bus_jwt_key_file weak; # HERE\n" ],
) {
    my ($what, $warned, $re, $text) = @$_;
    my ($rc, $out, $conf) = test($in->($text));
    is($rc, 0, "nginx -t: $what") or diag($out);
    my @lines = grep { /\[warn\].*$re/ } split /\n/, $out;
    is(scalar @lines, $warned, $warned ? 'one warning' : 'no warning')
        or diag($out);
    ok(at($lines[0], $conf), 'with its line') if $warned;
}

for (
    [ 'no key', qr/"ws_bus_jwt" in location "\/a" without a key/,
      "$jwt # HERE\n location /a {\n\n}\n" ],
    [ 'require without a token',
      qr/"ws_bus_jwt_require" in location "\/a" without a token/,
      "location /a {\n ws_bus_jwt_require \$arg_x; # HERE\n\n }\n" ],
    [ 'an empty issuer', qr/"issuer="/, "ws_bus_jwt_key_file b issuer=; # HERE" ],
    [ 'an issuer with a variable', qr/without variables/,
      "ws_bus_jwt_key_file b issuer=\$x; # HERE" ],
    [ 'alg= twice', qr/comes twice/,
      "ws_bus_jwt_key_file a alg=HS256 alg=HS256; # HERE" ],
    [ 'another parameter', qr/"issuer=" and an issuer, or "alg="/,
      "ws_bus_jwt_key_file b iss=x; # HERE" ],
) {
    my ($what, $re, $text) = @$_;
    my ($rc, $out, $conf) = test($in->($text));
    is($rc, 1, "nginx -t: $what");
    my ($line) = grep { /\[emerg\]/ } split /\n/, $out;
    like($line, $re, 'says what');
    ok(at($line, $conf), 'and where') or diag("$out$conf");
}

done_testing;
