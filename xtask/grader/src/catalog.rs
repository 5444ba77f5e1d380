//! The exercises and the diagnoses of this repository, each read once.

use std::sync::LazyLock;

use anyhow::{Result, anyhow};
use exercises::{Diagnosis, Exercise};
use lab::workspace;

/// Returns all exercises, in their order.
///
/// # Errors
/// If one can't be read or is wrong.
pub fn exercises() -> Result<&'static [Exercise]> {
    static ALL: LazyLock<Result<Vec<Exercise>>> = LazyLock::new(|| exercises::all(workspace::root()));
    ALL.as_deref().map_err(|error| anyhow!("{error:#}"))
}

/// Returns all diagnoses.
///
/// # Errors
/// If they can't be read or are wrong.
pub fn diagnoses() -> Result<&'static [Diagnosis]> {
    static ALL: LazyLock<Result<Vec<Diagnosis>>> = LazyLock::new(|| exercises::diagnoses(workspace::root()));
    ALL.as_deref().map_err(|error| anyhow!("{error:#}"))
}

/// Finds an exercise by its id, its order or its step.
///
/// # Errors
/// Those of [`exercises::find`].
pub fn exercise(wanted: &str) -> Result<&'static Exercise> {
    exercises::find(exercises()?, wanted)
}
