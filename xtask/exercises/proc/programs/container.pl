#!/usr/bin/env perl
# WANT: passes: makes the system calls in Perl by their numbers on x86_64.
# ALSO: status reap die
# NEEDS: perl x86_64
use strict;
use warnings;
use POSIX ();

our $name = "mini-docker";
my $null = 0;

sub call {
    my ($call, $number, @args) = @_;
    syscall($number, @args) >= 0 or fail($call);
}
sub fail { print STDERR "$_[0]: $!\n"; POSIX::_exit(125) }
sub shell_status { my $status = shift; return $status & 127 ? 128 + ($status & 127) : $status >> 8 }

# The parts of a container. Other programs require this file, and replace some of them.
sub flags { return @_ }
sub environment { return (PATH => "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") }

sub child {
    my @words = @_;
    my ($root, $proc, $at) = ("/", "proc", "/proc");
    call("prctl", 157, 1, 9, 0, 0, 0);
    call("sethostname", 170, $name, length $name);
    call("mount /", 165, $null, $root, $null, 0x4000 | 0x40000, $null);
    chroot("rootfs") or fail("chroot");
    chdir("/") or fail("chdir");
    call("mount proc", 165, $proc, $at, $proc, 15, $null);
    %ENV = environment();
    return start_and_reap(@words);
}

sub start_and_reap {
    my $command = start_command(@_);
    while (1) {
        my $dead = wait();
        return shell_status($?) if $dead == $command;
    }
}

sub start_command {
    my $command = fork() // fail("fork");
    return $command if $command;
    { no warnings; exec { $_[0] } @_; }
    my $status = $!{ENOENT} ? 127 : 126;
    print STDERR "$_[0]: $!\n";
    POSIX::_exit($status);
}

sub main {
    if (@_ < 2 || $_[0] ne 'run') { print STDERR "usage: $0 run COMMAND [ARG...]\n"; return 2 }
    my @words = flags(@_[1 .. $#_]);
    call("unshare", 272, 0x4000000 | 0x20000000 | 0x20000);
    my $pid = fork() // fail("fork");
    POSIX::_exit(child(@words)) if $pid == 0;
    waitpid($pid, 0);
    return shell_status($?);
}

exit main(@ARGV) unless caller;
1;
