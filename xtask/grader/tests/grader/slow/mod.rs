//! What takes long. The everyday run of `cargo xtask test` leaves out the tests that are marked `#[ignore]`.

mod corpus;
mod hostile;
