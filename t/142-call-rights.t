# SPDX-License-Identifier: BSD-2-Clause
# What a restricted client may change: the row is looked at, then changed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(true false);
use Test::More;

use WSBus::Backend;
use WSBus::Client;
use WSBus::Nginx;

my $backend = WSBus::Backend->start;
my ($rest, $raw) = ($backend->rest, $backend->raw);

sub http {
    return <<"END";
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_cache_path cache keys_zone=rows:1m;
        ws_bus_zone zone=events:8m;
        server {
            listen 127.0.0.1:%%PORT%%;
            location /status { ws_bus_status; }
            location /ws/all {
                ws_bus events;
                ws_bus_backend /rest/\$ws_bus_entity;
            }
            location /ws/rest {
                ws_bus events;
                ws_bus_restrict owner in ann,amy;
                ws_bus_backend /rest/\$ws_bus_entity;
            }
            location /ws/inner {
                ws_bus events;
                ws_bus_restrict owner in ann,amy;
                ws_bus_restrict data.meta.open neq no;
                ws_bus_backend /rest/\$ws_bus_entity;
            }
            location /ws/escaped {
                ws_bus events;
                ws_bus_restrict a\\\\.b eq 1;
                ws_bus_backend /rest/\$ws_bus_entity;
            }
            location /ws/put {
                ws_bus events;
                ws_bus_restrict owner in ann,amy;
                ws_bus_update_method PUT;
                ws_bus_backend /rest/\$ws_bus_entity;
            }
            location /ws/json-server {
                ws_bus events;
                ws_bus_backend_style json-server;
                ws_bus_restrict owner in ann,amy;
                ws_bus_backend /rest/\$ws_bus_entity;
            }
            location /ws/resource {
                ws_bus events;
                ws_bus_protocol resource;
                ws_bus_restrict owner in ann,amy;
                ws_bus_backend /rest/\$ws_bus_entity;
            }
            location /ws/cached {
                ws_bus events;
                ws_bus_restrict owner in ann,amy;
                ws_bus_backend /cached/\$ws_bus_entity;
            }
            location /ws/operation {
                ws_bus events;
                ws_bus_restrict owner in ann,amy;
                ws_bus_backend /rest/\$ws_bus_operation;
            }
            location /ws/quick {
                ws_bus events;
                ws_bus_call_timeout 300ms;
                ws_bus_backend /raw;
            }
            location /ws/looks {
                ws_bus events;
                ws_bus_restrict owner in ann,amy;
                ws_bus_backend /raw;
            }
            location /ws/refused {
                ws_bus events;
                ws_bus_backend /refused;
            }
            location /ws/trace {
                ws_bus events;
                ws_bus_backend /trace;
            }
            location /ws/trace/listed {
                ws_bus events;
                ws_bus_call_header X-Custom Traceparent;
                ws_bus_backend /trace;
            }
            location /ws/trace/other {
                ws_bus events;
                ws_bus_call_header X-Custom;
                ws_bus_backend /trace;
            }
            location /ws/trace/off {
                ws_bus events;
                ws_bus_call_header off;
                ws_bus_backend /trace;
            }
            location /trace {
                internal;
                default_type application/json;
                return 200 '["\$http_traceparent"]';
            }
            location /raw {
                internal;
                proxy_set_header X-Reply \$ws_bus_entity;
                proxy_pass http://127.0.0.1:$raw/;
            }
            location /refused {
                internal;
                proxy_pass http://127.0.0.1:%%PORT1%%/;
            }
            location /rest/ {
                internal;
                proxy_pass http://127.0.0.1:$rest/;
            }
            location /cached/ {
                internal;
                proxy_cache rows;
                proxy_cache_valid 200 1h;
                proxy_ignore_headers Cache-Control Expires Set-Cookie;
                proxy_cache_key \$uri;
                proxy_pass http://127.0.0.1:$rest/;
            }
            location /asked/ { proxy_pass http://127.0.0.1:$rest/requests/of/; }
        }
END
}

my $nginx = WSBus::Nginx->new(workers => 2, fixed_workers => 1,
                              http => http())->start;
my $c = WSBus::Client->new($nginx);
my $n = 0;

sub ask {
    my ($ws, $operation, $entity, $id, $data) = @_;
    my $request = 'r' . ++$n;
    $ws->send({ type => 'request', id => $request, operation => $operation,
                entity_type => $entity,
                defined $id ? (entity_id => $id) : (),
                defined $data ? (data => $data) : () });
    return $ws->wait_for(sub { ($_->{id} // '') eq $request });
}

# what the backend was asked of an item
sub asked { return ($c->get("/asked/$_[0]"))[1] }

my $all = $c->open('/ws/all');

# a row of its own for each case
sub row {
    my ($entity, $id, %row) = @_;
    my $got = ask($all, create => $entity, undef, { %row, id => $id });
    is($got->{status}, 201, "$id is made");
    asked($id);
    return $id;
}

sub stands {
    my ($entity, $id, $row, $what) = @_;
    my $got = ask($all, read => $entity, $id);
    is_deeply($got->{data}, $row && { %$row, id => $id }, $what);
    asked($id);
    return;
}


for my $path (qw(/ws/rest /ws/json-server)) {
    subtest "$path: update and delete" => sub {
        my $ws = $c->open($path);
        my ($p) = $path =~ m{([^/]+)\z};
        my $what;

        my $own = row(people => "$p-own", owner => 'ann', age => 1);
        my $got = ask($ws, update => people => $own, { age => 2 });
        is($got->{success}, true, 'its own is changed');
        is_deeply(asked($own), [ "GET /people/$own no-cache",
                                 "PATCH /people/$own" ],
                  'looked at, then changed');
        stands(people => $own, { owner => 'ann', age => 2 }, 'it is changed');

        $got = ask($ws, update => people => $own, { owner => 'amy' });
        is($got->{success}, true, 'given to another that it may see');
        $got = ask($ws, update => people => $own, { owner => 'bob' });
        is($got->{error}{code}, 'unauthorized', 'not to one that it may not');
        for my $owner (undef, {}, ['ann']) {
            $got = ask($ws, update => people => $own, { owner => $owner });
            is($got->{error}{code}, 'unauthorized',
               'nor to what backends understand differently');
        }
        $got = ask($ws, update => people => $own, { Owner => 'amy' });
        is($got->{error}{code}, 'unauthorized', 'nor by another spelling');
        asked($own);
        stands(people => $own, { owner => 'amy', age => 2 }, 'it stands');

        my $other = row(people => "$p-other", owner => 'bob', age => 1);
        my @answers;
        for my $id ($other, "$p-none") {
            for my $try ([ 'update', { age => 9 } ], ['delete'], ['read']) {
                my ($operation, $data) = @$try;
                $got = ask($ws, $operation, people => $id, $data);
                is($got->{success}, false, "$operation of $id");
                is($got->{error}{code}, "${operation}_error", 'its code');
                delete @$got{qw(id time timestamp)};
                push @answers, $got;
            }
        }
        is_deeply([ @answers[ 0 .. 2 ] ], [ @answers[ 3 .. 5 ] ],
                  'what it may not see is answered as what there is not');
        is_deeply([ grep { !/^GET/ } @{ asked($other) } ], [],
                  'the backend was told to change nothing');
        stands(people => $other, { owner => 'bob', age => 1 },
               'that of others stands');

        is(ask($ws, delete => people => $own)->{success}, true, 'delete');
        is_deeply(asked($own), [ "GET /people/$own no-cache",
                                 "DELETE /people/$own" ],
                  'looked at, then deleted');
        is(ask($all, read => people => $own)->{status}, 404, 'it is gone');
    };
}


subtest 'a column within another' => sub {
    my $ws = $c->open('/ws/inner');
    my $id = row(people => 'inner', owner => 'ann', meta => { open => 'yes' });

    for my $data ({ meta => { open => 'no' } }, { meta => 1 },
                  { 'meta.open' => 'no' }) {
        is(ask($ws, update => people => $id, $data)->{error}{code},
           'unauthorized', 'it is not touched');
    }
    is(ask($ws, update => people => $id, { age => 1 })->{success}, true,
       'another one is');

    my $shut = row(people => 'shut', owner => 'ann', meta => { open => 'no' });
    is(ask($ws, update => people => $shut, { age => 1 })->{status}, 404,
       'a row that does not meet it');
    my $none = row(people => 'without', owner => 'ann');
    is(ask($ws, update => people => $none, { age => 1 })->{status}, 404,
       'nor does one without the column');
};


subtest 'a column with a dot in its name' => sub {
    my $ws = $c->open('/ws/escaped');
    my $id = row(people => 'dotted', 'a.b' => 1);

    is(ask($ws, read => people => $id)->{success}, true, 'is judged');
    is(ask($ws, update => people => $id, { 'a.b' => 2 })->{error}{code},
       'unauthorized', 'and not changed');
    is(ask($ws, delete => people => $id)->{success}, true, 'but deleted');
};


subtest 'PUT' => sub {
    my $ws = $c->open('/ws/put');
    my $id = row(people => 'put', owner => 'ann', age => 1);

    is(ask($ws, update => people => $id, { owner => 'amy' })->{success}, true,
       'a row that it could see');
    is(ask($ws, update => people => $id, { age => 1 })->{error}{code},
       'unauthorized', 'one that it could not');
    asked($id);
    stands(people => $id, { owner => 'amy' }, 'it stands');

    my $other = row(people => 'put-other', owner => 'bob');
    is(ask($ws, update => people => $other, { owner => 'ann' })->{status}, 404,
       'it takes nothing from others');
    stands(people => $other, { owner => 'bob' }, 'that of others stands');
};


subtest 'If-Match' => sub {
    my $ws = $c->open('/ws/rest');

    my $id = row(tagged => 'tag', owner => 'ann');
    is(ask($ws, update => tagged => $id, { age => 1 })->{success}, true,
       'a strong ETag');
    is_deeply(asked($id), [ "GET /tagged/$id no-cache",
                            qq(PATCH /tagged/$id "v1") ], 'goes with it');

    my $weak = row(weak => 'weak', owner => 'ann');
    is(ask($ws, delete => weak => $weak)->{success}, true, 'a weak one');
    is_deeply(asked($weak), [ "GET /weak/$weak no-cache",
                              "DELETE /weak/$weak" ], 'does not');

    my $racing = row(tagged => 'racing', owner => 'ann', races => 2);
    is(ask($ws, update => tagged => $racing, { age => 1 })->{success}, true,
       'a row that changes meanwhile');
    my $asked = asked($racing);
    is(scalar(grep { /^GET/ } @$asked), 3, 'is looked at again')
        or diag(explain($asked));

    my $always = row(tagged => 'always', owner => 'ann', races => 100);
    my $got = ask($ws, update => tagged => $always, { age => 1 });
    is($got->{status}, 412, 'one that always does');
    is($got->{error}{code}, 'validation_error', 'is not changed');
    is(scalar(grep { /^GET/ } @{ asked($always) }), 3, 'after three looks');
};


subtest 'a cache' => sub {
    my $ws = $c->open('/ws/cached');
    my $id = row(people => 'cached', owner => 'ann');

    is(ask($ws, read => people => $id)->{data}{owner}, 'ann', 'cached');
    is(ask($all, update => people => $id, { owner => 'bob' })->{success}, true,
       'given to another behind its back');
    is(ask($ws, read => people => $id)->{data}{owner}, 'ann', 'still cached');
    is(ask($ws, update => people => $id, { age => 1 })->{status}, 404,
       'what is looked at is not from the cache');
    is(ask($ws, read => people => $id)->{data}{owner}, 'ann',
       'nor put into it');
};


subtest 'the look is a read' => sub {
    my $ws = $c->open('/ws/operation');
    my $id = row(read => 'operation', owner => 'ann');

    is(ask($ws, update => x => $id, { age => 1 })->{status}, 404,
       'the row is found, and what is changed is elsewhere');
    is_deeply(asked($id), [ "GET /read/$id no-cache", "PATCH /update/$id" ],
              '$ws_bus_operation');
};


subtest 'resource' => sub {
    my $ws = $c->connect('/ws/resource');
    my $id = row(people => 'resource', owner => 'ann');
    my $other = row(people => 'resource-other', owner => 'bob');

    my %is = ($id => 'success', $other => 'error');
    for my $record ($id, $other) {
        $ws->send({ type => 'request', id => "w-$record", operation => 'delete',
                    entity => 'people', record_id => $record });
    }
    my $got = $ws->wait_for(sub { ($_->{id} // '') eq "w-$other" });
    is($got->{error}{code}, 'delete_error', 'that of others');
    is_deeply(asked($other), ["GET /people/$other no-cache"], 'only looked at');
    is_deeply(asked($id), [ "GET /people/$id no-cache", "DELETE /people/$id" ],
              'in their order');
};


subtest 'one event for each change' => sub {
    my $ws  = $c->open('/ws/rest');
    my $sub = $c->open('/ws/all');
    $sub->send({ type => 'subscribe', filter => { entity_type => 'people' } });
    $sub->wait_for(sub { $_->{type} eq 'subscribed' });

    my $id = row(people => 'told', owner => 'ann');
    my $other = row(people => 'untold', owner => 'bob');
    ask($ws, update => people => $id, { age => 1 });
    ask($ws, update => people => $other, { age => 1 });
    ask($ws, delete => people => $id);

    my @told;
    $sub->wait_for(sub {
        return if $_->{type} ne 'event';
        my $event = $_->{data}{event};
        push @told, "$event->{action} $event->{entity_id}";
        return $event->{action} eq 'deleted';
    });
    is_deeply(\@told, [ 'created told', 'created untold', 'updated told',
                        'deleted told' ], 'of the change, none of the look');
};


subtest 'counters' => sub {
    my $totals = sub { $c->status->{zones}[0]{totals} };
    my $was = $totals->();

    cmp_ok($was->{calls}, '>', 50, 'calls');
    is($was->{calls_running}, 0, 'none is under way');
    is($was->{requests_waiting}, 0, 'none waits');
    is($was->{$_}, 0, $_) for qw(changes_unknown calls_failed calls_timed_out
                                 calls_too_large calls_cancelled);

    my $counted = sub {
        my ($path, $operation, $bytes, %more) = @_;
        my $name = "counted-$operation-" . ++$n;
        $backend->leave($name, $bytes);
        $was = $totals->();
        ask($c->open($path), $operation, $name, undef,
            $operation eq 'create' ? { a => 1 } : undef);
        my $is = $totals->();
        delete $is->{calls};
        return { map { $_ => $is->{$_} - $was->{$_} }
                 grep { /^(?:calls|changes)_/ && $is->{$_} != $was->{$_} }
                 keys %$is };
    };
    my $late = $WSBus::Backend::HOLD;
    my $ok   = WSBus::Backend::bytes(201, '{"id":1}');

    is_deeply($counted->('/ws/quick', read => $late), { calls_timed_out => 1 },
              'a read without an answer in time');
    is_deeply($counted->('/ws/quick', create => $late),
              { calls_timed_out => 1, changes_unknown => 1 },
              'a change: it may be made');
    is_deeply($counted->('/ws/quick', create => ''),
              { calls_failed => 1 }, 'a status of 500: it is not');
    is_deeply($counted->('/ws/quick', create =>
                  WSBus::Backend::bytes(504, '{}')),
              { calls_failed => 1, changes_unknown => 1 },
              '504: another one gave up');
    is_deeply($counted->('/ws/quick', create => substr $ok, 0, 5),
              { calls_failed => 1, changes_unknown => 1 },
              'broken off before its status');
    is_deeply($counted->('/ws/quick', create => substr $ok, 0, -4),
              { calls_failed => 1 }, 'behind it: it was made');
    is_deeply($counted->('/ws/refused', create => ''), { calls_failed => 1 },
              'a backend that is not there');
    is_deeply($counted->('/ws/quick', read => WSBus::Backend::bytes(200,
                         '"' . 'x' x 2_000_000 . '"')),
              { calls_too_large => 1 }, 'an answer too large');

    for my $try ([ read => '/ws/quick' ], [ delete => '/ws/looks' ]) {
        my ($operation, $path) = @$try;
        my $gone = $c->open($path);
        my $name = "gone-$operation";
        $backend->leave($name, $late . WSBus::Backend::bytes(200,
                                           '{"owner":"ann"}'));
        $was = $totals->();
        $gone->send({ type => 'request', id => 'g', operation => $operation,
                      entity_type => $name, entity_id => 1 });
        WSBus::Client::run_until(sub { $backend->got($name) });
        $gone->finish;
        WSBus::Client::run_until(sub { !$totals->()->{calls_running} }, 3);
        is($totals->()->{calls_cancelled}, $was->{calls_cancelled} + 1,
           "a $operation whose client went away");
        $backend->go($name);
        is($backend->got($name), 1, 'nothing else was asked');
    }
};


subtest 'traceparent' => sub {
    my $id = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

    for my $try ([ '/ws/trace', $id ], [ '/ws/trace/listed', $id ],
                 [ '/ws/trace/other', $id ], [ '/ws/trace/off', '' ]) {
        my ($path, $want) = @$try;
        my $ws = $c->open($path, traceparent => $id);
        is_deeply(ask($ws, read => 'x')->{data}, [$want], $path);
    }
    is_deeply(ask($c->open('/ws/trace'), read => 'x')->{data}, [''],
              'none was given');
};


$c->close_all;
$nginx->finish;
done_testing;
