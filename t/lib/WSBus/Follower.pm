# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Follower;

# A client that follows the documented rule, and keeps account of it.
#
# For each of its subscriptions it knows the largest of its last event's id,
# subscribed.last_id, any later last_id and the "to" of a gap; when it
# connects again it goes on from there. Whatever contradicts what it was told
# before is a fault; what it got, and the gaps it was told, are kept as bits,
# one for each seq, for WSBus::Ledger to check.

use strict;
use warnings;

use Mojo::JSON qw(decode_json encode_json);
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use WSBus::Id;
use WSBus::Ledger;
use WSBus::Raw;

# port    where to connect
# subs    list of { filter, since }; without a since it is plain: it never
#         sends one, and does not come back
# cut     code: how many bytes to read of the next connection (undef: all)
# pause   code: seconds until it connects again (0.01)
# read    bytes of one read, 0: does not read (262144)
# once    does not come back
# again   a plain one comes back, as another
# ping    seconds between pings (0: none)
# rcvbuf  size of its receive buffer
# note    code, called with each message that is no event

sub new {
    my ($class, %o) = @_;

    my $self = bless {
        port   => $o{port},
        path   => $o{path} // '/ws',
        cut    => $o{cut},
        pause  => $o{pause},
        read   => $o{read} // 262_144,
        once   => $o{once},
        again  => $o{again},
        ping   => $o{ping} // 0,
        rcvbuf => $o{rcvbuf} // 0,
        note   => $o{note},
        seen   => $o{seen},
        state  => 'idle',
        subs   => [],
        faults => [],
        closes => {},
        events => 0,
        bytes  => 0,
        opened => 0,
        gaps   => 0,
    }, $class;

    for my $sub (@{ $o{subs} // [ { filter => {}, since => 'now' } ] }) {
        push @{ $self->{subs} },
             { %$sub, got => '', gap => '', events => 0, gaps => 0 };
    }

    $self->{plain} = !grep { defined $_->{since} } @{ $self->{subs} };

    return $self;
}


sub fault {
    my ($self, $text) = @_;
    push @{ $self->{faults} }, $text if @{ $self->{faults} } < 20;
    $self->{faulty}++;
    return;
}


sub subscribe_text {
    my ($self, $n) = @_;

    my $sub   = $self->{subs}[$n];
    my $since = defined $sub->{pos} ? event_id($self->{epoch}, $sub->{pos})
                                    : $sub->{since};
    $since = undef if $self->{plain};

    $sub->{asked} = $since;

    return encode_json({ type => 'subscribe', filter => $sub->{filter},
                         id => "$n", defined $since ? (since => $since) : () });
}


# false: it could not be connected

sub connect {
    my ($self) = @_;

    socket my $sock, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";

    setsockopt $sock, SOL_SOCKET, SO_RCVBUF, $self->{rcvbuf}
        if $self->{rcvbuf};
    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;

    connect $sock, pack_sockaddr_in($self->{port}, INADDR_LOOPBACK) or return;

    $sock->blocking(0);

    my $ask = '';
    $ask .= WSBus::Raw::frame(1, $self->subscribe_text($_))
        for 0 .. $#{ $self->{subs} };

    my $text = WSBus::Raw::request(path => $self->{path}, after => $ask);
    my $sent = syswrite $sock, $text;
    return if !defined $sent || $sent != length $text;

    $self->{sock}    = $sock;
    $self->{fd}      = fileno $sock;
    $self->{in}      = '';
    $self->{state}   = 'handshake';
    $self->{left}    = $self->{cut} ? $self->{cut}->() : undef;
    $self->{last_id} = undef;
    $self->{by}      = [];
    $self->{pinged}  = time;
    delete $self->{close};
    delete $_->{expect_gap} for @{ $self->{subs} };

    return 1;
}


sub drop {
    my ($self) = @_;
    CORE::close $self->{sock} if $self->{sock};
    delete $self->{sock};
    $self->{state} = 'idle';
    $self->{in}    = '';
    return;
}


sub send {
    my ($self, $text) = @_;
    return $self->{sock} && defined syswrite $self->{sock},
                                             WSBus::Raw::frame(1, $text);
}


# reads once, at most max bytes; false: the connection is over

sub readable {
    my ($self, $max) = @_;

    my $want = $max // $self->{read};
    $want = $self->{left} if defined $self->{left} && $self->{left} < $want;

    my $n = sysread $self->{sock}, $self->{in}, $want, length $self->{in};

    if (!defined $n) {
        return 1 if $!{EAGAIN} || $!{EINTR};
        $self->{closes}{reset}++ if !$self->{close};
        return 0;
    }

    if ($n == 0) {
        $self->{closes}{eof}++ if !$self->{close};
        return 0;
    }

    $self->{bytes} += $n;

    $self->take;

    if (defined $self->{left} && ($self->{left} -= $n) <= 0) {
        $self->{closes}{cut}++;
        return 0;
    }

    return 1;
}


sub take {
    my ($self) = @_;

    if ($self->{state} eq 'handshake') {
        $self->{in} =~ s/\A(HTTP\/1\.1 (\d+).*?)\r\n\r\n//s or return;
        $self->{state} = 'open';
        $self->{opened}++;
        $self->fault("handshake: $2") if $2 != 101;
    }

    my $in = \$self->{in};
    my $at = 0;

    while (my ($b0, $start, $n) = WSBus::Raw::frame_at($in, $at)) {
        my $text = substr $$in, $start, $n;
        $at = $start + $n;

        if ($b0 != 0x81) {
            $self->control($b0, $text);

        } elsif ($text =~ /^\{"type":"event","subscription_id":"sub_(\d+)","data":\{"id":"([-0-9a-f]{36})"/) {
            my ($ordinal, $epoch, $seq) = ($1, epoch_in($2), seq_in($2));

            my $class = $text =~ /"entity_type":"t(\d+)","entity_id":"x(\d+)"/
                        ? $1 * 16 + $2 : undef;

            $self->event($ordinal, $epoch, $seq, $class);

        } else {
            $self->message($text);
        }
    }

    substr $$in, 0, $at, '';

    return;
}


sub control {
    my ($self, $b0, $text) = @_;

    if ($b0 == 0x89) {
        my $sent = $self->{mute} || syswrite $self->{sock},
                                        WSBus::Raw::frame(10, $text);
        $self->{server_pings}++;
        return;
    }

    if ($b0 == 0x88) {
        my ($code, $reason) = unpack 'na*', $text;
        $self->{close} = [ $code // 1005, $reason // '' ];
        $self->{closed_at} = time;
        $self->{closes}{ $code // 1005 }++;

        if (defined(my $seq = seq_of($reason))) {
            $self->said($seq, 'the close');
        } elsif (($code // 0) =~ /^10(?:01|12|13)$/) {
            $self->fault("close $code without an id: " . ($reason // ''));
        }

        syswrite $self->{sock}, WSBus::Raw::frame(8, pack 'n', $code // 1000);
        return;
    }

    $self->fault(sprintf 'a frame of type %02x', $b0) if $b0 != 0x8a;

    return;
}


# a last_id: everything up to it has been sent, to each subscription

sub said {
    my ($self, $seq, $what) = @_;

    if (defined $self->{last_id} && $seq < $self->{last_id}
        && $what ne 'the close')
    {
        $self->fault("$what says $seq after $self->{last_id}");
    }

    $self->{last_id} = $seq
        if !defined $self->{last_id} || $seq > $self->{last_id};

    for my $sub (grep { $_ } @{ $self->{by} }) {
        $sub->{pos} = $seq if $seq > $sub->{pos};
    }

    return;
}


sub event {
    my ($self, $ordinal, $epoch, $seq, $class) = @_;

    my $sub = $self->{by}[$ordinal];

    if (!$sub) {
        $self->fault("an event before subscribed: sub_$ordinal, $seq");
        return;
    }

    $self->{events}++;
    $sub->{events}++;

    if ($epoch ne $self->{epoch}) {
        $self->fault("epoch $epoch instead of $self->{epoch}");
    }

    if ($seq <= $sub->{pos}) {
        $self->fault(sprintf 'sub_%d: %d after the position %d%s%s', $ordinal,
                     $seq, $sub->{pos},
                     vec($sub->{got}, $seq, 1) ? ', twice' : '',
                     vec($sub->{gap}, $seq, 1) ? ', in a gap' : '');
    } else {
        $sub->{pos} = $seq;
    }

    vec($sub->{got}, $seq, 1) = 1;

    if ($self->{seen} && defined $class) {
        my $known = vec ${ $self->{seen} }, $seq, 8;
        if (!$known) {
            vec(${ $self->{seen} }, $seq, 8) = $class + 1;
        } elsif ($known != $class + 1) {
            $self->fault("$seq is another event than before");
        }
    }

    return;
}


sub gap {
    my ($self, $sub, $from, $to, $what) = @_;

    $sub->{gaps}++;
    $self->{gaps}++;

    if ($from < $sub->{pos}) {
        $self->fault("$what from $from, the position was $sub->{pos}");
    }

    WSBus::Ledger::fill(\$sub->{gap}, $from + 1, $to) if $to > $from;

    $sub->{pos} = $to if $to > $sub->{pos};

    return;
}


sub message {
    my ($self, $text) = @_;

    my $m    = eval { decode_json($text) } // { type => 'invalid' };
    my $type = $m->{type} // '';

    $self->{note}->($self, $m, $text) if $self->{note};

    return if $type eq 'welcome';

    if ($type eq 'subscribed') {
        my $epoch = epoch_of($m->{last_id})
            // return $self->fault("subscribed without last_id: $text");
        my $seq = seq_of($m->{last_id});
        my ($ordinal) = $m->{subscription_id} =~ /^sub_(\d+)$/;
        my $sub = $self->{subs}[ $m->{id} ];

        $self->{epoch} //= $epoch;
        $self->{by}[$ordinal] = $sub;
        $sub->{told} = $m;

        if (!defined $sub->{pos}) {
            $sub->{start} = $sub->{pos} = $seq;
            return;
        }

        if ($m->{recovered}) {
            $self->fault("recovered at $seq, since was $sub->{pos}")
                if $seq != $sub->{pos};
        } else {
            # it is a gap already; the message that follows says the same
            $self->fault("not recovered, but at $seq, since was $sub->{pos}")
                if $seq <= $sub->{pos};
            $self->gap($sub, $sub->{pos}, $seq, 'subscribed');
            $sub->{expect_gap} = $seq;
        }

        return;
    }

    if ($type eq 'pong' || $type eq 'position') {
        $self->{pongs}++ if $type eq 'pong';
        $self->{positions}++ if $type eq 'position';
        if (defined $m->{last_id}) {
            $self->said(seq_of($m->{last_id}), $type);
        } elsif ($type eq 'position') {
            $self->fault("position without last_id");
        }
        return;
    }

    if ($type eq 'gap') {
        my $from = seq_of($m->{from});
        my $to   = seq_of($m->{to});
        my ($ordinal) = $m->{subscription_id} =~ /^sub_(\d+)$/;
        my $sub = $self->{by}[$ordinal]
            or return $self->fault("a gap of nobody: $text");

        if ($self->{plain}) {
            $self->fault('a plain client got a gap');
        }

        if (defined(my $seq = delete $sub->{expect_gap})) {
            $self->fault("the gap ends at $to, subscribed said $seq")
                if $to != $seq;
            $self->fault("reason $m->{reason}") if $m->{reason} ne 'history';
            return;
        }

        $self->fault("reason $m->{reason}") if $m->{reason} ne 'slow';
        $self->fault("an empty gap: $text") if $to <= $from;
        $self->gap($sub, $from, $to, 'gap');
        return;
    }

    if ($type eq 'error' && $m->{code} eq 'gap') {
        my ($from, $to, $ordinal) = $m->{message}
            =~ /after ($EVENT_ID) up to ($EVENT_ID) .*sub_(\d+)/
            or return $self->fault("what gap? $text");
        ($from, $to) = (seq_of($from), seq_of($to));

        $self->fault('an error instead of a gap') if !$self->{plain};
        $self->gap($self->{by}[$ordinal], $from, $to, 'error');
        return;
    }

    $self->fault("unexpected: $text");

    return;
}


sub subscribed {
    my ($self) = @_;
    return $self->{state} eq 'open'
           && (grep { $_ } @{ $self->{by} }) == @{ $self->{subs} };
}


# all of its subscriptions have come so far

sub reached {
    my ($self, $seq) = @_;

    for my $sub (@{ $self->{subs} }) {
        return 0 if !defined $sub->{pos} || $sub->{pos} < $seq;
    }

    return 1;
}


1;
