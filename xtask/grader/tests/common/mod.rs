//! Builds programs that are no part of the workspace: starters, solutions, mutants. All of a test's are one package, so that
//! cargo is started once; and it shares the workspace's target folder and locked versions, so that no library is built twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::{workshop, workspace};

/// How programs are to be linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// As usual.
    Dynamically,
    /// For a rootfs that has no such libraries.
    Statically,
}

/// A package of programs.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// Its name, which no other test's package may have.
    pub name: &'a str,
    /// How its programs are linked.
    pub linked: Linked,
    /// Is a warning an error?
    pub no_warnings: bool,
}

impl Package<'_> {
    /// Builds programs, each a name and a source, and gives the folder that they are in. In there the name of each begins with
    /// that of the package: `PACKAGE-NAME`.
    ///
    /// # Panics
    /// When one of them can't be built.
    pub fn build<'s>(self, programs: impl IntoIterator<Item = (&'s str, &'s str)>) -> PathBuf {
        let folder = workspace::target().join("test-programs").join(self.name);
        let sources = folder.join("src/bin");
        fs::create_dir_all(&sources).unwrap();
        write_if_new(&folder.join("Cargo.toml"), &self.manifest());
        fs::copy(workspace::root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let mut names = Vec::new();
        for (name, source) in programs {
            names.push(format!("{}-{name}", self.name));
            write_if_new(&sources.join(format!("{}-{name}.rs", self.name)), source);
        }
        for entry in fs::read_dir(&sources).unwrap() {
            let path = entry.unwrap().path();
            if !names.iter().any(|name| path.file_stem().is_some_and(|it| it == name.as_str())) {
                fs::remove_file(path).unwrap();
            }
        }
        match self.linked {
            Linked::Dynamically => self.cargo(&folder, &["build"], &[]),
            Linked::Statically => {
                for name in &names {
                    self.cargo(&folder, &["rustc", "--bin", name], &["--", "-C", "target-feature=+crt-static"]);
                }
            }
        }
        workspace::programs().unwrap()
    }

    fn cargo(self, folder: &Path, words: &[&str], last: &[&str]) {
        let programs = workspace::programs().unwrap();
        let mut cargo = Command::new(workspace::cargo());
        cargo.args(words).args(["--quiet", "--offline", "--target-dir"]).arg(workspace::target());
        cargo.args(programs.ends_with("release").then_some("--release")).args(last).current_dir(folder);
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
    }

    fn manifest(self) -> String {
        let warnings = if self.no_warnings { "deny" } else { "allow" };
        let manifest = workshop::manifest(self.name).unwrap_or_else(|error| panic!("{error:#}"));
        format!("{manifest}\n[lints.rust]\nwarnings = \"{warnings}\"\n")
    }
}

/// cargo goes by the time of a file.
fn write_if_new(path: &Path, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).unwrap();
    }
}
