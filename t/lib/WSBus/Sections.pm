# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Sections;

# A backend of lists and details, in a process of its own. Each answer tells
# what was asked, and how many changes there have been: POST /change makes one
# more. GET /asked: what was asked so far, one line each.

use strict;
use warnings;

use POSIX ();

use WSBus::Nginx;


sub start {
    my ($class, %o) = @_;

    my $self = bless { owner => $$, port => (WSBus::Nginx::free_ports(1))[0] },
                     $class;

    pipe my $read, my $write or die "pipe: $!\n";

    $self->{pid} = fork() // die "fork: $!\n";

    if ($self->{pid} == 0) {
        close $read;
        eval { serve($self->{port}, $write, $self->{owner}) };
        print STDERR "backend: $@" if $@;
        POSIX::_exit(1);
    }

    close $write;
    <$read> // die "the backend did not start\n";

    return $self;
}


sub port { $_[0]{port} }


sub serve {
    my ($port, $write, $parent) = @_;

    require Mojo::IOLoop;
    require Mojo::Server::Daemon;
    require Mojo::JSON;

    $SIG{TERM} = 'DEFAULT';
    $SIG{INT}  = 'IGNORE';

    Mojo::IOLoop->reset;
    Mojo::IOLoop->recurring(1 => sub { POSIX::_exit(0) if getppid() != $parent });

    my ($changes, $wait, @asked) = (0, 0);

    my $daemon = Mojo::Server::Daemon->new(
        listen => ["http://127.0.0.1:$port"], silent => 1,
        inactivity_timeout => 0, max_requests => 1e9);

    $daemon->unsubscribe('request')->on(request => sub {
        my (undef, $tx) = @_;

        my $req  = $tx->req;
        my $path = $req->url->path->to_string;
        my $res  = $tx->res;
        my $text = Mojo::JSON::encode_json({});
        my $late = 0;

        $res->code(200);
        $res->headers->content_type('application/json');

        if ($path eq '/change') {
            $changes++;
            $text = $changes;

        } elsif ($path eq '/wait') {
            $wait = $req->body / 1000;

        } elsif ($path eq '/asked') {
            $text = Mojo::JSON::encode_json(\@asked);
            @asked = ();

        } else {
            my $url = $path . ($req->url->query->to_string ne ''
                               ? '?' . $req->url->query->to_string : '');
            push @asked, $url;

            $res->code($1) if $path =~ m{/status-(\d+)$};
            $late = $1 / 1000 if $path =~ m{/late-(\d+)$};
            $late = $wait if $wait;

            $text = $path =~ m{/verbatim$} ? ' [1.0,12345678901234567890]'
                  : $path =~ m{/none$} ? 'null'
                  : $path =~ m{/html$} ? '<html>'
                  : Mojo::JSON::encode_json({
                        asked => $url, changes => 0 + $changes,
                        authorization => $req->headers->authorization,
                        accept => $req->headers->accept });
        }

        my $done = sub { $res->body($text); $tx->resume };
        $late ? Mojo::IOLoop->timer($late => $done) : $done->();
    });

    $daemon->start;
    print $write "ready\n";
    close $write;
    Mojo::IOLoop->start;

    return;
}


sub DESTROY {
    my ($self) = @_;

    return if $$ != $self->{owner} || !$self->{pid};

    local $?;
    kill TERM => $self->{pid};
    waitpid $self->{pid}, 0;

    return;
}


1;
