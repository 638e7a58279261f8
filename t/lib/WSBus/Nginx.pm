# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Nginx;

# A private nginx for one test file: own prefix, own ports, own error log.

use strict;
use warnings;

use Cwd qw(abs_path);
use Errno qw(EADDRINUSE);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Scalar::Util qw(weaken);
use Test::More ();
use Time::HiRes qw(time sleep);

our $ROOT    = abs_path(dirname(__FILE__) . '/../../..');

# Seconds that are waited for what is to come. Only what never comes takes them,
# so they may be many: a machine that is busy with something else is no fault.
# WSB_TIMEOUT=10 is this; more where everything is slower, as with a sanitizer.
our $SLOW    = ($ENV{WSB_TIMEOUT} || 10) / 10;
our $TIMEOUT = 30 * $SLOW;

my %living;


# the configuration that the tests start from; other locations are
# added by minimal(server => '...', zone => 'zone=events:8m')

sub minimal {
    my (%o) = @_;

    my $zone   = $o{zone}   // 'zone=events:8m';
    my $listen = $o{listen} // '';
    my $http   = $o{http}   // '';
    my $server = $o{server} // '';

    return <<"END";
        ws_bus_zone $zone;
        $http
        server {
            listen 127.0.0.1:%%PORT%% $listen;
            location /ws      { ws_bus events; }
            location /publish { ws_bus_publish events; }
            location /status  { ws_bus_status; }
            $server
        }
END
}


sub module { $ENV{WSB_MODULE} || "$ROOT/build/ngx_http_ws_bus_module.so" }

sub binary {
    return $ENV{WSB_NGINX} if $ENV{WSB_NGINX};

    for my $dir (split(/:/, $ENV{PATH} // ''), '/usr/sbin', '/sbin') {
        return "$dir/nginx" if -x "$dir/nginx";
    }

    return 'nginx';
}


sub load_module {
    return '' if $ENV{WSB_STATIC};
    return 'load_module ' . module() . ';';
}


# http      text of the http block
# main      more lines for the main level
# events    more lines for the events block
# conf      the whole file instead of the three
# workers   worker_processes (1); WSB_WORKERS overrides it unless
#           fixed_workers is true
# bare      no load_module
# own_log   the http block says its own access_log
# nofile    the soft limit of file descriptors

sub new {
    my ($class, %o) = @_;

    my $self = bless {
        workers => 1,
        allow   => [],
        clients => [],
        owner   => $$,
        %o,
    }, $class;

    if ($ENV{WSB_WORKERS} && !$self->{fixed_workers}) {
        $self->{workers} = $ENV{WSB_WORKERS};
    }

    $self->{prefix} = tempdir('wsbus-XXXXXXXX', TMPDIR => 1);
    make_path("$self->{prefix}/tmp", "$self->{prefix}/html");
    chmod 0755, $self->{prefix};

    $self->new_ports;

    $living{$self + 0} = $self;
    weaken($living{$self + 0});

    return $self;
}


# outside the range of ephemeral ports: no client of another test takes one

sub free_ports {
    my ($n) = @_;

    my @held;

    for (1 .. 2000) {
        last if @held == $n;
        my $s = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1',
            LocalPort => 10240 + int(rand(21_000)),
            Listen    => 1,
        ) or next;
        push @held, $s;
    }

    die "no free ports\n" if @held != $n;

    return map { $_->sockport } @held;
}


# an address of this machine that is not loopback; nothing if there is none

sub own_address {
    my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '198.51.100.1',
                                  PeerPort => 9) or return;
    my $address = $s->sockhost;
    return $address =~ /^(?:127\.|0\.)/ ? undef : $address;
}


sub new_ports { $_[0]{ports} = [ free_ports(6) ] }

sub port   { $_[0]{ports}[ $_[1] // 0 ] }
sub prefix { $_[0]{prefix} }
sub pid    { $_[0]{pid} }
sub file   { "$_[0]{prefix}/$_[1]" }

sub url {
    my ($self, $path, $n) = @_;
    return 'http://127.0.0.1:' . $self->port($n) . ($path // '/');
}


sub expand {
    my ($self, $text) = @_;

    $text =~ s/%%PORT(\d*)%%/$self->{ports}[ $1 || 0 ]/ge;
    $text =~ s/%%PREFIX%%/$self->{prefix}/g;
    $text =~ s/%%MODULE%%/module()/ge;

    return $text;
}


sub conf {
    my ($self) = @_;

    return $self->expand($self->{conf}) if defined $self->{conf};

    my $load = $self->{bare} ? '' : load_module();
    my $ev   = $self->events;
    $load .= $self->level_module if $ev =~ /\buse level\b/;
    my $user = $> == 0 ? 'user root;' : '';
    my $main = $self->{main} // '';
    $main .= ' master_process off;' if $ENV{WSB_SINGLE};
    my $log  = $self->{own_log} ? '' : 'access_log off;';

    return $self->expand(<<"END");
$load
$user
daemon off;
pid %%PREFIX%%/nginx.pid;
lock_file %%PREFIX%%/nginx.lock;
error_log %%PREFIX%%/error.log info;
worker_processes $self->{workers};
$main
events { $ev }
http {
    $log
    client_body_temp_path %%PREFIX%%/tmp/body;
    proxy_temp_path       %%PREFIX%%/tmp/proxy;
    fastcgi_temp_path     %%PREFIX%%/tmp/fastcgi;
    uwsgi_temp_path       %%PREFIX%%/tmp/uwsgi;
    scgi_temp_path        %%PREFIX%%/tmp/scgi;
$self->{http}
}
END
}


sub events {
    my ($self) = @_;

    my $ev = $self->{events} // '';
    $ev = "worker_connections 1024; $ev" if $ev !~ /worker_connections/;
    $ev = "use $ENV{WSB_EVENTS}; $ev" if $ENV{WSB_EVENTS} && $ev !~ /\buse\b/;

    return $ev;
}


# Makes "use level;" known, whatever methods this nginx was built with; made
# for the headers that the module itself was made for.

sub level_module {
    my ($self) = @_;

    my $so = $self->file('level.so');

    if (!-e $so) {
        my ($make) = grep { -e } dirname(module()) . '/nginx/Makefile',
                                 "$ROOT/build/nginx/Makefile",
                                 glob("$ROOT/build/*/nginx/Makefile");
        my $tree   = $ENV{NGINX_SRC} || '/usr/share/nginx/src';
        my ($incs) = slurp($make // '') =~ /^ALL_INCS = (.*?[^\\])\n/ms
            or die "no headers of nginx\n";
        my @incs   = map { m{^/} ? $_ : "$tree/$_" }
                     grep { /^[^-\\]/ } split ' ', $incs;
        my @rc     = run(60, 'gcc', '-shared', '-fPIC', '-O1', '-o', $so,
                         map({ "-I$_" } @incs),
                         "$ROOT/t/lib/WSBus/level.c");
        die "gcc: $rc[1]\n" if $rc[0] != 0;
    }

    return "load_module $so;";
}


sub write_file {
    my ($self, $name, $text) = @_;

    open my $fh, '>:raw', $self->file($name) or die "$name: $!\n";
    print $fh $text;
    close $fh or die "$name: $!\n";

    return $self->file($name);
}


sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or return '';
    local $/;
    return scalar(<$fh>) // '';
}


sub error_log { slurp($_[0]->file('error.log')) }

# an own certificate for 127.0.0.1: %%PREFIX%%/cert.pem and key.pem

sub certificate {
    my ($self) = @_;

    my $p = $self->{prefix};
    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
           . " -nodes -days 30 -subj /CN=localhost -keyout $p/key.pem"
           . " -out $p/cert.pem >$p/openssl.log 2>&1") == 0
        or die "openssl: " . slurp("$p/openssl.log");

    return $self;
}


# as many seconds, or more where all is slower

sub patience { return ($_[0] // 10) * $SLOW }

# waits until the code says true; nothing, once the time is over: three times
# what is reckoned with

sub await {
    my ($code, $timeout) = @_;

    my $end = time + 3 * patience($timeout);

    while (1) {
        my $rc = $code->();
        return $rc if $rc;
        return if time > $end;
        sleep(0.01);
    }
}


sub accepts {
    my ($port) = @_;
    return defined IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1);
}


sub spawn {
    my ($self, @args) = @_;

    my @cmd = (binary(), '-p', "$self->{prefix}/", '-c', 'nginx.conf',
               '-e', 'error.log', @args);

    unshift @cmd, '/bin/sh', '-c', 'ulimit -Sn "$0" && exec "$@"',
        $self->{nofile} if $self->{nofile};

    # should this process die, nginx does not outlive it
    unshift @cmd, '/usr/bin/setpriv', '--pdeathsig', 'TERM', '--'
        if -x '/usr/bin/setpriv';

    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN,  '<',  '/dev/null';
        # what it says before it has its log goes there as well
        open STDOUT, '>>', $self->file('error.log');
        open STDERR, '>>', $self->file('error.log');
        $ENV{ASAN_OPTIONS} //= 'detect_leaks=0';
        $ENV{UBSAN_OPTIONS} //= 'print_stacktrace=1';
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }

    return $pid;
}


sub start {
    my ($self) = @_;

    for my $try (1 .. 5) {
        my $conf  = $self->write_file('nginx.conf', my $text = $self->conf);
        my @ports = $text =~ /^[^#\n]*?listen\s+127\.0\.0\.1:(\d+)/mg;

        $self->{pid} = $self->spawn;

        my $state = await(sub {
            return 'died' if !$self->running;
            shift @ports while @ports && accepts($ports[0]);
            return if @ports || !$self->all_workers;
            return 'up';
        }) // 'silent';

        return $self if $state eq 'up';

        my $log = $self->error_log;
        $self->stop('TERM', 5);

        if ($state eq 'died' && $log =~ /Address already in use/ && $try < 5) {
            unlink $self->file('error.log');
            $self->new_ports;
            next;
        }

        push @{ $self->{allow} }, qr/./;
        die "nginx did not start ($state):\n$log\n";
    }
}


# start(), with functions of libc replaced by those of this C source, which
# may look at *shim_value: 0 at first. What is returned sets it.

my $SHIM = <<'END';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

static long            shim_none;
static volatile long  *shim_value = &shim_none;

__attribute__((constructor)) static void
shim_init(void)
{
    int          fd;
    const char  *path = getenv("WSB_SHIM");

    if (path != NULL && (fd = open(path, O_RDONLY)) != -1) {
        void  *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

        if (p != MAP_FAILED) {
            shim_value = p;
        }
    }
}

END

sub start_with {
    my ($self, $source) = @_;

    my $file = $self->write_file('shim.c', $SHIM . $source);
    my $so   = $self->file('shim.so');
    my @rc   = run(30, 'gcc', '-shared', '-fPIC', '-O1', '-o', $so, $file,
                   '-ldl');
    die "gcc: $rc[1]\n" if $rc[0] != 0;

    my $value = $self->write_file('shim', pack('q', 0) . "\0" x 4088);

    local $ENV{WSB_SHIM}     = $value;
    local $ENV{LD_PRELOAD}   = join ' ', $so, $ENV{LD_PRELOAD} // ();
    local $ENV{ASAN_OPTIONS} = join ':', 'detect_leaks=0',
        'verify_asan_link_order=0', $ENV{ASAN_OPTIONS} // ();

    $self->start;

    return sub {
        open my $fh, '+<:raw', $value or die "$value: $!\n";
        print $fh pack 'q', $_[0];
        close $fh or die "$value: $!\n";
    };
}


sub running {
    my ($self) = @_;

    return 0 if !$self->{pid};

    if (waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
        $self->{exit} = $?;
        delete $self->{pid};
        return 0;
    }

    return 1;
}


sub children {
    my ($pid) = @_;

    my $list = slurp("/proc/$pid/task/$pid/children");
    return split ' ', $list if length $list;

    my @pids;
    for my $stat (glob '/proc/[0-9]*/stat') {
        push @pids, $1 if slurp($stat) =~ /^(\d+) \(.*\) \S (\d+) /s
                          && $2 == $pid;
    }
    return @pids;
}


sub title { my ($t) = split /\0/, slurp("/proc/$_[0]/cmdline"), 2; $t // '' }


# the workers that serve; those that drain are in draining_pids

sub worker_pids {
    my ($self) = @_;
    return if !$self->{pid};
    return $self->{pid} if $ENV{WSB_SINGLE};
    my @pids = sort { $a <=> $b }
               grep { title($_) =~ /^nginx: worker process\s*$/ }
               children($self->{pid});
    return @pids;
}


sub draining_pids {
    my ($self) = @_;
    return if !$self->{pid};
    my @pids = grep { title($_) =~ /^nginx: worker process is shutting down/ }
               children($self->{pid});
    return @pids;
}


sub all_workers {
    my ($self) = @_;

    my $n = $self->worker_pids;

    return $n > 0 if defined $self->{conf} || $self->{workers} eq 'auto'
                     || $ENV{WSB_SINGLE};
    return $n == $self->{workers};
}


# the inodes of what is listened to at our ports

sub listens {
    my ($self, $pid) = @_;

    my %port = map { $_ => 1 } @{ $self->{ports} };
    my %inode;

    for my $line (split /\n/, slurp('/proc/net/tcp')) {
        my @f = split ' ', $line;
        next if @f < 10 || $f[3] ne '0A';
        my ($hex) = $f[1] =~ /:([0-9A-F]{4})$/ or next;
        $inode{ $f[9] } = 1 if $port{ hex $hex };
    }

    for my $fd (glob "/proc/$pid/fd/*") {
        my $to = readlink $fd // next;
        return 1 if $to =~ /^socket:\[(\d+)\]/ && $inode{$1};
    }

    return 0;
}


# sends HUP and waits until the new generation alone accepts connections;
# with http => text the configuration is changed before

sub reload {
    my ($self, %o) = @_;

    @$self{ keys %o } = values %o;

    my @old = $self->worker_pids;

    $self->write_file('nginx.conf', $self->conf);
    kill 'HUP', $self->{pid};

    my %old = map { $_ => 1 } @old;

    my $done = await(sub {
        return if !$self->all_workers;
        return if grep { $old{$_} } $self->worker_pids;
        return if grep { -d "/proc/$_" && $self->listens($_) } @old;
        return 1;
    });

    Test::More::diag("the reload did not happen:\n" . $self->error_log)
        if !$done;

    return $done;
}


# sends HUP with a configuration that is to be refused: what the error log says

sub reload_refused {
    my ($self, %o) = @_;

    my %was;
    @was{ keys %o } = @$self{ keys %o };
    @$self{ keys %o } = values %o;

    my $from = length $self->error_log;
    my @old  = $self->worker_pids;

    $self->write_file('nginx.conf', $self->conf);
    kill 'HUP', $self->{pid};

    my $said = await(sub {
        my $log = substr $self->error_log, $from;
        return $log if $log =~ /\[emerg\].*\n/;
        return $log if join(' ', $self->worker_pids) ne join(' ', @old);
        return;
    }) // '';

    @$self{ keys %was } = values %was;
    $self->write_file('nginx.conf', $self->conf);

    return $said;
}


# lines that are expected in this test

sub allow {
    my ($self, @re) = @_;
    push @{ $self->{allow} }, @re;
    return $self;
}


sub kill_worker {
    my ($self, $pid, $signal) = @_;

    grep { $_ == $pid } children($self->{pid}) or die "$pid is no worker\n";

    $self->allow(qr/worker process $pid exited on signal 9/);
    $self->allow(qr/shared memory zone .* was locked by $pid/);

    return kill $signal // 'KILL', $pid;
}


# waits for a line of the error log; from is a length taken before

sub await_log {
    my ($self, $re, $from, $timeout) = @_;
    return await(sub { substr($self->error_log, $from // 0) =~ $re }, $timeout);
}


sub quit {
    my ($self) = @_;
    kill 'QUIT', $self->{pid} if $self->{pid};
    return $self;
}


# clean, forced or gone

sub stop {
    my ($self, $signal, $timeout) = @_;

    return $self->{stopped} // 'gone' if !$self->running;

    my @workers = children($self->{pid});
    my $pid     = $self->{pid};

    kill $signal, $pid;

    if (await(sub { !$self->running }, $timeout)) {
        return $self->{stopped} = 'clean';
    }

    $self->{stuck} = join "\n", map { "$_ " . title($_) } children($pid);
    push @workers, children($pid);

    kill 'TERM', $pid;

    if (!await(sub { !$self->running }, 5)) {
        kill 'KILL', $pid;
        await(sub { !$self->running }, 5);
    }

    for my $worker (@workers) {
        kill 'KILL', $worker if title($worker) =~ /^nginx: /;
    }

    return $self->{stopped} = 'forced';
}


sub alarms {
    my ($self) = @_;

    my @bad = grep {
        /\[(?:alert|emerg|crit)\]/
            || /ERROR: \w+Sanitizer/
            || /runtime error:/
    } split /\n/, $self->error_log;

    # nginx itself copies nothing from nowhere; its files have a relative path
    @bad = grep { !m{^src/\S+ runtime error: null pointer passed as arg} } @bad;

    for my $re (@{ $self->{allow} }) {
        @bad = grep { $_ !~ $re } @bad;
    }

    return @bad;
}


# a client is closed before nginx is told to quit

sub register {
    my ($self, $client) = @_;
    push @{ $self->{clients} }, $client;
    weaken($self->{clients}[-1]);
    return;
}


# the two tests that close each file

sub finish {
    my ($self) = @_;

    return if $self->{finished}++;

    for my $client (@{ $self->{clients} }) {
        $client->close_all if $client;
    }

    my $how = $self->stop('QUIT', 20);

    Test::More::isnt($how, 'forced', 'nginx stops when it is told to quit')
        or Test::More::diag("still there:\n$self->{stuck}");

    my @bad = $self->alarms;

    Test::More::is(scalar @bad, 0, 'no alarm in the error log')
        or Test::More::diag(join "\n", @bad[ 0 .. ($#bad < 19 ? $#bad : 19) ]);

    $self->clean;

    return;
}


sub clean {
    my ($self) = @_;

    return if $self->{cleaned}++;

    if ($ENV{WSB_KEEP}) {
        Test::More::diag("kept $self->{prefix}");
        return;
    }

    File::Path::remove_tree($self->{prefix}, { safe => 0 });

    return;
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;

    local ($?, $@, $!);

    $self->stop('QUIT', 5);
    $self->clean;

    return;
}


END {
    my $status = $?;

    for my $self (grep { $_ && $_->{owner} == $$ && !$_->{finished} }
                  values %living)
    {
        $self->stop('QUIT', 5);

        if (my @bad = $self->alarms) {
            Test::More::diag(join "\n", 'in the error log:', @bad);
            $status ||= 1;
        }

        $self->clean;
    }

    $? = $status;
}


# runs a command: its exit status and what it said

sub run {
    my ($timeout, @cmd) = @_;

    my $file = File::Temp->new;
    my $pid  = fork() // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', "$file";
        open STDERR, '>&', \*STDOUT;
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }

    my $status;
    await(sub {
        return if waitpid($pid, WNOHANG) != $pid;
        $status = $?;
        return 1;
    }, $timeout);

    if (!defined $status) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
        return (-1, slurp("$file") . "\ntimed out");
    }

    return ($status & 127 ? -1 : $status >> 8, slurp("$file"));
}


# nginx -t of a configuration: (status, output); takes what new() takes

sub test_config {
    my ($class, %o) = @_;

    my $self = $class->new(%o);
    $self->{finished} = 1;

    $self->write_file('nginx.conf', $self->conf);

    my @rc = run(20, binary(), '-t', '-p', "$self->{prefix}/",
                 '-c', 'nginx.conf', '-e', 'error.log');

    $self->clean;

    return @rc;
}


sub version {
    my (undef, $out) = run(10, binary(), '-V');
    return $out;
}


# memory that is not used is kept to find mistakes: what a process has says
# nothing then

sub sanitized {
    return $ENV{WSB_SANITIZED} || version() =~ /-fsanitize|NGX_DEBUG_PALLOC/;
}


1;
