# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Raw;

# A WebSocket and HTTP client that sends any bytes over a plain socket.

use strict;
use warnings;

use Digest::SHA qw(sha1_base64);
use Errno qw(ECONNRESET EPIPE EAGAIN EWOULDBLOCK EINTR);
use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Mojo::JSON qw(decode_json encode_json);
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use WSBus::Nginx;

our $KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

use constant {
    CONT => 0, TEXT => 1, BINARY => 2, CLOSE => 8, PING => 9, PONG => 10,
};

our @EXPORT_OK = qw(CONT TEXT BINARY CLOSE PING PONG frame close_frame);

$SIG{PIPE} = 'IGNORE';


# a port number or the path of a unix socket; ssl => 1; host => another
# address; from => the own address

sub new {
    my ($class, $to, %o) = @_;

    my $sock;

    if ($to =~ m{^/}) {
        $sock = IO::Socket::UNIX->new(Peer => $to);

    } elsif ($o{ssl}) {
        require IO::Socket::SSL;
        $sock = IO::Socket::SSL->new(
            PeerAddr => '127.0.0.1', PeerPort => $to,
            Timeout => $WSBus::Nginx::TIMEOUT,
            SSL_verify_mode => 0, %{ ref $o{ssl} ? $o{ssl} : {} });

    } else {
        $sock = IO::Socket::INET->new(
            PeerAddr => $o{host} // '127.0.0.1', PeerPort => $to,
            $o{from} ? (LocalAddr => $o{from}) : (),
            Timeout => $WSBus::Nginx::TIMEOUT);
    }

    die "connect $to: $@ $!\n" if !$sock;

    $sock->blocking(0) if !$o{ssl};
    setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1 if $to !~ m{^/};

    return bless { sock => $sock, in => '', state => 'open',
                   ssl => $o{ssl} ? 1 : 0 }, $class;
}


sub sock  { $_[0]{sock} }
sub state { $_[0]{state} }


# opens, upgrades and takes the welcome

sub open {
    my ($class, $to, %o) = @_;

    my $self = $class->new($to, ssl => $o{ssl});
    my $res  = $self->handshake(%o);

    die "handshake: $res->{status}\n" if $res->{status} != 101;

    $self->{welcome} = $self->read_json if !$o{no_welcome};

    return $self;
}


sub write {
    my ($self, $bytes) = @_;

    my $end = time + $WSBus::Nginx::TIMEOUT;

    while (length $bytes) {
        my $n = syswrite $self->{sock}, $bytes;

        if (defined $n) {
            substr $bytes, 0, $n, '';
            next;
        }

        if ($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR}) {
            return 0 if time > $end;
            IO::Select->new($self->{sock})->can_write(0.1);
            next;
        }

        return 0;
    }

    return 1;
}


# reads once: true if there are more bytes; else state is timeout, eof or
# reset

sub fill {
    my ($self, $timeout) = @_;

    return 0 if $self->{state} =~ /^(?:eof|reset)$/;

    my $end = time + ($timeout // $WSBus::Nginx::TIMEOUT);

    while (1) {
        my $left = $end - time;

        if (!($self->{ssl} && $self->{sock}->pending)) {
            if ($left <= 0
                || !IO::Select->new($self->{sock})->can_read($left))
            {
                $self->{state} = 'timeout';
                return 0;
            }
        }

        my $n = sysread $self->{sock}, my $buf, 65536;

        if ($n) {
            $self->{in} .= $buf;
            $self->{state} = 'open';
            return 1;
        }

        if (defined $n) {
            $self->{state} = 'eof';
            return 0;
        }

        next if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};

        $self->{state} = 'reset';
        return 0;
    }
}


# reads until the code says true

sub need {
    my ($self, $code) = @_;

    until ($code->()) {
        return 0 if !$self->fill;
    }

    return 1;
}


# the bytes of an upgrade request. method, path, version, host and key have
# defaults; a header of headers (a list of pairs) takes the place of the
# default of that name, and an undefined value leaves it out

sub request {
    my (%o) = @_;

    my @head = (
        [ 'Host'                  => $o{host} // '127.0.0.1' ],
        [ 'Upgrade'               => 'websocket' ],
        [ 'Connection'            => 'Upgrade' ],
        [ 'Sec-WebSocket-Key'     => $o{key} // $KEY ],
        [ 'Sec-WebSocket-Version' => '13' ],
    );

    my @own = @{ $o{headers} // [] };

    while (my ($name, $value) = splice @own, 0, 2) {
        @head = grep { lc $_->[0] ne lc $name || $_->[2] } @head;
        push @head, [ $name, $value, 1 ] if defined $value;
    }

    return join('', $o{before} // '',
                $o{method} // 'GET', ' ', $o{path} // '/ws', ' ',
                $o{version} // 'HTTP/1.1', "\r\n",
                map({ "$_->[0]: $_->[1]\r\n" } @head), "\r\n",
                $o{after} // '');
}


# sends the upgrade request and reads the answer to it

sub handshake {
    my ($self, %o) = @_;

    $self->write(request(%o));

    return $self->response(head => ($o{method} // '') eq 'HEAD');
}


sub accept_of { sha1_base64($_[0] . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=' }


# one HTTP answer: { status, line, headers, body }; status 0 if none came

sub response {
    my ($self, %o) = @_;

    while ($self->{in} !~ /\r\n\r\n/) {
        $self->fill($o{timeout})
            or return { status => 0, line => '', headers => {}, body => '',
                        state => $self->{state} };
    }

    $self->{in} =~ s/\A(.*?)\r\n\r\n//s;
    my ($line, @lines) = split /\r\n/, $1;

    my %headers;
    for (@lines) {
        my ($name, $value) = /^([^:]+):\s*(.*?)\s*$/ or next;
        $name = lc $name;
        $headers{$name} = exists $headers{$name} ? "$headers{$name}, $value"
                                                 : $value;
    }

    my ($status) = $line =~ m{^HTTP/\d\.\d (\d{3})};
    my $body = '';

    if (($status // 0) == 101 || $o{head}) {
        # no body; after a 101 frames follow

    } elsif (($headers{'transfer-encoding'} // '') =~ /chunked/) {
        while ($self->need(sub { $self->{in} =~ /\r\n/ })) {
            $self->{in} =~ s/\A([0-9a-fA-F]+)[^\r\n]*\r\n// or last;
            my $n = hex $1;
            $self->need(sub { length $self->{in} >= $n + 2 }) or last;
            $body .= substr $self->{in}, 0, $n;
            substr $self->{in}, 0, $n + 2, '';
            last if !$n;
        }

    } elsif (defined(my $n = $headers{'content-length'})) {
        $self->need(sub { length $self->{in} >= $n });
        $body = substr $self->{in}, 0, $n, '';
    }

    return { status => $status // 0, line => $line, headers => \%headers,
             body => $body };
}


# the bytes of a frame. fin (1), rsv (0 to 7), mask (4 bytes, or 0 for none),
# form (7, 16 or 64: how the length is written), length (what is written,
# whatever the payload is)

sub frame {
    my ($opcode, $payload, %o) = @_;

    my $fin  = $o{fin} // 1;
    my $rsv  = $o{rsv} // 0;
    my $mask = exists $o{mask} ? $o{mask} : pack 'N', int rand 2**32;
    my $len  = $o{length} // length $payload;
    my $form = $o{form} // ($len < 126 ? 7 : $len < 65536 ? 16 : 64);
    my $bit  = $mask ? 0x80 : 0;

    my $head = pack 'C', ($fin ? 0x80 : 0) | $rsv << 4 | $opcode;

    $head .= $form == 7  ? pack('C', $bit | $len)
           : $form == 16 ? pack('Cn', $bit | 126, $len)
           :               pack('CQ>', $bit | 127, $len);

    return $head . $payload if !$mask;

    my $n = length $payload;

    return $head . $mask . ($payload ^ substr $mask x ($n / 4 + 1), 0, $n);
}


sub send_frame {
    my ($self, @frame) = @_;
    return $self->write(frame(@frame));
}


sub send_text { $_[0]->send_frame(TEXT, $_[1]) }

sub close_payload {
    my ($code, $reason) = @_;
    return pack('n', $code) . ($reason // '');
}

sub close_frame { return frame(CLOSE, close_payload(@_)) }


# the frame that begins at this place of the bytes, if it is there as a whole:
# its first byte, where its payload begins, how long that is, its second byte

sub frame_at {
    my ($in, $at) = @_;

    my $have = length($$in) - $at;
    return if $have < 2;

    my $b1  = ord substr $$in, $at + 1, 1;
    my $len = $b1 & 0x7f;
    my $head = 2;

    if ($len == 126) {
        return if $have < 4;
        ($len, $head) = (unpack('n', substr $$in, $at + 2, 2), 4);

    } elsif ($len == 127) {
        return if $have < 10;
        ($len, $head) = (unpack('Q>', substr $$in, $at + 2, 8), 10);
    }

    $head += 4 if $b1 & 0x80;

    return if $have < $head + $len;

    return (ord substr($$in, $at, 1), $at + $head, $len, $b1);
}


# takes one frame from bytes: (fin, rsv, opcode, masked, payload) or nothing

sub take_frame {
    my ($in) = @_;

    my ($b0, $at, $len, $b1) = frame_at($in, 0) or return;

    my $payload = substr $$in, $at, $len;
    substr $$in, 0, $at + $len, '';

    return { fin => $b0 >> 7, rsv => $b0 >> 4 & 7, opcode => $b0 & 15,
             masked => $b1 >> 7, payload => $payload };
}


# the next frame; nothing if none comes: see state

sub read_frame {
    my ($self, $timeout) = @_;

    my $end = time + ($timeout // $WSBus::Nginx::TIMEOUT);

    while (1) {
        my $frame = take_frame(\$self->{in});
        return $frame if $frame;

        my $left = $end - time;
        return if !$self->fill($left > 0 ? $left : 0);
    }
}


# the next message of text, decoded; control frames but Close are passed over

sub read_json {
    my ($self, $timeout) = @_;

    while (my $frame = $self->read_frame($timeout)) {
        if ($frame->{opcode} == TEXT) {
            $self->{text} = $frame->{payload};
            return eval { decode_json($frame->{payload}) }
                   // { type => 'invalid', text => $frame->{payload} };
        }
        if ($frame->{opcode} == CLOSE) {
            my ($code) = unpack 'n', $frame->{payload};
            return { type => 'CLOSE', code => $code // 1005 };
        }
    }

    return { type => 'none', state => $self->{state} };
}


# sends a message, text or a structure, and gives what comes then and is no
# event: the answer

sub ask {
    my ($self, $message) = @_;

    $self->send_text(ref $message ? encode_json($message) : $message);

    my $got;
    do { $got = $self->read_json } while $got->{type} eq 'event';

    return $got;
}


sub subscribe {
    my ($self, $filter, %more) = @_;
    return $self->ask({ type => 'subscribe', filter => $filter // {}, %more });
}


# reads up to the Close frame: its code (1005 if it has none), or what
# happened instead: eof, reset or timeout

sub read_close {
    my ($self, $timeout) = @_;

    while (my $frame = $self->read_frame($timeout)) {
        next if $frame->{opcode} != CLOSE;
        my ($code, $reason) = unpack 'na*', $frame->{payload};
        $self->{close_reason} = $reason;
        return length $frame->{payload} ? $code : 1005;
    }

    return $self->{state};
}


# reads up to the end of the connection: eof, reset or timeout

sub read_end {
    my ($self, $timeout) = @_;

    my $end = time + ($timeout // $WSBus::Nginx::TIMEOUT);

    while ((my $left = $end - time) > 0) {
        last if !$self->fill($left);
        $self->{in} = '';
    }

    return $self->{state};
}


# true when the server still talks JSON with us

sub alive {
    my ($self) = @_;

    $self->send_text('{"type":"ping"}');

    while (my $frame = $self->read_frame) {
        return 1 if $frame->{opcode} == TEXT
                    && $frame->{payload} =~ /"type":"pong"/;
        return 0 if $frame->{opcode} == CLOSE;
    }

    return 0;
}


sub close { $_[0]{sock}->close }

# the connection ends with a reset

sub vanish {
    my ($self) = @_;
    setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0;
    return CORE::close $self->{sock};
}


# a zone of the status page, of this name or else the first, asked over a
# connection of its own; an empty hash if there is none to be had

sub zone {
    my ($port, $name, $timeout) = @_;

    my $raw = eval { WSBus::Raw->new($port) } or return {};

    $raw->write("GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

    my $answer = $raw->response(timeout => $timeout);
    my $status = eval { decode_json($answer->{body}) } // {};
    my ($zone) = grep { !defined $name || $_->{name} eq $name }
                 @{ $status->{zones} // [] };

    return $zone // {};
}


# a POST over this connection, which stays open

sub post {
    my ($self, $path, $body, %headers) = @_;

    $headers{'Content-Type'} //= 'application/json';

    $self->write("POST $path HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: "
                 . length($body) . "\r\n"
                 . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
                 . "\r\n$body");

    return $self->response;
}


# publishes a structure, or text as it is, and gives the answer

sub publish {
    my ($self, $events, $path) = @_;

    my $res = $self->post($path // '/publish',
                          ref $events ? encode_json($events) : $events);

    die "publish: $res->{status} $res->{body}\n" if $res->{status} != 200;

    return decode_json($res->{body});
}


1;
