# SPDX-License-Identifier: BSD-2-Clause

package WSBus::FollowerEvents;

# The same client with server-sent events: one subscription, in the query, and
# Last-Event-ID when it comes again. As an EventSource it goes on from the last
# id that it was told, which must never be beyond what it has been sent.

use strict;
use warnings;

use parent 'WSBus::Follower';

use Mojo::Util qw(url_escape);
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use WSBus::Id;


sub new {
    my ($class, %o) = @_;

    my $self = WSBus::Follower::new($class, path => '/events', %o);
    splice @{ $self->{subs} }, 1;

    return $self;
}


sub connect {
    my ($self) = @_;

    my $sub    = $self->{subs}[0];
    my $filter = $sub->{filter};

    my $query = join '&', map {
        my $value = $filter->{$_};
        "$_=" . url_escape(ref $value ? join ',', @$value : $value);
    } sort keys %$filter;

    my $again = defined $sub->{pos};
    $query .= "&since=$sub->{since}" if !$again;

    socket my $sock, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    setsockopt $sock, SOL_SOCKET, SO_RCVBUF, $self->{rcvbuf} if $self->{rcvbuf};
    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
    connect $sock, pack_sockaddr_in($self->{port}, INADDR_LOOPBACK) or return;
    $sock->blocking(0);

    my $text = "GET $self->{path}?$query HTTP/1.1\r\nHost: 127.0.0.1\r\n"
               . ($again ? 'Last-Event-ID: ' . event_id($self->{epoch}, $sub->{pos}) . "\r\n" : '')
               . "\r\n";
    my $sent = syswrite $sock, $text;
    return if !defined $sent || $sent != length $text;

    $self->{sock}    = $sock;
    $self->{fd}      = fileno $sock;
    $self->{in}      = '';
    $self->{stream}  = '';
    $self->{state}   = 'handshake';
    $self->{left}    = $self->{cut} ? $self->{cut}->() : undef;
    $self->{last_id} = undef;
    $self->{by}      = [];
    $self->{pinged}  = time;
    delete $self->{close};
    delete $sub->{expect_gap};

    return 1;
}


# it cannot say anything: it is told where it stands by itself

sub send { return 1 }


sub take {
    my ($self) = @_;

    if ($self->{state} eq 'handshake') {
        $self->{in} =~ s/\A(HTTP\/1\.1 (\d+).*?)\r\n\r\n//s or return;
        $self->{state} = 'open';
        $self->{opened}++;
        $self->{streams}++;
        $self->fault("answer: $2") if $2 != 200;
    }

    while ($self->{in} =~ /\A([0-9a-f]+)\r\n/i) {
        my ($n, $skip) = (hex $1, $+[0]);
        last if length $self->{in} < $skip + $n + 2;
        $self->{stream} .= substr $self->{in}, $skip, $n;
        substr $self->{in}, 0, $skip + $n + 2, '';
    }

    my $at = 0;

    while ((my $end = index $self->{stream}, "\n\n", $at) != -1) {
        $self->block(substr $self->{stream}, $at, $end - $at);
        $at = $end + 2;
    }

    substr $self->{stream}, 0, $at, '';

    return;
}


sub block {
    my ($self, $block) = @_;

    my ($text) = $block =~ /^data: (.*)$/m or return;
    my ($id)   = $block =~ /^id: (.*)$/m;

    if ($text =~ /^\{"type":"event","subscription_id":"sub_(\d+)","data":\{"id":"([-0-9a-f]{36})"/) {
        my ($ordinal, $own, $epoch, $seq) = ($1, $2, epoch_in($2), seq_in($2));
        my $class = $text =~ /"entity_type":"t(\d+)","entity_id":"x(\d+)"/ ? $1 * 16 + $2 : undef;

        $self->fault("an event $own with the id " . ($id // 'none')) if ($id // '') ne $own;
        $self->event($ordinal, $epoch, $seq, $class);

    } else {
        # the message names no operation, since nobody has sent one
        $text =~ s/^\{/{"id":"0",/;
        $self->message($text);
    }

    my $sub = $self->{subs}[0];

    if (defined $id && defined $sub->{pos} && seq_of($id) > $sub->{pos}) {
        $self->fault("the id $id is beyond the position $sub->{pos}");
    }

    return;
}


1;
