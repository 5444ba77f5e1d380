#!/usr/bin/env perl
# WANT: words-lost: Getopt::Long also takes a --hostname that follows the command.
# NEEDS: perl x86_64
use strict;
use warnings;
use FindBin;

BEGIN { require "$FindBin::Bin/../../proc/programs/container.pl" }
no warnings "redefine";
use Getopt::Long qw(GetOptionsFromArray :config pass_through);

our $name;

sub flags {
    my @words = @_;
    GetOptionsFromArray(\@words, "hostname=s" => \$name);
    return @words;
}

exit main(@ARGV);
