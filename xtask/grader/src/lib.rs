//! Grades programs by what the kernel reports about them.
#![cfg(target_os = "linux")]

pub mod catalog;
pub mod check;
pub mod compare;
mod json;
pub mod workshop;

pub(crate) use lab::mountinfo as mounts;
pub(crate) use lab::output as stdout;
pub(crate) use lab::{namespaces, privilege, rootfs, steps, workspace};
