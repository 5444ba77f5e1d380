//! For tests: a program at a terminal, and a person who types.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pseudoterminal, pty(7), with one program at it.
#[derive(Debug)]
pub struct Terminal {
    keyboard: File,
    /// The program's side, for its settings.
    device: File,
    screen: Arc<Mutex<String>>,
    child: Child,
    patience: Duration,
}

impl Terminal {
    /// Starts `command` with stdin, stdout and stderr on a terminal of 24 lines and 80 columns. Making it the controlling
    /// terminal is up to the command: see setsid(1) `--ctty`.
    ///
    /// # Errors
    /// When there is no pseudoterminal, or the command does not start.
    pub fn open(command: &mut Command) -> Result<Terminal> {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).context("openpty")?;
        // Otherwise a program that another test starts meanwhile would hold it open, too.
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).context("fcntl(F_SETFD, FD_CLOEXEC)")?;
        }
        let (keyboard, device) = (File::from(pty.master), File::from(pty.slave));
        let stdio = || device.try_clone().map(Stdio::from);
        let child =
            command.stdin(stdio()?).stdout(stdio()?).stderr(stdio()?).spawn().context("starting the command")?;

        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, written) = (keyboard.try_clone()?, Arc::clone(&screen));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // At the end of the last program a terminal reads as EIO, not as end of file.
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                written.lock().expect("no reader panics").push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
        Ok(Terminal { keyboard, device, screen, child, patience: PATIENCE })
    }

    /// Returns the terminal with another limit on how long an answer may take.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Terminal {
        self.patience = patience;
        self
    }

    /// Types `keys`, as they are: `"\n"` is Enter, `"\x03"` Ctrl-C, `"\x1a"` Ctrl-Z.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits until `text` appears, and removes it and everything before it from the screen.
    ///
    /// # Panics
    /// If it doesn't appear in time; the message contains the screen.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.until(&format!("waited for {text:?}"), |terminal| {
            let mut screen = terminal.screen.lock().expect("no reader panics");
            screen.find(text).map(|at| screen.drain(..at + text.len()).collect())
        })
    }

    /// Types `keys`, and waits until `text` appears.
    pub fn answer(&mut self, keys: &str, text: &str) -> String {
        self.type_keys(keys);
        self.wait_for(text)
    }

    /// Waits for the program to end.
    ///
    /// # Panics
    /// If it doesn't end in time; the message contains the screen.
    pub fn wait(&mut self) -> ExitStatus {
        self.until("the program does not end", |terminal| terminal.child.try_wait().expect("our child"))
    }

    fn until<T>(&mut self, what: &str, mut attempt: impl FnMut(&mut Terminal) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = attempt(self) {
                return found;
            }
            let screen = self.screen.lock().expect("no reader panics").clone();
            assert!(start.elapsed() < self.patience, "{what}, but the terminal shows:\n{screen}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Makes the window `columns` wide. The kernel reports that to the foreground process group with SIGWINCH.
    ///
    /// # Panics
    /// When stty(1) fails.
    pub fn resize(&mut self, columns: u16) {
        let device = self.device.try_clone().expect("the terminal is open");
        let stty = Command::new("stty").args(["cols", &columns.to_string()]).stdin(device).status();
        assert!(stty.expect("there is an stty").success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
