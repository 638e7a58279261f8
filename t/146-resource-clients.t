# SPDX-License-Identifier: BSD-2-Clause
# Clients of the resource protocol that know nothing of ws_bus, before
# conf.example/resource-json-server.conf and a REST backend that knows nothing
# of it either: in Python, in JavaScript, typed, and all operations and errors.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json true false);
use Test::More;

use WSBus::Backend;
use WSBus::Example;
use WSBus::JsonServer;
use WSBus::Nginx;
use WSBus::Raw;
use WSBus::Resource;

my $rows = WSBus::JsonServer->start({ users => [], orders => [] });
my $raw  = WSBus::Backend->start;

diag('tested with a stand-in for json-server: ' . $rows->stand_in)
    if $rows->stand_in;

my $nginx;

sub start {
    my ($workers) = @_;

    my ($back, $reply) = ($rows->port, $raw->raw);

    $nginx = WSBus::Example::nginx('resource-json-server.conf',
        workers => $workers, change => sub {
            s/127\.0\.0\.1:3000/127.0.0.1:$back/;
            s/^(\s*)(listen .*?);/$1$2;
                listen 127.0.0.1:%%PORT1%% ssl;
                ssl_certificate     %%PREFIX%%\/cert.pem;
                ssl_certificate_key %%PREFIX%%\/key.pem;
                location = \/publish { ws_bus_publish events; }
                location = \/raw {
                    ws_bus events;
                    ws_bus_protocol resource;
                    ws_bus_call_timeout 500ms;
                    ws_bus_call_max_body 2k;
                    ws_bus_backend \/reply;
                }
                location \/reply {
                    internal;
                    proxy_set_header X-Reply \$ws_bus_entity;
                    proxy_pass http:\/\/127.0.0.1:$reply;
                }/m;
        });
    $nginx->certificate;
    $nginx->start;

    ok(WSBus::Nginx::await(sub { $nginx->worker_pids == $workers }),
       "$workers workers");

    return;
}

# no rows any more

sub clear {
    my $ask = sub {
        my ($method, $uri) = @_;
        my $http = WSBus::Raw->new($rows->port);
        $http->write("$method $uri HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                     . "Connection: close\r\n\r\n");
        return $http->response->{body};
    };
    $ask->(DELETE => "/users/$_->{id}") for @{ decode_json($ask->(GET =>
                                                                  '/users')) };
    return;
}

# what a client says of its steps: the rest of the line by step, in order

sub run_client {
    my (@command) = @_;

    local $ENV{NODE_PATH} = '/usr/share/nodejs:/usr/lib/nodejs';

    my ($rc, $out) = WSBus::Nginx::run(60, @command,
        'ws://127.0.0.1:' . $nginx->port . '/ws');
    is($rc, 0, "$command[-1] ends well") or diag($out);

    my (@steps, %said);
    for my $line (split /\n/, $out) {
        my $said = eval { decode_json($line) } or next;
        push @steps, my $step = delete $said->{step};
        $said{$step} = $said;
    }

    return (\%said, @steps);
}


for my $workers (1, 4) {
    start($workers);

    for my $client ([ '/usr/bin/python3', "$FindBin::Bin/clients/resource.py" ],
                    [ 'node', "$FindBin::Bin/clients/resource.js" ]) {
        my ($kind) = $client->[1] =~ /(\w+)\z/;

        subtest "$workers workers: $kind" => sub {
            clear();
            my ($said, @steps) = run_client(@$client);
            my $id  = $said->{create}{data}{id};
            my $ann = { id => $id, name => 'Ann', status => 'active' };

            is_deeply($said->{create}{data}, $ann, 'create');
            is_deeply($said->{'told of the create'},
                      { map { $_ => [ create => 'public', 'users', $ann ] }
                        qw(active every) }, 'both are told');
            is_deeply($said->{'read one'},
                      { data => $ann, metadata => { total => 1 } }, 'read one');
            is_deeply($said->{'read many'},
                      { names => ['Bea'],
                        metadata => { total => 2, count => 1 } }, 'read many');
            $ann->{status} = 'idle';
            is_deeply($said->{update}{data}, $ann, 'update');
            is_deeply($said->{'told of the update'}{every},
                      [ update => 'public', 'users', $ann ], 'it is told');
            is_deeply($said->{'told of the update'}{active},
                      [ delete => 'public', 'users', { id => "$id" } ],
                      'and where it has left');
            is($said->{meta}{data}{primary_key}, 'id', 'meta');
            is_deeply($said->{unsubscribe},
                      { unsubscribed => true, same => true }, 'unsubscribe');
            is_deeply($said->{'told of the delete'}{every},
                      [ delete => 'public', 'users', { id => "$id" } ],
                      'the delete is told');
            is_deeply($said->{'no more'}, { active => true },
                      'not to whom has unsubscribed');

            my %code = (
                'no such entity'            => 'model_not_found',
                'read one that is gone'     => 'read_error',
                'update one that is gone'   => 'update_error',
                'delete one that is gone'   => 'delete_error',
                'unsubscribe again'         => 'subscription_not_found',
                'unsubscribe nothing'       => 'missing_subscription_id',
                'another operation'         => 'invalid_operation',
                'another operation of a subscription'
                                            => 'invalid_subscription_operation',
                'another type'              => 'invalid_message_type',
                'no entity'                 => 'invalid_message',
                'an unknown operator'       => 'invalid_message',
            );
            is($said->{$_}{code}, $code{$_}, $_) for sort keys %code;
            is($steps[-1], 'closed', 'and closes');
        };
    }


    subtest "$workers workers: typed" => sub {
        clear();
        my $js = $nginx->file('resource.js');
        my ($rc, $out) = WSBus::Nginx::run(20, 'esbuild', '--bundle',
            '--platform=node', '--external:ws', "--outfile=$js",
            "$FindBin::Bin/clients/resource.ts");
        is($rc, 0, 'it is compiled') or diag($out);

        my ($said, @steps) = run_client('node', $js);
        is_deeply($said, {
            'create'             => { name => 'Cid' },
            'told of the create' => { operation => 'create' },
            'read one'           => { name => 'Cid', total => 1 },
            'told of the update' => { name => 'Dea' },
            'told of the delete' => { same => true },
            'ping'               => { pong => true },
            'no such entity'     => { code => 'model_not_found' },
            'delete one that is gone' => { code => 'delete_error' },
            'unsubscribe again'  => { code => 'subscription_not_found' },
            'closed'             => {},
        }, 'all that it does');
    };


    for my $tls (0, 1) {
        my $how = "$workers workers, " . ($tls ? 'TLS' : 'plain');
        my $to  = sub {
            my ($path) = @_;
            return WSBus::Resource->new($nginx->port($tls), ssl => $tls,
                                        path => $path // '/ws');
        };

        subtest "$how: each operation" => sub {
            clear();
            my $client = $to->();
            my %made;

            for my $n (1 .. 5) {
                my $res = $client->ask({ type => 'request',
                    operation => 'create', entity => 'users',
                    data => { name => "n-$n", age => $n, vip => $n > 3 } });
                ok($res->{success}, "create $n");
                $made{$n} = $res->{data}{id};
            }

            my $read = sub {
                my $res = $client->ask({ type => 'request',
                    operation => 'read', entity => 'users', @_ });
                return $res if !$res->{success};
                return ref $res->{data} eq 'ARRAY'
                    ? join ' ', map { $_->{age} } @{ $res->{data} }
                    : $res->{data}{age};
            };
            my $where = sub {
                my ($column, $operator, $value) = @_;
                return $read->(options => {
                    filters => [ { column => $column, operator => $operator,
                                   value => $value } ],
                    sort => [ { column => 'name' } ] });
            };

            is($read->(record_id => $made{2}), 2, 'record_id as a number');
            is($read->(record_id => "$made{3}"), 3, 'and as a string');
            is($where->(age => eq => 2), '2', 'eq');
            is($where->(age => neq => 2), '1 3 4 5', 'neq');
            is($where->(age => gte => 4), '4 5', 'gte');
            is($where->(age => lte => 2), '1 2', 'lte');
            is($where->(name => ilike => 'N-%'), '1 2 3 4 5', 'ilike');
            is($where->(name => in => [ 'n-1', 'n-5' ]), '1 5', 'in');
            is($where->(age => $_ => 1)->{error}{code}, 'invalid_message',
               "json-server has no $_") for qw(gt lt like);
            is($read->(schema => 'public', options =>
                       { sort => [ { column => 'name', direction => 'desc' } ],
                         limit => 2, offset => 1 }), '4 3',
               'sort, limit, offset; the schema named');

            my $res = $client->ask({ type => 'request', operation => 'update',
                entity => 'users', record_id => "$made{1}",
                data => { age => 10 } });
            is($res->{data}{age}, 10, 'update');
            is($client->ask({ type => 'request', operation => 'delete',
                entity => 'users', record_id => "$made{1}" })->{success}, true,
               'delete');
            is($client->ask({ type => 'request', operation => 'meta',
                entity => 'users' })->{data}{entity}, 'users', 'meta');
            is($client->ask({ type => 'request', operation => 'meta',
                entity => 'cars' })->{error}{code}, 'model_not_found',
               'meta of what there is not');
            is_deeply([ $client->faults ], [], 'no faults');
        };

        subtest "$how: each way to fail" => sub {
            my $client = $to->('/raw');
            my $held   = $WSBus::Backend::HOLD;
            my $bytes  = sub { WSBus::Backend::bytes(@_) };
            my $n      = 0;

            for my $try (
                [ 401, 'unauthorized' ], [ 403, 'unauthorized' ],
                [ 404 ], [ 410 ], [ 500 ], [ 502 ], [ 503 ], [ 302 ],
                [ 400, 'validation_error' ], [ 409, 'validation_error' ],
                [ 412, 'validation_error' ], [ 422, 'validation_error' ],
                [ 413, 'too_large' ], [ 429, 'too_many_requests' ],
                [ 504, 'timeout' ], [ $held, 'timeout' ],
                [ 'x' x 3000, 'too_large' ], [ 'short' ], [ 'no JSON' ])
            {
                my ($answer, $code) = @$try;
                for my $operation (qw(read create update delete)) {
                    next if $answer eq 'no JSON' && $operation ne 'read';
                    my $name = 'fails-' . ++$n;
                    $raw->leave($name,
                        $answer =~ /^\d+\z/ ? $bytes->($answer,
                            '{"title":"no","detail":"because"}', headers => [
                            'Content-Type' => 'application/problem+json',
                            'Retry-After' => 7, 'Location' => '/x' ])
                        : $answer eq 'short' ? substr $bytes->(500, '{}'), 0, 9
                        : $answer eq 'no JSON' ? $bytes->(200, '<p>')
                        : $answer =~ /^x/ ? $bytes->(200, qq("$answer"))
                        : $answer);
                    my $res = $client->ask({ type => 'request',
                        operation => $operation, entity => $name,
                        $operation =~ /^(?:update|delete)/
                            ? (record_id => '1') : (),
                        $operation =~ /^(?:update|create)/
                            ? (data => {}) : () });
                    my $what = length $answer > 9 ? 'long' : $answer;
                    $what = 'late' if $answer eq $held;
                    is($res->{error}{code}, $code // "${operation}_error",
                       "$operation: $what");
                    is($res->{error}{message}, 'because', 'its words')
                        if ($code // '') eq 'validation_error';
                    is($res->{error}{retry_after}, 7, 'when to come again')
                        if $answer eq '429';
                }
            }
            is_deeply([ $client->faults ], [], 'no faults');
        };

        subtest "$how: in order, and the writer first" => sub {
            clear();
            my $client = $to->();
            my $id = $client->subscribe('users');
            my $ws = $client->ws;

            # its answer, then what it is told, fifty times
            $ws->send_text(encode_json({ id => "o-$_", type => 'request',
                operation => 'create', entity => 'users',
                data => { name => "o-$_" } })) for 1 .. 50;

            my (@answers, @told, @early);
            until (@answers == 50 && @told == 50) {
                my $m = $client->listen // last;
                if ($m->{type} eq 'response') {
                    push @answers, $m->{id};
                } else {
                    push @told, my $name = $m->{data}{name};
                    push @early, $name if !grep { $_ eq $name } @answers;
                }
            }
            my @all = map { "o-$_" } 1 .. 50;
            is("@answers", "@all", 'answers in the order of the requests');
            is("@told", "@all", 'each is told once');
            is("@early", '', 'never before the answer');

            # a slow one holds back those behind it
            $client = $to->('/raw');
            $raw->leave('order-slow', $WSBus::Backend::HOLD
                                      . WSBus::Backend::bytes(200, '[1]'));
            $raw->leave('order-quick', WSBus::Backend::bytes(200, '[2]'));
            for my $name (qw(order-slow order-quick)) {
                $client->ws->send_text(encode_json({ id => $name,
                    type => 'request', operation => 'read',
                    entity => $name }));
            }
            WSBus::Nginx::await(sub { $raw->got('order-slow') });
            $raw->go('order-slow');
            $client->listen for 1, 2;
            is_deeply([ map { $client->{answers}{$_}{data} }
                        qw(order-slow order-quick) ], [ [1], [2] ], 'both');
        };
    }

    $nginx->quit;
    $nginx->finish;
}

done_testing;
