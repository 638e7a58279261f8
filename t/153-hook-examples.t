# SPDX-License-Identifier: BSD-2-Clause
# The example of hooks does what it says, with both of its backends, and with
# hooks in njs, where an njs module is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Mojo::JSON qw(true false);
use POSIX ();
use Test::More;

use WSBus::Client;
use WSBus::Example;
use WSBus::Nginx;

my $root = "$FindBin::Bin/..";
my %backend = (
    'hooks-backend.pl' => sub {
        ($^X, "$root/conf.example/hooks-backend.pl", 'daemon', '-m', 'production',
         '-l', "http://127.0.0.1:$_[0]") },
    'hooks-backend.js' => sub { ('node', "$root/conf.example/hooks-backend.js", $_[0]) },
);

my $njs = '/usr/lib/nginx/modules/ngx_http_js_module.so';
$njs = undef if $ENV{WSB_STATIC} || !-e $njs;

my ($c, $n, $rounds);

sub ask {
    my ($ws, $operation, $data) = @_;
    my $id = 'r' . ++$n;
    $ws->send({ type => 'request', id => $id, operation => $operation,
                entity_type => 'note', defined $data ? (data => $data) : () });
    return $ws->wait_for(sub { ($_->{id} // '') eq $id });
}

sub works {
    $c = WSBus::Client->new($_[0]);

    my $nobody = $c->connect('/ws?user=!');
    is($nobody->{status}, 401, 'nobody');

    my ($ann, $bob) = map { $c->open("/ws?user=$_") } qw(ann bob);
    is($ann->subscribe({ entity_type => 'note' })->{type}, 'subscribed', 'ann subscribes');

    my $got = ask($bob, create => { text => '' });
    is_deeply([ @{ $got->{error} }{qw(code message)} ],
              [ 'hook_error', 'a note must have a text' ], 'a note without a text');

    $got = ask($bob, create => { text => 'of bob' });
    is($got->{data}{owner}, 'bob', 'it is of its writer');
    $got = ask($ann, create => { text => 'of ann' });
    is($got->{data}{owner}, 'ann', 'another');

    is($ann->wait_type('event')->{data}{event}{data}{text}, 'of ann',
       'who sees her own alone');
    is_deeply([ map { $_->{text} } @{ ask($ann, 'read')->{data} } ], [ ('of ann') x ++$rounds ],
              'in a list, too');

    online([qw(ann bob)], 'both are here');
    $bob->finish;
    $bob = $c->open('/ws?user=bob');
    $ann->finish;
    online(['bob'], 'she has gone, he has come back');
    $bob->finish;
    online([], 'nobody is here');
    return;
}

sub online {
    my ($who, $what) = @_;
    my $got;
    WSBus::Client::run_until(sub { (undef, $got) = $c->get('/online'); "@$got" eq "@$who" });
    is_deeply($got, $who, $what);
    return;
}

sub run {
    my ($name, $change) = @_;

    my $nginx = WSBus::Example::nginx('hooks.conf', workers => 2, change => $change)->start;

    subtest $name => sub { works($nginx) };

    return is($nginx->stop('QUIT'), 'clean', 'it stops');
}

ok($njs || $ENV{WSB_STATIC}, 'there is an njs module');

for my $name (sort keys %backend) {
    my ($port) = WSBus::Nginx::free_ports(1);
    my $pid = fork() // die "fork: $!\n";
    $rounds = 0;

    if ($pid == 0) {
        alarm 120;
        exec $backend{$name}->($port) or POSIX::_exit(1);
    }

    ok(WSBus::Nginx::await(sub {
        IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") }), "$name listens");

    my $change = sub { s/127\.0\.0\.1:3000/127.0.0.1:$port/g };
    run($name, $change);

    # the backend keeps the notes, njs decides
    run("njs before $name", sub {
        $change->();
        s/^/load_module $njs;\n/;
        s/^http \{/http {\n    js_path "$root\/conf.example";\n    js_import hooks from hooks.js;/m;
        s/(location = \/hooks \{\s+internal;).*?\}/$1 js_content hooks.answer; }/s;
    }) if $njs;

    kill 'KILL', $pid;
    waitpid $pid, 0;
}

done_testing;
