//! Programming languages: the first program, the solutions and the hints in each.
//!
//! | file in `xtask/exercises/ID/` | holds |
//! |---|---|
//! | `solution.py`, `.go`, `.c`, `.sh` | the solution in that language; that of exercise 0 is what a learner starts with |
//! | `solution.py.diff` … | the changes that make it from the solution of the last exercise in `after` |
//! | `text.md`, `## In Python` … | a hint about that language |

use std::path::Path;

use anyhow::{Context, Result};

use crate::{EXERCISES, Exercise, edits, read};

/// A language in which there are solutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// That of the book.
    Rust,
    /// A script, for `python3`.
    Python,
    /// Compiled with `go build`.
    Go,
    /// Compiled with `cc`.
    C,
    /// A script, for `sh`.
    Shell,
}

impl Language {
    /// Every language, in the order in which they are shown.
    pub const ALL: [Language; 5] = [Language::Rust, Language::Python, Language::Go, Language::C, Language::Shell];

    fn facts(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self {
            Language::Rust => ("Rust", "rs", None),
            Language::Python => ("Python", "py", Some("python3")),
            Language::Go => ("Go", "go", Some("go")),
            Language::C => ("C", "c", Some("cc")),
            Language::Shell => ("Shell", "sh", Some("sh")),
        }
    }

    /// Returns its name for readers.
    pub fn title(self) -> &'static str {
        self.facts().0
    }

    /// Returns the extension of its files.
    pub fn extension(self) -> &'static str {
        self.facts().1
    }

    /// Returns the program that runs or compiles it, if a check needs one.
    pub fn translator(self) -> Option<&'static str> {
        self.facts().2
    }

    /// Returns the language of a file: by its extension, by the interpreter in its first line, or by a source of the same name.
    pub fn of(file: &Path) -> Option<Language> {
        let extension = file.extension().unwrap_or_default();
        let by_name = Language::ALL.into_iter().find(|it| it.extension() == extension);
        let by_interpreter = || {
            let text = std::fs::read(file).ok()?;
            let first = text.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
            let first = String::from_utf8_lossy(first);
            // `/usr/bin/env -S python3 -u` and `/bin/sh -e` have options.
            let mut names = first.split_whitespace().filter_map(|word| word.rsplit('/').next());
            let name = names.find(|name| *name != "env" && !name.starts_with('-'))?;
            match name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
                "python" => Some(Language::Python),
                "sh" | "bash" | "dash" | "ash" => Some(Language::Shell),
                _ => None,
            }
        };
        let by_source = || {
            let compiled = [Language::Go, Language::C];
            compiled.into_iter().find(|it| file.with_extension(it.extension()).is_file())
        };
        by_name.or_else(by_interpreter).or_else(by_source)
    }

    /// Returns a top-level function of a source.
    pub fn function<'a>(self, source: &'a str, name: &str) -> Option<&'a str> {
        let is_head = |line: &str| match self {
            Language::Rust => ["", "pub ", "const "].iter().any(|it| line.starts_with(&format!("{it}fn {name}("))),
            Language::Python => line.starts_with(&format!("def {name}(")),
            Language::Go => line.starts_with(&format!("func {name}(")),
            Language::C => {
                let is_definition = line.starts_with(char::is_alphabetic) && line.trim_end().ends_with('{');
                is_definition && line.contains(&format!(" {name}("))
            }
            Language::Shell => line.starts_with(&format!("{name}() {{")),
        };
        let mut start = 0;
        let head = source.split_inclusive('\n').find(|line| {
            let found = is_head(line);
            start += if found { 0 } else { line.len() };
            found
        })?;
        let body = &source[start + head.len()..];
        let end = match self {
            Language::Python => {
                let is_inside = |line: &&str| line.trim().is_empty() || line.starts_with(' ');
                body.split_inclusive('\n').take_while(is_inside).map(str::len).sum()
            }
            // As formatters lay it out: up to the first closing brace at the beginning of a line.
            _ => body.find("\n}\n")? + "\n}\n".len(),
        };
        let function = &source[start..start + head.len() + end];
        Some(&function[..function.trim_end().len() + 1])
    }
}

impl Exercise {
    /// Returns the source of the solution in a language, if there is one.
    ///
    /// # Errors
    /// If a file can't be read, or a change doesn't apply.
    pub fn solution_in(&self, root: &Path, all: &[Exercise], language: Language) -> Result<Option<String>> {
        if language == Language::Rust {
            return self.solution(root).map(Some);
        }
        let file = format!("{EXERCISES}/{}/solution.{}", self.id, language.extension());
        if root.join(&file).exists() {
            return read(root, &file).map(Some);
        }
        let diff = file + ".diff";
        if !root.join(&diff).exists() {
            return Ok(None);
        }
        let base =
            self.starter_in(root, all, language)?.with_context(|| format!("{diff}: there is nothing to change"))?;
        edits::apply(&base, &edits::parse(&diff, &read(root, &diff)?)?).map(Some)
    }

    /// Returns the source of the program that a learner starts from in a language: the solution of the last exercise that this one
    /// builds on.
    ///
    /// # Errors
    /// Those of [`Exercise::solution_in`].
    pub fn starter_in(&self, root: &Path, all: &[Exercise], language: Language) -> Result<Option<String>> {
        if language == Language::Rust {
            return self.starter(root).map(Some);
        }
        let first = all.first().map(|it| &it.id);
        let base = all.iter().find(|it| Some(&it.id) == self.after.last().or(first));
        base.map_or(Ok(None), |base| base.solution_in(root, all, language))
    }

    /// Returns the hints for a program in a language: those about Rust are left out of what others are shown.
    pub fn hints_for(&self, language: Language) -> Vec<(String, String)> {
        let mut hints = self.hints.clone();
        if language == Language::Rust {
            return hints;
        }
        hints.retain(|(_, text)| !text.contains("```rust"));
        for (_, text) in &mut hints {
            let paragraphs =
                text.split("\n\n").filter(|it| !["In Rust", "In nix"].iter().any(|rust| it.starts_with(rust)));
            *text = paragraphs.collect::<Vec<_>>().join("\n\n");
        }
        hints.retain(|(_, text)| !text.is_empty());
        let own = self.languages.iter().find(|(it, _)| *it == language);
        hints.extend(own.map(|(language, text)| (format!("In {}", language.title()), text.clone())));
        hints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_the_interpreter() {
        let file = std::env::temp_dir().join(format!("mini-docker-interpreter-{}", std::process::id()));
        for (first, language) in [
            ("#!/bin/sh -e", Some(Language::Shell)),
            ("#! /usr/bin/env python3", Some(Language::Python)),
            ("#!/usr/bin/env -S python3.12 -u", Some(Language::Python)),
            ("#!/usr/bin/perl -w", None),
            ("#!", None),
            ("sh", None),
        ] {
            std::fs::write(&file, format!("{first}\nexit\n")).unwrap();
            assert_eq!(Language::of(&file), language, "{first}");
        }
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_function_is_cut_out_of_each_language() {
        let rust = "use x;\n\nfn a() {\n    fn b() {}\n}\n\n/// Not fn c().\nfn c(x: u8) {\n    1;\n}\n";
        let python = "import x\n\n\ndef a():\n    if x:\n\n        b()\n\n\ndef c(x):\n    1\n";
        let go = "func a() {\n\tb()\n}\n\n// Calls c().\nfunc c(x int) {\n\t1\n}\n";
        let c = "static int c(int x);\n\nint a(void) {\n    b();\n}\n\nstatic int c(int x) {\n    a();\n}\n";
        let a = |source, language: Language| language.function(source, "a");
        assert_eq!(a(rust, Language::Rust), Some("fn a() {\n    fn b() {}\n}\n"));
        assert_eq!(Language::Rust.function(rust, "c"), Some("fn c(x: u8) {\n    1;\n}\n"));
        assert_eq!(a(python, Language::Python), Some("def a():\n    if x:\n\n        b()\n"));
        assert_eq!(Language::Python.function(python, "c"), Some("def c(x):\n    1\n"));
        assert_eq!(a(go, Language::Go), Some("func a() {\n\tb()\n}\n"));
        assert_eq!(a(c, Language::C), Some("int a(void) {\n    b();\n}\n"));
        assert_eq!(Language::C.function(c, "c"), Some("static int c(int x) {\n    a();\n}\n"));
        for (source, language) in
            [(rust, Language::Rust), (python, Language::Python), (go, Language::Go), (c, Language::C)]
        {
            assert_eq!((language.function(source, "b"), language.function(source, "d")), (None, None));
        }
    }
}
