# SPDX-License-Identifier: BSD-2-Clause
# The unit tests of the pure folders: their programs, each as a subtest.

use strict;
use warnings;

use File::Find;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Nginx;

my $sources = "$FindBin::Bin/unit";
my $build   = ($ENV{BUILD} // "$FindBin::Bin/../build") . '/unit';

my @programs;

find(sub {
    return if !/_test\.c\z/;
    (my $name = $File::Find::name) =~ s{^\Q$sources\E/|\.c\z}{}g;
    push @programs, $name;
}, $sources);

cmp_ok(scalar @programs, '>', 0, 'there are unit tests');

my $patience = WSBus::Nginx::patience(360);

for my $name (sort @programs) {
    subtest $name => sub {
        if (!-x "$build/$name") {
            fail("$name is built (make unit)");
            return;
        }

        open my $out, '-|', 'timeout', $patience, "$build/$name"
            or die "$name: $!\n";

        my ($ran, $plan) = (0);

        while (my $line = <$out>) {
            if ($line =~ /^(not )?ok\b\s*\d*\s*(?:-\s*)?(.*)/) {
                $ran++;
                my $bad = $1;
                ok(!$bad, $2 =~ /[a-z]/i ? $2 : "case $2");
            } elsif ($line =~ /^1\.\.(\d+)/) {
                $plan = $1;
            } elsif ($line =~ /^# ?(.*)/) {
                diag($1) if !Test::More->builder->is_passing;
            } elsif ($line =~ /^Bail out/) {
                fail($line);
            }
        }

        close $out;

        is($? & 127, 0, 'ends by itself');
        is($? >> 8, 0, 'exit status');
        is($plan, $ran, 'runs what it planned');
    };
}

done_testing;
