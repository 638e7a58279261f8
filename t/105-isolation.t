# SPDX-License-Identifier: BSD-2-Clause
# Nobody gets anything of another tenant, or beyond what a restriction lets
# through, whatever is sent.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Encode qw(encode_utf8);
use Mojo::JSON qw(decode_json);
use Test::More;

use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;

binmode $_, ':utf8' for map { Test::More->builder->$_ }
                        qw(output failure_output todo_output);

my $nginx = WSBus::Nginx->new(workers => 2, http => <<'END')->start;
    ws_bus_zone zone=events:16m;
    ws_bus_max_subscriptions 10000;
    ws_bus_ping_interval 1s;      # who does not answer for long is busy
    ws_bus_pong_timeout  1h;
    keepalive_requests 100000;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /ws      { ws_bus events; }
        location /publish { ws_bus_publish events; }
        location /status  { ws_bus_status; }

        location /of/ {
            ws_bus_tenant $http_x_tenant;
            location /of/ws      { ws_bus events; }
            location /of/publish { ws_bus_publish events; }
            location /of/type/ws   { ws_bus events;
                                     ws_bus_restrict entity_type eq end; }
            location /of/id/ws     { ws_bus events;
                                     ws_bus_restrict entity_id in "end,m-1"; }
            location /of/column/ws { ws_bus events;
                                     ws_bus_restrict owner eq me; }
            location /of/schema/ws { ws_bus events;
                                     ws_bus_restrict schema eq open; }
            location /of/all/      {
                ws_bus_restrict owner eq me;
                location /of/all/ws { ws_bus events;
                                      ws_bus_restrict schema neq s;
                                      ws_bus_restrict entity_type like "_n_"; }
            }
            location /of/cost/ws   { ws_bus events;
                                     ws_bus_max_filters_size 64k; }
            location /of/never/ws  { ws_bus events;
                                     ws_bus_restrict kind eq link;
                                     ws_bus_restrict kind eq entity; }
            location /of/capture { ws_bus_capture events;
                                   proxy_pass http://127.0.0.1:%%PORT1%%; }
        }
    }

    server {
        listen 127.0.0.1:%%PORT1%%;
        location / { default_type application/json;
                     return 201 '{"id":"c-1","v":"SECRET-captured"}'; }
    }
END

my $port = $nginx->port;
my $UUID = '0a1b2c3d-4e5f-6789-abcd-ef0123456789';

# the names of those who try, beside the one who may

my $VICTIM = 'acme';

my @others = (
    '-',                          # no tenant at all
    'evil', 'ACME', 'Acme', 'acm', 'acme1', 'aacme', 'acmeacme', 'acme.',
    'acme,evil', 'evil,acme', 'acme acme', '*', '%', 'acme%00', 'acme\u0000',
    '"acme"', 'null', "\x{430}cme", "\x{ff41}cme", "acme\x{301}", "acme\x{200b}",
    "\x{feff}acme", 'a' x 256,
);

sub headers { return $_[0] eq '-' ? () : ('X-Tenant' => encode_utf8($_[0])) }
sub path    { return $_[1] eq '-' ? "/$_[0]" : "/of/$_[0]" }

my $pub = WSBus::Raw->new($port);

sub publish {
    my ($tenant, $body, %headers) = @_;
    my $res = $pub->post(path('publish', $tenant), encode_utf8($body),
                         headers($tenant), %headers);
    return ($res->{status}, eval { decode_json($res->{body}) } // {});
}

sub client {
    my ($tenant, $path) = @_;
    return WSBus::Raw->open($port, path => $path // path('ws', $tenant),
                            headers => [ headers($tenant) ]);
}

sub seq { return seq_of($_[0]) // -1 }

# what comes until everything up to that id has been sent

sub drain {
    my ($ws, $id) = @_;

    my @text;

    for (1 .. 200) {
        $ws->send_text('{"type":"ping"}');
        while (1) {
            my $m = $ws->read_json;
            push @text, $ws->{text} // '';
            return @text if $m->{type} =~ /^(?:none|CLOSE)$/;
            last if $m->{type} eq 'pong'
                    && (!$m->{last_id} || seq($m->{last_id}) < seq($id));
            return @text if $m->{type} eq 'pong';
        }
    }

    return @text;
}

sub secrets { return scalar grep { /SECRET/ } @_ }


# what the victim publishes; each has the word

sub event {
    my ($type, $id, $more) = @_;
    return qq({"action":"created","entity_type":"$type","entity_id":"$id")
           . ($more // ',"data":{"v":"SECRET","tenant":"evil","n":42}') . '}';
}

sub victim_publishes {
    my $data = '"data":{"v":"SECRET","n":42}';
    my @body = (
        event('order', 'o-1'), event('order', $UUID), event('order', 42),
        event('SECRET', 'SECRET'),
        event('order', 'o-2', ",$data,\"old\":{\"v\":\"evil\",\"n\":1}"),
        event('order', 'o-3', ',"old":{"v":"SECRET","n":42},"data":{"v":"x SECRET"}'),
        qq({"action":"deleted","entity_type":"order","entity_id":"SECRET",)
          . '"old":{"v":"SECRET"}}',
        '{"action":"created","link_type":"has","link_id":"SECRET",'
          . '"source_id":"o-1","target_id":"o-2","metadata":{"v":"SECRET"}}',
        '{"timestamp":"2026-01-01T00:00:00Z","event":' . event('order', 'o-4') . '}',
        '[' . join(',', map { event('order', "b-$_") } 1 .. 5) . ']',
        # the row comes into the hands of others, and out of them
        event('moved', 'm-1', ',"data":{"v":"SECRET","owner":"SECRET"},'
                              . '"old":{"v":"SECRET","owner":"me"},'
                              . '"metadata":{"by":"SECRET"}'),
        event('moved', 'm-2', ',"data":{"v":"SECRET","owner":null},'
                              . '"old":{"owner":["me"],"x":{"owner":"me"}}'),
        event('moved', 'm-3', ',"data":{"owner":"me","v":"SECRET","owner":"x"},'
                              . '"old":{"own\u0065r":"you"}'),
        event('moved', 'm-4', ',"data":{"v":"SECRET","owner":"me\u0000"},'
                              . '"old":{"owner":"ME"}'),
        event('order', 'o-5', ",$data,\"schema\":\"s\",\"section\":\"s\","
                              . '"origin":"evil"'),
    );

    my $n = 0;
    for my $body (@body) {
        my ($status) = publish($VICTIM, $body);
        is($status, 200, 'published') if $status != 200;
        $n += $body =~ /^\[/ ? 5 : 1;
    }

    # without ws_bus_tenant, the body says whose it is

    for my $body (event('order', 'o-6', ",$data,\"tenant\":\"$VICTIM\"")) {
        my ($status) = publish('-', $body);
        is($status, 200, 'published by the body') if $status != 200;
        $n++;
    }

    my $res = WSBus::Raw->new($port)->post('/of/capture/order', '{}',
                                           'X-Tenant' => $VICTIM);
    is($res->{status}, 201, 'captured') if $res->{status} != 201;

    return $n + 1;
}


# what is sent: all that a client can say about events of others

sub attacks {
    my ($first, $middle, $last) = @_;

    my $sub = sub { '{"type":"subscribe","filter":' . $_[0] . ($_[1] // '') . '}' };
    my $many = sub { '[' . join(',', map { "\"$_\"" } @_) . ']' };
    my (@all, @fill);

    @fill = map { "fill-$_" } 1 .. 126;

    # fields that name a tenant

    for my $t ("\"$VICTIM\"", "[\"$VICTIM\"]", 'null', '"*"', '""', '{}', '[]') {
        push @all, $sub->("{\"tenant\":$t}"), $sub->('{}', ",\"tenant\":$t"),
                   $sub->("{\"tenant_id\":$t,\"ws_bus_tenant\":$t}"),
                   $sub->('{}', ",\"filter2\":{\"tenant\":$t}");
    }

    # every field, as one value, as an array, as arrays that are not spread

    my %value = (
        entity_type => [ 'order', 'SECRET' ],
        entity_id   => [ 'o-1', 'SECRET', '42', $UUID ],
        event_type  => [ 'created', 'deleted' ],
        kind        => [ 'entity', 'link' ],
    );

    push @all, $sub->('{}');

    for my $f (sort keys %value) {
        push @all, map { $sub->("{\"$f\":\"$_\"}") } @{ $value{$f} };
        push @all, $sub->("{\"$f\":" . $many->(@{ $value{$f} }) . '}');
        push @all, $sub->("{\"$f\":" . $many->(@{ $value{$f} }, @fill[ 0 .. 100 ]) . '}');
    }

    my @wide = map { my $f = $_; "\"$f\":" . $many->(@{ $value{$f} }, @fill[ 0 .. 100 ]) }
               sort keys %value;
    push @all, $sub->('{' . join(',', @wide[ 0 .. $_ ]) . '}') for 1 .. 3;

    # ids: integers, and all spellings of a UUID

    (my $bare = $UUID) =~ s/-//g;
    push @all, $sub->("{\"entity_id\":$_}")
        for 42, '[42]', "\"$bare\"", "\"{$UUID}\"", "\"urn:uuid:$UUID\"",
            '"' . uc $UUID . '"', '"URN:UUID:' . uc($UUID) . '"';

    # NUL, escapes and look-alikes

    push @all, $sub->("{\"entity_type\":\"$_\"}")
        for 'order\u0000', '\u0000order', 'order\u0000acme', 'acme\u0000order',
            '\u006frder', 'ORDER', "\x{ff4f}rder", "\x{43e}rder",
            "order\x{200b}", 'acme/order', 'acme:order', '../acme/order', '*',
            'ord%', 'order\u0000\u0000\u0000';
    push @all, $sub->('{"entity_type":"order","tenant\u0000":"acme"}'),
               $sub->('{"ten\u0061nt":"acme"}');

    # keys twice

    push @all, $sub->('{"entity_type":"evil","entity_type":"order"}'),
               $sub->('{"entity_type":"evil","entity\u005ftype":"order"}'),
               '{"type":"subscribe","filter":{"kind":"x"},"filter":{}}',
               '{"type":"ping","type":"subscribe","filter":{}}',
               $sub->('{"where":[]}', ',"where":[]');

    # conditions on the payload

    for my $w ('"operator":"eq","value":"SECRET"', '"operator":"like","value":"%"',
               '"operator":"ilike","value":"%secret%"',
               '"operator":"neq","value":"x"', '"operator":"in","value":["SECRET"]',
               '"operator":"gt","value":""', '"operator":"lte","value":"zzz"')
    {
        push @all, map { ($sub->('{}', ",\"where\":[{\"column\":\"$_\",$w}]"),
                          $sub->("{\"entity_type\":\"order\",\"where\":"
                                 . "[{\"column\":\"$_\",$w}]}")) } qw(v tenant);
    }
    push @all, $sub->('{}', ',"where":[{"column":"x","operator":"eq","value":1},'
                            . '{"column":"v","operator":"neq","value":1,'
                            . '"logic_operator":"OR"}]'),
               $sub->('{}', ',"where":[{"column":"n","operator":"in","value":[42]}]'),
               $sub->('{}', ',"where":[]');

    # the past

    my $epoch = epoch_of($first);
    push @all, map { $sub->('{}', ",\"since\":$_"),
                     $sub->('{"entity_type":"order"}', ",\"since\":$_"),
                     $sub->('{"entity_type":["order","x"]}', ",\"since\":$_"
                            . ',"where":[{"column":"v","operator":"like",'
                            . '"value":"%S%"}]') }
        '"first"', '"now"', "\"$first\"", "\"$middle\"", "\"$last\"",
        (map { '"' . event_id($epoch, $_) . '"' } 0, 1, (1 << 62) - 1),
        '"' . event_id('0' x 12, 1) . '"', "\"$epoch-1\"",
        '"' . uc($middle) . '"', "\"$middle\\u0000\"", "\"$middle \"", '0', '[]', '{}';

    # subscriptions of others

    push @all, map { "{\"type\":\"unsubscribe\",\"subscription_id\":$_}" }
        '"sub_0"', '"sub_-1"', '"sub_4294967297"', '"sub_1\u0000"', '"*"',
        '"sub_999999"', '["sub_1"]', '1', '"conn_00000000000000000000000000000000"';

    # what is reserved, and nonsense

    push @all, '{"type":"auth","token":"acme"}', '{"type":"snapshot"}',
               '{"type":"request","tenant":"acme"}',
               '{"type":"subscribe","filter":{},"snapshot":true}',
               '{"type":"publish","tenant":"acme"}', '[]', '""', '{', '',
               '{"type":"subscribe"}', '{"type":"SUBSCRIBE","filter":{}}';

    return @all;
}


# sends all of it; each message has one answer, which are all looked at

sub attack {
    my ($ws, @messages) = @_;

    my ($subscribed, @text) = (0);

    for my $message (@messages) {
        $ws->send_text(encode_utf8($message));

        while (1) {
            my $m = $ws->read_json;
            push @text, $ws->{text} // '';
            return (-1, @text) if $m->{type} =~ /^(?:none|CLOSE)$/;
            next if $m->{type} =~ /^(?:event|gap|position)$/;
            $subscribed++ if $m->{type} eq 'subscribed';
            last;
        }
    }

    return ($subscribed, @text);
}


# some events are there already, and the ids of them are known to everybody

my ($n, %id);
$n = victim_publishes();
for my $at (qw(first middle last)) {
    my (undef, $answer) = publish($VICTIM, event('order', $at));
    $id{$at} = $answer->{last_id};
    $n += victim_publishes() + 1;
}

my @attacks  = attacks(@id{qw(first middle last)});
my $victim   = client($VICTIM);
my $subs;

$victim->send_text('{"type":"subscribe","filter":{"entity_type":"watched"}}');
$victim->read_json;


subtest 'the tenant itself gets all of it' => sub {
    my $ws = client($VICTIM);

    # the words of the attacks are the victim's own here

    my ($got, @text) = attack($ws, @attacks);
    cmp_ok($got, '>', 100, "$got of " . @attacks . ' are subscriptions');
    $subs = $got;

    victim_publishes();
    my (undef, $answer) = publish($VICTIM, event('fin', 'fin'));
    push @text, drain($ws, $answer->{last_id});

    cmp_ok(secrets(@text), '>', 30 * $n, 'they hear what is said: '
           . secrets(@text) . ' times');

    $ws->close;
};


# equal filters of the victim are there all the time; they are not read

my @listeners = map { client($VICTIM) } 1 .. 3;
attack($_, grep { !/since/ } @attacks) for @listeners;


for my $tenant (@others) {
    my $name = length $tenant > 20 ? substr($tenant, 0, 8) . '…' : $tenant;

    subtest "$name gets nothing" => sub {
        my $ws = client($tenant);
        my ($got, @text) = attack($ws, @attacks);
        is($got, $subs, 'the same are subscriptions');

        victim_publishes();

        my ($status, $answer) = publish($tenant, event('end', 'end', ''));
        is($status, 200, 'its own event');
        cmp_ok($answer->{subscribers}, '>', 0, 'is for it');
        push @text, drain($ws, $answer->{last_id});

        # filters are echoed; whatever else has the word has it of the victim

        my @bad = grep { /SECRET/ && !/^\{"type":"subscribed"/ } @text;
        is(scalar @bad, 0, 'nothing of the victim') or diag(@bad[ 0 .. 2 ]);

        my @foreign = grep { /"type":"event"/ && !/"entity_type":"end"/ } @text;
        is(scalar @foreign, 0, 'no other event at all')
            or diag(@foreign[ 0 .. 2 ]);
        cmp_ok(scalar(grep { /"type":"event"/ } @text), '>=', 10,
               'its own came');

        my %kind;
        $kind{$_}++ for map { eval { decode_json($_)->{type} } // 'bad' } @text;
        delete @kind{qw(subscribed error event gap position pong unsubscribed)};
        is_deeply(\%kind, {}, 'and nothing of another type');

        $ws->close;
    };
}


$_->close for @listeners;


# The same in the victim's own tenant, where a restriction stands in the way.
# [ whether "end" may be seen, whether a row that left may be told ]

my %forced = (
    type => [ 1, 0 ], id => [ 1, 1 ], column => [ 1, 1 ], schema => [ 1, 0 ],
    all => [ 1, 0 ], never => [ 0, 0 ],
);

for my $name (sort keys %forced) {
    subtest "the restriction \"$name\"" => sub {
        my ($end, $left) = @{ $forced{$name} };
        my $ws = client($VICTIM, "/of/$name/ws");
        my ($got, @text) = attack($ws, @attacks);
        is($got, $subs, 'the same are subscriptions');

        victim_publishes();

        my (undef, $answer) = publish($VICTIM, event('end', 'end',
            ',"schema":"open","data":{"owner":"me"}'));
        push @text, drain($ws, $answer->{last_id});

        my @bad = grep { /SECRET/ && !/^\{"type":"subscribed"/
                         && !/"change":"left".*"entity_id":"m-1"\}/ } @text;
        @bad = () if $name eq 'id';
        is(scalar @bad, 0, 'nothing that it forbids') or diag(@bad[ 0 .. 2 ]);

        my @events = map { decode_json($_) } grep { /"type":"event"/ } @text;
        my %seen;
        $seen{"$_->{data}{event}{entity_id}" . ($_->{change} // '')
              . (exists $_->{data}{event}{data} ? '' : ' no data')}++ for @events;

        my $m1 = $name eq 'id' ? [ 'm-1' ] : [ 'm-1left no data' ];
        is_deeply([ sort keys %seen ],
                  [ $end ? 'end' : (), $left ? @$m1 : () ],
                  'only what it lets through');

        $ws->close;
    };
}


subtest 'nobody has touched the subscription of another' => sub {
    my (undef, $answer) = publish($VICTIM, event('watched', 'w'));
    is($answer->{subscribers}, 1, 'it is there');
    my $m;
    do { $m = $victim->read_json } while $m->{type} eq 'position';
    is($m->{data}{event}{entity_id}, 'w', 'and has its event');
};


subtest 'nobody publishes for another' => sub {
    $victim->send_text('{"type":"subscribe","filter":{}}');
    is($victim->read_json->{subscription_id}, 'sub_2', 'the victim listens');

    my $forged = '"action":"created","entity_type":"forged","entity_id":"f"';
    my $t      = "\"tenant\":\"$VICTIM\"";

    my @bodies = (
        "{$t,$forged}", "{$forged,$t}", "[{$t,$forged},{$forged,$t}]",
        "{$forged,\"ten\\u0061nt\":\"$VICTIM\"}",
        "{$forged,\"tenant\":\"\\u0061cme\"}",
        "{$forged,$t,$t}", "{$forged,\"tenant\":null,$t}",
        "{$forged,\"tenant\":\"evil\",$t}",
        "{$t,\"event\":{$t,$forged}}", "{\"event\":{$forged},$t}",
        "{\"timestamp\":\"2026-01-01T00:00:00Z\",\"event\":{$forged,$t},$t}",
        "{$forged,\"metadata\":{$t},\"data\":{$t},\"old\":{$t},\"origin\":\"acme\"}",
        "{$forged,\"tenant\":[\"acme\"]}", "{$forged,\"tenant\":{\"a\":1}}",
        "{$forged,\"tenant\":\"acme\\u0000\"}", "{$forged,\"tenant\":\"\"}",
        "{$forged,\"Tenant\":\"acme\",\"tenant_id\":\"acme\",\"tenant\\u0000\":\"acme\"}",
    );

    my %status;
    for my $tenant (grep { $_ ne '-' } @others) {
        for my $body (@bodies) {
            my ($status) = publish($tenant, $body);
            $status{$status}++;
        }
        my ($status) = publish($tenant, "{$t,$forged}\n{$forged,$t}\n",
                               'Content-Type' => 'application/x-ndjson');
        $status{$status}++;
    }
    is(join(' ', sort keys %status), '200 400 422', 'some are refused');

    # without a directive the body says; what is not exactly the name is not

    for my $t ('acme ', ' acme', 'Acme', 'acme,x', "\x{430}cme", 'acm', 'acme.') {
        is((publish('-', "{$forged,\"tenant\":\"$t\"}"))[0], 200, "as \"$t\"");
    }

    my (undef, $answer) = publish($VICTIM, event('end', 'end'));
    my @text = drain($victim, $answer->{last_id});
    is(scalar(grep { /forged/ } @text), 0, 'the victim hears none of it');
    is(scalar(grep { /"entity_type":"end"/ } @text), 1, 'but its own');
};


subtest 'numbers that a publisher is told are its own' => sub {
    my @ws = map { client($VICTIM) } 1 .. 3;
    for my $ws (@ws) {
        $ws->send_text('{"type":"subscribe","filter":{"entity_type":"count"}}');
        $ws->read_json;
    }
    my $count = sub { (publish($_[0], event('count', 'c', '')))[1]{subscribers} };

    is($count->($VICTIM), 3 + 1, 'the victim has some');
    is($count->($_), 0, length $_ > 20 ? 'long' : $_ . ': none') for @others;
    $_->close for @ws;
};


subtest 'idempotency keys are no oracle' => sub {
    my $body = event('idem', 'i', '');
    my @key  = ('Idempotency-Key' => 'guess');

    my ($status, $first) = publish($VICTIM, $body, @key);
    is($status, 200, 'the victim publishes under a key');

    for my $tenant ('-', 'evil', 'Acme', 'acm') {
        my ($code, $answer) = publish($tenant, $body, @key);
        is($code, 200, "$tenant: the same key and body: 200");
        isnt($answer->{first_id}, $first->{first_id}, 'published anew');
        is((publish($tenant, event('idem', 'j', ''), @key))[0], 422,
           'only its own key is known');
        is((publish($tenant, event('idem', 'j', ''),
                    'Idempotency-Key' => "guess-$tenant"))[0], 200, 'another');
    }

    my ($again, $answer) = publish($VICTIM, $body, @key);
    is($answer->{first_id}, $first->{first_id}, 'that of the victim is kept');
};


# Whatever one tenant takes for itself, the others have their own.

subtest 'what one tenant can cost, another does not pay' => sub {
    my $ask = sub {
        my ($ws, $what) = @_;
        $ws->send_text(encode_utf8($what));
        my $m;
        do { $m = $ws->read_json } while $m->{type} eq 'event' || $m->{type} eq 'position';
        return $m;
    };
    my @evil = map { client('evil', '/of/cost/ws') } 1 .. 8;
    my $n = 0;
    my %got;

    # filters of many values, until the connection may have no more

    for my $ws (@evil) {
        my $m;
        do {
            my $ids = join ',', map { '"' . $n++ . '"' } 1 .. 128;
            $m = $ask->($ws, qq({"type":"subscribe","filter":{"entity_id":[$ids]}}));
        } while $m->{type} eq 'subscribed';
        $got{ $m->{code} }++;
    }
    is(join(' ', sort keys %got), 'filters_too_large', 'each is stopped');

    # conditions that have to be tried, until they cost too much

    %got = ();
    for my $ws (map { client('evil', '/of/cost/ws') } 1 .. 4) {
        push @evil, $ws;
        my $m;
        do {
            my $word = '%' . $n++ . '%';
            $m = $ask->($ws, qq({"type":"subscribe","filter":{},"where":[
                {"column":"v","operator":"like","value":"$word"}]}));
        } while $m->{type} eq 'subscribed';
        $got{ $m->{code} }++;
    }
    is(join(' ', sort keys %got), 'too_costly', 'here, too');

    my $ws = client($VICTIM);
    is($ask->($ws, '{"type":"subscribe","filter":{"entity_type":"cost"},"where":[
           {"column":"v","operator":"like","value":"%1%"}]}')->{type},
       'subscribed', 'the victim subscribes');
    is((publish('evil', event('cost', 'x',
                                 ',"data":{"v":"' . 'y1' x 2048 . '"}')))[0], 200,
       'an event that all of the others are asked for');
    my ($status, $answer) = publish($VICTIM, event('cost', 'c',
                                                 ',"data":{"v":"a1b"}'));
    is($status, 200, 'and one of the victim');

    my $m;
    do { $m = $ws->read_json } until $m->{type} ne 'position';
    is($m->{type}, 'event', 'which it gets');
    is($m->{data}{id}, $answer->{first_id}, 'and no other');

    $_->close for @evil, $ws;
};


# What remains, by design: ids are of the whole bus, so that their distance
# tells how many events the others have had.

subtest 'of others only the number of events can be seen' => sub {
    my $ws = client('evil');
    $ws->send_text('{"type":"subscribe","filter":{},"since":"now"}');
    my $before = seq($ws->read_json->{last_id});

    victim_publishes();
    my (undef, $answer) = publish($VICTIM, event('order', 'SECRET'));

    my $position;
    do { $position = $ws->read_json } until $position->{type} eq 'position'
                                            && seq($position->{last_id})
                                               == seq($answer->{last_id})
                                            || $position->{type} eq 'none';
    is_deeply([ sort keys %$position ], [qw(last_id type)],
              'position: an id, and nothing else');
    cmp_ok(seq($position->{last_id}), '>', $before, 'which moves');

    $ws->send_text('{"type":"ping"}');
    my $pong = $ws->read_json;
    is_deeply([ sort keys %$pong ], [qw(last_id type)], 'pong as well');

    $ws->close;
};


$victim->close;
$pub->close;
$nginx->finish;
done_testing;
