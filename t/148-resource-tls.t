# SPDX-License-Identifier: BSD-2-Clause
# Clients of the resource protocol that others might have written, in Python
# and in JavaScript, before conf.example/resource-json-server.conf and
# json-server: each operation, each error that they can cause, plain and by
# TLS, with one worker and with four.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IPC::Open2;
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::Example;
use WSBus::JsonServer;
use WSBus::Nginx;

$ENV{NODE_PATH} = join ':', grep { length } $ENV{NODE_PATH},
                  '/usr/share/nodejs';

my %client = (
    Python     => [ '/usr/bin/python3', "$FindBin::Bin/clients/steps.py" ],
    JavaScript => [ 'node', "$FindBin::Bin/clients/steps.js" ],
);

my $true = Mojo::JSON->true;
my $UUID = qr/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

my ($in, $out, @told, $buffer);


# the next line of the client, {} if there is none

sub line {
    my ($timeout) = @_;

    while (index($buffer, "\n") < 0) {
        return {} if !IO::Select->new($out)->can_read($timeout // 10);
        sysread($out, $buffer, 65536, length $buffer) or return {};
    }

    $buffer =~ s/^(.*)\n//;

    return decode_json($1);
}

sub step {
    print $in encode_json([ @_ ]) . "\n";

    while (1) {
        my $m = line();
        return $m->{answer} if $m->{answer};
        if ($m->{told}) { push @told, $m->{told}; next }
        fail("the client goes on after @_[0 .. 1]") or diag(encode_json($m));
        return {};
    }
}

sub told {
    push @told, line()->{told} if !@told;
    return shift @told;
}

sub request { return step('request', @_) }

sub error {
    my ($what, $res, $code) = @_;

    is($res->{error}{code}, $code, "$what: $code") or diag(encode_json($res));
    ok(length($res->{error}{message} // ''), "$what: with a message");

    return;
}


sub drive {
    my ($name, $url) = @_;

    my $pid = open2($out, $in, @{ $client{$name} }, $url);
    ($buffer, @told) = ('');
    $in->autoflush;

    my $res = step('subscribe', 'users', {});
    my $all = $res->{data}{subscription_id};
    like($all, $UUID, 'subscribed');

    $res = step('subscribe', 'users', { filters => [
        { column => 'status', operator => 'eq', value => 'active' },
        { column => 'age', operator => 'gt', value => 17 } ] });
    my $some = $res->{data}{subscription_id};

    $res = request('create', 'users', { data => {
        name => 'Ann', status => 'active', age => 18 } });
    my $id = $res->{data}{id};
    ok($id, 'created') or diag(encode_json($res));

    my $m = told();
    is($m->{operation}, 'create', 'told of it');
    is_deeply($m->{data}, $res->{data}, 'the row');
    is($m->{schema} . '.' . $m->{entity}, 'public.users', 'of this table');
    is_deeply([ sort $m->{subscription_id}, told()->{subscription_id} ],
              [ sort $all, $some ], 'by each subscription');

    $res = request('read', 'users', { record_id => "$id" });
    is($res->{data}{name}, 'Ann', 'read by id');
    is($res->{metadata}{total}, 1, 'total');
    is(request('read', 'users', { record_id => $id })->{data}{name}, 'Ann',
       'by an id that is a number');

    $res = request('update', 'users', { record_id => "$id",
                                        data => { age => 17 } });
    is($res->{data}{age}, 17, 'updated');
    is_deeply({ map { @$_{qw(subscription_id operation)} } told(), told() },
              { $all => 'update', $some => 'delete' },
              'told; where the filter is, that it has left');

    $res = request('read', 'users', { options => { limit => 1,
        filters => [ { column => 'name', operator => 'eq', value => 'Ann' } ],
        sort => [ { column => 'id', direction => 'asc' } ] } });
    is_deeply($res->{metadata}, { total => 1, count => 1 }, 'metadata');
    is($res->{data}[0]{id}, $id, 'the row in an array');

    ok(exists request('meta', 'users', {})->{success}, 'meta is answered');

    $res = request('delete', 'users', { record_id => "$id" });
    ok($res->{success} && exists $res->{data}, 'deleted');
    $m = told();
    is_deeply([ @$m{qw(operation data)} ], [ 'delete', { id => "$id" } ],
              'told of it');

    is(step('ping')->{type}, 'pong', 'ping with an id')
        if $name eq 'JavaScript';

    error('no table', request('read', 'nothing', {}), 'model_not_found');
    error('no row', request('read', 'users', { record_id => '999' }),
          'read_error');
    error('no row', request('update', 'users', { record_id => '999',
          data => { a => 1 } }), 'update_error');
    error('no row', request('delete', 'users', { record_id => '999' }),
          'delete_error');
    error('an id twice', request('create', 'users',
          { data => { id => 1 } }), 'create_error');
    error('an operation', request('drop', 'users', {}), 'invalid_operation');
    error('an operator', request('read', 'users', { options => { filters =>
          [ { column => 'a', operator => 'GT', value => 1 } ] } }),
          'invalid_message');
    error('no id', request('update', 'users', { data => {} }),
          'invalid_message');
    error('not its own', step('unsubscribe', 'none'),
          'subscription_not_found');
    error('none', step('unsubscribe', ''), 'missing_subscription_id');

    for my $sub ($all, $some) {
        is_deeply(step('unsubscribe', $sub)->{data},
                  { unsubscribed => $true, subscription_id => $sub },
                  'unsubscribed');
    }

    request('delete', 'users', { record_id => request('create', 'users',
        { data => { status => 'active', age => 30 } })->{data}{id} });
    is_deeply(\@told, [], 'and told of nothing more');

    close $in;
    is_deeply(line(), {}, 'it ends');
    waitpid $pid, 0;
    is($?, 0, 'in peace');

    return;
}


local $SIG{PIPE} = 'IGNORE';

my $backend = WSBus::JsonServer->start({ users => [ { id => 1,
    name => 'Zoe', status => 'away', age => 40 } ], orders => [] });

diag('tested with a stand-in for json-server: ' . $backend->stand_in)
    if $backend->stand_in;

for my $workers (1, 4) {
    my $nginx = WSBus::Example::nginx('resource-json-server.conf',
        workers => $workers, change => sub {
            s/127\.0\.0\.1:3000/'127.0.0.1:' . $backend->port/e;
            s/^(\s*)(listen .*?);/$1$2;$1listen 127.0.0.1:%%PORT1%% ssl;
    ssl_certificate     %%PREFIX%%\/cert.pem;
    ssl_certificate_key %%PREFIX%%\/key.pem;/m;
        });

    $nginx->certificate->start;

    for my $name (sort keys %client) {
        for my $url ('ws://127.0.0.1:' . $nginx->port . '/ws',
                     'wss://127.0.0.1:' . $nginx->port(1) . '/ws')
        {
            my ($how) = split /:/, $url;
            subtest "$name, $how, $workers workers",
                    sub { drive($name, $url) };
        }
    }

    $nginx->finish;
}

done_testing;
