# SPDX-License-Identifier: BSD-2-Clause
# Hooks: the backend is told of an operation before it and after it, and lets
# it pass, changes it or refuses it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Mojo::JSON qw(decode_json encode_json true false);
use Test::More;

use WSBus::Backend;
use WSBus::Client;
use WSBus::JWT;
use WSBus::Nginx;

my $backend = WSBus::Backend->start;
my ($rest, $raw) = ($backend->rest, $backend->raw);

# takes connections, and says nothing
my $silent = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1')
    or die "listen: $!\n";
my $slow = $silent->sockport;

my @kinds  = qw(read create update delete meta subscribe unsubscribe);
my @phases = ('before_handle',
              map { my $when = $_; map { "${when}_$_" } @kinds } qw(before after));

sub http {
    my $all = join "\n", map { "ws_bus_hook $_ /h/$_;" } @phases;

    my $one = join "\n", map { <<"END" } @phases, 'open_read', 'open_connect';
            location /ws/bus/$_ {
                ws_bus events;
                ws_bus_backend /rest/\$ws_bus_entity;
                ${\ (/^open_(.*)/ ? "ws_bus_hook before_$1 /h/$_ fail=open;"
                                  : "ws_bus_hook $_ /h/$_;")}
            }
            location /ws/resource/$_ {
                ws_bus events;
                ws_bus_protocol resource;
                ws_bus_call_timeout 1s;
                ws_bus_backend /rest/\$ws_bus_entity;
                ${\ (/^open_(.*)/ ? "ws_bus_hook before_$1 /h/$_ fail=open;"
                                  : "ws_bus_hook $_ /h/$_;")}
            }
END

    return <<"END";
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        ws_bus_zone zone=events:8m;
        server {
            listen 127.0.0.1:%%PORT%%;
            location /status { ws_bus_status; }
            location /publish { ws_bus_publish events; }
            location /ws/all {
                ws_bus events;
                ws_bus_backend /rest/\$ws_bus_entity;
            }
            location /ws/told {
                ws_bus events;
                ws_bus_protocol resource;
                ws_bus_default_schema shop;
                ws_bus_backend /rest/\$ws_bus_entity;
                $all
            }
            $one
            location /ws/two {
                ws_bus events;
                ws_bus_backend /rest/\$ws_bus_entity;
                ws_bus_hook before_read /h/first;
                ws_bus_hook before_read /h/second;
            }
            location /ws/connect {
                ws_bus events;
                ws_bus_tenant \$ws_bus_meta_tenant;
                ws_bus_restrict owner eq \$ws_bus_meta_user;
                ws_bus_backend /rest/\$ws_bus_meta_table;
                ws_bus_hook before_connect /h/connect;
                ws_bus_hook before_create /h/created?u=\$ws_bus_meta_user;
            }
            location /ws/claims {
                ws_bus events;
                ws_bus_jwt \$http_authorization;
                ws_bus_jwt_key_file secret alg=HS256;
                ws_bus_backend /rest/\$ws_bus_entity;
                ws_bus_hook_claims sub role;
                ws_bus_hook before_connect /h/claims;
                ws_bus_hook before_read /h/claims2;
            }
            location /ws/path {
                ws_bus events;
                ws_bus_backend /rest/people;
                ws_bus_hook before_read /h/\$ws_bus_entity;
            }
            location /ws/first {
                ws_bus events;
                ws_bus_hook before_connect /h/connect;
                ws_bus_tenant \$ws_bus_meta_none;
                error_page 400 403 = /ws/then;
            }
            location /ws/then { ws_bus events; ws_bus_hook before_connect /h/none; }
            location /ws/none { ws_bus events; ws_bus_hook before_connect /h/none; }
            location /ws/dead {
                ws_bus events;
                ws_bus_hook before_connect /dead;
            }
            location /ws/dead/open {
                ws_bus events;
                ws_bus_hook before_connect /dead fail=open;
            }
            location /ws/slow {
                ws_bus events;
                ws_bus_call_timeout 1s;
                ws_bus_backend /rest/\$ws_bus_entity;
                ws_bus_hook before_read /slow;
            }
            location /ws/slow/connect {
                ws_bus events;
                ws_bus_call_timeout 1s;
                ws_bus_hook before_connect /slow;
            }
            location /slow { internal; proxy_pass http://127.0.0.1:$slow; }
            location /dead { internal; proxy_pass http://127.0.0.1:%%PORT1%%; }
            location ~ ^/h/(?<name>\\w+)\$ {
                internal;
                proxy_set_header X-Reply \$name;
                proxy_pass http://127.0.0.1:$raw;
            }
            location /rest/ {
                internal;
                proxy_pass http://127.0.0.1:$rest/;
            }
        }
END
}

my $key = WSBus::JWT->key('oct');

my $nginx;

my ($c, $all, $n);

sub ok204 { return WSBus::Backend::bytes(204, '') }
sub json  { return WSBus::Backend::bytes($_[0], encode_json($_[1])) }
sub told  { return decode_json($backend->body($_[0])) }

# a request in the words of "bus", or of "resource"
sub ask {
    my ($ws, $operation, $entity, $id, $data, %more) = @_;
    my $request = 'r' . ++$n;
    $ws->send($ws->{url} =~ /resource|told/
        ? { type => 'request', id => $request, operation => $operation,
            entity => $entity, defined $id ? (record_id => $id) : (),
            defined $data ? (data => $data) : (), %more }
        : { type => 'request', id => $request, operation => $operation,
            entity_type => $entity, defined $id ? (entity_id => $id) : (),
            defined $data ? (data => $data) : (), %more });
    return $ws->wait_for(sub { ($_->{id} // '') eq $request });
}

sub open_ws {
    my ($path, @more) = @_;
    my $quiet = $path =~ m{^/ws/(?:resource|told)\b};
    my $ws = $quiet ? $c->connect($path, @more) : $c->open($path, @more);
    $ws->{url} = $path;
    return $ws;
}

sub row {
    my ($id, %row) = @_;
    is(ask($all, create => 'people', undef, { %row, id => $id })->{success},
       true, "$id is made");
    return $id;
}

sub hooks {
    $c   = WSBus::Client->new($nginx);
    $all = open_ws('/ws/all');
    $backend->leave($_, ok204())
        for @phases, qw(first second connect created none claims claims2
                        open_read open_connect);
    my $w = 'w' . $$ . '-' . ++$n;

    subtest 'what is told' => sub {
        my $ws = open_ws('/ws/told');
        my $got = ask($ws, create => 'people', undef,
                      { id => "$w-told", name => "a\x{e4}" });
        is($got->{success}, true, 'all let it pass');

        my $t = told('before_create');
        like(delete $t->{id}, qr/\A[0-9a-f]{32}-\d+\z/, 'its own id');
        like(delete $t->{connection_id}, qr/\Aconn_[0-9a-f]{32}\z/, 'the connection');
        is_deeply($t, { phase => 'before_create', operation => 'create',
                        schema => 'shop', entity => 'people',
                        data => { id => "$w-told", name => "a\x{e4}" } },
                  'before a create');
        is(told('before_handle')->{phase}, 'before_handle', 'and before all');
        $t = told('after_create');
        is($t->{status}, 201, 'after it: the status');
        is($t->{result}{id}, "$w-told", 'and the row');

        $got = ask($ws, read => 'people', "$w-told", undef,
                   options => { columns => ['name'] });
        $t = told('before_read');
        is_deeply([ @$t{qw(operation record_id options)} ],
                  [ 'read', "$w-told", { columns => ['name'] } ], 'a read');
        is(told('after_read')->{status}, 200, 'after it');
        ask($ws, update => 'people', "$w-told", { name => 'b' });
        is_deeply(told('before_update')->{data}, { name => 'b' }, 'an update');
        ask($ws, delete => 'people', "$w-told");
        is(told('after_delete')->{status}, 204, 'a delete');

        $ws->send({ type => 'subscription', id => 's1', operation => 'subscribe',
                    entity => 'people' });
        $got = $ws->wait_for(sub { ($_->{id} // '') eq 's1' });
        is($got->{success}, true, 'subscribe');
        is(told('before_subscribe')->{entity}, 'people', 'is told');
        ok(WSBus::Client::run_until(sub { $backend->got('after_subscribe') }), 'after it, too');
        $ws->send({ type => 'subscription', id => 's2', operation => 'unsubscribe',
                    subscription_id => $got->{data}{subscription_id} });
        is($ws->wait_for(sub { ($_->{id} // '') eq 's2' })->{success}, true,
           'unsubscribe');
        is(told('before_unsubscribe')->{subscription_id},
           $got->{data}{subscription_id}, 'is told');
    };

    for my $p (qw(bus resource)) {
        subtest "$p: refused" => sub {
            my $id = row("$w-$p", name => 'x');
            my %try = (read => [ people => $id ], delete => [ people => $id ],
                       create => [ people => undef, { id => "$id-new" } ],
                       update => [ people => $id, { name => 'y' } ]);
            for my $operation (sort keys %try) {
                my $ws = open_ws("/ws/$p/before_$operation");
                $backend->leave("before_$operation",
                                json(409, { message => "no $operation" }));
                my $got = ask($ws, $operation, @{ $try{$operation} });
                is($got->{error}{code}, 'hook_error', "$operation: its code");
                is($got->{error}{message}, "no $operation", 'its words');
                $backend->leave("before_$operation", ok204());
            }
            is(ask($all, read => people => $id)->{data}{name}, 'x', 'it stands');
            is(ask($all, read => people => "$id-new")->{success}, false, 'none new');

            my $ws = open_ws("/ws/$p/before_handle");
            $backend->leave('before_handle', json(403, {}));
            my $got = ask($ws, read => people => $id);
            is($got->{error}{code}, 'unauthorized', 'before_handle: its code');
            $backend->leave('before_handle', ok204());
        };

        subtest "$p: data is changed" => sub {
            my $ws = open_ws("/ws/$p/before_create");
            $backend->leave(before_create => json(200,
                { data => { id => "$w-$p-data", stamp => 7 } }));
            my $got = ask($ws, create => people => undef, { id => 'mine' });
            is_deeply($got->{data}, { id => "$w-$p-data", stamp => 7 }, 'the row');
            $backend->leave(before_create => ok204());
        };

        subtest "$p: a result is changed, events are not" => sub {
            my $id = row("$w-$p-mask", secret => 's');
            my $sub = open_ws('/ws/all');
            $sub->subscribe({ entity_type => 'people', entity_id => $id });
            my $ws = open_ws("/ws/$p/after_update");
            $backend->leave(after_update => json(200,
                { result => { masked => true } }));
            my $got = ask($ws, update => people => $id, { secret => 't' });
            is_deeply($got->{data}, { masked => true }, 'the answer');
            is($sub->wait_type('event')->{data}{event}{data}{secret}, 't',
               'the event');

            $backend->leave(after_update => json(400, { detail => 'late' }));
            $got = ask($ws, update => people => $id, { secret => 'u' });
            is($got->{error}{code}, 'hook_error', 'refused after it');
            is($got->{error}{message}, 'done, but: late', 'and told that it is made');
            is($sub->wait_type('event')->{data}{event}{data}{secret}, 'u',
               'it is made, and told');
            $backend->leave(after_update => json(500, {}));
            $got = ask($ws, update => people => $id, { secret => 'v' });
            like($got->{error}{message}, qr/^done, but/, 'failed after it: told');
            $sub->wait_type('event');
            $backend->leave(after_update => ok204());
        };
    }

    subtest 'filters of a read, a write, a subscription' => sub {
        my $ann = row("$w-ann", owner => 'ann');
        my $bob = row("$w-bob", owner => 'bob');
        my $filters = json(200, { filters => [
            { column => 'owner', operator => 'in', value => [ 'ann', 'amy' ] } ] });

        $backend->leave(before_read => $filters);
        my $ws = open_ws('/ws/bus/before_read');
        is(ask($ws, read => people => $ann)->{success}, true, 'its own is read');
        is(ask($ws, read => people => $bob)->{success}, false, 'no other');
        $backend->leave(before_read => ok204());
        is(ask($ws, read => people => $bob)->{success}, true, 'only that once');

        $backend->leave(before_update => $filters);
        $ws = open_ws('/ws/bus/before_update');
        is(ask($ws, update => people => $ann, { a => 1 })->{success}, true, 'update');
        is(ask($ws, update => people => $bob, { a => 1 })->{success}, false, 'of no other');
        $backend->leave(before_update => ok204());

        $backend->leave(before_subscribe => $filters);
        $ws = open_ws('/ws/bus/before_subscribe');
        my $got = $ws->subscribe({ entity_type => 'people' });
        my $last = $got->{last_id};
        is($got->{type}, 'subscribed', 'subscribed');
        my $more = $ws->subscribe({ entity_type => 'people' }, since => $last);
        is($more->{recovered}, true, 'and resumed');
        $backend->leave(before_subscribe => ok204());
        ask($all, update => people => $bob, { b => 2 });
        ask($all, update => people => $ann, { b => 2 });
        my $event = $ws->wait_type('event');
        is($event->{data}{event}{entity_id}, $ann, 'live: its own alone');
        $event = $ws->wait_type('event');
        is($event->{data}{event}{entity_id}, $ann, 'both subscriptions');

        $backend->leave(before_subscribe => $filters);
        my $again = open_ws('/ws/bus/before_subscribe');
        is($again->subscribe({ entity_type => 'people' }, since => $last)
                 ->{recovered}, true, 'another resumes');
        is($again->wait_type('event')->{data}{event}{entity_id}, $ann,
           'of the past: its own alone');
        $backend->leave(before_subscribe => json(403, { detail => 'no more' }));
        $got = $again->subscribe({});
        is_deeply([ @$got{qw(type code message)} ],
                  [ 'error', 'hook_error', 'no more' ], 'refused');
        $backend->leave(before_subscribe => ok204());
    };

    subtest 'the others' => sub {
        my $no = json(403, { detail => 'not that' });
        my $id = row("$w-others", owner => 'ann');
        my $ws = open_ws('/ws/resource/before_meta');
        is(ask($ws, meta => 'people')->{success}, true, 'meta');
        $backend->leave(before_meta => $no);
        is(ask($ws, meta => 'people')->{error}{message}, 'not that', 'is refused');

        for my $operation (qw(read create delete meta)) {
            my $ws = open_ws("/ws/resource/after_$operation");
            my @id = $operation =~ /read|delete/ ? $id : undef;
            my @data = $operation eq 'create' ? { id => "$id-new" } : ();
            $backend->leave("after_$operation" => json(200, { result => [7] }));
            is_deeply(ask($ws, $operation, 'people', @id, @data)->{data}, [7],
                      "the result after $operation");
        }

        $id = row("$w-bob2", owner => 'bob');
        my $filters = json(200, { filters => [
            { column => 'owner', operator => 'eq', value => 'ann' } ] });
        $backend->leave("before_$_" => $filters) for qw(create delete subscribe);
        $ws = open_ws('/ws/resource/before_delete');
        is(ask($ws, delete => 'people', $id)->{success}, false, 'deletes no other');
        $ws = open_ws('/ws/resource/before_create');
        is(ask($ws, create => 'people', undef, { owner => 'bob' })->{error}{code},
           'unauthorized', 'makes none that is of another');

        my $subscribe = sub {
            my ($ws) = @_;
            my $request = 's' . ++$n;
            $ws->send({ type => 'subscription', id => $request,
                        operation => 'subscribe', entity => 'people' });
            return $ws->wait_for(sub { ($_->{id} // '') eq $request });
        };
        my $end = sub {
            my ($ws, $got) = @_;
            my $request = 'u' . ++$n;
            $ws->send({ type => 'subscription', id => $request,
                        operation => 'unsubscribe',
                        subscription_id => $got->{data}{subscription_id} });
            return $ws->wait_for(sub { ($_->{id} // '') eq $request });
        };

        $ws = open_ws('/ws/resource/before_subscribe');
        is($subscribe->($ws)->{success}, true, 'resource subscribes');
        ask($all, update => people => $id, { c => 1 });
        my $ann = row("$w-ann2", owner => 'ann');
        is($ws->wait_type('notification')->{data}{id}, $ann, 'with filters');
        $backend->leave(before_subscribe => $no);
        is($subscribe->($ws)->{error}{message}, 'not that', 'or is refused');

        $ws = open_ws('/ws/resource/before_unsubscribe');
        my $got = $subscribe->($ws);
        $backend->leave(before_unsubscribe => $no);
        is($end->($ws, $got)->{error}{code}, 'hook_error', 'unsubscribe is refused');
        $backend->leave(before_unsubscribe => ok204());
        is($end->($ws, $got)->{success}, true, 'it was there still');

        for my $phase (qw(subscribe unsubscribe)) {
            $ws = open_ws("/ws/resource/after_$phase");
            $backend->leave("after_$phase" => $no);
            $got = $subscribe->($ws);
            is($got->{success}, true, "after_$phase: subscribed");
            is($end->($ws, $got)->{success}, true, 'and ended, whatever it says');
            ok(WSBus::Client::run_until(sub { $backend->got("after_$phase") }),
               'it was asked');
        }
        $backend->leave($_ => ok204()) for @phases;
    };

    subtest 'order' => sub {
        my $ws = open_ws('/ws/two');
        $backend->leave($_ => ok204()) for qw(first second);
        ask($ws, read => 'people');
        is($backend->got('second'), 1, 'both are asked');
        $backend->leave(first => json(403, {}));
        ask($ws, read => 'people');
        is($backend->got('second'), 1, 'the first refusal ends it');
    };

    subtest 'failures' => sub {
        my $closed = open_ws('/ws/resource/before_read');
        my $open   = open_ws('/ws/resource/open_read');
        my $first  = "\x{ff}" x 20;
        my @bad = (
            [ 'a 500', WSBus::Backend::bytes(500, '') ],
            [ 'a redirect', WSBus::Backend::bytes(302, '', headers =>
                                                  [ Location => '/x' ]) ],
            [ 'no JSON', WSBus::Backend::bytes(200, '{"filters":[') ],
            [ 'an array', json(200, []) ],
            [ 'a key twice', WSBus::Backend::bytes(200,
                '{"filters":[{"column":"a","operator":"eq","value":1}],"filters":[]}') ],
            [ 'nothing', WSBus::Backend::bytes(200, '') ],
            [ 'filters that are none', json(200, { filters => { a => 1 } }) ],
            [ 'an operator that is none', json(200, { filters => [
                { column => 'a', operator => 'is', value => 1 } ] }) ],
            [ 'a value that is none', json(200, { filters => [
                { column => 'a', operator => 'eq', value => [1] } ] }) ],
            [ 'a list with commas', json(200, { filters => [
                { column => 'a', operator => 'in', value => ['x,y'] } ] }) ],
            [ 'too many filters', json(200, { filters => [ map
                { { column => "a$_", operator => 'eq', value => 1 } } 1 .. 17 ] }) ],
            [ 'metadata that are none', json(200, { metadata => { a => [] } }) ],
            [ 'a bad name', json(200, { metadata => { 'a-b' => 1 } }) ],
            [ 'metadata too large', json(200, { metadata => { a => 'x' x 5000 } }) ],
            [ 'half an answer', WSBus::Backend::bytes(200, '{}', length => 9) ],
            [ 'a column that is none', json(200, { filters => [
                { column => 7, operator => 'eq', value => 1 } ] }) ],
            [ 'too large an answer', json(200, { data => 'x' x (2 << 20) }) ],
            [ 'no UTF-8', WSBus::Backend::bytes(200, $first) ],
        );
        for my $bad (@bad) {
            $backend->leave($_ => $bad->[1]) for qw(before_read open_read);
            my $got = ask($closed, read => 'people');
            is_deeply([ @{ $got->{error} }{qw(code message)} ],
                      [ 'hook_error', 'the hook failed' ], "$bad->[0]: closed");
            $got = ask($open, read => 'people');
            is($got->{success}, true, "$bad->[0]: open");
        }
        # one that is wrong in part changes nothing
        my $id = row("$w-partly", owner => 'ann');
        $backend->leave(open_read => json(200, { metadata => { a => 1 },
            filters => [ { column => 'owner', operator => 'is', value => 'x' } ] }));
        is(ask($open, read => 'people', $id)->{success}, true, 'no condition of it is left');
        $backend->leave(open_read => ok204());
        ask($open, read => 'people', $id);
        is(told('open_read')->{metadata}, undef, 'nor its metadata');

        $backend->leave($_ => ok204()) for qw(before_read open_read);
        is(ask($closed, read => 'people')->{success}, true, 'and it goes on');
        like($nginx->error_log, qr/the hook "before_read" failed: /, 'the log says why');
    };

    subtest 'a slow one' => sub {
        my ($slow, $other) = map { open_ws($_) } qw(/ws/slow /ws/all);
        $slow->send({ type => 'request', id => 'slow', operation => 'read',
                      entity_type => 'people' });
        is(ask($other, read => 'people')->{success}, true, 'others go on');
        is(scalar @{ $slow->{queue} }, 0, 'while it waits');
        my $got = $slow->wait_for(sub { ($_->{id} // '') eq 'slow' });
        is($got->{error}{code}, 'hook_error', 'refused when the time is over');
        is(open_ws('/ws/slow/connect')->{status}, 503, 'a connection, too');

        $slow->send({ type => 'request', id => 'slow2', operation => 'read',
                      entity_type => 'people' });
        my $totals = sub { $c->status->{zones}[0]{totals} };
        ok(WSBus::Client::run_until(sub { $totals->()->{calls_running} }),
           'another waits');
        my $was = $totals->();
        $slow->finish;
        ok(WSBus::Client::run_until(sub { !$totals->()->{calls_running} }),
           'who goes takes his question along');
        is($totals->()->{calls_cancelled}, $was->{calls_cancelled} + 1,
           'before its time is over');
    };

    subtest 'before a connection' => sub {
        my $ann = row("$w-c-ann", owner => 'ann');
        my $bob = row("$w-c-bob", owner => 'bob');
        $backend->leave(connect => json(200, { metadata =>
            { user => 'ann', tenant => 'acme', table => 'people', n => 3 } }));
        my $ws = open_ws('/ws/connect?a=1');
        is($ws->{status}, 101, 'let in');
        my $t = told('connect');
        is($t->{phase}, 'before_connect', 'the phase');
        is($t->{uri}, '/ws/connect', 'the URI');
        is($ws->{welcome}{connection_id}, $t->{connection_id},
           'the connection id is that of the client');
        is(ask($ws, read => x => $ann)->{success}, true, '$ws_bus_meta_ in backend');
        is(ask($ws, read => x => $bob)->{success}, false, 'in restrict');
        $ws->subscribe({});
        $c->publish({ action => 'created', entity_type => 'a', entity_id => $_,
                      tenant => $_, data => { owner => 'ann' } }) for qw(other acme);
        is($ws->wait_type('event')->{data}{event}{entity_id}, 'acme', 'in tenant');

        $backend->leave(created => json(200, { metadata => { n => undef, m => 'x' } }));
        ask($ws, create => people => undef, { id => "$w-c-new", owner => 'ann' });
        is_deeply(told('created')->{metadata},
                  { user => 'ann', tenant => 'acme', table => 'people', n => 3 },
                  'later hooks are told');
        is(told('created')->{tenant}, 'acme', 'the tenant, too');
        ask($ws, create => people => undef, { id => "$w-c-new2", owner => 'ann' });
        is_deeply(told('created')->{metadata},
                  { user => 'ann', tenant => 'acme', table => 'people', m => 'x' },
                  'and of what one has changed');

        for my $try ([ 401 => 401 ], [ 403 => 403 ], [ 404 => 403 ], [ 500 => 503 ]) {
            $backend->leave(none => json($try->[0], { detail => 'no' }));
            is(open_ws('/ws/none')->{status}, $try->[1], "$try->[0]: $try->[1]");
        }
        $backend->leave(none => json(401, {}));
        is(open_ws('/ws/first')->{status}, 401,
           'an error page that is another location asks its own');
        is(open_ws('/ws/dead')->{status}, 503, 'dead: closed');
        is(open_ws('/ws/dead/open')->{status}, 101, 'dead: open');
        $backend->leave(none => ok204());
        is(($c->get('/ws/none'))[0], 400, 'what is no handshake');
        is($backend->got('none'), 0, 'is not asked about');
    };

    subtest 'claims' => sub {
        my $token = $key->token(HS256 => { sub => 'u1', role => [ 'a', 1.50 ], more => 1,
                                  exp => time + 600 });
        my $ws = open_ws('/ws/claims', Authorization => "Bearer $token");
        is($ws->{status}, 101, 'let in');
        is_deeply(told('claims')->{claims}, { sub => 'u1', role => [ 'a', 1.5 ] },
                  'those that are named');
        like($backend->body('claims'), qr/1\.50?/, 'as they stand');
        ask($ws, read => 'people');
        is(told('claims2')->{claims}{sub}, 'u1', 'later hooks, too');
    };

    subtest 'a name leads nowhere else' => sub {
        my $ws = open_ws('/ws/path');
        for my $entity ('../dead', 'a/b', 'x%2fy') {
            my $got = ask($ws, read => $entity, 'x');
            is($got->{success}, false, $entity);
        }
    };

    return;
}

for my $workers (1, 4) {
    $nginx = WSBus::Nginx->new(
        workers => $workers, fixed_workers => 1, http => http());
    $nginx->write_file('secret', $key->{secret});
    $nginx->start;

    subtest "$workers workers" => \&hooks;
    is($nginx->stop('QUIT'), 'clean', 'it stops');
}

done_testing;
