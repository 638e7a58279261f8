# SPDX-License-Identifier: BSD-2-Clause
# Lists and details over the section protocol: what the backend is asked, what
# the client gets, and that it gets them anew when they have changed.

use strict;
use warnings;

use FindBin;
use IO::Select;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json true false);
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::Client;
use WSBus::Example;
use WSBus::JWT;
use WSBus::Nginx;
use WSBus::Raw;
use WSBus::Sections;

my $key     = WSBus::JWT->key('oct');
my $backend = WSBus::Sections->start;
my $nginx   = WSBus::Example::nginx('section-mesaya.conf', workers => 1,
    change => sub {
        s/server 127\.0\.0\.1:3000;/'server 127.0.0.1:' . $backend->port . ';'/e;
    });

$nginx->write_file('jwt.key', $key->pem);
$nginx->start;

my $c   = WSBus::Client->new($nginx, port => 1);
my $api = WSBus::Client->new($nginx);

sub token {
    my (%claims) = @_;
    return $key->token('HS256', { sub => 'u-1', sid => 's-1',
                                  roles => ['USER'], %claims });
}

my $user = token();

sub open_ws {
    my ($path, @headers) = @_;
    my $ws  = WSBus::Raw->new($nginx->port);
    my $res = $ws->handshake(path => $path, headers => \@headers);
    is($res->{status}, 101, 'it is open') or diag("$path: $res->{body}");
    like(text($ws), qr/system\.connected/, 'and greeted');
    return $ws;
}

sub text {
    my ($ws, $timeout) = @_;
    my $frame = $ws->read_frame($timeout) or return '';
    (my $text = $frame->{payload}) =~ s/"timestamp":"[^"]{20,24}"\}\z/NOW}/
        or diag("no timestamp: $frame->{payload}");
    return $text;
}

sub silent {
    my ($ws, $what) = @_;
    $ws->send_text('{"action":"ping"}');
    return like(text($ws), qr/system\.pong/, $what);
}

sub publish {
    my ($event) = @_;
    my ($status, $json) = $c->publish($event);
    return is($status, 200, 'published') || diag(encode_json($json // {}));
}

# of the backend itself

sub backend {
    my ($method, $path, $body) = @_;
    my $tx = $c->ua->build_tx($method => 'http://127.0.0.1:' . $backend->port
                              . $path => $body // '');
    my $done;
    $c->ua->start($tx => sub { $done = 1 });
    WSBus::Client::run_until(sub { $done });
    return $tx->res->body;
}

sub asked { return @{ decode_json(backend(GET => '/asked')) } }

sub metadata {
    my (%more) = @_;
    my %all = (origin => 'request', sectionId => 'main', %more);
    return '{' . join(',', map { qq("$_":"$all{$_}") } sort keys %all) . '}';
}


subtest 'every command' => sub {
    my %plural = (
        restaurants => 'restaurant', tables => 'table',
        reservations => 'reservation', reviews => 'review',
        sections => 'section', objects => 'object', menus => 'menu',
        dishes => 'dish', images => 'image', payments => 'payment',
        subscriptions => 'subscription',
        'section-objects' => 'section_object',
        'subscription-plans' => 'subscription_plan', users => 'user',
        'owner-upgrades' => 'owner_upgrade',
    );
    my %key = (sections => 'resourceSectionId', dishes => 'dishId',
               'section-objects' => 'sectionObjectId',
               'subscription-plans' => 'subscriptionPlanId',
               'owner-upgrades' => 'restaurantId');

    my $admin = token(roles => ['ADMIN']);

    for my $entity (sort keys %plural) {
        my $ws   = open_ws("/ws/$entity/main/$admin");
        my $id   = $key{$entity} // "$plural{$entity}Id";
        my $list = 'list_' . $entity =~ tr/-/_/r;

        for ($list, 'list', 'fetch_all', uc $list) {
            $ws->send_text(qq({"action":"$_"}));
            is(text($ws), qq({"topic":"$entity.list","entity":"$entity",)
               . '"action":"list","resourceId":"main","data":'
               . encode_json({ accept =>
                       'application/json, application/problem+json',
                     asked => "/api/v1/$entity?page=1&limit=20",
                     authorization => "Bearer $admin", changes => 0 })
               . ',"metadata":' . metadata(page => 1, limit => 20)
               . ',NOW}', $_);
        }

        for ("get_$plural{$entity}", 'detail', 'fetch_one') {
            $ws->send_text(qq({"action":"$_","payload":{"id":" 7 "}}));
            like(text($ws), qr/\A\{"topic":"$entity\.detail","entity":
                 "$entity","action":"detail","resourceId":"7","data":\{.*
                 "asked":"\\?\/api\\?\/v1\\?\/$entity\\?\/7".*\},"metadata":
                 \Q@{[metadata($id => 7)]}\E,NOW\}\z/x, $_);
        }
    }

    asked();
};

subtest 'what is asked' => sub {
    my $ws = open_ws("/ws/tables/main/$user");

    $ws->send_text('{"action":"list","payload":{"page":2,"limit":500,'
                   . '"search":" a/b&c ","sortBy":"name","sortOrder":"desc",'
                   . '"filters":{"Zone":"in","b":" 1 "}}}');
    like(text($ws), qr/"metadata":\{"b":"1","limit":"100","origin":"request",
         "page":"2","search":"a\/b&c","sectionId":"main","sortBy":"name",
         "sortOrder":"DESC","zone":"in"\},NOW/x, 'as it was understood');
    is(join(' ', asked()), '/api/v1/tables?page=2&limit=100&q=a%2Fb%26c'
       . '&sortBy=name&sortOrder=DESC&b=1&zone=in', 'the query');

    my $owner = token(roles => ['OWNER']);
    my %asks = (
        restaurants      => '/api/v1/restaurants/me?',
        reservations     => '/api/v1/reservations?restaurantId=m%20%26x&',
        sections         => '/api/v1/sections?restaurantId=m%20%26x&',
        payments         => '/api/v1/payments?restaurantId=m%20%26x&',
        subscriptions    => '/api/v1/subscriptions?restaurantId=m%20%26x&',
        menus            => '/api/v1/menus?',
    );

    for (sort keys %asks) {
        my $own = open_ws("/ws/$_/m%20%26x/$owner");
        $own->send_text('{"action":"list"}');
        like(text($own), qr/"action":"list"/, "the list of $_ for an owner");
        is(join(' ', asked()), "$asks{$_}page=1&limit=20", 'asks for this');
        $own->send_text('{"action":"detail","payload":{"id":"7"}}');
        text($own);
        is(join(' ', asked()), "/api/v1/$_/7", 'a detail is asked as always');
    }

    my $own = open_ws("/ws/tables/main/$owner");
    $own->send_text('{"action":"list"}');
    text($own);
    is(join(' ', asked()), '/api/v1/tables/section/main?page=1&limit=20',
       'tables of a section');

    for ([ "/ws/tables/main?token=$user" ],
         [ '/ws/tables/main', Authorization => "bearer $user" ],
         [ "/ws/tables/main/$user", Authorization => 'Basic eHg=' ])
    {
        my $other = open_ws(@$_);
        $other->send_text('{"action":"list"}');
        like(text($other), qr/"authorization":"Bearer \Q$user\E"/,
             'the backend gets the token, wherever it was');
    }
    asked();
};

subtest 'answers' => sub {
    my $ws = open_ws("/ws/tables/main/$user");

    my $get = sub {
        my ($id) = @_;
        $ws->send_text(encode_json({ action => 'get_table',
                                     payload => { id => $id } }));
        return text($ws);
    };

    my $error = sub {
        my ($reason) = @_;
        return '{"topic":"tables.error","entity":"tables","action":"error",'
               . qq("resourceId":"main","data":{"error":"$reason"},)
               . qq("metadata":{"action":"detail","reason":"$reason",)
               . '"sectionId":"main"},NOW}';
    };

    is($get->('verbatim'), '{"topic":"tables.detail","entity":"tables",'
       . '"action":"detail","resourceId":"verbatim","data":'
       . '[1.0,12345678901234567890],"metadata":'
       . metadata(tableId => 'verbatim') . ',NOW}', 'bytes are as they were');
    is($get->('none'), '{"topic":"tables.detail","entity":"tables",'
       . '"action":"detail","resourceId":"none","metadata":'
       . metadata(tableId => 'none') . ',NOW}', 'null is left out');
    is($get->('status-404'), $error->('section snapshot not found'), 'not found');
    is($get->("status-$_"), $error->('section snapshot forbidden'), "a $_")
        for 401, 403;
    is($get->('status-500'), $error->('the backend has failed'), 'a failure');
    is($get->('html'), $error->("the backend's answer is no JSON"), 'no JSON');
    like($get->('a/b'), qr/"tables\.error".*"action":"detail"/,
         'an id that cannot be carried');
    is($get->("\0"), $error->('invalid payload'), 'and one that is none');

    is(scalar(grep { !m{/tables/(?:verbatim|none|html|status-\d+)\z} } asked()),
       0, 'are not asked for');

    $ws->send_text(qq({"action":"detail","payload":{"id":"late-$_"}}))
        for 300, 1;
    like(text($ws), qr/"late-1"/, 'answers come when they are there');
    like(text($ws), qr/"late-300"/, 'in any order');

    my $users = open_ws("/ws/restaurants/main/$user");
    $users->send_text('{"action":"list"}');
    like(text($users), qr/"restaurants\.list"/, 'another entity');
    asked();
};

# what a client gets until the code is content: the messages
sub hear_until {
    my ($ws, $code, $for) = @_;
    my @got;
    my $end = time + ($for // WSBus::Nginx::patience(5));
    while (time < $end) {
        my $text = text($ws, 1) or next;
        push @got, $text;
        last if $code->($text);
    }
    return @got;
}

sub changes { return ($_[0] =~ /"changes":(\d+)/)[0] }

# the backend has changed, and says so

sub change {
    my ($entity, %metadata) = @_;
    my $n = backend(POST => '/change');
    my ($status) = $c->publish({ event_type => 'updated', entity => $entity,
                                 entity_id => "n-$n", metadata => \%metadata });
    die "not published: $status\n" if $status != 200;
    return $n;
}

subtest 'refresh' => sub {
    my $ws   = open_ws("/ws/tables/main/$user");
    my $same = open_ws("/ws/tables/main/$user");
    my $roof = open_ws("/ws/tables/roof/$user");
    my $none = open_ws("/ws/tables/main/$user");
    my $menu = open_ws("/ws/menus/main/$user");

    for ($ws, $same, $roof, $menu) {
        $_->send_text('{"action":"list"}');
        like(text($_), qr/"origin":"request"/, 'a list');
    }
    $ws->send_text('{"action":"detail","payload":{"id":"7"}}');
    like(text($ws), qr/"tables\.detail"/, 'and a detail');
    asked();

    my $began = time;
    my $n = change('tables', sectionId => 'main');

    for ($ws, $same) {
        like(text($_), qr/"tables\.updated"/, 'the event comes first');
    }

    my @got = map { text($ws) } 1, 2;

    is(join(' ', sort map { /"topic":"([^"]+)"/ } @got),
       'tables.detail tables.list', 'then what was read before');
    is(scalar(grep { /"origin":"refresh"/ && changes($_) == $n } @got), 2,
       'as it is now');
    like(text($same), qr/\A\{"topic":"tables\.list","entity":"tables","action":
         "list","resourceId":"main","data":\{.*"changes":$n\},"metadata":
         \{"limit":"20","origin":"refresh","page":"1","sectionId":"main"\},
         NOW\}\z/x, 'for all who have');
    is(join(' ', sort(asked())), '/api/v1/tables/7 /api/v1/tables?page=1'
       . '&limit=20', 'by one call for equal questions');

    like(text($none), qr/"tables\.updated"/, 'who has not asked');
    silent($none, 'gets no list');
    silent($_, 'nor does anybody elsewhere') for $roof, $menu;

    change('tables');
    for ($ws, $same, $roof) {
        my @all = hear_until($_, sub { $_[0] =~ /"tables.list"/ });
        like($all[-1], qr/"origin":"refresh"/,
             'an event without a section is of all of them');
    }
    hear_until($ws, sub { $_[0] =~ /"tables.detail"/ }, 0.5);

    $same->send_text('{"action":"unsubscribe","topic":"tables.list"}');
    change('tables', sectionId => 'main');
    hear_until($ws, sub { $_[0] =~ /"tables.list"/ });
    like(text($same), qr/"tables\.updated"/, 'who hears no lists any more');
    silent($same, 'gets none');

    $same->send_text('{"action":"list"}');
    like(text($same), qr/"origin":"request"/, 'but those it asks for');
    $same->send_text('{"action":"subscribe","topic":"tables.list"}');
    change('tables', sectionId => 'main');
    my @all = hear_until($same, sub { $_[0] =~ /"tables.list"/ });
    like($all[-1], qr/"origin":"refresh"/, 'until it hears them again');
    asked();
};

subtest 'whose answer it is' => sub {
    my $one = open_ws("/ws/tables/own/$user");
    my $two = open_ws('/ws/tables/own/' . token(sub => 'u-2'));

    for ($one, $two) {
        $_->send_text('{"action":"list"}');
        text($_);
    }

    change('tables', sectionId => 'own');

    my @one = hear_until($one, sub { $_[0] =~ /"refresh"/ });
    my @two = hear_until($two, sub { $_[0] =~ /"refresh"/ });

    my ($a) = $one[-1] =~ /"authorization":"Bearer ([^"]+)"/;
    my ($b) = $two[-1] =~ /"authorization":"Bearer ([^"]+)"/;

    is($a, $user, 'each is asked with a token of its own');
    isnt($b, $user, 'and answered to who has that');

    # who has asked in the name of all goes away

    my @all = map { open_ws("/ws/tables/gone/$user") } 1 .. 3;
    for (@all) {
        $_->send_text('{"action":"list"}');
        text($_);
    }
    backend(POST => '/wait', '300');
    change('tables', sectionId => 'gone');
    WSBus::Nginx::await(sub { grep { /tables/ } asked() });
    $all[0]->close;
    backend(POST => '/wait', '0');
    my @got = hear_until($all[2], sub { $_[0] =~ /"refresh"/ });
    like($got[-1], qr/"refresh"/, 'the others are served all the same');
    asked();
};

subtest 'often, and never too old' => sub {
    my @ws = map { open_ws("/ws/tables/busy/$user") } 1 .. 4;
    my %newest;

    for (@ws) {
        $_->send_text('{"action":"list"}');
        text($_);
    }

    asked();
    backend(POST => '/wait', '40');

    my ($began, $n, $old, $lists) = (time, 0, 0, 0);

    # an event in each call: without more ado none would ever be in time

    while (time - $began < 4) {
        $n = change('tables', sectionId => 'busy');

        for my $i (0 .. $#ws) {
            while ($ws[$i]->{in} ne '' || IO::Select->new(
                       $ws[$i]->sock)->can_read(0))
            {
                my $text = text($ws[$i]) or last;
                if ($text =~ /"resourceId":"n-(\d+)"/) {
                    $newest{$i} = $1;
                } elsif ($text =~ /"refresh"/) {
                    $lists++;
                    $old++ if changes($text) < ($newest{$i} // 0);
                }
            }
        }
    }

    my $calls = grep { /tables/ } asked();

    is($old, 0, 'no list is older than an event before it');
    cmp_ok($lists, '>=', 4, 'there are lists all the same');
    cmp_ok($calls, '<=', int(time - $began) + 2, 'one call a second');
    cmp_ok($calls, '>=', 2, 'and not none');

    backend(POST => '/wait', '0');

    for my $i (0 .. $#ws) {
        my $last = 0;
        hear_until($ws[$i], sub {
            $newest{$i} = $1 if $_[0] =~ /"resourceId":"n-(\d+)"/;
            $last = changes($_[0]) if $_[0] =~ /"refresh"/;
            $last == $n && $newest{$i} == $n });
        is($last, $n, 'at the end each has the last list');
        is($newest{$i}, $n, 'and all events');
    }
    asked();
};

subtest 'failures' => sub {
    my $ws = open_ws("/ws/tables/fail/$user");

    $ws->send_text('{"action":"detail","payload":{"id":"status-404"}}');
    like(text($ws), qr/not found/, 'what is not there');
    asked();
    change('tables', sectionId => 'fail');
    like(text($ws), qr/"tables\.updated"/, 'an event');

    # as long as another one takes, that is

    my $other = open_ws("/ws/tables/fail/$user");
    $other->send_text('{"action":"detail","payload":{"id":"7"}}');
    hear_until($other, sub { $_[0] =~ /"detail"|\.detail/ });
    change('tables', sectionId => 'fail');
    hear_until($other, sub { $_[0] =~ /"refresh"/ });
    text($ws);
    silent($ws, 'is not asked for again');
    is(scalar(grep { /status-404/ } asked()), 0, 'at all');
};

$nginx->stop('QUIT');
done_testing;
