#!/usr/bin/env perl
# WANT: passes: a handler of SIGCHLD reaps every child.
# NEEDS: perl x86_64
use strict;
use warnings;
use FindBin;

BEGIN { require "$FindBin::Bin/../../proc/programs/container.pl" }
no warnings "redefine";

sub start_and_reap {
    my %ended;
    $SIG{CHLD} = sub {
        local ($!, $?);
        while ((my $dead = waitpid(-1, POSIX::WNOHANG())) > 0) { $ended{$dead} = $? }
    };
    # It is blocked, except while sigsuspend waits, so that none is missed.
    my ($chld, $old) = (POSIX::SigSet->new(POSIX::SIGCHLD()), POSIX::SigSet->new());
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $chld, $old);
    my $command = start_unblocked($old, @_);
    POSIX::sigsuspend($old) until exists $ended{$command};
    return shell_status($ended{$command});
}

sub start_unblocked {
    my ($mask, @words) = @_;
    my $command = fork() // fail("fork");
    return $command if $command;
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $mask);
    { no warnings; exec { $words[0] } @words; }
    my $status = $!{ENOENT} ? 127 : 126;
    print STDERR "$words[0]: $!\n";
    POSIX::_exit($status);
}

exit main(@ARGV);
