//! The exercises and the diagnoses of the workshop, as `xtask/` has them: `xtask/exercises/ID.md`, and the tables in its
//! sources. They are read, not linked in: so this program builds without xtask, and a test can have a small workshop.

use std::fs;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::{Expr, Item, Lit};

use crate::places::Places;
use crate::problem::{Problem, Problems, line_of};

/// The table of the exercises.
pub const TABLE: &str = "xtask/src/exercises.rs";
/// Their texts.
pub const TEXTS: &str = "xtask/exercises";
/// The table of the diagnoses.
pub const DIAGNOSES: &str = "xtask/src/check/diagnosis.rs";

/// An exercise in words. See `xtask/src/exercises/text.rs` for the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exercise {
    /// Its place in the order, from 0.
    pub number: u32,
    /// Its name for commands.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// The file of the chapter that it belongs to.
    pub chapter: String,
    /// How long it takes.
    pub minutes: u32,
    /// What to do, in Markdown.
    pub statement: String,
    /// Heading and text.
    pub hints: Vec<(String, String)>,
}

impl Exercise {
    /// The id of its heading.
    pub fn anchor(&self) -> String {
        format!("exercise-{}", self.id)
    }
}

/// What may be wrong with a program: a row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Where the row begins.
    pub line: usize,
    /// Its name.
    pub id: String,
    /// What its author may not have known, as plain text.
    pub misconception: String,
    /// Where it is explained: `step01.md#why`.
    pub section: String,
}

/// All exercises, in their order.
///
/// # Errors
/// What is wrong with the table or a text, each with its place.
pub fn exercises(places: &Places) -> Result<Vec<Exercise>, Problems> {
    let rows = rows(places)?;
    let mut exercises = Vec::new();
    let mut problems = Vec::new();
    for (line, number, id) in &rows {
        let file = format!("{TEXTS}/{id}.md");
        match fs::read_to_string(places.root.join(&file)) {
            Ok(text) => match parse(&text) {
                Ok(exercise) => exercises.push(Exercise { number: *number, id: id.clone(), ..exercise }),
                Err((line, message)) => problems.push(Problem::at(file, line, message)),
            },
            Err(error) => {
                let message = format!("the exercise `{id}` has no text that can be read, {file}: {error}");
                problems.push(Problem::at(TABLE, *line, message));
            }
        }
    }
    for entry in fs::read_dir(places.root.join(TEXTS)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.strip_suffix(".md");
        if let Some(id) = id.filter(|id| rows.iter().all(|(.., it)| it != id)) {
            problems.push(Problem::at(format!("{TEXTS}/{name}"), 1, format!("{TABLE} has no exercise `{id}`")));
        }
    }
    Problems::none_in(problems)?;
    exercises.sort_by_key(|exercise| exercise.number);
    Ok(exercises)
}

/// The exercises that this book does not show. `chapters` are the book's texts. A workspace without a workshop has none.
///
/// # Errors
/// Those of [`exercises`].
pub fn not_shown(places: &Places, chapters: &[&str]) -> Result<Vec<Problem>, Problems> {
    if !places.root.join(TABLE).exists() {
        return Ok(Vec::new());
    }
    let shown = |exercise: &Exercise| {
        let directive = format!("{{{{#exercises {}}}}}", exercise.chapter);
        chapters.iter().any(|text| text.lines().any(|line| line.trim() == directive))
    };
    let problem = |exercise: Exercise| {
        let file = format!("{TEXTS}/{}.md", exercise.id);
        let text = fs::read_to_string(places.root.join(&file)).unwrap_or_default();
        let message = format!("no chapter shows it: there is no line {{{{#exercises {}}}}}", exercise.chapter);
        Problem { line: line_of(&text, &["- chapter:"]), file, message }
    };
    Ok(exercises(places)?.into_iter().filter(|exercise| !shown(exercise)).map(problem).collect())
}

/// All diagnoses, in their order.
///
/// # Errors
/// When the table can't be found.
pub fn diagnoses(places: &Places) -> Result<Vec<Diagnosis>, String> {
    let text = places.read("", DIAGNOSES)?;
    let array = table(&text, "TABLE").map_err(|why| format!("{DIAGNOSES}: {why}"))?;
    let row = |expr: &Expr| {
        let Expr::Tuple(tuple) = expr else { return None };
        let mut parts = tuple.elems.iter();
        let (_, id, misconception, section) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Diagnosis {
            line: lines(expr).start,
            id: string(id)?,
            misconception: string(misconception)?,
            section: string(section)?,
        })
    };
    let each = array.iter().map(|it| {
        row(it).ok_or_else(|| format!("{DIAGNOSES}:{}: this is no row of an id and two more strings", lines(it).start))
    });
    each.collect()
}

/// The exercises' lines, numbers and ids, as the table has them.
fn rows(places: &Places) -> Result<Vec<(usize, u32, String)>, Problems> {
    let text = places.read("", TABLE).map_err(|why| Problems::from(Problem::of_file(TABLE, why)))?;
    let array = table(&text, "ALL").map_err(|why| Problems::from(Problem::of_file(TABLE, why)))?;
    let row = |expr: &Expr| {
        let Expr::Struct(fields) = expr else { return None };
        let field = |name: &str| {
            let is_it = |it: &&syn::FieldValue| matches!(&it.member, syn::Member::Named(it) if it == name);
            fields.fields.iter().find(is_it).map(|it| &it.expr)
        };
        let Expr::Lit(number) = field("number")? else { return None };
        let Lit::Int(number) = &number.lit else { return None };
        Some((lines(expr).start, number.base10_parse().ok()?, string(field("id")?)?))
    };
    let each = array.iter().map(|it| {
        row(it)
            .ok_or_else(|| Problem::at(TABLE, lines(it).start, "this exercise has no plain `number` and `id`").into())
    });
    each.collect()
}

/// The elements of a constant `&[…]`.
fn table(text: &str, name: &str) -> Result<Vec<Expr>, String> {
    let file = syn::parse_file(text).map_err(|error| error.to_string())?;
    let value = file.items.into_iter().find_map(|item| match item {
        Item::Const(item) if item.ident == name => Some(*item.expr),
        _ => None,
    });
    match value {
        Some(Expr::Reference(reference)) => match *reference.expr {
            Expr::Array(array) => Ok(array.elems.into_iter().collect()),
            _ => Err(format!("`{name}` is no list")),
        },
        Some(_) => Err(format!("`{name}` is no list")),
        None => Err(format!("there is no constant `{name}`")),
    }
}

fn string(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// Counted from 1.
fn lines(expr: &Expr) -> Range<usize> {
    let span = expr.span();
    span.start().line..span.end().line + 1
}

/// The parts of a text; else what is wrong, and in which line.
fn parse(text: &str) -> Result<Exercise, (usize, String)> {
    let mut exercise = Exercise {
        number: 0,
        id: String::new(),
        title: String::new(),
        chapter: String::new(),
        minutes: 0,
        statement: String::new(),
        hints: Vec::new(),
    };
    let mut has_function = false;
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        let wrong = |message: String| Err((index + 1, message));
        in_code ^= line.starts_with("```");
        let field = |name: &str| {
            let value = line.strip_prefix("- ")?.strip_prefix(name)?.strip_prefix(':')?;
            exercise.hints.is_empty().then(|| value.trim().to_owned())
        };
        if index == 0 {
            match line.strip_prefix("# ").map(str::trim) {
                Some(title) if !title.is_empty() => exercise.title = title.to_owned(),
                _ => return wrong("the first line is no title, `# …`".to_owned()),
            }
        } else if let Some(heading) = line.strip_prefix("## ").filter(|_| !in_code) {
            exercise.hints.push((heading.trim().to_owned(), String::new()));
        } else if let Some(chapter) = field("chapter") {
            exercise.chapter = chapter;
        } else if let Some(minutes) = field("minutes") {
            match minutes.parse() {
                Ok(minutes) => exercise.minutes = minutes,
                Err(_) => return wrong(format!("`{minutes}` is no number of minutes")),
            }
        } else if field("function").is_some_and(|it| !it.is_empty()) {
            has_function = true;
        } else {
            let part = exercise.hints.last_mut().map_or(&mut exercise.statement, |(_, text)| text);
            part.push_str(line);
            part.push('\n');
        }
    }
    let trim = |part: &mut String| *part = part.trim().to_owned();
    trim(&mut exercise.statement);
    exercise.hints.iter_mut().for_each(|(_, hint)| trim(hint));
    let missing = match () {
        () if text.is_empty() => "it is empty",
        () if exercise.chapter.is_empty() => "there is no line `- chapter: …`",
        () if exercise.minutes == 0 => "there is no line `- minutes: …`",
        () if !has_function => "there is no line `- function: …`",
        () if exercise.statement.is_empty() => "there is no statement",
        () if exercise.hints.is_empty() => "there is no hint, `## …`",
        () => match exercise.hints.iter().find(|(_, hint)| hint.is_empty()) {
            Some((heading, _)) => {
                let line = line_of(text, &[&format!("## {heading}")]).unwrap_or(1);
                return Err((line, format!("the hint `{heading}` is empty")));
            }
            None => return Ok(exercise),
        },
    };
    Err((1, missing.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A title\n\n- chapter: a.md\n- minutes: 30\n- function: child\n\nDo it.\n\n- all\n\n## Ask\n\nWhy?\n\n## Look\nThere.\n";

    #[test]
    fn a_text_has_its_parts() {
        let text = parse(TEXT).unwrap();
        assert_eq!((text.title.as_str(), text.chapter.as_str(), text.minutes), ("A title", "a.md", 30));
        assert_eq!(text.statement, "Do it.\n\n- all");
        assert_eq!(text.hints, [("Ask".into(), "Why?".into()), ("Look".into(), "There.".into())]);
    }

    #[test]
    fn what_is_missing_is_named_with_its_line() {
        for (cut, with, line, named) in [
            ("# A title", "A title", 1, "title"),
            ("- chapter: a.md\n", "", 1, "chapter"),
            ("- minutes: 30\n", "", 1, "minutes"),
            ("minutes: 30", "minutes: soon", 4, "`soon`"),
            ("- function: child\n", "", 1, "function"),
            ("Do it.\n\n- all\n", "", 1, "statement"),
            ("Why?\n", "", 11, "`Ask`"),
            ("\n## Ask\n\nWhy?\n\n## Look\nThere.\n", "", 1, "no hint"),
        ] {
            let (at, message) = parse(&TEXT.replacen(cut, with, 1)).unwrap_err();
            assert!(at == line && message.contains(named), "{named}: {at}: {message}");
        }
    }
}
