#!/usr/bin/env perl
# WANT: environment-leaked: removes only those variables whose names look like secrets.
# NEEDS: perl x86_64
use strict;
use warnings;
use FindBin;

BEGIN { require "$FindBin::Bin/../../proc/programs/container.pl" }
no warnings "redefine";

sub environment {
    my @kept = grep { !/SECRET|TOKEN|KEY|PASS|CRED|AWS|SSH/i } keys %ENV;
    return (%ENV{@kept}, PATH => "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

exit main(@ARGV);
