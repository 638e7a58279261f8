# SPDX-License-Identifier: BSD-2-Clause
# The body of a publish request: gzip is decoded, within limits, and what
# cannot be read is refused by its name.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Compress::Deflate qw(deflate);
use IO::Compress::Gzip qw(gzip);
use Mojo::JSON qw(encode_json);
use Test::More;

use WSBus::Client;
use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(http => WSBus::Nginx::minimal(
    server => <<'END'))->start;
    location /small { ws_bus_publish events; client_max_body_size 2k; }
    location /any   { ws_bus_publish events; client_max_body_size 0; }
END

my $c  = WSBus::Client->new($nginx);
my $ws = $c->open;
$ws->subscribe({});

my $event = { action => 'created', entity_type => 'order',
              entity_id => 'o-1', data => { n => 1 } };
my $json  = encode_json($event);


sub zip { my ($in, $out) = @_; gzip(\$in, \$out) or die "gzip"; return $out }

sub events { return map { $_->{data}{event} } $ws->sync }

sub refused {
    my ($what, $status, $detail, $body, %headers) = @_;

    my ($code, $answer, $head) = $c->publish($body, %headers);

    subtest $what => sub {
        is($code, $status, "status $status");
        is($head->content_type, 'application/problem+json', 'a problem');
        like($answer->{detail}, $detail, 'that says what');
        is($head->header('Accept-Encoding'), $status == 415 ? 'gzip' : undef,
           'and what would do');
        is(scalar(my @got = events()), 0, 'nothing arrives');
    };

    return;
}


for my $case ([ 'gzip', 'gzip', zip($json) ],
              [ 'x-gzip', 'X-GZip', zip($json) ],
              [ 'identity', 'identity', $json ],
              [ 'empty', '', $json ],
              [ 'two parts', 'gzip', zip(substr $json, 0, 20)
                                     . zip(substr $json, 20) ])
{
    my ($what, $encoding, $body) = @$case;
    my ($code, $answer) = $c->publish($body, 'Content-Encoding' => $encoding);
    is($code, 200, "$what: accepted") or diag(explain($answer));
    is_deeply([ map { $_->{data} } events() ], [ $event->{data} ],
              "$what: arrives");
}

{
    my ($code) = $c->publish(zip("$json\n" x 1000),
        'Content-Encoding' => 'gzip', 'Content-Type' => 'application/x-ndjson');
    is($code, 200, 'lines: accepted');
    is(scalar(my @got = events()), 1000, 'lines: all of them');

    my @two = map { ($c->publish($_, 'Content-Encoding' => 'gzip',
                                 'Idempotency-Key' => 'k'))[1] }
              zip($json), zip(substr $json, 0, 9) . zip(substr $json, 9);
    is_deeply($two[0], $two[1], 'the same key and body, packed otherwise');
    is(scalar(@got = events()), 1, 'is published once');
}

deflate(\$json, \my $deflated);

refused("Content-Encoding: $_", 415, qr/Content-Encoding: gzip/, zip($json),
        'Content-Encoding' => $_)
    for 'br', 'deflate', 'zstd', 'gzip, gzip', 'identity, gzip', 'compress';

{
    my $body = zip($json);
    my $raw  = WSBus::Raw->new($nginx->port);
    my $res  = $raw->post('/publish', $body, 'Content-Encoding' => 'gzip',
                          'content-encoding' => 'gzip');
    is($res->{status}, 415, 'two headers: 415');
    is(scalar(my @got = events()), 0, 'nothing arrives');
}

refused($_->[0], 400, qr/gzip.*none.*cut off/, $_->[1],
        'Content-Encoding' => 'gzip')
    for [ 'not packed', $json ], [ 'zlib', $deflated ], [ 'nothing', '' ],
        [ 'cut off', substr zip($json), 0, -9 ],
        [ 'something behind it', zip($json) . '{}' ];

refused('no JSON in it', 400, qr/offset 0/, zip('hello'),
        'Content-Encoding' => 'gzip');

# 3,000 bytes for 3 million

my $bomb = zip(' ' x 3_000_000 . $json);

cmp_ok(length $bomb, '<', 4000, 'a bomb');
refused('above client_max_body_size', 413, qr/decoded/, $bomb,
        'Content-Encoding' => 'gzip', path => '/publish');
refused('a byte above a smaller one', 413, qr/decoded/,
        zip(' ' x (2049 - length $json) . $json), 'Content-Encoding' => 'gzip',
        path => '/small');
refused('above the history, where nothing else is said', 413, qr/decoded/,
        zip(' ' x 20_000_000 . $json), 'Content-Encoding' => 'gzip',
        path => '/any');

is(($c->publish(zip(' ' x (2048 - length $json) . $json),
                'Content-Encoding' => 'gzip', path => '/small'))[0], 200,
   'client_max_body_size itself');
is(scalar(my @got = events()), 1, 'arrives');


for my $type ('application/json', 'application/x-ndjson') {
    refused("a byte order mark, $type", 400, qr/byte order mark \(BOM\)/,
            "\xef\xbb\xbf$json", 'Content-Type' => $type);
    refused("and packed, $type", 400, qr/byte order mark \(BOM\)/,
            zip("\xef\xbb\xbf$json"), 'Content-Type' => $type,
            'Content-Encoding' => 'gzip');
}

$nginx->finish;
done_testing;
