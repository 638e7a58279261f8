# SPDX-License-Identifier: BSD-2-Clause
# Capture: what of the bodies becomes data, and when a response counts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Compress::Gzip qw(gzip $GzipError);
use Mojo::JSON qw(decode_json encode_json);
use Socket qw(:DEFAULT);
use Test::More;

use WSBus::Backend;
use WSBus::Capture;
use WSBus::Nginx;

start_capture();


subtest 'data' => sub {
    my @post = (body => '{"sent":1}', status => 201, reply => $created);
    my %base = (action => 'created', entity_id => 'o-1');

    gives('response', [ POST => '/data/response/x', @post ],
          { %base, entity_type => 'x', data => $data });
    gives('request', [ POST => '/data/request/x', @post ],
          { %base, entity_type => 'x', data => { sent => 1 } });
    gives('none', [ POST => '/data/none/x', @post ],
          { %base, entity_type => 'x' });

    gives('the row of a DELETE, when the directive says so',
          [ DELETE => '/data/response/x/o-1', reply => json(200, '{"n":1}'),
            status => 200 ],
          { action => 'deleted', entity_type => 'x', entity_id => 'o-1',
            data => { n => 1 } });
    gives('a DELETE without a row', [ DELETE => '/data/response/x/o-1',
            reply => json(204, ''), status => 204 ],
          { action => 'deleted', entity_type => 'x', entity_id => 'o-1' });

    gives('a request that is not JSON',
          [ POST => '/data/request/x', @post, body => 'a=b' ],
          { %base, entity_type => 'x', truncated => 1 });

    my @form = ('Content-Type' => 'application/x-www-form-urlencoded');

    for my $case ([ 'a form', 'owner=me&owner=you', 1, @form ],
                  [ 'a form that looks like JSON', '{"owner":"me"}', 1, @form ],
                  [ 'another type', '{"owner":"me"}', 1,
                    'Content-Type' => 'text/plain' ],
                  [ 'another charset', '{"owner":"me"}', 1,
                    'Content-Type' => 'application/json; charset=utf-16' ],
                  [ 'a key twice', '{"owner":"me","owner":"you"}', 1 ],
                  [ 'a key twice, escaped',
                    '{"owner":"me","\u006fwner":"you"}', 1 ],
                  [ 'a key twice, deeper', '{"a":[{"owner":1,"owner":2}]}', 1 ],
                  [ 'JSON of a type of its own', '{"owner":"me"}', 0,
                    'Content-Type' => 'application/vnd.api+json' ],
                  [ 'a key in two objects', '{"a":{"owner":1},"owner":2}', 0,
                    'Content-Type' => 'application/json;charset=UTF-8' ])
    {
        my ($what, $body, $odd, @type) = @$case;
        gives("a request: $what",
              [ POST => '/data/request/x', @post, body => $body,
                headers => { @type } ],
              { %base, entity_type => 'x',
                $odd ? (truncated => 1) : (data => decode_json($body)) });
    }

    my $big = encode_json({ text => 'x' x 100_000 });

    gives('a request in a file',
          [ POST => '/data/file/x', @post, body => $big ],
          { %base, entity_type => 'x', data => decode_json($big) });
    gives('a request that is too large',
          [ POST => '/data/file/x', @post,
            body => encode_json({ text => 'x' x 300_000 }) ],
          { %base, entity_type => 'x', truncated => 1 });
    gives('a request that is passed on as it comes, and is short',
          [ PATCH => '/data/stream/x', @post ],
          { %base, action => 'updated', entity_type => 'x',
            data => { sent => 1 } });
    gives('a request that is passed on as it comes, and is not kept',
          [ PATCH => '/data/stream/x', @post, body => $big ],
          { %base, action => 'updated', entity_type => 'x', truncated => 1 });

    gives('a list, and data of the request',
          [ POST => '/data/request/x', status => 201,
            reply => json(201, '[{"id":1,"secret":1},{"id":2,"secret":2}]'),
            body  => '[{"n":1},{"n":2}]' ],
          { action => 'created', entity_type => 'x', entity_id => '1',
            data => { n => 1 } },
          { action => 'created', entity_type => 'x', entity_id => '2',
            data => { n => 2 } });

    subtest 'byte for byte' => sub {
        my $body = qq({"big":9007199254740993, "f":1.0,\n "e":1E+2,"id":"x"});
        ask(POST => '/orders', status => 201, reply => json(201, $body));
        $ws->wait_type('event');
        like($ws->{text}, qr/"data":\Q$body\E/, 'as the backend wrote it');
        is_deeply([ events() ], [], 'one event');
    };
};


subtest 'bodies' => sub {
    my $is = sub {
        my ($what, $uri, $reply, %o) = @_;
        my $expect = delete $o{expect} // { data => $data };
        my $status = $o{status} //= 201;
        (my $type) = $uri =~ m{^/orders} ? 'orders'
                   : $uri =~ m{^/\w+/(\w+)};
        gives($what, [ POST => $uri, reply => $reply, %o ],
              { action => 'created', entity_type => $type,
                entity_id => 'o-1', %$expect });
    };

    my $text = '{"id":"o-1","amount":42.0}';
    my @json = ('Content-Type' => 'application/json');

    my $deflated;
    gzip(\$text, \$deflated) or die $GzipError;

    my $zipped = sub { json(201, $_[0], headers =>
                            [ @json, 'Content-Encoding' => $_[1] // 'gzip' ]) };

    $is->('gzip from the backend', '/orders', $zipped->($deflated));
    $is->('gzip from the backend, unbuffered', '/unbuffered/x',
          $zipped->($deflated));
    $is->('gzip by nginx', '/gzip/x', $created,
          headers => { 'Accept-Encoding' => 'gzip' });
    $is->('x-gzip', '/orders', $zipped->($deflated, 'x-gzip'));
    $is->('identity', '/orders', $zipped->($text, 'identity'));

    $is->('gzip that is cut', '/orders/o-1', $zipped->(substr $deflated, 0, 30),
          expect => { truncated => 1 });
    $is->('gzip that is none', '/orders/o-1', $zipped->($text),
          expect => { truncated => 1 });
    $is->('another encoding', '/orders/o-1', $zipped->("\x0b\x02\x80$text\x03", 'br'),
          expect => { truncated => 1 });

    my $bomb = '{"id":"o-1","x":"' . ' ' x 2_000_000 . '"}';
    my $small;
    gzip(\$bomb, \$small) or die $GzipError;
    $is->('gzip that is too much', '/orders/o-1', $zipped->($small),
          expect => { truncated => 1 });

    $is->('gzip without a body', '/orders/o-1',
          json(204, '', headers => [ 'Content-Encoding' => 'gzip' ]),
          status => 204, expect => {});

    for my $uri ('/orders', '/eleven/x', '/unbuffered/x') {
        $is->("chunked, $uri", $uri, WSBus::Backend::chunked(201, $text, 7))
            if $uri ne '/orders';

        my $long = encode_json({ id => 'o-1', text => 'y' x 200_000 });
        $is->("long, $uri", $uri, json(201, $long),
              expect => { data => decode_json($long) });

        $is->("long and chunked, $uri", $uri,
              WSBus::Backend::chunked(201, $long, 5000),
              expect => { data => decode_json($long) })
            if $uri ne '/orders';

        my $over = encode_json({ id => 'x', text => 'y' x 300_000 });
        $is->("over ws_bus_capture_max_body, $uri", "$uri/o-1",
              json(201, $over), expect => { truncated => 1 });

        $is->("HTTP/1.0, $uri", $uri,
              json(201, $text, version => 'HTTP/1.0', length => undef));
        $is->("HTTP/1.0 with a length, $uri", $uri,
              json(201, $text, version => 'HTTP/1.0'));
        $is->("HTTP/1.0, long, $uri", $uri,
              json(201, $long, version => 'HTTP/1.0', length => undef),
              expect => { data => decode_json($long) });

        $is->("not JSON, $uri", "$uri/o-1", json(201, 'ok', plain()),
              expect => { truncated => 1 });
        $is->("empty, $uri", "$uri/o-1", json(201, ''), expect => {});
        $is->("empty without a length, $uri", "$uri/o-1",
              json(201, '', version => 'HTTP/1.0', length => undef),
              expect => {});
        $is->("204, $uri", "$uri/o-1", json(204, ''), status => 204,
              expect => {});
    }

    my $exact = '{"id":"o-1","x":"' . 'z' x (1024 - 19) . '"}';
    is(length $exact, 1024, '1k');
    $is->('ws_bus_capture_max_body itself', '/small/x', json(201, $exact),
          expect => { data => decode_json($exact) });
    $is->('a byte more', '/small/x/o-1', json(201, "$exact "),
          expect => { truncated => 1 });

    for my $bad ([ 'not UTF-8', qq({"id":"o-1","x":"\xff"}) ],
                 [ 'HTML', '<html></html>' ],
                 [ 'two values', '{"id":"o-1"}{"id":"o-1"}' ],
                 [ 'a bare NUL', qq({"id":"o-1"}\0) ],
                 [ 'NaN', '{"id":"o-1","x":NaN}' ],
                 [ 'very deep', '[' x 600 . ']' x 600 ],
                 [ 'white space', "  \n" ])
    {
        $is->($bad->[0], '/orders/o-1', json(201, $bad->[1]),
              expect => { truncated => 1 });
    }

    $is->('a byte order mark', '/orders', json(201, "\xef\xbb\xbf$text"));
    $is->('a byte order mark alone', '/orders/o-1', json(201, "\xef\xbb\xbf"),
          expect => { truncated => 1 });

    my ($members, $two) = ("$text", '');
    gzip(\$members, \$two) or die $GzipError;
    gzip(\"  \n", \my $more) or die $GzipError;
    $is->('gzip in two parts', '/orders', $zipped->($two . $more));
    $is->('gzip with something behind it', '/orders/o-1',
          $zipped->($two . 'more'), expect => { truncated => 1 });

    $is->('a value that is no object', '/orders/o-1', json(201, '"x"'),
          expect => { data => 'x' });
    $is->('JSON with white space around it', '/orders',
          json(201, " \r\n$text\n"));

    # a range is cut by nginx: never a harmed response
    $is->('a request for a range', '/orders', $created,
          headers => { Range => 'bytes=0-3' });
};


subtest 'a response in a temporary file' => sub {
    my $long = encode_json({ id => 'o-1', text => 'y' x 2_500_000 });
    my @got;

    for my $n (3, 4) {
        my $from = length $nginx->error_log;

        socket my $sock, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
        setsockopt $sock, SOL_SOCKET, SO_RCVBUF, 8192;
        connect $sock, pack_sockaddr_in($nginx->port($n), INADDR_LOOPBACK)
            or die "connect: $!\n";

        $backend->leave('spill', json(201, $long));
        syswrite $sock, request(POST => '/spill/x',
                                headers => { 'X-Reply' => 'spill' });

        ok($nginx->await_log(qr/upstream response is buffered to a temporary/,
                             $from), 'there is a file');

        my $text = '';
        1 while sysread $sock, $text, 65536, length $text;
        push @got, dateless($text);
    }

    ok(length $got[0] > 2_500_000, 'it is all there');
    ok($got[0] eq $got[1], 'the response is the same without capture');
    is_deeply([ events() ],
        [ event(action => 'created', entity_type => 'x', entity_id => 'o-1',
                data => decode_json($long)) ], 'one event');
};


subtest 'proxy_cache' => sub {
    my @ask = (POST => '/cache/x', reply => $created, status => 201);
    my $event = { action => 'created', entity_type => 'x', entity_id => 'o-1',
                  data => $data };

    gives('not yet in the cache', [ @ask ], $event);
    gives('out of the cache: nothing has been mutated', [ @ask ]);

    gives('GET', [ GET => '/cache/y', reply => json(200, '{"id":1}'),
                   status => 200 ]) for 1, 2;
    gives('PUT is never in the cache',
          [ PUT => '/cache/x', reply => json(200, '{"id":"o-1"}'),
            status => 200 ],
          { action => 'updated', entity_type => 'x', entity_id => 'o-1',
            data => { id => 'o-1' } }) for 1, 2;
};


subtest 'responses that are not complete' => sub {
    for my $uri ('/api/orders', '/unbuffered/orders', '/eleven/orders') {

        for my $size (10, 100_000) {
            my $text = encode_json({ id => 'o-1', text => 'y' x $size });
            my $all  = length $text;

            for my $case (
                [ 'less than Content-Length',
                  json(201, $text, length => $all + 10) ],
                [ 'nothing of Content-Length', json(201, '', length => 10) ],
                [ 'a chunk is cut', WSBus::Backend::chunked(201, $text, 4096,
                                                            cut => 1) ],
                [ 'no last chunk', WSBus::Backend::chunked(201, $text, 4096)
                                   =~ s/0\r\n\r\n\z//r ],
            ) {
                my ($what, $reply) = @$case;
                next if $what =~ /chunk/ && $uri =~ m{^/api};
                gives("$what, $size, $uri",
                      [ POST => $uri, reply => $reply ]);
            }
        }

        gives("closed before the header, $uri",
              [ POST => $uri, reply => "HTTP/1.1 201 Created\r\nX",
                status => 502 ]);
    }

    gives('a second header is not waited for',
          [ POST => '/orders', reply => "HTTP/1.1 99 Odd\r\n\r\n" ]);
};


subtest 'a small zone' => sub {
    my $tiny = $c->open('/wstiny');
    $tiny->subscribe({});

    my $told = sub {
        my ($what, $reply) = @_;
        subtest $what => sub {
            $backend->leave('tiny', $reply);
            my ($code) = $c->request(POST => '/tiny/x/o-1', '{}',
                                     'X-Reply' => 'tiny');
            is($code, 201, 'the response');
            my $got = $tiny->wait_type('event', 2);
            is($got->{type}, 'event', 'an event');
            ok($got->{data}{event}{metadata}{truncated}, 'without its data');
            is($got->{data}{event}{data}, undef, 'none');
            $tiny->sync(path => '/publish/tiny');
        };
    };

    $told->('an event that is too large', json(201, encode_json(
        { id => 'o-1', text => 'z' x 400_000 })));
    $told->('a list that is too long', json(201, encode_json(
        [ map { { id => $_ } } 1 .. 20_000 ])));
    $told->('a list of large rows', json(201, encode_json(
        [ map { { id => $_, text => 'z' x 50_000 } } 1 .. 20 ])));

    $tiny->finish;
};


$nginx->finish;
$backend->stop;

done_testing;
