//! The throwaway host: a machine made of the very namespaces that the book teaches.
//!
//! It is named `host`, its `/` is shared as systemd's is, and it has processes of its own: an init and eight daemons that
//! do nothing. What a program on it renames, mounts or leaves running is gone when its command ends. Its files are the real
//! machine's: what it writes or removes stays so. An ordinary user may have one, for it lies in a user namespace.
//!
//! ```text
//! xtask host           unshare(USER|UTS|NS|PID), maps, `/` private and then shared, sethostname; waits for:
//! ├─ /sbin/init        process 1: mounts its /proc, starts the daemons, reaps; dies with its parent, and all with it
//! │  ├─ /sbin/journald
//! │  └─ …
//! └─ COMMAND           born in the same namespaces
//! ```

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_name;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::wait;
use nix::unistd::{geteuid, getpgrp, pause, sethostname, tcgetpgrp, tcsetpgrp};

use crate::privilege::{self, Privilege, Refused, exit_code};
use crate::{rootfs, steps, workspace};

/// The name of the throwaway host.
pub const HOSTNAME: &str = "host";

/// Its process 1.
const INIT: &str = "/sbin/init";

/// Its other processes. Eight, so that low process numbers are taken, as on any machine.
const DAEMONS: [&str; 8] = [
    "/sbin/journald",
    "/sbin/udevd",
    "/sbin/networkd",
    "/sbin/dbus-daemon",
    "/sbin/cron",
    "/sbin/logind",
    "/sbin/rsyslogd",
    "/sbin/timesyncd",
];

/// What a person is told who gets a shell on it.
const GREETING: &str = "\
A throwaway host. Its name, mounts and processes go when you `exit`; its files
are your machine's own. The steps are here: `step02-pid run ps -e`, for example.";

/// And what a learner is told besides.
const GREETING_OF_A_LEARNER: &str = "So is workshop/src/main.rs, as it was built last: `mine run sh`.";

/// What `xtask host` was asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// [`Privilege::User`] or [`Privilege::Root`]; `None` takes the first where it works, for its safety.
    pub privilege: Option<Privilege>,
    /// The program and its arguments; empty means a shell.
    pub command: Vec<OsString>,
    /// End when the thread that started us ends.
    pub die_with_parent: bool,
}

/// Runs a command on a throwaway host of its own, and passes on its exit status. This process must have one thread.
///
/// # Errors
/// When the kernel refuses a call, which the error names.
pub fn run(options: Options) -> Result<ExitCode> {
    if options.die_with_parent {
        privilege::die_with_parent()?;
    } else {
        // A person, who expects to find there what the greeting names; a test has made all that.
        build_program()?;
        rootfs::ensure()?;
        env::set_current_dir(workspace::root())?;
    }
    let (rights, refused) = rights(options.privilege)?;
    if let Some(refused) = refused {
        return Err(privilege::explain(rights, refused).context("no throwaway host"));
    }
    // Before, for when init has mounted its /proc we are not in it, and so have no /proc/self.
    let environment = environment()?;
    let mut init = build(rights == Privilege::User, Guests::Trusted).context("no throwaway host")?;

    let is_shell = options.command.is_empty();
    let command = if is_shell { shell() } else { options.command };
    if is_shell {
        terminal_foreground();
        eprintln!("{GREETING}");
        if workspace::workshop_target().join("debug/mine").exists() {
            eprintln!("{GREETING_OF_A_LEARNER}");
        }
    }
    let result = Command::new(&command[0]).args(&command[1..]).env_clear().envs(environment).spawn();
    // As in the steps: what Ctrl-C means is for the command to say.
    if tcgetpgrp(io::stdin()) == Ok(getpgrp()) {
        SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]).thread_block()?;
    }
    let result = result.and_then(|mut command| command.wait());
    take_back_terminal();
    init.kill()?;
    init.wait()?;
    if is_shell {
        eprintln!("You left the throwaway host, and it is gone.");
    }
    match result {
        Ok(status) => Ok(exit_code(status)),
        Err(error) => {
            eprintln!("xtask host: {}: {error}", command[0].display());
            Ok(ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }))
        }
    }
}

/// By which rights a throwaway host is made, and what refuses them, if anything does. `wish` leaves only one way; else it is a
/// user namespace where that can be had, for there a program can do less harm.
///
/// # Errors
/// Those of [`privilege::probe`].
pub fn rights(wish: Option<Privilege>) -> Result<(Privilege, Option<Refused>)> {
    let rights = match wish {
        None | Some(Privilege::User) => Privilege::User,
        Some(Privilege::Root | Privilege::Sudo) => Privilege::Root,
    };
    let refused = privilege::probe(rights)?;
    if refused.is_some() && wish.is_none() && geteuid().is_root() {
        // As root we can do without.
        return Ok((Privilege::Root, privilege::probe(Privilege::Root)?));
    }
    Ok((rights, refused))
}

/// An interactive shell. bash rather than sh: a dash that ends in a PID namespace complains that it can't give back the
/// terminal, and ends with status 2.
fn shell() -> Vec<OsString> {
    match privilege::on_path("bash") {
        Some(bash) => vec![bash.into(), "--norc".into()],
        None => vec!["sh".into()],
    }
}

/// Who will be on a throwaway host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guests {
    /// Whom we start ourselves: they have the machine's network.
    Trusted,
    /// Nobody knows: so it has a network of its own, which leads nowhere, and no room for more than so many processes.
    Unknown,
}

/// How many process numbers there are where the guests are unknown. When all were used once, those below 300 are not used again.
const PID_MAX: &str = "400";

/// The variable by which its process 1 is told so.
const CROWDED: &str = "PID_MAX";

/// Moves this process into the namespaces of a new throwaway host, and starts the host's process 1.
pub(crate) fn build(user: bool, guests: Guests) -> Result<Child> {
    if user {
        privilege::enter_user_namespace()?;
    }
    unshare(CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)
        .context("unshare(CLONE_NEWUTS|CLONE_NEWNS|CLONE_NEWPID)")?;
    if guests == Guests::Unknown {
        unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
    }
    sethostname(HOSTNAME).context("sethostname")?;
    // First leave the real machine's peer group, or what is mounted here would show there. Then found one of our own.
    for propagation in [MsFlags::MS_PRIVATE, MsFlags::MS_SHARED] {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | propagation, None::<&str>)
            .with_context(|| format!("mount(NULL, \"/\", NULL, MS_REC|{propagation:?}, NULL)"))?;
    }
    let mut init = Command::new("/proc/self/exe")
        .arg0(INIT)
        .env_clear()
        .envs((guests == Guests::Unknown).then_some((CROWDED, PID_MAX)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the throwaway host's init")?;
    let mut answer = String::new();
    BufReader::new(init.stdout.take().context("init has no stdout")?).read_line(&mut answer)?;
    ensure!(answer == "ready\n", "{}", if answer.is_empty() { "the host's init died" } else { answer.trim() });
    Ok(init)
}

/// The environment of a command on the throwaway host: the same for everyone, and the steps' programs on its PATH.
pub(crate) fn environment() -> Result<Vec<(&'static str, OsString)>> {
    let mut path = vec![workspace::programs()?];
    path.extend(["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from));
    // Last, for a machine whose programs lie elsewhere, such as NixOS.
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    Ok(vec![
        ("PATH", env::join_paths(path).context("the path of the target folder has a colon in it")?),
        ("TERM", env::var_os("TERM").unwrap_or_else(|| "dumb".into())),
        // Not the user's, whose shell would read its start files there.
        ("HOME", "/".into()),
        ("LC_ALL", "C".into()),
        ("PS1", r"root@\h:\w# ".into()),
        // So that cargo works there, too.
        ("CARGO_HOME", home("CARGO_HOME", ".cargo")),
        ("RUSTUP_HOME", home("RUSTUP_HOME", ".rustup")),
        ("XDG_CACHE_HOME", home("XDG_CACHE_HOME", ".cache")),
    ])
}

fn home(name: &str, folder: &str) -> OsString {
    let default = || Path::new(&env::var_os("HOME").unwrap_or_default()).join(folder).into();
    env::var_os(name).unwrap_or_else(default)
}

/// What this program is to play on the throwaway host, if it was started as its init or one of its daemons.
pub fn part() -> Option<OsString> {
    env::args_os().next().filter(|name| name == INIT || DAEMONS.iter().any(|daemon| name == daemon))
}

/// Plays that part, until killed.
pub fn play(part: &OsStr) -> ExitCode {
    let comm = Path::new(part).file_name().unwrap_or_default().as_encoded_bytes();
    let _ = CString::new(comm).map(|comm| set_name(&comm));
    if part != INIT {
        loop {
            pause();
        }
    }
    let answer = settle().map_or_else(|error| format!("{error:#}"), |()| "ready".into());
    if writeln!(io::stdout(), "{answer}").is_err() {
        // Nobody listens: our parent died before we asked to die with it.
        return ExitCode::FAILURE;
    }
    loop {
        // Every orphan of the host is ours to reap; without a child left there would be none to come.
        if wait() == Err(Errno::ECHILD) {
            pause();
        }
    }
}

/// What process 1 does first: its own /proc, and the daemons.
fn settle() -> Result<()> {
    privilege::die_with_parent()?;
    let flags = privilege::proc_flags() - MsFlags::MS_RDONLY;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).context("mount(\"proc\", \"/proc\", \"proc\")")?;
    // Since Linux 6.14 each PID namespace has its own; before, this would be the machine's.
    if let Some(most) = env::var_os(CROWDED)
        && kernel_is_at_least(6, 14)
    {
        fs::write("/proc/sys/kernel/pid_max", most.as_encoded_bytes())
            .context("write(\"/proc/sys/kernel/pid_max\")")?;
    }
    for daemon in DAEMONS {
        let mut command = Command::new("/proc/self/exe");
        command.env_clear().arg0(daemon).stdin(Stdio::null()).stdout(Stdio::null()).spawn().context(daemon)?;
    }
    Ok(())
}

/// Is this Linux of that version, or newer?
pub(crate) fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|it| it.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

/// Waits, as a shell does, until we are in the terminal's foreground. In a new PID namespace a shell can't: there, its own
/// process group and that of the foreground are both 0, and it would take the terminal from whoever has it.
pub fn terminal_foreground() {
    while tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != getpgrp()) {
        // Stops us, until `fg`.
        if killpg(getpgrp(), Signal::SIGTTIN).is_err() {
            return;
        }
    }
}

/// As in the steps: the shell that ended may have left the terminal to its own, now dead, process group.
fn take_back_terminal() {
    if tcgetpgrp(io::stdin()).is_ok_and(|group| killpg(group, None) == Err(Errno::ESRCH)) {
        let _ = SigSet::from(Signal::SIGTTOU).thread_block();
        let _ = tcsetpgrp(io::stdin(), getpgrp());
    }
}

/// For tests: the ways to a throwaway host in a folder with a rootfs, each command on a host of its own.
#[derive(Clone, Debug)]
pub struct Host {
    program: PathBuf,
    folder: PathBuf,
    privilege: Option<OsString>,
}

impl Host {
    /// A throwaway host whose commands start in a folder with a pristine rootfs.
    ///
    /// # Panics
    /// When the machine can't have one. A test that can't run is a failure, and says what to do.
    pub fn new() -> Host {
        let room = rootfs::test_room().unwrap_or_else(|error| panic!("{error:#}"));
        // How `cargo xtask test --privilege` asks for hosts that are root's own, without a user namespace.
        Host { program: program().to_owned(), folder: room, privilege: env::var_os(PRIVILEGE) }
    }

    /// The same, with another working directory.
    pub fn in_folder(self, folder: &Path) -> Host {
        Host { folder: folder.to_owned(), ..self }
    }

    /// The same, without a user namespace; only root can have it.
    pub fn as_root(self) -> Host {
        Host { privilege: Some("root".into()), ..self }
    }

    /// The same, in a user namespace, even if the tests are asked to do without.
    pub fn as_user(self) -> Host {
        Host { privilege: Some("user".into()), ..self }
    }

    /// The folder that commands start in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Is its rootfs made of a BusyBox, as Alpine's is? Otherwise of this machine's own programs.
    pub fn has_busybox(&self) -> bool {
        self.folder.join("rootfs/bin/busybox").exists()
    }

    /// A command on the throwaway host, by name (the steps' programs are on its PATH) or by path.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["host", "--die-with-parent"]);
        if let Some(privilege) = &self.privilege {
            command.arg("--privilege").arg(privilege);
        }
        // A backtrace in an error message would depend on who runs the tests.
        command.arg("--").arg(program).current_dir(&self.folder).env_remove("RUST_BACKTRACE");
        command
    }

    /// A shell script on the throwaway host.
    pub fn sh(&self, script: &str) -> Command {
        let mut command = self.command("sh");
        command.args(["-c", script]);
        command
    }
}

impl Default for Host {
    fn default() -> Self {
        Host::new()
    }
}

/// The variable by which `cargo xtask test --privilege root` reaches [`Host`].
pub const PRIVILEGE: &str = "MINI_DOCKER_TEST_PRIVILEGE";

/// The xtask program. It and all the steps are built from their present source, which a `cargo test` of one package does not
/// do.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build_program().unwrap_or_else(|error| panic!("{error:#}")))
}

/// Builds xtask and all the steps, in one go: the same features of the libraries, so nothing is built twice.
pub(crate) fn build_program() -> Result<PathBuf> {
    let programs = workspace::programs()?;
    let mut cargo = Command::new(workspace::cargo());
    cargo.args(["build", "--quiet", "--bins", "--package", "xtask"]).current_dir(workspace::root());
    for step in steps::all()? {
        cargo.arg("--package").arg(step.name);
    }
    cargo.arg("--target-dir").arg(workspace::target()).args(programs.ends_with("release").then_some("--release"));
    ensure!(cargo.status().context("starting cargo")?.success(), "the steps and xtask can't be built");
    Ok(programs.join("xtask"))
}
