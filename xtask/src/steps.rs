//! The steps found on disk, their order and their titles. A new step is a new folder, and no change here.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The step from which on a program needs a root file system: the one that brings chroot(2).
const FIRST_WITH_ROOTFS: u32 = 3;

/// One stage of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the order, from 1.
    pub number: u32,
    /// The name of its folder, its package and its program, such as `step03-chroot`.
    pub name: String,
    /// What its source says of itself in the first line, such as `a file system of its own`.
    pub title: String,
}

impl Step {
    /// Does its program change its root to `./rootfs`?
    pub fn needs_rootfs(&self) -> bool {
        self.number >= FIRST_WITH_ROOTFS
    }

    /// The name without what it is about: `step03`.
    pub fn short(&self) -> &str {
        self.name.split('-').next().unwrap_or(&self.name)
    }
}

/// The steps, in their order.
///
/// # Errors
/// When the workspace can't be read.
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

/// The step that `wanted` names: `step03-chroot`, `step03`, `step3`, `03`, `3` and `chroot` are all the same.
///
/// # Errors
/// When there is none of that name; the message lists the steps, and the nearest if one is near.
pub fn find(wanted: &str) -> Result<Step> {
    let steps = all()?;
    let number = wanted.strip_prefix("step").unwrap_or(wanted).parse();
    let named = |step: &&Step| {
        number == Ok(step.number)
            || wanted == step.name
            || step.name.split_once('-').is_some_and(|(_, it)| it == wanted)
    };
    if let Some(step) = steps.iter().find(named) {
        return Ok(step.clone());
    }
    let likeness =
        |step: &&Step| strsim::jaro_winkler(wanted, &step.name).max(strsim::jaro_winkler(wanted, step.short()));
    let nearest = steps.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|step| likeness(step) > 0.8);
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    match nearest {
        Some(step) => {
            bail!("there is no step '{wanted}': did you mean '{}'? (steps: {})", step.short(), names.join(", "))
        }
        None => bail!("there is no step '{wanted}' (steps: {})", names.join(", ")),
    }
}
