# SPDX-License-Identifier: BSD-2-Clause
# Capture before a backend that begins with 100 Continue or 103 Early Hints:
# what it answers then is the mutation.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Compress::Gzip qw(gzip $GzipError);
use Mojo::JSON qw(decode_json encode_json);
use Test::More;

use WSBus::Backend;
use WSBus::Capture;
use WSBus::H2;
use WSBus::Nginx;
use WSBus::Raw;

start_capture(main => 'worker_shutdown_timeout 10s;');

my $continue = "HTTP/1.1 100 Continue\r\n\r\n";
my $hints    = "HTTP/1.1 103 Early Hints\r\n"
               . "Link: </style.css>; rel=preload\r\nLocation: /no\r\n\r\n";

my %event = (action => 'created', entity_type => 'orders',
             entity_id => 'o-1', data => $data);


# nothing but the log tells of it

sub unknown {
    my ($what, $location, @ask) = @_;

    my $from = length $nginx->error_log;
    gives("$what: no event", \@ask);
    ok($nginx->await_log(qr/\[error\].*no event of a mutation in location "\Q$location\E": .*1xx/,
                         $from), 'an error, with the location');
    return;
}


for my $case ([ 'at once', '' ], [ 'later', $WSBus::Backend::HOLD ]) {
    my ($when, $hold) = @$case;

    for my $first ([ '100', $continue ], [ '103', $hints ],
                   [ '100 and 103', $continue . $hints ])
    {
        my ($what, $bytes) = @$first;

        subtest "$what, then 201 $when" => sub {
            my $name = next_name(1);
            $backend->leave($name, $bytes . $hold . $created);

            my $raw = WSBus::Raw->new($nginx->port);
            $raw->write(request(POST => '/orders',
                                headers => { 'X-Reply' => $name }));

            if ($hold) {
                ok(WSBus::Nginx::await(sub { $backend->got($name) }),
                   'the backend has the request');
                $backend->go($name);
            }

            like(whole($raw), qr/\r\n\r\nHTTP\/1\.1 201 .*42\.0\}/s,
                 'the client gets its 201');
            is_deeply([ events() ], [ event(%event) ], 'one event');
        };
    }
}


subtest 'as the response proper says' => sub {
    gives('a Location', [ POST => '/orders', reply => $hints . json(201, '',
              headers => [ Location => '/orders/C%23' ]) ],
          { action => 'created', entity_type => 'orders',
            entity_id => 'C#' });
    gives('DELETE, 204', [ DELETE => '/orders/7', reply => $hints . json(204, '') ],
          { action => 'deleted', entity_type => 'orders', entity_id => '7' });
    gives('chunks', [ POST => '/orders', reply => $hints
              . WSBus::Backend::chunked(201, '{"id":"o-1","amount":42.0}', 7) ],
          \%event);
    gives('HTTP/1.0', [ POST => '/orders', reply => $hints
              . json(201, '{"id":"o-1","amount":42.0}', version => 'HTTP/1.0',
                     length => undef) ], \%event);
    gives('not buffered', [ POST => '/unbuffered/orders',
                            reply => $hints . $created ], \%event);

    gzip(\'{"id":"o-1","amount":42.0}', \my $zipped) or die $GzipError;
    gives('gzip', [ POST => '/orders', reply => $hints . json(201, $zipped,
              headers => [ 'Content-Encoding' => 'gzip' ]) ], \%event);

    my $long = encode_json({ id => 'o-1', text => 'y' x 200_000 });
    gives('long', [ POST => '/eleven/orders', reply => $hints . json(201, $long) ],
          { %event, data => decode_json($long) });

    my $over = encode_json({ id => 'x', text => 'y' x 300_000 });
    gives('over ws_bus_capture_max_body', [ POST => '/orders/o-1',
              reply => $hints . json(201, $over) ],
          { action => 'created', entity_type => 'orders', entity_id => 'o-1',
            truncated => 1 });

    gives("a failure, $_",
          [ POST => '/orders', reply => $hints . json($_, '{"id":1}') ])
        for 303, 409, 500;
    gives('GET', [ GET => '/orders', reply => $hints . $created ]);
    gives('capture is off', [ POST => '/api/orders/off/',
                              reply => $hints . $created ]);
    gives('cut', [ POST => '/orders', reply => $hints . json(201, '{"id":1}',
                                                         length => 100) ]);
};


subtest 'a connection that stays open' => sub {
    my $name = next_name(1);

    # the backend ends nothing before it is told to
    $backend->leave($name, $hints . $created . $WSBus::Backend::HOLD);

    my $raw = WSBus::Raw->new($nginx->port);
    $raw->write(request(POST => '/unbuffered/orders',
                        headers => { 'X-Reply' => $name }));

    is_deeply($ws->wait_type('event')->{data}{event}, event(%event),
              'the event does not wait for its end');
    $backend->go($name);
    like(whole($raw), qr/HTTP\/1\.1 201 .*42\.0\}/s, 'the client has its 201');
    is_deeply([ events() ], [], 'and no more');
};


subtest 'HTTP/2' => sub {
    my $h2 = WSBus::H2->new($nginx->port(2));
    $backend->leave('h2hints', $hints . $created);
    $h2->ask(POST => '/orders', '{}', 'x-reply' => 'h2hints',
             'x-request-id' => 'r-1');
    is_deeply($ws->wait_type('event')->{data}{event}, event(%event),
              'one event');
};


subtest 'what cannot be told is logged' => sub {
    unknown('nothing follows', '/orders', POST => '/orders', reply => $hints);
    unknown('no HTTP follows', '/orders', POST => '/orders',
            reply => $hints . '{"id":"o-1"}');
    unknown('a header without an end', '/api/', POST => '/api/orders',
            reply => $hints . "HTTP/1.1 201 Created\r\nX-");

    my $from = length $nginx->error_log;
    my $name = next_name(1);
    $backend->leave($name, $hints . $WSBus::Backend::HOLD . $created);
    my $raw = WSBus::Raw->new($nginx->port);
    $raw->write(request(POST => '/leave/x', headers => { 'X-Reply' => $name }));
    ok(WSBus::Nginx::await(sub { $backend->got($name) }), 'asked');
    $raw->vanish;
    ok($nginx->await_log(qr/location "\/leave\/": .*1xx/, $from),
       'a client that does not wait');
    $backend->go($name);
    is_deeply([ events() ], [], 'no event');
};


$nginx->finish;
$backend->stop;

done_testing;
