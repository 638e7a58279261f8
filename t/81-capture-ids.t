# SPDX-License-Identifier: BSD-2-Clause
# Capture: which row a mutation is about.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::Backend;
use WSBus::Capture;
use WSBus::H2;

start_capture();


subtest 'id' => sub {
    my $at = sub {
        my ($what, $uri, $body, $id, %o) = @_;
        gives($what,
              [ POST => $uri, status => 201,
                reply => json(201, $body, headers =>
                    [ 'Content-Type' => 'application/json',
                      @{ $o{headers} // [] } ]) ],
              { action => 'created', entity_type => $o{type} // 'orders',
                entity_id => $id, data => decode_json($body) });
    };

    $at->('a string', '/orders', '{"n":1,"id":"o-7"}', 'o-7');
    $at->('a number', '/orders', '{"id":123456789012345678}',
          '123456789012345678');
    $at->('an escaped string', '/orders', '{"id":"\u00e9\u2713\/"}',
          "\x{e9}\x{2713}/");
    $at->('an escaped key', '/orders', '{"\u0069d":"o-7"}', 'o-7');
    $at->('of the row, not of what is in it', '/orders',
          '{"o":{"id":"no"},"id":"yes"}', 'yes');

    my @location = (headers => [ Location => '/orders/l-3' ]);

    $at->('the body before Location', '/orders', '{"id":"b"}', 'b', @location);
    $at->('Location', '/orders', '{"n":1}', 'l-3', @location);
    $at->('Location, a whole URL', '/orders', '{"n":1}', 'l-4',
          headers => [ Location => "http://$odd/orders/l-4" ]);
    $at->('Location, slash and arguments', '/orders', '{"n":1}', 'l-5',
          headers => [ Location => '/orders/l-5/?a=/b#c' ]);

    for my $case ([ 'null', 'null' ], [ 'an object', '{"a":1}' ],
                  [ 'a list', '[1]' ], [ 'true', 'true' ],
                  [ 'a fraction', '1.5' ], [ 'empty', '""' ])
    {
        $at->("$case->[0]: Location", '/orders', qq({"id":$case->[1]}), 'l-3',
              @location);
    }

    $at->('the URI', '/orders/u-1', '{"n":1}', 'u-1');
    $at->('the URI, with a slash', '/orders/u-1/?x=1', '{"n":1}', 'u-1');
    $at->('the URI, decoded', '/orders/a%20%C3%A9', '{"n":1}', "a \x{e9}");

    $at->('a dotted path', '/dotted/x', '{"id":1,"data":{"item":{"id":"d"}}}',
          'd', type => 'order');
    $at->('a dotted path that is not there', '/dotted/x', '{"id":1}', 'l-3',
          type => 'order', @location);
    $at->('a dotted path through a string', '/dotted/x', '{"data":"x"}', 'x',
          type => 'order');

    gives('a variable', [ POST => '/var/x', status => 201,
              reply => json(201, '{"id":"no"}', headers => [ 'X-Id' => 'v' ]) ],
          { action => 'created', entity_type => 'x', entity_id => 'v',
            data => { id => 'no' } });

    gives('no body: Location', [ POST => '/orders', status => 201,
              reply => json(201, '', headers => [ Location => '/orders/l' ]) ],
          { action => 'created', entity_type => 'orders', entity_id => 'l' });
};


# as nginx hands it out, each of these is another path

subtest 'the path as it was sent' => sub {
    for my $case (
        [ '/api/langs/C%23',        'langs',   'C#' ],
        [ '/api/q/what%3Fnow?a=b',  'q',       'what?now' ],
        [ '/api/q/a%2Fb',           'q',       'a/b' ],
        [ '/api/q/a%2F%2Fb/',       'q',       'a//b' ],
        [ '/api/q/100%25',          'q',       '100%' ],
        [ '/api/q/%252F',           'q',       '%2F' ],
        [ '/api/q/a+b;c=d',         'q',       'a+b;c=d' ],
        [ '/api/Order%23s/1',       'Order#s', '1' ],
        [ '/api/a%2Fb/1',           'a/b',     '1' ],
        [ '/api/x/../langs/C%23',   'langs',   'C#' ],
        [ '/api/langs/C%23/x/..',   'langs',   'C#' ],
        [ '/moved/langs/C%23',      'langs',   'C#' ],
        [ '/moved/q/a%2Fb',         'q',       'a/b' ],
        [ '/other/q/a%2Fb?id=7',    'q',       '7' ],
    ) {
        my ($uri, $entity, $id) = @$case;
        gives("DELETE $uri", [ DELETE => $uri, reply => json(204, ''),
                               status => 204 ],
              { action => 'deleted', entity_type => $entity,
                entity_id => $id });
    }

    for my $case ([ '/langs/C%23', 'C#' ], [ '/q/a%2Fb', 'a/b' ],
                  [ '/', 'u' ], [ 'http://a.b:8080', 'u' ])
    {
        my ($location, $id) = @$case;
        gives("Location: $location", [ POST => '/orders/u', status => 201,
                  reply => json(201, '', headers => [ Location => $location ]) ],
              { action => 'created', entity_type => 'orders',
                entity_id => $id });
    }

    my $h2 = WSBus::H2->new($nginx->port(2));
    $backend->leave('h2raw', json(204, ''));
    $h2->ask(DELETE => '/api/q/a%2Fb', undef, 'x-reply' => 'h2raw',
             'x-request-id' => 'r-1');
    $h2->answers;
    is_deeply([ events() ], [ event(action => 'deleted', entity_type => 'q',
                                    entity_id => 'a/b') ], 'HTTP/2, too');
};


# an event is told of its row, or not at all

subtest 'an id that cannot be told' => sub {
    my $l = '/orders/l-3';

    my $none = sub {
        my ($what, $location, @ask) = @_;
        my $from = length $nginx->error_log;
        gives("$what: no event", \@ask);
        my $line = qr/\[error\].*capture: no event of a mutation in location/;
        ok($nginx->await_log(qr/$line "\Q$location\E": .*(?:256|no id)/, $from),
           'an error, with the location');
    };

    my $gone = json(204, '');
    my $row  = sub { json(200, qq({"id":$_[0]}), headers => [
        'Content-Type' => 'application/json', Location => $l ]) };

    my @delete = (status => 204, reply => $gone);

    gives('256 bytes', [ DELETE => '/orders/' . 'x' x 256, @delete ],
          { action => 'deleted', entity_type => 'orders',
            entity_id => 'x' x 256 });

    $none->('257 bytes', '/orders', DELETE => '/orders/' . 'x' x 257, @delete);
    $none->('not UTF-8', '/orders', DELETE => '/orders/a%FFb', @delete);
    $none->('an entity of 257 bytes', '/api/',
            DELETE => '/api/' . 'x' x 257 . '/1', @delete);
    $none->('an entity that is not UTF-8', '/api/', DELETE => '/api/%FF/1',
            @delete);
    $none->('257 bytes in the body', '/orders', PUT => '/orders/7',
            status => 200, reply => $row->('"' . 'x' x 257 . '"'));
    $none->('257 digits', '/orders', PUT => '/orders/7',
            status => 200, reply => $row->('1' x 257));
    $none->('an escaped NUL', '/orders', PUT => '/orders/7', status => 200,
            reply => $row->('"a\u0000b"'));
    $none->('half a surrogate', '/orders', PUT => '/orders/7', status => 200,
            reply => $row->('"a\ud800"'));
    $none->('257 bytes in Location', '/orders', POST => '/orders',
            status => 201, reply => json(201, '', headers =>
                [ Location => '/orders/' . 'x' x 257 ]));
    $none->('257 bytes by ws_bus_capture_id', '/var/', POST => '/var/x',
            status => 201, reply => json(201, '{"id":"b"}',
                headers => [ 'X-Id' => 'v' x 257 ]));
    $none->('no UTF-8 by ws_bus_capture_id', '/var/', POST => '/var/x',
            status => 201, reply => json(201, '{"id":"b"}',
                headers => [ 'X-Id' => "\xff" ]));
    $none->('no UTF-8 by ws_bus_capture_entity', '/var/', POST => '/var/x',
            status => 201, headers => { 'X-Entity' => "\xff" },
            reply => json(201, '{"id":"b"}'));

    gives('one of a list', [ POST => '/orders', status => 201,
              reply => json(201, '[{"id":1},{"id":"a\u0000"},{"id":2}]') ],
          map { { action => 'created', entity_type => 'orders',
                  entity_id => $_, data => { id => $_ + 0 } } } '1', '2');
};


subtest 'repeated keys' => sub {
    gives('the last one counts', [ POST => '/orders/u', status => 201,
              reply => json(201, '{"id":"a","\u0069d":"b","n":1,"id":"c"}') ],
          { action => 'created', entity_type => 'orders', entity_id => 'c',
            data => { id => 'c', n => 1 } });
    gives('on the way to it', [ POST => '/dotted/x', status => 201,
              reply => json(201, '{"data":{"item":{"id":"no"}},'
                                 . '"data":{"item":{"id":"yes"}}}') ],
          { action => 'created', entity_type => 'order', entity_id => 'yes',
            data => { data => { item => { id => 'yes' } } } });
};


$nginx->finish;
$backend->stop;

done_testing;
