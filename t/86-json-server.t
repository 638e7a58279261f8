# SPDX-License-Identifier: BSD-2-Clause
# conf.example/capture-json-server.conf before a REST backend that nobody here
# has written: each mutation is one event.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::Client;
use WSBus::Example;
use WSBus::H2;
use WSBus::JsonServer;
use WSBus::Nginx;

my %rows = (orders => [ { number => 'ORD-1', amount => 42, id => 1 } ]);

for my $run (qw(many1 many2 many3 many4)) {
    $rows{"${run}s"} = [ map { my $n = $_;
        map { { id => "$_-$n", text => 'before' } } qw(PUT PATCH DELETE)
    } 1 .. 50 ];
}

my $backend = WSBus::JsonServer->start(\%rows);

diag('tested with a stand-in for json-server: ' . $backend->stand_in)
    if $backend->stand_in;

my ($nginx, $c, $ws);


sub start {
    my ($workers) = @_;

    $nginx = WSBus::Example::nginx('capture-json-server.conf',
        workers => $workers, change => sub {
            s/127\.0\.0\.1:3000/'127.0.0.1:' . $backend->port/e;
            s/^(\s*)(listen .*?);/$1$2;$1listen 127.0.0.1:%%PORT1%% http2;/m;
            s/^(\s*)(location = \/status)/
              $1location = \/publish { ws_bus_publish events; }$1$2/m;
        })->start;

    ok(WSBus::Nginx::await(sub { $nginx->worker_pids == $workers }),
       "$workers workers");

    $c  = WSBus::Client->new($nginx);
    $ws = $c->open;
    $ws->subscribe({});

    return;
}


sub events { return map { $_->{data}{event} } $ws->sync }

# (status, body, headers) and then the events

sub ask {
    my ($method, $path, $body, %headers) = @_;

    my ($code, $json, $head, $text) = $c->request($method, $path,
        ref $body ? encode_json($body) : $body,
        'Content-Type' => 'application/json', 'X-Request-ID' => 'r-1',
        %headers);

    return ($code, $json, $head, $text, events());
}

sub event {
    return { kind => 'entity', metadata => { origin => 'r-1' }, @_ };
}


start(1);

subtest 'create, read, update, delete' => sub {
    my ($code, $json, $head, $text, @got) =
        ask(POST => '/api/orders', { number => 'ORD-2', amount => 7.5 });

    is($code, 201, 'created');
    is($json->{id}, 2, 'with a number');
    is_deeply(\@got, [ event(action => 'created', entity_type => 'order',
        entity_id => '2', data => $json) ], 'POST');

    ($code, $json, $head, $text, @got) =
        ask(POST => '/api/orders', { id => 'mine', amount => 1 });
    is($code, 201, 'created with an id of ours');
    is_deeply(\@got, [ event(action => 'created', entity_type => 'order',
        entity_id => 'mine', data => $json) ], 'POST');

    ($code, $json, $head, $text, @got) =
        ask(PUT => '/api/orders/2', { amount => 8 });
    is($code, 200, 'replaced');
    is_deeply($json, { id => 2, amount => 8 }, 'the row');
    is_deeply(\@got, [ event(action => 'updated', entity_type => 'order',
        entity_id => '2', data => $json) ], 'PUT');

    ($code, $json, $head, $text, @got) =
        ask(PATCH => '/api/orders/2', { status => 'paid' });
    is($code, 200, 'changed');
    is_deeply($json, { id => 2, amount => 8, status => 'paid' }, 'the row');
    is_deeply(\@got, [ event(action => 'updated', entity_type => 'order',
        entity_id => '2', data => $json) ], 'PATCH');

    for my $path ('/api/orders', '/api/orders/2', '/api/orders?amount=8') {
        ($code, $json, $head, $text, @got) = ask(GET => $path, '');
        is($code, 200, "GET $path");
        is_deeply(\@got, [], 'no event');
    }

    ($code, $json, $head, $text, @got) = ask(DELETE => '/api/orders/2', '');
    is($code, 200, 'deleted');
    is_deeply($json, {}, 'json-server says {}');
    is_deeply(\@got, [ event(action => 'deleted', entity_type => 'order',
        entity_id => '2') ], 'DELETE');
};


subtest 'what fails' => sub {
    for my $case (
        [ 500, POST   => '/api/orders', { id => 'mine' }, 'there already' ],
        [ 400, POST   => '/api/orders', '{', 'not JSON' ],
        [ 404, POST   => '/api/nothing', {}, 'no such collection' ],
        [ 404, PUT    => '/api/orders/77', {}, 'no such row' ],
        [ 404, PATCH  => '/api/orders/77', {}, 'no such row' ],
        [ 404, DELETE => '/api/orders/77', '', 'no such row' ],
    ) {
        my ($status, $method, $path, $body, $what) = @$case;
        my ($code, $json, $head, $text, @got) = ask($method, $path, $body);
        is($code, $status, "$method $path: $what");
        is_deeply(\@got, [], 'no event');
    }
};


subtest 'a response that the backend compresses' => sub {
    my $row = { id => 'long', text => 'long text ' x 500 };

    my $tx = $c->ua->build_tx(POST => $c->url('/api/orders') => {
        'Accept-Encoding' => 'gzip', 'X-Request-ID' => 'r-1',
        'Content-Type' => 'application/json' } => encode_json($row));
    my $zipped;
    $tx->res->content->auto_decompress(0);
    $c->ua->start($tx => sub { $zipped = 1 });
    WSBus::Client::run_until(sub { $zipped });

    is($tx->res->code, 201, 'created');
    is($tx->res->headers->content_encoding, 'gzip', 'gzip reaches the client');
    is_deeply([ events() ], [ event(action => 'created',
        entity_type => 'order', entity_id => 'long', data => $row) ],
        'and not the event');
};


# 50 of each method at once

sub asks {
    my ($run) = @_;

    return map { my $n = $_; (
        [ POST   => "/api/${run}s", { id => "POST-$n", text => "p-$n" } ],
        [ PUT    => "/api/${run}s/PUT-$n", { text => "p-$n" } ],
        [ PATCH  => "/api/${run}s/PATCH-$n", { text => "p-$n" } ],
        [ DELETE => "/api/${run}s/DELETE-$n", undef ],
    ) } 1 .. 50;
}

sub concurrent {
    my ($what, $run, $send) = @_;

    subtest $what => sub {
        is_deeply($send->(asks($run)), { 200 => 150, 201 => 50 },
                  '200 responses');

        my %action = (POST => 'created', DELETE => 'deleted');

        my @expect = sort map { my $n = $_; map {
            my $action = $action{$_} // 'updated';
            my $text   = $_ eq 'DELETE' ? '-' : "p-$n";
            "$action $run $_-$n $text";
        } qw(POST PUT PATCH DELETE) } 1 .. 50;

        my @got = sort map {
            "$_->{action} $_->{entity_type} $_->{entity_id} "
            . ($_->{data} ? $_->{data}{text} : '-');
        } events();

        is_deeply(\@got, \@expect, '200 events, each once');
    };

    return;
}

sub http1 {
    my (@asks) = @_;

    my ($left, %status) = (scalar @asks);

    for my $ask (@asks) {
        my ($method, $path, $body) = @$ask;
        my $tx = $c->ua->build_tx($method => $c->url($path) =>
            { 'Content-Type' => 'application/json' } =>
            $body ? encode_json($body) : '');
        $c->ua->start($tx => sub { $status{ $_[1]->res->code // 0 }++; $left-- });
    }

    WSBus::Client::run_until(sub { !$left }, 60);

    return \%status;
}

sub http2 {
    my (@asks) = @_;

    my %status;
    my @half = map { WSBus::H2->new($nginx->port(1)) } 0, 1;

    for my $n (0 .. $#asks) {
        my ($method, $path, $body) = @{ $asks[$n] };
        $half[ $n % 2 ]->ask($method, $path, $body ? encode_json($body) : undef,
                             'content-type' => 'application/json');
    }

    for my $h2 (@half) {
        $status{ $_->{status} }++ for values %{ $h2->answers };
        $h2->close;
    }

    return \%status;
}


concurrent('200 at once, 1 worker, HTTP/1.1', 'many1', \&http1);
concurrent('200 at once, 1 worker, HTTP/2',   'many2', \&http2);
$nginx->finish;

start(4);
concurrent('200 at once, 4 workers, HTTP/1.1', 'many3', \&http1);
concurrent('200 at once, 4 workers, HTTP/2',   'many4', \&http2);
$nginx->finish;

$backend->stop;


# docs/capture.md: its first configuration, its calls, and what they give

subtest 'the first example of docs/capture.md' => sub {
    my $text = WSBus::Nginx::slurp("$WSBus::Nginx::ROOT/docs/capture.md");

    my ($location) = $text =~ /```nginx\n(.*?)```/s;
    my ($calls)    = $text =~ /these calls\n(.*?)\ngive a client/s;
    my ($filter)   = $text =~ /has subscribed to `(\{.*?\})`/;
    my @expect     = map { decode_json($_) } $text =~ /^    (\{"type":"event".*)$/mg;

    is(scalar @expect, 3, 'three events are printed');

    $backend = WSBus::JsonServer->start({ orders => [] });

    my $port = $backend->port;
    $nginx = WSBus::Nginx->new(http => WSBus::Nginx::minimal(
        http   => "upstream backend { server 127.0.0.1:$port; }",
        server => $location))->start;
    $c  = WSBus::Client->new($nginx);
    $ws = $c->open;
    $ws->subscribe(decode_json($filter));

    $calls =~ s/\\\n\s*/ /g;

    for my $call (grep { /\S/ } split /\n/, $calls) {
        my ($method, $path) = $call =~ m{curl -X (\w+) http://[\d.:]+(/\S+)};
        my %headers = $call =~ /-H '([\w-]+): ([^']*)'/g;
        my ($body)  = $call =~ /-d '([^']*)'/;
        my ($code)  = $c->request($method, $path, $body // '', %headers);
        like($code, qr/^20[01]$/, "$method $path");
    }

    my @got = map { $ws->wait_type('event') } @expect;
    for my $event (@got, @expect) {
        delete $event->{subscription_id};
        delete @{ $event->{data} }{qw(id timestamp)};
    }
    is_deeply(\@got, \@expect, 'give what is printed below it');

    $nginx->finish;
    $backend->stop;
};

done_testing;
