# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Stream;

# A response that goes on: server-sent events, or a message a line, over
# HTTP/1.1, plain or with TLS, as it is or gzipped.

use strict;
use warnings;

use Compress::Raw::Zlib qw(WANT_GZIP Z_OK Z_STREAM_END);
use IO::Select;
use IO::Socket::INET;
use Mojo::JSON qw(decode_json);
use Time::HiRes qw(time);

use WSBus::Nginx;


# ssl, rcvbuf, headers => {}; returns when the head has come

sub open {
    my ($class, $port, $path, %o) = @_;

    my $sock = IO::Socket::INET->new(Proto => 'tcp', Type => SOCK_STREAM) or die "socket: $!\n";
    setsockopt $sock, SOL_SOCKET, SO_RCVBUF, pack 'i', $o{rcvbuf} if $o{rcvbuf};
    connect $sock, pack_sockaddr_in($port, inet_aton('127.0.0.1')) or die "connect: $!\n";

    if ($o{ssl}) {
        require IO::Socket::SSL;
        IO::Socket::SSL->start_SSL($sock, SSL_verify_mode => 0) or die "TLS\n";
    }

    my $self = bless { sock => $sock, ssl => $o{ssl}, in => '', text => '', events => [],
                       lines => scalar(($o{headers}{Accept} // '') =~ /ndjson/) }, $class;

    my %head = (Host => '127.0.0.1', %{ $o{headers} // {} });
    my $head = ($o{method} // 'GET') . " $path HTTP/1.1\r\n"
               . join '', map { "$_: $head{$_}\r\n" } sort keys %head;
    syswrite $sock, "$head\r\n";

    $self->until(sub { $self->{in} =~ /\r\n\r\n/ }) or return $self;
    $self->{in} =~ s/\A(.*?)\r\n\r\n//s;
    my ($line, @lines) = split /\r\n/, $1;
    $self->{lines_of_head} = \@lines;
    ($self->{status}) = $line =~ /(\d{3})/;
    for (@lines) {
        my ($name, $value) = split /: /, $_, 2;
        $self->{head}{ lc $name } = $value;
    }
    $self->{inflate} = Compress::Raw::Zlib::Inflate->new(-WindowBits => WANT_GZIP)
        if ($self->{head}{'content-encoding'} // '') eq 'gzip';
    $self->{headed} = 1;
    $self->take;

    return $self;
}


# reads until the code says true; false: the time is over, or it has ended

sub until {
    my ($self, $code, $timeout) = @_;

    my $end    = time + ($timeout // $WSBus::Nginx::TIMEOUT);
    my $select = IO::Select->new($self->{sock});

    until ($code->()) {
        return $code->() if $self->{ended} || time > $end;
        next if !($self->{ssl} && $self->{sock}->pending) && !$select->can_read(0.05);
        if (!sysread $self->{sock}, $self->{in}, 65536, length $self->{in}) {
            $self->{ended} = 'close';
        }
        $self->take if $self->{headed};
    }

    return 1;
}


sub take {
    my ($self) = @_;
    my $head = $self->{head};

    if (($head->{'transfer-encoding'} // '') eq 'chunked') {
        while ($self->{in} =~ /\A([0-9a-f]+)\r\n/i) {
            my ($n, $skip) = (hex $1, $+[0]);
            last if length $self->{in} < $skip + $n + 2;
            $self->add(substr $self->{in}, $skip, $n);
            substr $self->{in}, 0, $skip + $n + 2, '';
            if (!$n) { $self->{ended} = 'last'; last }
        }
    }
    else {
        my $size = $head->{'content-length'};
        $self->{size} += length $self->{in};
        $self->add($self->{in});
        $self->{in} = '';
        $self->{ended} = 'last' if defined $size && $self->{size} >= $size;
    }

    return;
}


sub add {
    my ($self, $bytes) = @_;

    if ($self->{inflate} && length $bytes) {
        my $out = '';
        my $rc  = $self->{inflate}->inflate($bytes, $out);
        die "gzip: $rc\n" if $rc != Z_OK && $rc != Z_STREAM_END;
        $bytes = $out;
    }

    $self->{text} .= $bytes;
    $self->{all}  .= $bytes;

    if ($self->{lines}) {
        while ($self->{text} =~ s/\A(.*)\n//) {
            my $line = $1;
            $self->{blank}++, next if $line eq '';
            my $data = decode_json($line);
            push @{ $self->{events} }, { event => $data->{type}, data => $data, text => $line };
        }
        return;
    }

    # WHATWG HTML, 9.2.6
    while ($self->{text} =~ s/\A(.*?)\n\n//s) {
        my (%e, @data);
        for (split /\n/, $1) {
            if (/\A:/) { $self->{comments}++ }
            elsif (/\Adata: ?(.*)\z/) { push @data, $1 }
            elsif (/\A(event|id|retry): ?(.*)\z/) { $e{$1} = $2 }
            else { die "a line: $_\n" }
        }
        $self->{id}    = $e{id} if defined $e{id};
        $self->{retry} = $e{retry} if defined $e{retry};
        next if !@data;
        $e{text} = join "\n", @data;
        $e{data} = decode_json($e{text});
        push @{ $self->{events} }, \%e;
    }

    return;
}


# the next event of this name, what comes before it is gone

sub next {
    my ($self, $name, $timeout) = @_;

    my $got;
    $self->until(sub {
        while (!$got && (my $e = shift @{ $self->{events} })) {
            $got = $e if !defined $name || ($e->{event} // '') eq $name;
        }
        return $got;
    }, $timeout);

    return $got;
}


sub ended {
    my ($self, $timeout) = @_;
    $self->until(sub { $self->{ended} }, $timeout);
    return $self->{ended};
}


sub close { close $_[0]{sock}; return }


1;
