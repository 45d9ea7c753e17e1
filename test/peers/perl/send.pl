# Submits a message with Net::SMTP. Arguments: host port starttls|implicit cafile user password mechanism reverse-path
# recipient. The message comes on standard input with LF line ends.
use strict;
use warnings;
use Authen::SASL;
use Net::SMTP;

my ($host, $port, $security, $cafile, $user, $password, $mechanism, $from, $to) = @ARGV;
my @tls = (SSL_ca_file => $cafile, SSL_verifycn_name => $host);
my $smtp = Net::SMTP->new($host, Port => $port, Hello => 'perl.test', Timeout => 20, $security eq 'implicit' ? (SSL => 1, @tls) : ())
    or die "connect: $@";
$smtp->starttls(@tls) or die 'starttls: ' . $smtp->message if $security eq 'starttls';
my $sasl = Authen::SASL->new(mechanism => $mechanism, callback => { user => $user, authname => '', pass => $password });
$smtp->auth($sasl) or die 'auth: ' . $smtp->message;
$smtp->mail($from, Bits => 8) or die 'mail: ' . $smtp->message;
$smtp->to($to) or die 'rcpt: ' . $smtp->message;
binmode STDIN;
$smtp->data([<STDIN>]) or die 'data: ' . $smtp->message;
$smtp->quit;
