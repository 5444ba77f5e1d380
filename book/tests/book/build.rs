//! What each directive becomes, and each mistake that the builder must refuse with its file and line.

use std::fs;
use std::path::Path;
use std::process::Command;

use book::build::build;
use book::directives::container;
use book::workspace::Workspace;

use super::{DIAGNOSES, DRAWING, EXERCISE, OLD, SNAPSHOT, Small};

/// Returns the page of a chapter.
fn page(text: &str) -> String {
    Small::new(text).page()
}

/// Asserts that a line is refused with this message, as the third line of the chapter.
#[track_caller]
fn refused(line: &str, message: &str) {
    refused_in(&Small::new(&format!("# First\n\n{line}\n")), message);
}

#[track_caller]
fn refused_in(small: &Small, message: &str) {
    let problems = small.problems();
    let hit = |line: &str| line.starts_with("book/text/first.md:3: ") && line.contains(message);
    assert!(problems.lines().any(hit), "{problems}");
    let made = fs::read_dir(small.path().join("target")).map_or(0, Iterator::count);
    assert_eq!(made, 0, "a wrong book was published, or something was left over");
}

#[track_caller]
fn has(page: &str, part: &str) {
    assert!(page.contains(part), "no {part} in:\n{page}");
}

/// Returns the file and the line of each problem.
fn places(problems: &str) -> Vec<&str> {
    problems.lines().filter_map(|line| line.split(": ").next()).collect()
}

#[test]
fn a_listing_is_the_file() {
    let page = page("# First\n\n{{#listing step01-a/src/main.rs}}\n");
    has(&page, "<p class=\"listing\"><code>step01-a/src/main.rs</code></p>");
    has(&page, &format!("<code class=\"language-rust\">{}</code></pre>", OLD.trim_end()));
}

#[test]
fn a_listing_is_some_items_or_a_marked_region() {
    let one = page("# First\n\n{{#listing step02-b/src/main.rs#say}}\n");
    has(&one, "/// Says &lt;two&gt; &amp; `more`.\nfn say() {");
    assert!(!one.contains("fn main") && !one.contains("ANCHOR"), "{one}");
    let two = page("# First\n\n{{#listing step02-b/src/main.rs#Added,main}}\n");
    has(&two, "#[derive(Debug)]\nstruct Added;\n\nfn main() {\n");
    let region = page("# First\n\n{{#listing step02-b/src/main.rs:again}}\n");
    has(&region, "<code class=\"language-rust\">println!(\"again\");</code></pre>");
}

#[test]
fn a_transcript_is_a_terminal() {
    let page = page("# First\n\n- item\n\n  {{#transcript step02-b/tests/snapshots/two.snap}}\n\n  more of the item\n");
    has(
        &page,
        "<div class=\"terminal-box\">\n\
         <pre class=\"terminal\" tabindex=\"0\" role=\"group\" aria-label=\"Terminal: echo &#39;&lt;a&gt;&#39; &amp;&amp; echo\">\
         <span class=\"prompt\" aria-hidden=\"true\">$ </span><kbd class=\"typed\">echo '&lt;a&gt;' &amp;&amp; echo</kbd>\n\
         &lt;a&gt;\n\n<span class=\"prompt\" aria-hidden=\"true\">$ </span><kbd class=\"typed\">true</kbd>\n</pre>",
    );
    has(&page, "<p>more of the item</p>");
}

#[test]
fn commands_to_type_are_a_terminal_without_output() {
    let page = page("# First\n\n- item\n\n  ```console\n  $ echo '<a>'\n  $ true\n  ```\n\n  more of the item\n");
    has(&page, "<kbd class=\"typed\">echo '&lt;a&gt;'</kbd>\n<span class=\"prompt\" aria-hidden=\"true\">$ </span>");
    has(&page, "<kbd class=\"typed\">true</kbd>\n</pre>");
    has(&page, "<p>more of the item</p>");
    assert!(!page.contains("console"), "{page}");
    refused("```console\n$ true\nno output\n```", "`no output` is not a command after `$ `");
    refused("```console\n```", "an empty code block");
}

#[test]
fn links_to_the_repository_come_from_its_remote() {
    let text = "# First\n\n{{#listing step01-a/src/main.rs}}\n\n{{#codespace}}\n";
    let small = Small::new(text);
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        // A hook of git's runs with these.
        git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
        let status = git.args(["-c", "init.defaultBranch=main"]).args(args).current_dir(small.path()).status().unwrap();
        assert!(status.success(), "{args:?}");
    };
    let book = || {
        let directory = build(&small.workspace(), None).unwrap().publish().unwrap();
        fs::read_to_string(directory.join("first.html")).unwrap()
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "/srv/git/crab"]);
    let without = book();
    assert!(!without.contains("git-edit-button") && !without.contains("github.com"), "{without}");
    assert!(!without.contains("codespace"), "{without}");
    git(&["remote", "set-url", "origin", "git@github.com:ferris/crab.git"]);
    let with = book();
    has(&with, "<a href=\"https://github.com/ferris/crab/blob/HEAD/step01-a/src/main.rs\">");
    has(&with, "<a href=\"https://github.com/ferris/crab\" title=\"Git repository\"");
    has(&with, "<a href=\"https://github.com/ferris/crab/edit/HEAD/book/text/first.md\"");
    has(&with, "<a href=\"https://codespaces.new/ferris/crab\">");
}

#[test]
fn the_measured_table_is_a_table() {
    let small = Small::new("# First\n\n{{#compare}}\n");
    refused_in(&small, "there is no file xtask/grader/tests/grader/snapshots/grader__compare__table.snap");
    small.write("xtask/grader/tests/grader/snapshots/grader__compare__table.snap", SNAPSHOT);
    refused_in(&small, "does not begin with `$ cargo xtask compare`");
    let table = |text: &str| format!("---\nsource: x\n---\n$ cargo xtask compare\n{text}");
    small.write(
        "xtask/grader/tests/grader/snapshots/grader__compare__table.snap",
        &table("      host  step01\npid 11  12\n"),
    );
    refused_in(&small, "`pid 11  12` does not fit");
    small.write(
        "xtask/grader/tests/grader/snapshots/grader__compare__table.snap",
        &table("      host  step01\npid   11    12\n"),
    );
    let page = small.page();
    has(
        &page,
        "<kbd class=\"typed\">cargo xtask compare</kbd>\n</pre>\n<div class=\"table-wrapper\">\n<table class=\"compare\">",
    );
    has(&page, "<tr><th scope=\"row\">pid</th><td class=\"shared\">11</td><td class=\"step1\">12</td></tr>");
}

const COMPARED: &str = "xtask/grader/tests/grader/snapshots/grader__compare__table.snap";

/// A workspace with a table of two steps, and a picture of its rows.
fn compared(text: &str) -> Small {
    let small = Small::new(text);
    let table = "              host    step01  step02\nname          a&b     c       c\nuts namespace host's  new     new\n\
        pid namespace host's  host's  new\n";
    small.write(COMPARED, &format!("---\nsource: x\n---\n$ cargo xtask compare\n{table}"));
    small.write(
        "book/diagrams/container.svg",
        "<svg role=\"img\"><title id=\"t-{{id}}\">{{title}}</title><desc>{{description}}</desc>\n\
         <g class=\"{{step uts namespace}}\">\n<text class=\"state\">{{own uts namespace}}</text>\n\
         <text class=\"value\">{{value name}}</text>\n</g>\n<g class=\"{{step pid namespace}}\">{{number pid namespace}}</g>\n</svg>\n",
    );
    small
}

#[test]
fn the_picture_grows_by_what_was_compared() {
    let one = compared("# First\n\n{{#container step01}}\n").page();
    has(&one, "<title id=\"t-1-head\">The container after step 1</title>");
    has(&one, "Its own: uts since step 1. Shared with the host: pid.");
    has(&one, "<g class=\"step1\">\n<text class=\"state\">own</text>");
    has(&one, "<g class=\"shared\"></g>");
    has(&one, "<figcaption>Step 1 changes <code>uts</code>.</figcaption>");
    assert!(!one.contains("value"), "{one}");
    let two = compared("# First\n\n{{#container step02 values}}\n").page();
    has(&two, "<g class=\"step1\">\n<text class=\"value\">c</text>");
    has(&two, "<g class=\"step2\">2</g>");
    assert!(!two.contains("state"), "{two}");
    let all = compared("# First\n\n{{#container}}\n").page();
    let positions =
        ["t-0-moving", "Without a container", "t-1-moving", "t-2-moving", "Step 2 changes <code>pid</code>."]
            .map(|it| all.find(it).unwrap());
    assert!(positions.is_sorted(), "{all}");
    assert_eq!(all.matches("type=\"radio\"").count(), 3, "{all}");
    assert_eq!(all.matches("checked").count(), 1, "{all}");
}

#[test]
fn a_picture_of_what_was_not_compared_is_refused() {
    refused_in(&compared("# First\n\n{{#container step03}}\n"), "no step `step03` was compared");
    refused_in(&compared("# First\n\n{{#container step01 all}}\n"), "takes a step");
    for (from, to, message) in [
        ("{{step uts", "{{step utx", "has no row `utx namespace`"),
        ("{{step uts", "{{x uts", "there is no `{{x uts namespace}}`"),
        ("{{own uts namespace}}", "{{own uts", "`{{` without `}}`"),
        ("{{step pid namespace}}", "", "has no `{{step pid namespace}}`"),
    ] {
        let small = compared("# First\n\n{{#container step01}}\n");
        let file = "book/diagrams/container.svg";
        let template = fs::read_to_string(small.path().join(file)).unwrap();
        small.write(file, &template.replace(from, to));
        refused_in(&small, message);
    }
    // A step that changes nothing in the picture has no picture.
    let small = compared("# First\n\n{{#container step02}}\n");
    let table = fs::read_to_string(small.path().join(COMPARED)).unwrap();
    small.write(COMPARED, &table.replace("host's  host's  new", "host's  host's  host's"));
    refused_in(&small, "step 2 changes nothing in it");
}

#[test]
fn the_readmes_picture_is_what_was_compared() {
    let workspace = Workspace::at(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    let made = container::readme(&workspace).unwrap();
    let committed = fs::read_to_string(workspace.root.join(container::README)).unwrap().replace("\r\n", "\n");
    assert!(made == committed, "{} is out of date: run `cargo xtask book readme`", container::README);
}

#[test]
fn a_difference_keeps_its_signs_and_its_line_numbers() {
    let complete = page("# First\n\n{{#stepdiff step01-a step02-b}}\n");
    has(
        &complete,
        "<span class=\"file\">--- step01-a/src/main.rs\n</span><span class=\"file\">+++ step02-b/src/main.rs\n</span>",
    );
    has(&complete, "<del>-//! Step 1.\n</del><ins>+//! Step 2.\n</ins><span> \n</span>");
    let item = page("# First\n\n{{#stepdiff step01-a step02-b #say}}\n");
    has(&item, "<span class=\"hunk\">@@ -3,4 +3,7 @@\n</span><del>-/// Says one.\n</del>");
    assert!(!item.contains("Step 1"), "{item}");
    let new = page("# First\n\n{{#stepdiff step01-a step02-b #Added}}\n");
    has(
        &new,
        "<span class=\"hunk\">@@ -0,0 +15,2 @@\n</span><ins>+#[derive(Debug)]\n</ins><ins>+struct Added;\n</ins>",
    );
}

#[test]
fn a_diagram_is_in_the_page() {
    let page = page("# First\n\n{{#diagram diagrams/box.svg}}\n");
    has(&page, "<figure class=\"diagram\">\n<svg ");
    has(&page, "<path id=\"box\" d=\"M0 0h9v9z\" fill=\"none\" stroke=\"currentColor\" />\n</svg>\n</figure>");
}

#[test]
fn exercises_are_headings_and_folded_hints() {
    let page = Small::with_exercises("# First\n\n{{#exercises first.md}}\n\n{{#exercise-table}}\n").page();
    has(&page, "<h3 id=\"exercise-one\">");
    has(&page, "Exercise 0, <code>one</code>: The <code>first</code> one");
    has(&page, "<p><em>About 5 minutes.</em> Do ");
    has(&page, "<li>all of it</li>");
    has(
        &page,
        "<details><summary>Hint 1: Ask</summary>\n<p>Why?</p>\n<pre><code class=\"language-sh\">## no hint\n</code></pre>",
    );
    has(&page, "<details><summary>Hint 2: Look</summary>\n<p>There.</p>");
    has(&page, "<code>cargo xtask check one</code>");
    has(&page, "<code>two</code></td><td><a href=\"first.html#exercise-two\">The second one</a></td>");
    let (one, two) = (page.find("exercise-one").unwrap(), page.find("exercise-two").unwrap());
    assert!(one < two, "they are not in their order");
}

#[test]
fn a_solution_is_complete_and_a_difference() {
    let text = "# First\n\n{{#solution two}}\n\n{{#exercises first.md}}\n";
    let small = Small::with_exercises(text);
    small.write("xtask/exercises/two/solution.diff", "@@\n-    println!(\"two\");\n+    println!(\"2\");\n");
    let page = small.page();
    has(
        &page,
        "<details><summary>A solution of <code>two</code></summary>\n<pre><code class=\"language-rust\">//! Exercise 1, solved: The second one.",
    );
    has(&page, "fn say() {\n    println!(\"2\");\n");
    has(&page, "<summary>The difference from the starter of <code>two</code></summary>\n<div class=\"diff-box\">");
    has(&page, "@@ -6,9 +4,15 @@\n</span><span> \n</span><del>-/// Says one.\n</del>");
    has(&page, "<del>-    println!(\"one\");\n</del>");
    has(&page, "<ins>+    println!(\"2\");\n</ins>");
    refused_in(&Small::with_exercises(&text.replace("two", "three")), "there is no exercise `three`");
    let small = Small::with_exercises(text);
    small.write("xtask/exercises/two/solution.diff", "@@\n-gone\n");
    refused_in(&small, "xtask/exercises/two/solution.diff:1");
}

#[test]
fn a_program_is_shown_in_each_language_that_has_it() {
    let text = "# First\n\n{{#languages two step02-b/src/main.rs#say}}\n\n{{#exercises first.md}}\n";
    let small = Small::with_exercises(text);
    small.write("xtask/exercises/two/solution.py", "import sys\n\n\ndef say():\n    print(2)\n");
    let page = small.page();
    has(
        &page,
        "<div data-language=\"Rust\">\n<p class=\"listing\"><code>step02-b/src/main.rs</code>, the essential program</p>",
    );
    has(
        &page,
        "<details data-language=\"Python\"><summary>The same in Python</summary>\n\
         <pre><code class=\"language-python\">def say():\n    print(2)\n</code></pre>\n</details>\n</div>",
    );
    assert!(!page.contains("data-language=\"Go\""), "{page}");
    let small = Small::with_exercises(text);
    small.write("xtask/exercises/two/solution.go", "package main\n");
    refused_in(&small, "the solution of two in Go lacks one of the functions say");
}

#[test]
fn all_diagnoses_are_in_one_table() {
    let page = Small::with_exercises("# First\n\n{{#diagnoses}}\n\n{{#exercises first.md}}\n").page();
    has(
        &page,
        "<td><code>no-a</code></td><td>No A|B here: <code>x|&lt;y&gt;</code>, _b_ and [c](d).</td><td><a href=\"second.html#here\">Second: Here</a></td>",
    );
}

#[test]
fn a_chapter_without_exercises_is_refused() {
    let of = |chapter: &str| Small::with_exercises(&format!("# First\n\n{{{{#exercises {chapter}}}}}\n"));
    refused_in(&of("second.md"), "no exercise in xtask/exercises belongs to the chapter `second.md`");
    refused_in(&of(""), "the chapter ``");
    refused("{{#exercises first.md}}", "xtask/exercises");
    refused("{{#exercise-table}}", "xtask/exercises");
    refused("{{#exercise-table first.md}}", "takes no argument");
}

#[test]
fn an_exercise_that_is_wrong_or_not_shown_is_refused() {
    let error = |from: &str, to: &str| {
        let small = Small::with_exercises("# First\n\n{{#exercises first.md}}\n");
        small.write("xtask/exercises/one/text.md", &EXERCISE.replace(from, to));
        build(&small.workspace(), None).map(drop).unwrap_err().to_string()
    };
    assert_eq!(
        error("first.md", "second.md"),
        "xtask/exercises/one/text.md:5: no chapter shows it: there is no line {{#exercises second.md}}\n"
    );
    let message = error("minutes: 5", "minutes: soon");
    assert!(message.starts_with("xtask/exercises/one/text.md:6: "), "{message}");
}

#[test]
fn a_diagnosis_must_name_a_section() {
    let with = |from: &str, to: &str| {
        let small = Small::with_exercises("# First\n\n{{#diagnoses}}\n\n{{#exercises first.md}}\n");
        small.write("xtask/exercises/diagnoses.md", &DIAGNOSES.replace(from, to));
        small
    };
    refused_in(&with("#here", "#there"), "xtask/exercises/diagnoses.md:3: second.md has no heading {#there}");
    refused_in(&with("second.md", "third.md"), "xtask/exercises/diagnoses.md:3: there is no chapter third.md");
    refused_in(&with("#here", ""), "xtask/exercises/diagnoses.md:3: ");
    refused("{{#diagnoses}}", "xtask/exercises/diagnoses.md");
}

#[test]
fn a_directive_can_be_shown() {
    has(&page("# First\n\n```text\n\\{{#listing x}}\n```\n"), "{{#listing x}}");
}

#[test]
fn an_unresolved_or_empty_listing_is_refused() {
    refused("{{#listing step01-a/src/nothing.rs}}", "there is no file step01-a/src/nothing.rs");
    refused("{{#listing step01-a/src/main.rs#nothing}}", "step01-a/src/main.rs has no item `nothing`");
    refused("{{#listing step01-a/src/main.rs:nothing}}", "there is no `ANCHOR: nothing`");
    refused("{{#listing ../secret}}", "not a path inside the workspace");
    refused("{{#listing /etc/hostname}}", "not a path inside the workspace");
    for (listing, text) in [("empty.rs", "\n\n"), ("empty.rs:x", "// ANCHOR: x\n// ANCHOR_END: x\n")] {
        let small = Small::new(&format!("# First\n\n{{{{#listing {listing}}}}}\n"));
        small.write("empty.rs", text);
        refused_in(&small, "is empty");
    }
}

#[test]
fn an_unresolved_or_empty_difference_is_refused() {
    refused("{{#stepdiff step01-a step03-c}}", "there is no file step03-c/src/main.rs");
    refused("{{#stepdiff step01-a step02-b #nothing}}", "has an item `nothing`");
    refused("{{#stepdiff step01-a step02-b #main}}", "`main` is the same");
    refused("{{#stepdiff step01-a step01-a}}", "are the same");
    refused("{{#stepdiff step01-a}}", "takes two steps");
}

#[test]
fn an_unresolved_or_headless_transcript_is_refused() {
    refused("{{#transcript step02-b/tests/snapshots/nothing.snap}}", "there is no file");
    for (snapshot, message) in [
        ("$ true\n", "insta's header"),
        ("---\nsource: x\n---\noutput\n", "does not begin with `$ `"),
        ("---\nsource: x\n---\n", "does not begin with `$ `"),
        ("---\nsource: x\n---\n$ ls\n\u{1b}[31mred\n", "control character"),
    ] {
        let small = Small::new("# First\n\n{{#transcript x.snap}}\n");
        small.write("x.snap", snapshot);
        refused_in(&small, message);
    }
}

#[test]
fn a_pending_snapshot_anywhere_is_refused() {
    let small = Small::new("# First\n");
    small.write("step02-b/tests/snapshots/other.snap.new", "");
    assert_eq!(
        small.problems(),
        "step02-b/tests/snapshots/other.snap.new:1: a pending snapshot: review it, then accept or remove it\n"
    );
    // What cargo makes is not part of the workspace.
    let small = Small::new("# First\n");
    small.write("target/x.snap.new", "");
    small.write("elsewhere/CACHEDIR.TAG", "");
    small.write("elsewhere/debug/x.snap.new", "");
    small.page();
}

#[test]
fn an_unknown_directive_is_refused() {
    refused("{{#nothing a}}", "there is no directive `nothing`");
    refused("{{#include step01-a/src/main.rs:nothing}}", "mdBook's own `include`");
    refused("{{#rustdoc_include nothing.rs}}", "mdBook's own `rustdoc_include`");
    refused("{{ #include nothing.rs }}", "must stand alone");
    refused("text {{#listing step01-a/src/main.rs}}", "must stand alone");
}

#[test]
fn a_directive_in_a_title_is_refused() {
    let small = Small::new("# First\n");
    small.write("book/text/SUMMARY.md", "# Summary\n\n- [{{#a}}](first.md)\n- [Second](second.md)\n");
    assert!(small.problems().contains("book/text/first.md: a directive, `{{#`, is left over"), "{}", small.problems());
}

#[test]
fn a_diagram_with_a_fault_is_refused() {
    for (from, to, message) in [
        ("currentColor", "#000", "book/diagrams/bad.svg:6: stroke is the fixed colour `#000`"),
        ("currentColor", "black", "stroke is the fixed colour `black`"),
        ("<title>A box</title>", "", "no <title>"),
        ("A box", " ", "no <title>"),
        ("role=\"img\"", "", "book/diagrams/bad.svg:2: the <svg> has no role=\"img\""),
    ] {
        let small = Small::new("# First\n\n{{#diagram diagrams/bad.svg}}\n");
        small.write("book/diagrams/bad.svg", &DRAWING.replace(from, to));
        refused_in(&small, message);
    }
    refused("{{#diagram diagrams/nothing.svg}}", "there is no file book/diagrams/nothing.svg");
}

#[test]
fn an_id_twice_on_a_page_is_refused() {
    let small = Small::new("# First\n\n{{#diagram diagrams/box.svg}}\n\n{{#diagram diagrams/box.svg}}\n");
    let problem = |line| format!("book/text/first.md:{line}: the id `box` is twice on the page\n");
    assert_eq!(small.problems(), problem(3) + &problem(5));
    refused("<a id=\"x\"></a><a id=\"x\"></a>", "the id `x` is twice");
}

#[test]
fn a_dead_link_fragment_or_image_is_refused() {
    page("# First {#first}\n\n[a](second.md#here) [b](#first) [c](https://example.org/#x) [d](second.html)\n");
    refused("[a](nothing.md)", "dead link `nothing.html`");
    refused("[a](second.md#nothing)", "no heading or element there has the id `nothing`");
    refused("[a](#nothing)", "dead link `#nothing`");
    refused("<a href=\"second.html#nothing\">a</a>", "dead link");
    refused("[a](/second.html)", "begins with `/`");
    refused("[a](../second.md)", "it leaves the book");
    refused("![an image](nothing.png)", "dead image or file `nothing.png`");
    refused("<img src=\"nothing.png\" alt=\"\">", "dead image or file");
    refused("[a](<no thing.md>)", "dead link `no thing.html`");
}

#[test]
fn a_dead_link_is_reported_where_it_is_written() {
    // A transcript is longer than its directive, and a line that only looks like one comes first.
    let text = "# First {#why-not}\n\n{{#transcript step02-b/tests/snapshots/two.snap}}\n\n#why\n\n[a](#why)\n\n\
                see [b](second.md#her),\n[c][c] and [d](#why)\n\n[c]: second.md#her\n";
    let problems = Small::new(text).problems();
    assert_eq!(places(&problems), [7, 9, 10, 10].map(|line| format!("book/text/first.md:{line}")), "{problems}");
}

#[test]
fn an_empty_code_block_is_refused() {
    refused("```rust\n```", "an empty code block");
    refused("~~~\n \n~~~", "an empty code block");
    refused("<pre><code></code></pre>", "an empty code block");
}

#[test]
fn an_admonition_that_mdbook_does_not_know_is_refused() {
    page("# First\n\n> [!NOTE]\n> Well.\n");
    page("# First\n\nwrite `[!NOTE]`\n");
    refused("> [!NOTE] in one line", "`[!NOTE]` is shown as it is");
}

#[test]
fn a_warning_of_mdbook_is_refused() {
    refused("<div>", "unclosed HTML tag `<div>`");
}

#[test]
fn a_missing_chapter_is_refused() {
    let small = Small::new("# First\n");
    small.write("book/text/SUMMARY.md", "# Summary\n\n- [First](first.md)\n- [Third](third.md)\n");
    assert_eq!(small.problems(), "book/text/SUMMARY.md:4: there is no chapter third.md\n");
}

#[test]
fn all_problems_are_reported_at_once() {
    let small = Small::new("# First\n\n{{#a}}\n\n{{#b}}\n");
    small.write("book/text/second.md", "{{#c}}\n");
    assert_eq!(places(&small.problems()), ["book/text/first.md:3", "book/text/first.md:5", "book/text/second.md:1"]);
}

#[test]
fn a_refused_book_leaves_the_last_good_one() {
    let small = Small::new("# First\n\ngood\n");
    small.page();
    let shown = || fs::read_to_string(small.path().join("target/book/first.html")).unwrap();
    small.write("book/text/first.md", "# First\n\nbad [a](nothing.md)\n");
    small.problems();
    assert!(shown().contains("<p>good</p>"));
    small.write("book/text/first.md", "# First\n\nbetter\n");
    small.page();
    assert!(shown().contains("<p>better</p>"));
    let target = fs::read_dir(small.path().join("target")).unwrap().flatten();
    let mut names: Vec<_> = target.map(|it| it.file_name()).collect();
    names.sort();
    assert_eq!(names, ["book", "book.inputs"]);
}

#[test]
fn a_checkout_with_crlf_gives_the_same_page() {
    let text = "# First {#first}\n\n{{#listing step02-b/src/main.rs#say}}\n\n{{#listing step02-b/src/main.rs}}\n\n\
        {{#stepdiff step01-a step02-b}}\n\n- a\n\n  {{#transcript step02-b/tests/snapshots/two.snap}}\n\n\
        {{#diagram diagrams/box.svg}}\n\n{{#exercises first.md}}\n\n{{#solution two}}\n\n{{#diagnoses}}\n\n\
        ```text\n\\{{#a}}\n```\n\n[a](#first)\n";
    let small = || {
        let small = Small::with_exercises(text);
        small.write("xtask/exercises/two/solution.diff", "@@\n-    println!(\"two\");\n+    println!(\"2\");\n");
        small
    };
    let crlf = small();
    for file in crlf.workspace().files().unwrap() {
        fs::write(&file, fs::read_to_string(&file).unwrap().replace('\n', "\r\n")).unwrap();
    }
    assert_eq!(crlf.page(), small().page());
    crlf.write("book/text/first.md", &format!("{text}\n[b](#second)\n").replace('\n', "\r\n"));
    assert_eq!(places(&crlf.problems()), ["book/text/first.md:27"]);
}

#[test]
fn the_book_of_this_workspace_is_right() {
    // It isn't published, because somebody may be reading the last one.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    build(&Workspace::at(root), None).map(drop).unwrap_or_else(|error| panic!("{error}"));
}
