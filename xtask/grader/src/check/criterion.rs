//! What an exercise asks: a sentence, and how to tell whether it holds.

use super::behaviour::Checked;
use super::exam::Exam;
use super::look::{Judged, Look};

/// One thing that must hold.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What, as a sentence.
    pub says: &'static str,
    /// How that is told.
    pub how: How,
}

/// How to tell whether something holds.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// By the one look that all of these share.
    Look(fn(&Look) -> Judged),
    /// By a run of its own.
    Alone(fn(&Exam) -> Checked),
}

impl Check {
    /// A check that judges the look at a waiting command.
    pub const fn look(says: &'static str, judge: fn(&Look) -> Judged) -> Check {
        Check { says, how: How::Look(judge) }
    }

    /// A check that runs the program in its own way.
    pub const fn alone(says: &'static str, check: fn(&Exam) -> Checked) -> Check {
        Check { says, how: How::Alone(check) }
    }
}
