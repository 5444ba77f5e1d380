//! The tools that are built on first use, because compiling their libraries takes longer than everything else.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use lab::{cargo, output, workspace};

/// A package with a program of its own, and the commands that it runs.
pub struct Tool {
    /// The name of the package and of its program.
    pub package: &'static str,
    /// The commands, which are the first words of a command line.
    pub commands: &'static [&'static str],
}

/// Every tool.
pub const TOOLS: &[Tool] = &[
    Tool {
        package: "grader",
        commands: &["workshop", "check", "hint", "diff", "reset", "catch-up", "status", "compare", "class", "grade"],
    },
    Tool { package: "book", commands: &["book"] },
    Tool { package: "maintain", commands: &["bench", "soak", "ci", "dist", "finale", "machines"] },
];

/// Becomes a tool of an archive. Returns only if that fails.
fn run_built(tool: &Tool, command: &str, args: &[OsString]) -> Result<ExitCode> {
    if tool.package == "book" {
        let book = workspace::root().join("book/index.html");
        ensure!(book.is_file(), "this archive was made without the book");
        output::write(&format!("{}\n", book.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let program = workspace::programs()?.join(tool.package);
    ensure!(
        program.is_file(),
        "`{command}` isn't part of the archive: it needs a checkout of the repository, and Rust"
    );
    let called = env::args_os().next().unwrap_or_default();
    let error = Command::new(&program).arg(command).args(args).env(output::CALLED, called).exec();
    Err(error).with_context(|| format!("execve({program:?})"))
}

/// Builds a tool, and becomes it. Returns only if that fails.
///
/// # Errors
/// When cargo or the tool can't be started.
pub fn run(tool: &Tool, command: &str, args: &[OsString]) -> Result<ExitCode> {
    if workspace::IS_ARCHIVE {
        return run_built(tool, command, args);
    }
    // A guess at where the program is, used only to explain the wait.
    if !env::current_exe().is_ok_and(|exe| exe.with_file_name(tool.package).exists()) {
        eprintln!("xtask: building {}, which `{command}` needs; the first time takes a minute or so", tool.package);
    }
    let build = ["build", "--bin", tool.package, "--package", tool.package];
    // Otherwise the compiler has explained why not.
    let Some(program) = cargo::build_program(None, &build, tool.package)? else { return Ok(ExitCode::FAILURE) };
    // A tool with one command is that command.
    let command = (tool.commands.len() > 1).then_some(command);
    let error = Command::new(&program).args(command).args(args).exec();
    Err(error).with_context(|| format!("execve({program:?})"))
}
