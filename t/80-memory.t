# SPDX-License-Identifier: BSD-2-Clause
# What an idle plain connection costs its worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw(decode_json);
use Test::More;

use WSBus::Nginx;
use WSBus::Raw;

my $COUNT = 5000;
my $LIMIT = 1.3 * 1024;

# the soft limit of open files may be below what is allowed

BEGIN {
    if (!$ENV{WSB_FILES_RAISED}) {
        $ENV{WSB_FILES_RAISED} = 1;
        exec 'bash', '-c', 'ulimit -n "$(ulimit -H -n)"; exec "$0" "$@"',
             $^X, $0, @ARGV;
    }
}

chomp(my $files = `bash -c 'ulimit -n'`);
$files = 1 << 20 if $files !~ /^\d+$/;
$COUNT = $files - 200 if $files < $COUNT + 200;

# with less than a sixteenth free, nginx closes those that wait
my $connections = int($COUNT * 1.1) + 100;
my $rlimit      = $connections + 100;
$rlimit = $files if $rlimit > $files;

my $nginx = WSBus::Nginx->new(
    workers       => 1,
    fixed_workers => 1,
    main          => "worker_rlimit_nofile $rlimit;",
    events        => "worker_connections $connections;",
    http          => WSBus::Nginx::minimal(listen => 'backlog=4096'),
)->start;

my ($worker) = $nginx->worker_pids;


sub memory {
    my $text = WSBus::Nginx::slurp("/proc/$worker/smaps_rollup");
    my %kb   = $text =~ /^(\w+):\s+(\d+) kB/mg;
    return map { ($kb{$_} // 0) * 1024 } qw(Rss Private_Dirty);
}

# as many as were opened; each as a browser asks

sub idle {
    my ($n) = @_;

    my $request = WSBus::Raw::request(headers => [
        Origin            => 'http://127.0.0.1',
        'User-Agent'      => 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) '
                             . 'Gecko/20100101 Firefox/128.0',
        Accept            => '*/*',
        'Accept-Language' => 'en-US,en;q=0.5',
        'Accept-Encoding' => 'gzip, deflate, br, zstd',
        'Cache-Control'   => 'no-cache',
    ]);

    my @all;

    while (@all < $n) {
        my @some = map { WSBus::Raw->new($nginx->port) } 1 .. 50;
        $_->write($request) for @some;
        for my $raw (@some) {
            die "no 101\n"     if $raw->response->{status} != 101;
            die "no welcome\n" if $raw->read_json->{type} ne 'welcome';
        }
        push @all, @some;
    }

    return \@all;
}

sub nobody {
    my $raw = WSBus::Raw->new($nginx->port);
    $raw->write("GET /status HTTP/1.1\r\nHost: a\r\n"
                . "Connection: close\r\n\r\n");
    my $json = eval { decode_json($raw->response->{body}) } or return;
    return $json->{zones}[0]{workers}[0]{connections} == 0;
}

sub report {
    my ($what, $bytes) = @_;

    if (WSBus::Nginx::sanitized()) {
        pass("$what: not judged with a sanitizer");
        return;
    }

    cmp_ok($bytes, '<=', $LIMIT, "$what: at most 1.3 KB");
}


# what the first connections touch once is not the cost of one

$_->close for @{ idle(100) };

ok(WSBus::Nginx::await(\&nobody), 'no connection is open');

my ($rss0, $dirty0) = memory();
my $held = idle($COUNT);
my ($rss1, $dirty1) = memory();

my $n     = @$held;
my $rss   = ($rss1 - $rss0) / $n;
my $dirty = ($dirty1 - $dirty0) / $n;

diag(sprintf '%d idle connections: %.0f bytes of private memory each, '
     . '%.0f resident', $n, $dirty, $rss);

cmp_ok($dirty1, '>', $dirty0, 'there is a figure');
report('private memory', $dirty);
report('resident memory', $rss);

ok($held->[$_]->alive, "connection $_ lives") for 0, int($n / 2), $n - 1;


# and gives it back, or keeps it for the next

$_->close for @$held;

ok(WSBus::Nginx::await(\&nobody, 30), 'all are closed');

$held = idle($COUNT);
my ($rss2) = memory();

diag(sprintf 'the second time: %.0f bytes resident each', ($rss2 - $rss0) / $n);

if (WSBus::Nginx::sanitized()) {
    pass('what is kept: not judged with a sanitizer');
} else {
    cmp_ok($rss2 - $rss1, '<', 0.1 * $n * $LIMIT, 'nothing leaks');
}

$_->close for @$held;

$nginx->finish;
done_testing;
