#!/usr/bin/env perl
# WANT: passes: has no init, because the command itself is process 1.
# NEEDS: perl x86_64
use strict;
use warnings;
use POSIX ();

my ($word, @command) = @ARGV;
if (!@command || $word ne "run") { print STDERR "usage: $0 run COMMAND [ARG...]\n"; exit 2 }
# unshare(CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS)
syscall(272, 0x24020000) == 0 or die "unshare: $!\n";
my $pid = fork() // die "fork: $!\n";
if ($pid == 0) {
    my $name = "mini-docker";
    syscall(170, $name, length $name) == 0 or die "sethostname: $!\n";
    { no warnings; exec { $command[0] } @command; }
    my $status = $!{ENOENT} ? 127 : 126;
    print STDERR "$command[0]: $!\n";
    POSIX::_exit($status);
}
waitpid($pid, 0);
exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
