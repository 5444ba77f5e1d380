//! `{{#container}}`: the picture that grows through the book, with a control that moves from step to step. `{{#container step02}}`:
//! the picture as that step leaves it; with `values` after it, also what was observed.
//!
//! `cargo xtask book readme` makes a picture for the README of the same, which grows by itself.
//!
//! It is drawn once, in `book/diagrams/container.svg`, and filled in from what `cargo xtask compare` observed.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};

use crate::directives::compare::{Measured, class};
use crate::directives::diagram;
use crate::html::escape;
use crate::workspace::Workspace;

const TEMPLATE: &str = "diagrams/container.svg";
const STYLES: &str = "book/theme/diagrams.css";

/// Where the README has its picture.
pub const README: &str = "book/diagrams/readme.svg";

/// The picture, as it is after one of the columns of the measured table.
struct State {
    svg: String,
    /// What that step changes, or what the host is.
    caption: String,
}

/// Returns the block that replaces the directive.
pub fn render(workspace: &Workspace, argument: &str) -> Result<String> {
    let (template, measured) = (diagram::read(workspace, TEMPLATE)?, Measured::read(workspace)?);
    let mut words = argument.split_whitespace();
    if let Some(step) = words.next() {
        let values = words.next();
        ensure!(
            values.is_none_or(|it| it == "values") && words.next().is_none(),
            "`container` takes a step, and `values`"
        );
        let columns = &measured.columns;
        let column =
            columns.iter().position(|it| it == step).with_context(|| format!("no step `{step}` was compared"))?;
        let State { svg, caption } = draw(&template, &measured, column, values)?;
        return Ok(format!(
            "<figure class=\"diagram container\">\n{svg}\n<figcaption>{caption}</figcaption>\n</figure>"
        ));
    }
    let last = measured.columns.len() - 1;
    let (mut inputs, mut states) = (String::new(), String::new());
    for column in 0..=last {
        let State { svg, caption } = draw(&template, &measured, column, Some("moving"))?;
        let name = if column == 0 { "none".to_owned() } else { column.to_string() };
        let checked = if column == last { " checked" } else { "" };
        let _ = write!(
            inputs,
            "<label><input type=\"radio\" name=\"container\" autocomplete=\"off\"{checked}> {name}</label> "
        );
        let _ = write!(states, "<div>\n{svg}\n<p>{caption}</p>\n</div>\n");
    }
    Ok(format!(
        "<figure class=\"diagram container moving\">\n<fieldset><legend>Steps taken:</legend> {inputs}</fieldset>\n\
         <div class=\"states\">\n{states}</div>\n</figure>"
    ))
}

/// Draws the picture as it is after a column. Its ids end with the variant, because another one may be on the page.
fn draw(template: &str, measured: &Measured, column: usize, variant: Option<&str>) -> Result<State> {
    // Of two texts in the same place, one stays.
    let other = if variant == Some("values") { "class=\"state\"" } else { "class=\"value\"" };
    let template: String = template.lines().filter(|it| !it.contains(other)).map(|line| format!("{line}\n")).collect();
    let mut parts = template.split("{{");
    let first = parts.next().unwrap_or_default();
    let mut svg = String::new();
    let (mut rows, mut own, mut shared, mut changed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        let (what, rest) = part.split_once("}}").with_context(|| format!("{TEMPLATE}: `{{{{` without `}}}}`"))?;
        let (kind, name) = what.split_once(' ').unwrap_or((what, ""));
        let value = match kind {
            "id" => format!("{column}-{}", variant.unwrap_or("head")),
            "title" | "description" => format!("{{{{{kind}}}}}"),
            _ => {
                let row = measured.row(name)?;
                let (step, short) = (row.step(column), name.trim_end_matches(" namespace"));
                match kind {
                    "step" => {
                        rows.push(name);
                        match step {
                            0 => shared.push(short.to_owned()),
                            _ => own.push(format!("{short} since step {step}")),
                        }
                        if step == column && step > 0 {
                            changed.push(format!("<code>{}</code>", escape(short)));
                        }
                        class(step)
                    }
                    "own" => if step == 0 { "shared" } else { "own" }.to_owned(),
                    "number" if step == 0 => String::new(),
                    "number" => step.to_string(),
                    "value" => escape(&row.cells[column]),
                    _ => bail!("{TEMPLATE}: there is no `{{{{{what}}}}}`"),
                }
            }
        };
        svg += &value;
        svg += rest;
    }
    ensure!(column == 0 || !changed.is_empty(), "{TEMPLATE}: step {column} changes nothing in it");
    if let Some(missing) = measured.names().find(|it| it.ends_with(" namespace") && !rows.contains(it)) {
        bail!("{TEMPLATE} has no `{{{{step {missing}}}}}`");
    }
    let (mut title, mut caption) =
        (format!("The container after step {column}"), format!("Step {column} changes {}.", list(&changed)));
    if column == 0 {
        title = "A process without a container".to_owned();
        caption = "Without a container, a process shares everything.".to_owned();
    }
    let own = if own.is_empty() { "nothing".to_owned() } else { own.join(", ") };
    let description = format!(
        "The process reaches the kernel through eight namespaces. Its own: {own}. Shared with the host: {}.",
        shared.join(", ")
    );
    let svg = format!("{first}{svg}").replace("{{title}}", &title).replace("{{description}}", &description);
    Ok(State { svg: svg.trim_end().to_owned(), caption })
}

/// Returns the README's picture: a file of its own, in which each state is painted over the one before. What can't move, or was
/// asked not to, shows only the last.
pub fn readme(workspace: &Workspace) -> Result<String> {
    let (template, measured) = (diagram::read(workspace, TEMPLATE)?, Measured::read(workspace)?);
    let styles = workspace.read(STYLES)?;
    let styles = styles
        .lines()
        .filter(|line| [".diagram", ".growing", ".shared", ".step"].iter().any(|it| line.starts_with(it)));
    let colours = format!(
        ":root {{ --fg: light-dark(#1f2328, #e6edf3); --bg: light-dark(#ffffff, #0d1117); --quote-bg: light-dark(#f6f8fa, #161b22); \
         font-family: system-ui, sans-serif; --mono-font: ui-monospace, monospace }}\n{}",
        styles.map(|line| format!("{line}\n")).collect::<String>()
    );
    let (mut states, mut delays) = (String::new(), String::new());
    for column in 0..measured.columns.len() {
        states += &draw(&template, &measured, column, None)?.svg.replace("<svg ", "<svg width=\"372\" height=\"392\" ");
        states.push('\n');
        let _ = writeln!(delays, "svg > svg:nth-of-type({}) {{ animation-delay: {}ms }}", column + 1, 1200 * column);
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"496\" height=\"523\" viewBox=\"0 0 372 392\">\n\
         <!-- Made by `cargo xtask book readme`. Don't edit it. -->\n<style>\n{}\
         @media (prefers-color-scheme: dark) {{\n{}}}\n\
         @media (prefers-reduced-motion: no-preference) {{\n@keyframes appear {{ from {{ opacity: 0 }} }}\n\
         svg > svg {{ animation: appear 0.4s both }}\n{delays}}}\n</style>\n{states}</svg>\n",
        scheme(&colours, false)?,
        scheme(&colours, true)?
    ))
}

/// Returns a style sheet with one of the two colours of each `light-dark(…)`, which not everything that draws an SVG knows.
fn scheme(styles: &str, dark: bool) -> Result<String> {
    let mut parts = styles.split("light-dark(");
    let mut chosen = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let pair = part.split_once(')').and_then(|(pair, rest)| Some((pair.split_once(", ")?, rest)));
        let ((light, of_dark), rest) = pair.with_context(|| format!("{STYLES}: `light-dark({part}`"))?;
        chosen += if dark { of_dark } else { light };
        chosen += rest;
    }
    Ok(chosen)
}

/// Returns names as a sentence lists them.
fn list(names: &[String]) -> String {
    match names {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => names.concat(),
    }
}
