#!/usr/bin/env perl
# WANT: words-lost: Perl's system passes a list of one word to a shell, which splits it.
# NEEDS: perl
use strict;
use warnings;

my ($word, @command) = @ARGV;
if (!@command || $word ne "run") { print STDERR "usage: $0 run COMMAND [ARG...]\n"; exit 2 }
no warnings "exec";
if (system(@command) == -1) {
    my $status = $!{ENOENT} ? 127 : 126;
    print STDERR "$command[0]: $!\n";
    exit $status;
}
exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
