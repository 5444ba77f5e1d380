//! Exercise `name`: the caller chooses the hostname.

use super::*;

const FLAG: &str = "--hostname";
/// The most bytes of a hostname: sethostname(2).
const LONGEST: usize = 64;

pub fn the_hostname_can_be_chosen(sandbox: &Sandbox) -> Checked {
    for length in [1, 12, LONGEST] {
        let wanted = sandbox.draw.hostname(length);
        let invocation = Invocation { flags: &[FLAG, &wanted], hostname: Some(&wanted), ..Default::default() };
        let evidence = observe_as(sandbox, &invocation)?;
        let of_length = |error| match error {
            Error::Verdict(Verdict::Fail(failure)) => {
                let seen = format!("with a name of {length} bytes, {}", failure.seen);
                Error::Verdict(Verdict::Fail(Failure { seen, ..failure }))
            }
            other => other,
        };
        let name = &evidence.command_with(FLAG).map_err(of_length)?.name;
        super::uts::the_host_keeps_its_name(&evidence)?;
        let seen = format!("with `{FLAG} {wanted}`, the container's hostname is {name:?}");
        require!(*name == wanted, FlagIgnored, format!("{wanted:?}"), "{seen}");
    }
    Ok(())
}

/// A name that sethostname(2) refuses is an error.
pub fn a_name_that_is_too_long_is_refused(sandbox: &Sandbox) -> Checked {
    let wanted = sandbox.draw.hostname(LONGEST + 1);
    let mut run =
        sandbox.start(&Invocation { flags: &[FLAG, &wanted], ..Default::default() }, &["sh", "-c", "exit 0"])?;
    run.end_input();
    let status = run.wait()?;
    let seen = format!("with a name of {} bytes, `run` ended with {}", LONGEST + 1, describe(status));
    require!(!status.success(), NameTooLong, "an error, and a status other than 0", "{seen}");
    Ok(())
}

/// A flag after the command belongs to the command.
pub fn flags_end_at_the_command(sandbox: &Sandbox) -> Checked {
    let [other, behind] = [(); 2].map(|()| sandbox.draw.word());
    for flags in [&[FLAG, &other][..], &[]] {
        let script = r#"printf '%s|' "$@"; hostname"#;
        let invocation = Invocation { flags, ..Default::default() };
        let mut run = sandbox.start(&invocation, &["sh", "-c", script, "sh", FLAG, &behind])?;
        run.wait()?;
        let expected = format!("{FLAG}|{behind}|{}", flags.last().unwrap_or(&"mini-docker"));
        let text = run.stdout();
        // A program may write more than the command does.
        let is_there = text.lines().any(|line| line == expected);
        let seen = format!("the command had `{FLAG} {behind}` among its own words, and printed {}", shorten(&text));
        require!(is_there, WordsLost, format!("{expected:?}"), "{seen}");
    }
    Ok(())
}
