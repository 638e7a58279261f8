# SPDX-License-Identifier: BSD-2-Clause
# A short run of t/chaos/lists, with a seed that does not change.

use strict;
use warnings;

use FindBin;

exec $^X, "$FindBin::Bin/chaos/lists", '--seconds', 12, '--seed', 4,
     '--kills', 30
    or die "exec: $!\n";
