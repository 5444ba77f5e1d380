//! `book serve`: the book in a browser while it is written. A small file server on the loopback address, a look at the
//! sources three times a second, and an event to the browser when there is something new.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::build;
use crate::check::percent_decoded;
use crate::html::escape;
use crate::places::Places;

const LOOK: Duration = Duration::from_millis(300);
/// Where the browser waits for news.
const EVENTS: &str = "/__book_events";
/// No browser asks for more.
const LONGEST_REQUEST: u64 = 16 * 1024;

/// What there is to show.
#[derive(Debug, Default)]
struct Shown {
    /// Where the last good book is.
    folder: Option<PathBuf>,
    /// Why there is none newer.
    error: Option<String>,
    /// Grows with each attempt to build.
    version: u64,
    /// What the files looked like before the last attempt, so that no change falls between a look and a build.
    seen: u64,
}

/// The book being served. Its server ends with the program.
#[derive(Debug, Clone)]
pub struct Server {
    places: Places,
    shown: Arc<Mutex<Shown>>,
    /// Its address, `http://127.0.0.1:3000/`.
    pub address: String,
}

/// Serves the book until the program is ended.
///
/// # Errors
/// When the port can't be had.
pub fn run(places: &Places, port: u16) -> Result<()> {
    let server = Server::start(places, port)?;
    eprintln!("book: {} (Ctrl-C ends it)", server.address);
    server.watch()
}

impl Server {
    /// Builds the book, and begins to answer.
    ///
    /// # Errors
    /// When the port can't be had.
    pub fn start(places: &Places, port: u16) -> Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("listening on port {port} of 127.0.0.1 (`--port` names another)"))?;
        let address = format!("http://{}/", listener.local_addr()?);
        let server = Server { places: places.clone(), shown: Arc::default(), address };
        server.build(look(places)?);
        let answering = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = answering.clone();
                // A browser that leaves is no news.
                thread::spawn(move || server.answer(&stream));
            }
        });
        Ok(server)
    }

    /// Builds anew whenever a file changes.
    pub fn watch(&self) -> ! {
        loop {
            thread::sleep(LOOK);
            // A folder that is being replaced may be gone for a moment.
            let Ok(now) = look(&self.places) else { continue };
            // The guard must not live while we build, which takes it again.
            let changed = now != self.shown().seen;
            if changed {
                self.build(now);
            }
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn build(&self, seen: u64) {
        let built = build::build(&self.places, Some("/"));
        // Files are read under the same lock, so none is asked for while the folders change places.
        let mut shown = self.shown();
        match built.and_then(build::Built::publish) {
            Ok(folder) => {
                eprintln!("book: built");
                shown.folder = Some(folder);
                shown.error = None;
            }
            Err(error) => {
                let error = format!("{error:#}");
                eprintln!("{}", error.trim_end());
                shown.error = Some(error);
            }
        }
        shown.version += 1;
        shown.seen = seen;
    }

    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut reader = BufReader::new(stream.take(LONGEST_REQUEST));
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let mut words = request.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return respond(stream, "400 Bad Request", TEXT, b"no request", true);
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match method {
            "GET" if path == EVENTS => self.news(stream, query),
            "GET" | "HEAD" => {
                let (status, kind, body) = self.file(path);
                respond(stream, status, kind, &body, method == "GET")
            }
            _ => respond(stream, "405 Method Not Allowed\r\nAllow: GET, HEAD", TEXT, b"GET or HEAD", true),
        }
    }

    /// Tells the browser when there is a newer book than the `version` that it shows.
    fn news(&self, mut stream: &TcpStream, version: &str) -> io::Result<()> {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        )?;
        loop {
            // A comment while there is none, which fails when the browser has gone.
            let news = self.shown().version.to_string() != version;
            stream.write_all(if news { b"data: new\n\n" } else { b":\n\n" })?;
            if news {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
    }

    fn file(&self, path: &str) -> (&'static str, &'static str, Vec<u8>) {
        let shown = self.shown();
        let Some(folder) = &shown.folder else {
            let page = "<!DOCTYPE html><html lang=\"en\"><title>No book yet</title><body></body></html>";
            return ("503 Service Unavailable", HTML, with_script(page, &shown));
        };
        match found(folder, path) {
            Some(file) => match fs::read(&file) {
                Ok(body) if kind_of(&file) == HTML => {
                    ("200 OK", HTML, with_script(&String::from_utf8_lossy(&body), &shown))
                }
                Ok(body) => ("200 OK", kind_of(&file), body),
                Err(error) => ("500 Internal Server Error", TEXT, error.to_string().into_bytes()),
            },
            None => {
                let page = fs::read_to_string(folder.join("404.html")).unwrap_or_else(|_| "not found".to_owned());
                ("404 Not Found", HTML, with_script(&page, &shown))
            }
        }
    }
}

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

fn kind_of(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" => HTML,
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "txt" => TEXT,
        _ => "application/octet-stream",
    }
}

/// The file of an address, unless it would lie outside of the folder.
fn found(folder: &Path, address: &str) -> Option<PathBuf> {
    let mut file = folder.to_owned();
    for part in percent_decoded(address.strip_prefix('/')?).split('/').filter(|part| !part.is_empty()) {
        if part == ".." || part.contains(['\\', ':', '\0']) {
            return None;
        }
        file.push(part);
    }
    if file.is_dir() {
        file.push("index.html");
    }
    // A link could lead out, too.
    let (file, folder) = (file.canonicalize().ok()?, folder.canonicalize().ok()?);
    (file.is_file() && file.starts_with(folder)).then_some(file)
}

/// The page with what makes it reload, and with the error if it is not what it should be.
fn with_script(page: &str, shown: &Shown) -> Vec<u8> {
    let error = shown.error.as_deref().map(|error| {
        format!(
            "<div role=\"alert\" style=\"position:fixed;inset:auto 0 0 0;max-height:60vh;overflow:auto;z-index:1000;padding:1rem;\
             background:#7f1d1d;color:#fff;font-size:1.4rem\"><b>The book is not rebuilt:</b>\
             <pre style=\"white-space:pre-wrap;margin:.5rem 0 0\">{}</pre></div>",
            escape(error.trim_end())
        )
    });
    let script = format!(
        "{}<script>(() => {{ const news = new EventSource(\"{EVENTS}?{}\"); \
         news.onmessage = () => {{ news.close(); location.reload(); }}; }})();</script>",
        error.unwrap_or_default(),
        shown.version
    );
    let (before, after) = page.rsplit_once("</body>").unwrap_or((page, ""));
    format!("{before}{script}</body>{after}").into_bytes()
}

fn respond(mut stream: &TcpStream, status: &str, kind: &str, body: &[u8], with_body: bool) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    if with_body {
        stream.write_all(body)?;
    }
    stream.flush()
}

/// What the workspace's files look like: a number that differs when one of them does.
fn look(places: &Places) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    for file in places.files()? {
        let Ok(data) = fs::metadata(&file) else { continue };
        (file, data.len(), data.modified().ok()).hash(&mut hasher);
    }
    Ok(hasher.finish())
}
