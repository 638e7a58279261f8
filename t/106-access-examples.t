# SPDX-License-Identifier: BSD-2-Clause
# The examples about access do what they say.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(encode_base64);
use Mojo::JSON qw(decode_json);
use Test::More;

use WSBus::Example;
use WSBus::Nginx;
use WSBus::Raw;

my ($nginx, @ports);

# other ports in proxy_pass as well: they are those of the listen lines

sub example {
    my ($name, @files) = @_;

    $nginx = WSBus::Example::nginx($name, workers => 2, change => sub {
        s{127\.0\.0\.1:8090/}{127.0.0.1:%%PORT$ports[-1]%%/}g if @ports;
    });
    while (my ($file, $text) = splice @files, 0, 2) {
        $nginx->write_file($file, $text);
    }
    $nginx->start;
}

sub open_ws {
    my ($host, @headers) = @_;
    my $ws  = WSBus::Raw->new($nginx->port);
    my $res = $ws->handshake(host => $host // '127.0.0.1',
                             headers => [@headers]);
    $ws->read_json if $res->{status} == 101;
    return ($res->{status}, $ws);
}

sub subscribe {
    my ($ws, $filter) = @_;
    $ws->send_text('{"type":"subscribe","filter":' . ($filter // '{}') . '}');
    return $ws->read_json;
}

sub post {
    my ($n, $body, %headers) = @_;
    return WSBus::Raw->new($nginx->port($n))
                     ->post('/publish', $body, %headers)->{status};
}

sub event {
    my ($type, $id, $more) = @_;
    return qq({"action":"created","entity_type":"$type","entity_id":"$id")
           . ($more // '') . '}';
}

sub ids {
    my ($ws, $last) = @_;
    my @ids;
    while ((my $m = $ws->read_json)->{type} eq 'event') {
        push @ids, $m->{data}{event}{entity_id};
        last if $ids[-1] eq $last;
    }
    return "@ids";
}


subtest 'public-read-private-publish' => sub {
    @ports = ();
    example('public-read-private-publish.conf',
            'ws_bus.htpasswd' => "backend:{PLAIN}secret\n");

    my ($status, $ws) = open_ws();
    is($status, 101, 'anybody connects');
    is(subscribe($ws)->{type}, 'subscribed', 'and asks for everything');

    my @user = (Authorization => 'Basic ' . encode_base64('backend:secret', ''));
    is(post(0, event('news', 'x')), 401, 'nobody publishes without a password');
    is(post(0, event('news', 1, ',"data":{"public":true}'), @user), 200, 'news');
    is(post(0, event('news', 2, ',"data":{"public":false}'), @user), 200,
       'news that are not public');
    is(post(0, event('news', 3), @user), 200, 'news that do not say');
    is(post(0, event('order', 4, ',"data":{"public":true}'), @user), 200,
       'something else');
    is(post(0, event('price', 5, ',"data":{"public":true}'), @user), 200,
       'a price');
    is(ids($ws, 5), '1 5', 'only what is public comes');

    is((subscribe($ws))->{type}, 'subscribed', "subscription $_") for 2 .. 8;
    is((subscribe($ws))->{code}, 'too_many_subscriptions', 'one too many');

    my @more = map { (open_ws())[1] } 1 .. 19;
    is(scalar(grep { $_->alive } $ws, @more), 20, '20 connections');
    is((open_ws())[0], 503, 'the 21st of an address');

    my $raw = WSBus::Raw->new($nginx->port);
    $raw->write("GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
    my ($zone) = @{ decode_json($raw->response->{body})->{zones} };
    is($zone->{totals}{refused_connections}, 1, 'is one too many');

    $_->close for $ws, @more;
    $nginx->finish;
};


subtest 'limits-per-client' => sub {
    @ports = (2);
    example('limits-per-client.conf');

    my @ann = (Cookie => 'session=ann');
    my @bob = (Cookie => 'session=bob');
    my $acme = 'acme.example.com';

    is((open_ws($acme))[0], 401, 'nobody');
    is((open_ws('other.example.com', @ann))[0], 400, 'no tenant');
    is((open_ws($acme, @ann, Origin => 'http://evil.example'))[0], 403,
       'a page of somebody else');
    is((open_ws($acme, @ann, Origin => "http://$acme"))[0], 101, 'its own');

    my @ws;
    WSBus::Nginx::await(sub {
        my ($status, $ws) = open_ws($acme, @ann);
        push @ws, $ws if $status == 101;
        return $status == 503;
    });
    is(scalar(grep { $_->alive } @ws), 5, 'five connections of ann');

    my ($status, $bob) = open_ws($acme, @bob);
    is($status, 101, 'bob has his own');
    is((subscribe($bob))->{type}, 'subscribed', 'and listens');
    is(post(1, event('order', 1), 'X-Tenant' => 'globex'), 200, 'of globex');
    is(post(1, event('order', 2, ',"tenant":"acme"'), 'X-Tenant' => 'globex'),
       200, 'globex says acme');
    is(post(1, event('order', 3), 'X-Tenant' => 'acme'), 200, 'of acme');
    is(post(1, event('order', 4)), 400, 'of nobody');
    is(ids($bob, 3), '3', 'only what is of acme comes');

    $_->close for @ws, $bob;
    $nginx->finish;
};


subtest 'behind-auth-request' => sub {
    @ports = (1);
    example('behind-auth-request.conf');

    my @try = (Cookie => 'session=try');

    is((open_ws())[0], 401, 'nobody');
    is((open_ws('bus.example.com', @try, Origin => 'http://b.example'))[0], 403,
       'a page of somebody else');
    my ($status, $ws) = open_ws('bus.example.com', @try,
                                Origin => 'http://bus.example.com');
    is($status, 101, 'its own');
    is((subscribe($ws))->{type}, 'subscribed', 'listens');
    is(post(0, event('order', 1, ',"tenant":"other"')), 200, 'of another');
    is(post(0, event('order', 2, ',"tenant":"acme"')), 200, 'of acme');
    is(ids($ws, 2), '2', 'which alone comes');

    $ws->close;
    $nginx->finish;
};


subtest 'tenants-by-host' => sub {
    @ports = ();
    example('tenants-by-host.conf');

    is((open_ws('other.example.com'))[0], 400, 'a host without a tenant');
    my ($status, $acme) = open_ws('acme.example.com');
    is((subscribe($acme, '{"entity_type":"order"}'))->{type}, 'subscribed',
       'acme listens');
    is(post(1, event('order', 1, ',"tenant":"globex"')), 200, 'of globex');
    is(post(1, event('order', 2, ',"tenant":"acme"')), 200, 'of acme');
    is(ids($acme, 2), '2', 'which alone comes');

    for my $row ([ acme => 1, 1 ], [ globex => 0, 0 ]) {
        my ($tenant, $connections, $filters) = @$row;
        my $raw = WSBus::Raw->new($nginx->port(1));
        $raw->write("GET /tenant-status HTTP/1.1\r\n"
                    . "Host: $tenant.example.com\r\n\r\n");
        my ($zone) = @{ decode_json($raw->response->{body})->{zones} };
        is($zone->{connections}, $connections, "$tenant: connections");
        is(scalar @{ $zone->{filters} }, $filters, "$tenant: filters");
    }

    $acme->close;
    $nginx->finish;
};


done_testing;
