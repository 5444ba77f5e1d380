//! Finds the steps on disk, with their order and titles. A new step is a new directory, and no change here.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{output, workspace};

/// The first step that needs a root file system: the one that introduces chroot(2).
const FIRST_WITH_ROOTFS: u32 = 3;

/// A step of the lesson.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the order, from 1.
    pub number: u32,
    /// The name of its directory, its package and its program, such as `step03-chroot`.
    pub name: String,
    /// The first line of its source, such as `a file system of its own`.
    pub title: String,
}

impl Step {
    /// True if its program changes its root to `./rootfs`.
    pub fn needs_rootfs(&self) -> bool {
        self.number >= FIRST_WITH_ROOTFS
    }

    /// Returns the name without its topic: `step03`.
    pub fn short(&self) -> &str {
        self.name.split('-').next().unwrap_or(&self.name)
    }
}

/// Returns the steps, in their order.
pub fn all() -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for entry in fs::read_dir(workspace::root()).context("reading the workspace")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let digits = name.strip_prefix("step").and_then(|rest| rest.split('-').next());
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else { continue };
        let Ok(source) = fs::read_to_string(entry.path().join("src/main.rs")) else { continue };
        let first = source.lines().next().unwrap_or_default();
        let title = first.split_once(": ").map_or(first, |(_, title)| title).trim_end_matches('.').to_owned();
        steps.push(Step { number, name, title });
    }
    steps.sort_by_key(|step| step.number);
    Ok(steps)
}

/// Returns the step that `wanted` names: `step03-chroot`, `step03`, `step3`, `03`, `3` and `chroot` are the same. The error
/// lists the steps, and suggests the nearest.
pub fn find(wanted: &str) -> Result<Step> {
    let steps = all()?;
    let number = wanted.strip_prefix("step").unwrap_or(wanted).parse();
    let named = |step: &&Step| {
        let topic = step.name.split_once('-').map(|(_, topic)| topic);
        number == Ok(step.number) || wanted == step.name || topic == Some(wanted)
    };
    if let Some(step) = steps.iter().find(named) {
        return Ok(step.clone());
    }
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    // A number that is too high is not a typo.
    let known = steps.iter().filter(|_| number.is_err()).flat_map(|step| [step.short(), &step.name]);
    bail!("there is no step '{wanted}'{} (steps: {})", output::suggestion(wanted, known), names.join(", "))
}
