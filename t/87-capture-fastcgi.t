# SPDX-License-Identifier: BSD-2-Clause
# Capture before backends that speak FastCGI and uwsgi: the same events.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;

use WSBus::Client;
use WSBus::Nginx;


# what a backend answers: status, body or undef, by the method

my %ANSWER = (
    POST   => [ '201 Created', '{"id":"n-1","amount":42.0}' ],
    PUT    => [ '200 OK', '{"id":"n-1","amount":9007199254740993}' ],
    PATCH  => [ '422 Unprocessable Entity', '{"error":"no"}' ],
    DELETE => [ '204 No Content', undef ],
    GET    => [ '200 OK', '[{"id":"n-1"}]' ],
);

# a child that answers each connection with what the code returns

sub backend {
    my ($code) = @_;

    my $listen = IO::Socket::INET->new(
        Listen => 16, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die $!;
    my $port = $listen->sockport;

    defined(my $pid = fork) or die "fork: $!";

    if (!$pid) {
        $SIG{ALRM} = 'DEFAULT';
        alarm 120;
        while (my $c = $listen->accept) {
            my $out = $code->($c);
            print {$c} $out if defined $out;
            close $c;
        }
        POSIX::_exit(0);
    }

    return ($port, $pid);
}

sub take {
    my ($c, $n) = @_;
    my $buf = '';
    while (length $buf < $n) {
        sysread($c, $buf, $n - length $buf, length $buf) or last;
    }
    return $buf;
}

sub params {
    my ($format, $text) = @_;
    my %p;
    while (length $text) {
        my ($n, $v);
        if ($format eq 'uwsgi') {
            ($n, $text) = unpack 'v/a* a*', $text;
            ($v, $text) = unpack 'v/a* a*', $text;
        } else {
            my @len = map {
                my $b = ord $text;
                my $l = $b < 128 ? $b : unpack('N', $text) & 0x7fffffff;
                substr $text, 0, $b < 128 ? 1 : 4, '';
                $l;
            } 0, 1;
            ($n, $v) = map { substr $text, 0, $_, '' } @len;
        }
        $p{$n} = $v;
    }
    return \%p;
}

sub head {
    my ($status, $body, $first) = @_;
    return "$first$status\r\nContent-Type: application/json\r\n\r\n"
           . ($body // '');
}

sub fastcgi {
    my ($c) = @_;

    my ($params, $done) = ('', 0);

    until ($done) {
        my (undef, $type, undef, $len, $pad) = unpack 'CCnnC', take($c, 8);
        return undef if !defined $type;
        my $content = take($c, $len + $pad);
        $params .= substr $content, 0, $len if $type == 4;
        $done = 1 if $type == 5 && $len == 0;
    }

    my $p   = params('fastcgi', $params);
    my $out = head(@{ $ANSWER{ $p->{REQUEST_METHOD} } }, 'Status: ');

    # cut off: the response has no end

    if ($p->{REQUEST_URI} =~ /cut/) {
        return pack('CCnnCC', 1, 6, 1, length $out, 0, 0) . substr $out, 0, 40;
    }

    return join '', map({ pack('CCnnCC', 1, 6, 1, length, 0, 0) . $_ }
                        $out =~ /(.{1,20})/sg),
                pack('CCnnCC', 1, 6, 1, 0, 0, 0),
                pack('CCnnCCNCC3', 1, 3, 1, 8, 0, 0, 0, 0, 0, 0, 0);
}

sub uwsgi {
    my ($c) = @_;
    my (undef, $len) = unpack 'Cv', take($c, 4);
    return undef if !defined $len;
    my $p = params('uwsgi', take($c, $len));
    take($c, $p->{CONTENT_LENGTH} || 0);
    return head(@{ $ANSWER{ $p->{REQUEST_METHOD} } }, 'HTTP/1.1 ');
}


require POSIX;

my ($fastcgi, $pid1) = backend(\&fastcgi);
my ($uwsgi, $pid2)   = backend(\&uwsgi);

END {
    my $rc = $?;
    for my $pid (grep { $_ } $pid1, $pid2) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }
    $? = $rc;
}

my $params = join ' ', map {
    my $kind = $_;
    map { "${kind}_param $_;" } 'REQUEST_METHOD $request_method',
        'REQUEST_URI $request_uri', 'CONTENT_LENGTH $content_length';
} 'fastcgi', 'uwsgi';

my $nginx = WSBus::Nginx->new(
    workers => 1,
    http    => WSBus::Nginx::minimal(server => qq(
        $params
        location /f/ { fastcgi_pass 127.0.0.1:$fastcgi; ws_bus_capture events; }
        location /b/ { fastcgi_pass 127.0.0.1:$fastcgi; ws_bus_capture events;
                       fastcgi_buffering off; }
        location /u/ { uwsgi_pass 127.0.0.1:$uwsgi; ws_bus_capture events; })),
)->start;

my $c  = WSBus::Client->new($nginx);
my $ws = $c->connect;
$ws->subscribe;


for my $at (qw(f b u)) {
    subtest { f => 'FastCGI', b => 'FastCGI, not buffered',
              u => 'uwsgi' }->{$at} => sub {

        for my $method (qw(POST PUT PATCH DELETE GET)) {
            my ($status, undef, undef, $body) = $c->request(
                $method, "/$at/orders/7", $method eq 'GET' ? '' : '{}');
            my ($code) = $ANSWER{$method}[0] =~ /^(\d+)/;
            is($status, $code, "$method: status $code");
            is($body, $ANSWER{$method}[1] // '', 'and body');
        }

        my @got = map { $_->{data}{event} } grep { $_->{type} eq 'event' }
                  $ws->sync;

        is(join(', ', map { "$_->{action} $_->{entity_type} $_->{entity_id}" }
                      @got),
           'created orders n-1, updated orders n-1, deleted orders 7',
           'three events');
        is($got[1]{data}{amount}, '9007199254740993', 'with their data');
    };
}

subtest 'a response that is cut off' => sub {
    my ($status) = $c->request('POST', '/f/cut', '{}');
    is(scalar(grep { $_->{type} eq 'event' } $ws->sync), 0, 'no event');
};

$nginx->allow(qr/upstream prematurely closed/);
$nginx->finish;
done_testing;
