//! `{{#essence step02-pid/src/main.rs#run,child without thread_block}}`: the lesson of a program in a few lines. It is the source of
//! these functions less comments, the context of errors, and the statements that contain one of the words after `without`.

use std::ops::Range;

use anyhow::{Context, Result, bail};
use proc_macro2::{TokenStream, TokenTree};
use syn::ItemFn;
use syn::spanned::Spanned;

use crate::directives::listing;
use crate::html::escape;
use crate::workspace::Workspace;

/// Returns the block that replaces the directive.
pub fn render(workspace: &Workspace, argument: &str) -> Result<String> {
    let Some((path, rest)) = argument.split_once('#') else {
        bail!(
            "`essence` takes functions of a file: {{{{#essence step02-pid/src/main.rs#run,child without thread_block}}}}"
        );
    };
    let (names, without) = rest.split_once(" without ").unwrap_or((rest, ""));
    let mut words: Vec<(&str, bool)> =
        without.split(',').map(str::trim).filter(|word| !word.is_empty()).map(|word| (word, false)).collect();
    let text = workspace.read(path)?;
    let mut functions = Vec::new();
    for name in names.split(',').map(str::trim) {
        let lines =
            listing::find_item(&text, name).ok().flatten().with_context(|| format!("{path} has no item `{name}`"))?;
        functions.push(shorten(&listing::cut(&text, &lines), &mut words).with_context(|| format!("{path}#{name}"))?);
    }
    if let Some((word, _)) = words.iter().find(|(_, is_used)| !is_used) {
        bail!("no statement of {path}#{names} contains `{word}`");
    }
    let code = listing::code_block("rust", &functions.join("\n"));
    Ok(format!("<p class=\"listing\"><code>{}</code>, the essential program</p>\n\n{code}", escape(path)))
}

/// Returns the source of a function without what does not belong to its essence. Marks the words that were used.
fn shorten(source: &str, words: &mut [(&str, bool)]) -> Result<String> {
    let function: ItemFn = syn::parse_str(source).context("only a function has an essence")?;
    let mut gone = Vec::new();
    for statement in &function.block.stmts {
        let range = statement.span().byte_range();
        let code = source.get(range.clone()).unwrap_or_default();
        let mut is_gone = false;
        for (_, is_used) in words.iter_mut().filter(|(word, _)| code.contains(*word)) {
            (is_gone, *is_used) = (true, true);
        }
        if is_gone {
            gone.push(range);
        }
    }
    let mut contexts = Vec::new();
    find_contexts(source.parse::<TokenStream>().ok().unwrap_or_default(), &mut contexts);
    contexts.retain(|it| !gone.iter().any(|range| range.contains(&it.start)));
    gone.extend(contexts);
    gone.sort_by_key(|range| std::cmp::Reverse(range.start));
    let mut short = source.to_owned();
    for range in gone {
        short.replace_range(range, "");
    }
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    Ok(short.lines().filter(is_code).map(|line| format!("{line}\n")).collect())
}

/// Finds each `.context(…)` and `.with_context(…)`, with the space before it.
fn find_contexts(tokens: TokenStream, found: &mut Vec<Range<usize>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for window in tokens.windows(4) {
        if let [before, TokenTree::Punct(dot), TokenTree::Ident(name), TokenTree::Group(group)] = window
            && dot.as_char() == '.'
            && (name == "context" || name == "with_context")
        {
            found.push(before.span().byte_range().end..group.span().byte_range().end);
        }
    }
    for token in tokens {
        if let TokenTree::Group(group) = token {
            find_contexts(group.stream(), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shorten;

    const SOURCE: &str = "/// Doc.\nfn run() -> Result<u8> {\n    // Why.\n    first(\"é\").context(\"first\")?;\n    second()\n        \
        .with_context(|| format!(\"second\"))?;\n\n    let _ = robust(1)\n        .context(\"x\")?;\n    third(a.context(\"y\")?)\n}\n";

    #[test]
    fn comments_contexts_and_the_named_statements_are_left_out() {
        let mut words = [("robust", false), ("missing", false)];
        let essence = "fn run() -> Result<u8> {\n    first(\"é\")?;\n    second()?;\n    third(a?)\n}\n";
        assert_eq!(shorten(SOURCE, &mut words).unwrap(), essence);
        assert_eq!(words, [("robust", true), ("missing", false)]);
    }

    #[test]
    fn only_a_function_has_an_essence() {
        assert!(shorten("const A: u8 = 1;\n", &mut []).is_err());
    }
}
