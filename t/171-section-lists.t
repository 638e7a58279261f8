# SPDX-License-Identifier: BSD-2-Clause
# Lists and details over the section protocol: what the backend is asked, what
# the client gets, and that it gets them anew when they have changed.

use strict;
use warnings;

use FindBin;
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
    my ($ws, %o) = @_;
    my $frame = $ws->read_frame(%o) or return '';
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

$nginx->stop('QUIT');
done_testing;
