# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Id;

# Event ids: a UUID of version 8, of an epoch (12 hex digits, as the status
# page has it) and a seq.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw($EVENT_ID event_id epoch_of seq_of epoch_in seq_in);

our $EVENT_ID = qr/[0-9a-f]{8}-[0-9a-f]{4}-8000-[89ab][0-9a-f]{3}
                   -[0-9a-f]{12}/x;

my $SEQ_MAX = (1 << 62) - 1;


sub event_id {
    my ($epoch, $seq) = @_;

    my $low = unpack 'H16', pack 'Q>', 1 << 63 | $seq & $SEQ_MAX;

    return join '-', substr($epoch, 0, 8), substr($epoch, 8), '8000',
                     substr($low, 0, 4), substr($low, 4);
}


# undef: it is no event id

sub epoch_of {
    my ($id) = @_;
    return defined $id && $id =~ /\A$EVENT_ID\z/o ? epoch_in($id) : undef;
}


sub seq_of {
    my ($id) = @_;
    return defined $id && $id =~ /\A$EVENT_ID\z/o ? seq_in($id) : undef;
}


# the same of what is known to be one: for clients that read very many

sub epoch_in { return substr($_[0], 0, 8) . substr($_[0], 9, 4) }

sub seq_in {
    no warnings 'portable';
    return hex(substr($_[0], 19, 4) . substr($_[0], 24)) & $SEQ_MAX;
}


1;
