//! The repository's address on the web, for links to its sources. It comes from git, so that the book never names a stranger's.

use std::path::Path;
use std::process::{Command, Stdio};

/// Returns the address of the remote `origin` of the repository at `root`, if it leads to GitHub. Other hosts have other paths
/// for a file and for its editor.
pub fn address(root: &Path) -> Option<String> {
    // Not that of a repository around it.
    let git = root.join(".git");
    if !git.exists() {
        return None;
    }
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(git).args(["config", "--get", "remote.origin.url"]).stdin(Stdio::null());
    on_github(String::from_utf8(command.stderr(Stdio::null()).output().ok()?.stdout).ok()?.trim())
}

/// Returns the address for a browser, without a password that the remote may contain.
fn on_github(remote: &str) -> Option<String> {
    let rest = match remote.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) => rest.split_once('/')?,
        Some(_) => return None,
        None => remote.split_once(':')?,
    };
    let (server, path) = rest;
    let host = server.rsplit('@').next()?.split(':').next()?;
    let (owner, name) = path.trim_matches('/').split_once('/')?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    let is_name = |it: &str| !it.is_empty() && it.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    (host == "github.com" && is_name(owner) && is_name(name)).then(|| format!("https://github.com/{owner}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::on_github;

    #[test]
    fn an_address_on_github_is_one_for_a_browser() {
        for remote in [
            "https://github.com/ferris/crab.git",
            "https://github.com/ferris/crab",
            "https://github.com/ferris/crab/",
            "https://ferris:secret@github.com/ferris/crab.git",
            "git@github.com:ferris/crab.git",
            "github.com:ferris/crab",
            "ssh://git@github.com:22/ferris/crab.git",
        ] {
            assert_eq!(on_github(remote).as_deref(), Some("https://github.com/ferris/crab"), "{remote}");
        }
    }

    #[test]
    fn anything_else_is_no_address() {
        for remote in [
            "",
            "/srv/git/crab",
            "../crab",
            "C:\\crab",
            "file:///srv/github.com/ferris/crab",
            "https://example.org/ferris/crab",
            "https://github.com.example.org/ferris/crab",
            "https://github.com@example.org/ferris/crab",
            "https://example.org/@github.com/ferris/crab",
            "https://github.com/ferris",
            "https://github.com/ferris/crab/tree/main",
            "https://github.com/ferris/\"><script>",
        ] {
            assert_eq!(on_github(remote), None, "{remote}");
        }
    }
}
