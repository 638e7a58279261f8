# SPDX-License-Identifier: BSD-2-Clause
# ws_bus_origin: which pages may open a connection.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(http => WSBus::Nginx::minimal(
    http => <<'END', server => <<'END2'));
    map $http_x_page $page {
        default  "";
        ~^(.+)$  $1;
    }
    server {
        listen 127.0.0.1:%%PORT1%% ssl;
        ssl_certificate     %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        server_name bus.example;
        location /ws { ws_bus events; ws_bus_origin same; }
    }
    server {
        listen 127.0.0.1:%%PORT2%%;
        ws_bus_origin https://outer.example;
        location /ws       { ws_bus events; }
        location /ws/inner { ws_bus events; ws_bus_origin https://inner.example; }
        location /ws/any   { ws_bus events; ws_bus_origin any; }
        location /echo     { ws_bus_echo; }
    }
    server {
        listen 127.0.0.1:%%PORT3%%;
        server_name bus.example www.bus.example *.w.example .d.example
                    tail.example.* "~^r\d+\.example$";
        location /ws { ws_bus events; ws_bus_origin same; }
    }
    server {
        listen 127.0.0.1:%%PORT3%%;
        server_name other.example;
        location /ws { ws_bus events; ws_bus_origin same; }
    }
END
    server_name bus.example;
    location /any    { ws_bus events; ws_bus_origin any; }
    location /same   { ws_bus events; ws_bus_origin same; }
    location /must   { ws_bus events; ws_bus_origin same required; }
    location /null   { ws_bus events; ws_bus_origin null; }
    location /list   { ws_bus events;
                       ws_bus_origin https://a.example http://b.example:8080
                                     https://*.c.example https://.d.example
                                     "~https://pr-\d{1,5}\.e\.example"
                                     "~http://x|http://y" same; }
    location /var    { ws_bus events; ws_bus_origin https://$host $page; }
END2

$nginx->certificate;
$nginx->start;

my $port = $nginx->port;

sub status {
    my ($path, $origin, %o) = @_;

    my $to  = delete $o{port} // $port;
    my $ssl = delete $o{ssl};
    my @own = @{ delete $o{headers} // [] };

    return WSBus::Raw->new($to, ssl => $ssl)->handshake(
        path => $path, %o,
        headers => [ defined $origin ? (Origin => $origin) : (), @own ],
    )->{status};
}

sub allowed {
    my ($path, $origin, @o) = @_;
    is(status($path, $origin, @o), 101, "$path: " . ($origin // 'no Origin'));
}

sub refused {
    my ($path, $origin, @o) = @_;
    is(status($path, $origin, @o), 403,
       "$path: not " . ($origin // 'without Origin'));
}

sub counted {
    return WSBus::Raw::zone($port)->{totals}{refused_origins};
}


subtest 'any' => sub {
    for my $path ('/ws', '/any') {
        allowed($path, $_)
            for undef, 'https://evil.example', 'null', '', 'nonsense';
    }
    is(counted(), 0, 'nothing is counted');
};


subtest 'same' => sub {
    my @host = (host => 'bus.example');

    allowed('/same', undef);
    allowed('/same', 'http://127.0.0.1', host => '127.0.0.1');
    allowed('/same', 'http://bus.example', @host);
    allowed('/same', 'http://bus.example:80', @host);
    allowed('/same', 'http://BUS.example', @host);
    allowed('/same', 'http://bus.example', host => 'Bus.Example:80');
    allowed('/same', 'http://bus.example:8080', host => 'bus.example:8080');
    allowed('/same', 'http://[::1]:8080', host => '[::1]:8080');

    refused('/same', 'https://bus.example', @host);
    refused('/same', 'http://bus.example:443', @host);
    refused('/same', 'http://bus.example:8080', @host);
    refused('/same', 'http://bus.example', host => 'bus.example:8080');
    refused('/same', 'http://www.bus.example', @host);
    refused('/same', 'http://bus.example.evil.example', @host);
    refused('/same', 'http://evil.example', @host);

    # neither a forwarded host nor a forwarded scheme is believed

    refused('/same', 'https://bus.example', @host,
            headers => [ 'X-Forwarded-Proto' => 'https' ]);
    refused('/same', 'http://evil.example', @host,
            headers => [ 'X-Forwarded-Host' => 'evil.example' ]);

    my @tls = (port => $nginx->port(1), ssl => 1);

    allowed('/ws', 'https://bus.example', @host, @tls);
    allowed('/ws', 'https://bus.example', host => 'bus.example:443', @tls);
    refused('/ws', 'http://bus.example', @host, @tls);
};


# a page whose name is made to lead here sends that name as its Host, too

subtest 'same is a configured name' => sub {
    my $at = sub { (host => $_[0], port => $nginx->port(3)) };
    my $same = sub { $_[1]->('/ws', "http://$_[0]", $at->($_[0])) };

    refused('/same', 'http://evil.example', host => 'evil.example');
    refused('/same', 'http://evil.example:8080', host => 'evil.example:8080');
    refused('/same', 'http://bus.example.evil.example',
            host => 'bus.example.evil.example');
    refused('/same', 'http://1.2.3.4.evil.example',
            host => '1.2.3.4.evil.example');
    refused('/same', 'http://localhost.evil.example',
            host => 'localhost.evil.example');
    refused('/same', 'http://other.example', host => 'other.example');

    # what no name server is asked for

    allowed('/same', 'http://127.0.0.1:8080', host => '127.0.0.1:8080');
    allowed('/same', 'http://localhost:8080', host => 'localhost:8080');
    refused('/same', 'http://localhost:8080', host => 'localhost');
    refused('/same', 'http://10.0.0.1', host => '10.0.0.2');
    refused('/same', 'http://localhost', host => 'bus.example');

    $same->($_, \&allowed) for qw(bus.example www.bus.example a.w.example
                                  a.b.w.example d.example a.d.example
                                  r12.example A.W.Example other.example);
    $same->($_, \&refused) for qw(evil.example w.example xw.example
                                  evild.example x.bus.example
                                  tail.example.com r1.example.evil.example
                                  x.other.example);

    # two names of a server are one page's; below a domain there are many

    allowed('/ws', 'http://www.bus.example', $at->('bus.example'));
    refused('/ws', 'http://www.bus.example', $at->('bus.example:8080'));
    refused('/ws', 'https://www.bus.example', $at->('bus.example'));
    refused('/ws', 'http://a.w.example', $at->('b.w.example'));
    refused('/ws', 'http://a.d.example', $at->('d.example'));
    refused('/ws', 'http://r1.example', $at->('r2.example'));
    refused('/ws', 'http://bus.example', $at->('other.example'));

    my $server = sub {
        return WSBus::Nginx->test_config(http => 'ws_bus_zone zone=events:8m;
            server { listen 127.0.0.1:1; ' . $_[0]
            . ' location /x { ws_bus events; } }');
    };
    my ($rc, $out) = $server->("\nws_bus_origin same;\n");
    is($rc, 0, 'same without a name: nginx starts');
    like($out, qr/\[warn\] "ws_bus_origin same" for location "\/x" of a server without a "server_name"/,
         'and is warned');
    unlike(($server->('ws_bus_origin same; server_name a.example;'))[1],
           qr/warn/, 'with one: nothing');
};


subtest 'what is no origin' => sub {
    for my $path ('/same', '/list', '/var') {
        refused($path, $_, host => 'bus.example') for (
            'null', 'NULL', '', '*', 'http', 'bus.example', '//bus.example',
            'http://', 'http://bus.example/', 'http://bus.example/a',
            'http://user@bus.example', 'http://bus.example@evil.example',
            'http://bus.example evil.example',
            'http://bus.example http://evil.example',
            'http://bus.example, http://evil.example',
            "http://bus.example\tx", "http://bus\x{1b}[31m.example",
            'http://bus.example:', 'http://bus.example:080',
            'http://' . 'a' x 256,
        );
    }

    allowed('/null', 'null');
    refused('/null', 'NULL');
    refused('/null', 'http://a.example');
};


subtest 'no Origin' => sub {
    allowed($_, undef) for qw(/same /null /list /var);
    refused('/must', undef);
    allowed('/must', 'http://bus.example', host => 'bus.example');
};


subtest 'two of them' => sub {
    my @host = (host => 'bus.example');
    my $o    = 'http://bus.example';

    # the harness replaces by name: the second goes in as it is

    for my $pair ([ $o, $o ], [ $o, 'http://evil.example' ],
                  [ 'http://evil.example', $o ], [ $o, '' ], [ '', $o ])
    {
        my $raw = WSBus::Raw->new($port);
        (my $request = WSBus::Raw::request(path => '/same', @host))
            =~ s/\r\n\r\n/\r\nOrigin: $pair->[0]\r\norigin: $pair->[1]\r\n\r\n/;
        $raw->write($request);
        is($raw->response->{status}, 403, join ' and ', map { "\"$_\"" } @$pair);
    }
};


subtest 'a list' => sub {
    allowed('/list', $_) for (
        'https://a.example', 'https://A.EXAMPLE', 'https://a.example:443',
        'http://b.example:8080',
        'https://x.c.example', 'https://x.y.c.example',
        'https://d.example', 'https://x.d.example',
        'https://pr-1.e.example', 'https://PR-12345.E.example',
        'http://x', 'http://y',
    );
    allowed('/list', 'http://bus.example', host => 'bus.example');

    refused('/list', $_) for (
        'http://a.example', 'https://a.example:8443', 'https://x.a.example',
        'https://a.example.evil.example', 'https://evila.example',
        'http://b.example', 'https://b.example:8080',
        'https://c.example', 'https://evilc.example', 'http://x.c.example',
        'https://x.c.example.evil.example', 'https://evild.example',
        'https://x.c.example:8443',
        # a regex matches the whole
        'https://pr-1.e.example.evil.example', 'https://pr-1.e.example:8443',
        'https://pr-123456.e.example', 'https://pr-.e.example',
        'http://xy', 'http://zx', 'http://y.evil.example',
    );
};


subtest 'variables' => sub {
    allowed('/var', 'https://bus.example', host => 'bus.example:8080');
    refused('/var', 'http://bus.example', host => 'bus.example');
    refused('/var', 'https://evil.example', host => 'bus.example');

    my $with = sub { (host => 'bus.example', headers => [ 'X-Page' => $_[0] ]) };

    allowed('/var', 'https://p.example', $with->('https://p.example'));
    # what comes of a client is no pattern
    refused('/var', 'https://p.example', $with->($_))
        for 'https://*.example', 'https://.example', '~.*', 'any', 'same', '*';
    refused('/var', 'null', $with->('null'));
};


subtest 'inheritance' => sub {
    my @at = (port => $nginx->port(2));

    allowed('/ws', 'https://outer.example', @at);
    refused('/ws', 'https://inner.example', @at);
    allowed('/ws/inner', 'https://inner.example', @at);
    refused('/ws/inner', 'https://outer.example', @at);
    allowed('/ws/any', 'https://evil.example', @at);
    refused('/echo', 'https://evil.example', @at);
    allowed('/echo', 'https://outer.example', @at);
};


subtest 'counted and logged' => sub {
    my $n    = counted();
    my $from = length $nginx->error_log;

    refused('/same', "http://evil\x{1b}[2J\xc2\x9b\xff\".example");
    refused('/same', 'http://evil.example');
    refused('/same', 'null');
    refused('/must', undef);
    allowed('/same', undef);

    is(counted() - $n, 4, 'each refusal is counted');

    my $log = substr $nginx->error_log, $from;
    for my $reason ('its Origin is not valid', 'its Origin is not allowed',
                    'its Origin is null', 'it has no Origin')
    {
        like($log, qr/\[error\].*websocket handshake refused: $reason/,
             "logged: $reason");
    }
    like($log, qr/not allowed, location: "\/same", origin: "http:\/\/evil\.example", client/,
         'and where, and of which page');
    like($log, qr/no Origin, location: "\/must", client/, 'if there is one');
    like($log, qr/origin: "http:\/\/evil\\u001b\[2J\\u009b\\ufffd\\u0022\.example"/,
         'escaped');
    unlike($log, qr/\x{1b}|\xc2\x9b|\xff/, 'no control character of the client');

    $from = length $nginx->error_log;
    refused('/same', 'http://' . 'a' x 2000 . '.example');
    like(substr($nginx->error_log, $from), qr/origin: "http:\/\/a{249}\.\.\."/,
         'a long one in part');
};


subtest 'a refusal comes before the upgrade, and behind what is no handshake'
    => sub
{
    my $raw = WSBus::Raw->new($port);
    my $res = $raw->handshake(path => '/same',
                              headers => [ Origin => 'http://evil.example' ]);
    is($res->{status}, 403, 'it is refused');
    ok(!exists $res->{headers}{'sec-websocket-accept'}, 'no accept');

    # it is an ordinary answer: the connection serves on

    is($raw->handshake(path => '/same')->{status}, 101, 'then a good one');
    is($raw->read_json->{type}, 'welcome', 'on the same connection');

    is(status('/same', 'http://evil.example', headers => [ Upgrade => undef ]),
       400, 'no handshake: 400');
};


subtest 'configuration' => sub {
    my @bad = (
        [ 'any same', qr/stands alone/ ],
        [ 'same any', qr/stands alone/ ],
        [ 'same same', qr/twice/ ],
        [ 'required', qr/allows nothing/ ],
        [ '*', qr/scheme/ ],
        [ 'example.com', qr/scheme/ ],
        [ '*.example.com', qr/scheme/ ],
        [ 'https://example.com/', qr/follows/ ],
        [ 'https://example.*', qr/asterisk/ ],
        [ 'https://*example.com', qr/asterisk/ ],
        [ 'https://example.com:*', qr/asterisk/ ],
        [ 'https://example.com:0', qr/port/ ],
        [ 'https://', qr/host/ ],
        [ 'wss://example.com', qr/of the page/ ],
        [ 'WS://example.com', qr/of the page/ ],
        [ '""', qr/scheme/ ],
        [ '~', qr/regex/ ],
        [ '"~("', qr/pcre/i ],
        [ '', qr/number of arguments/ ],
    );

    for my $row (@bad) {
        my ($value, $re) = @$row;
        my ($rc, $out) = WSBus::Nginx->test_config(
            http => "ws_bus_zone zone=events:8m;\n ws_bus_origin $value;");
        is($rc, 1, "ws_bus_origin $value: refused");
        like($out, $re, 'says why');
        like($out, qr{nginx\.conf:\d+}, 'and where');
        like($out, qr{write|"ws_bus_origin"|pcre}i, 'and what to write');
    }

    my ($rc) = WSBus::Nginx->test_config(http =>
        'ws_bus_zone zone=events:8m; ws_bus_origin same; ws_bus_origin any;');
    is($rc, 1, 'twice: refused');
};


$nginx->finish;
done_testing;
