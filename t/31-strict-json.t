# SPDX-License-Identifier: BSD-2-Clause
# What JSON.parse of a browser refuses is refused, and disturbs nobody.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json);
use Test::More;

use WSBus::Client;
use WSBus::Nginx;
use WSBus::Raw;

my $nginx = WSBus::Nginx->new(http => WSBus::Nginx::minimal())->start;
my $c     = WSBus::Client->new($nginx);

my @bad = (
    [ 'an unquoted word'              => 'abc' ],
    [ 'True'                          => 'True' ],
    [ 'nul'                           => 'nul' ],
    [ 'truex'                         => 'truex' ],
    [ 'NaN'                           => 'NaN' ],
    [ 'Infinity'                      => 'Infinity' ],
    [ '-Infinity'                     => '-Infinity' ],
    [ 'undefined'                     => 'undefined' ],
    [ 'a trailing comma in an object' => '{"a":1,}' ],
    [ 'a trailing comma in an array'  => '[1,]' ],
    [ 'two commas'                    => '[1,,2]' ],
    [ 'a leading comma'               => '[,1]' ],
    [ 'only a comma'                  => '[,]' ],
    [ 'no comma in an array'          => '[1 2]' ],
    [ 'no comma in an object'         => '{"a":1 "b":2}' ],
    [ 'no colon'                      => '{"a" 1}' ],
    [ 'two colons'                    => '{"a"::1}' ],
    [ 'a comma for a colon'           => '{"a",1}' ],
    [ 'a key without a value'         => '{"a":}' ],
    [ 'a key alone'                   => '{"a"}' ],
    [ 'a key of a number'             => '{1:1}' ],
    [ 'a key without quotes'          => '{a:1}' ],
    [ 'a key of null'                 => '{null:1}' ],
    [ 'single quotes'                 => q({'a':1}) ],
    [ 'a string in single quotes'     => q('a') ],
    [ 'a line comment'                => "{\"a\":1 // c\n}" ],
    [ 'a block comment'               => '{"a":/* c */1}' ],
    [ 'a hash comment'                => "[1 # c\n]" ],
    [ 'an open object'                => '{"a":1' ],
    [ 'an open array'                 => '[1' ],
    [ 'an open string'                => '"abc' ],
    [ 'a string that ends in an escape' => '"abc\\' ],
    [ 'brackets that do not fit'      => '[1}' ],
    [ 'braces that do not fit'        => '{"a":1]' ],
    [ 'a closing bracket too many'    => '[1]]' ],
    [ 'a closing brace alone'         => '}' ],
    [ 'a second value'                => '1 2' ],
    [ 'trailing garbage'              => '{"a":1}x' ],
    [ 'trailing comma behind'         => '{"a":1},' ],

    [ 'a leading zero'                => '01' ],
    [ 'a negative leading zero'       => '-01' ],
    [ 'two zeros'                     => '00' ],
    [ 'hex'                           => '0x10' ],
    [ 'a plus'                        => '+1' ],
    [ 'no digit before the point'     => '.5' ],
    [ 'no digit behind the point'     => '2.' ],
    [ 'a point before an exponent'    => '2.e3' ],
    [ 'a minus alone'                 => '-' ],
    [ 'a minus and a point'           => '-.5' ],
    [ 'two minus'                     => '--1' ],
    [ 'an exponent without digits'    => '1e' ],
    [ 'an exponent with a sign only'  => '1e+' ],
    [ 'an exponent with a point'      => '1e1.5' ],
    [ 'two points'                    => '1.2.3' ],
    [ 'a digit group'                 => '1_000' ],
    [ 'a bigint'                      => '1n' ],
    [ 'a blank in a number'           => '1 .5' ],
    [ 'a blank behind a minus'        => '- 1' ],
    [ 'a wide digit'                  => "\xef\xbc\x91" ],

    [ 'a raw line feed in a string'   => "\"a\nb\"" ],
    [ 'a raw tab in a string'         => "\"a\tb\"" ],
    [ 'a raw NUL in a string'         => "\"a\0b\"" ],
    [ 'a raw 0x1f in a string'        => "\"a\x1fb\"" ],
    [ 'a raw line feed in a key'      => "{\"a\nb\":1}" ],
    [ 'the escape x'                  => '"\x41"' ],
    [ 'the escape a'                  => '"\a"' ],
    [ 'the escape 0'                  => '"\0"' ],
    [ 'the escape of a quote'         => q("\'") ],
    [ 'the escape v'                  => '"\v"' ],
    [ 'the escape U'                  => '"\U0041"' ],
    [ 'an escape of a raw line feed'  => "\"\\\n\"" ],
    [ 'u with a letter g'             => '"\u00g0"' ],
    [ 'u with three digits'           => '"\u041"' ],
    [ 'u with no digits'              => '"\u"' ],
    [ 'u with braces'                 => '"\u{41}"' ],
    [ 'u with a sign'                 => '"\u+041"' ],
    [ 'u with blanks'                 => '"\u 041"' ],

    [ 'a lone continuation'           => "\"\x80\"" ],
    [ 'a lead byte alone'             => "\"\xc3\"" ],
    [ 'a lead byte and ASCII'         => "\"\xc3a\"" ],
    [ 'three bytes cut after two'     => "\"\xe2\x82\"" ],
    [ 'four bytes cut after three'    => "\"\xf0\x9f\x98\"" ],
    [ 'overlong, two bytes'           => "\"\xc0\xaf\"" ],
    [ 'overlong NUL'                  => "\"\xc0\x80\"" ],
    [ 'overlong, c1'                  => "\"\xc1\xbf\"" ],
    [ 'overlong, three bytes'         => "\"\xe0\x9f\xbf\"" ],
    [ 'overlong, four bytes'          => "\"\xf0\x8f\xbf\xbf\"" ],
    [ 'the first surrogate'           => "\"\xed\xa0\x80\"" ],
    [ 'the last surrogate'            => "\"\xed\xbf\xbf\"" ],
    [ 'a pair of surrogates'          => "\"\xed\xa0\xbd\xed\xb8\x80\"" ],
    [ 'above U+10FFFF'                => "\"\xf4\x90\x80\x80\"" ],
    [ 'a lead byte f5'                => "\"\xf5\x80\x80\x80\"" ],
    [ 'five bytes'                    => "\"\xf8\x88\x80\x80\x80\"" ],
    [ '0xFE'                          => "\"\xfe\"" ],
    [ '0xFF'                          => "\"\xff\"" ],
    [ 'Latin-1'                       => "\"caf\xe9\"" ],
    [ 'invalid in a key'              => "{\"\xff\":1}" ],
    [ 'invalid outside of strings'    => "[\xff]" ],

    [ 'a byte order mark'             => "\xef\xbb\xbf1" ],
    [ 'a form feed'                   => "\f1" ],
    [ 'a vertical tab'                => "\x0b1" ],
    [ 'a no-break space'              => "\xc2\xa01" ],
    [ 'a line separator'              => "\xe2\x80\xa81" ],
    [ 'a NUL between'                 => "[1\0]" ],
    [ 'a NUL behind'                  => "1\0" ],
    [ 'a delete'                      => "\x7f1" ],

    [ 'arrays, 10,000 deep'           => '[' x 10_000 . ']' x 10_000 ],
    [ 'objects, 10,000 deep'          => '{"a":' x 10_000 . '1' . '}' x 10_000 ],
    [ '10,000 open arrays'            => '[' x 10_000 ],
    [ '100,000 open objects'          => '{"a":' x 100_000 ],
);

my @good = (
    'null', 'true', 'false', '0', '-0', '1', '-1', '10', '0.0', '-0.5', '1.50',
    '1e5', '1E5', '1e+5', '1e-5', '0e0', '-0e-0', '1.5e300', '1e400', '-1e400',
    '9007199254740993', '123456789012345678901234567890',
    '""', '"a"', '"\""', '"\\\\"', '"\/"', '"/"', '"\b\f\n\r\t"',
    '"\u0041"', '"\u00E9"', '"\u00e9"', '"\ud83d\ude00"', '"\uD83D\uDE00"',
    '"\u0000"', '"\ud800"', '"\udc00\ud800"', '"\uffff"',
    "\"\x7f\"", "\"\xc2\x80\"", "\"\xdf\xbf\"", "\"\xe0\xa0\x80\"",
    "\"\xed\x9f\xbf\"", "\"\xee\x80\x80\"", "\"\xef\xbf\xbf\"",
    "\"\xf0\x90\x80\x80\"", "\"\xf4\x8f\xbf\xbf\"", "\"\xe2\x80\xa8\"",
    "\"\xef\xbb\xbf\"",
    '[]', '[ ]', '[1]', '[1,2]', '[ 1 , 2 ]', '[[[]]]', '[{}]', '[null,"",{}]',
    '{}', '{ }', '{"a":1}', '{ "a" : 1 , "b" : 2 }', '{"":0}', '{"a":{"a":{}}}',
    '{"\u0061":1}', "{\"\xc3\xa9\":1}", '{"__proto__":1}', '{"type":"event"}',
    "[\t1,\r\n2 ]", '[' x 60 . ']' x 60,
);

my $ws   = WSBus::Raw->open($nginx->port);
my $pub  = WSBus::Raw->new($nginx->port);
my $sent = 0;

$ws->send_text('{"type":"subscribe","filter":{}}');
is($ws->read_json->{type}, 'subscribed', 'a bystander');


sub event_of {
    my ($data) = @_;
    return '{"action":"created","entity_type":"t","entity_id":"' . ++$sent
           . '","data":' . $data . '}';
}

# the next that the bystander has is the one that is published now

sub undisturbed {
    my ($what) = @_;

    $pub->post('/publish', event_of('"good"'));

    my $got = $ws->read_json;
    is($got->{type} eq 'event' ? $got->{data}{event}{entity_id} : $got->{type},
       $sent, $what);
}

sub refused {
    my ($what, $body, $type) = @_;

    my $res = $pub->post('/publish', $body, 'Content-Type' => $type
                                            // 'application/json');
    is($res->{status}, 400, $what) or diag($res->{body});

    my $problem = eval { decode_json($res->{body}) };
    is(ref $problem, 'HASH', "$what: the answer is JSON")
        or diag($res->{body});
}


subtest 'as data' => sub {
    refused($_->[0], event_of($_->[1])) for @bad;
    undisturbed('the bystander has none of them');
};


subtest 'deep inside data' => sub {
    refused($_->[0], event_of('{"x":[0,' . $_->[1] . ']}')) for @bad;
    undisturbed('the bystander has none of them');
};


subtest 'as the whole body' => sub {
    refused($_->[0], $_->[1]) for @bad;
    undisturbed('the bystander has none of them');
};


subtest 'as an unknown field' => sub {
    for my $row (@bad) {
        refused($row->[0], '{"action":"created","entity_type":"t",'
            . '"entity_id":"x","data":1,"unknown":' . $row->[1] . '}');
    }
    undisturbed('the bystander has none of them');
};


subtest 'in a batch, between good ones' => sub {
    for my $row (@bad) {
        refused($row->[0], '[' . join(',', event_of('1'), event_of($row->[1]),
                                      event_of('2')) . ']');
    }
    undisturbed('the bystander has none of them');
};


subtest 'on a line, between good ones' => sub {
    for my $row (grep { $_->[1] !~ /\n/ } @bad) {
        refused($row->[0], join("\n", event_of('1'), event_of($row->[1]),
                                event_of('2')), 'application/x-ndjson');
    }
    undisturbed('the bystander has none of them');
};


subtest 'blanks around the document' => sub {
    for my $blank ("\f", "\x0b", "\xc2\xa0", "\xef\xbb\xbf", "\0", "\x1e") {
        my $hex = unpack 'H*', $blank;
        refused("$hex before", $blank . event_of('1'));
        refused("$hex behind", event_of('1') . $blank);
    }
    undisturbed('the bystander has none of them');

    is($pub->post('/publish', " \t\r\n" . event_of('1') . " \t\r\n")->{status},
       200, 'those of RFC 8259 are accepted');
    is($ws->read_json->{data}{event}{entity_id}, $sent, 'and it arrives');
};


subtest 'valid data' => sub {
    for my $data (@good) {
        my $what = $data =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger;

        my $res = $pub->post('/publish', event_of($data));
        is($res->{status}, 200, "$what: accepted")
            or diag($res->{body}), next;

        my $frame = $ws->read_frame;
        ok($frame->{payload} =~ /"data":\Q$data\E\}\}\}\z/,
           "$what: arrives as it was sent") or diag($frame->{payload});

        # lone surrogates and noncharacters are JSON, but not to the
        # decoder at hand
        my $text = $frame->{payload} =~ s/\\u(?:d800|dc00)/-/gr;
        $text =~ s/\xef\xbf\xbf|\xf4\x8f\xbf\xbf/-/g;

        is(ref eval { decode_json($text) }, 'HASH',
           "$what: the frame is JSON") or diag($@);
    }
};


subtest 'duplicate keys in data' => sub {
    my $data = '{"a":1,"a":2}';
    my $res  = $pub->post('/publish', event_of($data));

    if ($res->{status} == 200) {
        like($ws->read_frame->{payload}, qr/\Q$data\E/, 'pass as they are');
    } else {
        like($res->{status}, qr/^4(?:00|22)$/, 'are refused');
    }

    undisturbed('the bystander goes on');
};


subtest 'no frame that is not JSON' => sub {
    $ws->send_text('{"type":"ping"}');
    is($ws->read_json->{type}, 'pong', 'nothing else came');
};


$nginx->finish;
done_testing;
