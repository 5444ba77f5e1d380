//! The exercise about a network. It is judged by connections that the examiner makes, from inside and to the outside.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Checked, judge, must};
use crate::check::diagnosis::Diagnosis;
use crate::check::exam::{Exam, Setting};
use crate::check::look::{Judged, Look, look_with, shorten};
use crate::check::verdict::{Verdict, fail, require};
use lab::procfs::Pid;

/// The host's end, and the container's.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CONTAINER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// A cable is short.
const PATIENCE: Duration = Duration::from_secs(1);

/// Exercise `veth`: is the command in a network namespace of its own?
pub fn it_has_a_network_namespace(look: &Look) -> Judged {
    let sighting = look.sighting()?;
    Ok(require(sighting.new.contains(&"net"), || {
        let seen = format!("/proc/{}/ns/net is the host's", sighting.command.pid);
        fail(Diagnosis::NoNetworkNamespace, seen, "a network namespace of its own")
    }))
}

/// Exercise `veth`: does 127.0.0.1 answer in there?
pub fn it_has_a_loopback(exam: &Exam) -> Checked {
    let (look, answer) = look_with(exam, &Setting::default(), |it| {
        Ok(Some(exam.in_network_of(it.command.pid, || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE).map(drop)
        })?))
    })?;
    judge(|| {
        must(it_has_a_network_namespace(&look))?;
        Ok(match answer {
            Some(Err(error)) => {
                let seen = format!("a connection to 127.0.0.1 in there: {error}");
                fail(Diagnosis::NoLoopback, seen, "it is taken").into()
            }
            _ => Verdict::Pass,
        })
    })
}

/// Exercise `veth`: is there a way from the container to the host, and back?
pub fn it_reaches_the_host(exam: &Exam) -> Checked {
    if let Some(verdict) = refuses_veth() {
        return Ok(verdict);
    }
    // A kernel with tunnels has some of them in every network namespace.
    let usual = interfaces(exam, 1)?;
    let (look, link) = look_with(exam, &Setting::default(), |it| Ok(Some(look_at_link(exam, it.command.pid)?)))?;
    judge(|| {
        let sighting = look.sighting()?;
        must(it_has_a_network_namespace(&look))?;
        let Some(link) = link else { return Ok(Verdict::Pass) };
        let added = |names: &[String]| names.iter().filter(|name| !usual.contains(name)).cloned().collect::<Vec<_>>();
        let inside = added(&link.interfaces);
        if inside.is_empty() {
            let seen = format!("in /proc/{}/net/dev: {}", sighting.command.pid, link.interfaces.join(", "));
            return Err(fail(Diagnosis::NoLink, seen, "one end of a veth pair").into());
        }
        if inside.len() > 1 && added(&link.on_host).is_empty() {
            let seen =
                format!("in /proc/{}/net/dev: {}; on the host, none is new", sighting.command.pid, inside.join(", "));
            return Err(fail(Diagnosis::BothEndsInside, seen, "one of them on the host").into());
        }
        let seen = match link.answer {
            Ok(from) if from.ip() == CONTAINER => return Ok(Verdict::Pass),
            Ok(from) => format!("a connection from {} to {HOST}", from.ip()),
            Err(why) => why,
        };
        Err(fail(Diagnosis::NotReachable, seen, format!("a connection from {CONTAINER} to {HOST}")).into())
    })
}

/// What was seen of the command's network.
struct Link {
    interfaces: Vec<String>,
    on_host: Vec<String>,
    /// Who the host saw call it, or why it was not called.
    answer: Result<SocketAddr, String>,
}

fn look_at_link(exam: &Exam, pid: Pid) -> anyhow::Result<Link> {
    let answer = match TcpListener::bind((HOST, 0)).and_then(|listener| Ok((listener.local_addr()?, listener))) {
        Err(error) => Err(format!("on the host, nobody is {HOST}: {error}")),
        Ok((address, _listener)) => exam
            .in_network_of(pid, || TcpStream::connect_timeout(&address, PATIENCE).and_then(|it| it.local_addr()))?
            .map_err(|error| format!("a connection to {HOST}: {error}")),
    };
    Ok(Link { interfaces: interfaces(exam, pid)?, on_host: interfaces(exam, 1)?, answer })
}

/// The names of the interfaces that a process sees: proc_pid_net(5), two lines of heading, then one for each.
fn interfaces(exam: &Exam, pid: Pid) -> anyhow::Result<Vec<String>> {
    let table = exam.host.read(pid, "net/dev")?;
    let table = String::from_utf8_lossy(&table);
    Ok(table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect())
}

/// Why there can be no veth pair on this host, if so: it is tried.
fn refuses_veth() -> Option<Verdict> {
    let ip = |words: &str| Command::new("ip").args(words.split(' ')).stdin(Stdio::null()).output();
    let cannot = |why: String, cure: &str| Some(Verdict::CannotRun { why, cure: cure.into() });
    match ip("link add exam0 type veth peer name exam1") {
        Ok(output) if output.status.success() => {
            let _ = ip("link delete exam0");
            None
        }
        Ok(output) => {
            let said = shorten(&String::from_utf8_lossy(&output.stderr));
            cannot(format!("this machine makes no veth pair: {said}"), "`sudo modprobe veth`, if its kernel has that.")
        }
        Err(error) => cannot(format!("ip(8): {error}"), "It is of iproute2: `sudo apt install iproute2`."),
    }
}
