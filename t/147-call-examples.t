# SPDX-License-Identifier: BSD-2-Clause
# conf.example/calls-cached.conf, calls-jwt-headers.conf and
# calls-postgrest.conf before a backend that answers with what it was asked.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Example;
use WSBus::JWT;
use WSBus::Nginx;
use WSBus::Raw;

my $echo = <<'END';
server {
    listen 127.0.0.1:%%PORT1%%;
    default_type application/json;
    location / {
        return 200 '[{"id":7,"uri":"$request_uri","asked":"$request_id","user":"$http_x_user","tenant":"$http_x_tenant","token":"$http_authorization","method":"$request_method"}]';
    }
}
END

sub nginx {
    my ($name) = @_;

    return WSBus::Example::nginx($name, workers => 2, change => sub {
        s/127\.0\.0\.1:3000/127.0.0.1:%%PORT1%%/ or die;
        s/^(server \{)/$echo\n$1/m or die;
        s/jwt\.key/%%PREFIX%%\/jwt.key/;
        s/\/tmp\/ws_bus-cache/%%PREFIX%%\/cache/;
    });
}

sub row {
    my ($ws, %request) = @_;

    my $res = $ws->ask({ type => 'request', id => '1', operation => 'read',
                         %request });
    ok($res->{success}, 'a response') or diag(explain($res));

    return ref $res->{data} eq 'ARRAY' ? $res->{data}[0] : $res->{data};
}


subtest 'calls-cached.conf' => sub {
    my $nginx = nginx('calls-cached.conf')->start;
    my ($a, $b) = map { WSBus::Raw->open($nginx->port) } 0, 1;

    my $first = row($a, entity_type => 'order');
    is($first->{uri}, '/orders', 'the backend is asked');
    is(row($b, entity_type => 'order')->{asked}, $first->{asked},
       'and once only');
    isnt(row($b, entity_type => 'order', entity_id => 7)->{asked},
         $first->{asked}, 'one row is another answer');
    isnt(row($b, entity_type => 'order', options => { filters => [
         { column => 'a', operator => 'eq', value => 'b' } ] })->{asked},
         $first->{asked}, 'so is a filter');

    my @change = (operation => 'update', entity_type => 'order',
                  entity_id => 7, data => { a => 1 });
    my $change = row($a, @change);
    is($change->{method}, 'PATCH', 'a change gets through');
    isnt(row($a, @change)->{asked}, $change->{asked}, 'each time');

    $nginx->finish;
};


subtest 'calls-jwt-headers.conf' => sub {
    my $key   = WSBus::JWT->key('oct');
    my $nginx = nginx('calls-jwt-headers.conf');
    $nginx->write_file('jwt.key', $key->{secret});
    $nginx->start;

    my $token = $key->token('HS256', { sub => 'u-7', tenant => 'acme' });
    my $ws = WSBus::Raw->open($nginx->port, headers => [
        Authorization => "Bearer $token", 'X-User' => 'root',
        'X-Tenant' => 'other' ]);

    my $row = row($ws, entity_type => 'order');
    is($row->{user}, 'u-7', 'the backend knows who asks');
    is($row->{tenant}, 'acme', 'and for which tenant');
    is($row->{token}, '', 'but gets no token');

    is(WSBus::Raw->new($nginx->port)->handshake->{status}, 401,
       'nobody without a token');

    $nginx->finish;
};


subtest 'calls-postgrest.conf' => sub {
    my $nginx = nginx('calls-postgrest.conf')->start;
    my $ws = WSBus::Raw->open($nginx->port);

    is(row($ws, entity_type => 'orders', entity_id => 7)->{uri},
       '/orders?id=eq.7', 'a row');
    like(row($ws, entity_type => 'orders', options => { limit => 2,
         filters => [ { column => 'total', operator => 'gt', value => 40 } ],
         sort => [ { column => 'id', direction => 'desc' } ] })->{uri},
         qr/^\/orders\?(?=.*total=gt\.40)(?=.*order=id\.desc)(?=.*limit=2)/,
         'rows');

    my $res = $ws->ask({ type => 'request', id => '2', operation => 'read',
                         entity_type => 'secrets' });
    is($res->{error}{code} // $res->{code}, 'model_not_found',
       'no other table');

    $nginx->finish;
};

done_testing;
