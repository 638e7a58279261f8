# Each configuration of conf.example passes nginx -t.

use strict;
use warnings;

use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use WSBus::Nginx;

my @examples = sort glob "$FindBin::Bin/../conf.example/*.conf";

cmp_ok(scalar @examples, '>', 0, 'there are examples');

for my $path (@examples) {
    my $text = WSBus::Nginx::slurp($path);
    my $name = basename($path);

    my $load = WSBus::Nginx::load_module();

    ok($text =~ s{^load_module\s+modules/ngx_http_ws_bus_module\.so;}{$load}m,
       "$name loads the module");

    $text .= "\npid tmp/nginx.pid;\n" if $text !~ /^\s*pid\s/m;

    # nothing outside the prefix, and whatever has a certificate gets one
    $text =~ s{^(\s*http\s*\{)}{$1
        client_body_temp_path tmp/body; proxy_temp_path tmp/proxy;
        fastcgi_temp_path tmp/fastcgi; uwsgi_temp_path tmp/uwsgi;
        scgi_temp_path tmp/scgi;}m if $text !~ /client_body_temp_path/;

    if ($text !~ /^\s*access_log\s/m) {
        $text =~ s{^(\s*http\s*\{)}{$1 access_log tmp/access.log;}m;
    }

    my $nginx = WSBus::Nginx->new(conf => $text);
    $nginx->{finished} = 1;
    $nginx->certificate if $text =~ /ssl_certificate/;

    for my $pem ($text =~ /^\s*ssl_certificate(?:_key)?\s+([^\$;]+);/mg) {
        my $from = $pem =~ /key/ ? 'key.pem' : 'cert.pem';
        $text =~ s{(\s)\Q$pem\E;}{$1%%PREFIX%%/$from;}g if $pem =~ m{/|\.};
    }

    for my $file ($text =~ /^\s*ws_bus_jwt_key_file\s+([^\s;]+)/mg) {
        $nginx->write_file('jwt.key', 'a secret of the tests only, ' x 2);
        $text =~ s{(\s)\Q$file\E}{$1%%PREFIX%%/jwt.key}g;
    }

    $nginx->{conf} = $text;
    $nginx->write_file('nginx.conf', $nginx->conf);
    mkdir $nginx->file($_) for qw(logs conf);

    for my $inc ($text =~ /^\s*include\s+(mime\.types);/mg) {
        $nginx->write_file($inc, WSBus::Nginx::slurp('/etc/nginx/mime.types'));
    }

    my ($rc, $out) = WSBus::Nginx::run(
        20, WSBus::Nginx::binary(), '-t', '-p', $nginx->prefix . '/',
        '-c', 'nginx.conf', '-e', 'error.log');

    is($rc, 0, "$name passes nginx -t") or diag($out);
    unlike($out, qr/\[(?:warn|alert|crit)\]/, "$name without a warning");

    $nginx->clean;
}

done_testing;
