# SPDX-License-Identifier: BSD-2-Clause
# ws_bus_restrict: whatever a client asks for, live or of the past, it gets
# nothing that the conditions of its location do not let through.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(
    workers => 2,
    http    => WSBus::Nginx::minimal(
        http   => 'ws_bus_restrict schema neq internal;',
        server => 'location /own/ws { ws_bus events;
                       ws_bus_restrict user eq $arg_user; }
                   location /two/ws { ws_bus events;
                       ws_bus_restrict entity_type in "order,bill";
                       ws_bus_restrict data.region in $arg_regions; }
                   location /paid/ws { ws_bus events;
                       ws_bus_restrict total gte 100;
                       ws_bus_restrict entity_id neq $arg_but; }
                   location /nested/ { ws_bus_restrict user eq $arg_user;
                       location /nested/ws { ws_bus events;
                           ws_bus_restrict open eq true; } }
                   location /name/ws { ws_bus events;
                       ws_bus_restrict name like "$arg_pattern%"; }
                   location /home/ws { ws_bus events;
                       ws_bus_restrict path ilike "/home/${arg_name}/%"; }
                   location /class/ws { ws_bus events;
                       ws_bus_restrict class neq secret; }
                   '),
)->start;

my $port = $nginx->port;
my $pub  = WSBus::Raw->new($port);
my $n    = 0;


# the marker passes every condition, so what came before it is all there is

sub marker {
    return { action => 'marked', entity_type => 'order', schema => 'public',
             entity_id => 'marker-' . ++$n,
             data => { user => 7, region => 'eu', total => 100,
                       open => \1, name => 'abc' } };
}

sub publish {
    return $pub->publish([ @_ ]);
}

sub open_at { return WSBus::Raw->open($port, path => shift) }

# what one socket gets of these events: ids, with the change behind a colon

sub gets {
    my ($ws, @events) = @_;

    publish(@events, marker());

    my @got;
    while (1) {
        my $e = $ws->read_json;
        return "$e->{type}!" if $e->{type} ne 'event';
        my $ev = $e->{data}{event};
        last if $ev->{entity_id} eq "marker-$n";
        push @got, $ev->{entity_id} . ($e->{change} ? ":$e->{change}" : '')
                   . ($ev->{data} ? '' : '-');
    }

    return join ' ', @got;
}

sub order {
    my ($id, $data, %more) = @_;
    return { action => 'updated', entity_type => 'order', schema => 'public',
             entity_id => $id, $data ? (data => $data) : (), %more };
}

my @rows = (
    order(own    => { user => 7 }),
    order(text   => { user => '7' }),
    order(other  => { user => 8 }),
    order(none   => { name => 'x' }),
    order(null   => { user => undef }),
    order(norow  => undef),
    order(came   => { user => 7 }, old => { user => 8 }),
    order(went   => { user => 8, secret => 's' }, old => { user => 7 },
          metadata => { by => 's' }),
    order(never  => { user => 8 }, old => { user => 9 }),
    order(gone   => undef, old => { user => 7 }, action => 'deleted'),
    order(inside => { user => 7 }, schema => 'internal'),
);


subtest 'a client may ask for anything and gets its own' => sub {

    my $want = 'own text came:entered went:left- gone:left-';

    for my $message (
        '{"type":"subscribe","filter":{}}',
        '{"type":"subscribe","filter":{}}',
        '{"type":"subscribe","filter":{"entity_type":"order"}}',
        '{"type":"subscribe","filter":{"entity_type":["order","x"]}}',
        '{"type":"subscribe","filter":{"kind":"entity"}}',
        '{"type":"subscribe","filter":{},"where":[{"column":"user",'
            . '"operator":"in","value":[7,8,9]}]}',
        '{"type":"subscribe","filter":{},"where":[{"column":"user",'
            . '"operator":"eq","value":8},{"column":"user","operator":"neq",'
            . '"value":8,"logic_operator":"OR"}]}',
        '{"type":"subscribe","filter":{},"where":[{"column":"user",'
            . '"operator":"lt","value":100,"logic_operator":"OR"}]}')
    {
        my $ws = open_at('/own/ws?user=7');
        is($ws->ask($message)->{type}, 'subscribed', $message);
        is(gets($ws, @rows), $want, 'only what passes');
    }

    my $ws = open_at('/own/ws?user=7');
    $ws->ask('{"type":"subscribe","filter":{},"where":[{"column":"user",'
             . '"operator":"eq","value":8}]}');
    $ws->ask('{"type":"subscribe","filter":{"entity_id":"marker-'
             . ($n + 1) . '"}}');
    is(gets($ws, @rows), '', 'who asks for the row of another gets nothing');
};


subtest 'what went away is named, and nothing is said of the row' => sub {
    my $ws = open_at('/own/ws?user=7');
    $ws->ask('{"type":"subscribe","filter":{}}');

    publish(grep { $_->{entity_id} eq 'went' } @rows);

    my $got = $ws->read_json;

    is($got->{change}, 'left', 'it left');
    is_deeply($got->{data}{event},
              { kind => 'entity', action => 'updated',
                entity_type => 'order', entity_id => 'went' },
              'kind, action, type and id');
    unlike($ws->{text}, qr/secret|metadata|"s"/, 'and no more');
};


subtest 'of the past as of now' => sub {
    my $first = publish(@rows, marker())->{first_id};

    my $before = event_id(epoch_of($first), seq_of($first) - 1);

    for my $since ('"first"', qq("$before")) {
        my $ws = open_at('/own/ws?user=7');
        $ws->ask(qq({"type":"subscribe","filter":{},"since":$since}));

        my %got;
        while (1) {
            my $e = $ws->read_json;
            last if $e->{type} ne 'event'
                    || $e->{data}{event}{entity_id} eq "marker-$n";
            $got{ $e->{data}{event}{entity_id} }++;
        }
        is_deeply([ grep { !/^marker/ } sort keys %got ],
                  [ qw(came gone own text went) ], "since $since");
    }
};


subtest 'routing fields and lists' => sub {
    my $ws = open_at('/two/ws?regions=eu,us');
    $ws->ask('{"type":"subscribe","filter":{}}');

    my $reply = publish(order('x', { region => 'eu' }, entity_type => 'user'));
    my $ids   = gets($ws,
        order(eu => { region => 'eu' }), order(us => { region => 'us' }),
        order(as => { region => 'as' }),
        order(both => { region => 'eu,us' }),
        order(bill => { region => 'us' }, entity_type => 'bill'),
        order(user => { region => 'us' }, entity_type => 'user'));

    is($ids, 'eu us bill', 'in');

    my $more = $ws->ask('{"type":"subscribe","filter":'
                        . '{"entity_type":"user"}}');
    is($more->{type}, 'subscribed', 'what can never match is subscribed');
    is(gets($ws, order(user => { region => 'us' }, entity_type => 'user')),
       '', 'and never matches');

    is($reply->{subscribers}, 0,
       'who cannot get an event is not counted among its subscribers');
};


subtest 'order, text and booleans' => sub {
    my $ws = open_at('/paid/ws?but=0123ABCD012301230123012345678900');
    $ws->ask('{"type":"subscribe","filter":{}}');
    is(gets($ws, order(cheap => { total => 99 }), order(dear => { total => 1e3 }),
            order('text-2' => { total => '101' }), order(word => { total => 'x' }),
            order('0123abcd-0123-0123-0123-012345678900', { total => 500 })),
       'dear text-2', 'numbers by value; a UUID in any spelling');

    $ws = open_at('/nested/ws?user=7');
    $ws->ask('{"type":"subscribe","filter":{}}');
    is(gets($ws, order(a => { user => 7, open => \1 }),
            order(b => { user => 7, open => \0 }),
            order(c => { user => 8, open => \1 }),
            order(d => { user => 7, open => 'true' }),
            order(e => { user => 7, open => \1 }, schema => 'internal')),
       'a d', 'conditions of three levels add up');

    $ws = open_at('/name/ws?pattern=a');

    $ws->ask('{"type":"subscribe","filter":{}}');
    is(gets($ws, order(x => { name => 'xyz' }), order(l => { name => 'abc' })),
       'l', 'like');
};


# the pattern is the configuration's, the name the client's

subtest 'a name is no pattern' => sub {
    my @names = ('%', '_', 'b_b', 'bob', 'b%b', '\\', '\\%', 'ann');
    my $all = sub { map { order($_ => { path => "/home/$_/x" }) } @names };

    for my $name (@names) {
        my $ws = WSBus::Raw->open($port, path => '/home/ws?name='
            . join '', map { sprintf '%%%02X', ord } split //, $name);
        $ws->ask('{"type":"subscribe","filter":{}}');
        publish($all->(), order(end => { path => "/home/$name/end" }));
        my @got;
        while (1) {
            my $m = $ws->read_json;
            my $e = $m->{data}{event};
            last if $m->{type} ne 'event' || $e->{entity_id} eq 'end';
            push @got, $e->{entity_id};
        }
        is("@got", $name, "\"$name\" gets its own");
    }

    for my $path ('/home/ws', '/home/ws?name=', '/name/ws?pattern=',
                  '/name/ws?pattern=%zz', '/home/ws?name=' . '%25' x 300)
    {
        my $ws = WSBus::Raw->new($port);
        is($ws->handshake(path => $path)->{status}, 403, substr $path, 0, 30);
    }
    like($nginx->error_log, qr/argument "pattern" is taken for empty/,
         'which says why');
};


subtest 'a value is text, and a row that is no scalar is nobody\'s' => sub {
    my @events = map { order($_->[0] => { user => $_->[1] }) }
        [ n10 => 10 ], [ t10 => '10' ], [ e => '1e1' ], [ f => '10.0' ],
        [ s => ' 10' ], [ list => [10] ], [ obj => {} ], [ cafe => 'caf%C3%A9' ];

    my %gets = ('10' => 'n10 t10', '1e1' => 'e', '10.0' => 'f', '%2010' => 's',
                '+10' => 's', 'caf%25C3%25A9' => 'cafe');

    for my $user (sort keys %gets) {
        my $ws = open_at("/own/ws?user=$user");
        $ws->ask('{"type":"subscribe","filter":{}}');
        publish(@events, order(end => { user => { '%2010' => ' 10',
            '+10' => ' 10', 'caf%25C3%25A9' => 'caf%C3%A9' }->{$user} // $user }));
        my @got;
        while (1) {
            my $m = $ws->read_json;
            my $e = $m->{data}{event};
            last if $m->{type} ne 'event' || $e->{entity_id} eq 'end';
            push @got, $e->{entity_id};
        }
        is("@got", $gets{$user}, "user=$user");
    }

    my $ws = open_at('/class/ws');
    $ws->ask('{"type":"subscribe","filter":{}}');
    publish((map { order($_->[0] => { class => $_->[1] }) }
        [ plain => 'secret' ], [ list => ['secret'] ], [ obj => { a => 1 } ],
        [ open => 'open' ]), order(end => { class => 'x' }));
    my @got = map { $ws->read_json->{data}{event}{entity_id} } 1 .. 2;
    is("@got", 'open end', 'neq is not met by a list that holds it');
};


subtest 'a value that is empty lets nobody in' => sub {
    for my $path ('/own/ws', '/own/ws?user=', '/two/ws?regions=,',
                  '/nested/ws?user=')
    {
        my $ws  = WSBus::Raw->new($port);
        my $res = $ws->handshake(path => $path);

        is($res->{status}, 403, $path);
    }

    my $ws = WSBus::Raw->new($port);
    is($ws->handshake(path => '/own/ws?user=' . '7' x 5000)->{status}, 403,
       'too long');

    $ws = WSBus::Raw->new($port);
    is($ws->handshake(path => '/two/ws?regions='
                              . join(',', 1 .. 257))->{status}, 403,
       'too many');

    like($nginx->error_log,
         qr{\[error\].*handshake refused by "ws_bus_restrict user eq": the value is empty, location: "/own/ws"},
         'the log says why and where');
    $nginx->allow(qr/handshake refused/);
};


subtest 'configurations' => sub {
    my %bad = (
        'ws_bus_restrict a is 1'       => qr/unknown operator/,
        'ws_bus_restrict a.. eq 1'     => qr/empty key/,
        'ws_bus_restrict a eq ""'      => qr/the value is empty/,
        'ws_bus_restrict a in "b, c"'  => qr/\[warn\] a space beside a comma in "b, c"/,
        'ws_bus_restrict a eq'         => qr/invalid number of arguments/,
        'ws_bus_restrict a like "b\\\\$arg_x%"' => qr/backslash in front of a variable/,
        join('; ', ('ws_bus_restrict a eq 1') x 17) => qr/more than 16/,
    );

    for my $line (sort keys %bad) {
        my (undef, $said) = WSBus::Nginx->test_config(
            http => WSBus::Nginx::minimal(http => "$line;"));
        like($said, $bad{$line}, substr $line, 0, 60);
    }
};

$nginx->finish;
done_testing;
