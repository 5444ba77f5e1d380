//! Exercise `tty`: an interactive shell in the container has the terminal, and afterwards the caller has it again.

use std::io::Write;

use lab::procfs::Pid;
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};

use super::run::require_status;
use super::*;

/// Makes the terminal `$0` the controlling terminal of a new session, in which the remaining words run.
const AT_TERMINAL: &str = r#"exec setsid --ctty --wait "$@" <"$0" >"$0" 2>&0"#;
/// A caller without job control, such as any script. It stops itself when `run` has ended, so that it can be observed.
const SCRIPT: &str = r#""$@"; set -- $?; kill -STOP $$; read word && exit $1; exit 255"#;
/// A caller with job control, which starts `run` in the background.
const SHELL: &str = r#"set -m; "$@" & wait $!; set -- $?; kill -STOP $$; read word && exit $1; exit 255"#;

/// A pseudoterminal, pty(7).
struct Terminal {
    master: PtyMaster,
    path: String,
}

/// The terminal's part of proc_pid_stat(5).
#[derive(Clone, Copy, Debug)]
struct Group {
    /// The process's own group.
    own: i32,
    /// Its controlling terminal; 0 if it has none.
    terminal: i32,
    /// The group in that terminal's foreground.
    foreground: i32,
}

pub fn a_shell_has_the_terminal(sandbox: &Sandbox) -> Checked {
    let mut terminal = Terminal::open()?;
    let (mut run, shell, _) = start_shell(sandbox, &terminal)?;
    terminal.type_line("exit");
    run.wait_until(PATIENCE, |_| Ok(sandbox.host.process(shell.pid).is_none()))?;
    Ok(())
}

/// After the shell ends, the caller's group is in the foreground and can read from the terminal.
pub fn the_terminal_comes_back(sandbox: &Sandbox) -> Checked {
    for is_killed in [false, true] {
        let mut terminal = Terminal::open()?;
        let (mut run, shell, told) = start_shell(sandbox, &terminal)?;
        let (expected_status, how) = if is_killed {
            sandbox.signal(shell.pid, Signal::SIGKILL)?;
            (128 + Signal::SIGKILL as u8, "was killed")
        } else {
            terminal.type_line(&format!("exit {told}"));
            (told, "ended")
        };
        let Some(caller) = stopped_caller(sandbox, &mut run, SCRIPT)? else {
            let seen = format!("{} s after the shell {how}, `run` had not ended", PATIENCE.as_secs());
            return Err(fail!(TerminalLost, "`run` ending when the shell ends", "{seen}"));
        };
        let group = require_group(sandbox, caller.pid)?;
        let expected = format!("process group {}, the caller's", group.own);
        let seen = format!("the shell {how}, `run` ended, and the terminal's foreground group is {}", group.foreground);
        require!(group.foreground == group.own, TerminalLost, expected, "{seen}");
        sandbox.signal(caller.pid, Signal::SIGCONT)?;
        terminal.type_line("a line");
        let status = run.wait()?;
        let seen = "the caller got an error when it read from the terminal";
        require!(status.code() != Some(255), TerminalLost, "the line that was typed", "{seen}");
        require_status(status, expected_status, "on a terminal, ", "")?;
    }
    Ok(())
}

/// A `run` in the background doesn't take the terminal.
pub fn it_takes_no_terminal_from_others(sandbox: &Sandbox) -> Checked {
    let mut terminal = Terminal::open()?;
    let told = sandbox.draw.status();
    let mut run = terminal.start(sandbox, SHELL, &["sh", "-c", "exit $0", &told.to_string()])?;
    let expected = "the caller's group still in the foreground";
    let Some(caller) = stopped_caller(sandbox, &mut run, SHELL)? else {
        let stopped = sandbox.guests()?.into_iter().find(|it| it.state == 'T');
        let seen = match stopped {
            Some(it) => format!("process {}, `{}`, is stopped, as by SIGTTOU in the background", it.pid, it.line()),
            None => format!("`run` had not ended after {} s", PATIENCE.as_secs()),
        };
        return Err(fail!(TerminalStolen, expected, "with `run` in the background, {seen}"));
    };
    let group = require_group(sandbox, caller.pid)?;
    let now = format!("the foreground group was {}, but the caller's is {}", group.foreground, group.own);
    require!(group.foreground == group.own, TerminalStolen, expected, "after `run` ended in the background, {now}");
    sandbox.signal(caller.pid, Signal::SIGCONT)?;
    terminal.type_line("a line");
    require_status(run.wait()?, told, "in the background of a terminal, ", "")
}

/// Starts an interactive shell in the container, and waits until it has the terminal. Returns it, and a status to end with.
fn start_shell<'a>(sandbox: &'a Sandbox, terminal: &Terminal) -> Checked<(Run<'a>, Process, u8)> {
    let told = sandbox.draw.status();
    let line = ["sh", "-i", "-s", &sandbox.draw.number(1000, 8999).to_string()];
    let mut run = terminal.start(sandbox, SCRIPT, &line)?;
    let shell = wait_for(sandbox, &mut run, &line)?;
    // At first it is in the caller's group.
    let has_it = |group: Group| group.terminal != 0 && group.own == shell.pid as i32 && group.foreground == group.own;
    let is_there = run.wait_until(PATIENCE, |_| Ok(group_of(sandbox, shell.pid).is_some_and(has_it)))?;
    let group = require_group(sandbox, shell.pid)?;
    let seen = match group {
        Group { terminal: 0, .. } => format!("/proc/{}/stat names no controlling terminal", shell.pid),
        Group { own, foreground, .. } => {
            format!("the shell's group is {own}, but the foreground group is {foreground}")
        }
    };
    require!(is_there, NoTerminal, "the shell's group in the foreground of its terminal", "{seen}");
    Ok((run, shell, told))
}

/// Waits until the caller has stopped itself.
fn stopped_caller(sandbox: &Sandbox, run: &mut Run<'_>, caller: &str) -> Checked<Option<Process>> {
    let is_caller = |it: &Process| it.state == 'T' && it.args.first().is_some_and(|word| word == b"sh");
    let has_script = |it: &Process| it.args.get(2).is_some_and(|word| word == caller.as_bytes());
    run.poll(PATIENCE, |_| Ok(sandbox.guests()?.into_iter().find(|it| is_caller(it) && has_script(it))))
}

fn require_group(sandbox: &Sandbox, pid: Pid) -> Result<Group> {
    group_of(sandbox, pid).with_context(|| format!("reading /proc/{pid}/stat"))
}

fn group_of(sandbox: &Sandbox, pid: Pid) -> Option<Group> {
    let stat = sandbox.host.read(pid, "stat").ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    // The name, in parentheses, may contain anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(2).map(str::parse);
    let (own, _session) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(Group { own, terminal: fields.next()?.ok()?, foreground: fields.next()?.ok()? })
}

impl Terminal {
    fn open() -> Checked<Terminal> {
        if lab::process::on_path("setsid").is_none() {
            return Err(cannot_run("setsid(1) is missing", "It is part of util-linux: `sudo apt install util-linux`."));
        }
        let open = || -> nix::Result<Terminal> {
            let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let path = ptsname_r(&master)?;
            // Check the path as the caller will use it: in a container it may be another devpts's.
            nix::sys::stat::stat(path.as_str())?;
            Ok(Terminal { master, path })
        };
        let cure = "A pseudoterminal needs /dev/ptmx and a devpts at /dev/pts: see pts(4).";
        open().map_err(|errno| cannot_run(format!("no pseudoterminal: {errno}"), cure))
    }

    /// Starts the program from a caller at this terminal.
    fn start<'a>(&self, sandbox: &'a Sandbox, caller: &str, command: &[&str]) -> Checked<Run<'a>> {
        let wrapper = ["sh", "-c", AT_TERMINAL, &self.path, "sh", "-c", caller, "sh"];
        sandbox.start(&Invocation { wrapper: &wrapper, ..Default::default() }, command)
    }

    fn type_line(&mut self, line: &str) {
        // The terminal's buffer holds more than these few lines.
        let _ = self.master.write_all(format!("{line}\n").as_bytes());
    }
}
