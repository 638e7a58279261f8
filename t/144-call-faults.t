# SPDX-License-Identifier: BSD-2-Clause
# A backend that breaks off, lies or sends too much harms its own call only:
# the call gets its code, the socket stays, and the next call is answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(true false);
use Test::More;

use WSBus::Backend;
use WSBus::Client;
use WSBus::Nginx;

my $backend = WSBus::Backend->start;
my $raw = $backend->raw;

my $nginx = WSBus::Nginx->new(workers => 1, http => <<"CONF")->start;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    ws_bus_zone zone=events:8m;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /ws {
            ws_bus events;
            ws_bus_backend /raw/;
            ws_bus_call_max_body 64k;
        }
        location /raw/ {
            internal;
            proxy_set_header X-Reply \$ws_bus_entity;
            proxy_pass http://127.0.0.1:$raw/;
        }
        location /secret { internal; return 200 '{"secret":1}'; }
    }
CONF

my $c = WSBus::Client->new($nginx);
my $ws = $c->open('/ws');
my $other = $c->open('/ws');
my $n = 0;

$backend->leave('good', WSBus::Backend::bytes(200, '[1]'));

sub ask {
    my ($from, $entity) = @_;
    my $id = 'r' . ++$n;
    $from->send({ type => 'request', id => $id, operation => 'read',
                  entity_type => $entity });
    return $from->wait_for(sub { ($_->{id} // '') eq $id });
}

# who and another one are served after it

sub lives {
    my ($what) = @_;
    is_deeply(ask($ws, 'good')->{data}, [1], "$what: the next call");
    is_deeply(ask($other, 'good')->{data}, [1], "$what: another's call");
    return;
}

my $ok = 'HTTP/1.1 200 OK';
my $type = 'Content-Type: application/json';

my @faults = (
    [ 'in the middle of headers', "$ok\r\nContent-Ty", 'read_error' ],
    [ 'in the middle of the status', 'HTTP/1.', 'read_error' ],
    [ 'a body cut short', "$ok\r\n$type\r\nContent-Length: 9\r\n\r\n[1",
      'read_error' ],
    [ 'a chunk size that is none',
      "$ok\r\n$type\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[1]\r\n",
      'read_error' ],
    [ 'chunks without an end',
      WSBus::Backend::chunked(200, '[1,2,3]', 3, cut => 1), 'read_error' ],
    [ 'no JSON', WSBus::Backend::bytes(200, '<html>'), 'read_error' ],
    [ 'no HTTP', "\0\1\2\3\r\n\r\n", 'read_error' ],
    [ 'too much', WSBus::Backend::bytes(200, '[' . '1,' x 40_000 . '1]'),
      'too_large' ],
    [ 'too much in chunks',
      WSBus::Backend::chunked(200, '[' . '1,' x 40_000 . '1]', 1000),
      'too_large' ],
    [ 'a 301', "HTTP/1.1 301 Moved\r\nLocation: /secret\r\n"
             . "Content-Length: 0\r\n\r\n", 'read_error' ],
    [ 'a 307', "HTTP/1.1 307 Moved\r\nLocation: /secret\r\n"
             . "Content-Length: 0\r\n\r\n", 'read_error' ],
);

for (@faults) {
    my ($what, $bytes, $code) = @$_;
    $backend->leave('fault', $bytes);
    my $got = ask($ws, 'fault');
    is($got->{success}, false, "$what: no success");
    is($got->{error}{code}, $code, "$what: code");
    lives($what);
}

# a backend that has not answered yet keeps nobody else waiting

$backend->leave('slow', $WSBus::Backend::HOLD
                        . WSBus::Backend::bytes(200, '[2]'));
$ws->send({ type => 'request', id => 'slow', operation => 'read',
            entity_type => 'slow' });
lives('slow');
$backend->go('slow');
is_deeply($ws->wait_for(sub { ($_->{id} // '') eq 'slow' })->{data}, [2],
          'slow: answered in the end');

# a type that is wrong does not matter, where the body is JSON

$backend->leave('typed', "$ok\r\nContent-Type: text/html\r\n"
                         . "Content-Length: 3\r\n\r\n[3]");
is_deeply(ask($ws, 'typed')->{data}, [3], 'a wrong Content-Type');

undef $backend;
my $down = ask($ws, 'good');
is($down->{error}{code}, 'read_error', 'a backend that is gone');

done_testing;
