# SPDX-License-Identifier: BSD-2-Clause
# Files that change are events: each change once, whoever looks after them.

use strict;
use warnings;

use File::Path qw(make_path remove_tree);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time sleep);

use WSBus::Nginx;
use WSBus::Raw;

my $ZONE = 'ws_bus_zone zone=events:8m;';

my $http = <<"END";
    $ZONE
    ws_bus_zone zone=other:2m;
    ws_bus_drain_window 0;

    ws_bus_watch %%PREFIX%%/conf/ zone=events;
    ws_bus_watch value   zone=events pattern=* tenant=globex ignore=skip,skop;
    ws_bus_watch late    zone=events;
    ws_bus_watch current zone=events;
    ws_bus_watch many    zone=events;
    ws_bus_watch few     zone=events files=3;

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        add_header X-Worker \$pid always;

        location = /ws     { ws_bus events; ws_bus_protocol tenant; }
        location = /bus    { ws_bus events; ws_bus_tenant \$arg_t; }
        location = /status { ws_bus_status; }
    }
END

my $nginx = WSBus::Nginx->new(workers => 2, fixed_workers => 1,
                              http => $http);
my $port  = $nginx->port;


sub path { return $nginx->file($_[0]) }

# a file as it is written: empty at first

sub scribble {
    my ($name, $text) = @_;
    open my $fh, '>', path($name) or die "$name: $!\n";
    print $fh $text // 'x' x int rand 1000;
    close $fh or die "$name: $!\n";
    return;
}

# in one step, however slow we are: nobody can look at half of it

sub put {
    my ($name, $text) = @_;

    $text //= 'x' x int rand 1000;

    if (length $text && length $text >= (-s path($name) // 1e9)) {
        open my $fh, '+<', path($name) or die "$name: $!\n";
        syswrite $fh, $text;
        close $fh or die "$name: $!\n";
        return;
    }

    scribble('put', $text);
    move('put', $name);
    return;
}

sub drop { unlink path($_) or die "$_: $!\n" for @_; return }

sub move {
    my ($from, $to) = @_;
    rename path($from), path($to) or die "$from: $!\n";
    return;
}


# all events of a tenant, by a client of a given worker, if that matters

my %since;

sub watcher {
    my ($tenant, $pid) = @_;

    for (1 .. 200) {
        my $ws  = WSBus::Raw->new($port);
        my $res = $ws->handshake(path => "/bus?t=$tenant");
        die "handshake: $res->{status}\n" if $res->{status} != 101;

        if ($pid && $res->{headers}{'x-worker'} != $pid) {
            $ws->close;
            next;
        }

        $ws->read_json;
        my $since = $since{$tenant} // 'first';
        $ws->send_text(qq({"type":"subscribe","filter":{},"since":"$since"}));
        $ws->read_json->{type} eq 'subscribed' or die "$ws->{text}\n";
        return { ws => $ws, tenant => $tenant };
    }

    die "no connection of worker $pid\n";
}

# the next n changes, "action name", in the order of names

sub changes {
    my ($w, $n) = @_;

    my @got;

    while (@got < $n) {
        my $m = $w->{ws}->read_json;
        next if ($m->{type} // '') eq 'position';

        if ($m->{type} eq 'CLOSE') {
            # a reload: it comes back
            $w->{ws}->close;
            %$w = %{ watcher($w->{tenant}) };
            next;
        }

        if ($m->{type} ne 'event') {
            push @got, "$m->{type}";
            last;
        }

        $since{ $w->{tenant} } = $m->{data}{id};
        my $e = $m->{data}{event};
        push @got, join ' ', $e->{action}, $e->{entity_id},
            $e->{kind} eq 'entity' && $e->{entity_type} eq 'config' ? () : '?';
    }

    return join ', ', sort { ($a =~ / (.*)/)[0] cmp ($b =~ / (.*)/)[0] } @got;
}

# no more than these have come: a change that is made now is the next one

my $marks = 0;

sub mark {
    my ($w, $dir) = @_;
    $dir //= 'conf';
    make_path(path("$dir/private"));
    my $name = "private/$w->{tenant}.json";
    my $there = -e path("$dir/$name");
    put("$dir/$name", 'm' x ++$marks);
    return changes($w, 1) eq ($there ? 'modified' : 'created') . " $name";
}

# what is done at once is one change; if the machine was busy meanwhile it may
# be several: these are passed over, and it is done again. A change that is
# told after two marks has been made after the first one

sub at_once {
    my ($code, $w) = @_;

    for (1 .. 50) {
        my $t0 = time;
        $code->();
        return 1 if time - $t0 < 0.08;

        for (1, 2) {
            my $name = "private/$w->{tenant}.json";
            my $got;
            put("conf/$name", 'm' x ++$marks);
            do { $got = changes($w, 1) } until $got =~ /^none|\Q $name\E$/;
        }
    }

    return 0;
}

# who looks after a directory: the last of whom the log says it

sub owner {
    my ($dir) = @_;
    my @pids = $nginx->error_log
        =~ m{\[notice\] (\d+)#\d+: ws_bus_watch: this worker looks after "[^"]*/\Q$dir\E"}g;
    return $pids[-1] // 0;
}


make_path(map { path($_) } qw(conf conf/private conf/examples conf/else value
                              r1 r2 many few/deep conf/private/deeper));
symlink '../r1', path('conf/led') or die "symlink: $!\n";
symlink 'r1', path('current') or die "symlink: $!\n";
put("conf/$_.json") for qw(acme schema default globex);
put('r1/acme.json', 'one');
put('r2/acme.json', 'two!');
put(sprintf 'many/m%04d.json', $_) for 1 .. 4100;

put("few/f$_.json") for 2, 4, 6;

$nginx->start;

my @dirs = qw(conf value late current many few);

ok(WSBus::Nginx::await(sub { !grep { !owner($_) } @dirs }),
   'each directory has somebody');
is(scalar(() = $nginx->error_log =~ /this worker looks after/g), @dirs,
   'and one only');

my $acme   = watcher('acme');
my $globex = watcher('globex');
my $hook   = WSBus::Raw->open($port, no_welcome => 1,
                              path => '/ws?tenant_id=acme');


subtest 'changes' => sub {
    my $fastest = 99;

    for my $case (
        [ 'created private/acme.json',  sub { put('conf/private/acme.json') } ],
        [ 'created examples/acme.json', sub { put('conf/examples/acme.json') } ],
        [ 'modified acme.json',         sub { put('conf/acme.json', 'longer') } ],
        [ 'modified acme.json',         sub { put('conf/acme.json', 'a' x 6) } ],
        [ 'modified acme.json',
          sub { utime 1, 1, path('conf/acme.json') or die "utime: $!\n" } ],
        [ 'deleted acme.json',          sub { drop('conf/acme.json') } ],
        [ 'created acme.json',          sub { put('conf/acme.json') } ],
        [ 'deleted examples/acme.json', sub { drop('conf/examples/acme.json') } ],
    ) {
        my ($want, $do) = @$case;
        my $t0 = time;
        $do->();
        is(changes($acme, 1), $want, $want);
        $fastest = time - $t0 if time - $t0 < $fastest;

        my ($action) = $want =~ /^(\w+)/;
        is($hook->read_frame->{payload}, '{"ConfigChanged":{"tenant_id":"acme",'
           . qq("change_type":"$action"}}), 'and as a ConfigChanged');
    }

    cmp_ok($fastest, '<', 2, 'soon');
    cmp_ok($fastest, '>', 0.09, 'but not before it is quiet');

    move('conf/acme.json', 'conf/globex.json');
    is(changes($acme, 1), 'deleted acme.json', 'renamed: gone for the one');
    is(changes($globex, 1), 'modified globex.json', 'changed for the other');

    move('conf/globex.json', 'conf/acme.json');
    is(changes($acme, 1), 'created acme.json', 'and back: new');
    is(changes($globex, 1), 'deleted globex.json', 'and gone');

    remove_tree(path('conf/private'));
    is(changes($acme, 1), 'deleted private/acme.json', 'with its folder');
    ok(mark($acme), 'and is back with it');
    put('conf/private/acme.json', 'once more');
    is(changes($acme, 1), 'modified private/acme.json', 'which is watched');
};


subtest 'what is one change' => sub {
    ok(at_once(sub { scribble('conf/acme.json') for 1 .. 10 }, $acme), 'a burst');
    is(changes($acme, 1), 'modified acme.json', 'is one');
    ok(mark($acme), 'and no more');

    ok(at_once(sub {
        scribble('conf/acme.json.tmp');
        move('conf/acme.json.tmp', 'conf/acme.json');
    }, $acme), 'another file in its place');
    is(changes($acme, 1), 'modified acme.json', 'is one');

    ok(at_once(sub {
        move('conf/acme.json', 'conf/acme.json~');
        scribble('conf/.acme.json.swp');
        scribble('conf/acme.json', 'edited' . 'x' x ++$marks);
        drop('conf/acme.json~', 'conf/.acme.json.swp');
    }, $acme), 'as an editor saves it');
    is(changes($acme, 1), 'modified acme.json', 'is one');
    ok(mark($acme), 'and no more');
};


# only the inode, or the time of the last change of it, is another

subtest 'the same size and time' => sub {
    my $same = sub {
        my ($name, $text) = @_;
        put($name, $text);
        utime 1e9, 1e9, path($name) or die "utime: $!\n";
    };

    $same->('conf/acme.json', 'aaa');
    is(changes($acme, 1), 'modified acme.json', 'a file');

    $same->('conf/new', 'bbb');
    move('conf/new', 'conf/acme.json');
    is(changes($acme, 1), 'modified acme.json', 'another one in its place');

    my $ino = (stat path('conf/acme.json'))[1];
    $same->('conf/acme.json', 'ccc');
    is((stat path('conf/acme.json'))[1], $ino, 'the same one');
    is(changes($acme, 1), 'modified acme.json', 'written as cp -p does it');

    $same->("r$_/linked.json", "dd$_") for 1, 2;
    symlink '../../r1/linked.json', path('conf/private/acme.json.to')
        or die "symlink: $!\n";
    move('conf/private/acme.json.to', 'conf/private/acme.json');
    is(changes($acme, 1), 'modified private/acme.json', 'a link');
    symlink '../../r2/linked.json', path('conf/private/acme.json.to')
        or die "symlink: $!\n";
    move('conf/private/acme.json.to', 'conf/private/acme.json');
    is(changes($acme, 1), 'modified private/acme.json', 'is turned');

    chmod 0600, path('conf/acme.json');
    is(changes($acme, 1), 'modified acme.json', 'as chmod would look');
    chmod 0644, path('conf/acme.json');
    is(changes($acme, 1), 'modified acme.json', 'each time');

    drop('conf/private/acme.json');
    is(changes($acme, 1), 'deleted private/acme.json', 'the link is gone');
    ok(mark($acme), 'and no more');
};


subtest 'what is none' => sub {
    put("conf/$_") for qw(schema.json default.json acme.yaml .acme.json
                          else/acme.json acme.json.bak private/schema.json);
    mkdir path('conf/dir.json') or die "mkdir: $!\n";
    symlink 'nowhere', path('conf/link.json') or die "symlink: $!\n";
    at_once(sub { scribble('conf/brief.json'); drop('conf/brief.json') }, $acme);
    ok(mark($acme), 'other files');

    my $before = zone();
    drop('conf/link.json');   # for its sake it would be looked at each second
    drop('conf/schema.json', 'conf/default.json');
    ok(mark($acme), 'nor when they go');
    is(zone()->{totals}{events}, $before->{totals}{events} + 1,
       'for nobody at all');
};


subtest 'a tenant for all' => sub {
    put('value/any');
    is(changes($globex, 1), 'created any', 'a file of any name');
    put('value/skip');
    put('value/skop');
    put('value/schema.json');
    is(changes($globex, 1), 'created schema.json', 'but for those ignored');
};


subtest 'directories come and go' => sub {
    my $from = length $nginx->error_log;
    my $late = watcher('late');

    like($nginx->error_log, qr/\[error\].*no such directory.*\/late"/,
         'one is missing from the beginning, and it is said');
    is(scalar(() = $nginx->error_log =~ /no such directory/g), 1, 'once');

    make_path(path('late'));
    put('late/late.json');
    is(changes($late, 1), 'created late.json', 'now it is there');
    ok($nginx->await_log(qr{/late" is watched again}, $from), 'that is said');

    put('late/late.json', 'more');
    is(changes($late, 1), 'modified late.json', 'and it is watched');

    remove_tree(path('late'));
    is(changes($late, 1), 'deleted late.json', 'it is removed');
    make_path(path('late'));
    put('late/late.json');
    is(changes($late, 1), 'created late.json', 'and made again');
    put('late/late.json', 'more');
    is(changes($late, 1), 'modified late.json', 'and watched again');

    # a link is turned, as a deployment does it

    symlink 'r2', path('next') or die "symlink: $!\n";
    move('next', 'current');
    is(changes($acme, 1), 'modified acme.json', 'a link to another directory');
    put('r2/acme.json', 'changed there');
    is(changes($acme, 1), 'modified acme.json', 'which is watched then');
    put('r1/acme.json', 'nobody cares');
    ok(mark($acme), 'and the other is not');

    # links of files, and of folders

    symlink '../r1/acme.json', path('late/acme.json') or die "symlink: $!\n";
    is(changes($acme, 1), 'created acme.json', 'a link to a file');
    put('r1/acme.json', 'somebody does');
    is(changes($acme, 1), 'modified acme.json', 'which changes elsewhere');
    drop('late/acme.json');
    is(changes($acme, 1), 'deleted acme.json', 'and goes');

    symlink '../r1', path('late/private') or die "symlink: $!\n";
    is(changes($acme, 1), 'created private/acme.json', 'a link to a folder');
    put('r1/acme.json', 'and there');
    is(changes($acme, 1), 'modified private/acme.json', 'in which it changes');
    drop('late/private');
    is(changes($acme, 1), 'deleted private/acme.json', 'and which goes');
    $late->{ws}->close;
};


subtest 'too many files' => sub {
    my @last = $nginx->error_log =~ /too many files.*"(m\d+\.json)"/g;
    is("@last", 'm4097.json', 'it is said which are not watched');

    my ($first, $beyond) = (watcher('m0001'), watcher('m4098'));
    put('many/m4098.json', 'more');
    put('many/m0001.json', 'more');
    is(changes($first, 1), 'modified m0001.json', 'the others are');
    is($beyond->{ws}->read_json(0.1)->{type}, 'none', 'those are not');

    # that there is room for them makes them no new files

    drop('many/m0002.json', 'many/m0003.json');
    is($beyond->{ws}->read_json(0.7)->{type}, 'none', 'nor created by that');
    put('many/m4098.json', 'more again');
    is(changes($beyond, 1), 'modified m4098.json', 'but watched');

    # and that there is none for them any more does not delete them

    put('many/m0002.json', 'x');
    put('many/m0003.json', 'x');
    put('many/m4098.json', 'and again');
    is($beyond->{ws}->read_json(0.7)->{type}, 'none', 'nor deleted');
    $_->{ws}->close for $first, $beyond;
};


subtest 'files=' => sub {
    my %w    = map { $_ => watcher("f$_") } 1, 2, 3, 4, 6;
    my $from = length $nginx->error_log;

    put('few/f3.json');
    is(changes($w{3}, 1), 'created f3.json', 'a fourth file');
    ok($nginx->await_log(qr/\[error\].*too many files.*files=.*"f6\.json"/, $from),
       'is one too many, which is said');
    put('few/f6.json', 'more');
    drop('few/f4.json');
    is(changes($w{4}, 1), 'deleted f4.json', 'one that is known goes');
    put('few/f1.json');
    is(changes($w{1}, 1), 'created f1.json', 'another one comes');
    drop('few/f2.json', 'few/f3.json');
    is(changes($w{2}, 1), 'deleted f2.json', 'two that are known');
    is(changes($w{3}, 1), 'deleted f3.json', 'go');
    ok($nginx->await_log(qr{few" is watched again}, $from), 'there is room');
    put('few/f6.json', 'and more');
    is(changes($w{6}, 1), 'modified f6.json', 'for what was there');
    $_->{ws}->close for values %w;
};


subtest 'folders that are not followed' => sub {
    my @named = $nginx->error_log =~ /\[error\].*the folder "([^"]+)" is not/g;
    s/.*?\/(?=conf|few)// for @named;

    is(join(' ', sort @named),
       'conf/dir.json conf/else conf/led conf/private/deeper few/deep',
       'each is named once');
};


sub zone { return WSBus::Raw::zone($port, 'events') }


subtest 'the kernel loses track' => sub {
    my $owner = owner('conf');

    # of the other worker; this one is not to be replaced meanwhile
    my ($other) = grep { $_ != $owner } $nginx->worker_pids;
    my $ws = watcher('acme', $other);

    my $max = WSBus::Nginx::slurp('/proc/sys/fs/inotify/max_queued_events') || 0;
    put('conf/flood-0', 'x');
    my $t0  = time;

    # each is told as two events: a name that goes, and one that comes

    kill 'STOP', $owner;
    for (0 .. $max / 2) {
        last if time - $t0 > 2;
        move('conf/flood-' . $_ % 2, 'conf/flood-' . ($_ + 1) % 2);
    }
    put('conf/acme.json', 'after the flood');
    kill 'CONT', $owner;

    # else its last hint is one that is heeded, too
    cmp_ok(time - $t0, '<', 2, 'more than the kernel keeps');

    is(changes($ws, 1), 'modified acme.json', 'but what has changed is found');
    ok(mark($ws), 'and nothing else');
    $ws->{ws}->close;
    changes($acme, 2);
};


subtest 'the owner is killed' => sub {
    for my $round (1 .. 2) {
        my $owner   = owner('conf');
        my ($other) = grep { $_ != $owner } $nginx->worker_pids;
        my $ws      = watcher('acme', $other);

        put('conf/acme.json', 'before' x $round);
        is(changes($ws, 1), 'modified acme.json', 'before');

        my $t0 = time;
        $nginx->kill_worker($owner);
        put('conf/acme.json', 'meanwhile' x $round);
        put('conf/examples/acme.json');
        drop('conf/private/acme.json');

        is(changes($ws, 3), 'modified acme.json, created examples/acme.json, '
           . 'deleted private/acme.json', 'all that happened meanwhile');
        diag(sprintf 'taken over within %.2f s', time - $t0) if $ENV{WSB_VERBOSE};

        drop('conf/examples/acme.json');
        is(changes($ws, 1), 'deleted examples/acme.json', 'and thereafter');
        isnt(owner('conf'), $owner, 'by another');
        ok(mark($ws), 'each once');
        ok(WSBus::Nginx::await(sub { $nginx->worker_pids == 2 }), 'two again');
        $ws->{ws}->close;
    }
};


subtest 'reload' => sub {
    my $owner = owner('conf');
    my $from  = length $nginx->error_log;

    # nobody holds up the old ones
    $_->close for $acme->{ws}, $globex->{ws}, $hook;

    # while the generations change

    for my $n (1 .. 3) {
        put('conf/acme.json', "reload $n" . 'x' x $n);
        kill 'HUP', $nginx->pid if $n == 1;
        my $ws;
        WSBus::Nginx::await(sub { $ws = eval { watcher('acme') } });
        is(changes($ws, 1), 'modified acme.json', "change $n");
        $ws->{ws}->close;
    }

    ok(WSBus::Nginx::await(sub { !-d "/proc/$owner" }), 'the old ones leave');
    isnt(owner('conf'), $owner, 'another looks after it');

    put('conf/acme.json', 'more');
    my $ws = watcher('acme');
    is(changes($ws, 1), 'modified acme.json', 'and sees what changes');
    ok(mark($ws), 'once');

    # without the directives nobody does

    my $less_from = length $nginx->error_log;
    (my $less = $http) =~ s/^\s*ws_bus_watch.*\n//mg;
    ok($nginx->reload(http => $less), 'a reload without them');
    my $events = zone()->{totals}{events};
    ok(WSBus::Nginx::await(sub { !$nginx->draining_pids }), 'the old are gone');
    put('conf/acme.json', 'nobody hears');

    # and with them again, nothing is told that happened in between

    ok($nginx->reload(http => $http), 'and one with them');
    ok(WSBus::Nginx::await(sub { owner('conf') && -d '/proc/' . owner('conf') }),
       'somebody looks after it');
    $ws = watcher('acme');
    ok(mark($ws), 'what happened in between is not told');
    is(zone()->{totals}{events}, $events + 1, 'to nobody');
    $ws->{ws}->close;

    is(scalar(() = substr($nginx->error_log, 0, $less_from)
                   =~ /the folder "[^"]+conf\/else" is not/g), 1,
       'a folder that is not followed was named once');
};


subtest 'wrong configurations' => sub {
    my $two = "$ZONE ws_bus_zone zone=other:2m;";

    my @cases = (
        [ 'which zone', "$two ws_bus_watch a;", qr/"ws_bus_watch" of ".*\/a".*:\d+.*zone=name/ ],
        [ 'no zone', 'ws_bus_watch a;', qr/zone=name/ ],
        [ 'an unknown zone', "$ZONE ws_bus_watch a zone=x;",
          qr/unknown zone "x" in "ws_bus_watch" in .*:\d+/ ],
        [ 'an unknown parameter', "$ZONE ws_bus_watch a color=red;",
          qr/invalid parameter "color=red" in "ws_bus_watch".*ignore=name/ ],
        [ 'a word', "$ZONE ws_bus_watch a stem;", qr/invalid parameter "stem"/ ],
        [ 'a pattern of paths', "$ZONE ws_bus_watch a pattern=b/*;",
          qr/invalid parameter "pattern=b\/\*".*without "\/"/ ],
        [ 'an empty pattern', "$ZONE ws_bus_watch a pattern=;", qr/pattern=/ ],
        [ 'no files', "$ZONE ws_bus_watch a files=0;", qr/"files=number" \(1 to 65536\)/ ],
        [ 'many files', "$ZONE ws_bus_watch a files=65537;", qr/files=/ ],
        [ 'files in words', "$ZONE ws_bus_watch a files=4k;", qr/files=/ ],
        [ 'an empty tenant', "$ZONE ws_bus_watch a tenant=;", qr/tenant=/ ],
        [ 'a long tenant', "$ZONE ws_bus_watch a tenant=" . 'x' x 257 . ';',
          qr/at most 256 bytes/ ],
        [ 'a tenant that is no UTF-8', "$ZONE ws_bus_watch a tenant=a\xff;",
          qr/UTF-8/ ],
        [ 'twice', "$ZONE ws_bus_watch a; ws_bus_watch a/;", qr/written twice/ ],
        [ 'nothing', "$ZONE ws_bus_watch;", qr/number of arguments/ ],
        [ 'an empty directory', "$ZONE ws_bus_watch '';", qr/needs a directory/ ],
        [ 'in a server', "$ZONE server { ws_bus_watch a; }",
          qr/"ws_bus_watch" directive is not allowed here/ ],
    );

    for my $case (@cases) {
        my ($what, $text, $re) = @$case;
        my ($rc, $out) = WSBus::Nginx->test_config(http => $text);
        isnt($rc, 0, "$what: refused");
        like($out, $re, 'with a reason');
    }

    for my $text ("$ZONE ws_bus_watch a;", "ws_bus_watch a; $ZONE",
                  "$ZONE ws_bus_watch a tenant=stem; ws_bus_watch a tenant=x;",
                  "$two ws_bus_watch a zone=other ignore=;",
                  "$ZONE ws_bus_watch a files=65536;")
    {
        my ($rc, $out) = WSBus::Nginx->test_config(http => $text);
        is($rc, 0, $text) or diag($out);
    }
};


$nginx->finish;
done_testing;
