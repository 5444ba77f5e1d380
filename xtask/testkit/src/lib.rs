//! What the tests share: the throwaway host, the contract of every step, transcripts, and a terminal.
#![cfg(target_os = "linux")]

pub mod contract;
pub mod escape;
pub mod host;
pub mod terminal;
pub mod transcript;
