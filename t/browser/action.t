# SPDX-License-Identifier: BSD-2-Clause
# The action protocol in a real browser: a React hook in Chromium, in strict
# mode, with the example and its backend, over a reload.
#
#   apt-get install chromium node-react node-react-dom
#   prove -It/lib t/browser/action.t

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json);
use Mojo::Server::Daemon;
use Mojolicious;
use POSIX ();
use Test::More;

use WSBus::Client;
use WSBus::Example;
use WSBus::Nginx;

my $root  = "$FindBin::Bin/../..";
my %files = ('react.js'     => '/usr/share/nodejs/react/umd/react.development.js',
             'react-dom.js' => '/usr/share/nodejs/react-dom/umd/react-dom.development.js');

-e or BAIL_OUT("$_ is missing: apt-get install chromium node-react node-react-dom")
    for '/usr/bin/chromium', values %files;

my %said;

my $app = Mojolicious->new;
$app->log->level('fatal');
$app->secrets(['-']);
$app->routes->get('/' => sub {
    $_[0]->render(data => WSBus::Nginx::slurp("$FindBin::Bin/action.html"), format => 'html') });
for my $name (keys %files) {
    $app->routes->get("/$name" => sub {
        $_[0]->render(data => WSBus::Nginx::slurp($files{$name}), format => 'js') });
}
$app->routes->post('/report' => sub {
    my ($c) = @_;
    my $got = decode_json($c->req->body);
    push @{ $said{ $got->{step} } }, $got->{text};
    $c->rendered(204);
});

my $daemon = Mojo::Server::Daemon->new(app => $app, silent => 1, listen => ['http://127.0.0.1']);
$daemon->start;

my ($port) = WSBus::Nginx::free_ports(1);
my $nginx  = WSBus::Example::nginx('action.conf', workers => 2,
    change => sub { s/127\.0\.0\.1:3000/127.0.0.1:$port/ })->start;

my $profile = tempdir(CLEANUP => 1);

my @pids = map { start(@$_) }
    [ 'node', "$root/conf.example/action-backend.js", $port,
      'http://127.0.0.1:' . $nginx->port(1) . '/publish' ],
    [ 'chromium', '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run',
      '--disable-background-networking', "--user-data-dir=$profile",
      'http://127.0.0.1:' . $daemon->ports->[0] . '/?ws=ws://127.0.0.1:' . $nginx->port . '/ws' ];

sub start {
    my @command = @_;
    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    exec '/usr/bin/setpriv', '--pdeathsig', 'KILL', '--', @command or POSIX::_exit(127);
}

sub until_said {
    my ($step, $re, $what) = @_;
    ok(WSBus::Client::run_until(sub { grep { $_ =~ $re } @{ $said{$step} // [] } }, 60), $what)
        or diag explain \%said;
    return;
}

until_said(open => qr/open/, 'the hook connects');
until_said(error => qr/\AInvalid action format: missing field `customer`\z/,
           'it renders the words of the backend');
until_said(actions => qr/\Aann 42;\z/, 'it renders what the backend publishes');

$nginx->reload;
until_said(closed => qr/\Aclosed 1012\z/, 'a reload closes it with 1012');
until_said(actions => qr/\Aann 42;bob 7;\z/, 'it comes again, and goes on');

$nginx->quit;
$nginx->finish;
kill 'TERM', @pids;
waitpid $_, 0 for @pids;

done_testing;
