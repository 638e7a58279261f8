# SPDX-License-Identifier: BSD-2-Clause
# The "bus" protocol: messages of clients, answers, errors and their order.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(encode_json decode_json true false);
use Test::More;

use WSBus::Client;
use WSBus::Id;
use WSBus::Nginx;

my $nginx = WSBus::Nginx->new(
    workers => 2, http => WSBus::Nginx::minimal())->start;
my $c = WSBus::Client->new($nginx);

my $U   = '0a1b2c3d-4e5f-6789-abcd-ef0123456789';
my $ISO = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3}(?:\d{3}){0,2})?Z/;

sub order {
    return { action => 'created', entity_type => 'order', entity_id => 'o-1',
             data => { n => 1 }, @_ };
}

sub error_like {
    my ($ws, $message, $re, $what) = @_;

    my $got = $ws->ask($message);

    subtest $what => sub {
        is($got->{type}, 'error', 'an error');
        like($got->{message}, $re, 'message');
        like($got->{code}, qr/^[a-z][a-z0-9_]*$/, 'code');
    };

    return $got;
}


subtest 'welcome' => sub {
    my $ws = $c->open;

    is($ws->{welcome}{type}, 'welcome', 'is the first message');
    like($ws->{welcome}{connection_id}, qr/^conn_[0-9a-f]{32}$/, 'with an id');
    like($ws->{text}, qr/^\{"type":"welcome","connection_id":"conn_/, 'in order');

    my $other = $c->open;
    isnt($other->{welcome}{connection_id}, $ws->{welcome}{connection_id},
         'another id for another connection');
};


subtest 'subscribed' => sub {
    my $ws  = $c->open;
    my $got = $ws->subscribe({});

    is($got->{type}, 'subscribed', 'type');
    is($got->{subscription_id}, 'sub_1', 'the first');
    is_deeply($got->{filter}, {}, 'an empty filter is an object');
    like($got->{last_id}, qr/^$EVENT_ID$/, 'last_id');
    ok(!exists $got->{id}, 'no id when none was given');
    like($ws->{text},
         qr/^\{"type":"subscribed","subscription_id":"sub_1","filter":\{\},/,
         'in order');

    is($ws->subscribe({})->{subscription_id}, 'sub_2', 'the second');

    my $other = $c->open;
    is($other->subscribe({})->{subscription_id}, 'sub_1',
       'numbers are those of the connection');

    is($ws->ask({ type => 'unsubscribe', subscription_id => 'sub_1' })->{type},
       'unsubscribed', 'unsubscribed');
    is($ws->subscribe({})->{subscription_id}, 'sub_3', 'no number comes twice');
};


subtest 'the echo of the filter' => sub {
    my $ws = $c->open;

    my @table = (
        [ '{"x":1,"kind":null}' => '{}' ],
        [ '{"entity_type":"order"}' => '{"entity_type":"order"}' ],
        [ '{"entity_type":"order","entity_id":null,"event_type":null}'
          => '{"entity_type":"order"}' ],
        [ '{"kind":"foo"}' => '{"kind":"foo"}' ],
        [ '{"entity_type":""}' => '{"entity_type":""}' ],
        [ '{"entity_type":["order","invoice"]}'
          => '{"entity_type":["order","invoice"]}' ],
        [ '{"event_type":["created"]}' => '{"event_type":["created"]}' ],
        [ '{"nested":{"entity_type":"x"},"kind":"link"}' => '{"kind":"link"}' ],
        [ '{"entity_id":7}' => '{"entity_id":"7"}' ],
        [ '{"entity_id":-12}' => '{"entity_id":"-12"}' ],
        [ '{"entity_id":9007199254740993}' => '{"entity_id":"9007199254740993"}' ],
        [ '{"entity_id":[1,"2"]}' => '{"entity_id":["1","2"]}' ],
        [ '{"entity_id":"Order-7"}' => '{"entity_id":"Order-7"}' ],
        [ qq({"entity_id":"$U"}) => qq({"entity_id":"$U"}) ],
        [ '{"entity_id":"' . uc($U) . '"}' => qq({"entity_id":"$U"}) ],
        [ qq({"entity_id":"urn:uuid:$U"}) => qq({"entity_id":"$U"}) ],
        [ qq({"entity_id":"{$U}"}) => qq({"entity_id":"$U"}) ],
        [ '{"entity_id":"' . ($U =~ tr/-//dr) . '"}' => qq({"entity_id":"$U"}) ],
        [ '{"entity_id":["' . uc($U) . '","x"]}' => qq({"entity_id":["$U","x"]}) ],
        [ '{"entity_type":"a\"b\\\\c\u000a"}' => '{"entity_type":"a\"b\\\\c\n"}' ],
        [ '{"entity_type":"\u00e9"}' => '{"entity_type":"é"}' ],
    );

    for my $row (@table) {
        my ($filter, $echo) = @$row;
        my $got = $ws->ask(qq({"type":"subscribe","filter":$filter}));
        is_deeply($got->{filter},
                  decode_json(Encode::encode_utf8($echo)), $filter)
            or diag(explain($got));
    }

    my $got = $ws->ask('{"type":"subscribe","filter":{"kind":"entity",'
        . '"entity_id":"1","event_type":"created","entity_type":"order"}}');
    is_deeply($got->{filter},
              { entity_type => 'order', entity_id => '1', kind => 'entity',
                event_type => 'created' }, 'all four');
};


subtest 'the event, byte for byte' => sub {
    my $ws = $c->open;
    $ws->subscribe({});

    $c->publish('{"action":"created","entity_type":"order","entity_id":"o-1",'
                . '"data":{"z":1,"a":2}}');
    $ws->wait_type('event');
    like($ws->{text}, qr/^\{"type":"event","subscription_id":"sub_1",
        "data":\{"id":"$EVENT_ID","timestamp":"$ISO",
        "event":\{"kind":"entity","action":"created","entity_type":"order",
        "entity_id":"o-1","data":\{"z":1,"a":2\}\}\}\}$/x, 'created');

    $c->publish(order(action => 'updated'));
    $ws->wait_type('event');
    like($ws->{text}, qr/"event":\{"kind":"entity","action":"updated",
        "entity_type":"order","entity_id":"o-1","data":\{"n":1\}\}\}\}$/x,
        'updated');

    $c->publish('{"action":"deleted","entity_type":"order","entity_id":"o-1"}');
    $ws->wait_type('event');
    like($ws->{text}, qr/"event":\{"kind":"entity","action":"deleted",
        "entity_type":"order","entity_id":"o-1"\}\}\}$/x, 'deleted');

    $c->publish('{"kind":"link","action":"created","link_type":"has_invoice",'
        . '"link_id":"l-1","source_id":"s-1","target_id":"t-1"}');
    $ws->wait_type('event');
    like($ws->{text}, qr/"event":\{"kind":"link","action":"created",
        "link_type":"has_invoice","link_id":"l-1","source_id":"s-1",
        "target_id":"t-1","metadata":null\}\}\}$/x, 'link created');

    $c->publish('{"kind":"link","action":"created","link_type":"has_invoice",'
        . '"link_id":"l-1","source_id":"s-1","target_id":"t-1",'
        . '"metadata":{"a":1.0}}');
    $ws->wait_type('event');
    like($ws->{text}, qr/"metadata":\{"a":1\.0\}\}\}\}$/, 'with metadata');

    $c->publish('{"kind":"link","action":"deleted","link_type":"has_invoice",'
        . '"link_id":"l-1","source_id":"s-1","target_id":"t-1"}');
    $ws->wait_type('event');
    like($ws->{text}, qr/"event":\{"kind":"link","action":"deleted",
        "link_type":"has_invoice","link_id":"l-1","source_id":"s-1",
        "target_id":"t-1"\}\}\}$/x, 'link deleted');
};


subtest 'one event is the same for all' => sub {
    my @ws = $c->connect_many(8);
    $_->wait_type('welcome'), $_->subscribe({}) for @ws;

    my (undef, $reply) = $c->publish(order());
    my %data;
    for my $ws (@ws) {
        my $got = $ws->wait_type('event');
        is($got->{data}{id}, $reply->{first_id}, 'the id that publish told');
        my ($data) = $ws->{text} =~ /"data":(.*)\}$/;
        $data{$data}++;
    }

    is(scalar keys %data, 1, 'the same bytes');
};


subtest 'one event for each matching subscription, in their order' => sub {
    my $ws = $c->open;

    for my $filter (+{ entity_type => 'order' }, {},
                    { entity_type => 'invoice' }, { entity_type => 'order' },
                    { kind => 'entity', event_type => 'created' })
    {
        $ws->subscribe($filter);
    }

    $c->publish([ order(), order(entity_id => 'o-2') ]);

    my @got = map { [ @$_{qw(subscription_id)}, $_->{data}{event}{entity_id} ] }
              $ws->sync;

    is_deeply(\@got, [
        map { my $o = $_; map { [ "sub_$_", $o ] } 1, 2, 4, 5 } 'o-1', 'o-2'
    ], 'each once, event by event');
};


subtest 'unsubscribe' => sub {
    my $ws = $c->open;

    $ws->subscribe({ entity_type => 'order' }) for 1 .. 3;

    my $got = $ws->ask({ type => 'unsubscribe', subscription_id => 'sub_2' });
    is_deeply($got, { type => 'unsubscribed', subscription_id => 'sub_2' },
              'unsubscribed');

    $c->publish(order());
    is_deeply([ map { $_->{subscription_id} } $ws->sync ], [qw(sub_1 sub_3)],
              'nothing for it any more');

    for my $id ('sub_2', 'sub_99', 'sub_0', 'sub_01', 'sub_', 'sub_1 ', '', 'x',
                'sub_18446744073709551617', 'conn_1')
    {
        error_like($ws, { type => 'unsubscribe', subscription_id => $id },
                   qr/not found/, "id '$id'");
    }

    my $err = $ws->ask({ type => 'unsubscribe', subscription_id => 'sub_2' });
    is($err->{message}, 'Subscription sub_2 not found', 'the words of it');

    my $other = $c->open;
    $ws->subscribe({});
    error_like($other, { type => 'unsubscribe', subscription_id => 'sub_1' },
               qr/not found/, 'the id of another connection');

    $c->publish(order());
    is(scalar(grep { $_->{subscription_id} eq 'sub_1' } $ws->sync), 1,
       'which keeps its subscription');
};


subtest 'ping' => sub {
    my $ws = $c->open;

    my $got = $ws->ask({ type => 'ping' });
    is($got->{type}, 'pong', 'pong');

    is($ws->ask('{"x":[1,{"y":null}],"type":"ping","type2":1}')->{type}, 'pong',
       'other fields do not matter');

    $ws->subscribe({});
    my (undef, $reply) = $c->publish(order());
    $ws->wait_type('event');

    $got = $ws->ask({ type => 'ping' });
    like($got->{last_id}, qr/^$EVENT_ID$/, 'pong has last_id');
    is($got->{last_id}, $reply->{last_id}, 'the newest that was sent');
};


subtest 'forms of a message' => sub {
    my $ws = $c->open;

    is($ws->ask('{"filter":{"entity_type":"order"},"type":"subscribe"}')->{type},
       'subscribed', 'filter before type');
    is($ws->ask(qq( \t\r\n{ "type" :\n"ping" } \n))->{type}, 'pong', 'blanks');
    is($ws->ask('{"\u0074ype":"\u0070ing"}')->{type}, 'pong', 'escapes');
    is($ws->ask('{"type":"subscribe","filter":{},"x":null,"y":[{}]}')->{type},
       'subscribed', 'unknown fields');
};


subtest 'what is no message' => sub {
    my $ws = $c->open;

    my @table = (
        [ 'no JSON'             => 'hello' ],
        [ 'empty'               => '' ],
        [ 'blanks'              => '  ' ],
        [ 'an unfinished one'   => '{"type":"ping"' ],
        [ 'a trailing comma'    => '{"type":"ping",}' ],
        [ 'trailing garbage'    => '{"type":"ping"}x' ],
        [ 'two documents'       => '{"type":"ping"}{"type":"ping"}' ],
        [ 'single quotes'       => "{'type':'ping'}" ],
        [ 'a string'            => '"ping"' ],
        [ 'a number'            => '1' ],
        [ 'null'                => 'null' ],
        [ 'an array'            => '[{"type":"ping"}]' ],
        [ 'no type'             => '{}' ],
        [ 'no type but others'  => '{"filter":{}}' ],
        [ 'type is a number'    => '{"type":1}' ],
        [ 'type is null'        => '{"type":null}' ],
        [ 'type is an object'   => '{"type":{}}' ],
        [ 'an unknown type'     => '{"type":"nonsense"}' ],
        [ 'a type of the server' => '{"type":"welcome"}' ],
        [ 'type in capitals'    => '{"type":"Ping"}' ],
        [ 'type with a blank'   => '{"type":"ping "}' ],
        [ 'subscribe without filter' => '{"type":"subscribe"}' ],
        [ 'filter null'         => '{"type":"subscribe","filter":null}' ],
        [ 'filter a string'     => '{"type":"subscribe","filter":"order"}' ],
        [ 'filter an array'     => '{"type":"subscribe","filter":[]}' ],
        [ 'entity_type a number' =>
          '{"type":"subscribe","filter":{"entity_type":1}}' ],
        [ 'entity_type a bool'  =>
          '{"type":"subscribe","filter":{"entity_type":true}}' ],
        [ 'entity_type an object' =>
          '{"type":"subscribe","filter":{"entity_type":{}}}' ],
        [ 'entity_type an array of numbers' =>
          '{"type":"subscribe","filter":{"entity_type":["a",1]}}' ],
        [ 'entity_type an array of arrays' =>
          '{"type":"subscribe","filter":{"entity_type":[["a"]]}}' ],
        [ 'kind a number'       => '{"type":"subscribe","filter":{"kind":1}}' ],
        [ 'event_type an object' =>
          '{"type":"subscribe","filter":{"event_type":{"a":1}}}' ],
        [ 'entity_id empty'     =>
          '{"type":"subscribe","filter":{"entity_id":""}}' ],
        [ 'entity_id empty in an array' =>
          '{"type":"subscribe","filter":{"entity_id":["a",""]}}' ],
        [ 'entity_id a fraction' =>
          '{"type":"subscribe","filter":{"entity_id":1.5}}' ],
        [ 'entity_id a bool'    =>
          '{"type":"subscribe","filter":{"entity_id":false}}' ],
        [ 'entity_id an object' =>
          '{"type":"subscribe","filter":{"entity_id":{}}}' ],
        [ 'unsubscribe without an id' => '{"type":"unsubscribe"}' ],
        [ 'unsubscribe with a number' =>
          '{"type":"unsubscribe","subscription_id":1}' ],
        [ 'unsubscribe with null' =>
          '{"type":"unsubscribe","subscription_id":null}' ],
        [ 'type twice'          => '{"type":"ping","type":"ping"}' ],
        [ 'type twice, once escaped' => '{"type":"ping","t\u0079pe":"ping"}' ],
        [ 'filter twice'        =>
          '{"type":"subscribe","filter":{},"filter":{}}' ],
        [ 'entity_type twice'   => '{"type":"subscribe",'
          . '"filter":{"entity_type":"a","entity_type":"b"}}' ],
        [ 'a NUL in a value'    => '{"type":"ping\u0000"}' ],
        [ 'a NUL in a filter'   =>
          '{"type":"subscribe","filter":{"entity_type":"a\u0000b"}}' ],
        [ 'a NUL in a key'      => '{"type":"ping","a\u0000b":1}' ],
        [ 'a raw control character' => qq({"type":"ping","x":"a\tb"}) ],
        [ 'a lone surrogate in a filter' =>
          '{"type":"subscribe","filter":{"entity_type":"\ud800"}}' ],
        [ 'deep nesting'        =>
          '{"type":"ping","x":' . '[' x 10_000 . ']' x 10_000 . '}' ],
    );

    for my $row (@table) {
        error_like($ws, $row->[1], qr/^Invalid message: ./, $row->[0]);
    }

    my $got = $ws->ask('{"type":"nonsense"}');
    like($got->{message}, qr/subscribe.*unsubscribe.*ping/s,
         'an unknown type: the known ones are told');

    $got = $ws->ask('{"type":"subscribe"}');
    like($got->{message}, qr/filter/, 'a missing field is named');

    $got = $ws->ask('{"type":"unsubscribe"}');
    like($got->{message}, qr/subscription_id/, 'another missing field is named');

    is($ws->ask({ type => 'ping' })->{type}, 'pong', 'the connection stays open');
    is($ws->subscribe({})->{subscription_id}, 'sub_1', 'no subscription was made');
};


subtest 'the id of a message comes back' => sub {
    my $ws = $c->open;

    is($ws->subscribe({}, id => 'a-1')->{id}, 'a-1', 'in subscribed');
    is($ws->subscribe({ kind => 1 }, id => 'a-2')->{id}, 'a-2', 'in an error');
    is($ws->ask({ type => 'unsubscribe', subscription_id => 'sub_9',
                  id => "\"é\\\n" })->{id}, "\"é\\\n", 'whatever is in it');
    is($ws->ask({ type => 'nonsense', id => 'a-3' })->{id}, 'a-3',
       'of an unknown type');
    ok(!exists $ws->subscribe({ kind => 1 })->{id}, 'none where none was given');
};


subtest 'what comes later has a clear error' => sub {
    my $ws = $c->open;

    my @table = (
        [ 'since'    => { type => 'subscribe', filter => {}, since => 'then',
                          id => 'q' } ],
        [ 'snapshot' => { type => 'subscribe', filter => {}, snapshot => true,
                          id => 'q' } ],
        [ 'request'  => { type => 'request', operation => 'read',
                          entity_type => 'order', id => 'q' } ],
    );

    for my $row (@table) {
        my $got = error_like($ws, $row->[1], qr/\Q$row->[0]/, $row->[0]);
        is($got->{id}, 'q', 'with the id');
    }

    is($ws->subscribe({})->{subscription_id}, 'sub_1', 'no subscription was made');

    # once it is there, it says whether it recovered

    my $got = $c->open->subscribe({}, since => 'now');
    ok($got->{type} eq 'error' ? $got->{code} : exists $got->{recovered},
       'since is refused or understood, not passed over');
};


subtest 'errors in order' => sub {
    my $ws = $c->open;

    $ws->ask({ type => 'nonsense', id => 'x' });
    like($ws->{text}, qr/^\{"type":"error","message":"[^"\\]*(?:\\.[^"\\]*)*",
        "code":"[a-z0-9_]+","id":"x"\}$/x, 'type, message, code, id');

    $ws->send('{"type":"subscribe","filter":{}}')->send('nonsense')
       ->send('{"type":"ping"}')->send('{"type":"subscribe","filter":{}}');

    is(join(' ', map { $ws->next->{type} } 1 .. 4),
       'subscribed error pong subscribed', 'answers come in the order of messages');
};


subtest 'a subscriber hears nothing of before' => sub {
    my $ws = $c->open;

    $c->publish(order(entity_id => 'before'));
    my $got = $ws->subscribe({ entity_type => 'order' });
    my (undef, $reply) = $c->publish(order(entity_id => 'after'));

    is_deeply([ map { $_->{data}{event}{entity_id} } $ws->sync ], ['after'],
              'and everything of after');

    my $last  = seq_of($got->{last_id});
    my $first = seq_of($reply->{first_id});
    is($first, $last + 1, 'last_id is the start');
};


subtest 'a message of everything that is allowed' => sub {
    my $ws = $c->open;

    my @many = map { "type-$_" } 1 .. 128;
    my $got = $ws->subscribe({ entity_type => \@many });
    is_deeply($got->{filter}{entity_type}, \@many, 'an array of 128');

    $c->publish(order(entity_type => 'type-128'));
    is(scalar(grep { $_->{subscription_id} eq 'sub_1' } $ws->sync), 1,
       'matches by each of them');

    $got = $ws->subscribe({ entity_type => [ map { "type-$_" } 1 .. 1000 ] });
    like("$got->{type} " . ($got->{code} // ''), qr/^(?:subscribed |error \w)/,
         'a larger one: subscribed, or a clear error');
};


$nginx->finish;
done_testing;
