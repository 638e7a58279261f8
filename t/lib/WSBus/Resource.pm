# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Resource;

# A client of the resource protocol that knows nothing of ws_bus: it does what
# the Python client of the protocol's document does. A message is told by its
# type, which each must have; a response goes to whoever waits for its id, and
# is looked into without asking: success, then data or error's message; a
# notification goes to the subscription that it names.
#
# What such a client would die of is kept in {faults}.

use strict;
use warnings;

use Mojo::JSON qw(decode_json encode_json);

use WSBus::Raw;

my $TIMESTAMP = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/;


sub new {
    my ($class, $to, %o) = @_;

    return bless {
        ws      => WSBus::Raw->open($to, no_welcome => 1, path => '/ws', %o),
        faults  => [],
        answers => {},
        told    => {},
        next    => 0,
    }, $class;
}


sub ws     { $_[0]{ws} }
sub faults { @{ $_[0]{faults} } }


# the next text as it is sent, or nothing

sub text {
    my ($self, $timeout) = @_;

    my $frame = $self->{ws}->read_frame($timeout) or return;

    return $frame->{opcode} == WSBus::Raw::TEXT ? $frame->{payload} : undef;
}


# reads one message, and puts it where it belongs

sub listen {
    my ($self, $timeout) = @_;

    my $text = $self->text($timeout) // return;
    my $m    = eval { decode_json($text) };

    return $self->fault("no document: $text") if ref $m ne 'HASH';

    my $type = $m->{type} // return $self->fault("no type: $text");

    $self->fault("no timestamp: $text")
        if ($m->{timestamp} // '') !~ $TIMESTAMP;

    if ($type eq 'notification') {
        my $id = $m->{subscription_id} // '';
        $self->fault("told of what it does not know: $text")
            if !$self->{told}{$id};
        push @{ $self->{told}{$id} }, $m;
        return $m;
    }

    return $self->fault("unknown: $text") if $type !~ /^(?:response|pong)$/;

    my $id = $m->{id} // return $self->fault("no id: $text");
    $self->fault("answered twice: $text")
        if length $id && exists $self->{answers}{$id};

    if ($type eq 'response') {
        $self->fault("no success: $text") if !exists $m->{success};
        $self->fault("no data: $text")
            if $m->{success} && !exists $m->{data};
        $self->fault("no message: $text")
            if !$m->{success} && !length($m->{error}{message} // '');
    }

    # a subscription is known before the first that it is told

    $self->{told}{ $m->{data}{subscription_id} } //= []
        if $m->{success} && ref $m->{data} eq 'HASH'
           && defined $m->{data}{subscription_id};

    $self->{answers}{$id} = $m;

    return $m;
}


sub fault {
    my ($self, $what) = @_;
    push @{ $self->{faults} }, $what;
    return { type => '' };
}


# the answer to a message, which gets an id if it has none

sub ask {
    my ($self, $m) = @_;

    my $id = $m->{id} //= 'r-' . ++$self->{next};
    delete $self->{answers}{$id};

    return $self->ask_text(encode_json($m), $id);
}


# the same of any text, answered under this id

sub ask_text {
    my ($self, $text, $id) = @_;

    delete $self->{answers}{$id};
    $self->{ws}->send_text($text);

    until ($self->{answers}{$id}) {
        $self->listen or return;
    }

    return $self->{answers}{$id};
}


# its id

sub subscribe {
    my ($self, $entity, %o) = @_;

    my $res = $self->ask({ type => 'subscription', operation => 'subscribe',
                           (defined $entity ? (entity => $entity) : ()),
                           %o });

    return $res->{success} ? $res->{data}{subscription_id} : undef;
}


sub unsubscribe {
    my ($self, $id) = @_;
    return $self->ask({ type => 'subscription', operation => 'unsubscribe',
                        subscription_id => $id });
}


# so many notifications for a subscription, taken

sub told {
    my ($self, $id, $n) = @_;

    while (@{ $self->{told}{$id} // [] } < $n) {
        $self->listen or last;
    }

    return splice @{ $self->{told}{$id} // [] };
}


1;
