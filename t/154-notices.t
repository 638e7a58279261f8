# SPDX-License-Identifier: BSD-2-Clause
# Hooks after a connection and after its end: told in batches, again until they
# are answered, and by another worker if theirs has died.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::Server::Daemon;
use Mojolicious;
use Test::More;

use WSBus::Client;
use WSBus::JWT;
use WSBus::Nginx;
use Time::HiRes ();

# What the hooks were told: by path, the notices and how many calls they took.
# Each path answers with a status, 200 if it has none.

my (%told, %calls, %status, @wrong);

my $app = Mojolicious->new;
$app->log->level('fatal');
$app->secrets(['-']);
$app->routes->any('/*hook' => sub {
    my ($c) = @_;
    my ($path, $list) = ($c->param('hook'), $c->req->json);

    if (ref $list eq 'HASH') {       # a hook of one operation
        return $c->render(json => { metadata => { room => 'r1' } })
            if $path eq 'meta';
        return $c->rendered(204);
    }

    push @wrong, $c->req->body
        if ref $list ne 'ARRAY' || !@$list
           || $c->req->headers->content_type ne 'application/json'
           || !length $c->req->headers->header('X-Request-ID');

    $calls{$path}++;
    my $status = $status{$path} // 200;

    push @{ $told{ $status < 300 ? $path : "$path $status" } }, @{ $list // [] };
    return $c->rendered($status);
});

my $daemon = Mojo::Server::Daemon->new(app => $app, silent => 1,
    listen => ['http://127.0.0.1'], inactivity_timeout => 0, max_clients => 2000);
$daemon->start;
my $port = $daemon->ports->[0];

my $key = WSBus::JWT->key('oct');
my ($nginx, $c);

sub http {
    my (%o) = @_;
    my $memory = $o{memory} ? "ws_bus_hook_memory $o{memory};" : '';

    return <<"END";
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        ws_bus_zone zone=events:16m;
        ws_bus_drain_window 0;
        $memory
        server {
            listen 127.0.0.1:%%PORT%%;
            location /status { ws_bus_status; }
            location /ws {
                ws_bus events;
                ws_bus_hook after_connect /hook/on;
                ws_bus_hook after_disconnect /hook/off;
            }
            location /ws/tenant {
                ws_bus events;
                ws_bus_tenant \$arg_t;
                ws_bus_hook after_disconnect /hook/tenant delay=700ms;
                ws_bus_hook after_connect /hook/tenant;
                ws_bus_user \$arg_who;
            }
            location /ws/token {
                ws_bus events;
                ws_bus_jwt \$arg_token;
                ws_bus_jwt_key_file secret alg=HS256;
                ws_bus_hook_claims sub role;
                ws_bus_hook after_connect /hook/token;
                ws_bus_hook after_disconnect /hook/token delay=700ms;
            }
            location /ws/meta {
                ws_bus events;
                ws_bus_hook before_connect /hook/meta;
                ws_bus_hook before_subscribe /hook/meta2;
                ws_bus_hook after_connect /hook/meta;
                ws_bus_hook after_disconnect /hook/meta;
            }
            location /ws/fail {
                ws_bus events;
                ws_bus_hook after_connect /hook/fail;
            }
            location /ws/gone {
                ws_bus events;
                ws_bus_hook after_connect /gone/x;
            }
            location /ws/later {
                ws_bus events;
                ws_bus_hook after_disconnect /hook/later delay=1h;
                ws_bus_user \$arg_who;
            }
            location /hook/ { internal; proxy_pass http://127.0.0.1:$port/; }
            location /gone/ { internal; return 404; }
        }
END
}

sub start {
    my (%o) = @_;
    $nginx = WSBus::Nginx->new(http => http(%o), workers => $o{workers} // 2,
                               fixed_workers => 1,
                               events => 'worker_connections 4096;');
    $nginx->write_file('secret', $key->{secret});
    $nginx->allow(qr/the hook "after_connect" failed: its status is \d+/,
                  qr/is not told of a connection: ws_bus_hook_memory is full/);
    $nginx->start;
    $c = WSBus::Client->new($nginx);
    return;
}

sub until_told {
    my ($path, $n, $timeout) = @_;
    return WSBus::Client::run_until(sub { @{ $told{$path} // [] } >= $n }, $timeout);
}

# turns the loop for as long as what must not come would take
sub settle { WSBus::Client::run_until(sub { 0 }, $_[0]); return }

sub forget { %told = %calls = %status = (); return }

sub id_of { return $_[0]{welcome}{connection_id} }

sub ids { return [ sort map { $_->{connection_id} } @{ $told{ $_[0] } // [] } ] }

sub totals { return $c->status->{zones}[0]{totals} }


start();

subtest 'what is told' => sub {
    my $ws = $c->open('/ws?a=1');
    ok(until_told('on', 1), 'it has come');
    my $on = $told{on}[0];
    like(delete $on->{time}, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/, 'when');
    my ($hex) = id_of($ws) =~ /_(\w+)/;
    is_deeply($on, { phase => 'after_connect', id => "$hex-begin", uri => '/ws',
                     connection_id => id_of($ws) }, 'who');
    ok(!$told{off}, 'it has not gone');

    $ws->finish(1000);
    ok(until_told('off', 1), 'it has gone');
    my $off = $told{off}[0];
    ok(delete $off->{time}, 'when');
    is_deeply($off, { phase => 'after_disconnect', id => "$hex-end", uri => '/ws',
                      connection_id => id_of($ws) }, 'who');
    is(totals()->{notices_told}, 2, 'it is counted');
    ok(WSBus::Client::run_until(sub { totals()->{notices_waiting} == 0 }), 'nothing waits');
};

subtest 'in batches' => sub {
    forget();
    my @ws = $c->connect_many(300, '/ws');
    $_->next for @ws;
    ok(until_told('on', 300), 'all have come');
    cmp_ok($calls{on}, '<', 60, "$calls{on} calls told it");
    $_->{tx}->finish for @ws;
    ok(until_told('off', 300), 'all have gone');
    is_deeply(ids('off'), ids('on'), 'the same');
    my %once = map { $_->{id} => 1 } @{ $told{off} };
    is(keys %once, 300, 'each with its own id');
};

subtest 'claims and metadata' => sub {
    forget();
    my $token = $key->token(HS256 => { sub => 'u1', role => 'admin', x => 1 });
    my $ws = $c->open("/ws/token?token=$token");
    ok(until_told('token', 1), 'it has come');
    is_deeply($told{token}[0]{claims}, { sub => 'u1', role => 'admin' },
              'with the claims that are named');
    is($told{token}[0]{user}, 'u1', 'and as the user that its subject is');

    $ws = $c->open('/ws/meta');
    ok(until_told('meta', 1), 'another has come');
    is_deeply($told{meta}[0]{metadata}, { room => 'r1' },
              'with what a hook has said of it');
    $ws->finish;
    ok(until_told('meta', 2), 'it has gone');
    is_deeply($told{meta}[1]{metadata}, { room => 'r1' }, 'with the same');
    is($told{meta}[1]{phase}, 'after_disconnect', 'in this order');
};

subtest 'who comes back is not told' => sub {
    forget();
    my $a = $c->open('/ws/tenant?t=t1&who=anna');
    ok(until_told('tenant', 1), 'she has come');
    is($told{tenant}[0]{user}, 'anna', 'who it is');
    is($told{tenant}[0]{tenant}, 't1', 'and whose');
    $a->finish;
    my $b = $c->open('/ws/tenant?t=t1&who=anna');
    settle(1.5);
    is(@{ $told{tenant} }, 1, 'neither that she has gone, nor that she is back');

    $b->finish;
    my $other = $c->open('/ws/tenant?t=t2&who=anna');
    ok(until_told('tenant', 3), 'another tenant has its own');
    is_deeply([ map { "$_->{phase} $_->{tenant}" } @{ $told{tenant} }[1, 2] ],
              [ 'after_connect t2', 'after_disconnect t1' ], 'who came, and who went');
    is($told{tenant}[2]{connection_id}, id_of($b), 'by the connection that was the last');
    $other->finish;

    my $nobody = $c->open('/ws/tenant?t=t3');
    $nobody->finish;
    $nobody = $c->open('/ws/tenant?t=t3');
    ok(WSBus::Client::run_until(sub { 3 == grep { $_->{tenant} eq 't3' } @{ $told{tenant} } }),
       'who cannot be known is told each time');
    $nobody->finish;

    forget();
    my $token = $key->token(HS256 => { sub => 'u2' });
    my $ws = $c->open("/ws/token?token=$token");
    ok(until_told('token', 1), 'one with a token has come');
    $ws->finish;
    $ws = $c->open("/ws/token?token=$token");
    settle(1.2);
    is(@{ $told{token} }, 1, 'it is known by its subject');
    $ws->finish;
};

subtest 'again until it is answered' => sub {
    forget();
    $status{fail} = 503;
    my @ws = map { $c->open('/ws/fail') } 1 .. 3;
    ok(until_told('fail 503', 4), 'a hook that fails is told again');
    $ws[3] = $c->open('/ws/fail');
    $status{fail} = 204;
    ok(until_told('fail', 4), 'until it does not');
    is_deeply(ids('fail'), [ sort map { id_of($_) } @ws ], 'nobody is missing');
    my %again = map { $_->{id} => 1 } @{ $told{'fail 503'} };
    is(scalar(grep { $again{ $_->{id} } } @{ $told{fail} }), 3, 'with the same ids');
    settle(0.3);
    is(@{ $told{fail} }, 4, 'and then no more');
    $_->finish for @ws;

    my $from = length $nginx->error_log;
    my $ws   = $c->open('/ws/gone');
    ok($nginx->await_log(qr/"after_connect" failed: its status is 404; it is told again in 500 ms/,
                         $from), 'the log says so');
    is($ws->ask({ type => 'ping' }, 'pong')->{type}, 'pong', 'the client takes no notice');
    $ws->finish;
};

is(scalar @wrong, 0, 'every call was as it should be');
$nginx->stop('TERM');


for my $workers (1, 2) {
subtest "a worker of $workers is killed" => sub {
    forget();
    start(workers => $workers);
    my @ws = $c->connect_many(1000, '/ws');
    $_->{welcome} = $_->next for @ws;
    ok(until_told('on', 1000), '1,000 have come');
    my ($before) = $calls{off} // 0;

    my ($pid) = $nginx->worker_pids;
    $nginx->kill_worker($pid);
    my $began = Time::HiRes::time();
    ok(WSBus::Client::run_until(sub { $workers == 1 ? !grep { !$_->{closed} } @ws
                                                    : grep { $_->{closed} } @ws }),
       'they have lost it');
    settle(0.1);
    my @gone = grep { $_->{closed} } @ws;
    cmp_ok(scalar @gone, $workers == 1 ? '==' : '>', $workers == 1 ? 1000 : 10,
           scalar(@gone) . ' were its own');
    ok(until_told('off', scalar @gone), 'another tells of them');
    my $took = Time::HiRes::time() - $began;
    cmp_ok($took, '<', 5 * $WSBus::Nginx::SLOW, "in $took s");
    is_deeply(ids('off'), [ sort map { id_of($_) } @gone ], 'of each, and of no other');
    cmp_ok($calls{off}, '<=', 6, "in $calls{off} calls");

    forget();
    my @rest = grep { !$_->{closed} } @ws;
    kill 'QUIT', $nginx->pid;
    ok(WSBus::Client::run_until(sub { !$nginx->running }), 'nginx stops');
    is_deeply(ids('off'), [ sort map { id_of($_) } @rest ], 'what is left is told before');
};
}


subtest 'a reload' => sub {
    forget();
    start(workers => 1);
    my @ws = map { $c->open('/ws') } 1 .. 20;
    my $later = $c->open('/ws/later?who=x');
    ok(until_told('on', 20), '20 have come');
    kill 'HUP', $nginx->pid;
    ok(until_told('off', 20), 'they have gone with the old worker');
    my %id = map { $_->{id} => 1 } @{ $told{off} };
    is(keys %id, 20, 'each of them');
    ok(WSBus::Client::run_until(sub { !$nginx->draining_pids }), 'it has left');
    ok(WSBus::Client::run_until(sub { totals()->{notices_waiting} == 1 }),
       'what is due later waits with its successor');
    $nginx->stop('TERM');
};


subtest 'too many' => sub {
    forget();
    start(workers => 1, memory => '256k');
    my @ws = $c->connect_many(900, '/ws/later');
    $_->next for @ws;
    is(totals()->{connections}, 900, 'all are served');
    is(totals()->{notices_lost}, 0, 'nothing is lost yet');
    $_->{tx}->finish for @ws;
    ok(WSBus::Client::run_until(sub { my $t = totals();
        $t->{connections} == 0 && $t->{notices_lost} > 100
        && $t->{notices_lost} + $t->{notices_waiting} == 900 }),
       'what there is no room for is counted');
    ok($nginx->await_log(qr/ws_bus_hook_memory is full/), 'and logged');
    $nginx->stop('TERM');
};


subtest 'configuration' => sub {
    for ([ 'after_connect /a/$arg_x', qr/URI "\/a\/\$arg_x" .* cannot have variables/ ],
         [ 'after_connect /a fail=open', qr/invalid parameter "fail=open"/ ],
         [ 'after_connect /a delay=2s', qr/invalid parameter "delay=2s"/ ],
         [ 'after_disconnect /a delay=2h', qr/a time of at most 1h/ ],
         [ 'after_disconnect /a delay=x', qr/a time of at most 1h/ ],
         [ 'after_disconnect /a delay=2s', qr/here nobody is known: add "ws_bus_user"/ ],
         [ 'after_connect /a key=x', qr/invalid parameter "key=x"/ ],
         [ 'before_read /a delay=2s', qr/write fail=closed or fail=open/ ],
         [ 'after_connected /a', qr/unknown phase "after_connected"/ ])
    {
        my ($hook, $re) = @$_;
        my ($status, $text) = WSBus::Nginx->test_config(http => WSBus::Nginx::minimal(
            server => "location /x { ws_bus events; ws_bus_hook $hook; }"));
        isnt($status, 0, "$hook is refused");
        like($text, $re, 'and why');
    }
};

done_testing();
