# SPDX-License-Identifier: BSD-2-Clause
# Events without a WebSocket: server-sent events, a message a line, history and
# long polls, over HTTP/1.1 and HTTP/2.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use Time::HiRes qw(time);

use WSBus::Backend;
use WSBus::Client;
use WSBus::H2;
use WSBus::JWT;
use WSBus::Nginx;
use WSBus::Raw;
use WSBus::Stream;

my $backend = WSBus::Backend->start;
my $raw     = $backend->raw;
my $key     = WSBus::JWT->key('oct');
my $NDJSON  = 'application/x-ndjson';

sub http {
    return <<"END";
        ws_bus_zone zone=events:16m;
        ws_bus_zone zone=small:2m history=128k;
        ws_bus_session_log session.log;
        ws_bus_drain_window 500ms;
        server {
            listen 127.0.0.1:%%PORT%%;
            listen 127.0.0.1:%%PORT1%% ssl;
            listen 127.0.0.1:%%PORT2%% http2;
            ssl_certificate     %%PREFIX%%/cert.pem;
            ssl_certificate_key %%PREFIX%%/key.pem;
            client_max_body_size 4m;

            location = /ws      { ws_bus events; }
            location = /events  { ws_bus_events events; }
            location = /gzip    { ws_bus_events events; gzip on; gzip_min_length 1;
                                  gzip_types text/event-stream; }
            location = /quick   { ws_bus_events events; ws_bus_ping_interval 1s; }
            location = /tenant  { ws_bus_events events; ws_bus_tenant \$arg_t; }
            location = /forced  { ws_bus_events events; ws_bus_restrict owner eq \$arg_me; }
            location = /origin  { ws_bus_events events; ws_bus_origin https://a.example; }
            location = /few     { ws_bus_events small; ws_bus_max_connections 2; }
            location = /costly  { ws_bus_events events; ws_bus_max_filters_size 1k; }
            location = /token   { ws_bus_events events; ws_bus_jwt \$arg_token;
                                  ws_bus_jwt_key_file secret alg=HS256; }
            location = /hooked  { ws_bus_events events; ws_bus_hook before_connect /hook;
                                  ws_bus_origin https://a.example;
                                  ws_bus_hook before_subscribe /hook2; }
            location = /small   { ws_bus_events small; ws_bus_sndbuf 8k; }
            location = /small/publish { ws_bus_publish small; }
            location = /publish { ws_bus_publish events; }
            location = /open    { ws_bus_publish events any; ws_bus_origin https://a.example;
                                  ws_bus_jwt \$http_authorization;
                                  ws_bus_jwt_key_file secret alg=HS256; }
            location = /any     { ws_bus_publish events any; }
            location = /bearer  { ws_bus_events events; ws_bus_origin https://a.example;
                                  ws_bus_jwt \$http_authorization;
                                  ws_bus_jwt_key_file secret alg=HS256; }
            location = /status  { ws_bus_status; }
            location ~ ^/(hook2?)\$ {
                internal;
                proxy_set_header X-Reply \$1;
                proxy_pass http://127.0.0.1:$raw;
            }
        }
END
}

my ($nginx, $c, $n);

sub stream {
    my ($path, %o) = @_;
    my $s = WSBus::Stream->open($nginx->port($o{ssl} ? 1 : 0), $path, %o);
    return $s;
}

# a stream that has subscribed
sub open_stream {
    my $s = stream(@_);
    $s->next('subscribed') or diag "$_[0]: not subscribed: ", explain $s->{head};
    return $s;
}

sub publish {
    my ($body, %o) = @_;
    my $res = WSBus::Raw->new($nginx->port)
              ->post($o{path} // '/publish', ref $body ? encode_json($body) : $body);
    $res->{status} == 200 or diag "publish: $res->{status} $res->{body}";
    return decode_json($res->{body});
}

sub event { return { entity_type => $_[0], entity_id => "$_[1]", action => 'created', @_[2 .. $#_] } }
sub id_of { return $_[0]{data}{data}{event}{entity_id} }
sub ids   { return join ' ', map { id_of($_) } @_ }

sub next_ids { my ($s, $n) = @_; return ids(map { $s->next('event') // () } 1 .. $n) }

sub quiet { my ($s) = @_; return !$s->next('event', 0.3) }

sub connections { return $c->status->{zones}[0]{totals}{connections} }

sub start {
    $nginx = WSBus::Nginx->new(workers => $_[0], fixed_workers => 1, http => http());
    $nginx->certificate;
    $nginx->write_file('secret', $key->{secret});
    $nginx->start;
    $c = WSBus::Client->new($nginx);
    return;
}


for my $workers (1, 2) {
    start($workers);
    for my $how ('plain', 'TLS') {
        subtest "$workers workers, $how" => sub { streams($how eq 'TLS') };
    }
    subtest "$workers workers: HTTP/2"  => \&http2;
    subtest "$workers workers: whole answers" => \&whole;
    subtest "$workers workers: rights"  => \&rights;
    subtest "$workers workers: mistakes" => \&mistakes;
    subtest "$workers workers: slow readers" => \&slow;
    subtest 'stalled' => \&stalled if $workers == 1;
    subtest "$workers workers: reload" => \&reload;
    subtest "$workers workers: killed" => \&killed;
    is($nginx->stop('QUIT'), 'clean', 'it stops');
}

subtest 'configuration' => sub {
    my ($rc, $text) = WSBus::Nginx->test_config(http => WSBus::Nginx::minimal(
        server => 'location /x { ws_bus_protocol tenant; ws_bus_events events; }'));
    isnt($rc, 0, 'another protocol is refused');
    like($text, qr/messages of the protocol "bus": remove "ws_bus_protocol"/, 'and why');
};

done_testing;


sub streams {
    my ($ssl) = @_;
    my @more = (ssl => $ssl);

    my $s = stream('/events?entity_type=a,b&entity_type=c', @more);
    is($s->{status}, 200, 'a stream');
    is($s->{head}{'content-type'}, 'text/event-stream', 'its type');
    is($s->{head}{'cache-control'}, 'no-store', 'is not kept by caches');
    is($s->{head}{'x-accel-buffering'}, 'no', 'nor held back by proxies');
    my $sub = $s->next;
    is($sub->{event}, 'subscribed', 'first the subscription');
    is($s->{retry}, 3000, 'when to come again');
    is($s->{id}, $sub->{data}{last_id}, 'and from where');

    my $all  = open_stream('/events', @more);
    my $json = open_stream('/events?entity_type=a', @more, headers => { Accept => $NDJSON });
    is($json->{head}{'content-type'}, $NDJSON, 'a message a line');

    my $got = publish([ event(a => 1), event(d => 2), event(c => 3, data => { x => 1 }) ]);
    is(next_ids($s, 2), '1 3', 'what it has asked for');
    is(next_ids($all, 3), '1 2 3', 'or everything');
    is(next_ids($json, 1), '1', 'in lines too');
    is($all->{id}, $got->{last_id} // $got->{id} // $all->{id}, 'the last id');

    my $ws = $c->open('/ws');
    $ws->subscribe({ entity_type => 'w' });
    my $sw = open_stream('/events?entity_type=w', @more);
    publish(event(w => 1, data => { n => 1 }));
    my ($as_ws, $as_sse) = ($ws->wait_type('event'), $sw->next('event')->{data});
    is_deeply($as_sse, $as_ws, 'the message is that of a WebSocket');

    subtest 'white space, large, gzip' => sub {
        my $big = 'x' x 1_000_000;
        my @data = ("{\n\"a\":\r\n 1,\t\"u\":\"\\u2028\xe2\x80\xa8\\n\"}", qq({"big":"$big"}));
        my @s = (open_stream('/events?entity_type=odd', @more),
                 open_stream('/gzip?entity_type=odd', @more,
                             headers => { 'Accept-Encoding' => 'gzip' }),
                 open_stream('/events?entity_type=odd', @more, headers => { Accept => $NDJSON }));
        ok($s[1]{inflate}, 'one is gzipped');
        for my $data (@data) {
            publish(qq({"entity_type":"odd","entity_id":"1","action":"created","data":$data}));
            for my $s (@s) {
                my $e = $s->next('event');
                (my $text = $data) =~ s/\r\n|\r/\n/g;
                $text =~ s/[\r\n]/ /g, ($text = $data) =~ s/[\r\n]/ /g if $s->{lines};
                my ($bytes) = $e->{text} =~ /"data":(\{(?:(?!"data":).)*)\}\}\}\z/s;
                $text =~ s/\n\n/\n/g, $bytes =~ s/\n\n/\n/g;
                ok($bytes eq $text, length($text) . ' bytes') or diag substr $bytes, 0, 200;
            }
        }
    };

    subtest 'it is told that it lives' => sub {
        my $q = open_stream('/quick?entity_type=q', @more);
        ok($q->until(sub { ($q->{comments} // 0) >= 2 }), 'by comments');
        publish(event(q => 1));
        is(next_ids($q, 1), '1', 'and goes on');
        my $id = $q->{id};
        publish(event(other => 1));
        ok($q->until(sub { $q->{id} ne $id }), 'a position moves its id');
        my $lines = open_stream('/quick?entity_type=q', @more, headers => { Accept => $NDJSON });
        ok($lines->until(sub { ($lines->{blank} // 0) >= 1 }), 'by blank lines');
    };

    subtest 'it comes again' => sub {
        my $first = open_stream('/events?entity_type=r', @more);
        publish(event(r => 1));
        next_ids($first, 1);
        my $id = $first->{id};
        $first->close;
        publish([ map { event(r => $_) } 2 .. 40 ]);
        my $again = open_stream("/events?entity_type=r&since=now", @more,
                                headers => { 'Last-Event-ID' => $id });
        publish(event(r => 41));
        is(next_ids($again, 40), "@{[ 2 .. 41 ]}", 'after what it had, the header goes first');
        my $since = open_stream("/events?entity_type=r&since=$id", @more);
        is(next_ids($since, 40), "@{[ 2 .. 41 ]}", 'or by the query');

        my $other = '01234567-89ab-8000-8000-000000000007';
        my $lost  = stream("/events?entity_type=r&since=$other", @more);
        my $gap   = $lost->next('gap');
        is($gap->{data}{from}, $other, 'of another epoch: a gap');
        publish(event(r => 42));
        my $e;
        do { $e = $lost->next('event') } while $e && id_of($e) ne '42';
        is($e && $e->{id}, $e->{data}{data}{id}, 'then all that there is');
    };

    $_->close for $s, $all, $json, $sw;
    $ws->finish;
    ok(WSBus::Client::run_until(sub { connections() == 0 }), 'who goes is not counted any more');
    return;
}


sub http2 {
    my $h2  = WSBus::H2->new($nginx->port(2));
    my @ids = map { $h2->ask(GET => "/events?entity_type=h$_") } 0 .. 19;
    my $have = sub {
        my ($re) = @_;
        return sub { my ($a) = @_; 20 == grep { ($a->{$_}{body} // '') =~ $re } @ids };
    };
    my $a = $h2->answers($have->(qr/event: subscribed\n/));
    is(scalar(grep { $a->{$_}{status} == 200 } @ids), 20, '20 streams on one connection');
    is(connections(), 20, 'each is a client');
    is($c->status->{zones}[0]{totals}{event_streams}, 20, 'of this kind');
    publish([ map { event("h$_" => "id$_") } 0 .. 19 ]);
    $a = $h2->answers($have->(qr/event: event\n\n/));
    is(scalar(grep { $a->{ $ids[$_] }{body} =~ /"entity_id":"id$_"/ } 0 .. 19), 20,
       'each has its own event');

    # all but the last one are given up
    $h2->write(join '', map { WSBus::H2::bytes(WSBus::H2::RST_STREAM, 0, $_, pack 'N', 8) }
                        @ids[0 .. 18]);
    ok(WSBus::Client::run_until(sub { connections() == 1 }), 'one that is given up is gone');
    publish(event(h19 => 'more'));
    $a = $h2->answers(sub { $_[0]{ $ids[19] }{body} =~ /"more"/ });
    like($a->{ $ids[19] }{body}, qr/"entity_id":"more"/, 'the others go on');
    $h2->close;
    ok(WSBus::Client::run_until(sub { connections() == 0 }), 'the connection is closed');
    is($c->status->{zones}[0]{totals}{event_streams}, 0, 'none is left');
    return;
}


sub whole {
    my @rows = map { event(hist => $_) } 1 .. 25;
    publish(\@rows);

    my $path = '/events?entity_type=hist&limit=10&wait=0';
    my (@got, $pages, $s);
    while (defined $path && ++$pages < 10) {
        $s = stream($path, headers => { Accept => $NDJSON });
        is($s->ended, 'last', "page $pages ends");
        ok(defined $s->{head}{'content-length'}, 'it has a length');
        my @page = map { id_of($_) } @{ $s->{events} };
        push @got, @page;
        ($path) = $s->{head}{link} =~ /\A<(.*)>; rel="next"\z/;
        last if @page < 10;
    }
    is("@got[-25 .. -1]", "@{[ 1 .. 25 ]}", 'all of history, page by page');
    is($s->{events}[-1]{data}{data}{id}, $s->{head}{'ws-bus-last-id'}, 'the last id')
        or diag explain $s->{head};

    my $sse = stream('/events?entity_type=hist&limit=1&wait=0');
    $sse->ended;
    is($sse->{events}[0]{event}, 'event', 'as server-sent events, too');

    my $none = stream('/events?entity_type=none&wait=0');
    is($none->ended, 'last', 'nothing');
    is($none->{all} // '', '', 'is an empty answer');

    my $began = time;
    my $poll  = stream('/events?entity_type=none&wait=1');
    is($poll->ended, 'last', 'a long poll ends');
    cmp_ok(time - $began, '>=', 0.9, 'when its time is over');

    ($path) = $s->{head}{link} =~ /\A<(.*)>/;
    $path =~ s/wait=0/wait=20/;
    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        select undef, undef, undef, 0.3;
        WSBus::Raw->new($nginx->port)->post('/publish', encode_json(event(hist => 26)));
        POSIX::_exit(0);
    }
    $began = time;
    $poll = stream($path, headers => { Accept => $NDJSON });
    $poll->ended;
    waitpid $pid, 0;
    cmp_ok(time - $began, '<', 15, 'or when there is something');
    is(ids(@{ $poll->{events} }), '26', 'which it has');

    ok(WSBus::Client::run_until(sub { connections() == 0 }), 'none of them stays');
    return;
}


sub rights {
    my @t = map { open_stream("/tenant?t=$_") } 1, 2;
    publish(event(t => 1, tenant => '1'));
    is(next_ids($t[0], 1), '1', 'a tenant has its own');
    ok(quiet($t[1]), 'and no other');
    is(stream('/tenant')->{status}, 400, 'one must be named');

    my $mine = open_stream('/forced?me=ann');
    publish([ event(f => 1, data => { owner => 'bob' }), event(f => 2, data => { owner => 'ann' }) ]);
    is(next_ids($mine, 1), '2', 'what is forced holds');
    my $s = stream('/forced?me=ann&wait=0&entity_type=f', headers => { Accept => $NDJSON });
    $s->ended;
    is_deeply([ grep { $_ ne '2' } map { id_of($_) } @{ $s->{events} } ], [], 'in history, too');

    my $named = stream('/origin', headers => { Origin => 'https://a.example' });
    is($named->{head}{'access-control-allow-origin'}, 'https://a.example', 'a page of that origin');
    is($named->{head}{'access-control-allow-credentials'}, 'true', 'with its cookies');
    is(stream('/origin', headers => { Origin => 'https://b.example' })->{status}, 403, 'no other');
    my $any = stream('/events', headers => { Origin => 'https://b.example' });
    is($any->{head}{'access-control-allow-origin'}, '*', 'any origin, where none is named');
    ok(!$any->{head}{'access-control-allow-credentials'}, 'without cookies');
    my $pre = stream('/origin', method => 'OPTIONS', headers => { Origin => 'https://a.example',
                     'Access-Control-Request-Headers' => 'authorization' });
    is($pre->{status}, 204, 'a preflight');
    like($pre->{head}{'access-control-allow-headers'}, qr/Authorization.*Last-Event-ID/, 'what it may send');

    for my $path ('/bearer', '/open') {
        my %pre = (Origin => 'https://a.example', 'Access-Control-Request-Method' => 'POST',
                   'Access-Control-Request-Headers' => 'authorization,content-type');
        my $s = stream($path, method => 'OPTIONS', headers => \%pre);
        is($s->{status}, 204, "$path: a preflight needs no token");
        like($s->{head}{'access-control-allow-headers'}, qr/Authorization/, 'and may send one');
        is(stream($path, method => 'OPTIONS', headers => { %pre, Origin => 'https://b.example' })->{status},
           403, 'another origin may not');
        is(stream($path, method => 'OPTIONS')->{status}, 401, 'what is none needs a token');
    }
    my $token = 'Bearer ' . $key->token(HS256 => { sub => 'a' });
    my $post = sub {
        my ($path, %head) = @_;
        my $res = WSBus::Raw->new($nginx->port)->post($path, encode_json(event(cors => 1)), %head);
        return "$res->{status} " . ($res->{headers}{'access-control-allow-origin'} // '');
    };
    is($post->('/open', Authorization => $token, Origin => 'https://a.example'),
       '200 https://a.example', 'a page with a token publishes');
    is($post->('/open', Authorization => $token, Origin => 'https://b.example'), '403 ', 'no other page');
    is($post->('/open', Authorization => $token), '200 ', 'a backend has no origin');
    is($post->('/open', Origin => 'https://a.example'), '401 ', 'a token is needed');
    is($post->('/any', Origin => 'https://b.example'), '200 ', 'where no origin is named, nothing is said');

    $nginx->allow(qr/the bus's connections are limited|too many connections|limit/);
    my @few = map { stream('/few') } 1 .. 3;
    is(join(' ', map { $_->{status} } @few), '200 200 503', 'connections are limited');
    is($few[2]{head}{'content-type'}, 'application/problem+json', 'which is a problem');

    is(stream('/token')->{status}, 401, 'a token is asked for');
    my $t = open_stream('/token?token=' . $key->token(HS256 => { sub => 'a', exp => time + 2 }));
    is($t->ended, 'last', 'it ends with its token');

    $backend->leave('hook', WSBus::Backend::bytes(403, '{"message":"no"}'));
    is(stream('/hooked')->{status}, 403, 'a hook refuses a connection');
    $backend->leave('hook', WSBus::Backend::bytes(204, ''));
    $backend->leave('hook2', WSBus::Backend::bytes(200, '{"filters":[{"column":"k","operator":"eq","value":"1"}]}'));
    my $h = open_stream('/hooked?entity_type=k', headers => { Origin => 'https://a.example' });
    is(scalar(grep { /\AAccess-Control-Allow-Origin:/i } @{ $h->{lines_of_head} }), 1,
       'a page is told once, although a hook was asked');
    publish([ event(k => 1, data => { k => '2' }), event(k => 2, data => { k => '1' }) ]);
    is(next_ids($h, 1), '2', 'and adds conditions');
    $backend->leave('hook2', WSBus::Backend::bytes(403, '{"message":"not this"}'));
    my $no = stream('/hooked?entity_type=k');
    is($no->next('error')->{data}{message}, 'not this', 'refuses a subscription');
    is($no->ended, 'last', 'which ends it');
    is(stream('/hooked?entity_type=k&wait=0')->{status}, 403, 'or answers with a status');

    $_->close for @t, $mine, $named, $any, @few, $h;
    ok(WSBus::Client::run_until(sub { connections() == 0 }), 'all are gone');
    return;
}


sub mistakes {
    for (['/events?since=x', 400, qr/since must be an event id/],
         ['/events?where=%5B', 400, qr/where is no JSON/],
         ['/events?where=%5B%7B%22column%22%3A%22a%22%7D%5D', 400, qr/operator/],
         ['/events?wait=x', 400, qr/wait must be/],
         ['/events?limit=0', 400, qr/limit must be/],
         ['/events?snapshot=1', 400, qr/[Ss]napshot/])
    {
        my ($path, $status, $re) = @$_;
        my $s = stream($path);
        $s->ended;
        is($s->{status}, $status, $path);
        is($s->{head}{'content-type'}, 'application/problem+json', 'a problem');
        like(decode_json($s->{all})->{detail}, $re, 'that is said');
    }

    my $s = stream('/events', headers => { Accept => 'text/html' });
    is($s->{status}, 406, 'a type that it does not have');
    is(stream('/events', headers => { Accept => 'text/html, */*;q=0.1' })->{status}, 200, 'or anything');
    $s = stream('/events', method => 'POST', headers => { 'Content-Length' => 0 });
    is($s->{status}, 405, 'POST');
    is($s->{head}{allow}, 'GET, HEAD, OPTIONS', 'what is allowed');
    $s = stream('/events', method => 'HEAD');
    is("$s->{status} $s->{head}{'content-type'}", '200 text/event-stream', 'HEAD');
    my $costly = stream('/costly?entity_id=' . join ',', 1 .. 100);
    ok($costly->next('error'), 'what is too large is an error');
    is($costly->ended, 'last', 'and the end');
    return;
}


sub slow {
    my $s = open_stream('/small', rcvbuf => 4096);
    my $fat = 'x' x 10_000;
    publish(event(s => $_, data => { fat => $fat }), path => '/small/publish') for 1 .. 100;
    my @got;
    while (my $e = $s->next(undef, @got && $got[-1] eq '100' ? 0.2 : 20)) {
        push @got, $e->{event} eq 'event' ? id_of($e) : $e->{event};
    }
    is($got[-1], '100', 'a slow reader reaches the end');
    is(scalar(grep { $_ eq 'gap' } @got) >= 1 || @got == 100, 1, 'and is told what it lacks');
    my %seen;
    is_deeply([ grep { $_ ne 'gap' && $_ ne 'position' && $seen{$_}++ } @got ], [], 'nothing twice');
    $s->close;
    return;
}


# what a worker has for readers that do not read is the same, whatever they miss

sub stalled {
    my ($pid) = $nginx->worker_pids;
    my $memory = sub {
        my ($kb) = WSBus::Nginx::slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
        return $kb;
    };

    my @s = map { stream('/events?entity_type=st', rcvbuf => 4096) } 1 .. 100;
    $_->next('subscribed') for @s;
    my $fat = 'x' x 1000;
    my @kb;
    for (1 .. 3) {
        for (1 .. 8) {
            publish([ map { event(st => $_, data => { fat => $fat }) } 1 .. 500 ]);
        }
        WSBus::Client::run_until(sub { $c->status->{zones}[0]{workers}[0]{lag} == 0 });
        push @kb, $memory->();
    }

    my $limit = WSBus::Nginx::sanitized() ? 60_000 : 2000;
    diag("100 stalled streams: @kb kB, 4 MB missed in between");
    cmp_ok($kb[2] - $kb[1], '<', $limit, 'they cost the same whatever they miss');
    $_->close for @s;
    ok(WSBus::Client::run_until(sub { connections() == 0 }), 'and are gone');
    return;
}


sub reload {
    my @s = map { open_stream("/events?entity_type=rl") } 1 .. 4;
    my $h2 = WSBus::H2->new($nginx->port(2));
    my $id = $h2->ask(GET => '/events?entity_type=rl');
    $h2->answers(sub { ($_[0]{$id}{body} // '') =~ /subscribed/ });
    publish(event(rl => 1));
    next_ids($_, 1) for @s;

    kill 'HUP', $nginx->pid;
    is(join(' ', map { $_->ended // 'never' } @s), 'last last last last', 'all are ended');
    ok(!(grep { $_->{retry} < 500 || $_->{retry} >= 3500 } @s), 'and told to come at different times');
    my $a = $h2->answers;
    ok($a->{$id}{end}, 'that of HTTP/2, too');
    like($a->{$id}{body}, qr/retry: \d+\n\n\z/, 'with the same words');
    ok(WSBus::Client::run_until(sub { !$nginx->draining_pids }), 'the old workers leave');

    publish([ event(rl => 2), event(rl => 3) ]);
    my @again = map { open_stream('/events?entity_type=rl',
                                  headers => { 'Last-Event-ID' => $_->{id} }) } @s;
    is(next_ids($_, 2), '2 3', 'nothing is lost, nothing twice') for @again;
    $_->close for @again;
    return;
}


sub killed {
    my @s = map { open_stream('/events?entity_type=kl') } 1 .. 6;
    publish(event(kl => 1));
    next_ids($_, 1) for @s;
    $nginx->kill_worker($_) for $nginx->worker_pids;
    is(join(' ', map { $_->ended } @s), join(' ', ('close') x 6), 'they break off');
    ok(WSBus::Nginx::await(sub { WSBus::Nginx::accepts($nginx->port) }), 'others come');
    my $ok = WSBus::Nginx::await(sub {
        eval { publish(event(kl => 2)); 1 } });
    ok($ok, 'an event');
    my @again = map { open_stream('/events?entity_type=kl',
                                  headers => { 'Last-Event-ID' => $_->{id} }) } @s;
    is(next_ids($_, 1), '2', 'nothing is lost') for @again;
    $_->close for @again;
    return;
}
