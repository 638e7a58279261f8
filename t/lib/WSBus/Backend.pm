# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Backend;

# Backends that know nothing of ws_bus, in a process of their own.
#
# rest   a Mojolicious application: collections of items, in memory
# raw    answers a request with the bytes that the test has left under the
#        name in X-Reply, whatever they are, and closes the connection

use strict;
use warnings;

use File::Path ();
use File::Temp qw(tempdir);
use POSIX ();

use WSBus::Nginx;

# in the bytes of an answer: nothing more is sent until go(name)

our $HOLD = "\0hold\0";


sub start {
    my ($class) = @_;

    my $self = bless {
        owner => $$,
        dir   => tempdir('wsbus-backend-XXXXXXXX', TMPDIR => 1),
    }, $class;

    pipe my $read, my $write or die "pipe: $!\n";

    $self->{pid} = fork() // die "fork: $!\n";

    if ($self->{pid} == 0) {
        close $read;
        eval { serve($self->{dir}, $write, $self->{owner}) };
        print STDERR "backend: $@" if $@;
        POSIX::_exit(1);
    }

    close $write;

    my $line = <$read> // die "the backend did not start\n";
    @$self{qw(rest raw)} = split ' ', $line;

    return $self;
}


sub rest { $_[0]{rest} }
sub raw  { $_[0]{raw} }


# the bytes of an answer; with length => n another Content-Length than that
# of the body, with undef none. headers is a list of pairs

sub bytes {
    my ($status, $body, %o) = @_;

    my @head = @{ $o{headers} // [ 'Content-Type' => 'application/json' ] };
    my $len  = exists $o{length} ? $o{length} : length $body;

    push @head, 'Content-Length' => $len if defined $len && $status != 204;

    my $head = '';
    while (my ($name, $value) = splice @head, 0, 2) {
        $head .= "$name: $value\r\n";
    }

    return ($o{version} // 'HTTP/1.1') . " $status Status\r\n$head\r\n$body";
}


# the same, chunked, in pieces of n bytes; cut => 1: without the end

sub chunked {
    my ($status, $body, $n, %o) = @_;

    my $text = '';
    while (length $body) {
        my $piece = substr $body, 0, $n, '';
        $text .= sprintf "%x\r\n%s\r\n", length $piece, $piece;
    }

    substr $text, -4, 4, '' if $o{cut};
    $text .= "0\r\n\r\n" if !$o{cut};

    push @{ $o{headers} //= [ 'Content-Type' => 'application/json' ] },
        'Transfer-Encoding' => 'chunked';

    return bytes($status, $text, %o, length => undef);
}


sub leave {
    my ($self, $name, $bytes) = @_;

    unlink "$self->{dir}/$name.go", "$self->{dir}/$name.got";

    open my $fh, '>:raw', "$self->{dir}/$name.new" or die "$name: $!\n";
    print $fh $bytes;
    close $fh or die "$name: $!\n";

    return rename "$self->{dir}/$name.new", "$self->{dir}/$name";
}


# the body of the last request

sub body { WSBus::Nginx::slurp("$_[0]{dir}/$_[1].body") }

# how often it has been asked for

sub got { -s "$_[0]{dir}/$_[1].got" // 0 }

sub go {
    my ($self, $name) = @_;
    open my $fh, '>', "$self->{dir}/$name.go" or die "$name: $!\n";
    return close $fh;
}


sub serve {
    my ($dir, $write, $parent) = @_;

    require Mojo::IOLoop;
    require Mojo::Server::Daemon;

    $SIG{TERM} = 'DEFAULT';
    $SIG{INT}  = 'IGNORE';

    Mojo::IOLoop->reset;
    Mojo::IOLoop->recurring(1 => sub {
        POSIX::_exit(0) if getppid() != $parent;
    });

    my $daemon = Mojo::Server::Daemon->new(
        app => rest_app(), listen => ['http://127.0.0.1'], silent => 1,
        max_requests => 1_000_000, max_clients => 10_000,
        keep_alive_timeout => 600, inactivity_timeout => 600);
    $daemon->start;

    my $raw = Mojo::IOLoop->server(
        { address => '127.0.0.1' } => sub { raw_client($dir, $_[1]) });

    print $write $daemon->ports->[0], ' ', Mojo::IOLoop->acceptor($raw)->port,
                 "\n";
    close $write;

    Mojo::IOLoop->singleton->max_connections(10_000)->start;

    return;
}


sub raw_client {
    my ($dir, $stream) = @_;

    my $in = '';

    $stream->timeout(0);

    $stream->on(read => sub {
        $in .= $_[1];

        my ($head, $body) = $in =~ /\A(.*?)\r\n\r\n(.*)\z/s or return;

        return if $head =~ /^Transfer-Encoding:/mi
                  ? $body !~ /(?:^|\r\n)0\r\n\r\n\z/
                  : $head =~ /^Content-Length: *(\d+)/mi
                    && length $body < $1;

        $in = '';

        my ($name) = $head =~ /^X-Reply: *(\S+)/mi;
        $name //= 'none';

        if (open my $fh, '>:raw', "$dir/$name.body") {
            print $fh $body;
        }

        if (open my $fh, '>>', "$dir/$name.got") {
            print $fh '.';
        }

        my $bytes = WSBus::Nginx::slurp("$dir/$name");
        $bytes = bytes(500, '{"error":"no such reply"}') if $bytes eq '';

        raw_send($dir, $name, $stream, split /$HOLD/, $bytes, -1);
    });

    return;
}


sub raw_send {
    my ($dir, $name, $stream, $piece, @rest) = @_;

    if (!@rest) {
        return $stream->close if !length $piece;
        $stream->write($piece => sub { $_[0]->close_gracefully });
        return;
    }

    $stream->write($piece) if length $piece;

    my $timer;
    $timer = Mojo::IOLoop->recurring(0.01 => sub {
        return if !-e "$dir/$name.go";
        Mojo::IOLoop->remove($timer);
        raw_send($dir, $name, $stream, @rest);
    });

    return;
}


# POST to a collection creates, with 201 and Location; PUT and PATCH answer
# with the item, DELETE with 204. Items of "tagged" have a strong ETag, which
# If-Match is heeded for, those of "weak" a weak one; an item of "tagged" that
# has "races" changes so often right after it has been read. GET of
# /requests/of/<id> says what was asked of the item, and forgets it.

sub rest_app {
    require Mojolicious;

    my $app = Mojolicious->new;
    my (%store, %version, %asked);

    $app->log->level('fatal');
    $app->secrets(['-']);

    $app->routes->get('/requests/of/:id' => sub {
        my ($c) = @_;
        $c->render(json => delete $asked{ $c->param('id') } // []);
    });

    my $collection = $app->routes->any('/:collection');

    $collection->post('/' => sub {
        my ($c) = @_;
        my $body = $c->req->json;
        return $c->render(json => { error => 'bad' }, status => 400)
            if ref $body ne 'HASH';
        my $name = $c->param('collection');
        my $item = { %$body, id => $body->{id} // 1 + keys %{ $store{$name} } };
        $store{$name}{ $item->{id} } = $item;
        $c->res->headers->location("/$name/$item->{id}");
        return $c->render(json => $item, status => 201);
    });

    $collection->get('/' => sub {
        my ($c) = @_;
        my $items = $store{ $c->param('collection') } // {};
        return $c->render(json => [ map { $items->{$_} } sort keys %$items ]);
    });

    my $item = $collection->under('/:id' => sub {
        my ($c) = @_;
        my ($name, $id) = map { $c->param($_) } qw(collection id);
        my $if = $c->req->headers->header('If-Match');

        push @{ $asked{$id} }, join ' ', $c->req->method, $c->req->url,
            grep { defined } $if, $c->req->headers->cache_control;

        my $item = $store{$name}{$id};
        if (!$item) {
            $c->render(json => { error => 'not found' }, status => 404);
            return;
        }

        my $tag = '"v' . ($version{$id} //= 1) . '"';
        if (defined $if && $if ne $tag) {
            $c->render(json => { error => 'changed' }, status => 412);
            return;
        }

        $c->res->headers->etag($name eq 'weak' ? "W/$tag" : $tag)
            if $name =~ /^(?:tagged|weak)\z/;
        $version{$id}++ if $c->req->method ne 'GET' || ($item->{races} // 0) > 0 && $item->{races}--;
        return 1;
    });

    $item->get('/' => sub {
        my ($c) = @_;
        $c->render(json => $store{ $c->param('collection') }{ $c->param('id') });
    });

    $item->any([qw(PUT PATCH)] => '/' => sub {
        my ($c) = @_;
        my $slot = \$store{ $c->param('collection') }{ $c->param('id') };
        $$slot = { ($c->req->method eq 'PATCH' ? %$$slot : ()),
                   %{ $c->req->json // {} }, id => $$slot->{id} };
        $c->render(json => $$slot);
    });

    $item->delete('/' => sub {
        my ($c) = @_;
        delete $store{ $c->param('collection') }{ $c->param('id') };
        $c->rendered(204);
    });

    return $app;
}


sub stop {
    my ($self) = @_;

    return if $self->{owner} != $$ || !$self->{pid};

    kill 'TERM', $self->{pid};
    waitpid delete $self->{pid}, 0;
    File::Path::remove_tree($self->{dir}, { safe => 0 });

    return;
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->stop;
    return;
}


1;
