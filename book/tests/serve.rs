//! The book in a browser while it is written: what the server answers, and what it does when the text goes wrong.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use book::places::Places;
use book::serve::Server;
use tempfile::TempDir;

fn small() -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("book/book.toml", "[book]\nsrc = \"text\"\n[build]\nbuild-dir = \"../target/book\"\n");
    write("book/text/SUMMARY.md", "[First](first.md)\n\n- [Inner](inner/page.md)\n");
    write("book/text/first.md", "# First\n\nwords\n");
    write("book/text/inner/page.md", "# Inner\n");
    write("target/secret", "secret");
    let server = Server::start(&Places { root: folder.path().to_owned() }, 0).unwrap();
    let watching = server.clone();
    thread::spawn(move || watching.watch());
    (folder, server)
}

fn ask(server: &Server, request: &str) -> String {
    let host = server.address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn pages_come_with_their_type_and_others_are_not_found() {
    let (_folder, server) = small();
    for path in ["/", "/index.html", "/first.html", "/first.html?x", "/inner/page.html"] {
        let answer = ask(&server, &format!("GET {path}"));
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"),
            "{path}: {answer}"
        );
        assert!(answer.contains("EventSource"), "{path}");
    }
    let css = ask(&server, "GET /css/general-not.css");
    assert!(css.starts_with("HTTP/1.1 404 Not Found\r\n") && css.contains("Document not found"), "{css}");
    let head = ask(&server, "HEAD /toc.html");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(ask(&server, "POST /").starts_with("HTTP/1.1 405 "));
    assert!(ask(&server, "").starts_with("HTTP/1.1 "));
}

#[test]
fn nothing_outside_the_book_is_served() {
    let (_folder, server) = small();
    for path in ["/../secret", "/%2e%2e/secret", "/css/../../secret", "/..%2fsecret", "//etc/hostname", "/..\\secret"] {
        let answer = ask(&server, &format!("GET {path}"));
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert!(!answer.ends_with("secret"), "{path}");
    }
}

#[test]
fn a_change_reaches_the_browser_and_so_does_a_mistake() {
    let (folder, server) = small();
    let first = folder.path().join("book/text/first.md");
    // Waits for news as a page's script does.
    let news = |since: u64| assert!(ask(&server, &format!("GET /__book_events?{since}")).ends_with("data: new\n\n"));
    let page_until = |part: &str| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if ask(&server, "GET /first.html").contains(part) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("the page never said {part}: {}", ask(&server, "GET /first.html"));
    };
    fs::write(&first, "# First\n\nother words\n").unwrap();
    news(1);
    page_until("<p>other words</p>");
    fs::write(&first, "# First\n\n{{#nothing}}\n").unwrap();
    page_until("book/text/first.md:3: there is no directive `nothing`");
    page_until("<p>other words</p>");
    fs::write(&first, "# First\n\nmended words\n").unwrap();
    page_until("<p>mended words</p>");
    assert!(!ask(&server, "GET /first.html").contains("role=\"alert\""));
}
