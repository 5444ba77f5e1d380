//! The exercises and the diagnoses of this repository, each read once.

use std::sync::OnceLock;

use anyhow::Result;
use exercises::{Diagnosis, Exercise};

use crate::workspace;

/// Returns all exercises, in their order.
///
/// # Errors
/// If one can't be read or is wrong.
pub fn exercises() -> Result<&'static [Exercise]> {
    static EXERCISES: OnceLock<Vec<Exercise>> = OnceLock::new();
    once(&EXERCISES, || exercises::all(workspace::root()))
}

/// Returns all diagnoses.
///
/// # Errors
/// If they can't be read or are wrong.
pub fn diagnoses() -> Result<&'static [Diagnosis]> {
    static DIAGNOSES: OnceLock<Vec<Diagnosis>> = OnceLock::new();
    once(&DIAGNOSES, || exercises::diagnoses(workspace::root()))
}

/// Finds an exercise by its id, its order or its step.
///
/// # Errors
/// Those of [`exercises::find`].
pub fn exercise(wanted: &str) -> Result<&'static Exercise> {
    exercises::find(exercises()?, wanted)
}

fn once<T>(cell: &'static OnceLock<Vec<T>>, read: impl FnOnce() -> Result<Vec<T>>) -> Result<&'static [T]> {
    if let Some(all) = cell.get() {
        return Ok(all);
    }
    let all = read()?;
    Ok(cell.get_or_init(|| all))
}
