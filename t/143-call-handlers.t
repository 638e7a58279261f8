# SPDX-License-Identifier: BSD-2-Clause
# Whatever handler stands in a called location answers; what a backend does
# wrong harms its own call alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Compress::Gzip qw(gzip);
use IO::Socket::INET;
use Mojo::JSON qw(encode_json true false);
use POSIX ();
use Test::More;

use WSBus::Backend;
use WSBus::Client;
use WSBus::Nginx;

my $backend = WSBus::Backend->start;
my $raw     = $backend->raw;

# FastCGI: the answer is what it was asked for

my $listen = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1',
                                   ReuseAddr => 1) or die "listen: $!\n";
my $fcgi = fork() // die "fork: $!\n";

if ($fcgi == 0) {
    $SIG{ALRM} = 'DEFAULT';
    alarm 120;
    while (my $s = $listen->accept) {
        my ($in, $out, $done) = ('', '', 0);
        until ($done) {
            sysread $s, $in, 65536, length $in or last;
            while (length $in >= 8) {
                my (undef, $type, undef, $len, $pad) = unpack 'CCnnC', $in;
                last if length $in < 8 + $len + $pad;
                my $body = substr $in, 8, $len;
                substr $in, 0, 8 + $len + $pad, '';
                $out .= $body if $type == 4 || $type == 5;
                $done = 1 if $type == 5 && !$len;
            }
        }
        my ($method) = $out =~ /REQUEST_METHOD([A-Z]+)/;
        my $text = "Content-Type: application/json\r\n\r\n"
                   . qq({"method":"$method"});
        print {$s} pack('CCnnCx', 1, 6, 1, length $text, 0) . $text
                   . pack('CCnnCx', 1, 6, 1, 0, 0)
                   . pack('CCnnCx', 1, 3, 1, 8, 0) . pack('NCx3', 0, 0);
        close $s;
    }
    POSIX::_exit(0);
}

my $cgi = $listen->sockport;
my $njs = '/usr/lib/nginx/modules/ngx_http_js_module.so';
$njs = undef if $ENV{WSB_STATIC} || !-e $njs;

sub http {
    my $js = $njs ? <<'END' : '';
        js_path .;
        js_import rows from rows.js;
        server {
            listen 127.0.0.1:%%PORT2%%;
            location / { return 404; }
        }
END
    my $js_location = $njs ? <<'END' : '';
            location /js { internal; js_content rows.answer; }
END

    return <<"END";
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        $js
        ws_bus_zone zone=events:8m;
        limit_req_zone \$server_name zone=few:1m rate=1r/m;
        upstream kept {
            server 127.0.0.1:%%PORT1%%;
            keepalive 4;
        }
        server {
            listen 127.0.0.1:%%PORT1%%;
            default_type application/json;
            location / { return 200 '{"connection":\$connection,
                "requests":\$connection_requests,
                "encoding":"\$http_accept_encoding"}'; }
        }
        server {
            listen 127.0.0.1:%%PORT%%;
            default_type application/json;
            location /status { ws_bus_status; }
            location /ws {
                ws_bus events;
                ws_bus_backend /\$ws_bus_entity;
                ws_bus_call_max_body 64k;
                ws_bus_call_timeout 2s;
            }
            location /ws/raw {
                ws_bus events;
                ws_bus_backend /raw;
                ws_bus_call_max_body 64k;
                ws_bus_call_timeout 2s;
            }
            location /kept   { internal; proxy_pass http://kept; }
            location /return { internal; return 200 '{"is":"return"}'; }
            location /made   { internal; return 201 '{"id":"made-1"}'; }
            location /static { internal; alias %%PREFIX%%/static.json; }
            location /cgi {
                internal;
                fastcgi_param REQUEST_METHOD \$request_method;
                fastcgi_pass 127.0.0.1:$cgi;
            }
            location /rewritten { internal;
                                  rewrite ^ /return last; }
            location /named { internal; try_files /nowhere \@named; }
            location \@named { return 200 '{"is":"named"}'; }
            location /error { internal; error_page 404 = /return;
                              return 404; }
            location /limited { internal; limit_req zone=few;
                                proxy_pass http://kept; }
            location /sub_filter { internal; sub_filter connection x;
                                   sub_filter_types *;
                                   proxy_pass http://kept; }
            location /raw {
                internal;
                proxy_set_header X-Reply \$ws_bus_entity;
                proxy_pass http://127.0.0.1:$raw;
            }
            location /elsewhere { internal; return 200 '{"is":"elsewhere"}'; }
            $js_location
        }
END
}

my $nginx = WSBus::Nginx->new(workers => 1, fixed_workers => 1,
    main => $njs ? "load_module $njs;" : '', http => http());
$nginx->write_file('static.json', '{"is":"static"}');
$nginx->write_file('rows.js', <<'END');
async function answer(r) {
    const reply = await Promise.resolve({ method: r.method,
                                          body: r.requestText || null });
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify(reply));
}
export default { answer };
END
$nginx->start;

my $c  = WSBus::Client->new($nginx);
my $ws = $c->open('/ws');
my $n  = 0;

sub ask {
    my ($who, $operation, $entity, %more) = @_;
    my $id = 'h' . ++$n;
    $who->send({ type => 'request', id => $id, operation => $operation,
                 entity_type => $entity, %more });
    return $who->wait_for(sub { ($_->{id} // '') eq $id });
}


subtest 'handlers' => sub {
    for my $name (qw(return static named)) {
        is(ask($ws, read => $name)->{data}{is}, $name, $name);
    }
    is(ask($ws, read => 'rewritten')->{data}{is}, 'return', 'rewrite');
    is(ask($ws, read => 'error')->{data}{is}, 'return', 'error_page');
    is(ask($ws, read => 'cgi')->{data}{method}, 'GET', 'FastCGI: GET');
    is(ask($ws, create => 'cgi', data => {})->{data}{method}, 'POST',
       'FastCGI: POST');
    ok(exists ask($ws, read => 'sub_filter')->{data}{connection},
       'filters of bodies have no part in it');

    is_deeply(ask($ws, create => 'js', data => { a => 1 })->{data},
              { method => 'POST', body => '{"a":1}' }, 'js_content')
        if $njs;

    $ws->subscribe({});
    is(ask($ws, create => 'made', data => {})->{status}, 201, 'return 201');
    is($ws->wait_type('event')->{data}{event}{entity_id}, 'made-1',
       'it is told');

    my %connection;
    for (1 .. 20) {
        my $data = ask($ws, read => 'kept')->{data};
        $connection{ $data->{connection} }++;
        is($data->{encoding}, '', 'gzip is not asked for') if $_ == 1;
    }
    is(scalar keys %connection, 1, 'a connection to the backend is kept');

    is(ask($ws, read => 'limited')->{success}, true, 'limit_req does not');
    is(ask($ws, read => 'limited')->{success}, true,
       'count what nginx calls itself');
};


subtest 'a backend that does wrong' => sub {
    my $who   = $c->open('/ws/raw');
    my $other = $c->open('/ws');

    my $gz = sub {
        my ($text) = @_;
        gzip(\$text => \my $out) or die 'gzip';
        return WSBus::Backend::bytes(200, $out, headers => [
            'Content-Type' => 'application/json',
            'Content-Encoding' => 'gzip' ]);
    };
    my $json  = sub { WSBus::Backend::bytes(200, @_) };

    my @cases = (
        [ 'gzip that nobody asked for', $gz->('{"is":"gzip"}'), 'gzip' ],
        [ 'a gzip bomb', $gz->('[' . ' ' x 10_000_000 . ']'), undef,
          'read_error' ],
        [ 'gzip that breaks off', substr($gz->('{"a":1}'), 0, -5), undef,
          'read_error' ],
        [ 'gzip that is none', $json->('{"a":1}', headers => [
            'Content-Encoding' => 'gzip' ]), undef, 'read_error' ],
        [ 'an encoding that nobody knows', $json->('{"a":1}', headers => [
            'Content-Encoding' => 'br' ]), undef, 'read_error' ],
        [ 'deep', $json->('[' x 600 . ']' x 600), undef, 'read_error' ],
        [ 'bytes that are no text', $json->("\"\xff\""), undef, 'read_error' ],
        [ 'two documents', $json->('{"is":1}{"is":2}'), undef, 'read_error' ],
        [ 'a header of 100 KB', $json->('{}', headers => [
            'X-Long' => 'x' x 100_000 ]), undef, 'read_error' ],
        [ 'endless headers', "HTTP/1.1 200 OK\r\n" . "X: y\r\n" x 20_000,
          undef, 'read_error' ],
        [ 'a negative length, which is none', $json->('{"is":"cut"}',
          length => -1), 'cut' ],
        [ 'a length that lies', $json->('{"is":"cut"}, and more',
          length => 12), 'cut' ],
        [ 'X-Accel-Redirect, which nginx follows', $json->('', headers => [
            'X-Accel-Redirect' => '/elsewhere' ]), 'elsewhere' ],
        [ 'a redirect, which nobody follows', WSBus::Backend::bytes(307, '',
            headers => [ Location => '/elsewhere' ]), undef, 'read_error' ],
        [ 'HTTP/1.0', $json->('{"is":"old"}', version => 'HTTP/1.0'), 'old' ],
        [ '204', WSBus::Backend::bytes(204, ''), undef, undef ],
    );

    for my $case (@cases) {
        my ($what, $bytes, $is, $error) = @$case;
        my $name = 'wrong-' . ++$n;
        $backend->leave($name, $bytes);
        my $got = ask($who, read => $name);
        is($got->{error}{code}, $error, "$what: error");
        is(ref $got->{data} eq 'HASH' ? $got->{data}{is} : undef, $is,
           "$what: data");
        is(ask($other, read => 'return')->{data}{is}, 'return',
           'others are served') if $n % 4 == 0;
    }

    # one that never ends its answer
    $backend->leave('endless', WSBus::Backend::bytes(200, '[1', length => 99)
                               . $WSBus::Backend::HOLD);
    is(ask($who, read => 'endless')->{error}{code}, 'timeout', 'endless');
    $backend->go('endless');
    is(ask($who, read => ($backend->leave('fine', $json->('{"is":"fine"}')),
                          'fine')[1])->{data}{is}, 'fine', 'the next one');

    $nginx->allow(qr/while|upstream|call|client/);
};


subtest 'hostile clients' => sub {
    my $who = $c->open('/ws');
    my $id  = 'x' x 256;

    $who->send({ type => 'request', id => $id, operation => 'read',
                 entity_type => 'return' });
    is($who->wait_type('response')->{id}, $id, 'an id of 256 bytes');

    for my $bad ('x' x 257, '', 7, {}, [], undef) {
        my $m = $who->ask({ type => 'request', id => $bad,
            operation => 'read', entity_type => 'return' });
        is($m->{type}, 'error', 'an id that is none');
    }

    # the same id twice: an answer each
    $who->send({ type => 'request', id => 'twin', operation => 'read',
                 entity_type => 'return' }) for 1, 2;
    is(scalar(grep { $who->wait_type('response')->{id} eq 'twin' } 1, 2), 2,
       'twins');

    my $deep = '[' x 200 . ']' x 200;
    for my $text ('"options":' . $deep,
                  '"options":{"filters":[' . join(',', ('{}') x 1000) . ']}',
                  '"options":{"columns":[' . join(',', ('"a"') x 1000) . ']}',
                  '"options":{"sort":[' . join(',', ('{"column":"a"}') x 99)
                  . ']}', '"options":{"limit":-1}', '"options":{"limit":1e9}',
                  '"options":{"limit":"1"}', '"options":[]')
    {
        $who->send('{"type":"request","id":"t","operation":"read",'
                   . qq("entity_type":"return",$text}));
        my $m = $who->next;
        my $code = $m->{code} // $m->{error}{code};
        like($code // 'none', qr/^(?:invalid_\w+|too_\w+)\z/,
             substr $text, 0, 40);
    }
    is(ask($who, read => 'return')->{data}{is}, 'return', 'and goes on');
};


subtest 'who does not read' => sub {
    my $lazy  = $c->connect('/ws');
    my ($pid) = $nginx->worker_pids;
    $backend->leave('big', WSBus::Backend::bytes(200,
                                                 '"' . 'x' x 60_000 . '"'));

    my $stream = Mojo::IOLoop->stream($lazy->{tx}->connection);
    $stream->stop;
    $lazy->{tx}->send(encode_json({ type => 'request', id => "$_",
        operation => 'read', entity_type => 'kept' })) for 1 .. 2000;

    my $other = $c->open('/ws');
    is(ask($other, read => 'return')->{data}{is}, 'return',
       'others are served');
    WSBus::Client::run_until(sub {
        $c->status->{zones}[0]{totals}{calls_running} == 0 });
    my ($kb) = WSBus::Nginx::slurp("/proc/$pid/smaps_rollup")
               =~ /^Private_Dirty:\s+(\d+) kB/m;
    # a sanitizer keeps what has been freed
    cmp_ok($kb, '<', WSBus::Nginx::sanitized() ? 400_000 : 40_000, "$kb kB");
    $stream->start;
    my %got;
    for (1 .. 2000) {
        my $m = $lazy->wait_type('response') // last;
        $got{ $m->{id} }++;
    }
    is(scalar(grep { $got{$_} == 1 } 1 .. 2000), 2000,
       'then it reads them all, each once');
};

kill 'TERM', $fcgi;
waitpid $fcgi, 0;
$c->close_all;
$nginx->finish;
done_testing;
