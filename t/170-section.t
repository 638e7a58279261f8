# SPDX-License-Identifier: BSD-2-Clause
# The section protocol with the tables of conf.example/section-mesaya.conf: who
# may connect, in which order that is looked at, what is told of events and to
# whom, and that no token gets into a log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json true false);
use Test::More;

use WSBus::Client;
use WSBus::Example;
use WSBus::JWT;
use WSBus::Nginx;
use WSBus::Raw;

my $key   = WSBus::JWT->key('oct');
my $other = WSBus::JWT->key('oct');
my $nginx = WSBus::Example::nginx('section-mesaya.conf', workers => 2);

$nginx->write_file('jwt.key', $key->pem);
$nginx->start;

my $c = WSBus::Client->new($nginx, port => 1);

my @seen;       # all tokens: none may be in a log

sub token {
    my ($claims, $k) = @_;
    my $token = ($k // $key)->token('HS256', { sub => 'u-1', sid => 's-1',
                                               roles => ['USER'], %$claims });
    push @seen, $token;
    return $token;
}

my $user  = token({});
my $owner = token({ roles => ['Owner'] });
my $admin = token({ roles => [ 'x', 'admin' ] });

# the status and the body of a handshake

sub refused {
    my ($path, @headers) = @_;
    my $res = WSBus::Raw->new($nginx->port)
                        ->handshake(path => $path, headers => \@headers);
    return "$res->{status} $res->{body}";
}

# a connection, and its first message

sub open_ws {
    my ($path, @headers) = @_;
    my $ws  = WSBus::Raw->new($nginx->port);
    my $res = $ws->handshake(path => $path, headers => \@headers);
    is($res->{status}, 101, 'it is open') or diag("$path: $res->{body}");
    return ($ws, text($ws));
}

sub text {
    my ($ws) = @_;
    my $frame = $ws->read_frame or return '';
    (my $text = $frame->{payload}) =~ s/"timestamp":"[^"]{20,24}"\}\z/NOW}/
        or diag("no timestamp: $frame->{payload}");
    return $text;
}

# nothing more has come when the pong is there

sub silent {
    my ($ws, $what) = @_;
    $ws->send_text('{"action":"ping"}');
    return is(text($ws), '{"topic":"system.pong","entity":"system",'
              . '"action":"pong",NOW}', $what);
}

sub publish {
    my ($event, $topic) = @_;
    my ($status, $json) = $c->publish($event,
        path => '/publish' . ($topic ? "/$topic" : ''));
    is($status, 200, 'published') or diag(encode_json($json // {}));
    return $json->{published};
}

subtest 'refusals, in their order' => sub {
    my $m = sub { qq({"message":"$_[0]"}) };

    is(refused('/ws/nothing'), '404 ' . $m->('entity nothing is not integrated'),
       'an unknown entity comes before a missing section');
    is(refused('/ws/%20Nothing%20/x/y'),
       '404 ' . $m->('entity nothing is not integrated'),
       'and before a bad token; it is trimmed and in small letters');
    is(refused("/ws/$_"), '400 ' . $m->('missing section'),
       "no section: $_") for 'tables', 'tables/', 'tables/%20/', "tables//$user";
    is(refused('/ws/tables/main'), '400 ' . $m->('missing token'), 'no token');
    is(WSBus::Raw->new($nginx->port)->handshake(path => '/ws/tables/main')
                  ->{headers}{'www-authenticate'}, undef,
       'and that is not a 401');
    is(refused('/ws/tables/main/'), '400 ' . $m->('missing token'),
       'an empty one');
    is(refused('/ws/tables/main?token='), '400 ' . $m->('missing token'),
       'an empty argument');
    is(refused('/ws/users/main'), '400 ' . $m->('missing token'),
       'which comes before the role');
    is(refused('/ws/tables/main', Authorization => 'Basic x'),
       '400 ' . $m->('missing token'), 'another scheme is none');

    my $now = time;

    my %bad = (
        'no token'        => 'x',
        'another key'     => token({}, $other),
        'expired'         => token({ exp => $now - 1 }),
        'not yet'         => token({ nbf => $now + 60 }),
        'no sub'          => token({ sub => undef }),
        'an empty sub'    => token({ sub => '' }),
        'another alg'     => $key->compact('HS512',
            { alg => 'HS512', typ => 'JWT' }, { sub => 'u-1' }),
        'no alg'          => WSBus::JWT::b64('{"alg":"none"}') . '.'
            . WSBus::JWT::b64('{"sub":"u-1","roles":["ADMIN"]}') . '.',
    );

    push @seen, grep { length > 8 } values %bad;

    is(refused("/ws/tables/main/$bad{$_}"), '401 ' . $m->('invalid token'),
       "401: $_") for sort keys %bad;

    is(refused("/ws/users/main/$bad{expired}"), '401 ' . $m->('invalid token'),
       'it comes before the role');

    is(refused("/ws/tables/main/" . token({ roles => [ 'x:USER', 'XUSER' ] })),
       '403 ' . $m->('forbidden'), 'a role is the whole of a word');

    my $none = token({ roles => undef });

    for (qw(section-objects payments subscriptions)) {
        is(refused("/ws/$_/main/$user"), '403 ' . $m->('forbidden'),
           "$_ are not for users");
        like(refused("/ws/$_/main/$owner"), qr/^101 /, 'but for owners');
        like(refused("/ws/$_/main/$admin"), qr/^101 /, 'and admins');
    }

    for (qw(users owner-upgrades)) {
        is(refused("/ws/$_/main/$user"), '403 ' . $m->('forbidden'),
           "$_ are not for users");
        is(refused("/ws/$_/main/$owner"), '403 ' . $m->('forbidden'),
           'nor for owners');
        like(refused("/ws/$_/main/$admin"), qr/^101 /, 'but for admins');
    }

    is(refused("/ws/tables/main/$none"), '403 ' . $m->('forbidden'),
       'without roles nobody comes where there is a policy');
    like(refused("/ws/subscription-plans/main/$none"), qr/^101 /,
         'elsewhere a token is enough');

    my @plain = (Upgrade => undef, Connection => 'close');
    my $res = WSBus::Raw->new($nginx->port)->handshake(
        path => "/ws/tables/main/$user", headers => [@plain]);
    is($res->{status}, 400, 'what is no handshake comes last');

    $res = WSBus::Raw->new($nginx->port)->handshake(
        path => '/ws/tables/main', headers => [@plain]);
    is($res->{body}, $m->('missing token'),
       'and all else is looked at without one');

    $res = WSBus::Raw->new($nginx->port)->handshake(
        method => 'POST', path => "/ws/tables/main/$user");
    is($res->{status}, 405, 'a POST is not allowed');
};

subtest 'where a token is found' => sub {
    my @bad = (Authorization => 'Bearer x');

    for ([ "/ws/tables/main/$user?token=x", @bad ],
         [ "/ws/tables/main?token=$user", @bad ],
         [ "/ws/tables/main/?token=$user" ],
         [ "/ws/tables/main/%20$user%20" ],
         [ '/ws/tables/main', Authorization => "Bearer $user" ],
         [ '/ws/tables/main', Authorization => "bEARER  $user " ])
    {
        like(refused(@$_), qr/^101 /, $_->[0] =~ s/\Q$user/TOKEN/r);
    }

    is(refused("/ws/tables/main/x?token=$user"),
       '401 {"message":"invalid token"}', 'the first that is not empty wins');
};

subtest 'system.connected' => sub {
    my $topics = sub {
        my ($entity) = @_;
        return join ',', map { qq("$entity.$_") }
            qw(snapshot list detail error created updated deleted
               status_changed user_signed_up user_logged_in roles_updated
               permissions_updated);
    };

    my (undef, $first) = open_ws("/ws/tables/main-hall/$user");

    is($first, '{"topic":"system.connected","entity":"system","action":'
       . '"connected","data":{"entity":"tables","sectionId":"main-hall",'
       . '"allowedTopics":[' . $topics->('tables') . '],"roles":["USER"]},'
       . '"metadata":{"sectionId":"main-hall","sessionId":"s-1","userId":'
       . '"u-1"},NOW}', 'word by word');

    my $exp = time + 1000;
    my %session = (
        's-9'      => { sid => 's-9', jti => 'j-9' },
        'j-9'      => { sid => undef, jti => 'j-9' },
        "u-1:$exp" => { sid => undef, exp => $exp },
        'u-1'      => { sid => undef, exp => undef },
    );

    for (sort keys %session) {
        (undef, $first) = open_ws("/ws/tables/h%20%22/" . token($session{$_}));
        is(decode_json($first =~ s/,NOW\}$/}/r)->{metadata}{sessionId}, $_,
           "the session $_");
        is(decode_json($first =~ s/,NOW\}$/}/r)->{data}{sectionId}, 'h "',
           'a section is decoded');
    }
};

subtest 'entities by all their names' => sub {
    my %is = (
        restaurants          => [qw(restaurant restaurants RESTAURANT)],
        tables               => [qw(table tables)],
        reservations         => [qw(reservation reservations)],
        reviews              => [qw(review reviews)],
        sections             => [qw(sections)],
        objects              => [qw(object objects)],
        menus                => [qw(menu menus)],
        dishes               => [qw(dish dishes)],
        images               => [qw(image images)],
        payments             => [qw(payment payments)],
        subscriptions        => [qw(subscription subscriptions)],
        'section-objects'    => [qw(section-object section-objects
            section_object section_objects sectionobject sectionobjects)],
        'subscription-plans' => [qw(subscription-plan subscription-plans
            subscription_plan subscription_plans subscriptionplan
            subscriptionplans)],
        users                => [qw(user users auth auth-user auth-users
            auth_user auth_users authuser authusers owner owners)],
        'owner-upgrades'     => [qw(owner-upgrade owner-upgrades
            owner_upgrade owner_upgrades ownerupgrade ownerupgrades)],
    );

    push @{ $is{restaurants} }, '', '-', 'default', 'section', '%20';

    for my $entity (sort keys %is) {
        for my $name (@{ $is{$entity} }) {
            my (undef, $first) = open_ws("/ws/$name/main/$admin");
            like($first, qr/"data":\{"entity":"\Q$entity\E",/,
                 "'$name' is $entity");
        }
    }
};

subtest 'events' => sub {
    my ($ws) = open_ws("/ws/restaurants/main-hall/$user");
    my ($tables) = open_ws("/ws/tables/main-hall/$user");

    publish({ event_type => 'created', entity_id => 'r-1' },
            'mesa-ya.restaurants.events');
    is(text($ws), '{"topic":"restaurants.created","entity":"restaurants",'
       . '"action":"created","resourceId":"r-1",NOW}', 'the least');

    publish('{"event_type":"UPDATED","entity_id":"r-1","timestamp":'
            . '"2026-01-02T03:04:05.678Z","data":{"n":12345678901234567890,'
            . '"f":1.0 },"metadata":{"sectionId":"main-hall","x":"1"}}',
            'mesa-ya.restaurants.events');
    is($ws->read_frame->{payload}, '{"topic":"restaurants.updated","entity":'
       . '"restaurants","action":"updated","resourceId":"r-1","data":{"n":'
       . '12345678901234567890,"f":1.0 },"metadata":{"sectionId":"main-hall",'
       . '"x":"1"},"timestamp":"2026-01-02T03:04:05.678Z"}', 'all of it');

    my $hears = sub {
        my ($event, $topic, $what) = @_;
        publish($event, $topic);
        like(text($ws), qr/"topic":"restaurants\.deleted".*"resourceId":"7"/,
             $what);
    };

    $hears->({ action => 'deleted', resourceId => '7',
               entity => 'Restaurant' }, undef, 'older names, an alias');
    $hears->({ event_type => 'deleted', action => 'x', entity_id => 7,
               resourceId => 'x', entity_subtype => 'restaurant' },
             'mesa-ya.menus.events', 'a subtype');
    $hears->({ entity_id => '7', topic => 'restaurant.deleted' }, undef,
             'a topic of two parts');
    $hears->({ event_type => 'deleted', entity_id => '7',
               topic => 'mesa-ya.restaurants.events' }, undef,
             'one of three');
    $hears->({ event_type => 'deleted', entity_type => 'restaurant',
               entity_id => '7' }, undef, 'any other event, with its alias');
    $hears->([ { event_type => 'deleted', entity => 'dish', entity_id => '1' },
               { event_type => 'deleted', entity => 'restaurant',
                 entity_id => '7' } ], undef,
             'each event of a batch by its own name');

    is(publish({ event_type => 'moved', entity => 'restaurants',
                 entity_id => '1' }), 0, 'other actions are dropped');
    is(publish([ { event_type => 'moved', entity => 'restaurants' },
                 { event_type => 'deleted', entity => 'restaurants',
                   entity_id => '7' }, { entity => 'restaurants' } ]), 1,
       'and what remains is published');
    like(text($ws), qr/"resourceId":"7"/, 'and heard');

    publish({ event_type => 'status_changed', entity_id => '1' },
            'mesa-ya.owner-upgrade.events');

    silent($ws, 'nothing of other entities is heard');
    silent($tables, 'nor of these by others');

    for ([ { event_type => 'created', entity_id => '1' }, 422,
           'entity is missing' ],
         [ { event_type => 'created', entity => 'x', metadata => { a => 1 } },
           422, 'strings' ],
         [ { event_type => 'created', entity => 'x', metadata => [] }, 422,
           'object' ],
         [ '{"entity":"x","event_type":"created","event_type":"deleted"}', 400,
           'repeated' ],
         [ '{"entity":"x","entity":"y"}', 400, 'repeated' ],
         [ '{"entity":"x","event_type":"created","metadata":{"userId":"a",'
           . '"userId":"b"}}', 422, 'twice' ])
    {
        my ($status, $json) = $c->publish($_->[0]);
        is($status, $_->[1], "refused: $_->[2]");
        like($json->{detail} // '', qr/$_->[2]/, 'for that');
    }
};

subtest 'who is told' => sub {
    my %ws;

    for (qw(a:main:u-1:s-1 b:main:u-1:s-2 c:main:u-2:s-3 d:roof:u-1:s-4)) {
        my ($name, $section, $sub, $sid) = split /:/;
        ($ws{$name}) = open_ws("/ws/tables/$section/"
                               . token({ sub => $sub, sid => $sid }));
    }

    my $n = 0;
    my $is = sub {
        my ($whom, %metadata) = @_;
        $n++;
        publish({ event_type => 'updated', entity => 'table',
                  entity_id => "t-$n", metadata => \%metadata });
        publish({ event_type => 'created', entity => 'table',
                  entity_id => 'end' });
        my $heard = '';
        for my $name (sort keys %ws) {
            my $text = text($ws{$name});
            next if $text =~ /"resourceId":"end"/;
            $heard .= $name if $text =~ /"resourceId":"t-$n"/;
            like(text($ws{$name}), qr/"resourceId":"end"/, 'once');
        }
        is($heard, $whom, join ' ', 'for', %metadata);
    };

    $is->('abcd');
    $is->('abcd', other => 'x');
    $is->('abc', sectionId => 'main');
    $is->('d', sectionId => 'roof');
    $is->('', sectionId => 'nowhere');
    $is->('abd', userId => 'u-1');
    $is->('ab', userId => 'u-1', sectionId => 'main');
    $is->('b', sessionId => 's-2');
    $is->('a', userId => 'u-1', sectionId => 'main', sessionId => 's-1');
    $is->('', userId => 'u-2', sessionId => 's-1');
    $is->('abcd', sectionId => '', userId => '');

    publish({ event_type => 'deleted', entity => 'table', entity_id => 't-1',
              metadata => { userId => 'u-2' } });
    like(text($ws{c}), qr/"tables\.deleted"/, 'a deletion is told to one');
    silent($ws{$_}, "and not to $_") for qw(a b d);
};

subtest 'topics' => sub {
    my ($ws) = open_ws("/ws/tables/main/$user");
    my $say = sub { $ws->send_text(qq({"action":"$_[0]","topic":"$_[1]"})) };
    my $n = 0;

    my $hears = sub {
        my ($yes, $entity, $action, $what) = @_;
        $n++;
        silent($ws, 'no answer');
        my ($status) = $c->publish(
            { event_type => $action, entity => $entity, entity_id => "x-$n" });
        return silent($ws, $what) if !$yes;
        like(text($ws), qr/"topic":"$entity\.$action".*"x-$n"/, $what);
        return silent($ws, 'once');
    };

    $hears->(1, 'tables', 'updated', 'by itself');
    $say->('unsubscribe', 'tables.updated');
    $hears->(0, 'tables', 'updated', 'unsubscribed');
    $hears->(1, 'tables', 'created', 'but of that alone');
    $say->('unsubscribe', 'tables.updated');
    $hears->(0, 'tables', 'updated', 'twice');
    $say->('subscribe', 'tables.updated') for 1 .. 2;
    $hears->(1, 'tables', 'updated', 'and subscribed again');

    $hears->(0, 'menus', 'updated', 'not of another entity');
    $say->('subscribe', 'menus.updated') for 1 .. 3;
    $hears->(1, 'menus', 'updated', 'unless it is subscribed');
    $hears->(0, 'menus', 'created', 'and of that alone');
    $say->('unsubscribe', 'menus.updated');
    $hears->(0, 'menus', 'updated', 'until it is not any more');

    $say->('subscribe', 'payments.updated');
    $hears->(0, 'payments', 'updated', 'what the role forbids is not heard');
    $say->('subscribe', $_) for 'nothing', 'x.y', '', '.', 'system.pong';
    silent($ws, 'topics of nothing do no harm');
    $ws->send_text('{"action":"subscribe"}');
    silent($ws, 'nor does none');
};

subtest 'mistakes' => sub {
    my ($ws) = open_ws("/ws/tables/main/$user");

    my $error = sub {
        my ($action, $reason) = @_;
        return '{"topic":"tables.error","entity":"tables","action":"error",'
               . qq("resourceId":"main","data":{"error":"$reason"},)
               . qq("metadata":{"action":"$action","reason":"$reason",)
               . '"sectionId":"main"},NOW}';
    };

    for ('{', '[]', '"x"', '', '{"action":1}') {
        $ws->send_text($_);
        is(text($ws), $error->('unknown', 'invalid message'),
           "'$_' is answered, and the socket stays");
    }

    for ('{}', '{"action":""}', '{"action":"nothing"}',
         '{"action":"list_restaurants"}')
    {
        $ws->send_text($_);
        is(text($ws), $error->('unknown', 'unsupported action'), $_);
    }

    $ws->send_text('{"action":"get_table"}');
    is(text($ws), $error->('detail', 'invalid payload'), 'a detail of nothing');

    $ws->send_frame(WSBus::Raw::BINARY(), 'x');
    is(text($ws), $error->('unknown', 'Binary messages are not accepted'),
       'a binary message');

    my ($second) = open_ws("/ws/tables/main/$user");
    silent($second, 'a second connection of the same session');
    silent($ws, 'does not take the place of the first');
};

my $log = $nginx->error_log . WSBus::Nginx::slurp($nginx->file('section.log'))
          . WSBus::Nginx::slurp($nginx->file('access.log'));

cmp_ok(scalar @seen, '>', 10, 'tokens were used');
is(scalar(grep { index(lc $log, lc substr $_, 0, 40) >= 0 } @seen), 0,
   'and none of them, nor a part, is in a log');
like($log, qr{"GET /ws/tables/main" 101 u-1}, 'but who came is');

$nginx->stop('QUIT');
done_testing;
