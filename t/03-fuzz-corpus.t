# SPDX-License-Identifier: BSD-2-Clause
# The corpus of each fuzz target, replayed.

use strict;
use warnings;

use FindBin;
use Test::More;

my $root  = "$FindBin::Bin/..";
my $build = $ENV{BUILD} // "$root/build";

for my $source (sort glob "$root/fuzz/*_fuzz.c") {
    my ($target) = $source =~ m{([^/]+)\.c$};
    my @files = sort glob "$root/fuzz/corpus/$target/*";

    ok(@files > 0, "$target has a corpus");

    my @out = `"$build/replay/$target" @{[ map { "'$_'" } @files ]} 2>&1`;

    is($?, 0, "$target: all of it passes") or diag(@out);
    is(scalar(grep { /^ok \d+ - .*\// } @out), scalar @files, 'each is fed')
        or diag(@out);
}

done_testing();
