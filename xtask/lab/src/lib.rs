//! The base of everything else: the throwaway host, the rootfs, privileges, parsers of /proc, and questions to cargo.
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

/// If another process of ours started this program as a part of a throwaway host or as a probe, runs that part and returns its exit
/// status. Otherwise returns `None`.
pub fn reexec() -> Option<ExitCode> {
    workspace::root();
    host::reexec().or_else(probe::reexec)
}
