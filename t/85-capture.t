# SPDX-License-Identifier: BSD-2-Clause
# Mutations that nginx proxies become events, and the responses stay what
# they are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(uniq);
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::Capture;
use WSBus::Client;
use WSBus::Example;
use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;

start_capture();


subtest 'a REST application' => sub {
    # its state differs between the two servers: this one alone
    my @seen;

    my $do = sub {
        my ($method, $path, $body) = @_;
        my ($code, $json) = $c->request($method, $path,
            defined $body ? encode_json($body) : '', 'X-Request-ID' => 'r-1',
            'Content-Type' => 'application/json');
        return ($code, $json, events());
    };

    my ($code, $json, @got) = $do->(POST => '/people', { name => 'Ann' });
    is($code, 201, 'created');
    is_deeply(\@got, [ event(action => 'created', entity_type => 'people',
        entity_id => '1', data => { id => 1, name => 'Ann' }) ], 'POST');

    ($code, $json, @got) = $do->(PUT => '/people/1', { name => 'Bea' });
    is($code, 200, 'put');
    is_deeply(\@got, [ event(action => 'updated', entity_type => 'people',
        entity_id => '1', data => { id => 1, name => 'Bea' }) ], 'PUT');

    ($code, $json, @got) = $do->(PATCH => '/people/1', { age => 7 });
    is($code, 200, 'patched');
    is_deeply(\@got, [ event(action => 'updated', entity_type => 'people',
        entity_id => '1', data => { id => 1, name => 'Bea', age => 7 }) ],
        'PATCH');

    for my $path ('/people', '/people/1') {
        ($code, $json, @got) = $do->(GET => $path);
        is($code, 200, "GET $path");
        is_deeply(\@got, [], 'no event');
    }

    ($code, $json, @got) = $do->(DELETE => '/people/1');
    is($code, 204, 'deleted');
    is_deeply(\@got, [ event(action => 'deleted', entity_type => 'people',
        entity_id => '1') ], 'DELETE');

    for my $method (qw(PUT PATCH DELETE)) {
        ($code, $json, @got) = $do->($method => '/people/1', {});
        is($code, 404, "$method of nothing");
        is_deeply(\@got, [], 'no event');
    }

    ($code, $json, @got) = $do->(POST => '/people', [ 1 ]);
    is($code, 400, 'a bad POST');
    is_deeply(\@got, [], 'no event');
};


subtest 'no mutation' => sub {
    my $ok = json(200, '{"id":"o-1"}');

    for my $method (qw(GET OPTIONS PROPFIND)) {
        gives($method, [ $method, '/orders/o-1', reply => $ok, status => 200 ]);
    }

    my $head = json(200, '', length => 12);
    gives('HEAD', [ HEAD => '/orders/o-1', reply => $head, status => 200 ]);

    for my $status (301, 302, 303, 304, 307, 400, 401, 404, 409, 422, 500,
                    502, 503)
    {
        my $reply = $status == 304 ? json(304, '', length => undef)
                  : json($status, '{"id":"o-1"}',
                         headers => [ Location => '/orders/o-1' ]);
        gives("POST, $status",
              [ POST => '/orders', reply => $reply, status => $status ]);
    }

    gives('capture is off',
          [ POST => '/api/orders/off/', reply => $created, status => 201 ]);
};


subtest 'actions' => sub {
    for my $case ([ POST => 'created' ], [ PUT => 'updated' ],
                  [ PATCH => 'updated' ])
    {
        my ($method, $action) = @$case;

        for my $status (200, 201, 202, 203, 206) {
            gives("$method, $status",
                [ $method, '/orders/o-1', body => '{}', status => $status,
                  reply => json($status, '{"id":"o-1","n":1}') ],
                { action => $action, entity_type => 'orders',
                  entity_id => 'o-1', data => { id => 'o-1', n => 1 } });
        }
    }

    gives('DELETE', [ DELETE => '/orders/o-1', status => 200,
                      reply => json(200, '{"id":"o-1","n":1}') ],
          { action => 'deleted', entity_type => 'orders', entity_id => 'o-1' });

    gives('a POST on an item is mapped',
          [ POST => '/re/orders/o-1', status => 200,
            reply => json(200, '{"n":1}') ],
          { action => 'updated', entity_type => 'order', entity_id => 'o-1',
            data => { n => 1 } });

    gives('an id from the URI never is a path into the response',
          [ POST => '/re/orders/path=secret', status => 200,
            reply => json(200, '{"secret":"s-1"}') ],
          { action => 'updated', entity_type => 'order',
            entity_id => 'path=secret', data => { secret => 's-1' } });

    gives('a POST on an item, 201, is not',
          [ POST => '/re/orders/o-1', status => 201, reply => $created ],
          { action => 'created', entity_type => 'order', entity_id => 'o-1',
            data => $data });

    gives('an action of its own',
          [ POST => '/num/boxes/3/4', status => 201, reply => $created ],
          { action => 'shipped', entity_type => 'boxes',
            entity_id => 'boxes-3/4', data => $data });
};


subtest 'entity' => sub {
    for my $case (
        [ '/orders',              'orders', 'the prefix' ],
        [ '/orders/',             'orders', 'the prefix, and a slash' ],
        [ '/orders/o-1/lines',    'orders', 'the prefix, whatever follows' ],
        [ '/api/invoices',        'invoices', 'behind the prefix' ],
        [ '/api/invoices/7',      'invoices', 'the first behind the prefix' ],
        [ '/api//invoices/7',     'invoices', 'two slashes' ],
        [ '/deep/v1/orders/',     'orders', 'nothing behind the prefix' ],
        [ '/deep/v1/orders/o-1',  'o-1', 'the first behind a longer prefix' ],
        [ '/parts/7',             'parts', 'a regular expression' ],
        [ '/re/invoices',         'invoice', 'a capture' ],
        [ '/tried/x',             'tried', 'a named location' ],
        [ '/api/r%C3%A9sum%C3%A9s', "r\x{e9}sum\x{e9}s", 'not only ASCII' ],
    ) {
        my ($uri, $entity, $what) = @$case;
        gives("$what: $uri", [ POST => $uri, reply => $created, status => 201 ],
              { action => 'created', entity_type => $entity,
                entity_id => 'o-1', data => $data });
    }

    gives('a variable',
          [ POST => '/var/x', reply => $created, status => 201,
            headers => { 'X-Entity' => 'thing' } ],
          { action => 'created', entity_type => 'thing', entity_id => 'o-1',
            data => $data });

    gives('a value that is too long: no event',
          [ POST => '/var/x', reply => $created, status => 201,
            headers => { 'X-Entity' => 'x' x 257 } ]);

    gives('a variable without a value: the default',
          [ POST => '/var/x', reply => $created, status => 201 ],
          { action => 'created', entity_type => 'x', entity_id => 'o-1',
            data => $data });
};


subtest 'tenant' => sub {
    my $other = $c->open('/wst');
    $other->subscribe({});

    subtest 'its own' => sub {
        ask(POST => '/tenant/x', reply => $created, status => 201,
            headers => { 'X-Tenant' => 'acme' });
        is_deeply([ events() ], [], 'not for those without a tenant');
        is_deeply($other->wait_type('event')->{data}{event},
            event(action => 'created', entity_type => 'x', entity_id => 'o-1',
                  data => $data), 'for those of the tenant');
    };

    gives('another one', [ POST => '/tenant/x', reply => $created,
                           status => 201, headers => { 'X-Tenant' => 'b' } ]);
    gives('none: no event', [ POST => '/tenant/x', reply => $created,
                              status => 201 ]);
    my $line = qr/capture: no event of a mutation in location "\/tenant\/"/;
    ok($nginx->await_log(qr/$line: .*"ws_bus_tenant"/), 'it is logged');

    ask(POST => '/orders', reply => $created, status => 201);
    is(scalar(my @got = events()), 1, 'one without a tenant');

    ask(POST => '/tenant/x', reply => json(201, '{"id":"last"}'),
        status => 201, headers => { 'X-Tenant' => 'acme' });
    is($other->wait_type('event')->{data}{event}{entity_id}, 'last',
       'the tenant has seen nothing else');
    $other->finish;
};


subtest 'origin' => sub {
    my $is = sub {
        my ($what, $origin, %headers) = @_;
        gives($what, [ POST => '/orders', reply => $created, status => 201,
                       headers => \%headers ],
              { action => 'created', entity_type => 'orders',
                entity_id => 'o-1', data => $data, origin => $origin });
    };

    $is->('X-Request-ID', 'r-1');
    $is->('X-Ws-Bus-Origin', 'tab "5" \\', 'X-Ws-Bus-Origin' => 'tab "5" \\');
    $is->('one that is too long is passed over', 'r-1',
          'X-Ws-Bus-Origin' => 'x' x 257);
    $is->('one that is not ASCII, too', 'r-1',
          'X-Ws-Bus-Origin' => "\xc3\xa9");

    subtest 'else a number of the request' => sub {
        ask(POST => '/orders', reply => $created, status => 201,
            headers => { 'X-Request-ID' => undef });
        ask(POST => '/orders', reply => $created, status => 201,
            headers => { 'X-Request-ID' => undef });
        my @own = map { $_->{metadata}{origin} } events();
        is(scalar(grep { /^[0-9a-f]{32}$/ } @own), 2, 'of the same form');
        isnt($own[0], $own[1], 'not twice');
    };

    subtest 'it is $request_id if that is used' => sub {
        my $other = WSBus::Nginx->new(http => <<"END")->start;
    ws_bus_zone zone=events:16m;
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Used \$request_id;
        location = /ws { ws_bus events; }
        location / { proxy_pass http://$odd; ws_bus_capture events; }
    }
END
        my $socket = WSBus::Client->new($other)->open;
        $socket->subscribe({});

        $backend->leave('used', $created);
        my $raw = WSBus::Raw->new($other->port);
        $raw->write(request(POST => '/orders', headers => {
            'X-Request-ID' => undef, 'X-Reply' => 'used' }));
        my ($id) = whole($raw) =~ /^X-Used: ([0-9a-f]{32})\r$/m;

        ok($id, 'nginx has told it');
        is($socket->wait_type('event')->{data}{event}{metadata}{origin}, $id,
           'and so has the event');
        $socket->finish;
        $other->finish;
    };
};


subtest 'lists' => sub {
    my $list = '[{"id":"a","n":1}, {"id":2} ,{"n":3}]';

    my @rows = (
        { entity_id => 'a', data => { id => 'a', n => 1 } },
        { entity_id => '2', data => { id => 2 } },
        { entity_id => 'u', data => { n => 3 } },
    );

    gives('POST', [ POST => '/orders/u', reply => json(201, $list),
                    status => 201 ],
          map { { action => 'created', entity_type => 'orders', %$_ } } @rows);
    gives('PATCH', [ PATCH => '/orders/u', reply => json(200, $list),
                     status => 200 ],
          map { { action => 'updated', entity_type => 'orders', %$_ } } @rows);

    gives('PUT is one event', [ PUT => '/orders/u', status => 200,
                                reply => json(200, $list) ],
          { action => 'updated', entity_type => 'orders', entity_id => 'u',
            data => decode_json($list) });
    gives('without data', [ POST => '/data/none/x', status => 201,
                            reply => json(201, $list) ],
          map { { action => 'created', entity_type => 'x',
                  entity_id => $_ } } 'a', '2', 'x');
    gives('an empty list: none', [ POST => '/orders', status => 200,
                                   reply => json(200, '[]') ]);

    subtest 'as one batch' => sub {
        ask(POST => '/orders', status => 201, reply => json(201,
            encode_json([ map { { id => "b-$_" } } 1 .. 100 ])));
        my @got = $ws->sync;
        my @seq = map { seq_of($_->{data}{id}) } @got;
        is(scalar @seq, 100, '100 events');
        is($seq[-1] - $seq[0], 99, 'nothing between them');
        is(scalar(uniq map { $_->{data}{timestamp} } @got), 1,
           'at the same time');
        logged(qq(POST /orders 201 "$got[0]{data}{id}"),
               'the log has the first');
    };
};


# docs/capture.md, "Conditions"

subtest 'who has a condition on a column' => sub {
    my $where  = [ { column => 'amount', operator => 'gt', value => 100 } ];
    my %socket = (where => $c->open, restrict => $c->open('/wsr'));

    $socket{where}->subscribe({ entity_type => 'x' }, where => $where);
    $socket{restrict}->subscribe({});

    # what each is told: the change, "plain" without one, or nothing

    my ($last, $told);

    $told = sub {
        my ($what, $want, @ask) = @_;
        my %want = ref $want ? %$want : (where => $want, restrict => $want);
        subtest $what => sub {
            ask(@ask);
            my ($all) = events();
            ok($all, 'everybody else is told');
            $last = $all;

            # an event that all of them get shows that nothing was before it
            ask(POST => '/data/response/x', status => 201,
                reply => json(201, '{"id":"mark","amount":999}'));
            events();

            for my $who (sort keys %socket) {
                my $got = $socket{$who}->wait_type('event');

                if ($want{$who}) {
                    is($got->{data}{event}{entity_id}, 'k-1', "$who: is told");
                    is($got->{change} // 'plain', $want{$who}, $want{$who});
                    is($got->{data}{event}{data}, undef, 'without the row')
                        if $who eq 'restrict' && $want{$who} eq 'left';
                    $got = $socket{$who}->wait_type('event');
                }

                is($got->{data}{event}{entity_id}, 'mark', "$who: no more");
            }
        };
    };

    my $row   = sub { json(200, qq({"id":"k-1","amount":$_[0]})) };
    my @url   = ('/data/response/x/k-1', status => 200);
    my @patch = ('/data/request/x/k-1', status => 200, reply => $row->(0));
    my @gone  = (DELETE => '/data/stream/x/k-1', status => 204,
                 reply => json(204, ''));

    $told->('a row that meets it', 'plain', PUT => @url, reply => $row->(142));
    $told->('one that does not any more', 'left', PUT => @url,
            reply => $row->(42));
    $told->('nor then', '', PUT => @url, reply => $row->(43));
    $told->('one that does again', 'entered', PATCH => @url,
            reply => $row->(142));
    $told->('a deleted one', 'left', @gone);
    $told->('a deleted one that is answered', 'plain', DELETE => @url,
            reply => $row->(142));
    $told->('a new one', 'plain', PUT => @url, reply => $row->(143));
    $told->('a PATCH without the column', 'plain', PATCH => @patch,
            body => '{"n":1}');
    is_deeply($last->{data}, { id => 'k-1', amount => 143, n => 1 },
              'is merged onto the row');
    $told->('a PATCH that takes it out', 'left', PATCH => @patch,
            body => '{"amount":1}');
    $told->('no data', '', PUT => '/data/none/x/k-1', status => 200,
            reply => $row->(142));
    $told->('a deleted one whose row is not known',
            { where => 'left', restrict => '' }, @gone);
    $told->('truncated', '', PUT => @url, reply => json(200, 'x'));
    $told->('a PATCH of a row that is not known', '', PATCH => @patch,
            body => '{"n":1}');
    is_deeply($last->{data}, { n => 1 }, 'stays what it is');
    $told->('a row', 'plain', PUT => @url, reply => $row->(142));
    $told->('without the row before', '', PUT => '/data/alone/x/k-1',
            status => 200, reply => $row->(1));
    $told->('a row before that came so', 'entered', PUT => @url,
            reply => $row->(142));

    $_->finish for values %socket;
};


subtest 'versions' => sub {
    for my $case ([ 'a number', '/vpath/x', '{"id":"v","m":{"v":9007199254740993}}',
                    9007199254740993 ],
                  [ 'a string', '/vpath/x', '{"id":"v","m":{"v":"2026-01-01"}}',
                    '2026-01-01' ],
                  [ 'none', '/vpath/x', '{"id":"v","m":{"v":{}}}', undef ],
                  [ 'of a header', '/vetag/x', '{"id":"v"}', '"7"' ])
    {
        my ($what, $url, $body, $want) = @$case;
        ask(POST => $url, status => 201,
            reply => json(201, $body, headers => [ ETag => '"7"' ]));
        my ($got) = events();
        is($got->{metadata}{version}, $want, $what);
    }
};


subtest 'the access log' => sub {
    ask(POST => '/orders', reply => $created, status => 201);
    my ($got) = $ws->sync;
    logged(qq(POST /orders 201 "$got->{data}{id}"), 'a mutation');

    ask(DELETE => '/orders/o-1', reply => json(204, ''), status => 204);
    ($got) = $ws->sync;
    logged(qq(DELETE /orders/o-1 204 "$got->{data}{id}"), 'without a body');

    ask(GET => '/orders', reply => $created, status => 201);
    logged('GET /orders 201 "-"', 'no mutation');

    ask(POST => '/orders', reply => json(422, '{}'), status => 422);
    logged('POST /orders 422 "-"', 'an error');
};


subtest 'the status page' => sub {
    my $figures = sub {
        my ($zone) = grep { $_->{name} eq 'events' } @{ $c->status->{zones} };
        my %of = map { $_->{location} => $_->{events} } @{ $zone->{captures} };
        return ($zone->{totals}{captured}, $of{'/orders'});
    };

    my ($total, $orders) = $figures->();
    cmp_ok($total, '>', 100, 'captured');
    cmp_ok($orders, '>', 50, 'of one location');

    ask(POST => '/orders', reply => json(201, '[{"id":1},{"id":2}]'),
        status => 201);
    ask(POST => '/orders', reply => json(422, '{}'), status => 422);
    events();

    is_deeply([ $figures->() ], [ $total + 2, $orders + 2 ], 'two more');
};


$nginx->finish;


subtest 'conf.example/capture-by-rules.conf' => sub {
    $nginx = WSBus::Example::nginx('capture-by-rules.conf', workers => 1,
        change => sub {
            s/127\.0\.0\.1:3000/$odd/;
            s{(?=location = /ws )}
             {location = /publish { ws_bus_publish events;
                                    ws_bus_tenant  \$bus_tenant; }
              };
        })->start;
    $c  = WSBus::Client->new($nginx);
    $ws = $c->open('/ws', Host => 'acme.example.com');
    $ws->subscribe({});

    my $case = sub {
        my ($what, $method, $uri, $reply, @expect) = @_;
        $backend->leave('rules', $reply);
        my ($code) = $c->request($method, $uri, '{"sent":1}',
            Host => 'acme.example.com', 'X-Reply' => 'rules',
            'X-Ws-Bus-Origin' => 'tab-5');
        is_deeply([ map { $_->{data}{event} }
                        $ws->sync(Host => 'acme.example.com') ],
                  [ map { event(%$_, origin => 'tab-5') } @expect ], $what)
            or diag($code);
    };

    my $ok = json(200, '{"id":"7","secret":1}');

    $case->('created', POST => '/v2/people', json(201, '{"id":"7"}'),
            { action => 'created', entity_type => 'person', entity_id => '7' });
    $case->('a POST on an item', POST => '/v2/orders/7', $ok,
            { action => 'updated', entity_type => 'order', entity_id => '7' });
    $case->('an action', POST => '/v2/orders/7/cancel', json(204, ''),
            { action => 'cancelled', entity_type => 'order',
              entity_id => '7' });
    $case->('replaced', PUT => '/v2/things/7', $ok,
            { action => 'updated', entity_type => 'things',
              entity_id => '7' });
    $case->('deleted', DELETE => '/v2/addresses/7', json(204, ''),
            { action => 'deleted', entity_type => 'address',
              entity_id => '7' });
    $case->('a payment', POST => '/v2/payments',
            json(201, '{"result":{"payment":{"id":"p-1"}}}'),
            { action => 'created', entity_type => 'payment',
              entity_id => 'p-1', data => { sent => 1 } });
    $case->('a report', POST => '/v2/payments/reports', $ok);
    $case->('a failure', POST => '/v2/orders', json(422, '{"id":"7"}'));

    my ($code) = $c->request(POST => '/v2/orders', '{}', 'X-Reply' => 'rules',
                             Host => 'unknown.example.com');
    is($code, 422, 'a host without a tenant is served');

    $nginx->finish;
};


$backend->stop;


subtest 'configuration' => sub {
    my $test = sub {
        my ($location) = @_;
        return WSBus::Nginx->test_config(http => WSBus::Nginx::minimal(
            server => "location /x { return 204; $location }"));
    };

    for my $case (
        [ 'ws_bus_capture nowhere;', qr/nowhere/ ],
        [ 'ws_bus_capture;', qr/invalid number of arguments/ ],
        [ 'ws_bus_capture events; ws_bus_capture off;', qr/is duplicate/ ],
        [ 'ws_bus_capture_data all;', qr/"response", "request" or "none"/ ],
        [ 'ws_bus_capture_old on;', qr/expected "history" or "off"/ ],
        [ 'ws_bus_capture_old off; ws_bus_capture_old off;', qr/is duplicate/ ],
        [ 'ws_bus_capture_version path=a..b;', qr/invalid path.*_version/ ],
        [ 'ws_bus_capture_max_body 1;', qr/a size from 1k to 64m/ ],
        [ 'ws_bus_capture_max_body x;', qr/a size from 1k to 64m/ ],
        [ 'ws_bus_capture_entity $nowhere;', qr/unknown "nowhere" variable/ ],
        [ 'ws_bus_capture_id a; ws_bus_capture_id b;', qr/is duplicate/ ],
        [ 'ws_bus_capture_id path=;', qr/names joined by dots/ ],
        [ 'ws_bus_capture_id path=.id;', qr/names joined by dots/ ],
        [ 'ws_bus_capture_id path=a..id;', qr/names joined by dots/ ],
        [ 'ws_bus_capture_id path=a.;', qr/names joined by dots/ ],
        [ 'ws_bus_capture_id id=foo;', qr/"id=foo".*"path=foo"/ ],
        [ 'ws_bus_capture_id Path=foo;', qr/"path=foo"/ ],
        [ 'ws_bus_capture_id name=$uri;', qr/"name=\$uri"/ ],
        [ 'ws_bus_capture on;', qr/"ws_bus_capture" needs the name of a zone/ ],
    ) {
        my ($rc, $out) = $test->($case->[0]);
        isnt($rc, 0, "refused: $case->[0]");
        like($out, $case->[1], 'and said why');
    }

    my ($rc, $out) = $test->('ws_bus_capture on;');
    unlike($out, qr/zone=on/, 'no zone "on" is proposed');
    like($out, qr/nginx\.conf:\d+/, 'but file and line named');

    for my $good ('ws_bus_capture off; ws_bus_capture_max_body 64m;',
                  'ws_bus_capture_id $arg_id;', 'ws_bus_capture_id a:=b;',
                  'ws_bus_capture_id "$arg_a=$arg_b";')
    {
        ($rc, $out) = $test->($good);
        is($rc, 0, $good) or diag($out);
    }

    for my $directive (qw(ws_bus ws_bus_publish)) {
        ($rc, $out) = $test->("} location /y { $directive on;");
        isnt($rc, 0, "$directive on: refused");
        like($out, qr/"$directive" needs the name of a zone/, 'and said why');
    }
};


done_testing;
