# Mutations that nginx proxies become events, and the responses stay what
# they are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Compress::Gzip qw(gzip $GzipError);
use List::Util qw(uniq);
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Socket qw(:DEFAULT);
use Test::More;

use WSBus::Backend;
use WSBus::Client;
use WSBus::Example;
use WSBus::H2;
use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;

my $backend = WSBus::Backend->start;

my ($rest, $odd) = map { "127.0.0.1:$_" } $backend->rest, $backend->raw;

my $locations = <<"END";
    port_in_redirect off;
    gzip_types       application/json;
    gzip_min_length  20;

    # names: by the prefix, by the first segment behind it, by the URI
    location /orders { proxy_pass http://$odd; ws_bus_capture events; }
    location /api/   { proxy_pass http://$odd; ws_bus_capture events; }
    location /api/orders/off/ { proxy_pass http://$odd; ws_bus_capture off; }
    location /deep/v1/orders/ { proxy_pass http://$odd; ws_bus_capture events; }
    location ~ ^/parts/ { proxy_pass http://$odd; ws_bus_capture events; }

    # names: by directive
    location ~ ^/re/(?<coll>[a-z]+)s(?:/(?<key>[^/]+))?\$ {
        proxy_pass            http://$odd;
        ws_bus_capture        events;
        ws_bus_capture_entity \$coll;
        ws_bus_capture_id     \$key;
        ws_bus_capture_action \$mapped_action;
    }
    location ~ ^/num/([a-z]+)/(.+)\$ {
        proxy_pass            http://$odd;
        ws_bus_capture        events;
        ws_bus_capture_entity \$1;
        ws_bus_capture_id     "\$1-\$2";
        ws_bus_capture_action shipped;
    }
    location /dotted/ {
        proxy_pass            http://$odd;
        ws_bus_capture        events;
        ws_bus_capture_entity order;
        ws_bus_capture_id     path=data.item.id;
    }
    location /var/ {
        proxy_pass            http://$odd;
        ws_bus_capture        events;
        ws_bus_capture_entity \$http_x_entity;
        ws_bus_capture_id     \$upstream_http_x_id;
    }

    # data
    location /data/request/ {
        proxy_pass          http://$odd;
        ws_bus_capture      events;
        ws_bus_capture_data request;
    }
    location /data/file/ {
        proxy_pass              http://$odd;
        client_body_buffer_size 1k;
        client_max_body_size    2m;
        ws_bus_capture          events;
        ws_bus_capture_data     request;
    }
    location /data/none/ {
        proxy_pass          http://$odd;
        ws_bus_capture      events;
        ws_bus_capture_data none;
    }
    location /data/response/ {
        proxy_pass          http://$odd;
        ws_bus_capture      events;
        ws_bus_capture_data response;
    }
    location /data/stream/ {
        proxy_pass              http://$odd;
        proxy_http_version      1.1;
        proxy_request_buffering off;
        ws_bus_capture          events;
        ws_bus_capture_data     request;
    }

    location /tenant/ {
        proxy_pass     http://$odd;
        ws_bus_capture events;
        ws_bus_tenant  \$http_x_tenant;
        ws_bus_schema  sales;
        ws_bus_section \$host;
    }

    # bodies
    location /gzip/  { proxy_pass http://$odd; ws_bus_capture events; gzip on; }
    location /small/ {
        proxy_pass              http://$odd;
        ws_bus_capture          events;
        ws_bus_capture_max_body 1k;
    }
    location /unbuffered/ {
        proxy_pass         http://$odd;
        proxy_http_version 1.1;
        proxy_buffering    off;
        ws_bus_capture     events;
    }
    location /eleven/ {
        proxy_pass         http://$odd;
        proxy_http_version 1.1;
        ws_bus_capture     events;
    }
    location /spill/ {
        proxy_pass                 http://$odd;
        proxy_buffers              2 4k;
        proxy_buffer_size          4k;
        proxy_busy_buffers_size    4k;
        proxy_temp_file_write_size 8k;
        ws_bus_capture             events;
        ws_bus_capture_max_body    4m;
    }
    location /cache/ {
        proxy_pass          http://$odd;
        proxy_cache         capture;
        proxy_cache_methods GET POST;
        proxy_cache_key     \$request_method\$uri\$server_port;
        proxy_cache_valid   200 201 1m;
        ws_bus_capture      events;
    }

    # who answers
    location /errors/ {
        proxy_pass             http://$odd;
        proxy_intercept_errors on;
        error_page 404 =200 /static.json;
        error_page 409      /static.json;
        error_page 410 =200 \@static;
        error_page 500      = \@plain;
        error_page 503      = \@second;
        ws_bus_capture         events;
    }
    location = /static.json { return 200 '{"id":"static"}'; }
    location \@static { return 200 '{"id":"static"}'; }
    location \@plain {
        proxy_pass       http://$odd;
        proxy_set_header X-Reply \$http_x_second;
    }
    location \@second {
        proxy_pass       http://$odd;
        proxy_set_header X-Reply \$http_x_second;
        ws_bus_capture   events;
    }
    location /tried/ {
        try_files \$uri \@tried;
    }
    location \@tried { proxy_pass http://$odd; ws_bus_capture events; }
    location /down/ {
        proxy_pass     http://127.0.0.1:%%PORT5%%;
        error_page 502 =200 \@static;
        ws_bus_capture events;
    }
    location /accel/ {
        proxy_pass       http://$odd;
        proxy_set_header X-Reply \$reply_or_second;
        ws_bus_capture   events;
    }
    location /inside/  { internal; alias %%PREFIX%%/html/; }
    location \@inside {
        proxy_pass       http://$odd;
        proxy_set_header X-Reply \$http_x_second;
    }
    location /returns/    { ws_bus_capture events; return 201 '{"id":"r-1"}'; }
    location /returns/204 { ws_bus_capture events; return 204; }
    location /returns/303 { ws_bus_capture events; return 303 /orders; }
    location /returns/409 { ws_bus_capture events; return 409 '{"id":"x"}'; }
    location /dav/ {
        root           %%PREFIX%%/html;
        dav_methods    PUT DELETE;
        create_full_put_path on;
        ws_bus_capture events;
    }

    location /guarded/ {
        auth_request   /guard;
        proxy_pass     http://$odd;
        ws_bus_capture events;
    }
    location = /guard {
        internal;
        proxy_pass              http://$odd;
        proxy_method            POST;
        proxy_pass_request_body off;
        proxy_set_header        Content-Length "";
        proxy_set_header        X-Reply \$http_x_second;
        ws_bus_capture          events;
    }
    location /mirrored/ {
        mirror         /copy;
        proxy_pass     http://$odd;
        ws_bus_capture events;
    }
    location /mirrored/plain/ {
        mirror     /copy;
        proxy_pass http://$odd;
    }
    location = /copy {
        internal;
        proxy_pass       http://$odd;
        proxy_set_header X-Reply \$http_x_second;
        ws_bus_capture   events;
    }

    # who leaves
    location /leave/ { proxy_pass http://$odd; ws_bus_capture events; }
    location /stay/ {
        proxy_pass                http://$odd;
        proxy_ignore_client_abort on;
        ws_bus_capture            events;
    }

    location / {
        proxy_pass         http://rest;
        proxy_http_version 1.1;
        proxy_set_header   Connection "";
        ws_bus_capture     events;
    }
END

(my $plain = $locations) =~ s/^(.*?)\bws_bus_capture\s+\w+;/$1/mg;

sub http {
    return <<"END";
    ws_bus_zone zone=events:16m;
    ws_bus_zone zone=tiny:1m;
    access_log off;
    log_format captured '\$request_method \$uri \$status "\$ws_bus_captured_id"';
    proxy_cache_path %%PREFIX%%/cache keys_zone=capture:1m;
    upstream rest { server $rest; keepalive 16; }
    map "\$request_method \$status \$key" \$mapped_action {
        default           "";
        "~^POST 200 .+\$" updated;
    }
    map \$uri \$reply_or_second {
        volatile;
        default \$http_x_reply;
        ~again  \$http_x_second;
    }
    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%PREFIX%%/captured.log captured;
        location = /ws      { ws_bus events; }
        location = /wst     { ws_bus events; ws_bus_tenant acme; }
        location = /wstiny  { ws_bus tiny; }
        location = /publish { ws_bus_publish events; access_log off; }
        location = /publish/tiny { ws_bus_publish tiny; access_log off; }
        location = /status  { ws_bus_status; }
        location /tiny/ {
            proxy_pass              http://$odd;
            client_max_body_size    2m;
            ws_bus_capture          tiny;
            ws_bus_capture_max_body 2m;
        }
        $locations
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        $plain
    }
    server {
        listen 127.0.0.1:%%PORT2%% http2;
        $locations
    }
    server {
        listen 127.0.0.1:%%PORT3%% sndbuf=8k;
        $locations
    }
    server {
        listen 127.0.0.1:%%PORT4%% sndbuf=8k;
        $plain
    }
END
}

my $nginx = WSBus::Nginx->new(http => http(), own_log => 1,
                              main => 'worker_shutdown_timeout 10s;')->start;

my $c  = WSBus::Client->new($nginx);
my $ws = $c->open;
$ws->subscribe({});

my $names = 0;


sub events { return map { $_->{data}{event} } $ws->sync }

sub lines { return split /\n/, WSBus::Nginx::slurp($nginx->file('captured.log')) }

# nginx writes it as it frees the request

sub logged {
    my ($line, $what) = @_;
    WSBus::Nginx::await(sub { (lines())[-1] eq $line });
    return is((lines())[-1], $line, $what);
}


# the bytes of a request

sub request {
    my ($method, $uri, %o) = @_;

    my $body = $o{body} // '';
    my %head = ('X-Request-ID' => 'r-1', %{ $o{headers} // {} });

    return "$method $uri HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
           . (length $body ? 'Content-Length: ' . length($body) . "\r\n" : '')
           . join('', map { defined $head{$_} ? "$_: $head{$_}\r\n" : () }
                      sort keys %head)
           . "\r\n$body";
}


# all that is answered, but for the Date; how large the chunks are that nginx
# makes depends on what it reads at once

sub dateless {
    my ($text) = @_;

    $text =~ s/^Date: [^\r]*\r\n//m;

    my ($head, $body) = split /(?<=\r\n\r\n)/, $text, 2;

    return $text if ($head // '') !~ /^Transfer-Encoding: chunked\r$/m;

    my $plain = '';
    while ($body =~ s/\A([0-9a-f]+)\r\n//) {
        my $n = hex $1 or last;
        $plain .= substr $body, 0, $n, '';
        $body =~ s/\A\r\n// or last;
    }

    # what is left is the end, or the lack of it
    return "$head$plain|$body";
}

sub whole {
    my ($raw) = @_;

    1 while $raw->fill;

    return dateless($raw->{in});
}


# asks the server that captures and the one that does not: what the first
# has answered. reply, second: bytes that the backend has for it

sub ask {
    my ($method, $uri, %o) = @_;

    my %head = %{ $o{headers} // {} };

    for my $which ([ reply => 'X-Reply' ], [ second => 'X-Second' ]) {
        my ($key, $header) = @$which;
        next if !defined $o{$key};
        $head{$header} = 'n' . ++$names;
        $backend->leave($head{$header}, $o{$key});
    }

    my @answers = map {
        my $raw = WSBus::Raw->new($nginx->port($_));
        $raw->write(request($method, $uri, %o, headers => \%head));
        whole($raw);
    } 0, 1;

    ok($answers[0] eq $answers[1], 'the response is the same without capture')
        or diag(map { substr($_, 0, 300) . "\n" } @answers);

    my ($status) = $answers[0] =~ m{^HTTP/1.1 (\d+)};
    is($status // 0, $o{status}, "status $o{status}") if $o{status};

    return $answers[0];
}


# of an event: what is expected, with kind and origin by themselves

sub event {
    my (%e) = @_;

    my %meta = (origin => delete $e{origin} // 'r-1',
                $e{truncated} ? (truncated => Mojo::JSON->true) : ());
    delete $e{truncated};

    return { kind => 'entity', metadata => \%meta, %e };
}


sub gives {
    my ($what, $ask, @expect) = @_;

    subtest $what => sub {
        ask(@$ask);
        is_deeply([ events() ], [ map { event(%$_) } @expect ],
                  @expect == 1 ? 'one event' : @expect . ' events');
    };

    return;
}


sub json  { return WSBus::Backend::bytes(@_) }
sub plain { return (headers => [ 'Content-Type' => 'text/plain' ], @_) }

my $created = json(201, '{"id":"o-1","amount":42.0}');
my $data    = { id => 'o-1', amount => 42 };


subtest 'a REST application' => sub {
    # its state differs between the two servers: this one alone
    my @seen;

    my $do = sub {
        my ($method, $path, $body) = @_;
        my ($code, $json) = $c->request($method, $path,
            defined $body ? encode_json($body) : '', 'X-Request-ID' => 'r-1',
            'Content-Type' => 'application/json');
        return ($code, $json, events());
    };

    my ($code, $json, @got) = $do->(POST => '/people', { name => 'Ann' });
    is($code, 201, 'created');
    is_deeply(\@got, [ event(action => 'created', entity_type => 'people',
        entity_id => '1', data => { id => 1, name => 'Ann' }) ], 'POST');

    ($code, $json, @got) = $do->(PUT => '/people/1', { name => 'Bea' });
    is($code, 200, 'put');
    is_deeply(\@got, [ event(action => 'updated', entity_type => 'people',
        entity_id => '1', data => { id => 1, name => 'Bea' }) ], 'PUT');

    ($code, $json, @got) = $do->(PATCH => '/people/1', { age => 7 });
    is($code, 200, 'patched');
    is_deeply(\@got, [ event(action => 'updated', entity_type => 'people',
        entity_id => '1', data => { id => 1, name => 'Bea', age => 7 }) ],
        'PATCH');

    for my $path ('/people', '/people/1') {
        ($code, $json, @got) = $do->(GET => $path);
        is($code, 200, "GET $path");
        is_deeply(\@got, [], 'no event');
    }

    ($code, $json, @got) = $do->(DELETE => '/people/1');
    is($code, 204, 'deleted');
    is_deeply(\@got, [ event(action => 'deleted', entity_type => 'people',
        entity_id => '1') ], 'DELETE');

    for my $method (qw(PUT PATCH DELETE)) {
        ($code, $json, @got) = $do->($method => '/people/1', {});
        is($code, 404, "$method of nothing");
        is_deeply(\@got, [], 'no event');
    }

    ($code, $json, @got) = $do->(POST => '/people', [ 1 ]);
    is($code, 400, 'a bad POST');
    is_deeply(\@got, [], 'no event');
};


subtest 'no mutation' => sub {
    my $ok = json(200, '{"id":"o-1"}');

    for my $method (qw(GET OPTIONS PROPFIND)) {
        gives($method, [ $method, '/orders/o-1', reply => $ok, status => 200 ]);
    }

    my $head = json(200, '', length => 12);
    gives('HEAD', [ HEAD => '/orders/o-1', reply => $head, status => 200 ]);

    for my $status (301, 302, 303, 304, 307, 400, 401, 404, 409, 422, 500,
                    502, 503)
    {
        my $reply = $status == 304 ? json(304, '', length => undef)
                  : json($status, '{"id":"o-1"}',
                         headers => [ Location => '/orders/o-1' ]);
        gives("POST, $status",
              [ POST => '/orders', reply => $reply, status => $status ]);
    }

    gives('capture is off',
          [ POST => '/api/orders/off/', reply => $created, status => 201 ]);
};


subtest 'actions' => sub {
    for my $case ([ POST => 'created' ], [ PUT => 'updated' ],
                  [ PATCH => 'updated' ])
    {
        my ($method, $action) = @$case;

        for my $status (200, 201, 202, 203, 206) {
            gives("$method, $status",
                [ $method, '/orders/o-1', body => '{}', status => $status,
                  reply => json($status, '{"id":"o-1","n":1}') ],
                { action => $action, entity_type => 'orders',
                  entity_id => 'o-1', data => { id => 'o-1', n => 1 } });
        }
    }

    gives('DELETE', [ DELETE => '/orders/o-1', status => 200,
                      reply => json(200, '{"id":"o-1","n":1}') ],
          { action => 'deleted', entity_type => 'orders', entity_id => 'o-1' });

    gives('a POST on an item is mapped',
          [ POST => '/re/orders/o-1', status => 200,
            reply => json(200, '{"n":1}') ],
          { action => 'updated', entity_type => 'order', entity_id => 'o-1',
            data => { n => 1 } });

    gives('an id from the URI never is a path into the response',
          [ POST => '/re/orders/path=secret', status => 200,
            reply => json(200, '{"secret":"s-1"}') ],
          { action => 'updated', entity_type => 'order',
            entity_id => 'path=secret', data => { secret => 's-1' } });

    gives('a POST on an item, 201, is not',
          [ POST => '/re/orders/o-1', status => 201, reply => $created ],
          { action => 'created', entity_type => 'order', entity_id => 'o-1',
            data => $data });

    gives('an action of its own',
          [ POST => '/num/boxes/3/4', status => 201, reply => $created ],
          { action => 'shipped', entity_type => 'boxes',
            entity_id => 'boxes-3/4', data => $data });
};


subtest 'entity' => sub {
    for my $case (
        [ '/orders',              'orders', 'the prefix' ],
        [ '/orders/',             'orders', 'the prefix, and a slash' ],
        [ '/orders/o-1/lines',    'orders', 'the prefix, whatever follows' ],
        [ '/api/invoices',        'invoices', 'behind the prefix' ],
        [ '/api/invoices/7',      'invoices', 'the first behind the prefix' ],
        [ '/api//invoices/7',     'invoices', 'two slashes' ],
        [ '/deep/v1/orders/',     'orders', 'nothing behind the prefix' ],
        [ '/deep/v1/orders/o-1',  'o-1', 'the first behind a longer prefix' ],
        [ '/parts/7',             'parts', 'a regular expression' ],
        [ '/re/invoices',         'invoice', 'a capture' ],
        [ '/tried/x',             'tried', 'a named location' ],
        [ '/api/r%C3%A9sum%C3%A9s', "r\x{e9}sum\x{e9}s", 'not only ASCII' ],
    ) {
        my ($uri, $entity, $what) = @$case;
        gives("$what: $uri", [ POST => $uri, reply => $created, status => 201 ],
              { action => 'created', entity_type => $entity,
                entity_id => 'o-1', data => $data });
    }

    gives('a variable',
          [ POST => '/var/x', reply => $created, status => 201,
            headers => { 'X-Entity' => 'thing' } ],
          { action => 'created', entity_type => 'thing', entity_id => 'o-1',
            data => $data });

    gives('a value that is too long: no event',
          [ POST => '/var/x', reply => $created, status => 201,
            headers => { 'X-Entity' => 'x' x 257 } ]);

    gives('a variable without a value: the default',
          [ POST => '/var/x', reply => $created, status => 201 ],
          { action => 'created', entity_type => 'x', entity_id => 'o-1',
            data => $data });
};


subtest 'id' => sub {
    my $at = sub {
        my ($what, $uri, $body, $id, %o) = @_;
        gives($what,
              [ POST => $uri, status => 201,
                reply => json(201, $body, headers =>
                    [ 'Content-Type' => 'application/json',
                      @{ $o{headers} // [] } ]) ],
              { action => 'created', entity_type => $o{type} // 'orders',
                entity_id => $id, data => decode_json($body) });
    };

    $at->('a string', '/orders', '{"n":1,"id":"o-7"}', 'o-7');
    $at->('a number', '/orders', '{"id":123456789012345678}',
          '123456789012345678');
    $at->('an escaped string', '/orders', '{"id":"\u00e9\u2713\/"}',
          "\x{e9}\x{2713}/");
    $at->('an escaped key', '/orders', '{"\u0069d":"o-7"}', 'o-7');
    $at->('of the row, not of what is in it', '/orders',
          '{"o":{"id":"no"},"id":"yes"}', 'yes');

    my @location = (headers => [ Location => '/orders/l-3' ]);

    $at->('the body before Location', '/orders', '{"id":"b"}', 'b', @location);
    $at->('Location', '/orders', '{"n":1}', 'l-3', @location);
    $at->('Location, a whole URL', '/orders', '{"n":1}', 'l-4',
          headers => [ Location => "http://$odd/orders/l-4" ]);
    $at->('Location, slash and arguments', '/orders', '{"n":1}', 'l-5',
          headers => [ Location => '/orders/l-5/?a=/b#c' ]);

    for my $case ([ 'null', 'null' ], [ 'an object', '{"a":1}' ],
                  [ 'a list', '[1]' ], [ 'true', 'true' ],
                  [ 'a fraction', '1.5' ], [ 'empty', '""' ],
                  [ 'too long', '"' . 'x' x 257 . '"' ])
    {
        $at->("$case->[0]: Location", '/orders', qq({"id":$case->[1]}), 'l-3',
              @location);
    }

    $at->('the URI', '/orders/u-1', '{"n":1}', 'u-1');
    $at->('the URI, with a slash', '/orders/u-1/?x=1', '{"n":1}', 'u-1');
    $at->('the URI, decoded', '/orders/a%20%C3%A9', '{"n":1}', "a \x{e9}");

    $at->('a dotted path', '/dotted/x', '{"id":1,"data":{"item":{"id":"d"}}}',
          'd', type => 'order');
    $at->('a dotted path that is not there', '/dotted/x', '{"id":1}', 'l-3',
          type => 'order', @location);
    $at->('a dotted path through a string', '/dotted/x', '{"data":"x"}', 'x',
          type => 'order');

    gives('a variable', [ POST => '/var/x', status => 201,
              reply => json(201, '{"id":"no"}', headers => [ 'X-Id' => 'v' ]) ],
          { action => 'created', entity_type => 'x', entity_id => 'v',
            data => { id => 'no' } });

    gives('a value that is too long is passed over',
          [ POST => '/var/x', status => 201, reply => json(201, '{"id":"b"}',
              headers => [ 'X-Id' => 'v' x 257 ]) ],
          { action => 'created', entity_type => 'x', entity_id => 'b',
            data => { id => 'b' } });

    gives('no body: Location', [ POST => '/orders', status => 201,
              reply => json(201, '', headers => [ Location => '/orders/l' ]) ],
          { action => 'created', entity_type => 'orders', entity_id => 'l' });

    # whatever it is, the event comes and the frame is UTF-8
    for my $case ([ 'an escaped NUL', q({"id":"a\u0000b"}) ],
                  [ 'half a surrogate', q({"id":"a\ud800"}) ])
    {
        my ($what, $body) = @$case;
        subtest $what => sub {
            ask(POST => '/orders', status => 201,
                reply => json(201, $body, @location));
            $ws->wait_for(sub { 1 });
            like($ws->{text}, qr/"entity_id":"l-3","data":\Q$body\E/,
                 'by Location');
            is_deeply([ events() ], [], 'one event');
        };
    }

    subtest 'a URI that is not UTF-8' => sub {
        ask(DELETE => '/orders/a%FFb', status => 204, reply => json(204, ''));
        my @got = $ws->sync;
        is(scalar @got, 1, 'one event');
        is($got[0]{type}, 'event', 'that can be read');
        is($got[0]{data}{event}{entity_id}, "a\x{fffd}b", 'with its id');
        ok(!$ws->{closed}, 'the client is still there');
    };
};


subtest 'data' => sub {
    my @post = (body => '{"sent":1}', status => 201, reply => $created);
    my %base = (action => 'created', entity_id => 'o-1');

    gives('response', [ POST => '/data/response/x', @post ],
          { %base, entity_type => 'x', data => $data });
    gives('request', [ POST => '/data/request/x', @post ],
          { %base, entity_type => 'x', data => { sent => 1 } });
    gives('none', [ POST => '/data/none/x', @post ],
          { %base, entity_type => 'x' });

    gives('the row of a DELETE, when the directive says so',
          [ DELETE => '/data/response/x/o-1', reply => json(200, '{"n":1}'),
            status => 200 ],
          { action => 'deleted', entity_type => 'x', entity_id => 'o-1',
            data => { n => 1 } });
    gives('a DELETE without a row', [ DELETE => '/data/response/x/o-1',
            reply => json(204, ''), status => 204 ],
          { action => 'deleted', entity_type => 'x', entity_id => 'o-1' });

    gives('a request that is not JSON',
          [ POST => '/data/request/x', @post, body => 'a=b' ],
          { %base, entity_type => 'x', truncated => 1 });

    my $big = encode_json({ text => 'x' x 100_000 });

    gives('a request in a file',
          [ POST => '/data/file/x', @post, body => $big ],
          { %base, entity_type => 'x', data => decode_json($big) });
    gives('a request that is too large',
          [ POST => '/data/file/x', @post,
            body => encode_json({ text => 'x' x 300_000 }) ],
          { %base, entity_type => 'x', truncated => 1 });
    gives('a request that is passed on as it comes, and is short',
          [ PATCH => '/data/stream/x', @post ],
          { %base, action => 'updated', entity_type => 'x',
            data => { sent => 1 } });
    gives('a request that is passed on as it comes, and is not kept',
          [ PATCH => '/data/stream/x', @post, body => $big ],
          { %base, action => 'updated', entity_type => 'x', truncated => 1 });

    gives('a list, and data of the request',
          [ POST => '/data/request/x', status => 201,
            reply => json(201, '[{"id":1,"secret":1},{"id":2,"secret":2}]'),
            body  => '[{"n":1},{"n":2}]' ],
          { action => 'created', entity_type => 'x', entity_id => '1',
            data => { n => 1 } },
          { action => 'created', entity_type => 'x', entity_id => '2',
            data => { n => 2 } });

    subtest 'byte for byte' => sub {
        my $body = qq({"big":9007199254740993, "f":1.0,\n "e":1E+2,"id":"x"});
        ask(POST => '/orders', status => 201, reply => json(201, $body));
        $ws->wait_type('event');
        like($ws->{text}, qr/"data":\Q$body\E/, 'as the backend wrote it');
        is_deeply([ events() ], [], 'one event');
    };
};


subtest 'tenant' => sub {
    my $other = $c->open('/wst');
    $other->subscribe({});

    subtest 'its own' => sub {
        ask(POST => '/tenant/x', reply => $created, status => 201,
            headers => { 'X-Tenant' => 'acme' });
        is_deeply([ events() ], [], 'not for those without a tenant');
        is_deeply($other->wait_type('event')->{data}{event},
            event(action => 'created', entity_type => 'x', entity_id => 'o-1',
                  data => $data), 'for those of the tenant');
    };

    gives('another one', [ POST => '/tenant/x', reply => $created,
                           status => 201, headers => { 'X-Tenant' => 'b' } ]);
    gives('none: no event', [ POST => '/tenant/x', reply => $created,
                              status => 201 ]);
    ok($nginx->await_log(qr/ws bus capture: no event, a value/), 'it is logged');

    ask(POST => '/orders', reply => $created, status => 201);
    is(scalar(my @got = events()), 1, 'one without a tenant');

    ask(POST => '/tenant/x', reply => json(201, '{"id":"last"}'),
        status => 201, headers => { 'X-Tenant' => 'acme' });
    is($other->wait_type('event')->{data}{event}{entity_id}, 'last',
       'the tenant has seen nothing else');
    $other->finish;
};


subtest 'origin' => sub {
    my $is = sub {
        my ($what, $origin, %headers) = @_;
        gives($what, [ POST => '/orders', reply => $created, status => 201,
                       headers => \%headers ],
              { action => 'created', entity_type => 'orders',
                entity_id => 'o-1', data => $data, origin => $origin });
    };

    $is->('X-Request-ID', 'r-1');
    $is->('X-Ws-Bus-Origin', 'tab "5" \\', 'X-Ws-Bus-Origin' => 'tab "5" \\');
    $is->('one that is too long is passed over', 'r-1',
          'X-Ws-Bus-Origin' => 'x' x 257);
    $is->('one that is not ASCII, too', 'r-1',
          'X-Ws-Bus-Origin' => "\xc3\xa9");

    subtest 'else a number of the request' => sub {
        ask(POST => '/orders', reply => $created, status => 201,
            headers => { 'X-Request-ID' => undef });
        ask(POST => '/orders', reply => $created, status => 201,
            headers => { 'X-Request-ID' => undef });
        my @own = map { $_->{metadata}{origin} } events();
        is(scalar(grep { /^[0-9a-f]{32}$/ } @own), 2, 'of the same form');
        isnt($own[0], $own[1], 'not twice');
    };

    subtest 'it is $request_id if that is used' => sub {
        my $other = WSBus::Nginx->new(http => <<"END")->start;
    ws_bus_zone zone=events:16m;
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Used \$request_id;
        location = /ws { ws_bus events; }
        location / { proxy_pass http://$odd; ws_bus_capture events; }
    }
END
        my $socket = WSBus::Client->new($other)->open;
        $socket->subscribe({});

        $backend->leave('used', $created);
        my $raw = WSBus::Raw->new($other->port);
        $raw->write(request(POST => '/orders', headers => {
            'X-Request-ID' => undef, 'X-Reply' => 'used' }));
        my ($id) = whole($raw) =~ /^X-Used: ([0-9a-f]{32})\r$/m;

        ok($id, 'nginx has told it');
        is($socket->wait_type('event')->{data}{event}{metadata}{origin}, $id,
           'and so has the event');
        $socket->finish;
        $other->finish;
    };
};


subtest 'lists' => sub {
    my $list = '[{"id":"a","n":1}, {"id":2} ,{"n":3}]';

    my @rows = (
        { entity_id => 'a', data => { id => 'a', n => 1 } },
        { entity_id => '2', data => { id => 2 } },
        { entity_id => 'u', data => { n => 3 } },
    );

    gives('POST', [ POST => '/orders/u', reply => json(201, $list),
                    status => 201 ],
          map { { action => 'created', entity_type => 'orders', %$_ } } @rows);
    gives('PATCH', [ PATCH => '/orders/u', reply => json(200, $list),
                     status => 200 ],
          map { { action => 'updated', entity_type => 'orders', %$_ } } @rows);

    gives('PUT is one event', [ PUT => '/orders/u', status => 200,
                                reply => json(200, $list) ],
          { action => 'updated', entity_type => 'orders', entity_id => 'u',
            data => decode_json($list) });
    gives('without data', [ POST => '/data/none/x', status => 201,
                            reply => json(201, $list) ],
          map { { action => 'created', entity_type => 'x',
                  entity_id => $_ } } 'a', '2', 'x');
    gives('an empty list: none', [ POST => '/orders', status => 200,
                                   reply => json(200, '[]') ]);

    subtest 'as one batch' => sub {
        ask(POST => '/orders', status => 201, reply => json(201,
            encode_json([ map { { id => "b-$_" } } 1 .. 100 ])));
        my @got = $ws->sync;
        my @seq = map { seq_of($_->{data}{id}) } @got;
        is(scalar @seq, 100, '100 events');
        is($seq[-1] - $seq[0], 99, 'nothing between them');
        is(scalar(uniq map { $_->{data}{timestamp} } @got), 1,
           'at the same time');
        logged(qq(POST /orders 201 "$got[0]{data}{id}"),
               'the log has the first');
    };
};


subtest 'bodies' => sub {
    my $is = sub {
        my ($what, $uri, $reply, %o) = @_;
        my $expect = delete $o{expect} // { data => $data };
        my $status = $o{status} //= 201;
        (my $type) = $uri =~ m{^/orders} ? 'orders'
                   : $uri =~ m{^/\w+/(\w+)};
        gives($what, [ POST => $uri, reply => $reply, %o ],
              { action => 'created', entity_type => $type,
                entity_id => 'o-1', %$expect });
    };

    my $text = '{"id":"o-1","amount":42.0}';
    my @json = ('Content-Type' => 'application/json');

    my $deflated;
    gzip(\$text, \$deflated) or die $GzipError;

    my $zipped = sub { json(201, $_[0], headers =>
                            [ @json, 'Content-Encoding' => $_[1] // 'gzip' ]) };

    $is->('gzip from the backend', '/orders', $zipped->($deflated));
    $is->('gzip from the backend, unbuffered', '/unbuffered/x',
          $zipped->($deflated));
    $is->('gzip by nginx', '/gzip/x', $created,
          headers => { 'Accept-Encoding' => 'gzip' });
    $is->('x-gzip', '/orders', $zipped->($deflated, 'x-gzip'));
    $is->('identity', '/orders', $zipped->($text, 'identity'));

    $is->('gzip that is cut', '/orders/o-1', $zipped->(substr $deflated, 0, 30),
          expect => { truncated => 1 });
    $is->('gzip that is none', '/orders/o-1', $zipped->($text),
          expect => { truncated => 1 });
    $is->('another encoding', '/orders/o-1', $zipped->("\x0b\x02\x80$text\x03", 'br'),
          expect => { truncated => 1 });

    my $bomb = '{"id":"o-1","x":"' . ' ' x 2_000_000 . '"}';
    my $small;
    gzip(\$bomb, \$small) or die $GzipError;
    $is->('gzip that is too much', '/orders/o-1', $zipped->($small),
          expect => { truncated => 1 });

    $is->('gzip without a body', '/orders/o-1',
          json(204, '', headers => [ 'Content-Encoding' => 'gzip' ]),
          status => 204, expect => {});

    for my $uri ('/orders', '/eleven/x', '/unbuffered/x') {
        $is->("chunked, $uri", $uri, WSBus::Backend::chunked(201, $text, 7))
            if $uri ne '/orders';

        my $long = encode_json({ id => 'o-1', text => 'y' x 200_000 });
        $is->("long, $uri", $uri, json(201, $long),
              expect => { data => decode_json($long) });

        $is->("long and chunked, $uri", $uri,
              WSBus::Backend::chunked(201, $long, 5000),
              expect => { data => decode_json($long) })
            if $uri ne '/orders';

        my $over = encode_json({ id => 'x', text => 'y' x 300_000 });
        $is->("over ws_bus_capture_max_body, $uri", "$uri/o-1",
              json(201, $over), expect => { truncated => 1 });

        $is->("HTTP/1.0, $uri", $uri,
              json(201, $text, version => 'HTTP/1.0', length => undef));
        $is->("HTTP/1.0 with a length, $uri", $uri,
              json(201, $text, version => 'HTTP/1.0'));
        $is->("HTTP/1.0, long, $uri", $uri,
              json(201, $long, version => 'HTTP/1.0', length => undef),
              expect => { data => decode_json($long) });

        $is->("not JSON, $uri", "$uri/o-1", json(201, 'ok', plain()),
              expect => { truncated => 1 });
        $is->("empty, $uri", "$uri/o-1", json(201, ''), expect => {});
        $is->("empty without a length, $uri", "$uri/o-1",
              json(201, '', version => 'HTTP/1.0', length => undef),
              expect => {});
        $is->("204, $uri", "$uri/o-1", json(204, ''), status => 204,
              expect => {});
    }

    my $exact = '{"id":"o-1","x":"' . 'z' x (1024 - 19) . '"}';
    is(length $exact, 1024, '1k');
    $is->('ws_bus_capture_max_body itself', '/small/x', json(201, $exact),
          expect => { data => decode_json($exact) });
    $is->('a byte more', '/small/x/o-1', json(201, "$exact "),
          expect => { truncated => 1 });

    for my $bad ([ 'not UTF-8', qq({"id":"o-1","x":"\xff"}) ],
                 [ 'HTML', '<html></html>' ],
                 [ 'two values', '{"id":"o-1"}{"id":"o-1"}' ],
                 [ 'a bare NUL', qq({"id":"o-1"}\0) ],
                 [ 'NaN', '{"id":"o-1","x":NaN}' ],
                 [ 'very deep', '[' x 600 . ']' x 600 ],
                 [ 'white space', "  \n" ])
    {
        $is->($bad->[0], '/orders/o-1', json(201, $bad->[1]),
              expect => { truncated => 1 });
    }

    $is->('a value that is no object', '/orders/o-1', json(201, '"x"'),
          expect => { data => 'x' });
    $is->('JSON with white space around it', '/orders',
          json(201, " \r\n$text\n"));

    # a range is cut by nginx: never a harmed response
    $is->('a request for a range', '/orders', $created,
          headers => { Range => 'bytes=0-3' });
};


# its client reads nothing before the file is there

subtest 'a response in a temporary file' => sub {
    my $long = encode_json({ id => 'o-1', text => 'y' x 2_500_000 });
    my @got;

    for my $n (3, 4) {
        my $from = length $nginx->error_log;

        socket my $sock, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
        setsockopt $sock, SOL_SOCKET, SO_RCVBUF, 8192;
        connect $sock, pack_sockaddr_in($nginx->port($n), INADDR_LOOPBACK)
            or die "connect: $!\n";

        $backend->leave('spill', json(201, $long));
        syswrite $sock, request(POST => '/spill/x',
                                headers => { 'X-Reply' => 'spill' });

        ok($nginx->await_log(qr/upstream response is buffered to a temporary/,
                             $from), 'there is a file');

        my $text = '';
        1 while sysread $sock, $text, 65536, length $text;
        push @got, dateless($text);
    }

    ok(length $got[0] > 2_500_000, 'it is all there');
    ok($got[0] eq $got[1], 'the response is the same without capture');
    is_deeply([ events() ],
        [ event(action => 'created', entity_type => 'x', entity_id => 'o-1',
                data => decode_json($long)) ], 'one event');
};


subtest 'proxy_cache' => sub {
    my @ask = (POST => '/cache/x', reply => $created, status => 201);
    my $event = { action => 'created', entity_type => 'x', entity_id => 'o-1',
                  data => $data };

    gives('not yet in the cache', [ @ask ], $event);
    gives('out of the cache: nothing has been mutated', [ @ask ]);

    gives('GET', [ GET => '/cache/y', reply => json(200, '{"id":1}'),
                   status => 200 ]) for 1, 2;
    gives('PUT is never in the cache',
          [ PUT => '/cache/x', reply => json(200, '{"id":"o-1"}'),
            status => 200 ],
          { action => 'updated', entity_type => 'x', entity_id => 'o-1',
            data => { id => 'o-1' } }) for 1, 2;
};


subtest 'error_page' => sub {
    my %ask = (second => json(201, '{"id":"second"}'));

    for my $case ([ 404, 200 ], [ 409, 409 ], [ 410, 200 ], [ 500, 201 ],
                  [ 502, 502 ])
    {
        my ($from, $to) = @$case;
        gives("$from becomes $to: none",
              [ POST => '/errors/x', reply => json($from, '{"id":"first"}'),
                status => $to, %ask ]);
    }

    gives('a success is not touched',
          [ POST => '/errors/x', reply => $created, status => 201, %ask ],
          { action => 'created', entity_type => 'x', entity_id => 'o-1',
            data => $data });

    for my $method (qw(POST PUT PATCH)) {
        gives("$method: the fallback captures",
              [ $method, '/errors/x', reply => json(503, '{"id":"first"}'),
                status => 201, %ask ],
              { action => $method eq 'POST' ? 'created' : 'updated',
                entity_type => 'errors', entity_id => 'second',
                data => { id => 'second' } });
    }

    gives('the fallback fails',
          [ POST => '/errors/x', reply => json(503, ''), status => 422,
            second => json(422, '{"id":"second"}') ]);
    gives('the backend is down, nginx says 200',
          [ POST => '/down/x', status => 200 ]);
};


subtest 'X-Accel-Redirect' => sub {
    $nginx->write_file('html/file.json', '{"id":"file"}');

    my $accel = sub {
        my ($status, $to) = @_;
        return json($status, '{"id":"gone"}',
                    headers => [ 'X-Accel-Redirect' => $to ]);
    };

    gives('to a file',
          [ POST => '/api/orders/o-1', reply => $accel->(200,
            '/inside/file.json'), status => 200 ],
          { action => 'created', entity_type => 'orders', entity_id => 'o-1',
            truncated => 1 });
    gives('to a backend',
          [ POST => '/api/orders/o-1', reply => $accel->(200,
            '/mirrored/plain/x'), status => 500 ],
          { action => 'created', entity_type => 'orders', entity_id => 'o-1',
            truncated => 1 });
    gives('to another location that captures',
          [ DELETE => '/api/orders/o-1', reply => $accel->(200, '/returns/'),
            status => 201 ],
          { action => 'deleted', entity_type => 'orders', entity_id => 'o-1' });
    gives('to a named location',
          [ PUT => '/api/orders/o-1', reply => $accel->(200, '@inside'),
            second => json(200, '{"id":"second"}'), status => 200 ],
          { action => 'updated', entity_type => 'orders', entity_id => 'o-1',
            truncated => 1 });
    gives('to the same location',
          [ POST => '/accel/o-1', reply => $accel->(200, '/accel/again'),
            second => json(200, '{"id":"second"}'), status => 200 ],
          { action => 'created', entity_type => 'o-1', entity_id => 'o-1',
            truncated => 1 });
    gives('to a named location that captures: once',
          [ PUT => '/api/orders/o-1', reply => $accel->(200, '@second'),
            second => json(200, '{"id":"second"}'), status => 200 ],
          { action => 'updated', entity_type => 'orders', entity_id => 'o-1',
            truncated => 1 });
    gives('to what is not there',
          [ DELETE => '/api/orders/o-1', reply => $accel->(200,
            '/inside/none'), status => 404 ],
          { action => 'deleted', entity_type => 'orders', entity_id => 'o-1' });
    gives('of an error: none',
          [ POST => '/api/orders/o-1', reply => $accel->(422,
            '/inside/file.json'), status => 200 ]);
    gives('of a GET: none',
          [ GET => '/api/orders/o-1', reply => $accel->(200,
            '/inside/file.json'), status => 200 ]);
};


subtest 'answers of nginx itself' => sub {
    gives('return 201', [ POST => '/returns/x', status => 201 ],
          { action => 'created', entity_type => 'x', entity_id => 'r-1',
            data => { id => 'r-1' } });
    gives('return 204', [ DELETE => '/returns/204', status => 204 ],
          { action => 'deleted', entity_type => '204', entity_id => '204' });
    gives('return 303: none', [ POST => '/returns/303', status => 303 ]);
    gives('return 409: none', [ POST => '/returns/409', status => 409 ]);
    gives('GET: none', [ GET => '/returns/x', status => 201 ]);

    subtest 'dav' => sub {
        my ($code) = $c->request(PUT => '/dav/a/b.txt', 'text',
                                 'X-Request-ID' => 'r-1');
        is($code, 201, 'put');
        is_deeply([ events() ], [ event(action => 'updated',
            entity_type => 'a', entity_id => 'b.txt') ], 'one event');
        ($code) = $c->request(DELETE => '/dav/a/b.txt', '',
                              'X-Request-ID' => 'r-1');
        is($code, 204, 'deleted');
        is_deeply([ events() ], [ event(action => 'deleted',
            entity_type => 'a', entity_id => 'b.txt') ], 'one event');
    };
};


subtest 'subrequests' => sub {
    my $event = { action => 'created', entity_type => 'x', entity_id => 'o-1',
                  data => $data };
    my @second = (second => json(200, '{"id":"sub"}'));

    gives('auth_request', [ POST => '/guarded/x', reply => $created, @second,
                            status => 201 ], $event);
    gives('auth_request says no',
          [ POST => '/guarded/x', reply => $created, status => 403,
            second => json(403, '') ]);
    gives('mirror', [ POST => '/mirrored/x', reply => $created, @second,
                      status => 201, body => '{}' ], $event);

    subtest 'mirror of what is not captured' => sub {
        ask(POST => '/mirrored/plain/x', reply => $created, @second,
            status => 201, body => '{}');
        ok(WSBus::Nginx::await(sub { $backend->got("n$names") == 2 }),
           'the mirror was asked');
        is_deeply([ events() ], [], 'no event');
    };
};


subtest 'responses that are not complete' => sub {
    for my $uri ('/api/orders', '/unbuffered/orders', '/eleven/orders') {

        for my $size (10, 100_000) {
            my $text = encode_json({ id => 'o-1', text => 'y' x $size });
            my $all  = length $text;

            for my $case (
                [ 'less than Content-Length',
                  json(201, $text, length => $all + 10) ],
                [ 'nothing of Content-Length', json(201, '', length => 10) ],
                [ 'a chunk is cut', WSBus::Backend::chunked(201, $text, 4096,
                                                            cut => 1) ],
                [ 'no last chunk', WSBus::Backend::chunked(201, $text, 4096)
                                   =~ s/0\r\n\r\n\z//r ],
            ) {
                my ($what, $reply) = @$case;
                next if $what =~ /chunk/ && $uri =~ m{^/api};
                gives("$what, $size, $uri",
                      [ POST => $uri, reply => $reply ]);
            }
        }

        gives("closed before the header, $uri",
              [ POST => $uri, reply => "HTTP/1.1 201 Created\r\nX",
                status => 502 ]);
    }

    gives('a second header is not waited for',
          [ POST => '/orders', reply => "HTTP/1.1 99 Odd\r\n\r\n" ]);
};


# the client is gone before the backend has answered

subtest 'clients that go away' => sub {
    my $leave = sub {
        my ($uri, $reply, $how) = @_;

        my $name = 'n' . ++$names;
        my $raw  = WSBus::Raw->new($nginx->port);
        my $n    = lines();

        $backend->leave($name, $WSBus::Backend::HOLD . $reply);
        $raw->write(request(POST => $uri, headers => { 'X-Reply' => $name }));

        ok(WSBus::Nginx::await(sub { $backend->got($name) }),
           'the backend has the request');

        $how eq 'reset' ? $raw->vanish : $raw->close;

        if ($uri =~ m{^/leave}) {
            ok(WSBus::Nginx::await(sub { lines() > $n }), 'nginx has given up');
            is((lines())[-1], qq(POST $uri 499 "-"), 'it is logged');
            is_deeply([ events() ], [], 'no event');
        }

        $backend->go($name);

        ok(WSBus::Nginx::await(sub { lines() > $n }), 'the request is over');

        return (lines())[-1];
    };

    my $long = encode_json({ id => 'o-1', text => 'y' x 6000 });
    my $huge = encode_json({ id => 'o-1', text => 'y' x 4_000_000 });

    for my $how (qw(closed reset)) {
        subtest "$how, nginx gives up with it" => sub {
            $leave->('/leave/x', $created, $how);
            is_deeply([ events() ], [], 'no event');
        };

        for my $case ([ 'short', $created, $data ],
                      [ 'long', json(201, $long), decode_json($long) ])
        {
            my ($what, $reply, $expect) = @$case;

            subtest "$how, proxy_ignore_client_abort, $what" => sub {
                my $line = $leave->('/stay/x', $reply, $how);
                my @got  = $ws->sync;
                is_deeply([ map { $_->{data}{event} } @got ],
                    [ event(action => 'created', entity_type => 'x',
                            entity_id => 'o-1', data => $expect) ],
                    'one event');
                is($line, qq(POST /stay/x 201 ")
                          . (@got ? $got[0]{data}{id} : 'none') . '"',
                   'it is logged with its id');
            };
        }

        # nginx does not read what it can no longer pass on: how it would have
        # ended is not known
        subtest "$how, proxy_ignore_client_abort, not read to its end" => sub {
            my $line = $leave->('/stay/x', json(201, $huge), $how);
            is_deeply([ events() ], [], 'no event');
            is($line, 'POST /stay/x 201 "-"', 'it is logged');
        };

        for my $reply (json(500, '{}'), json(201, $long, length => 20_000)) {
            subtest "$how, and no success after all" => sub {
                $leave->('/stay/x', $reply, $how);
                is_deeply([ events() ], [], 'no event');
            };
        }
    }
};


subtest 'HTTP/1.0 and keep-alive clients' => sub {
    my $raw = WSBus::Raw->new($nginx->port);

    $backend->leave('keep', $created);

    for (1 .. 3) {
        is($raw->post('/orders', '{}', 'X-Reply' => 'keep',
                      'X-Request-ID' => "k-$_")->{status}, 201, "request $_");
    }

    is_deeply([ map { $_->{metadata}{origin} } events() ],
              [ map { "k-$_" } 1 .. 3 ], 'an event for each, in order');

    $raw = WSBus::Raw->new($nginx->port);
    $raw->write("POST /orders HTTP/1.0\r\nX-Reply: keep\r\n"
                . "Content-Length: 2\r\n\r\n{}");
    like(whole($raw), qr/\A\S+ 201 .*42\.0\}\z/s, 'HTTP/1.0');
    is(scalar(my @got = events()), 1, 'one event');
};


subtest 'HTTP/2' => sub {
    my $h2 = WSBus::H2->new($nginx->port(2));

    $backend->leave('h2', $created);
    $backend->leave('h2none', json(204, ''));

    my $post   = $h2->ask(POST => '/orders', '{"sent":1}', 'x-reply' => 'h2',
                          'x-request-id' => 'r-1');
    my $answer = $h2->answers->{$post};

    is($answer->{status}, 201, 'created');
    is($answer->{body}, '{"id":"o-1","amount":42.0}', 'the body');
    is_deeply([ events() ], [ event(action => 'created',
        entity_type => 'orders', entity_id => 'o-1', data => $data) ],
        'one event');

    my $delete = $h2->ask(DELETE => '/orders/o-2', undef,
                          'x-reply' => 'h2none', 'x-request-id' => 'r-1');
    is($h2->answers->{$delete}{status}, 204, 'deleted');
    is_deeply([ events() ], [ event(action => 'deleted',
        entity_type => 'orders', entity_id => 'o-2') ], 'one event');

    my $get = $h2->ask(GET => '/orders/o-2', undef, 'x-reply' => 'h2');
    is($h2->answers->{$get}{status}, 201, 'read');
    is_deeply([ events() ], [], 'no event');
};


subtest 'the access log' => sub {
    ask(POST => '/orders', reply => $created, status => 201);
    my ($got) = $ws->sync;
    logged(qq(POST /orders 201 "$got->{data}{id}"), 'a mutation');

    ask(DELETE => '/orders/o-1', reply => json(204, ''), status => 204);
    ($got) = $ws->sync;
    logged(qq(DELETE /orders/o-1 204 "$got->{data}{id}"), 'without a body');

    ask(GET => '/orders', reply => $created, status => 201);
    logged('GET /orders 201 "-"', 'no mutation');

    ask(POST => '/orders', reply => json(422, '{}'), status => 422);
    logged('POST /orders 422 "-"', 'an error');
};


# whatever does not fit into the zone, the mutation is told

subtest 'a small zone' => sub {
    my $tiny = $c->open('/wstiny');
    $tiny->subscribe({});

    my $told = sub {
        my ($what, $reply) = @_;
        subtest $what => sub {
            $backend->leave('tiny', $reply);
            my ($code) = $c->request(POST => '/tiny/x/o-1', '{}',
                                     'X-Reply' => 'tiny');
            is($code, 201, 'the response');
            my $got = $tiny->wait_type('event', 2);
            is($got->{type}, 'event', 'an event');
            ok($got->{data}{event}{metadata}{truncated}, 'without its data');
            is($got->{data}{event}{data}, undef, 'none');
            $tiny->sync(path => '/publish/tiny');
        };
    };

    $told->('an event that is too large', json(201, encode_json(
        { id => 'o-1', text => 'z' x 400_000 })));
    $told->('a list that is too long', json(201, encode_json(
        [ map { { id => $_ } } 1 .. 20_000 ])));
    $told->('a list of large rows', json(201, encode_json(
        [ map { { id => $_, text => 'z' x 50_000 } } 1 .. 20 ])));

    $tiny->finish;
};


# nobody is told of the past who has read the response before

sub order_of_events {
    my ($with, $port, $rounds) = @_;

    my ($late, $missed) = (0, 0);
    my $last = $ws->subscribe({ entity_type => 'none' })->{last_id};

    for my $n (1 .. $rounds) {
        my $raw = WSBus::Raw->new($nginx->port($port));
        my $res = $raw->post('/orders', '{}', 'X-Reply' => 'order');
        die "status $res->{status}\n" if $res->{status} != 201;

        my $sub = WSBus::Raw->open($nginx->port);
        $sub->send_text('{"type":"subscribe","filter":{"entity_type":"orders"}}');
        $sub->send_text('{"type":"ping"}');
        for (;;) {
            my $message = $sub->read_json;
            $late++ if $message->{type} eq 'event';
            last if $message->{type} =~ /^(?:pong|none|CLOSE)$/;
        }
        $sub->close;

        $sub = WSBus::Raw->open($nginx->port);
        $sub->send_text(encode_json({ type => 'subscribe', since => $last,
                                      filter => { entity_type => 'orders' } }));
        $sub->send_text('{"type":"ping"}');
        my $found;
        for (;;) {
            my $message = $sub->read_json;
            if ($message->{type} eq 'event') {
                $found = $message->{data}{id};
                last;
            }
            last if $message->{type} =~ /^(?:none|CLOSE)$/;
        }
        $found ? ($last = $found) : $missed++;
        $sub->close;
    }

    is($late, 0, "$with: subscribed after the response, no live event");
    is($missed, 0, "$with: a since of before has it");

    return;
}

subtest 'order' => sub {
    $backend->leave('order', $created);
    order_of_events('one worker', 0, 20);
    is(scalar(my @got = events()), 20, 'an event for each');
};


# 200 at once: each exactly once

sub prepare {
    my ($prefix) = @_;

    my $left = 0;
    for my $n (1 .. 50) {
        for my $method (qw(PUT PATCH DELETE)) {
            $left++;
            $c->ua->post("http://$rest/$prefix" => json =>
                         { id => "$method-$n" } => sub { $left-- });
        }
    }

    return WSBus::Client::run_until(sub { !$left }, 30);
}

sub expected {
    my ($prefix) = @_;

    return sort map {
        my ($method, $n) = @$_;
        my $id = $method eq 'POST' ? "new-$n" : "$method-$n";
        my $action = { POST => 'created', DELETE => 'deleted' }->{$method}
                     // 'updated';
        my $body = $method eq 'DELETE' ? '-' : "$method-$n-sent";
        "$action $prefix $id $body $method-$n";
    } map { my $n = $_; map { [ $_, $n ] } qw(POST PUT PATCH DELETE) } 1 .. 50;
}

sub seen {
    return sort map {
        my $e = $_;
        join ' ', @$e{qw(action entity_type entity_id)},
             ref $e->{data} ? $e->{data}{n} : '-', $e->{metadata}{origin};
    } @_;
}

sub concurrent {
    my ($what, $prefix, $ask) = @_;

    subtest $what => sub {
        ok(prepare($prefix), 'there is something to mutate');

        my %status = $ask->(map {
            my $n = $_;
            map { [ $_, $_ eq 'POST' ? "/$prefix" : "/$prefix/$_-$n",
                    $_ eq 'DELETE' ? undef
                        : encode_json({ n => "$_-$n-sent",
                              $_ eq 'POST' ? (id => "new-$n") : () }),
                    "$_-$n" ] } qw(POST PUT PATCH DELETE);
        } 1 .. 50);

        is_deeply(\%status, { 200 => 100, 201 => 50, 204 => 50 },
                  '200 responses');
        is_deeply([ seen(events()) ], [ expected($prefix) ],
                  '200 events, each once');
    };

    return;
}

sub over_http1 {
    my (@asks) = @_;

    my ($left, %status) = (scalar @asks);

    for my $ask (@asks) {
        my ($method, $path, $body, $origin) = @$ask;
        my $tx = $c->ua->build_tx($method => $c->url($path) => {
            'X-Request-ID' => $origin,
            'Content-Type' => 'application/json' } => $body // '');
        $c->ua->start($tx => sub { $status{ $_[1]->res->code // 0 }++; $left-- });
    }

    WSBus::Client::run_until(sub { !$left }, 30);

    return %status;
}

sub over_http2 {
    my (@asks) = @_;

    my %status;
    my @half = map { WSBus::H2->new($nginx->port(2)) } 0, 1;

    for my $n (0 .. $#asks) {
        my ($method, $path, $body, $origin) = @{ $asks[$n] };
        $half[ $n % 2 ]->ask($method, $path, $body, 'x-request-id' => $origin,
                             'content-type' => 'application/json');
    }

    for my $h2 (@half) {
        $status{ $_->{status} }++ for values %{ $h2->answers };
        $h2->close;
    }

    return %status;
}

concurrent('200 at once, HTTP/1.1', 'many1', \&over_http1);
concurrent('200 at once, HTTP/2', 'many2', \&over_http2);


subtest 'the status page' => sub {
    my $figures = sub {
        my ($zone) = grep { $_->{name} eq 'events' } @{ $c->status->{zones} };
        my %of = map { $_->{location} => $_->{events} } @{ $zone->{captures} };
        return ($zone->{totals}{captured}, $of{'/orders'});
    };

    my ($total, $orders) = $figures->();
    cmp_ok($total, '>', 400, 'captured');
    cmp_ok($orders, '>', 50, 'of one location');

    ask(POST => '/orders', reply => json(201, '[{"id":1},{"id":2}]'),
        status => 201);
    ask(POST => '/orders', reply => json(422, '{}'), status => 422);
    events();

    is_deeply([ $figures->() ], [ $total + 2, $orders + 2 ], 'two more');
};

$nginx->finish;


subtest '4 workers' => sub {
    $nginx = WSBus::Nginx->new(workers => 4, fixed_workers => 1,
                               http => http(), own_log => 1)->start;
    $c  = WSBus::Client->new($nginx);
    $ws = $c->open;
    $ws->subscribe({});

    order_of_events('4 workers', 0, 40);
    events();
    concurrent('200 at once, HTTP/1.1', 'many3', \&over_http1);
    concurrent('200 at once, HTTP/2', 'many4', \&over_http2);

    $nginx->finish;
};


# the example does what its comments say

subtest 'conf.example/capture-by-rules.conf' => sub {
    $nginx = WSBus::Example::nginx('capture-by-rules.conf', workers => 1,
        change => sub {
            s/127\.0\.0\.1:3000/$odd/;
            s{(?=location = /ws )}
             {location = /publish { ws_bus_publish events;
                                    ws_bus_tenant  \$bus_tenant; }
              };
        })->start;
    $c  = WSBus::Client->new($nginx);
    $ws = $c->open('/ws', Host => 'acme.example.com');
    $ws->subscribe({});

    my $case = sub {
        my ($what, $method, $uri, $reply, @expect) = @_;
        $backend->leave('rules', $reply);
        my ($code) = $c->request($method, $uri, '{"sent":1}',
            Host => 'acme.example.com', 'X-Reply' => 'rules',
            'X-Ws-Bus-Origin' => 'tab-5');
        is_deeply([ map { $_->{data}{event} }
                        $ws->sync(Host => 'acme.example.com') ],
                  [ map { event(%$_, origin => 'tab-5') } @expect ], $what)
            or diag($code);
    };

    my $ok = json(200, '{"id":"7","secret":1}');

    $case->('created', POST => '/v2/people', json(201, '{"id":"7"}'),
            { action => 'created', entity_type => 'person', entity_id => '7' });
    $case->('a POST on an item', POST => '/v2/orders/7', $ok,
            { action => 'updated', entity_type => 'order', entity_id => '7' });
    $case->('an action', POST => '/v2/orders/7/cancel', json(204, ''),
            { action => 'cancelled', entity_type => 'order',
              entity_id => '7' });
    $case->('replaced', PUT => '/v2/things/7', $ok,
            { action => 'updated', entity_type => 'things',
              entity_id => '7' });
    $case->('deleted', DELETE => '/v2/addresses/7', json(204, ''),
            { action => 'deleted', entity_type => 'address',
              entity_id => '7' });
    $case->('a payment', POST => '/v2/payments',
            json(201, '{"result":{"payment":{"id":"p-1"}}}'),
            { action => 'created', entity_type => 'payment',
              entity_id => 'p-1', data => { sent => 1 } });
    $case->('a report', POST => '/v2/payments/reports', $ok);
    $case->('a failure', POST => '/v2/orders', json(422, '{"id":"7"}'));

    my ($code) = $c->request(POST => '/v2/orders', '{}', 'X-Reply' => 'rules',
                             Host => 'unknown.example.com');
    is($code, 422, 'a host without a tenant is served');

    $nginx->finish;
};


$backend->stop;


subtest 'configuration' => sub {
    my $test = sub {
        my ($location) = @_;
        return WSBus::Nginx->test_config(http => WSBus::Nginx::minimal(
            server => "location /x { return 204; $location }"));
    };

    for my $case (
        [ 'ws_bus_capture nowhere;', qr/nowhere/ ],
        [ 'ws_bus_capture;', qr/invalid number of arguments/ ],
        [ 'ws_bus_capture events; ws_bus_capture off;', qr/is duplicate/ ],
        [ 'ws_bus_capture_data all;', qr/"response", "request" or "none"/ ],
        [ 'ws_bus_capture_max_body 1;', qr/a size from 1k to 64m/ ],
        [ 'ws_bus_capture_max_body x;', qr/a size from 1k to 64m/ ],
        [ 'ws_bus_capture_entity $nowhere;', qr/unknown "nowhere" variable/ ],
        [ 'ws_bus_capture_id a; ws_bus_capture_id b;', qr/is duplicate/ ],
        [ 'ws_bus_capture_id path=;', qr/names joined by dots/ ],
        [ 'ws_bus_capture_id path=.id;', qr/names joined by dots/ ],
        [ 'ws_bus_capture_id path=a..id;', qr/names joined by dots/ ],
        [ 'ws_bus_capture_id path=a.;', qr/names joined by dots/ ],
    ) {
        my ($rc, $out) = $test->($case->[0]);
        isnt($rc, 0, "refused: $case->[0]");
        like($out, $case->[1], 'and said why');
    }

    my ($rc, $out) = $test->('ws_bus_capture off; ws_bus_capture_max_body 64m;');
    is($rc, 0, 'off') or diag($out);
};

done_testing;
