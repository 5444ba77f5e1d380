//! `book live --check`: types every transcript that has a button in the machine, under Node, and compares the answers with the
//! snapshots.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::transcript::redact;

use super::{differences, directory, is_for_the_host};
use crate::directives::transcript::read;
use crate::workspace::Workspace;

/// Compares every such transcript, and prints the time of each.
///
/// # Errors
/// When one differs that isn't listed, or one is listed that doesn't.
pub fn check(workspace: &Workspace) -> Result<()> {
    let mut expected = BTreeMap::new();
    for path in workspace.files()? {
        let name = workspace.name(&path);
        if is_for_the_host(&name) && name.ends_with(".snap") {
            let text = read(workspace, &name, "")?;
            if text.starts_with("$ ") {
                expected.insert(name, text + "\n");
            }
        }
    }
    ensure!(!expected.is_empty(), "there are no transcripts");
    let question = |(name, text): (&String, &String)| {
        let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
        json!({ "name": name, "lines": lines })
    };
    let asked: Value = expected.iter().map(question).collect();

    let script = workspace.root.join("book/live/transcripts.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(directory(workspace)).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = node.spawn().context("starting node")?;
    node.stdin.take().context("is piped")?.write_all(asked.to_string().as_bytes())?;
    let output = node.wait_with_output()?;
    ensure!(output.status.success(), "the transcripts could not be typed in the machine");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).context("the answers of node")?;
    ensure!(answers.len() == expected.len(), "{} transcripts, but {} answers", expected.len(), answers.len());

    let listed: BTreeMap<String, String> = differences(workspace)?.into_iter().collect();
    let mut wrong = Vec::new();
    for answer in &answers {
        let (name, text) = (answer["name"].as_str().context("a name")?, answer["text"].as_str().context("a text")?);
        let actual = redact(text);
        let same = expected.get(name).context("a name that was asked for")? == &actual;
        let verdict = match (same, listed.contains_key(name)) {
            (true, false) => "same",
            (false, true) => "differs, as listed",
            (true, true) => "same, although it is listed as different",
            (false, false) => "differs",
        };
        eprintln!("{:6.2} s  {name}: {verdict}", answer["seconds"].as_f64().unwrap_or_default());
        if same == listed.contains_key(name) {
            wrong.push(format!("{name}: {verdict}; the machine answers:\n{actual}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!("book: the machine gives {} of {} transcripts exactly", answers.len() - listed.len(), answers.len());
    Ok(())
}
