//! The page that the bench writes: Markdown, for the book and for a terminal.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::contenders::{Contender, version};
use super::numbers::{Race, Spread, table};
use super::track::NOTHING;
use super::{Findings, Results};

/// Renders everything that was measured.
pub fn page(results: &Results) -> String {
    let mut page = String::from(
        "<!-- Written by `cargo xtask bench --write`. Don't edit it: measure again. -->\n\n\
         # Measured {#measured}\n\n\
         What does a container of step 4 cost, and what do others take for the same? Each figure in the first tables is a ratio: \
         a run of ours and one of the peer's took turns, and the ratio was taken pair by pair. Told are the median and, in \
         parentheses, the quartiles. Below 1 ours is faster. Such a ratio stands a busy machine better than milliseconds do, \
         which are here only to give the size. `cargo xtask bench` measures the same on yours.\n\n",
    );
    let machine: Vec<Vec<String>> =
        results.machine.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect();
    page += &table(&["", "measured on"], &machine);
    let _ = write!(page, "\nEach race had {} pairs of runs, after a warm-up.\n\n", results.runs);

    page += "## The same container, by others {#measured-peers}\n\n\
        Everybody makes a new UTS, PID and mount namespace, makes the same `rootfs` the root, mounts a /proc, runs `/bin/true` \
        in there and waits for it. Before the races each container was looked at from outside: its namespaces, its root, \
        its hostname, its /proc, and its exit status.\n\n";
    for findings in &results.findings {
        page += &races(results, findings);
    }
    page += NOTES;
    if !results.missing.is_empty() || results.findings.iter().any(|it| !it.failed.is_empty()) {
        page += &absent(results);
    }

    page += "## What they are made of {#measured-size}\n\n\
        The size of the program; the largest resident memory of each of its processes while the command runs, without the \
        command's own; and the system calls of one run as `strace -f -c` counts them, the command's included. `rt_sigaction` \
        is what a C library does before an exec, a call for each signal.\n\n";
    page += &sizes(results);

    page += "\n## What each step adds {#measured-steps}\n\n\
        Each step in turn with the one before. They run the same program, which does nothing and needs no library; the first \
        is measured against that program alone.\n\n";
    for findings in &results.findings {
        page += &steps(results, findings);
    }

    page += "## The tool {#measured-tool}\n\n\
        When nothing has changed, `cargo xtask run step04 -- true` in turn with `cargo run --quiet` of an empty program without a \
        dependency: the least that any `cargo run` does.\n\n";
    page += &tool(results);
    page
}

const NOTES: &str = "\
- `unshare` gives the container no name, and execs the command itself as process 1: no init, nobody to reap orphans.\n\
- The C floor does the same with nothing around it: one clone, five calls, one exec; in C, linked statically.\n\
- `step04` is what `cargo build --release` makes here. Static: the same source with \
  `RUSTFLAGS='-C target-feature=+crt-static'`, which takes a static C library, and not every machine has one. musl: the same \
  source for another target of rustup's. So neither is what the workspace asks for.\n\
- crun and runc need a bundle, and keep a state on disk; runc makes a cgroup besides, where it can.\n\
- The Go program is our design once more, in Go: the source is in `xtask/maintain/bench/go`.\n\
- In a user namespace: all of them in the same one, made before. Making it is not in the figures.\n\
- On a virtual machine a start of any program that uses glibc costs more than elsewhere: glibc asks the CPU for the size of its \
  caches, and each such question (CPUID) is answered by the hypervisor. Ours starts twice, `unshare` once, and what does not \
  use glibc never.\n\n";

fn races(results: &Results, findings: &Findings) -> String {
    let ours: Vec<&Contender> = results.ours.iter().filter(|it| findings.seen.contains_key(&it.name)).collect();
    let mut head = vec!["beside".to_owned()];
    head.extend(ours.iter().map(|our| format!("`{}`", our.name)));
    head.extend(["theirs, ms".to_owned(), "new namespaces".to_owned()]);
    let mut rows = Vec::new();
    for peer in results.peers.iter().filter(|it| findings.seen.contains_key(&it.name)) {
        let race = |our: &Contender| findings.races.get(&(our.name.clone(), peer.name.clone()));
        let ratio = |our: &&Contender| show(race(our).and_then(Race::ratio), 2);
        let mut row = vec![peer.name.clone()];
        row.extend(ours.iter().map(ratio));
        row.push(show(ours.first().and_then(|our| race(our)).and_then(Race::second), 2));
        row.push(findings.seen[&peer.name].namespaces.clone());
        rows.push(row);
    }
    if let Some((first, others)) = ours.split_first() {
        let mut row = vec![first.name.clone(), String::new()];
        let race = |our: &Contender| findings.races.get(&(our.name.clone(), first.name.clone()));
        row.extend(others.iter().map(|our| show(race(our).and_then(Race::ratio), 2)));
        let with_itself = findings.races.iter().find(|((our, _), _)| *our == first.name);
        row.push(show(with_itself.and_then(|(_, race)| race.first()), 2));
        row.push(findings.seen[&first.name].namespaces.clone());
        rows.push(row);
    }
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    format!("Ours by theirs, {}:\n\n{}\n", findings.place, table(&head, &rows))
}

fn absent(results: &Results) -> String {
    let mut text = String::from("Not in the tables:\n\n");
    for missing in &results.missing {
        let _ = writeln!(text, "- {}: {}", missing.name, missing.cure);
    }
    for findings in &results.findings {
        for (name, why) in &findings.failed {
            let _ = writeln!(text, "- {name}, {}: it failed: {why}", findings.place);
        }
    }
    text + "\n"
}

fn sizes(results: &Results) -> String {
    let size = |program: &Path| fs::metadata(program).map_or(String::new(), |it| format!("{}", it.len() / 1024));
    let mut rows = Vec::new();
    for contender in results.ours.iter().chain(&results.peers) {
        // The first place where it ran.
        let Some(findings) = results.findings.iter().find(|it| it.seen.contains_key(&contender.name)) else { continue };
        let memory: Vec<String> = findings.seen[&contender.name].memory.iter().map(u64::to_string).collect();
        let calls = findings.calls.get(&contender.name);
        rows.push(vec![
            contender.name.clone(),
            version_of(contender),
            size(&contender.program),
            memory.join(" + "),
            calls.map_or("no strace".into(), |calls| calls.all.to_string()),
            calls.map_or(String::new(), |calls| calls.rt_sigaction.to_string()),
        ]);
    }
    table(&["", "version", "size, KiB", "memory, KiB", "system calls", "of them rt_sigaction"], &rows)
}

fn version_of(contender: &Contender) -> String {
    if contender.program.starts_with(lab::cargo::target_directory().unwrap_or_default()) {
        return "built here".into();
    }
    let line = version(&contender.program, &["--version"]).unwrap_or_default();
    let digits = |word: &&str| word.starts_with(|it: char| it.is_ascii_digit());
    line.split_whitespace().find(digits).unwrap_or("unknown").to_owned()
}

fn steps(results: &Results, findings: &Findings) -> String {
    let mut before = NOTHING.to_owned();
    let alone = findings.races.iter().find(|((_, other), _)| other == NOTHING);
    let alone = show(alone.and_then(|(_, race)| race.second()), 2);
    let mut rows = vec![vec!["no container".to_owned(), String::new(), String::new(), alone]];
    for step in &results.steps {
        let name = step.short().to_owned();
        let race = findings.races.get(&(name.clone(), before.clone()));
        let against = if before == NOTHING { "no container" } else { before.as_str() };
        rows.push(vec![
            format!("{name}, against {against}"),
            show(race.and_then(Race::ratio), 2),
            show(race.and_then(Race::difference), 2),
            show(race.and_then(Race::first), 2),
        ]);
        before = name;
    }
    let head = ["step", "ratio", "more, ms", "itself, ms"];
    format!("{}:\n\n{}\n", upper_first(findings.place), table(&head, &rows))
}

fn upper_first(text: &str) -> String {
    text[..1].to_uppercase() + &text[1..]
}

fn tool(results: &Results) -> String {
    let race = &results.warm;
    let row = vec![
        "`cargo xtask run`, warm".to_owned(),
        show(race.ratio(), 2),
        show(race.first(), 1),
        show(race.second(), 1),
    ];
    let mut text = table(&["", "by a bare `cargo run`", "itself, ms", "the bare one, ms"], &[row]);
    if !results.tasks.is_empty() {
        text += "\nOnce each, with the crates downloaded before; in seconds:\n\n";
        let rows: Vec<Vec<String>> = results
            .tasks
            .iter()
            .map(|task| {
                let seconds = |time: std::time::Duration| format!("{:.1}", time.as_secs_f64());
                vec![task.name.to_owned(), seconds(task.cpu), seconds(task.wall)]
            })
            .collect();
        text += &table(&["", "CPU", "elapsed"], &rows);
    }
    text
}

fn show(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| "–".into(), |spread| spread.show(digits))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::contenders::{Missing, ours, peers};
    use super::super::track::Seen;
    use super::*;

    #[test]
    fn the_page_tells_ratios_who_is_missing_and_who_failed() {
        let room = Path::new("/no/such/room");
        let pair = |a, b| (Duration::from_millis(a), Duration::from_millis(b));
        let mut findings = Findings { place: "as root", ..Default::default() };
        findings.seen.insert("step04".into(), Seen { namespaces: "mnt pid uts".into(), memory: vec![2000, 1900] });
        findings.failed.insert("crun".into(), "exit status: 1".into());
        let race = Race { pairs: vec![pair(1, 2), pair(2, 4), pair(3, 6)] };
        findings.seen.insert("unshare".into(), Seen { namespaces: "mnt pid uts".into(), memory: vec![900] });
        findings.races.insert(("step04".into(), "unshare".into()), race.clone());
        let results = Results {
            machine: vec![("kernel", "6.1".into())],
            runs: 3,
            ours: ours(room, Path::new("/no/such/step04")),
            peers: peers(room).0,
            missing: vec![Missing { name: "podman".into(), cure: "`sudo apt install podman`".into() }],
            steps: Vec::new(),
            findings: vec![findings],
            warm: race,
            tasks: Vec::new(),
        };
        let page = page(&results);
        assert!(page.starts_with("<!-- Written by `cargo xtask bench --write`."), "{page}");
        assert!(page.contains("| kernel |"), "{page}");
        assert!(page.contains("| unshare | 0.50 (0.50–0.50) | 4.00 (3.00–5.00) |"), "{page}");
        assert!(page.contains("- podman: `sudo apt install podman`\n"), "{page}");
        assert!(page.contains("- crun, as root: it failed: exit status: 1\n"), "{page}");
    }
}
