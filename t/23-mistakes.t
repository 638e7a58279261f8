# Each of the usual mistakes is typed, and what comes back says what it is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(http => WSBus::Nginx::minimal())->start;
my $port  = $nginx->port;


sub ask {
    my ($ws, $message) = @_;
    $ws->send_text($message);
    return $ws->read_json;
}

sub post {
    my ($body, %head) = @_;
    my $raw = WSBus::Raw->new($port);
    my $res = $raw->post('/publish', $body, %head);
    $raw->close;
    return decode_json($res->{body});
}

sub order {
    return { action => 'created', entity_type => 'order', entity_id => 'o-1',
             @_ };
}


subtest 'a field that no filter has' => sub {
    my $ws = WSBus::Raw->open($port);

    my $got = ask($ws, '{"type":"subscribe","filter":{"entitytype":"order"}}');
    is_deeply($got->{filter}, {}, 'it selects everything');
    is_deeply($got->{ignored}, ['filter.entitytype'], 'and the answer says why');

    $got = ask($ws, '{"type":"subscribe","filter":{"entity_type":"order"},'
                    . '"Since":"first","wheer":[],"id":"7"}');
    is_deeply($got->{ignored}, [qw(Since wheer)], 'beside the filter, too');

    $got = ask($ws, '{"type":"subscribe","filter":{"entity_type":"order",'
                    . '"nothing":null},"where":[],"snapshot":false}');
    ok(!exists $got->{ignored}, 'nothing is said where all is understood');

    my @names = map { sprintf 'n%02d', $_ } 1 .. 60;
    $got = ask($ws, encode_json({ type => 'subscribe',
        filter => { (map { $_ => 1 } @names), 'x' x 5000 => 1 } }));
    is(scalar @{ $got->{ignored} }, 9, 'what is said is bounded: 8 names');
    is($got->{ignored}[8], '...', 'and that there are more');
    is(scalar(grep { /^filter\.n\d\d$/ } @{ $got->{ignored} }), 8, 'short ones');

    $ws->close;
};


subtest 'action is event_type' => sub {
    my $ws = WSBus::Raw->open($port);

    my $got = ask($ws, '{"type":"subscribe","filter":{"action":"deleted"}}');
    is_deeply($got->{filter}, { event_type => 'deleted' }, 'understood so');
    ok(!exists $got->{ignored}, 'and not ignored');

    post(encode_json([ order(), order(action => 'deleted', entity_id => 2) ]));
    is($ws->read_json->{data}{event}{entity_id}, 2, 'it selects by the action');

    $got = ask($ws, '{"type":"subscribe","filter":{"action":"a",'
                    . '"event_type":"b"}}');
    is($got->{code}, 'bad_filter', 'both, and different');
    like($got->{message}, qr/filter\.action and filter\.event_type differ/,
         'named');

    $ws->close;
};


subtest 'a type that is none' => sub {
    my $ws  = WSBus::Raw->open($port);
    my $got = ask($ws, '{"type":"authenticate","token":"x"}');

    is($got->{code}, 'unknown_type', 'unknown');
    like($got->{message}, qr/`$_`/, "$_ is listed")
        for qw(subscribe unsubscribe ping auth);

    $ws->close;
};


subtest 'a field that no event has' => sub {
    my $ws = WSBus::Raw->open($port);
    ask($ws, '{"type":"subscribe","filter":{}}');

    my $got = post(encode_json(order(payload => { amount => 1 })));
    is($got->{published}, 1, 'it is published');
    is_deeply($got->{ignored}, ['payload'], 'and the answer names it');
    ok(!exists $ws->read_json->{data}{event}{data}, 'which is without data');

    $got = post(encode_json([ map { order(payload => 1, Data => 2) } 1 .. 50 ]));
    is_deeply([ sort @{ $got->{ignored} } ], [qw(Data payload)],
              'in a batch each name comes once');

    $got = post(encode_json(order(map { ("n$_" => 1) } 1 .. 60)));
    is(scalar @{ $got->{ignored} }, 9, 'what is said is bounded');

    $got = post(encode_json({ id => 'x', from => 'me', event => order(id => 1) }));
    is_deeply([ sort @{ $got->{ignored} } ], [qw(event.id from)],
              'in an envelope');

    $got = post(encode_json(order(data => { payload => 1 }, old => { x => 1 })));
    ok(!exists $got->{ignored}, 'what stands in data is not looked at');

    my $text = encode_json(order(payload => 1));
    my @again = map { post($text, 'Idempotency-Key' => 'k') } 1, 2;
    is_deeply($again[1], $again[0], 'said again with a repeated request');
    is_deeply($again[0]{ignored}, ['payload'], 'the same');

    $ws->close;
};


$nginx->finish;
done_testing;
