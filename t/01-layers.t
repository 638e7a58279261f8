# The sources keep to the layers, to 80 columns and to their documents.

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

my (%text, %folder_of);

find(sub {
    return if !/\.[ch]\z/;
    (my $path = $File::Find::name) =~ s{^\Q$root\E/}{};
    open my $fh, '<:encoding(UTF-8)', $_ or die "$path: $!\n";
    local $/;
    $text{$path} = <$fh>;
    my ($folder) = $path =~ m{^src/(\w+)/};
    $folder_of{$_} = $folder // '';
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
