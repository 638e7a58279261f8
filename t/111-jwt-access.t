# SPDX-License-Identifier: BSD-2-Clause
# Where a token comes from, in front of what it stands, what it gives to
# variables; and that it is in no log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(encode_base64);
use Mojo::JSON qw(decode_json encode_json false true);
use Test::More;

use WSBus::JWT;
use WSBus::Nginx;
use WSBus::Raw;

my $key   = WSBus::JWT->key('oct');
my $nginx = WSBus::Nginx->new(workers => 1, own_log => 1, http => '');

$nginx->write_file('secret', $key->pem);
$nginx->write_file('users', "ann:{PLAIN}pass\n");

my $jwt = 'ws_bus_jwt $http_authorization $arg_token $cookie_token
           $http_sec_websocket_protocol $path_token;';

$nginx->{http} = WSBus::Nginx::minimal(
    http => <<'END',
        access_log off;
        log_format one "$uri $status $ws_bus_jwt_claim_sub";
        ws_bus_jwt_key_file secret alg=HS256;
        ws_bus_jwt_claim_set $nested a.b.c;
        ws_bus_jwt_claim_set $dotted https://acme\.example/role;
        ws_bus_jwt_claim_set $camel  tenantId;
        ws_bus_jwt_claim_set $under  a__b;
        map $ws_bus_jwt_claim_role $allowed { default 0; admin 1; staff yes; }
        map $ws_bus_jwt_claim_sub $who { default "user $ws_bus_jwt_claim_sub"; "" nobody; }
        limit_req_zone $ws_bus_jwt_claim_sub zone=per_user:1m rate=1r/m;
END
    server => <<"END",
        location = /any/ws { ws_bus events; $jwt }
        location ~ ^/path/(?<path_token>[^/]+)/ws\$ { ws_bus events; $jwt }
        location = /tenant/ws { ws_bus events; $jwt
                                ws_bus_tenant \$ws_bus_jwt_claim_tenant; }
        location = /post { ws_bus_publish events any; $jwt }
        location = /state { ws_bus_status any; $jwt }
        location = /proxied { $jwt proxy_set_header X-Who \$who;
                              proxy_pass http://127.0.0.1:%%PORT%%/back; }
        location = /back { return 200 "\$http_x_who"; }
        location = /login { auth_basic "staff"; auth_basic_user_file users;
                            satisfy any; $jwt try_files /none \@show; }
        location = /both  { auth_basic "staff"; auth_basic_user_file users;
                            $jwt try_files /none \@show; }
        location = /staff { $jwt ws_bus_jwt_require \$allowed; try_files /none \@show; }
        location = /any/staff { auth_basic "staff"; auth_basic_user_file users;
                            satisfy any; ws_bus_jwt_require \$allowed;
                            $jwt try_files /none \@show; }
        location = /mail { $jwt ws_bus_jwt_require \$ws_bus_jwt_claim_email;
                           try_files /none \@show; }
        location = /recursive { ws_bus_jwt \$ws_bus_jwt_claim_token;
                                try_files /none \@show; }
        location = /limited { $jwt limit_req zone=per_user; try_files /none \@show; }
        location = /limited/address { $jwt limit_req zone=address;
                                      try_files /none \@show; }
        location = /off { ws_bus_jwt off; return 200 "[\$ws_bus_jwt_claim_sub]"; }
        location \@show { access_log access.log one; $jwt
                          add_header X-Sub  "\$ws_bus_jwt_claim_sub" always;
                          return 200 "\$ws_bus_jwt_claim_sub\\n"; }
        location = /show {
            $jwt
            add_header X-Who    "\$who";
            add_header X-Claims "sub=\$ws_bus_jwt_claim_sub|n=\$ws_bus_jwt_claim_n|t=\$ws_bus_jwt_claim_t|f=\$ws_bus_jwt_claim_f|list=\$ws_bus_jwt_claim_list|nested=\$nested|also=\$ws_bus_jwt_claim_a__b__c|dotted=\$dotted|camel=\$camel|under=\$under|object=\$ws_bus_jwt_claim_a|null=\$ws_bus_jwt_claim_null|none=\$ws_bus_jwt_claim_nothing|";
            try_files /file =404;
        }
        location /outer {
            $jwt ws_bus_jwt_require \$ws_bus_jwt_claim_a1;
            location /outer/inner { ws_bus_jwt_require \$ws_bus_jwt_claim_a2;
                                    try_files /file =404; }
            location /outer/open  { ws_bus_jwt off; try_files /file =404; }
        }
        location = /set { $jwt set \$early \$ws_bus_jwt_claim_sub;
                          add_header X-Early "\$early"; try_files /file =404; }
        location = /sub { $jwt auth_request /sub/auth; try_files /file =404; }
        location = /sub/auth { internal; proxy_pass_request_headers off;
                          proxy_set_header X-Who "sub \$ws_bus_jwt_claim_sub";
                          proxy_pass http://127.0.0.1:%%PORT%%/sub/back; }
        location = /sub/back { access_log access.log; if (\$http_x_who = "sub u-7") { return 204; }
                          return 403; }
END
);
$nginx->{http} =~ s/(limit_req_zone)/limit_req_zone \$binary_remote_addr zone=address:1m rate=1r\/m;\n$1/;
mkdir $nginx->file('html');
$nginx->write_file('html/file', "file\n");
$nginx->start;

my $port = $nginx->port;

sub handshake {
    my ($path, @headers) = @_;
    return WSBus::Raw->new($port)->handshake(path => $path,
                                             headers => \@headers);
}

sub get {
    my ($path, @headers) = @_;
    my $raw = WSBus::Raw->new($port);
    my $text = "GET $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    while (my ($name, $value) = splice @headers, 0, 2) {
        $text .= "$name: $value\r\n";
    }
    $raw->write("$text\r\n");
    return $raw->response;
}

sub bearer { return (Authorization => "Bearer $_[0]") }
sub basic  { return (Authorization => 'Basic ' . encode_base64($_[0], '')) }

my $token = $key->token('HS256', { sub => 'u-7', tenant => 'acme' });
my $bad   = $key->token('HS256', { sub => 'u-7', exp => time - 10 });

# --- where it comes from

for (
    [ 'Authorization', '/any/ws', bearer($token) ],
    [ 'Authorization in other case, more blanks', '/any/ws',
      Authorization => "bEARER   $token  " ],
    [ 'Authorization without a scheme', '/any/ws', Authorization => $token ],
    [ 'an argument', "/any/ws?a=b&token=$token" ],
    [ 'a cookie', '/any/ws', Cookie => "a=b; token=$token" ],
    [ 'a segment of the path', "/path/$token/ws" ],
    [ 'a subprotocol', '/any/ws', 'Sec-WebSocket-Protocol' => "bearer.$token" ],
    [ 'the header before an argument that is bad', "/any/ws?token=$bad",
      bearer($token) ],
    [ 'an argument, beside credentials of another scheme',
      "/any/ws?token=$token", basic('ann:pass') ],
    [ 'an argument, beside an empty header', "/any/ws?token=$token",
      Authorization => 'Bearer ' ],
) {
    my ($what, $path, @headers) = @$_;
    my $res = handshake($path, @headers);
    is($res->{status}, 101, "taken from: $what")
        or diag($res->{headers}{'www-authenticate'});
    is($res->{headers}{'sec-websocket-protocol'}, undef, '... no subprotocol');
}

for (
    [ 'ws_bus, bearer.%s' ], [ 'bearer.%s,ws_bus' ],
    [ 'chat ,  bearer.%s  ,  ws_bus, bearer.x' ],
) {
    my $list = sprintf $_->[0], $token;
    my $res  = handshake('/any/ws', 'Sec-WebSocket-Protocol' => $list);
    is($res->{status}, 101, "among subprotocols: $_->[0]");
    is($res->{headers}{'sec-websocket-protocol'}, 'ws_bus',
       '... and not the token is selected');
}

for (
    [ 'none', '/any/ws' ],
    [ 'Basic only', '/any/ws', basic('ann:pass') ],
    [ 'a subprotocol that is no token', '/any/ws',
      'Sec-WebSocket-Protocol' => 'ws_bus' ],
    [ 'a token as a subprotocol, without bearer.', '/any/ws',
      'Sec-WebSocket-Protocol' => $token ],
    [ 'bearer. and nothing', '/any/ws', 'Sec-WebSocket-Protocol' => 'bearer.' ],
    [ 'Bearer and nothing', '/any/ws', Authorization => 'Bearer  ' ],
    [ 'another argument', "/any/ws?tokens=$token" ],
) {
    my ($what, $path, @headers) = @$_;
    my $res = handshake($path, @headers);
    is($res->{status}, 401, "no token: $what");
    is($res->{headers}{'www-authenticate'}, 'Bearer realm="ws_bus"',
       '... none, no bad one');
}

for (
    [ 'the header is bad, the argument is not looked at',
      "/any/ws?token=$token", bearer($bad) ],
    [ 'a bad subprotocol', '/any/ws', 'Sec-WebSocket-Protocol' => "ws_bus, bearer.$bad" ],
    [ 'a bad argument', "/any/ws?token=$bad" ],
    [ 'a bad cookie', '/any/ws', Cookie => "token=$bad" ],
    [ 'a bad segment', "/path/$bad/ws" ],
    [ 'a word', '/any/ws?token=x' ],
) {
    my ($what, $path, @headers) = @$_;
    my $res = handshake($path, @headers);
    is($res->{status}, 401, "refused: $what");
    like($res->{headers}{'www-authenticate'}, qr/error="invalid_token"/,
         '... as a bad one');
    unlike(join('', %{ $res->{headers} }, $res->{body}), qr/eyJ/,
           '... without saying it again');
}

# --- in front of what

is(handshake('/tenant/ws', bearer($token))->{status}, 101, 'a tenant by a claim');
is(handshake('/tenant/ws', bearer($key->token('HS256', { sub => 'x' })))->{status},
   400, 'a token without that claim');

my $event = '{"action":"created","entity_type":"order","entity_id":"1"}';
my $post  = WSBus::Raw->new($port);
is($post->post('/post', $event)->{status}, 401, 'publish without');
is(WSBus::Raw->new($port)->post('/post', $event, bearer($token))->{status}, 200,
   'publish with a token');
is(get('/state')->{status}, 401, 'status without');
is(get('/state', bearer($token))->{status}, 200, 'status with a token');
is(get('/proxied')->{status}, 401, 'a proxied location without');
is(get('/proxied', bearer($token))->{body}, 'user u-7',
   'a proxied location with a token');
is(get('/recursive')->{status}, 401, 'a token of a claim of itself is none');

is(get('/login')->{status}, 401, 'satisfy any: neither');
like(get('/login')->{headers}{'www-authenticate'}, qr/Bearer.*Basic/,
     '... both are offered');
is(get('/login', basic('ann:pass'))->{status}, 200, 'satisfy any: a password');
is(get('/login', basic('ann:pass'))->{body}, "\n", '... without claims');
is(get('/login', basic('ann:pass'))->{headers}{'www-authenticate'}, undef,
   '... and no challenge is left');
is(get('/login', basic('ann:wrong'))->{status}, 401, 'satisfy any: a wrong one');
is(get("/login?token=$token")->{body}, "u-7\n", 'satisfy any: a token');
is(get("/login?token=$bad", basic('ann:pass'))->{body}, "\n",
   'satisfy any: a bad token with a good password gives no claims');
is(get("/both?token=$token")->{status}, 401, 'satisfy all: only a token');
is(get('/both', basic('ann:pass'))->{status}, 401, 'satisfy all: only a password');
is(get("/both?token=$token", basic('ann:pass'))->{body}, "u-7\n",
   'satisfy all: both');

# --- require

sub claim { return bearer($key->token('HS256', {@_})) }

is(get('/staff', claim(role => 'admin', sub => 'x'))->{status}, 200, 'require: 1');
is(get('/staff', claim(role => 'staff'))->{status}, 200, 'require: yes');
is(get('/staff', claim(role => 'guest'))->{status}, 403, 'require: 0');
is(get('/staff', claim())->{status}, 403, 'require: the claim is missing');
is(get('/staff')->{status}, 401, 'require without a token');
is(get('/mail', claim(email => ''))->{status}, 403, 'require: empty');
is(get('/mail', claim(email => '0'))->{status}, 403, 'require: "0"');
is(get('/mail', claim(email => 0))->{status}, 403, 'require: 0');
is(get('/mail', claim(email => '00'))->{status}, 200, 'require: "00"');
is(get('/mail', claim(email => false))->{status}, 403, 'require: false');
is(get('/mail', claim(email => 'falsehood'))->{status}, 200, 'require: a text');
is(get('/any/staff', claim(role => 'guest'))->{status}, 401,
   'satisfy any: neither the role nor a password');
is(get('/any/staff', claim(role => 'admin'))->{status}, 200,
   'satisfy any: the role');
is(get('/outer/x', claim(a1 => 1))->{status}, 404, 'the outer level');
is(get('/outer/inner', claim(a1 => 1))->{status}, 403, 'require adds up: inner');
is(get('/outer/inner', claim(a2 => 1))->{status}, 403, 'require adds up: outer');
is(get('/outer/inner', claim(a1 => 1, a2 => 1))->{status}, 200,
   'require adds up: both');
is(get('/outer/open')->{status}, 200, 'off');
is(get('/off', bearer($token))->{body}, '[]', 'off: no claims');

# --- claims

sub shown {
    my ($claims) = @_;
    my $res = get('/show', bearer($key->token('HS256',
        ref $claims ? $claims : '{"exp":' . (time + 60) . ",$claims}")));
    return $res->{headers}{'x-claims'} // $res->{status};
}

is(shown('"sub":"u\u002d7\u00e9","n":12345678901234567890.10,"t":true,"f":false,'
         . '"list":["a",1,true,"b c"],"a":{"b":{"c":"deep"}},'
         . '"https://acme.example/role":"r","tenantId":"T","a__b":"u",'
         . '"null":null,"tenantid":"x"'),
   "sub=u-7\xc3\xa9|n=12345678901234567890.10|t=true|f=false|list=a,1,true,b c"
   . '|nested=deep|also=deep|dotted=r|camel=T|under=u|object=|null=|none=|',
   'claims in variables');
like(shown('"list":[]'), qr/\|list=\|/, 'an empty array');
like(shown('"list":["a,b"]'), qr/\|list=\|/, 'an element with a comma has no value');
like(shown('"list":["a",["b"]]'), qr/\|list=\|/, 'an array in an array neither');
like(shown('"list":["a",null]'), qr/\|list=\|/, 'nor null in one');
like(shown('"sub":"a,b"'), qr/sub=a,b\|/, 'a comma in a string');
like(shown('"sub":"a\r\nX-Evil: 1"'), qr/sub=\|/, 'no line ends');
like(shown('"sub":"a\tb"'), qr/sub=\|/, 'no control characters');
like(shown('"sub":"a\u007f"'), qr/sub=\|/, 'no DEL');
like(shown('"a.b.c":"x","a":{"b.c":"y"}'), qr/nested=\|/,
     'dots of a name are none of a path');
like(shown('"a":{"b":"x"}'), qr/nested=\|/, 'a path through a string');
like(shown('"SUB":"x","Sub":"y"'), qr/sub=\|/, 'case counts');
is(shown('"sub":"a\u0000b"'), 401, 'a NUL');

is(get('/set', bearer($token))->{headers}{'x-early'}, 'u-7',
   'claims are there in the rewrite phase');
is(get('/set')->{headers}{'x-early'}, undef, '... of a token that is there');

my @limited = map { get('/limited', claim(sub => $_))->{status} } qw(a a b b);
is("@limited", '200 503 200 503', 'limit_req by a claim');

is(get('/sub', bearer($token))->{status}, 200, 'auth_request hears claims');
is(get('/sub', claim(sub => 'u-8'))->{status}, 403, '... those of the token');

get("/limited/address?token=$token") for 1 .. 2;

my ($zone) = @{ decode_json(get('/status')->{body})->{zones} };
cmp_ok($zone->{totals}{jwt_refused}, '>', 10, 'refused ones are counted');

# --- logs

my $log = $nginx->error_log;

like($log, qr/\[error\].*client sent no token, location: "\/any\/ws", client: \S+ server: , request: "GET" in location "\/any\/ws", host/,
     'a line of the error log');
like($log, qr/limiting requests.*request: "GET" in location "\/limited\/address"/,
     'a line of another module');
unlike($log, qr/eyJ/, 'no token in the error log');

my $access = WSBus::Nginx::slurp($nginx->file('access.log'));
like($access, qr{^/login 200 u-7$}m, 'a claim in the access log');

$nginx->finish;


# --- configurations

my %file = (
    secret    => $key->pem,
    short     => 'x' x 31,
    empty     => " \n",
    rsa       => WSBus::JWT->key('rsa')->pem,
    weak      => WSBus::JWT->key('rsa1024')->pem,
    weakset   => WSBus::JWT::jwks(WSBus::JWT->key('rsa1024')->jwk),
    private   => WSBus::JWT->key('p256')->private,
    privset   => encode_json(WSBus::JWT->key('p256')->jwk(d => 'AA')),
    k1        => WSBus::JWT->key('k1')->pem,
    shortset  => encode_json({ kty => 'oct', k => WSBus::JWT::b64('x' x 31) }),
    short512  => encode_json({ kty => 'oct', alg => 'HS512',
                               k => WSBus::JWT::b64('x' x 63) }),
    broken    => '{"keys":[}',
    twice     => '{"keys":[],"keys":[]}',
    nokeys    => '{"keys":[]}',
    keys      => '{"keys":7}',
    nokty     => '{"keys":[{"k":"x"}]}',
    badk      => '{"kty":"oct","k":"not base64"}',
    badn      => '{"kty":"RSA","e":"AQAB"}',
    badx      => '{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}',
    longx     => encode_json({ kty => 'EC', crv => 'P-256',
                     map { $_ => WSBus::JWT::b64("\1" x 33) } qw(x y) }),
    point     => encode_json({ kty => 'EC', crv => 'P-256',
                     map { $_ => WSBus::JWT::b64("\1" x 32) } qw(x y) }),
    badkid    => encode_json({ %{ $key->jwk }, kid => 7 }),
    one       => encode_json($key->jwk(kid => 'one')),
    csr       => "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
                 . "-----END CERTIFICATE REQUEST-----\n",
    cut       => "-----BEGIN PUBLIC KEY-----\nAAAA\n",
    big       => ' ' x (256 * 1024) . 'x',
);

my $exponent = WSBus::JWT->key('rsa')->jwk;
$file{exponent} = encode_json({ %$exponent, e => 'AQ' });

sub test {
    my ($text) = @_;
    my $nginx = WSBus::Nginx->new(http =>
        "ws_bus_zone zone=events:1m; server { listen 127.0.0.1:%%PORT%%;
         location / { ws_bus events; $text } }");
    $nginx->{finished} = 1;
    $nginx->write_file($_, $file{$_}) for keys %file;
    $nginx->write_file('nginx.conf', $nginx->conf);
    my @rc = WSBus::Nginx::run(20, WSBus::Nginx::binary(), '-t', '-p',
                               $nginx->prefix . '/', '-c', 'nginx.conf',
                               '-e', 'error.log');
    $nginx->clean;
    return @rc;
}

sub wrong {
    my ($what, $text, $re) = @_;
    my ($rc, $out) = test($text);
    ok($rc != 0 && $out =~ /\[emerg\][^\n]*$re[^\n]* in \S*nginx\.conf:\d+/,
       "nginx -t: $what") or diag($out);
    unlike($out, qr/\[alert\]|\Qx\E{20}/, '... and says no key');
}

for (
    [ 'short alg=HS256',   'a secret', qr/31 bytes: HS256 needs 32/ ],
    [ 'secret alg=HS256,HS1', 'an unknown algorithm', qr/HS256.*EdDSA/ ],
    [ 'secret alg=none',   'none', qr/"alg="/ ],
    [ 'secret alg=',       'no algorithm', qr/"alg="/ ],
    [ 'secret HS256',      'another parameter', qr/"alg="/ ],
    [ 'secret',            'a secret without alg=', qr/neither PEM.*alg=HS256/ ],
    [ 'secret alg=HS256,RS256', 'a secret for RS256', qr/neither PEM/ ],
    [ 'rsa alg=HS256',     'a public key for HS256', qr/no key for these alg/ ],
    [ 'rsa alg=ES256',     'RSA for ES256', qr/no key for these algorithms/ ],
    [ 'empty alg=HS256',   'an empty file', qr/is empty/ ],
    [ 'missing',           'a missing file', qr/open.*missing.*No such file/ ],
    [ 'weak',              'a weak key', qr/RSA key of 1024 bits: 2048/ ],
    [ 'weakset',           'a weak key in a set', qr/no key that can be used/ ],
    [ 'private',           'a private key', qr/private key: write the public/ ],
    [ 'privset',           'a private JWK', qr/private key.*write the public/ ],
    [ 'k1',                'another curve', qr/type that no algorithm/ ],
    [ 'shortset',          'a short secret in a JWK', qr/31 bytes/ ],
    [ 'short512',          'one for HS512', qr/63 bytes: HS512 needs 64/ ],
    [ 'broken',            'broken JSON', qr/no JSON: .* at byte/ ],
    [ 'broken alg=HS256',  'broken JSON is no secret', qr/no JSON/ ],
    [ 'twice',             'a repeated member', qr/no JSON: repeated key/ ],
    [ 'nokeys',            'no keys', qr/no key that can be used/ ],
    [ 'keys',              'keys that are none', qr/"keys" that is no array/ ],
    [ 'nokty',             'no kty', qr/no key that can be used/ ],
    [ 'badk',              'a bad k', qr/bad "k"/ ],
    [ 'badn',              'no n', qr/bad "n" or "e"/ ],
    [ 'badx',              'a short x', qr/not on its curve/ ],
    [ 'longx',             'a long x', qr/bad "x" or "y"/ ],
    [ 'point',             'a point off its curve', qr/not on its curve/ ],
    [ 'exponent',          'an exponent of 1', qr/not valid/ ],
    [ 'badkid',            'a kid that is a number', qr/"kid"/ ],
    [ 'csr',               'a request for a certificate', qr/expected PUBLIC KEY/ ],
    [ 'cut',               'a PEM block without its end', qr/cannot be read/ ],
    [ 'big',               'a long file', qr/longer than/ ],
) {
    wrong($_->[1], "ws_bus_jwt \$arg_t; ws_bus_jwt_key_file $_->[0];", $_->[2]);
}

my $k = 'ws_bus_jwt_key_file secret alg=HS256;';

for (
    [ 'no key file', 'ws_bus_jwt $arg_t;', qr/ws_bus_jwt_key_file/ ],
    [ 'a kid twice', 'ws_bus_jwt $arg_t; ws_bus_jwt_key_file one;
                      ws_bus_jwt_key_file one;', qr/another key has/ ],
    [ 'nine keys without a kid', 'ws_bus_jwt $arg_t;' . $k x 9, qr/at most 8/ ],
    [ 'a source without a variable', "$k ws_bus_jwt token;", qr/variables/ ],
    [ 'off and more', "$k ws_bus_jwt off \$arg_t;", qr/"off" alone/ ],
    [ 'ws_bus_jwt twice', "$k ws_bus_jwt \$arg_t; ws_bus_jwt off;", qr/duplicate/ ],
    [ 'require without a token', 'ws_bus_jwt_require $arg_x;', qr/ws_bus_jwt"/ ],
    [ 'require a constant', "$k ws_bus_jwt \$arg_t; ws_bus_jwt_require 1;",
      qr/expected variables, such as "\$ws_bus_jwt_claim_tenant", or one that a "map"/ ],
    [ 'a leeway of an hour', 'ws_bus_jwt_leeway 1h;', qr/10m/ ],
    [ 'a bad leeway', 'ws_bus_jwt_leeway x;', qr/10m/ ],
    [ 'an issuer with a variable', 'ws_bus_jwt_issuer $arg_i;', qr/without variables/ ],
    [ 'an empty audience', 'ws_bus_jwt_audience "";', qr/without variables/ ],
    [ 'expiry maybe', 'ws_bus_jwt_expiry maybe;', qr/maybe.*"required" or "optional"/ ],
    [ 'expiry twice', 'ws_bus_jwt_expiry optional; ws_bus_jwt_expiry optional;', qr/duplicate/ ],
) {
    wrong(@$_);
}

for (
    [ 'a path with an empty name', 'ws_bus_jwt_claim_set $x a..b;', qr/joined by dots/ ],
    [ 'a path of nine names', 'ws_bus_jwt_claim_set $x a.b.c.d.e.f.g.h.i;', qr/at most 8/ ],
    [ 'a variable without $', 'ws_bus_jwt_claim_set x a;', qr/\$name/ ],
    [ 'a variable twice', 'ws_bus_jwt_claim_set $x a; ws_bus_jwt_claim_set $x b;', qr/duplicate/ ],
) {
    my ($rc, $out) = WSBus::Nginx->test_config(http => "$_->[1] server { listen 127.0.0.1:%%PORT%%; }");
    ok($rc != 0 && $out =~ $_->[2], "nginx -t: $_->[0]") or diag($out);
}

my ($rc, $out) = test("ws_bus_jwt \$arg_t; $k ws_bus_jwt_key_file rsa; ws_bus_jwt_key_file one alg=HS256;");
is($rc, 0, 'nginx -t: several files') or diag($out);

done_testing;
