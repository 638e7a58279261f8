# SPDX-License-Identifier: BSD-2-Clause
# The resource protocol without a backend: subscriptions with filters, what
# they are told, errors, heartbeat, as clients of its document know them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use Time::HiRes qw(time);

use WSBus::Nginx;
use WSBus::Raw;
use WSBus::Resource;

my $nginx = WSBus::Nginx->new(workers => 2, fixed_workers => 1,
    http => <<'END');
    ws_bus_zone zone=events:8m;
    ws_bus_zone zone=small:2m history=128k;

    error_log error.log info;
    ws_bus_protocol resource;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        listen 127.0.0.1:%%PORT1%% ssl;
        ssl_certificate     %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;

        location = /ws { ws_bus events; ws_bus_default_schema public; }
        location = /bare   { ws_bus events; }
        location = /other  { ws_bus events; ws_bus_default_schema hr; }
        location = /named  { ws_bus events; ws_bus_schema hr; }
        location = /tenant { ws_bus events; ws_bus_tenant $arg_t; }
        location = /few    { ws_bus events; ws_bus_max_subscriptions 1; }
        location = /deflate { ws_bus events; ws_bus_default_schema public;
                              ws_bus_deflate on; ws_bus_deflate_min_length 0; }
        location = /forced { ws_bus events; ws_bus_default_schema public;
                             ws_bus_restrict owner eq me; }
        location = /beat   { ws_bus events; ws_bus_ping_interval 1s;
                             ws_bus_pong_timeout 3s; }
        location = /small  { ws_bus small; ws_bus_sndbuf 8k;
                             ws_bus_ping_interval 0; }
        location = /bus    { ws_bus events; ws_bus_protocol bus; }

        location = /asks   { ws_bus events; ws_bus_default_schema public;
                             ws_bus_backend
                                 /rows/$ws_bus_schema/$ws_bus_entity; }
        location /rows/    { internal; default_type application/json;
                             return 200 '{"uri":"$uri"}'; }

        location = /publish       { ws_bus_publish events; }
        location = /small/publish { ws_bus_publish small; }
    }
END

$nginx->certificate->start;

my $port = $nginx->port;
my $pub  = WSBus::Raw->new($port);
my $UUID = qr/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

sub publish_text {
    my ($text, $path) = @_;

    my $res = $pub->post($path // '/publish', $text);
    die "publish: $res->{status} $res->{body}\n" if $res->{status} != 200;

    return decode_json($res->{body})->{subscribers};
}

sub publish {
    my ($action, $id, %o) = @_;
    return publish_text(encode_json({ entity_type => 'users',
        schema => 'public', %o, action => $action, entity_id => "$id" }));
}

# what a subscription is told before a row that is created now

my $marks = 0;

sub told_before {
    my ($client, $id, %o) = @_;

    my $mark = 'mark-' . ++$marks;
    publish('created', $mark, data => { mark => $mark, %{ $o{row} // {} } },
            %{ $o{event} // {} });

    my @got;

    while (1) {
        for my $m ($client->told($id, 1)) {
            return @got
                if ref $m->{data} eq 'HASH' && ($m->{data}{mark} // '') eq $mark;
            push @got, $m;
        }
        if ($client->ws->state =~ /eof|reset|timeout/) {
            return (@got, $client->ws->state);
        }
    }
}

sub client { return WSBus::Resource->new($port, path => $_[0] // '/ws') }


subtest 'subscribe, be told, unsubscribe' => sub {
    for my $how ([ 'plain', $port ], [ 'TLS', $nginx->port(1), ssl => 1 ],
                 [ 'compressed', $port, path => '/deflate' ])
    {
        my ($name, @to) = @$how;
        my $c = WSBus::Resource->new(@to);

        is($c->text(0.1), undef, "$name: nothing comes by itself");

        my $res = $c->ask({ id => '7', type => 'subscription',
                            operation => 'subscribe', schema => 'public',
                            entity => 'users', options => {} });
        my $id = $res->{data}{subscription_id};
        like($id, $UUID, "$name: a subscription has a random name");
        delete $res->{timestamp};
        is_deeply($res, { id => '7', type => 'response',
                          success => Mojo::JSON->true,
                          data => { subscription_id => $id,
                                    schema => 'public', entity => 'users' } },
                  "$name: the answer as the document has it");

        my $twin = $c->subscribe('users', schema => 'public');
        isnt($twin, $id, "$name: the same again is another one");

        publish_text('{"action":"created","entity_type":"users","schema":'
                     . '"public","entity_id":"1","data":{"id":1,"big":'
                     . '9007199254740993, "f":1.0}}');
        like($c->text, qr/^\{"type":"notification","subscription_id":"\Q$id\E",
            "operation":"create","schema":"public","entity":"users",
            "data":\{"id":1,"big":9007199254740993,[ ]"f":1\.0\},
            "timestamp":"[^"]+"\}$/x, "$name: created, byte by byte");
        is(decode_json($c->text)->{subscription_id}, $twin,
           "$name: told for each of them, in their order");

        is($c->unsubscribe($twin)->{data}{unsubscribed}, 1,
           "$name: one of them is taken out");
        is($c->unsubscribe($twin)->{error}{code}, 'subscription_not_found',
           "$name: only once");

        publish('updated', 1, data => { id => 1, name => 'Bea' },
                timestamp => '2026-01-02T03:04:05Z');
        publish('deleted', 1, data => { id => 1, name => 'Bea' });
        publish('deleted', 7);
        publish('renamed', 1, data => { id => 1 });

        my @got = $c->told($id, 3);
        is_deeply([ map { [ $_->{operation}, $_->{data} ] } @got ],
                  [ [ update => { id => 1, name => 'Bea' } ],
                    [ delete => { id => '1' } ], [ delete => { id => '7' } ] ],
                  "$name: updated and deleted, and nothing else");
        is($got[0]{timestamp}, '2026-01-02T03:04:05Z',
           "$name: with the event's time");

        is($c->unsubscribe($id)->{data}{subscription_id}, $id,
           "$name: taken out");
        is(publish('updated', 1, data => {}), 0, "$name: nobody hears it");

        is_deeply([ $c->faults ], [], "$name: a client of the document lives");
        $c->ws->close;
    }
};


subtest 'schemas' => sub {
    my %c = map { $_ => client($_) } qw(/ws /bare /other /named);

    my %sub = (
        'default public' => [ '/ws' ],
        'public named'   => [ '/ws', schema => 'public' ],
        'hr named'       => [ '/ws', schema => 'hr' ],
        'none'           => [ '/bare' ],
        'named at none'  => [ '/bare', schema => 'public' ],
        'default hr'     => [ '/other' ],
        'schema hr'      => [ '/named' ],
    );

    my %id;

    for my $name (sort keys %sub) {
        my ($path, @schema) = @{ $sub{$name} };
        $id{$name} = $c{$path}->subscribe('staff', @schema);
    }

    my $res = $c{'/ws'}->ask({ type => 'subscription', entity => 'other',
                               operation => 'subscribe' });
    is($res->{data}{schema}, 'public', 'the default one is told');
    $res = $c{'/bare'}->ask({ type => 'subscription', entity => 'other',
                              operation => 'subscribe' });
    is($res->{data}{schema}, '', 'or none');

    my @who = (
        [ 'public', 'default public', 'named at none', 'public named' ],
        [ 'hr', 'default hr', 'hr named', 'schema hr' ],
        [ 'Public' ],
        [ undef, 'default hr', 'default public', 'none', 'public named',
          'schema hr' ],
    );

    for my $who (@who) {
        my ($schema, @names) = @$who;
        publish('created', 1, entity_type => 'staff', schema => $schema,
                data => { which => $schema });
    }

    publish('deleted', 'end', entity_type => 'staff', schema => $_)
        for 'public', 'hr', undef;

    my %got;

    for my $name (keys %sub) {
        my $client = $c{ $sub{$name}[0] };
        my $want   = grep { my $w = $_; grep { ($_ // '') eq $name } @$w } @who;
        $got{$name} = [ map { $_->{data}{which} }
                        grep { $_->{operation} eq 'create' }
                        $client->told($id{$name}, $want * 2) ];
    }

    for my $who (@who) {
        my ($schema, @names) = @$who;
        my @hear = grep { my $n = $_; grep { ($_ // '') eq ($schema // '') }
                          @{ $got{$n} } } sort keys %got;
        is_deeply(\@hear, [ sort @names ],
                  'who hears of ' . ($schema // 'no schema'));
    }

    is_deeply([ map { $_->faults } values %c ], [], 'no fault');
    $_->ws->close for values %c;
};


subtest 'filters' => sub {
    my $c = client();

    my @rows = (
        { id => 1, name => 'Ann', n => 5,   ok => Mojo::JSON->true },
        { id => 2, name => 'bob', n => '7', ok => Mojo::JSON->false },
        { id => 3, name => undef, n => 10 },
    );

    my @filter = (
        [ [ name => eq => 'Ann' ],                       1 ],
        [ [ name => neq => 'Ann' ],                      2 ],
        [ [ n => gt => 5 ],                              2, 3 ],
        [ [ n => gte => 5 ],                             1, 2, 3 ],
        [ [ n => lt => 7 ],                              1 ],
        [ [ n => lte => '7' ],                           1, 2 ],
        [ [ name => like => '_n%' ],                     1 ],
        [ [ name => ilike => 'B%' ],                     2 ],
        [ [ name => like => 'B%' ] ],
        [ [ id => in => [ 1, 3 ] ],                      1, 3 ],
        [ [ id => in => 2 ],                             2 ],
        [ [ id => in => [] ] ],
        [ [ name => eq => undef ] ],
        [ [ nothing => neq => 1 ] ],
        [ [ ok => eq => Mojo::JSON->true ],              1 ],
        [ [ id => eq => 1 ], [ id => eq => 3, 'OR' ],    1, 3 ],
        [ [ id => eq => 1 ], [ id => eq => 3, 'or' ],
          [ n => gt => 5 ],                              3 ],
        [ [ n => gt => 5, 'OR' ],                        2, 3 ],
    );

    my (%want, @id);

    for my $f (@filter) {
        my @conditions = grep { ref } @$f;
        my $id = $c->subscribe('users', options => { filters => [ map { {
            column => $_->[0], operator => $_->[1], value => $_->[2],
            ($_->[3] ? (logic_operator => $_->[3]) : ()) } } @conditions ] });
        ok(defined $id, 'subscribed') or next;
        push @id, [ $id, encode_json(\@conditions), [ grep { !ref } @$f ] ];
    }

    my $all = $c->subscribe('users', options => { filters => [],
                                                  columns => [ 'x' ] });

    publish('created', $_->{id}, data => $_) for @rows;
    is(scalar(told_before($c, $all)), 3, 'without filters: all');

    for my $i (@id) {
        my ($id, $name, $want) = @$i;
        is_deeply([ map { $_->{data}{id} }
                    grep { $_->{data}{id} } $c->told($id, 0) ],
                  $want, $name);
    }

    is_deeply([ $c->faults ], [], 'no fault');
    $c->ws->close;

    # rows that come and go

    $c = client();
    my $id = $c->subscribe('users', options => { filters => [
        { column => 'team', operator => 'eq', value => 'a' } ] });

    publish('updated', 1, data => { team => 'a' }, old => { team => 'b' });
    publish('updated', 2, data => { team => 'b', x => 1 },
            old => { team => 'a' });
    publish('deleted', 3, old => { team => 'a' });
    publish('deleted', 4, old => { team => 'b' });
    publish('deleted', 5);
    publish('updated', 6, data => { team => 'b' });

    is_deeply([ map { [ $_->{operation}, $_->{data} ] }
                told_before($c, $id, row => { team => 'a' }) ],
              [ [ update => { team => 'a' } ], [ delete => { id => '2' } ],
                [ delete => { id => '3' } ], [ delete => { id => '5' } ] ],
              'what enters is updated, what leaves is deleted');
    is_deeply([ $c->faults ], [], 'no fault');
    $c->ws->close;

    $c  = client('/forced');
    $id = $c->subscribe('users');
    publish('updated', 1, data => { owner => 'you', secret => 's3cr3t' },
            old => { owner => 'me' });
    is_deeply([ map { [ @$_{qw(operation schema data)} ] }
                told_before($c, $id, row => { owner => 'me' }) ],
              [ [ delete => 'public', { id => '1' } ] ],
              'and what leaves its sight');
    $c->ws->close;
};


subtest 'everything of a schema' => sub {
    my $c  = client();
    my $id = $c->subscribe(undef);

    publish('created', 1, entity_type => 'a');
    publish('created', 1, entity_type => 'b', schema => undef);
    publish('created', 1, entity_type => 'b', schema => 'hr');
    publish_text('{"kind":"link","action":"created","link_type":"has",'
                 . '"link_id":"1","source_id":"2","target_id":"3"}');

    is_deeply([ map { [ @$_{qw(entity schema data)} ] } told_before($c, $id) ],
              [ [ 'a', 'public', undef ], [ 'b', '', undef ] ],
              'its entities, no links');
    is_deeply([ $c->faults ], [], 'no fault');
    $c->ws->close;
};


subtest 'ping' => sub {
    my $c = client();

    my $res = $c->ask({ id => '9', type => 'ping' });
    delete $res->{timestamp};
    is_deeply($res, { id => '9', type => 'pong' }, 'pong with its id');

    is($c->ask_text('{"type":"ping"}', '')->{type}, 'pong', 'and without');
    is_deeply([ $c->faults ], [], 'no fault');
    $c->ws->close;
};


subtest 'errors' => sub {
    my $c = client();

    my @error = (
        [ '{', '', 'invalid_message', 'Failed to parse message' ],
        [ '', '', 'invalid_message', 'Failed to parse message' ],
        [ '[]', '', 'invalid_message', 'Failed to parse message' ],
        [ '{"id":1,"type":"ping"}', '', 'invalid_message', 'id must be' ],
        [ '{"id":"1","type":"ping","type":"ping"}', '', 'invalid_message',
          'Failed to parse message' ],
        [ '{"id":"1","type":"request","operation":"read","entity":[]}', '',
          'invalid_message', 'entity must be' ],
        [ '{"id":"1"}', '1', 'invalid_message', 'missing type' ],
        [ '{"id":"1","type":""}', '1', 'invalid_message',
          'Message validation failed' ],
        [ '{"id":"1","type":"response"}', '1', 'invalid_message_type',
          'response' ],
        [ '{"id":"1","type":"Request"}', '1', 'invalid_message_type' ],
        [ '{"type":"request","operation":"read","entity":"users"}', '',
          'invalid_message', 'missing id' ],
        [ '{"id":"1","type":"request","entity":"users"}', '1',
          'invalid_message', 'missing operation' ],
        [ '{"id":"1","type":"request","operation":"read"}', '1',
          'invalid_message', 'missing entity' ],
        [ '{"id":"1","type":"request","operation":"subscribe",'
          . '"entity":"users"}', '1', 'invalid_operation', 'subscribe' ],
        [ '{"id":"1","type":"request","operation":"read","entity":"users"}',
          '1', 'model_not_found', 'public.users' ],
        [ '{"id":"1","type":"request","operation":"delete",'
          . '"entity":"users"}', '1', 'invalid_message', 'record_id' ],
        [ '{"id":"1","type":"request","operation":"update","schema":"hr",'
          . '"entity":"users","record_id":7,"data":{"a":{"a":1,"a":2}}}',
          '1', 'model_not_found', 'hr.users' ],
        [ '{"id":"1","type":"request","operation":"update",'
          . '"entity":"users","record_id":7.5}', '', 'invalid_message',
          'record_id must be' ],
        [ '{"id":"1","type":"subscription"}', '1', 'invalid_message',
          'missing operation' ],
        [ '{"type":"subscription","operation":"subscribe"}', '',
          'invalid_message', 'missing id' ],
        [ '{"id":"1","type":"subscription","operation":"read"}', '1',
          'invalid_subscription_operation', 'read' ],
        [ '{"id":"1","type":"subscription","operation":"unsubscribe"}', '1',
          'missing_subscription_id' ],
        [ '{"id":"1","type":"subscription","operation":"unsubscribe",'
          . '"subscription_id":"sub_1"}', '1', 'subscription_not_found',
          'Subscription sub_1 not found' ],
        [ '{"id":"1","type":"subscription","operation":"subscribe",'
          . '"entity":"users","snapshot":true}', '1', 'unsupported' ],
        [ '{"id":"1","type":"subscription","operation":"subscribe",'
          . '"entity":"users","options":[]}', '', 'invalid_message',
          'options must be' ],
        [ '{"id":"1","type":"subscription","operation":"subscribe",'
          . '"entity":"users","options":{"filters":{}}}', '1',
          'invalid_message', 'filters must be an array' ],
        [ '{"id":"1","type":"subscription","operation":"subscribe",'
          . '"entity":"users","options":{"filters":[{"column":"a",'
          . '"operator":"GT","value":1}]}}', '1', 'invalid_message',
          'filters[0]: unknown operator' ],
        [ '{"id":"1","type":"subscription","operation":"subscribe",'
          . '"entity":"users","options":{"filters":[{"column":"a",'
          . '"operator":"eq","value":1,"value":2}]}}', '', 'invalid_message',
          'of options' ],
        [ '{"id":"1","type":"auth","token":"x"}', '1',
          'invalid_message_type' ],
    );

    for my $e (@error) {
        my ($text, $id, $code, $say) = @$e;
        my $res = $c->ask_text($text, $id);
        ok(!$res->{success}, "$text: an error");
        is($res->{error}{code}, $code, $code);
        like($res->{error}{message}, qr/\Q$say\E/, 'in words') if $say;
    }

    $c->ws->send_frame(WSBus::Raw::BINARY, 'x');
    is($c->listen->{error}{code}, 'binary', 'a binary message');

    my $other = client();
    my $id = $c->subscribe('users');
    is($other->unsubscribe($id)->{error}{code}, 'subscription_not_found',
       'a name is its client\'s alone');
    is($other->unsubscribe(uc $id)->{error}{code}, 'subscription_not_found',
       'as it was given');
    $other->ws->close;

    my $few = client('/few');
    ok($few->subscribe('a'), 'as many as it may');
    is($few->ask({ type => 'subscription', operation => 'subscribe',
                   entity => 'b' })->{error}{code},
       'too_many_subscriptions', 'no more');
    $few->ws->close;

    is($c->ask({ id => 'x' x 256, type => 'ping' })->{type}, 'pong',
       'a long id is repeated');
    is($c->ask_text(encode_json({ id => 'x' x 257, type => 'ping' }), '')
         ->{error}{code}, 'invalid_message', 'a longer one is not');
    is($c->unsubscribe($id)->{success}, 1, 'and it goes on after all that');
    is_deeply([ $c->faults, $few->faults, $other->faults ], [], 'no fault');
    $c->ws->close;
};


# as far as the protocol goes: what calls do is tested with them

subtest 'requests' => sub {
    my $c = client('/asks');

    my @ask = (
        [ 'read', record_id => 7 ], [ 'update', record_id => 'a', data => {} ],
        [ 'read', schema => 'hr', record_id => '8' ],
    );

    my @want = ('/rows/public/users/7', '/rows/public/users/a',
                '/rows/hr/users/8');

    $c->ws->send_text(encode_json({ id => "q-$_", type => 'request',
        entity => 'users', operation => @{ $ask[$_] } })) for 0 .. $#ask;

    for my $i (0 .. $#ask) {
        my $res = $c->listen;
        is($res->{id}, "q-$i", 'answered in the order of the requests');
        is_deeply($res->{data}, { uri => $want[$i] }, "$want[$i]");
    }

    is_deeply([ $c->faults ], [], 'no fault');
    $c->ws->close;
};


# some are served by each of the two workers

subtest 'many clients, two workers' => sub {
    my @c  = map { client() } 1 .. 24;
    my @id = map { $_->subscribe('crowd') } @c;

    my %seen = map { $_ => 1 } @id;
    is(scalar keys %seen, 24, 'each has a name of its own');

    is(publish('created', $_, entity_type => 'crowd', data => { n => $_ }),
       24, 'all hear it') for 1 .. 20;

    my @bad = grep {
        my @n = map { $_->{data}{n} } $c[$_]->told($id[$_], 20);
        "@n" ne join ' ', 1 .. 20;
    } 0 .. 23;
    is_deeply(\@bad, [], 'in order, each under its own name');
    is_deeply([ map { $_->faults } @c ], [], 'no fault');

    my $raw = WSBus::Raw->open($port, path => '/bus');
    $raw->send_text('{"type":"subscribe","filter":{"entity_type":"crowd"}}');
    is($raw->read_json->{type}, 'subscribed', 'another protocol beside it');
    publish('updated', 1, entity_type => 'crowd', data => {});
    is($raw->read_json->{subscription_id}, 'sub_1', 'is told in its own words');
    is(($c[0]->told($id[0], 1))[0]{operation}, 'update', 'and so is this one');

    $_->ws->close for @c;
    $raw->close;
};


subtest 'tenants' => sub {
    my $a  = client('/tenant?t=a');
    my $id = $a->subscribe('users', schema => 'public');

    publish('created', 1, tenant => 'b', data => { n => 1 });
    publish('created', 2, data => { n => 2 });

    is_deeply([ told_before($a, $id, event => { tenant => 'a' }) ], [],
              'only its own');
    $a->ws->close;
};


subtest 'a gap' => sub {
    my $c  = client('/small');
    my $id = $c->subscribe('rows');

    my $row = 'x' x 4000;
    publish_text(encode_json([ map { { action => 'updated',
        entity_type => 'rows', entity_id => "$_",
        data => { n => $_, row => $row } } } 1 .. 10 ]), '/small/publish')
        for 1 .. 200;

    my $gap;

    for (1 .. 3000) {
        my $m = $c->listen or last;
        next if $m->{type} ne 'response';
        $gap = $m;
        last;
    }

    is($gap->{id}, '', 'who is too slow is told so');
    is($gap->{error}{code}, 'gap', 'with a code');
    is($gap->{error}{details}{subscription_id}, $id, 'and for which');
    is($gap->{error}{details}{reason}, 'slow', 'and why');
    is_deeply([ $c->faults ], [], 'no fault');
    $c->ws->close;
};


# Pong frames alone count

subtest 'heartbeat' => sub {
    my %c = map { $_ => { ws => WSBus::Raw->open($port, no_welcome => 1,
                              path => '/beat'), born => time, pings => 0 } }
            qw(good mute pings talks);

    my ($end, $said) = (time + WSBus::Nginx::patience(20), 0);

    while (time < $end) {
        for my $name (sort keys %c) {
            my $one = $c{$name};
            next if $one->{end};
            $one->{ws}->fill(0.02);

            while (my $frame = WSBus::Raw::take_frame(\$one->{ws}{in})) {
                if ($frame->{opcode} == WSBus::Raw::PING) {
                    $one->{pings}++;
                    $one->{ws}->send_frame(WSBus::Raw::PONG, '')
                        if $name eq 'good';
                } elsif ($frame->{opcode} == WSBus::Raw::CLOSE) {
                    $one->{code} = unpack 'n', $frame->{payload};
                    $one->{end}  = time - $one->{born};
                }
            }
        }

        last if $c{good}{pings} >= 5
                && 3 == grep { $c{$_}{end} } qw(mute pings talks);

        next if time - $said < 0.2;
        $said = time;
        $c{pings}{ws}->send_frame(WSBus::Raw::PING, 'x') if !$c{pings}{end};
        $c{talks}{ws}->send_text('{"type":"ping"}') if !$c{talks}{end};
    }

    for my $name (qw(mute pings talks)) {
        cmp_ok($c{$name}{end} // 0, '>', 2.8, "$name: gone, but not too soon");
        cmp_ok($c{$name}{end} // 99, '<', 3 + WSBus::Nginx::patience(1),
               'when the time is over');
        is($c{$name}{code}, 1001, 'with a Close');
        cmp_ok($c{$name}{pings}, '>=', 2, 'having been pinged');
    }

    ok(!$c{good}{end}, 'who answers lives');
    cmp_ok($c{good}{pings}, '>=', 5, 'and is pinged on');
    $_->{ws}->close for values %c;
};


subtest 'configuration' => sub {
    my %bad = (
        'ws_bus_default_schema $arg_s;' => qr/without variables/,
        'ws_bus_default_schema ' . 'x' x 257 . ';' => qr/at most 256 bytes/,
        'ws_bus_default_schema a; ws_bus_default_schema b;' =>
            qr/is duplicate/,
    );

    for my $line (sort keys %bad) {
        my ($rc, $out) = WSBus::Nginx->test_config(http => $line);
        isnt($rc, 0, substr($line, 0, 40));
        like($out, $bad{$line}, 'says what is wrong');
    }
};


$pub->close;
$nginx->finish;
done_testing;
