# SPDX-License-Identifier: BSD-2-Clause
# The section protocol where something else comes in: hooks at connect, events
# that are lost to a client, several workers, a reload, other protocols beside
# it, and configurations that cannot be meant.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::Client;
use WSBus::JWT;
use WSBus::Nginx;
use WSBus::Raw;
use WSBus::Sections;

my $key     = WSBus::JWT->key('oct');
my $backend = WSBus::Sections->start;

my $conf = do {
    my $api = $backend->port;
    <<"END";
    ws_bus_drain_window 500ms;
    ws_bus_zone zone=events:8m;
    ws_bus_zone zone=small:2m history=128k;
    log_format hooks '\$uri \$request_uri \$request_body';
    access_log %%PREFIX%%/hooks.log hooks;
    log_subrequest on;
    server {
        listen 127.0.0.1:%%PORT%%;
        ws_bus_protocol section;
        ws_bus_entity   \$entity;
        ws_bus_section  \$section;
        ws_bus_topics   created updated;
        ws_bus_jwt_key_file jwt.key alg=HS256;

        location ~ ^/ws/(?<entity>[^/]*)/(?<section>[^/]*)\$ {
            ws_bus events;
            ws_bus_backend /api/\$ws_bus_entity;
        }
        location ~ ^/small/(?<entity>[^/]*)/(?<section>[^/]*)\$ {
            ws_bus small;
            ws_bus_sndbuf 8k;
            ws_bus_backend /api/\$ws_bus_entity;
        }
        location ~ ^/close/(?<entity>[^/]*)/(?<section>[^/]*)\$ {
            ws_bus small;
            ws_bus_sndbuf 8k;
            ws_bus_on_gap close;
        }
        location ~ ^/hook/(?<entity>[^/]*)/(?<section>[^/]*)/(?<token>[^/]*)\$ {
            ws_bus events;
            ws_bus_jwt \$token;
            ws_bus_call_timeout 500ms;
            ws_bus_hook before_connect /hooks/\$ws_bus_section;
        }
        location ~ ^/hooks/status-(?<answer>\\d+)\$ {
            internal;
            proxy_pass http://127.0.0.1:$api/api/status-\$answer;
        }
        location = /hooks/late {
            internal;
            proxy_pass http://127.0.0.1:$api/api/late-5000;
        }
        location = /hooks/good { internal; try_files /none \@good; }
        location \@good { return 204; }
        location /api/ {
            internal;
            proxy_pass http://127.0.0.1:$api;
        }
        location = /bus    { ws_bus events; ws_bus_protocol bus; }
        location = /publish { ws_bus_publish events; }
        location = /publish/small { ws_bus_publish small; }
        location = /echo { ws_bus_echo; }
        location = /status { ws_bus_status; }
    }
END
};

my $nginx = WSBus::Nginx->new(workers => 2, http => $conf, own_log => 1);

$nginx->write_file('jwt.key', $key->pem);
$nginx->start;

my $c = WSBus::Client->new($nginx);

sub open_ws {
    my ($path, %o) = @_;
    my $ws  = WSBus::Raw->new($nginx->port);
    setsockopt $ws->sock, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} if $o{rcvbuf};
    my $res = $ws->handshake(path => $path);
    is($res->{status}, 101, 'it is open') or diag("$path: $res->{body}");
    is($ws->read_json->{topic}, 'system.connected', 'and greeted');
    return $ws;
}

sub next_of {
    my ($ws, $topic) = @_;
    while (my $m = $ws->read_json) {
        return $m if $m->{topic} eq $topic;
    }
    return { topic => 'none' };
}

sub publish {
    my ($path, @events) = @_;
    my ($status, $json) = $c->publish(\@events, path => $path);
    is($status, 200, 'published') or diag(encode_json($json // {}));
    return;
}

subtest 'a hook may refuse a connection' => sub {
    my $token = $key->token('HS256', { sub => 'u-1' });

    my %is = (
        'status-404' => '404 section not found',
        'status-403' => '403 forbidden',
        'status-401' => '401 invalid token',
        'status-500' => '500 unable to connect section',
        late         => '504 snapshot timeout',
    );

    for (sort keys %is) {
        my ($status, $text) = $is{$_} =~ /^(\d+) (.*)/;
        my $res = WSBus::Raw->new($nginx->port)
                            ->handshake(path => "/hook/tables/$_/$token");
        is("$res->{status} $res->{body}", qq($status {"message":"$text"}), $_);
    }

    my $ws = open_ws("/hook/tables/good/$token");
    $ws->close;

    WSBus::Nginx::await(sub { -s $nginx->file('hooks.log') });
    unlike(join('', grep { m{^/hooks} }
                    split /^/, WSBus::Nginx::slurp($nginx->file('hooks.log'))),
           qr/\Q$token/, 'no token is told to a hook in a URI');
};

# more than the history and all buffers of a socket hold

sub flood {
    my $big = 'x' x 10_000;
    for my $n (1 .. 100) {
        my ($status) = $c->publish([ map { { event_type => 'updated',
            entity => 'tables', entity_id => "t-$n-$_", data => $big } } 1 .. 6 ],
            path => '/publish/small');
        die "not published: $status\n" if $status != 200;
    }
    return;
}

subtest 'what is lost' => sub {
    my $ws = open_ws('/small/tables/main', rcvbuf => 4096);

    $ws->send_text('{"action":"list"}');
    is($ws->read_json->{metadata}{origin}, 'request', 'a list');

    flood();

    my ($gaps, $seen) = (0, 0);
    my $error;
    while (my $m = $ws->read_json) {
        last if !$m->{topic};
        $seen++ if $m->{topic} eq 'tables.updated';
        if ($m->{topic} eq 'tables.error') {
            $gaps++;
            $error = $m;
        }
        last if $gaps && $m->{topic} eq 'tables.list';
    }
    is($gaps, 1, 'it is told once that something is missing');
    is_deeply([ $error->{data}, $error->{metadata} ],
              [ { error => 'gap' },
                { action => 'gap', reason => 'gap', sectionId => 'main' } ],
              'in these words');
    cmp_ok($seen, '<', 800, 'and it is');

    my $closed = open_ws('/close/tables/main', rcvbuf => 4096);
    flood();
    my $frame;
    while ($frame = $closed->read_frame) {
        last if $frame->{opcode} == WSBus::Raw::CLOSE();
    }
    is(unpack('n', $frame->{payload} // ''), 1013, 'or is closed');
};

subtest 'two workers, many clients' => sub {
    my @ws = map { open_ws('/ws/tables/many') } 1 .. 40;
    $_->send_text('{"action":"list"}') for @ws;
    $_->read_json for @ws;
    backend_asked();

    publish('/publish', { event_type => 'updated', entity => 'tables',
                          entity_id => 't-1', metadata => { sectionId => 'many' } });
    for (@ws) {
        my ($event, $list) = ($_->read_json, $_->read_json);
        is("$event->{topic} $list->{topic} $list->{metadata}{origin}",
           'tables.updated tables.list refresh', 'the event, then the list');
    }
    my $calls = backend_asked();
    cmp_ok($calls, '>=', 1, 'it was asked');
    cmp_ok($calls, '<=', 2, 'once by each worker at most');

    my $status = $c->status;
    my ($zone) = grep { $_->{name} eq 'events' } @{ $status->{zones} };
    is($zone->{totals}{questions}, $calls, 'they are counted')
        or diag(encode_json($zone));
};

sub backend_asked {
    my $tx = $c->ua->build_tx(GET => 'http://127.0.0.1:' . $backend->port
                                     . '/asked');
    my $done;
    $c->ua->start($tx => sub { $done = 1 });
    WSBus::Client::run_until(sub { $done });
    return scalar @{ $tx->res->json };
}

subtest 'beside other protocols' => sub {
    my $bus = $c->open('/bus');
    $bus->subscribe({ entity_type => 'tables' });
    my $ws = open_ws('/ws/tables/main');

    publish('/publish', { event_type => 'updated', entity => 'tables',
                          entity_id => 't-9', metadata => { userId => 'u-9' } },
            { event_type => 'created', entity => 'tables' });

    my $m = $bus->wait_type('event');
    is($m->{data}{event}{entity_id}, 't-9',
       'a bus hears what is for one user here');
    is($ws->read_json->{topic}, 'tables.created', 'and others here do not');
    $m = $bus->wait_type('event');
    is($m->{data}{event}{action}, 'created', 'an event without an id');
};

subtest 'an echo in the same server' => sub {
    my $ws  = WSBus::Raw->new($nginx->port);
    is($ws->handshake(path => '/echo')->{status}, 101, 'it needs no section');
    $ws->send_text('hello');
    is($ws->read_frame->{payload}, 'hello', 'and no words');
};

subtest 'a reload' => sub {
    my $ws = open_ws('/ws/tables/main');
    $ws->send_text('{"action":"list"}');
    next_of($ws, 'tables.list');
    publish('/publish', { event_type => 'updated', entity => 'tables',
                          entity_id => 't-1' });
    $nginx->reload;
    my $frame;
    while ($frame = $ws->read_frame) {
        last if $frame->{opcode} == WSBus::Raw::CLOSE();
    }
    is(unpack('n', $frame->{payload} // ''), 1012, 'it ends with 1012');
    WSBus::Nginx::await(sub { !$nginx->draining_pids });
    is(scalar(() = $nginx->draining_pids), 0, 'and no worker waits');
};

subtest 'what cannot be meant' => sub {
    my %bad = (
        'ws_bus_protocol section; location / { ws_bus z; }' =>
            qr/needs "ws_bus_entity"/,
        'ws_bus_protocol section; ws_bus_entity $arg_e; location / { ws_bus z; }'
            => qr/needs "ws_bus_section"/,
        'ws_bus_topics $uri;'   => qr/invalid value "\$uri" in "ws_bus_topics"/,
        'ws_bus_topics "";'     => qr/invalid value "" in "ws_bus_topics"/,
        'ws_bus_topics ' . join(' ', 1 .. 61) . ';' => qr/more than 60 names/,
        'ws_bus_topics a; ws_bus_topics b;' => qr/is duplicate/,
        'ws_bus_entity a; ws_bus_entity b;' => qr/is duplicate/,
    );

    for (sort keys %bad) {
        my ($rc, $out) = WSBus::Nginx->test_config(
            http => "ws_bus_zone zone=z:2m; server { listen 127.0.0.1:%%PORT%%; $_ }");
        isnt($rc, 0, 'it is refused');
        like($out, $bad{$_}, length > 60 ? substr($_, 0, 60) : $_);
    }
};

$nginx->stop('QUIT');
done_testing;
