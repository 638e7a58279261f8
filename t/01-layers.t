# SPDX-License-Identifier: BSD-2-Clause
# The sources keep to the layers, to 80 columns and to their documents; files
# stand in no circle, are not long, and are named as what is in them.

use strict;
use warnings;

use File::Find;
use FindBin;
use Test::More;

my $root = "$FindBin::Bin/..";

# what a folder may include, of the others

my %may = (
    ws       => [qw(ws)],
    json     => [qw(json)],
    event    => [qw(event json)],
    match    => [qw(match event json)],
    log      => [qw(log event json)],
    auth     => [qw(auth json)],
    rest     => [qw(rest match event json)],
    protocol => [qw(protocol log match event json ws)],
    ngx      => [qw(ngx protocol rest auth log match event json ws)],
);

# what a room of src/ngx may include, of the other rooms; of the pure folders,
# all

my %room = (
    core      => [],
    jwt       => [qw(core)],
    client    => [qw(jwt core)],
    transport => [qw(client jwt core)],
    source    => [qw(client jwt core)],
    call      => [qw(source client jwt core)],
    status    => [qw(client jwt core)],
);

my $longest = 700;              # lines of a file

my (%text, %folder_of, %path_of);

find(sub {
    return if !/\.[ch]\z/;
    (my $path = $File::Find::name) =~ s{^\Q$root\E/}{};
    open my $fh, '<:encoding(UTF-8)', $_ or die "$path: $!\n";
    local $/;
    $text{$path} = <$fh>;
    my ($folder) = $path =~ m{^src/(\w+)/};
    $folder_of{$_} = $folder // '';
    $path_of{$_} = $path;
}, "$root/src");

sub includes { return $text{ $_[0] } =~ /^[ \t]*#[ \t]*include\s*[<"]([^>"]+)/mg }

sub nothing {
    my ($what, @bad) = @_;
    ok(!@bad, $what) or diag(join "\n", @bad);
}

cmp_ok(scalar keys %text, '>', 0, 'there are sources');

for my $folder (qw(ws json event match log auth rest protocol)) {
    my @files = grep { m{^src/$folder/} } sort keys %text;

    cmp_ok(scalar @files, '>', 0, "src/$folder has sources");

    nothing("src/$folder knows no nginx", map {
        my $path = $_;
        map { "$path includes $_" } grep { /(?:^|\/)ngx_/ } includes($path)
    } @files);

    nothing("src/$folder names nothing of nginx",
            grep { $text{$_} =~ /\bngx_\w+\s*\(/ } @files);
}

for my $folder (sort keys %may) {
    my %ok = map { $_ => 1 } @{ $may{$folder} };
    my @bad;

    for my $path (grep { m{^src/$folder/} } sort keys %text) {
        for my $inc (includes($path)) {
            (my $name = $inc) =~ s{.*/}{};
            next if $name eq 'wsb.h';
            my $of = $folder_of{$name} // '';
            push @bad, "$path includes $inc of $of" if $of && !$ok{$of};
        }
    }

    nothing("src/$folder includes only what is below it", @bad);
}

sub stem { my ($stem) = $_[0] =~ m{([^/]+)\.[ch]\z}; return $stem }
sub folder { my ($folder) = $_[0] =~ m{^(.*)/}; return $folder }

# the files of ours that a file includes, by path

sub ours { return grep { defined } map { $path_of{ s{.*/}{}r } } includes($_[0]) }

# the rooms of src/ngx

my @glue = grep { m{^src/ngx/} } sort keys %text;

sub room { my ($room) = $_[0] =~ m{^src/ngx/(\w+)/}; return $room }
sub door { my ($room) = @_; return "src/ngx/$room/ngx_http_ws_bus_$room.h" }

nothing('each file of src/ngx is in a room that is known',
        grep { !$room{ room($_) // '' } } @glue);

my %is_room = map { (room($_) // '') => 1 } @glue;

nothing('each room has its header',
        grep { !$text{$_} } map { door($_) } grep { $room{$_} } sort keys %is_room);

for my $room (sort keys %room) {
    my %ok = map { $_ => 1 } $room, @{ $room{$room} };
    my (@arrow, @inside);

    for my $path (grep { room($_) && room($_) eq $room } @glue) {
        for my $inc (grep { room($_) } ours($path)) {
            my $of = room($inc);
            next if $of eq $room;
            push @arrow, "$path includes $inc" if !$ok{$of};
            push @inside, "$path includes $inc" if $inc ne door($of);
        }
    }

    nothing("src/ngx/$room includes only rooms that are below it", @arrow);
    nothing("src/ngx/$room includes of other rooms their header alone", @inside);
}

# whom a header leads to, itself too

sub reach {
    my ($path, $seen) = @_;
    return if $seen->{$path}++;
    reach($_, $seen) for ours($path);
}

nothing('no header leads to all rooms', grep {
    my %seen;
    reach($_, \%seen);
    my %rooms = map { (room($_) // '') => 1 } keys %seen;
    !grep { !$rooms{$_} } grep { $_ ne 'call' } keys %room;
} grep { /\.h\z/ } @glue);

# A file is a header with the .c of its name, and each .c without a header of
# its own for which it speaks: the first that such a one includes.

my %header = map { stem($_) => $_ } grep { /\.h\z/ } keys %text;

sub unit {
    my ($path) = @_;
    return stem($path) if $header{ stem($path) };
    my ($first) = grep { folder($_) eq folder($path) } ours($path);
    return $first ? stem($first) : stem($path);
}

my %edge;

for my $path (keys %text) {
    for my $inc (ours($path)) {
        $edge{ unit($path) }{ unit($inc) } = 1 if unit($path) ne unit($inc);
    }
}

my (%state, @circle);

sub visit {
    my ($unit, @way) = @_;
    return if ($state{$unit} // '') eq 'done';

    if (($state{$unit} // '') eq 'under way') {
        shift @way while $way[0] ne $unit;
        push @circle, join ' -> ', @way, $unit;
        return;
    }

    $state{$unit} = 'under way';
    visit($_, @way, $unit) for sort keys %{ $edge{$unit} };
    $state{$unit} = 'done';
}

visit($_) for sort keys %edge;

nothing('files include each other in no circle', @circle);

nothing("no file in src is longer than $longest lines", map {
    my $n = () = $text{$_} =~ /\n/g;
    $n > $longest ? "$_: $n" : ();
} sort keys %text);

# The names that functions of a file begin with: its own; if it has no header,
# that of the longest one that its name extends.  In a header there may be, as
# well, those of the files for which it speaks.

sub prefixes {
    my ($path) = @_;
    my $stem = stem($path);
    my @ok = ($stem);

    if ($path =~ /\.h\z/) {
        push @ok, map { stem($_) } grep { unit($_) eq $stem } keys %text;

    } elsif (!$header{$stem}) {
        my ($other) = sort { length $b <=> length $a }
                      grep { index($stem, $_ . '_') == 0 } keys %header;
        push @ok, $other if $other;
    }

    return @ok;
}

my (@defined, @misnamed);

for my $path (sort keys %text) {
    my @ok = prefixes($path);

    while ($text{$path} =~ /^(?:[a-z][\w ]*[ *]+\**)?
                             ((?:wsb|ngx_http_ws_bus)_\w+)
                             \( [^;{}]* \) \n \{/mgx)
    {
        my $name = $1;
        push @defined, $name;
        push @misnamed, "$path: $name"
            if !grep { $name eq $_ || index($name, $_ . '_') == 0 } @ok;
    }
}

cmp_ok(scalar @defined, '>', 500, 'the functions are found in src');

nothing("a function's name begins with its file's", @misnamed);

nothing('80 columns in src', map {
    my $path = $_;
    my $n = 0;
    map { $n++; length > 80 ? "$path:$n" : () } split /\n/, $text{$path};
} sort keys %text);

nothing('no tabs and no blanks at the end of a line in src',
        grep { $text{$_} =~ /\t|[ ]$/m } sort keys %text);

my %directive;

for my $path (sort keys %text) {
    $directive{$1} = $path while $text{$path} =~ /ngx_string\("(ws_bus\w*)"\),\s*\n?\s*NGX_/g;
}

my $docs = '';

if (open my $fh, '<:encoding(UTF-8)', "$root/docs/directives.md") {
    local $/;
    $docs = <$fh>;
}

cmp_ok(scalar keys %directive, '>', 3, 'the directives are found in src');

nothing('docs/directives.md has each directive', map {
    "$_ of $directive{$_}"
} grep { $docs !~ /^#+.*\b$_\b/m } sort keys %directive);

nothing('docs/directives.md has no other',
        grep { !$directive{$_} }
        $docs =~ /^#+\s+`?(ws_bus\w*)`?\s*$/mg);

done_testing;
