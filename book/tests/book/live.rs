//! The machine in the pages, with a script in place of the real one.

use std::fs;

use book::live;

use super::Small;

const TEXT: &str = "# First\n\n{{#transcript step02-b/tests/snapshots/two.snap}}\n\n{{#without-machine}}\n\n{{#machine}}\n\n\
    ```console\n$ step01-a run ps\n```\n\n```console\n$ cargo xtask host\n```\n";
const SCRIPT: &str = "mkdir -p \"$1\" && cd \"$1\" && printf 'v86\\t1\\tBSD\\thttps://example.org/\\n' >manifest.tsv && \
    head -c 3000000 /dev/zero >machine.zst && touch v86.wasm v86.wasm.z libv86.mjs xterm.mjs xterm.css";

fn small() -> Small {
    let small = Small::new(TEXT);
    small.write("book/theme/live.js", "");
    small.write("book/theme/live.css", "");
    small.write("book/live/page/panel.mjs", "");
    small.write("book/live/differences.txt", "# none\n");
    small.write("book/live/machine.sh", SCRIPT);
    small
}

#[test]
fn a_block_runs_if_the_machine_was_built_from_the_files_as_they_are() {
    let small = small();
    let without = small.page();
    assert!(!without.contains("data-run") && without.contains("built without the machine"), "{without}");
    assert!(!small.path().join("target/book/live").exists());

    live::build(&small.workspace(), None).unwrap();
    let with = small.page();
    assert!(with.contains("<div class=\"terminal-box\" data-run") && !with.contains("without the machine"), "{with}");
    assert!(with.contains("<td>v86</td><td>1</td><td>BSD</td>") && with.contains("loads 3.0 MB"), "{with}");
    // The transcript, and the commands that call a step.
    assert_eq!(with.matches("data-run").count(), 2, "{with}");
    for file in ["live/machine.zst", "live/panel.mjs"] {
        assert!(small.path().join("target/book").join(file).is_file(), "{file}");
    }
    assert!(!small.path().join("target/book/live/v86.wasm").exists());

    small.write("step02-b/src/main.rs", "fn main() {}\n");
    assert!(!small.page().contains("data-run"));
}

#[test]
fn the_machine_is_built_again_only_if_its_files_change() {
    let small = small();
    let build = || live::build(&small.workspace(), None).unwrap();
    let built = || fs::metadata(live::directory(&small.workspace()).join("manifest.tsv")).unwrap().modified().unwrap();
    build();
    let first = built();
    small.write("book/live/page/panel.mjs", "// a page's script is not in the machine");
    build();
    assert_eq!(built(), first);
    small.write("book/live/init", "another");
    build();
    assert!(built() > first);
}

#[test]
fn a_machine_that_can_not_be_built_leaves_the_book_as_it_was() {
    let small = small();
    small.write("book/live/machine.sh", "echo 'book live: there is no npm' >&2; exit 1");
    let error = live::build(&small.workspace(), None).unwrap_err();
    assert_eq!(error.to_string(), "the machine in the pages can't be built here");
    assert!(!small.page().contains("data-run"));
}

#[test]
fn a_block_that_differs_says_why() {
    let small = small();
    small.write("book/live/differences.txt", "# a comment\nstep02-b/tests/snapshots/two.snap: <a> is missing.\n");
    live::build(&small.workspace(), None).unwrap();
    assert!(small.page().contains("<p class=\"run-note\">With Run: &lt;a&gt; is missing.</p>"), "{}", small.page());

    small.write("book/live/differences.txt", "# none\n");
    live::build(&small.workspace(), None).unwrap();
    small.write("target/live/machine/differences.txt", "step02-b/tests/snapshots/two.snap: this one has no Alpine.\n");
    assert!(small.page().contains("With Run: this one has no Alpine."), "{}", small.page());

    small.write("book/live/differences.txt", "step02-b/tests/snapshots/three.snap: it was renamed\n");
    let error = book::build::build(&small.workspace(), None).unwrap_err();
    assert!(error.to_string().contains("there is no snapshot step02-b/tests/snapshots/three.snap"), "{error}");
}
