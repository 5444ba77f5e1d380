//! What the tests share: the throwaway host, the contract of every step, transcripts, a terminal, and programs.
#![cfg(target_os = "linux")]

pub mod contract;
pub mod escape;
pub mod host;
pub mod program;
pub mod terminal;
pub mod transcript;
