//! Throwaway hosts for tests: each command runs on a host of its own, in a directory with a rootfs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use lab::{cargo, rootfs};

pub use lab::privilege::TEST_PRIVILEGE as PRIVILEGE;

/// A kind of throwaway host, and the directory that commands on it start in.
#[derive(Clone, Debug)]
pub struct Host {
    xtask: PathBuf,
    /// The directory that commands start in.
    pub directory: PathBuf,
    privilege: Option<OsString>,
}

impl Host {
    /// A throwaway host whose commands start in a directory with a pristine rootfs.
    ///
    /// # Panics
    /// If the machine can't make one. A test that can't run fails with a message that explains what to do.
    pub fn new() -> Host {
        let directory = rootfs::test_directory().unwrap_or_else(|error| panic!("{error:#}"));
        Host { xtask: xtask().to_owned(), directory, privilege: env::var_os(PRIVILEGE) }
    }

    /// The same, with another working directory.
    pub fn in_directory(self, directory: &Path) -> Host {
        Host { directory: directory.to_owned(), ..self }
    }

    /// The same, without a user namespace, which only root can have.
    pub fn as_root(self) -> Host {
        Host { privilege: Some("root".into()), ..self }
    }

    /// The same, in a user namespace, even if the tests were asked to do without.
    pub fn as_user(self) -> Host {
        Host { privilege: Some("user".into()), ..self }
    }

    /// True if the rootfs is made of a BusyBox, as Alpine's is; false if it is made of this machine's own programs.
    pub fn has_busybox(&self) -> bool {
        self.directory.join("rootfs/bin/busybox").exists()
    }

    /// Returns a command on the throwaway host, by name (the steps' programs are on its PATH) or by path.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(&self.xtask);
        command.args(["host", "--die-with-parent"]);
        if let Some(privilege) = &self.privilege {
            command.arg("--privilege").arg(privilege);
        }
        // A backtrace in an error message would depend on the environment of the tests.
        command.arg("--").arg(program).current_dir(&self.directory).env_remove("RUST_BACKTRACE");
        command
    }

    /// Returns a shell script on the throwaway host.
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

/// Returns the xtask program. All the steps are next to it, built from their current source: by `cargo xtask test`, or now, because
/// `cargo test` of one package wouldn't build them.
pub fn xtask() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        env::var_os(cargo::TEST_PROGRAM).map(PathBuf::from).unwrap_or_else(|| {
            let programs = cargo::steps_and(&["xtask"]).unwrap_or_else(|error| panic!("{error:#}"));
            programs["xtask"].clone()
        })
    });
    &PROGRAM
}

/// Returns an example of a package, built from its current source. `cargo test --test` wouldn't build it.
///
/// # Panics
/// If it can't be built.
pub fn example(package: &str, name: &str) -> PathBuf {
    build(None, &["build", "--quiet", "--package", package, "--example", name], name)
}

/// Returns a program of another package than this workspace's, without a warning of clippy's. What it has in common with this
/// workspace isn't built again.
///
/// # Panics
/// If it can't be built, or there is a warning.
pub fn program_of(manifest: &Path, name: &str) -> PathBuf {
    let target = cargo::target_directory().unwrap_or_else(|error| panic!("{error:#}"));
    let target = target.to_string_lossy();
    let options =
        |command: &str| [command.into(), "--quiet".into(), "--offline".into(), format!("--target-dir={target}")];
    let lints = ["--", "--deny", "warnings"].map(String::from);
    let checked = cargo::build(Some(manifest), &[&options("clippy")[..], &lints].concat());
    checked.unwrap_or_else(|error| panic!("{error:#}")).unwrap_or_else(|| panic!("{name} has warnings, see above"));
    build(Some(manifest), &options("build"), name)
}

fn build<S: AsRef<OsStr>>(manifest: Option<&Path>, args: &[S], name: &str) -> PathBuf {
    static BUILD: Mutex<()> = Mutex::new(());
    // One at a time, or all but one would report that they wait for cargo's lock.
    let _guard = BUILD.lock();
    let built = cargo::build_program(manifest, args, name);
    built.unwrap_or_else(|error| panic!("{error:#}")).unwrap_or_else(|| panic!("can't build {name}"))
}
