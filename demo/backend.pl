#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A small REST backend: orders, invoices and payments, in memory. It knows nothing of WebSockets, of
# events or of ws_bus: nginx, which passes the requests on to it, sees what they change.
#
#   perl backend.pl [port]
#
# Without a port, or with 0, it takes a free one; PORT_FILE=file has the port written there. With
# NGINX_PID_FILE=file it also does what the page's two buttons ask for: see "accidents".

use v5.36;
use Mojolicious::Lite -signatures;
use Mojo::JSON qw(decode_json);
use Mojo::Server::Daemon;
use POSIX       qw(strftime);
use Time::HiRes qw(time);

STDOUT->autoflush(1);

my %entity_type = (orders => 'order', invoices => 'invoice', payments => 'payment');
my %store       = map { $_ => {} } keys %entity_type;

app->mode('production');
app->log->level('error');
app->max_request_size(256 * 1024);

# One line for the person who watches the terminal.
sub report ($action, $type, $object) {
    my %colour = (created => 32, updated => 33, deleted => 31);
    my $paint  = $ENV{COLOR} ? sub ($code, $s) {"\e[${code}m$s\e[0m"} : sub ($code, $s) {$s};

    printf "  %s  %s %s\n", $paint->(2, strftime('%H:%M:%S', localtime)),
      $paint->($colour{$action}, sprintf '%-15s', "$type $action"), $object->{id};
    return;
}

# --- helpers -----------------------------------------------------------------------------------------

sub uuid () {
    open my $fh, '<:raw', '/dev/urandom' or die "/dev/urandom: $!";
    read($fh, my $bytes, 16) == 16       or die '/dev/urandom: short read';
    vec($bytes, 6, 8) = vec($bytes, 6, 8) & 0x0f | 0x40;
    vec($bytes, 8, 8) = vec($bytes, 8, 8) & 0x3f | 0x80;
    return join '-', unpack 'H8 H4 H4 H4 H12', $bytes;
}

sub now () {
    my $time = time;
    return strftime('%Y-%m-%dT%H:%M:%S', gmtime $time) . sprintf '.%03dZ', ($time - int $time) * 1000;
}

helper problem => sub ($c, $status, $message) {
    $c->render(status => $status, json => {error => $message});
    return;
};

# The request's body as an object, or undef after the 400 has been answered.
helper object => sub ($c) {
    my $body = eval { decode_json($c->req->body) };
    return $c->problem(400, 'the body is not valid JSON')    if $@;
    return $c->problem(400, 'the body must be a JSON object') if ref $body ne 'HASH';
    return $body;
};

# --- routes ------------------------------------------------------------------------------------------

get '/health' => sub ($c) { $c->render(json => {status => 'ok'}) };

for my $collection (sort keys %entity_type) {
    my ($type, $items) = ($entity_type{$collection}, $store{$collection});

    get "/$collection" => sub ($c) {
        $c->render(json => [sort { $a->{created_at} cmp $b->{created_at} || $a->{id} cmp $b->{id} } values %$items]);
    };

    post "/$collection" => sub ($c) {
        my $body = $c->object or return;
        my $now  = now;

        my $item = {%$body, id => uuid, created_at => $now, updated_at => $now};
        $items->{$item->{id}} = $item;
        report(created => $type, $item);

        $c->res->headers->location("/$collection/$item->{id}");
        $c->render(status => 201, json => $item);
    };

    my $one = app->routes->under("/$collection/:id" => sub ($c) {
        return 1 if $items->{$c->param('id')};
        $c->problem(404, "no such $type");
        return;
    });

    $one->get('/' => sub ($c) { $c->render(json => $items->{$c->param('id')}) });

    # PUT replaces the object, PATCH changes the fields that it names.
    for my $method (qw(PUT PATCH)) {
        $one->any([$method] => '/' => sub ($c) {
            my $body = $c->object or return;
            my $old  = $items->{$c->param('id')};

            my $item = {
                ($method eq 'PATCH' ? %$old : ()), %$body,
                id => $old->{id}, created_at => $old->{created_at}, updated_at => now
            };
            $items->{$item->{id}} = $item;
            report(updated => $type, $item);

            $c->render(json => $item);
        });
    }

    $one->delete('/' => sub ($c) {
        report(deleted => $type, delete $items->{$c->param('id')});
        $c->rendered(204);
    });

    any "/$collection" => sub ($c) {
        $c->res->headers->allow('GET, POST');
        $c->problem(405, 'method not allowed');
    };
    $one->any('/' => sub ($c) {
        $c->res->headers->allow('GET, PUT, PATCH, DELETE');
        $c->problem(405, 'method not allowed');
    });
}

# --- accidents ---------------------------------------------------------------------------------------

# No part of a REST backend: so that the page can show what a reload and a worker's death look like, a
# program that runs as nginx's own user sends the signals. A page of another site cannot ask for them:
# its browser sends no JSON here without asking first, and the Host has to be a name of this machine.

sub nginx_pid () {
    my $file = $ENV{NGINX_PID_FILE} // return;
    open my $fh, '<', $file or return;
    my ($pid) = (<$fh> // '') =~ /\A([1-9]\d*)\s*\z/;
    return $pid && kill(0, $pid) ? $pid : undef;
}

sub is_worker ($pid, $master) {
    open my $fh, '<', "/proc/$pid/status" or return 0;
    return scalar grep { /^PPid:\s*\Q$master\E$/ } <$fh>;
}

my $accidents = app->routes->under('/accidents' => sub ($c) {
    my $local = ($c->req->headers->host // '') =~ /\A(?:127\.0\.0\.1|localhost)(?::\d+)?\z/;
    return 1 if $local && nginx_pid;
    $c->problem(404, 'not found');
    return;
});

$accidents->get('/' => sub ($c) { $c->render(json => [qw(reload kill)]) });

$accidents->post('/' => sub ($c) {
    my $type = $c->req->headers->content_type // '';
    return $c->problem(415, 'application/json only') if $type ne 'application/json';

    my $body   = $c->object or return;
    my $master = nginx_pid;
    my ($do, $pid) = map { $_ // '' } @{$body}{qw(do pid)};
    my @signal
      = $do eq 'reload' ? (HUP => $master)
      : $do eq 'kill' && $pid =~ /\A[1-9]\d{0,9}\z/ && is_worker($pid, $master) ? (KILL => $pid)
      :                  return $c->problem(422, 'say reload, or kill and the pid of a worker');

    $c->render(json => {sent => "SIG$signal[0]", pid => $signal[1] + 0});

    # once the answer has gone through the worker that it may be about
    Mojo::IOLoop->timer(0.2 => sub { kill @signal });
});

any '/*whatever' => {whatever => ''} => sub ($c) { $c->problem(404, 'not found') };

# --- run ---------------------------------------------------------------------------------------------

my $port   = shift @ARGV // 0;
my $daemon = Mojo::Server::Daemon->new(
    app                => app,
    listen             => ["http://127.0.0.1:$port"],
    silent             => 1,
    inactivity_timeout => 60,
    max_requests       => 10_000,
);
$daemon->start;
$port = $daemon->ports->[0];

if (my $file = $ENV{PORT_FILE}) {
    open my $fh, '>', "$file.new"    or die "$file.new: $!";
    print {$fh} "$port\n";
    close $fh                        or die "$file.new: $!";
    rename "$file.new", $file        or die "$file: $!";
}
else {
    say "REST backend on http://127.0.0.1:$port";
}

$daemon->run;
