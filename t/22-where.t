# SPDX-License-Identifier: BSD-2-Clause
# Conditions on the payload: which row reaches which subscription, and what
# comes in and goes out when rows change.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Encode qw(encode_utf8);
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::Client;
use WSBus::Nginx;

my $nginx = WSBus::Nginx->new(
    workers => 2, http => WSBus::Nginx::minimal())->start;
my $c = WSBus::Client->new($nginx);


# JSON is written here as text: numbers must go through unchanged

sub event {
    my ($id, %o) = @_;
    my $data = defined $o{data} ? qq{,"data":$o{data}} : '';
    my $old  = defined $o{old}  ? qq{,"old":$o{old}}   : '';
    my $type = $o{type}   // 'row';
    my $verb = $o{action} // 'updated';
    return encode_utf8(qq({"action":"$verb","entity_type":"$type","entity_id":"$id"$data$old}));
}

sub publish {
    my (undef, $reply) = $c->publish('[' . join(',', @_) . ']');
    return $reply;
}

sub cond {
    my ($column, $op, $value, $logic) = @_;
    $logic = $logic ? qq{,"logic_operator":"$logic"} : '';
    return qq({"column":"$column","operator":"$op","value":$value$logic});
}

sub where_message {
    my ($where, $filter, $more) = @_;
    $filter //= '{}';
    $more   //= '';
    return qq({"type":"subscribe","filter":$filter,"where":$where$more});
}

sub subscribe {
    my ($ws, @args) = @_;
    return $ws->ask(where_message(@args));
}

sub ids { return join ' ', map { $_->{data}{event}{entity_id} } @_ }

sub changes {
    return join ' ', map {
        $_->{data}{event}{entity_id} . ($_->{change} ? ":$_->{change}" : '')
    } @_;
}


my %row = (
    zero     => '{"n":0,"s":"","b":false}',
    one      => '{"n":1,"s":"abc","b":true}',
    onedot   => '{"n":1.0,"s":"ABC"}',
    ten      => '{"n":1e1,"s":"abd"}',
    big      => '{"n":9007199254740993,"s":"é"}',
    bigger   => '{"n":9007199254740994,"s":"aéc"}',
    huge     => '{"n":18446744073709551616}',
    text     => '{"n":"10","s":"1"}',
    null     => '{"n":null,"s":null}',
    missing  => '{}',
    nested   => '{"n":{"m":{"k":7}},"s":["abc"]}',
    twice    => '{"n":5,"n":6,"\u0073":"esc\u0061ped"}',
    array    => '[{"n":1}]',
    dotted   => '{"a.b":"100%","a[0]":"1000","data":{"n":"in data"}}',
    scalar   => '1',
);

my @rows = sort keys %row;


my @table = (
    [ [ cond('n', 'eq', '1') ]            => qw(one onedot) ],
    [ [ cond('n', 'eq', '1.00') ]         => qw(one onedot) ],
    [ [ cond('n', 'eq', '"1"') ]          => qw(one onedot) ],
    [ [ cond('n', 'eq', '10') ]           => qw(ten text) ],
    [ [ cond('n', 'eq', '"10"') ]         => qw(ten text) ],
    [ [ cond('n', 'eq', '"1e1"') ]        => qw(ten) ],
    [ [ cond('n', 'eq', '9007199254740993') ]  => qw(big) ],
    [ [ cond('n', 'eq', '9007199254740992') ] ],
    [ [ cond('n', 'eq', 'true') ] ],
    [ [ cond('b', 'eq', 'true') ]         => qw(one) ],
    [ [ cond('b', 'neq', 'true') ]        => qw(zero) ],
    [ [ cond('b', 'eq', '"true"') ] ],
    [ [ cond('s', 'eq', '"abc"') ]        => qw(one) ],
    [ [ cond('s', 'eq', '"\\u0061bc"') ]  => qw(one) ],
    [ [ cond('s', 'eq', '"escaped"') ]    => qw(twice) ],
    [ [ cond('s', 'eq', '""') ]           => qw(zero) ],
    [ [ cond('n', 'eq', 'null') ] ],
    [ [ cond('n', 'neq', 'null') ] ],
    [ [ cond('n', 'eq', '5') ] ],
    [ [ cond('n', 'eq', '6') ]            => qw(twice) ],

    [ [ cond('n', 'neq', '1') ]
      => qw(big bigger huge nested ten text twice zero) ],
    [ [ cond('s', 'neq', '"abc"') ]
      => qw(big bigger nested onedot ten text twice zero) ],

    [ [ cond('n', 'gt', '10') ]           => qw(big bigger huge) ],
    [ [ cond('n', 'gte', '10') ]          => qw(big bigger huge ten text) ],
    [ [ cond('n', 'lt', '1') ]            => qw(zero) ],
    [ [ cond('n', 'lte', '1') ]           => qw(one onedot zero) ],
    [ [ cond('n', 'gt', '9007199254740993') ]  => qw(bigger huge) ],
    [ [ cond('n', 'gt', '18446744073709551615') ]  => qw(huge) ],
    [ [ cond('n', 'lt', '-1e-300') ] ],
    [ [ cond('s', 'gt', '"abc"') ]        => qw(big bigger ten twice) ],
    [ [ cond('s', 'lt', '"B"') ]          => qw(onedot text zero) ],
    [ [ cond('n', 'gt', '"9"') ]          => qw(big bigger huge ten) ],

    [ [ cond('s', 'like', '"ab%"') ]      => qw(one ten) ],
    [ [ cond('s', 'like', '"ab"') ] ],
    [ [ cond('s', 'like', '"a_c"') ]      => qw(bigger one) ],
    [ [ cond('s', 'like', '"_"') ]        => qw(big text) ],
    [ [ cond('s', 'like', '"%"') ]
      => qw(big bigger one onedot ten text twice zero) ],
    [ [ cond('s', 'ilike', '"aB%"') ]     => qw(one onedot ten) ],
    [ [ cond('n', 'like', '"1%"') ]       => qw(huge one onedot ten text) ],
    [ [ cond('n', 'like', '"1.0"') ]      => qw(onedot) ],
    [ [ cond('b', 'like', '"t%"') ]       => qw(one) ],

    [ [ cond('a\\\\.b', 'like', '"100\\\\%"') ]  => qw(dotted) ],
    [ [ cond('a\\\\.b', 'like', '"100_"') ]   => qw(dotted) ],
    [ [ cond('a\\\\[0]', 'like', '"100\\\\%"') ] ],
    [ [ cond('a\\\\[0]', 'like', '"100_"') ]  => qw(dotted) ],
    [ [ cond('a.b', 'like', '"%"') ] ],
    [ [ cond('data.a\\\\.b', 'eq', '"100%"') ]  => qw(dotted) ],
    [ [ cond('data.n', 'eq', '1') ]       => qw(one onedot) ],
    [ [ cond('data.data.n', 'like', '"%data%"') ]  => qw(dotted) ],
    [ [ cond('s', 'like', '"%b_"') ]      => qw(one ten) ],
    [ [ cond('s', 'like', '"\\\\_"') ] ],

    [ [ cond('n', 'in', '[1,10]') ]       => qw(one onedot ten text) ],
    [ [ cond('n', 'in', '[' . join(',', 10 .. 60) . ']') ]
      => qw(ten text) ],
    [ [ cond('s', 'eq', '"x"'),
        cond('s', 'in', '["abc",' . join(',', map { qq("v$_") } 10 .. 60)
                        . ']', 'OR') ] => qw(one) ],
    [ [ cond('n', 'in', '[0,null,"6"]') ] => qw(twice zero) ],
    [ [ cond('n', 'in', '10') ]           => qw(ten text) ],
    [ [ cond('n', 'in', '[]') ] ],
    [ [ cond('n', 'in', '[null]') ] ],
    [ [ cond('n', 'in', 'null') ] ],

    [ [ cond('n.m.k', 'eq', '7') ]        => qw(nested) ],
    [ [ cond('n.m', 'eq', '7') ] ],
    [ [ cond('n.m.k.x', 'eq', '7') ] ],
    [ [ cond('s.0', 'eq', '"abc"') ] ],
    [ [ cond('nothing', 'neq', '7') ] ],

    [ [ cond('n', 'gte', '0'), cond('n', 'lt', '10') ]
      => qw(one onedot twice zero) ],
    [ [ cond('n', 'eq', '0'), cond('n', 'eq', '1', 'OR') ]
      => qw(one onedot zero) ],
    [ [ cond('n', 'eq', '0'), cond('n', 'eq', '1', 'or'),
        cond('s', 'eq', '"abc"') ] => qw(one) ],
    [ [ cond('s', 'eq', '"abc"'), cond('n', 'eq', '0'),
        cond('n', 'eq', '1', 'Or'), cond('b', 'eq', 'true', 'and') ]
      => qw(one) ],
    [ [ cond('s', 'eq', '"abc"', 'OR') ]  => qw(one) ],
    [ [ cond('n', 'eq', '0'), cond('n', 'eq', '1', 'O\u0052') ]
      => qw(one onedot zero) ],
    [ []                                  => @rows ],
);


subtest 'operators, each by itself' => sub {
    my $ws = $c->open;

    for my $row (@table) {
        my $text = '[' . join(',', @{ $row->[0] }) . ']';
        my $got  = subscribe($ws, $text, '{"entity_type":"row"}');
        is($got->{type}, 'subscribed', "$text: accepted")
            or diag(encode_json($got));
    }

    my $reply = publish(map { event($_, data => $row{$_}) } @rows);
    is($reply->{subscribers}, @table * @rows,
       'those are counted whose routing fields match');

    my %got;
    push @{ $got{ $_->{subscription_id} } }, $_ for $ws->sync;

    for my $i (0 .. $#table) {
        my ($where, @expect) = @{ $table[$i] };
        my @events = @{ $got{ 'sub_' . ($i + 1) } // [] };

        is(ids(@events), join(' ', sort @expect), join(' & ', @$where) || '[]');
        ok(!grep({ exists $_->{change} } @events), 'nothing has changed');
    }

    $ws->finish;
};


subtest 'the same, replayed' => sub {
    my $ws = $c->open;

    for my $row (@table) {
        my $got = subscribe($ws, '[' . join(',', @{ $row->[0] }) . ']',
                            '{"entity_type":"row"}', ',"since":"first"');
        is($got->{recovered}, 1, 'recovered');
    }

    my %got;
    push @{ $got{ $_->{subscription_id} } }, $_ for $ws->sync;

    for my $i (0 .. $#table) {
        my ($where, @expect) = @{ $table[$i] };

        is(ids(@{ $got{ 'sub_' . ($i + 1) } // [] }), join(' ', sort @expect),
           join(' & ', @$where) || '[]');
    }

    $ws->finish;
};


subtest 'rows that come in and go out' => sub {
    my $ws = $c->open;

    my $routing = '{"entity_type":"change"}';

    subscribe($ws, '[' . cond('state', 'eq', '"open"') . ']', $routing);
    subscribe($ws, '[' . cond('price', 'gt', '10') . ']', $routing);
    subscribe($ws, '[' . cond('state', 'in', '["open","new"]') . ','
                       . cond('price', 'gt', '10') . ']', $routing);
    $ws->subscribe({ entity_type => 'change' });

    my $open  = '{"state":"open","price":11}';
    my $cheap = '{"state":"open","price":10}';
    my $new   = '{"state":"new","price":11.5}';
    my $done  = '{"state":"done","price":12}';

    publish(map { event($_->[0], type => 'change', action => $_->[1],
                        data => $_->[2], old => $_->[3]) }
        [ a => 'created', $open ],
        [ b => 'updated', $open, $open ],
        [ c => 'updated', $open, $cheap ],
        [ d => 'updated', $cheap, $open ],
        [ e => 'updated', $done, $open ],
        [ f => 'updated', $open, $new ],
        [ g => 'updated', $new, $open ],
        [ h => 'deleted', undef, $open ],
        [ i => 'deleted' ],
        [ j => 'deleted', undef, $done ],
        [ k => 'updated', $done, '{}' ],
        [ l => 'updated', 'null', $open ],
    );

    my %got;
    for my $event ($ws->sync) {
        push @{ $got{ $event->{subscription_id} } }, $event;
    }

    is(changes(@{ $got{sub_1} }),
       'a b c d e:left f:entered g:left h:left i:left l:left', 'an eq');
    is(changes(@{ $got{sub_2} }),
       'a b c:entered d:left e f g h:left i:left j:left k:entered l:left',
       'a range');
    is(changes(@{ $got{sub_3} }),
       'a b c:entered d:left e:left f g h:left i:left l:left', 'both');
    is(changes(@{ $got{sub_4} }), join(' ', 'a' .. 'l'), 'no condition');

    my ($left) = grep { $_->{data}{event}{entity_id} eq 'e' } @{ $got{sub_1} };
    is($left->{data}{event}{data}{state}, 'done', 'the row after the write');
    ok(!exists $left->{data}{event}{old}, 'that before is not sent');

    # one after the other, on connections on which they have one number

    my @ws = $c->connect_many(4);
    $_->wait_type('welcome') for @ws;

    subscribe($ws[0], '[' . cond('state', 'eq', '"open"') . ']', $routing);
    subscribe($ws[1], '[' . cond('state', 'eq', '"done"') . ']', $routing);
    subscribe($ws[2], '[' . cond('price', 'gt', '1') . ']', $routing);
    $ws[3]->subscribe({ entity_type => 'change' });

    publish(event('m', type => 'change', data => $done, old => $open));

    is(changes($ws[0]->sync), 'm:left', 'left');
    like($ws[1]->next->{change}, qr/^entered$/, 'entered');
    like($ws[1]->{text},
         qr/^\{"type":"event","subscription_id":"sub_1","change":"entered","data":\{"id":/,
         'before data');
    is(changes($_->sync), 'm', 'neither') for @ws[2, 3];

    $_->finish for @ws;

    # out of the log the same

    $ws = $c->open;
    subscribe($ws, '[' . cond('state', 'eq', '"open"') . ']', $routing,
              ',"since":"first"');
    is(changes($ws->sync),
       'a b c d e:left f:entered g:left h:left i:left l:left m:left',
       'replayed');

    $ws->finish;
};


subtest 'the answer repeats what was asked' => sub {
    my $ws = $c->open;

    my $where = '[ ' . cond('a', 'eq', '1.0') . ' ]';

    subscribe($ws, $where, '{"kind":"entity"}');
    like($ws->{text}, qr/"filter":\{"kind":"entity"\},"where":\Q$where\E,"last_id"/,
         'beside the filter');

    $ws->ask(qq({"type":"subscribe","filter":{"where":$where,"kind":"entity"}}));
    like($ws->{text}, qr/"filter":\{"kind":"entity","where":\Q$where\E\},"last_id"/,
         'among its fields');

    subscribe($ws, '[]');
    like($ws->{text}, qr/"filter":\{\},"where":\[\],/, 'an empty one');

    subscribe($ws, 'null');
    unlike($ws->{text}, qr/where/, 'null is as good as none');

    $ws->finish;
};


subtest 'errors' => sub {
    my $ws = $c->open;

    my $ok = cond('a', 'eq', '1');

    for my $row (
        [ '{}', 'where must be an array' ],
        [ '[1]', 'where[0]: an object is expected' ],
        [ "[$ok,$ok," . cond('a', 'GT', '1') . ']',
          'where[2]: unknown operator, expected one of eq neq gt gte lt lte like ilike in' ],
        [ '[' . cond('a', 'between', '[1,2]') . ']',
          'where[0]: unknown operator, expected one of eq neq gt gte lt lte like ilike in' ],
        [ "[$ok," . cond('', 'eq', '1') . ']', 'where[1]: column is empty' ],
        [ '[' . cond('a..b', 'eq', '1') . ']',
          'where[0]: column has an empty key' ],
        [ '[' . cond('items[0].x', 'eq', '1') . ']',
          'where[0]: arrays are not entered; a bracket in a key is written \\[' ],
        [ '[' . cond('a.b.c.d.e.f.g.h.i', 'eq', '1') . ']',
          'where[0]: column has more than 8 keys' ],
        [ '[' . cond('a', 'eq', '[1]') . ']',
          'where[0]: value must be a scalar' ],
        [ '[{"column":"a","operator":"eq"}]', 'where[0]: missing value' ],
        [ '[{"column":"a","value":1}]', 'where[0]: missing operator' ],
        [ '[{"operator":"eq","value":1}]', 'where[0]: missing column' ],
        [ '[' . cond('a', 'like', '7') . ']',
          'where[0]: the pattern must be a string' ],
        [ "[$ok," . cond('a', 'eq', '1', 'XOR') . ']',
          'where[1]: logic_operator must be "AND" or "OR"' ],
        [ '[' . join(',', ($ok) x 17) . ']',
          'where has more than 16 conditions' ],
        [ '[' . cond('a', 'in', '[' . join(',', 1 .. 257) . ']') . ']',
          'where[0]: more than 256 values' ],
        [ '[' . cond('a', 'eq', '"' . 'x' x 8192 . '"') . ']',
          'where is longer than 8192 bytes' ],
    ) {
        my ($where, $text) = @$row;

        my $got = subscribe($ws, $where, '{}', ',"id":"q"');
        is($got->{type}, 'error', $text);
        is($got->{code}, 'bad_where', 'code');
        is($got->{message}, "Invalid message: $text", 'message');
        is($got->{id}, 'q', 'id');
    }

    my $got = subscribe($ws, '[]', '{"where":[]}');
    is($got->{code}, 'bad_where', 'in two places');

    is($ws->subscribe({})->{subscription_id}, 'sub_1',
       'no subscription was made');

    $ws->finish;
};


subtest 'as many as there may be' => sub {
    my $ws = $c->open;

    subscribe($ws, '[' . join(',', map({ cond("c$_", 'gte', $_) } 1 .. 15),
                              cond('a.b.c.d.e.f.g.h', 'eq', '8')) . ']');
    subscribe($ws, '[' . cond('id', 'in', '[' . join(',', 1 .. 256) . ']') . ']');
    subscribe($ws, '[' . cond('long', 'eq', '"' . 'x' x 8000 . '"') . ']');

    my $deep = '{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":%s}}}}}}},'
               . join(',', map { qq("c$_":$_) } 1 .. 15) . '}';

    publish(event('deep', data => sprintf($deep, 8)),
            event('not', data => sprintf($deep, 9)),
            event('first', data => '{"id":1}'),
            event('last', data => '{"id":"256"}'),
            event('more', data => '{"id":257}'),
            event('long', data => '{"long":"' . 'x' x 8000 . '"}'),
            event('longer', data => '{"long":"' . 'x' x 8001 . '"}'));

    is(join(' ', map { "$_->{subscription_id} $_->{data}{event}{entity_id}" }
                 $ws->sync),
       'sub_1 deep sub_2 first sub_2 last sub_3 long', 'are all looked at');

    $ws->finish;
};


subtest 'each client its own rows' => sub {
    my @ws = $c->connect_many(40);
    $_->wait_type('welcome') for @ws;

    for my $i (0 .. $#ws) {
        for my $n (0 .. 9) {
            my $user = $i * 10 + $n;
            $ws[$i]->send(where_message('[' . cond('user_id', 'eq', $user)
                                            . ']', '{"entity_type":"own"}'));
        }
    }

    for my $ws (@ws) {
        $ws->wait_type('subscribed') for 1 .. 10;
    }

    publish(map { event($_, type => 'own', data => qq({"user_id":$_})) }
            0 .. 399, 500);

    for my $i (0 .. $#ws) {
        my @got = $ws[$i]->sync;

        is(join(' ', map { "$_->{subscription_id}=$_->{data}{event}{entity_id}" }
                     @got),
           join(' ', map { 'sub_' . ($_ + 1) . '=' . ($i * 10 + $_) } 0 .. 9),
           "client $i") if $i % 8 == 0 || @got != 10;
    }

    # those that have gone are asked no more, the others are

    $ws[0]->ask({ type => 'unsubscribe', subscription_id => 'sub_1' });
    $ws[1]->finish;

    publish(map { event($_, type => 'own', data => qq({"user_id":$_})) }
            0, 1, 10, 20);

    is(ids($ws[0]->sync), '1', 'unsubscribed from one');
    is(ids($ws[2]->sync), '20', 'another connection');

    $_->finish for grep { !$_->{closed} } @ws;

    ok(WSBus::Client::run_until(sub {
        publish(event(1, type => 'own', data => '{"user_id":1}'))
            ->{subscribers} == 0;
    }), 'none is counted after they have gone');
};


subtest 'the status page says them' => sub {
    my $ws = $c->open;

    my $where = '[' . cond('a', 'eq', '1') . ']';
    subscribe($ws, $where, '{"entity_type":"told"}');

    subscribe($ws, '[' . join(',', map { cond('a', 'gt', $_) } 1 .. 9) . ']',
              '{"entity_type":"told"}');

    my @told;

    WSBus::Client::run_until(sub {
        @told = map  { $_->{filter}{where} }
                grep { ($_->{filter}{entity_type} // '') eq 'told' }
                map  { @{ $_->{filters} } } @{ $c->status->{zones} };
        return @told == 2;
    });

    @told = sort { ref $a cmp ref $b } @told;
    is(encode_json($told[1]), encode_json(decode_json($where)), 'short ones');
    is($told[0], '...', 'not long ones');

    $ws->finish;
};


$nginx->finish;
done_testing;
