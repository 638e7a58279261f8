# SPDX-License-Identifier: BSD-2-Clause
# conf.example/action.conf with each of its backends, and clients of the action
# protocol that know nothing of ws_bus: in JavaScript, one that reconnects, and
# a hundred at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Handle;
use IPC::Open2 qw(open2);
use Mojo::JSON qw(decode_json encode_json);
use POSIX ();
use Test::More;

use WSBus::Example;
use WSBus::Nginx;
use WSBus::Raw;

my $folder = "$FindBin::Bin/../conf.example";
my %backend = (perl => [ $^X, "$folder/action-backend.pl" ],
               node => [ 'node', "$folder/action-backend.js" ]);

for my $kind (sort keys %backend) {
    my ($port) = WSBus::Nginx::free_ports(1);

    my $nginx = WSBus::Example::nginx('action.conf', workers => 2,
        change => sub { s/127\.0\.0\.1:3000/127.0.0.1:$port/ })->start;

    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        exec '/usr/bin/setpriv', '--pdeathsig', 'KILL', '--',
             @{ $backend{$kind} }, $port,
             'http://127.0.0.1:' . $nginx->port(1) . '/publish'
            or POSIX::_exit(127);
    }

    ok(WSBus::Nginx::await(sub { WSBus::Nginx::accepts($port) }, 20),
       "$kind: the backend is there");

    subtest "$kind: clients in JavaScript" => sub {
        local $ENV{NODE_PATH} = '/usr/share/nodejs:/usr/lib/nodejs';
        my $js = open2(my $out, my $in, 'node',
            "$FindBin::Bin/clients/action.js",
            'ws://127.0.0.1:' . $nginx->port . '/ws');
        $in->autoflush(1);

        my $said = sub {
            my ($step) = @_;
            local $SIG{ALRM} = sub { die "nothing is said of $step\n" };
            alarm WSBus::Nginx::patience(30);
            my $line = <$out>;
            alarm 0;
            my $got = eval { decode_json($line // '') } // {};
            is(delete $got->{step}, $step, $step);
            return $got;
        };

        is_deeply($said->('ping'), { type => 'pong' }, 'a pong');
        is_deeply($said->('wrong'), { type => 'error', message =>
            'Invalid action format: missing field `customer`' },
            'the backend\'s words');
        my $placed = { customer => 'ann', total => 42, id => 1 };
        is_deeply($said->('right'), { type => 'event',
            action => { OrderPlaced => $placed } }, 'the sender');
        is_deeply($said->('the other'), { OrderPlaced => $placed },
                  'and the other one');

        $said->('ready');
        $nginx->reload;
        my $closed = $said->('closed');
        is($closed->{code}, 1012, 'a reload');
        print {$in} "go\n";
        is_deeply($said->('again'), { OrderPlaced => { customer => 'bob',
            total => 7, id => 2 } }, 'it came again');

        close $in;
        waitpid $js, 0;
        is($?, 0, 'it ends well');
    };

    subtest "$kind: wscat" => sub {
        local $ENV{NODE_PATH} = '/usr/share/nodejs:/usr/lib/nodejs';
        my @said;
        for my $line ('{"type":"ping"}', '{"type":"command","action":{"PlaceOrder":{}}}',
                      '{"type":"command","action":{"PlaceOrder":{"customer":"eve","total":1.50}}}')
        {
            my $wscat = open2(my $out, my $in, '/usr/bin/setpriv', '--pdeathsig', 'KILL', '--',
                'wscat', '-c', 'ws://127.0.0.1:' . $nginx->port . '/ws', '-x', $line, '-w', '30');
            local $SIG{ALRM} = sub { die "wscat says nothing\n" };
            alarm WSBus::Nginx::patience(30);
            push @said, scalar <$out>;
            alarm 0;
            kill 'KILL', $wscat;
            waitpid $wscat, 0;
        }
        is_deeply([ map { decode_json($_ // '{}') } @said ], [ { type => 'pong' },
            { type => 'error', message => 'Invalid action format: missing field `customer`' },
            { type => 'event', action => { OrderPlaced => { customer => 'eve', total => 1.5,
                                                            id => 3 } } } ],
            'what its document shows');
    };

    subtest "$kind: a hundred in a loop" => sub {
        my @ws = map { WSBus::Raw->open($nginx->port, no_welcome => 1) }
                 1 .. 100;
        my $n = 0;
        for my $round (1 .. 5) {
            $ws[ $round * 7 ]->send_text(encode_json({ type => 'command',
                action => { PlaceOrder => { customer => "c-$round" } } }));
            for my $ws (@ws) {
                my $m = $ws->read_json;
                $n++ if $m->{action}{OrderPlaced}{customer} eq "c-$round";
            }
        }
        is($n, 500, 'each action to each of them');
        $_->close for @ws;
    };

    $nginx->quit;
    $nginx->finish;
    kill 'TERM', $pid;
    waitpid $pid, 0;
}

done_testing;
