# SPDX-License-Identifier: BSD-2-Clause
# Tokens of every algorithm and from every kind of key file are taken; whatever
# is wrong with one, it is refused before the upgrade.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(encode_json false true);
use Test::More;

use WSBus::JWT;
use WSBus::Nginx;
use WSBus::Raw;

my %key = map { $_ => WSBus::JWT->key($_) }
          qw(oct rsa p256 p384 p521 ed25519 ed448);
my $other = WSBus::JWT->key('rsa');
my $oct2  = WSBus::JWT->key('oct');

my %algs = (
    oct  => [qw(HS256 HS384 HS512)],
    rsa  => [qw(RS256 RS384 RS512 PS256 PS384 PS512)],
    p256 => ['ES256'], p384 => ['ES384'], p521 => ['ES512'],
    ed25519 => ['EdDSA'], ed448 => ['EdDSA'],
);

my $nginx = WSBus::Nginx->new(workers => 1, http => '');
my %where;
my $locations = '';

sub location {
    my ($name, $files, $more) = @_;
    my $lines = '';
    my $i = 0;
    for (@$files) {
        my ($text, $alg) = ref $_ ? @$_ : $_;
        my $file = 'key-' . ($name =~ s{/}{-}gr) . '-' . $i++;
        $nginx->write_file($file, $text);
        $lines .= "ws_bus_jwt_key_file $file" . ($alg ? " alg=$alg" : '') . ';';
    }
    $more //= '';
    $locations .= "location = /$name { ws_bus events; $lines $more
                   ws_bus_jwt \$http_authorization; }\n";
    return "/$name";
}

# one for each kind of file

for my $type (keys %key) {
    $where{"$type pem"} = location("$type/pem",
        [ [ $key{$type}->pem, $type eq 'oct' ? 'HS256,HS384,HS512' : '' ] ]);
    $where{"$type jwk"} = location("$type/jwk", [ encode_json($key{$type}->jwk) ]);
    $where{"$type set"} = location("$type/set", [ WSBus::JWT::jwks(
        $other->jwk(kid => 'other'),
        { kty => 'new', kid => 'x' }, WSBus::JWT->key('k1')->jwk(kid => 'k1'),
        { %{ $other->jwk(kid => 'enc') }, use => 'enc' },
        { %{ $other->jwk(kid => 'oaep') }, alg => 'RSA-OAEP' },
        $key{$type}->jwk(kid => 'mine', use => 'sig',
                         key_ops => ['verify'])) ]);
}

$where{cert}   = location('cert', [ $key{rsa}->certificate ]);
$where{rsa}    = location('rsa', [ $key{rsa}->pem ]);
$where{rs256}  = location('rs256', [ [ $key{rsa}->pem, 'RS256' ] ]);
$where{pinned} = location('pinned', [ encode_json($key{rsa}->jwk(alg => 'PS384')) ]);
$where{hs}     = location('hs', [ [ $key{oct}->pem . "\n", 'HS256' ] ]);
$where{two}    = location('two', [ $key{rsa}->pem, $other->pem,
                                   [ $key{oct}->pem, 'HS256' ] ]);
$where{set}    = location('set', [ WSBus::JWT::jwks(
                     $key{rsa}->jwk(kid => 'a'), $other->jwk(kid => 'b'),
                     $oct2->jwk(kid => 'c'), $key{p256}->jwk(kid => 'a')) ]);
$where{single} = location('single', [ encode_json($key{rsa}->jwk(kid => 'a')) ]);
$where{rules}  = location('rules', [ [ $key{oct}->pem, 'HS256' ] ],
                          'ws_bus_jwt_issuer https://a.example https://b.example;
                           ws_bus_jwt_audience ws api;
                           ws_bus_jwt_leeway 60s;');
$where{never}  = location('never', [ [ $key{oct}->pem, 'HS256' ] ],
                          'ws_bus_jwt_expiry optional;');

$nginx->{http} = WSBus::Nginx::minimal(server => $locations,
    http => 'large_client_header_buffers 4 32k; client_header_buffer_size 32k;');
$nginx->start;

my $port = $nginx->port;

# what the handshake is answered

sub try {
    my ($path, $token) = @_;
    my $raw = WSBus::Raw->new($port);
    my $res = $raw->handshake(path => $path,
        headers => [ defined $token ? (Authorization => "Bearer $token") : () ]);
    return $res;
}

sub taken {
    my ($what, $path, $token) = @_;
    my $res = try($path, $token);
    is($res->{status}, 101, "taken: $what")
        or diag($res->{headers}{'www-authenticate'});
}

my $challenge = 'Bearer realm="ws_bus"';

sub refused {
    my ($what, $path, $token, $why) = @_;
    my $res = try($path, $token);
    is($res->{status}, 401, "refused: $what");
    like($res->{headers}{'www-authenticate'} // '',
         qr/^\Q$challenge\E, error="invalid_token", error_description="$why"$/,
         "... $why");
}

sub claims { return { exp => time + 60, sub => 'u-1', @_ } }

for my $type (sort keys %algs) {
    for my $alg (@{ $algs{$type} }) {
        my $plain = $key{$type}->token($alg, { sub => 'u' });
        my $named = $key{$type}->token($alg, { sub => 'u' }, kid => 'mine');

        taken("$alg by $type in PEM or as it is", $where{"$type pem"}, $plain);
        taken("$alg by a JWK of $type", $where{"$type jwk"}, $plain);
        taken("$alg by a set with $type", $where{"$type set"}, $named);

        (my $changed = $plain) =~ s/\.(\w)/.@{[ $1 eq 'e' ? 'f' : 'e' ]}/;
        refused("$alg, a changed byte", $where{"$type pem"}, $changed,
                'its signature is not valid');
    }
}

taken('the key of a certificate', $where{cert}, $key{rsa}->token('RS256'));
taken('a secret without its line end', $where{hs}, $key{oct}->token('HS256'));

# who brings none

is(try($where{rsa})->{status}, 401, 'no token');
is(try($where{rsa})->{headers}{'www-authenticate'}, $challenge,
   'no error is named to who brings no token');

# algorithms are the key's, not the token's

my $alg = 'its algorithm is not accepted';
my $sig = 'its signature is not valid';

for my $none (qw(none None NONE nOnE)) {
    my $input = join '.', WSBus::JWT::b64(encode_json({ alg => $none })),
                WSBus::JWT::b64(encode_json(claims()));
    refused("alg $none, no signature", $where{rsa}, "$input.", $alg);
    refused("alg $none, a signature", $where{rsa},
            "$input." . WSBus::JWT::b64('x' x 256), $alg);
}

for my $text ($key{rsa}->pem, $key{rsa}->pem =~ s/\n\z//r,
              MIME::Base64::decode_base64(
                  $key{rsa}->pem =~ s/-----[^\n]*\n//gr))
{
    my $evil = WSBus::JWT->key('oct', secret => $text);
    refused('HS256 by the public key', $where{rsa}, $evil->token('HS256'), $alg);
    refused('HS256 by the public key, beside a secret', $where{two},
            $evil->token('HS256'), $sig);
}

refused('RS384 where RS256 is', $where{rs256}, $key{rsa}->token('RS384'), $alg);
refused('PS256 where RS256 is', $where{rs256}, $key{rsa}->token('PS256'), $alg);
taken('RS256 where RS256 is', $where{rs256}, $key{rsa}->token('RS256'));
taken('the alg of a JWK', $where{pinned}, $key{rsa}->token('PS384'));
refused('another than the alg of a JWK', $where{pinned},
        $key{rsa}->token('PS256'), $alg);
refused('RS256 that says PS256', $where{rsa},
        $key{rsa}->compact('RS256', { alg => 'PS256' }, claims()), $sig);
refused('another RSA key', $where{rsa}, $other->token('RS256'), $sig);
refused('a list of algorithms', $where{rsa},
        $key{rsa}->compact('RS256', { alg => ['RS256'] }, claims()), $alg);
refused('no alg', $where{rsa},
        $key{rsa}->compact('RS256', { typ => 'JWT' }, claims()), $alg);
refused('an alg in lower case', $where{hs},
        $key{oct}->compact('HS256', { alg => 'hs256' }, claims()), $alg);

# several keys

taken('either of two keys: the first', $where{two}, $key{rsa}->token('RS256'));
taken('either of two keys: the second', $where{two}, $other->token('PS256'));
taken('a secret beside them', $where{two}, $key{oct}->token('HS256'));
taken('a kid that such keys do not have', $where{two},
      $other->token('RS256', {}, kid => 'x'));

taken('kid a', $where{set}, $key{rsa}->token('RS256', {}, kid => 'a'));
taken('kid a, of another type', $where{set}, $key{p256}->token('ES256', {}, kid => 'a'));
taken('kid b', $where{set}, $other->token('RS256', {}, kid => 'b'));
taken('kid c', $where{set}, $oct2->token('HS512', {}, kid => 'c'));
refused('the kid of another key', $where{set},
        $other->token('RS256', {}, kid => 'a'), $sig);
refused('a kid that is unknown', $where{set},
        $other->token('RS256', {}, kid => 'd'), 'its kid is not known');
refused('no kid', $where{set}, $other->token('RS256'), 'it has no kid');
refused('a kid of another type', $where{set},
        $other->token('RS256', {}, kid => 7), 'its kid is no string');
refused('a kid with a NUL', $where{set},
        $key{rsa}->token('RS256', {}, kid => "a\0"),
        'its header is not one strict JSON object');
taken('no kid, but a single key', $where{single}, $key{rsa}->token('RS256'));
refused('a kid that the single key does not have', $where{single},
        $key{rsa}->token('RS256', {}, kid => 'b'), 'its kid is not known');

# the form

my $good   = $key{oct}->token('HS256', { sub => 'u' });
my $form   = 'it is no JWS in compact form';
my $base64 = 'it is not in base64url';
my ($h, $p, $s) = split /\./, $good;

taken('a good one', $where{hs}, $good);
refused('one part', $where{hs}, $h, $form);
refused('two parts', $where{hs}, "$h.$p", $form);
refused('four parts', $where{hs}, "$good.$s", $form);
refused('five parts', $where{hs}, "$good.$s.$s", $form);
refused('dots', $where{hs}, '..', 'its header is not one strict JSON object');
refused('padding', $where{hs}, "$good=", $base64);
refused('standard base64', $where{hs}, "$h.$p.$s+/", $base64);
refused('a character too much', $where{hs}, "${good}A", $base64) if length($s) % 4 == 0;
refused('a part of one character', $where{hs}, "$h.$p.A", $base64);
refused('no signature', $where{hs}, "$h.$p.", $sig);
refused('a short signature', $where{hs}, "$h.$p." . substr($s, 0, 40), $sig);

# 43 characters hold 258 bits: the last two must be zero
my $twin = substr($s, -1);
$twin =~ tr{AEIMQUYcgkosw048}{BFJNRVZdhlptx159};
refused('another spelling of the signature', $where{hs},
        "$h.$p." . substr($s, 0, -1) . $twin, $base64);

my $long = $key{oct}->token('HS256', { x => 'x' x 6200 });
cmp_ok(length $long, '>', 8192, 'a token of more than 8192 bytes');
refused('it', $where{hs}, $long, 'it is too long');
$long = $key{oct}->token('HS256', { x => 'x' x 5800 });
cmp_ok(length $long, '<', 8192, 'a token of less');
taken('it', $where{hs}, $long);

my $head = 'its header is not one strict JSON object';
my $body = 'its claims are not one strict JSON object';
my $exp  = time + 60;

sub signed { return $key{oct}->compact('HS256', @_) }

refused('crit', $where{hs},
        signed({ alg => 'HS256', crit => ['b64'], b64 => false }, claims()),
        'its header has critical extensions');
refused('crit of null', $where{hs},
        signed({ alg => 'HS256', crit => undef }, claims()),
        'its header has critical extensions');
refused('alg twice', $where{hs},
        signed('{"alg":"HS256","alg":"HS256"}', claims()), $head);
refused('alg twice, once escaped', $where{hs},
        signed('{"alg":"none","\u0061lg":"HS256"}', claims()), $head);
refused('a header that is an array', $where{hs},
        signed('["alg","HS256"]', claims()), $head);
refused('a header that is no JSON', $where{hs}, signed('{alg:1}', claims()), $head);
taken('a key in the header is not looked at', $where{hs},
      signed({ alg => 'HS256', jwk => $other->jwk, jku => 'http://x/' }, claims()));
refused('a key in the header is not believed', $where{rsa},
        $other->token('RS256', {}, jwk => $other->jwk, kid => 'x',
                      jku => 'https://evil.example/'), $sig);

for (
    [ 'no JSON',                    'exp' ],
    [ 'an array',                   '[1]' ],
    [ 'text behind it',             qq({"exp":$exp} x) ],
    [ 'a key twice',                qq({"exp":$exp,"sub":"a","sub":"b"}) ],
    [ 'a key twice, once escaped',  qq({"exp":$exp,"sub":"a","s\\u0075b":"b"}) ],
    [ 'a nested key twice',         qq({"exp":$exp,"a":{"b":[{"c":1,"c":2}]}}) ],
    [ 'a NUL in a string',          qq({"exp":$exp,"sub":"a\\u0000b"}) ],
    [ 'a NUL in a key',             qq({"exp":$exp,"sub\\u0000":"a"}) ],
    [ 'a NUL in a nested string',   qq({"exp":$exp,"a":{"b":["\\u0000"]}}) ],
    [ 'half a surrogate pair',      qq({"exp":$exp,"sub":"\\ud800"}) ],
    [ 'no UTF-8',                   qq({"exp":$exp,"sub":"\xff"}) ],
    [ 'more than 64 keys',
      '{"exp":' . $exp . join('', map { qq(,"k$_":1) } 1 .. 64) . '}' ],
    [ 'deep JSON',
      qq({"exp":$exp,"a":) . '[' x 16 . ']' x 16 . '}' ],
    [ 'very deep JSON',
      qq({"exp":$exp,"a":) . '[' x 2800 . ']' x 2800 . '}' ],
) {
    refused("claims: $_->[0]", $where{hs}, signed({ alg => 'HS256' }, $_->[1]),
            $body);
}

taken('JSON of fifteen levels', $where{hs},
      signed({ alg => 'HS256' }, qq({"exp":$exp,"a":) . '[' x 15 . ']' x 15 . '}'));

# the registered claims

my $now = time;

refused('expired', $where{hs}, $key{oct}->token('HS256', { exp => $now - 1 }),
        'it has expired');
refused('no exp', $where{hs}, $key{oct}->token('HS256', { exp => undef }),
        'it has no exp');
taken('no exp, where it is optional', $where{never},
      $key{oct}->token('HS256', { exp => undef }));
refused('expired, where it is optional', $where{never},
        $key{oct}->token('HS256', { exp => $now - 1 }), 'it has expired');
refused('not yet', $where{hs}, $key{oct}->token('HS256', { nbf => $now + 30 }),
        'it is not valid yet');
refused('exp a string', $where{hs},
        $key{oct}->token('HS256', { exp => "@{[ $now + 60 ]}" }),
        'its exp or nbf is no number');
refused('exp null', $where{never},
        signed({ alg => 'HS256' }, '{"exp":null}'),
        'its exp or nbf is no number');
refused('exp negative', $where{hs}, signed({ alg => 'HS256' }, '{"exp":-1}'),
        'it has expired');
refused('exp long ago, in an odd spelling', $where{hs},
        signed({ alg => 'HS256' }, '{"exp":12345678901e-3}'), 'it has expired');
taken('exp with a fraction', $where{hs},
      signed({ alg => 'HS256' }, '{"exp":' . ($now + 60) . '.5}'));
taken('exp with an exponent', $where{hs},
      signed({ alg => 'HS256' }, '{"exp":3.2e+10}'));
taken('exp far away', $where{hs}, signed({ alg => 'HS256' }, '{"exp":1e400}'));

my %good = (iss => 'https://a.example', aud => 'ws');
taken('issuer and audience', $where{rules}, $key{oct}->token('HS256', \%good));
taken('the other ones, one of many', $where{rules}, $key{oct}->token('HS256',
      { iss => 'https://b.example', aud => [ 'x', 'api' ] }));
refused('another issuer', $where{rules}, $key{oct}->token('HS256',
        { %good, iss => 'https://a.example/' }), 'its issuer is not accepted');
refused('no issuer', $where{rules}, $key{oct}->token('HS256', { aud => 'ws' }),
        'its issuer is not accepted');
refused('a list of issuers', $where{rules}, $key{oct}->token('HS256',
        { %good, iss => ['https://a.example'] }), 'its issuer is not accepted');
refused('another audience', $where{rules}, $key{oct}->token('HS256',
        { %good, aud => [ 'WS', 'w' ] }), 'its audience is another');
refused('no audience', $where{rules},
        $key{oct}->token('HS256', { iss => 'https://a.example' }),
        'its audience is another');
taken('expired, within the leeway', $where{rules},
      $key{oct}->token('HS256', { %good, exp => $now - 30 }));
taken('not yet, within the leeway', $where{rules},
      $key{oct}->token('HS256', { %good, nbf => $now + 30 }));
refused('expired, beyond the leeway', $where{rules},
        $key{oct}->token('HS256', { %good, exp => $now - 61 }), 'it has expired');
refused('not yet, beyond the leeway', $where{rules},
        $key{oct}->token('HS256', { %good, nbf => time + 120 }),
        'it is not valid yet');

# nothing of a token is in the log

my $log = $nginx->error_log;
like($log, qr/client sent a token that is refused: it has expired/,
     'the log says why');
unlike($log, qr/\Q$h\E|\Q$s\E|eyJ/, 'and has no token');

$nginx->finish;
done_testing;
