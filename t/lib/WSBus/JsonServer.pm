# SPDX-License-Identifier: BSD-2-Clause

package WSBus::JsonServer;

# json-server from npm, or a stand-in that answers as it is documented to.

use strict;
use warnings;

use File::Path ();
use File::Temp qw(tempdir);
use Mojo::JSON qw(decode_json encode_json);
use POSIX ();

use WSBus::Nginx;

our $VERSION = '0.17.4';


# the directory of json-server, installed if it has to be; else why not

sub install {
    my $build = "$WSBus::Nginx::ROOT/build";
    my $dir   = "$build/json-server-$VERSION";

    return $dir if -e "$dir/node_modules/json-server/lib/cli/bin.js";

    my ($rc, $out) = WSBus::Nginx::run(20, 'npm', '--version');
    return (undef, 'there is no npm') if $rc != 0;

    mkdir $build;
    my $new = tempdir('json-server-XXXXXXXX', DIR => $build, CLEANUP => 1);

    ($rc, $out) = WSBus::Nginx::run(180, 'npm', 'install', '--prefix', $new,
        '--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts',
        '--fetch-retries=1', '--fetch-retry-mintimeout=1000',
        '--fetch-retry-maxtimeout=5000',
        "json-server\@$VERSION");
    return (undef, "npm could not install it:\n$out") if $rc != 0;

    rename $new, $dir or return (undef, "rename: $!") if !-e $dir;
    chmod 0755, $dir;

    return $dir;
}


# rows: { collection => [ rows ] }

sub start {
    my ($class, $rows) = @_;

    my $self = bless {
        owner => $$,
        dir   => tempdir('wsbus-json-XXXXXXXX', TMPDIR => 1),
    }, $class;

    open my $fh, '>', "$self->{dir}/db.json" or die "db.json: $!\n";
    print $fh encode_json($rows);
    close $fh;

    ($self->{npm}, $self->{why}) = install();
    ($self->{port}) = WSBus::Nginx::free_ports(1);

    $self->{pid} = fork() // die "fork: $!\n";

    if ($self->{pid} == 0) {
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        eval { $self->{npm} ? $self->run_json_server : $self->run_stand_in };
        print STDERR $@ if $@;
        POSIX::_exit(1);
    }

    WSBus::Nginx::await(sub { WSBus::Nginx::accepts($self->{port}) }, 30)
        or die "the REST backend did not start:\n"
               . WSBus::Nginx::slurp("$self->{dir}/log");

    return $self;
}


sub port { $_[0]{port} }

# nothing, when it is json-server itself

sub stand_in { $_[0]{npm} ? undef : $_[0]{why} }


sub run_json_server {
    my ($self) = @_;

    my @cmd = ('node', "$self->{npm}/node_modules/json-server/lib/cli/bin.js",
               '--host', '127.0.0.1', '--port', $self->{port}, '--quiet',
               "$self->{dir}/db.json");

    unshift @cmd, '/usr/bin/setpriv', '--pdeathsig', 'TERM', '--'
        if -x '/usr/bin/setpriv';

    chdir $self->{dir};
    exec { $cmd[0] } @cmd or die "node: $!\n";
}


# 201 with Location and the id last; a client's own id is kept, one that is
# there already is an error; DELETE answers with {}

sub run_stand_in {
    my ($self) = @_;

    require IO::Compress::Gzip;
    require Mojo::IOLoop;
    require Mojo::Server::Daemon;
    require Mojolicious;

    my $store = decode_json(WSBus::Nginx::slurp("$self->{dir}/db.json"));
    my $app   = Mojolicious->new;
    my $owner = $self->{owner};

    $app->log->level('fatal');
    $app->secrets(['-']);

    my $find = sub {
        my ($c) = @_;
        my $id = $c->param('id');
        my ($row) = grep { $_->{id} eq $id }
                    @{ $store->{ $c->param('rows') } // [] };
        return $row;
    };

    my $body = sub {
        my ($c) = @_;
        my $body = eval { decode_json($c->req->body || '{}') };
        return $body if ref $body eq 'HASH';
        $c->render(text => '<!DOCTYPE html><pre>SyntaxError</pre>',
                   format => 'html', status => 400);
        return;
    };

    # as Express prints it: the fields in their order, the id where it was put
    my $answer = sub {
        my ($c, $status, $row) = @_;
        my @keys = ((grep { $_ ne 'id' } sort keys %$row),
                    exists $row->{id} ? 'id' : ());
        my $json = "{\n" . join(",\n", map {
            '  ' . encode_json("$_") . ': ' . encode_json($row->{$_}) } @keys)
            . "\n}";
        $json = '{}' if !@keys;
        $c->render(data => $json, format => 'json', status => $status);
    };

    my $rows = $app->routes->any('/:rows');

    $rows->get('/' => sub {
        my ($c) = @_;
        my $all = $store->{ $c->param('rows') };
        return $answer->($c, 404, {}) if !$all;
        return $c->render(json => query($c, @$all));
    });

    $rows->post('/' => sub {
        my ($c) = @_;
        my $row = $body->($c) or return;
        my $all = $store->{ $c->param('rows') }
            or return $answer->($c, 404, {});
        if (defined $row->{id} && grep { $_->{id} eq $row->{id} } @$all) {
            return $c->render(text => '<pre>Error: Insert failed</pre>',
                              format => 'html', status => 500);
        }
        my $last = 0;
        for (map { $_->{id} } @$all) {
            $last = $_ if /^\d+\z/ && $_ > $last;
        }
        $row->{id} //= $last + 1;
        push @$all, $row;
        $c->res->headers->location('http://' . $c->req->headers->host . '/'
                                   . $c->param('rows') . "/$row->{id}");
        return $answer->($c, 201, $row);
    });

    my $one = $rows->any('/:id');

    $one->get('/' => sub {
        my ($c) = @_;
        my $row = $find->($c);
        return $answer->($c, $row ? 200 : 404, $row // {});
    });

    for my $method (qw(PUT PATCH)) {
        $one->any([$method] => '/' => sub {
            my ($c) = @_;
            my $new = $body->($c) or return;
            my $row = $find->($c) or return $answer->($c, 404, {});
            %$row = (($method eq 'PATCH' ? %$row : ()), %$new,
                     id => $row->{id});
            return $answer->($c, 200, $row);
        });
    }

    $one->delete('/' => sub {
        my ($c) = @_;
        my $row = $find->($c) or return $answer->($c, 404, {});
        my $all = $store->{ $c->param('rows') };
        @$all = grep { $_ != $row } @$all;
        return $answer->($c, 200, {});
    });

    # larger ones are compressed
    $app->renderer->compress(1);
    $app->renderer->min_compress_size(1024);

    Mojo::IOLoop->reset;
    Mojo::IOLoop->recurring(1 => sub {
        POSIX::_exit(0) if getppid() != $owner;
    });

    Mojo::Server::Daemon->new(
        app => $app, listen => ["http://127.0.0.1:$self->{port}"], silent => 1,
        max_requests => 1_000_000, max_clients => 10_000,
        keep_alive_timeout => 600, inactivity_timeout => 600)->run;

    return;
}


sub stop {
    my ($self) = @_;

    return if $self->{owner} != $$ || !$self->{pid};

    kill 'TERM', $self->{pid};

    if (!WSBus::Nginx::await(sub {
            waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid} }, 5))
    {
        kill 'KILL', $self->{pid};
        waitpid $self->{pid}, 0;
    }

    delete $self->{pid};
    File::Path::remove_tree($self->{dir}, { safe => 0 });

    return;
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->stop;
    return;
}


# the rows that a query asks for, and how many there are without a limit

sub query {
    my ($c, @rows) = @_;

    my $query = $c->req->query_params->to_hash;
    my %test  = (
        ne   => sub { !grep { $_[0] eq $_ } @{ $_[1] } },
        gte  => sub { $_[0] >= $_[1][0] },
        lte  => sub { $_[0] <= $_[1][0] },
        # in JavaScript [^] is any character; here it begins a class
        like => sub { (my $like = $_[1][0]) =~ s/\[\^\]/[\\s\\S]/g;
                      $_[0] =~ /$like/i },
    );

    for my $name (grep { !/^_/ } keys %$query) {
        my $want = ref $query->{$name} ? $query->{$name} : [ $query->{$name} ];
        my ($column, $test) = $name =~ /^(.*)_(ne|gte|lte|like)\z/;
        @rows = $test
            ? grep { $test{$test}->($_->{$column} // '', $want) } @rows
            : grep { my $row = $_;
                     grep { ($row->{$name} // '') eq $_ } @$want } @rows;
    }

    my @order = split /,/, $query->{_order} // '';
    for my $column (reverse split /,/, $query->{_sort} // '') {
        @rows = sort { ($a->{$column} // '') cmp ($b->{$column} // '') } @rows;
        @rows = reverse @rows if ($order[0] // '') eq 'desc';
    }

    if (defined(my $limit = $query->{_limit})) {
        $c->res->headers->header('X-Total-Count' => scalar @rows);
        @rows = splice @rows, $query->{_start} // 0, $limit;
    }

    return \@rows;
}


1;
