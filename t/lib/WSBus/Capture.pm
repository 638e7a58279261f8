# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Capture;

# What the tests of capture share: one nginx with a location for each case,
# and servers that capture and do not, before a backend that answers as it is
# told. A request is asked of both, and its response must be the same.

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use WSBus::Backend;
use WSBus::Client;
use WSBus::Nginx;
use WSBus::Raw;

our @EXPORT = qw($backend $rest $odd $nginx $c $ws $created $data ask
                 dateless event events gives http json log_lines logged next_name
                 plain request start_capture whole);

our $backend = WSBus::Backend->start;

our ($rest, $odd) = map { "127.0.0.1:$_" } $backend->rest, $backend->raw;

our ($nginx, $c, $ws);

our $created = json(201, '{"id":"o-1","amount":42.0}');
our $data    = { id => 'o-1', amount => 42 };

my $names = 0;


# a name for an answer that the backend has not given yet; without an argument
# true, that of the last

sub next_name { return 'n' . ($_[0] ? ++$names : $names) }


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

    location /moved/ {
        rewrite        ^/moved/(.*)\$ /api/\$1;
    }
    location /other/ {
        rewrite        ^/other/([a-z]+)/ /api/\$1/\$arg_id;
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
    location /data/alone/ {
        proxy_pass          http://$odd;
        ws_bus_capture      events;
        ws_bus_capture_old  off;
    }
    location /vpath/ {
        proxy_pass              http://$odd;
        ws_bus_capture          events;
        ws_bus_capture_version  path=m.v;
    }
    location /vetag/ {
        proxy_pass              http://$odd;
        ws_bus_capture          events;
        ws_bus_capture_version  \$upstream_http_etag;
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
        location = /wsr     { ws_bus events; ws_bus_restrict amount gt 100; }
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


# nginx, and a client that has subscribed to everything

sub start_capture {
    my (%o) = @_;

    $nginx = WSBus::Nginx->new(http => http(), own_log => 1, %o)->start;

    $c  = WSBus::Client->new($nginx);
    $ws = $c->open;
    $ws->{only_events} = 1;       # a gap has a moment of its own
    $ws->subscribe({});

    return;
}


sub events { return map { $_->{data}{event} } $ws->sync }

sub log_lines { return split /\n/, WSBus::Nginx::slurp($nginx->file('captured.log')) }

sub logged {
    my ($line, $what) = @_;
    WSBus::Nginx::await(sub { (log_lines())[-1] eq $line });
    return is((log_lines())[-1], $line, $what);
}


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


sub ask {
    my ($method, $uri, %o) = @_;

    my %head = %{ $o{headers} // {} };

    for my $which ([ reply => 'X-Reply' ], [ second => 'X-Second' ]) {
        my ($key, $header) = @$which;
        next if !defined $o{$key};
        $head{$header} = next_name(1);
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


1;
