#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A backend for conf.example/action.conf, on Mojolicious: it takes commands and publishes what comes of them.
#
#   perl action-backend.pl 3000 http://127.0.0.1:8081/publish

use v5.36;
use Mojolicious::Lite -signatures;
use Mojo::JSON qw(decode_json);

my ($port, $publish) = @ARGV;
my $orders = 0;

app->log->level('error');

post '/commands' => sub ($c) {
    my $action = eval { decode_json($c->req->body) };
    my ($name, $with) = ref $action eq 'HASH' ? %$action : ($action // '', {});

    if ($name ne 'PlaceOrder') {
        return $c->render(json => { error => "Invalid action format: unknown action `$name`" }, status => 422);
    }
    if (!$with->{customer}) {
        return $c->render(json => { error => 'Invalid action format: missing field `customer`' }, status => 422);
    }

    my $placed = { OrderPlaced => { %$with, id => ++$orders } };

    $c->ua->post_p($publish => json => $placed)->then(sub ($tx) {
        $c->render(data => '', status => $tx->res->is_success ? 202 : 503);
    })->catch(sub ($error) {
        $c->render(data => '', status => 503);
    });
};

app->start('daemon', '-l', "http://127.0.0.1:$port");
