//! `cargo xtask book`: builds the book, opens it, or serves it while you write.

use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use book::build::{build, unchanged};
use book::directives::container;
use book::live;
use book::serve;
use book::workspace::Workspace;
use lexopt::prelude::*;

const HELP: &str = "\
Build the book into target/book, or serve it; draw the README's picture

Usage: cargo xtask book [build] [--open]
       cargo xtask book serve [--open] [--port N] [--listen ADDRESS]
       cargo xtask book readme
       cargo xtask book live [--check] [--source SOURCE]

`live` builds the machine that the pages start at a press of Run, and the book
with it. On a machine that can't, the book is built without it.

Options:
  --open           Open the book in a browser
  --port N         Listen on this port; 0 takes a free one [default: 3000]
  --listen ADDRESS Listen on this IP address of the machine, so that others can
                   read the book, too; 0.0.0.0 is all of them [default: 127.0.0.1]
  --check          Type every transcript of the steps in the machine, and
                   compare the answers
  --source SOURCE  The source of the machine's rootfs: alpine, busybox, or an
                   x86 tarball [default: the first of the two that works]
  --workspace DIR  Build the book/ of this directory [default: the repository]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<lexopt::Error>() => {
            eprintln!("book: {error}\nFor more, `cargo xtask book --help`.");
            ExitCode::from(2)
        }
        Err(error) => {
            // A problem stands alone on its line, so that an editor finds its place.
            eprintln!("{}", format!("{error:#}").trim_end());
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("book/ is a directory of the workspace")?;
    let (mut workspace, mut open, mut serve, mut readme, mut port) =
        (Workspace::at(built_in), false, false, false, 3000);
    let mut address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (mut live, mut check, mut source) = (false, false, None);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("open") if !readme => open = true,
            Long("workspace") => workspace = Workspace::at(args.value()?),
            Long("port") if serve => port = args.value()?.parse()?,
            Long("listen") if serve => address = args.value()?.parse()?,
            Long("check") if live => check = true,
            Long("source") if live => source = Some(args.value()?.string()?),
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            Value(command) if command == "serve" => serve = true,
            Value(command) if command == "live" => live = true,
            Value(command) if command == "build" => {}
            Value(command) if command == "readme" => readme = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if readme {
        let path = workspace.root.join(container::README);
        fs::write(&path, container::readme(&workspace)?).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("book: wrote {}", path.display());
        return Ok(());
    }
    if live {
        let built = live::build(&workspace, source.as_deref());
        if check {
            built?;
            #[cfg(target_os = "linux")]
            live::check::check(&workspace)?;
            return Ok(());
        }
        if let Err(error) = built {
            eprintln!("book: without the machine in the pages: {error:#}");
        }
    }
    if serve {
        let listener = TcpListener::bind((address, port))
            .with_context(|| format!("can't listen on port {port} of {address}; choose another with --port"))?;
        if !address.is_loopback() {
            eprintln!(
                "book: everyone who reaches this machine can now read the book, and see the errors of its build. The server is small, \
                 and for a room, not for the Internet."
            );
        }
        let url = format!("http://{}/", listener.local_addr()?);
        eprintln!("book: {url} (Ctrl-C ends it)");
        if open {
            open_in_browser(url.as_ref())?;
        }
        serve::run(&workspace, listener);
    }
    let (place, note) = match unchanged(&workspace, None)? {
        Some(place) => (place, ", unchanged"),
        None => (build(&workspace, None)?.publish()?, ""),
    };
    let index = place.join("index.html");
    eprintln!("book: {}{note}", index.display());
    if open { open_in_browser(index.as_os_str()) } else { Ok(()) }
}

/// Opens a file or a URL.
fn open_in_browser(page: &OsStr) -> Result<()> {
    // The opener may become the browser itself, so don't wait for it.
    let mut opener = Command::new(if cfg!(target_os = "macos") { "open" } else { "xdg-open" });
    opener.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    opener.spawn().map(drop).with_context(|| format!("no program to open {} with", page.display()))
}
