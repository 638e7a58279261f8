# SPDX-License-Identifier: BSD-2-Clause

package WSBus::EasySale;

# A client of the tenant protocol that knows nothing of ws_bus: it does what
# the browser hook of EasySale does. It connects to /ws?tenant_id= of its
# page's host; of the messages, each a JSON document, it heeds ConfigChanged
# of its own tenant, and answers "Ping" with "Pong". When the connection is
# gone it comes back after 1 s, 2 s and so on up to 30 s, five times at most;
# each success begins that anew.
#
# In {changes} are the words of change of its tenant, in {odd} the messages
# that make no sense to it, in {opened} and {closed} how often.

use strict;
use warnings;

use Mojo::IOLoop;
use Mojo::JSON ();
use Mojo::UserAgent;
use Mojo::Util qw(encode url_escape);
use Scalar::Util qw(weaken);


sub new {
    my ($class, $host, $tenant) = @_;

    my $self = bless {
        url      => "ws://$host/ws?tenant_id="
                    . url_escape(encode('UTF-8', $tenant),
                                 '^A-Za-z0-9\-_.!~*\'()'),
        tenant   => $tenant,
        changes  => [],
        odd      => [],
        opened   => 0,
        closed   => [],
        attempts => 0,
        ua       => Mojo::UserAgent->new(inactivity_timeout => 0),
    }, $class;

    $self->connect;

    return $self;
}


sub connect {
    my ($self) = @_;

    weaken(my $this = $self);

    $self->{ua}->websocket($self->{url} => sub {
        my (undef, $tx) = @_;

        return if !$this;
        return $this->again('refused') if !$tx->is_websocket;

        $this->{tx} = $tx;
        $this->{opened}++;
        $this->{attempts} = 0;

        $tx->on(text => sub { $this->message($_[1]) if $this });
        $tx->on(binary => sub { push @{ $this->{odd} }, 'binary' if $this });
        $tx->on(finish => sub { $this->again($_[1] // 1006) if $this });
    });

    return;
}


sub message {
    my ($self, $text) = @_;

    my $message = eval { Mojo::JSON::decode_json($text) };

    # "message.ConfigChanged" is undefined of a string, and throws of null

    if (!defined $message) {
        push @{ $self->{odd} }, $text;

    } elsif (!ref $message && $message eq 'Ping') {
        $self->{tx}->send({ text => '"Pong"' });

    } elsif (ref $message eq 'HASH' && $message->{ConfigChanged}) {
        my $change = $message->{ConfigChanged};

        push @{ $change->{tenant_id} eq $self->{tenant}
                ? $self->{changes} : $self->{odd} }, $change->{change_type};

    } else {
        push @{ $self->{odd} }, $text;
    }

    return;
}


sub again {
    my ($self, $why) = @_;

    delete $self->{tx};
    push @{ $self->{closed} }, $why;

    return if $self->{done} || $self->{attempts} >= 5;

    my $wait = 2 ** $self->{attempts}++;
    weaken(my $this = $self);

    Mojo::IOLoop->timer(($wait < 30 ? $wait : 30)
                        => sub { $this->connect if $this });

    return;
}


sub close {
    my ($self) = @_;

    $self->{done} = 1;
    $self->{tx}->finish(1000) if $self->{tx};

    return;
}


1;
