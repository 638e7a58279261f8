# SPDX-License-Identifier: BSD-2-Clause
# Each configuration of conf.example passes nginx -t, both within the
# nginx.conf that stands beside them and in /etc/nginx/conf.d of Debian; so do
# the files that the README shows.

use strict;
use warnings;

use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Example;
use WSBus::Nginx;

my $root = "$FindBin::Bin/..";
my $load = WSBus::Nginx::load_module();

my $temp = join ' ', 'access_log tmp/access.log;',
                map { "${_}_temp_path tmp/$_;" }
                qw(client_body proxy fastcgi uwsgi scgi);

# nginx.conf as Debian and Ubuntu install it, but for the logs

my $debian = <<"END";
user www-data;
worker_processes auto;
pid tmp/nginx.pid;
include modules-enabled/*.conf;

events {
    worker_connections 768;
}

http {
    $temp
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    include mime.types;
    default_type application/octet-stream;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    gzip on;
    include conf.d/*.conf;
    include sites-enabled/*;
}
END


# files: name => text, below the directory of nginx.conf

sub passes {
    my ($what, %files) = @_;

    for (values %files) {
        s{^load_module\s+modules/ngx_http_ws_bus_module\.so;}{$load}m;
        s{/var/(?:cache|log)/nginx/}{tmp/}g;
    }

    $files{'jwt.key'}    = 'a secret of the tests only, ' x 2;
    $files{'mime.types'} = "types { text/html html; }\n";

    my $nginx = WSBus::Nginx->new(conf => $files{'nginx.conf'});
    $nginx->{finished} = 1;
    $nginx->certificate if grep { /ssl_certificate/ } values %files;

    for my $name (keys %files) {
        make_path(dirname($nginx->file($name)));
        $nginx->write_file($name, $files{$name});
    }

    my ($rc, $out) = WSBus::Nginx::run(
        20, WSBus::Nginx::binary(), '-t', '-p', $nginx->prefix . '/',
        '-c', 'nginx.conf', '-e', 'error.log');

    # only root can be another user
    $out =~ s/^.*\[warn\].*"user" directive.*\n//mg;

    is($rc, 0, "$what passes nginx -t") or diag($out);
    unlike($out, qr/\[(?:warn|alert|crit)\]/, "$what without a warning");

    $nginx->clean;

    return;
}


my @examples = grep { $_ ne 'nginx.conf' }
               map { basename($_) } sort glob "$root/conf.example/*.conf";

cmp_ok(scalar @examples, '>', 0, 'there are examples');

for my $name (@examples) {
    my $text = WSBus::Nginx::slurp("$root/conf.example/$name");

    unlike($text, qr/^(?:http|events|load_module|worker_\w+|user|pid)\b/m,
           "$name has what stands in http");

    (my $whole = WSBus::Example::text($name))
        =~ s/^http \{$/pid tmp\/nginx.pid;\nhttp { $temp/m;

    passes($name, 'nginx.conf' => $whole);

    passes("$name in conf.d", 'nginx.conf' => $debian,
           'modules-enabled/50-mod-http-ws-bus.conf' =>
               "load_module modules/ngx_http_ws_bus_module.so;\n",
           "conf.d/$name" => $text);
}


my $readme = WSBus::Nginx::slurp("$root/README.md");
my %debian = $readme =~ /^```nginx\n# \/etc\/nginx\/(\S+)\n(.*?)^```/msg;

is(join(' ', sort keys %debian), 'conf.d/ws_bus.conf '
   . 'modules-enabled/50-mod-http-ws-bus.conf sites-available/example',
   'the README shows the files of Debian');

$debian{'sites-enabled/example'} = $debian{'sites-available/example'};

passes('the README on Debian', %debian, 'nginx.conf' => $debian);

my ($whole) = $readme =~ /^```nginx\n(load_module .*?)^```/ms;

like($whole, qr/^http \{/m, 'the README shows the whole nginx.conf');

$whole =~ s/^http \{$/pid tmp\/nginx.pid;\nhttp { $temp/m;

passes('the nginx.conf of the README', 'nginx.conf' => $whole);

done_testing;
