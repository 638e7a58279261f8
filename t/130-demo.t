# SPDX-License-Identifier: BSD-2-Clause
# The demo: its configuration, its backend, and the two accidents that its
# page's buttons ask for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use POSIX ();
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $demo = "$FindBin::Bin/../demo";
my $text = WSBus::Nginx::slurp("$demo/nginx.conf");
my $load = WSBus::Nginx::load_module();

ok($text =~ s/^load_module .*$/$load/m, 'it loads the module');
$text = "user root;\n$text" if $> == 0;
$text =~ s/\@PORT\@/%%PORT%%/g;

my $nginx = WSBus::Nginx->new(conf => $text);
symlink "$demo/static", $nginx->file('static') or die "symlink: $!\n";

my $backend = fork() // die "fork: $!\n";

if ($backend == 0) {
    @ENV{qw(PORT_FILE NGINX_PID_FILE)} = map { $nginx->file($_) }
                                         qw(backend.port nginx.pid);
    open STDOUT, '>', '/dev/null';
    exec $^X, "$demo/backend.pl" or POSIX::_exit(127);
}

END { local $?; kill 'KILL', $backend if $backend }

ok(WSBus::Nginx::await(sub { -s $nginx->file('backend.port') }),
   'the backend has a port');
chomp(my $port = WSBus::Nginx::slurp($nginx->file('backend.port')));
$nginx->{conf} =~ s/\@BACKEND\@/$port/g;
$nginx->start;
ok(WSBus::Nginx::await(sub { $nginx->worker_pids == 2 }), 'two workers');


sub http {
    my ($method, $path, $body, %header) = @_;
    my $raw = WSBus::Raw->new($nginx->port);
    %header = (Host => '127.0.0.1:' . $nginx->port, Connection => 'close',
               'Content-Length' => length($body // ''),
               'Content-Type' => 'application/json', %header);
    $raw->write("$method $path HTTP/1.1\r\n"
                . join('', map { "$_: $header{$_}\r\n" } sort keys %header)
                . "\r\n" . ($body // ''));
    return $raw->response;
}

sub json { return decode_json(http(GET => $_[0])->{body}) }

sub client {
    my ($since) = @_;
    my $ws = WSBus::Raw->open($nginx->port);
    $ws->send_text(encode_json({ type => 'subscribe', filter => {},
                                 since => $since }));
    my $got = $ws->read_json;
    is($got->{recovered}, Mojo::JSON::true, "a client, since $since");
    return $ws;
}

sub order {
    my ($name) = @_;
    my $res = http(POST => '/orders', encode_json({ name => $name }));
    $res->{status} == 201
        or die "no order: $res->{line}, the backend "
               . (waitpid($backend, POSIX::WNOHANG()) ? "has ended: $?" : 'lives')
               . "\n" . $nginx->error_log;
    return decode_json($res->{body});
}


my $page = http(GET => '/static/ws-client.html');
is($page->{status}, 200, 'the page');
like($page->{headers}{'content-type'}, qr{^text/html}, 'is HTML');
unlike($page->{body}, qr{(?:src|href)="https?://}, 'and needs no other host');
is(http(GET => '/health')->{status}, 200, 'the backend');


subtest 'what a REST call changes is told, and a link' => sub {
    my $ws    = client('now');
    my $order = order('lamp');
    my $event = $ws->read_json->{data}{event};
    is("@$event{qw(action entity_type entity_id)}", "created order $order->{id}",
       'created');

    is(http(POST => '/publish', encode_json({ action => 'created',
            link_type => 'has_invoice', link_id => 'l', source_id => 's',
            target_id => 't' }))->{status}, 200, 'a link');
    is($ws->read_json->{data}{event}{link_type}, 'has_invoice', 'is told');
    $ws->close;
};


subtest 'requests over the socket' => sub {
    my $ws  = WSBus::Raw->open($nginx->port);
    my $own = $ws->{welcome}{connection_id};
    my $other = client('now');

    $ws->send_text(encode_json({ type => 'subscribe', filter => {},
                                 since => 'now' }));
    is($ws->read_json->{type}, 'subscribed', 'the one that asks listens, too');

    my $id;

    for my $case (
        [ create => 201, 'created', { name => 'sofa', amount => 7 } ],
        [ update => 200, 'updated', { status => 'paid' } ],
        [ delete => 204, 'deleted' ],
    ) {
        my ($op, $status, $action, $data) = @$case;

        $ws->send_text(encode_json({ type => 'request', id => "r-$op",
            operation => $op, entity_type => 'order',
            defined $id ? (entity_id => $id) : (),
            defined $data ? (data => $data) : () }));

        my $got = $ws->read_json;
        is("@$got{qw(type id success status)}", "response r-$op 1 $status",
           "$op: the response first");
        $id //= $got->{data}{id};

        for my $one ($ws, $other) {
            my $event = $one->read_json->{data}{event};
            is("@$event{qw(action entity_type entity_id)}",
               "$action order $id", 'then the event');
            is_deeply($event->{metadata},
                      { origin => $own, request_id => "r-$op" },
                      'and whose it is');
        }

        next if $op eq 'delete';

        $ws->send_text(encode_json({ type => 'request', id => 'read',
            operation => 'read', entity_type => 'order', entity_id => $id }));
        $got = $ws->read_json;
        is("$got->{id} $got->{status} $got->{data}{name}", 'read 200 sofa',
           'no second event comes before the next answer');
    }

    for my $case ([ order => 404, 'read_error' ],
                  [ customer => undef, 'model_not_found' ])
    {
        my ($entity, $status, $code) = @$case;
        $ws->send_text(encode_json({ type => 'request', id => 'gone',
            operation => 'read', entity_type => $entity, entity_id => $id }));
        my $got = $ws->read_json;
        is($got->{error}{code}, $code, "a $entity that is not there: $code");
        is($got->{status}, $status, 'and the status');
    }

    # what a REST call makes is nobody's on a socket
    order('chair');
    my $event = $ws->read_json->{data}{event};
    is($event->{data}{name}, 'chair', 'a REST call is the next event');
    isnt($event->{metadata}{origin}, $own, 'of another origin');
    is($other->read_json->{data}{event}{data}{name}, 'chair',
       'and no event has come twice');

    $_->close for $ws, $other;
};


subtest 'accidents for nobody else' => sub {
    my ($worker) = $nginx->worker_pids;
    my $kill     = encode_json({ do => 'kill', pid => $worker });
    my $local    = 'localhost:' . $nginx->port;

    is_deeply(json('/accidents'), [qw(reload kill)], 'both can be had');

    for my $case (
        [ 'a name of elsewhere', 404, $kill, Host => 'example.com' ],
        [ 'a form', 415, $kill, 'Content-Type' => 'text/plain' ],
        [ 'no JSON', 400, 'x' ],
        [ 'another process', 422, encode_json({ do => 'kill', pid => $$ }) ],
        [ 'nginx itself', 422, encode_json({ do => 'kill', pid => $nginx->pid }) ],
        [ 'all processes', 422, encode_json({ do => 'kill', pid => -1 }) ],
        [ 'something else', 422, encode_json({ do => 'stop' }), Host => $local ],
    ) {
        my ($what, $status, $body, %header) = @$case;
        is(http(POST => '/accidents', $body, %header)->{status}, $status, $what);
    }

    is(http(OPTIONS => '/accidents', undef, Origin => 'http://example.com')
       ->{headers}{'access-control-allow-origin'}, undef, 'no other page');
    ok(-d "/proc/$worker", 'nobody has died');
};


subtest 'a worker that is killed' => sub {
    my $ws   = client('now');
    my $last = json('/status')->{zones}[0]{last_id};
    my ($worker) = map { $_->{pid} } grep { $_->{connections} }
                   @{ json('/status')->{zones}[0]{workers} };

    $nginx->allow(qr/worker process \d+ exited on signal 9/);
    is(http(POST => '/accidents', encode_json({ do => 'kill', pid => $worker }))
       ->{status}, 200, 'asked for');
    like($ws->read_end, qr/^(?:eof|reset)$/, 'ends its connection');

    my $order = order('while it is away');
    is(client($last)->read_json->{data}{event}{entity_id}, $order->{id},
       'and what came meanwhile comes later');
};


subtest 'a reload' => sub {
    my $ws = client('now');
    is(http(POST => '/accidents', encode_json({ do => 'reload' }))->{status}, 200,
       'asked for');
    is($ws->read_close, 1012, 'ends its connection with 1012');

    my $order = order('after it');
    is(client($ws->{close_reason})->read_json->{data}{event}{entity_id},
       $order->{id}, 'and the id to go on from');
};


$nginx->finish;
kill 'TERM', $backend;
waitpid $backend, 0;
$backend = 0;
done_testing;
