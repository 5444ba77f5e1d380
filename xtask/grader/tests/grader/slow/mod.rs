//! What the everyday run of `cargo xtask test` leaves out.

mod hostile;
mod mutants;
mod programs;
