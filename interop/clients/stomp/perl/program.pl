# The scenarios with Perl's Net::Stomp, which speaks STOMP 1.0: program.pl HOST PORT PREFIX
use strict;
use warnings;
use utf8;
use JSON::PP;
use Encode qw(encode_utf8 decode_utf8);
use Net::Stomp;

my ($host, $port, $prefix) = @ARGV;
my $patience = 20;
my $json = JSON::PP->new->canonical->utf8;
$| = 1;

sub connected {
    my (%more) = @_;
    my $client = Net::Stomp->new({ hostname => $host, port => $port, reconnect_on_fork => 0 });
    my $answer = $client->connect({ login => 'guest', passcode => 'guest', %more });
    return ($client, $answer);
}

sub queue { return "/queue/$prefix$_[0]" }

sub receive {
    my ($client) = @_;
    while (1) {
        $client->can_read({ timeout => $patience }) or die "nothing came\n";
        my $frame = $client->receive_frame or die "the connection ended\n";
        return $frame if $frame->command ne 'RECEIPT';
    }
}

my @scenarios = (
    'refused login' => sub {
        my ($client, $answer) = connected(passcode => 'wrong');
        return $answer->headers->{message};
    },
    'headers' => sub {
        my ($c) = connected();
        $c->subscribe({ destination => queue('headers'), id => 'h' });
        $c->send({
            destination => queue('headers'), body => encode_utf8('käse'), colon => 'a:b',
            umlaut => encode_utf8('ü'), 'correlation-id' => 'c1', 'content-type' => 'text/plain',
        });
        my $m = receive($c);
        $c->disconnect;
        return [map { decode_utf8($_) } $m->body, @{ $m->headers }{qw(umlaut correlation-id content-type)}];
    },
    'binary' => sub {
        my ($c) = connected();
        my $body = join '', map { chr } 0 .. 255;
        $c->subscribe({ destination => queue('binary'), id => 'b' });
        $c->send({ destination => queue('binary'), body => $body, bytes_message => 1 });
        my $m = receive($c);
        $c->disconnect;
        return $m->body eq $body ? JSON::PP::true : JSON::PP::false;
    },
    'receipts' => sub {
        my ($c) = connected();
        my $count = 0;
        for my $number (1 .. 100) {
            $count += $c->send_with_receipt(
                { destination => queue('receipts'), body => $number, persistent => 'true' },
                { timeout => $patience });
        }
        $c->disconnect;
        return $count;
    },
    'redelivery' => sub {
        my ($c) = connected();
        $c->send({ destination => queue('redelivery'), body => 'm' });
        $c->subscribe({ destination => queue('redelivery'), id => 'r', ack => 'client' });
        my $first = receive($c);
        $c->disconnect;
        ($c) = connected();
        $c->subscribe({ destination => queue('redelivery'), id => 'r', ack => 'client' });
        my $second = receive($c);
        $c->ack({ frame => $second });
        $c->disconnect;
        return [map { $_->headers->{redelivered} } $first, $second];
    },
    'nack' => sub {
        my ($c) = connected();
        $c->subscribe({ destination => queue('nack'), id => 'n', ack => 'client' });
        $c->send({ destination => queue('nack'), body => 'm' });
        $c->nack({ frame => receive($c) });
        my $again = receive($c);
        $c->ack({ frame => $again });
        $c->disconnect;
        return $again->headers->{redelivered};
    },
    'transactions' => sub {
        my ($c) = connected();
        my $frame = sub {
            my ($command, %headers) = @_;
            my $body = delete $headers{body};
            $c->send_frame(Net::Stomp::Frame->new(
                { command => $command, headers => \%headers, body => $body }));
        };
        $frame->('BEGIN', transaction => 't1');
        $frame->('SEND', transaction => 't1', destination => queue('transactions'), body => 'aborted');
        $frame->('ABORT', transaction => 't1');
        $frame->('BEGIN', transaction => 't2');
        $frame->('SEND', transaction => 't2', destination => queue('transactions'), body => $_) for 1, 2;
        $frame->('COMMIT', transaction => 't2');
        $c->subscribe({ destination => queue('transactions'), id => 't' });
        my @bodies = map { receive($c)->body } 1, 2;
        $c->disconnect;
        return \@bodies;
    },
    'topic' => sub {
        my ($c) = connected();
        $c->subscribe({ destination => "/topic/${prefix}a.*", id => 'one' });
        $c->subscribe({ destination => "/topic/${prefix}a.#", id => 'all' });
        $c->send({ destination => "/topic/${prefix}a.b", body => 'm' });
        my @seen = sort map { receive($c)->headers->{subscription} } 1, 2;
        $c->disconnect;
        return \@seen;
    },
    'reply' => sub {
        my ($c) = connected();
        my ($server) = connected();
        $server->subscribe({ destination => queue('questions'), id => 'q' });
        $c->send({ destination => queue('questions'), body => 'question',
            'reply-to' => '/temp-queue/answers' });
        $server->send({ destination => receive($server)->headers->{'reply-to'}, body => 'answer' });
        my $m = receive($c);
        $_->disconnect for $c, $server;
        return [$m->body, $m->headers->{subscription}];
    },
    'errors' => sub {
        my ($c) = connected();
        $c->send({ destination => '/nothing/a', body => 'm' });
        my $refused = receive($c);
        $c->subscribe({ destination => queue('errors'), id => 'e' });
        $c->send({ destination => queue('errors'), body => 'still here' });
        my $m = receive($c);
        $c->disconnect;
        return [$refused->headers->{message}, $m->body];
    },
    'in order' => sub {
        my ($c) = connected();
        my ($other) = connected();
        $other->subscribe({ destination => queue('order'), id => 'o', ack => 'client',
            'prefetch-count' => 50 });
        $c->send({ destination => queue('order'), body => $_ }) for 1 .. 2000;
        for my $number (1 .. 2000) {
            my $m = receive($other);
            $m->body eq $number or die $m->body . " where $number was due\n";
            $other->ack({ frame => $m });
        }
        $_->disconnect for $c, $other;
        return 2000;
    },
);

print $json->encode({ library => "Net::Stomp $Net::Stomp::VERSION" }), "\n";
while (my ($name, $scenario) = splice @scenarios, 0, 2) {
    my %said = (scenario => $name);
    eval { $said{seen} = $scenario->(); 1 } or $said{problem} = "$@";
    print $json->encode(\%said), "\n";
}
