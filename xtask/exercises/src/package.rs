//! Writes many programs as one package, whose programs are modules of one binary: linking fifty takes longer than all tests.
//!
//! Each program is a hard link to that binary. The binary learns from its own name which program it is, so a program that
//! starts /proc/self/exe starts itself. `cargo clippy -- -D warnings` in a package of [`starters_and_solutions`] checks what
//! learners read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::{all, without_header};

/// Returns the sources of all starters and solutions, each with its name, `dev-starter` or `dev-solution`. Sources that
/// differ in their headers only are there once.
///
/// # Errors
/// If one can't be read.
pub fn starters_and_solutions(root: &Path) -> Result<Vec<(String, String)>> {
    let mut programs = BTreeMap::new();
    for exercise in all(root)? {
        for (kind, source) in [("solution", exercise.solution(root)?), ("starter", exercise.starter(root)?)] {
            let name = format!("{}-{kind}", exercise.id);
            programs.entry(without_header(&source).to_owned()).or_insert((name, source));
        }
    }
    Ok(programs.into_values().collect())
}

/// Writes a package into `directory`. `level` is the lint level of its warnings, such as `deny`, and each of `programs` a name and
/// a source. A file that is the same already stays, so that cargo finds it fresh.
///
/// # Errors
/// If a file can't be written, or two programs have the same name.
pub fn write(directory: &Path, manifest: &str, level: &str, programs: &[(String, String)]) -> Result<()> {
    let mut main = format!("#![{level}(warnings)]\n\nuse std::process::{{ExitCode, Termination}};\n\n");
    let mut arms = String::new();
    let mut files = BTreeMap::new();
    for (index, (name, source)) in programs.iter().enumerate() {
        let _ = writeln!(main, "#[path = \"{name}.rs\"]\nmod program{index};");
        let _ = writeln!(arms, "        {name:?} => program{index}::entry().report(),");
        let source = format!("{source}\npub fn entry() -> impl std::process::Termination {{\n    main()\n}}\n");
        ensure!(files.insert(format!("{name}.rs"), source).is_none(), "two programs are called {name}");
    }
    let _ = write!(
        main,
        "\nfn main() -> ExitCode {{\n    let program = std::env::current_exe().unwrap();\n    \
         match program.file_name().unwrap().to_str().unwrap() {{\n{arms}        _ => unreachable!(),\n    }}\n}}\n"
    );
    files.insert("main.rs".to_owned(), main);
    let src = directory.join("src");
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(&src)?;
        for entry in fs::read_dir(&src)? {
            let entry = entry?;
            if !files.contains_key(entry.file_name().to_string_lossy().as_ref()) {
                fs::remove_file(entry.path())?;
            }
        }
        write_if_new(&directory.join("Cargo.toml"), manifest)?;
        files.iter().try_for_each(|(name, source)| write_if_new(&src.join(name), source))
    };
    written().with_context(|| format!("writing the package {}", directory.display()))
}

fn write_if_new(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::read_to_string(path).ok().as_deref() == Some(text) { Ok(()) } else { fs::write(path, text) }
}
