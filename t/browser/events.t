# SPDX-License-Identifier: BSD-2-Clause
# Server-sent events in real browsers: an EventSource in Chromium and in
# Firefox, over HTTP/1.1, and over HTTP/2 with TLS, 20 of them on a connection;
# a reload and a killed worker lose nothing and tell nothing twice.
#
#   apt-get install chromium firefox-esr
#   prove -It/lib t/browser/events.t

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::Server::Daemon;
use Mojolicious;
use POSIX ();
use Test::More;

use WSBus::Client;
use WSBus::Nginx;
use WSBus::Raw;

-e or BAIL_OUT("$_ is missing: apt-get install chromium firefox-esr")
    for '/usr/bin/chromium', '/usr/bin/firefox-esr';

my $said;

my $app = Mojolicious->new;
$app->log->level('fatal');
$app->secrets(['-']);
$app->routes->get('/' => sub {
    $_[0]->render(data => WSBus::Nginx::slurp("$FindBin::Bin/events.html"), format => 'html') });
$app->routes->post('/report' => sub { $said = decode_json($_[0]->req->body); $_[0]->rendered(204) });

my $daemon = Mojo::Server::Daemon->new(app => $app, silent => 1, listen => ['http://127.0.0.1']);
$daemon->start;

my $nginx = WSBus::Nginx->new(workers => 2, fixed_workers => 1, http => <<'END');
        ws_bus_zone zone=events:16m;
        ws_bus_drain_window 500ms;
        server {
            listen 127.0.0.1:%%PORT%%;
            listen 127.0.0.1:%%PORT1%% ssl http2;
            ssl_certificate     %%PREFIX%%/cert.pem;
            ssl_certificate_key %%PREFIX%%/key.pem;
            location = /events  { ws_bus_events events; }
            location = /publish { ws_bus_publish events; }
            location = /status  { ws_bus_status; }
        }
END
$nginx->certificate;
$nginx->start;

my %browser = (
    chromium => sub {
        my ($url, $profile) = @_;
        return ('chromium', '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run',
                '--disable-background-networking', '--ignore-certificate-errors',
                "--user-data-dir=$profile", $url);
    },
    firefox => sub {
        my ($url, $profile) = @_;
        return ('firefox-esr', '--headless', '--profile', $profile, '--no-remote', $url);
    },
);

sub start {
    my ($name, $url) = @_;
    my $profile = tempdir(CLEANUP => 1);
    my @command = $browser{$name}->($url, $profile);
    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    setpgrp;
    $ENV{HOME} = $profile;
    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    exec '/usr/bin/setpriv', '--pdeathsig', 'KILL', '--', @command or POSIX::_exit(127);
}

my $next = 0;

# what is published now, each of n streams has once
sub told {
    my ($n, $count, $what) = @_;
    my @new = map { ++$next } 1 .. $count;
    WSBus::Nginx::await(sub { eval {
        WSBus::Raw->new($nginx->port)->post('/publish', encode_json([ map {
            { entity_type => 'b', entity_id => "$_", action => 'created' } } @new ]))
            ->{status} == 200 } }) or die "not published\n";
    my $ok = WSBus::Client::run_until(sub {
        $n == grep { ($_->{ids}[-1] // 0) == $next } @{ $said // [] } }, 60);
    ok($ok, $what) or diag explain $said;
    is_deeply([ grep { $_->{twice} || $_->{gaps} } @$said ], [], 'nothing twice, no gap');
    my $first = $said->[0]{ids}[0];
    is_deeply([ grep { "@{ $_->{ids} }" ne "@{[ $first .. $next ]}" } @$said ], [], 'nothing is lost');
    return;
}

for my $case (['chromium', 'http', 0, 3], ['chromium', 'https', 1, 20], ['firefox', 'http', 0, 3]) {
    my ($name, $scheme, $i, $n) = @$case;
    subtest "$name, $scheme, $n streams" => sub {
        $said = undef;
        my $pid = start($name, 'http://127.0.0.1:' . $daemon->ports->[0] . "/?n=$n&url="
                               . "$scheme://127.0.0.1:" . $nginx->port($i) . '/events?entity_type=b');
        ok(WSBus::Client::run_until(sub { $n == grep { $_->{opened} } @{ $said // [] } }, 60),
           'all are open') or diag explain $said;
        my $c = WSBus::Client->new($nginx);
        ok(WSBus::Client::run_until(sub {
            $c->status->{zones}[0]{totals}{subscriptions} == $n }), 'and subscribed');
        told($n, 10, 'events');

        $nginx->reload;
        told($n, 10, 'over a reload');

        $nginx->kill_worker($_) for $nginx->worker_pids;
        WSBus::Nginx::await(sub { WSBus::Nginx::accepts($nginx->port) });
        told($n, 10, 'and when all workers were killed');

        kill 'TERM', -$pid;
        kill 'TERM', $pid;
        waitpid $pid, 0;
        ok(WSBus::Client::run_until(sub {
            $c->status->{zones}[0]{totals}{connections} == 0 }), 'all are gone with the browser');
    };
}

$nginx->quit;
$nginx->finish;

done_testing;
