//! The book in a browser while it is written: what the server answers, and what it does when the text goes wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::thread;
use std::time::{Duration, Instant};

use super::Small;

/// Serves a small book, and returns when there is one.
fn serve() -> (Small, SocketAddr) {
    let small = Small::new("# First\n\nwords\n");
    small.write("book/text/SUMMARY.md", "[First](first.md)\n\n- [Inner](inner/page.md)\n");
    small.write("book/text/inner/page.md", "# Inner\n");
    small.write("target/secret", "secret");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (address, workspace) = (listener.local_addr().unwrap(), small.workspace());
    thread::spawn(move || book::serve::run(&workspace, listener));
    until(address, "/", "<p>words</p>");
    (small, address)
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits until a page contains a text, and returns it.
#[track_caller]
fn until(address: SocketAddr, path: &str, part: &str) -> String {
    let start = Instant::now();
    loop {
        let page = ask(address, &format!("GET {path}"));
        if page.contains(part) {
            return page;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{path} never contained {part}: {page}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn pages_have_their_type_and_nothing_outside_the_book_is_served() {
    let (small, address) = serve();
    for path in ["/", "/index.html", "/first.html?x", "/inner/page.html"] {
        let answer = ask(address, &format!("GET {path}"));
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"),
            "{path}: {answer}"
        );
        assert!(answer.contains("/__version"), "{path} doesn't reload itself");
    }
    symlink(small.path().join("target/secret"), small.path().join("target/book/link")).unwrap();
    for path in
        ["/css/nothing.css", "/link", "/../secret", "/%2e%2e/secret", "/..%2fsecret", "//etc/hostname", "/..\\secret"]
    {
        let answer = ask(address, &format!("GET {path}"));
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{path}: {answer}");
        assert!(answer.contains("Document not found") && !answer.ends_with("secret"), "{path}: {answer}");
    }
    let head = ask(address, "HEAD /toc.html");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(ask(address, "POST /").starts_with("HTTP/1.1 405 "));
    assert!(ask(address, "").starts_with("HTTP/1.1 405 "));
}

#[test]
fn a_change_reaches_the_browser_and_so_does_a_mistake() {
    let (small, address) = serve();
    let version = || ask(address, "GET /__version").lines().last().unwrap_or_default().to_owned();
    let first = version();
    small.write("book/text/first.md", "# First\n\nother words\n");
    until(address, "/first.html", "<p>other words</p>");
    assert_ne!(version(), first, "an open page doesn't see that it is outdated");
    small.write("book/text/first.md", "# First\n\n{{#nothing}}\n");
    let page = until(address, "/first.html", "book/text/first.md:3: there is no directive `nothing`");
    assert!(page.contains("<p>other words</p>"), "{page}");
    small.write("book/text/first.md", "# First\n\nfixed words\n");
    let page = until(address, "/first.html", "<p>fixed words</p>");
    assert!(!page.contains("role=\"alert\""));
}
