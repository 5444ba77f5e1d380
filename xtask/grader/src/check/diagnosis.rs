//! The misconceptions that a check can name: each with its id, one sentence, and where the book explains it.

/// What may be wrong with a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the table below says what each is")]
pub enum Diagnosis {
    NotAProgram,
    NoContract,
    NeverRan,
    HasThreads,
    NoParentNumber,
    FoundOnTheHost,
    InitGone,
    NestedTooDeep,
    WordsLost,
    WrongCommand,
    InputLost,
    OutputSwallowed,
    OutputReordered,
    StreamsJoined,
    DidNotWait,
    TooLong,
    ForksWithoutEnd,
    WritesWithoutEnd,
    RenamedHost,
    ProcessesLeft,
    MountsLeft,
    IsolatedNothing,
    NoUtsNamespace,
    NotNamed,
    NoFork,
    NoPidNamespace,
    NoMountNamespace,
    MountsShared,
    NotAMountPoint,
    HostMadePrivate,
    NoChroot,
    AnotherRoot,
    ChrootWithoutChdir,
    ChdirBeforeChroot,
    SelfGone,
    NothingToMountOn,
    MountInvalid,
    ProcNotMounted,
    ProcBeforeChroot,
    ProcOfTheHost,
    ProcWritable,
    StatusLost,
    CollectedAlready,
    SignalLost,
    NotFoundStatus,
    ZombiesKept,
    SignalsCounted,
    WaitsForOrphans,
    EndedWithOrphan,
    OrphansLeft,
    TermIgnored,
    EnvironmentLeaked,
    EnvironmentOfInit,
    NoPath,
    DescriptorsLeaked,
    NoDevNull,
    DevNullIsAFile,
    DevOfTheHost,
    DevLeft,
    MknodRefused,
    FlagUnknown,
    FlagIgnored,
    VolumeMissing,
    VolumeOutside,
    MountedOnTheHost,
    VolumeWritable,
    HostReadOnly,
    NoEscape,
    NoShellThere,
    NotStatic,
    StillEscapes,
    PivotRefused,
    ProcRefused,
    OldRootBusy,
    OldRootReachable,
    OldRootCovered,
    NoUserNamespace,
    NotMapped,
    MapRefused,
    GroupsNotDenied,
    NoLimit,
    LimitTooHigh,
    CgroupLeft,
    RootfsChanged,
    RootfsReadOnly,
    UpperLeft,
    NoNetworkNamespace,
    NoLoopback,
    NoLink,
    BothEndsInside,
    NotReachable,
}

use Diagnosis::*;

/// The diagnosis, its id, the misconception, and the section of the book.
const TABLE: &[(Diagnosis, &str, &str, &str)] = &[
    (
        NotAProgram,
        "not-a-program",
        "What is checked must be a program that the kernel can execute: a binary, or a script that begins with `#!`, with the permission to be executed (chmod +x).",
        "workshop.md#contract",
    ),
    (
        NoContract,
        "no-contract",
        "The program refused its command line: it must take `run COMMAND [ARG...]`, whatever else it takes. (Or a half of it refused the other: is it started by the word that it listens to?)",
        "workshop.md#contract",
    ),
    (
        NeverRan,
        "never-ran",
        "The command was never started: a call before it failed, or it is not called at all. Or it was, and process 1 ended at once, and all in its namespace with it. (Let your program say on stderr which call failed, and with what errno: then this can say more.)",
        "workshop.md#contract",
    ),
    (
        HasThreads,
        "has-threads",
        "A process with several threads, as in Go every one is, can't unshare a user namespace; and who has unshared a PID namespace can start no thread any more: both are EINVAL. Let the half inside be born in the new namespaces, in Go by Cloneflags.",
        "workshop.md#languages",
    ),
    (
        NoParentNumber,
        "no-parent-number",
        "Who was born in a new PID namespace has a parent that has no number in it: getppid(2) says 0, and there is no /proc/0. But the host's /proc numbers both as the host does: its /proc/self/status has the parent, under PPid.",
        "step02.md#change",
    ),
    (
        FoundOnTheHost,
        "found-on-the-host",
        "The command was looked for on the host, before chroot(2), and there it is at a path that the rootfs does not have: look for it inside.",
        "step03.md#change",
    ),
    (
        InitGone,
        "init-gone",
        "The first child that is born after unshare(CLONE_NEWPID) is process 1 of the new namespace, whatever it is. When it has ended, nobody can be born there any more, and fork(2) says ENOMEM: it is not about memory.",
        "step02.md#why",
    ),
    (
        NestedTooDeep,
        "nested-too-deep",
        "`run` has started itself as `run`, and that again, and each time in new namespaces; the kernel nests them 32 deep, and then says ENOSPC: it is not about the disk. The half inside needs another word, such as `child`.",
        "step01.md#program",
    ),
    (
        WordsLost,
        "words-lost",
        "A command is a list of words, and each goes to execve(2) as it is, from the first to the last: joined into one string, they fall apart at other places; and behind COMMAND no flag is yours.",
        "workshop.md#contract",
    ),
    (
        WrongCommand,
        "wrong-command",
        "A process's name and words are what its parent says they are; what runs is the file that was executed, and that was another.",
        "workshop.md#contract",
    ),
    (
        InputLost,
        "input-lost",
        "The command's stdin is that of your program: let it be inherited, and read nothing of it yourself. (Who copies it must hand on its end, too.)",
        "workshop.md#contract",
    ),
    (
        OutputSwallowed,
        "output-swallowed",
        "The command's stdout and stderr are those of your program: who collects them first keeps a person waiting, and who connects them to nothing loses them.",
        "workshop.md#contract",
    ),
    (
        OutputReordered,
        "output-reordered",
        "stdout and stderr may be the same terminal: passed on through pipes of your own, their lines lose their order.",
        "workshop.md#contract",
    ),
    (
        StreamsJoined,
        "streams-joined",
        "stdout and stderr are two, also where a terminal shows both: in a file or a pipe for the one, nothing of the other may arrive.",
        "workshop.md#contract",
    ),
    (
        DidNotWait,
        "did-not-wait",
        "`run` ended before the command did, and so knows nothing of how it ended.",
        "step01.md#program",
    ),
    (
        TooLong,
        "too-long",
        "It did not end: something waits for what never comes, such as a copy of stdin for its end.",
        "workshop.md#contract",
    ),
    (
        ForksWithoutEnd,
        "forks-without-end",
        "It starts processes without end, each of which does the same: such as `run` that starts itself as `run`.",
        "workshop.md#contract",
    ),
    (WritesWithoutEnd, "writes-without-end", "It writes without end.", "workshop.md#contract"),
    (
        RenamedHost,
        "renamed-host",
        "sethostname(2) writes into the UTS namespace that the caller is in at that moment. Before unshare(2), or without it, that is the host's, and the host is renamed. (So it is in another thread than the one that called unshare(2).)",
        "step01.md#why",
    ),
    (
        ProcessesLeft,
        "processes-left",
        "When the command has ended, all that was started for it must have ended too.",
        "step02.md#why",
    ),
    (
        MountsLeft,
        "mounts-left",
        "What was mounted in the container shows on the host: a copy of a shared mount is shared too, until it is made private.",
        "step04.md#leak",
    ),
    (
        IsolatedNothing,
        "isolated-nothing",
        "The command runs in all the namespaces of the host: what it prints may look right, but nothing was isolated before it was started, or in another thread only.",
        "step01.md#why",
    ),
    (
        NoUtsNamespace,
        "no-uts-namespace",
        "The command is in the host's UTS namespace: the hostname that it sees is the host's.",
        "step01.md#why",
    ),
    (
        NotNamed,
        "not-named",
        "A new UTS namespace starts as a copy, with the host's name in it; someone inside must call sethostname(2), with just this name.",
        "step01.md#why",
    ),
    (
        NoFork,
        "no-fork",
        "unshare(CLONE_NEWPID) does not move the caller: it decides where its next child is born. The command was not born after it, or not of the thread that made the call.",
        "step02.md#why",
    ),
    (
        NoPidNamespace,
        "no-pid-namespace",
        "The command is in the host's PID namespace: it can signal the host's processes.",
        "step02.md#why",
    ),
    (
        NoMountNamespace,
        "no-mount-namespace",
        "The command is in the host's mount namespace: whatever is mounted in there is mounted on the host.",
        "step02.md#why",
    ),
    (
        MountsShared,
        "mounts-shared",
        "A new mount namespace is a copy, and a copy of a shared mount is its peer: make `/` private, with MS_REC, before anything is mounted. If you do, look at what mount(2) returns.",
        "step03.md#private",
    ),
    (
        NotAMountPoint,
        "not-a-mount-point",
        "Whether mounts are shared is said of a mount, by its mount point. A rootfs is a folder like others, also when chroot(2) has made it `/`: make the host's `/` private, before chroot(2).",
        "step03.md#private",
    ),
    (
        HostMadePrivate,
        "host-made-private",
        "mount(2) changes the mount namespace that the caller is in at that moment: before unshare(2) that is the host's, and so the host's own mounts were made private.",
        "step03.md#private",
    ),
    (
        NoChroot,
        "no-chroot",
        "The command's `/` is still the host's: it sees the host's files. If you call chroot(2), look at what it returns.",
        "step03.md#why",
    ),
    (
        AnotherRoot,
        "another-root",
        "The command's `/` is neither the host's nor ./rootfs, but a third folder, or a copy: what is in ./rootfs may look the same in there, and is not the same files. (A relative path leads to another place after chdir(2).)",
        "step03.md#why",
    ),
    (
        ChrootWithoutChdir,
        "chroot-without-chdir",
        "chroot(2) moves the root, and not the working directory, and pivot_root(2) moves that only if it was the old root: it is still outside, and `..` leads further out.",
        "step03.md#why",
    ),
    (
        ChdirBeforeChroot,
        "chdir-before-chroot",
        "chdir(\"/\") goes to the root of that moment, so before chroot(2) it goes to the host's; there, ./rootfs is not found either. (Nor is it by a path such as /rootfs.)",
        "step03.md#why",
    ),
    (
        SelfGone,
        "self-gone",
        "/proc/self/exe is looked for in the caller's own root, and in the rootfs /proc is empty: start the half inside first, and let that one call chroot(2).",
        "step03.md#change",
    ),
    (
        NothingToMountOn,
        "nothing-to-mount-on",
        "mount(2) hangs something on a file or folder that is there already, and makes none: ENOENT says that there is none at that place, as seen from the caller's `/` and working directory, or nothing at the source.",
        "workshop.md#volume",
    ),
    (
        MountInvalid,
        "mount-invalid",
        "For mount(2) a new file system needs its type, which is the third argument (EINVAL without one, ENODEV if the kernel has none of that name); and in a user namespace a bind must bring along what is mounted below, with MS_REC.",
        "step04.md#why",
    ),
    (
        ProcNotMounted,
        "proc-not-mounted",
        "/proc in a rootfs is an empty folder: somebody inside must mount a proc file system on it. If you do, look at what mount(2) returns.",
        "step04.md#why",
    ),
    (
        ProcBeforeChroot,
        "proc-before-chroot",
        "/proc was mounted before chroot(2), so over the host's /proc, where the container no longer sees it.",
        "step04.md#why",
    ),
    (
        ProcOfTheHost,
        "proc-of-the-host",
        "A proc file system shows the PID namespace of the process that mounts it: this one was mounted by a process of the host's, as `run` still is, or is the host's.",
        "step04.md#why",
    ),
    (
        ProcWritable,
        "proc-writable",
        "/proc/sys in it is the kernel's, which is the host's: without MS_RDONLY a root inside sets it.",
        "step04.md#why",
    ),
    (
        StatusLost,
        "status-lost",
        "The exit status of `run` is all that a script learns about the command: pass on the command's own.",
        "reference.md#exit-status",
    ),
    (
        CollectedAlready,
        "collected-already",
        "An exit status is there once: whoever calls wait(2) for any child takes the command's as well, and with SIGCHLD ignored nobody gets it. Then wait(2) for the command says ECHILD.",
        "step02.md#change",
    ),
    (
        SignalLost,
        "signal-lost",
        "A command that a signal killed has no exit status of its own; a shell reports 128 + n, and so must `run`.",
        "reference.md#exit-status",
    ),
    (
        NotFoundStatus,
        "not-found-status",
        "A shell tells 127, no such command, from 126, there but not executable: execve(2) says which by its errno.",
        "reference.md#exit-status",
    ),
    (
        ZombiesKept,
        "zombies-kept",
        "Orphans become children of process 1, and who waits only for one child of its own never collects them.",
        "step02.md#change",
    ),
    (
        SignalsCounted,
        "signals-counted",
        "SIGCHLD is no counter: of several children that end together there may be one signal, and who collects one child for each keeps the rest as zombies. Collect until there is none left that has ended.",
        "step02.md#change",
    ),
    (
        WaitsForOrphans,
        "waits-for-orphans",
        "Who waits until there is no child any more waits for the orphans as well. Leave the loop when it was the command: what is left ends with process 1.",
        "step02.md#change",
    ),
    (
        EndedWithOrphan,
        "ended-with-orphan",
        "wait(2) returns whichever child has ended first, and that may be an orphan: only when it is the command, by its PID, is the container over.",
        "step02.md#change",
    ),
    (
        OrphansLeft,
        "orphans-left",
        "Who kills `run` with SIGKILL gives it no time to kill the command: the kernel must do that, by PR_SET_PDEATHSIG. The process that is to die asks for it, and with SIGKILL: process 1 has no handler for any other.",
        "step01.md#program",
    ),
    (
        TermIgnored,
        "term-ignored",
        "SIGTERM is how one asks a program to end: who blocks it, ignores it or only notes it keeps `run` and the container alive. Let it kill `run`, and the kernel does the rest as after a SIGKILL.",
        "step01.md#program",
    ),
    (
        EnvironmentLeaked,
        "environment-leaked",
        "execve(2) is given an environment, and std gives it that of your program, the host's: secrets, paths and all.",
        "step03.md#change",
    ),
    (
        EnvironmentOfInit,
        "environment-of-process-1",
        "The environment that a process was started with stays in its memory, where /proc/PID/environ shows it: what the command is not given, it reads from process 1. So that must be started without it, too.",
        "step03.md#environment",
    ),
    (
        NoPath,
        "no-path",
        "Without a PATH that names the folders of the rootfs, its commands are not found by their names.",
        "step03.md#change",
    ),
    (
        DescriptorsLeaked,
        "descriptors-leaked",
        "A descriptor stays open over chroot(2) and execve(2) unless it is marked close-on-exec: through an open folder of the host's, a root walks out. (Also through one that process 1 keeps open, by /proc/1/fd.)",
        "not.md#escape",
    ),
    (
        NoDevNull,
        "no-dev-null",
        "/dev in a rootfs is empty: what wants /dev/null fails, or makes a file of that name.",
        "rootfs.md#contents",
    ),
    (
        DevNullIsAFile,
        "dev-null-is-a-file",
        "/dev/null is a device, number 1:3. A file of that name keeps what is written to it.",
        "rootfs.md#contents",
    ),
    (
        DevOfTheHost,
        "dev-of-the-host",
        "The host's /dev has its disks, its memory and its terminals in it, and a root inside may open them: only what programs count on is to be there, each by itself.",
        "rootfs.md#contents",
    ),
    (
        DevLeft,
        "dev-left",
        "A bind mount needs a file to be mounted on, and that stays in the rootfs: mount a tmpfs on dev first, and make it there.",
        "rootfs.md#contents",
    ),
    (
        MknodRefused,
        "mknod-refused",
        "To make a device, mknod(2) asks for a capability in the machine's own user namespace, which the root of another does not have. But a device that is there already can be bound to a second place.",
        "rootfs.md#contents",
    ),
    (
        FlagUnknown,
        "flag-unknown",
        "The flags of `run` stand before the command: this one was taken for the command itself, or refused.",
        "workshop.md#exercises",
    ),
    (FlagIgnored, "flag-ignored", "The flag was accepted, and nothing came of it.", "workshop.md#exercises"),
    (
        VolumeMissing,
        "volume-missing",
        "After chroot(2) the host's folder has no path any more: bind it to its place in the rootfs before.",
        "workshop.md#volume",
    ),
    (
        VolumeOutside,
        "volume-outside",
        "It was mounted, but to CONTAINER in the host's `/`, above which the container does not see: its place is below ./rootfs. (To join a path and an absolute one gives the latter alone, in Rust as in Python: cut off the `/` first.)",
        "workshop.md#volume",
    ),
    (
        MountedOnTheHost,
        "mounted-on-the-host",
        "What is mounted before unshare(2), or while `/` is still shared, is mounted on the host: there it is seen as long as the container runs, and if `run` is killed, nobody unmounts it.",
        "workshop.md#volume",
    ),
    (
        VolumeWritable,
        "volume-writable",
        "A bind mount ignores MS_RDONLY; a second call, with MS_REMOUNT|MS_BIND|MS_RDONLY, makes it read-only.",
        "workshop.md#volume",
    ),
    (
        HostReadOnly,
        "host-read-only",
        "MS_REMOUNT without MS_BIND changes the file system itself, for all who have it mounted, so for the host as well.",
        "workshop.md#volume",
    ),
    (
        NoEscape,
        "no-escape",
        "A root in a container is still a root, and which folder is `/` is said by a call that he may make as well. `..` stops at that folder, and at no other: must it be above the working directory?",
        "not.md#escape",
    ),
    (
        NoShellThere,
        "no-shell-there",
        "When the attack started COMMAND, there was no `sh` in what it calls `/`, which is some other folder, and perhaps an empty one. Which call moved that root last, and to where? Did the working directory, from which it is counted, stay outside until then, and was it at the very top?",
        "not.md#escape",
    ),
    (
        NotStatic,
        "not-static",
        "A dynamically linked program is started by its loader, which looks for its libraries, and a script by its interpreter: in another root they may be missing, and execve(2) says ENOENT of a file that is there.",
        "workshop.md#escape",
    ),
    (
        StillEscapes,
        "still-escapes",
        "A chroot moves what a path starts from, and the host's files are still mounted around it; pivot_root(2) changes what is mounted.",
        "not.md#escape",
    ),
    (
        PivotRefused,
        "pivot-refused",
        "pivot_root(2) says EINVAL, or EBUSY, unless the new root is a mount point, for a folder is none before something is bound to it, if only itself; unless its caller stands in that mount, and not in the folder below it; and unless nothing there is shared.",
        "not.md#escape",
    ),
    (
        ProcRefused,
        "proc-refused",
        "In a user namespace a new /proc may be mounted only as long as another one can be seen, whole and with the same access time flag: so before the old root is unmounted.",
        "troubleshooting.md#user-namespaces",
    ),
    (
        OldRootBusy,
        "old-root-busy",
        "Something is still mounted in the old root, or stands in it: with MNT_DETACH it goes at once, with all that is mounted below, and is freed when the last one has left it.",
        "not.md#escape",
    ),
    (
        OldRootReachable,
        "old-root-reachable",
        "pivot_root(2) hangs the old root below the new one: until it is unmounted, with MNT_DETACH, it is just another folder.",
        "not.md#escape",
    ),
    (
        OldRootCovered,
        "old-root-covered",
        "What is moved over `/` with MS_MOVE only covers the old root, which is still mounted underneath: a root in there unmounts the cover, enters his own mount namespace anew, and stands in the host's `/`. pivot_root(2) lets the old root be unmounted instead.",
        "not.md#escape",
    ),
    (
        NoUserNamespace,
        "no-user-namespace",
        "An ordinary user may make one kind of namespace only, a user namespace; all others are made in it, as its root.",
        "set-up.md#user-namespace",
    ),
    (
        NotMapped,
        "not-mapped",
        "Who is not in the map of a user namespace is nobody in it: write setgroups, gid_map and uid_map before the exec, or its capabilities are gone.",
        "set-up.md#user-namespace",
    ),
    (
        MapRefused,
        "map-refused",
        "The outer number in a map must be your own: geteuid(2) and getegid(2) say which, before unshare(2). After it they say nobody's, 65534; and one that stands in the source is yours only by chance.",
        "set-up.md#user-namespace",
    ),
    (
        GroupsNotDenied,
        "groups-not-denied",
        "Who leaves a group could get around what is forbidden to it: so an ordinary user may write gid_map only when `deny` is in setgroups. (On this host it is denied already; on the machine itself your gid_map would be EPERM.)",
        "set-up.md#user-namespace",
    ),
    (
        NoLimit,
        "no-limit",
        "The command is in the host's cgroup, so it may start as many processes as the host: put it into one of its own.",
        "not.md#shared",
    ),
    (
        LimitTooHigh,
        "limit-too-high",
        "The limit of processes counts for a whole cgroup: it was not written, or not into the one that the command is in.",
        "not.md#shared",
    ),
    (
        CgroupLeft,
        "cgroup-left",
        "A cgroup is a folder: nobody removes it but who made it, when the last process has left.",
        "not.md#shared",
    ),
    (
        RootfsChanged,
        "rootfs-changed",
        "What one run writes, the next one finds: mount an overlay, whose upper layer takes the writes and goes with the container.",
        "not.md#shared",
    ),
    (
        RootfsReadOnly,
        "rootfs-read-only",
        "An overlay without an upper layer is read-only, and so is a rootfs that is mounted so: the command must be able to write.",
        "not.md#shared",
    ),
    (
        UpperLeft,
        "upper-left",
        "An upper layer is a folder like others: on a file system of the host's, what was written stays in it when the container has ended. On a tmpfs that is mounted in the container's own mount namespace it goes with that.",
        "not.md#shared",
    ),
    (
        NoNetworkNamespace,
        "no-network-namespace",
        "The command has the host's network: its interfaces, its ports, its abstract sockets.",
        "not.md#shared",
    ),
    (NoLoopback, "no-loopback", "A new network namespace has one interface, lo, and it is down.", "not.md#shared"),
    (
        NoLink,
        "no-link",
        "A network namespace reaches nothing: a veth pair is a cable, with one end in each namespace.",
        "not.md#shared",
    ),
    (
        BothEndsInside,
        "both-ends-inside",
        "Both ends of a veth pair are where `ip link add` was called, unless it names another namespace for one: here both are in the container, and 10.0.0.1 is the container itself.",
        "not.md#shared",
    ),
    (
        NotReachable,
        "not-reachable",
        "Both ends of a veth pair need an address of the same network, and both must be up.",
        "not.md#shared",
    ),
];

impl Diagnosis {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Diagnosis> {
        TABLE.iter().map(|(diagnosis, ..)| *diagnosis)
    }

    fn entry(self) -> &'static (Diagnosis, &'static str, &'static str, &'static str) {
        TABLE.iter().find(|(it, ..)| *it == self).expect("a test looks that each has an entry")
    }

    /// Its name, for machines and mutants.
    pub fn id(self) -> &'static str {
        self.entry().1
    }

    /// What its author may not have known, in a sentence or two.
    pub fn misconception(self) -> &'static str {
        self.entry().2
    }

    /// Where the book explains it: `step01.md#why`.
    pub fn section(self) -> &'static str {
        self.entry().3
    }

    /// The one with that id.
    pub fn find(id: &str) -> Option<Diagnosis> {
        TABLE.iter().find(|(_, it, ..)| *it == id).map(|(diagnosis, ..)| *diagnosis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_entry() {
        // The last one's number is one less than how many there are.
        assert_eq!(TABLE.len(), NotReachable as usize + 1);
        for (index, diagnosis) in Diagnosis::all().enumerate() {
            assert_eq!(diagnosis as usize, index, "{diagnosis:?} is not in its place");
            assert_eq!(Diagnosis::find(diagnosis.id()), Some(diagnosis));
        }
    }
}
