# Fetches the first message with Net::POP3 and prints it. Arguments: host port starttls|implicit cafile user password
# USER|APOP|mechanism.
use strict;
use warnings;
use Authen::SASL;
use Net::POP3;

my ($host, $port, $security, $cafile, $user, $password, $mechanism) = @ARGV;
my @tls = (SSL_ca_file => $cafile, SSL_verifycn_name => $host);
my $pop = Net::POP3->new($host, Port => $port, Timeout => 20, $security eq 'implicit' ? (SSL => 1, @tls) : ()) or die "connect: $@";
$pop->starttls(@tls) or die 'stls: ' . $pop->message if $security eq 'starttls';
my $sasl = Authen::SASL->new(mechanism => $mechanism, callback => { user => $user, authname => '', pass => $password });
my $in = $mechanism eq 'USER' ? $pop->login($user, $password) : $mechanism eq 'APOP' ? $pop->apop($user, $password) : $pop->auth($sasl);
defined $in or die 'login: ' . $pop->message;
my $message = $pop->get(1) or die 'get: ' . $pop->message;
binmode STDOUT;
print @$message;
$pop->quit;
