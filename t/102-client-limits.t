# SPDX-License-Identifier: BSD-2-Clause
# Each limit of docs/limits.md: what it just lets through, what it does not,
# with which code, and what counts it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json);
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(http => WSBus::Nginx::minimal(
    http   => 'client_max_body_size 2m;',
    server => <<'END'))->start;
    location /small/ws { ws_bus events; ws_bus_max_message_size 1000; }
    location /of/ws    { ws_bus events; ws_bus_tenant $http_x_tenant; }
    location /forced/ws { ws_bus events;
                          ws_bus_restrict a eq $http_x_value; }
    location /forced/four/ws { ws_bus events;
                               ws_bus_restrict a eq $http_x_value;
                               ws_bus_restrict b eq $http_x_value;
                               ws_bus_restrict c eq $http_x_value;
                               ws_bus_restrict d eq $http_x_value; }
    location /one/ws   { ws_bus events; ws_bus_max_subscriptions 1; }
    location /small/publish { ws_bus_publish events; client_max_body_size 1k; }
END

my $port = $nginx->port;

sub totals {
    my $zone = WSBus::Raw::zone($port);
    return { %{ $zone->{totals} }, last => $zone->{last_id} // '' };
}

# runs the code: a counter goes up by one, and the others of the list stay

my @COUNTERS = qw(errors refused_publishes closed_by_error limited
                  refused_connections refused_origins);

sub counts {
    my ($counter, $what, $code) = @_;

    my $before = totals();
    $code->();
    my $after  = totals();
    my @moved  = map { exists $after->{$_} && $after->{$_} != $before->{$_}
                       ? "$_+" . ($after->{$_} - $before->{$_}) : () } @COUNTERS;

    return is("@moved", $counter ? "$counter+1" : '', "$what: "
              . ($counter ? "counted in $counter" : 'not counted'));
}

sub nested { return '[' x $_[0] . ']' x $_[0] }
sub list   { return '[' . join(',', map { "\"v$_\"" } 1 .. $_[0]) . ']' }
sub subscribe { return qq({"type":"subscribe","filter":$_[0]) . ($_[1] // '') . '}' }
sub where  { return subscribe('{}', qq(,"where":$_[0])) }
sub cond   { return qq({"column":"a","operator":"eq","value":$_[0]}) }
sub conds  { return '[' . join(',', map { cond($_) } 1 .. $_[0]) . ']' }

# bytes of the text of a where
sub long_where {
    my ($n) = @_;
    my $rest = length '[' . cond('""') . ']';
    return where('[' . cond('"' . 'x' x ($n - $rest) . '"') . ']');
}


my @messages = (
    # what, its maximum, the message of that size, the code beyond it
    [ 'nested arrays and objects', 32,
      sub { qq({"type":"ping","x":) . nested($_[0] - 1) . '}' },
      'invalid_json' ],
    [ 'keys of an object', 64,
      sub { '{"type":"ping"' . join('', map { ",\"k$_\":0" } 2 .. $_[0]) . '}' },
      'invalid_json' ],
    [ 'values in an array of a filter', 128,
      sub { subscribe('{"entity_id":' . list($_[0]) . '}') }, 'bad_filter' ],
    [ 'bytes of a value of a filter', 256,
      sub { subscribe('{"entity_type":"' . 'x' x $_[0] . '"}') }, 'bad_filter' ],
    [ 'bytes of an id', 256,
      sub { subscribe('{}', ',"id":"' . 'x' x $_[0] . '"') }, 'invalid_message' ],
    [ 'bytes of a subscription_id', 256,
      sub { '{"type":"unsubscribe","subscription_id":"' . 'x' x $_[0] . '"}' },
      'invalid_message', 'not_found' ],
    [ 'conditions', 16, sub { where(conds($_[0])) }, 'bad_where' ],
    [ 'values of an in', 256, sub {
          where('[{"column":"a","operator":"in","value":' . list($_[0]) . '}]') },
      'bad_where' ],
    [ 'keys of a column', 8, sub {
          where('[{"column":"' . join('.', ('a') x $_[0])
                . '","operator":"eq","value":1}]') }, 'bad_where' ],
    [ 'bytes of a pattern', 256, sub {
          where('[{"column":"a","operator":"like","value":"' . 'x' x $_[0]
                . '"}]') }, 'bad_where' ],
    [ 'bytes of where', 8192, \&long_where, 'bad_where' ],
);

for my $row (@messages) {
    my ($what, $max, $message, $code, $good) = @$row;

    subtest "$max $what" => sub {
        my $ws = WSBus::Raw->open($port);

        counts($good ? 'errors' : '', 'as many', sub {
            my $got = $ws->ask($message->($max));
            is($got->{code} // '', $good // '', 'are accepted');
        });

        counts('errors', 'one more', sub {
            my $got = $ws->ask($message->($max + 1));
            is($got->{type}, 'error', 'is refused');
            is($got->{code}, $code, 'with its code');
        });

        ok($ws->alive, 'the connection stays');
        $ws->close;
    };
}


subtest 'bytes of a message' => sub {
    for my $row ([ '/small/ws', 1000 ], [ '/ws', 65536 ]) {
        my ($path, $max) = @$row;
        my $ping = sub {
            '{"type":"ping","x":"' . 'x' x ($_[0] - length '{"type":"ping","x":""}')
            . '"}' };

        my $ws = WSBus::Raw->open($port, path => $path);
        counts('', 'as many', sub {
            is($ws->ask($ping->($max))->{type}, 'pong', "$max: accepted") });
        counts('closed_by_error', 'one more', sub {
            $ws->send_text($ping->($max + 1));
            is($ws->read_close, 1009, 'closes with 1009') });
    }
};


subtest 'what closes a connection is counted, once' => sub {
    my %close = (
        1002 => sub { $_[0]->send_frame(1, 'x', mask => 0) },
        1007 => sub { $_[0]->send_text("\xff") },
    );

    for my $code (sort keys %close) {
        my $ws = WSBus::Raw->open($port);
        counts('closed_by_error', $code, sub {
            $close{$code}->($ws);
            is($ws->read_close, $code, "closes with $code") });
    }

    for my $own (1000, 1002, 1009, 3000) {
        my $ws = WSBus::Raw->open($port);
        counts('', "the client's own $own", sub {
            $ws->send_frame(8, WSBus::Raw::close_payload($own, 'bye'));
            is($ws->read_close, $own, 'is answered') });
    }
};


subtest 'subscriptions of a connection' => sub {
    for my $row ([ '/one/ws', 1 ], [ '/ws', 128 ]) {
        my ($path, $max) = @$row;
        my $ws = WSBus::Raw->open($port, path => $path);

        counts('', $max, sub { $ws->ask(subscribe('{}')) for 1 .. $max });

        my $before = totals();
        my $got    = $ws->ask(subscribe('{}'));
        is($got->{code}, 'too_many_subscriptions', 'one more is refused');
        is(totals()->{errors} - $before->{errors}, 1, 'and counted in errors');
        ok($ws->alive, 'the connection stays');
        $ws->close;
    }
};


subtest 'bytes of a tenant' => sub {
    my $try = sub {
        WSBus::Raw->new($port)->handshake(path => '/of/ws',
            headers => [ 'X-Tenant' => $_[0] ])->{status} };

    is($try->('a' x 256), 101, '256 bytes');
    is($try->('a' x 257), 400, '257: 400');
    is($try->(''), 400, 'none: 400');
};


subtest 'bytes of what is forced' => sub {
    my $try = sub {
        my ($path, $n) = @_;
        my $ws  = WSBus::Raw->new($port);
        my $res = $ws->handshake(path => $path,
                                 headers => [ 'X-Value' => 'a' x $n ]);
        return $res->{status} if $res->{status} != 101;
        $ws->read_json;

        # the client's own conditions fit beside it

        my $got = $ws->ask(where(conds(16)));
        $ws->close;
        return "101 $got->{type}";
    };

    is($try->('/forced/ws', 4096), '101 subscribed', '4096 of one');
    is($try->('/forced/ws', 4097), 403, '4097: 403');
    is($try->('/forced/ws', 0), 403, 'none: 403');
    is($try->('/forced/four/ws', 4000), '101 subscribed', '16000 of four');
    is($try->('/forced/four/ws', 4096), 403, 'more than 16384: 403');
};


# publishing

sub post {
    my ($body, %h) = @_;
    my $path = delete $h{path} // '/publish';
    my $raw  = WSBus::Raw->new($port);
    my $res  = $raw->post($path, $body, %h);
    return ($res->{status}, eval { decode_json($res->{body}) } // {});
}

sub event {
    my (%field) = @_;
    %field = (action => '"created"', entity_type => '"order"',
              entity_id => '"1"', %field);
    return '{' . join(',', map { "\"$_\":$field{$_}" } sort keys %field) . '}';
}

my @string = qw(action entity_type entity_id tenant schema section origin);

my @publish = (
    [ 'nested arrays and objects', 512,
      sub { event(data => nested($_[0] - 1)) }, 400 ],
    map({ my $f = $_; [ "bytes of $f", 256,
          sub { event($f => '"' . 'x' x $_[0] . '"') }, 422 ] } @string),
    map({ my $f = $_; [ "bytes of $f of a link", 256, sub {
          event(link_type => '"l"', link_id => '"l"', source_id => '"s"',
                target_id => '"t"', $f => '"' . 'x' x $_[0] . '"') }, 422 ] }
        qw(link_type link_id source_id target_id)),
);

for my $row (@publish) {
    my ($what, $max, $body, $code) = @$row;

    subtest "$max $what" => sub {
        counts('', 'as many', sub {
            is((post($body->($max)))[0], 200, 'are accepted') });

        my $last = totals()->{last};
        counts('refused_publishes', 'one more', sub {
            my ($status, $problem) = post($body->($max + 1));
            is($status, $code, 'is refused');
            is($problem->{status}, $code, 'with a problem');
        });
        is(totals()->{last}, $last, 'nothing is published');
    };
}


subtest 'bytes of an Idempotency-Key' => sub {
    counts('', 256, sub {
        is((post(event(), 'Idempotency-Key' => 'k' x 256))[0], 200, 'accepted') });
    counts('refused_publishes', 257, sub {
        is((post(event(), 'Idempotency-Key' => 'k' x 257))[0], 400, 'answered with 400') });
};


subtest 'an event and a batch' => sub {
    my $zone  = WSBus::Raw::zone($port);
    my $quarter = int $zone->{history} / 4;

    my $large = event(data => '"' . 'x' x ($quarter - 400) . '"');
    counts('', 'almost a quarter', sub { is((post($large))[0], 200, 'answered with 200') });
    counts('refused_publishes', 'more than a quarter', sub {
        is((post(event(data => '"' . 'x' x $quarter . '"')))[0], 413, 'answered with 413') });
};


subtest 'a body' => sub {
    my $fits = event(data => '"' . 'x' x (1024 - length(event(data => '""')))
                             . '"');
    is(length $fits, 1024, 'exactly 1k');
    counts('', 'as long', sub {
        is((post($fits, path => '/small/publish'))[0], 200, 'answered with 200') });
    counts('', 'longer: nginx itself refuses', sub {
        is((post("$fits ", path => '/small/publish'))[0], 413, 'answered with 413') });
};


$nginx->finish;
done_testing;
