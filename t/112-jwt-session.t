# SPDX-License-Identifier: BSD-2-Clause
# A connection ends with its token, unless a new one of the same rights comes
# before; keys are rotated by a reload.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(encode_json);
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::JWT;
use WSBus::Nginx;
use WSBus::Raw;

my $key   = WSBus::JWT->key('oct');
my $next  = WSBus::JWT->key('p256');
my $nginx = WSBus::Nginx->new(workers => 2, fixed_workers => 1, http => '');

$nginx->write_file('secret', $key->pem);

sub http {
    my (%o) = @_;
    my $keys = $o{keys} // 'ws_bus_jwt_key_file secret alg=HS256;';
    return WSBus::Nginx::minimal(
        zone => 'zone=events:4m',
        http => "$keys
                 ws_bus_ping_interval 0; ws_bus_drain_window 1s;
                 ws_bus_jwt_claim_set \$roles access.roles;
                 map \$ws_bus_jwt_claim_kind \$kind { default \$ws_bus_jwt_claim_kind; }
                 limit_req_zone \$ws_bus_jwt_claim_plan zone=plan:1m rate=1000r/s;",
        server => <<'END');
            location = /open { ws_bus events; }
            location = /jwt  { ws_bus events; ws_bus_jwt $arg_token; }
            location = /echo { ws_bus_echo; ws_bus_jwt $arg_token; }
            location = /late { ws_bus events; ws_bus_jwt $arg_token;
                               ws_bus_jwt_leeway 2s; ws_bus_ping_interval 1s; }
            location = /all  { ws_bus events; ws_bus_jwt $arg_token;
                               ws_bus_jwt_expiry optional;
                               ws_bus_jwt_issuer a b;
                               ws_bus_tenant $kind-$ws_bus_jwt_claim_tenant;
                               limit_req zone=plan burst=100 nodelay;
                               ws_bus_restrict owner eq $ws_bus_jwt_claim_owner;
                               ws_bus_restrict entity_type in $ws_bus_jwt_claim_types;
                               ws_bus_max_connections 100 key=$ws_bus_jwt_claim_team;
                               ws_bus_jwt_require $ws_bus_jwt_claim_ok $roles; }
            location = /any  { ws_bus events; ws_bus_jwt $arg_token;
                               satisfy any; allow all; }
            location = /log  { ws_bus events; ws_bus_jwt $arg_token;
                               ws_bus_session_log session.log
                                   "$ws_bus_jwt_claim_jti $ws_bus_close_code $ws_bus_close_reason"; }
END
}

$nginx->{http} = http();
$nginx->start;

my $port = $nginx->port;

sub token {
    my ($seconds, %claims) = @_;
    my $exp = int(time) + $seconds;
    return $key->token('HS256', { sub => 'u', exp => $exp, %claims });
}

sub ws {
    my ($path, $token) = @_;
    return WSBus::Raw->open($port, path => "$path?token=$token",
                            no_welcome => $path eq '/echo');
}

sub auth {
    my ($ws, $token, %more) = @_;
    $ws->send_text(encode_json({ type => 'auth', token => $token, %more }));
    return $ws->read_json;
}

sub total {
    my ($name) = @_;
    return WSBus::Raw::zone($port)->{totals}{$name};
}

# --- several expire while the rest is tested

my $start   = time;
my $stays   = ws('/jwt', token(3600));
my $renewed = ws('/jwt', token(5));
my $exp     = int(time) + 3600;

my $got = auth($renewed, $key->token('HS256', { sub => 'u', exp => $exp }),
               id => 'r-1');
is_deeply($got, { type => 'auth', expires => $exp, id => 'r-1' },
          'a token is renewed');

my $busy = ws('/jwt', token(4));
$busy->send_text('{"type":"subscribe","filter":{}}');
is($busy->read_json->{type}, 'subscribed', 'a subscription of one that will end');

my %ends    = map { $_ => ws($_, token(4)) } qw(/jwt /echo /late);
my $plain   = WSBus::Raw->open($port, path => '/open');
my $without = WSBus::Raw->open($port, path => '/any');

# --- what is no renewal

sub refused {
    my ($what, $ws, $message, $code, $re) = @_;
    $ws->send_text(ref $message ? encode_json($message) : $message);
    my $res = $ws->read_json;
    is("$res->{type} " . ($res->{code} // ''), "error $code", $what);
    like($res->{message} // '', $re, '... says why');
    unlike($ws->{text} // '', qr/eyJ/, '... and not the token');
}

my $bad = ws('/jwt', token(3600));

refused('no token', $bad, { type => 'auth' }, 'missing_field', qr/`token`/);
refused('null', $bad, { type => 'auth', token => undef }, 'missing_field', qr/`token`/);
refused('a number', $bad, { type => 'auth', token => 7 }, 'invalid_message', qr/string/);
refused('an expired one', $bad, { type => 'auth', token => token(-5), id => 'x' },
        'bad_token', qr/^Token refused: it has expired$/);
refused('one of another key', $bad,
        { type => 'auth', token => WSBus::JWT->key('oct')->token('HS256') },
        'bad_token', qr/signature/);
refused('a word', $bad, { type => 'auth', token => 'eyJ' }, 'bad_token', qr/form/);
refused('one of 60000 bytes', $bad, { type => 'auth', token => 'eyJ' x 20000 },
        'bad_token', qr/too long/);

# all in one turn

my %code;
$bad->write(join '', map { WSBus::Raw::frame(1, '{"type":"auth","token":"x"}') }
                     1 .. 20);
$code{ $bad->read_json->{code} }++ for 1 .. 20;
cmp_ok($code{bad_token} // 0, '<=', 8, 'no more than a few in a second');
cmp_ok($code{too_many_tokens} // 0, '>=', 12, '... say those beyond')
    or diag(encode_json(\%code));
ok($bad->alive, 'and the connection lives on');

refused('where there is no token', $plain, { type => 'auth', token => token(60) },
        'unsupported', qr/no token/);
refused('where another rule has let it in', $without,
        { type => 'auth', token => token(60) }, 'unsupported', qr/no token/);

my $nobody = ws('/jwt', token(3600, sub => undef));
refused('a token without a subject', $nobody,
        { type => 'auth', token => token(3600, sub => undef) },
        'unsupported', qr/no token that/);

# --- what is of other rights

sub closed {
    my ($what, $ws, $token) = @_;
    $ws->send_text(encode_json({ type => 'auth', token => $token }));
    is($ws->read_close, 3003, $what);
    is($ws->{close_reason}, 'token of other rights', '... with its reason');
}

closed('another subject', ws('/jwt', token(60)), token(60, sub => 'v'));
closed('no subject', ws('/jwt', token(60)), token(60, sub => undef));
closed('a subject that is a number', ws('/jwt', token(60, sub => '7')),
       token(60, sub => 7));

my %all = (iss => 'a', tenant => 't', kind => 'k', plan => 'p', ok => 1,
           owner => 'o', types => [ 'order', 'invoice' ], team => 'x',
           access => { roles => [ 'r', 's' ] });

for (
    [ 'another issuer',           iss => 'b' ],
    [ 'another tenant',           tenant => 'T' ],
    [ 'no tenant',                tenant => undef ],
    [ 'a tenant of another type', tenant => ['t'] ],
    [ 'a claim of a map',         kind => 'l' ],
    [ 'a claim of limit_req',     plan => 'q' ],
    [ 'a claim of require',       ok => 2 ],
    [ 'a claim of a condition',   owner => 'O' ],
    [ 'a list of a condition',    types => [ 'order', 'invoice', 'secret' ] ],
    [ 'a claim of a limit',       team => 'y' ],
    [ 'a nested claim',           access => { roles => [ 'r', 's', 't' ] } ],
) {
    my ($what, %other) = @$_;
    closed($what, ws('/all', token(60, %all)), token(60, %all, %other));
}

my $all = ws('/all', token(60, %all));
$got = auth($all, token(61, %all, jti => 'new', name => 'Ann',
                        access => { roles => [ 'r', 's' ], more => 1 }));
is($got->{type}, 'auth', 'what no value was made of may differ');
$got = auth($all, $key->token('HS256', { sub => 'u', %all, exp => undef }));
is_deeply([ @$got{qw(type expires)} ], [ 'auth', undef ], 'never expires');

my $never = ws('/all', $key->token('HS256', { sub => 'u', %all, exp => undef }));
$got = auth($never, token(3, %all));
is($got->{type}, 'auth', 'from never to soon');

my $logged = ws('/log', token(4, jti => 'j-1'));
$got = auth($logged, token(3, jti => 'j-2'));
is($got->{type}, 'auth', 'a claim of the session log may differ');

# the conditions go on as they were

$all = ws('/all', token(60, %all));
$all->send_text('{"type":"subscribe","filter":{}}');
is($all->read_json->{type}, 'subscribed', 'a subscription with conditions');
is(auth($all, token(61, %all))->{type}, 'auth', '... renewed');

my $post = WSBus::Raw->new($port);
for ([ 'T', 'o', 1 ], [ 'k-t', 'p', 2 ], [ 'k-t', 'o', 3 ]) {
    my ($tenant, $owner, $id) = @$_;
    $post->post('/publish', encode_json({ action => 'created',
        entity_type => 'order', entity_id => "$id", tenant => $tenant,
        data => { owner => $owner } }));
}
is($all->read_json->{data}{event}{entity_id}, 3,
   '... still hears what is of its tenant and owner, and nothing else');

# --- they end

for my $path (qw(/jwt /echo)) {
    is($ends{$path}->read_close, 3000, "$path ends with its token");
    is($ends{$path}{close_reason}, 'token expired', '... with its reason');
    my $took = time - $start;
    cmp_ok($took, '>=', 3, '... not before it expires');
}

is($busy->read_close, 3000, 'with a subscription');
is($ends{'/late'}->read_close, 3000, 'with a leeway, and pings');
cmp_ok(time - $start, '>=', 5, '... later by the leeway');
is($never->read_close, 3000, 'a token renewed to expire soon');
is($logged->read_close, 3000, 'a renewed one');
ok($renewed->alive, 'one that was renewed in time lives on');
ok($stays->alive, 'one whose token lives on, too');
ok($plain->alive, 'one without a token, too');

like(WSBus::Nginx::await(sub {
         WSBus::Nginx::slurp($nginx->file('session.log')) =~ /(.+)\n/ && $1 }) // '',
     qr/^j-1 3000 token expired$/, 'the session log');

cmp_ok(total('jwt_expired'), '>=', 5, 'counted: expired');
cmp_ok(total('jwt_renewed'), '>=', 5, 'counted: renewed');
cmp_ok(total('jwt_refused'), '>=', 15, 'counted: refused');

# --- rotation

$nginx->write_file('set', WSBus::JWT::jwks($next->jwk(kid => 'next'),
                                           $key->jwk(kid => 'old')));
ok($nginx->reload(http => http(keys => 'ws_bus_jwt_key_file set;')), 'reload');

my $old = $key->token('HS256', { sub => 'u' }, kid => 'old');
my $new = $next->token('ES256', { sub => 'u' }, kid => 'next');

my $both = ws('/jwt', $old);
ok($both->alive, 'a token of the old key');
is(auth($both, $new)->{type}, 'auth', 'renewed by one of the new key');
ok(ws('/jwt', $new)->alive, 'a token of the new key');

$nginx->write_file('set', WSBus::JWT::jwks($next->jwk(kid => 'next')));
ok($nginx->reload, 'reload without the old key');
is(WSBus::Raw->new($port)->handshake(path => "/jwt?token=$old")->{status}, 401,
   'a token of the old key is refused');
ok(ws('/jwt', $new)->alive, 'one of the new key is not');

$nginx->write_file('set', '{"keys":[]}');
$nginx->allow(qr/key file/);
like($nginx->reload_refused, qr/\[emerg\].*key file ".*set" has no key/,
     'a reload with a bad file is refused');
$nginx->write_file('set', WSBus::JWT::jwks($next->jwk(kid => 'next')));
ok(ws('/jwt', $new)->alive, 'and what was goes on');

unlike($nginx->error_log, qr/eyJ/, 'no token in the error log');

$nginx->finish;
done_testing;
