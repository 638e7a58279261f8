# SPDX-License-Identifier: BSD-2-Clause
# Health: 200 while this nginx serves clients, 503 with the reason otherwise.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json);
use Test::More;

use WSBus::Client;
use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(
    http => WSBus::Nginx::minimal(http => <<'END', server => <<'END2'))->start;
    set_real_ip_from 127.0.0.1;
    real_ip_header   X-Real-IP;
END
    location = /health     { ws_bus_status health; }
    location = /health/any { ws_bus_status any health; }
    location = /health/of  { ws_bus_status health; ws_bus_tenant $arg_t; }
    location = /json       { ws_bus_status json; }
    location = /reading    { stub_status; }
END2

my $c   = WSBus::Client->new($nginx);
my @far = ('X-Real-IP' => '203.0.113.9');


subtest 'ready' => sub {
    my ($code, $json, $head) = $c->get('/health');

    is($code, 200, '200');
    is_deeply($json, { status => 'ready', reasons => [] }, 'no reason');
    like($head->content_type, qr{^application/json\b}, 'JSON');
    is($head->header('Cache-Control'), 'no-store', 'not to be kept');

    is(($c->get('/health', @far))[0], 403, 'another host: 403');
    is(($c->get('/health/any', @far))[0], 200, 'with any: 200');
    is(($c->request('POST', '/health', ''))[0], 405, 'POST: 405');
    is(($c->get('/health/of'))[0], 200, 'it is the same for all tenants');
    is_deeply(($c->get('/health?live'))[1],
              { status => 'live', reasons => [] }, 'live');
    ok(($c->get('/json'))[1]{zones}, 'the word json');
};


# A request whose header has begun goes on being read by a worker that shuts
# down; a connection of which it has read nothing is closed.

sub begin {
    my @raw = map { WSBus::Raw->new($nginx->port) } @_;
    for my $i (0 .. $#raw) {
        $raw[$i]->write("GET $_[$i] HTTP/1.1\r\nHost: a\r\n"
                        . "Connection: close\r\n");
    }

    my $n = @raw;
    ok(WSBus::Nginx::await(sub {
        ($c->get('/reading'))[3] =~ /^Reading: $n /m;
    }), "$n begun");

    return @raw;
}

sub answer {
    my ($raw) = @_;
    $raw->write("\r\n");
    my $res = $raw->response;
    return ($res->{status}, eval { decode_json($res->{body}) } // {});
}


subtest 'an old worker after a reload' => sub {
    my ($raw) = begin('/health');
    ok($nginx->reload, 'reload');
    is((answer($raw))[0], 200, 'the new one serves clients: 200');
};


subtest 'nginx shuts down' => sub {
    my ($ready, $live) = begin('/health', '/health?live');

    # the worker that went with the reload has said the same

    my $said = sub { scalar(() = $nginx->error_log =~ /gracefully shutting down/g) };
    my $before = $said->();
    $nginx->quit;
    ok(WSBus::Nginx::await(sub { $said->() > $before }), 'the worker knows it')
        or diag($nginx->error_log);

    my ($code, $json) = answer($ready);
    is($code, 503, '503');
    is($json->{status}, 'not ready', 'not ready');
    is(join(' ', map { $_->{code} } @{ $json->{reasons} // [] }), 'draining',
       'the reason');
    is((answer($live))[0], 200, 'live all the same');
};


$nginx->finish;
done_testing;
