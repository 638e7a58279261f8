#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A backend for conf.example/section-mesaya.conf, on Mojolicious: it keeps entities in memory, wants a token, and publishes
# what changes.
#
#   perl section-backend.pl 3000 http://127.0.0.1:8081/publish

use v5.36;
use Mojolicious::Lite -signatures;

my ($port, $publish) = @ARGV;
my %all = (
    restaurants => { 'r-1' => { id => 'r-1', name => 'Casa Ana' }, 'r-2' => { id => 'r-2', name => 'El Puerto' } },
    tables      => { map { ("t-$_" => { id => "t-$_", seats => 2 + $_ % 3, status => 'free' }) } 1 .. 5 },
);

app->log->level('error');

# Calls of ws_bus come with the client's own token, which nginx has verified already.
under '/api/v1' => sub ($c) {
    return 1 if ($c->req->headers->authorization // '') =~ /^Bearer \S/;
    $c->render(json => { message => 'no token' }, status => 401);
    return undef;
};

get '/:entity' => sub ($c) {
    my $page   = 0 + ($c->param('page')  // 1);
    my $limit  = 0 + ($c->param('limit') // 20);
    my $search = lc($c->param('q') // '');
    my $rows   = $all{ $c->param('entity') } // {};
    my @found  = grep { index(lc($_->{name} // $_->{id}), $search) >= 0 } map { $rows->{$_} } sort keys %$rows;
    my $first  = ($page - 1) * $limit;
    my @items  = $first < @found ? splice(@{ [@found] }, $first, $limit) : ();

    $c->render(json => { items => \@items, total => scalar @found, page => $page, limit => $limit });
};

get '/:entity/:id' => sub ($c) {
    my $row = $all{ $c->param('entity') }{ $c->param('id') };
    $c->render($row ? (json => $row) : (json => { message => 'not found' }, status => 404));
};

patch '/:entity/:id' => sub ($c) {
    my $entity = $c->param('entity');
    my $row    = $all{$entity}{ $c->param('id') };

    return $c->render(json => { message => 'not found' }, status => 404) if !$row;

    my $change  = $c->req->json // {};
    my $section = $c->param('section');
    %$row = (%$row, %$change);

    my $event = { entity => $entity, event_type => 'updated', entity_id => $row->{id}, data => $row,
                  metadata => { length($section // '') ? (sectionId => $section) : () } };

    $c->ua->post_p($publish => json => $event)->then(sub ($tx) {
        $c->render(json => $row);
    })->catch(sub ($error) {
        $c->render(data => '', status => 503);
    });
};

app->start('daemon', '-l', "http://127.0.0.1:$port");
