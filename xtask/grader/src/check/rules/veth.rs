//! Exercise `veth`: a network of its own. The sandbox makes connections, from inside and to the outside.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use lab::procfs::Pid;

use super::*;

/// The host's end, and the container's.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CONTAINER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// How long a connection, or what is written to it, may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_millis(500);

pub fn it_has_a_network_namespace(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let (has, expected) = (command.new.contains(&"net"), "a network namespace of its own");
    require!(has, NoNetworkNamespace, expected, "/proc/{}/ns/net is the host's", command.pid());
    Ok(())
}

/// 127.0.0.1 answers in the container.
pub fn it_has_a_loopback(sandbox: &Sandbox) -> Checked {
    let (evidence, refusal) = observe_more(sandbox, &Invocation::default(), |command| {
        let connected = sandbox.inside(command.pid(), "ns/net", || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            connect(&listener.local_addr()?)
        })?;
        Ok(connected.err())
    })?;
    it_has_a_network_namespace(&evidence)?;
    let Some(error) = refusal else { return Ok(()) };
    Err(fail!(NoLoopback, "a connection", "connecting to 127.0.0.1 in the container failed: {error}"))
}

/// A connection from the container to the host is accepted.
pub fn it_reaches_the_host(sandbox: &Sandbox) -> Checked {
    // A kernel with tunnels has some of them in every network namespace.
    let usual = sandbox.interfaces(1)?;
    let (evidence, observed) = observe_more(sandbox, &Invocation::default(), |command| {
        let pid = command.pid();
        let observed = (connect_to_host(sandbox, pid)?, sandbox.interfaces(pid)?, sandbox.interfaces(1)?);
        // Don't check that it is reachable, because both have the same address.
        let another = in_another_container(sandbox, |command| Ok(sandbox.interfaces(command.pid)?))?;
        Ok(Some((observed, another)))
    })?;
    it_has_a_network_namespace(&evidence)?;
    let pid = evidence.command()?.pid();
    let Some(((connection, all, on_host), another)) = observed else { return Ok(()) };
    let added = |names: &[String]| names.iter().filter(|name| !usual.contains(name)).cloned().collect::<Vec<_>>();
    let inside = added(&all);
    require!(!inside.is_empty(), NoLink, "one end of a veth pair", "/proc/{pid}/net/dev lists only {}", all.join(", "));
    let has_one_outside = inside.len() == 1 || !added(&on_host).is_empty();
    let seen = format!("/proc/{pid}/net/dev lists {}; the host has no new interface", inside.join(", "));
    require!(has_one_outside, BothEndsInside, "one end of the pair on the host", "{seen}");
    let seen = match connection {
        Ok(from) if from.ip() == CONTAINER => return two_can_run(&evidence, another, &usual),
        Ok(from) => format!("a connection from {} to {HOST}", from.ip()),
        Err(why) => why,
    };
    Err(fail!(NotReachable, format!("a connection from {CONTAINER} to {HOST}"), "{seen}"))
}

/// A second container can run next to the first, and neither leaves its link on the host.
fn two_can_run(evidence: &Evidence, another: Result<Vec<String>, String>, usual: &[String]) -> Checked {
    let expected = "a second container with its own link while the first runs";
    match another {
        Err(why) => return Err(fail!(LinkNameTaken, expected, "the second container: {why}")),
        Ok(names) if names.iter().all(|name| usual.contains(name)) => {
            return Err(fail!(LinkNameTaken, expected, "the second container has no link"));
        }
        Ok(_) => {}
    }
    let left = evidence.changes.interfaces_left.join(", ");
    require!(left.is_empty(), LinkLeft, "the host's interfaces unchanged", "the host still has {left}");
    Ok(())
}

/// Connects, as soon as the link is up. The kernel drops packets until it has brought a new veth pair up, which it does once per
/// second, and sends them again only after one, three and seven seconds.
pub fn connect(address: &SocketAddr) -> io::Result<TcpStream> {
    let start = Instant::now();
    loop {
        match TcpStream::connect_timeout(address, ATTEMPT) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && start.elapsed() < CONNECT_TIMEOUT => {}
            result => return result,
        }
    }
}

/// Connects to the host from the network of `pid`. Returns the address that it came from, or why it failed.
fn connect_to_host(sandbox: &Sandbox, pid: Pid) -> Result<Result<SocketAddr, String>> {
    let listener = match TcpListener::bind((HOST, 0)) {
        Ok(listener) => listener,
        Err(error) => return Ok(Err(format!("the host doesn't have the address {HOST}: {error}"))),
    };
    let address = listener.local_addr()?;
    let connected = sandbox.inside(pid, "ns/net", || connect(&address).and_then(|it| it.local_addr()))?;
    Ok(connected.map_err(|error| format!("connecting to {HOST} failed: {error}")))
}

/// Checks that this host can create a veth pair.
pub fn the_kernel_has_veth() -> Checked {
    let ip = |words: &str| Command::new("ip").args(words.split(' ')).stdin(Stdio::null()).output();
    let output = ip("link add probe0 type veth peer name probe1").map_err(|error| {
        cannot_run(format!("ip(8): {error}"), "It is part of iproute2: `sudo apt install iproute2`.")
    })?;
    if !output.status.success() {
        let said = shorten(&String::from_utf8_lossy(&output.stderr));
        let cure = "Run `sudo modprobe veth`, if the kernel has that module.";
        return Err(cannot_run(format!("this machine can't create a veth pair: {said}"), cure));
    }
    let _ = ip("link delete probe0");
    Ok(())
}
