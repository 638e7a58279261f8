# SPDX-License-Identifier: BSD-2-Clause
# The status of all zones as JSON.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json);
use Test::More;

use WSBus::Client;
use WSBus::Nginx;

my $nginx = WSBus::Nginx->new(workers => 2, fixed_workers => 1,
    http => WSBus::Nginx::minimal(http => <<'END', server => <<'END2'))->start;
    set_real_ip_from 127.0.0.1;
    real_ip_header   X-Real-IP;
    ws_bus_zone zone=second:2m;
END
    location /status/any   { ws_bus_status any; }
    location /second/ws    { ws_bus second; }
END2

my $c = WSBus::Client->new($nginx);

sub order {
    return { action => 'created', entity_type => 'order', entity_id => 'o',
             data => {}, @_ };
}

sub zone {
    my ($name) = @_;
    my ($zone) = grep { $_->{name} eq ($name // 'events') }
                 @{ $c->status->{zones} };
    return $zone // {};
}

sub sum {
    my ($zone, $field) = @_;
    my $n = 0;
    $n += $_->{$field} for @{ $zone->{workers} };
    return $n;
}

# figures of another worker may be a moment late

sub becomes {
    my ($code, $expect, $what) = @_;

    my $got;
    WSBus::Nginx::await(sub { ($got = $code->() // 'none') eq $expect });

    return is($got, $expect, $what);
}


subtest 'the answer' => sub {
    my ($code, $json, $head, $text) = $c->get('/status');

    is($code, 200, 'status');
    like($head->content_type, qr{^application/json\b}, 'JSON');
    like($json->{version}, qr{\A\d+\.\d+\.\d+\z}, 'version');
    like($nginx->error_log, qr{: ws_bus \Q$json->{version}\E$}m,
         'which the error log names at the start');

    is(join(' ', sort map { $_->{name} } @{ $json->{zones} }), 'events second',
       'all zones');

    my ($zone) = grep { $_->{name} eq 'events' } @{ $json->{zones} };

    is($zone->{size}, 8 << 20, 'size');
    like($zone->{used}, qr/^\d+$/, 'used');
    like($zone->{epoch}, qr/^[0-9A-Za-z]+$/, 'epoch');
    ok(exists $zone->{$_}, $_) for qw(first_id last_id workers filters totals);

    is(scalar @{ $zone->{workers} }, 2, 'a row for each worker');
    is_deeply([ sort { $a <=> $b } map { $_->{pid} } @{ $zone->{workers} } ],
              [ $nginx->worker_pids ], 'with its pid');

    for my $worker (@{ $zone->{workers} }) {
        like($worker->{$_}, qr/^\d+(?:\.\d+)?$/, $_)
            for qw(generation connections subscriptions lag longest_turn_ms);
    }

    like($zone->{totals}{$_}, qr/^\d+$/, "total $_")
        for qw(events deliveries errors);
};


subtest 'who may ask, and how' => sub {
    my @far = ('X-Real-IP' => '203.0.113.9');

    is(($c->get('/status', @far))[0], 403, 'another host: 403');
    is(($c->get('/status/any', @far))[0], 200, 'with any: 200');

    my ($code, undef, $head) = $c->request('POST', '/status', '{}');
    is($code, 405, 'POST: 405');
    like($head->header('Allow') // '', qr/\bGET\b/, 'Allow');

    my ($status, undef, undef, $text) = $c->request('HEAD', '/status', '');
    is($status, 200, 'HEAD: 200');
    is($text, '', 'without a body');
};


subtest 'connections and subscriptions' => sub {
    becomes(sub { sum(zone(), 'connections') }, 0, 'no connection');

    my @ws = $c->connect_many(5);
    $_->wait_type('welcome') for @ws;

    becomes(sub { sum(zone(), 'connections') }, 5, 'five connections');
    becomes(sub { sum(zone(), 'subscriptions') }, 0, 'no subscription');

    $_->subscribe({ entity_type => 'order' }) for @ws;
    $ws[0]->subscribe({});
    becomes(sub { sum(zone(), 'subscriptions') }, 6, 'six subscriptions');
    is(sum(zone('second'), 'connections'), 0, 'none in the other zone');

    $ws[0]->ask({ type => 'unsubscribe', subscription_id => 'sub_2' });
    becomes(sub { sum(zone(), 'subscriptions') }, 5, 'unsubscribed');

    $_->finish for @ws[ 0, 1 ];
    becomes(sub { sum(zone(), 'connections') }, 3, 'two are closed');
    becomes(sub { sum(zone(), 'subscriptions') }, 3,
            'with their subscriptions');

    $_->finish for @ws[ 2 .. 4 ];
    becomes(sub { sum(zone(), 'connections') }, 0, 'all are closed');
    becomes(sub { scalar @{ zone()->{filters} } }, 0, 'no filter is left');
};


subtest 'filters' => sub {
    my @ws = $c->connect_many(4);
    $_->wait_type('welcome') for @ws;

    $_->subscribe({ entity_type => 'order', entity_id => 7 }) for @ws;
    $ws[0]->subscribe({ kind => [qw(entity link)] });
    $ws[1]->subscribe({});

    my $count = sub {
        my ($key) = @_;
        my $n = 0;
        for my $row (@{ zone()->{filters} }) {
            $n += $row->{count}
                if Mojo::JSON::encode_json($row->{filter}) eq $key;
        }
        return $n;
    };

    becomes(sub { $count->('{"entity_id":"7","entity_type":"order"}') }, 4,
            'equal ones are counted');
    becomes(sub { $count->('{"kind":["entity","link"]}') }, 1, 'an array');
    becomes(sub { $count->('{}') }, 1, 'that of all');

    $ws[3]->finish;
    becomes(sub { $count->('{"entity_id":"7","entity_type":"order"}') }, 3,
            'fewer, once a connection is closed');

    $_->finish for @ws[ 0 .. 2 ];
};


subtest 'totals' => sub {
    my @ws = $c->connect_many(3);
    $_->wait_type('welcome'), $_->subscribe({ entity_type => 'order' }) for @ws;

    my $zone = zone();
    my %was  = %{ $zone->{totals} };

    my (undef, $reply) = $c->publish([ map { order() } 1 .. 10 ]);
    for my $ws (@ws) { $ws->wait_type('event') for 1 .. 10 }

    becomes(sub { zone()->{totals}{events} - $was{events} }, 10, 'events');
    becomes(sub { zone()->{totals}{deliveries} - $was{deliveries} }, 30,
            'deliveries');
    is(zone()->{last_id}, $reply->{last_id}, 'last_id');

    $ws[0]->ask('nonsense') for 1 .. 3;
    becomes(sub { zone()->{totals}{errors} - $was{errors} >= 3 ? 'more' : '' },
            'more', 'errors');

    cmp_ok(zone()->{used}, '>', 0, 'used');
    cmp_ok(zone()->{used}, '>=', $zone->{used}, 'grows with events');

    becomes(sub { sum(zone(), 'lag') }, 0, 'no worker lags');

    $_->finish for @ws;
};


# What a table of the document has in its first column, that of the status
# page under this introduction.

sub documented {
    my ($intro) = @_;

    open my $fh, '<:encoding(UTF-8)', "$FindBin::Bin/../docs/directives.md"
        or die "docs/directives.md: $!\n";
    local $/;
    my ($rows) = <$fh> =~ /^For \Q$intro\E[^\n]*:\n\n((?:\|[^\n]*\n)+)/m;

    return map { /`(\w+)`/g } map { (split /\|/)[1] } split /\n/, $rows // '';
}


subtest 'the document has what the status shows' => sub {
    my $zone = zone();

    my @workers = documented('each element of `workers`');
    my @totals  = documented('`totals`');

    cmp_ok(scalar @$_, '>', 5, 'a table is found') for \@workers, \@totals;

    is(join(' ', sort @workers), join(' ', sort keys %{ $zone->{workers}[0] }),
       'of each worker');
    is(join(' ', sort @totals), join(' ', sort keys %{ $zone->{totals} }),
       'of the totals');
};


subtest 'the status after a reload' => sub {
    my ($before) = map { $_->{generation} } @{ zone()->{workers} };

    ok($nginx->reload, 'reload');

    becomes(sub { join ' ', sort { $a <=> $b } map { $_->{pid} }
                            @{ zone()->{workers} } },
            join(' ', $nginx->worker_pids), 'the new workers');
    becomes(sub { scalar grep { $_->{generation} > $before }
                         @{ zone()->{workers} } },
            2, 'of a newer generation');
};


subtest 'names that JSON must escape' => sub {
    my $ws = $c->open;
    my $word = "a\"b\\c\n</script>\x{e9}";

    $ws->subscribe({ entity_type => $word });

    becomes(sub {
        scalar grep { ($_->{filter}{entity_type} // '') eq $word }
               @{ zone()->{filters} };
    }, 1, 'a filter');
};


$nginx->finish;
done_testing;
