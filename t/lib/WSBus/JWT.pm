# SPDX-License-Identifier: BSD-2-Clause

package WSBus::JWT;

# Keys and tokens, made by the openssl command: nothing of what is tested.

use strict;
use warnings;

use Digest::SHA ();
use File::Temp qw(tempdir);
use MIME::Base64 qw(encode_base64url decode_base64);
use Mojo::JSON qw(encode_json);

use WSBus::Nginx;

my $dir = tempdir('wsbus-jwt-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
my $n   = 0;

my %make = (
    'rsa'     => 'genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048',
    'rsa1024' => 'genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024',
    'p256'    => 'genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256',
    'p384'    => 'genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384',
    'p521'    => 'genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521',
    'k1'      => 'genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1',
    'ed25519' => 'genpkey -algorithm ED25519',
    'ed448'   => 'genpkey -algorithm ED448',
);


sub openssl {
    my ($command) = @_;
    my $out = `openssl $command 2>$dir/err`;
    die "openssl $command: " . WSBus::Nginx::slurp("$dir/err") if $?;
    return $out;
}

sub b64 { return encode_base64url($_[0]) }


# a key of a type: its private key is in a file

sub key {
    my ($class, $type, %o) = @_;

    my $self = bless { type => $type, %o }, $class;

    if ($type eq 'oct') {
        $self->{secret} //= Digest::SHA::sha256_hex("a secret $n") x 2;
        $n++;
    } else {
        $self->{file} = "$dir/" . $n++ . '.pem';
        openssl("$make{$type} -out $self->{file}");
    }

    return $self;
}


# the public key in PEM; a secret as it is

sub pem {
    my ($self) = @_;
    return $self->{secret} if $self->{type} eq 'oct';
    return openssl("pkey -in $self->{file} -pubout");
}

sub private { return WSBus::Nginx::slurp($_[0]{file}) }

sub certificate {
    return openssl("req -x509 -new -key $_[0]{file} -subj /CN=jwt -days 30");
}


# the public key as a JWK, with more members

sub jwk {
    my ($self, %more) = @_;

    return { kty => 'oct', k => b64($self->{secret}), %more }
        if $self->{type} eq 'oct';

    my $der = openssl("pkey -in $self->{file} -pubout -outform DER");

    if ($self->{type} =~ /^rsa/) {
        my ($n) = openssl("rsa -in $self->{file} -noout -modulus")
                  =~ /Modulus=(\w+)/;
        return { kty => 'RSA', n => b64(pack 'H*', $n), e => 'AQAB', %more };
    }

    if ($self->{type} =~ /^ed(\d+)/) {
        return { kty => 'OKP', crv => "Ed$1",
                 x => b64(substr $der, $1 == 448 ? -57 : -32), %more };
    }

    my %curve = (p256 => [ 'P-256', 32 ], p384 => [ 'P-384', 48 ],
                 p521 => [ 'P-521', 66 ], k1 => [ 'secp256k1', 32 ]);
    my ($crv, $size) = @{ $curve{ $self->{type} } };
    my $point = substr $der, -2 * $size;

    return { kty => 'EC', crv => $crv, x => b64(substr $point, 0, $size),
             y => b64(substr $point, $size), %more };
}

sub jwks { return encode_json({ keys => [ @_ ] }) }


# the bytes of a signature

sub sign {
    my ($self, $alg, $input) = @_;

    my ($kind, $bits) = $alg =~ /^(..)(\d+)$/ or ($alg eq 'EdDSA')
        or die "what is $alg?\n";

    if (($kind // '') eq 'HS') {
        no strict 'refs';
        return &{"Digest::SHA::hmac_sha$bits"}($input, $self->{secret});
    }

    my $file = "$dir/input";
    open my $fh, '>:raw', $file or die "$file: $!\n";
    print $fh $input;
    close $fh or die "$file: $!\n";

    return openssl("pkeyutl -sign -rawin -inkey $self->{file} -in $file")
        if $alg eq 'EdDSA';

    my $pss = $kind eq 'PS' ? '-sigopt rsa_padding_mode:pss -sigopt'
                              . ' rsa_pss_saltlen:digest' : '';
    my $sig = openssl("dgst -sha$bits $pss -sign $self->{file} $file");

    return $sig if $kind ne 'ES';

    # the two integers of the DER, each in full length
    my $size = { 256 => 32, 384 => 48, 512 => 66 }->{$bits};
    my $p    = (unpack 'xC', $sig) > 127 ? 3 : 2;
    my $raw  = '';

    for (1 .. 2) {
        my ($len) = unpack "x${p}xC", $sig;
        my $int = substr $sig, $p + 2, $len;
        $int =~ s/^\0+//;
        $raw .= ("\0" x ($size - length $int)) . $int;
        $p += 2 + $len;
    }

    return $raw;
}


# header and claims are structures, or bytes as they are

sub compact {
    my ($self, $alg, $header, $claims) = @_;

    my $input = join '.', map { b64(ref $_ ? encode_json($_) : $_) }
                $header, $claims;

    return "$input." . b64($self->sign($alg, $input));
}


# a token with these claims, and exp in an hour unless they say otherwise

sub token {
    my ($self, $alg, $claims, %header) = @_;

    if (ref $claims) {
        $claims = { exp => time + 3600, %$claims };
        delete $claims->{exp} if !defined $claims->{exp};
    }

    return $self->compact($alg, { alg => $alg, typ => 'JWT', %header },
                          $claims // { exp => time + 3600 });
}


1;
