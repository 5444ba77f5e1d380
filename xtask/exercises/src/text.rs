use anyhow::{Context, Result, bail, ensure};

use crate::{Check, Exercise, Kind};

/// The keys of the front matter that every text has.
const REQUIRED: [&str; 5] = ["title", "order", "chapter", "minutes", "function"];
/// The keys that have a default.
const OPTIONAL: [&str; 6] = ["after", "kind", "starter", "solution", "diagnosis", "needs"];

/// Parses a `text.md`. `file` is what errors name, and `base` the program that a starter and a solution are made from if the
/// text doesn't name one.
pub(crate) fn parse(file: &str, id: &str, base: &str, text: &str) -> Result<Exercise> {
    let mut lines = (1..).zip(text.lines());
    ensure!(lines.next().is_some_and(|(_, line)| line == "---"), "{file}:1: the first line is not `---`");
    let mut values: Vec<(usize, &str, &str)> = Vec::new();
    let mut checks = Vec::new();
    let mut in_checks = false;
    loop {
        let Some((line, content)) = lines.next() else { bail!("{file}:1: the front matter has no end, `---`") };
        if content == "---" {
            break;
        }
        let (key, value) =
            content.split_once(':').with_context(|| format!("{file}:{line}: this is not `key: value`"))?;
        let value = value.trim();
        if let Some(rule) = key.strip_prefix("  ").filter(|_| in_checks) {
            ensure!(!value.is_empty(), "{file}:{line}: the check `{rule}` has no sentence");
            checks.push(Check { rule: rule.to_owned(), sentence: value.to_owned() });
            continue;
        }
        in_checks = key == "checks";
        if !in_checks {
            ensure!(REQUIRED.contains(&key) || OPTIONAL.contains(&key), "{file}:{line}: there is no key `{key}`");
            ensure!(!values.iter().any(|it| it.1 == key), "{file}:{line}: `{key}` is there twice");
            ensure!(!value.is_empty(), "{file}:{line}: `{key}` has no value");
            values.push((line, key, value));
        }
    }
    let value = |wanted: &str| values.iter().find(|(_, key, _)| *key == wanted);
    let required = |key: &str| {
        value(key).map(|it| it.2.to_owned()).with_context(|| format!("{file}:1: the front matter has no `{key}`"))
    };
    let number = |key: &str| {
        let text = required(key)?;
        let line = value(key).map_or(1, |it| it.0);
        text.parse().with_context(|| format!("{file}:{line}: `{key}` is not a number: {text}"))
    };
    let kind = match value("kind") {
        None | Some((.., "container")) => Kind::Container,
        Some((.., "attack")) => Kind::Attack,
        Some((line, _, other)) => bail!("{file}:{line}: there is no kind `{other}`"),
    };
    let program = |key: &str| value(key).map_or(base, |it| it.2).to_owned();
    ensure!(!checks.is_empty(), "{file}:1: the front matter has no `checks`");
    let (statement, hints) = body(file, lines)?;
    Ok(Exercise {
        id: id.to_owned(),
        title: required("title")?,
        order: number("order")?,
        chapter: required("chapter")?,
        minutes: number("minutes")?,
        function: required("function")?,
        after: value("after").map_or("", |it| it.2).split_whitespace().map(str::to_owned).collect(),
        starter_base: program("starter"),
        solution_base: program("solution"),
        diagnosis: value("diagnosis").map(|it| it.2.to_owned()),
        needs: value("needs").map(|it| it.2.to_owned()),
        kind,
        checks,
        statement,
        hints,
    })
}

/// Parses what follows the front matter: the statement, and each hint with its heading.
fn body<'a>(file: &str, lines: impl Iterator<Item = (usize, &'a str)>) -> Result<(String, Vec<(String, String)>)> {
    let mut parts: Vec<(usize, &str, String)> = vec![(1, "", String::new())];
    let mut in_code = false;
    for (line, content) in lines {
        in_code ^= content.starts_with("```");
        match content.strip_prefix("## ").filter(|_| !in_code) {
            Some(heading) => parts.push((line, heading.trim(), String::new())),
            None => parts.last_mut().expect("the statement is there").2.extend([content, "\n"]),
        }
    }
    let trimmed = |text: String| text.trim().to_owned();
    let mut parts = parts.into_iter();
    let statement = trimmed(parts.next().map(|it| it.2).unwrap_or_default());
    ensure!(!statement.is_empty(), "{file}:1: there is no statement");
    let mut hints = Vec::new();
    for (line, heading, text) in parts {
        let text = trimmed(text);
        ensure!(!text.is_empty(), "{file}:{line}: the hint `{heading}` is empty");
        hints.push((heading.to_owned(), text));
    }
    ensure!(!hints.is_empty(), "{file}:1: there is no hint, `## …`");
    Ok((statement, hints))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "---\ntitle: A title: long\norder: 3\nchapter: step01.md\nminutes: 30\nfunction: child\nafter: uts pid\n\
        checks:\n  a_rule: it holds: now\n  another: so does this\n---\n\nDo it.\n\n- all\n\n## Ask\n\nWhy?\n\n## Look\n```sh\n## no hint\n```\n";

    fn of(text: &str) -> Result<Exercise> {
        parse("x.md", "x", "base.rs", text)
    }

    #[test]
    fn a_text_has_its_parts() {
        let text = of(TEXT).unwrap();
        assert_eq!((text.title.as_str(), text.order, text.minutes), ("A title: long", 3, 30));
        assert_eq!((text.chapter.as_str(), text.function.as_str()), ("step01.md", "child"));
        assert_eq!((text.after, text.kind), (vec!["uts".to_owned(), "pid".to_owned()], Kind::Container));
        assert_eq!((text.starter_base.as_str(), text.solution_base.as_str()), ("base.rs", "base.rs"));
        let checks: Vec<_> = text.checks.iter().map(|it| (it.rule.as_str(), it.sentence.as_str())).collect();
        assert_eq!(checks, [("a_rule", "it holds: now"), ("another", "so does this")]);
        assert_eq!(text.statement, "Do it.\n\n- all");
        let hints = [("Ask", "Why?"), ("Look", "```sh\n## no hint\n```")];
        assert_eq!(text.hints, hints.map(|(heading, body)| (heading.to_owned(), body.to_owned())));
        assert_eq!(of(&TEXT.replace('\n', "\r\n")).unwrap(), of(TEXT).unwrap());
    }

    #[test]
    fn a_wrong_text_is_named_with_its_line() {
        for (old, new, message) in [
            ("---\n", "", "x.md:1: the first line"),
            ("---\n\n", "\n", "x.md:11: this is not"),
            ("title: A title: long\n", "", "x.md:1: the front matter has no `title`"),
            ("minutes: 30", "minutes: soon", "x.md:5: `minutes` is not a number: soon"),
            ("after: uts pid", "before: uts", "x.md:7: there is no key `before`"),
            ("after: uts pid", "kind: game", "x.md:7: there is no kind `game`"),
            ("after: uts pid", "order: 4", "x.md:7: `order` is there twice"),
            ("after: uts pid", "after:", "x.md:7: `after` has no value"),
            (": it holds: now", ":", "x.md:9: the check `a_rule` has no sentence"),
            (
                "checks:\n  a_rule: it holds: now\n  another: so does this\n",
                "",
                "x.md:1: the front matter has no `checks`",
            ),
            ("Do it.\n\n- all\n", "", "x.md:1: there is no statement"),
            ("Why?\n", "", "x.md:17: the hint `Ask` is empty"),
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
