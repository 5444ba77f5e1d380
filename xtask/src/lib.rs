//! The workshop's tool, as a library: what its command line runs, and what the tests of the steps run on.
//!
//! A room each: [`workspace`] knows places, [`steps`] the steps, [`rootfs`] where `./rootfs` comes from, [`privilege`]
//! how a command gets the rights it needs, [`host`] the throwaway host; the rest are the tasks.

pub mod book;
pub mod steps;
pub mod workspace;

#[cfg(target_os = "linux")]
pub mod bench;
#[cfg(target_os = "linux")]
pub mod catalog;
#[cfg(target_os = "linux")]
pub mod check;
#[cfg(target_os = "linux")]
pub mod ci;
#[cfg(target_os = "linux")]
pub mod compare;
#[cfg(target_os = "linux")]
pub mod contract;
#[cfg(target_os = "linux")]
pub mod doctor;
#[cfg(target_os = "linux")]
pub mod escape;
#[cfg(target_os = "linux")]
pub mod fresh;
#[cfg(target_os = "linux")]
pub mod host;
#[cfg(target_os = "linux")]
pub mod json;
#[cfg(target_os = "linux")]
pub mod mounts;
pub mod namespaces;
#[cfg(target_os = "linux")]
pub mod privilege;
#[cfg(target_os = "linux")]
pub mod rootfs;
#[cfg(target_os = "linux")]
pub mod run;
#[cfg(target_os = "linux")]
pub mod soak;
#[cfg(target_os = "linux")]
pub mod stdout;
#[cfg(target_os = "linux")]
pub mod terminal;
#[cfg(target_os = "linux")]
pub mod test;
#[cfg(target_os = "linux")]
pub mod transcript;
#[cfg(target_os = "linux")]
pub mod workshop;
