# SPDX-License-Identifier: BSD-2-Clause
# Requests over the socket: each is put to a backend, and answered once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json true false);
use Test::More;

use WSBus::Backend;
use WSBus::Client;
use WSBus::Nginx;
use WSBus::Raw;

my $backend = WSBus::Backend->start;
my ($rest, $raw) = ($backend->rest, $backend->raw);

# what reaches a backend, as its answer
my $echo = <<'END';
    server {
        listen 127.0.0.1:%%PORT1%%;
        location / {
            default_type application/json;
            return 200 '{"line":"$request","type":"$http_content_type",
                "length":"$http_content_length","accept":"$http_accept",
                "prefer":"$http_prefer","request_id":"$http_x_request_id",
                "authorization":"$http_authorization","custom":"$http_x_custom",
                "upgrade":"$http_upgrade$http_sec_websocket_key",
                "tenant":"$http_x_tenant","connection":"$http_x_connection",
                "operation":"$http_x_operation","schema":"$http_x_schema",
                "entity":"$http_x_entity","record":"$http_x_record"}';
        }
    }
END

sub http {
    my $locations = '';

    for my $name (qw(rest postgrest json-server)) {
        $locations .= <<"END";
            location /ws/$name {
                ws_bus events;
                ws_bus_backend /echo/\$ws_bus_entity;
                ws_bus_backend_style $name;
                ws_bus_call_header Authorization X-Custom;
            }
END
    }

    return <<"END";
        map \$ws_bus_entity \$known {
            people  /rest/people;
            pets    /rest/pets;
            default "";
        }
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        $echo
        ws_bus_zone zone=events:8m;
        ws_bus_zone zone=other:8m;
        ws_bus_drain_window 500ms;
        server {
            listen 127.0.0.1:%%PORT%%;
            location /publish { ws_bus_publish events; }
            location /status  { ws_bus_status; }
            location /none    { ws_bus events; }

            location /ws {
                ws_bus events;
                ws_bus_backend \$known;
            }
            location /ws/put {
                ws_bus events;
                ws_bus_backend \$known;
                ws_bus_update_method PUT;
            }
            location /ws/silent {
                ws_bus events;
                ws_bus_backend \$known;
                ws_bus_call_event off;
            }
            location /ws/raw {
                ws_bus events;
                ws_bus_backend /raw/;
                ws_bus_call_max_body 64k;
            }
            location /ws/quick {
                ws_bus events;
                ws_bus_backend /raw/;
                ws_bus_call_timeout 300ms;
            }
            location /ws/few {
                ws_bus events;
                ws_bus_backend /raw/;
                ws_bus_max_calls 2;
            }
            location /ws/one {
                ws_bus events;
                ws_bus_backend /raw/;
                ws_bus_max_calls 64 worker=1;
            }
            location /ws/fast {
                ws_bus events;
                ws_bus_backend /fast;
            }
            location /ws/captured {
                ws_bus events;
                ws_bus_backend /captured/\$ws_bus_entity;
            }
            location /ws/tenant {
                ws_bus events;
                ws_bus_tenant \$arg_tenant;
                ws_bus_schema store;
                ws_bus_backend /echo/\$ws_bus_entity;
            }
            location /ws/restricted {
                ws_bus events;
                ws_bus_restrict owner eq \$arg_owner;
                ws_bus_restrict entity_type in people,r,n;
                ws_bus_backend /echo/\$ws_bus_entity;
                ws_bus_backend_style postgrest;
            }
            location /ws/owned {
                ws_bus events;
                ws_bus_restrict owner eq ann;
                ws_bus_backend /rest/\$ws_bus_entity;
            }
            $locations

            location /rest/ {
                internal;
                proxy_pass http://127.0.0.1:$rest/;
            }
            location /captured/ {
                internal;
                ws_bus_capture other;
                ws_bus_capture_entity person;
                ws_bus_capture_data request;
                proxy_pass http://127.0.0.1:$rest/;
            }
            location /raw/ {
                internal;
                proxy_set_header X-Reply \$ws_bus_entity;
                proxy_pass http://127.0.0.1:$raw/;
            }
            location /fast { return 200 '[1]'; }
            location /echo/ {
                internal;
                proxy_set_header X-Tenant \$ws_bus_tenant;
                proxy_set_header X-Connection \$ws_bus_connection_id;
                proxy_set_header X-Operation \$ws_bus_operation;
                proxy_set_header X-Schema \$ws_bus_schema;
                proxy_set_header X-Entity \$ws_bus_entity;
                proxy_set_header X-Record \$ws_bus_record_id;
                proxy_pass http://127.0.0.1:%%PORT1%%;
            }
            location /events/other { ws_bus other; }
        }
END
}

my ($nginx, $c, $n);

sub request {
    my ($ws, $operation, $entity, %more) = @_;
    my $id = 'r' . ++$n;
    $ws->send({ type => 'request', id => $id, operation => $operation,
                entity_type => $entity, %more });
    return $id;
}

sub answer {
    my ($ws, $id) = @_;
    my $got = $ws->wait_for(sub { ($_->{id} // '') eq $id });
    return $got;
}

sub ask { my ($ws) = @_; return answer($ws, request(@_)) }

sub fails {
    my ($ws, $ask, $status, $code, $re, $what) = @_;
    my $got = ask($ws, @$ask);
    is($got->{success}, false, "$what: no success");
    is($got->{status}, $status, "$what: status");
    is($got->{error}{code}, $code, "$what: code");
    like($got->{error}{message}, $re, "$what: message");
    return $got;
}

# the answer of a raw backend
sub leaves {
    my ($ws, $bytes, %o) = @_;
    $backend->leave('reply', $bytes);
    return ask($ws, $o{operation} // 'read', 'reply', %{ $o{more} // {} });
}

sub json { return WSBus::Backend::bytes(@_) }

# the request line that an operation makes of itself
sub line {
    my ($ws, @ask) = @_;
    my $got = ask($ws, @ask);
    return $got->{success} ? $got->{data}{line}
                           : "$got->{error}{code}: $got->{error}{message}";
}


for my $workers (1, 2) {
    $nginx = WSBus::Nginx->new(workers => $workers, fixed_workers => 1,
                               http => http())->start;
    $c = WSBus::Client->new($nginx);
    all($workers);
    $nginx->finish if $nginx->can('finish');
}

done_testing;


sub all {
    my ($workers) = @_;

subtest "$workers: each operation" => sub {
    my $ws = $c->open('/ws');
    my $watch = $c->open('/ws');
    $watch->subscribe({ entity_type => 'people' });

    my $id = "p$workers";
    my $got = ask($ws, create => 'people', data => { name => 'Ann', id => $id });
    is($got->{type}, 'response', 'a response');
    is($got->{success}, true, 'created');
    is($got->{status}, 201, 'with its status');
    is_deeply($got->{data}, { id => $id, name => 'Ann' }, 'and its row');

    my $request = $got->{id};
    my @events = $watch->sync;
    is(scalar @events, 1, 'one event');
    my $ev = $events[0]{data}{event};
    is("$ev->{action} $ev->{entity_type} $ev->{entity_id}", "created people $id",
       'of it');
    is_deeply($ev->{data}, { id => $id, name => 'Ann' }, 'with the row');
    is_deeply($ev->{metadata}, { origin => $ws->{welcome}{connection_id},
                                 request_id => $request }, 'and its cause');

    $got = ask($ws, read => 'people', entity_id => $id);
    is_deeply($got->{data}, { id => $id, name => 'Ann' }, 'read');
    is_deeply($got->{metadata}, { total => 1 }, 'one');

    $got = ask($ws, read => 'people');
    is($got->{metadata}{count}, scalar @{ $got->{data} }, 'all, counted');
    is($got->{metadata}{total}, scalar @{ $got->{data} }, 'and no more');
    is_deeply([ $watch->sync ], [], 'a read tells nobody');

    $got = ask($ws, update => 'people', entity_id => $id, data => { age => 7 });
    is_deeply($got->{data}, { id => $id, name => 'Ann', age => 7 }, 'updated');
    @events = $watch->sync;
    is($events[0]{data}{event}{action}, 'updated', 'an event');
    is(scalar @events, 1, 'once');

    my $put = $c->open('/ws/put');
    $got = ask($put, update => 'people', entity_id => $id, data => { b => 1 });
    is_deeply($got->{data}, { id => $id, b => 1 }, 'replaced');
    $watch->sync;

    $got = ask($ws, delete => 'people', entity_id => $id);
    is($got->{success}, true, 'deleted');
    is($got->{status}, 204, 'without content');
    ok(exists $got->{data} && !defined $got->{data}, 'data is null');
    @events = $watch->sync;
    $ev = $events[0]{data}{event};
    is("$ev->{action} $ev->{entity_id}", "deleted $id", 'an event');
    ok(!exists $ev->{data}, 'without data');

    for my $op (qw(read update delete)) {
        fails($ws, [ $op => 'people', entity_id => $id,
                     $op eq 'update' ? (data => {}) : () ],
              404, "${op}_error", qr/not found/, "$op of nothing");
    }
    is_deeply([ $watch->sync ], [], 'what fails tells nobody');

    fails($ws, [ create => 'people', data => [] ], 400, 'validation_error',
          qr/bad/, 'not accepted');
    fails($ws, [ read => 'ghosts' ], undef, 'model_not_found',
          qr/no such entity/, 'an entity of no backend');
    fails($ws, [ create => 'people' ], undef, 'invalid_message', qr/data/,
          'no data');
    fails($ws, [ update => 'people', data => {} ], undef, 'invalid_message',
          qr/id/, 'no id');
    fails($ws, [ delete => 'people' ], undef, 'invalid_message', qr/id/,
          'no id');

    my $silent = $c->open('/ws/silent');
    $got = ask($silent, create => 'people', data => { id => "s$workers" });
    is($got->{status}, 201, 'made where no event is');
    is_deeply([ $watch->sync ], [], 'nobody is told');

    my $none = $c->open('/none');
    is($none->ask({ type => 'request', id => 'x', operation => 'read',
                    entity_type => 'people' })->{code}, 'unsupported',
       'no backend');
};


subtest "$workers: what goes to the backend" => sub {
    my $ws = $c->open('/ws/rest', Authorization => 'Bearer x',
                      'X-Custom' => 'c d');
    my $got = ask($ws, create => 'orders', data => { a => 1 })->{data};
    is($got->{line}, 'POST /echo/orders HTTP/1.1', 'line');
    is($got->{type}, 'application/json', 'type');
    is($got->{length}, '7', 'length');
    is($got->{authorization}, 'Bearer x', 'a header of the handshake');
    is($got->{custom}, 'c d', 'another');
    is($got->{upgrade}, '', 'nothing of the upgrade');
    is($got->{connection}, $ws->{welcome}{connection_id}, 'connection');
    is("$got->{operation} $got->{entity}", 'create orders', 'variables');
    my ($hex) = $ws->{welcome}{connection_id} =~ /_(.*)/;
    like($got->{request_id}, qr/^$hex-\d+$/, 'an id of its own');

    is(ask($ws, update => 'o', entity_id => 9, data => {})->{data}{line},
       'PATCH /echo/o/9 HTTP/1.1', 'update');
    is(ask($ws, delete => 'o', entity_id => 9)->{data}{line},
       'DELETE /echo/o/9 HTTP/1.1', 'delete');
    is(ask($ws, meta => 'o')->{data}{operation}, 'meta', 'meta');

    my $t = $c->open('/ws/tenant?tenant=acme');
    $got = ask($t, read => 'o')->{data};
    is($got->{tenant}, 'acme', 'tenant');
    is($got->{schema}, 'store', 'schema of the location');
    is(ask($t, read => 'o', schema => 'a b')->{data}{schema}, 'a%20b',
       'of the request');

    my $options = {
        filters => [ { column => 'a', operator => 'eq', value => '1&admin=1' } ],
        limit => 2, offset => 4, sort => [ { column => 'b',
                                             direction => 'desc' } ] };
    is(line($ws, read => 'o', options => $options),
       'GET /echo/o?a=1%26admin%3D1&sort=-b&limit=2&offset=4 HTTP/1.1', 'rest');
    is(line($c->open('/ws/json-server'), read => 'o', options => $options),
       'GET /echo/o?a=1%26admin%3D1&_sort=b&_order=desc&_limit=2&_start=4'
       . ' HTTP/1.1', 'json-server');

    my $p = $c->open('/ws/postgrest');
    is(line($p, read => 'o', options => $options),
       'GET /echo/o?a=eq.1%26admin%3D1&order=b.desc&limit=2&offset=4 HTTP/1.1',
       'postgrest');
    $got = ask($p, read => 'o', entity_id => 'a/b')->{data};
    is($got->{line}, 'GET /echo/o?id=eq.a%2Fb HTTP/1.1', 'by id');
    is($got->{accept}, 'application/vnd.pgrst.object+json', 'one row');
    is(ask($p, update => 'o', entity_id => 1, data => {})->{data}{prefer},
       'return=representation', 'the row comes back');

    like(line($ws, read => 'o', options => { filters => [
        { column => 'a', operator => 'eq', value => 1 },
        { column => 'b', operator => 'eq', value => 1,
          logic_operator => 'OR' } ] }),
        qr/^invalid_message: .*OR.*cannot be asked/, 'what a style cannot say');
    like(line($ws, read => 'o', entity_id => 1, options => { limit => 1 }),
         qr/^invalid_message: /, 'what is not heeded');
};


subtest "$workers: nothing leaves its place" => sub {
    my $ws = $c->open('/ws/rest');
    my $long = 'x' x 256;

    for my $id ('../../secret', '..', '.', 'a/b', '..;', 'a\\b', "a\0b",
                "a\r\nb")
    {
        my $got = $ws->ask({ type => 'request', id => 'x', operation => 'read',
                             entity_type => 'o', entity_id => $id });
        my $code = $got->{code} // $got->{error}{code} // 'success';
        like($code, qr/^invalid_(?:message|json)$/, encode_json([ $id ]));
    }

    is(line($ws, read => 'o', entity_id => $long),
       "GET /echo/o/$long HTTP/1.1", 'a long one');
    is(line($ws, read => 'o', entity_id => '%26admin=1'),
       'GET /echo/o/%2526admin=1 HTTP/1.1', 'percents');
    is(line($ws, read => 'o', entity_id => '1?admin=1#x y'),
       'GET /echo/o/1%3Fadmin=1%23x%20y HTTP/1.1', 'a query');
    is(line($ws, read => 'o', entity_id => '%2e%2e%2fsecret'),
       'GET /echo/o/%252e%252e%252fsecret HTTP/1.1', 'twice encoded');

    for my $entity ('..', '../x', 'a/b', '.', '..;') {
        like(line($ws, read => $entity), qr/^invalid_message: /,
             "entity $entity");
    }
    is(line($ws, read => 'a?b&c'), 'GET /echo/a%3Fb&c HTTP/1.1',
       'a query in an entity');
};


subtest "$workers: answers of all kinds" => sub {
    my $ws = $c->open('/ws/raw');

    my $got = leaves($ws, json(200, '{ "n":9007199254740993, "f":1.0 }'));
    is($got->{success}, true, 'a success');
    like($ws->{text}, qr/"data":\{ "n":9007199254740993, "f":1.0 \}/,
         'its bytes as they are');

    $got = leaves($ws, json(206, '[1,2]', headers => [
        'Content-Range' => '0-1/7', 'Content-Type' => 'application/json' ]));
    is_deeply($got->{metadata}, { total => 7, count => 2 }, 'a part');

    $got = leaves($ws, WSBus::Backend::chunked(200, '[1,2,3]', 2));
    is_deeply($got->{data}, [ 1, 2, 3 ], 'chunked');

    for my $case ([ 401, 'unauthorized' ], [ 403, 'unauthorized' ],
                  [ 404, 'read_error' ], [ 409, 'validation_error' ],
                  [ 422, 'validation_error' ], [ 413, 'too_large' ],
                  [ 500, 'read_error' ], [ 302, 'read_error' ],
                  [ 418, 'read_error' ])
    {
        my ($status, $code) = @$case;
        $got = leaves($ws, json($status, '{"detail":"so it is","f":[1]}'));
        is($got->{status}, $status, "status $status");
        is($got->{error}{code}, $code, $code);

        if ($status < 500 && $status > 400 && $status != 418) {
            is($got->{error}{message}, 'so it is', 'its words');
            is_deeply($got->{error}{details},
                      { detail => 'so it is', f => [ 1 ] }, 'and details');
        }
        ok(!exists $got->{error}{details}, 'no details of a failure')
            if $status == 500;
    }

    $got = leaves($ws, json(429, '', headers => [ 'Retry-After' => 9 ]));
    is("$got->{error}{code} $got->{error}{retry_after}", 'too_many_requests 9',
       'too many');

    $got = leaves($ws, json(200, '<html>', headers => [
        'Content-Type' => 'text/html' ]));
    is($got->{error}{code}, 'read_error', 'no JSON');
    like($got->{error}{message}, qr/no JSON/, 'so it says');

    $got = leaves($ws, json(200, '[1'), operation => 'delete',
                  more => { entity_id => 1 });
    is($got->{success}, true, 'done, whatever it says');
    is($got->{data}, undef, 'but nothing is known');

    for my $case ([ json(200, '[1]', length => 99), 'short' ],
                  [ WSBus::Backend::chunked(200, '[1,2]', 2, cut => 1),
                    'chunked, without an end' ])
    {
        $got = leaves($ws, $case->[0]);
        is($got->{error}{code}, 'read_error', $case->[1]);
    }

    $got = leaves($ws, '');
    is($got->{error}{code}, 'read_error', 'no such reply');

    $got = leaves($ws, "no HTTP\r\n\r\n");
    is($got->{success}, false, 'no HTTP');

    $got = leaves($ws, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                       . json(200, '[7]'));
    is_deeply($got->{data}, [ 7 ], '103 first');

    $got = leaves($ws, json(200, '"' . 'x' x 70_000 . '"'));
    is($got->{error}{code}, 'too_large', 'huge');

    $got = leaves($ws, json(200, '"' . 'x' x 60_000 . '"'));
    is(length $got->{data}, 60_000, 'large');
};


subtest "$workers: time" => sub {
    my $ws = $c->open('/ws/quick');
    my $other = $c->open('/ws/fast');

    $backend->leave('slow', $WSBus::Backend::HOLD . json(200, '[1]'));
    my $id = request($ws, read => 'slow');
    is_deeply(ask($other, read => 'x')->{data}, [ 1 ], 'others are served');
    my $got = answer($ws, $id);
    is($got->{error}{code}, 'timeout', 'slow');
    ok(!exists $got->{status}, 'no status');
    $backend->go('slow');

    is_deeply(leaves($ws, json(200, '[2]'))->{data}, [ 2 ], 'the next one');
    $nginx->allow(qr/a call was not answered in time/);
};


subtest "$workers: many at once" => sub {
    my $few = $c->open('/ws/few');
    $backend->leave('held', $WSBus::Backend::HOLD . json(200, '[1]'));

    my @held = map { request($few, read => 'held') } 1 .. 10;
    WSBus::Client::run_until(sub { $backend->got('held') == 2 });

    # pings are read all the same: there is room for more
    is($few->ask({ type => 'ping' })->{type}, 'pong', 'a ping');
    is($backend->got('held'), 2, 'no more than two');
    $backend->go('held');
    is(scalar(grep { answer($few, $_)->{success} } @held), 10, 'all, once');

    my $fast = $c->open('/ws/fast');
    my @ids = map { request($fast, read => 'x') } 1 .. 1000;
    my %got;
    for (@ids) {
        my $m = $fast->next;
        $got{ $m->{id} }++ if $m->{success};
    }
    is(scalar(grep { $got{$_} == 1 } @ids), 1000, 'a thousand, each once');
    is($fast->ask({ type => 'ping' })->{type}, 'pong', 'and then a ping');

    # turns: one that has a hundred waiting does not keep another waiting
    my ($greedy, $modest) = map { $c->open('/ws/one') } 1, 2;
    $backend->leave('turn', json(200, '[1]'));
    request($greedy, read => 'turn') for 1 .. 60;
    my $last = request($greedy, read => 'turn');
    my $id = request($modest, read => 'turn');
    is_deeply(answer($modest, $id)->{data}, [ 1 ], 'the modest one');
    ok(answer($greedy, $last)->{success}, 'and the greedy one');
};


subtest "$workers: the client goes" => sub {
    my $watch = $c->open('/ws');
    $watch->subscribe({ entity_type => 'made' });

    $backend->leave('gone', $WSBus::Backend::HOLD . json(200, '[1]'));
    $backend->leave('made', $WSBus::Backend::HOLD
                            . json(201, '{"id":"m-1"}'));

    my $ws = $c->open('/ws/raw');
    my $name = $ws->{welcome}{connection_id};
    request($ws, read => 'gone') for 1 .. 4;
    request($ws, create => 'made', data => { a => 1 });
    request($ws, read => 'gone') for 1 .. 20;
    WSBus::Client::run_until(sub { $backend->got('made') });
    $ws->finish(1000);
    $backend->go('gone');
    $backend->go('made');

    my $got = $watch->wait_type('event');
    is($got->{data}{event}{entity_id}, 'm-1', 'what was made is told');
    is($got->{data}{event}{metadata}{origin}, $name, 'by whom');
    is_deeply([ $watch->sync ], [], 'once');
};


subtest "$workers: a location that captures" => sub {
    my $other = $c->open('/events/other');
    my $watch = $c->open('/ws');
    $other->subscribe({});
    $watch->subscribe({});

    my $ws = $c->open('/ws/captured');
    my $got = ask($ws, create => 'people', data => { id => "c$workers",
                                                     a => 1 });
    is($got->{status}, 201, 'made');
    my $ev = $other->wait_type('event')->{data}{event};
    is("$ev->{entity_type} $ev->{entity_id}", "person c$workers",
       'as its directives say');
    is_deeply($ev->{data}, { id => "c$workers", a => 1 }, 'what was sent');
    is_deeply([ $watch->sync ], [], 'once, and there');
};


subtest "$workers: forced conditions" => sub {
    my $ws = $c->open('/ws/restricted?owner=a%26b');

    is(line($ws, read => 'people'),
       'GET /echo/people?owner=eq.a%26b HTTP/1.1', 'many');
    is(line($ws, read => 'people', entity_id => 1),
       'GET /echo/people?id=eq.1&owner=eq.a%26b HTTP/1.1', 'one');
    is(line($ws, delete => 'people', entity_id => 1),
       'DELETE /echo/people?id=eq.1&owner=eq.a%26b HTTP/1.1', 'delete');
    like(line($ws, read => 'secrets'), qr/^unauthorized: /, 'another entity');
    like(line($ws, read => 'people', options => { filters => [
        { column => 'Owner', operator => 'eq', value => 'x' } ] }),
        qr/^unauthorized: /, 'its own on that column');
    like(line($ws, update => 'people', entity_id => 1,
              data => { owner => 'x' }), qr/^unauthorized: /,
         'given to another');
    like(line($ws, create => 'people', data => { owner => 'x' }),
         qr/^unauthorized: /, 'made for another');
    like(line($ws, create => 'people', data => {}), qr/^unauthorized: /,
         'for nobody');
    like(line($ws, create => 'people', data => { owner => 'a&b' }),
         qr/^POST /, 'its own');

    my $owned = $c->open('/ws/owned');
    my $all = $c->open('/ws');
    ask($all, create => 'people', data => { id => "a$workers", owner => 'ann' });
    ask($all, create => 'people', data => { id => "b$workers", owner => 'bob' });
    is(ask($owned, read => 'people', entity_id => "a$workers")->{data}{owner},
       'ann', 'its own row');
    my $got = ask($owned, read => 'people', entity_id => "b$workers");
    is($got->{status}, 404, 'not that of others');
    ok(!exists $got->{data}, 'nothing of it');
    is($got->{error}{message}, 'there is no such record', 'as if there was none');
    is(ask($owned, delete => 'people', entity_id => "b$workers")->{status},
       404, 'no delete');
};


subtest "$workers: a reload" => sub {
    my $ws = $c->open('/ws/raw');
    $backend->leave('late', $WSBus::Backend::HOLD . json(200, '[5]'));
    my $id = request($ws, read => 'late');
    WSBus::Client::run_until(sub { $backend->got('late') });

    $nginx->reload;
    is_deeply(ask($c->open('/ws/fast'), read => 'x')->{data}, [ 1 ],
              'the new worker');
    $backend->go('late');
    is_deeply(answer($ws, $id)->{data}, [ 5 ], 'the answer comes');
    is(($ws->wait_close(30))[0], 1012, 'then the close');
};

}
