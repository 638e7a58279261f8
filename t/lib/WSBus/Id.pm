package WSBus::Id;

# Event ids: a UUID of version 8, of an epoch (12 hex digits, as the status
# page has it) and a seq.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw($EVENT_ID event_id epoch_of seq_of);

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
    return defined $id && $id =~ /\A$EVENT_ID\z/
           ? substr($id, 0, 8) . substr($id, 9, 4) : undef;
}


sub seq_of {
    my ($id) = @_;

    return undef if !defined $id || $id !~ /\A$EVENT_ID\z/;

    my $low = unpack 'Q>', pack 'H16', substr($id, 19, 4) . substr($id, 24);

    return $low & $SEQ_MAX;
}


1;
