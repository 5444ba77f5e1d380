//! `book serve`: shows the book in a browser while it is written. It is a small file server on the loopback address, with a script
//! in each page that reloads it after a build. mdBook's own server is part of its program, not of its library.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::build::{Built, build};
use crate::check::decoded;
use crate::html::escape;
use crate::workspace::Workspace;

const PAUSE: Duration = Duration::from_millis(300);
/// Where a page asks for the number of the last build.
const VERSION: &str = "/__version";
/// The largest request, which is more than any browser sends.
const LONGEST_REQUEST: u64 = 16 * 1024;
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The builds so far.
#[derive(Default)]
struct State {
    version: u64,
    /// Why the last build failed, if it did.
    error: Option<String>,
}

/// Builds the book whenever a file changes, and serves it until the program ends.
pub fn run(workspace: &Workspace, listener: TcpListener) -> ! {
    let place = Arc::new((workspace.root.join("target/book"), Mutex::new(State::default())));
    let answering = Arc::clone(&place);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let place = Arc::clone(&answering);
            // A browser that closes the connection early is not an error.
            thread::spawn(move || answer(&stream, &place.0, &place.1));
        }
    });
    let mut built = Vec::new();
    loop {
        // A directory that is being replaced may be missing for a moment.
        if let Ok(files) = workspace.fingerprint()
            && files != built
        {
            let result = build(workspace, Some("/"));
            // Files are read under the same lock, so none is read while the directories are exchanged.
            let mut state = lock(&place.1);
            state.error = result.and_then(Built::publish).err().map(|error| format!("{error:#}"));
            eprintln!("{}", state.error.as_deref().unwrap_or("book: built").trim_end());
            state.version += 1;
            built = files;
        }
        thread::sleep(PAUSE);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(mut stream: &TcpStream, directory: &Path, state: &Mutex<State>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // All of the request, because closing a connection with unread data would reset it.
    let mut lines = BufReader::new(stream.take(LONGEST_REQUEST)).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let (method, address) = request.split_once(' ').unwrap_or_default();
    let address = address.split([' ', '?']).next().unwrap_or_default();
    let (status, kind, body) = match method {
        "GET" | "HEAD" => page(address, directory, &lock(state)),
        _ => ("405 Method Not Allowed", TEXT, b"GET or HEAD".to_vec()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(if method == "HEAD" { &[] } else { &body })
}

/// Returns the status, the type and the body for an address.
fn page(address: &str, directory: &Path, state: &State) -> (&'static str, &'static str, Vec<u8>) {
    if address == VERSION {
        return ("200 OK", TEXT, state.version.to_string().into_bytes());
    }
    let (status, (file, body)) = match find(directory, address) {
        Some(found) => ("200 OK", found),
        None => ("404 Not Found", find(directory, "404.html").unwrap_or_default()),
    };
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") | None => (status, HTML, with_script(&String::from_utf8_lossy(&body), state)),
        Some("css") => (status, "text/css; charset=utf-8", body),
        Some("js" | "mjs") => (status, "text/javascript; charset=utf-8", body),
        Some("svg") => (status, "image/svg+xml", body),
        Some("wasm") => (status, "application/wasm", body),
        // Browsers recognise the rest.
        _ => (status, "application/octet-stream", body),
    }
}

/// Reads the file of an address, unless it is outside of the directory, where a symbolic link may lead as well.
fn find(directory: &Path, address: &str) -> Option<(PathBuf, Vec<u8>)> {
    let directory = directory.canonicalize().ok()?;
    let file = directory.join(decoded(address).trim_start_matches('/'));
    let file = if file.is_dir() { file.join("index.html") } else { file }.canonicalize().ok()?;
    if file.starts_with(directory) { Some((file.clone(), fs::read(file).ok()?)) } else { None }
}

/// Returns a page with a script that reloads it, and with the error if the last build failed.
fn with_script(page: &str, State { version, error }: &State) -> Vec<u8> {
    let error = error.as_deref().map(|error| {
        format!(
            "<div role=\"alert\" style=\"position:fixed;inset:auto 0 0 0;max-height:60vh;overflow:auto;z-index:1000;padding:1rem;\
             background:#7f1d1d;color:#fff;font-size:1.4rem\"><b>The book is not rebuilt:</b>\
             <pre style=\"white-space:pre-wrap;margin:.5rem 0 0\">{}</pre></div>",
            escape(error.trim_end())
        )
    });
    let script = format!(
        "<script>setInterval(async () => {{ const response = await fetch(\"{VERSION}\").catch(() => null); \
         if (response && await response.text() !== \"{version}\") location.reload(); }}, 500);</script>"
    );
    let (before, after) = page.rsplit_once("</body>").unwrap_or((page, ""));
    format!("{before}{}{script}</body>{after}", error.unwrap_or_default()).into_bytes()
}
