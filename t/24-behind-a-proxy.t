# SPDX-License-Identifier: BSD-2-Clause
# Behind another proxy: the nginx of docs/behind-a-proxy.md, as it stands
# there, in front of ws_bus.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $page = WSBus::Nginx::slurp("$WSBus::Nginx::ROOT/docs/behind-a-proxy.md");

my ($front) = $page =~ /^### nginx\n\n```nginx\n(.*?)^```/ms;
my ($real)  = $page =~ /^```nginx\n(set_real_ip_from 127\.0\.0\.1;.*?)^```/ms;

die "the page has no snippets\n" if !$front || !$real;

$front =~ s/10\.0\.0\.5:8080/127.0.0.1:%%PORT1%%/;
$front =~ s/listen 80;/listen 127.0.0.1:%%PORT%%; access_log off;
    location = \/naive { proxy_pass http:\/\/ws_bus\/ws; }/;

my $nginx = WSBus::Nginx->new(workers => 2, http => <<"END")->start;
    $front
    log_format seen '\$remote_addr \$http_host \$request_uri';
    ws_bus_zone zone=events:4m;
    ws_bus_drain_window 1s;
    server {
        listen 127.0.0.1:%%PORT1%%;
        access_log %%PREFIX%%/seen.log seen;
        $real
        location = /ws      { ws_bus events; ws_bus_ping_interval 1s; }
        location = /publish { ws_bus_publish events; }
    }
END

my $pub = WSBus::Raw->new($nginx->port(1));

sub publish {
    my ($id) = @_;
    return $pub->publish({ action => 'created', entity_type => 'order',
                           entity_id => $id })->{last_id};
}


subtest 'as nginx passes it on without being told' => sub {
    my $res = WSBus::Raw->new($nginx->port)->handshake(path => '/naive');
    is($res->{status}, 400, 'refused');
    like($res->{body}, qr/lacks HTTP\/1\.1, "Upgrade: websocket", "Connection: Upgrade"/,
         'and the answer says what is missing');
};


subtest 'as the page has it' => sub {
    my $port = $nginx->port;
    my $ws   = WSBus::Raw->open($port);
    my $got  = $ws->subscribe({}, since => 'now');

    is($got->{type}, 'subscribed', 'subscribed through the proxy');
    my $first = publish('a');
    is($ws->read_json->{data}{id}, $first, 'an event comes');

    # a position may come first
    my $frame = $ws->read_frame;
    $frame = $ws->read_frame
        while $frame && $frame->{opcode} == WSBus::Raw::TEXT;
    is(($frame // {})->{opcode}, WSBus::Raw::PING, 'and the heartbeat');
    $ws->close;

    publish('b');
    my $again = WSBus::Raw->open($port);
    is($again->subscribe({}, since => $first)->{recovered} ? 1 : 0, 1, 'it resumes');
    is($again->read_json->{data}{event}{entity_id}, 'b', 'with what it missed');
    $again->close;
};


subtest 'the address is the client\'s' => sub {
    my $ws = WSBus::Raw->new($nginx->port, from => '127.0.0.9');
    is($ws->handshake(path => '/ws?mine', host => 'bus.example:81',
                      headers => [ 'X-Forwarded-For' => '10.9.8.7' ])->{status},
       101, 'from another address, which claims to be a third');
    $ws->close;

    ok(WSBus::Nginx::await(sub {
        WSBus::Nginx::slurp($nginx->file('seen.log'))
            =~ m{^127\.0\.0\.9 bus\.example:81 /ws\?mine$}m }),
       'the first is what ws_bus sees, and the Host')
        or diag(WSBus::Nginx::slurp($nginx->file('seen.log')));
};


$pub->close;
$nginx->finish;
done_testing;
