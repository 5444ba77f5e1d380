use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::{Check, Exercise, Kind, Language, Track};

/// Parses a `text.md`. `file` is what errors name, and `base` the program that a starter and a solution are made from if the
/// text doesn't name one.
pub(crate) fn parse(file: &str, id: &str, base: &str, text: &str) -> Result<Exercise> {
    let mut lines = (1..).zip(text.lines());
    ensure!(lines.next().is_some_and(|(_, line)| line == "---"), "{file}:1: the first line is not `---`");
    let mut values = BTreeMap::new();
    let mut checks = Vec::new();
    loop {
        let next = lines.next().with_context(|| format!("{file}:1: the front matter has no end, `---`"));
        let (line, content): (usize, _) = next?;
        if content == "---" {
            break;
        }
        let pair = content.split_once(':').with_context(|| format!("{file}:{line}: this is not `key: value`"));
        let (key, value) = pair.map(|(key, value)| (key, value.trim()))?;
        ensure!(!value.is_empty() || key == "checks", "{file}:{line}: `{}` has no value", key.trim());
        if let Some(rule) = key.strip_prefix("  ") {
            checks.push(Check { rule: rule.to_owned(), sentence: value.to_owned() });
        } else {
            ensure!(values.insert(key, (line, value)).is_none(), "{file}:{line}: `{key}` is there twice");
        }
    }
    let mut take = |key: &str, default: Option<&'static str>| {
        let value = values.remove(key).or(default.map(|value| (1, value)));
        value.with_context(|| format!("{file}:1: the front matter has no `{key}`"))
    };
    take("checks", None)?;
    ensure!(!checks.is_empty(), "{file}:1: there is no check");
    let mut number = |key| {
        let (line, value) = take(key, None)?;
        value.parse().with_context(|| format!("{file}:{line}: `{key}` is not a number: {value}"))
    };
    let (order, minutes) = (number("order")?, number("minutes")?);
    let kind = match take("kind", Some("container"))? {
        (_, "container") => Kind::Container,
        (_, "attack") => Kind::Attack,
        (line, other) => bail!("{file}:{line}: there is no kind `{other}`"),
    };
    let (line, track) = take("track", None)?;
    let found = Track::ALL.into_iter().find(|it| it.id() == track);
    let track = found.with_context(|| format!("{file}:{line}: there is no track `{track}`"))?;
    let mut text = |key, default| take(key, default).map(|(_, value)| value.to_owned());
    let or_base = |path: String| if path.is_empty() { base.to_owned() } else { path };
    let mut exercise = Exercise {
        id: id.to_owned(),
        order,
        track,
        minutes,
        kind,
        checks,
        title: text("title", None)?,
        chapter: text("chapter", None)?,
        function: text("function", None)?,
        after: text("after", Some(""))?.split_whitespace().map(str::to_owned).collect(),
        starter_base: or_base(text("starter", Some(""))?),
        solution_base: or_base(text("solution", Some(""))?),
        diagnosis: Some(text("diagnosis", Some(""))?).filter(|it| !it.is_empty()),
        needs: Some(text("needs", Some(""))?).filter(|it| !it.is_empty()),
        statement: String::new(),
        hints: Vec::new(),
        languages: Vec::new(),
    };
    if let Some((key, (line, _))) = values.first_key_value() {
        bail!("{file}:{line}: there is no key `{key}`");
    }
    exercise.hints = sections(file, lines)?;
    exercise.statement = exercise.hints.remove(0).1;
    let language = |heading: &str| {
        let title = heading.strip_prefix("In ")?;
        Language::ALL.into_iter().find(|it| it.title() == title)
    };
    for (heading, text) in exercise.hints.extract_if(.., |(heading, _)| language(heading).is_some()) {
        exercise.languages.extend(language(&heading).map(|it| (it, text)));
    }
    ensure!(!exercise.hints.is_empty(), "{file}:1: there is no hint, `## …`");
    Ok(exercise)
}

/// Parses what follows the front matter: the statement, and each hint with its heading.
fn sections<'a>(file: &str, lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Vec<(String, String)>> {
    let mut sections: Vec<(usize, &str, String)> = vec![(1, "---", String::new())];
    let mut in_code = false;
    for (line, content) in lines {
        in_code ^= content.starts_with("```");
        match sections.last_mut() {
            Some((.., text)) if in_code || !content.starts_with("## ") => text.extend([content, "\n"]),
            _ => sections.push((line, content, String::new())),
        }
    }
    let section = |(line, heading, text): (usize, &str, String)| {
        let (heading, text) = (heading.trim_start_matches("## ").trim(), text.trim());
        ensure!(!text.is_empty(), "{file}:{line}: there is no text after `{heading}`");
        Ok((heading.to_owned(), text.to_owned()))
    };
    sections.into_iter().map(section).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "---\ntitle: A title: long\norder: 3\ntrack: files\nchapter: step01.md\nminutes: 30\nfunction: child\nafter: uts pid\n\
        checks:\n  a_rule: it holds: now\n  another: so does this\n---\n\nDo it.\n\n- all\n\n## Ask\n\nWhy?\n\n## Look\n```sh\n## no hint\n```\n";

    fn of(text: &str) -> Result<Exercise> {
        parse("x.md", "x", "base.rs", text)
    }

    #[test]
    fn a_text_has_its_parts() {
        let text = of(TEXT).unwrap();
        assert_eq!((text.title.as_str(), text.order, text.track), ("A title: long", 3, Track::Files));
        assert_eq!((text.chapter.as_str(), text.minutes, text.function.as_str()), ("step01.md", 30, "child"));
        assert_eq!((text.after, text.kind), (vec!["uts".to_owned(), "pid".to_owned()], Kind::Container));
        assert_eq!((text.starter_base.as_str(), text.solution_base.as_str()), ("base.rs", "base.rs"));
        let checks: Vec<_> = text.checks.iter().map(|it| (it.rule.as_str(), it.sentence.as_str())).collect();
        assert_eq!(checks, [("a_rule", "it holds: now"), ("another", "so does this")]);
        assert_eq!(text.statement, "Do it.\n\n- all");
        let hints = [("Ask", "Why?"), ("Look", "```sh\n## no hint\n```")];
        assert_eq!(text.hints, hints.map(|(heading, body)| (heading.to_owned(), body.to_owned())));
        assert_eq!(of(&TEXT.replace('\n', "\r\n")).unwrap(), of(TEXT).unwrap());
        let python = of(&format!("{TEXT}\n## In Python\n\nctypes\n")).unwrap();
        assert_eq!((python.hints.len(), python.languages), (2, vec![(Language::Python, "ctypes".to_owned())]));
    }

    #[test]
    fn a_wrong_text_is_named_with_its_line() {
        for (old, new, message) in [
            ("---\n", "", "x.md:1: the first line"),
            ("---\n\n", "\n", "x.md:12: this is not"),
            ("title: A title: long\n", "", "x.md:1: the front matter has no `title`"),
            ("minutes: 30", "minutes: soon", "x.md:6: `minutes` is not a number: soon"),
            ("after: uts pid", "before: uts", "x.md:8: there is no key `before`"),
            ("after: uts pid", "kind: game", "x.md:8: there is no kind `game`"),
            ("track: files", "track: race", "x.md:4: there is no track `race`"),
            ("track: files\n", "", "x.md:1: the front matter has no `track`"),
            ("after: uts pid", "order: 4", "x.md:8: `order` is there twice"),
            ("after: uts pid", "after:", "x.md:8: `after` has no value"),
            (": it holds: now", ":", "x.md:10: `a_rule` has no value"),
            (
                "checks:\n  a_rule: it holds: now\n  another: so does this\n",
                "",
                "x.md:1: the front matter has no `checks`",
            ),
            ("Do it.\n\n- all\n", "", "x.md:1: there is no text after `---`"),
            ("Why?\n", "", "x.md:18: there is no text after `Ask`"),
            ("## Ask\n\nWhy?\n\n## Look\n", "", "x.md:1: there is no hint"),
        ] {
            let error = of(&TEXT.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(error.starts_with(message), "{message}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_exercise_or_an_error(text: String, pieces in "(---\n|## |title: |checks:\n|  a: |\n|.){0,40}") {
            let _ = of(&text);
            let _ = of(&pieces);
            let _ = of(&format!("---\n{pieces}"));
            let _ = of(&format!("{TEXT}{pieces}"));
        }
    }
}
