# SPDX-License-Identifier: BSD-2-Clause
# The status page of one tenant: its own figures, and nothing of others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(workers => 2, fixed_workers => 1,
    http => WSBus::Nginx::minimal(zone => 'zone=events:1m',
                                  http => 'ws_bus_zone zone=second:1m;
                                           ws_bus_max_subscriptions 100000;',
                                  server => <<'END'))->start;
    location /of/ws     { ws_bus events; ws_bus_tenant $arg_t; }
    location /second/ws { ws_bus second; ws_bus_tenant $arg_t; }
    location /of/status { ws_bus_status; ws_bus_tenant $arg_t; }
    location /in/ {
        ws_bus_tenant acme;
        location /in/status { ws_bus_status any; }
    }
END

my $port = $nginx->port;

sub get {
    my ($path) = @_;
    my $raw = WSBus::Raw->new($port);
    $raw->write("GET $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    my $res = $raw->response;
    return ($res->{status}, eval { decode_json($res->{body}) }, $res->{body});
}

sub of {
    my ($tenant, $name) = @_;
    my (undef, $json) = get("/of/status?t=$tenant");
    my ($zone) = grep { $_->{name} eq ($name // 'events') } @{ $json->{zones} };
    return $zone;
}

sub figures {
    my ($tenant, $name) = @_;
    my $zone = of($tenant, $name);
    return join ' ', "$zone->{connections}/$zone->{subscriptions}",
                     sort map { encode_json($_->{filter}) . "*$_->{count}" }
                          @{ $zone->{filters} };
}

# figures of another worker may be a moment late

sub becomes {
    my ($code, $expect, $what) = @_;
    my $got;
    WSBus::Nginx::await(sub { ($got = $code->()) eq $expect });
    return is($got, $expect, $what);
}

sub connect_as {
    my ($tenant, $path) = @_;
    $path //= '/of/ws';
    return WSBus::Raw->open($port, path => $tenant eq '' ? '/ws'
                                                         : "$path?t=$tenant");
}


subtest 'an empty one' => sub {
    my ($code, $json) = get('/of/status?t=acme');
    is($code, 200, "the status");
    is_deeply([ sort keys %$json ], [qw(version zones)], 'what it has');
    is_deeply($json->{zones},
              [ map { { name => $_, connections => 0, subscriptions => 0,
                        filters => [] } } qw(events second) ],
              'nothing yet');

    is((get('/of/status?t='))[0], 400, 'an empty tenant: 400');
    is((get('/of/status'))[0], 400, 'none: 400');
    is((get('/of/status?t=' . 'a' x 257))[0], 400, 'one that is too long: 400');
    is((get('/of/status?t=' . 'a' x 256))[0], 200, '256 bytes: 200');
    is_deeply((get('/in/status'))[1], $json, 'the directive of an outer level');
};


# of each tenant one on each worker, more or less

my @ws;

subtest 'two tenants, and none' => sub {
    for my $tenant ('acme', 'globex', '') {
        push @ws, map { connect_as($tenant) } 1 .. 4;
    }

    $_->subscribe({ entity_type => 'order' }) for @ws;
    $ws[0]->subscribe({ entity_id => 'secret-of-acme' });
    $ws[4]->subscribe({ entity_id => "secret-of-globex-$_" }) for 1 .. 3;
    $ws[8]->subscribe({ entity_id => 'secret-of-none' });

    my $order = '{"entity_type":"order"}*4';

    becomes(sub { figures('acme') },
            qq(4/5 {"entity_id":"secret-of-acme"}*1 $order), 'acme');
    becomes(sub { figures('globex') },
            join(' ', '4/7',
                 map({ qq({"entity_id":"secret-of-globex-$_"}*1) } 1 .. 3),
                 $order),
            'globex');
    is(figures('initech'), '0/0', 'one that is not there');
    is(figures('acm'), '0/0', 'a part of a name');
    is(figures('ACME'), '0/0', 'case counts');
    is(figures('acme', 'second'), '0/0', 'the other bus');

    # whatever else is in it, nothing tells of others

    for my $t ('acme', 'initech') {
        my ($code, $json, $text) = get("/of/status?t=$t");
        unlike($text, qr/globex|none/, "$t: no word of others");
        is_deeply([ sort map { keys %$_ } @{ $json->{zones} } ],
                  [ sort((qw(connections filters name subscriptions)) x 2) ],
                  "$t: no figure of others");
    }

    my ($code, $all) = get('/status');
    my ($zone) = grep { $_->{name} eq 'events' } @{ $all->{zones} };
    is($zone->{totals}{subscriptions}, 17, 'the page of all has all');
    my ($row) = grep { encode_json($_->{filter}) eq '{"entity_type":"order"}' }
                @{ $zone->{filters} };
    is($row->{count}, 12, 'equal filters of tenants are one line there');
    my $filters = 0;
    $filters += $_->{filters} for @{ $zone->{workers} };
    cmp_ok($filters, '>=', 8, 'workers have their filters,');
    cmp_ok($filters, '<=', 11, 'and only these are counted');
};


subtest 'when others do something, it does not change' => sub {
    my $before = (get('/of/status?t=acme'))[2];
    my $pub    = WSBus::Raw->new($port);

    for my $tenant ('"globex"', 'null', '"acme"') {
        $pub->post('/publish', qq({"tenant":$tenant,"action":"created",)
                   . '"entity_type":"order","entity_id":"1"}');
    }
    my $other = connect_as('globex');
    $other->subscribe({});
    $other->send_text('nonsense');
    $other->read_json;

    is((get('/of/status?t=acme'))[2], $before, 'not a byte');
    $other->close;
    becomes(sub { figures('globex') =~ /^(\S+)/ ? $1 : '' }, '4/7', 'it left');
};


subtest 'less' => sub {
    $ws[0]->send_text('{"type":"unsubscribe","subscription_id":"sub_2"}');
    becomes(sub { figures('acme') }, '4/4 {"entity_type":"order"}*4',
            'unsubscribed');

    $_->close for @ws[ 0, 1 ];
    becomes(sub { figures('acme') }, '2/2 {"entity_type":"order"}*2', 'closed');
    is(figures('globex') =~ /^(\S+)/ && $1, '4/7', 'globex is as it was');

    $_->close for @ws[ 2 .. $#ws ];
    becomes(sub { figures($_) }, '0/0', "$_: all have left")
        for qw(acme globex);

    becomes(sub { my ($z) = @{ (get('/status'))[1]{zones} };
                  $z->{chunks} - $z->{chunks_free} }, 0,
            'and left no chunk behind');
};


subtest 'a worker that dies takes its figures along' => sub {
    my @more = map { connect_as('acme') } 1 .. 12;
    $_->subscribe({}) for @more;
    becomes(sub { figures('acme') }, '12/12 {}*12', 'twelve');

    # the one that has most of them

    my ($zone)  = @{ (get('/status'))[1]{zones} };
    my ($first) = sort { $b->{connections} <=> $a->{connections} }
                  @{ $zone->{workers} };
    my $left    = 12 - $first->{connections};

    $nginx->kill_worker($first->{pid});
    becomes(sub { figures('acme') }, $left ? "$left/$left {}*$left" : '0/0',
            "$left are left");

    $_->close for @more;
    becomes(sub { figures('acme') }, '0/0', 'none');
};


subtest 'a registry that is full' => sub {
    my ($ws, $n, $got) = (connect_as('acme'), 0);

    do { $got = $ws->subscribe({ entity_id => 'f' . ++$n }) }
        until $got->{type} ne 'subscribed' || $n > 100_000;

    is($got->{code}, 'registry_full', "full after $n");
    is(of('acme')->{subscriptions}, $n - 1, 'who was refused is not counted');

    my @late = map { connect_as("late-$_") } 1 .. 3;
    ok($_->alive, 'a connection is not refused for it') for @late;

    $ws->close;
    becomes(sub { figures('acme') }, '0/0', 'it left');

    $late[0]->subscribe({});
    my $zone = of('late-1');
    ok($zone->{subscriptions} <= $zone->{connections},
       'a connection that could not be counted has no subscriptions there');
    $_->close for @late;
    becomes(sub { figures('late-1') }, '0/0', 'and leaves nothing');
};


$nginx->finish;
done_testing;
