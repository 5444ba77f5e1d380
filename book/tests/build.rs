//! What the book's program makes of a small workspace: each directive as it should come out, and each mistake that it must
//! refuse, with file and line.

use std::fs;

use book::build::build;
use book::places::Places;
use book::problem::Problems;
use tempfile::TempDir;

const OLD: &str = "\
//! Step 1.

/// Says one.
fn say() {
    println!(\"one\");
}

fn main() {
    say();
}
";

const NEW: &str = "\
//! Step 2.

/// Says <two> & `more`.
fn say() {
    println!(\"two\");
    // ANCHOR: again
    println!(\"again\");
    // ANCHOR_END: again
}

fn main() {
    say();
}

#[derive(Debug)]
struct Added;
";

const SNAPSHOT: &str = "\
---
source: b-two/tests/two.rs
expression: \"transcript()\"
---
$ echo '<a>' && echo
<a>

$ true
";

const DRAWING: &str = "\
<?xml version=\"1.0\"?>
<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\" role=\"img\">

  <title>A box</title>

  <path id=\"box\" d=\"M0 0h9v9z\" fill=\"none\" stroke=\"currentColor\"/>
</svg>
";

const EXERCISES: &str = "\
const LATER: &[&str] = &[];
pub const ALL: &[Exercise] = &[
    Exercise { number: 1, id: \"two\", after: LATER },
    Exercise { number: 0, id: \"one\", after: &[] },
];
";

const EXERCISE: &str = "\
# The `first` one

- chapter: first.md
- minutes: 5
- function: main

Do this:

- all of it

## Ask

Why?

```sh
## no hint
```

## Look

There.
";

const DIAGNOSES: &str = "\
const TABLE: &[(Diagnosis, &str, &str, &str)] = &[
    (A, \"no-a\", \"No A|B here: `x|y`, a_b.\", \"second.md#here\"),
];
";

/// A workspace with a book of two chapters, of which a test writes the first.
struct Small(TempDir);

impl Small {
    fn new(text: &str) -> Small {
        let small = Small(TempDir::new().unwrap());
        small.write("book/book.toml", include_str!("../book.toml"));
        for file in ["book.css", "diagrams.css", "extras.js"] {
            small.write(&format!("book/theme/{file}"), "");
        }
        small.write("book/text/SUMMARY.md", "# Summary\n\n- [First](first.md)\n- [Second](second.md)\n");
        small.write("book/text/first.md", text);
        small.write("book/text/second.md", "# Second\n\n## Here {#here}\n");
        small.write("book/diagrams/box.svg", DRAWING);
        small.write("a-one/src/main.rs", OLD);
        small.write("b-two/src/main.rs", NEW);
        small.write("b-two/tests/snapshots/two.snap", SNAPSHOT);
        small
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The same with a workshop of two exercises, both of the first chapter.
    fn with_workshop(text: &str) -> Small {
        let small = Small::new(text);
        small.write("xtask/src/exercises.rs", EXERCISES);
        small.write("xtask/src/check/diagnosis.rs", DIAGNOSES);
        small.write("xtask/exercises/one.md", EXERCISE);
        small.write("xtask/exercises/two.md", &EXERCISE.replace("`first`", "second"));
        small
    }

    fn places(&self) -> Places {
        Places { root: self.0.path().to_owned() }
    }

    /// The content of the first chapter's page.
    fn page(&self) -> String {
        let folder = build(&self.places(), None).unwrap_or_else(|error| panic!("{error}")).publish().unwrap();
        let page = fs::read_to_string(folder.join("first.html")).unwrap();
        let (_, main) = page.split_once("<main>").unwrap();
        main.split_once("</main>").unwrap().0.to_owned()
    }

    fn problems(&self) -> String {
        let error = build(&self.places(), None).map(|_| "a book").unwrap_err();
        error.downcast::<Problems>().unwrap().to_string()
    }
}

/// The page of a chapter.
fn page(text: &str) -> String {
    Small::new(text).page()
}

/// A chapter that must be refused: the problem at its third line must have this in it.
#[track_caller]
fn refused(line: &str, message: &str) {
    refused_in(&Small::new(&format!("# First\n\n{line}\n")), message);
}

#[track_caller]
fn refused_in(small: &Small, message: &str) {
    let problems = small.problems();
    let hit = |line: &str| line.starts_with("book/text/first.md:3: ") && line.contains(message);
    assert!(problems.lines().any(hit), "{problems}");
    assert!(!small.0.path().join("target/book").exists(), "a wrong book was published");
    let beside = fs::read_dir(small.0.path().join("target")).map_or(0, Iterator::count);
    assert_eq!(beside, 0, "something was left behind");
}

#[track_caller]
fn has(page: &str, part: &str) {
    assert!(page.contains(part), "no {part} in:\n{page}");
}

#[test]
fn a_listing_is_the_file() {
    let page = page("# First\n\n{{#listing a-one/src/main.rs}}\n");
    has(
        &page,
        "<p class=\"listing\"><a href=\"https://github.com/mini-docker/mini-docker/blob/main/a-one/src/main.rs\">\
         <code>a-one/src/main.rs</code></a></p>",
    );
    has(&page, &format!("<code class=\"language-rust\">{}</code></pre>", OLD.trim_end()));
}

#[test]
fn a_listing_is_an_item_or_several() {
    let one = page("# First\n\n{{#listing b-two/src/main.rs#say}}\n");
    has(&one, "/// Says &lt;two&gt; &amp; `more`.\nfn say() {");
    assert!(!one.contains("fn main") && !one.contains("ANCHOR"), "{one}");
    let two = page("# First\n\n{{#listing b-two/src/main.rs#Added,main}}\n");
    has(&two, "#[derive(Debug)]\nstruct Added;\n\nfn main() {\n");
}

#[test]
fn a_listing_is_a_marked_region() {
    let page = page("# First\n\n{{#listing b-two/src/main.rs:again}}\n");
    has(&page, "<code class=\"language-rust\">println!(\"again\");</code></pre>");
}

#[test]
fn a_transcript_is_a_terminal() {
    let page = page("# First\n\n- item\n\n  {{#transcript b-two/tests/snapshots/two.snap}}\n\n  more of the item\n");
    has(
        &page,
        "<pre class=\"terminal\" tabindex=\"0\" role=\"group\" aria-label=\"Terminal: echo &#39;&lt;a&gt;&#39; &amp;&amp; echo\">\
         <span class=\"line\"><span class=\"prompt\" aria-hidden=\"true\">$ </span>\
         <kbd class=\"typed\">echo '&lt;a&gt;' &amp;&amp; echo</kbd>\n</span>\
         <span class=\"line\">&lt;a&gt;\n</span><span class=\"line\">\n</span>\
         <span class=\"line\"><span class=\"prompt\" aria-hidden=\"true\">$ </span><kbd class=\"typed\">true</kbd>\n</span></pre>",
    );
    has(&page, "<p>more of the item</p>");
}

#[test]
fn the_measured_table_is_a_table() {
    let small = Small::new("# First\n\n{{#compare}}\n");
    refused_in(&small, "there is no file xtask/tests/snapshots/compare__table.snap");
    small.write("xtask/tests/snapshots/compare__table.snap", SNAPSHOT);
    refused_in(&small, "does not begin with `$ cargo xtask compare`");
    let table = |text: &str| format!("---\nsource: x\n---\n$ cargo xtask compare\n{text}");
    small.write("xtask/tests/snapshots/compare__table.snap", &table("      host  step01\npid 11  12\n"));
    refused_in(&small, "`pid 11  12` does not fit");
    small.write("xtask/tests/snapshots/compare__table.snap", &table("      host  step01\npid   11    12\n"));
    let page = small.page();
    has(&page, "<kbd class=\"typed\">cargo xtask compare</kbd>\n</span></pre>\n<table class=\"compare\">");
    has(&page, "<tr><th scope=\"row\">pid</th><td>11</td><td>12</td></tr>");
}

#[test]
fn a_difference_keeps_its_signs_and_its_line_numbers() {
    let whole = page("# First\n\n{{#stepdiff a-one b-two}}\n");
    has(
        &whole,
        "<span class=\"file\">--- a-one/src/main.rs\n</span><span class=\"file\">+++ b-two/src/main.rs\n</span>",
    );
    has(&whole, "<del>-//! Step 1.\n</del><ins>+//! Step 2.\n</ins><span> \n</span>");
    let item = page("# First\n\n{{#stepdiff a-one b-two #say}}\n");
    has(&item, "<span class=\"hunk\">@@ -3,4 +3,7 @@\n</span><del>-/// Says one.\n</del>");
    assert!(!item.contains("Step 1"), "{item}");
    let new = page("# First\n\n{{#stepdiff a-one b-two #Added}}\n");
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
    let page = Small::with_workshop("# First\n\n{{#exercises first.md}}\n").page();
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
    let (one, two) = (page.find("exercise-one").unwrap(), page.find("exercise-two").unwrap());
    assert!(one < two, "they are in the order of their numbers");
}

#[test]
fn all_exercises_are_in_one_table() {
    let page = Small::with_workshop("# First\n\n{{#exercise-table}}\n\n{{#exercises first.md}}\n").page();
    has(&page, "<code>two</code></td><td><a href=\"first.html#exercise-two\">The second one</a></td>");
}

#[test]
fn all_diagnoses_are_in_one_table() {
    let page = Small::with_workshop("# First\n\n{{#diagnoses}}\n\n{{#exercises first.md}}\n").page();
    has(
        &page,
        "<td><code>no-a</code></td><td>No A|B here: <code>x|y</code>, a_b.</td><td><a href=\"second.html#here\">Second: Here</a></td>",
    );
}

#[test]
fn a_chapter_without_exercises_is_refused() {
    let of = |chapter: &str| Small::with_workshop(&format!("# First\n\n{{{{#exercises {chapter}}}}}\n"));
    refused_in(&of("second.md"), "no exercise in xtask/exercises belongs to the chapter `second.md`");
    refused_in(&of("nothing.md"), "the chapter `nothing.md`");
    refused_in(&of(""), "the chapter ``");
    refused("{{#exercises first.md}}", "there is no file xtask/src/exercises.rs");
    refused("{{#exercise-table}}", "there is no file xtask/src/exercises.rs");
    refused("{{#exercise-table first.md}}", "takes no argument");
}

#[test]
fn an_exercise_must_have_a_text_and_a_place() {
    let small = || Small::with_workshop("# First\n\n{{#exercises first.md}}\n");
    let is = |small: &Small, problem: &str| {
        let problems = small.problems();
        assert!(problems.lines().any(|line| line.starts_with(problem)), "{problem} is not in {problems}");
    };
    let it = small();
    fs::remove_file(it.0.path().join("xtask/exercises/two.md")).unwrap();
    is(&it, "xtask/src/exercises.rs:3: the exercise `two` has no text");
    let it = small();
    it.write("xtask/exercises/three.md", EXERCISE);
    is(&it, "xtask/exercises/three.md:1: xtask/src/exercises.rs has no exercise `three`");
    let it = small();
    it.write("xtask/exercises/two.md", &EXERCISE.replace("first.md", "second.md"));
    is(&it, "xtask/exercises/two.md:3: no chapter shows it: there is no line {{#exercises second.md}}");
    let it = small();
    it.write("xtask/exercises/two.md", &EXERCISE.replace("Why?", "").replace("```sh\n## no hint\n```\n", ""));
    is(&it, "xtask/exercises/two.md:11: the hint `Ask` is empty");
    let it = small();
    it.write("xtask/src/exercises.rs", "const ALL: &[Exercise] = &[\n\n    exercise(0),\n];\n");
    is(&it, "xtask/src/exercises.rs:3: this exercise has no plain `number` and `id`");
    it.write("xtask/src/exercises.rs", "const SOME: &[Exercise] = &[];\n");
    is(&it, "xtask/src/exercises.rs: there is no constant `ALL`");
}

#[test]
fn a_diagnosis_must_name_a_section() {
    let with = |from: &str, to: &str| {
        let small = Small::with_workshop("# First\n\n{{#diagnoses}}\n\n{{#exercises first.md}}\n");
        small.write("xtask/src/check/diagnosis.rs", &DIAGNOSES.replace(from, to));
        small
    };
    refused_in(&with("#here", "#there"), "xtask/src/check/diagnosis.rs:2: second.md has no heading {#there}");
    refused_in(&with("second.md", "third.md"), "xtask/src/check/diagnosis.rs:2: there is no chapter third.md");
    refused_in(&with("#here", ""), "`second.md` names no section");
    refused_in(&with("\"no-a\", ", ""), "xtask/src/check/diagnosis.rs:2: this is no row");
    refused("{{#diagnoses}}", "there is no file xtask/src/check/diagnosis.rs");
}

#[test]
fn a_directive_can_be_shown() {
    has(&page("# First\n\n```text\n\\{{#listing x}}\n```\n"), "{{#listing x}}");
}

#[test]
fn an_unresolved_listing_is_refused() {
    refused("{{#listing a-one/src/nothing.rs}}", "there is no file a-one/src/nothing.rs");
    refused("{{#listing a-one/src/main.rs#nothing}}", "a-one/src/main.rs has no item `nothing`");
    refused("{{#listing a-one/src/main.rs:nothing}}", "there is no `ANCHOR: nothing`");
    refused("{{#listing ../secret}}", "not a path inside the workspace");
    refused("{{#listing /etc/hostname}}", "not a path inside the workspace");
}

#[test]
fn an_empty_listing_is_refused() {
    let small = Small::new("# First\n\n{{#listing empty.rs}}\n");
    small.write("empty.rs", "\n\n");
    refused_in(&small, "is empty");
    let small = Small::new("# First\n\n{{#listing empty.rs:x}}\n");
    small.write("empty.rs", "// ANCHOR: x\n// ANCHOR_END: x\n");
    refused_in(&small, "is empty");
}

#[test]
fn an_unresolved_or_empty_difference_is_refused() {
    refused("{{#stepdiff a-one c-three}}", "there is no file c-three/src/main.rs");
    refused("{{#stepdiff a-one b-two #nothing}}", "has no item `nothing`");
    refused("{{#stepdiff a-one b-two #main}}", "`main` is the same");
    refused("{{#stepdiff a-one a-one}}", "are the same");
    refused("{{#stepdiff a-one}}", "takes two steps");
}

#[test]
fn an_unresolved_or_headless_transcript_is_refused() {
    refused("{{#transcript b-two/tests/snapshots/nothing.snap}}", "there is no file");
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
    small.write("b-two/tests/snapshots/other.snap.new", "");
    assert_eq!(
        small.problems(),
        "b-two/tests/snapshots/other.snap.new:1: a pending snapshot: review it, then accept or remove it\n"
    );
    // What cargo made is not the workspace's.
    let small = Small::new("# First\n");
    small.write("target/x.snap.new", "");
    small.page();
}

#[test]
fn an_unknown_directive_is_refused() {
    refused("{{#nothing a}}", "there is no directive `nothing`");
    refused("{{#include a-one/src/main.rs:nothing}}", "mdBook's own `include`");
    refused("{{#include a-one/src/main.rs:100:}}", "mdBook's own `include`");
    refused("{{#rustdoc_include nothing.rs}}", "mdBook's own `rustdoc_include`");
    refused("{{ #include nothing.rs }}", "must stand alone");
    refused("text {{#listing a-one/src/main.rs}}", "must stand alone");
}

#[test]
fn a_diagram_with_a_fault_is_refused() {
    for (from, to, message) in [
        ("currentColor", "#000", "book/diagrams/bad.svg:6: stroke is the fixed colour `#000`"),
        ("currentColor", "black", "stroke is the fixed colour `black`"),
        ("<title>A box</title>", "", "no <title>"),
        ("role=\"img\"", "", "no role=\"img\""),
    ] {
        let small = Small::new("# First\n\n{{#diagram diagrams/bad.svg}}\n");
        small.write("book/diagrams/bad.svg", &DRAWING.replace(from, to));
        refused_in(&small, message);
    }
    refused("{{#diagram diagrams/nothing.svg}}", "there is no file diagrams/nothing.svg");
}

#[test]
fn an_id_twice_on_a_page_is_refused() {
    let small = Small::new("# First\n\n{{#diagram diagrams/box.svg}}\n\n{{#diagram diagrams/box.svg}}\n");
    assert_eq!(small.problems(), "book/text/first.md:5: the id `box` is twice on the page\n");
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
fn what_only_the_page_shows_has_its_line() {
    // A transcript is longer than its directive, and what only looks alike comes first.
    let text = "# First {#why-not}\n\n{{#transcript b-two/tests/snapshots/two.snap}}\n\n#why\n\n[a](#why)\n\n\
                see [b](second.md#her),\n[c][c] and [d](#why)\n\n[c]: second.md#her\n";
    let problems = Small::new(text).problems();
    let places: Vec<&str> = problems.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(places, [7, 9, 10, 12].map(|line| format!("book/text/first.md:{line}")), "{problems}");
}

#[test]
fn an_empty_code_block_is_refused() {
    refused("```rust\n```", "an empty code block");
    refused("~~~\n \n~~~", "an empty code block");
    refused("<pre><code></code></pre>", "an empty code block");
}

#[test]
fn an_admonition_that_is_none_is_refused() {
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
fn all_problems_are_named_at_once() {
    let small = Small::new("# First\n\n{{#a}}\n\n{{#b}}\n");
    small.write("book/text/second.md", "{{#c}}\n");
    let problems = small.problems();
    let places: Vec<&str> = problems.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(places, ["book/text/first.md:3", "book/text/first.md:5", "book/text/second.md:1"]);
}

#[test]
fn a_refused_book_leaves_the_last_good_one() {
    let small = Small::new("# First\n\ngood\n");
    small.page();
    let shown = || fs::read_to_string(small.0.path().join("target/book/first.html")).unwrap();
    small.write("book/text/first.md", "# First\n\nbad [a](nothing.md)\n");
    small.problems();
    assert!(shown().contains("<p>good</p>"));
    small.write("book/text/first.md", "# First\n\nbetter\n");
    small.page();
    assert!(shown().contains("<p>better</p>"));
    let names: Vec<_> =
        fs::read_dir(small.0.path().join("target")).unwrap().flatten().map(|it| it.file_name()).collect();
    assert_eq!(names, ["book"]);
}

#[test]
fn the_book_of_this_workspace_is_right() {
    // Not published: somebody may be reading it.
    build(&Places::here(), None).map(drop).unwrap_or_else(|error| panic!("{error}"));
}
