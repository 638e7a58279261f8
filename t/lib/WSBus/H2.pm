# SPDX-License-Identifier: BSD-2-Clause

package WSBus::H2;

# As much of an HTTP/2 client as these tests need: many requests at once over
# one connection without TLS, and of each answer the status and the body.

use strict;
use warnings;

use parent -norequire, 'WSBus::Raw';

use WSBus::Raw;

use constant {
    DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6,
    GOAWAY => 7, WINDOW_UPDATE => 8,
    ACK => 1, END_STREAM => 1, END_HEADERS => 4,
};

my @STATUS = (200, 204, 206, 304, 400, 404, 500);


sub new {
    my ($class, $port) = @_;

    my $self = WSBus::Raw::new($class, $port);

    @$self{qw(stream answer open)} = (1, {}, 0);

    $self->write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                 . bytes(SETTINGS, 0, 0, pack 'nN', 4, 2**30)
                 . bytes(WINDOW_UPDATE, 0, 0, pack 'N', 2**30));

    return $self;
}


sub bytes {
    my ($type, $flags, $stream, $payload) = @_;
    my $len = length $payload;
    return pack('CnCCN', $len >> 16, $len & 0xffff, $type, $flags, $stream)
           . $payload;
}


sub string {
    my ($s) = @_;
    my $n = length $s;
    return pack('C', $n) . $s if $n < 127;
    die "a header of $n bytes\n" if $n > 127 + 127;
    return pack('CC', 127, $n - 127) . $s;
}


# sends, and gives the number of the stream

sub ask {
    my ($self, $method, $path, $body, %headers) = @_;

    my @head = (':method' => $method, ':scheme' => 'http',
                ':path' => $path, ':authority' => '127.0.0.1',
                map { lc $_ => $headers{$_} } sort keys %headers);

    my $block = '';
    while (my ($name, $value) = splice @head, 0, 2) {
        $block .= "\0" . string($name) . string($value);
    }

    my $id = $self->{stream};
    $self->{stream} += 2;
    $self->{open}++;

    my $end = defined $body && length $body ? 0 : END_STREAM;

    $self->write(bytes(HEADERS, END_HEADERS | $end, $id, $block)
                 . ($end ? '' : bytes(DATA, END_STREAM, $id, $body)));

    return $id;
}


# waits for all that has been asked for, or until the code says true of what has
# come of it: { stream => { status, body } }

sub answers {
    my ($self, $until) = @_;

    while ($self->{open} > 0 && !($until && $until->($self->{answer}))) {
        $self->need(sub { length $self->{in} >= 9 }) or last;

        my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $self->{in};
        my $len = $high << 16 | $low;

        $self->need(sub { length $self->{in} >= 9 + $len }) or last;

        my $payload = substr $self->{in}, 9, $len;
        substr $self->{in}, 0, 9 + $len, '';

        my $answer = $self->{answer}{$stream} //= { status => 0, body => '' };

        if ($type == SETTINGS && !($flags & ACK)) {
            $self->write(bytes(SETTINGS, ACK, 0, ''));

        } elsif ($type == PING && !($flags & ACK)) {
            $self->write(bytes(PING, ACK, 0, $payload));

        } elsif ($type == HEADERS) {
            $answer->{status} = status($payload);
            $answer->{end} = $flags & END_STREAM;

        } elsif ($type == DATA) {
            $answer->{body} .= $payload;
            $answer->{end} = $flags & END_STREAM;

        } elsif ($type == RST_STREAM) {
            $answer->{reset} = unpack 'N', $payload;
            $self->{open}--;

        }

        # GOAWAY: no more streams, but those that are there go on

        $self->{open}-- if $answer->{end} && ($type == DATA || $type == HEADERS);
    }

    my $answers = $self->{answer};
    return $answers if $until;

    $self->{answer} = {};
    delete $answers->{0};

    return $answers;
}


# nginx sends :status first

sub status {
    my ($block) = @_;

    $block =~ s/\A[\x20-\x3f]+//;

    my $first = ord $block;

    return $STATUS[ $first - 0x88 ] if $first >= 0x88 && $first <= 0x8e;
    return $1 if $block =~ /\A[\x08\x18\x48]\x03(\d{3})/;
    return 0;
}


1;
