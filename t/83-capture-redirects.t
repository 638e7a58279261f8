# SPDX-License-Identifier: BSD-2-Clause
# Capture: who answers in the end, and in whose name.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Backend;
use WSBus::Capture;
use WSBus::Nginx;

start_capture();


subtest 'error_page' => sub {
    my %ask = (second => json(201, '{"id":"second"}'));

    for my $case ([ 404, 200 ], [ 409, 409 ], [ 410, 200 ], [ 500, 201 ],
                  [ 502, 502 ])
    {
        my ($from, $to) = @$case;
        gives("$from becomes $to: none",
              [ POST => '/errors/x', reply => json($from, '{"id":"first"}'),
                status => $to, %ask ]);
    }

    gives('a success is not touched',
          [ POST => '/errors/x', reply => $created, status => 201, %ask ],
          { action => 'created', entity_type => 'x', entity_id => 'o-1',
            data => $data });

    for my $method (qw(POST PUT PATCH)) {
        gives("$method: the fallback captures",
              [ $method, '/errors/x', reply => json(503, '{"id":"first"}'),
                status => 201, %ask ],
              { action => $method eq 'POST' ? 'created' : 'updated',
                entity_type => 'errors', entity_id => 'second',
                data => { id => 'second' } });
    }

    gives('the fallback fails',
          [ POST => '/errors/x', reply => json(503, ''), status => 422,
            second => json(422, '{"id":"second"}') ]);
    gives('the backend is down, nginx says 200',
          [ POST => '/down/x', status => 200 ]);
};


subtest 'X-Accel-Redirect' => sub {
    $nginx->write_file('html/file.json', '{"id":"file"}');

    my $accel = sub {
        my ($status, $to) = @_;
        return json($status, '{"id":"gone"}',
                    headers => [ 'X-Accel-Redirect' => $to ]);
    };

    gives('to a file',
          [ POST => '/api/orders/o-1', reply => $accel->(200,
            '/inside/file.json'), status => 200 ],
          { action => 'created', entity_type => 'orders', entity_id => 'o-1',
            truncated => 1 });
    gives('to a backend',
          [ POST => '/api/orders/o-1', reply => $accel->(200,
            '/mirrored/plain/x'), status => 500 ],
          { action => 'created', entity_type => 'orders', entity_id => 'o-1',
            truncated => 1 });
    gives('to another location that captures',
          [ DELETE => '/api/orders/o-1', reply => $accel->(200, '/returns/'),
            status => 201 ],
          { action => 'deleted', entity_type => 'orders', entity_id => 'o-1' });
    gives('to a named location',
          [ PUT => '/api/orders/o-1', reply => $accel->(200, '@inside'),
            second => json(200, '{"id":"second"}'), status => 200 ],
          { action => 'updated', entity_type => 'orders', entity_id => 'o-1',
            truncated => 1 });
    gives('to the same location',
          [ POST => '/accel/o-1', reply => $accel->(200, '/accel/again'),
            second => json(200, '{"id":"second"}'), status => 200 ],
          { action => 'created', entity_type => 'o-1', entity_id => 'o-1',
            truncated => 1 });
    gives('to a named location that captures: once',
          [ PUT => '/api/orders/o-1', reply => $accel->(200, '@second'),
            second => json(200, '{"id":"second"}'), status => 200 ],
          { action => 'updated', entity_type => 'orders', entity_id => 'o-1',
            truncated => 1 });
    gives('to what is not there',
          [ DELETE => '/api/orders/o-1', reply => $accel->(200,
            '/inside/none'), status => 404 ],
          { action => 'deleted', entity_type => 'orders', entity_id => 'o-1' });
    gives('of an error: none',
          [ POST => '/api/orders/o-1', reply => $accel->(422,
            '/inside/file.json'), status => 200 ]);
    gives('of a GET: none',
          [ GET => '/api/orders/o-1', reply => $accel->(200,
            '/inside/file.json'), status => 200 ]);
};


subtest 'answers of nginx itself' => sub {
    gives('return 201', [ POST => '/returns/x', status => 201 ],
          { action => 'created', entity_type => 'x', entity_id => 'r-1',
            data => { id => 'r-1' } });
    gives('return 204', [ DELETE => '/returns/204', status => 204 ],
          { action => 'deleted', entity_type => '204', entity_id => '204' });
    gives('return 303: none', [ POST => '/returns/303', status => 303 ]);
    gives('return 409: none', [ POST => '/returns/409', status => 409 ]);
    gives('GET: none', [ GET => '/returns/x', status => 201 ]);

    subtest 'dav' => sub {
        my ($code) = $c->request(PUT => '/dav/a/b.txt', 'text',
                                 'X-Request-ID' => 'r-1');
        is($code, 201, 'put');
        is_deeply([ events() ], [ event(action => 'updated',
            entity_type => 'a', entity_id => 'b.txt') ], 'one event');
        ($code) = $c->request(DELETE => '/dav/a/b.txt', '',
                              'X-Request-ID' => 'r-1');
        is($code, 204, 'deleted');
        is_deeply([ events() ], [ event(action => 'deleted',
            entity_type => 'a', entity_id => 'b.txt') ], 'one event');
    };
};


subtest 'subrequests' => sub {
    my $event = { action => 'created', entity_type => 'x', entity_id => 'o-1',
                  data => $data };
    my @second = (second => json(200, '{"id":"sub"}'));

    gives('auth_request', [ POST => '/guarded/x', reply => $created, @second,
                            status => 201 ], $event);
    gives('auth_request says no',
          [ POST => '/guarded/x', reply => $created, status => 403,
            second => json(403, '') ]);
    gives('mirror', [ POST => '/mirrored/x', reply => $created, @second,
                      status => 201, body => '{}' ], $event);

    subtest 'mirror of what is not captured' => sub {
        ask(POST => '/mirrored/plain/x', reply => $created, @second,
            status => 201, body => '{}');
        ok(WSBus::Nginx::await(sub { $backend->got(next_name()) == 2 }),
           'the mirror was asked');
        is_deeply([ events() ], [], 'no event');
    };
};


$nginx->finish;
$backend->stop;

done_testing;
