# SPDX-License-Identifier: BSD-2-Clause

package WSBus::Example;

# An nginx that runs a configuration of conf.example, on ports of its own.

use strict;
use warnings;

use WSBus::Nginx;


# The whole nginx.conf with this example in it.

sub text {
    my ($name) = @_;

    my $folder = "$WSBus::Nginx::ROOT/conf.example";
    my $text   = WSBus::Nginx::slurp("$folder/nginx.conf");
    my $http   = WSBus::Nginx::slurp("$folder/$name");
    die "no example $name\n" if !length $http;

    $text =~ s{^ *include minimal\.conf;\n}{$http}m
        or die "nginx.conf includes no example\n";

    return $text;
}


# name, workers, and change: code that gets the text in $_. The example's
# first "listen" becomes port 0, the second port 1 and so on

sub nginx {
    my ($name, %o) = @_;

    local $_ = text($name);

    my $load = WSBus::Nginx::load_module();
    my $user = $> == 0 ? 'user root;' : '';
    my $port = 0;

    s{^load_module .*;$}{$load}m;
    s{^(\s*listen\s+)(?:127\.0\.0\.1:)?\d+}
     {$1 . '127.0.0.1:%%PORT' . ($port++ || '') . '%%'}gme;
    s{/var/log/nginx/}{%%PREFIX%%/}g;
    s{^worker_processes .*$}{worker_processes $o{workers};}m;
    s{^http \{}{http \{
    access_log %%PREFIX%%/access.log;
    client_body_temp_path %%PREFIX%%/tmp/body;
    proxy_temp_path       %%PREFIX%%/tmp/proxy;
    fastcgi_temp_path     %%PREFIX%%/tmp/fastcgi;
    uwsgi_temp_path       %%PREFIX%%/tmp/uwsgi;
    scgi_temp_path        %%PREFIX%%/tmp/scgi;}m;

    $o{change}->() if $o{change};

    return WSBus::Nginx->new(conf => <<"END");
$user
daemon off;
pid %%PREFIX%%/nginx.pid;
lock_file %%PREFIX%%/nginx.lock;
error_log %%PREFIX%%/error.log info;
$_
END
}


1;
