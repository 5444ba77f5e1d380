//! What all steps do when something fails under them, and what the book shows of a real Alpine.
#![cfg(target_os = "linux")]

mod alpine;
mod faults;
