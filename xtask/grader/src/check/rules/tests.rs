//! Each rule that judges evidence has a line here: a change to a correct container, and the diagnosis.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use Diagnosis::*;
use lab::mountinfo;
use lab::procfs::FileId;

use super::*;
use crate::catalog;
use crate::check::observation::Early;
use crate::check::snapshot::Baseline;
use crate::check::task::Escape;

const HOSTS_ROOT: FileId = FileId(1, 2);
const ROOTFS: FileId = FileId(1, 50);
const KINDS: [&str; 6] = ["uts", "pid", "mnt", "net", "ipc", "user"];

/// A difference from a correct container.
type Change = fn(&mut Evidence);

const FAULTS: &[(&str, Change, Diagnosis)] = &[
    ("the_command_runs", |e| e.observation = None, NeverRan),
    ("the_command_runs", |e| e.double = Some(process(13, &[13])), WrongCommand),
    ("the_command_runs", |e| container(e).is_the_shell = false, WrongCommand),
    ("input_and_output_pass_through", |e| e.stdout.clear(), OutputSwallowed),
    ("input_and_output_pass_through", |e| e.was_prompt = false, OutputSwallowed),
    ("input_and_output_pass_through", |e| e.stdout.truncate(6), InputLost),
    ("input_and_output_pass_through", |e| e.read_on = true, InputLost),
    ("stdout_and_stderr_are_two", |e| e.stderr = "ready\n".into(), StreamsJoined),
    ("stdout_and_stderr_are_two", |e| e.stdout += "aside\n", StreamsJoined),
    ("stdout_and_stderr_are_two", |e| e.aside_arrived = false, OutputSwallowed),
    ("run_waits", |e| e.ended_early = true, DidNotWait),
    ("the_status_is_passed_on", |e| e.status = ExitStatus::from_raw(0), StatusLost),
    (
        "the_status_is_passed_on",
        |e| (e.status, e.stderr) = (ExitStatus::from_raw(0), "wait4: ECHILD".into()),
        CollectedAlready,
    ),
    ("it_has_a_uts_namespace", |e| container(e).new.clear(), IsolatedNothing),
    ("it_has_a_uts_namespace", |e| container(e).new.retain(|kind| *kind != "uts"), NoUtsNamespace),
    ("it_is_called_mini_docker", |e| container(e).name = "host".into(), NotNamed),
    ("it_is_called_mini_docker", |e| container(e).name = "m".into(), BytesNotStr),
    ("it_is_called_mini_docker", |e| container(e).early.name = Some("host".into()), Late),
    ("the_host_keeps_its_name", |e| e.changes.renamed = Some("mini-docker".into()), RenamedHost),
    ("it_has_a_pid_namespace", |e| container(e).new.retain(|kind| *kind != "pid"), NoPidNamespace),
    ("it_has_a_pid_namespace", |e| (container(e).new, container(e).children_elsewhere) = (vec!["uts"], true), NoFork),
    ("it_has_a_mount_namespace", |e| container(e).new.retain(|kind| *kind != "mnt"), NoMountNamespace),
    ("it_has_a_mount_namespace", |e| container(e).tasks[1].namespaces = namespaces(1), ThreadOutside),
    ("nothing_is_left_running", |e| e.changes.processes_left.push(process(14, &[14])), ProcessesLeft),
    ("nothing_is_left_running", |e| e.changes.processes_gone.push(process(3, &[3])), KilledOnTheHost),
    ("its_root_is_the_rootfs", |e| container(e).root.0 = HOSTS_ROOT, NoChroot),
    ("its_root_is_the_rootfs", |e| container(e).root.0 = FileId(9, 9), AnotherRoot),
    ("its_working_directory_is_inside", |e| container(e).cwd_is_inside = false, ChrootWithoutChdir),
    ("its_mounts_stay_inside", |e| container(e).mounts.push(mount("/", "shared:7")), MountsShared),
    ("its_mounts_stay_inside", |e| made_private(e), HostMadePrivate),
    ("no_directory_of_the_hosts_is_mounted_in_it", |e| bound(e, "/usr", "/mnt"), HostTreeInside),
    ("no_directory_of_the_hosts_is_mounted_in_it", |e| bound(e, "/", "/old"), OldRootReachable),
    ("its_proc_is_its_own", |e| container(e).proc = ProcView::None, ProcNotMounted),
    ("its_proc_is_its_own", |e| container(e).proc = ProcView::Foreign, ProcOfTheHost),
    ("its_proc_is_read_only", |e| container(e).proc = ProcView::Own { read_only: false }, ProcWritable),
    ("its_proc_is_read_only", |e| container(e).own_mounts.push(proc("/proc/sys", "rw")), ProcSysWritable),
    ("its_proc_is_read_only", |e| container(e).early.proc = Some(ProcView::Own { read_only: false }), Late),
    ("no_mount_is_left", |e| e.changes.mounts_left.push(mount("/mnt", "")), MountsLeft),
    ("no_mount_is_left", |e| e.changes.mounts_gone.push(mount("/mnt", "")), MountsLeft),
    ("no_mount_is_left", |e| container(e).on_the_host.push(mount("/mnt", "")), MountedOnTheHost),
    ("nothing_is_above_its_root", |e| container(e).namespace_root = HOSTS_ROOT, StillEscapes),
    ("the_old_root_is_gone", |e| container(e).mounts.push(mount("/old", "")), OldRootReachable),
    ("the_old_root_is_gone", |e| container(e).mounts_underneath.push(mount("/", "")), OldRootCovered),
    ("nothing_outside_is_open", |e| escape(e, 0, "fd/3", EscapeKind::Directory), DescriptorsLeaked),
    ("nothing_outside_is_open", |e| escape(e, 0, "fd/3", EscapeKind::File), ForeignFileOpen),
    ("nothing_outside_is_open", |e| escape(e, 0, "fd/3", EscapeKind::Namespace), DescriptorsLeaked),
    ("nothing_outside_is_open", |e| escape(e, 1, "root", EscapeKind::Directory), ThreadOutside),
    ("nothing_outside_is_open", |e| escape(e, 2, "root", EscapeKind::Directory), StillEscapes),
    ("nothing_outside_is_open", |e| escape(e, 2, "cwd", EscapeKind::Directory), ChrootWithoutChdir),
    ("the_environment_is_its_own", |e| set(e, 0, "PATH=/bin\0A=drawn\0"), EnvironmentLeaked),
    ("the_environment_is_its_own", |e| set(e, 0, "PATH=/hosts\0"), EnvironmentLeaked),
    ("the_environment_is_its_own", |e| set(e, 0, "TERM=dumb\0"), NoPath),
    ("no_other_process_has_the_hosts_environment", |e| set(e, 1, "HOME=drawn\0"), EnvironmentOfProcess1),
    ("nothing_stays_in_dev", |e| e.changes.files.push("/home/me/rootfs/dev/null".into()), DevLeft),
    ("it_has_a_network_namespace", |e| container(e).new.retain(|kind| *kind != "net"), NoNetworkNamespace),
    ("it_has_an_ipc_namespace", |e| container(e).new.retain(|kind| *kind != "ipc"), NoIpcNamespace),
];

#[test]
fn a_right_container_keeps_every_rule() {
    for (name, rule) in RULES.iter().filter_map(|(name, rule)| Some((name, rule.shared()?))) {
        assert!(rule(&right()).is_ok(), "{name}: {:?}", rule(&right()));
    }
}

#[test]
fn each_rule_names_its_diagnosis() {
    for (name, change, wanted) in FAULTS {
        let mut evidence = right();
        change(&mut evidence);
        let rule = find(name).unwrap().shared().unwrap();
        match rule(&evidence) {
            Err(Error::Verdict(Verdict::Fail(failure))) => {
                assert_eq!(failure.diagnosis, *wanted, "{name}: {failure:?}")
            }
            other => panic!("{name}, which should be {wanted:?}: {other:?}"),
        }
    }
}

#[test]
fn each_rule_on_evidence_has_a_line() {
    let rules: BTreeSet<&str> =
        RULES.iter().filter(|(_, rule)| rule.shared().is_some()).map(|(name, _)| *name).collect();
    let tested: BTreeSet<&str> = FAULTS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(rules, tested);
}

#[test]
fn each_check_has_a_rule_and_each_rule_a_check() {
    let checks = catalog::exercises().unwrap().iter().flat_map(|it| &it.checks);
    let named: BTreeSet<&str> = checks.map(|it| it.rule.as_str()).collect();
    let rules: BTreeSet<&str> = RULES.iter().map(|(name, _)| *name).collect();
    let unpaired: Vec<_> = named.symmetric_difference(&rules).collect();
    assert!(unpaired.is_empty(), "a check without a rule, or a rule without a check: {unpaired:?}");
    assert_eq!(rules.len(), RULES.len(), "two rules have the same name");
}

/// Returns the evidence of a container as step 4 creates it, with a root that no process can climb out of.
fn right() -> Evidence {
    let host = Baseline {
        root: HOSTS_ROOT,
        rootfs: Some(ROOTFS),
        namespaces: namespaces(1),
        mounts: vec![mount("/", "shared:7"), proc("/proc", "rw")],
        environment: vec![("PATH", "/hosts".into()), ("HOME", "/".into())],
        directory: "/home/me".into(),
        ..Baseline::default()
    };
    let probe = Probe {
        words: ["sh", "-c", "script", "name"].map(str::to_owned).into(),
        ready: "ready".into(),
        aside: "aside".into(),
        typed: "typed".into(),
        answer: "answer".into(),
        told: 3,
    };
    let (command, first) = (process(12, &[12, 2]), process(11, &[11, 1]));
    let task = |process: &Process, tid| Task {
        process: process.clone(),
        tid,
        namespaces: namespaces(2),
        status: Default::default(),
        escapes: Vec::new(),
    };
    let read_only = ProcView::Own { read_only: true };
    let observation = Observation {
        tasks: vec![task(&command, 12), task(&first, 20), task(&first, 11)],
        environments: vec![(12, b"PATH=/bin\0TERM=dumb\0".to_vec()), (11, b"PATH=/bin\0".to_vec())],
        new: KINDS[..5].to_vec(),
        children_elsewhere: false,
        name: "mini-docker".into(),
        early: Early { name: Some("mini-docker".into()), proc: Some(read_only) },
        root: (ROOTFS, "/home/me/rootfs".into()),
        is_overlay: false,
        cwd: (ROOTFS, "/home/me/rootfs".into()),
        cwd_is_inside: true,
        namespace_root: ROOTFS,
        mounts_underneath: Vec::new(),
        mounts: vec![proc("/proc", "ro")],
        own_mounts: vec![proc("/proc", "ro")],
        on_the_host: Vec::new(),
        proc: read_only,
        is_the_shell: true,
        cgroup: String::new(),
        cgroup_is_new: false,
        process: command,
    };
    Evidence {
        host,
        probe,
        variables: vec![("HOME".into(), "drawn".into())],
        observation: Some(observation),
        status: ExitStatus::from_raw(3 << 8),
        was_prompt: true,
        aside_arrived: true,
        stdout: "ready\nanswer\n".into(),
        ..Default::default()
    }
}

fn container(evidence: &mut Evidence) -> &mut Observation {
    evidence.observation.as_mut().unwrap()
}

fn process(pid: u32, numbers: &[u32]) -> Process {
    let numbers = numbers.to_vec();
    Process { pid, numbers, parent: 0, state: 'S', is_ending: false, started: 0, args: Vec::new() }
}

/// The namespaces of the host, whose number is 1, or of a container.
fn namespaces(number: u64) -> BTreeMap<&'static str, FileId> {
    KINDS.into_iter().zip(100..).map(|(kind, inode)| (kind, FileId(number, inode))).collect()
}

fn mount(point: &str, tags: &str) -> Mount {
    mount_of("/", point, tags)
}

/// A mount of the host's file system.
fn mount_of(root: &str, point: &str, tags: &str) -> Mount {
    let tags = if tags.is_empty() { String::new() } else { format!("{tags} ") };
    mountinfo::parse(format!("30 1 8:1 {root} {point} rw {tags}- ext4 /dev/root rw\n").as_bytes()).remove(0)
}

fn proc(point: &str, options: &str) -> Mount {
    mountinfo::parse(format!("31 1 0:5 / {point} {options} - proc proc rw\n").as_bytes()).remove(0)
}

fn bound(evidence: &mut Evidence, root: &str, point: &str) {
    container(evidence).own_mounts.push(mount_of(root, point, ""));
}

fn made_private(evidence: &mut Evidence) {
    evidence.changes.mounts_gone.push(mount("/", "shared:7"));
    evidence.changes.mounts_left.push(mount("/", ""));
}

fn escape(evidence: &mut Evidence, task: usize, link: &str, kind: EscapeKind) {
    container(evidence).tasks[task].escapes.push(Escape { link: link.into(), to: "/etc/shadow".into(), kind });
}

fn set(evidence: &mut Evidence, process: usize, environment: &str) {
    container(evidence).environments[process].1 = environment.into();
}
