//! Reads the exercises and the diagnoses. Both are data: an exercise is a directory, `xtask/exercises/ID/`, with
//!
//! | file | holds |
//! |---|---|
//! | `text.md` | the front matter, the statement and the hints |
//! | `starter.diff` | the changes that make the starter, if it isn't a program as it stands |
//! | `solution.diff` | the changes that make the solution, if it isn't a program as it stands |
//! | `mutants.diff` | wrong programs, and right ones that are built differently, as changes to the solution |
//! | `solution.py` … | the solution in other languages; see the module `languages` |
//! | `programs/` | wrong programs, and right ones that are built differently, in any language; see [`Program`] |
//!
//! The three `.diff` files have one format, see [`edits`]; `diagnoses.md` is described at [`Diagnosis`].
//!
//! `pid/text.md` is an example: the front matter between two lines `---`, the statement, and a section for each hint, from a
//! question to the calls in their order. [`Exercise`] explains the keys. `title`, `order`, `track`, `chapter`, `minutes`,
//! `function` and `checks` are required.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

mod diagnoses;
pub mod edits;
mod languages;
pub mod package;
mod programs;
mod text;

pub use diagnoses::{DIAGNOSES, Diagnosis, diagnoses};
pub use languages::Language;
pub use programs::Program;

/// Where the exercises are, from the top of the repository.
pub const EXERCISES: &str = "xtask/exercises";

/// An exercise. The fields are the keys of the front matter, unless noted otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exercise {
    /// The number of the exercise, from 0.
    pub order: u32,
    /// The path that it belongs to: `container`, `process-1`, `files`, `rights` or `network`.
    pub track: Track,
    /// The name for commands, which stays when the order changes: that of the directory.
    pub id: String,
    /// The name for readers.
    pub title: String,
    /// The file name of the chapter that shows it.
    pub chapter: String,
    /// The estimated time, in minutes.
    pub minutes: u32,
    /// What the program must be: `container`, the default, or `attack`.
    pub kind: Kind,
    /// The function that the second to last hint shows.
    pub function: String,
    /// What to do, in Markdown: the text after the front matter.
    pub statement: String,
    /// The heading and the Markdown text of each hint: a section after the statement.
    pub hints: Vec<(String, String)>,
    /// The hints about languages other than Rust: sections with a heading such as `In Python`.
    pub languages: Vec<(Language, String)>,
    /// What must hold: indented lines, each with the name of a rule and the sentence that a report shows.
    pub checks: Vec<Check>,
    /// The ids of the exercises whose checks must hold as well; exercise 0 always does. `steps` stands for all that are steps.
    pub after: Vec<String>,
    /// The id of the diagnosis that the starter gets; by default it passes.
    pub diagnosis: Option<String>,
    /// What a machine must have in addition to what the steps need; without it, a check can't run.
    pub needs: Option<String>,
    /// The program that the starter is, or is made from; by default the last step. The key is `starter`.
    pub starter_base: String,
    /// The program that the solution is, or is made from; by default the last step. The key is `solution`.
    pub solution_base: String,
}

/// A path through the exercises: first the container, then four in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Track {
    /// The four steps.
    Container,
    /// What process 1 must do.
    Process1,
    /// Devices, volumes, roots and layers.
    Files,
    /// What a process may do, and how it can get around that.
    Rights,
    /// What processes share and consume, and how they are reached.
    Network,
}

impl Track {
    /// Every track, in the order in which they are shown.
    pub const ALL: [Track; 5] = [Track::Container, Track::Process1, Track::Files, Track::Rights, Track::Network];

    /// Returns its name in a front matter.
    pub fn id(self) -> &'static str {
        match self {
            Track::Container => "container",
            Track::Process1 => "process-1",
            Track::Files => "files",
            Track::Rights => "rights",
            Track::Network => "network",
        }
    }

    /// Returns its name for readers.
    pub fn title(self) -> &'static str {
        match self {
            Track::Container => "The container",
            Track::Process1 => "Process 1",
            Track::Files => "Files and images",
            Track::Rights => "Rights",
            Track::Network => "Network and limits",
        }
    }
}

/// The contract of an exercise's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `mine run COMMAND [ARG...]` makes a container.
    Container,
    /// `escape COMMAND [ARG...]` is put into a container, as /tmp/escape. It is linked statically.
    Attack,
}

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The name of the function that judges it.
    pub rule: String,
    /// What must hold, as a report shows it.
    pub sentence: String,
}

/// A wrong program, or a right one that is built differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// What is wrong with it, or different.
    pub name: String,
    /// The id of the diagnosis that it must get; `None` if it must pass.
    pub diagnosis: Option<String>,
    /// True if it is right when it runs as root without a user namespace.
    pub passes_as_root: bool,
    /// The changes that make its source from the solution's.
    pub edits: Vec<edits::Edit>,
}

/// Reads all exercises of the repository whose top directory is `root`, in their order.
///
/// # Errors
/// If a file can't be read or is wrong. The message begins with the file and the line: `xtask/exercises/uts/text.md:3: …`.
pub fn all(root: &Path) -> Result<Vec<Exercise>> {
    let last_step = last_step(root)?;
    let mut exercises = Vec::new();
    for entry in fs::read_dir(root.join(EXERCISES)).context(EXERCISES)? {
        let entry = entry.context(EXERCISES)?;
        let id = entry.file_name().to_string_lossy().into_owned();
        // The sources of this package are there as well.
        if entry.file_type().context(EXERCISES)?.is_dir() && id != "src" {
            let file = format!("{EXERCISES}/{id}/text.md");
            exercises.push(text::parse(&file, &id, &last_step, &read(root, &file)?)?);
        }
    }
    exercises.sort_by_key(|exercise| exercise.order);
    for (exercise, order) in exercises.iter().zip(0..) {
        let Exercise { id, order: found, .. } = exercise;
        ensure!(*found == order, "{EXERCISES}/{id}/text.md:1: `order` is {found}, and no exercise has {order}");
    }
    let known: Vec<(String, bool)> = exercises.iter().map(|it| (it.id.clone(), it.is_step())).collect();
    for Exercise { id, after, .. } in &mut exercises {
        if *after == ["steps"] {
            *after = known.iter().filter(|(_, is_step)| *is_step).map(|(step, _)| step.clone()).collect();
        }
        if let Some(unknown) = after.iter().find(|it| !known.iter().any(|(id, _)| id == *it)) {
            bail!("{EXERCISES}/{id}/text.md:1: `after` names `{unknown}`, which is not an exercise");
        }
    }
    Ok(exercises)
}

/// Finds the exercise that `wanted` names: by its id, by its order, or by the step that is its solution (`step3`,
/// `step03`, `step03-chroot`).
///
/// # Errors
/// If there is none. The message suggests the most similar id.
pub fn find<'a>(exercises: &'a [Exercise], wanted: &str) -> Result<&'a Exercise> {
    let number = |name: &str| name.strip_prefix("step")?.split('-').next()?.parse::<u32>().ok();
    let named = |it: &&Exercise| {
        let step = it.solution_base.split('/').next().unwrap_or_default();
        let short = number(wanted).filter(|_| !wanted.contains('-'));
        it.id == wanted
            || wanted.parse() == Ok(it.order)
            || it.is_step() && (step == wanted || short.is_some() && short == number(step))
    };
    let likeness = |it: &&Exercise| strsim::jaro_winkler(wanted, &it.id);
    let nearest = exercises.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|it| likeness(it) > 0.8);
    exercises.iter().find(named).with_context(|| match nearest {
        Some(nearest) => format!("there is no exercise '{wanted}': did you mean '{}'?", nearest.id),
        None => format!("there is no exercise '{wanted}'; `cargo xtask status` lists them"),
    })
}

impl Exercise {
    /// Returns the name of the learner's program that is graded.
    pub fn program(&self) -> &'static str {
        match self.kind {
            Kind::Container => "mine",
            Kind::Attack => "escape",
        }
    }

    /// True if its solution is a step, so that later exercises build on it.
    pub fn is_step(&self) -> bool {
        self.kind == Kind::Container && self.starter_base != self.solution_base
    }

    /// Returns the exercises whose checks this one includes, itself last.
    pub fn with_earlier<'a>(&self, all: &'a [Exercise]) -> Vec<&'a Exercise> {
        let is_included = |it: &&Exercise| {
            it.order == 0 && self.kind == Kind::Container && self.order != 0 || self.after.contains(&it.id)
        };
        all.iter().filter(is_included).chain(all.iter().filter(|it| it.id == self.id)).collect()
    }

    /// Returns the source of the program that a learner starts from.
    ///
    /// # Errors
    /// If a file can't be read or is wrong, or a change doesn't apply.
    pub fn starter(&self, root: &Path) -> Result<String> {
        let source = self.source(root, &self.starter_base, "starter.diff")?;
        // A program that was written as a starter has a header as one.
        if self.starter_base.starts_with(EXERCISES) {
            return Ok(source);
        }
        let Exercise { order, id, title, after, .. } = self;
        let so_far = match after.len() {
            1 => "exercise 1 asks".to_owned(),
            last => format!("exercises 1 to {last} ask"),
        };
        let header = format!(
            "//! Exercise {order}: {title}. From here on the program is yours.\n\
             //!\n\
             //! So far it does what {so_far}. `cargo xtask hint {id}` explains what to add.\n\
             //!\n\
             //!     cargo xtask check {id}\n"
        );
        Ok(header + without_header(&source))
    }

    /// Returns the source of the solved program.
    ///
    /// # Errors
    /// If a file can't be read or is wrong, or a change doesn't apply.
    pub fn solution(&self, root: &Path) -> Result<String> {
        let source = self.source(root, &self.solution_base, "solution.diff")?;
        let Exercise { order, id, title, .. } = self;
        // A program that is the solution as it stands keeps its header.
        if !root.join(format!("{EXERCISES}/{id}/solution.diff")).exists() {
            return Ok(source);
        }
        let header = format!("//! Exercise {order}, solved: {title}.\n//!\n//!     cargo xtask check {id}\n");
        Ok(header + without_header(&source))
    }

    /// Reads the wrong programs, and the right ones that are built differently.
    ///
    /// # Errors
    /// If the file can't be read or is wrong.
    pub fn mutants(&self, root: &Path) -> Result<Vec<Mutant>> {
        let file = format!("{EXERCISES}/{}/mutants.diff", self.id);
        let mut sections = edits::sections(&file, &read(root, &file)?)?;
        ensure!(sections.remove(0).1.is_empty(), "{file}:1: there is an edit before the first `== name: verdict`");
        let mutant = |(heading, edits): (String, Vec<edits::Edit>)| {
            let (name, verdict) = heading.split_once(": ").with_context(|| format!("{file}: `== {heading}`"))?;
            let for_user = verdict.strip_suffix(", but passes for a real root");
            let id = for_user.unwrap_or(verdict);
            let diagnosis = (id != "passes").then(|| id.to_owned());
            Ok(Mutant { name: name.to_owned(), diagnosis, passes_as_root: for_user.is_some(), edits })
        };
        sections.into_iter().map(mutant).collect()
    }

    fn source(&self, root: &Path, base: &str, diff: &str) -> Result<String> {
        let source = read(root, base)?;
        let file = format!("{EXERCISES}/{}/{diff}", self.id);
        if !root.join(&file).exists() {
            return Ok(source);
        }
        edits::apply(&source, &edits::parse(&file, &read(root, &file)?)?).with_context(|| format!("changing {base}"))
    }
}

/// Returns a program without its leading `//!` lines, which describe what is new in a step.
pub fn without_header(source: &str) -> &str {
    let length = source.split_inclusive('\n').take_while(|line| line.starts_with("//!")).map(str::len).sum();
    &source[length..]
}

fn read(root: &Path, file: &str) -> Result<String> {
    fs::read_to_string(root.join(file)).with_context(|| file.to_owned())
}

/// Returns the path of the program of the last step.
fn last_step(root: &Path) -> Result<String> {
    let entries = fs::read_dir(root).with_context(|| root.display().to_string())?.flatten();
    let programs = entries.map(|entry| format!("{}/src/main.rs", entry.file_name().display()));
    let steps = programs.filter(|program| program.starts_with("step") && root.join(program).is_file());
    Ok(steps.max().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent).expect("it is the top of the repository")
    }

    #[test]
    fn every_exercise_and_every_diagnosis_is_read() {
        let exercises = all(root()).unwrap();
        let ids: Vec<&str> = exercises.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids[..5], ["run", "uts", "pid", "chroot", "proc"]);
        assert_eq!(exercises[4].after, ["uts", "pid", "chroot"]);
        assert_eq!(exercises[5].after, ["uts", "pid", "chroot", "proc"]);
        let included: Vec<_> = exercises[2].with_earlier(&exercises).iter().map(|it| it.order).collect();
        assert_eq!(included, [0, 1, 2]);
        assert_eq!(exercises[0].with_earlier(&exercises).len(), 1);
        assert!(diagnoses(root()).unwrap().len() > 50);
    }

    #[test]
    fn hints_for_a_program_in_another_language_name_no_library_of_rust() {
        let exercises = all(root()).unwrap();
        for (exercise, language) in
            exercises.iter().flat_map(|it| [Language::Python, Language::Go, Language::C].map(|to| (it, to)))
        {
            if exercise.solution_in(root(), &exercises, language).unwrap().is_some() {
                let hints = exercise.hints_for(language);
                let own = hints.last().map(|(heading, _)| heading.as_str());
                assert_eq!(own, Some(format!("In {}", language.title()).as_str()), "{}", exercise.id);
                let text = hints.iter().map(|(_, text)| text.as_str()).collect::<String>();
                assert!(!text.contains("nix::") && !text.contains("std::"), "{} in {language:?}: {text}", exercise.id);
            }
        }
    }

    #[test]
    fn every_change_applies() {
        let mut wrong = Vec::new();
        let exercises = all(root()).unwrap();
        for exercise in &exercises {
            let solution = exercise.solution(root()).unwrap();
            exercise.starter(root()).unwrap();
            for language in Language::ALL {
                if let Err(error) = exercise.solution_in(root(), &exercises, language) {
                    wrong.push(format!("{error:#}"));
                }
            }
            for Mutant { name, edits, .. } in exercise.mutants(root()).unwrap() {
                match edits::apply(&solution, &edits) {
                    Ok(mutant) if mutant != solution => {}
                    Ok(_) => wrong.push(format!("{}: {name} changes nothing", exercise.id)),
                    Err(error) => wrong.push(format!("{name}: {error:#}")),
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_program_wants_diagnoses_and_exercises_that_exist() {
        let exercises = all(root()).unwrap();
        let diagnoses: Vec<_> = diagnoses(root()).unwrap().into_iter().map(|it| it.id).collect();
        for Program { name, wants, also, .. } in exercises.iter().flat_map(|it| it.programs(root()).unwrap()) {
            let unknown: Vec<_> = wants.iter().filter(|id| !diagnoses.contains(id)).collect();
            assert!(unknown.is_empty(), "{name} wants {unknown:?}");
            let unknown: Vec<_> = also.iter().filter(|id| !exercises.iter().any(|it| it.id == **id)).collect();
            assert!(unknown.is_empty(), "{name} is also for {unknown:?}");
        }
    }

    #[test]
    fn each_starter_has_a_header_of_its_own() {
        for exercise in &all(root()).unwrap()[1..] {
            let starter = exercise.starter(root()).unwrap();
            let header: Vec<_> = starter.lines().take_while(|line| line.starts_with("//!")).collect();
            assert!(header.last().unwrap().contains("cargo xtask check"), "{}: {header:?}", exercise.id);
            assert!(!header.iter().any(|line| line.contains("New since")), "{}: {header:?}", exercise.id);
            assert!(!without_header(&starter).contains("//!"), "{}", exercise.id);
        }
    }

    #[test]
    fn an_exercise_is_found_by_its_id_its_order_and_its_step() {
        let exercises = all(root()).unwrap();
        for (wanted, id) in [
            ("uts", "uts"),
            ("1", "uts"),
            ("step03", "chroot"),
            ("step3", "chroot"),
            ("step04-proc", "proc"),
            ("0", "run"),
        ] {
            assert_eq!(find(&exercises, wanted).unwrap().id, id);
        }
        let message = |wanted| find(&exercises, wanted).unwrap_err().to_string();
        assert_eq!(message("utss"), "there is no exercise 'utss': did you mean 'uts'?");
        assert_eq!(message("quux"), "there is no exercise 'quux'; `cargo xtask status` lists them");
    }
}
