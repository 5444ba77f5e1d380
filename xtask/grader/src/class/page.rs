//! `class --serve`: shows the room as a web page, in the teacher's browser or on a projector. The page updates itself every two
//! seconds, or every five without JavaScript.

use std::io::Cursor;
use std::iter::repeat_with;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::thread;

use anyhow::{Result, anyhow};
use tiny_http::{Header, Method, Response, Server, StatusCode};

use super::{Row, for_the_board};
use crate::text::visible;

/// The page, with names in braces for what changes.
const PAGE: &str = include_str!("page.html");
const NOT_LOCAL: &str = "Open this page by its address, or as localhost\n";
/// Another one than `book serve` takes.
const PORT: u16 = 3001;

/// Reads the address to listen on, whose port may be left out.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let ip = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    ip.or_else(|_| text.parse()).map_err(|_| {
        format!(
            "--serve takes an IP address, such as 0.0.0.0 or 127.0.0.1:{PORT}, not {text}; name directories before it"
        )
    })
}

/// Serves the page until the program ends.
pub(super) fn serve(address: SocketAddr, read: impl Fn() -> Result<Vec<Row>>) -> Result<ExitCode> {
    let listener = TcpListener::bind(address).map_err(|error| {
        anyhow!("can't listen on {address}: {error}; name another address or port, as in `--serve 127.0.0.1:3002`")
    })?;
    if !address.ip().is_loopback() {
        eprintln!(
            "xtask: everyone who reaches this machine can now see who is where. The server is small, and for a room, not for the Internet."
        );
    }
    eprintln!("xtask: http://{}/ (Ctrl-C ends it)", listener.local_addr()?);
    let server = Server::from_listener(listener, None).map_err(|error| anyhow!("the server: {error}"))?;
    for request in server.incoming_requests() {
        let host = request.headers().iter().find(|it| it.field.equiv("Host")).map(|it| it.value.as_str());
        let response = match host {
            Some(name) if address.ip().is_loopback() && !is_local(name) => {
                answer("", 403, "text/plain", NOT_LOCAL.into())
            }
            _ => response(request.method(), request.url(), &read),
        };
        // A browser may be slow, or close the connection early.
        thread::spawn(move || request.respond(response));
    }
    Ok(ExitCode::FAILURE)
}

fn response(method: &Method, url: &str, read: &impl Fn() -> Result<Vec<Row>>) -> Response<Cursor<String>> {
    // Only what is ours runs and has a style, whatever a learner is called.
    let nonce: String = repeat_with(fastrand::alphanumeric).take(20).collect();
    let (status, kind, body) = match (method, url.split('?').next()) {
        (Method::Get | Method::Head, Some("/")) => match read().and_then(|rows| page(&rows, &nonce)) {
            Ok(page) => (200, "text/html", page),
            Err(error) => (500, "text/html", fill(&nonce, &escaped(&format!("{error:#}")), "", "")),
        },
        (Method::Get | Method::Head, _) => (404, "text/plain", "There is only /\n".to_owned()),
        _ => (405, "text/plain", "GET or HEAD\n".to_owned()),
    };
    answer(&nonce, status, kind, body)
}

fn answer(nonce: &str, status: u16, kind: &str, body: String) -> Response<Cursor<String>> {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [
        ("Content-Type", format!("{kind}; charset=utf-8")),
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff".to_owned()),
        ("Cache-Control", "no-store".to_owned()),
    ];
    let headers = headers.iter().filter_map(|(name, value)| Header::from_bytes(*name, value.as_str()).ok()).collect();
    let length = body.len();
    Response::new(StatusCode(status), headers, Cursor::new(body), Some(length), None)
}

/// True for localhost or an address, with or without a port. Any other name that leads here may be a website's own, and its script
/// could then read the page: DNS rebinding.
fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || host.parse::<SocketAddr>().is_ok() || address.parse::<IpAddr>().is_ok()
}

fn page(rows: &[Row], nonce: &str) -> Result<String> {
    let stuck = rows.iter().filter(|it| it.diagnosis.is_some()).count();
    let mut count = format!("{} learner{}", rows.len(), if rows.len() == 1 { "" } else { "s" });
    if stuck > 0 {
        count += &format!(", {stuck} of them with a failed check");
    }
    // What is between backticks is code.
    let board = for_the_board(rows)?.unwrap_or_default();
    let parts = board.split('`').map(escaped).enumerate();
    let board: String = parts.map(|(at, it)| if at % 2 == 1 { format!("<code>{it}</code>") } else { it }).collect();
    Ok(fill(nonce, &count, &board, &rows.iter().map(line).collect::<String>()))
}

/// Returns the page. The rows are last, because a learner may be called like a part of the page.
fn fill(nonce: &str, count: &str, board: &str, rows: &str) -> String {
    PAGE.replace("{nonce}", nonce).replace("{count}", count).replace("{board}", board).replacen("{rows}", rows, 1)
}

fn line(row: &Row) -> String {
    let Row { own, shown, skipped, hints, minutes, .. } = row;
    let [learner, program] = [&row.learner, &row.program].map(|it| escaped(it));
    let (at, diagnosis) = (row.at.unwrap_or_default(), row.diagnosis.as_deref().map(escaped).unwrap_or_default());
    let class = if row.diagnosis.is_some() { " class=\"failed\"" } else { "" };
    let extra = [(shown, "shown"), (skipped, "skipped")].into_iter().filter(|(count, _)| **count > 0);
    let extra: Vec<String> = extra.map(|(count, what)| format!("{count} {what}")).collect();
    let idle = match minutes {
        0..60 => format!("{minutes} min"),
        60..1440 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    };
    format!(
        "<tr{class}><th scope=\"row\">{learner}<small>{program}</small></th><td>{own}<small>{}</small></td>\
         <td>{at}<small>{diagnosis}</small></td><td>{hints}</td><td>{idle}</td></tr>\n",
        extra.join(", ")
    )
}

/// Returns text of unknown origin as text of a page.
fn escaped(text: &str) -> String {
    let entity = |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        c => String::from(c),
    };
    visible(text).chars().map(entity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_address_with_or_without_a_port() {
        assert_eq!(address("0.0.0.0").unwrap().to_string(), format!("0.0.0.0:{PORT}"));
        assert_eq!(address("::1").unwrap().to_string(), format!("[::1]:{PORT}"));
        assert_eq!(address("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
        assert!(address("/home").unwrap_err().contains("not /home; name directories before it"));
    }

    #[test]
    fn what_a_learner_writes_is_text_and_never_part_of_the_page() {
        let hostile = |what: &str| format!("<b {what}='\"&{{nonce}}{{rows}}\u{202e}\x1b");
        let row = Row {
            learner: hostile("learner"),
            program: hostile("program"),
            own: 1,
            shown: 0,
            skipped: 2,
            at: Some("uts"),
            diagnosis: Some(hostile("diagnosis")),
            hints: 3,
            minutes: 61,
        };
        let page = page(&[row], "NONCE").unwrap();
        let (before, rest) = page.split_once("<tbody id=\"rows\">").unwrap();
        let (rows, after) = rest.split_once("</tbody>").unwrap();
        for what in ["learner", "program", "diagnosis"] {
            assert!(!before.contains(&format!("<b {what}")) && !after.contains(&format!("<b {what}")), "{page}");
            let text = format!("&lt;b {what}=&#39;&quot;&amp;{{nonce}}{{rows}}\\u{{202e}}\\x1b<");
            assert!(rows.contains(&text), "{text}: {rows}");
        }
        assert!(rows.contains("<td>1<small>2 skipped</small></td>") && rows.contains("<td>1 h</td>"), "{rows}");
        assert!(before.contains("<style nonce=\"NONCE\">") && after.contains("<script nonce=\"NONCE\">"), "{page}");
        assert!(before.contains(">1 learner, 1 of them with a failed check<"), "{before}");
    }
}
