# SPDX-License-Identifier: BSD-2-Clause

package WSBus::PostgREST;

# A backend that understands as much of PostgREST's queries as it has to, and
# refuses everything else with 400: a parameter that it passed over would show
# rows that were not asked for. It keeps what it was asked, and by whom.

use strict;
use warnings;

use Mojo::JSON qw(decode_json);
use POSIX ();

use WSBus::Nginx;

my %compare = (
    eq    => sub { $_[0] eq $_[1] },
    neq   => sub { $_[0] ne $_[1] },
    gt    => sub { $_[0] > $_[1] },
    gte   => sub { $_[0] >= $_[1] },
    lt    => sub { $_[0] < $_[1] },
    lte   => sub { $_[0] <= $_[1] },
    like  => sub { like($_[1], '') },
    ilike => sub { like($_[1], 'i') },
);


# tables: { name => [ rows ] }

sub start {
    my ($class, $tables) = @_;

    my $self = bless { owner => $$ }, $class;
    ($self->{port}) = WSBus::Nginx::free_ports(1);

    $self->{pid} = fork() // die "fork: $!\n";

    if ($self->{pid} == 0) {
        eval { serve($tables, $self->{port}, $self->{owner}) };
        print STDERR "PostgREST: $@" if $@;
        POSIX::_exit(1);
    }

    WSBus::Nginx::await(sub { WSBus::Nginx::accepts($self->{port}) }, 30)
        or die "the REST backend did not start\n";

    return $self;
}


sub port { $_[0]{port} }


sub serve {
    my ($tables, $port, $owner) = @_;

    require Mojo::IOLoop;
    require Mojo::Server::Daemon;
    require Mojolicious;

    my $app = Mojolicious->new;
    my @asked;

    $app->log->level('fatal');
    $app->secrets(['-']);

    $app->routes->get('/-/asked' => sub {
        $_[0]->render(json => [ splice @asked ]);
    });

    $app->routes->any('/:table' => sub {
        my ($c) = @_;
        my $head = $c->req->headers;
        push @asked, { map({ $_ => $head->header($_) }
                           qw(Authorization X-Tenant X-User Cookie)),
                       line => $c->req->method . ' ' . $c->req->url };
        eval { answer($c, $tables); 1 } or do {
            chomp(my $why = $@);
            $c->render(json => { code => 'PGRST100', message => $why },
                       status => 400);
        };
    });

    Mojo::IOLoop->reset;
    Mojo::IOLoop->recurring(1 => sub {
        POSIX::_exit(0) if getppid() != $owner;
    });

    Mojo::Server::Daemon->new(app => $app, silent => 1,
        listen => ["http://127.0.0.1:$port"])->run;

    return;
}


sub answer {
    my ($c, $tables) = @_;

    my $method = $c->req->method;
    my $prefer = $c->req->headers->header('Prefer') // '';
    my $one    = $c->req->headers->accept
                 eq 'application/vnd.pgrst.object+json';
    my $table  = $tables->{ $c->param('table') }
        or return $c->render(json => { message => 'no such table' },
                             status => 404);

    if ($method eq 'POST') {
        die "return=representation is missing\n"
            if $prefer ne 'return=representation';
        my $row = decode_json($c->req->body);
        $row->{id} //= 1 + @$table;
        push @$table, $row;
        return $c->render(json => [$row], status => 201);
    }

    my ($rows, %o) = choose($c->req->query_params->pairs, @$table);

    if ($method eq 'GET') {
        die "count=exact is missing\n"
            if $prefer ne 'count=exact'
               && $c->req->headers->accept !~ /problem/;

        my $total = @$rows;
        my @page  = splice @$rows, $o{offset} // 0, $o{limit} // $total;
        @page = map { my $row = $_; $o{select}
            ? { map { $_ => $row->{$_} } @{ $o{select} } } : $row } @page;

        return $c->render(json => { message => 'not one row' }, status => 406)
            if $one && @page != 1;
        return $c->render(json => $page[0]) if $one;

        $c->res->headers->header('Content-Range' => sprintf '%s/%d',
            @page ? join('-', $o{offset} // 0,
                         ($o{offset} // 0) + $#page) : '*', $total);
        return $c->render(json => \@page, status => @page < $total ? 206 : 200);
    }

    return $c->render(json => { message => 'not one row' }, status => 406)
        if @$rows != 1 || !$one;

    my $row = $rows->[0];
    if ($method eq 'PATCH') {
        %$row = (%$row, %{ decode_json($c->req->body) });
    } elsif ($method eq 'DELETE') {
        @$table = grep { $_ != $row } @$table;
    } else {
        die "no $method\n";
    }

    return $c->render(json => $row);
}


sub choose {
    my ($pairs, @rows) = @_;

    my %o;

    while (my ($name, $value) = splice @$pairs, 0, 2) {

        if ($name =~ /^(?:limit|offset)\z/) {
            die "$name is no number\n" if $value !~ /^\d+\z/;
            $o{$name} = $value;

        } elsif ($name eq 'select') {
            $o{select} = [ split /,/, $value ];

        } elsif ($name eq 'order') {
            for (reverse split /,/, $value) {
                my ($column, $way) = /^(\w+)\.(asc|desc)\z/
                    or die "no order: $_\n";
                @rows = sort { $a->{$column} cmp $b->{$column} } @rows;
                @rows = reverse @rows if $way eq 'desc';
            }

        } elsif ($name eq 'or') {
            $value =~ s/^\((.*)\)\z/$1/s or die "no list: $value\n";
            my @tests;
            while ($value =~ /\G(\w+)\.(\w+)\.("(?:[^"\\]|\\.)*"|[^,]*)(?:,|\z)/gs) {
                my ($column, $op, $text) = ($1, $2, unquote($3));
                push @tests, [ $column, test($op, $text) ];
                last if pos $value == length $value;
            }
            @rows = grep { my $row = $_;
                grep { $_->[1]->($row->{ $_->[0] }) } @tests } @rows;

        } else {
            my ($op, $text) = $value =~ /^(\w+)\.(.*)\z/s
                or die "no condition: $name=$value\n";
            my $test = test($op, $text);
            @rows = grep { exists $_->{$name} or die "no column $name\n";
                           $test->($_->{$name}) } @rows;
        }
    }

    return (\@rows, %o);
}


sub test {
    my ($op, $text) = @_;

    if ($op eq 'in') {
        $text =~ s/^\((.*)\)\z/$1/s or die "no list: $text\n";
        my @values;
        while ($text =~ /\G("(?:[^"\\]|\\.)*"|[^,]*)(?:,|\z)/gs) {
            push @values, unquote($1);
            last if pos $text == length $text;
        }
        return sub { my ($is) = @_;
                     defined $is && grep { $is eq $_ } @values };
    }

    my $compare = $compare{$op} or die "no operator $op\n";

    return $op =~ /like/
        ? do { my $re = $compare->(undef, $text);
               sub { defined $_[0] && $_[0] =~ $re } }
        : sub { defined $_[0] && $compare->($_[0], $text) };
}


sub unquote {
    my ($text) = @_;
    $text =~ s/\\(.)/$1/gs if $text =~ s/^"(.*)"\z/$1/s;
    return $text;
}


sub like {
    my ($pattern, $flags) = @_;
    my $re = join '', map { $_ eq '%' || $_ eq '*' ? '.*' : $_ eq '_' ? '.'
                            : quotemeta } split //, $pattern;
    return qr/(?$flags:\A$re\z)/s;
}


sub stop {
    my ($self) = @_;

    return if $self->{owner} != $$ || !$self->{pid};

    kill 'TERM', $self->{pid};
    waitpid delete $self->{pid}, 0;

    return;
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->stop;
    return;
}


1;
