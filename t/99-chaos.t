# SPDX-License-Identifier: BSD-2-Clause
# A short run of t/chaos/run, with a seed that does not change.

use strict;
use warnings;

use FindBin;

exec $^X, "$FindBin::Bin/chaos/run", '--seconds', 14, '--seed', 20,
     '--kills', 40, '--reloads', 20
    or die "exec: $!\n";
