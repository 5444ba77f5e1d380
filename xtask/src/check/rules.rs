//! The rules, by the names that the exercises' `checks` give them.

use anyhow::{Context, Result};
use exercises::Exercise;

use super::behaviour::{self, Checked, escape, files, limits, network, rights};
use super::exam::Exam;
use super::look::{self, Judged, Look};

/// Judges the look at a waiting command.
pub type Judge = fn(&Look) -> Judged;

/// How to tell whether something holds.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// From the one look at a waiting command that all of these share.
    Look(Judge),
    /// By a run of its own.
    Alone(fn(&Exam) -> Checked),
}

macro_rules! rules {
    ($($kind:ident $module:ident: $($name:ident),+;)*) => {
        const RULES: &[(&str, Rule)] = &[$($((stringify!($name), Rule::$kind($module::$name)),)+)*];
    };
}

rules! {
    Look look: the_command_runs, input_and_output_pass_through, stdout_and_stderr_are_two, run_waits, the_status_is_passed_on,
        it_has_a_uts_namespace, it_is_called_mini_docker, the_host_keeps_its_name,
        it_has_a_pid_namespace, it_has_a_mount_namespace, nothing_is_left_running,
        its_root_is_the_rootfs, its_working_directory_is_inside, its_mounts_stay_inside,
        its_proc_is_its_own, its_proc_is_read_only, no_mount_is_left,
        nothing_is_above_its_root, the_old_root_is_gone, nothing_outside_is_open;
    Alone behaviour: output_keeps_its_order, signals_are_reported, not_found_is_127, orphans_are_reaped,
        living_orphans_are_not_waited_for, a_killed_run_leaves_nothing, the_environment_is_its_own,
        process_1_has_none_of_it_either, the_hostname_can_be_chosen, flags_end_at_the_command;
    Alone files: its_descriptors_are_its_own, dev_null_swallows, nothing_stays_in_dev, a_volume_is_there,
        a_volume_can_be_read_only, what_it_writes_is_gone;
    Alone escape: the_attack_gets_out;
    Alone rights: it_needs_no_rights;
    Alone limits: its_processes_are_limited;
    Look network: it_has_a_network_namespace;
    Alone network: it_has_a_loopback, it_reaches_the_host;
}

/// Returns the rule that an exercise names.
///
/// # Errors
/// If there is none of that name.
pub fn find(name: &str) -> Result<Rule> {
    let rule = RULES.iter().find(|(it, _)| *it == name);
    rule.map(|(_, rule)| *rule).with_context(|| format!("there is no rule `{name}`"))
}

/// Returns the rules of some exercises that share one look, in their order.
///
/// # Errors
/// If there is no rule of that name.
pub fn on_look(exercises: &[&Exercise]) -> Result<Vec<Judge>> {
    let mut judges = Vec::new();
    for check in exercises.iter().flat_map(|it| &it.checks) {
        if let Rule::Look(judge) = find(&check.rule)? {
            judges.push(judge);
        }
    }
    Ok(judges)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalog;

    #[test]
    fn each_check_has_a_rule_and_each_rule_a_check() {
        let checks = catalog::exercises().unwrap().iter().flat_map(|it| &it.checks);
        let named: BTreeSet<&str> = checks.map(|it| it.rule.as_str()).collect();
        let rules: BTreeSet<&str> = RULES.iter().map(|(name, _)| *name).collect();
        let unpaired: Vec<_> = named.symmetric_difference(&rules).collect();
        assert!(unpaired.is_empty(), "a check without a rule, or a rule without a check: {unpaired:?}");
        assert_eq!(rules.len(), RULES.len(), "two rules have the same name");
    }
}
