# SPDX-License-Identifier: BSD-2-Clause
# Which event reaches which subscription.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Client;
use WSBus::Id;
use WSBus::Nginx;

my $nginx = WSBus::Nginx->new(
    workers => 2, http => WSBus::Nginx::minimal())->start;
my $c = WSBus::Client->new($nginx);

my $U1 = '0a1b2c3d-4e5f-6789-abcd-ef0123456789';
my $U2 = '00000000-0000-0000-0000-000000000002';

my %event = (
    created => { action => 'created', entity_type => 'order', entity_id => $U1,
                 data => {} },
    updated => { kind => 'entity', action => 'updated', entity_type => 'order',
                 entity_id => $U2, data => {} },
    deleted => { action => 'deleted', entity_type => 'invoice',
                 entity_id => $U1 },
    word    => { action => 'status_changed', entity_type => 'order',
                 entity_id => 'o-1', data => {} },
    number  => { action => 'created', entity_type => 'row', entity_id => 42,
                 data => {} },
    big     => { action => 'created', entity_type => 'row',
                 entity_id => '9007199254740993', data => {} },
    upper   => { action => 'created', entity_type => 'Order',
                 entity_id => uc $U2, data => {} },
    utf8    => { action => 'created', entity_type => 'préf', entity_id => '✓',
                 data => {} },
    link    => { kind => 'link', action => 'created', link_type => 'has_invoice',
                 link_id => $U1, source_id => $U2, target_id => $U2 },
    unlink  => { kind => 'link', action => 'deleted', link_type => 'has_invoice',
                 link_id => $U2, source_id => $U1, target_id => $U1 },
);

my @all = sort keys %event;
my @entity = grep { !/link/ } @all;

my @table = (
    [ 'nothing asked', {} => @all ],
    [ 'null is nothing asked', { kind => undef, entity_type => undef,
      entity_id => undef, event_type => undef } => @all ],
    [ 'unknown fields', { color => 'red' } => @all ],

    [ 'entity_type', { entity_type => 'order' } => qw(created updated word) ],
    [ 'entity_type, case counts', { entity_type => 'Order' } => 'upper' ],
    [ 'entity_type of UTF-8', { entity_type => 'préf' } => 'utf8' ],
    [ 'entity_type, a part of it', { entity_type => 'ord' } ],
    [ 'entity_type, more than it', { entity_type => 'orders' } ],
    [ 'entity_type *', { entity_type => '*' } ],
    [ 'entity_type empty', { entity_type => '' } ],
    [ 'entity_type and blank', { entity_type => 'order ' } ],

    [ 'kind entity', { kind => 'entity' } => @entity ],
    [ 'kind link', { kind => 'link' } => qw(link unlink) ],
    [ 'kind foo', { kind => 'foo' } ],
    [ 'kind Entity', { kind => 'Entity' } ],

    [ 'event_type created', { event_type => 'created' }
      => qw(created number big upper utf8 link) ],
    [ 'event_type deleted', { event_type => 'deleted' } => qw(deleted unlink) ],
    [ 'event_type, any word', { event_type => 'status_changed' } => 'word' ],
    [ 'event_type foo', { event_type => 'foo' } ],
    [ 'action is event_type', { action => 'deleted' } => qw(deleted unlink) ],

    [ 'entity_id', { entity_id => $U1 } => qw(created deleted link) ],
    [ 'entity_id in capitals', { entity_id => uc $U1 }
      => qw(created deleted link) ],
    [ 'entity_id of 32 digits', { entity_id => $U1 =~ tr/-//dr }
      => qw(created deleted link) ],
    [ 'entity_id in braces', { entity_id => "{$U1}" }
      => qw(created deleted link) ],
    [ 'entity_id as URN', { entity_id => "urn:uuid:$U1" }
      => qw(created deleted link) ],
    [ 'entity_id, event in capitals', { entity_id => $U2 }
      => qw(updated upper unlink) ],
    [ 'entity_id, a word', { entity_id => 'o-1' } => 'word' ],
    [ 'entity_id, another case of a word', { entity_id => 'O-1' } ],
    [ 'entity_id, a number', { entity_id => 42 } => 'number' ],
    [ 'entity_id, the digits', { entity_id => '42' } => 'number' ],
    [ 'entity_id, other digits', { entity_id => '042' } ],
    [ 'entity_id above 2^53', { entity_id => '9007199254740993' } => 'big' ],
    [ 'entity_id beside it', { entity_id => '9007199254740992' } ],
    [ 'entity_id of UTF-8', { entity_id => '✓' } => 'utf8' ],

    [ 'two fields', { entity_type => 'order', event_type => 'created' }
      => 'created' ],
    [ 'two fields, one is wrong', { entity_type => 'order',
      event_type => 'deleted' } ],
    [ 'three fields', { kind => 'entity', entity_type => 'order',
      event_type => 'updated' } => 'updated' ],
    [ 'four fields', { kind => 'entity', entity_type => 'order',
      event_type => 'updated', entity_id => $U2 } => 'updated' ],
    [ 'four fields, the last is wrong', { kind => 'entity',
      entity_type => 'order', event_type => 'updated', entity_id => $U1 } ],

    [ 'links have no entity_type', { kind => 'link', entity_type => 'order' } ],
    [ 'nor is link_type one', { kind => 'link', entity_type => 'has_invoice' } ],
    [ 'link by link_id', { kind => 'link', entity_id => $U1 } => 'link' ],
    [ 'link by event_type', { kind => 'link', event_type => 'deleted' }
      => 'unlink' ],
    [ 'link, all that it has', { kind => 'link', event_type => 'deleted',
      entity_id => $U2 } => 'unlink' ],

    [ 'array of entity_type', { entity_type => [qw(invoice row)] }
      => qw(deleted number big) ],
    [ 'array of one', { entity_type => ['invoice'] } => 'deleted' ],
    [ 'array with a word twice', { entity_type => [qw(invoice invoice)] }
      => 'deleted' ],
    [ 'array of event_type', { event_type => [qw(updated deleted)] }
      => qw(updated deleted unlink) ],
    [ 'array of kind', { kind => [qw(entity link)] } => @all ],
    [ 'array of kind, one unknown', { kind => [qw(foo link)] }
      => qw(link unlink) ],
    [ 'array of entity_id', { entity_id => [ 42, 'o-1', uc $U2 ] }
      => qw(number word updated upper unlink) ],
    [ 'two arrays', { entity_type => [qw(order invoice)],
      event_type => [qw(created deleted)] } => qw(created deleted) ],
    [ 'four arrays', { kind => [qw(entity link)],
      entity_type => [qw(order invoice row)],
      event_type => [qw(created updated)],
      entity_id => [ $U2, '42' ] } => qw(updated number) ],
    [ '128 values', { entity_id => [ map({ "x-$_" } 1 .. 127), 'o-1' ] }
      => 'word' ],
);


sub publish_all {
    my (undef, $reply) = $c->publish([ @event{@all} ]);
    return $reply;
}

sub names {
    my ($first, @events) = @_;

    my $zero = seq_of($first);

    return map { $all[ seq_of($_->{data}{id}) - $zero ] }
           @events;
}


for my $row (@table) {
    my ($what, $filter, @expect) = @$row;

    my $ws = $c->open;
    is($ws->subscribe($filter)->{type}, 'subscribed', "$what: accepted");

    my $reply = publish_all();
    my @got   = names($reply->{first_id}, $ws->sync);

    is(join(' ', @got), join(' ', sort @expect), $what);
    is($reply->{subscribers}, scalar @expect, "$what: counted");

    $ws->finish;
}


subtest 'all of them on one connection' => sub {
    my $ws = $c->open;
    $ws->subscribe($_->[1]) for @table;

    my $reply = publish_all();
    my %got;

    for my $event ($ws->sync) {
        push @{ $got{ $event->{subscription_id} } },
            names($reply->{first_id}, $event);
    }

    for my $i (0 .. $#table) {
        my ($what, undef, @expect) = @{ $table[$i] };
        is(join(' ', @{ $got{ 'sub_' . ($i + 1) } // [] }),
           join(' ', sort @expect), $what);
    }

    $ws->finish;
};


subtest 'a subscription that is gone matches no more' => sub {
    my $ws = $c->open;

    $ws->subscribe({ entity_type => [qw(order row)] });
    $ws->ask({ type => 'unsubscribe', subscription_id => 'sub_1' });

    is(publish_all()->{subscribers}, 0, 'none is counted');
    is(scalar(my @got = $ws->sync), 0, 'nothing comes');

    $ws->finish;
    $ws = $c->open;
    $ws->subscribe({});
    $ws->finish;

    ok(WSBus::Client::run_until(sub { publish_all()->{subscribers} == 0 }),
       'none is counted after a disconnect');
};


subtest 'an event of a tenant is not for those without' => sub {
    my $ws = $c->open;
    $ws->subscribe({ entity_type => 'order' });
    $ws->subscribe({});

    my $order = sub {
        my ($id, @more) = @_;
        return { action => 'created', entity_type => 'order', entity_id => $id,
                 data => {}, @more };
    };

    my (undef, $none) = $c->publish($order->('none'));
    my (undef, $acme) = $c->publish($order->('acme', tenant => 'acme'));

    is(join(' ', map { $_->{data}{event}{entity_id} } $ws->sync), 'none none',
       'only that without a tenant comes');
    is($none->{subscribers}, 2, 'it is counted');
    is($acme->{subscribers}, 0, 'the other is not');
    is($acme->{published}, 1, 'though it is published');
};


$nginx->finish;
done_testing;
