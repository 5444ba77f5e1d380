//! What the everyday run of `cargo xtask test` leaves out.

mod cheats;
mod hostile;
mod mutants;
mod shapes;
