# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Client;

# Subscribers and publishers over Mojo::UserAgent, all in one event loop.

use strict;
use warnings;

use Mojo::IOLoop;
use Mojo::JSON qw(encode_json decode_json);
use Mojo::UserAgent;
use Scalar::Util qw(weaken);
use Test::More ();

use WSBus::Nginx;

our $MARKER = 'wsbus_marker';

my $count = 0;


# publish   path of the publish location (/publish)
# port      which of the ports of the nginx (0)
# scheme    http or https

sub new {
    my ($class, $nginx, %o) = @_;

    my $self = bless {
        publish => '/publish',
        scheme  => 'http',
        port    => 0,
        sockets => [],
        nginx   => $nginx,
        %o,
    }, $class;

    $self->{ua} = Mojo::UserAgent->new(
        connect_timeout    => $WSBus::Nginx::TIMEOUT,
        inactivity_timeout => 0,
        request_timeout    => 0,
        max_connections    => 0,
        max_redirects      => 0,
        max_response_size  => 0,
        insecure           => 1,
    );

    $nginx->register($self);

    return $self;
}


sub ua { $_[0]{ua} }

sub url {
    my ($self, $path, $scheme) = @_;
    $scheme //= $self->{scheme};
    return "$scheme://127.0.0.1:" . $self->{nginx}->port($self->{port}) . $path;
}


# turns the loop until the code says true, which may hang on what no event of
# the loop tells

sub run_until {
    my ($code, $timeout) = @_;

    my $over;
    my $timer = Mojo::IOLoop->timer(
        $timeout // $WSBus::Nginx::TIMEOUT, sub { $over = 1 });
    my $look = Mojo::IOLoop->recurring(0.02 => sub { });

    my $rc;
    until (($rc = $code->()) || $over) {
        Mojo::IOLoop->one_tick;
    }

    Mojo::IOLoop->remove($_) for $timer, $look;

    return $rc;
}


# n connections at once

sub connect_many {
    my ($self, $n, $path, %headers) = @_;

    my $scheme = $self->{scheme} eq 'https' ? 'wss' : 'ws';
    my ($left, @sockets) = ($n);

    for (1 .. $n) {
        my $socket = WSBus::Client::Socket->new($self);
        push @sockets, $socket;

        $self->{ua}->websocket(
            $self->url($path // '/ws', $scheme) => {%headers} => sub {
                my ($ua, $tx) = @_;
                $left--;
                $socket->opened($tx);
            });
    }

    run_until(sub { !$left })
        or Test::More::diag("$left connections were not opened");

    for my $socket (@sockets) {
        push @{ $self->{sockets} }, $socket;
        weaken($self->{sockets}[-1]);
    }

    return @sockets;
}


sub connect {
    my ($self, $path, %headers) = @_;
    return ($self->connect_many(1, $path, %headers))[0];
}


# a connection that has had its welcome

sub open {
    my ($self, $path, %headers) = @_;

    my $socket = $self->connect($path, %headers);
    $socket->{welcome} = $socket->next;

    return $socket;
}


# any request: (status, decoded body or nothing, headers, text)

sub request {
    my ($self, $method, $path, $body, %headers) = @_;

    my $tx = $self->{ua}->build_tx(
        $method => $self->url($path) => {%headers} => $body // '');
    my $done;

    $self->{ua}->start($tx => sub { $done = 1 });

    run_until(sub { $done }) or Test::More::diag("no answer to $method $path");

    my $res  = $tx->res;
    my $text = $res->body;
    my $json = eval { decode_json($text) };

    return ($res->code // 0, $json, $res->headers, $text);
}


sub get { my ($self, $path, %h) = @_; return $self->request('GET', $path, '', %h) }


# the body is bytes, or a structure that is encoded

sub publish {
    my ($self, $body, %headers) = @_;

    my $path = delete $headers{path} // $self->{publish};

    $headers{'Content-Type'} //= 'application/json';

    return $self->request('POST', $path,
                          ref $body ? encode_json($body) : $body, %headers);
}


sub status {
    my ($self, $path) = @_;
    return ($self->get($path // '/status'))[1];
}


sub close_all {
    my ($self) = @_;

    my @open = grep { $_ && !$_->{closed} && $_->{tx} } @{ $self->{sockets} };

    $_->{tx}->finish(1000) for @open;
    run_until(sub { !grep { !$_->{closed} } @open }, 3);

    $self->{ua} = undef;

    return;
}


package WSBus::Client::Socket;

use strict;
use warnings;

use Mojo::JSON qw(encode_json decode_json);
use Scalar::Util qw(weaken);


sub new {
    my ($class, $client) = @_;
    return bless { client => $client, queue => [] }, $class;
}


sub opened {
    my ($self, $tx) = @_;

    $self->{status}  = $tx->res->code;
    $self->{headers} = $tx->res->headers;

    if (!$tx->is_websocket) {
        $self->{closed} = [ 0, 'refused' ];
        return;
    }

    $self->{tx} = $tx;
    weaken(my $this = $self);

    $tx->max_websocket_size(256 * 1024 * 1024);

    $tx->on(text => sub { push @{ $this->{queue} }, $_[1] if $this });
    $tx->on(binary => sub { push @{ $this->{queue} }, '{"type":"BINARY"}'
                                if $this });
    $tx->on(finish => sub {
        my (undef, $code, $reason) = @_;
        $this->{closed} = [ $code // 1006, $reason // '' ] if $this;
    });

    return;
}


# a structure, or text as it is

sub send {
    my ($self, $message) = @_;

    $self->{tx}->send({ text => ref $message ? encode_json($message) : $message });

    return $self;
}


# the next message; of type "none" if there is none in time. Its text is
# in {text}

sub next {
    my ($self, $timeout) = @_;

    WSBus::Client::run_until(
        sub { @{ $self->{queue} } || $self->{closed} }, $timeout);

    if (!@{ $self->{queue} }) {
        $self->{text} = '';
        return { type => 'none' };
    }

    $self->{text} = shift @{ $self->{queue} };

    return eval { decode_json($self->{text}) }
           // { type => 'invalid', text => $self->{text} };
}


# takes the first message that the code accepts; the others stay

sub wait_for {
    my ($self, $code, $timeout) = @_;

    my ($seen, $found) = (0);

    WSBus::Client::run_until(sub {
        for (; $seen < @{ $self->{queue} }; $seen++) {
            local $_ = eval { decode_json($self->{queue}[$seen]) } // {};
            if ($code->($_)) {
                $found = $_;
                $self->{text}   = splice @{ $self->{queue} }, $seen, 1;
                $self->{before} = $seen;
                return 1;
            }
        }
        return $self->{closed};
    }, $timeout);

    return $found // { type => 'none' };
}


sub wait_type {
    my ($self, $type, $timeout) = @_;
    return $self->wait_for(sub { ($_->{type} // '') eq $type }, $timeout);
}


# sends and takes the answer: a confirmation, a pong or an error

sub ask {
    my ($self, $message) = @_;

    $self->send($message);

    return $self->wait_for(sub { ($_->{type} // '') !~ /^(event|welcome)$/ });
}


sub subscribe {
    my ($self, $filter, %more) = @_;
    return $self->ask({ type => 'subscribe', filter => $filter // {}, %more });
}


# publishes a marker and takes what came before it: now it is known what
# was delivered and what was not

sub sync {
    my ($self, %headers) = @_;

    my $marker = $WSBus::Client::MARKER;

    $self->{marker} //= $self->subscribe({ entity_type => $marker })
                             ->{subscription_id};

    my $id = "$$-" . ++$count;

    $self->{client}->publish({ action => 'updated', entity_type => $marker,
                               entity_id => $id }, %headers);

    my $got = $self->wait_for(sub {
        $_->{type} eq 'event'
            && $_->{subscription_id} eq $self->{marker}
            && $_->{data}{event}{entity_id} eq $id;
    });

    Test::More::diag('the marker did not come') if $got->{type} eq 'none';

    my @text = splice @{ $self->{queue} }, 0, $self->{before} // 0;

    return grep { ($_->{data}{event}{entity_type} // '') ne $marker
                  && (!$self->{only_events} || $_->{type} eq 'event') }
           map  { eval { decode_json($_) } // { type => 'invalid', text => $_ } }
           grep { $_ !~ /"entity_type":"$marker"/ } @text;
}


# code and reason, once the connection is closed

sub wait_close {
    my ($self, $timeout) = @_;

    WSBus::Client::run_until(sub { $self->{closed} }, $timeout);

    return @{ $self->{closed} // [ 0, 'still open' ] };
}


sub finish {
    my ($self, @code) = @_;
    $self->{tx}->finish(@code);
    return $self->wait_close;
}


1;
