# SPDX-License-Identifier: BSD-2-Clause
# conf.example/section-mesaya.conf with its backend, and clients of the section
# protocol that know nothing of ws_bus: a page's script and wscat. The demo.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Handle;
use IPC::Open2 qw(open2);
use Mojo::JSON qw(decode_json encode_json);
use POSIX ();
use Test::More;

use WSBus::Client;
use WSBus::Example;
use WSBus::JWT;
use WSBus::Nginx;

my $root   = "$FindBin::Bin/..";
my ($port) = WSBus::Nginx::free_ports(1);
my $key    = WSBus::JWT->key('oct');

my $nginx = WSBus::Example::nginx('section-mesaya.conf', workers => 2,
    change => sub { s/127\.0\.0\.1:3000/127.0.0.1:$port/ });

$nginx->write_file('jwt.key', $key->pem);
$nginx->start;

my $c     = WSBus::Client->new($nginx, port => 1);
my $url   = 'ws://127.0.0.1:' . $nginx->port;
my $token = $key->token('HS256', { sub => 'u-1', sid => 's-1',
                                   roles => ['USER'] });

my $pid = fork() // die "fork: $!\n";
if ($pid == 0) {
    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', '/dev/null';
    exec '/usr/bin/setpriv', '--pdeathsig', 'KILL', '--', $^X,
         "$root/conf.example/section-backend.pl", $port,
         'http://127.0.0.1:' . $nginx->port(1) . '/publish'
        or POSIX::_exit(127);
}

ok(WSBus::Nginx::await(sub { WSBus::Nginx::accepts($port) }, 20),
   'the backend is there');

$ENV{NODE_PATH} = '/usr/share/nodejs:/usr/lib/nodejs';

sub line {
    my ($out, $what) = @_;
    local $SIG{ALRM} = sub { die "nothing is said of $what\n" };
    alarm WSBus::Nginx::patience(30);
    my $line = <$out>;
    alarm 0;
    return eval { decode_json($line // '') } // {};
}

sub change {
    my ($body) = @_;
    my $tx = $c->ua->build_tx(
        PATCH => "http://127.0.0.1:$port/api/v1/restaurants/r-1?section=1",
        { Authorization => 'Bearer x' }, json => $body);
    my $done;
    $c->ua->start($tx => sub { $done = 1 });
    WSBus::Client::run_until(sub { $done });
    return is($tx->res->code, 200, 'the backend has changed');
}

subtest 'a script' => sub {
    my $js = open2(my $out, my $in, 'node', "$FindBin::Bin/clients/section.js",
                   $url, 'restaurant', 1, $token);
    my @rows = ({ id => 'r-1', name => 'Casa Ana' },
                { id => 'r-2', name => 'El Puerto' });
    my $list = sub {
        return { items => [@_], total => 2, page => 1, limit => 20 };
    };
    my $got = line($out, 'the greeting');
    is($got->{topic}, 'system.connected', 'the first message');
    is($got->{data}{entity}, 'restaurants', 'an older URL is this entity');
    ok($got->{good}, 'as it must be');

    my %got = map { $_->{topic} => $_ } map { line($out, 'answers') } 1, 2;
    is(join(' ', sort keys %got), 'restaurants.list system.pong', 'answers');
    ok($_->{good}, 'as it must be') for values %got;
    is($got{'restaurants.list'}{origin}, 'request', 'asked for');
    is_deeply($got{'restaurants.list'}{data}, $list->(@rows),
              'the list');

    change({ name => 'Casa Eva' });

    $got = line($out, 'an event');
    is($got->{topic}, 'restaurants.updated', 'an event');
    ok($got->{good}, 'as it must be');
    is_deeply($got->{data}, { id => 'r-1', name => 'Casa Eva' }, 'its row');

    $got = line($out, 'the list again');
    is("$got->{topic} $got->{origin}", 'restaurants.list refresh',
       'then the list');
    ok($got->{good}, 'as it must be');
    is_deeply($got->{data},
              $list->({ id => 'r-1', name => 'Casa Eva' }, $rows[1]),
              'as it is now');

    close $in;
    is(line($out, 'the end')->{closed}, 1000, 'it closes');
    waitpid $js, 0;
    is($?, 0, 'and ends well');
};

subtest 'wscat' => sub {
    for ([ "$url/ws/restaurants/main-hall", '-H',
           "Authorization: Bearer $token" ],
         [ "$url/ws/restaurants/main-hall/$token" ])
    {
        my $wscat = open2(my $out, my $in, '/usr/bin/setpriv', '--pdeathsig',
            'KILL', '--', 'wscat', '-c', @$_, '-x',
            '{"action":"list_restaurants"}', '-w', '30');
        my @said = map { line($out, 'wscat') } 1, 2;
        kill 'KILL', $wscat;
        waitpid $wscat, 0;

        is(join(' ', map { $_->{topic} // '' } @said),
           'system.connected restaurants.list', 'what it shows');
        is($said[1]{data}{total}, 2, 'a list of two');
    }
};

subtest 'the demo' => sub {
    my $said = `NO_COLOR=1 MODULE='@{[WSBus::Nginx::module()]}' timeout 60 '$root/demo/section' 3 2>&1`;
    is($? >> 8, 0, 'it ends');
    like($said, qr/^    wscat -c ws:\S+ -H "Authorization: Bearer \S+"$/m,
         'it says what to type');
    like($said, qr/<-\s\{"topic":"tables\.updated".*<-\s\{"topic":"tables\.list"
         [^\n]*"origin":"refresh"/xs, 'and shows what comes');
    is(scalar(() = glob '/tmp/ws_bus-section.*'), 0, 'nothing is left');
};

END {
    local $?;
    kill 'KILL', $pid if $pid;
}

$nginx->stop('QUIT');
done_testing;
