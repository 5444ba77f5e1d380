//! Tests of the builder, on a small workspace in a temporary directory.

mod build;
mod command_line;
mod live;
mod serve;

use std::fs;
use std::path::Path;

use book::build::build;
use book::problem::Problems;
use book::workspace::Workspace;
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
source: step02-b/tests/two.rs
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

const EXERCISE: &str = "\
---
title: The `first` one
order: 0
track: container
chapter: first.md
minutes: 5
function: main
starter: step01-a/src/main.rs
solution: step02-b/src/main.rs
checks:
  it_says_two: it says two
---

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

const DIAGNOSES: &str = "# Diagnoses\n\n## no-a\nsecond.md#here\n\nNo A|B here:\n`x|<y>`, _b_ and [c](d).\n";

/// A workspace with a book of two chapters. A test writes the first one.
struct Small(TempDir);

impl Small {
    fn new(text: &str) -> Small {
        let small = Small(TempDir::new().unwrap());
        small.write("book/book.toml", include_str!("../../book.toml"));
        for file in ["book.css", "diagrams.css", "languages.css", "extras.js", "languages.js"] {
            small.write(&format!("book/theme/{file}"), "");
        }
        small.write("book/text/SUMMARY.md", "# Summary\n\n- [First](first.md)\n- [Second](second.md)\n");
        small.write("book/text/first.md", text);
        small.write("book/text/second.md", "# Second\n\n## Here {#here}\n");
        small.write("book/diagrams/box.svg", DRAWING);
        small.write("step01-a/src/main.rs", OLD);
        small.write("step02-b/src/main.rs", NEW);
        small.write("step02-b/tests/snapshots/two.snap", SNAPSHOT);
        small
    }

    /// Adds two exercises, both of the first chapter.
    fn with_exercises(text: &str) -> Small {
        let small = Small::new(text);
        small.write("xtask/exercises/one/text.md", EXERCISE);
        small.write(
            "xtask/exercises/two/text.md",
            &EXERCISE.replace("`first`", "second").replace("order: 0", "order: 1"),
        );
        small.write("xtask/exercises/diagnoses.md", DIAGNOSES);
        small
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn workspace(&self) -> Workspace {
        Workspace::at(self.path())
    }

    /// Builds the book and returns the content of the first chapter's page.
    fn page(&self) -> String {
        let directory = build(&self.workspace(), None).unwrap_or_else(|error| panic!("{error}")).publish().unwrap();
        let page = fs::read_to_string(directory.join("first.html")).unwrap();
        let (_, main) = page.split_once("<main>").unwrap();
        main.split_once("</main>").unwrap().0.to_owned()
    }

    fn problems(&self) -> String {
        let error = build(&self.workspace(), None).map(|_| "a book").unwrap_err();
        error.downcast::<Problems>().unwrap().to_string()
    }
}
