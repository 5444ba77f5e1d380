//! Help, typos, and the names of steps.

use std::fs;
use std::process::Command;

use lab::{cargo, steps, workspace};

use crate::{XTASK, on_host, text, xtask};

/// The commands that this program runs itself. Those of the other tools are tested there.
const OWN: [&str; 5] = ["run", "host", "rootfs", "doctor", "test"];

#[test]
fn every_command_explains_itself_in_80_columns() {
    let help = text(&xtask(&["--help"]).stdout);
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    for command in OWN {
        assert!(help.contains(&format!("  {command} ")), "{help}");
        let output = xtask(&[command, "--help"]);
        let text = text(&output.stdout);
        assert!(output.status.success() && text.contains(&format!("Usage: cargo xtask {command}")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

#[test]
fn a_typo_gets_a_suggestion_and_status_2() {
    for (args, part) in [
        (&["foo"][..], "there is no command 'foo'\n"),
        (&["run", "minee"], "there is no step 'minee': did you mean 'mine'?"),
        (&["rum", "step01"], "there is no command 'rum': did you mean 'run'?"),
        (&["run", "stpe03"], "there is no step 'stpe03': did you mean 'step03'?"),
        (&["run", "step5"], "there is no step 'step5' (steps: step01-uts, step02-pid, step03-chroot, step04-proc)"),
        (&["run", "--privelege", "user", "1"], "there is no option --privelege: did you mean --privilege?"),
        (&["run", "--privilege", "users", "1"], "--privilege takes auto, user, root, sudo, not 'users'"),
        (&["host", "--privilege", "sudo"], "--privilege takes auto, user, root, not 'sudo'"),
        (&["rootfs", "--sorce", "host"], "did you mean --source?"),
        (&["rootfs", "host"], "an argument too many: 'host'"),
        (&["run"], "\n  step01-uts     a hostname of its own\n"),
        (&[], "Usage: cargo xtask <COMMAND>"),
    ] {
        let output = xtask(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(part), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn help_and_the_version_are_commands_and_options() {
    for (one, other) in [
        (&["help", "run"][..], &["run", "--help"][..]),
        (&["help"], &["--help"]),
        (&["help", "--help"], &["--help"]),
        (&["-V"], &["--version"]),
    ] {
        assert_eq!(xtask(one).stdout, xtask(other).stdout);
        assert!(xtask(one).status.success() && !xtask(one).stdout.is_empty(), "{one:?}");
    }
}

#[test]
fn the_command_of_another_tool_gets_its_arguments() {
    let help = text(&xtask(&["hint", "--help"]).stdout);
    assert!(help.contains("Usage: cargo xtask hint") && help.contains("--statement"), "{help}");
}

#[test]
fn a_step_has_many_names() {
    for name in ["step03-chroot", "step03", "step3", "03", "3", "chroot"] {
        assert_eq!(steps::find(name).unwrap().name, "step03-chroot", "{name}");
    }
    let steps = steps::all().unwrap();
    assert_eq!(steps.iter().map(|step| step.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(steps.iter().all(|step| !step.title.is_empty()));
}

#[test]
fn a_reader_may_stop_at_the_first_line() {
    for command in ["doctor", "--help", "run 1 -- yes", "host --die-with-parent -- yes"] {
        let output = on_host(&format!("'{XTASK}' {command} | head -n 1"));
        assert!(output.status.success() && !text(&output.stdout).is_empty(), "{command}");
        assert_eq!(text(&output.stderr), "", "{command}");
    }
}

#[test]
fn a_clone_with_core_autocrlf_has_the_same_lines() {
    let clone = cargo::target_directory().unwrap().join("test-autocrlf");
    let _ = fs::remove_dir_all(&clone);
    let files = ["step01-uts/src/main.rs", "xtask/exercises/uts/text.md", "xtask/exercises/diagnoses.md"];
    // Only those files, because a whole clone takes long.
    let script = format!(
        "git -c safe.directory='*' clone --quiet --shared --no-checkout --config core.autocrlf=true \"$1\" \"$2\" &&
         cd \"$2\" && git checkout --quiet HEAD -- .gitattributes {}",
        files.join(" ")
    );
    let status = Command::new("sh").args(["-c", &script, "sh"]).args([workspace::root(), &clone]).status();
    assert!(status.unwrap().success(), "{script}");
    for file in files {
        assert!(!fs::read_to_string(clone.join(file)).unwrap().contains('\r'), "{file}");
    }
    fs::remove_dir_all(clone).unwrap();
}

#[test]
fn the_book_explains_each_line_of_the_doctor() {
    let chapter = fs::read_to_string(workspace::root().join("book/text/set-up.md")).unwrap();
    let (_, section) = chapter.split_once("{#doctor}").unwrap();
    let explained: Vec<&str> = section.lines().filter_map(|row| row.strip_prefix("| ")?.split(" | ").next()).collect();
    let report = text(&xtask(&["doctor"]).stdout);
    let lines = report.lines().filter_map(|line| line.strip_prefix("  ")?.get(5..22)).map(str::trim);
    let unknown: Vec<&str> = lines
        .filter(|name| !name.is_empty())
        // The table has one row for the steps, by their first.
        .map(|name| if name.starts_with("step") { "step01-uts …" } else { name })
        .filter(|name| !explained.iter().any(|row| row.split(", ").any(|row| row == *name)))
        .collect();
    assert!(unknown.is_empty() && report.contains("kernel"), "{unknown:?} in {explained:?}");
}

#[test]
fn run_mine_names_what_is_missing() {
    let workshop = std::env::temp_dir().join(format!("mini-docker-workshop-{}", std::process::id()));
    let why = || {
        let mut command = Command::new(XTASK);
        text(&command.args(["run", "mine", "--", "true"]).env(workspace::WORKSHOP, &workshop).output().unwrap().stderr)
    };
    assert!(why().contains("there is no workshop/ yet"), "{}", why());
    // As `workshop start --lang python` makes it.
    fs::create_dir(&workshop).unwrap();
    assert!(why().contains("is a program in Rust, and workshop/ has none: start yours by its path"), "{}", why());
    fs::remove_dir(workshop).unwrap();
}
