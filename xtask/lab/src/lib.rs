//! What everything else stands on: the throwaway host, the rootfs, privileges, readers of /proc, and cargo's answers.
//!
//! A throwaway host and a probe need processes of their own, and start this same program for them. So every program that
//! uses this library calls [`reexec`] first.
#![cfg(target_os = "linux")]

pub mod advice;
pub mod cargo;
pub mod choice;
pub mod environment;
pub mod host;
pub mod machine;
pub mod mountinfo;
pub mod namespaces;
pub mod output;
pub mod privilege;
pub mod probe;
pub mod process;
pub mod procfs;
pub mod rootfs;
pub mod steps;
pub mod target;
pub mod workspace;

use std::process::ExitCode;

/// Runs what another process of ours started this program for: a process of a throwaway host, or a probe. Returns its exit
/// status, or `None` if this program was started by somebody else.
pub fn reexec() -> Option<ExitCode> {
    host::reexec().or_else(probe::reexec)
}
