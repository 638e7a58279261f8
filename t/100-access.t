# SPDX-License-Identifier: BSD-2-Clause
# Who may publish, read the status and connect: loopback, realip, and the
# access rules of nginx in front.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(encode_base64);
use Mojo::JSON qw(decode_json);
use Test::More;

use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;

# each guard stands in front of each of the three

my %guard = (
    basic   => 'auth_basic x; auth_basic_user_file %%PREFIX%%/users;',
    deny    => 'deny all;',
    allow   => 'allow 127.0.0.1; deny all;',
    request => 'auth_request /auth;',
    anyof   => 'satisfy any; deny all;
                auth_basic x; auth_basic_user_file %%PREFIX%%/users;',
    anypeer => 'satisfy any; allow 127.0.0.1; deny all; auth_request /auth;',
    allof   => 'satisfy all; allow 127.0.0.1; deny all;
                auth_basic x; auth_basic_user_file %%PREFIX%%/users;
                auth_request /auth;',
);

my %endpoint = (
    publish => [ 'ws_bus_publish events any;', 200 ],
    status  => [ 'ws_bus_status any;', 200 ],
    ws      => [ 'ws_bus events;', 101 ],
);

my $guarded = join "\n", map {
    my $what = $_;
    map { "location /$_/$what { $guard{$_} $endpoint{$what}[0] }" }
        sort keys %guard;
} sort keys %endpoint;

# a limit of its own for each, or one would use up that of another

my $zones = join "\n", map {
    "limit_req_zone \$http_x_key zone=$_:1m rate=1r/m;" } sort keys %endpoint;

my $limited = join "\n", map {
    "location /limit/$_ { limit_req zone=$_ burst=2 nodelay;"
    . " limit_req_status 429; $endpoint{$_}[0] }" } sort keys %endpoint;

my $address = WSBus::Nginx::own_address();
my $far     = $address ? "listen $address:%%PORT1%%;" : '';

my $nginx = WSBus::Nginx->new(http => <<"END");
    ws_bus_zone zone=events:8m;
    ws_bus_session_log %%PREFIX%%/sessions "\$ws_bus_tenant";
    $zones
    limit_req_zone  \$ws_bus_tenant     zone=tenants:1m rate=1r/m;
    limit_conn_zone \$binary_remote_addr zone=conns:1m;

    map \$http_x_user \$of_user { alice acme; bob globex; carol ""; default -; }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen unix:%%PREFIX%%/socket;

        location = /auth    { internal; proxy_pass http://127.0.0.1:%%PORT3%%;
                              proxy_pass_request_body off;
                              proxy_set_header Content-Length ""; }
        $guarded
        $limited

        location /publish { ws_bus_publish events; }
        location /status  { ws_bus_status; }
        location /ws      { ws_bus events; }

        location /tenant/ {
            auth_request     /auth;
            auth_request_set \$tenant \$upstream_http_x_tenant;
            ws_bus_tenant    \$tenant;

            location /tenant/ws      { ws_bus events; }
            location /tenant/publish { ws_bus_publish events any;
                                       client_body_buffer_size 8k;
                                       client_max_body_size 2m; }
            location /tenant/status  { ws_bus_status any; }

            # evaluated before auth_request has set it
            location /tenant/early   { limit_req zone=tenants burst=9;
                                       ws_bus events; }
        }

        location /of/ {
            ws_bus_tenant \$arg_t;

            location /of/ws      { ws_bus events; }
            location /of/publish { ws_bus_publish events; }
            location /of/limited { ws_bus_publish events;
                                   limit_req zone=tenants burst=2 nodelay;
                                   limit_req_status 429; }
        }

        location /conn { limit_conn conns 1; ws_bus events; }
        location /origin { ws_bus events; ws_bus_origin same; }

        location /next     { return 200 next; }
        location /smuggled { return 200 smuggled; }
    }

    # as behind a proxy on the same machine
    server {
        listen 127.0.0.1:%%PORT2%%;
        set_real_ip_from 127.0.0.1;
        real_ip_header   X-Forwarded-For;

        location /publish   { ws_bus_publish events; }
        location /status    { ws_bus_status; }
        location /any/      {
            allow 127.0.0.1;
            deny  all;
            location /any/publish { ws_bus_publish events any; }
            location /any/status  { ws_bus_status any; }
        }
    }

    server {
        listen 127.0.0.1:%%PORT5%%;
        set_real_ip_from  127.0.0.1;
        real_ip_header    X-Forwarded-For;
        real_ip_recursive on;

        location /publish { ws_bus_publish events; }
        location /status  { ws_bus_status; }
    }

    # everybody is believed: a mistake
    server {
        $far
        listen 127.0.0.1:%%PORT4%%;
        set_real_ip_from 0.0.0.0/0;
        real_ip_header   X-Forwarded-For;

        location /publish   { ws_bus_publish events; }
        location /status    { ws_bus_status; }
        location /any/publish { ws_bus_publish events any; }
        location /front/    { proxy_pass http://127.0.0.1:%%PORT2%%/;
                              proxy_set_header X-Forwarded-For
                                               \$realip_remote_addr; }
    }

    server {
        listen 127.0.0.1:%%PORT3%%;
        location / {
            if (\$of_user = "-") { return 401; }
            if (\$http_x_blocked) { return 403; }
            add_header X-Tenant \$of_user;
            return 204;
        }
    }
END

$nginx->write_file('users', "backend:{PLAIN}secret\n");
$nginx->start;

my $EVENT = '{"action":"created","entity_type":"order","entity_id":"o-1"}';

sub basic { return (Authorization => 'Basic ' . encode_base64($_[0], '')) }


# the status of one request to an endpoint, on a connection of its own

sub status {
    my ($what, $path, %o) = @_;

    my $raw = WSBus::Raw->new($o{port} // $nginx->port, host => $o{host});
    my %h   = %{ $o{headers} // {} };

    return $raw->handshake(path => $path, headers => [%h])->{status}
        if $what eq 'ws';

    return $raw->post($path, $EVENT, %h)->{status} if $what eq 'publish';

    $raw->write("GET $path HTTP/1.1\r\nHost: a\r\n"
                . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n");
    return $raw->response->{status};
}

sub head {
    return seq_of(WSBus::Raw::zone($nginx->port)->{last_id}) // 0;
}

sub event { return qq({"action":"created","entity_type":"order","entity_id":"$_[0]"$_[1]}) }

sub subscriber {
    my ($path, @headers) = @_;
    my $ws = WSBus::Raw->open($nginx->port, path => $path,
                              headers => \@headers);
    $ws->send_text('{"type":"subscribe","filter":{}}');
    is($ws->read_json->{type}, 'subscribed', "$path: subscribed");
    return $ws;
}

# the ids of what has come, up to the one that is last

sub ids {
    my ($ws, $last) = @_;
    my @ids;
    while ((my $m = $ws->read_json)->{type} eq 'event') {
        push @ids, $m->{data}{event}{entity_id};
        last if $ids[-1] eq $last;
    }
    return join ' ', @ids;
}


subtest 'loopback only' => sub {
    for my $what (qw(publish status)) {
        is(status($what, "/$what"), 200, "$what: loopback");
        is(status($what, "/$what", port => $nginx->file('socket')), 200,
           "$what: a unix socket");
    }
};


subtest 'behind a proxy on loopback that is trusted' => sub {
    my @port = (port => $nginx->port(2));

    for my $what (qw(publish status)) {
        my $with = sub {
            my ($path, $for, @more) = @_;
            return status($what, $path, @port, @more,
                          headers => { 'X-Forwarded-For' => $for });
        };
        my @deep = (port => $nginx->port(5));

        is(status($what, "/$what", @port), 200, "$what: no header");
        is($with->("/$what", '203.0.113.9'), 403, 'a remote client');
        is($with->("/$what", '127.0.0.1, 203.0.113.9'), 403,
           'one that claims loopback before the proxy adds its address');
        is($with->("/$what", '::ffff:203.0.113.9'), 403, 'as IPv6');
        is($with->("/$what", '2001:db8::1'), 403, 'over IPv6');
        is($with->("/$what", '127.0.0.1'), 200, 'a client on loopback');

        is($with->("/$what", '127.0.0.1, 203.0.113.9', @deep), 403,
           'recursive: a remote client');
        is($with->("/$what", '203.0.113.9, 127.0.0.1', @deep), 403,
           'recursive: by way of two proxies');
        is($with->("/$what", '127.0.0.1, 203.0.113.9, 127.0.0.1, 127.0.0.1',
                   @deep), 403,
           'recursive: what is claimed before it does not count');

        is($with->("/any/$what", '203.0.113.9'), 403,
           'with any, allow and deny look at the same address');
        is($with->("/any/$what", '127.0.0.1'), 200, 'and let in');
    }
};


subtest 'a header never makes a remote client local' => sub {
    plan skip_all => 'this machine has no address but loopback' if !$address;

    my @far = (host => $address, port => $nginx->port(1));
    my $from = length $nginx->error_log;

    for my $what (qw(publish status)) {
        is(status($what, "/$what", @far), 403, "$what: a remote client");

        is(status($what, "/$what", @far, headers => { 'X-Forwarded-For' => $_ }),
           403, "that claims $_")
            for '127.0.0.1', '::1', 'unix:', '127.0.0.1, 127.0.0.1';

        is(status($what, "/front/$what", @far), 403,
           'by way of a proxy on loopback');
        is(status($what, "/front/$what", @far,
                  headers => { 'X-Forwarded-For' => '127.0.0.1' }),
           403, 'and with a claim');

        is(status($what, "/front/$what", port => $nginx->port(4)), 200,
           'the same proxy for a local client');
    }

    is(status('publish', '/any/publish', @far), 200, 'with any they may');
    like(substr($nginx->error_log, $from),
         qr/ws bus publish refused: the peer is not on loopback/, 'logged');
};


subtest 'the body of a refused request is no second request' => sub {
    my $inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    my $next  = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    my $ws    = "Upgrade: websocket\r\nConnection: upgrade\r\n"
                . "Sec-WebSocket-Key: $WSBus::Raw::KEY\r\n"
                . "Sec-WebSocket-Version: 13\r\n";

    for my $row ([ 'POST /ws' ], [ 'GET /ws', $ws ],
                 [ 'GET /origin', "${ws}Origin: http://evil.example\r\n" ],
                 [ 'POST /status' ], [ 'GET /status' ], [ 'PUT /publish' ],
                 [ 'POST /publish' ], [ 'POST /of/publish' ],
                 [ 'POST /of/publish', "Content-Type: application/json\r\n" ])
    {
        my ($line, $headers) = (@$row, '');

        for my $body ([ 'Content-Length: ' . length $inner, $inner ],
                      [ 'Transfer-Encoding: chunked',
                        sprintf "%x\r\n%s\r\n0\r\n\r\n", length $inner, $inner ])
        {
            my $raw = WSBus::Raw->new($nginx->port);
            $raw->write("$line HTTP/1.1\r\nHost: a\r\n$headers$body->[0]\r\n\r\n"
                        . $body->[1] . $next);
            my $status = $raw->response->{status};
            like($raw->response->{body}, qr/^(?:next)?$/,
                 "$line, $body->[0]: $status");
        }
    }
};


# what is sent, and what comes of it with each guard

my %good = (basic('backend:secret'), 'X-User' => 'alice');

my @cases = (
    [ 'basic',   'no password',       {}, 401 ],
    [ 'basic',   'a wrong password',  { basic('backend:wrong') }, 401 ],
    [ 'basic',   'a wrong user',      { basic('other:secret') }, 401 ],
    [ 'basic',   'the password',      { basic('backend:secret') }, 'ok' ],
    [ 'deny',    'a denied address',  \%good, 403 ],
    [ 'allow',   'an allowed address', {}, 'ok' ],
    [ 'request', 'no session',        {}, 401 ],
    [ 'request', 'a blocked session', { 'X-User' => 'alice',
                                        'X-Blocked' => 1 }, 403 ],
    [ 'request', 'a session',         { 'X-User' => 'alice' }, 'ok' ],
    [ 'anyof',   'neither',           {}, 401 ],
    [ 'anyof',   'the password',      { basic('backend:secret') }, 'ok' ],
    [ 'anypeer', 'the address alone', {}, 'ok' ],
    [ 'allof',   'only the address',  {}, 401 ],
    [ 'allof',   'no session',        { basic('backend:secret') }, 401 ],
    [ 'allof',   'no password',       { 'X-User' => 'alice' }, 401 ],
    [ 'allof',   'all of it',         \%good, 'ok' ],
);

for my $what (sort keys %endpoint) {
    subtest "$what behind the access rules of nginx" => sub {
        for my $case (@cases) {
            my ($guard, $name, $headers, $expect) = @$case;
            my $head = head();
            my $ok   = $expect eq 'ok';

            is(status($what, "/$guard/$what", headers => $headers),
               $ok ? $endpoint{$what}[1] : $expect, "$guard: $name");

            is(head() - $head, $what eq 'publish' && $ok ? 1 : 0,
               $ok ? 'as it should' : 'nothing is published');
        }
    };
}


subtest 'limit_req' => sub {
    for my $what (sort keys %endpoint) {
        my @a = (headers => { 'X-Key' => 'a' });
        my $path = "/limit/$what";

        is(status($what, $path, @a), $endpoint{$what}[1], "$what: $_")
            for 1 .. 3;
        is(status($what, $path, @a), 429, "$what: one more is refused");
        is(status($what, $path, headers => { 'X-Key' => 'b' }),
           $endpoint{$what}[1], 'another one is not');
    }
};


subtest 'the publish rate of a tenant' => sub {
    my $limited = sub { status('publish', "/of/limited?t=$_[0]") };

    is($limited->('one'), 200, "request $_") for 1 .. 3;
    is($limited->('one'), 429, 'one more is refused');
    is($limited->('two'), 200, 'another tenant is not');
    is($limited->(''), 400, 'no tenant');
};


subtest 'limit_conn counts requests, not connections' => sub {
    my @ws = map { WSBus::Raw->open($nginx->port, path => '/conn') } 1 .. 3;
    is(scalar(grep { $_->alive } @ws), 3, 'three with a limit of one');
    $_->close for @ws;
};


subtest 'a tenant from auth_request' => sub {
    my $acme   = subscriber('/tenant/ws', 'X-User' => 'alice');
    my $globex = subscriber('/tenant/ws', 'X-User' => 'bob');
    my $none   = subscriber('/ws');
    my $pub    = WSBus::Raw->new($nginx->port);

    is(status('ws', '/tenant/ws'), 401, 'nobody: 401');
    is(status('ws', '/tenant/ws', headers => { 'X-User' => 'alice',
                                               'X-Blocked' => 1 }),
       403, 'a blocked session: 403');
    is(status('ws', '/tenant/ws', headers => { 'X-User' => 'carol' }),
       400, 'somebody without a tenant: 400');
    is(status('ws', '/tenant/ws?tenant=acme',
              headers => { 'X-Tenant' => 'acme' }), 401,
       'what the client says is no tenant');

    my $post = sub {
        my ($user, $body, %more) = @_;
        return $pub->post('/tenant/publish', $body, 'X-User' => $user, %more);
    };

    is($post->('alice', event('a', ''))->{status}, 200, 'alice publishes');
    is($post->('bob', event('b', ''))->{status}, 200, 'bob publishes');
    is($post->('bob', event('c', ',"tenant":"acme"'))->{status}, 200,
       'bob says acme');
    is($post->('bob', '[' . event('d', ',"tenant":"acme"') . ','
                      . event('e', ',"tenant":null') . ']')->{status}, 200,
       'in a batch');
    my $problem = $post->('carol', event('x', ',"tenant":"acme"'));
    is($problem->{status}, 400, 'carol has none: 400');
    is(decode_json($problem->{body})->{title}, 'No tenant', 'No tenant');
    is($pub->post('/tenant/publish', event('x', ''))->{status}, 401,
       'nobody: 401');

    # bodies that nginx has read, or has not, when auth_request refuses

    my $large = '[' . join(',', map { event($_, ',"data":"' . 'x' x 1000 . '"') }
                                1 .. 300) . ']';
    is($pub->post('/tenant/publish', $large)->{status}, 401,
       '300 KB of nobody: 401');
    is($post->('alice', $large)->{status}, 200, '300 KB of alice: 200');

    $pub->write("POST /tenant/publish HTTP/1.1\r\nHost: a\r\nX-User: bob\r\n"
                . "Content-Type: application/json\r\n"
                . "Transfer-Encoding: chunked\r\n\r\n");
    $pub->write(sprintf "%x\r\n%s\r\n", length, $_) for $large =~ /(.{1,40000})/g;
    $pub->write("0\r\n\r\n");
    is($pub->response->{status}, 200, 'chunked');

    is($post->('alice', event('end', ''))->{status}, 200, 'the last of alice');
    is($post->('bob', event('end', ''))->{status}, 200, 'the last of bob');
    is($pub->post('/publish', event('end', ''))->{status}, 200,
       'and without a tenant');

    my $many = join ' ', 1 .. 300;
    is(ids($acme, 'end'), "a $many end", 'acme has what is of alice');
    is(ids($globex, 'end'), "b c d e $many end", 'globex what is of bob');
    is(ids($none, 'end'), 'end', 'those without a tenant nothing of it');

    $_->close for $acme, $globex, $none;

    ok(WSBus::Nginx::await(sub {
        my $log = WSBus::Nginx::slurp($nginx->file('sessions'));
        $log =~ /^acme$/m && $log =~ /^globex$/m }), 'the session log knows');
};


subtest 'the value of $ws_bus_tenant is that of its time' => sub {
    my $from = length WSBus::Nginx::slurp($nginx->file('sessions'));
    my $ws   = WSBus::Raw->open($nginx->port, path => '/tenant/early',
                                headers => [ 'X-User' => 'bob' ]);
    $ws->close;
    ok(WSBus::Nginx::await(sub {
        # the line of one that has no tenant may still have been on its way
        substr(WSBus::Nginx::slurp($nginx->file('sessions')), $from)
            =~ /\A\n?globex\n\z/ }), 'limit_req has seen it empty, the log has not');
};


subtest 'the tenant of a publish location' => sub {
    my %ws = map { $_ => subscriber("/of/ws?t=$_") } qw(a b);
    my $none = subscriber('/ws');
    my $pub  = WSBus::Raw->new($nginx->port);

    my $post = sub { $pub->post($_[0], $_[1])->{status} };

    is($post->('/of/publish?t=a', event('1', '')), 200, 'set');
    is($post->('/of/publish?t=a', event('2', ',"tenant":"b"')), 200,
       'set, the body says another');
    is($post->('/of/publish?t=a',
               '{"timestamp":"2026-01-01T00:00:00Z","event":'
               . event('3', ',"tenant":"b"') . ',"tenant":"b"}'), 200,
       'in an envelope');
    is($post->('/publish', event('4', ',"tenant":"b"')), 200,
       'unset, the body says b');
    is($post->('/publish', event('5', '')), 200, 'unset, nor does the body');
    is($post->('/publish', event('6', ',"tenant":null')), 200, 'null is none');

    my $head = head();
    is($post->('/of/publish?t=', event('x', ',"tenant":"b"')), 400,
       'set but empty');
    is($post->('/of/publish', event('x', ',"tenant":"b"')), 400, 'as well');
    is($post->('/of/publish?t=' . 'a' x 257, event('x', '')), 400, 'too long');
    is($post->('/publish', event('x', ',"tenant":""')), 422,
       'empty in the body');
    is($post->('/publish', event('x', ',"tenant":"a\u0000"')), 422,
       'with a NUL');
    is($post->('/publish', event('x', ',"tenant":"a","tenant":"b"')), 400,
       'twice');
    is($post->('/publish', event('x', ',"tenant":"a","ten\u0061nt":"b"')), 400,
       'twice, in disguise');
    is(head(), $head, 'nothing of these is published');

    is($post->('/of/publish?t=' . 'a' x 256, event('y', '')), 200,
       '256 bytes are not too long');

    $post->('/publish', event('end', ',"tenant":"a"'));
    $post->('/publish', event('end', ',"tenant":"b"'));
    $post->('/publish', event('end', ''));

    is(ids($ws{a}, 'end'), '1 2 3 end', 'a');
    is(ids($ws{b}, 'end'), '4 end', 'b');
    is(ids($none, 'end'), '5 6 end', 'none');

    $_->close for values %ws, $none;
};


$nginx->finish;
done_testing;
