# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Swarm;

# Many followers in one process, driven by poll().

use strict;
use warnings;

use IO::Poll qw(POLLIN POLLHUP POLLERR);
use Test::More ();
use Time::HiRes qw(time sleep);

use WSBus::Follower;
use WSBus::Nginx;


sub new {
    my ($class, %o) = @_;
    my $seen = '';
    return bless { followers => [], seen => \$seen, %o }, $class;
}


sub followers { @{ $_[0]{followers} } }

sub add {
    my ($self, %o) = @_;

    my $class = delete $o{class} // 'WSBus::Follower';

    my $follower = $class->new(port => $self->{port}, %o,
                                        seen => $self->{seen});
    $follower->{due} = 0;
    push @{ $self->{followers} }, $follower;

    return $follower;
}


sub over {
    my ($self, $f) = @_;

    $f->drop;
    $self->{lost}->($f) if $self->{lost};

    # who never sends a since cannot go on: what it had is an account by itself

    if ($f->{plain} && $f->{again}) {
        push @{ $self->{accounts} }, grep { defined $_->{pos} } @{ $f->{subs} };
        $_ = { filter => $_->{filter}, got => '', gap => '', events => 0,
               gaps => 0 } for @{ $f->{subs} };
    }

    $f->{due} = $f->{once} || $f->{plain} && !$f->{again} ? undef
              : time + ($f->{pause} ? $f->{pause}->($f) : 0.01);
    return;
}


sub connect_due {
    my ($self) = @_;

    my $now  = time;
    my $next = $now + 0.2;
    my $n    = 0;

    for my $f (@{ $self->{followers} }) {
        next if $f->{sock} || !defined $f->{due};

        if ($f->{due} > $now) {
            $next = $f->{due} if $f->{due} < $next;
            next;
        }

        last if $n++ >= 64;

        if (!$f->connect) {
            $f->drop;
            $f->{due} = $now + 0.05;
            $self->{refused}++;
        }
    }

    return $n ? $now : $next;
}


sub ping_due {
    my ($self, $f, $now) = @_;

    return if !$f->{ping} || $f->{state} ne 'open' || $f->{close}
              || $now - $f->{pinged} < $f->{ping};

    $f->{pinged} = $now;
    $f->send('{"type":"ping"}');

    return;
}


sub step {
    my ($self, $timeout) = @_;

    my $next = $self->connect_due;
    my $now  = time;
    my (@poll, @who);

    for my $f (@{ $self->{followers} }) {
        next if !$f->{sock};
        $self->ping_due($f, $now);
        next if !$f->{read};
        next if $f->{not_before} && $f->{not_before} > $now;
        push @poll, $f->{fd}, POLLIN;
        push @who, $f;
    }

    my $wait = $next - $now;
    $wait = $timeout if defined $timeout && $timeout < $wait;
    $wait = 0 if $wait < 0;

    if (!@who) {
        sleep($wait < 0.005 ? $wait : 0.005) if $wait;
        return;
    }

    my $n = IO::Poll::_poll($wait * 1000, @poll);
    return if !$n || $n < 0;

    for my $i (0 .. $#who) {
        next if !$poll[ 2 * $i + 1 ];
        my $f = $who[$i];
        $self->over($f) if !$f->readable;
        $f->{not_before} = time + $f->{every} if $f->{every};
    }

    return;
}


# turns until the code says true, and says what it said

sub until {
    my ($self, $code, $timeout) = @_;

    my $end = time + 3 * WSBus::Nginx::patience($timeout);

    while (1) {
        my $rc = $code->();
        return $rc if $rc;
        return if time > $end;
        $self->step(0.05);
    }
}


sub all_subscribed {
    my ($self, $timeout) = @_;
    return $self->until(
        sub { !grep { !$_->subscribed } @{ $self->{followers} } }, $timeout);
}


# everybody has come so far; who is quiet is asked by pings

sub all_reach {
    my ($self, $seq, $timeout) = @_;

    my $asked = 0;
    my @late;

    my $rc = $self->until(sub {
        @late = grep { !$_->reached($seq) } @{ $self->{followers} };
        return 1 if !@late;

        if (time - $asked > 0.1) {
            $asked = time;
            for my $f (@late) {
                $f->send('{"type":"ping"}')
                    if $f->{state} eq 'open' && !$f->{close};
            }
        }

        return 0;
    }, $timeout);

    # where they are

    for my $f (@late[ 0 .. ($#late < 4 ? $#late : 4) ]) {
        Test::More::diag(sprintf '%d are late: %s, %d events, at %s of %d',
            scalar @late, $f->{state} // '?', $f->{events} // 0,
            join(' ', map { $_->{pos} // '?' } @{ $f->{subs} }), $seq);
    }

    return $rc;
}


sub faults {
    my ($self) = @_;
    my $i = 0;
    return map { my $n = $i++; map { "follower $n: $_" } @{ $_->{faults} } }
           @{ $self->{followers} };
}


sub sum {
    my ($self, $what) = @_;
    my $n = 0;
    $n += $_->{$what} // 0 for @{ $self->{followers} };
    return $n;
}


sub closes {
    my ($self) = @_;
    my %n;
    for my $f (@{ $self->{followers} }) {
        $n{$_} += $f->{closes}{$_} for keys %{ $f->{closes} };
    }
    return \%n;
}


sub close_all {
    my ($self) = @_;
    $_->{due} = undef, $_->drop for @{ $self->{followers} };
    return;
}


1;
