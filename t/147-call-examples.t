# SPDX-License-Identifier: BSD-2-Clause
# The examples about calls do what they say: PostgREST's queries, a cache,
# headers that tell the backend who asks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json true false);
use Test::More;

use WSBus::Client;
use WSBus::Example;
use WSBus::JWT;
use WSBus::Nginx;
use WSBus::PostgREST;

my @people = (
    { id => 1, owner => 'ann', status => 'new',  total => 10, note => 'a,b' },
    { id => 2, owner => 'ann', status => 'paid', total => 20, note => '"q"' },
    { id => 3, owner => 'bob', status => 'new',  total => 30, note => '' },
    { id => 4, owner => 'ann', status => 'sent', total => 40, note => 'x' },
);
my $backend = WSBus::PostgREST->start({
    orders   => [ map { { %$_ } } @people ],
    products => [ map { { id => $_ } } 1 .. 3 ],
});

my ($nginx, $c, $n);

sub example {
    my ($name, $workers, $change) = @_;

    my $back = $backend->port;
    $nginx = WSBus::Example::nginx($name, workers => $workers // 1,
        change => sub {
            s/127\.0\.0\.1:3000/127.0.0.1:$back/;
            s{/var/cache/nginx/}{%%PREFIX%%/}g;
            $change->() if $change;
        });
    $nginx->write_file('jwt.key', 'a secret of the tests only, ' x 2);
    $nginx->start;
    $c = WSBus::Client->new($nginx);

    return;
}

sub token {
    my (%claims) = @_;
    my $key = bless { secret => 'a secret of the tests only, ' x 2 },
                    'WSBus::JWT';
    return 'Bearer ' . $key->token('HS256', \%claims);
}

sub ask {
    my ($ws, $operation, $entity, %more) = @_;
    my $id = 'e' . ++$n;
    $ws->send({ type => 'request', id => $id, operation => $operation,
                entity_type => $entity, %more });
    return $ws->wait_for(sub { ($_->{id} // '') eq $id });
}

# since it was asked the last time

sub asked {
    my $ua = $c->ua->get('http://127.0.0.1:' . $backend->port . '/-/asked');
    return @{ $ua->res->json };
}

sub done { $c->close_all; $nginx->quit; $nginx->finish; return }


subtest 'calls-postgrest.conf' => sub {
    example('calls-postgrest.conf');

    my $token = token(sub => 'ann');
    my $ann   = $c->open('/ws', Authorization => $token);

    my $ids = sub {
        my ($filters, %options) = @_;
        my $got = ask($ann, read => 'order', options => {
            filters => [ map { my ($column, $operator, $value, @or) = @$_;
                { column => $column, operator => $operator, value => $value,
                  @or ? (logic_operator => 'OR') : () } } @$filters ],
            sort => [ { column => 'id' } ], %options });
        return join ' ', map { $_->{id} } @{ $got->{data} }
            if $got->{success};
        return "$got->{error}{code}: $got->{error}{message}";
    };

    is($ids->([]), '1 2 4', 'its own rows');
    is($ids->([ [ status => eq => 'new' ] ]), '1', 'eq');
    is($ids->([ [ status => neq => 'new' ] ]), '2 4', 'neq');
    is($ids->([ [ total => gt => 20 ] ]), '4', 'gt');
    is($ids->([ [ total => gte => 20 ] ]), '2 4', 'gte');
    is($ids->([ [ total => lt => 20 ] ]), '1', 'lt');
    is($ids->([ [ total => lte => 20 ] ]), '1 2', 'lte');
    is($ids->([ [ status => like => '%e_' ] ]), '1', 'like');
    is($ids->([ [ status => ilike => 'P%' ] ]), '2', 'ilike');
    is($ids->([ [ note => in => [ 'a,b', '"q"' ] ] ]), '1 2', 'in');
    is($ids->([ [ status => eq => 'new' ], [ total => gte => 40, 'OR' ] ]),
       '1 4', 'OR');
    is($ids->([ [ total => gte => 20 ], [ note => eq => '"q"' ],
                [ note => eq => 'x', 'OR' ] ]), '2 4', 'AND of an OR');
    is($ids->([ [ status => eq => 'new&owner=eq.bob' ] ]), '',
       'no value becomes a parameter');
    like($ids->([ [ owner => eq => 'bob' ] ]), qr/^unauthorized: /,
         'not its own condition on that column');
    like($ids->([ [ colour => eq => 'red' ] ]), qr/^validation_error: no colu/,
         'a column that there is not');

    my $got = ask($ann, read => 'order', options => {
        columns => [qw(id total)], sort => [ { column => 'total',
        direction => 'desc' } ], limit => 2, offset => 1 });
    is_deeply($got->{data}, [ { id => 2, total => 20 },
                              { id => 1, total => 10 } ],
              'columns, sort, limit, offset');
    is_deeply($got->{metadata}, { total => 3, count => 2 }, 'the total');

    is(ask($ann, read => 'order', entity_id => 2)->{data}{status}, 'paid',
       'one');
    is(ask($ann, read => 'order', entity_id => 3)->{status}, 404,
       'not that of others');
    is(ask($ann, update => 'order', entity_id => 1,
           data => { status => 'paid' })->{data}{status}, 'paid', 'update');
    is(ask($ann, update => 'order', entity_id => 3,
           data => { status => 'paid' })->{error}{code}, 'update_error',
       'not that of others');
    is(ask($ann, delete => 'order', entity_id => 3)->{status}, 404,
       'nor delete it');
    is(ask($ann, create => 'order', data => { owner => 'ann', id => 9 })
       ->{data}[0]{id}, 9, 'create');
    is(ask($ann, create => 'order', data => { owner => 'bob' })->{error}{code},
       'unauthorized', 'not for others');
    is(ask($ann, delete => 'order', entity_id => 9)->{success}, true,
       'delete');
    is(ask($ann, read => 'cars')->{error}{code}, 'model_not_found',
       'what is not mapped');

    is((asked())[0]{Authorization}, $token, 'the token goes with it');
    done();
};


subtest 'calls-cached.conf' => sub {
    example('calls-cached.conf', 2);
    asked();

    my @clients = map { $c->open('/ws') } 1 .. 20;
    my @ids;
    for my $ws (@clients) {
        $ws->send({ type => 'request', id => "c$_", operation => 'read',
                    entity_type => 'product' }) for 1 .. 10;
    }
    my $right = 0;
    for my $ws (@clients) {
        for (1 .. 10) {
            my $m = $ws->wait_type('response');
            $right++ if $m->{success} && @{ $m->{data} } == 3;
        }
    }
    is($right, 200, 'two hundred answers');
    my @lines = asked();
    cmp_ok(scalar @lines, '<=', 10, 'of few questions') or diag(scalar @lines);
    is_deeply([ grep { defined $_->{Authorization} || defined $_->{Cookie} }
                @lines ], [], 'without anybody\'s headers');
    done();
};


subtest 'calls-jwt-headers.conf' => sub {
    example('calls-jwt-headers.conf');
    asked();

    for my $who ([ ann => 'acme' ], [ bob => 'globex' ]) {
        my ($user, $tenant) = @$who;
        my $ws = $c->open('/ws', Authorization => token(sub => $user,
            tenant => $tenant), Cookie => 'a=b', 'X-Tenant' => 'forged');
        ask($ws, create => 'order', data => {});
        my ($asked) = asked();
        is_deeply($asked, { 'X-Tenant' => $tenant, 'X-User' => $user,
                            Authorization => undef, Cookie => undef,
                            line => 'POST /orders' }, "who asks: $user");
    }
    done();
};

# not an example, but the same backend tells

subtest 'a renewed token' => sub {
    example('calls-jwt-headers.conf', 1, sub {
        s/(ws_bus_call_header\s+)Accept-Language/$1Authorization Cookie/;
        s/(X-User\s+)\$ws_bus_jwt_claim_sub/$1\$ws_bus_jwt_claim_nonce/;
        s/(ws_bus_jwt \s+)/$1\$cookie_token /;
    });
    asked();

    my @claims = (sub => 'ann', tenant => 'acme');
    my %token = map { $_ => token(@claims, nonce => "n-$_") } 1 .. 4;
    my $bare = sub { $_[0] =~ s/^Bearer //r };

    my $ws = $c->open('/ws', Authorization => $token{1});
    for my $n (1 .. 3) {
        ask($ws, create => 'order', data => {});
        my ($asked) = asked();
        is($asked->{'X-User'}, "n-$n", "the claims of token $n");
        is($asked->{Authorization}, $token{$n}, 'and the token');
        $ws->send({ type => 'auth', token => $bare->($token{ $n + 1 }) });
        is($ws->next->{type}, 'auth', 'renewed');
    }

    # what is passed on is another one, which nobody has renewed
    $ws = $c->open('/ws', Authorization => 'Basic abc',
                   Cookie => 'token=' . $bare->($token{1}));
    $ws->send({ type => 'auth', token => $bare->($token{2}) });
    is($ws->next->{type}, 'auth', 'a token from a cookie is renewed');
    ask($ws, create => 'order', data => {});
    my ($asked) = asked();
    is($asked->{Authorization}, 'Basic abc', 'not in Authorization');
    is($asked->{Cookie}, 'token=' . $bare->($token{1}), 'nor in the cookie');
    is($asked->{'X-User'}, 'n-2', 'but its claims');
    done();
};

done_testing;
