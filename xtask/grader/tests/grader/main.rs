//! The grader is tested: by wrong programs, by right ones of every shape, and by what a learner meets.
#![cfg(target_os = "linux")]

mod checker;
mod compare;
mod jail;
mod slow;
mod starters_and_solutions;
mod workshop;
