//! The grader gives wrong and right programs of every shape a fitting verdict, and its commands do what the help says.
#![cfg(target_os = "linux")]

mod checker;
mod compare;
mod jail;
mod slow;
mod starters_and_solutions;
mod workshop;
