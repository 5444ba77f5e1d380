//! Exercise `name`: the caller chooses the hostname.

use super::*;

const FLAG: &str = "--hostname";

pub fn the_hostname_can_be_chosen(sandbox: &Sandbox) -> Checked {
    let wanted = format!("box-{}", std::process::id());
    let evidence = observe_as(sandbox, &Invocation { flags: &[FLAG, &wanted], ..Default::default() })?;
    let name = &evidence.command_with(FLAG)?.name;
    super::uts::the_host_keeps_its_name(&evidence)?;
    let seen = format!("with `{FLAG} {wanted}`, the hostname in it is {name:?}");
    require!(*name == wanted, FlagIgnored, format!("{wanted:?}"), "{seen}");
    Ok(())
}

/// A flag behind the command is the command's own.
pub fn flags_end_at_the_command(sandbox: &Sandbox) -> Checked {
    for flags in [&[FLAG, "other"][..], &[]] {
        let script = r#"printf '%s|' "$@"; hostname"#;
        let invocation = Invocation { flags, ..Default::default() };
        let mut run = sandbox.start(&invocation, &["sh", "-c", script, "sh", FLAG, "behind"])?;
        run.wait()?;
        let expected = format!("{FLAG}|behind|{}", flags.last().unwrap_or(&"mini-docker"));
        let text = run.stdout();
        // A program may write more than the command does.
        let is_there = text.lines().any(|line| line == expected);
        let seen = format!("the command has `{FLAG} behind` among its own words, and says {}", shorten(&text));
        require!(is_there, WordsLost, format!("{expected:?}"), "{seen}");
    }
    Ok(())
}
