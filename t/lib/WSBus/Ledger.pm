# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Ledger;

# What was published, against what each follower got and was told.
#
# An event is of one of 8 types (t0 to t7) and has one of 10 ids (x0 to x9):
# that is its class, from which it follows who has to get it. Publishers run
# in processes of their own and write down the id of each event.

use strict;
use warnings;

use File::Temp;
use POSIX ();
use Time::HiRes qw(time sleep);

use WSBus::Id;
use WSBus::Nginx;
use WSBus::Raw;


sub new {
    my ($class) = @_;
    return bless { class => '', head => 0, publishers => [], lost => 0,
                   refused => [], events => 0, owner => $$ }, $class;
}


# bits of the seqs first to last

sub fill {
    my ($bits, $first, $last) = @_;

    return if $first > $last;

    while ($first <= $last && $first % 8) {
        vec($$bits, $first++, 1) = 1;
    }

    while ($first <= $last && ($last + 1) % 8) {
        vec($$bits, $last--, 1) = 1;
    }

    return if $first > $last;

    my $n = ($last + 1 - $first) / 8;
    $$bits .= "\0" x ($first / 8 - length $$bits)
        if length $$bits < $first / 8;
    substr $$bits, $first / 8, $n, "\xff" x $n;

    return;
}


sub count { unpack '%32b*', $_[0] }

sub first_of {
    my ($bits) = @_;
    my $n = index unpack('b*', $bits), '1';
    return $n;
}


sub event {
    my ($class, $data) = @_;
    return sprintf '{"action":"updated","entity_type":"t%d",'
                   . '"entity_id":"x%d","data":%s}',
                   $class >> 4, $class & 15, $data;
}

sub random_class { (int rand 8) * 16 + int rand 10 }


# takes down one publish by its answer

sub note {
    my ($self, $first, @classes) = @_;

    for my $class (@classes) {
        vec($self->{class}, $first++, 8) = $class + 1;
        $self->{events}++;
    }

    $self->{head} = $first - 1 if $first - 1 > $self->{head};

    return;
}


# publishes here and now; the seq of the last event

sub publish {
    my ($self, $raw, $size, @classes) = @_;

    my $pad = 'x' x $size;
    my $res = $raw->post('/publish', '[' . join(',', map {
        event($_, qq("$pad")) } @classes) . ']');

    die "publish: $res->{status} $res->{body}\n" if $res->{status} != 200;

    my ($first, $last) = $res->{body}
        =~ /"first_id":"([^"]+)","last_id":"([^"]+)"/;

    ($first, $last) = (seq_of($first), seq_of($last));

    $self->note($first, @classes);

    return $last;
}


# a publisher in a process of its own, until it is stopped
#
# rate     events a second (0: as fast as it can)
# batch    events of a request; a code gives another number each time
# size     bytes of data; a code as well
# seed
# n        stops by itself after so many events
# key      sends an Idempotency-Key, and tries again what got no answer
# ports    list of ports that it uses in turn

sub start_publisher {
    my ($self, $port, %o) = @_;

    my $file = File::Temp->new;
    my $pid  = fork() // die "fork: $!\n";

    if ($pid == 0) {
        my $ok = eval { publisher($port, "$file", %o); 1 };
        print STDERR "# publisher: $@" if !$ok;
        POSIX::_exit($ok ? 0 : 1);
    }

    my $pub = { pid => $pid, file => $file };
    push @{ $self->{publishers} }, $pub;

    return $pub;
}


sub publisher {
    my ($port, $file, %o) = @_;

    # it is told to stop between two requests, never in one
    my $term = POSIX::SigSet->new(POSIX::SIGTERM());
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $term);

    my $stop = sub {
        my $pending = POSIX::SigSet->new;
        POSIX::sigpending($pending);
        return $pending->ismember(POSIX::SIGTERM()) || getppid() == 1;
    };

    srand($o{seed} // 1);

    open my $fh, '>>', $file or die "$file: $!\n";
    $fh->autoflush(0);

    my $raw;
    my $n    = 0;
    my $t0   = time;
    my $turn = 0;

    while (!$stop->() && !($o{n} && $n >= $o{n})) {
        my $batch = ref $o{batch} ? $o{batch}->() : $o{batch} // 1;
        my $size  = ref $o{size}  ? $o{size}->()  : $o{size} // 20;

        my @class = map { random_class() } 1 .. $batch;
        my $pad   = 'x' x $size;
        my $body  = join ',', map { event($_, qq("$pad")) } @class;
        $body = "[$body]" if @class > 1;

        my %head = $o{key} ? ('Idempotency-Key' => "$$-$n") : ();
        my ($res, $tries) = (undef, 0);

        do {
            if (!$raw) {
                $raw = eval { WSBus::Raw->new($port) };
                if (!$raw) {
                    last if $stop->();
                    sleep(0.02);
                    next;
                }
            }
            $res = $raw->post('/publish', $body, %head);
            $raw = undef if !$res->{status};
        } until $res && $res->{status} || (!$o{key} && $res)
                || $tries++ > 500;

        if ($res && $res->{status} == 200
            && $res->{body} =~ /"published":$batch,"first_id":"([^"]+)"/)
        {
            print $fh join(' ', seq_of($1), @class), "\n";
            $raw = undef
                if ($res->{headers}{connection} // '') eq 'close';
        } elsif ($res && $res->{status}) {
            print $fh "! $res->{status} ",
                      join(' ', split ' ', $res->{body}), "\n";
        } else {
            print $fh "? $batch\n";
        }

        $n += $batch;

        if ($o{rate}) {
            my $ahead = $t0 + $n / $o{rate} - time;
            sleep($ahead) if $ahead > 0;
        }
    }

    close $fh or die "$file: $!\n";

    return;
}


# stops all publishers and takes down what they wrote; false: one has failed

sub stop {
    my ($self, $timeout) = @_;

    kill 'TERM', $_->{pid} for @{ $self->{publishers} };

    return $self->wait($timeout);
}


sub wait {
    my ($self, $timeout) = @_;

    my $ok = 1;

    for my $pub (@{ $self->{publishers} }) {
        my $gone = WSBus::Nginx::await(
            sub { waitpid($pub->{pid}, POSIX::WNOHANG()) == $pub->{pid} },
            $timeout // 20);

        if (!$gone) {
            kill 'KILL', $pub->{pid};
            waitpid $pub->{pid}, 0;
        }
        $ok = 0 if !$gone || $?;

        for my $line (split /\n/, WSBus::Nginx::slurp("$pub->{file}")) {
            my ($first, @rest) = split ' ', $line;
            if ($first eq '?')    { $self->{lost} += $rest[0]; next }
            if ($first eq '!')    { push @{ $self->{refused} }, $line; next }
            $self->note($first, @rest);
        }
    }

    $self->{publishers} = [];

    return $ok;
}


# events whose publisher got no answer are known by who got them

sub learn {
    my ($self, $seen) = @_;

    my $wrong = 0;
    my $n     = length $$seen;

    for my $seq (1 .. $n - 1) {
        my $class = vec $$seen, $seq, 8 or next;
        my $known = vec $self->{class}, $seq, 8;
        if (!$known) {
            vec($self->{class}, $seq, 8) = $class;
        } elsif ($known != $class) {
            $wrong++;
        }
    }

    $self->{head} = $n - 1 if $n - 1 > $self->{head};
    $self->{masks} = {};

    return $wrong;
}


sub matches {
    my ($filter, $class) = @_;

    for my $rule ([ 'entity_type', 't' . ($class >> 4) ],
                  [ 'entity_id', 'x' . ($class & 15) ],
                  [ 'event_type', 'updated' ], [ 'kind', 'entity' ])
    {
        my $want = $filter->{ $rule->[0] } // next;
        my @any  = ref $want ? @$want : ($want);
        return 0 if !grep { $_ eq $rule->[1] } @any;
    }

    return 1;
}


# the bits of the events that a filter matches

sub mask {
    my ($self, $filter) = @_;

    my $key = join ';', map {
        my $v = $filter->{$_};
        "$_=" . (ref $v ? join ',', @$v : $v);
    } sort keys %$filter;

    return $self->{masks}{$key} //= do {
        my @bit = (0, map { matches($filter, $_) } 0 .. 254);
        pack 'b*', join '', @bit[ unpack 'C*', $self->{class} ];
    };
}


# of one subscription: { missing, both, extra, first }, each of which should
# be 0: neither delivered nor in a gap, both, not matching

sub check {
    my ($self, $sub) = @_;

    my $len   = int($self->{head} / 8) + 1;
    my $range = '';

    fill(\$range, $sub->{start} + 1, $sub->{pos} < $self->{head}
                                     ? $sub->{pos} : $self->{head});

    my $mask = $self->mask($sub->{filter});
    my $got  = $sub->{got};
    my $gap  = $sub->{gap};

    for ($range, $mask, $got, $gap) {
        $_ .= "\0" x ($len - length) if length() < $len;
        $_ = substr $_, 0, $len if length() > $len;
    }

    my $known = $got | $gap;
    my $all   = "\xff" x $len;
    my $miss  = $mask & $range & ($known ^ $all);
    my $both  = $got & $gap;
    my $extra = $got & ($mask ^ $all);
    my $out   = $got & ($range ^ $all);

    return {
        missing => count($miss),
        both    => count($both),
        extra   => count($extra) + count($out),
        matched => count($mask & $range),
        got     => count($got),
        in_gap  => count($mask & $gap),
        first   => first_of($miss),
    };
}


# ids that nobody was answered: at most what publishers lost

sub orphans {
    my ($self) = @_;
    my $n = 0;
    for my $seq (1 .. $self->{head}) {
        $n++ if !vec $self->{class}, $seq, 8;
    }
    return $n;
}


# of all subscriptions of these followers together

sub check_all {
    my ($self, @followers) = @_;

    my %sum = (missing => 0, both => 0, extra => 0, matched => 0, got => 0,
               in_gap => 0, twice => 0);

    for my $f (@followers) {
        for my $i (0 .. $#{ $f->{subs} }) {
            my $sub = $f->{subs}[$i];

            if (!defined $sub->{pos}) {
                $sum{missing}++;
                push @{ $sum{text} }, "subscription $i never began";
                next;
            }

            my $rc = $self->check($sub);
            $sum{$_} += $rc->{$_} for grep { $_ ne 'first' } keys %$rc;
            $sum{twice} += $sub->{events} - $rc->{got}
                if $sub->{events} > $rc->{got};

            if ($rc->{missing} || $rc->{both} || $rc->{extra}) {
                push @{ $sum{text} }, sprintf
                    'subscription %d (%d, %d]: %d missing (first %d), '
                    . '%d also in a gap, %d that it did not ask for',
                    $i, $sub->{start}, $sub->{pos}, $rc->{missing},
                    $rc->{first}, $rc->{both}, $rc->{extra};
            }
        }
    }

    return \%sum;
}


# the tests that say so

sub prove {
    my ($self, $name, $swarm) = @_;

    my $wrong = $self->learn($swarm->{seen});
    my $sum   = $self->check_all($swarm->followers);
    my @fault = $swarm->faults;

    Test::More::is($wrong, 0, "$name: an id is the same event for all");
    Test::More::is($sum->{missing}, 0, "$name: nothing is lost silently")
        or Test::More::diag(join "\n", first_few(@{ $sum->{text} // [] }));
    Test::More::is($sum->{both}, 0, "$name: nothing delivered lies in a gap");
    Test::More::is($sum->{twice}, 0, "$name: nothing comes twice");
    Test::More::is($sum->{extra}, 0, "$name: nothing that was not asked for");
    Test::More::is(scalar @fault, 0, "$name: nothing contradicts itself")
        or Test::More::diag(join "\n", first_few(@fault));

    return $sum;
}

sub first_few { return @_[ 0 .. ($#_ < 9 ? $#_ : 9) ] }


sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local ($?, $@, $!);
    for my $pub (@{ $self->{publishers} }) {
        kill 'KILL', $pub->{pid};
        waitpid $pub->{pid}, 0;
    }
    return;
}


1;
