# SPDX-License-Identifier: BSD-2-Clause
# The publish endpoint: who may, what it takes, what it answers.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Encode qw(encode_utf8);
use Mojo::JSON qw(encode_json decode_json);
use Test::More;

use WSBus::Client;
use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(
    workers => 2, http => WSBus::Nginx::minimal(http => <<'END', server => <<'END2'))->start;
    set_real_ip_from 127.0.0.1;
    real_ip_header   X-Real-IP;
    ws_bus_zone zone=small:1m;
END
    listen unix:%%PREFIX%%/bus.sock;
    location /open  { ws_bus_publish events any; }
    location /deny  { ws_bus_publish events any; deny all; }
    location /large { ws_bus_publish events; client_max_body_size 32m; }
    location /file  { ws_bus_publish events; client_max_body_size 1m;
                      client_body_buffer_size 1k; }
    location /little { ws_bus_publish small; client_max_body_size 32m; }
    location /limit { ws_bus_publish events; client_max_body_size 1k; }
END2

my $c  = WSBus::Client->new($nginx);
my $ws = $c->open;
$ws->subscribe({});


sub order {
    return { action => 'created', entity_type => 'order', entity_id => 'o-1',
             data => { n => 1 }, @_ };
}

sub link_event {
    return { kind => 'link', action => 'created', link_type => 'has',
             link_id => 'l', source_id => 's', target_id => 't', @_ };
}

sub seq { return seq_of($_[0]) // -1 }

sub events { return map { $_->{data}{event} } $ws->sync }

sub fails {
    my ($status, $what, $body, %headers) = @_;

    my $index = delete $headers{index};
    my ($code, $json, $head) = $c->publish($body, %headers);

    subtest $what => sub {
        is($code, $status, 'status');
        is($head->content_type, 'application/problem+json', 'a problem');
        is($json->{status}, $status, 'status inside');
        like($json->{title}, qr/\w/, 'title');
        like($json->{detail}, qr/\w/, 'detail');
        is($json->{index}, $index, 'index') if defined $index;
    };

    return $json;
}


subtest 'one event' => sub {
    my ($code, $reply, $head) = $c->publish(order());

    is($code, 200, 'status');
    like($head->content_type, qr{^application/json\b}, 'JSON');
    is($reply->{published}, 1, 'published');
    like($reply->{first_id}, qr/^$EVENT_ID$/, 'first_id');
    is($reply->{last_id}, $reply->{first_id}, 'last_id');
    is($reply->{subscribers}, 1, 'subscribers');

    is_deeply([ events() ], [ { kind => 'entity', %{ order() } } ], 'arrives');
};


subtest 'an array' => sub {
    my ($code, $reply) = $c->publish([ map { order(entity_id => "a$_") } 1 .. 5 ]);

    is($code, 200, 'status');
    is($reply->{published}, 5, 'published');
    is(seq($reply->{last_id}), seq($reply->{first_id}) + 4, 'ids without a hole');
    is($reply->{subscribers}, 5, 'subscribers: the sum');
    is(join(' ', map { $_->{entity_id} } events()), 'a1 a2 a3 a4 a5',
       'all arrive, in order');

    ($code, $reply) = $c->publish(
        [ map { order(entity_id => "b$_") } 1 .. 1000 ]);
    is($reply->{published}, 1000, 'a thousand');
    is(join(' ', map { $_->{entity_id} } events()),
       join(' ', map { "b$_" } 1 .. 1000), 'arrive, in order');
};


subtest 'lines' => sub {
    my %type = ('Content-Type' => 'application/x-ndjson');
    my @line = map { encode_json(order(entity_id => "n$_")) } 1 .. 3;

    for my $body (join("\n", @line), join("\n", @line) . "\n",
                  join("\r\n", @line) . "\r\n")
    {
        my ($code, $reply) = $c->publish($body, %type);
        is($code, 200, 'status');
        is($reply->{published}, 3, 'published');
        is(join(' ', map { $_->{entity_id} } events()), 'n1 n2 n3', 'arrive');
    }

    fails(400, 'two events on a line', "$line[0]$line[1]\n", %type);
    fails(400, 'a line that is no JSON', "$line[0]\n{x\n$line[2]\n", %type,
          index => 1);
    fails(400, 'an event over two lines', "{\n" . substr($line[0], 1), %type);
    is(scalar(events()), 0, 'nothing of these arrives');
};


subtest 'content types' => sub {
    for my $type ('application/json; charset=utf-8', 'Application/JSON',
                  'application/json;charset=UTF-8')
    {
        is(($c->publish(order(), 'Content-Type' => $type))[0], 200, $type);
    }

    for my $type ('text/plain', 'application/cloudevents',
                  'application/cloudevents+avro', 'application/jsonx',
                  'application/x-www-form-urlencoded', 'application/xml')
    {
        fails(415, $type, order(), 'Content-Type' => $type);
    }

    my $res = WSBus::Raw->new($nginx->port)->handshake(
        method => 'POST', path => '/publish', after => encode_json(order()),
        headers => [ 'Content-Length' => length encode_json(order()),
                     Upgrade => undef, Connection => undef ]);
    is($res->{status}, 415, 'none at all');

    is(scalar(events()), 3, 'only the good ones arrive');
};


subtest 'methods' => sub {
    for my $method (qw(GET PUT DELETE PATCH OPTIONS)) {
        my ($code, undef, $head) = $c->request($method, '/publish', '');
        is($code, 405, "$method: 405");
        is($head->header('Allow'), 'POST', "$method: Allow");
    }
};


subtest 'who may publish' => sub {
    my $body = order();

    for my $from ('203.0.113.9', '10.0.0.1', '2001:db8::1', '128.0.0.1') {
        is(($c->publish($body, 'X-Real-IP' => $from))[0], 403, "$from: 403");
        is(($c->publish($body, 'X-Real-IP' => $from, path => '/open'))[0], 200,
           "$from: 200 with any");
    }

    for my $from ('127.0.0.1', '127.255.0.3', '::1') {
        is(($c->publish($body, 'X-Real-IP' => $from))[0], 200, "$from: 200");
    }

    is(($c->publish($body, path => '/deny'))[0], 403, "nginx's own rules hold");

    my $unix = WSBus::Raw->new($nginx->file('bus.sock'));
    is($unix->post('/publish', encode_json($body))->{status}, 200,
       'a unix socket: 200');

    is(scalar(events()), 4 + 3 + 1, 'those refused do not arrive');
};


subtest 'payloads pass as they are' => sub {
    my @data = (
        '{"n":9007199254740993,"f":1.0,"s":"é\u0041"}',
        '{ "b" : 1 ,"a":[ 1, 2 ]}',
        '{"big":123456789012345678901234567890,"e":1E+2,"z":-0,"t":0.10}',
        '{"esc":"\/\b\f\n\r\t\"\\\\","pair":"\ud83d\ude00","raw":"😀"}',
        '{"one":"\ud800"}',
        '{"e":1e400}',
        '{"nul":"\u0000"}',
        '{"":{"":[]}}',
        '[1,2,3]',
        '"text"',
        '17',
        'true',
        'null',
        '{"a":"' . 'x' x 100_000 . '"}',
    );

    for my $data (map { encode_utf8($_) } @data) {
        my $what = length $data > 100 ? length($data) . ' bytes' : $data;

        my ($code) = $c->publish('{"action":"created","entity_type":"order",'
            . '"entity_id":"p","data":' . $data . '}');
        is($code, 200, "$what: accepted") or next;

        $ws->next;
        ok($ws->{text} =~ /"data":\Q$data\E\}\}\}$/, "$what: the same bytes")
            or diag(substr $ws->{text}, 0, 300);
    }

    $c->publish('{"kind":"link","action":"created","link_type":"t",'
        . '"link_id":"l","source_id":"s","target_id":"t",'
        . '"metadata":{ "n": 9007199254740993 }}');
    $ws->wait_type('event');
    ok($ws->{text} =~ /"metadata":\{ "n": 9007199254740993 \}\}\}\}$/,
       'metadata of a link too');
};


subtest 'names are escaped on the way out' => sub {
    for my $word ("a\"b", "a\\b", "a\nb", "é", "\x{1f600}", "</script>", "\x7f") {
        $c->publish(order(entity_type => $word, entity_id => $word,
                          action => $word));
        my ($event) = events();
        is_deeply([ @$event{qw(action entity_type entity_id)} ], [ ($word) x 3 ],
                  encode_json([$word]));
    }
};


subtest 'fields' => sub {
    my @table = (
        [ 'event_type is action' =>
          { event_type => 'updated', entity_type => 'order', entity_id => 'x',
            data => {} }, { action => 'updated' } ],
        [ 'kind may be said' => order(kind => 'entity'), { kind => 'entity' } ],
        [ 'kind null is not said' => order(kind => undef), { kind => 'entity' } ],
        [ 'entity_id a number' => order(entity_id => 17), { entity_id => '17' } ],
        [ 'any word as action' => order(action => 'status_changed'),
          { action => 'status_changed' } ],
        [ 'a link' => link_event(), { kind => 'link', link_id => 'l',
          source_id => 's', target_id => 't', link_type => 'has',
          metadata => undef } ],
        [ 'a link with numbers' => link_event(link_id => 1, source_id => 2,
          target_id => 3), { link_id => '1', source_id => '2',
          target_id => '3' } ],
        [ 'schema, section, metadata and old are taken' =>
          order(schema => 'public', section => 'main', metadata => { a => 1 },
                old => { n => 0 }), { kind => 'entity', data => { n => 1 } } ],
    );

    for my $row (@table) {
        my ($what, $event, $expect) = @$row;
        my ($code, $reply) = $c->publish($event);
        is($code, 200, "$what: accepted") or diag(explain($reply));
        my ($got) = events();
        is_deeply({ map { $_ => $got->{$_} } keys %$expect }, $expect, $what);
    }

    $c->publish(order(old => { secret => 1 }));
    $ws->wait_type('event');
    unlike($ws->{text}, qr/secret|"old"/, 'old is never sent');

    my ($code) = $c->publish('{"action":"created","\u0065ntity_type":"order",'
                             . '"entity_id":"esc","data":{}}');
    is($code, 200, 'escapes in names of fields');
    is((events())[0]{entity_id}, 'esc', 'are understood');
};


subtest 'timestamps' => sub {
    for my $time ('2026-01-02T03:04:05.678901234Z', '2026-01-02T03:04:05.678Z',
                  '2026-01-02T03:04:05.678901Z', '2026-01-02T03:04:05Z',
                  '2024-02-29T23:59:59Z')
    {
        $c->publish(order(timestamp => $time));
        is($ws->wait_type('event')->{data}{timestamp}, $time, "$time is kept");
    }

    my $before = time - 1;
    $c->publish(order());
    my $got = $ws->wait_type('event')->{data}{timestamp};
    like($got, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}(\d{3}){0,2})?Z$/, $got);

    require Time::Local;
    my ($y, $m, $d, $H, $M, $S) = $got =~ /\d+/g;
    my $t = Time::Local::timegm($S, $M, $H, $d, $m - 1, $y);
    cmp_ok($t, '>=', $before, 'is now: not before');
    cmp_ok($t, '<=', time + 1, 'is now: not after');
};


subtest 'the envelope of T' => sub {
    my ($code, $reply) = $c->publish({
        id => '0a1b2c3d-4e5f-6789-abcd-ef0123456789',
        timestamp => '2026-01-02T03:04:05.678901234Z',
        event => { kind => 'entity', %{ order() } },
    });
    is($code, 200, 'accepted') or diag(explain($reply));

    my $got = $ws->wait_type('event');
    is($got->{data}{id}, $reply->{first_id}, 'the id is ours');
    is($got->{data}{timestamp}, '2026-01-02T03:04:05.678901234Z',
       'the timestamp is kept');
    is_deeply($got->{data}{event}, { kind => 'entity', %{ order() } }, 'event');

    ($code, $reply) = $c->publish([ { event => link_event() },
        { id => 'x', timestamp => '2026-01-02T03:04:05Z', event => order() } ]);
    is($code, 200, 'in an array') or diag(explain($reply));
    is(join(' ', map { $_->{kind} } events()), 'link entity', 'arrive');

    fails(422, 'event is a string', { id => 'x', event => 'created' });
};


subtest 'malformed' => sub {
    fails(400, 'no JSON', 'hello');
    fails(400, 'empty', '');
    fails(400, 'blanks', "  \n");
    fails(400, 'an unfinished one', '{"action":"created"');
    fails(400, 'a trailing comma', '{"action":"created",}');
    fails(400, 'two documents', '{}{}');
    is(scalar(events()), 0, 'nothing arrives');
};


subtest 'wrong fields' => sub {
    my $without = sub {
        my ($event, @names) = @_;
        delete @$event{@names};
        return $event;
    };

    my @table = (
        [ 'a string'            => '"created"' ],
        [ 'a number'            => '1' ],
        [ 'null'                => 'null' ],
        [ 'an empty object'     => '{}' ],
        [ 'an array in an array' => [ [ order() ] ] ],
        [ 'no action'           => $without->(order(), 'action') ],
        [ 'action a number'     => order(action => 1) ],
        [ 'action empty'        => order(action => '') ],
        [ 'action null'         => order(action => undef) ],
        [ 'no entity_type'      => $without->(order(), 'entity_type') ],
        [ 'entity_type a list'  => order(entity_type => ['order']) ],
        [ 'entity_type empty'   => order(entity_type => '') ],
        [ 'no entity_id'        => $without->(order(), 'entity_id') ],
        [ 'entity_id empty'     => order(entity_id => '') ],
        [ 'entity_id an object' => order(entity_id => {}) ],
        [ 'entity_id a fraction' => order(entity_id => 1.5) ],
        [ 'kind of no kind'     => order(kind => 'foo') ],
        [ 'kind a number'       => order(kind => 1) ],
        [ 'tenant a number'     => order(tenant => 1) ],
        [ 'a wrong timestamp'   => order(timestamp => 'yesterday') ],
        [ 'a month 13'          => order(timestamp => '2026-13-01T00:00:00Z') ],
        [ 'a timestamp of a number' => order(timestamp => 17) ],
        [ 'a link without link_type' => $without->(link_event(), 'link_type') ],
        [ 'a link without link_id'   => $without->(link_event(), 'link_id') ],
        [ 'a link without source_id' => $without->(link_event(), 'source_id') ],
        [ 'a link without target_id' => $without->(link_event(), 'target_id') ],
        [ 'a NUL in entity_type' => order(entity_type => "a\0b") ],
        [ 'a NUL in entity_id'  => order(entity_id => "\0") ],
        [ 'an action of C'      => { OrderPlaced => { order_id => 'o-1' } } ],
        [ 'a payload of M'      => { entity => 'restaurants', resourceId => 'r-1',
                                     action => 'created', data => {} } ],
    );

    for my $row (@table) {
        my ($what, $body) = @$row;
        my $json = fails(422, $what, $body);
        my ($field) = $what =~ /\b(action|entity_type|entity_id|kind|tenant
                                 |timestamp|link_type|link_id|source_id
                                 |target_id)\b/x;
        like($json->{detail}, qr/$field/, "$what: the field is named")
            if $field && $what !~ /^an action/;
    }

    my ($code) = $c->publish('{"action":"created","entity_type":"order",'
        . '"entity_id":"a","entity_id":"b","data":{}}');
    like($code, qr/^4(?:00|22)$/, 'a field that is there twice');

    is(scalar(events()), 0, 'nothing arrives');
};


subtest 'a batch is published whole or not at all' => sub {
    my @batch = map { order(entity_id => "w$_") } 0 .. 9;

    my (undef, $before) = $c->publish(order(entity_id => 'before'));

    fails(422, 'wrong at the end', [ @batch, {} ], index => 10);
    fails(422, 'wrong at the beginning', [ {}, @batch ], index => 0);
    fails(422, 'wrong in the middle',
          [ @batch[ 0 .. 4 ], order(kind => 'x'), @batch[ 5 .. 9 ] ],
          index => 5);
    fails(400, 'malformed after good ones',
          encode_json(\@batch) =~ s/\]$/,{"action":"x",}]/r);
    fails(400, 'not closed', encode_json(\@batch) =~ s/\]$//r);
    fails(422, 'wrong on a line',
          join("\n", map { encode_json($_) } @batch, {}),
          'Content-Type' => 'application/x-ndjson', index => 10);

    my (undef, $after) = $c->publish(order(entity_id => 'after'));

    is(join(' ', map { $_->{entity_id} } events()), 'before after',
       'nothing of these arrives');
    is(seq($after->{first_id}), seq($before->{first_id}) + 1,
       'and no id was used');
};


subtest 'an empty array' => sub {
    my ($code, $json) = $c->publish('[]');

    if ($code == 200) {
        is($json->{published}, 0, 'publishes nothing');
    } else {
        is($code, 422, 'is refused');
    }

    is(scalar(events()), 0, 'nothing arrives');
};


subtest 'too large' => sub {
    my $data = sub { order(entity_id => 'large', data => 'x' x $_[0]) };

    is(($c->publish($data->(2000), path => '/limit'))[0], 413,
       'above client_max_body_size');

    fails(413, 'a record above a quarter of the log', $data->(3_000_000),
          path => '/large');
    fails(413, 'a record above a quarter, in a batch',
          [ order(), $data->(3_000_000) ], path => '/large');
    fails(413, 'a batch above half of the log',
          [ map { $data->(1_000_000) } 1 .. 5 ], path => '/large');

    is(scalar(events()), 0, 'nothing arrives');

    my ($code) = $c->publish($data->(1_000_000), path => '/large');
    is($code, 200, 'a record of a sixth is accepted');
    is(length((events())[0]{data}), 1_000_000, 'and arrives');

    ($code) = $c->publish([ map { order() } 1 .. 2 ], path => '/little');
    is($code, 200, 'a small zone takes a small batch');
};


subtest 'a body in pieces and in a file' => sub {
    my $body = encode_json([ map { order(entity_id => "f$_") } 1 .. 500 ]);

    my ($code) = $c->publish($body, path => '/file');
    is($code, 200, 'larger than client_body_buffer_size');
    is(scalar(events()), 500, 'all arrive');

    my $raw = WSBus::Raw->new($nginx->port);
    $raw->write("POST /publish HTTP/1.1\r\nHost: a\r\n"
                . "Content-Type: application/json\r\n"
                . "Transfer-Encoding: chunked\r\n\r\n");
    my $one = encode_json(order(entity_id => 'chunked'));
    $raw->write(sprintf "%x\r\n%s\r\n", length, $_) for $one =~ /(.{1,7})/gs;
    $raw->write("0\r\n\r\n");
    is($raw->response->{status}, 200, 'chunked');
    is((events())[0]{entity_id}, 'chunked', 'arrives');

    $one = encode_json(order(entity_id => 'slow'));
    $raw->write("POST /publish HTTP/1.1\r\nHost: a\r\n"
                . "Content-Type: application/json\r\nContent-Length: "
                . length($one) . "\r\n\r\n");
    $raw->write($_) for split //, $one;
    is($raw->response->{status}, 200, 'byte by byte, on the same connection');
    is((events())[0]{entity_id}, 'slow', 'arrives');

    is($raw->post('/publish', '{x')->{status}, 400, 'an error');
    is($raw->post('/publish', $one)->{status}, 200,
       'leaves the connection in order');
    is((events())[0]{entity_id}, 'slow', 'arrives');
};


subtest 'CloudEvents' => sub {
    my $ws = $c->open('/ws');
    $ws->subscribe({ entity_type => 'cloud' });
    my $told = sub { my $e = $ws->wait_type('event')->{data}{event};
                     return join ' ', @$e{qw(entity_type action entity_id)}, encode_json($e->{data} // {}) };
    my %ce = (specversion => '1.0', id => 'A-1', source => '/shop', type => 'com.example.cloud.created',
              subject => '7', time => '2026-11-27T08:00:00Z', data => { n => 1 }, other => 'x');
    my $post = sub {
        my ($body, $type, %head) = @_;
        my $res = WSBus::Raw->new($nginx->port)->post('/publish', $body, 'Content-Type' => $type, %head);
        return wantarray ? ($res->{status}, $res->{body}) : $res->{status};
    };
    my $structured = 'application/cloudevents+json; charset=utf-8';

    is($post->(encode_json(\%ce), $structured), 200, 'structured');
    is($told->(), 'cloud created 7 {"n":1}', 'its type says what it is');
    is($post->(encode_json([ { %ce, type => 'cloud.updated.v2', subject => 8 },
                             { %ce, type => 'x', entitytype => 'cloud', action => 'deleted',
                               entityid => '9', subject => undef, data => undef } ]),
               'application/cloudevents-batch+json'), 200, 'a batch');
    is($told->(), 'cloud updated 8 {"n":1}', 'a version says nothing');
    is($told->(), 'cloud deleted 9 {}', 'extensions say it, too');

    my %binary = map { ("ce-$_" => $ce{$_}) } qw(specversion id source type);
    is($post->('{"n": 2.0}', 'application/json', %binary, 'ce-subject' => 'caf%C3%A9 1'), 200, 'binary');
    is($told->(), "cloud created caf\x{e9} 1 {\"n\":2}", 'attributes are headers');
    is($post->('', 'application/json', %binary, 'ce-subject' => '3'), 200, 'without data');
    is($told->(), 'cloud created 3 {}', 'it is told');

    for (['specversion', { specversion => '0.3' }], ['id is missing', { id => undef }],
         ['source is missing', { source => undef }], ['type is missing', { type => undef }],
         ['type must end', { type => 'created' }], ['subject is missing', { subject => undef }],
         ['data_base64', { data_base64 => 'AA==' }], ['time must be', { time => 'now' }])
    {
        my ($what, $change) = @$_;
        my ($status, $text) = $post->(encode_json({ %ce, %$change }), $structured);
        is($status, 422, "$what: 422");
        like($text, qr/$what/, 'and why');
    }
    is($post->('{"n":1},"type":"x.cloud.hacked"', 'application/json', %binary, 'ce-subject' => 1), 400,
       'a body that would be more than data');
    $ws->finish;
};


subtest 'the count of subscribers' => sub {
    my @more = $c->connect_many(3);
    for my $other (@more) {
        $other->wait_type('welcome');
        $other->subscribe({ entity_type => 'order' });
        $other->subscribe({ entity_type => 'invoice' });
    }

    my $count = sub { ($c->publish(@_))[1]{subscribers} };

    is($count->(order()), 4, 'three and the one of all');
    is($count->(order(entity_type => 'other')), 1, 'the one of all');
    is($count->([ order(), order(entity_type => 'other') ]), 5, 'the sum');
    is($count->(link_event()), 1, 'a link');
    is($count->(order(), path => '/little'), 0, 'none in another zone');
};


$nginx->finish;
done_testing;
